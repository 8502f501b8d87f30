//! tls-alpn-01 (RFC 8737): a certificate of its own kind on port 443 of the name, for those alone who ask for `acme-tls/1`.
//!
//! It listens for the time of the challenge. A web server that has port 443 already cannot be helped by it: see http-01.

mod certificate;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use notafter_core::deployment::Check;
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::issuance::{Challenge, ChallengeType, Cleanup, Identifier};
use notafter_core::joints::{BoxFuture, Cx, Solver};
use notafter_pki::fingerprint::{hex, sha256};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::http_01::listen;
use super::seen::{Eyes, Seen};
use super::stand;
use crate::settings;

/// `kind = "tls-alpn-01"`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where to listen for the time of a challenge. Default `[::]:443`.
    listen: Option<String>,
    /// Look at the certificate as the CA would, before the CA is asked. Default `true`; `false` where this machine cannot
    /// reach itself by its name.
    check: Option<bool>,
    /// The port that is looked at. Default `443`; another one only for CAs of one's own.
    port: Option<u16>,
    /// The address that is looked at, instead of those the name resolves to.
    address: Option<IpAddr>,
}

/// The JSON schema.
pub(super) fn schema() -> Value {
    settings::schema::<Settings>()
}

/// A solver.
pub(super) struct TlsAlpn01 {
    address: SocketAddr,
    eyes: Option<Eyes>,
}

/// What a client sends as the name: for an address, that of its reverse record (RFC 8738 section 6).
fn sent(name: &Identifier) -> String {
    match name {
        Identifier::Dns(name) => name.clone(),
        Identifier::Ip(IpAddr::V4(ip)) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Identifier::Ip(IpAddr::V6(ip)) => {
            let digits: Vec<char> = hex(&ip.octets()).chars().rev().collect();
            let labels: Vec<String> = digits.iter().map(char::to_string).collect();
            format!("{}.ip6.arpa", labels.join("."))
        }
    }
}

impl TlsAlpn01 {
    pub(super) fn open(table: Value) -> Result<Self, String> {
        let read: Settings = settings::read(table, &schema())?;
        let eyes = Eyes { port: read.port.unwrap_or(443), address: read.address };
        Ok(Self {
            address: listen(read.listen.as_deref(), 443)?,
            eyes: read.check.unwrap_or(true).then_some(eyes),
        })
    }

    async fn show(&self, cx: &Cx, name: &Identifier, authorization: &str) -> Result<(), Fault> {
        let digest = sha256(authorization.as_bytes());
        let host = sent(name);
        let shown = stand::shown_certificate(self.address, &host).await;
        if shown.and_then(|key| Some(certificate::proves(key.cert.first()?, &digest))) == Some(true) {
            return Ok(());
        }
        let failed = |said: String| Fault::new(FaultKind::System, said);
        let (leaf, key) = certificate::make(name, &digest, cx.clock.now()).map_err(failed)?;
        let key =
            any_supported_type(&PrivatePkcs8KeyDer::from(key).into()).map_err(|e| failed(e.to_string()))?;
        let key = CertifiedKey::new(vec![CertificateDer::from(leaf)], key);
        stand::show_certificate(self.address, &host, Arc::new(key)).await
    }

    async fn take_back(&self, host: &str, digest: &str) {
        stand::take_back_certificate(self.address, host, |leaf| {
            certificate::digest(leaf).is_some_and(|d| hex(d) == digest)
        })
        .await;
    }

    async fn look(&self, eyes: &Eyes, name: &Identifier, authorization: &str) -> Result<Seen, Fault> {
        let digest = sha256(authorization.as_bytes());
        eyes.tls(name, &sent(name), move |leaf| certificate::proves(leaf, &digest)).await
    }

    async fn checks(&self, cx: &Cx, name: &Identifier) -> Vec<Check> {
        let what = format!("listen on {}", self.address);
        if name.is_wildcard() {
            let hint = "a wildcard can be proved by dns-01 alone: set such a solver";
            return vec![Check::fails(
                format!("tls-alpn-01 of {name}"),
                "no CA takes it for a wildcard",
                hint,
            )];
        }
        let authorization = "rehearsal.rehearsal";
        // A challenge under way for the same name is not to be disturbed.
        if stand::shown_certificate(self.address, &sent(name)).await.is_some() {
            return vec![Check::works(what, "it is used for a challenge at this moment")];
        }
        if let Err(fault) = self.show(cx, name, authorization).await {
            return vec![Check::fails(what, fault.context, fault.hint.unwrap_or_default())];
        }
        let mut checks = vec![Check::works(what, "done and taken back")];
        if let Some(eyes) = &self.eyes {
            let what = format!("port {} of {name}", eyes.port);
            let hint = "the name has to lead to this machine, and nothing in between may end TLS; if only this machine cannot see itself (NAT), set check = false";
            checks.push(match self.look(eyes, name, authorization).await {
                Ok(Seen::Right) => Check::works(what, "what was shown is seen there"),
                Ok(Seen::Wrong(why)) => Check::fails(what, why, hint),
                Err(fault) => Check::fails(what, fault.context, hint),
            });
        }
        self.take_back(&sent(name), &hex(&sha256(authorization.as_bytes()))).await;
        checks
    }
}

impl Solver for TlsAlpn01 {
    fn kind(&self) -> ChallengeType {
        ChallengeType::TlsAlpn01
    }

    fn present<'a>(&'a self, cx: &'a Cx, challenge: &'a Challenge) -> BoxFuture<'a, Result<Cleanup, Fault>> {
        Box::pin(async move {
            self.show(cx, &challenge.identifier, &challenge.key_authorization).await?;
            let digest = hex(&sha256(challenge.key_authorization.as_bytes()));
            Ok(Cleanup(json!({ "name": sent(&challenge.identifier), "digest": digest })))
        })
    }

    fn is_visible<'a>(&'a self, cx: &'a Cx, challenge: &'a Challenge) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async move {
            // What listens in this process ends with it: after a restart it is shown anew.
            self.show(cx, &challenge.identifier, &challenge.key_authorization).await?;
            let Some(eyes) = &self.eyes else { return Ok(true) };
            let seen = self.look(eyes, &challenge.identifier, &challenge.key_authorization).await?;
            Ok(seen == Seen::Right)
        })
    }

    fn clean_up<'a>(&'a self, _: &'a Cx, cleanup: &'a Cleanup) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let part = |name: &str| cleanup.0[name].as_str().unwrap_or_default();
            self.take_back(part("name"), part("digest")).await;
            Ok(())
        })
    }

    fn rehearse<'a>(&'a self, cx: &'a Cx, name: &'a Identifier) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(self.checks(cx, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_sent() {
        let check = |text: &str| sent(&Identifier::parse(text).expect("a name"));
        assert_eq!(check("a.example"), "a.example");
        assert_eq!(check("192.0.2.1"), "1.2.0.192.in-addr.arpa");
        // The example of RFC 3596 section 2.5.
        assert_eq!(
            check("4321:0:1:2:3:4:567:89ab"),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa"
        );
    }
}

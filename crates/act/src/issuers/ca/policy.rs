//! What a CA of one's own issues, rule by rule, and the name constraints that its intermediate gets from them.
//!
//! Pure. Each refusal is one sentence and says what to change. Constraints in a certificate are coarser than the policy
//! (RFC 5280 section 4.2.1.10 has no "below, but not itself"): the policy is what is issued, the constraints are what a
//! stolen intermediate could do at most.

use std::net::IpAddr;

use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::issuance::{Identifier, KeyType, Profile};
use notafter_pki::certificate::Certificate;
use notafter_pki::csr::Csr;
use notafter_pki::extension::GeneralName;
use notafter_pki::key::PublicKey;
use notafter_pki::oid;
use notafter_pki::verify::{SignatureVerdict, verify_signature};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::write;

/// More names than that are a mistake: clients carry every one of them in every handshake.
const NAMES_MAX: usize = 100;

/// What certificates are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Purpose {
    Server,
    Client,
}

impl Purpose {
    pub(super) fn oid(self) -> &'static [u8] {
        match self {
            Self::Server => oid::SERVER_AUTH,
            Self::Client => oid::CLIENT_AUTH,
        }
    }
}

/// A name, or all names below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Exact(String),
    Below(String),
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        let base = name.strip_prefix("*.");
        // One label is enough below which there are names: *.internal.
        let read = match base {
            Some(base) => Identifier::parse(&format!("a.{base}")),
            None => Identifier::parse(&name),
        };
        match (read, base) {
            (Some(Identifier::Dns(_)), Some(base)) if !base.contains('*') => Ok(Self::Below(base.to_owned())),
            (Some(Identifier::Dns(_)), None) => Ok(Self::Exact(name)),
            _ => Err(format!(
                "`names`: `{}` is no name\nhint: \"*.internal.example\" for all names below, \"db.internal.example\" for one",
                text.escape_debug()
            )),
        }
    }

    fn permits(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => name == exact,
            Self::Below(base) => name.strip_suffix(base.as_str()).is_some_and(|rest| rest.ends_with('.')),
        }
    }

    fn base(&self) -> &str {
        match self {
            Self::Exact(name) | Self::Below(name) => name,
        }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(base) => write!(f, "*.{base}"),
        }
    }
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    address: IpAddr,
    bits: u8,
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The mask of so many bits over so many octets.
fn mask(bits: u8, length: usize) -> Vec<u8> {
    let octet = |n: usize| {
        let left = usize::from(bits).saturating_sub(n * 8).min(8);
        u8::try_from(0xff00_u16 >> left & 0xff).unwrap_or(0xff)
    };
    (0..length).map(octet).collect()
}

fn masked(address: &[u8], mask: &[u8]) -> Vec<u8> {
    address.iter().zip(mask).map(|(a, m)| a & m).collect()
}

impl Range {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let none = || {
            format!(
                "`addresses`: `{}` is no range of addresses\nhint: \"10.0.0.0/8\", \"fd00::/8\", or one address",
                text.escape_debug()
            )
        };
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().map_err(|_| none())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits: u8 = bits.map_or(Ok(most), str::parse).map_err(|_| none())?;
        if bits > most {
            return Err(none());
        }
        let own = octets(address);
        let first = masked(&own, &mask(bits, own.len()));
        if first != own {
            let first = match address {
                IpAddr::V4(_) => <[u8; 4]>::try_from(first).map(IpAddr::from).ok(),
                IpAddr::V6(_) => <[u8; 16]>::try_from(first).map(IpAddr::from).ok(),
            };
            let first = first.map(|f| f.to_string()).unwrap_or_default();
            return Err(format!(
                "`addresses`: {text} does not begin where such a range begins\nhint: did you mean {first}/{bits}?"
            ));
        }
        Ok(Self { address, bits })
    }

    fn permits(self, ip: IpAddr) -> bool {
        let (base, asked) = (octets(self.address), octets(ip));
        base.len() == asked.len() && masked(&asked, &mask(self.bits, base.len())) == base
    }

    /// Address and mask, as constraints have them.
    fn constraint(self) -> Vec<u8> {
        let base = octets(self.address);
        let mask = mask(self.bits, base.len());
        write::ip(&[base, mask].concat())
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// What may be issued.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) names: Vec<Pattern>,
    pub(super) ranges: Vec<Range>,
    pub(super) wildcards: bool,
    pub(super) keys: Vec<KeyType>,
    /// The longest life, in seconds.
    pub(super) max_s: i64,
    pub(super) purposes: Vec<Purpose>,
    pub(super) crl_url: Option<String>,
}

/// What is asked of the CA.
pub(super) struct Asked<'a> {
    pub(super) names: &'a [Identifier],
    pub(super) csr: &'a [u8],
    pub(super) lifetime_s: Option<i64>,
    pub(super) profile: Option<&'a Profile>,
}

fn refused(said: impl Into<String>, hint: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Refused, said).retry(Retry::Never).hint(hint)
}

fn listed<T: std::fmt::Display>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Policy {
    /// Refuses what may not be issued. The life it will have, in seconds.
    pub(super) fn check(&self, asked: &Asked<'_>) -> Result<i64, Fault> {
        self.check_names(asked.names)?;
        self.check_csr(asked.csr)?;
        if let Some(profile) = asked.profile.filter(|p| p.required) {
            return Err(refused(
                format!("this CA has no profiles, and {} is required", profile.name),
                "leave out `profile`",
            ));
        }
        let life = asked.lifetime_s.unwrap_or(self.max_s);
        if life <= 0 {
            return Err(refused(
                "a certificate that lives for no time is not issued",
                "ask for a longer life",
            ));
        }
        if life > self.max_s {
            let (asked, most) = (life / notafter_pki::time::DAY, self.max_s / notafter_pki::time::DAY);
            return Err(refused(
                format!("a life of {asked} days is asked for, and this CA issues for {most} at most"),
                "ask for less, or raise `max_days` of the issuer",
            ));
        }
        Ok(life)
    }

    fn check_names(&self, names: &[Identifier]) -> Result<(), Fault> {
        if names.is_empty() {
            return Err(refused(
                "a certificate for no name at all is not issued",
                "name a DNS name or an address",
            ));
        }
        if names.len() > NAMES_MAX {
            return Err(refused(
                format!("{} names in one certificate are too many: {NAMES_MAX} at most", names.len()),
                "make several certificates of it",
            ));
        }
        for name in names {
            match name {
                Identifier::Dns(dns) => {
                    if name.is_wildcard() && !self.wildcards {
                        return Err(refused(
                            format!("{dns} is a wildcard, and this CA issues none"),
                            "name each host, or set `wildcards = true` at the issuer",
                        ));
                    }
                    let below = dns.strip_prefix("*.");
                    // All that a wildcard stands for has to be permitted: one label below its base.
                    let permitted = self.names.iter().any(|p| match (below, p) {
                        (Some(base), Pattern::Below(top)) => base == top || p.permits(base),
                        (Some(_), Pattern::Exact(_)) => false,
                        (None, _) => p.permits(dns),
                    });
                    if !permitted {
                        return Err(self.not_among(dns));
                    }
                }
                Identifier::Ip(ip) if self.ranges.iter().any(|r| r.permits(*ip)) => {}
                Identifier::Ip(ip) => return Err(self.not_among(&ip.to_string())),
            }
        }
        Ok(())
    }

    fn not_among(&self, name: &str) -> Fault {
        let all = [listed(&self.names), listed(&self.ranges)];
        let all: Vec<&str> = all.iter().map(String::as_str).filter(|t| !t.is_empty()).collect();
        refused(
            format!("{name} is not among what this CA may issue for: {}", all.join(", ")),
            "widen `names` or `addresses` of the issuer, then renew its intermediate: notafter ca init --renew-intermediate",
        )
    }

    fn check_csr(&self, der: &[u8]) -> Result<(), Fault> {
        let csr = Csr::parse(der).map_err(|e| {
            refused(format!("the request is no PKCS#10 that can be read: {}", e.reason), "make it anew")
        })?;
        let key = csr.public_key();
        if verify_signature(csr.signature_algorithm(), key.spki(), csr.info(), csr.signature())
            != SignatureVerdict::Good
        {
            return Err(refused(
                "the request is not signed by its own key: whoever made it does not prove to hold it",
                "make it anew, with the key",
            ));
        }
        match key_type(&key) {
            Some(kind) if self.keys.contains(&kind) => {}
            kind => {
                let what = kind.map_or_else(|| described(&key), |k| k.to_string());
                return Err(refused(
                    format!("a key of the kind {what} is not certified by this CA"),
                    format!("it takes {}", listed(&self.keys)),
                ));
            }
        }
        let basic = csr.requested_extensions().find(oid::BASIC_CONSTRAINTS);
        // BasicConstraints with cA: SEQUENCE { BOOLEAN TRUE .. }; anything but an empty SEQUENCE asks for something.
        if basic.is_some_and(|b| {
            b.value.get(2..).is_some_and(|rest| rest.starts_with(&[1, 1]) && rest.get(2) != Some(&0))
        }) {
            return Err(refused(
                "the request asks for the certificate of a CA",
                "leave out basicConstraints",
            ));
        }
        Ok(())
    }

    /// The extensions that bind the intermediate: what it may certify, and for what.
    pub(super) fn constraints(&self) -> Vec<Vec<u8>> {
        let mut permitted: Vec<Vec<u8>> = Vec::new();
        for pattern in &self.names {
            let name = write::dns(pattern.base());
            if !permitted.contains(&name) {
                permitted.push(name);
            }
        }
        permitted.extend(self.ranges.iter().map(|r| r.constraint()));
        // A kind of name that is not spoken of would be free (RFC 5280 section 4.2.1.10): it is shut.
        let mut excluded = Vec::new();
        if self.names.is_empty() {
            excluded.push(write::dns(""));
        }
        if !self.ranges.iter().any(|r| r.address.is_ipv4()) {
            excluded.push(write::ip(&[0; 8]));
        }
        if !self.ranges.iter().any(|r| r.address.is_ipv6()) {
            excluded.push(write::ip(&[0; 32]));
        }
        let purposes: Vec<&[u8]> = self.purposes.iter().map(|p| p.oid()).collect();
        vec![write::extended_key_usage(&purposes), write::name_constraints(&permitted, &excluded)]
    }
}

/// The kind of a key, if it is one of ours.
fn key_type(key: &PublicKey<'_>) -> Option<KeyType> {
    match (key.algorithm().as_str(), key.bits()?, key.curve().as_deref()) {
        ("ECDSA", _, Some("P-256")) => Some(KeyType::EcdsaP256),
        ("ECDSA", _, Some("P-384")) => Some(KeyType::EcdsaP384),
        ("Ed25519", ..) => Some(KeyType::Ed25519),
        ("RSA", 2048, _) => Some(KeyType::Rsa2048),
        ("RSA", 3072, _) => Some(KeyType::Rsa3072),
        ("RSA", 4096, _) => Some(KeyType::Rsa4096),
        _ => None,
    }
}

fn described(key: &PublicKey<'_>) -> String {
    let size = key.curve().or_else(|| key.bits().map(|b| format!("{b} bits")));
    [key.algorithm(), size.unwrap_or_default()].join(" ").trim().to_owned()
}

/// Would clients refuse this name below this intermediate? It may be older than the policy. `None`: they take it.
pub(super) fn outside(intermediate: &Certificate<'_>, names: &[Identifier]) -> Option<Identifier> {
    let constraints = intermediate.name_constraints()?;
    let within = |base: &GeneralName<'_>, name: &Identifier| match (base, name) {
        (GeneralName::Dns(base), Identifier::Dns(name)) => {
            let name = name.strip_prefix("*.").unwrap_or(name).as_bytes();
            base.is_empty() || name == *base || name.strip_suffix(*base).is_some_and(|r| r.ends_with(b"."))
        }
        (GeneralName::Ip(range), Identifier::Ip(ip)) => {
            let (asked, half) = (octets(*ip), range.len() / 2);
            let (Some(base), Some(mask)) = (range.get(..half), range.get(half..)) else { return false };
            asked.len() == half && masked(&asked, mask) == base
        }
        _ => false,
    };
    let shut = |name: &&Identifier| {
        !constraints.permitted().any(|base| within(&base, name))
            || constraints.excluded().any(|base| within(&base, name))
    };
    names.iter().find(shut).cloned()
}

/// What a leaf whose name is outside the intermediate's constraints is refused with.
pub(super) fn too_narrow(name: &Identifier, issuer: &str) -> Fault {
    refused(
        format!(
            "{name} is permitted by the policy, but the intermediate of {issuer} is older than that and not good for it"
        ),
        format!("notafter ca init {issuer} --renew-intermediate"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request;

    fn policy() -> Policy {
        Policy {
            names: ["*.internal.example", "db.example", "*.lan"]
                .iter()
                .map(|t| Pattern::parse(t).expect(t))
                .collect(),
            ranges: ["10.0.0.0/8", "fd00::/8", "192.0.2.7", "172.16.0.0/12"]
                .iter()
                .map(|t| Range::parse(t).expect(t))
                .collect(),
            wildcards: false,
            keys: vec![KeyType::EcdsaP256],
            max_s: 90 * 86_400,
            purposes: vec![Purpose::Server],
            crl_url: None,
        }
    }

    fn names(all: &[&str]) -> Vec<Identifier> {
        all.iter().map(|n| Identifier::parse(n).expect(n)).collect()
    }

    /// What is said to a request for these; empty: it is issued.
    fn said(policy: &Policy, all: &[&str], csr: &[u8], life: Option<i64>) -> String {
        let names = names(all);
        let asked = Asked { names: &names, csr, lifetime_s: life, profile: None };
        policy.check(&asked).map_or_else(|fault| fault.to_string(), |_| String::new())
    }

    fn csr(key: KeyType) -> Vec<u8> {
        request::make(&names(&["a.internal.example"]), key, None).expect("a request").1
    }

    #[test]
    fn names_and_addresses() {
        let (mut policy, csr) = (policy(), csr(KeyType::EcdsaP256));
        for permitted in [
            "a.internal.example",
            "a.b.internal.example",
            "db.example",
            "x.lan",
            "10.255.0.1",
            "fd12::1",
            "192.0.2.7",
            "172.31.255.255",
        ] {
            assert_eq!(said(&policy, &[permitted], &csr, None), "", "{permitted}");
        }
        for refused in [
            "internal.example",
            "xinternal.example",
            "a.db.example",
            "www.example",
            "internal.example.evil.test",
            "11.0.0.1",
            "192.0.2.8",
            "172.32.0.1",
            "2001:db8::1",
        ] {
            let words = said(&policy, &["db.example", refused], &csr, None);
            assert!(
                words.starts_with(&format!("{refused} is not among what this CA may issue for")),
                "{words}"
            );
        }
        assert!(
            said(&policy, &["*.internal.example"], &csr, None)
                .contains("is a wildcard, and this CA issues none")
        );
        policy.wildcards = true;
        assert_eq!(said(&policy, &["*.internal.example", "*.a.internal.example"], &csr, None), "");
        for refused in ["*.second.example", "*.db.example"] {
            assert!(said(&policy, &[refused], &csr, None).contains("not among"), "{refused}");
        }
        assert!(said(&policy, &[], &csr, None).contains("no name at all"));
        let many: Vec<String> = (0..101).map(|n| format!("n{n}.lan")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(said(&policy, &many, &csr, None).contains("too many"));
    }

    #[test]
    fn keys_and_requests() {
        let policy = policy();
        let ask = |csr: &[u8]| said(&policy, &["db.example"], csr, None);
        for (key, words) in [
            (KeyType::EcdsaP384, "ecdsa-p384"),
            (KeyType::Ed25519, "ed25519"),
            (KeyType::Rsa2048, "rsa-2048"),
        ] {
            assert!(
                ask(&csr(key)).contains(&format!("a key of the kind {words} is not certified")),
                "{words}"
            );
        }
        let good = csr(KeyType::EcdsaP256);
        assert_eq!(ask(&good), "");
        let mut broken = good.clone();
        if let Some(last) = broken.last_mut() {
            *last ^= 1;
        }
        assert!(ask(&broken).contains("not signed by its own key"), "{}", ask(&broken));
        assert!(ask(&good[..20]).contains("cannot be read") || ask(&good[..20]).contains("can be read"));
        let mut params = rcgen::CertificateParams::new(vec!["db.example".to_owned()]).expect("names");
        // rcgen leaves basicConstraints out of a request unless it is given as an extension.
        params
            .custom_extensions
            .push(rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![0x30, 3, 1, 1, 0xff]));
        let pair = rcgen::KeyPair::generate().expect("a key");
        let asks = params.serialize_request(&pair).expect("a request");
        assert!(ask(asks.der()).contains("asks for the certificate of a CA"), "{}", ask(asks.der()));
    }

    #[test]
    fn lives_and_profiles() {
        let (policy, csr) = (policy(), csr(KeyType::EcdsaP256));
        let ask = |life| said(&policy, &["db.example"], &csr, Some(life));
        assert_eq!(ask(90 * 86_400), "");
        assert!(ask(91 * 86_400).contains("91 days is asked for, and this CA issues for 90 at most"));
        assert!(ask(0).contains("no time"));
        let names = names(&["db.example"]);
        let with = |required| {
            let profile = Profile { name: "tls".into(), required };
            let asked = Asked { names: &names, csr: &csr, lifetime_s: Some(60), profile: Some(&profile) };
            policy.check(&asked)
        };
        assert_eq!(with(false), Ok(60));
        assert!(with(true).expect_err("refused").to_string().contains("no profiles"));
    }

    #[test]
    fn masks() {
        assert_eq!(mask(12, 4), [0xff, 0xf0, 0, 0]);
        assert_eq!(mask(0, 4), [0; 4]);
        assert_eq!(mask(128, 16), [0xff; 16]);
    }
}

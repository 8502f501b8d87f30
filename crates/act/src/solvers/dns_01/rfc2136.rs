//! Dynamic updates (RFC 2136): a record is added to a set, and taken out of it again, at the primary server of the zone.
//!
//! Both are the same however often they are sent, and neither touches another value of the same name: "add to an RRset"
//! and "delete an RR from an RRset" (sections 2.5.1 and 2.5.4). Signed with TSIG, unless the server trusts our address.

use std::net::SocketAddr;

use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::{BoxFuture, Cx};
use notafter_pki::dns::tsig::{Algorithm, Key, Wrong};
use notafter_pki::dns::{kind, name};
use serde_json::Value;

use super::ask::{id, tcp, udp};
use super::provider::{Plain, Provider, Record};
use super::walk::{Resolver, code, server};
use crate::secret::Wiped;

/// Classes: the Internet's, and the one that says "this one record, away" (RFC 2136 section 2.5.4).
const IN: u16 = 1;
const NONE: u16 = 254;
/// UPDATE (RFC 2136 section 1.3), in the place of the opcode.
const UPDATE: u8 = 5 << 3;

/// The names of its settings, and what lego calls them: `rfc2136` in its version 4, `dnsupdate` in 5.
pub(super) const SERVER: Plain =
    Plain::text("server", &["DNSUPDATE_NAMESERVER", "RFC2136_NAMESERVER"]).optional();
pub(super) const KEY: Plain = Plain::text("key", &["DNSUPDATE_TSIG_KEY", "RFC2136_TSIG_KEY"]).optional();
pub(super) const ALGORITHM: Plain =
    Plain::text("algorithm", &["DNSUPDATE_TSIG_ALGORITHM", "RFC2136_TSIG_ALGORITHM"]).optional();
pub(super) const SECRET: Plain =
    Plain::secret("secret", &["DNSUPDATE_TSIG_SECRET", "RFC2136_TSIG_SECRET"]).optional();
pub(super) const FIELDS: &[Plain] = &[SERVER, KEY, ALGORITHM, SECRET];

/// Where its settings are read from, anew for each update.
pub(super) type Read = Box<dyn Fn(&Plain) -> Result<Option<Wiped>, String> + Send + Sync>;

/// A primary server.
pub(super) struct Rfc2136 {
    read: Read,
    resolver: Resolver,
}

impl Rfc2136 {
    /// # Errors
    /// A sentence for the person who wrote the settings.
    pub(super) fn open(read: Read, resolver: Resolver) -> Result<Self, String> {
        let this = Self { read, resolver };
        this.key()?;
        if let Some(server) = (this.read)(&SERVER)?
            && split(&server).is_none()
        {
            return Err(format!(
                "`server`: `{}` is no name or address of a server\nhint: server = \"ns1.example.com\" or \"192.0.2.53:53\"",
                server.escape_debug()
            ));
        }
        Ok(this)
    }

    fn key(&self) -> Result<Option<Key>, String> {
        let algorithm = (self.read)(&ALGORITHM)?;
        let algorithm = Algorithm::parse(algorithm.as_deref().map_or("hmac-sha256", |a| a))?;
        match ((self.read)(&KEY)?, (self.read)(&SECRET)?) {
            (Some(name), Some(secret)) => Key::new(&name, algorithm, &secret).map(Some),
            (None, None) => Ok(None),
            (Some(_), None) => Err(
                "`key` has no secret\nhint: secret = { file = \"/etc/notafter/tsig\" }, or leave out `key`"
                    .to_owned(),
            ),
            (None, Some(_)) => {
                Err("`secret` belongs to no key\nhint: key = \"acme\", the name it has at the name server"
                    .to_owned())
            }
        }
    }

    /// The addresses of the server that is told.
    async fn servers(&self, record: &Record) -> Result<Vec<SocketAddr>, Fault> {
        let set = (self.read)(&SERVER).map_err(|said| Fault::new(FaultKind::NotFound, said))?;
        let (host, port) = match set.as_deref().and_then(|text| split(text)) {
            Some(Host::At(address)) => return Ok(vec![address]),
            Some(Host::Named(host, port)) => (host, port),
            None => (record.primary.clone().unwrap_or_default(), 53),
        };
        if host.is_empty() {
            return Err(Fault::new(FaultKind::Unreachable, "it is not known which server takes updates")
                .hint("set `server` to the primary server of the zone"));
        }
        let found = self.resolver.addresses(&host).await?;
        if found.is_empty() {
            let said = format!("{host}, which takes updates of the zone, has no address");
            return Err(Fault::new(FaultKind::Unreachable, said)
                .hint("set `server` to the primary server of the zone"));
        }
        Ok(found.into_iter().map(|ip| (ip, port).into()).collect())
    }

    /// Sends one update to the first address that answers.
    async fn update(&self, cx: &Cx, record: &Record, away: bool) -> Result<(), Fault> {
        let zone = record.zone()?;
        let message = message(zone, record, away).map_err(|said| {
            Fault::new(FaultKind::System, format!("no update of {}: {said}", record.place))
        })?;
        let key = self.key().map_err(|said| Fault::new(FaultKind::System, said))?;
        let now = cx.clock.now().0;
        let (sent, mac) = match &key {
            Some(key) => key.sign(&message, now).map_err(|said| Fault::new(FaultKind::System, said))?,
            None => (message, Vec::new()),
        };
        let mut why = String::new();
        for server in self.servers(record).await? {
            let answer = match tcp(server, &sent).await {
                Ok(answer) => answer,
                // Some let updates through by UDP alone. To send one twice does nothing.
                Err(by_tcp) => match udp(server, &sent).await {
                    Ok(answer) => answer,
                    Err(_) => {
                        why = by_tcp;
                        continue;
                    }
                },
            };
            return judge(
                server,
                zone,
                record,
                &answer,
                key.as_ref().map(|key| key.check(&answer, &mac, now)),
            );
        }
        Err(Fault::new(FaultKind::Unreachable, format!("the update of {zone} reached nobody: {why}"))
            .hint("is it the primary server of the zone, and does a firewall let us through?"))
    }
}

/// What an answer means.
fn judge(
    server: SocketAddr,
    zone: &str,
    record: &Record,
    answer: &[u8],
    seal: Option<Result<(), Wrong>>,
) -> Result<(), Fault> {
    let said = answer.get(3).map_or(1, |flags| flags & 15);
    let refused = |context: String, hint: &str| {
        Err(Fault::new(FaultKind::PermissionDenied, context).hint(hint.to_owned()))
    };
    match seal {
        Some(Err(wrong @ (Wrong::BadKey | Wrong::BadSignature))) => {
            return refused(
                format!("{server} refuses the update of {zone}: {wrong}"),
                "`key`, `algorithm` and `secret` have to be those of the name server's configuration",
            );
        }
        Some(Err(wrong @ Wrong::BadTime(_))) => {
            return refused(
                format!("{server} refuses the update of {zone}: {wrong}"),
                "set the clocks of both machines (chrony, systemd-timesyncd)",
            );
        }
        // A refusal may come unsigned (RFC 8945 section 5.3); a success may not.
        Some(Err(wrong)) if said == 0 => {
            return refused(
                format!("{server} answers the update of {zone}, and {wrong}"),
                "something between us changes the answer, or it is another server",
            );
        }
        _ => {}
    }
    match said {
        0 => Ok(()),
        5 => refused(
            format!("{server} refuses the update of {} in {zone} (REFUSED)", record.place),
            "its configuration has to allow this key (or this address) to change TXT records there: update-policy or allow-update in BIND, acl with action update in Knot",
        ),
        9 => refused(
            format!("{server} does not hold the zone {zone}, or does not let us change it (NOTAUTH)"),
            "set `server` to the primary server of the zone; `key` and `secret` as it has them, and an acl with action update there",
        ),
        10 => refused(
            format!("{server} says that {} is not in {zone} (NOTZONE)", record.place),
            "set `zone` to the zone that the record is in",
        ),
        4 => refused(
            format!("{server} takes no dynamic updates (NOTIMP)"),
            "set `server` to the primary server of the zone, or use another `provider`",
        ),
        other => Err(Fault::new(
            FaultKind::Unreachable,
            format!("{server} answers the update of {zone} with {}", code(other)),
        )
        .hint("its log says why")),
    }
}

/// An update (RFC 2136 section 2).
fn message(zone: &str, record: &Record, away: bool) -> Result<Vec<u8>, String> {
    let mut out = id()?.to_be_bytes().to_vec();
    out.extend([UPDATE, 0]);
    for count in [1u16, 0, 1, 0] {
        out.extend(count.to_be_bytes());
    }
    let wire =
        |text: &str| name::to_wire(text).ok_or_else(|| format!("`{}` is no name", text.escape_debug()));
    out.extend(wire(zone)?);
    out.extend(kind::SOA.to_be_bytes());
    out.extend(IN.to_be_bytes());
    out.extend(wire(&record.place)?);
    out.extend(kind::TXT.to_be_bytes());
    let (class, ttl) = if away { (NONE, 0) } else { (IN, record.ttl) };
    out.extend(class.to_be_bytes());
    out.extend(ttl.to_be_bytes());
    let size = u8::try_from(record.value.len()).map_err(|_| "the value is too long".to_owned())?;
    out.extend((u16::from(size) + 1).to_be_bytes());
    out.push(size);
    out.extend(record.value.as_bytes());
    Ok(out)
}

/// A server as it is named.
#[derive(Debug, PartialEq, Eq)]
enum Host {
    At(SocketAddr),
    Named(String, u16),
}

/// `192.0.2.1`, `[2001:db8::1]:53`, `ns1.example.com`, `ns1.example.com:5353`.
fn split(text: &str) -> Option<Host> {
    if let Ok(address) = server("server", text) {
        return Some(Host::At(address));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (text, 53),
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    super::walk::is_plain(&host).then_some(Host::Named(host, port))
}

impl Provider for Rfc2136 {
    fn called(&self) -> String {
        "dynamic update (RFC 2136)".to_owned()
    }

    fn takes_turns(&self) -> bool {
        false
    }

    fn add<'a>(&'a self, cx: &'a Cx, record: &'a Record) -> BoxFuture<'a, Result<Value, Fault>> {
        Box::pin(async move { self.update(cx, record, false).await.map(|()| Value::Null) })
    }

    fn remove<'a>(
        &'a self,
        cx: &'a Cx,
        record: &'a Record,
        _: &'a Value,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(self.update(cx, record, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_as_they_are_named() {
        let named = |host: &str, port| Some(Host::Named(host.to_owned(), port));
        assert_eq!(split("192.0.2.1"), Some(Host::At(([192, 0, 2, 1], 53).into())));
        assert_eq!(split("NS1.Example.com."), named("ns1.example.com", 53));
        assert_eq!(split("ns1.example.com:5353"), named("ns1.example.com", 5353));
        for wrong in ["", "a b", "ns1:x", "$(touch x)", "a:70000"] {
            assert_eq!(split(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn refusals_in_plain_words() {
        let server = SocketAddr::from(([192, 0, 2, 1], 53));
        let record = Record::for_tests();
        let answer = |code: u8| [0, 1, 0xa8, code, 0, 0, 0, 0, 0, 0, 0, 0];
        for (code, seal, sign) in [
            (0, None, ""),
            (0, Some(Err(Wrong::Unsigned)), "is not signed"),
            (5, None, "REFUSED"),
            (5, Some(Err(Wrong::Unsigned)), "REFUSED"),
            (9, Some(Err(Wrong::BadKey)), "BADKEY"),
            (9, Some(Err(Wrong::BadTime(Some(3600)))), "3600 s ahead"),
            (9, None, "NOTAUTH"),
            (2, None, "SERVFAIL"),
        ] {
            let judged = judge(server, "example.com", &record, &answer(code), seal);
            match judged {
                Ok(()) => assert_eq!(sign, ""),
                Err(fault) => {
                    assert!(!sign.is_empty() && fault.context.contains(sign), "{fault}");
                    assert!(fault.hint.is_some(), "{fault}");
                }
            }
        }
    }
}

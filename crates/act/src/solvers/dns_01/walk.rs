//! From a name to where its TXT record lies: aliases, the zone, the servers of the zone.
//!
//! `_acme-challenge.NAME` may be an alias for a name elsewhere (RFC 1034 section 3.6.2), and the CA follows it: so do we,
//! a bounded number of times. The zone is the nearest name above with an SOA record. A resolver is asked for all this, the
//! system's own or one that was set; whether the record is there is asked of the zone's servers themselves (`look.rs`).

use std::net::{IpAddr, SocketAddr};

use notafter_core::fault::{Fault, FaultKind};
use notafter_pki::dns::message::Message;
use notafter_pki::dns::{Data, kind, name};
use tokio::task::JoinSet;

use super::ask::ask;

/// So many aliases may follow one another. Resolvers give up earlier or later; nobody has more on purpose.
const ALIASES_MAX: usize = 12;
/// So many servers of a zone are asked, with all their addresses.
const SERVERS_MAX: usize = 26;
/// So many of them are asked for an alias.
const ASKED_MAX: usize = 6;

/// Whom we ask about the world.
pub(crate) struct Resolver {
    /// As configured; else the system's.
    set: Option<SocketAddr>,
}

/// A question that was not answered.
pub(crate) struct Unanswered {
    /// By a code (RFC 6895 section 2.3); `None`: nobody said anything.
    pub(crate) code: Option<u8>,
    /// A sentence.
    pub(crate) said: String,
}

/// A zone, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Zone {
    /// Its name.
    pub(super) name: String,
    /// The server that changes are made at (RFC 1035 section 3.3.13).
    pub(super) primary: String,
}

/// One address of one server of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// Its name, where it has one.
    pub(super) name: Option<String>,
    /// Where it is.
    pub(super) address: SocketAddr,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ({})", self.address),
            None => self.address.fmt(f),
        }
    }
}

/// An address of a DNS server: `192.0.2.1`, `192.0.2.1:5353`, `[2001:db8::1]:53`.
pub(crate) fn server(setting: &str, text: &str) -> Result<SocketAddr, String> {
    let bare = text.trim_matches(['[', ']']).parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 53));
    bare.or_else(|| text.parse().ok()).ok_or_else(|| {
        format!(
            "`{setting}`: `{}` is no address of a DNS server\nhint: {setting} = \"192.0.2.53\" or \"192.0.2.53:53\"",
            text.escape_debug()
        )
    })
}

impl Resolver {
    pub(crate) fn new(set: Option<SocketAddr>) -> Self {
        Self { set }
    }

    /// As it is called in messages.
    fn called(&self) -> String {
        self.set.map_or_else(|| "the resolver of this machine".to_owned(), |at| format!("the resolver {at}"))
    }

    /// The servers of resolv.conf(5). Read anew each time: it changes with the network.
    fn servers(&self) -> Vec<SocketAddr> {
        if let Some(set) = self.set {
            return vec![set];
        }
        let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
        let mut all: Vec<SocketAddr> = lines
            .filter_map(|ip| ip.trim().parse::<IpAddr>().ok())
            .map(|ip| SocketAddr::new(ip, 53))
            .take(3)
            .collect();
        if all.is_empty() {
            all.push(SocketAddr::from(([127, 0, 0, 1], 53)));
        }
        all
    }

    /// Asks for records; an answer says "here they are" or "there are none".
    pub(super) async fn ask(&self, name: &str, kind: u16) -> Result<Message, Fault> {
        self.answer(name, kind).await.map_err(|none| {
            Fault::new(FaultKind::Unreachable, none.said)
                .hint("is DNSSEC of the zone in order, and does the resolver serve this machine? `resolver` in the solver's table names another one")
        })
    }

    /// The same, for whom it matters how an answer is withheld.
    pub(crate) async fn answer(&self, name: &str, kind: u16) -> Result<Message, Unanswered> {
        let (mut withheld, mut why) = (None, String::new());
        for server in self.servers() {
            match ask(server, name, kind, true).await {
                Ok(message) if matches!(message.code, 0 | 3) => return Ok(message),
                Ok(message) => {
                    (withheld, why) =
                        (Some(message.code), format!("{server} answers {}", code(message.code)));
                }
                Err(said) if withheld.is_none() => why = said,
                Err(_) => {}
            }
        }
        let word = notafter_pki::dns::word_of(kind);
        let said = format!("{} has no answer for {word} of {name}: {why}", self.called());
        Err(Unanswered { code: withheld, said })
    }

    /// The name, and the aliases from there to where they end; with the zone that they end in, where it was seen on the way.
    ///
    /// The zone's own servers are asked, at this port: what they say is not old, and a resolver that is asked for a record
    /// before it is made remembers that there is none, for as long as the zone says. `None`: they cannot be reached.
    pub(super) async fn follow(
        &self,
        from: &str,
        port: Option<u16>,
    ) -> Result<(Vec<String>, Option<Zone>), Fault> {
        let mut way = vec![from.to_owned()];
        loop {
            let Some(at) = way.last() else { return Ok((way, None)) };
            let (next, zone) = match port {
                Some(port) => self.alias(at, port).await?,
                None => (cname(&self.ask(at, kind::CNAME).await?, at), None),
            };
            let Some(next) = next else { return Ok((way, zone)) };
            if way.contains(&next) {
                let said = format!("the alias (CNAME) of {at} leads back to {next}, in a circle");
                return Err(crooked(said));
            }
            if way.len() > ALIASES_MAX {
                return Err(crooked(format!(
                    "{from} is an alias (CNAME) of an alias, more than {ALIASES_MAX} times"
                )));
            }
            if !is_plain(&next) {
                return Err(crooked(format!(
                    "the alias (CNAME) of {at} leads to {next}, which is no name of a host"
                )));
            }
            way.push(next);
        }
    }

    /// The alias at a name, asked of the servers of the zone above it, and the zone that the name is in.
    async fn alias(&self, at: &str, port: u16) -> Result<(Option<String>, Option<Zone>), Fault> {
        let above = name::parent(at).filter(|above| *above != ".").unwrap_or(at);
        let mut zone = self.zone(above).await?;
        // Once more where the name is handed down to a zone of its own.
        for _ in 0..2 {
            let (servers, _) = self.name_servers(&zone.name, port).await?;
            let mut asked = JoinSet::new();
            for server in servers.into_iter().take(ASKED_MAX) {
                let at = at.to_owned();
                asked.spawn(async move { ask(server.address, &at, kind::CNAME, false).await });
            }
            let mut handed = None;
            while let Some(answer) = asked.join_next().await {
                let Ok(Ok(answer)) = answer else { continue };
                if answer.authoritative && matches!(answer.code, 0 | 3) {
                    // A server that has a zone below, too, answers from that one, and says so (RFC 2308 section 2).
                    let own = soa(&answer, at).filter(|own| own.name.len() > zone.name.len());
                    return Ok((cname(&answer, at), Some(own.unwrap_or(zone))));
                }
                handed = handed.or_else(|| below(&answer, at, &zone.name));
            }
            match handed {
                Some(below) => zone = self.zone(&below).await?,
                None => break,
            }
        }
        Ok((cname(&self.ask(at, kind::CNAME).await?, at), None))
    }

    /// The zone that a name is in: the nearest one above with an SOA.
    pub(super) async fn zone(&self, of: &str) -> Result<Zone, Fault> {
        let mut at = of;
        loop {
            let answer = self.ask(at, kind::SOA).await?;
            // Here, or (RFC 2308 section 2) where the server says that nothing is here.
            if let Some(zone) = soa(&answer, at) {
                return Ok(zone);
            }
            match name::parent(at) {
                Some(above) if above != "." => at = above,
                _ => {
                    let said = format!("no zone was found above {of}");
                    return Err(Fault::new(FaultKind::Unreachable, said).hint(
                        "is the domain registered, and delegated to its servers? `zone` in the solver's table names it where this machine cannot see it",
                    ));
                }
            }
        }
    }

    /// All addresses of all servers of a zone; and what could not be found out.
    pub(super) async fn name_servers(
        &self,
        zone: &str,
        port: u16,
    ) -> Result<(Vec<Server>, Vec<String>), Fault> {
        let answer = self.ask(zone, kind::NS).await?;
        let mut names: Vec<String> = answer
            .answers
            .into_iter()
            .filter_map(|record| match record.data {
                Data::Ns(name) if record.owner == zone => Some(name),
                _ => None,
            })
            .collect();
        names.sort();
        names.dedup();
        let (mut servers, mut missing) = (Vec::new(), Vec::new());
        for name in names.into_iter().take(SERVERS_MAX) {
            match self.addresses(&name).await {
                Ok(found) if found.is_empty() => missing.push(format!("{name} has no address")),
                Ok(found) => servers.extend(
                    found
                        .into_iter()
                        .map(|ip| Server { name: Some(name.clone()), address: (ip, port).into() }),
                ),
                Err(fault) => missing.push(fault.context),
            }
        }
        servers.truncate(2 * SERVERS_MAX);
        Ok((servers, missing))
    }

    /// All addresses of a name, of both families.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Fault> {
        let mut all: Vec<IpAddr> = Vec::new();
        for kind in [kind::A, kind::AAAA] {
            let answer = self.ask(host, kind).await?;
            all.extend(answer.answers.iter().filter_map(|record| match record.data {
                Data::A(ip) => Some(IpAddr::V4(ip)),
                Data::Aaaa(ip) => Some(IpAddr::V6(ip)),
                _ => None,
            }));
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }
}

/// The alias at this name.
fn cname(answer: &Message, at: &str) -> Option<String> {
    answer.answers.iter().find_map(|record| match &record.data {
        Data::Cname(target) if record.owner == at => Some(target.clone()),
        _ => None,
    })
}

/// The zone that an answer comes from, by its SOA: here, or above where nothing is here.
fn soa(answer: &Message, at: &str) -> Option<Zone> {
    let found = answer.answers.iter().chain(&answer.authority).filter_map(|record| match &record.data {
        Data::Soa(soa) if record.owner != "." && name::is_within(at, &record.owner) => {
            Some(Zone { name: record.owner.clone(), primary: soa.primary.clone() })
        }
        _ => None,
    });
    found.max_by_key(|zone| zone.name.len())
}

/// The zone below this one that a server refers us to for the name (RFC 1034 section 4.3.1).
fn below(answer: &Message, at: &str, zone: &str) -> Option<String> {
    let handed = answer.authority.iter().find(|record| {
        matches!(record.data, Data::Ns(_)) && record.owner != zone && name::is_within(at, &record.owner)
    })?;
    (answer.code == 0 && name::is_within(&handed.owner, zone)).then(|| handed.owner.clone())
}

/// An answer's code (RFC 6895 section 2.3), in its word.
pub(super) fn code(code: u8) -> String {
    match code {
        0 => "NOERROR".to_owned(),
        1 => "FORMERR".to_owned(),
        2 => "SERVFAIL".to_owned(),
        3 => "NXDOMAIN".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        6 => "YXDOMAIN".to_owned(),
        7 => "YXRRSET".to_owned(),
        8 => "NXRRSET".to_owned(),
        9 => "NOTAUTH".to_owned(),
        10 => "NOTZONE".to_owned(),
        other => format!("code {other}"),
    }
}

/// Letters, digits, hyphens and underscores: what a record of ours may be called. It is handed to programs and APIs, and
/// whoever holds a zone on the way could call a name anything.
pub(super) fn is_plain(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

fn crooked(said: String) -> Fault {
    Fault::new(FaultKind::System, said)
        .hint("nothing was written: let the alias lead to the record in one step")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_by_address() {
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1:53")),
            ("192.0.2.1:5353", Some("192.0.2.1:5353")),
            ("2001:db8::1", Some("[2001:db8::1]:53")),
            ("[2001:db8::1]:5353", Some("[2001:db8::1]:5353")),
            ("ns1.example.com", None),
            ("", None),
        ] {
            let read = server("resolver", text);
            assert_eq!(read.as_ref().ok().map(ToString::to_string).as_deref(), expected, "{text}");
            if let Err(said) = read {
                assert!(said.contains("hint: resolver = "), "{said}");
            }
        }
    }

    #[test]
    fn plain_names() {
        for (name, plain) in [
            ("_acme-challenge.example.com", true),
            ("8f1c-a.auth.example", true),
            ("\\036\\040touch\\041.example", false),
            ("a;b.example", false),
            ("-a.example", false),
            ("a b.example", false),
            ("*.example", false),
            ("a..b", false),
            ("", false),
            (".", false),
        ] {
            assert_eq!(is_plain(name), plain, "{name}");
        }
        assert!(!is_plain(&format!("{}.example", "a".repeat(64))));
    }
}

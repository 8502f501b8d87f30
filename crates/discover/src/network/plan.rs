//! Every question of a scan, by number: which address, which port, which name, in no memory of its own.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use notafter_core::location::Location;
use notafter_core::observation::Reason;
use notafter_wire::tls::grab::Starttls;

use super::Settings;
use super::feed::Walk;
use crate::exclude::Exclude;
use crate::local;
use crate::resolve::Resolver;
use crate::target::{AddressRange, Hosts, NetworkTarget, PortRange, Start};

/// Hosts times ports times names.
pub(super) struct Block {
    hosts: Vec<AddressRange>,
    ports: Vec<PortRange>,
    /// Names to send; `None` sends none.
    snis: Vec<Option<Arc<str>>>,
    pub(super) starttls: Starttls,
    /// A single server that was named, with how it was named: silence from it is worth a blind spot.
    pub(super) named: Option<Named>,
    hosts_len: u64,
    ports_len: u64,
}

/// A server that was asked for by itself.
pub(super) struct Named {
    pub(super) host: String,
    /// Was it given with its one port?
    pub(super) exact: bool,
    /// Is it a DNS name, so that other key types and the default certificate are looked for?
    pub(super) by_name: bool,
    /// The best that was heard of it: see [`Heard`].
    heard: AtomicU8,
}

/// How much was heard of a server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Heard {
    /// Nothing at all.
    Nothing = 0,
    /// It refused.
    Refused = 1,
    /// Something is open.
    Open = 2,
}

impl Named {
    pub(super) fn note(&self, heard: Heard) {
        self.heard.fetch_max(heard as u8, Ordering::Relaxed);
    }

    pub(super) fn heard(&self) -> Heard {
        match self.heard.load(Ordering::Relaxed) {
            0 => Heard::Nothing,
            1 => Heard::Refused,
            _ => Heard::Open,
        }
    }
}

/// All questions of a scan.
pub struct Plan {
    pub(super) blocks: Vec<Block>,
    /// The first number of each block.
    starts: Vec<u64>,
    len: u64,
}

/// One question.
pub(super) struct Question<'p> {
    pub(super) block: &'p Block,
    pub(super) address: SocketAddr,
    pub(super) sni: Option<&'p Arc<str>>,
}

/// How much a scan would ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Pairs of address and port; a name counts as one address.
    pub pairs: u64,
    /// Does a target reach beyond a /24 of the public Internet?
    pub wide_and_public: bool,
}

/// Counts without resolving anything.
pub(super) fn size(targets: &[NetworkTarget], this_host: bool, settings: &Settings) -> Size {
    let mut out = Size::default();
    for target in targets {
        let hosts = match &target.hosts {
            Hosts::Name(_) => 1,
            Hosts::Addresses(range) => {
                out.wide_and_public |= range.is_wide_and_public();
                range.len()
            }
        };
        let ports = target.ports.as_ref().unwrap_or(&settings.ports).iter().map(PortRange::len).sum::<u64>();
        out.pairs = out.pairs.saturating_add(hosts.saturating_mul(ports));
    }
    if this_host {
        out.pairs = out.pairs.saturating_add(local::listeners().len() as u64);
    }
    out
}

impl Plan {
    /// Resolves names and lays the questions out. Gives apart what will not be asked, and why.
    pub async fn resolve(
        targets: &[NetworkTarget],
        this_host: bool,
        settings: &Settings,
        resolver: &Resolver,
    ) -> (Self, Vec<(Location, Reason, String)>) {
        let mut blocks = Vec::new();
        let mut missed = Vec::new();
        let mut resolved = addresses(targets, settings, resolver).await.into_iter();
        for target in targets {
            let exact_port = target.ports.as_deref().and_then(|p| match p {
                [one] if one.first == one.last => Some(one.first),
                _ => None,
            });
            let ports = target.ports.clone().unwrap_or_else(|| settings.ports.clone());
            let starttls = match (target.start, settings.starttls) {
                (Some(Start::Tls), _) => Starttls::No,
                (Some(Start::Starttls(protocol)), _) | (None, Some(protocol)) => Starttls::Named(protocol),
                (None, None) => Starttls::Auto,
            };
            let own: Option<Arc<str>> = target.sni.as_deref().map(Arc::from);
            let named = |host: String, by_name| {
                Some(Named { host, exact: exact_port.is_some(), by_name, heard: AtomicU8::new(0) })
            };
            let scheme = match starttls {
                Starttls::Named(protocol) => protocol.name(),
                Starttls::No | Starttls::Auto => "tls",
            };
            let place = |host: &str| Location::named_endpoint(scheme, host, exact_port);
            let excluded = |ip| (Reason::Excluded, Exclude::why(ip).to_owned());
            match &target.hosts {
                Hosts::Name(name) if settings.exclude.name(name) => {
                    missed.push((place(name), Reason::Excluded, "it is excluded".to_owned()));
                }
                Hosts::Name(name) => match resolved
                    .next()
                    .unwrap_or_else(|| Err("it was not asked for".to_owned()))
                {
                    Ok(mut addresses) => {
                        addresses.truncate(if settings.all_addresses { usize::MAX } else { 1 });
                        // An excluded address of a name that was asked for is said, not passed over.
                        addresses.retain(|ip| {
                            let out = all_excluded(settings, *ip, &ports);
                            if out {
                                let (reason, detail) = excluded(*ip);
                                missed.push((place(&bracketed(*ip)), reason, detail));
                            }
                            !out
                        });
                        let hosts: Vec<_> =
                            addresses.into_iter().map(|ip| AddressRange { first: ip, last: ip }).collect();
                        let snis = vec![own.or_else(|| Some(Arc::from(name.as_str())))];
                        if !hosts.is_empty() {
                            blocks.push(Block::new(hosts, ports, snis, starttls, named(name.clone(), true)));
                        }
                    }
                    Err(detail) => missed.push((place(name), Reason::Dns, detail)),
                },
                Hosts::Addresses(range)
                    if range.len() == 1 && all_excluded(settings, range.first, &ports) =>
                {
                    let (reason, detail) = excluded(range.first);
                    missed.push((place(&bracketed(range.first)), reason, detail));
                }
                Hosts::Addresses(range) => {
                    let snis = match own {
                        Some(own) => vec![Some(own)],
                        None => std::iter::once(None)
                            .chain(settings.sni.iter().map(|s| Some(Arc::from(s.as_str()))))
                            .collect(),
                    };
                    let single = (range.len() == 1).then(|| named(bracketed(range.first), false)).flatten();
                    blocks.push(Block::new(vec![*range], ports, snis, starttls, single));
                }
            }
        }
        if this_host && !settings.exclude.this_host() {
            blocks.extend(own_listeners(settings));
        }
        (Self::of(blocks), missed)
    }

    fn of(blocks: Vec<Block>) -> Self {
        let mut len = 0u64;
        let mut starts = Vec::with_capacity(blocks.len());
        for block in &blocks {
            starts.push(len);
            len = len.saturating_add(block.len());
        }
        Self { blocks, starts, len }
    }

    /// How many questions there are.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The question with this number, which must be below [`Self::len`].
    /// Where the walk through this plan begins: at the cursor, if it is of this very plan.
    pub(super) fn start(&self, cursor: Option<&[u8]>, seed: u64) -> Walk {
        let fields = |bytes: &[u8]| -> Option<[u64; 3]> {
            let word = |n: usize| Some(u64::from_be_bytes(bytes.get(n * 8..n * 8 + 8)?.try_into().ok()?));
            Some([word(0)?, word(1)?, word(2)?])
        };
        match cursor.and_then(fields) {
            Some([key, seed, step]) if key == self.key() && step <= self.len => Walk { seed, step },
            _ => Walk { seed, step: 0 },
        }
    }

    /// How far the walk has come, as bytes.
    pub(super) fn cursor(&self, start: Walk) -> Vec<u8> {
        [self.key(), start.seed, start.step].iter().flat_map(|n| n.to_be_bytes()).collect()
    }

    /// What tells this plan from another: its questions in their order.
    fn key(&self) -> u64 {
        let mut text = self.len.to_string();
        for block in &self.blocks {
            text.push_str(&format!("{:?} {:?} {:?}\n", block.hosts, block.ports, block.snis));
        }
        let hash = notafter_pki::fingerprint::sha256(text.as_bytes());
        u64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]])
    }

    pub(super) fn question(&self, number: u64) -> Question<'_> {
        let at = self.starts.partition_point(|start| *start <= number) - 1;
        let block = &self.blocks[at];
        let mut rest = number - self.starts[at];
        let host = rest % block.hosts_len;
        rest /= block.hosts_len;
        let port = rest % block.ports_len;
        let sni = (rest / block.ports_len) as usize;
        Question {
            block,
            address: SocketAddr::new(block.host(host), block.port(port)),
            sni: block.snis[sni].as_ref(),
        }
    }
}

/// How many names are asked for at once.
const NAMES_AT_ONCE: usize = 64;

/// The addresses of every name among the targets that is not excluded, in their order.
async fn addresses(
    targets: &[NetworkTarget],
    settings: &Settings,
    resolver: &Resolver,
) -> Vec<Result<Vec<IpAddr>, String>> {
    let names = targets.iter().filter_map(|t| match &t.hosts {
        Hosts::Name(name) if !settings.exclude.name(name) => Some(name.as_str()),
        _ => None,
    });
    let names: Vec<&str> = names.collect();
    let mut out = Vec::with_capacity(names.len());
    for some in names.chunks(NAMES_AT_ONCE) {
        let mut waiting: Vec<_> =
            some.iter().map(|name| Box::pin(resolver.addresses(name, settings.timeout))).collect();
        let mut answers: Vec<Option<_>> = some.iter().map(|_| None).collect();
        std::future::poll_fn(|wake| {
            for (lookup, answer) in waiting.iter_mut().zip(&mut answers) {
                if answer.is_none()
                    && let std::task::Poll::Ready(found) = lookup.as_mut().poll(wake)
                {
                    *answer = Some(found);
                }
            }
            if answers.iter().all(Option::is_some) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
        out.extend(answers.into_iter().flatten());
    }
    out
}

impl Block {
    fn new(
        hosts: Vec<AddressRange>,
        ports: Vec<PortRange>,
        snis: Vec<Option<Arc<str>>>,
        starttls: Starttls,
        named: Option<Named>,
    ) -> Self {
        let hosts_len = hosts.iter().map(AddressRange::len).fold(0, u64::saturating_add);
        let ports_len = ports.iter().map(PortRange::len).sum();
        Self { hosts, ports, snis, starttls, named, hosts_len, ports_len }
    }

    fn len(&self) -> u64 {
        self.hosts_len.saturating_mul(self.ports_len).saturating_mul(self.snis.len() as u64)
    }

    fn host(&self, mut n: u64) -> IpAddr {
        for range in &self.hosts {
            if n < range.len() {
                return range.nth(n);
            }
            n -= range.len();
        }
        unreachable!("a host number is below the number of hosts")
    }

    fn port(&self, mut n: u64) -> u16 {
        for range in &self.ports {
            if n < range.len() {
                return range.first + n as u16;
            }
            n -= range.len();
        }
        unreachable!("a port number is below the number of ports")
    }
}

impl PortRange {
    fn len(&self) -> u64 {
        u64::from(self.last - self.first) + 1
    }
}

/// One block for each listening socket of this host. A plaintext service among them is no failure, so
/// none of these is named.
fn own_listeners(settings: &Settings) -> Vec<Block> {
    let mut addresses: Vec<_> = local::listeners().iter().map(local::Listener::reachable).collect();
    if settings.ports_given {
        addresses.retain(|a| settings.ports.iter().any(|p| (p.first..=p.last).contains(&a.port())));
    }
    addresses.sort_unstable();
    addresses.dedup();
    let block = |address: SocketAddr| {
        let host = AddressRange { first: address.ip(), last: address.ip() };
        let port = PortRange { first: address.port(), last: address.port() };
        let names = settings.sni.iter().map(|s| Some(Arc::from(s.as_str())));
        let snis = std::iter::once(None).chain(names).collect();
        Block::new(vec![host], vec![port], snis, Starttls::Auto, None)
    };
    addresses.into_iter().map(block).collect()
}

/// Is this address excluded on every one of these ports?
fn all_excluded(settings: &Settings, ip: IpAddr, ports: &[PortRange]) -> bool {
    ports.iter().all(|p| (p.first..=p.last).all(|port| settings.exclude.address(ip, port)))
}

fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    async fn plan(texts: &[&str], settings: &Settings) -> Plan {
        let targets: Vec<_> = texts
            .iter()
            .map(|text| match Target::parse(text, |_| false) {
                Ok(Target::Network(target)) => target,
                other => panic!("{other:?}"),
            })
            .collect();
        Plan::resolve(&targets, false, settings, &Resolver::System).await.0
    }

    #[tokio::test]
    async fn every_pair_has_one_number() {
        let settings = Settings { sni: vec!["a.test".into()], ..Settings::default() };
        let plan =
            plan(&["10.0.0.0/30:443,8000-8001", "[::1]:25", "tls://10.9.9.9:1?sni=b.test"], &settings).await;
        let mut all: Vec<_> = (0..plan.len())
            .map(|n| {
                let q = plan.question(n);
                format!("{} {:?}", q.address, q.sni)
            })
            .collect();
        assert_eq!(all.len(), 4 * 3 * 2 + 2 + 1);
        assert!(all.contains(&"10.0.0.3:8001 Some(\"a.test\")".to_owned()));
        assert!(all.contains(&"[::1]:25 None".to_owned()));
        assert!(all.contains(&"10.9.9.9:1 Some(\"b.test\")".to_owned()));
        all.sort();
        all.dedup();
        assert_eq!(all.len() as u64, plan.len());
    }
}

//! `dnssec:example.com`: when the signatures of a zone end, at each of its servers, and whether its parent's DS fits.
//!
//! Servers are asked for what every zone has (SOA, DNSKEY, NS, addresses, mail, CAA) and for a name that it does not
//! have, so that the signature of the denial is seen, too. A zone that hands itself out whole is better looked at with
//! `zone:`. Nothing is validated: a signature that is wrong and not late is a validator's to find.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use notafter_core::fault::Fault;
use notafter_core::joints::{BoxFuture, Cx, Sink, Source};
use notafter_core::location::Location;
use notafter_core::observation::{Observation, Reason, Seen};
use notafter_core::scan::{Progress, Scan};
use notafter_pki::dns::zone::{Signatures, anchors, caa};
use notafter_pki::dns::{Data, KeyIdentity, Record, kind, word_of};

use crate::dns::given::{From, Named, zones};
use crate::dns::{self, Asker};
use crate::exclude::Exclude;
use crate::sources::{Given, Order, SourceKind};
use crate::target::NoTarget;
use crate::zone::{in_thread, stated};

/// In the list of sources.
pub(crate) const KIND: SourceKind = SourceKind {
    name: "dnssec",
    words: &["dnssec"],
    doc: "zones of the DNS at their servers: when signatures end, and whether the parent's DS record fits",
    every: 3600,
    outside: Some("the zone's own servers and the resolver are asked for its records"),
    keys: &["domains"],
    build: |order| Ok(Box::new(Dnssec::new(&order)?)),
};

/// What is asked for at the top of a zone.
const ASKED: &[u16] =
    &[kind::SOA, kind::DNSKEY, kind::NS, kind::A, kind::AAAA, kind::MX, 16, kind::CAA, kind::HTTPS];
/// A name that is in no zone; its denial is signed.
const NOBODY: &str = "notafter-asks-for-what-is-not-there";
/// So many servers of one zone are asked.
const SERVERS_MAX: usize = 32;

/// Zones to ask for.
struct Dnssec {
    zones: Vec<Named>,
    given: Given,
}

impl Dnssec {
    fn new(order: &Order<'_>) -> Result<Self, NoTarget> {
        let zones = zones(order, "dnssec", "domains")?;
        if let Some(one) = zones.iter().find(|one| matches!(one.from, From::File(_))) {
            return Err(NoTarget {
                message: format!("`dnssec:{}` asks servers and reads no file", one.zone),
                hint: format!("write zone:{}@FILE for a file", one.zone),
            });
        }
        Ok(Self { zones, given: order.given.clone() })
    }
}

impl Source for Dnssec {
    fn discover<'a>(&'a self, cx: &'a Cx, out: Arc<dyn Sink>) -> BoxFuture<'a, Result<Scan, Fault>> {
        Box::pin(async move {
            let (own, zones, given) = (cx.clone(), self.zones.clone(), self.given.clone());
            in_thread("dnssec", move |stop| {
                let resolver = given.network.resolver.or_else(dns::system_resolver);
                let asker = Asker { patience: given.network.timeout, stop, clock: &*own.clock };
                for one in zones {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let exclude = &given.network.exclude;
                    Asked { cx: &own, out: &*out, asker: &asker, resolver, exclude, zone: &one.zone }
                        .look(&one.from);
                }
            })
            .await?;
            Ok(cx.progress.scan())
        })
    }
}

/// One zone that is asked for.
struct Asked<'a> {
    cx: &'a Cx,
    out: &'a dyn Sink,
    asker: &'a Asker<'a>,
    resolver: Option<SocketAddr>,
    exclude: &'a Exclude,
    zone: &'a str,
}

impl Asked<'_> {
    fn look(&self, from: &From) {
        let servers = match self.servers(from) {
            Ok(servers) => servers,
            Err(why) => {
                let location = Location::named_endpoint("dns", self.zone, None);
                return self.failed(location, Reason::Dns, why);
            }
        };
        let mut any = false;
        for server in &servers {
            let location = Location::zone(*server, self.zone);
            if self.exclude.address(server.ip(), server.port()) {
                self.failed(location, Reason::Excluded, "it is excluded".to_owned());
                continue;
            }
            match self.at(*server, &location) {
                Ok(()) => any = true,
                Err(why) => self.failed(location, Reason::Timeout, why),
            }
        }
        if any {
            self.delegation(&servers);
        }
    }

    fn failed(&self, location: Location, reason: Reason, detail: String) {
        // Called off: that nobody answered any more says nothing.
        if self.asker.stop.load(Ordering::Relaxed) {
            return;
        }
        Progress::add(&self.cx.progress.attempted, 1);
        Progress::add(&self.cx.progress.unreachable, 1);
        let at = self.cx.clock.now();
        self.out.put(Observation { at, location, seen: Seen::Failed { reason, detail } });
    }

    /// The servers of the zone.
    fn servers(&self, from: &From) -> Result<Vec<SocketAddr>, String> {
        if let From::Server(text) = from {
            if let Some(server) = dns::server(text) {
                return Ok(vec![server]);
            }
            return self.addresses(text).map(|found| found.into_iter().take(SERVERS_MAX).collect());
        }
        let resolver = self.resolver.ok_or("there is no resolver to ask for the servers of the zone")?;
        let answer = self.asker.ask(resolver, self.zone, kind::NS, true)?;
        let hosts: Vec<String> = answer
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                Data::Ns(host) if record.owner == self.zone => Some(host.clone()),
                _ => None,
            })
            .collect();
        if hosts.is_empty() {
            let why =
                if answer.code == 3 { "the zone does not exist" } else { "nobody is named as its server" };
            return Err(why.to_owned());
        }
        let mut found: Vec<SocketAddr> =
            hosts.iter().filter_map(|host| self.addresses(host).ok()).flatten().collect();
        // A resolver that has the zone itself is one of its servers, on whatever port.
        if answer.authoritative {
            found.insert(0, resolver);
        }
        found.truncate(SERVERS_MAX);
        if found.is_empty() { Err("none of its servers has an address".to_owned()) } else { Ok(found) }
    }

    fn addresses(&self, host: &str) -> Result<Vec<SocketAddr>, String> {
        let resolver = self.resolver.ok_or("there is no resolver to ask for the addresses of servers")?;
        let mut out = Vec::new();
        for asked in [kind::A, kind::AAAA] {
            for record in self.asker.ask(resolver, host, asked, true)?.answers {
                match record.data {
                    Data::A(ip) => out.push(SocketAddr::new(ip.into(), 53)),
                    Data::Aaaa(ip) => out.push(SocketAddr::new(ip.into(), 53)),
                    _ => {}
                }
            }
        }
        if out.is_empty() { Err(format!("{host} has no address")) } else { Ok(out) }
    }

    /// What one server says.
    fn at(&self, server: SocketAddr, location: &Location) -> Result<(), String> {
        let mut signatures = Signatures::of(Some(self.zone));
        let mut records: Vec<Record> = Vec::new();
        let nobody = format!("{NOBODY}.{}", self.zone);
        let denial = if self.zone == "." { NOBODY } else { &nobody };
        let asked = ASKED.iter().map(|kind| (self.zone, *kind)).chain([(denial, kind::A)]);
        for (name, kind) in asked {
            let answer = self.asker.ask(server, name, kind, false)?;
            if !answer.authoritative {
                return Err(format!("{server} is named as a server of {} and does not have it", self.zone));
            }
            records.extend(answer.answers);
            // The denial; the servers' own records come again.
            records.extend(answer.authority);
        }
        Progress::add(&self.cx.progress.attempted, 1);
        Progress::add(&self.cx.progress.reached, 1);
        // The signatures of one set must come together.
        let covered = |record: &Record| match &record.data {
            Data::Rrsig(signature) => signature.covered,
            _ => record.kind,
        };
        records.sort_by(|a, b| {
            let key = |r: &Record| (r.owner.clone(), covered(r), word_of(r.kind));
            key(a).cmp(&key(b))
        });
        records.dedup();
        records.iter().for_each(|record| signatures.see(record));
        let keys: BTreeSet<KeyIdentity> = signatures.entries().cloned().collect();
        match signatures.statement() {
            Some(statement) => self.out.put(stated(self.cx, location.clone(), &statement)),
            // Not signed: that matters only where the parent says that it is.
            None => self.out.put(stated(
                self.cx,
                location.clone(),
                &anchors(self.zone, &keys, "dnssec-keys", false),
            )),
        }
        if let Some(statement) = caa(self.zone, &records) {
            self.out.put(stated(self.cx, location.clone(), &statement));
        }
        Ok(())
    }

    /// What the parent says of the keys.
    fn delegation(&self, servers: &[SocketAddr]) {
        if self.zone == "." {
            return;
        }
        // The parent may be on the zone's own servers; else the resolver finds it.
        let asked = self.resolver.iter().chain(servers).take(4);
        for server in asked {
            let Ok(answer) = self.asker.ask(*server, self.zone, kind::DS, true) else { continue };
            let keys: BTreeSet<KeyIdentity> = answer
                .answers
                .iter()
                .filter_map(|record| match &record.data {
                    Data::Ds(ds) if record.owner == self.zone => Some(ds.identity()),
                    _ => None,
                })
                .collect();
            if !keys.is_empty() {
                let statement = anchors(self.zone, &keys, "dnssec-ds", false);
                return self.out.put(stated(self.cx, Location::zone(*server, self.zone), &statement));
            }
        }
    }
}

//! A zone of the DNS as the list of what there is to look at: `zone:example.com@SERVER` by AXFR (RFC 5936),
//! `zone:example.com@FILE` from a zone file or from BIND's raw copy of one. Where the server wants it, the transfer is
//! signed with a shared key (TSIG, RFC 8945).
//!
//! First what the zone itself says: when its signatures end, who may issue for its names. Then its hosts: every address
//! on the chosen ports and on those that SRV, HTTPS and TLSA records name, and whatever is open there under every
//! name that leads to it. The looking is `network.rs`'s. A record for all names (`*`) has its address looked at, and is
//! a blind spot: which names are in use there no zone says. A name without an address is passed over in silence, and so
//! is an address that does not answer: a zone is a hint, and no promise. Names of others, behind CNAME and MX, are
//! only looked at where the name that leads there is of the zone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notafter_core::document::names;
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::inventory::AssetKind;
use notafter_core::joints::{BoxFuture, Cx, Sink, Source};
use notafter_core::location::Location;
use notafter_core::observation::{Facts, Observation, Reason, Seen};
use notafter_core::rules::name_mismatch::covers;
use notafter_core::scan::{Progress, Scan};
use notafter_pki::certificate::Certificate;
use notafter_pki::dns::zone::{Signatures, caa, is_host};
use notafter_pki::dns::{Data, Record, name, raw, text};
use notafter_pki::statement::Statement;
use notafter_wire::starttls::Protocol;

use crate::dns::given::{self, From, Named, zones};
use crate::dns::{self, Asker};
use crate::exclude::Exclude;
use crate::network::{Network, Settings};
use crate::resolve::Resolver;
use crate::sources::{Given, Order, SourceKind};
use crate::target::{AddressRange, Hosts, NetworkTarget, NoTarget, PortRange, Start};

/// In the list of sources.
pub(crate) const KIND: SourceKind = SourceKind {
    name: "zone",
    words: &["zone"],
    doc: "zones of the DNS by transfer or file: their signatures and CAA records, and all hosts in them",
    every: 6 * 3600,
    outside: Some("the servers of a zone that is transferred; the system's resolver, for its hosts"),
    keys: &["zones", "tsig"],
    build: |order| Ok(Box::new(Zones::new(&order)?)),
};

/// So many names of a zone are looked at.
const NAMES_MAX: usize = 200_000;
/// A zone file may have so many octets.
const FILE_MAX: u64 = 256 << 20;

/// Zones to look at.
struct Zones {
    zones: Vec<Named>,
    /// The key with which transfers are asked for.
    key: Option<given::TransferKey>,
    given: Given,
}

impl Zones {
    fn new(order: &Order<'_>) -> Result<Self, NoTarget> {
        let key = given::transfer_key(order)?;
        Ok(Self { zones: zones(order, "zone", "zones")?, key, given: order.given.clone() })
    }
}

impl Source for Zones {
    fn discover<'a>(&'a self, cx: &'a Cx, out: Arc<dyn Sink>) -> BoxFuture<'a, Result<Scan, Fault>> {
        Box::pin(async move {
            let mut found = Found::default();
            for one in &self.zones {
                let (host, servers) = match &one.from {
                    From::File(_) => (&one.zone, Ok(Vec::new())),
                    From::Server(server) => (server, self.servers(server).await),
                    From::Its => (&one.zone, self.own_servers(cx, &one.zone).await),
                };
                let servers = match servers {
                    Ok(servers) => servers,
                    Err(why) => {
                        let location = Location::named_endpoint("dns", host, None);
                        out.put(failed(cx, location, Reason::Dns, why));
                        continue;
                    }
                };
                let read = self.read(cx, one, servers, Arc::clone(&out)).await?;
                found.add(read);
            }
            // A server that keeps the zone alive keeps nothing alive if nobody pays for the name.
            let apexes = self.zones.iter().map(|one| one.zone.clone()).collect();
            self.given.registries.look(&apexes, &self.given, cx, Arc::clone(&out)).await?;
            self.look(cx, found, out).await?;
            Ok(cx.progress.scan())
        })
    }
}

fn failed(cx: &Cx, location: Location, reason: Reason, detail: String) -> Observation {
    Progress::add(&cx.progress.attempted, 1);
    Progress::add(&cx.progress.unreachable, 1);
    Observation { at: cx.clock.now(), location, seen: Seen::Failed { reason, detail } }
}

/// A statement at a place.
pub(crate) fn stated(cx: &Cx, location: Location, statement: &Statement) -> Observation {
    let kind = AssetKind::of_statement(statement.kind());
    let der = statement.to_bytes().into();
    Observation { at: cx.clock.now(), location, seen: Seen::Dated { kind, der, facts: Facts::default() } }
}

impl Zones {
    /// The addresses of a server that was named.
    async fn servers(&self, text: &str) -> Result<Vec<SocketAddr>, String> {
        if let Some(server) = dns::server(text) {
            return Ok(vec![server]);
        }
        let (host, port) = match text.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
            Some((host, Ok(port))) => (host, port),
            _ => (text, 53),
        };
        let resolver = Resolver::new(self.given.network.resolver)?;
        let found = resolver.addresses(host, self.given.network.timeout).await?;
        Ok(found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }

    /// The servers that have the zone.
    async fn own_servers(&self, cx: &Cx, zone: &str) -> Result<Vec<SocketAddr>, String> {
        let asked = self.given.network.resolver.or_else(dns::system_resolver);
        let asked = asked.ok_or("there is no resolver to ask for the servers of the zone")?;
        let (zone, patience, clock) = (zone.to_owned(), self.given.network.timeout, Arc::clone(&cx.clock));
        let hosts = in_thread("zone", move |stop| {
            let asker = Asker { patience, stop, clock: &*clock };
            let answer = asker.ask(asked, &zone, notafter_pki::dns::kind::NS, true)?;
            let hosts = answer.answers.into_iter().filter_map(|record| match record.data {
                Data::Ns(host) if record.owner == zone => Some(host),
                _ => None,
            });
            Ok::<Vec<String>, String>(hosts.collect())
        })
        .await
        .map_err(|fault| fault.to_string())??;
        if hosts.is_empty() {
            return Err("the resolver names no server of this zone".to_owned());
        }
        let resolver = Resolver::new(self.given.network.resolver)?;
        let mut out = Vec::new();
        for host in hosts.iter().take(16) {
            let found = resolver.addresses(host, self.given.network.timeout).await.unwrap_or_default();
            out.extend(found.into_iter().map(|ip| SocketAddr::new(ip, 53)));
        }
        if out.is_empty() { Err("no server of this zone has an address".to_owned()) } else { Ok(out) }
    }

    /// Reads one zone, from the first server that hands it out.
    async fn read(
        &self,
        cx: &Cx,
        one: &Named,
        servers: Vec<SocketAddr>,
        out: Arc<dyn Sink>,
    ) -> Result<Found, Fault> {
        let (one, cx, patience) = (one.clone(), cx.clone(), self.given.network.timeout);
        let exclude = self.given.network.exclude.clone();
        let key = self.key.clone();
        in_thread("zone", move |stop| {
            if let From::File(path) = &one.from {
                return from_file(&cx, &one.zone, path, &exclude, &*out);
            }
            // Read anew for each run: a key that was changed needs no restart.
            let key = match key.as_ref().map(given::TransferKey::read).transpose() {
                Ok(key) => key,
                Err(why) => {
                    let detail = format!("{why}: the zone {} was not asked for", one.zone);
                    for server in servers {
                        let location = Location::zone(server, &one.zone);
                        out.put(failed(&cx, location, Reason::PermissionDenied, detail.clone()));
                    }
                    return Found::default();
                }
            };
            let asker = Asker { patience, stop, clock: &*cx.clock };
            let mut best = Found::default();
            for server in servers {
                let location = Location::zone(server, &one.zone);
                if exclude.address(server.ip(), server.port()) {
                    let detail = "it is excluded".to_owned();
                    out.put(failed(&cx, location, Reason::Excluded, detail));
                    continue;
                }
                let mut reading = Reading::new(&one.zone);
                let now = cx.clock.now();
                let outcome =
                    asker.transfer(server, &one.zone, key.as_ref(), now, |record| reading.see(record));
                match outcome {
                    Ok(()) => {
                        Progress::add(&cx.progress.attempted, 1);
                        Progress::add(&cx.progress.reached, 1);
                        reading.put(&cx, &location, &exclude, &*out);
                        return reading.found;
                    }
                    // Called off: that is no answer.
                    Err(_) if stop.load(Ordering::Relaxed) => return reading.found,
                    Err(no) => {
                        let reason = if no.refused { Reason::Refused } else { Reason::Timeout };
                        let detail = format!("{}: the hosts of the zone are not known from here", no.why);
                        out.put(failed(&cx, location, reason, detail));
                        // What came before it broke off is better than nothing.
                        if reading.found.hosts.len() > best.hosts.len() {
                            best = reading.found;
                        }
                    }
                }
            }
            best
        })
        .await
    }

    /// Looks at the hosts: first what is open, then everything open under every name that leads there.
    async fn look(&self, cx: &Cx, found: Found, out: Arc<dyn Sink>) -> Result<(), Fault> {
        let found = found.followed();
        let mut leading: BTreeMap<IpAddr, BTreeSet<&str>> = BTreeMap::new();
        for (host, addresses) in &found.hosts {
            // Excluded addresses are the network's to pass over, and to say so.
            for ip in addresses.iter().filter(|_| !self.given.network.exclude.name(host)) {
                leading.entry(*ip).or_default().insert(host);
            }
        }
        if leading.is_empty() && found.elsewhere.is_empty() {
            return Ok(());
        }
        let whole = |ip: IpAddr| Hosts::Addresses(AddressRange { first: ip, last: ip });
        let single = |port: u16| Some(vec![PortRange { first: port, last: port }]);
        let mut first = Vec::new();
        for (ip, hosts) in &leading {
            let mut ports = self.given.network.ports.clone();
            // Where a range is looked at on other ports, the names in it are there, too.
            for beside in self.given.beside.iter() {
                if matches!(&beside.hosts, Hosts::Addresses(range) if range.contains(*ip)) {
                    ports.extend(beside.ports.iter().flatten().copied());
                }
            }
            let named = found.services.iter().filter(|(host, _)| hosts.contains(host.as_str()));
            for port in named.map(|(_, port)| *port) {
                if !ports.iter().any(|range| (range.first..=range.last).contains(&port)) {
                    ports.push(PortRange { first: port, last: port });
                }
            }
            first.push(NetworkTarget { hosts: whole(*ip), ports: Some(ports), start: None, sni: None });
            let mail = hosts.iter().any(|host| found.mail.contains(*host));
            let known = |port: u16| {
                self.given.network.ports.iter().any(|range| (range.first..=range.last).contains(&port))
            };
            if mail && !known(25) {
                let start = Some(Start::Starttls(Protocol::Smtp));
                first.push(NetworkTarget { hosts: whole(*ip), ports: single(25), start, sni: None });
            }
        }
        // Behind an alias stands another's host, which serves what it serves under our name.
        for host in &found.elsewhere {
            first.push(NetworkTarget {
                hosts: Hosts::Name(host.clone()),
                ports: None,
                start: None,
                sni: None,
            });
        }
        // Whoever follows an alias, comes for the web.
        let aliases = found.elsewhere.iter().map(|host| (host.clone(), 443));
        let services = found.services.iter().cloned().chain(aliases).collect();
        let noting = Arc::new(Noting {
            out: Arc::clone(&out),
            open: Mutex::default(),
            services,
            counts: Mutex::default(),
        });
        self.ask(cx, first, Arc::clone(&noting) as Arc<dyn Sink>).await?;
        let open = std::mem::take(&mut *noting.open.lock().unwrap_or_else(PoisonError::into_inner));
        let mut second = Vec::new();
        for (scheme, address) in open {
            let start = match scheme.parse::<Protocol>() {
                Ok(protocol) => Start::Starttls(protocol),
                Err(_) => Start::Tls,
            };
            for host in leading.get(&address.ip()).into_iter().flatten().filter(|host| !is_star(host)) {
                if second.len() < NAMES_MAX {
                    second.push(NetworkTarget {
                        hosts: whole(address.ip()),
                        ports: single(address.port()),
                        start: Some(start),
                        sni: Some((*host).to_owned()),
                    });
                }
            }
        }
        self.ask(cx, second, noting).await
    }

    async fn ask(&self, cx: &Cx, targets: Vec<NetworkTarget>, out: Arc<dyn Sink>) -> Result<(), Fault> {
        if targets.is_empty() {
            return Ok(());
        }
        // The cursor of a run is of one plan; here there are two, made of what was found.
        let cx = Cx { resume: Arc::new(notafter_core::joints::Fresh), ..cx.clone() };
        let settings = Settings { sni: Vec::new(), ..self.given.network.clone() };
        Network { targets, this_host: false, settings }.discover(&cx, out).await.map(|_| ())
    }
}

/// Passes on what is seen, remembers what is open, and drops silence.
///
/// That a name leads to a host says nothing of which of its ports are for that name: an answer under the name counts
/// only where it is for it, or where a record says that the service is there.
struct Noting {
    out: Arc<dyn Sink>,
    open: Mutex<BTreeSet<(String, SocketAddr)>>,
    /// Names with the ports that records name.
    services: BTreeSet<(String, u16)>,
    /// Did the answer at this place count?
    counts: Mutex<HashMap<Location, bool>>,
}

impl Noting {
    fn lock_counts(&self) -> MutexGuard<'_, HashMap<Location, bool>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn belongs(&self, chain: &[Arc<[u8]>], name: &str, port: u16) -> bool {
        let leaf = chain.first().and_then(|der| Certificate::parse(der).ok());
        let fits = |names: Vec<String>| names.iter().any(|presented| covers(presented, name));
        self.services.contains(&(name.to_owned(), port))
            || leaf.is_some_and(|leaf| fits(names(&leaf).dns_and_ip))
    }
}

impl Sink for Noting {
    fn put(&self, mut observation: Observation) {
        match &mut observation.seen {
            Seen::Failed { reason: Reason::Refused | Reason::Timeout | Reason::Dns, .. } => return,
            Seen::Chain { chain, facts, .. } => {
                facts.hinted = true;
                if let Some(address) = observation.location.address() {
                    let name = observation.location.sni();
                    let counts = name.is_none_or(|name| self.belongs(chain, name, address.port()));
                    self.lock_counts().insert(observation.location.clone(), counts);
                    if !counts {
                        return;
                    }
                    let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
                    open.insert((observation.location.scheme().to_owned(), address));
                }
            }
            // What was stapled there goes with the answer that it was stapled to.
            Seen::Dated { .. } if self.lock_counts().get(&observation.location) == Some(&false) => return,
            _ => {}
        }
        self.out.put(observation);
    }
}

/// What there is to look at in some zones.
#[derive(Default)]
struct Found {
    /// Hosts of the zones with their addresses.
    hosts: BTreeMap<String, BTreeSet<IpAddr>>,
    /// Other names for hosts.
    aliases: BTreeMap<String, String>,
    /// Hosts that take mail.
    mail: BTreeSet<String>,
    /// Ports that records name.
    services: BTreeSet<(String, u16)>,
    /// Names of the zones that lead to hosts of others.
    elsewhere: BTreeSet<String>,
    /// Records for all names.
    stars: BTreeSet<String>,
}

impl Found {
    fn add(&mut self, other: Self) {
        for (host, addresses) in other.hosts {
            self.hosts.entry(host).or_default().extend(addresses);
        }
        self.aliases.extend(other.aliases);
        self.mail.extend(other.mail);
        self.services.extend(other.services);
    }

    fn see(&mut self, record: &Record) {
        let full = self.hosts.len() + self.aliases.len() >= NAMES_MAX;
        let owner = || record.owner.clone();
        match &record.data {
            Data::A(ip) if is_host(&record.owner) && !full => {
                self.hosts.entry(owner()).or_default().insert((*ip).into());
            }
            Data::Aaaa(ip) if is_host(&record.owner) && !full => {
                self.hosts.entry(owner()).or_default().insert((*ip).into());
            }
            Data::Cname(target) if is_host(&record.owner) && !full => {
                self.aliases.insert(owner(), target.clone());
            }
            Data::A(_) | Data::Aaaa(_) | Data::Cname(_) if is_star(&record.owner) && !full => {
                if let Data::A(ip) = record.data {
                    self.hosts.entry(owner()).or_default().insert(ip.into());
                }
                if let Data::Aaaa(ip) = record.data {
                    self.hosts.entry(owner()).or_default().insert(ip.into());
                }
                self.stars.insert(owner());
            }
            Data::Mx(host) => drop(self.mail.insert(host.clone())),
            Data::Srv { port, target } if *port > 0 => {
                self.services.insert((target.clone(), *port));
            }
            Data::Svcb { priority: 1.., target, port: Some(port) } if *port > 0 => {
                let host = if target == "." { service(&record.owner).1 } else { target };
                self.services.insert((host.to_owned(), *port));
            }
            // TLSA (RFC 6698): `_443._tcp.www`.
            Data::Other if record.kind == notafter_pki::dns::kind::TLSA => {
                if let (Some(port), host) = service(&record.owner) {
                    self.services.insert((host.to_owned(), port));
                }
            }
            _ => {}
        }
    }

    /// Aliases as hosts: with the addresses they lead to, or led outside.
    fn followed(mut self) -> Self {
        for alias in self.aliases.keys() {
            let mut at = alias;
            // Nobody follows longer chains, and rings have no end.
            for _ in 0..8 {
                match self.aliases.get(at) {
                    Some(next) => at = next,
                    None => break,
                }
            }
            if let Some(addresses) = self.hosts.get(at).cloned() {
                let ports: Vec<u16> =
                    self.services.iter().filter(|(host, _)| host == at).map(|(_, port)| *port).collect();
                self.services.extend(ports.into_iter().map(|port| (alias.clone(), port)));
                self.hosts.insert(alias.clone(), addresses);
            } else if !self.aliases.contains_key(at) {
                self.elsewhere.insert(alias.clone());
            }
        }
        self
    }
}

/// `*.a.test`: every name below `a.test` that has no record of its own (RFC 4592).
fn is_star(owner: &str) -> bool {
    owner.strip_prefix("*.").is_some_and(is_host)
}

/// `_443._tcp.www.test` as the port and the host; labels without a number are passed over.
fn service(owner: &str) -> (Option<u16>, &str) {
    let (mut rest, mut port) = (owner, None);
    while let Some(label) = rest.strip_prefix('_') {
        let Some((label, above)) = label.split_once('.') else { break };
        port = port.or_else(|| label.parse().ok());
        rest = above;
    }
    (port, rest)
}

/// One zone while its records come by.
struct Reading {
    zone: String,
    signatures: Signatures,
    caa: Vec<Record>,
    found: Found,
}

impl Reading {
    fn new(zone: &str) -> Self {
        Self {
            zone: zone.to_owned(),
            signatures: Signatures::of(Some(zone)),
            caa: Vec::new(),
            found: Found::default(),
        }
    }

    fn see(&mut self, record: Record) -> bool {
        if name::is_within(&record.owner, &self.zone) {
            self.signatures.see(&record);
            self.found.see(&record);
            if matches!(record.data, Data::Caa { .. }) && self.caa.len() < NAMES_MAX {
                self.caa.push(record);
            }
        }
        true
    }

    /// Puts what the zone says of itself.
    fn put(&self, cx: &Cx, location: &Location, exclude: &Exclude, out: &dyn Sink) {
        if let Some(statement) = self.signatures.clone().statement() {
            out.put(stated(cx, location.clone(), &statement));
        }
        let owners: BTreeSet<&str> = self.caa.iter().map(|record| record.owner.as_str()).collect();
        for owner in owners.into_iter().take(1000) {
            if let Some(statement) = caa(owner, &self.caa) {
                out.put(stated(cx, location.clone(), &statement));
            }
        }
        let stars: Vec<&str> =
            self.found.stars.iter().map(String::as_str).filter(|star| !exclude.name(star)).collect();
        if let Some(first) = stars.first() {
            let more =
                if stars.len() > 1 { format!(" (and {} more)", stars.len() - 1) } else { String::new() };
            let detail = format!(
                "{first}{more} leads every name there: which of them are in use is not in the zone; name them as targets, or \
                 exclude the pattern"
            );
            let seen = Seen::Failed { reason: Reason::NotFound, detail };
            out.put(Observation { at: cx.clock.now(), location: location.clone(), seen });
        }
    }
}

/// Reads a zone from a file.
fn from_file(cx: &Cx, zone: &str, path: &Path, exclude: &Exclude, out: &dyn Sink) -> Found {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let location = Location::file(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()), "");
    let blind = |reason, detail: String| {
        out.put(Observation {
            at: cx.clock.now(),
            location: location.clone(),
            seen: Seen::Failed { reason, detail },
        });
    };
    Progress::add(&cx.progress.files, 1);
    let bytes = match slurp(&path) {
        Ok(bytes) => bytes,
        Err((reason, detail)) => {
            blind(reason, detail);
            return Found::default();
        }
    };
    let mut reading = Reading::new(zone);
    let mut each = |record| reading.see(record);
    let outcome = if raw::is_raw(&bytes) {
        raw::read(&bytes, &mut each)
    } else {
        let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
        let mut include = |file: &str| slurp(&folder.join(file)).ok();
        text::read(&bytes, Some(zone), &mut include, &mut each)
    };
    for file in &outcome.missing {
        blind(
            Reason::NotFound,
            format!("it includes {file:?}, which could not be read: hosts in it are not known"),
        );
    }
    if reading.signatures.zone().is_none() {
        blind(Reason::Malformed, format!("it has no SOA of {zone}: is it the file of this zone?"));
    } else if let Some(line) = outcome.first_unread {
        let count = outcome.unread;
        blind(Reason::Malformed, format!("{count} entries could not be read, the first on line {line}"));
    }
    reading.put(cx, &location, exclude, out);
    reading.found
}

fn slurp(path: &Path) -> Result<Vec<u8>, (Reason, String)> {
    let told = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => (Reason::NotFound, error.to_string()),
        std::io::ErrorKind::PermissionDenied => (Reason::PermissionDenied, error.to_string()),
        _ => (Reason::Malformed, error.to_string()),
    };
    let about = std::fs::metadata(path).map_err(told)?;
    if !about.is_file() {
        return Err((Reason::SpecialFile, "it is no file".to_owned()));
    }
    if about.len() > FILE_MAX {
        return Err((Reason::TooLarge, format!("a zone of more than {} MiB", FILE_MAX >> 20)));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(told)?;
    file.take(FILE_MAX).read_to_end(&mut bytes).map_err(told)?;
    Ok(bytes)
}

/// Runs something that blocks, in a thread that ends with the future.
pub(crate) async fn in_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce(&AtomicBool) -> T + Send + 'static,
) -> Result<T, Fault> {
    let stop = Arc::new(AtomicBool::new(false));
    let (done, finished) = tokio::sync::oneshot::channel();
    let flag = Arc::clone(&stop);
    let thread = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || drop(done.send(work(&flag))))
        .map_err(|e| Fault::new(FaultKind::Exhausted, format!("no thread for {name}: {e}")))?;
    let _guard = crate::guard::Guard::new(stop, thread);
    finished.await.map_err(|_| Fault::new(FaultKind::System, format!("{name} ended before its end")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Found {
        let mut reading = Reading::new("a.test");
        text::read(source.as_bytes(), Some("a.test"), &mut |_| None, &mut |record| reading.see(record));
        reading.found.followed()
    }

    #[test]
    fn hosts_and_what_leads_to_them() {
        let zone = found(
            "www A 10.0.0.1\nwww AAAA ::1\n@ MX 10 mx\nmx A 10.0.0.2\nshop CNAME www\ncdn CNAME x.cdn.test.\n\
             a CNAME b\nb CNAME a\n_x._tcp SRV 0 0 8443 www\n_8444._https.www HTTPS 1 . port=9443\n\
             _993._tcp.mx TLSA 3 1 1 00\n* A 10.0.0.9\n_dmarc TXT x\nother.test. A 10.9.9.9\n",
        );
        let hosts: Vec<(&str, usize)> = zone.hosts.iter().map(|(h, a)| (h.as_str(), a.len())).collect();
        assert_eq!(hosts, [("*.a.test", 1), ("mx.a.test", 1), ("shop.a.test", 2), ("www.a.test", 2)]);
        assert_eq!(zone.stars.iter().collect::<Vec<_>>(), ["*.a.test"]);
        let services: Vec<(&str, u16)> = zone.services.iter().map(|(h, p)| (h.as_str(), *p)).collect();
        let expected = [
            ("mx.a.test", 993),
            ("shop.a.test", 8443),
            ("shop.a.test", 9443),
            ("www.a.test", 8443),
            ("www.a.test", 9443),
        ];
        assert_eq!(services, expected);
        assert_eq!(zone.elsewhere.iter().collect::<Vec<_>>(), ["cdn.a.test"]);
        assert!(zone.mail.contains("mx.a.test"));
    }
}

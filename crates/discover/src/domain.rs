//! The source of registrations: what the registry says of a domain, by RDAP, and by WHOIS where there is no RDAP.
//!
//! It asks about the names it was given and no others, of each the part that somebody registered. Public registries
//! are asked because a user named a domain; a configuration may name other servers instead. It orders nothing, renews
//! nothing, and keeps to a registry's pace: one question a second, and no more once it says that it is enough.

pub mod dates;
pub mod rdap;
pub mod registration;
pub mod whois;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::inventory::AssetKind;
use notafter_core::joints::{BoxFuture, Cx, Sink, Source};
use notafter_core::location::Location;
use notafter_core::observation::{Facts, Observation, Reason, Seen};
use notafter_core::scan::{Progress, Scan};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::http::reach::Allow;
use crate::http::{Ask, Client, Failure};
use crate::sources::{Given, Order, SourceKind};
use crate::target::NoTarget;
use rdap::Bootstrap;
use registration::{Registration, registrable};
use whois::Reply;

/// The line in the list of sources.
pub const KIND: SourceKind = SourceKind {
    name: "domain",
    words: &["domain"],
    doc: "registrations of domains: when they end, and whether they are on hold",
    every: 86_400,
    outside: Some(
        "data.iana.org and the registries' public RDAP and WHOIS servers are told the names of the domains, unless \
         `rdap` and `whois` name others",
    ),
    keys: &["domains", "rdap", "whois", "bootstrap", "allow"],
    build: |order| Ok(Box::new(Several(domains(&order)?))),
};

/// The question that costs least and tells who serves a top-level domain.
const IANA_WHOIS: &str = "whois.iana.org";
/// The port of WHOIS.
const WHOIS_PORT: u16 = 43;
/// How much of a WHOIS reply is read.
const WHOIS_MAX: u64 = 256 * 1024;
/// Between two questions to public registries.
const PACE: Duration = Duration::from_secs(1);
/// A registry that asks for more patience than this is not asked again in this run.
const PATIENCE: i64 = 60;
/// So long IANA's list is good, in seconds: it changes a few times a month.
const BOOTSTRAP_LIFE: i64 = 86_400;

/// Whom to ask. With none of them, the public registries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    /// The address of an RDAP server, up to `domain/`.
    pub rdap: Option<String>,
    /// A WHOIS server, with its port.
    pub whois: Option<(String, u16)>,
    /// Where the list of public RDAP servers is, instead of IANA's.
    pub bootstrap: Option<String>,
    /// What may be reached besides the open Internet.
    pub allow: Allow,
}

/// Looks at registrations.
pub struct Domain {
    /// Their names, registrable and in ASCII.
    pub names: Vec<String>,
    /// Whom to ask.
    pub servers: Servers,
    /// What holds for every source.
    pub given: Given,
}

impl Domain {
    /// For these names, whole host names included, of which the registered part is meant. Names without one are left
    /// out: whoever finds names in zones and certificates need not look at them first.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>, servers: Servers, given: Given) -> Self {
        let mut names: Vec<String> = names.into_iter().filter_map(registrable).collect();
        names.sort_unstable();
        names.dedup();
        Self { names, servers, given }
    }

    /// Are the public servers asked?
    fn public(&self) -> bool {
        self.servers.rdap.is_none() && self.servers.whois.is_none()
    }
}

/// The sources of an order, one for each that is asked.
fn domains(order: &Order<'_>) -> Result<Vec<Domain>, NoTarget> {
    let settings = order.settings;
    let configured = list(settings, "domains")?;
    let typed: Vec<String> = order
        .targets
        .iter()
        .map(|word| word.split_once(':').map_or(word.as_str(), |(_, name)| name).to_owned())
        .collect();
    let (by_hand, names) = if typed.is_empty() { (false, configured) } else { (true, typed) };
    if names.is_empty() {
        return Err(wrong("no domain is named", "write domains = [\"example.com\"]"));
    }
    if let Some(name) = names.iter().find(|name| registrable(name).is_none()) {
        let message = format!("`{name}` is no domain that somebody could register");
        return Err(wrong(message, "write domain:example.com"));
    }
    let own = Servers::of(settings)?;
    let mut out: Vec<Domain> = Vec::new();
    for name in &names {
        // What is typed is asked where the configuration says that this name is asked.
        let known = order.given.registries.of(name).filter(|_| by_hand);
        let servers = known.unwrap_or(&own);
        match out.iter_mut().find(|one| one.servers == *servers) {
            Some(one) => one.names.extend(registrable(name)),
            None => out.push(Domain::new([name.as_str()], servers.clone(), order.given.clone())),
        }
    }
    for one in &mut out {
        one.names.sort_unstable();
        one.names.dedup();
    }
    Ok(out)
}

fn wrong(message: impl Into<String>, hint: &str) -> NoTarget {
    NoTarget { message: message.into(), hint: hint.to_owned() }
}

fn list(settings: &serde_json::Value, key: &str) -> Result<Vec<String>, NoTarget> {
    let no_list = || wrong(format!("`{key}` is no list of texts"), "write [\"example.com\"]");
    let Some(value) = settings.get(key) else { return Ok(Vec::new()) };
    let all = value.as_array().ok_or_else(no_list)?;
    all.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(no_list)).collect()
}

impl Servers {
    /// The servers that the settings of a source name.
    fn of(settings: &serde_json::Value) -> Result<Self, NoTarget> {
        let text = |key: &str| match settings.get(key) {
            None => Ok(None),
            Some(value) => value
                .as_str()
                .map(Some)
                .ok_or_else(|| wrong(format!("`{key}` is no text"), "write it in quotes")),
        };
        let mut servers = Self::default();
        for range in list(settings, "allow")? {
            servers.allow.add(&range)?;
        }
        for (key, place) in [("rdap", &mut servers.rdap), ("bootstrap", &mut servers.bootstrap)] {
            if let Some(address) = text(key)? {
                if !address.starts_with("http://") && !address.starts_with("https://") {
                    let message = format!("`{key}` is no web address");
                    return Err(wrong(message, "write https://rdap.example.net/"));
                }
                servers.allow.add(address)?;
                *place = Some(address.to_owned());
            }
        }
        if let Some(server) = text("whois")? {
            let bare = server.trim_start_matches("whois://").trim_end_matches('/');
            // `[::1]:43` has colons of its own.
            let (host, port) = match bare.rsplit_once(':') {
                Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()),
                _ => (bare, Some(WHOIS_PORT)),
            };
            let port = port.filter(|port| *port > 0);
            let port = port.ok_or_else(|| wrong("`whois` has no port", "write whois.example.net:43"))?;
            servers.allow.add(&format!("{host}:{port}"))?;
            servers.whois = Some((host.to_owned(), port));
        }
        Ok(servers)
    }
}

/// Several looks at registrations, one after the other.
struct Several(Vec<Domain>);

impl Source for Several {
    fn discover<'a>(&'a self, cx: &'a Cx, out: Arc<dyn Sink>) -> BoxFuture<'a, Result<Scan, Fault>> {
        Box::pin(async move {
            for one in &self.0 {
                one.discover(cx, Arc::clone(&out)).await?;
            }
            Ok(cx.progress.scan())
        })
    }
}

/// Whom the sources of registrations in a configuration ask, in their order, with the domains that each is about.
#[derive(Clone, Debug, Default)]
pub struct Registries(Vec<(Vec<String>, Servers)>);

impl Registries {
    /// Adds the settings of one such source.
    ///
    /// # Errors
    /// A sentence and a hint, where they are wrong.
    pub fn add(&mut self, settings: &serde_json::Value) -> Result<(), NoTarget> {
        let names = list(settings, "domains")?;
        let names = names.iter().filter_map(|name| registrable(name)).collect();
        self.0.push((names, Servers::of(settings)?));
        Ok(())
    }

    /// Whom to ask about this name: those who are asked about it anyway, else the first.
    fn of(&self, name: &str) -> Option<&Servers> {
        let name = registrable(name)?;
        let named = self.0.iter().find(|(names, _)| names.contains(&name));
        named.or_else(|| self.0.first()).map(|(_, servers)| servers)
    }

    /// Asks about zones that were met, where anybody is configured to be asked. That a zone's name was never registered
    /// is no news: inner zones are not.
    ///
    /// # Errors
    /// What keeps a source from running at all.
    pub(crate) async fn look(
        &self,
        zones: &BTreeSet<String>,
        given: &Given,
        cx: &Cx,
        out: Arc<dyn Sink>,
    ) -> Result<(), Fault> {
        let mut asked: Vec<Domain> = Vec::new();
        for name in zones.iter().take(ZONES_MAX).filter(|zone| is_public(zone)) {
            let Some(servers) = self.of(name) else { continue };
            // Public registries know no names below endings that nobody runs.
            if servers.rdap.is_none() && servers.whois.is_none() && !has_known_ending(name) {
                continue;
            }
            match asked.iter_mut().find(|one| one.servers == *servers) {
                Some(one) => one.names.extend(registrable(name)),
                None => asked.push(Domain::new([name.as_str()], servers.clone(), given.clone())),
            }
        }
        let out: Arc<dyn Sink> = Arc::new(Registered(out));
        for one in &mut asked {
            one.names.sort_unstable();
            one.names.dedup();
            one.discover(cx, Arc::clone(&out)).await?;
        }
        Ok(())
    }
}

/// So many zones that were met are asked for.
const ZONES_MAX: usize = 1000;

/// Could the name of a zone be registered by somebody? Reverse zones are delegated otherwise, and names for special use
/// not at all (RFC 6761, RFC 6762, RFC 8375, RFC 9476).
fn is_public(zone: &str) -> bool {
    const SPECIAL: &[&str] =
        &["arpa", "local", "localhost", "invalid", "onion", "alt", "internal", "localdomain"];
    let last = zone.trim_end_matches('.').rsplit('.').next().unwrap_or(zone);
    !SPECIAL.contains(&last)
}

fn has_known_ending(name: &str) -> bool {
    psl::suffix(name.as_bytes()).is_some_and(|suffix| suffix.typ().is_some())
}

/// Passes on everything but that a name is not registered.
struct Registered(Arc<dyn Sink>);

impl Sink for Registered {
    fn put(&self, observation: Observation) {
        if !matches!(observation.seen, Seen::Failed { reason: Reason::NotFound, .. }) {
            self.0.put(observation);
        }
    }
}

impl Source for Domain {
    fn discover<'a>(&'a self, cx: &'a Cx, out: Arc<dyn Sink>) -> BoxFuture<'a, Result<Scan, Fault>> {
        Box::pin(async move {
            let client = Client::new(&self.given, self.servers.allow.clone(), Arc::clone(&cx.clock));
            let client = client.map_err(|why| Fault::new(FaultKind::System, why))?;
            let mut run = Run { source: self, client, cx, whois_of: HashMap::new(), tired: HashMap::new() };
            let mut scan = Scan::default();
            Progress::add(&cx.progress.planned, self.names.len() as u64);
            for (n, name) in self.names.iter().enumerate() {
                if n > 0 && self.public() {
                    tokio::time::sleep(PACE).await;
                }
                scan.attempted += 1;
                Progress::add(&cx.progress.attempted, 1);
                let seen = match run.look(name).await {
                    Ok(found) => {
                        scan.reached += 1;
                        Progress::add(&cx.progress.reached, 1);
                        let der = found.statement().to_bytes().into();
                        let facts = Facts { protocol: Some(found.source.into()), ..Facts::default() };
                        Seen::Dated { kind: AssetKind::Domain, der, facts }
                    }
                    Err(failure) => {
                        scan.unreachable += 1;
                        Progress::add(&cx.progress.unreachable, 1);
                        failure.seen()
                    }
                };
                out.put(Observation { at: cx.clock.now(), location: Location::domain(name), seen });
            }
            Ok(scan)
        })
    }
}

/// What one run has learnt.
struct Run<'a> {
    source: &'a Domain,
    client: Client,
    cx: &'a Cx,
    /// The WHOIS server of a top-level domain.
    whois_of: HashMap<String, Option<String>>,
    /// Servers that wanted to be left alone.
    tired: HashMap<String, String>,
}

fn failure(reason: Reason, detail: impl Into<String>) -> Failure {
    Failure { reason, detail: detail.into(), again: None }
}

/// IANA's list, as it was fetched last: its address, when, and what it said.
static BOOTSTRAP: Mutex<Option<(String, UnixTime, Arc<Bootstrap>)>> = Mutex::new(None);

impl Run<'_> {
    async fn look(&mut self, name: &str) -> Result<Registration, Failure> {
        if self.source.given.network.exclude.name(name) {
            return Err(failure(Reason::Excluded, "it is excluded"));
        }
        let servers = &self.source.servers;
        let base = match (&servers.rdap, self.source.public()) {
            (Some(base), _) => Ok(Some(base.clone())),
            (None, true) => self.bootstrap().await.map(|list| list.server(name).map(str::to_owned)),
            (None, false) => Ok(None),
        };
        let by_rdap = match base {
            Ok(Some(base)) => Some(self.by_rdap(&base, name).await),
            Ok(None) => None,
            Err(why) => Some(Err(why)),
        };
        // A registry's word that there is no such domain is the last one; a date that it leaves out may be in WHOIS.
        match by_rdap {
            Some(Ok(found)) if found.expires.is_some() || found.expires_text.is_some() => Ok(found),
            Some(Err(why)) if why.reason == Reason::NotFound => Err(why),
            _ if servers.whois.is_none() && !self.source.public() => by_rdap.unwrap_or_else(|| {
                Err(failure(Reason::NotFound, "neither an RDAP nor a WHOIS server is known for it"))
            }),
            Some(Ok(mut found)) => {
                if let Ok(other) = self.by_whois(name).await {
                    (found.expires, found.expires_text) = (other.expires, other.expires_text);
                    found.registrar = found.registrar.or(other.registrar);
                    other.status.iter().for_each(|state| found.add_state(state));
                }
                Ok(found)
            }
            Some(Err(why)) => self.by_whois(name).await.map_err(|_| why),
            None => self.by_whois(name).await,
        }
    }

    async fn bootstrap(&self) -> Result<Arc<Bootstrap>, Failure> {
        let address = self.source.servers.bootstrap.as_deref().unwrap_or(rdap::BOOTSTRAP);
        let now = self.cx.clock.now();
        let kept = || BOOTSTRAP.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((of, at, list)) = kept().as_ref() {
            let age = now.0.saturating_sub(at.0);
            if of == address && (0..BOOTSTRAP_LIFE).contains(&age) {
                return Ok(Arc::clone(list));
            }
        }
        let ask = Ask { accept: "application/json", ..Ask::default() };
        let answer = self.client.get(address, &ask).await?.success()?;
        let list = Bootstrap::read(&answer.body).map(Arc::new);
        let list =
            list.ok_or_else(|| failure(Reason::Malformed, format!("{address} is no list of registries")))?;
        *kept() = Some((address.to_owned(), now, Arc::clone(&list)));
        Ok(list)
    }

    async fn by_rdap(&mut self, base: &str, name: &str) -> Result<Registration, Failure> {
        if let Some(why) = self.tired.get(base) {
            return Err(failure(Reason::Budget, why.clone()));
        }
        let url = format!("{}/domain/{name}", base.trim_end_matches('/'));
        let ask =
            Ask { accept: "application/rdap+json, application/json", size_max: 1 << 20, ..Ask::default() };
        let mut answer = self.client.get(&url, &ask).await?.success();
        if let Err(why) = &answer
            && why.reason == Reason::Budget
        {
            let wait = why.again.map_or(PATIENCE, |at| at.0.saturating_sub(self.cx.clock.now().0));
            if wait >= PATIENCE {
                self.tired.insert(base.to_owned(), why.detail.clone());
            } else {
                tokio::time::sleep(Duration::from_secs(wait.max(1) as u64)).await;
                answer = self.client.get(&url, &ask).await?.success();
            }
        }
        let answer = answer.map_err(|why| match why.reason {
            Reason::NotFound => {
                let place = crate::http::Url::parse(base)
                    .map_or_else(|_| base.to_owned(), |u| crate::http::place(&u));
                failure(
                    Reason::NotFound,
                    format!(
                        "its registry ({place}) knows no such domain: it was never registered, or is gone"
                    ),
                )
            }
            _ => why,
        })?;
        rdap::read(&answer.body, name).ok_or_else(|| {
            let place = crate::http::place(&answer.url);
            failure(Reason::Malformed, format!("{place} answers, but with no registration of {name}"))
        })
    }

    async fn by_whois(&mut self, name: &str) -> Result<Registration, Failure> {
        let (host, port) = match &self.source.servers.whois {
            Some((host, port)) => (host.clone(), *port),
            None => (self.whois_server(name).await?, WHOIS_PORT),
        };
        if let Some(why) = self.tired.get(&host) {
            return Err(failure(Reason::Budget, why.clone()));
        }
        let bytes = self.ask_whois(&host, port, &whois::question(&host, name)).await?;
        match whois::read(&bytes, name) {
            Reply::Found(mut found) => {
                // A registry that leaves the date to its registrars says who that is.
                let further = whois::referral(&bytes).filter(|to| *to != host && found.expires.is_none());
                if let (Some(to), true) = (further, self.source.public()) {
                    let bytes = self.ask_whois(&to, WHOIS_PORT, &whois::question(&to, name)).await;
                    if let Ok(Reply::Found(other)) = bytes.map(|bytes| whois::read(&bytes, name)) {
                        (found.expires, found.expires_text) = (other.expires, other.expires_text);
                        found.registrar = found.registrar.or(other.registrar);
                        found.registrant_email = found.registrant_email.or(other.registrant_email);
                    }
                }
                Ok(*found)
            }
            Reply::Nothing => Err(failure(
                Reason::NotFound,
                format!("its registry ({host}) knows no such domain: it was never registered, or is gone"),
            )),
            Reply::TooOften => {
                let why = format!("{host} wants to be asked less often");
                self.tired.insert(host, why.clone());
                Err(failure(Reason::Budget, why))
            }
            Reply::Unclear => Err(failure(
                Reason::UnsupportedFormat,
                format!(
                    "{host} answers in words that are not understood; enter the date by hand, as [[manual]]"
                ),
            )),
        }
    }

    /// The WHOIS server of a name's top-level domain, as IANA knows it.
    async fn whois_server(&mut self, name: &str) -> Result<String, Failure> {
        let top = name.rsplit('.').next().unwrap_or(name).to_owned();
        if !self.whois_of.contains_key(&top) {
            let bytes = self.ask_whois(IANA_WHOIS, WHOIS_PORT, &format!("{top}\r\n")).await?;
            self.whois_of.insert(top.clone(), whois::referral(&bytes));
        }
        self.whois_of.get(&top).cloned().flatten().ok_or_else(|| {
            failure(
                Reason::NotFound,
                format!("the registry of .{top} answers neither RDAP nor WHOIS; enter the date by hand, as [[manual]]"),
            )
        })
    }

    async fn ask_whois(&self, host: &str, port: u16, question: &str) -> Result<Vec<u8>, Failure> {
        let talk = async {
            let mut stream = self.client.connect(host, port).await?;
            let broke = |_| failure(Reason::Malformed, format!("{host}:{port} broke off its answer"));
            stream.write_all(question.as_bytes()).await.map_err(broke)?;
            let mut bytes = Vec::new();
            let read = (&mut stream).take(WHOIS_MAX + 1).read_to_end(&mut bytes).await;
            // Many servers reset the connection after their last line.
            if bytes.is_empty() {
                read.map_err(broke)?;
            }
            if bytes.len() as u64 > WHOIS_MAX {
                return Err(failure(
                    Reason::TooLarge,
                    format!("{host}:{port} sends more than {WHOIS_MAX} octets"),
                ));
            }
            Ok(bytes)
        };
        let late = |_| failure(Reason::Timeout, format!("{host}:{port} did not answer in time"));
        tokio::time::timeout(Duration::from_secs(20), talk).await.map_err(late)?
    }
}

//! The source of certificate transparency: certificates for our names in the public logs, whoever ordered them.
//!
//! Nobody is asked until somebody was named: logs, a list of logs, a search service or a file. Logs are read entry by
//! entry and nothing is told to them; a search service is told the domains. A scan reads the newest entries of each
//! log, the server everything since its last look; a log that shows less than it has shown before is not believed.
//! What is found stands at `ct:LOG/NUMBER` in the role `logged`: it exists, and nothing says that anybody uses it. It
//! resolves no names and connects to nothing that certificates name.

pub mod entry;
pub mod filter;
pub mod head;
pub mod log;
pub mod proof;
pub mod search;

mod given;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notafter_core::fault::{Fault, FaultKind};
use notafter_core::inventory::Role;
use notafter_core::joints::{BoxFuture, Cx, Sink, Source};
use notafter_core::location::Location;
use notafter_core::observation::{Facts, Observation, Reason, Seen};
use notafter_core::scan::{Progress, Scan};
use notafter_pki::certificate::Certificate;
use notafter_pki::fingerprint::hex;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::http::reach::Allow;
use crate::http::{Client, Failure};
use crate::named_file;
use crate::sources::{Given, SourceKind};
use filter::Watched;
use head::Head;
use log::{Api, Log, TILE, failure, fetch};
use proof::Doubt;

/// The line in the list of sources.
pub const KIND: SourceKind = SourceKind {
    name: "ct",
    words: &["ct"],
    doc: "certificates for our names in the logs of certificate transparency",
    every: 3600,
    outside: Some(
        "the logs that are named are read, and told nothing; a search service, if one is named, is told the domains",
    ),
    keys: &["domains", "logs", "log_list", "search", "files", "newest", "allow"],
    build: |order| Ok(Box::new(given::logs(&order)?)),
};

/// So many tiles of a log are fetched at once.
const AT_ONCE: u64 = 8;
/// So many entries of one log are read in one run; the rest is for the next.
const ENTRIES_MAX: u64 = 4 << 20;
/// So many certificates are put of one log in one run.
const FOUND_MAX: usize = 100_000;
/// So many certificates are fetched one by one from a search service.
const FETCHED_MAX: usize = 500;
/// So many pages of a service that gives one at a time.
const PAGES_MAX: usize = 200;
/// So many earlier heads are kept that are not proved.
const UNPROVED_MAX: usize = 8;
/// The answer of a search service, or a file, may have so many octets.
const LIST_MAX: usize = 64 << 20;

/// Looks into logs.
pub struct Logs {
    /// The domains.
    pub watched: Arc<Watched>,
    /// The logs by name.
    pub logs: Vec<Log>,
    /// Where lists of logs are: addresses or files.
    pub lists: Vec<String>,
    /// A search service.
    pub search: Option<String>,
    /// Files of entries.
    pub files: Vec<PathBuf>,
    /// So many entries of each log are read where nothing is known of an earlier run.
    pub newest: u64,
    /// What may be reached besides the open Internet.
    pub allow: Allow,
    /// What holds for every source.
    pub given: Given,
}

/// What is remembered from run to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    /// By address.
    logs: BTreeMap<String, Place>,
    /// What was fetched from the search service, so that it is asked for each once.
    #[serde(default)]
    fetched: BTreeSet<String>,
}

/// How far a log was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    /// The next entry.
    next: u64,
    /// The largest size that the log has shown.
    size: u64,
    /// The root at that size, in hex.
    root: String,
    /// Sizes and roots of before, of which it is not proved yet that they are the beginning of that tree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unproved: Vec<(u64, String)>,
}

impl Source for Logs {
    fn discover<'a>(&'a self, cx: &'a Cx, out: Arc<dyn Sink>) -> BoxFuture<'a, Result<Scan, Fault>> {
        Box::pin(async move {
            let client = Client::new(&self.given, self.allow.clone(), Arc::clone(&cx.clock));
            let client = Arc::new(client.map_err(|why| Fault::new(FaultKind::System, why))?);
            let kept = cx.resume.note();
            let memory = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
            let mut run = Run { source: self, client, cx, out, memory };
            let mut logs = self.logs.clone();
            for list in &self.lists {
                match run.list(list).await {
                    Ok(found) => logs.extend(found),
                    Err(why) => run.failed(Location::logged(&bare(list), None), why),
                }
            }
            logs.sort_by(|a, b| a.url.cmp(&b.url));
            logs.dedup_by(|a, b| a.url == b.url);
            Progress::add(&cx.progress.planned, logs.len() as u64);
            for log in &logs {
                Progress::add(&cx.progress.attempted, 1);
                match run.log(log).await {
                    Ok(()) => Progress::add(&cx.progress.reached, 1),
                    Err(why) => run.failed(Location::logged(log.name(), None), why),
                }
            }
            if let Some(service) = &self.search {
                for domain in self.watched.domains() {
                    Progress::add(&cx.progress.attempted, 1);
                    match run.search(service, domain).await {
                        Ok(()) => Progress::add(&cx.progress.reached, 1),
                        Err(why) => run.failed(Location::logged(&bare(service), Some(domain)), why),
                    }
                }
            }
            for file in &self.files {
                Progress::add(&cx.progress.attempted, 1);
                match run.file(file).await {
                    Ok(()) => Progress::add(&cx.progress.reached, 1),
                    Err(why) => run.failed(Location::logged(&file.to_string_lossy(), None), why),
                }
            }
            Ok(cx.progress.scan())
        })
    }
}

/// An address without its scheme.
fn bare(url: &str) -> String {
    url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/').to_owned()
}

struct Run<'a> {
    source: &'a Logs,
    client: Arc<Client>,
    cx: &'a Cx,
    out: Arc<dyn Sink>,
    memory: Memory,
}

/// What came of one tile.
struct Read {
    start: u64,
    found: Vec<(u64, Result<Vec<u8>, &'static str>)>,
    ended: Result<(), Failure>,
}

impl Run<'_> {
    fn failed(&self, location: Location, why: Failure) {
        Progress::add(&self.cx.progress.unreachable, 1);
        self.out.put(Observation { at: self.cx.clock.now(), location, seen: why.seen() });
    }

    fn put(&self, location: Location, der: Vec<u8>, how: &str) {
        let facts = Facts { protocol: Some(how.into()), ..Facts::default() };
        let seen = Seen::Chain { chain: vec![der.into()], role: Some(Role::Logged), leads: false, facts };
        self.out.put(Observation { at: self.cx.clock.now(), location, seen });
    }

    /// Everything that has been put is kept before the place up to which it was read.
    fn remember(&self) {
        if let Ok(bytes) = serde_json::to_vec(&self.memory) {
            self.cx.resume.leave(bytes);
        }
    }

    async fn log(&mut self, log: &Log) -> Result<(), Failure> {
        let (head, api) = log.head(&self.client, self.cx.clock.now()).await?;
        let known = self.memory.logs.get(&log.url).cloned();
        // Behind one address there may be several, and not all of them at the same point.
        if let Some(known) = known.as_ref().filter(|known| head.size < known.size) {
            let root = unhex(&known.root).ok_or_else(|| failure(Reason::Malformed, "the note is damaged"))?;
            let then = Head { size: known.size, root, ..head.clone() };
            let before = (head.size, head.root);
            if log.grew(&self.client, api, before, &then, self.cx.clock.now()).await.is_ok() {
                let detail = format!(
                    "{} shows an older state ({} entries) than before ({}): the beginning of the same log, and nothing new",
                    log.name(),
                    head.size,
                    known.size
                );
                return Err(failure(Reason::Timeout, detail));
            }
        }
        if let Some(why) = known.as_ref().and_then(|known| doubt(known, &head)) {
            return Err(failure(Reason::Malformed, format!("{}: {why}", log.name())));
        }
        let unproved = match &known {
            Some(known) => self.grown(log, api, known, &head).await?,
            None => Vec::new(),
        };
        let oldest = head.size.saturating_sub(self.source.newest);
        if known.is_none() && oldest > 0 {
            let detail = format!(
                "{} is read from entry {oldest} on: what was logged before was not looked at (`newest` says how many of \
                 the newest entries are read at first)",
                log.name()
            );
            self.failed(Location::logged(log.name(), None), failure(Reason::Budget, detail));
        }
        let mut place = Place {
            next: known.map_or(oldest, |known| known.next.min(head.size)),
            size: head.size,
            root: hex(&head.root),
            unproved,
        };
        let end = head.size.min(place.next.saturating_add(ENTRIES_MAX));
        let mut found = 0;
        while place.next < end {
            let window = self.window(log, api, place.next, end, head.size).await;
            for read in window {
                for (number, der) in read.found {
                    let location = Location::logged(log.name(), Some(&number.to_string()));
                    match der {
                        Ok(_) if found >= FOUND_MAX => {}
                        Ok(der) => {
                            found += 1;
                            self.put(location, der, api.as_str());
                        }
                        Err(why) => {
                            self.failed(
                                location,
                                failure(Reason::Malformed, format!("the entry cannot be read: {why}")),
                            );
                        }
                    }
                }
                if let Err(why) = read.ended {
                    self.memory.logs.insert(log.url.clone(), place);
                    self.remember();
                    return Err(why);
                }
                place.next = ((read.start / TILE + 1) * TILE).min(end);
            }
            self.memory.logs.insert(log.url.clone(), place.clone());
            self.remember();
        }
        self.memory.logs.insert(log.url.clone(), place.clone());
        self.remember();
        if found >= FOUND_MAX {
            let detail = format!(
                "{} has more than {FOUND_MAX} certificates for these domains: the rest is left out",
                log.name()
            );
            return Err(failure(Reason::Budget, detail));
        }
        if place.next < head.size {
            let behind = head.size - place.next;
            let detail = format!("{behind} entries of {} are left for the next run", log.name());
            return Err(failure(Reason::Budget, detail));
        }
        Ok(())
    }

    /// Checks that what was shown before is the beginning of what is shown now. What could not be proved, because the log
    /// did not answer, is said and given back: it has to be proved the next time.
    async fn grown(
        &self,
        log: &Log,
        api: Api,
        known: &Place,
        head: &Head,
    ) -> Result<Vec<(u64, String)>, Failure> {
        let own = (known.size, known.root.clone());
        let shown = known.unproved.iter().cloned().chain([own]);
        let mut left: Vec<(u64, String)> = Vec::new();
        let mut said = false;
        for (size, root) in shown {
            let Some(octets) = unhex(&root) else { continue };
            let now = self.cx.clock.now();
            match log.grew(&self.client, api, (size, octets), head, now).await {
                Ok(()) => {}
                Err(Doubt::TwoHistories(why)) => {
                    return Err(failure(Reason::Malformed, format!("{}: {why}", log.name())));
                }
                Err(Doubt::Unproved(why)) => {
                    if !std::mem::replace(&mut said, true) {
                        let detail = format!(
                            "{}: that the {size} entries shown before are the beginning of the {} shown now could not \
                             be proved ({}); it is asked for again the next time",
                            log.name(),
                            head.size,
                            why.detail
                        );
                        self.failed(Location::logged(log.name(), None), failure(why.reason, detail));
                    }
                    left.push((size, root));
                }
            }
        }
        // The oldest and the newest say the most.
        if left.len() > UNPROVED_MAX {
            left.drain(1..left.len() + 1 - UNPROVED_MAX);
        }
        Ok(left)
    }

    /// Several tiles at once, in their order; what comes behind one that failed is left out.
    async fn window(&self, log: &Log, api: Api, from: u64, end: u64, size: u64) -> Vec<Read> {
        let mut tasks = JoinSet::new();
        let first = from / TILE;
        let tiles = (first..first + AT_ONCE).map(|tile| (tile * TILE, (tile + 1) * TILE));
        for (start, stop) in tiles.take_while(|(start, _)| *start < end) {
            let (start, stop) = (start.max(from), stop.min(end));
            let (client, watched, log) =
                (Arc::clone(&self.client), Arc::clone(&self.source.watched), log.clone());
            let now = self.cx.clock.now();
            tasks.spawn(async move {
                let mut found = Vec::new();
                let mut take = |number: u64, entry: Result<&entry::Entry<'_>, &'static str>| match entry {
                    Ok(entry) if watched.wants(entry) => {
                        found.push((number, Ok(entry.certificate().to_vec())))
                    }
                    Ok(_) => {}
                    Err(why) => found.push((number, Err(why))),
                };
                let ended = log.entries(&client, api, (start, stop), size, now, &mut take).await;
                Read { start, found, ended }
            });
        }
        let mut all = tasks.join_all().await;
        all.sort_by_key(|read| read.start);
        let failed = all.iter().position(|read| read.ended.is_err());
        all.truncate(failed.map_or(all.len(), |at| at + 1));
        all
    }

    /// The logs of a list, as browsers publish them: those from which one can read.
    async fn list(&self, place: &str) -> Result<Vec<Log>, Failure> {
        let bytes = if place.contains("://") {
            fetch(&self.client, place, LIST_MAX, self.cx.clock.now()).await?.body
        } else {
            read_file(place.into()).await?
        };
        given::log_list(&bytes)
            .ok_or_else(|| failure(Reason::Malformed, "it is no list of logs in the form of version 3"))
    }

    async fn search(&mut self, service: &str, domain: &str) -> Result<(), Failure> {
        let searched = self.searched(service, domain).await;
        // What was fetched one by one is not fetched again, however the rest ended: the next look begins behind it.
        self.remember();
        searched
    }

    async fn searched(&mut self, service: &str, domain: &str) -> Result<(), Failure> {
        let now = self.cx.clock.now();
        let name = bare(service);
        let (mut known, mut fetched, mut pages) = (BTreeSet::new(), 0, 0);
        let mut questions = VecDeque::from(search::question(service, domain));
        while let Some(url) = questions.pop_front() {
            let answer = fetch(&self.client, &url, LIST_MAX, now).await?;
            let list = search::read(&answer.body);
            let list =
                list.ok_or_else(|| failure(Reason::Malformed, format!("{name} answers with no list")))?;
            if let Some(next) = search::after(&url, &list) {
                pages += 1;
                if pages > PAGES_MAX {
                    let detail = format!("{name} has more than {PAGES_MAX} pages of certificates");
                    return Err(failure(Reason::Budget, detail));
                }
                questions.push_back(next);
            }
            for one in list {
                let over = one.not_after.is_some_and(|end| end < now);
                let ours = one.names.is_empty() || one.names.iter().any(|n| self.source.watched.is_ours(n));
                if over || !ours || one.id.as_ref().is_some_and(|id| !known.insert(id.clone())) {
                    continue;
                }
                let id = one.id.clone().unwrap_or_default();
                let der = match one.der {
                    Some(der) => der,
                    None if self.memory.fetched.contains(&id) => continue,
                    None if fetched >= FETCHED_MAX => {
                        let detail = format!(
                            "{name} names more certificates than are fetched one by one ({FETCHED_MAX})"
                        );
                        return Err(failure(Reason::Budget, detail));
                    }
                    None => {
                        let url = search::certificate(service, &id);
                        let answer = fetch(&self.client, &url, 1 << 20, now).await?;
                        let Some(der) = certificate_of(&answer.body) else { continue };
                        fetched += 1;
                        self.memory.fetched.insert(id.clone());
                        der
                    }
                };
                self.take(&name, &id, der);
            }
        }
        Ok(())
    }

    async fn file(&mut self, file: &Path) -> Result<(), Failure> {
        let bytes = read_file(file.to_owned()).await?;
        let list = search::read(&bytes);
        let list = list.ok_or_else(|| {
            failure(Reason::UnsupportedFormat, "it is no list of logged certificates in JSON")
        })?;
        let name = file.to_string_lossy().into_owned();
        let mut without = 0;
        for (n, one) in list.into_iter().enumerate() {
            match one.der {
                Some(der) => self.take(&name, &one.id.unwrap_or_else(|| (n + 1).to_string()), der),
                None => without += 1,
            }
        }
        if without > 0 {
            let detail = format!("{without} entries name a certificate and do not hold it");
            return Err(failure(Reason::UnsupportedFormat, detail));
        }
        Ok(())
    }

    /// A certificate from a list: only one that is ours, whatever the list says.
    fn take(&self, list: &str, id: &str, der: Vec<u8>) {
        if self.source.watched.names_ours(&der) {
            let id = if id.is_empty() {
                hex(&notafter_pki::fingerprint::sha256(&der)[..8])
            } else {
                id.to_owned()
            };
            self.put(Location::logged(list, Some(&id)), der, "ct-search");
        }
    }
}

/// The octets of a hash in hex.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    let digits = text.as_bytes().as_chunks::<2>().0;
    for (octet, pair) in out.iter_mut().zip(digits) {
        *octet = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    (text.len() == 64).then_some(out)
}

/// Why a head cannot be of the log that was known.
fn doubt(known: &Place, head: &Head) -> Option<String> {
    if head.size < known.size {
        return Some(format!(
            "it shows {} entries and has shown {} before: a log never shrinks, so one of the two was not the log",
            head.size, known.size
        ));
    }
    (head.size == known.size && hex(&head.root) != known.root).then(|| {
        format!("it shows another tree of {} entries than before: one of the two was not the log", head.size)
    })
}

/// The first certificate in an answer, in PEM or DER.
fn certificate_of(bytes: &[u8]) -> Option<Vec<u8>> {
    use notafter_pki::container::{self, Content, Limits};
    let opened = container::open(bytes, &[], &Limits::default());
    opened.found.iter().find_map(|found| match &found.content {
        Content::Certificate(der) if Certificate::parse(der).is_ok() => Some(der.to_vec()),
        _ => None,
    })
}

async fn read_file(path: PathBuf) -> Result<Vec<u8>, Failure> {
    named_file::read(path, LIST_MAX).await.map_err(|(reason, detail)| failure(reason, detail))
}

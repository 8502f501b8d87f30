//! `why`: triage during an outage. Everything dated on the path to a host, asked at once, in less than ten seconds: one
//! line with the culprit, or that nothing dated explains it, then the evidence.
//!
//! Here is the order of things: who is asked (`why/asks.rs`), what is remembered (`why/memory.rs`), judging by the same
//! rules as everywhere, then which finding is the cause (`why/culprit.rs`) and what stands behind it
//! (`why/evidence.rs`). It keeps nothing. Besides the host's own servers and DNS, nobody is asked whom the configuration
//! does not name.

mod asks;
mod clients;
mod culprit;
mod evidence;
mod memory;
mod page;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::finding::Finding;
use notafter_core::inventory::Inventory;
use notafter_core::joints::{Cx, Sink, Source};
use notafter_core::location::Location;
use notafter_core::observation::Reason;
use notafter_core::trust::TrustStores;
use notafter_discover::domain::registration::registrable;
use notafter_discover::files::{Files, SIZE_MAX};
use notafter_discover::target::{Hosts, Target};
use notafter_engine::assess::assess_all;
use notafter_engine::ingest::Ingest;

use self::asks::{Asks, Heard, Part};
use self::culprit::OnPath;
use self::memory::{Changed, KnownClient, Memory};
use super::{End, Usage, no_rows};
use crate::assemble::{self, Assembly};
use crate::cli::{Format, Global, Why};
use crate::config::plan::Sheet;
use crate::data::Data;
use crate::print;
use crate::print::paper::Paper;

/// What was asked for, and what may be asked at all.
struct Asked {
    /// As it was typed.
    text: String,
    /// Zones that it may lie in, the registered name last.
    zones: Vec<String>,
    /// The registered part of its name.
    registered: Option<String>,
    /// Is there a registry that may be asked?
    domain: bool,
}

/// Everything that is known when it comes to judging.
struct Seen {
    asked: Asked,
    /// The host without its port.
    host: String,
    /// The name that its clients send, if it is a name.
    name: Option<String>,
    at: UnixTime,
    inventory: Inventory,
    findings: Vec<Finding>,
    path: OnPath,
    heard: Heard,
    /// Whether anything is remembered, or why not.
    memory: Result<(), String>,
    /// What changed lately, and at how many places that is known; `None`: no answer.
    changes: Option<Result<(Vec<Changed>, usize), String>>,
    clients: Vec<KnownClient>,
    trust: TrustStores,
    interrupted: bool,
}

pub(crate) fn run(global: &Global, args: Why) -> Result<End, Usage> {
    no_rows(global, "why")?;
    let target = Target::parse(&args.host, |_| false)?;
    let Target::Network(network) = target else {
        return Err(Usage::new(format!("`{}` is no host", args.host))
            .hint("name a host, like example.com or example.com:8443"));
    };
    let mut look = args.look.clone();
    let patience = crate::moment::duration(&look.timeout).map_err(Usage::new)?.min(asks::SERVER_MOST);
    look.timeout = format!("{}ms", patience.as_millis());
    let resolver = look.resolver.as_deref().map(assemble::resolver).transpose()?;
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    look.exclude.extend(sheet.config.scan.exclude.iter().map(|text| text.get_ref().clone()));
    let data = Data::find(global, &sheet)?;
    let mut assembly = Assembly::new(global, &look, std::slice::from_ref(&args.host))?;
    super::scan::polite(&assembly)?;
    let (host, name) = match &network.hosts {
        Hosts::Name(name) => (name.clone(), network.sni.clone().or_else(|| Some(name.clone()))),
        Hosts::Addresses(range) => (range.first.to_string(), network.sni.clone()),
    };
    let resolved = matches!(network.hosts, Hosts::Name(_)).then_some(host.as_str());
    let mut asked = Asked {
        text: args.host.clone(),
        zones: resolved.map(zones).unwrap_or_default(),
        registered: resolved.and_then(registrable),
        domain: false,
    };
    let mut parts = vec![];
    parts.extend(assembly.network.take().map(|n| part("address", 7, Arc::new(n))));
    parts.extend(sources(&sheet, &look, &host, &mut asked)?);
    parts.extend(files(&sheet, &assembly));
    let cx = assembly.cx();
    let (at, judgment) = (assembly.at, assembly.judgment());
    let now = assembly.clock.now();
    let (found, remembered, interrupted) =
        ask(network.hosts, resolver, parts, &cx, global.quiet, (data, &host, now))?;
    let (mut inventory, heard) = found;
    let (memory, store) = match remembered {
        Ok(memory) => {
            memory::merge(&mut inventory, &memory.part, &host);
            (Ok(()), Some(memory.store()))
        }
        Err(why) => (Err(why), None),
    };
    let findings = assess_all(&mut inventory, &judgment);
    let later = store.and_then(|store| second_questions(&inventory, store, now));
    let (changes, clients) = later.map_or((None, Vec::new()), |(changes, clients)| (Some(changes), clients));
    let path = OnPath::of(&inventory, &clients, name.as_deref());
    let trust = judgment.trust;
    let seen = Seen {
        asked,
        host,
        name,
        at,
        inventory,
        findings,
        path,
        heard,
        memory,
        changes,
        clients,
        trust,
        interrupted,
    };
    Ok(say(global, &seen))
}

/// Prints it.
fn say(global: &Global, seen: &Seen) -> End {
    let served = !evidence::leaves(&seen.inventory).is_empty();
    let place = seen.asked.registered.as_deref().map(Location::domain);
    let gone = seen
        .inventory
        .blind_spots()
        .iter()
        .find(|spot| Some(&spot.location) == place.as_ref() && spot.reason == Reason::NotFound);
    let unregistered = gone.map(|spot| format!("{}: {}", spot.location, spot.detail));
    let dns = seen.heard.dns.as_ref();
    let culprit =
        culprit::culprit(&seen.findings, &seen.path, dns, (served, unregistered.as_deref()), seen.at);
    let steps = evidence::steps(seen);
    match global.format() {
        Format::Table | Format::Csv => {
            let mut paper = Paper::new(print::colours(global.color), print::width());
            page::page(&mut paper, seen, &culprit, &steps);
            print::out(paper.into_text().as_bytes());
        }
        Format::Json => {
            print::out(format!("{:#}\n", page::document(seen, &culprit, &steps)).as_bytes());
        }
        Format::Ndjson => {
            print::out(format!("{}\n", page::document(seen, &culprit, &steps)).as_bytes());
        }
    }
    if seen.interrupted {
        End::Interrupted
    } else if served {
        End::Done
    } else {
        End::NothingReached
    }
}

fn part(name: &'static str, seconds: u64, source: Arc<dyn Source>) -> Part {
    Part { name, limit: Duration::from_secs(seconds), source, only_here: false }
}

/// What was seen and heard; what is remembered, or why nothing; and whether the user had enough.
type Found = ((Inventory, Heard), Result<Memory, String>, bool);

/// Asks everything at once, the memory beside it.
fn ask(
    hosts: Hosts,
    resolver: Option<std::net::SocketAddr>,
    parts: Vec<Part>,
    cx: &Cx,
    quiet: bool,
    (data, host, now): (Data, &str, UnixTime),
) -> Result<Found, Usage> {
    let ingest = Arc::new(Ingest::new(Inventory::default(), None, true));
    let sink = Arc::clone(&ingest) as Arc<dyn Sink>;
    let host = host.to_owned();
    let waiting = std::thread::spawn(move || {
        memory::within(MEMORY, move || Memory::read(&data, &host, now))
            .unwrap_or_else(|| Err("the data folder did not answer in time".to_owned()))
    });
    let asks = Asks { hosts, resolver, parts };
    let (heard, interrupted) =
        asks.run(cx, &sink, quiet).map_err(|why| Usage::new(format!("cannot start: {why}")))?;
    let remembered = waiting.join().unwrap_or_else(|_| Err("reading the data folder failed".to_owned()));
    Ok(((ingest.take(), heard), remembered, interrupted))
}

/// For the memory, beside everything else.
const MEMORY: Duration = Duration::from_secs(5);
/// For what is asked of it once it is known what is served.
const SECOND: Duration = Duration::from_millis(1_000);

type Later = (Result<(Vec<Changed>, usize), String>, Vec<KnownClient>);

/// What can be asked of the memory only when it is known what the host serves and demands.
fn second_questions(
    inventory: &Inventory,
    store: Arc<notafter_store::Store>,
    now: UnixTime,
) -> Option<Later> {
    let mut served = Vec::new();
    for (ix, places) in evidence::leaves(inventory) {
        let bytes = inventory.bytes(ix).to_vec();
        served.extend(places.iter().map(|p| (p.location.clone(), inventory.asset(ix).id, bytes.clone())));
    }
    let mut demanded: Vec<String> = evidence::demanded(inventory).into_keys().flatten().collect();
    demanded.sort_unstable();
    demanded.dedup();
    memory::within(SECOND, move || {
        let clients = memory::clients(&store, &demanded, now).unwrap_or_default();
        (memory::changes(&store, &served, now), clients)
    })
}

/// The names above a host that may be zones, its own first, the registered one last.
fn zones(host: &str) -> Vec<String> {
    let Some(registered) = registrable(host) else { return Vec::new() };
    let mut out = Vec::new();
    let mut rest = host.trim_end_matches('.');
    while rest.len() > registered.len() && out.len() < 4 {
        out.push(rest.to_owned());
        rest = rest.split_once('.').map_or("", |(_, above)| above);
    }
    out.push(registered);
    out
}

/// What is named by a word: the zone always, because its servers are on the path; a registry and the signers of tokens
/// only where the configuration names them.
fn sources(
    sheet: &Sheet,
    look: &crate::cli::Look,
    host: &str,
    asked: &mut Asked,
) -> Result<Vec<Part>, Usage> {
    let worded = |kind: &str, text: String, rest: &toml::Table| {
        assemble::worded_source(kind, &[text], rest, look, &[], &Arc::from([]))
    };
    let tables = assemble::tables(&sheet.config);
    let mut out = Vec::new();
    let of_zones =
        asked.zones.iter().map(|zone| worded("dnssec", format!("dnssec:{zone}"), &toml::Table::new()));
    let of_zones = of_zones.collect::<Result<Vec<_>, _>>()?;
    if !of_zones.is_empty() {
        out.push(part("dnssec", 6, Arc::new(asks::Together(of_zones))));
    }
    let registry = tables.iter().find(|(kind, _)| kind == "domain");
    if let (Some((_, rest)), Some(name)) = (registry, &asked.registered) {
        asked.domain = true;
        let source = worded("domain", format!("domain:{name}"), rest)?;
        out.push(part("domain", 7, Arc::from(source)));
    }
    let mut signers = Vec::new();
    for (kind, key) in [("oidc", "issuers"), ("saml", "metadata")] {
        for (_, rest) in tables.iter().filter(|(known, _)| known == kind) {
            let listed = rest.get(key).and_then(|list| list.as_array()).cloned().unwrap_or_default();
            let mine = listed.iter().filter_map(|one| one.as_str()).filter(|url| names(url, host));
            for url in mine {
                signers.push(worded(kind, format!("{kind}:{url}"), rest)?);
            }
        }
    }
    if !signers.is_empty() {
        out.push(part("token", 7, Arc::new(asks::Together(signers))));
    }
    Ok(out)
}

/// Is this the address of something on that host?
fn names(url: &str, host: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let without = authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let name = without.map_or(authority, |(name, _)| name).trim_matches(['[', ']']);
    name.eq_ignore_ascii_case(host)
}

/// The files of this machine, should it be the host: the usual folders and those of the configuration.
fn files(sheet: &Sheet, assembly: &Assembly) -> Option<Part> {
    let mut roots: Vec<PathBuf> = assemble::usual_folders().into_iter().map(PathBuf::from).collect();
    // Whole products lie there: too much for the time there is.
    roots.retain(|root| root != std::path::Path::new("/opt"));
    for table in sheet.config.source.iter().filter(|table| table.kind.get_ref() == "files") {
        roots.extend(table.paths.iter().map(PathBuf::from));
    }
    if roots.is_empty() {
        return None;
    }
    let exclude = assembly.exclude.clone();
    let files =
        Files { roots, exclude, passwords: Arc::new([]), size_max: SIZE_MAX, threads: 0, given: None };
    Some(Part { only_here: true, ..part("file", 5, Arc::new(files)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, expected: &[&str]) {
        assert_eq!(zones(host), expected, "{host}");
    }

    #[test]
    fn zones_above_a_host() {
        check("example.com", &["example.com"]);
        check("www.example.com", &["www.example.com", "example.com"]);
        check("a.b.example.co.uk", &["a.b.example.co.uk", "b.example.co.uk", "example.co.uk"]);
        check("localhost", &[]);
    }

    #[test]
    fn addresses_of_a_host() {
        for (url, host, expected) in [
            ("https://login.a.test/realm", "login.a.test", true),
            ("https://LOGIN.a.test:8443/", "login.a.test", true),
            ("http://[::1]:80/x", "::1", true),
            ("https://evil.test/login.a.test", "login.a.test", false),
            ("https://xlogin.a.test", "login.a.test", false),
        ] {
            assert_eq!(names(url, host), expected, "{url}");
        }
    }
}

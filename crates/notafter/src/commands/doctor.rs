//! `doctor`: is Notafter itself well? Clock, names, channels, permissions, memory, its own certificate.

use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_core::query::Query;
use notafter_core::rules::source_stale::is_fresh;
use notafter_discover::target::{Hosts, NetworkTarget, Target};
use notafter_engine::clock::SystemClock;
use notafter_store::Database;

use super::{End, Usage, no_rows};
use crate::assemble;
use crate::cli::{Format, Global};
use crate::config::plan::Sheet;
use crate::data::{Data, shown};
use crate::print;
use crate::print::paper::{Ink, Paper};
use crate::watches;

pub(crate) mod apart;
mod dns;
mod smtp;

/// So long one of the others may take for a word.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Well,
    Note,
    Ill,
}

struct Visit(Vec<(Mark, &'static str, String)>);

impl Visit {
    fn add(&mut self, mark: Mark, what: &'static str, text: impl Into<String>) {
        self.0.push((mark, what, text.into()));
    }
}

pub(crate) fn run(global: &Global) -> Result<End, Usage> {
    no_rows(global, "doctor")?;
    let clock = SystemClock::new();
    let now = clock.now();
    let mut visit = Visit(Vec::new());
    let sheet = match assemble::read_sheet(global.config.as_deref()) {
        Ok(sheet) => sheet,
        Err(wrong) => {
            visit.add(Mark::Ill, "configuration", wrong.message);
            return Ok(report(global, &visit));
        }
    };
    let from = sheet.file.as_deref().map_or_else(|| "none; everything is as by default".to_owned(), shown);
    visit.add(Mark::Well, "configuration", from);
    time(&mut visit, now);
    let data = Data::find(global, &sheet)?;
    memory(&mut visit, &sheet, &data, now);
    folder(&mut visit, &data);
    resolver(&mut visit, &sheet, &data, now);
    names(&mut visit, &sheet);
    match apart::visit(&sheet) {
        Ok(said) => said.into_iter().for_each(|(is_well, text)| {
            visit.add(if is_well { Mark::Well } else { Mark::Ill }, "act", text);
        }),
        Err(wrong) => visit.add(Mark::Ill, "act", wrong.replace("\nhint: ", "; ")),
    }
    outside(&mut visit, &sheet);
    Ok(report(global, &visit))
}

fn time(visit: &mut Visit, now: UnixTime) {
    // What says whether the kernel's clock is disciplined, where systemd does it.
    let synced = std::path::Path::new("/run/systemd/timesync/synchronized").exists();
    let built = UnixTime(1_767_225_600);
    if now < built {
        visit.add(Mark::Ill, "clock", format!("{now} is before this program was written: set the clock"));
    } else if synced {
        visit.add(Mark::Well, "clock", format!("{now}, kept by systemd-timesyncd"));
    } else {
        visit.add(Mark::Note, "clock", format!("{now}; whether it is kept by NTP is not known here"));
    }
}

fn memory(visit: &mut Visit, sheet: &Sheet, data: &Data, now: UnixTime) {
    let store = match data.open_existing(now) {
        Ok(store) => store,
        Err(wrong) => return visit.add(Mark::Ill, "memory", wrong.message),
    };
    // Every page, which the start leaves out where that would take long.
    let damage = store.check(true).err();
    let mark = if damage.is_some() { Mark::Ill } else { Mark::Well };
    if let Some(damage) = damage {
        visit.add(Mark::Ill, "memory", damage.to_string());
    }
    let condition = store.condition();
    let size = condition.bytes.map(|b| format!(", {} MB", b / 1_000_000)).unwrap_or_default();
    visit.add(mark, "memory", format!("{}, schema {}{size}", condition.engine, condition.schema));
    match store.audit_broken_at() {
        Ok(None) => visit.add(Mark::Well, "audit trail", "whole"),
        Ok(Some(row)) => visit.add(Mark::Ill, "audit trail", format!("changed by somebody at row {row}")),
        Err(error) => visit.add(Mark::Ill, "audit trail", error.to_string()),
    }
    let (watches, _) = watches::read(&store).unwrap_or_default();
    // Each channel for itself: a secret that is not in this environment hides nothing else.
    let roots = notafter_act::roots::Roots::read();
    for nth in 0..sheet.config.notifier.len() {
        if let Err(wrong) = sheet.channel(nth, Some(&roots)) {
            visit.add(Mark::Ill, "channel", wrong.replace("\nhint: ", "; "));
        }
    }
    let setup = match sheet.mute_setup(&watches) {
        Ok(setup) => setup,
        Err(wrong) => return visit.add(Mark::Ill, "configuration", wrong),
    };
    let served = data.is_served();
    let mark = if served { Mark::Well } else { Mark::Note };
    visit.add(
        mark,
        "server",
        if served { "works on this data folder" } else { "does not run on this data folder" },
    );
    let rows = store.sources().unwrap_or_default();
    for planned in &setup.sources {
        let Some(row) = rows.iter().find(|r| r.name == planned.name) else {
            visit.add(Mark::Note, "source", format!("{}: never ran; `notafter serve` runs it", planned.name));
            continue;
        };
        if row.last_started.is_none() {
            visit.add(Mark::Note, "source", format!("{}: waits for its first run", planned.name));
            continue;
        }
        let stale = !is_fresh(row.last_success, planned.every, now);
        let last = row.last_success.map_or_else(|| "never".to_owned(), |t| t.to_string());
        let fault = row.fault.as_ref().map(|f| format!(": {f}")).unwrap_or_default();
        let mark = if stale { Mark::Ill } else { Mark::Well };
        visit.add(mark, "source", format!("{}: last success {last}{fault}", row.name));
    }
    let silent = setup.people.get(&setup.last_resort).is_none_or(|p| p.notify.is_empty());
    if silent {
        visit.add(Mark::Note, "people", "nobody is told: the owner of last resort has no channel");
    } else {
        visit.add(
            Mark::Well,
            "people",
            format!("{} can be told; try it: notafter alert test", setup.people.len()),
        );
    }
    let known = store.outgoing(None, 1000).unwrap_or_default();
    // What a channel did not take once is over when it has taken something since.
    let failed = notafter_engine::notify::not_made_up_for(&known);
    if let Some(message) = failed.into_iter().max_by_key(|m| m.created) {
        let error = message.error.clone().unwrap_or_default();
        visit.add(Mark::Ill, "messages", format!("one to {} was given up: {error}", message.owner));
    }
    if let Some(host) = setup.public_url.as_deref().and_then(|u| u.strip_prefix("https://")) {
        own_certificate(visit, &store, host, now);
    }
    let all = store.count(&Query::default(), u64::MAX, now).unwrap_or(0);
    visit.add(Mark::Well, "inventory", format!("{all} {} in use", if all == 1 { "asset" } else { "assets" }));
}

/// The certificate of our own pages: the one that nobody else watches for us.
fn own_certificate(visit: &mut Visit, store: &notafter_store::Store, host: &str, now: UnixTime) {
    let name = host.split(['/', ':']).next().unwrap_or(host);
    let Ok(query) = Query::parse(&format!("name:{name} is:served")) else { return };
    let page = store.assets(&query, notafter_store::queries::Sort::Ends, None, 1, now);
    match page.ok().and_then(|p| p.rows.into_iter().next()) {
        Some(row) => {
            let left = row.not_after.map_or(0.0, |t| t.days_after(now));
            let mark = if left < 7.0 { Mark::Ill } else { Mark::Well };
            visit.add(mark, "own certificate", format!("{name}: {left:.0} days left"));
        }
        None => {
            visit.add(Mark::Note, "own certificate", format!("{name} is not watched: notafter watch {name}"))
        }
    }
}

fn folder(visit: &mut Visit, data: &Data) {
    let Ok(meta) = std::fs::metadata(&data.folder) else { return };
    let (mode, place) = (meta.mode() & 0o7777, shown(&data.folder));
    // The same line as `serve` draws: it refuses a folder that others may write into. What lies in it is closed anyway.
    let (mark, remedy) = match mode {
        mode if mode & 0o022 != 0 => (Mark::Ill, format!(": others may write into it: chmod 700 {place}")),
        mode if mode & 0o077 != 0 => {
            (Mark::Note, format!(": others can see what lies in it: chmod 700 {place}"))
        }
        _ => (Mark::Well, String::new()),
    };
    visit.add(mark, "data folder", format!("{place} (mode {mode:04o}){remedy}"));
    closed(visit, "token", &data.token_file);
    if let Ok(stat) = rustix::fs::statvfs(&data.folder) {
        let free = stat.f_bavail * stat.f_frsize;
        let mark = if free < 100_000_000 { Mark::Ill } else { Mark::Well };
        visit.add(mark, "disk", format!("{} MB free", free / 1_000_000));
    }
    if let Database::File(file) = &data.database {
        closed(visit, "memory file", file);
    }
}

/// A file that nobody else may read.
fn closed(visit: &mut Visit, what: &'static str, file: &Path) {
    let Ok(meta) = std::fs::metadata(file) else { return };
    let (mode, place) = (meta.mode() & 0o7777, shown(file));
    if mode & 0o077 == 0 {
        visit.add(Mark::Well, what, format!("{place} (mode {mode:04o})"));
    } else {
        visit.add(
            Mark::Ill,
            what,
            format!("{place} (mode {mode:04o}): others can read it: chmod 600 {place}"),
        );
    }
}

/// Does whoever is asked for names answer? Asked for the first name that a source or a watch looks at.
fn resolver(visit: &mut Visit, sheet: &Sheet, data: &Data, now: UnixTime) {
    let watched = data.open_existing(now).ok().and_then(|store| watches::read(&store).ok());
    let watched = watched.map(|(list, _)| list).unwrap_or_default();
    let configured = sheet.config.source.iter().flat_map(|s| &s.targets);
    let targets = configured.chain(watched.iter().flat_map(|w| &w.targets));
    let name = targets.filter_map(|text| name_in(text)).next();
    let given = sheet.config.server.resolver.as_ref().map(|text| text.get_ref().as_str());
    let given = given.and_then(|text| assemble::resolver(text).ok());
    let Some(name) = name else {
        // Any answer will do: that it knows no such name is one.
        return match given.map(|server| (server, dns::ask(server, "localhost"))) {
            None => visit.add(Mark::Note, "names", "not asked: no source and no watch names a host"),
            Some((server, Ok(_))) => visit.add(Mark::Well, "names", format!("{server} answers")),
            Some((server, Err(e))) => visit.add(Mark::Ill, "names", mute(server, &e)),
        };
    };
    let Some(server) = given else {
        // The system's: its own library asks, as every program here does.
        return match (name.as_str(), 443).to_socket_addrs().map(Iterator::count) {
            Ok(count) if count > 0 => {
                visit.add(Mark::Well, "names", format!("the system's resolver knows {name}"))
            }
            Ok(_) => visit.add(Mark::Ill, "names", format!("the system's resolver has no address of {name}")),
            Err(e) => visit.add(Mark::Ill, "names", format!("the system's resolver on {name}: {e}")),
        };
    };
    match dns::ask(server, &name) {
        Ok(dns::Answer::Known) => visit.add(Mark::Well, "names", format!("{server} knows {name}")),
        Ok(dns::Answer::Unknown) => {
            visit.add(
                Mark::Ill,
                "names",
                format!("{server} answers, and knows no {name}: is it still called so?"),
            );
        }
        Ok(dns::Answer::Error(code)) => {
            let text = format!("{server} answers {name} with error {code}: it may not serve this host");
            visit.add(Mark::Ill, "names", text);
        }
        Err(e) => visit.add(Mark::Ill, "names", mute(server, &e)),
    }
}

fn mute(server: std::net::SocketAddr, error: &std::io::Error) -> String {
    format!("{server} does not answer ({error}): is `resolver` in [server] right?")
}

/// The host name of a target that has one.
fn name_in(target: &str) -> Option<String> {
    match Target::parse(target, |path| Path::new(path).exists()).ok()? {
        Target::Network(NetworkTarget { hosts: Hosts::Name(name), .. }) => Some(name),
        _ => None,
    }
}

/// Names that channels depend on: do they resolve, does anything answer there? A mail server must greet.
fn names(visit: &mut Visit, sheet: &Sheet) {
    for table in &sheet.config.notifier {
        let name = table.name.get_ref();
        let text = |key: &str| table.rest.get(key).and_then(|v| v.as_str()).map(str::to_owned);
        let mail = table.kind == "email";
        let tls = text("tls").unwrap_or_else(|| "starttls".to_owned());
        let usual = match tls.as_str() {
            "tls" => 465,
            "none" => 25,
            _ => 587,
        };
        let place = if mail { text("server").map(|s| with_port(&s, usual)) } else { web_place(&text) };
        let Some(place) = place else { continue };
        let greeted = connect(&place).and_then(|stream| match (mail, tls.as_str()) {
            (false, _) => Ok(format!("something answers at {place}")),
            (true, "tls") => {
                let roots = text("ca_file").map(PathBuf::from);
                smtp::greet_within_tls(stream, host_of(&place), roots.as_deref())
                    .map(|says| format!("{place} {says}"))
            }
            (true, _) => smtp::greet(stream, tls == "starttls").map(|says| format!("{place} {says}")),
        });
        match greeted {
            Ok(text) => visit.add(Mark::Well, "channel", format!("{name}: {text}")),
            Err(text) => visit.add(Mark::Ill, "channel", format!("{name}: {place}: {text}")),
        }
    }
}

/// Who outside is asked or told anything, and of what, besides the servers that targets name. Nothing else is: there is
/// no update check.
fn outside(visit: &mut Visit, sheet: &Sheet) {
    let before = visit.0.len();
    for table in &sheet.config.source {
        let kind = table.kind.get_ref();
        let Some(known) = notafter_discover::sources::named(kind) else { continue };
        let Some(whom) = known.outside else { continue };
        let name = table.name.as_deref().unwrap_or(kind);
        // An address in its table is whom it asks.
        let addresses: Vec<_> =
            table.rest.iter().filter_map(|(key, value)| Some((key, value.as_str()?))).collect();
        let own: Vec<_> = addresses.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        let own = if own.is_empty() { String::new() } else { format!(" (here: {})", own.join(", ")) };
        visit.add(Mark::Well, "outside", format!("source {name}: {whom}{own}"));
    }
    for table in &sheet.config.notifier {
        let text = format!("notifier {} ({}): alerts and summaries", table.name.get_ref(), table.kind);
        visit.add(Mark::Well, "outside", text);
    }
    if sheet.config.heartbeat.is_some() {
        visit.add(Mark::Well, "outside", "heartbeat: that this server is alive");
    }
    if visit.0.len() == before {
        let text = "nobody is asked or told anything, besides the servers that targets name";
        visit.add(Mark::Well, "outside", text);
    }
}

fn with_port(host: &str, port: u16) -> String {
    if host.contains(':') { host.to_owned() } else { format!("{host}:{port}") }
}

/// The name or address before the port.
fn host_of(place: &str) -> &str {
    let host = place.rsplit_once(':').map_or(place, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

fn web_place(text: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let url = text("url").or_else(|| text("api_url"))?;
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next()?;
    Some(with_port(host, if scheme == "http" { 80 } else { 443 }))
}

fn connect(place: &str) -> Result<TcpStream, String> {
    let address = place.to_socket_addrs().ok().and_then(|mut a| a.next());
    let address = address.ok_or("does not resolve")?;
    TcpStream::connect_timeout(&address, PATIENCE).map_err(|e| e.to_string())
}

fn report(global: &Global, visit: &Visit) -> End {
    let ill = visit.0.iter().any(|(mark, ..)| *mark == Mark::Ill);
    if global.format() != Format::Table {
        let word = |mark: &Mark| match mark {
            Mark::Well => "ok",
            Mark::Note => "note",
            Mark::Ill => "failed",
        };
        let items: Vec<_> = visit
            .0
            .iter()
            .map(|(mark, what, text)| serde_json::json!({ "state": word(mark), "what": what, "text": text }))
            .collect();
        print::out(format!("{}\n", serde_json::json!({ "well": !ill, "items": items })).as_bytes());
    } else {
        let mut paper = Paper::new(print::colours(global.color), print::width());
        for (mark, what, text) in &visit.0 {
            let (ink, word) = match mark {
                Mark::Well => (Ink::Green, "ok"),
                Mark::Note => (Ink::Yellow, "note"),
                Mark::Ill => (Ink::Red, "failed"),
            };
            paper
                .put(ink, &format!("{word:<7}"))
                .put(Ink::Bold, &format!("{what:<16}"))
                .line(Ink::Plain, text);
        }
        print::out(paper.into_text().as_bytes());
    }
    if ill { End::Failed } else { End::Done }
}

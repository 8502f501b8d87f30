//! `doctor`: is Notafter itself well? Clock, names, channels, permissions, memory, its own certificate.

use std::net::ToSocketAddrs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_core::query::Query;
use notafter_engine::clock::SystemClock;
use notafter_store::Database;

use super::{End, Usage};
use crate::assemble;
use crate::cli::{Format, Global};
use crate::config::plan::Sheet;
use crate::data::{Data, shown};
use crate::print;
use crate::print::paper::{Ink, Paper};
use crate::watches;

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
    names(&mut visit, &sheet);
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
    let setup = match sheet.setup(&watches) {
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
    for row in store.sources().unwrap_or_default() {
        let Some(planned) = setup.sources.iter().find(|s| s.name == row.name) else { continue };
        let stale = row.last_success.is_none_or(|t| now.0 > t.0 + (3 * planned.every).max(900));
        let last = row.last_success.map_or_else(|| "never".to_owned(), |t| t.to_string());
        let fault = row.fault.map(|f| format!(": {f}")).unwrap_or_default();
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
    let failed = store.outgoing(None, 200).unwrap_or_default();
    let failed = failed.iter().filter(|m| m.delivery == notafter_core::alert::Delivery::Failed);
    if let Some(message) = failed.max_by_key(|m| m.created) {
        let error = message.error.clone().unwrap_or_default();
        visit.add(Mark::Ill, "messages", format!("one to {} was given up: {error}", message.owner));
    }
    if let Some(host) = setup.public_url.as_deref().and_then(|u| u.strip_prefix("https://")) {
        own_certificate(visit, &store, host, now);
    }
    let all = store.count(&Query::default(), u64::MAX, now).unwrap_or(0);
    visit.add(Mark::Well, "inventory", format!("{all} assets in use"));
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
    let mode = meta.mode() & 0o7777;
    let mark = if mode & 0o077 == 0 { Mark::Well } else { Mark::Ill };
    visit.add(mark, "data folder", format!("{} (mode {mode:04o})", shown(&data.folder)));
    if let Ok(token) = std::fs::metadata(&data.token_file) {
        let mode = token.mode() & 0o7777;
        let mark = if mode & 0o077 == 0 { Mark::Well } else { Mark::Ill };
        visit.add(mark, "token", format!("{} (mode {mode:04o})", shown(&data.token_file)));
    }
    if let Ok(stat) = rustix::fs::statvfs(&data.folder) {
        let free = stat.f_bavail * stat.f_frsize;
        let mark = if free < 100_000_000 { Mark::Ill } else { Mark::Well };
        visit.add(mark, "disk", format!("{} MB free", free / 1_000_000));
    }
    if let Database::File(file) = &data.database
        && let Ok(meta) = std::fs::metadata(file)
        && meta.mode() & 0o077 != 0
    {
        visit.add(
            Mark::Ill,
            "memory",
            format!("others can read {} (mode {:04o})", shown(file), meta.mode() & 0o7777),
        );
    }
}

/// Names that channels and pages depend on: do they resolve, does anything answer there?
fn names(visit: &mut Visit, sheet: &Sheet) {
    for table in &sheet.config.notifier {
        let name = table.name.get_ref();
        let text = |key: &str| table.rest.get(key).and_then(|v| v.as_str()).map(str::to_owned);
        let place = text("server").or_else(|| {
            let url = text("url").or_else(|| text("api_url"))?;
            let (scheme, rest) = url.split_once("://")?;
            let host = rest.split('/').next()?.to_owned();
            Some(if host.contains(':') {
                host
            } else {
                format!("{host}:{}", if scheme == "http" { 80 } else { 443 })
            })
        });
        let Some(place) = place else { continue };
        let place = if place.contains(':') { place } else { format!("{place}:25") };
        match place.to_socket_addrs().map(|mut a| a.next()) {
            Ok(Some(address)) => match std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5))
            {
                Ok(_) => visit.add(Mark::Well, "channel", format!("{name}: something answers at {place}")),
                Err(e) => visit.add(Mark::Ill, "channel", format!("{name}: {place}: {e}")),
            },
            _ => visit.add(Mark::Ill, "channel", format!("{name}: {place} does not resolve")),
        }
    }
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

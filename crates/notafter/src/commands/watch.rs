//! `watch TARGET...`: from "this host matters" to messages that come, in one command.
//!
//! Looks once, prints what is there, keeps it, and puts the target on the server's schedule.

use notafter_core::query::span;
use notafter_engine::setup::Setup;
use serde_json::json;

use super::ls::{cell, cell_at, items};
use super::{End, Usage};
use crate::assemble;
use crate::cli::{Format, Global, Look, Scan, WatchArgs};
use crate::config::plan::Sheet;
use crate::data::Data;
use crate::print;
use crate::watches::{self, Watch};
use notafter_core::clock::Clock;
use notafter_engine::clock::SystemClock;

pub(crate) fn run(global: &Global, args: WatchArgs) -> Result<End, Usage> {
    let now = SystemClock::new().now();
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    let data = Data::find(global, &sheet)?;
    if args.list || args.targets.is_empty() {
        return list(global, &sheet, &data, now);
    }
    if args.stop {
        return stop(&data, &watches::settled(&args.targets), now);
    }
    let every = args.every.as_deref().map_or(Some(3600), span).filter(|s| *s >= 10).ok_or_else(|| {
        Usage::new(format!("`{}` is no interval", args.every.as_deref().unwrap_or_default()))
            .hint("write 5m, 1h or 1d; 10s is the least")
    })?;
    let watch = Watch { targets: watches::settled(&args.targets), every, notify: args.notify.clone() };
    // A mistake is said now, not by the server later.
    let setup = checked(&sheet, std::slice::from_ref(&watch))?;
    let store = data.open(now)?;
    let end = super::scan::targets_alone(
        global,
        &Scan {
            targets: args.targets,
            look: Look {
                resolver: sheet.config.server.resolver.clone().map(toml::Spanned::into_inner),
                roots: sheet.roots(),
                ..Look::default()
            },
            dry_run: false,
            yes: false,
            no_findings: false,
            fail_on: None,
            save: false,
        },
    )
    .map_err(|wrong| match &wrong.hint {
        // What scan offers and this has not.
        Some(hint) if hint.contains("--yes") => {
            wrong.hint("watch the hosts that matter, or make the range a [[source]] of the configuration")
        }
        _ => wrong,
    })?;
    watches::change(&store, |list| {
        list.retain(|w| w.targets != watch.targets);
        list.push(watch.clone());
    })
    .map_err(|e| data.explain(&e))?;
    if !global.quiet {
        print::note(&told(&watch, &setup, data.is_served()));
    }
    // Nothing answered now; it is watched all the same, and will be missed aloud.
    Ok(if end == End::NothingReached { End::Done } else { end })
}

fn checked(sheet: &Sheet, watches: &[Watch]) -> Result<Setup, Usage> {
    sheet.mute_setup(watches).map_err(|e| match &sheet.file {
        Some(file) => assemble::explain(file, &e),
        None => match e.split_once("\nhint: ") {
            Some((message, hint)) => Usage::new(message)
                .hint(format!("{hint}; `notafter config init` writes a file to begin with")),
            None => Usage::new(e),
        },
    })
}

fn told(watch: &Watch, setup: &Setup, served: bool) -> String {
    let server = if served { "the server has it within seconds" } else { "start the server: notafter serve" };
    format!("watched every {}; {}; {server}", every(watch.every), whom(watch, reaches(setup)))
}

/// Who hears of it: said alike when it is begun and in the list.
fn whom(watch: &Watch, reached: bool) -> String {
    match &watch.notify {
        Some(notify) => format!("messages go to {notify}"),
        None if reached => "messages go to its owner".to_owned(),
        None => "nobody is told yet: add a [[notifier]] and --notify NOTIFIER:ADDRESS".to_owned(),
    }
}

/// Does the configuration tell anybody? Whoever watches is told of that alone.
fn reaches(setup: &Setup) -> bool {
    setup.people.iter().any(|(name, p)| !name.starts_with("watch ") && !p.notify.is_empty())
}

/// An interval in the greatest unit that it is a whole number of.
fn every(seconds: i64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let unit = units.iter().find(|(length, _)| seconds % length == 0);
    unit.map_or_else(|| format!("{seconds}s"), |(length, unit)| format!("{}{unit}", seconds / length))
}

fn list(global: &Global, sheet: &Sheet, data: &Data, now: notafter_core::UnixTime) -> Result<End, Usage> {
    let store = data.open_existing(now)?;
    let (list, _) = watches::read(&store).map_err(|e| data.explain(&e))?;
    let rows = store.sources().map_err(|e| data.explain(&e))?;
    let last = |watch: &Watch| {
        let name = watch.source_name();
        rows.iter().find(|r| r.name == name).and_then(|r| r.last_success)
    };
    if global.format() != Format::Table {
        let document = |watch: &Watch| {
            json!({
                "name": watch.source_name(), "targets": watch.targets, "every_seconds": watch.every,
                "notify": watch.notify, "last_success": last(watch).map(|t| t.to_string()),
            })
        };
        let heading = "name,targets,every_seconds,notify,last_success";
        return Ok(items(global.format(), &list, document, heading, |watch| {
            vec![
                cell(watch.source_name()),
                cell(watch.targets.join(" ")),
                (watch.every.to_string(), true),
                cell(watch.notify.as_deref().unwrap_or_default()),
                cell_at(last(watch)),
            ]
        }));
    }
    // What is watched is shown under a wrong configuration, too.
    let reached = checked(sheet, &[]).is_ok_and(|setup| reaches(&setup));
    let mut text = String::new();
    for watch in &list {
        let looked = last(watch)
            .map_or_else(|| "never looked at by a server".to_owned(), |t| format!("last looked at {t}"));
        let (every, whom) = (every(watch.every), whom(watch, reached));
        text.push_str(&format!("{}  every {every}; {whom}; {looked}\n", watch.targets.join(" ")));
    }
    if list.is_empty() {
        text.push_str(
            "nothing is watched by `notafter watch`; sources of the configuration are on the Sources page\n",
        );
    }
    print::out(text.as_bytes());
    Ok(End::Done)
}

fn stop(data: &Data, targets: &[String], now: notafter_core::UnixTime) -> Result<End, Usage> {
    let store = data.open_existing(now)?;
    let (before, _) = watches::read(&store).map_err(|e| data.explain(&e))?;
    let is = |w: &Watch| w.targets == targets || targets.iter().all(|t| w.targets.contains(t));
    if !before.iter().any(is) {
        return Err(Usage::new(format!("{} is not watched", targets.join(" ")))
            .hint("`notafter watch --list` shows what is"));
    }
    watches::change(&store, |list| list.retain(|w| !is(w))).map_err(|e| data.explain(&e))?;
    print::out(b"no longer watched; what was seen stays in the inventory\n");
    Ok(End::Done)
}

#[cfg(test)]
mod tests {
    #[test]
    fn intervals_as_they_were_typed() {
        for (seconds, text) in [(300, "5m"), (3600, "1h"), (90, "90s"), (86_400, "1d"), (5400, "90m")] {
            assert_eq!(super::every(seconds), text);
        }
    }
}

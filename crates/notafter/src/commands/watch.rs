//! `watch TARGET...`: from "this host matters" to messages that come, in one command.
//!
//! Looks once, prints what is there, keeps it, and puts the target on the server's schedule.

use notafter_core::query::span;
use notafter_engine::setup::Setup;

use super::{End, Usage};
use crate::assemble;
use crate::cli::{Global, Look, Scan, WatchArgs};
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
        return list(&data, now);
    }
    if args.stop {
        return stop(&data, &args.targets, now);
    }
    let every = args.every.as_deref().map_or(Some(3600), span).filter(|s| *s >= 10).ok_or_else(|| {
        Usage::new(format!("`{}` is no interval", args.every.as_deref().unwrap_or_default()))
            .hint("write 5m, 1h or 1d; 10s is the least")
    })?;
    let watch = Watch { targets: args.targets.clone(), every, notify: args.notify.clone() };
    // A mistake is said now, not by the server later.
    let setup = checked(&sheet, &watch)?;
    let store = data.open(now)?;
    let end = super::scan::run(
        global,
        Scan {
            targets: args.targets,
            look: Look {
                resolver: sheet.config.server.resolver.clone().map(toml::Spanned::into_inner),
                roots: sheet.config.server.roots.clone(),
                ..Look::default()
            },
            dry_run: false,
            yes: false,
            no_findings: false,
            fail_on: None,
            save: false,
        },
    )?;
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

fn checked(sheet: &Sheet, watch: &Watch) -> Result<Setup, Usage> {
    sheet.setup(std::slice::from_ref(watch)).map_err(|e| match &sheet.file {
        Some(file) => assemble::explain(file, &e),
        None => match e.split_once("\nhint: ") {
            Some((message, hint)) => Usage::new(message)
                .hint(format!("{hint}; `notafter config init` writes a file to begin with")),
            None => Usage::new(e),
        },
    })
}

fn told(watch: &Watch, setup: &Setup, served: bool) -> String {
    let whom = match &watch.notify {
        Some(notify) => format!("messages go to {notify}"),
        None if setup.channels.is_empty() => {
            "nobody is told yet: add a [[notifier]] and --notify NOTIFIER:ADDRESS".to_owned()
        }
        None => "messages go to its owner".to_owned(),
    };
    let server = if served { "the server has it within seconds" } else { "start the server: notafter serve" };
    format!("watched every {} s; {whom}; {server}", watch.every)
}

fn list(data: &Data, now: notafter_core::UnixTime) -> Result<End, Usage> {
    let store = data.open_existing(now)?;
    let (list, _) = watches::read(&store).map_err(|e| data.explain(&e))?;
    let mut text = String::new();
    for watch in &list {
        let notify = watch.notify.as_deref().unwrap_or("its owner");
        text.push_str(&format!("{}  every {} s, tells {notify}\n", watch.targets.join(" "), watch.every));
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

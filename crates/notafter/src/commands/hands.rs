//! What people do by hand: `ack`, `snooze`, `own`, `retire`. On the data folder, also while the server runs:
//! it sees the change within seconds.

use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_core::query::Query;
use notafter_engine::clock::SystemClock;
use notafter_engine::hands::{Ask, Refused, hold};
use notafter_store::Store;

use super::{End, Usage};
use crate::assemble;
use crate::cli::{Ack, Global, Own, Retire, Snooze};
use crate::data::{Data, who};
use crate::moment;
use crate::print;

/// The memory that the global flags and the configuration name.
pub(crate) fn memory(global: &Global) -> Result<(Data, std::sync::Arc<Store>, UnixTime), Usage> {
    let now = SystemClock::new().now();
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    let data = Data::find(global, &sheet)?;
    let store = data.open_existing(now)?;
    if let Ok(services) = sheet.services() {
        store.set_services(services.into_iter().map(|s| (s.name, s.places)).collect());
    }
    Ok((data, store, now))
}

pub(crate) fn ack(global: &Global, args: &Ack) -> Result<End, Usage> {
    let until = args.until.as_deref();
    each(global, &args.ids, until, args.note.as_deref().unwrap_or_default(), false)
}

pub(crate) fn snooze(global: &Global, args: &Snooze) -> Result<End, Usage> {
    each(global, &args.ids, Some(&args.until), args.note.as_deref().unwrap_or_default(), true)
}

fn each(
    global: &Global,
    ids: &[String],
    until: Option<&str>,
    note: &str,
    snooze: bool,
) -> Result<End, Usage> {
    let (data, store, now) = memory(global)?;
    let asked = until
        .map(|text| {
            let relative = if text.bytes().all(|b| b.is_ascii_digit()) {
                // A bare number counts days, as in queries.
                format!("+{text}d")
            } else if text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains('-') {
                format!("+{text}")
            } else {
                text.to_owned()
            };
            moment::parse_at(&relative, now)
                .map_err(|e| Usage::new(e).hint("write 3d, +3d, 2026-12-24 or 2026-12-24T08:00:00Z"))
        })
        .transpose()?;
    let by = who();
    for id in ids {
        let ask = Ask { by: &by, until: asked, note, snooze };
        match hold(&store, id, &ask, now) {
            Ok(alert) => {
                let until = alert.hold.as_ref().map_or(now, |h| h.until);
                let what = if snooze { "quiet" } else { "acknowledged" };
                let cut = asked.is_some_and(|a| a > until);
                let why = if cut { " (not longer: the deadline comes first)" } else { "" };
                print::out(format!("{} {}: {what} until {until}{why}\n", alert.id(), alert.title).as_bytes());
            }
            Err(Refused::Resolved(alert)) => {
                print::out(
                    format!("{} {}: over already, it was seen to be mended\n", alert.id(), alert.title)
                        .as_bytes(),
                );
            }
            Err(Refused::Store(error)) => return Err(data.explain(&error)),
            Err(refused) => {
                return Err(Usage::new(refused.to_string()).hint("`notafter ls --alerts` lists what is open"));
            }
        }
    }
    Ok(End::Done)
}

pub(crate) fn own(global: &Global, args: &Own) -> Result<End, Usage> {
    let (data, store, now) = memory(global)?;
    let query = Query::parse(&args.query).map_err(|e| Usage::new(e.message).hint(e.hint))?;
    let owner = (args.owner != "none").then_some(args.owner.as_str());
    let lines = store.own(&query, owner, &who(), now).map_err(|e| data.explain(&e))?;
    let whose =
        owner.map_or_else(|| "is nobody's by hand any more".to_owned(), |o| format!("belongs to {o}"));
    let plural = if lines == 1 { "line" } else { "lines" };
    print::out(format!("{lines} {plural} of certificates, and what follows in them, {whose}\n").as_bytes());
    Ok(End::Done)
}

pub(crate) fn retire(global: &Global, args: &Retire) -> Result<End, Usage> {
    let (data, store, now) = memory(global)?;
    let ended = store.retire(&args.location, &args.reason, &who(), now).map_err(|e| data.explain(&e))?;
    if ended == 0 {
        return Err(Usage::new(format!("nothing is known at {}", args.location)).hint(
            "write the place as `notafter ls` and the messages do: tls://10.0.0.5:443?sni=a.example.com",
        ));
    }
    let text =
        format!("{} is retired: what was seen there is history; a new sighting revives it\n", args.location);
    print::out(text.as_bytes());
    Ok(End::Done)
}

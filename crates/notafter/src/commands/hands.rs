//! What people do by hand: `ack`, `snooze`, `own`, `retire`. On the data folder, also while the server runs:
//! it sees the change within seconds.

use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_engine::clock::SystemClock;
use notafter_engine::hands::{self, Ask, Refused, hold};
use notafter_engine::setup::Setup;
use notafter_store::Store;
use serde_json::json;

use super::ls::{alert_rows, cell, items};
use super::{End, Usage, no_rows};
use crate::assemble;
use crate::cli::{Ack, Format, Global, Own, Retire, Snooze};
use crate::config::plan::Sheet;
use crate::data::{Data, who};
use crate::moment;
use crate::print;
use crate::print::paper::{Ink, Paper};
use crate::print::table::shown;
use crate::watches;

/// The memory that the global flags and the configuration name.
pub(crate) fn memory(global: &Global) -> Result<(Data, Arc<Store>, UnixTime), Usage> {
    let now = SystemClock::new().now();
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    let data = Data::find(global, &sheet)?;
    let store = data.open_existing(now)?;
    if let Ok(services) = sheet.services() {
        store.set_services(services.into_iter().map(|s| (s.name, s.places)).collect());
    }
    // With a wrong configuration nobody is known, and no name is refused.
    let (watched, _) = watches::read(&store).map_err(|e| data.explain(&e))?;
    if let Ok(setup) = sheet.mute_setup(&watched) {
        store.set_names(setup.owner_names(), setup.sources.iter().map(|s| s.name.clone()).collect());
    }
    Ok((data, store, now))
}

/// What the server is told to do, or would be: the configuration and what is watched. Nobody is told anything by it, and
/// no secret of a notifier is asked for.
pub(crate) fn setup(global: &Global, data: &Data, store: &Store) -> Result<(Sheet, Setup), Usage> {
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    let (watched, _) = watches::read(store).map_err(|e| data.explain(&e))?;
    let setup = sheet.mute_setup(&watched).map_err(|e| assemble::explained(&sheet, &e))?;
    Ok((sheet, setup))
}

/// The same for a command that sends: every channel is opened.
pub(crate) fn telling_setup(global: &Global, data: &Data, store: &Store) -> Result<(Sheet, Setup), Usage> {
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    let (watched, _) = watches::read(store).map_err(|e| data.explain(&e))?;
    let setup = sheet.setup(&watched).map_err(|e| assemble::explained(&sheet, &e))?;
    Ok((sheet, setup))
}

/// The instant by which something is judged or counted: `--at`, else now.
pub(crate) fn instant(global: &Global, now: UnixTime) -> Result<UnixTime, Usage> {
    let Some(text) = &global.at else { return Ok(now) };
    moment::parse_at(text, now).map_err(|e| Usage::new(e).hint("write 2027-03-01 or +30d"))
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
    if note.chars().count() > hands::NOTE_MAX {
        return Err(Usage::new(format!("the note has more than {} letters", hands::NOTE_MAX))
            .hint("say it shorter: it stands in every list"));
    }
    // All of them, or none: a mistyped id must not leave half of it done.
    hands::find_all(&store, ids).map_err(|refused| not_done(&data, refused))?;
    let by = who();
    let rows = global.format() != Format::Table;
    let mut held = Vec::new();
    for id in ids {
        let ask = Ask { by: &by, until: asked, note, snooze };
        match hold(&store, id, &ask, now) {
            // How long it is held is in it, and that it is over.
            Ok(alert) if rows => held.push(alert),
            Err(Refused::Resolved(alert)) if rows => held.push(*alert),
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
            Err(refused) => {
                if rows {
                    // What was done before stands.
                    alert_rows(global.format(), &held);
                }
                return Err(not_done(&data, refused));
            }
        }
    }
    Ok(if rows { alert_rows(global.format(), &held) } else { End::Done })
}

fn not_done(data: &Data, refused: Refused) -> Usage {
    match refused {
        Refused::Store(error) => data.explain(&error),
        refused => Usage::new(refused.to_string()).hint("`notafter ls --alerts` lists what is open"),
    }
}

pub(crate) fn own(global: &Global, args: &Own) -> Result<End, Usage> {
    no_rows(global, "own")?;
    let (data, store, now) = memory(global)?;
    let text = super::ls::words(std::slice::from_ref(&args.query));
    let query = super::ls::parse(&text, &data, &store)?;
    hands::says_something(&query)?;
    let owner = (args.owner != "none").then_some(args.owner.as_str());
    if let Some(owner) = owner {
        hands::known_owner(&setup(global, &data, &store)?.1, owner)?;
    }
    let failed = |e| data.explain(&e);
    if store.count(&query, 1, now).map_err(failed)? == 0 {
        return Err(Usage::new(format!("nothing in the inventory is found by `{text}`"))
            .hint("try the query with `notafter ls` first"));
    }
    let lines = store.own(&query, owner, &who(), now).map_err(failed)?;
    if global.format() != Format::Table {
        let done =
            json!({ "query": text, "owner": owner, "lines": lines, "by": who(), "at": now.to_string() });
        print::out(format!("{done}\n").as_bytes());
        return Ok(End::Done);
    }
    let whose = owner.map_or_else(|| "nobody's by hand".to_owned(), |o| format!("{o}'s by hand"));
    let text = match (lines, owner) {
        (0, _) => format!("nothing to change: what is found is {whose} already\n"),
        (_, Some(owner)) => format!("{} belong to {owner}, with all that follows in them\n", of_lines(lines)),
        (_, None) => format!("{} are nobody's by hand any more\n", of_lines(lines)),
    };
    print::out(text.as_bytes());
    Ok(End::Done)
}

fn of_lines(n: u64) -> String {
    if n == 1 { "the certificates of 1 line".to_owned() } else { format!("the certificates of {n} lines") }
}

pub(crate) fn retire(global: &Global, args: &Retire) -> Result<End, Usage> {
    if args.list {
        return retired(global);
    }
    no_rows(global, "retire LOCATION")?;
    let (data, store, now) = memory(global)?;
    let (Some(location), Some(reason)) = (&args.location, &args.reason) else {
        return Err(
            Usage::new("a place and a reason are needed").hint("notafter retire LOCATION --reason WHY")
        );
    };
    hands::says_why(reason)?;
    let Some(place) = store.place(location).map_err(|e| data.explain(&e))? else {
        return Err(Usage::new(format!("nothing is known at {location}")).hint(
            "write the place as `notafter ls` and the messages do: tls://10.0.0.5:443?sni=a.example.com",
        ));
    };
    let seen = place.placements.iter().any(|p| p.gone.is_none()) || !place.keys.is_empty();
    store.retire(location, reason, &who(), now).map_err(|e| data.explain(&e))?;
    if global.format() != Format::Table {
        let was = match (seen, place.blind.is_some()) {
            (true, _) => "seen",
            (false, true) => "blind",
            (false, false) => "empty",
        };
        let done = json!({
            "location": location, "at": now.to_string(), "by": who(), "reason": reason, "was": was,
        });
        print::out(format!("{done}\n").as_bytes());
        return Ok(End::Done);
    }
    let what = match (seen, place.blind.is_some()) {
        (true, _) => "what was seen there is history",
        (false, true) => "nobody is told any more that it cannot be seen",
        (false, false) => "nothing was there any more",
    };
    print::out(format!("{location} is retired: {what}; a new sighting revives it\n").as_bytes());
    Ok(End::Done)
}

/// What was retired and not seen again: the places that nobody misses because somebody said so.
fn retired(global: &Global) -> Result<End, Usage> {
    let (data, store, _) = memory(global)?;
    let rows = store.retired().map_err(|e| data.explain(&e))?;
    let document = |(location, at, reason, by): &(
        notafter_core::location::Location,
        UnixTime,
        String,
        String,
    )| {
        json!({ "location": location.as_str(), "at": at.to_string(), "by": by, "reason": reason })
    };
    if global.format() != Format::Table {
        return Ok(items(
            global.format(),
            &rows,
            document,
            "at,by,location,reason",
            |(location, at, reason, by)| vec![cell(at), cell(by), cell(location), cell(reason)],
        ));
    }
    let mut paper = Paper::new(print::colours(global.color), print::width());
    for (location, at, reason, by) in &rows {
        paper.put(Ink::Plain, &format!("{at}  ")).line(Ink::Bold, &shown(location));
        paper.paragraph(Ink::Dim, 22, &notafter_pki::name::printable(&format!("by {by}: {reason}")));
    }
    if rows.is_empty() {
        paper.line(Ink::Plain, "nothing is retired");
    }
    print::out(paper.into_text().as_bytes());
    Ok(End::Done)
}

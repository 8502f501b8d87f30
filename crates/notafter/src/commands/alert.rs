//! `alert test ITEM`: a real message about a real thing, by the real channels, and what came of it.
//!
//! It goes the way of every message: a running server sends it, else this command does, and what came of it is noted
//! as for any other, so that a channel which works again is known to.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use notafter_act::notifiers::{BuildCx, Outgoing as Preview};
use notafter_act::roots::Roots;
use notafter_core::UnixTime;
use notafter_core::alert::{Delivery, Outgoing};
use notafter_core::clock::Clock;
use notafter_core::finding::Severity;
use notafter_core::joints::Cx;
use notafter_core::notice::{Item, Notice};
use notafter_engine::clock::SystemClock;
use notafter_engine::hands;
use notafter_engine::notify::{self, Desk};
use notafter_engine::setup::{Setup, channel_name};
use notafter_store::Store;
use notafter_store::queries::Sort;
use notafter_store::rows::AssetRow;
use serde_json::{Value, json};

use super::hands::{memory, telling_setup};
use super::{End, Usage, no_rows, runtime};
use crate::assemble;
use crate::cli::{AlertTest, Format, Global};
use crate::config::plan::{self, Sheet};
use crate::data::{Data, who};
use crate::print;

/// So many seconds a server leaves a message to the command that wrote it.
const OURS: i64 = 60;
/// So many seconds the server has for a first attempt.
const WAIT: u64 = 45;

pub(crate) fn test(global: &Global, args: &AlertTest) -> Result<End, Usage> {
    no_rows(global, "alert test")?;
    let (data, store, now) = memory(global)?;
    let (sheet, setup) = telling_setup(global, &data, &store)?;
    let text = args.item.as_deref();
    let mut named =
        text.map(|t| hands::item(&store, &setup, t)).transpose().map_err(|e| data.explain(&e))?.flatten();
    let row = if named.is_some() { None } else { find(&data, &store, text, now)? };
    if let Some(row) = &row {
        let owner = row.owner.clone().unwrap_or_else(|| setup.last_resort.clone());
        named = Some(hands::Item { owner, about: row.title.clone() });
    }
    let owner = match (&args.owner, &named) {
        (Some(owner), _) => owner.clone(),
        (None, Some(item)) => item.owner.clone(),
        (None, None) => setup.last_resort.clone(),
    };
    let about = named.map_or_else(|| format!("the owner {owner}"), |item| item.about);
    let channels = channels(&setup, &owner)?;
    let item = hands::Item { owner: owner.clone(), about: about.clone() };
    let mut notice = hands::test_notice(&setup, &item, &who(), now);
    if let Some(row) = &row {
        notice.deadline = row.not_after;
        notice.items = vec![line(row, now)];
    }
    if args.preview {
        notice.instance = notify::instance(&store).map_err(|e| data.explain(&e))?;
        return preview(global, &sheet, &channels, &notice, now);
    }
    let served = data.is_served();
    // Whoever else serves this memory leaves it to us for a while.
    let due = if served { now } else { now.plus(OURS) };
    let sent = hands::test(&store, &setup, notice, &about, &who(), due).map_err(|e| data.explain(&e))?;
    if sent.is_empty() {
        return Err(no_channel(&owner));
    }
    let mut told = Told { rows: (global.format() != Format::Table).then(Vec::new), failed: false };
    if served {
        if !global.quiet {
            print::note("the server sends it within seconds");
        }
        wait(&data, &store, &sent, &mut told)?;
    } else {
        send(&data, &store, &setup, sent, &mut told)?;
    }
    Ok(told.end(&owner))
}

/// What came of each message: said at once, or kept for one document.
struct Told {
    rows: Option<Vec<Value>>,
    failed: bool,
}

impl Told {
    /// Says what came of one; `heard`: it was tried.
    fn one(&mut self, message: &Outgoing, heard: bool) {
        self.failed |= message.delivery != Delivery::Sent;
        let channel = channel_name(&message.notifier, message.to.as_deref());
        let error = message.error.as_deref().unwrap_or_default();
        if let Some(rows) = &mut self.rows {
            rows.push(json!({
                "id": message.id, "channel": channel, "state": message.delivery.as_str(),
                "attempts": message.attempts, "error": message.error,
            }));
            return;
        }
        let text = match message.delivery {
            _ if !heard => format!("{channel}: no answer within {WAIT} s; the server goes on trying\n"),
            Delivery::Sent => format!("{channel}: taken over; look whether it arrives\n"),
            Delivery::Failed => format!("{channel}: not delivered: {error}\n"),
            Delivery::Pending | Delivery::Late => {
                format!("{channel}: not delivered: {error}\n  a running server tries again\n")
            }
        };
        print::out(text.as_bytes());
    }

    fn end(self, owner: &str) -> End {
        if let Some(rows) = self.rows {
            print::out(format!("{}\n", json!({ "owner": owner, "items": rows })).as_bytes());
        }
        if self.failed { End::Failed } else { End::Done }
    }
}

fn find(data: &Data, store: &Store, item: Option<&str>, now: UnixTime) -> Result<Option<AssetRow>, Usage> {
    let Some(text) = item else { return Ok(None) };
    let query = super::ls::parse(&super::ls::words(&[text.to_owned()]), data, store)?;
    let page = store.assets(&query, Sort::Ends, None, 1, now).map_err(|e| data.explain(&e))?;
    match page.rows.into_iter().next() {
        Some(row) => Ok(Some(row)),
        None => Err(Usage::new(format!("nothing in the inventory is found by `{text}`"))
            .hint("name something that `notafter ls` shows, or leave it out to test the channels alone")),
    }
}

type Channels = Vec<(String, Option<String>)>;

fn channels(setup: &Setup, owner: &str) -> Result<Channels, Usage> {
    hands::known_owner(setup, owner)?;
    let mut list = setup.people.get(owner).map(|p| p.notify.clone()).unwrap_or_default();
    if list.is_empty() {
        list = setup.people.get(&setup.last_resort).map(|p| p.notify.clone()).unwrap_or_default();
    }
    if list.is_empty() {
        return Err(no_channel(owner));
    }
    Ok(list)
}

fn no_channel(owner: &str) -> Usage {
    Usage::new(format!("{owner} has no channel, and neither has the owner of last resort"))
        .hint("add a [[notifier]] and name it in `notify` of an [[owner]]; `notafter config init` shows how")
}

/// An asset as a line of a message.
fn line(row: &AssetRow, now: UnixTime) -> Item {
    Item {
        finding: String::new(),
        kind: row.kind.as_str().to_owned(),
        severity: row.severity.unwrap_or(Severity::Info),
        name: row.title.clone(),
        summary: match row.not_after {
            Some(end) => format!("{} ends {}", row.title, notafter_core::dossier::days_text(end, now)),
            None => row.title.clone(),
        },
        hint: "nothing is to be done: this is a test".to_owned(),
        deadline: row.not_after,
        places: row.place.iter().map(ToString::to_string).collect(),
        more_places: (row.places as usize).saturating_sub(1),
    }
}

fn preview(
    global: &Global,
    sheet: &Sheet,
    channels: &Channels,
    notice: &Notice,
    now: UnixTime,
) -> Result<End, Usage> {
    let rows = global.format() != Format::Table;
    let mut shown = Vec::new();
    for (name, to) in channels {
        let table = sheet.config.notifier.iter().find(|t| t.name.get_ref() == name);
        let Some(table) = table else { continue };
        let settings = plan::rest(table).map_err(Usage::new)?;
        let kind = plan::kind(table).map_err(Usage::new)?;
        let out = Preview { to: to.as_deref(), notice, now };
        let text = (kind.preview)(settings, &BuildCx { roots: Roots::read() }, &out).map_err(Usage::new)?;
        let channel = channel_name(name, to.as_deref());
        if rows {
            shown.push(json!({ "channel": channel, "state": "preview", "text": text }));
        } else {
            print::out(format!("# {channel}\n{text}\n").as_bytes());
        }
    }
    if rows {
        print::out(format!("{}\n", json!({ "owner": notice.owner, "items": shown })).as_bytes());
    }
    Ok(End::Done)
}

/// Waits for the server to try each of them once.
fn wait(data: &Data, store: &Store, sent: &[Outgoing], told: &mut Told) -> Result<(), Usage> {
    let mut missing: BTreeSet<&str> = sent.iter().map(|m| m.id.as_str()).collect();
    let runtime = runtime()?;
    let mut beat = {
        let _inside = runtime.enter();
        tokio::time::interval(Duration::from_millis(250))
    };
    for _ in 0..WAIT * 4 {
        runtime.block_on(beat.tick());
        for message in store.outgoing(None, 200).map_err(|e| data.explain(&e))? {
            if message.attempts > 0 && missing.remove(message.id.as_str()) {
                told.one(&message, true);
            }
        }
        if missing.is_empty() {
            break;
        }
    }
    for message in sent.iter().filter(|m| missing.contains(m.id.as_str())) {
        told.one(message, false);
    }
    Ok(())
}

/// Sends them from here, where no server does, and notes what came of it as the server would.
fn send(
    data: &Data,
    store: &Store,
    setup: &Setup,
    sent: Vec<Outgoing>,
    told: &mut Told,
) -> Result<(), Usage> {
    let runtime = runtime()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let instance = notify::instance(store).map_err(|e| data.explain(&e))?;
    let mut desk = Desk::open(store, Arc::new(|_: &str| {})).map_err(|e| data.explain(&e))?;
    for mut message in sent {
        let Some(channel) = setup.channels.get(&message.notifier) else { continue };
        let cx = Cx::new(Arc::clone(&clock), assemble::vantage());
        message.notice.instance.clone_from(&instance);
        let result = runtime.block_on(channel.notifier.notify(&cx, message.to.as_deref(), &message.notice));
        let id = message.id.clone();
        desk.delivered(store, setup, message, result, clock.now()).map_err(|e| data.explain(&e))?;
        let known = store.outgoing(None, 200).map_err(|e| data.explain(&e))?;
        for message in known.iter().filter(|m| m.id == id) {
            told.one(message, true);
        }
    }
    Ok(())
}

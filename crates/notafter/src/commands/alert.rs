//! `alert test ITEM`: a real message about a real thing, by the real channels, and what came of it.

use std::sync::Arc;

use notafter_act::notifiers::{BuildCx, Outgoing as Preview};
use notafter_act::roots::Roots;
use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_core::finding::Severity;
use notafter_core::joints::Cx;
use notafter_core::notice::{Event, Item, Notice};
use notafter_engine::clock::SystemClock;
use notafter_engine::setup::{Setup, channel_name};
use notafter_store::Store;
use notafter_store::alerts::AuditLine;
use notafter_store::queries::Sort;
use notafter_store::rows::AssetRow;

use super::hands::memory;
use super::{End, Usage};
use crate::assemble;
use crate::cli::{AlertTest, Global};
use crate::config::plan::{self, Sheet};
use crate::data::{Data, who};
use crate::print;
use crate::watches;

pub(crate) fn test(global: &Global, args: &AlertTest) -> Result<End, Usage> {
    let (data, store, now) = memory(global)?;
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    let (watches, _) = watches::read(&store).map_err(|e| data.explain(&e))?;
    let setup = sheet.setup(&watches).map_err(|e| match &sheet.file {
        Some(file) => assemble::explain(file, &e),
        None => Usage::new(e),
    })?;
    let item = find(&data, &store, args.item.as_deref(), now)?;
    let owner = match &args.owner {
        Some(owner) => owner.clone(),
        None => item.as_ref().and_then(|r| r.owner.clone()).unwrap_or_else(|| setup.last_resort.clone()),
    };
    let channels = channels(&setup, &owner)?;
    let notice = notice(&setup, &owner, item.as_ref(), now);
    if args.preview {
        return preview(&sheet, &channels, &notice, now);
    }
    send(&data, &store, &setup, &owner, &channels, &notice, now)
}

fn find(data: &Data, store: &Store, item: Option<&str>, now: UnixTime) -> Result<Option<AssetRow>, Usage> {
    let Some(text) = item else { return Ok(None) };
    let query = super::ls::parse(text)?;
    let page = store.assets(&query, Sort::Ends, None, 1, now).map_err(|e| data.explain(&e))?;
    match page.rows.into_iter().next() {
        Some(row) => Ok(Some(row)),
        None => Err(Usage::new(format!("nothing in the inventory is found by `{text}`"))
            .hint("name something that `notafter ls` shows, or leave it out to test the channels alone")),
    }
}

type Channels = Vec<(String, Option<String>)>;

fn channels(setup: &Setup, owner: &str) -> Result<Channels, Usage> {
    let person = setup.people.get(owner).ok_or_else(|| {
        let known: Vec<_> = setup.people.keys().cloned().collect();
        Usage::new(format!("no owner is called `{owner}`")).hint(format!("known are {}", known.join(", ")))
    })?;
    let mut list = person.notify.clone();
    if list.is_empty() {
        list = setup.people.get(&setup.last_resort).map(|p| p.notify.clone()).unwrap_or_default();
    }
    if list.is_empty() {
        return Err(Usage::new(format!("{owner} has no channel, and neither has the owner of last resort"))
            .hint("add a [[notifier]] and name it in `notify` of an [[owner]]; `notafter config init` shows how"));
    }
    Ok(list)
}

fn notice(setup: &Setup, owner: &str, item: Option<&AssetRow>, now: UnixTime) -> Notice {
    let items = item
        .map(|row| Item {
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
        })
        .into_iter()
        .collect();
    Notice {
        id: format!("test-{}-{owner}", now.0),
        event: Event::Test,
        severity: Severity::Info,
        alert: None,
        owner: owner.to_owned(),
        title: match item {
            Some(row) => format!("a test about {}", row.title),
            None => "a test".to_owned(),
        },
        text: format!("{} asked for this test. If you read it, alerts for {owner} arrive here.", who()),
        hint: "nothing is to be done".to_owned(),
        deadline: item.and_then(|row| row.not_after),
        items,
        more: 0,
        acknowledge_url: None,
        acknowledge_command: None,
        page_url: setup.public_url.clone(),
        at: now,
    }
}

fn preview(sheet: &Sheet, channels: &Channels, notice: &Notice, now: UnixTime) -> Result<End, Usage> {
    for (name, to) in channels {
        let table = sheet.config.notifier.iter().find(|t| t.name.get_ref() == name);
        let Some(table) = table else { continue };
        let settings = plan::rest(table).map_err(Usage::new)?;
        let kind = plan::kind(table).map_err(Usage::new)?;
        let out = Preview { to: to.as_deref(), notice, now };
        let text = (kind.preview)(settings, &BuildCx { roots: Roots::read() }, &out).map_err(Usage::new)?;
        print::out(format!("# {}\n{text}\n", channel_name(name, to.as_deref())).as_bytes());
    }
    Ok(End::Done)
}

fn send(
    data: &Data,
    store: &Store,
    setup: &Setup,
    owner: &str,
    channels: &Channels,
    notice: &Notice,
    now: UnixTime,
) -> Result<End, Usage> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Usage::new(format!("no runtime: {e}")))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut failed = false;
    for (name, to) in channels {
        let shown = channel_name(name, to.as_deref());
        let Some(channel) = setup.channels.get(name) else { continue };
        let cx = Cx::new(Arc::clone(&clock), assemble::vantage());
        let result = runtime.block_on(channel.notifier.notify(&cx, to.as_deref(), notice));
        let (text, detail) = match &result {
            Ok(()) => (format!("{shown}: taken over; look whether it arrives\n"), "taken over".to_owned()),
            Err(fault) => {
                failed = true;
                let hint = fault.hint.as_ref().map(|h| format!("\n  hint: {h}")).unwrap_or_default();
                (format!("{shown}: not delivered: {fault}{hint}\n"), fault.to_string())
            }
        };
        print::out(text.as_bytes());
        let line = AuditLine {
            at: now,
            who: who(),
            what: "alert-tested".to_owned(),
            subject: owner.to_owned(),
            detail: format!("{shown}: {detail}"),
        };
        store.audit(&line).map_err(|e| data.explain(&e))?;
    }
    Ok(if failed { End::Failed } else { End::Done })
}

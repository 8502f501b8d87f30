//! What the API changes: acknowledge, snooze, retire, own, scan now, a test message, a calendar's link, a reply.
//!
//! The gate in front has asked for the token already; it is asked again here, so that a hole in one of the
//! two is not a hole in both. Every deed is written into the audit trail by the code that does it.

use std::sync::Arc;

use axum::extract::State as With;
use axum::http::StatusCode;
use axum::response::Response;
use notafter_core::UnixTime;
use notafter_core::query::{Query, nearest};
use notafter_engine::hands::{self, Ask};
use notafter_engine::setup::Setup;
use notafter_store::Store;
use notafter_store::alerts::AuditLine;
use serde::Deserialize;

use super::args::{Args, Body, instant, plain};
use super::lists::one_asset;
use super::problem::Problem;
use super::told::AlertItem;
use super::who::Known;
use super::{json, json_with, with_store};
use crate::app::State;
use crate::calendar;
use crate::replies::{self, Given};
use crate::saved::{self, By, NAME_MAX, SavedView};

type Answered = Result<Response, Problem>;

/// A note or a reason may have so many characters.
const NOTE_MAX: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acknowledge {
    until: Option<String>,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Snooze {
    until: String,
    #[serde(default)]
    note: String,
}

pub(crate) async fn acknowledge(
    Known(by): Known,
    With(app): With<State>,
    args: Args,
    Body(body): Body<Acknowledge>,
) -> Answered {
    let until = body.until.as_deref().map(|text| instant("until", text)).transpose()?;
    hold(&app, by, &args, until, body.note, false).await
}

pub(crate) async fn snooze(
    Known(by): Known,
    With(app): With<State>,
    args: Args,
    Body(body): Body<Snooze>,
) -> Answered {
    let until = instant("until", &body.until)?;
    hold(&app, by, &args, Some(until), body.note, true).await
}

async fn hold(
    app: &State,
    by: String,
    args: &Args,
    until: Option<UnixTime>,
    note: String,
    snooze: bool,
) -> Answered {
    plain("note", &note, 0, NOTE_MAX)?;
    let id = args.text("id").unwrap_or("").to_owned();
    let done = with_store(app, move |store, now| {
        let ask = Ask { by: &by, until, note: &note, snooze };
        let alert = hands::hold(store, &id, &ask, now)?;
        json(&AlertItem::of(alert))
    })
    .await?;
    app.handle.wake();
    Ok(done)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Test {
    item: String,
}

pub(crate) async fn test(
    Known(by): Known,
    With(app): With<State>,
    _args: Args,
    Body(body): Body<Test>,
) -> Answered {
    plain("item", &body.item, 1, 500)?;
    let setup = app.handle.setup();
    let sent = with_store(&app, move |store, now| {
        let item = item_of(store, &setup, &body.item)?;
        let notice = hands::test_notice(&setup, &item, &by, now);
        let hands::Item { owner, about } = item;
        let messages = hands::test(store, &setup, notice, &about, &by, now)?;
        if messages.is_empty() {
            return Err(Problem::conflict(format!("{owner} has no channel, and the last resort has none"))
                .hint("give the owner a `notify` in notafter.toml"));
        }
        let ids: Vec<_> = messages.iter().map(|m| m.id.as_str()).collect();
        let document = serde_json::json!({"owner": owner, "deliveries": ids});
        json_with(StatusCode::ACCEPTED, &document)
    })
    .await?;
    app.handle.wake();
    Ok(sent)
}

/// Who would be told about this: an owner by name, or the one of an alert, a finding or an asset.
fn item_of(store: &Store, setup: &Setup, item: &str) -> Result<hands::Item, Problem> {
    if let Some(item) = hands::item(store, setup, item)? {
        return Ok(item);
    }
    let hex = item.strip_prefix("sha256:").unwrap_or(item);
    if (2..=64).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        let row = one_asset(store, item)?.row;
        let owner = row.owner.unwrap_or_else(|| setup.last_resort.clone());
        return Ok(hands::Item { owner, about: row.title });
    }
    Err(Problem::not_found("no owner, alert, finding or asset is called so")
        .hint("name an owner, an alert (a17), a finding or the beginning of an asset's id"))
}

pub(crate) async fn scan(Known(by): Known, With(app): With<State>, args: Args) -> Answered {
    let name = args.text("name").unwrap_or("").to_owned();
    let setup = app.handle.setup();
    let known = || setup.sources.iter().map(|p| p.name.as_str());
    if !known().any(|n| n == name) {
        let problem = Problem::not_found("no source is called so");
        return Err(match nearest(&name, known()) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem,
        });
    }
    let source = name.clone();
    with_store(&app, move |store, now| {
        let line = AuditLine {
            at: now,
            who: by,
            what: "source-started".to_owned(),
            subject: source,
            detail: "by hand".to_owned(),
        };
        store.audit(&line).map_err(Problem::from)
    })
    .await?;
    app.handle.scan_now(&name);
    json_with(StatusCode::ACCEPTED, &serde_json::json!({"source": name}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reply {
    reply: String,
}

pub(crate) async fn reply(
    Known(by): Known,
    With(app): With<State>,
    args: Args,
    Body(body): Body<Reply>,
) -> Answered {
    let name = args.text("name").unwrap_or("").to_owned();
    if body.reply.trim().is_empty() {
        return Err(Problem::bad_request("`reply` must have 1 to 65536 characters"));
    }
    let given = Arc::clone(&app);
    with_store(&app, move |_, _| {
        let waits_on = || format!("{name} waits on; nothing was changed");
        match replies::give(&given, &name, body.reply.as_bytes(), &by)? {
            Given::Taken { issuer, not_after } => json(&serde_json::json!({
                "certificate": name, "issuer": issuer, "not_after": super::answers::text(not_after),
            })),
            Given::Unknown => Err(Problem::not_found("no certificate that is kept alive here is called so")
                .hint("/api/v1/renewals lists them")),
            Given::Unasked => Err(Problem::conflict("it waits for no certificate that somebody brings")
                .hint("a renewal that does has a `request`; notafter renew NAME begins one")),
            Given::Refused(why) => {
                let why = notafter_pki::name::printable(&why);
                Err(Problem::bad_request(format!("it is not taken: {why}")).hint(waits_on()))
            }
            Given::Broken(why) => Err(Problem::unwell(notafter_pki::name::printable(&why)).hint(waits_on())),
        }
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retire {
    location: String,
    reason: String,
}

pub(crate) async fn retire(
    Known(by): Known,
    With(app): With<State>,
    _args: Args,
    Body(body): Body<Retire>,
) -> Answered {
    plain("location", &body.location, 1, 4000)?;
    plain("reason", &body.reason, 1, NOTE_MAX)?;
    hands::says_why(&body.reason).map_err(|e| Problem::bad_request(e.message).hint(e.hint))?;
    let done = with_store(&app, move |store, now| {
        let known = store.place(&body.location)?;
        if known.is_none() {
            return Err(Problem::not_found("nothing was ever seen at this place"));
        }
        let ended = store.retire(&body.location, &body.reason, &by, now)?;
        json(&serde_json::json!({"location": body.location, "ended": ended}))
    })
    .await?;
    app.handle.wake();
    Ok(done)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Own {
    query: String,
    /// Null takes it back; it must be said.
    #[serde(deserialize_with = "Option::deserialize")]
    owner: Option<String>,
}

pub(crate) async fn own(
    Known(by): Known,
    With(app): With<State>,
    _args: Args,
    Body(body): Body<Own>,
) -> Answered {
    plain("query", &body.query, 1, 2000)?;
    let query = Query::parse(&body.query)?;
    hands::says_something(&query).map_err(|e| Problem::bad_request(e.message).hint(e.hint))?;
    if let Some(owner) = &body.owner {
        plain("owner", owner, 1, 200)?;
        known_owner(&app, owner)?;
    }
    let done = with_store(&app, move |store, now| {
        let query = super::lists::known(store, query)?;
        let lines = store.own(&query, body.owner.as_deref(), &by, now)?;
        json(&serde_json::json!({"owner": body.owner, "lines": lines}))
    })
    .await?;
    app.handle.wake();
    Ok(done)
}

pub(crate) async fn save_view(
    Known(by): Known,
    With(app): With<State>,
    _args: Args,
    Body(view): Body<SavedView>,
) -> Answered {
    plain("name", &view.name, 1, NAME_MAX)?;
    plain("q", &view.q, 1, 2000)?;
    with_store(&app, move |store, now| {
        saved::save(store, &view, By { who: &by, at: now })?;
        json(&view)
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenameView {
    name: String,
    to: String,
}

pub(crate) async fn rename_view(
    Known(by): Known,
    With(app): With<State>,
    _args: Args,
    Body(body): Body<RenameView>,
) -> Answered {
    plain("name", &body.name, 1, NAME_MAX)?;
    plain("to", &body.to, 1, NAME_MAX)?;
    with_store(&app, move |store, now| {
        saved::rename(store, &body.name, &body.to, By { who: &by, at: now })?;
        json(&serde_json::json!({"name": body.to}))
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteView {
    name: String,
}

pub(crate) async fn delete_view(
    Known(by): Known,
    With(app): With<State>,
    _args: Args,
    Body(body): Body<DeleteView>,
) -> Answered {
    plain("name", &body.name, 1, NAME_MAX)?;
    with_store(&app, move |store, now| {
        saved::delete(store, &body.name, By { who: &by, at: now })?;
        json(&serde_json::json!({"name": body.name}))
    })
    .await
}

/// An owner that nobody can tell anything would be as good as none.
fn known_owner(app: &State, owner: &str) -> Result<(), Problem> {
    hands::known_owner(&app.handle.setup(), owner).map_err(|e| Problem::not_found(e.message).hint(e.hint))
}

pub(crate) async fn make_calendar(Known(by): Known, With(app): With<State>, args: Args) -> Answered {
    let owner = args.text("owner").unwrap_or("").to_owned();
    known_owner(&app, &owner)?;
    let public = app.handle.setup().public_url.clone();
    with_store(&app, move |store, now| {
        let path = calendar::calendar_link(store, &owner, &by, now)?;
        let url = public.map(|url| format!("{url}{path}"));
        json(&serde_json::json!({"owner": owner, "path": path, "url": url}))
    })
    .await
}

pub(crate) async fn revoke_calendar(Known(by): Known, With(app): With<State>, args: Args) -> Answered {
    let owner = args.text("owner").unwrap_or("").to_owned();
    with_store(&app, move |store, now| {
        if !calendar::revoke(store, &owner, &by, now)? {
            return Err(Problem::not_found("this owner's calendar has no link"));
        }
        json(&serde_json::json!({"owner": owner, "revoked": true}))
    })
    .await
}

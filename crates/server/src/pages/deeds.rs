//! What signed-in people do on the pages: acknowledge, snooze, retire, keep a question, bring a certificate.
//!
//! The gate has let only the token, or a session with its CSRF token, come so far. Every deed goes through
//! `engine::hands` or the store, which write the audit trail; then the engine is woken, and the browser is led
//! back to where it was.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FormRejection};
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode};
use notafter_core::UnixTime;
use notafter_engine::hands::{Ask, hold};
use notafter_pki::time::Civil;
use notafter_store::Store;
use serde::Deserialize;

use super::{Answer, Shared, Who, see_other, work};
use crate::access::Caller;
use crate::app::App;
use crate::parts;
use crate::problem::Problem;
use crate::replies::{self, Given};
use crate::saved::{self, By, NAME_MAX, SavedView};
use crate::words;

/// A note may have so many characters.
const NOTE_MAX: usize = 500;

pub(super) type Filled<T> = Result<Form<T>, FormRejection>;

fn filled<T>(form: Filled<T>) -> Result<T, Problem> {
    form.map(|Form(form)| form)
        .map_err(|_| Problem::bad("The form lacks a field, or has one that cannot be read."))
}

/// Text that a person typed: without control characters, and no longer than it may be.
fn typed(text: &str, most: usize) -> String {
    let text: String = text.trim().chars().filter(|c| !c.is_control()).take(most).collect();
    words::clean(&text)
}

#[derive(Deserialize)]
pub(crate) struct AckForm {
    #[serde(default)]
    pub(crate) note: String,
}

pub(crate) async fn acknowledge(
    State(app): Shared,
    Extension(caller): Who,
    Path(id): Path<String>,
    headers: HeaderMap,
    form: Filled<AckForm>,
) -> Answer {
    let done = match filled(form) {
        Ok(form) => {
            work(&app, move |app| {
                let note = typed(&form.note, NOTE_MAX);
                let ask = Ask { by: caller.name(), until: None, note: &note, snooze: false };
                let alert = hold(&app.handle.store, &id, &ask, app.handle.clock.now())?;
                app.handle.wake();
                Ok(format!("/alerts/{}", alert.id()))
            })
            .await
        }
        Err(problem) => Err(problem),
    };
    lead(&app, &headers, done)
}

#[derive(Deserialize)]
pub(crate) struct SnoozeForm {
    /// `2026-12-01`: quiet until this day begins.
    until: String,
}

pub(crate) async fn snooze(
    State(app): Shared,
    Extension(caller): Who,
    Path(id): Path<String>,
    headers: HeaderMap,
    form: Filled<SnoozeForm>,
) -> Answer {
    let until = filled(form)
        .and_then(|form| day(&form.until).ok_or_else(|| Problem::bad("The day is written as 2026-12-01.")));
    let done = match until {
        Ok(until) => {
            work(&app, move |app| {
                let ask = Ask { by: caller.name(), until: Some(until), note: "", snooze: true };
                let alert = hold(&app.handle.store, &id, &ask, app.handle.clock.now())?;
                app.handle.wake();
                Ok(format!("/alerts/{}", alert.id()))
            })
            .await
        }
        Err(problem) => Err(problem),
    };
    lead(&app, &headers, done)
}

#[derive(Deserialize)]
pub(crate) struct RetireForm {
    location: String,
    reason: String,
}

pub(crate) async fn retire(
    State(app): Shared,
    Extension(caller): Who,
    headers: HeaderMap,
    form: Filled<RetireForm>,
) -> Answer {
    let done = match filled(form) {
        Ok(form) => {
            work(&app, move |app| {
                let reason = typed(&form.reason, NOTE_MAX);
                if reason.is_empty() {
                    return Err(Problem::bad("A place is retired with a reason."));
                }
                let store = &app.handle.store;
                let known = store.place(&form.location)?.is_some();
                if !known {
                    let shown = words::clean(&form.location);
                    return Err(Problem::not_found(format!("Nothing is known of the place {shown}.")));
                }
                store.retire(&form.location, &reason, caller.name(), app.handle.clock.now())?;
                app.handle.wake();
                Ok(format!("/place?at={}", words::encode(&form.location)))
            })
            .await
        }
        Err(problem) => Err(problem),
    };
    lead(&app, &headers, done)
}

/// What a CA without an API sent, pasted or as a file.
pub(crate) async fn reply(
    State(app): Shared,
    Extension(caller): Who,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let done = match brought(&headers, body) {
        Ok(octets) => {
            work(&app, move |app| {
                let shown = words::clean(&name);
                match replies::give(app, &name, &octets, caller.name())? {
                    Given::Taken { .. } => Ok(format!("/renewals/{}", words::encode(&name))),
                    Given::Unknown => {
                        Err(Problem::not_found(format!("No certificate called {shown} is kept alive here.")))
                    }
                    Given::Unasked => Err(Problem::new(
                        StatusCode::CONFLICT,
                        "Nothing is waited for.",
                        format!("{shown} waits for no certificate that somebody brings."),
                    )
                    .hint(format!("notafter renew {} asks for one", words::shell(&name)))),
                    Given::Refused(why) => Err(Problem::new(
                        StatusCode::BAD_REQUEST,
                        "That is not the certificate.",
                        format!("What came is not taken: {}", words::clean(&why)),
                    )
                    .hint(format!("{shown} waits on; nothing was changed"))),
                    Given::Broken(why) => Err(Problem::new(
                        StatusCode::SERVICE_UNAVAILABLE,
                        "It could not be looked at.",
                        words::clean(&why),
                    )
                    .hint("nothing was changed; try again when that is mended")),
                }
            })
            .await
        }
        Err(problem) => Err(problem),
    };
    lead(&app, &headers, done)
}

/// The file, or what was pasted where there is none.
fn brought(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Vec<u8>, Problem> {
    let body = body.map_err(|rejected| Problem::of_status(rejected.status()))?;
    let boundary = parts::boundary(headers)
        .ok_or_else(|| Problem::bad("The form lacks a field, or has one that cannot be read."))?;
    let parts = parts::parts(&body, &boundary);
    let found = ["file", "reply"].iter().filter_map(|name| parts::field(&parts, name));
    let found = found.map(<[u8]>::trim_ascii).find(|value| !value.is_empty());
    found
        .map(<[u8]>::to_vec)
        .ok_or_else(|| Problem::bad("Nothing was brought: paste the certificate, or choose its file."))
}

#[derive(Deserialize)]
pub(crate) struct ViewForm {
    q: String,
    name: String,
}

pub(crate) async fn save_view(
    State(app): Shared,
    Extension(caller): Who,
    headers: HeaderMap,
    form: Filled<ViewForm>,
) -> Answer {
    let done = filled(form).map(|form| {
        let view = SavedView { name: typed(&form.name, NAME_MAX), q: form.q.trim().to_owned() };
        let to = words::ask(&view.q);
        (move |store: &Store, by: By<'_>| saved::save(store, &view, by), to)
    });
    change_views(app, &headers, caller, done).await
}

#[derive(Deserialize)]
pub(crate) struct RenameForm {
    name: String,
    to: String,
    /// The question on the page, to lead back to.
    #[serde(default)]
    q: String,
}

pub(crate) async fn rename_view(
    State(app): Shared,
    Extension(caller): Who,
    headers: HeaderMap,
    form: Filled<RenameForm>,
) -> Answer {
    let done = filled(form).map(|form| {
        let to = typed(&form.to, NAME_MAX);
        (move |store: &Store, by: By<'_>| saved::rename(store, &form.name, &to, by), words::ask(&form.q))
    });
    change_views(app, &headers, caller, done).await
}

#[derive(Deserialize)]
pub(crate) struct DeleteForm {
    name: String,
    #[serde(default)]
    q: String,
}

pub(crate) async fn delete_view(
    State(app): Shared,
    Extension(caller): Who,
    headers: HeaderMap,
    form: Filled<DeleteForm>,
) -> Answer {
    let done = filled(form).map(|form| {
        let back = words::ask(&form.q);
        (move |store: &Store, by: By<'_>| saved::delete(store, &form.name, by), back)
    });
    change_views(app, &headers, caller, done).await
}

/// Changes the views, and leads back to the inventory.
async fn change_views<F>(
    app: Arc<App>,
    headers: &HeaderMap,
    caller: Caller,
    asked: Result<(F, String), Problem>,
) -> Answer
where
    F: FnOnce(&Store, By<'_>) -> Result<(), saved::Refused> + Send + 'static,
{
    let done = match asked {
        Ok((change, to)) => {
            work(&app, move |app| {
                let by = By { who: caller.name(), at: app.handle.clock.now() };
                change(&app.handle.store, by)?;
                Ok(to)
            })
            .await
        }
        Err(problem) => Err(problem),
    };
    lead(&app, headers, done)
}

fn lead(app: &crate::app::App, headers: &HeaderMap, done: Result<String, Problem>) -> Answer {
    match done {
        Ok(to) => see_other(&to),
        Err(problem) => problem.answer(headers, |p| app.problem_page(p)),
    }
}

/// The first instant of `2026-12-01`, UTC.
fn day(text: &str) -> Option<UnixTime> {
    let mut parts = text.trim().splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    UnixTime::from_civil(Civil {
        year: year.parse().ok()?,
        month: month.parse().ok()?,
        day: day.parse().ok()?,
        hour: 0,
        minute: 0,
        second: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        assert_eq!(typed("  a\r\nBcc: b\u{202e} ", 100), "aBcc: b\\u{202e}");
        assert_eq!(typed("abcdef", 3), "abc");
        assert_eq!(day("2026-12-01").unwrap().to_string(), "2026-12-01T00:00:00Z");
        assert!(day("2026-13-01").is_none() && day("tomorrow").is_none());
    }
}

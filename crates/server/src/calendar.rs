//! `/calendar/{owner}.ics?key=...`: what ends, in the calendar of whoever answers for it.
//!
//! Calendar programs can send no token, so each owner has a link with a secret of its own: it opens this one
//! calendar and nothing else, can be made anew and be revoked, and only its hash is kept. A wrong secret, a
//! revoked one and an unknown owner get the same answer.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawPathParams, State as With};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Uri};
use axum::response::Response;
use axum::routing::get;
use notafter_core::UnixTime;
use notafter_core::query::{Query, State as Is, Term, Test};
use notafter_engine::notify::{new_secret, secret_hash};
use notafter_store::alerts::AuditLine;
use notafter_store::{Store, StoreError};

use crate::api::args::pairs;
use crate::api::problem::Problem;
use crate::api::with_store;
use crate::app::State;
use crate::export::{self, Format};
use crate::stream::{self, Purpose};

fn kept_as(owner: &str) -> String {
    format!("calendar/{owner}")
}

/// Makes the link of an owner's calendar; the one before ends. The path holds the secret and is shown once.
///
/// # Errors
/// The store's.
pub fn calendar_link(store: &Store, owner: &str, by: &str, now: UnixTime) -> Result<String, StoreError> {
    let (secret, hash) = new_secret();
    store.keep(&kept_as(owner), &hash, None)?;
    audit(store, "calendar-link-made", owner, by, now)?;
    Ok(format!("/calendar/{}.ics?key={secret}", encode(owner)))
}

/// Ends the link of an owner's calendar. `false`: there was none.
///
/// # Errors
/// The store's.
pub fn revoke(store: &Store, owner: &str, by: &str, now: UnixTime) -> Result<bool, StoreError> {
    let known = store.kept(&kept_as(owner))?.is_some_and(|kept| !kept.value.is_empty());
    if known {
        store.keep(&kept_as(owner), &[], None)?;
        audit(store, "calendar-link-revoked", owner, by, now)?;
    }
    Ok(known)
}

fn audit(store: &Store, what: &str, owner: &str, by: &str, now: UnixTime) -> Result<(), StoreError> {
    store.audit(&AuditLine {
        at: now,
        who: by.to_owned(),
        what: what.to_owned(),
        subject: owner.to_owned(),
        detail: String::new(),
    })
}

/// Does this secret open this owner's calendar?
fn opens(store: &Store, owner: &str, secret: &str) -> Result<bool, StoreError> {
    let kept = store.kept(&kept_as(owner))?.map(|kept| kept.value).unwrap_or_default();
    let given = secret_hash(secret);
    // Hashes are compared: how far two of them agree says nothing about the secret.
    Ok(kept == given)
}

/// The route.
pub(crate) fn routes() -> Router<State> {
    Router::new().route("/calendar/{file}", get(calendar))
}

async fn calendar(With(app): With<State>, path: RawPathParams, uri: Uri) -> Result<Response, Problem> {
    let closed = || {
        Problem::not_found("there is no such calendar, or its link has ended")
            .hint("make a new link for this owner")
    };
    let file = path.iter().next().map(|(_, value)| value.to_owned()).unwrap_or_default();
    let owner = file.strip_suffix(".ics").ok_or_else(closed)?.to_owned();
    let pairs = pairs(uri.query().unwrap_or(""))?;
    let secret = pairs.into_iter().find(|(name, _)| name == "key").map(|(_, value)| value);
    let (secret, asked) = (secret.ok_or_else(closed)?, owner.clone());
    if !with_store(&app, move |store, _now| Ok(opens(store, &asked, &secret)?)).await? {
        return Err(closed());
    }
    let (store, now) = (Arc::clone(&app.handle.store), app.handle.clock.now());
    let name = format!("Certificates of {owner}");
    // What is replaced, or stands in a trust store, may end: as in the weekly digest.
    let terms = vec![
        Term { not: false, test: Test::Owner(Some(owner)) },
        Term { not: true, test: Test::Is(Is::Superseded) },
        Term { not: true, test: Test::Role("trust-anchor".to_owned()) },
    ];
    let query = Query { terms };
    let body = stream::body(Purpose::Export, move |out| {
        Ok(export::write_calendar(&store, &query, &name, now, out).map(drop)?)
    })
    .await?;
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(Format::Calendar.content_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600"));
    Ok(response)
}

/// Percent-encodes a segment of a path.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_fit_into_a_path() {
        for (owner, path) in
            [("web", "web"), ("web team", "web%20team"), ("a/../b", "a%2F..%2Fb"), ("ö", "%C3%B6")]
        {
            assert_eq!(encode(owner), path);
        }
    }
}

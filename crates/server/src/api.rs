//! The API: `/api/v1`, the same structs as `scan`, described by `/api/v1/openapi.json`.
//!
//! `table.rs` is the one list of operations; requests are checked against it and the document is made from
//! it. `lists.rs` answers questions, `deeds.rs` changes things; `answers.rs`, `told.rs` and `looks.rs`
//! have what comes back, `problem.rs` what comes back instead. Who may ask is the gate's business (`access.rs`).

mod answers;
pub(crate) mod args;
mod deeds;
pub(crate) mod lists;
mod looks;
mod openapi;
pub(crate) mod problem;
mod renewals;
mod schemas;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod time;
mod told;
pub(crate) mod who;

/// What `crate::documents` hands on.
pub(crate) mod documents {
    pub(crate) use super::answers::{AssetItem, FindingItem, PlacementItem};
    pub(crate) use super::told::{AlertItem, AuditItem};
}

use std::sync::Arc;

use axum::Router;
use axum::extract::MatchedPath;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use notafter_core::UnixTime;
use notafter_store::Store;
use serde::Serialize;

use crate::app::State;
use problem::Problem;

/// Where everything is.
pub(crate) const BASE: &str = "/api/v1";

/// The routes, each as `table.rs` has it.
pub(crate) fn routes() -> Router<State> {
    let at = |path: &str| format!("{BASE}{path}");
    Router::new()
        .route(&at("/assets"), get(lists::assets))
        .route(&at("/assets/{id}"), get(lists::asset))
        .route(&at("/places"), get(lists::place))
        .route(&at("/findings"), get(lists::findings))
        .route(&at("/findings/{id}"), get(lists::finding))
        .route(&at("/alerts"), get(lists::alerts))
        .route(&at("/alerts/test"), post(deeds::test))
        .route(&at("/alerts/{id}"), get(lists::alert))
        .route(&at("/alerts/{id}/acknowledge"), post(deeds::acknowledge))
        .route(&at("/alerts/{id}/snooze"), post(deeds::snooze))
        .route(&at("/sources"), get(lists::sources))
        .route(&at("/sources/{name}/scan"), post(deeds::scan))
        .route(&at("/blind-spots"), get(lists::blind_spots))
        .route(&at("/services"), get(lists::services))
        .route(&at("/renewals"), get(lists::renewals))
        .route(&at("/renewals/{name}/reply"), post(deeds::reply))
        .route(&at("/forecast"), get(lists::forecast))
        .route(&at("/totals"), get(lists::totals))
        .route(&at("/audit"), get(lists::audit))
        .route(&at("/outgoing"), get(lists::outgoing))
        .route(&at("/retire"), post(deeds::retire))
        .route(&at("/own"), post(deeds::own))
        .route(&at("/views"), get(lists::views))
        .route(&at("/views/save"), post(deeds::save_view))
        .route(&at("/views/rename"), post(deeds::rename_view))
        .route(&at("/views/delete"), post(deeds::delete_view))
        .route(&at("/calendars/{owner}"), post(deeds::make_calendar))
        .route(&at("/calendars/{owner}/revoke"), post(deeds::revoke_calendar))
        .route(&at("/openapi.json"), get(document))
        .route(&at("/{*anything}"), axum::routing::any(nowhere))
        .method_not_allowed_fallback(not_so)
}

async fn document() -> Response {
    json(&openapi::document()).unwrap_or_else(IntoResponse::into_response)
}

async fn nowhere() -> Problem {
    Problem::not_found("the API has no such path").hint("/api/v1/openapi.json lists them")
}

async fn not_so(routed: Option<MatchedPath>) -> Problem {
    Problem::method_not_allowed(&table::allowed(routed.as_ref().map_or("", MatchedPath::as_str)))
}

/// What can be done at a path, for those who say no before a route was found.
pub(crate) fn allow(path: &str) -> HeaderValue {
    let known = path.strip_prefix(BASE).and_then(table::template);
    let allowed = known.map(|template| table::allowed(&format!("{BASE}{template}")));
    let header = allowed.and_then(|text| HeaderValue::from_str(&text).ok());
    header.unwrap_or(HeaderValue::from_static("GET, HEAD, POST"))
}

/// An answer of JSON.
fn json<T: Serialize>(value: &T) -> Result<Response, Problem> {
    json_with(StatusCode::OK, value)
}

fn json_with<T: Serialize>(status: StatusCode, value: &T) -> Result<Response, Problem> {
    let body = serde_json::to_vec(value).map_err(|_| Problem::internal())?;
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Asks the store in a task that may block.
pub(crate) async fn with_store<T: Send + 'static>(
    app: &State,
    ask: impl FnOnce(&Arc<Store>, UnixTime) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let store = Arc::clone(&app.handle.store);
    let now = app.handle.clock.now();
    tokio::task::spawn_blocking(move || ask(&store, now)).await.map_err(|_| Problem::internal())?
}

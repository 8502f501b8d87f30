//! `/healthz` (does it live?) and `/readyz` (can it answer?): for process managers and load balancers.
//!
//! Free to ask, therefore one word, and no cause: that is on the pages, for those who may see them.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::app::App;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready))
}

/// The engine makes its passes.
async fn alive(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if app.handle.status.alive(app.handle.clock.monotonic()) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the engine stands still\n")
    }
}

/// The memory answers and takes what is seen.
async fn ready(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    let state = app.handle.status.read();
    if state.draining {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    if state.trouble.is_some() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the memory is in trouble\n");
    }
    let asked = Arc::clone(&app);
    match tokio::task::spawn_blocking(move || asked.handle.store.totals()).await {
        Ok(Ok(_)) => (StatusCode::OK, "ok\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the memory does not answer\n"),
    }
}

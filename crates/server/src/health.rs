//! `/healthz`: is it alive? `/readyz`: does what it shows mean anything yet?
//!
//! A health check that only says that the web server answers is worse than none: alive means that the
//! engine makes its passes and that the memory can be read and written.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State as With;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use crate::api::problem::Problem;
use crate::app::State;

/// A memory that does not answer for so long does not work.
const PATIENCE: Duration = Duration::from_secs(5);

/// The routes.
pub(crate) fn routes() -> Router<State> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz))
}

async fn healthz(With(app): With<State>) -> Result<Response, Problem> {
    let now = app.handle.clock.monotonic();
    let state = app.handle.status.read();
    let since = now.saturating_sub(state.last_pass).as_secs();
    if !app.handle.status.alive(now) {
        return Err(Problem::unwell(format!("the engine made its last pass {since} seconds ago"))
            .hint("restart it; if it stands still again, `notafter doctor` says more"));
    }
    let store = Arc::clone(&app.handle.store);
    let look = tokio::task::spawn_blocking(move || {
        let read = store.kept("health").map(drop);
        (read, store.condition())
    });
    let (read, condition) = match tokio::time::timeout(PATIENCE, look).await {
        Ok(Ok(looked)) => looked,
        Ok(Err(_)) => return Err(Problem::internal()),
        Err(_) => return Err(Problem::unwell("the memory does not answer")),
    };
    read.map_err(Problem::from)?;
    if condition.trouble.is_some() {
        // What exactly came back stands in the log and in `notafter doctor`: this is open to strangers.
        return Err(Problem::unwell("the last write to the memory failed")
            .hint("is the disk full? `notafter doctor` says more"));
    }
    Ok(plain(&json!({
        "status": "ok",
        "last_pass_seconds": since,
        "schema": condition.schema,
        "troubled": state.trouble.is_some(),
    })))
}

async fn readyz(With(app): With<State>) -> Result<Response, Problem> {
    let state = app.handle.status.read();
    if state.draining {
        return Err(Problem::not_ready("the server is going down"));
    }
    if !state.settled {
        return Err(Problem::not_ready("what was found at the start is still being judged"));
    }
    Ok(plain(&json!({"status": "ready"})))
}

fn plain(value: &serde_json::Value) -> Response {
    let headers = [("content-type", "application/json"), ("cache-control", "no-store")];
    (headers, value.to_string()).into_response()
}

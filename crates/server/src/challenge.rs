//! `/.well-known/acme-challenge/TOKEN`: what a CA looks for under http-01 (RFC 8555 section 8.3), where port 80 leads here.
//!
//! In front of the gate: whoever asks comes by the name of the certificate, and what is answered is meant for everybody. It
//! tells nothing but the answer to a token that the asker knows.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State as With};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::app::State;

/// A memory that does not answer for so long does not work.
const PATIENCE: Duration = Duration::from_secs(5);
/// RFC 8555 section 8.3 asks for 128 bits or more, in base64url; CAs use 32 bytes.
const TOKEN_MAX: usize = 256;

/// Looks a token up. `Err`: not at the moment.
type Answers = dyn Fn(&str) -> Result<Option<String>, ()> + Send + Sync;

/// What is answered for a token. Nothing, until it is said otherwise.
#[derive(Clone, Default)]
pub struct Challenges(Option<Arc<Answers>>);

impl Challenges {
    /// Answered by this.
    pub fn new(answers: impl Fn(&str) -> Result<Option<String>, ()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(answers)))
    }
}

impl std::fmt::Debug for Challenges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Challenges(answered)" } else { "Challenges(none)" })
    }
}

/// The route.
pub(crate) fn routes() -> Router<State> {
    Router::new().route("/.well-known/acme-challenge/{token}", get(answer))
}

async fn answer(With(app): With<State>, Path(token): Path<String>) -> Response {
    let right = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let Some(answers) = app.settings.challenges.0.clone() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if token.len() > TOKEN_MAX || !token.bytes().all(right) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let look = tokio::task::spawn_blocking(move || answers(&token));
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(Ok(Ok(Some(text)))) => {
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (header::CACHE_CONTROL, "no-store"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (headers, text).into_response()
        }
        Ok(Ok(Ok(None))) => StatusCode::NOT_FOUND.into_response(),
        _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

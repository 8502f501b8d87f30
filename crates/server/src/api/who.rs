//! Who asks, as far as the machine-facing half cares: is it somebody with the token, and how does the
//! audit trail call them. The gate itself is `access.rs`.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::problem::Problem;
use crate::access::Caller;

/// Who asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Who {
    /// The token or a session was shown.
    pub(crate) signed_in: bool,
    /// What is written into the audit trail.
    by: String,
}

/// Somebody who may change something, by the name that the audit trail has for them. Stands first among what a
/// handler takes: a stranger is not told what is wrong with a body.
#[derive(Clone, Debug)]
pub(crate) struct Known(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Who::from_request_parts(parts, state).await {
            Ok(Who { signed_in: true, by }) => Ok(Self(by)),
            _ => Err(Problem::not_signed_in()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        // No caller at all means that the gate was left out: then it is a stranger.
        let caller = parts.extensions.get::<Caller>().cloned().unwrap_or_default();
        Ok(Self { signed_in: caller.is_known(), by: caller.name().to_owned() })
    }
}

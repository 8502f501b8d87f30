//! STUB, replaced when the pages are merged: what every handler holds.

use std::sync::Arc;

use axum::Router;
use notafter_engine::serve::Handle;

use crate::{Settings, api, calendar, export, health, metrics, probe};

/// What every handler holds.
#[derive(Clone)]
pub struct State {
    /// The engine.
    pub handle: Arc<Handle>,
    /// The settings.
    pub settings: Arc<Settings>,
    /// What looks at a target for `/probe`.
    pub prober: Option<Arc<dyn probe::Prober>>,
}

/// Everything that machines ask for.
pub fn machines(state: State) -> Router {
    Router::new()
        .merge(api::routes())
        .merge(metrics::routes())
        .merge(probe::routes())
        .merge(health::routes())
        .merge(export::routes())
        .merge(calendar::routes())
        .with_state(state)
}

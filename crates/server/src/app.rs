//! STUB, replaced when the pages are merged: what every handler holds. In the shape of the real one, which
//! must gain `prober` and the alias `State`.

use std::sync::Arc;

use axum::Router;
use notafter_engine::serve::Handle;

use crate::{Settings, api, calendar, export, health, metrics, probe};

/// What every answer is made from.
pub struct App {
    pub(crate) handle: Arc<Handle>,
    pub(crate) settings: Settings,
    /// What looks at a target for `/probe`.
    pub(crate) prober: Option<Arc<dyn probe::Prober>>,
}

/// What a handler is given.
pub type State = Arc<App>;

/// Everything that machines ask for.
pub fn machines(handle: Arc<Handle>, settings: Settings, prober: Option<Arc<dyn probe::Prober>>) -> Router {
    Router::new()
        .merge(api::routes())
        .merge(metrics::routes())
        .merge(probe::routes())
        .merge(health::routes())
        .merge(export::routes())
        .merge(calendar::routes())
        .with_state(Arc::new(App { handle, settings, prober }))
}

//! The probe of renewals: looks at one place with what `scan` looks with. What was seen is held against what was expected
//! elsewhere.

use std::sync::{Arc, Mutex, PoisonError};

use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::{BoxFuture, Cx, Deployer, Probe, Sink};
use notafter_core::observation::Observation;

use crate::assemble;
use crate::cli::Look;
use crate::config::plan::Sheet;

/// Looks at one place as `scan` does: every address, both types of key, and whether the key is held. What a target wrote
/// with a password is opened with what the target says.
pub(crate) struct Places {
    look: Look,
    deployers: Vec<Arc<dyn Deployer>>,
}

impl Places {
    pub(crate) fn new(sheet: &Sheet, deployers: Vec<Arc<dyn Deployer>>) -> Self {
        Self { look: sheet.look_closely(), deployers }
    }
}

/// Takes what a source puts.
#[derive(Default)]
struct Tray(Mutex<Vec<Observation>>);

impl Sink for Tray {
    fn put(&self, observation: Observation) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(observation);
    }
}

impl Probe for Places {
    fn probe<'a>(&'a self, cx: &'a Cx, location: &'a str) -> BoxFuture<'a, Result<Vec<Observation>, Fault>> {
        Box::pin(async move {
            let passwords: Vec<String> = self.deployers.iter().flat_map(|d| d.opens(location)).collect();
            let sources = assemble::probe_sources(location, &self.look, &[], &passwords)
                .map_err(|e| Fault::new(FaultKind::Invalid, format!("{location}: {}", e.message)))?;
            let tray = Arc::new(Tray::default());
            for source in sources {
                let sink: Arc<dyn Sink> = Arc::clone(&tray) as Arc<dyn Sink>;
                source.discover(cx, sink).await?;
            }
            Ok(std::mem::take(&mut *tray.0.lock().unwrap_or_else(PoisonError::into_inner)))
        })
    }
}

//! The probe of renewals: looks at one place with what `scan` looks with. What was seen is held against what was expected
//! elsewhere.

use std::sync::{Arc, Mutex, PoisonError};

use notafter_act::privsep::{self, Client};
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::{BoxFuture, Cx, Deployer, Probe, Sink};
use notafter_core::location::Location;
use notafter_core::observation::{Facts, Observation, Seen};

use crate::assemble;
use crate::cli::Look;
use crate::config::plan::Sheet;

/// Looks at one place as `scan` does: every address, both types of key, and whether the key is held. What a target wrote
/// with a password is opened with what the target says.
pub(crate) struct Places {
    look: Look,
    deployers: Vec<Arc<dyn Deployer>>,
    /// Files that another process writes, which may read them, too.
    apart: Option<Apart>,
}

/// Whom it is asked of, and which files it is about.
struct Apart {
    client: Arc<Client>,
    files: Vec<Written>,
}

impl Places {
    /// With what the configuration says of them.
    ///
    /// # Errors
    /// The first mistake in it.
    pub(crate) fn new(sheet: &Sheet, deployers: Vec<Arc<dyn Deployer>>) -> Result<Self, String> {
        let apart = match sheet.apart()? {
            Some(client) => Some(Apart { client, files: sheet.written()? }),
            None => None,
        };
        Ok(Self { apart, ..Self::near(sheet, deployers) })
    }

    /// With this process's own eyes alone.
    pub(crate) fn near(sheet: &Sheet, deployers: Vec<Arc<dyn Deployer>>) -> Self {
        Self { look: sheet.look_closely(), deployers, apart: None }
    }
}

/// A file that a target writes, with the names of its certificate and target.
pub(crate) struct Written {
    pub(crate) place: Location,
    pub(crate) certificate: String,
    pub(crate) target: String,
}

impl Apart {
    /// What whoever writes a file reads in it.
    async fn look(&self, cx: &Cx, location: &str) -> Result<Vec<Observation>, Fault> {
        let Some(file) = self.files.iter().find(|f| f.place.as_str() == location) else {
            return Ok(Vec::new());
        };
        let seen = privsep::look(&self.client, &file.certificate, &file.target).await?;
        let of_it = seen.into_iter().filter(|(at, _)| at.split('#').next() == Some(location));
        let observed = of_it.map(|(_, leaf)| Observation {
            at: cx.clock.now(),
            location: file.place.clone(),
            // It is not said what kind of file it is: what it holds beside ours may be in a keystore.
            seen: Seen::Chain {
                chain: vec![leaf.into()],
                role: None,
                leads: true,
                facts: Facts { entry: true, ..Facts::default() },
            },
        });
        Ok(observed.collect())
    }
}

/// Does it say which certificate is there?
pub(crate) fn leads(observation: &Observation) -> bool {
    matches!(&observation.seen, Seen::Chain { leads: true, .. })
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
            let near = std::mem::take(&mut *tray.0.lock().unwrap_or_else(PoisonError::into_inner));
            if let Some(apart) = self.apart.as_ref().filter(|_| !near.iter().any(leads)) {
                let far = apart.look(cx, location).await?;
                if !far.is_empty() {
                    return Ok(far);
                }
            }
            Ok(near)
        })
    }
}

//! Dates that people typed in: `[[manual]]` of the configuration, for what no source can see.
//!
//! Each becomes an asset at its entry in the file. Nothing is looked at, so nothing can fail; whether the date comes near
//! is a rule's to say.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::fault::Fault;
use notafter_core::inventory::AssetKind;
use notafter_core::joints::{BoxFuture, Cx, Sink, Source};
use notafter_core::location::Location;
use notafter_core::observation::{Facts, Observation, Seen};
use notafter_core::scan::Scan;
use notafter_pki::container::Place;
use notafter_pki::statement::{Statement, StatementKind};

/// One date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is called.
    pub name: String,
    /// The date.
    pub deadline: UnixTime,
    /// Who answers for it, where that is not told by rules.
    pub owner: Option<String>,
    /// What to know about it.
    pub note: Option<String>,
}

/// The entries of a file.
pub struct Manual {
    /// The configuration.
    pub file: PathBuf,
    /// What stands in it.
    pub entries: Vec<Entry>,
}

impl Manual {
    /// Each entry as it is put, seen at this instant.
    pub fn observations(&self, at: UnixTime) -> impl Iterator<Item = Observation> {
        let path = std::path::absolute(&self.file).unwrap_or_else(|_| self.file.clone());
        self.entries.iter().map(move |entry| {
            let statement = Statement::new(StatementKind::Manual, &entry.name)
                .name(&entry.name)
                .dated(None, Some(entry.deadline))
                .fact_if("owner", entry.owner.as_deref())
                .fact_if("note", entry.note.as_deref());
            let place = Place::whole().named("manual").named(&entry.name);
            Observation {
                at,
                location: Location::file(path.as_os_str().as_bytes(), place.as_str()),
                seen: Seen::Dated {
                    kind: AssetKind::Manual,
                    der: statement.to_bytes().into(),
                    facts: Facts::default(),
                },
            }
        })
    }
}

impl Source for Manual {
    fn discover<'a>(&'a self, cx: &'a Cx, out: Arc<dyn Sink>) -> BoxFuture<'a, Result<Scan, Fault>> {
        Box::pin(async move {
            self.observations(cx.clock.now()).for_each(|observation| out.put(observation));
            Ok(cx.progress.scan())
        })
    }
}

//! `[[flow]]` and `[[manual]]`: what people know and no scan can, as sources.
//!
//! The tables become the same sources for `scan` and for the server. Which owners there are is known to `plan.rs` alone.

use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::joints::Source;
use notafter_discover::flow::{Flows, Watched};
use notafter_discover::manual::{Entry, Manual};
use notafter_engine::setup::{Build, Planned};

use super::plan::Sheet;
use crate::moment;

/// How often counters are looked at, in seconds.
const FLOW_EVERY: i64 = 600;
/// How often the entries are put again, in seconds: only the configuration changes them.
const MANUAL_EVERY: i64 = 6 * 3600;

/// A source with its name and its rhythm in seconds.
type Looked = (&'static str, i64, Arc<dyn Source>);

impl Sheet {
    /// The sources of both tables, as far as there is something in them.
    ///
    /// # Errors
    /// The first mistake, with its line and what to do.
    pub(crate) fn entries(&self) -> Result<Vec<Looked>, String> {
        let mut out: Vec<Looked> = Vec::new();
        let flows = self.flows()?;
        if !flows.is_empty() {
            out.push(("flows", FLOW_EVERY, Arc::new(Flows(flows))));
        }
        let entries = self.manual()?;
        if let (Some(file), false) = (&self.file, entries.is_empty()) {
            out.push(("manual", MANUAL_EVERY, Arc::new(Manual { file: file.clone(), entries })));
        }
        Ok(out)
    }

    /// The same, as the server plans them.
    pub(super) fn planned_entries(&self) -> Result<Vec<Planned>, String> {
        let planned = |(name, every, source): (&'static str, i64, Arc<dyn Source>)| {
            let build: Build = Arc::new(move |_: &[String]| Ok(vec![Arc::clone(&source)]));
            Planned { name: name.to_owned(), every, targets: Vec::new(), owner: None, build }
        };
        Ok(self.entries()?.into_iter().map(planned).collect())
    }

    fn flows(&self) -> Result<Vec<Watched>, String> {
        let mut out: Vec<Watched> = Vec::new();
        for table in &self.config.flow {
            let name = table.name.get_ref();
            let wrong =
                |what: &str| self.wrong(Some(table.name.span().start), format!("flow `{name}`: {what}"));
            if out.iter().any(|known| known.name == *name) {
                return Err(wrong("there are two of this name\nhint: call one of them otherwise"));
            }
            let floor = table.floor_per_hour.unwrap_or(1);
            if floor == 0 {
                return Err(wrong("a floor of 0 is never missed\nhint: write 1 or more"));
            }
            out.push(Watched { name: name.clone(), file: table.file.clone(), floor });
        }
        Ok(out)
    }

    fn manual(&self) -> Result<Vec<Entry>, String> {
        let mut out: Vec<Entry> = Vec::new();
        for table in &self.config.manual {
            let name = table.name.get_ref();
            let wrong = |what: String| {
                self.wrong(Some(table.name.span().start), format!("manual entry `{name}`: {what}"))
            };
            if out.iter().any(|known| known.name == *name) {
                return Err(wrong("there are two of this name\nhint: call one of them otherwise".to_owned()));
            }
            let deadline = moment::parse_at(&table.deadline, UnixTime(0))
                .map_err(|e| wrong(format!("{e}\nhint: write 2027-03-01 or 2027-03-01T08:00:00Z")))?;
            let (owner, note) = (table.owner.clone(), table.note.clone());
            out.push(Entry { name: name.clone(), deadline, owner, note });
        }
        Ok(out)
    }
}

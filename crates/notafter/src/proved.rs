//! Where our own renewals have to be seen, as a source: what was right once is looked at again like any other place, also where
//! no `[[source]]` leads, and at once when a renewal was proved. So the inventory has it, and the same rules judge it.
//!
//! What speaks for or against a renewal is looked at by its own probe (`places.rs`), and decided elsewhere.

use std::sync::Arc;

use notafter_core::joints::{Cx, Deployer, Source};
use notafter_core::location::Location;
use notafter_discover::target::Target;
use notafter_engine::pipeline::{self, Order};
use notafter_engine::renew::pass::PROVED;
use notafter_engine::renew::{Managed, places};
use notafter_engine::setup::{Build, Planned};

use crate::assemble::{self, Tables};
use crate::cli::Look;
use crate::commands::Usage;
use crate::commands::scan::{Memory, keep};
use crate::config::plan::Sheet;

/// From one look to the next, in seconds.
const EVERY: i64 = 3_600;

/// How these places are looked at.
#[derive(Clone)]
struct Eyes {
    look: Look,
    /// With whose passwords keystores are opened.
    deployers: Vec<Arc<dyn Deployer>>,
}

impl Eyes {
    fn of<'a>(sheet: &Sheet, managed: impl Iterator<Item = &'a Managed>) -> Self {
        let targets = managed.flat_map(|m| &m.targets);
        let deployers = targets.map(|t| Arc::clone(&t.deployer)).collect();
        Self { look: Look { both: true, ..sheet.look() }, deployers }
    }

    /// A file that was not written yet is no place to look at.
    fn sources(&self, targets: &[String]) -> Result<Vec<Box<dyn Source>>, Usage> {
        let there: Vec<String> = targets.iter().filter(|target| !is_missing(target)).cloned().collect();
        if there.is_empty() {
            return Ok(Vec::new());
        }
        let opens = |d: &Arc<dyn Deployer>| there.iter().flat_map(|at| d.opens(at)).collect::<Vec<_>>();
        let passwords: Vec<String> = self.deployers.iter().flat_map(opens).collect();
        assemble::sources_with(&there, &self.look, &Tables::new(), &passwords)
    }
}

fn is_missing(target: &str) -> bool {
    matches!(Target::parse(target, |_| false), Ok(Target::Path(path)) if !path.exists())
}

/// Every place that is not excused. Files are left out where another process writes them: this one need not be able to read them.
fn targets<'a>(sheet: &Sheet, managed: impl Iterator<Item = &'a Managed>) -> Vec<String> {
    let all = managed.flat_map(|m| &m.targets).flat_map(places).filter(|place| place.excused.is_none());
    let apart = sheet.config.act.socket.is_some();
    let is_file = |at: &String| Location::parse(at).is_some_and(|location| location.is_file());
    let mut out: Vec<String> = all.map(|place| place.location).filter(|at| !(apart && is_file(at))).collect();
    out.sort_unstable();
    out.dedup();
    out
}

/// The source, as the server plans it; `None`: there is no place.
pub(crate) fn planned(sheet: &Sheet, managed: &[Managed]) -> Option<Planned> {
    let (targets, eyes) = (targets(sheet, managed.iter()), Eyes::of(sheet, managed.iter()));
    if targets.is_empty() {
        return None;
    }
    let build: Build = Arc::new(move |targets: &[String]| {
        let sources = eyes.sources(targets).map_err(|e| e.message)?;
        Ok(sources.into_iter().map(|s| -> Arc<dyn Source> { Arc::from(s) }).collect())
    });
    Some(Planned { name: PROVED.to_owned(), every: EVERY, targets, owner: None, build })
}

/// Looks at the places of one certificate and keeps what they show, for whoever asks the inventory next.
///
/// # Errors
/// A mistake elsewhere in the configuration; the store's.
pub(crate) async fn look(managed: &Managed, cx: &Cx, memory: &Memory<'_>) -> Result<(), Usage> {
    let one = || std::iter::once(managed);
    let sources = Eyes::of(memory.sheet, one()).sources(&targets(memory.sheet, one()))?;
    let cx = Cx::new(Arc::clone(&cx.clock), Arc::clone(&cx.vantage));
    let started = cx.clock.now();
    let setup = memory.setup()?;
    let order = Order { sources, judgment: Some(setup.judgment(started)), tap: None };
    let report = pipeline::run(&cx, order, std::future::pending()).await;
    keep(memory, PROVED, (&report, started), &cx).map(drop)
}

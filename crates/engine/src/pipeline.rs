//! One run, in order: discover, ingest, assess. Read this first.
//!
//! ```text
//! Source ─put→ Ingest ─→ Inventory ─→ Dossiers ─→ Findings
//!   (many, at once)  (one)   (plain maps)   (gathered)  (pure rules)
//! ```
//!
//! Sources run side by side; one that fails harms no other. When the run is interrupted, what was put
//! before is assessed and reported like everything else.

use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::fault::Fault;
use notafter_core::finding::Finding;
use notafter_core::inventory::Inventory;
use notafter_core::joints::{Cx, Sink, Source};
use notafter_core::owner::Owner;
use notafter_core::policy::Policy;
use notafter_core::scan::Scan;

use notafter_core::trust::TrustStores;

use crate::assess::assess_all;
use crate::ingest::{Ingest, Tap};
use crate::spool::Spool;

/// What to judge by. `None` in [`Order::judgment`] means that nothing is judged and nothing is kept.
#[derive(Clone)]
pub struct Judgment {
    /// Whom clients trust.
    pub trust: TrustStores,
    /// What the organisation wants.
    pub policy: Policy,
    /// Who answers for what.
    pub owners: Vec<Owner>,
    /// The instant to judge at.
    pub at: UnixTime,
}

/// One run.
pub struct Order {
    /// Where to look.
    pub sources: Vec<Box<dyn Source>>,
    /// By what to judge, if at all.
    pub judgment: Option<Judgment>,
    /// Who is told of everything as it comes in.
    pub tap: Option<Box<dyn Tap>>,
}

/// What came of a run.
pub struct Report {
    /// Everything that was seen; empty when nothing was to be judged.
    pub inventory: Inventory,
    /// What follows from it, worst first.
    pub findings: Vec<Finding>,
    /// The counts.
    pub scan: Scan,
    /// Sources that could not run at all.
    pub faults: Vec<Fault>,
    /// Was it stopped before its end?
    pub interrupted: bool,
}

/// Runs every source once and judges what they saw. `stop` ends the looking early: the sources are
/// dropped, which stops and joins their threads, and the rest goes on with what there is.
pub async fn run(cx: &Cx, order: Order, stop: impl Future<Output = ()>) -> Report {
    let keep = order.judgment.is_some();
    let ingest = Arc::new(Ingest::new(Inventory::new(Box::<Spool>::default()), order.tap, keep));
    let (faults, interrupted) = discover(cx, &order.sources, &ingest, stop).await;
    let mut inventory = ingest.take();
    let findings =
        order.judgment.as_ref().map(|judgment| assess_all(&mut inventory, judgment)).unwrap_or_default();
    Report { inventory, findings, scan: cx.progress.scan(), faults, interrupted }
}

async fn discover(
    cx: &Cx,
    sources: &[Box<dyn Source>],
    ingest: &Arc<Ingest>,
    stop: impl Future<Output = ()>,
) -> (Vec<Fault>, bool) {
    let all = async {
        let mut faults = Vec::new();
        // Side by side on one task: the work itself is on the sources' own threads.
        let mut running: Vec<_> =
            sources.iter().map(|s| s.discover(cx, Arc::clone(ingest) as Arc<dyn Sink>)).collect();
        std::future::poll_fn(|wake| {
            running.retain_mut(|source| match source.as_mut().poll(wake) {
                std::task::Poll::Ready(Ok(_)) => false,
                std::task::Poll::Ready(Err(fault)) => {
                    faults.push(fault);
                    false
                }
                std::task::Poll::Pending => true,
            });
            if running.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        faults
    };
    tokio::select! {
        faults = all => (faults, false),
        () = stop => (Vec::new(), true),
    }
}

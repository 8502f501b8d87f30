//! What was seen, kept: assets, placements as intervals, keys, links, blind spots, scans.
//!
//! A look that finds what was known writes nothing. Everything touched becomes due for judgment in the same
//! transaction, so that a crash in between loses no verdict.

use notafter_core::UnixTime;
use notafter_core::inventory::Inventory;
use notafter_core::scan::Scan;

use crate::{Store, StoreError};

/// One run of a source while it goes on: what was seen so far and what was looked up already.
pub struct Run {}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The counts.
    pub scan: Scan,
    /// Was everything looked at? Only then is what was not seen marked as unseen.
    pub complete: bool,
    /// Why the source could not run at all.
    pub fault: Option<String>,
    /// Until when it may rest.
    pub next: Option<UnixTime>,
}

/// What a batch changed, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Changed {
    pub new_assets: u64,
    pub new_placements: u64,
    pub changed_placements: u64,
    pub gone_placements: u64,
    pub unseen_placements: u64,
    pub returned_placements: u64,
    pub blind_spots: u64,
    /// Rows written in all: 0 when nothing had changed.
    pub writes: u64,
}

impl Store {
    /// Begins a run of a source, or goes on with one that was broken off (then `resumed_at` is its cursor and
    /// what it had seen counts as seen).
    ///
    /// # Errors
    /// The store's.
    pub fn begin(&self, source: &str, vantage: &str, now: UnixTime) -> Result<Run, StoreError> {
        let _ = (source, vantage, now);
        todo!()
    }

    /// Keeps what was seen. One transaction; again with the same batch changes nothing.
    ///
    /// At an endpoint, another leaf at the same place (same location; RSA and ECDSA certificates may stand side by
    /// side within one run) ends the interval of the one that was there. In a file likewise. A placement whose role,
    /// chain or facts changed is updated in place.
    ///
    /// # Errors
    /// The store's. Nothing of the batch is kept then.
    pub fn record(&self, run: &mut Run, batch: &Inventory) -> Result<Changed, StoreError> {
        let _ = (run, batch);
        todo!()
    }

    /// Remembers how far a run has come, so that it can go on after a restart.
    ///
    /// # Errors
    /// The store's.
    pub fn checkpoint(&self, run: &Run, cursor: &[u8]) -> Result<(), StoreError> {
        let _ = (run, cursor);
        todo!()
    }

    /// Ends a run: what this source had seen before and did not see in a complete run is marked unseen (a file whose
    /// folder was read and which is not there any more is gone), blind spots that were not met again end, and the scan is
    /// written down.
    ///
    /// # Errors
    /// The store's.
    pub fn finish(&self, run: Run, outcome: &Outcome, now: UnixTime) -> Result<Changed, StoreError> {
        let _ = (run, outcome, now);
        todo!()
    }

    /// A person says that a place is gone for good: ends its placements and blind spots, is audited. A new sighting
    /// revives it. Returns how many placements it ended.
    ///
    /// # Errors
    /// The store's.
    pub fn retire(&self, location: &str, reason: &str, by: &str, now: UnixTime) -> Result<u64, StoreError> {
        let _ = (location, reason, by, now);
        todo!()
    }
}

impl Run {
    /// Where a resumed run has to go on; `None` for a fresh one.
    pub fn resumed_at(&self) -> Option<&[u8]> {
        todo!()
    }

    /// When it began.
    pub fn started(&self) -> UnixTime {
        todo!()
    }
}

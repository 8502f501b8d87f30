//! One run of a source, counted: what was tried and what was reached.

use std::sync::atomic::{AtomicU64, Ordering};

/// How a run went. `attempted` counts (address, port, server name), and files looked at are apart.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// Endpoints asked.
    pub attempted: u64,
    /// Endpoints that showed a certificate.
    pub reached: u64,
    /// Endpoints that did not.
    pub unreachable: u64,
    /// Files looked at.
    pub files: u64,
}

/// The same, while it runs: what a progress bar reads, and what is left when the run is dropped.
#[derive(Debug, Default)]
pub struct Progress {
    /// Endpoints that will be asked, as far as is known.
    pub planned: AtomicU64,
    /// Endpoints asked so far.
    pub attempted: AtomicU64,
    /// Endpoints that showed a certificate.
    pub reached: AtomicU64,
    /// Endpoints that did not.
    pub unreachable: AtomicU64,
    /// Files looked at so far.
    pub files: AtomicU64,
}

impl Progress {
    /// Adds to one of the counters.
    pub fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// The counts so far.
    pub fn scan(&self) -> Scan {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Scan {
            attempted: read(&self.attempted),
            reached: read(&self.reached),
            unreachable: read(&self.unreachable),
            files: read(&self.files),
        }
    }
}

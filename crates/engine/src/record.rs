//! Takes observations into the store in batches, while a run goes on.
//!
//! The server's `Sink`: observations become a small inventory, and every second, or when it is full, that
//! is kept in one transaction. When the memory cannot take it, what was seen is held and the source is made
//! to wait: a slow disk slows looking down, it loses nothing. What follows from it is `judge.rs`'s.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use notafter_core::clock::Clock;
use notafter_core::inventory::{Heap, Inventory};
use notafter_core::joints::{Resume, Sink};
use notafter_core::observation::Observation;
use notafter_store::observations::{Changed, Outcome, Run};
use notafter_store::{Store, StoreError};

use crate::ingest::Ingest;
use crate::status::Status;

/// So many observations make a batch.
const BATCH: usize = 20_000;
/// A batch is kept after so long, full or not.
const AGE: Duration = Duration::from_millis(1000);
/// How long to wait before the memory is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// The sink of one run.
pub struct Recorder {
    store: Arc<Store>,
    status: Arc<Status>,
    clock: Arc<dyn Clock>,
    ingest: Ingest,
    pending: Mutex<Pending>,
    /// Held while a batch is written, so that batches are written in order.
    run: Mutex<Option<Run>>,
    /// Wakes those who wait before the memory is tried again, when the run is called off.
    called_off: (Mutex<bool>, Condvar),
    waiting: std::sync::atomic::AtomicBool,
}

struct Pending {
    count: usize,
    since: Duration,
}

impl Recorder {
    /// A sink for a run that the store has begun.
    pub fn new(store: Arc<Store>, status: Arc<Status>, clock: Arc<dyn Clock>, run: Run) -> Self {
        let since = clock.monotonic();
        Self {
            store,
            status,
            clock,
            ingest: Ingest::new(Inventory::new(Box::<Heap>::default()), None, true),
            pending: Mutex::new(Pending { count: 0, since }),
            run: Mutex::new(Some(run)),
            called_off: (Mutex::new(false), Condvar::new()),
            waiting: std::sync::atomic::AtomicBool::new(false),
        }
    }

    /// Keeps what has come in, if it is old enough.
    pub fn tick(&self) {
        let now = self.clock.monotonic();
        let old = {
            let pending = lock(&self.pending);
            pending.count > 0 && now.saturating_sub(pending.since) >= AGE
        };
        if old {
            self.flush();
        }
    }

    /// Keeps what has come in. Tries until the memory takes it or the run is called off.
    pub fn flush(&self) {
        let mut run = lock(&self.run);
        let Some(run) = run.as_mut() else { return };
        *lock(&self.pending) = Pending { count: 0, since: self.clock.monotonic() };
        let batch = self.ingest.take();
        loop {
            match self.store.record(run, &batch) {
                Ok(changed) => {
                    self.waiting.store(false, std::sync::atomic::Ordering::Relaxed);
                    return self.status.recorded(changed);
                }
                Err(error) => {
                    self.status.trouble(&error);
                    self.waiting.store(true, std::sync::atomic::Ordering::Relaxed);
                    if self.wait() {
                        return;
                    }
                }
            }
        }
    }

    /// Waits a little; `true` when the run was called off.
    fn wait(&self) -> bool {
        let (flag, wake) = &self.called_off;
        let held = lock(flag);
        match wake.wait_timeout_while(held, PAUSE, |off| !*off) {
            Ok((off, _)) => *off,
            Err(poisoned) => *poisoned.into_inner().0,
        }
    }

    /// Does a batch wait for the memory to work again?
    pub fn waits(&self) -> bool {
        self.waiting.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Stops waiting for the memory: the server is going down.
    pub fn call_off(&self) {
        *lock(&self.called_off.0) = true;
        self.called_off.1.notify_all();
    }

    /// Keeps the rest and ends the run.
    ///
    /// # Errors
    /// The store's.
    pub fn finish(&self, outcome: &Outcome) -> Result<Changed, StoreError> {
        self.flush();
        match lock(&self.run).take() {
            Some(run) => self.store.finish(run, outcome, self.clock.now()),
            None => Ok(Changed::default()),
        }
    }
}

impl Sink for Recorder {
    fn put(&self, observation: Observation) {
        self.ingest.put(observation);
        let full = {
            let mut pending = lock(&self.pending);
            pending.count += 1;
            pending.count >= BATCH
        };
        if full {
            self.flush();
        }
    }
}

impl Resume for Recorder {
    fn cursor(&self) -> Option<Vec<u8>> {
        lock(&self.run).as_ref().and_then(|run| run.resumed_at().map(<[u8]>::to_vec))
    }

    fn reached(&self, cursor: Vec<u8>) {
        // What the cursor stands for must be kept before the cursor is.
        self.flush();
        if let Some(run) = lock(&self.run).as_ref()
            && let Err(error) = self.store.checkpoint(run, &cursor)
        {
            self.status.trouble(&error);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

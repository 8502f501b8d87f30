//! Takes observations into the store in batches, while a run goes on.
//!
//! The server's `Sink`: observations become a small inventory, and every second, or when it is full, that
//! is kept in one transaction. When the memory cannot take it, what was seen is held and the source (not the
//! engine) is made to wait: a slow disk slows looking down, it loses nothing. What follows from it is `judge.rs`'s.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use notafter_core::clock::Clock;
use notafter_core::inventory::{Heap, Inventory};
use notafter_core::joints::{Resume, Sink};
use notafter_core::observation::Observation;
use notafter_store::observations::{Changed, Outcome, Run};
use notafter_store::{Store, StoreError, Trouble};

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
    writing: Mutex<Writing>,
    /// Wakes those who wait before the memory is tried again, when the run is called off.
    called_off: (Mutex<bool>, Condvar),
    waiting: AtomicBool,
}

struct Writing {
    run: Option<Run>,
    /// What the memory did not take yet.
    batch: Option<Inventory>,
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
            writing: Mutex::new(Writing { run: Some(run), batch: None }),
            called_off: (Mutex::new(false), Condvar::new()),
            waiting: AtomicBool::new(false),
        }
    }

    /// Keeps what has come in, if it is old enough: one attempt, and none while somebody else is at it. The engine
    /// has other things to do than to wait for the memory.
    pub fn tick(&self) {
        let now = self.clock.monotonic();
        let old = {
            let pending = lock(&self.pending);
            pending.count > 0 && now.saturating_sub(pending.since) >= AGE
        };
        if !(old || self.waits()) {
            return;
        }
        match self.writing.try_lock() {
            Ok(mut writing) => drop(self.attempt(&mut writing)),
            Err(TryLockError::Poisoned(poisoned)) => drop(self.attempt(&mut poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => {}
        }
    }

    /// Keeps what has come in. Tries until the memory takes it (`true`) or the run is called off (`false`).
    pub fn flush(&self) -> bool {
        loop {
            // Not held while waiting: what ticks may be the next to try.
            let (stuck, kept) = {
                let mut writing = lock(&self.writing);
                (writing.batch.is_some(), self.attempt(&mut writing))
            };
            if kept && !stuck {
                return true;
            }
            if !kept && self.wait() {
                return false;
            }
        }
    }

    /// Tries once. What the memory does not take stays for the next attempt.
    fn attempt(&self, writing: &mut Writing) -> bool {
        let Some(run) = writing.run.as_mut() else { return true };
        if writing.batch.is_none() {
            *lock(&self.pending) = Pending { count: 0, since: self.clock.monotonic() };
        }
        let batch = writing.batch.take().unwrap_or_else(|| self.ingest.take());
        match self.keep(run, &batch) {
            Ok(changed) => {
                self.status.asked_times(batch.times(), self.clock.now());
                self.waiting.store(false, Ordering::Relaxed);
                self.status.recorded(changed);
                true
            }
            Err(error) => {
                self.status.trouble(&error);
                self.waiting.store(true, Ordering::Relaxed);
                writing.batch = Some(batch);
                false
            }
        }
    }

    /// What the memory refuses for what is in it would be refused for ever: it is given up, aloud, and the rest is kept.
    fn keep(&self, run: &mut Run, batch: &Inventory) -> Result<Changed, StoreError> {
        match self.store.record(run, batch) {
            Err(error) if error.trouble == Trouble::Other => {
                self.status.trouble(&error);
                self.store.record_apart(run, batch, self.clock.now()).map(|(changed, _)| changed)
            }
            done => done,
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
        self.waiting.load(Ordering::Relaxed)
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
        if !self.flush() {
            return Ok(Changed::default());
        }
        let Some(run) = lock(&self.writing).run.take() else { return Ok(Changed::default()) };
        loop {
            match self.store.finish(&run, outcome, self.clock.now()) {
                // What is refused for what is in it would be refused for ever.
                Err(error) if error.trouble != Trouble::Other && !self.wait() => self.status.trouble(&error),
                done => return done,
            }
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
        lock(&self.writing).run.as_ref().and_then(|run| run.resumed_at().map(<[u8]>::to_vec))
    }

    fn reached(&self, cursor: Vec<u8>) {
        // What the cursor stands for must be kept before the cursor is.
        if !self.flush() {
            return;
        }
        if let Some(run) = lock(&self.writing).run.as_ref()
            && let Err(error) = self.store.checkpoint(run, &cursor)
        {
            self.status.trouble(&error);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

//! How the server itself is: what it is doing now, what it did last, what troubles it.
//!
//! Written by the engine, read by health checks, pages and the watchdog. In memory only: after a restart
//! it begins anew, and says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::dossier::ClockView;
use notafter_core::location::Location;
use notafter_core::scan::Progress;
use notafter_store::StoreError;
use notafter_store::observations::Changed;

/// The engine gives a sign of life at least so often; a watchdog may ring after a few of them.
pub const PULSE: Duration = Duration::from_secs(10);

/// How the server is. Shared behind an `Arc`.
#[derive(Default)]
pub struct Status(Mutex<State>);

/// What is known.
#[derive(Clone, Default)]
pub struct State {
    /// When the server started.
    pub started: Option<UnixTime>,
    /// Monotonic time of the engine's last pass.
    pub last_pass: Duration,
    /// Has everything that was due at the start been judged once?
    pub settled: bool,
    /// Sources that run now, each with its counters and when it began.
    pub running: BTreeMap<String, (Arc<Progress>, UnixTime)>,
    /// What the memory last complained about, and when; `None` once it works again.
    pub trouble: Option<String>,
    /// A jump of the clock.
    pub clock: Option<ClockView<'static>>,
    /// By how many seconds our clock was ahead of servers that were asked, and when that was.
    pub times: Option<(UnixTime, Vec<(Location, i64)>)>,
    /// Counts since the start.
    pub recorded: Changed,
    /// Messages waiting to be delivered.
    pub outgoing: u64,
    /// Is the server going down?
    pub draining: bool,
    /// When the outside was last told that we live, if that is configured.
    pub last_beat: Option<UnixTime>,
    /// Why the last beat failed.
    pub beat_fault: Option<String>,
}

impl Status {
    /// A copy of all that is known.
    pub fn read(&self) -> State {
        self.lock().clone()
    }

    /// Changes it.
    pub fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
    }

    /// The memory complained.
    pub fn trouble(&self, error: &StoreError) {
        self.lock().trouble = Some(match &error.hint {
            Some(hint) => format!("{error}; {hint}"),
            None => error.to_string(),
        });
    }

    /// A part of the engine failed by its own fault; the others go on.
    pub fn defect(&self, message: &str) {
        self.lock().trouble =
            Some(format!("a defect in Notafter: {message}; please report it with what led to it"));
    }

    /// The memory took a batch: whatever it complained of is over.
    pub fn recorded(&self, changed: Changed) {
        let mut state = self.lock();
        // A batch that changed nothing asked nothing of the memory.
        if changed.writes > 0 {
            state.trouble = None;
        }
        let sum = &mut state.recorded;
        sum.new_assets += changed.new_assets;
        sum.new_placements += changed.new_placements;
        sum.changed_placements += changed.changed_placements;
        sum.gone_placements += changed.gone_placements;
        sum.unseen_placements += changed.unseen_placements;
        sum.returned_placements += changed.returned_placements;
        sum.blind_spots += changed.blind_spots;
        sum.writes += changed.writes;
    }

    /// Servers were asked for the time.
    pub fn asked_times(&self, times: &[(Location, i64)], at: UnixTime) {
        if !times.is_empty() {
            self.lock().times = Some((at, times.to_vec()));
        }
    }

    /// Is the engine alive at monotonic time `now`?
    pub fn alive(&self, now: Duration) -> bool {
        // Longer than the memory may keep one step waiting.
        now.saturating_sub(self.lock().last_pass) < 9 * PULSE
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

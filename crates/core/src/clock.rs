//! The clock as a value that is passed in: `engine/clock.rs` has the system's, tests have their own.

use std::time::Duration;

use crate::UnixTime;

/// What tells the time. Only `engine/clock.rs` and tests implement it.
pub trait Clock: Send + Sync {
    /// The wall clock: it may jump, so nothing waits by it.
    fn now(&self) -> UnixTime;

    /// Time since some fixed instant of this process: it never jumps. For time limits and rates.
    fn monotonic(&self) -> Duration;

    /// The same, counting the time in which the machine slept. Against it a wall clock that was set can be
    /// told from a lid that was closed.
    fn boottime(&self) -> Duration {
        self.monotonic()
    }
}

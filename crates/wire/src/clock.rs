//! The passing of time, as the drivers of this crate are told it.
//!
//! The drivers need durations only (deadlines, time-outs, how long a target took), never the date.
//! Who owns the process owns its clock: this crate reads none, so that a test can drive time itself.

use std::time::Duration;

/// A clock that never goes back.
pub trait Monotonic: Send + Sync {
    /// Time since a fixed but arbitrary instant, the same one for every call.
    fn now(&self) -> Duration;
}

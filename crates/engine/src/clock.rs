//! The only place where the system's time is read.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use notafter_core::UnixTime;
use notafter_core::clock::Clock;

/// The system's own clocks.
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Starts counting.
    #[allow(clippy::new_without_default)]
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> UnixTime {
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => UnixTime(since.as_secs() as i64),
            Err(before) => UnixTime(-(before.duration().as_secs() as i64)),
        }
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn boottime(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.clamp(0, 999_999_999) as u32)
    }
}

/// A clock that stands still until it is moved: a test lives a year in seconds.
pub struct SimulatedClock(Mutex<(UnixTime, Duration)>);

impl SimulatedClock {
    /// A clock that shows this time.
    pub fn at(now: UnixTime) -> Self {
        Self(Mutex::new((now, Duration::ZERO)))
    }

    /// Sets the wall clock alone, as a person or a bad time server does.
    pub fn set(&self, now: UnixTime) {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).0 = now;
    }

    /// Moves both the wall clock and the monotonic one.
    pub fn advance(&self, by: Duration) {
        let mut time = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *time = (time.0.plus(by.as_secs() as i64), time.1 + by);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> UnixTime {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).0
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_year_takes_no_time() {
        let clock = SimulatedClock::at(UnixTime(0));
        clock.advance(Duration::from_secs(365 * 86_400));
        assert_eq!((clock.now(), clock.monotonic().as_secs()), (UnixTime(31_536_000), 31_536_000));
        assert!(SystemClock::new().now() > UnixTime(1_700_000_000));
    }
}

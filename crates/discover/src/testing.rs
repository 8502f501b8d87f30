//! What the tests of sources share: a clock that stands still, and a sink that keeps what it is given.

use std::sync::Mutex;
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_core::joints::Sink;
use notafter_core::observation::Observation;

/// Early in 2027, for ever.
pub(crate) struct Still;

impl Clock for Still {
    fn now(&self) -> UnixTime {
        UnixTime(1_800_000_000)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// Everything that was put.
#[derive(Default)]
pub(crate) struct Basket(pub(crate) Mutex<Vec<Observation>>);

impl Sink for Basket {
    fn put(&self, observation: Observation) {
        self.0.lock().unwrap().push(observation);
    }
}

//! What tests of this crate share: a memory of what providers keep, a clock set by hand, a solver that nobody may ask. Only
//! built for tests.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_core::deployment::Check;
use notafter_core::fault::Fault;
use notafter_core::issuance::{Challenge, ChallengeType, Cleanup, Identifier};
use notafter_core::joints::{BoxFuture, Cx, Keep, Solver};

/// Keeps in memory.
#[derive(Default)]
pub(crate) struct Memory(Mutex<BTreeMap<String, Vec<u8>>>);

impl Keep for Memory {
    fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.0.lock().expect("the map").get(name).cloned())
    }

    fn keep(&self, name: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, Fault> {
        let mut map = self.0.lock().expect("the map");
        if map.get(name).map(Vec::as_slice) != expected {
            return Ok(false);
        }
        map.insert(name.to_owned(), value.to_vec());
        Ok(true)
    }
}

/// A clock that stands where a test puts it.
pub(crate) struct Hand(pub(crate) AtomicI64);

impl Clock for Hand {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// For issuers that ask for no proof.
pub(crate) struct Nobody;

impl Solver for Nobody {
    fn kind(&self) -> ChallengeType {
        ChallengeType::Http01
    }

    fn present<'a>(&'a self, _: &'a Cx, _: &'a Challenge) -> BoxFuture<'a, Result<Cleanup, Fault>> {
        unreachable!("this issuer asks for no proof")
    }

    fn is_visible<'a>(&'a self, _: &'a Cx, _: &'a Challenge) -> BoxFuture<'a, Result<bool, Fault>> {
        unreachable!("this issuer asks for no proof")
    }

    fn clean_up<'a>(&'a self, _: &'a Cx, _: &'a Cleanup) -> BoxFuture<'a, Result<(), Fault>> {
        unreachable!("this issuer asks for no proof")
    }

    fn rehearse<'a>(&'a self, _: &'a Cx, _: &'a Identifier) -> BoxFuture<'a, Vec<Check>> {
        unreachable!("this issuer asks for no proof")
    }
}

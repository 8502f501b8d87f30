//! A provider of every kind that shows, installs, sees and keeps nothing: for tests in which nobody is to ask it.

use notafter_core::deployment::{Bundle, Check, Receipt};
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::issuance::{Challenge, ChallengeType, Cleanup, Identifier};
use notafter_core::joints::{BoxFuture, Cx, Deployer, Keep, Probe, Solver};
use notafter_core::location::Location;
use notafter_core::observation::Observation;

/// Is there, and does nothing.
pub(crate) struct Nothing;

impl Solver for Nothing {
    fn kind(&self) -> ChallengeType {
        ChallengeType::Http01
    }

    fn present<'a>(&'a self, _: &'a Cx, _: &'a Challenge) -> BoxFuture<'a, Result<Cleanup, Fault>> {
        Box::pin(async { Err(Fault::new(FaultKind::Invalid, "nothing is shown here")) })
    }

    fn is_visible<'a>(&'a self, _: &'a Cx, _: &'a Challenge) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async { Ok(false) })
    }

    fn clean_up<'a>(&'a self, _: &'a Cx, _: &'a Cleanup) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    fn rehearse<'a>(&'a self, _: &'a Cx, _: &'a Identifier) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(async { Vec::new() })
    }
}

impl Deployer for Nothing {
    fn places(&self) -> Vec<Location> {
        Vec::new()
    }

    fn deploy<'a>(&'a self, _: &'a Cx, _: &'a Bundle) -> BoxFuture<'a, Result<Receipt, Fault>> {
        Box::pin(async { Err(Fault::new(FaultKind::Invalid, "nothing is installed here")) })
    }

    fn roll_back<'a>(&'a self, _: &'a Cx, _: &'a Receipt) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    fn rehearse<'a>(&'a self, _: &'a Cx) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(async { Vec::new() })
    }
}

impl Probe for Nothing {
    fn probe<'a>(&'a self, _: &'a Cx, _: &'a str) -> BoxFuture<'a, Result<Vec<Observation>, Fault>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl Keep for Nothing {
    fn kept(&self, _: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(None)
    }

    fn keep(&self, _: &str, _: Option<&[u8]>, _: &[u8]) -> Result<bool, Fault> {
        Ok(true)
    }
}

//! For certificates whose issuers want no proof (an own CA, a person): it is never asked to show anything.

use notafter_core::deployment::Check;
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::issuance::{Challenge, ChallengeType, Cleanup, Identifier};
use notafter_core::joints::{BoxFuture, Cx, Solver};

/// Shows nothing. Asked all the same, it says what is missing.
pub struct Unasked;

impl Solver for Unasked {
    fn kind(&self) -> ChallengeType {
        ChallengeType::Http01
    }

    fn present<'a>(&'a self, _: &'a Cx, _: &'a Challenge) -> BoxFuture<'a, Result<Cleanup, Fault>> {
        let said = "the issuer wants to see that the names are ours, and the certificate has no solver";
        Box::pin(async move { Err(Fault::new(FaultKind::Invalid, said)) })
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

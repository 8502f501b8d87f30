//! Where an order stands, as it is kept between two steps. Nothing in it is secret: a key authorization is shown to the
//! whole world, and the account key is elsewhere.

use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::issuance::{Challenge, Cleanup, Ticket};
use serde::{Deserialize, Serialize};

/// A ticket of this issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Of which CA: a ticket of staging is none of the real one's.
    pub(crate) ca: String,
    /// How far.
    pub(crate) step: Step,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all = "kebab-case")]
pub(crate) enum Step {
    /// The account is found or made.
    Account,
    /// The order is made.
    Order {
        /// The CA did not take the order as a replacement (RFC 9773 section 5): it is made as one that replaces nothing.
        #[serde(default)]
        replaces_nothing: bool,
        /// The account was unknown once already.
        #[serde(default)]
        account_anew: bool,
    },
    /// Control of every name is proved.
    Authorize {
        /// The order.
        order: Order,
        /// One for each authorization.
        proofs: Vec<Proof>,
    },
    /// The request is handed in. Kept before it is: after a crash the order is looked at, and never made again.
    Finalize {
        /// The order.
        order: Order,
        /// What could not be taken back yet.
        #[serde(default)]
        left: Vec<Left>,
        /// How often the order was looked at.
        #[serde(default)]
        looks: u32,
        /// Since when, in seconds; 0: not at all yet.
        #[serde(default)]
        since: i64,
    },
    /// The certificate is fetched.
    Download {
        /// Where it is.
        certificate: String,
        /// What could not be taken back yet.
        #[serde(default)]
        left: Vec<Left>,
        /// Since when, in seconds.
        #[serde(default)]
        since: i64,
    },
}

/// An order's addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) url: String,
    pub(crate) finalize: String,
}

/// One authorization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proof {
    /// Its address.
    pub(crate) url: String,
    /// How far it is.
    pub(crate) stage: Stage,
    /// What is shown, and where the CA is told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<Task>,
    /// What it takes to take it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cleanup: Option<Cleanup>,
    /// How often it was looked at in this stage.
    #[serde(default)]
    pub(crate) looks: u32,
    /// When this stage began.
    #[serde(default)]
    pub(crate) since: i64,
}

/// How far an authorization is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    /// Nobody looked at it.
    New,
    /// A challenge was chosen and not shown yet.
    Chosen,
    /// It is shown; the CA was not told.
    Shown,
    /// The CA was told, and looks.
    Told,
    /// The CA is content.
    Valid,
}

/// A challenge that was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Task {
    /// Where the CA is told that it is shown.
    pub(crate) url: String,
    /// What is shown.
    pub(crate) challenge: Challenge,
}

/// Something shown that is still there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Left {
    pub(crate) cleanup: Cleanup,
    /// How often it was tried.
    #[serde(default)]
    pub(crate) tries: u32,
}

impl State {
    /// As a ticket.
    pub(crate) fn ticket(&self) -> Result<Ticket, Fault> {
        serde_json::to_value(self).map(Ticket).map_err(|e| Fault::new(FaultKind::System, e.to_string()))
    }

    /// Reads a ticket.
    pub(crate) fn read(ticket: &Ticket, ca: &str) -> Result<Self, Fault> {
        let lost = |why: &str| {
            Fault::new(FaultKind::Invalid, format!("what is kept of the order cannot be gone on with: {why}"))
                .retry(Retry::Never)
                .hint("give the order up and begin anew; nothing is lost but the order")
        };
        let state: Self = serde_json::from_value(ticket.0.clone()).map_err(|e| lost(&e.to_string()))?;
        if state.ca == ca { Ok(state) } else { Err(lost("it was made for another CA")) }
    }

    /// What names the order at the CA, once there is one.
    pub(crate) fn order(&self) -> Option<&str> {
        match &self.step {
            Step::Account | Step::Order { .. } => None,
            Step::Authorize { order, .. } | Step::Finalize { order, .. } => Some(&order.url),
            Step::Download { certificate, .. } => Some(certificate),
        }
    }

    /// What is shown to the world, and has to be taken back.
    pub(crate) fn cleanups(&self) -> Vec<&Cleanup> {
        match &self.step {
            Step::Account | Step::Order { .. } => Vec::new(),
            Step::Authorize { proofs, .. } => proofs.iter().filter_map(|p| p.cleanup.as_ref()).collect(),
            Step::Finalize { left, .. } | Step::Download { left, .. } => {
                left.iter().map(|l| &l.cleanup).collect()
            }
        }
    }
}

impl Proof {
    /// The next stage begins.
    pub(crate) fn enter(&mut self, stage: Stage, now: i64) {
        (self.stage, self.looks, self.since) = (stage, 0, now);
    }
}

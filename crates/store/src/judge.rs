//! What is due for judgment, with everything that a judge must see beside it; and the verdicts, kept.

use notafter_core::UnixTime;
use notafter_core::finding::Finding;
use notafter_core::inventory::Inventory;
use notafter_core::subject::SubjectKey;

use crate::{Store, StoreError};

/// A subject that is due, and the token under which it was found so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub subject: SubjectKey,
    /// Changes when the subject is touched again; a verdict given under an old token leaves it due.
    pub token: i64,
}

/// What judges one part of the inventory: the subjects, and all that stands beside them.
pub struct Part {
    /// Loaded: the subjects, everything at the same server names and in the same folders, the chains, candidate
    /// issuers up to a root, later certificates for the same names, what depends on a CA among them, links.
    pub inventory: Inventory,
    /// What is to be judged in it.
    pub due: Vec<Due>,
}

/// A verdict.
#[derive(Clone, Debug)]
pub struct Judged {
    /// About what.
    pub due: Due,
    /// What is wrong with it. Empty: nothing, any more.
    pub findings: Vec<Finding>,
    /// When time alone can change that.
    pub holds_until: Option<UnixTime>,
    /// Who answers for it, for an asset.
    pub owner: Option<String>,
    /// The role of each placement by location, where judgment changed it (a folder of roots).
    pub roles: Vec<(notafter_core::location::Location, notafter_core::inventory::Role)>,
}

/// What verdicts changed, by finding id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct FindingChanges {
    pub opened: Vec<String>,
    pub changed: Vec<String>,
    pub resolved: Vec<String>,
}

impl Store {
    /// The subjects that are due at `now`, most urgent first, so many at most.
    ///
    /// # Errors
    /// The store's.
    pub fn due(&self, now: UnixTime, limit: usize) -> Result<Vec<Due>, StoreError> {
        let _ = (now, limit);
        todo!()
    }

    /// When the next subject is due.
    ///
    /// # Errors
    /// The store's.
    pub fn next_due(&self) -> Result<Option<UnixTime>, StoreError> {
        todo!()
    }

    /// Makes everything due: the rules, the owners or the trust stores are others now.
    ///
    /// # Errors
    /// The store's.
    pub fn all_due(&self) -> Result<(), StoreError> {
        todo!()
    }

    /// Loads what judges these.
    ///
    /// # Errors
    /// The store's.
    pub fn load(&self, due: Vec<Due>, now: UnixTime) -> Result<Part, StoreError> {
        let _ = (due, now);
        todo!()
    }

    /// Keeps verdicts: findings open, change and resolve; owners and next instants are noted. One transaction.
    ///
    /// A finding may come from several subjects: it is resolved when the last of them no longer gives it.
    ///
    /// # Errors
    /// The store's.
    pub fn judged(&self, judged: &[Judged], now: UnixTime) -> Result<FindingChanges, StoreError> {
        let _ = (judged, now);
        todo!()
    }
}

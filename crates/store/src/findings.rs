//! Findings as they stand, for those who tell and those who show.

use notafter_core::UnixTime;
use notafter_core::finding::{Kind, Severity};

use crate::rows::FindingRow;
use crate::{Store, StoreError};

/// Which findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindingFilter {
    /// Only these kinds; empty: all.
    pub kinds: Vec<Kind>,
    /// At least so bad.
    pub severity: Option<Severity>,
    /// Of this owner; `Some(None)`: of nobody.
    pub owner: Option<Option<String>>,
    /// About this asset (`sha256:...`).
    pub asset: Option<String>,
    /// At this place.
    pub location: Option<String>,
    /// Opened since.
    pub since: Option<UnixTime>,
    /// Resolved ones instead of open ones.
    pub resolved: bool,
    /// Go on after this finding (keyset).
    pub after: Option<String>,
    /// So many.
    pub limit: usize,
}

impl Store {
    /// Findings, worst and most urgent first.
    ///
    /// # Errors
    /// The store's.
    pub fn findings(&self, filter: &FindingFilter) -> Result<Vec<FindingRow>, StoreError> {
        let _ = filter;
        todo!()
    }

    /// One finding, open or resolved, by its id.
    ///
    /// # Errors
    /// The store's.
    pub fn finding(&self, id: &str) -> Result<Option<FindingRow>, StoreError> {
        let _ = id;
        todo!()
    }

    /// Every open finding that somebody is told about (warning and worse): in bounded memory, in any order.
    ///
    /// # Errors
    /// The store's.
    pub fn each_tellable(&self, each: &mut dyn FnMut(FindingRow)) -> Result<(), StoreError> {
        let _ = each;
        todo!()
    }

    /// How many are open, by kind, severity and owner.
    ///
    /// # Errors
    /// The store's.
    pub fn finding_counts(&self) -> Result<Vec<(Kind, Severity, Option<String>, u64)>, StoreError> {
        todo!()
    }
}

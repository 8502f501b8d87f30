//! Alerts, messages on their way, acknowledgement links, the audit trail.

use notafter_core::UnixTime;
use notafter_core::alert::{Alert, Outgoing, State};

use crate::{Store, StoreError};

/// One line of the audit trail: who did what to what.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct AuditLine {
    pub at: UnixTime,
    pub who: String,
    /// `alert-told`, `acknowledged`, `retired`, `owner-set`, `restored`, ...
    pub what: String,
    /// What it was done to: an alert (`a17`), an asset, a place.
    pub subject: String,
    pub detail: String,
}

/// What became of a single-use link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// For this alert.
    For(i64),
    /// It was used already.
    Used,
    /// It has ended, or was revoked.
    Ended,
    /// There never was such a link.
    Unknown,
}

impl Store {
    /// Alerts that are not resolved.
    ///
    /// # Errors
    /// The store's.
    pub fn open_alerts(&self) -> Result<Vec<Alert>, StoreError> {
        todo!()
    }

    /// Alerts in one state (`None`: any), newest change first; `after` is the number to go on after.
    ///
    /// # Errors
    /// The store's.
    pub fn alerts(
        &self,
        state: Option<State>,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Alert>, StoreError> {
        let _ = (state, after, limit);
        todo!()
    }

    /// One alert.
    ///
    /// # Errors
    /// The store's.
    pub fn alert(&self, number: i64) -> Result<Option<Alert>, StoreError> {
        let _ = number;
        todo!()
    }

    /// The alert that a finding belongs to, the newest if there were several.
    ///
    /// # Errors
    /// The store's.
    pub fn alert_of(&self, finding: &str) -> Result<Option<Alert>, StoreError> {
        let _ = finding;
        todo!()
    }

    /// The lowest alert number that was never used.
    ///
    /// # Errors
    /// The store's.
    pub fn next_alert_number(&self) -> Result<i64, StoreError> {
        todo!()
    }

    /// Keeps an alert with the messages that follow from it, all or nothing. `false`: it was changed by somebody else
    /// since it was loaded (its `version`), and nothing was kept. A message whose id is known is not written twice.
    ///
    /// # Errors
    /// The store's.
    pub fn tell(
        &self,
        alert: &Alert,
        messages: &[Outgoing],
        audit: &[AuditLine],
    ) -> Result<bool, StoreError> {
        let _ = (alert, messages, audit);
        todo!()
    }

    /// Puts messages that belong to no alert on their way (a digest, a test).
    ///
    /// # Errors
    /// The store's.
    pub fn send(&self, messages: &[Outgoing]) -> Result<(), StoreError> {
        let _ = messages;
        todo!()
    }

    /// Messages to be tried now, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub fn outgoing_due(&self, now: UnixTime, limit: usize) -> Result<Vec<Outgoing>, StoreError> {
        let _ = (now, limit);
        todo!()
    }

    /// When the next message is due.
    ///
    /// # Errors
    /// The store's.
    pub fn next_outgoing(&self) -> Result<Option<UnixTime>, StoreError> {
        todo!()
    }

    /// Keeps what became of a delivery, and the messages that are sent instead (a second channel).
    ///
    /// # Errors
    /// The store's.
    pub fn delivered(&self, message: &Outgoing, instead: &[Outgoing]) -> Result<(), StoreError> {
        let _ = (message, instead);
        todo!()
    }

    /// Deliveries, newest first: of one alert, or all.
    ///
    /// # Errors
    /// The store's.
    pub fn outgoing(&self, alert: Option<i64>, limit: usize) -> Result<Vec<Outgoing>, StoreError> {
        let _ = (alert, limit);
        todo!()
    }

    /// Keeps the SHA-256 of a single-use secret that acknowledges an alert until `ends`.
    ///
    /// # Errors
    /// The store's.
    pub fn put_link(&self, hash: &[u8; 32], alert: i64, ends: UnixTime) -> Result<(), StoreError> {
        let _ = (hash, alert, ends);
        todo!()
    }

    /// Looks a link up; with `take` it is used up by that.
    ///
    /// # Errors
    /// The store's.
    pub fn link(&self, hash: &[u8; 32], take: bool, now: UnixTime) -> Result<Link, StoreError> {
        let _ = (hash, take, now);
        todo!()
    }

    /// Writes a line into the audit trail. Each line carries the hash of the one before it.
    ///
    /// # Errors
    /// The store's.
    pub fn audit(&self, line: &AuditLine) -> Result<(), StoreError> {
        let _ = line;
        todo!()
    }

    /// The audit trail, newest first: about one subject, or all; `before` is the row number to go on below.
    ///
    /// # Errors
    /// The store's.
    pub fn audit_lines(
        &self,
        subject: Option<&str>,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<(i64, AuditLine)>, StoreError> {
        let _ = (subject, before, limit);
        todo!()
    }

    /// Follows the chain of hashes through the whole audit trail; the number of the first row that does not fit.
    ///
    /// # Errors
    /// The store's.
    pub fn audit_broken_at(&self) -> Result<Option<i64>, StoreError> {
        todo!()
    }
}

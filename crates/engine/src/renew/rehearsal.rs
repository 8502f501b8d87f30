//! Rehearsals all year: so that what would go wrong on the day is known weeks before it.
//!
//! When one is due, and what the last one said. What is looked at is `renew.rs`'s and the providers'; what is made of a
//! bad answer is for the rules: it stands in the statement of our own renewer.

use notafter_core::UnixTime;
use notafter_core::deployment::Check;
use notafter_pki::fingerprint::sha256;
use notafter_pki::time::DAY;
use notafter_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

use super::{Managed, Renewer};

/// One is due so long after the last, or after a renewal that went well, where nothing else is said.
pub const EVERY: i64 = 7 * DAY;
/// One that said no is repeated so soon: what was mended shall be seen to be.
const AGAIN: i64 = DAY;
/// Whoever has to wait for its turn asks again after so many seconds.
const NEXT_TURN: i64 = 60;
static TURN: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(1);
/// So many times as old as it should be, and nobody can rely on it.
const STALE: i64 = 3;

/// A rehearsal that was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// When, in seconds.
    pub at: i64,
    /// What was looked at.
    pub checks: Vec<Check>,
}

impl Rehearsal {
    /// Would it have renewed?
    pub fn would_renew(&self) -> bool {
        self.checks.iter().all(|check| check.works)
    }

    /// The last one of a certificate.
    ///
    /// # Errors
    /// The store's.
    pub fn last(store: &Store, name: &str) -> Result<Option<Self>, StoreError> {
        Ok(store.kept(&key(name))?.and_then(|kept| serde_json::from_slice(&kept.value).ok()))
    }

    /// What is wrong by it, for whoever has to mend it. `every`: how often one should be.
    pub fn trouble(&self, every: i64, now: UnixTime) -> Option<String> {
        if let Some(check) = self.checks.iter().find(|check| !check.works) {
            let what = format!("{}: {}", check.what, check.because);
            return Some(format!("rehearsed at {}, it would not renew: {what}", UnixTime(self.at)));
        }
        let old = now.0.saturating_sub(self.at) > every.saturating_mul(STALE);
        old.then(|| {
            format!("it was last rehearsed at {}: whether it would renew is not known", UnixTime(self.at))
        })
    }
}

fn key(name: &str) -> String {
    format!("rehearsal/{name}")
}

/// When the next one is due. `renewed`: when a renewal of it last went well, which proves more than any rehearsal.
fn due(managed: &Managed, last: Option<&Rehearsal>, renewed: Option<UnixTime>) -> Option<UnixTime> {
    let every = managed.rehearse_s?;
    let Some(last) = last else { return Some(renewed.map_or(UnixTime(0), |at| at.plus(every))) };
    let wait = if last.would_renew() { every } else { AGAIN.min(every) };
    // Not all of a fleet in one hour: by its name, up to a tenth later.
    let digest = sha256(managed.name.as_bytes());
    let late = i64::from(digest[0]) * (wait / 10) / 255;
    Some(UnixTime(last.at.max(renewed.map_or(0, |at| at.0))).plus(wait + late))
}

impl Renewer<'_> {
    /// Rehearses, if it is time. When the next one is due.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn rehearse_in_time(
        &self,
        managed: &Managed,
        staged: Option<&Managed>,
        renewed: Option<UnixTime>,
    ) -> Result<Option<UnixTime>, StoreError> {
        let last = Rehearsal::last(self.store, &managed.name)?;
        let now = self.cx.clock.now();
        match due(managed, last.as_ref(), renewed) {
            Some(at) if at <= now => {
                // One at a time: a fleet that begins today is through in hours, and nobody's port 80 is fought over.
                let Ok(_turn) = TURN.try_acquire() else { return Ok(Some(now.plus(NEXT_TURN))) };
                let checks = self.rehearse(managed, staged).await;
                let kept = self.note_rehearsal(managed, &checks, self.cx.clock.now())?;
                Ok(due(managed, Some(&kept), renewed))
            }
            other => Ok(other),
        }
    }

    /// Keeps what a rehearsal found.
    ///
    /// # Errors
    /// The store's.
    pub fn note_rehearsal(
        &self,
        managed: &Managed,
        checks: &[Check],
        now: UnixTime,
    ) -> Result<Rehearsal, StoreError> {
        let rehearsal = Rehearsal { at: now.0, checks: checks.to_vec() };
        let body = serde_json::to_vec(&rehearsal).unwrap_or_default();
        self.store.keep(&key(&managed.name), &body, None)?;
        Ok(rehearsal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rehearsal(at: i64, works: bool) -> Rehearsal {
        let check = if works {
            Check::works("port 80", "seen")
        } else {
            Check::fails("port 80", "closed", "open it")
        };
        Rehearsal { at, checks: vec![check] }
    }

    #[test]
    fn a_no_is_said_and_silence_too() {
        let now = UnixTime(1_800_000_000);
        assert_eq!(rehearsal(now.0 - 20 * DAY, true).trouble(EVERY, now), None);
        let old = rehearsal(now.0 - 22 * DAY, true).trouble(EVERY, now);
        assert!(old.is_some_and(|why| why.contains("is not known")));
        let no = rehearsal(now.0, false).trouble(EVERY, now);
        assert!(no.is_some_and(|why| why.ends_with("it would not renew: port 80: closed")));
    }
}

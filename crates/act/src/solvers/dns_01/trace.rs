//! What was shown and is not yet known to be gone. Written down before a record is made, so that a process that is killed in
//! the middle leaves a trace: whoever uses the same solver later takes the record away.
//!
//! A list by the settings of the solver, because only they say how to take it away. Values are public; nothing secret is in it.

use std::sync::Arc;
use std::time::Duration;

use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::Keep;
use notafter_pki::fingerprint::{hex, sha256};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::provider::Record;

/// After so long, beside the solver's own patience, nobody waits for a record any more: the CA looks for an hour.
const FORGOTTEN: i64 = 24 * 3_600;
/// So long, beside that patience, another value at the same name may be one that a CA is going to look at.
const UNDER_WAY: i64 = 3 * 3_600;
/// So many are taken back at one time, so that old ones do not hold up a renewal.
const AT_ONCE: usize = 4;
/// After so long without success it is given up.
const GIVEN_UP: i64 = 30 * 86_400;

/// A record that was shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Shown {
    pub(super) record: Record,
    /// What its removal wants to know.
    #[serde(default)]
    pub(super) memo: Value,
    /// Since when.
    pub(super) at: i64,
}

/// The list.
pub(super) struct Trace {
    keep: Arc<dyn Keep>,
    name: String,
    /// How long a record may take until it can be seen, in seconds.
    patience: i64,
}

impl Trace {
    /// The list of a solver with these settings.
    pub(super) fn new(keep: Arc<dyn Keep>, settings: &Value) -> Self {
        let name = format!("dns-01/{}", hex(&sha256(settings.to_string().as_bytes())[..8]));
        Self { keep, name, patience: 0 }
    }

    /// The list of a solver that waits so long for its records.
    pub(super) fn patient(self, patience: Duration) -> Self {
        Self { patience: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX).min(GIVEN_UP), ..self }
    }

    fn read(&self) -> Result<(Option<Vec<u8>>, Vec<Shown>), Fault> {
        let bytes = self.keep.kept(&self.name)?;
        let list = bytes.as_deref().and_then(|b| serde_json::from_slice(b).ok()).unwrap_or_default();
        Ok((bytes, list))
    }

    fn change(&self, change: impl Fn(&mut Vec<Shown>)) -> Result<(), Fault> {
        // Other renewals show and take back at the same time: a lost race is a look at what they left.
        for _ in 0..32 {
            let (before, mut list) = self.read()?;
            change(&mut list);
            let bytes =
                serde_json::to_vec(&list).map_err(|e| Fault::new(FaultKind::System, e.to_string()))?;
            if before.as_deref() == Some(&bytes) || self.keep.keep(&self.name, before.as_deref(), &bytes)? {
                return Ok(());
            }
        }
        Err(Fault::new(
            FaultKind::System,
            "what is shown in DNS could not be written down: others write all the time",
        ))
    }

    /// It is going to be shown, from now on.
    pub(super) fn begin(&self, record: &Record, now: i64) -> Result<(), Fault> {
        self.change(|list| match list.iter_mut().find(|shown| is(shown, record)) {
            Some(shown) => shown.at = now,
            None => list.push(Shown { record: record.clone(), memo: Value::Null, at: now }),
        })
    }

    /// It is shown; this is what its removal wants to know.
    pub(super) fn note(&self, record: &Record, memo: &Value) -> Result<(), Fault> {
        self.change(|list| {
            list.iter_mut().filter(|s| is(s, record)).for_each(|shown| shown.memo = memo.clone());
        })
    }

    /// It is gone.
    pub(super) fn forget(&self, record: &Record) -> Result<(), Fault> {
        self.change(|list| list.retain(|shown| !is(shown, record)))
    }

    /// Since when this value is shown.
    pub(super) fn since(&self, record: &Record) -> Result<Option<i64>, Fault> {
        Ok(self.read()?.1.iter().find(|shown| shown.record.value == record.value).map(|shown| shown.at))
    }

    /// Is another value shown at the same name, by an order that is under way?
    pub(super) fn beside(&self, record: &Record, now: i64) -> Result<usize, Fault> {
        let (_, list) = self.read()?;
        let other = |s: &&Shown| {
            s.record.place == record.place
                && s.record.value != record.value
                && now - s.at < UNDER_WAY + self.patience
        };
        Ok(list.iter().filter(other).count())
    }

    /// What nobody waits for any more, and what is not even to be tried again.
    pub(super) fn forgotten(&self, now: i64) -> Result<Vec<Shown>, Fault> {
        let (_, mut list) = self.read()?;
        if list.iter().any(|shown| now - shown.at > GIVEN_UP) {
            self.change(|list| list.retain(|shown| now - shown.at <= GIVEN_UP))?;
        }
        list.retain(|shown| (FORGOTTEN + self.patience..=GIVEN_UP).contains(&(now - shown.at)));
        list.truncate(AT_ONCE);
        Ok(list)
    }
}

fn is(shown: &Shown, record: &Record) -> bool {
    shown.record.place == record.place && shown.record.value == record.value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Memory;
    use serde_json::json;

    #[test]
    fn a_trace_stays_until_the_record_is_gone() {
        let keep: Arc<dyn Keep> = Arc::new(Memory::default());
        let trace = Trace::new(Arc::clone(&keep), &json!({ "provider": "a" }));
        let other = Trace::new(Arc::clone(&keep), &json!({ "provider": "b" }));
        let record = Record::for_tests();
        let second = Record { value: "other".to_owned(), ..record.clone() };
        trace.begin(&record, 1000).expect("kept");
        trace.begin(&record, 2000).expect("kept");
        assert_eq!(trace.since(&record).expect("read"), Some(2000), "shown again is shown since then");
        assert_eq!(trace.beside(&second, 2000).expect("read"), 1);
        trace.note(&record, &json!({ "output": "7" })).expect("kept");
        assert!(trace.forgotten(2000 + 3600).expect("read").is_empty(), "an order may wait for it");
        let old = trace.forgotten(2000 + 86_400).expect("read");
        assert_eq!((old.len(), old[0].memo.clone()), (1, json!({ "output": "7" })));
        let patient =
            Trace::new(Arc::clone(&keep), &json!({ "provider": "a" })).patient(Duration::from_secs(90_000));
        assert!(patient.forgotten(2000 + 86_400).expect("read").is_empty(), "an order still waits for it");
        assert_eq!(patient.beside(&second, 2000 + 90_000).expect("read"), 1);
        assert_eq!(patient.forgotten(2000 + 90_000 + 86_400).expect("read").len(), 1);
        assert!(other.forgotten(2000 + 86_400).expect("read").is_empty(), "of another solver");
        assert!(trace.forgotten(2000 + 31 * 86_400).expect("read").is_empty(), "given up");
        assert_eq!(trace.since(&record).expect("read"), None);
        trace.begin(&record, 5000).expect("kept");
        trace.forget(&record).expect("kept");
        assert_eq!(trace.since(&record).expect("read"), None);
    }
}

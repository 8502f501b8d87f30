//! When each source runs next: what never ran first, then what waits longest; spread, so that not everything
//! runs at once; and never put off by a clock that was set.

use std::collections::{BTreeMap, BTreeSet};

use notafter_core::UnixTime;
use notafter_pki::fingerprint::sha256;
use notafter_store::{Store, StoreError};

use crate::setup::{Planned, Setup};

/// A share of the interval by which runs are spread: a tenth.
const SPREAD: i64 = 10;

/// The schedule.
pub struct Schedule {
    entries: BTreeMap<String, Entry>,
}

struct Entry {
    every: i64,
    next: UnixTime,
    /// Did it ever succeed?
    known: bool,
    since: UnixTime,
}

impl Schedule {
    /// Takes up where the last run of the server ended. A source whose targets are others than those it last looked
    /// at is due now; so is one that should have run in the meantime.
    ///
    /// # Errors
    /// The store's.
    pub fn open(store: &Store, setup: &Setup, now: UnixTime) -> Result<Self, StoreError> {
        let rows = store.sources()?;
        let mut entries = BTreeMap::new();
        for planned in &setup.sources {
            let row = rows.iter().find(|r| r.name == planned.name);
            let looked = store.kept(&targets_name(&planned.name))?;
            let same = looked.is_some_and(|kept| kept.value == planned.targets.join("\n").as_bytes());
            // A clock that was set back must not put a source off for more than its own interval; and what it saw
            // at a time that is still to come, it has to see again.
            let ahead = row.and_then(|r| r.last_success).is_some_and(|at| at > now);
            let kept = row.and_then(|r| r.next).filter(|_| same && !ahead);
            let next = kept.map_or(now, |next| next.min(now.plus(planned.every)));
            let known = row.is_some_and(|r| r.last_success.is_some());
            if row.is_none() {
                store.schedule(&planned.name, now)?;
            }
            let since = since(store, &planned.name, now)?;
            entries.insert(planned.name.clone(), Entry { every: planned.every, next, known, since });
        }
        Ok(Self { entries })
    }

    /// Sources that are due: never seen ones first, then the longest overdue.
    pub fn due(&self, now: UnixTime) -> Vec<String> {
        let mut due: Vec<_> = self.entries.iter().filter(|(_, e)| e.next <= now).collect();
        due.sort_by_key(|(_, e)| (e.known, e.next));
        due.into_iter().map(|(name, _)| name.clone()).collect()
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<UnixTime> {
        self.entries.values().map(|e| e.next).min()
    }

    /// Runs a source out of turn.
    pub fn now(&mut self, name: &str, now: UnixTime) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.next = now;
        }
    }

    /// Since when a source is on the schedule, over restarts.
    pub fn since(&self, name: &str) -> Option<UnixTime> {
        self.entries.get(name).map(|e| e.since)
    }

    /// The clock was set: nothing waits longer than its own interval, and nobody is late because of it.
    pub fn clock_set(&mut self, now: UnixTime) {
        for entry in self.entries.values_mut() {
            entry.next = entry.next.min(now.plus(entry.every));
            entry.since = now;
        }
    }

    /// Notes that a run has begun; returns when the next one is due.
    ///
    /// # Errors
    /// The store's.
    pub fn started(
        &mut self,
        store: &Store,
        planned: &Planned,
        now: UnixTime,
    ) -> Result<UnixTime, StoreError> {
        let next = now.plus(planned.every + jitter(&planned.name, planned.every, now));
        store.schedule(&planned.name, next)?;
        if let Some(entry) = self.entries.get_mut(&planned.name) {
            entry.next = next;
            entry.known = true;
        }
        Ok(next)
    }

    /// Targets that were not among those of the last complete run. Empty on the first run: all are new.
    ///
    /// # Errors
    /// The store's.
    pub fn fresh_targets(&self, store: &Store, planned: &Planned) -> Result<Vec<String>, StoreError> {
        let Some(kept) = store.kept(&targets_name(&planned.name))? else { return Ok(Vec::new()) };
        let known = String::from_utf8_lossy(&kept.value).into_owned();
        let known: BTreeSet<&str> = known.lines().collect();
        Ok(planned.targets.iter().filter(|t| !known.contains(t.as_str())).cloned().collect())
    }

    /// Notes what a complete run looked at.
    ///
    /// # Errors
    /// The store's.
    pub fn looked_at(store: &Store, planned: &Planned) -> Result<(), StoreError> {
        store.keep(&targets_name(&planned.name), planned.targets.join("\n").as_bytes(), None).map(drop)
    }
}

/// When a source was first on the schedule.
fn since(store: &Store, source: &str, now: UnixTime) -> Result<UnixTime, StoreError> {
    let name = format!("since/{source}");
    let kept = store.kept(&name)?.and_then(|kept| String::from_utf8(kept.value).ok()?.parse::<i64>().ok());
    if let Some(since) = kept.filter(|since| *since <= now.0) {
        return Ok(UnixTime(since));
    }
    store.keep(&name, now.0.to_string().as_bytes(), None)?;
    Ok(now)
}

fn targets_name(source: &str) -> String {
    format!("targets/{source}")
}

/// Up to a tenth of the interval earlier, never later: "every hour" is a promise. The same for one source and
/// hour wherever it is computed, different from source to source.
fn jitter(name: &str, every: i64, now: UnixTime) -> i64 {
    let most = every / SPREAD;
    if most == 0 {
        return 0;
    }
    let hash = sha256(format!("{name} {}", now.0 / 3600).as_bytes());
    let number = i64::from(u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]));
    -(number % (most + 1))
}

/// The earliest of several instants.
pub(crate) struct NextUp(pub(crate) Option<UnixTime>);

impl NextUp {
    pub(crate) fn add(&mut self, at: Option<UnixTime>) {
        self.0 = match (self.0, at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_only_brings_forward() {
        for every in [1, 9, 60, 3600, 86_400] {
            for n in 0..50 {
                let j = jitter(&format!("s{n}"), every, UnixTime(n * 7777));
                assert!((-every / SPREAD..=0).contains(&j));
            }
        }
        let spread: BTreeSet<_> = (0..50).map(|n| jitter(&format!("s{n}"), 3600, UnixTime(0))).collect();
        assert!(spread.len() > 30);
    }
}

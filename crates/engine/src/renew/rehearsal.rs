//! Rehearsals all year: so that what would go wrong on the day is known weeks before it.
//!
//! When one is due, whom it asks, and what the last one said. What is looked at is the providers'; what is made of a bad
//! answer is for the rules: it stands in the statement of our own renewer.

use notafter_core::UnixTime;
use notafter_core::deployment::{Check, Trial};
use notafter_core::fault::Fault;
use notafter_core::issuance::{Progress, Request};
use notafter_core::joints::Issuer;
use notafter_core::observation::{Observation, Seen};
use notafter_core::review::review;
use notafter_pki::fingerprint::sha256;
use notafter_pki::time::DAY;
use notafter_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

use super::{Managed, ManagedTarget, Renewer, told};

/// One is due so long after the last, or after a renewal that went well, where nothing else is said.
pub const EVERY: i64 = 7 * DAY;
/// One that said no is repeated so soon: what was mended shall be seen to be.
const AGAIN: i64 = DAY;
/// Whoever has to wait for its turn asks again after so many seconds.
const NEXT_TURN: i64 = 60;
static TURN: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(1);
/// So many times as old as it should be, and nobody can rely on it.
const STALE: i64 = 3;

/// So long an order on a stage may take, in seconds, beside what its solver needs until others see what it shows; and so
/// long at most, since a rehearsal is not what it is for.
const STAGE_S: u64 = 120;
const STAGE_MOST_S: u64 = 3_600;

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

/// Why nothing was seen.
fn failed(seen: &Observation) -> Option<String> {
    match &seen.seen {
        Seen::Failed { reason, detail } => Some(format!("{}: {detail}", reason.as_str())),
        _ => None,
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
    /// Would it renew today? Asks every provider; with `staged` a certificate is really issued where that costs nothing,
    /// and installed nowhere.
    pub async fn rehearse(&self, managed: &Managed, staged: Option<&Managed>) -> Vec<Check> {
        let mut out = Vec::new();
        let (key, request) = match (self.tools.make)(&managed.names, managed.key, None) {
            Ok((key, csr)) => {
                let request = Request {
                    names: managed.names.clone(),
                    csr,
                    profile: managed.profile.clone(),
                    replaces: None,
                    preferred_chain: managed.preferred_chain.clone(),
                    lifetime_s: managed.lifetime_s,
                };
                (key, request)
            }
            Err(fault) => {
                out.push(Check::fails("a key and a request", told(&fault), "see the names and the key type"));
                return out;
            }
        };
        for (_, issuer) in &managed.issuers {
            out.extend(issuer.rehearse(self.cx, &request, managed.solver.as_ref()).await);
        }
        for name in &managed.names {
            out.extend(managed.solver.rehearse(self.cx, name).await);
        }
        let mut chain = Vec::new();
        for (name, issuer) in staged.iter().flat_map(|s| &s.issuers) {
            let (check, issued) = self.order_on_stage(name, issuer.as_ref(), managed, &request).await;
            out.push(check);
            if chain.is_empty() {
                chain = issued;
            }
        }
        let trial = Trial {
            name: &managed.name,
            names: &managed.names,
            kind: managed.key,
            key: Some(&key),
            chain: &chain,
        };
        for target in &managed.targets {
            let checks = target.deployer.rehearse(self.cx).await;
            let works = checks.iter().all(|check| check.works);
            out.extend(checks);
            // What cannot be reached or written has been said.
            if works {
                out.extend(target.deployer.try_on(self.cx, &trial).await);
            }
            out.extend(self.look_around(target).await);
        }
        out
    }

    /// Do the places that `prove` names answer? One that does not is worth a word: it may be down for an hour. If none does,
    /// nobody would ever see the new one in use.
    async fn look_around(&self, target: &ManagedTarget) -> Vec<Check> {
        let mut silent = Vec::new();
        let mut out = Vec::new();
        for place in target.prove.iter().filter(|p| !target.excused.iter().any(|(e, _)| e == *p)) {
            let what = format!("prove: {place}");
            let why = match self.tools.probe.probe(self.cx, place).await {
                Ok(seen) if seen.iter().any(|one| matches!(one.seen, Seen::Chain { .. })) => {
                    out.push(Check::works(what, "it answers with a certificate"));
                    continue;
                }
                Ok(seen) => seen.iter().find_map(failed).unwrap_or_else(|| "no certificate is there".into()),
                Err(fault) => told(&fault),
            };
            silent.push((what, why));
        }
        let none = out.is_empty();
        let hint = "after a renewal it has to show the new one: is it up, and can it be reached from here?";
        out.extend(silent.into_iter().map(|(what, why)| match none {
            true => Check::fails(what, format!("no place of {} answers: {why}", target.label), hint),
            false => Check::doubts(what, format!("it does not answer: {why}"), hint),
        }));
        out
    }

    /// One whole order with a staging issuer, by the same steps as in earnest; and the chain that it issued.
    async fn order_on_stage(
        &self,
        name: &str,
        issuer: &dyn Issuer,
        managed: &Managed,
        request: &Request,
    ) -> (Check, Vec<Vec<u8>>) {
        let what = format!("an order with {name}'s staging");
        let failed = |fault: &Fault| {
            let hint = fault.hint.clone().unwrap_or_else(|| "mend it before the next renewal is due".into());
            (Check::fails(what.clone(), fault.to_string(), hint), Vec::new())
        };
        let mut ticket = match issuer.begin(self.cx, request).await {
            Ok(ticket) => ticket,
            Err(fault) => return failed(&fault),
        };
        let begun = self.cx.clock.monotonic();
        let patience = (STAGE_S + managed.solver.patience().as_secs()).min(STAGE_MOST_S);
        while self.cx.clock.monotonic().saturating_sub(begun).as_secs() < patience {
            match issuer.advance(self.cx, request, &ticket, managed.solver.as_ref()).await {
                Ok(Progress::Stepped(next)) => ticket = next,
                Ok(Progress::Waits { ticket: next, until, .. }) => {
                    ticket = next;
                    let wait = until.0.saturating_sub(self.cx.clock.now().0).clamp(1, 10).unsigned_abs();
                    // The CA says how long: nothing here can be done before.
                    tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
                }
                Ok(Progress::Issued(issued)) => {
                    let answer = review(request, &issued, None, self.cx.clock.now());
                    return match answer.wrong.is_empty() {
                        true => {
                            (Check::works(what, "issued, and what came is what was asked for"), answer.chain)
                        }
                        false => (Check::fails(what, answer.wrong.join("; "), "ask the CA"), Vec::new()),
                    };
                }
                Err(fault) => {
                    let _ = issuer.abandon(self.cx, &ticket, managed.solver.as_ref()).await;
                    return failed(&fault);
                }
            }
        }
        let _ = issuer.abandon(self.cx, &ticket, managed.solver.as_ref()).await;
        let said = format!("no certificate within {patience} s");
        (Check::fails(what, said, "look at the CA's own pages"), Vec::new())
    }

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

//! What a person asks for: that an open renewal goes on now, and that what was issued is installed again.
//!
//! An installation by hand is kept beside the renewal that it is of. That one is over and stays so: whether and when it was
//! renewed is not changed by it, and what is due is still judged by the certificate.

use notafter_core::renew::{Deployment, FAILURES, Renewal, State, TargetState, TargetWork, install_at};
use notafter_core::{Fingerprint, UnixTime};
use notafter_pki::certificate::Certificate;
use notafter_store::StoreError;
use notafter_store::works::{Note, Work};

use super::close::LOOKED_THROUGH;
use super::install::{has_all_of, targets, targets_again, targets_as_configured};
use super::issue::is_as_configured;
use super::{Bench, HOLD_S, Managed, Renewer, Went, is_revoked};

const RECONFIGURED: &str = "the configuration was changed";

/// What came of asking an open renewal to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It goes on now.
    On,
    /// It goes on then: a CA said that it is not to be asked before, or nobody would accept yet what was issued.
    NotBefore(UnixTime),
    /// It asks for something else than what is configured now: only a new one helps.
    Other,
    /// Somebody else works on it at this moment.
    Held,
    /// None is open.
    Nothing,
}

/// What can be installed again.
#[derive(Debug, Default)]
pub struct Deployable {
    /// The newest that can.
    pub renewal: Option<Renewal>,
    /// Why newer ones cannot, the newest first.
    pub passed_over: Vec<(u64, &'static str)>,
    /// A newer one is open, and nothing was issued for it yet.
    pub open: Option<u64>,
}

impl Renewer<'_> {
    /// An open renewal goes on at once: whatever it waits for, a retry, a window or a person, was asked for just now.
    ///
    /// # Errors
    /// The store's.
    pub fn push(&self, managed: &Managed, why: &str) -> Result<Pushed, StoreError> {
        self.push_by(managed, why, true)
    }

    /// The same by nobody's wish: it waits for its window.
    pub(super) fn try_again(&self, managed: &Managed, why: &str) -> Result<Pushed, StoreError> {
        self.push_by(managed, why, false)
    }

    fn push_by(&self, managed: &Managed, why: &str, person: bool) -> Result<Pushed, StoreError> {
        let newest = self.store.works_of(&managed.name, 1)?.into_iter().next();
        let Some(open) = newest.filter(|w| !w.renewal.state.is_over()) else { return Ok(Pushed::Nothing) };
        if !is_as_configured(managed, &open.renewal) {
            return Ok(Pushed::Other);
        }
        let Some(mut work) = self.hold(&open)? else { return Ok(Pushed::Held) };
        let renewal = &mut work.renewal;
        // It may have gone on in the meantime.
        if renewal.state.is_over() {
            self.store.let_go_of_work(&managed.name, renewal.generation, &self.tools.holder)?;
            return Ok(Pushed::Nothing);
        }
        let now = self.cx.clock.now();
        renewal.forgive();
        renewal.configured = managed.configured();
        match renewal.state {
            State::WaitsForPerson | State::WaitsForWindow | State::WaitsForTargets
                if !renewal.chain.is_empty() =>
            {
                renewal.now = person;
                let begin = Certificate::parse(&renewal.chain[0]).ok().and_then(|c| c.not_before());
                let early = begin.filter(|begin| *begin > now);
                renewal.went_well(now);
                renewal.targets = targets_again(managed, &renewal.targets);
                renewal.state = match (early, renewal.targets.is_empty()) {
                    (None, false) => State::WaitsForTargets,
                    // With nowhere to go, it is closed from there.
                    _ => State::WaitsForWindow,
                };
                // What nobody would accept yet is not installed for anybody.
                renewal.next = early.unwrap_or(now).0;
            }
            // Somebody was called, and comes: it begins anew, but for what was issued.
            State::WaitsForPerson | State::WaitsForIssuer
                if renewal.state == State::WaitsForPerson || renewal.calls =>
            {
                renewal.state = State::WaitsForIssuer;
                renewal.went_well(now);
                (renewal.tries, renewal.rounds, renewal.may_pass) = (0, 0, false);
            }
            // What failed still counts: whoever pushes again and again comes to the next issuer, too.
            State::WaitsForIssuer => renewal.went_on(now),
            _ => renewal.went_well(now),
        }
        if renewal.state == State::WaitsForIssuer {
            let names: Vec<&str> = managed.issuers.iter().map(|(name, _)| name.as_str()).collect();
            renewal.heed(&names, now);
        }
        let not_before = UnixTime(renewal.next);
        let generation = renewal.generation;
        let note = Note { what: "renewal-pushed", detail: why.to_owned(), proofs: Vec::new() };
        let until = (self.tools.holder.as_str(), now.plus(HOLD_S));
        let put = self.store.put_work(&work.renewal, work.version, until, &note, now)?.is_some();
        self.store.let_go_of_work(&managed.name, generation, &self.tools.holder)?;
        Ok(match put {
            true if not_before > now => Pushed::NotBefore(not_before),
            true => Pushed::On,
            false => Pushed::Held,
        })
    }

    /// The configuration is another one than when an open renewal was begun. Whoever it waits for is asked again; where what
    /// is asked is another thing now, by another renewal; and it goes where it is to go now. What is being installed is
    /// brought to its end first.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn heed_configuration(
        &self,
        managed: &Managed,
        open: &Renewal,
    ) -> Result<(), StoreError> {
        if !is_as_configured(managed, open) {
            let is_still =
                matches!(open.state, State::WaitsForIssuer | State::WaitsForPerson | State::WaitsForWindow);
            if is_still && self.abandon(managed, RECONFIGURED).await? {
                self.begin(managed, &open.cause, open.before.first().map(Vec::as_slice))?;
            }
            return Ok(());
        }
        match open.state {
            State::WaitsForIssuer | State::WaitsForPerson => {
                self.try_again(managed, RECONFIGURED)?;
            }
            State::WaitsForWindow | State::WaitsForTargets | State::WaitsForProof => {
                self.lay_out_again(managed, open)?;
            }
            State::WaitsForRevocation | State::Proved | State::Abandoned => {}
        }
        Ok(())
    }

    /// What was done for a target and seen at a place stays so; targets and places that are new are worked on, and those
    /// that are not configured any more are not.
    fn lay_out_again(&self, managed: &Managed, open: &Renewal) -> Result<(), StoreError> {
        let generation = open.generation;
        let Some(open) = self.of_generation(managed, generation)? else { return Ok(()) };
        let Some(mut work) = self.hold(&open)? else { return Ok(()) };
        let now = self.cx.clock.now();
        let renewal = &mut work.renewal;
        renewal.configured = managed.configured();
        renewal.next = renewal.next.min(now.0);
        if matches!(renewal.state, State::WaitsForTargets | State::WaitsForProof) {
            renewal.targets = targets_as_configured(managed, &renewal.targets);
            renewal.state = State::WaitsForTargets;
        }
        let note = Note { what: "renewal-pushed", detail: RECONFIGURED.to_owned(), proofs: Vec::new() };
        let until = (self.tools.holder.as_str(), now.plus(HOLD_S));
        self.store.put_work(renewal, work.version, until, &note, now)?;
        self.store.let_go_of_work(&managed.name, generation, &self.tools.holder)
    }

    /// Installs what is in use at targets that the configuration names by now and did not when it was renewed, as soon as
    /// something may be changed; and goes on with an installation that was begun. When to look again.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn deploy_where_new(
        &self,
        managed: &Managed,
        proved: &Renewal,
    ) -> Result<Option<UnixTime>, StoreError> {
        let now = self.cx.clock.now();
        let wanted = targets(managed);
        let is_new = |target: &&TargetWork| {
            let mut known = proved.targets.iter().chain(proved.deployed.iter().flat_map(|d| &d.targets));
            !known.any(|old| has_all_of(old, target))
        };
        let new: Vec<TargetWork> = wanted.iter().filter(is_new).cloned().collect();
        let changed = proved.was_configured_otherwise(&managed.configured());
        if changed && !new.is_empty() {
            let end = Certificate::parse(&proved.chain[0]).ok().and_then(|c| c.not_after()).unwrap_or(now);
            let at = install_at(managed.windows.as_deref(), &self.tools.calendar, end, now);
            if at > now {
                return Ok(Some(at));
            }
            // What an earlier installation of this kind added stays with the new one.
            let added = |target: &&TargetWork| !proved.targets.iter().any(|old| has_all_of(old, target));
            let all = wanted.iter().filter(added).cloned().collect();
            self.deploy_to(managed, proved.generation, "the configuration names another target", all)?;
        }
        let state = |r: &Renewal| r.deployed.as_ref().map(|d| (d.state, d.next));
        let open = self.of_generation(managed, proved.generation)?.map(|w| w.renewal);
        let Some((state, next)) = open.as_ref().and_then(state) else { return Ok(None) };
        if state.is_over() || state == State::WaitsForPerson {
            return Ok(None);
        }
        if next > now.0 {
            return Ok(Some(UnixTime(next)));
        }
        Ok(match self.advance_deployment(managed, proved.generation).await? {
            Went::To(went) if !went.state.is_over() => Some(UnixTime(went.next)),
            Went::Held => Some(now.plus(30)),
            Went::To(_) | Went::Nothing => None,
        })
    }

    /// The newest generation that was issued, was not revoked, has not ended, whose key is kept, and that was not put back and
    /// given up; or `only` this one, whatever became of it.
    ///
    /// # Errors
    /// The store's.
    pub fn deployable(&self, managed: &Managed, only: Option<u64>) -> Result<Deployable, StoreError> {
        let now = self.cx.clock.now();
        let mut out = Deployable::default();
        for work in self.store.works_of(&managed.name, LOOKED_THROUGH)? {
            let renewal = work.renewal;
            if only.is_some_and(|only| only != renewal.generation) {
                continue;
            }
            let put_back = renewal.state == State::Abandoned
                && renewal.targets.iter().any(|target| target.state == TargetState::RolledBack);
            let Some(leaf) = renewal.chain.first() else {
                if !renewal.state.is_over() {
                    out.open = Some(renewal.generation);
                }
                continue;
            };
            let end = Certificate::parse(leaf).ok().and_then(|c| c.not_after());
            let why = if is_revoked(self.store, &Fingerprint::of(leaf).to_string())? {
                "is revoked"
            } else if end.is_none_or(|end| end <= now) {
                "has ended"
            } else if matches!(self.tools.keep.kept(&renewal.key_name()), Ok(None)) {
                "has no key any more"
            } else if put_back && only.is_none() {
                "was put back, and given up"
            } else {
                out.renewal = Some(renewal);
                return Ok(out);
            };
            out.passed_over.push((renewal.generation, why));
        }
        Ok(out)
    }

    /// Begins to install a generation again, beside the renewal it came of. `false`: that one is open, or somebody else
    /// works on it.
    ///
    /// # Errors
    /// The store's.
    pub fn deploy_again(&self, managed: &Managed, generation: u64, why: &str) -> Result<bool, StoreError> {
        self.deploy_to(managed, generation, why, targets(managed))
    }

    fn deploy_to(
        &self,
        managed: &Managed,
        generation: u64,
        why: &str,
        targets: Vec<TargetWork>,
    ) -> Result<bool, StoreError> {
        let Some(open) = self.of_generation(managed, generation)? else { return Ok(false) };
        let now = self.cx.clock.now();
        let Some(mut work) = self.hold(&open)? else { return Ok(false) };
        let mut put = false;
        if work.renewal.state.is_over() {
            let state = if targets.is_empty() { State::Proved } else { State::WaitsForTargets };
            work.renewal.deployed = Some(Box::new(Deployment {
                cause: why.to_owned(),
                begun: now.0,
                state,
                failures: 0,
                next: now.0,
                said: String::new(),
                calls: false,
                targets,
            }));
            let note = Note { what: "deploy-asked", detail: why.to_owned(), proofs: Vec::new() };
            let until = (self.tools.holder.as_str(), now.plus(HOLD_S));
            put = self.store.put_work(&work.renewal, work.version, until, &note, now)?.is_some();
        }
        self.store.let_go_of_work(&managed.name, generation, &self.tools.holder)?;
        Ok(put)
    }

    /// Goes on with such an installation until it has to wait for something.
    ///
    /// # Errors
    /// The store's.
    pub async fn advance_deployment(&self, managed: &Managed, generation: u64) -> Result<Went, StoreError> {
        let Some(open) = self.of_generation(managed, generation)? else { return Ok(Went::Nothing) };
        let Some(driven) = beside(&open.renewal) else { return Ok(Went::Nothing) };
        if driven.state.is_over() || driven.next > self.cx.clock.now().0 {
            return Ok(Went::To(Box::new(driven)));
        }
        let Some(mut work) = self.hold(&open)? else { return Ok(Went::Held) };
        let Some(driven) = beside(&work.renewal) else { return Ok(Went::Nothing) };
        let row = std::mem::replace(&mut work.renewal, driven);
        self.drive(managed, Bench { renewer: self, work, beside: Some(row) }).await
    }

    fn of_generation(&self, managed: &Managed, generation: u64) -> Result<Option<Work>, StoreError> {
        let kept = self.store.works_of(&managed.name, LOOKED_THROUGH)?;
        Ok(kept.into_iter().find(|w| w.renewal.generation == generation))
    }

    /// The renewal that this leaf came of.
    ///
    /// # Errors
    /// The store's.
    pub fn issued_as(&self, managed: &Managed, leaf: &[u8]) -> Result<Option<Renewal>, StoreError> {
        let kept = self.store.works_of(&managed.name, LOOKED_THROUGH)?;
        let is_of = |r: &Renewal| r.chain.first().is_some_and(|der| der == leaf);
        Ok(kept.into_iter().map(|w| w.renewal).find(is_of))
    }
}

/// The installation beside a renewal, as something that is gone on with like any other.
fn beside(row: &Renewal) -> Option<Renewal> {
    let deployed = row.deployed.as_deref()?.clone();
    let mut out = row.clone();
    (out.cause, out.begun, out.state) = (deployed.cause, deployed.begun, deployed.state);
    (out.failures, out.next, out.said) = (deployed.failures, deployed.next, deployed.said);
    (out.targets, out.deployed, out.prove_until) = (deployed.targets, None, None);
    out.calls = deployed.calls || out.failures > FAILURES;
    Some(out)
}

/// The row with what was done beside it.
pub(super) fn with_beside(row: &Renewal, driven: &Renewal) -> Renewal {
    let mut out = row.clone();
    out.deployed = Some(Box::new(Deployment {
        cause: driven.cause.clone(),
        begun: driven.begun,
        state: driven.state,
        failures: driven.failures,
        next: driven.next,
        said: driven.said.clone(),
        calls: driven.calls,
        targets: driven.targets.clone(),
    }));
    out
}

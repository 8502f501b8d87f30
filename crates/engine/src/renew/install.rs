//! Installing in waves, seeing it in use, and putting back what was there before where it was not.
//!
//! A place that cannot be seen speaks neither for nor against what was installed: only what was *seen* to be wrong, or is
//! silent where somebody answered before, is a reason to put something back. And nothing is put back that has ended, that
//! was revoked, or that was not replaced.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use notafter_core::deployment::{Before, Bundle, Key};
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::location::Location;
use notafter_core::observation::Observation;
use notafter_core::proof::{Expectation, PlaceProof};
use notafter_core::renew::{FAILURES, Renewal, State, TargetState, TargetWork, install_at};
use notafter_core::{Fingerprint, UnixTime};
use notafter_pki::certificate::Certificate;
use notafter_store::StoreError;
use tokio::task::JoinSet;

use super::{Bench, Did, Managed, ManagedTarget, Renewer, Stopped, is_revoked, told};

/// A place is looked at again so soon within the grace of slow reloaders.
const LOOK_AGAIN_S: i64 = 2;
/// So many places are looked at at once.
const LOOKS_AT_ONCE: usize = 16;
/// The longest wait between two looks, where a person installs.
const LOOK_AGAIN_MOST_S: i64 = 600;

/// What was seen at a place.
type Looked = Result<Vec<Observation>, Fault>;

impl Renewer<'_> {
    pub(super) async fn window(&self, managed: &Managed, bench: &mut Bench<'_>) -> Result<(), Stopped> {
        let now = self.cx.clock.now();
        let renewal = &mut bench.work.renewal;
        let end =
            renewal.before.first().and_then(|der| Certificate::parse(der).ok()).and_then(|c| c.not_after());
        // Where nothing is changed, nothing has to wait for a time to change something.
        let end = end.filter(|_| !managed.targets.is_empty());
        let at = end.map_or(now, |end| self.open_at(managed, end));
        if at > now {
            (renewal.next, renewal.said) = (at.0, format!("ready, to be installed at {at}"));
            return bench.keep(&Did::silently());
        }
        renewal.targets = targets(managed);
        renewal.went_well(now);
        if renewal.targets.is_empty() {
            return self.close(managed, bench).await;
        }
        renewal.state = State::WaitsForTargets;
        bench.keep(&Did::silently())
    }

    /// When something may be changed, before the one in use ends.
    fn open_at(&self, managed: &Managed, end: UnixTime) -> UnixTime {
        install_at(managed.windows.as_deref(), &self.tools.calendar, end, self.cx.clock.now())
    }

    /// Until when a wave that was not begun has to wait, or another try of one that failed: the window in which it was
    /// installed may be over. What was begun is brought to its end, and what a person asked for waits for nothing.
    fn closed_until(&self, managed: &Managed, bench: &Bench<'_>, wave: u32) -> Option<UnixTime> {
        let renewal = &bench.work.renewal;
        let begun = |t: &TargetWork| t.wave == wave && t.state == TargetState::Begun;
        if renewal.now || bench.beside.is_some() || renewal.targets.iter().any(begun) {
            return None;
        }
        let end = Certificate::parse(renewal.before.first()?).ok()?.not_after()?;
        Some(self.open_at(managed, end)).filter(|at| *at > self.cx.clock.now())
    }

    pub(super) async fn install(&self, managed: &Managed, bench: &mut Bench<'_>) -> Result<(), Stopped> {
        let now = self.cx.clock.now();
        let Some(wave) = bench.work.renewal.wave() else {
            bench.work.renewal.state = State::WaitsForProof;
            return bench.keep(&Did::silently());
        };
        if let Some(at) = self.closed_until(managed, bench, wave) {
            let said = std::mem::take(&mut bench.work.renewal.said);
            let ready = format!("to be installed at {at}, when something may be changed");
            let said = if said.is_empty() { ready } else { format!("{said}; {ready}") };
            (bench.work.renewal.next, bench.work.renewal.said) = (at.0, said);
            return bench.keep(&Did::silently());
        }
        let bundle = match self.bundle(&bench.work.renewal) {
            Ok(bundle) => bundle,
            Err(fault) => return bench.failed(&fault, now),
        };
        if let Some(expected) = expectation(&bench.work.renewal) {
            self.look_before(&mut bench.work.renewal, &expected).await;
        }
        let mut faults: Vec<Fault> = Vec::new();
        for n in 0..bench.work.renewal.targets.len() {
            let target = &mut bench.work.renewal.targets[n];
            if target.wave != wave || target.state == TargetState::Done {
                continue;
            }
            let Some(known) = managed.targets.iter().find(|t| t.label == target.label) else {
                target.said = "it is not configured any more".into();
                faults.push(Fault::new(
                    FaultKind::Invalid,
                    format!("the target {} is not configured any more", target.label),
                ));
                continue;
            };
            target.state = TargetState::Begun;
            let label = target.label.clone();
            bench.keep(&Did::of("deploying", label.clone()))?;
            let done = known.deployer.deploy(self.cx, &bundle).await;
            let target = &mut bench.work.renewal.targets[n];
            let did = match done {
                Ok(receipt) => {
                    (target.state, target.receipt) = (TargetState::Done, Some(receipt));
                    target.prove_until = None;
                    target.said.clear();
                    Did::of("deployed", label)
                }
                Err(fault) => {
                    (target.state, target.said) = (TargetState::Failed, told(&fault));
                    let did = Did::of("deploy-failed", format!("{label}: {}", told(&fault)));
                    faults.push(fault);
                    did
                }
            };
            bench.keep(&did)?;
        }
        let renewal = &mut bench.work.renewal;
        let (now, worst) = (self.cx.clock.now(), worst(&faults));
        let fresh = |t: &&mut TargetWork| t.wave == wave && t.state == TargetState::Done;
        for target in renewal.targets.iter_mut().filter(fresh) {
            if worst.is_none() || target.prove_until.is_none() {
                let known = managed.targets.iter().find(|t| t.label == target.label);
                target.prove_until = known.map(|known| now.0 + known.grace_s);
            }
        }
        let Some(worst) = worst else {
            renewal.went_well(now);
            renewal.state = State::WaitsForProof;
            return bench.keep(&Did::silently());
        };
        self.beside_failed(managed, bench, (wave, &worst)).await
    }

    /// Some targets of a wave failed. Only these are tried again; the others are looked at meanwhile, and where what was
    /// installed for one of them is seen to be wrong, the wave is put back without waiting for those that fail.
    async fn beside_failed(
        &self,
        managed: &Managed,
        bench: &mut Bench<'_>,
        (wave, worst): (u32, &Fault),
    ) -> Result<(), Stopped> {
        let mut did = Did::of("", "");
        if let Some(expected) = expectation(&bench.work.renewal) {
            self.look_twice(&mut bench.work.renewal, wave, &expected, &mut did).await;
        }
        let now = self.cx.clock.now();
        let renewal = &mut bench.work.renewal;
        if against(renewal, wave, now) {
            let open = format!("{}; {}", open_places(renewal, wave), told(worst));
            bench.keep(&did)?;
            return self.roll_back(managed, bench, wave, &open).await;
        }
        bench.keep(&did)?;
        let renewal = &mut bench.work.renewal;
        let waits = renewal.targets.iter().filter(|t| t.wave == wave && t.state == TargetState::Done);
        let soonest = waits
            .filter(|t| !t.is_proved())
            .filter_map(|t| renewal.grace_of(t))
            // A person's month keeps nobody waiting.
            .filter(|until| (1..=LOOK_AGAIN_MOST_S).contains(&until.saturating_sub(now.0)))
            .min();
        match soonest {
            // Nobody is called before it is known of the others, too.
            Some(until) if worst.retry == Retry::Never => {
                (renewal.next, renewal.said) = (until, told(worst));
                bench.keep(&Did::silently())
            }
            Some(until) => {
                bench.failed(worst, now)?;
                let renewal = &mut bench.work.renewal;
                renewal.next = renewal.next.min(until);
                bench.keep(&Did::silently())
            }
            None => bench.failed(worst, now),
        }
    }

    /// Notes how all places stand before anything is written, once for a renewal: several targets may have one address, and
    /// what was installed for the first of them would be seen there.
    async fn look_before(&self, renewal: &mut Renewal, expected: &Expectation) {
        let places = renewal.targets.iter_mut().flat_map(|target| &mut target.places);
        let mut open: Vec<_> = places.filter(|p| p.excused.is_none() && p.stood.is_none()).collect();
        let seen = self.probe_all(open.iter().map(|place| place.location.as_str())).await;
        for place in &mut open {
            let seen = seen.get(&place.location).and_then(|seen| seen.as_ref().ok());
            place.stand(expected, seen.map_or(&[][..], Vec::as_slice), &self.cx.vantage);
        }
    }

    /// Looks at places, several at a time: those that do not answer take long.
    pub(super) async fn probe_all(&self, places: impl Iterator<Item = &str>) -> HashMap<String, Looked> {
        let mut waiting: Vec<String> = places.map(str::to_owned).collect();
        waiting.sort_unstable();
        waiting.dedup();
        let (mut looks, mut out) = (JoinSet::new(), HashMap::new());
        loop {
            while looks.len() < LOOKS_AT_ONCE
                && let Some(place) = waiting.pop()
            {
                let (probe, cx) = (Arc::clone(&self.tools.probe), self.cx.clone());
                looks.spawn(async move {
                    let seen = probe.probe(&cx, &place).await;
                    (place, seen)
                });
            }
            match looks.join_next().await {
                None => return out,
                Some(Ok((place, seen))) => drop(out.insert(place, seen)),
                // A defect in it: nothing was seen there.
                Some(Err(_)) => {}
            }
        }
    }

    fn bundle(&self, renewal: &Renewal) -> Result<Bundle, Fault> {
        let key = self.tools.keep.kept(&renewal.key_name())?.ok_or_else(|| {
            Fault::new(
                FaultKind::NotFound,
                format!("the private key of {} is not kept any more", renewal.name),
            )
            .retry(Retry::Never)
            .hint(format!("notafter renew {} --anew makes a new one", renewal.name))
        })?;
        Ok(Bundle {
            name: renewal.name.clone(),
            generation: renewal.generation,
            chain: renewal.chain.clone(),
            key: Key::new(key),
        })
    }

    pub(super) async fn prove(&self, managed: &Managed, bench: &mut Bench<'_>) -> Result<(), Stopped> {
        let Some(wave) = bench.work.renewal.wave() else { return self.close(managed, bench).await };
        let Some(expected) = expectation(&bench.work.renewal) else {
            bench.work.renewal.needs_somebody("what was issued is not kept any more");
            return bench.keep(&Did::of("renewal-stopped", "what was issued is not kept any more"));
        };
        let mut did = Did::of("", "");
        self.look_twice(&mut bench.work.renewal, wave, &expected, &mut did).await;
        let now = self.cx.clock.now();
        let renewal = &mut bench.work.renewal;
        let waiting: Vec<&TargetWork> =
            renewal.targets.iter().filter(|t| t.wave == wave && !t.is_proved()).collect();
        let said = |targets: &[&TargetWork]| -> String {
            let open = targets.iter().flat_map(|t| &t.places).filter(|p| !p.is_settled());
            open.map(|p| p.last.as_str()).collect::<Vec<_>>().join("; ")
        };
        if waiting.is_empty() {
            renewal.went_well(now);
            match renewal.wave() {
                Some(_) => renewal.state = State::WaitsForTargets,
                None => {
                    bench.keep(&did)?;
                    return self.close(managed, bench).await;
                }
            }
            return bench.keep(&did);
        }
        let overdue: Vec<&TargetWork> = waiting.iter().copied().filter(|t| renewal.is_late(t, now)).collect();
        if overdue.is_empty() {
            let soonest = waiting.iter().map(|t| look_again(renewal, t, managed, now)).min();
            let next = now.0 + soonest.unwrap_or(LOOK_AGAIN_S);
            (renewal.next, renewal.said) = (next, said(&waiting));
            return bench.keep(&did);
        }
        let said = said(&overdue);
        let against = against(renewal, wave, now);
        let soonest = overdue.iter().map(|t| look_again(renewal, t, managed, now)).min();
        bench.keep(&did)?;
        if !against {
            return self.go_on_looking(bench, &said, now.0 + soonest.unwrap_or(LOOK_AGAIN_MOST_S));
        }
        self.roll_back(managed, bench, wave, &said).await
    }

    /// Looks, and once more where that would be a reason to put something back.
    async fn look_twice(&self, renewal: &mut Renewal, wave: u32, expected: &Expectation, did: &mut Did) {
        self.look(renewal, wave, expected, did).await;
        if against(renewal, wave, self.cx.clock.now()) {
            // Its grace may have ended while nobody ran, this machine among them, and an old process answers once more while the
            // new ones begin: nothing is put back because of one look.
            tokio::time::sleep(Duration::from_secs(LOOK_AGAIN_S.unsigned_abs())).await;
            self.look(renewal, wave, expected, did).await;
        }
    }

    /// Looks at every place of a wave that was written and has not shown the new one yet.
    async fn look(&self, renewal: &mut Renewal, wave: u32, expected: &Expectation, did: &mut Did) {
        let done = |t: &&mut TargetWork| t.wave == wave && t.state == TargetState::Done;
        let places = renewal.targets.iter_mut().filter(done).flat_map(|target| &mut target.places);
        let mut open: Vec<_> = places.filter(|place| !place.is_settled()).collect();
        let all = self.probe_all(open.iter().map(|place| place.location.as_str())).await;
        for place in &mut open {
            match all.get(&place.location) {
                Some(Ok(seen)) => {
                    place.judge(expected, seen, &self.cx.vantage);
                    did.proofs.extend(place.proofs.iter().cloned());
                }
                Some(Err(fault)) => (place.last, place.against) = (told(fault), false),
                None => (place.last, place.against) = ("it could not be looked at".to_owned(), false),
            }
        }
    }

    /// Its places cannot be seen, and nothing that was seen speaks against the new one: nothing is put back. Somebody is
    /// called, and it is looked at again and again: a server that was down for a while proves it once it is up.
    fn go_on_looking(&self, bench: &mut Bench<'_>, open: &str, next: i64) -> Result<(), Stopped> {
        let renewal = &mut bench.work.renewal;
        let said = format!(
            "not seen in use: {open}; nothing was put back, because nothing was seen that speaks against the new one"
        );
        (renewal.next, renewal.said) = (next, said.clone());
        match renewal.call() {
            true => bench.keep(&Did::of("renewal-failing", format!("{said}; somebody has to look"))),
            false => bench.keep(&Did::silently()),
        }
    }

    /// It was not seen in use, and something speaks against the new one: what was there before is put back, where the old
    /// one still helps; and somebody is called.
    async fn roll_back(
        &self,
        managed: &Managed,
        bench: &mut Bench<'_>,
        wave: u32,
        open: &str,
    ) -> Result<(), Stopped> {
        let mut said = format!("not seen in use: {open}");
        for n in 0..bench.work.renewal.targets.len() {
            let target = &bench.work.renewal.targets[n];
            if target.wave != wave || target.state != TargetState::Done {
                continue;
            }
            let known = managed.targets.iter().find(|t| t.label == target.label);
            let (Some(known), Some(receipt)) = (known, target.receipt.clone()) else { continue };
            // What a person installed, or did not, is for that person.
            let by_hand = known.deployer.by_hand().is_some();
            let before = receipt.before.clone().or_else(|| {
                let leaf = bench.work.renewal.before.first().filter(|_| !by_hand)?;
                before_of(leaf)
            });
            if let Some(why) = self.no_way_back(target, before.as_ref())? {
                said.push_str(&format!("; {} was left as it is: {why}", target.label));
                continue;
            }
            let label = target.label.clone();
            let did = match known.deployer.roll_back(self.cx, &receipt).await {
                Ok(()) => {
                    bench.work.renewal.targets[n].state = TargetState::RolledBack;
                    said.push_str(&format!("; {label} was put back to the one before"));
                    Did::of("rolled-back", label)
                }
                Err(fault) => {
                    said.push_str(&format!("; {label} could not be put back: {}", told(&fault)));
                    Did::of("rollback-failed", format!("{label}: {}", told(&fault)))
                }
            };
            bench.keep(&did)?;
        }
        bench.work.renewal.needs_somebody(said.clone());
        bench.keep(&Did::of("renewal-stopped", said))
    }

    /// Why a target is left with what was installed.
    fn no_way_back(
        &self,
        target: &TargetWork,
        before: Option<&Before>,
    ) -> Result<Option<&'static str>, StoreError> {
        if target.was_in_force() {
            return Ok(Some("it was in force before, and nothing was replaced"));
        }
        let Some(before) = before else { return Ok(Some("what was there before is not known")) };
        if !before.is_usable(self.cx.clock.now()) {
            return Ok(Some("what was there before has ended"));
        }
        if is_revoked(self.store, &before.fingerprint)? {
            return Ok(Some("what was there before is revoked"));
        }
        Ok(None)
    }
}

/// Does what was seen speak against a target whose grace is over?
fn against(renewal: &Renewal, wave: u32, now: UnixTime) -> bool {
    let late = |t: &&TargetWork| {
        t.wave == wave && t.state == TargetState::Done && !t.is_proved() && renewal.is_late(t, now)
    };
    renewal.targets.iter().filter(late).flat_map(|t| &t.places).any(|p| !p.is_settled() && p.against)
}

/// What the places of a wave say that were written and have not shown the new one.
fn open_places(renewal: &Renewal, wave: u32) -> String {
    let done = renewal.targets.iter().filter(|t| t.wave == wave && t.state == TargetState::Done);
    let open = done.flat_map(|t| &t.places).filter(|p| !p.is_settled() && !p.last.is_empty());
    open.map(|p| p.last.as_str()).collect::<Vec<_>>().join("; ")
}

/// What of several faults decides: one that may pass, with what all of them say.
fn worst(faults: &[Fault]) -> Option<Fault> {
    let first = faults.iter().find(|f| f.retry != Retry::Never).or(faults.first())?;
    let all: Vec<String> = faults.iter().map(told).collect();
    Some(Fault { context: all.join("; "), hint: None, ..first.clone() })
}

impl Bench<'_> {
    /// Something of ours failed: the memory, a key, a target. Tried again, later and later, and somebody is called after the
    /// sixth time; but not where trying again cannot help.
    pub(super) fn failed(&mut self, fault: &Fault, now: UnixTime) -> Result<(), Stopped> {
        let renewal = &mut self.work.renewal;
        let said = told(fault);
        if fault.retry == Retry::Never {
            renewal.needs_somebody(said.clone());
            return self.keep(&Did::of("renewal-stopped", said));
        }
        renewal.again(fault.retry, said.clone(), now);
        let did = match renewal.failures > FAILURES && renewal.call() {
            true => Did::of("renewal-failing", format!("{said}; somebody has to look")),
            false => Did::of("renewal-failed", said),
        };
        self.keep(&did)
    }
}

fn before_of(leaf: &[u8]) -> Option<Before> {
    let end = Certificate::parse(leaf).ok()?.not_after()?;
    Some(Before { fingerprint: Fingerprint::of(leaf).to_string(), not_after: end.0 })
}

/// After how many seconds to look again: soon at first, for a server that reloads; later and later for a person who installs.
fn look_again(renewal: &Renewal, target: &TargetWork, managed: &Managed, now: UnixTime) -> i64 {
    let grace = managed.targets.iter().find(|t| t.label == target.label).map_or(0, |t| t.grace_s);
    let begun = renewal.grace_of(target).map_or(now.0, |until| until.saturating_sub(grace));
    (now.0.saturating_sub(begun) / 10).clamp(LOOK_AGAIN_S, LOOK_AGAIN_MOST_S)
}

/// What every place of a renewal has to show.
pub fn expectation(renewal: &Renewal) -> Option<Expectation> {
    let (leaf, above) = renewal.chain.split_first()?;
    let before = renewal.before.first().map(|der| Fingerprint::of(der));
    Some(Expectation::new(leaf, above.iter().map(|der| Fingerprint::of(der)), before))
}

/// The targets of a certificate, untouched.
pub(super) fn targets(managed: &Managed) -> Vec<TargetWork> {
    let fresh = |target: &ManagedTarget| TargetWork {
        label: target.label.clone(),
        wave: target.wave,
        state: TargetState::Waits,
        made_from: target.made_from.clone(),
        receipt: None,
        places: places(target),
        said: String::new(),
        prove_until: None,
    };
    managed.targets.iter().map(fresh).collect()
}

/// The same for one that was begun: what was proved stays so, and how it all stood before is not forgotten.
pub(super) fn targets_again(managed: &Managed, begun: &[TargetWork]) -> Vec<TargetWork> {
    let again = |mut fresh: TargetWork| {
        let Some(old) = begun.iter().find(|old| old.is_still(&fresh)) else { return fresh };
        let same = old.places.len() == fresh.places.len()
            && old.places.iter().zip(&fresh.places).all(|(a, b)| a.location == b.location);
        if old.is_proved() && same {
            return TargetWork { wave: fresh.wave, ..old.clone() };
        }
        fresh.receipt.clone_from(&old.receipt);
        for place in &mut fresh.places {
            let known = old.places.iter().find(|p| p.location == place.location);
            place.stood = known.and_then(|p| p.stood.clone());
        }
        fresh
    };
    targets(managed).into_iter().map(again).collect()
}

/// Is it the same target, and was it to be seen wherever the other one is now?
pub(super) fn has_all_of(old: &TargetWork, fresh: &TargetWork) -> bool {
    let known = |place: &PlaceProof| old.places.iter().any(|p| p.location == place.location);
    old.is_still(fresh) && fresh.places.iter().all(|place| place.excused.is_some() || known(place))
}

/// The targets as they are configured by now, with all that was done for those that were there before.
pub(super) fn targets_as_configured(managed: &Managed, begun: &[TargetWork]) -> Vec<TargetWork> {
    let with_history = |fresh: TargetWork| {
        let Some(old) = begun.iter().find(|old| old.is_still(&fresh)) else { return fresh };
        let place = |place: PlaceProof| {
            let known = old.places.iter().find(|p| p.location == place.location).cloned();
            let (excused, spared) = (place.excused.clone(), place.spared.clone());
            PlaceProof { excused, spared, ..known.unwrap_or(place) }
        };
        let places = fresh.places.into_iter().map(place).collect();
        TargetWork { wave: fresh.wave, made_from: fresh.made_from, places, ..old.clone() }
    };
    targets(managed).into_iter().map(with_history).collect()
}

/// Where a target's certificate has to be seen.
pub fn places(target: &ManagedTarget) -> Vec<PlaceProof> {
    let written = target.deployer.places();
    let all = target.prove.iter().cloned().chain(written.iter().map(|l| l.as_str().to_owned()));
    all.map(|location| {
        let excused = target.excused.iter().find(|(place, _)| *place == location).map(|(_, why)| why.clone());
        // An excuse that is no place of its own is one of the addresses that a name has.
        let others = target.excused.iter().filter(|(at, _)| !target.prove.contains(at));
        let spared = if Location::parse(&location).is_some_and(|l| l.address().is_some() || l.is_file()) {
            Vec::new()
        } else {
            others.cloned().collect()
        };
        PlaceProof { excused, spared, ..PlaceProof::of(location) }
    })
    .collect()
}

//! The end of a renewal: the one before is revoked where that is asked for, it is said what it came to, old keys are
//! forgotten.

use std::net::SocketAddr;

use notafter_core::Fingerprint;
use notafter_core::fault::Retry;
use notafter_core::issuance::RevocationReason;
use notafter_core::location::Location;
use notafter_core::observation::{Observation, Seen};
use notafter_core::proof::{Proof, is_served};
use notafter_core::renew::{FAILURES, Renewal, State};
use notafter_store::{Store, StoreError};

use super::{Bench, Did, Managed, Renewer, Stopped, issuer_of, told};

/// So many addresses are named in one sentence.
const NAMED: usize = 5;

/// So many renewals of one certificate are looked through, the newest first.
pub(super) const LOOKED_THROUGH: usize = 100;

/// Where it is noted that a certificate was revoked: nobody installs it again, and nothing is put back to it.
fn revoked_name(fingerprint: &str) -> String {
    format!("revoked/{fingerprint}")
}

impl Renewer<'_> {
    pub(super) async fn close(&self, managed: &Managed, bench: &mut Bench<'_>) -> Result<(), Stopped> {
        let beside = bench.beside.is_some();
        let renewal = &bench.work.renewal;
        if managed.revoke_old && !renewal.before.is_empty() && !beside {
            // Files alone do not say that no server uses the one before any more.
            let targets = &renewal.targets;
            if targets.is_empty() || !targets.iter().all(|target| is_served(&target.places)) {
                bench.keep(&Did::of("not-revoked", "the one before: no server was seen with the new one"))?;
                return self.done(managed, bench);
            }
            if let Some(place) = self.still_used(renewal).await? {
                let said = format!("the one before: it is in use at {place}");
                bench.keep(&Did::of("not-revoked", said))?;
                return self.done(managed, bench);
            }
            bench.work.renewal.state = State::WaitsForRevocation;
            return bench.keep(&Did::silently());
        }
        self.done(managed, bench)
    }

    /// A server where the one before was last seen, and that was not seen to have something else by now: one that nobody named
    /// in `prove`, or that is excused there.
    async fn still_used(&self, renewal: &Renewal) -> Result<Option<String>, StoreError> {
        let Some(before) = renewal.before.first().map(|der| Fingerprint::of(der)) else { return Ok(None) };
        let places = renewal.targets.iter().flat_map(|target| &target.places);
        let proved: Vec<&str> = places.flat_map(|place| &place.proofs).map(Proof::location).collect();
        let left = last_seen_at(self.store, &before, &proved)?;
        let known: Vec<&str> = left.known.iter().map(Location::as_str).collect();
        let seen = self.probe_all(known.iter().copied()).await;
        let has_another = |place: &str| {
            let looked = seen.get(place).and_then(|looked| looked.as_ref().ok());
            let leaves: Vec<Fingerprint> = looked.into_iter().flatten().filter_map(leaf_of).collect();
            !leaves.is_empty() && !leaves.contains(&before)
        };
        let used = known.iter().find(|place| !has_another(place)).map(|place| (*place).to_owned());
        Ok(used.or_else(|| (left.more > 0).then(|| format!("{} places or more", left.more))))
    }

    /// Asks the issuer of the one before, and no other: none else could.
    pub(super) async fn revoke(&self, managed: &Managed, bench: &mut Bench<'_>) -> Result<(), Stopped> {
        let now = self.cx.clock.now();
        let Some(before) = bench.work.renewal.before.first().cloned() else {
            return self.done(managed, bench);
        };
        let issued = self.issued_as(managed, &before)?;
        let issuer = match &issued {
            Some(renewal) => issuer_of(managed, renewal),
            // It was not issued here: by the first, as far as anybody knows.
            None => managed.issuers.first(),
        };
        let Some((name, issuer)) = issuer else {
            let said = "the issuer of the one before is not among those of the certificate any more";
            bench.keep(&Did::of("revocation-failed", said))?;
            return self.done(managed, bench);
        };
        match issuer.revoke(self.cx, &before, RevocationReason::Superseded).await {
            Err(fault) => {
                let renewal = &mut bench.work.renewal;
                if fault.retry != Retry::Never && renewal.failures < FAILURES {
                    renewal.again(fault.retry, told(&fault), now);
                    return bench.keep(&Did::silently());
                }
                // The new one is in use: the rest is a note, not an open renewal.
                bench.keep(&Did::of("revocation-failed", format!("{name}: {}", told(&fault))))?;
            }
            Ok(()) => {
                note_revoked(self.store, &Fingerprint::of(&before), &now.to_string())?;
                bench.keep(&Did::of("revoked", format!("the one before, at {name}")))?;
                // A CA of one's own has a list to write, too. It is written again and again by whoever looks after it.
                if let Err(fault) = issuer.tend(self.cx).await {
                    bench.keep(&Did::of("revocation-unlisted", format!("{name}: {}", told(&fault))))?;
                }
            }
        }
        self.done(managed, bench)
    }

    fn done(&self, managed: &Managed, bench: &mut Bench<'_>) -> Result<(), Stopped> {
        let beside = bench.beside.is_some();
        let renewal = &mut bench.work.renewal;
        renewal.state = State::Proved;
        renewal.went_well(self.cx.clock.now());
        let outcome = renewal.outcome();
        if renewal.targets.is_empty() {
            renewal.said = outcome.to_owned();
        }
        let what = if beside { "deployed-again" } else { "renewed" };
        let mut detail = format!("generation {}, {outcome}", renewal.generation);
        if let Some(elsewhere) = elsewhere(self.store, renewal)? {
            detail.push_str(&format!("; {elsewhere}"));
            renewal.said = elsewhere;
        }
        bench.keep(&Did::of(what, detail))?;
        if beside { Ok(()) } else { Ok(self.forget_keys(managed)?) }
    }

    /// Forgets the keys of all but the last two that were issued, the last that was seen in use, and whatever is open.
    fn forget_keys(&self, managed: &Managed) -> Result<(), StoreError> {
        let kept = self.store.works_of(&managed.name, LOOKED_THROUGH)?;
        let issued = kept.iter().map(|w| &w.renewal).filter(|r| !r.chain.is_empty());
        let mut needed: Vec<u64> = issued.clone().take(2).map(|r| r.generation).collect();
        needed.extend(issued.filter(|r| r.state == State::Proved).take(2).map(|r| r.generation));
        for renewal in kept.iter().map(|w| &w.renewal).filter(|r| r.state.is_over()) {
            if needed.contains(&renewal.generation) {
                continue;
            }
            // Forgotten one at a time; one that stays is found the next time.
            let name = renewal.key_name();
            if let Ok(Some(key)) = self.tools.keep.kept(&name) {
                let _ = self.tools.keep.keep(&name, Some(&key), b"");
            }
        }
        Ok(())
    }
}

/// Servers where a certificate was last seen.
struct LastSeen {
    known: Vec<Location>,
    /// So many places more are known of.
    more: usize,
}

/// Where a certificate was last seen served, but for the addresses of `covered`.
fn last_seen_at(store: &Store, id: &Fingerprint, covered: &[&str]) -> Result<LastSeen, StoreError> {
    let Some(known) = store.asset(id)? else { return Ok(LastSeen { known: Vec::new(), more: 0 }) };
    let more = usize::try_from(known.placements_more).unwrap_or(0);
    let covered: Vec<SocketAddr> = covered.iter().filter_map(|at| Location::parse(at)?.address()).collect();
    let there = known.placements.into_iter().filter(|p| p.gone.is_none() && p.unseen_since.is_none());
    let there = there.map(|p| p.location).filter(Location::is_endpoint);
    let known = there.filter(|at| at.address().is_some_and(|at| !covered.contains(&at))).collect();
    Ok(LastSeen { known, more })
}

/// The leaf that was seen.
fn leaf_of(seen: &Observation) -> Option<Fingerprint> {
    match &seen.seen {
        Seen::Chain { chain, leads: true, .. } => chain.first().map(|der| Fingerprint::of(der)),
        _ => None,
    }
}

/// Where the one before was last seen served though no target has to show the new one there: a place that was forgotten in
/// `prove`. What was proved is done all the same; whoever has to put that place right hears of it now.
fn elsewhere(store: &Store, renewal: &Renewal) -> Result<Option<String>, StoreError> {
    let Some(before) = renewal.before.first() else { return Ok(None) };
    let places = || renewal.targets.iter().flat_map(|target| &target.places);
    let proved = places().flat_map(|place| &place.proofs).map(Proof::location);
    let named = places().map(|place| place.location.as_str());
    let spared = places().flat_map(|place| &place.spared).map(|(at, _)| at.as_str());
    let covered: Vec<&str> = proved.chain(named).chain(spared).collect();
    let last = last_seen_at(store, &Fingerprint::of(before), &covered)?;
    let mut forgotten: Vec<SocketAddr> = last.known.iter().filter_map(Location::address).collect();
    forgotten.sort_unstable();
    forgotten.dedup();
    let more = forgotten.len().saturating_sub(NAMED) + last.more;
    let Some((first, rest)) = forgotten.split_first() else { return Ok(None) };
    let mut list = first.to_string();
    rest.iter().take(NAMED - 1).for_each(|at| list.push_str(&format!(", {at}")));
    if more > 0 {
        list.push_str(&format!(" and {more} more"));
    }
    Ok(Some(format!("the one before was last seen at {list} too, where no target has to show the new one")))
}

/// Notes that a certificate was revoked.
///
/// # Errors
/// The store's.
pub fn note_revoked(store: &Store, id: &Fingerprint, at: &str) -> Result<(), StoreError> {
    store.keep(&revoked_name(&id.to_string()), at.as_bytes(), None).map(drop)
}

/// Was it revoked, by us or as we were told? `fingerprint`: as [`Fingerprint`] is shown.
///
/// # Errors
/// The store's.
pub fn is_revoked(store: &Store, fingerprint: &str) -> Result<bool, StoreError> {
    Ok(store.kept(&revoked_name(fingerprint))?.is_some())
}

//! Our own renewals as a source: says of them what other renewers' state says of theirs, so that the same rules judge both
//! (overdue, failing). It looks at the memory alone, and judges nothing.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::{BoxFuture, Cx, Sink, Source};
use notafter_core::location::Location;
use notafter_core::observation::{Link, LinkKind, Observation, Seen};
use notafter_core::proof::Proof;
use notafter_core::renew::State;
use notafter_core::scan::Scan;
use notafter_core::upkeep::{Failures, Upkeep};
use notafter_core::{Fingerprint, UnixTime};
use notafter_engine::renew::Managed;
use notafter_engine::renew::pass::{Keeping, OWN};
use notafter_engine::renew::rehearsal::Rehearsal;
use notafter_engine::setup::{Build, Planned};
use notafter_store::works::Work;
use notafter_store::{Store, StoreError};

use crate::config::plan::Sheet;

/// So often it is said how they go, in seconds.
const EVERY: i64 = 60;

/// The source, as the server plans it.
pub(crate) fn planned(sheet: &Sheet, store: &Arc<Store>, keeping: &Arc<Keeping>) -> Planned {
    let solved = sheet.config.certificate.iter().filter(|table| table.solver.is_some());
    let own: Arc<dyn Source> = Arc::new(Own {
        store: Arc::clone(store),
        keeping: Arc::clone(keeping),
        file: sheet.file.clone().unwrap_or_default(),
        solved: solved.map(|table| table.name.get_ref().clone()).collect(),
    });
    let build: Build = Arc::new(move |_: &[String]| Ok(vec![Arc::clone(&own)]));
    Planned { name: OWN.to_owned(), every: EVERY, targets: Vec::new(), owner: None, build }
}

struct Own {
    store: Arc<Store>,
    keeping: Arc<Keeping>,
    file: PathBuf,
    /// The certificates whose names are proved by a solver.
    solved: BTreeSet<String>,
}

impl Source for Own {
    fn discover<'a>(&'a self, cx: &'a Cx, out: Arc<dyn Sink>) -> BoxFuture<'a, Result<Scan, Fault>> {
        Box::pin(async move {
            let path = std::path::absolute(&self.file).unwrap_or_else(|_| self.file.clone());
            let file = path.as_os_str().as_bytes();
            let paused = (self.keeping.tools.may)(&self.store).err();
            for managed in &self.keeping.managed {
                let trouble = |e: StoreError| Fault::new(FaultKind::System, e.to_string());
                let newest = self.store.works_of(&managed.name, 1).map_err(trouble)?.into_iter().next();
                let rehearsed = Rehearsal::last(&self.store, &managed.name).map_err(trouble)?;
                let mut broken = trouble_of(managed, newest.as_ref(), rehearsed.as_ref(), cx.clock.now());
                if let (None, Some(every)) = (&rehearsed, managed.rehearse_s) {
                    let renewed = newest.as_ref().map(|work| work.changed);
                    let never = never_rehearsed(&self.store, &managed.name, every, renewed, cx.clock.now());
                    broken.extend(never.map_err(trouble)?);
                }
                broken.extend(
                    newest.as_ref().map(|w| undone(&self.store, w)).transpose().map_err(trouble)?.flatten(),
                );
                broken.extend(paused.clone().or_else(|| self.keeping.held(&managed.name)));
                let mut statement = Upkeep { broken, ..statement(managed, newest.as_ref(), file) };
                statement.solver = statement.solver.filter(|_| self.solved.contains(&managed.name));
                let at = cx.clock.now();
                // By these the rules find what is said of a certificate's file.
                for from in &statement.certificates {
                    let link = Link {
                        kind: LinkKind::ManagedBy,
                        from: from.clone(),
                        to: statement.home.clone(),
                        evidence: format!("notafter renews {}", managed.name),
                    };
                    out.put(Observation { at, location: from.clone(), seen: Seen::Linked(link) });
                }
                let location = statement.state.clone();
                out.put(Observation { at, location, seen: Seen::Managed(Box::new(statement)) });
            }
            Ok(cx.progress.scan())
        })
    }
}

/// What will keep it from being renewed, or keeps it now.
fn trouble_of(
    managed: &Managed,
    newest: Option<&Work>,
    rehearsed: Option<&Rehearsal>,
    now: UnixTime,
) -> Vec<String> {
    let open = newest.map(|w| &w.renewal).filter(|r| !r.state.is_over());
    let stopped = open.filter(|r| r.state == State::WaitsForPerson);
    let mut out: Vec<String> =
        stopped.map(|r| format!("it waits for somebody: {}", r.said)).into_iter().collect();
    let failing = open.filter(|r| r.calls && r.state != State::WaitsForPerson && !r.said.is_empty());
    out.extend(failing.map(|r| format!("it fails, and goes on trying: {}", r.said)));
    let by_hand =
        |label: &str| managed.targets.iter().any(|t| t.deployer.by_hand().is_some() && t.label == *label);
    let hands = open
        .filter(|r| r.state == State::WaitsForProof)
        .filter(|r| r.targets.iter().any(|t| by_hand(&t.label)));
    out.extend(hands.map(|_| format!("a person has to install it: notafter runbook {}", managed.name)));
    if let (None, Some(every)) = (open, managed.rehearse_s) {
        out.extend(rehearsed.and_then(|r| r.trouble(every, now)));
    }
    out
}

/// Rehearsals are asked for, and there was none in twice the time after which one is due. `renewed`: when a renewal of it last
/// went on, after which none is due for a while.
fn never_rehearsed(
    store: &Store,
    name: &str,
    every: i64,
    renewed: Option<UnixTime>,
    now: UnixTime,
) -> Result<Option<String>, StoreError> {
    let key = format!("rehearsed-from/{name}");
    let kept = store.kept(&key)?.and_then(|kept| std::str::from_utf8(&kept.value).ok()?.parse().ok());
    let Some(from) = kept else {
        store.keep(&key, now.0.to_string().as_bytes(), None)?;
        return Ok(None);
    };
    let from = UnixTime(from).max(renewed.unwrap_or(UnixTime(from)));
    let late = now.0.saturating_sub(from.0) > every.saturating_mul(2);
    Ok(late.then(|| format!("it was never rehearsed since {from}: whether it would renew is not known")))
}

/// Where the one before was seen again after all had shown the new one: somebody put it back, or something that keeps files as
/// they were.
fn undone(store: &Store, work: &Work) -> Result<Option<String>, StoreError> {
    let renewal = &work.renewal;
    let Some(before) = renewal.before.first().filter(|_| renewal.state == State::Proved) else {
        return Ok(None);
    };
    let Some(known) = store.asset(&Fingerprint::of(before))? else { return Ok(None) };
    let places = renewal.targets.iter().flat_map(|target| &target.places);
    let proved: BTreeSet<&str> = places.flat_map(|place| &place.proofs).map(Proof::location).collect();
    let again = known.placements.iter().filter(|p| p.gone.is_none() && p.unseen_since.is_none());
    // All may happen within one second; what was seen there before the proof is replaced by what is seen at once after it.
    let mut again = again.filter(|p| p.last_seen >= work.changed && proved.contains(p.location.as_str()));
    let Some(first) = again.next() else { return Ok(None) };
    let more = match again.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (place, name) = (&first.location, &renewal.name);
    Ok(Some(format!(
        "it was proved, and {place}{more} shows the certificate before again: notafter deploy {name} installs it once more"
    )))
}

fn statement(managed: &Managed, newest: Option<&Work>, file: &[u8]) -> Upkeep {
    let place = Location::file(file, &format!("certificate.{}", managed.name));
    let open = newest.filter(|w| !w.renewal.state.is_over());
    let stopped = open.filter(|w| w.renewal.state == State::WaitsForPerson);
    let failures = open.filter(|w| w.renewal.failures > 0 || stopped.is_some()).map(|w| Failures {
        count: w.renewal.failures.max(1),
        first: UnixTime(w.renewal.begun),
        last: w.changed,
        message: w.renewal.said.clone(),
        place: place.clone(),
    });
    Upkeep {
        tool: "notafter".into(),
        lineage: managed.name.clone(),
        state: place,
        home: Location::file(file, ""),
        names: managed.names.iter().map(ToString::to_string).collect(),
        certificates: managed.targets.iter().flat_map(|t| t.deployer.places()).collect(),
        planned: None,
        before: None,
        automatic: true,
        resident: true,
        account: None,
        server: managed.issuers.first().map(|(name, _)| name.clone()),
        solver: Some(managed.solver.kind().as_str().to_owned()),
        hooks: Vec::new(),
        starter: None,
        starter_known: true,
        last_run: None,
        failures,
        broken: Vec::new(),
        credentials: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use notafter_store::Database;

    use super::*;

    #[test]
    fn what_was_never_rehearsed_is_said_after_twice_the_interval() {
        let (now, day) = (UnixTime(1_795_219_200), 86_400);
        let store = Store::open(&Database::Memory, now).expect("a memory");
        let said = |renewed: Option<i64>, days: i64| {
            let renewed = renewed.map(|days| now.plus(days * day));
            never_rehearsed(&store, "web", 7 * day, renewed, now.plus(days * day)).expect("read")
        };
        assert_eq!(said(None, 0), None, "it begins to count");
        assert_eq!(said(None, 14), None);
        let late = said(None, 15).expect("late");
        assert!(late.contains("never rehearsed since 2026-11-21"), "{late}");
        assert_eq!(said(Some(10), 15), None, "a renewal proved more than a rehearsal");
        assert!(said(Some(10), 25).is_some());
    }
}

//! What the API answers about renewals of our own: what each waits for, and where it was seen in use.

use notafter_core::proof::PlaceProof;
use notafter_core::renew::{State, TargetState, TargetWork};
use notafter_core::{Fingerprint, UnixTime};
use notafter_engine::setup::Setup;
use notafter_pki::certificate::Certificate;
use notafter_store::works::Work;
use serde::Serialize;

use super::answers::text;
use crate::replies;

/// The newest renewal of one certificate.
#[derive(Serialize)]
pub(crate) struct RenewalItem {
    name: String,
    generation: u64,
    state: &'static str,
    cause: String,
    begun: String,
    changed: String,
    /// When it goes on by itself; null where nobody but a person can help, or nothing is left to do.
    next: Option<String>,
    failures: u32,
    /// What it waits for or what went wrong; "" for nothing.
    said: String,
    /// What was issued; null before that.
    certificate: Option<String>,
    not_after: Option<String>,
    /// The request that a person has to carry to a CA without an API, while it waits for the answer.
    request: Option<String>,
    targets: Vec<TargetItem>,
}

#[derive(Serialize)]
struct TargetItem {
    name: String,
    state: TargetState,
    wave: u32,
    said: String,
    places: Vec<PlaceItem>,
}

#[derive(Serialize)]
struct PlaceItem {
    location: String,
    proved: bool,
    /// When it was last seen there.
    seen: Option<String>,
    /// Was it verified that the key is held there?
    possession: bool,
    excused: Option<String>,
    /// What was there instead, at the last look.
    last: String,
}

impl RenewalItem {
    pub(crate) fn of(work: Work, setup: &Setup) -> Self {
        let renewal = work.renewal;
        let request = replies::request(setup, &renewal);
        let leaf = renewal.chain.first();
        let ends = leaf.and_then(|der| Certificate::parse(der).ok()).and_then(|c| c.not_after());
        let waits = !renewal.state.is_over() && renewal.state != State::WaitsForPerson;
        Self {
            state: renewal.state.as_str(),
            begun: UnixTime(renewal.begun).to_string(),
            changed: work.changed.to_string(),
            next: waits.then(|| UnixTime(renewal.next).to_string()),
            certificate: leaf.map(|der| Fingerprint::of(der).to_string()),
            not_after: text(ends),
            request,
            targets: renewal.targets.into_iter().map(TargetItem::of).collect(),
            name: renewal.name,
            generation: renewal.generation,
            cause: renewal.cause,
            failures: renewal.failures,
            said: renewal.said,
        }
    }
}

impl TargetItem {
    fn of(target: TargetWork) -> Self {
        Self {
            name: target.label,
            state: target.state,
            wave: target.wave,
            said: target.said,
            places: target.places.into_iter().map(PlaceItem::of).collect(),
        }
    }
}

impl PlaceItem {
    fn of(place: PlaceProof) -> Self {
        let seen = place.proofs.iter().map(notafter_core::proof::Proof::at).max();
        Self {
            proved: !place.proofs.is_empty(),
            seen: text(seen),
            possession: place.proofs.iter().any(notafter_core::proof::Proof::is_possession),
            location: place.location,
            excused: place.excused,
            last: place.last,
        }
    }
}

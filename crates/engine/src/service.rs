//! The state of services (groups of places) for the status page: from observation, and from nothing else.
//!
//! Good means: every place was seen at the last look, shows something valid, and no critical finding is
//! open about it. A place that was not seen, or a source that is late, makes it unknown, never good.

use notafter_core::UnixTime;
use notafter_core::finding::Severity;
use notafter_core::inventory::Role;
use notafter_core::query::Query;
use notafter_store::rows::SourceRow;
use notafter_store::{Store, StoreError};

use crate::setup::{Service, Setup};

/// So many places of one service are shown.
const PLACES_MAX: usize = 500;

/// How a service or one of its places is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Health {
    /// Seen, valid, nothing critical.
    Good,
    /// Not seen, or not lately: nothing is claimed.
    Unknown,
    /// Seen to be broken, or about to break.
    Bad,
}

impl Health {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unknown => "unknown",
            Self::Bad => "bad",
        }
    }
}

/// A service as it was last seen.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceState {
    /// Its name.
    pub name: String,
    /// May strangers see it?
    pub public: bool,
    /// The worst of its places; unknown when it has none.
    pub health: Health,
    /// The oldest of its places' last looks.
    pub last_looked: Option<UnixTime>,
    /// What ends first.
    pub next_lapse: Option<UnixTime>,
    /// Its places, worst first.
    pub places: Vec<PlaceState>,
    /// How many there are in all.
    pub count: usize,
}

/// A place of a service.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct PlaceState {
    pub location: String,
    pub title: String,
    pub health: Health,
    /// Why, in words.
    pub why: String,
    pub last_seen: UnixTime,
    pub not_after: Option<UnixTime>,
}

/// Looks up every service.
///
/// # Errors
/// The store's.
pub fn states(store: &Store, setup: &Setup, now: UnixTime) -> Result<Vec<ServiceState>, StoreError> {
    let sources = store.sources()?;
    setup.services.iter().map(|service| state(store, setup, &sources, service, now)).collect()
}

fn state(
    store: &Store,
    setup: &Setup,
    sources: &[SourceRow],
    service: &Service,
    now: UnixTime,
) -> Result<ServiceState, StoreError> {
    let mut places: Vec<PlaceState> = Vec::new();
    let mut looks = Vec::new();
    for term in &service.places {
        let query = Query { terms: vec![term.clone()] };
        store.each_placement(&query, now, &mut |asset, placement| {
            let leads = matches!(placement.role, Role::Leaf | Role::Client | Role::Signer);
            let known = places.iter().any(|p| p.location == placement.location.as_str());
            if !leads || known || asset.superseded {
                return true;
            }
            let stale = is_stale(setup, sources, &placement.source, now);
            let ended = asset.not_after.is_some_and(|end| end < now);
            let (health, why) = if ended {
                (Health::Bad, "expired")
            } else if placement.unseen_since.is_some() {
                (Health::Unknown, "did not answer at the last look")
            } else if stale {
                (Health::Unknown, "has not been looked at lately")
            } else if asset.severity == Some(Severity::Critical) {
                (Health::Bad, "a critical finding is open")
            } else {
                (Health::Good, "seen and valid")
            };
            looks.push(placement.last_seen);
            places.push(PlaceState {
                location: placement.location.to_string(),
                title: asset.title.clone(),
                health,
                why: why.to_owned(),
                last_seen: placement.last_seen,
                not_after: asset.not_after,
            });
            places.len() < 100 * PLACES_MAX
        })?;
    }
    places.sort_by(|a, b| b.health.cmp(&a.health).then_with(|| a.location.cmp(&b.location)));
    let count = places.len();
    let health = places.first().map_or(Health::Unknown, |p| p.health);
    let next_lapse = places.iter().filter_map(|p| p.not_after).min();
    places.truncate(PLACES_MAX);
    Ok(ServiceState {
        name: service.name.clone(),
        public: service.public,
        health,
        last_looked: looks.into_iter().min(),
        next_lapse,
        places,
        count,
    })
}

/// Has a source missed its rounds? What it saw is then history.
pub fn is_stale(setup: &Setup, sources: &[SourceRow], name: &str, now: UnixTime) -> bool {
    let Some(planned) = setup.sources.iter().find(|s| s.name == name) else { return true };
    let last = sources.iter().find(|s| s.name == name).and_then(|s| s.last_success);
    last.is_none_or(|last| now.0 > last.0 + (3 * planned.every).max(900))
}

//! The state of services (groups of places) for the status page: from observation, and from nothing else.
//!
//! Good means: every place that was named was seen at the last look, shows something valid, and no critical
//! finding is open about it there. A place that was not seen, a name that never was, a source that is late or
//! one whose last look came to nothing makes it unknown, never good.

use std::collections::HashSet;

use notafter_core::UnixTime;
use notafter_core::finding::Severity;
use notafter_core::inventory::Role;
use notafter_core::location::Location;
use notafter_core::query::{Query, State, Term, Test};
use notafter_core::rules::source_stale::is_fresh;
use notafter_store::findings::FindingFilter;
use notafter_store::rows::{AssetRow, PlacementRow, SourceRow};
use notafter_store::{Store, StoreError};

use crate::setup::{Service, Setup};

/// So many places of one service are shown.
const PLACES_MAX: usize = 500;
/// So many critical findings of one certificate are read; with more, all its places are bad.
const CRITICAL_MAX: usize = 200;

/// Where a server name is looked for, besides wherever a certificate of it was seen: it may never have shown one.
const USUAL: &[(&str, u16)] = &[
    ("tls", 443),
    ("tls", 465),
    ("tls", 636),
    ("tls", 853),
    ("tls", 993),
    ("tls", 995),
    ("tls", 8443),
    ("smtp", 25),
    ("smtp", 587),
    ("imap", 143),
    ("pop3", 110),
    ("ldap", 389),
    ("postgres", 5432),
];

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
    /// The worst of its places; unknown at best when it has none, or one that was named shows nothing.
    pub health: Health,
    /// The oldest of its places' last looks.
    pub last_looked: Option<UnixTime>,
    /// What ends first.
    pub next_lapse: Option<UnixTime>,
    /// Its places, worst first.
    pub places: Vec<PlaceState>,
    /// How many there are in all.
    pub count: usize,
    /// What was named as a part of it and shows nothing, each as a sentence: `name:a.test was never seen`.
    pub missing: Vec<String>,
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
    let mut known: HashSet<Location> = HashSet::new();
    let mut missing = Vec::new();
    let mut blind = Vec::new();
    for term in &service.places {
        let query = Query { terms: vec![term.clone()] };
        let mut shows = false;
        let mut bad = BadPlaces::default();
        let mut failed = None;
        let mut show = |asset: &AssetRow, placement: &PlacementRow| {
            let leads = matches!(placement.role, Role::Leaf | Role::Client | Role::Signer);
            if !leads || asset.superseded {
                return true;
            }
            shows = true;
            if !known.insert(placement.location.clone()) {
                return true;
            }
            let critical = match bad.has(store, asset, &placement.location) {
                Ok(critical) => critical,
                Err(error) => {
                    failed = Some(error);
                    return false;
                }
            };
            let history = history(setup, sources, &placement.source, now);
            places.push(place_state(asset, placement, critical, history, now));
            places.len() < 100 * PLACES_MAX
        };
        // Who asks for the name sees what is there, whether it is for that name or not.
        if let (Test::Name(pattern), false) = (&term.test, term.not) {
            let at = store.at_name(pattern, USUAL)?;
            for (asset, placement) in &at.shown {
                // One that is superseded and served all the same is what people get.
                let served = AssetRow { superseded: false, ..asset.clone() };
                show(&served, placement);
            }
            blind.extend(at.blind);
        }
        store.each_placement(&query, now, &mut show)?;
        if let Some(error) = failed {
            return Err(error);
        }
        // The terms are a union: one that adds nothing must not hide behind the others.
        if !shows && places.len() < 100 * PLACES_MAX {
            missing.push(format!("{term} {}", why_missing(store, term, now)?));
        }
    }
    for (location, since) in blind {
        if known.insert(location.clone()) {
            places.push(PlaceState {
                title: location.sni().unwrap_or_default().to_owned(),
                location: location.to_string(),
                health: Health::Unknown,
                why: "has not answered yet".to_owned(),
                last_seen: since,
                not_after: None,
            });
        }
    }
    places.sort_by(|a, b| b.health.cmp(&a.health).then_with(|| a.location.cmp(&b.location)));
    let count = places.len();
    let mut health = places.first().map_or(Health::Unknown, |p| p.health);
    if !missing.is_empty() {
        health = health.max(Health::Unknown);
    }
    let next_lapse = places.iter().filter_map(|p| p.not_after).min();
    let last_looked = places.iter().map(|p| p.last_seen).min();
    places.truncate(PLACES_MAX);
    Ok(ServiceState {
        name: service.name.clone(),
        public: service.public,
        health,
        last_looked,
        next_lapse,
        places,
        count,
        missing,
    })
}

fn place_state(
    asset: &AssetRow,
    placement: &PlacementRow,
    critical: bool,
    history: Option<&'static str>,
    now: UnixTime,
) -> PlaceState {
    let (health, why) = if asset.not_after.is_some_and(|end| end < now) {
        (Health::Bad, "expired")
    } else if placement.unseen_since.is_some() {
        (Health::Unknown, "did not answer at the last look")
    } else if let Some(why) = history {
        (Health::Unknown, why)
    } else if critical {
        (Health::Bad, "a critical finding is open")
    } else {
        (Health::Good, "seen and valid")
    };
    PlaceState {
        location: placement.location.to_string(),
        title: asset.title.clone(),
        health,
        why: why.to_owned(),
        last_seen: placement.last_seen,
        not_after: asset.not_after,
    }
}

/// Where the critical findings of one certificate are: asked once a certificate, and only if there are any.
#[derive(Default)]
struct BadPlaces {
    of: Option<notafter_core::Fingerprint>,
    everywhere: bool,
    at: HashSet<Location>,
}

impl BadPlaces {
    /// Is a critical finding about this certificate open at this place?
    fn has(&mut self, store: &Store, asset: &AssetRow, location: &Location) -> Result<bool, StoreError> {
        if asset.severity != Some(Severity::Critical) {
            return Ok(false);
        }
        if self.of.as_ref() != Some(&asset.id) {
            let found = store.findings(&FindingFilter {
                asset: Some(asset.id.to_string()),
                severity: Some(Severity::Critical),
                limit: CRITICAL_MAX,
                ..FindingFilter::default()
            })?;
            self.of = Some(asset.id);
            // What names no place holds wherever the certificate is.
            self.everywhere = found.len() >= CRITICAL_MAX || found.iter().any(|f| f.locations.is_empty());
            self.at = found.into_iter().flat_map(|f| f.locations).collect();
        }
        Ok(self.everywhere || self.at.contains(location))
    }
}

/// Why a term of a service shows nothing: nothing like it was ever seen, or only once upon a time.
fn why_missing(store: &Store, term: &Term, now: UnixTime) -> Result<&'static str, StoreError> {
    let gone = Term { not: false, test: Test::Is(State::Gone) };
    let any = store.count(&Query { terms: vec![term.clone()] }, 1, now)?;
    let once = store.count(&Query { terms: vec![term.clone(), gone] }, 1, now)?;
    Ok(if any + once > 0 { "is served nowhere now" } else { "was never seen" })
}

/// Did the last run of a source fail, or reach nothing? Such a run leaves the last success where it was.
pub fn came_to_nothing(row: &SourceRow) -> bool {
    let after = |finished: UnixTime| row.last_success.is_none_or(|success| success < finished);
    row.fault.is_some() || row.last_finished.is_some_and(after)
}

/// Why what a source saw is history, and nothing that holds now: it has missed its rounds, or its last look came to
/// nothing. `None`: it is what was seen at the last look.
pub fn history(setup: &Setup, sources: &[SourceRow], name: &str, now: UnixTime) -> Option<&'static str> {
    if is_stale(setup, sources, name, now) {
        return Some("has not been looked at lately");
    }
    let failed = sources.iter().any(|row| row.name == name && came_to_nothing(row));
    failed.then_some("was not seen: the last look came to nothing")
}

/// Placements of which nothing is known now: they did not show themselves at the last look, or the source that saw
/// them is late or came to nothing. `unseen` are the former. At most: one that is both counts twice.
pub fn not_seen(setup: &Setup, sources: &[SourceRow], unseen: u64, now: UnixTime) -> u64 {
    let planned = |row: &&SourceRow| setup.sources.iter().any(|p| p.name == row.name);
    let history = |row: &&SourceRow| history(setup, sources, &row.name, now).is_some();
    sources
        .iter()
        .filter(planned)
        .filter(history)
        .map(|row| row.placements)
        .sum::<u64>()
        .saturating_add(unseen)
}

/// Has a source missed its rounds? What it saw is then history.
pub fn is_stale(setup: &Setup, sources: &[SourceRow], name: &str, now: UnixTime) -> bool {
    let Some(planned) = setup.sources.iter().find(|s| s.name == name) else { return true };
    let last = sources.iter().find(|s| s.name == name).and_then(|s| s.last_success);
    !is_fresh(last, planned.every, now)
}

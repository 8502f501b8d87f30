//! What the data folder remembers of a host: files that are served there, renewers, what changed lately, and clients
//! whose certificates it demands.
//!
//! Read in a thread that nobody waits for beyond its time: a database may hang, too. What was seen of the host itself is
//! left out, because it is looked at anew; so is whatever place was looked at just now. Nothing is written or judged.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use notafter_core::change::{Surroundings, differences};
use notafter_core::inventory::{Asset, Inventory, Placement, Role};
use notafter_core::location::Location;
use notafter_core::query::{NamePattern, Query, Term, Test};
use notafter_core::subject::SubjectKey;
use notafter_core::{Fingerprint, UnixTime};
use notafter_discover::domain::registration::registrable;
use notafter_pki::certificate::Certificate;
use notafter_pki::oid;
use notafter_store::judge::Due;
use notafter_store::queries::Sort;
use notafter_store::rows::{AssetRow, PlaceWhole, PlacementRow};
use notafter_store::{Store, StoreError};

use crate::data::Data;
use crate::print::table::common_name;

/// So many assets of one word are looked at beside each other.
const ROWS_MAX: usize = 100;
/// So many places of the host are asked for their past.
const PLACES_MAX: usize = 24;
/// A change so long ago is no last change: two weeks, in seconds.
const LATELY: i64 = 14 * 86_400;
/// Below a CA that is demanded, so many levels of others are looked for.
const BELOW_MAX: usize = 3;

/// The memory, opened.
pub(super) struct Memory {
    store: Arc<Store>,
    /// What it holds that may have to do with the host.
    pub(super) part: Inventory,
}

/// Runs something that may hang. `None`: it did, for as long as it was given.
pub(super) fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, answer) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name("memory".to_owned());
    thread
        .spawn(move || {
            let _ = done.send(work());
        })
        .ok()?;
    answer.recv_timeout(limit).ok()
}

impl Memory {
    /// Opens the data folder, if anything is kept there, and takes out what has to do with the host.
    ///
    /// # Errors
    /// Why nothing is known from there, as a sentence.
    pub(super) fn read(data: &Data, host: &str, now: UnixTime) -> Result<Self, String> {
        let store = data.open_existing(now).map_err(|wrong| wrong.message)?;
        let part = part(&store, host, now).map_err(|wrong| wrong.to_string())?;
        Ok(Self { store, part })
    }

    /// The memory itself, for a second question.
    pub(super) fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }
}

fn part(store: &Store, host: &str, now: UnixTime) -> Result<Inventory, StoreError> {
    let mut tests = vec![Test::Text(host.to_owned())];
    match host.parse() {
        Ok(ip) => {
            let bits = if matches!(ip, std::net::IpAddr::V4(_)) { 32 } else { 128 };
            tests.push(Test::Network(ip, bits));
        }
        Err(_) => {
            tests.push(Test::Name(NamePattern::Exact(host.to_owned())));
            if let Some((_, parent)) = host.split_once('.') {
                tests.push(Test::Name(NamePattern::Exact(format!("*.{parent}"))));
            }
            tests.extend(registrable(host).map(|name| Test::Name(NamePattern::Exact(name))));
        }
    }
    let mut due: BTreeMap<Fingerprint, Due> = BTreeMap::new();
    for test in tests {
        for row in rows(store, vec![test], now)? {
            due.insert(row.id, Due { subject: SubjectKey::Asset(row.id), token: 0 });
        }
    }
    Ok(store.load(due.into_values().collect(), now)?.inventory)
}

fn rows(store: &Store, tests: Vec<Test>, now: UnixTime) -> Result<Vec<AssetRow>, StoreError> {
    let terms = tests.into_iter().map(|test| Term { not: false, test }).collect();
    Ok(store.assets(&Query { terms }, Sort::Newest, None, ROWS_MAX, now)?.rows)
}

/// Adds to what was seen just now what is remembered beside it: of every place that was not looked at anew.
pub(super) fn merge(seen: &mut Inventory, known: &Inventory, host: &str) {
    let place_of = |location: &Location| location.container().to_owned();
    let mut fresh: HashSet<String> = seen.placements().iter().map(|p| place_of(&p.location)).collect();
    fresh.extend(seen.keys().iter().map(|k| place_of(&k.location)));
    let stale = |location: &Location| {
        // The host's own servers, and those of its zone, were asked just now.
        let published =
            matches!(location.scheme(), "http" | "https") && super::names(location.as_str(), host);
        let asked = location.is_endpoint() && !published;
        asked || location.is_logged() || fresh.contains(location.container())
    };
    for placement in known.placements().iter().filter(|p| !stale(&p.location)) {
        let asset = carry(seen, known, placement.asset);
        let chain = placement.chain.as_ref();
        let chain = chain.map(|chain| chain.iter().map(|ix| carry(seen, known, *ix)).collect());
        seen.place(Placement { asset, chain, ..placement.clone() });
    }
    for key in known.keys().iter().filter(|k| !stale(&k.location)) {
        seen.add_key(key.clone());
    }
    for link in known.links() {
        seen.add_link(link.clone());
    }
    for renewal in known.renewals() {
        seen.add_renewal(renewal.clone());
    }
}

fn carry(
    to: &mut Inventory,
    from: &Inventory,
    ix: notafter_core::inventory::AssetIx,
) -> notafter_core::inventory::AssetIx {
    let asset = from.asset(ix);
    if let Some(known) = to.find(&asset.id) {
        return known;
    }
    let bytes = to.keep(&from.bytes(ix));
    to.add(Asset { bytes, ..asset.clone() })
}

/// Something that changed at a place of the host.
pub(super) struct Changed {
    /// Where.
    pub(super) place: String,
    /// When, as exactly as it is known.
    pub(super) at: UnixTime,
    /// What, in a sentence.
    pub(super) text: String,
    /// Did it change in more than its dates?
    pub(super) breaks: bool,
}

/// What the memory tells of the last days of these places, where that is what is served now. Newest first; and how many
/// places it knows at all.
///
/// # Errors
/// The store's, as a sentence.
pub(super) fn changes(
    store: &Store,
    served: &[(Location, Fingerprint, Vec<u8>)],
    now: UnixTime,
) -> Result<(Vec<Changed>, usize), String> {
    let mut out = Vec::new();
    let mut known = 0;
    for (location, id, der) in served.iter().take(PLACES_MAX) {
        let Some(place) = store.place(location.as_str()).map_err(|e| e.to_string())? else { continue };
        known += 1;
        out.extend(changed_at(store, &place, *id, der, now).map_err(|e| e.to_string())?);
    }
    out.sort_by_key(|change| std::cmp::Reverse(change.at));
    Ok((out, known))
}

fn changed_at(
    store: &Store,
    place: &PlaceWhole,
    served: Fingerprint,
    der: &[u8],
    now: UnixTime,
) -> Result<Vec<Changed>, StoreError> {
    let leaves: Vec<&PlacementRow> = place.placements.iter().filter(|p| p.role == Role::Leaf).collect();
    let present: Vec<&&PlacementRow> = leaves.iter().filter(|p| p.gone.is_none()).collect();
    let mut out = Vec::new();
    let location = place.location.to_string();
    let last = present.iter().map(|p| p.last_seen).max();
    if let (Some(last), false) = (last, present.iter().any(|p| p.asset == served)) {
        let older = present.first().map(|p| p.asset);
        let (what, breaks) = between(store, older, Some(der))?;
        let text = format!("another certificate than at the last look on {last}{what}");
        out.push(Changed { place: location.clone(), at: now, text, breaks });
    }
    for row in leaves.iter().filter(|p| p.gone.is_none() && now.0 - p.first_seen.0 <= LATELY) {
        // The one that was there until this one came; where nothing was before, nothing changed.
        let before = leaves.iter().filter(|p| p.asset != row.asset).filter_map(|p| Some((p.gone?, *p)));
        let Some((_, before)) = before.max_by_key(|(gone, _)| *gone) else { continue };
        let newer = store.bytes_of(&[row.asset])?.into_iter().next().unwrap_or_default();
        let (what, breaks) = between(store, Some(before.asset), Some(&newer))?;
        let text = format!(
            "replaced: {} until {}{what}",
            row.title,
            row.not_after.map(|t| t.to_string()).unwrap_or_default()
        );
        out.push(Changed { place: location.clone(), at: row.first_seen, text, breaks });
    }
    Ok(out)
}

/// How two certificates differ, as the end of a sentence, and whether that can break somebody.
fn between(
    store: &Store,
    older: Option<Fingerprint>,
    newer: Option<&[u8]>,
) -> Result<(String, bool), StoreError> {
    let older = match older {
        Some(id) => store.bytes_of(&[id])?.into_iter().next().unwrap_or_default(),
        None => Vec::new(),
    };
    let (Ok(older), Some(Ok(newer))) = (Certificate::parse(&older), newer.map(Certificate::parse)) else {
        return Ok((String::new(), false));
    };
    let found = differences(&older, &newer, Surroundings { older_above: 0, ..Surroundings::default() });
    let words: Vec<_> = found.iter().map(|change| change.text.as_str()).collect();
    let breaks = found.iter().any(|change| change.breaks);
    let text = if words.is_empty() {
        ", in nothing but its dates".to_owned()
    } else {
        format!(": {}", words.join("; "))
    };
    Ok((text, breaks))
}

/// A certificate with which somebody can sign in as a client.
pub(super) struct KnownClient {
    /// Which.
    pub(super) id: Fingerprint,
    /// What it is called.
    pub(super) title: String,
    /// Who issued it, in a word.
    pub(super) issuer: String,
    /// When it ends.
    pub(super) not_after: Option<UnixTime>,
    /// Where it lies.
    pub(super) place: Option<String>,
}

/// Clients whose certificates were issued by one of these names, or by a CA below one of them; who ends first stands
/// first.
///
/// # Errors
/// The store's, as a sentence.
pub(super) fn clients(store: &Store, demanded: &[String], now: UnixTime) -> Result<Vec<KnownClient>, String> {
    let mut out: BTreeMap<Fingerprint, KnownClient> = BTreeMap::new();
    let mut names: Vec<String> = demanded.to_vec();
    let mut asked: HashSet<String> = HashSet::new();
    for _ in 0..BELOW_MAX {
        let mut below = Vec::new();
        for name in names {
            if !asked.insert(name.clone()) {
                continue;
            }
            let word = common_name(&name);
            let found =
                rows(store, vec![Test::Issuer(word.to_lowercase())], now).map_err(|e| e.to_string())?;
            for row in found.into_iter().filter(|row| row.issuer == name && row.places > 0) {
                let der = store.bytes_of(&[row.id]).map_err(|e| e.to_string())?;
                let Some(Ok(certificate)) = der.first().map(|der| Certificate::parse(der)) else { continue };
                if certificate.is_ca() {
                    below.push(certificate.subject().to_rfc4514());
                } else if may_sign_in(&certificate) {
                    let client = KnownClient {
                        id: row.id,
                        title: row.title,
                        issuer: row.issuer_name,
                        not_after: row.not_after,
                        place: row.place.map(|place| place.to_string()),
                    };
                    out.insert(row.id, client);
                }
            }
        }
        names = below;
    }
    let mut out: Vec<_> = out.into_values().collect();
    out.sort_by(|a, b| (a.not_after, &a.title).cmp(&(b.not_after, &b.title)));
    Ok(out)
}

/// Does it say that it is for clients? What says nothing is a server's, more often than not.
pub(super) fn may_sign_in(certificate: &Certificate<'_>) -> bool {
    certificate.extended_key_usage().is_some_and(|usage| usage.has(oid::CLIENT_AUTH))
}

//! What takes turns with its like in one place: the lists of a CA, the versions of a role of TUF, the subkeys of a key for
//! one use. Where each is kept, the last one is what counts.

use std::collections::HashMap;

use notafter_core::inventory::{Asset, AssetKind, Inventory, Placement};
use notafter_core::location::Location;
use notafter_pki::Crl;
use notafter_pki::fingerprint::hex;
use notafter_pki::oid;
use notafter_pki::statement::Statement;

/// By placement: whose turn it is among which.
pub(super) struct Turns<'i> {
    last: HashMap<(&'i str, String), (i64, &'i Location)>,
    /// What each asset that takes turns is among its like, and its turn.
    of: HashMap<[u8; 32], (String, i64)>,
}

impl<'i> Turns<'i> {
    pub(super) fn new(inventory: &'i Inventory) -> Self {
        let mut out = Self { last: HashMap::new(), of: HashMap::new() };
        for placement in inventory.placements().iter().filter(|p| p.location.is_file()) {
            let asset = inventory.asset(placement.asset);
            if !matches!(asset.kind, AssetKind::Crl | AssetKind::SignedMetadata | AssetKind::OpenpgpKey) {
                continue;
            }
            let Some((like, turn)) = turn(asset, &inventory.bytes(placement.asset)) else { continue };
            let last = out.last.entry((scope(&like, &placement.location), like.clone()));
            let last = last.or_insert((turn, &placement.location));
            if turn > last.0 {
                *last = (turn, &placement.location);
            }
            out.of.insert(asset.id.0, (like, turn));
        }
        out
    }

    /// One with a later turn, if such a one lies wherever these do.
    pub(super) fn overtaken_by(&self, asset: &Asset, places: &[&Placement]) -> Option<&'i Location> {
        let (like, turn) = self.of.get(&asset.id.0)?;
        let later = |place: &&Placement| {
            let (last, at) = self.last.get(&(scope(like, &place.location), like.clone()))?;
            (place.location.is_file() && last > turn).then_some(*at)
        };
        let all: Option<Vec<&Location>> = places.iter().map(later).collect();
        all?.first().copied()
    }
}

/// Where its like lies: subkeys in one file, all else in one folder.
fn scope<'l>(like: &str, location: &'l Location) -> &'l str {
    let file = location.container();
    if like.starts_with("subkey ") { file } else { file.rsplit_once('/').map_or("", |(folder, _)| folder) }
}

/// What it takes turns with, in words that its like share, and which turn it is.
fn turn(asset: &Asset, bytes: &[u8]) -> Option<(String, i64)> {
    if asset.kind == AssetKind::Crl {
        let crl = Crl::parse(bytes).ok()?;
        let part = crl.extension(oid::ISSUING_DISTRIBUTION_POINT).map(|e| hex(e.value)).unwrap_or_default();
        let key = crl.authority_key_id().map(hex).unwrap_or_default();
        let issuer = hex(&crl.issuer_name().comparison_key());
        return Some((format!("crl {issuer} {key} {part} {}", crl.is_delta()), crl.this_update()?.0));
    }
    let statement = Statement::parse(bytes)?;
    let fact = |key| statement.fact_of(key);
    if asset.kind == AssetKind::SignedMetadata {
        let role = fact("role").filter(|_| fact("format") == Some("tuf"))?;
        return Some((format!("tuf {role}"), fact("version")?.parse().ok()?));
    }
    if fact("revoked").is_some() || fact("unbound").is_some() {
        return None;
    }
    let end = asset.not_after.map_or(i64::MAX, |end| end.0);
    Some((format!("subkey {} {}", fact("primary")?, fact("usage")?), end))
}

//! Tells trust stores from everything else: a dead root in a store of roots is nobody's alarm.

use std::collections::{HashMap, HashSet};

use notafter_core::Fingerprint;
use notafter_core::inventory::{Inventory, Role};
use notafter_core::trust::{GIVEN, TrustStores};

/// So many roots alone in files of one folder make it a folder of roots.
const FOLDER_MIN: usize = 10;

/// Gives the role of trust anchor to roots that are kept to check others against: those that this
/// machine or Mozilla trusts anyway, and those in a folder that is full of roots. Files with many roots
/// were recognised when they were read.
pub(crate) fn recognise(inventory: &mut Inventory, trust: &TrustStores) {
    // Roots that the user gave are the user's own: their dates matter to somebody here.
    let others = trust.iter().filter(|(_, set)| *set != GIVEN);
    let known: HashSet<Fingerprint> = others.map(|(der, _)| Fingerprint::of(der)).collect();
    let mut folders: HashMap<String, usize> = HashMap::new();
    for placement in inventory.placements() {
        if placement.role == Role::Root && placement.location.is_file() {
            *folders.entry(folder(placement.location.container()).to_owned()).or_default() += 1;
        }
    }
    let anchors: HashSet<_> =
        inventory.assets().filter(|(_, a)| known.contains(&a.id)).map(|(ix, _)| ix).collect();
    inventory.reassign(|placement| {
        let in_store = placement.location.is_file()
            && (anchors.contains(&placement.asset)
                || folders.get(folder(placement.location.container())).is_some_and(|n| *n >= FOLDER_MIN));
        if placement.role == Role::Root && in_store { Role::TrustAnchor } else { placement.role }
    });
}

fn folder(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

//! Roots in files: what stands on each, where it lies, and whether its successor lies beside it.
//!
//! Joined here once: paths say which leaves stand on which CA certificate, places say which roots lie together.
//! Nothing is judged: whether an end matters is for rules.

use std::collections::HashMap;

use notafter_core::dossier::{AnchorPlace, AnchorView, Dependent};
use notafter_core::inventory::{Asset, AssetIx, Inventory, Placement, Role};
use notafter_core::{Fingerprint, UnixTime};

/// So many dependents of one CA certificate are kept by name.
pub(super) const KEPT_MAX: usize = 1000;

/// What stands on a CA certificate or on another of its name and key.
#[derive(Clone, Default)]
pub(super) struct Standing {
    /// Of the leaves, so many at most.
    pub(super) leaves: Vec<AssetIx>,
    /// How many there are.
    pub(super) total: usize,
    /// The latest end of a root of this name and key.
    pub(super) latest: Option<UnixTime>,
    /// Does something stand on exactly this one?
    pub(super) in_use: bool,
    /// Is it on Mozilla's list?
    pub(super) public: bool,
    /// What its name and key are equal by.
    pub(super) kin: usize,
    /// What its name is equal by.
    pub(super) name: usize,
}

/// What the paths say of every CA certificate in the inventory.
pub(super) type Standings = HashMap<Fingerprint, Standing>;

/// Roots by the file they lie in.
pub(super) struct Index<'i> {
    standings: Standings,
    together: HashMap<&'i str, Vec<AssetIx>>,
}

impl<'i> Index<'i> {
    pub(super) fn new(inventory: &'i Inventory, standings: Standings) -> Self {
        let mut together: HashMap<&str, Vec<AssetIx>> = HashMap::new();
        for placement in inventory.placements() {
            if placement.location.is_file() && matches!(placement.role, Role::Root | Role::TrustAnchor) {
                together.entry(placement.location.bundle()).or_default().push(placement.asset);
            }
        }
        Self { standings, together }
    }

    /// The anchor that this asset is, if it lies in a file for its own sake.
    pub(super) fn view<'a>(
        &'a self,
        inventory: &'a Inventory,
        asset: &Asset,
        places: &[&'a Placement],
        locate: impl Fn(AssetIx) -> Dependent<'a>,
    ) -> Option<AnchorView<'a>> {
        let standing = self.standings.get(&asset.id)?;
        let lies = |p: &&&Placement| {
            p.location.is_file()
                && match p.role {
                    Role::TrustAnchor => true,
                    Role::Root | Role::Intermediate => p.chain.is_some(),
                    _ => false,
                }
        };
        let places: Vec<AnchorPlace<'a>> = places
            .iter()
            .filter(lies)
            .map(|place| AnchorPlace { place, replaced: self.is_replaced(inventory, asset, standing, place) })
            .collect();
        if places.is_empty() {
            return None;
        }
        Some(AnchorView {
            dependents: standing.leaves.iter().map(|ix| locate(*ix)).collect(),
            dependents_total: standing.total,
            has_later_twin: standing.latest > asset.not_after,
            places,
            public: standing.public,
        })
    }

    /// Does a later root lie beside it that takes its place: one of its name, or one that is in use while nothing
    /// stands on this?
    fn is_replaced(&self, inventory: &Inventory, asset: &Asset, own: &Standing, place: &Placement) -> bool {
        let beside = self.together.get(place.location.bundle()).map(Vec::as_slice).unwrap_or_default();
        beside.iter().any(|ix| {
            let other = inventory.asset(*ix);
            if other.id == asset.id || other.not_after <= asset.not_after {
                return false;
            }
            let Some(standing) = self.standings.get(&other.id) else { return false };
            match (standing.kin == own.kin, standing.name == own.name) {
                (true, _) => true,
                // Another key: what stands on the old one is not helped by it.
                (false, true) => own.total == 0,
                (false, false) => own.total == 0 && standing.in_use,
            }
        })
    }
}

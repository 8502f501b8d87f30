//! Joins what renewers say with the certificates in their files: who renews this one, and how it was with its
//! predecessors.
//!
//! Between the inventory and the dossier. A renewer's word counts for the leaf that its files hold now; nothing is
//! judged here.

use std::collections::{HashMap, HashSet};

use notafter_core::UnixTime;
use notafter_core::dossier::ManagedView;
use notafter_core::inventory::{Asset, AssetIx, Inventory, Placement, RenewalSighting, Role};
use notafter_core::location::Location;
use notafter_pki::certificate::Certificate;

use super::lineage::Line;

/// So many predecessors are looked at.
const PREDECESSORS_MAX: usize = 200;

/// Lineages by the files that they keep.
#[derive(Default)]
pub(super) struct Index<'i> {
    by_file: HashMap<&'i str, Vec<&'i RenewalSighting>>,
}

impl<'i> Index<'i> {
    pub(super) fn new(inventory: &'i Inventory) -> Self {
        let mut by_file: HashMap<&str, Vec<&RenewalSighting>> = HashMap::new();
        for sighting in inventory.renewals() {
            for file in &sighting.renewal.certificates {
                by_file.entry(file.container()).or_default().push(sighting);
            }
        }
        Self { by_file }
    }

    fn of(&self, placement: &Placement) -> &[&'i RenewalSighting] {
        let leads = placement.role == Role::Leaf && placement.chain.is_some() && placement.location.is_file();
        let found = leads.then(|| self.by_file.get(placement.location.container())).flatten();
        found.map(Vec::as_slice).unwrap_or_default()
    }

    /// The lineages whose present certificate this is. `named`: all of the same names.
    pub(super) fn views(
        &self,
        inventory: &'i Inventory,
        asset: &Asset,
        certificate: &Certificate<'_>,
        places: &[&'i Placement],
        named: Option<&Line>,
        at: UnixTime,
    ) -> Vec<ManagedView<'i>> {
        if self.by_file.is_empty() {
            return Vec::new();
        }
        let mut seen = HashSet::new();
        let mut out = Vec::new();
        // One file may hold what many lineages keep: then it is the one that asks for these names.
        let names = notafter_core::document::names(certificate).dns_and_ip;
        let meant = |all: &[&RenewalSighting], one: &RenewalSighting| {
            all.len() == 1
                || one.renewal.names.iter().any(|name| names.iter().any(|n| n.eq_ignore_ascii_case(name)))
        };
        let all = places.iter().flat_map(|p| {
            let here = self.of(p);
            here.iter().filter(move |one| meant(here, one))
        });
        for sighting in all {
            if !seen.insert(std::ptr::from_ref(*sighting)) {
                continue;
            }
            let served = places.iter().any(|p| p.location.is_endpoint());
            out.push(ManagedView {
                renewal: &sighting.renewal,
                looked: sighting.seen,
                usual: usual(inventory, named, &sighting.renewal.home),
                left_behind: !served && named.is_some_and(|n| later(inventory, n, asset, certificate, at)),
            });
        }
        out
    }
}

/// Is there another for the same names and of the same kind of key that ends later and is in force?
fn later(
    inventory: &Inventory,
    named: &Line,
    asset: &Asset,
    certificate: &Certificate<'_>,
    at: UnixTime,
) -> bool {
    let kind = certificate.public_key().algorithm();
    let all = named.files.iter().map(|(ix, _)| ix).chain(&named.served);
    all.map(|ix| (ix, inventory.asset(*ix)))
        .filter(|(_, a)| a.not_after > asset.not_after && a.not_before.is_some_and(|t| t <= at))
        .any(|(ix, _)| {
            Certificate::parse(&inventory.bytes(*ix)).is_ok_and(|c| c.public_key().algorithm() == kind)
        })
}

/// So many seconds before their ends the lineage's certificates were replaced, in the middle: by those that lie in
/// its folder.
fn usual(inventory: &Inventory, named: Option<&Line>, home: &Location) -> Option<i64> {
    let inside = |n: u32| {
        let file = inventory.placements()[n as usize].location.container();
        file.strip_prefix(home.container()).is_some_and(|rest| rest.starts_with('/'))
    };
    let files = named?.files.iter().filter(|(_, n)| inside(*n));
    let mut ixs: Vec<AssetIx> = files.map(|(ix, _)| *ix).take(PREDECESSORS_MAX).collect();
    ixs.sort_unstable_by_key(|ix| ix.0);
    ixs.dedup();
    let life = |ix: &AssetIx| {
        let asset = inventory.asset(*ix);
        Some((asset.not_before?.0, asset.not_after?.0))
    };
    let mut lives: Vec<(i64, i64)> = ixs.iter().filter_map(life).collect();
    lives.sort_unstable();
    let left = |pair: &[(i64, i64)]| pair[0].1.saturating_sub(pair[1].0);
    let mut before: Vec<i64> = lives.windows(2).map(left).filter(|left| *left > 0).collect();
    before.sort_unstable();
    before.get(before.len() / 2).copied()
}

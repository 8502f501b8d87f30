//! Whom clients trust, as values: sets of root certificates by the client that has them.
//!
//! Read at the edge, handed in here. Nothing in `core` or `engine` knows where roots are kept on disk.

use std::sync::Arc;

use notafter_pki::chain::AnchorSets;

/// Root certificates, DER each, by who trusts them.
#[derive(Clone, Default)]
pub struct TrustStores {
    /// Mozilla's list: what the public web trusts.
    pub mozilla: Vec<Arc<[u8]>>,
    /// What this system trusts.
    pub system: Vec<Arc<[u8]>>,
    /// What the user trusts besides.
    pub given: Vec<Arc<[u8]>>,
}

/// The bit of Mozilla's list in a set of anchors.
pub const MOZILLA: AnchorSets = 1;
/// The bit of the system's store.
pub const SYSTEM: AnchorSets = 2;
/// The bit of the user's own roots.
pub const GIVEN: AnchorSets = 4;

/// What path building takes for trusted. The bits above are for the stores of simulated clients (`clients.rs`), which
/// say nothing about whether a chain is trusted here.
pub const TRUSTED: AnchorSets = MOZILLA | SYSTEM | GIVEN;

impl TrustStores {
    /// Every root with the bit of its set.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<[u8]>, AnchorSets)> {
        self.mozilla
            .iter()
            .map(|d| (d, MOZILLA))
            .chain(self.system.iter().map(|d| (d, SYSTEM)))
            .chain(self.given.iter().map(|d| (d, GIVEN)))
    }
}

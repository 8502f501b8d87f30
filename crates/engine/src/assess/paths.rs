//! Where each chain leads: one graph of all CA certificates, one search for each distinct chain.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use notafter_core::dossier::{PathEnd, PathView};
use notafter_core::inventory::{AssetIx, AssetKind, Inventory};
use notafter_core::trust::{GIVEN, MOZILLA, TrustStores};
use notafter_core::{Fingerprint, UnixTime};
use notafter_pki::certificate::Certificate;
use notafter_pki::chain::{End, Graph, Node, Path};

/// A distinct chain of one leaf, and where it leads.
pub(crate) struct ServedPath {
    /// The placements that have exactly this chain, by number.
    pub(crate) places: Vec<u32>,
    /// Its members, leaf first.
    pub(crate) chain: Arc<[AssetIx]>,
    /// What comes of it.
    pub(crate) view: PathView,
}

/// By issuer: the leaves that live longer than it.
type Outlived = HashMap<Fingerprint, Vec<(AssetIx, UnixTime)>>;

pub(crate) struct Paths;

impl Paths {
    /// Searches the best path of every chain in the inventory.
    pub(crate) fn build(
        inventory: &Inventory,
        trust: &TrustStores,
        places: &[Vec<u32>],
    ) -> (HashMap<AssetIx, Vec<ServedPath>>, Outlived) {
        let authorities = authorities(inventory);
        let mut graph = Graph::new();
        for (der, set) in trust.iter() {
            if let Ok(root) = Certificate::parse(der) {
                graph.add(root, set);
            }
        }
        for bytes in &authorities {
            if let Ok(certificate) = Certificate::parse(bytes) {
                graph.add(certificate, 0);
            }
        }
        let mut paths = HashMap::new();
        let mut outlived: Outlived = HashMap::new();
        for (ix, _) in inventory.assets() {
            let chains = distinct(inventory, &places[ix.0 as usize]);
            if chains.is_empty() {
                continue;
            }
            let bytes = inventory.bytes(ix);
            let Ok(leaf) = Certificate::parse(&bytes) else { continue };
            let mut served = Vec::with_capacity(chains.len());
            for (chain, places) in chains {
                let sent: Vec<Node> =
                    chain[1..].iter().filter_map(|m| graph.find(&inventory.asset(*m).id)).collect();
                let path = graph.best_path(&leaf, &sent);
                let view = view(&graph, &leaf, &path, chain.len() > 1, !trust.given.is_empty());
                let at_endpoint = |n: &u32| inventory.placements()[*n as usize].location.is_endpoint();
                if let (Some((issuer, ..)), true) = (&view.dies_first, places.iter().any(at_endpoint)) {
                    let leaves = outlived.entry(*issuer).or_default();
                    // Leaves come in order: a second chain of the same one can only be the last.
                    if leaves.last().is_none_or(|(known, _)| *known != ix) {
                        leaves.push((ix, leaf.not_after().unwrap_or(UnixTime(0))));
                    }
                }
                served.push(ServedPath { places, chain, view });
            }
            paths.insert(ix, served);
        }
        (paths, outlived)
    }
}

/// The bytes of every CA certificate: the only ones that can be issuers.
fn authorities(inventory: &Inventory) -> Vec<Cow<'_, [u8]>> {
    let certificates = inventory.assets().filter(|(_, a)| a.kind == AssetKind::Certificate);
    let is_authority = |bytes: &Cow<'_, [u8]>| {
        Certificate::parse(bytes).is_ok_and(|c| c.is_ca() || (c.version() < 3 && c.is_self_issued()))
    };
    certificates.map(|(ix, _)| inventory.bytes(ix)).filter(is_authority).collect()
}

/// The distinct chains among these placements, each with its places.
fn distinct(inventory: &Inventory, places: &[u32]) -> Vec<(Arc<[AssetIx]>, Vec<u32>)> {
    let mut out: Vec<(Arc<[AssetIx]>, Vec<u32>)> = Vec::new();
    for n in places {
        let Some(chain) = &inventory.placements()[*n as usize].chain else { continue };
        // Few chains a leaf: a search through a short list beats a map. The last is the likeliest.
        match out.iter_mut().rev().find(|(known, _)| known == chain) {
            Some((_, places)) => places.push(*n),
            None if !chain.is_empty() => out.push((Arc::clone(chain), vec![*n])),
            None => {}
        }
    }
    out
}

fn view(graph: &Graph<'_>, leaf: &Certificate<'_>, path: &Path, sent_any: bool, own_roots: bool) -> PathView {
    let subject = |node: Node| graph.certificate(node).subject().to_rfc4514();
    let (end, public) = match path.end {
        End::Anchor(sets) => (PathEnd::Trusted, sets & MOZILLA != 0),
        End::PrivateRoot if path.issuers.is_empty() => (PathEnd::SelfSigned, false),
        End::PrivateRoot => (PathEnd::PrivateRoot, false),
        End::SelfSigned => (PathEnd::SelfSigned, false),
        End::UnknownIssuer => (PathEnd::UnknownIssuer, false),
        End::BadSignature => (PathEnd::BadSignature, false),
    };
    // An unknown issuer of the leaf itself is missing; behind an intermediate that was sent, it is
    // probably a private root, which nobody sends.
    let missing = match (path.unsent, path.end) {
        (Some(node), _) => Some(subject(node)),
        (None, End::UnknownIssuer) if path.issuers.is_empty() && !sent_any => {
            Some(leaf.issuer_name().to_rfc4514())
        }
        _ => None,
    };
    // Whoever gives their roots has given them all; and a root's own leaves have no need to say where
    // its certificate can be fetched.
    let fetchable = || leaf.authority_info_access().ca_issuers().next().is_some();
    let missing_is_certain = path.unsent.is_some() || own_roots || fetchable();
    let leaf_end = leaf.not_after().unwrap_or(UnixTime(i64::MAX));
    // Clients renew the public roots by themselves; a root of one's own dies with everything below it.
    let dying = path.issuers.iter().filter(|n| graph.anchors(**n) & !GIVEN == 0);
    let dies_first = dying
        .filter_map(|n| graph.certificate(*n).not_after().map(|t| (t, *n)))
        .min()
        .filter(|(t, _)| *t < leaf_end)
        .map(|(t, n)| (graph.id(n), t, subject(n)));
    let last = path.issuers.last().map_or(*leaf, |n| graph.certificate(*n));
    let ends_at = match path.end {
        End::UnknownIssuer | End::BadSignature => last.issuer_name().to_rfc4514(),
        End::Anchor(_) | End::PrivateRoot | End::SelfSigned => last.subject().to_rfc4514(),
    };
    let cut_short = path.cut_short;
    PathView { end, ends_at, cut_short, missing, missing_is_certain, public, dies_first }
}

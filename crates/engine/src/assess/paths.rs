//! Where each chain leads: one graph of all CA certificates, one search for each distinct chain.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use notafter_core::clients::{self, LISTED, OPENSSL_1_0};
use notafter_core::dossier::{ClientPath, IssuerView, PathEnd, PathView, title};
use notafter_core::inventory::{AssetIx, AssetKind, Inventory, Role};
use notafter_core::trust::{MOZILLA, SYSTEM, TRUSTED, TrustStores};
use notafter_core::{Fingerprint, KeyId, UnixTime};
use notafter_pki::certificate::Certificate;
use notafter_pki::chain::{AnchorSets, Client, End, Graph, Node, Path};

use super::anchors::{KEPT_MAX, Standing, Standings};

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

/// Has what it was sent and every anchor that is trusted here, whoever trusts it.
const HERE: Client = Client { trusts: TRUSTED, only_sent: false };

/// What the search for paths found out.
pub(crate) struct Paths {
    /// By leaf.
    pub(crate) served: HashMap<AssetIx, Vec<ServedPath>>,
    /// By issuer.
    pub(crate) outlived: Outlived,
    /// By CA certificate in the inventory.
    pub(crate) standings: Standings,
}

impl Paths {
    /// Searches the best path of every chain in the inventory. What has ended at `at` stands on nothing.
    pub(crate) fn build(
        inventory: &Inventory,
        trust: &TrustStores,
        places: &[Vec<u32>],
        at: UnixTime,
    ) -> Self {
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
        for (root, sets) in clients::roots() {
            graph.trust(&root, sets);
        }
        let mut world =
            World { filed: filed(inventory, places), inventory, graph, own_roots: has_own_roots(trust) };
        let mut out = Self { served: HashMap::new(), outlived: HashMap::new(), standings: HashMap::new() };
        let mut standing: HashMap<Node, (Vec<AssetIx>, usize)> = HashMap::new();
        let keys: HashSet<KeyId> = inventory.keys().iter().filter_map(|sighting| sighting.key).collect();
        for (ix, _) in inventory.assets() {
            let chains = distinct(inventory, &places[ix.0 as usize]);
            if chains.is_empty() {
                continue;
            }
            let bytes = inventory.bytes(ix);
            let Ok(leaf) = Certificate::parse(&bytes) else { continue };
            let mut served = Vec::with_capacity(chains.len());
            let mut stands_on: Vec<Node> = Vec::new();
            for (chain, places) in chains {
                let at_endpoint = |n: &u32| inventory.placements()[*n as usize].location.is_endpoint();
                let is_served = places.iter().any(at_endpoint);
                let (path, view) = world.path(&leaf, &chain, is_served);
                let counts = is_served || places.iter().any(|n| world.is_kept(*n, chain.len(), &keys));
                if let (Some((issuer, ..)), true) = (&view.dies_first, counts) {
                    let leaves = out.outlived.entry(*issuer).or_default();
                    // Leaves come in order: a second chain of the same one can only be the last.
                    if leaves.last().is_none_or(|(known, _)| *known != ix) {
                        leaves.push((ix, leaf.not_after().unwrap_or(UnixTime(0))));
                    }
                }
                stands_on.extend(path.issuers);
                served.push(ServedPath { places, chain, view });
            }
            // A CA that merely lies in a file is no leaf of the one above it; one that issues here is.
            let issues =
                inventory.asset(ix).key.is_some_and(|key| keys.contains(&key)) && !leaf.is_self_issued();
            if (!leaf.is_ca() || issues) && leaf.not_after().is_some_and(|end| end >= at) {
                stands_on.sort_unstable();
                stands_on.dedup();
                for node in stands_on {
                    let (leaves, total) = standing.entry(node).or_default();
                    *total += 1;
                    if leaves.len() < KEPT_MAX {
                        leaves.push(ix);
                    }
                }
            }
            out.served.insert(ix, served);
        }
        out.standings = world.standings(&standing);
        out
    }
}

/// What paths are searched in.
struct World<'w> {
    inventory: &'w Inventory,
    graph: Graph<'w>,
    /// Roots that lie in files.
    filed: HashSet<Fingerprint>,
    own_roots: bool,
}

impl World<'_> {
    fn path(&mut self, leaf: &Certificate<'_>, chain: &[AssetIx], is_served: bool) -> (Path, PathView) {
        let sent: Vec<Node> =
            chain[1..].iter().filter_map(|m| self.graph.find(&self.inventory.asset(*m).id)).collect();
        let path = self.graph.best_path_of(HERE, leaf, &sent);
        let mut view = view(&self.graph, leaf, &path, chain.len() > 1, self.own_roots);
        self.issuers(leaf, &path, &mut view);
        if is_served && matches!(path.end, End::Anchor(_) | End::PrivateRoot) {
            view.clients = self.clients(leaf, &sent, &path);
        }
        (path, view)
    }

    /// Does it lie in a file to be used: with its issuers behind it, or beside its key?
    fn is_kept(&self, place: u32, members: usize, keys: &HashSet<KeyId>) -> bool {
        let Some(place) = self.inventory.placements().get(place as usize) else { return false };
        let own = matches!(place.role, Role::Leaf | Role::Client) && place.facts.part.is_none();
        let key = || self.inventory.asset(place.asset).key.is_some_and(|key| keys.contains(&key));
        own && place.location.is_file() && !place.location.is_published() && (members > 1 || key())
    }

    /// Whose ends matter to somebody here. Clients renew the public roots by themselves; a root of one's own dies with
    /// everything below it, installed on this machine or not.
    fn issuers(&self, leaf: &Certificate<'_>, path: &Path, view: &mut PathView) {
        let ours = path.issuers.iter().filter(|n| self.graph.anchors(**n) & MOZILLA == 0);
        for node in ours {
            let (certificate, id) = (self.graph.certificate(*node), self.graph.id(*node));
            let (Some(not_before), Some(not_after)) = (certificate.not_before(), certificate.not_after())
            else {
                continue;
            };
            let anchor = certificate.is_self_issued()
                && (self.filed.contains(&id) || self.inventory.find(&id).is_none());
            view.issuers.push(IssuerView {
                id,
                not_before,
                not_after,
                title: title(&certificate),
                travels: !anchor,
            });
        }
        let leaf_end = leaf.not_after().unwrap_or(UnixTime(i64::MAX));
        let dying = view.issuers.iter().filter(|i| i.travels && i.not_after < leaf_end);
        view.dies_first = dying.min_by_key(|i| i.not_after).map(|i| (i.id, i.not_after, i.title.clone()));
    }

    /// Clients whose path ends before the best one and before the leaf. Only where a certificate was sent that has a
    /// namesake of the same key can there be another path, so that this costs nothing for the rest.
    fn clients(&mut self, leaf: &Certificate<'_>, sent: &[Node], best: &Path) -> Vec<ClientPath> {
        if !sent.iter().any(|n| self.graph.kin(*n).nth(1).is_some()) {
            return Vec::new();
        }
        let lasts = self.ends(&best.issuers).map_or(UnixTime(i64::MAX), |(end, _)| end);
        let lasts = leaf.not_after().map_or(lasts, |end| end.min(lasts));
        let mut out = Vec::new();
        let followed = self.graph.as_sent(leaf, sent);
        if let Some((ends, through)) = self.ends(&followed).filter(|(end, _)| *end < lasts) {
            // What leads away from the best path is what should not be sent.
            let astray = followed.iter().find(|n| sent.contains(n) && !best.issuers.contains(n));
            out.push(self.client_path(OPENSSL_1_0, ends, through, astray.copied()));
        }
        let stores: [(&'static str, AnchorSets, bool); 2] =
            [("mozilla", MOZILLA, true), ("system", SYSTEM, true)];
        let stores = stores.into_iter().chain(LISTED.iter().map(|c| (c.name, c.set, false)));
        for (name, set, heeds_anchor) in stores {
            let path = self.graph.best_path_of(Client { trusts: set, only_sent: true }, leaf, sent);
            if !matches!(path.end, End::Anchor(_)) {
                continue;
            }
            let counted = if heeds_anchor {
                &path.issuers[..]
            } else {
                path.issuers.split_last().map_or(&[][..], |(_, rest)| rest)
            };
            if let Some((ends, through)) = self.ends(counted).filter(|(end, _)| *end < lasts) {
                out.push(self.client_path(name, ends, through, None));
            }
        }
        out.sort_by_key(|path| path.ends);
        out
    }

    fn client_path(
        &self,
        client: &'static str,
        ends: UnixTime,
        through: Node,
        astray: Option<Node>,
    ) -> ClientPath {
        let named = |node: Node| {
            let certificate = self.graph.certificate(node);
            let own = title(&certificate);
            let issuer = certificate.issuer_name();
            let by = issuer.common_name().unwrap_or_else(|| issuer.to_rfc4514());
            if certificate.is_self_issued() { own } else { format!("{own} (signed by {by})") }
        };
        ClientPath {
            client,
            ends,
            through: self.graph.id(through),
            title: named(through),
            superfluous: astray.map(named),
        }
    }

    /// The first end on a path, and whose it is; of several at once, that of the lowest.
    fn ends(&self, issuers: &[Node]) -> Option<(UnixTime, Node)> {
        let ends = issuers.iter().filter_map(|n| self.graph.certificate(*n).not_after().map(|end| (end, *n)));
        ends.min_by_key(|(end, _)| *end)
    }

    /// What stands on each CA certificate of the inventory.
    fn standings(&self, standing: &HashMap<Node, (Vec<AssetIx>, usize)>) -> Standings {
        let mut numbers: HashMap<(Vec<u8>, Option<notafter_core::KeyId>), usize> = HashMap::new();
        let mut out = Standings::new();
        for (_, asset) in self.inventory.assets() {
            let Some(node) = self.graph.find(&asset.id) else { continue };
            let certificate = self.graph.certificate(node);
            let subject = certificate.subject().comparison_key();
            let next = numbers.len();
            let kin = *numbers.entry((subject.clone(), Some(certificate.key_id()))).or_insert(next);
            let next = numbers.len();
            let name = *numbers.entry((subject, None)).or_insert(next);
            let mut one = Standing { kin, name, ..Standing::default() };
            for twin in self.graph.kin(node) {
                let other = self.graph.certificate(twin);
                if other.is_self_issued() {
                    one.latest = one.latest.max(other.not_after());
                }
                one.public |= self.graph.anchors(twin) & MOZILLA != 0;
                if let Some((leaves, total)) = standing.get(&twin) {
                    let room = KEPT_MAX.saturating_sub(one.leaves.len());
                    one.leaves.extend(leaves.iter().take(room));
                    one.total += total;
                }
            }
            one.in_use = standing.contains_key(&node);
            out.insert(asset.id, one);
        }
        out
    }
}

/// Were roots of one's own given or installed? Whoever did that did it for all of them, so that an issuer which is none
/// of them is missing from a chain rather than a root that nobody sends. Public roots that Mozilla no longer has, or
/// not yet, are told by the lists of other clients and by being many.
fn has_own_roots(trust: &TrustStores) -> bool {
    let public: HashSet<Fingerprint> = trust
        .mozilla
        .iter()
        .map(|der| Fingerprint::of(der))
        .chain(clients::roots().map(|(id, _)| id))
        .collect();
    let unknown = trust.system.iter().filter(|der| !public.contains(&Fingerprint::of(der))).count();
    // A store made by hand has nothing else in it; one that a system ships has a few strangers at most.
    !trust.given.is_empty() || (unknown > 0 && unknown * 2 > trust.system.len())
}

/// The roots that lie in files for their own sake.
fn filed(inventory: &Inventory, places: &[Vec<u32>]) -> HashSet<Fingerprint> {
    let in_file = |n: &u32| {
        let placement = &inventory.placements()[*n as usize];
        let own = placement.role == Role::TrustAnchor
            || (placement.role == Role::Root && placement.chain.is_some());
        placement.location.is_file() && own
    };
    let assets = inventory.assets().filter(|(ix, _)| places[ix.0 as usize].iter().any(in_file));
    assets.map(|(_, asset)| asset.id).collect()
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
    let last = path.issuers.last().map_or(*leaf, |n| graph.certificate(*n));
    let ends_at = match path.end {
        End::UnknownIssuer | End::BadSignature => last.issuer_name().to_rfc4514(),
        End::Anchor(_) | End::PrivateRoot | End::SelfSigned => last.subject().to_rfc4514(),
    };
    let cut_short = path.cut_short;
    PathView {
        end,
        ends_at,
        cut_short,
        missing,
        missing_is_certain,
        public,
        dies_first: None,
        issuers: Vec::new(),
        clients: Vec::new(),
    }
}

//! Paths from a certificate to a root: a graph of CA certificates, searched with a work budget.
//!
//! An edge is "this issuer's name and key signed that certificate"; each signature is checked once and
//! its verdict kept. Cross-signs make the graph branch and loop, and hostile ones make it explode, so a
//! search counts its signature checks and stops (RUSTSEC-2023-0052, CVE-2018-16875 did not). This finds
//! out where a chain leads; whether a client would accept it at some time for some name is `verdict`.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::certificate::Certificate;
use crate::verify::{SignatureVerdict, is_signed_by};
use crate::{Fingerprint, KeyId, UnixTime};

/// A certificate in the graph.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Node(u32);

/// Which sets of trust anchors a certificate belongs to: a bit each, chosen by the caller.
pub type AnchorSets = u16;

/// What a client trusts, and what it has to work with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Client {
    /// The sets of anchors that it trusts.
    pub trusts: AnchorSets,
    /// Whether it has only what it was sent and what it trusts, as most have; otherwise every certificate in
    /// the graph is at hand.
    pub only_sent: bool,
}

/// Trusts every set and has everything at hand.
const OMNISCIENT: Client = Client { trusts: AnchorSets::MAX, only_sent: false };

/// Signature checks that one search may make.
pub const CHECKS_MAX: u32 = 100;
/// Certificates on one path, leaf and anchor included: one limit after the other, so that short paths are
/// found before the budget is spent in a mesh. Edges are kept, so that going on costs no check twice.
const DEPTHS: &[usize] = &[3, 4, 6, 14];
/// Steps within one limit: what a mesh of names without any good signature may cost.
const STEPS_MAX: u32 = 2_000;

/// So many certificates of one name are tried as issuers, besides trust anchors and those that were sent:
/// a heap of 100,000 self-signed ones of one name must not cost its square.
const NAMESAKES_MAX: usize = 64;

struct Entry<'a> {
    certificate: Certificate<'a>,
    id: Fingerprint,
    key: KeyId,
    /// What its subject is equal by.
    subject: Vec<u8>,
    anchors: AnchorSets,
}

/// CA certificates and who signed whom.
#[derive(Default)]
pub struct Graph<'a> {
    entries: Vec<Entry<'a>>,
    by_id: HashMap<Fingerprint, Node>,
    by_subject: HashMap<Vec<u8>, Vec<Node>>,
    /// Signature checks made so far, by all searches.
    checks: u64,
    edges: HashMap<(Fingerprint, KeyId), SignatureVerdict>,
}

/// How a path ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum End {
    /// An issuer of that name is known, but its key did not sign.
    BadSignature,
    /// No issuer of that name is known, or none whose algorithm can be checked.
    UnknownIssuer,
    /// The leaf signed itself and is no trust anchor.
    SelfSigned,
    /// A self-signed CA that is no trust anchor.
    PrivateRoot,
    /// A trust anchor of these sets.
    Anchor(AnchorSets),
}

/// The best path that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Path {
    /// The issuers, from the leaf's own on; without the leaf.
    pub issuers: Vec<Node>,
    /// How it ends.
    pub end: End,
    /// The first issuer on it that was not sent, unless that is the root itself.
    pub unsent: Option<Node>,
    /// Whether the search ran out of its budget, so that a better path may exist.
    pub cut_short: bool,
}

struct Search<'g> {
    sent: &'g [Node],
    client: Client,
    /// The key of the leaf: nothing above it has that key and its name.
    leaf: (KeyId, Vec<u8>),
    checks: u32,
    steps: u32,
    depth: usize,
    /// Whether paths may go on beyond `depth`.
    deeper: bool,
    cut_short: bool,
    leaf_edges: Vec<(KeyId, SignatureVerdict)>,
    best: Option<(Rank, Vec<Node>, End, Option<Node>)>,
}

/// What makes a path better: what kind of end it has, how many sets of anchors take it (so that a private
/// root never hides a public one), that it needs nothing unsent, that it lasts (so that a root that lapses
/// never hides its successor), that it is short; and the sets, so that ties do not depend on order.
type Rank = (u8, u32, bool, UnixTime, Reverse<usize>, AnchorSets);

impl<'g> Search<'g> {
    fn new(client: Client, leaf: &Certificate<'_>, sent: &'g [Node]) -> Self {
        Self {
            sent,
            client,
            leaf: (leaf.key_id(), leaf.subject().comparison_key()),
            checks: 0,
            steps: 0,
            depth: 0,
            deeper: false,
            cut_short: false,
            leaf_edges: Vec::new(),
            best: None,
        }
    }
}

impl End {
    fn rank(self) -> (u8, AnchorSets) {
        match self {
            Self::BadSignature => (0, 0),
            Self::UnknownIssuer => (1, 0),
            Self::SelfSigned => (2, 0),
            Self::PrivateRoot => (3, 0),
            Self::Anchor(sets) => (4, sets),
        }
    }
}

impl<'a> Graph<'a> {
    /// A graph with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a certificate; the same one again only adds anchor sets.
    pub fn add(&mut self, certificate: Certificate<'a>, anchors: AnchorSets) -> Node {
        let id = certificate.fingerprint();
        if let Some(&node) = self.by_id.get(&id) {
            self.entries[node.0 as usize].anchors |= anchors;
            return node;
        }
        let node = Node(self.entries.len() as u32);
        self.by_id.insert(id, node);
        let subject = certificate.subject().comparison_key();
        let namesakes = self.by_subject.entry(subject.clone()).or_default();
        if anchors != 0 || namesakes.len() < NAMESAKES_MAX {
            namesakes.push(node);
        }
        self.entries.push(Entry { certificate, id, key: certificate.key_id(), subject, anchors });
        node
    }

    /// The node of this certificate, if it was added.
    pub fn find(&self, id: &Fingerprint) -> Option<Node> {
        self.by_id.get(id).copied()
    }

    /// The certificate at a node.
    pub fn certificate(&self, node: Node) -> Certificate<'a> {
        self.entries[node.0 as usize].certificate
    }

    /// Its fingerprint.
    pub fn id(&self, node: Node) -> Fingerprint {
        self.entries[node.0 as usize].id
    }

    /// The anchor sets it belongs to; 0 for none.
    pub fn anchors(&self, node: Node) -> AnchorSets {
        self.entries[node.0 as usize].anchors
    }

    /// Adds a known certificate to more sets of anchors; one that was never added stays unknown.
    pub fn trust(&mut self, id: &Fingerprint, anchors: AnchorSets) {
        if let Some(node) = self.find(id) {
            self.entries[node.0 as usize].anchors |= anchors;
        }
    }

    /// Every certificate of the name and key of this one, itself included: whoever trusts one of them accepts what
    /// the others signed.
    pub fn kin(&self, node: Node) -> impl Iterator<Item = Node> + '_ {
        let entry = &self.entries[node.0 as usize];
        let namesakes = self.by_subject.get(&entry.subject).map(Vec::as_slice).unwrap_or_default();
        let others = namesakes
            .iter()
            .copied()
            .filter(move |n| *n != node && self.entries[n.0 as usize].key == entry.key);
        std::iter::once(node).chain(others)
    }

    /// Signature checks made so far, by all searches: what a hostile chain costs can be measured.
    pub fn checks(&self) -> u64 {
        self.checks
    }

    /// The best path from a leaf, of which `sent` came with it.
    pub fn best_path(&mut self, leaf: &Certificate<'_>, sent: &[Node]) -> Path {
        self.best_path_of(OMNISCIENT, leaf, sent)
    }

    /// The issuers that a client finds which follows what it was sent as far as that leads, and only then looks
    /// into its store: OpenSSL before 1.1.0, whose default did not yet look there first (X509_V_FLAG_TRUSTED_FIRST).
    /// Where the sent ones end at a root that has lapsed, it knows no other way. Its store is taken to have every
    /// root in the graph, and of several the one that lasts. A root that was sent is never followed: such clients
    /// take their own copy.
    pub fn as_sent(&mut self, leaf: &Certificate<'_>, sent: &[Node]) -> Vec<Node> {
        let mut search = Search::new(OMNISCIENT, leaf, sent);
        let mut path: Vec<Node> = Vec::new();
        let (mut child, mut id) = (*leaf, leaf.fingerprint());
        let deepest = DEPTHS.last().copied().unwrap_or_default();
        while path.len() + 1 < deepest {
            let (fitting, others) = self.issuers_of(&child, sent);
            let candidates: Vec<Node> = fitting.into_iter().chain(others).collect();
            let is_root = |n: &Node| self.certificate(*n).is_self_issued();
            let mut next: Vec<Node> =
                sent.iter().copied().filter(|n| candidates.contains(n) && !is_root(n)).collect();
            let mut roots: Vec<Node> = candidates.into_iter().filter(is_root).collect();
            roots.sort_by_key(|n| Reverse(self.certificate(*n).not_after()));
            next.extend(roots);
            let Some(issuer) = next.into_iter().find(|n| {
                !self.is_looping(*n, &path, &search)
                    && self.signed(&child, id, *n, &mut search) == Some(SignatureVerdict::Good)
            }) else {
                break;
            };
            path.push(issuer);
            (child, id) = (self.certificate(issuer), self.id(issuer));
            if child.is_self_issued() {
                break;
            }
        }
        path
    }

    /// The best path that a client can build from a leaf, of which `sent` came with it.
    pub fn best_path_of(&mut self, client: Client, leaf: &Certificate<'_>, sent: &[Node]) -> Path {
        let own = self.find(&leaf.fingerprint()).map_or(0, |n| self.anchors(n) & client.trusts);
        if own != 0 {
            return Path { issuers: vec![], end: End::Anchor(own), unsent: None, cut_short: false };
        }
        if leaf.is_self_issued() && is_signed_by(leaf, leaf.spki()) == SignatureVerdict::Good {
            let end = if leaf.is_ca() { End::PrivateRoot } else { End::SelfSigned };
            return Path { issuers: vec![], end, unsent: None, cut_short: false };
        }
        let mut search = Search::new(client, leaf, sent);
        let lasts = leaf.not_after().unwrap_or(UnixTime(i64::MIN));
        for &depth in DEPTHS {
            (search.depth, search.steps, search.deeper) = (depth, 0, false);
            self.step(leaf, leaf.fingerprint(), &mut Vec::new(), lasts, &mut search);
            if !search.deeper {
                break;
            }
        }
        let cut_short = search.cut_short || search.deeper;
        match search.best {
            Some((_, issuers, end, unsent)) => Path { issuers, end, unsent, cut_short },
            None => Path { issuers: vec![], end: End::UnknownIssuer, unsent: None, cut_short },
        }
    }

    /// Tries every issuer of `child`, those that were sent first. Recursion is bounded by `DEPTHS`.
    fn step(
        &mut self,
        child: &Certificate<'_>,
        id: Fingerprint,
        path: &mut Vec<Node>,
        lasts: UnixTime,
        search: &mut Search<'_>,
    ) {
        let (fitting, others) = self.issuers_of(child, search.sent);
        let mut end = End::UnknownIssuer;
        // Key identifiers are hints: when none that fits did sign, the name alone decides, so that a chain of
        // another key by the same name is seen as what it is, a bad signature.
        for mut candidates in [fitting, others] {
            let trusted = |n: &Node| self.anchors(*n) & search.client.trusts;
            candidates.retain(|n| !search.client.only_sent || search.sent.contains(n) || trusted(n) != 0);
            candidates.sort_by_key(|n| (!search.sent.contains(n), trusted(n) == 0));
            for issuer in candidates {
                search.steps += 1;
                if search.steps >= STEPS_MAX {
                    search.cut_short = true;
                    return;
                }
                if self.is_looping(issuer, path, search) {
                    continue;
                }
                if path.len() + 2 > search.depth {
                    search.deeper = true;
                    if DEPTHS.last() == Some(&search.depth) {
                        self.finish(path, End::UnknownIssuer, lasts, search);
                    }
                    return;
                }
                match self.signed(child, id, issuer, search) {
                    Some(SignatureVerdict::Good) => {}
                    Some(SignatureVerdict::Bad) => {
                        end = if end == End::UnknownIssuer { End::BadSignature } else { end };
                        continue;
                    }
                    Some(SignatureVerdict::Unsupported) | None => continue,
                }
                end = End::PrivateRoot;
                let entry = &self.entries[issuer.0 as usize];
                let (certificate, issuer_id, anchors) =
                    (entry.certificate, entry.id, entry.anchors & search.client.trusts);
                let lasts = certificate.not_after().map_or(lasts, |t| t.min(lasts));
                path.push(issuer);
                if anchors != 0 {
                    self.finish(path, End::Anchor(anchors), lasts, search);
                } else if certificate.is_self_issued() && self.is_self_signed(issuer, search) {
                    self.finish(path, End::PrivateRoot, lasts, search);
                } else {
                    self.step(&certificate, issuer_id, path, lasts, search);
                }
                path.pop();
            }
            if end == End::PrivateRoot {
                return;
            }
        }
        self.finish(path, end, lasts, search);
    }

    /// Whether this name and key are on the path already (RFC 4158 section 5.2): cross-signs of one CA are
    /// alternatives, never issuers of each other.
    fn is_looping(&self, node: Node, path: &[Node], search: &Search<'_>) -> bool {
        let new = &self.entries[node.0 as usize];
        let same = |key: &KeyId, subject: &[u8]| *key == new.key && subject == new.subject;
        let on_path = |on: &Node| {
            let entry = &self.entries[on.0 as usize];
            same(&entry.key, &entry.subject)
        };
        path.iter().any(on_path) || same(&search.leaf.0, &search.leaf.1)
    }

    fn is_self_signed(&mut self, node: Node, search: &mut Search<'_>) -> bool {
        let (certificate, id) = (self.certificate(node), self.id(node));
        self.signed(&certificate, id, node, search) == Some(SignatureVerdict::Good)
    }

    fn finish(&self, path: &[Node], end: End, lasts: UnixTime, search: &mut Search<'_>) {
        let root = match end {
            End::Anchor(_) | End::PrivateRoot => path.last().copied(),
            _ => None,
        };
        let unsent = path.iter().copied().find(|n| !search.sent.contains(n) && Some(*n) != root);
        let (kind, sets) = end.rank();
        // Of paths that lead nowhere, the longest tells most.
        let length = if kind < 3 { usize::MAX - path.len() } else { path.len() };
        let rank = (kind, sets.count_ones(), unsent.is_none(), lasts, Reverse(length), sets);
        if search.best.as_ref().is_none_or(|(best, ..)| rank > *best) {
            search.best = Some((rank, path.to_vec(), end, unsent));
        }
    }

    /// CA certificates with the name that `child` gives as its issuer: those whose key identifier fits, and
    /// those whose does not.
    fn issuers_of(&self, child: &Certificate<'_>, sent: &[Node]) -> (Vec<Node>, Vec<Node>) {
        let name = child.issuer_name().comparison_key();
        let mut named = self.by_subject.get(&name).cloned().unwrap_or_default();
        let came_along = sent.iter().filter(|n| self.entries[n.0 as usize].subject == name);
        let unlisted: Vec<_> = came_along.filter(|n| !named.contains(n)).copied().collect();
        named.extend(unlisted);
        let fits = |node: &Node| {
            let issuer = self.certificate(*node);
            let same_key = match (child.authority_key_id(), issuer.subject_key_id()) {
                (Some(wanted), Some(has)) => wanted == has,
                _ => true,
            };
            same_key && (issuer.is_ca() || self.anchors(*node) != 0 || issuer.version() < 3)
        };
        named.into_iter().partition(fits)
    }

    fn signed(
        &mut self,
        child: &Certificate<'_>,
        id: Fingerprint,
        issuer: Node,
        search: &mut Search<'_>,
    ) -> Option<SignatureVerdict> {
        let issuer = &self.entries[issuer.0 as usize];
        let edge = (id, issuer.key);
        // A leaf is judged once: only verdicts on members of the graph outlive the search.
        let member = self.by_id.contains_key(&id);
        let known = if member {
            self.edges.get(&edge).copied()
        } else {
            search.leaf_edges.iter().find(|(key, _)| *key == edge.1).map(|(_, verdict)| *verdict)
        };
        if known.is_some() {
            return known;
        }
        if search.checks >= CHECKS_MAX {
            search.cut_short = true;
            return None;
        }
        search.checks += 1;
        self.checks += 1;
        let verdict = is_signed_by(child, issuer.certificate.spki());
        if member {
            self.edges.insert(edge, verdict);
        } else {
            search.leaf_edges.push((edge.1, verdict));
        }
        Some(verdict)
    }
}

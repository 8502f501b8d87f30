//! The nouns: assets, places, and which asset is at which place.
//!
//! Filled by `engine/ingest.rs`, judged by `assess`, printed by the binary. Plain maps, no SQL: a scan
//! that keeps nothing, the server and a forecast all judge one of these. The bytes of assets lie in a
//! [`Depot`], so that a large inventory need not hold them in memory.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use notafter_pki::statement::StatementKind;

use crate::location::Location;
use crate::observation::{Facts, Link, Reason};
use crate::upkeep::Upkeep;
use crate::{Fingerprint, KeyId, UnixTime};

/// What kind of thing has a deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub enum AssetKind {
    Certificate,
    Crl,
    OcspResponse,
    SshCertificate,
    OpenpgpKey,
    Token,
    Secret,
    SignedMetadata,
    CodeSignature,
    BareKey,
    Domain,
    Manual,
    Flow,
    DnssecSignature,
    CaaPolicy,
}

impl AssetKind {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Certificate,
        Self::Crl,
        Self::OcspResponse,
        Self::SshCertificate,
        Self::OpenpgpKey,
        Self::Token,
        Self::Secret,
        Self::SignedMetadata,
        Self::CodeSignature,
        Self::BareKey,
        Self::Domain,
        Self::Manual,
        Self::Flow,
        Self::DnssecSignature,
        Self::CaaPolicy,
    ];

    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Crl => "crl",
            Self::OcspResponse => StatementKind::OcspResponse.as_str(),
            Self::SshCertificate => StatementKind::SshCertificate.as_str(),
            Self::OpenpgpKey => StatementKind::OpenpgpKey.as_str(),
            Self::Token => StatementKind::Token.as_str(),
            Self::Secret => StatementKind::Secret.as_str(),
            Self::SignedMetadata => StatementKind::SignedMetadata.as_str(),
            Self::CodeSignature => StatementKind::CodeSignature.as_str(),
            Self::BareKey => StatementKind::BareKey.as_str(),
            Self::Domain => StatementKind::Domain.as_str(),
            Self::Manual => StatementKind::Manual.as_str(),
            Self::Flow => StatementKind::Flow.as_str(),
            Self::DnssecSignature => StatementKind::DnssecSignature.as_str(),
            Self::CaaPolicy => StatementKind::CaaPolicy.as_str(),
        }
    }

    /// The kind of an asset that is kept as a statement.
    pub fn of_statement(kind: StatementKind) -> Self {
        match kind {
            StatementKind::OcspResponse => Self::OcspResponse,
            StatementKind::SshCertificate => Self::SshCertificate,
            StatementKind::OpenpgpKey => Self::OpenpgpKey,
            StatementKind::Token => Self::Token,
            StatementKind::Secret => Self::Secret,
            StatementKind::SignedMetadata => Self::SignedMetadata,
            StatementKind::CodeSignature => Self::CodeSignature,
            StatementKind::BareKey => Self::BareKey,
            StatementKind::Domain => Self::Domain,
            StatementKind::Manual => Self::Manual,
            StatementKind::Flow => Self::Flow,
            StatementKind::DnssecSignature => Self::DnssecSignature,
            StatementKind::CaaPolicy => Self::CaaPolicy,
        }
    }
}

/// What an asset does at a place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// The end of a chain: what is served, or stored to be served.
    Leaf,
    /// A CA certificate that is not self-issued.
    Intermediate,
    /// A self-issued CA certificate.
    Root,
    /// Used to sign in.
    Client,
    /// Signs something that is not a certificate (a CRL stands in this role).
    Signer,
    /// A root in a trust store: what others are checked against.
    TrustAnchor,
    /// A private key.
    Key,
    /// In a public log: it was issued, and nothing says that anybody uses it.
    Logged,
}

impl Role {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Leaf,
        Self::Intermediate,
        Self::Root,
        Self::Client,
        Self::Signer,
        Self::TrustAnchor,
        Self::Key,
        Self::Logged,
    ];

    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leaf => "leaf",
            Self::Intermediate => "intermediate",
            Self::Root => "root",
            Self::Client => "client",
            Self::Signer => "signer",
            Self::TrustAnchor => "trust-anchor",
            Self::Key => "key",
            Self::Logged => "logged",
        }
    }
}

/// Where an asset stands in its inventory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AssetIx(pub u32);

/// Something with a deadline. What it says is read from its bytes when it is asked for.
#[derive(Clone, Debug)]
pub struct Asset {
    /// SHA-256 of its DER.
    pub id: Fingerprint,
    /// What it is.
    pub kind: AssetKind,
    /// Where its bytes are.
    pub bytes: BytesAt,
    /// When it begins to be valid, if that could be read.
    pub not_before: Option<UnixTime>,
    /// When it ends: notAfter, or a CRL's nextUpdate.
    pub not_after: Option<UnixTime>,
    /// The key it is about.
    pub key: Option<KeyId>,
}

/// An asset at a place.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The asset.
    pub asset: AssetIx,
    /// The place.
    pub location: Location,
    /// What it does there.
    pub role: Role,
    /// The chain as sent or stored, leaf included; on the leaf's placement only.
    pub chain: Option<Arc<[AssetIx]>>,
    /// First seen there.
    pub first_seen: UnixTime,
    /// Last seen there.
    pub last_seen: UnixTime,
    /// Looked for since then, and not seen: unreachable, which is not gone. `None`: it was there at the last
    /// look. Only what is kept over many looks can have one.
    pub unseen_since: Option<UnixTime>,
    /// About the place.
    pub facts: Arc<Facts>,
}

impl Placement {
    /// Is this an endpoint of the machine we look from?
    pub fn is_local(&self) -> bool {
        self.facts.process.is_some() || self.location.ip().is_some_and(|ip| ip.is_loopback())
    }
}

/// A private key that was seen in a file.
#[derive(Clone, Debug)]
pub struct KeySighting {
    /// Whose key; `None` when encrypted or of an unknown kind.
    pub key: Option<KeyId>,
    /// How it is written down.
    pub format: &'static str,
    /// Is a password needed to use it?
    pub encrypted: bool,
    /// The place.
    pub location: Location,
    /// When it was seen.
    pub seen: UnixTime,
    /// About the file.
    pub facts: Arc<Facts>,
}

/// What a renewer said of one of its lineages, and when it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RenewalSighting {
    /// What it said.
    pub renewal: Upkeep,
    /// When that was read last.
    pub seen: UnixTime,
}

/// A place that could not be seen, and why. Silence is never taken for health.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlindSpot {
    /// The place.
    pub location: Location,
    /// Why.
    pub reason: Reason,
    /// What exactly came back.
    pub detail: String,
}

/// Where bytes lie in a [`Depot`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BytesAt {
    /// Offset in bytes.
    pub offset: u64,
    /// Length in bytes.
    pub length: u32,
}

/// Keeps the bytes of assets. In memory here; `engine/spool.rs` has one on disk.
pub trait Depot: Send + Sync {
    /// Keeps some bytes.
    fn put(&mut self, bytes: &[u8]) -> BytesAt;
    /// Gives them back; empty if they cannot be read any more.
    fn get(&self, at: BytesAt) -> Cow<'_, [u8]>;
}

/// A depot in memory.
#[derive(Default)]
pub struct Heap(Vec<u8>);

impl Depot for Heap {
    fn put(&mut self, bytes: &[u8]) -> BytesAt {
        let at = BytesAt { offset: self.0.len() as u64, length: bytes.len() as u32 };
        self.0.extend_from_slice(bytes);
        at
    }

    fn get(&self, at: BytesAt) -> Cow<'_, [u8]> {
        let start = at.offset as usize;
        Cow::Borrowed(self.0.get(start..start + at.length as usize).unwrap_or_default())
    }
}

/// Everything that was seen.
pub struct Inventory {
    depot: Box<dyn Depot>,
    assets: Vec<Asset>,
    by_id: HashMap<Fingerprint, AssetIx>,
    placements: Vec<Placement>,
    placed: HashMap<(AssetIx, Location), u32>,
    keys: Vec<KeySighting>,
    links: Vec<Link>,
    renewals: Vec<RenewalSighting>,
    renewed: HashMap<String, u32>,
    times: Vec<(Location, i64)>,
    blind_spots: Vec<BlindSpot>,
    blind: HashSet<(Location, Reason)>,
    lapsed: HashMap<Fingerprint, UnixTime>,
    lives: HashMap<Fingerprint, Vec<(UnixTime, UnixTime)>>,
}

impl Default for Inventory {
    fn default() -> Self {
        Self::new(Box::new(Heap::default()))
    }
}

impl Inventory {
    /// An empty inventory that keeps bytes in `depot`.
    pub fn new(depot: Box<dyn Depot>) -> Self {
        Self {
            depot,
            assets: Vec::new(),
            by_id: HashMap::new(),
            placements: Vec::new(),
            placed: HashMap::new(),
            keys: Vec::new(),
            links: Vec::new(),
            renewals: Vec::new(),
            renewed: HashMap::new(),
            times: Vec::new(),
            blind_spots: Vec::new(),
            blind: HashSet::new(),
            lapsed: HashMap::new(),
            lives: HashMap::new(),
        }
    }

    /// The asset with this identity.
    pub fn find(&self, id: &Fingerprint) -> Option<AssetIx> {
        self.by_id.get(id).copied()
    }

    /// Adds an asset that [`Self::find`] did not know.
    pub fn add(&mut self, asset: Asset) -> AssetIx {
        let ix = AssetIx(self.assets.len() as u32);
        self.by_id.insert(asset.id, ix);
        self.assets.push(asset);
        ix
    }

    /// Keeps the bytes of an asset that is about to be added.
    pub fn keep(&mut self, bytes: &[u8]) -> BytesAt {
        self.depot.put(bytes)
    }

    /// Records that an asset is at a place; seeing it again only moves `last_seen`.
    pub fn place(&mut self, placement: Placement) {
        let key = (placement.asset, placement.location.clone());
        match self.placed.get(&key) {
            Some(&at) => {
                let known = &mut self.placements[at as usize];
                known.last_seen = known.last_seen.max(placement.last_seen);
                // What only a zone led to is less than what was looked at for its own sake.
                if known.facts.hinted || !placement.facts.hinted {
                    known.facts = placement.facts;
                }
                if known.chain.is_none() {
                    known.chain = placement.chain;
                    known.role = placement.role.min(known.role);
                }
            }
            None => {
                self.placed.insert(key, self.placements.len() as u32);
                self.placements.push(placement);
            }
        }
    }

    /// Changes roles after the fact, once a whole folder of roots is known to be one.
    pub fn reassign(&mut self, mut role: impl FnMut(&Placement) -> Role) {
        for placement in &mut self.placements {
            placement.role = role(placement);
        }
    }

    /// Records a private key.
    pub fn add_key(&mut self, key: KeySighting) {
        self.keys.push(key);
    }

    /// Records a link.
    pub fn add_link(&mut self, link: Link) {
        self.links.push(link);
    }

    /// Records what a renewer says of a lineage; what was said later counts.
    pub fn add_renewal(&mut self, sighting: RenewalSighting) {
        match self.renewed.get(&sighting.renewal.key()) {
            Some(&at) => {
                let known = &mut self.renewals[at as usize];
                if sighting.seen >= known.seen {
                    *known = sighting;
                }
            }
            None => {
                self.renewed.insert(sighting.renewal.key(), self.renewals.len() as u32);
                self.renewals.push(sighting);
            }
        }
    }

    /// Records by how many seconds our clock is ahead of a server's.
    pub fn add_time(&mut self, location: Location, ahead: i64) {
        self.times.push((location, ahead));
    }

    /// By how many seconds our clock is ahead of those of servers that were asked.
    pub fn times(&self) -> &[(Location, i64)] {
        &self.times
    }

    /// Records what could not be seen; the same place and reason once.
    pub fn add_blind_spot(&mut self, spot: BlindSpot) {
        if self.blind.insert((spot.location.clone(), spot.reason)) {
            self.blind_spots.push(spot);
        }
    }

    /// The asset at this index.
    pub fn asset(&self, ix: AssetIx) -> &Asset {
        &self.assets[ix.0 as usize]
    }

    /// The bytes of an asset.
    pub fn bytes(&self, ix: AssetIx) -> Cow<'_, [u8]> {
        self.depot.get(self.asset(ix).bytes)
    }

    /// All assets, in the order they were first seen.
    pub fn assets(&self) -> impl ExactSizeIterator<Item = (AssetIx, &Asset)> {
        self.assets.iter().enumerate().map(|(i, a)| (AssetIx(i as u32), a))
    }

    /// All placements, in the order they were first seen.
    pub fn placements(&self) -> &[Placement] {
        &self.placements
    }

    /// All private keys seen.
    pub fn keys(&self) -> &[KeySighting] {
        &self.keys
    }

    /// All links.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Records that another one of this one's line or names ended while it was in use.
    pub fn set_lapsed(&mut self, id: Fingerprint, at: UnixTime) {
        self.lapsed.insert(id, at);
    }

    /// When another one of this one's line or names ended while it was in use, as far as it is remembered.
    pub fn lapsed(&self, id: &Fingerprint) -> Option<UnixTime> {
        self.lapsed.get(id).copied()
    }

    /// Records from when until when those of this one's line lived, itself included, as far as it is remembered.
    pub fn set_lives(&mut self, id: Fingerprint, lives: Vec<(UnixTime, UnixTime)>) {
        self.lives.insert(id, lives);
    }

    /// From when until when those of this one's line lived; empty where nothing is remembered.
    pub fn lives(&self, id: &Fingerprint) -> &[(UnixTime, UnixTime)] {
        self.lives.get(id).map(Vec::as_slice).unwrap_or_default()
    }

    /// What renewers say.
    pub fn renewals(&self) -> &[RenewalSighting] {
        &self.renewals
    }

    /// All that could not be seen.
    pub fn blind_spots(&self) -> &[BlindSpot] {
        &self.blind_spots
    }
}

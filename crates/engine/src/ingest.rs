//! Observations in, assets and placements out.
//!
//! The one place where bytes become inventory. Identical bytes are parsed once, however often they are
//! seen; what cannot be parsed is kept all the same. Nothing is judged here.

use std::sync::{Arc, Mutex, MutexGuard};

use notafter_core::inventory::{
    Asset, AssetIx, AssetKind, BlindSpot, Inventory, KeySighting, Placement, Role,
};
use notafter_core::joints::Sink;
use notafter_core::location::Location;
use notafter_core::observation::{Facts, Observation, Seen};
use notafter_core::{Fingerprint, KeyId, UnixTime};
use notafter_pki::GeneralName;
use notafter_pki::certificate::Certificate;
use notafter_pki::crl::Crl;
use notafter_pki::salvage::salvage;
use notafter_pki::statement::Statement;

/// Told of everything as it is taken in: what prints a stream.
pub trait Tap: Send {
    /// An asset was seen at a place; `bytes` are the asset's own.
    fn placed(&mut self, asset: &Asset, bytes: &[u8], placement: &Placement, chain: &[Fingerprint]);
    /// A private key was seen.
    fn key(&mut self, key: &KeySighting);
    /// A place could not be seen.
    fn blind(&mut self, spot: &BlindSpot);
}

/// Takes observations into an inventory.
pub struct Ingest {
    state: Mutex<State>,
}

struct State {
    inventory: Inventory,
    tap: Option<Box<dyn Tap>>,
    keep: bool,
}

impl Ingest {
    /// Fills `inventory`; `tap` is told of everything. Without `keep` nothing stays in memory: the tap
    /// is then all there is.
    pub fn new(inventory: Inventory, tap: Option<Box<dyn Tap>>, keep: bool) -> Self {
        Self { state: Mutex::new(State { inventory, tap, keep }) }
    }

    /// What came in so far, taken out.
    pub fn take(&self) -> Inventory {
        std::mem::take(&mut self.lock().inventory)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while ingesting one observation must not lose the others.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Sink for Ingest {
    fn put(&self, observation: Observation) {
        let Observation { at, location, seen } = observation;
        // Hashing and parsing come before the lock: they are most of the work.
        match seen {
            Seen::Chain { chain, role, leads, facts } => {
                let read: Vec<_> = chain.into_iter().map(Read::certificate).collect();
                self.lock().chain(at, &location, &read, role, leads, facts);
            }
            Seen::Dated { kind, der, facts } => {
                let read = match kind {
                    AssetKind::Crl => Read::crl(der),
                    AssetKind::Certificate => Read::certificate(der),
                    kind => Read::statement(kind, der),
                };
                self.lock().chain(at, &location, &[read], Some(Role::Signer), true, facts);
            }
            Seen::Key { key, format, encrypted, facts } => {
                let facts = Arc::new(facts);
                self.lock().key(KeySighting { key, format, encrypted, location, seen: at, facts });
            }
            Seen::Failed { reason, detail } => self.lock().blind(BlindSpot { location, reason, detail }),
            Seen::Time { ahead } => self.lock().inventory.add_time(location, ahead),
            Seen::Linked(link) => {
                let mut state = self.lock();
                if state.keep {
                    state.inventory.add_link(link);
                }
            }
        }
    }
}

/// An asset's bytes with what the inventory keeps of them.
struct Read {
    bytes: Arc<[u8]>,
    id: Fingerprint,
    kind: AssetKind,
    not_before: Option<UnixTime>,
    not_after: Option<UnixTime>,
    key: Option<KeyId>,
    is_ca: bool,
    self_issued: bool,
}

impl Read {
    fn certificate(bytes: Arc<[u8]>) -> Self {
        let id = Fingerprint::of(&bytes);
        let kind = AssetKind::Certificate;
        match Certificate::parse(&bytes) {
            Ok(c) => {
                let (not_before, not_after) = (c.not_before(), c.not_after());
                let (key, self_issued) = (Some(c.key_id()), c.is_self_issued());
                // `openssl req -x509` calls every self-signed server certificate a CA; one that is for
                // servers by its names is no root.
                let is_ca = c.is_ca() && !(self_issued && names_servers(&c));
                Self { id, kind, not_before, not_after, key, is_ca, self_issued, bytes }
            }
            Err(_) => {
                let saved = salvage(&bytes);
                let (not_before, not_after) = (saved.not_before, saved.not_after);
                Self { id, kind, not_before, not_after, key: None, is_ca: false, self_issued: false, bytes }
            }
        }
    }

    fn crl(bytes: Arc<[u8]>) -> Self {
        let id = Fingerprint::of(&bytes);
        let (not_before, not_after) =
            Crl::parse(&bytes).map_or((None, None), |c| (c.this_update(), c.next_update()));
        Self {
            id,
            kind: AssetKind::Crl,
            not_before,
            not_after,
            key: None,
            is_ca: false,
            self_issued: false,
            bytes,
        }
    }

    fn statement(kind: AssetKind, bytes: Arc<[u8]>) -> Self {
        let id = Fingerprint::of(&bytes);
        let (not_before, not_after) =
            Statement::parse(&bytes).map_or((None, None), |s| (s.not_before(), s.not_after()));
        Self { id, kind, not_before, not_after, key: None, is_ca: false, self_issued: false, bytes }
    }

    fn asset(&self, bytes: notafter_core::inventory::BytesAt) -> Asset {
        let (not_before, not_after) = (self.not_before, self.not_after);
        Asset { id: self.id, kind: self.kind, bytes, not_before, not_after, key: self.key }
    }

    /// What it is there for, as far as it says so itself.
    fn own_role(&self) -> Role {
        match (self.is_ca, self.self_issued) {
            (false, _) => Role::Leaf,
            (true, false) => Role::Intermediate,
            (true, true) => Role::Root,
        }
    }
}

fn names_servers(certificate: &Certificate<'_>) -> bool {
    certificate.subject_alt_names().any(|n| matches!(n, GeneralName::Dns(_) | GeneralName::Ip(_)))
}

impl State {
    fn chain(
        &mut self,
        at: UnixTime,
        location: &Location,
        read: &[Read],
        role: Option<Role>,
        leads: bool,
        facts: Facts,
    ) {
        let facts = Arc::new(facts);
        let endpoint = location.is_endpoint();
        let here = if endpoint { read } else { &read[..read.len().min(1)] };
        let ixs: Vec<AssetIx> =
            if self.keep { read.iter().map(|r| self.asset(r)).collect() } else { Vec::new() };
        for (n, one) in here.iter().enumerate() {
            // A server's first certificate is its leaf, even if it says that it is a CA.
            let own = if endpoint && n == 0 { Role::Leaf } else { one.own_role() };
            let role = role.filter(|_| n == 0).unwrap_or(own);
            let placement = Placement {
                asset: ixs.get(n).copied().unwrap_or(AssetIx(0)),
                location: location.clone(),
                role,
                chain: (n == 0 && leads).then(|| ixs.clone().into()),
                first_seen: at,
                last_seen: at,
                unseen_since: None,
                facts: Arc::clone(&facts),
            };
            if let Some(tap) = &mut self.tap {
                let bytes = notafter_core::inventory::BytesAt { offset: 0, length: one.bytes.len() as u32 };
                let chain: Vec<_> =
                    if n == 0 && leads { read.iter().map(|r| r.id).collect() } else { Vec::new() };
                tap.placed(&one.asset(bytes), &one.bytes, &placement, &chain);
            }
            if self.keep {
                self.inventory.place(placement);
            }
        }
    }

    fn asset(&mut self, read: &Read) -> AssetIx {
        if let Some(ix) = self.inventory.find(&read.id) {
            return ix;
        }
        let at = self.inventory.keep(&read.bytes);
        self.inventory.add(read.asset(at))
    }

    fn key(&mut self, key: KeySighting) {
        if let Some(tap) = &mut self.tap {
            tap.key(&key);
        }
        if self.keep {
            self.inventory.add_key(key);
        }
    }

    fn blind(&mut self, spot: BlindSpot) {
        if let Some(tap) = &mut self.tap {
            tap.blind(&spot);
        }
        if self.keep {
            self.inventory.add_blind_spot(spot);
        }
    }
}

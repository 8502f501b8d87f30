//! What the tests of the store are made of: authorities, leaves, batches of sightings, in few words.

use std::sync::Arc;

use notafter_core::inventory::{
    Asset, AssetIx, AssetKind, BlindSpot, Inventory, KeySighting, Placement, Role,
};
use notafter_core::location::Location;
use notafter_core::observation::{Facts, Link, LinkKind, Possession, Reason};
use notafter_core::scan::Scan;
use notafter_core::{Fingerprint, UnixTime};
use notafter_pki::Certificate;
use notafter_pki::statement::{Statement, StatementKind};
use notafter_store::observations::{Changed, Outcome, Run};
use notafter_store::{Store, judge::Judged};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};

pub(crate) const DAY: i64 = 86_400;
/// 2026-11-01.
pub(crate) const NOW: UnixTime = UnixTime(1_793_491_200);

pub(crate) fn at(text: &str) -> Location {
    Location::parse(text).unwrap_or_else(|| panic!("{text}"))
}

/// A CA with its key.
pub(crate) struct Authority {
    pub(crate) der: Arc<[u8]>,
    issuer: rcgen::Issuer<'static, KeyPair>,
}

fn params(names: &[&str], common: &str, days: i64) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
    let begin = rcgen::date_time_ymd(2026, 10, 1);
    params.not_before = begin;
    params.not_after = begin + std::time::Duration::from_secs((days * DAY) as u64);
    params
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(&[], name, 3650);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = params.self_signed(&key).unwrap().der().to_vec().into();
        Self { der, issuer: rcgen::Issuer::new(params, key) }
    }

    pub(crate) fn leaf(&self, names: &[&str], days: i64) -> Arc<[u8]> {
        let key = KeyPair::generate().unwrap();
        let common = names.first().copied().unwrap_or("nobody");
        params(names, common, days).signed_by(&key, &self.issuer).unwrap().der().to_vec().into()
    }

    /// With a key of another algorithm.
    pub(crate) fn other_leaf(&self, names: &[&str], days: i64) -> Arc<[u8]> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        params(names, names[0], days).signed_by(&key, &self.issuer).unwrap().der().to_vec().into()
    }
}

pub(crate) fn id(der: &[u8]) -> Fingerprint {
    Fingerprint::of(der)
}

/// A batch under construction.
pub(crate) struct Batch {
    pub(crate) inventory: Inventory,
    pub(crate) now: UnixTime,
}

impl Batch {
    pub(crate) fn new(now: UnixTime) -> Self {
        Self { inventory: Inventory::default(), now }
    }

    fn asset(&mut self, der: &[u8]) -> AssetIx {
        if let Some(ix) = self.inventory.find(&id(der)) {
            return ix;
        }
        let bytes = self.inventory.keep(der);
        let read = Certificate::parse(der).ok();
        let (kind, not_before, not_after, key) = match &read {
            Some(c) => (AssetKind::Certificate, c.not_before(), c.not_after(), Some(c.key_id())),
            None => (AssetKind::Certificate, None, None, None),
        };
        self.inventory.add(Asset { id: id(der), kind, bytes, not_before, not_after, key })
    }

    fn put(&mut self, asset: AssetIx, place: &str, role: Role, chain: Option<Arc<[AssetIx]>>, facts: Facts) {
        self.inventory.place(Placement {
            asset,
            location: at(place),
            role,
            chain,
            first_seen: self.now,
            last_seen: self.now,
            unseen_since: None,
            facts: Arc::new(facts),
        });
    }

    /// A chain at an endpoint, or one certificate in a file.
    pub(crate) fn saw(mut self, place: &str, chain: &[&Arc<[u8]>]) -> Self {
        let ixs: Vec<AssetIx> = chain.iter().map(|der| self.asset(der)).collect();
        let endpoint = at(place).is_endpoint();
        let facts = Facts {
            protocol: endpoint.then(|| "tls".into()),
            tls_version: endpoint.then_some(0x0304),
            possession: endpoint.then_some(Possession::Verified),
            ..Facts::default()
        };
        for (n, ix) in ixs.iter().enumerate() {
            if n > 0 && !endpoint {
                break;
            }
            let role = if n == 0 { Role::Leaf } else { Role::Intermediate };
            self.put(*ix, place, role, (n == 0).then(|| ixs.clone().into()), facts.clone());
        }
        self
    }

    pub(crate) fn root(mut self, place: &str, der: &Arc<[u8]>) -> Self {
        let ix = self.asset(der);
        self.put(ix, place, Role::Root, Some([ix].into()), Facts::default());
        self
    }

    /// The CAA records of a name, in a copy of a zone.
    pub(crate) fn caa(mut self, place: &str, owner: &str, issue: &str) -> Self {
        let title = format!("the CAA records of {owner}");
        let stated =
            Statement::new(StatementKind::CaaPolicy, title).name(owner).fact("issue", issue).to_bytes();
        let bytes = self.inventory.keep(&stated);
        let kind = AssetKind::CaaPolicy;
        let asset = Asset { id: id(&stated), kind, bytes, not_before: None, not_after: None, key: None };
        let ix = self.inventory.add(asset);
        self.put(ix, place, Role::Signer, Some([ix].into()), Facts::default());
        self
    }

    pub(crate) fn blind(mut self, place: &str, reason: Reason) -> Self {
        self.inventory.add_blind_spot(BlindSpot { location: at(place), reason, detail: "it says no".into() });
        self
    }

    pub(crate) fn key(mut self, place: &str, der: &Arc<[u8]>) -> Self {
        let key = Certificate::parse(der).ok().map(|c| c.key_id());
        let (location, facts) = (at(place), Arc::new(Facts::default()));
        let seen = self.now;
        self.inventory.add_key(KeySighting {
            key,
            format: "PKCS#8",
            encrypted: false,
            location,
            seen,
            facts,
        });
        self
    }

    pub(crate) fn link(mut self, from: &str, to: &str) -> Self {
        let link =
            Link { kind: LinkKind::Serves, from: at(from), to: at(to), evidence: "nginx.conf:3".into() };
        self.inventory.add_link(link);
        self
    }

    /// Into the store, in a run that goes on.
    pub(crate) fn into(self, store: &Store, run: &mut Run) -> Changed {
        store.record(run, &self.inventory).unwrap()
    }

    /// Into the store, as a whole complete run of a source.
    pub(crate) fn whole(self, store: &Store, source: &str) -> (Changed, Changed) {
        let now = self.now;
        let mut run = store.begin(source, "here", now).unwrap();
        let recorded = self.into(store, &mut run);
        let finished = store.finish(run, &complete(), UnixTime(now.0 + 1)).unwrap();
        (recorded, finished)
    }
}

pub(crate) fn complete() -> Outcome {
    Outcome { scan: Scan::default(), complete: true, fault: None, next: None }
}

/// Judges everything due as fine, and says what it was.
pub(crate) fn judge_all(store: &Store, now: UnixTime) -> Vec<String> {
    let mut subjects = Vec::new();
    loop {
        let due = store.due(now, 50).unwrap();
        if due.is_empty() {
            return subjects;
        }
        subjects.extend(due.iter().map(|d| d.subject.to_string()));
        let part = store.load(due, now).unwrap();
        let judged: Vec<Judged> = part
            .due
            .into_iter()
            .map(|due| Judged {
                due,
                findings: Vec::new(),
                holds_until: None,
                owner: None,
                roles: Vec::new(),
            })
            .collect();
        store.judged(&judged, now).unwrap();
    }
}

//! Gathers a dossier for every subject, has each judged, and puts the findings in order.
//!
//! All that joins several assets happens here, once: paths to roots, keys beside certificates, the
//! addresses of one name, newer files. Rules get the result and never query. No rule is known here.

mod anchors;
mod beside;
mod paths;
mod stores;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use notafter_core::UnixTime;
use notafter_core::assess::assess;
use notafter_core::census::{self, Member};
use notafter_core::document;
use notafter_core::dossier::{
    AssetView, ChainView, ClockView, Dependent, Dossier, KeyBeside, NameView, Subject, Successor,
};
use notafter_core::finding::Finding;
use notafter_core::inventory::{Asset, AssetIx, AssetKind, Inventory, Placement, Role};
use notafter_core::location::Location;
use notafter_core::observation::LinkKind;
use notafter_core::owner::{Owner, owner_of};
use notafter_core::subject::SubjectKey;
use notafter_core::{Fingerprint, KeyId};
use notafter_pki::Crl;
use notafter_pki::certificate::Certificate;
use notafter_pki::statement::{Statement, StatementKind};

use crate::pipeline::Judgment;
use paths::{Paths, ServedPath};

/// Judges everything in an inventory at one instant: findings, worst first, each cause once.
pub fn assess_all(inventory: &mut Inventory, judgment: &Judgment) -> Vec<Finding> {
    stores::recognise(inventory, &judgment.trust);
    let gathered = Gathered::new(inventory, judgment);
    let mut findings = Findings::default();
    let mut ending = Vec::new();
    gathered.each_dossier(judgment, None, |dossier, names| {
        ending.extend(member(&dossier, judgment.at));
        for mut finding in assess(&dossier, judgment.at).findings {
            finding.owner = owner_of(&judgment.owners, names, &finding.locations).map(|o| o.name.clone());
            finding.summary = finding.summary_at(judgment.at);
            findings.add(finding);
        }
    });
    for (owner, crowd) in census::of_members(ending, &judgment.policy) {
        let subject = Subject::Crowd(crowd.view(owner.as_deref()));
        let dossier = Dossier { subject, policy: &judgment.policy, owner: None };
        for mut finding in assess(&dossier, judgment.at).findings {
            finding.owner = owner.clone().or_else(|| default_owner(judgment));
            finding.summary = finding.summary_at(judgment.at);
            findings.add(finding);
        }
    }
    if !gathered.inventory.times().is_empty() {
        let peers = gathered.inventory.times();
        let clock = ClockView { peers, jumped: 0, at: judgment.at, held_until: judgment.at };
        let dossier = Dossier { subject: Subject::Clock(clock), policy: &judgment.policy, owner: None };
        for mut finding in assess(&dossier, judgment.at).findings {
            finding.owner = default_owner(judgment);
            findings.add(finding);
        }
    }
    findings.in_order()
}

/// Who answers for what nobody answers for.
fn default_owner(judgment: &Judgment) -> Option<String> {
    judgment.owners.iter().find(|o| o.default).map(|o| o.name.clone())
}

/// What counts in a census: a certificate that somebody here has to renew, and that no later one stands for.
fn member(dossier: &Dossier<'_>, now: UnixTime) -> Option<(Option<String>, Member)> {
    let (view, _) = dossier.certificate()?;
    let (begins, ends) = (view.asset.not_before?, view.asset.not_after?);
    let counts = view.is_ours_to_renew() && view.superseded_by.is_none() && !view.is_only_published();
    let near = ends >= now && ends.0 - now.0 <= census::HORIZON;
    let location = view.locations().next()?.clone();
    let owner = dossier.owner.map(|o| o.name.clone());
    (counts && near).then_some((owner, Member { asset: view.asset.id, begins, ends, location }))
}

/// What was judged of one subject. Empty findings are an answer too: nothing is wrong, any more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdicts {
    /// What is wrong, each cause once; summaries still hold [`notafter_core::finding::WHEN`].
    pub findings: Vec<Finding>,
    /// When time alone can change that.
    pub holds_until: Option<UnixTime>,
    /// Who answers for it, for an asset.
    pub owner: Option<String>,
}

/// Judges some subjects of a part of an inventory, in which everything that a judge must see beside them
/// is loaded too. Every subject gets an answer, also one that is no longer there. Roles that the
/// surroundings decide are changed in the inventory. `hands`: whom a person named for an asset.
pub fn assess_part(
    inventory: &mut Inventory,
    judgment: &Judgment,
    subjects: &BTreeSet<SubjectKey>,
    hands: &HashMap<Fingerprint, String>,
) -> BTreeMap<SubjectKey, Verdicts> {
    stores::recognise(inventory, &judgment.trust);
    let gathered = Gathered::new(inventory, judgment);
    let mut out: BTreeMap<SubjectKey, Verdicts> =
        subjects.iter().map(|s| (s.clone(), Verdicts::default())).collect();
    gathered.each_dossier(judgment, Some(subjects), |dossier, names| {
        let Some(verdicts) = key_of(&dossier).and_then(|key| out.get_mut(&key)) else { return };
        verdicts.owner = dossier.owner.map(|o| o.name.clone()).or(verdicts.owner.take());
        let key = key_of(&dossier);
        let named = key.and_then(|key| match key {
            SubjectKey::Asset(id) => hands.get(&id),
            _ => None,
        });
        let by_hand = named.map(|name| Owner {
            name: name.clone(),
            matches: Vec::new(),
            // Whom somebody named answers for it, the owner of last resort too.
            default: false,
            needs_days: judgment.owners.iter().find(|o| o.name == *name).and_then(|o| o.needs_days),
        });
        let dossier = Dossier { owner: by_hand.as_ref().or(dossier.owner), ..dossier };
        let assessment = assess(&dossier, judgment.at);
        verdicts.holds_until = earlier(verdicts.holds_until, assessment.holds_until);
        for mut finding in assessment.findings {
            finding.owner = owner_of(&judgment.owners, names, &finding.locations).map(|o| o.name.clone());
            verdicts.findings.push(finding);
        }
    });
    out
}

/// What is no certificate, as a statement.
fn statement(kind: AssetKind, bytes: &[u8]) -> Option<Statement> {
    match kind {
        AssetKind::Certificate => None,
        AssetKind::Crl => {
            let crl = Crl::parse(bytes).ok()?;
            let issuer = crl.issuer_name();
            let name = issuer.common_name().unwrap_or_else(|| issuer.to_rfc4514());
            let title = format!("the revocation list of {}", notafter_pki::name::printable(&name));
            Some(
                Statement::new(StatementKind::SignedMetadata, title)
                    .dated(crl.this_update(), crl.next_update()),
            )
        }
        _ => Statement::parse(bytes),
    }
}

fn earlier(a: Option<UnixTime>, b: Option<UnixTime>) -> Option<UnixTime> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The key of what a dossier is about.
fn key_of(dossier: &Dossier<'_>) -> Option<SubjectKey> {
    Some(match &dossier.subject {
        Subject::Asset(view) => SubjectKey::Asset(view.asset.id),
        Subject::Name(view) => {
            SubjectKey::Name { scheme: view.scheme.to_owned(), port: view.port, name: view.name.to_owned() }
        }
        Subject::Key(key) => SubjectKey::Key(key.location.clone()),
        Subject::Blind(spot) => SubjectKey::Blind(spot.location.clone()),
        Subject::Crowd(view) => SubjectKey::Crowd(view.owner.map(str::to_owned)),
        Subject::Source(_) | Subject::Owner(_) | Subject::Clock(_) => return None,
    })
}

/// Findings by id: the same cause found twice is one finding in more places.
#[derive(Default)]
struct Findings(BTreeMap<String, Finding>);

impl Findings {
    fn add(&mut self, finding: Finding) {
        match self.0.entry(finding.id()) {
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(finding);
            }
            std::collections::btree_map::Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.severity = known.severity.min(finding.severity);
                known.locations.extend(finding.locations);
            }
        }
    }

    fn in_order(self) -> Vec<Finding> {
        let mut list: Vec<_> = self.0.into_values().collect();
        for finding in &mut list {
            finding.locations.sort_unstable();
            finding.locations.dedup();
        }
        let last = UnixTime(i64::MAX);
        list.sort_by(|a, b| {
            let key = |f: &Finding| (f.severity, f.deadline.unwrap_or(last), f.kind);
            key(a).cmp(&key(b)).then_with(|| a.summary.cmp(&b.summary))
        });
        list
    }
}

/// Indexes over an inventory, made once for a pass of judgment.
struct Gathered<'i> {
    inventory: &'i Inventory,
    /// Placements of each asset, by asset.
    places: Vec<Vec<u32>>,
    paths: HashMap<AssetIx, Vec<ServedPath>>,
    outlived: HashMap<Fingerprint, Vec<(AssetIx, UnixTime)>>,
    anchors: anchors::Index<'i>,
    beside: beside::Index<'i>,
    keys: HashSet<KeyId>,
    /// Leaf certificates by their names, where something of these names is served and something lies in a file.
    named: HashMap<String, Named>,
}

/// Leaf certificates of the same names.
#[derive(Default)]
struct Named {
    /// In files, with their placements.
    files: Vec<(AssetIx, u32)>,
    /// At endpoints.
    served: Vec<AssetIx>,
    /// Is one of the endpoints on this machine?
    served_here: bool,
}

impl<'i> Gathered<'i> {
    fn new(inventory: &'i Inventory, judgment: &Judgment) -> Self {
        let mut places = vec![Vec::new(); inventory.assets().len()];
        for (n, placement) in inventory.placements().iter().enumerate() {
            places[placement.asset.0 as usize].push(n as u32);
        }
        let found = Paths::build(inventory, &judgment.trust, &places, judgment.at);
        let mut out = Self {
            inventory,
            places,
            paths: found.served,
            outlived: found.outlived,
            anchors: anchors::Index::new(inventory, found.standings),
            beside: beside::Index::new(inventory),
            keys: inventory.keys().iter().filter_map(|k| k.key).collect(),
            named: HashMap::new(),
        };
        out.named = out.by_names();
        out
    }

    fn placement(&self, n: u32) -> &'i Placement {
        &self.inventory.placements()[n as usize]
    }

    /// Only names that are both served and in a file matter: a map of every file would cost memory for nothing.
    fn by_names(&self) -> HashMap<String, Named> {
        let mut out: HashMap<String, Named> = HashMap::new();
        for (n, placement) in self.inventory.placements().iter().enumerate() {
            if placement.role != Role::Leaf {
                continue;
            }
            let bytes = self.inventory.bytes(placement.asset);
            let Ok(certificate) = Certificate::parse(&bytes) else { continue };
            let Some(key) = document::names_key(&certificate) else { continue };
            let entry = out.entry(key).or_default();
            entry.served_here |= is_local(placement);
            if placement.location.is_file() {
                entry.files.push((placement.asset, n as u32));
            } else if entry.served.last() != Some(&placement.asset) {
                entry.served.push(placement.asset);
            }
        }
        out.retain(|_, named| !named.served.is_empty() && !named.files.is_empty());
        out
    }

    /// Hands out the dossier of every subject, or of those that are `wanted`.
    fn each_dossier(
        &self,
        judgment: &Judgment,
        wanted: Option<&BTreeSet<SubjectKey>>,
        mut judge: impl FnMut(Dossier<'_>, &[String]),
    ) {
        let policy = &judgment.policy;
        let wants = |key: &dyn Fn() -> SubjectKey| wanted.is_none_or(|w| w.contains(&key()));
        for (ix, asset) in self.inventory.assets() {
            if !wants(&|| SubjectKey::Asset(asset.id)) {
                continue;
            }
            let bytes = self.inventory.bytes(ix);
            let certificate =
                (asset.kind == AssetKind::Certificate).then(|| Certificate::parse(&bytes).ok()).flatten();
            let statement = statement(asset.kind, &bytes);
            let names = match (&certificate, &statement) {
                (Some(certificate), _) => document::names(certificate).dns_and_ip,
                (None, Some(statement)) => statement.names().to_vec(),
                (None, None) => Vec::new(),
            };
            // Chains are parsed here, so that the views can borrow them.
            let chains = self.chains_of(ix);
            let view = AssetView { statement, ..self.view(ix, asset, certificate, &chains, judgment) };
            let locations: Vec<_> = view.locations().cloned().collect();
            let owner = owner_of(&judgment.owners, &names, &locations);
            judge(Dossier { subject: Subject::Asset(view), policy, owner }, &names);
        }
        for view in self.names() {
            let names = [view.name.to_owned()];
            judge(Dossier { subject: Subject::Name(view), policy, owner: None }, &names);
        }
        for key in self.inventory.keys() {
            if !wants(&|| SubjectKey::Key(key.location.clone())) {
                continue;
            }
            judge(Dossier { subject: Subject::Key(key), policy, owner: None }, &[]);
        }
        for spot in self.inventory.blind_spots() {
            if !wants(&|| SubjectKey::Blind(spot.location.clone())) {
                continue;
            }
            judge(Dossier { subject: Subject::Blind(spot), policy, owner: None }, &[]);
        }
    }

    /// The bytes of each distinct chain that this asset leads, in the order of its paths.
    fn chains_of(&self, ix: AssetIx) -> Vec<Vec<std::borrow::Cow<'i, [u8]>>> {
        let paths = self.paths.get(&ix).map(Vec::as_slice).unwrap_or_default();
        paths.iter().map(|p| p.chain.iter().map(|member| self.inventory.bytes(*member)).collect()).collect()
    }

    fn view<'a>(
        &'a self,
        ix: AssetIx,
        asset: &'a Asset,
        certificate: Option<Certificate<'a>>,
        chains: &'a [Vec<std::borrow::Cow<'i, [u8]>>],
        judgment: &Judgment,
    ) -> AssetView<'a> {
        let places: Vec<&Placement> = self.places[ix.0 as usize].iter().map(|n| self.placement(*n)).collect();
        let paths = self.paths.get(&ix).map(Vec::as_slice).unwrap_or_default();
        let chains = paths
            .iter()
            .zip(chains)
            .map(|(path, bytes)| ChainView {
                places: path.places.iter().map(|n| self.placement(*n)).collect(),
                sent: bytes.iter().filter_map(|b| Certificate::parse(b).ok()).collect(),
                path: path.view.clone(),
            })
            .collect();
        let keys_beside = places
            .iter()
            .filter(|p| p.location.is_file() && p.chain.is_some() && p.role != Role::TrustAnchor)
            .flat_map(|p| {
                self.beside.keys_of(p, asset).into_iter().map(|(key, because)| KeyBeside {
                    key,
                    place: p,
                    because,
                })
            })
            .collect();
        AssetView {
            asset,
            certificate,
            statement: None,
            chains,
            outlived_by: self.dependents(asset),
            anchor: self.anchors.view(self.inventory, asset, &places, |leaf| self.dependent(leaf)),
            keys_beside,
            key_seen: asset.key.is_some_and(|k| self.keys.contains(&k)),
            successors: certificate.map(|c| self.successors(asset, &c, &places)).unwrap_or_default(),
            superseded_by: certificate.and_then(|c| self.superseded_by(asset, &c, judgment.at)),
            places,
        }
    }

    fn dependents(&self, asset: &Asset) -> Vec<Dependent<'i>> {
        let leaves = self.outlived.get(&asset.id).map(Vec::as_slice).unwrap_or_default();
        let served = |(ix, _): &(AssetIx, UnixTime)| {
            let mut dependent = self.dependent(*ix);
            dependent.locations.retain(|location| location.is_endpoint());
            dependent
        };
        leaves.iter().map(served).collect()
    }

    /// A leaf as what depends on a CA, with its places as such.
    fn dependent(&self, ix: AssetIx) -> Dependent<'i> {
        let asset = self.inventory.asset(ix);
        let places = self.places[ix.0 as usize].iter().map(|n| self.placement(*n));
        let locations = places.filter(|p| p.role == Role::Leaf || p.location.is_file()).map(|p| &p.location);
        Dependent {
            leaf: asset.id,
            not_after: asset.not_after.unwrap_or(UnixTime(0)),
            locations: locations.collect(),
        }
    }

    /// Later certificates for the same names in files of this host. Without a link, only when what is
    /// served lies in no file that was seen: else that file is the one it came from.
    fn successors<'a>(
        &'a self,
        asset: &Asset,
        certificate: &Certificate<'_>,
        places: &[&'a Placement],
    ) -> Vec<Successor<'a>> {
        let served: Vec<_> = places.iter().filter(|p| p.role == Role::Leaf && is_local(p)).collect();
        let Some(key) = document::names_key(certificate).filter(|_| !served.is_empty()) else {
            return Vec::new();
        };
        let lies_in_a_file = places.iter().any(|p| p.location.is_file());
        let named = self.named.get(&key).filter(|n| n.served_here);
        let later = named.into_iter().flat_map(|n| &n.files).filter(|(ix, _)| {
            let other = self.inventory.asset(*ix);
            other.id != asset.id && other.not_after > asset.not_after
        });
        let mut out = Vec::new();
        for (ix, n) in later {
            let file = &self.placement(*n).location;
            for endpoint in &served {
                let link = self.link(file.container(), &endpoint.location);
                if link.is_some() || !lies_in_a_file {
                    out.push(Successor {
                        asset: self.inventory.asset(*ix),
                        file,
                        endpoint: &endpoint.location,
                        link,
                    });
                }
            }
        }
        out
    }

    /// The latest certificate of the same names that is in force and served, where this one is served nowhere.
    fn superseded_by(&self, asset: &Asset, certificate: &Certificate<'_>, at: UnixTime) -> Option<&'i Asset> {
        let named = self.named.get(&document::names_key(certificate)?)?;
        let served = || named.served.iter().map(|ix| self.inventory.asset(*ix));
        if served().any(|a| a.id == asset.id) {
            return None;
        }
        let later = |a: &&Asset| a.not_after > asset.not_after && a.not_before.is_some_and(|t| t <= at);
        served().filter(later).max_by_key(|a| a.not_after)
    }

    /// How we know that this file is what the endpoint serves: of all links that fit it, the most exact ones count, as
    /// they do for the socket and for the server that chooses by name.
    fn link(&self, file: &str, endpoint: &Location) -> Option<&'i str> {
        let serves = self.inventory.links().iter().filter(|l| l.kind == LinkKind::Serves);
        let fits: Vec<_> = serves.filter_map(|l| Some((exactness(&l.to, endpoint)?, l))).collect();
        let best = fits.iter().map(|(rank, _)| *rank).max()?;
        let meant = fits.into_iter().find(|(rank, l)| *rank == best && l.from.container() == file);
        meant.map(|(_, l)| l.evidence.as_str())
    }

    fn names(&self) -> Vec<NameView<'i>> {
        let mut by_name: BTreeMap<(&str, &str, u16), Vec<_>> = BTreeMap::new();
        for placement in self.inventory.placements() {
            let location = &placement.location;
            let leads = placement.role == Role::Leaf && placement.chain.is_some();
            if let (true, Some(name), Some(address)) = (leads, location.sni(), location.address()) {
                let served = by_name.entry((location.scheme(), name, address.port())).or_default();
                served.push((placement, self.inventory.asset(placement.asset)));
            }
        }
        let view = |((scheme, name, port), served)| NameView { name, scheme, port, served };
        by_name.into_iter().map(view).collect()
    }
}

/// How exactly a link names this endpoint, if it does: by address, then by name. `[::]` stands for every address of the
/// host, `0.0.0.0` for every IPv4 address; a link without a name for whatever is asked for.
fn exactness(link: &Location, endpoint: &Location) -> Option<(u8, u8)> {
    let (to, at) = (link.address()?, endpoint.address()?);
    if link.scheme() != endpoint.scheme() || to.port() != at.port() {
        return None;
    }
    let address = match to.ip() {
        ip if ip == at.ip() => 2,
        IpAddr::V4(ip) if ip.is_unspecified() && at.is_ipv4() => 1,
        IpAddr::V6(ip) if ip.is_unspecified() => 0,
        _ => return None,
    };
    let parent = |name: &str| name.split_once('.').map(|(_, parent)| parent.to_owned());
    let name = match (link.sni(), endpoint.sni()) {
        (None, _) => 0,
        (Some(wanted), Some(name)) if wanted == name => 2,
        (Some(wanted), Some(name)) => match wanted.strip_prefix("*.") {
            Some(rest) if parent(name).as_deref() == Some(rest) => 1,
            None if wanted.starts_with('.') && (name.ends_with(wanted) || name == &wanted[1..]) => 1,
            _ => return None,
        },
        (Some(_), None) => return None,
    };
    Some((address, name))
}

/// Is this an endpoint of the machine we run on?
fn is_local(placement: &Placement) -> bool {
    placement.facts.process.is_some() || placement.location.ip().is_some_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod meant {
    use super::*;

    #[test]
    fn a_link_to_every_address_and_name() {
        let meant = |link: &str, endpoint: &str| {
            let parse = |text: &str| Location::parse(text).unwrap_or_else(|| panic!("{text}"));
            exactness(&parse(link), &parse(endpoint)).is_some()
        };
        assert!(meant("tls://[::]:443", "tls://10.0.0.5:443?sni=a.test"));
        assert!(meant("tls://0.0.0.0:443?sni=a.test", "tls://10.0.0.5:443?sni=a.test"));
        assert!(meant("tls://[::]:443?sni=*.a.test", "tls://[::1]:443?sni=b.a.test"));
        assert!(meant("tls://10.0.0.5:443", "tls://10.0.0.5:443"));
        for (link, endpoint) in [
            ("tls://0.0.0.0:443", "tls://[::1]:443"),
            ("tls://[::]:443", "tls://10.0.0.5:8443"),
            ("tls://10.0.0.6:443", "tls://10.0.0.5:443"),
            ("tls://[::]:443?sni=a.test", "tls://10.0.0.5:443?sni=b.test"),
            ("tls://[::]:443?sni=a.test", "tls://10.0.0.5:443"),
            ("tls://[::]:443?sni=*.a.test", "tls://10.0.0.5:443?sni=c.b.a.test"),
            ("smtp://[::]:25", "tls://10.0.0.5:25"),
        ] {
            assert!(!meant(link, endpoint), "{link} {endpoint}");
        }
    }

    #[test]
    fn the_most_exact_one_counts() {
        let endpoint = Location::parse("tls://10.0.0.5:443?sni=a.test").unwrap();
        let rank = |link: &str| exactness(&Location::parse(link).unwrap(), &endpoint).unwrap();
        assert!(rank("tls://10.0.0.5:443") > rank("tls://0.0.0.0:443?sni=a.test"));
        assert!(rank("tls://0.0.0.0:443") > rank("tls://[::]:443?sni=a.test"));
        assert!(rank("tls://[::]:443?sni=a.test") > rank("tls://[::]:443"));
    }
}

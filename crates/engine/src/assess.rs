//! Gathers a dossier for every subject, has each judged, and puts the findings in order.
//!
//! All that joins several assets happens here, once: paths to roots, keys beside certificates, the
//! addresses of one name, newer files. Rules get the result and never query. No rule is known here.

pub(crate) mod ahead;
mod anchors;
mod around;
mod beside;
mod lineage;
mod logged;
mod managed;
mod paths;
mod revoked;
mod stores;
mod zones;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use notafter_core::UnixTime;
use notafter_core::assess::assess;
use notafter_core::blast::Blast;
use notafter_core::census::{self, Member};
use notafter_core::document;
use notafter_core::dossier::{
    Around, AssetView, ChainView, ClockView, CopyView, Dependent, Dossier, KeyBeside, ManagedView, Retired,
    Subject,
};
use notafter_core::finding::Finding;
use notafter_core::inventory::{Asset, AssetIx, AssetKind, Inventory, Placement, Role};
use notafter_core::location::Location;
use notafter_core::outlook::habit;
use notafter_core::owner::{Owner, owner_of};
use notafter_core::subject::SubjectKey;
use notafter_core::{Fingerprint, KeyId};
use notafter_pki::Crl;
use notafter_pki::certificate::Certificate;
use notafter_pki::statement::{Statement, StatementKind};

use crate::accepts::{Accepts, signs_in};
use crate::pipeline::Judgment;
use paths::{Paths, ServedPath};

/// Judges everything in an inventory at one instant: findings, worst first, each cause once.
pub fn assess_all(inventory: &mut Inventory, judgment: &Judgment) -> Vec<Finding> {
    stores::recognise(inventory, &judgment.trust);
    around::recognise_clients(inventory);
    let gathered = Gathered::new(inventory, judgment);
    let mut findings = Findings::default();
    let mut ending = Vec::new();
    gathered.each_dossier(judgment, None, |dossier, names| {
        ending.extend(member(&dossier, judgment.at));
        for mut finding in assess(&dossier, judgment.at).findings {
            finding.owner = answers(&dossier, judgment, names, &finding);
            gauge(&dossier, judgment, names, &mut finding);
            finding.summary = finding.summary_at(judgment.at);
            findings.add(finding);
        }
    });
    let mut crowds = census::of_members(ending, &judgment.policy);
    let hangs = census::hangs(gathered.inventory.renewals().iter().map(|sighting| &sighting.renewal));
    if !hangs.is_empty() {
        crowds.entry(None).or_default().hangs = hangs;
    }
    for (owner, crowd) in crowds {
        let subject = Subject::Crowd(crowd.view(owner.as_deref()));
        let dossier = Dossier { subject, policy: &judgment.policy, owner: None };
        for mut finding in assess(&dossier, judgment.at).findings {
            finding.owner = owner.clone().or_else(|| default_owner(judgment));
            gauge(&dossier, judgment, &[], &mut finding);
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
            gauge(&dossier, judgment, &[], &mut finding);
            findings.add(finding);
        }
    }
    findings.in_order()
}

/// Says what breaks with a finding.
fn gauge(dossier: &Dossier<'_>, judgment: &Judgment, names: &[String], finding: &mut Finding) {
    finding.blast = Some(Box::new(Blast::of(dossier, finding, names, &judgment.owners)));
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
    around::recognise_clients(inventory);
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
            finding.owner = answers(&dossier, judgment, names, &finding);
            gauge(&dossier, judgment, names, &mut finding);
            verdicts.findings.push(finding);
        }
    });
    out
}

/// Who answers for a finding: whom the entry itself names, else by its names and places.
fn answers(
    dossier: &Dossier<'_>,
    judgment: &Judgment,
    names: &[String],
    finding: &Finding,
) -> Option<String> {
    let stated = dossier.asset().and_then(|view| stated_owner(view.statement.as_ref()?));
    let by_rule = || owner_of(&judgment.owners, names, &finding.locations).map(|o| o.name.clone());
    stated.map(str::to_owned).or_else(by_rule)
}

/// Whom an entry made by hand names.
fn stated_owner(statement: &Statement) -> Option<&str> {
    (statement.kind() == StatementKind::Manual).then(|| statement.fact_of("owner")).flatten()
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
                match (&mut known.blast, finding.blast) {
                    (Some(known), Some(more)) => known.merge(*more),
                    (known, more) => *known = known.take().or(more),
                }
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
            let key = |f: &Finding| (f.severity, Reverse(f.weight()), f.deadline.unwrap_or(last), f.kind);
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
    around: around::Index<'i>,
    accepts: Accepts<'i>,
    keys: HashSet<KeyId>,
    zones: zones::Zones<'i>,
    logged: logged::Index<'i>,
    revoked: revoked::Index<'i>,
    managed: managed::Index<'i>,
    lines: lineage::Lines<'i>,
    /// The leaf at each endpoint, where any response is stapled at all.
    stapled: HashMap<&'i Location, AssetIx>,
}

impl<'i> Gathered<'i> {
    fn new(inventory: &'i Inventory, judgment: &Judgment) -> Self {
        let mut places = vec![Vec::new(); inventory.assets().len()];
        for (n, placement) in inventory.placements().iter().enumerate() {
            places[placement.asset.0 as usize].push(n as u32);
        }
        let zones = zones::Zones::new(inventory, &places);
        let found = Paths::build(inventory, &judgment.trust, &places, judgment.at);
        let lines = lineage::Lines::new(inventory, &places);
        let revoked = revoked::Index::new(inventory, &places, judgment.at);
        Self {
            inventory,
            places,
            revoked,
            paths: found.served,
            outlived: found.outlived,
            anchors: anchors::Index::new(inventory, found.standings),
            beside: beside::Index::new(inventory),
            around: around::Index::new(inventory),
            accepts: Accepts::new(inventory),
            keys: inventory.keys().iter().filter_map(|k| k.key).collect(),
            managed: managed::Index::new(inventory),
            lines,
            zones,
            logged: logged::Index::new(inventory),
            stapled: stapled(inventory),
        }
    }

    fn placement(&self, n: u32) -> &'i Placement {
        &self.inventory.placements()[n as usize]
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
                (None, Some(statement)) if statement.kind() == StatementKind::OcspResponse => {
                    self.stapled_to(ix)
                }
                (None, Some(statement)) => statement.names().to_vec(),
                (None, None) => Vec::new(),
            };
            // Chains are parsed here, so that the views can borrow them.
            let chains = self.chains_of(ix);
            let mut view = self.view(ix, asset, certificate, &chains, judgment);
            view.around = self.around.of(asset, certificate.as_ref(), statement.as_ref(), &view.places);
            if view.certificate.is_some_and(|c| signs_in(&c, &view.places)) {
                view.around.accepted = self.accepts.of(self.inventory, ix, &self.places[ix.0 as usize]);
            }
            if view.key_seen && !view.around.copies.is_empty() {
                view.lineage.retired.extend(self.dropped(asset, &view.around.copies));
            }
            view.zone = statement.as_ref().and_then(|statement| self.zones.view(ix, statement));
            view.statement = statement;
            let locations: Vec<_> = view.locations().cloned().collect();
            let stated = view.statement.as_ref().and_then(stated_owner);
            let stated = stated.and_then(|name| judgment.owners.iter().find(|o| o.name == name));
            let owner = stated.or_else(|| owner_of(&judgment.owners, &names, &locations));
            judge(Dossier { subject: Subject::Asset(view), policy, owner }, &names);
        }
        for view in self.lines.names() {
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
        let everywhere: Vec<&'i Placement> =
            self.places[ix.0 as usize].iter().map(|n| self.placement(*n)).collect();
        let logged = certificate.and_then(|c| self.logged.view(ix, &c, &everywhere));
        let caa = certificate.map(|c| self.zones.policies(&c, &everywhere)).unwrap_or_default();
        // An entry of a log is no place where anything is used.
        let places: Vec<&'i Placement> =
            everywhere.into_iter().filter(|place| place.role != Role::Logged).collect();
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
            successors: self.lines.successors(ix, &places),
            superseded_by: self.lines.superseded_by(ix, &places, &self.places),
            lineage: self.lines.lineage(ix, &places, &self.places, &Neighbours { gathered: self, judgment }),
            managed: certificate.map(|c| self.managed_by(ix, &c, &places, judgment.at)).unwrap_or_default(),
            zone: None,
            caa,
            logged,
            lapsed: self.inventory.lapsed(&asset.id),
            habit: habit(self.inventory.lives(&asset.id)),
            revoked: certificate.and_then(|c| self.revoked.view(self.inventory, ix, &c, &places)),
            places,
            around: Around::default(),
        }
    }

    fn managed_by(
        &self,
        ix: AssetIx,
        certificate: &Certificate<'_>,
        places: &[&'i Placement],
        at: UnixTime,
    ) -> Vec<ManagedView<'i>> {
        let asset = self.inventory.asset(ix);
        self.managed.views(self.inventory, asset, certificate, places, self.lines.line_of(ix), at)
    }

    /// The names of the certificates that a response is stapled to: whoever answers for them answers for it.
    fn stapled_to(&self, response: AssetIx) -> Vec<String> {
        let places = self.places[response.0 as usize].iter().map(|n| self.placement(*n));
        let leaves = places.filter_map(|p| self.stapled.get(&p.location));
        let mut names: Vec<String> = leaves
            .filter_map(|leaf| {
                let bytes = self.inventory.bytes(*leaf);
                Certificate::parse(&bytes).ok().map(|c| document::names(&c).dns_and_ip)
            })
            .flatten()
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn dependents(&self, asset: &Asset) -> Vec<Dependent<'i>> {
        let leaves = self.outlived.get(&asset.id).map(Vec::as_slice).unwrap_or_default();
        let in_use = |(ix, _): &(AssetIx, UnixTime)| {
            let mut dependent = self.dependent(*ix);
            if dependent.locations.iter().any(|location| location.is_endpoint()) {
                dependent.locations.retain(|location| location.is_endpoint());
                return Some(dependent);
            }
            // It lies in files alone. What a later one has taken the place of, nobody will miss.
            let all = &self.places;
            let places: Vec<_> = all[ix.0 as usize].iter().map(|n| self.placement(*n)).collect();
            self.lines.superseded_by(*ix, &places, all).is_none().then_some(dependent)
        };
        leaves.iter().filter_map(in_use).collect()
    }

    /// Copies of the metadata of an entity that have the successor of one of its certificates and no longer it, while
    /// the entity has the key of none that they have: whoever has such a copy believes nothing it signs.
    fn dropped(&self, asset: &Asset, copies: &[CopyView<'i>]) -> Vec<Retired<'i>> {
        let held = |one: &Asset| one.key.is_some_and(|key| self.keys.contains(&key));
        let drops = |copy: &&CopyView<'i>| {
            let has = copy.certificates.iter().any(|one| one.id == asset.id || held(one));
            let later = copy.certificates.iter().any(|one| one.not_before > asset.not_before);
            later && !has && !copy.place.is_published()
        };
        let dropping = copies.iter().filter(drops);
        let because = "a copy of the metadata has its successor, and no longer it";
        dropping.map(|copy| Retired { because: because.to_owned(), place: copy.place }).collect()
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
}

/// The leaf at each endpoint, if any response to questions about revocation was seen.
fn stapled(inventory: &Inventory) -> HashMap<&Location, AssetIx> {
    if !inventory.assets().any(|(_, asset)| asset.kind == AssetKind::OcspResponse) {
        return HashMap::new();
    }
    let leaves = inventory.placements().iter().filter(|p| p.role == Role::Leaf && p.location.is_endpoint());
    leaves.map(|p| (&p.location, p.asset)).collect()
}

/// What a line of certificates does not know of them.
struct Neighbours<'a, 'i> {
    gathered: &'a Gathered<'i>,
    judgment: &'a Judgment,
}

impl lineage::Surrounding for Neighbours<'_, '_> {
    fn public(&self, ix: AssetIx) -> bool {
        self.gathered.paths.get(&ix).is_some_and(|paths| paths.iter().any(|p| p.view.public))
    }

    fn owner(&self, ix: AssetIx) -> Option<&str> {
        let bytes = self.gathered.inventory.bytes(ix);
        let names = Certificate::parse(&bytes).map(|c| document::names(&c).dns_and_ip).unwrap_or_default();
        let places = self.gathered.places[ix.0 as usize].iter();
        let places: Vec<_> = places.map(|n| self.gathered.placement(*n).location.clone()).collect();
        owner_of(&self.judgment.owners, &names, &places).map(|owner| owner.name.as_str())
    }
}

//! Which certificates follow one another: the successive ones of one purpose, by names, issuer and place.
//!
//! Built once for a pass of judgment, from all leaf certificates. Only what shares a name, a key or a subject with
//! another is kept: nearly all of a large inventory stands alone and costs nothing. Where very many share one (`localhost`
//! on every device), the latest are looked at. Decision 0022. What follows from it is the rules' affair.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;

use notafter_core::change::{Surroundings, differences};
use notafter_core::dossier::{Lineage, NameView, RenewedPair, Retired, SameKey, Successor, title};
use notafter_core::inventory::{Asset, AssetIx, AssetKind, Inventory, Placement, Role};
use notafter_core::location::Location;
use notafter_core::observation::{Link, LinkKind};
use notafter_core::{KeyId, document};
use notafter_pki::certificate::Certificate;
use notafter_pki::oid;

mod place;

use place::{beside, exactness, says_retired, says_trusted};

/// So many of one line are compared, the latest.
const LINE_MAX: usize = 256;
/// A name in more certificates than this says nothing about which follows which.
const NAME_MAX: usize = 200;
/// So many names of one certificate count.
const NAMES_MAX: usize = 100;
/// So many others with the same key are named.
const SAME_KEY_MAX: usize = 20;
/// So many leaf certificates for different names, and no key, make a file a list.
const LIST_MIN: usize = 3;
/// Of records in a format for data, two are a list.
const RECORDS_MIN: usize = 2;

/// What the comparison needs of one certificate.
struct Short {
    names: u64,
    first: u64,
    each: Vec<u64>,
    issuer: u64,
    organisation: u64,
    algorithm: u64,
    /// 1 servers, 2 clients, 4 anything else.
    purposes: u8,
    /// Is one of its names a full one, with a dot?
    full: bool,
    self_issued: bool,
    begin: i64,
    end: i64,
}

/// Leaf certificates of exactly the same names, latest end first.
#[derive(Default)]
pub(super) struct Line {
    /// In files, with their placements.
    pub(super) files: Vec<(AssetIx, u32)>,
    /// At endpoints.
    pub(super) served: Vec<AssetIx>,
}

/// What surrounds a certificate in ways that only the caller knows.
pub(crate) trait Surrounding {
    /// Does its path end at a root of the public web?
    fn public(&self, ix: AssetIx) -> bool;
    /// Who answers for it.
    fn owner(&self, ix: AssetIx) -> Option<&str>;
}

pub(crate) struct Lines<'i> {
    inventory: &'i Inventory,
    shorts: HashMap<AssetIx, Short>,
    lines: HashMap<u64, Line>,
    /// By single name.
    named: HashMap<u64, Vec<AssetIx>>,
    /// CA certificates by subject.
    authorities: HashMap<u64, Vec<AssetIx>>,
    subjects: HashMap<AssetIx, u64>,
    /// By the first octets of the key's identity.
    keys: HashMap<u64, Vec<AssetIx>>,
    /// Links from a file to where it is used.
    uses: HashMap<&'i str, Vec<&'i Link>>,
    /// Links to a port, by port.
    serves: HashMap<u16, Vec<&'i Link>>,
    /// Files of anchors by configuration.
    trusted: HashSet<&'i str>,
    /// Files that only tell of certificates.
    lists: HashSet<&'i str>,
    /// Documents and other files that hold a private key.
    with_keys: HashSet<&'i str>,
    /// What is shown without a server name.
    nameless: HashMap<(&'i str, SocketAddr), Vec<u32>>,
}

/// Is it there to be used, rather than to stand behind another one?
fn is_used_as_leaf(placement: &Placement) -> bool {
    matches!(placement.role, Role::Leaf | Role::Client | Role::Signer)
}

impl<'i> Lines<'i> {
    pub(crate) fn new(inventory: &'i Inventory, places: &[Vec<u32>]) -> Self {
        let random = RandomState::new();
        let mut out = Self {
            inventory,
            shorts: HashMap::new(),
            lines: HashMap::new(),
            named: HashMap::new(),
            authorities: HashMap::new(),
            subjects: HashMap::new(),
            keys: HashMap::new(),
            uses: HashMap::new(),
            serves: HashMap::new(),
            trusted: HashSet::new(),
            lists: HashSet::new(),
            with_keys: inventory.keys().iter().map(|key| key.location.container()).collect(),
            nameless: HashMap::new(),
        };
        out.links();
        out.nameless();
        let (mut by_names, mut by_name) = (Vec::new(), Vec::new());
        let (mut by_subject, mut by_key) = (Vec::new(), Vec::new());
        let mut in_files: Vec<(&str, u64)> = Vec::new();
        for (ix, asset) in inventory.assets() {
            let here = || places[ix.0 as usize].iter().map(|n| &inventory.placements()[*n as usize]);
            let leaf = here().any(is_used_as_leaf);
            let authority =
                |p: &Placement| matches!(p.role, Role::Root | Role::Intermediate | Role::TrustAnchor);
            let kept = here().any(|p| p.location.is_file() && authority(p));
            if asset.kind != AssetKind::Certificate || !(leaf || kept) {
                continue;
            }
            let bytes = inventory.bytes(ix);
            let Ok(certificate) = Certificate::parse(&bytes) else { continue };
            if kept {
                by_subject.push((random.hash_one(certificate.subject().comparison_key()), ix));
            }
            if !leaf {
                continue;
            }
            by_key.extend(asset.key.map(|key| (first_octets(&key), ix)));
            let Some(short) = Short::of(&certificate, &random) else { continue };
            let data = here().filter(|p| is_used_as_leaf(p) && p.location.is_file());
            let data = data.map(|p| &p.location).filter(|l| !l.is_for_certificates());
            in_files.extend(data.map(|l| (l.container(), short.names)));
            by_names.push((short.names, ix));
            by_name.extend(short.each.iter().map(|name| (*name, ix)));
        }
        let by_names = shared(by_names);
        out.named = shared(by_name);
        out.named.retain(|_, members| members.len() <= NAME_MAX);
        out.authorities = shared(by_subject);
        let members =
            |(subject, all): (&u64, &Vec<AssetIx>)| all.iter().map(|ix| (*ix, *subject)).collect::<Vec<_>>();
        out.subjects = out.authorities.iter().flat_map(members).collect();
        out.keys = shared(by_key);
        let members: BTreeSet<AssetIx> =
            by_names.values().chain(out.named.values()).flatten().copied().collect();
        for ix in members {
            let bytes = inventory.bytes(ix);
            let short = Certificate::parse(&bytes).ok().and_then(|c| Short::of(&c, &random));
            out.shorts.extend(short.map(|short| (ix, short)));
        }
        for (names, members) in by_names {
            let line = out.line(members, places);
            out.lines.insert(names, line);
        }
        out.lists = lists(inventory, in_files);
        out
    }

    fn links(&mut self) {
        for link in self.inventory.links() {
            match link.kind {
                LinkKind::Serves => {
                    if let Some(address) = link.to.address() {
                        self.serves.entry(address.port()).or_default().push(link);
                    }
                    self.uses.entry(link.from.container()).or_default().push(link);
                }
                // A configuration that presents a file: the file is the other end.
                LinkKind::Presents => self.uses.entry(link.to.container()).or_default().push(link),
                LinkKind::Trusts => {
                    self.trusted.insert(link.to.container());
                }
                LinkKind::ManagedBy | LinkKind::CopyOf => {}
            }
        }
    }

    fn nameless(&mut self) {
        let with_name: HashSet<SocketAddr> = self
            .inventory
            .placements()
            .iter()
            .filter(|p| p.location.sni().is_some())
            .filter_map(|p| p.location.address())
            .collect();
        for (n, placement) in self.inventory.placements().iter().enumerate() {
            let location = &placement.location;
            let leads = placement.role == Role::Leaf && placement.chain.is_some() && location.sni().is_none();
            if let (true, Some(address)) = (leads, location.address())
                && with_name.contains(&address)
            {
                self.nameless.entry((location.scheme(), address)).or_default().push(n as u32);
            }
        }
    }

    /// The files and endpoints of one line, the latest of them.
    /// All of exactly the same names as this one, where there are others.
    pub(super) fn line_of(&self, ix: AssetIx) -> Option<&Line> {
        self.lines.get(&self.shorts.get(&ix)?.names)
    }

    fn line(&self, mut members: Vec<AssetIx>, places: &[Vec<u32>]) -> Line {
        members.sort_by_key(|ix| std::cmp::Reverse(self.shorts.get(ix).map(|s| s.end)));
        let mut line = Line::default();
        for ix in members {
            let leaves = places[ix.0 as usize].iter().filter(|n| is_used_as_leaf(self.placement(**n)));
            for n in leaves {
                if self.placement(*n).location.is_file() {
                    if line.files.len() < LINE_MAX {
                        line.files.push((ix, *n));
                    }
                } else if line.served.len() < LINE_MAX && line.served.last() != Some(&ix) {
                    line.served.push(ix);
                }
            }
        }
        line
    }

    fn placement(&self, n: u32) -> &'i Placement {
        &self.inventory.placements()[n as usize]
    }

    fn of(&self, ix: AssetIx) -> Option<(&Short, &Line)> {
        let short = self.shorts.get(&ix)?;
        Some((short, self.lines.get(&short.names)?))
    }

    /// Is it told of in a document that nobody serves from: an answer of a log's search, an export of an inventory?
    fn is_record(&self, place: &Placement) -> bool {
        let file = place.location.container();
        is_data(file)
            && place.role == Role::Leaf
            && place.facts.part.is_none()
            && !self.with_keys.contains(file)
            && !self.uses.contains_key(file)
    }

    /// Later certificates for the same names in files, for each endpoint. A file that is known to be what the endpoint
    /// serves counts whatever it holds; any other only if it can be the successor.
    pub(crate) fn successors(&self, ix: AssetIx, places: &[&'i Placement]) -> Vec<Successor<'i>> {
        let Some((short, line)) = self.of(ix) else { return Vec::new() };
        let endpoints: Vec<&'i Placement> =
            places.iter().copied().filter(|p| p.role == Role::Leaf && p.location.is_endpoint()).collect();
        let mut out = Vec::new();
        for endpoint in endpoints.into_iter().take(LINE_MAX) {
            let from = if endpoint.is_local() { self.files_of(&endpoint.location) } else { Vec::new() };
            for (other, n) in &line.files {
                let Some(later) = self.shorts.get(other).filter(|s| *other != ix && s.end > short.end) else {
                    continue;
                };
                let file = &self.placement(*n).location;
                let link = from.iter().find(|l| l.from.container() == file.container());
                if link.is_none() && !succeeds(short, later) {
                    continue;
                }
                out.push(Successor {
                    asset: self.inventory.asset(*other),
                    file,
                    endpoint: &endpoint.location,
                    link: link.map(|l| l.evidence.as_str()),
                    same_issuer: same_issuer(short, later),
                    served: line.served.contains(other),
                });
            }
        }
        out
    }

    /// The links that say what this endpoint serves: of all that fit it, the most exact ones count, as they do for the
    /// socket and for the server that chooses by name.
    fn files_of(&self, endpoint: &Location) -> Vec<&'i Link> {
        let Some(address) = endpoint.address() else { return Vec::new() };
        let serves = self.serves.get(&address.port()).map(Vec::as_slice).unwrap_or_default();
        let fits: Vec<_> = serves.iter().filter_map(|l| Some((exactness(&l.to, endpoint)?, *l))).collect();
        let best = fits.iter().map(|(rank, _)| *rank).max();
        fits.into_iter().filter(|(rank, _)| Some(*rank) == best).map(|(_, l)| l).collect()
    }

    /// The configurations that name a file of these places.
    fn used_by(&self, places: &[&'i Placement]) -> Vec<&'i Link> {
        let files: BTreeSet<&str> =
            places.iter().filter(|p| p.location.is_file()).map(|p| p.location.container()).collect();
        files.into_iter().filter_map(|file| self.uses.get(file)).flatten().copied().collect()
    }

    /// The later one that has taken its place. Used nowhere itself: at no endpoint, in no configuration.
    pub(crate) fn superseded_by(
        &self,
        ix: AssetIx,
        places: &[&'i Placement],
        all: &[Vec<u32>],
    ) -> Option<&'i Asset> {
        let own: Vec<&'i Placement> = places.iter().copied().filter(|p| p.chain.is_some()).collect();
        let in_use = own.iter().any(|p| p.location.is_endpoint()) || !self.used_by(places).is_empty();
        if in_use || own.is_empty() {
            return None;
        }
        if !own.iter().any(|p| is_used_as_leaf(p)) {
            return self.authority_after(ix, &own, all);
        }
        let (short, line) = self.of(ix)?;
        // Served under full names, it is the same service. `localhost` and `client` are many things.
        let alike = |later: &Short| short.full || (!later.self_issued && short.issuer == later.issuer);
        let later = |other: &&AssetIx| {
            **other != ix && self.shorts.get(other).is_some_and(|s| succeeds(short, s) && alike(s))
        };
        if let Some(served) = line.served.iter().find(later) {
            return Some(self.inventory.asset(*served));
        }
        let beside_it = |place: &Placement| {
            line.files.iter().find(|(other, n)| {
                let after =
                    self.shorts.get(other).is_some_and(|s| succeeds(short, s) && same_issuer(short, s));
                *other != ix && after && beside(&place.location, &self.placement(*n).location)
            })
        };
        let found: Option<Vec<_>> = own.iter().map(|place| beside_it(place)).collect();
        found?.into_iter().map(|(other, _)| self.inventory.asset(*other)).min_by_key(|a| a.not_after)
    }

    /// The later certificate of the same CA that lies beside it wherever it lies.
    fn authority_after(&self, ix: AssetIx, own: &[&'i Placement], all: &[Vec<u32>]) -> Option<&'i Asset> {
        let end = self.inventory.asset(ix).not_after;
        let same = self.authorities.get(self.subjects.get(&ix)?)?;
        let beside_it = |other: &AssetIx| {
            let there = || all[other.0 as usize].iter().map(|n| self.placement(*n).location.container());
            own.iter().all(|place| there().any(|file| file == place.location.container()))
        };
        let later = same.iter().filter(|other| self.inventory.asset(**other).not_after > end);
        let later = later.take(LINE_MAX).filter(|other| beside_it(other));
        later.map(|other| self.inventory.asset(*other)).max_by_key(|a| a.not_after)
    }

    /// Where it stands among the others of its names and of its key.
    pub(crate) fn lineage(
        &self,
        ix: AssetIx,
        places: &[&'i Placement],
        all: &[Vec<u32>],
        around: &impl Surrounding,
    ) -> Lineage<'i> {
        let served = places.iter().any(|p| p.role == Role::Leaf && p.location.is_endpoint());
        let listed = |p: &&Placement| self.lists.contains(p.location.container());
        let mut out = Lineage {
            used_by: self.used_by(places),
            listed: !places.is_empty() && places.iter().all(listed),
            told_by: places.iter().filter(|p| listed(p) || self.is_record(p)).map(|p| &p.location).collect(),
            same_key: self.same_key(ix, all, around),
            ..Lineage::default()
        };
        if self.shorts.contains_key(&ix) {
            out.renewals = self.renewals(ix, all, around);
        }
        let used = served || !out.used_by.is_empty();
        if let (true, Some((short, line))) = (used, self.of(ix)) {
            let after =
                |other: &AssetIx| *other != ix && self.shorts.get(other).is_some_and(|s| succeeds(short, s));
            if served {
                let moved = line.served.iter().find(|other| after(other));
                out.moved = moved.map(|other| (self.inventory.asset(*other), self.endpoints(*other, all)));
            }
            out.retired = self.retired(places, line, &after);
            if !served {
                // A configuration that was put away names what was put away with it.
                let named = |place: &Location| self.uses.contains_key(place.container());
                out.retired.retain(|why| !named(why.place));
            }
        }
        out
    }

    fn endpoints(&self, ix: AssetIx, all: &[Vec<u32>]) -> Vec<&'i Location> {
        let places = all[ix.0 as usize].iter().map(|n| self.placement(*n));
        places
            .filter(|p| p.role == Role::Leaf && p.location.is_endpoint())
            .map(|p| &p.location)
            .take(LINE_MAX)
            .collect()
    }

    /// What says that a served certificate was to be used no more. Nothing counts without a successor.
    fn retired(
        &self,
        places: &[&'i Placement],
        line: &Line,
        after: &dyn Fn(&AssetIx) -> bool,
    ) -> Vec<Retired<'i>> {
        let successors: Vec<_> = line.files.iter().filter(|(other, _)| after(other)).collect();
        if successors.is_empty() && !line.served.iter().any(after) {
            return Vec::new();
        }
        let mut out = Vec::new();
        for place in places.iter().map(|p| &p.location).filter(|l| l.is_file()) {
            if let Some(word) = says_retired(place) {
                out.push(Retired { because: format!("it lies under `{word}`"), place });
            }
        }
        let trusts = |l: &Location| self.trusted.contains(l.container()) || says_trusted(l);
        if !places.iter().any(|p| p.location.is_file() && trusts(&p.location)) {
            let lists = successors.iter().map(|(_, n)| &self.placement(*n).location).filter(|l| trusts(l));
            out.extend(lists.map(|place| Retired {
                because: "what is trusted holds its successor, and no longer it".to_owned(),
                place,
            }));
        }
        out
    }

    /// The pairs of successive certificates that this one is a part of, and in which something has changed.
    fn renewals(&self, ix: AssetIx, all: &[Vec<u32>], around: &impl Surrounding) -> Vec<RenewedPair<'i>> {
        let mut pairs = BTreeSet::new();
        pairs.extend(self.before(ix, all).map(|older| (older, ix)));
        for newer in self.related(ix) {
            if self.before(newer, all) == Some(ix) {
                pairs.insert((ix, newer));
            }
        }
        pairs.into_iter().filter_map(|(older, newer)| self.renewal(older, newer, all, around)).collect()
    }

    /// Others that share a name, the latest of them.
    fn related(&self, ix: AssetIx) -> BTreeSet<AssetIx> {
        let mut out = BTreeSet::new();
        if let Some((_, line)) = self.of(ix) {
            out.extend(
                line.files.iter().map(|(other, _)| *other).chain(line.served.iter().copied()).take(LINE_MAX),
            );
        }
        let names = self.shorts.get(&ix).map(|s| s.each.as_slice()).unwrap_or_default();
        out.extend(names.iter().filter_map(|name| self.named.get(name)).flatten().copied().take(LINE_MAX));
        out.remove(&ix);
        out
    }

    /// The one that this one renews: what is in use, else the last before it.
    fn before(&self, newer: AssetIx, all: &[Vec<u32>]) -> Option<AssetIx> {
        let short = self.shorts.get(&newer)?;
        let served = |ix: AssetIx| self.is_served(ix, all);
        let new_served = served(newer);
        let fits = |older: &AssetIx| {
            let Some(old) = self.shorts.get(older) else { return false };
            let same = old.names == short.names;
            // With other names it may as well be something else: only what waits to be installed is compared.
            let kin = same || (!new_served && (old.first == short.first || subset(old, short)));
            let together = || served(*older) || new_served || self.lie_together(*older, newer, all);
            kin && renews(old, short) && together()
        };
        let candidates = self.related(newer).into_iter().filter(fits);
        candidates.max_by_key(|older| (served(*older), self.shorts.get(older).map(|s| s.begin)))
    }

    fn is_served(&self, ix: AssetIx, all: &[Vec<u32>]) -> bool {
        all[ix.0 as usize].iter().any(|n| {
            let place = self.placement(*n);
            place.role == Role::Leaf && place.location.is_endpoint()
        })
    }

    /// Do two lie in one folder, one below the other, or under one name?
    fn lie_together(&self, a: AssetIx, b: AssetIx, all: &[Vec<u32>]) -> bool {
        let files = |ix: AssetIx| {
            let places = all[ix.0 as usize].iter().take(LINE_MAX).map(|n| self.placement(*n));
            places.filter(|p| p.location.is_file() && !p.location.is_published()).map(|p| &p.location)
        };
        let name = |l: &Location| l.container().rsplit('/').next().unwrap_or("").to_owned();
        files(a).any(|x| files(b).any(|y| beside(x, y) || beside(y, x) || name(x) == name(y)))
    }

    fn renewal(
        &self,
        older: AssetIx,
        newer: AssetIx,
        all: &[Vec<u32>],
        around: &impl Surrounding,
    ) -> Option<RenewedPair<'i>> {
        let (old, new) = (self.inventory.bytes(older), self.inventory.bytes(newer));
        let (old, new) = (Certificate::parse(&old).ok()?, Certificate::parse(&new).ok()?);
        let places = |ix: AssetIx| all[ix.0 as usize].iter().map(|n| self.placement(*n));
        let above = |ix: AssetIx| places(ix).filter_map(|p| p.chain.as_ref()).map(|c| c.len() - 1).max();
        let endpoints: Vec<_> = self.endpoints(older, all);
        let linked = |endpoint: &&Location| {
            let from = self.files_of(endpoint);
            places(newer).any(|p| from.iter().any(|l| l.from.container() == p.location.container()))
        };
        let surroundings = Surroundings {
            public: around.public(older) && around.public(newer),
            older_above: above(older).unwrap_or_default(),
            newer_above: above(newer).unwrap_or_default(),
            installed: endpoints.iter().any(linked),
        };
        let changes = differences(&old, &new, surroundings);
        if changes.is_empty() {
            return None;
        }
        let used = places(newer).filter(|p| is_used_as_leaf(p)).map(|p| &p.location).take(LINE_MAX);
        let places = used.chain(endpoints).collect();
        Some(RenewedPair {
            older: self.inventory.asset(older),
            newer: self.inventory.asset(newer),
            title: title(&new),
            changes,
            in_service: self.is_served(newer, all),
            places,
        })
    }

    /// Certificates for other names with the same key.
    fn same_key(&self, ix: AssetIx, all: &[Vec<u32>], around: &impl Surrounding) -> Vec<SameKey<'i>> {
        let key = self.inventory.asset(ix).key;
        let Some(members) = key.and_then(|key| self.keys.get(&first_octets(&key))) else { return Vec::new() };
        let names = |ix: AssetIx| {
            let bytes = self.inventory.bytes(ix);
            let certificate = Certificate::parse(&bytes).ok()?;
            let key = document::names_key(&certificate)?;
            Some((key.split(' ').map(str::to_owned).collect::<BTreeSet<_>>(), title(&certificate)))
        };
        let hosts = |ix: AssetIx| -> BTreeSet<_> {
            self.endpoints(ix, all).into_iter().filter_map(Location::ip).collect()
        };
        let Some((own, _)) = names(ix) else { return Vec::new() };
        let (own_hosts, own_owner) = (hosts(ix), around.owner(ix));
        let mut out = Vec::new();
        let same = |other: &AssetIx| *other != ix && self.inventory.asset(*other).key == key;
        for other in members.iter().copied().filter(same) {
            let Some((_, title)) = names(other).filter(|(names, _)| names.is_disjoint(&own)) else {
                continue;
            };
            let places: Vec<_> =
                all[other.0 as usize].iter().map(|n| &self.placement(*n).location).take(LINE_MAX).collect();
            if places.iter().all(|l| l.is_published()) {
                continue;
            }
            let (hosts, owner) = (hosts(other), around.owner(other));
            let elsewhere = !hosts.is_empty() && !own_hosts.is_empty() && hosts.is_disjoint(&own_hosts);
            let apart = elsewhere || (owner.is_some() && own_owner.is_some() && owner != own_owner);
            out.push(SameKey { asset: self.inventory.asset(other), title, places, apart });
            if out.len() == SAME_KEY_MAX {
                break;
            }
        }
        out
    }

    /// Every server name on every port, with what its addresses show, and what they show without a name.
    pub(crate) fn names(&self) -> Vec<NameView<'i>> {
        let mut by_name: BTreeMap<(&str, &str, u16), Vec<_>> = BTreeMap::new();
        for placement in self.inventory.placements() {
            let location = &placement.location;
            let leads = placement.role == Role::Leaf && placement.chain.is_some();
            if let (true, Some(name), Some(address)) = (leads, location.sni(), location.address()) {
                let served = by_name.entry((location.scheme(), name, address.port())).or_default();
                served.push((placement, self.inventory.asset(placement.asset)));
            }
        }
        let mut out = Vec::with_capacity(by_name.len());
        for ((scheme, name, port), served) in by_name {
            let addresses: BTreeSet<SocketAddr> =
                served.iter().filter_map(|(p, _): &(&Placement, _)| p.location.address()).collect();
            let nameless = addresses.into_iter().filter_map(|at| self.nameless.get(&(scheme, at)));
            let defaults = nameless.flatten().map(|n| self.placement(*n));
            let defaults = defaults.map(|p| (p, self.inventory.asset(p.asset))).collect();
            out.push(NameView { name, scheme, port, served, defaults });
        }
        out
    }
}

impl Short {
    fn of(certificate: &Certificate<'_>, random: &RandomState) -> Option<Self> {
        let names = document::names_key(certificate)?;
        let listed = document::names(certificate).dns_and_ip;
        let lower = |name: &str| random.hash_one(name.to_ascii_lowercase());
        let mut each: Vec<u64> = listed.iter().take(NAMES_MAX).map(|n| lower(n)).collect();
        each.sort_unstable();
        each.dedup();
        let first = listed.first().map_or_else(|| random.hash_one(&names), |n| lower(n));
        let issuer = certificate.issuer_name();
        let purposes = match certificate.extended_key_usage() {
            None => 7,
            Some(usage) if usage.has(oid::ANY_EXTENDED_KEY_USAGE) => 7,
            Some(usage) => usage.fold(0, |bits, purpose| {
                bits | if purpose == oid::SERVER_AUTH {
                    1
                } else if purpose == oid::CLIENT_AUTH {
                    2
                } else {
                    4
                }
            }),
        };
        Some(Self {
            first,
            each,
            full: names.contains('.') && !names.contains(' ') || listed.iter().any(|n| n.contains('.')),
            names: random.hash_one(&names),
            issuer: random.hash_one(issuer.comparison_key()),
            organisation: issuer.text_of(oid::ORGANIZATION).map_or(0, |o| random.hash_one(o)),
            algorithm: random.hash_one(certificate.public_key().algorithm()),
            purposes,
            self_issued: certificate.is_self_issued(),
            begin: certificate.not_before()?.0,
            end: certificate.not_after()?.0,
        })
    }

    fn lifetime(&self) -> i64 {
        self.end.saturating_sub(self.begin).max(0)
    }
}

/// Can the later one be the successor? For one purpose at least, and not merely the other of two keys that are
/// renewed together.
fn succeeds(earlier: &Short, later: &Short) -> bool {
    let after = later.end > earlier.end && later.begin >= earlier.begin;
    let gap = later.begin.saturating_sub(earlier.begin) >= earlier.lifetime() / 4;
    after && earlier.purposes & later.purposes != 0 && (gap || earlier.algorithm == later.algorithm)
}

/// Is the later one a renewal of the earlier, rather than one of several that were issued side by side?
fn renews(earlier: &Short, later: &Short) -> bool {
    let gap = later.begin.saturating_sub(earlier.begin) >= earlier.lifetime() / 4;
    gap && later.end > earlier.end && earlier.purposes & later.purposes != 0
}

fn same_issuer(a: &Short, b: &Short) -> bool {
    a.issuer == b.issuer
        || (a.organisation != 0 && a.organisation == b.organisation)
        || (a.self_issued && b.self_issued)
}

fn subset(a: &Short, b: &Short) -> bool {
    let within =
        |some: &[u64], all: &[u64]| !some.is_empty() && some.iter().all(|n| all.binary_search(n).is_ok());
    within(&a.each, &b.each) || within(&b.each, &a.each)
}

fn first_octets(key: &KeyId) -> u64 {
    key.0.iter().take(8).fold(0, |sum, octet| sum << 8 | u64::from(*octet))
}

/// Only what at least two have in common.
fn shared<K: Copy + Ord + std::hash::Hash>(mut pairs: Vec<(K, AssetIx)>) -> HashMap<K, Vec<AssetIx>> {
    pairs.sort_unstable();
    pairs.dedup();
    let runs = pairs.chunk_by(|a, b| a.0 == b.0).filter(|run| run.len() > 1);
    runs.map(|run| (run[0].0, run.iter().map(|(_, ix)| *ix).collect())).collect()
}

/// Is it called as formats for data are: answers of an interface, exports?
fn is_data(file: &str) -> bool {
    let ending = file.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| matches!(ending.as_str(), "json" | "ndjson" | "jsonl" | "csv"))
}

/// The files of data that hold leaf certificates for many names, and no private key.
fn lists<'i>(inventory: &'i Inventory, mut in_files: Vec<(&'i str, u64)>) -> HashSet<&'i str> {
    in_files.sort_unstable();
    in_files.dedup();
    let least = |file: &str| if is_data(file) { RECORDS_MIN } else { LIST_MIN };
    let runs = in_files.chunk_by(|a, b| a.0 == b.0).filter(|run| run.len() >= least(run[0].0));
    let mut out: HashSet<&str> = runs.map(|run| run[0].0).collect();
    if !out.is_empty() {
        for key in inventory.keys() {
            out.remove(key.location.container());
        }
    }
    out
}

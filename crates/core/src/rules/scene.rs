//! Scenes for the tests of rules: real certificates, made in a line, at places that do not exist.

use std::net::SocketAddr;
use std::sync::Arc;

use notafter_pki::certificate::Certificate;
use notafter_pki::time::DAY;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};

use crate::change::Change;
use crate::dossier::{
    AnchorPlace, AnchorView, Around, AssetView, CaaView, ChainView, ClientPath, Dependent, Dossier,
    IssuerView, KeyBeside, Lineage, ManagedView, NameView, PathEnd, PathView, RenewedPair, Retired,
    RevokedView, SameKey, Subject, Successor,
};
use crate::finding::{Kind, Severity};
use crate::inventory::{Asset, AssetIx, AssetKind, BlindSpot, BytesAt, KeySighting, Placement, Role};
use crate::joints::{Rule, Verdict};
use crate::location::Location;
use crate::observation::{Facts, FileFacts, Link, LinkKind, Part, Reason, Whole};
use crate::owner::Owner;
use crate::policy::Policy;
use crate::upkeep::{Before, Starter, Upkeep};
use crate::{Fingerprint, KeyId, UnixTime};

/// The day on which every scene plays.
pub(crate) const NOW: UnixTime = UnixTime(1_795_219_200);

/// So many days from now.
pub(crate) fn days(n: i64) -> UnixTime {
    NOW.plus(n * DAY)
}

/// One asset and what surrounds it.
pub(crate) struct Scene {
    name: &'static str,
    ca: bool,
    begins: UnixTime,
    ends: UnixTime,
    places: Vec<Placement>,
    path: PathView,
    order: Vec<usize>,
    outlived_by: Option<UnixTime>,
    depended_on: Option<usize>,
    later_twin: bool,
    replaced: bool,
    public_anchor: bool,
    key_fits: Option<bool>,
    successor: Option<Option<&'static str>>,
    owner: Option<Owner>,
    managed: Vec<Upkeep>,
    left_behind: bool,
    next: bool,
    presented: bool,
    issued_by: Option<&'static str>,
    caa: Option<Vec<String>>,
    superseded: Option<i64>,
    both_usages: bool,
    /// How the successor is: of the same issuer, served already.
    successor_is: (bool, bool),
    lineage: Ring,
    purposes: Vec<rcgen::ExtendedKeyUsagePurpose>,
}

/// What stands around an asset by its names and keys.
#[derive(Default)]
struct Ring {
    /// Breaks something, is in service.
    changed: Option<(bool, bool)>,
    moved: u8,
    retired: bool,
    listed: bool,
    revoked: bool,
    named_by: Option<LinkKind>,
    /// A directive serves it on its port for these.
    configured_for: &'static [&'static str],
    same_key: Option<bool>,
}

impl Scene {
    pub(crate) fn leaf(name: &'static str) -> Self {
        Self::new(name, false)
    }

    pub(crate) fn root(name: &'static str) -> Self {
        Self::new(name, true)
    }

    fn new(name: &'static str, ca: bool) -> Self {
        let path = PathView {
            end: PathEnd::Trusted,
            missing: None,
            missing_is_certain: true,
            ends_at: "CN=Root".to_owned(),
            cut_short: false,
            public: false,
            dies_first: None,
            issuers: Vec::new(),
            clients: Vec::new(),
        };
        Self {
            name,
            ca,
            begins: days(-30),
            ends: days(60),
            places: Vec::new(),
            path,
            order: vec![0],
            outlived_by: None,
            depended_on: None,
            later_twin: false,
            replaced: false,
            public_anchor: false,
            key_fits: None,
            successor: None,
            owner: None,
            managed: Vec::new(),
            left_behind: false,
            next: false,
            presented: false,
            issued_by: None,
            caa: None,
            superseded: None,
            both_usages: false,
            successor_is: (true, false),
            lineage: Ring::default(),
            purposes: Vec::new(),
        }
    }

    pub(crate) fn begins(mut self, at: UnixTime) -> Self {
        self.begins = at;
        self
    }

    pub(crate) fn ends(mut self, at: UnixTime) -> Self {
        self.begins = at.plus(-90 * DAY);
        self.ends = at;
        self
    }

    pub(crate) fn lives(mut self, days_in_all: i64, days_left: i64) -> Self {
        self.ends = days(days_left);
        self.begins = self.ends.plus(-days_in_all * DAY);
        self
    }

    fn placed(mut self, location: Location, role: Role, leads: bool) -> Self {
        self.places.push(Placement {
            asset: AssetIx(0),
            location,
            role,
            chain: leads.then(|| vec![AssetIx(0)].into()),
            first_seen: NOW,
            last_seen: NOW,
            unseen_since: None,
            facts: Arc::new(Facts::default()),
        });
        self
    }

    pub(crate) fn served(self) -> Self {
        let role = if self.ca { Role::Root } else { Role::Leaf };
        self.placed(Location::endpoint("tls", address(1), None), role, true)
    }

    pub(crate) fn served_as(self, sni: &str) -> Self {
        self.placed(Location::endpoint("tls", address(1), Some(sni)), Role::Leaf, true)
    }

    pub(crate) fn in_file(self) -> Self {
        let role = if self.ca { Role::Root } else { Role::Leaf };
        self.placed(Location::file(b"/srv/a.pem", ""), role, true)
    }

    pub(crate) fn in_file_as(self, role: Role) -> Self {
        self.placed(Location::file(b"/srv/a.pem", ""), role, true)
    }

    pub(crate) fn in_chain(self) -> Self {
        self.placed(Location::endpoint("tls", address(1), None), Role::Intermediate, false)
    }

    pub(crate) fn path(mut self, end: PathEnd, missing: Option<&str>) -> Self {
        self.path.end = end;
        self.path.missing = missing.map(str::to_owned);
        self.path.missing_is_certain = end != PathEnd::UnknownIssuer;
        self
    }

    pub(crate) fn public(mut self) -> Self {
        self.path.public = true;
        self
    }

    /// Its path ends at this root.
    pub(crate) fn below(mut self, root: &str) -> Self {
        root.clone_into(&mut self.path.ends_at);
        self
    }

    /// It may be used by servers and by clients.
    pub(crate) fn for_clients_too(mut self) -> Self {
        self.both_usages = true;
        self
    }

    /// Sends the leaf (0), its issuer (1), that one's issuer (2) and the root (3) in this order.
    pub(crate) fn sent_in_order(mut self, order: &[usize]) -> Self {
        self.order = order.to_vec();
        self
    }

    pub(crate) fn outlived_by(mut self, end: UnixTime) -> Self {
        self.outlived_by = Some(end);
        self
    }

    /// It lies in this file.
    pub(crate) fn at_file(self, path: &str, role: Role) -> Self {
        self.placed(Location::parse(&format!("file://{path}")).unwrap(), role, true)
    }

    /// So many leaves stand on it.
    pub(crate) fn depended_on(mut self, leaves: usize) -> Self {
        self.depended_on = Some(leaves);
        self
    }

    /// A root of its name and key that ends later was seen somewhere; or in every bundle beside it.
    pub(crate) fn later_twin(mut self, beside: bool) -> Self {
        (self.later_twin, self.replaced) = (true, beside);
        self
    }

    /// It is one of Mozilla's.
    pub(crate) fn public_anchor(mut self) -> Self {
        self.public_anchor = true;
        self
    }

    /// A CA certificate on its path has so many days in all and so many left.
    pub(crate) fn issued_by(mut self, days_in_all: i64, days_left: i64, travels: bool) -> Self {
        let not_after = days(days_left);
        let not_before = not_after.plus(-days_in_all * DAY);
        let title = "Our CA".to_owned();
        self.path.issuers.push(IssuerView {
            id: Fingerprint([5; 32]),
            not_before,
            not_after,
            title,
            travels,
        });
        self
    }

    /// Some clients take a path that ends in so many days.
    pub(crate) fn old_path(mut self, days_left: i64) -> Self {
        self.path.clients.push(ClientPath {
            client: crate::clients::OPENSSL_1_0,
            ends: days(days_left),
            through: Fingerprint([6; 32]),
            title: "New Root, signed by Old Root".to_owned(),
            superfluous: Some("New Root, signed by Old Root".to_owned()),
        });
        self
    }

    pub(crate) fn with_key(mut self, fits: bool) -> Self {
        self.key_fits = Some(fits);
        self
    }

    /// Its owner needs so many days to replace it.
    pub(crate) fn owner_needs(mut self, days: u32) -> Self {
        let name = "web".to_owned();
        self.owner = Some(Owner { name, matches: vec![], default: true, needs_days: Some(days) });
        self
    }

    pub(crate) fn succeeded(mut self, link: Option<&'static str>) -> Self {
        self.successor = Some(link);
        self
    }

    /// Its issuer's organisation.
    pub(crate) fn of_organisation(mut self, organisation: &'static str) -> Self {
        self.issued_by = Some(organisation);
        self
    }

    /// Only these may issue.
    pub(crate) fn caa(mut self, allowed: &[&str]) -> Self {
        self.caa = Some(allowed.iter().map(|&value| value.to_owned()).collect());
        self
    }

    /// A later one from another issuer lies in a file.
    pub(crate) fn succeeded_by_another_issuer(mut self) -> Self {
        self.successor_is.0 = false;
        self.succeeded(None)
    }

    /// A later one lies in a file and is served elsewhere.
    pub(crate) fn succeeded_elsewhere(mut self) -> Self {
        self.successor_is.1 = true;
        self.succeeded(None)
    }

    /// A later one, which begins in so many days, is served, and this one nowhere.
    pub(crate) fn superseded(mut self, begins: i64) -> Self {
        self.superseded = Some(begins);
        self
    }

    /// A renewer keeps it alive; its state was read now.
    pub(crate) fn managed(mut self, renewal: Upkeep) -> Self {
        self.managed.push(renewal);
        self
    }

    /// A later one of the same names lies elsewhere.
    pub(crate) fn left_behind(mut self) -> Self {
        self.left_behind = true;
        self
    }

    /// Its last place is a part of this.
    pub(crate) fn part_of(mut self, of: Whole, crowd: bool) -> Self {
        if let Some(place) = self.places.last_mut() {
            let part = Part { of, name: "one".into(), usage: "signing".into(), crowd };
            place.facts = Arc::new(Facts { part: Some(Arc::new(part)), ..Facts::default() });
            place.chain = None;
        }
        self
    }

    /// The one before it was another: does that break anything, and is this one in service?
    pub(crate) fn changed(mut self, breaks: bool, in_service: bool) -> Self {
        self.lineage.changed = Some((breaks, in_service));
        self
    }

    /// So many endpoints serve a later one already.
    pub(crate) fn others_moved(mut self, endpoints: u8) -> Self {
        self.lineage.moved = endpoints;
        self
    }

    /// Something says that it is to be used no more.
    pub(crate) fn retired(mut self) -> Self {
        self.lineage.retired = true;
        self
    }

    /// It only stands in a list.
    pub(crate) fn listed(mut self) -> Self {
        self.lineage.listed = true;
        self
    }

    /// Its issuer says that it revoked it.
    pub(crate) fn revoked(mut self) -> Self {
        self.lineage.revoked = true;
        self
    }

    /// A configuration names its file.
    pub(crate) fn named_by(mut self, kind: LinkKind) -> Self {
        self.lineage.named_by = Some(kind);
        self
    }

    /// A configuration serves its file for these names.
    pub(crate) fn configured_for(mut self, names: &'static [&'static str]) -> Self {
        self.lineage.configured_for = names;
        self
    }

    /// Another certificate has its key; apart from it, or beside it.
    pub(crate) fn shares_its_key(mut self, apart: bool) -> Self {
        self.lineage.same_key = Some(apart);
        self
    }

    /// It says that it is for these.
    pub(crate) fn for_purposes(mut self, purposes: &[rcgen::ExtendedKeyUsagePurpose]) -> Self {
        self.purposes = purposes.to_vec();
        self
    }

    /// Other programs are connected to its last place.
    pub(crate) fn connected(mut self) -> Self {
        if let Some(place) = self.places.last_mut() {
            place.facts = Arc::new(Facts { connected: true, ..Facts::default() });
        }
        self
    }

    /// The next one lies beside it.
    pub(crate) fn with_next(mut self) -> Self {
        self.next = true;
        self
    }

    /// A later one of the same client lies above it.
    pub(crate) fn replaced(mut self) -> Self {
        self.replaced = true;
        self
    }

    /// A configuration shows it to others.
    pub(crate) fn presented(mut self) -> Self {
        self.presented = true;
        self
    }

    /// At an endpoint of another machine.
    pub(crate) fn served_far_away(self) -> Self {
        self.placed(
            Location::endpoint("tls", SocketAddr::from(([192, 0, 2, 1], 443)), None),
            Role::Leaf,
            true,
        )
    }

    /// Its last place has not been seen for so many days.
    pub(crate) fn unseen_for(mut self, n: i64) -> Self {
        if let Some(place) = self.places.last_mut() {
            place.unseen_since = Some(days(-n));
        }
        self
    }

    fn asset(&self, der: &[u8]) -> Asset {
        Asset {
            id: Fingerprint::of(der),
            kind: AssetKind::Certificate,
            bytes: BytesAt { offset: 0, length: 0 },
            not_before: Some(self.begins),
            not_after: Some(self.ends),
            key: Some(KeyId([7; 32])),
        }
    }

    /// Runs a rule on this scene; `None` means that it must find nothing.
    pub(crate) fn check(self, rule: &dyn Rule, expected: Option<(Kind, Severity)>) {
        let chain = chain(&self);
        let parsed: Vec<_> = chain.iter().map(|der| Certificate::parse(der).unwrap()).collect();
        let asset = self.asset(&chain[0]);
        let newer =
            Asset { id: Fingerprint([9; 32]), not_after: Some(self.ends.plus(80 * DAY)), ..asset.clone() };
        let later = Asset { not_before: self.superseded.map(days), ..newer.clone() };
        let other_end = Location::endpoint("tls", address(9), None);
        let link = self.lineage.named_by.map(|kind| Link {
            kind,
            from: Location::file(b"/srv/a.pem", ""),
            to: other_end.clone(),
            evidence: "a.conf:3".into(),
        });
        let serves = self.lineage.configured_for.iter().map(|name| Link {
            kind: LinkKind::Serves,
            from: Location::file(b"/srv/a.pem", ""),
            to: Location::endpoint("tls", SocketAddr::from(([0; 4], 443)), Some(name)),
            evidence: "a.conf:7".into(),
        });
        let links: Vec<Link> = link.into_iter().chain(serves).collect();
        let lineage = Lineage {
            renewals: self
                .lineage
                .changed
                .map(|(breaks, in_service)| RenewedPair {
                    older: &asset,
                    newer: &newer,
                    title: "a.test".to_owned(),
                    changes: vec![Change {
                        what: "eku",
                        text: "no longer for clientAuth".to_owned(),
                        breaks,
                    }],
                    in_service,
                    places: self.places.iter().map(|p| &p.location).collect(),
                })
                .into_iter()
                .collect(),
            moved: (self.lineage.moved > 0)
                .then(|| (&newer, (0..self.lineage.moved).map(|_| &other_end).collect())),
            retired: self
                .lineage
                .retired
                .then(|| Retired {
                    because: "its folder says so".to_owned(),
                    place: &self.places[0].location,
                })
                .into_iter()
                .collect(),
            listed: self.lineage.listed,
            used_by: links.iter().collect(),
            same_key: self
                .lineage
                .same_key
                .map(|apart| SameKey {
                    asset: &newer,
                    title: "b.test".to_owned(),
                    places: vec![&other_end],
                    apart,
                })
                .into_iter()
                .collect(),
            told_by: Vec::new(),
        };
        let file = Location::file(b"/srv/live.pem", "");
        let key = KeySighting {
            key: Some(KeyId([if self.key_fits == Some(true) { 7 } else { 8 }; 32])),
            format: "PKCS#8",
            encrypted: false,
            location: Location::file(b"/srv/a.key", ""),
            seen: NOW,
            facts: Arc::new(Facts::default()),
        };
        let leading: Vec<_> = self.places.iter().filter(|p| p.chain.is_some()).collect();
        let view = AssetView {
            asset: &asset,
            certificate: Some(parsed[0]),
            statement: None,
            places: self.places.iter().collect(),
            chains: vec![ChainView {
                places: leading,
                sent: self.order.iter().map(|i| parsed[*i]).collect(),
                path: self.path.clone(),
            }],
            outlived_by: self
                .outlived_by
                .map(|not_after| Dependent { leaf: Fingerprint([1; 32]), not_after, locations: vec![&file] })
                .into_iter()
                .collect(),
            zone: None,
            caa: self
                .caa
                .clone()
                .map(|allowed| CaaView {
                    name: self.name.to_owned(),
                    records_of: self.name.to_owned(),
                    allowed,
                    critical: None,
                    seen_at: &file,
                })
                .into_iter()
                .collect(),
            logged: None,
            superseded_by: self.superseded.is_some().then_some(&later),
            lineage,
            managed: self
                .managed
                .iter()
                .map(|renewal| ManagedView {
                    renewal,
                    looked: NOW,
                    usual: None,
                    left_behind: self.left_behind,
                })
                .collect(),
            anchor: self.depended_on.map(|leaves| AnchorView {
                dependents: (0..leaves)
                    .map(|n| Dependent {
                        leaf: Fingerprint([n as u8; 32]),
                        not_after: days(90),
                        locations: vec![&file],
                    })
                    .collect(),
                dependents_total: leaves,
                has_later_twin: self.later_twin,
                places: self
                    .places
                    .iter()
                    .map(|place| AnchorPlace { place, replaced: self.replaced })
                    .collect(),
                public: self.public_anchor,
            }),
            keys_beside: self
                .key_fits
                .map(|_| KeyBeside { key: &key, place: &self.places[0], because: "same name" })
                .into_iter()
                .collect(),
            key_seen: self.key_fits == Some(true),
            around: Around {
                next: self.next.then_some(&file),
                replaced_by: self.replaced.then_some(&file),
                presented: if self.presented { vec!["a.conf, line 1"] } else { Vec::new() },
                ..Around::default()
            },
            successors: self
                .successor
                .map(|link| Successor {
                    asset: &newer,
                    file: &file,
                    endpoint: &self.places[0].location,
                    link,
                    same_issuer: self.successor_is.0,
                    served: self.successor_is.1,
                })
                .into_iter()
                .collect(),
            lapsed: None,
            habit: Vec::new(),
            revoked: self.lineage.revoked.then_some(RevokedView {
                listed: true,
                place: &file,
                since: None,
                reason: None,
            }),
        };
        judge(Subject::Asset(view), rule, self.owner.clone(), expected);
    }
}

/// certbot's lineage `a.test`, renewed thirty days before the end by a timer that ran an hour ago.
pub(crate) fn renewal() -> Upkeep {
    let file = |path: &str| Location::file(path.as_bytes(), "");
    let starter = Starter {
        what: "certbot.timer".into(),
        place: file("/lib/systemd/system/certbot.timer"),
        enabled: true,
        every: Some(DAY),
    };
    Upkeep {
        tool: "certbot".into(),
        lineage: "a.test".into(),
        state: file("/etc/letsencrypt/renewal/a.test.conf"),
        home: file("/etc/letsencrypt"),
        names: vec!["a.test".into()],
        certificates: vec![file("/etc/letsencrypt/live/a.test/fullchain.pem")],
        planned: None,
        before: Some(Before::Seconds(30 * DAY)),
        automatic: true,
        resident: false,
        account: None,
        server: None,
        solver: Some("webroot".into()),
        hooks: Vec::new(),
        starter: Some(starter),
        starter_known: true,
        last_run: Some(NOW.plus(-3600)),
        failures: None,
        broken: Vec::new(),
        credentials: Vec::new(),
    }
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, last], 443))
}

/// The leaf and its issuers, as DER; only as many as the scene sends.
fn chain(scene: &Scene) -> Vec<Vec<u8>> {
    let time = |t: UnixTime| time::OffsetDateTime::from_unix_timestamp(t.0).unwrap();
    let params = |name: &str, ca: bool, begins, ends| {
        let mut params = CertificateParams::new(if ca { vec![] } else { vec![name.to_owned()] }).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = time(begins);
        params.not_after = time(ends);
        if !ca {
            params.extended_key_usages = scene.purposes.clone();
        }
        if ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params
    };
    let mut out = Vec::new();
    let mut first = params(scene.name, scene.ca, scene.begins, scene.ends);
    if scene.both_usages {
        first.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    }
    if let Some(organisation) = scene.issued_by {
        // Its own issuer: only the name counts.
        first.distinguished_name.push(DnType::OrganizationName, organisation);
    }
    if scene.order.len() == 1 && scene.order[0] == 0 {
        let key = KeyPair::generate().unwrap();
        return vec![first.self_signed(&key).unwrap().der().to_vec()];
    }
    let mut issuer = {
        let root = params("Root", true, days(-1000), days(1000));
        let key = KeyPair::generate().unwrap();
        out.push(root.self_signed(&key).unwrap().der().to_vec());
        rcgen::Issuer::new(root, key)
    };
    for name in ["Int 2", "Int 1"] {
        let next = params(name, true, days(-900), days(900));
        let key = KeyPair::generate().unwrap();
        out.push(next.signed_by(&key, &issuer).unwrap().der().to_vec());
        issuer = rcgen::Issuer::new(next, key);
    }
    out.push(first.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().to_vec());
    out.reverse();
    out
}

pub(crate) fn judge(
    subject: Subject<'_>,
    rule: &dyn Rule,
    owner: Option<Owner>,
    expected: Option<(Kind, Severity)>,
) {
    judge_at(subject, rule, owner, expected, NOW);
}

pub(crate) fn judge_at(
    subject: Subject<'_>,
    rule: &dyn Rule,
    owner: Option<Owner>,
    expected: Option<(Kind, Severity)>,
    now: UnixTime,
) {
    let policy = Policy { gone_after: Some(7 * DAY), owners_expected: true, ..Policy::default() };
    let verdict = rule.check(&Dossier { subject, policy: &policy, owner: owner.as_ref() }, now);
    if let Some(next) = verdict.holds_until() {
        assert!(next > now, "holds_until lies in the past: {next}");
    }
    let found = match &verdict {
        Verdict::Found { findings, .. } => findings.as_slice(),
        _ => &[],
    };
    for finding in found {
        assert!(!finding.summary.is_empty() && !finding.hint.is_empty(), "{finding:?}");
        let of_the_server = matches!(
            finding.kind,
            Kind::SourceStale | Kind::OwnerUnreachable | Kind::AlertUndelivered | Kind::ClockSkew
        );
        assert!(!finding.locations.is_empty() || of_the_server, "{finding:?}");
    }
    let got: Vec<_> = found.iter().map(|f| (f.kind, f.severity)).collect();
    assert_eq!(got, expected.into_iter().collect::<Vec<_>>(), "{found:?}");
}

/// One name at as many addresses as there are leaves.
pub(crate) fn name_at(leaves: Vec<Scene>, rule: &dyn Rule, expected: Option<(Kind, Severity)>) {
    let made: Vec<_> = leaves
        .into_iter()
        .enumerate()
        .map(|(n, scene)| {
            let location = Location::endpoint("tls", address(n as u8 + 1), Some("a.test"));
            let asset = Asset { id: Fingerprint([n as u8; 32]), ..scene.asset(b"") };
            (scene.placed(location, Role::Leaf, true).places.remove(0), asset)
        })
        .collect();
    let served = made.iter().map(|(place, asset)| (place, asset)).collect();
    let view = NameView { name: "a.test", scheme: "tls", port: 443, served, defaults: Vec::new() };
    judge(Subject::Name(view), rule, None, expected);
}

/// One name at one address, and what is shown there without a name.
pub(crate) fn name_with_default(
    named: Scene,
    default: Scene,
    rule: &dyn Rule,
    expected: Option<(Kind, Severity)>,
) {
    let asset = |n: u8, scene: &Scene| Asset { id: Fingerprint([n; 32]), ..scene.asset(b"") };
    let (named_asset, default_asset) = (asset(1, &named), asset(2, &default));
    let (named, default) = (named.served_as("a.test"), default.served());
    let view = NameView {
        name: "a.test",
        scheme: "tls",
        port: 443,
        served: vec![(&named.places[0], &named_asset)],
        defaults: vec![(&default.places[0], &default_asset)],
    };
    judge(Subject::Name(view), rule, None, expected);
}

/// A private key in a file.
pub(crate) fn key_file(
    mode: u32,
    encrypted: bool,
    reachable_by_others: bool,
    rule: &dyn Rule,
    expected: Option<(Kind, Severity)>,
) {
    let file = FileFacts { mode, uid: 0, owner: Some("root".into()), mtime: NOW, reachable_by_others };
    let key = KeySighting {
        key: None,
        format: "PKCS#8",
        encrypted,
        location: Location::file(b"/srv/a.key", ""),
        seen: NOW,
        facts: Arc::new(Facts { file: Some(Arc::new(file)), ..Facts::default() }),
    };
    judge(Subject::Key(&key), rule, None, expected);
}

/// A place that could not be seen.
pub(crate) fn blind(location: &str, reason: Reason, rule: &dyn Rule, expected: Option<(Kind, Severity)>) {
    let location = Location::parse(location).unwrap();
    judge(Subject::Blind(&BlindSpot { location, reason, detail: "because".into() }), rule, None, expected);
}

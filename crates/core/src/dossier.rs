//! All that is known about one subject at one instant, gathered once, so that rules never query.
//!
//! `engine/assess.rs` gathers; rules read. Paths to trust anchors are built there too: a rule never
//! builds a chain and never checks a signature.

use notafter_pki::certificate::Certificate;
use notafter_pki::dns::KeyIdentity;
use notafter_pki::statement::Statement;

use crate::census::CrowdView;
use crate::change::Change;
use crate::inventory::{Asset, BlindSpot, KeySighting, Placement, Role};
use crate::location::Location;
use crate::observation::{Link, Part, Whole};
use crate::owner::Owner;
use crate::policy::Policy;
use crate::upkeep::Upkeep;
use crate::{Fingerprint, UnixTime};

/// One subject with everything a rule may ask about it.
pub struct Dossier<'a> {
    /// What is judged.
    pub subject: Subject<'a>,
    /// What the organisation wants.
    pub policy: &'a Policy,
    /// Who answers for it.
    pub owner: Option<&'a Owner>,
}

/// So long after its end nobody waits for a renewal any more, in seconds.
const GIVEN_UP: i64 = 30 * notafter_pki::time::DAY;

/// What can be judged. One at a time, on the stack: its size costs nothing.
#[allow(clippy::large_enum_variant)]
pub enum Subject<'a> {
    /// An asset, with all its places.
    Asset(AssetView<'a>),
    /// One server name on one port, at all its addresses.
    Name(NameView<'a>),
    /// A private key in a file.
    Key(&'a KeySighting),
    /// A place that could not be seen.
    Blind(&'a BlindSpot),
    /// A source of the server.
    Source(SourceView<'a>),
    /// An owner, and whether word gets through.
    Owner(OwnerView<'a>),
    /// The server's own clock.
    Clock(ClockView<'a>),
    /// Many of one owner's that end together.
    Crowd(CrowdView<'a>),
}

/// A source, and when it last succeeded.
#[derive(Clone, Copy, Debug)]
pub struct SourceView<'a> {
    /// Its name in the configuration.
    pub name: &'a str,
    /// It runs so often, in seconds.
    pub every: i64,
    /// The end of its last complete run.
    pub last_success: Option<UnixTime>,
    /// When it was first to run.
    pub since: UnixTime,
    /// Until here it is given time: the server has begun, or the clock was set, and it could not look yet.
    pub grace: UnixTime,
    /// Why its last run failed.
    pub fault: Option<&'a str>,
    /// How many places depend on it.
    pub places: u64,
}

/// An owner, and what became of the last messages.
#[derive(Clone, Copy, Debug)]
pub struct OwnerView<'a> {
    /// The owner's name.
    pub name: &'a str,
    /// Is this the one who is told when nobody else is left?
    pub last_resort: bool,
    /// Each channel with what came back last, `None` while all is well.
    pub channels: &'a [ChannelView<'a>],
}

/// One channel of an owner.
#[derive(Clone, Copy, Debug)]
pub struct ChannelView<'a> {
    /// `NOTIFIER` or `NOTIFIER:ADDRESS`.
    pub name: &'a str,
    /// What came back from the last message, if it was given up.
    pub failed: Option<&'a str>,
    /// When that was.
    pub at: UnixTime,
}

/// How the wall clock has moved against the one that only counts.
#[derive(Clone, Copy, Debug)]
pub struct ClockView<'a> {
    /// By how many seconds it is ahead of those of servers that were asked.
    pub peers: &'a [(Location, i64)],
    /// By so many seconds it was set, forwards or back (negative), while the server ran.
    pub jumped: i64,
    /// When, by the clock as it is now.
    pub at: UnixTime,
    /// Until when messages are held back.
    pub held_until: UnixTime,
}

impl<'a> Dossier<'a> {
    /// The asset, if that is what is judged.
    pub fn asset(&self) -> Option<&AssetView<'a>> {
        match &self.subject {
            Subject::Asset(view) => Some(view),
            _ => None,
        }
    }

    /// The asset and its certificate, if the asset is a certificate that could be read.
    pub fn certificate(&self) -> Option<(&AssetView<'a>, Certificate<'a>)> {
        let view = self.asset()?;
        Some((view, view.certificate?))
    }
}

/// An asset and where it is.
pub struct AssetView<'a> {
    /// The asset.
    pub asset: &'a Asset,
    /// Its certificate, if it is one and could be read.
    pub certificate: Option<Certificate<'a>>,
    /// What it states, if it is kept as a statement.
    pub statement: Option<Statement>,
    /// Every place, keys excluded.
    pub places: Vec<&'a Placement>,
    /// The chains it leads, each distinct one once.
    pub chains: Vec<ChainView<'a>>,
    /// For a CA certificate: what depends on it and lives longer.
    pub outlived_by: Vec<Dependent<'a>>,
    /// For a CA certificate that lies in a file for its own sake: what it is there for.
    pub anchor: Option<AnchorView<'a>>,
    /// Private keys that stand beside it by file name or in the same file.
    pub keys_beside: Vec<KeyBeside<'a>>,
    /// Was its private key seen anywhere?
    pub key_seen: bool,
    /// Later certificates for the same names that lie in files, for each endpoint that serves this one.
    pub successors: Vec<Successor<'a>>,
    /// The later one that has taken its place: the same names, while this one is served nowhere and named by no
    /// configuration. It may begin later than now.
    pub superseded_by: Option<&'a Asset>,
    /// Who renews it, as far as renewers' own state says it.
    pub managed: Vec<ManagedView<'a>>,
    /// What else there is of the same thing elsewhere.
    pub around: Around<'a>,
    /// Where it stands among the others of its names.
    pub lineage: Lineage<'a>,
    /// For signatures, keys and trust anchors of a zone: what else was seen of that zone.
    pub zone: Option<ZoneView<'a>>,
    /// For a certificate that is served: who may issue for its names, as far as CAA records were seen.
    pub caa: Vec<CaaView<'a>>,
    /// For what a public log has: what is known of it. Entries of logs are no places.
    pub logged: Option<LoggedView<'a>>,
    /// When another one of its line or its names ended while it was in use, the last time.
    pub lapsed: Option<UnixTime>,
    /// What was left of each of its predecessors when the next one began, in seconds ([`crate::outlook::habit`]).
    pub habit: Vec<i64>,
    /// For a certificate: who says that its issuer revoked it.
    pub revoked: Option<RevokedView<'a>>,
}

/// What says that a certificate was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedView<'a> {
    /// Does a list say it, whose signature is the issuer's? Else it is the response that the endpoint itself staples.
    pub listed: bool,
    /// Where that is.
    pub place: &'a Location,
    /// Since when.
    pub since: Option<UnixTime>,
    /// The reason code by its name (RFC 5280 section 5.3.1).
    pub reason: Option<String>,
}

/// What is known of a certificate that a public log has.
pub struct LoggedView<'a> {
    /// Its entries in logs.
    pub at: Vec<&'a Location>,
    /// Where it, or the certificate of this precertificate, is besides: served, or in a file.
    pub known_at: Option<&'a Location>,
    /// For a precertificate: does a log have the certificate that came of it? Then that one speaks for both.
    pub issued: bool,
    /// The organisations that issued what is served here.
    pub issuers: Vec<String>,
}

/// What was seen of a zone of the DNS beside the thing that is judged.
pub struct ZoneView<'a> {
    /// The keys at which trust in it begins, as the copy has them that was signed last; `None`: none was seen, and
    /// empty: it has none.
    pub keys: Option<Vec<KeyIdentity>>,
    /// Where that copy is.
    pub keys_at: Option<&'a Location>,
    /// A copy that was signed later than this one.
    pub newer: Option<&'a Location>,
}

/// Who may issue for a name: the CAA records nearest above it.
pub struct CaaView<'a> {
    /// The name of the certificate.
    pub name: String,
    /// The name that has the records.
    pub records_of: String,
    /// The values of `issue`, or of `issuewild` for a wildcard.
    pub allowed: Vec<String>,
    /// A critical property that no standard knows: nobody may issue (RFC 8659 section 4.5), and `allowed` is empty.
    pub critical: Option<String>,
    /// Where they were seen.
    pub seen_at: &'a Location,
}

/// A lineage of a renewer whose present certificate an asset is.
pub struct ManagedView<'a> {
    /// What the renewer says.
    pub renewal: &'a Upkeep,
    /// When that was read last.
    pub looked: UnixTime,
    /// So many seconds before their ends its predecessors were renewed, usually.
    pub usual: Option<i64>,
    /// Does a later certificate of the same names lie or stand somewhere else, and this one is served nowhere? Then
    /// nobody waits for this lineage.
    pub left_behind: bool,
}

impl ManagedView<'_> {
    /// The day on which this certificate should change, and the instant from which it is late.
    pub fn due(&self, asset: &Asset) -> Option<(UnixTime, UnixTime)> {
        let (begin, end) = (asset.not_before?, asset.not_after?);
        let due = self.renewal.due(begin, end, self.usual);
        let grace = self.renewal.grace(end.0.saturating_sub(begin.0));
        Some((due, due.plus(grace).min(end)))
    }

    /// Until when the renewer's state is known: the instant of judgment, unless it was looked at before that. A state
    /// that speaks of what comes after the look was made for the instant of judgment.
    pub fn known_until(&self, now: UnixTime) -> UnixTime {
        match self.renewal.last_run {
            Some(last) if last > self.looked => now,
            _ => now.min(self.looked),
        }
    }
}

/// What else there is of the same thing: the next key beside it, other copies of it.
#[derive(Default)]
pub struct Around<'a> {
    /// Beside it in the same metadata or the same key set, for the same use, and there for longer.
    pub next: Option<&'a Location>,
    /// For the metadata of an entity, and its certificates in them: every copy that was seen, its own included, where there
    /// are several.
    pub copies: Vec<CopyView<'a>>,
    /// For an OpenPGP key: other copies of the same key, which end later or never.
    pub extended: Vec<(&'a Asset, &'a Location)>,
    /// For a certificate that is shown as a client: by which configuration, as evidence.
    pub presented: Vec<&'a str>,
    /// For a revocation list, signed metadata and a subkey: what has taken its place beside it, in the same folder or file,
    /// wherever it lies.
    pub overtaken_by: Option<&'a Location>,
    /// A later certificate of the same client in the same folder or above it, where nothing is known to use this one.
    pub replaced_by: Option<&'a Location>,
    /// For a key of a key set, and its certificate: tokens that name it, each by one place.
    pub tokens: Vec<(&'a Asset, &'a Location)>,
    /// For a certificate that may be shown as a client: who asks for such.
    pub accepted: Accepted<'a>,
}

/// The endpoints that ask for client certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// Those that name an issuer of this one.
    pub named: Vec<&'a Location>,
    /// Those that name no CA: they may accept any, or tell them apart in another way.
    pub any: Vec<&'a Location>,
}

impl Accepted<'_> {
    /// The first endpoints that name its issuer, in a few words; `None` where there are none.
    pub fn in_words(&self) -> Option<String> {
        let first: Vec<&str> = self.named.iter().take(3).map(|place| place.as_str()).collect();
        let more = self.named.len().saturating_sub(first.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!first.is_empty()).then(|| format!("{}{more}", first.join(", ")))
    }
}

/// One copy of the metadata of an entity.
pub struct CopyView<'a> {
    /// Where it says that it is about the entity.
    pub place: &'a Location,
    /// The certificates that it names for it.
    pub certificates: Vec<&'a Asset>,
    /// Is the entity one of very many there?
    pub crowd: bool,
}

/// What is known of a certificate from others of its names, and of its places from one another.
#[derive(Default)]
pub struct Lineage<'a> {
    /// The one before it and the one after it, where they differ in more than their dates.
    pub renewals: Vec<RenewedPair<'a>>,
    /// A later one, and where it is served already, while this one is still served.
    pub moved: Option<(&'a Asset, Vec<&'a Location>)>,
    /// What says that it was to be used no more.
    pub retired: Vec<Retired<'a>>,
    /// It lies only in lists: files that tell of many certificates and hold no key.
    pub listed: bool,
    /// Its places in data that tell of certificates of others or of logs: lists, and records in JSON without a key.
    pub told_by: Vec<&'a Location>,
    /// Configurations that name a file of it, with their evidence.
    pub used_by: Vec<&'a Link>,
    /// Other certificates, for other names, with its key.
    pub same_key: Vec<SameKey<'a>>,
}

/// Two successive certificates of one line, and how they differ.
pub struct RenewedPair<'a> {
    /// The earlier one.
    pub older: &'a Asset,
    /// The later one.
    pub newer: &'a Asset,
    /// What to call them.
    pub title: String,
    /// In what, apart from serial and dates. Not empty.
    pub changes: Vec<Change>,
    /// Is the later one served, so that it is too late to hold it back?
    pub in_service: bool,
    /// Where the later one lies, then where the earlier one does its work.
    pub places: Vec<&'a Location>,
}

/// Why a certificate ought not to be in use any more.
pub struct Retired<'a> {
    /// In a few words.
    pub because: String,
    /// The place that says so.
    pub place: &'a Location,
}

/// Another certificate with the same key.
pub struct SameKey<'a> {
    /// The other one.
    pub asset: &'a Asset,
    /// What to call it.
    pub title: String,
    /// Where it is.
    pub places: Vec<&'a Location>,
    /// Does somebody else answer for it, or is it on other hosts?
    pub apart: bool,
}

/// A chain as sent or stored, and what comes of it.
pub struct ChainView<'a> {
    /// Every place that has exactly this chain.
    pub places: Vec<&'a Placement>,
    /// The certificates in the order of the place, leaf first, those that could be read.
    pub sent: Vec<Certificate<'a>>,
    /// What path building says.
    pub path: PathView,
}

impl ChainView<'_> {
    /// Is it sent by a server, rather than stored in a file?
    pub fn is_served(&self) -> bool {
        self.places.iter().any(|p| p.location.is_endpoint())
    }

    /// Its places.
    pub fn locations(&self) -> impl Iterator<Item = &Location> {
        self.places.iter().map(|p| &p.location)
    }
}

/// Where a chain leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathView {
    /// The end of the best path.
    pub end: PathEnd,
    /// The best path needs a certificate that was not sent: the subject of the first such.
    pub missing: Option<String>,
    /// Where the path ends: the subject of the root, or the name of the issuer that was not found.
    pub ends_at: String,
    /// Did the search give up before it had tried everything?
    pub cut_short: bool,
    /// Is it certain that something is missing? A leaf alone under an unknown issuer may be complete.
    pub missing_is_certain: bool,
    /// Does the path end at a root of the public web (Mozilla's list)?
    pub public: bool,
    /// The CA certificate on the path that ends first, unless it ends with or after the leaf:
    /// its identity, its end and its subject. A root that lies in a file is told of as an anchor instead.
    pub dies_first: Option<(Fingerprint, UnixTime, String)>,
    /// The CA certificates on the path that somebody here has to renew: all but roots that come with systems.
    pub issuers: Vec<IssuerView>,
    /// Clients whose own path ends before the best one and before the leaf; who ends first stands first.
    pub clients: Vec<ClientPath>,
}

/// A CA certificate on a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerView {
    /// Which.
    pub id: Fingerprint,
    /// Its validity.
    pub not_before: UnixTime,
    /// Its validity.
    pub not_after: UnixTime,
    /// What to call it.
    pub title: String,
    /// Is it told of by `chain-expires-first` where it ends before a leaf? All are but roots that lie in files, which are
    /// anchors, and roots that were named and not seen.
    pub travels: bool,
}

/// A path that some clients take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientPath {
    /// Who takes it: names of `clients.rs`.
    pub client: &'static str,
    /// When it ends.
    pub ends: UnixTime,
    /// The certificate on it that ends then.
    pub through: Fingerprint,
    /// What to call that one, and who issued it.
    pub title: String,
    /// A sent certificate without which the client would find the better path: what to stop sending.
    pub superfluous: Option<String>,
}

/// A CA certificate in files, as what others are checked against.
pub struct AnchorView<'a> {
    /// Leaves that are in force and stand on it or on another certificate of its name and key; at most a thousand.
    pub dependents: Vec<Dependent<'a>>,
    /// How many there are.
    pub dependents_total: usize,
    /// Was a root of its name and key seen anywhere that ends later?
    pub has_later_twin: bool,
    /// Its places in files where it lies for its own sake.
    pub places: Vec<AnchorPlace<'a>>,
    /// Is it on Mozilla's list? Clients renew those by themselves.
    pub public: bool,
}

/// Where an anchor lies.
#[derive(Clone, Copy)]
pub struct AnchorPlace<'a> {
    /// The place.
    pub place: &'a Placement,
    /// Does one that takes its place lie beside it: a later root of its name, or one that is in use while this is not?
    pub replaced: bool,
}

/// The end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathEnd {
    /// At a trust anchor.
    Trusted,
    /// At a self-signed CA that is not a trust anchor: a private one.
    PrivateRoot,
    /// The leaf is its own issuer.
    SelfSigned,
    /// The issuer of the last certificate was not seen anywhere.
    UnknownIssuer,
    /// An issuer by name is there, but the signature is not by its key.
    BadSignature,
}

/// What depends on a CA certificate and lives longer than it.
pub struct Dependent<'a> {
    /// The dependent leaf.
    pub leaf: Fingerprint,
    /// When it ends.
    pub not_after: UnixTime,
    /// Where it is served.
    pub locations: Vec<&'a Location>,
}

/// A private key beside a certificate.
pub struct KeyBeside<'a> {
    /// The key.
    pub key: &'a KeySighting,
    /// The certificate's place that it stands beside.
    pub place: &'a Placement,
    /// Why they belong together: `same file`, `same name`.
    pub because: &'static str,
}

/// A later certificate for the same names in a file.
pub struct Successor<'a> {
    /// The later one.
    pub asset: &'a Asset,
    /// Its file.
    pub file: &'a Location,
    /// The endpoint that still serves the older one.
    pub endpoint: &'a Location,
    /// How we know that the file is what the endpoint serves; `None` when we do not.
    pub link: Option<&'a str>,
    /// Is it from the same issuer, or at least from one of the same organisation?
    pub same_issuer: bool,
    /// Is it served anywhere?
    pub served: bool,
}

/// One server name on one port.
pub struct NameView<'a> {
    /// The name sent.
    pub name: &'a str,
    /// `tls`, `smtp`, ...
    pub scheme: &'a str,
    /// The port.
    pub port: u16,
    /// Each address with what it serves as leaf.
    pub served: Vec<(&'a Placement, &'a Asset)>,
    /// What the same addresses and ports serve to those who send no name.
    pub defaults: Vec<(&'a Placement, &'a Asset)>,
}

impl<'a> AssetView<'a> {
    /// An asset at its places, with nothing else known.
    pub fn bare(asset: &'a Asset, places: Vec<&'a Placement>) -> Self {
        Self {
            asset,
            certificate: None,
            statement: None,
            places,
            chains: Vec::new(),
            outlived_by: Vec::new(),
            keys_beside: Vec::new(),
            key_seen: false,
            successors: Vec::new(),
            superseded_by: None,
            anchor: None,
            managed: Vec::new(),
            around: Around::default(),
            lineage: Lineage::default(),
            zone: None,
            caa: Vec::new(),
            logged: None,
            lapsed: None,
            habit: Vec::new(),
            revoked: None,
        }
    }

    /// How long it lives, in seconds; nothing where its beginning or its end is not known.
    pub fn lifetime(&self) -> i64 {
        let (begin, end) = (self.asset.not_before, self.asset.not_after);
        begin.zip(end).map_or(0, |(begin, end)| end.0.saturating_sub(begin.0))
    }

    /// Is it in this role anywhere?
    pub fn has_role(&self, role: Role) -> bool {
        self.places.iter().any(|p| p.role == role)
    }

    /// The endpoints where it is the leaf.
    pub fn served_at(&self) -> impl Iterator<Item = &Location> {
        self.places.iter().filter(|p| p.location.is_endpoint() && p.role == Role::Leaf).map(|p| &p.location)
    }

    /// Those lineages of it that renew by themselves, unless its time is long over.
    pub fn automatic(&self, now: UnixTime) -> impl Iterator<Item = &ManagedView<'_>> {
        let over = self.asset.not_after.is_none_or(|end| end.plus(GIVEN_UP) < now);
        self.managed.iter().filter(move |m| m.renewal.automatic && !over)
    }

    /// The day on which it should change by itself, and the instant from which it is late: of several plans the last.
    /// `None` where nobody renews it.
    pub fn changes(&self, now: UnixTime) -> Option<(&ManagedView<'_>, UnixTime, UnixTime)> {
        let plans = self.automatic(now).filter_map(|m| Some((m, m.due(self.asset)?)));
        let (one, (due, late)) = plans.max_by_key(|(_, (_, late))| *late)?;
        Some((one, due, late))
    }

    /// The later one that has taken its place and begins in time: by now, or before this one ends. Else when it begins.
    pub fn superseded(&self, now: UnixTime) -> Result<&'_ Asset, Option<UnixTime>> {
        let later = self.superseded_by.ok_or(None)?;
        let late = |begin: &UnixTime| *begin > now && self.asset.not_after.is_none_or(|end| *begin > end);
        match later.not_before.filter(late) {
            Some(begin) => Err(Some(begin)),
            None => Ok(later),
        }
    }

    /// Is it only ever a member of a trust store?
    pub fn only_trust_anchor(&self) -> bool {
        !self.places.is_empty() && self.places.iter().all(|p| p.role == Role::TrustAnchor)
    }

    /// Does somebody here have to renew it? A leaf does; a CA certificate only where it is kept as such
    /// in a file (an intermediate only beside its key: else it is someone's chain, and goes when the
    /// leaf is renewed), not where it merely travels with a chain or stands in a trust store.
    pub fn is_ours_to_renew(&self) -> bool {
        !self.is_correspondents()
            && self.places.iter().any(|p| match p.role {
                Role::Leaf | Role::Client | Role::Signer => p.facts.part.is_none(),
                Role::Root => p.location.is_file() && p.chain.is_some(),
                Role::Intermediate => p.location.is_file() && p.chain.is_some() && self.key_seen,
                Role::TrustAnchor | Role::Key | Role::Logged => false,
            })
    }

    /// Its places within metadata, key sets or signatures, as the case may be; what is one of very many there is others'.
    pub fn parts(&self, of: Whole) -> impl Iterator<Item = (&'a Placement, &'a Part)> {
        let places = self.places.iter().filter(|p| !p.location.is_published());
        places.filter_map(move |p| {
            let part = p.facts.part.as_deref().filter(|part| part.of == of && !part.crowd)?;
            Some((*p, part))
        })
    }

    /// Does it lie somewhere for its own sake: neither in a trust store nor behind a leaf?
    pub fn lies_for_itself(&self) -> bool {
        self.places.iter().any(|p| p.role != Role::TrustAnchor && p.chain.is_some())
    }

    /// Does it merely stand in mail, as whoever signed that sends it along, and its key was never seen here?
    pub fn is_correspondents(&self) -> bool {
        let in_mail =
            |p: &&Placement| p.location.fragment().is_some_and(|f| f.split('/').any(|part| part == "smime"));
        !self.key_seen && !self.places.is_empty() && self.places.iter().all(in_mail)
    }

    /// Do others hang on it, as a root that lies in a file? Its end is told as that of an anchor then, not as that of a
    /// certificate. Roots that come with systems are not ours to tell of.
    pub fn is_anchor(&self) -> bool {
        let root = self.has_role(Role::Root) || self.has_role(Role::TrustAnchor);
        root && self.anchor.as_ref().is_some_and(|a| a.dependents_total > 0 && !a.public)
    }

    /// Does it lie nowhere but in what packages ship: programs, sources, manuals, tests?
    pub fn is_only_published(&self) -> bool {
        self.places.iter().all(|p| p.location.is_published())
    }

    /// All its places.
    pub fn locations(&self) -> impl Iterator<Item = &Location> {
        self.places.iter().map(|p| &p.location)
    }

    /// What to call it in a sentence: the first DNS name, else the common name, else the subject.
    pub fn title(&self) -> String {
        match (&self.certificate, &self.statement) {
            (Some(certificate), _) => title(certificate),
            (None, Some(statement)) => statement.title().to_owned(),
            (None, None) => self.asset.id.to_string(),
        }
    }
}

/// What to call a certificate in a sentence.
pub fn title(certificate: &Certificate<'_>) -> String {
    let names = crate::document::names(certificate);
    if let Some(name) = names.dns_and_ip.into_iter().next() {
        return name;
    }
    if let Some(name) = certificate.subject().common_name().filter(|n| !n.is_empty()) {
        return name;
    }
    certificate.subject().to_rfc4514()
}

/// Days as people read them in a sentence: whole, rounded towards less.
pub fn days_text(deadline: UnixTime, now: UnixTime) -> String {
    let seconds = deadline.0.saturating_sub(now.0);
    let (n, unit) = match seconds.unsigned_abs() {
        s if s < 7200 => (s / 60, "minute"),
        s if s < 2 * 86_400 => (s / 3600, "hour"),
        s => (s / 86_400, "day"),
    };
    let plural = if n == 1 { "" } else { "s" };
    if seconds < 0 { format!("{n} {unit}{plural} ago") } else { format!("in {n} {unit}{plural}") }
}

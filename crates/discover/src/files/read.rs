//! Turns what a file holds into observations: which certificates lead a chain, which only follow one,
//! which are a trust store; which keys are there.
//!
//! Between `open.rs` and `members.rs`, who have the bytes of a file or of a member of an archive, and the sink. It
//! opens nothing and does not care where the bytes are from, except that what is within a document is told by the
//! names that lead there (`document.rs`).

use std::collections::HashSet;
use std::sync::Arc;

use notafter_core::inventory::{AssetKind, Role};
use notafter_core::location::Location;
use notafter_core::observation::{Facts, FileFacts, Reason, Seen};
use notafter_pki::certificate::Certificate;
use notafter_pki::container::{self, Content, Format, Found, Limits, Opened, Place};
use notafter_pki::fingerprint::sha256;
use notafter_pki::private_key::KeyFormat;
use notafter_pki::statement::cms;

use super::document::{self, Value};
use crate::parts;

/// How a file was come upon.
#[derive(Clone, Copy, Default)]
pub(super) struct Origin {
    /// A link whose target lies within what is being looked at, and is met there.
    pub(super) link_inside: bool,
}

/// So many self-issued CA certificates in one file make it a bundle of roots.
const BUNDLE_MIN: usize = 3;

/// So far behind a leaf its issuers are looked for: a file of 100,000 certificates must not cost their square.
const CHAIN_MAX: usize = 32;

/// Folders in which systems keep the roots they trust.
const STORES: &[&str] = &[
    "/etc/ssl/certs/",
    "/etc/pki/ca-trust/",
    "/etc/pki/tls/certs/",
    "/etc/pki/java/",
    "/etc/ca-certificates/",
    "/usr/share/ca-certificates/",
    "/usr/local/share/ca-certificates/",
    "/usr/share/pki/",
    "/var/lib/ca-certificates/",
];

/// Whose bytes they are, and where what is found goes.
pub(super) struct Holder<'h> {
    /// The file, or the member of an archive.
    pub(super) place: Location,
    /// The file's own facts; of a member, those of the archive.
    pub(super) file: FileFacts,
    pub(super) origin: Origin,
    pub(super) passwords: &'h [&'h str],
    pub(super) put: &'h dyn Fn(Location, Seen),
}

impl Holder<'_> {
    fn blind(&self, reason: Reason, detail: impl Into<String>) {
        (self.put)(self.place.clone(), Seen::Failed { reason, detail: detail.into() });
    }

    /// The path within the system that the bytes come from: in an image of one, that in the image.
    fn path(&self) -> String {
        let container = self.place.container();
        let inner = container.rsplit_once("!/").map(|(_, inner)| format!("/{inner}"));
        inner.unwrap_or_else(|| container.trim_start_matches("file://").to_owned())
    }
}

/// Where in the holder: a value of a document, or the bytes as they are.
#[derive(Clone, Copy, Default)]
struct Within<'v> {
    value: Option<&'v Value>,
    /// All that was found in the value is in its first block, which goes without saying.
    only: bool,
}

impl Within<'_> {
    fn place(&self, holder: &Holder<'_>, place: &Place) -> Location {
        let own = place.offset().map(|octets| holder.place.offset(octets));
        let own = own.as_ref().unwrap_or(&holder.place);
        let Some(value) = self.value else { return own.entry(place.as_str()) };
        let inner = match place.as_str() {
            "token/1" if self.only => "",
            "1" if self.only => "",
            inner if self.only => inner.strip_prefix("1/").unwrap_or(inner),
            inner => inner,
        };
        match inner {
            "" => own.entry(&value.path),
            inner => own.entry(&format!("{}/{inner}", value.path)),
        }
    }
}

/// Opens the bytes of a holder and puts what is in it. `reachable` says whether everyone can get to the
/// file; it is asked only for keys. Gives whether there was anything to say.
pub(super) fn report(holder: &Holder<'_>, bytes: &[u8], reachable: impl FnOnce() -> bool) -> bool {
    let limits = Limits::default();
    let mut opened = container::open(bytes, holder.passwords, &limits);
    jar_signatures(holder, bytes, &mut opened);
    let values = document::values(&holder.path(), bytes);
    let mut inner: Vec<(&Value, Opened<'_>)> = values
        .iter()
        .map(|value| (value, container::open(&value.bytes, holder.passwords, &limits)))
        .filter(|(_, opened)| !opened.found.is_empty() || !opened.problems.is_empty())
        .collect();
    sort_out(&mut opened, &mut inner);
    let all = || std::iter::once(&opened).chain(inner.iter().map(|(_, opened)| opened));
    let mut said = HashSet::new();
    for problem in all().flat_map(|opened| &opened.problems) {
        let reason = match problem.reason {
            container::Reason::WrongPassword => Reason::WrongPassword,
            container::Reason::UnsupportedFormat => Reason::UnsupportedFormat,
            container::Reason::Malformed => Reason::Malformed,
            container::Reason::TooLarge => Reason::TooLarge,
        };
        if said.insert((reason, &problem.detail)) {
            holder.blind(reason, problem.detail.clone());
        }
    }
    if all().all(|opened| opened.found.is_empty()) {
        return !said.is_empty() || opened.format != Format::Nothing;
    }
    let is_key = |f: &Found<'_>| matches!(f.content, Content::PrivateKey(_));
    let any_key = all().any(|opened| opened.found.iter().any(is_key));
    let file = FileFacts { reachable_by_others: any_key && reachable(), ..holder.file.clone() };
    let facts = Facts { file: Some(Arc::new(file)), ..Facts::default() };
    put(holder, Within::default(), &opened, &facts);
    for (value, opened) in &inner {
        let first = |f: &Found<'_>| matches!(f.place.as_str().split('/').next(), Some("1" | ""));
        let only = opened.found.iter().all(first) || opened.found.len() == 1;
        put(holder, Within { value: Some(value), only }, opened, &facts);
    }
    true
}

/// The block of a signature of a JAR is CMS like any other; that it signs a JAR is told by where it is.
fn jar_signatures(holder: &Holder<'_>, bytes: &[u8], opened: &mut Opened<'_>) {
    let path = holder.path().to_ascii_uppercase();
    let block = [".RSA", ".DSA", ".EC"].iter().any(|ending| path.ends_with(ending));
    if !block || !path.starts_with("/META-INF/") {
        return;
    }
    let statements = cms::jar_signature(bytes);
    let mut statements = statements.into_iter();
    for found in &mut opened.found {
        if let Content::Statement(statement) = &mut found.content
            && let Some(of_jar) = statements.next()
        {
            *statement = of_jar;
        }
    }
}

/// What was found both by its looks and at the end of a path of names is told by the better of its names: by the
/// path, unless it was found by somebody who knew what it is for.
fn sort_out(opened: &mut Opened<'_>, inner: &mut [(&Value, Opened<'_>)]) {
    if inner.is_empty() {
        return;
    }
    let by_looks = |found: &Found<'_>| {
        let place = found.place.as_str();
        place.starts_with(|c: char| c.is_ascii_digit()) || place.starts_with("token/") || place.is_empty()
    };
    let known: HashSet<_> =
        opened.found.iter().filter(|f| !by_looks(f)).filter_map(|f| identity(&f.content)).collect();
    for (_, opened) in inner.iter_mut() {
        opened.found.retain(|f| identity(&f.content).is_none_or(|id| !known.contains(&id)));
    }
    let values: HashSet<_> =
        inner.iter().flat_map(|(_, o)| &o.found).filter_map(|f| identity(&f.content)).collect();
    opened.found.retain(|f| !by_looks(f) || identity(&f.content).is_none_or(|id| !values.contains(&id)));
    let reasons: Vec<_> = inner.iter().flat_map(|(_, o)| &o.problems).map(|p| p.reason).collect();
    opened.problems.retain(|p| !reasons.contains(&p.reason));
}

/// What makes two finds the same; `None` for a key of which nothing can be said.
fn identity(content: &Content<'_>) -> Option<[u8; 32]> {
    Some(match content {
        Content::Certificate(der) | Content::Crl(der) | Content::Csr(der) | Content::PublicKey(der) => {
            sha256(der)
        }
        Content::PrivateKey(key) => sha256(format!("{key:?}").as_bytes()),
        Content::Statement(statement) => sha256(&statement.to_bytes()),
    })
}

fn put(holder: &Holder<'_>, within: Within<'_>, opened: &Opened<'_>, facts: &Facts) {
    certificates(holder, within, opened.format, &opened.found, facts);
    let parts = parts::parts(opened.format, &opened.found);
    for (found, part) in opened.found.iter().zip(parts) {
        let seen = match &found.content {
            Content::Crl(der) => {
                Seen::Dated { kind: AssetKind::Crl, der: shared_bytes(der), facts: facts.clone() }
            }
            // A marker in a manual or a program is no key unless one can be made out behind it, and a link
            // to a key within what is looked at is the same key.
            Content::PrivateKey(key) if key.format == KeyFormat::Unknown || holder.origin.link_inside => {
                continue;
            }
            Content::PrivateKey(key) => Seen::Key {
                key: key.key_id(),
                format: format_name(key.format),
                encrypted: key.encrypted,
                facts: facts.clone(),
            },
            Content::Statement(statement) => Seen::Dated {
                kind: AssetKind::of_statement(statement.kind()),
                der: statement.to_bytes().into(),
                facts: Facts { part, ..facts.clone() },
            },
            // Neither a request nor a bare public key has a date.
            Content::Certificate(_) | Content::Csr(_) | Content::PublicKey(_) => continue,
        };
        (holder.put)(within.place(holder, &found.place), seen);
    }
}

fn certificates(holder: &Holder<'_>, within: Within<'_>, format: Format, found: &[Found<'_>], facts: &Facts) {
    let mut certificates: Vec<(&Found<'_>, Arc<[u8]>)> = Vec::new();
    for (one, part) in found.iter().zip(parts::parts(format, found)) {
        let Content::Certificate(der) = &one.content else { continue };
        if let Some(part) = part {
            // It leads no chain: what verifies metadata, tokens and signatures builds its own.
            let (role, facts) = (Some(Role::Signer), Facts { part: Some(part), ..facts.clone() });
            let seen = Seen::Chain { chain: vec![shared_bytes(der)], role, leads: false, facts };
            (holder.put)(within.place(holder, &one.place), seen);
        } else if is_placeholder(holder, der) {
            let detail = "what is marked as a certificate here is a placeholder or a fragment".to_owned();
            let place = within.place(holder, &one.place);
            (holder.put)(place, Seen::Failed { reason: Reason::Malformed, detail });
        } else {
            certificates.push((one, shared_bytes(der)));
        }
    }
    let parsed: Vec<_> = certificates.iter().map(|(_, der)| Certificate::parse(der).ok()).collect();
    let is_authority = |n: usize| parsed[n].is_some_and(|c| c.is_ca());
    // A self-signed server certificate that calls itself a CA is no root: a root has no server's name.
    let is_root =
        |c: &&Certificate<'_>| c.is_ca() && c.is_self_issued() && c.subject_alt_names().next().is_none();
    let roots = parsed.iter().flatten().filter(is_root).count();
    let path = holder.path();
    let in_store = roots > 0 && STORES.iter().any(|store| path.starts_with(store));
    // A Java store without a key is there to trust others by, even with a single root.
    let keys = found.iter().any(|f| matches!(f.content, Content::PrivateKey(_)));
    let keystore = matches!(format, Format::Pkcs12 | Format::Jks | Format::Jceks | Format::Bks);
    let facts = &Facts { entry: keystore, ..facts.clone() };
    let java = matches!(format, Format::Jks | Format::Jceks | Format::Bks) && !keys && roots > 0;
    let bundle = roots >= BUNDLE_MIN || in_store || java;
    let mut leaf: Option<usize> = None;
    for n in 0..certificates.len() {
        let follows = leaf.is_some_and(|leaf| {
            is_authority(n) && n - leaf <= CHAIN_MAX && (leaf..n).any(|k| issued(parsed[n], parsed[k]))
        });
        let chain = if is_authority(n) {
            vec![Arc::clone(&certificates[n].1)]
        } else {
            leaf = Some(n);
            let mut members = vec![n];
            for m in (n + 1..certificates.len()).take(CHAIN_MAX).take_while(|m| is_authority(*m)) {
                // Not everything that lies behind a leaf is its issuer.
                if members.iter().any(|k| issued(parsed[m], parsed[*k])) {
                    members.push(m);
                }
            }
            members.into_iter().map(|m| Arc::clone(&certificates[m].1)).collect()
        };
        // In a bundle of roots, whatever signed itself is there to be trusted, even where it is too old to
        // say that it is a CA.
        let trusted = is_authority(n) || parsed[n].is_some_and(|c| c.is_self_issued());
        let role = match within.value.and_then(|value| value.role) {
            Some(Role::TrustAnchor) if trusted => Some(Role::TrustAnchor),
            Some(role) if role != Role::TrustAnchor && n == 0 => Some(role),
            _ if bundle && trusted && !follows => Some(Role::TrustAnchor),
            _ => parsed[n].as_ref().and_then(parts::role_by_purpose),
        };
        let place = within.place(holder, &certificates[n].0.place);
        (holder.put)(place, Seen::Chain { chain, role, leads: !follows, facts: facts.clone() });
    }
}

/// `MIIC...` in documentation is marked as a certificate and is none. Anything of which so much as a
/// date or a name can be saved is kept, and so is whatever a file for certificates calls one.
fn is_placeholder(holder: &Holder<'_>, der: &[u8]) -> bool {
    let doubtful = der.len() < 128 || !holder.place.is_for_certificates();
    doubtful && Certificate::parse(der).is_err() && notafter_pki::salvage(der).is_empty()
}

/// Did the one issue the other, by name?
fn issued(issuer: Option<Certificate<'_>>, subject: Option<Certificate<'_>>) -> bool {
    issuer.zip(subject).is_some_and(|(issuer, subject)| subject.issuer_name().matches(&issuer.subject()))
}

fn shared_bytes(der: &[u8]) -> Arc<[u8]> {
    Arc::from(der)
}

fn format_name(format: KeyFormat) -> &'static str {
    match format {
        KeyFormat::Pkcs8 => "PKCS#8",
        KeyFormat::EncryptedPkcs8 => "encrypted PKCS#8",
        KeyFormat::Pkcs1 => "PKCS#1",
        KeyFormat::Sec1 => "SEC1",
        KeyFormat::Dsa => "DSA",
        KeyFormat::OpenSsh => "OpenSSH",
        KeyFormat::LegacyEncrypted => "encrypted PEM",
        KeyFormat::Unknown => "unknown",
    }
}

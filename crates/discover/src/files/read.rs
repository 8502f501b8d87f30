//! Turns what a file holds into observations: which certificates lead a chain, which only follow one,
//! which are a trust store; which keys are there.

use std::path::Path;
use std::sync::Arc;

use notafter_core::inventory::{AssetKind, Role};
use notafter_core::location::Location;
use notafter_core::observation::{Facts, FileFacts, Reason, Seen};
use notafter_pki::certificate::Certificate;
use notafter_pki::container::{self, Content, Format, Found, Limits};
use notafter_pki::private_key::KeyFormat;

use super::Shared;
use super::open::bytes_of;

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

/// Opens the bytes of a file and puts what is in it. `reachable` says whether everyone can get to the
/// file; it is asked only for keys. Gives whether there was anything to say.
pub(super) fn report(
    shared: &Shared,
    path: &Path,
    bytes: &[u8],
    file: FileFacts,
    origin: Origin,
    reachable: impl FnOnce() -> bool,
) -> bool {
    let passwords: Vec<&str> = shared.passwords.iter().map(String::as_str).collect();
    let opened = container::open(bytes, &passwords, &Limits::default());
    for problem in &opened.problems {
        let reason = match problem.reason {
            container::Reason::WrongPassword => Reason::WrongPassword,
            container::Reason::UnsupportedFormat => Reason::UnsupportedFormat,
            container::Reason::Malformed => Reason::Malformed,
            container::Reason::TooLarge => Reason::TooLarge,
        };
        shared.blind(path, reason, problem.detail.clone());
    }
    if opened.found.is_empty() {
        return !opened.problems.is_empty() || opened.format != Format::Nothing;
    }
    let any_key = opened.found.iter().any(|f| matches!(f.content, Content::PrivateKey(_)));
    let file = FileFacts { reachable_by_others: any_key && reachable(), ..file };
    let facts = Facts { file: Some(Arc::new(file)), ..Facts::default() };
    certificates(shared, path, opened.format, &opened.found, &facts);
    for found in &opened.found {
        let place = Location::file(bytes_of(path), found.place.as_str());
        match &found.content {
            Content::Crl(der) => {
                shared.put(
                    place,
                    Seen::Dated { kind: AssetKind::Crl, der: shared_bytes(der), facts: facts.clone() },
                );
            }
            // A marker in a manual or a program is no key unless one can be made out behind it, and a link
            // to a key within what is looked at is the same key.
            Content::PrivateKey(key) if key.format == KeyFormat::Unknown || origin.link_inside => {}
            Content::PrivateKey(key) => shared.put(
                place,
                Seen::Key {
                    key: key.key_id(),
                    format: format_name(key.format),
                    encrypted: key.encrypted,
                    facts: facts.clone(),
                },
            ),
            // Neither a request nor a bare public key has a date.
            Content::Certificate(_) | Content::Csr(_) | Content::PublicKey(_) => {}
            Content::Statement(_) => {}
        }
    }
    true
}

fn certificates(shared: &Shared, path: &Path, format: Format, found: &[Found<'_>], facts: &Facts) {
    let mut certificates: Vec<(&Found<'_>, Arc<[u8]>)> = Vec::new();
    for one in found {
        let Content::Certificate(der) = &one.content else { continue };
        if is_placeholder(path, der) {
            let place = Location::file(bytes_of(path), one.place.as_str());
            let detail = "what is marked as a certificate here is a placeholder or a fragment".to_owned();
            shared.put(place, Seen::Failed { reason: Reason::Malformed, detail });
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
    let in_store = roots > 0 && STORES.iter().any(|store| bytes_of(path).starts_with(store.as_bytes()));
    // A Java store without a key is there to trust others by, even with a single root.
    let keys = found.iter().any(|f| matches!(f.content, Content::PrivateKey(_)));
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
        let role = (bundle && trusted && !follows).then_some(Role::TrustAnchor);
        let place = Location::file(bytes_of(path), certificates[n].0.place.as_str());
        shared.put(place, Seen::Chain { chain, role, leads: !follows, facts: facts.clone() });
    }
}

/// `MIIC...` in documentation is marked as a certificate and is none. Anything of which so much as a
/// date or a name can be saved is kept, and so is whatever a file for certificates calls one.
fn is_placeholder(path: &Path, der: &[u8]) -> bool {
    let doubtful = der.len() < 128 || !is_for_certificates(path);
    doubtful && Certificate::parse(der).is_err() && notafter_pki::salvage(der).is_empty()
}

/// Does the name of the file say that it is there for certificates?
fn is_for_certificates(path: &Path) -> bool {
    let location = Location::file(bytes_of(path), "");
    location.is_for_certificates()
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

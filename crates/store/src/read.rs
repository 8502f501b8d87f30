//! From the bytes of an asset to the columns of its row: read once, when it is first seen.
//!
//! What cannot be parsed is kept all the same, with what could be saved of it. Texts are printable by the time they
//! leave here: no NUL ever reaches PostgreSQL, no control character a page.

use notafter_core::inventory::AssetKind;
use notafter_core::{Fingerprint, KeyId, UnixTime, document};
use notafter_pki::name::printable;
use notafter_pki::statement::Statement;
use notafter_pki::{Certificate, Crl, Name};

use crate::places::{hash48, reversed};

/// 1: a CA certificate.
pub(crate) const CA: i64 = 1;
/// 2: signed by its own key.
pub(crate) const SELF_SIGNED: i64 = 2;
/// 4: a later one of its line is served and it is not.
pub(crate) const SUPERSEDED: i64 = 4;

/// The end of what has none.
pub(crate) const NEVER: i64 = i64::MAX;
/// So many names of one certificate are searchable.
const NAMES_MAX: usize = 10_000;
/// A longer name is nobody's: DNS ends at 253.
const NAME_MAX: usize = 253;
/// A title longer than this is cut.
const TITLE_MAX: usize = 400;

/// A distinguished name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DistinguishedName {
    pub(crate) text: String,
    /// Its common name, else its organisation, else all of it.
    pub(crate) name: String,
    /// Equal for names that match by RFC 5280 section 7.1.
    pub(crate) alike: i64,
}

/// The columns.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    pub(crate) id: Fingerprint,
    pub(crate) kind: AssetKind,
    pub(crate) flags: i64,
    pub(crate) not_before: Option<UnixTime>,
    pub(crate) not_after: Option<UnixTime>,
    pub(crate) key6: Option<i64>,
    pub(crate) names6: Option<i64>,
    pub(crate) issuer: Option<DistinguishedName>,
    pub(crate) subject: Option<DistinguishedName>,
    pub(crate) title: String,
    pub(crate) label: String,
    /// Reversed, sorted, each once.
    pub(crate) names: Vec<String>,
    /// What a leaf's subject says beside its names, in lower case; "" where it says no more.
    pub(crate) called: String,
    /// Is it a list that revokes something?
    pub(crate) revokes: bool,
}

impl Columns {
    pub(crate) fn is_ca(&self) -> bool {
        self.flags & CA != 0
    }
}

/// What a row says of these bytes.
pub(crate) fn columns(id: Fingerprint, kind: AssetKind, bytes: &[u8]) -> Columns {
    let mut out = Columns {
        id,
        kind,
        flags: 0,
        not_before: None,
        not_after: None,
        key6: None,
        names6: None,
        issuer: None,
        subject: None,
        title: id.to_string(),
        label: String::new(),
        names: Vec::new(),
        called: String::new(),
        revokes: false,
    };
    match kind {
        AssetKind::Certificate => match Certificate::parse(bytes) {
            Ok(certificate) => out.certificate(&certificate),
            Err(_) => out.salvaged(bytes),
        },
        AssetKind::Crl => {
            if let Ok(crl) = Crl::parse(bytes) {
                (out.not_before, out.not_after) = (crl.this_update(), crl.next_update());
                let issuer = distinguished(&crl.issuer_name());
                out.title = format!("CRL of {}", issuer.name);
                out.names6 = Some(crl_group(issuer.alike));
                out.revokes = crl.revoked().next().is_some();
                out.issuer = Some(issuer);
            }
        }
        _ => out.statement(bytes),
    }
    out.title = cut(printable(&out.title), TITLE_MAX);
    out
}

/// What all CAA records share: there are few, and any may be above a certificate's name.
pub(crate) fn caa_group() -> i64 {
    hash48(b"caa")
}

/// What keys and tokens of one `kid` share.
pub(crate) fn kid_group(kid: &str) -> i64 {
    hash48(format!("kid {kid}").as_bytes())
}

/// What the lists of one issuer share, by the hash of its name.
pub(crate) fn crl_group(alike: i64) -> i64 {
    hash48(format!("crl {alike}").as_bytes())
}

impl Columns {
    fn certificate(&mut self, certificate: &Certificate<'_>) {
        (self.not_before, self.not_after) = (certificate.not_before(), certificate.not_after());
        self.key6 = Some(key32(&certificate.key_id()));
        self.issuer = Some(distinguished(&certificate.issuer_name()));
        let self_issued = certificate.is_self_issued();
        if self_issued {
            let by_itself = notafter_pki::is_signed_by(certificate, certificate.spki());
            if by_itself != notafter_pki::SignatureVerdict::Bad {
                self.flags |= SELF_SIGNED;
            }
        }
        // The same that path building takes for an issuer: old ones could not say it.
        if certificate.is_ca() || (certificate.version() < 3 && self_issued) {
            self.flags |= CA;
            self.subject = Some(distinguished(&certificate.subject()));
        }
        self.names6 = document::names_key(certificate).map(|key| hash48(key.as_bytes()));
        let names = document::names(certificate).dns_and_ip;
        self.title = match names.first() {
            Some(name) => name.clone(),
            None => notafter_core::dossier::title(certificate),
        };
        if self.subject.is_none() {
            self.called = called(&certificate.subject(), &self.title, &names);
        }
        self.label = label(certificate);
        self.set_names(names);
    }

    fn statement(&mut self, bytes: &[u8]) {
        let Some(statement) = Statement::parse(bytes) else { return };
        (self.not_before, self.not_after) = (statement.not_before(), statement.not_after());
        self.title = statement.title().to_owned();
        self.label = statement.kind().as_str().to_owned();
        self.names6 = document::statement_key(&statement).map(|key| hash48(key.as_bytes()));
        // What is of one zone is judged together: copies of it, and by which keys it is trusted.
        if let Some((zone, _)) = notafter_pki::dns::zone::keys_of(&statement) {
            self.names6 = Some(hash48(format!("zone {zone}").as_bytes()));
        }
        // So is a key of a key set with the tokens that name it.
        if let Some(kid) = document::kid(&statement) {
            self.names6 = Some(kid_group(kid));
        }
        if statement.kind() == notafter_pki::statement::StatementKind::CaaPolicy {
            self.names6 = Some(caa_group());
        }
        self.set_names(statement.names().to_vec());
    }

    fn salvaged(&mut self, bytes: &[u8]) {
        let saved = notafter_pki::salvage(bytes);
        (self.not_before, self.not_after) = (saved.not_before, saved.not_after);
        self.issuer = saved.issuer_name().map(|n| distinguished(&n));
        let subject = saved.subject().map(|n| distinguished(&n).name);
        if let Some(title) = saved.names.first().cloned().or(subject).filter(|t| !t.is_empty()) {
            self.title = title;
        }
        self.set_names(saved.names);
    }

    fn set_names(&mut self, names: Vec<String>) {
        let fit = names.into_iter().take(NAMES_MAX).filter(|n| !n.is_empty() && n.len() <= NAME_MAX);
        self.names = fit.map(|n| reversed(&printable(&n).to_lowercase())).collect();
        self.names.sort_unstable();
        self.names.dedup();
    }
}

/// 32 bits of a key's identity: who finds by it compares the whole afterwards.
pub(crate) fn key32(key: &KeyId) -> i64 {
    let mut eight = [0; 8];
    eight[4..].copy_from_slice(&key.0[..4]);
    i64::from_be_bytes(eight)
}

/// `RSA 2048`, `ECDSA P-256`, ...
fn label(certificate: &Certificate<'_>) -> String {
    let key = certificate.public_key();
    let size = key.curve().or_else(|| key.bits().map(|bits| bits.to_string()));
    // The curves of these are in their names.
    let plain = key.algorithm().starts_with("Ed") || key.algorithm().starts_with("X");
    match size.filter(|_| !plain) {
        Some(size) => printable(&format!("{} {size}", key.algorithm())),
        None => printable(&key.algorithm()),
    }
}

fn distinguished(name: &Name<'_>) -> DistinguishedName {
    let text = cut(printable(&name.to_rfc4514()), 4 * TITLE_MAX);
    let called = name
        .common_name()
        .filter(|n| !n.is_empty())
        .or_else(|| name.text_of(notafter_pki::oid::ORGANIZATION).filter(|n| !n.is_empty()));
    let called = cut(printable(&called.unwrap_or_else(|| text.clone())), TITLE_MAX);
    DistinguishedName { alike: hash48(&name.comparison_key()), name: called, text }
}

/// What a subject says that the title and the names do not: nothing for most certificates of servers, whose subject
/// is one of their names or empty.
fn called(subject: &Name<'_>, title: &str, names: &[String]) -> String {
    let says_more = |text: &str| {
        let same = |name: &str| name.eq_ignore_ascii_case(text);
        !(text.is_empty() || same(title) || names.iter().any(|name| same(name)))
    };
    if subject.attributes().any(|attribute| says_more(&attribute.text_lossy())) {
        cut(printable(&subject.to_rfc4514()), 4 * TITLE_MAX).to_lowercase()
    } else {
        String::new()
    }
}

/// Cut at a character, with a sign that it was.
fn cut(text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", &text[..end])
}

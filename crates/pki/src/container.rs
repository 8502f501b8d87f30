//! Whatever may hold a certificate, opened: PEM anywhere, DER, PKCS#7, PKCS#12, JKS, JCEKS, BKS; and whatever else
//! has a date (`statement.rs`), wherever it lies.
//!
//! Sits between the sources that read files and `certificate.rs`. Takes bytes, gives what was found and
//! where in the file, and says plainly what it could not open: nothing that was recognised is dropped in
//! silence. It reads no files and keeps no passwords, and every count, depth and derivation is bounded by
//! [`Limits`].

pub mod base64;
mod carve;
pub mod der;
pub mod jks;
mod octets;
pub mod pbe;
pub mod pem;
pub mod pkcs12;
pub mod pkcs7;
pub mod sniff;

use std::borrow::Cow;
use std::fmt;

use crate::private_key::PrivateKey;
use crate::statement::{self, Statement};
use pbe::Passwords;
use sniff::Hint;

/// One thing found in a container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content<'a> {
    /// DER of a certificate, also of one that does not parse: it has an identity all the same.
    Certificate(Cow<'a, [u8]>),
    /// DER of a CRL.
    Crl(Cow<'a, [u8]>),
    /// DER of a certification request.
    Csr(Cow<'a, [u8]>),
    /// A private key, without its secrets; encrypted ones included.
    PrivateKey(PrivateKey),
    /// DER of a SubjectPublicKeyInfo that stands alone.
    PublicKey(Cow<'a, [u8]>),
    /// Something dated that is no certificate and no CRL.
    Statement(Statement),
}

impl Content<'_> {
    /// The same, owning its bytes.
    pub fn into_owned(self) -> Content<'static> {
        fn own(bytes: Cow<'_, [u8]>) -> Cow<'static, [u8]> {
            Cow::Owned(bytes.into_owned())
        }
        match self {
            Self::Certificate(bytes) => Content::Certificate(own(bytes)),
            Self::Crl(bytes) => Content::Crl(own(bytes)),
            Self::Csr(bytes) => Content::Csr(own(bytes)),
            Self::PrivateKey(key) => Content::PrivateKey(key),
            Self::PublicKey(bytes) => Content::PublicKey(own(bytes)),
            Self::Statement(statement) => Content::Statement(statement),
        }
    }
}

/// Where in a container something was found; prints as the fragment of a location, `#` included.
///
/// Empty for a file that is nothing but one DER element. `#2` for the second PEM block (every block counts,
/// keys too) or the second of several DER elements, from 1. `#alias` for a keystore entry, `#alias/1` for
/// the first certificate of its chain above it, and so on. Containers within PEM blocks append: `#2/1`.
/// Statements are named by what they are: `#token/1`, `#ssh/2`, an OpenPGP key by its fingerprint; certificates of
/// SAML metadata and key sets by whose they are: `#ENTITY/idp/signing/1`, `#KID/1`.
/// Aliases are percent-encoded but for letters, digits and `-._~`. What was carved out of a file that is no text has
/// an offset in octets, `@0x1f40`, instead of a number.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Place {
    offset: Option<u64>,
    entry: String,
}

impl Place {
    /// The whole file.
    pub fn whole() -> Self {
        Self::default()
    }

    /// So many octets into the file.
    pub fn at(octets: usize) -> Self {
        Self { offset: Some(octets as u64), entry: String::new() }
    }

    /// This place, and within it the part with this number.
    pub fn numbered(&self, number: usize) -> Self {
        self.joined(&number.to_string())
    }

    /// This place, and within it the entry with this alias.
    pub fn named(&self, alias: &str) -> Self {
        let mut encoded = String::with_capacity(alias.len());
        for octet in alias.bytes() {
            if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~') {
                encoded.push(octet as char);
            } else {
                encoded.push_str(&format!("%{octet:02X}"));
            }
        }
        self.joined(&encoded)
    }

    fn joined(&self, part: &str) -> Self {
        let entry = match self.entry.as_str() {
            "" => part.to_owned(),
            entry => format!("{entry}/{part}"),
        };
        Self { offset: self.offset, entry }
    }

    /// The fragment without its `#`; empty for the whole file.
    pub fn as_str(&self) -> &str {
        &self.entry
    }

    /// How many octets into the file, where that is how it is told.
    pub fn offset(&self) -> Option<u64> {
        self.offset
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.offset.map_or(Ok(()), |octets| write!(f, "@{octets:#x}"))?;
        if self.entry.is_empty() { Ok(()) } else { write!(f, "#{}", self.entry) }
    }
}

/// One thing and where it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found<'a> {
    /// What it is.
    pub content: Content<'a>,
    /// Where in the file.
    pub place: Place,
}

/// What kind of container it was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// PEM blocks, wherever they stood: text, YAML, JSON, scripts, base64 of PEM, UTF-16.
    Pem,
    /// One or more DER elements, also carved out of something else.
    Der,
    /// PKCS#7 or CMS signed data, without PEM armour.
    Pkcs7,
    /// PKCS#12.
    Pkcs12,
    /// Java's own keystore.
    Jks,
    /// Java's JCE keystore.
    Jceks,
    /// Bouncy Castle's keystore.
    Bks,
    /// Base64 of DER without armour.
    Base64,
    /// SAML metadata.
    Saml,
    /// Something else that holds dated statements: a keyring, a signed program, a token in text.
    Statement,
    /// A keystore that is recognised, but cannot be read here; a problem names it.
    Unsupported,
    /// Nothing that holds certificates.
    Nothing,
}

/// Why something was not opened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    /// None of the passwords opens it.
    WrongPassword,
    /// Recognised, but nothing here can read it.
    UnsupportedFormat,
    /// It breaks off or contradicts itself.
    Malformed,
    /// A limit was reached; what came before it was kept.
    TooLarge,
}

/// Something that could not be opened, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Which kind of trouble.
    pub reason: Reason,
    /// One sentence for people; safe to print.
    pub detail: String,
}

/// How much work one file may cause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Things kept from one file.
    pub found: usize,
    /// Octets of one decoded PEM or base64 body.
    pub body_octets: usize,
    /// Iterations of one key derivation; more is refused before any work is done.
    pub iterations: u64,
    /// Iterations of all derivations together, passwords times parts.
    pub total_iterations: u64,
}

impl Default for Limits {
    /// 100,000 things, 64 MiB a body, 5 million iterations (Java's limit) at once and 10 million in all,
    /// which is a few seconds.
    fn default() -> Self {
        Self { found: 100_000, body_octets: 64 << 20, iterations: 5_000_000, total_iterations: 10_000_000 }
    }
}

/// A container after opening.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened<'a> {
    /// What it was.
    pub format: Format,
    /// What was in it, in its order.
    pub found: Vec<Found<'a>>,
    /// What could not be opened.
    pub problems: Vec<Problem>,
}

impl<'a> Opened<'a> {
    /// The DER of the certificates, in their order.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.found.iter().filter_map(|found| match &found.content {
            Content::Certificate(der) => Some(der.as_ref()),
            _ => None,
        })
    }
}

/// Opens whatever these bytes are. `passwords` are tried in their order, after them `changeit`, Java's
/// default, none, and the empty one. Never fails: what could not be opened is among the problems.
pub fn open<'a>(bytes: &'a [u8], passwords: &[&str], limits: &Limits) -> Opened<'a> {
    open_in(bytes, Session::new(Passwords::new(passwords, limits.total_iterations), *limits))
}

/// The same with these passwords and no others: for whoever has to know which one it is.
pub fn open_with<'a>(bytes: &'a [u8], passwords: &[&str], limits: &Limits) -> Opened<'a> {
    open_in(bytes, Session::new(Passwords::only(passwords, limits.total_iterations), *limits))
}

fn open_in(bytes: &[u8], mut session: Session) -> Opened<'_> {
    let whole = Place::whole();
    let (format, found) = match Hint::of_start(bytes) {
        Some(Hint::Jks) => (Format::Jks, jks::open(bytes, &whole, &mut session)),
        Some(Hint::Jceks) => (Format::Jceks, jks::open(bytes, &whole, &mut session)),
        Some(Hint::Bks) => (Format::Bks, jks::open_bks(bytes, &whole, &mut session)),
        Some(hint) if hint.is_der() => match der::open(bytes, &whole, &mut session) {
            Some((format, found)) => (format, found),
            None => open_text(bytes, &mut session),
        },
        Some(hint) => {
            statement::binary(hint, bytes, &mut session).unwrap_or_else(|| open_text(bytes, &mut session))
        }
        None => open_text(bytes, &mut session),
    };
    Opened { format, found, problems: session.problems }
}

/// Opens text: a document of one format, or armour and whatever else stands between the lines.
fn open_text(bytes: &[u8], session: &mut Session) -> (Format, Vec<Found<'static>>) {
    let whole = statement::whole(bytes, session);
    if let Some((found, true)) = whole {
        return (Format::Saml, found);
    }
    let (format, mut found) = pem::open(bytes, session);
    statement::text(bytes, session, &mut found);
    if let Some((begun, _)) = whole {
        statement::merge(&mut found, begun);
        return (Format::Saml, found);
    }
    (if format == Format::Nothing && !found.is_empty() { Format::Statement } else { format }, found)
}

/// What lasts while one file is opened: limits, work left, problems met.
pub(crate) struct Session {
    pub(crate) limits: Limits,
    pub(crate) passwords: Passwords,
    pub(crate) problems: Vec<Problem>,
    kept: usize,
    said_full: bool,
}

impl Session {
    pub(crate) fn new(passwords: Passwords, limits: Limits) -> Self {
        Self { limits, passwords, problems: Vec::new(), kept: 0, said_full: false }
    }

    /// Notes a problem; a thousand from one file are enough.
    pub(crate) fn problem(&mut self, reason: Reason, detail: impl Into<String>) {
        if self.problems.len() < 1000 {
            self.problems.push(Problem { reason, detail: detail.into() });
        }
    }

    /// Whether no more may be kept; says so among the problems, once.
    pub(crate) fn is_full(&mut self) -> bool {
        let full = self.kept >= self.limits.found;
        if full && !self.said_full {
            self.said_full = true;
            let limit = self.limits.found;
            let detail = format!("more than {limit} things in one file: stopped there");
            // Past the thousandth problem, too: what was left out must be told.
            self.problems.push(Problem { reason: Reason::TooLarge, detail });
        }
        full
    }

    /// Keeps one thing, unless the limit is reached.
    pub(crate) fn keep<'a>(&mut self, found: &mut Vec<Found<'a>>, content: Content<'a>, place: Place) {
        if !self.is_full() {
            self.kept += 1;
            found.push(Found { content, place });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(place: Place, text: &str) {
        assert_eq!(place.to_string(), text);
    }

    #[test]
    fn places() {
        check(Place::whole(), "");
        check(Place::whole().numbered(2), "#2");
        check(Place::whole().numbered(2).numbered(1), "#2/1");
        check(Place::whole().named("my key/ä"), "#my%20key%2F%C3%A4");
        check(Place::whole().named("a").numbered(1), "#a/1");
        check(Place::at(8000), "@0x1f40");
        check(Place::at(8000).numbered(1), "@0x1f40#1");
    }

    #[test]
    fn nothing_in_nothing() {
        for bytes in [&b""[..], b"0", b"hello", &[0; 100], &[0x30, 0x80], b"-----BEGIN ", b"MII"] {
            let opened = open(bytes, &[], &Limits::default());
            assert_eq!(opened.found, [], "{bytes:?}");
        }
    }
}

//! Dated things that are no X.509 certificates, in one form: who states what, about whom, from when until when.
//!
//! Each reader below turns one format into [`Statement`]s (and certificates, where it carries some); [`read`] asks
//! them all, for `container::open`. A statement has a canonical form in octets, [`Statement::to_bytes`], which is
//! what an inventory keeps: SHA-256 of it is the identity of the asset. It deliberately holds no secret, of a
//! token neither: only its claims about dates and names, and its SHA-256. Signatures are not verified, except
//! where a reader says so; nothing here knows what day it is.

pub mod authenticode;
pub mod catalogue;
pub mod cms;
pub mod dnssec;
pub mod jwk;
pub mod jwt;
pub mod mail;
pub mod ocsp;
pub mod openpgp;
pub mod powershell;
pub mod release;
pub mod saml;
pub mod ssh;
pub mod tuf;
pub mod xml;

mod date;
mod read;

use std::fmt::Write;

pub use date::{read_rfc2822, read_rfc3339};
pub(crate) use read::{binary, merge, text, whole};

use crate::fingerprint::Fingerprint;
use crate::time::UnixTime;

/// What kind of thing is stated. The words are promises: they stand in databases and JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StatementKind {
    /// The status of certificates, RFC 6960.
    OcspResponse,
    /// A certificate of OpenSSH's own kind.
    SshCertificate,
    /// An OpenPGP key or subkey.
    OpenpgpKey,
    /// A bearer token, as JWT.
    Token,
    /// A secret known by name or identifier only, as catalogues list them.
    Secret,
    /// Metadata that are signed and lapse: SAML, Debian's Release, TUF.
    SignedMetadata,
    /// A signature over code or a document, which dies with its signer's certificate.
    CodeSignature,
    /// A public key without a date, told by an identifier: JWK, SSH authority, DNSSEC trust anchor.
    BareKey,
    /// The registration of a domain, as its registry states it.
    Domain,
    /// A date that a person typed in.
    Manual,
    /// A counter that ought to move.
    Flow,
    /// The signatures of a DNS zone, by the one that ends first, RFC 4034.
    DnssecSignature,
    /// Who may issue certificates for a name, RFC 8659.
    CaaPolicy,
}

impl StatementKind {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::OcspResponse,
        Self::SshCertificate,
        Self::OpenpgpKey,
        Self::Token,
        Self::Secret,
        Self::SignedMetadata,
        Self::CodeSignature,
        Self::BareKey,
        Self::Domain,
        Self::Manual,
        Self::Flow,
        Self::DnssecSignature,
        Self::CaaPolicy,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OcspResponse => "ocsp-response",
            Self::SshCertificate => "ssh-certificate",
            Self::OpenpgpKey => "openpgp-key",
            Self::Token => "token",
            Self::Secret => "secret",
            Self::SignedMetadata => "signed-metadata",
            Self::CodeSignature => "code-signature",
            Self::BareKey => "bare-key",
            Self::Domain => "domain",
            Self::Manual => "manual",
            Self::Flow => "flow",
            Self::DnssecSignature => "dnssec-signature",
            Self::CaaPolicy => "caa-policy",
        }
    }

    /// The kind with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One dated thing, as facts.
///
/// Built by [`Statement::new`] and the methods that follow it; texts and lists are cut to bounds as they come in, so
/// that a hostile file cannot make a large one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    kind: StatementKind,
    title: String,
    names: Vec<String>,
    issuer: Option<String>,
    not_before: Option<UnixTime>,
    not_after: Option<UnixTime>,
    facts: Vec<(String, String)>,
}

/// The longest text kept, in octets.
const TEXT_MAX: usize = 1024;
/// The most names kept.
const NAMES_MAX: usize = 100;
/// The most facts kept.
const FACTS_MAX: usize = 48;
/// No canonical form is longer: every octet of every text may need six.
const BYTES_MAX: usize = (NAMES_MAX + 2 * FACTS_MAX + 8) * (6 * TEXT_MAX + 64);

/// What every canonical form begins with: format and version.
const HEAD: &str = "notafter-statement 1\n";

impl Statement {
    /// A statement of this kind under this title: what to call it in a list.
    pub fn new(kind: StatementKind, title: impl AsRef<str>) -> Self {
        Self {
            kind,
            title: cut(title.as_ref()),
            names: Vec::new(),
            issuer: None,
            not_before: None,
            not_after: None,
            facts: Vec::new(),
        }
    }

    /// The same, about this name, too: a host, a principal, a user, an entity.
    #[must_use]
    pub fn name(mut self, name: impl AsRef<str>) -> Self {
        let name = cut(name.as_ref());
        if !name.is_empty() && self.names.len() < NAMES_MAX && !self.names.contains(&name) {
            self.names.push(name);
        }
        self
    }

    /// The same, stated by this one.
    #[must_use]
    pub fn issuer(mut self, issuer: impl AsRef<str>) -> Self {
        let issuer = cut(issuer.as_ref());
        self.issuer = (!issuer.is_empty()).then_some(issuer);
        self
    }

    /// The same, from and until then, as far as there are such dates.
    #[must_use]
    pub fn dated(mut self, not_before: Option<UnixTime>, not_after: Option<UnixTime>) -> Self {
        (self.not_before, self.not_after) = (not_before, not_after);
        self
    }

    /// The same with one more fact; a second one under the same key takes the place of the first.
    #[must_use]
    pub fn fact(mut self, key: &str, value: impl AsRef<str>) -> Self {
        let (key, value) = (cut(key), cut(value.as_ref()));
        if key.is_empty() || value.is_empty() {
            return self;
        }
        match self.facts.binary_search_by(|(known, _)| known.as_str().cmp(&key)) {
            Ok(at) => {
                if let Some(slot) = self.facts.get_mut(at) {
                    slot.1 = value;
                }
            }
            Err(at) if self.facts.len() < FACTS_MAX => self.facts.insert(at, (key, value)),
            Err(_) => {}
        }
        self
    }

    /// The same with a fact, where there is one.
    #[must_use]
    pub fn fact_if(self, key: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.fact(key, value),
            None => self,
        }
    }

    /// The same with an instant as a fact, where there is one.
    #[must_use]
    pub fn fact_time(self, key: &str, value: Option<UnixTime>) -> Self {
        self.fact_if(key, value.map(|time| time.to_string()))
    }

    /// What it is.
    pub fn kind(&self) -> StatementKind {
        self.kind
    }

    /// What to call it.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Whom or what it is about.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Who states it.
    pub fn issuer_name(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// From when.
    pub fn not_before(&self) -> Option<UnixTime> {
        self.not_before
    }

    /// Until when; `None` where it does not lapse.
    pub fn not_after(&self) -> Option<UnixTime> {
        self.not_after
    }

    /// What else is known of it, sorted by key.
    pub fn facts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.facts.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The fact under this key.
    pub fn fact_of(&self, key: &str) -> Option<&str> {
        self.facts().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// The canonical form: equal statements have equal octets, and only these.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = String::from(HEAD);
        let mut line = |key: &str, value: &str| {
            out.push_str(key);
            out.push(' ');
            escape(value, &mut out);
            out.push('\n');
        };
        line("kind", self.kind.as_str());
        line("title", &self.title);
        self.names.iter().for_each(|name| line("name", name));
        self.issuer.iter().for_each(|issuer| line("issuer", issuer));
        self.not_before.iter().for_each(|time| line("not-before", &time.0.to_string()));
        self.not_after.iter().for_each(|time| line("not-after", &time.0.to_string()));
        for (key, value) in &self.facts {
            out.push_str("fact ");
            escape(key, &mut out);
            out.push('\t');
            escape(value, &mut out);
            out.push('\n');
        }
        out.into_bytes()
    }

    /// Reads the canonical form; `None` for anything else, a form that is not quite canonical included.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > BYTES_MAX {
            return None;
        }
        let rest = std::str::from_utf8(bytes).ok()?.strip_prefix(HEAD)?;
        let mut kind = None;
        let mut out = Self::new(StatementKind::BareKey, "");
        for line in rest.strip_suffix('\n')?.split('\n') {
            let (key, value) = line.split_once(' ')?;
            out = match key {
                "kind" => {
                    kind = StatementKind::from_word(value);
                    Self { kind: kind?, ..out }
                }
                "title" => Self { title: cut(&unescape(value)?), ..out },
                "name" => out.name(unescape(value)?),
                "issuer" => out.issuer(unescape(value)?),
                "not-before" => Self { not_before: Some(UnixTime(value.parse().ok()?)), ..out },
                "not-after" => Self { not_after: Some(UnixTime(value.parse().ok()?)), ..out },
                "fact" => {
                    let (key, value) = value.split_once('\t')?;
                    out.fact(&unescape(key)?, unescape(value)?)
                }
                _ => return None,
            };
        }
        kind?;
        (out.to_bytes() == bytes).then_some(out)
    }

    /// Whether these octets look like a canonical form: no DER begins like this.
    pub fn is_statement(bytes: &[u8]) -> bool {
        bytes.starts_with(HEAD.as_bytes())
    }

    /// SHA-256 of the canonical form: the identity of the asset.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.to_bytes())
    }
}

/// At most [`TEXT_MAX`] octets, cut between characters.
fn cut(text: &str) -> String {
    let text = text.trim();
    let end = (0..=text.len().min(TEXT_MAX)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    // Cutting may bare a space, which the next trim would take.
    text.get(..end).unwrap_or("").trim_end().to_owned()
}

/// Backslashes, line ends and tabs, which structure the form, are escaped.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            '\\' => out.push('\\'),
            'u' => {
                let digits = chars.as_str().get(..4)?;
                out.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                chars = chars.as_str().get(4..)?.chars();
            }
            _ => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(statement: &Statement) {
        let bytes = statement.to_bytes();
        assert_eq!(Statement::parse(&bytes).as_ref(), Some(statement), "{}", String::from_utf8_lossy(&bytes));
        assert!(Statement::is_statement(&bytes) && bytes.len() <= BYTES_MAX);
    }

    #[test]
    fn the_form_is_canonical() {
        let statement = Statement::new(StatementKind::Token, " a\\b\n\u{0}ä\t ")
            .name("n1")
            .name("n2")
            .name("n1")
            .name("")
            .issuer("https://idp.example")
            .dated(Some(UnixTime(-5)), Some(UnixTime::NO_EXPIRY))
            .fact("z", "1")
            .fact("a", "x y\tz")
            .fact("z", "2")
            .fact("empty", "");
        check(&statement);
        let text = String::from_utf8(statement.to_bytes()).expect("UTF-8");
        assert_eq!(
            text,
            "notafter-statement 1\nkind token\ntitle a\\\\b\\u000a\\u0000ä\nname n1\nname n2\nissuer \
             https://idp.example\nnot-before -5\nnot-after 253402300799\nfact a\tx y\\u0009z\nfact z\t2\n"
        );
        // What is not canonical is refused: another order, a plus, a fact twice, no kind, no end.
        for (from, to) in [
            ("name n1\nname n2\n", "name n2\nname n1\nname n2\n"),
            ("not-after 2", "not-after +2"),
            ("fact z\t2\n", "fact z\t2\nfact z\t2\n"),
            ("kind token\n", ""),
            ("fact z\t2\n", "fact z\t2"),
            ("statement 1", "statement 2"),
            ("\\u000a", "\\u000A"),
        ] {
            assert_eq!(Statement::parse(text.replacen(from, to, 1).as_bytes()), None, "{to}");
        }
        for kind in StatementKind::ALL {
            assert_eq!(StatementKind::from_word(kind.as_str()), Some(kind));
            check(&Statement::new(kind, ""));
        }
    }

    #[test]
    fn the_identity_is_stable() {
        let statement = Statement::new(StatementKind::SshCertificate, "host").name("a").fact("serial", "1");
        // A promise to databases: a change here is a new version of the form.
        assert_eq!(
            statement.fingerprint().to_string(),
            "sha256:7e7c1ba81b169b41f46b6ce98e570b319ef875534a08b5bc8867208f3810c560"
        );
    }

    #[test]
    fn a_statement_is_bounded() {
        let mut statement = Statement::new(StatementKind::BareKey, "ä".repeat(1000) + " ");
        for n in 0..1000 {
            let long = format!("{n}{}", "\n".repeat(5000));
            statement = statement.name(format!("{n}\u{1}{}x", "\u{1}".repeat(2000))).fact(&long, &long);
            statement = statement.name(format!("{} {n}", " a".repeat(600)));
        }
        assert!(statement.names().len() <= NAMES_MAX && statement.facts().count() <= FACTS_MAX);
        assert!(statement.to_bytes().len() <= BYTES_MAX);
    }
}

//! Cheap looks at bytes: may there be a certificate in them at all?
//!
//! The file crawler asks this of every file, most of which hold nothing: [`Hint`] looks at the first octets,
//! [`Markers`] runs over chunks at memory speed. Both may say yes in vain (`open` decides), but not no.

use aho_corasick::{AhoCorasick, Input, MatchKind};

use super::{carve, octets};
use crate::der;
use crate::oid;
use crate::statement::openpgp::packet;
use crate::statement::{authenticode, jwt};

/// What the first octets of a file look like.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Hint {
    /// A DER or BER SEQUENCE that may be a certificate, CRL, request, key, PKCS#7 or PKCS#12.
    Der,
    /// PKCS#7, by its content type.
    Pkcs7,
    /// PKCS#12, by its version.
    Pkcs12,
    /// Java's own keystore.
    Jks,
    /// Java's JCE keystore.
    Jceks,
    /// Bouncy Castle's BKS (or UBER, which begins alike).
    Bks,
    /// UTF-16 text, by its byte order mark.
    Utf16,
    /// A successful OCSP response.
    Ocsp,
    /// OpenPGP packets that begin with a key.
    Openpgp,
    /// GnuPG's keybox.
    Keybox,
    /// A Windows program with a signature; told only where the first kilobyte is given.
    PortableExecutable,
    /// A zone of the DNS as BIND keeps copies of others'.
    RawZone,
}

impl Hint {
    /// Judges the first octets (32 are enough, 1024 for programs; fewer will do for shorter files).
    pub fn of_start(start: &[u8]) -> Option<Self> {
        match start {
            [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 1 | 2, ..] => return Some(Self::Jks),
            [0xce, 0xce, 0xce, 0xce, 0, 0, 0, 1 | 2, ..] => return Some(Self::Jceks),
            // A version and the length of a salt of 20 octets.
            [0, 0, 0, 1 | 2, 0, 0, 0, 20, ..] => return Some(Self::Bks),
            [0, 0, 0, 2, 0, 0, 0, 0 | 1, ..] if crate::dns::raw::is_raw(start) => return Some(Self::RawZone),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Some(Self::Utf16),
            [b'M', b'Z', ..] => {
                return authenticode::security_directory(start).map(|_| Self::PortableExecutable);
            }
            [0x80..=0xff, ..] if packet::looks_like_key(start) => return Some(Self::Openpgp),
            _ if packet::looks_like_keybox(start) => return Some(Self::Keybox),
            [der::tag::SEQUENCE, ..] => {}
            _ => return None,
        }
        let (_, at, length) = der::header(start).ok()?;
        // Nothing of interest is shorter, and none of it begins with eight printable characters.
        let text = start.iter().take(8).all(|octet| matches!(octet, b' '..=b'~' | b'\t' | b'\n' | b'\r'));
        if text || length.is_some_and(|length| length < 24) {
            return None;
        }
        match start.get(at..)? {
            [der::tag::INTEGER, 1, 3, der::tag::SEQUENCE, ..] => Some(Self::Pkcs12),
            [der::tag::OID, 9, oid @ ..] if oid.starts_with(PKCS7_ARC) => Some(Self::Pkcs7),
            [der::tag::ENUMERATED, 1, 0, 0xa0, ..] => Some(Self::Ocsp),
            [der::tag::SEQUENCE, ..] | [der::tag::INTEGER, 1, 0 | 1, ..] => Some(Self::Der),
            _ => None,
        }
    }

    /// Whether it begins with a DER SEQUENCE.
    pub fn is_der(self) -> bool {
        matches!(self, Self::Der | Self::Pkcs7 | Self::Pkcs12 | Self::Ocsp)
    }
}

/// 1.2.840.113549.1.7
const PKCS7_ARC: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7];
const _: () = assert!(oid::PKCS7_DATA.len() == PKCS7_ARC.len() + 1);

/// The kinds of markers of text that may hold certificates.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MarkerKind {
    /// `-----BEGIN ` and a label.
    Pem,
    /// Base64 of `-----BEGIN `, or of a document that may hold it.
    Base64Pem,
    /// `-----BEGIN` in UTF-16.
    Utf16,
    /// Base64 of DER (`MII`) or of a Java keystore, without armour, after a quote, `>`, `:`, `=` or
    /// nothing: as in SAML metadata, JWK sets and Kubernetes Secrets.
    BareBase64,
    /// The version of a certificate in DER, behind two headers that fit it.
    Der,
    /// DER written down octet by octet, as the source of a program has it.
    Octets,
    /// Something that only dated things other than certificates have in them (`statement/read.rs`).
    Statement,
}

/// A marker and its offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marker {
    /// Which kind.
    pub kind: MarkerKind,
    /// Offset of its first octet.
    pub at: usize,
}

/// Octets by which chunks of a longer stream must overlap for no marker to be missed.
pub const OVERLAP: usize = 80;

/// Base64 of `-----BEGIN ` at its three alignments: what does not depend on the octets around it.
const PATTERNS: [(&[u8], MarkerKind); 25] = [
    (b"-----BEGIN ", MarkerKind::Pem),
    (b"LS0tLS1CRUdJTi", MarkerKind::Base64Pem),
    (b"0tLS0tQkVHSU4g", MarkerKind::Base64Pem),
    (b"tLS0tLUJFR0lOI", MarkerKind::Base64Pem),
    // Base64 of `apiVersion: `: a kubeconfig in a Secret, as Cluster API keeps them, or in a variable.
    (b"YXBpVmVyc2lvbjog", MarkerKind::Base64Pem),
    (b"-\0-\0-\0-\0-\0B\0E\0G\0I\0N\0", MarkerKind::Utf16),
    (b"\0-\0-\0-\0-\0-\0B\0E\0G\0I\0N", MarkerKind::Utf16),
    (b"MII", MarkerKind::BareBase64),
    // The same of BER with an indefinite length, as Microsoft writes PKCS#7.
    (b"MIAG", MarkerKind::BareBase64),
    // Java keystores, JKS and JCEKS, as Secrets hold them.
    (b"/u3+7QAAAA", MarkerKind::BareBase64),
    (b"zs7OzgAAAA", MarkerKind::BareBase64),
    (carve::MARKER, MarkerKind::Der),
    (octets::MARKERS[0], MarkerKind::Octets),
    (octets::MARKERS[1], MarkerKind::Octets),
    (octets::MARKERS[2], MarkerKind::Octets),
    // Of dated things that are no certificates, only those without which a file would not be read at all: SAML
    // metadata and mail have `MII` in them. And of each the piece that begins with three rare octets: the vector
    // search raises a false alarm wherever three octets look like a beginning, and with whole words (`"expires_at"`,
    // `urn:oasis...`, `Valid-Until`) it took twice as long.
    // JSON Web Tokens, after the second look: base64 of JSON is common.
    (b"eyJ", MarkerKind::Statement),
    // SSH certificates, "ssh-...-cert-v01@openssh.com".
    (b"v01@openssh.com", MarkerKind::Statement),
    // Key sets, "kty"; secret lists, "endDateTime" and "expires_at"; TUF, "_type"; Debian's Release, "Valid-Until: ".
    (b"kty\"", MarkerKind::Statement),
    (b"dDateTime\"", MarkerKind::Statement),
    (b"xpires_at\"", MarkerKind::Statement),
    (b"\"_type\"", MarkerKind::Statement),
    (b"-Until: ", MarkerKind::Statement),
    // Signed zones; keys that DNSSEC trusts; the root's, by its tag, where only its digest is given.
    (b"RRSIG", MarkerKind::Statement),
    (b"257 3 ", MarkerKind::Statement),
    (b"20326", MarkerKind::Statement),
];

/// The searcher for markers. Making one costs some microseconds: make it once.
#[derive(Clone, Debug)]
pub struct Markers {
    searcher: AhoCorasick,
}

impl Default for Markers {
    fn default() -> Self {
        Self::new()
    }
}

impl Markers {
    /// A searcher.
    pub fn new() -> Self {
        let searcher = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(PATTERNS.iter().map(|(pattern, _)| pattern))
            .expect("a few short patterns always build");
        Self { searcher }
    }

    /// The offset of the first marker in the chunk.
    pub fn first(&self, chunk: &[u8]) -> Option<usize> {
        self.all(chunk).next().map(|marker| marker.at)
    }

    /// The markers in the chunk, in their order. Each has passed the second look: a label follows, or base64
    /// stands where it should.
    pub fn all<'a>(&'a self, chunk: &'a [u8]) -> impl Iterator<Item = Marker> + 'a {
        self.from(chunk, 0)
    }

    /// The first marker at or after `start`.
    pub(crate) fn after(&self, bytes: &[u8], start: usize) -> Option<Marker> {
        self.from(bytes, start).next()
    }

    fn from<'a>(&'a self, chunk: &'a [u8], start: usize) -> impl Iterator<Item = Marker> + 'a {
        // A start past the end is no range.
        let start = start.min(chunk.len());
        self.searcher.find_iter(Input::new(chunk).range(start..)).filter_map(move |found| {
            let (_, mut kind) = *PATTERNS.get(found.pattern().as_usize())?;
            let genuine = match kind {
                MarkerKind::Pem => {
                    label_at(chunk, found.start()).is_some() || touches_end(chunk, found.start())
                }
                MarkerKind::BareBase64 if is_bare_base64(chunk, found.start()) => true,
                MarkerKind::BareBase64 => {
                    kind = MarkerKind::Statement;
                    is_part_or_comment(chunk, found.start())
                }
                MarkerKind::Der => carve::begins(chunk, found.start()).is_some(),
                MarkerKind::Octets => octets::may_begin(chunk, found.start()),
                MarkerKind::Statement if found.len() == 3 => jwt::may_begin(chunk, found.start()),
                MarkerKind::Base64Pem | MarkerKind::Utf16 | MarkerKind::Statement => true,
            };
            genuine.then_some(Marker { kind, at: found.start() })
        })
    }
}

/// Whether a marker begins so late in the chunk that its label may follow in the next one.
fn touches_end(chunk: &[u8], at: usize) -> bool {
    chunk.len() - at < OVERLAP
}

/// The label of the PEM block that begins at `at`, and the offset after its dashes.
pub(crate) fn label_at(bytes: &[u8], at: usize) -> Option<(&str, usize)> {
    let start = at.checked_add(b"-----BEGIN ".len())?;
    let rest = bytes.get(start..)?;
    let length = rest.iter().take(64).position(|octet| *octet == b'-')?;
    let label = rest.get(..length)?;
    let is_label =
        |octet: &u8| octet.is_ascii_uppercase() || octet.is_ascii_digit() || matches!(octet, b' ' | b'#');
    if length == 0 || !label.iter().all(is_label) || !rest.get(length..)?.starts_with(b"-----") {
        return None;
    }
    Some((std::str::from_utf8(label).ok()?, start + length + 5))
}

/// Whether `at` begins base64 without armour: base64 goes on, and before it, spaces aside, stands a quote,
/// `>`, `:`, `=`, or nothing.
fn is_bare_base64(bytes: &[u8], at: usize) -> bool {
    let before = bytes.get(at.saturating_sub(64)..at).unwrap_or(&[]);
    let opener = before.iter().rev().find(|octet| !octet.is_ascii_whitespace());
    let opened = match opener {
        Some(octet) => matches!(octet, b'"' | b'\'' | b'>' | b':' | b'=' | b'`'),
        None => before.len() == at,
    };
    opened && goes_on(bytes, at)
}

/// Whether base64 at `at` stands where only the readers of statements look for it: after a blank line, as in mail;
/// after `# `, as in PowerShell; after a comma, as in the `data:` address of a vCard.
fn is_part_or_comment(bytes: &[u8], at: usize) -> bool {
    let before = bytes.get(at.saturating_sub(3)..at).unwrap_or(&[]);
    let opened = [&b"\n\n"[..], b"\n\r\n", b"# ", b","].iter().any(|opener| before.ends_with(opener));
    opened && goes_on(bytes, at)
}

/// Whether base64 goes on for a while.
fn goes_on(bytes: &[u8], at: usize) -> bool {
    let ahead = bytes.get(at..).unwrap_or(&[]);
    let ahead = ahead.get(..48).unwrap_or(ahead);
    ahead.iter().all(|octet| {
        octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'=' | b'\\' | b'\r' | b'\n' | b' ')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], expected: &[(MarkerKind, usize)]) {
        let found: Vec<_> = Markers::new().all(text).map(|marker| (marker.kind, marker.at)).collect();
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(text));
    }

    #[test]
    fn markers() {
        let after = [b' '; 100];
        let padded = |text: &[u8]| [text, &after[..]].concat();
        check(&padded(b"x-----BEGIN CERTIFICATE-----"), &[(MarkerKind::Pem, 1)]);
        check(&padded(b"------BEGIN X-----"), &[(MarkerKind::Pem, 1)]);
        check(&padded(b"-----BEGIN the day-----"), &[]);
        check(&padded(b"-----BEGIN"), &[]);
        // The end of a chunk is given the benefit of the doubt.
        check(b"-----BEGIN CERTIF", &[(MarkerKind::Pem, 0)]);
        for text in [&b"-----BEGIN "[..], b"x-----BEGIN ", b"xy-----BEGIN ", b"xyz-----BEGIN "] {
            let encoded = crate::container::base64::encode(text);
            assert_eq!(Markers::new().all(encoded.as_bytes()).count(), 1, "{encoded}");
        }
        check(b"<X>\n  MIIC0123456789012345678901234567890123456789012345", &[(MarkerKind::BareBase64, 6)]);
        check(b"is MIIC0123456789012345678901234567890123456789012345", &[]);
        // Mail, PowerShell, vCard.
        for before in ["base64\n\n", "base64\r\n\r\n", "block\r\n# ", "data:application/pkix-cert;base64,"] {
            let text = format!("{before}MIIC0123456789012345678901234567890123456789012345");
            check(text.as_bytes(), &[(MarkerKind::Statement, before.len())]);
        }
        for text in [
            "ssh-ed25519-cert-v01@openssh.com AAAA",
            "{\"kty\": \"RSA\"}",
            "{\"endDateTime\": \"2027-01-01\"}",
            "{\"expires_at\":1}",
            "{\"_type\": \"root\"}",
            "Valid-Until: Sat, 08 Nov 2025 10:00:00 UTC",
            "TOKEN=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE4OTM0NTYwMDB9.c2lnbmF0dXJl",
        ] {
            let found: Vec<_> = Markers::new().all(text.as_bytes()).map(|marker| marker.kind).collect();
            assert_eq!(found.first(), Some(&MarkerKind::Statement), "{text}");
        }
        check(
            b"sourceMappingURL=data:application/json;base64,eyJ2ZXJzaW9uIjozLCJzb3VyY2VzIjpbImEudHMiXX0",
            &[],
        );
    }

    #[test]
    fn starts() {
        let check =
            |start: &[u8], hint: Option<Hint>| assert_eq!(Hint::of_start(start), hint, "{start:02x?}");
        check(&[0x30, 0x82, 3, 0, 0x30, 0x82, 2, 0, 0xa0, 3, 2, 1, 2], Some(Hint::Der));
        check(&[0x30, 0x80, 2, 1, 3, 0x30, 0x80], Some(Hint::Pkcs12));
        check(&[0x30, 0x82, 3, 0, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0xd, 1, 7, 2], Some(Hint::Pkcs7));
        check(b"0123456789", None);
        check(b"00000000000000000000000", None);
        check(&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2], Some(Hint::Jks));
        check(&[0xca, 0xfe, 0xba, 0xbe], None);
        check(&[], None);
        check(&[0xff, 0xfe, b'-', 0], Some(Hint::Utf16));
        check(&[0x30, 0x82, 3, 0, 0x0a, 1, 0, 0xa0, 0x82, 2, 0xf0], Some(Hint::Ocsp));
        check(&[0x99, 1, 0x0d, 4, 0x60, 0, 0, 0, 1], Some(Hint::Openpgp));
        check(b"\0\0\0\x20\x01\x01\0\x02KBXf", Some(Hint::Keybox));
        check(b"MZ", None);
    }
}

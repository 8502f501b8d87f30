//! What is odd about a certificate's form: problems, each with a stable name.
//!
//! Called by [`Certificate::problems`](crate::Certificate::problems). About form only (encoding and RFC
//! 5280's structural rules); whether a certificate is weak, late or untrusted is for the rules in `core`.

use crate::asn1_time;
use crate::certificate::Certificate;
use crate::der::{Reader, Tlv, tag};
use crate::extension::{GeneralName, GeneralNames};
use crate::name::{Name, is_deceptive};
use crate::oid;

/// One oddity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Problem {
    /// A stable kebab-case name.
    pub name: &'static str,
    /// One sentence for people.
    pub text: &'static str,
}

macro_rules! problems {
    ($($name:ident $kebab:literal $text:literal;)+) => {
        $(const $name: Problem = Problem { name: $kebab, text: $text };)+
        /// Every problem there is, for documentation and tests.
        pub const ALL: &[Problem] = &[$($name),+];
    };
}
problems! {
    TRAILING_BYTES "trailing-bytes" "Octets follow the certificate or one of its parts.";
    OVERLONG_LENGTH "overlong-length" "A length is encoded with more octets than DER allows.";
    ODD_VERSION "odd-version" "The version is none of 1, 2 and 3, or version 1 is spelt out.";
    VERSION_WITH_EXTENSIONS "version-with-extensions" "It has extensions, but its version is not 3.";
    EMPTY_SERIAL "empty-serial" "The serial number has no octets.";
    NON_POSITIVE_SERIAL "non-positive-serial" "The serial number is zero or negative (RFC 5280 section 4.1.2.2).";
    SERIAL_TOO_LONG "serial-too-long" "The serial number has more than 20 octets (RFC 5280 section 4.1.2.2).";
    NON_MINIMAL_SERIAL "non-minimal-serial" "The serial number is padded beyond what DER allows.";
    UNREADABLE_TIME "unreadable-time" "A date of the validity cannot be read as an instant.";
    ODD_TIME "odd-time" "A date of the validity is not written as RFC 5280 section 4.1.2.5 demands.";
    VALIDITY_REVERSED "validity-reversed" "The validity ends before it begins.";
    MALFORMED_NAME "malformed-name" "The issuer name or the subject cannot be decoded.";
    EMPTY_ISSUER "empty-issuer" "The issuer name is empty (RFC 5280 section 4.1.2.4).";
    INVALID_UTF8_NAME "invalid-utf8-name" "A string in a name is not valid in its own character set.";
    NUL_IN_NAME "nul-in-name" "A name contains a NUL character.";
    DECEPTIVE_NAME "deceptive-name" "A name contains control, bidirectional or invisible characters.";
    LONG_NAME "long-name" "A name has an attribute longer than 32768 octets.";
    ALGORITHM_MISMATCH "algorithm-mismatch" "The signature algorithms inside and outside the signed part differ.";
    NO_SIGNATURE "no-signature" "The signature or its algorithm is missing or cannot be read.";
    MALFORMED_KEY "malformed-key" "The public key cannot be decoded.";
    EXPLICIT_CURVE "explicit-curve" "The curve is spelt out by parameters (RFC 5480 section 2.1.1 forbids it).";
    MALFORMED_EXTENSIONS "malformed-extensions" "The list of extensions cannot be read to its end.";
    EMPTY_EXTENSIONS "empty-extensions" "The list of extensions is there, but empty.";
    DUPLICATE_EXTENSION "duplicate-extension" "An extension occurs twice (RFC 5280 section 4.2).";
    MALFORMED_EXTENSION "malformed-extension" "The value of a known extension cannot be decoded.";
    UNKNOWN_CRITICAL_EXTENSION "unknown-critical-extension" "An extension that is not widely known is critical: strict clients refuse the certificate.";
    ODD_BOOLEAN "odd-boolean" "A flag is encoded as DER does not allow.";
    INVALID_SAN "invalid-san" "A subjectAltName entry has the wrong form for its type.";
    EMPTY_SAN "empty-san" "The subjectAltName extension has no entries.";
    SUBJECT_WITHOUT_NAME "no-subject-no-san" "The subject is empty and no critical subjectAltName stands in for it.";
    CA_WITHOUT_KEY_ID "ca-without-key-id" "A version 3 CA certificate lacks a subjectKeyIdentifier (RFC 5280 section 4.2.1.2).";
}

/// The problems of one certificate, each at most once, in the order of [`ALL`].
pub(crate) fn problems(certificate: &Certificate<'_>) -> Vec<Problem> {
    let mut found = Vec::new();
    let c = certificate;
    skeleton(c, &mut found);
    serial(c.serial(), &mut found);
    validity(c, &mut found);
    for (name, is_issuer) in [(c.issuer_name(), true), (c.subject(), false)] {
        check_name(name, is_issuer, &mut found);
    }
    key(c, &mut found);
    extensions(c, &mut found);
    found.sort_by_key(|problem| ALL.iter().position(|known| known == problem));
    found.dedup();
    found
}

fn skeleton(c: &Certificate<'_>, found: &mut Vec<Problem>) {
    if c.input.len() > c.der().len() {
        found.push(TRAILING_BYTES);
    }
    if !matches!(c.version(), 1..=3) {
        found.push(ODD_VERSION);
    }
    let mut parts = Reader::new(c.der());
    if let Ok(whole) = parts.read() {
        let mut overlong = whole.is_overlong();
        for part in whole.reader() {
            overlong |= part.is_overlong();
        }
        for field in Reader::new(c.tbs()).flat_map(|tbs| tbs.reader()) {
            overlong |= field.is_overlong();
            // DEFAULT v1 must not be encoded (X.690 section 11.5).
            if field.tag == tag::context(0) && c.version() == 1 {
                found.push(ODD_VERSION);
            }
        }
        if overlong {
            found.push(OVERLONG_LENGTH);
        }
    }
    let mut outer = Reader::new(c.outer);
    match outer.optional(tag::SEQUENCE) {
        Some(algorithm) if algorithm.raw != c.inner_algorithm => found.push(ALGORITHM_MISMATCH),
        Some(_) => {}
        None => found.push(NO_SIGNATURE),
    }
    match outer.optional(tag::BIT_STRING) {
        Some(bits) if bits.value.len() > 1 => {}
        _ => found.push(NO_SIGNATURE),
    }
    if !outer.is_empty() && !found.contains(&NO_SIGNATURE) {
        found.push(TRAILING_BYTES);
    }
    let mut tail = Reader::new(c.tail);
    let mut last = 0;
    while !tail.is_empty() {
        match tail.read() {
            Ok(field) if matches!(field.tag, 0x81 | 0x82 | 0xa1 | 0xa2 | 0xa3) && field.tag & 3 > last => {
                last = field.tag & 3;
            }
            _ => {
                found.push(TRAILING_BYTES);
                break;
            }
        }
    }
}

fn serial(serial: &[u8], found: &mut Vec<Problem>) {
    match serial {
        [] => found.push(EMPTY_SERIAL),
        [first, ..] if *first >= 0x80 || serial.iter().all(|octet| *octet == 0) => {
            found.push(NON_POSITIVE_SERIAL);
        }
        _ => {}
    }
    if serial.len() > 20 {
        found.push(SERIAL_TOO_LONG);
    }
    if let [0, second, ..] = serial
        && *second < 0x80
    {
        found.push(NON_MINIMAL_SERIAL);
    }
    if let [0xff, second, ..] = serial
        && *second >= 0x80
    {
        found.push(NON_MINIMAL_SERIAL);
    }
}

fn validity(c: &Certificate<'_>, found: &mut Vec<Problem>) {
    let mut times = Reader::new(c.validity);
    for _ in 0..2 {
        match times.read().ok().and_then(|element| asn1_time::read(&element)) {
            Some(instant) if instant.odd => found.push(ODD_TIME),
            Some(_) => {}
            None => found.push(UNREADABLE_TIME),
        }
    }
    if !times.is_empty() {
        found.push(TRAILING_BYTES);
    }
    if let (Some(start), Some(end)) = (c.not_before(), c.not_after())
        && end < start
    {
        found.push(VALIDITY_REVERSED);
    }
}

fn check_name(name: Name<'_>, is_issuer: bool, found: &mut Vec<Problem>) {
    if !name.is_well_formed() {
        found.push(MALFORMED_NAME);
    } else if is_issuer && name.is_empty() {
        found.push(EMPTY_ISSUER);
    }
    for attribute in name.attributes() {
        let Some(text) = attribute.text() else {
            if matches!(attribute.value.tag, tag::UTF8_STRING | tag::BMP_STRING | tag::UNIVERSAL_STRING) {
                found.push(INVALID_UTF8_NAME);
            }
            continue;
        };
        let narrow =
            matches!(attribute.value.tag, tag::PRINTABLE_STRING | tag::IA5_STRING | tag::NUMERIC_STRING);
        if narrow && !attribute.value.value.is_ascii() {
            found.push(INVALID_UTF8_NAME);
        }
        if text.len() > 32_768 {
            found.push(LONG_NAME);
        }
        if text.contains('\0') {
            found.push(NUL_IN_NAME);
        } else if text.chars().any(is_deceptive) {
            found.push(DECEPTIVE_NAME);
        }
    }
}

fn key(c: &Certificate<'_>, found: &mut Vec<Problem>) {
    let key = c.public_key();
    let unreadable_rsa = key.algorithm_identifier().oid == oid::RSA && key.rsa_exponent().is_none();
    if key.algorithm_identifier().oid.is_empty() || key.key().is_empty() || unreadable_rsa {
        found.push(MALFORMED_KEY);
    }
    if key.has_explicit_curve() {
        found.push(EXPLICIT_CURVE);
    }
}

fn extensions(c: &Certificate<'_>, found: &mut Vec<Problem>) {
    let wrapped = Reader::new(c.tail).find(|field| field.tag == tag::context(3));
    if let Some(wrapped) = wrapped {
        if c.version() != 3 {
            found.push(VERSION_WITH_EXTENSIONS);
        }
        let mut inner = wrapped.reader();
        match inner.expect(tag::SEQUENCE) {
            Ok(list) if list.value.is_empty() => found.push(EMPTY_EXTENSIONS),
            Ok(_) if inner.is_empty() => {}
            Ok(_) => found.push(TRAILING_BYTES),
            Err(_) => found.push(MALFORMED_EXTENSIONS),
        }
    }
    let mut list = c.extensions();
    let mut seen: Vec<&[u8]> = Vec::new();
    for extension in list.by_ref() {
        seen.push(extension.oid);
        if extension.critical && oid::extension_name(extension.oid).is_none() {
            found.push(UNKNOWN_CRITICAL_EXTENSION);
        }
        check_value(extension.oid, extension.value, found);
    }
    if !list.rest().is_empty() {
        found.push(MALFORMED_EXTENSIONS);
    }
    // Sorting keeps a million extensions from costing a million squared.
    seen.sort_unstable();
    if seen.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        found.push(DUPLICATE_EXTENSION);
    }
    for field in Reader::new(c.tail).filter(|field| field.tag == tag::context(3)) {
        for list in field.reader() {
            for extension in list.reader() {
                let flag = extension.reader().find(|part| part.tag == tag::BOOLEAN);
                // FALSE is the DEFAULT and must not be encoded; TRUE is 0xff.
                if flag.is_some_and(|flag| flag.value != [0xff]) {
                    found.push(ODD_BOOLEAN);
                }
            }
        }
    }
    let san = c.extension(oid::SUBJECT_ALT_NAME);
    if c.subject().is_empty() && !san.is_some_and(|san| san.critical) {
        found.push(SUBJECT_WITHOUT_NAME);
    }
    if c.version() == 3 && c.is_ca() && c.extension(oid::SUBJECT_KEY_ID).is_none() {
        found.push(CA_WITHOUT_KEY_ID);
    }
}

/// Whether the value of a known extension has the outer form of its type, and SAN entries theirs.
fn check_value(oid: &[u8], value: &[u8], found: &mut Vec<Problem>) {
    let expected = match oid {
        oid::SUBJECT_KEY_ID | oid::SCT_LIST => tag::OCTET_STRING,
        oid::KEY_USAGE | oid::NETSCAPE_CERT_TYPE => tag::BIT_STRING,
        oid::CT_POISON | oid::OCSP_NO_CHECK => tag::NULL,
        oid::INHIBIT_ANY_POLICY => tag::INTEGER,
        _ if oid::extension_name(oid).is_some() => tag::SEQUENCE,
        _ => return,
    };
    let mut reader = Reader::new(value);
    let Ok(element) = reader.expect(expected) else {
        found.push(MALFORMED_EXTENSION);
        return;
    };
    if !reader.is_empty() {
        found.push(TRAILING_BYTES);
    }
    if expected == tag::SEQUENCE && !is_walkable(&element) {
        found.push(MALFORMED_EXTENSION);
    }
    if oid == oid::SUBJECT_ALT_NAME {
        if element.value.is_empty() {
            found.push(EMPTY_SAN);
        }
        for name in GeneralNames::over(element.value) {
            check_general_name(&name, found);
        }
    }
}

fn is_walkable(element: &Tlv<'_>) -> bool {
    let mut reader = element.reader();
    while !reader.is_empty() {
        if reader.read().is_err() {
            return false;
        }
    }
    true
}

fn check_general_name(name: &GeneralName<'_>, found: &mut Vec<Problem>) {
    match name {
        GeneralName::Dns(value) | GeneralName::Email(value) | GeneralName::Uri(value) => {
            if value.contains(&0) {
                found.push(NUL_IN_NAME);
            }
            if value.is_empty() || value.iter().any(|octet| !(0x21..=0x7e).contains(octet)) {
                found.push(INVALID_SAN);
            }
            if matches!(name, GeneralName::Dns(_)) && !is_host_name(value) {
                found.push(INVALID_SAN);
            }
        }
        GeneralName::Ip(value) if !matches!(value.len(), 4 | 16) => found.push(INVALID_SAN),
        GeneralName::DirectoryName(name) if !name.is_well_formed() => found.push(INVALID_SAN),
        GeneralName::Other { tag, .. } if !matches!(tag & !0x20, 0x83 | 0x85) => found.push(INVALID_SAN),
        _ => {}
    }
}

/// Whether this has the form of a host name with at most a wildcard for its first label: not an address, no
/// empty or long labels, only letters, digits, hyphens and underscores.
fn is_host_name(value: &[u8]) -> bool {
    let rest = value.strip_prefix(b"*.").unwrap_or(value);
    if rest.len() > 253 {
        return false;
    }
    let label_is_fine = |label: &[u8]| {
        !label.is_empty()
            && label.len() <= 63
            && label.iter().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
    };
    let mut labels = rest.split(|octet| *octet == b'.');
    let is_address = rest.iter().all(|octet| octet.is_ascii_digit() || *octet == b'.');
    !is_address && labels.all(label_is_fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, valid: bool) {
        assert_eq!(is_host_name(name.as_bytes()), valid, "{name}");
    }

    #[test]
    fn host_names() {
        check("example.com", true);
        check("*.example.com", true);
        check("_dmarc.example.com", true);
        check("localhost", true);
        check("a.*.example.com", false);
        check("f*o.example.com", false);
        check("10.0.0.1", false);
        check("example.com.", false);
        check("a..b", false);
        check("", false);
        check("::1", false);
    }

    #[test]
    fn names_of_problems_are_unique_and_kebab_case() {
        let mut names: Vec<_> = ALL.iter().map(|problem| problem.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        assert!(
            names
                .iter()
                .all(|n| n.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
        );
        assert!(ALL.iter().all(|problem| problem.text.ends_with(['.', ')'])));
    }
}

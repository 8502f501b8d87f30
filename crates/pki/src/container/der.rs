//! Bare DER: what kind of element it is, and one after another where several are concatenated.
//!
//! Called for files that begin with a SEQUENCE and for the bodies of PEM blocks that may be anything. Told
//! apart by structure alone, never by file name.

use std::borrow::Cow;

use super::{Content, Format, Found, Place, Reason, Session, pkcs7, pkcs12};
use crate::certificate::Certificate;
use crate::crl::Crl;
use crate::csr::Csr;
use crate::der::{Reader, skip_ber, tag};
use crate::oid;
use crate::private_key::PrivateKey;
use crate::salvage::salvage;
use crate::statement::ocsp::{self, OcspResponse};

/// The kind of one element.
pub(crate) enum Kind {
    Certificate,
    Crl,
    Csr,
    PrivateKey(PrivateKey),
    PublicKey,
    Pkcs7,
    Pkcs12,
    Bcfks,
    Ocsp,
}

/// Tells what the element at the start of these bytes is.
pub(crate) fn classify(bytes: &[u8]) -> Option<Kind> {
    if Certificate::parse(bytes).is_ok() {
        return Some(Kind::Certificate);
    }
    match super::Hint::of_start(bytes) {
        Some(super::Hint::Pkcs7) => return Some(Kind::Pkcs7),
        Some(super::Hint::Pkcs12) => return Some(Kind::Pkcs12),
        Some(super::Hint::Ocsp) if OcspResponse::parse(bytes).is_ok() => return Some(Kind::Ocsp),
        _ => {}
    }
    if Crl::parse(bytes).is_ok() {
        return Some(Kind::Crl);
    }
    if Csr::parse(bytes).is_ok() {
        return Some(Kind::Csr);
    }
    if let Some(key) = PrivateKey::recognise(bytes) {
        return Some(Kind::PrivateKey(key));
    }
    if is_spki(bytes) {
        return Some(Kind::PublicKey);
    }
    if is_bcfks(bytes) {
        return Some(Kind::Bcfks);
    }
    // A deadline and a key that can be told make it a certificate, broken as it is.
    let saved = salvage(bytes);
    (saved.not_after.is_some() && saved.spki.is_some() && saved.serial.is_some()).then_some(Kind::Certificate)
}

fn is_spki(bytes: &[u8]) -> bool {
    let Ok(mut inner) = Reader::new(bytes).sequence() else { return false };
    let algorithm = inner.sequence().is_ok_and(|mut algorithm| algorithm.expect(tag::OID).is_ok());
    algorithm && inner.expect(tag::BIT_STRING).is_ok() && inner.is_empty()
}

/// Bouncy Castle's FIPS keystore: encrypted or plain data, then an integrity check, all in ASN.1.
fn is_bcfks(bytes: &[u8]) -> bool {
    let Ok(mut outer) = Reader::new(bytes).sequence() else { return false };
    let Ok(mut data) = outer.sequence() else { return false };
    let Ok(mut algorithm) = data.sequence() else { return false };
    let encrypted =
        algorithm.expect(tag::OID).is_ok_and(|oid| crate::private_key::is_password_based(oid.value));
    encrypted && data.expect(tag::OCTET_STRING).is_ok() && outer.peek() == Some(tag::SEQUENCE)
}

/// Opens a file that begins with a SEQUENCE; `None` when nothing in it is of interest here.
pub(crate) fn open<'a>(
    bytes: &'a [u8],
    place: &Place,
    session: &mut Session,
) -> Option<(Format, Vec<Found<'a>>)> {
    let mut found = Vec::new();
    let mut rest = bytes;
    let mut number = 0;
    let mut format = Format::Der;
    while rest.first() == Some(&tag::SEQUENCE) {
        let length = skip_ber(rest).unwrap_or(rest.len());
        let Some((element, after)) = rest.split_at_checked(length) else { break };
        let Some(kind) = classify(element) else { break };
        number += 1;
        rest = after;
        // Editors and copy commands leave line ends and padding between and after.
        while let [b'\n' | b'\r' | b' ' | 0, tail @ ..] = rest {
            rest = tail;
        }
        let alone = number == 1 && rest.first() != Some(&tag::SEQUENCE);
        let here = if alone { place.clone() } else { place.numbered(number) };
        match kind {
            Kind::Pkcs7 if alone => format = Format::Pkcs7,
            Kind::Pkcs12 if alone => format = Format::Pkcs12,
            Kind::Bcfks if alone => format = Format::Unsupported,
            _ => {}
        }
        place_element(element, kind, &here, session, &mut found);
        if session.is_full() {
            break;
        }
    }
    if number == 0 {
        return None;
    }
    if !rest.is_empty() && !session.is_full() {
        let count = rest.len();
        session
            .problem(Reason::Malformed, format!("{count} octets after the last element are not understood"));
    }
    Some((format, found))
}

/// Keeps one classified element, opening it if it is a container itself.
pub(crate) fn place_element<'a>(
    element: &'a [u8],
    kind: Kind,
    place: &Place,
    session: &mut Session,
    found: &mut Vec<Found<'a>>,
) {
    let whole = Cow::Borrowed(element);
    let content = match kind {
        Kind::Certificate => Content::Certificate(whole),
        Kind::Crl => Content::Crl(whole),
        Kind::Csr => Content::Csr(whole),
        Kind::PrivateKey(key) => Content::PrivateKey(key),
        Kind::PublicKey => Content::PublicKey(whole),
        Kind::Pkcs7 => return pkcs7::open(element, place, session, found),
        Kind::Pkcs12 => return pkcs12::open(element, place, session, found),
        Kind::Ocsp => return ocsp::open(element, place, session, found),
        Kind::Bcfks => {
            return session.problem(
                Reason::UnsupportedFormat,
                "a BCFKS keystore (Bouncy Castle FIPS): it is encrypted as a whole and cannot be read here",
            );
        }
    };
    session.keep(found, content, place.clone());
}

/// Whether these bytes are an RSA public key by itself (PKCS#1), and its SubjectPublicKeyInfo.
pub(crate) fn pkcs1_public_key(bytes: &[u8]) -> Option<Vec<u8>> {
    let key = Reader::new(bytes).expect(tag::SEQUENCE).ok()?;
    let mut integers = key.reader();
    integers.expect(tag::INTEGER).ok()?;
    integers.expect(tag::INTEGER).ok()?;
    let algorithm = [&crate::der::encode(tag::OID, oid::RSA)[..], &[tag::NULL, 0]].concat();
    let bits = crate::der::encode(tag::BIT_STRING, &[&[0], key.raw].concat());
    let parts = [crate::der::encode(tag::SEQUENCE, &algorithm), bits].concat();
    Some(crate::der::encode(tag::SEQUENCE, &parts))
}

//! Writers of what holds a key with its certificates: PKCS#12, JKS, PKCS#7, and the PEM forms of a key.
//!
//! Small and our own; the reading side is `pki::container`. `keytool` and `openssl` are the judges of both in the
//! tests. Nothing here touches a disk. Plain keys are in buffers that are wiped.

pub(super) mod jks;
pub(super) mod password;
pub(super) mod pkcs12;
pub(super) mod pkcs7;

use notafter_core::fault::{Fault, FaultKind};
use notafter_pki::certificate::Certificate;
use notafter_pki::container::{self, Content, Limits, pem};
use notafter_pki::der::{Reader, encode, tag};
use notafter_pki::oid;
use notafter_pki::verify::{SignatureVerdict, is_signed_by};
use zeroize::Zeroizing;

use super::files::KeyForm;

/// What a keystore that is there says about itself.
pub(super) struct There {
    /// The name of its key.
    pub(super) alias: Option<String>,
    /// How many keys it holds.
    pub(super) keys: usize,
    /// The subject of a certificate in it that has nothing to do with its key: an anchor of somebody else's.
    pub(super) stranger: Option<String>,
}

/// Looks into a keystore.
pub(super) fn look(bytes: &[u8], password: &str) -> There {
    let opened = container::open_with(bytes, &[password], &Limits::default());
    let mut there = There { alias: None, keys: 0, stranger: stranger(&opened) };
    for found in &opened.found {
        match &found.content {
            Content::PrivateKey(_) => there.keys += 1,
            // The friendly name stands at the certificate as well, and there it can always be read.
            Content::Certificate(der) if there.alias.is_none() => {
                let is_leaf = Certificate::parse(der).is_ok_and(|certificate| !certificate.is_ca());
                let place = found.place.as_str();
                // A number is the place of an entry that has no name.
                if is_leaf && !place.is_empty() && !place.bytes().all(|b| b.is_ascii_digit()) {
                    there.alias = place.split('/').next().map(unescape);
                }
            }
            _ => {}
        }
    }
    there
}

/// A CA certificate that is not on the way up from any leaf in the same file.
fn stranger(opened: &container::Opened<'_>) -> Option<String> {
    let all: Vec<Certificate<'_>> =
        opened.certificates().filter_map(|der| Certificate::parse(der).ok()).collect();
    let (mut rest, mut up): (Vec<_>, Vec<_>) = all.into_iter().partition(Certificate::is_ca);
    while let Some(below) = up.pop() {
        let signed = |c: &Certificate<'_>| {
            c.subject() == below.issuer_name() && is_signed_by(&below, c.spki()) != SignatureVerdict::Bad
        };
        let (above, others) = rest.into_iter().partition(signed);
        let above: Vec<Certificate<'_>> = above;
        up.extend(above);
        rest = others;
    }
    rest.first().map(|c| c.subject().to_rfc4514())
}

/// Takes the percent-encoding of a place away.
pub(super) fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = (*first == b'%').then(|| tail.get(..2)).flatten();
        match hex.and_then(|h| u8::from_str_radix(std::str::from_utf8(h).ok()?, 16).ok()) {
            Some(octet) => {
                out.push(octet);
                rest = tail.get(2..).unwrap_or(&[]);
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A private key as PEM in one of its forms.
pub(super) fn key_pem(pkcs8: &[u8], form: KeyForm) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let (label, der) = match form {
        KeyForm::Pkcs8 => ("PRIVATE KEY", plain_pkcs8(pkcs8)?),
        KeyForm::Pkcs1 => ("RSA PRIVATE KEY", traditional(pkcs8, oid::RSA, "pkcs1", "RSA")?),
        KeyForm::Sec1 => ("EC PRIVATE KEY", sec1(pkcs8)?),
    };
    Ok(Zeroizing::new(pem::encode(label, &der).into_bytes()))
}

/// The parts of a PKCS#8 key (RFC 5958): algorithm, its OID, its parameters, the key itself.
struct Parts<'a> {
    algorithm: &'a [u8],
    oid: &'a [u8],
    parameters: &'a [u8],
    key: &'a [u8],
}

fn parts(pkcs8: &[u8]) -> Result<Parts<'_>, Fault> {
    let read = || {
        let mut inner = Reader::new(pkcs8).sequence().ok()?;
        inner.expect(tag::INTEGER).ok()?;
        let algorithm = inner.expect(tag::SEQUENCE).ok()?;
        let mut fields = algorithm.reader();
        let oid = fields.expect(tag::OID).ok()?.value;
        let parameters = fields.rest();
        let key = inner.expect(tag::OCTET_STRING).ok()?.value;
        Some(Parts { algorithm: algorithm.raw, oid, parameters, key })
    };
    read().ok_or_else(|| Fault::new(FaultKind::Invalid, "the private key is no PKCS#8"))
}

/// Version 1 of PKCS#8, without the public key that version 2 carries: OpenSSL before 1.1.1 reads nothing else.
pub(super) fn plain_pkcs8(pkcs8: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let parts = parts(pkcs8)?;
    let key = Zeroizing::new(encode(tag::OCTET_STRING, parts.key));
    let body = Zeroizing::new([&[tag::INTEGER, 1, 0], parts.algorithm, &key].concat());
    Ok(Zeroizing::new(encode(tag::SEQUENCE, &body)))
}

fn traditional(pkcs8: &[u8], kind: &[u8], setting: &str, name: &str) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let parts = parts(pkcs8)?;
    if parts.oid != kind {
        return Err(Fault::new(
            FaultKind::Invalid,
            format!("key_format = \"{setting}\" is for {name} keys, and this one is none"),
        )
        .hint("leave key_format out: PKCS#8 holds every kind of key"));
    }
    Ok(Zeroizing::new(parts.key.to_vec()))
}

/// RFC 5915, with the curve in it, which PKCS#8 states outside.
fn sec1(pkcs8: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let inner = traditional(pkcs8, oid::EC_PUBLIC_KEY, "sec1", "elliptic-curve")?;
    let curve = encode(tag::context(0), parts(pkcs8)?.parameters);
    let malformed = || Fault::new(FaultKind::Invalid, "the private key is no ECPrivateKey");
    let mut fields = Reader::new(&inner).sequence().map_err(|_| malformed())?;
    let version = fields.expect(tag::INTEGER).map_err(|_| malformed())?.raw;
    let secret = fields.expect(tag::OCTET_STRING).map_err(|_| malformed())?.raw;
    fields.optional(tag::context(0));
    let public = fields.rest();
    let body = Zeroizing::new([version, secret, &curve, public].concat());
    Ok(Zeroizing::new(encode(tag::SEQUENCE, &body)))
}

/// Random octets.
fn random<const N: usize>() -> Result<[u8; N], Fault> {
    let mut octets = [0; N];
    aws_lc_rs::rand::fill(&mut octets)
        .map_err(|_| Fault::new(FaultKind::System, "the system gave no random octets"))?;
    Ok(octets)
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    encode(tag::SEQUENCE, &parts.concat())
}

/// An unsigned INTEGER.
fn integer(value: u64) -> Vec<u8> {
    let octets = value.to_be_bytes();
    let start = octets.iter().position(|o| *o != 0).unwrap_or(octets.len() - 1);
    let mut body = octets.get(start..).unwrap_or(&[0]).to_vec();
    if body.first().is_some_and(|o| o & 0x80 != 0) {
        body.insert(0, 0);
    }
    encode(tag::INTEGER, &body)
}

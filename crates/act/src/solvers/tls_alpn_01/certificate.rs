//! The certificate of a challenge (RFC 8737 section 3): self-signed, for one name, with the digest of the key authorization
//! in a critical extension. It is worth nothing to anybody but a CA that asks for it.

use std::net::IpAddr;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use notafter_core::UnixTime;
use notafter_core::issuance::Identifier;
use notafter_pki::certificate::Certificate;
use notafter_pki::der::{Reader, encode, tag};
use notafter_pki::oid;

/// id-pe-acmeIdentifier, 1.3.6.1.5.5.7.1.31 (RFC 8737 section 6.1).
const ACME_IDENTIFIER: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 31];
/// ecdsa-with-SHA256, 1.2.840.10045.4.3.2 (RFC 5758 section 3.2).
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// On either side of now: a CA's clock is not ours.
const DAY: i64 = 86_400;

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    encode(tag::SEQUENCE, &parts.concat())
}

/// Makes one: the certificate, and its key as PKCS#8.
pub(super) fn make(
    name: &Identifier,
    digest: &[u8; 32],
    now: UnixTime,
) -> Result<(Vec<u8>, Vec<u8>), String> {
    let failed = |_| "no key for the challenge could be made".to_owned();
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
    let algorithm = sequence(&[&encode(tag::OID, ECDSA_WITH_SHA256)]);
    let kind = sequence(&[&encode(tag::OID, oid::EC_PUBLIC_KEY), &encode(tag::OID, oid::P256)]);
    let spki = sequence(&[&kind, &encode(tag::BIT_STRING, &[&[0], pair.public_key().as_ref()].concat())]);
    let common =
        sequence(&[&encode(tag::OID, oid::COMMON_NAME), &encode(tag::UTF8_STRING, b"ACME challenge")]);
    let who = sequence(&[&encode(tag::SET, &common)]);
    let validity = sequence(&[&time(now.plus(-DAY))?, &time(now.plus(7 * DAY))?]);
    let alternative = match name {
        Identifier::Dns(name) => encode(tag::context_primitive(2), name.as_bytes()),
        Identifier::Ip(IpAddr::V4(ip)) => encode(tag::context_primitive(7), &ip.octets()),
        Identifier::Ip(IpAddr::V6(ip)) => encode(tag::context_primitive(7), &ip.octets()),
    };
    let extensions = sequence(&[
        &extension(oid::SUBJECT_ALT_NAME, false, &sequence(&[&alternative])),
        &extension(ACME_IDENTIFIER, true, &encode(tag::OCTET_STRING, digest)),
    ]);
    let body = sequence(&[
        &encode(tag::context(0), &encode(tag::INTEGER, &[2])),
        // Positive, and another one for another challenge.
        &encode(tag::INTEGER, &[&[1], &digest[..15]].concat()),
        &algorithm,
        &who,
        &validity,
        &who,
        &spki,
        &encode(tag::context(3), &extensions),
    ]);
    let signature = pair.sign(&SystemRandom::new(), &body).map_err(failed)?;
    let signature = encode(tag::BIT_STRING, &[&[0], signature.as_ref()].concat());
    let key = pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec();
    Ok((sequence(&[&body, &algorithm, &signature]), key))
}

fn extension(id: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { encode(tag::BOOLEAN, &[0xff]) } else { Vec::new() };
    sequence(&[&encode(tag::OID, id), &critical, &encode(tag::OCTET_STRING, value)])
}

/// A Time (RFC 5280 section 4.1.2.5): UTCTime until 2049, then GeneralizedTime.
fn time(at: UnixTime) -> Result<Vec<u8>, String> {
    let at = jiff::Timestamp::from_second(at.0).map_err(|e| e.to_string())?.to_zoned(jiff::tz::TimeZone::UTC);
    Ok(match at.year() {
        1950..=2049 => encode(tag::UTC_TIME, at.strftime("%y%m%d%H%M%SZ").to_string().as_bytes()),
        _ => encode(tag::GENERALIZED_TIME, at.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes()),
    })
}

/// The digest in a certificate of a challenge.
pub(super) fn digest(leaf: &[u8]) -> Option<&[u8]> {
    let extension = Certificate::parse(leaf).ok()?.extension(ACME_IDENTIFIER)?;
    Reader::new(extension.value).expect(tag::OCTET_STRING).ok().map(|found| found.value)
}

/// Does it prove this?
pub(super) fn proves(leaf: &[u8], expected: &[u8; 32]) -> bool {
    digest(leaf) == Some(&expected[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_parses_and_verifies() {
        for name in ["a.example", "127.0.0.1", "::1"] {
            let name = Identifier::parse(name).expect("a name");
            let (leaf, key) = make(&name, &[7; 32], UnixTime(1_795_262_400)).expect("made");
            let read = Certificate::parse(&leaf).expect("a certificate");
            assert!(proves(&leaf, &[7; 32]) && !proves(&leaf, &[8; 32]));
            assert!(read.extension(ACME_IDENTIFIER).expect("there").critical);
            assert_eq!(read.not_before(), Some(UnixTime(1_795_262_400 - DAY)));
            let problems: Vec<_> = read.problems().into_iter().map(|problem| problem.name).collect();
            assert_eq!(problems, ["unknown-critical-extension"], "{name}");
            let folder = notafter_lab::Lab::new("alpn");
            let file = folder.path().join("leaf.der");
            std::fs::write(&file, &leaf).expect("written");
            // The judge: its own signature, and the key that belongs to it.
            let mut openssl = std::process::Command::new("openssl");
            openssl.args(["x509", "-inform", "DER", "-noout", "-text", "-in"]).arg(&file);
            let text = notafter_lab::program::run(&mut openssl).expect("openssl").text();
            assert!(text.contains("1.3.6.1.5.5.7.1.31: critical"), "{text}");
            assert!(!key.is_empty());
        }
    }
}

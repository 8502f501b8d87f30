//! PKCS#12 (RFC 7292): one key and its chain, sealed the modern way or the old one.
//!
//! Modern is what OpenSSL 3 and Java 17 write: PBES2 with PBKDF2-HMAC-SHA256 and AES-256-CBC (RFC 8018), and a MAC with
//! SHA-256. Legacy is three-key 3DES for both parts and a MAC with SHA-1, which all readers since Windows 2000 know;
//! RC2-40, which OpenSSL's old default put around certificates, protects nothing and is left out.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{digest, hmac, pbkdf2};
use des::cipher::{Block, BlockCipherEncrypt, KeyInit};
use notafter_core::fault::{Fault, FaultKind};
use notafter_pki::container::pbe::derive_pkcs12;
use notafter_pki::der::{Reader, definite, encode, tag, unsigned};
use zeroize::Zeroizing;

use super::pkcs7::DATA;
use super::{integer, plain_pkcs8, random, sequence};
use crate::deployers::files::Strength;

/// Iterations of the modern form. Java refuses more than 5 million, .NET more than 600,000.
const MODERN: u32 = 100_000;
/// Java opens nothing with more.
const ROUNDS_MAX: u64 = 5_000_000;
/// Nobody's salt is longer.
const SALT_MAX: usize = 1024;
const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
/// Iterations of the legacy form: OpenSSL's own default, which the slowest reader bears.
const LEGACY: u32 = 2048;

const PKCS_ARC: [u8; 7] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1];

fn oid(arc: &[u8], rest: &[u8]) -> Vec<u8> {
    encode(tag::OID, &[arc, rest].concat())
}

/// A file with this key, its chain and this friendly name.
pub(in crate::deployers) fn write(
    chain: &[Vec<u8>],
    pkcs8: &[u8],
    password: &str,
    alias: &str,
    strength: Strength,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let leaf = chain.first().map_or(&[][..], Vec::as_slice);
    // Key and certificate find each other by localKeyID; any value that both have will do.
    let id = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, leaf);
    let name: Vec<u8> = alias.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let attribute =
        |number: u8, value: &[u8]| sequence(&[&oid(&PKCS_ARC, &[9, number]), &encode(tag::SET, value)]);
    let attributes = encode(
        tag::SET,
        &[
            attribute(20, &encode(tag::BMP_STRING, &name)),
            attribute(21, &encode(tag::OCTET_STRING, id.as_ref())),
        ]
        .concat(),
    );

    let key = seal(strength, password, &plain_pkcs8(pkcs8)?)?;
    let key = sequence(&[&key.algorithm, &encode(tag::OCTET_STRING, &key.octets)]);
    let key = bag(2, &key, &attributes);

    let mut certificates = Vec::new();
    for (index, der) in chain.iter().enumerate() {
        let value = encode(tag::context(0), &encode(tag::OCTET_STRING, der));
        let value = sequence(&[&oid(&PKCS_ARC, &[9, 22, 1]), &value]);
        certificates.extend(bag(3, &value, if index == 0 { &attributes } else { &[] }));
    }
    let sealed = seal(strength, password, &encode(tag::SEQUENCE, &certificates))?;
    // EncryptedData (RFC 5652 section 8).
    let content = sequence(&[DATA, &sealed.algorithm, &encode(tag::context_primitive(0), &sealed.octets)]);
    let encrypted = sequence(&[&integer(0), &content]);
    let certificates = sequence(&[&oid(&PKCS_ARC, &[7, 6]), &encode(tag::context(0), &encrypted)]);

    let safe = sequence(&[&certificates, &data(&sequence(&[&key]))]);
    let mac = mac(strength, password, &safe)?;
    Ok(Zeroizing::new(sequence(&[&integer(3), &data(&safe), &mac])))
}

/// A SafeBag (RFC 7292 section 4.2).
fn bag(kind: u8, value: &[u8], attributes: &[u8]) -> Vec<u8> {
    sequence(&[&oid(&PKCS_ARC, &[12, 10, 1, kind]), &encode(tag::context(0), value), attributes])
}

/// ContentInfo of plain data.
fn data(octets: &[u8]) -> Vec<u8> {
    sequence(&[DATA, &encode(tag::context(0), &encode(tag::OCTET_STRING, octets))])
}

struct Sealed {
    algorithm: Vec<u8>,
    octets: Vec<u8>,
}

fn seal(strength: Strength, password: &str, plain: &[u8]) -> Result<Sealed, Fault> {
    let broken = |_| Fault::new(FaultKind::System, "the keystore could not be encrypted");
    match strength {
        Strength::Modern => {
            let (salt, iv): ([u8; 16], [u8; 16]) = (random()?, random()?);
            let mut key = Zeroizing::new([0; 32]);
            let rounds = NonZeroU32::new(MODERN).unwrap_or(NonZeroU32::MIN);
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), &mut *key);
            let cipher = UnboundCipherKey::new(&AES_256, &*key).and_then(PaddedBlockEncryptingKey::cbc_pkcs7);
            let mut octets = plain.to_vec();
            let context = EncryptionContext::Iv128(FixedLength::from(iv));
            cipher.map_err(broken)?.less_safe_encrypt(&mut octets, context).map_err(broken)?;
            let prf = sequence(&[&oid(&PKCS_ARC[..6], &[2, 9]), &[tag::NULL, 0]]);
            let derivation = sequence(&[&encode(tag::OCTET_STRING, &salt), &integer(MODERN.into()), &prf]);
            let derivation = sequence(&[&oid(&PKCS_ARC, &[5, 12]), &derivation]);
            let aes = oid(&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1], &[42]);
            let encryption = sequence(&[&aes, &encode(tag::OCTET_STRING, &iv)]);
            let algorithm = sequence(&[&oid(&PKCS_ARC, &[5, 13]), &sequence(&[&derivation, &encryption])]);
            Ok(Sealed { algorithm, octets })
        }
        Strength::Legacy => {
            let salt: [u8; 8] = random()?;
            let sha1 = &digest::SHA1_FOR_LEGACY_USE_ONLY;
            let password = bmp(password);
            let key = derive_pkcs12(sha1, 1, &password, &salt, LEGACY.into(), 24);
            let iv = derive_pkcs12(sha1, 2, &password, &salt, LEGACY.into(), 8);
            let cipher = des::TdesEde3::new_from_slice(&key)
                .map_err(|_| Fault::new(FaultKind::System, "the keystore could not be encrypted"))?;
            let octets = cbc(&cipher, &iv, plain);
            let parameters = sequence(&[&encode(tag::OCTET_STRING, &salt), &integer(LEGACY.into())]);
            // pbeWithSHAAnd3-KeyTripleDES-CBC
            let algorithm = sequence(&[&oid(&PKCS_ARC, &[12, 1, 3]), &parameters]);
            Ok(Sealed { algorithm, octets })
        }
    }
}

/// CBC with the padding of RFC 8018 section 6.1.1.
fn cbc(cipher: &des::TdesEde3, iv: &[u8], plain: &[u8]) -> Vec<u8> {
    let padding = 8 - plain.len() % 8;
    let mut padded = Zeroizing::new(plain.to_vec());
    padded.extend(std::iter::repeat_n(padding as u8, padding));
    let mut out = Vec::with_capacity(padded.len());
    let mut previous: Vec<u8> = iv.to_vec();
    for chunk in padded.chunks_exact(8) {
        let mixed: Vec<u8> = chunk.iter().zip(&previous).map(|(a, b)| a ^ b).collect();
        let mut block = Block::<des::TdesEde3>::default();
        block.iter_mut().zip(&mixed).for_each(|(to, from)| *to = *from);
        cipher.encrypt_block(&mut block);
        previous = block.to_vec();
        out.extend_from_slice(&block);
    }
    out
}

/// MacData (RFC 7292 section 4): keyed by PKCS#12's own derivation.
fn mac(strength: Strength, password: &str, text: &[u8]) -> Result<Vec<u8>, Fault> {
    let salt: [u8; 16] = random()?;
    let (algorithm, hash, kind, rounds) = match strength {
        Strength::Modern => {
            let sha256 = oid(&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2], &[1]);
            (hmac::HMAC_SHA256, &digest::SHA256, sha256, MODERN)
        }
        Strength::Legacy => {
            let sha1 = encode(tag::OID, &[0x2b, 0x0e, 3, 2, 0x1a]);
            (hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &digest::SHA1_FOR_LEGACY_USE_ONLY, sha1, LEGACY)
        }
    };
    let key = derive_pkcs12(hash, 3, &bmp(password), &salt, rounds.into(), hash.output_len());
    let tagged = hmac::sign(&hmac::Key::new(algorithm, &key), text);
    let kind = sequence(&[&kind, &[tag::NULL, 0]]);
    let info = sequence(&[&kind, &encode(tag::OCTET_STRING, tagged.as_ref())]);
    Ok(sequence(&[&info, &encode(tag::OCTET_STRING, &salt), &integer(rounds.into())]))
}

/// Is this the password of a file, by its MAC? `None`: it has none, or one of another kind (RFC 9579).
pub(in crate::deployers) fn is_of(bytes: &[u8], password: &str) -> Option<bool> {
    let der = definite(bytes).ok()?;
    let mut pfx = Reader::new(&der).sequence().ok()?;
    pfx.expect(tag::INTEGER).ok()?;
    let mut safe = pfx.sequence().ok()?;
    safe.expect(tag::OID).ok()?;
    let text = safe.expect(tag::context(0)).ok()?.reader().expect(tag::OCTET_STRING).ok()?.value;
    let mut data = pfx.sequence().ok()?;
    let mut info = data.sequence().ok()?;
    let hash = info.sequence().ok()?.expect(tag::OID).ok()?.value;
    let tagged = info.expect(tag::OCTET_STRING).ok()?.value;
    let salt = data.expect(tag::OCTET_STRING).ok()?.value;
    let rounds = if data.is_empty() { 1 } else { unsigned(data.expect(tag::INTEGER).ok()?.value)? };
    let (algorithm, hash) = match hash {
        SHA1 => (hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &digest::SHA1_FOR_LEGACY_USE_ONLY),
        SHA256 => (hmac::HMAC_SHA256, &digest::SHA256),
        _ => return None,
    };
    if rounds > ROUNDS_MAX || salt.is_empty() || salt.len() > SALT_MAX {
        return None;
    }
    let of = |password: &[u8]| {
        let key = derive_pkcs12(hash, 3, password, salt, rounds, hash.output_len());
        hmac::verify(&hmac::Key::new(algorithm, &key), text, tagged).is_ok()
    };
    // OpenSSL takes an empty password for none at all, and others for a terminator alone.
    Some(of(&bmp(password)) || (password.is_empty() && of(&[])))
}

/// UTF-16BE and a terminator (RFC 7292 appendix B.1).
fn bmp(password: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(password.encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect())
}

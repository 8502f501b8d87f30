//! Private keys, recognised and described, so that a key file can be matched to its certificate.
//!
//! Only the public half leaves this file: the SubjectPublicKeyInfo, taken from the key or computed from it
//! with aws-lc-rs. Secret octets are borrowed, never copied into a value that outlives the call.

use aws_lc_rs::agreement;
use aws_lc_rs::signature::{self, Ed25519KeyPair, KeyPair, PqdsaKeyPair, PqdsaSigningAlgorithm};

use crate::der::{self, Reader, tag};
use crate::fingerprint::KeyId;
use crate::key::PublicKey;
use crate::oid;

/// How a private key is written down.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeyFormat {
    /// PKCS#8 PrivateKeyInfo, RFC 5958.
    Pkcs8,
    /// PKCS#8 EncryptedPrivateKeyInfo, RFC 5958 section 3.
    EncryptedPkcs8,
    /// PKCS#1 RSAPrivateKey, RFC 8017.
    Pkcs1,
    /// SEC1 ECPrivateKey, RFC 5915.
    Sec1,
    /// OpenSSL's traditional DSA key.
    Dsa,
    /// OpenSSH's own container.
    OpenSsh,
    /// A traditional PEM key encrypted by its `DEK-Info` header (RFC 1421 style).
    LegacyEncrypted,
    /// Something labelled a private key whose contents say nothing.
    Unknown,
}

/// A private key without its secrets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PrivateKey {
    /// How it is written down.
    pub format: KeyFormat,
    /// Whether a password guards it.
    pub encrypted: bool,
    /// DER of the SubjectPublicKeyInfo of its public half, where that can be told.
    pub spki: Option<Vec<u8>>,
}

impl PrivateKey {
    /// Recognises DER: PKCS#8 (encrypted or not), PKCS#1, SEC1, or a traditional DSA key. `None` for all
    /// else.
    pub fn recognise(input: &[u8]) -> Option<Self> {
        let mut inner = Reader::new(input).sequence().ok()?;
        if inner.peek()? == tag::SEQUENCE {
            // EncryptedPrivateKeyInfo { algorithm, OCTET STRING }, told from DigestInfo by a PBE algorithm.
            let algorithm = inner.sequence().ok()?.expect(tag::OID).ok()?.value;
            let sealed = inner.expect(tag::OCTET_STRING).is_ok() && inner.is_empty();
            return (sealed && is_password_based(algorithm)).then_some(Self {
                format: KeyFormat::EncryptedPkcs8,
                encrypted: true,
                spki: None,
            });
        }
        inner.expect(tag::INTEGER).ok()?;
        let (format, spki) = match inner.peek()? {
            tag::SEQUENCE => (KeyFormat::Pkcs8, pkcs8(input, inner)?),
            tag::OCTET_STRING => (KeyFormat::Sec1, sec1(input, None)?),
            tag::INTEGER => match inner.filter(|part| part.tag == tag::INTEGER).count() {
                5 => (KeyFormat::Dsa, dsa(inner)),
                8.. => (KeyFormat::Pkcs1, rsa(inner)),
                _ => return None,
            },
            _ => return None,
        };
        Some(Self { format, encrypted: false, spki })
    }

    /// Recognises OpenSSH's container, `openssh-key-v1`, whose public half is never encrypted.
    pub fn recognise_openssh(input: &[u8]) -> Option<Self> {
        let mut rest = input.strip_prefix(b"openssh-key-v1\0")?;
        let cipher = ssh_string(&mut rest)?;
        ssh_string(&mut rest)?;
        ssh_string(&mut rest)?;
        let (_, mut rest) = rest.split_first_chunk::<4>()?;
        let spki = ssh_string(&mut rest).and_then(ssh_spki);
        Some(Self { format: KeyFormat::OpenSsh, encrypted: cipher != b"none", spki })
    }

    /// SHA-256 of the SubjectPublicKeyInfo: equal to the `key_id` of the certificate it belongs to.
    pub fn key_id(&self) -> Option<KeyId> {
        self.spki.as_deref().map(KeyId::of)
    }

    /// The public half, where it can be told.
    pub fn public_key(&self) -> Option<PublicKey<'_>> {
        self.spki.as_deref().map(PublicKey::read)
    }
}

/// PKCS#5 and PKCS#12 encryption schemes.
pub(crate) fn is_password_based(algorithm: &[u8]) -> bool {
    const PKCS5: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5];
    const PKCS12: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1];
    algorithm.starts_with(PKCS5) || algorithm.starts_with(PKCS12)
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    der::encode(tag::SEQUENCE, &parts.concat())
}

pub(crate) fn assemble(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let bits = der::encode(tag::BIT_STRING, &[&[0], key].concat());
    sequence(&[algorithm, &bits])
}

/// After the version. The outer `None` means that it is no PKCS#8 at all.
fn pkcs8(input: &[u8], mut inner: Reader<'_>) -> Option<Option<Vec<u8>>> {
    let algorithm = inner.expect(tag::SEQUENCE).ok()?;
    let mut parts = algorithm.reader();
    let kind = parts.expect(tag::OID).ok()?.value;
    let secret = inner.expect(tag::OCTET_STRING).ok()?.value;
    // OneAsymmetricKey carries the public key as [1] (RFC 5958 section 2).
    let public = inner.find(|part| part.tag & !0x20 == 0x81).map(|part| der::bit_string(part.value));
    Some(match kind {
        oid::ML_DSA_44 => ml_dsa(&signature::ML_DSA_44_SIGNING, input, algorithm.raw),
        oid::ML_DSA_65 => ml_dsa(&signature::ML_DSA_65_SIGNING, input, algorithm.raw),
        oid::ML_DSA_87 => ml_dsa(&signature::ML_DSA_87_SIGNING, input, algorithm.raw),
        oid::RSA | oid::RSASSA_PSS => Reader::new(secret).sequence().ok().and_then(|mut key| {
            key.expect(tag::INTEGER).ok()?;
            let n = key.expect(tag::INTEGER).ok()?;
            let e = key.expect(tag::INTEGER).ok()?;
            Some(assemble(algorithm.raw, &sequence(&[n.raw, e.raw])))
        }),
        oid::EC_PUBLIC_KEY => sec1(secret, parts.read().ok().map(|p| p.raw)).flatten(),
        oid::ED25519 | oid::X25519 => match public {
            Some(public) => Some(assemble(algorithm.raw, public)),
            None => {
                let seed = Reader::new(secret).expect(tag::OCTET_STRING).ok().map(|seed| seed.value);
                let public = seed.and_then(|seed| {
                    if kind == oid::ED25519 {
                        let pair = Ed25519KeyPair::from_seed_unchecked(seed.get(..32)?).ok()?;
                        return Some(pair.public_key().as_ref().to_vec());
                    }
                    public_point(&agreement::X25519, seed)
                });
                public.map(|public| assemble(algorithm.raw, &public))
            }
        },
        _ => public.map(|public| assemble(algorithm.raw, public)),
    })
}

/// RFC 5915. `curve` is the DER of the parameters that PKCS#8 states; else the key's own are taken.
fn sec1(input: &[u8], curve: Option<&[u8]>) -> Option<Option<Vec<u8>>> {
    let mut key = Reader::new(input).sequence().ok()?;
    key.expect(tag::INTEGER).ok()?;
    let secret = key.expect(tag::OCTET_STRING).ok()?.value;
    let own = key.optional(tag::context(0)).map(|wrapped| wrapped.value);
    let public = key.optional(tag::context(1)).and_then(|wrapped| wrapped.reader().optional(tag::BIT_STRING));
    let Some(curve) = curve.or(own) else { return Some(None) };
    let point = match public {
        Some(bits) => Some(der::bit_string(bits.value).to_vec()),
        None => {
            let named = Reader::new(curve).optional(tag::OID).map_or(&[][..], |named| named.value);
            match named {
                oid::P256 => public_point(&agreement::ECDH_P256, secret),
                oid::P384 => public_point(&agreement::ECDH_P384, secret),
                oid::P521 => public_point(&agreement::ECDH_P521, secret),
                _ => None,
            }
        }
    };
    let algorithm = sequence(&[&der::encode(tag::OID, oid::EC_PUBLIC_KEY), curve]);
    Some(point.map(|point| assemble(&algorithm, &point)))
}

/// RFC 9881 section 6: a seed or an expanded key, from which the library derives the public one.
fn ml_dsa(kind: &'static PqdsaSigningAlgorithm, pkcs8: &[u8], algorithm: &[u8]) -> Option<Vec<u8>> {
    let pair = PqdsaKeyPair::from_pkcs8(kind, pkcs8).ok()?;
    Some(assemble(algorithm, pair.public_key().as_ref()))
}

fn public_point(curve: &'static agreement::Algorithm, secret: &[u8]) -> Option<Vec<u8>> {
    let private = agreement::PrivateKey::from_private_key(curve, secret).ok()?;
    Some(private.compute_public_key().ok()?.as_ref().to_vec())
}

/// After the version: n, e, ...
fn rsa(mut inner: Reader<'_>) -> Option<Vec<u8>> {
    let n = inner.expect(tag::INTEGER).ok()?;
    let e = inner.expect(tag::INTEGER).ok()?;
    Some(rsa_spki(n.raw, e.raw))
}

pub(crate) fn rsa_spki(n: &[u8], e: &[u8]) -> Vec<u8> {
    let algorithm = sequence(&[&der::encode(tag::OID, oid::RSA), &[tag::NULL, 0]]);
    assemble(&algorithm, &sequence(&[n, e]))
}

/// After the version: p, q, g, y, x.
fn dsa(mut inner: Reader<'_>) -> Option<Vec<u8>> {
    let mut next = || inner.expect(tag::INTEGER).ok().map(|part| part.raw);
    let parameters = sequence(&[next()?, next()?, next()?]);
    let y = next()?;
    Some(assemble(&sequence(&[&der::encode(tag::OID, oid::DSA), &parameters]), y))
}

/// An SSH string (RFC 4251 section 5), which `rest` is moved past.
pub(crate) fn ssh_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let (value, tail) = tail.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *rest = tail;
    Some(value)
}

/// The SubjectPublicKeyInfo of an SSH public key blob (RFC 4253, RFC 5656, RFC 8709).
pub(crate) fn ssh_spki(mut blob: &[u8]) -> Option<Vec<u8>> {
    let kind = ssh_string(&mut blob)?;
    match kind {
        b"ssh-rsa" => {
            let e = der::encode(tag::INTEGER, ssh_string(&mut blob)?);
            let n = der::encode(tag::INTEGER, ssh_string(&mut blob)?);
            Some(rsa_spki(&n, &e))
        }
        b"ssh-ed25519" => {
            let algorithm = sequence(&[&der::encode(tag::OID, oid::ED25519)]);
            Some(assemble(&algorithm, ssh_string(&mut blob)?))
        }
        b"ecdsa-sha2-nistp256" | b"ecdsa-sha2-nistp384" | b"ecdsa-sha2-nistp521" => {
            let curve = match ssh_string(&mut blob)? {
                b"nistp256" => oid::P256,
                b"nistp384" => oid::P384,
                _ => oid::P521,
            };
            let algorithm =
                sequence(&[&der::encode(tag::OID, oid::EC_PUBLIC_KEY), &der::encode(tag::OID, curve)]);
            Some(assemble(&algorithm, ssh_string(&mut blob)?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], format: Option<KeyFormat>) {
        assert_eq!(PrivateKey::recognise(input).map(|key| key.format), format);
    }

    #[test]
    fn ed25519_of_rfc_8410() {
        // RFC 8410 section 10.3 and the public key of section 10.1.
        let mut key = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        key.extend_from_slice(&[
            0xd4, 0xee, 0x72, 0xdb, 0xf9, 0x13, 0x58, 0x4a, 0xd5, 0xb6, 0xd8, 0xf1, 0xf7, 0x69, 0xf8, 0xad,
            0x3a, 0xfe, 0x7c, 0x28, 0xcb, 0xf1, 0xd4, 0xfb, 0xe0, 0x97, 0xa8, 0x8f, 0x44, 0x75, 0x58, 0x42,
        ]);
        let found = PrivateKey::recognise(&key).expect("PKCS#8");
        let public = found.public_key().expect("a public half").key().to_vec();
        assert_eq!(public.get(..4), Some(&[0x19, 0xbf, 0x44, 0x09][..]));
        check(&key, Some(KeyFormat::Pkcs8));
    }

    #[test]
    fn ml_dsa_keys_and_signatures() {
        use crate::verify::{SignatureVerdict, verify_signature};
        let pair = PqdsaKeyPair::generate(&signature::ML_DSA_65_SIGNING).expect("a key");
        let pkcs8 = pair.to_pkcs8v1().expect("encodes");
        let found = PrivateKey::recognise(pkcs8.as_ref()).expect("PKCS#8");
        let public = found.public_key().expect("a public half");
        assert_eq!((public.algorithm().as_str(), public.key()), ("ML-DSA-65", pair.public_key().as_ref()));
        let mut signed = vec![0; pair.algorithm().signature_len()];
        pair.sign(b"text", &mut signed).expect("signs");
        let verdict = verify_signature(public.algorithm_identifier(), public.spki(), b"text", &signed);
        assert_eq!(verdict, SignatureVerdict::Good);
    }

    #[test]
    fn what_is_no_key() {
        check(&[], None);
        check(&[0x30, 3, 2, 1, 0], None);
        check(&[0x30, 6, 2, 1, 0, 2, 1, 1], None);
        // DigestInfo looks like an encrypted PKCS#8 key but for its algorithm.
        let digest = sequence(&[&sequence(&[&der::encode(tag::OID, oid::SHA256)]), &[4, 1, 0]]);
        check(&digest, None);
        assert_eq!(PrivateKey::recognise_openssh(b"openssh-key-v1\0\xff\xff\xff\xff"), None);
    }
}

//! Whether a signature is good: the only place where keys are used, through aws-lc-rs.
//!
//! Below path building (`core` and `engine` decide which edges to try and keep the verdicts), above nothing.
//! It deliberately accepts weak algorithms (SHA-1, RSA of 1024 bits): that a signature is good and that it is
//! trustworthy are two questions, and the second one is asked elsewhere.

use aws_lc_rs::signature as lc;

use crate::certificate::Certificate;
use crate::key::{AlgorithmIdentifier, PublicKey};
use crate::oid;

/// The answer about one signature.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SignatureVerdict {
    /// The key made this signature over these octets.
    Good,
    /// It did not, or key or signature are malformed.
    Bad,
    /// Nobody here can tell: an algorithm, curve or key size without an implementation.
    Unsupported,
}

/// Verifies a signature with the key of a SubjectPublicKeyInfo.
///
/// `algorithm` is the signature's own algorithm identifier, `signed` the octets it covers (a TBS),
/// `signature` the contents of its BIT STRING without the count of unused bits.
pub fn verify_signature(
    algorithm: AlgorithmIdentifier<'_>,
    spki: &[u8],
    signed: &[u8],
    signature: &[u8],
) -> SignatureVerdict {
    let key = PublicKey::read(spki);
    if is_other_kind(algorithm.oid, key.algorithm_identifier().oid) {
        return SignatureVerdict::Bad;
    }
    let Some(verifier) = verifier(algorithm, &key) else { return SignatureVerdict::Unsupported };
    match lc::UnparsedPublicKey::new(verifier, key.key()).verify(signed, signature) {
        Ok(()) => SignatureVerdict::Good,
        Err(_) => SignatureVerdict::Bad,
    }
}

/// Whether `child` carries a good signature by the key in this SubjectPublicKeyInfo. Names and extensions are
/// not looked at.
pub fn is_signed_by(child: &Certificate<'_>, issuer_spki: &[u8]) -> SignatureVerdict {
    verify_signature(child.signature_algorithm(), issuer_spki, child.tbs(), child.signature())
}

/// Whether a key of this kind cannot have made such a signature, both being known kinds.
fn is_other_kind(signature: &[u8], key: &[u8]) -> bool {
    let kinds: &[&[u8]] = match signature {
        oid::RSASSA_PSS => &[oid::RSA, oid::RSASSA_PSS],
        oid::SHA1_RSA | oid::SHA1_RSA_OIW | oid::SHA256_RSA | oid::SHA384_RSA | oid::SHA512_RSA => {
            &[oid::RSA]
        }
        oid::ECDSA_SHA1 | oid::ECDSA_SHA224 | oid::ECDSA_SHA256 | oid::ECDSA_SHA384 | oid::ECDSA_SHA512 => {
            &[oid::EC_PUBLIC_KEY]
        }
        oid::ED25519 | oid::ML_DSA_44 | oid::ML_DSA_65 | oid::ML_DSA_87 => return signature != key,
        _ => return false,
    };
    oid::key_algorithm_name(key).is_some() && !kinds.contains(&key)
}

/// Digests, as far as they choose a verifier.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Digest {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

fn digest(oid: &[u8]) -> Option<Digest> {
    Some(match oid {
        oid::SHA1 | oid::SHA1_RSA | oid::SHA1_RSA_OIW | oid::ECDSA_SHA1 => Digest::Sha1,
        oid::SHA224 | oid::ECDSA_SHA224 => Digest::Sha224,
        oid::SHA256 | oid::SHA256_RSA | oid::ECDSA_SHA256 => Digest::Sha256,
        oid::SHA384 | oid::SHA384_RSA | oid::ECDSA_SHA384 => Digest::Sha384,
        oid::SHA512 | oid::SHA512_RSA | oid::ECDSA_SHA512 => Digest::Sha512,
        _ => return None,
    })
}

fn verifier(
    algorithm: AlgorithmIdentifier<'_>,
    key: &PublicKey<'_>,
) -> Option<&'static dyn lc::VerificationAlgorithm> {
    let key_oid = key.algorithm_identifier().oid;
    match algorithm.oid {
        oid::RSASSA_PSS => {
            // The mask function's digest is taken to be the same, and the salt as long as the digest: what
            // all CAs do (CA/Browser Forum BR 7.1.3.2.1). The library tells any other salt length Bad.
            let digest = digest(algorithm.pss_digest()?)?;
            if !matches!(key_oid, oid::RSASSA_PSS | oid::RSA) || key.bits()? < 2048 {
                return None;
            }
            Some(match digest {
                Digest::Sha256 => &lc::RSA_PSS_2048_8192_SHA256,
                Digest::Sha384 => &lc::RSA_PSS_2048_8192_SHA384,
                Digest::Sha512 => &lc::RSA_PSS_2048_8192_SHA512,
                _ => return None,
            })
        }
        oid::SHA1_RSA | oid::SHA1_RSA_OIW | oid::SHA256_RSA | oid::SHA384_RSA | oid::SHA512_RSA => {
            let bits = key.bits().filter(|_| key_oid == oid::RSA)?;
            if !(1024..=8192).contains(&bits) {
                return None;
            }
            Some(match digest(algorithm.oid)? {
                Digest::Sha1 => &lc::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
                Digest::Sha256 => &lc::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
                Digest::Sha512 => &lc::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
                Digest::Sha384 if bits >= 2048 => &lc::RSA_PKCS1_2048_8192_SHA384,
                _ => return None,
            })
        }
        oid::ECDSA_SHA1 | oid::ECDSA_SHA224 | oid::ECDSA_SHA256 | oid::ECDSA_SHA384 | oid::ECDSA_SHA512 => {
            if key_oid != oid::EC_PUBLIC_KEY {
                return None;
            }
            let curve = key.algorithm_identifier().parameters.map(|parameters| parameters.value)?;
            Some(match (curve, digest(algorithm.oid)?) {
                (oid::P256, Digest::Sha1) => &lc::ECDSA_P256_SHA1_ASN1,
                (oid::P256, Digest::Sha256) => &lc::ECDSA_P256_SHA256_ASN1,
                (oid::P256, Digest::Sha384) => &lc::ECDSA_P256_SHA384_ASN1,
                (oid::P256, Digest::Sha512) => &lc::ECDSA_P256_SHA512_ASN1,
                (oid::P384, Digest::Sha256) => &lc::ECDSA_P384_SHA256_ASN1,
                (oid::P384, Digest::Sha384) => &lc::ECDSA_P384_SHA384_ASN1,
                (oid::P384, Digest::Sha512) => &lc::ECDSA_P384_SHA512_ASN1,
                (oid::P521, Digest::Sha1) => &lc::ECDSA_P521_SHA1_ASN1,
                (oid::P521, Digest::Sha224) => &lc::ECDSA_P521_SHA224_ASN1,
                (oid::P521, Digest::Sha256) => &lc::ECDSA_P521_SHA256_ASN1,
                (oid::P521, Digest::Sha384) => &lc::ECDSA_P521_SHA384_ASN1,
                (oid::P521, Digest::Sha512) => &lc::ECDSA_P521_SHA512_ASN1,
                (oid::SECP256K1, Digest::Sha256) => &lc::ECDSA_P256K1_SHA256_ASN1,
                _ => return None,
            })
        }
        oid::ED25519 if key_oid == oid::ED25519 => Some(&lc::ED25519),
        oid::ML_DSA_44 if key_oid == oid::ML_DSA_44 => Some(&lc::ML_DSA_44),
        oid::ML_DSA_65 if key_oid == oid::ML_DSA_65 => Some(&lc::ML_DSA_65),
        oid::ML_DSA_87 if key_oid == oid::ML_DSA_87 => Some(&lc::ML_DSA_87),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::{Reader, encode, tag};
    use aws_lc_rs::signature::KeyPair;

    fn check(signature_oid: &[u8], key_oid: &[u8], expected: SignatureVerdict) {
        let algorithm = |oid: &[u8]| encode(tag::SEQUENCE, &encode(tag::OID, oid));
        let pair = lc::Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed");
        let bits = encode(tag::BIT_STRING, &[&[0], pair.public_key().as_ref()].concat());
        let spki = encode(tag::SEQUENCE, &[algorithm(key_oid), bits].concat());
        let element = algorithm(signature_oid);
        let element = Reader::new(&element).read().expect("own encoding");
        let signature = pair.sign(b"text");
        let verdict =
            verify_signature(AlgorithmIdentifier::read(&element), &spki, b"text", signature.as_ref());
        assert_eq!(verdict, expected);
        let other =
            verify_signature(AlgorithmIdentifier::read(&element), &spki, b"texts", signature.as_ref());
        assert_ne!(other, SignatureVerdict::Good);
    }

    #[test]
    fn verdicts() {
        check(oid::ED25519, oid::ED25519, SignatureVerdict::Good);
        check(oid::SHA256_RSA, oid::ED25519, SignatureVerdict::Bad);
        check(oid::ECDSA_SHA256, oid::RSA, SignatureVerdict::Bad);
        check(oid::ED448, oid::ED25519, SignatureVerdict::Unsupported);
        check(oid::SHA256_RSA, &[0x2a, 3], SignatureVerdict::Unsupported);
        check(&[], &[], SignatureVerdict::Unsupported);
    }
}

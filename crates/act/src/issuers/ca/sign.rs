//! The keys of a CA of one's own: made, opened, and signing. The only file of it that has a private key in hand.
//!
//! What is signed is an argument; where keys are kept is `book.rs`'s business.

use notafter_core::deployment::Key;
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::issuance::KeyType;
use notafter_pki::der::{encode, tag};
use notafter_pki::oid;
use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};

use crate::request;

/// A key that signs certificates and lists.
pub(super) struct Signer {
    pair: KeyPair,
    key_type: KeyType,
}

impl Signer {
    /// Makes a key. What to keep of it is the second.
    pub(super) fn make(key_type: KeyType) -> Result<(Self, Key), Fault> {
        let pair = request::generate(key_type)
            .map_err(|e| Fault::new(FaultKind::System, format!("a key of the CA could not be made: {e}")))?;
        let key = Key::new(pair.serialize_der());
        Ok((Self { pair, key_type }, key))
    }

    /// Opens one that was kept (PKCS#8).
    pub(super) fn open(key: &Key, key_type: KeyType) -> Result<Self, Fault> {
        let pair = request::open(key, key_type).map_err(|e| {
            Fault::new(FaultKind::Invalid, format!("the key of the CA that is kept cannot be used: {e}"))
        })?;
        Ok(Self { pair, key_type })
    }

    /// Its SubjectPublicKeyInfo.
    pub(super) fn spki(&self) -> Vec<u8> {
        self.pair.subject_public_key_info()
    }

    /// The AlgorithmIdentifier of its signatures (RFC 5758 section 3.2, RFC 8410 section 3, RFC 4055 section 5: only RSA
    /// has a NULL).
    pub(super) fn algorithm(&self) -> Vec<u8> {
        let (name, parameters): (&[u8], &[u8]) = match self.key_type {
            KeyType::EcdsaP256 => (oid::ECDSA_SHA256, &[]),
            KeyType::EcdsaP384 => (oid::ECDSA_SHA384, &[]),
            KeyType::Ed25519 => (oid::ED25519, &[]),
            KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => (oid::SHA256_RSA, &[tag::NULL, 0]),
        };
        encode(tag::SEQUENCE, &[&encode(tag::OID, name), parameters].concat())
    }

    /// The whole signed element: what is signed, the algorithm, the signature (RFC 5280 section 4.1.1).
    pub(super) fn sign(&self, tbs: &[u8]) -> Result<Vec<u8>, Fault> {
        let signature = self
            .pair
            .sign(tbs)
            .map_err(|e| Fault::new(FaultKind::System, format!("the key of the CA did not sign: {e}")))?;
        let bits = encode(tag::BIT_STRING, &[&[0], &signature[..]].concat());
        Ok(encode(tag::SEQUENCE, &[tbs, &self.algorithm(), &bits].concat()))
    }
}

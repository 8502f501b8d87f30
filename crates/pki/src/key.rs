//! Public keys: what a SubjectPublicKeyInfo says (RFC 5280 section 4.1.2.7, RFC 3279, RFC 5480, RFC 8410).
//!
//! Reads sizes and names and never touches the arithmetic: a key is described, not validated. That is on
//! purpose (CVE-2022-0778 was an endless loop on the parameters of a curve); `verify.rs` alone uses keys.

use crate::der::{Reader, Tlv, bit_length, bit_string, tag};
use crate::fingerprint::KeyId;
use crate::oid;

/// An algorithm and its parameters (RFC 5280 section 4.1.1.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AlgorithmIdentifier<'a> {
    /// The whole element.
    pub der: &'a [u8],
    /// Contents octets of the identifier; empty where it could not be read.
    pub oid: &'a [u8],
    /// The parameters, where there are any.
    pub parameters: Option<Tlv<'a>>,
}

impl<'a> AlgorithmIdentifier<'a> {
    /// Reads an AlgorithmIdentifier element; what cannot be read is left empty.
    pub fn read(element: &Tlv<'a>) -> Self {
        let mut inner = element.reader();
        let oid = inner.optional(tag::OID).map_or(&[][..], |oid| oid.value);
        Self { der: element.raw, oid, parameters: inner.read().ok() }
    }

    /// One that is not there.
    pub(crate) fn absent() -> Self {
        Self { der: &[], oid: &[], parameters: None }
    }

    /// The name of a signature algorithm, or its identifier as dotted text.
    pub fn signature_name(&self) -> String {
        oid::signature_name(self.oid).map_or_else(|| oid::dotted(self.oid), str::to_owned)
    }

    /// The digest RSASSA-PSS parameters name (RFC 4055 section 3.1), as an identifier's contents octets;
    /// absent means SHA-1. `None` for parameters that cannot be read.
    pub fn pss_digest(&self) -> Option<&'a [u8]> {
        let parameters = self.parameters?;
        let mut inner = parameters.reader();
        match inner.optional(tag::context(0)) {
            Some(hash) => Some(hash.reader().sequence().ok()?.expect(tag::OID).ok()?.value),
            None => Some(oid::SHA1),
        }
    }
}

/// A public key: the DER of a SubjectPublicKeyInfo, possibly malformed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PublicKey<'a> {
    spki: &'a [u8],
    algorithm: AlgorithmIdentifier<'a>,
    key: &'a [u8],
}

impl<'a> PublicKey<'a> {
    /// The key in this SubjectPublicKeyInfo; parts that cannot be read are empty.
    pub fn read(spki: &'a [u8]) -> Self {
        let mut inner = Reader::new(spki).sequence().unwrap_or(Reader::new(&[]));
        let algorithm = inner
            .optional(tag::SEQUENCE)
            .map_or(AlgorithmIdentifier::absent(), |element| AlgorithmIdentifier::read(&element));
        let key = inner.optional(tag::BIT_STRING).map_or(&[][..], |bits| bit_string(bits.value));
        Self { spki, algorithm, key }
    }

    /// The DER of the SubjectPublicKeyInfo.
    pub fn spki(&self) -> &'a [u8] {
        self.spki
    }

    /// SHA-256 of the SubjectPublicKeyInfo.
    pub fn id(&self) -> KeyId {
        KeyId::of(self.spki)
    }

    /// The algorithm identifier.
    pub fn algorithm_identifier(&self) -> AlgorithmIdentifier<'a> {
        self.algorithm
    }

    /// The octets of the subjectPublicKey BIT STRING.
    pub fn key(&self) -> &'a [u8] {
        self.key
    }

    /// `RSA` (also where the identifier restricts the key to PSS or OAEP), `ECDSA`, `Ed25519`, `DSA`,
    /// `SM2`, `ML-DSA-65`, ..., or the identifier as dotted text.
    pub fn algorithm(&self) -> String {
        if self.algorithm.oid == oid::EC_PUBLIC_KEY && self.curve_oid() == Some(oid::SM2) {
            return "SM2".to_owned();
        }
        oid::key_algorithm_name(self.algorithm.oid)
            .map_or_else(|| oid::dotted(self.algorithm.oid), str::to_owned)
    }

    /// The size by which the strength of such keys is told: RSA modulus, DSA prime or curve, in bits.
    /// `None` where the algorithm has no such figure (post-quantum) or it cannot be read.
    pub fn bits(&self) -> Option<u32> {
        match oid::key_algorithm_name(self.algorithm.oid) {
            Some("RSA") => self.rsa_modulus().map(bit_length),
            Some("DSA" | "DH") => {
                let parameters = self.algorithm.parameters?;
                Some(bit_length(parameters.reader().expect(tag::INTEGER).ok()?.value))
            }
            Some("Ed25519" | "X25519" | "SM2") => Some(256),
            Some("Ed448" | "X448") => Some(456),
            Some("ECDSA" | "ECDH" | "ECMQV") => match self.curve_oid() {
                Some(named) => oid::curve(named).map(|(_, bits)| bits),
                None => self.explicit_field().map(|(bits, _)| bits),
            },
            _ => None,
        }
    }

    /// The curve of an elliptic-curve key: `P-256`, `brainpoolP384r1`, dotted text for an unknown one;
    /// `explicit P-256` where it is spelt out by parameters, which RFC 5480 section 2.1.1 forbids.
    pub fn curve(&self) -> Option<String> {
        if !matches!(oid::key_algorithm_name(self.algorithm.oid), Some("ECDSA" | "ECDH" | "ECMQV")) {
            return None;
        }
        if let Some(named) = self.curve_oid() {
            return Some(oid::curve(named).map_or_else(|| oid::dotted(named), |(name, _)| name.to_owned()));
        }
        let (bits, prime) = self.explicit_field()?;
        Some(match known_prime(prime) {
            Some(name) => format!("explicit {name}"),
            None => format!("explicit, {bits} bits"),
        })
    }

    /// Whether the curve is spelt out by parameters instead of named.
    pub fn has_explicit_curve(&self) -> bool {
        self.algorithm.oid == oid::EC_PUBLIC_KEY
            && self.algorithm.parameters.is_some_and(|parameters| parameters.tag == tag::SEQUENCE)
    }

    /// The modulus of an RSA key, big-endian, as encoded (usually with a leading zero).
    pub fn rsa_modulus(&self) -> Option<&'a [u8]> {
        Some(self.rsa_integers()?.0)
    }

    /// The public exponent of an RSA key, big-endian, as encoded.
    pub fn rsa_exponent(&self) -> Option<&'a [u8]> {
        Some(self.rsa_integers()?.1)
    }

    fn rsa_integers(&self) -> Option<(&'a [u8], &'a [u8])> {
        if oid::key_algorithm_name(self.algorithm.oid) != Some("RSA") {
            return None;
        }
        let mut inner = Reader::new(self.key).sequence().ok()?;
        Some((inner.expect(tag::INTEGER).ok()?.value, inner.expect(tag::INTEGER).ok()?.value))
    }

    fn curve_oid(&self) -> Option<&'a [u8]> {
        let parameters = self.algorithm.parameters?;
        (parameters.tag == tag::OID).then_some(parameters.value)
    }

    /// Bits and prime of an explicit prime field: ECParameters { version, FieldID { prime-field, p }, .. }.
    fn explicit_field(&self) -> Option<(u32, &'a [u8])> {
        let mut parameters = self.algorithm.parameters?.reader();
        parameters.expect(tag::INTEGER).ok()?;
        let mut field = parameters.sequence().ok()?;
        if field.expect(tag::OID).ok()?.value != oid::PRIME_FIELD {
            return None;
        }
        let prime = field.expect(tag::INTEGER).ok()?.value;
        Some((bit_length(prime), prime))
    }
}

/// The curve whose prime this looks like. The first and last octets tell the NIST primes apart, and nothing
/// is trusted because of it.
fn known_prime(prime: &[u8]) -> Option<&'static str> {
    const P256: &[u8] =
        b"\xff\xff\xff\xff\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    let prime = crate::der::strip_zeros(prime);
    let ones = |octets: &[u8]| octets.iter().all(|octet| *octet == 0xff);
    match prime.len() {
        32 if prime == P256 => Some("P-256"),
        32 if prime.starts_with(&[0xff; 27]) && prime.ends_with(b"\xfe\xff\xff\xfc\x2f") => Some("secp256k1"),
        48 if prime.starts_with(&[0xff; 31]) && prime.ends_with(b"\0\0\0\0\xff\xff\xff\xff") => Some("P-384"),
        66 if prime.first() == Some(&1) && prime.get(1..).is_some_and(ones) => Some("P-521"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::encode;

    fn spki(algorithm: &[u8], parameters: &[u8], key: &[u8]) -> Vec<u8> {
        let algorithm = encode(tag::SEQUENCE, &[&encode(tag::OID, algorithm)[..], parameters].concat());
        let key = encode(tag::BIT_STRING, &[&[0][..], key].concat());
        encode(tag::SEQUENCE, &[algorithm, key].concat())
    }

    fn check(spki: &[u8], algorithm: &str, bits: Option<u32>, curve: Option<&str>) {
        let key = PublicKey::read(spki);
        assert_eq!((key.algorithm().as_str(), key.bits()), (algorithm, bits));
        assert_eq!(key.curve().as_deref(), curve);
    }

    #[test]
    fn algorithms_and_sizes() {
        let modulus = encode(tag::INTEGER, &[&[0, 0x80][..], &[1; 127]].concat());
        let rsa = encode(tag::SEQUENCE, &[&modulus[..], &[2, 3, 1, 0, 1]].concat());
        check(&spki(oid::RSA, &[5, 0], &rsa), "RSA", Some(1024), None);
        check(&spki(oid::RSASSA_PSS, &[], &rsa), "RSA", Some(1024), None);
        assert_eq!(PublicKey::read(&spki(oid::RSA, &[], &rsa)).rsa_exponent(), Some(&[1, 0, 1][..]));
        let named = |curve: &[u8]| spki(oid::EC_PUBLIC_KEY, &encode(tag::OID, curve), &[4]);
        check(&named(oid::P256), "ECDSA", Some(256), Some("P-256"));
        check(&named(oid::SM2), "SM2", Some(256), Some("SM2"));
        check(&named(&[0x2a, 3]), "ECDSA", None, Some("1.2.3"));
        check(&spki(oid::ED25519, &[], &[0; 32]), "Ed25519", Some(256), None);
        check(&spki(oid::ML_DSA_65, &[], &[0; 1952]), "ML-DSA-65", None, None);
        check(&spki(&[0x2a, 3, 4], &[], &[]), "1.2.3.4", None, None);
        check(&[], "oid:", None, None);
        check(&[0x30, 0x80, 0, 0], "oid:", None, None);
        // An explicit curve over the field of P-521.
        let prime = encode(tag::INTEGER, &[&[1][..], &[0xff; 65]].concat());
        let field = encode(tag::SEQUENCE, &[encode(tag::OID, oid::PRIME_FIELD), prime].concat());
        let parameters = encode(tag::SEQUENCE, &[&[2, 1, 1][..], &field].concat());
        check(&spki(oid::EC_PUBLIC_KEY, &parameters, &[4]), "ECDSA", Some(521), Some("explicit P-521"));
    }
}

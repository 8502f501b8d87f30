//! The key of an ACME account: made, read in the forms other clients keep theirs in, signed with.
//!
//! What leaves this file is the public half (a JWK, RFC 7517), signatures, and the PKCS#8 that `Keep` is given. It signs
//! nothing that it was not handed as bytes: what a JWS looks like is `jws.rs`'s business.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _};
use notafter_core::issuance::KeyType;
use notafter_pki::der::{self, Reader, tag};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::jws::{b64, unb64};

/// An account key.
pub(crate) struct AccountKey(Pair);

enum Pair {
    Ecdsa(EcdsaKeyPair, &'static Curve),
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// A curve of ECDSA and its names in JOSE (RFC 7518 sections 3.4 and 6.2.1.1).
struct Curve {
    signing: &'static EcdsaSigningAlgorithm,
    algorithm: &'static str,
    name: &'static str,
    octets: usize,
}

const CURVES: &[Curve] = &[
    Curve {
        signing: &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        algorithm: "ES256",
        name: "P-256",
        octets: 32,
    },
    Curve {
        signing: &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        algorithm: "ES384",
        name: "P-384",
        octets: 48,
    },
    Curve {
        signing: &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        algorithm: "ES512",
        name: "P-521",
        octets: 66,
    },
];

impl AccountKey {
    /// A new one.
    ///
    /// # Errors
    /// Only if the machine has no randomness.
    pub(crate) fn generate(kind: KeyType) -> Result<Self, String> {
        let failed = |_| format!("no key of type {kind} could be made");
        let ecdsa = |curve: &'static Curve| {
            EcdsaKeyPair::generate(curve.signing).map(|pair| Pair::Ecdsa(pair, curve)).map_err(failed)
        };
        let rsa = |size| RsaKeyPair::generate(size).map(|pair| Pair::Rsa(Box::new(pair))).map_err(failed);
        Ok(Self(match kind {
            KeyType::EcdsaP256 => ecdsa(&CURVES[0])?,
            KeyType::EcdsaP384 => ecdsa(&CURVES[1])?,
            KeyType::Ed25519 => Pair::Ed25519(Box::new(Ed25519KeyPair::generate().map_err(failed)?)),
            KeyType::Rsa2048 => rsa(KeySize::Rsa2048)?,
            KeyType::Rsa3072 => rsa(KeySize::Rsa3072)?,
            KeyType::Rsa4096 => rsa(KeySize::Rsa4096)?,
        }))
    }

    /// Reads one as it lies in a file: PEM (PKCS#8, PKCS#1, SEC1; lego, acme.sh, dehydrated) or a JWK (certbot).
    ///
    /// # Errors
    /// A sentence that does not repeat anything of it.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.trim_ascii_start().first() == Some(&b'{') {
            let jwk: Jwk = serde_json::from_slice(bytes)
                .map_err(|_| "it is JSON, and no JWK with a private key (RFC 7517)".to_owned())?;
            return Self::from_jwk(&jwk);
        }
        let pem = PrivateKeyDer::from_pem_slice(bytes).map_err(|_| {
            "it is neither a private key in PEM nor a JWK; a key behind a password cannot be read".to_owned()
        })?;
        Self::from_der(pem.secret_der())
    }

    /// Reads PKCS#8, PKCS#1 or SEC1.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, String> {
        for curve in CURVES {
            if let Ok(pair) = EcdsaKeyPair::from_private_key_der(curve.signing, der) {
                return Ok(Self(Pair::Ecdsa(pair, curve)));
            }
        }
        if let Ok(pair) = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)) {
            return Ok(Self(Pair::Rsa(Box::new(pair))));
        }
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| {
            "it is no ECDSA (P-256, P-384, P-521), RSA (2048 bits and more) or Ed25519 key".to_owned()
        })?;
        Ok(Self(Pair::Ed25519(Box::new(pair))))
    }

    fn from_jwk(jwk: &Jwk) -> Result<Self, String> {
        let wrong = || "the JWK lacks parts of its private key, or they do not belong together".to_owned();
        let part =
            |text: &Option<String>| text.as_deref().and_then(unb64).map(Zeroizing::new).ok_or_else(wrong);
        match jwk.kty.as_str() {
            "RSA" => {
                let mut body = Zeroizing::new(der::encode(tag::INTEGER, &[0]));
                for field in [&jwk.n, &jwk.e, &jwk.d, &jwk.p, &jwk.q, &jwk.dp, &jwk.dq, &jwk.qi] {
                    body.extend_from_slice(&integer(&part(field)?));
                }
                let der = Zeroizing::new(der::encode(tag::SEQUENCE, &body));
                Ok(Self(Pair::Rsa(Box::new(RsaKeyPair::from_der(&der).map_err(|_| wrong())?))))
            }
            "EC" => {
                let curve = CURVES.iter().find(|c| Some(c.name) == jwk.crv.as_deref()).ok_or_else(wrong)?;
                let wide = |text| {
                    let bytes = part(text)?;
                    let bare = der::strip_zeros(&bytes);
                    let lacking = curve.octets.checked_sub(bare.len()).ok_or_else(wrong)?;
                    Ok::<_, String>(Zeroizing::new([&vec![0; lacking], bare].concat()))
                };
                let (x, y) = (wide(&jwk.x)?, wide(&jwk.y)?);
                let point = [&[4], &x[..], &y[..]].concat();
                let pair =
                    EcdsaKeyPair::from_private_key_and_public_key(curve.signing, &wide(&jwk.d)?, &point);
                Ok(Self(Pair::Ecdsa(pair.map_err(|_| wrong())?, curve)))
            }
            "OKP" if jwk.crv.as_deref() == Some("Ed25519") => {
                let pair = Ed25519KeyPair::from_seed_and_public_key(&part(&jwk.d)?, &part(&jwk.x)?);
                Ok(Self(Pair::Ed25519(Box::new(pair.map_err(|_| wrong())?))))
            }
            _ => Err("the JWK is of a kind that ACME servers do not take".to_owned()),
        }
    }

    /// The whole key, to be kept.
    ///
    /// # Errors
    /// Only if the cryptographic library fails.
    pub(crate) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        let failed = |_| "the account key could not be written down".to_owned();
        Ok(Zeroizing::new(match &self.0 {
            Pair::Ecdsa(pair, _) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            Pair::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(&**pair).map_err(failed)?.as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
        }))
    }

    /// The `alg` of what it signs (RFC 7518 section 3.1, RFC 8037 section 3.1).
    pub(crate) fn algorithm(&self) -> &'static str {
        match &self.0 {
            Pair::Ecdsa(_, curve) => curve.algorithm,
            Pair::Rsa(_) => "RS256",
            Pair::Ed25519(_) => "EdDSA",
        }
    }

    /// In words, for a person.
    pub(crate) fn words(&self) -> String {
        match &self.0 {
            Pair::Ecdsa(_, curve) => format!("ECDSA {}", curve.name),
            Pair::Rsa(pair) => format!("RSA {}", pair.public_modulus_len() * 8),
            Pair::Ed25519(_) => "Ed25519".to_owned(),
        }
    }

    /// The `alg` of keys of this kind.
    pub(crate) fn algorithm_of(kind: KeyType) -> &'static str {
        match kind {
            KeyType::EcdsaP256 => "ES256",
            KeyType::EcdsaP384 => "ES384",
            KeyType::Ed25519 => "EdDSA",
            KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => "RS256",
        }
    }

    /// The public key (RFC 7517), its members in the order of RFC 7638.
    pub(crate) fn jwk(&self) -> Value {
        match &self.0 {
            Pair::Ecdsa(pair, curve) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point.get(1..).unwrap_or_default().split_at(curve.octets.min(point.len() - 1));
                json!({ "crv": curve.name, "kty": "EC", "x": b64(x), "y": b64(y) })
            }
            Pair::Rsa(pair) => {
                // RSAPublicKey (RFC 8017 appendix A.1.1).
                let mut parts =
                    Reader::new(pair.public_key().as_ref()).sequence().unwrap_or(Reader::new(&[]));
                let mut next =
                    || parts.optional(tag::INTEGER).map_or(&[][..], |part| der::strip_zeros(part.value));
                let (n, e) = (next(), next());
                json!({ "e": b64(e), "kty": "RSA", "n": b64(n) })
            }
            Pair::Ed25519(pair) => {
                json!({ "crv": "Ed25519", "kty": "OKP", "x": b64(pair.public_key().as_ref()) })
            }
        }
    }

    /// The JWK thumbprint (RFC 7638), which every key authorization ends with.
    pub(crate) fn thumbprint(&self) -> String {
        b64(&notafter_pki::fingerprint::sha256(canonical(&self.jwk()).as_bytes()))
    }

    /// Signs.
    ///
    /// # Errors
    /// Only if the cryptographic library fails.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let failed = |_| "the account key could not sign".to_owned();
        let random = SystemRandom::new();
        match &self.0 {
            Pair::Ecdsa(pair, _) => Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut out).map_err(failed)?;
                Ok(out)
            }
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey({})", self.algorithm())
    }
}

/// A private key as JSON (RFC 7518 section 6, RFC 8037 section 2).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<String>,
    p: Option<String>,
    q: Option<String>,
    dp: Option<String>,
    dq: Option<String>,
    qi: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// A flat JSON object with its members sorted and no space between them (RFC 7638 section 3). Written by hand: whether a
/// map of serde_json sorts depends on what else is in the build.
fn canonical(object: &Value) -> String {
    let mut members: Vec<_> = object.as_object().into_iter().flatten().collect();
    members.sort_by_key(|(name, _)| name.as_str());
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    format!("{{{}}}", members.join(","))
}

/// A positive INTEGER of these big-endian octets.
fn integer(octets: &[u8]) -> Zeroizing<Vec<u8>> {
    let bare = der::strip_zeros(octets);
    let padded = Zeroizing::new(match bare.first() {
        None => vec![0],
        Some(first) if *first >= 0x80 => [&[0], bare].concat(),
        Some(_) => bare.to_vec(),
    });
    Zeroizing::new(der::encode(tag::INTEGER, &padded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_of_rfc_7638() {
        // RFC 7638 section 3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let jwk = json!({ "kty": "RSA", "n": n, "e": "AQAB" });
        let hash = b64(&notafter_pki::fingerprint::sha256(canonical(&jwk).as_bytes()));
        assert_eq!(hash, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn every_kind_survives_being_kept() {
        for kind in [KeyType::EcdsaP256, KeyType::EcdsaP384, KeyType::Ed25519, KeyType::Rsa2048] {
            let key = AccountKey::generate(kind).expect("a key");
            assert_eq!(key.algorithm(), AccountKey::algorithm_of(kind));
            let kept = key.to_pkcs8().expect("PKCS#8");
            let again = AccountKey::from_der(&kept).expect("read again");
            assert_eq!((key.algorithm(), key.jwk()), (again.algorithm(), again.jwk()), "{kind}");
            assert!(!key.sign(b"x").expect("signs").is_empty());
            assert_eq!(format!("{key:?}"), format!("AccountKey({})", key.algorithm()));
        }
    }

    #[test]
    fn jwks_with_a_private_half() {
        // The keys of RFC 7515 appendix A.3 (EC) and RFC 8037 appendix A.1 (OKP).
        let ec = json!({
            "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
        });
        let key = AccountKey::read(ec.to_string().as_bytes()).expect("a key");
        assert_eq!(key.jwk()["x"], ec["x"]);
        let okp = json!({
            "kty": "OKP", "crv": "Ed25519",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        });
        let key = AccountKey::read(okp.to_string().as_bytes()).expect("a key");
        // RFC 8037 appendix A.3.
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        let mut broken = ec.clone();
        broken["d"] = okp["d"].clone();
        for wrong in [broken, json!({ "kty": "EC" }), json!({ "kty": "oct" }), json!({})] {
            assert!(AccountKey::read(wrong.to_string().as_bytes()).is_err(), "{wrong}");
        }
        assert!(AccountKey::read(b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n").is_err());
        assert!(AccountKey::read(b"").is_err());
    }
}

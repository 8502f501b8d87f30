//! JSON Web Keys and sets of them (RFC 7517): certificates by `kid`, and bare keys, which have no date of their own.
//!
//! A bare key is worth knowing all the same: its `kid` changes when it is rotated. Private members are told to be
//! there and never read; symmetric keys leave not even a digest. What an issuer publishes about itself (OpenID
//! Connect Discovery section 3) has no date: [`discovery`] gives where its keys are.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::jwt::numeric_date;
use super::{Statement, StatementKind};
use crate::certificate::Certificate;
use crate::container::base64;
use crate::container::{Content, Found, Place, Session};
use crate::der::{encode, tag};
use crate::fingerprint::{KeyId, sha256};
use crate::oid;
use crate::private_key::{assemble, rsa_spki};

/// What stands in every key.
pub(crate) const MARKER: &[u8] = b"\"kty\"";

/// Keys of one document that are looked at.
const KEYS_MAX: usize = 10_000;

/// Finds keys anywhere in a document.
pub(crate) fn read(document: &Value, _: &[u8], session: &mut Session, found: &mut Vec<Found<'static>>) {
    let mut number = 0;
    let mut seen: Vec<String> = Vec::new();
    objects(document, &mut |object| {
        let Some(kind) = object.get("kty").and_then(Value::as_str) else { return };
        if number >= KEYS_MAX || session.is_full() {
            return;
        }
        number += 1;
        let kid = object.get("kid").and_then(Value::as_str).unwrap_or("");
        let unique = !kid.is_empty() && !seen.iter().any(|known| known == kid);
        let place = Place::whole();
        let place = if unique { place.named(kid) } else { place.named("jwk").numbered(number) };
        if unique && seen.len() < 1000 {
            seen.push(kid.to_owned());
        }
        session.keep(found, Content::Statement(statement(kind, kid, object)), place.clone());
        for (n, der) in chain(object).enumerate() {
            session.keep(found, Content::Certificate(Cow::Owned(der)), place.numbered(n + 1));
        }
    });
}

/// `x5c`, RFC 7517 section 4.7: plain base64, not that of URLs.
fn chain(key: &Map<String, Value>) -> impl Iterator<Item = Vec<u8>> {
    let list = key.get("x5c").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(Value::as_str).take(16).filter_map(|text| {
        let der = base64::decode(text.as_bytes());
        let length = Certificate::parse(&der).ok()?.der().len();
        Some(der.get(..length)?.to_vec())
    })
}

fn statement(kind: &str, kid: &str, key: &Map<String, Value>) -> Statement {
    let word = |name: &str| key.get(name).and_then(Value::as_str);
    let thumbprint = thumbprint(kind, key);
    let title = match (kid, &thumbprint) {
        ("", Some(thumbprint)) => format!("JWK {thumbprint}"),
        ("", None) => "JWK".to_owned(),
        (kid, _) => format!("JWK {kid}"),
    };
    let bits = (kind == "RSA").then(|| word("n").map(|n| crate::der::bit_length(&octets(n)).to_string()));
    let operations = key
        .get("key_ops")
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_str).take(8).collect::<Vec<_>>().join(","));
    Statement::new(StatementKind::BareKey, title)
        .dated(numeric_date(key, "nbf").or_else(|| numeric_date(key, "iat")), numeric_date(key, "exp"))
        .fact("format", "jwk")
        .fact("kid", kid)
        .fact("type", kind)
        .fact_if("algorithm", word("alg"))
        .fact_if("use", word("use"))
        .fact_if("operations", operations)
        .fact_if("curve", word("crv"))
        .fact_if("bits", bits.flatten())
        .fact_if("thumbprint", thumbprint)
        .fact_if("key_id", spki(kind, key).map(|spki| KeyId::of(&spki).to_string()))
        .fact_if("private", (key.contains_key("d") || kind == "oct").then_some("yes"))
}

fn octets(text: &str) -> Vec<u8> {
    base64::decode(text.as_bytes())
}

/// RFC 7638 section 3, of public keys alone.
fn thumbprint(kind: &str, key: &Map<String, Value>) -> Option<String> {
    let members: &[&str] = match kind {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        "AKP" => &["alg", "kty", "pub"],
        _ => return None,
    };
    let mut canonical = Map::new();
    for member in members {
        canonical.insert((*member).to_owned(), key.get(*member)?.as_str()?.into());
    }
    let text = serde_json::to_vec(&Value::Object(canonical)).ok()?;
    let print = base64::encode(&sha256(&text)).replace('+', "-").replace('/', "_");
    Some(print.trim_end_matches('=').to_owned())
}

/// The key as certificates have it, so that one can be told to be the other.
fn spki(kind: &str, key: &Map<String, Value>) -> Option<Vec<u8>> {
    let part = |name: &str| key.get(name).and_then(Value::as_str).map(octets);
    let algorithm = |parts: &[&[u8]]| {
        encode(tag::SEQUENCE, &parts.iter().flat_map(|oid| encode(tag::OID, oid)).collect::<Vec<_>>())
    };
    match (kind, key.get("crv").and_then(Value::as_str)) {
        ("RSA", _) => {
            let integer = |value: Vec<u8>| {
                let value = crate::der::strip_zeros(&value);
                let sign: &[u8] =
                    if value.first().is_some_and(|octet| octet & 0x80 != 0) { &[0] } else { &[] };
                encode(tag::INTEGER, &[sign, value].concat())
            };
            Some(rsa_spki(&integer(part("n")?), &integer(part("e")?)))
        }
        ("EC", Some(curve)) => {
            let curve = match curve {
                "P-256" => oid::P256,
                "P-384" => oid::P384,
                "P-521" => oid::P521,
                _ => return None,
            };
            let point = [&[4][..], &part("x")?, &part("y")?].concat();
            Some(assemble(&algorithm(&[oid::EC_PUBLIC_KEY, curve]), &point))
        }
        ("OKP", Some("Ed25519")) => Some(assemble(&algorithm(&[oid::ED25519]), &part("x")?)),
        ("OKP", Some("Ed448")) => Some(assemble(&algorithm(&[oid::ED448]), &part("x")?)),
        _ => None,
    }
}

/// Every object in a document, outermost first; serde_json has bounded its depth.
pub(crate) fn objects(document: &Value, on: &mut dyn FnMut(&Map<String, Value>)) {
    match document {
        Value::Object(object) => {
            on(object);
            object.values().for_each(|value| objects(value, on));
        }
        Value::Array(list) => list.iter().for_each(|value| objects(value, on)),
        _ => {}
    }
}

/// What an issuer says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Discovery {
    /// Its identifier.
    pub issuer: String,
    /// Where its keys are. Whoever follows this address follows a stranger's word.
    pub jwks_uri: String,
}

/// Reads an OpenID provider's or authorisation server's metadata (OpenID Connect Discovery section 3, RFC 8414
/// section 2).
pub fn discovery(bytes: &[u8]) -> Option<Discovery> {
    if bytes.len() > 1 << 20 {
        return None;
    }
    let document: Value = serde_json::from_slice(bytes).ok()?;
    let word = |name: &str| Some(document.get(name)?.as_str()?.to_owned());
    Some(Discovery { issuer: word("issuer")?, jwks_uri: word("jwks_uri")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{Limits, open};

    fn check(text: &str, expected: &[(&str, &str)]) {
        let opened = open(text.as_bytes(), &[], &Limits::default());
        let shown = |content: &Content<'_>| match content {
            Content::Statement(statement) => statement.title().to_owned(),
            Content::Certificate(_) => "certificate".to_owned(),
            other => format!("{other:?}"),
        };
        let found: Vec<_> =
            opened.found.iter().map(|one| (one.place.to_string(), shown(&one.content))).collect();
        let found: Vec<_> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn keys_and_chains() {
        // RFC 7638 section 3.1 and RFC 8037 appendix A.3 have these thumbprints.
        let rsa = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
        let value: Value = serde_json::from_str(rsa).expect("JSON");
        let Value::Object(object) = &value else { panic!("an object") };
        assert_eq!(thumbprint("RSA", object).as_deref(), Some("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"));
        assert_eq!(statement("RSA", "", object).fact_of("bits"), Some("2048"));
        let okp =
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"hidden"}"#;
        check(okp, &[("#jwk/1", "JWK kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")]);
        check(
            &format!(r#"{{"keys":[{rsa},{rsa},{okp}]}}"#),
            &[
                ("#2011-04-29", "JWK 2011-04-29"),
                ("#jwk/2", "JWK 2011-04-29"),
                ("#jwk/3", "JWK kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
            ],
        );
        check(r#"{"kty":1}"#, &[]);
        check(r#"{"kty":"oct","k":"c2VjcmV0","kid":"s","exp":1893456000}"#, &[("#s", "JWK s")]);
        check(&format!("{}{okp}", "[".repeat(1000)), &[]);
    }

    #[test]
    fn certificates_stand_under_their_key() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::new(["a.example".to_owned()]).expect("a name");
        let der = parameters.self_signed(&key).expect("a certificate").der().to_vec();
        let text = format!(r#"{{"keys":[{{"kty":"EC","kid":"k","x5c":["{}"]}}]}}"#, base64::encode(&der));
        check(&text, &[("#k", "JWK k"), ("#k/1", "certificate")]);
    }

    #[test]
    fn discovery_documents() {
        let text = br#"{"issuer":"https://idp","jwks_uri":"https://idp/keys","x":1}"#;
        assert_eq!(discovery(text).map(|found| found.jwks_uri).as_deref(), Some("https://idp/keys"));
        assert_eq!(discovery(b"{}"), None);
    }
}

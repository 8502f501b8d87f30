//! Which of the things found in a document are parts of a whole: of metadata, of a key set, of a signature.
//!
//! An end means something else there than in a file of a server, and the judges are told by `Facts::part`. Told by the
//! format and by where in the document a thing stands; what a lone certificate is for it says itself, by its purposes.
//! No file is opened here and nothing judged.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use notafter_core::inventory::Role;
use notafter_core::observation::{Part, Whole};
use notafter_pki::certificate::Certificate;
use notafter_pki::container::{Content, Format, Found};
use notafter_pki::oid;
use notafter_pki::statement::{Statement, StatementKind};

/// More entities than so many in one document are a federation's.
pub(crate) const CROWD: usize = 20;

/// The part that each of these is, in their order; `None` for what stands for itself.
pub(crate) fn parts(format: Format, found: &[Found<'_>]) -> Vec<Option<Arc<Part>>> {
    if format == Format::Saml {
        let entities: HashSet<_> = found.iter().map(|f| entity(f.place.as_str())).collect();
        let crowd = entities.len() > CROWD;
        return found.iter().map(|one| metadata(one, crowd).map(Arc::new)).collect();
    }
    // Keys by their place, and what is signed by the place that comes before `signature`.
    let mut keys: HashMap<&str, Arc<Part>> = HashMap::new();
    let mut signed: Vec<&str> = Vec::new();
    for one in found {
        let Content::Statement(statement) = &one.content else { continue };
        let place = one.place.as_str();
        match statement.kind() {
            StatementKind::BareKey if statement.fact_of("format") == Some("jwk") => {
                keys.insert(place, Arc::new(key(place, statement)));
            }
            StatementKind::CodeSignature => {
                let outer = place.rsplit_once("signature/").map(|(outer, _)| outer);
                signed.extend(outer.filter(|outer| !outer.is_empty() || format == Format::Pkcs7));
            }
            _ => {}
        }
    }
    let signature =
        Arc::new(Part { of: Whole::Signature, name: String::new(), usage: String::new(), crowd: false });
    let part = |one: &Found<'_>| {
        let place = one.place.as_str();
        match &one.content {
            Content::Statement(_) => keys.get(place).cloned(),
            Content::Certificate(_) => {
                // The first of `x5c` is the key's own, the others are its issuers.
                let of_key = place.strip_suffix("/1").and_then(|key| keys.get(key));
                if let Some(part) = of_key {
                    return Some(Arc::clone(part));
                }
                let sent_along = place.split('/').rev().nth(1) == Some("responder");
                let signs = sent_along || signed.iter().any(|outer| place.starts_with(outer));
                signs.then(|| Arc::clone(&signature))
            }
            _ => None,
        }
    };
    found.iter().map(part).collect()
}

/// The part of metadata that this is.
pub(crate) fn metadata(one: &Found<'_>, crowd: bool) -> Option<Part> {
    let place = one.place.as_str();
    let (name, rest) = place.split_once('/').unwrap_or((place, ""));
    let usage = match &one.content {
        Content::Statement(statement) => statement.fact_of("element")?.to_owned(),
        Content::Certificate(_) => rest.rsplit_once('/').map_or(rest, |(usage, _)| usage).to_owned(),
        _ => return None,
    };
    Some(Part { of: Whole::Metadata, name: decoded(name), usage, crowd })
}

/// The entity that a place in metadata is about, as it is written there.
pub(crate) fn entity(place: &str) -> &str {
    place.split('/').next().unwrap_or("")
}

fn key(place: &str, statement: &Statement) -> Part {
    // Without a word it is for signatures: what else a set is published for has `enc`.
    let usage = statement.fact_of("use").unwrap_or("sig");
    let usage = format!("{usage} {}", statement.fact_of("type").unwrap_or("")).trim_end().to_owned();
    Part { of: Whole::KeySet, name: decoded(place), usage, crowd: false }
}

/// What a lone certificate is there for, by its purposes; `None` where they do not say, or say a server.
pub(crate) fn role_by_purpose(certificate: &Certificate<'_>) -> Option<Role> {
    let usage = certificate.extended_key_usage().filter(|_| !certificate.is_ca())?;
    if usage.has(oid::SERVER_AUTH) || usage.has(oid::ANY_EXTENDED_KEY_USAGE) {
        return None;
    }
    let signs = [oid::EMAIL_PROTECTION, oid::CODE_SIGNING, oid::TIME_STAMPING, oid::OCSP_SIGNING];
    if signs.iter().any(|purpose| usage.has(purpose)) {
        return Some(Role::Signer);
    }
    usage.has(oid::CLIENT_AUTH).then_some(Role::Client)
}

/// A part of a place without its percent signs.
fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).filter(|_| *first == b'%').and_then(|h| std::str::from_utf8(h).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(octet) => {
                out.push(octet);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use notafter_pki::container::{Limits, base64, open};

    use super::*;

    fn certificate() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        base64::encode(parameters.self_signed(&key).unwrap().der())
    }

    fn check(text: &str, expected: &[Option<(Whole, &str, &str)>]) {
        let opened = open(text.as_bytes(), &[], &Limits::default());
        let parts = parts(opened.format, &opened.found);
        let shown: Vec<_> = parts
            .iter()
            .map(|part| part.as_ref().map(|p| (p.of, p.name.as_str(), p.usage.as_str())))
            .collect();
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn metadata_and_key_sets() {
        let der = certificate();
        check(
            &format!(
                "<EntityDescriptor xmlns='urn:oasis:names:tc:SAML:2.0:metadata' \
                 xmlns:ds='http://www.w3.org/2000/09/xmldsig#' entityID='https://idp/x' \
                 validUntil='2030-01-01T00:00:00Z'><IDPSSODescriptor><KeyDescriptor use='signing'><ds:X509Certificate>{der}\
                 </ds:X509Certificate></KeyDescriptor></IDPSSODescriptor></EntityDescriptor>"
            ),
            &[
                Some((Whole::Metadata, "https://idp/x", "idp/signing")),
                Some((Whole::Metadata, "https://idp/x", "entity")),
            ],
        );
        let key = |kid: &str, usage: &str| {
            format!(r#"{{"kty":"EC","kid":"{kid}","use":"{usage}","x5c":["{der}","{der}"]}}"#)
        };
        check(
            &format!(r#"{{"keys":[{},{}]}}"#, key("a", "sig"), r#"{"kty":"RSA","kid":"b c"}"#),
            &[
                Some((Whole::KeySet, "a", "sig EC")),
                Some((Whole::KeySet, "a", "sig EC")),
                None,
                Some((Whole::KeySet, "b c", "sig RSA")),
            ],
        );
        check(&format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n"), &[None]);
    }

    #[test]
    fn purposes() {
        use rcgen::ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, EmailProtection, ServerAuth};
        for (usages, expected) in [
            (vec![], None),
            (vec![ServerAuth, ClientAuth], None),
            (vec![Any, ClientAuth], None),
            (vec![ClientAuth], Some(Role::Client)),
            (vec![ClientAuth, EmailProtection], Some(Role::Signer)),
            (vec![CodeSigning], Some(Role::Signer)),
        ] {
            let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
            parameters.extended_key_usages = usages.clone();
            let made = parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            let certificate = Certificate::parse(made.der()).unwrap();
            assert_eq!(role_by_purpose(&certificate), expected, "{usages:?}");
        }
    }
}

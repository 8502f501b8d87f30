//! Signed requests: flattened JWS (RFC 7515 section 7.2.2) as RFC 8555 section 6.2 wants them, and external account
//! bindings (section 7.3.4). Values in, JSON out; nothing is sent here.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::key::AccountKey;

/// Base64url without padding (RFC 4648 section 5).
pub(crate) fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads base64url; padding at the end is let pass, because people paste keys with it.
pub(crate) fn unb64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

/// Whose request it is.
#[derive(Clone, Copy)]
pub(crate) enum By<'a> {
    /// Of a key that has no account yet, or that speaks for a certificate.
    Key(&'a AccountKey),
    /// Of the account with this address.
    Account(&'a AccountKey, &'a str),
}

/// A signed request. `payload`: `None` makes a POST-as-GET (RFC 8555 section 6.3). `nonce` is left out of the inner
/// request of a key change (section 7.3.5).
pub(crate) fn sign(
    by: By<'_>,
    nonce: Option<&str>,
    url: &str,
    payload: Option<&Value>,
) -> Result<Value, String> {
    let (key, mut header) = match by {
        By::Key(key) => (key, json!({ "alg": key.algorithm(), "jwk": key.jwk() })),
        By::Account(key, account) => (key, json!({ "alg": key.algorithm(), "kid": account })),
    };
    header["url"] = json!(url);
    if let Some(nonce) = nonce {
        header["nonce"] = json!(nonce);
    }
    let header = b64(header.to_string().as_bytes());
    let payload = payload.map(|payload| b64(payload.to_string().as_bytes())).unwrap_or_default();
    let signature = key.sign(format!("{header}.{payload}").as_bytes())?;
    Ok(json!({ "protected": header, "payload": payload, "signature": b64(&signature) }))
}

/// Binds an account key to an account that the CA's operator knows (RFC 8555 section 7.3.4).
pub(crate) fn external_binding(kid: &str, secret: &[u8], url: &str, account: &AccountKey) -> Value {
    let header = b64(json!({ "alg": "HS256", "kid": kid, "url": url }).to_string().as_bytes());
    let payload = b64(account.jwk().to_string().as_bytes());
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, format!("{header}.{payload}").as_bytes());
    json!({ "protected": header, "payload": payload, "signature": b64(tag.as_ref()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use notafter_core::issuance::KeyType;

    #[test]
    fn what_is_signed_can_be_verified() {
        let key = AccountKey::generate(KeyType::EcdsaP256).expect("a key");
        let jws = sign(By::Account(&key, "https://ca.example/1"), Some("n0"), "https://ca.example/o", None)
            .expect("signed");
        let text = |name: &str| jws[name].as_str().expect("text").to_owned();
        let header: Value =
            serde_json::from_slice(&unb64(&text("protected")).expect("base64url")).expect("JSON");
        assert_eq!(header["kid"], "https://ca.example/1");
        assert_eq!((header["nonce"].as_str(), header["alg"].as_str()), (Some("n0"), Some("ES256")));
        assert!(header.get("jwk").is_none() && text("payload").is_empty());
        let jwk = key.jwk();
        let part = |name: &str| unb64(jwk[name].as_str().expect("text")).expect("base64url");
        let point = [&[4][..], &part("x"), &part("y")].concat();
        let message = format!("{}.{}", text("protected"), text("payload"));
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(message.as_bytes(), &unb64(&text("signature")).expect("base64url"))
            .expect("verifies");
    }
}

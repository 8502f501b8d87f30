//! JSON Web Tokens (RFC 7519) in any text: environment files, JSON, YAML, scripts.
//!
//! Of a token only dates, names and its SHA-256 are kept, never the token or a claim that could stand for it. A
//! token without `exp` has no deadline and is left alone, and so is what is encrypted (JWE). The signature is
//! not looked at.

use std::collections::HashSet;

use memchr::memmem;
use serde_json::{Map, Value};

use super::{Statement, StatementKind};
use crate::container::base64;
use crate::container::{Content, Found, Place, Session};
use crate::fingerprint::{Fingerprint, sha256};
use crate::time::UnixTime;

/// Base64 of `eyJhbGciOi`: a token in a Kubernetes Secret.
pub(crate) const WRAPPED: &[u8] = b"ZXlKaGJHY2lPa";

/// No token is longer, in octets: browsers and servers refuse headers far below.
const TOKEN_MAX: usize = 64 << 10;
/// Different tokens kept from one file, which may be a log.
const TOKENS_MAX: usize = 1000;

/// What a compact token (RFC 7515 section 3.1) states; `None` where it is none, or has no end.
pub fn statement(token: &[u8]) -> Option<Statement> {
    let mut parts = token.split(|octet| *octet == b'.');
    let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || token.len() > TOKEN_MAX || (header.len() < 8 || claims.len() < 8) {
        return None;
    }
    let object = |part: &[u8]| match serde_json::from_slice(&base64::decode(part)).ok()? {
        Value::Object(object) => Some(object),
        _ => None,
    };
    let header = object(header)?;
    let algorithm = header.get("alg")?.as_str()?;
    let claims = object(claims)?;
    let until = numeric_date(&claims, "exp")?;
    let issued = numeric_date(&claims, "iat");
    let word = |of: &Map<String, Value>, key: &str| of.get(key).and_then(Value::as_str).map(str::to_owned);
    let subject = word(&claims, "sub");
    let audience: Vec<_> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let title = match (&subject, audience.first()) {
        (Some(subject), _) => format!("token of {subject}"),
        (None, Some(audience)) => format!("token for {audience}"),
        (None, None) => "token".to_owned(),
    };
    let mut out = Statement::new(StatementKind::Token, title)
        .issuer(word(&claims, "iss").unwrap_or_default())
        .dated(numeric_date(&claims, "nbf").or(issued), Some(until))
        .fact("algorithm", algorithm)
        .fact_if("kid", word(&header, "kid"))
        .fact_if("typ", word(&header, "typ"))
        .fact_if("subject", subject.as_deref())
        .fact_time("issued_at", issued)
        .fact_if("unsigned", signature.is_empty().then_some("yes"))
        .fact("sha256", Fingerprint(sha256(token)).to_string());
    for name in subject.iter().chain(&audience) {
        out = out.name(name);
    }
    Some(out)
}

/// RFC 7519 section 2, NumericDate: seconds, perhaps with a fraction.
pub(crate) fn numeric_date(claims: &Map<String, Value>, key: &str) -> Option<UnixTime> {
    let value = claims.get(key)?;
    let seconds = match value {
        Value::Number(number) => number.as_i64().or_else(|| Some(number.as_f64()? as i64))?,
        // Against the standard, and met.
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    (seconds >= 0).then(|| UnixTime(seconds).min(UnixTime::NO_EXPIRY))
}

/// Whether `at`, where `eyJ` stands, may begin a token; for the crawler, which must not read every file with base64
/// of JSON in it. Source maps (`{"version":`) are the bulk of those.
pub(crate) fn may_begin(bytes: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| bytes.get(before));
    let ahead = bytes.get(at..).unwrap_or(&[]);
    let ahead = ahead.get(..40).unwrap_or(ahead);
    // The fourth character tells the first letter of the first member: those that RFC 7515 and 7516 register.
    let letter = matches!(
        ahead.get(3),
        Some(b'h' | b'i' | b'j' | b'l' | b'p' | b'q' | b'r' | b'u' | b'w' | b'0' | b'1' | b'4' | b'6')
    );
    letter
        && before.is_none_or(|octet| !is_token(*octet) || *octet == b'.')
        && ahead.iter().all(|o| is_token(*o))
}

fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.')
}

/// Finds tokens in text.
pub(crate) fn read(bytes: &[u8], session: &mut Session, found: &mut Vec<Found<'static>>) {
    let mut seen = HashSet::new();
    let mut keep = |token: &[u8], session: &mut Session| {
        if let Some(statement) = statement(token)
            && seen.len() < TOKENS_MAX
            && seen.insert(sha256(token))
        {
            let place = Place::whole().named("token").numbered(seen.len());
            session.keep(found, Content::Statement(statement), place);
        }
    };
    let mut read_to = 0;
    for at in memmem::find_iter(bytes, b"eyJ") {
        if at < read_to || !may_begin(bytes, at) {
            continue;
        }
        let rest = bytes.get(at..).unwrap_or(&[]);
        let length = rest.iter().take(TOKEN_MAX + 1).take_while(|octet| is_token(**octet)).count();
        read_to = at + length;
        // A sentence may end behind it.
        let token = rest.get(..length).unwrap_or(&[]);
        let token = if token.iter().filter(|octet| **octet == b'.').count() > 2 {
            token.strip_suffix(b".").unwrap_or(token)
        } else {
            token
        };
        keep(token, session);
    }
    for at in memmem::find_iter(bytes, WRAPPED) {
        let rest = bytes.get(at..).unwrap_or(&[]);
        if at < read_to || at.checked_sub(1).and_then(|b| bytes.get(b)).is_some_and(|o| base64::is_base64(*o))
        {
            continue;
        }
        let length = rest.iter().take(2 * TOKEN_MAX).take_while(|octet| base64::is_base64(**octet)).count();
        read_to = at + length;
        keep(base64::decode(rest.get(..length).unwrap_or(&[])).trim_ascii(), session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{Limits, open};

    fn url(text: &str) -> String {
        base64::encode(text.as_bytes()).replace('+', "-").replace('/', "_").replace('=', "")
    }

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.{}", url(header), url(claims), url("a signature of some length"))
    }

    fn check(text: &str, expected: &[(&str, &str, &str)]) {
        let opened = open(text.as_bytes(), &[], &Limits::default());
        let found: Vec<_> = opened
            .found
            .iter()
            .filter_map(|one| match &one.content {
                Content::Statement(s) if s.kind() == StatementKind::Token => Some((
                    one.place.to_string(),
                    s.title().to_owned(),
                    s.not_after().map_or(String::new(), |time| time.to_string()),
                )),
                _ => None,
            })
            .collect();
        let found: Vec<_> = found.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
        assert_eq!(found, expected, "{text}");
        for one in &opened.found {
            if let Content::Statement(statement) = &one.content {
                let bytes = String::from_utf8(statement.to_bytes()).expect("UTF-8");
                assert!(!bytes.contains("eyJ") && !bytes.contains("hidden"), "{bytes}");
            }
        }
    }

    #[test]
    fn wherever_they_stand() {
        let header = r#"{"alg":"RS256","kid":"k1","typ":"JWT"}"#;
        let claims =
            r#"{"iss":"https://idp","sub":"ci","aud":["a","b"],"exp":1893456000,"iat":1,"x":"hidden"}"#;
        let one = token(header, claims);
        let expected = &[("#token/1", "token of ci", "2030-01-01T00:00:00Z")];
        check(&format!("API_TOKEN={one}\n"), expected);
        check(&format!("{{\"token\": \"{one}\"}}"), expected);
        check(&format!("Authorization: Bearer {one}. And {one}, again"), expected);
        check(&format!("data:\n  token: {}\n", base64::encode(one.as_bytes())), expected);
        check(&token(header, &claims.replace("exp", "xpe")), &[]);
        check(&token(r#"{"enc":"A","typ":"JWT"}"#, claims), &[]);
        check(
            &token(r#"{"alg":"none","typ":"JWT"}"#, r#"{"exp":"1893456000"}"#),
            &[("#token/1", "token", "2030-01-01T00:00:00Z")],
        );
        check(&one.replace('.', "\n"), &[]);
        check(&format!("x{one}"), &[]);
        let far = token(header, r#"{"exp":1e300,"nbf":1.5}"#);
        check(&far, &[("#token/1", "token", "9999-12-31T23:59:59Z")]);
    }

    #[test]
    fn the_crawler_reads_tokens_and_not_source_maps() {
        let begin = |text: &str| may_begin(text.as_bytes(), 0);
        for header in [
            r#"{"alg":"RS256","kid":"k1"}"#,
            r#"{"typ":"JWT","alg":"ES256"}"#,
            r#"{"kid":"a","alg":"RS512"}"#,
            r#"{"x5t":"abcdefgh","alg":"RS512"}"#,
        ] {
            assert!(begin(&token(header, r#"{"exp":1}"#)), "{header}");
        }
        assert!(!begin(&url(r#"{"version":3,"sources":["a.ts"],"names":[]}"#)));
        assert!(!begin("eyJhbGci is what tokens begin with, they say"));
    }
}

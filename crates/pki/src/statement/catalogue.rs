//! Secrets known by name or identifier only, as services list them in JSON: with the date they end.
//!
//! Only forms that are public and certain: Microsoft Graph's `passwordCredentials` and `keyCredentials`
//! (`keyId` and `endDateTime`), access tokens as GitLab and GitHub list them, Vault's token look-up. Objects
//! that carry a refresh token are caches, which renew themselves, and are passed over. No value that could be a
//! secret is read.

use serde_json::{Map, Value};

use super::jwk::objects;
use super::jwt::numeric_date;
use super::{Statement, StatementKind, read_rfc3339};
use crate::container::{Content, Found, Place, Session};
use crate::time::UnixTime;

/// The members that tell the end.
const ENDS: &[&str] = &["endDateTime", "endDate", "expires_at", "expire_time", "token_expires_at"];
/// The members that tell the beginning.
const BEGINNINGS: &[&str] = &["startDateTime", "startDate", "created_at", "issue_time", "creation_time"];
/// The members by which such a secret is known. Not `secret_id`, which of Vault's AppRole is the secret itself.
const IDENTIFIERS: &[&str] = &["keyId", "key_id", "token_id", "accessor"];
/// Beside a name or number, one of these says that it is an access token.
const OF_TOKENS: &[&str] = &["scopes", "revoked", "token_last_eight", "access_level"];

/// The members that end it, as they stand in a file.
pub(crate) const MARKERS: &[&[u8]] =
    &[b"\"endDate", b"\"expires_at\"", b"\"expire_time\"", b"\"token_expires_at\""];

/// Entries of one document.
const ENTRIES_MAX: usize = 10_000;

/// Finds entries anywhere in a document.
pub(crate) fn read(document: &Value, _: &[u8], session: &mut Session, found: &mut Vec<Found<'static>>) {
    let mut number = 0;
    objects(document, &mut |object| {
        if number < ENTRIES_MAX
            && !session.is_full()
            && let Some((id, statement)) = entry(object)
        {
            number += 1;
            let place = Place::whole().named("secret").named(&id);
            session.keep(found, Content::Statement(statement), place);
        }
    });
}

fn entry(object: &Map<String, Value>) -> Option<(String, Statement)> {
    if object.contains_key("refresh_token") || object.contains_key("kty") {
        return None;
    }
    let until = date(object, ENDS)?;
    let plain = |key: &str| match object.get(key)? {
        Value::String(text) if !text.is_empty() && text.len() <= 200 => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let id = IDENTIFIERS.iter().find_map(|key| plain(key)).or_else(|| {
        let of_tokens = OF_TOKENS.iter().any(|key| object.contains_key(*key));
        // A number names a token; text under `id` could be the token.
        let number = || object.get("id").and_then(Value::as_u64).map(|id| id.to_string());
        of_tokens.then(|| number().or_else(|| plain("name")))?
    })?;
    let name = ["displayName", "display_name", "name", "description"].iter().find_map(|key| plain(key));
    let title = name.as_ref().map_or_else(|| format!("secret {id}"), |name| format!("secret {name}"));
    let statement = Statement::new(StatementKind::Secret, title)
        .name(name.unwrap_or_default())
        .dated(date(object, BEGINNINGS), Some(until))
        .fact("id", &id)
        .fact_if("type", plain("type"))
        .fact_if("usage", plain("usage"))
        .fact_if("revoked", object.get("revoked").and_then(Value::as_bool).filter(|set| *set).map(|_| "yes"));
    Some((id, statement))
}

fn date(object: &Map<String, Value>, keys: &[&str]) -> Option<UnixTime> {
    keys.iter().find_map(|key| match object.get(*key)? {
        Value::String(text) => read_rfc3339(text),
        Value::Number(_) => numeric_date(object, key),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{Limits, open};

    fn check(text: &str, expected: &[(&str, &str, &str)]) {
        let opened = open(text.as_bytes(), &[], &Limits::default());
        let found: Vec<_> = opened
            .found
            .iter()
            .map(|one| {
                let Content::Statement(s) = &one.content else { panic!("a statement") };
                let until = s.not_after().expect("a date").to_string();
                (one.place.to_string(), s.title().to_owned(), until)
            })
            .collect();
        let found: Vec<_> = found.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn what_is_certain() {
        check(
            r#"{"value":[{"appId":"x","passwordCredentials":[{"displayName":"deploy","endDateTime":
            "2027-02-03T04:05:06.7Z","hint":"abc","keyId":"11-22","secretText":null}]}]}"#,
            &[("#secret/11-22", "secret deploy", "2027-02-03T04:05:06Z")],
        );
        check(
            r#"[{"id":42,"name":"ci","revoked":false,"scopes":["api"],"expires_at":"2027-01-01"}]"#,
            &[("#secret/42", "secret ci", "2027-01-01T00:00:00Z")],
        );
        check(
            r#"{"data":{"accessor":"a1","display_name":"token-x","expire_time":"2027-01-01T00:00:00Z","id":"hvs.no"}}"#,
            &[("#secret/a1", "secret token-x", "2027-01-01T00:00:00Z")],
        );
        check(r#"{"access_token":"x","refresh_token":"y","expires_at":1893456000,"key_id":"k"}"#, &[]);
        check(r#"{"id":"s.hidden","scopes":[],"expires_at":"2027-01-01"}"#, &[]);
        check(r#"{"name":"milk","expires_at":"2027-01-01"}"#, &[]);
        check(r#"{"keyId":"k","endDateTime":"never"}"#, &[]);
    }
}

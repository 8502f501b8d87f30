//! The parameters of a request, checked against the table: what the OpenAPI document promises is what is
//! let through, and nothing else.
//!
//! Unknown and doubled parameters, bad UTF-8, control characters and numbers out of bounds are refused
//! with the nearest known name. Bodies are JSON objects; an unknown member is a mistake that is named.

use axum::RequestPartsExt;
use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, RawPathParams, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use notafter_core::finding::Kind;
use notafter_core::query::nearest;
use notafter_core::{Fingerprint, UnixTime};
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::table::{self, Operation, Param, Place, Shape};
use super::time;

/// A body may have so many bytes.
const BODY_MAX: usize = 64 * 1024;

/// What was asked, checked.
#[derive(Debug, Default)]
pub(crate) struct Args(Vec<(&'static str, String)>);

impl Args {
    /// A parameter as it was written, or as it stands when it is not.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that the table requires, or a number that it gives a default.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// How many rows a page may have.
    pub(crate) fn limit(&self) -> usize {
        self.number("limit").and_then(|n| usize::try_from(n).ok()).unwrap_or(100)
    }

    /// An instant.
    pub(crate) fn time(&self, name: &str) -> Option<UnixTime> {
        time::parse(self.text(name)?)
    }

    /// Kinds of finding.
    pub(crate) fn kinds(&self, name: &str) -> Vec<Kind> {
        let words = self.text(name).map(|list| list.split(',')).into_iter().flatten();
        words.filter_map(|w| Kind::ALL.iter().find(|k| k.as_str() == w).copied()).collect()
    }

    /// An identity as the store writes it.
    pub(crate) fn asset(&self, name: &str) -> Option<Fingerprint> {
        asset_id(self.text(name)?)
    }

    fn check(operation: &Operation, path: &RawPathParams, query: &str) -> Result<Self, Problem> {
        let mut given: Vec<(Place, String, String)> = Vec::new();
        for (name, value) in path {
            given.push((Place::Path, name.to_owned(), value.to_owned()));
        }
        for (name, value) in pairs(query)? {
            given.push((Place::Query, name, value));
        }
        let mut out: Vec<(&'static str, String)> = Vec::new();
        for (place, name, value) in given {
            let known = operation.params.iter().find(|p| p.place == place && p.name == name);
            let param = known.ok_or_else(|| unknown(operation, &name))?;
            if out.iter().any(|(known, _)| *known == param.name) {
                return Err(Problem::bad_request(format!("`{name}` stands there twice")));
            }
            fits(param, &value)?;
            out.push((param.name, value));
        }
        for param in operation.params {
            if out.iter().any(|(known, _)| *known == param.name) {
                continue;
            }
            if param.required {
                return Err(Problem::bad_request(format!("`{}` is missing", param.name)).hint(param.doc));
            }
            out.extend(param.usual.map(|usual| (param.name, usual.to_owned())));
        }
        Ok(Self(out))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Args {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let routed = parts.extensions.get::<MatchedPath>().map(|p| p.as_str().to_owned());
        let operation = routed
            .and_then(|routed| table::operation(parts.method.as_str(), &routed))
            .ok_or_else(Problem::internal)?;
        let path: RawPathParams =
            parts.extract().await.map_err(|_| Problem::bad_request("the path is no UTF-8"))?;
        Self::check(operation, &path, parts.uri.query().unwrap_or(""))
    }
}

/// A body of JSON that was asked for. Read whole, because it is small.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let is_json = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"));
        if !is_json {
            return Err(Problem::not_json());
        }
        if request.body().size_hint().lower() > BODY_MAX as u64 {
            return Err(Problem::too_large(BODY_MAX));
        }
        let bytes: Bytes = axum::body::to_bytes(request.into_body(), BODY_MAX)
            .await
            .map_err(|_| Problem::too_large(BODY_MAX))?;
        let wrong = |error: serde_json::Error| {
            Problem::bad_request(format!("the body is not what it should be: {error}"))
                .hint("the document at /api/v1/openapi.json says what it should be")
        };
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(wrong)?;
        // serde would also take the members as a list, in their order.
        if !value.is_object() {
            return Err(Problem::bad_request("the body is no JSON object"));
        }
        T::deserialize(value).map(Self).map_err(wrong)
    }
}

/// A text of a body that must not be longer, and must hold no control characters.
pub(crate) fn plain(name: &str, text: &str, least: usize, most: usize) -> Result<(), Problem> {
    let length = text.chars().count();
    if length < least || length > most {
        return Err(Problem::bad_request(format!("`{name}` must have {least} to {most} characters")));
    }
    if has_control(text) {
        return Err(Problem::bad_request(format!("`{name}` holds control characters")));
    }
    Ok(())
}

/// An instant of a body.
pub(crate) fn instant(name: &str, text: &str) -> Result<UnixTime, Problem> {
    time::parse(text).ok_or_else(|| {
        Problem::bad_request(format!("`{name}` is no instant")).hint("write 2027-03-15T08:00:00Z")
    })
}

fn unknown(operation: &Operation, name: &str) -> Problem {
    let known = || operation.params.iter().filter(|p| p.place == Place::Query).map(|p| p.name);
    let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
    let problem = Problem::bad_request(format!("`{shown}` is no parameter of this"));
    match nearest(name, known()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => match known().collect::<Vec<_>>().as_slice() {
            [] => problem.hint("it takes none"),
            names => problem.hint(format!("known are {}", names.join(", "))),
        },
    }
}

fn has_control(text: &str) -> bool {
    text.chars().any(|c| matches!(c, '\0'..='\u{1f}' | '\u{7f}'))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn asset_id(text: &str) -> Option<Fingerprint> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let fits = hex.len() == 64 && is_hex(hex);
    fits.then(|| format!("sha256:{}", hex.to_ascii_lowercase()).parse().ok()).flatten()
}

/// `a17` or `17`, or the id of a finding.
fn is_alert_id(text: &str) -> bool {
    let digits = text.strip_prefix('a').unwrap_or(text);
    let number = (1..=18).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0');
    number || is_finding_id(text)
}

fn is_finding_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn fits(param: &Param, value: &str) -> Result<(), Problem> {
    let name = param.name;
    let wrong =
        |what: &str| Problem::bad_request(format!("`{name}` is not as it should be")).hint(what.to_owned());
    match param.shape {
        Shape::Text { least, most, .. } => plain(name, value, least, most),
        Shape::AssetPrefix => {
            let hex = value.strip_prefix("sha256:").unwrap_or(value);
            let fits = (2..=64).contains(&hex.len()) && is_hex(hex);
            fits.then_some(()).ok_or_else(|| wrong("write the SHA-256 or its first hex digits, two at least"))
        }
        Shape::AssetId => asset_id(value).map(drop).ok_or_else(|| wrong("write sha256: and 64 hex digits")),
        Shape::FindingId => is_finding_id(value).then_some(()).ok_or_else(|| wrong("write 16 hex digits")),
        Shape::AlertId => {
            is_alert_id(value).then_some(()).ok_or_else(|| wrong("write a17, or a finding's id"))
        }
        Shape::Row => {
            let fits = (1..=18).contains(&value.len())
                && value.bytes().all(|b| b.is_ascii_digit())
                && !value.starts_with('0');
            fits.then_some(()).ok_or_else(|| wrong("take the `next` of the answer before"))
        }
        Shape::Word(words) => words
            .contains(&value)
            .then_some(())
            .ok_or_else(|| wrong(&format!("it is one of {}", words.join(", ")))),
        Shape::Kinds => {
            let all = table::kinds();
            match value.split(',').find(|word| !all.contains(word)) {
                None => Ok(()),
                Some(word) => Err(match nearest(word, all.into_iter()) {
                    Some(near) => wrong(&format!("did you mean `{near}`?")),
                    None => wrong("the document lists the kinds"),
                }),
            }
        }
        Shape::Number { least, most } => {
            // One way to write a number: `+5`, `05` and `5.0` would be others.
            let number = value.parse::<i64>().ok().filter(|n| n.to_string() == value);
            match number.filter(|n| (least..=most).contains(n)) {
                Some(_) => Ok(()),
                None => Err(wrong(&format!("it is a whole number from {least} to {most}"))),
            }
        }
        Shape::Time => {
            time::parse(value).map(drop).ok_or_else(|| wrong("write 2027-03-15 or 2027-03-15T08:00:00Z"))
        }
    }
}

/// The pairs behind the question mark, decoded; what is no UTF-8 is refused, never mended.
pub(crate) fn pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

fn decode(text: &str) -> Result<String, Problem> {
    let digit = |byte: Option<&u8>| byte.and_then(|b| (*b as char).to_digit(16));
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'+' => out.push(b' '),
            b'%' => match (digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
                (Some(high), Some(low)) => {
                    out.push((high * 16 + low) as u8);
                    at += 2;
                }
                _ => return Err(Problem::bad_request("a % in the query stands before no hex digits")),
            },
            byte => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8(out).map_err(|_| Problem::bad_request("the query is no UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(shape: Shape, good: &[&str], bad: &[&str]) {
        let param = Param { name: "x", place: Place::Query, shape, required: true, usual: None, doc: "" };
        for text in good {
            assert!(fits(&param, text).is_ok(), "{text:?} should fit {shape:?}");
        }
        for text in bad {
            assert!(fits(&param, text).is_err(), "{text:?} should not fit {shape:?}");
        }
    }

    #[test]
    fn shapes() {
        let id = "ab".repeat(32);
        check(Shape::AssetId, &[&id, &format!("sha256:{id}")], &["", "ab", "sha256:", &format!("{id}0")]);
        check(Shape::AssetPrefix, &["ab", "AB12", &format!("sha256:{id}")], &["", "a", "xy", "sha256:"]);
        check(Shape::FindingId, &["0123456789abcdef"], &["", "0123456789ABCDEF", "0123456789abcde"]);
        check(Shape::AlertId, &["a17", "17", "0123456789abcdef"], &["", "a", "a0", "-1", "b3", "1e3"]);
        check(Shape::Row, &["1", "999"], &["", "0", "-1", "01", "1234567890123456789"]);
        check(Shape::Number { least: 1, most: 9 }, &["1", "9"], &["", "0", "10", "+5", "05", "5.0", "x"]);
        check(Shape::Word(&["a", "b"]), &["a"], &["", "A", "c"]);
        check(Shape::Kinds, &["expired", "expired,weak-key"], &["", "expired,", "expire"]);
        check(
            Shape::Text { least: 1, most: 3, format: None },
            &["a", "äöü"],
            &["", "abcd", "a\0", "a\n", "\u{7f}"],
        );
        check(Shape::Time, &["2027-03-15", "2027-03-15T08:00:00Z"], &["", "soon", "2027-13-01"]);
    }

    #[test]
    fn bad_encodings_are_refused() {
        assert_eq!(pairs("a=1&b=x+y%2Bz&&c").unwrap().len(), 3);
        assert_eq!(pairs("q=x+y%2Bz").unwrap()[0].1, "x y+z");
        for bad in ["q=%ff", "q=%c3%28", "q=%", "q=%4", "q=%zz"] {
            assert!(pairs(bad).is_err(), "{bad}");
        }
    }
}

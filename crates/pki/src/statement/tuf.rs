//! Roles of The Update Framework (TUF specification section 4): root, targets, snapshot, timestamp.
//!
//! A client stops updating when a role has expired. Whose repository it is the document does not say: the place
//! tells. Thresholds and signatures are not verified.

use serde_json::Value;

use super::{Statement, StatementKind, read_rfc3339};
use crate::container::{Content, Found, Place, Session};
use crate::fingerprint::Fingerprint;

/// What stands in every role.
pub(crate) const MARKER: &[u8] = b"\"_type\"";

/// Reads a document that is a role.
pub(crate) fn read(document: &Value, bytes: &[u8], session: &mut Session, found: &mut Vec<Found<'static>>) {
    if let Some(statement) = statement(document, bytes) {
        session.keep(found, Content::Statement(statement), Place::whole());
    }
}

fn statement(document: &Value, bytes: &[u8]) -> Option<Statement> {
    let signed = document.get("signed")?.as_object()?;
    let role = signed.get("_type")?.as_str()?.to_ascii_lowercase();
    if !matches!(role.as_str(), "root" | "targets" | "snapshot" | "timestamp" | "mirrors") {
        return None;
    }
    let until = read_rfc3339(signed.get("expires")?.as_str()?)?;
    let version = signed.get("version").and_then(Value::as_u64).map(|version| version.to_string());
    let keys: Vec<_> = document
        .get("signatures")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .filter_map(|signature| signature.get("keyid")?.as_str())
        .take(12)
        .collect();
    Some(
        Statement::new(StatementKind::SignedMetadata, format!("TUF {role}"))
            .name(&role)
            .dated(None, Some(until))
            .fact("format", "tuf")
            .fact("role", &role)
            .fact_if("version", version)
            .fact_if("spec_version", signed.get("spec_version").and_then(Value::as_str))
            .fact("key_ids", keys.join(","))
            .fact("sha256", Fingerprint::of(bytes).to_string()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{Limits, open};

    fn check(text: &str, expected: Option<(&str, &str)>) {
        let opened = open(text.as_bytes(), &[], &Limits::default());
        let found = opened.found.first().map(|one| {
            let Content::Statement(statement) = &one.content else { panic!("a statement") };
            (statement.title().to_owned(), statement.not_after().expect("a date").to_string())
        });
        let found = found.as_ref().map(|(title, until)| (title.as_str(), until.as_str()));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn roles() {
        let role = |kind: &str, expires: &str| {
            format!(
                r#"{{"signatures":[{{"keyid":"4e77","sig":"00"}}],"signed":{{"_type":"{kind}",
                "expires":"{expires}","spec_version":"1.0.31","version":7}}}}"#
            )
        };
        check(&role("timestamp", "2030-01-01T00:00:00Z"), Some(("TUF timestamp", "2030-01-01T00:00:00Z")));
        check(&role("Root", "2030-01-01T00:00:00.5-07:00"), Some(("TUF root", "2030-01-01T07:00:00Z")));
        check(&role("link", "2030-01-01T00:00:00Z"), None);
        check(&role("root", "soon"), None);
    }
}

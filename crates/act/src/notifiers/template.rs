//! The small template of the webhook: `{{field}}` is a value, escaped for the inside of a JSON string.
//!
//! After Mustache, and as much of it as a webhook needs: `{{{field}}}` is the value as it stands, for a body
//! that is no JSON. No sections, no code, no recursion: a value is never read for further fields.

use super::document::NoticeDocument;
use crate::text::{Plain, Words, lay_out_text};

/// A template whose fields are all known.
#[derive(Debug)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Words(String),
    Field { name: String, escaped: bool },
}

/// The fields, in the order of the reference page.
pub(super) const FIELDS: &[&str] = &[
    "id",
    "event",
    "severity",
    "alert",
    "instance",
    "owner",
    "to",
    "subject",
    "title",
    "text",
    "hint",
    "deadline",
    "days_left",
    "message",
    "acknowledge_url",
    "acknowledge_command",
    "page_url",
    "at",
];

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A sentence for the person who wrote it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("{{") {
            pieces.push(Piece::Words(rest[..at].to_owned()));
            let (open, close) = if rest[at..].starts_with("{{{") { (3, "}}}") } else { (2, "}}") };
            let inner = &rest[at + open..];
            let end = inner.find(close).ok_or("`template`: a {{ has no }}\nhint: a field is {{title}}")?;
            let name = inner[..end].trim().to_owned();
            if !FIELDS.contains(&name.as_str()) {
                return Err(format!(
                    "`template` names a field `{}` that there is not\nhint: the fields are {}",
                    name.escape_debug(),
                    FIELDS.join(", ")
                ));
            }
            pieces.push(Piece::Field { name, escaped: open == 2 });
            rest = &inner[end + close.len()..];
        }
        pieces.push(Piece::Words(rest.to_owned()));
        Ok(Self(pieces))
    }

    /// The body for a message. What a notice does not have is empty.
    pub(super) fn fill(&self, document: &NoticeDocument, words: &Words) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Words(text) => out.push_str(text),
                Piece::Field { name, escaped: false } => out.push_str(&value(name, document, words)),
                Piece::Field { name, escaped: true } => {
                    let quoted = serde_json::Value::String(value(name, document, words)).to_string();
                    out.push_str(&quoted[1..quoted.len() - 1]);
                }
            }
        }
        out
    }
}

fn value(name: &str, document: &NoticeDocument, words: &Words) -> String {
    if name == "message" {
        return lay_out_text(words, &Plain, 10_000, true);
    }
    // The names are those of the document: one list of words for both.
    match serde_json::to_value(document).ok().and_then(|mut d| d.get_mut(name).map(|v| v.take())) {
        Some(serde_json::Value::String(text)) => text,
        Some(serde_json::Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

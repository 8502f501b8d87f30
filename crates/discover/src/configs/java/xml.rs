//! Tags with their attributes: as much of XML as configurations need. Comments, declarations and entities
//! of a DTD are stepped over and never followed.

use std::collections::HashMap;

/// An opening or closing tag.
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) closing: bool,
    /// `<a/>`
    pub(super) alone: bool,
    pub(super) line: u32,
    attributes: Vec<(String, String)>,
}

/// So many tags are read of one file.
const TAGS_MAX: usize = 100_000;

impl Tag {
    /// The value of an attribute, with the properties that are known filled in; `None` if there is none.
    pub(super) fn get(&self, name: &str, known: &HashMap<String, String>) -> Option<String> {
        let (_, value) = self.attributes.iter().find(|(n, _)| n == name)?;
        let mut out = String::new();
        let mut rest = value.as_str();
        while let Some((before, after)) = rest.split_once("${") {
            let Some((inner, behind)) = after.split_once('}') else { break };
            out.push_str(before);
            let (property, default) = inner.split_once(":-").map_or((inner, None), |(p, d)| (p, Some(d)));
            match known.get(property).map(String::as_str).or(default) {
                Some(value) => out.push_str(value),
                None => out.push_str(&format!("${{{inner}}}")),
            }
            rest = behind;
        }
        out.push_str(rest);
        Some(out)
    }
}

/// Every tag of a text, in order.
pub(super) fn tags(text: &str) -> Vec<Tag> {
    let mut out = Vec::new();
    let mut line = 1u32;
    let mut rest = text;
    let count = |s: &str| s.bytes().filter(|b| *b == b'\n').count() as u32;
    while let Some(at) = rest.find('<').filter(|_| out.len() < TAGS_MAX) {
        line += count(&rest[..at]);
        rest = &rest[at..];
        let skipped = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"), ("<!", ">")];
        if let Some((open, close)) = skipped.iter().find(|(open, _)| rest.starts_with(open)) {
            let end = rest[open.len()..].find(close).map_or(rest.len(), |n| open.len() + n + close.len());
            line += count(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        // A `>` within quotes closes nothing.
        let mut quote = None;
        let end = rest.char_indices().skip(1).find(|(_, c)| match quote {
            Some(q) => {
                if *c == q {
                    quote = None;
                }
                false
            }
            None => {
                if matches!(c, '"' | '\'') {
                    quote = Some(*c);
                }
                *c == '>'
            }
        });
        let Some((end, _)) = end else { break };
        let inside = &rest[1..end];
        out.push(tag(inside, line));
        line += count(inside);
        rest = &rest[end + 1..];
    }
    out
}

fn tag(inside: &str, line: u32) -> Tag {
    let (closing, inside) = inside.strip_prefix('/').map_or((false, inside), |i| (true, i));
    let (alone, inside) = inside.strip_suffix('/').map_or((false, inside), |i| (true, i));
    let end = inside.find(char::is_whitespace).unwrap_or(inside.len());
    let (name, mut rest) = inside.split_at(end);
    let mut attributes = Vec::new();
    while let Some((key, behind)) = rest.split_once('=') {
        let behind = behind.trim_start();
        let Some(quote) = behind.chars().next().filter(|c| matches!(c, '"' | '\'')) else { break };
        let Some((value, more)) = behind[1..].split_once(quote) else { break };
        attributes.push((key.trim().to_owned(), decoded(value)));
        rest = more;
    }
    Tag { name: name.to_owned(), closing, alone, line, attributes }
}

fn decoded(value: &str) -> String {
    if !value.contains('&') {
        return value.to_owned();
    }
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    pairs.iter().fold(value.to_owned(), |text, (from, to)| text.replace(from, to))
}

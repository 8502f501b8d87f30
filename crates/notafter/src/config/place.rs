//! Where in the file a mistake stands: from the words of a complaint to the line of the key or value it is about.
//!
//! Complaints come from whoever reads a setting (sources, notifiers, owners' rules) and know no file. Every one of them
//! names the key or quotes the value; the spans of the text say where that is. What names neither stays with the table.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The offset of what a complaint is about in the `nth` table `[[table]]` of a text.
pub(super) fn of(text: &str, table: &str, nth: usize, what: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let DeValue::Array(tables) = root.get_ref().get(table)?.get_ref() else { return None };
    let DeValue::Table(table) = tables.get(nth)?.get_ref() else { return None };
    // The hint speaks of what would be right.
    let what = what.split("\nhint: ").next().unwrap_or(what);
    let quoted = quoted(what);
    let keys = || table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span().start, value));
    if let Some((_, at, value)) = keys().find(|(key, ..)| quoted.contains(key)) {
        return Some(inside(value, &quoted).unwrap_or(at));
    }
    let named = |key: &str| {
        let rest = what.strip_prefix(key);
        let whole = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        rest.is_some_and(whole) || what.contains(&format!("{key} = "))
    };
    if let Some((_, at, value)) = keys().find(|(key, ..)| named(key)) {
        return Some(inside(value, &quoted).unwrap_or(at));
    }
    keys().find_map(|(.., value)| inside(value, &quoted))
}

/// What stands between backticks or quotes.
fn quoted(what: &str) -> Vec<&str> {
    let between = |sign: char| what.split(sign).skip(1).step_by(2).filter(|word| !word.is_empty());
    between('`').chain(between('"')).collect()
}

/// The text within a value that is quoted, whole or in part.
fn inside(value: &Spanned<DeValue<'_>>, quoted: &[&str]) -> Option<usize> {
    let mut texts = Vec::new();
    match value.get_ref() {
        DeValue::String(text) => texts.push((text.as_ref(), value.span().start)),
        DeValue::Array(list) => texts.extend(list.iter().filter_map(|one| match one.get_ref() {
            DeValue::String(text) => Some((text.as_ref(), one.span().start)),
            _ => None,
        })),
        _ => {}
    }
    let whole = texts.iter().find(|(text, _)| quoted.contains(text));
    let part =
        || texts.iter().find(|(text, _)| quoted.iter().any(|word| word.len() > 1 && text.contains(word)));
    whole.or_else(part).map(|(_, at)| *at)
}

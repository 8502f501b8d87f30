//! What the tables of all providers have in common: reading them, durations, the schema.
//!
//! A table arrives as JSON (the binary read the TOML). Errors are for the person who wrote the file: what
//! is wrong, what it means, and a hint. Nothing here knows what a setting is for.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Deserializer};
use serde_json::Value;

/// A length of time as the file has it: `90s`, `5m`, `6h`, `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    fn parse(text: &str) -> Option<Self> {
        let at = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at(at);
        let each: u64 = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        let seconds = number.parse::<u64>().ok()?.checked_mul(each)?;
        (1..=400 * 86_400).contains(&seconds).then_some(Self::seconds(seconds))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            let shown = text.escape_debug();
            de::Error::custom(format!("`{shown}` is no length of time\nhint: write 90s, 5m, 6h or 30d"))
        })
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+[smhd]$" })
    }
}

/// The JSON schema of a settings struct.
pub fn schema<S: JsonSchema>() -> Value {
    schemars::schema_for!(S).to_value()
}

/// The JSON schema of a table that holds the settings of two structs: a kind's own, and what all of its sort have.
pub fn joined<S: JsonSchema, T: JsonSchema>() -> Value {
    let (mut own, shared) = (schema::<S>(), schema::<T>());
    for part in ["properties", "$defs"] {
        let from = shared[part].as_object().cloned().unwrap_or_default();
        match own[part].as_object_mut() {
            Some(into) => into.extend(from),
            None => own[part] = Value::Object(from),
        }
    }
    own
}

/// Reads both out of such a table. serde cannot both flatten a struct into another and refuse unknown keys, so the
/// table is parted.
///
/// # Errors
/// A sentence with a hint.
pub fn read_joined<S, T>(mut table: Value) -> Result<(S, T), String>
where
    S: DeserializeOwned + JsonSchema,
    T: DeserializeOwned + JsonSchema,
{
    let of_shared = schema::<T>();
    let mut shared = serde_json::Map::new();
    if let Some(table) = table.as_object_mut() {
        shared.extend(keys(&of_shared).filter_map(|key| table.remove_entry(key)));
    }
    let shared = read(Value::Object(shared), &of_shared)?;
    Ok((read(table, &joined::<S, T>())?, shared))
}

/// Reads a settings struct. An unknown key is answered with the nearest known one.
///
/// # Errors
/// A sentence with a hint.
pub fn read<S: DeserializeOwned>(table: Value, known: &Value) -> Result<S, String> {
    let keys: Vec<&str> = keys(known).collect();
    if let Some(wrong) = table.as_object().and_then(|t| t.keys().find(|k| !keys.contains(&k.as_str()))) {
        return Err(unknown(wrong, &keys));
    }
    serde_path_to_error::deserialize(table).map_err(|error| {
        let (path, said) = (error.path().to_string(), error.inner().to_string());
        match said.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
            Some(field) => missing(field, known),
            // "." is the table itself.
            None if path == "." => said,
            None => format!("`{path}`: {said}"),
        }
    })
}

/// The answer to a setting that is not there: its own words from the reference page.
fn missing(field: &str, known: &Value) -> String {
    let doc = known["properties"][field]["description"].as_str().unwrap_or_default();
    let hint = doc.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    format!("the setting `{field}` is missing\nhint: {field} = ...: {hint}")
}

/// The settings a schema names.
pub fn keys(schema: &Value) -> impl Iterator<Item = &str> {
    schema["properties"].as_object().into_iter().flat_map(|p| p.keys().map(String::as_str))
}

fn unknown(wrong: &str, keys: &[&str]) -> String {
    let hint = match nearest(wrong, keys) {
        Some(known) => format!("did you mean `{known}`?"),
        None => format!("the settings are {}", keys.join(", ")),
    };
    format!("there is no setting `{}`\nhint: {hint}", wrong.escape_debug())
}

/// The known word that a mistyped one was most likely meant to be.
pub fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    let all = known.iter().map(|known| (distance(wrong, known), *known));
    all.min().filter(|(distance, _)| *distance <= 3).map(|(_, known)| known)
}

/// How many letters to change, add or remove (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (text, seconds) in
            [("90s", Some(90)), ("5m", Some(300)), ("6h", Some(21_600)), ("30d", Some(2_592_000))]
        {
            assert_eq!(Span::parse(text).map(|s| s.0.as_secs()), seconds);
        }
        for text in ["", "s", "5", "0s", "-1s", "5 m", "1w", "99999999999999999999s", "9999999d", "1h30m"] {
            assert_eq!(Span::parse(text), None, "{text}");
        }
    }
}

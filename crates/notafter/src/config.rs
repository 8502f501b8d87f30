//! `notafter.toml`, as far as this version uses it: who owns what, and what is never to be looked at.
//!
//! An unknown key is an error that names the nearest known one. Reading the file is `assemble`'s.

use serde::Deserialize;

use notafter_core::owner::{Match, Owner};

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default)]
    pub(crate) owner: Vec<OwnerTable>,
    #[serde(default)]
    pub(crate) scan: ScanTable,
    #[serde(default)]
    pub(crate) policy: PolicyTable,
}

/// `[scan]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScanTable {
    #[serde(default)]
    pub(crate) exclude: Vec<String>,
}

/// `[policy]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyTable {
    pub(crate) max_days: Option<u32>,
}

/// `[[owner]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnerTable {
    name: String,
    #[serde(default, rename = "match")]
    matches: Vec<String>,
    #[serde(default)]
    default: bool,
    // Known, and used by the server once it tells people.
    #[serde(default)]
    #[allow(dead_code)]
    notify: Vec<String>,
    #[allow(dead_code)]
    escalate_to: Option<String>,
    #[allow(dead_code)]
    escalate_after: Option<String>,
    needs_days: Option<u32>,
    #[allow(dead_code)]
    criticality: Option<String>,
}

impl OwnerTable {
    /// The owner, its rules read.
    ///
    /// # Errors
    /// A sentence for the person who wrote it.
    pub(crate) fn owner(self) -> Result<Owner, String> {
        let read = |text: &String| Match::parse(text);
        let matches = self.matches.iter().map(read).collect::<Result<_, _>>();
        let matches = matches.map_err(|e| format!("owner `{}`: {e}", self.name))?;
        Ok(Owner { name: self.name, matches, default: self.default, needs_days: self.needs_days })
    }
}

/// Reads the text of a file.
///
/// # Errors
/// Line, column and what is wrong, with the nearest known key.
pub(crate) fn parse(text: &str) -> Result<Config, String> {
    toml::from_str(text).map_err(|error| {
        let message = error.message();
        let hint = match nearest(message) {
            Some(key) => format!("\nhint: did you mean `{key}`?"),
            None if is_reserved(message) => "\nhint: not in this version".to_owned(),
            None => String::new(),
        };
        format!("{}{hint}", error.to_string().trim_end())
    })
}

/// Is the unknown field a table of a later version?
fn is_reserved(message: &str) -> bool {
    const LATER: &[&str] = &[
        "server",
        "source",
        "notifier",
        "service",
        "absence",
        "holiday",
        "window",
        "manual",
        "flow",
        "heartbeat",
        "keys",
        "freeze",
        "issuer",
        "certificate",
    ];
    message.split('`').nth(1).is_some_and(|field| LATER.contains(&field))
}

/// From serde's "unknown field `x`, expected one of `a`, `b`": the one that is nearest to x.
fn nearest(message: &str) -> Option<&str> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    quoted.map(|known| (distance(wrong, known), known)).min().filter(|(d, _)| *d <= 3).map(|(_, known)| known)
}

/// How many letters to change, add or remove (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
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
    fn owners_are_read() {
        let text = "[[owner]]\nname = 'web'\nmatch = ['name:*.example.com']\nnotify = ['mail:x']\n";
        let config = parse(text).unwrap();
        assert_eq!(config.owner.into_iter().next().unwrap().owner().unwrap().name, "web");
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = parse("[[owner]]\nnmae = 'web'\n").unwrap_err();
        assert!(error.contains("did you mean `name`?") && error.contains("line 2"), "{error}");
        assert!(parse("[server]\nlisten = ''\n").unwrap_err().contains("hint: not in this version"));
    }
}

//! What holds the zone: the joint of `dns-01`'s own providers, and where their settings are read from.
//!
//! A setting has a plain name of ours and the names of the variables that lego reads it from. It is looked for in the
//! solver's table, in `environment` there, and in the environment of this process, in this order; `NAME_FILE` is the path
//! of a file with the value, as in lego. It is read anew at every use, so that a new token needs no restart.

use std::collections::BTreeMap;

use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::{BoxFuture, Cx};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::secret::{Cover, MaybeSecret, Secret, Wiped};
use crate::settings::nearest;

/// A record that is shown, and all that taking it back may need. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The name that is proved, without `*.`.
    pub(super) domain: String,
    /// The challenge's token.
    pub(super) token: String,
    /// The key authorization (RFC 8555 section 8.1).
    pub(super) authorization: String,
    /// Where the record is: the end of all aliases of `_acme-challenge.` and the name.
    pub(super) place: String,
    /// The zone it is in, where that is known.
    pub(super) zone: Option<String>,
    /// The server that changes of the zone are made at, where that is known.
    #[serde(default)]
    pub(super) primary: Option<String>,
    /// What it says (RFC 8555 section 8.4).
    pub(super) value: String,
    /// How long it may be remembered, in seconds.
    pub(super) ttl: u32,
}

impl Record {
    /// The zone.
    pub(super) fn zone(&self) -> Result<&str, Fault> {
        self.zone.as_deref().ok_or_else(|| {
            Fault::new(FaultKind::Unreachable, format!("the zone of {} is not known", self.place))
                .hint("set `zone` in the solver's table")
        })
    }

    #[cfg(test)]
    pub(super) fn for_tests() -> Self {
        Self {
            domain: "example.com".to_owned(),
            token: "token".to_owned(),
            authorization: "token.thumbprint".to_owned(),
            place: "_acme-challenge.example.com".to_owned(),
            zone: Some("example.com".to_owned()),
            primary: None,
            value: "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0".to_owned(),
            ttl: 120,
        }
    }
}

/// What can be shown at one name at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Any number of values, each taken back by itself.
    Many,
    /// The last two; they are pushed out and never taken back (acme-dns).
    LastTwo,
    /// One.
    One,
}

/// Holds a zone, or knows who does.
pub(super) trait Provider: Send + Sync {
    /// What it is called in messages.
    fn called(&self) -> String;

    /// What fits at one name.
    fn room(&self) -> Room {
        Room::Many
    }

    /// Must it be told the zone?
    fn needs_zone(&self) -> bool {
        true
    }

    /// Is a record written by reading and writing a set, so that two at the same time could lose one?
    fn takes_turns(&self) -> bool {
        true
    }

    /// Adds the value beside whatever else is at the name; there already is done. Gives what its removal wants to know.
    fn add<'a>(&'a self, cx: &'a Cx, record: &'a Record) -> BoxFuture<'a, Result<Value, Fault>>;

    /// Takes this value away, and no other; gone already is done.
    fn remove<'a>(
        &'a self,
        cx: &'a Cx,
        record: &'a Record,
        memo: &'a Value,
    ) -> BoxFuture<'a, Result<(), Fault>>;

    /// A sentence, where this record cannot be the provider's: it is not asked to write it.
    fn objects(&self, record: &Record) -> Option<Fault> {
        let _ = record;
        None
    }
}

/// A setting of a provider.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain {
    /// Its plain name in the table.
    pub(super) setting: &'static str,
    /// What lego calls it, the usual name first.
    pub(super) names: &'static [&'static str],
    /// Variables that hold not it but the path of a file with it.
    pub(super) paths: &'static [&'static str],
    /// Is it a secret? Then it is written nowhere.
    pub(super) is_secret: bool,
    /// Does nothing work without it?
    pub(super) is_needed: bool,
}

impl Plain {
    /// A secret.
    pub(super) const fn secret(setting: &'static str, names: &'static [&'static str]) -> Self {
        Self { setting, names, paths: &[], is_secret: true, is_needed: true }
    }

    /// Something that everybody may see.
    pub(super) const fn text(setting: &'static str, names: &'static [&'static str]) -> Self {
        Self { setting, names, paths: &[], is_secret: false, is_needed: true }
    }

    /// It can be left out.
    pub(super) const fn optional(mut self) -> Self {
        self.is_needed = false;
        self
    }

    /// Variables with its path.
    pub(super) const fn or_path(mut self, paths: &'static [&'static str]) -> Self {
        self.paths = paths;
        self
    }

    /// How it is asked for in a hint.
    fn example(&self) -> String {
        let plain = self.setting;
        let value = if self.is_secret { "{ file = \"/etc/notafter/...\" }" } else { "\"...\"" };
        match self.names.first() {
            Some(name) => format!("{plain} = {value}, or environment = {{ {name} = {value} }}"),
            None => format!("{plain} = {value}"),
        }
    }
}

/// The settings as they were written.
#[derive(Default)]
pub(super) struct Purse {
    /// By plain name.
    pub(super) plain: BTreeMap<String, MaybeSecret>,
    /// `environment`.
    pub(super) environment: BTreeMap<String, MaybeSecret>,
}

impl Purse {
    /// Reads a setting where it lies now.
    ///
    /// # Errors
    /// A sentence that names the place, never the content.
    pub(super) fn read(&self, field: &Plain) -> Result<Option<Wiped>, String> {
        if let Some(value) = self.plain.get(field.setting) {
            return read(field, &format!("`{}`", field.setting), value).map(Some);
        }
        let variables = field
            .names
            .iter()
            .map(|name| (*name, false))
            .chain(field.names.iter().chain(field.paths).map(|name| (*name, true)));
        for (name, is_path) in variables {
            let plain = field.paths.contains(&name);
            let name = if is_path && !plain { format!("{name}_FILE") } else { name.to_owned() };
            let given = match self.environment.get(&name) {
                Some(value) if is_path => value.read().map_err(|e| format!("`environment.{name}`: {e}"))?,
                Some(value) => return read(field, &format!("`environment.{name}`"), value).map(Some),
                None => match std::env::var(&name) {
                    Ok(value) if !value.is_empty() => Wiped::new(value),
                    _ => continue,
                },
            };
            if is_path {
                let file = Secret::file(given.trim());
                return file.read().map(Some).map_err(|e| format!("{name}: {e}"));
            }
            return Ok(Some(given));
        }
        Ok(None)
    }

    /// Reads every setting of a list.
    ///
    /// # Errors
    /// A sentence, also where one that is needed is missing.
    pub(super) fn values(&self, fields: &[Plain]) -> Result<Values, String> {
        let mut values = Values::default();
        for field in fields {
            match self.read(field)? {
                Some(value) => {
                    if field.is_secret {
                        values.hide(&value);
                    }
                    values.all.insert(field.setting, value);
                }
                None if field.is_needed => {
                    return Err(format!(
                        "the setting `{}` is missing\nhint: {}",
                        field.setting,
                        field.example()
                    ));
                }
                None => {}
            }
        }
        Ok(values)
    }

    /// Refuses settings and variables that the provider does not know.
    ///
    /// # Errors
    /// A sentence with the nearest name.
    pub(super) fn check(&self, provider: &str, fields: &[Plain], more: &[&str]) -> Result<(), String> {
        let known: Vec<&str> = fields.iter().map(|f| f.setting).chain(more.iter().copied()).collect();
        if let Some(wrong) = self.plain.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(unknown("setting", provider, wrong, &known));
        }
        let names: Vec<&str> = fields.iter().flat_map(|f| f.names.iter().chain(f.paths)).copied().collect();
        let is_known = |name: &str| {
            let bare = name.strip_suffix("_FILE").unwrap_or(name);
            names.contains(&name) || names.contains(&bare)
        };
        if let Some(wrong) = self.environment.keys().find(|key| !is_known(key)) {
            return Err(unknown("variable", provider, wrong, &names));
        }
        Ok(())
    }
}

fn unknown(what: &str, provider: &str, wrong: &str, known: &[&str]) -> String {
    let hint = match nearest(wrong, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it knows {}", known.join(", ")),
    };
    format!("the provider {provider} has no {what} `{}`\nhint: {hint}", wrong.escape_debug())
}

fn read(field: &Plain, place: &str, value: &MaybeSecret) -> Result<Wiped, String> {
    if field.is_secret && matches!(value, MaybeSecret::Plain(_)) {
        return Err(format!(
            "{place} is a secret, written where others can read it; this file holds only where it lies\n\
             hint: write {{ env = \"NAME\" }}, {{ file = \"/path\" }} or {{ credential = \"name\" }}"
        ));
    }
    value.read().map_err(|e| format!("{place}: {e}"))
}

/// Settings that were read, by plain name. Wiped when dropped.
#[derive(Default)]
pub(super) struct Values {
    all: BTreeMap<&'static str, Wiped>,
    cover: Cover,
}

impl Values {
    /// One that is needed, or empty.
    pub(super) fn get(&self, setting: &str) -> &str {
        self.opt(setting).unwrap_or_default()
    }

    /// One that may be missing.
    pub(super) fn opt(&self, setting: &str) -> Option<&str> {
        self.all.get(setting).map(|value| value.as_str())
    }

    /// One that says yes or no.
    pub(super) fn is(&self, setting: &str) -> bool {
        self.opt(setting)
            .is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "true" | "1" | "yes"))
    }

    /// The text without any secret in it: as it is written, in an address, in JSON.
    pub(super) fn mask(&self, text: &str) -> String {
        self.cover.mask(text)
    }

    fn hide(&mut self, secret: &str) {
        hide(&mut self.cover, secret);
    }
}

/// Covers a secret in the forms in which it may come back.
pub(super) fn hide(cover: &mut Cover, secret: &str) {
    cover.add(secret);
    cover.add(&Wiped::new(percent(secret, "%20")));
    cover.add(&Wiped::new(percent(secret, "+")));
    let quoted = Wiped::new(serde_json::Value::from(secret).to_string());
    cover.add(quoted.trim_matches('"'));
}

/// As in the query of an address (RFC 3986 section 2.3), with this for a space.
fn percent(text: &str, space: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push_str(space),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FIELDS: &[Plain] = &[
        Plain::secret("token", &["X9_API_TOKEN", "X9_TOKEN"]),
        Plain::text("region", &["X9_REGION"]).optional(),
        Plain::secret("key", &[]).optional().or_path(&["X9_KEY_PATH"]),
    ];

    fn purse(plain: Value, environment: Value) -> Purse {
        let read = |value| serde_json::from_value(value).expect("settings");
        Purse { plain: read(plain), environment: read(environment) }
    }

    #[test]
    fn a_setting_is_found_under_each_of_its_names() {
        let lab = notafter_lab::Lab::new("dns01-purse");
        let file = lab.path().join("token");
        std::fs::write(&file, "c4nary-from-file\n").expect("written");
        let path = file.to_str().expect("UTF-8");
        for (plain, environment) in [
            (json!({ "token": { "file": path } }), json!({})),
            (json!({}), json!({ "X9_API_TOKEN": { "file": path } })),
            (json!({}), json!({ "X9_TOKEN": { "file": path } })),
            (json!({}), json!({ "X9_TOKEN_FILE": path })),
        ] {
            let purse = purse(plain, environment);
            purse.check("x9", FIELDS, &[]).expect("known");
            let values = purse.values(FIELDS).expect("read");
            assert_eq!(values.get("token"), "c4nary-from-file");
            assert_eq!(values.mask("said c4nary-from-file!"), "said ***!");
        }
        let by_path = purse(json!({ "token": { "file": path } }), json!({ "X9_KEY_PATH": path }));
        by_path.check("x9", FIELDS, &[]).expect("known");
        assert_eq!(by_path.values(FIELDS).expect("read").get("key"), "c4nary-from-file");
    }

    #[test]
    fn what_is_missing_unknown_or_written_plainly_is_said() {
        for (plain, environment, sign) in [
            (json!({}), json!({}), "environment = { X9_API_TOKEN"),
            (json!({ "token": "hunter2hunter2" }), json!({}), "`token` is a secret"),
            (json!({}), json!({ "X9_TOKEN": "hunter2hunter2" }), "`environment.X9_TOKEN` is a secret"),
            (json!({}), json!({ "X9_TOKEN": { "env": "X9_NOT_SET" } }), "X9_NOT_SET is not set"),
        ] {
            let said = purse(plain, environment).values(FIELDS).err().expect("refused");
            assert!(said.contains(sign) && said.contains("hint:") && !said.contains("hunter2"), "{said}");
        }
        let said = purse(json!({}), json!({ "X9_TOKN": "x" })).check("x9", FIELDS, &[]).expect_err("unknown");
        assert!(said.contains("did you mean `X9_TOKEN`?"), "{said}");
        let said = purse(json!({ "storage": "x" }), json!({})).check("x9", FIELDS, &[]).expect_err("unknown");
        assert!(said.contains("the provider x9 has no setting `storage`"), "{said}");
    }

    #[test]
    fn a_secret_is_covered_in_each_form_it_comes_back_in() {
        let mut cover = Cover::default();
        hide(&mut cover, "a b/c\"d+e");
        for text in ["a b/c\"d+e", "a%20b%2Fc%22d%2Be", "a+b%2Fc%22d%2Be", "a b/c\\\"d+e"] {
            assert_eq!(cover.mask(&format!("<{text}>")), "<***>");
        }
    }
}

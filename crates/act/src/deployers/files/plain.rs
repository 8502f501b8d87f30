//! The part of a `files` table that holds for files anywhere: which, in what form, whose.
//!
//! For the `ssh` deployer, which shares the forms and writes them elsewhere. Keystores are not among them: what is in
//! the one that is there would have to be read first.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use notafter_core::fault::Fault;

use super::render::{Goods, render};
use super::settings::{Form, KeyForm, Order, Settings};
use crate::settings;

/// The keys that such a table shares with `files`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "read for its schema; the values are read as those of `files`")]
struct Keys {
    /// The server there that reads them, by name: fills `check` and `reload` where they are not given.
    preset: Option<String>,
    /// The certificate, PEM, with the intermediates after it; alone where `chain` is given too.
    certificate: Option<PathBuf>,
    /// The private key, PEM.
    key: Option<PathBuf>,
    /// The intermediates alone, PEM.
    chain: Option<PathBuf>,
    /// The certificate and the intermediates, PEM.
    fullchain: Option<PathBuf>,
    /// Key, certificate and intermediates in one file, PEM.
    combined: Option<PathBuf>,
    /// What comes first in `combined`: `key-first` (the default) or `certificate-first`.
    combined_order: Option<Order>,
    /// The certificate alone, DER.
    der: Option<PathBuf>,
    /// How the key is written in PEM: `pkcs8` (the default), `pkcs1` (RSA) or `sec1` (elliptic curves).
    key_format: Option<KeyForm>,
    /// Who owns the files there, by name or number. Default: who owns what is there.
    owner: Option<String>,
    /// Their group there.
    group: Option<String>,
    /// The mode of the files that hold the key. Default: that of what is there, else `0600`.
    mode: Option<String>,
}

/// Paths and what is to be written there.
pub(in crate::deployers) type Rendered = Vec<(String, Zeroizing<Vec<u8>>)>;

/// Which files, in what form, whose.
pub(in crate::deployers) struct Plain {
    settings: Settings,
    owner: Option<String>,
}

/// One of them.
pub(in crate::deployers) struct Place {
    pub(in crate::deployers) path: String,
    /// `=0640`: in any case; `?0600`: where there is no file yet.
    pub(in crate::deployers) mode: String,
    pub(in crate::deployers) owner: Option<String>,
}

impl Plain {
    pub(in crate::deployers) fn schema() -> Value {
        settings::schema::<Keys>()
    }

    pub(in crate::deployers) fn open(mut table: Value) -> Result<Self, String> {
        // Accounts are those of the far host, and cannot be looked up here.
        let mut take = |key: &str| -> Result<Option<String>, String> {
            let Some(value) = table.as_object_mut().and_then(|t| t.remove(key)) else { return Ok(None) };
            let text = value.as_str().unwrap_or_default().to_owned();
            let fit = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            if text.is_empty() || text.starts_with('-') || !text.chars().all(fit) {
                return Err(format!("`{key}` is no name of an account\nhint: {key} = \"www-data\""));
            }
            Ok(Some(text))
        };
        let (owner, group) = (take("owner")?, take("group")?);
        let owner = match (owner, group) {
            (None, None) => None,
            (owner, None) => owner,
            (owner, Some(group)) => Some(format!("{}:{group}", owner.unwrap_or_default())),
        };
        let settings = Settings::open(table)?;
        if settings.forms().iter().any(|(_, path)| path.to_str().is_none()) {
            return Err("a path that is not UTF-8\nhint: name another one".to_owned());
        }
        Ok(Self { settings, owner })
    }

    /// What the preset says about checking and reloading.
    pub(in crate::deployers) fn commands(&self) -> (Option<Vec<String>>, Option<Vec<String>>) {
        (self.settings.check.clone(), self.settings.reload.clone())
    }

    pub(in crate::deployers) fn places(&self) -> Vec<Place> {
        let mode = self.settings.mode.clone();
        let place = |(form, path): (Form, PathBuf)| Place {
            path: path.to_string_lossy().into_owned(),
            mode: match (form.holds_key(), &mode) {
                (true, Some(mode)) => format!("={mode}"),
                (true, None) => "?0600".to_owned(),
                (false, _) => "?0644".to_owned(),
            },
            owner: self.owner.clone(),
        };
        self.settings.forms().into_iter().map(place).collect()
    }

    /// The number, from 1, of a file that holds the certificate; else of the first.
    pub(in crate::deployers) fn shows(&self) -> usize {
        let shows = |form: Form| !matches!(form, Form::Key | Form::Chain);
        self.settings.forms().iter().position(|(form, _)| shows(*form)).unwrap_or(0) + 1
    }

    pub(in crate::deployers) fn render(&self, goods: &Goods) -> Result<Rendered, Fault> {
        let one = |(form, path): (Form, PathBuf)| {
            Ok((path.to_string_lossy().into_owned(), render(&self.settings, form, goods, None)?))
        };
        self.settings.forms().into_iter().map(one).collect()
    }
}

#[cfg(test)]
#[test]
fn every_key_is_one_of_files() {
    let ours = Plain::schema();
    let known = Settings::schema();
    for key in settings::keys(&ours) {
        assert!(known["properties"][key].is_object(), "{key}");
    }
    let error = Plain::open(serde_json::json!({ "combined": "/a.pem", "owner": "a;b" })).err().unwrap();
    assert!(error.contains("hint:"), "{error}");
}

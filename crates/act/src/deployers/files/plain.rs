//! The part of a `files` table that holds for files anywhere: which, in what form, whose.
//!
//! For the `ssh` deployer, which shares the forms and writes them elsewhere. Of a keystore the one that is there is read
//! first: its alias and its other entries are kept. Files are spoken of by number, from 1, in the order of `places`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use notafter_pki::fingerprint::{hex, sha256};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use notafter_core::deployment::Check;
use notafter_core::fault::Fault;

use super::rehearse::password;
use super::render::{Goods, fits, leaf_of, render};
use super::settings::{Form, Jks, KeyForm, Order, Pkcs12, Settings};
use super::trial::reads;
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
    /// Certificate and intermediates without the key, PKCS#7 (RFC 2315): DER where the path ends with `.p7c` or `.der`,
    /// else PEM.
    pkcs7: Option<PathBuf>,
    /// A PKCS#12 file: `{ path = "...", password = { file = "..." }, form = "modern", alias = "..." }`. The password lies here.
    pkcs12: Option<Pkcs12>,
    /// A Java keystore: `{ path = "...", password = { file = "..." }, alias = "..." }`. Its other entries are kept.
    jks: Option<Jks>,
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

    fn form(&self, number: usize) -> Option<Form> {
        Some(self.settings.forms().get(number.checked_sub(1)?)?.0)
    }

    /// Has what is there to be read before this file is written? It may show a certificate, and a keystore is kept.
    pub(in crate::deployers) fn is_read(&self, number: usize) -> bool {
        self.form(number).is_some_and(|form| !matches!(form, Form::Key | Form::Chain))
    }

    /// Does a keystore open with the password that is set? Other files always fit.
    pub(in crate::deployers) fn fits(&self, number: usize, bytes: &[u8]) -> bool {
        self.form(number).is_some_and(|form| fits(&self.settings, form, bytes))
    }

    /// The certificate of a server in one of the files.
    pub(in crate::deployers) fn leaf(&self, number: usize, bytes: &[u8]) -> Option<Vec<u8>> {
        leaf_of(&self.settings, self.form(number)?, bytes)
    }

    /// Does a file hold what it was made from, as its reader would see it? `existing`: what was there before. Why not.
    pub(in crate::deployers) fn reads(
        &self,
        number: usize,
        bytes: &[u8],
        goods: &Goods,
        existing: Option<&[u8]>,
    ) -> Result<(), String> {
        let form = self.form(number).ok_or("there is no such file")?;
        reads(&self.settings, form, bytes, goods, existing)
    }

    /// What the files are made from, in one line.
    pub(in crate::deployers) fn made_from(&self, goods: &Goods) -> String {
        let owner = self.owner.as_deref().unwrap_or_default();
        hex(&sha256(format!("{} {owner}", self.settings.made_from(goods)).as_bytes()))
    }

    /// The files; `there` has those that are in place.
    pub(in crate::deployers) fn render(
        &self,
        goods: &Goods,
        there: &BTreeMap<usize, Zeroizing<Vec<u8>>>,
    ) -> Result<Rendered, Fault> {
        let one = |(index, (form, path)): (usize, (Form, PathBuf))| {
            let existing = there.get(&(index + 1)).map(|bytes| bytes.as_slice());
            Ok((path.to_string_lossy().into_owned(), render(&self.settings, form, goods, existing)?))
        };
        self.settings.forms().into_iter().enumerate().map(one).collect()
    }

    /// Can the passwords be read?
    pub(in crate::deployers) fn passwords(&self) -> Vec<Check> {
        self.settings.forms().into_iter().filter_map(|(form, _)| password(&self.settings, form)).collect()
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

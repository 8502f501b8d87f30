//! `[act]`: the process that installs, where it is another one than the process that looks and decides.
//!
//! Both may read the same file. Nothing is contacted here.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use notafter_act::issuers::{ca, csr};
use notafter_act::privsep::Client;
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::managed::{IssuerTable, settings};
use super::plan::Sheet;
use crate::trusted;

/// Who may ask, where nothing else is said: the account of packaging/notafter.service.
const USER: &str = "notafter";

/// `[act]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActTable {
    /// Where `notafter act` listens, such as /run/notafter/act.sock. With it, installing and showing what proves control of a
    /// name are asked of that process, and keys are made there [default: this process does both].
    #[schemars(with = "Option<PathBuf>")]
    pub(crate) socket: Option<Spanned<PathBuf>>,
    /// The account that may ask it, besides root [default: notafter].
    #[schemars(with = "Option<String>")]
    pub(crate) user: Option<Spanned<String>>,
    /// The account that it runs as [default: root].
    #[schemars(with = "Option<String>")]
    pub(crate) runs_as: Option<Spanned<String>>,
}

impl Sheet {
    /// Whom installing is asked of. `None`: it is done by this process.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub(crate) fn apart(&self) -> Result<Option<Arc<Client>>, String> {
        let table = &self.config.act;
        let Some(socket) = &table.socket else { return Ok(None) };
        if !socket.get_ref().is_absolute() {
            let what = format!("act.socket: {} is no full path", socket.get_ref().display());
            let hint = format!("socket = \"{}\"", notafter_act::privsep::SOCKET);
            return Err(self.wrong(Some(socket.span().start), format!("{what}\nhint: {hint}")));
        }
        Ok(Some(Arc::new(Client::new(socket.get_ref().clone(), self.acts_as()?))))
    }

    /// Where the revocation lists of CAs are written, by the issuers' names.
    ///
    /// # Errors
    /// The first mistake in such a table.
    pub(crate) fn lists(&self) -> Result<BTreeMap<String, PathBuf>, String> {
        let mut out = BTreeMap::new();
        for table in self.config.issuer.iter().filter(|table| table.kind == ca::NAME) {
            let name = table.name.get_ref();
            let wrong =
                |what: String| self.wrong(Some(table.name.span().start), format!("issuer `{name}`: {what}"));
            let read = settings(&table.rest).map_err(wrong)?;
            if let Some(file) = ca::crl_file(read).map_err(wrong)? {
                out.insert(name.clone(), file);
            }
        }
        Ok(out)
    }

    /// With two processes, the one that looks writes nothing outside its data folder.
    ///
    /// # Errors
    /// A table has it write elsewhere.
    pub(crate) fn writes_inside(&self, issuer: &IssuerTable) -> Result<(), String> {
        if self.config.act.socket.is_none() || issuer.kind != csr::NAME {
            return Ok(());
        }
        let Some(folder) = issuer.rest.get("folder").and_then(toml::Value::as_str).map(Path::new) else {
            return Ok(());
        };
        let plain = !folder.components().any(|part| part == Component::ParentDir);
        if plain && self.config.server.data.as_ref().is_some_and(|data| folder.starts_with(data)) {
            return Ok(());
        }
        Err(format!(
            "`folder` = {} lies outside the data folder, and with [act] this process writes nothing there\nhint: leave it out: the page of the renewal and `notafter issuer request {name}` show the request, the page and `notafter issuer reply {name} FILE` take the answer; or name a folder below `data` in [server]",
            folder.display(),
            name = issuer.name.get_ref()
        ))
    }

    /// The account that installs.
    ///
    /// # Errors
    /// There is no such account here.
    pub(crate) fn acts_as(&self) -> Result<u32, String> {
        self.config.act.runs_as.as_ref().map_or(Ok(0), |name| self.account("act.runs_as", name))
    }

    /// Who may ask `notafter act`, besides root.
    ///
    /// # Errors
    /// There is no such account here.
    pub(crate) fn may_ask(&self) -> Result<u32, String> {
        match &self.config.act.user {
            Some(name) => self.account("act.user", name),
            None => trusted::account(USER).map_err(|what| {
                self.wrong(
                    None,
                    format!("act.user: {what}\nhint: user = \"NAME\" in [act] says which account may ask"),
                )
            }),
        }
    }

    fn account(&self, key: &str, name: &Spanned<String>) -> Result<u32, String> {
        trusted::account(name.get_ref())
            .map_err(|what| self.wrong(Some(name.span().start), format!("{key}: {what}")))
    }
}

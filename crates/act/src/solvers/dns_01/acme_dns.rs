//! acme-dns: a small name server that holds nothing but challenges, updated over HTTP (github.com/joohoi/acme-dns, "API").
//!
//! `_acme-challenge.NAME` is an alias for a name there. It keeps the last two values of a name and knows no removal: what
//! was shown is pushed out by what is shown later. Accounts are made elsewhere (acme-dns-client, lego, certbot's hook); their
//! files are read here, by the name that is proved.

use std::collections::BTreeMap;
use std::path::Path;

use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::{BoxFuture, Cx};
use serde::Deserialize;
use serde_json::{Value, json};

use super::provider::{Plain, Provider, Purse, Record, Room};
use crate::http::{self, Client, HeaderName, Request};
use crate::secret::{MaybeSecret, Secret, Wiped};

pub(super) const URL: Plain = Plain::text("url", &["ACME_DNS_API_BASE"]).optional();
pub(super) const STORAGE: Plain = Plain::text("storage", &["ACME_DNS_STORAGE_PATH"]).optional();
const USERNAME: Plain = Plain::secret("username", &[]).optional();
const PASSWORD: Plain = Plain::secret("password", &[]).optional();
const SUBDOMAIN: Plain = Plain::text("subdomain", &[]).optional();
pub(super) const FIELDS: &[Plain] = &[URL, STORAGE, USERNAME, PASSWORD, SUBDOMAIN];

/// An account there.
struct Account {
    url: String,
    username: Wiped,
    password: Wiped,
    subdomain: String,
    /// Where its records are, where that is known.
    full: Option<String>,
}

/// One of the accounts in a file, as goacmedns, acme-dns-client and certbot's hook write it.
#[derive(Deserialize)]
struct Kept {
    username: MaybeSecret,
    password: MaybeSecret,
    subdomain: String,
    fulldomain: Option<String>,
    server_url: Option<String>,
}

/// A server, and accounts there.
pub(super) struct AcmeDns {
    purse: std::sync::Arc<Purse>,
    client: Client,
}

impl AcmeDns {
    /// # Errors
    /// A sentence for the person who wrote the settings.
    pub(super) fn open(purse: std::sync::Arc<Purse>, client: Client) -> Result<Self, String> {
        let this = Self { purse, client };
        if let Some(url) = this.purse.read(&URL)? {
            http::address("url", &url)?;
        }
        if this.purse.read(&STORAGE)?.is_some() {
            this.kept()?;
        } else {
            this.own()?;
        }
        Ok(this)
    }

    /// The accounts of the file.
    fn kept(&self) -> Result<BTreeMap<String, Kept>, String> {
        let path = self.purse.read(&STORAGE)?.unwrap_or_default();
        if !Path::new(path.as_str()).is_absolute() {
            return Err(format!(
                "`storage`: {} is no full path\nhint: storage = \"/etc/acmedns/clientstorage.json\"",
                path.escape_debug()
            ));
        }
        let text = Secret::file(path.as_str()).read().map_err(|e| format!("`storage`: {e}"))?;
        // What serde says would repeat a password that stands where something else belongs.
        serde_json::from_str(&text).map_err(|e| {
            format!(
                "`storage`: {} is no list of acme-dns accounts (line {})\n\
                 hint: {{ \"example.com\": {{ \"username\": ..., \"password\": ..., \"subdomain\": ..., \"fulldomain\": ... }} }}",
                path.as_str(),
                e.line()
            )
        })
    }

    /// The account in the table.
    fn own(&self) -> Result<(Wiped, Wiped, String), String> {
        let need = |field: &Plain| {
            self.purse.read(field)?.ok_or_else(|| {
                format!(
                    "the setting `{}` is missing\nhint: `storage` with a file of accounts, or `url`, `username`, `password` and `subdomain` of one",
                    field.setting
                )
            })
        };
        need(&URL)?;
        Ok((need(&USERNAME)?, need(&PASSWORD)?, need(&SUBDOMAIN)?.to_string()))
    }

    fn account(&self, record: &Record) -> Result<Account, String> {
        let url = self.purse.read(&URL)?.map(|url| url.to_string());
        if self.purse.read(&STORAGE)?.is_none() {
            let (username, password, subdomain) = self.own()?;
            return Ok(Account { url: url.unwrap_or_default(), username, password, subdomain, full: None });
        }
        let mut all = self.kept()?;
        let Some(found) = all.remove(&record.domain) else {
            let known: Vec<&str> = all.keys().map(String::as_str).take(5).collect();
            return Err(format!(
                "`storage` has no account for {}, only for {}\nhint: register it: acme-dns-client register -d {}",
                record.domain,
                known.join(", "),
                record.domain
            ));
        };
        let url = url
            .or(found.server_url)
            .ok_or("the setting `url` is missing\nhint: url = \"https://auth.example.com\"")?;
        let full = found.fulldomain.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let (username, password) = (found.username.read()?, found.password.read()?);
        Ok(Account { url, username, password, subdomain: found.subdomain, full })
    }

    async fn update(&self, cx: &Cx, record: &Record) -> Result<(), Fault> {
        let account = self.account(record).map_err(split)?;
        let mut url = http::address("url", &account.url).map_err(split)?;
        url.path_segments_mut()
            .map_err(|()| Fault::new(FaultKind::NotFound, "`url` is no address of a server"))?
            .pop_if_empty()
            .push("update");
        let body = json!({ "subdomain": account.subdomain, "txt": record.value });
        let mut request = Request::json(url, &body);
        request.secret_header(HeaderName::from_static("x-api-user"), "", &account.username)?;
        request.secret_header(HeaderName::from_static("x-api-key"), "", &account.password)?;
        let answer = self.client.send(&request, cx.clock.now()).await?;
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if said["txt"] == record.value.as_str() {
            return Ok(());
        }
        Err(Fault::new(
            FaultKind::Unreachable,
            format!("{} did not say that it shows the value", http::place(&request.url)),
        )
        .hint("is it acme-dns that answers there?"))
    }
}

/// A sentence with a hint, as a fault.
fn split(said: String) -> Fault {
    match said.split_once("\nhint: ") {
        Some((context, hint)) => Fault::new(FaultKind::NotFound, context).hint(hint),
        None => Fault::new(FaultKind::NotFound, said),
    }
}

impl Provider for AcmeDns {
    fn called(&self) -> String {
        "acme-dns".to_owned()
    }

    fn room(&self) -> Room {
        Room::LastTwo
    }

    fn needs_zone(&self) -> bool {
        false
    }

    fn objects(&self, record: &Record) -> Option<Fault> {
        let full = match self.account(record) {
            Ok(account) => account.full?,
            Err(said) => return Some(split(said)),
        };
        let wanted = format!("_acme-challenge.{}", record.domain);
        (full != record.place).then(|| {
            Fault::new(
                FaultKind::NotFound,
                format!("{wanted} leads to {}, and the account at acme-dns is for {full}", record.place),
            )
            .hint(format!("make it an alias: {wanted}. CNAME {full}."))
        })
    }

    fn add<'a>(&'a self, cx: &'a Cx, record: &'a Record) -> BoxFuture<'a, Result<Value, Fault>> {
        Box::pin(async move { self.update(cx, record).await.map(|()| Value::Null) })
    }

    fn remove<'a>(&'a self, _: &'a Cx, _: &'a Record, _: &'a Value) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }
}

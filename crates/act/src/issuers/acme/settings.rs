//! The table of an ACME issuer, and what it means.

use std::path::PathBuf;

use notafter_core::issuance::{KeyType, Profile};
use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::jws::unb64;
use super::wire::Reach;
use crate::http::address;
use crate::secret::{MaybeSecret, Secret};
use crate::settings::{self, Span};
use crate::solvers::{Resolver, server_at};

/// `kind = "acme"`
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The address of the CA's directory, such as `https://acme-v02.api.letsencrypt.org/directory`.
    pub(crate) directory: String,
    /// Whom the CA may write to: a mail address, or a list of them.
    pub(crate) contact: Option<OneOrMore>,
    /// Whether the terms of service of the CA are agreed to when the account is made. Default `true`: to name a CA here
    /// is to accept its terms. With `false` no account is made, and the error says where the terms are.
    pub(crate) agree_tos: Option<bool>,
    /// A PEM file with the CA's own HTTPS root, where it is a private one.
    pub(crate) ca_file: Option<PathBuf>,
    /// An HTTP proxy to go through. Without it none is used, whatever the environment says.
    pub(crate) proxy: Option<MaybeSecret>,
    /// The resolver that rehearsals ask for CAA records. Default: the system's.
    pub(crate) resolver: Option<String>,
    /// How long one exchange with the CA may take. Default `30s`.
    pub(crate) timeout: Option<Span>,
    /// The profile of certificates: its name (used where the CA offers it), or `{ name = "...", required = true }`.
    pub(crate) profile: Option<WantedProfile>,
    /// What the CA gave you to bind the account to yours there: `{ kid = "...", hmac = { file = "..." } }`.
    pub(crate) eab: Option<Eab>,
    /// The common name of the root that chains shall lead to, where the CA offers several.
    pub(crate) preferred_chain: Option<String>,
    /// An account key of another client to go on with: a PEM file, certbot's `private_key.json`, or a folder with one.
    /// It is read until an account is kept, and not again.
    pub(crate) account_key: Option<PathBuf>,
    /// The kind of key a new account gets: `ecdsa-p256` (the default), `ecdsa-p384`, `ed25519`, `rsa-2048` ...
    #[schemars(with = "Option<String>")]
    pub(crate) account_key_type: Option<KeyType>,
    /// The CA that rehearsals order from: the address of its directory, or `{ directory = "...", ca_file = "..." }`.
    pub(crate) staging: Option<Staging>,
}

/// One text or several.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a mail address, or a list of them")]
pub(crate) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// A profile that is wanted.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "the name of a profile, or { name = \"...\", required = true }")]
pub(crate) enum WantedProfile {
    Preferred(String),
    Said(SaidProfile),
}

/// A profile, and whether anything else will do.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaidProfile {
    /// Its name in the CA's directory.
    name: String,
    /// Rather no certificate than one of another profile.
    #[serde(default)]
    required: bool,
}

/// External account binding (RFC 8555 section 7.3.4).
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Eab {
    /// The key identifier.
    pub(crate) kid: String,
    /// The key, base64url as the CA shows it.
    pub(crate) hmac: Secret,
}

/// Another CA for rehearsals.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "the address of a directory, or { directory = \"...\", ca_file = \"...\" }")]
pub(crate) enum Staging {
    Directory(String),
    Said(SaidStaging),
}

/// Another CA for rehearsals, with what differs there.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaidStaging {
    /// The address of its directory.
    directory: String,
    /// A PEM file with its own HTTPS root.
    #[serde(default)]
    ca_file: Option<PathBuf>,
    /// Its external account binding.
    #[serde(default)]
    eab: Option<Eab>,
}

/// The JSON schema.
pub(crate) fn schema() -> Value {
    settings::schema::<Settings>()
}

/// Reads and checks a table.
pub(crate) fn read(table: Value) -> Result<Settings, String> {
    let read: Settings = settings::read(table, &schema())?;
    read.url()?;
    read.contacts()?;
    read.resolver()?;
    if let Some(eab) = &read.eab {
        eab.key()?;
    }
    if let Some(staging) = read.staging() {
        staging.url().map_err(|error| error.replacen("directory", "staging", 1))?;
    }
    Ok(read)
}

impl Settings {
    /// The directory.
    pub(crate) fn url(&self) -> Result<Url, String> {
        let url = address("directory", &self.directory)?;
        if url.scheme() != "https" {
            return Err("`directory` begins with http://, and ACME is spoken over https alone (RFC 8555 section 6.1)\n\
                        hint: begin it with https://; for a private CA set `ca_file`"
                .to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("`directory` has a user name in it, and ACME has none\nhint: see `eab`".to_owned());
        }
        Ok(url)
    }

    /// Whom to ask for CAA records.
    pub(crate) fn resolver(&self) -> Result<Resolver, String> {
        let set = self.resolver.as_deref().map(|text| server_at("resolver", text)).transpose()?;
        Ok(Resolver::new(set))
    }

    /// The contacts as URLs (RFC 8555 section 7.3).
    pub(crate) fn contacts(&self) -> Result<Vec<String>, String> {
        let all = match &self.contact {
            None => return Ok(Vec::new()),
            Some(OneOrMore::One(one)) => std::slice::from_ref(one),
            Some(OneOrMore::More(all)) => all,
        };
        let read = |text: &String| {
            let text = text.trim();
            let mail = text.strip_prefix("mailto:").unwrap_or(text);
            let plain = mail.split_once('@').is_some_and(|(a, b)| !a.is_empty() && b.contains('.'))
                && !mail.contains(|c: char| c.is_whitespace() || c.is_control() || ",?<>".contains(c));
            if plain {
                return Ok(format!("mailto:{mail}"));
            }
            Err(format!(
                "`contact`: `{}` is no mail address\nhint: contact = \"certs@example.com\"",
                text.escape_debug()
            ))
        };
        all.iter().map(read).collect()
    }

    /// How the CA is reached.
    pub(crate) fn reach(&self) -> Reach {
        Reach {
            ca_file: self.ca_file.clone(),
            proxy: self.proxy.clone(),
            timeout: self.timeout.unwrap_or(Span::seconds(30)).0,
        }
    }

    /// The profile that orders get which name none.
    pub(crate) fn profile(&self) -> Option<Profile> {
        match self.profile.as_ref()? {
            WantedProfile::Preferred(name) => Some(Profile { name: name.clone(), required: false }),
            WantedProfile::Said(said) => Some(Profile { name: said.name.clone(), required: said.required }),
        }
    }

    /// The same issuer for rehearsals. A root that is preferred is not there, so the wish is left out; an account key of
    /// the real CA is not shown to another one.
    pub(crate) fn staging(&self) -> Option<Self> {
        let (directory, ca_file, eab) = match self.staging.as_ref()? {
            Staging::Directory(directory) => (directory.clone(), None, None),
            Staging::Said(said) => (said.directory.clone(), said.ca_file.clone(), said.eab.clone()),
        };
        let profile = self.profile().map(|profile| WantedProfile::Preferred(profile.name));
        Some(Self {
            directory,
            eab,
            profile,
            ca_file: ca_file.or_else(|| self.ca_file.clone()),
            preferred_chain: None,
            account_key: None,
            staging: None,
            ..self.clone()
        })
    }
}

impl Eab {
    /// The key.
    pub(crate) fn key(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        let text = self.hmac.read().map_err(|error| format!("`eab.hmac`: {error}"))?;
        let bytes = unb64(text.trim()).filter(|bytes| !bytes.is_empty()).map(Zeroizing::new);
        bytes.ok_or_else(|| {
            "`eab.hmac` holds no base64url key\nhint: copy it as the CA shows it, in one line of letters, digits, - and _"
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(more: Value, sign: &str) {
        let mut table = json!({ "directory": "https://ca.example/dir" });
        table.as_object_mut().expect("a table").extend(more.as_object().cloned().expect("a table"));
        match read(table) {
            Ok(_) => assert_eq!(sign, ""),
            Err(error) => assert!(!sign.is_empty() && error.contains(sign), "{error}"),
        }
    }

    #[test]
    fn tables() {
        check(json!({}), "");
        check(json!({ "directroy": 1 }), "did you mean `directory`?");
        check(json!({ "directory": "http://ca.example/dir" }), "https alone");
        check(json!({ "directory": "https://me:pw@ca.example/dir" }), "has a user name");
        check(json!({ "contact": "mailto:a@b.example" }), "");
        check(json!({ "contact": ["a@b.example", "nobody"] }), "`nobody` is no mail address");
        check(json!({ "contact": "a@b.example,c@d.example" }), "is no mail address");
        check(json!({ "profile": "tlsserver" }), "");
        check(json!({ "profile": { "name": "tlsserver", "required": true } }), "");
        check(json!({ "eab": { "kid": "1", "hmac": "c2VjcmV0" } }), "hint: write { env");
        check(json!({ "eab": { "kid": "1", "hmac": { "env": "PATH" } } }), "no base64url key");
        check(json!({ "account_key_type": "rsa-1024" }), "rsa-1024");
        check(json!({ "staging": "http://x.example" }), "`staging` begins with http");
        check(json!({ "profile": 5 }), "`profile`: the name of a profile, or { name");
        check(json!({ "timeout": "5" }), "is no length of time");
    }

    #[test]
    fn staging_shows_nothing_of_the_real_account() {
        let table = json!({
            "directory": "https://ca.example/dir", "account_key": "/x", "preferred_chain": "Root",
            "profile": { "name": "p", "required": true }, "staging": "https://staging.example/dir"
        });
        let staging = read(table).expect("a table").staging().expect("one");
        assert_eq!(staging.directory, "https://staging.example/dir");
        assert!(staging.account_key.is_none() && staging.preferred_chain.is_none() && staging.eab.is_none());
        assert_eq!(staging.profile(), Some(Profile { name: "p".into(), required: false }));
    }
}

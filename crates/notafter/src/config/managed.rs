//! `[[issuer]]`, `[[certificate]]` and its targets, `[[window]]`, `[keys]`: what is kept alive, by whom, and where it goes.
//!
//! The tables as written, and what they become for `engine/renew.rs`. Providers check their own settings; here only
//! names are resolved and what belongs together is put together. Nothing is contacted.

use std::path::Path;
use std::sync::Arc;

use notafter_act::secret::Secret;
use notafter_core::issuance::{Identifier, KeyType};
use notafter_core::query::nearest;
use notafter_core::renew::NextWindow;
use notafter_store::seal::Master;
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::windows::{Cron, zone};

/// `[[issuer]]`
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct IssuerTable {
    /// What certificates call it in `issuer`.
    #[schemars(with = "String")]
    pub(crate) name: Spanned<String>,
    /// acme, or another issuer of the reference.
    pub(crate) kind: String,
    /// The settings of the kind.
    #[serde(flatten)]
    #[schemars(skip)]
    pub(crate) rest: toml::Table,
}

/// One or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum OneOrMore {
    /// One.
    One(String),
    /// Several, in order.
    More(Vec<String>),
}

impl OneOrMore {
    pub(crate) fn list(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

/// `[[certificate]]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateTable {
    /// What it is called, here and in commands.
    #[schemars(with = "String")]
    pub(crate) name: Spanned<String>,
    /// What it is for: DNS names and addresses.
    pub(crate) names: Vec<String>,
    /// Who issues it: the name of an [[issuer]], or several, the first that can.
    pub(crate) issuer: OneOrMore,
    /// ecdsa-p256, ecdsa-p384, ed25519, rsa-2048, rsa-3072 or rsa-4096 [default: ecdsa-p256].
    pub(crate) key: Option<String>,
    /// How control of the names is proved: kind and its settings.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub(crate) solver: Option<toml::Table>,
    /// The CA's profile; with `profile_required` rather no certificate than one without.
    pub(crate) profile: Option<String>,
    /// See `profile`.
    #[serde(default)]
    pub(crate) profile_required: bool,
    /// The common name of the root the chain shall end at, where the CA offers several.
    pub(crate) preferred_chain: Option<String>,
    /// How long it shall live, where the issuer lets us choose.
    pub(crate) lifetime: Option<String>,
    /// How long a server may take to show the new one [default: 1m, and 30d where a person installs].
    pub(crate) grace: Option<String>,
    /// Revoke the one before, once it was seen nowhere any more.
    #[serde(default)]
    pub(crate) revoke_old: bool,
    /// How often it is rehearsed, or "never" [default: 7d].
    pub(crate) rehearse: Option<String>,
    /// Where it goes.
    #[serde(default)]
    pub(crate) target: Vec<TargetTable>,
}

/// `[[certificate.target]]`
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct TargetTable {
    /// What it is called [default: its kind and number].
    pub(crate) name: Option<String>,
    /// files, or another deployer of the reference.
    #[schemars(with = "String")]
    pub(crate) kind: Spanned<String>,
    /// Lower ones first; the next only when all of this one were seen in use [default: 0].
    #[serde(default)]
    pub(crate) wave: u32,
    /// Where it has to be seen in use, besides the files that are written.
    #[serde(default)]
    pub(crate) prove: Vec<String>,
    /// How long its places may take to show the new one [default: the certificate's].
    pub(crate) grace: Option<String>,
    /// Places that need not show it, and why.
    #[serde(default)]
    pub(crate) excuse: std::collections::BTreeMap<String, String>,
    /// The settings of the kind.
    #[serde(flatten)]
    #[schemars(skip)]
    pub(crate) rest: toml::Table,
}

impl TargetTable {
    /// What it is called: its name, else its kind and number.
    pub(crate) fn label(&self, nth: usize) -> String {
        self.name.clone().unwrap_or_else(|| format!("{} {}", self.kind.get_ref(), nth + 1))
    }
}

/// `[[window]]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowTable {
    /// For which: name:*.example.com, in the words of the search language. None: for all.
    #[serde(default, rename = "match")]
    pub(crate) matches: Vec<String>,
    /// When it begins, as in crontab: "0 2 * * 2" is Tuesday at 02:00.
    #[schemars(with = "String")]
    pub(crate) cron: Spanned<String>,
    /// How long it is open: 2h.
    pub(crate) duration: String,
    /// The time zone of `cron` [default: UTC].
    pub(crate) timezone: Option<String>,
}

impl WindowTable {
    /// What it says, without where it stands.
    pub(crate) fn plain(&self) -> (&[String], &str, &str, Option<&str>) {
        (&self.matches, self.cron.get_ref(), &self.duration, self.timezone.as_deref())
    }
}

/// `[keys]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeysTable {
    /// The key that seals what is secret, 64 hexadecimal digits: { file = "..." } or { env = "..." } [default: master.key in
    /// the data folder, made at the first need].
    #[schemars(with = "Option<serde_json::Value>")]
    pub(crate) master: Option<Secret>,
}

impl KeysTable {
    /// The master key.
    ///
    /// # Errors
    /// It cannot be read or made.
    pub(crate) fn master(&self, data: &Path) -> Result<Master, String> {
        match &self.master {
            Some(secret) => Master::from_text(&secret.read()?),
            None => Master::in_file(&data.join("master.key")),
        }
    }
}

impl CertificateTable {
    /// What it is for.
    ///
    /// # Errors
    /// A name that is none.
    pub(crate) fn identifiers(&self) -> Result<Vec<Identifier>, String> {
        if self.names.is_empty() {
            return Err("it has no names\nhint: names = [\"api.example.com\"]".into());
        }
        let mut out: Vec<Identifier> = Vec::new();
        for name in &self.names {
            let read = identifier(name)?;
            if !out.contains(&read) {
                out.push(read);
            }
        }
        Ok(out)
    }

    /// Its key.
    ///
    /// # Errors
    /// No such type.
    pub(crate) fn key_type(&self) -> Result<KeyType, String> {
        let Some(text) = &self.key else { return Ok(KeyType::default()) };
        KeyType::parse(text).ok_or_else(|| {
            let known = KeyType::ALL.iter().map(|(name, _)| *name);
            let hint = match nearest(text, known.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write one of {}", known.collect::<Vec<_>>().join(", ")),
            };
            format!("key = \"{}\" is no type of key\nhint: {hint}", text.escape_debug())
        })
    }
}

/// One name as it is written, in any script; in its ASCII form from here on (UTS 46).
///
/// # Errors
/// It is none.
pub(crate) fn identifier(name: &str) -> Result<Identifier, String> {
    let shown = name.escape_default();
    let ascii = if name.is_ascii() && !name.to_ascii_lowercase().contains("xn--") {
        name.to_owned()
    } else {
        let (star, base) = name.strip_prefix("*.").map_or(("", name), |base| ("*.", base));
        let ascii = idna::domain_to_ascii(base).map_err(|_| {
            format!("`{shown}` is no internationalised name (IDNA)\nhint: check its spelling, or write it in its ASCII form (xn--...)")
        })?;
        format!("{star}{ascii}")
    };
    Identifier::parse(&ascii).ok_or_else(|| {
        format!("`{shown}` is no name a certificate can have\nhint: a DNS name of two labels or more, or an address")
    })
}

impl WindowTable {
    /// Its windows.
    ///
    /// # Errors
    /// The line of cron, the duration or the time zone.
    pub(crate) fn windows(&self) -> Result<Arc<NextWindow>, String> {
        let cron = Cron::parse(self.cron.get_ref())?;
        let duration = notafter_core::query::span(&self.duration).filter(|d| *d > 0).ok_or_else(|| {
            format!("duration = \"{}\" is no length of time\nhint: write 2h", self.duration.escape_debug())
        })?;
        let zone = zone(self.timezone.as_deref())?;
        Ok(Arc::new(move |at| cron.next(&zone, duration, at)))
    }
}

/// A table of a provider as JSON, without what is ours.
pub(crate) fn settings(rest: &toml::Table) -> Result<serde_json::Value, String> {
    serde_json::to_value(rest).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_script_become_ascii() {
        for (name, ascii) in [
            ("b\u{fc}cher.example", "xn--bcher-kva.example"),
            ("*.B\u{dc}CHER.example", "*.xn--bcher-kva.example"),
            // Composed or not, and with the full stop of another script.
            ("bu\u{308}cher\u{3002}example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("fa\u{df}.example", "xn--fa-hia.example"),
            ("API.example.com.", "api.example.com"),
            ("[::1]", "::1"),
        ] {
            assert_eq!(identifier(name).map(|read| read.to_string()).as_deref(), Ok(ascii), "{name}");
        }
        for (name, sign) in [
            ("a\u{200b}\u{202e}.example", "IDNA"),
            ("xn--zzzzzz99999.example", "IDNA"),
            ("\u{fc}.*.example", "no name a certificate can have"),
            ("b\u{fc}cher", "no name a certificate can have"),
            ("a b.example", "no name a certificate can have"),
        ] {
            let said = identifier(name).expect_err(name);
            assert!(said.contains(sign) && said.contains("\nhint: ") && said.is_ascii(), "{name}: {said}");
        }
    }
}

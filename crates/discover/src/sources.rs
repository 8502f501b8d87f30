//! The list of sources that are named by a word: `domain:example.com`, `kind = "domain"`.
//!
//! One file a source, one line in [`SOURCES`]. From the list come the words of the command line, the kinds of
//! `[[source]]`, the usual rhythm and what `doctor` says of who is asked outside. Servers and files, which are
//! named by what they are and not by a word, stand in `network.rs` and `files.rs`.

use std::sync::Arc;

use notafter_core::joints::Source;
use zeroize::Zeroizing;

use crate::domain::Registries;
use crate::network::Settings;
use crate::target::{NetworkTarget, NoTarget};

/// A kind of source.
pub struct SourceKind {
    /// What `kind = "..."` of a `[[source]]` calls it.
    pub name: &'static str,
    /// What stands before the colon of a target: `domain` of `domain:example.com`.
    pub words: &'static [&'static str],
    /// One line: what it looks at.
    pub doc: &'static str,
    /// How often, in seconds, unless the configuration says otherwise.
    pub every: i64,
    /// Who is told of what, where it asks others than the servers it is pointed at: `doctor` lists it.
    pub outside: Option<&'static str>,
    /// The keys of its `[[source]]`, beside `name`, `kind` and `every`.
    pub keys: &'static [&'static str],
    /// Builds one. Opens and asks nothing.
    pub build: fn(Order<'_>) -> Result<Box<dyn Source>, NoTarget>,
}

/// What is to be built.
pub struct Order<'a> {
    /// The whole words of the command line, `domain:example.com` with their word. Where there are any, they come
    /// instead of the targets that the settings name.
    pub targets: &'a [String],
    /// The keys of a `[[source]]` table as JSON; an empty object where there is none.
    pub settings: &'a serde_json::Value,
    /// What holds for every source.
    pub given: &'a Given,
}

impl Order<'_> {
    /// A list of texts in the table; empty where the table has none of this name.
    pub(crate) fn texts(&self, key: &str) -> Result<Vec<String>, NoTarget> {
        let wrong = || NoTarget {
            message: format!("`{key}` is no list of texts"),
            hint: format!("write {key} = [\"...\"]"),
        };
        let Some(value) = self.settings.get(key) else { return Ok(Vec::new()) };
        let all = value.as_array().ok_or_else(wrong)?;
        all.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
    }
}

/// What holds for every source.
#[derive(Clone)]
pub struct Given {
    /// How servers are asked: resolver, exclusions, ports, time limits.
    pub network: Settings,
    /// Passwords to try.
    pub passwords: Arc<[String]>,
    /// DER of the roots by which servers that we ask ourselves (RDAP, logs, metadata) are checked.
    pub roots: Arc<[Arc<[u8]>]>,
    /// The servers that are looked at in the same run: what leads to one of them is looked at on its ports, too.
    pub beside: Arc<[NetworkTarget]>,
    /// Whom the configuration's sources of registrations ask: about zones that are met, too. Empty: nobody is asked.
    pub registries: Arc<Registries>,
    /// Makes of a reference to a secret in a table (`{ file = "..." }`) what reads it.
    pub secret: fn(&serde_json::Value) -> Result<Reveal, String>,
    /// The key with which zones are asked for, where their table names none: the text of a file as `tsig-keygen` writes it.
    pub tsig: Option<Reveal>,
}

/// Reads a secret where it lies now, or says in a sentence why it cannot be read.
pub type Reveal = Arc<dyn Fn() -> Result<Zeroizing<String>, String> + Send + Sync>;

/// For those who have no secrets: whoever refers to one is told so.
pub fn no_secrets(_: &serde_json::Value) -> Result<Reveal, String> {
    Err("no secrets are read here".to_owned())
}

/// Every kind, in the order of the reference page.
pub const SOURCES: &[SourceKind] = &[
    crate::ct::KIND,
    crate::domain::KIND,
    crate::saml::SAML,
    crate::oidc::OIDC,
    crate::dnssec::KIND,
    crate::zone::KIND,
    crate::promsd::KIND,
];

/// The kind of this name.
pub fn named(name: &str) -> Option<&'static SourceKind> {
    SOURCES.iter().find(|kind| kind.name == name)
}

/// The kind whose word stands before the colon.
pub fn of_word(word: &str) -> Option<&'static SourceKind> {
    SOURCES.iter().find(|kind| kind.words.contains(&word))
}

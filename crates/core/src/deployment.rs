//! What is put into use somewhere, and what was there before.
//!
//! Values between the engine and a `Deployer` behind `joints.rs`. A deployment that ended well says only that something
//! was written and reloaded; whether it is in use is `core::proof`'s question.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::issuance::{Identifier, KeyType};
use crate::{Fingerprint, UnixTime};

/// A key and the certificates that belong to it, on its way to a target. Not serialisable, and not printable beyond its
/// names: the key is in it.
pub struct Bundle {
    /// What the configuration calls it.
    pub name: String,
    /// Counts the certificates that were issued under this name, from 1: names folders, and is never used again.
    pub generation: u64,
    /// DER, the leaf first, without a root.
    pub chain: Vec<Vec<u8>>,
    /// The private key (PKCS#8, RFC 5958; DER). Overwritten when dropped by whoever made it.
    pub key: Key,
}

impl Bundle {
    /// The leaf's fingerprint.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.chain.first().map(|leaf| Fingerprint::of(leaf))
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bundle({} {}, {} certificates)", self.name, self.generation, self.chain.len())
    }
}

/// A private key that no log prints. Overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// From PKCS#8 DER.
    pub fn new(pkcs8: Vec<u8>) -> Self {
        Self(pkcs8)
    }

    /// The PKCS#8 DER. Whoever copies it answers for the copy.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // Not to be optimised away: the value is looked at after it was written.
        self.0.fill(0);
        std::hint::black_box(&self.0);
    }
}

/// What one deployment replaced, enough to put it back: the deployer's own words, and nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The generation that was installed.
    pub generation: u64,
    /// The leaf that was there before, where one could be read: nothing is rolled back to one that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// What the deployer needs to undo it.
    pub undo: Value,
}

/// The certificate that was in use before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// `sha256:...`
    pub fingerprint: String,
    /// Its notAfter.
    pub not_after: i64,
}

impl Before {
    /// May it be put back at this time? Never to one that has ended, or ends within the hour.
    pub fn is_usable(&self, now: UnixTime) -> bool {
        self.not_after > now.0 + 3_600
    }
}

/// What a target is tried with in a rehearsal: a pair like the one that it would be given, which nothing ever uses.
#[derive(Clone, Copy)]
pub struct Trial<'a> {
    /// What the configuration calls the certificate.
    pub name: &'a str,
    /// What it is for.
    pub names: &'a [Identifier],
    /// Its key.
    pub kind: KeyType,
    /// A key of that kind. `None`: one is made.
    pub key: Option<&'a Key>,
    /// What a staging CA issued for that key, DER, the leaf first. Empty: a certificate is made.
    pub chain: &'a [Vec<u8>],
}

/// One question of a rehearsal, and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at: `port 80`, `write to /etc/nginx`, `CAA of example.com`.
    pub what: String,
    /// Would it work today?
    pub works: bool,
    /// What was seen.
    pub because: String,
    /// What to do, where it would not; or where it would, and something beside it is amiss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Check {
    /// It would.
    pub fn works(what: impl Into<String>, because: impl Into<String>) -> Self {
        Self { what: what.into(), works: true, because: because.into(), hint: None }
    }

    /// It would, but somebody should look.
    pub fn doubts(what: impl Into<String>, because: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { works: true, ..Self::fails(what, because, hint) }
    }

    /// It would not.
    pub fn fails(what: impl Into<String>, because: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), works: false, because: because.into(), hint: Some(hint.into()) }
    }
}

//! What is asked of an issuer, and how far it has come.
//!
//! Values between the engine, which keeps them, and an `Issuer` or `Solver` behind `joints.rs`, which alone knows what
//! a ticket means. Private keys are not among them: an issuer sees a request that was signed (PKCS#10), never a key.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::UnixTime;

/// What a certificate shall be for: an identifier of RFC 8555 (`dns`, section 9.7.7) or RFC 8738 (`ip`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Identifier {
    /// A DNS name in its ASCII form, lower case, without a dot at the end; `*.` in front makes it a wildcard.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl Identifier {
    /// Reads one as a user writes it: an address, else a DNS name. `None`: neither.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(ip) = text.trim_matches(['[', ']']).parse() {
            return Some(Self::Ip(ip));
        }
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        let base = name.strip_prefix("*.").unwrap_or(&name);
        let label = |l: &str| {
            (1..=63).contains(&l.len())
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !l.starts_with('-')
                && !l.ends_with('-')
        };
        (name.len() <= 253 && base.contains('.') && base.split('.').all(label)).then_some(Self::Dns(name))
    }

    /// Is it a wildcard (RFC 8555 section 7.1.3)?
    pub fn is_wildcard(&self) -> bool {
        matches!(self, Self::Dns(name) if name.starts_with("*."))
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// The key of a certificate that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum KeyType {
    #[default]
    EcdsaP256,
    EcdsaP384,
    Ed25519,
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    #[serde(rename = "rsa-4096")]
    Rsa4096,
}

impl KeyType {
    /// All of them, as the configuration names them.
    pub const ALL: &[(&str, Self)] = &[
        ("ecdsa-p256", Self::EcdsaP256),
        ("ecdsa-p384", Self::EcdsaP384),
        ("ed25519", Self::Ed25519),
        ("rsa-2048", Self::Rsa2048),
        ("rsa-3072", Self::Rsa3072),
        ("rsa-4096", Self::Rsa4096),
    ];

    /// Reads its name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, key)| *key)
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, key)| key == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// The profile of a CA that a certificate shall have (draft-ietf-acme-profiles).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// As the CA's directory names it.
    pub name: String,
    /// Rather none than without it.
    pub required: bool,
}

/// What is asked of an issuer. It does not change once it was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// For what.
    pub names: Vec<Identifier>,
    /// The request, signed with the new key (PKCS#10, RFC 2986; DER).
    #[serde(with = "hexed")]
    pub csr: Vec<u8>,
    /// Which profile, where the issuer has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// The certificate that this one takes the place of (DER): ACME names it as `replaces` (RFC 9773 section 5).
    #[serde(default, with = "hexed_option", skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Vec<u8>>,
    /// The common name of the root that the chain shall end at, where there is a choice (RFC 8555 section 7.4.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_chain: Option<String>,
    /// How long it shall live, in seconds, where the issuer lets us choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_s: Option<i64>,
}

/// Where an issuer stands with a request: what it needs to go on after a restart, and nothing secret. Only the issuer
/// that made it can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket(pub Value);

/// How far a request has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A step was made. The ticket has to be kept before the next one: that is what makes a crash harmless.
    Stepped(Ticket),
    /// There is nothing to do before `until`.
    Waits {
        /// As it stands.
        ticket: Ticket,
        /// When to ask again.
        until: UnixTime,
        /// For what, in a few words.
        what: String,
    },
    /// Here it is.
    Issued(Issued),
}

/// What an issuer handed out. Not yet looked at: see `core::review`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// DER, the leaf first.
    #[serde(with = "hexed_list")]
    pub chain: Vec<Vec<u8>>,
    /// Where the issuer names it: its own name for the order or certificate, for a person who has to ask there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// The window in which a CA wants a certificate replaced (RFC 9773 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggested {
    /// Its beginning.
    pub start: i64,
    /// Its end.
    pub end: i64,
    /// A page that says why, where the CA names one.
    pub explanation: Option<String>,
    /// When to ask again.
    pub ask_again: i64,
}

/// Why a certificate is revoked (RFC 5280 section 5.3.1); those that a subscriber may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum RevocationReason {
    Unspecified,
    KeyCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
}

impl RevocationReason {
    /// All of them, by the word of the command line and the CRLReason.
    pub const ALL: &[(&str, Self, u8)] = &[
        ("unspecified", Self::Unspecified, 0),
        ("key-compromise", Self::KeyCompromise, 1),
        ("affiliation-changed", Self::AffiliationChanged, 3),
        ("superseded", Self::Superseded, 4),
        ("cessation-of-operation", Self::CessationOfOperation, 5),
    ];

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(word, ..)| *word == text).map(|(_, reason, _)| *reason)
    }

    /// The CRLReason.
    pub fn code(self) -> u8 {
        Self::ALL.iter().find(|(_, reason, _)| *reason == self).map_or(0, |(.., code)| *code)
    }
}

/// A way to prove control of an identifier (RFC 8555 section 8, RFC 8737).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum ChallengeType {
    #[serde(rename = "http-01")]
    Http01,
    #[serde(rename = "dns-01")]
    Dns01,
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

impl ChallengeType {
    /// Its name in ACME.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

/// What has to be shown for one identifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// For what. A wildcard's is that of the name below it (RFC 8555 section 7.1.3).
    pub identifier: Identifier,
    /// How.
    pub kind: ChallengeType,
    /// The token, checked: base64url and nothing else (RFC 8555 section 8.3; a hostile CA would write paths with it).
    pub token: String,
    /// The key authorization (RFC 8555 section 8.1).
    pub key_authorization: String,
}

/// What a solver has to know to take back what it showed. Kept, so that it is taken back after a crash too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleanup(pub Value);

/// Bytes as hexadecimal text.
mod hexed {
    use notafter_pki::fingerprint::{hex, unhex};
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        unhex(&text).ok_or_else(|| de::Error::custom("no hexadecimal text"))
    }
}

mod hexed_option {
    use notafter_pki::fingerprint::{hex, unhex};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
        bytes.as_deref().map(hex).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|t| unhex(&t).ok_or_else(|| de::Error::custom("no hexadecimal text"))).transpose()
    }
}

pub(crate) mod hexed_list {
    use notafter_pki::fingerprint::{hex, unhex};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(list: &[Vec<u8>], to: S) -> Result<S::Ok, S::Error> {
        list.iter().map(|der| hex(der)).collect::<Vec<_>>().serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Vec<u8>>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let read = |t: &String| unhex(t).ok_or_else(|| de::Error::custom("no hexadecimal text"));
        texts.iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers() {
        let dns = |t: &str| Some(Identifier::Dns(t.to_owned()));
        assert_eq!(Identifier::parse("API.Example.com."), dns("api.example.com"));
        assert_eq!(Identifier::parse("*.example.com"), dns("*.example.com"));
        assert_eq!(Identifier::parse("[::1]").map(|i| i.to_string()), Some("::1".into()));
        for wrong in
            ["", "com", "a..b", "*", "*.com", "a.*.com", "-a.b", "a b.c", "../x.y", "ä.example", "a.b/c"]
        {
            let read = Identifier::parse(wrong);
            assert!(read.is_none(), "{wrong}: {read:?}");
        }
    }

    #[test]
    fn a_request_survives_being_kept() {
        let request = Request {
            names: vec![Identifier::Dns("a.example".into()), Identifier::Ip([127, 0, 0, 1].into())],
            csr: vec![0x30, 0, 0xff],
            profile: None,
            replaces: Some(vec![1]),
            preferred_chain: None,
            lifetime_s: Some(60),
        };
        let text = serde_json::to_string(&request).expect("JSON");
        assert!(text.contains("3000ff"));
        assert_eq!(serde_json::from_str::<Request>(&text).expect("read again"), request);
        assert!(serde_json::from_str::<Request>(&text.replace("3000ff", "3000f")).is_err());
    }

    #[test]
    fn key_types() {
        for (name, key) in KeyType::ALL {
            assert_eq!((KeyType::parse(name), key.to_string()), (Some(*key), (*name).to_owned()));
            assert_eq!(serde_json::to_value(key).expect("JSON"), *name);
        }
    }
}

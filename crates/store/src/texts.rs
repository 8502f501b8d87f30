//! How the words of the vocabulary stand in rows: numbers and JSON, there and back without loss.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use notafter_core::blast::Blast;
use notafter_core::finding::{Fact, Finding, Kind, Severity};
use notafter_core::inventory::{AssetKind, Role};
use notafter_core::location::Location;
use notafter_core::observation::{
    Facts, FileFacts, Flow, LinkKind, Part, Possession, Process, Reason, Whole,
};
use notafter_core::upkeep::Upkeep;
use notafter_core::{Fingerprint, UnixTime};

use crate::db::{Result, corrupt};

const KINDS: &[AssetKind] = &[
    AssetKind::Certificate,
    AssetKind::Crl,
    AssetKind::OcspResponse,
    AssetKind::SshCertificate,
    AssetKind::OpenpgpKey,
    AssetKind::Token,
    AssetKind::Secret,
    AssetKind::SignedMetadata,
    AssetKind::CodeSignature,
    AssetKind::BareKey,
    AssetKind::Domain,
    AssetKind::Manual,
    AssetKind::Flow,
    AssetKind::DnssecSignature,
    AssetKind::CaaPolicy,
];
const ROLES: &[Role] = &[
    Role::Leaf,
    Role::Intermediate,
    Role::Root,
    Role::Client,
    Role::Signer,
    Role::TrustAnchor,
    Role::Key,
    Role::Logged,
];
const REASONS: &[Reason] = &[
    Reason::Dns,
    Reason::Refused,
    Reason::Timeout,
    Reason::NoTls,
    Reason::Handshake,
    Reason::PermissionDenied,
    Reason::WrongPassword,
    Reason::UnsupportedFormat,
    Reason::Malformed,
    Reason::TooLarge,
    Reason::SpecialFile,
    Reason::OtherFilesystem,
    Reason::Excluded,
    Reason::Budget,
    Reason::NotFound,
];
pub(crate) const SEVERITIES: &[Severity] = &[Severity::Critical, Severity::Warning, Severity::Info];

fn number_of<T: PartialEq>(list: &[T], value: &T) -> i64 {
    list.iter().position(|known| known == value).map_or(-1, |at| at as i64)
}

fn at<T: Copy>(list: &[T], number: i64, what: &str) -> Result<T> {
    let found = usize::try_from(number).ok().and_then(|n| list.get(n)).copied();
    found.ok_or_else(|| corrupt(format!("{number} is no {what}")))
}

pub(crate) fn kind_number(kind: AssetKind) -> i64 {
    number_of(KINDS, &kind)
}

pub(crate) fn kind(number: i64) -> Result<AssetKind> {
    at(KINDS, number, "kind of asset")
}

pub(crate) fn kind_of_word(word: &str) -> Option<i64> {
    KINDS.iter().position(|k| k.as_str() == word).map(|n| n as i64)
}

pub(crate) fn role_number(role: Role) -> i64 {
    number_of(ROLES, &role)
}

pub(crate) fn role(number: i64) -> Result<Role> {
    at(ROLES, number, "role")
}

pub(crate) fn role_of_word(word: &str) -> Option<i64> {
    ROLES.iter().position(|r| r.as_str() == word).map(|n| n as i64)
}

pub(crate) fn severity_number(severity: Severity) -> i64 {
    number_of(SEVERITIES, &severity)
}

pub(crate) fn severity(number: i64) -> Result<Severity> {
    at(SEVERITIES, number, "severity")
}

pub(crate) fn reason(word: &str) -> Result<Reason> {
    let found = REASONS.iter().find(|r| r.as_str() == word).copied();
    found.ok_or_else(|| corrupt(format!("`{word}` is no reason for a blind spot")))
}

pub(crate) fn link_kind(word: &str) -> Result<LinkKind> {
    let found = LinkKind::ALL.iter().find(|k| k.as_str() == word).copied();
    found.ok_or_else(|| corrupt(format!("`{word}` is no kind of link")))
}

fn whole(word: &str) -> Result<Whole> {
    let found = Whole::ALL.iter().find(|w| w.as_str() == word).copied();
    found.ok_or_else(|| corrupt(format!("`{word}` is nothing that a place can be a part of")))
}

pub(crate) fn finding_kind(word: &str) -> Result<Kind> {
    let found = Kind::ALL.iter().find(|k| k.as_str() == word).copied();
    found.ok_or_else(|| corrupt(format!("`{word}` is no kind of finding")))
}

pub(crate) fn location(text: &str) -> Result<Location> {
    Location::parse(text).ok_or_else(|| corrupt("a place in the database cannot be read"))
}

/// The 32 bytes of an identity as two columns: the first eight ordered like the bytes, and the rest.
pub(crate) fn split(id: &Fingerprint) -> (i64, &[u8]) {
    let mut eight = [0; 8];
    eight.copy_from_slice(&id.0[..8]);
    ((u64::from_be_bytes(eight) ^ (1 << 63)) as i64, &id.0[8..])
}

pub(crate) fn join(fp8: i64, fp24: &[u8]) -> Result<Fingerprint> {
    let mut id = [0; 32];
    if fp24.len() != 24 {
        return Err(corrupt("an identity in the database is not 32 bytes"));
    }
    id[..8].copy_from_slice(&((fp8 as u64) ^ (1 << 63)).to_be_bytes());
    id[8..].copy_from_slice(fp24);
    Ok(Fingerprint(id))
}

#[derive(Serialize, Deserialize)]
struct FactsJson {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    protocol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    tls: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    proved: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    client_cas: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    process: Option<(u32, String, Option<String>)>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    connected: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    hinted: bool,
    /// mode, uid, owner, mtime, reachable by others.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    file: Option<(u32, u32, Option<String>, i64, bool)>,
    /// Of what, name, use, one of many.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    part: Option<(String, String, String, bool)>,
    /// Floor, last moved, first record, last record.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    flow: Option<(u32, Option<i64>, i64, i64)>,
}

pub(crate) fn facts_json(facts: &Facts) -> String {
    let json = FactsJson {
        protocol: facts.protocol.as_ref().map(|p| p.to_string()),
        tls: facts.tls_version,
        proved: facts.possession.map(|p| p == Possession::Verified),
        client_cas: facts.client_cas.as_ref().map(|c| c.to_vec()),
        process: facts.process.as_ref().map(|p| (p.pid, p.name.clone(), p.unit.clone())),
        connected: facts.connected,
        hinted: facts.hinted,
        file: facts.file.as_ref().map(|f| (f.mode, f.uid, f.owner.clone(), f.mtime.0, f.reachable_by_others)),
        part: facts
            .part
            .as_ref()
            .map(|p| (p.of.as_str().to_owned(), p.name.clone(), p.usage.clone(), p.crowd)),
        flow: facts.flow.as_ref().map(|f| (f.floor, f.moved.map(|t| t.0), f.first.0, f.last.0)),
    };
    serde_json::to_string(&json).unwrap_or_else(|_| "{}".into())
}

pub(crate) fn facts(json: &str) -> Result<Facts> {
    let read: FactsJson = serde_json::from_str(json)
        .map_err(|e| corrupt(format!("facts in the database cannot be read: {e}")))?;
    let possession = |proved| if proved { Possession::Verified } else { Possession::Unverified };
    Ok(Facts {
        protocol: read.protocol.map(Into::into),
        tls_version: read.tls,
        cipher: None,
        possession: read.proved.map(possession),
        client_cas: read.client_cas.map(Into::into),
        process: read.process.map(|(pid, name, unit)| Arc::new(Process { pid, name, unit })),
        connected: read.connected,
        hinted: read.hinted,
        entry: false,
        file: read.file.map(|(mode, uid, owner, mtime, reachable_by_others)| {
            Arc::new(FileFacts { mode, uid, owner, mtime: UnixTime(mtime), reachable_by_others })
        }),
        part: read
            .part
            .map(|(of, name, usage, crowd)| whole(&of).map(|of| Arc::new(Part { of, name, usage, crowd })))
            .transpose()?,
        flow: read.flow.map(|(floor, moved, first, last)| {
            let (first, last) = (UnixTime(first), UnixTime(last));
            Arc::new(Flow { floor, moved: moved.map(UnixTime), first, last })
        }),
    })
}

/// What a renewer said.
pub(crate) fn renewal(json: &str) -> Result<Upkeep> {
    serde_json::from_str(json).map_err(|e| corrupt(format!("a renewal in the database cannot be read: {e}")))
}

pub(crate) fn renewal_json(renewal: &Upkeep) -> Result<String> {
    serde_json::to_string(renewal).map_err(|e| corrupt(format!("a renewal cannot be written: {e}")))
}

/// A finding as it is kept: what one subject gave, or what came of all of them.
#[derive(Serialize, Deserialize, Clone, PartialEq)]
pub(crate) struct FindingJson {
    pub(crate) kind: String,
    pub(crate) severity: Severity,
    pub(crate) asset: Option<String>,
    pub(crate) cause: String,
    pub(crate) locations: Vec<String>,
    pub(crate) deadline: Option<i64>,
    pub(crate) owner: Option<String>,
    pub(crate) summary: String,
    pub(crate) hint: String,
    pub(crate) evidence: Vec<(String, FactJson)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) blast: Option<Blast>,
}

/// One fact of the evidence.
#[derive(Serialize, Deserialize, Clone, PartialEq)]
#[serde(untagged)]
pub(crate) enum FactJson {
    Flag(bool),
    Number(i64),
    Text(String),
    List(Vec<String>),
}

impl FindingJson {
    pub(crate) fn of(finding: &Finding) -> Self {
        let fact = |fact: &Fact| match fact {
            Fact::Text(v) => FactJson::Text(v.clone()),
            Fact::Number(v) => FactJson::Number(*v),
            Fact::Flag(v) => FactJson::Flag(*v),
            Fact::List(v) => FactJson::List(v.clone()),
        };
        Self {
            kind: finding.kind.as_str().to_owned(),
            severity: finding.severity,
            asset: finding.asset.map(|a| a.to_string()),
            cause: finding.cause.clone(),
            locations: finding.locations.iter().map(ToString::to_string).collect(),
            deadline: finding.deadline.map(|t| t.0),
            owner: finding.owner.clone(),
            summary: finding.summary.clone(),
            hint: finding.hint.clone(),
            evidence: finding.evidence.iter().map(|(n, f)| ((*n).to_owned(), fact(f))).collect(),
            blast: finding.blast.as_deref().cloned(),
        }
    }

    /// Where it stands among those that are equally bad: who weighs most stands first.
    pub(crate) fn weight(&self) -> i64 {
        -i64::from(self.blast.as_ref().map_or(0, Blast::weight))
    }

    pub(crate) fn read(json: &str) -> Result<Self> {
        serde_json::from_str(json)
            .map_err(|e| corrupt(format!("a finding in the database cannot be read: {e}")))
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<FactJson> for Fact {
    fn from(fact: FactJson) -> Self {
        match fact {
            FactJson::Flag(v) => Self::Flag(v),
            FactJson::Number(v) => Self::Number(v),
            FactJson::Text(v) => Self::Text(v),
            FactJson::List(v) => Self::List(v),
        }
    }
}

/// So many formats of keys can ever be met; the list is short, the bound is for damaged rows.
const FORMATS_MAX: usize = 64;

/// The name of a key's format for a struct that wants it for ever: each is kept once.
pub(crate) fn format_name(name: &str) -> &'static str {
    static KNOWN: Mutex<Option<HashMap<String, &'static str>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let known = known.get_or_insert_with(HashMap::new);
    if let Some(found) = known.get(name) {
        return found;
    }
    if known.len() >= FORMATS_MAX {
        return "unknown";
    }
    let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
    known.insert(name.to_owned(), kept);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_come_back_as_they_were() {
        let full = Facts {
            protocol: Some("starttls:smtp".into()),
            tls_version: Some(0x0304),
            // Of one handshake, and not kept.
            cipher: None,
            possession: Some(Possession::Unverified),
            client_cas: Some(Vec::new().into()),
            process: Some(Arc::new(Process { pid: 7, name: "a\0b\u{202e}".into(), unit: None })),
            connected: true,
            hinted: true,
            entry: false,
            file: Some(Arc::new(FileFacts {
                mode: 0o640,
                uid: 0,
                owner: Some("root".into()),
                mtime: UnixTime(-5),
                reachable_by_others: true,
            })),
            part: Some(Arc::new(Part {
                of: Whole::KeySet,
                name: "k\n1".into(),
                usage: "sig".into(),
                crowd: true,
            })),
            flow: Some(Arc::new(Flow { floor: 10, moved: None, first: UnixTime(1), last: UnixTime(2) })),
        };
        for facts_in in [full, Facts::default()] {
            assert_eq!(facts(&facts_json(&facts_in)).unwrap(), facts_in);
        }
        assert!(facts("{").is_err());
    }

    #[test]
    fn words_and_numbers() {
        for (n, one) in ROLES.iter().enumerate() {
            assert_eq!((role_number(*one), role(n as i64).unwrap()), (n as i64, *one));
        }
        assert!(role(99).is_err() && role(-1).is_err());
        for one in REASONS {
            assert_eq!(reason(one.as_str()).unwrap(), *one);
        }
        let id = Fingerprint([0x80; 32]);
        let (fp8, fp24) = split(&id);
        assert_eq!(join(fp8, fp24).unwrap(), id);
        assert!(split(&Fingerprint([0; 32])).0 < split(&Fingerprint([255; 32])).0);
        assert!(std::ptr::eq(format_name("PKCS#8"), format_name("PKCS#8")));
    }
}

//! The JSON of `scan` and of the API: one set of structs, so that a script reads both alike.
//!
//! The shape is promised in the user's guide; add to it freely, never change it. What cannot be read is
//! null and listed in `problems`. Hostile text is safe here: names are printable by the time they
//! arrive, and JSON escapes the rest.

use std::collections::BTreeMap;

use serde::Serialize;

use notafter_pki::GeneralName;
use notafter_pki::certificate::Certificate;
use notafter_pki::crl::Crl;
use notafter_pki::statement::{Statement, StatementKind};

use crate::UnixTime;
use crate::finding::{Fact, Finding};
use crate::inventory::{Asset, AssetIx, AssetKind, BlindSpot, Inventory, KeySighting, Placement};
use crate::scan::Scan;

/// How many names of one certificate are printed; the rest are counted in `problems`.
const NAMES_MAX: usize = 10_000;

/// A whole scan.
#[derive(Serialize)]
#[allow(missing_docs)]
pub struct ScanDocument {
    pub scan: ScanHeader,
    pub assets: Vec<AssetDocument>,
    pub placements: Vec<PlacementDocument>,
    pub findings: Vec<FindingDocument>,
    pub blind_spots: Vec<BlindSpotDocument>,
}

/// When, what and how many.
#[derive(Serialize, Clone)]
#[allow(missing_docs)]
pub struct ScanHeader {
    pub started: String,
    pub finished: String,
    pub at: String,
    pub version: &'static str,
    pub targets: Vec<String>,
    pub attempted: u64,
    pub reached: u64,
    pub unreachable: u64,
    pub files: u64,
    pub interrupted: bool,
}

impl ScanHeader {
    /// Fills in the counts of a run.
    #[must_use]
    pub fn counted(mut self, scan: Scan) -> Self {
        self.attempted = scan.attempted;
        self.reached = scan.reached;
        self.unreachable = scan.unreachable;
        self.files = scan.files;
        self
    }
}

/// One asset.
#[derive(Serialize, Clone)]
#[allow(missing_docs)]
pub struct AssetDocument {
    pub id: String,
    pub kind: &'static str,
    pub subject: Option<String>,
    pub names: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_names: Vec<String>,
    pub issuer_name: Option<String>,
    pub serial: Option<String>,
    pub not_before: Option<String>,
    pub not_after: Option<String>,
    pub days_left: Option<f64>,
    pub key: Option<KeyDocument>,
    pub signature: Option<String>,
    pub is_ca: Option<bool>,
    pub self_signed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extended_key_usage: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_count: Option<u64>,
    /// What else something says that is no X.509.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// A public key.
#[derive(Serialize, Clone)]
#[allow(missing_docs)]
pub struct KeyDocument {
    pub algorithm: String,
    pub bits: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curve: Option<String>,
    pub id: String,
}

/// An asset at a place.
#[derive(Serialize, Clone)]
#[allow(missing_docs)]
pub struct PlacementDocument {
    pub asset: Option<String>,
    pub location: String,
    pub role: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    pub first_seen: String,
    pub last_seen: String,
    pub vantage: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub possession: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cas: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessDocument>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub connected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyFileDocument>,
}

/// The process behind a port of this host.
#[derive(Serialize, Clone)]
#[allow(missing_docs)]
pub struct ProcessDocument {
    pub pid: u32,
    pub name: String,
    pub unit: Option<String>,
}

/// What the system says of a file.
#[derive(Serialize, Clone)]
#[allow(missing_docs)]
pub struct FileDocument {
    pub mode: String,
    pub owner: String,
    pub mtime: String,
}

/// A private key in a file: that it is there and whose it is, never what it is.
#[derive(Serialize, Clone)]
#[allow(missing_docs)]
pub struct KeyFileDocument {
    pub id: Option<String>,
    pub format: &'static str,
    pub encrypted: bool,
}

/// A finding.
#[derive(Serialize, Clone)]
#[allow(missing_docs)]
pub struct FindingDocument {
    pub id: String,
    pub kind: &'static str,
    pub severity: &'static str,
    pub asset: Option<String>,
    pub locations: Vec<String>,
    pub deadline: Option<String>,
    pub lead_days: Option<f64>,
    pub owner: Option<String>,
    pub summary: String,
    pub hint: String,
    /// What breaks with it, and how long the mending takes.
    pub blast: Option<crate::blast::Blast>,
    pub evidence: serde_json::Map<String, serde_json::Value>,
}

/// A place that could not be seen.
#[derive(Serialize, Clone)]
#[allow(missing_docs)]
pub struct BlindSpotDocument {
    pub location: String,
    pub reason: &'static str,
    pub detail: String,
}

/// The names of a certificate, printable.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Names {
    /// DNS names and IP addresses, in the order of the certificate.
    pub dns_and_ip: Vec<String>,
    /// Everything else: addresses, URIs, directory names, typed values.
    pub other: Vec<String>,
    /// How many were left out for being too many.
    pub left_out: usize,
}

/// Reads the subject alternative names.
pub fn names(certificate: &Certificate<'_>) -> Names {
    let mut out = Names::default();
    for (n, name) in certificate.subject_alt_names().enumerate() {
        if n >= NAMES_MAX {
            out.left_out += 1;
            continue;
        }
        let list = match name {
            GeneralName::Dns(_) => &mut out.dns_and_ip,
            GeneralName::Ip(bytes) if matches!(bytes.len(), 4 | 16) => &mut out.dns_and_ip,
            _ => &mut out.other,
        };
        list.push(name.to_text());
    }
    out
}

/// What makes two certificates serve one purpose: the same names. `None` when there are none.
pub fn names_key(certificate: &Certificate<'_>) -> Option<String> {
    let mut names = names(certificate).dns_and_ip;
    if names.is_empty() {
        names.extend(certificate.subject().common_name());
    }
    names.iter_mut().for_each(|n| n.make_ascii_lowercase());
    names.sort_unstable();
    names.dedup();
    (!names.is_empty()).then(|| names.join(" "))
}

/// The same for what is no certificate: a key by its fingerprint, metadata by their entity. Copies of one thing are
/// found by it, whatever date each of them says.
pub fn statement_key(statement: &Statement) -> Option<String> {
    let kind = statement.kind();
    let same = match kind {
        StatementKind::OpenpgpKey => statement.fact_of("fingerprint"),
        StatementKind::SignedMetadata if statement.fact_of("element") == Some("entity") => {
            statement.names().first().map(String::as_str)
        }
        _ => None,
    };
    Some(format!("{} {}", kind.as_str(), same?))
}

/// What a token says about the key that checks it, and what a key of a key set is called: `kid` (RFC 7515 section 4.1.4).
/// `None` for everything else.
pub fn kid(statement: &Statement) -> Option<&str> {
    let named = match statement.kind() {
        StatementKind::Token => true,
        StatementKind::BareKey => statement.fact_of("format") == Some("jwk"),
        _ => false,
    };
    statement.fact_of("kid").filter(|kid| named && !kid.is_empty())
}

/// Days with one decimal.
fn days(end: UnixTime, at: UnixTime) -> f64 {
    // `+ 0.0` turns a rounded -0.0 into 0.0.
    (end.days_after(at) * 10.0).round() / 10.0 + 0.0
}

impl AssetDocument {
    /// Reads an asset's bytes anew: what a document says is always what the bytes say.
    pub fn of(asset: &Asset, bytes: &[u8], at: UnixTime) -> Self {
        let mut out = Self {
            id: asset.id.to_string(),
            kind: asset.kind.as_str(),
            subject: None,
            names: Vec::new(),
            other_names: Vec::new(),
            issuer_name: None,
            serial: None,
            not_before: asset.not_before.map(|t| t.to_string()),
            not_after: asset.not_after.map(|t| t.to_string()),
            days_left: asset.not_after.map(|t| days(t, at)),
            key: None,
            signature: None,
            is_ca: None,
            self_signed: None,
            version: None,
            extended_key_usage: Vec::new(),
            revoked_count: None,
            facts: BTreeMap::new(),
            problems: Vec::new(),
        };
        match asset.kind {
            AssetKind::Certificate => out.certificate(bytes),
            AssetKind::Crl => out.crl(bytes),
            _ => out.statement(bytes),
        }
        out
    }

    fn certificate(&mut self, bytes: &[u8]) {
        let certificate = match Certificate::parse(bytes) {
            Ok(certificate) => certificate,
            Err(malformed) => return self.salvaged(bytes, &malformed),
        };
        let names = names(&certificate);
        let key = certificate.public_key();
        self.subject = Some(certificate.subject().to_rfc4514());
        self.names = names.dns_and_ip;
        self.other_names = names.other;
        self.issuer_name = Some(certificate.issuer_name().to_rfc4514());
        self.serial = Some(notafter_pki::fingerprint::hex(certificate.serial()));
        self.key = Some(KeyDocument {
            algorithm: key.algorithm(),
            bits: key.bits(),
            curve: key.curve(),
            id: certificate.key_id().to_string(),
        });
        self.signature = Some(certificate.signature_algorithm().signature_name());
        self.is_ca = Some(certificate.is_ca());
        // Its own name as issuer is not enough: the signature must be by its own key, as far as can be told.
        let by_itself = || notafter_pki::is_signed_by(&certificate, certificate.spki());
        let signed = certificate.is_self_issued() && by_itself() != notafter_pki::SignatureVerdict::Bad;
        self.self_signed = Some(signed);
        self.version = Some(certificate.version());
        self.extended_key_usage = certificate.extended_key_usage().map(|u| u.names()).unwrap_or_default();
        self.problems =
            certificate.problems().into_iter().map(|p| format!("{}: {}", p.name, p.text)).collect();
        if names.left_out > 0 {
            self.problems.push(format!("too-many-names: {} more names are not shown", names.left_out));
        }
    }

    fn salvaged(&mut self, bytes: &[u8], malformed: &notafter_pki::certificate::Malformed) {
        let saved = notafter_pki::salvage::salvage(bytes);
        self.subject = saved.subject().map(|n| n.to_rfc4514());
        self.issuer_name = saved.issuer_name().map(|n| n.to_rfc4514());
        self.serial = saved.serial.as_deref().map(notafter_pki::fingerprint::hex);
        self.problems = vec![format!("malformed: {malformed}")];
        self.names = saved.names;
    }

    fn statement(&mut self, bytes: &[u8]) {
        let Some(statement) = Statement::parse(bytes) else {
            self.problems = vec!["malformed: what is kept of it cannot be read".to_owned()];
            return;
        };
        self.subject = Some(statement.title().to_owned());
        self.names = statement.names().to_vec();
        self.issuer_name = statement.issuer_name().map(str::to_owned);
        self.facts = statement.facts().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    }

    fn crl(&mut self, bytes: &[u8]) {
        match Crl::parse(bytes) {
            Ok(crl) => {
                self.issuer_name = Some(crl.issuer_name().to_rfc4514());
                self.signature = Some(crl.signature_algorithm().signature_name());
                self.revoked_count = Some(crl.entry_count() as u64);
            }
            Err(malformed) => self.problems = vec![format!("malformed: {malformed}")],
        }
    }
}

impl PlacementDocument {
    /// An asset at a place.
    pub fn of(inventory: &Inventory, placement: &Placement, vantage: &str) -> Self {
        let id = |ix: AssetIx| inventory.asset(ix).id.to_string();
        let mut out = Self::of_parts(&id(placement.asset), placement, vantage);
        out.chain = placement.chain.iter().flat_map(|c| c.iter()).map(|ix| id(*ix)).collect();
        out
    }

    /// The same without an inventory: the chain is left to the caller.
    pub fn of_parts(asset: &str, placement: &Placement, vantage: &str) -> Self {
        let facts = &placement.facts;
        Self {
            asset: Some(asset.to_owned()),
            location: placement.location.to_string(),
            role: placement.role.as_str(),
            chain: Vec::new(),
            first_seen: placement.first_seen.to_string(),
            last_seen: placement.last_seen.to_string(),
            vantage: vantage.to_owned(),
            protocol: facts.protocol.as_ref().map(|p| p.to_string()),
            tls_version: facts.tls_version.map(tls_version),
            possession: facts.possession.map(|p| p.as_str()),
            client_cas: facts.client_cas.as_ref().map(|c| c.to_vec()),
            process: facts.process.as_ref().map(|p| ProcessDocument {
                pid: p.pid,
                name: notafter_pki::name::printable(&p.name),
                unit: p.unit.clone(),
            }),
            connected: facts.connected,
            file: file_document(facts),
            key: None,
        }
    }

    /// A private key at a place; `asset` is the certificate it belongs to, when one was seen.
    pub fn of_key(key: &KeySighting, asset: Option<&Asset>, vantage: &str) -> Self {
        Self {
            asset: asset.map(|a| a.id.to_string()),
            location: key.location.to_string(),
            role: "key",
            chain: Vec::new(),
            first_seen: key.seen.to_string(),
            last_seen: key.seen.to_string(),
            vantage: vantage.to_owned(),
            protocol: None,
            tls_version: None,
            possession: None,
            client_cas: None,
            process: None,
            connected: false,
            file: file_document(&key.facts),
            key: Some(KeyFileDocument {
                id: key.key.map(|k| k.to_string()),
                format: key.format,
                encrypted: key.encrypted,
            }),
        }
    }
}

fn file_document(facts: &crate::observation::Facts) -> Option<FileDocument> {
    facts.file.as_ref().map(|f| FileDocument {
        mode: format!("{:04o}", f.mode),
        owner: f.owner.clone().unwrap_or_else(|| f.uid.to_string()),
        mtime: f.mtime.to_string(),
    })
}

/// The version as people write it.
pub fn tls_version(version: u16) -> String {
    match version {
        0x0300 => "SSLv3".to_owned(),
        0x0301 => "TLSv1.0".to_owned(),
        0x0302 => "TLSv1.1".to_owned(),
        0x0303 => "TLSv1.2".to_owned(),
        0x0304 => "TLSv1.3".to_owned(),
        other => format!("0x{other:04x}"),
    }
}

impl FindingDocument {
    /// A finding as judged at `at`.
    pub fn of(finding: &Finding, at: UnixTime) -> Self {
        let value = |fact: &Fact| match fact {
            Fact::Text(text) => serde_json::Value::from(text.as_str()),
            Fact::Number(number) => serde_json::Value::from(*number),
            Fact::Flag(flag) => serde_json::Value::from(*flag),
            Fact::List(list) => serde_json::Value::from(list.as_slice()),
        };
        let evidence =
            finding.evidence.iter().map(|(name, fact)| ((*name).to_owned(), value(fact))).collect();
        Self {
            id: finding.id(),
            kind: finding.kind.as_str(),
            severity: finding.severity.as_str(),
            asset: finding.asset.map(|a| a.to_string()),
            locations: finding.locations.iter().map(|l| l.to_string()).collect(),
            deadline: finding.deadline.map(|t| t.to_string()),
            lead_days: finding.deadline.map(|t| days(t, at)),
            owner: finding.owner.clone(),
            summary: finding.summary.clone(),
            hint: finding.hint.clone(),
            blast: finding.blast.as_deref().cloned(),
            evidence,
        }
    }
}

impl BlindSpotDocument {
    /// A blind spot.
    pub fn of(spot: &BlindSpot) -> Self {
        Self {
            location: spot.location.to_string(),
            reason: spot.reason.as_str(),
            detail: spot.detail.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_one_decimal_and_no_negative_zero() {
        assert_eq!(days(UnixTime(86_400 * 12 + 34_560), UnixTime(0)), 12.4);
        assert_eq!(serde_json::to_string(&days(UnixTime(-100), UnixTime(0))).unwrap(), "0.0");
        assert_eq!(days(UnixTime(0), UnixTime(86_400)), -1.0);
    }
}

//! What queries give: one struct for each kind of row, plain data.

use notafter_core::UnixTime;
use notafter_core::finding::{Fact, Kind, Severity};
use notafter_core::inventory::{AssetKind, Role};
use notafter_core::location::Location;
use notafter_core::observation::{Facts, Link, Reason};
use notafter_core::upkeep::Upkeep;
use notafter_core::{Fingerprint, KeyId};

/// An asset in a list.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct AssetRow {
    pub id: Fingerprint,
    pub kind: AssetKind,
    /// First DNS name, else common name, else subject.
    pub title: String,
    /// What people call the issuer: its common name or organisation.
    pub issuer_name: String,
    /// The whole of the issuer's name as RFC 4514 text.
    pub issuer: String,
    pub not_before: Option<UnixTime>,
    pub not_after: Option<UnixTime>,
    pub is_ca: bool,
    pub self_signed: bool,
    /// `RSA 2048`, `ECDSA P-256`, ...
    pub key: String,
    pub owner: Option<String>,
    /// Places where it is now (seen or unseen).
    pub places: u64,
    /// Of these, endpoints.
    pub served: u64,
    /// Of these, places that did not answer at the last look.
    pub unseen: u64,
    /// One of them.
    pub place: Option<Location>,
    /// The worst open finding.
    pub severity: Option<Severity>,
    /// Open findings.
    pub findings: u64,
    /// A later one of its line is in use and this one is not served.
    pub superseded: bool,
    pub first_seen: UnixTime,
    /// Where to go on after this row: opaque.
    pub cursor: String,
}

/// A placement, past or present.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct PlacementRow {
    pub asset: Fingerprint,
    pub title: String,
    pub not_after: Option<UnixTime>,
    pub location: Location,
    pub role: Role,
    /// As sent or stored, leaf included.
    pub chain: Vec<Fingerprint>,
    pub facts: Facts,
    pub source: String,
    pub vantage: String,
    pub first_seen: UnixTime,
    pub last_seen: UnixTime,
    pub unseen_since: Option<UnixTime>,
    /// When it was replaced, removed or retired.
    pub gone: Option<UnixTime>,
}

/// An asset, whole.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct AssetWhole {
    pub row: AssetRow,
    pub der: Vec<u8>,
    pub key: Option<KeyId>,
    /// Present ones first, then past ones, newest first; so many at most.
    pub placements: Vec<PlacementRow>,
    pub placements_more: u64,
    /// The successive assets of one purpose, newest first, this one among them.
    pub lineage: Vec<AssetRow>,
    pub keys: Vec<KeyRow>,
    pub links: Vec<Link>,
    /// Who renews it.
    pub renewals: Vec<Upkeep>,
}

/// A private key at a place.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct KeyRow {
    pub key: Option<KeyId>,
    pub format: String,
    pub encrypted: bool,
    pub location: Location,
    pub facts: Facts,
    pub first_seen: UnixTime,
    pub last_seen: UnixTime,
}

/// A place, whole.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct PlaceWhole {
    pub location: Location,
    /// Present, then past, newest first.
    pub placements: Vec<PlacementRow>,
    pub keys: Vec<KeyRow>,
    pub blind: Option<BlindRow>,
    pub links: Vec<Link>,
    /// When and why it was retired by hand, and by whom.
    pub retired: Option<(UnixTime, String, String)>,
}

/// A place that cannot be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct BlindRow {
    pub location: Location,
    pub reason: Reason,
    pub detail: String,
    pub source: String,
    pub since: UnixTime,
    pub last: UnixTime,
}

/// A finding as it stands.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct FindingRow {
    pub id: String,
    pub kind: Kind,
    pub severity: Severity,
    pub asset: Option<Fingerprint>,
    /// The asset's title, else the first place.
    pub title: String,
    /// The asset's issuer, for grouping.
    pub issuer_name: Option<String>,
    pub cause: String,
    pub locations: Vec<Location>,
    pub deadline: Option<UnixTime>,
    /// When the asset began to be valid: with the deadline, its lifetime.
    pub not_before: Option<UnixTime>,
    pub is_ca: bool,
    pub owner: Option<String>,
    /// With `WHEN` still in it: see `notafter_core::finding::summary_at`.
    pub summary: String,
    pub hint: String,
    pub evidence: Vec<(String, Fact)>,
    /// What breaks with it.
    pub blast: Option<notafter_core::blast::Blast>,
    pub opened: UnixTime,
    pub resolved: Option<UnixTime>,
}

/// A source as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SourceRow {
    pub name: String,
    pub last_started: Option<UnixTime>,
    /// The last complete run.
    pub last_success: Option<UnixTime>,
    pub last_finished: Option<UnixTime>,
    pub next: Option<UnixTime>,
    pub fault: Option<String>,
    pub attempted: u64,
    pub reached: u64,
    pub unreachable: u64,
    pub files: u64,
    pub placements: u64,
    pub blind_spots: u64,
}

/// Counts over everything, kept with every change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Totals {
    /// Assets in use.
    pub assets: u64,
    /// Assets ever seen.
    pub assets_ever: u64,
    pub placements: u64,
    pub unseen: u64,
    pub blind_spots: u64,
    /// In use and owned by somebody.
    pub owned: u64,
    /// Placements at endpoints, and those of them whose key was proved to be there.
    pub served: u64,
    pub proven: u64,
}

//! What the API answers with, beside the documents that `scan` prints as well.
//!
//! Assets, places, findings; `told.rs` has who was told, `looks.rs` who looks and what comes.
//! Where `core::document` has a struct, it is flattened into ours, so that a script reads both alike; what
//! only a memory can know (owner, since when, how often) comes on top. Times are RFC 3339.

use std::sync::Arc;

use notafter_core::document::{AssetDocument, FindingDocument, PlacementDocument};
use notafter_core::finding::{Fact, summary_at};
use notafter_core::inventory::{Asset, AssetIx, BytesAt, Placement};
use notafter_core::observation::Link;
use notafter_core::{Fingerprint, UnixTime};
use notafter_store::rows::{AssetRow, AssetWhole, BlindRow, FindingRow, KeyRow, PlaceWhole, PlacementRow};
use serde::Serialize;

pub(crate) fn text(at: Option<UnixTime>) -> Option<String> {
    at.map(|t| t.to_string())
}

/// Days with one decimal, as `scan` has them.
pub(crate) fn days(end: UnixTime, now: UnixTime) -> f64 {
    (end.days_after(now) * 10.0).round() / 10.0 + 0.0
}

/// A page of a list.
#[derive(Serialize)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
    /// The `after` of the next page; null: that was all.
    pub(crate) next: Option<String>,
}

impl<T> List<T> {
    /// A list that is always whole.
    pub(crate) fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }

    /// A page out of rows of which one too many was asked for; `cursor` names the last that is shown.
    pub(crate) fn page<R>(
        mut rows: Vec<R>,
        limit: usize,
        cursor: impl Fn(&R) -> String,
        item: impl Fn(R) -> T,
    ) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(cursor);
        Self { items: rows.into_iter().map(item).collect(), next }
    }
}

/// An asset in a list: the document of `scan`, and what is known of it beside.
#[derive(Serialize)]
pub(crate) struct AssetItem {
    #[serde(flatten)]
    document: AssetDocument,
    title: String,
    owner: Option<String>,
    places: u64,
    served: u64,
    unseen: u64,
    place: Option<String>,
    severity: Option<&'static str>,
    findings: u64,
    superseded: bool,
    first_seen: String,
}

impl AssetItem {
    pub(crate) fn of(row: &AssetRow, der: &[u8], now: UnixTime) -> Self {
        let asset = Asset {
            id: row.id,
            kind: row.kind,
            // The bytes are handed over beside it: no depot is asked.
            bytes: BytesAt { offset: 0, length: 0 },
            not_before: row.not_before,
            not_after: row.not_after,
            key: None,
        };
        Self {
            document: AssetDocument::of(&asset, der, now),
            title: row.title.clone(),
            owner: row.owner.clone(),
            places: row.places,
            served: row.served,
            unseen: row.unseen,
            place: row.place.as_ref().map(ToString::to_string),
            severity: row.severity.map(|s| s.as_str()),
            findings: row.findings,
            superseded: row.superseded,
            first_seen: row.first_seen.to_string(),
        }
    }
}

/// An asset, whole.
#[derive(Serialize)]
pub(crate) struct AssetAnswer {
    #[serde(flatten)]
    item: AssetItem,
    placements: Vec<PlacementItem>,
    placements_more: u64,
    lineage: Vec<LineItem>,
    keys: Vec<KeyItem>,
    links: Vec<LinkItem>,
    open_findings: Vec<FindingItem>,
}

impl AssetAnswer {
    pub(crate) fn of(whole: &AssetWhole, findings: Vec<FindingRow>, now: UnixTime) -> Self {
        Self {
            item: AssetItem::of(&whole.row, &whole.der, now),
            placements: whole.placements.iter().map(PlacementItem::of).collect(),
            placements_more: whole.placements_more,
            lineage: whole.lineage.iter().map(LineItem::of).collect(),
            keys: whole.keys.iter().map(KeyItem::of).collect(),
            links: whole.links.iter().map(LinkItem::of).collect(),
            open_findings: findings.into_iter().map(|f| FindingItem::of(f, now)).collect(),
        }
    }
}

/// One of a line.
#[derive(Serialize)]
struct LineItem {
    id: String,
    title: String,
    issuer_name: String,
    not_before: Option<String>,
    not_after: Option<String>,
    places: u64,
    superseded: bool,
}

impl LineItem {
    fn of(row: &AssetRow) -> Self {
        Self {
            id: row.id.to_string(),
            title: row.title.clone(),
            issuer_name: row.issuer_name.clone(),
            not_before: text(row.not_before),
            not_after: text(row.not_after),
            places: row.places,
            superseded: row.superseded,
        }
    }
}

/// A placement: the document of `scan`, and since when it is not seen or gone.
#[derive(Serialize)]
pub(crate) struct PlacementItem {
    #[serde(flatten)]
    document: PlacementDocument,
    title: String,
    not_after: Option<String>,
    source: String,
    unseen_since: Option<String>,
    gone: Option<String>,
}

impl PlacementItem {
    pub(crate) fn of(row: &PlacementRow) -> Self {
        let placement = Placement {
            asset: AssetIx(0),
            location: row.location.clone(),
            role: row.role,
            chain: None,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
            unseen_since: row.unseen_since,
            facts: Arc::new(row.facts.clone()),
        };
        let mut document = PlacementDocument::of_parts(&row.asset.to_string(), &placement, &row.vantage);
        document.chain = row.chain.iter().map(Fingerprint::to_string).collect();
        Self {
            document,
            title: row.title.clone(),
            not_after: text(row.not_after),
            source: row.source.clone(),
            unseen_since: text(row.unseen_since),
            gone: text(row.gone),
        }
    }
}

/// A private key at a place: that it is there and whose it is, never what it is.
#[derive(Serialize)]
pub(crate) struct KeyItem {
    location: String,
    role: &'static str,
    first_seen: String,
    last_seen: String,
    key: KeyPart,
}

#[derive(Serialize)]
struct KeyPart {
    id: Option<String>,
    format: String,
    encrypted: bool,
}

impl KeyItem {
    fn of(row: &KeyRow) -> Self {
        Self {
            location: row.location.to_string(),
            role: "key",
            first_seen: row.first_seen.to_string(),
            last_seen: row.last_seen.to_string(),
            key: KeyPart {
                id: row.key.map(|k| k.to_string()),
                format: row.format.clone(),
                encrypted: row.encrypted,
            },
        }
    }
}

/// A relation between two places.
#[derive(Serialize)]
pub(crate) struct LinkItem {
    kind: &'static str,
    from: String,
    to: String,
    evidence: String,
}

impl LinkItem {
    fn of(link: &Link) -> Self {
        Self {
            kind: link.kind.as_str(),
            from: link.from.to_string(),
            to: link.to.to_string(),
            evidence: link.evidence.clone(),
        }
    }
}

/// A place, whole.
#[derive(Serialize)]
pub(crate) struct PlaceAnswer {
    location: String,
    placements: Vec<PlacementItem>,
    keys: Vec<KeyItem>,
    blind: Option<BlindItem>,
    links: Vec<LinkItem>,
    retired: Option<RetiredPart>,
    open_findings: Vec<FindingItem>,
}

#[derive(Serialize)]
struct RetiredPart {
    at: String,
    reason: String,
    by: String,
}

impl PlaceAnswer {
    pub(crate) fn of(place: PlaceWhole, findings: Vec<FindingRow>, now: UnixTime) -> Self {
        Self {
            location: place.location.to_string(),
            placements: place.placements.iter().map(PlacementItem::of).collect(),
            keys: place.keys.iter().map(KeyItem::of).collect(),
            blind: place.blind.as_ref().map(BlindItem::of),
            links: place.links.iter().map(LinkItem::of).collect(),
            retired: place.retired.map(|(at, reason, by)| RetiredPart { at: at.to_string(), reason, by }),
            open_findings: findings.into_iter().map(|f| FindingItem::of(f, now)).collect(),
        }
    }
}

/// A finding: the document of `scan`, and since when it stands.
#[derive(Serialize)]
pub(crate) struct FindingItem {
    #[serde(flatten)]
    document: FindingDocument,
    title: String,
    issuer_name: Option<String>,
    opened: String,
    resolved: Option<String>,
}

impl FindingItem {
    pub(crate) fn of(row: FindingRow, now: UnixTime) -> Self {
        let value = |fact: Fact| match fact {
            Fact::Text(text) => serde_json::Value::from(text),
            Fact::Number(number) => number.into(),
            Fact::Flag(flag) => flag.into(),
            Fact::List(list) => list.into(),
        };
        Self {
            document: FindingDocument {
                id: row.id,
                kind: row.kind.as_str(),
                severity: row.severity.as_str(),
                asset: row.asset.map(|a| a.to_string()),
                locations: row.locations.iter().map(ToString::to_string).collect(),
                deadline: text(row.deadline),
                lead_days: row.deadline.map(|t| days(t, now)),
                owner: row.owner,
                summary: summary_at(&row.summary, row.deadline, now),
                hint: row.hint,
                blast: row.blast,
                evidence: row.evidence.into_iter().map(|(name, fact)| (name, value(fact))).collect(),
            },
            title: row.title,
            issuer_name: row.issuer_name,
            opened: row.opened.to_string(),
            resolved: text(row.resolved),
        }
    }
}

/// A place that cannot be seen: the document of `scan`, and since when.
#[derive(Serialize)]
pub(crate) struct BlindItem {
    #[serde(flatten)]
    document: notafter_core::document::BlindSpotDocument,
    source: String,
    since: String,
    last: String,
}

impl BlindItem {
    pub(crate) fn of(row: &BlindRow) -> Self {
        Self {
            document: notafter_core::document::BlindSpotDocument {
                location: row.location.to_string(),
                reason: row.reason.as_str(),
                detail: row.detail.clone(),
            },
            source: row.source.clone(),
            since: row.since.to_string(),
            last: row.last.to_string(),
        }
    }
}

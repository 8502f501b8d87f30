//! What the API answers with, beside the documents that `scan` prints as well.
//!
//! Where `core::document` has a struct, it is flattened into ours, so that a script reads both alike; what
//! only a memory can know (owner, since when, how often) comes on top. Times are RFC 3339. Nothing secret
//! is here: an outgoing message shows where it went, never its text with the acknowledgement link.

use std::sync::Arc;

use notafter_core::alert::{Alert, Outgoing};
use notafter_core::document::{AssetDocument, FindingDocument, PlacementDocument};
use notafter_core::finding::{Fact, summary_at};
use notafter_core::inventory::{Asset, AssetIx, BytesAt, Placement};
use notafter_core::observation::{Link, LinkKind};
use notafter_core::{Fingerprint, UnixTime};
use notafter_engine::forecast::{Forecast, Lapse};
use notafter_engine::service::ServiceState;
use notafter_store::alerts::AuditLine;
use notafter_store::rows::{
    AssetRow, AssetWhole, BlindRow, FindingRow, KeyRow, PlaceWhole, PlacementRow, SourceRow,
};
use serde::Serialize;

fn text(at: Option<UnixTime>) -> Option<String> {
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
        let kind = match link.kind {
            LinkKind::Serves => "serves",
        };
        Self { kind, from: link.from.to_string(), to: link.to.to_string(), evidence: link.evidence.clone() }
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
                evidence: row.evidence.into_iter().map(|(name, fact)| (name, value(fact))).collect(),
            },
            title: row.title,
            issuer_name: row.issuer_name,
            opened: row.opened.to_string(),
            resolved: text(row.resolved),
        }
    }
}

/// An alert.
#[derive(Serialize)]
pub(crate) struct AlertItem {
    id: String,
    number: i64,
    owner: String,
    state: &'static str,
    severity: &'static str,
    step: notafter_core::deadline::Step,
    title: String,
    deadline: Option<String>,
    opened: String,
    told: Option<String>,
    hold: Option<HoldPart>,
    escalated: Vec<String>,
    members: Vec<MemberPart>,
    resolved: Option<String>,
}

#[derive(Serialize)]
struct HoldPart {
    by: String,
    at: String,
    until: String,
    note: String,
    snooze: bool,
}

#[derive(Serialize)]
struct MemberPart {
    finding: String,
    severity: &'static str,
    step: notafter_core::deadline::Step,
    deadline: Option<String>,
    resolved: Option<String>,
}

impl AlertItem {
    pub(crate) fn of(alert: Alert) -> Self {
        Self {
            id: alert.id(),
            number: alert.number,
            owner: alert.owner,
            state: alert.state.as_str(),
            severity: alert.severity.as_str(),
            step: alert.step,
            title: alert.title,
            deadline: text(alert.deadline),
            opened: alert.opened.to_string(),
            told: text(alert.told),
            hold: alert.hold.map(|hold| HoldPart {
                by: hold.by,
                at: hold.at.to_string(),
                until: hold.until.to_string(),
                note: hold.note,
                snooze: hold.snooze,
            }),
            escalated: alert.escalated,
            members: alert
                .members
                .into_iter()
                .map(|(finding, member)| MemberPart {
                    finding,
                    severity: member.severity.as_str(),
                    step: member.step,
                    deadline: text(member.deadline),
                    resolved: text(member.resolved),
                })
                .collect(),
            resolved: text(alert.resolved),
        }
    }
}

/// An alert with what it is about and what was sent.
#[derive(Serialize)]
pub(crate) struct AlertAnswer {
    #[serde(flatten)]
    pub(crate) item: AlertItem,
    pub(crate) findings: Vec<FindingItem>,
    pub(crate) deliveries: Vec<DeliveryItem>,
}

/// A delivery: where it went and what became of it. Its text stays inside, because the link in it is a secret.
#[derive(Serialize)]
pub(crate) struct DeliveryItem {
    id: String,
    alert: Option<String>,
    owner: String,
    notifier: String,
    to: Option<String>,
    event: &'static str,
    title: String,
    state: &'static str,
    attempts: u32,
    error: Option<String>,
    created: String,
    next: Option<String>,
    sent: Option<String>,
}

impl DeliveryItem {
    pub(crate) fn of(message: Outgoing) -> Self {
        let pending = message.delivery == notafter_core::alert::Delivery::Pending;
        Self {
            id: message.id,
            alert: message.alert.map(|n| format!("a{n}")),
            owner: message.owner,
            notifier: message.notifier,
            to: message.to,
            event: message.notice.event.as_str(),
            title: message.notice.title,
            state: message.delivery.as_str(),
            attempts: message.attempts,
            error: message.error,
            created: message.created.to_string(),
            next: pending.then(|| message.next.to_string()),
            sent: text(message.sent),
        }
    }
}

/// A source.
#[derive(Serialize)]
pub(crate) struct SourceItem {
    name: String,
    configured: bool,
    every_seconds: Option<i64>,
    running: bool,
    stale: bool,
    last_started: Option<String>,
    last_success: Option<String>,
    last_finished: Option<String>,
    next: Option<String>,
    fault: Option<String>,
    attempted: u64,
    reached: u64,
    unreachable: u64,
    files: u64,
    placements: u64,
    blind_spots: u64,
}

impl SourceItem {
    /// `every`: as configured, if it is.
    pub(crate) fn of(row: SourceRow, every: Option<i64>, running: bool, stale: bool) -> Self {
        Self {
            name: row.name,
            configured: every.is_some(),
            every_seconds: every,
            running,
            stale,
            last_started: text(row.last_started),
            last_success: text(row.last_success),
            last_finished: text(row.last_finished),
            next: text(row.next),
            fault: row.fault,
            attempted: row.attempted,
            reached: row.reached,
            unreachable: row.unreachable,
            files: row.files,
            placements: row.placements,
            blind_spots: row.blind_spots,
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

/// A service of the status page.
#[derive(Serialize)]
pub(crate) struct ServiceItem {
    name: String,
    public: bool,
    health: &'static str,
    last_looked: Option<String>,
    next_lapse: Option<String>,
    count: usize,
    places: Vec<ServicePlace>,
}

#[derive(Serialize)]
struct ServicePlace {
    location: String,
    title: String,
    health: &'static str,
    why: String,
    last_seen: String,
    not_after: Option<String>,
}

impl ServiceItem {
    pub(crate) fn of(state: ServiceState) -> Self {
        Self {
            name: state.name,
            public: state.public,
            health: state.health.as_str(),
            last_looked: text(state.last_looked),
            next_lapse: text(state.next_lapse),
            count: state.count,
            places: state
                .places
                .into_iter()
                .map(|p| ServicePlace {
                    location: p.location,
                    title: p.title,
                    health: p.health.as_str(),
                    why: p.why,
                    last_seen: p.last_seen.to_string(),
                    not_after: text(p.not_after),
                })
                .collect(),
        }
    }
}

/// A line of the audit trail.
#[derive(Serialize)]
pub(crate) struct AuditItem {
    id: i64,
    at: String,
    who: String,
    what: String,
    subject: String,
    detail: String,
}

impl AuditItem {
    pub(crate) fn of((id, line): (i64, AuditLine)) -> Self {
        Self {
            id,
            at: line.at.to_string(),
            who: line.who,
            what: line.what,
            subject: line.subject,
            detail: line.detail,
        }
    }
}

/// What will lapse: the list that `notafter forecast` prints, and counts for a chart.
#[derive(Serialize)]
pub(crate) struct ForecastAnswer {
    at: String,
    until: String,
    count: u64,
    lapses: Vec<LapseItem>,
    owners: std::collections::BTreeMap<String, u64>,
    leaves: u64,
    lifetime: Option<LifetimePart>,
    step_days: i64,
    /// Every asset in use that ends, those that nobody has to renew among them.
    spans: Vec<SpanPart>,
}

#[derive(Serialize)]
struct LapseItem {
    asset: String,
    kind: &'static str,
    title: String,
    issuer_name: String,
    not_after: String,
    days_left: f64,
    owner: String,
    places: u64,
    place: Option<String>,
    warning: String,
    critical: String,
    page: String,
}

#[derive(Serialize)]
struct LifetimePart {
    days: u32,
    renewals_per_week: f64,
}

#[derive(Serialize)]
struct SpanPart {
    from: String,
    until: String,
    ends: u64,
}

impl ForecastAnswer {
    pub(crate) fn of(look: Forecast, ends: &[u64], step: i64, until: UnixTime, now: UnixTime) -> Self {
        let lapse = |lapse: Lapse| {
            let [warning, critical, page] = lapse.told.map(|at| at.to_string());
            LapseItem {
                asset: lapse.asset.id.to_string(),
                kind: lapse.asset.kind.as_str(),
                title: lapse.asset.title,
                issuer_name: lapse.asset.issuer_name,
                not_after: lapse.at.to_string(),
                days_left: days(lapse.at, now),
                owner: lapse.owner,
                places: lapse.asset.places,
                place: lapse.asset.place.map(|p| p.to_string()),
                warning,
                critical,
                page,
            }
        };
        let span = |(ends, from): (&u64, i64)| SpanPart {
            from: now.plus(from * step).to_string(),
            until: now.plus((from + 1) * step).to_string(),
            ends: *ends,
        };
        Self {
            at: now.to_string(),
            until: until.to_string(),
            count: look.count,
            lapses: look.lapses.into_iter().map(lapse).collect(),
            owners: look.owners,
            leaves: look.leaves,
            lifetime: look.renewals.first().map(|(days, a_week)| LifetimePart {
                days: *days,
                renewals_per_week: (a_week * 10.0).round() / 10.0,
            }),
            step_days: step / 86_400,
            spans: ends.iter().zip(0..).map(span).collect(),
        }
    }
}

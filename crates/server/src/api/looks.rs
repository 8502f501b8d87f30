//! What the API answers about looking: sources, services, and the forecast.

use std::collections::BTreeMap;

use notafter_core::UnixTime;
use notafter_engine::forecast::{
    Broken, Forecast, Headroom, Lapse, Message, PolicyDay, Renewed, Scenario, Work,
};
use notafter_engine::service::ServiceState;
use notafter_store::rows::SourceRow;
use serde::Serialize;

use super::answers::{days, text};

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

/// A service of the status page.
#[derive(Serialize)]
pub(crate) struct ServiceItem {
    name: String,
    public: bool,
    health: &'static str,
    last_looked: Option<String>,
    next_lapse: Option<String>,
    count: usize,
    /// What was named as a part of it and shows nothing.
    missing: Vec<String>,
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
            missing: state.missing,
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

/// What will lapse, break and renew, and who will be told: what `notafter forecast` prints, and counts for a chart.
#[derive(Serialize)]
pub(crate) struct ForecastAnswer {
    at: String,
    until: String,
    count: u64,
    would_break: u64,
    expected_to_renew: u64,
    republished: u64,
    not_in_use: u64,
    lapses: Vec<LapseItem>,
    breaks: Vec<BreakItem>,
    renewing: Vec<RenewingItem>,
    messages_count: u64,
    messages_by_owner: BTreeMap<String, u64>,
    messages: Vec<MessageItem>,
    policy_dates: Vec<DateItem>,
    owners: BTreeMap<String, u64>,
    leaves: u64,
    public_leaves: u64,
    lifetime: Option<LifetimePart>,
    /// Today's rules first.
    scenarios: Vec<ScenarioItem>,
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
    outlook: &'static str,
    outlook_words: String,
    replaced: Option<String>,
    breaks: bool,
}

#[derive(Serialize)]
struct BreakItem {
    at: String,
    kind: &'static str,
    finding: String,
    asset: Option<String>,
    title: String,
    owner: String,
    locations: Vec<String>,
    places: u64,
}

#[derive(Serialize)]
struct RenewingItem {
    at: String,
    asset: String,
    title: String,
    owner: String,
    by: String,
    ends: String,
}

#[derive(Serialize)]
struct MessageItem {
    at: String,
    owner: String,
    channel: String,
    event: &'static str,
    step: &'static str,
    severity: &'static str,
    title: String,
    names: Vec<String>,
}

#[derive(Serialize)]
struct DateItem {
    at: String,
    decision: String,
    source: String,
    certificates: u64,
}

#[derive(Serialize)]
struct LifetimePart {
    days: u32,
    renewals_per_week: f64,
}

#[derive(Serialize)]
struct ScenarioItem {
    lifetime_days: Option<u32>,
    renewals_per_week: f64,
    by_hand_per_week: f64,
    worst_week: u64,
    worst_week_from: String,
    work: Vec<WorkItem>,
    headroom: Vec<HeadroomItem>,
    no_published_limit: Vec<String>,
}

#[derive(Serialize)]
struct WorkItem {
    owner: String,
    ca: String,
    renewals_per_week: f64,
    worst_week: u64,
}

#[derive(Serialize)]
struct HeadroomItem {
    ca: String,
    per: &'static str,
    limit: u64,
    within_seconds: i64,
    of: String,
    worst: u64,
    from: String,
    exceeding: u64,
    counts_renewals: bool,
    source: String,
}

#[derive(Serialize)]
struct SpanPart {
    from: String,
    until: String,
    ends: u64,
}

fn rounded(n: f64) -> f64 {
    (n * 10.0).round() / 10.0
}

impl LapseItem {
    fn of(lapse: &Lapse, now: UnixTime) -> Self {
        let [warning, critical, page] = lapse.told.map(|at| at.to_string());
        Self {
            asset: lapse.asset.id.to_string(),
            kind: lapse.asset.kind.as_str(),
            title: lapse.asset.title.clone(),
            issuer_name: lapse.asset.issuer.clone(),
            not_after: lapse.at.to_string(),
            days_left: days(lapse.at, now),
            owner: lapse.owner.clone(),
            places: lapse.asset.places,
            place: lapse.asset.place.as_ref().map(ToString::to_string),
            warning,
            critical,
            page,
            outlook: lapse.outlook.as_str(),
            outlook_words: lapse.outlook.words(),
            replaced: lapse.outlook.replaced().map(|at| at.to_string()),
            breaks: lapse.breaks,
        }
    }
}

impl ScenarioItem {
    fn of(scenario: &Scenario) -> Self {
        let work = |work: &Work| WorkItem {
            owner: work.owner.clone(),
            ca: work.ca.clone(),
            renewals_per_week: rounded(work.a_week),
            worst_week: work.worst_week,
        };
        let room = |room: &Headroom| HeadroomItem {
            ca: room.ca.clone(),
            per: room.per.as_str(),
            limit: room.most,
            within_seconds: room.within,
            of: room.of.clone(),
            worst: room.worst,
            from: room.from.to_string(),
            exceeding: room.exceeding,
            counts_renewals: room.counts_renewals,
            source: room.source.clone(),
        };
        Self {
            lifetime_days: scenario.lifetime_days,
            renewals_per_week: rounded(scenario.a_week),
            by_hand_per_week: rounded(scenario.by_hand),
            worst_week: scenario.worst_week,
            worst_week_from: scenario.worst_from.to_string(),
            work: scenario.work.iter().map(work).collect(),
            headroom: scenario.headroom.iter().map(room).collect(),
            no_published_limit: scenario.unpublished.clone(),
        }
    }
}

impl ForecastAnswer {
    pub(crate) fn of(look: &Forecast, ends: &[u64], step: i64, until: UnixTime, now: UnixTime) -> Self {
        let broken = |b: &Broken| BreakItem {
            at: b.at.to_string(),
            kind: b.kind.as_str(),
            finding: b.id.clone(),
            asset: b.asset.map(|id| id.to_string()),
            title: b.title.clone(),
            owner: b.owner.clone(),
            locations: b.places.clone(),
            places: b.places_count,
        };
        let renewed = |r: &Renewed| RenewingItem {
            at: r.at.to_string(),
            asset: r.asset.to_string(),
            title: r.title.clone(),
            owner: r.owner.clone(),
            by: r.by.clone(),
            ends: r.ends.to_string(),
        };
        let message = |m: &Message| MessageItem {
            at: m.at.to_string(),
            owner: m.owner.clone(),
            channel: m.by.clone(),
            event: m.event.as_str(),
            step: m.step.as_str(),
            severity: m.severity.as_str(),
            title: m.title.clone(),
            names: m.names.clone(),
        };
        let date = |d: &PolicyDay| DateItem {
            at: d.at.to_string(),
            decision: d.decision.clone(),
            source: d.source.clone(),
            certificates: d.certificates,
        };
        let span = |(ends, from): (&u64, i64)| SpanPart {
            from: now.plus(from * step).to_string(),
            until: now.plus((from + 1) * step).to_string(),
            ends: *ends,
        };
        let lifetime = look.scenarios.iter().find_map(|s| s.lifetime_days.map(|days| (days, s.a_week)));
        Self {
            at: now.to_string(),
            until: until.to_string(),
            count: look.count,
            would_break: look.broken,
            expected_to_renew: look.renewing,
            republished: look.republishing,
            not_in_use: look.unused,
            lapses: look.lapses.iter().map(|lapse| LapseItem::of(lapse, now)).collect(),
            breaks: look.breaks.values().map(broken).collect(),
            renewing: look.renewals.values().map(renewed).collect(),
            messages_count: look.messages,
            messages_by_owner: look.messages_to.clone(),
            messages: look.told.iter().map(message).collect(),
            policy_dates: look.dates.iter().map(date).collect(),
            owners: look.owners.clone(),
            leaves: look.leaves,
            public_leaves: look.public_leaves,
            lifetime: lifetime
                .map(|(days, a_week)| LifetimePart { days, renewals_per_week: rounded(a_week) }),
            scenarios: look.scenarios.iter().map(ScenarioItem::of).collect(),
            step_days: step / 86_400,
            spans: ends.iter().zip(0..).map(span).collect(),
        }
    }
}

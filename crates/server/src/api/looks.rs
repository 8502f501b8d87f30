//! What the API answers about looking: sources, services, and the forecast.

use std::collections::BTreeMap;

use notafter_core::UnixTime;
use notafter_engine::forecast::{Forecast, Lapse};
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

/// What will lapse: the list that `notafter forecast` prints, and counts for a chart.
#[derive(Serialize)]
pub(crate) struct ForecastAnswer {
    at: String,
    until: String,
    count: u64,
    lapses: Vec<LapseItem>,
    owners: BTreeMap<String, u64>,
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
                issuer_name: lapse.asset.issuer,
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

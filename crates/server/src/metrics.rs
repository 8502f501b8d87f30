//! `/metrics`: everything that Prometheus asks of us, in its text format (0.0.4).
//!
//! One series a current placement, streamed row by row out of the store and never collected. Timestamps
//! rather than days, so that a rule can be written once; a series stays when a certificate has expired and
//! when its place does not answer. `metrics/text.rs` has the format, `metrics/process.rs` our own needs.

pub(crate) mod text;

mod process;
mod series;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State as With;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use axum::routing::get;
use notafter_core::UnixTime;
use notafter_core::alert::Delivery;
use notafter_engine::setup::Setup;
use notafter_engine::status::State as Condition;
use notafter_engine::{notify, service};
use notafter_store::Store;

use crate::api::problem::Problem;
use crate::app::State;
use crate::stream::{self, Purpose, Stopped};
use text::{CONTENT, Text};

/// The route.
pub(crate) fn routes() -> Router<State> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(With(app): With<State>) -> Result<Response, Problem> {
    let (status, clock) = (&app.handle.status, &app.handle.clock);
    let (condition, ticks) = (status.read(), clock.monotonic());
    let sheet = Sheet {
        store: Arc::clone(&app.handle.store),
        setup: app.handle.setup(),
        alive: status.alive(ticks),
        since_pass: ticks.saturating_sub(condition.last_pass).as_secs_f64(),
        condition,
        max_series: app.settings.max_series,
        now: clock.now(),
    };
    let body = stream::body(Purpose::Scrape, move |out| sheet.write(&mut Text::new(out))).await?;
    Ok(answer(body))
}

/// An answer in the text format.
pub(crate) fn answer(body: Body) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let mut response = Response::new(body);
    response.headers_mut().extend(headers);
    response
}

/// What one scrape is made from.
struct Sheet {
    store: Arc<Store>,
    setup: Arc<Setup>,
    condition: Condition,
    alive: bool,
    since_pass: f64,
    max_series: usize,
    now: UnixTime,
}

impl Sheet {
    fn write(&self, text: &mut Text<'_>) -> Result<(), Stopped> {
        series::write(&self.store, self.max_series, self.now, text)?;
        self.findings(text)?;
        self.sources(text)?;
        self.totals(text)?;
        self.alerts(text)?;
        self.services(text)?;
        self.server(text)?;
        process::write(self.condition.started, text)?;
        Ok(())
    }

    fn findings(&self, text: &mut Text<'_>) -> Result<(), Stopped> {
        text.family("notafter_findings", "gauge", "Open findings by kind, severity and owner.")?;
        for (kind, severity, owner, count) in self.store.finding_counts()? {
            let owner = owner.as_deref().unwrap_or("");
            text.sample(
                &[("kind", kind.as_str()), ("severity", severity.as_str()), ("owner", owner)],
                count as f64,
            )?;
        }
        Ok(())
    }

    fn sources(&self, text: &mut Text<'_>) -> Result<(), Stopped> {
        let rows = self.store.sources()?;
        text.family(
            "notafter_source_last_success_timestamp_seconds",
            "gauge",
            "When the last complete run of a source ended. Absent: it never had one.",
        )?;
        for row in &rows {
            if let Some(at) = row.last_success {
                text.sample(&[("source", &row.name)], at.0 as f64)?;
            }
        }
        text.family(
            "notafter_source_up",
            "gauge",
            "1 while the last run of a configured source reached something and it has not missed its rounds.",
        )?;
        // What is configured no more owes nothing: a rule on this must not ring for ever.
        for row in rows.iter().filter(|row| self.setup.sources.iter().any(|p| p.name == row.name)) {
            let up = service::history(&self.setup, &rows, &row.name, self.now).is_none();
            text.sample(&[("source", &row.name)], flag(up))?;
        }
        type Count = fn(&notafter_store::rows::SourceRow) -> u64;
        let counts: [(&'static str, &'static str, Count); 4] = [
            ("notafter_source_attempted", "Endpoints asked in the last run.", |r| r.attempted),
            ("notafter_source_reached", "Endpoints that showed a certificate in the last run.", |r| {
                r.reached
            }),
            ("notafter_source_unreachable", "Endpoints that did not in the last run.", |r| r.unreachable),
            ("notafter_source_places", "Placements that a source sees.", |r| r.placements),
        ];
        for (name, help, count) in counts {
            text.family(name, "gauge", help)?;
            for row in &rows {
                text.sample(&[("source", &row.name)], count(row) as f64)?;
            }
        }
        text.family("notafter_blind_spots", "gauge", "Places that cannot be seen, by source and reason.")?;
        for (source, reason, count) in self.store.blind_counts()? {
            text.sample(&[("source", &source), ("reason", &reason)], count as f64)?;
        }
        Ok(())
    }

    fn totals(&self, text: &mut Text<'_>) -> Result<(), Stopped> {
        let totals = self.store.totals()?;
        let sources = self.store.sources()?;
        let unseen = service::not_seen(&self.setup, &sources, totals.unseen, self.now);
        for (name, help, value) in [
            ("notafter_assets", "Assets in use.", totals.assets),
            ("notafter_assets_owned", "Assets in use that somebody answers for.", totals.owned),
            ("notafter_placements", "Assets at places, seen or unseen at the last look.", totals.placements),
            (
                "notafter_unseen_placements",
                "Placements that did not show themselves at the last look, or whose source did not look or saw nothing.",
                unseen.min(totals.placements),
            ),
            ("notafter_served_placements", "Placements at endpoints.", totals.served),
            (
                "notafter_proven_placements",
                "Placements at endpoints whose key was proved to be there.",
                totals.proven,
            ),
        ] {
            text.family(name, "gauge", help)?;
            text.sample(&[], value as f64)?;
        }
        Ok(())
    }

    fn alerts(&self, text: &mut Text<'_>) -> Result<(), Stopped> {
        use notafter_core::alert::{SNOOZED, State};
        let alerts = self.store.open_alerts()?;
        text.family("notafter_alerts", "gauge", "Alerts that are not resolved, by state.")?;
        for state in [State::Open.as_str(), State::Acknowledged.as_str(), SNOOZED] {
            let count = alerts.iter().filter(|a| a.stands() == state).count();
            text.sample(&[("state", state)], count as f64)?;
        }
        // The newest thousand: what lies before that was dealt with, or is a finding by now.
        let known = self.store.outgoing(None, 1000)?;
        let pending = known.iter().filter(|m| m.delivery == Delivery::Pending).count();
        let failed = notify::not_made_up_for(&known).len();
        text.family("notafter_outgoing_pending", "gauge", "Messages that wait to be taken over.")?;
        text.sample(&[], pending as f64)?;
        text.family(
            "notafter_alert_deliveries_failed",
            "gauge",
            "Messages of the newest thousand that were given up, and by whose channel none has gone through since.",
        )?;
        text.sample(&[], failed as f64)?;
        Ok(())
    }

    fn services(&self, text: &mut Text<'_>) -> Result<(), Stopped> {
        use service::Health;
        text.family(
            "notafter_service_health",
            "gauge",
            "1 for the state that a service of the status page is in, 0 for the others.",
        )?;
        for state in service::states(&self.store, &self.setup, self.now)? {
            for health in [Health::Good, Health::Unknown, Health::Bad] {
                let labels = [("service", state.name.as_str()), ("state", health.as_str())];
                text.sample(&labels, flag(state.health == health))?;
            }
        }
        Ok(())
    }

    fn server(&self, text: &mut Text<'_>) -> Result<(), Stopped> {
        text.family("notafter_build_info", "gauge", "Always 1; the version is in its label.")?;
        text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0)?;
        text.family("notafter_engine_up", "gauge", "1 while the engine makes its passes.")?;
        text.sample(&[], flag(self.alive))?;
        text.family("notafter_engine_last_pass_seconds", "gauge", "So long ago was the engine's last pass.")?;
        text.sample(&[], self.since_pass)?;
        text.family("notafter_engine_settled", "gauge", "1 once everything found at the start was judged.")?;
        text.sample(&[], flag(self.condition.settled))?;
        text.family("notafter_sources_running", "gauge", "Sources that run now.")?;
        text.sample(&[], self.condition.running.len() as f64)?;
        if let Some(at) = self.condition.last_beat {
            let help = "When the outside was last told that we live.";
            text.family("notafter_heartbeat_last_success_timestamp_seconds", "gauge", help)?;
            text.sample(&[], at.0 as f64)?;
        }
        let condition = self.store.condition();
        if let Some(bytes) = condition.bytes {
            text.family("notafter_database_bytes", "gauge", "Size of the memory on disk.")?;
            text.sample(&[], bytes as f64)?;
        }
        text.family("notafter_database_up", "gauge", "1 unless the last write to the memory failed.")?;
        text.sample(&[], flag(condition.trouble.is_none()))?;
        Ok(())
    }
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

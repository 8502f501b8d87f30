//! The questions: assets, places, findings, alerts, sources, services, the forecast, the totals.
//!
//! Each handler asks the store in a blocking task and dresses the rows in `answers.rs`. It changes nothing.

use axum::extract::State as With;
use axum::response::Response;
use notafter_core::Fingerprint;
use notafter_core::alert::{SNOOZED, State as AlertState};
use notafter_core::finding::Severity;
use notafter_core::query::Query;
use notafter_engine::{hands, service};
use notafter_store::findings::FindingFilter;
use notafter_store::queries::Sort;
use notafter_store::rows::{AssetWhole, FindingRow};
use notafter_store::{Store, StoreError, Trouble};

use super::answers::{AssetAnswer, AssetItem, BlindItem, FindingItem, List, PlaceAnswer};
use super::args::Args;
use super::looks::{ForecastAnswer, ServiceItem, SourceItem};
use super::problem::Problem;
use super::renewals::RenewalItem;
use super::told::{AlertAnswer, AlertItem, AuditItem, DeliveryItem};
use super::{json, with_store};
use crate::app::State;
use crate::foreseen;

type Answered = Result<Response, Problem>;

/// So many findings are shown with one asset or place.
const BESIDE_MAX: usize = 1000;

pub(crate) async fn assets(With(app): With<State>, args: Args) -> Answered {
    with_store(&app, move |store, now| {
        let query = known(store, Query::parse(args.text("q").unwrap_or(""))?)?;
        let sort = match args.text("sort") {
            Some("newest") => Sort::Newest,
            Some("title") => Sort::Title,
            _ => Sort::Ends,
        };
        let page = store.assets(&query, sort, args.text("after"), args.limit(), now).map_err(|error| {
            // Is it the cursor, or is it the memory?
            let again = || store.assets(&query, sort, None, 1, now).map(drop);
            of_cursor(error, args.text("after"), again)
        })?;
        let mut items = Vec::with_capacity(page.rows.len());
        // What a document says is always what the bytes say.
        let ids: Vec<Fingerprint> = page.rows.iter().map(|row| row.id).collect();
        for (row, der) in page.rows.iter().zip(store.bytes_of(&ids)?) {
            items.push(AssetItem::of(row, &der, now));
        }
        json(&List { items, next: page.next })
    })
    .await
}

/// An owner or a source that nobody knows is a mistake, and not an empty list.
pub(crate) fn known(store: &Store, query: Query) -> Result<Query, Problem> {
    match store.unknown_in(&query)? {
        Some(unknown) => Err(unknown.into()),
        None => Ok(query),
    }
}

/// A cursor that the store does not know is the caller's mistake; anything else is ours.
fn of_cursor(
    error: StoreError,
    after: Option<&str>,
    again: impl FnOnce() -> Result<(), StoreError>,
) -> Problem {
    let may_be_cursor = error.trouble == Trouble::Other && after.is_some();
    if may_be_cursor && again().is_ok() { Problem::bad_cursor() } else { error.into() }
}

/// The one asset that begins so.
pub(crate) fn one_asset(store: &Store, id: &str) -> Result<AssetWhole, Problem> {
    let prefix = id.strip_prefix("sha256:").unwrap_or(id).to_ascii_lowercase();
    let found = store.by_id(&prefix)?;
    let row = match found.as_slice() {
        [] => return Err(Problem::not_found(format!("no asset begins with {prefix}"))),
        [one] => one,
        _ => return Err(Problem::ambiguous(&prefix)),
    };
    store.asset(&row.id)?.ok_or_else(|| Problem::not_found(format!("no asset begins with {prefix}")))
}

fn findings_about(store: &Store, asset: Fingerprint) -> Result<Vec<FindingRow>, StoreError> {
    let asset = Some(asset.to_string());
    store.findings(&FindingFilter { asset, limit: BESIDE_MAX, ..FindingFilter::default() })
}

pub(crate) async fn asset(With(app): With<State>, args: Args) -> Answered {
    with_store(&app, move |store, now| {
        let whole = one_asset(store, args.text("id").unwrap_or(""))?;
        let findings = findings_about(store, whole.row.id)?;
        json(&AssetAnswer::of(&whole, findings, now))
    })
    .await
}

pub(crate) async fn place(With(app): With<State>, args: Args) -> Answered {
    with_store(&app, move |store, now| {
        let location = args.text("at").unwrap_or("");
        let place = store.place(location)?.ok_or_else(|| {
            Problem::not_found("nothing was ever seen at this place")
                .hint("write the location as the inventory shows it: tls://10.0.0.5:443?sni=api.example.com")
        })?;
        let location = Some(place.location.to_string());
        let findings =
            store.findings(&FindingFilter { location, limit: BESIDE_MAX, ..FindingFilter::default() })?;
        json(&PlaceAnswer::of(place, findings, now))
    })
    .await
}

pub(crate) async fn findings(With(app): With<State>, args: Args) -> Answered {
    with_store(&app, move |store, now| {
        let severity = args.text("severity").and_then(|word| {
            [Severity::Critical, Severity::Warning, Severity::Info].into_iter().find(|s| s.as_str() == word)
        });
        let limit = args.limit();
        let filter = FindingFilter {
            kinds: args.kinds("kind"),
            severity,
            owner: args.text("owner").map(|o| (o != "none").then(|| o.to_owned())),
            asset: args.asset("asset").map(|id| id.to_string()),
            location: args.text("location").map(str::to_owned),
            since: args.time("since"),
            resolved: args.text("state") == Some("resolved"),
            after: args.text("after").map(str::to_owned),
            limit: limit + 1,
        };
        // The store would begin anew after one that it does not know.
        if let Some(after) = &filter.after
            && store.finding(after)?.is_none()
        {
            return Err(Problem::bad_cursor());
        }
        let rows = store.findings(&filter)?;
        json(&List::page(rows, limit, |row| row.id.clone(), |row| FindingItem::of(row, now)))
    })
    .await
}

pub(crate) async fn finding(With(app): With<State>, args: Args) -> Answered {
    with_store(&app, move |store, now| {
        let found = store.finding(args.text("id").unwrap_or(""))?;
        let row = found.ok_or_else(|| Problem::not_found("no finding has this id"))?;
        json(&FindingItem::of(row, now))
    })
    .await
}

pub(crate) async fn alerts(With(app): With<State>, args: Args) -> Answered {
    with_store(&app, move |store, _now| {
        let wanted = args.text("state");
        let state = wanted.and_then(|word| {
            let known = [AlertState::Open, AlertState::Acknowledged, AlertState::Resolved];
            // What is snoozed is open to the store: quiet, and nobody's.
            let word = if word == SNOOZED { AlertState::Open.as_str() } else { word };
            known.into_iter().find(|s| s.as_str() == word)
        });
        let limit = args.limit();
        let after = args.number("after");
        if let Some(after) = after
            && store.alert(after)?.is_none()
        {
            return Err(Problem::bad_cursor());
        }
        let (mut rows, mut after) = (Vec::new(), after);
        loop {
            let part = store.alerts(state, after, limit + 1)?;
            let full = part.len() > limit;
            after = part.last().map(|alert| alert.number);
            rows.extend(part.into_iter().filter(|alert| wanted.is_none_or(|word| alert.stands() == word)));
            if !full || rows.len() > limit {
                break;
            }
        }
        rows.truncate(limit + 1);
        json(&List::page(rows, limit, |alert| alert.number.to_string(), AlertItem::of))
    })
    .await
}

pub(crate) async fn alert(With(app): With<State>, args: Args) -> Answered {
    with_store(&app, move |store, now| {
        let alert = hands::find(store, args.text("id").unwrap_or(""))?;
        let mut findings = Vec::new();
        for id in alert.members.keys().take(BESIDE_MAX) {
            findings.extend(store.finding(id)?.map(|row| FindingItem::of(row, now)));
        }
        let deliveries = store.outgoing(Some(alert.number), 100)?;
        json(&AlertAnswer {
            item: AlertItem::of(alert),
            findings,
            deliveries: deliveries.into_iter().map(DeliveryItem::of).collect(),
        })
    })
    .await
}

pub(crate) async fn sources(With(app): With<State>, _args: Args) -> Answered {
    let (setup, running) = (app.handle.setup(), app.handle.status.read().running);
    with_store(&app, move |store, now| {
        let rows = store.sources()?;
        let known = rows.clone();
        let items = rows.into_iter().map(|row| {
            let every = setup.sources.iter().find(|p| p.name == row.name).map(|p| p.every);
            let stale = service::is_stale(&setup, &known, &row.name, now);
            let is_running = running.contains_key(&row.name);
            SourceItem::of(row, every, is_running, stale)
        });
        json(&List::whole(items.collect()))
    })
    .await
}

pub(crate) async fn blind_spots(With(app): With<State>, args: Args) -> Answered {
    with_store(&app, move |store, _now| {
        let source = args.text("source");
        let page = store.blind_spots(source, args.text("after"), args.limit()).map_err(|error| {
            of_cursor(error, args.text("after"), || store.blind_spots(source, None, 1).map(drop))
        })?;
        json(&List { items: page.rows.iter().map(BlindItem::of).collect(), next: page.next })
    })
    .await
}

pub(crate) async fn renewals(With(app): With<State>, args: Args) -> Answered {
    let setup = app.handle.setup();
    with_store(&app, move |store, _now| {
        let works = match args.text("name") {
            Some(name) => store.works_of(name, 1)?,
            None => store.works()?,
        };
        json(&List::whole(works.into_iter().map(|work| RenewalItem::of(work, &setup)).collect()))
    })
    .await
}

pub(crate) async fn services(With(app): With<State>, _args: Args) -> Answered {
    let setup = app.handle.setup();
    with_store(&app, move |store, now| {
        let states = service::states(store, &setup, now)?;
        json(&List::whole(states.into_iter().map(ServiceItem::of).collect()))
    })
    .await
}

pub(crate) async fn views(With(app): With<State>, _args: Args) -> Answered {
    with_store(&app, move |store, _now| json(&List::whole(crate::saved::list(store)?))).await
}

pub(crate) async fn totals(With(app): With<State>, _args: Args) -> Answered {
    with_store(&app, move |store, now| {
        let totals = store.totals()?;
        let mut findings = serde_json::Map::new();
        for severity in [Severity::Critical, Severity::Warning, Severity::Info] {
            findings.insert(severity.as_str().to_owned(), 0_u64.into());
        }
        for (_, severity, _, count) in store.finding_counts()? {
            if let Some(sum) = findings.get_mut(severity.as_str()) {
                *sum = (sum.as_u64().unwrap_or(0) + count).into();
            }
        }
        json(&serde_json::json!({
            "at": now.to_string(),
            "assets": totals.assets,
            "assets_ever": totals.assets_ever,
            "owned": totals.owned,
            "placements": totals.placements,
            "served": totals.served,
            "proven": totals.proven,
            "unseen": totals.unseen,
            "blind_spots": totals.blind_spots,
            "findings": findings,
            "open_alerts": store.open_alerts()?.len(),
        }))
    })
    .await
}

pub(crate) async fn audit(With(app): With<State>, args: Args) -> Answered {
    with_store(&app, move |store, _now| {
        let limit = args.limit();
        let rows = store.audit_chain(args.text("subject"), args.number("after"), limit + 1)?;
        json(&List::page(rows, limit, |(id, ..)| id.to_string(), AuditItem::of))
    })
    .await
}

pub(crate) async fn outgoing(With(app): With<State>, args: Args) -> Answered {
    with_store(&app, move |store, _now| {
        let alert = args.text("alert").map(|id| hands::find(store, id).map_err(Problem::from)).transpose()?;
        let rows = store.outgoing(alert.map(|a| a.number), args.limit())?;
        json(&List::whole(rows.into_iter().map(DeliveryItem::of).collect()))
    })
    .await
}

const DAY: i64 = 86_400;
/// The forecast looks ten years ahead at most.
const AHEAD_MAX: i64 = 3650 * DAY;
/// Whoever asks for it waits so long.
const FORESEEN: std::time::Duration = std::time::Duration::from_secs(25);

pub(crate) async fn forecast(With(app): With<State>, args: Args) -> Answered {
    let asked_of = std::sync::Arc::clone(&app);
    with_store(&app, move |store, now| {
        if args.text("days").is_some() && args.text("until").is_some() {
            return Err(Problem::conflict("`days` and `until` say the same thing twice").hint("give one"));
        }
        let asked = args.time("until").map_or_else(
            || args.number("days").unwrap_or(90).saturating_mul(DAY),
            |until| until.0.saturating_sub(now.0),
        );
        if asked <= 0 {
            return Err(Problem::conflict("`until` has passed already"));
        }
        let ahead = asked.min(AHEAD_MAX);
        let until = now.plus(ahead);
        let lifetimes: Vec<u32> =
            args.number("lifetime").and_then(|d| u32::try_from(d).ok()).into_iter().collect();
        let Some(look) = foreseen::ask(&asked_of, ahead, &lifetimes, now, FORESEEN) else {
            let detail =
                "there is much to look ahead over: it goes on, and will be there when it is asked again";
            return Err(Problem::not_ready(detail)
                .hint("ask again in a minute, or for fewer days")
                .retry_after(60));
        };
        // Days for a season, weeks for two years, months beyond: what fits a chart.
        let step = match ahead / DAY {
            0..=120 => DAY,
            121..=730 => 7 * DAY,
            _ => 30 * DAY,
        };
        let count = usize::try_from((ahead + step - 1) / step).unwrap_or(0);
        let ends = store.ends_histogram(now, step, count)?;
        json(&ForecastAnswer::of(&look, &ends, step, until, now))
    })
    .await
}

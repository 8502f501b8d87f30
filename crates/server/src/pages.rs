//! The pages: each address with what it gathers and which view it becomes.
//!
//! Everything that asks the store runs on a blocking thread, and so does the rendering. What changes anything is
//! in `pages/deeds.rs`; the pages that carry a secret in their address are in `pages/links.rs`.

mod deeds;
mod links;

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::{get, post};
use axum::{Extension, Router};
use notafter_core::Fingerprint;
use notafter_engine::service::{ServiceState, states};
use serde::Deserialize;

use crate::access::Caller;
use crate::app::{App, html};
use crate::problem::Problem;
use crate::views::frame::Look;
use crate::views::{
    alerts, asset, findings, forecast, inventory, place, renewals, sources, starting, status, today,
};
use crate::{assets, foreseen, words};

/// Services are looked up so often at most.
const SERVICES_FRESH: Duration = Duration::from_secs(30);
/// A status page that was served may be believed for so many seconds; it loads itself again every minute.
const STATUS_VALID: i64 = 300;
/// A page waits so long for a forecast; then it shows what is counted at once.
const FORESEEN: Duration = Duration::from_secs(4);

type Shared = State<Arc<App>>;
type Who = Extension<Caller>;
type Answer = Response<Body>;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(today_page))
        .route("/inventory", get(inventory_page))
        .route("/asset/{id}", get(asset_page))
        .route("/place", get(place_page))
        .route("/findings", get(findings_page))
        .route("/forecast", get(forecast_page))
        .route("/renewals", get(renewals_page))
        .route("/renewals/{name}", get(renewal_page))
        .route("/renewals/{name}/reply", post(deeds::reply))
        .route("/sources", get(sources_page))
        .route("/alerts", get(alerts_page))
        .route("/alerts/{id}", get(alert_page))
        .route("/status", get(status_page))
        .route("/assets/{stamp}/{file}", get(asset_file))
        .route("/alerts/{id}/acknowledge", post(deeds::acknowledge))
        .route("/alerts/{id}/snooze", post(deeds::snooze))
        .route("/places/retire", post(deeds::retire))
        .route("/views", post(deeds::save_view))
        .route("/views/rename", post(deeds::rename_view))
        .route("/views/delete", post(deeds::delete_view))
        .route("/sign-out", post(links::sign_out))
        .route("/ack/{secret}", get(links::show_ack).post(links::take_ack))
        .route("/sign-in/{secret}", get(links::show_sign_in).post(links::take_sign_in))
}

/// No page has this address.
pub(crate) async fn nothing_here(State(app): Shared, request: Request) -> Answer {
    let path = request.uri().path().chars().take(200).collect::<String>();
    let detail = format!("No page has the address {}.", words::clean(&path));
    Problem::not_found(detail)
        .hint("search the inventory for a part of its name")
        .answer(request.headers(), |p| app.problem_page(p))
}

impl App {
    /// What one request looks at. Cheap, but it may wait for a lock.
    pub(crate) fn look(&self, caller: &Caller) -> Look {
        let handle = &self.handle;
        let state = handle.status.read();
        Look {
            store: Arc::clone(&handle.store),
            setup: handle.setup(),
            silent: handle.clock.monotonic().saturating_sub(state.last_pass),
            state,
            now: handle.clock.now(),
            csrf: caller.csrf().to_owned(),
            assets: assets::folder(self.settings.version),
            version: self.settings.version,
        }
    }
}

/// Gathers and renders on a blocking thread.
pub(crate) async fn show<V: Template>(
    app: &Arc<App>,
    caller: Caller,
    headers: &HeaderMap,
    make: impl FnOnce(&Arc<App>, &Look) -> Result<V, Problem> + Send + 'static,
) -> Answer {
    show_as(app, caller, headers, |app, look| Ok((StatusCode::OK, make(app, look)?))).await
}

/// The same for a page that may be one about nothing.
pub(crate) async fn show_as<V: Template>(
    app: &Arc<App>,
    caller: Caller,
    headers: &HeaderMap,
    make: impl FnOnce(&Arc<App>, &Look) -> Result<(StatusCode, V), Problem> + Send + 'static,
) -> Answer {
    let made = work(app, move |app| {
        let look = app.look(&caller);
        let (status, view) = make(app, &look)?;
        let page = view.render().map_err(|_| Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR))?;
        Ok((status, page))
    });
    match made.await {
        Ok((status, page)) => html(status, page),
        Err(problem) => problem.answer(headers, |p| app.problem_page(p)),
    }
}

/// Runs what asks the store on a blocking thread.
pub(crate) async fn work<T: Send + 'static>(
    app: &Arc<App>,
    job: impl FnOnce(&Arc<App>) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let app = Arc::clone(app);
    let done = tokio::task::spawn_blocking(move || job(&app)).await;
    done.unwrap_or_else(|_| Err(Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR)))
}

/// Leads a browser on, with GET.
pub(crate) fn see_other(to: &str) -> Answer {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    // What cannot stand in a header cannot be one of our addresses.
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, to);
    response
}

async fn today_page(State(app): Shared, Extension(caller): Who, headers: HeaderMap) -> Answer {
    let made = work(&app, move |app| {
        let look = app.look(&caller);
        let house = look.house()?;
        let page = if starting::is_first(&look, &house) {
            let rows = starting::gather(&look)?;
            starting::view(&look, &house, &rows).render()
        } else {
            let gathered = today::gather(&look, &house)?;
            today::view(&look, &house, &gathered).render()
        };
        page.map_err(|_| Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR))
    });
    match made.await {
        Ok(page) => html(StatusCode::OK, page),
        Err(problem) => problem.answer(&headers, |p| app.problem_page(p)),
    }
}

async fn inventory_page(
    State(app): Shared,
    Extension(caller): Who,
    Query(ask): Query<inventory::Ask>,
    headers: HeaderMap,
) -> Answer {
    show(&app, caller, &headers, move |_, look| {
        let house = look.house()?;
        let found = inventory::gather(look, &house, &ask).map_err(|error| {
            // The store is well and the cursor is none: an old link, or one that was cut.
            if !ask.after.is_empty() && error.trouble == notafter_store::Trouble::Other {
                return Problem::bad("There is no such place to go on from.")
                    .hint("begin with the first page");
            }
            error.into()
        })?;
        Ok(inventory::view(look, &house, &ask, &found))
    })
    .await
}

async fn asset_page(
    State(app): Shared,
    Extension(caller): Who,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let Ok(fingerprint) = id.parse::<Fingerprint>() else { return by_prefix(&app, &id, &headers).await };
    show(&app, caller, &headers, move |_, look| {
        let found = asset::gather(look, &fingerprint)?;
        let found = found.ok_or_else(|| Problem::not_found(format!("No asset is called {fingerprint}.")))?;
        Ok(asset::view(look, &look.house()?, &found))
    })
    .await
}

/// An identity that was shortened: to the one it means, or to the list of them.
async fn by_prefix(app: &Arc<App>, id: &str, headers: &HeaderMap) -> Answer {
    let prefix = id.strip_prefix("sha256:").unwrap_or(id).to_ascii_lowercase();
    let fits = (4..=64).contains(&prefix.len()) && prefix.bytes().all(|b| b.is_ascii_hexdigit());
    let none = Problem::not_found(format!("No asset is called {}.", words::clean(id)))
        .hint("search the inventory for a part of its name");
    if !fits {
        return none.answer(headers, |p| app.problem_page(p));
    }
    let asked = prefix.clone();
    let found = work(app, move |app| Ok(app.handle.store.by_id(&asked)?)).await;
    let found = found.and_then(|rows| match rows.as_slice() {
        [] => Err(none),
        [one] => Ok(format!("/asset/{}", one.id)),
        _ => Ok(words::ask(&format!("id:{prefix}"))),
    });
    match found {
        Ok(to) => see_other(&to),
        Err(problem) => problem.answer(headers, |p| app.problem_page(p)),
    }
}

#[derive(Deserialize)]
struct At {
    #[serde(default)]
    at: String,
}

async fn place_page(
    State(app): Shared,
    Extension(caller): Who,
    Query(At { at }): Query<At>,
    headers: HeaderMap,
) -> Answer {
    show(&app, caller, &headers, move |_, look| {
        let found = place::gather(look, &at)?;
        let found = found.ok_or_else(|| {
            Problem::not_found(format!("Nothing is known of the place {}.", words::clean(&at))).hint(
                "a place is written as the inventory shows it: tls://10.0.0.5:443?sni=name, file:///path#1",
            )
        })?;
        Ok(place::view(look, &look.house()?, &found))
    })
    .await
}

async fn findings_page(
    State(app): Shared,
    Extension(caller): Who,
    Query(ask): Query<findings::Ask>,
    headers: HeaderMap,
) -> Answer {
    show(&app, caller, &headers, move |_, look| {
        if let Some((what, hint)) = ask.refused(look) {
            return Err(Problem::bad(what).hint(hint));
        }
        let found = findings::gather(look, &ask)?;
        Ok(findings::view(look, &look.house()?, &ask, &found))
    })
    .await
}

#[derive(Deserialize)]
struct Span {
    #[serde(default)]
    days: i64,
}

async fn forecast_page(
    State(app): Shared,
    Extension(caller): Who,
    Query(Span { days }): Query<Span>,
    headers: HeaderMap,
) -> Answer {
    // What is asked for is one of three; anything else is the middle one.
    let days = forecast::SPANS.into_iter().find(|d| *d == days).unwrap_or(forecast::SPANS[1]);
    show(&app, caller, &headers, move |app, look| {
        let house = look.house()?;
        let seen =
            foreseen::ask(app, days * notafter_pki::time::DAY, &forecast::LIFETIMES, look.now, FORESEEN);
        let found = forecast::gather(look, &house, days, seen)?;
        Ok(forecast::view(look, &house, &found))
    })
    .await
}

async fn sources_page(
    State(app): Shared,
    Extension(caller): Who,
    Query(ask): Query<sources::Ask>,
    headers: HeaderMap,
) -> Answer {
    show(&app, caller, &headers, move |_, look| {
        let found = sources::gather(look, &ask)?;
        Ok(sources::view(look, &look.house()?, &ask, &found))
    })
    .await
}

async fn alerts_page(
    State(app): Shared,
    Extension(caller): Who,
    Query(ask): Query<alerts::Ask>,
    headers: HeaderMap,
) -> Answer {
    show(&app, caller, &headers, move |_, look| {
        if !alerts::STATES.contains(&ask.state.as_str()) {
            let what = format!("state cannot be “{}”.", words::clean(&ask.state));
            return Err(Problem::bad(what).hint("it is open, acknowledged, snoozed or resolved"));
        }
        let house = look.house()?;
        let found = alerts::gather(look, &house, &ask)?;
        Ok(alerts::view(look, &house, &ask, &found, None))
    })
    .await
}

async fn renewals_page(State(app): Shared, Extension(caller): Who, headers: HeaderMap) -> Answer {
    show(&app, caller, &headers, move |_, look| {
        let found = renewals::gather(look)?;
        Ok(renewals::view(look, &look.house()?, &found))
    })
    .await
}

async fn renewal_page(
    State(app): Shared,
    Extension(caller): Who,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Answer {
    show(&app, caller, &headers, move |_, look| {
        let none = || {
            Problem::not_found(format!("No certificate called {} is kept alive here.", words::clean(&name)))
                .hint("/renewals lists all")
        };
        let found = renewals::gather_one(look, &name)?.ok_or_else(none)?;
        Ok(renewals::view(look, &look.house()?, &found))
    })
    .await
}

async fn alert_page(
    State(app): Shared,
    Extension(caller): Who,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    show(&app, caller, &headers, move |_, look| {
        let alert = notafter_engine::hands::find(&look.store, &id)?;
        let id = alert.id();
        let found = alerts::whole(look, vec![alert])?;
        Ok(alerts::view(look, &look.house()?, &alerts::Ask::default(), &found, Some(&id)))
    })
    .await
}

async fn status_page(State(app): Shared, Extension(caller): Who, headers: HeaderMap) -> Answer {
    let all = app.settings.open_reads || caller.is_known();
    show(&app, caller, &headers, move |app, look| {
        let (services, as_of) = app.services(look)?;
        let services: Vec<ServiceState> = services.iter().filter(|s| all || s.public).cloned().collect();
        let days = status::days_of(&look.store, &services, look.now)?;
        let found = status::Gathered {
            services: &services,
            days: &days,
            as_of,
            well: app.handle.status.alive(app.handle.clock.monotonic()) && look.state.trouble.is_none(),
            inside: all,
            valid: STATUS_VALID,
            folder: format!("{}/", look.assets),
            version: look.version,
        };
        Ok(status::view(&found, look.now))
    })
    .await
}

async fn asset_file(
    State(app): Shared,
    Path((stamp, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let none = || Problem::not_found("No such file.").answer(&headers, |p| app.problem_page(p));
    assets::answer(&stamp, &file, &headers).unwrap_or_else(none)
}

impl App {
    /// The services as they were within the last half minute, and when that was.
    fn services(&self, look: &Look) -> Result<(Arc<Vec<ServiceState>>, notafter_core::UnixTime), Problem> {
        let mono = self.handle.clock.monotonic();
        // Whoever comes while it is being looked up waits for that: a thousand readers ask once.
        let mut kept = self.cache.services.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let known = kept.as_ref().filter(|(at, _)| mono.saturating_sub(*at) < SERVICES_FRESH);
        if let Some((at, services)) = known {
            let age = i64::try_from(mono.saturating_sub(*at).as_secs()).unwrap_or(0);
            return Ok((Arc::clone(services), look.now.plus(-age)));
        }
        let services = Arc::new(states(&look.store, &look.setup, look.now)?);
        *kept = Some((mono, Arc::clone(&services)));
        Ok((services, look.now))
    }
}

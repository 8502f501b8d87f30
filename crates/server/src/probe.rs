//! `/probe?target=&module=`: one look at one target, in the words of blackbox_exporter and ssl_exporter.
//!
//! Dashboards and alerts that were written for those two go on working. Unlike theirs, the series about a
//! certificate are there whenever one was shown, also when it does not verify: an alert about an expired
//! certificate must not go quiet because it has expired.
//!
//! A server that connects where a stranger tells it to is a tool for strangers (SSRF). Without the token
//! only targets of configured sources are looked at; a cloud's metadata service never is, whoever asks and
//! however it is spelt; why a look failed is told in a few words that do not tell "refused" from "filtered".
//! The look itself is a [`Prober`]'s, which the binary implements with the same code as `scan`.

pub(crate) mod sheet;
pub mod target;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as With;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use notafter_core::UnixTime;
use notafter_core::joints::BoxFuture;
use notafter_core::observation::Reason;
use notafter_engine::pipeline::Report;
use tokio::sync::Semaphore;

use crate::api::args::pairs;
use crate::api::problem::Problem;
use crate::api::who::Who;
use crate::app::State;
use crate::metrics::answer;
use target::{Asked, Refusal};

/// So many looks at once.
const AT_ONCE: usize = 8;
/// Prometheus wants its answer before its own time is over (blackbox_exporter's offset).
const OFFSET: f64 = 0.5;
/// A look takes so many seconds if nobody says otherwise, and at most so many: less than any answer may take.
const USUAL: f64 = 10.0;
const MOST: f64 = 25.0;

/// Looks at a target once. Implemented by the binary, with what `scan` is made of.
///
/// What an implementation owes to the safety of the machine and its neighbours:
///
/// - A name is resolved once, and what is connected to is one of the addresses that came out of it: never
///   resolve a second time (a name server may answer otherwise then).
/// - Every address is asked about with [`target::is_metadata`] before it is connected to, and
///   [`Prober::covers`] says yes for a name only if its addresses may be looked at, too, where sources name
///   networks and exclusions. An exclusion of the configuration is absolute.
/// - Nothing is fetched that a certificate names, no redirect is followed, nothing is sent but the
///   handshake.
/// - When the future is dropped, the look ends.
pub trait Prober: Send + Sync {
    /// Does the target lie inside a configured source? Then it is looked at without the token. `target` is
    /// as [`Prober::probe`] gets it.
    fn covers(&self, target: &str) -> bool;

    /// Looks once. `target` is in the words of `scan`: `tls://host:port`, with `?sni=` where one was asked
    /// for, `smtp://host:port` and its kin for `starttls`, or `file:///path`. An `Err` means that nothing
    /// could be tried at all; what could not be reached is a blind spot of the report.
    fn probe<'a>(
        &'a self,
        target: &'a str,
        starttls: Option<&'a str>,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Report, String>>;
}

/// Who may look now.
#[derive(Clone)]
struct Looks(Arc<Semaphore>);

/// The route.
pub(crate) fn routes() -> Router<State> {
    let looks = Looks(Arc::new(Semaphore::new(AT_ONCE)));
    Router::new().route("/probe", get(probe)).layer(Extension(looks))
}

/// What came of a look.
pub(crate) struct Looked {
    pub(crate) report: Option<Report>,
    /// Why there is nothing, in the few words there are.
    pub(crate) failure: Option<&'static str>,
    pub(crate) seconds: f64,
    pub(crate) at: UnixTime,
}

async fn probe(
    With(app): With<State>,
    Extension(looks): Extension<Looks>,
    who: Who,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut given = Given::default();
    for (name, value) in pairs(uri.query().unwrap_or(""))? {
        match name.as_str() {
            "target" => given.target = value,
            "module" => given.module = value,
            "hostname" => given.hostname = Some(value).filter(|v| !v.is_empty()),
            "timeout" => given.timeout = Some(value),
            // Prometheus adds what relabelling tells it to; blackbox_exporter ignores the rest, too.
            _ => {}
        }
    }
    let asked = Asked::parse(&given.target, &given.module, given.hostname.as_deref()).map_err(refused)?;
    let prober = app.prober.clone().ok_or_else(|| Problem::not_available("this server looks at nothing"))?;
    let timeout = timeout(given.timeout.as_deref(), &headers)?;
    let allowed = who.signed_in || covers(&prober, &asked).await?;
    if !allowed {
        return Err(Problem::forbidden("without the token only targets of configured sources are looked at")
            .hint("add the target to a [[source]], or send the token"));
    }
    let _look = looks.0.try_acquire().map_err(|_| Problem::busy("eight probes are under way already", 2))?;
    let began = app.handle.clock.monotonic();
    // A little more than the prober was given, so that it can say itself that its time was over.
    let whole = timeout + Duration::from_millis(250);
    let look = prober.probe(&asked.target, asked.starttls, timeout);
    let (report, failure) = match tokio::time::timeout(whole, look).await {
        Ok(Ok(report)) => {
            let failure = failure(&report);
            (Some(report), failure)
        }
        Ok(Err(_)) => (None, Some("unreachable")),
        Err(_) => (None, Some("unreachable")),
    };
    let seconds = app.handle.clock.monotonic().saturating_sub(began).as_secs_f64();
    let looked = Looked { report, failure, seconds, at: app.handle.clock.now() };
    let setup = app.handle.setup();
    let sheet = tokio::task::spawn_blocking(move || sheet::write(&asked, &looked, &setup.trust))
        .await
        .map_err(|_| Problem::internal())?;
    Ok(answer(sheet.into()))
}

#[derive(Default)]
struct Given {
    target: String,
    module: String,
    hostname: Option<String>,
    timeout: Option<String>,
}

/// Asking what is covered may resolve names: it may block.
async fn covers(prober: &Arc<dyn Prober>, asked: &Asked) -> Result<bool, Problem> {
    let (prober, target) = (Arc::clone(prober), asked.target.clone());
    tokio::task::spawn_blocking(move || prober.covers(&target)).await.map_err(|_| Problem::internal())
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Wrong { detail, hint } => Problem::bad_request(detail).hint(hint),
        Refusal::Metadata => Problem::forbidden("the metadata service of a cloud is never looked at"),
    }
}

/// Why nothing was seen: what a stranger may know. Refused, filtered and silent are one word, so that
/// nobody can map a network with our probes.
fn failure(report: &Report) -> Option<&'static str> {
    let inventory = &report.inventory;
    if inventory.placements().iter().any(|p| p.chain.is_some()) {
        return None;
    }
    Some(match inventory.blind_spots().first().map(|spot| spot.reason) {
        Some(Reason::Dns) => "dns",
        Some(Reason::NoTls | Reason::Handshake) => "handshake",
        Some(
            Reason::PermissionDenied
            | Reason::WrongPassword
            | Reason::UnsupportedFormat
            | Reason::Malformed
            | Reason::TooLarge
            | Reason::SpecialFile
            | Reason::OtherFilesystem,
        ) => "unreadable",
        None if report.faults.is_empty() => "nothing",
        _ => "unreachable",
    })
}

/// How long a look may take: what is asked for, and what Prometheus has time for, whichever is less.
fn timeout(asked: Option<&str>, headers: &HeaderMap) -> Result<Duration, Problem> {
    let wrong = || Problem::bad_request("`timeout` is no time").hint("write seconds: 5 or 2.5s");
    let asked = match asked {
        Some(text) => {
            let number: f64 = text.strip_suffix('s').unwrap_or(text).parse().map_err(|_| wrong())?;
            if !number.is_finite() || number <= 0.0 {
                return Err(wrong());
            }
            Some(number)
        }
        None => None,
    };
    let scrape = headers
        .get("x-prometheus-scrape-timeout-seconds")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<f64>().ok())
        .filter(|seconds| seconds.is_finite() && *seconds > 0.0)
        .map(|seconds| seconds - OFFSET);
    let seconds = match (asked, scrape) {
        (Some(asked), Some(scrape)) => asked.min(scrape),
        (one, other) => one.or(other).unwrap_or(USUAL),
    };
    Ok(Duration::from_secs_f64(seconds.clamp(0.1, MOST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_a_look_may_take() {
        for (asked, header, seconds) in [
            (None, None, Some(10.0)),
            (Some("5"), None, Some(5.0)),
            (Some("2.5s"), None, Some(2.5)),
            (None, Some("10"), Some(9.5)),
            (Some("20"), Some("10"), Some(9.5)),
            (Some("3"), Some("10"), Some(3.0)),
            (None, Some("0.2"), Some(0.1)),
            (None, Some("1e300"), Some(25.0)),
            (None, Some("-1"), Some(10.0)),
            (None, Some("NaN"), Some(10.0)),
            (Some("999999"), None, Some(25.0)),
            (Some("soon"), None, None),
            (Some("-1"), None, None),
            (Some("inf"), None, None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = header {
                headers.insert("X-Prometheus-Scrape-Timeout-Seconds", value.parse().unwrap());
            }
            let got = timeout(asked, &headers).ok();
            assert_eq!(got, seconds.map(Duration::from_secs_f64), "{asked:?} {header:?}");
        }
    }
}

//! The application: what is answered where, and the loop that serves it.
//!
//! Each module has `routes()`; they are merged here, behind one gate (`access`), one limit of size and time, and
//! one compression. What is not listed here is not reachable.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::{Response, StatusCode};
use axum::middleware::from_fn_with_state;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use notafter_engine::serve::Handle;
use notafter_engine::service::ServiceState;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate};
use tower_http::timeout::TimeoutLayer;

use crate::access::{self, BODY_MAX, Rules, Uncompressed};
use crate::challenge::Challenges;
use crate::problem::Problem;
use crate::session::Access;
use crate::views::bare;
use crate::{api, assets, calendar, challenge, export, health, metrics, pages, probe};

/// An answer that is not ready after so long is given up.
const ANSWER: Duration = Duration::from_secs(30);
/// The head of a request must have come after so long.
const HEAD: Duration = Duration::from_secs(10);
/// So many connections at once; the others wait to be accepted.
const CONNECTIONS: usize = 512;
/// On shutdown, answers under way have so long.
const DRAIN: Duration = Duration::from_secs(10);

/// How the server answers, from the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where it is reached from outside.
    pub public_url: Option<String>,
    /// Does a proxy in front of it speak TLS?
    pub behind_proxy: bool,
    /// May anyone who reaches it read?
    pub open_reads: bool,
    /// Further names that the Host header may have.
    pub hosts: Vec<String>,
    /// SHA-256 of the access token.
    pub token_hash: [u8; 32],
    /// So many series has `/metrics` at most.
    pub max_series: usize,
    /// May strangers see the status page?
    pub status_public: bool,
    /// What a CA is answered that looks for a token of http-01.
    pub challenges: Challenges,
    /// The program's version.
    pub version: &'static str,
}

impl Default for Settings {
    /// On loopback, open to whoever reaches it, with a token that nobody has.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4747)),
            public_url: None,
            behind_proxy: false,
            open_reads: true,
            hosts: Vec::new(),
            token_hash: [0; 32],
            max_series: 20_000,
            status_public: false,
            challenges: Challenges::default(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// What every answer is made from.
pub struct App {
    pub(crate) handle: Arc<Handle>,
    pub(crate) settings: Settings,
    pub(crate) access: Arc<Access>,
    pub(crate) rules: Rules,
    pub(crate) cache: Cache,
    /// What looks at a target for `/probe`.
    pub(crate) prober: Option<Arc<dyn probe::Prober>>,
}

/// What a handler is given.
pub type State = Arc<App>;

/// What is asked of everything at once, and therefore not on every request: with the time it was asked.
#[derive(Default)]
pub(crate) struct Cache {
    pub(crate) services: Mutex<Option<(Duration, Arc<Vec<ServiceState>>)>>,
    pub(crate) foreseen: crate::foreseen::Foreseen,
}

impl App {
    /// The application over a running engine.
    pub fn new(handle: Arc<Handle>, settings: Settings, prober: Option<Arc<dyn probe::Prober>>) -> Arc<Self> {
        let access = Access::new(Arc::clone(&handle.store), Arc::clone(&handle.clock), settings.token_hash);
        let lower = |h: &String| h.trim().to_ascii_lowercase();
        let rules = Rules {
            hosts: settings.hosts.iter().map(lower).collect(),
            public: settings.public_url.as_deref().and_then(access::authority_of),
            open_reads: settings.open_reads,
            status_public: settings.status_public,
        };
        Arc::new(Self { handle, settings, access: Arc::new(access), rules, cache: Cache::default(), prober })
    }

    /// Sign-in links are made here.
    pub fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// Everything that is answered.
    pub fn router(self: &Arc<Self>) -> Router {
        let gate = from_fn_with_state(Arc::clone(self), access::guard);
        // A new module gives its `routes()` and stands here; the gate below is in front of it already, and
        // puts the `access::Caller` into each request.
        Router::new()
            .merge(api::routes())
            .merge(calendar::routes())
            .merge(export::routes())
            .merge(health::routes())
            .merge(metrics::routes())
            .merge(pages::routes())
            .merge(probe::routes())
            .fallback(pages::nothing_here)
            .layer(DefaultBodyLimit::max(BODY_MAX))
            .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, ANSWER))
            .layer(gate)
            // A CA comes by the name of the certificate, which is none of ours.
            .merge(challenge::routes())
            .layer(CompressionLayer::new().gzip(true).compress_when(Worth(DefaultPredicate::new())))
            .with_state(Arc::clone(self))
    }

    /// Must a cookie only travel over TLS?
    pub(crate) fn is_secure(&self) -> bool {
        let https = self.settings.public_url.as_deref().is_some_and(|url| url.starts_with("https://"));
        https || self.settings.behind_proxy
    }

    pub(crate) fn problem_page(&self, problem: &Problem) -> String {
        bare::problem(problem, self.bare(problem.status.canonical_reason().unwrap_or("Problem")))
    }

    /// What a page has that asks nothing of the store.
    pub(crate) fn bare(&self, title: &str) -> crate::views::bare::Bare {
        let now = self.handle.clock.now();
        bare::bare(title, assets::folder(self.settings.version), self.settings.version, now)
    }
}

/// The application as a router; sign-in links need the [`App`] itself.
pub fn app(handle: Arc<Handle>, settings: Settings) -> Router {
    App::new(handle, settings, None).router()
}

/// Compress what is long enough and text, and holds no secret.
#[derive(Clone)]
struct Worth(DefaultPredicate);

impl Predicate for Worth {
    fn should_compress<B: axum::body::HttpBody>(&self, response: &Response<B>) -> bool {
        response.extensions().get::<Uncompressed>().is_none() && self.0.should_compress(response)
    }
}

/// Serves until `shutdown`, then lets what is under way end, for ten seconds at most.
pub async fn serve(listener: tokio::net::TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let room = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            () = &mut shutdown => break,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, or the peer is gone again: a busy loop would make the former worse.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_headers(64)
            .max_buf_size(64 * 1024)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // What a client does to its own connection is no fault of ours.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
}

/// An answer with this HTML.
pub(crate) fn html(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let kind = axum::http::HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(axum::http::header::CONTENT_TYPE, kind);
    response
}

//! For tests: a server with a seeded memory, a clock that stands still, and a client without a network.

pub(crate) mod clerk;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use notafter_core::UnixTime;
use notafter_core::fault::Fault;
use notafter_core::finding::Severity;
use notafter_core::inventory::Inventory;
use notafter_core::joints::{BoxFuture, Cx, Notifier, Sink, Source};
use notafter_core::location::Location;
use notafter_core::notice::Notice;
use notafter_core::observation::{Facts, Observation, Possession, Reason, Seen};
use notafter_core::owner::{Match, Owner};
use notafter_core::policy::Policy;
use notafter_core::proof::{Expectation, PlaceProof};
use notafter_core::query::Query;
use notafter_core::renew::{Renewal, State, TargetState, TargetWork};
use notafter_core::scan::{Progress, Scan};
use notafter_core::trust::TrustStores;
use notafter_engine::clock::SimulatedClock;
use notafter_engine::ingest::Ingest;
use notafter_engine::serve::{Engine, Handle};
use notafter_engine::setup::{Channel, Person, Planned, Service, Setup};
use notafter_store::works::Note;
use notafter_store::{Database, Store};
use tower::ServiceExt;

use crate::probe::Prober;
use crate::{App, Settings};

/// The instant at which everything happens: 2026-11-21T00:00:00Z.
pub(crate) const NOW: UnixTime = UnixTime(1_795_219_200);
const DAY: i64 = 86_400;

/// A name that a page, a spreadsheet and a metric must survive.
pub(crate) const HOSTILE: &str = "=HYPERLINK(\"http://x\")\\,\"} 1 <img src=x onerror=alert(1)>";

/// A server on the bench.
pub(crate) struct Bench {
    pub(crate) handle: Arc<Handle>,
    engine: Engine,
    router: Router,
    pub(crate) access: Arc<crate::Access>,
}

/// A certificate with these names that ends in so many days.
pub(crate) fn certificate(common_name: &str, names: &[&str], days: i64) -> Arc<[u8]> {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    params.distinguished_name.push(rcgen::DnType::OrganizationalUnitName, "Unit, \"quoted\"");
    let at = |seconds: i64| time::OffsetDateTime::from_unix_timestamp(NOW.0 + seconds).unwrap();
    params.not_before = at((days - 90) * DAY);
    params.not_after = at(days * DAY);
    let key = rcgen::KeyPair::generate().unwrap();
    Arc::from(params.self_signed(&key).unwrap().der().as_ref())
}

/// A root, and a certificate for `ok.test` that it signed.
pub(crate) fn authority() -> (Arc<[u8]>, Arc<[u8]>) {
    let at = |days: i64| time::OffsetDateTime::from_unix_timestamp(NOW.0 + days * DAY).unwrap();
    let params = |name: &str, names: Vec<String>| {
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        (params.not_before, params.not_after) = (at(-10), at(50));
        params
    };
    let mut root = params("Root", Vec::new());
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let der = root.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(root, key);
    let leaf = params("ok.test", vec!["ok.test".to_owned()]);
    let leaf = leaf.signed_by(&rcgen::KeyPair::generate().unwrap(), &issuer).unwrap();
    (Arc::from(der.der().as_ref()), Arc::from(leaf.der().as_ref()))
}

/// What a look at an endpoint gives.
pub(crate) fn seen(location: &str, der: Arc<[u8]>) -> Observation {
    let facts = Facts {
        protocol: Some(Arc::from("tls")),
        tls_version: Some(0x0304),
        cipher: Some(0x1301),
        possession: Some(Possession::Verified),
        ..Facts::default()
    };
    let seen = Seen::Chain { chain: vec![der], role: None, leads: true, facts };
    Observation { at: NOW, location: Location::parse(location).unwrap(), seen }
}

/// What a look that fails gives.
pub(crate) fn failed(location: &str, reason: Reason) -> Observation {
    let seen = Seen::Failed { reason, detail: "secret detail".to_owned() };
    Observation { at: NOW, location: Location::parse(location).unwrap(), seen }
}

/// An inventory of observations.
pub(crate) fn inventory(observations: Vec<Observation>) -> Inventory {
    let ingest = Ingest::new(Inventory::default(), None, true);
    observations.into_iter().for_each(|o| ingest.put(o));
    ingest.take()
}

/// What the source sees, whenever it looks.
struct Office(Vec<Observation>);

impl Office {
    fn new() -> Self {
        let wild = certificate("wild", &["*.example.com"], 80);
        Self(vec![
            seen("tls://10.0.0.5:443?sni=api.example.com", certificate("api", &["api.example.com"], 5)),
            seen("tls://10.0.0.6:443?sni=a.example.com", Arc::clone(&wild)),
            seen("tls://10.0.0.7:443?sni=b.example.com", wild),
            seen("tls://10.0.0.8:443", certificate(HOSTILE, &[], -3)),
            failed("tls://10.0.0.9:443", Reason::Timeout),
        ])
    }
}

impl Source for Office {
    fn discover<'a>(&'a self, cx: &'a Cx, out: Arc<dyn Sink>) -> BoxFuture<'a, Result<Scan, Fault>> {
        Box::pin(async move {
            self.0.iter().for_each(|observation| out.put(observation.clone()));
            let counted = &cx.progress;
            for (counter, n) in [(&counted.attempted, 5), (&counted.reached, 4), (&counted.unreachable, 1)] {
                Progress::add(counter, n);
            }
            Ok(counted.scan())
        })
    }
}

struct Silent;

impl Notifier for Silent {
    fn notify<'a>(
        &'a self,
        _cx: &'a Cx,
        _to: Option<&'a str>,
        _notice: &'a Notice,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }
}

/// What the engine works by.
pub(crate) fn setup(trust: TrustStores) -> Setup {
    let person =
        || Person { notify: vec![("mail".into(), Some("x@example.test".into()))], ..Person::default() };
    let office = Arc::new(Office::new());
    let planned = Planned {
        name: "office".into(),
        every: 3600,
        targets: vec!["10.0.0.0/24".into()],
        owner: None,
        build: Arc::new(move |_| Ok(vec![Arc::clone(&office) as Arc<dyn Source>])),
    };
    let web = Owner {
        name: "web team".into(),
        matches: vec![Match::parse("name:*.example.com").unwrap()],
        default: false,
        needs_days: None,
    };
    let service = Service {
        name: "login".into(),
        places: Query::parse("name:api.example.com").unwrap().terms,
        public: true,
    };
    Setup {
        sources: vec![planned],
        trust,
        policy: Policy::default(),
        owners: vec![web],
        people: BTreeMap::from([("web team".to_owned(), person()), ("house".to_owned(), person())]),
        last_resort: "house".to_owned(),
        channels: BTreeMap::from([(
            "mail".to_owned(),
            Channel { notifier: Arc::new(Silent), least: Severity::Info },
        )]),
        services: vec![service],
        pulse: None,
        public_url: Some("https://certs.example.test".to_owned()),
        digest: None,
        patience: notafter_core::alert::decide::Patience { settle: 0, settle_most: 0, mended: 0 },
        keeping: Some(clerk::keeping()),
        judgment_key: "1".to_owned(),
    }
}

/// What the configuration would say. The token is `bench`.
pub(crate) fn settings(max_series: usize) -> Settings {
    Settings { token_hash: notafter_engine::notify::secret_hash("bench"), max_series, ..Settings::default() }
}

/// Two that are kept alive: one was seen in use, one failed with a word that a page must survive.
fn renewals(store: &Store) {
    let holder = ("bench", NOW.plus(60));
    let target = |label: &str, state, place: PlaceProof| TargetWork {
        label: label.to_owned(),
        wave: 0,
        state,
        made_from: String::new(),
        receipt: None,
        prove_until: None,
        places: vec![place],
        said: String::new(),
    };
    let chain = vec![certificate("api", &["api.example.com"], 60).to_vec()];
    let place = "tls://10.0.0.5:443?sni=api.example.com";
    let mut proved = PlaceProof::of(place);
    let expected = Expectation::new(&chain[0], [], None);
    proved.judge(&expected, &[seen(place, Arc::from(chain[0].as_slice()))], "bench");
    let mut web = Renewal::begin("web", 1, "a third of its lifetime is left", NOW.plus(-3600));
    (web.chain, web.state) = (chain, State::Proved);
    web.targets = vec![target("nginx", TargetState::Done, proved)];
    let mut odd = Renewal::begin(HOSTILE, 1, "asked for", NOW.plus(-60));
    odd.targets = vec![target(HOSTILE, TargetState::Failed, PlaceProof::of(HOSTILE))];
    odd.needs_somebody(format!("ca: {HOSTILE}"));
    for renewal in [web, odd] {
        let note = |what| Note { what, detail: renewal.name.clone(), proofs: Vec::new() };
        let begun = Renewal::begin(&renewal.name, 1, renewal.cause.clone(), NOW);
        assert!(store.begin_work(&begun, &note("renewal-begun"), NOW).unwrap());
        let held = store.hold_work(&renewal.name, 1, holder.0, holder.1, NOW).unwrap().unwrap();
        assert!(store.put_work(&renewal, held.version, holder, &note("renewed"), NOW).unwrap().is_some());
    }
}

impl Bench {
    /// A server that has judged what it knows, and told it.
    pub(crate) fn new() -> Self {
        Self::with(settings(20_000), None)
    }

    pub(crate) fn with(settings: Settings, prober: Option<Arc<dyn Prober>>) -> Self {
        Self::build(settings, prober, TrustStores::default())
    }

    pub(crate) fn build(settings: Settings, prober: Option<Arc<dyn Prober>>, trust: TrustStores) -> Self {
        Self::of(settings, prober, setup(trust))
    }

    /// One whose office sees more than usual.
    pub(crate) fn seeing(more: Vec<Observation>) -> Self {
        let mut setup = setup(TrustStores::default());
        let office = Arc::new(Office(Office::new().0.into_iter().chain(more).collect()));
        setup.sources[0].build = Arc::new(move |_| Ok(vec![Arc::clone(&office) as Arc<dyn Source>]));
        Self::of(settings(20_000), None, setup)
    }

    fn of(settings: Settings, prober: Option<Arc<dyn Prober>>, setup: Setup) -> Self {
        let store = Arc::new(Store::open(&Database::Memory, NOW).unwrap());
        let clock = Arc::new(SimulatedClock::at(NOW));
        let runtime = tokio::runtime::Handle::current();
        let log = Arc::new(|_: &str| {});
        let (mut engine, handle) =
            Engine::new(store, clock, setup, Arc::from("bench"), runtime, log).unwrap();
        for _ in 0..3 {
            engine.pass();
            engine.settle();
        }
        renewals(&handle.store);
        clerk::waits(&handle.store);
        let app = App::new(Arc::clone(&handle), settings, prober);
        Self { handle, engine, router: app.router(), access: Arc::clone(app.access()) }
    }

    /// Lets the engine do what is due.
    pub(crate) fn pass(&mut self) {
        self.engine.pass();
        self.engine.settle();
    }

    /// Sends a request as a stranger, or with the token.
    pub(crate) async fn send(&self, mut request: Request<Body>, token: bool) -> Response<Body> {
        let headers = request.headers_mut();
        headers.insert("host", HeaderValue::from_static("localhost:4747"));
        if token {
            headers.insert("authorization", HeaderValue::from_static("Bearer bench"));
        }
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Gets a path as a stranger.
    pub(crate) async fn get(&self, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        read(self.send(request, false).await).await
    }

    /// Gets JSON that must be there.
    pub(crate) async fn json(&self, path: &str) -> serde_json::Value {
        let (status, text) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Posts JSON with the token.
    pub(crate) async fn post(&self, path: &str, body: &serde_json::Value) -> (StatusCode, String) {
        let request = Request::post(path).header("content-type", "application/json");
        read(self.send(request.body(Body::from(body.to_string())).unwrap(), true).await).await
    }
}

/// Status and body.
pub(crate) async fn read(response: Response<Body>) -> (StatusCode, String) {
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), 64 << 20).await.unwrap();
    (status, String::from_utf8_lossy(&bytes).into_owned())
}

//! A small company on a simulated clock: its world, the eyes that see it, the post that carries messages, and the server
//! between them. Everything but the world is the real thing: engine, store, rules, decisions, outbox.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::alert::decide::Patience;
use notafter_core::clock::Clock;
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::finding::Severity;
use notafter_core::joints::{BoxFuture, Cx, Notifier, Sink, Source};
use notafter_core::location::Location;
use notafter_core::notice::{Event, Notice};
use notafter_core::observation::{Facts, Observation, Seen};
use notafter_core::owner::{Match, Owner};
use notafter_core::policy::Policy;
use notafter_core::scan::Scan;
use notafter_core::trust::TrustStores;
use notafter_engine::clock::SimulatedClock;
use notafter_engine::serve::{Engine, Handle};
use notafter_engine::setup::{Channel, Person, Planned, Setup};
use notafter_store::{Database, Store};
use rcgen::{CertificateParams, DnType, Issuer, KeyPair};

pub(crate) const DAY: i64 = 86_400;
pub(crate) const HOUR: u64 = 3600;
/// 2026-01-01.
pub(crate) const START: UnixTime = UnixTime(1_767_225_600);

/// A chain, and when its leaf ends.
pub(crate) type Served = (Vec<Arc<[u8]>>, UnixTime);
/// How the mail server is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mail {
    #[default]
    Up,
    /// It does not answer.
    Down,
    /// It refuses everything, for good.
    Refuses,
    /// A defect of ours.
    Breaks,
}
/// What was carried and when, and how the mail server is.
pub(crate) type Carried = (Vec<(UnixTime, Notice)>, Mail);

/// Who issues, and for whom what is served now.
pub(crate) struct World {
    pub(crate) issuer: Issuer<'static, KeyPair>,
    pub(crate) root: Arc<[u8]>,
    pub(crate) served: BTreeMap<String, Served>,
    /// What lies in files alone, by path.
    pub(crate) filed: BTreeMap<String, Served>,
    pub(crate) broken: bool,
    pub(crate) trouble: Option<&'static str>,
}

impl World {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![]).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, "House CA");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) = (time(START.plus(-1000 * DAY)), time(START.plus(9000 * DAY)));
        let root = params.self_signed(&key).expect("a root").der().to_vec();
        Self {
            issuer: Issuer::new(params, key),
            root: root.into(),
            served: BTreeMap::new(),
            filed: BTreeMap::new(),
            broken: false,
            trouble: None,
        }
    }

    /// Installs a certificate of so many days for a name, from `begin` on.
    pub(crate) fn install(&mut self, name: &str, begin: UnixTime, days: i64) {
        let one = self.issue(name, begin, days);
        self.served.insert(name.to_owned(), one);
    }

    /// Lays a certificate of so many days into a file of its name, which nothing here reads.
    pub(crate) fn lay(&mut self, name: &str, begin: UnixTime, days: i64) {
        let one = self.issue(name, begin, days);
        self.filed.insert(format!("/srv/{name}.pem"), one);
    }

    fn issue(&self, name: &str, begin: UnixTime, days: i64) -> Served {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        (params.not_before, params.not_after) = (time(begin), time(begin.plus(days * DAY)));
        // A key each: one for all would be a finding of its own.
        let key = KeyPair::generate().expect("a key");
        let leaf = params.signed_by(&key, &self.issuer).expect("a leaf").der().to_vec();
        (vec![leaf.into(), Arc::clone(&self.root)], begin.plus(days * DAY))
    }
}

pub(crate) fn time(at: UnixTime) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(at.0).expect("a time")
}

/// Sees the world as it is.
pub(crate) struct Eyes(pub(crate) Arc<Mutex<World>>);

impl Source for Eyes {
    fn discover<'a>(&'a self, cx: &'a Cx, out: Arc<dyn Sink>) -> BoxFuture<'a, Result<Scan, Fault>> {
        Box::pin(async move {
            let world = lock(&self.0);
            match world.trouble {
                Some("defect") => panic!("a certificate this source was not made for"),
                Some("blind") => {
                    cx.progress.attempted.fetch_add(8, std::sync::atomic::Ordering::Relaxed);
                    return Ok(Scan::default());
                }
                _ => {}
            }
            if world.broken {
                return Err(Fault::new(FaultKind::System, "no route to the office"));
            }
            for (n, (name, (chain, _))) in world.served.iter().enumerate() {
                let address =
                    std::net::SocketAddr::from(([10, 0, (n / 250) as u8, (n % 250) as u8 + 1], 443));
                let location = Location::endpoint("tls", address, Some(name));
                let facts =
                    Facts { protocol: Some("tls".into()), tls_version: Some(0x0304), ..Facts::default() };
                let seen = Seen::Chain { chain: chain.clone(), role: None, leads: true, facts };
                out.put(Observation { at: cx.clock.now(), location, seen });
            }
            for (path, (chain, _)) in &world.filed {
                let location = Location::file(path.as_bytes(), "");
                let chain = chain[..1].to_vec();
                let seen = Seen::Chain { chain, role: None, leads: true, facts: Facts::default() };
                out.put(Observation { at: cx.clock.now(), location, seen });
            }
            Ok(Scan::default())
        })
    }
}

/// Everything that was carried: when, to whom, what.
#[derive(Clone, Default)]
pub(crate) struct Post(pub(crate) Arc<Mutex<Carried>>);

impl Notifier for Post {
    fn notify<'a>(
        &'a self,
        cx: &'a Cx,
        _: Option<&'a str>,
        notice: &'a Notice,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let mut post = self.0.lock().expect("the post");
            match post.1 {
                Mail::Up => {}
                Mail::Breaks => {
                    drop(post);
                    panic!("not made for this");
                }
                Mail::Down => {
                    return Err(Fault::new(FaultKind::Unreachable, "the mail server does not answer"));
                }
                Mail::Refuses => {
                    return Err(Fault::new(FaultKind::Refused, "500 no").retry(Retry::Never));
                }
            }
            post.0.push((cx.clock.now(), notice.clone()));
            Ok(())
        })
    }
}

/// A defect in one source is no end of the world.
pub(crate) fn lock(world: &Mutex<World>) -> std::sync::MutexGuard<'_, World> {
    world.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub(crate) struct Company {
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) post: Post,
    pub(crate) clock: Arc<SimulatedClock>,
    pub(crate) engine: Engine,
    pub(crate) handle: Arc<Handle>,
    pub(crate) _runtime: tokio::runtime::Runtime,
}

impl Company {
    pub(crate) fn new() -> Self {
        Self::with(Policy { gone_after: Some(7 * DAY), owners_expected: true, ..Policy::default() })
    }

    pub(crate) fn with(policy: Policy) -> Self {
        Self::among(policy, true)
    }

    /// `rest`: does somebody answer for what nobody is named for?
    pub(crate) fn among(policy: Policy, rest: bool) -> Self {
        let world = Arc::new(Mutex::new(World::new()));
        let post = Post::default();
        let clock = Arc::new(SimulatedClock::at(START));
        let store = Arc::new(Store::open(&Database::Memory, START).expect("a store"));
        let eyes = Arc::clone(&world);
        let planned = Planned {
            name: "office".into(),
            every: 6 * 3600,
            targets: vec!["10.0.0.0/22".into()],
            owner: None,
            build: Arc::new(move |_| Ok(vec![Arc::new(Eyes(Arc::clone(&eyes))) as Arc<dyn Source>])),
        };
        let owner = |name: &str, rule: &str, default| Owner {
            name: name.into(),
            matches: if rule.is_empty() { vec![] } else { vec![Match::parse(rule).expect("a rule")] },
            default,
            needs_days: None,
        };
        let person = |to: Option<&str>| Person {
            notify: vec![("post".into(), None)],
            escalate_to: to.map(str::to_owned),
            ..Person::default()
        };
        let setup = Setup {
            sources: vec![planned],
            trust: TrustStores { mozilla: vec![], system: vec![], given: vec![] },
            policy,
            owners: vec![owner("web", "name:*.web.test", false), owner("house", "", rest)],
            people: [("web".to_owned(), person(Some("house"))), ("house".to_owned(), person(None))].into(),
            last_resort: "house".into(),
            channels: [(
                "post".to_owned(),
                Channel { notifier: Arc::new(post.clone()), least: Severity::Info },
            )]
            .into(),
            services: vec![],
            pulse: None,
            public_url: Some("https://certs.test".into()),
            digest: Some((0, 8 * 3600)),
            patience: Patience::default(),
            keeping: None,
            judgment_key: "1".into(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (engine, handle) = Engine::new(
            store,
            Arc::clone(&clock) as Arc<dyn Clock>,
            setup,
            "test".into(),
            runtime.handle().clone(),
            Arc::new(|_| {}),
        )
        .expect("an engine");
        Self { world, post, clock, engine, handle, _runtime: runtime }
    }

    /// Lets so many hours pass, one at a time; `each` is called with the hour's beginning.
    pub(crate) fn live(&mut self, hours: u64, mut each: impl FnMut(UnixTime, &mut World)) {
        for _ in 0..hours {
            each(self.clock.now(), &mut lock(&self.world));
            // Within an hour, whatever follows from what was seen is done: seen, judged, told, carried.
            for part in [HOUR / 4, HOUR * 3 / 4] {
                self.clock.advance(Duration::from_secs(part));
                self.engine.pass();
                self.engine.settle();
            }
        }
    }

    pub(crate) fn told(&self) -> Vec<(UnixTime, Notice)> {
        self.post.0.lock().expect("the post").0.clone()
    }

    /// Days on which a kind of message about a name went to somebody.
    pub(crate) fn days(&self, owner: &str, event: Event, name: &str) -> Vec<i64> {
        let about = |n: &Notice| n.title.contains(name) || n.items.iter().any(|i| i.name == name);
        let told = self.told();
        let fits = told.iter().filter(|(_, n)| n.owner == owner && n.event == event && about(n));
        fits.map(|(at, _)| (at.0 - START.0) / DAY).collect()
    }
}

//! A house to show: certificates, places and people invented, seen and judged by the real engine on a clock that
//! stands still. Hostile names are in it. Shared by the tests and by `examples/house.rs`.

#![allow(dead_code, reason = "the tests and the example use their own parts")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::alert::decide::Patience;
use notafter_core::clock::Clock;
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::{BoxFuture, Cx, Notifier, Sink, Source};
use notafter_core::location::Location;
use notafter_core::observation::{Facts, FileFacts, Observation, Possession, Process, Reason, Seen};
use notafter_core::owner::{Match, Owner};
use notafter_core::policy::Policy;
use notafter_core::query::Query;
use notafter_core::scan::Scan;
use notafter_engine::clock::SimulatedClock;
use notafter_engine::serve::{Engine, Handle};
use notafter_engine::setup::{Channel, Person, Planned, Service, Setup};
use notafter_server::{App, Settings};
use notafter_store::{Database, Store};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};

const DAY: i64 = 86_400;
/// 2026-11-21T15:04:00Z
pub(crate) const NOW: UnixTime = UnixTime(1_795_273_440);
pub(crate) const HOSTILE: &str = "<img src=x onerror=alert(1)>";
/// The right-to-left override in it must never reach a page.
pub(crate) const BIDI: &str = "invoice-\u{202e}gpj.exe.example.com";
pub(crate) const TOKEN: &str = "a token for tests";

/// A house, its engine, and the application over it.
pub(crate) struct House {
    pub(crate) engine: Engine,
    pub(crate) handle: Arc<Handle>,
    pub(crate) clock: Arc<SimulatedClock>,
    pub(crate) world: Arc<World>,
    pub(crate) app: Arc<App>,
}

type Sights = Vec<(Location, Seen)>;

/// What there is to be seen, by source; a source that fails has none.
#[derive(Default)]
pub(crate) struct World(Mutex<BTreeMap<String, Option<Sights>>>);

impl World {
    fn set(&self, source: &str, seen: Option<Vec<(Location, Seen)>>) {
        self.0.lock().unwrap().insert(source.to_owned(), seen);
    }
}

/// Takes every message.
struct Post;

impl Notifier for Post {
    fn notify<'a>(
        &'a self,
        _cx: &'a Cx,
        _to: Option<&'a str>,
        _notice: &'a notafter_core::notice::Notice,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }
}

struct Looking {
    world: Arc<World>,
    name: String,
}

impl Source for Looking {
    fn discover<'a>(&'a self, cx: &'a Cx, out: Arc<dyn Sink>) -> BoxFuture<'a, Result<Scan, Fault>> {
        Box::pin(async move {
            let seen = self.world.0.lock().unwrap().get(&self.name).cloned().flatten();
            let Some(seen) = seen else {
                let odd = if self.name.contains('<') { format!(" {HOSTILE}") } else { String::new() };
                return Err(Fault::new(FaultKind::Unreachable, format!("the agent does not answer{odd}")));
            };
            let at = cx.clock.now();
            let (mut n, mut files, mut silent) = (0, 0, 0);
            for (location, seen) in seen {
                match (location.is_file(), &seen) {
                    (true, Seen::Failed { .. }) => {}
                    (true, _) => files += 1,
                    (false, Seen::Failed { .. }) => (n, silent) = (n + 1, silent + 1),
                    (false, _) => n += 1,
                }
                out.put(Observation { at, location, seen });
            }
            let counts = &cx.progress;
            let add = notafter_core::scan::Progress::add;
            add(&counts.files, files);
            add(&counts.attempted, n);
            add(&counts.reached, n - silent);
            add(&counts.unreachable, silent);
            Ok(cx.progress.scan())
        })
    }
}

/// Issues certificates.
pub(crate) struct Authority {
    pub(crate) der: Arc<[u8]>,
    issuer: rcgen::Issuer<'static, KeyPair>,
}

fn params(names: &[&str], common: &str, from: i64, until: i64) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let day = |d: i64| epoch + Duration::from_secs((NOW.0 + d * DAY + 600) as u64);
    (params.not_before, params.not_after) = (day(from), day(until));
    params
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(&[], name, -1000, 2000);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = params.self_signed(&key).unwrap().der().to_vec().into();
        Self { der, issuer: rcgen::Issuer::new(params, key) }
    }

    /// A leaf, from and until so many days from now.
    pub(crate) fn leaf(&self, names: &[&str], common: &str, from: i64, until: i64) -> Arc<[u8]> {
        let key = KeyPair::generate().unwrap();
        params(names, common, from, until).signed_by(&key, &self.issuer).unwrap().der().to_vec().into()
    }
}

fn at(text: &str) -> Location {
    Location::parse(text).unwrap()
}

fn served(location: &str, chain: &[&Arc<[u8]>], possession: Possession) -> (Location, Seen) {
    let process = Process { pid: 812, name: format!("nginx{HOSTILE}"), unit: Some("nginx.service".into()) };
    let facts = Facts {
        protocol: Some("tls".into()),
        tls_version: Some(0x0304),
        possession: Some(possession),
        process: Some(Arc::new(process)),
        ..Facts::default()
    };
    let chain = chain.iter().map(|d| Arc::clone(d)).collect();
    (at(location), Seen::Chain { chain, role: None, leads: true, facts })
}

fn in_file(location: &str, chain: &[&Arc<[u8]>]) -> (Location, Seen) {
    let file =
        FileFacts { mode: 0o644, uid: 0, owner: Some("root".into()), mtime: NOW, reachable_by_others: true };
    let facts = Facts { file: Some(Arc::new(file)), ..Facts::default() };
    let chain = chain.iter().map(|d| Arc::clone(d)).collect();
    (at(location), Seen::Chain { chain, role: None, leads: true, facts })
}

fn failed(location: Location, reason: Reason, detail: &str) -> (Location, Seen) {
    (location, Seen::Failed { reason, detail: detail.to_owned() })
}

/// How the application is set up.
pub(crate) fn settings(open_reads: bool) -> Settings {
    Settings {
        listen: "127.0.0.1:4747".parse().unwrap(),
        public_url: Some("https://certs.example.com".into()),
        behind_proxy: false,
        open_reads,
        hosts: Vec::new(),
        token_hash: notafter_engine::notify::secret_hash(TOKEN),
        max_series: 20_000,
        status_public: true,
        version: "0.2.0",
        ..Settings::default()
    }
}

/// An engine and an application over an empty store, before the first look.
pub(crate) fn empty(runtime: &tokio::runtime::Handle, open_reads: bool, start: UnixTime) -> House {
    over(&Database::Memory, runtime, open_reads, start)
}

/// The same over any database.
pub(crate) fn over(
    database: &Database,
    runtime: &tokio::runtime::Handle,
    open_reads: bool,
    start: UnixTime,
) -> House {
    build(database, runtime, open_reads, start, &format!(" {HOSTILE}"), None)
}

/// `mark` is what strangers have put into names; with a channel, people can be told.
fn build(
    database: &Database,
    runtime: &tokio::runtime::Handle,
    open_reads: bool,
    start: UnixTime,
    mark: &str,
    channel: Option<Channel>,
) -> House {
    let clock = Arc::new(SimulatedClock::at(start));
    let store = Arc::new(Store::open(database, clock.now()).unwrap());
    let world = Arc::new(World::default());
    let planned = |name: &str, every: i64, targets: &[&str]| {
        let looking = Arc::new(Looking { world: Arc::clone(&world), name: name.to_owned() });
        Planned {
            name: name.to_owned(),
            every,
            targets: targets.iter().map(|t| (*t).to_owned()).collect(),
            owner: None,
            build: Arc::new(move |_| Ok(vec![Arc::clone(&looking) as Arc<dyn Source>])),
        }
    };
    let owner = |name: &str, rules: &[&str]| Owner {
        name: name.to_owned(),
        matches: rules.iter().map(|r| Match::parse(r).unwrap()).collect(),
        default: false,
        needs_days: None,
    };
    let service = |name: &str, place: &str, public| Service {
        name: name.to_owned(),
        places: Query::parse(place).unwrap().terms,
        public,
    };
    let notify = |who: &str| {
        let to = ("mail".to_owned(), Some(format!("{who}@example.com")));
        channel.iter().map(|_| to.clone()).collect::<Vec<_>>()
    };
    let person = |who: &str| Person { notify: notify(who), ..Person::default() };
    let web = Person { escalate_to: Some("Platform".into()), ..person("web") };
    let setup = Setup {
        sources: vec![
            planned("web ports", 3600, &["10.0.3.0/24", "10.0.4.0/24"]),
            planned("files of this host", 6 * 3600, &["/etc", "/srv", "/opt"]),
            planned(&format!("agent dc2{mark}"), 3600, &["10.8.0.0/22"]),
        ],
        trust: Default::default(),
        policy: Policy { owners_expected: true, gone_after: Some(7 * DAY), ..Policy::default() },
        owners: vec![
            owner("Web", &["name:shop.example.com", "name:*.edge.example.com"]),
            owner("Mail", &["name:smtp.example.com"]),
        ],
        people: [
            ("Web".to_owned(), web),
            ("Mail".to_owned(), person("mail")),
            ("Platform".to_owned(), person("platform")),
        ]
        .into(),
        last_resort: "Platform".to_owned(),
        channels: channel.into_iter().map(|c| ("mail".to_owned(), c)).collect(),
        services: vec![
            service("Shop", "name:shop.example.com", true),
            service(&format!("Mail{mark}"), "name:smtp.example.com", true),
            service("VPN, data centre 2", "name:vpn.dc2.example.com", false),
        ],
        pulse: None,
        public_url: Some("https://certs.example.com".into()),
        digest: None,
        patience: Patience { settle: 0, settle_most: 0, mended: 600 },
        keeping: None,
        judgment_key: "house".into(),
    };
    store.set_services(setup.services.iter().map(|s| (s.name.clone(), s.places.clone())).collect());
    let log: notafter_engine::notify::Log = Arc::new(|_: &str| {});
    let (engine, handle) = Engine::new(
        store,
        Arc::clone(&clock) as Arc<dyn Clock>,
        setup,
        "this host".into(),
        runtime.clone(),
        log,
    )
    .unwrap();
    let app = App::new(Arc::clone(&handle), settings(open_reads), None);
    House { engine, handle, clock, world, app }
}

impl House {
    /// Looks, judges, tells, until nothing more happens at this instant.
    pub(crate) fn rest(&mut self) {
        for _ in 0..6 {
            self.engine.pass();
            self.engine.settle();
        }
    }

    /// A house after two months: renewals seen, something expired, something silent.
    pub(crate) fn lived_in(runtime: &tokio::runtime::Handle, open_reads: bool) -> Self {
        let mut house = empty(runtime, open_reads, NOW.plus(-60 * DAY));
        let ca = Authority::new("Example Issuing CA 2");
        let other = Authority::new(&format!("CA {HOSTILE} {BIDI}"));
        let long = "a-very-long-name-that-someone-generated-x1f9-x1f9-x1f9-x1f9-x1f9.edge.example.com";
        let shop_old = ca.leaf(&["shop.example.com"], "shop.example.com", -75, 15);
        let shop_new = ca.leaf(&["shop.example.com", "www.shop.example.com"], "shop.example.com", -2, 88);
        let shop_now = ca.leaf(&["shop.example.com"], "shop.example.com", -3, 87);
        let svc = ca.leaf(&["*.svc.example.com"], "*.svc.example.com", -81, 9);
        let smtp = ca.leaf(&["smtp.example.com"], "smtp.example.com", -78, 12);
        let old = ca.leaf(&["old.example.com"], "old.example.com", -93, -3);
        let edge = ca.leaf(&[long], "edge", -50, 40);
        let vpn = ca.leaf(&["vpn.dc2.example.com"], "vpn.dc2.example.com", -78, 30);
        let hostile = other.leaf(&[], HOSTILE, -80, 14);
        let bidi = other.leaf(&[], BIDI, -20, 345);
        let verified = Possession::Verified;
        let base = |shop: &Arc<[u8]>| {
            let mut seen = vec![
                served("tls://10.0.3.11:443?sni=shop.example.com", &[shop, &ca.der], verified),
                served("tls://10.0.3.12:443?sni=shop.example.com", &[shop, &ca.der], verified),
                served("smtp://10.0.4.25:25?sni=smtp.example.com", &[&smtp, &ca.der], verified),
                served("tls://10.0.3.30:443?sni=old.example.com", &[&old], Possession::Unverified),
                served(&format!("tls://10.0.3.40:443?sni={long}"), &[&edge, &ca.der], verified),
                served("tls://10.0.3.77:8443", &[&hostile], Possession::Unverified),
                served("tls://10.0.3.80:443?sni=intranet", &[&bidi, &other.der], verified),
            ];
            seen.extend(
                (1..=12).map(|n| served(&format!("tls://10.0.3.1{n:02}:443"), &[&svc, &ca.der], verified)),
            );
            seen
        };
        let agent = format!("agent dc2 {HOSTILE}");
        house.world.set("web ports", Some(base(&shop_old)));
        house.world.set(
            "files of this host",
            Some(vec![in_file("file:///etc/nginx/tls/shop.pem#1", &[&shop_old, &ca.der])]),
        );
        let vpn_seen = served("tls://10.8.0.40:443?sni=vpn.dc2.example.com", &[&vpn, &ca.der], verified);
        house.world.set(&agent, Some(vec![vpn_seen]));
        house.rest();
        // Renewed three days ago, one port still on the old one; the agent is silent.
        house.clock.set(NOW.plus(-20 * 3600 - 500));
        house.clock.advance(Duration::from_secs(400));
        let _ = shop_new;
        let mut seen = base(&shop_now);
        seen.push(served("tls://10.0.3.13:443?sni=shop.example.com", &[&shop_old], verified));
        seen.push(failed(at("tls://10.0.3.99:443"), Reason::Timeout, &format!("no answer {BIDI}")));
        house.world.set("web ports", Some(seen));
        let keystore = Location::file(format!("/opt/app/{HOSTILE}.jks").as_bytes(), "");
        let many = (1..=9).map(|n| {
            failed(at(&format!("file:///opt/app/{n}.p12")), Reason::WrongPassword, "no password fits")
        });
        let mut files = vec![
            in_file("file:///etc/nginx/tls/shop.pem#1", &[&shop_now, &ca.der]),
            failed(keystore, Reason::WrongPassword, HOSTILE),
            failed(at("file:///srv/vault"), Reason::PermissionDenied, "EACCES"),
        ];
        files.extend(many);
        house.world.set("files of this host", Some(files));
        house.world.set(&agent, None);
        house.rest();
        // Long enough after the clock was set for messages to flow again; then today.
        house.clock.set(NOW);
        house.clock.advance(Duration::from_secs(1800));
        house.rest();
        for _ in 0..2 {
            house.clock.advance(Duration::from_secs(1200));
            house.rest();
        }
        house
    }

    /// A tidy house for pictures of the pages: nobody has put anything into its names.
    pub(crate) fn demo(runtime: &tokio::runtime::Handle) -> Self {
        let least = notafter_core::finding::Severity::Warning;
        let channel = Channel { notifier: Arc::new(Post), least };
        let start = NOW.plus(-60 * DAY);
        let mut house = build(&Database::Memory, runtime, true, start, "", Some(channel));
        let ca = Authority::new("Example Issuing CA 2");
        let other = Authority::new("Example Device CA");
        let leaf = |name: &str, from, until| ca.leaf(&[name], name, from, until);
        let shop_old = leaf("shop.example.com", -75, 15);
        let shop_new = leaf("shop.example.com", -3, 87);
        let (svc, smtp) = (leaf("*.svc.example.com", -81, 9), leaf("smtp.example.com", -78, 12));
        let (old, vpn) = (leaf("old.example.com", -93, -3), leaf("vpn.dc2.example.com", -78, 30));
        let (api, wiki) = (leaf("api.example.com", -60, 41), leaf("wiki.example.com", -20, 70));
        let (ldap, git) = (leaf("ldap.example.com", -200, 22), leaf("git.example.com", -40, 50));
        let edge = leaf("fra-1.edge.example.com", -50, 55);
        let printer = other.leaf(&["printer-4.office.example.com"], "printer-4", -300, 65);
        let verified = Possession::Verified;
        let served = |at: &str, chain: &[&Arc<[u8]>], possession| {
            let (location, mut seen) = served(at, chain, possession);
            if let Seen::Chain { facts, .. } = &mut seen {
                facts.process = None;
            }
            (location, seen)
        };
        let base = |shop: &Arc<[u8]>| {
            let tls = |at: &str, leaf: &Arc<[u8]>| served(at, &[leaf, &ca.der], verified);
            let mut seen = vec![
                tls("tls://10.0.3.11:443?sni=shop.example.com", shop),
                tls("tls://10.0.3.12:443?sni=shop.example.com", shop),
                tls("tls://10.0.3.20:443?sni=api.example.com", &api),
                tls("tls://10.0.3.21:443?sni=wiki.example.com", &wiki),
                tls("tls://10.0.3.21:443?sni=intranet", &wiki),
                tls("tls://10.0.3.22:443?sni=git.example.com", &git),
                tls("tls://10.0.3.40:443?sni=fra-1.edge.example.com", &edge),
                tls("smtp://10.0.4.25:25?sni=smtp.example.com", &smtp),
                served("ldap://10.0.4.31:389?sni=ldap.example.com", &[&ldap], Possession::Unverified),
                served("tls://10.0.3.30:443?sni=old.example.com", &[&old], Possession::Unverified),
                served("tls://10.0.4.90:631", &[&printer], Possession::Unverified),
            ];
            seen.extend((1..=12).map(|n| tls(&format!("tls://10.0.3.1{n:02}:443"), &svc)));
            seen
        };
        let files = |shop: &Arc<[u8]>| {
            vec![
                in_file("file:///srv/app/tls/shop.pem#1", &[shop, &ca.der]),
                in_file("file:///srv/app/tls/api.pem#1", &[&api]),
                in_file("file:///srv/mail/tls/smtp.pem#1", &[&smtp, &ca.der]),
            ]
        };
        house.world.set("web ports", Some(base(&shop_old)));
        house.world.set("files of this host", Some(files(&shop_old)));
        let at_vpn = served("tls://10.8.0.40:443?sni=vpn.dc2.example.com", &[&vpn, &ca.der], verified);
        house.world.set("agent dc2", Some(vec![at_vpn]));
        house.rest();
        // Renewed yesterday, one port still on the old one; the agent in the other data centre is silent.
        house.clock.advance(Duration::from_secs((60 * DAY - 20 * 3600) as u64));
        let mut seen = base(&shop_new);
        seen.push(served("tls://10.0.3.13:443?sni=shop.example.com", &[&shop_old, &ca.der], verified));
        seen.push(failed(at("tls://10.0.3.99:443"), Reason::Timeout, "no answer within 5 s"));
        seen.push(failed(at("tls://crm.example.com:443"), Reason::Dns, "no such name"));
        house.world.set("web ports", Some(seen));
        let mut on_disk = files(&shop_new);
        on_disk.extend((1..=9).map(|n| {
            let keystore = at(&format!("file:///srv/app/java/node-{n}.p12"));
            failed(keystore, Reason::WrongPassword, "no password fits")
        }));
        on_disk.push(failed(at("file:///srv/vault"), Reason::PermissionDenied, "permission denied"));
        house.world.set("files of this host", Some(on_disk));
        house.world.set("agent dc2", None);
        house.rest();
        let today = NOW.0.div_euclid(DAY);
        for (service, broken) in [("Shop", Some(31)), ("Mail", None), ("VPN, data centre 2", None)] {
            for ago in 1..=60 {
                let seconds = match ago {
                    n if Some(n) == broken => [79_000, 7400, 0],
                    44 => [30_000, 0, 0],
                    1 | 2 if service.starts_with("VPN") => [0, 0, 86_400],
                    _ => [86_400, 0, 0],
                };
                house.handle.store.add_service_day(service, today - ago, seconds).unwrap();
            }
        }
        for seconds in [20 * 3600 - 1200, 900, 300] {
            house.clock.advance(Duration::from_secs(seconds));
            house.rest();
        }
        let alert = house.handle.store.open_alerts().unwrap().into_iter().find(|a| a.owner == "Mail");
        if let Some(alert) = alert {
            let ask = notafter_engine::hands::Ask {
                by: "m.keller",
                until: None,
                note: "ordered, comes on Tuesday",
                snooze: false,
            };
            notafter_engine::hands::hold(&house.handle.store, &alert.id(), &ask, house.clock.now()).unwrap();
        }
        house.rest();
        house
    }
}

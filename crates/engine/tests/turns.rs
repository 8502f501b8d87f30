//! What a renewal does when something goes wrong: whose turn it is, what is put back and what is left, what a person can
//! push, what is forgotten.
//!
//! Providers answer as they are told here; what they really do is tested with real ones elsewhere.

#![allow(missing_docs)]

#[path = "turns/beside.rs"]
mod beside;
#[path = "idle/nothing.rs"]
mod idle;
#[path = "turns/otherwise.rs"]
mod otherwise;
#[path = "turns/wrongly.rs"]
mod wrongly;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use idle::Nothing;
use notafter_core::calendar::Calendar;
use notafter_core::clock::Clock;
use notafter_core::deployment::{Before, Bundle, Check, Key, Receipt};
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::issuance::{
    Identifier, Issued, KeyType, Progress, Request, RevocationReason, Suggested, Ticket,
};
use notafter_core::joints::{BoxFuture, Cx, Deployer, Issuer, Keep, Probe, Solver};
use notafter_core::location::Location;
use notafter_core::observation::{Facts, Observation, Possession, Reason, Seen};
use notafter_core::renew::{IssuedBy, Renewal, State, TargetState, TargetWork};
use notafter_core::{Fingerprint, UnixTime};
use notafter_engine::clock::SimulatedClock;
use notafter_engine::renew::pass::{Keeping, Running, pass};
use notafter_engine::renew::{Managed, ManagedTarget, Pushed, Renewer, Tools, Went, note_revoked};
use notafter_store::works::Note;
use notafter_store::{Database, Store};

const NOW: UnixTime = UnixTime(1_795_262_400);
const DAY: i64 = 86_400;

fn fault(retry: Retry) -> Fault {
    Fault::new(FaultKind::Unreachable, "it says no").retry(retry)
}

/// Says what it is told, and remembers what it was asked.
struct Office {
    name: &'static str,
    says: Mutex<Option<Retry>>,
    /// What it hands out, whatever was asked for.
    issues: Mutex<Option<Vec<Vec<u8>>>>,
    asked: Arc<Mutex<Vec<&'static str>>>,
    revoked: Mutex<Vec<Vec<u8>>>,
    suggested: AtomicUsize,
}

impl Issuer for Office {
    fn begin<'a>(&'a self, _: &'a Cx, _: &'a Request) -> BoxFuture<'a, Result<Ticket, Fault>> {
        Box::pin(async { Ok(Ticket(serde_json::Value::Null)) })
    }

    fn advance<'a>(
        &'a self,
        cx: &'a Cx,
        _: &'a Request,
        ticket: &'a Ticket,
        _: &'a dyn Solver,
    ) -> BoxFuture<'a, Result<Progress, Fault>> {
        self.asked.lock().unwrap().push(self.name);
        let says = *self.says.lock().unwrap();
        if let Some(chain) = self.issues.lock().unwrap().clone() {
            return Box::pin(async { Ok(Progress::Issued(Issued { chain, reference: None })) });
        }
        Box::pin(async move {
            match says {
                Some(retry) => Err(fault(retry)),
                None => Ok(Progress::Waits {
                    ticket: ticket.clone(),
                    until: cx.clock.now().plus(DAY),
                    what: "an approval".into(),
                }),
            }
        })
    }

    fn abandon<'a>(
        &'a self,
        _: &'a Cx,
        _: &'a Ticket,
        _: &'a dyn Solver,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    fn suggested<'a>(&'a self, _: &'a Cx, _: &'a [u8]) -> BoxFuture<'a, Result<Option<Suggested>, Fault>> {
        self.suggested.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(None) })
    }

    fn revoke<'a>(
        &'a self,
        _: &'a Cx,
        der: &'a [u8],
        _: RevocationReason,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        self.revoked.lock().unwrap().push(der.to_vec());
        Box::pin(async { Ok(()) })
    }

    fn rehearse<'a>(&'a self, _: &'a Cx, _: &'a Request, _: &'a dyn Solver) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(async { Vec::new() })
    }
}

/// One machine: what lies there, and what its server shows.
#[derive(Default)]
struct Machine {
    installed: Mutex<Option<Vec<Vec<u8>>>>,
    before: Mutex<Option<Vec<Vec<u8>>>>,
    says: Mutex<Option<Retry>>,
    /// Its server reads what is installed.
    reloads: bool,
    by_hand: bool,
    /// Its receipts do not say what was there before.
    forgets: bool,
    generations: Mutex<Vec<u64>>,
    rolled_back: AtomicUsize,
}

impl Deployer for Machine {
    fn places(&self) -> Vec<Location> {
        Vec::new()
    }

    fn deploy<'a>(&'a self, _: &'a Cx, bundle: &'a Bundle) -> BoxFuture<'a, Result<Receipt, Fault>> {
        Box::pin(async move {
            if let Some(retry) = *self.says.lock().unwrap() {
                return Err(fault(retry));
            }
            self.generations.lock().unwrap().push(bundle.generation);
            let old = self.installed.lock().unwrap().replace(bundle.chain.clone());
            if old.as_ref() != Some(&bundle.chain) {
                *self.before.lock().unwrap() = old;
            }
            let before = self.before.lock().unwrap().as_ref().filter(|_| !self.forgets).map(|chain| Before {
                fingerprint: Fingerprint::of(&chain[0]).to_string(),
                not_after: NOW.0 + 5 * DAY,
            });
            Ok(Receipt { generation: bundle.generation, before, undo: serde_json::Value::Null })
        })
    }

    fn roll_back<'a>(&'a self, _: &'a Cx, _: &'a Receipt) -> BoxFuture<'a, Result<(), Fault>> {
        self.rolled_back.fetch_add(1, Ordering::Relaxed);
        let before = self.before.lock().unwrap().clone();
        *self.installed.lock().unwrap() = before;
        Box::pin(async { Ok(()) })
    }

    fn rehearse<'a>(&'a self, _: &'a Cx) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(async { Vec::new() })
    }

    fn by_hand(&self) -> Option<&[String]> {
        self.by_hand.then_some(&[])
    }
}

/// What is seen at the servers of machines. `None` in `shows`: nobody answers.
#[derive(Default)]
struct Eyes {
    machines: Mutex<HashMap<String, Arc<Machine>>>,
    shows: Mutex<HashMap<String, Option<Vec<Vec<u8>>>>>,
    /// What the next look meets, and no later one.
    once: Mutex<Option<Vec<Vec<u8>>>>,
}

impl Probe for Eyes {
    fn probe<'a>(&'a self, cx: &'a Cx, place: &'a str) -> BoxFuture<'a, Result<Vec<Observation>, Fault>> {
        let address = place.strip_prefix("tls://").unwrap().parse().unwrap();
        let follows = self.machines.lock().unwrap().get(place).filter(|m| m.reloads).cloned();
        let once = self.once.lock().unwrap().take();
        let chain = match follows {
            _ if once.is_some() => once,
            Some(machine) => machine.installed.lock().unwrap().clone(),
            None => self.shows.lock().unwrap().get(place).cloned().flatten(),
        };
        let seen = match chain {
            Some(chain) => Seen::Chain {
                chain: chain.iter().map(|der| Arc::from(der.as_slice())).collect(),
                role: None,
                leads: true,
                facts: Facts {
                    protocol: Some("tls".into()),
                    possession: Some(Possession::Verified),
                    ..Facts::default()
                },
            },
            None => Seen::Failed { reason: Reason::Refused, detail: "connection refused".into() },
        };
        let one =
            Observation { at: cx.clock.now(), location: Location::endpoint("tls", address, None), seen };
        Box::pin(async { Ok(vec![one]) })
    }
}

#[derive(Default)]
struct Drawer {
    kept: Mutex<BTreeMap<String, Vec<u8>>>,
    busy: Mutex<Option<Retry>>,
}

impl Keep for Drawer {
    fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        match *self.busy.lock().unwrap() {
            Some(retry) => Err(fault(retry)),
            None => Ok(self.kept.lock().unwrap().get(name).cloned()),
        }
    }

    fn keep(&self, name: &str, _: Option<&[u8]>, value: &[u8]) -> Result<bool, Fault> {
        let mut kept = self.kept.lock().unwrap();
        if value.is_empty() {
            kept.remove(name);
        } else {
            kept.insert(name.to_owned(), value.to_vec());
        }
        Ok(true)
    }
}

/// A leaf that began so long ago and ends so far ahead, and something above it.
fn chain(ago: i64, ahead: i64) -> Vec<Vec<u8>> {
    let mut params = rcgen::CertificateParams::new(vec!["srv.test".to_owned()]).unwrap();
    let at = |t: UnixTime| time::OffsetDateTime::from_unix_timestamp(t.0).unwrap();
    (params.not_before, params.not_after) = (at(NOW.plus(-ago)), at(NOW.plus(ahead)));
    let leaf = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec();
    vec![leaf, b"a CA".to_vec()]
}

struct House {
    store: Arc<Store>,
    tools: Tools,
    drawer: Arc<Drawer>,
    eyes: Arc<Eyes>,
    offices: Vec<Arc<Office>>,
    asked: Arc<Mutex<Vec<&'static str>>>,
    clock: Arc<SimulatedClock>,
    cx: Cx,
    managed: Managed,
    folder: std::path::PathBuf,
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn house(name: &str, issuers: &[&'static str]) -> House {
    let folder = std::env::temp_dir().join(format!("notafter-turns-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let store = Arc::new(Store::open(&Database::File(folder.join("notafter.db")), NOW).unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let office = |name: &&'static str| {
        Arc::new(Office {
            name,
            says: Mutex::new(None),
            issues: Mutex::new(None),
            asked: Arc::clone(&asked),
            revoked: Mutex::default(),
            suggested: AtomicUsize::new(0),
        })
    };
    let offices: Vec<Arc<Office>> = issuers.iter().map(office).collect();
    let named = |o: &Arc<Office>| (o.name.to_owned(), Arc::clone(o) as Arc<dyn Issuer>);
    let managed = Managed {
        name: "web".to_owned(),
        names: vec![Identifier::parse("srv.test").unwrap()],
        key: KeyType::EcdsaP256,
        profile: None,
        preferred_chain: None,
        lifetime_s: None,
        issuers: offices.iter().map(named).collect(),
        solver: Arc::new(Nothing),
        targets: Vec::new(),
        windows: None,
        revoke_old: false,
        rehearse_s: None,
        made_from: "one".to_owned(),
        goes_to: String::new(),
    };
    let (drawer, eyes) = (Arc::new(Drawer::default()), Arc::new(Eyes::default()));
    let tools = Tools {
        keep: Arc::clone(&drawer) as Arc<dyn Keep>,
        probe: Arc::clone(&eyes) as Arc<dyn Probe>,
        make: Arc::new(|_, _, _| Ok((Key::new(vec![1]), vec![1]))),
        calendar: Calendar::default(),
        holder: "me".to_owned(),
        is_gone: Arc::new(|_| false),
        may: Arc::new(|_| Ok(())),
    };
    let clock = Arc::new(SimulatedClock::at(NOW));
    let cx = Cx::new(Arc::clone(&clock) as Arc<dyn Clock>, "here".into());
    House { store, tools, drawer, eyes, offices, asked, clock, cx, managed, folder }
}

impl House {
    fn renewer(&self) -> Renewer<'_> {
        Renewer { store: &self.store, tools: &self.tools, cx: &self.cx }
    }

    /// A target with one place. `port` tells its place from others.
    fn target(&mut self, label: &str, port: u16, machine: Machine) -> Arc<Machine> {
        let machine = Arc::new(machine);
        let place = format!("tls://127.0.0.1:{port}");
        self.eyes.machines.lock().unwrap().insert(place.clone(), Arc::clone(&machine));
        self.managed.targets.push(ManagedTarget {
            label: label.to_owned(),
            wave: 0,
            deployer: Arc::clone(&machine) as Arc<dyn Deployer>,
            prove: vec![place],
            excused: Vec::new(),
            grace_s: if machine.by_hand { 30 * DAY } else { 60 },
            made_from: String::new(),
        });
        machine
    }

    fn shows(&self, port: u16, chain: Option<&[Vec<u8>]>) {
        let place = format!("tls://127.0.0.1:{port}");
        self.eyes.shows.lock().unwrap().insert(place, chain.map(<[Vec<u8>]>::to_vec));
    }

    /// A generation that was issued, and where it stands.
    fn issued(&self, generation: u64, state: State, chain: &[Vec<u8>], before: Option<&[Vec<u8>]>, by: &str) {
        let mut renewal = Renewal::begin("web", generation, "a test", NOW);
        (renewal.state, renewal.chain) = (state, chain.to_vec());
        renewal.before = before.iter().map(|b| b[0].clone()).collect();
        renewal.issuer = IssuedBy::Name(by.to_owned());
        self.tools.keep.keep(&renewal.key_name(), None, b"a key").unwrap();
        assert!(self.store.begin_work(&renewal, &Note::default(), NOW).unwrap());
    }

    async fn go_on(&self) -> Renewal {
        match self.renewer().advance(&self.managed).await.unwrap() {
            Went::To(renewal) => *renewal,
            other => panic!("{other:?}"),
        }
    }

    /// Goes on until it waits for something that no time brings, or so long.
    async fn for_a_while(&self, seconds: i64) -> Renewal {
        let end = self.cx.clock.now().plus(seconds);
        loop {
            let renewal = self.go_on().await;
            if renewal.state.is_over() || renewal.next > end.0 {
                return renewal;
            }
            self.clock.set(UnixTime(renewal.next.max(self.cx.clock.now().0)));
        }
    }

    fn row(&self, generation: u64) -> Renewal {
        let kept = self.store.works_of("web", 100).unwrap().into_iter().map(|w| w.renewal);
        kept.into_iter().find(|r| r.generation == generation).unwrap()
    }

    fn trail(&self) -> Vec<(String, String)> {
        let lines = self.store.audit_lines(Some("certificate:web"), None, 1_000).unwrap();
        lines.into_iter().map(|(_, line)| (line.what, line.detail)).collect()
    }

    fn trailed(&self, what: &str) -> Vec<String> {
        self.trail().into_iter().filter(|(w, _)| w == what).map(|(_, detail)| detail).collect()
    }
}

#[tokio::test]
async fn without_a_place_it_is_issued_and_says_so() {
    let mut house = house("nowhere", &["ca"]);
    let (oldest, old, new) = (chain(70 * DAY, 5 * DAY), chain(60 * DAY, 20 * DAY), chain(0, 90 * DAY));
    house.managed.revoke_old = true;
    // A window that never comes keeps nothing that is installed nowhere.
    house.managed.windows = Some(Arc::new(|at| Some((at + DAY, at + 2 * DAY))));
    house.issued(1, State::Proved, &oldest, None, "ca");
    house.issued(2, State::Abandoned, &[], None, "ca");
    house.issued(3, State::Proved, &old, Some(&oldest), "ca");
    house.issued(4, State::Abandoned, &[], None, "ca");
    house.issued(5, State::WaitsForWindow, &new, Some(&old), "ca");
    let renewal = house.go_on().await;
    assert_eq!((renewal.state, renewal.said.as_str()), (State::Proved, "issued; installed nowhere"));
    assert_eq!(house.trailed("renewed"), ["generation 5, issued; installed nowhere"]);
    // Nobody was seen with the new one: whoever uses the one before keeps it.
    assert!(house.offices[0].revoked.lock().unwrap().is_empty());
    assert_eq!(house.trailed("not-revoked").len(), 1);
    // The keys of the last two that were issued, and none in between.
    let keys: Vec<String> = house.drawer.kept.lock().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["key/web/3", "key/web/5"]);
}

#[tokio::test]
async fn issuers_are_asked_in_turn_and_somebody_is_called_once() {
    let house = house("round", &["one", "two"]);
    *house.offices[0].says.lock().unwrap() = Some(Retry::Never);
    *house.offices[1].says.lock().unwrap() = Some(Retry::Never);
    assert!(house.renewer().begin(&house.managed, "a test", None).unwrap());
    let renewal = house.for_a_while(2 * DAY).await;
    assert_eq!(renewal.state, State::WaitsForIssuer, "{renewal:?}");
    assert!(renewal.calls && renewal.rounds >= 4);
    let asked = house.asked.lock().unwrap().clone();
    assert!(asked.len() >= 8 && asked.chunks(2).all(|pair| pair == ["one", "two"]), "{asked:?}");
    assert_eq!(house.trailed("renewal-failing").len(), 1, "{:?}", house.trail());
    // What was mended is seen by itself.
    *house.offices[1].says.lock().unwrap() = None;
    let renewal = house.for_a_while(DAY / 2).await;
    assert_eq!((renewal.state, renewal.said.as_str()), (State::WaitsForIssuer, "an approval"));
    // A new one begins with the first.
    *house.offices[0].says.lock().unwrap() = None;
    assert!(house.renewer().abandon(&house.managed, "a test").await.unwrap());
    assert!(house.renewer().begin(&house.managed, "a test", None).unwrap());
    house.asked.lock().unwrap().clear();
    house.go_on().await;
    assert_eq!(*house.asked.lock().unwrap(), ["one"]);
}

#[tokio::test]
async fn while_one_is_limited_the_next_is_asked() {
    let house = house("limited", &["one", "two"]);
    *house.offices[0].says.lock().unwrap() = Some(Retry::At(NOW.plus(3 * DAY)));
    assert!(house.renewer().begin(&house.managed, "a test", None).unwrap());
    let renewal = house.go_on().await;
    assert_eq!(*house.asked.lock().unwrap(), ["one", "two"]);
    assert_eq!(renewal.issuer, IssuedBy::Name("two".into()));
    assert_eq!(house.trailed("issuer-left").len(), 1);
}

#[tokio::test]
async fn who_issued_it_is_asked_about_it_whatever_the_order_is_now() {
    let mut house = house("who", &["one", "two"]);
    let (old, new) = (chain(60 * DAY, 40 * DAY), chain(0, 90 * DAY));
    house.managed.revoke_old = true;
    house.target("files", 4431, Machine { reloads: true, ..Machine::default() });
    house.managed.issuers.reverse();
    house.issued(1, State::Proved, &old, None, "one");
    let keeping = Keeping::new(vec![house.managed.clone()], Vec::new(), Vec::new(), house.tools.clone());
    pass(&house.store, &Arc::new(keeping), &house.cx, &Arc::default()).await;
    let asked = |n: usize| house.offices[n].suggested.load(Ordering::Relaxed);
    assert_eq!((asked(0), asked(1)), (1, 0));
    house.issued(2, State::WaitsForWindow, &new, Some(&old), "two");
    assert_eq!(house.go_on().await.state, State::Proved);
    assert_eq!(*house.offices[0].revoked.lock().unwrap(), [old[0].clone()]);
    assert!(house.offices[1].revoked.lock().unwrap().is_empty());
    assert!(house.store.kept(&format!("revoked/{}", Fingerprint::of(&old[0]))).unwrap().is_some());
}

#[tokio::test]
async fn one_that_waits_is_pushed() {
    let mut house = house("push", &["one"]);
    let (old, new) = (chain(60 * DAY, 40 * DAY), chain(0, 90 * DAY));
    let machine = house.target("files", 4431, Machine { reloads: true, ..Machine::default() });
    *machine.installed.lock().unwrap() = Some(old.clone());
    assert_eq!(house.renewer().push(&house.managed, "a test").unwrap(), Pushed::Nothing);
    // For an issuer that failed.
    *house.offices[0].says.lock().unwrap() = Some(Retry::Never);
    assert!(house.renewer().begin(&house.managed, "a test", Some(&old[0])).unwrap());
    let waits = house.go_on().await;
    assert!(waits.next > NOW.0 + 3_600 && waits.calls);
    *house.offices[0].says.lock().unwrap() = None;
    assert_eq!(house.renewer().push(&house.managed, "a test").unwrap(), Pushed::On);
    let renewal = house.go_on().await;
    assert_eq!((renewal.said.as_str(), renewal.calls, renewal.rounds), ("an approval", false, 0));
    // One that asks for what is not configured any more is not gone on with.
    let mut other = house.managed.clone();
    other.names.push(Identifier::parse("more.test").unwrap());
    assert_eq!(house.renewer().push(&other, "a test").unwrap(), Pushed::Other);
    // A limit of the CA's is nobody's to shorten, nor to get around by another renewal.
    let until = NOW.0 + 3_600;
    *house.offices[0].says.lock().unwrap() = Some(Retry::At(UnixTime(until)));
    assert_eq!(house.renewer().push(&house.managed, "a test").unwrap(), Pushed::On);
    assert_eq!(house.go_on().await.next, until);
    let limited = Pushed::NotBefore(UnixTime(until));
    assert_eq!(house.renewer().push(&house.managed, "a test").unwrap(), limited);
    assert!(house.renewer().abandon(&house.managed, "a test").await.unwrap());
    assert!(house.renewer().begin(&house.managed, "a test", Some(&old[0])).unwrap());
    assert_eq!(house.renewer().push(&house.managed, "a test").unwrap(), limited);
    *house.offices[0].says.lock().unwrap() = None;
    assert!(house.renewer().abandon(&house.managed, "a test").await.unwrap());
    // For a window.
    house.managed.windows = Some(Arc::new(|_| Some((NOW.0 + 5 * DAY, NOW.0 + 6 * DAY))));
    house.issued(3, State::WaitsForWindow, &new, Some(&old), "one");
    assert_eq!(house.go_on().await.next, NOW.0 + 5 * DAY);
    assert_eq!(house.renewer().push(&house.managed, "a test").unwrap(), Pushed::On);
    assert_eq!(house.go_on().await.state, State::Proved);
    assert_eq!(*machine.generations.lock().unwrap(), [3]);
    // Not before it is valid, whoever asks.
    let early = chain(-3 * DAY, 90 * DAY);
    house.issued(4, State::WaitsForWindow, &early, Some(&new), "one");
    let then = Pushed::NotBefore(NOW.plus(3 * DAY));
    assert_eq!(house.renewer().push(&house.managed, "a test").unwrap(), then);
    assert_eq!(house.go_on().await.next, NOW.0 + 3 * DAY);
}

#[tokio::test]
async fn one_that_waits_for_a_person_goes_on_where_it_stopped() {
    let mut house = house("person", &["one"]);
    let (old, new) = (chain(60 * DAY, 40 * DAY), chain(0, 90 * DAY));
    let machine = house.target("files", 4431, Machine { reloads: true, ..Machine::default() });
    *machine.installed.lock().unwrap() = Some(old.clone());
    *machine.says.lock().unwrap() = Some(Retry::Never);
    house.issued(1, State::WaitsForWindow, &new, Some(&old), "one");
    assert_eq!(house.go_on().await.state, State::WaitsForPerson);
    *machine.says.lock().unwrap() = None;
    assert_eq!(house.renewer().push(&house.managed, "a test").unwrap(), Pushed::On);
    let renewal = house.go_on().await;
    assert_eq!((renewal.state, renewal.generation), (State::Proved, 1));
}

#[tokio::test]
async fn what_can_be_installed_again_is_the_newest_that_holds() {
    let mut house = house("again", &["one"]);
    let machine = house.target("files", 4431, Machine { reloads: true, ..Machine::default() });
    let chains = [chain(60 * DAY, 20 * DAY), chain(50 * DAY, 30 * DAY), chain(40 * DAY, -DAY)];
    house.issued(1, State::Proved, &chains[0], None, "one");
    house.issued(2, State::Proved, &chains[1], Some(&chains[0]), "one");
    house.issued(3, State::Proved, &chains[2], Some(&chains[1]), "one");
    assert!(house.renewer().begin(&house.managed, "a test", Some(&chains[2][0])).unwrap());
    note_revoked(&house.store, &Fingerprint::of(&chains[1][0]), "now").unwrap();
    let found = house.renewer().deployable(&house.managed, None).unwrap();
    assert_eq!(found.open, Some(4));
    assert_eq!(found.passed_over, [(3, "has ended"), (2, "is revoked")]);
    assert_eq!(found.renewal.map(|r| r.generation), Some(1));
    let before = house.row(1);
    assert!(house.renewer().deploy_again(&house.managed, 1, "a test").unwrap());
    let went = house.renewer().advance_deployment(&house.managed, 1).await.unwrap();
    let Went::To(done) = went else { panic!("{went:?}") };
    assert_eq!((done.state, done.generation), (State::Proved, 1));
    assert_eq!(*machine.generations.lock().unwrap(), [1]);
    // Beside it, and nothing of it is another than before.
    let mut after = house.row(1);
    let deployed = after.deployed.take().expect("it stands beside");
    assert!(deployed.targets[0].is_proved());
    assert_eq!(after, before);
    assert!(house.store.open_works().unwrap().contains("web"), "the newer one is still open");
    assert_eq!(house.go_on().await.generation, 4);
    assert_eq!(house.trailed("deployed-again"), ["generation 1, seen in use at every place"]);
}

#[tokio::test]
async fn a_deployment_that_fails_makes_no_failing_renewal() {
    let mut house = house("again-fails", &["one"]);
    let machine = house.target("files", 4431, Machine { reloads: true, ..Machine::default() });
    let new = chain(0, 90 * DAY);
    house.issued(1, State::Proved, &new, None, "one");
    *machine.says.lock().unwrap() = Some(Retry::Never);
    assert!(house.renewer().deploy_again(&house.managed, 1, "a test").unwrap());
    let went = house.renewer().advance_deployment(&house.managed, 1).await.unwrap();
    assert!(matches!(&went, Went::To(r) if r.state == State::WaitsForPerson), "{went:?}");
    assert_eq!((house.row(1).state, house.row(1).failures), (State::Proved, 0));
    assert!(house.store.open_works().unwrap().is_empty());
}

#[tokio::test]
async fn a_target_that_fails_is_tried_on_and_somebody_hears_of_it() {
    let mut house = house("target", &["one"]);
    let (old, new) = (chain(60 * DAY, 6 * DAY), chain(0, 90 * DAY));
    let machine = house.target("files", 4431, Machine { reloads: true, ..Machine::default() });
    *machine.installed.lock().unwrap() = Some(old.clone());
    *machine.says.lock().unwrap() = Some(Retry::Backoff);
    house.issued(1, State::WaitsForWindow, &new, Some(&old), "one");
    let renewal = house.for_a_while(2 * 3_600).await;
    assert_eq!((renewal.state, renewal.calls), (State::WaitsForTargets, true), "{renewal:?}");
    assert!(renewal.failures > 6);
    assert_eq!(house.trailed("renewal-failing").len(), 1);
    // Near the end of the one before no wait is longer than a sixth of what it has left.
    house.clock.set(NOW.plus(6 * DAY - 3 * 3_600));
    let renewal = house.go_on().await;
    assert!(renewal.next - (NOW.0 + 6 * DAY - 3 * 3_600) <= 3_600, "{}", renewal.next - NOW.0);
    *machine.says.lock().unwrap() = None;
    assert_eq!(house.for_a_while(3_600).await.state, State::Proved);
}

#[tokio::test]
async fn a_memory_that_is_busy_stops_nobody() {
    let mut house = house("busy", &["one"]);
    house.target("files", 4431, Machine { reloads: true, ..Machine::default() });
    house.issued(1, State::WaitsForWindow, &chain(0, 90 * DAY), None, "one");
    *house.drawer.busy.lock().unwrap() = Some(Retry::Backoff);
    let renewal = house.go_on().await;
    assert_eq!(renewal.state, State::WaitsForTargets, "{}", renewal.said);
    *house.drawer.busy.lock().unwrap() = None;
    assert_eq!(house.for_a_while(60).await.state, State::Proved);
    // A key that is gone is another thing.
    house.issued(2, State::WaitsForWindow, &chain(0, 90 * DAY), None, "one");
    house.drawer.kept.lock().unwrap().clear();
    assert_eq!(house.go_on().await.state, State::WaitsForPerson);
}

/// What is put back after a grace that is over, by what was seen before and after.
async fn put_back(
    name: &str,
    machine: Machine,
    before: Option<&[Vec<u8>]>,
    after: Option<&[Vec<u8>]>,
) -> (usize, Renewal) {
    let mut house = house(name, &["one"]);
    let new = chain(0, 90 * DAY);
    let machine = house.target("files", 4431, machine);
    let old = machine.installed.lock().unwrap().clone();
    house.shows(4431, before);
    house.issued(1, State::WaitsForWindow, &new, old.as_deref(), "one");
    let went = house.go_on().await;
    assert_eq!(went.state, State::WaitsForProof, "{}", went.said);
    house.shows(4431, after);
    let renewal = house.for_a_while(600).await;
    (machine.rolled_back.load(Ordering::Relaxed), renewal)
}

#[tokio::test]
async fn put_back_is_what_was_seen_to_be_wrong() {
    let old = chain(60 * DAY, 20 * DAY);
    let stands = || Machine { installed: Mutex::new(Some(old.clone())), ..Machine::default() };
    // Still the one before; something else; silent where somebody answered.
    let (count, renewal) = put_back("still", stands(), Some(&old), Some(&old)).await;
    assert_eq!((count, renewal.targets[0].state), (1, TargetState::RolledBack), "{}", renewal.said);
    assert_eq!(renewal.state, State::WaitsForPerson);
    assert_eq!(put_back("other", stands(), Some(&old), Some(&chain(0, DAY))).await.0, 1);
    assert_eq!(put_back("silent", stands(), Some(&old), None).await.0, 1);
    // Nobody answered before, and nobody does: nothing speaks against it. Somebody is called, and it is looked at again.
    let (count, renewal) = put_back("down", stands(), None, None).await;
    assert!(count == 0 && renewal.said.contains("nothing was put back"), "{}", renewal.said);
    assert_eq!((renewal.state, renewal.calls), (State::WaitsForProof, true));
    // A receipt that does not know what was there before: the renewal does. Not what a person installs.
    let forgets = || Machine { forgets: true, ..stands() };
    assert_eq!(put_back("forgets", forgets(), Some(&old), Some(&old)).await.0, 1);
}

#[tokio::test]
async fn nothing_is_put_back_to_what_is_revoked_or_was_not_replaced() {
    let mut house = house("no-way-back", &["one"]);
    let (old, new) = (chain(60 * DAY, 20 * DAY), chain(0, 90 * DAY));
    let machine = house.target(
        "files",
        4431,
        Machine { installed: Mutex::new(Some(old.clone())), ..Machine::default() },
    );
    house.shows(4431, Some(&old));
    note_revoked(&house.store, &Fingerprint::of(&old[0]), "now").unwrap();
    house.issued(1, State::WaitsForWindow, &new, Some(&old), "one");
    let renewal = house.for_a_while(600).await;
    assert_eq!(renewal.state, State::WaitsForPerson);
    assert!(renewal.said.contains("is revoked"), "{}", renewal.said);
    assert_eq!(machine.rolled_back.load(Ordering::Relaxed), 0);

    // In force and healthy; installed once more, and then the place does not answer for a while.
    let mut house = self::house("in-force", &["one"]);
    let machine = house.target(
        "files",
        4431,
        Machine { installed: Mutex::new(Some(new.clone())), ..Machine::default() },
    );
    *machine.before.lock().unwrap() = Some(old.clone());
    house.shows(4431, Some(&new));
    house.issued(1, State::Proved, &new, Some(&old), "one");
    assert!(house.renewer().deploy_again(&house.managed, 1, "a test").unwrap());
    house.renewer().advance_deployment(&house.managed, 1).await.unwrap();
    assert_eq!(house.row(1).deployed.map(|d| d.state), Some(State::Proved));
    assert!(house.renewer().deploy_again(&house.managed, 1, "a test").unwrap());
    let mut looks = 0;
    let last = loop {
        // It answers at the first look, before anything is written, and not any more.
        let went = house.renewer().advance_deployment(&house.managed, 1).await.unwrap();
        let Went::To(renewal) = went else { panic!("{went:?}") };
        if renewal.state != State::WaitsForProof || looks > 100 {
            break renewal;
        }
        looks += 1;
        house.shows(4431, None);
        house.clock.set(UnixTime(renewal.next));
    };
    // It was proved at once, before it fell silent: nothing was lost.
    assert_eq!(last.state, State::Proved);
    assert_eq!(machine.rolled_back.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_person_has_a_month_and_a_server_a_minute() {
    let mut house = house("grace", &["one"]);
    let (old, new) = (chain(60 * DAY, 20 * DAY), chain(0, 90 * DAY));
    let machine = house.target(
        "files",
        4431,
        Machine { installed: Mutex::new(Some(old.clone())), ..Machine::default() },
    );
    let by_hand = house.target("box", 4432, Machine { by_hand: true, forgets: true, ..Machine::default() });
    house.shows(4431, Some(&old));
    house.shows(4432, Some(&old));
    house.issued(1, State::WaitsForWindow, &new, Some(&old), "one");
    let renewal = house.for_a_while(300).await;
    assert_eq!(renewal.state, State::WaitsForPerson, "{renewal:?}");
    assert_eq!(machine.rolled_back.load(Ordering::Relaxed), 1, "{}", renewal.said);
    assert_eq!(by_hand.rolled_back.load(Ordering::Relaxed), 0, "a person's work is left to the person");
    // The server shows it, the box not yet: it is waited for, for a month.
    assert_eq!(house.renewer().push(&house.managed, "a test").unwrap(), Pushed::On);
    house.shows(4431, Some(&new));
    let renewal = house.for_a_while(3 * DAY).await;
    assert_eq!(renewal.state, State::WaitsForProof, "{renewal:?}");
    house.shows(4432, Some(&new));
    assert_eq!(house.for_a_while(DAY).await.state, State::Proved);
}

#[tokio::test]
async fn near_the_end_a_wrong_clock_is_no_reason_to_wait() {
    struct Behind;
    impl Issuer for Behind {
        fn begin<'a>(&'a self, _: &'a Cx, _: &'a Request) -> BoxFuture<'a, Result<Ticket, Fault>> {
            Box::pin(async { Err(fault(Retry::Backoff)) })
        }
        fn advance<'a>(
            &'a self,
            _: &'a Cx,
            _: &'a Request,
            _: &'a Ticket,
            _: &'a dyn Solver,
        ) -> BoxFuture<'a, Result<Progress, Fault>> {
            Box::pin(async { Err(fault(Retry::Backoff)) })
        }
        fn abandon<'a>(
            &'a self,
            _: &'a Cx,
            _: &'a Ticket,
            _: &'a dyn Solver,
        ) -> BoxFuture<'a, Result<(), Fault>> {
            Box::pin(async { Ok(()) })
        }
        fn time<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Option<UnixTime>, Fault>> {
            Box::pin(async { Ok(Some(cx.clock.now().plus(-60 * DAY))) })
        }
        fn revoke<'a>(
            &'a self,
            _: &'a Cx,
            _: &'a [u8],
            _: RevocationReason,
        ) -> BoxFuture<'a, Result<(), Fault>> {
            Box::pin(async { Ok(()) })
        }
        fn rehearse<'a>(&'a self, _: &'a Cx, _: &'a Request, _: &'a dyn Solver) -> BoxFuture<'a, Vec<Check>> {
            Box::pin(async { Vec::new() })
        }
    }
    for (left, begun) in [(20, false), (8, true)] {
        let mut house = house(&format!("near-{left}"), &[]);
        house.managed.issuers = vec![("ca".to_owned(), Arc::new(Behind) as Arc<dyn Issuer>)];
        let mut old = Renewal::begin("web", 1, "a test", NOW.plus(-50 * DAY));
        (old.state, old.chain) = (State::Proved, chain((90 - left) * DAY, left * DAY));
        assert!(house.store.begin_work(&old, &Note::default(), NOW).unwrap());
        let keeping = Keeping::new(vec![house.managed.clone()], Vec::new(), Vec::new(), house.tools.clone());
        house.clock.advance(Duration::from_secs(1));
        pass(&house.store, &Arc::new(keeping), &house.cx, &Arc::default()).await;
        let causes = house.trailed("renewal-begun");
        assert_eq!(
            causes.iter().any(|c| c.contains("60 days ahead of the clock of ca")),
            begun,
            "{causes:?}"
        );
    }
}

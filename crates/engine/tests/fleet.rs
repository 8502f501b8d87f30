//! Many certificates that are kept alive: planning a pass over them, and what a wrong clock does to it.
//!
//! Providers are counters here; what they really do is tested with real ones elsewhere.

#![allow(missing_docs)]
// How long a pass takes is measured in real time.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use notafter_core::UnixTime;
use notafter_core::calendar::Calendar;
use notafter_core::clock::Clock;
use notafter_core::deployment::{Bundle, Check, Key, Receipt};
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::issuance::{
    Challenge, ChallengeType, Cleanup, Identifier, KeyType, Progress, Request, RevocationReason, Ticket,
};
use notafter_core::joints::{BoxFuture, Cx, Deployer, Issuer, Keep, Probe, Solver};
use notafter_core::location::Location;
use notafter_core::observation::Observation;
use notafter_core::renew::{Renewal, State};
use notafter_engine::clock::SimulatedClock;
use notafter_engine::renew::pass::{Keeping, pass};
use notafter_engine::renew::{Managed, ManagedTarget, Tools};
use notafter_store::works::Note;
use notafter_store::{Database, Store};

const NOW: UnixTime = UnixTime(1_795_262_400);
const DAY: i64 = 86_400;

/// Counts what is asked of it, and issues nothing. Its clock runs as far behind ours as it is told.
#[derive(Default)]
struct Counts {
    orders: AtomicUsize,
    behind: Mutex<Option<i64>>,
}

impl Issuer for Counts {
    fn begin<'a>(&'a self, _: &'a Cx, _: &'a Request) -> BoxFuture<'a, Result<Ticket, Fault>> {
        self.orders.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Err(Fault::new(FaultKind::Unreachable, "it only counts")) })
    }

    fn advance<'a>(
        &'a self,
        _: &'a Cx,
        _: &'a Request,
        _: &'a Ticket,
        _: &'a dyn Solver,
    ) -> BoxFuture<'a, Result<Progress, Fault>> {
        Box::pin(async { Err(Fault::new(FaultKind::Unreachable, "it only counts")) })
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
        let behind = *self.behind.lock().unwrap();
        Box::pin(async move { Ok(behind.map(|behind| cx.clock.now().plus(-behind))) })
    }

    fn revoke<'a>(&'a self, _: &'a Cx, _: &'a [u8], _: RevocationReason) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    fn rehearse<'a>(&'a self, _: &'a Cx, _: &'a Request) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(async { Vec::new() })
    }
}

struct Nothing;

impl Solver for Nothing {
    fn kind(&self) -> ChallengeType {
        ChallengeType::Http01
    }

    fn present<'a>(&'a self, _: &'a Cx, _: &'a Challenge) -> BoxFuture<'a, Result<Cleanup, Fault>> {
        Box::pin(async { Err(Fault::new(FaultKind::Invalid, "nothing is shown here")) })
    }

    fn is_visible<'a>(&'a self, _: &'a Cx, _: &'a Challenge) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async { Ok(false) })
    }

    fn clean_up<'a>(&'a self, _: &'a Cx, _: &'a Cleanup) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    fn rehearse<'a>(&'a self, _: &'a Cx, _: &'a Identifier) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(async { Vec::new() })
    }
}

impl Deployer for Nothing {
    fn places(&self) -> Vec<Location> {
        Vec::new()
    }

    fn deploy<'a>(&'a self, _: &'a Cx, _: &'a Bundle) -> BoxFuture<'a, Result<Receipt, Fault>> {
        Box::pin(async { Err(Fault::new(FaultKind::Invalid, "nothing is installed here")) })
    }

    fn roll_back<'a>(&'a self, _: &'a Cx, _: &'a Receipt) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    fn rehearse<'a>(&'a self, _: &'a Cx) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(async { Vec::new() })
    }
}

impl Probe for Nothing {
    fn probe<'a>(&'a self, _: &'a Cx, _: &'a str) -> BoxFuture<'a, Result<Vec<Observation>, Fault>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl Keep for Nothing {
    fn kept(&self, _: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(None)
    }

    fn keep(&self, _: &str, _: Option<&[u8]>, _: &[u8]) -> Result<bool, Fault> {
        Ok(true)
    }
}

/// A leaf for one name, from now on for ninety days.
fn leaf(name: &str) -> Vec<u8> {
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    let at = |t: UnixTime| time::OffsetDateTime::from_unix_timestamp(t.0).unwrap();
    (params.not_before, params.not_after) = (at(NOW), at(NOW.plus(90 * DAY)));
    params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

struct House {
    store: Arc<Store>,
    keeping: Arc<Keeping>,
    issuer: Arc<Counts>,
    clock: Arc<SimulatedClock>,
    cx: Cx,
    folder: std::path::PathBuf,
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// So many certificates, each renewed today.
fn house(name: &str, count: usize) -> House {
    let folder = std::env::temp_dir().join(format!("notafter-fleet-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let store = Arc::new(Store::open(&Database::File(folder.join("notafter.db")), NOW).unwrap());
    let issuer = Arc::new(Counts::default());
    let der = leaf("srv.test");
    let managed = (0..count).map(|n| {
        let mut renewal = Renewal::begin(&format!("c{n}"), 1, "a test", NOW.plus(-DAY));
        (renewal.state, renewal.chain) = (State::Proved, vec![der.clone(), der.clone()]);
        store.begin_work(&renewal, &Note::default(), NOW).unwrap();
        Managed {
            name: renewal.name,
            names: vec![Identifier::parse("srv.test").unwrap()],
            key: KeyType::EcdsaP256,
            profile: None,
            preferred_chain: None,
            lifetime_s: None,
            issuers: vec![("ca".to_owned(), Arc::clone(&issuer) as Arc<dyn Issuer>)],
            solver: Arc::new(Nothing),
            targets: vec![ManagedTarget {
                label: "files 1".to_owned(),
                wave: 0,
                deployer: Arc::new(Nothing),
                prove: Vec::new(),
                excused: Vec::new(),
                grace_s: 60,
            }],
            windows: None,
            revoke_old: false,
            rehearse_s: None,
        }
    });
    let managed = managed.collect();
    let tools = Tools {
        keep: Arc::new(Nothing),
        probe: Arc::new(Nothing),
        make: Arc::new(|_, _, _| Ok((Key::new(vec![1]), vec![1]))),
        calendar: Calendar::default(),
        holder: "me".to_owned(),
        is_gone: Arc::new(|_| false),
        may: Arc::new(|_| Ok(())),
    };
    let clock = Arc::new(SimulatedClock::at(NOW));
    let cx = Cx::new(Arc::clone(&clock) as Arc<dyn Clock>, "here".into());
    House {
        store,
        keeping: Arc::new(Keeping::new(managed, Vec::new(), Vec::new(), tools)),
        issuer,
        clock,
        cx,
        folder,
    }
}

impl House {
    async fn look(&self) -> (UnixTime, Option<String>) {
        pass(&self.store, &self.keeping, &self.cx).await
    }

    fn orders(&self) -> usize {
        self.issuer.orders.load(Ordering::Relaxed)
    }
}

/// What this process holds, in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1_024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_are_planned_within_a_second() {
    let mut house = house("plan", 10_000);
    let (mut times, mut memory) = (Vec::new(), Vec::new());
    for n in 0..5 {
        if n == 1 {
            // Started anew: everything is read again, and no CA is asked again.
            house.keeping = Arc::new(Keeping::new(
                house.keeping.managed.clone(),
                Vec::new(),
                Vec::new(),
                house.keeping.tools.clone(),
            ));
        }
        let begun = Instant::now();
        let (next, said) = house.look().await;
        times.push(begun.elapsed());
        memory.push(resident());
        assert_eq!((house.orders(), said), (0, None));
        assert!(next > NOW);
        house.clock.advance(Duration::from_secs(60));
    }
    println!(
        "10,000 certificates: the first look, after a restart, and later: {times:?}; resident {memory:?} MiB"
    );
    // Room for a busy machine and a build that is not optimised; the figures that count are printed.
    assert!(times[1] < Duration::from_secs(10) && times[4] < Duration::from_secs(1), "{times:?}");
    assert!(memory[4] < memory[1] + 32, "{memory:?}");
}

#[tokio::test]
async fn a_clock_that_jumps_renews_nothing() {
    let house = house("jump", 40);
    house.look().await;
    // Set ahead by sixty-five days: everything is due by it. The CA's clock is as it was.
    house.clock.set(NOW.plus(65 * DAY));
    *house.issuer.behind.lock().unwrap() = Some(65 * DAY);
    let (next, said) = house.look().await;
    assert_eq!(house.orders(), 0);
    let said = said.expect("it is said");
    assert!(
        said.starts_with("40 of 40 renewals wait") && said.contains("65 days ahead of the clock of ca"),
        "{said}"
    );
    assert!(next <= NOW.plus(65 * DAY + 600));
    assert!(house.keeping.held("c7").is_some());
    // Set right again, and nothing is held any more.
    house.clock.set(NOW.plus(600));
    *house.issuer.behind.lock().unwrap() = Some(0);
    house.clock.advance(Duration::from_secs(400));
    let (_, said) = house.look().await;
    assert_eq!((house.orders(), said), (0, None));
}

#[tokio::test]
async fn a_fleet_that_is_due_is_begun_in_turns() {
    let house = house("turns", 60);
    // Really sixty-five days later, by every clock.
    house.clock.advance(Duration::from_secs(65 * 86_400));
    *house.issuer.behind.lock().unwrap() = Some(0);
    let (_, said) = house.look().await;
    assert_eq!(house.orders(), 6);
    assert!(said.is_some_and(|said| said.starts_with("54 of 60 renewals wait")));
    // What failed is tried again in the meantime, and nothing else is begun.
    house.clock.advance(Duration::from_secs(3_601));
    house.look().await;
    let begun = house.store.works().unwrap().iter().filter(|w| w.renewal.generation == 2).count();
    assert_eq!(begun, 12);
    // Half a day before the end nobody waits any more.
    house.clock.advance(Duration::from_secs(25 * 86_400 - 3_601 - 6 * 3_600));
    house.look().await;
    let begun = house.store.works().unwrap().iter().filter(|w| w.renewal.generation == 2).count();
    assert_eq!(begun, 60);
}

//! What is beside a target: others of its wave that fail, addresses that two have in common, servers that nobody named.

use notafter_core::inventory::Inventory;
use notafter_core::joints::Sink;
use notafter_core::scan::Scan;
use notafter_engine::ingest::Ingest;
use notafter_engine::spool::Spool;
use notafter_store::observations::Outcome;

use super::*;

fn stands(old: &[Vec<u8>]) -> Machine {
    Machine { installed: Mutex::new(Some(old.to_vec())), ..Machine::default() }
}

#[tokio::test]
async fn what_is_wrong_is_put_back_though_another_one_fails_all_the_while() {
    for (n, retry) in [Retry::Backoff, Retry::Never].into_iter().enumerate() {
        let mut house = house(&format!("wave-{n}"), &["one"]);
        let (old, new) = (chain(60 * DAY, 20 * DAY), chain(0, 90 * DAY));
        let wrong = house.target("wrong", 4431, stands(&old));
        let fails = house.target("fails", 4432, stands(&old));
        *fails.says.lock().unwrap() = Some(retry);
        house.target("box", 4433, Machine { by_hand: true, forgets: true, ..Machine::default() });
        house.shows(4431, Some(&old));
        house.shows(4432, Some(&old));
        house.issued(1, State::WaitsForWindow, &new, Some(&old), "one");
        let renewal = house.for_a_while(600).await;
        assert_eq!(renewal.state, State::WaitsForPerson, "{renewal:?}");
        assert_eq!(wrong.rolled_back.load(Ordering::Relaxed), 1, "{}", renewal.said);
        assert_eq!(fails.rolled_back.load(Ordering::Relaxed), 0);
        let said = &renewal.said;
        assert!(said.contains("still shows the certificate before") && said.contains("it says no"), "{said}");
    }
}

#[tokio::test]
async fn what_is_right_is_left_while_another_one_fails() {
    let mut house = house("wave-right", &["one"]);
    let (old, new) = (chain(60 * DAY, 20 * DAY), chain(0, 90 * DAY));
    let right = house.target("right", 4431, Machine { reloads: true, ..stands(&old) });
    let fails = house.target("fails", 4432, Machine { reloads: true, ..stands(&old) });
    *fails.says.lock().unwrap() = Some(Retry::Backoff);
    house.issued(1, State::WaitsForWindow, &new, Some(&old), "one");
    let renewal = house.for_a_while(3_600).await;
    assert_eq!(renewal.state, State::WaitsForTargets, "{renewal:?}");
    assert!(renewal.targets[0].is_proved(), "{renewal:?}");
    assert_eq!(*right.generations.lock().unwrap(), [1], "it is not installed over and over");
    *fails.says.lock().unwrap() = None;
    assert_eq!(house.for_a_while(6 * 3_600).await.state, State::Proved);
    assert_eq!(right.rolled_back.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn how_a_common_address_stood_is_known_before_either_was_written() {
    let mut house = house("common", &["one"]);
    let (old, new) = (chain(60 * DAY, 20 * DAY), chain(0, 90 * DAY));
    let first = house.target("first", 4431, Machine { reloads: true, ..stands(&old) });
    let second = house.target("second", 4432, stands(&old));
    house.managed.targets[1].prove.push("tls://127.0.0.1:4431".to_owned());
    house.shows(4432, Some(&old));
    house.issued(1, State::WaitsForWindow, &new, Some(&old), "one");
    let renewal = house.for_a_while(600).await;
    assert_eq!(renewal.state, State::WaitsForPerson, "{renewal:?}");
    let back = [&first, &second].map(|machine| machine.rolled_back.load(Ordering::Relaxed));
    assert_eq!(back, [1, 1], "{}", renewal.said);
}

/// The memory has seen a chain at a server.
fn saw(house: &House, port: u16, chain: &[Vec<u8>]) {
    let ingest = Ingest::new(Inventory::new(Box::<Spool>::default()), None, true);
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let seen = Seen::Chain {
        chain: chain.iter().map(|der| Arc::from(der.as_slice())).collect(),
        role: None,
        leads: true,
        facts: Facts { protocol: Some("tls".into()), ..Facts::default() },
    };
    ingest.put(Observation { at: NOW, location: Location::endpoint("tls", address, None), seen });
    let mut run = house.store.begin("a scan", "here", NOW).unwrap();
    house.store.record(&mut run, &ingest.take()).unwrap();
    let outcome = Outcome { scan: Scan::default(), complete: true, fault: None, next: None };
    house.store.finish(run, &outcome, NOW).unwrap();
}

#[tokio::test]
async fn what_is_in_use_at_a_server_that_nobody_named_is_not_revoked() {
    for (n, revoked) in [(0, false), (1, false), (2, true)] {
        let mut house = house(&format!("elsewhere-{n}"), &["one"]);
        let (old, new) = (chain(60 * DAY, 20 * DAY), chain(0, 90 * DAY));
        house.target("named", 4431, Machine { reloads: true, ..stands(&old) });
        house.managed.revoke_old = true;
        saw(&house, 4439, &old);
        // Still there; silent by now; replaced.
        house.shows(4439, [Some(&old[..]), None, Some(&new[..])][n]);
        house.issued(1, State::WaitsForWindow, &new, Some(&old), "one");
        let renewal = house.for_a_while(600).await;
        assert_eq!(renewal.state, State::Proved, "{renewal:?}");
        let asked = house.offices[0].revoked.lock().unwrap().clone();
        assert_eq!(asked, if revoked { vec![old[0].clone()] } else { Vec::new() }, "{n}");
        let said = house.trailed("not-revoked");
        assert_eq!(said.len(), usize::from(!revoked), "{said:?}");
        assert!(said.iter().all(|why| why.contains("in use at tls://127.0.0.1:4439")), "{said:?}");
    }
}

#[tokio::test]
async fn near_the_end_what_could_not_be_asked_for_is_tried_again() {
    let mut house = house("not-asked", &["one"]);
    let old = chain(85 * DAY, 5 * DAY);
    house.tools.make = Arc::new(|_, _, _| Err(fault(Retry::Never)));
    assert!(house.renewer().begin(&house.managed, "a test", Some(&old[0])).unwrap());
    assert_eq!(house.go_on().await.state, State::WaitsForPerson);
    house.tools.make = Arc::new(|_, _, _| Ok((Key::new(vec![1]), vec![1])));
    house.pass(&Arc::default()).await;
    assert_eq!(house.row(1).state, State::WaitsForPerson, "somebody was called only now");
    house.clock.advance(Duration::from_secs(2 * 86_400));
    house.pass(&Arc::default()).await;
    let renewal = house.row(1);
    assert_eq!((renewal.state, renewal.said.as_str()), (State::WaitsForIssuer, "an approval"), "{renewal:?}");
}

#[tokio::test]
async fn what_was_put_back_and_given_up_is_installed_only_by_its_number() {
    let mut house = house("given-up", &["one"]);
    let (old, bad) = (chain(60 * DAY, 20 * DAY), chain(0, 90 * DAY));
    house.target("files", 4431, stands(&old));
    house.issued(1, State::Proved, &old, None, "one");
    house.shows(4431, Some(&old));
    house.issued(2, State::WaitsForWindow, &bad, Some(&old), "one");
    let renewal = house.for_a_while(600).await;
    assert_eq!(renewal.targets[0].state, TargetState::RolledBack, "{renewal:?}");
    assert!(house.renewer().abandon(&house.managed, "a test").await.unwrap());
    let found = house.renewer().deployable(&house.managed, None).unwrap();
    assert_eq!(found.passed_over, [(2, "was put back, and given up")]);
    assert_eq!(found.renewal.map(|r| r.generation), Some(1));
    let named = house.renewer().deployable(&house.managed, Some(2)).unwrap();
    assert_eq!(named.renewal.map(|r| r.generation), Some(2));
    assert!(house.renewer().deployable(&house.managed, Some(3)).unwrap().renewal.is_none());
}

#[tokio::test]
async fn a_target_that_goes_elsewhere_by_now_is_written_there() {
    let mut house = house("elsewhere-now", &["one"]);
    let (old, new) = (chain(60 * DAY, 20 * DAY), chain(0, 90 * DAY));
    house.target("files", 4431, Machine::default());
    house.managed.targets[0].made_from = "the wrong path".to_owned();
    house.shows(4431, None);
    house.configured(1, State::WaitsForWindow, &new, Some(&old));
    assert_eq!(house.for_a_while(30).await.state, State::WaitsForProof);
    house.managed.targets.clear();
    let right = house.target("files", 4431, Machine { reloads: true, ..Machine::default() });
    house.managed.targets[0].made_from = "the right path".to_owned();
    house.managed.goes_to = "another".to_owned();
    assert_eq!(house.for_a_while(60).await.state, State::Proved);
    assert_eq!(*right.generations.lock().unwrap(), [1]);
}

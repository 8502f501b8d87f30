//! Many certificates that are kept alive: planning a pass over them, and what a wrong clock does to it.
//!
//! What it takes in a build that is optimised, `cargo xtask bench` prints (group `renew`).

#![allow(missing_docs)]
// How long a pass takes is measured in real time.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

#[path = "fleet/house.rs"]
mod house;

use std::time::{Duration, Instant};

use house::{DAY, NOW, house, resident};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_are_planned_within_a_second() {
    let mut house = house("plan", 10_000);
    let (mut times, mut memory) = (Vec::new(), Vec::new());
    for n in 0..5 {
        if n == 1 {
            // Started anew: everything is read again, and no CA is asked again.
            house.restart();
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

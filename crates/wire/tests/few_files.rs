//! What happens when the process runs out of file descriptors. Alone in its file: the limit is the process's.

#[path = "support/lab.rs"]
mod lab;

use lab::*;
use notafter_wire::tls::Outcome;
use notafter_wire::tls::grab::{Grab, Grabber, Settings};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::collections::VecDeque;
use std::fs::File;
use std::time::Duration;

#[test]
fn waits_for_descriptors_instead_of_failing() {
    let closed = free_port();
    setrlimit(Resource::Nofile, Rlimit { current: Some(100), maximum: Some(200) }).expect("a lower limit");
    let settings = Settings { in_flight_max: 100_000, threads: 2, ..quick() };
    let (grabber, feeder, results) = Grabber::start(settings, clock()).expect("the loops start");
    assert!((50..140).contains(&grabber.in_flight_max()), "{}", grabber.in_flight_max());
    let mut hoard = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    assert!(hoard.len() > 100, "the soft limit was raised to the hard one");
    feeder.send_all(VecDeque::from(vec![target(closed); 300])).expect("all are taken");
    drop(feeder);
    pause(Duration::from_millis(200));
    assert_eq!(results.try_recv(), None);
    drop(hoard);
    let mut outcomes = Vec::new();
    while let Some(batch) = results.recv() {
        outcomes.extend(batch.into_iter().map(|grab: Grab| grab.outcome));
    }
    assert_eq!(outcomes.len(), 300);
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Refused));
}

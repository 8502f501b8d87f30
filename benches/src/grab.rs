//! The product's grabber alone, on one thread: no parsing, no output, one connection a target.

use notafter_wire::Monotonic;
use notafter_wire::tls::grab::{Grabber, Settings, Starttls, Target};
use notafter_wire::tls::{Offer, Outcome};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Result;
use crate::addresses::Ask;

/// How many targets are handed over at once.
const BATCH: usize = 256;

struct SystemClock(Instant);

impl Monotonic for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Asks them all and counts what came of it.
pub(crate) fn run(ask: Ask) -> Result<Value> {
    let settings = Settings { threads: 1, in_flight_max: ask.in_flight, ..Settings::default() };
    let (grabber, feeder, results) = Grabber::start(settings, Arc::new(SystemClock(Instant::now())))?;
    let feeding = std::thread::spawn(move || {
        let mut numbers = (0..ask.count).peekable();
        while numbers.peek().is_some() {
            let batch: VecDeque<Target> = numbers
                .by_ref()
                .take(BATCH)
                .map(|number| Target {
                    tag: number as u64,
                    addr: ask.address(number).into(),
                    sni: None,
                    starttls: Starttls::No,
                    offer: Offer::Any,
                    want_client_cas: false,
                })
                .collect();
            if feeder.send_all(batch).is_err() {
                return;
            }
        }
    });
    let (mut answered, mut other, mut version) = (0, BTreeMap::<String, u64>::new(), 0);
    while let Some(batch) = results.recv() {
        for grab in batch {
            match grab.outcome {
                Outcome::Certificates(flight) if flight.certificates.iter().count() == 2 => {
                    answered += 1;
                    version = flight.version;
                }
                outcome => *other.entry(format!("{outcome:?}")).or_default() += 1,
            }
        }
    }
    let _ = feeding.join();
    drop(grabber);
    Ok(
        json!({ "count": ask.count, "answered": answered, "version": format!("{version:04x}"), "other": other }),
    )
}

//! Short-lived certificates, renewed by the server over and over, under a client that never stops asking.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use notafter_lab::pebble;

use crate::house::{House, Plan};
use crate::{Options, Row, facts};

/// How long a certificate lives, in seconds.
const LIFE: u64 = 40;

pub(super) fn play(options: &Options) -> Result<Vec<Row>, String> {
    let plan = Plan {
        ca: pebble::Options { profiles: vec![("tiny".to_owned(), LIFE)], ..pebble::Options::default() },
        certificate: "profile = \"tiny\"\n".to_owned(),
        head: "[server]\nlisten = \"127.0.0.1:0\"\n".to_owned(),
        ..Plan::default()
    };
    let house = House::new(options, "cycles", &plan)?;
    let mut row = Row::of("", format!("certificates of {LIFE} s, renewed by the server under a client"));
    let first = house.renew();
    if first.code != Some(0) {
        return Err(first.words());
    }
    let server = house.start(&["serve"], "serve.out");
    let over = Arc::new(AtomicBool::new(false));
    let (stop, address) = (Arc::clone(&over), house.web.address());
    // A handshake that fails, or a certificate that has ended, is somebody's outage.
    let client = std::thread::spawn(move || {
        let (mut asked, mut dropped) = (0_usize, Vec::new());
        let script = "openssl s_client -connect \"$0\" -servername srv.test </dev/null 2>&1 | openssl x509 -noout -checkend 0 2>&1";
        while !stop.load(Ordering::Relaxed) {
            let shown = Command::new("sh").args(["-c", script, &address.to_string()]).output();
            asked += 1;
            if !shown.as_ref().is_ok_and(|shown| shown.status.success()) {
                dropped.push(format!("{shown:?}"));
            }
        }
        (asked, dropped)
    });
    let begun = Instant::now();
    let patience = Duration::from_secs(LIFE * (options.cycles as u64 + 1));
    let mut leaf = facts::leaf(&house.certificate())?;
    let mut slowest = Duration::ZERO;
    let mut last = Instant::now();
    while row.points < options.cycles && begun.elapsed() < patience {
        std::thread::sleep(Duration::from_millis(200));
        let now = facts::leaf(&house.certificate()).unwrap_or_else(|_| leaf.clone());
        if now != leaf {
            let shown = house.shows(&now);
            let cycle = row.points + 1;
            row.must(shown.is_ok(), || format!("cycle {cycle}: {}", shown.clone().unwrap_err()));
            slowest = slowest.max(last.elapsed());
            (leaf, last) = (now, Instant::now());
            row.points += 1;
            eprint!("\r  cycles: {}/{} ", row.points, options.cycles);
        }
    }
    eprintln!();
    over.store(true, Ordering::Relaxed);
    let (asked, dropped) = client.join().map_err(|_| "the client broke")?;
    let (orders, issued) = house.orders();
    let done = row.points;
    row.asked = options.cycles;
    row.must(done == options.cycles, || {
        let words = server.words();
        format!("{done} of {} in {} s: {words}", options.cycles, begun.elapsed().as_secs())
    });
    row.must(dropped.is_empty(), || {
        format!("{} requests were dropped: {:?}", dropped.len(), dropped.first())
    });
    // One may be under way at the end.
    row.must(orders <= row.points + 2 && issued <= row.points + 2, || {
        format!("{orders} orders, {issued} certificates")
    });
    Ok(vec![row.note(format!(
        "{asked} requests, {} dropped, {issued} certificates, longest between two {} s",
        dropped.len(),
        slowest.as_secs()
    ))])
}

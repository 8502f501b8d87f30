//! The grabber against servers that lie, stall and flood, and against its own limits.
//!
//! All of them live in this process, on loopback, each connection served by a closure.

#[path = "support/lab.rs"]
mod lab;

use lab::*;
use notafter_wire::starttls::Protocol;
use notafter_wire::tls::grab::{Grabber, NoBatch, Settings, Starttls, Target};
use notafter_wire::tls::prove::prove;
use notafter_wire::tls::{Offer, Outcome, Stage};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// Listens, and gives every connection to `serve` on its own thread. It ends with the process.
fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    port
}

/// Reads our hello, then sends `bytes` in pieces and leaves the connection open.
fn answering(bytes: Vec<u8>, piece: usize, delay: Duration) -> u16 {
    listen(move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.set_nodelay(true);
        for part in bytes.chunks(piece) {
            if stream.write_all(part).is_err() {
                return;
            }
            if !delay.is_zero() {
                pause(delay);
            }
        }
        let _ = stream.read(&mut [0; 4096]);
        pause(Duration::from_secs(5));
    })
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, 3, 3];
    out.extend_from_slice(&(body.len() as u16).to_be_bytes());
    out.extend_from_slice(body);
    out
}

fn server_hello() -> Vec<u8> {
    let mut message = vec![2, 0, 0, 38, 3, 3];
    message.extend_from_slice(&[9; 32]);
    message.extend_from_slice(&[0, 0xc0, 0x2f, 0]);
    message
}

fn certificates(count: usize, size: usize) -> Vec<u8> {
    let u24 = |number: usize| (number as u32).to_be_bytes()[1..].to_vec();
    let one = [u24(size), vec![0x30; size]].concat();
    let list = one.repeat(count);
    [vec![11], u24(list.len() + 3), u24(list.len()), list].concat()
}

fn in_records(messages: &[u8], size: usize) -> Vec<u8> {
    messages.chunks(size).flat_map(|part| record(22, part)).collect()
}

fn check(port: u16, starttls: Starttls, expected: &str) {
    let settings = Settings { total_timeout: Duration::from_millis(1500), ..quick() };
    let grabbed = grab_all(settings, vec![Target { starttls, ..target(port) }]).pop().expect("a result");
    let printed = format!("{:?}", grabbed.outcome);
    assert!(printed.contains(expected), "{printed}, not {expected}");
    assert!(grabbed.elapsed < Duration::from_millis(2000), "{:?}", grabbed.elapsed);
}

#[test]
fn stalls_end_with_the_deadline() {
    let flight = in_records(&[server_hello(), certificates(2, 500)].concat(), 16_000);
    let silent = listen(|stream| {
        pause(Duration::from_secs(5));
        drop(stream);
    });
    check(silent, Starttls::No, "Timeout { stage: Handshake }");
    check(silent, Starttls::Named(Protocol::Smtp), "Timeout { stage: Greeting }");
    let dripping = answering(flight.clone(), 1, Duration::from_millis(20));
    check(dripping, Starttls::No, "Timeout { stage: Handshake }");
    let brisk = answering(flight.clone(), 100, Duration::from_millis(10));
    check(brisk, Starttls::No, "certificates: [500, 500]");
    let bytewise = in_records(&[server_hello(), certificates(2, 500)].concat(), 1);
    check(answering(bytewise, 7, Duration::ZERO), Starttls::No, "certificates: [500, 500]");
    let half_closed = listen(move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&flight[..flight.len() - 5]);
        let _ = stream.shutdown(Shutdown::Write);
        pause(Duration::from_secs(5));
    });
    check(half_closed, Starttls::No, "Closed { stage: Handshake }");
}

#[test]
fn floods_are_refused_at_a_stated_size() {
    let huge = [record(22, &server_hello()), record(22, &[11, 0x98, 0x96, 0x80, 0, 0])].concat();
    check(
        answering(huge, 9000, Duration::ZERO),
        Starttls::No,
        "what: \"certificate message\", size: 10000000",
    );
    let many = in_records(&[server_hello(), certificates(10_000, 10)].concat(), 16_000);
    check(answering(many, 9000, Duration::ZERO), Starttls::No, "what: \"certificate chain\", size: 10000");
    let banner = listen(|mut stream| {
        let _ = stream.write_all(b"220 ");
        while stream.write_all(&[b'a'; 8192]).is_ok() {}
    });
    check(banner, Starttls::Named(Protocol::Smtp), "a line longer than 4 KiB");
    let lines = listen(|mut stream| while stream.write_all(b"220-hello\r\n").is_ok() {});
    check(lines, Starttls::Named(Protocol::Smtp), "more than 64 KiB before TLS");
}

#[test]
fn what_is_not_tls_is_said_to_be() {
    let http = answering(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), 9000, Duration::ZERO);
    check(http, Starttls::No, "NotTls { first: [72, 84, 84, 80");
    check(http, Starttls::Auto, "NotTls { first: [72, 84, 84, 80");
    let garbage = answering(vec![0xa7; 500], 9000, Duration::ZERO);
    check(garbage, Starttls::No, "NotTls { first: [167, 167");
    let broken = answering([record(22, &server_hello()), vec![0xa7; 500]].concat(), 9000, Duration::ZERO);
    check(broken, Starttls::No, "Malformed");
    let port = free_port();
    check(port, Starttls::No, "Refused");
    check(port, Starttls::Auto, "Refused");
}

#[test]
fn resets_are_told_from_closes() {
    let closing = listen(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
    });
    let grabbed = grab(target(closing));
    assert_eq!(grabbed.outcome, Outcome::Closed { stage: Stage::Handshake });
    assert_eq!(grabbed.attempts, 2, "a server that hangs up on the modern hello gets the legacy one");
    let resetting = listen(|mut stream| {
        // Closing with unread data resets.
        let _ = stream.read(&mut [0; 10]);
    });
    assert_eq!(grab(target(resetting)).outcome, Outcome::Reset { stage: Stage::Handshake });
    let only_one = grab(Target { offer: Offer::RsaOnly, ..target(closing) });
    assert_eq!(only_one.attempts, 1);
}

#[test]
fn auto_finds_the_protocol_by_what_the_server_says() {
    let flight = in_records(&[server_hello(), certificates(1, 300)].concat(), 16_000);
    let imap = {
        let flight = flight.clone();
        listen(move |mut stream| {
            let _ = stream.write_all(b"* OK ready\r\n");
            let mut said = [0; 4096];
            let count = stream.read(&mut said).unwrap_or(0);
            if said[..count].starts_with(b"a1 STARTTLS") {
                let _ = stream.write_all(b"a1 OK go\r\n* BYE injected\r\n");
                let _ = stream.read(&mut said);
                let _ = stream.write_all(&flight);
                pause(Duration::from_secs(2));
            }
        })
    };
    let grabbed = grab(Target { starttls: Starttls::Auto, ..target(imap) });
    assert_eq!(summary(&grabbed), "0303 c02f group - chain 1 leaf unknown");
    assert_eq!((grabbed.protocol, grabbed.attempts), (Some(Protocol::Imap), 2));
    // What was promised by port is tried, and given up for plain TLS: here by asking for IMAP where TLS is.
    let plain = answering(flight, 9000, Duration::ZERO);
    let grabbed = grab(Target { starttls: Starttls::Named(Protocol::Ldap), ..target(plain) });
    assert!(matches!(grabbed.outcome, Outcome::NotTls { .. }), "{:?}", grabbed.outcome);
}

#[test]
fn a_full_handshake_has_the_same_limits() {
    let settings = Settings { total_timeout: Duration::from_millis(700), ..quick() };
    let check = |port: u16, starttls: Starttls, expected: &str| {
        let (clock, target) = (clock(), Target { starttls, ..target(port) });
        let start = clock.now();
        let printed = format!("{:?}", prove(&target, &settings, &*clock));
        assert!(printed.contains(expected), "{printed}, not {expected}");
        assert!(clock.now() - start < Duration::from_secs(1));
    };
    let flight = in_records(&[server_hello(), certificates(2, 500)].concat(), 16_000);
    check(answering(flight, 1, Duration::from_millis(20)), Starttls::No, "Timeout { stage: Handshake }");
    let http = answering(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), 9000, Duration::ZERO);
    check(http, Starttls::No, "NotTls { first: [72, 84, 84, 80");
    check(http, Starttls::Named(Protocol::Ldap), "NotTls { first: [72, 84, 84, 80");
    let lines = listen(|mut stream| while stream.write_all(b"220-hello\r\n").is_ok() {});
    check(lines, Starttls::Named(Protocol::Smtp), "more than 64 KiB before TLS");
}

#[test]
fn a_thousand_tarpits_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || listener.incoming().flatten().collect::<Vec<_>>());
    let settings = Settings {
        in_flight_max: 1000,
        threads: 2,
        total_timeout: Duration::from_millis(1200),
        connect_timeout: Duration::from_millis(1200),
        ..Settings::default()
    };
    let clock = clock();
    let start = clock.now();
    let grabs = grab_all(settings, vec![target(port); 1000]);
    assert_eq!(grabs.len(), 1000);
    assert!(grabs.iter().all(|grab| matches!(grab.outcome, Outcome::Timeout { .. })));
    assert!(clock.now() - start < Duration::from_secs(6), "{:?}", clock.now() - start);
}

#[test]
fn dropping_the_guard_ends_everything() {
    let silent = listen(|stream| {
        pause(Duration::from_secs(30));
        drop(stream);
    });
    let settings =
        Settings { total_timeout: Duration::from_secs(60), in_flight_max: 10, queue: 5, ..quick() };
    let (grabber, feeder, results) = Grabber::start(settings, clock()).expect("the loops start");
    let fed = std::thread::spawn(move || feeder.send_all(VecDeque::from(vec![target(silent); 100])));
    assert_eq!(results.recv_within(Duration::from_millis(200)), Err(NoBatch::Yet));
    let clock = clock();
    let start = clock.now();
    drop(grabber);
    assert!(clock.now() - start < Duration::from_secs(2));
    assert!(fed.join().expect("the feeder ends").is_err_and(|stopped| !stopped.0.is_empty()));
    assert_eq!(results.recv_within(Duration::from_secs(5)), Err(NoBatch::Ever));
    assert_eq!(results.recv(), None);
}

#[test]
fn an_idle_grabber_takes_more() {
    let closed = free_port();
    let (_grabber, feeder, results) =
        Grabber::start(Settings { threads: 2, ..quick() }, clock()).expect("the loops start");
    for tag in 0..50 {
        feeder.try_send(Target { tag, ..target(closed) }).expect("there is room");
        let batch = results.recv_within(Duration::from_secs(5)).expect("a result");
        assert_eq!(batch.iter().map(|grab| grab.target.tag).collect::<Vec<_>>(), [tag]);
        pause(Duration::from_millis(tag % 3 * 10));
    }
    drop(feeder);
    assert_eq!(results.recv(), None);
}

#[test]
fn a_full_queue_of_results_opens_no_more_connections() {
    let closed = free_port();
    let settings = Settings { queue: 1, in_flight_max: 4, ..quick() };
    let (_grabber, feeder, results) = Grabber::start(settings, clock()).expect("the loops start");
    let fed = std::thread::spawn(move || {
        let targets: VecDeque<Target> = (0..5000).map(|tag| Target { tag, ..target(closed) }).collect();
        feeder.send_all(targets)
    });
    pause(Duration::from_millis(300));
    assert!(!fed.is_finished(), "nobody drains, so the feeder waits");
    let mut tags = Vec::new();
    while let Some(batch) = results.recv() {
        tags.extend(batch.iter().map(|grab| grab.target.tag));
    }
    tags.sort_unstable();
    assert_eq!(tags, (0..5000).collect::<Vec<_>>());
    assert!(fed.join().is_ok_and(|sent| sent.is_ok()));
}

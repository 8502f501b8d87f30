//! ACME against a real CA (pebble), real web servers and a CA that means harm.
//!
//! Every order is driven as the engine drives it: each ticket is written down and read again before the next step.

#![allow(missing_docs)]
// These tests wait for servers, in real time.
#![allow(clippy::disallowed_methods)]

mod account;
mod caa;
mod crash;
mod dns;
mod dns_api;
mod dns_hooks;
mod hostile;
mod issue;
mod lifecycle;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use notafter_act::issuers::acme::Acme;
use notafter_act::issuers::{self, BuildCx};
use notafter_act::roots::Roots;
use notafter_act::solvers;
use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_core::fault::Fault;
use notafter_core::issuance::{Identifier, Issued, Progress, Request, Ticket};
use notafter_core::joints::{Cx, Issuer, Keep, Solver};
use notafter_lab::pebble::{self, Options, Pebble};
use notafter_lab::{Lab, need, program};
use serde_json::{Value, json};

/// The system's clock.
pub(crate) struct Real;

impl Clock for Real {
    fn now(&self) -> UnixTime {
        UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64)
    }

    fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

pub(crate) fn cx() -> Cx {
    Cx::new(Arc::new(Real), "this host".into())
}

/// What providers keep, in memory.
#[derive(Default)]
pub(crate) struct Memory(pub(crate) Mutex<BTreeMap<String, Vec<u8>>>);

impl Memory {
    /// What is kept of the account.
    pub(crate) fn account(&self) -> (String, Value) {
        let map = self.0.lock().unwrap();
        let (name, bytes) = map.iter().find(|(name, _)| name.ends_with("/account")).expect("an account");
        (name.clone(), serde_json::from_slice(bytes).unwrap())
    }
}

impl Keep for Memory {
    fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.0.lock().unwrap().get(name).cloned())
    }

    fn keep(&self, name: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, Fault> {
        let mut map = self.0.lock().unwrap();
        if map.get(name).map(Vec::as_slice) != expected {
            return Ok(false);
        }
        map.insert(name.to_owned(), value.to_vec());
        Ok(true)
    }
}

pub(crate) fn roots() -> Roots {
    static ROOTS: OnceLock<Roots> = OnceLock::new();
    ROOTS.get_or_init(Roots::read).clone()
}

/// The table of an issuer at this CA, with more settings.
pub(crate) fn table(ca: &Pebble, more: Value) -> Value {
    let mut table =
        json!({ "directory": ca.directory(), "ca_file": ca.ca_file(), "contact": "certs@example.com" });
    table.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    table
}

pub(crate) fn issuer(table: Value, keep: &Arc<Memory>) -> Acme {
    let keep: Arc<dyn Keep> = keep.clone();
    Acme::open(table, &BuildCx { name: "acme".into(), roots: roots(), keep, act: None })
        .unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn solver(kind: &str, table: Value, keep: &Arc<Memory>) -> Box<dyn Solver> {
    let keep: Arc<dyn Keep> = keep.clone();
    let cx = solvers::BuildCx { roots: roots(), keep };
    (solvers::find(kind).unwrap().build)(table, &cx).unwrap_or_else(|error| panic!("{kind}: {error}"))
}

/// http-01 that listens for the time of the challenge.
pub(crate) fn standalone(ca: &Pebble) -> Box<dyn Solver> {
    let port = ca.http_port();
    let table = json!({ "listen": format!("127.0.0.1:{port}"), "port": port, "address": "127.0.0.1" });
    solver("http-01", table, &Arc::default())
}

/// A pebble.
pub(crate) fn start(lab: &Lab, options: &Options) -> Option<Pebble> {
    need(pebble::start(lab, options))
}

/// A request with a new key, made by openssl.
pub(crate) fn request(lab: &Lab, names: &[&str]) -> Request {
    let folder = lab.subfolder("csr");
    let names: Vec<Identifier> = names.iter().map(|name| Identifier::parse(name).unwrap()).collect();
    let sans: Vec<String> = names
        .iter()
        .map(|name| match name {
            Identifier::Dns(name) => format!("DNS:{name}"),
            Identifier::Ip(ip) => format!("IP:{ip}"),
        })
        .collect();
    let mut openssl = Command::new("openssl");
    openssl.current_dir(&folder).args(["req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt"]);
    openssl.args([
        "ec_paramgen_curve:P-256",
        "-keyout",
        "key.pem",
        "-subj",
        "/",
        "-outform",
        "DER",
        "-out",
        "csr.der",
    ]);
    openssl.args(["-addext", &format!("subjectAltName={}", sans.join(","))]);
    program::run(&mut openssl).unwrap();
    Request {
        names,
        csr: std::fs::read(folder.join("csr.der")).unwrap(),
        profile: None,
        replaces: None,
        preferred_chain: None,
        lifetime_s: None,
    }
}

/// A ticket as it comes back from where it was kept.
pub(crate) fn kept(ticket: &Ticket) -> Ticket {
    serde_json::from_str(&serde_json::to_string(ticket).unwrap()).unwrap()
}

/// Waits as the engine would.
pub(crate) async fn wait(until: UnixTime) {
    let seconds = (until.0 - Real.now().0).clamp(0, 10) as u64;
    tokio::time::sleep(Duration::from_secs(seconds).max(Duration::from_millis(50))).await;
}

/// From a ticket to the end.
pub(crate) async fn go_on(
    issuer: &dyn Issuer,
    request: &Request,
    mut ticket: Ticket,
    solver: &dyn Solver,
) -> Result<(Issued, Vec<Ticket>), Fault> {
    let mut tickets = vec![ticket.clone()];
    for _ in 0..200 {
        match issuer.advance(&cx(), request, &kept(&ticket), solver).await? {
            Progress::Stepped(next) => {
                ticket = next;
                tickets.push(ticket.clone());
            }
            Progress::Waits { ticket: next, until, .. } => {
                ticket = next;
                wait(until).await;
            }
            Progress::Issued(issued) => return Ok((issued, tickets)),
        }
    }
    panic!("no end: {ticket:?}");
}

/// A whole order.
pub(crate) async fn order(
    issuer: &dyn Issuer,
    request: &Request,
    solver: &dyn Solver,
) -> Result<Issued, Fault> {
    let ticket = issuer.begin(&cx(), request).await?;
    Ok(go_on(issuer, request, ticket, solver).await?.0)
}

/// What openssl says about a certificate.
pub(crate) fn text(lab: &Lab, der: &[u8]) -> String {
    let file = lab.subfolder("der").join("certificate.der");
    std::fs::write(&file, der).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-inform", "DER", "-noout", "-text", "-nameopt", "RFC2253", "-in"]).arg(file);
    program::run(&mut openssl).unwrap().text()
}

#[test]
fn every_kind_is_documented_and_the_lists_are_sorted() {
    let issuers = issuers::ISSUERS.iter().map(|kind| (kind.name, kind.doc, (kind.settings)()));
    let solvers = solvers::SOLVERS.iter().map(|kind| (kind.name, kind.doc, (kind.settings)()));
    for (name, doc, schema) in issuers.chain(solvers) {
        assert!(doc.ends_with('.'), "{name}");
        assert_eq!(schema["additionalProperties"], false, "{name}");
        for (key, property) in schema["properties"].as_object().unwrap() {
            let guide = if name == "dns-01" {
                include_str!("../../../../docs/guide/dns-01.md")
            } else {
                include_str!("../../../../docs/guide/issuers.md")
            };
            assert!(guide.contains(&format!("`{key}`")), "{name}.{key} is not in the guide");
            assert!(property["description"].is_string(), "{name}.{key} has no words: {property}");
        }
    }
    assert!(issuers::ISSUERS.is_sorted_by_key(|kind| kind.name));
    assert!(solvers::SOLVERS.is_sorted_by_key(|kind| kind.name));
}

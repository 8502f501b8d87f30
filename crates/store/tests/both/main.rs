//! One suite for both databases: each test is a function over an empty store.

#![allow(clippy::disallowed_methods)]

mod placements;
mod questions;
mod scene;

use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use notafter_lab::{Authority, Lab, Request, Server, need, servers::postgres};
use notafter_store::{Database, Store};

/// Runs a test on every database there is.
fn on_each(test: fn(&Store)) {
    test(&Store::open(&Database::Memory, scene::NOW).unwrap());
    let lab = Lab::new("store");
    let file = lab.path().join("data/notafter.db");
    test(&Store::open(&Database::File(file), scene::NOW).unwrap());
    if let Some(database) = new_postgres() {
        test(&Store::open(&database, scene::NOW).unwrap());
    }
}

/// An empty database on this process's PostgreSQL; `None`, and said so, where it is not installed.
pub(crate) fn new_postgres() -> Option<Database> {
    static SERVER: OnceLock<Option<(Lab, Server)>> = OnceLock::new();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let (_, server) = SERVER
        .get_or_init(|| {
            let lab = Lab::new("store-postgres");
            let leaf = Authority::new(&lab).issue(&Request::server());
            need(postgres::start(&lab, &leaf)).map(|server| (lab, server))
        })
        .as_ref()?;
    let port = server.endpoints().first()?.address.port();
    let name = format!("n{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let url = format!("postgres://postgres@127.0.0.1:{port}/{name}?sslmode=disable");
    let made = Command::new("psql")
        .args(["-X", "-q", "-h", "127.0.0.1", "-U", "postgres", "-p", &port.to_string(), "-c"])
        .arg(format!("CREATE DATABASE {name}"))
        .status();
    assert!(made.is_ok_and(|status| status.success()), "psql cannot make a database");
    Some(Database::Postgres(url))
}

//! One suite for both databases: each test is a function over an empty store.

#![allow(clippy::disallowed_methods)]

mod long;
mod model;
mod old;
mod peers;
mod placements;
mod questions;
mod scene;
mod works;

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

#[test]
fn both_schemas_are_the_same() {
    let Some(database) = new_postgres() else { return };
    let one = Store::open(&Database::Memory, scene::NOW).unwrap().shape_for_tests().unwrap();
    let other = Store::open(&database, scene::NOW).unwrap().shape_for_tests().unwrap();
    assert!(one.len() > 100);
    assert_eq!(one, other);
}

#[test]
fn from_postgres_into_a_file_and_back() {
    let Some(database) = new_postgres() else { return };
    let store = Store::open(&database, scene::NOW).unwrap();
    let ca = scene::Authority::new("CA");
    let leaf = ca.leaf(&["a.example.com"], 90);
    scene::Batch::new(scene::NOW)
        .saw("tls://10.0.0.1:443?sni=a.example.com", &[&leaf, &ca.der])
        .whole(&store, "office");
    let lab = Lab::new("store-export");
    let copy = lab.path().join("copy.db");
    store.backup(&copy).unwrap();
    let whole = |store: &Store| format!("{:?}", store.asset(&scene::id(&leaf)).unwrap());
    let file = Store::restore(&Database::File(lab.path().join("new.db")), &copy, scene::NOW).unwrap();
    assert_eq!(whole(&file), whole(&store));
    assert_eq!(file.due(scene::NOW, 9).unwrap(), store.due(scene::NOW, 9).unwrap());
    let Some(other) = new_postgres() else { return };
    let back = Store::restore(&other, &copy, scene::NOW).unwrap();
    assert_eq!(whole(&back), whole(&store));
    assert_eq!(back.recount().unwrap(), Vec::<String>::new());
}

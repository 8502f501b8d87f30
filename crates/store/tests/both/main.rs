//! One suite for both databases: each test is a function over an empty store.

#![allow(clippy::disallowed_methods)]

mod placements;
mod scene;

use notafter_store::{Database, Store};

/// Runs a test on every database there is.
fn on_each(test: fn(&Store)) {
    test(&Store::open(&Database::Memory, scene::NOW).unwrap());
    let lab = notafter_lab::Lab::new("store");
    let file = lab.path().join("data/notafter.db");
    test(&Store::open(&Database::File(file), scene::NOW).unwrap());
}

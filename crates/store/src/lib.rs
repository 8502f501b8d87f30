//! The memory: what was seen, what was judged, who was told. SQLite in one file, or PostgreSQL.
//!
//! Between `core` (the nouns) and `engine` (which fills and judges them). One [`Store`], two databases:
//! `db.rs` is the only file that names a driver, every statement is written once. Calls block: the engine
//! calls from its own threads, the server from blocking tasks. It decides nothing and reads no clock.

mod check;
mod db;
mod lapses;
mod ledger;
mod migrate;
mod places;
mod read;
mod seen;
mod shelf;
mod texts;

pub mod ahead;
pub mod alerts;
pub mod backup;
mod crowd;
pub mod error;
pub mod findings;
pub mod judge;
pub mod keep;
pub mod observations;
pub mod prune;
pub mod queries;
pub mod rows;
pub mod seal;
pub mod works;

use std::path::PathBuf;

use notafter_core::UnixTime;

pub use error::{StoreError, Trouble};

/// Where the memory lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// One file; made, with mode 0600, when it is not there.
    File(PathBuf),
    /// In memory, for tests and one-shot use.
    Memory,
    /// `postgres://user:password@host:port/name?sslmode=...`
    Postgres(String),
}

/// The memory. Cheap to share behind an `Arc`; one writer at a time, readers beside it.
pub struct Store {
    db: db::Db,
    shelf: shelf::Shelf,
    known: queries::fetch::Known,
    schema: i64,
    services: std::sync::RwLock<Vec<(String, Vec<notafter_core::query::Term>)>>,
    names: std::sync::RwLock<queries::known::Names>,
}

/// How it is with the memory itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Condition {
    /// `sqlite` or `postgresql`, with its version.
    pub engine: String,
    /// Number of the newest migration applied.
    pub schema: i64,
    /// Bytes on disk, where that is known.
    pub bytes: Option<u64>,
    /// What is wrong, if the last write or check failed.
    pub trouble: Option<String>,
}

impl Store {
    /// Opens the memory and brings its schema up to date, each step in a transaction.
    ///
    /// # Errors
    /// A newer schema than this program knows, a damaged file, no access, no server.
    pub fn open(database: &Database, now: UnixTime) -> Result<Self, StoreError> {
        let db = db::Db::open(database)?;
        let schema = migrate::migrate(&db, migrate::STEPS, now)?;
        Ok(Self {
            db,
            shelf: shelf::Shelf::default(),
            known: queries::fetch::Known::default(),
            schema,
            services: std::sync::RwLock::default(),
            names: std::sync::RwLock::default(),
        })
    }

    /// Looks whether what is kept is whole: quick, or every page and row, and whether they agree with each other.
    ///
    /// # Errors
    /// What is damaged.
    pub fn check(&self, thorough: bool) -> Result<(), StoreError> {
        self.db.check(thorough)?;
        if thorough { check::whole(self) } else { Ok(()) }
    }

    /// This program is about to end: from now on a database server that says nothing is waited for no longer than
    /// some seconds in all. For a file nothing changes.
    pub fn begin_end(&self) {
        self.db.begin_end();
    }

    /// Takes the place of the one server of this memory, for as long as this lives: two that look and tell from one
    /// PostgreSQL would tell everything twice. For a file the lock of the data folder does it.
    ///
    /// # Errors
    /// Another server has it; it is said which.
    pub fn claim(&self) -> Result<(), StoreError> {
        self.db.claim()
    }

    /// How it is.
    pub fn condition(&self) -> Condition {
        let (engine, bytes) = self.db.describe();
        Condition { engine, schema: self.schema, bytes, trouble: self.db.trouble() }
    }

    /// What the last write that failed said; `None` once one succeeded.
    pub fn trouble(&self) -> Option<String> {
        self.db.trouble()
    }

    /// Bytes by table and index, the largest first: what a benchmark and `doctor` show.
    ///
    /// # Errors
    /// The store's.
    pub fn sizes(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let rows = self.db.read(|c| c.query(self.db.dialect().sizes(), &[]))?;
        rows.into_iter().map(|mut row| Ok((row.text(0)?, row.count(1)?))).collect()
    }

    /// Writes what waits in the log back into the file and lets the database count its rows: after a large import.
    pub fn settle(&self) {
        self.db.settle();
    }

    /// How long a write waits while another process holds the lock: 60 seconds, unless this says otherwise.
    pub fn set_patience(&self, patience: std::time::Duration) {
        self.db.set_patience(patience);
    }

    /// Holds the write lock while `work` runs: for tests of those who wait for it.
    #[doc(hidden)]
    pub fn hold_for_tests(&self, work: impl FnOnce()) {
        let _ = self.db.write_once(|_| {
            work();
            Ok(())
        });
    }

    /// Tables, columns and types: for the test that compares both schemas.
    #[doc(hidden)]
    pub fn shape_for_tests(&self) -> Result<Vec<(String, String, String, i64)>, StoreError> {
        let rows = self.db.read(|c| c.query(self.db.dialect().columns(), &[]))?;
        rows.into_iter().map(|mut row| Ok((row.text(0)?, row.text(1)?, row.text(2)?, row.int(3)?))).collect()
    }

    /// Says which places each service has, for `service:` in queries: any one of the terms suffices.
    pub fn set_services(&self, services: Vec<(String, Vec<notafter_core::query::Term>)>) {
        *self.services.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = services;
    }
}

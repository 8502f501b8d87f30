//! The memory: what was seen, what was judged, who was told. SQLite in one file, or PostgreSQL.
//!
//! Between `core` (the nouns) and `engine` (which fills and judges them). One [`Store`], two databases:
//! `db.rs` is the only file that names a driver, every statement is written once. Calls block: the engine
//! calls from its own threads, the server from blocking tasks. It decides nothing and reads no clock.

pub mod alerts;
pub mod error;
pub mod findings;
pub mod judge;
pub mod keep;
pub mod observations;
pub mod queries;
pub mod rows;

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
pub struct Store {}

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
        let _ = (database, now);
        todo!()
    }

    /// Looks whether what is kept is whole: quick, or every page and row.
    ///
    /// # Errors
    /// What is damaged.
    pub fn check(&self, thorough: bool) -> Result<(), StoreError> {
        let _ = thorough;
        todo!()
    }

    /// How it is.
    pub fn condition(&self) -> Condition {
        todo!()
    }

    /// Copies everything into a new SQLite file while others go on reading and writing, and checks the copy.
    ///
    /// # Errors
    /// The file is there already, the disk is full, the source is damaged.
    pub fn backup(&self, to: &std::path::Path) -> Result<(), StoreError> {
        let _ = to;
        todo!()
    }

    /// Replaces everything by what a backup holds, after checking it. A SQLite file that was there is kept beside
    /// it as `*.before-restore`.
    ///
    /// # Errors
    /// The backup is damaged or newer than this program.
    pub fn restore(database: &Database, from: &std::path::Path, now: UnixTime) -> Result<Self, StoreError> {
        let _ = (database, from, now);
        todo!()
    }
}

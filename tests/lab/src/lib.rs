//! The lab: real servers, real certificates and hostile peers for the end-to-end tests.
//!
//! Nothing here knows Notafter. A test makes a [`Lab`], lets an [`Authority`] issue a [`Leaf`], starts a
//! [`Server`] with it, points the program under test at the server's address, and compares what was found with
//! what was installed. [`peer::served`] is the independent judge: it asks the `openssl` program.
//!
//! ```no_run
//! use notafter_lab::{Authority, Lab, Request, need, servers::nginx};
//!
//! let lab = Lab::new("renewal");
//! let authority = Authority::new(&lab);
//! let old = authority.issue(&Request::server().days(3));
//! let Some(mut server) = need(nginx::start(&lab, &old)) else { return };
//! server.replace(&authority.issue(&Request::server().days(90))).unwrap();
//! server.reload().unwrap();
//! ```
//!
//! A server that is not installed is never silently left out: its constructor returns [`NotRun`], and [`need`]
//! prints it, or panics where `NOTAFTER_LAB=required` is set. Everything is std only and Linux only, and every
//! server binds addresses of 127.0.0.0/8 alone.

// The lab waits for other programs, in real time: it owns clocks, sleeps and a terminal where the product must not.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)]

pub mod authority;
pub mod base64;
pub mod booted;
pub mod calendar;
pub mod dns;
pub mod hostile;
pub mod keys;
pub mod machine;
pub mod material;
mod orphans;
pub mod pebble;
pub mod peer;
mod ports;
pub mod program;
pub mod relay;
pub mod server;
pub mod servers;
pub mod sinks;
pub mod sshd;
pub mod stores;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub use authority::{Authority, Request};
pub use keys::Key;
pub use material::Leaf;
pub use ports::Port;
pub use server::{Endpoint, Server, Starttls};

/// Counts the labs of this process, so that two with one name do not share a folder.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A private temporary folder in which one test keeps its certificates and servers.
///
/// The folder is removed on drop, and kept when `NOTAFTER_LAB_KEEP` is set.
#[derive(Debug)]
pub struct Lab {
    /// The folder.
    folder: PathBuf,
    /// Numbers what is put into it.
    next: AtomicU32,
}

impl Lab {
    /// Makes a new folder whose name says what it is for.
    ///
    /// # Panics
    /// When the folder cannot be made: no test can go on without it.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("notafter-lab-{name}-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        if keeps() {
            eprintln!("lab {name}: kept in {}", folder.display());
        } else {
            orphans::adopt_folder(&folder);
        }
        Self { folder, next: AtomicU32::new(0) }
    }

    /// The folder of this lab.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Makes a new, empty folder inside the lab.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn subfolder(&self, name: &str) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.join(format!("{name}-{number}"));
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        folder
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !keeps() {
            let _ = fs::remove_dir_all(&self.folder);
            orphans::forget_folder(&self.folder);
        }
    }
}

/// Whether temporary folders outlive their test.
fn keeps() -> bool {
    std::env::var_os("NOTAFTER_LAB_KEEP").is_some()
}

/// A part of the lab that could not be had here, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRun {
    /// The server or program.
    pub what: String,
    /// Why it did not run; for a server that stopped, the end of its log.
    pub why: String,
}

impl NotRun {
    /// Says that something did not run, and why.
    #[must_use]
    pub fn new(what: &str, why: impl Into<String>) -> Self {
        Self { what: what.to_owned(), why: why.into() }
    }

    /// Prints the fact, so that a test that did not test is seen.
    pub fn report(&self) {
        println!("{self}");
    }
}

impl fmt::Display for NotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NOT RUN: {}: {}", self.what, self.why)
    }
}

impl std::error::Error for NotRun {}

/// Takes what a test needs, or says that it did not run.
///
/// # Panics
/// When it could not be had and `NOTAFTER_LAB=required` is set, as in continuous integration, where a skipped
/// test must be a failed one.
#[must_use]
pub fn need<T>(result: Result<T, NotRun>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(not_run) => {
            let required = std::env::var("NOTAFTER_LAB").is_ok_and(|value| value == "required");
            assert!(
                !required,
                "{not_run}\nhint: NOTAFTER_LAB=required is set; xtask/src/packages.rs lists what must be there"
            );
            not_run.report();
            None
        }
    }
}

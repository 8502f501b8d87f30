//! The clients that prove a scene honest: they fail where the outage would be, and work in the healthy twin.
//!
//! Each is a program that real people use, with its clock at the moment asked about. None of them is Notafter or
//! shares code with it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use notafter_lab::{NotRun, program};

use crate::site::Site;

/// What a client experienced.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// Whether it got what it wanted.
    pub(crate) works: bool,
    /// What it said, in one line.
    pub(crate) line: String,
}

impl Said {
    /// Judges a program by its exit code; the line is the last that matters.
    pub(crate) fn of(ran: &program::Ran, sign: &str) -> Self {
        let all = ran.all();
        let line = all.lines().rev().find(|line| !sign.is_empty() && line.contains(sign));
        let line =
            line.or_else(|| all.lines().rev().find(|line| !line.trim().is_empty())).unwrap_or_default();
        Self { works: ran.status.success(), line: line.trim().to_owned() }
    }

    /// What a comparison found.
    pub(crate) fn new(works: bool, line: impl Into<String>) -> Self {
        Self { works, line: line.into() }
    }
}

/// How long one client may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A TLS client that trusts the house's root and checks the name.
pub(crate) fn tls(site: &Site, address: SocketAddr, name: &str, at: i64) -> Result<Said, NotRun> {
    tls_with(site, address, name, &site.root_file(), at, &[])
}

/// The same with its own roots, and more words for `openssl s_client`.
pub(crate) fn tls_with(
    site: &Site,
    address: SocketAddr,
    name: &str,
    roots: &Path,
    at: i64,
    more: &[&str],
) -> Result<Said, NotRun> {
    let mut command = site.command("openssl")?;
    command.args(["s_client", "-connect", &address.to_string()]);
    // A moment asked for would win over the wish not to look at dates.
    if !more.contains(&"-no_check_time") {
        command.args(["-attime", &at.to_string()]);
    }
    command.args(["-no-CAstore", "-no-CApath", "-CAfile"]).arg(roots);
    if name.is_empty() {
        command.arg("-noservername");
    } else {
        command.args(["-servername", name, "-verify_hostname", name]);
    }
    let ran = program::finish(command.args(more), b"Q\n", PATIENCE)?;
    let all = ran.all();
    let line = all.lines().rev().find(|line| line.contains("Verify return code"));
    let line = line.map_or("no TLS", str::trim).to_owned();
    Ok(Said { works: line.contains("code: 0 "), line })
}

/// The offline judge: a leaf's chain in a file against roots in another.
pub(crate) fn verify(
    site: &Site,
    chain: &Path,
    roots: &Path,
    at: i64,
    more: &[&str],
) -> Result<Said, NotRun> {
    let mut command = site.command("openssl")?;
    command.args(["verify", "-attime", &at.to_string(), "-no-CAstore", "-no-CApath", "-CAfile"]).arg(roots);
    command.args(more).arg("-untrusted").arg(chain).arg(chain);
    Ok(Said::of(&program::finish(&mut command, b"", PATIENCE)?, "error "))
}

/// A program that says by its exit code whether it is content.
pub(crate) fn content(command: &mut Command, sign: &str) -> Result<Said, NotRun> {
    Ok(Said::of(&program::finish(command, b"", PATIENCE)?, sign))
}

/// A program with its whole clock at a moment.
///
/// The library is named directly rather than through its wrapper, so that the program is our child and can be ended.
pub(crate) fn at_time(site: &Site, program: &str, at: i64) -> Result<Command, NotRun> {
    let command = site.command(program)?;
    ahead(command, at - notafter_lab::calendar::now())
}

/// A command whose clock is so many seconds ahead of the machine's.
pub(crate) fn ahead(mut command: Command, seconds: i64) -> Result<Command, NotRun> {
    let library = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten()
        .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
        .find(|path| path.exists())
        .ok_or_else(|| NotRun::new("faketime", "libfaketime.so.1 is not installed"))?;
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME", format!("{seconds:+}"))
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Ok(command)
}

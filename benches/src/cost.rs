//! What another program costs: its CPU, its peak of memory and its time on the wall.
//!
//! A process of its own for each measurement, so that the kernel's account of "children" holds exactly one.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};

use crate::Result;

/// The processor's time that this process has had, in microseconds.
pub(crate) fn used() -> Result<f64> {
    let used = getrusage(UsageWho::RUSAGE_SELF)?;
    let microseconds = |time: nix::sys::time::TimeVal| (time.tv_sec() * 1_000_000 + time.tv_usec()) as f64;
    Ok(microseconds(used.user_time()) + microseconds(used.system_time()))
}

/// Runs a program to its end; what it prints goes to the file `out`.
pub(crate) fn of(out: &str, program: &str, arguments: &[&str]) -> Result<Value> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(File::create(out)?);
    let began = Instant::now();
    let status = command.status()?;
    let wall = began.elapsed();
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let microseconds = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    Ok(json!({
        "user_us": microseconds(used.user_time()),
        "system_us": microseconds(used.system_time()),
        "wall_us": wall.as_micros() as u64,
        "max_rss_kib": used.max_rss(),
        "exit": status.code(),
    }))
}

//! Renewals: what a pass of planning takes over a fleet of which nothing is due, and whether it keeps memory.

use serde_json::Value;

use super::side::Setup;
use super::table::{Row, Table};

/// So many certificates are kept alive.
const COUNT: usize = 10_000;

pub(super) fn plan(setup: &Setup, table: &mut Table) -> Result<(), String> {
    let measured = setup.ask(&["renew", &COUNT.to_string()])?;
    let got = |name: &str| measured.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let second = Some((1_000.0, "<= 1 s"));
    let mut row = |what: &str, value: f64, unit: &str, goal| {
        table.row(Row::quantity("renew", what, value, unit, goal));
    };
    row(&format!("{COUNT} kept alive, the first pass"), got("first_ms"), "ms", second);
    row("the same, CPU of all threads", got("first_cpu_ms"), "ms CPU", None);
    row("the first after a start", got("restarted_ms"), "ms", second);
    row("the same, CPU of all threads", got("restarted_cpu_ms"), "ms CPU", None);
    row("each looked at again, an hour later", got("hourly_ms"), "ms", second);
    row("the same, the slowest of sixty", got("hourly_most_ms"), "ms", second);
    row("the same, CPU of all threads", got("hourly_cpu_ms"), "ms CPU", None);
    row("none has to be looked at", got("idle_ms"), "ms", None);
    row("resident", got("resident_mb"), "MiB", None);
    row(&format!("added by {} passes", got("passes")), got("added_mb"), "MiB", Some((4.0, "<= 4 MiB")));
    Ok(())
}

//! `cargo xtask test`: everything that must hold, in one command, on a fresh machine.
//!
//! Installs the servers that the tests talk to, checks the house rules, then runs every test of the
//! workspace, with nextest where it is present. Nothing is skipped in silence: with the lab required, a
//! server that cannot be started is a failure.

use std::process::Command;

use crate::{packages, tidy};

pub fn run(filters: &[String]) -> Result<(), String> {
    packages::ensure()?;
    tidy::run()?;
    checked(Command::new("cargo").args(["build", "--workspace", "--bins", "--locked"]))?;
    let nextest =
        Command::new("cargo").args(["nextest", "--version"]).output().is_ok_and(|o| o.status.success());
    let mut command = Command::new("cargo");
    if nextest {
        command.args(["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]);
    } else {
        command.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    }
    command.args(filters);
    // As root everything can be had; a user without root runs what there is and is told of the rest.
    if packages::is_root() {
        command.env("NOTAFTER_LAB", "required");
    }
    checked(&mut command)
}

fn checked(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}").replace('"', "");
    println!("+ {shown}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown}: {status}")),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

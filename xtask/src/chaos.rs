//! `cargo xtask chaos`: faults on purpose while certificates are renewed, and figures of what came of it.
//!
//! Installs what the scenes need, builds the program (or takes the one that `NOTAFTER_BIN` names), and lets
//! `tests/chaos` do the rest. Knows nothing of any scene.

use std::process::Command;

use crate::packages;

/// Plays the scenes with these words.
pub fn run(words: &[String]) -> Result<(), String> {
    packages::ensure()?;
    packages::ensure_chaos();
    let mut chaos = Command::new("cargo");
    chaos.args(["run", "--quiet", "--locked", "--package", "notafter-chaos", "--"]).args(words);
    if std::env::var_os("NOTAFTER_BIN").is_none() {
        let build = ["build", "--quiet", "--release", "--locked", "--package", "notafter"];
        built(Command::new("cargo").args(build))?;
        let root = packages::workspace();
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), std::path::PathBuf::from);
        chaos.env("NOTAFTER_BIN", root.join(target).join("release/notafter"));
    }
    built(&mut chaos)
}

/// Runs a command that must succeed; what went wrong it has said itself.
fn built(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("chaos: {status}")),
        Err(error) => Err(format!("{}: {error}", command.get_program().to_string_lossy())),
    }
}

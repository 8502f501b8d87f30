//! `cargo xtask drill`: thirty small outages and their healthy twins, and what the program said about them.
//!
//! Installs what the scenes need, builds the program (or takes the one that `NOTAFTER_BIN` names), and lets
//! `tests/drill` do the rest. Knows nothing of any scene.

use std::process::Command;

use crate::packages;

/// Plays the drill with these words.
pub fn run(words: &[String]) -> Result<(), String> {
    packages::ensure_drill()?;
    if words.iter().any(|word| word == "--peers") {
        packages::ensure_peers();
    }
    let mut drill = Command::new("cargo");
    drill.args(["run", "--quiet", "--locked", "--package", "notafter-drill", "--"]).args(words);
    if std::env::var_os("NOTAFTER_BIN").is_none() {
        built(Command::new("cargo").args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--package",
            "notafter",
        ]))?;
        let root = packages::workspace();
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), std::path::PathBuf::from);
        drill.env("NOTAFTER_BIN", root.join(target).join("release/notafter"));
    }
    built(&mut drill)
}

/// Runs a command that must succeed; what went wrong it has said itself.
fn built(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("drill: {status}")),
        Err(error) => Err(format!("{}: {error}", command.get_program().to_string_lossy())),
    }
}

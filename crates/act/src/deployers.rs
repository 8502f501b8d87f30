//! The deployers: each puts a key and its certificates where one kind of place wants them.
//!
//! One file and one line in [`DEPLOYERS`] each. A deployer writes, checks and reloads, and can put back what was there;
//! when, in which order and whether it is in use is decided by the engine. No command and no path comes from anywhere but
//! the configuration.

mod able;
mod back;
pub(crate) mod command;
mod environment;
mod exec;
mod files;
mod hand;
mod keystore;
pub mod presets;
mod ssh;
mod webhook;

use notafter_core::joints::Deployer;
use serde_json::Value;

use crate::roots::Roots;

/// Every deployer, by name.
pub const DEPLOYERS: &[DeployerKind] = &[
    DeployerKind { name: exec::NAME, doc: exec::DOC, build: exec::build, settings: exec::schema },
    DeployerKind { name: files::NAME, doc: files::DOC, build: files::build, settings: files::schema },
    DeployerKind { name: hand::NAME, doc: hand::DOC, build: hand::build, settings: hand::schema },
    DeployerKind { name: ssh::NAME, doc: ssh::DOC, build: ssh::build, settings: ssh::schema },
    DeployerKind { name: webhook::NAME, doc: webhook::DOC, build: webhook::build, settings: webhook::schema },
];

/// The kind of this name.
pub fn find(name: &str) -> Option<&'static DeployerKind> {
    DEPLOYERS.iter().find(|kind| kind.name == name)
}

/// What every deployer is built with.
#[derive(Clone, Debug)]
pub struct BuildCx {
    /// Whom connections trust, before a deployer's own `ca_file`.
    pub roots: Roots,
    /// Is this the process that installs? Else what the table names as secret may be for the eyes of that one alone, and is
    /// not looked at.
    pub installs: bool,
}

/// May this account write into this folder, and nobody else who should not? The same refusals as when something is
/// installed there: as root, no folder of the path may be one that others can change, but for those of `owners`.
///
/// # Errors
/// Who else could, or why it cannot be opened, with a hint.
pub fn guarded(folder: &std::path::Path, owners: &[u32]) -> Result<(), notafter_core::fault::Fault> {
    files::guarded(folder, owners)
}

/// The program that a command of this name runs, where there is one that may be run.
pub fn installed(name: &str) -> Option<std::path::PathBuf> {
    command::program(&[name.to_owned()]).ok()
}

/// A deployer, or a sentence for the person who wrote its table.
pub type Built = Result<Box<dyn Deployer>, String>;

/// One kind of deployer.
#[derive(Clone, Copy)]
pub struct DeployerKind {
    /// `kind = "..."` in the file.
    pub name: &'static str,
    /// One line for the reference page.
    pub doc: &'static str,
    /// Builds one from its table without `kind` and without what the engine reads of it (`prove`).
    pub build: fn(Value, &BuildCx) -> Built,
    /// The JSON schema of its table.
    pub settings: fn() -> Value,
}

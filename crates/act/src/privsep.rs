//! Two processes: one that looks and decides, and one that has the rights to install (privilege separation).
//!
//! What they say to each other is `message.rs`, how it is put on a socket `frame.rs`. `client.rs` is the side that asks;
//! `far.rs` has its deployers, solvers and keys, which stand behind the same joints as the near ones. The side that answers
//! is the binary's. An order holds names out of a configuration that both know, and public values; there is no place in
//! it for a path, a command or a private key.

pub mod client;
mod far;
pub mod frame;
pub mod message;

pub use client::Client;
pub use far::{FarDeployer, FarSolver, look, make, places, publish};

use notafter_core::deployment::Key;
use notafter_core::fault::{Fault, FaultKind, Retry};

/// Where `notafter act` listens, unless it is told another place.
pub const SOCKET: &str = "/run/notafter/act.sock";

/// What begins where a private key would stand, and is none: the key is with the process that installs, under this name.
const HANDLE: &str = "act:";

/// What is kept in the place of a private key.
fn placeholder(handle: &str) -> Key {
    Key::new(format!("{HANDLE}{handle}").into_bytes())
}

/// The name of the key, where this is no key but a name.
fn handle(key: &Key) -> Option<&str> {
    std::str::from_utf8(key.expose()).ok()?.strip_prefix(HANDLE)
}

/// Refuses what is only the name of a key, where the key itself is needed.
pub(crate) fn is_here(key: &Key, name: &str) -> Result<(), Fault> {
    if handle(key).is_none() {
        return Ok(());
    }
    let said = format!(
        "the private key of {name} is not in this memory: it was made by `notafter act`, and is kept there"
    );
    Err(Fault::new(FaultKind::NotFound, said)
        .retry(Retry::Never)
        .hint("set `socket` in [act] again, or renew: a new key is made here"))
}

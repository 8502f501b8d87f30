//! `gnutls-serv`: another TLS stack, with any priority string.
//!
//! It knows no address to bind and listens on all of them.

use super::{command, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server};

/// Starts a `gnutls-serv` with its usual priorities.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    start_with(lab, leaf, "NORMAL", &[])
}

/// Starts a `gnutls-serv` with this priority string and more arguments.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start_with(lab: &Lab, leaf: &Leaf, priority: &str, arguments: &[&str]) -> Result<Server, NotRun> {
    server::start(lab, "gnutls", 1, |folder, ports| {
        let mut gnutls = command("gnutls-serv")?;
        install("gnutls", folder, leaf, None)?;
        gnutls.args(["--http", "--quiet", "--port", &ports[0].number().to_string(), "--priority", priority]);
        gnutls.arg("--x509certfile").arg(folder.join("tls/fullchain.pem"));
        gnutls.arg("--x509keyfile").arg(folder.join("tls/key.pem")).args(arguments);
        Ok(Recipe::new(gnutls, vec![local("tls", &ports[0], Starttls::Direct)], Reload::OnlyRestart("CONT")))
    })
}

//! Stunnel: TLS in front of a server that has none.

use super::{command, configure, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server};

/// Starts a Stunnel with nothing behind it.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "stunnel", 1, |folder, ports| {
        let mut stunnel = command("stunnel4")?;
        install("stunnel", folder, leaf, None)?;
        configure(folder, "stunnel.conf", TEMPLATE, &[("PORT", ports[0].number().to_string())]);
        stunnel.arg(folder.join("stunnel.conf"));
        let endpoints = vec![local("https", &ports[0], Starttls::Direct)];
        Ok(Recipe::new(stunnel, endpoints, Reload::Signal("HUP")))
    })
}

/// The configuration.
const TEMPLATE: &str = "foreground = yes
pid = @DIR@/stunnel.pid
[lab]
accept = 127.0.0.1:@PORT@
connect = 127.0.0.1:1
cert = @DIR@/tls/fullchain.pem
key = @DIR@/tls/key.pem
";

//! NATS: TLS after the server has said a line.

use super::{command, configure, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server};

/// Starts a NATS server of its own.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "nats", 1, |folder, ports| {
        let mut nats = command("nats-server")?;
        install("nats", folder, leaf, None)?;
        configure(folder, "nats-server.conf", TEMPLATE, &[("PORT", ports[0].number().to_string())]);
        nats.arg("-c").arg(folder.join("nats-server.conf"));
        let endpoints = vec![local("nats", &ports[0], Starttls::Nats)];
        Ok(Recipe::new(nats, endpoints, Reload::Signal("HUP")))
    })
}

/// The configuration.
const TEMPLATE: &str = "listen: \"127.0.0.1:@PORT@\"
tls {
  cert_file: \"@DIR@/tls/fullchain.pem\"
  key_file: \"@DIR@/tls/key.pem\"
}
";

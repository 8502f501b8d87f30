//! Hitch: a TLS proxy that reads chain and key from one file.

use super::{command, configure, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server};

/// Starts a Hitch with nothing behind it.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "hitch", 1, |folder, ports| {
        let mut hitch = command("hitch")?;
        install("hitch", folder, leaf, None)?;
        configure(folder, "hitch.conf", TEMPLATE, &[("PORT", ports[0].number().to_string())]);
        hitch.arg(format!("--config={}", folder.join("hitch.conf").display()));
        let endpoints = vec![local("https", &ports[0], Starttls::Direct)];
        Ok(Recipe::new(hitch, endpoints, Reload::Signal("HUP")))
    })
}

/// The configuration.
const TEMPLATE: &str = "frontend = \"[127.0.0.1]:@PORT@\"
backend = \"[127.0.0.1]:1\"
pem-file = \"@DIR@/tls/combined.pem\"
workers = 1
user = \"nobody\"
daemon = off
syslog = off
";

//! HAProxy: certificate, chain and key in one file; SIGUSR2 to the master loads it without losing a connection.

use super::{command, configure, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server};

/// Starts a HAProxy that answers every request with 503.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "haproxy", 1, |folder, ports| {
        let mut haproxy = command("haproxy")?;
        install("haproxy", folder, leaf, None)?;
        configure(folder, "haproxy.cfg", TEMPLATE, &[("PORT", ports[0].number().to_string())]);
        haproxy.args(["-W", "-f"]).arg(folder.join("haproxy.cfg"));
        Ok(Recipe::new(haproxy, vec![local("https", &ports[0], Starttls::Direct)], Reload::Signal("USR2")))
    })
}

/// The configuration.
const TEMPLATE: &str = "global
  log stderr format raw local0
  stats socket @DIR@/admin.sock mode 600 level admin
  ssl-default-bind-ciphers DEFAULT:@SECLEVEL=0
defaults
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 10s
frontend tls
  bind 127.0.0.1:@PORT@ ssl crt @DIR@/tls/combined.pem
  http-request return status 200 content-type text/plain string lab
";

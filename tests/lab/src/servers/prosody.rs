//! Prosody: XMPP with STARTTLS, for clients and for servers, and direct TLS for clients.

use super::{command, configure, folder_of, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server};

/// Starts a Prosody that is host to `srv.test`.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "prosody", 3, |folder, ports| {
        let mut prosody = command("prosody")?;
        install("prosody", folder, leaf, None)?;
        folder_of(&folder.join("data"), 0o700, None)?;
        let number = |index: usize| ports[index].number().to_string();
        let values = [("C2S", number(0)), ("S2S", number(1)), ("DIRECT", number(2))];
        configure(folder, "prosody.lua", TEMPLATE, &values);
        prosody.arg("--config").arg(folder.join("prosody.lua")).arg("-F");
        let endpoints = vec![
            local("c2s", &ports[0], Starttls::Xmpp),
            local("s2s", &ports[1], Starttls::XmppServer),
            local("c2s-direct", &ports[2], Starttls::Direct),
        ];
        let mut recipe = Recipe::new(prosody, endpoints, Reload::Signal("HUP"));
        recipe.logs.push(folder.join("prosody.log"));
        Ok(recipe)
    })
}

/// The configuration.
const TEMPLATE: &str = r#"run_as_root = true
pidfile = "@DIR@/prosody.pid"
data_path = "@DIR@/data"
log = { info = "@DIR@/prosody.log" }
interfaces = { "127.0.0.1" }
c2s_ports = { @C2S@ }
s2s_ports = { @S2S@ }
c2s_direct_tls_ports = { @DIRECT@ }
s2s_direct_tls_ports = { }
http_ports = { }
https_ports = { }
modules_enabled = { "roster", "saslauth", "tls", "dialback", "disco" }
authentication = "internal_hashed"
ssl = { certificate = "@DIR@/tls/fullchain.pem"; key = "@DIR@/tls/key.pem" }
VirtualHost "srv.test"
  ssl = { certificate = "@DIR@/tls/fullchain.pem"; key = "@DIR@/tls/key.pem" }
"#;

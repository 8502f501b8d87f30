//! Redis: TLS on its only port; a change of its settings makes it read its certificate again.

use super::{command, configure, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server, program};

/// Starts a Redis that keeps nothing.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "redis", 1, |folder, ports| {
        let mut redis = command("redis-server")?;
        install("redis", folder, leaf, None)?;
        let port = ports[0].number().to_string();
        configure(folder, "redis.conf", TEMPLATE, &[("PORT", port.clone())]);
        redis.arg(folder.join("redis.conf"));
        let files = folder.join("tls").display().to_string();
        let reload = move || {
            let mut client = command("redis-cli")?;
            client.args(["-h", "127.0.0.1", "-p", &port, "--tls", "--insecure", "config", "set"]);
            client.args(["tls-cert-file", &format!("{files}/fullchain.pem")]);
            client.args(["tls-key-file", &format!("{files}/key.pem")]);
            let said = program::run(&mut client)?.all();
            if said.trim() == "OK" { Ok(()) } else { Err(NotRun::new("redis", said)) }
        };
        let endpoints = vec![local("redis", &ports[0], Starttls::Direct)];
        Ok(Recipe::new(redis, endpoints, Reload::Call(Box::new(reload))))
    })
}

/// The configuration.
const TEMPLATE: &str = "bind 127.0.0.1
port 0
tls-port @PORT@
tls-auth-clients no
tls-cert-file @DIR@/tls/fullchain.pem
tls-key-file @DIR@/tls/key.pem
tls-ciphers DEFAULT:@SECLEVEL=0
dir @DIR@
save \"\"
appendonly no
";

//! Caddy: serves certificates that somebody else brings, and is a CA that speaks ACME.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{command, configure, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server, peer, program};

/// Starts a Caddy that serves this certificate to whoever asks for `srv.test`.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "caddy", 2, |folder, ports| {
        let mut caddy = command("caddy")?;
        install("caddy", folder, leaf, None)?;
        let number = |index: usize| ports[index].number().to_string();
        configure(folder, "Caddyfile", TEMPLATE, &[("PORT", number(0)), ("ADMIN", number(1))]);
        let config = folder.join("Caddyfile");
        caddy.args(["run", "--config"]).arg(&config).env("HOME", folder);
        let reload = move || {
            let mut caddy = command("caddy")?;
            program::run(caddy.args(["reload", "--force", "--config"]).arg(&config)).map(drop)
        };
        let endpoints = vec![local("https", &ports[0], Starttls::Direct)];
        Ok(Recipe::new(caddy, endpoints, Reload::Call(Box::new(reload))))
    })
}

/// The configuration.
const TEMPLATE: &str = "{
	admin 127.0.0.1:@ADMIN@
	auto_https off
	storage file_system @DIR@/storage
}
https://srv.test:@PORT@ {
	bind 127.0.0.1
	tls @DIR@/tls/fullchain.pem @DIR@/tls/key.pem
	respond lab
}
";

/// The newest Caddy there is: Debian 12's takes no date for a time to wait, which pebble gives.
///
/// # Errors
/// When there is none.
pub fn newest() -> Result<PathBuf, NotRun> {
    program::newer("caddy", "/usr/bin/caddy")
}

/// A CA that speaks ACME, of another make than pebble: its code is that of smallstep.
///
/// It validates at the ports of the standards, 80 and 443, so that it is at home in a network of its own.
#[derive(Debug)]
pub struct Ca {
    server: Server,
    root: PathBuf,
}

/// Starts one, which asks this DNS server.
///
/// # Errors
/// When it is not there or does not start.
pub fn ca(lab: &Lab, resolver: std::net::SocketAddr) -> Result<Ca, NotRun> {
    let server = server::start(lab, "caddy-ca", 2, |folder, ports| {
        // Debian 12's has no answer for whoever names a resolver.
        let mut caddy = Command::new(program::newer("caddy", "/usr/bin/caddy")?);
        let number = |index: usize| ports[index].number().to_string();
        let values = [("PORT", number(0)), ("ADMIN", number(1)), ("RESOLVER", resolver.to_string())];
        configure(folder, "Caddyfile", CA, &values);
        caddy.args(["run", "--config"]).arg(folder.join("Caddyfile")).env("HOME", folder);
        let mut recipe = Recipe::new(caddy, vec![local("acme", &ports[0], Starttls::Direct)], Reload::Itself);
        recipe.ready = Some("serving initial configuration");
        Ok(recipe)
    })?;
    let root = server.folder().join("storage/pki/authorities/local/root.crt");
    // Its own certificate it makes after it has begun to listen.
    let begun = Instant::now();
    while let Err(error) = peer::served_to(server.endpoint("acme"), Some("localhost"), &[]) {
        if begun.elapsed() > Duration::from_secs(20) {
            return Err(NotRun::new("caddy", error));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(Ca { server, root })
}

/// The configuration of the CA.
const CA: &str = "{
	admin 127.0.0.1:@ADMIN@
	skip_install_trust
	auto_https disable_redirects
	storage file_system @DIR@/storage
	pki {
		ca local {
			name \"Lab Caddy CA\"
		}
	}
}
https://localhost:@PORT@ {
	bind 127.0.0.1
	tls internal
	acme_server {
		lifetime 12h
		resolvers @RESOLVER@
	}
}
";

impl Ca {
    /// The address of its directory.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/acme/local/directory", self.server.address().port())
    }

    /// Its root, behind what it issues and behind its own HTTPS certificate (PEM).
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Everything it logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log()
    }
}

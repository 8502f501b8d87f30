//! The ntfy server. Debian 12 has none: `xtask` unpacks it from a newer suite.

use std::process::Command;

use super::super::servers::configure;
use crate::material::write;
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, NotRun, Server, program};

/// Starts one on the endpoint `http`; messages are read back with `GET /TOPIC/json?poll=1`. Everybody may read, and
/// only the user `notafter` with the password `lab-secret` may publish.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab) -> Result<Server, NotRun> {
    server::start(lab, "ntfy", 1, |folder, ports| {
        let path = program::find("ntfy").or_else(|_| program::find_in("ntfy", "/usr/bin/ntfy"))?;
        let address = ports[0].local().to_string();
        configure(folder, "server.yml", CONFIGURATION, &[("ADDRESS", address)]);
        let settings = folder.join("server.yml");
        // It adds users only to a file that is there, and an empty one is an empty database.
        write(&folder.join("user.db"), "");
        let mut user = Command::new(&path);
        user.arg("user").arg("--config").arg(&settings).args(["add", "--role=admin", "notafter"]);
        program::run(user.env("NTFY_PASSWORD", "lab-secret"))?;
        let mut ntfy = Command::new(&path);
        ntfy.arg("serve").arg("--config").arg(&settings);
        let endpoints = vec![local("http", &ports[0], Starttls::Direct)];
        Ok(Recipe::new(ntfy, endpoints, Reload::OnlyRestart("HUP")))
    })
}

/// The settings.
const CONFIGURATION: &str = "base-url: \"http://@ADDRESS@\"
listen-http: \"@ADDRESS@\"
cache-file: \"@DIR@/cache.db\"
auth-file: \"@DIR@/user.db\"
auth-default-access: \"read-only\"
";

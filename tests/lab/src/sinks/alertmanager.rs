//! Prometheus Alertmanager, alone and without a receiver: its API shows what is firing.

use super::super::servers::{command, configure};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, NotRun, Server};

/// Starts one; its API is on the endpoint `api`.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab) -> Result<Server, NotRun> {
    server::start(lab, "alertmanager", 1, |folder, ports| {
        let mut alertmanager = command("prometheus-alertmanager")?;
        configure(folder, "alertmanager.yml", CONFIGURATION, &[]);
        alertmanager.arg(format!("--config.file={}", folder.join("alertmanager.yml").display()));
        alertmanager.arg(format!("--storage.path={}", folder.join("data").display()));
        alertmanager.arg(format!("--web.listen-address={}", ports[0].local()));
        // No cluster: it would listen on every address.
        alertmanager.arg("--cluster.listen-address=");
        let endpoints = vec![local("api", &ports[0], Starttls::Direct)];
        Ok(Recipe::new(alertmanager, endpoints, Reload::Signal("HUP")))
    })
}

/// One route that leads nowhere.
const CONFIGURATION: &str = "route:
  receiver: nobody
receivers:
  - name: nobody
";

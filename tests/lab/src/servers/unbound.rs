//! Unbound: DNS over TLS. It reads its certificate once: a reload does not help, only a restart does.

use super::{command, configure, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server};

/// Starts an Unbound that answers for nothing. `unbound-control -c unbound.conf` in its folder speaks to it.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "unbound", 1, |folder, ports| {
        let mut unbound = command("unbound")?;
        install("unbound", folder, leaf, None)?;
        configure(folder, "unbound.conf", TEMPLATE, &[("PORT", ports[0].number().to_string())]);
        unbound.args(["-d", "-d", "-c"]).arg(folder.join("unbound.conf"));
        let endpoints = vec![local("dot", &ports[0], Starttls::Direct)];
        Ok(Recipe::new(unbound, endpoints, Reload::OnlyRestart("HUP")))
    })
}

/// The configuration.
const TEMPLATE: &str = "server:
  directory: \"@DIR@\"
  chroot: \"\"
  username: \"\"
  pidfile: \"@DIR@/pid\"
  use-syslog: no
  do-daemonize: no
  interface: 127.0.0.1@@PORT@
  tls-port: @PORT@
  tls-service-pem: \"@DIR@/tls/fullchain.pem\"
  tls-service-key: \"@DIR@/tls/key.pem\"
  local-zone: \".\" static
remote-control:
  control-enable: yes
  control-interface: \"@DIR@/control\"
  control-use-cert: no
";

//! Exim: SMTP with STARTTLS. It watches its certificate. Only root starts it, and it wants the account of its package.

use super::{account, configure, folder_of, install, only_root};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server, program};

/// Starts an Exim that takes no mail.
///
/// # Errors
/// When it is not installed, has no account, or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "exim", 1, |folder, ports| {
        only_root("exim")?;
        let mut exim = std::process::Command::new(program::find_in("exim4-daemon-light", "/usr/sbin/exim4")?);
        let owner = account("Debian-exim")?;
        // It reads the key as its own account.
        install("exim", folder, leaf, owner)?;
        folder_of(&folder.join("spool"), 0o755, owner)?;
        configure(folder, "exim4.conf", TEMPLATE, &[("PORT", ports[0].number().to_string())]);
        exim.arg("-C").arg(folder.join("exim4.conf")).arg("-bdf");
        let mut recipe = Recipe::new(exim, vec![local("smtp", &ports[0], Starttls::Smtp)], Reload::Itself);
        recipe.owner = owner;
        recipe.logs.push(folder.join("spool/main.log"));
        Ok(recipe)
    })
}

/// The configuration.
const TEMPLATE: &str = "primary_hostname = srv.test
spool_directory = @DIR@/spool
log_file_path = @DIR@/spool/%s.log
pid_file_path = @DIR@/spool/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = @PORT@
tls_advertise_hosts = *
tls_certificate = @DIR@/tls/fullchain.pem
tls_privatekey = @DIR@/tls/key.pem
keep_environment =
";

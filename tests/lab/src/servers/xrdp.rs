//! xrdp: TLS after an X.224 exchange. It reads its certificate for each connection.

use super::{command, configure, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server};

/// Starts an xrdp that has no session to offer.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "xrdp", 1, |folder, ports| {
        let mut xrdp = command("xrdp")?;
        install("xrdp", folder, leaf, None)?;
        configure(folder, "xrdp.ini", TEMPLATE, &[("PORT", ports[0].number().to_string())]);
        xrdp.arg("--nodaemon").arg("--config").arg(folder.join("xrdp.ini"));
        let mut recipe = Recipe::new(xrdp, vec![local("rdp", &ports[0], Starttls::Rdp)], Reload::Itself);
        recipe.logs.push(folder.join("xrdp.log"));
        Ok(recipe)
    })
}

/// The configuration.
const TEMPLATE: &str = "[Globals]
ini_version=1
fork=true
port=tcp://127.0.0.1:@PORT@
security_layer=tls
certificate=@DIR@/tls/fullchain.pem
key_file=@DIR@/tls/key.pem
ssl_protocols=TLSv1.2, TLSv1.3
tls_ciphers=DEFAULT:@SECLEVEL=0
[Logging]
LogFile=@DIR@/xrdp.log
LogLevel=INFO
EnableSyslog=false
[Channels]
[Lab]
name=lab
lib=libvnc.so
ip=127.0.0.1
port=-1
";

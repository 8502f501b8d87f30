//! InspIRCd: IRC with STARTTLS, and TLS on a port of its own.

use super::{command, configure, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server, program};

/// Starts an InspIRCd.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "inspircd", 2, |folder, ports| {
        let mut inspircd = command("inspircd")?;
        install("inspircd", folder, leaf, None)?;
        let values = [("IRC", ports[0].number().to_string()), ("IRCS", ports[1].number().to_string())];
        configure(folder, "inspircd.conf", TEMPLATE, &values);
        inspircd.arg("--config").arg(folder.join("inspircd.conf")).args(["--nofork", "--nolog"]);
        if program::is_root() {
            inspircd.arg("--runasroot");
        }
        let endpoints =
            vec![local("irc", &ports[0], Starttls::Irc), local("ircs", &ports[1], Starttls::Direct)];
        let mut recipe = Recipe::new(inspircd, endpoints, Reload::Signal("HUP"));
        // Told to end, version 3.15 crashes while it unloads its modules: slow, and it may leave a core file.
        recipe.stop = "KILL";
        Ok(recipe)
    })
}

/// The configuration.
const TEMPLATE: &str = r#"<path configdir="@DIR@" datadir="@DIR@" logdir="@DIR@" runtimedir="@DIR@">
<server name="srv.test" description="lab" network="lab" id="1NA">
<admin name="lab" nick="lab" email="lab@srv.test">
<pid file="@DIR@/inspircd.pid">
<bind address="127.0.0.1" port="@IRC@" type="clients">
<bind address="127.0.0.1" port="@IRCS@" type="clients" sslprofile="lab">
<module name="ssl_gnutls">
<module name="starttls">
<gnutls onrehash="yes">
<sslprofile name="lab" provider="gnutls" certfile="@DIR@/tls/fullchain.pem" keyfile="@DIR@/tls/key.pem">
<connect allow="*" resolvehostnames="no" useident="no">
"#;

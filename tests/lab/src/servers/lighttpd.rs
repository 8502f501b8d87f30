//! lighttpd with mod_openssl: certificate and key in files of their own.

use super::{command, configure, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server};

/// Starts a lighttpd that serves its own folder.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "lighttpd", 1, |folder, ports| {
        let mut lighttpd = command("lighttpd")?;
        install("lighttpd", folder, leaf, None)?;
        configure(folder, "lighttpd.conf", TEMPLATE, &[("PORT", ports[0].number().to_string())]);
        lighttpd.args(["-D", "-f"]).arg(folder.join("lighttpd.conf"));
        let endpoints = vec![local("https", &ports[0], Starttls::Direct)];
        Ok(Recipe::new(lighttpd, endpoints, Reload::Signal("USR1")))
    })
}

/// The configuration.
const TEMPLATE: &str = "server.modules = ( \"mod_openssl\" )
server.document-root = \"@DIR@/tls\"
server.bind = \"127.0.0.1\"
server.port = @PORT@
ssl.engine = \"enable\"
ssl.pemfile = \"@DIR@/tls/fullchain.pem\"
ssl.privkey = \"@DIR@/tls/key.pem\"
";

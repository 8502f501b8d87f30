//! The Apache web server; `graceful` makes it read its certificate again.

use super::{command, configure, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server, program};

/// Starts an Apache.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "apache", 1, |folder, ports| {
        let mut apache = command("apache2")?;
        install("apache", folder, leaf, None)?;
        // Apache refuses to serve as root.
        let user = if program::is_root() { "User nobody\nGroup nogroup" } else { "" };
        let port = ports[0].number().to_string();
        configure(folder, "httpd.conf", TEMPLATE, &[("USER", user.to_owned()), ("PORT", port)]);

        let conf = folder.join("httpd.conf");
        apache.arg("-f").arg(&conf).arg("-DFOREGROUND");
        let reload = move || {
            program::run(command("apache2")?.arg("-f").arg(&conf).args(["-k", "graceful"])).map(|_| ())
        };
        let endpoints = vec![local("https", &ports[0], Starttls::Direct)];
        let mut recipe = Recipe::new(apache, endpoints, Reload::Call(Box::new(reload)));
        recipe.logs.push(folder.join("error.log"));
        Ok(recipe)
    })
}

/// The configuration.
const TEMPLATE: &str = "ServerRoot @DIR@
ServerName srv.test
DefaultRuntimeDir @DIR@
PidFile @DIR@/apache.pid
ErrorLog @DIR@/error.log
@USER@
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule socache_shmcb_module /usr/lib/apache2/modules/mod_socache_shmcb.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
Listen 127.0.0.1:@PORT@ https
<VirtualHost 127.0.0.1:@PORT@>
  ServerName srv.test
  SSLEngine on
  SSLCipherSuite DEFAULT:@SECLEVEL=0
  SSLCertificateFile @DIR@/tls/fullchain.pem
  SSLCertificateKeyFile @DIR@/tls/key.pem
</VirtualHost>
";

//! OpenLDAP's slapd: LDAP with StartTLS, and ldaps. A change of its settings makes it read its certificate again.

use std::process::Command;

use super::{command, configure, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server, program};

/// Starts a slapd that holds nothing but its own settings.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "slapd", 2, |folder, ports| {
        let mut slapd = command("slapd")?;
        install("slapd", folder, leaf, None)?;
        configure(folder, "slapd.conf", TEMPLATE, &[]);
        let (plain, tls) = (ports[0].local(), ports[1].local());
        slapd.args(["-d", "0", "-f"]).arg(folder.join("slapd.conf"));
        slapd.args(["-h", &format!("ldap://{plain} ldaps://{tls}")]);

        let files = folder.join("tls");
        let reload = move || {
            // The same paths again: that a value was replaced is enough.
            let change = format!(
                "dn: cn=config\nchangetype: modify\n\
                 replace: olcTLSCertificateFile\nolcTLSCertificateFile: {0}/fullchain.pem\n-\n\
                 replace: olcTLSCertificateKeyFile\nolcTLSCertificateKeyFile: {0}/key.pem\n",
                files.display()
            );
            let mut modify: Command = command("ldapmodify")?;
            modify.args(["-x", "-H", &format!("ldap://{plain}"), "-D", "cn=config", "-w", "lab"]);
            program::feed(&mut modify, change.as_bytes()).map(|_| ())
        };
        let endpoints =
            vec![local("ldap", &ports[0], Starttls::Ldap), local("ldaps", &ports[1], Starttls::Direct)];
        Ok(Recipe::new(slapd, endpoints, Reload::Call(Box::new(reload))))
    })
}

/// The configuration.
const TEMPLATE: &str = "include /etc/ldap/schema/core.schema
pidfile @DIR@/slapd.pid
argsfile @DIR@/slapd.args
TLSCertificateFile @DIR@/tls/fullchain.pem
TLSCertificateKeyFile @DIR@/tls/key.pem
TLSVerifyClient never
database config
rootpw lab
";

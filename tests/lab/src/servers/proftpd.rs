//! ProFTPD: FTP with AUTH TLS. It reads its certificate for each session.

use super::{configure, install};
use crate::keys::Key;
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server, program};

/// Starts a ProFTPD.
///
/// # Errors
/// When it is not installed or unpacked, or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "proftpd", 1, |folder, ports| {
        let mut proftpd = std::process::Command::new(program::find_in("proftpd-core", "/usr/sbin/proftpd")?);
        let module = program::find_in("proftpd-mod-crypto", "/usr/lib/proftpd/mod_tls.so")?;
        install("proftpd", folder, leaf, None)?;
        let modules = module.parent().unwrap_or(&module).display().to_string();
        let kind = match leaf.key {
            Key::P256 | Key::P384 | Key::P521 => "EC",
            _ => "RSA",
        };
        let values =
            [("PORT", ports[0].number().to_string()), ("MODULES", modules), ("KIND", kind.to_owned())];
        configure(folder, "proftpd.conf", TEMPLATE, &values);
        proftpd.args(["-n", "-q", "-c"]).arg(folder.join("proftpd.conf"));
        let mut recipe = Recipe::new(proftpd, vec![local("ftp", &ports[0], Starttls::Ftp)], Reload::Itself);
        recipe.logs.push(folder.join("tls.log"));
        Ok(recipe)
    })
}

/// The configuration.
const TEMPLATE: &str = "ModulePath @MODULES@
LoadModule mod_tls.c
ServerName lab
ServerType standalone
UseIPv6 off
UseReverseDNS off
DefaultAddress 127.0.0.1
SocketBindTight on
Port @PORT@
User nobody
Group nogroup
PidFile @DIR@/proftpd.pid
ScoreboardFile @DIR@/scoreboard
DelayEngine off
WtmpLog off
TransferLog none
TLSEngine on
TLSLog @DIR@/tls.log
TLSProtocol TLSv1.2 TLSv1.3
TLSCipherSuite DEFAULT:@SECLEVEL=0
TLS@KIND@CertificateFile @DIR@/tls/fullchain.pem
TLS@KIND@CertificateKeyFile @DIR@/tls/key.pem
";

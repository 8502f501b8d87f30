//! vsftpd: FTP with AUTH TLS. It reads its certificate once: only a restart helps. Runs as root only.

use super::{configure, folder_of, install, only_root};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server, program};

/// Starts a vsftpd.
///
/// # Errors
/// When it is not installed or unpacked, or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "vsftpd", 1, |folder, ports| {
        only_root("vsftpd")?;
        let mut vsftpd = std::process::Command::new(program::find_in("vsftpd", "/usr/sbin/vsftpd")?);
        install("vsftpd", folder, leaf, None)?;
        folder_of(&folder.join("empty"), 0o555, None)?;
        configure(folder, "vsftpd.conf", TEMPLATE, &[("PORT", ports[0].number().to_string())]);
        vsftpd.arg(folder.join("vsftpd.conf"));
        Ok(Recipe::new(vsftpd, vec![local("ftp", &ports[0], Starttls::Ftp)], Reload::OnlyRestart("HUP")))
    })
}

/// The configuration.
const TEMPLATE: &str = "listen=YES
listen_ipv6=NO
listen_address=127.0.0.1
listen_port=@PORT@
background=NO
seccomp_sandbox=NO
anonymous_enable=YES
local_enable=NO
ftp_username=nobody
nopriv_user=nobody
secure_chroot_dir=@DIR@/empty
ssl_enable=YES
allow_anon_ssl=YES
ssl_tlsv1=YES
ssl_ciphers=DEFAULT:@SECLEVEL=0
rsa_cert_file=@DIR@/tls/fullchain.pem
rsa_private_key_file=@DIR@/tls/key.pem
vsftpd_log_file=@DIR@/vsftpd.log
";

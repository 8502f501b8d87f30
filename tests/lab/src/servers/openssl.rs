//! `openssl s_server`, with whatever arguments a test wants.
//!
//! It serves one connection after the other: a test with several clients at once needs another server.

use super::{command, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server};

/// Starts an `openssl s_server`.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    start_with(lab, leaf, &[])
}

/// Starts an `openssl s_server` with more arguments, such as `-tls1_3` or `-Verify 1`.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start_with(lab: &Lab, leaf: &Leaf, arguments: &[&str]) -> Result<Server, NotRun> {
    server::start(lab, "openssl", 1, |folder, ports| {
        let mut openssl = command("openssl")?;
        install("openssl", folder, leaf, None)?;
        openssl.args(["s_server", "-www", "-quiet", "-cipher", "DEFAULT:@SECLEVEL=0"]);
        openssl.args(["-accept", &ports[0].local().to_string()]).current_dir(folder.join("tls"));
        openssl.args(["-cert", "cert.pem", "-key", "key.pem"]);
        if std::fs::metadata(folder.join("tls/rest.pem")).is_ok_and(|file| file.len() > 0) {
            openssl.args(["-cert_chain", "rest.pem"]);
        }
        openssl.args(arguments);
        Ok(Recipe::new(openssl, vec![local("tls", &ports[0], Starttls::Direct)], Reload::OnlyRestart("CONT")))
    })
}

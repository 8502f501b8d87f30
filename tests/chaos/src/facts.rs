//! What is so, seen by programs that are not ours: openssl and nginx.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use notafter_lab::{Server, peer, program};

const PATIENCE: Duration = Duration::from_secs(20);

fn said(command: &mut Command) -> Result<String, String> {
    let ran = program::finish(command, b"", PATIENCE).map_err(|error| error.to_string())?;
    if ran.status.success() { Ok(ran.text()) } else { Err(ran.all()) }
}

/// Would this nginx start with the files as they are?
pub(crate) fn would_start(web: &Server) -> Result<(), String> {
    let nginx = program::find("nginx").map_err(|error| error.to_string())?;
    let mut command = Command::new(nginx);
    command.arg("-t").arg("-p").arg(web.folder()).args(["-c", "nginx.conf", "-e", "stderr"]);
    said(&mut command).map(drop).map_err(|error| format!("nginx would not start: {}", error.trim()))
}

/// Do key and certificate belong together?
pub(crate) fn agree(certificate: &Path, key: &Path) -> Result<(), String> {
    let of_certificate =
        said(Command::new("openssl").args(["x509", "-noout", "-pubkey", "-in"]).arg(certificate));
    let of_key = said(Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(key));
    match (of_certificate, of_key) {
        (Ok(certificate), Ok(key)) if certificate == key && !key.is_empty() => Ok(()),
        (Ok(_), Ok(_)) => Err("key and certificate do not belong together".to_owned()),
        (Err(error), _) => Err(format!("the certificate cannot be read: {}", error.trim())),
        (_, Err(error)) => Err(format!("the key cannot be read: {}", error.trim())),
    }
}

/// SHA-256 of the leaf in a PEM file.
pub(crate) fn leaf(file: &Path) -> Result<String, String> {
    let mut command = Command::new("openssl");
    command.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(file);
    let text = said(&mut command)?;
    Ok(text.rsplit('=').next().unwrap_or_default().trim().replace(':', "").to_lowercase())
}

/// SHA-256 of the leaf that a client is shown.
pub(crate) fn shown(web: &Server) -> Result<String, String> {
    // An old worker answers for a moment beside the new one.
    web.settled();
    peer::served(&web.endpoints()[0]).map(|served| served.sha256)
}

//! A certificate that was made, with everything that belongs to it, and its way into a server's folder.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::keys::Key;
use crate::{base64, program};

/// A certificate with its key and chain, as files and as facts.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// The kind of its key.
    pub key: Key,
    /// The certificate alone.
    pub cert_pem: PathBuf,
    /// The certificates above it, without the root; an empty file where there is none.
    pub chain_pem: PathBuf,
    /// What is served after it, by the wish of its request; an empty file where that is nothing.
    pub rest_pem: PathBuf,
    /// The certificate, then what is served after it.
    pub fullchain_pem: PathBuf,
    /// The private key, PKCS#8.
    pub key_pem: PathBuf,
    /// Certificate, chain and key in one file.
    pub combined_pem: PathBuf,
    /// The root it leads to; for a self-signed certificate itself.
    pub root_pem: PathBuf,
    /// SHA-256 of the DER, in lower hex.
    pub sha256: String,
    /// The serial number, in lower hex.
    pub serial: String,
    /// The certificate's DER.
    der: Vec<u8>,
}

impl Leaf {
    /// Describes a finished folder that holds all these files.
    pub(crate) fn read(folder: &Path, key: Key, root_pem: PathBuf) -> Self {
        let cert_pem = folder.join("cert.pem");
        let mut command = Command::new("openssl");
        command.args(["x509", "-noout", "-fingerprint", "-sha256", "-serial", "-in"]).arg(&cert_pem);
        let facts = program::run(&mut command).unwrap_or_else(|error| panic!("{error}")).text();
        let fact = |name: &str| {
            let line = facts.lines().find(|line| line.to_lowercase().starts_with(name)).unwrap_or_default();
            line.rsplit('=').next().unwrap_or_default().replace(':', "").to_lowercase()
        };
        let pem = fs::read_to_string(&cert_pem).unwrap_or_default();
        Self {
            key,
            chain_pem: folder.join("chain.pem"),
            rest_pem: folder.join("rest.pem"),
            fullchain_pem: folder.join("fullchain.pem"),
            key_pem: folder.join("key.pem"),
            combined_pem: folder.join("combined.pem"),
            root_pem,
            sha256: fact("sha256"),
            serial: fact("serial"),
            der: base64::blocks(&pem, "CERTIFICATE").pop().unwrap_or_default(),
            cert_pem,
        }
    }

    /// The certificate's DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The folder that holds its files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.cert_pem.parent().unwrap_or(Path::new("."))
    }

    /// Puts all files into a server's folder, under their usual names, each by renaming a finished file.
    ///
    /// The key goes first and readable by its owner alone; PostgreSQL and others refuse anything else.
    pub(crate) fn install(&self, folder: &Path, owner: Option<(u32, u32)>) -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        let files = [
            ("key.pem", &self.key_pem, 0o600),
            ("combined.pem", &self.combined_pem, 0o600),
            ("cert.pem", &self.cert_pem, 0o644),
            ("chain.pem", &self.chain_pem, 0o644),
            ("rest.pem", &self.rest_pem, 0o644),
            ("fullchain.pem", &self.fullchain_pem, 0o644),
            ("root.pem", &self.root_pem, 0o644),
        ];
        for (name, from, mode) in files {
            let (fresh, target) = (folder.join(format!("{name}.new")), folder.join(name));
            fs::copy(from, &fresh)?;
            fs::set_permissions(&fresh, Permissions::from_mode(mode))?;
            if let Some((user, group)) = owner {
                chown(&fresh, Some(user), Some(group))?;
            }
            fs::rename(fresh, target)?;
        }
        Ok(())
    }
}

/// Writes a file under another name first, so that nobody ever reads half of it.
///
/// # Panics
/// When it cannot be written: the folder is ours.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let written = fs::write(&fresh, bytes).and_then(|()| fs::rename(&fresh, path));
    written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

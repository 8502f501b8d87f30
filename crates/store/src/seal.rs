//! What is kept sealed: private keys, accounts, an own CA's serial numbers.
//!
//! AES-256 in GCM (NIST SP 800-38D) under one master key, a new nonce for each value, the value's name as associated data: a
//! value that somebody puts under another name does not open. A copy of the database without the master key holds
//! no key of anybody. The master key lies beside the database, readable by its owner alone, unless the configuration
//! names another place.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::Keep;
use notafter_pki::fingerprint::{hex, unhex};
use zeroize::Zeroizing;

use crate::{Store, StoreError};

const NONCE: usize = 12;
/// Before every sealed value: which way it was sealed.
const FORM: u8 = 1;

/// Makes a file with a new key. It is whole from its first moment, because it is written beside and linked: neither a second
/// process that starts now nor whoever comes after a crash finds half of one.
fn make(path: &Path) -> std::io::Result<Zeroizing<[u8; 32]>> {
    if path.symlink_metadata().is_ok() {
        return Err(std::io::ErrorKind::AlreadyExists.into());
    }
    let mut bytes = Zeroizing::new([0_u8; 32]);
    rand::fill(bytes.as_mut()).map_err(|_| std::io::Error::other("the system gives no random numbers"))?;
    let text = Zeroizing::new(hex(bytes.as_ref()) + "\n");
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    // Of a process with our number that was killed here: nothing was ever sealed with it.
    let _ = std::fs::remove_file(&draft);
    let made = (|| {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::hard_link(&draft, path)
    })();
    let _ = std::fs::remove_file(&draft);
    made?;
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(bytes)
}

/// The master key.
pub struct Master(RandomizedNonceKey);

impl Master {
    /// From 32 random bytes.
    ///
    /// # Errors
    /// Not 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        RandomizedNonceKey::new(&AES_256_GCM, bytes)
            .map(Self)
            .map_err(|_| format!("a master key has 32 bytes, this one {}", bytes.len()))
    }

    /// From 64 hexadecimal digits.
    ///
    /// # Errors
    /// A sentence that does not repeat them.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let bytes = unhex(text.trim()).map(Zeroizing::new).filter(|bytes| bytes.len() == 32).ok_or(
            "a master key is 64 hexadecimal digits\nhint: openssl rand -hex 32 makes one; without it nothing that was sealed opens again",
        )?;
        Self::from_bytes(&bytes)
    }

    /// The one in this file; made, with mode 0600, if there is none.
    ///
    /// # Errors
    /// It cannot be read or made, or others can read it.
    pub fn in_file(path: &Path) -> Result<Self, String> {
        let told = |e: std::io::Error| format!("the master key {} cannot be read: {e}", path.display());
        match make(path) {
            Ok(bytes) => Self::from_bytes(bytes.as_ref()),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                let file = std::fs::File::open(path).map_err(told)?;
                let mode = std::os::unix::fs::MetadataExt::mode(&file.metadata().map_err(told)?) & 0o777;
                if mode & 0o077 != 0 {
                    return Err(format!(
                        "the master key {} can be read by others (mode {mode:o})\nhint: chmod 600 {}",
                        path.display(),
                        path.display()
                    ));
                }
                let mut text = Zeroizing::new(String::new());
                file.take(1_000).read_to_string(&mut text).map_err(told)?;
                Self::from_text(&text)
                    .map_err(|why| format!("the master key {} is none: {why}", path.display()))
            }
            Err(e) => Err(told(e)),
        }
    }

    fn seal(&self, name: &str, plain: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut body = plain.to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut body)
            .map_err(|_| Fault::new(FaultKind::System, format!("{name} could not be sealed")))?;
        let mut out = Vec::with_capacity(1 + NONCE + body.len());
        out.push(FORM);
        out.extend_from_slice(nonce.as_ref());
        out.extend_from_slice(&body);
        Ok(out)
    }

    fn open(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>, Fault> {
        let wrong = || {
            Fault::new(FaultKind::Invalid, format!("{name} was sealed with another master key, or altered"))
                .hint("put back the master key that belongs to this database; a backup does not hold it on purpose")
        };
        let (form, rest) = sealed.split_first().ok_or_else(wrong)?;
        if *form != FORM || rest.len() < NONCE {
            return Err(wrong());
        }
        let (nonce, body) = rest.split_at(NONCE);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong())?;
        let mut body = Zeroizing::new(body.to_vec());
        let plain =
            self.0.open_in_place(nonce, Aad::from(name.as_bytes()), &mut body).map_err(|_| wrong())?;
        Ok(plain.to_vec())
    }
}

/// The memory's small things, sealed.
pub struct Sealed {
    store: std::sync::Arc<Store>,
    master: Master,
}

impl Sealed {
    /// Keeps in this memory under this key.
    pub fn new(store: std::sync::Arc<Store>, master: Master) -> Self {
        Self { store, master }
    }
}

fn memory(error: &StoreError) -> Fault {
    Fault::new(FaultKind::System, format!("the memory: {error}"))
}

/// Sealed values have names of their own: nobody reads what is kept plain as if it had been sealed.
fn shelf(name: &str) -> String {
    format!("sealed/{name}")
}

impl Keep for Sealed {
    fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        let kept = self.store.kept(&shelf(name)).map_err(|e| memory(&e))?;
        kept.filter(|k| !k.value.is_empty()).map(|k| self.master.open(name, &k.value)).transpose()
    }

    fn keep(&self, name: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, Fault> {
        let kept = self.store.kept(&shelf(name)).map_err(|e| memory(&e))?;
        let version = kept.as_ref().map_or(0, |k| k.version);
        let there = match kept.filter(|k| !k.value.is_empty()) {
            Some(k) => Some(Zeroizing::new(self.master.open(name, &k.value)?)),
            None => None,
        };
        if there.as_deref().map(Vec::as_slice) != expected {
            return Ok(false);
        }
        // Nothing stands for "forgotten": the row stays, so that versions only grow.
        let sealed = if value.is_empty() { Vec::new() } else { self.master.seal(name, value)? };
        self.store.keep_through(&shelf(name), &sealed, Some(version)).map_err(|e| memory(&e))
    }
}

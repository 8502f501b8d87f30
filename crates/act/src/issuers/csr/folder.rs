//! The folder in which requests lie and replies are looked for. The only part of the `csr` issuer that touches a disk.
//!
//! Whoever may write there is not trusted: links are not followed, nothing large is read, nothing but our own requests
//! is written or removed.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use notafter_core::fault::{Fault, FaultKind};
use notafter_pki::container::{self, Content, Limits};
use notafter_pki::csr::Csr;

use super::reply::{Offer, certificates};
use crate::text::clean;
use notafter_pki::container::pem;

/// No reply is larger.
const OCTETS_MAX: u64 = 1 << 20;
/// So many files are looked at.
const FILES_MAX: usize = 1_000;
/// And so much of them in all.
const ALL_MAX: usize = 32 << 20;
/// Clocks of file servers differ, in seconds.
const SKEW_S: i64 = 60;

/// The folder.
pub(super) struct Folder(PathBuf);

/// What lies in it.
#[derive(Default)]
pub(super) struct Seen {
    /// What holds certificates, or should.
    pub(super) offers: Vec<Offer>,
    /// The names of those that came after the request.
    pub(super) fresh: BTreeSet<String>,
    /// What was not read, and why; only what came after the request.
    pub(super) unread: Vec<String>,
    /// The keys of all requests that lie there.
    keys: BTreeSet<Vec<u8>>,
}

impl Seen {
    /// Is this the key of another request that lies there?
    pub(super) fn others(&self, key: Option<&[u8]>) -> bool {
        key.is_some_and(|key| self.keys.contains(key))
    }
}

fn told(what: &str, path: &Path, e: &std::io::Error) -> Fault {
    let kind = FaultKind::from(e);
    Fault::new(kind, format!("{} could not be {what}: {e}", path.display()))
        .hint("the folder of the issuer must be there, and writable for this user")
}

/// Reads a file that nobody vouches for. Why not, for after its name.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut options = std::fs::OpenOptions::new();
    // A pipe that somebody put there must not hold us.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = options
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or(0))
        .open(path)
        .map_err(|e| format!("could not be read: {e}"))?;
    let meta = file.metadata().map_err(|e| format!("could not be looked at: {e}"))?;
    if !meta.is_file() {
        return Err("is no file".into());
    }
    if meta.len() > OCTETS_MAX {
        return Err(format!("is larger than {} KiB, and no reply is", OCTETS_MAX >> 10));
    }
    let mut octets = Vec::new();
    file.take(OCTETS_MAX).read_to_end(&mut octets).map_err(|e| format!("could not be read: {e}"))?;
    Ok(octets)
}

fn name_of(id: &str) -> String {
    format!("request-{id}.csr")
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Puts a request there, if it is not there as it should be. Where.
    pub(super) fn write(&self, id: &str, csr: &[u8]) -> Result<PathBuf, Fault> {
        let path = self.0.join(name_of(id));
        let text = pem::encode("CERTIFICATE REQUEST", csr);
        if read(&path).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(path);
        }
        self.put(&path, text.as_bytes())?;
        Ok(path)
    }

    fn put(&self, path: &Path, octets: &[u8]) -> Result<(), Fault> {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let beside = self.0.join(format!(".{name}.{}", std::process::id()));
        let _ = std::fs::remove_file(&beside);
        let mut options = std::fs::OpenOptions::new();
        let written = options
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&beside)
            .and_then(|mut file| file.write_all(octets).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&beside, path));
        if written.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        written.map_err(|e| told("written", path, &e))
    }

    /// Takes a request away again. Gone already is done.
    pub(super) fn forget(&self, id: &str) -> Result<(), Fault> {
        let path = self.0.join(name_of(id));
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(told("removed", &path, &e)),
            _ => Ok(()),
        }
    }

    /// Can it be written?
    pub(super) fn probe(&self) -> Result<(), Fault> {
        let path = self.0.join(format!(".rehearsal-{}", std::process::id()));
        self.put(&path, b"")?;
        std::fs::remove_file(&path).map_err(|e| told("removed", &path, &e))
    }

    /// Reads whatever lies there.
    pub(super) fn look(&self, since: i64) -> Result<Seen, Fault> {
        let list = std::fs::read_dir(&self.0).map_err(|e| told("listed", &self.0, &e))?;
        let mut names: Vec<_> =
            list.filter_map(|entry| Some(entry.ok()?.file_name())).take(FILES_MAX + 1).collect();
        let (mut seen, mut sum) = (Seen::default(), 0);
        if names.len() > FILES_MAX {
            seen.unread
                .push(format!("the folder holds more than {FILES_MAX} files, and not all are looked at"));
            names.truncate(FILES_MAX);
        }
        names.sort();
        for name in names {
            let shown = clean(&name.to_string_lossy(), 80);
            let path = self.0.join(&name);
            // What begins with a dot is a file that somebody is still writing.
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
            if meta.is_dir() {
                continue;
            }
            let fresh = meta.mtime() >= since - SKEW_S;
            let octets = match read(&path) {
                Ok(octets) => octets,
                Err(why) => {
                    seen.unread.extend(fresh.then(|| format!("{shown} {why}")));
                    continue;
                }
            };
            sum += octets.len();
            if sum > ALL_MAX {
                seen.unread.push(format!(
                    "the folder holds more than {} MiB, and not all is looked at",
                    ALL_MAX >> 20
                ));
                break;
            }
            let requests = requests(&octets);
            if !requests.is_empty() {
                seen.keys.extend(requests);
                continue;
            }
            if fresh {
                seen.fresh.insert(shown.clone());
            }
            seen.offers.push(Offer { label: shown, certificates: certificates(&octets) });
        }
        Ok(seen)
    }
}

/// The keys of the requests in a file.
fn requests(octets: &[u8]) -> Vec<Vec<u8>> {
    let limits = Limits { found: 10, body_octets: octets.len().max(1), iterations: 1, total_iterations: 1 };
    let opened = container::open(octets, &[], &limits);
    let key = |found: &container::Found<'_>| match &found.content {
        Content::Csr(der) => Csr::parse(der).ok().map(|csr| csr.public_key().spki().to_vec()),
        _ => None,
    };
    opened.found.iter().filter_map(key).collect()
}

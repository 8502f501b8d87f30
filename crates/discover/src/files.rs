//! Certificates in files: a parallel walk through folders that opens everything, archives too, and believes nothing.
//!
//! Regular files only, checked on the open handle, so that a pipe, a device or a file swapped in between
//! cannot hang or fool the walk. It stays on the file system it began on, follows no link to a folder,
//! reads no more than a stated size, and says so wherever it did not look. Names never decide what is
//! opened; contents do. Nothing is written, not even access times where that can be avoided.

pub mod archive;
mod cloud_init;
mod document;
mod members;
mod oci;
mod open;
mod packed;
mod quiet;
mod read;
mod servers;
mod zones;

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::{DirEntry, WalkBuilder, WalkState};
use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::{BoxFuture, Cx, Sink, Source};
use notafter_core::location::Location;
use notafter_core::observation::{Observation, Reason, Seen};
use notafter_core::scan::{Progress, Scan};

use crate::exclude::Exclude;
use crate::sources::Given;
use open::Opener;
use quiet::Quiet;

/// Files and folders to look through.
pub struct Files {
    /// Where to begin. A root that is a link is followed.
    pub roots: Vec<PathBuf>,
    /// What not to open.
    pub exclude: Exclude,
    /// Passwords to try on keystores, in order.
    pub passwords: Arc<[String]>,
    /// Nothing larger is read, in bytes; of an archive, no larger member.
    pub size_max: u64,
    /// Threads; 0 means one a processor.
    pub threads: usize,
    /// What holds for every source. With registries in it, they are asked about the zones whose files are met.
    pub given: Option<Given>,
}

/// What is read of one file unless the caller says otherwise: 64 MiB.
pub const SIZE_MAX: u64 = 64 << 20;

impl Source for Files {
    fn discover<'a>(&'a self, cx: &'a Cx, out: Arc<dyn Sink>) -> BoxFuture<'a, Result<Scan, Fault>> {
        Box::pin(async move {
            let stop = Arc::new(AtomicBool::new(false));
            let zones = Arc::new(Mutex::new(BTreeSet::new()));
            let begun = cx.clock.now();
            let quiet = Arc::new(Quiet::read(cx.resume.note().as_deref(), self.size_max, begun));
            let marks = Arc::new(Mutex::new(quiet::Marks::default()));
            let walk = Walk {
                roots: self.roots.clone(),
                exclude: self.exclude.clone(),
                threads: self.threads,
                shared: Shared {
                    out: Arc::clone(&out),
                    progress: Arc::clone(&cx.progress),
                    at: begun,
                    clock: Arc::clone(&cx.clock),
                    stop: Arc::clone(&stop),
                    size_max: self.size_max,
                    passwords: Arc::clone(&self.passwords),
                    met: Mutex::default(),
                    zones: Arc::clone(&zones),
                    quiet: Arc::clone(&quiet),
                    marks: Arc::clone(&marks),
                    layouts: Mutex::default(),
                },
            };
            let (done, finished) = tokio::sync::oneshot::channel();
            let thread = std::thread::Builder::new()
                .name("files".to_owned())
                .spawn(move || {
                    walk.run();
                    let _ = done.send(());
                })
                .map_err(|e| Fault::new(FaultKind::Exhausted, format!("no thread for the file walk: {e}")))?;
            let _guard = crate::guard::Guard::new(stop, thread);
            if finished.await.is_err() {
                return Err(Fault::new(FaultKind::System, "the walk through the files ended before its end"));
            }
            let marks = std::mem::take(&mut *marks.lock().unwrap_or_else(PoisonError::into_inner));
            if let Some(note) = quiet.note(marks) {
                cx.resume.leave(note);
            }
            if let Some(given) = &self.given {
                let zones = std::mem::take(&mut *zones.lock().unwrap_or_else(PoisonError::into_inner));
                given.registries.look(&zones, given, cx, out).await?;
            }
            Ok(cx.progress.scan())
        })
    }
}

/// What every thread of a walk shares.
struct Shared {
    out: Arc<dyn Sink>,
    progress: Arc<Progress>,
    at: UnixTime,
    /// For the time that one archive may take.
    clock: Arc<dyn Clock>,
    stop: Arc<AtomicBool>,
    size_max: u64,
    passwords: Arc<[String]>,
    /// Configurations of servers and renewers' state met on the walk: read after it, when all that they include is known.
    met: Mutex<servers::Met>,
    /// The zones whose files were met.
    zones: Arc<Mutex<BTreeSet<String>>>,
    /// The files in which there was nothing the last time.
    quiet: Arc<Quiet>,
    /// Those in which there is nothing now.
    marks: Arc<Mutex<quiet::Marks>>,
    /// Image layouts that were met, and the blobs of each: read after the walk, all layers together.
    layouts: Mutex<oci::Layouts>,
}

impl Shared {
    fn put(&self, location: Location, seen: Seen) {
        self.out.put(Observation { at: self.at, location, seen });
    }

    fn blind(&self, path: &Path, reason: Reason, detail: impl Into<String>) {
        let location = Location::file(path.as_os_str().as_bytes(), "");
        self.put(location, Seen::Failed { reason, detail: detail.into() });
    }
}

struct Walk {
    roots: Vec<PathBuf>,
    exclude: Exclude,
    threads: usize,
    shared: Shared,
}

impl Walk {
    fn run(&self) {
        self.walk();
        oci::report(&self.shared);
        if !self.shared.stop.load(Ordering::Relaxed) {
            servers::report(&self.shared);
        }
    }

    fn walk(&self) {
        for root in &self.roots {
            let root = absolute(root);
            if self.shared.stop.load(Ordering::Relaxed) {
                return;
            }
            if self.exclude.path(&root) {
                self.shared.blind(&root, Reason::Excluded, "it is excluded");
                continue;
            }
            match std::fs::metadata(&root) {
                Ok(found) if found.is_dir() => self.folder(&root, found.dev()),
                Ok(found) if found.is_file() => {
                    Opener::new(&self.shared).named(&root);
                }
                Ok(_) => self.shared.blind(&root, Reason::SpecialFile, "it is neither a file nor a folder"),
                Err(error) => {
                    let (reason, detail) = why(&error);
                    self.shared.blind(&root, reason, detail);
                }
            }
        }
    }

    fn folder(&self, root: &Path, device: u64) {
        if let Some(kind) = kernel_file_system(root) {
            let detail = format!("it is a file system of the kernel ({kind}), which holds no files");
            return self.shared.blind(root, Reason::SpecialFile, detail);
        }
        let threads = match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let walk = WalkBuilder::new(root)
            .standard_filters(false)
            .follow_links(false)
            .threads(threads)
            .build_parallel();
        walk.run(|| {
            let mut opener = Opener::new(&self.shared);
            Box::new(move |entry| {
                if self.shared.stop.load(Ordering::Relaxed) {
                    return WalkState::Quit;
                }
                match entry {
                    Ok(entry) => self.entry(&mut opener, &entry, root, device),
                    Err(error) => {
                        self.unreadable(root, &error);
                        WalkState::Continue
                    }
                }
            })
        });
    }

    fn entry(&self, opener: &mut Opener<'_>, entry: &DirEntry, root: &Path, device: u64) -> WalkState {
        let path = entry.path();
        if entry.depth() > 0 && self.exclude.path(path) {
            self.shared.blind(path, Reason::Excluded, "it is excluded");
            return WalkState::Skip;
        }
        let Some(kind) = entry.file_type() else { return WalkState::Continue };
        if kind.is_file() {
            if !oci::note(&self.shared, path, root) {
                opener.walked(path);
            }
        } else if kind.is_dir() {
            if entry.depth() > 0 && entry.metadata().is_ok_and(|m| m.dev() != device) {
                self.shared.blind(path, Reason::OtherFilesystem, "another file system is mounted here");
                return WalkState::Skip;
            }
        } else if kind.is_symlink() {
            // A link to a file is a place of its own (certbot's live/ is nothing but links); a link to a
            // folder would lead out of what was asked for, or in circles.
            if !is_hash_link(entry.file_name().as_bytes())
                && std::fs::metadata(path).is_ok_and(|m| m.is_file())
            {
                opener.linked(path, root);
            }
        } else if entry.depth() == 0 {
            self.shared.blind(path, Reason::SpecialFile, "it is neither a file nor a folder");
        }
        WalkState::Continue
    }

    fn unreadable(&self, root: &Path, error: &ignore::Error) {
        let path = path_of(error).unwrap_or(root);
        match error.io_error() {
            // It was there and is gone: nothing was missed.
            Some(io) if io.kind() == std::io::ErrorKind::NotFound => {}
            Some(io) => {
                let (reason, detail) = why(io);
                self.shared.blind(path, reason, detail);
            }
            None => self.shared.blind(path, Reason::Malformed, error.to_string()),
        }
    }
}

/// Everything that is looked for within one file that is no archive, without a place to put it: for fuzzing. Gives how
/// many octets there were in all.
#[doc(hidden)]
pub fn inside(bytes: &[u8]) -> usize {
    struct Octets(usize);
    impl archive::Visitor for Octets {
        fn file(&mut self, place: &Location, bytes: &[u8]) {
            assert_eq!(Location::parse(place.as_str()).as_ref(), Some(place));
            self.0 += bytes.len();
        }
        fn blind(&mut self, _: &Location, _: Reason, _: String) {}
        fn stopped(&self) -> bool {
            false
        }
    }
    struct Still;
    impl Clock for Still {
        fn now(&self) -> UnixTime {
            UnixTime(0)
        }
        fn monotonic(&self) -> std::time::Duration {
            std::time::Duration::ZERO
        }
    }
    let mut octets = Octets(0);
    for path in ["/x.yaml", "/x"] {
        octets.0 += document::values(path, bytes).iter().map(|value| value.bytes.len()).sum::<usize>();
    }
    let _ = (document::is_worth(bytes), document::references(bytes));
    let place = Location::file(b"/x", "");
    packed::open(bytes, &place, &packed::Budget::small(), &Still, &mut octets);
    octets.0 + members::images_in(bytes)
}

/// The path from the root of the file system. Links stay as they were named, unless `..` makes the text
/// depend on where they lead.
fn absolute(path: &Path) -> PathBuf {
    let plain = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let climbs = plain.components().any(|c| c == std::path::Component::ParentDir);
    if climbs { plain.canonicalize().unwrap_or(plain) } else { plain }
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        _ => None,
    }
}

/// A system error in the words of the closed list.
pub(crate) fn why(error: &std::io::Error) -> (Reason, String) {
    use std::io::ErrorKind;
    let reason = match error.kind() {
        ErrorKind::PermissionDenied => Reason::PermissionDenied,
        ErrorKind::NotFound => Reason::NotFound,
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => Reason::SpecialFile,
        _ => Reason::Malformed,
    };
    (reason, error.to_string())
}

/// `5ed36f99.0`: a link that OpenSSL's rehash made beside a certificate, never a place of its own.
fn is_hash_link(name: &[u8]) -> bool {
    let Some((hash, rest)) = name.split_at_checked(8) else { return false };
    let number = rest.strip_prefix(b".r").or_else(|| rest.strip_prefix(b"."));
    hash.iter().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
        && number.is_some_and(|n| !n.is_empty() && n.iter().all(u8::is_ascii_digit))
}

/// The name of the kernel's file system that is mounted here, if it is one whose files are not files.
fn kernel_file_system(path: &Path) -> Option<&'static str> {
    const NAMES: &[(u32, &str)] = &[
        (0x9fa0, "proc"),
        (0x6265_6572, "sysfs"),
        (0x0027_e0eb, "cgroup"),
        (0x6367_7270, "cgroup2"),
        (0x6462_6720, "debugfs"),
        (0x7472_6163, "tracefs"),
        (0x7363_6673, "securityfs"),
        (0xcafe_4a11, "bpf"),
        (0x6165_676c, "pstore"),
        (0x1cd1, "devpts"),
    ];
    let found = rustix::fs::statfs(path).ok()?.f_type as u32;
    NAMES.iter().find(|(magic, _)| *magic == found).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_links() {
        for (name, expected) in [
            ("5ed36f99.0", true),
            ("5ed36f99.r1", true),
            ("5ED36F99.0", false),
            ("5ed36f99", false),
            ("api.0", false),
        ] {
            assert_eq!(is_hash_link(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn the_kernels_own() {
        assert_eq!(kernel_file_system(Path::new("/proc")), Some("proc"));
        assert_eq!(kernel_file_system(Path::new("/")), None);
    }
}

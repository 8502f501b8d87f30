//! One folder, held open, and every effect that a deployment has on it.
//!
//! Below `store.rs` and `outlet.rs`. All names are single components and every call is relative to the open folder, so
//! that a folder moved or replaced by a link meanwhile changes nothing elsewhere. Each effect is announced to a
//! [`Steps`] first: that is how the tests stop a deployment between any two of them. It decides nothing.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notafter_core::fault::{Fault, FaultKind};
use notafter_pki::name::printable;
use rustix::fs::{self as sys, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Nothing that holds certificates for a server is larger.
const READ_MAX: u64 = 16 << 20;
/// The extended attributes that decide who may read a file: its SELinux label and its access list.
const KEPT: [&str; 2] = ["security.selinux", "system.posix_acl_access"];

/// Told of every effect before it happens.
pub(super) trait Steps: Send + Sync {
    /// An error takes the place of the effect.
    fn step(&self, what: &'static str, path: &Path) -> io::Result<()>;
}

/// Lets everything happen.
pub(super) struct Unhindered;

impl Steps for Unhindered {
    fn step(&self, _: &'static str, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// Who owns a file and who may read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mode: u32,
    pub(super) labels: Vec<(&'static str, Vec<u8>)>,
}

impl Attributes {
    /// Those of a file that is new: whoever runs this owns it.
    pub(super) fn new(mode: u32) -> Self {
        Self { uid: None, gid: None, mode, labels: Vec::new() }
    }
}

/// What an entry of a folder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Absent,
    File { device: u64 },
    Link(OsString),
    Folder,
    Other,
}

/// A folder, held open.
#[derive(Clone)]
pub(super) struct Folder {
    fd: Arc<OwnedFd>,
    path: PathBuf,
    steps: Arc<dyn Steps>,
}

impl Folder {
    /// A folder that was opened already; `path` is for messages and for links.
    pub(super) fn new(fd: OwnedFd, path: PathBuf, steps: Arc<dyn Steps>) -> Self {
        Self { fd: Arc::new(fd), path, steps }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    pub(super) fn steps(&self) -> Arc<dyn Steps> {
        Arc::clone(&self.steps)
    }

    /// Who owns it, and its mode.
    pub(super) fn stat(&self) -> Result<sys::Stat, Fault> {
        sys::fstat(&*self.fd).map_err(|e| broke("looked at", &self.path, e.into()))
    }

    /// Whether two are the same folder on the same file system.
    pub(super) fn device(&self) -> Result<u64, Fault> {
        Ok(self.stat()?.st_dev)
    }

    /// The folder of this name in it; a link is none.
    pub(super) fn open(&self, name: &OsStr) -> Result<Self, Fault> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let path = self.path.join(name);
        let fd = sys::openat(&*self.fd, name, flags, Mode::empty());
        let fd = fd.map_err(|e| broke("opened", &path, e.into()))?;
        Ok(Self { fd: Arc::new(fd), path, steps: self.steps() })
    }

    /// Makes a folder in it, or opens the one that is there.
    pub(super) fn make(&self, name: &OsStr, mode: u32) -> Result<Self, Fault> {
        if self.entry(name)? == Entry::Absent {
            let path = self.announce("make", name)?;
            match sys::mkdirat(&*self.fd, name, Mode::from_raw_mode(mode)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(broke("made", &path, error.into())),
            }
            let made = self.open(name)?;
            made.announce("mode", OsStr::new(""))?;
            // The umask may have taken away what a server needs to reach its files.
            sys::fchmod(&*made.fd, Mode::from_raw_mode(mode))
                .map_err(|e| broke("set up", &path, e.into()))?;
            return Ok(made);
        }
        self.open(name)
    }

    pub(super) fn entry(&self, name: &OsStr) -> Result<Entry, Fault> {
        let path = self.path.join(name);
        let stat = match sys::statat(&*self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(Entry::Absent),
            Err(error) => return Err(broke("looked at", &path, error.into())),
        };
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Entry::File { device: stat.st_dev },
            FileType::Directory => Entry::Folder,
            FileType::Symlink => {
                let text = sys::readlinkat(&*self.fd, name, Vec::new())
                    .map_err(|e| broke("read", &path, e.into()))?;
                Entry::Link(OsString::from_vec(text.into_bytes()))
            }
            _ => Entry::Other,
        })
    }

    /// The names in it.
    pub(super) fn names(&self) -> Result<Vec<OsString>, Fault> {
        let failed = |e: Errno| broke("listed", &self.path, e.into());
        let mut names = Vec::new();
        for entry in sys::Dir::read_from(&*self.fd).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_bytes().to_vec();
            if !matches!(name.as_slice(), b"." | b"..") {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort();
        Ok(names)
    }

    /// The content and the attributes of a regular file; `None` where there is nothing.
    pub(super) fn read(&self, name: &OsStr) -> Result<Option<(Vec<u8>, Attributes)>, Fault> {
        let path = self.path.join(name);
        let failed = |e: io::Error| broke("read", &path, e);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match sys::openat(&*self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(failed(error.into())),
        };
        let stat = sys::fstat(&fd).map_err(|e| failed(e.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Fault::new(FaultKind::Invalid, format!("{} is no regular file", shown(&path)))
                .hint("name the file that the server reads"));
        }
        let mut labels = Vec::new();
        for name in KEPT {
            let mut value = vec![0; 65_536];
            // Where a file system has no such attribute, there is none to keep.
            if let Ok(length) = sys::fgetxattr(&fd, name, value.as_mut_slice()) {
                value.truncate(length);
                labels.push((name, value));
            }
        }
        let attributes = Attributes {
            uid: Some(stat.st_uid),
            gid: Some(stat.st_gid),
            mode: stat.st_mode & 0o7777,
            labels,
        };
        let mut bytes = Vec::new();
        std::fs::File::from(fd).take(READ_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > READ_MAX {
            return Err(Fault::new(FaultKind::Invalid, format!("{} is larger than 16 MiB", shown(&path)))
                .hint("is it the file that the server reads its certificate from?"));
        }
        Ok(Some((bytes, attributes)))
    }

    /// Writes a file that is not there yet, whole and to the disk, and readable by nobody else before it is. Where it
    /// fails, it is gone again.
    pub(super) fn create(&self, name: &OsStr, bytes: &[u8], attributes: &Attributes) -> Result<(), Fault> {
        let path = self.announce("create", name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = sys::openat(&*self.fd, name, flags, Mode::from_raw_mode(0o600));
        let fd = fd.map_err(|e| broke("created", &path, e.into()))?;
        self.fill(fd, &path, bytes, attributes).inspect_err(|_| drop(self.remove(name)))
    }

    fn fill(&self, fd: OwnedFd, path: &Path, bytes: &[u8], attributes: &Attributes) -> Result<(), Fault> {
        let step = |what| self.steps.step(what, path).map_err(|e| broke("written", path, e));
        let mut file = std::fs::File::from(fd);
        step("write")?;
        file.write_all(bytes).map_err(|e| broke("written", path, e))?;
        let stat = sys::fstat(&file).map_err(|e| broke("looked at", path, e.into()))?;
        let differs = |wanted: Option<u32>, is: u32| wanted.filter(|id| *id != is);
        let (uid, gid) = (differs(attributes.uid, stat.st_uid), differs(attributes.gid, stat.st_gid));
        if uid.is_some() || gid.is_some() {
            step("own")?;
            let (uid, gid) = (uid.map(sys::Uid::from_raw), gid.map(sys::Gid::from_raw));
            sys::fchown(&file, uid, gid).map_err(|e| {
                broke("given to its owner", path, e.into())
                    .hint("only root may give a file away; the server could not read one that is not its own")
            })?;
        }
        step("mode")?;
        sys::fchmod(&file, Mode::from_raw_mode(attributes.mode))
            .map_err(|e| broke("given its mode", path, e.into()))?;
        for (name, value) in &attributes.labels {
            step("label")?;
            match sys::fsetxattr(&file, *name, value, sys::XattrFlags::empty()) {
                Ok(()) | Err(Errno::NOTSUP) => {}
                Err(error) => return Err(broke("labelled", path, error.into())),
            }
        }
        step("sync file")?;
        file.sync_all().map_err(|e| broke("written to the disk", path, e))
    }

    /// Dates a file anew. Where that is forbidden the old date stays: nothing but a server's own eyes depends on it.
    pub(super) fn touch(&self, name: &OsStr) -> Result<(), Fault> {
        let path = self.announce("touch", name)?;
        let (keep, now) = (sys::UTIME_OMIT, sys::UTIME_NOW);
        let only = |nanoseconds| sys::Timespec { tv_sec: 0, tv_nsec: nanoseconds };
        let times = sys::Timestamps { last_access: only(keep), last_modification: only(now) };
        match sys::utimensat(&*self.fd, name, &times, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(()) | Err(Errno::PERM | Errno::ACCESS | Errno::NOENT) => Ok(()),
            Err(error) => Err(broke("dated", &path, error.into())),
        }
    }

    /// Puts the file `name` of this folder at `to` of that folder, taking the place of what is there.
    pub(super) fn rename(&self, name: &OsStr, folder: &Self, to: &OsStr) -> Result<(), Fault> {
        let path = folder.announce("rename", to)?;
        sys::renameat(&*self.fd, name, &*folder.fd, to).map_err(|e| broke("replaced", &path, e.into()))
    }

    /// Gives the file a second name. `false`: not here (another file system, or the system forbids it).
    pub(super) fn link(&self, name: &OsStr, folder: &Self, to: &OsStr) -> Result<bool, Fault> {
        let path = folder.announce("link", to)?;
        match sys::linkat(&*self.fd, name, &*folder.fd, to, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::NOTSUP | Errno::ACCESS) => Ok(false),
            Err(error) => Err(broke("linked", &path, error.into())),
        }
    }

    pub(super) fn symlink(&self, text: &OsStr, name: &OsStr) -> Result<(), Fault> {
        let path = self.announce("symlink", name)?;
        sys::symlinkat(text, &*self.fd, name).map_err(|e| broke("linked", &path, e.into()))
    }

    /// Removes a file or link; gone already is done.
    pub(super) fn remove(&self, name: &OsStr) -> Result<(), Fault> {
        let path = self.announce("remove", name)?;
        match sys::unlinkat(&*self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(broke("removed", &path, error.into())),
        }
    }

    /// Removes a folder of files, and no folder of folders: there is none of ours.
    pub(super) fn remove_folder(&self, name: &OsStr) -> Result<(), Fault> {
        match self.entry(name)? {
            Entry::Folder => {}
            Entry::Absent => return Ok(()),
            _ => return self.remove(name),
        }
        let inner = self.open(name)?;
        for file in inner.names()? {
            inner.remove(&file)?;
        }
        let path = self.announce("remove", name)?;
        match sys::unlinkat(&*self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(broke("removed", &path, error.into())),
        }
    }

    /// Brings to the disk which names are in it.
    pub(super) fn sync(&self) -> Result<(), Fault> {
        self.announce("sync folder", OsStr::new(""))?;
        sys::fsync(&*self.fd).map_err(|e| broke("written to the disk", &self.path, e.into()))
    }

    fn announce(&self, what: &'static str, name: &OsStr) -> Result<PathBuf, Fault> {
        let path = if name.as_bytes().is_empty() { self.path.clone() } else { self.path.join(name) };
        self.steps.step(what, &path).map_err(|e| broke("changed", &path, e))?;
        Ok(path)
    }
}

/// A path that is safe to print.
pub(super) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// What the system's refusal means.
pub(super) fn broke(what: &str, path: &Path, error: io::Error) -> Fault {
    let path = shown(path);
    let (kind, hint) = match Errno::from_io_error(&error) {
        Some(Errno::NOSPC | Errno::DQUOT) => {
            (FaultKind::Exhausted, "make room on this file system; what was in use before still is")
        }
        Some(Errno::ROFS) => (FaultKind::PermissionDenied, "the file system is mounted read-only"),
        Some(Errno::ACCESS | Errno::PERM) => (
            FaultKind::PermissionDenied,
            "the account that deploys must be able to write there; a service is also held by ReadWritePaths=",
        ),
        Some(Errno::NOENT | Errno::NOTDIR) => {
            (FaultKind::NotFound, "is the path right, and the disk mounted?")
        }
        Some(Errno::LOOP) => (FaultKind::Invalid, "a link stands where a file or folder of its own must be"),
        _ => (FaultKind::System, "what was in use before still is; the message is the system's"),
    };
    Fault::new(kind, format!("{path} could not be {what}: {error}")).hint(hint)
}

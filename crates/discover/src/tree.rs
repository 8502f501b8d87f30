//! A file system tree to read from: this host's own, one that is mounted elsewhere, or one in memory.
//!
//! What the readers of configurations and of renewers' state look through. Paths are those of the machine
//! whose tree it is: `/etc/nginx/nginx.conf` is that file below the root, and a link that names an absolute
//! path is followed below the root too, so that nothing outside can be reached. Regular files only, of
//! bounded size; nothing is written. It deliberately knows no format.

mod memory;
mod pattern;

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use notafter_core::UnixTime;
use rustix::fs::{Mode, OFlags, ResolveFlags};

pub use memory::Entry;
pub(crate) use pattern::matches;

/// No larger file is read whole, in bytes. Configurations are small; the largest met are maps of names.
pub const FILE_MAX: u64 = 8 << 20;
/// With less than that left, in bytes, a file system is full: no certificate with its key fits.
const FULL: u64 = 8 << 10;
/// So many links may stand in one path, as on Linux.
const LINKS_MAX: usize = 40;
/// So many parts may a path have once links are followed.
const PARTS_MAX: usize = 1024;
/// So many names are listed of one folder, and so many paths come of one pattern.
const NAMES_MAX: usize = 50_000;

/// A tree of files.
pub struct Tree {
    backing: Backing,
}

enum Backing {
    Disk(PathBuf),
    Memory(BTreeMap<PathBuf, Entry>),
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A device, a pipe, a socket.
    Other,
}

/// One step without following: what is there, or where it leads.
enum Step {
    Is(Kind),
    Link(PathBuf),
}

impl Tree {
    /// This machine's own.
    pub fn host() -> Self {
        Self::below("/")
    }

    /// The tree below a folder, which takes the place of `/`.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { backing: Backing::Disk(root.into()) }
    }

    /// A tree that exists nowhere.
    pub fn memory(entries: impl IntoIterator<Item = (PathBuf, Entry)>) -> Self {
        Self { backing: Backing::Memory(entries.into_iter().collect()) }
    }

    /// Files by path and text, in memory.
    pub fn of(files: &[(&str, &str)]) -> Self {
        Self::memory(files.iter().map(|(path, text)| (PathBuf::from(path), Entry::file(text.as_bytes()))))
    }

    /// Where a path leads once every link in it is followed, below the root.
    pub fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let mut ahead: VecDeque<OsString> = parts(path).collect();
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = ahead.pop_front() {
            if part == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&part);
            match self.step(&next)? {
                Step::Is(_) => at = next,
                Step::Link(target) => {
                    links += 1;
                    let all: Vec<OsString> = parts(&target).collect();
                    if links > LINKS_MAX || all.len() + ahead.len() > PARTS_MAX {
                        return Err(rustix::io::Errno::LOOP.into());
                    }
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    all.into_iter().rev().for_each(|part| ahead.push_front(part));
                }
            }
        }
        Ok(at)
    }

    /// Where a path of the tree is for this machine: the root in front. The same in memory.
    pub fn outside(&self, path: &Path) -> PathBuf {
        match &self.backing {
            Backing::Disk(root) => under(root, path),
            Backing::Memory(_) => path.to_owned(),
        }
    }

    /// A path as the tree has it, where a file in the tree calls it by its place on this machine: a state folder that
    /// was moved names where it is, not where it would be below the root.
    pub fn inside(&self, path: &Path) -> PathBuf {
        match &self.backing {
            Backing::Disk(root) if root != Path::new("/") => {
                path.strip_prefix(root).map_or_else(|_| path.to_owned(), |rest| Path::new("/").join(rest))
            }
            _ => path.to_owned(),
        }
    }

    /// Is the file system that holds this full, though it could be written to? Then nothing can be renewed in it.
    pub fn is_full(&self, path: &Path) -> bool {
        let Backing::Disk(root) = &self.backing else { return false };
        let Ok(found) = self.resolve(path) else { return false };
        rustix::fs::statvfs(under(root, &found)).is_ok_and(|s| {
            let writable = !s.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY);
            let room = s.f_bavail.saturating_mul(s.f_frsize);
            writable && s.f_blocks > 0 && (room < FULL || s.f_files > 0 && s.f_favail == 0)
        })
    }

    /// What is at a path, links followed; `None` if there is nothing or it cannot be told.
    pub fn kind(&self, path: &Path) -> Option<Kind> {
        match self.step(&self.resolve(path).ok()?).ok()? {
            Step::Is(kind) => Some(kind),
            Step::Link(_) => None,
        }
    }

    /// Is there a regular file at the end of this path?
    pub fn is_file(&self, path: &Path) -> bool {
        self.kind(path) == Some(Kind::File)
    }

    /// Is there a folder at the end of this path?
    pub fn is_folder(&self, path: &Path) -> bool {
        self.kind(path) == Some(Kind::Folder)
    }

    /// When it was last written.
    pub fn modified(&self, path: &Path) -> Option<UnixTime> {
        let found = self.resolve(path).ok()?;
        match &self.backing {
            Backing::Disk(root) => {
                Some(UnixTime(std::fs::symlink_metadata(under(root, &found)).ok()?.mtime()))
            }
            Backing::Memory(entries) => entries.get(&found)?.modified(),
        }
    }

    /// The bytes of a file of at most [`FILE_MAX`].
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let found = self.resolve(path)?;
        match &self.backing {
            Backing::Disk(root) => read_on_disk(root, &found, None),
            Backing::Memory(entries) => memory::read(entries, &found),
        }
    }

    /// The last bytes of a file, which may be of any length (a log).
    pub fn tail(&self, path: &Path, length: u64) -> io::Result<Vec<u8>> {
        let found = self.resolve(path)?;
        match &self.backing {
            Backing::Disk(root) => read_on_disk(root, &found, Some(length)),
            Backing::Memory(entries) => {
                let bytes = memory::read(entries, &found)?;
                Ok(bytes[bytes.len().saturating_sub(length as usize)..].to_vec())
            }
        }
    }

    /// The names in a folder, sorted.
    pub fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let found = self.resolve(path)?;
        let mut names: Vec<OsString> = match &self.backing {
            Backing::Disk(root) => std::fs::read_dir(under(root, &found))?
                .take(NAMES_MAX)
                .filter_map(|entry| Some(entry.ok()?.file_name()))
                .collect(),
            Backing::Memory(entries) => memory::list(entries, &found),
        };
        names.sort_unstable();
        Ok(names)
    }

    /// The paths that fit a pattern as the C library's `glob` has it, sorted: `*`, `?` and classes within
    /// one segment, no name that begins with a dot unless the pattern says so. A path without any of them
    /// is given back if something is there.
    pub fn glob(&self, pattern: &Path) -> Vec<PathBuf> {
        let mut found = vec![PathBuf::from("/")];
        for part in parts(pattern) {
            let mut next = Vec::new();
            for folder in &found {
                if !is_pattern(part.as_bytes()) {
                    let path = if part == ".." { folder.join("..") } else { folder.join(&part) };
                    if self.kind(&path).is_some() {
                        next.push(path);
                    }
                } else if let Ok(names) = self.list(folder) {
                    let fits = names.iter().filter(|name| matches(part.as_bytes(), name.as_bytes()));
                    next.extend(fits.map(|name| folder.join(name)));
                }
                if next.len() > NAMES_MAX {
                    next.truncate(NAMES_MAX);
                    break;
                }
            }
            found = next;
        }
        found
    }

    fn step(&self, path: &Path) -> io::Result<Step> {
        match &self.backing {
            Backing::Disk(root) => {
                let real = under(root, path);
                let stat = std::fs::symlink_metadata(&real)?;
                let kind = stat.file_type();
                if kind.is_symlink() && path != Path::new("/") {
                    return Ok(Step::Link(std::fs::read_link(real)?));
                }
                Ok(Step::Is(match () {
                    () if kind.is_file() => Kind::File,
                    () if kind.is_dir() || path == Path::new("/") => Kind::Folder,
                    () => Kind::Other,
                }))
            }
            Backing::Memory(entries) => memory::step(entries, path),
        }
    }
}

/// Has the segment anything to match by?
pub(crate) fn is_pattern(part: &[u8]) -> bool {
    part.iter().any(|b| matches!(b, b'*' | b'?' | b'['))
}

/// The parts of a path; neither the root nor a dot is one.
fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

fn under(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Opened so that no link swapped in meanwhile leads out of the root, and no pipe makes us wait.
fn read_on_disk(root: &Path, path: &Path, tail: Option<u64>) -> io::Result<Vec<u8>> {
    use std::io::{Read, Seek, SeekFrom};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let inside = path.strip_prefix("/").unwrap_or(path);
    let folder = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let opened = match rustix::fs::openat2(&folder, inside, flags, Mode::empty(), resolve) {
        // Kernels before 5.6, and sandboxes that forbid what they do not know.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {
            rustix::fs::openat(&folder, inside, flags | OFlags::NOFOLLOW, Mode::empty())?
        }
        other => other?,
    };
    let mut file = std::fs::File::from(opened);
    let stat = file.metadata()?;
    if !stat.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let limit = match tail {
        Some(length) => {
            file.seek(SeekFrom::Start(stat.len().saturating_sub(length)))?;
            length
        }
        None if stat.len() > FILE_MAX => return Err(too_large()),
        None => FILE_MAX,
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if tail.is_none() && bytes.len() as u64 > FILE_MAX {
        return Err(too_large());
    }
    Ok(bytes)
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("more than the {} MiB that are read", FILE_MAX >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        Tree::memory([
            ("/etc/a/one.conf".into(), Entry::file(b"1")),
            ("/etc/a/two.conf".into(), Entry::file(b"2")),
            ("/etc/a/.hidden.conf".into(), Entry::file(b"3")),
            ("/etc/b".into(), Entry::link("/etc/a")),
            ("/etc/up".into(), Entry::link("../../../../etc/a/one.conf")),
            ("/etc/loop".into(), Entry::link("loop")),
        ])
    }

    #[test]
    fn links_stay_within_the_root_and_loops_end() {
        let check = |path: &str, expected: Option<&str>| {
            let got = tree().resolve(Path::new(path)).ok();
            assert_eq!(got.as_deref(), expected.map(Path::new), "{path}");
        };
        check("/etc/b/one.conf", Some("/etc/a/one.conf"));
        check("/etc/up", Some("/etc/a/one.conf"));
        check("/../../etc/a/./two.conf", Some("/etc/a/two.conf"));
        check("/etc/loop", None);
        check("/etc/nothing", None);
    }

    #[test]
    fn patterns() {
        let check = |pattern: &str, expected: &[&str]| {
            let got = tree().glob(Path::new(pattern));
            assert_eq!(got, expected.iter().map(PathBuf::from).collect::<Vec<_>>(), "{pattern}");
        };
        check("/etc/a/*.conf", &["/etc/a/one.conf", "/etc/a/two.conf"]);
        check("/etc/?/one.conf", &["/etc/a/one.conf", "/etc/b/one.conf"]);
        check("/etc/a/.h*", &["/etc/a/.hidden.conf"]);
        check("/etc/a/none.conf", &[]);
        check("/etc/b/two.conf", &["/etc/b/two.conf"]);
    }

    #[test]
    fn a_tree_on_disk_is_closed() {
        let folder = std::env::temp_dir().join(format!("notafter-tree-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("etc")).unwrap();
        std::fs::write(folder.join("etc/x"), "inside").unwrap();
        let link = |target: &str, name: &str| {
            let _ = std::os::unix::fs::symlink(target, folder.join(name));
        };
        link("/etc/x", "absolute");
        link("../../../../../../../../etc/x", "climbing");
        let tree = Tree::below(&folder);
        for name in ["/etc/x", "/absolute", "/climbing"] {
            assert_eq!(tree.read(Path::new(name)).ok().as_deref(), Some(&b"inside"[..]), "{name}");
        }
        assert_eq!(tree.tail(Path::new("/etc/x"), 4).ok().as_deref(), Some(&b"side"[..]));
        assert!(tree.read(Path::new("/etc")).is_err());
        assert!(tree.modified(Path::new("/absolute")).is_some());
        assert_eq!(tree.outside(Path::new("/etc/x")), folder.join("etc/x"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}

//! Opens one file safely and decides, by its bytes, whether it is worth reading whole.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use notafter_core::UnixTime;
use notafter_core::location::Location;
use notafter_core::observation::{FileFacts, Link, Reason, Seen};
use notafter_core::scan::Progress;
use notafter_pki::container::sniff::{Hint, Markers};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};

use super::archive::{self, Kind};
use super::members::Members;
use super::{Shared, document, packed, quiet, read, why};

/// How much is read at once: most files whole.
const CHUNK: usize = 128 << 10;
/// A marker may begin at the end of one chunk and end in the next.
const OVERLAP: usize = 128;
/// Nothing that holds a certificate or a key is smaller, in bytes. The configuration of a server may be.
const SIZE_MIN: u64 = 40;

/// Opens files for one thread of a walk.
pub(super) struct Opener<'s> {
    shared: &'s Shared,
    markers: Markers,
    buffer: Vec<u8>,
    no_atime: OFlags,
    origin: read::Origin,
    /// Can everyone get into this folder?
    open_folders: HashMap<PathBuf, bool>,
    /// The folder of the last file: its neighbours are opened from there, without the way from the root.
    folder: Option<Near>,
    /// Is the file one that is read after the walk, with others?
    noted: bool,
    /// The files in which there was nothing.
    marks: quiet::Marks,
}

/// A folder, opened.
struct Near {
    path: Vec<u8>,
    opened: OwnedFd,
    quiet: quiet::Folder,
}

impl Drop for Opener<'_> {
    fn drop(&mut self) {
        self.shared.marks.lock().unwrap_or_else(PoisonError::into_inner).append(&mut self.marks);
    }
}

impl<'s> Opener<'s> {
    pub(super) fn new(shared: &'s Shared) -> Self {
        // Only the owner and root may leave access times alone; asking in vain would cost a system call.
        let root = rustix::process::geteuid().is_root();
        let no_atime = if root { OFlags::NOATIME } else { OFlags::empty() };
        Self {
            shared,
            markers: Markers::new(),
            buffer: vec![0; CHUNK],
            no_atime,
            origin: read::Origin::default(),
            open_folders: HashMap::new(),
            folder: None,
            noted: false,
            marks: quiet::Marks::default(),
        }
    }

    /// A file that the user named: whatever is wrong with it is said.
    pub(super) fn named(&mut self, path: &Path) {
        if !self.look(path, OFlags::empty()) {
            let detail = "nothing in it was recognised as a certificate, a key or a keystore";
            self.shared.blind(path, Reason::UnsupportedFormat, detail);
        }
    }

    /// A file met on a walk.
    pub(super) fn walked(&mut self, path: &Path) {
        self.look(path, OFlags::NOFOLLOW);
    }

    /// A link to a file met on a walk.
    pub(super) fn linked(&mut self, path: &Path, root: &Path) {
        if self.is_quiet(path, OFlags::empty()) {
            return;
        }
        let target = std::fs::canonicalize(path).ok();
        self.origin.link_inside = target.is_some_and(|t| t.starts_with(root));
        self.look(path, OFlags::empty());
        self.origin = read::Origin::default();
    }

    /// Whether there was anything to say about the file. A mistake of ours in reading one file costs that
    /// file, said aloud, and not the walk.
    fn look(&mut self, path: &Path, more: OFlags) -> bool {
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.try_look(path, more)));
        looked.unwrap_or_else(|_| {
            self.buffer.resize(CHUNK, 0);
            self.shared.blind(
                path,
                Reason::Malformed,
                "reading it failed inside notafter: please report this file",
            );
            true
        })
    }

    /// Was there nothing in it the last time, and is it as it was?
    fn is_quiet(&mut self, path: &Path, more: OFlags) -> bool {
        let shared = self.shared;
        if !shared.quiet.knows_any() {
            return false;
        }
        let Ok(Some((folder, name))) = near(&mut self.folder, shared, path) else { return false };
        let follow =
            if more.contains(OFlags::NOFOLLOW) { AtFlags::SYMLINK_NOFOLLOW } else { AtFlags::empty() };
        let Ok(stat) = rustix::fs::statat(&folder.opened, name, follow) else { return false };
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if !regular || !shared.quiet.has(&folder.quiet, name, &stat, &mut self.marks) {
            return false;
        }
        Progress::add(&shared.progress.files, 1);
        true
    }

    fn try_look(&mut self, path: &Path, more: OFlags) -> bool {
        if self.is_quiet(path, more) {
            return false;
        }
        // Not blocking: opening a pipe that replaced the file would wait for its writer for ever.
        let flags =
            OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | self.no_atime | more;
        let (file, stat) = match self
            .open(path, flags)
            .and_then(|file| rustix::fs::fstat(&file).map(|stat| (file, stat)))
        {
            Ok(opened) => opened,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP) if more.contains(OFlags::NOFOLLOW) => {
                return true;
            }
            Err(error) => {
                let (reason, detail) = why(&error.into());
                self.shared.blind(path, reason, detail);
                return true;
            }
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            self.shared.blind(path, Reason::SpecialFile, "it is not a regular file");
            return true;
        }
        Progress::add(&self.shared.progress.files, 1);
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        self.noted = false;
        // `import sites/*` is a whole Caddyfile.
        let is_large = size >= SIZE_MIN || (size > 0 && crate::configs::maybe(path));
        let said = is_large && self.contents(path, &file, &stat, size);
        if !said
            && !self.noted
            && let Ok(Some((folder, name))) = near(&mut self.folder, self.shared, path)
        {
            self.shared.quiet.leave(&folder.quiet, name, &stat, &mut self.marks);
        }
        said
    }

    fn open(&mut self, path: &Path, flags: OFlags) -> Result<OwnedFd, rustix::io::Errno> {
        match near(&mut self.folder, self.shared, path)? {
            Some((folder, name)) => rustix::fs::openat(&folder.opened, name, flags, Mode::empty()),
            None => rustix::fs::open(path, flags, Mode::empty()),
        }
    }

    fn contents(&mut self, path: &Path, file: &OwnedFd, stat: &Stat, size: u64) -> bool {
        let mut first = match fill(file, &mut self.buffer, 0, 0) {
            Ok(n) => n,
            Err(error) => return self.failed(path, error),
        };
        let start = &self.buffer[..first];
        self.noted = super::servers::note(self.shared, path, start);
        if is_locked_credential(path) {
            let detail =
                "a credential of systemd, encrypted for this machine or its TPM: what is in it is not known";
            self.shared.blind(path, Reason::UnsupportedFormat, detail);
            return true;
        }
        let kind = Kind::of_start(&start[..first.min(archive::HEAD)]);
        // A script or a program may have an archive behind it: self-extracting, or a service of Spring Boot.
        let behind = || {
            let source = Handle { file, size };
            let may = start.starts_with(b"#!") || start.starts_with(b"MZ");
            if may && size > CHUNK as u64 { Kind::of_end(&source) } else { None }
        };
        if let Some(kind) = kind.or_else(behind) {
            return self.members(path, file, stat, size, kind);
        }
        if size > self.shared.size_max {
            let detail = format!(
                "{} are more than the {} that are read",
                mebibytes(size),
                mebibytes(self.shared.size_max)
            );
            self.shared.blind(path, Reason::TooLarge, detail);
            return true;
        }
        let binary = packed::is_binary(start);
        let mut worth = Hint::of_start(start).is_some()
            || self.markers.first(start).is_some()
            || document::is_worth(start)
            || binary && packed::may_hold(start);
        if first as u64 >= size || first < self.buffer.len() {
            return worth && self.report(path, stat, None, first);
        }
        let mut offset = first as u64;
        while !worth && offset < size {
            if self.shared.stop.load(std::sync::atomic::Ordering::Relaxed) {
                return true;
            }
            let keep = first.min(OVERLAP);
            self.buffer.copy_within(first - keep..first, 0);
            first = match fill(file, &mut self.buffer, keep, offset) {
                Ok(n) if n > keep => n,
                Ok(_) => break,
                Err(error) => return self.failed(path, error),
            };
            offset += (first - keep) as u64;
            let chunk = &self.buffer[..first];
            worth = self.markers.first(chunk).is_some() || binary && packed::may_hold(chunk);
        }
        if !worth {
            return false;
        }
        // Now that it is worth it, the whole file, from its beginning.
        let mut whole = vec![0; size as usize];
        match fill(file, &mut whole, 0, 0) {
            Ok(n) => {
                whole.truncate(n);
                self.report(path, stat, Some(whole), n)
            }
            Err(error) => self.failed(path, error),
        }
    }

    fn failed(&self, path: &Path, error: rustix::io::Errno) -> bool {
        let (reason, detail) = why(&error.into());
        self.shared.blind(path, reason, detail);
        true
    }

    /// An archive, or something compressed: whether there was anything to say.
    fn members(&mut self, path: &Path, file: &OwnedFd, stat: &Stat, size: u64, kind: Kind) -> bool {
        let reachable = self.reachable(path);
        let facts = FileFacts { reachable_by_others: reachable, ..facts(stat) };
        let place = Location::file(bytes_of(path), "");
        let mut members = Members::new(self.shared, &self.markers, place.clone(), facts, self.origin);
        let source = Handle { file, size };
        let limits = archive::Limits { member: self.shared.size_max, ..archive::Limits::default() };
        archive::open(kind, &source, &place, &limits, &*self.shared.clock, &mut members);
        members.finish()
    }

    fn report(&mut self, path: &Path, stat: &Stat, whole: Option<Vec<u8>>, length: usize) -> bool {
        let buffer = std::mem::take(&mut self.buffer);
        let bytes = whole.as_deref().unwrap_or_else(|| &buffer[..length.min(buffer.len())]);
        let shared = self.shared;
        let passwords: Vec<&str> = shared.passwords.iter().map(String::as_str).collect();
        let holder = read::Holder {
            place: Location::file(bytes_of(path), ""),
            file: facts(stat),
            origin: self.origin,
            passwords: &passwords,
            put: &|place, seen| shared.put(place, seen),
        };
        let mut said = read::report(&holder, bytes, || self.reachable(path));
        if packed::is_binary(bytes) && packed::may_hold(bytes) {
            said |= self.carved(path, stat, bytes);
        }
        for reference in document::references(bytes) {
            said = true;
            self.refers(path, &holder.place.entry(&reference.at), reference);
        }
        self.buffer = buffer;
        said
    }

    /// A blob of an image layout: an archive is read as one of its layers, anything else noted and read as a file.
    pub(super) fn blob(&mut self, path: &Path, members: &mut Members<'_>) {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
        let opened = self.open(path, flags | self.no_atime);
        let stat = opened.and_then(|file| rustix::fs::fstat(&file).map(|stat| (file, stat)));
        let Ok((file, stat)) = stat else { return self.walked(path) };
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let Some(first) = fill(&file, &mut self.buffer, 0, 0).ok().filter(|_| regular) else {
            return self.walked(path);
        };
        let start = &self.buffer[..first.min(archive::HEAD)];
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let place = Location::file(bytes_of(path), "");
        let Some(kind) = Kind::of_start(start).filter(|kind| !matches!(kind, Kind::Foreign(_))) else {
            if first as u64 == size {
                members.document(&place, &self.buffer[..first]);
            }
            return self.walked(path);
        };
        Progress::add(&self.shared.progress.files, 1);
        members.set_facts(FileFacts { reachable_by_others: self.reachable(path), ..facts(&stat) });
        let limits = archive::Limits { member: self.shared.size_max, ..archive::Limits::default() };
        let source = Handle { file: &file, size };
        archive::open(kind, &source, &place, &limits, &*self.shared.clock, members);
    }

    /// Compressed streams in the middle of a file: whether there was anything to say.
    fn carved(&mut self, path: &Path, stat: &Stat, bytes: &[u8]) -> bool {
        let facts = FileFacts { reachable_by_others: self.reachable(path), ..facts(stat) };
        let place = Location::file(bytes_of(path), "");
        let mut members = Members::new(self.shared, &self.markers, place.clone(), facts, self.origin);
        let budget = packed::Budget::of(bytes.len() as u64);
        packed::open(bytes, &place, &budget, &*self.shared.clock, &mut members);
        members.finish()
    }

    /// What a kubeconfig names, as a link; what is not there, as a gap.
    fn refers(&self, path: &Path, from: &Location, reference: document::Reference) {
        let folder = path.parent().unwrap_or(path);
        let file = folder.join(&reference.file);
        let evidence = format!("{from} names it");
        if !file.exists() {
            let detail = format!("{evidence}, and it is not there");
            return self.shared.blind(&file, Reason::NotFound, detail);
        }
        let to = Location::file(bytes_of(&file), "");
        let link = Link { kind: reference.kind, from: from.clone(), to, evidence };
        self.shared.put(from.clone(), Seen::Linked(link));
    }

    /// Can everyone pass through all the folders above this file?
    fn reachable(&mut self, path: &Path) -> bool {
        let Some(folder) = path.parent() else { return true };
        if let Some(&known) = self.open_folders.get(folder) {
            return known;
        }
        use std::os::unix::fs::PermissionsExt;
        let open = std::fs::metadata(folder).is_ok_and(|m| m.permissions().mode() & 0o001 != 0)
            && self.reachable(folder);
        self.open_folders.insert(folder.to_owned(), open);
        open
    }
}

/// The folder that a file is in, opened, and the file's name there.
fn near<'n, 'p>(
    last: &'n mut Option<Near>,
    shared: &Shared,
    path: &'p Path,
) -> Result<Option<(&'n Near, &'p [u8])>, rustix::io::Errno> {
    let path = bytes_of(path);
    let Some(slash) = path.iter().rposition(|octet| *octet == b'/') else { return Ok(None) };
    let (folder, name) = (&path[..slash.max(1)], &path[slash + 1..]);
    if last.as_ref().is_none_or(|known| known.path != folder) {
        let way = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(folder, way, Mode::empty())?;
        *last = Some(Near { path: folder.to_owned(), opened, quiet: shared.quiet.folder(folder) });
    }
    Ok(last.as_ref().map(|folder| (folder, name)))
}

/// An open file, read from anywhere.
struct Handle<'f> {
    file: &'f OwnedFd,
    size: u64,
}

impl archive::Source for Handle<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> std::io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::pread(self.file, &mut *into, offset))?)
    }
}

/// What `stat` says; who can get to the file is another question.
fn facts(stat: &Stat) -> FileFacts {
    FileFacts {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        owner: crate::passwd::user_name(stat.st_uid),
        mtime: UnixTime(stat.st_mtime),
        reachable_by_others: false,
    }
}

/// Does the file lie where systemd keeps credentials that only it can decrypt?
fn is_locked_credential(path: &Path) -> bool {
    path.parent().and_then(Path::file_name).is_some_and(|folder| folder == "credstore.encrypted")
}

/// Reads into `buffer` from `at` on until it is full or the file ends; gives the length filled.
fn fill(file: &OwnedFd, buffer: &mut [u8], at: usize, mut offset: u64) -> Result<usize, rustix::io::Errno> {
    let mut filled = at;
    while filled < buffer.len() {
        match rustix::io::pread(file, &mut buffer[filled..], offset) {
            Ok(0) => break,
            Ok(n) => {
                filled += n;
                offset += n as u64;
                // A short read is the end of nearly every file: asking again would double the calls.
                if filled < buffer.len() && buffer.len() - at == CHUNK {
                    break;
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn mebibytes(bytes: u64) -> String {
    let tenths = bytes / (1 << 20) * 10 + bytes % (1 << 20) * 10 / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// The bytes of a path.
pub(super) fn bytes_of(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

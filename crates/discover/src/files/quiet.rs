//! Files in which there was nothing, by what the file system says of them: the next look passes them by unopened.
//!
//! Kept as the source's note. A mark is made of the path, the file's number, size and both its times (a change of
//! contents changes ctime, which nobody can set), and holds as long as the same program reads with the same limits. A
//! file that held anything, or of which anything had to be said, is never in it: it is read each time. So is one that
//! was changed just before it was read, as a later change could carry the same time.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use notafter_core::UnixTime;
use rustix::fs::Stat;

/// What a note begins with.
const MAGIC: &[u8; 8] = b"quiet 1\n";
/// So many marks are kept, of 8 octets each; files beyond them are opened each time.
const MOST: usize = 4_000_000;
/// Times are this coarse on the file systems that are met, and clocks this far apart, in seconds.
const COARSE: i64 = 3;

/// The marks of an earlier look, and how new ones are made.
pub(super) struct Quiet {
    known: HashSet<u64, BuildHasherDefault<Itself>>,
    /// Who reads, and how far; `None`: it cannot be told, and nothing is passed by.
    reader: Option<u64>,
    /// When this look began.
    begun: UnixTime,
}

impl Quiet {
    /// From the note of an earlier look. What is no note of ours, or another program's, says nothing.
    pub(super) fn read(note: Option<&[u8]>, size_max: u64, begun: UnixTime) -> Self {
        let reader = reader(size_max);
        let mut known = HashSet::default();
        let marks = note.and_then(|note| note.strip_prefix(MAGIC)).map(|rest| rest.as_chunks::<8>().0);
        if let Some(([who, marks @ ..], reader)) = marks.zip(reader)
            && u64::from_le_bytes(*who) == reader
        {
            known.extend(marks.iter().take(MOST).map(|mark| u64::from_le_bytes(*mark)));
        }
        Self { known, reader, begun }
    }

    /// May any file be passed by? If not, nobody needs to ask for its times first.
    pub(super) fn knows_any(&self) -> bool {
        !self.known.is_empty()
    }

    /// Is this file as it was when nothing was found in it?
    pub(super) fn has(&self, path: &Path, stat: &Stat) -> bool {
        self.known.contains(&mark(path, stat))
    }

    /// The mark of a file in which nothing was found; `None` if it cannot be relied upon.
    pub(super) fn mark(&self, path: &Path, stat: &Stat) -> Option<u64> {
        let settled = stat.st_ctime.saturating_add(COARSE) < self.begun.0;
        (self.reader.is_some() && settled).then(|| mark(path, stat))
    }

    /// The note for the next look; `None` where it says what the last one said.
    pub(super) fn note(&self, mut marks: Vec<u64>) -> Option<Vec<u8>> {
        let reader = self.reader?;
        marks.sort_unstable();
        marks.dedup();
        marks.truncate(MOST);
        if marks.len() == self.known.len() && marks.iter().all(|mark| self.known.contains(mark)) {
            return None;
        }
        let parts = [reader].into_iter().chain(marks).flat_map(u64::to_le_bytes);
        Some(MAGIC.iter().copied().chain(parts).collect())
    }
}

fn mark(path: &Path, stat: &Stat) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(path.as_os_str().as_bytes());
    (stat.st_dev, stat.st_ino, stat.st_size).hash(&mut hasher);
    (stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec).hash(&mut hasher);
    hasher.finish()
}

/// This very program, and how much it reads of a file: another one may find what this one does not.
fn reader(size_max: u64) -> Option<u64> {
    let program = std::fs::metadata(std::env::current_exe().ok()?).ok()?;
    let mut hasher = DefaultHasher::new();
    (program.dev(), program.ino(), program.size(), program.ctime(), program.ctime_nsec()).hash(&mut hasher);
    size_max.hash(&mut hasher);
    Some(hasher.finish())
}

/// A mark is a hash already.
#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, mark: u64) {
        self.0 = mark;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(path: &Path) -> Stat {
        rustix::fs::stat(path).expect("a file")
    }

    #[test]
    fn a_note_holds_for_the_same_reader_and_the_same_files() {
        let folder = std::env::temp_dir().join(format!("notafter-quiet-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("a");
        std::fs::write(&file, "nothing").unwrap();
        let later = UnixTime(stat(&file).st_ctime + 100);
        let first = Quiet::read(None, 10, later);
        assert!(!first.knows_any());
        let note = first.note(first.mark(&file, &stat(&file)).into_iter().collect()).expect("a note");
        let again = Quiet::read(Some(&note), 10, later);
        assert!(again.has(&file, &stat(&file)));
        assert!(!again.has(&folder.join("b"), &stat(&file)), "another name is read otherwise");
        assert_eq!(again.note(again.mark(&file, &stat(&file)).into_iter().collect()), None, "nothing new");
        assert!(!Quiet::read(Some(&note), 11, later).knows_any(), "more is read of each now");
        // One octet more, with the times it had, as a copy or a restored backup has them: ctime tells.
        let (times, before) = (std::fs::metadata(&file).unwrap().modified().unwrap(), stat(&file));
        // The clock of files ticks every few milliseconds.
        while stat(&file).st_ctime_nsec == before.st_ctime_nsec {
            std::fs::write(&file, "somethi").unwrap();
            std::fs::File::options().write(true).open(&file).unwrap().set_modified(times).unwrap();
        }
        assert!(!again.has(&file, &stat(&file)));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_too_fresh_is_read_again() {
        let here = std::env::temp_dir();
        let now = stat(&here);
        assert_eq!(Quiet::read(None, 10, UnixTime(now.st_ctime)).mark(&here, &now), None);
        assert_eq!(Quiet::read(None, 10, UnixTime(now.st_ctime + COARSE)).mark(&here, &now), None);
    }

    #[test]
    fn any_note_is_read_or_ignored() {
        for note in [&b""[..], b"quiet 1\n", b"quiet 1\n123", b"{\"logs\":{}}", &[0xff; 64]] {
            assert!(!Quiet::read(Some(note), 10, UnixTime(1 << 40)).knows_any());
        }
    }
}

//! Files in which there was nothing, by what the file system says of them: the next look passes them by unopened.
//!
//! Kept as the source's note. A mark is made of the path, the file's number, size and both its times (a change of
//! contents changes ctime, which nobody can set), and holds as long as the same program reads with the same limits. A
//! file that held anything, or of which anything had to be said, is never in it: it is read each time. So is one that
//! was changed just before it was read, as a later change could carry the same time.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;

use notafter_core::UnixTime;
use rustix::fs::Stat;

/// What a note begins with.
const MAGIC: &[u8; 8] = b"quiet 2\n";
/// So many marks are kept, of 8 octets each; files beyond them are opened each time.
const MOST: usize = 4_000_000;
/// The upper bits of a mark are those of its folder's hash, so that the marks of one folder lie together.
const OF_FOLDER: u64 = 0xffff << 48;
/// Times are this coarse on the file systems that are met, and clocks this far apart, in seconds.
const COARSE: i64 = 3;

/// The marks of an earlier look, and how new ones are made.
pub(super) struct Quiet {
    /// In order, each once.
    known: Vec<u64>,
    /// Who reads, and how far; `None`: it cannot be told, and nothing is passed by.
    reader: Option<u64>,
    /// When this look began.
    begun: UnixTime,
}

/// One folder, as far as the marks of its files have it in common.
pub(super) struct Folder {
    path: DefaultHasher,
    bits: u64,
    /// Where its marks lie among those that are known.
    known: Range<usize>,
}

/// The marks of a look, thread by thread.
#[derive(Default)]
pub(super) struct Marks {
    all: Vec<u64>,
    /// So many of them were known.
    old: usize,
}

impl Marks {
    pub(super) fn append(&mut self, more: &mut Self) {
        self.all.append(&mut more.all);
        self.old += std::mem::take(&mut more.old);
    }
}

impl Quiet {
    /// From the note of an earlier look. What is no note of ours, or another program's, says nothing.
    pub(super) fn read(note: Option<&[u8]>, size_max: u64, begun: UnixTime) -> Self {
        let reader = reader(size_max);
        let mut known = Vec::new();
        let marks = note.and_then(|note| note.strip_prefix(MAGIC)).map(|rest| rest.as_chunks::<8>().0);
        if let Some(([who, marks @ ..], reader)) = marks.zip(reader)
            && u64::from_le_bytes(*who) == reader
        {
            known.extend(marks.iter().take(MOST).map(|mark| u64::from_le_bytes(*mark)));
            if !known.is_sorted() {
                known.clear();
            }
        }
        Self { known, reader, begun }
    }

    /// May any file be passed by? If not, nobody needs to ask for its times first.
    pub(super) fn knows_any(&self) -> bool {
        !self.known.is_empty()
    }

    /// The folder of this path.
    pub(super) fn folder(&self, path: &[u8]) -> Folder {
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        let bits = hasher.finish() & OF_FOLDER;
        let from = self.known.partition_point(|mark| *mark < bits);
        let length = self.known[from..].partition_point(|mark| mark & OF_FOLDER == bits);
        Folder { path: hasher, bits, known: from..from + length }
    }

    /// Is this file as it was when nothing was found in it? Then its mark stays.
    pub(super) fn has(&self, folder: &Folder, name: &[u8], stat: &Stat, marks: &mut Marks) -> bool {
        let mark = mark(folder, name, stat);
        let known = self.known.get(folder.known.clone()).is_some_and(|of| of.binary_search(&mark).is_ok());
        if known && self.is_settled(stat) {
            marks.all.push(mark);
            marks.old += 1;
        }
        known
    }

    /// Nothing was found in this file: leaves its mark, unless that cannot be relied upon.
    pub(super) fn leave(&self, folder: &Folder, name: &[u8], stat: &Stat, marks: &mut Marks) {
        if self.reader.is_some() && self.is_settled(stat) {
            marks.all.push(mark(folder, name, stat));
        }
    }

    /// Was it left alone for a while?
    fn is_settled(&self, stat: &Stat) -> bool {
        stat.st_ctime.saturating_add(COARSE) < self.begun.0
    }

    /// The note for the next look; `None` where it says what the last one said.
    pub(super) fn note(&self, marks: Marks) -> Option<Vec<u8>> {
        let (reader, Marks { mut all, old }) = (self.reader?, marks);
        if all.len() == old && old == self.known.len() {
            return None;
        }
        all.sort_unstable();
        all.dedup();
        all.truncate(MOST);
        if all == self.known {
            return None;
        }
        let parts = [reader].into_iter().chain(all).flat_map(u64::to_le_bytes);
        Some(MAGIC.iter().copied().chain(parts).collect())
    }
}

fn mark(folder: &Folder, name: &[u8], stat: &Stat) -> u64 {
    let mut hasher = folder.path.clone();
    let numbers = [
        stat.st_dev,
        stat.st_ino,
        stat.st_size.cast_unsigned(),
        stat.st_mtime.cast_unsigned(),
        stat.st_mtime_nsec,
        stat.st_ctime.cast_unsigned(),
        stat.st_ctime_nsec,
    ];
    let mut octets = [0; 56];
    for (into, number) in octets.as_chunks_mut::<8>().0.iter_mut().zip(numbers) {
        *into = number.to_le_bytes();
    }
    hasher.write(&octets);
    hasher.write(name);
    folder.bits | hasher.finish() & !OF_FOLDER
}

/// This very program, and how much it reads of a file: another one may find what this one does not.
fn reader(size_max: u64) -> Option<u64> {
    let program = std::fs::metadata(std::env::current_exe().ok()?).ok()?;
    let mut hasher = DefaultHasher::new();
    (program.dev(), program.ino(), program.size(), program.ctime(), program.ctime_nsec()).hash(&mut hasher);
    size_max.hash(&mut hasher);
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn stat(path: &Path) -> Stat {
        rustix::fs::stat(path).expect("a file")
    }

    fn left(quiet: &Quiet, folder: &[u8], name: &[u8], stat: &Stat) -> Marks {
        let mut marks = Marks::default();
        quiet.leave(&quiet.folder(folder), name, stat, &mut marks);
        marks
    }

    /// Is it known, and what stays of it?
    fn met(quiet: &Quiet, folder: &[u8], name: &[u8], stat: &Stat) -> (bool, Marks) {
        let mut marks = Marks::default();
        (quiet.has(&quiet.folder(folder), name, stat, &mut marks), marks)
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
        let note = first.note(left(&first, b"/f", b"a", &stat(&file))).expect("a note");
        let again = Quiet::read(Some(&note), 10, later);
        let (known, marks) = met(&again, b"/f", b"a", &stat(&file));
        assert!(known);
        assert_eq!(again.note(marks), None, "nothing new");
        assert_eq!(
            again.note(left(&again, b"/f", b"a", &stat(&file))),
            None,
            "nothing new, though it was read"
        );
        assert!(again.note(Marks::default()).is_some(), "it is not there any more");
        assert!(!met(&again, b"/f", b"b", &stat(&file)).0, "another name is read otherwise");
        assert!(!met(&again, b"/g", b"a", &stat(&file)).0, "so is another folder");
        assert!(!Quiet::read(Some(&note), 11, later).knows_any(), "more is read of each now");
        // One octet more, with the times it had, as a copy or a restored backup has them: ctime tells.
        let (times, before) = (std::fs::metadata(&file).unwrap().modified().unwrap(), stat(&file));
        // The clock of files ticks every few milliseconds.
        while stat(&file).st_ctime_nsec == before.st_ctime_nsec {
            std::fs::write(&file, "somethi").unwrap();
            std::fs::File::options().write(true).open(&file).unwrap().set_modified(times).unwrap();
        }
        assert!(!met(&again, b"/f", b"a", &stat(&file)).0);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_too_fresh_is_read_again() {
        let here = std::env::temp_dir();
        let now = stat(&here);
        for (later, kept) in [(0, 0), (COARSE, 0), (COARSE + 1, 1)] {
            let quiet = Quiet::read(None, 10, UnixTime(now.st_ctime + later));
            assert_eq!(left(&quiet, b"/", b"tmp", &now).all.len(), kept, "{later} s later");
        }
    }

    #[test]
    fn any_note_is_read_or_ignored() {
        for note in [&b""[..], b"quiet 2\n", b"quiet 2\n123", b"quiet 1\n", b"{\"logs\":{}}", &[0xff; 64]] {
            assert!(!Quiet::read(Some(note), 10, UnixTime(1 << 40)).knows_any());
        }
        let ours = reader(10).expect("a program").to_le_bytes();
        let marks = |list: &[u64]| list.iter().flat_map(|mark| mark.to_le_bytes()).collect::<Vec<_>>();
        for (list, read) in [(&[7, 9][..], true), (&[9, 7], false)] {
            let note = [&MAGIC[..], &ours, &marks(list)].concat();
            assert_eq!(Quiet::read(Some(&note), 10, UnixTime(1 << 40)).knows_any(), read, "{list:?}");
        }
    }
}

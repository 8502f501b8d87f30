//! A tree that exists only in memory: for tests, for fuzzing, and for archives that were unpacked there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use notafter_core::UnixTime;

use super::{Kind, Step};

/// What stands at a path of a tree in memory. Folders need not be named.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A file and when it was last written.
    File(Vec<u8>, Option<UnixTime>),
    /// A link and where it leads.
    Link(PathBuf),
}

impl Entry {
    /// A file.
    pub fn file(bytes: &[u8]) -> Self {
        Self::File(bytes.to_vec(), None)
    }

    /// A link.
    pub fn link(target: &str) -> Self {
        Self::Link(PathBuf::from(target))
    }

    pub(super) fn modified(&self) -> Option<UnixTime> {
        match self {
            Self::File(_, at) => *at,
            Self::Link(_) => None,
        }
    }
}

type Entries = BTreeMap<PathBuf, Entry>;

/// The entries below a folder.
fn below<'e>(entries: &'e Entries, folder: &'e Path) -> impl Iterator<Item = &'e Path> {
    entries
        .range::<Path, _>((std::ops::Bound::Excluded(folder), std::ops::Bound::Unbounded))
        .map_while(move |(path, _)| path.strip_prefix(folder).ok())
}

pub(super) fn step(entries: &Entries, path: &Path) -> io::Result<Step> {
    match entries.get(path) {
        Some(Entry::File(..)) => Ok(Step::Is(Kind::File)),
        Some(Entry::Link(target)) => Ok(Step::Link(target.clone())),
        None if below(entries, path).next().is_some() => Ok(Step::Is(Kind::Folder)),
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

pub(super) fn read(entries: &Entries, path: &Path) -> io::Result<Vec<u8>> {
    match entries.get(path) {
        Some(Entry::File(bytes, _)) => Ok(bytes.clone()),
        Some(Entry::Link(_)) => Err(io::ErrorKind::InvalidInput.into()),
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

pub(super) fn list(entries: &Entries, folder: &Path) -> Vec<OsString> {
    let names: BTreeSet<OsString> =
        below(entries, folder).filter_map(|p| Some(p.components().next()?.as_os_str().to_owned())).collect();
    names.into_iter().collect()
}

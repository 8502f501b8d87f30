//! A file that takes another one's place once it is whole: whoever reads meanwhile has the old one, and so has whoever asked
//! when something goes wrong.

use std::fs::{File, Metadata, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Such a file, while it is written.
pub(crate) struct Beside {
    pub(crate) file: File,
    /// Where it is written, and what it becomes; `None`: a pipe or a device, written to as it comes.
    moves: Option<(PathBuf, PathBuf)>,
}

impl Beside {
    /// In the place of what is there, with its owner and its mode.
    pub(crate) fn new(path: &Path) -> std::io::Result<Self> {
        let there = std::fs::metadata(path);
        if there.as_ref().is_ok_and(|m| !m.is_file()) {
            return Ok(Self { file: OpenOptions::new().write(true).open(path)?, moves: None });
        }
        Self::like(path, there.ok().as_ref())
    }

    /// With the owner and the mode of something else; `None`: those of a new file.
    pub(crate) fn like(path: &Path, about: Option<&Metadata>) -> std::io::Result<Self> {
        // What a link leads to is replaced, not the link.
        let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let new = target.with_file_name(format!(".{name}.{}.new", std::process::id()));
        let mode = if about.is_some() { 0o600 } else { 0o666 };
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        let beside = Self { file, moves: Some((new, target)) };
        if let Some(about) = about {
            // Only root may give a file away; whoever else writes it owned it, or may at least read it.
            let _ = std::os::unix::fs::fchown(&beside.file, Some(about.uid()), Some(about.gid()));
            beside.file.set_permissions(about.permissions())?;
        }
        Ok(beside)
    }

    /// It is whole.
    pub(crate) fn keep(mut self) -> std::io::Result<()> {
        let Some((new, target)) = self.moves.take() else { return Ok(()) };
        let moved = self.file.sync_all().and_then(|()| std::fs::rename(&new, &target));
        if moved.is_err() {
            let _ = std::fs::remove_file(new);
            return moved;
        }
        match target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some((new, _)) = &self.moves {
            let _ = std::fs::remove_file(new);
        }
    }
}

//! Where the bytes of assets lie while a scan runs: in memory first, then in a file that nobody sees.
//!
//! The file is unlinked as soon as it is open, so that it is gone with the process, however it ends. It
//! is a scratch pad, not a store: nothing is ever read from it by another run.

use std::borrow::Cow;
use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use notafter_core::inventory::{BytesAt, Depot};

/// How much stays in memory: about 16,000 certificates.
const MEMORY_MAX: usize = 16 << 20;
/// How much is written at once.
const CHUNK: usize = 1 << 20;

/// A depot that moves to disk when it grows.
#[derive(Default)]
pub struct Spool {
    /// Everything, or, once there is a file, what is not yet written to it.
    memory: Vec<u8>,
    file: Option<File>,
    written: u64,
    /// No file could be had: stay in memory.
    stuck: bool,
}

impl Spool {
    fn spill(&mut self) {
        if self.file.is_none() {
            self.file = scratch();
        }
        let stored = self.file.as_ref().is_some_and(|f| f.write_all_at(&self.memory, self.written).is_ok());
        if stored {
            self.written += self.memory.len() as u64;
            self.memory.clear();
            self.memory.shrink_to(CHUNK);
        } else {
            // A full or read-only disk: memory is dearer, losing what was seen is worse.
            self.stuck = true;
        }
    }
}

fn scratch() -> Option<File> {
    let folder = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    let path = folder.join(format!("notafter-{}.spool", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path).ok()?;
    let _ = std::fs::remove_file(&path);
    Some(file)
}

impl Depot for Spool {
    fn put(&mut self, bytes: &[u8]) -> BytesAt {
        let limit = if self.file.is_some() { CHUNK } else { MEMORY_MAX };
        if !self.stuck && self.memory.len() + bytes.len() > limit && !self.memory.is_empty() {
            self.spill();
        }
        let at = BytesAt { offset: self.written + self.memory.len() as u64, length: bytes.len() as u32 };
        self.memory.extend_from_slice(bytes);
        at
    }

    fn get(&self, at: BytesAt) -> Cow<'_, [u8]> {
        let length = at.length as usize;
        if at.offset >= self.written {
            let start = (at.offset - self.written) as usize;
            return Cow::Borrowed(self.memory.get(start..start + length).unwrap_or_default());
        }
        let mut bytes = vec![0; length];
        match &self.file {
            Some(file) if file.read_exact_at(&mut bytes, at.offset).is_ok() => Cow::Owned(bytes),
            _ => Cow::Borrowed(&[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_comes_back_before_and_after_spilling() {
        let mut spool = Spool::default();
        let blob = |n: u32| n.to_le_bytes().repeat(300);
        let kept: Vec<_> = (0..40_000).map(|n| spool.put(&blob(n))).collect();
        assert!(spool.file.is_some() && spool.memory.len() <= CHUNK);
        for (n, at) in kept.iter().enumerate().step_by(997) {
            assert_eq!(*spool.get(*at), *blob(n as u32), "{n}");
        }
        assert_eq!(*spool.get(*kept.last().unwrap()), *blob(39_999));
    }
}

//! The write-ahead log, brought back into the file beside the writer: on a thread and a connection of its own.
//!
//! SQLite would do it within the commit that finds the log long, and that commit would wait for the disk. Its own
//! way stays as the last bound, should this one not keep up.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

/// From this length on it is brought back.
const LONG: u64 = 128 << 20;

/// Who brings it back.
pub(super) struct Log {
    file: PathBuf,
    log: PathBuf,
    busy: Mutex<Option<JoinHandle<()>>>,
}

impl Log {
    pub(super) fn new(file: &Path) -> Self {
        Self { file: file.to_path_buf(), log: super::with_ending(file, "-wal"), busy: Mutex::new(None) }
    }

    /// After a commit: begins if the log is long and nobody is at it.
    pub(super) fn written(&self) {
        if std::fs::metadata(&self.log).is_ok_and(|log| log.len() < LONG) {
            return;
        }
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if busy.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        let file = self.file.clone();
        let begun = std::thread::Builder::new().name("checkpoint".to_owned()).spawn(move || {
            // What fails here is done by the next commit beyond the bound, and fails there with a word.
            if let Ok(connection) = super::connect(Some(&file), false) {
                let _ = super::script(&connection, "PRAGMA wal_checkpoint(PASSIVE)");
            }
        });
        *busy = begun.ok();
    }

    /// Waits for what is under way: who closes or moves the file must be alone with it.
    pub(super) fn rest(&self) {
        let under_way = self.busy.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = under_way {
            let _ = thread.join();
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.rest();
    }
}

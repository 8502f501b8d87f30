//! Reads a file that a setting or a target names: whole, bounded, and never one that would make us wait.
//!
//! Files that are found on a walk are opened in `files/open.rs`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use notafter_core::observation::Reason;
use rustix::fs::{Mode, OFlags};

/// The octets of a file, `size_max` at most.
///
/// # Errors
/// The reason and a sentence, as a blind spot has them.
pub(crate) async fn read(path: PathBuf, size_max: usize) -> Result<Vec<u8>, (Reason, String)> {
    let done = tokio::task::spawn_blocking(move || read_now(&path, size_max)).await;
    done.unwrap_or_else(|_| Err((Reason::Malformed, "reading it failed inside notafter".to_owned())))
}

fn read_now(path: &Path, size_max: usize) -> Result<Vec<u8>, (Reason, String)> {
    let why = |error: std::io::Error| {
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => Reason::NotFound,
            std::io::ErrorKind::PermissionDenied => Reason::PermissionDenied,
            _ => Reason::SpecialFile,
        };
        (reason, format!("it cannot be read: {error}"))
    };
    // Not blocking: opening a pipe would wait for its writer for ever.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|e| why(e.into()))?);
    if !file.metadata().map_err(why)?.is_file() {
        return Err((Reason::SpecialFile, "it is no plain file".to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(size_max as u64 + 1).read_to_end(&mut bytes).map_err(why)?;
    if bytes.len() > size_max {
        return Err((Reason::TooLarge, format!("it has more than {size_max} octets")));
    }
    Ok(bytes)
}

//! The floor of a crawl: walk the tree, two threads, open nothing.

use ignore::{WalkBuilder, WalkState};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Result;

/// Counts the files below a folder.
pub(crate) fn walk(folder: &str) -> Result<Value> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let files = AtomicU64::new(0);
    WalkBuilder::new(folder).standard_filters(false).threads(threads).build_parallel().run(|| {
        Box::new(|entry| {
            if entry.is_ok_and(|entry| entry.file_type().is_some_and(|kind| kind.is_file())) {
                files.fetch_add(1, Ordering::Relaxed);
            }
            WalkState::Continue
        })
    });
    Ok(json!({ "files": files.load(Ordering::Relaxed) }))
}

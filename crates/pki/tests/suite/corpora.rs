//! Where the corpora are, and every file in them.

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the corpora; `None`, and a line that says so, when they are not there.
pub(crate) fn root(test: &str) -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    let root = std::env::var_os("NOTAFTER_CORPORA").map_or(default, PathBuf::from);
    if root.is_dir() {
        return Some(root);
    }
    println!("NOT RUN: {test}: no corpora at {}", root.display());
    None
}

/// Every file below `root`, by name.
pub(crate) fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut stack = vec![root.to_owned()];
    while let Some(folder) = stack.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => stack.push(path),
                Ok(kind) if kind.is_file() => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// Passwords of published test files.
pub(crate) const PASSWORDS: &[&str] = &[
    "foo",
    "password",
    "1234",
    "cryptography",
    "foobar",
    "12345678",
    "Red Hat Enterprise Linux 7.4",
    "v3-certs",
    "cassandra",
];

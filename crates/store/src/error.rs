//! What can go wrong with the memory, told apart by what can be done about it.

use std::fmt;

/// A failure of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError {
    /// Which kind.
    pub trouble: Trouble,
    /// What was being done and what came back.
    pub context: String,
    /// What to do.
    pub hint: Option<String>,
}

/// The kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Somebody else holds the lock; later it will work.
    Busy,
    /// The disk is full or the quota is reached; later it may work.
    Full,
    /// It cannot be written here (read-only file system, rights).
    ReadOnly,
    /// What is kept is damaged: stop writing, restore a backup.
    Corrupt,
    /// It was written by a newer version.
    Newer,
    /// The database server does not answer; later it may work.
    Unreachable,
    /// Anything else.
    Other,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl std::error::Error for StoreError {}

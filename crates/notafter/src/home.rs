//! Is this the memory of this place, or a copy of another's? A copy looks and tells, and renews nothing.
//!
//! Two that renew the same certificates from copies of one memory order twice and install over each other: a backup that was
//! restored on a second host while the first one runs. So the memory notes where it lies (the machine and the number of its
//! file), and where that differs, everything that acts is paused until somebody says that this is the one. On PostgreSQL,
//! which several hosts may share, only a restore is noted. Watching is never paused.

use std::fs;
use std::os::unix::fs::MetadataExt;

use notafter_store::{Database, Store};

/// Under which name it is kept.
const NAME: &str = "home";
/// In the place of a mark: this memory came out of a backup.
const RESTORED: &str = "restored";

/// Where a database lies.
#[derive(Clone)]
pub(crate) struct Home(Option<String>);

impl Home {
    /// Where this one lies now.
    pub(crate) fn of(database: &Database) -> Self {
        let Database::File(path) = database else { return Self(None) };
        let Ok(meta) = fs::metadata(path) else { return Self(None) };
        // Containers often have none, and then the file alone has to do.
        let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        let machine = notafter_pki::fingerprint::sha256(machine.trim().as_bytes());
        Self(Some(format!("{}-{}", &notafter_pki::fingerprint::hex(&machine)[..12], meta.ino())))
    }

    /// May anything be issued and installed from here?
    ///
    /// # Errors
    /// Why not, and what to do.
    pub(crate) fn may(&self, store: &Store) -> Result<(), String> {
        let kept = store.kept(NAME).map_err(|e| e.to_string())?;
        let kept = kept.map(|kept| String::from_utf8_lossy(&kept.value).into_owned()).unwrap_or_default();
        let came = match (&self.0, kept.as_str()) {
            (Some(mark), "") => {
                return store.keep(NAME, mark.as_bytes(), Some(0)).map(drop).map_err(|e| e.to_string());
            }
            (_, RESTORED) => "was restored from a backup",
            (Some(mark), kept) if kept != mark => "is a copy of another one",
            _ => return Ok(()),
        };
        Err(format!(
            "renewing and installing are paused: this memory {came}, and the one it comes from may still renew the same \
             certificates; stop that one, then: notafter renew NAME --take-over"
        ))
    }

    /// From now on it is this one that renews.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn take_over(&self, store: &Store) -> Result<(), notafter_store::StoreError> {
        store.keep(NAME, self.0.as_deref().unwrap_or_default().as_bytes(), None).map(drop)
    }

    /// This memory came out of a backup just now.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn restored(store: &Store) -> Result<(), notafter_store::StoreError> {
        store.keep(NAME, RESTORED.as_bytes(), None).map(drop)
    }
}

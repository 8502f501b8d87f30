//! Small things by name: what a provider or a part of the server must remember across restarts.

use crate::db::{Conn, Result, args};
use crate::places::fit;
use crate::{Store, StoreError};

/// A value and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Kept {
    pub value: Vec<u8>,
    pub version: i64,
}

impl Store {
    /// What is kept under this name.
    ///
    /// # Errors
    /// The store's.
    pub fn kept(&self, name: &str) -> Result<Option<Kept>, StoreError> {
        self.db.read(|c| {
            let row = c.first("SELECT value, version FROM keep WHERE name = $1", args![&*fit(name)])?;
            row.map(|mut row| Ok(Kept { value: row.blob(0)?, version: row.int(1)? })).transpose()
        })
    }

    /// Keeps a value under a name. With `expected` only if the version is still that (0: not there yet); `false` when
    /// it is not.
    ///
    /// # Errors
    /// The store's.
    pub fn keep(&self, name: &str, value: &[u8], expected: Option<i64>) -> Result<bool, StoreError> {
        self.db.write(|c| put(c, name, value, expected))
    }

    /// Keeps several, whatever stood there; all of them or none.
    ///
    /// # Errors
    /// The store's.
    pub fn keep_all(&self, all: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        if all.is_empty() {
            return Ok(());
        }
        self.db.write(|c| all.iter().try_for_each(|(name, value)| put(c, name, value, None).map(|_| ())))
    }

    /// [`Self::keep`], and on the disk when it returns.
    ///
    /// # Errors
    /// The store's.
    pub fn keep_through(&self, name: &str, value: &[u8], expected: Option<i64>) -> Result<bool, StoreError> {
        self.db.write_through(|c| put(c, name, value, expected))
    }
}

fn put(c: &mut Conn<'_>, name: &str, value: &[u8], expected: Option<i64>) -> Result<bool> {
    let known = c.first("SELECT version FROM keep WHERE name = $1", args![&*fit(name)])?;
    let version = known.map(|row| row.int(0)).transpose()?.unwrap_or(0);
    if expected.is_some_and(|expected| expected != version) {
        return Ok(false);
    }
    c.execute(
        "INSERT INTO keep (name, value, version) VALUES ($1, $2, $3)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value, version = excluded.version",
        args![&*fit(name), value, version + 1],
    )?;
    Ok(true)
}

//! Small things by name: what a provider or a part of the server must remember across restarts.

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
        let _ = name;
        todo!()
    }

    /// Keeps a value under a name. With `expected` only if the version is still that (0: not there yet); `false` when
    /// it is not.
    ///
    /// # Errors
    /// The store's.
    pub fn keep(&self, name: &str, value: &[u8], expected: Option<i64>) -> Result<bool, StoreError> {
        let _ = (name, value, expected);
        todo!()
    }
}

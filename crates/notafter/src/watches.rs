//! What `notafter watch` put on the server's schedule: kept in the memory, beside the configuration file.

use notafter_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

/// Where the list is kept.
const NAME: &str = "watches";

/// Targets that somebody wants watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watch {
    /// As typed.
    pub(crate) targets: Vec<String>,
    /// Seconds between two looks.
    pub(crate) every: i64,
    /// `NOTIFIER` or `NOTIFIER:ADDRESS`; `None`: the owners of the configuration are told.
    pub(crate) notify: Option<String>,
}

impl Watch {
    /// What it is called on the Sources page.
    pub(crate) fn source_name(&self) -> String {
        match self.targets.as_slice() {
            [one] => format!("watch {one}"),
            [first, rest @ ..] => format!("watch {first} and {} more", rest.len()),
            [] => "watch".to_owned(),
        }
    }
}

/// The list, and the version under which it was read.
///
/// # Errors
/// The store's.
pub(crate) fn read(store: &Store) -> Result<(Vec<Watch>, i64), StoreError> {
    let Some(kept) = store.kept(NAME)? else { return Ok((Vec::new(), 0)) };
    Ok((serde_json::from_slice(&kept.value).unwrap_or_default(), kept.version))
}

/// Changes the list; again when somebody else did at the same time.
///
/// # Errors
/// The store's.
pub(crate) fn change(store: &Store, change: impl Fn(&mut Vec<Watch>)) -> Result<(), StoreError> {
    loop {
        let (mut list, version) = read(store)?;
        change(&mut list);
        let bytes = serde_json::to_vec(&list).unwrap_or_default();
        if store.keep(NAME, &bytes, Some(version))? {
            return Ok(());
        }
    }
}

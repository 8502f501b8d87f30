//! What `notafter watch` put on the server's schedule: kept in the memory, beside the configuration file.

use notafter_pki::fingerprint::{hex, sha256};
use notafter_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

/// Where the list is kept.
const NAME: &str = "watches";
/// So many letters of the targets are in a name.
const NAME_MAX: usize = 80;

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
    /// What it is called on the Sources page. The schedule goes by names, so other targets mean another name.
    pub(crate) fn source_name(&self) -> String {
        let all = self.targets.join(" ");
        let plain = all.chars().count() <= NAME_MAX && !self.targets.iter().any(|t| t.contains(' '));
        if plain {
            return format!("watch {all}");
        }
        let start: String = all.chars().take(NAME_MAX - 12).collect();
        // Line ends, because no target has one: what blanks join could be parted elsewhere.
        let hash = sha256(self.targets.join("\n").as_bytes());
        format!("watch {start}... {}", hex(&hash[..4]))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_targets_have_another_name() {
        let long = "a".repeat(200);
        let sets: [&[&str]; 8] = [
            &["a.test"],
            &["a.test", "b.test"],
            &["a.test", "c.test"],
            &["/a b"],
            &["/a", "b"],
            &[&long],
            &[&long, "b.test"],
            &[],
        ];
        let mut names = std::collections::BTreeSet::new();
        for targets in sets {
            let targets = targets.iter().map(|t| (*t).to_owned()).collect();
            let name = Watch { targets, every: 60, notify: None }.source_name();
            assert!(name.chars().count() <= NAME_MAX + 6, "{name}");
            assert!(names.insert(name.clone()), "{name}");
        }
        assert!(names.contains("watch a.test") && names.contains("watch a.test c.test"));
    }
}

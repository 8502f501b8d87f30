//! What `notafter watch` put on the server's schedule: kept in the memory, beside the configuration file.

use std::path::Path;

use notafter_discover::target::Target;
use notafter_pki::fingerprint::{hex, sha256};
use notafter_store::{Store, StoreError, Trouble};
use serde::{Deserialize, Serialize};

use crate::assemble::home;

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

/// Targets as the server can look at them, wherever it was started: a path from here is one from the root.
pub(crate) fn settled(targets: &[String]) -> Vec<String> {
    let exists = |path: &str| Path::new(path).exists();
    let settle = |target: &String| match Target::parse(target, exists) {
        Ok(Target::Path(path)) if !target.starts_with("file://") => {
            std::path::absolute(home(path)).ok().and_then(|path| path.to_str().map(str::to_owned))
        }
        _ => None,
    };
    targets.iter().map(|target| settle(target).unwrap_or_else(|| target.clone())).collect()
}

/// The list, and the version under which it was read.
///
/// # Errors
/// The store's.
pub(crate) fn read(store: &Store) -> Result<(Vec<Watch>, i64), StoreError> {
    let Some(kept) = store.kept(NAME)? else { return Ok((Vec::new(), 0)) };
    let list = serde_json::from_slice(&kept.value).map_err(|e| StoreError {
        trouble: Trouble::Other,
        context: format!("the list of what is watched cannot be read: {e}"),
        hint: Some("it was written by a later version: use that one".into()),
    })?;
    Ok((list, kept.version))
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

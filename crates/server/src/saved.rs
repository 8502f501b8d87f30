//! Views: questions to the inventory that somebody kept under a name. Shared by the pages and the API.
//!
//! One list for the house, changed against whoever does so at the same time; every change is written into the audit
//! trail.

use notafter_core::UnixTime;
use notafter_core::query::{Query, QueryError};
use notafter_pki::name::printable;
use notafter_store::alerts::AuditLine;
use notafter_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

/// Where they are kept.
const VIEWS: &str = "views";
/// So many are kept at most.
pub(crate) const VIEWS_MAX: usize = 40;
/// A name has so many characters at most.
pub(crate) const NAME_MAX: usize = 60;

/// A question that somebody kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedView {
    pub(crate) name: String,
    pub(crate) q: String,
}

/// Why nothing was changed.
#[derive(Debug)]
pub(crate) enum Refused {
    Store(StoreError),
    /// The question cannot be asked.
    Query(QueryError),
    /// A name or a question is missing.
    Empty,
    /// No view has this name.
    Unknown(String),
    /// Another view has this name.
    Taken(String),
    /// There are too many.
    Full,
    /// Somebody else changes them all the time.
    Busy,
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Refused {
    /// What happened, and what to do about it.
    pub(crate) fn words(&self) -> (String, &'static str) {
        match self {
            Self::Store(_) | Self::Query(_) => (String::new(), ""),
            Self::Empty => ("A view has a name and a question.".to_owned(), ""),
            Self::Unknown(name) => (format!("No view is called {}.", printable(name)), ""),
            Self::Taken(name) => {
                (format!("Another view is called {}.", printable(name)), "choose another name")
            }
            Self::Full => (format!("{VIEWS_MAX} views are kept at most."), "delete one first"),
            Self::Busy => ("Somebody else changes the views at the same time.".to_owned(), "try again"),
        }
    }
}

/// The views, by name.
pub(crate) fn list(store: &Store) -> Result<Vec<SavedView>, StoreError> {
    Ok(read(store)?.0)
}

fn read(store: &Store) -> Result<(Vec<SavedView>, i64), StoreError> {
    Ok(store.kept(VIEWS)?.map_or((Vec::new(), 0), |kept| {
        (serde_json::from_slice(&kept.value).unwrap_or_default(), kept.version)
    }))
}

/// Who changes them, and when.
#[derive(Clone, Copy)]
pub(crate) struct By<'a> {
    pub(crate) who: &'a str,
    pub(crate) at: UnixTime,
}

/// Keeps a question; the one of the same name gives way.
pub(crate) fn save(store: &Store, view: &SavedView, by: By<'_>) -> Result<(), Refused> {
    // As it will be shown, so that whoever reads the name can also write it.
    let view = SavedView { name: printable(&view.name), q: view.q.clone() };
    if view.name.is_empty() || view.q.is_empty() {
        return Err(Refused::Empty);
    }
    Query::parse(&view.q).map_err(Refused::Query)?;
    change(store, by, "view-saved", &view.name, &view.q, |views| {
        views.retain(|v| v.name != view.name);
        if views.len() >= VIEWS_MAX {
            return Err(Refused::Full);
        }
        views.push(view.clone());
        Ok(())
    })
}

/// Gives a view another name.
pub(crate) fn rename(store: &Store, name: &str, to: &str, by: By<'_>) -> Result<(), Refused> {
    let to = printable(to);
    if to.is_empty() {
        return Err(Refused::Empty);
    }
    change(store, by, "view-renamed", name, &format!("to {to}"), |views| {
        if name != to && views.iter().any(|v| v.name == to) {
            return Err(Refused::Taken(to.clone()));
        }
        let view = views.iter_mut().find(|v| v.name == name);
        view.ok_or_else(|| Refused::Unknown(name.to_owned()))?.name.clone_from(&to);
        Ok(())
    })
}

/// Forgets a view.
pub(crate) fn delete(store: &Store, name: &str, by: By<'_>) -> Result<(), Refused> {
    change(store, by, "view-deleted", name, "", |views| {
        let before = views.len();
        views.retain(|v| v.name != name);
        if views.len() == before { Err(Refused::Unknown(name.to_owned())) } else { Ok(()) }
    })
}

fn change(
    store: &Store,
    by: By<'_>,
    what: &str,
    name: &str,
    detail: &str,
    mut change: impl FnMut(&mut Vec<SavedView>) -> Result<(), Refused>,
) -> Result<(), Refused> {
    for _ in 0..5 {
        let (mut views, version) = read(store)?;
        change(&mut views)?;
        let json = serde_json::to_vec(&views).unwrap_or_default();
        if store.keep(VIEWS, &json, Some(version))? {
            store.audit(&AuditLine {
                at: by.at,
                who: by.who.to_owned(),
                what: what.to_owned(),
                subject: format!("view {name}"),
                detail: detail.to_owned(),
            })?;
            return Ok(());
        }
    }
    Err(Refused::Busy)
}

#[cfg(test)]
mod tests {
    use notafter_store::Database;

    use super::*;

    #[test]
    fn a_full_list_is_no_dead_end() {
        let now = UnixTime(1_795_219_200);
        let store = Store::open(&Database::Memory, now).unwrap();
        let by = By { who: "token", at: now };
        let view = |n: usize| SavedView { name: format!("v{n}"), q: "owner:none".into() };
        for n in 0..VIEWS_MAX {
            save(&store, &view(n), by).unwrap();
        }
        assert!(matches!(save(&store, &view(99), by), Err(Refused::Full)));
        save(&store, &view(3), by).unwrap();
        assert!(matches!(rename(&store, "v3", "v4", by), Err(Refused::Taken(_))));
        rename(&store, "v3", "three", by).unwrap();
        assert!(matches!(delete(&store, "v3", by), Err(Refused::Unknown(_))));
        delete(&store, "three", by).unwrap();
        save(&store, &view(99), by).unwrap();
        assert_eq!(list(&store).unwrap().len(), VIEWS_MAX);
        let told = store.audit_lines(None, None, 3).unwrap();
        let told: Vec<_> = told.iter().map(|(_, line)| (line.what.as_str(), line.subject.as_str())).collect();
        assert_eq!(
            told,
            [("view-saved", "view v99"), ("view-deleted", "view three"), ("view-renamed", "view v3")]
        );
        for (name, q) in [("", "a"), ("a", "")] {
            let view = SavedView { name: name.into(), q: q.into() };
            assert!(matches!(save(&store, &view, by), Err(Refused::Empty)));
        }
        let odd = SavedView { name: "a".into(), q: "expire<3".into() };
        assert!(matches!(save(&store, &odd, by), Err(Refused::Query(_))));
    }
}

//! Owners and sources that a query may name: what a person mistyped is said, and never found to be nothing.
//!
//! Asked only where a person typed: a service or a saved view may name what is not there yet.

use notafter_core::query::{Query, QueryError, Test, nearest};

use crate::db::args;
use crate::places::hash48;
use crate::{Store, StoreError};

/// So many names are listed where none is near.
const NAMES_MAX: usize = 10;

/// Names that the configuration knows.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) owners: Vec<String>,
    pub(crate) sources: Vec<String>,
}

impl Names {
    /// An owner as it is written, and as the configuration writes it: letters of either case are the same.
    pub(crate) fn owners_like<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'n str> {
        let folded = name.to_lowercase();
        let alike =
            self.owners.iter().map(String::as_str).filter(move |o| *o != name && o.to_lowercase() == folded);
        std::iter::once(name).chain(alike)
    }
}

impl Store {
    /// Says which owners and sources there are, besides those that were seen.
    pub fn set_names(&self, owners: Vec<String>, sources: Vec<String>) {
        *self.names.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = Names { owners, sources };
    }

    /// The first owner or source of a query that nobody knows, with the nearest one that is known.
    ///
    /// # Errors
    /// The store's.
    pub fn unknown_in(&self, query: &Query) -> Result<Option<QueryError>, StoreError> {
        for term in &query.terms {
            let found = match &term.test {
                Test::Owner(Some(name)) => self.unknown_owner(name)?,
                Test::Source(name) => self.unknown_source(name)?,
                _ => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn unknown_owner(&self, name: &str) -> Result<Option<QueryError>, StoreError> {
        let names = self.names.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        if names.owners.is_empty() || names.owners.iter().any(|o| o.to_lowercase() == name.to_lowercase()) {
            return Ok(None);
        }
        // One that is configured no more may have something still.
        let known = self.db.read(|c| {
            let rows = c.query(
                "SELECT w.text FROM word w WHERE w.hash = $1 AND EXISTS (SELECT 1 FROM asset a WHERE a.owner = w.id)",
                args![hash48(name.as_bytes())],
            )?;
            rows.into_iter().map(|mut row| row.text(0)).collect::<Result<Vec<_>, _>>()
        })?;
        if known.iter().any(|text| text == name) {
            return Ok(None);
        }
        Ok(Some(unknown("owner", name, &names.owners)))
    }

    fn unknown_source(&self, name: &str) -> Result<Option<QueryError>, StoreError> {
        let seen = self.db.read(|c| {
            let rows = c.query("SELECT name FROM source", &[])?;
            rows.into_iter().map(|mut row| row.text(0)).collect::<Result<Vec<_>, _>>()
        })?;
        let names = self.names.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut all: Vec<String> = names.sources.iter().cloned().chain(seen).collect();
        all.sort_unstable();
        all.dedup();
        let is = all.iter().any(|known| known.to_lowercase() == name.to_lowercase());
        Ok(if is { None } else { Some(unknown("source", name, &all)) })
    }
}

fn unknown(what: &str, name: &str, known: &[String]) -> QueryError {
    let folded = name.to_lowercase();
    let near = known.iter().find(|k| nearest(&folded, std::iter::once(k.to_lowercase().as_str())).is_some());
    let hint = match near {
        Some(near) => format!("did you mean {what}:{near}?"),
        None if known.is_empty() => format!("there is no {what} yet"),
        None => {
            let more = if known.len() > NAMES_MAX { ", ..." } else { "" };
            let names: Vec<_> = known.iter().take(NAMES_MAX).map(String::as_str).collect();
            format!("known are {}{more}", names.join(", "))
        }
    };
    QueryError { message: format!("no {what} is called `{}`", notafter_pki::name::printable(name)), hint }
}

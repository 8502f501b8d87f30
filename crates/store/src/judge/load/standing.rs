//! What judges an anchor: everything that stands on it, and whether a root above something lies in a file.
//!
//! Part of the loader; bounded like the rest of it.

use std::collections::BTreeSet;

use super::{DEPENDENTS_MAX, DEPTH_MAX, Loader, PLACEMENT, numbers};
use crate::db::{Result, args};

/// So many places of each that stands on an anchor, and of each root above an asset.
const SHOWN_MAX: usize = 8;

impl Loader<'_, '_> {
    /// What stands on a CA certificate that lies in a file: everything issued below it, down to leaves.
    pub(super) fn standing(&mut self, asset: i64, subject: i64) -> Result<()> {
        let (mut asked, mut level) = (BTreeSet::from([subject]), vec![subject]);
        let (mut leaves, mut between) = (BTreeSet::new(), BTreeSet::new());
        let mut room = DEPENDENTS_MAX;
        while let Some(name) = level.pop().filter(|_| room > 0) {
            let rows = self.c.query(
                "SELECT a.id, a.subject FROM asset a WHERE a.issuer IN
                   (SELECT o.id FROM dname d JOIN dname o ON o.alike = d.alike WHERE d.id = $1)
                 AND a.places > 0 AND a.id <> $2 LIMIT $3",
                args![name, asset, room],
            )?;
            room = room.saturating_sub(rows.len());
            for row in rows {
                match row.maybe_int(1)? {
                    Some(subject) => {
                        between.insert(row.int(0)?);
                        let deeper = asked.len() <= DEPTH_MAX && asked.insert(subject);
                        level.extend(deeper.then_some(subject));
                    }
                    None => {
                        leaves.insert(row.int(0)?);
                    }
                }
            }
        }
        // A CA between that works here stands on the anchor itself: by the file it lies in, and its key.
        self.know(between.iter().copied())?;
        let keys = between.iter().filter_map(|id| self.abouts.get(id)?.as_ref()?.key6);
        self.keys.extend(keys.collect::<Vec<_>>());
        let shown: BTreeSet<i64> = between.iter().copied().filter(|id| !self.placed.contains(id)).collect();
        self.assets(between)?;
        self.shown(&shown, "AND p.flags = 0")?;
        // All places of one that is judged itself are there already.
        leaves.retain(|id| !self.placed.contains(id));
        self.shown(&leaves, "")
    }

    /// Whether a root lies in a file decides how its end is told.
    pub(super) fn filed(&mut self, above: &BTreeSet<i64>) -> Result<()> {
        let filed = |id: &i64| {
            let about = self.abouts.get(id).and_then(Option::as_ref);
            !self.placed.contains(id) && about.is_some_and(|a| a.filed && a.issuer == a.subject)
        };
        let roots: BTreeSet<i64> = above.iter().copied().filter(filed).collect();
        self.shown(&roots, "AND p.flags = 0")
    }

    fn shown(&mut self, assets: &BTreeSet<i64>, which: &str) -> Result<()> {
        let sql = format!(
            "SELECT {PLACEMENT} FROM placement p WHERE p.asset = $1 AND p.gone IS NULL {which} LIMIT {SHOWN_MAX}"
        );
        for rows in self.c.query_many(&sql, &numbers(assets))? {
            self.take(rows)?;
        }
        Ok(())
    }
}

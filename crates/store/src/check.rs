//! Is what is kept whole? Asked by `doctor`, of either database: that the pages can be read says nothing about whether
//! the rows agree with each other.
//!
//! Everything is looked at in one snapshot beside the writer. Nothing is mended: what is found is said.

use notafter_core::Fingerprint;

use crate::db::{Conn, Result, args, corrupt};
use crate::queries::own::recount;
use crate::{Store, migrate, texts};

/// So many assets are unpacked and hashed: those at even distances, so that each part of the table has its turn.
const SAMPLE: i64 = 1000;

/// What must have something to point to: what is said of a row that has not, and how such rows are counted.
const LOST: &[(&str, &str)] = &[
    ("assets without their bytes", "asset a WHERE NOT EXISTS (SELECT 1 FROM der d WHERE d.asset = a.id)"),
    ("bytes without their asset", "der d WHERE NOT EXISTS (SELECT 1 FROM asset a WHERE a.id = d.asset)"),
    ("places of no asset", "placement p WHERE NOT EXISTS (SELECT 1 FROM asset a WHERE a.id = p.asset)"),
    (
        "places without a name",
        "placement p WHERE NOT EXISTS (SELECT 1 FROM location l WHERE l.id = p.location)",
    ),
    ("names of no asset", "name n WHERE NOT EXISTS (SELECT 1 FROM asset a WHERE a.id = n.asset)"),
    (
        "findings of no alert",
        "alert_member m WHERE NOT EXISTS (SELECT 1 FROM alert a WHERE a.number = m.alert)",
    ),
];

/// Counts against counters, rows against what they point to, certificates against their fingerprints, the schema
/// against what was applied.
pub(crate) fn whole(store: &Store) -> Result<()> {
    migrate::as_applied(&store.db)?;
    store.db.read(|c| {
        c.unhurried()?;
        for (what, rows) in LOST {
            let lost = c.one(&format!("SELECT count(*) FROM {rows}"), &[])?.int(0)?;
            if lost > 0 {
                return Err(corrupt(format!("{lost} {what}")));
            }
        }
        let wrong = recount(c)?;
        if let Some(first) = wrong.first() {
            let more = wrong.len() - 1;
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            return Err(corrupt(format!("the counts are not those of the rows: {first}{more}")));
        }
        sampled(store, c)
    })
}

fn sampled(store: &Store, c: &mut Conn<'_>) -> Result<()> {
    let row = c.one("SELECT min(id), max(id), count(*) FROM asset", &[])?;
    let (Some(first), Some(last), count) = (row.maybe_int(0)?, row.maybe_int(1)?, row.int(2)?) else {
        return Ok(());
    };
    // A round of steps that meets every asset where there are few.
    let step = if count <= SAMPLE { 1 } else { ((last - first) / SAMPLE).max(1) };
    let mut from = first;
    while from <= last {
        let next =
            c.first("SELECT id, fp8, fp24 FROM asset WHERE id >= $1 ORDER BY id LIMIT 1", args![from])?;
        let Some(mut row) = next else { break };
        let id = row.int(0)?;
        let known = texts::join(row.int(1)?, &row.blob(2)?)?;
        if Fingerprint::of(&store.shelf.bytes(c, id)?) != known {
            return Err(corrupt(format!("the bytes of asset {id} are not those of {known}")));
        }
        from = id + step;
    }
    Ok(())
}

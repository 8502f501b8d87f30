//! The schema, step by step: the same numbers for both databases, each step in a transaction of its own.
//!
//! Steps are only ever added. What was applied is written down with its checksum, so that a step that was changed
//! afterwards, or a schema newer than this program, is noticed before anything is written.

use notafter_core::UnixTime;

use crate::db::{Db, Dialect, Result, args, other};
use crate::{StoreError, Trouble};

/// Number, what SQLite runs, what PostgreSQL runs.
pub(crate) type Step = (i64, &'static str, &'static str);

pub(crate) const STEPS: &[Step] = &[(
    1,
    include_str!("../migrations/sqlite/0001_begin.sql"),
    include_str!("../migrations/postgres/0001_begin.sql"),
)];

/// Brings the schema up to date; the number of its newest step.
pub(crate) fn migrate(db: &Db, steps: &[Step], now: UnixTime) -> Result<i64> {
    let exists = db.read(|c| Ok(c.one(db.dialect().table_exists(), args!["migration"])?.int(0)? > 0))?;
    if !exists {
        db.write(|c| {
            c.script(
                "CREATE TABLE IF NOT EXISTS migration (number BIGINT PRIMARY KEY, checksum TEXT NOT NULL, applied BIGINT NOT NULL)",
            )
        })?;
    }
    let newest = steps.last().map_or(0, |(number, ..)| *number);
    let applied = applied(db)?;
    if let Some((number, _)) = applied.iter().find(|(number, _)| *number > newest) {
        return Err(StoreError {
            trouble: Trouble::Newer,
            context: format!("the memory was written by a newer Notafter: its schema is {number}, this one knows {newest}"),
            hint: Some("run the newer version, or restore a backup that this one wrote".into()),
        });
    }
    for (number, ..) in steps {
        let (text, sum) = text_of(db.dialect(), steps, *number)?;
        match applied.iter().find(|(known, _)| known == number) {
            Some((_, known)) if *known == sum => {}
            Some(_) => {
                return Err(other(format!(
                    "step {number} of the schema is not the one that was applied: this program was altered"
                )));
            }
            None => db.write(|c| {
                // Somebody else may have been faster.
                if c.first("SELECT number FROM migration WHERE number = $1", args![*number])?.is_some() {
                    return Ok(());
                }
                c.script(text)?;
                c.execute(
                    "INSERT INTO migration (number, checksum, applied) VALUES ($1, $2, $3)",
                    args![*number, &sum, now],
                )?;
                Ok(())
            })?,
        }
    }
    Ok(newest)
}

fn text_of(dialect: Dialect, steps: &[Step], number: i64) -> Result<(&'static str, String)> {
    let step = steps.iter().find(|(known, ..)| *known == number).ok_or_else(|| other("no such step"))?;
    let text = match dialect {
        Dialect::Sqlite => step.1,
        #[cfg(feature = "postgres")]
        Dialect::Postgres => step.2,
    };
    Ok((text, notafter_pki::fingerprint::hex(&notafter_pki::fingerprint::sha256(text.as_bytes()))))
}

fn applied(db: &Db) -> Result<Vec<(i64, String)>> {
    let rows = db.read(|c| c.query("SELECT number, checksum FROM migration ORDER BY number", &[]))?;
    rows.into_iter().map(|mut row| Ok((row.int(0)?, row.text(1)?))).collect()
}

//! The schema, step by step: the same numbers for both databases, each step in a transaction of its own.
//!
//! Steps are only ever added. What was applied is written down with its checksum, so that a step that was changed
//! afterwards, or a schema newer than this program, is noticed before anything is written.

use notafter_core::UnixTime;

use crate::db::{Db, Dialect, Result, args, corrupt, other};
use crate::{StoreError, Trouble};

/// Number, what SQLite runs, what PostgreSQL runs.
pub(crate) type Step = (i64, &'static str, &'static str);

/// A step by the name of its two files, which begins with its number.
macro_rules! step {
    ($number:literal, $name:literal) => {
        (
            $number,
            include_str!(concat!("../migrations/sqlite/", $name, ".sql")),
            include_str!(concat!("../migrations/postgres/", $name, ".sql")),
        )
    };
}

pub(crate) const STEPS: &[Step] = &[
    step!(1, "0001_begin"),
    step!(3, "0003_renewals"),
    step!(4, "0004_lapses"),
    step!(5, "0005_works"),
    step!(6, "0006_bundles"),
    step!(7, "0007_weight"),
    step!(8, "0008_asks"),
];

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
    not_newer(&applied, newest)?;
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
                c.unhurried()?;
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

/// Is every step of the schema applied, and as this program knows it?
pub(crate) fn as_applied(db: &Db) -> Result<()> {
    let applied = applied(db)?;
    for (number, ..) in STEPS {
        let (_, sum) = text_of(db.dialect(), STEPS, *number)?;
        if !applied.iter().any(|(known, text)| known == number && *text == sum) {
            return Err(corrupt(format!("step {number} of the schema is not the one that was applied")));
        }
    }
    Ok(())
}

fn not_newer(applied: &[(i64, String)], newest: i64) -> Result<()> {
    let Some((number, _)) = applied.iter().find(|(number, _)| *number > newest) else { return Ok(()) };
    Err(StoreError {
        trouble: Trouble::Newer,
        context: format!(
            "the memory was written by a newer Notafter: its schema is {number}, this one knows {newest}"
        ),
        hint: Some("run the newer version, or restore a backup that this one wrote".into()),
    })
}

/// Looks whether a backup is one that this program knows to read.
pub(crate) fn known(db: &Db) -> Result<()> {
    not_newer(&applied(db)?, STEPS.last().map_or(0, |(number, ..)| *number))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Database;

    const NOW: UnixTime = UnixTime(0);

    #[test]
    fn steps_are_noticed() {
        let db = Db::open(&Database::Memory).unwrap();
        let newest = STEPS.last().unwrap().0;
        assert_eq!(migrate(&db, STEPS, NOW).unwrap(), newest);
        assert_eq!(migrate(&db, STEPS, NOW).unwrap(), newest);
        let with = |more: &[Step]| [STEPS, more].concat();
        // A later one is added; one that fails leaves nothing behind.
        let add = (newest + 1, "CREATE TABLE more (id BIGINT)", "");
        let broken = (newest + 2, "CREATE TABLE half (id BIGINT); CREATE TABLE more (id BIGINT)", "");
        let error = migrate(&db, &with(&[add, broken]), NOW).unwrap_err();
        assert!(error.to_string().contains("more"), "{error}");
        assert!(db.read(|c| c.query("SELECT id FROM more", &[])).is_ok());
        assert!(db.read(|c| c.query("SELECT id FROM half", &[])).is_err());
        assert_eq!(migrate(&db, &with(&[add]), NOW).unwrap(), newest + 1);
        // The old program on the new schema, and a program that was changed.
        let newer = migrate(&db, STEPS, NOW).unwrap_err();
        assert_eq!(newer.trouble, Trouble::Newer);
        let altered = (newest + 1, "CREATE TABLE other (id BIGINT)", "");
        assert!(migrate(&db, &with(&[altered]), NOW).unwrap_err().to_string().contains("altered"));
    }
}

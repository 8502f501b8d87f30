//! Renewals of our own, and who works on them.
//!
//! A row is changed only by whoever holds it, and only if it is still as it was read: two servers on one PostgreSQL, or a
//! server and a command beside it, never both renew. What is written here before an effect outside is the journal: after
//! a crash the next holder finds what was begun. Its lines for people, and the proofs, stand in the audit trail, which
//! is chained by hashes. All of it is on the disk before its writer goes on.

use std::collections::HashSet;

use notafter_core::UnixTime;
use notafter_core::proof::Proof;
use notafter_core::renew::Renewal;

use crate::alerts::{AuditLine, audit};
use crate::db::{Conn, Result, Row, args, other};
use crate::places::fit;
use crate::{Store, StoreError};

/// A renewal as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// The renewal.
    pub renewal: Renewal,
    /// Changes with every write.
    pub version: i64,
    /// Who works on it, and until when nobody else may.
    pub holder: Option<(String, UnixTime)>,
    /// Last written.
    pub changed: UnixTime,
}

/// What is noted together with a change: the line for people and what was proved.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Note<'a> {
    pub what: &'a str,
    pub detail: String,
    pub proofs: Vec<Proof>,
}

/// The subject of a certificate's lines in the audit trail.
pub fn subject(name: &str) -> String {
    format!("certificate:{name}")
}

const COLUMNS: &str = "body, version, holder, held_until, changed";

impl Store {
    /// The newest renewal of every certificate.
    ///
    /// # Errors
    /// The store's.
    pub fn works(&self) -> Result<Vec<Work>, StoreError> {
        self.db.read(|c| {
            let rows = c.query(
                &format!(
                    "SELECT {COLUMNS} FROM work w
                     WHERE generation = (SELECT max(generation) FROM work o WHERE o.name = w.name) ORDER BY name"
                ),
                &[],
            )?;
            rows.into_iter().map(read).collect()
        })
    }

    /// The names of those that are not over.
    ///
    /// # Errors
    /// The store's.
    pub fn open_works(&self) -> Result<HashSet<String>, StoreError> {
        self.db.read(|c| {
            let rows = c.query("SELECT name FROM work WHERE state NOT IN ('proved', 'abandoned')", &[])?;
            rows.into_iter().map(|mut row| row.text(0)).collect()
        })
    }

    /// The renewals of one certificate, the newest first.
    ///
    /// # Errors
    /// The store's.
    pub fn works_of(&self, name: &str, limit: usize) -> Result<Vec<Work>, StoreError> {
        self.db.read(|c| {
            let rows = c.query(
                &format!("SELECT {COLUMNS} FROM work WHERE name = $1 ORDER BY generation DESC LIMIT $2"),
                args![&*fit(name), limit],
            )?;
            rows.into_iter().map(read).collect()
        })
    }

    /// Takes hold of a renewal until an instant; what it is like now. `None`: somebody else has it.
    ///
    /// # Errors
    /// The store's.
    pub fn hold_work(
        &self,
        name: &str,
        generation: u64,
        holder: &str,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<Option<Work>, StoreError> {
        self.db.write_through(|c| {
            let held = c.execute(
                "UPDATE work SET holder = $3, held_until = $4, version = version + 1
                 WHERE name = $1 AND generation = $2 AND (holder IS NULL OR holder = $3 OR held_until <= $5)",
                args![&*fit(name), number(generation)?, holder, until, now],
            )?;
            if held == 0 { Ok(None) } else { one(c, name, generation) }
        })
    }

    /// Takes it from a holder that is no more, in the same way.
    ///
    /// # Errors
    /// The store's.
    pub fn inherit_work(
        &self,
        name: &str,
        generation: u64,
        (from, holder): (&str, &str),
        until: UnixTime,
    ) -> Result<Option<Work>, StoreError> {
        self.db.write_through(|c| {
            let held = c.execute(
                "UPDATE work SET holder = $4, held_until = $5, version = version + 1
                 WHERE name = $1 AND generation = $2 AND holder = $3",
                args![&*fit(name), number(generation)?, from, holder, until],
            )?;
            if held == 0 { Ok(None) } else { one(c, name, generation) }
        })
    }

    /// Is it still held by this one, and as it was read?
    ///
    /// # Errors
    /// The store's.
    pub fn holds_work(
        &self,
        name: &str,
        generation: u64,
        holder: &str,
        version: i64,
    ) -> Result<bool, StoreError> {
        self.db.read(|c| {
            let row = c.first(
                "SELECT 1 FROM work WHERE name = $1 AND generation = $2 AND holder = $3 AND version = $4",
                args![&*fit(name), number(generation)?, holder, version],
            )?;
            Ok(row.is_some())
        })
    }

    /// Lets go of it.
    ///
    /// # Errors
    /// The store's.
    pub fn let_go_of_work(&self, name: &str, generation: u64, holder: &str) -> Result<(), StoreError> {
        self.db.write_through(|c| {
            c.execute(
                "UPDATE work SET holder = NULL, held_until = NULL, version = version + 1
                 WHERE name = $1 AND generation = $2 AND holder = $3",
                args![&*fit(name), number(generation)?, holder],
            )?;
            Ok(())
        })
    }

    /// Begins one. `false`: there is one of this generation, or an older one that is not over.
    ///
    /// # Errors
    /// The store's.
    pub fn begin_work(&self, renewal: &Renewal, note: &Note<'_>, now: UnixTime) -> Result<bool, StoreError> {
        self.db.write_through(|c| {
            let open = c.first(
                "SELECT generation FROM work WHERE name = $1
                   AND (generation >= $2 OR state NOT IN ('proved', 'abandoned')) LIMIT 1",
                args![&*fit(&renewal.name), number(renewal.generation)?],
            )?;
            if open.is_some() {
                return Ok(false);
            }
            c.execute(
                "INSERT INTO work (name, generation, state, next, version, changed, body)
                 VALUES ($1, $2, $3, $4, 1, $5, $6)",
                args![
                    &*fit(&renewal.name),
                    number(renewal.generation)?,
                    renewal.state.as_str(),
                    renewal.next,
                    now,
                    &text(renewal)?
                ],
            )?;
            noted(c, &renewal.name, note, now)?;
            Ok(true)
        })
    }

    /// Writes it down as it is now, and holds it on. The new version; `None`: it is not as it was read any more, or somebody
    /// else has it: what was meant to be done must not be done.
    ///
    /// # Errors
    /// The store's.
    pub fn put_work(
        &self,
        renewal: &Renewal,
        version: i64,
        holder: (&str, UnixTime),
        note: &Note<'_>,
        now: UnixTime,
    ) -> Result<Option<i64>, StoreError> {
        self.db.write_through(|c| {
            let changed = c.execute(
                "UPDATE work SET state = $4, next = $5, version = version + 1, changed = $6, body = $7, held_until = $9
                 WHERE name = $1 AND generation = $2 AND version = $3 AND holder = $8",
                args![
                    &*fit(&renewal.name),
                    number(renewal.generation)?,
                    version,
                    renewal.state.as_str(),
                    renewal.next,
                    now,
                    &text(renewal)?,
                    holder.0,
                    holder.1
                ],
            )?;
            if changed == 0 {
                return Ok(None);
            }
            noted(c, &renewal.name, note, now)?;
            Ok(Some(version + 1))
        })
    }
}

fn number(generation: u64) -> Result<i64> {
    i64::try_from(generation).map_err(|_| other("a generation out of range"))
}

fn text(renewal: &Renewal) -> Result<String> {
    serde_json::to_string(renewal).map_err(|e| other(format!("a renewal cannot be written down: {e}")))
}

fn one(c: &mut Conn<'_>, name: &str, generation: u64) -> Result<Option<Work>> {
    let row = c.first(
        &format!("SELECT {COLUMNS} FROM work WHERE name = $1 AND generation = $2"),
        args![&*fit(name), number(generation)?],
    )?;
    row.map(read).transpose()
}

fn read(mut row: Row) -> Result<Work> {
    let body = row.text(0)?;
    let renewal = serde_json::from_str(&body).map_err(|e| other(format!("a renewal cannot be read: {e}")))?;
    let holder = match (row.maybe_text(2)?, row.maybe_int(3)?) {
        (Some(holder), Some(until)) => Some((holder, UnixTime(until))),
        _ => None,
    };
    Ok(Work { renewal, version: row.int(1)?, holder, changed: UnixTime(row.int(4)?) })
}

fn noted(c: &mut Conn<'_>, name: &str, note: &Note<'_>, now: UnixTime) -> Result<()> {
    let line = |what: &str, detail: String| AuditLine {
        at: now,
        who: "notafter".into(),
        what: what.into(),
        subject: subject(name),
        detail,
    };
    if !note.what.is_empty() {
        audit(c, &line(note.what, note.detail.clone()))?;
    }
    for proof in &note.proofs {
        let body = serde_json::to_string(proof).map_err(|e| other(format!("a proof: {e}")))?;
        audit(c, &line("proved", body))?;
    }
    Ok(())
}

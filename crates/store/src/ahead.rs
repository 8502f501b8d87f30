//! What the forecast asks: which verdicts time will change, who shares a finding, and every leaf in use.
//!
//! Read page by page, so that the memory of a million is never held at once. Nothing is written and nothing judged.

use std::collections::{BTreeSet, HashMap, HashSet};

use notafter_core::inventory::AssetKind;
use notafter_core::location::Location;
use notafter_core::subject::SubjectKey;
use notafter_core::upkeep::Upkeep;
use notafter_core::{Fingerprint, UnixTime};

use crate::db::{Conn, Result, Value, args};
use crate::judge::Due;
use crate::observations::intern::find_place;
use crate::places::key16;
use crate::read::{CA, NEVER, SUPERSEDED};
use crate::{Store, StoreError, texts};

/// Where a reading of what is due goes on.
#[derive(Clone, Debug, Default)]
pub struct From {
    asset: Option<i64>,
    key: Option<Vec<u8>>,
    /// Assets are through.
    others: bool,
    /// All is.
    end: bool,
}

impl From {
    /// Is there nothing more?
    pub fn is_end(&self) -> bool {
        self.end
    }
}

/// What a message says of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct About {
    pub title: String,
    pub issuer_name: Option<String>,
    pub not_before: Option<UnixTime>,
    pub is_ca: bool,
}

/// A leaf in use.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct LeafRow {
    pub id: Fingerprint,
    pub not_before: UnixTime,
    pub not_after: UnixTime,
    /// Numbers of the owner and the issuer's name: see [`Store::words`] for the former.
    pub owner: Option<i64>,
    pub issuer: Option<i64>,
    /// Equal for the same names.
    pub names_key: Option<i64>,
    /// Its line, if it has predecessors.
    pub line: Option<i64>,
    /// Its first DNS name, else what it is called.
    pub title: String,
}

impl Store {
    /// Subjects whose verdict time changes until an instant, or that are due by now: the next so many.
    ///
    /// # Errors
    /// The store's.
    pub fn due_until(&self, from: &mut From, until: UnixTime, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.db.read(|c| {
            let mut out = Vec::new();
            if !from.others {
                let rows = c.query(
                    "SELECT id, judge_at, fp8, fp24 FROM asset WHERE judge_at <= $1 AND id > $2 ORDER BY id LIMIT $3",
                    args![until, from.asset.unwrap_or(i64::MIN), limit],
                )?;
                from.others = rows.len() < limit;
                for mut row in rows {
                    from.asset = Some(row.int(0)?);
                    let subject = SubjectKey::Asset(texts::join(row.int(2)?, &row.blob(3)?)?);
                    out.push(Due { subject, token: row.int(1)? });
                }
                return Ok(out);
            }
            let rows = c.query(
                "SELECT key, judge_at, subject FROM subject_due WHERE judge_at <= $1 AND key > $2 ORDER BY key LIMIT $3",
                args![until, from.key.as_deref().unwrap_or_default(), limit],
            )?;
            from.end = rows.len() < limit;
            for mut row in rows {
                from.key = Some(row.blob(0)?);
                if let Some(subject) = SubjectKey::parse(&row.text(2)?) {
                    out.push(Due { subject, token: row.int(1)? });
                }
            }
            Ok(out)
        })
    }

    /// The findings that each of these subjects gives at present.
    ///
    /// # Errors
    /// The store's.
    pub fn findings_given(&self, subjects: &[SubjectKey]) -> Result<Vec<Vec<String>>, StoreError> {
        let keys: Vec<Vec<u8>> = subjects.iter().map(|s| key16(&s.to_string())).collect();
        let asked: Vec<Vec<Value<'_>>> = keys.iter().map(|key| vec![key.into()]).collect();
        self.db.read(|c| {
            let found = c.query_many("SELECT finding FROM finding_part WHERE key = $1", &asked)?;
            found.into_iter().map(|rows| rows.into_iter().map(|mut row| row.text(0)).collect()).collect()
        })
    }

    /// Findings that several subjects give, with who does.
    ///
    /// # Errors
    /// The store's.
    pub fn shared_findings(&self) -> Result<Vec<(String, SubjectKey)>, StoreError> {
        self.db.read(|c| {
            let rows = c.query(
                "SELECT finding, subject FROM finding_part
                 WHERE finding IN (SELECT finding FROM finding_part GROUP BY finding HAVING count(*) > 1)",
                &[],
            )?;
            let mut out = Vec::with_capacity(rows.len());
            for mut row in rows {
                let finding = row.text(0)?;
                out.extend(SubjectKey::parse(&row.text(1)?).map(|subject| (finding, subject)));
            }
            Ok(out)
        })
    }

    /// What messages say of these assets.
    ///
    /// # Errors
    /// The store's.
    pub fn abouts(&self, ids: &[Fingerprint]) -> Result<HashMap<Fingerprint, About>, StoreError> {
        let asked = by_fingerprint(ids);
        self.db.read(|c| {
            let sql = "SELECT a.title, d.name, a.not_before, a.flags FROM asset a
               LEFT JOIN dname d ON d.id = a.issuer WHERE a.fp8 = $1 AND a.fp24 = $2";
            let found = c.query_many(sql, &asked)?;
            let mut out = HashMap::new();
            for (id, rows) in ids.iter().zip(found) {
                let Some(mut row) = rows.into_iter().next() else { continue };
                let about = About {
                    title: row.text(0)?,
                    issuer_name: row.maybe_text(1)?,
                    not_before: row.maybe_int(2)?.map(UnixTime),
                    is_ca: row.int(3)? & CA != 0,
                };
                out.insert(*id, about);
            }
            Ok(out)
        })
    }

    /// From when until when each certificate of these assets' lines lives or lived, the last few; nothing for one that
    /// stands alone.
    ///
    /// # Errors
    /// The store's.
    #[allow(clippy::type_complexity)]
    pub fn lives_of_lines(
        &self,
        ids: &[Fingerprint],
    ) -> Result<HashMap<Fingerprint, Vec<(UnixTime, UnixTime)>>, StoreError> {
        self.db.read(|c| lives(c, ids))
    }

    /// Every certificate in use that is no CA's and not superseded, a page at a time; `true`: go on.
    ///
    /// # Errors
    /// The store's.
    pub fn each_leaf(&self, each: &mut dyn FnMut(LeafRow) -> bool) -> Result<(), StoreError> {
        const PAGE: usize = 2000;
        let kind = texts::kind_number(AssetKind::Certificate);
        let sql = format!(
            "SELECT id, fp8, fp24, not_before, not_after, owner, issuer, names6, title, lineage FROM asset
             WHERE id > $1 AND places > 0 AND kind = {kind} AND (flags & {}) = 0 ORDER BY id LIMIT {PAGE}",
            CA | SUPERSEDED
        );
        let mut after = i64::MIN;
        loop {
            let (rows, end) = self.db.read(|c| {
                let rows = c.query(&sql, args![after])?;
                let end = rows.len() < PAGE;
                let mut out = Vec::with_capacity(rows.len());
                for mut row in rows {
                    after = row.int(0)?;
                    let (Some(begin), end) = (row.maybe_int(3)?, row.int(4)?) else { continue };
                    if end == NEVER {
                        continue;
                    }
                    out.push(LeafRow {
                        id: texts::join(row.int(1)?, &row.blob(2)?)?,
                        not_before: UnixTime(begin),
                        not_after: UnixTime(end),
                        owner: row.maybe_int(5)?,
                        issuer: row.maybe_int(6)?,
                        names_key: row.maybe_int(7)?,
                        title: row.text(8)?,
                        line: row.maybe_int(9)?,
                    });
                }
                Ok((out, end))
            })?;
            for row in rows {
                if !each(row) {
                    return Ok(());
                }
            }
            if end {
                return Ok(());
            }
        }
    }

    /// Words by their numbers: owners.
    ///
    /// # Errors
    /// The store's.
    pub fn words(&self, numbers: &[i64]) -> Result<Vec<Option<String>>, StoreError> {
        let asked: Vec<Vec<Value<'_>>> = numbers.iter().map(|n| vec![Value::Int(*n)]).collect();
        self.db.read(|c| {
            let found = c.query_many("SELECT text FROM word WHERE id = $1", &asked)?;
            found.into_iter().map(|rows| rows.into_iter().next().map(|mut r| r.text(0)).transpose()).collect()
        })
    }

    /// Lines of so many certificates at least: something renews them again and again.
    ///
    /// # Errors
    /// The store's.
    pub fn long_lines(&self, least: u64) -> Result<HashSet<i64>, StoreError> {
        self.db.read(|c| {
            let sql =
                "SELECT lineage FROM asset WHERE lineage IS NOT NULL GROUP BY lineage HAVING count(*) >= $1";
            let least = i64::try_from(least).unwrap_or(i64::MAX);
            c.query(sql, args![least])?.into_iter().map(|row| row.int(0)).collect()
        })
    }

    /// The leaves that lie in files of renewers, each with what its renewer says.
    ///
    /// # Errors
    /// The store's.
    pub fn managed_leaves(&self) -> Result<Vec<(Fingerprint, Upkeep)>, StoreError> {
        self.db.read(|c| {
            let rows = c.query("SELECT DISTINCT state FROM renewal WHERE gone IS NULL", &[])?;
            let states = rows.into_iter().map(|row| row.int(0)).collect::<Result<BTreeSet<_>, _>>()?;
            let mut out = Vec::new();
            for (renewal, ..) in crate::queries::fetch::renewals(c, states)? {
                let mut leaves = BTreeSet::new();
                for file in &renewal.certificates {
                    let first = Location::parse(&format!("{}#1", file.container()));
                    for location in [Some(file.clone()), first].into_iter().flatten() {
                        let Some(place) = find_place(c, &location)? else { continue };
                        let sql = "SELECT a.fp8, a.fp24 FROM placement p JOIN asset a ON a.id = p.asset
                           WHERE p.location = $1 AND p.gone IS NULL AND p.role = 0";
                        for mut row in c.query(sql, args![place])? {
                            leaves.insert(texts::join(row.int(0)?, &row.blob(1)?)?);
                        }
                    }
                }
                out.extend(leaves.into_iter().map(|leaf| (leaf, renewal.clone())));
            }
            Ok(out)
        })
    }
}

/// What a question about each of these assets is asked with.
fn by_fingerprint(ids: &[Fingerprint]) -> Vec<Vec<Value<'_>>> {
    let halves = ids.iter().map(texts::split);
    halves.map(|(fp8, fp24)| vec![fp8.into(), fp24.into()]).collect()
}

/// [`Store::lives_of_lines`] within a transaction.
#[allow(clippy::type_complexity)]
pub(crate) fn lives(
    c: &mut Conn<'_>,
    ids: &[Fingerprint],
) -> Result<HashMap<Fingerprint, Vec<(UnixTime, UnixTime)>>> {
    let asked = by_fingerprint(ids);
    let sql = "SELECT p.not_before, p.not_after FROM asset a JOIN asset p ON p.lineage = a.lineage
       WHERE a.fp8 = $1 AND a.fp24 = $2 AND p.not_before <= a.not_before ORDER BY p.not_before DESC LIMIT 7";
    let found = c.query_many(sql, &asked)?;
    let mut out = HashMap::new();
    for (id, rows) in ids.iter().zip(found) {
        let mut lives = Vec::new();
        for row in rows {
            if let Some(begin) = row.maybe_int(0)? {
                lives.push((UnixTime(begin), UnixTime(row.int(1)?)));
            }
        }
        if lives.len() > 1 {
            out.insert(*id, lives);
        }
    }
    Ok(out)
}

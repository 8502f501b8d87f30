//! Findings as they stand, for those who tell and those who show.

use std::collections::BTreeSet;

use notafter_core::UnixTime;
use notafter_core::alert::decide::fades;
use notafter_core::finding::{Kind, REPLACED, Severity};

use crate::db::{Conn, Result, Row, Value, args};
use crate::places::hash48;
use crate::read::{CA, NEVER};
use crate::rows::FindingRow;
use crate::texts::{self, FindingJson, severity_number};
use crate::{Store, StoreError};

/// Which findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindingFilter {
    /// Only these kinds; empty: all.
    pub kinds: Vec<Kind>,
    /// At least so bad.
    pub severity: Option<Severity>,
    /// Of this owner; `Some(None)`: of nobody.
    pub owner: Option<Option<String>>,
    /// About this asset (`sha256:...`).
    pub asset: Option<String>,
    /// At this place.
    pub location: Option<String>,
    /// Opened since.
    pub since: Option<UnixTime>,
    /// Resolved ones instead of open ones.
    pub resolved: bool,
    /// Go on after this finding (keyset).
    pub after: Option<String>,
    /// So many.
    pub limit: usize,
}

impl Store {
    /// Findings, worst first; of those that are equally bad, what breaks most, then what ends first.
    ///
    /// # Errors
    /// The store's.
    pub fn findings(&self, filter: &FindingFilter) -> Result<Vec<FindingRow>, StoreError> {
        self.db.read(|c| findings(c, filter))
    }

    /// One finding, open or resolved, by its id.
    ///
    /// # Errors
    /// The store's.
    pub fn finding(&self, id: &str) -> Result<Option<FindingRow>, StoreError> {
        self.db.read(|c| {
            let row = c.first(&format!("{FINDING} WHERE f.id = $1"), args![id])?;
            row.map(finding_row).transpose()
        })
    }

    /// Every open finding that somebody is told about (warning and worse): in bounded memory, in any order.
    ///
    /// # Errors
    /// The store's.
    pub fn each_tellable(&self, each: &mut dyn FnMut(FindingRow)) -> Result<(), StoreError> {
        // Page by page, so that whoever is told may write meanwhile.
        let mut after = (i64::MIN, i64::MIN, i64::MIN, String::new());
        loop {
            let rows = self.db.read(|c| {
                c.query(
                    &format!(
                        "{FINDING} WHERE f.resolved IS NULL AND f.severity <= 1
                         AND (f.severity, f.weight, f.deadline, f.id) > ($1, $2, $3, $4)
                         ORDER BY f.severity, f.weight, f.deadline, f.id LIMIT 500"
                    ),
                    args![after.0, after.1, after.2, &after.3],
                )
            })?;
            let end = rows.len() < 500;
            for row in rows {
                let (severity, deadline, weight) = (row.int(7)?, row.int(8)?, row.int(10)?);
                let finding = finding_row(row)?;
                after = (severity, weight, deadline, finding.id.clone());
                each(finding);
            }
            if end {
                return Ok(());
            }
        }
    }

    /// Those of these findings, by id, of which only a line is left: an open finding of info that says that the same end is
    /// still there, and not what was seen to take its place. Asked in portions.
    ///
    /// # Errors
    /// The store's.
    pub fn faded(&self, ids: &[&str]) -> Result<BTreeSet<String>, StoreError> {
        let mut out = BTreeSet::new();
        for part in ids.chunks(200) {
            let list: Vec<_> = (1..=part.len()).map(|n| format!("${n}")).collect();
            let values: Vec<Value<'_>> = part.iter().map(|id| (*id).into()).collect();
            let sql = format!(
                "SELECT m.id, m.kind, o.id, o.kind, o.body FROM finding m JOIN finding o ON o.asset = m.asset
                 WHERE m.id IN ({}) AND o.resolved IS NULL AND o.severity > 1 AND o.deadline <> {NEVER}",
                list.join(", ")
            );
            for mut row in self.db.read(|c| c.query(&sql, &values))? {
                let (told, line) = (row.text(0)?, row.text(2)?);
                let body = FindingJson::read(&row.text(4)?)?;
                let asset = body.asset.as_deref().and_then(|a| a.parse().ok());
                let kinds = (texts::finding_kind(&row.text(1)?)?, texts::finding_kind(&row.text(3)?)?);
                let replaced = body.evidence.iter().any(|(name, _)| name == REPLACED);
                if !replaced && fades((&told, kinds.0, asset), (&line, kinds.1, asset)) {
                    out.insert(told);
                }
            }
        }
        Ok(out)
    }

    /// How many are open, by kind, severity and owner.
    ///
    /// # Errors
    /// The store's.
    #[allow(clippy::type_complexity)]
    pub fn finding_counts(&self) -> Result<Vec<(Kind, Severity, Option<String>, u64)>, StoreError> {
        self.db.read(|c| {
            let rows = c.query(
                "SELECT kind, severity, owner, count(*) FROM finding WHERE resolved IS NULL
                 GROUP BY kind, severity, owner ORDER BY severity, kind, owner",
                &[],
            )?;
            let mut out = Vec::with_capacity(rows.len());
            for mut row in rows {
                let kind = texts::finding_kind(&row.text(0)?)?;
                out.push((kind, texts::severity(row.int(1)?)?, row.maybe_text(2)?, row.count(3)?));
            }
            Ok(out)
        })
    }
}

/// A finding with what a row of it shows of its asset.
const FINDING: &str = "SELECT f.id, f.body, f.opened, f.resolved, a.title, a.not_before, a.flags, f.severity, f.deadline, d.name, f.weight
  FROM finding f LEFT JOIN asset a ON a.id = f.asset LEFT JOIN dname d ON d.id = a.issuer";

fn findings(c: &mut Conn<'_>, filter: &FindingFilter) -> Result<Vec<FindingRow>> {
    let mut sql = format!("{FINDING} WHERE ");
    let location = filter.location.as_ref().map(|l| hash48(l.as_bytes()));
    let asset = match &filter.asset {
        Some(id) => {
            let number =
                id.parse().ok().map(|id| crate::queries::asset_number(c, &id)).transpose()?.flatten();
            // An asset that is not known has none.
            Some(number.unwrap_or(-1))
        }
        None => None,
    };
    let last = match &filter.after {
        Some(id) => c
            .first("SELECT severity, deadline, resolved, weight FROM finding WHERE id = $1", args![id])?
            .map(|row| {
                Ok::<_, StoreError>((row.int(0)?, row.int(1)?, row.maybe_int(2)?, row.int(3)?, id.as_str()))
            })
            .transpose()?,
        None => None,
    };
    let mut values: Vec<Value<'_>> = Vec::new();
    sql.push_str(if filter.resolved { "f.resolved IS NOT NULL" } else { "f.resolved IS NULL" });
    if !filter.kinds.is_empty() {
        let mut list = Vec::new();
        for kind in &filter.kinds {
            values.push(kind.as_str().into());
            list.push(format!("${}", values.len()));
        }
        sql.push_str(&format!(" AND f.kind IN ({})", list.join(", ")));
    }
    if let Some(severity) = filter.severity {
        values.push(severity_number(severity).into());
        sql.push_str(&format!(" AND f.severity <= ${}", values.len()));
    }
    match &filter.owner {
        Some(Some(owner)) => {
            values.push(owner.into());
            sql.push_str(&format!(" AND f.owner = ${}", values.len()));
        }
        Some(None) => sql.push_str(" AND f.owner IS NULL"),
        None => {}
    }
    if let Some(asset) = asset {
        values.push(asset.into());
        sql.push_str(&format!(" AND f.asset = ${}", values.len()));
    }
    if let Some(place) = location {
        values.push(place.into());
        sql.push_str(&format!(
            " AND f.id IN (SELECT finding FROM finding_place WHERE place = ${})",
            values.len()
        ));
    }
    if let Some(since) = filter.since {
        values.push(since.into());
        sql.push_str(&format!(" AND f.opened >= ${}", values.len()));
    }
    if let Some((severity, deadline, resolved, weight, id)) = last {
        if filter.resolved {
            let keys: [Value<'_>; 3] = [resolved.unwrap_or(0).into(), 0_i64.into(), id.into()];
            values.extend(keys);
        } else {
            let keys: [Value<'_>; 4] = [severity.into(), weight.into(), deadline.into(), id.into()];
            values.extend(keys);
        }
        let n = values.len();
        sql.push_str(&if filter.resolved {
            format!(
                " AND ${} = 0 AND (f.resolved < ${} OR (f.resolved = ${} AND f.id > ${n}))",
                n - 1,
                n - 2,
                n - 2
            )
        } else {
            format!(
                " AND (f.severity, f.weight, f.deadline, f.id) > (${}, ${}, ${}, ${n})",
                n - 3,
                n - 2,
                n - 1
            )
        });
    }
    values.push(filter.limit.into());
    sql.push_str(if filter.resolved {
        " ORDER BY f.resolved DESC, f.id"
    } else {
        " ORDER BY f.severity, f.weight, f.deadline, f.id"
    });
    sql.push_str(&format!(" LIMIT ${}", values.len()));
    c.query(&sql, &values)?.into_iter().map(finding_row).collect()
}

fn finding_row(mut row: Row) -> Result<FindingRow> {
    let body = FindingJson::read(&row.text(1)?)?;
    let locations = body.locations.iter().map(|l| texts::location(l)).collect::<Result<Vec<_>>>()?;
    let title = row.maybe_text(4)?.or_else(|| body.locations.first().cloned());
    let deadline = row.int(8)?;
    Ok(FindingRow {
        id: row.text(0)?,
        kind: texts::finding_kind(&body.kind)?,
        severity: body.severity,
        asset: body.asset.as_deref().and_then(|a| a.parse().ok()),
        title: title.unwrap_or_else(|| body.cause.clone()),
        issuer_name: row.maybe_text(9)?,
        cause: body.cause,
        locations,
        deadline: (deadline != NEVER).then_some(UnixTime(deadline)),
        not_before: row.maybe_int(5)?.map(UnixTime),
        is_ca: row.maybe_int(6)?.is_some_and(|flags| flags & CA != 0),
        owner: body.owner,
        summary: body.summary,
        hint: body.hint,
        evidence: body.evidence.into_iter().map(|(name, fact)| (name, fact.into())).collect(),
        blast: body.blast,
        opened: UnixTime(row.int(2)?),
        resolved: row.maybe_int(3)?.map(UnixTime),
    })
}

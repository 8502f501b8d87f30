//! Owners by hand, for whole lines; and the count of everything anew, for those who doubt the counters.

use std::collections::{BTreeMap, BTreeSet};

use notafter_core::UnixTime;

use super::filter::Filter;
use crate::alerts::{AuditLine, audit};
use crate::db::{Conn, Result, args};
use crate::judge::{FindingChanges, merge, set_owner};
use crate::ledger::{Ledger, TOTALS};
use crate::observations::intern::word;

pub(super) fn own(
    c: &mut Conn<'_>,
    filter: &Filter,
    owner: Option<&str>,
    by: &str,
    now: UnixTime,
) -> Result<u64> {
    let rows = c.query(
        &format!("SELECT DISTINCT coalesce(a.lineage, a.id) FROM asset a WHERE {}", filter.sql),
        &filter.with(&[]),
    )?;
    let lines = rows.iter().map(|row| row.int(0)).collect::<Result<BTreeSet<_>>>()?;
    let hand = owner.map(|name| word(c, name)).transpose()?;
    let mut ledger = Ledger::default();
    let mut findings = BTreeSet::new();
    let mut changed = 0;
    for line in lines {
        let before = c.first("SELECT owner FROM owned WHERE lineage = $1", args![line])?;
        let before = before.map(|row| row.int(0)).transpose()?;
        if before == hand {
            continue;
        }
        changed += 1;
        match hand {
            Some(hand) => c.execute(
                "INSERT INTO owned (lineage, owner) VALUES ($1, $2)
                 ON CONFLICT (lineage) DO UPDATE SET owner = excluded.owner",
                args![line, hand],
            )?,
            None => c.execute("DELETE FROM owned WHERE lineage = $1", args![line])?,
        };
        let members =
            c.query("SELECT id, owner, places FROM asset WHERE lineage = $1 OR id = $1", args![line])?;
        for row in members {
            let (id, now_owned) = (row.int(0)?, row.maybe_int(1)?);
            let next = match hand {
                Some(hand) => {
                    if before.is_none() {
                        c.execute(
                            "INSERT INTO ruled (asset, owner) VALUES ($1, $2) ON CONFLICT (asset) DO NOTHING",
                            args![id, now_owned],
                        )?;
                    }
                    Some(hand)
                }
                None => {
                    let ruled = c.first("SELECT owner FROM ruled WHERE asset = $1", args![id])?;
                    c.execute("DELETE FROM ruled WHERE asset = $1", args![id])?;
                    ruled.map(|row| row.maybe_int(0)).transpose()?.flatten()
                }
            };
            set_owner(c, id, now_owned, next, row.int(2)? > 0)?;
            ledger.touch(id);
            for mut row in
                c.query("SELECT id FROM finding WHERE asset = $1 AND resolved IS NULL", args![id])?
            {
                findings.insert(row.text(0)?);
            }
        }
    }
    for finding in findings {
        merge(c, &finding, now, &mut FindingChanges::default(), &mut BTreeSet::new())?;
    }
    if changed > 0 {
        ledger.settle(c)?;
        let line = AuditLine {
            at: now,
            who: by.to_owned(),
            what: "owner-set".into(),
            subject: owner.unwrap_or("").to_owned(),
            detail: format!("{changed} lines"),
        };
        audit(c, &line)?;
    }
    Ok(changed)
}

/// What the counters should say, and where they do not.
pub(crate) fn recount(c: &mut Conn<'_>) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let queries = [
        (
            "assets",
            "SELECT count(*) FROM asset a WHERE EXISTS (SELECT 1 FROM placement p WHERE p.asset = a.id AND p.gone IS NULL)",
        ),
        ("assets_ever", "SELECT count(*) FROM asset"),
        ("placements", "SELECT count(*) FROM placement WHERE gone IS NULL"),
        ("unseen", "SELECT count(*) FROM placement WHERE gone IS NULL AND unseen_since IS NOT NULL"),
        ("blind_spots", "SELECT count(*) FROM blind WHERE gone IS NULL"),
        (
            "owned",
            "SELECT count(*) FROM asset a WHERE a.owner IS NOT NULL AND EXISTS (SELECT 1 FROM placement p WHERE p.asset = a.id AND p.gone IS NULL)",
        ),
        ("served", "SELECT count(*) FROM placement WHERE gone IS NULL AND flags <> 0"),
        ("proven", "SELECT count(*) FROM placement WHERE gone IS NULL AND flags = 3"),
    ];
    let mut kept: BTreeMap<String, i64> = BTreeMap::new();
    for mut row in c.query("SELECT name, count FROM total", &[])? {
        kept.insert(row.text(0)?, row.int(1)?);
    }
    for name in TOTALS {
        let Some((_, sql)) = queries.iter().find(|(known, _)| known == name) else { continue };
        let counted = c.one(sql, &[])?.int(0)?;
        let noted = kept.get(*name).copied().unwrap_or(0);
        if counted != noted {
            wrong.push(format!("{name}: {noted} noted, {counted} counted"));
        }
    }
    let rows = c.query(
        "SELECT a.id, a.places, a.served, a.unseen, count(p.id), count(CASE WHEN p.flags <> 0 THEN 1 END),
           count(p.unseen_since)
         FROM asset a LEFT JOIN placement p ON p.asset = a.id AND p.gone IS NULL
         GROUP BY a.id, a.places, a.served, a.unseen
         HAVING a.places <> count(p.id) OR a.served <> count(CASE WHEN p.flags <> 0 THEN 1 END)
           OR a.unseen <> count(p.unseen_since) LIMIT 20",
        &[],
    )?;
    for row in rows {
        wrong.push(format!("asset {}: {row:?}", row.int(0)?));
    }
    let rows = c.query(
        "SELECT s.name, s.placements, s.blind_spots,
           (SELECT count(*) FROM placement p WHERE p.source = s.id AND p.gone IS NULL),
           (SELECT count(*) FROM blind b WHERE b.source = s.id AND b.gone IS NULL) FROM source s",
        &[],
    )?;
    for mut row in rows {
        if row.int(1)? != row.int(3)? || row.int(2)? != row.int(4)? {
            wrong.push(format!("source {}: {row:?}", row.text(0)?));
        }
    }
    let rows = c.query(
        "SELECT a.id, a.findings, count(f.id) FROM asset a LEFT JOIN finding f ON f.asset = a.id AND f.resolved IS NULL
         GROUP BY a.id, a.findings HAVING a.findings <> count(f.id) LIMIT 20",
        &[],
    )?;
    for row in rows {
        wrong.push(format!(
            "findings of asset {}: {} noted, {} counted",
            row.int(0)?,
            row.int(1)?,
            row.int(2)?
        ));
    }
    Ok(wrong)
}

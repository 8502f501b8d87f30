//! Verdicts, kept: parts of findings by subject, findings merged from their parts, and when to judge again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use notafter_core::UnixTime;
use notafter_core::subject::SubjectKey;

use super::{Due, FindingChanges, Judged};
use crate::db::{Conn, Result, Row, Value, args};
use crate::observations::intern::word;
use crate::places::{hash48, key16};
use crate::read::NEVER;
use crate::texts::{FindingJson, role_number, severity_number, split};

pub(super) fn keep(c: &mut Conn<'_>, judged: &[Judged], now: UnixTime) -> Result<FindingChanges> {
    let mut findings = BTreeSet::new();
    let mut assets = BTreeSet::new();
    let subjects: Vec<String> = judged.iter().map(|one| one.due.subject.to_string()).collect();
    let hashes: Vec<_> = subjects.iter().map(|s| key16(s)).collect();
    let keys: Vec<Vec<Value<'_>>> = hashes.iter().map(|key| vec![key.into()]).collect();
    let before = c.query_many("SELECT finding, body FROM finding_part WHERE key = $1", &keys)?;
    for ((one, subject), before) in judged.iter().zip(&subjects).zip(before) {
        parts(c, one, subject, before, &mut findings)?;
        if !matches!(one.due.subject, SubjectKey::Asset(_)) {
            subject_row(c, subject, one)?;
        }
    }
    asset_rows(c, judged)?;
    let mut changes = FindingChanges::default();
    for finding in findings {
        merge(c, &finding, now, &mut changes, &mut assets)?;
    }
    for asset in assets {
        recount(c, asset)?;
    }
    Ok(changes)
}

/// What this subject gives now instead of what it gave before.
fn parts(
    c: &mut Conn<'_>,
    one: &Judged,
    subject: &str,
    rows: Vec<Row>,
    findings: &mut BTreeSet<String>,
) -> Result<()> {
    let mut before = BTreeMap::new();
    for mut row in rows {
        before.insert(row.text(0)?, row.text(1)?);
    }
    if before.is_empty() && one.findings.is_empty() {
        return Ok(());
    }
    let key = key16(subject);
    let mut after: BTreeMap<String, FindingJson> = BTreeMap::new();
    for finding in &one.findings {
        let json = FindingJson::of(finding);
        match after.get_mut(&finding.id()) {
            Some(known) => add(known, json),
            None => {
                after.insert(finding.id(), json);
            }
        }
    }
    for (id, mut finding) in after {
        finding.locations.sort_unstable();
        finding.locations.dedup();
        let body = finding.json();
        match before.remove(&id) {
            Some(known) if known == body => {}
            _ => {
                c.execute(
                    "INSERT INTO finding_part (key, finding, subject, body) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (key, finding) DO UPDATE SET body = excluded.body",
                    args![&key, &id, subject, &body],
                )?;
            }
        }
        // An owner by hand may have changed, though the part did not.
        findings.insert(id);
    }
    for (id, _) in before {
        c.execute("DELETE FROM finding_part WHERE key = $1 AND finding = $2", args![&key, &id])?;
        findings.insert(id);
    }
    Ok(())
}

/// The same cause found twice is one finding in more places.
fn add(known: &mut FindingJson, more: FindingJson) {
    known.severity = known.severity.min(more.severity);
    known.locations.extend(more.locations);
    match (&mut known.blast, more.blast) {
        (Some(known), Some(more)) => known.merge(more),
        (known, more) => *known = known.take().or(more),
    }
}

/// When to judge again. A verdict under an old token leaves the subject due.
fn next(one: &Judged) -> Option<i64> {
    one.holds_until.map(|t| t.0.max(0))
}

/// Nothing was found out about it: what was found before stands, and it is tried again then.
pub(super) fn put_off(c: &mut Conn<'_>, due: &Due, until: UnixTime) -> Result<()> {
    match &due.subject {
        SubjectKey::Asset(id) => {
            let (fp8, fp24) = split(id);
            c.execute(
                "UPDATE asset SET judge_at = $4 WHERE fp8 = $1 AND fp24 = $2 AND judge_at = $3",
                args![fp8, fp24, due.token, until],
            )
        }
        subject => c.execute(
            "UPDATE subject_due SET judge_at = $3 WHERE key = $1 AND judge_at = $2",
            args![&key16(&subject.to_string()), due.token, until],
        ),
    }
    .map(|_| ())
}

fn subject_row(c: &mut Conn<'_>, subject: &str, one: &Judged) -> Result<()> {
    let key = key16(subject);
    match next(one) {
        Some(at) => c.execute(
            "UPDATE subject_due SET judge_at = $3 WHERE key = $1 AND judge_at = $2",
            args![&key, one.due.token, at],
        ),
        None => {
            c.execute("DELETE FROM subject_due WHERE key = $1 AND judge_at = $2", args![&key, one.due.token])
        }
    }?;
    Ok(())
}

/// Owner, roles and when to judge again, of every asset among these.
fn asset_rows(c: &mut Conn<'_>, judged: &[Judged]) -> Result<()> {
    let (mut asked, mut about) = (Vec::new(), Vec::new());
    for one in judged {
        if let SubjectKey::Asset(id) = &one.due.subject {
            let (fp8, fp24) = split(id);
            asked.push(vec![fp8.into(), fp24.into()]);
            about.push(one);
        }
    }
    let found =
        c.query_many("SELECT id, owner, lineage, places FROM asset WHERE fp8 = $1 AND fp24 = $2", &asked)?;
    let by_hand = c.first("SELECT lineage FROM owned LIMIT 1", &[])?.is_some();
    let mut words: HashMap<&str, i64> = HashMap::new();
    let (mut times, mut owners, mut plain, mut owned) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for (one, rows) in about.into_iter().zip(found) {
        let Some(row) = rows.into_iter().next() else { continue };
        let asset = row.int(0)?;
        let ruled = match one.owner.as_deref() {
            None => None,
            Some(name) => Some(match words.get(name) {
                Some(known) => *known,
                None => {
                    let number = word(c, name)?;
                    words.insert(name, number);
                    number
                }
            }),
        };
        let hand = if by_hand { hand_owner(c, asset, row.maybe_int(2)?)? } else { None };
        // What the rules say is kept beside what a hand says, for the day it is taken back.
        if hand.is_some() {
            c.execute(
                "INSERT INTO ruled (asset, owner) VALUES ($1, $2)
                 ON CONFLICT (asset) DO UPDATE SET owner = excluded.owner",
                args![asset, ruled],
            )?;
        }
        let (before, owner) = (row.maybe_int(1)?, hand.or(ruled));
        if before != owner {
            owners.push(vec![asset.into(), owner.into()]);
            let by = i64::from(owner.is_some()) - i64::from(before.is_some());
            owned += if row.int(3)? > 0 { by } else { 0 };
        }
        times.push(vec![asset.into(), one.due.token.into(), next(one).into()]);
        if one.roles.is_empty() {
            plain.push(vec![asset.into()]);
        } else {
            roles(c, asset, one)?;
        }
    }
    // In this order: a date is shorter than the token it replaces, and the owner goes where the rest of it was. The other
    // way round every page of a full table is split.
    c.execute_many("UPDATE asset SET judge_at = $3 WHERE id = $1 AND judge_at = $2", &times)?;
    c.execute_many("UPDATE asset SET owner = $2 WHERE id = $1", &owners)?;
    count_owned(c, owned)?;
    // As seen again.
    let shown = "SELECT id FROM placement WHERE asset = $1 AND gone IS NULL AND shown IS NOT NULL";
    for row in c.query_many(shown, &plain)?.into_iter().flatten() {
        c.execute("UPDATE placement SET shown = NULL WHERE id = $1", args![row.int(0)?])?;
    }
    Ok(())
}

/// The roles as judged; those not named are as seen.
fn roles(c: &mut Conn<'_>, asset: i64, one: &Judged) -> Result<()> {
    let listed: BTreeMap<&str, i64> =
        one.roles.iter().map(|(location, role)| (location.as_str(), role_number(*role))).collect();
    let rows = c.query(
        "SELECT p.id, p.shown, l.text FROM placement p JOIN location l ON l.id = p.location
         WHERE p.asset = $1 AND p.gone IS NULL",
        args![asset],
    )?;
    for mut row in rows {
        let shown = listed.get(row.text(2)?.as_str()).copied();
        if shown != row.maybe_int(1)? {
            c.execute("UPDATE placement SET shown = $2 WHERE id = $1", args![row.int(0)?, shown])?;
        }
    }
    Ok(())
}

/// The owner that somebody gave to this asset's line.
pub(crate) fn hand_owner(c: &mut Conn<'_>, asset: i64, lineage: Option<i64>) -> Result<Option<i64>> {
    let line = lineage.unwrap_or(asset);
    let row = c.first("SELECT owner FROM owned WHERE lineage = $1", args![line])?;
    row.map(|r| r.int(0)).transpose()
}

/// Writes the owner, if it is another one, and counts.
pub(crate) fn set_owner(
    c: &mut Conn<'_>,
    asset: i64,
    before: Option<i64>,
    owner: Option<i64>,
    in_use: bool,
) -> Result<bool> {
    if before == owner {
        return Ok(false);
    }
    c.execute("UPDATE asset SET owner = $2 WHERE id = $1", args![asset, owner])?;
    let by = i64::from(owner.is_some()) - i64::from(before.is_some());
    count_owned(c, if in_use { by } else { 0 })?;
    Ok(true)
}

fn count_owned(c: &mut Conn<'_>, by: i64) -> Result<()> {
    if by != 0 {
        c.execute(
            "INSERT INTO total (name, count) VALUES ('owned', $1)
             ON CONFLICT (name) DO UPDATE SET count = total.count + excluded.count",
            args![by],
        )?;
    }
    Ok(())
}

/// A finding from its parts: opened, changed, resolved or as it was.
pub(crate) fn merge(
    c: &mut Conn<'_>,
    id: &str,
    now: UnixTime,
    changes: &mut FindingChanges,
    assets: &mut BTreeSet<i64>,
) -> Result<()> {
    let mut merged: Option<FindingJson> = None;
    for mut row in c.query("SELECT body FROM finding_part WHERE finding = $1 ORDER BY subject", args![id])? {
        let part = FindingJson::read(&row.text(0)?)?;
        match &mut merged {
            Some(known) => add(known, part),
            None => merged = Some(part),
        }
    }
    let kept = c.first("SELECT body, resolved, asset FROM finding WHERE id = $1", args![id])?;
    let (before, resolved, asset_before) = match kept {
        Some(mut row) => (Some(row.text(0)?), row.maybe_int(1)?, row.maybe_int(2)?),
        None => (None, None, None),
    };
    assets.extend(asset_before);
    let Some(mut merged) = merged else {
        if before.is_some() && resolved.is_none() {
            c.execute("UPDATE finding SET resolved = $2 WHERE id = $1", args![id, now])?;
            changes.resolved.push(id.to_owned());
        }
        return Ok(());
    };
    merged.locations.sort_unstable();
    merged.locations.dedup();
    let fingerprint = merged.asset.as_deref().and_then(|a| a.parse().ok());
    let asset = match fingerprint {
        Some(fingerprint) => crate::queries::asset_number(c, &fingerprint)?,
        None => None,
    };
    if let Some(asset) = asset {
        assets.insert(asset);
        let line = c.one("SELECT lineage FROM asset WHERE id = $1", args![asset])?.maybe_int(0)?;
        if let Some(hand) = hand_owner(c, asset, line)? {
            let mut row = c.one("SELECT text FROM word WHERE id = $1", args![hand])?;
            merged.owner = Some(row.text(0)?);
        }
    }
    if let Some(asset) = asset {
        crate::lapses::remember(c, asset, &merged, now)?;
    }
    let body = merged.json();
    let open = before.is_some() && resolved.is_none();
    if open && before.as_deref() == Some(body.as_str()) {
        return Ok(());
    }
    c.execute(
        "INSERT INTO finding (id, kind, severity, asset, owner, deadline, opened, resolved, body, weight)
         VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, $8, $9)
         ON CONFLICT (id) DO UPDATE SET severity = excluded.severity, asset = excluded.asset, owner = excluded.owner,
           deadline = excluded.deadline, body = excluded.body, weight = excluded.weight,
           opened = CASE WHEN finding.resolved IS NULL THEN finding.opened ELSE excluded.opened END, resolved = NULL",
        args![
            id,
            &merged.kind,
            severity_number(merged.severity),
            asset,
            merged.owner.as_ref(),
            merged.deadline.unwrap_or(NEVER),
            now,
            &body,
            merged.weight()
        ],
    )?;
    c.execute("DELETE FROM finding_place WHERE finding = $1", args![id])?;
    let places: BTreeSet<i64> = merged.locations.iter().map(|l| hash48(l.as_bytes())).collect();
    let rows: Vec<_> = places.into_iter().map(|place| vec![place.into(), id.into()]).collect();
    c.execute_many("INSERT INTO finding_place (place, finding) VALUES ($1, $2)", &rows)?;
    if open { &mut changes.changed } else { &mut changes.opened }.push(id.to_owned());
    Ok(())
}

/// The worst open finding of an asset and how many there are, on its row.
pub(crate) fn recount(c: &mut Conn<'_>, asset: i64) -> Result<()> {
    let row = c.one(
        "SELECT count(*), min(severity) FROM finding WHERE asset = $1 AND resolved IS NULL",
        args![asset],
    )?;
    c.execute(
        "UPDATE asset SET findings = $2, severity = $3
         WHERE id = $1 AND (findings <> $2 OR severity IS DISTINCT FROM $3)",
        args![asset, row.int(0)?, row.maybe_int(1)?],
    )?;
    Ok(())
}

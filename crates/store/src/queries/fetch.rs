//! Rows with everything a list shows: assets, placements, keys, links.

use std::collections::HashMap;
use std::sync::Mutex;

use notafter_core::location::Location;
use notafter_core::observation::Link;
use notafter_core::upkeep::Upkeep;
use notafter_core::{Fingerprint, KeyId, UnixTime};

use super::Sort;
use crate::db::{Conn, Dialect, Result, Row, Value, args};
use crate::judge::last_seen;
use crate::observations::intern::members;
use crate::places;
use crate::read::{CA, NEVER, SELF_SIGNED, SUPERSEDED};
use crate::rows::{AssetRow, BlindRow, KeyRow, PlacementRow};
use crate::{StoreError, Trouble, texts};

/// Words and issuers' names by number, once read: their rows never change.
#[derive(Default)]
pub(crate) struct Known(Mutex<HashMap<(Of, i64), String>>);

/// Of what a number is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Of {
    Word,
    /// What an issuer is called.
    IssuerName,
    /// The whole of its name.
    Issuer,
}

/// So many lineages of one file of state are read: a list of domains may be long.
const RENEWALS_MAX: usize = 10_000;
/// So many rows are asked for by one statement.
const TOGETHER: [usize; 4] = [1, 8, 32, 128];
/// So many are kept at hand.
const KNOWN_MAX: usize = 10_000;

impl Known {
    fn text(&self, c: &mut Conn<'_>, of: Of, number: Option<i64>) -> Result<Option<String>> {
        let Some(number) = number else { return Ok(None) };
        let known = || self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(text) = known().get(&(of, number)) {
            return Ok(Some(text.clone()));
        }
        let sql = match of {
            Of::Word => "SELECT text FROM word WHERE id = $1",
            Of::IssuerName => "SELECT name FROM dname WHERE id = $1",
            Of::Issuer => "SELECT text FROM dname WHERE id = $1",
        };
        let Some(mut row) = c.first(sql, args![number])? else { return Ok(None) };
        let text = row.text(0)?;
        let mut known = known();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert((of, number), text.clone());
        Ok(Some(text))
    }
}

/// What a row of a list is made from; a condition follows.
pub(super) const ASSET: &str =
    "SELECT a.fp8, a.fp24, a.kind, a.title, a.issuer, a.not_before, a.not_after, a.flags, a.label, a.owner,
    a.places, a.served, a.unseen,
    (SELECT l.text FROM placement p JOIN location l ON l.id = p.location
     WHERE p.asset = a.id AND p.gone IS NULL LIMIT 1),
    a.severity, a.findings, a.first_seen, a.id
  FROM asset a";

/// Where a list goes on: opaque to callers, checked when it comes back.
pub(crate) fn cursor(sort: Sort, not_after: i64, title: &str, id: i64) -> String {
    match sort {
        Sort::Ends => format!("e{not_after}.{id}"),
        Sort::Newest => format!("n{id}"),
        Sort::Title => format!("t{}.{id}", notafter_pki::fingerprint::hex(title.as_bytes())),
    }
}

/// A cursor that is none.
pub(crate) fn bad_cursor(text: &str) -> StoreError {
    StoreError {
        trouble: Trouble::Other,
        context: format!("`{}` is no place to go on from", notafter_pki::name::printable(text)),
        hint: Some("take `next` of the page before, with the same order, or begin without it".into()),
    }
}

/// What a cursor says: the end or the title, and the number.
pub(crate) fn read_cursor(sort: Sort, text: &str) -> Result<(i64, String, i64)> {
    let read = || -> Option<(i64, String, i64)> {
        match sort {
            Sort::Newest => Some((0, String::new(), text.strip_prefix('n')?.parse().ok()?)),
            Sort::Ends => {
                let (end, id) = text.strip_prefix('e')?.split_once('.')?;
                Some((end.parse().ok()?, String::new(), id.parse().ok()?))
            }
            Sort::Title => {
                let (title, id) = text.strip_prefix('t')?.split_once('.')?;
                let digits: Option<Vec<u8>> =
                    title.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
                let digits = digits.filter(|d| d.len() % 2 == 0)?;
                let bytes = digits.as_chunks::<2>().0.iter().map(|[a, b]| a * 16 + b).collect();
                Some((0, String::from_utf8(bytes).ok()?, id.parse().ok()?))
            }
        }
    };
    read().ok_or_else(|| bad_cursor(text))
}

/// The rows of these assets, in this order.
pub(crate) fn assets(c: &mut Conn<'_>, known: &Known, ids: &[i64], sort: Sort) -> Result<Vec<AssetRow>> {
    // Within the process a look for each is three times as fast as one for a list; over the wire it is the other way.
    if c.dialect() == Dialect::Sqlite {
        let asked: Vec<Vec<Value<'_>>> = ids.iter().map(|id| vec![(*id).into()]).collect();
        let rows = c.query_many(&format!("{ASSET} WHERE a.id = $1"), &asked)?;
        return rows.into_iter().flatten().map(|row| asset(c, known, row, sort)).collect();
    }
    let mut rows: HashMap<i64, Row> = HashMap::new();
    for part in ids.chunks(TOGETHER[TOGETHER.len() - 1]) {
        // Few lengths of list, so that few statements are prepared; the last one is asked for again.
        let length = TOGETHER.into_iter().find(|n| *n >= part.len()).unwrap_or(part.len());
        let asked = part.iter().chain(part.last().into_iter().cycle()).take(length);
        let asked: Vec<Value<'_>> = asked.map(|id| (*id).into()).collect();
        let list = (1..=length).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        for row in c.query(&format!("{ASSET} WHERE a.id IN ({list})"), &asked)? {
            rows.insert(row.int(17)?, row);
        }
    }
    ids.iter().filter_map(|id| rows.remove(id)).map(|row| asset(c, known, row, sort)).collect()
}

/// The row of [`ASSET`].
pub(super) fn asset(c: &mut Conn<'_>, known: &Known, mut row: Row, sort: Sort) -> Result<AssetRow> {
    let (not_after, flags, id) = (row.int(6)?, row.int(7)?, row.int(17)?);
    let title = row.text(3)?;
    let issuer = row.maybe_int(4)?;
    let place = row.maybe_text(13)?.map(|text| texts::location(&text)).transpose()?;
    Ok(AssetRow {
        id: texts::join(row.int(0)?, &row.blob(1)?)?,
        kind: texts::kind(row.int(2)?)?,
        cursor: cursor(sort, not_after, &title, id),
        title,
        issuer_name: known.text(c, Of::IssuerName, issuer)?.unwrap_or_default(),
        issuer: known.text(c, Of::Issuer, issuer)?.unwrap_or_default(),
        not_before: row.maybe_int(5)?.map(UnixTime),
        not_after: (not_after != NEVER).then_some(UnixTime(not_after)),
        is_ca: flags & CA != 0,
        self_signed: flags & SELF_SIGNED != 0,
        key: known.text(c, Of::Word, row.maybe_int(8)?)?.unwrap_or_default(),
        owner: known.text(c, Of::Word, row.maybe_int(9)?)?,
        places: row.count(10)?,
        served: row.count(11)?,
        unseen: row.count(12)?,
        place,
        severity: row.maybe_int(14)?.map(texts::severity).transpose()?,
        findings: row.count(15)?,
        superseded: flags & SUPERSEDED != 0,
        first_seen: UnixTime(row.int(16)?),
    })
}

const PLACEMENT: &str =
    "SELECT p.id, a.fp8, a.fp24, a.title, a.not_after, l.text, coalesce(p.shown, p.role), p.chain, f.json,
    s.name, s.vantage, s.looked, p.first_seen, p.unseen_since, p.gone
  FROM placement p JOIN asset a ON a.id = p.asset JOIN location l ON l.id = p.location
  JOIN facts f ON f.id = p.facts JOIN source s ON s.id = p.source";

/// Placements by a condition, with their numbers.
pub(crate) fn placements(
    c: &mut Conn<'_>,
    condition: &str,
    values: &[Value<'_>],
) -> Result<Vec<(i64, PlacementRow)>> {
    let rows = c.query(&format!("{PLACEMENT} WHERE {condition}"), values)?;
    let mut out = Vec::with_capacity(rows.len());
    let mut chains: HashMap<i64, Vec<Fingerprint>> = HashMap::new();
    for mut row in rows {
        let asset = texts::join(row.int(1)?, &row.blob(2)?)?;
        let mut chain = Vec::new();
        if let Some(number) = row.maybe_int(7)? {
            chain.push(asset);
            let behind = match chains.get(&number) {
                Some(known) => known.clone(),
                None => {
                    let read = chain_members(c, number)?;
                    chains.insert(number, read.clone());
                    read
                }
            };
            chain.extend(behind);
        }
        let (not_after, first_seen) = (row.int(4)?, row.int(12)?);
        let (unseen, gone) = (row.maybe_int(13)?, row.maybe_int(14)?);
        let last = last_seen(first_seen, unseen, gone, row.maybe_int(11)?);
        let placement = PlacementRow {
            asset,
            title: row.text(3)?,
            not_after: (not_after != NEVER).then_some(UnixTime(not_after)),
            location: texts::location(&row.text(5)?)?,
            role: texts::role(row.int(6)?)?,
            chain,
            facts: texts::facts(&row.text(8)?)?,
            source: row.text(9)?,
            vantage: row.text(10)?,
            first_seen: UnixTime(first_seen),
            last_seen: UnixTime(last),
            unseen_since: unseen.map(UnixTime),
            gone: gone.map(UnixTime),
        };
        out.push((row.int(0)?, placement));
    }
    Ok(out)
}

fn chain_members(c: &mut Conn<'_>, chain: i64) -> Result<Vec<Fingerprint>> {
    let mut row = c.one("SELECT members FROM chain WHERE id = $1", args![chain])?;
    let ids = members(&row.blob(0)?);
    let asked: Vec<Vec<Value<'_>>> = ids.iter().map(|id| vec![(*id).into()]).collect();
    let rows = c.query_many("SELECT fp8, fp24 FROM asset WHERE id = $1", &asked)?;
    rows.into_iter().flatten().map(|mut row| texts::join(row.int(0)?, &row.blob(1)?)).collect()
}

/// Private keys by a condition.
pub(crate) fn keys(c: &mut Conn<'_>, condition: &str, values: &[Value<'_>]) -> Result<Vec<KeyRow>> {
    let rows = c.query(
        &format!(
            "SELECT k.key_id, k.format, k.encrypted, l.text, f.json, k.first_seen, s.looked
             FROM keyseen k JOIN location l ON l.id = k.location JOIN facts f ON f.id = k.facts
             JOIN source s ON s.id = k.source WHERE k.gone IS NULL AND {condition}"
        ),
        values,
    )?;
    rows.into_iter()
        .map(|mut row| {
            let first_seen = row.int(5)?;
            Ok(KeyRow {
                key: row.maybe_blob(0)?.and_then(|b| <[u8; 32]>::try_from(b).ok()).map(KeyId),
                format: row.text(1)?,
                encrypted: row.int(2)? != 0,
                location: texts::location(&row.text(3)?)?,
                facts: texts::facts(&row.text(4)?)?,
                first_seen: UnixTime(first_seen),
                last_seen: UnixTime(last_seen(first_seen, None, None, row.maybe_int(6)?)),
            })
        })
        .collect()
}

/// Links that touch these places.
pub(crate) fn links<'l>(
    c: &mut Conn<'_>,
    locations: impl Iterator<Item = &'l Location>,
) -> Result<Vec<Link>> {
    let mut found = std::collections::BTreeMap::new();
    for location in locations {
        for column in ["from_file", "to_address"] {
            let sql = format!(
                "SELECT id, from_place, to_place, evidence, kind FROM link WHERE {column} = $1 AND gone IS NULL"
            );
            for mut row in c.query(&sql, args![places::end_hash(location)])? {
                let (from, to) = (texts::location(&row.text(1)?)?, texts::location(&row.text(2)?)?);
                let kind = texts::link_kind(&row.text(4)?)?;
                found.insert(row.int(0)?, Link { kind, from, to, evidence: row.text(3)? });
            }
        }
    }
    Ok(found.into_values().collect())
}

/// What renewers say in these files of state, by the hashes of the files; when it was seen and by which source.
pub(crate) fn renewals(
    c: &mut Conn<'_>,
    states: impl IntoIterator<Item = i64>,
) -> Result<Vec<(Upkeep, i64, i64)>> {
    let mut out = Vec::new();
    for state in states {
        let rows = c.query(
            "SELECT body, seen, source FROM renewal WHERE state = $1 AND gone IS NULL ORDER BY id LIMIT $2",
            args![state, RENEWALS_MAX],
        )?;
        for mut row in rows {
            out.push((texts::renewal(&row.text(0)?)?, row.int(1)?, row.int(2)?));
        }
    }
    Ok(out)
}

/// Blind spots by a condition, with their numbers.
pub(crate) fn blind(c: &mut Conn<'_>, condition: &str, values: &[Value<'_>]) -> Result<Vec<(i64, BlindRow)>> {
    let rows = c.query(
        &format!(
            "SELECT b.id, l.text, b.reason, b.detail, s.name, b.since, s.looked
             FROM blind b JOIN location l ON l.id = b.location JOIN source s ON s.id = b.source
             WHERE b.gone IS NULL AND {condition}"
        ),
        values,
    )?;
    rows.into_iter()
        .map(|mut row| {
            let since = row.int(5)?;
            let spot = BlindRow {
                location: texts::location(&row.text(1)?)?,
                reason: texts::reason(&row.text(2)?)?,
                detail: row.text(3)?,
                source: row.text(4)?,
                since: UnixTime(since),
                last: UnixTime(last_seen(since, None, None, row.maybe_int(6)?)),
            };
            Ok((row.int(0)?, spot))
        })
        .collect()
}

//! What a transaction over observations changes beside its rows: counts, and what becomes due for judgment.
//!
//! Gathered while rows are decided on, settled at the end of the same transaction, so that no crash can come in
//! between: a count is right or nothing happened, and what was touched is due or was not touched.

use std::collections::{BTreeSet, HashMap, HashSet};

use notafter_core::subject::SubjectKey;

use crate::db::{Conn, Result, Value, args};
use crate::places::{key16, names_below};
use crate::read::{CA, SUPERSEDED};

/// Tokens of touched subjects count up from here: below every instant, and older ones come first.
const TOKENS_FROM: i64 = -(1 << 46);

/// The names of the totals.
pub(crate) const TOTALS: &[&str] =
    &["assets", "assets_ever", "placements", "unseen", "blind_spots", "owned", "served", "proven"];

/// So many issuers above something that came or went are told.
const ABOVE_MAX: usize = 4;

/// A placement is at an endpoint.
pub(crate) const AT_ENDPOINT: i64 = 1;
/// The server proved that it holds the key.
pub(crate) const PROVED: i64 = 2;
/// The endpoint asks for a client certificate. Migration 8 has an index of those.
pub(crate) const ASKS: i64 = 4;

/// What changes.
#[derive(Default)]
pub(crate) struct Ledger {
    token: Option<i64>,
    /// Assets that are inserted in this transaction, with their counts in their rows.
    pub(crate) fresh: HashSet<i64>,
    /// By asset: places, served, unseen.
    pub(crate) counts: HashMap<i64, [i64; 3]>,
    totals: HashMap<&'static str, i64>,
    /// By source: placements, blind spots.
    sources: HashMap<i64, [i64; 2]>,
    touched: BTreeSet<i64>,
    /// Hashes of names whose certificates are all due.
    pub(crate) names: BTreeSet<i64>,
    /// Keys whose certificates are all due.
    pub(crate) keys: BTreeSet<i64>,
    /// Folders whose certificates are all due.
    pub(crate) folders: BTreeSet<i64>,
    /// Folders in which a root came or went: its other roots are due.
    pub(crate) root_folders: BTreeSet<i64>,
    /// Subjects of CA certificates whose dependents are due.
    pub(crate) issuers: BTreeSet<i64>,
    /// Names of issuers of what came or went: the CA certificates in files above it are due.
    pub(crate) above: BTreeSet<i64>,
    subjects: BTreeSet<String>,
    /// Lines in which something may be superseded now.
    pub(crate) lines: BTreeSet<i64>,
    /// Rows written.
    pub(crate) writes: u64,
}

/// Makes subjects due.
pub(crate) fn subjects_due(c: &mut Conn<'_>, subjects: &BTreeSet<String>, token: i64) -> Result<()> {
    let keys: Vec<Vec<u8>> = subjects.iter().map(|s| key16(s)).collect();
    let rows: Vec<Vec<Value<'_>>> =
        subjects.iter().zip(&keys).map(|(s, key)| vec![key.into(), s.into(), token.into()]).collect();
    c.execute_many(
        "INSERT INTO subject_due (key, subject, judge_at) VALUES ($1, $2, $3)
         ON CONFLICT (key) DO UPDATE SET judge_at = excluded.judge_at",
        &rows,
    )?;
    Ok(())
}

impl Ledger {
    pub(crate) fn touch(&mut self, asset: i64) {
        self.touched.insert(asset);
    }

    pub(crate) fn touch_subject(&mut self, subject: &SubjectKey) {
        self.subjects.insert(subject.to_string());
    }

    pub(crate) fn total(&mut self, name: &'static str, by: i64) {
        *self.totals.entry(name).or_default() += by;
    }

    pub(crate) fn blind(&mut self, source: i64, by: i64) {
        self.total("blind_spots", by);
        self.sources.entry(source).or_default()[1] += by;
    }

    /// An open placement more (1) or less (-1).
    pub(crate) fn placement(&mut self, asset: i64, source: i64, flags: i64, unseen: bool, by: i64) {
        let served = if flags & AT_ENDPOINT != 0 { by } else { 0 };
        let counts = self.counts.entry(asset).or_default();
        counts[0] += by;
        counts[1] += served;
        counts[2] += if unseen { by } else { 0 };
        self.total("placements", by);
        self.total("served", served);
        self.total("unseen", if unseen { by } else { 0 });
        self.total("proven", if served != 0 && flags & PROVED != 0 { by } else { 0 });
        self.sources.entry(source).or_default()[0] += by;
        self.touch(asset);
    }

    /// An open placement becomes unseen (1) or is seen again (-1).
    pub(crate) fn unseen(&mut self, asset: i64, by: i64) {
        self.counts.entry(asset).or_default()[2] += by;
        self.total("unseen", by);
        self.touch(asset);
    }

    pub(crate) fn moved(&mut self, from: i64, to: i64) {
        self.sources.entry(from).or_default()[0] -= 1;
        self.sources.entry(to).or_default()[0] += 1;
    }

    /// The counts of a fresh asset, for its row.
    pub(crate) fn counts_of(&self, asset: i64) -> [i64; 3] {
        self.counts.get(&asset).copied().unwrap_or_default()
    }

    /// The token of this transaction: whatever it touches has it.
    pub(crate) fn token(&mut self, c: &mut Conn<'_>) -> Result<i64> {
        if let Some(token) = self.token {
            return Ok(token);
        }
        let row = c.one(
            "INSERT INTO total (name, count) VALUES ('token', 1)
             ON CONFLICT (name) DO UPDATE SET count = total.count + 1 RETURNING count",
            &[],
        )?;
        let token = TOKENS_FROM + row.int(0)?;
        self.token = Some(token);
        Ok(token)
    }

    /// Writes all of it.
    pub(crate) fn settle(mut self, c: &mut Conn<'_>) -> Result<u64> {
        self.count_assets(c)?;
        self.dues(c)?;
        self.supersede(c)?;
        for (name, by) in &self.totals {
            if *by != 0 {
                c.execute(
                    "INSERT INTO total (name, count) VALUES ($1, $2)
                     ON CONFLICT (name) DO UPDATE SET count = total.count + excluded.count",
                    args![*name, *by],
                )?;
            }
        }
        for (source, [placements, blind]) in &self.sources {
            if *placements != 0 || *blind != 0 {
                c.execute(
                    "UPDATE source SET placements = placements + $2, blind_spots = blind_spots + $3 WHERE id = $1",
                    args![*source, *placements, *blind],
                )?;
            }
        }
        Ok(self.writes)
    }

    fn count_assets(&mut self, c: &mut Conn<'_>) -> Result<()> {
        for id in &self.fresh {
            *self.totals.entry("assets_ever").or_default() += 1;
            if self.counts.get(id).is_some_and(|n| n[0] > 0) {
                *self.totals.entry("assets").or_default() += 1;
            }
        }
        let known: Vec<i64> = self.touched.iter().copied().filter(|id| !self.fresh.contains(id)).collect();
        let asked: Vec<Vec<Value<'_>>> = known.iter().map(|id| vec![(*id).into()]).collect();
        let rows = c.query_many(
            "SELECT places, served, unseen, names6, flags, subject, lineage, owner, issuer FROM asset WHERE id = $1",
            &asked,
        )?;
        let mut updates = Vec::new();
        for (id, rows) in known.iter().zip(rows) {
            let Some(row) = rows.first() else { continue };
            let by = self.counts.get(id).copied().unwrap_or_default();
            let before = row.int(0)?;
            let after = before + by[0];
            if by != [0; 3] {
                let (served, unseen) = (row.int(1)? + by[1], row.int(2)? + by[2]);
                updates.push(vec![(*id).into(), after.into(), served.into(), unseen.into()]);
            }
            let turned = i64::from(after > 0) - i64::from(before > 0);
            *self.totals.entry("assets").or_default() += turned;
            if row.maybe_int(7)?.is_some() {
                *self.totals.entry("owned").or_default() += turned;
            }
            if let (true, true, Some(subject)) = (turned != 0, row.int(4)? & CA != 0, row.maybe_int(5)?) {
                self.issuers.insert(subject);
            }
            if turned != 0 {
                self.above.extend(row.maybe_int(8)?);
            }
            self.names.extend(row.maybe_int(3)?);
            self.lines.extend(row.maybe_int(6)?);
        }
        self.writes += updates.len() as u64;
        c.execute_many("UPDATE asset SET places = $2, served = $3, unseen = $4 WHERE id = $1", &updates)?;
        Ok(())
    }

    fn dues(&mut self, c: &mut Conn<'_>) -> Result<()> {
        let policies = self.policies(c)?;
        let mut touched: Vec<i64> =
            self.touched.iter().copied().filter(|id| !self.fresh.contains(id)).collect();
        let nothing = touched.is_empty()
            && policies.is_empty()
            && self.subjects.is_empty()
            && [&self.names, &self.keys, &self.folders, &self.root_folders, &self.issuers, &self.above]
                .iter()
                .all(|set| set.is_empty());
        if nothing {
            return Ok(());
        }
        let token = self.token(c)?;
        touched.extend(self.anchors(c)?);
        let each = |set: &mut dyn Iterator<Item = i64>| -> Vec<Vec<Value<'_>>> {
            set.map(|id| vec![token.into(), id.into()]).collect()
        };
        c.execute_many("UPDATE asset SET judge_at = $1 WHERE id = $2", &each(&mut touched.into_iter()))?;
        c.execute_many(
            "UPDATE asset SET judge_at = $1 WHERE names6 = $2",
            &each(&mut self.names.iter().copied()),
        )?;
        if !self.keys.is_empty() {
            // No index: keys change seldom, and 17 bytes for each certificate buy one pass less over the table.
            let list = serde_json::to_string(&self.keys).unwrap_or_else(|_| "[]".into());
            let sql = format!("UPDATE asset SET judge_at = $1 WHERE {}", c.dialect().in_list("key6", 2));
            c.execute(&sql, args![token, &list])?;
        }
        c.execute_many(
            "UPDATE asset SET judge_at = $1 WHERE issuer IN
               (SELECT o.id FROM dname d JOIN dname o ON o.alike = d.alike WHERE d.id = $2)",
            &each(&mut self.issuers.iter().copied()),
        )?;
        let ranges = |set: &BTreeSet<i64>| -> Vec<Vec<Value<'_>>> {
            let range = |group: &i64| crate::places::group_range(*group);
            set.iter().map(range).map(|(low, high)| vec![token.into(), low.into(), high.into()]).collect()
        };
        c.execute_many(
            "UPDATE asset SET judge_at = $1 WHERE id IN
               (SELECT p.asset FROM location l JOIN placement p ON p.location = l.id
                WHERE l.spot BETWEEN $2 AND $3 AND p.gone IS NULL)",
            &ranges(&self.folders),
        )?;
        c.execute_many(
            "UPDATE asset SET judge_at = $1 WHERE id IN
               (SELECT p.asset FROM location l JOIN placement p ON p.location = l.id
                WHERE l.spot BETWEEN $2 AND $3 AND p.gone IS NULL AND p.role = 2)",
            &ranges(&self.root_folders),
        )?;
        let ranges: Vec<_> = policies.into_iter().map(|name| (names_below(&name), name)).collect();
        let below: Vec<Vec<Value<'_>>> = ranges
            .iter()
            .map(|((from, to), name)| vec![token.into(), name.into(), from.into(), to.into()])
            .collect();
        c.execute_many(
            "UPDATE asset SET judge_at = $1 WHERE id IN
               (SELECT asset FROM name WHERE name = $2 OR (name >= $3 AND name < $4))",
            &below,
        )?;
        subjects_due(c, &self.subjects, token)
    }

    /// The names whose CAA records came, went or changed: they hold for certificates of these names and of all below
    /// them. Turned round, as names are kept: what is below is a range from `.` to `/`.
    fn policies(&self, c: &mut Conn<'_>) -> Result<BTreeSet<String>> {
        let mut out = BTreeSet::new();
        if self.touched.is_empty() {
            return Ok(out);
        }
        let rows = c.query(
            "SELECT a.id, n.name FROM asset a JOIN name n ON n.asset = a.id WHERE a.names6 = $1",
            args![crate::read::caa_group()],
        )?;
        for mut row in rows {
            if self.touched.contains(&row.int(0)?) {
                out.insert(row.text(1)?);
            }
        }
        Ok(out)
    }

    /// CA certificates in files above what came or went: more or less stands on them now.
    fn anchors(&self, c: &mut Conn<'_>) -> Result<BTreeSet<i64>> {
        let mut out = BTreeSet::new();
        let (mut asked, mut level) = (self.above.clone(), self.above.clone());
        for _ in 0..ABOVE_MAX {
            let names: Vec<Vec<Value<'_>>> = level.iter().map(|name| vec![(*name).into()]).collect();
            let rows = c.query_many(
                "SELECT a.id, a.issuer, a.places, a.served FROM dname d JOIN dname s ON s.alike = d.alike
                 JOIN asset a ON a.subject = s.id WHERE d.id = $1 LIMIT 100",
                &names,
            )?;
            level = BTreeSet::new();
            for row in rows.into_iter().flatten() {
                if row.int(2)? > row.int(3)? && !self.fresh.contains(&row.int(0)?) {
                    out.insert(row.int(0)?);
                }
                level.extend(row.maybe_int(1)?.filter(|name| asked.insert(*name)));
            }
            if level.is_empty() {
                break;
            }
        }
        Ok(out)
    }

    /// In each line: what is served nowhere while a later one is, is superseded.
    fn supersede(&mut self, c: &mut Conn<'_>) -> Result<()> {
        for line in std::mem::take(&mut self.lines) {
            let rows =
                c.query("SELECT id, not_after, served, flags FROM asset WHERE lineage = $1", args![line])?;
            let mut latest = i64::MIN;
            for row in &rows {
                if row.int(2)? > 0 {
                    latest = latest.max(row.int(1)?);
                }
            }
            let mut updates = Vec::new();
            for row in &rows {
                let flags = row.int(3)?;
                let superseded = row.int(2)? == 0 && row.int(1)? < latest;
                let new = if superseded { flags | SUPERSEDED } else { flags & !SUPERSEDED };
                if new != flags {
                    updates.push(vec![row.int(0)?.into(), new.into()]);
                }
            }
            self.writes += updates.len() as u64;
            c.execute_many("UPDATE asset SET flags = $2 WHERE id = $1", &updates)?;
        }
        Ok(())
    }
}

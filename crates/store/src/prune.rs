//! What is old and over is removed, a little at a time: runs, resolved findings and alerts, messages, links, intervals.
//!
//! Assets and the audit trail stay for ever. What is open, on its way or in use is never touched, however old. The
//! newest row of each table stays, too, because the next number follows from it.

use notafter_core::UnixTime;

use crate::db::{Conn, Result, Value, args};
use crate::{Store, StoreError};

/// So many rows of one kind in one call: a transaction that nobody waits for long.
const ROWS: usize = 500;
/// So many numbers of facts and chains are looked through in one call.
const NUMBERS: i64 = 50_000;
const DAY: i64 = 86_400;

/// For how long what is over is kept, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Runs of sources, after their end.
    pub runs: i64,
    /// Findings and alerts after they were resolved, messages after they were sent or given up.
    pub resolved: i64,
    /// What was at a place, after it was gone from there: certificates, keys, links, blind spots.
    pub gone: i64,
    /// Acknowledgement links, after their end or their use.
    pub links: i64,
}

impl Default for Keep {
    fn default() -> Self {
        Self { runs: 400 * DAY, resolved: 400 * DAY, gone: 800 * DAY, links: 90 * DAY }
    }
}

impl Store {
    /// Removes what has been over for longer than that, so many rows at most; how many it removed. As long as that is
    /// not zero, there may be more.
    ///
    /// # Errors
    /// The store's.
    pub fn prune(&self, now: UnixTime, keep: &Keep) -> Result<u64, StoreError> {
        let before = |seconds: i64| now.0.saturating_sub(seconds);
        self.db.write(|c| {
            let mut removed = runs(c, before(keep.runs))?;
            removed += findings(c, before(keep.resolved))?;
            removed += alerts(c, before(keep.resolved))?;
            removed += messages(c, before(keep.resolved))?;
            removed += links_of_alerts(c, before(keep.links))?;
            removed += intervals(c, before(keep.gone))?;
            removed += unused(c, now)?;
            Ok(removed)
        })
    }
}

fn ids(c: &mut Conn<'_>, sql: &str, before: i64) -> Result<Vec<i64>> {
    c.query(sql, args![before, ROWS])?.iter().map(|row| row.int(0)).collect()
}

fn each(ids: &[i64]) -> Vec<Vec<Value<'static>>> {
    ids.iter().map(|id| vec![(*id).into()]).collect()
}

fn runs(c: &mut Conn<'_>, before: i64) -> Result<u64> {
    let old = ids(
        c,
        "SELECT id FROM run WHERE finished < $1 AND id < (SELECT max(id) FROM run) ORDER BY id LIMIT $2",
        before,
    )?;
    c.execute_many("DELETE FROM run WHERE id = $1", &each(&old))
}

fn findings(c: &mut Conn<'_>, before: i64) -> Result<u64> {
    let mut old = Vec::new();
    for mut row in c.query(
        "SELECT id FROM finding WHERE resolved IS NOT NULL AND resolved < $1 ORDER BY resolved LIMIT $2",
        args![before, ROWS],
    )? {
        old.push(row.text(0)?);
    }
    let each: Vec<Vec<Value<'_>>> = old.iter().map(|id| vec![id.into()]).collect();
    c.execute_many("DELETE FROM finding_place WHERE finding = $1", &each)?;
    c.execute_many("DELETE FROM finding_part WHERE finding = $1", &each)?;
    c.execute_many("DELETE FROM finding WHERE id = $1", &each)
}

fn alerts(c: &mut Conn<'_>, before: i64) -> Result<u64> {
    let old = ids(
        c,
        "SELECT number FROM alert a WHERE state = 'resolved' AND changed < $1
           AND number < (SELECT max(number) FROM alert)
           AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.alert = a.number AND o.state IN ('pending', 'late'))
         ORDER BY changed LIMIT $2",
        before,
    )?;
    let each = each(&old);
    c.execute_many("DELETE FROM alert_member WHERE alert = $1", &each)?;
    c.execute_many("DELETE FROM ack_link WHERE alert = $1", &each)?;
    c.execute_many("DELETE FROM outbox_beside WHERE alert = $1", &each)?;
    c.execute_many("DELETE FROM outbox_beside WHERE id IN (SELECT id FROM outbox WHERE alert = $1)", &each)?;
    c.execute_many(
        "DELETE FROM outbox WHERE alert = $1 AND number < (SELECT max(number) FROM outbox)",
        &each,
    )?;
    c.execute_many("DELETE FROM alert WHERE number = $1", &each)
}

fn messages(c: &mut Conn<'_>, before: i64) -> Result<u64> {
    let old = ids(
        c,
        "SELECT number FROM outbox WHERE state IN ('sent', 'failed') AND next < $1
           AND number < (SELECT max(number) FROM outbox) ORDER BY number LIMIT $2",
        before,
    )?;
    c.execute_many(
        "DELETE FROM outbox_beside WHERE id IN (SELECT id FROM outbox WHERE number = $1)",
        &each(&old),
    )?;
    c.execute_many("DELETE FROM outbox WHERE number = $1", &each(&old))
}

fn links_of_alerts(c: &mut Conn<'_>, before: i64) -> Result<u64> {
    c.execute(
        "DELETE FROM ack_link WHERE hash IN (SELECT hash FROM ack_link WHERE coalesce(used, ends) < $1 LIMIT $2)",
        args![before, ROWS],
    )
}

/// What was somewhere, and the places that nothing speaks of any more.
fn intervals(c: &mut Conn<'_>, before: i64) -> Result<u64> {
    let (mut removed, mut places) = (0, Vec::new());
    for table in ["placement", "keyseen", "blind"] {
        // What a retired place hides is still known by its last blind spot.
        let but = if table == "blind" { "AND location NOT IN (SELECT location FROM retired)" } else { "" };
        let sql = format!(
            "SELECT id, location FROM {table} WHERE gone IS NOT NULL AND gone < $1 {but}
               AND id < (SELECT max(id) FROM {table}) ORDER BY id LIMIT $2"
        );
        let rows = c.query(&sql, args![before, ROWS])?;
        let old = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>>>()?;
        places.extend(rows.iter().map(|row| row.int(1)).collect::<Result<Vec<_>>>()?);
        removed += c.execute_many(&format!("DELETE FROM {table} WHERE id = $1"), &each(&old))?;
    }
    let old = ids(
        c,
        "SELECT id FROM link WHERE gone IS NOT NULL AND gone < $1 AND id < (SELECT max(id) FROM link)
         ORDER BY id LIMIT $2",
        before,
    )?;
    removed += c.execute_many("DELETE FROM link WHERE id = $1", &each(&old))?;
    let old = ids(
        c,
        "SELECT id FROM renewal WHERE gone IS NOT NULL AND gone < $1 AND id < (SELECT max(id) FROM renewal)
         ORDER BY id LIMIT $2",
        before,
    )?;
    removed += c.execute_many("DELETE FROM renewal WHERE id = $1", &each(&old))?;
    places.sort_unstable();
    places.dedup();
    removed += c.execute_many(
        "DELETE FROM location WHERE id = $1 AND id < (SELECT max(id) FROM location)
           AND NOT EXISTS (SELECT 1 FROM placement p WHERE p.location = $1)
           AND NOT EXISTS (SELECT 1 FROM keyseen k WHERE k.location = $1)
           AND NOT EXISTS (SELECT 1 FROM blind b WHERE b.location = $1)
           AND NOT EXISTS (SELECT 1 FROM retired r WHERE r.location = $1)",
        &each(&places),
    )?;
    Ok(removed)
}

/// Facts and chains that no interval names, as every file that changes leaves some: once a day all of them, a stretch
/// of numbers at a time.
fn unused(c: &mut Conn<'_>, now: UnixTime) -> Result<u64> {
    let from = total(c, "prune-at")?;
    let began = total(c, "prune-began")?;
    if from == 0 {
        if (0..DAY).contains(&(now.0 - began)) {
            return Ok(0);
        }
        set(c, "prune-began", now.0)?;
    }
    let to = from + NUMBERS;
    let stretch = args![from, to];
    let mut removed = c.execute(
        "DELETE FROM facts WHERE id >= $1 AND id < $2 AND id < (SELECT max(id) FROM facts) AND id NOT IN
           (SELECT facts FROM placement WHERE facts >= $1 AND facts < $2
            UNION SELECT facts FROM keyseen WHERE facts >= $1 AND facts < $2)",
        stretch,
    )?;
    removed += c.execute(
        "DELETE FROM chain WHERE id >= $1 AND id < $2 AND id < (SELECT max(id) FROM chain) AND id NOT IN
           (SELECT chain FROM placement WHERE chain >= $1 AND chain < $2)",
        stretch,
    )?;
    if removed > 0 {
        // Whoever remembers their numbers must look them up again.
        c.execute(
            "INSERT INTO total (name, count) VALUES ('pruned', 1)
             ON CONFLICT (name) DO UPDATE SET count = total.count + 1",
            &[],
        )?;
    }
    let last = c.one("SELECT coalesce(max(id), 0) FROM facts", &[])?.int(0)?;
    let last = c.one("SELECT coalesce(max(id), 0) FROM chain", &[])?.int(0)?.max(last);
    if to > last {
        set(c, "prune-at", 0)?;
        return Ok(removed);
    }
    set(c, "prune-at", to)?;
    // There is more to look through.
    Ok(removed.max(1))
}

/// How often numbers were taken back that others may remember.
pub(crate) fn pruned(c: &mut Conn<'_>) -> Result<i64> {
    total(c, "pruned")
}

fn total(c: &mut Conn<'_>, name: &str) -> Result<i64> {
    let row = c.first("SELECT count FROM total WHERE name = $1", args![name])?;
    row.map_or(Ok(0), |row| row.int(0))
}

fn set(c: &mut Conn<'_>, name: &str, count: i64) -> Result<()> {
    c.execute(
        "INSERT INTO total (name, count) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET count = excluded.count",
        args![name, count],
    )?;
    Ok(())
}

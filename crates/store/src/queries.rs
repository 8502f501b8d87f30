//! Questions that people ask: lists with keyset pages, one asset, one place, counts.

pub(crate) mod fetch;
mod filter;
pub(crate) mod known;
mod named;
pub(crate) mod own;

use notafter_core::UnixTime;
use notafter_core::location::Location;
use notafter_core::observation::LinkKind;
use notafter_core::query::Query;

use crate::db::{Conn, Value, args};
use crate::observations::intern::find_place;
use crate::observations::source_id;
use crate::places::{self, fit};
use crate::read::key32;
use crate::rows::{AssetRow, AssetWhole, BlindRow, PlaceWhole, SourceRow, Totals};
use crate::{Store, StoreError, texts};
use filter::{Compiler, Filter};
pub use named::AtName;

/// So many placements of one asset or place are given.
const PLACEMENTS_MAX: usize = 500;
/// So many of one line.
const LINE_MAX: usize = 200;
/// Assets read at once by what goes through all of them.
const CHUNK: usize = 500;
/// Placements of one asset read at once by it.
const FEW: usize = 100;

/// How a list is ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// What ends first, first.
    #[default]
    Ends,
    /// What was seen last for the first time, first.
    Newest,
    /// By title.
    Title,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Page<T> {
    pub rows: Vec<T>,
    /// Go on with this; `None`: that was all.
    pub next: Option<String>,
}

impl Store {
    /// Assets that a query finds. `services` are the places of each service, for `service:`.
    ///
    /// # Errors
    /// The store's, or a cursor that is none.
    pub fn assets(
        &self,
        query: &Query,
        sort: Sort,
        after: Option<&str>,
        limit: usize,
        now: UnixTime,
    ) -> Result<Page<AssetRow>, StoreError> {
        self.db.read(|c| {
            let filter = self.compile(c, query, now)?;
            let ids = page(c, &filter, sort, after, limit.saturating_add(1))?;
            let more = ids.len() > limit;
            let rows = fetch::assets(c, &self.known, &ids[..ids.len().min(limit)], sort)?;
            let next = rows.last().filter(|_| more).map(|row| row.cursor.clone());
            Ok(Page { rows, next })
        })
    }

    /// How many a query finds; stops counting at `most`.
    ///
    /// # Errors
    /// The store's.
    pub fn count(&self, query: &Query, most: u64, now: UnixTime) -> Result<u64, StoreError> {
        self.db.read(|c| {
            let filter = self.compile(c, query, now)?;
            let sql = format!(
                "SELECT count(*) FROM (SELECT 1 FROM asset a WHERE {} LIMIT ${}) found",
                filter.sql,
                filter.values.len() + 1
            );
            c.one(&sql, &filter.with(args![most]))?.count(0)
        })
    }

    /// How many a query finds, by owner: one pass, whatever the number of owners.
    ///
    /// # Errors
    /// The store's.
    pub fn count_by_owner(
        &self,
        query: &Query,
        now: UnixTime,
    ) -> Result<Vec<(Option<String>, u64)>, StoreError> {
        self.db.read(|c| {
            let filter = self.compile(c, query, now)?;
            let sql = format!(
                "SELECT w.text, f.n FROM (SELECT a.owner, count(*) AS n FROM asset a WHERE {} GROUP BY a.owner) f
                 LEFT JOIN word w ON w.id = f.owner",
                filter.sql
            );
            let rows = c.query(&sql, &filter.with(args![]))?;
            rows.into_iter().map(|mut row| Ok((row.maybe_text(0)?, row.count(1)?))).collect()
        })
    }

    /// The bytes of assets, and nothing else of them; empty for one that is not known.
    ///
    /// # Errors
    /// The store's.
    pub fn bytes_of(&self, ids: &[notafter_core::Fingerprint]) -> Result<Vec<Vec<u8>>, StoreError> {
        self.db.read(|c| {
            let mut out = Vec::with_capacity(ids.len());
            for id in ids {
                out.push(match asset_number(c, id)? {
                    Some(number) => self.shelf.bytes(c, number)?,
                    None => Vec::new(),
                });
            }
            Ok(out)
        })
    }

    /// Assets whose identity begins with these hex digits; two at most, so that a caller can tell one from many.
    ///
    /// # Errors
    /// The store's.
    pub fn by_id(&self, prefix: &str) -> Result<Vec<AssetRow>, StoreError> {
        let prefix = prefix.strip_prefix("sha256:").unwrap_or(prefix).to_ascii_lowercase();
        if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(Vec::new());
        }
        self.db.read(|c| {
            let (sql, values) = filter::identity(c, &prefix);
            let filter = Filter { sql, values, narrow: true };
            let sql = format!("{} WHERE {} ORDER BY a.fp8 LIMIT 2", fetch::ASSET, filter.sql);
            let rows = c.query(&sql, &filter.with(&[]))?;
            rows.into_iter().map(|row| fetch::asset(c, &self.known, row, Sort::Ends)).collect()
        })
    }

    /// One asset, whole.
    ///
    /// # Errors
    /// The store's.
    pub fn asset(&self, id: &notafter_core::Fingerprint) -> Result<Option<AssetWhole>, StoreError> {
        self.db.read(|c| {
            let Some(number) = asset_number(c, id)? else { return Ok(None) };
            let Some(row) = fetch::assets(c, &self.known, &[number], Sort::Ends)?.into_iter().next() else {
                return Ok(None);
            };
            let der = self.shelf.bytes(c, number)?;
            let key = notafter_pki::Certificate::parse(&der).ok().map(|c| c.key_id());
            let key = key.filter(|_| row.kind == notafter_core::inventory::AssetKind::Certificate);
            let present = fetch::placements(
                c,
                "p.asset = $1 AND p.gone IS NULL ORDER BY p.id LIMIT $2",
                args![number, PLACEMENTS_MAX],
            )?;
            let left = PLACEMENTS_MAX - present.len();
            let past = fetch::placements(
                c,
                "p.asset = $1 AND p.gone IS NOT NULL ORDER BY p.gone DESC, p.id DESC LIMIT $2",
                args![number, left],
            )?;
            let all = c.one("SELECT count(*) FROM placement WHERE asset = $1", args![number])?.count(0)?;
            let placements: Vec<_> = present.into_iter().chain(past).map(|(_, p)| p).collect();
            let line =
                c.one("SELECT coalesce(lineage, id) FROM asset WHERE id = $1", args![number])?.int(0)?;
            let rows = c.query(
                "SELECT id FROM asset WHERE lineage = $1 OR id = $1 OR id = $2 ORDER BY id DESC LIMIT $3",
                args![line, number, LINE_MAX],
            )?;
            let ids = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
            let lineage = fetch::assets(c, &self.known, &ids, Sort::Newest)?;
            let keys = match key {
                Some(key) => fetch::keys(
                    c,
                    "k.key6 = $1 AND k.key_id = $2 ORDER BY k.id LIMIT $3",
                    args![key32(&key), &key.0[..], PLACEMENTS_MAX],
                )?,
                None => Vec::new(),
            };
            let links = fetch::links(c, placements.iter().filter(|p| p.gone.is_none()).map(|p| &p.location))?;
            let placements_more = all.saturating_sub(placements.len() as u64);
            let managed = links.iter().filter(|l| l.kind == LinkKind::ManagedBy);
            let states: std::collections::BTreeSet<i64> = managed.map(|l| places::end_hash(&l.to)).collect();
            let files: Vec<&Location> = links.iter().map(|l| &l.from).collect();
            let said = fetch::renewals(c, states)?.into_iter().map(|(renewal, ..)| renewal);
            let renewals = said.filter(|r| r.certificates.iter().any(|file| files.contains(&file))).collect();
            Ok(Some(AssetWhole {
                row,
                der,
                key,
                placements,
                placements_more,
                lineage,
                keys,
                links,
                renewals,
            }))
        })
    }

    /// One place, whole.
    ///
    /// # Errors
    /// The store's.
    pub fn place(&self, location: &str) -> Result<Option<PlaceWhole>, StoreError> {
        let Some(location) = Location::parse(location) else { return Ok(None) };
        self.db.read(|c| {
            let Some(number) = find_place(c, &location)? else { return Ok(None) };
            let present = fetch::placements(
                c,
                "p.location = $1 AND p.gone IS NULL ORDER BY p.role, p.id LIMIT $2",
                args![number, PLACEMENTS_MAX],
            )?;
            let past = fetch::placements(
                c,
                "p.location = $1 AND p.gone IS NOT NULL ORDER BY p.gone DESC, p.id DESC LIMIT $2",
                args![number, PLACEMENTS_MAX],
            )?;
            let keys = fetch::keys(c, "k.location = $1 ORDER BY k.id", args![number])?;
            let blind = fetch::blind(c, "b.location = $1 ORDER BY b.id DESC LIMIT 1", args![number])?;
            let links = fetch::links(c, std::iter::once(&location))?;
            let retired =
                c.first("SELECT at, reason, who FROM retired WHERE location = $1", args![number])?;
            let retired = retired
                .map(|mut row| Ok::<_, StoreError>((UnixTime(row.int(0)?), row.text(1)?, row.text(2)?)))
                .transpose()?;
            Ok(Some(PlaceWhole {
                location: location.clone(),
                placements: present.into_iter().chain(past).map(|(_, p)| p).collect(),
                keys,
                blind: blind.into_iter().next().map(|(_, b)| b),
                links,
                retired,
            }))
        })
    }

    /// The places that were retired by hand and not seen again, newest first: where, when, why and by whom.
    ///
    /// # Errors
    /// The store's.
    pub fn retired(&self) -> Result<Vec<(Location, UnixTime, String, String)>, StoreError> {
        self.db.read(|c| {
            let rows = c.query(
                "SELECT l.text, r.at, r.reason, r.who FROM retired r JOIN location l ON l.id = r.location
                 ORDER BY r.at DESC, r.location DESC",
                &[],
            )?;
            let read = |mut row: crate::db::Row| {
                Ok((texts::location(&row.text(0)?)?, UnixTime(row.int(1)?), row.text(2)?, row.text(3)?))
            };
            rows.into_iter().map(read).collect()
        })
    }

    /// Every current placement with its asset, in bounded memory: what metrics, exports and services read. `query`
    /// narrows by asset.
    ///
    /// # Errors
    /// The store's.
    pub fn each_placement(
        &self,
        query: &Query,
        now: UnixTime,
        each: &mut dyn FnMut(&AssetRow, &crate::rows::PlacementRow) -> bool,
    ) -> Result<(), StoreError> {
        // A chunk at a time, each from a snapshot of its own: whoever is told may ask and write meanwhile.
        let mut after = i64::MIN;
        loop {
            let (ids, chunk) = self.db.read(|c| {
                let filter = self.compile(c, query, now)?;
                let n = filter.values.len();
                let sql = format!(
                    "SELECT a.id FROM asset a WHERE a.id > ${} AND {} ORDER BY a.id LIMIT ${}",
                    n + 1,
                    filter.sql,
                    n + 2
                );
                let found = c.query(&sql, &filter.with(args![after, CHUNK]))?;
                let ids = found.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
                let rows = fetch::assets(c, &self.known, &ids, Sort::Ends)?;
                let mut chunk = Vec::with_capacity(rows.len());
                for (id, row) in ids.iter().zip(rows) {
                    chunk.push((*id, row, open_placements(c, *id, i64::MIN)?));
                }
                Ok((ids, chunk))
            })?;
            for (id, row, mut found) in chunk {
                // An intermediate may be in a hundred thousand places: the rest of them, a chunk at a time.
                loop {
                    let end = found.len() < FEW;
                    let mut last = i64::MIN;
                    for (number, placement) in &found {
                        last = *number;
                        if !each(&row, placement) {
                            return Ok(());
                        }
                    }
                    if end {
                        break;
                    }
                    found = self.db.read(|c| open_placements(c, id, last))?;
                }
            }
            match ids.last() {
                Some(last) if ids.len() == CHUNK => after = *last,
                _ => return Ok(()),
            }
        }
    }

    /// Assets in use that end in each span `[from + i*step, from + (i+1)*step)`: how many.
    ///
    /// # Errors
    /// The store's.
    pub fn ends_histogram(&self, from: UnixTime, step: i64, count: usize) -> Result<Vec<u64>, StoreError> {
        let mut out = vec![0; count];
        if step <= 0 || count == 0 {
            return Ok(out);
        }
        let to = from.0.saturating_add(step.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX)));
        let rows = self.db.read(|c| {
            c.query(
                "SELECT (not_after - $1) / $2, count(*) FROM asset
                 WHERE places > 0 AND not_after >= $1 AND not_after < $3 GROUP BY 1",
                args![from, step, to],
            )
        })?;
        for row in rows {
            if let Some(slot) = usize::try_from(row.int(0)?).ok().and_then(|at| out.get_mut(at)) {
                *slot = row.count(1)?;
            }
        }
        Ok(out)
    }

    /// All sources that ever ran.
    ///
    /// # Errors
    /// The store's.
    pub fn sources(&self) -> Result<Vec<SourceRow>, StoreError> {
        self.db.read(|c| {
            let rows = c.query(
                "SELECT name, last_started, last_success, last_finished, next, fault, attempted, reached, unreachable, files,
                   placements, blind_spots FROM source ORDER BY name",
                &[],
            )?;
            rows.into_iter()
                .map(|mut row| {
                    let time = |at: Option<i64>| at.map(UnixTime);
                    Ok(SourceRow {
                        name: row.text(0)?,
                        last_started: time(row.maybe_int(1)?),
                        last_success: time(row.maybe_int(2)?),
                        last_finished: time(row.maybe_int(3)?),
                        next: time(row.maybe_int(4)?),
                        fault: row.maybe_text(5)?,
                        attempted: row.count(6)?,
                        reached: row.count(7)?,
                        unreachable: row.count(8)?,
                        files: row.count(9)?,
                        placements: row.count(10)?,
                        blind_spots: row.count(11)?,
                    })
                })
                .collect()
        })
    }

    /// Notes when a source runs next; makes its row.
    ///
    /// # Errors
    /// The store's.
    pub fn schedule(&self, source: &str, next: UnixTime) -> Result<(), StoreError> {
        self.db.write(|c| {
            let id = source_id(c, source)?;
            c.execute("UPDATE source SET next = $2 WHERE id = $1", args![id, next])?;
            Ok(())
        })
    }

    /// What cannot be seen: of one source or all, by place.
    ///
    /// # Errors
    /// The store's.
    pub fn blind_spots(
        &self,
        source: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<BlindRow>, StoreError> {
        let last = match after {
            Some(text) => {
                text.strip_prefix('b').and_then(|n| n.parse().ok()).ok_or_else(|| fetch::bad_cursor(text))?
            }
            None => i64::MIN,
        };
        self.db.read(|c| {
            let mut rows = fetch::blind(
                c,
                "b.id > $1 AND (s.name = $2 OR $3 = 1) ORDER BY b.id LIMIT $4",
                args![last, source.unwrap_or(""), source.is_none(), limit.saturating_add(1)],
            )?;
            let more = rows.len() > limit;
            rows.truncate(limit);
            let next = rows.last().filter(|_| more).map(|(id, _)| format!("b{id}"));
            Ok(Page { rows: rows.into_iter().map(|(_, row)| row).collect(), next })
        })
    }

    /// Blind spots counted by source and reason.
    ///
    /// # Errors
    /// The store's.
    pub fn blind_counts(&self) -> Result<Vec<(String, String, u64)>, StoreError> {
        self.db.read(|c| {
            let rows = c.query(
                "SELECT s.name, b.reason, count(*) FROM blind b JOIN source s ON s.id = b.source
                 WHERE b.gone IS NULL GROUP BY s.name, b.reason ORDER BY s.name, b.reason",
                &[],
            )?;
            rows.into_iter().map(|mut row| Ok((row.text(0)?, row.text(1)?, row.count(2)?))).collect()
        })
    }

    /// The totals.
    ///
    /// # Errors
    /// The store's.
    pub fn totals(&self) -> Result<Totals, StoreError> {
        self.db.read(|c| {
            let mut out = Totals::default();
            for mut row in c.query("SELECT name, count FROM total", &[])? {
                let count = row.count(1)?;
                match row.text(0)?.as_str() {
                    "assets" => out.assets = count,
                    "assets_ever" => out.assets_ever = count,
                    "placements" => out.placements = count,
                    "unseen" => out.unseen = count,
                    "blind_spots" => out.blind_spots = count,
                    "owned" => out.owned = count,
                    "served" => out.served = count,
                    "proven" => out.proven = count,
                    _ => {}
                }
            }
            Ok(out)
        })
    }

    /// Gives everything that a query finds to an owner by hand, with all that follows in the same lines; `None` takes it
    /// back. Returns how many lines.
    ///
    /// # Errors
    /// The store's.
    pub fn own(
        &self,
        query: &Query,
        owner: Option<&str>,
        by: &str,
        now: UnixTime,
    ) -> Result<u64, StoreError> {
        self.db.write(|c| {
            let filter = self.compile(c, query, now)?;
            own::own(c, &filter, owner, by, now)
        })
    }

    /// Notes what was observed of a service in a day (UTC, days since 1970): seconds good, bad and unknown, added up.
    ///
    /// # Errors
    /// The store's.
    pub fn add_service_day(&self, service: &str, day: i64, seconds: [u32; 3]) -> Result<(), StoreError> {
        self.db.write(|c| {
            let [good, bad, unknown] = seconds;
            c.execute(
                "INSERT INTO service_day (service, day, good, bad, unknown) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (service, day) DO UPDATE SET good = service_day.good + excluded.good,
                   bad = service_day.bad + excluded.bad, unknown = service_day.unknown + excluded.unknown",
                args![&*fit(service), day, good, bad, unknown],
            )?;
            Ok(())
        })
    }

    /// The days of a service from `first` on: day and its seconds good, bad, unknown.
    ///
    /// # Errors
    /// The store's.
    pub fn service_days(&self, service: &str, first: i64) -> Result<Vec<(i64, [u32; 3])>, StoreError> {
        self.db.read(|c| {
            let rows = c.query(
                "SELECT day, good, bad, unknown FROM service_day WHERE service = $1 AND day >= $2 ORDER BY day",
                args![&*fit(service), first],
            )?;
            let seconds = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
            rows.iter()
                .map(|row| Ok((row.int(0)?, [1, 2, 3].map(|at| row.count(at).map_or(0, seconds)))))
                .collect()
        })
    }

    fn compile(&self, c: &mut Conn<'_>, query: &Query, now: UnixTime) -> Result<Filter, StoreError> {
        let services = self.services.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let names = self.names.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        Compiler::new(c, &services, Some(&names), now).compile(query)
    }

    /// Counts everything anew and compares with the counts that are kept: what differs, in words. Reads everything.
    ///
    /// # Errors
    /// The store's.
    pub fn recount(&self) -> Result<Vec<String>, StoreError> {
        self.db.read(own::recount)
    }
}

/// The next open placements of an asset.
fn open_placements(
    c: &mut Conn<'_>,
    asset: i64,
    after: i64,
) -> Result<Vec<(i64, crate::rows::PlacementRow)>, StoreError> {
    fetch::placements(
        c,
        "p.asset = $1 AND p.gone IS NULL AND p.id > $2 ORDER BY p.id LIMIT $3",
        args![asset, after, FEW],
    )
}

/// The numbers of one page.
fn page(
    c: &mut Conn<'_>,
    filter: &Filter,
    sort: Sort,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<i64>, StoreError> {
    let after = after.map(|text| fetch::read_cursor(sort, text)).transpose()?;
    let n = filter.values.len();
    // A plus sign keeps SQLite from walking an order when few rows are to be fetched and sorted.
    let plus = if filter.narrow { "+" } else { "" };
    let (a, b) = (format!("${}", n + 1), format!("${}", n + 2));
    let (beyond, order) = match sort {
        Sort::Ends => (
            // Both halves: the first bounds the walk through the index.
            format!("{plus}a.not_after >= {a} AND ({plus}a.not_after > {a} OR a.id > {b})"),
            format!("{plus}a.not_after, {plus}a.id"),
        ),
        Sort::Newest => (format!("a.id < {a}"), "a.id DESC".to_owned()),
        Sort::Title => {
            (format!("(a.title > {a} OR (a.title = {a} AND a.id > {b}))"), "a.title, a.id".to_owned())
        }
    };
    let mut values: Vec<Value<'_>> = Vec::new();
    let mut sql = format!("SELECT a.id FROM asset a WHERE {}", filter.sql);
    if let Some((end, title, id)) = &after {
        match sort {
            Sort::Title => values.push(title.into()),
            Sort::Ends => values.push((*end).into()),
            Sort::Newest => {}
        }
        values.push((*id).into());
        sql.push_str(&format!(" AND {beyond}"));
    }
    values.push(limit.into());
    sql.push_str(&format!(" ORDER BY {order} LIMIT ${}", n + values.len()));
    let rows = c.query(&sql, &filter.with(&values))?;
    rows.iter().map(|row| row.int(0)).collect()
}

/// The number of an asset.
pub(crate) fn asset_number(
    c: &mut Conn<'_>,
    id: &notafter_core::Fingerprint,
) -> Result<Option<i64>, StoreError> {
    let (fp8, fp24) = texts::split(id);
    let row = c.first("SELECT id FROM asset WHERE fp8 = $1 AND fp24 = $2", args![fp8, fp24])?;
    row.map(|r| r.int(0)).transpose()
}

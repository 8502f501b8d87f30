//! What was seen, kept: assets, placements as intervals, keys, links, blind spots, scans.
//!
//! A look that finds what was known writes nothing. Everything touched becomes due for judgment in the same
//! transaction, so that a crash in between loses no verdict.

mod apart;
mod beside;
mod finish;
pub(crate) mod intern;
mod prepare;
mod record;
mod renewals;

use notafter_core::UnixTime;
use notafter_core::inventory::Inventory;
use notafter_core::scan::Scan;

pub use apart::GivenUp;

use crate::db::args;
use crate::seen::SeenAll;
use crate::{Store, StoreError};

/// One run of a source while it goes on: what was seen so far and what was looked up already.
pub struct Run {
    pub(crate) source: i64,
    pub(crate) started: UnixTime,
    position: Option<Vec<u8>>,
    seen: SeenAll,
    cache: prepare::Cache,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The counts.
    pub scan: Scan,
    /// Was everything looked at? Only then is what was not seen marked as unseen.
    pub complete: bool,
    /// Why the source could not run at all.
    pub fault: Option<String>,
    /// Until when it may rest.
    pub next: Option<UnixTime>,
}

/// What a batch changed, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Changed {
    pub new_assets: u64,
    pub new_placements: u64,
    pub changed_placements: u64,
    pub gone_placements: u64,
    pub unseen_placements: u64,
    pub returned_placements: u64,
    pub blind_spots: u64,
    /// Rows written in all: 0 when nothing had changed.
    pub writes: u64,
}

impl Changed {
    /// Adds what another batch changed.
    pub fn add(&mut self, more: &Self) {
        self.new_assets += more.new_assets;
        self.new_placements += more.new_placements;
        self.changed_placements += more.changed_placements;
        self.gone_placements += more.gone_placements;
        self.unseen_placements += more.unseen_placements;
        self.returned_placements += more.returned_placements;
        self.blind_spots += more.blind_spots;
        self.writes += more.writes;
    }
}

impl Store {
    /// Begins a run of a source, or goes on with one that was broken off (then `resumed_at` is its cursor and
    /// what it had seen counts as seen).
    ///
    /// # Errors
    /// The store's.
    pub fn begin(&self, source: &str, vantage: &str, now: UnixTime) -> Result<Run, StoreError> {
        self.db.write(|c| {
            let id = source_id(c, source)?;
            let mut row =
                c.one("SELECT vantage, removed, going, position, seen FROM source WHERE id = $1", args![id])?;
            if row.text(0)? != vantage || row.int(1)? != 0 {
                c.execute("UPDATE source SET vantage = $2, removed = 0 WHERE id = $1", args![id, vantage])?;
            }
            let (going, position, seen) = (row.maybe_int(2)?, row.maybe_blob(3)?, row.maybe_blob(4)?);
            // Only with what it had seen can a run go on: else all of that would count as unseen.
            let kept = seen.as_deref().and_then(SeenAll::unpack);
            if let (Some(going), Some(position), Some(seen)) = (going, position, kept) {
                let cache = prepare::Cache::default();
                return Ok(Run {
                    source: id,
                    started: UnixTime(going),
                    position: Some(position),
                    seen,
                    cache,
                });
            }
            c.execute(
                "UPDATE source SET last_started = $2, going = $2, position = NULL, seen = NULL WHERE id = $1",
                args![id, now],
            )?;
            let (seen, cache) = (SeenAll::default(), prepare::Cache::default());
            Ok(Run { source: id, started: now, position: None, seen, cache })
        })
    }

    /// Keeps what was seen. One transaction; again with the same batch changes nothing.
    ///
    /// At an endpoint, another leaf at the same place (same location; RSA and ECDSA certificates may stand side by
    /// side within one run) ends the interval of the one that was there. In a file likewise. A placement whose role,
    /// chain or facts changed is updated in place.
    ///
    /// # Errors
    /// The store's. Nothing of the batch is kept then.
    pub fn record(&self, run: &mut Run, batch: &Inventory) -> Result<Changed, StoreError> {
        run.cache.trim();
        let done = self.prepare(&mut run.cache, batch).and_then(|prepared| {
            let (source, started) = (run.source, run.started.0);
            let (cache, seen) = (&mut run.cache, &run.seen);
            let packing = prepare::Packing::new(batch, &prepared.fresh);
            std::thread::scope(|scope| {
                if packing.is_long() {
                    scope.spawn(|| packing.help());
                }
                self.db.write_once(|c| {
                    record::Recording::new(source, started, cache, seen, batch, prepared, &packing).run(c)
                })
            })
        });
        match done {
            Ok((changed, saw)) => {
                run.seen.extend(&saw);
                Ok(changed)
            }
            Err(error) => {
                // Numbers given out in a transaction that was taken back are nobody's.
                run.cache = prepare::Cache::default();
                Err(error)
            }
        }
    }

    /// Remembers how far a run has come, so that it can go on after a restart.
    ///
    /// # Errors
    /// The store's.
    pub fn checkpoint(&self, run: &Run, cursor: &[u8]) -> Result<(), StoreError> {
        let seen = run.seen.pack()?;
        self.db.write(|c| {
            c.execute(
                "UPDATE source SET going = $2, position = $3, seen = $4 WHERE id = $1",
                args![run.source, run.started, cursor, &seen],
            )
        })?;
        Ok(())
    }

    /// Ends a run: what this source had seen before and did not see in a complete run is marked unseen (a file whose
    /// folder was read and which is not there any more is gone), blind spots that were not met again end, and the scan is
    /// written down. Once it succeeded, the run is over; who keeps it for another attempt lends it.
    ///
    /// # Errors
    /// The store's.
    pub fn finish(
        &self,
        run: impl std::borrow::Borrow<Run>,
        outcome: &Outcome,
        now: UnixTime,
    ) -> Result<Changed, StoreError> {
        self.db.write(|c| finish::Finishing::new(run.borrow(), now).run(c, outcome))
    }

    /// A person says that a place is gone for good: ends its placements, keys and blind spots, is audited. That it cannot
    /// be seen is no news from then on; a new sighting revives it. Returns how many of them it ended.
    ///
    /// # Errors
    /// The store's.
    pub fn retire(&self, location: &str, reason: &str, by: &str, now: UnixTime) -> Result<u64, StoreError> {
        self.db.write(|c| finish::retire(c, location, reason, by, now))
    }

    /// Says which sources there are. What only others saw is taken over by whoever sees it next.
    ///
    /// # Errors
    /// The store's.
    pub fn set_sources(&self, names: &[&str]) -> Result<(), StoreError> {
        self.db.write(|c| {
            for mut row in c.query("SELECT id, name, removed FROM source", &[])? {
                let removed = !names.contains(&row.text(1)?.as_str());
                if removed != (row.int(2)? != 0) {
                    c.execute("UPDATE source SET removed = $2 WHERE id = $1", args![row.int(0)?, removed])?;
                }
            }
            Ok(())
        })
    }
}

/// The number of a source; its row is made when there is none.
pub(crate) fn source_id(c: &mut crate::db::Conn<'_>, name: &str) -> Result<i64, StoreError> {
    if let Some(row) = c.first("SELECT id FROM source WHERE name = $1", args![name])? {
        return row.int(0);
    }
    let id = intern::next_id(c, "source")?;
    c.execute(
        "INSERT INTO source (id, name, vantage, removed, attempted, reached, unreachable, files, placements, blind_spots)
         VALUES ($1, $2, '', 0, 0, 0, 0, 0, 0, 0)",
        args![id, name],
    )?;
    Ok(id)
}

impl Run {
    /// Where a resumed run has to go on; `None` for a fresh one.
    pub fn resumed_at(&self) -> Option<&[u8]> {
        self.position.as_deref()
    }

    /// When it began.
    pub fn started(&self) -> UnixTime {
        self.started
    }
}

//! What stands in many rows is kept once and named by number: words, distinguished names, chains, facts, places.

use std::collections::HashMap;

use notafter_core::location::Location;

use crate::db::{Conn, Result, Value, args};
use crate::places;
use crate::read::DistinguishedName;

use super::prepare::{Cache, in_two};

/// The next free number of a table. There is one writer, so nobody else gives it out.
pub(crate) fn next_id(c: &mut Conn<'_>, table: &'static str) -> Result<i64> {
    let sql = match table {
        "asset" => "SELECT coalesce(max(id), 0) + 1 FROM asset",
        "placement" => "SELECT coalesce(max(id), 0) + 1 FROM placement",
        "location" => "SELECT coalesce(max(id), 0) + 1 FROM location",
        "chain" => "SELECT coalesce(max(id), 0) + 1 FROM chain",
        "facts" => "SELECT coalesce(max(id), 0) + 1 FROM facts",
        "dname" => "SELECT coalesce(max(id), 0) + 1 FROM dname",
        "word" => "SELECT coalesce(max(id), 0) + 1 FROM word",
        "keyseen" => "SELECT coalesce(max(id), 0) + 1 FROM keyseen",
        "link" => "SELECT coalesce(max(id), 0) + 1 FROM link",
        "renewal" => "SELECT coalesce(max(id), 0) + 1 FROM renewal",
        "blind" => "SELECT coalesce(max(id), 0) + 1 FROM blind",
        "source" => "SELECT coalesce(max(id), 0) + 1 FROM source",
        "run" => "SELECT coalesce(max(id), 0) + 1 FROM run",
        "outbox" => "SELECT coalesce(max(number), 0) + 1 FROM outbox",
        _ => "SELECT coalesce(max(id), 0) + 1 FROM audit",
    };
    c.one(sql, &[])?.int(0)
}

/// The number of a word, written if it is new.
pub(crate) fn word(c: &mut Conn<'_>, text: &str) -> Result<i64> {
    let hash = places::hash48(text.as_bytes());
    for mut row in c.query("SELECT id, text FROM word WHERE hash = $1", args![hash])? {
        if row.text(1)? == text {
            return row.int(0);
        }
    }
    let id = next_id(c, "word")?;
    c.execute("INSERT INTO word (id, hash, text) VALUES ($1, $2, $3)", args![id, hash, text])?;
    Ok(id)
}

impl Cache {
    pub(crate) fn word(&mut self, c: &mut Conn<'_>, text: &str) -> Result<i64> {
        if let Some(id) = self.words.get(text) {
            return Ok(*id);
        }
        let id = word(c, text)?;
        self.words.insert(text.to_owned(), id);
        Ok(id)
    }

    pub(crate) fn dname(&mut self, c: &mut Conn<'_>, name: &DistinguishedName) -> Result<i64> {
        if let Some(id) = self.dnames.get(&name.text) {
            return Ok(*id);
        }
        let id = match c.first("SELECT id FROM dname WHERE text = $1", args![&name.text])? {
            Some(row) => row.int(0)?,
            None => {
                let id = next_id(c, "dname")?;
                c.execute(
                    "INSERT INTO dname (id, text, name, folded, alike, base) VALUES ($1, $2, $3, $4, $5, NULL)",
                    args![id, &name.text, &name.name, &name.text.to_lowercase(), name.alike],
                )?;
                id
            }
        };
        self.dnames.insert(name.text.clone(), id);
        Ok(id)
    }

    /// The number of a chain by its members behind the leaf.
    pub(crate) fn chain(&mut self, c: &mut Conn<'_>, members: &[i64]) -> Result<i64> {
        let packed: Vec<u8> = members.iter().flat_map(|id| id.to_be_bytes()).collect();
        if let Some(id) = self.chains.get(&packed) {
            return Ok(*id);
        }
        let hash = places::hash48(&packed);
        let known = c.first("SELECT id FROM chain WHERE hash = $1 AND members = $2", args![hash, &packed])?;
        let id = match known {
            Some(row) => row.int(0)?,
            None => {
                let id = next_id(c, "chain")?;
                c.execute(
                    "INSERT INTO chain (id, hash, members) VALUES ($1, $2, $3)",
                    args![id, hash, &packed],
                )?;
                id
            }
        };
        self.chains.insert(packed, id);
        Ok(id)
    }

    pub(crate) fn facts(&mut self, c: &mut Conn<'_>, json: &str) -> Result<i64> {
        if let Some(id) = self.facts.get(json) {
            return Ok(*id);
        }
        let hash = places::hash48(json.as_bytes());
        for mut row in c.query("SELECT id, json FROM facts WHERE hash = $1", args![hash])? {
            if row.text(1)? == json {
                let id = row.int(0)?;
                self.facts.insert(json.to_owned(), id);
                return Ok(id);
            }
        }
        let id = next_id(c, "facts")?;
        c.execute("INSERT INTO facts (id, hash, json) VALUES ($1, $2, $3)", args![id, hash, json])?;
        self.facts.insert(json.to_owned(), id);
        Ok(id)
    }
}

/// The asset numbers in a chain's row.
pub(crate) fn members(packed: &[u8]) -> Vec<i64> {
    packed.as_chunks::<8>().0.iter().map(|id| i64::from_be_bytes(*id)).collect()
}

/// Places by number; new ones are written.
#[derive(Default)]
pub(crate) struct Places {
    ids: HashMap<Location, (i64, bool)>,
}

impl Places {
    /// Looks all of them up at once.
    pub(crate) fn learn<'l>(
        &mut self,
        c: &mut Conn<'_>,
        wanted: impl Iterator<Item = &'l Location>,
    ) -> Result<()> {
        let mut unknown: Vec<&Location> = Vec::new();
        for location in wanted {
            if !self.ids.contains_key(location) {
                // Filled in below; the entry keeps the same place from being asked for twice.
                self.ids.insert(location.clone(), (0, true));
                unknown.push(location);
            }
        }
        let spots = in_two(&unknown, |part| part.iter().map(|l| places::spot(l)).collect());
        let asked: Vec<Vec<Value<'_>>> = spots.iter().map(|s| vec![(*s).into()]).collect();
        let found = c.query_many("SELECT id, text FROM location WHERE spot = $1", &asked)?;
        let mut next = 0;
        let mut inserts = Vec::new();
        for ((location, spot), rows) in unknown.into_iter().zip(&spots).zip(found) {
            let mut known = None;
            for mut row in rows {
                if row.text(1)? == location.as_str() {
                    known = Some(row.int(0)?);
                }
            }
            let id = match known {
                Some(id) => id,
                None => {
                    if next == 0 {
                        next = next_id(c, "location")?;
                    }
                    inserts.push(vec![next.into(), (*spot).into(), location.as_str().into()]);
                    next += 1;
                    next - 1
                }
            };
            self.ids.insert(location.clone(), (id, known.is_none()));
        }
        c.execute_many("INSERT INTO location (id, spot, text) VALUES ($1, $2, $3)", &inserts)?;
        Ok(())
    }

    /// The number, and whether the place is new.
    pub(crate) fn id(&self, location: &Location) -> (i64, bool) {
        self.ids.get(location).copied().unwrap_or((0, true))
    }
}

/// The number of a place that is known.
pub(crate) fn find_place(c: &mut Conn<'_>, location: &Location) -> Result<Option<i64>> {
    let spot = places::spot(location);
    for mut row in c.query("SELECT id, text FROM location WHERE spot = $1", args![spot])? {
        if row.text(1)? == location.as_str() {
            return Ok(Some(row.int(0)?));
        }
    }
    Ok(None)
}

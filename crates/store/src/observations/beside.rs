//! The rest of a batch: private keys, links, and what could not be seen. Intervals, like placements.

use std::collections::{BTreeSet, HashSet};

use notafter_core::location::Location;
use notafter_core::subject::SubjectKey;
use notafter_pki::name::printable;

use super::intern::next_id;
use super::record::Recording;
use crate::db::{Conn, Result, Value, args};
use crate::places;
use crate::read::key32;
use crate::texts;

/// Which of these known places were retired and were not seen again since.
fn retired(c: &mut Conn<'_>, places: impl Iterator<Item = (i64, bool)>) -> Result<HashSet<i64>> {
    let known: Vec<Vec<Value<'_>>> = places.filter(|(_, new)| !new).map(|(id, _)| vec![id.into()]).collect();
    if known.is_empty() || c.first("SELECT location FROM retired LIMIT 1", &[])?.is_none() {
        return Ok(HashSet::new());
    }
    let found = c.query_many("SELECT location FROM retired WHERE location = $1", &known)?;
    found.into_iter().flatten().map(|row| row.int(0)).collect()
}

impl Recording<'_> {
    pub(super) fn keys(&mut self, c: &mut Conn<'_>) -> Result<()> {
        for key in self.batch.keys() {
            let (place, new_place) = self.places.id(&key.location);
            let facts = self.cache.facts(c, &texts::facts_json(&key.facts))?;
            let id = key.key.map(|k| k.0.to_vec());
            let format = printable(key.format);
            let open = if new_place {
                Vec::new()
            } else {
                c.query(
                    "SELECT id, key_id, format, encrypted, facts, source FROM keyseen
                     WHERE location = $1 AND gone IS NULL",
                    args![place],
                )?
            };
            let mut found = false;
            for mut row in open {
                let number = row.int(0)?;
                let same =
                    row.maybe_blob(1)? == id && row.text(2)? == format && (row.int(3)? != 0) == key.encrypted;
                if !same {
                    // One place holds one key: this one took its place, unless both were seen in one run.
                    if !self.seen.keys.contains(number) && !self.saw.keys.contains(number) {
                        c.execute("UPDATE keyseen SET gone = $2 WHERE id = $1", args![number, key.seen])?;
                        self.changed.writes += 1;
                    }
                    continue;
                }
                found = true;
                self.saw.keys.insert(number);
                if row.int(5)? == self.source && row.int(4)? != facts {
                    c.execute("UPDATE keyseen SET facts = $2 WHERE id = $1", args![number, facts])?;
                    self.changed.writes += 1;
                    self.touch_key(&key.location, key.key);
                }
            }
            if !found {
                let number = next_id(c, "keyseen")?;
                c.execute(
                    "INSERT INTO keyseen (id, location, key_id, key6, format, encrypted, facts, source, first_seen)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                    args![
                        number,
                        place,
                        id.as_ref(),
                        key.key.map(|k| key32(&k)),
                        &format,
                        key.encrypted,
                        facts,
                        self.source,
                        key.seen
                    ],
                )?;
                self.saw.keys.insert(number);
                self.changed.writes += 1;
                self.touch_key(&key.location, key.key);
            }
        }
        Ok(())
    }

    fn touch_key(&mut self, location: &Location, key: Option<notafter_core::KeyId>) {
        self.ledger.touch_subject(&SubjectKey::Key(location.clone()));
        self.ledger.keys.extend(key.map(|k| key32(&k)));
        self.ledger.folders.insert(places::group(location));
    }

    pub(super) fn links(&mut self, c: &mut Conn<'_>) -> Result<()> {
        let at = self.at;
        for link in self.batch.links() {
            let (from_file, to_address) = (places::end_hash(&link.from), places::end_hash(&link.to));
            let kind = link.kind.as_str();
            let evidence = printable(&link.evidence);
            let open = c.query(
                "SELECT id, from_place, to_place, evidence, source, kind FROM link
                 WHERE from_file = $1 AND gone IS NULL",
                args![from_file],
            )?;
            let mut found = false;
            for mut row in open {
                let same = row.text(1)? == link.from.as_str() && row.text(2)? == link.to.as_str();
                if !same || row.text(5)? != kind {
                    continue;
                }
                found = true;
                let number = row.int(0)?;
                self.saw.links.insert(number);
                if row.text(3)? != evidence && row.int(4)? == self.source {
                    c.execute("UPDATE link SET evidence = $2 WHERE id = $1", args![number, &evidence])?;
                    self.changed.writes += 1;
                }
            }
            if found {
                continue;
            }
            let number = next_id(c, "link")?;
            c.execute(
                "INSERT INTO link (id, kind, from_place, to_place, from_file, to_address, evidence, source, first_seen)
                 VALUES ($1, $9, $2, $3, $4, $5, $6, $7, $8)",
                args![
                    number,
                    link.from.as_str(),
                    link.to.as_str(),
                    from_file,
                    to_address,
                    &evidence,
                    self.source,
                    at,
                    kind
                ],
            )?;
            self.saw.links.insert(number);
            self.changed.writes += 1;
            // What either end holds may be judged otherwise now.
            for end in [&link.from, &link.to] {
                self.ledger.folders.insert(places::group(end));
            }
        }
        Ok(())
    }

    pub(super) fn blind_spots(&mut self, c: &mut Conn<'_>) -> Result<()> {
        let at = self.at;
        let quiet = retired(c, self.batch.blind_spots().iter().map(|b| self.places.id(&b.location)))?;
        for spot in self.batch.blind_spots() {
            let (place, new_place) = self.places.id(&spot.location);
            if quiet.contains(&place) {
                // A person said that it is gone for good: that it shows nothing is no news. It still hides what is in it.
                let last = c.first(
                    "SELECT max(id) FROM blind WHERE location = $1 AND source = $2",
                    args![place, self.source],
                )?;
                if let Some(number) = last.map(|row| row.maybe_int(0)).transpose()?.flatten() {
                    self.saw.blind.insert(number);
                }
                continue;
            }
            let detail = printable(&spot.detail);
            let open = if new_place {
                Vec::new()
            } else {
                c.query(
                    "SELECT id, detail FROM blind WHERE location = $1 AND gone IS NULL AND reason = $2 AND source = $3",
                    args![place, spot.reason.as_str(), self.source],
                )?
            };
            if let Some(mut row) = open.into_iter().next() {
                let number = row.int(0)?;
                self.saw.blind.insert(number);
                if row.text(1)? != detail {
                    c.execute("UPDATE blind SET detail = $2 WHERE id = $1", args![number, &detail])?;
                    self.changed.writes += 1;
                    self.ledger.touch_subject(&SubjectKey::Blind(spot.location.clone()));
                }
                continue;
            }
            let number = next_id(c, "blind")?;
            c.execute(
                "INSERT INTO blind (id, location, reason, detail, source, since) VALUES ($1, $2, $3, $4, $5, $6)",
                args![number, place, spot.reason.as_str(), &detail, self.source, at],
            )?;
            self.saw.blind.insert(number);
            self.changed.writes += 1;
            self.changed.blind_spots += 1;
            self.ledger.blind(self.source, 1);
            self.ledger.touch_subject(&SubjectKey::Blind(spot.location.clone()));
        }
        self.sees_again(c, at)
    }

    /// What could not be seen and shows something now ends, unless this very run could not see it either.
    fn sees_again(&mut self, c: &mut Conn<'_>, at: i64) -> Result<()> {
        let mut looked = HashSet::new();
        let mut asked: BTreeSet<(i64, &Location)> = BTreeSet::new();
        for location in self
            .batch
            .placements()
            .iter()
            .map(|p| &p.location)
            .chain(self.batch.keys().iter().map(|k| &k.location))
        {
            let (id, new) = self.places.id(location);
            if !new && looked.insert(id) {
                asked.insert((id, location));
            }
        }
        let ids: Vec<Vec<Value<'_>>> = asked.iter().map(|(id, _)| vec![(*id).into()]).collect();
        let rows = c.query_many("SELECT id, source FROM blind WHERE location = $1 AND gone IS NULL", &ids)?;
        for ((_, location), rows) in asked.into_iter().zip(rows) {
            for row in rows {
                let number = row.int(0)?;
                if self.seen.blind.contains(number) || self.saw.blind.contains(number) {
                    continue;
                }
                c.execute("UPDATE blind SET gone = $2 WHERE id = $1", args![number, at])?;
                self.changed.writes += 1;
                self.ledger.blind(row.int(1)?, -1);
                self.ledger.touch_subject(&SubjectKey::Blind(location.clone()));
            }
        }
        Ok(())
    }
}

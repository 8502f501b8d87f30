//! What renewers say, kept as it was said: one row a lineage, changed where they say something else.
//!
//! Whatever lies in the folders of a lineage's certificates becomes due when its row changes: the rules about renewers
//! judge certificates.

use notafter_core::upkeep::Upkeep;

use super::finish::Finishing;
use super::intern::next_id;
use super::record::Recording;
use crate::db::{Conn, Result, args};
use crate::ledger::Ledger;
use crate::{places, texts};

impl Recording<'_> {
    pub(super) fn renewals(&mut self, c: &mut Conn<'_>) -> Result<()> {
        for sighting in self.batch.renewals() {
            let renewal = &sighting.renewal;
            let (state, name) = (places::end_hash(&renewal.state), places::hash48(renewal.key().as_bytes()));
            let body = texts::renewal_json(renewal)?;
            let open = c.query(
                "SELECT id, body, source FROM renewal WHERE name = $1 AND gone IS NULL",
                args![name],
            )?;
            let mut known = None;
            for mut row in open {
                let said = row.text(1)?;
                if texts::renewal(&said)?.key() == renewal.key() {
                    known = Some((row.int(0)?, said == body));
                }
            }
            let number = match known {
                Some((number, same)) => {
                    self.saw.renewals.insert(number);
                    if same {
                        continue;
                    }
                    c.execute(
                        "UPDATE renewal SET body = $2, seen = $3, source = $4 WHERE id = $1",
                        args![number, &body, sighting.seen, self.source],
                    )?;
                    number
                }
                None => {
                    let number = next_id(c, "renewal")?;
                    c.execute(
                        "INSERT INTO renewal (id, state, name, body, source, seen) VALUES ($1, $2, $3, $4, $5, $6)",
                        args![number, state, name, &body, self.source, sighting.seen],
                    )?;
                    number
                }
            };
            self.saw.renewals.insert(number);
            self.changed.writes += 1;
            touch(&mut self.ledger, renewal);
        }
        Ok(())
    }
}

impl Finishing<'_> {
    /// What a complete run did not meet again is gone.
    pub(super) fn renewals(&mut self, c: &mut Conn<'_>) -> Result<()> {
        let rows = c.query(
            "SELECT id, body FROM renewal WHERE source = $1 AND gone IS NULL",
            args![self.run.source],
        )?;
        for mut row in rows {
            if self.run.seen.renewals.contains(row.int(0)?) {
                continue;
            }
            c.execute("UPDATE renewal SET gone = $2 WHERE id = $1", args![row.int(0)?, self.run.started])?;
            self.changed.writes += 1;
            touch(&mut self.ledger, &texts::renewal(&row.text(1)?)?);
        }
        Ok(())
    }
}

fn touch(ledger: &mut Ledger, renewal: &Upkeep) {
    for file in &renewal.certificates {
        ledger.folders.insert(places::group(file));
    }
}

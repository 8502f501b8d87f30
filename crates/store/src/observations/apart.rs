//! A batch that the database refuses for what is in it, kept in parts: all but the places that it is about.
//!
//! One odd thing must not stop its source for ever. What is given up is written into the audit trail and stands as a
//! place that cannot be seen. When many are refused, the fault is not theirs: then nothing is given up.

use std::collections::{BTreeSet, HashMap};

use notafter_core::UnixTime;
use notafter_core::inventory::{Asset, AssetIx, BlindSpot, Inventory, Placement};
use notafter_core::location::Location;
use notafter_core::observation::Reason;

use super::{Changed, Run};
use crate::alerts::AuditLine;
use crate::{Store, StoreError, Trouble};

/// More refused places than this in one batch, and the database itself is at fault.
const GIVEN_UP_MAX: usize = 10;

/// What could not be kept, and why.
pub type GivenUp = Vec<(Location, StoreError)>;

impl Store {
    /// Keeps a batch that [`Store::record`] refused with [`Trouble::Other`], without the places that it is about.
    ///
    /// # Errors
    /// The store's; too much is refused. What was kept until then is kept again by the next attempt, which changes
    /// nothing.
    pub fn record_apart(
        &self,
        run: &mut Run,
        batch: &Inventory,
        now: UnixTime,
    ) -> Result<(Changed, GivenUp), StoreError> {
        let mut done = (Changed::default(), GivenUp::new());
        let places: Vec<Location> = places(batch).into_iter().cloned().collect();
        self.apart(run, batch, &places, now, &mut done)?;
        Ok(done)
    }

    fn apart(
        &self,
        run: &mut Run,
        batch: &Inventory,
        places: &[Location],
        now: UnixTime,
        (changed, given_up): &mut (Changed, GivenUp),
    ) -> Result<(), StoreError> {
        let mut waiting = vec![places];
        while let Some(places) = waiting.pop() {
            if places.is_empty() {
                continue;
            }
            match self.record(run, &part(batch, places)) {
                Ok(more) => changed.add(&more),
                Err(error) if error.trouble != Trouble::Other => return Err(error),
                Err(error) => match places {
                    [one] => {
                        if given_up.len() >= GIVEN_UP_MAX {
                            return Err(error);
                        }
                        self.give_up(run, one, &error, now)?;
                        given_up.push((one.clone(), error));
                    }
                    several => {
                        let (first, rest) = several.split_at(several.len() / 2);
                        waiting.extend([rest, first]);
                    }
                },
            }
        }
        Ok(())
    }

    /// Says so where it stays. A database that does not even take this is at fault itself.
    fn give_up(
        &self,
        run: &mut Run,
        place: &Location,
        error: &StoreError,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        self.audit(&AuditLine {
            at: now,
            who: "notafter".into(),
            what: "given-up".into(),
            subject: place.to_string(),
            detail: format!("what was seen there could not be kept: {error}"),
        })?;
        let mut spot = Inventory::default();
        spot.add_blind_spot(BlindSpot {
            location: place.clone(),
            reason: Reason::Malformed,
            detail: format!("what was seen there could not be kept: {error}"),
        });
        match self.record(run, &spot) {
            // The place itself may be what is refused.
            Err(error) if error.trouble != Trouble::Other => Err(error),
            _ => Ok(()),
        }
    }
}

fn places(batch: &Inventory) -> BTreeSet<&Location> {
    let placed = batch.placements().iter().map(|p| &p.location);
    let keys = batch.keys().iter().map(|k| &k.location);
    let links = batch.links().iter().map(|l| &l.from);
    let renewals = batch.renewals().iter().map(|r| &r.renewal.state);
    placed
        .chain(keys)
        .chain(links)
        .chain(renewals)
        .chain(batch.blind_spots().iter().map(|b| &b.location))
        .collect()
}

/// What a batch says of these places.
fn part(batch: &Inventory, places: &[Location]) -> Inventory {
    let wanted: BTreeSet<&Location> = places.iter().collect();
    let mut out = Inventory::default();
    let mut known = HashMap::new();
    for placement in batch.placements().iter().filter(|p| wanted.contains(&p.location)) {
        let asset = take(batch, &mut out, &mut known, placement.asset);
        let chain = placement.chain.as_ref();
        let chain = chain.map(|c| c.iter().map(|ix| take(batch, &mut out, &mut known, *ix)).collect());
        out.place(Placement { asset, chain, ..placement.clone() });
    }
    batch.keys().iter().filter(|k| wanted.contains(&k.location)).for_each(|k| out.add_key(k.clone()));
    batch.links().iter().filter(|l| wanted.contains(&l.from)).for_each(|l| out.add_link(l.clone()));
    let renewals = batch.renewals().iter().filter(|r| wanted.contains(&r.renewal.state));
    renewals.for_each(|r| out.add_renewal(r.clone()));
    let blind = batch.blind_spots().iter().filter(|b| wanted.contains(&b.location));
    blind.for_each(|b| out.add_blind_spot(b.clone()));
    out
}

fn take(
    batch: &Inventory,
    out: &mut Inventory,
    known: &mut HashMap<AssetIx, AssetIx>,
    ix: AssetIx,
) -> AssetIx {
    *known.entry(ix).or_insert_with(|| {
        let bytes = out.keep(&batch.bytes(ix));
        out.add(Asset { bytes, ..batch.asset(ix).clone() })
    })
}

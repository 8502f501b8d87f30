//! The future: what lapses until a date, who is told when, and what shorter lifetimes would mean.
//!
//! From the inventory as it stands and the same ladder that the rules judge by. It foresees no renewal: nothing
//! here is known to renew by itself until it was seen to.

use std::collections::BTreeMap;

use notafter_core::UnixTime;
use notafter_core::deadline::Ladder;
use notafter_core::query::{Order, Query, State, Term, Test, When};
use notafter_store::queries::Sort;
use notafter_store::rows::AssetRow;
use notafter_store::{Store, StoreError};

use crate::setup::Setup;

/// So many lapses are listed; the rest are counted.
pub const LIST_MAX: usize = 1000;

/// Leaves are counted one by one up to so many; beyond that nearly all that is in use is a leaf, and all are counted.
const LEAVES_EXACT: u64 = 20_000;

/// What will lapse.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forecast {
    /// In order of time; [`LIST_MAX`] at most.
    pub lapses: Vec<Lapse>,
    /// How many there are in all.
    pub count: u64,
    /// Lapses by owner.
    pub owners: BTreeMap<String, u64>,
    /// For each lifetime in days asked about: renewals a week that the leaves in use would need.
    pub renewals: Vec<(u32, f64)>,
    /// Leaves in use.
    pub leaves: u64,
}

/// One lapse.
#[derive(Clone, Debug, PartialEq)]
pub struct Lapse {
    /// What.
    pub asset: AssetRow,
    /// When.
    pub at: UnixTime,
    /// Who is told, and when each step is due: warning, critical, page.
    pub owner: String,
    /// The steps that are still to come or have come.
    pub told: [UnixTime; 3],
}

/// Looks ahead from `now` until `until`.
///
/// # Errors
/// The store's.
pub fn look(
    store: &Store,
    setup: &Setup,
    until: UnixTime,
    lifetimes: &[u32],
    now: UnixTime,
) -> Result<Forecast, StoreError> {
    let term = |not, test| Term { not, test };
    let ours = Query {
        terms: vec![
            term(false, Test::Ends(Order::Before, When::At(until.plus(1)))),
            term(true, Test::Is(State::Expired)),
            term(true, Test::Is(State::Superseded)),
            term(true, Test::Role("trust-anchor".into())),
        ],
    };
    let mut out = Forecast::default();
    // Only what is listed is read; a season of a million assets is counted by the database.
    for asset in store.assets(&ours, Sort::Ends, None, LIST_MAX, now)?.rows {
        let Some(end) = asset.not_after else { continue };
        let owner = asset.owner.clone().unwrap_or_else(|| setup.last_resort.clone());
        let ladder = ladder(&asset, end, setup);
        let told = [ladder.warning, ladder.critical, ladder.page].map(|before| end.plus(-before));
        out.lapses.push(Lapse { at: end, owner, told, asset });
    }
    for (owner, count) in store.count_by_owner(&ours, now)? {
        *out.owners.entry(owner.unwrap_or_else(|| setup.last_resort.clone())).or_default() += count;
        out.count += count;
    }
    let leaves = Query {
        terms: vec![term(false, Test::Role("leaf".into())), term(true, Test::Is(State::Superseded))],
    };
    out.leaves = store.count(&leaves, LEAVES_EXACT, now)?;
    if out.leaves >= LEAVES_EXACT {
        out.leaves = store.totals()?.assets;
    }
    out.renewals = lifetimes.iter().map(|days| (*days, renewals_a_week(out.leaves, *days))).collect();
    Ok(out)
}

fn ladder(asset: &AssetRow, end: UnixTime, setup: &Setup) -> Ladder {
    let lifetime = end.0.saturating_sub(asset.not_before.unwrap_or(end).0);
    let ladder =
        if asset.is_ca && asset.served == 0 { Ladder::for_ca(lifetime) } else { Ladder::for_leaf(lifetime) };
    let owner = asset.owner.as_ref().and_then(|name| setup.owners.iter().find(|o| &o.name == name));
    let needed = owner.and_then(|o| o.needs_days).map_or(0, |d| i64::from(d) * 86_400);
    Ladder { warning: ladder.warning.max(needed), ..ladder }
}

/// Renewed at two thirds of its life, as is usual, a leaf of so many days is renewed every `days * 2/3`.
pub fn renewals_a_week(leaves: u64, days: u32) -> f64 {
    if days == 0 { 0.0 } else { leaves as f64 * 7.0 / (f64::from(days) * 2.0 / 3.0) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn shorter_lives_mean_more_work() {
        assert_eq!(super::renewals_a_week(1000, 100).round(), 105.0);
        assert_eq!(super::renewals_a_week(1000, 47).round(), 223.0);
    }
}

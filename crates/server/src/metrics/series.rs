//! One series a current placement: when it begins and when it ends.
//!
//! Two walks over the store, because the format wants each family whole. What is kept meanwhile is a hash a
//! series, so that one that two sources see is not written twice: eight bytes each, and bounded by the cap.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io;

use notafter_core::UnixTime;
use notafter_core::query::Query;
use notafter_store::Store;
use notafter_store::rows::{AssetRow, PlacementRow};

use super::text::Text;
use crate::stream::Stopped;

/// Writes both families and how much was cut.
pub(super) fn write(store: &Store, most: usize, now: UnixTime, text: &mut Text<'_>) -> Result<(), Stopped> {
    text.family(
        "notafter_asset_not_after_timestamp_seconds",
        "gauge",
        "When an asset ends, by place. The series stays after that, and while the place does not answer.",
    )?;
    let walked = walk(store, most, now, text, |row| row.not_after)?;
    text.family("notafter_asset_not_before_timestamp_seconds", "gauge", "When an asset begins to be valid.")?;
    walk(store, most, now, text, |row| row.not_before)?;
    let dropped =
        if walked.cut { store.totals()?.placements.saturating_sub(walked.placements).max(1) } else { 0 };
    text.family(
        "notafter_metrics_series_dropped",
        "gauge",
        "Placements that have no series, because there are more than `metrics.max_series`.",
    )?;
    text.sample(&[], dropped as f64)?;
    Ok(())
}

struct Walked {
    /// Placements that were looked at and have a series, or need none of their own.
    placements: u64,
    cut: bool,
}

fn walk(
    store: &Store,
    most: usize,
    now: UnixTime,
    text: &mut Text<'_>,
    value: fn(&AssetRow) -> Option<UnixTime>,
) -> Result<Walked, Stopped> {
    let hasher = RandomState::new();
    let mut seen: HashSet<u64> = HashSet::new();
    let mut walked = Walked { placements: 0, cut: false };
    let mut failed: Option<io::Error> = None;
    store.each_placement(&Query::default(), now, &mut |asset, placement| {
        let role = placement.role.as_str();
        if !seen.insert(hasher.hash_one((asset.id, placement.location.as_str(), role))) {
            walked.placements += 1;
            return true;
        }
        if seen.len() > most {
            walked.cut = true;
            return false;
        }
        walked.placements += 1;
        match value(asset).map(|at| sample(asset, placement, at, text)) {
            Some(Err(error)) => {
                failed = Some(error);
                false
            }
            _ => true,
        }
    })?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(walked),
    }
}

fn sample(asset: &AssetRow, placement: &PlacementRow, at: UnixTime, text: &mut Text<'_>) -> io::Result<()> {
    let id = notafter_pki::fingerprint::hex(&asset.id.0[..8]);
    text.sample(
        &[
            ("id", &id),
            ("kind", asset.kind.as_str()),
            ("name", &asset.title),
            ("issuer_name", &asset.issuer_name),
            ("location", placement.location.as_str()),
            ("role", placement.role.as_str()),
            ("owner", asset.owner.as_deref().unwrap_or("")),
        ],
        at.0 as f64,
    )
}

//! One series a current placement: when it begins and when it ends.
//!
//! One walk over the store. The format wants each family whole, so the second waits in a file until the first is
//! written. What is kept meanwhile is a hash a series, so that one that two sources see is not written twice: eight
//! bytes each, and bounded by the cap.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Seek};

use notafter_core::UnixTime;
use notafter_core::query::Query;
use notafter_store::Store;
use notafter_store::rows::{AssetRow, PlacementRow};

use super::text::Text;
use crate::stream::Stopped;

/// When an asset begins: the second family.
const BEGINS: &str = "notafter_asset_not_before_timestamp_seconds";
/// So many bytes of the second family wait in memory; more wait in a file without a name.
const WAITING: usize = 4 << 20;

/// Writes both families and how much was cut.
pub(super) fn write(store: &Store, most: usize, now: UnixTime, text: &mut Text<'_>) -> Result<(), Stopped> {
    text.family(
        "notafter_asset_not_after_timestamp_seconds",
        "gauge",
        "When an asset ends, by place. The series stays after that, and while the place does not answer.",
    )?;
    let mut later = tempfile::spooled_tempfile(WAITING);
    let walked = walk(store, most, now, text, &mut Text::beside(&mut later, BEGINS))?;
    text.family(BEGINS, "gauge", "When an asset begins to be valid.")?;
    later.rewind()?;
    text.lines(&mut later)?;
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
    ends: &mut Text<'_>,
    begins: &mut Text<'_>,
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
        let written = sample(asset, placement, asset.not_after, ends)
            .and_then(|()| sample(asset, placement, asset.not_before, begins));
        failed = written.err();
        failed.is_none()
    })?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(walked),
    }
}

fn sample(
    asset: &AssetRow,
    placement: &PlacementRow,
    at: Option<UnixTime>,
    text: &mut Text<'_>,
) -> io::Result<()> {
    let Some(at) = at else { return Ok(()) };
    let id = asset.id.to_string();
    text.sample(
        &[
            ("id", &id),
            ("kind", asset.kind.as_str()),
            ("name", &asset.title),
            ("issuer_name", &asset.issuer),
            ("location", placement.location.as_str()),
            ("role", placement.role.as_str()),
            ("owner", asset.owner.as_deref().unwrap_or("")),
        ],
        at.0 as f64,
    )
}

//! Questions that people ask: lists with keyset pages, one asset, one place, counts.

use notafter_core::UnixTime;
use notafter_core::query::Query;

use crate::rows::{AssetRow, AssetWhole, BlindRow, PlaceWhole, SourceRow, Totals};
use crate::{Store, StoreError};

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
        let _ = (query, sort, after, limit, now);
        todo!()
    }

    /// How many a query finds; stops counting at `most`.
    ///
    /// # Errors
    /// The store's.
    pub fn count(&self, query: &Query, most: u64, now: UnixTime) -> Result<u64, StoreError> {
        let _ = (query, most, now);
        todo!()
    }

    /// Assets whose identity begins with these hex digits; two at most, so that a caller can tell one from many.
    ///
    /// # Errors
    /// The store's.
    pub fn by_id(&self, prefix: &str) -> Result<Vec<AssetRow>, StoreError> {
        let _ = prefix;
        todo!()
    }

    /// One asset, whole.
    ///
    /// # Errors
    /// The store's.
    pub fn asset(&self, id: &notafter_core::Fingerprint) -> Result<Option<AssetWhole>, StoreError> {
        let _ = id;
        todo!()
    }

    /// One place, whole.
    ///
    /// # Errors
    /// The store's.
    pub fn place(&self, location: &str) -> Result<Option<PlaceWhole>, StoreError> {
        let _ = location;
        todo!()
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
        let _ = (query, now, each);
        todo!()
    }

    /// Assets in use that end in each span `[from + i*step, from + (i+1)*step)`: how many.
    ///
    /// # Errors
    /// The store's.
    pub fn ends_histogram(&self, from: UnixTime, step: i64, count: usize) -> Result<Vec<u64>, StoreError> {
        let _ = (from, step, count);
        todo!()
    }

    /// All sources that ever ran.
    ///
    /// # Errors
    /// The store's.
    pub fn sources(&self) -> Result<Vec<SourceRow>, StoreError> {
        todo!()
    }

    /// Notes when a source runs next; makes its row.
    ///
    /// # Errors
    /// The store's.
    pub fn schedule(&self, source: &str, next: UnixTime) -> Result<(), StoreError> {
        let _ = (source, next);
        todo!()
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
        let _ = (source, after, limit);
        todo!()
    }

    /// Blind spots counted by source and reason.
    ///
    /// # Errors
    /// The store's.
    pub fn blind_counts(&self) -> Result<Vec<(String, String, u64)>, StoreError> {
        todo!()
    }

    /// The totals.
    ///
    /// # Errors
    /// The store's.
    pub fn totals(&self) -> Result<Totals, StoreError> {
        todo!()
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
        let _ = (query, owner, by, now);
        todo!()
    }

    /// Notes what was observed of a service in a day (UTC, days since 1970): seconds good, bad and unknown, added up.
    ///
    /// # Errors
    /// The store's.
    pub fn add_service_day(&self, service: &str, day: i64, seconds: [u32; 3]) -> Result<(), StoreError> {
        let _ = (service, day, seconds);
        todo!()
    }

    /// The days of a service from `first` on: day and its seconds good, bad, unknown.
    ///
    /// # Errors
    /// The store's.
    pub fn service_days(&self, service: &str, first: i64) -> Result<Vec<(i64, [u32; 3])>, StoreError> {
        let _ = (service, first);
        todo!()
    }
}

/// The number of an asset.
pub(crate) fn asset_number(c: &mut crate::db::Conn<'_>, id: &notafter_core::Fingerprint) -> Result<Option<i64>, StoreError> {
    let (fp8, fp24) = crate::texts::split(id);
    let row = c.first("SELECT id FROM asset WHERE fp8 = $1 AND fp24 = $2", crate::db::args![fp8, fp24])?;
    row.map(|r| r.int(0)).transpose()
}

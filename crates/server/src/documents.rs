//! The API's answers for a command that runs beside the server, so that a script reads the same structs from both.

use notafter_core::UnixTime;
use notafter_core::alert::Alert;
use notafter_store::rows::{AssetRow, FindingRow, PlacementRow};
use serde::Serialize;

use crate::api::documents::{AlertItem, AssetItem, FindingItem, PlacementItem};

/// An asset in a list; `der` are its bytes.
pub fn asset(row: &AssetRow, der: &[u8], now: UnixTime) -> impl Serialize + use<> {
    AssetItem::of(row, der, now)
}

/// A placement, past or present.
pub fn placement(row: &PlacementRow) -> impl Serialize + use<> {
    PlacementItem::of(row)
}

/// A finding.
pub fn finding(row: FindingRow, now: UnixTime) -> impl Serialize + use<> {
    FindingItem::of(row, now)
}

/// An alert.
pub fn alert(alert: Alert) -> impl Serialize + use<> {
    AlertItem::of(alert)
}

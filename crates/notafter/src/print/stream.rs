//! ndjson: one line for each thing, as it is seen, so that a scan of any size needs no memory for it.

use std::io::Write;

use serde::Serialize;

use notafter_core::document::{
    AssetDocument, BlindSpotDocument, FindingDocument, PlacementDocument, ScanHeader,
};
use notafter_core::inventory::{Asset, BlindSpot, Inventory, KeySighting, Placement};
use notafter_core::{Fingerprint, UnixTime};
use notafter_engine::ingest::Tap;

/// Prints lines.
pub(crate) struct Stream {
    at: UnixTime,
    vantage: String,
    line: Vec<u8>,
    /// Nobody reads any more: go on in silence, so that the scan ends in order.
    closed: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Observation { asset: Option<&'a AssetDocument>, placement: &'a PlacementDocument },
    BlindSpot(&'a BlindSpotDocument),
    Finding(&'a FindingDocument),
    Scan(&'a ScanHeader),
}

impl Stream {
    pub(crate) fn new(at: UnixTime, vantage: &str) -> Self {
        Self { at, vantage: vantage.to_owned(), line: Vec::with_capacity(4096), closed: false }
    }

    fn put(&mut self, line: &Line<'_>) {
        if self.closed {
            return;
        }
        self.line.clear();
        if serde_json::to_writer(&mut self.line, line).is_ok() {
            self.line.push(b'\n');
            self.closed = std::io::stdout().lock().write_all(&self.line).is_err();
        }
    }

    pub(crate) fn finding(&mut self, finding: &FindingDocument) {
        self.put(&Line::Finding(finding));
    }

    pub(crate) fn scan(&mut self, header: &ScanHeader) {
        self.put(&Line::Scan(header));
        let _ = std::io::stdout().flush();
    }
}

impl Tap for Stream {
    fn placed(&mut self, asset: &Asset, bytes: &[u8], placement: &Placement, chain: &[Fingerprint]) {
        let asset = AssetDocument::of(asset, bytes, self.at);
        let mut document = PlacementDocument::of_parts(&asset.id, placement, &self.vantage);
        document.chain = chain.iter().map(ToString::to_string).collect();
        self.put(&Line::Observation { asset: Some(&asset), placement: &document });
    }

    fn key(&mut self, key: &KeySighting) {
        let document = PlacementDocument::of_key(key, None, &self.vantage);
        self.put(&Line::Observation { asset: None, placement: &document });
    }

    fn blind(&mut self, spot: &BlindSpot) {
        self.put(&Line::BlindSpot(&BlindSpotDocument::of(spot)));
    }
}

/// Used where the inventory is at hand: the placement with its chain.
pub(crate) fn placements(inventory: &Inventory, vantage: &str) -> Vec<PlacementDocument> {
    let placed = inventory.placements().iter().map(|p| PlacementDocument::of(inventory, p, vantage));
    let by_key: std::collections::HashMap<_, Vec<_>> = inventory
        .assets()
        .filter_map(|(_, a)| Some((a.key?, a)))
        .fold(Default::default(), |mut map, (key, asset)| {
            let list: &mut Vec<&Asset> = std::collections::HashMap::entry(&mut map, key).or_default();
            list.push(asset);
            map
        });
    let keys = inventory.keys().iter().flat_map(|key| {
        let owners = key.key.and_then(|k| by_key.get(&k)).cloned().unwrap_or_default();
        if owners.is_empty() {
            vec![PlacementDocument::of_key(key, None, vantage)]
        } else {
            owners.into_iter().map(|a| PlacementDocument::of_key(key, Some(a), vantage)).collect()
        }
    });
    placed.chain(keys).collect()
}

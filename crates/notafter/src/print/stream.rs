//! ndjson: one line for each thing, as it is seen, so that a scan of any size needs no memory for it.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard};

use serde::Serialize;

use notafter_core::document::{
    AssetDocument, BlindSpotDocument, FindingDocument, PlacementDocument, ScanHeader,
};
use notafter_core::inventory::{Asset, BlindSpot, Inventory, KeySighting, Placement};
use notafter_core::{Fingerprint, UnixTime};
use notafter_engine::ingest::Tap;

/// So many bytes are gathered before they are written: a system call a line would cost more than the line.
const GATHERED_MAX: usize = 32 << 10;
/// So many assets are kept as they were printed: the same few intermediates come with nearly every leaf.
const PRINTED_MAX: usize = 256;

/// Prints lines.
pub(crate) struct Stream {
    at: UnixTime,
    vantage: String,
    outlet: Outlet,
    printed: HashMap<Fingerprint, Box<[u8]>>,
}

/// Where lines gather on their way out. Shared with whoever sees to it that none waits for long.
#[derive(Clone)]
pub(crate) struct Outlet(Arc<Mutex<Gathered>>);

struct Gathered {
    bytes: Vec<u8>,
    /// How much may gather: nothing where somebody looks on.
    most: usize,
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

impl Outlet {
    fn new() -> Self {
        let most = if std::io::stdout().is_terminal() { 0 } else { GATHERED_MAX };
        Self(Arc::new(Mutex::new(Gathered { bytes: Vec::new(), most, closed: false })))
    }

    /// Writes out what has gathered. Gives whether anybody still reads.
    pub(crate) fn flush(&self) -> bool {
        let mut gathered = self.lock();
        gathered.flush();
        !gathered.closed
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Adds one line, which `write` appends without its end; of one that fails nothing is left.
    fn line(&self, write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>) {
        let mut gathered = self.lock();
        if gathered.closed {
            return;
        }
        let before = gathered.bytes.len();
        match write(&mut gathered.bytes) {
            Ok(()) => gathered.bytes.push(b'\n'),
            Err(_) => gathered.bytes.truncate(before),
        }
        if gathered.bytes.len() >= gathered.most {
            gathered.flush();
        }
    }
}

impl Gathered {
    fn flush(&mut self) {
        if !self.closed && !self.bytes.is_empty() {
            let mut out = std::io::stdout().lock();
            self.closed = out.write_all(&self.bytes).and_then(|()| out.flush()).is_err();
        }
        self.bytes.clear();
    }
}

impl Stream {
    pub(crate) fn new(at: UnixTime, vantage: &str) -> Self {
        Self { at, vantage: vantage.to_owned(), outlet: Outlet::new(), printed: HashMap::new() }
    }

    /// Where its lines gather.
    pub(crate) fn outlet(&self) -> Outlet {
        self.outlet.clone()
    }

    fn put(&mut self, line: &Line<'_>) {
        self.outlet.line(|out| serde_json::to_writer(out, line));
    }

    pub(crate) fn finding(&mut self, finding: &FindingDocument) {
        self.put(&Line::Finding(finding));
    }

    pub(crate) fn scan(&mut self, header: &ScanHeader) {
        self.put(&Line::Scan(header));
        self.outlet.flush();
    }

    /// An asset as JSON, made once for as long as it is remembered.
    fn asset(&mut self, asset: &Asset, bytes: &[u8]) -> &[u8] {
        if self.printed.len() >= PRINTED_MAX && !self.printed.contains_key(&asset.id) {
            self.printed.clear();
        }
        self.printed.entry(asset.id).or_insert_with(|| {
            let document = AssetDocument::of(asset, bytes, self.at);
            serde_json::to_vec(&document).unwrap_or_else(|_| b"null".to_vec()).into()
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.outlet.flush();
    }
}

impl Tap for Stream {
    fn placed(&mut self, asset: &Asset, bytes: &[u8], placement: &Placement, chain: &[Fingerprint]) {
        let mut document = PlacementDocument::of_parts(&asset.id.to_string(), placement, &self.vantage);
        document.chain = chain.iter().map(ToString::to_string).collect();
        let outlet = self.outlet.clone();
        let asset = self.asset(asset, bytes);
        // The same as `Line::Observation`, around an asset that is JSON already.
        outlet.line(|out| {
            out.extend_from_slice(b"{\"type\":\"observation\",\"asset\":");
            out.extend_from_slice(asset);
            out.extend_from_slice(b",\"placement\":");
            serde_json::to_writer(&mut *out, &document)?;
            out.push(b'}');
            Ok(())
        });
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

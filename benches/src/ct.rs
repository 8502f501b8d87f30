//! What a log's entries cost until it is known that they are not about us: tiles in memory, read and filtered on one core.
//!
//! Entries as public logs have them today: precertificates with their TBS, a few names each, two issuers by
//! fingerprint. One in a hundred is ours. One that is not found fails the run.

use std::hint::black_box;
use std::time::{Duration, Instant};

use notafter_discover::ct::entry::of_tile;
use notafter_discover::ct::filter::Watched;
use notafter_pki::Certificate;
use rcgen::{CertificateParams, CrlDistributionPoint, KeyPair};
use serde_json::{Value, json};

use crate::Result;

const ENTRIES: usize = 25_600;
const RUNS: usize = 7;
const OURS: &str = "watched.example";

/// Gives the medians in microseconds an entry.
pub(crate) fn run() -> Result<Value> {
    let (tiles, ours) = tiles()?;
    let many: Vec<String> =
        (1..1000).map(|n| format!("watched-{n}.example")).chain([OURS.to_owned()]).collect();
    let one = Watched::new([OURS])?;
    let thousand = Watched::new(many.iter().map(String::as_str))?;
    let bytes: usize = tiles.iter().map(Vec::len).sum();
    let mut out = json!({ "count": ENTRIES, "mean_bytes": bytes / ENTRIES, "ours": ours });
    for (name, watched) in [("1", &one), ("1000", &thousand)] {
        let mut times: Vec<Duration> = Vec::new();
        for _ in 0..RUNS {
            let began = Instant::now();
            let found = tiles.iter().map(|tile| of_tile(tile).flatten().filter(|e| watched.wants(e)).count());
            out[format!("found_{name}")] = json!(black_box(found.sum::<usize>()));
            times.push(began.elapsed());
        }
        times.sort();
        out[format!("us_{name}")] = json!(times[RUNS / 2].as_secs_f64() * 1e6 / ENTRIES as f64);
    }
    Ok(out)
}

/// Data tiles, and how many of their entries are ours.
fn tiles() -> Result<(Vec<Vec<u8>>, usize)> {
    let key = KeyPair::generate()?;
    let mut ours = 0;
    let mut tiles = Vec::new();
    let mut tile = Vec::new();
    for n in 0..ENTRIES {
        let domain = if n % 100 == 0 { OURS.to_owned() } else { format!("site-{n}.test") };
        ours += usize::from(n % 100 == 0);
        let names: Vec<String> = (0..=n % 4).map(|m| format!("host-{m}.{domain}")).collect();
        let mut params = CertificateParams::new(names)?;
        let crl = "http://crl.authority.test/issuing-ca-3.crl".to_owned();
        params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![crl] }];
        let der = params.self_signed(&key)?.der().to_vec();
        let tbs = Certificate::parse(&der)?.tbs();
        tile.extend(1_800_000_000_000_u64.to_be_bytes());
        tile.extend([0, 1]);
        tile.extend([7; 32]);
        sized(&mut tile, 3, tbs);
        sized(&mut tile, 2, &[&[0, 0, 5][..], &(n as u64).to_be_bytes()[3..]].concat());
        sized(&mut tile, 3, &der);
        sized(&mut tile, 2, &[9; 64]);
        if n % 256 == 255 {
            tiles.push(std::mem::take(&mut tile));
        }
    }
    Ok((tiles, ours))
}

fn sized(out: &mut Vec<u8>, octets: usize, bytes: &[u8]) {
    out.extend(&(bytes.len() as u64).to_be_bytes()[8 - octets..]);
    out.extend(bytes);
}

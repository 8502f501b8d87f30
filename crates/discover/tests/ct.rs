//! The readers of logs against tiles of a real log (navigli2025h2, run by sunlight), from the corpora found through
//! `NOTAFTER_CORPORA`; without them these tests say `NOT RUN` and pass.
//!
//! Every tile has two witnesses beside it: the hashes that the log computed over its entries, and the names that the
//! log's own software read from them.

#![allow(clippy::print_stdout, reason = "N of M is what the test is for")]

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use notafter_discover::ct::entry::of_tile;
use notafter_discover::ct::filter::Watched;
use notafter_discover::ct::head::Head;
use notafter_pki::GeneralName;
use notafter_pki::certificate::Certificate;
use notafter_pki::fingerprint::sha256;

fn corpus() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    let root = std::env::var_os("NOTAFTER_CORPORA").map_or(default, PathBuf::from);
    let folder = root.join("ct");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("NOT RUN: no corpus ct at {}", root.display());
    None
}

/// A file, unpacked if it is gzip.
fn read(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return bytes;
    }
    let mut out = Vec::new();
    flate2::read::MultiGzDecoder::new(&*bytes).read_to_end(&mut out).unwrap();
    out
}

const TILES: &[&str] = &["000", "001", "002", "003", "003.p/10"];

#[test]
fn tiles_of_a_real_log() {
    let Some(folder) = corpus() else { return };
    let folder = folder.join("testdata/navigli2025h2/tile");
    let (mut entries, mut hashes, mut names, mut numbers, mut precerts, mut bound) = (0, 0, 0, 0, 0, 0);
    for tile in TILES {
        let data = read(&folder.join("data").join(tile));
        let tree = read(&folder.join("0").join(tile));
        let said = String::from_utf8(read(&folder.join("names").join(tile))).unwrap();
        let first = tile[..3].parse::<u64>().unwrap() * 256;
        let mut rest = data.as_slice();
        for (n, (entry, said)) in of_tile(&data).zip(said.lines()).enumerate() {
            let entry = entry.unwrap();
            entries += 1;
            numbers += usize::from(entry.index() == Some(first + n as u64));
            // The hash of the leaf: version and type, then the entry as it stands in the tile (RFC 6962 section 2.1).
            let is_precert = entry.precertificate.is_some();
            let length = 8 + 2 + if is_precert { 32 } else { 0 } + 3 + entry.signed.len() + 2 + 8;
            let leaf = [&[0, 0, 0][..], &rest[..length]].concat();
            hashes += usize::from(tree[n * 32..(n + 1) * 32] == sha256(&leaf));
            rest = notafter_discover::ct::entry::Entry::of_tile(rest).unwrap().1;
            let certificate = Certificate::parse(entry.certificate()).unwrap();
            let found: BTreeSet<String> = certificate
                .subject_alt_names()
                .filter(|name| matches!(name, GeneralName::Dns(_)))
                .map(|name| name.to_text())
                .collect();
            let said: serde_json::Value = serde_json::from_str(said).unwrap();
            let said: BTreeSet<String> = said["DNS"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|name| name.as_str().unwrap().to_owned())
                .collect();
            names += usize::from(found == said);
            if is_precert {
                precerts += 1;
                // What the log signed is the TBSCertificate of the same certificate, without the poison.
                let wrapped = notafter_pki::der::encode(0x30, entry.signed);
                let tbs = Certificate::parse(&wrapped).unwrap();
                let same = tbs.serial() == certificate.serial() && tbs.spki() == certificate.spki();
                bound += usize::from(same && !tbs.is_precertificate() && certificate.is_precertificate());
            }
            for name in &said {
                let name = name.trim_start_matches("*.");
                assert!(Watched::new([name]).unwrap().wants(&entry), "{name}");
            }
            assert!(!Watched::new(["nobody.has.this.example"]).unwrap().wants(&entry));
        }
    }
    println!(
        "ct: {entries} entries in {} tiles: {numbers} with their number, {hashes} with the log's own hash, {names} with \
         the names that the log read, {precerts} precertificates of which {bound} are bound to their TBS",
        TILES.len()
    );
    // No exception.
    assert_eq!((entries, numbers, hashes, names, bound), (1034, 1034, 1034, 1034, precerts));
}

/// Not of our kind, and told so: the tiles of skylight's test data hold texts.
#[test]
fn what_are_no_entries() {
    let Some(folder) = corpus() else { return };
    let folder = folder.join("cmd/skylight/testdata/tree");
    for tile in ["tile/data/000", "tile/data/001.p/44"] {
        let data = read(&folder.join(tile));
        let read: Vec<_> = of_tile(&data).collect();
        assert!(read.len() == 1 && read[0].is_err(), "{tile}: {read:?}");
    }
    let log: serde_json::Value = serde_json::from_slice(&read(&folder.join("log.v3.json"))).unwrap();
    let key = log["key"].as_str().unwrap();
    let key = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, key).unwrap();
    let head = Head::of_checkpoint(&read(&folder.join("checkpoint")), Some(&key)).unwrap();
    assert_eq!(Some(head.size), log["final_tree_head"]["tree_size"].as_u64());
}

//! Any bytes as a data tile, as a leaf with its extra data, as a checkpoint, a tree head and a list of certificates.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_discover::ct::entry::{Entry, of_tile};
use notafter_discover::ct::filter::Watched;
use notafter_discover::ct::head::Head;
use notafter_discover::ct::proof::{is_beginning, path_of};
use notafter_discover::ct::search;

fuzz_target!(|bytes: &[u8]| {
    let Ok(watched) = Watched::new(["example.com", "xn--bcher-kva.example"]) else { return };
    for entry in of_tile(bytes).flatten() {
        let _ = (watched.wants(&entry), entry.index(), entry.issuers.fingerprints().count());
    }
    let (leaf, extra) = bytes.split_at(bytes.len() / 2);
    if let Ok(entry) = Entry::of_leaf(leaf, extra) {
        let _ = (watched.wants(&entry), entry.issuers.certificates().count());
    }
    for key in [None, Some(bytes)] {
        let _ = (Head::of_checkpoint(bytes, key), Head::of_sth(bytes, key));
    }
    let _ = search::read(bytes);
    let path: Vec<[u8; 32]> = path_of(bytes).unwrap_or_else(|| bytes.as_chunks::<32>().0.to_vec());
    if let Some((sizes, _)) = bytes.split_first_chunk::<16>() {
        let [first, second] =
            [0, 8].map(|at| u64::from_le_bytes(sizes[at..at + 8].try_into().unwrap_or_default()));
        // Nobody finds a path to roots of their own choice in this short a time.
        assert!(!is_beginning((first.max(1), &[1; 32]), (second.max(2), &[2; 32]), &path));
    }
});

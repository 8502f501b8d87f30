//! A Java keystore: the bytes stand after the magic number.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_pki::container::{Limits, open};

fuzz_target!(|bytes: &[u8]| {
    for magic in [[0xfe, 0xed, 0xfe, 0xed], [0xce, 0xce, 0xce, 0xce], [0, 0, 0, 2]] {
        let mut text = magic.to_vec();
        text.extend_from_slice(bytes);
        open_all(&text);
    }
    open_all(bytes);
});

fn open_all(bytes: &[u8]) {
    let opened = open(bytes, &["changeit"], &Limits::default());
    let _ = (opened.certificates().count(), opened.problems.len());
}

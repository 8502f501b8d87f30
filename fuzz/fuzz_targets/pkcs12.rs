//! A PKCS#12 file: the bytes stand after the version, inside an outer sequence.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_pki::container::{Limits, open};

fuzz_target!(|bytes: &[u8]| {
    let mut text = head(bytes.len() + 3);
    text.extend_from_slice(&[2, 1, 3]);
    text.extend_from_slice(bytes);
    open_all(&text);
    open_all(bytes);
});

fn open_all(bytes: &[u8]) {
    let opened = open(bytes, &["changeit"], &Limits::default());
    let _ = (opened.certificates().count(), opened.problems.len());
}

/// The head of a sequence with so many bytes in it.
fn head(length: usize) -> Vec<u8> {
    let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    vec![0x30, 0x82, length[0], length[1]]
}

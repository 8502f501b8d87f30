//! PEM in text: the bytes stand between the usual lines, so that the fuzzer need not find them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_pki::container::{Limits, open};

fuzz_target!(|bytes: &[u8]| {
    let mut text = b"junk\n-----BEGIN CERTIFICATE-----\n".to_vec();
    text.extend_from_slice(bytes);
    text.extend_from_slice(b"\n-----END CERTIFICATE-----\n");
    open_all(&text);
});

fn open_all(bytes: &[u8]) {
    let opened = open(bytes, &["changeit"], &Limits::default());
    let _ = (opened.certificates().count(), opened.problems.len());
}

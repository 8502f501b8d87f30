//! Any bytes as whatever may hold a certificate, with two passwords.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_pki::container::{Limits, open};

fuzz_target!(|bytes: &[u8]| {
    let opened = open(bytes, &["changeit", ""], &Limits::default());
    for found in &opened.found {
        assert!(!found.place.as_str().contains('\n'));
    }
    let _ = opened.certificates().count();
});

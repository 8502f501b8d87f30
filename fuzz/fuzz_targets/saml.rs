//! Any bytes as SAML metadata: whole, and in pieces; both must find the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_pki::statement::saml::Metadata;

fuzz_target!(|bytes: &[u8]| {
    let read = |size: usize| {
        let mut metadata = Metadata::new();
        let mut found = Vec::new();
        let pushed = bytes.chunks(size).try_for_each(|chunk| metadata.push(chunk, |one| found.push(one)));
        let whole = pushed.is_ok() && metadata.finish(|_| {}).is_ok();
        (whole, found)
    };
    assert_eq!(read(usize::MAX), read(1));
});

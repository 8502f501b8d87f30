//! What can be saved of bytes that do not parse.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let saved = notafter_pki::salvage(bytes);
    let _ = (
        saved.subject().map(|n| n.to_rfc4514()),
        saved.issuer_name().map(|n| n.to_rfc4514()),
        saved.is_empty(),
    );
});

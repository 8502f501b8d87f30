//! Any bytes as CMS, as a table of a program, as a program, and as an OCSP response.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_pki::statement::ocsp::OcspResponse;
use notafter_pki::statement::{authenticode, cms};

fuzz_target!(|bytes: &[u8]| {
    for statement in cms::jar_signature(bytes).into_iter().chain(authenticode::table(bytes)) {
        let _ = statement.fingerprint();
    }
    let _ = (cms::certificates(bytes), authenticode::security_directory(bytes));
    if let Ok(response) = OcspResponse::parse(bytes) {
        let _ = (response.statements().count(), response.certificates().count(), response.fingerprint());
    }
});

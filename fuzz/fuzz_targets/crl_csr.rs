//! Any bytes as a revocation list and as a request.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_pki::{Crl, Csr};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(crl) = Crl::parse(bytes) {
        let _ = (crl.issuer_name().to_rfc4514(), crl.this_update(), crl.next_update(), crl.fingerprint());
        let _ = (crl.signature_algorithm().signature_name(), crl.is_partial(), crl.is_delta(), crl.number());
        let _ = (crl.entry_count(), crl.revoked().count(), crl.extensions().count(), crl.authority_key_id());
    }
    if let Ok(csr) = Csr::parse(bytes) {
        let _ =
            (csr.subject().to_rfc4514(), csr.public_key().algorithm(), csr.requested_extensions().count());
        csr.subject_alt_names().for_each(|name| drop(name.to_text()));
    }
});

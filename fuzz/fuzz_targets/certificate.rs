//! Any bytes as a certificate: parsing, every accessor, the problems. What parses must also be stable.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_pki::{Certificate, is_signed_by};

fuzz_target!(|bytes: &[u8]| {
    let Ok(c) = Certificate::parse(bytes) else { return };
    assert!(c.der().len() <= bytes.len());
    let _ = (c.version(), c.serial(), c.not_before(), c.not_after(), c.fingerprint(), c.key_id());
    let _ = (c.subject().to_rfc4514(), c.issuer_name().to_rfc4514(), c.subject().common_name());
    let key = c.public_key();
    let _ = (key.algorithm(), key.bits(), key.curve(), c.signature_algorithm().signature_name());
    c.subject_alt_names().for_each(|name| drop(name.to_text()));
    let _ = (c.basic_constraints(), c.is_ca(), c.key_usage().map(|usage| usage.names()));
    let _ = c.extended_key_usage().map(|usage| usage.names());
    let _ = (c.authority_key_id(), c.subject_key_id(), c.must_staple(), c.is_precertificate());
    let access = c.authority_info_access();
    let _ = (access.ocsp().count(), access.ca_issuers().count(), access.count());
    let _ = (c.crl_distribution_points().count(), c.policies().count());
    if let Some(constraints) = c.name_constraints() {
        constraints.permitted().chain(constraints.excluded()).for_each(|name| drop(name.to_text()));
    }
    c.sct_list().for_each(|stamp| drop(stamp.time().to_string()));
    let _ = (c.is_self_issued(), c.extensions().count(), c.problems());
    let _ = is_signed_by(&c, c.spki());
    assert_eq!(Certificate::parse(c.der()).map(|again| again.fingerprint()).ok(), Some(c.fingerprint()));
});

//! Any bytes as OpenPGP packets, as a keybox, and as an SSH certificate, which is framed alike.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_pki::statement::openpgp::{keys, packet};
use notafter_pki::statement::ssh::SshCertificate;

fuzz_target!(|bytes: &[u8]| {
    for key in keys(bytes) {
        assert!(key.subkeys.iter().all(|subkey| subkey.subkeys.is_empty()));
        let _ = (key.statement().to_bytes(), key.subkey_statements().count());
    }
    let _ = (packet::looks_like_key(bytes), packet::blobs(bytes).count());
    let _ = SshCertificate::parse(bytes).map(|certificate| certificate.statement());
});

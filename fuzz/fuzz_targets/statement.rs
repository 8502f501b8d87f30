//! Any bytes as the canonical form of a statement, and as what its readers of text are given.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_pki::Statement;
use notafter_pki::container::{Content, Limits, open};

fuzz_target!(|bytes: &[u8]| {
    if let Some(statement) = Statement::parse(bytes) {
        assert_eq!(statement.to_bytes(), bytes);
    }
    for marker in [
        "",
        "ssh-ed25519-cert-v01@openssh.com AAAA",
        "eyJhbGci",
        "BEGIN:VCARD\nKEY:",
        "Suite: a\nValid-Until: ",
    ] {
        let text = [marker.as_bytes(), bytes].concat();
        for found in open(&text, &[], &Limits::default()).found {
            if let Content::Statement(statement) = found.content {
                assert_eq!(Statement::parse(&statement.to_bytes()), Some(statement));
            }
        }
    }
});

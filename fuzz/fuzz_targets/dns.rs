//! Any bytes as a zone file, as a raw copy of a zone, as a message and as a file of trust anchors.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_pki::container::{Limits, open};
use notafter_pki::dns::{Record, message::Message, name, raw, text, zone::Signatures};

fuzz_target!(|bytes: &[u8]| {
    let mut signatures = Signatures::of(None);
    let mut each = |record: Record| {
        assert!(name::to_wire(&record.owner).is_some(), "{:?}", record.owner);
        signatures.see(&record);
        true
    };
    text::read(bytes, Some("fuzz.test"), &mut |_| None, &mut each);
    raw::read(bytes, &mut each);
    if let Some(message) = Message::parse(bytes) {
        message.answers.into_iter().for_each(|record| {
            let _ = each(record);
        });
    }
    if let Some(statement) = signatures.statement() {
        assert!(!statement.to_bytes().is_empty());
    }
    let _ = open(bytes, &[], &Limits::default());
});

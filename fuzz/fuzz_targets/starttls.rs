//! What a server may say before TLS. The first byte chooses the protocol, the second the pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_wire::starttls::{Dialogue, Protocol, Step, identify};

fuzz_target!(|bytes: &[u8]| {
    let [choice, size, rest @ ..] = bytes else { return };
    let protocol = Protocol::ALL[usize::from(*choice) % Protocol::ALL.len()];
    let mut dialogue = Dialogue::new(protocol, "mail.test", "fuzz.test");
    let mut out = Vec::new();
    let _ = identify(rest);
    if !matches!(dialogue.advance(&[], &mut out), Step::NeedMore) {
        return;
    }
    for piece in rest.chunks(usize::from(*size) + 1) {
        out.clear();
        if !matches!(dialogue.advance(piece, &mut out), Step::NeedMore) {
            return;
        }
    }
});

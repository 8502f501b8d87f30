//! Any bytes as a file with a key for transfers, and as answers that claim to be signed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_pki::dns::message::{Message, question};
use notafter_pki::dns::tsig::{Algorithm, Key};

fuzz_target!(|bytes: &[u8]| {
    let _ = std::str::from_utf8(bytes).map(Key::of_file);
    let Ok(key) = Algorithm::parse("hmac-sha256").and_then(|one| Key::new("fuzz", one, "c2VjcmV0")) else {
        return;
    };
    let asked = question(1, "fuzz.test", 252, false).unwrap_or_default();
    let Ok((_, mac)) = key.sign(&asked, 1_000_000) else { return };
    let mut exchange = key.exchange(&mac);
    let half = bytes.len() / 2;
    for message in [bytes, &bytes[..half], &bytes[half..]] {
        // Nobody who does not have the key can sign.
        assert_ne!(exchange.take(message, 1_000_000), Ok(true));
        let _ = Message::parse(message);
    }
    let _ = key.sign(bytes, 1_000_000);
});

//! A server's answer, arriving in arbitrary pieces. The first byte chooses the pieces and the hello.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_wire::tls::{ClientHello, FlightReader, Limits, Offer, Progress};

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    let offer = [Offer::Any, Offer::Gentle, Offer::Legacy, Offer::EcdsaOnly][usize::from(choice & 3)];
    let hello = ClientHello { offer, seed: 7, server_name: Some("a.test"), compressed: choice & 4 != 0 };
    let mut reader = FlightReader::default();
    reader.begin(Limits::default(), choice & 8 != 0);
    let size = usize::from(choice >> 4) * 37 + 1;
    for piece in rest.chunks(size) {
        match reader.feed(&hello, &mut piece.to_vec()) {
            Progress::More => {}
            Progress::Reply => assert!(!reader.reply().is_empty()),
            Progress::Done(_) => return,
        }
    }
    let _ = reader.end();
});

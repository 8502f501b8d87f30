//! Packets of SQL Server around TLS: what is wrapped must come out again, and anything else must not panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_wire::starttls::tds::{Unwrapper, wrap};

fuzz_target!(|bytes: &[u8]| {
    let mut out = Vec::new();
    let mut any = Unwrapper::default();
    for piece in bytes.chunks(11) {
        if !any.feed(piece, &mut out) {
            break;
        }
    }
    let (mut wrapped, mut inside) = (Vec::new(), Vec::new());
    wrap(bytes, &mut wrapped);
    let mut unwrapper = Unwrapper::default();
    // What we wrap is a request; only what a server sends is unwrapped, so this may be refused.
    if wrapped.chunks(7).all(|piece| unwrapper.feed(piece, &mut inside)) {
        assert_eq!(inside, bytes);
    }
});

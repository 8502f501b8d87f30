//! Any bytes within JSON that the readers of keys, secrets and roles take apart, and as a token.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_pki::container::{Limits, open};
use notafter_pki::statement::{jwk, jwt};

fuzz_target!(|bytes: &[u8]| {
    let _ = (jwt::statement(bytes), jwk::discovery(bytes));
    for head in
        ["{\"kty\":", "[{\"keyId\":\"a\",\"endDateTime\":", "{\"signed\":{\"_type\":\"root\",\"expires\":"]
    {
        let _ = open(&[head.as_bytes(), bytes].concat(), &[], &Limits::default());
    }
});

//! Any bytes as the answer of a registry: RDAP and WHOIS, and every date in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_discover::domain::{dates, rdap, whois};

fuzz_target!(|bytes: &[u8]| {
    let _ = (rdap::read(bytes, "example.com"), whois::read(bytes, "example.com"), whois::referral(bytes));
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = dates::read(text);
    }
});

//! What a user may type as a target, a list of ports, an exclusion.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_discover::exclude::Exclude;
use notafter_discover::target::{Hosts, Target, parse_ports};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = (parse_ports(text), Exclude::default().add(text));
    if let Ok(Target::Network(target)) = Target::parse(text, |_| false)
        && let Hosts::Addresses(range) = target.hosts
    {
        assert!(range.len() >= 1 && range.contains(range.nth(range.len() - 1)));
    }
});

//! What a person types or a file says on one line: a query, a location, a rule of an owner.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_core::location::Location;
use notafter_core::owner::Match;
use notafter_core::query::Query;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = (Query::parse(text), Match::parse(text));
    if let Some(place) = Location::parse(text) {
        let _ = (place.path(), place.bundle(), place.is_embedded(), place.is_published(), place.address());
        let inner = place.member(bytes).offset(7).entry("1");
        assert_eq!(Location::parse(inner.as_str()).as_ref(), Some(&inner));
    }
});

//! Archives in archives, and values of documents: the whole way of a file, but for the walk that met it.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_core::location::Location;
use notafter_core::observation::Reason;
use notafter_discover::files::archive::{Kind, Limits, Visitor, open};

struct Still;

impl Clock for Still {
    fn now(&self) -> UnixTime {
        UnixTime(0)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

#[derive(Default)]
struct Count {
    octets: usize,
}

impl Visitor for Count {
    fn file(&mut self, place: &Location, bytes: &[u8]) {
        // Whatever a member is called, its place is one line that reads back.
        assert_eq!(Location::parse(place.as_str()).as_ref(), Some(place));
        assert_eq!(place.path().as_deref(), Some(&b"/x"[..]));
        self.octets += bytes.len();
    }

    fn blind(&mut self, _: &Location, _: Reason, _: String) {}

    fn stopped(&self) -> bool {
        false
    }
}

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { members: 1000, member: 1 << 16, least: 1 << 18, most: 1 << 20, ..Limits::default() };
    let kind = Kind::of_start(&bytes[..bytes.len().min(1024)]).or_else(|| Kind::of_end(&bytes));
    let Some(kind) = kind else { return };
    let mut count = Count::default();
    open(kind, &bytes, &Location::file(b"/x", ""), &limits, &Still, &mut count);
    // Stored members are the file's own octets, as often as its directory names them.
    assert!(count.octets <= (1 << 20) + 1000 * (1 << 16));
});

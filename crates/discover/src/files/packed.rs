//! Compressed streams in the middle of something else: a root file system behind a boot loader, an initial RAM disk in
//! a kernel, gzip in an image of flash. gzip (RFC 1952), xz (its file format, 1.2) and Zstandard (RFC 8878), by their
//! first octets at any offset.
//!
//! For `open.rs`, which has the bytes of a file that is no archive, and `members.rs`, which has those of a member. A stream is
//! one only if it inflates without fault for a while: three octets are found in anything. What is in it is `archive.rs`'s,
//! under the place `FILE@0x1f40`. Bounded in number, and all streams of a file together in what comes out of them. LZMA
//! without a header, LZO and the compression within SquashFS are not looked for.

use std::cell::Cell;
use std::io::Read;
use std::time::Duration;

use aho_corasick::AhoCorasick;
use memchr::memmem::Finder;
use notafter_core::clock::Clock;
use notafter_core::location::Location;
use notafter_core::observation::Reason;

use super::archive::{self, Kind, Limits, Visitor};

/// First octets.
const MAGICS: [(&[u8], Kind); 3] = [
    (&[0x1f, 0x8b, 8], Kind::Gzip),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], Kind::Xz),
    (&[0x28, 0xb5, 0x2f, 0xfd], Kind::Zstd),
];
/// It has to inflate to so many octets without fault, or to its end.
const TRIAL: u64 = 4096;
/// Nothing of interest is smaller.
const LEAST: usize = 40;
/// So many streams of one file are opened.
const STREAMS_MAX: usize = 1000;
/// A zero among so many first octets, and it is no text.
const BINARY_WITHIN: usize = 8000;

/// Is this no text?
pub(super) fn is_binary(start: &[u8]) -> bool {
    memchr::memchr(0, start.get(..BINARY_WITHIN).unwrap_or(start)).is_some()
}

/// May there be a stream in this chunk? Judged by headers alone.
pub(super) fn may_hold(chunk: &[u8]) -> bool {
    static FINDERS: std::sync::OnceLock<[(Finder<'static>, Kind); 3]> = std::sync::OnceLock::new();
    // One pass for each: every binary file of a walk comes through here, and a search for all at once stops at each of
    // their first octets.
    let finders = FINDERS.get_or_init(|| MAGICS.map(|(magic, kind)| (Finder::new(magic), kind)));
    let fits = |at: usize, kind| chunk.get(at..).is_some_and(|rest| header_fits(rest, kind));
    finders.iter().any(|(finder, kind)| finder.find_iter(chunk).any(|at| fits(at, *kind)))
}

/// The next place at or behind `from` where one may begin.
fn next(bytes: &[u8], from: usize) -> Option<(usize, Kind)> {
    static SEARCHER: std::sync::OnceLock<Option<AhoCorasick>> = std::sync::OnceLock::new();
    let searcher = SEARCHER.get_or_init(|| AhoCorasick::new(MAGICS.map(|(magic, _)| magic)).ok()).as_ref()?;
    let found = searcher.find_iter(aho_corasick::Input::new(bytes).range(from.min(bytes.len())..));
    let kinds = found.filter_map(|found| Some((found.start(), MAGICS.get(found.pattern().as_usize())?.1)));
    kinds.into_iter().find(|(at, kind)| bytes.get(*at..).is_some_and(|rest| header_fits(rest, *kind)))
}

fn header_fits(rest: &[u8], kind: Kind) -> bool {
    match (kind, rest) {
        // No reserved flag; the compression level and the system as they are written (RFC 1952 section 2.3.1).
        (Kind::Gzip, [_, _, _, flags, _, _, _, _, level, system, ..]) => {
            flags & 0xe0 == 0 && matches!(level, 0 | 2 | 4) && matches!(system, 0..=13 | 255)
        }
        (Kind::Xz, [_, _, _, _, _, _, 0, check, ..]) => matches!(check, 0 | 1 | 4 | 10),
        // The reserved bit of the frame header (RFC 8878 section 3.1.1.1.1).
        (Kind::Zstd, [_, _, _, _, descriptor, ..]) => descriptor & 8 == 0,
        _ => false,
    }
}

/// Does it inflate?
fn is_genuine(rest: &[u8], kind: Kind) -> bool {
    let mut out = Vec::new();
    let tried = archive::single(kind, rest).and_then(|stream| stream.take(TRIAL).read_to_end(&mut out));
    tried.is_ok() && out.len() >= LEAST
}

/// What all streams of one file, or of one archive, may cost together.
pub(super) struct Budget {
    streams: Cell<usize>,
    inflated: Cell<u64>,
}

impl Budget {
    /// For something of this size.
    pub(super) fn of(size: u64) -> Self {
        let inflated = size.saturating_mul(50).clamp(64 << 20, 2 << 30);
        Self { streams: Cell::new(STREAMS_MAX), inflated: Cell::new(inflated) }
    }

    /// Little, for fuzzing.
    pub(super) fn small() -> Self {
        Self { streams: Cell::new(8), inflated: Cell::new(1 << 20) }
    }
}

/// Opens every stream in these octets, which begin with none. Whether there was any.
pub(super) fn open(
    bytes: &[u8],
    place: &Location,
    budget: &Budget,
    clock: &dyn Clock,
    visitor: &mut dyn Visitor,
) -> bool {
    let mut at = 0;
    let mut any = false;
    while let Some((start, kind)) = next(bytes, at) {
        at = start + 1;
        let rest = bytes.get(start..).unwrap_or(&[]);
        if visitor.stopped() || !is_genuine(rest, kind) {
            continue;
        }
        any = true;
        let (streams, inflated) = (budget.streams.get(), budget.inflated.get());
        if streams == 0 || inflated == 0 {
            let detail =
                "there are more compressed streams in it than are opened: the rest was not looked at";
            visitor.blind(place, Reason::TooLarge, detail.to_owned());
            return true;
        }
        budget.streams.set(streams - 1);
        let limits = Limits {
            depth: 6,
            members: 200_000,
            least: inflated,
            most: inflated,
            time: Duration::from_secs(60),
            ..Limits::default()
        };
        let came = archive::open_single(kind, rest, &place.offset(start as u64), &limits, clock, visitor);
        budget.inflated.set(inflated.saturating_sub(came));
    }
    any
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::testing::Still;

    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Visitor for Seen {
        fn file(&mut self, place: &Location, bytes: &[u8]) {
            self.0.push(format!("{} {}", place.as_str().trim_start_matches("file:///f"), bytes.len()));
        }

        fn blind(&mut self, place: &Location, reason: Reason, _: String) {
            self.0.push(format!("{} {}", place.as_str().trim_start_matches("file:///f"), reason.as_str()));
        }

        fn stopped(&self) -> bool {
            false
        }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn lines(bytes: &[u8]) -> Vec<String> {
        let mut seen = Seen::default();
        let budget = Budget::of(bytes.len() as u64);
        open(bytes, &Location::file(b"/f", ""), &budget, &Still, &mut seen);
        seen.0
    }

    /// Octets in which nothing begins.
    fn filler(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n % 7) as u8).collect()
    }

    #[test]
    fn streams_between_other_octets() {
        let payload = filler(9000);
        let zstd = ::zstd::encode_all(&payload[..], 3).unwrap();
        let image = [filler(100), gzip(&payload), filler(50), zstd, filler(31)].concat();
        let second = 150 + gzip(&payload).len();
        assert_eq!(lines(&image), ["@0x64 9000".to_owned(), format!("@{second:#x} 9000")]);
        // One that is cut short: what there is of it, and that it breaks off.
        let cut = [filler(100), gzip(&filler(90_000))[..100].to_vec()].concat();
        let said = lines(&cut);
        assert!(said.len() <= 2 && said.iter().all(|line| line.starts_with("@0x64 ")), "{said:?}");
    }

    #[test]
    fn what_only_begins_like_one() {
        let mut image = filler(4096);
        for at in [10, 500, 1000, 2000] {
            image[at..at + 10].copy_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3]);
        }
        image[3000..3008].copy_from_slice(&[0xfd, b'7', b'z', b'X', b'Z', 0, 0, 4]);
        image[3500..3505].copy_from_slice(&[0x28, 0xb5, 0x2f, 0xfd, 0]);
        assert!(may_hold(&image));
        assert_eq!(lines(&image), [""; 0]);
        assert!(!may_hold(&[0x1f, 0x8b, 8, 0xff, 0, 0, 0, 0, 2, 3]));
    }

    #[test]
    fn many_bombs_are_one_budget() {
        let bomb = gzip(&vec![0; 30 << 20]);
        let image = [filler(10), bomb.clone(), bomb.clone(), bomb.clone(), bomb].concat();
        let said = lines(&image);
        assert!(said.iter().any(|line| line.ends_with("too-large")), "{said:?}");
        assert!(said.len() <= 5, "{said:?}");
    }
}

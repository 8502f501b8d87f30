//! Archives and what is compressed, opened one in another: each member is handed over by its place.
//!
//! Between the walk, which meets files, and `read.rs`, which knows what certificates look like. Streams where the
//! format allows it: a layer of an image is never held whole, only one member at a time. Everything is bounded by
//! [`Limits`]: depth, members, time, octets of one member, and what may come out of decompression, for which the size
//! of the file is the measure. Nothing is ever written, so a member's name is no more than a name. No format is
//! told by the name of a file. Disk images, SquashFS and archives that only their own tools can open are told apart
//! and said, but not opened.

mod foreign;
mod records;
mod tar;
mod zip;

use std::cell::{Cell, RefCell};
use std::io::{self, BufReader, Read};
use std::time::Duration;

use notafter_core::clock::Clock;
use notafter_core::location::Location;
use notafter_core::observation::Reason;

/// How much work one file may cause.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Archives in archives; compression counts as one, so `data.tar.xz` in a package takes three.
    pub depth: u32,
    /// Members of all archives within the file together.
    pub members: u64,
    /// Octets of one member; what is larger is said and not looked at.
    pub member: u64,
    /// Octets that may come out of decompression for each octet of the file.
    pub ratio: u64,
    /// So many octets may come out of any file, however small.
    pub least: u64,
    /// And no more than so many out of any, however large.
    pub most: u64,
    /// Time for one file.
    pub time: Duration,
}

impl Default for Limits {
    /// Ten deep, two million members, 64 MiB a member; 200 octets out of one, but 256 MiB out of any file and 16 GiB
    /// out of none; five minutes.
    fn default() -> Self {
        Self {
            depth: 10,
            members: 2_000_000,
            member: super::SIZE_MAX,
            ratio: 200,
            least: 256 << 20,
            most: 16 << 30,
            time: Duration::from_secs(300),
        }
    }
}

/// What is told of an archive while it is read.
pub trait Visitor {
    /// A member that is no archive itself, whole; or the contents of a file that is only compressed, at its own place.
    fn file(&mut self, place: &Location, bytes: &[u8]);

    /// What could not be looked at, and why.
    fn blind(&mut self, place: &Location, reason: Reason, detail: String);

    /// Should this end?
    fn stopped(&self) -> bool;
}

/// Octets that can be read from anywhere: a file, or a member in memory.
pub trait Source {
    /// How many there are.
    fn size(&self) -> u64;

    /// Reads some, from `offset` on; 0 at the end.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl Source for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let rest = &self[from..];
        let length = rest.len().min(into.len());
        into[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

/// What a file is packed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ZIP, and so JAR, WAR, EAR, APK, wheels, office documents.
    Zip,
    /// tar: ustar, pax, GNU and older.
    Tar,
    /// cpio in one of its two ASCII forms, as initramfs and RPM have it.
    Cpio,
    /// A package of Debian: `ar` with tar in it. Other `ar` archives hold object files and are read as they are.
    Deb,
    /// A package of RPM.
    Rpm,
    /// One stream, compressed.
    Gzip,
    /// One stream, compressed.
    Bzip2,
    /// One stream, compressed.
    Xz,
    /// One stream, compressed.
    Zstd,
    /// What is recognised, by this name, and cannot be opened here.
    Foreign(&'static str),
}

/// So many first octets are enough to tell.
pub const HEAD: usize = 1024;

impl Kind {
    /// Judges the first octets of a file, 1024 or all there are.
    pub fn of_start(start: &[u8]) -> Option<Self> {
        match start {
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Self::Zip),
            // A Java module: a ZIP with four octets before it.
            [b'J', b'M', 1, _, b'P', b'K', 3, 4, ..] => Some(Self::Zip),
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..] => Some(Self::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [0xed, 0xab, 0xee, 0xdb, ..] => Some(Self::Rpm),
            [b'0', b'7', b'0', b'7', b'0', b'1' | b'2' | b'7', ..]
                if start.is_ascii() || start.contains(&0) =>
            {
                Some(Self::Cpio)
            }
            _ if start.starts_with(b"!<arch>\ndebian-binary") => Some(Self::Deb),
            _ if tar::begins(start) => Some(Self::Tar),
            _ => foreign::name(start).map(Self::Foreign),
        }
    }

    /// Judges the last octets of a file that begins as something else, a script or a program: some of those have a
    /// ZIP behind them, which tells itself by its end.
    pub fn of_end(source: &dyn Source) -> Option<Self> {
        zip::has_directory(source).then_some(Self::Zip)
    }
}

/// Opens a file that is such an archive and hands over what is in it. Gives how many octets came out of decompression.
pub fn open(
    kind: Kind,
    source: &dyn Source,
    place: &Location,
    limits: &Limits,
    clock: &dyn Clock,
    visitor: &mut dyn Visitor,
) -> u64 {
    opened(kind, source, place, limits, clock, visitor, false)
}

/// The same for one compressed stream behind which other octets may come.
pub fn open_single(
    kind: Kind,
    bytes: &[u8],
    place: &Location,
    limits: &Limits,
    clock: &dyn Clock,
    visitor: &mut dyn Visitor,
) -> u64 {
    opened(kind, &bytes, place, limits, clock, visitor, true)
}

fn opened(
    kind: Kind,
    source: &dyn Source,
    place: &Location,
    limits: &Limits,
    clock: &dyn Clock,
    visitor: &mut dyn Visitor,
    single: bool,
) -> u64 {
    let inflated = source.size().saturating_mul(limits.ratio).clamp(limits.least, limits.most);
    let budget = Budget {
        clock,
        until: clock.monotonic() + limits.time,
        inflated: Cell::new(inflated),
        members: Cell::new(limits.members),
        over: RefCell::new(None),
    };
    let mut work = Work { limits, budget: &budget, visitor, buffer: Vec::new(), said: None };
    let ended = match kind {
        Kind::Gzip | Kind::Xz | Kind::Zstd if single => {
            let from = From { source, at: 0 };
            match self::single(kind, from) {
                Ok(inner) => {
                    let metered = Metered { inner, budget: &budget };
                    work.look(&mut BufReader::with_capacity(64 << 10, metered), place, 1)
                }
                Err(error) => work.caught(place, |_| Err(Fault::Broken(error))),
            }
        }
        Kind::Zip => work.caught(place, |work| zip::walk(work, source, place, 1)),
        _ => {
            let mut stream = BufReader::with_capacity(64 << 10, From { source, at: 0 });
            work.enter(kind, &mut stream, place, 1)
        }
    };
    if ended.is_err() && !work.visitor.stopped() {
        let why = budget.over.take().unwrap_or_default();
        work.visitor.blind(place, Reason::TooLarge, format!("{why}: what comes behind was not looked at"));
    }
    inflated.saturating_sub(budget.inflated.get())
}

/// What comes out of one compressed stream, and nothing of what is behind it.
pub(super) fn single<'r>(kind: Kind, stream: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
    Ok(match kind {
        Kind::Gzip => Box::new(flate2::read::GzDecoder::new(stream)),
        Kind::Xz => {
            Box::new(lzma_rust2::XzReader::new_mem_limit(BufReader::new(stream), false, WINDOW_MAX >> 10))
        }
        Kind::Zstd => {
            let mut decoder = ::zstd::stream::read::Decoder::new(stream)?.single_frame();
            decoder.window_log_max(WINDOW_MAX.ilog2())?;
            Box::new(decoder)
        }
        _ => return Err(io::Error::other("it is no compressed stream")),
    })
}

/// The work was ended: a limit was reached, or somebody said so.
struct Ended;

/// What is left of the limits. Behind shared references, because readers stand in one another.
struct Budget<'b> {
    clock: &'b dyn Clock,
    until: Duration,
    inflated: Cell<u64>,
    members: Cell<u64>,
    over: RefCell<Option<String>>,
}

impl Budget<'_> {
    fn over(&self, why: &str) {
        self.over.borrow_mut().get_or_insert_with(|| why.to_owned());
    }

    fn is_over(&self) -> bool {
        self.over.borrow().is_some()
    }

    /// Counts what came out of decompression.
    fn inflate(&self, octets: usize) -> io::Result<()> {
        match self.inflated.get().checked_sub(octets as u64) {
            Some(left) => self.inflated.set(left),
            None => self.over("it inflates to more than anything of its size should"),
        }
        if self.clock.monotonic() > self.until {
            self.over("it took too long");
        }
        if self.is_over() { Err(io::Error::other("over the limit")) } else { Ok(()) }
    }
}

/// A reader of which every octet counts.
struct Metered<'b, R> {
    inner: R,
    budget: &'b Budget<'b>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(into)?;
        self.budget.inflate(length)?;
        Ok(length)
    }
}

/// A source, read from one place on.
struct From<'s> {
    source: &'s dyn Source,
    at: u64,
}

impl Read for From<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read_at(into, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

struct Work<'w> {
    limits: &'w Limits,
    budget: &'w Budget<'w>,
    visitor: &'w mut dyn Visitor,
    /// One member at a time.
    buffer: Vec<u8>,
    /// Where something was said last: what breaks, breaks all that stands around it.
    said: Option<Location>,
}

impl Work<'_> {
    /// Counts one member; whether the work may go on.
    fn member(&mut self) -> Result<(), Ended> {
        match self.budget.members.get().checked_sub(1) {
            Some(left) => self.budget.members.set(left),
            None => self.budget.over("it has too many members"),
        }
        if self.budget.clock.monotonic() > self.budget.until {
            self.budget.over("it took too long");
        }
        if self.budget.is_over() || self.visitor.stopped() { Err(Ended) } else { Ok(()) }
    }

    fn blind(&mut self, place: &Location, reason: Reason, detail: impl Into<String>) {
        if self.said.as_ref() != Some(place) {
            self.said = Some(place.clone());
            self.visitor.blind(place, reason, detail.into());
        }
    }

    /// Goes on after what could not be read, unless a limit was the reason.
    fn caught(
        &mut self,
        place: &Location,
        walk: impl FnOnce(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Ended> {
        match walk(self) {
            Ok(()) => Ok(()),
            Err(Fault::Ended) => Err(Ended),
            Err(Fault::Broken(_)) if self.budget.is_over() || self.visitor.stopped() => Err(Ended),
            Err(Fault::Broken(why)) => {
                self.blind(place, Reason::Malformed, format!("the archive breaks off: {why}"));
                Ok(())
            }
        }
    }

    /// A member, or what came out of decompression: an archive is entered, anything else handed over.
    fn look(&mut self, stream: &mut dyn Read, place: &Location, depth: u32) -> Result<(), Ended> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let begun = stream.take(HEAD as u64).read_to_end(&mut buffer);
        let kind = Kind::of_start(&buffer);
        let ended = match kind {
            Some(kind) if begun.is_ok() => {
                let head = buffer.clone();
                self.buffer = buffer;
                return self.enter(kind, &mut (&head[..]).chain(stream), place, depth + 1);
            }
            _ => self.whole(stream, place, &mut buffer, begun),
        };
        self.buffer = buffer;
        ended
    }

    fn whole(
        &mut self,
        stream: &mut dyn Read,
        place: &Location,
        buffer: &mut Vec<u8>,
        begun: io::Result<usize>,
    ) -> Result<(), Ended> {
        let room = (self.limits.member + 1).saturating_sub(buffer.len() as u64);
        let read = begun.and_then(|_| stream.take(room).read_to_end(buffer));
        if buffer.len() as u64 > self.limits.member {
            let most = self.limits.member >> 20;
            self.blind(place, Reason::TooLarge, format!("it is larger than the {most} MiB that are read"));
            return Ok(());
        }
        self.caught(place, |work| {
            // What came before it broke is kept.
            work.visitor.file(place, buffer);
            read.map(|_| ()).map_err(Fault::Broken)
        })?;
        // One large member must not be paid for until the end.
        if buffer.capacity() > 4 << 20 {
            *buffer = Vec::new();
        }
        Ok(())
    }

    fn enter(
        &mut self,
        kind: Kind,
        stream: &mut dyn Read,
        place: &Location,
        depth: u32,
    ) -> Result<(), Ended> {
        if depth > self.limits.depth {
            let detail = format!("archives in archives, more than {} deep: not opened", self.limits.depth);
            self.blind(place, Reason::TooLarge, detail);
            return Ok(());
        }
        let budget = self.budget;
        let inflated = |work: &mut Self, inner: &mut dyn Read| {
            work.look(&mut BufReader::with_capacity(64 << 10, Metered { inner, budget }), place, depth)
        };
        match kind {
            Kind::Gzip => inflated(self, &mut flate2::read::MultiGzDecoder::new(stream)),
            Kind::Bzip2 => inflated(self, &mut bzip2::read::MultiBzDecoder::new(stream)),
            Kind::Xz => {
                let stream = BufReader::new(stream);
                inflated(self, &mut lzma_rust2::XzReader::new_mem_limit(stream, true, WINDOW_MAX >> 10))
            }
            Kind::Zstd => match zstd(stream) {
                Ok(mut stream) => inflated(self, &mut stream),
                Err(error) => self.caught(place, |_| Err(Fault::Broken(error))),
            },
            Kind::Tar => self.caught(place, |work| tar::walk(work, stream, place, depth)),
            Kind::Cpio => self.caught(place, |work| records::cpio(work, stream, place, depth)),
            Kind::Deb => self.caught(place, |work| records::ar(work, stream, place, depth)),
            Kind::Rpm => self.caught(place, |work| records::rpm(work, stream, place, depth)),
            Kind::Zip => {
                // Its directory is at its end, so all of it must be there.
                let mut whole = Vec::new();
                let read = stream.take(self.limits.member + 1).read_to_end(&mut whole);
                if whole.len() as u64 > self.limits.member {
                    let most = self.limits.member >> 20;
                    let detail =
                        format!("an archive in an archive, larger than the {most} MiB that are read");
                    self.blind(place, Reason::TooLarge, detail);
                    return Ok(());
                }
                self.caught(place, |work| {
                    read.map_err(Fault::Broken)?;
                    zip::walk(work, whole.as_slice(), place, depth)
                })
            }
            Kind::Foreign(name) => {
                self.blind(
                    place,
                    Reason::UnsupportedFormat,
                    format!("{name}: this version cannot open it, so what is in it was not looked at"),
                );
                Ok(())
            }
        }
    }
}

/// No decompressor may ask for a larger window, in octets.
const WINDOW_MAX: u32 = 256 << 20;

fn zstd<'r>(stream: impl Read + 'r) -> io::Result<impl Read + 'r> {
    let mut decoder = ::zstd::stream::read::Decoder::new(stream)?;
    decoder.window_log_max(WINDOW_MAX.ilog2())?;
    Ok(decoder)
}

/// Why a walk through an archive ended early.
enum Fault {
    /// It cannot be read on.
    Broken(io::Error),
    /// It must not be read on.
    Ended,
}

impl std::convert::From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl std::convert::From<Ended> for Fault {
    fn from(_: Ended) -> Self {
        Self::Ended
    }
}

impl Fault {
    fn broken(why: &'static str) -> Self {
        Self::Broken(io::Error::new(io::ErrorKind::InvalidData, why))
    }
}

/// Reads and forgets the rest of a member.
fn drain(stream: &mut dyn Read) -> io::Result<u64> {
    io::copy(stream, &mut io::sink())
}

#[cfg(test)]
mod tests;

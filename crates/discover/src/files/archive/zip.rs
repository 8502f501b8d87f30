//! ZIP, by its directory at the end: also where something else stands before it.
//!
//! Format: PKWARE APPNOTE.TXT 6.3, sections 4.3 and 4.5.3. Stored, deflated, bzip2, xz and Zstandard members are
//! read; what is encrypted, or packed in another way, is said once an archive. A member is read where the directory
//! says that it is: local headers are only stepped over, and checksums are not compared.

use std::io::{BufReader, Read};

use notafter_core::location::Location;
use notafter_core::observation::Reason;

use super::{Fault, From, Metered, Source, Work, zstd};

/// The record at the end, and the longest comment behind it.
const END: u64 = 22;
const COMMENT_MAX: u64 = 65_535;
/// No longer directory is read, in octets.
const DIRECTORY_MAX: u64 = 64 << 20;
/// What is nothing but a directory entry takes so many.
const ENTRY: usize = 46;

/// Is there a directory at the end?
pub(super) fn has_directory(source: &dyn Source) -> bool {
    matches!(directory(source), Ok(found) if found.size > 0)
}

/// Where the directory lies.
struct Directory {
    at: u64,
    size: u64,
    /// What must be added to every offset: the length of what stands before the archive.
    base: u64,
}

struct Entry<'d> {
    name: &'d [u8],
    flags: u16,
    method: u16,
    packed: u64,
    header: u64,
}

/// Hands over every member.
pub(super) fn walk(
    work: &mut Work<'_>,
    source: &(impl Source + ?Sized),
    place: &Location,
    depth: u32,
) -> Result<(), Fault> {
    walk_source(work, &source, place, depth)
}

impl<S: Source + ?Sized> Source for &S {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> std::io::Result<usize> {
        (**self).read_at(into, offset)
    }
}

fn walk_source(work: &mut Work<'_>, source: &dyn Source, place: &Location, depth: u32) -> Result<(), Fault> {
    let found = directory(source)?;
    let mut bytes = Vec::new();
    From { source, at: found.at }.take(found.size.min(DIRECTORY_MAX)).read_to_end(&mut bytes)?;
    let (mut locked, mut strange) = (0_u64, 0_u64);
    let mut rest = bytes.as_slice();
    while let Some((entry, after)) = entry(rest) {
        rest = after;
        work.member()?;
        if entry.name.ends_with(b"/") {
            continue;
        }
        if entry.flags & 1 != 0 {
            locked += 1;
            continue;
        }
        let here = place.member(entry.name);
        let mut head = [0; 30];
        let mut at = From { source, at: found.base.saturating_add(entry.header) };
        let whole = super::tar::fill(&mut at, &mut head)? == head.len() && head.starts_with(b"PK\x03\x04");
        if !whole {
            work.blind(&here, Reason::Malformed, "the member is not where the directory says it is");
            continue;
        }
        at.at += u64::from(short(&head, 26)) + u64::from(short(&head, 28));
        let budget = work.budget;
        let packed = BufReader::with_capacity(16 << 10, at.take(entry.packed));
        let open = |work: &mut Work<'_>, inner: &mut dyn Read| {
            work.look(&mut Metered { inner, budget }, &here, depth)
        };
        match entry.method {
            // Not inflated, and so not counted.
            0 => work.look(&mut { packed }, &here, depth)?,
            8 => open(work, &mut flate2::bufread::DeflateDecoder::new(packed))?,
            12 => open(work, &mut bzip2::bufread::BzDecoder::new(packed))?,
            93 => open(work, &mut zstd(packed)?)?,
            95 => {
                let mut stream = lzma_rust2::XzReader::new_mem_limit(packed, true, super::WINDOW_MAX >> 10);
                open(work, &mut stream)?;
            }
            _ => strange += 1,
        }
    }
    if !rest.is_empty() || found.size > DIRECTORY_MAX {
        return Err(Fault::broken("the directory is cut short"));
    }
    let said = |n: u64, what: &str| match n {
        1 => format!("1 member is {what}"),
        n => format!("{n} members are {what}"),
    };
    if locked > 0 {
        let detail = said(locked, "encrypted with a password and cannot be opened here");
        work.blind(place, Reason::UnsupportedFormat, detail);
    } else if strange > 0 {
        work.blind(place, Reason::UnsupportedFormat, said(strange, "packed in a way that is not read here"));
    }
    Ok(())
}

fn directory(source: &dyn Source) -> Result<Directory, Fault> {
    let none = || Fault::broken("there is no directory at the end");
    let size = source.size();
    let from = size.saturating_sub(END + COMMENT_MAX);
    let mut tail = Vec::new();
    From { source, at: from }.take(END + COMMENT_MAX).read_to_end(&mut tail)?;
    let at = memchr::memmem::rfind(&tail, b"PK\x05\x06").ok_or_else(none)?;
    let end = tail.get(at..at + END as usize).ok_or_else(none)?;
    let mut found = Directory { at: 0, size: u64::from(long(end, 12)), base: u64::from(long(end, 16)) };
    let mut behind = from + at as u64;
    if let Some(large) =
        at.checked_sub(20).and_then(|at| tail.get(at..)).filter(|l| l.starts_with(b"PK\x06\x07"))
    {
        // The larger record stands right before its locator, whatever was put before the archive.
        let told = wide(large, 8);
        for at in [behind.checked_sub(20 + 56), Some(told)].into_iter().flatten() {
            let mut record = [0; 56];
            let read = super::tar::fill(&mut From { source, at }, &mut record)?;
            if read == record.len() && record.starts_with(b"PK\x06\x06") {
                (found.size, found.base) = (wide(&record, 40), wide(&record, 48));
                behind = at;
                break;
            }
        }
    }
    found.at = behind.checked_sub(found.size).ok_or_else(none)?;
    found.base = found.at.checked_sub(found.base).ok_or_else(none)?;
    Ok(found)
}

/// The next entry of the directory, and what follows it.
fn entry(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let head = bytes.get(..ENTRY).filter(|head| head.starts_with(b"PK\x01\x02"))?;
    let (names, extras) = (usize::from(short(head, 28)), usize::from(short(head, 30)));
    let name = bytes.get(ENTRY..ENTRY + names)?;
    let extra = bytes.get(ENTRY + names..ENTRY + names + extras)?;
    let rest = bytes.get(ENTRY + names + extras + usize::from(short(head, 32))..)?;
    let (mut packed, unpacked) = (u64::from(long(head, 20)), long(head, 24));
    let mut header = u64::from(long(head, 42));
    // What does not fit into four octets stands in an extra field, in this order and only then.
    let mut large = large_field(extra).unwrap_or(&[]);
    let mut next = || {
        let (number, rest) = large.split_at_checked(8)?;
        large = rest;
        Some(wide(number, 0))
    };
    if unpacked == u32::MAX {
        next();
    }
    if packed == u64::from(u32::MAX) {
        packed = next().unwrap_or(packed);
    }
    if header == u64::from(u32::MAX) {
        header = next().unwrap_or(header);
    }
    Some((Entry { name, flags: short(head, 8), method: short(head, 10), packed, header }, rest))
}

fn large_field(mut extra: &[u8]) -> Option<&[u8]> {
    while extra.len() >= 4 {
        let (kind, length) = (short(extra, 0), usize::from(short(extra, 2)));
        let field = extra.get(4..4 + length)?;
        if kind == 1 {
            return Some(field);
        }
        extra = &extra[4 + length..];
    }
    None
}

fn short(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u16::from_le_bytes(*b))
}

fn long(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
}

fn wide(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b))
}

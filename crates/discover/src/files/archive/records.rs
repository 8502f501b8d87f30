//! Three plain formats of packages: cpio, `ar` as Debian uses it, and what RPM puts before its cpio.
//!
//! Formats: `cpio(5)` ("new ASCII" and "odc"), `deb(5)` and `ar(5)`, RPM's "Package format" (lead, signature, header,
//! payload). The scripts and names in RPM's header are not read.

use std::io::Read;

use notafter_core::location::Location;

use super::tar::fill;
use super::{Fault, Work, drain};

/// The longest name that is read.
const NAME_MAX: u64 = 64 << 10;
/// The permission bits of cpio that tell a regular file.
const KIND: u64 = 0o170_000;
const REGULAR: u64 = 0o100_000;

/// Members of one cpio after another, with whatever stands behind the last: an initramfs is several, the first of
/// them plain and the next compressed.
pub(super) fn cpio(
    work: &mut Work<'_>,
    stream: &mut dyn Read,
    place: &Location,
    depth: u32,
) -> Result<(), Fault> {
    loop {
        let mut magic = [0; 6];
        if fill(stream, &mut magic)? < magic.len() {
            return Err(Fault::broken("no end of the archive"));
        }
        work.member()?;
        let (mode, names, size, align) = match &magic {
            b"070701" | b"070702" => {
                let head = array::<104>(stream)?;
                let field = |n: usize| digits(&head[n * 8..n * 8 + 8], 16);
                // Inode, mode, links... are the fields; the name follows the header.
                (field(1)?, field(11)?, field(6)?, 4)
            }
            b"070707" => {
                let head = array::<70>(stream)?;
                (digits(&head[12..18], 8)?, digits(&head[53..59], 8)?, digits(&head[59..70], 8)?, 1)
            }
            _ => return Err(Fault::broken("a member does not begin as one")),
        };
        if names == 0 || names > NAME_MAX {
            return Err(Fault::broken("a name is too long"));
        }
        let mut name = Vec::new();
        stream.take(names).read_to_end(&mut name)?;
        while name.last() == Some(&0) {
            name.pop();
        }
        let pad = |length: u64| (align - length % align) % align;
        drain(&mut stream.take(pad(110 + names)))?;
        if name == b"TRAILER!!!" {
            return behind(work, stream, place, depth);
        }
        let mut member = stream.take(size);
        if mode & KIND == REGULAR {
            work.look(&mut member, &place.member(&name), depth)?;
        }
        drain(&mut member)?;
        if member.limit() > 0 {
            return Err(Fault::broken("the last member is cut short"));
        }
        drain(&mut stream.take(pad(size)))?;
    }
}

/// Zeros, and then perhaps the next archive.
fn behind(work: &mut Work<'_>, stream: &mut dyn Read, place: &Location, depth: u32) -> Result<(), Fault> {
    let mut first = [0];
    loop {
        if stream.read(&mut first)? == 0 {
            return Ok(());
        }
        if first != [0] {
            return Ok(work.look(&mut (&first[..]).chain(stream), place, depth)?);
        }
    }
}

/// Members of an `ar` archive.
pub(super) fn ar(
    work: &mut Work<'_>,
    stream: &mut dyn Read,
    place: &Location,
    depth: u32,
) -> Result<(), Fault> {
    let _ = array::<8>(stream)?;
    loop {
        let mut head = [0; 60];
        match fill(stream, &mut head)? {
            60 => {}
            0 | 1 => return Ok(()),
            _ => return Err(Fault::broken("the header of a member is cut short")),
        }
        work.member()?;
        if !head.ends_with(b"`\n") {
            return Err(Fault::broken("a member does not begin as one"));
        }
        let size = digits(head[48..58].trim_ascii(), 10)?;
        let name = head[..16].trim_ascii_end();
        let name = name.strip_suffix(b"/").unwrap_or(name);
        let mut member = stream.take(size);
        work.look(&mut member, &place.member(name), depth)?;
        drain(&mut member)?;
        if member.limit() > 0 {
            return Err(Fault::broken("the last member is cut short"));
        }
        drain(&mut stream.take(size % 2))?;
    }
}

/// What is in an RPM package, by the names it will be installed under.
pub(super) fn rpm(
    work: &mut Work<'_>,
    stream: &mut dyn Read,
    place: &Location,
    depth: u32,
) -> Result<(), Fault> {
    let _ = array::<96>(stream)?;
    let signature = header(stream)?;
    drain(&mut stream.take((8 - signature % 8) % 8))?;
    header(stream)?;
    Ok(work.look(stream, place, depth)?)
}

/// Steps over one header; how long it was.
fn header(stream: &mut dyn Read) -> Result<u64, Fault> {
    let head = array::<16>(stream)?;
    if !head.starts_with(&[0x8e, 0xad, 0xe8, 1]) {
        return Err(Fault::broken("a header does not begin as one"));
    }
    let word =
        |at: usize| u64::from(u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
    let length = word(8) * 16 + word(12);
    drain(&mut stream.take(length))?;
    Ok(16 + length)
}

fn array<const N: usize>(stream: &mut dyn Read) -> Result<[u8; N], Fault> {
    let mut out = [0; N];
    match fill(stream, &mut out)? {
        length if length == N => Ok(out),
        _ => Err(Fault::broken("a header is cut short")),
    }
}

fn digits(field: &[u8], radix: u32) -> Result<u64, Fault> {
    let text = std::str::from_utf8(field).ok();
    let number = text.and_then(|text| u64::from_str_radix(text, radix).ok());
    number.ok_or_else(|| Fault::broken("a number is none"))
}

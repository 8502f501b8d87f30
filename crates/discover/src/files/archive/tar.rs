//! tar: a header of 512 octets, the member, padding; ustar, pax, GNU, and the form before them all.
//!
//! Format: POSIX.1-2017, `pax`, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar
//! Format". Of a sparse file the parts that are stored are read as if they followed one another. Links, folders and
//! devices have no contents; where a link leads is not asked.

use std::io::Read;

use super::{Ended, Fault, Work, drain};
use notafter_core::location::Location;

const BLOCK: usize = 512;
/// The longest name that is read.
const NAME_MAX: u64 = 64 << 10;
/// The longest extended header that is read.
const PAX_MAX: u64 = 1 << 20;

/// Does a file that begins like this begin with the header of a member?
pub(super) fn begins(start: &[u8]) -> bool {
    let Some(header) = start.first_chunk::<BLOCK>() else { return false };
    let magic = header[257..].starts_with(b"ustar");
    let digits = |field: &[u8]| field.iter().all(|b| matches!(b, b'0'..=b'7' | b' ' | 0));
    let old = header[0] > b' ' && digits(&header[100..136]) && header[257..265] == [0; 8];
    (magic || old) && sums_up(header)
}

/// The sum of all octets, those of the sum itself as spaces; some old programs took octets as signed.
fn sums_up(header: &[u8; BLOCK]) -> bool {
    let told = number(&header[148..156]).and_then(|sum| i64::try_from(sum).ok());
    let all = || header[..148].iter().chain(&header[156..]);
    let spaces = 8 * i64::from(b' ');
    let plain = spaces + all().map(|b| i64::from(*b)).sum::<i64>();
    told == Some(plain) || told == Some(spaces + all().map(|b| i64::from(b.cast_signed())).sum::<i64>())
}

/// A number in octal digits, or in binary where the first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    if let [first @ 0x80..=0xff, rest @ ..] = field {
        let start = u64::from(first & 0x3f);
        return rest.iter().try_fold(start, |n, b| n.checked_mul(256)?.checked_add(u64::from(*b)));
    }
    let text = field.split(|b| *b == 0).next()?.trim_ascii();
    if text.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(std::str::from_utf8(text).ok()?, 8).ok()
}

/// What is said before a member about it.
#[derive(Default)]
struct Ahead {
    name: Option<Vec<u8>>,
    size: Option<u64>,
}

/// Hands over every member.
pub(super) fn walk(
    work: &mut Work<'_>,
    stream: &mut dyn Read,
    place: &Location,
    depth: u32,
) -> Result<(), Fault> {
    let mut ahead = Ahead::default();
    let mut header = [0; BLOCK];
    loop {
        match fill(stream, &mut header)? {
            0 => return Ok(()),
            BLOCK => {}
            _ => return Err(Fault::broken("the header of a member is cut short")),
        }
        if header.iter().all(|b| *b == 0) {
            return Ok(());
        }
        if !sums_up(&header) {
            return Err(Fault::broken("the header of a member does not sum up"));
        }
        work.member()?;
        let kind = header[156];
        let stored = number(&header[124..136]).ok_or_else(|| Fault::broken("a member has no size"))?;
        let links = matches!(kind, b'1'..=b'6');
        let size = if links { 0 } else { stored };
        match kind {
            b'L' => ahead.name = Some(text(&read(stream, size, NAME_MAX)?).to_vec()),
            b'x' => pax(&read(stream, size, PAX_MAX)?, &mut ahead),
            b'K' | b'g' | b'V' | b'M' => {
                drain(&mut stream.take(size))?;
            }
            _ => {
                if kind == b'S' {
                    more_parts(stream, header[482])?;
                }
                let Ahead { name, size: told } = std::mem::take(&mut ahead);
                let size = if links { 0 } else { told.unwrap_or(size) };
                let name = name.unwrap_or_else(|| own_name(&header));
                let mut member = stream.take(size);
                // What ends in a slash is a folder, whatever the oldest form calls it.
                if !links && !name.ends_with(b"/") {
                    hand_over(work, &mut member, &place.member(&name), depth)?;
                }
                drain(&mut member)?;
                if member.limit() > 0 {
                    return Err(Fault::broken("the last member is cut short"));
                }
                drain(&mut stream.take(padding(size)))?;
                continue;
            }
        }
        drain(&mut stream.take(padding(size)))?;
    }
}

fn hand_over(work: &mut Work<'_>, member: &mut dyn Read, place: &Location, depth: u32) -> Result<(), Ended> {
    work.look(member, place, depth)
}

fn padding(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

/// The name in the header itself, the prefix of ustar before it.
fn own_name(header: &[u8; BLOCK]) -> Vec<u8> {
    let (name, prefix) = (text(&header[..100]), text(&header[345..500]));
    // GNU keeps other things there.
    if header[257..].starts_with(b"ustar\0") && !prefix.is_empty() {
        return [prefix, b"/", name].concat();
    }
    name.to_vec()
}

fn text(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().unwrap_or(&[])
}

/// The octets of a small member, which is a header itself.
fn read(stream: &mut dyn Read, size: u64, most: u64) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    let mut member = stream.take(size);
    (&mut member).take(most).read_to_end(&mut out)?;
    drain(&mut member)?;
    Ok(out)
}

/// Records of the form `LENGTH KEY=VALUE\n`.
fn pax(mut rest: &[u8], ahead: &mut Ahead) {
    while let Some(space) = rest.iter().position(|b| *b == b' ') {
        let length = std::str::from_utf8(&rest[..space]).ok().and_then(|n| n.parse::<usize>().ok());
        let Some((record, after)) = length.filter(|n| *n > space).and_then(|n| rest.split_at_checked(n))
        else {
            return;
        };
        rest = after;
        let record = record.get(space + 1..).unwrap_or(&[]);
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        let Some(equals) = record.iter().position(|b| *b == b'=') else { continue };
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" if ahead.name.is_none() => ahead.name = Some(value.to_vec()),
            b"GNU.sparse.name" => ahead.name = Some(value.to_vec()),
            b"size" => ahead.size = std::str::from_utf8(value).ok().and_then(|n| n.parse().ok()),
            _ => {}
        }
    }
}

/// Further headers of a sparse file, which say where its parts belong.
fn more_parts(stream: &mut dyn Read, mut more: u8) -> Result<(), Fault> {
    let mut block = [0; BLOCK];
    while more != 0 {
        if fill(stream, &mut block)? != BLOCK {
            return Err(Fault::broken("the map of a sparse file is cut short"));
        }
        more = block[504];
    }
    Ok(())
}

/// Reads until full or at the end; how much there was.
pub(super) fn fill(stream: &mut dyn Read, into: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match stream.read(&mut into[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

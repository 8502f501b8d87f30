//! Signatures of Windows executables: the attribute certificate table of PE (Microsoft's PE format, "The Attribute
//! Certificate Table").
//!
//! Told by headers alone: a program without a signature costs a look at its first kilobyte. Catalogues (`.cat`) are
//! plain PKCS#7, and signatures of MSI and CAB files are not read. Whether a signature covers the file
//! is for a verifier.

use super::cms::{Carrier, statements};
use crate::container::{Content, Found, Place, Reason, Session};

/// A table is no larger, in octets.
const TABLE_MAX: usize = 8 << 20;

/// Offset and size of the table of signatures, by the first octets of a program (a kilobyte is enough, mostly);
/// `None` for one that is not signed, or none at all.
pub fn security_directory(start: &[u8]) -> Option<(usize, usize)> {
    let word = |at: usize| {
        let octets = start.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(octets.try_into().ok()?) as usize)
    };
    if !start.starts_with(b"MZ") {
        return None;
    }
    let header = word(0x3c)?;
    if start.get(header..header.checked_add(4)?)? != b"PE\0\0" {
        return None;
    }
    let optional = header + 24;
    let directories = match start.get(optional..optional.checked_add(2)?)? {
        [0x0b, 1] => optional + 92,
        [0x0b, 2] => optional + 108,
        _ => return None,
    };
    // The fifth directory; its address is an offset in the file, unlike all others.
    let entry = directories + 4 + 4 * 8;
    if word(directories)? < 5 {
        return None;
    }
    let (offset, size) = (word(entry)?, word(entry + 4)?);
    (offset != 0 && size > 8).then_some((offset, size))
}

/// What the signatures in a table state (WIN_CERTIFICATE, one after another).
pub fn table(mut rest: &[u8]) -> Vec<super::Statement> {
    let mut out = Vec::new();
    while let Some((head, _)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, _, _, kind, kind_high] = *head;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let Some(entry) = rest.get(8..length) else { break };
        // WIN_CERT_TYPE_PKCS_SIGNED_DATA
        if (kind, kind_high) == (2, 0) && out.len() < 64 {
            out.extend(statements(entry, Carrier::Authenticode));
        }
        rest = rest.get(length.next_multiple_of(8)..).unwrap_or(&[]);
    }
    out
}

/// Opens a program.
pub(crate) fn open(bytes: &[u8], session: &mut Session, found: &mut Vec<Found<'_>>) {
    let Some((offset, size)) = security_directory(bytes) else { return };
    let end = offset.saturating_add(size.min(TABLE_MAX));
    let Some(octets) = bytes.get(offset..end.min(bytes.len())).filter(|octets| octets.len() > 8) else {
        return session.problem(Reason::Malformed, "a program whose signature lies beyond its end");
    };
    let stated = table(octets);
    if stated.is_empty() {
        session.problem(Reason::Malformed, "a program whose signature cannot be read");
    }
    for (n, statement) in stated.into_iter().enumerate() {
        let place = Place::whole().named("authenticode").numbered(n + 1);
        session.keep(found, Content::Statement(statement), place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(magic: u8, offset: u32, size: u32) -> Vec<u8> {
        let mut out = vec![0; 512];
        let mut put = |at: usize, octets: &[u8]| out[at..at + octets.len()].copy_from_slice(octets);
        put(0, b"MZ");
        put(0x3c, &128u32.to_le_bytes());
        put(128, b"PE\0\0");
        put(152, &[0x0b, magic]);
        let directories = 152 + if magic == 1 { 92 } else { 108 };
        put(directories, &16u32.to_le_bytes());
        put(directories + 36, &offset.to_le_bytes());
        put(directories + 40, &size.to_le_bytes());
        out
    }

    fn check(bytes: &[u8], expected: Option<(usize, usize)>) {
        assert_eq!(security_directory(bytes), expected);
        let opened = crate::container::open(bytes, &[], &crate::container::Limits::default());
        assert_eq!((opened.found.len(), opened.problems.len()), (0, usize::from(expected.is_some())));
    }

    #[test]
    fn where_the_signatures_are() {
        for magic in [1, 2] {
            check(&program(magic, 256, 100), Some((256, 100)));
            check(&program(magic, 0, 0), None);
            check(&program(magic, u32::MAX, u32::MAX), Some((u32::MAX as usize, u32::MAX as usize)));
        }
        check(&program(3, 256, 100), None);
        let whole = program(2, 256, 100);
        for end in 0..300 {
            check(&whole[..end], None);
        }
        assert_eq!(table(&[4, 0, 0, 0, 0, 2, 2, 0, 1, 2, 3]), []);
    }
}

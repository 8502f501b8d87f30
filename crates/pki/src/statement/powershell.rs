//! Signature blocks at the end of PowerShell scripts: base64 of PKCS#7 in comments.
//!
//! `.ps1`, `.psm1`, `.psd1` with `#`, `.ps1xml` with XML comments, `.mof` with C's. UTF-16 scripts are not read.

use memchr::memmem;

use super::cms::{Carrier, statements};
use crate::container::base64;
use crate::container::{Content, Found, Place, Reason, Session};

/// What begins a block.
pub(crate) const MARKER: &[u8] = b"SIG # Begin signature block";
const END: &[u8] = b"SIG # End signature block";

/// A block is no longer, in octets.
const BLOCK_MAX: usize = 1 << 20;

/// Finds blocks in a script.
pub(crate) fn read(bytes: &[u8], session: &mut Session, found: &mut Vec<Found<'static>>) {
    let mut number = 0;
    for at in memmem::find_iter(bytes, MARKER).take(100) {
        let rest = bytes.get(at + MARKER.len()..).unwrap_or(&[]);
        let rest = rest.get(..rest.len().min(BLOCK_MAX)).unwrap_or(&[]);
        let Some(end) = memmem::find(rest, END) else { continue };
        let mut data = Vec::with_capacity(end);
        for line in rest.get(..end).unwrap_or(&[]).split(|octet| *octet == b'\n') {
            // The longest word of a line is its data; the rest is what makes it a comment.
            let words = line.split(|octet| octet.is_ascii_whitespace());
            let word = words.max_by_key(|word| word.len()).unwrap_or(&[]);
            if word.iter().all(|octet| base64::is_base64(*octet)) && !word.starts_with(b"#") {
                data.extend_from_slice(word);
            }
        }
        let stated = statements(&base64::decode(&data), Carrier::Powershell);
        if stated.is_empty() && data.len() > 200 {
            session.problem(Reason::Malformed, "a script whose signature block cannot be read");
        }
        for statement in stated {
            number += 1;
            let place = Place::whole().named("powershell").numbered(number);
            session.keep(found, Content::Statement(statement), place);
        }
    }
}

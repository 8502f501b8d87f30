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

#[cfg(test)]
mod tests {
    use crate::container::{Limits, open};

    fn check(script: &str, problems: usize) {
        let opened = open(script.as_bytes(), &[], &Limits::default());
        assert_eq!((opened.found.len(), opened.problems.len()), (0, problems), "{script}");
    }

    /// What is signed by a real tool is read in `tests/dated/signatures.rs`.
    #[test]
    fn what_cannot_be_read_is_told() {
        for (before, after) in [("# ", ""), ("<!-- ", " -->"), ("/* ", " */")] {
            let line = |text: &str| format!("{before}{text}{after}\r\n");
            let data = line(&"MIAB".repeat(16)).repeat(5);
            let begin = line("SIG # Begin signature block");
            check(&format!("x\r\n{begin}{data}{}", line("SIG # End signature block")), 1);
            check(&format!("x\r\n{begin}{}", line("SIG # End signature block")), 0);
            check(&format!("x\r\n{begin}{data}"), 0);
        }
    }
}

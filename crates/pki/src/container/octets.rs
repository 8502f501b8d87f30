//! DER that a program's source writes down octet by octet: `0x30, 0x82, ...` as `xxd -i` prints it and C, Rust, Go and
//! Java have it in arrays, `"\x30\x82..."` in strings of C, and `b'0\x82...'` as Python prints octets.
//!
//! `sniff.rs` finds where one may begin. This reads as many octets as the header of the first element says, over line
//! ends, comments and strings that follow one another, and not one more. What they are is `der.rs`'s. Only elements of
//! 256 octets to 64 KiB have the beginning that is looked for: every certificate has, and few keys of elliptic curves.

/// Beginnings: what stands behind the `0` or the `\` before it, or the end of `\x30`.
pub(crate) const MARKERS: [&[u8]; 3] = [b"x30, 0x82, 0x", b"x30,0x82,0x", b"0\\x82\\x"];

/// So long may a comment between two octets be.
const COMMENT_MAX: usize = 4096;

/// How octets are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// `0x30, 0x82`.
    List,
    /// `"\x30\x82"`, in these quotes.
    Text(u8),
}

/// Octets that are read one by one.
struct Octets<'b> {
    bytes: &'b [u8],
    at: usize,
    form: Form,
}

/// Where the literal begins of which a marker stands at `at`.
fn open(bytes: &[u8], at: usize) -> Option<Octets<'_>> {
    if bytes.get(at) == Some(&b'x') {
        let start = at.checked_sub(1).filter(|start| bytes.get(*start) == Some(&b'0'))?;
        // `0x30` of a longer word is none.
        let before = start.checked_sub(1).and_then(|before| bytes.get(before));
        let apart = before.is_none_or(|octet| !octet.is_ascii_alphanumeric() && *octet != b'_');
        return apart.then_some(Octets { bytes, at: start, form: Form::List });
    }
    let escaped = at.checked_sub(3).filter(|start| bytes.get(*start..at) == Some(b"\\x3"));
    let start = escaped.unwrap_or(at);
    let quote = start.checked_sub(1).and_then(|before| bytes.get(before)).copied();
    let quote = quote.filter(|quote| matches!(quote, b'"' | b'\''))?;
    Some(Octets { bytes, at: start, form: Form::Text(quote) })
}

/// May an element begin here? Asked of a chunk of a file, with the offset of a marker.
pub(crate) fn may_begin(bytes: &[u8], at: usize) -> bool {
    let Some(octets) = open(bytes, at) else { return false };
    let start: Vec<u8> = octets.take(5).collect();
    // At the end of a chunk it is given the benefit of the doubt.
    let cut = start.len() < 5 && bytes.len().saturating_sub(at) < super::sniff::OVERLAP;
    cut || matches!(start.as_slice(), [0x30, 0x82, 1..=255, _, 0x30 | 2])
}

/// The element that begins here, no longer than `most` octets, and where its text ends.
pub(crate) fn element(bytes: &[u8], at: usize, most: usize) -> Option<(Vec<u8>, usize)> {
    let mut octets = open(bytes, at)?;
    let mut out: Vec<u8> = octets.by_ref().take(4).collect();
    let [0x30, 0x82, high, low] = *out.as_slice() else { return None };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length + 4 > most {
        return None;
    }
    out.extend(octets.by_ref().take(length));
    (out.len() == length + 4).then_some((out, octets.at))
}

impl Octets<'_> {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or(&[])
    }

    /// Steps over what stands between two octets of a list.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.iter().take_while(|b| b.is_ascii_whitespace() || **b == b',').count();
            let comment = match rest.get(blank..).unwrap_or(&[]) {
                [b'/', b'*', text @ ..] => {
                    let text = text.get(..COMMENT_MAX).unwrap_or(text);
                    memchr::memmem::find(text, b"*/").map_or(0, |end| end + 4)
                }
                [b'/', b'/', text @ ..] => {
                    let text = text.get(..COMMENT_MAX).unwrap_or(text);
                    memchr::memchr(b'\n', text).map_or(0, |end| end + 2)
                }
                _ => 0,
            };
            if blank + comment == 0 {
                return;
            }
            self.at += blank + comment;
        }
    }

    fn of_list(&mut self) -> Option<u8> {
        self.skip();
        let digits = match self.rest() {
            [b'0', b'x' | b'X', digits @ ..] => digits.iter().take_while(|b| b.is_ascii_hexdigit()).count(),
            _ => 0,
        };
        let text = self.rest().get(2..2 + digits).filter(|_| (1..=2).contains(&digits))?;
        let octet = u8::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()?;
        self.at += 2 + digits;
        Some(octet)
    }

    fn of_text(&mut self, quote: u8) -> Option<u8> {
        loop {
            let (octet, length) = match self.rest() {
                [b'\\', b'\n', ..] => {
                    self.at += 2;
                    continue;
                }
                [b'\\', b'x', high, low, ..] => {
                    let digit = |b: &u8| (*b as char).to_digit(16).map(|n| n as u8);
                    (digit(high)? << 4 | digit(low)?, 4)
                }
                [b'\\', digits @ ..] if digits.first().is_some_and(|b| matches!(b, b'0'..=b'7')) => {
                    let digits = digits.iter().take(3).take_while(|b| matches!(b, b'0'..=b'7'));
                    let (value, n) =
                        digits.fold((0u32, 0), |(v, n), b| (v << 3 | u32::from(b - b'0'), n + 1));
                    (u8::try_from(value).ok()?, 1 + n)
                }
                [b'\\', letter, ..] => {
                    let octet = match letter {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'a' => 7,
                        b'b' => 8,
                        b'v' => 11,
                        b'f' => 12,
                        b'\\' | b'"' | b'\'' | b'?' => *letter,
                        _ => return None,
                    };
                    (octet, 2)
                }
                // The next string goes on where this one ends.
                [end, after @ ..] if *end == quote => {
                    let blank =
                        |b: &&u8| b.is_ascii_whitespace() || matches!(**b, b'\\' | b'+' | b'b' | b'(');
                    let between = after.iter().take(64).take_while(blank).count();
                    if after.get(between) != Some(&quote) {
                        return None;
                    }
                    self.at += between + 2;
                    continue;
                }
                [plain @ b' '..=b'~', ..] => (*plain, 1),
                _ => return None,
            };
            self.at += length;
            return Some(octet);
        }
    }
}

impl Iterator for Octets<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        match self.form {
            Form::List => self.of_list(),
            Form::Text(quote) => self.of_text(quote),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An element of 260 octets that is nothing else.
    fn der() -> Vec<u8> {
        let mut out = vec![0x30, 0x82, 1, 0, 0x30, 0x7f];
        out.extend((0..=255u8).cycle().skip(6).take(254));
        out
    }

    fn check(text: &str, expected: bool) {
        let bytes = text.as_bytes();
        let at = MARKERS.iter().find_map(|marker| memchr::memmem::find(bytes, marker));
        let found = at.and_then(|at| element(bytes, at, 1 << 16));
        assert_eq!(found.map(|(der, _)| der), expected.then(der), "{text}");
    }

    fn list(separator: &str) -> String {
        der().iter().map(|b| format!("0x{b:02x}")).collect::<Vec<_>>().join(separator)
    }

    #[test]
    fn lists() {
        check(&format!("unsigned char ca_der[] = {{\n  {}\n}};\n", list(", ")), true);
        check(&format!("const uint8_t C[] = {{{}}};", list(",")), true);
        // A dozen on a line, with comments, as people write them.
        let lines: Vec<String> = der()
            .chunks(12)
            .map(|line| line.iter().map(|b| format!("0x{b:02X}, ")).collect::<String>())
            .collect();
        check(&lines.join("\n  /* more */ // and more\n"), true);
        check(&list(", ").replace("0x30, 0x82", "0x30,\n0x82"), false);
        let all = list(", ");
        check(&all[..all.len() - 6], false);
        check(&all.replace("0x10", "0x110"), false);
        check(&format!("u0x30{}", &all[4..]), false);
    }

    #[test]
    fn strings() {
        let escaped = |bytes: &[u8]| bytes.iter().map(|b| format!("\\x{b:02x}")).collect::<String>();
        check(&format!("char c[] = \"{}\";", escaped(&der())), true);
        let parts: Vec<String> = der().chunks(16).map(|part| format!("  \"{}\"", escaped(part))).collect();
        check(&format!("char c[] =\n{};", parts.join("\n")), true);
        check(&format!("char c[] =\n{};", parts.join(" \\\n")), true);
        // As Python prints octets.
        let mut python = String::new();
        for b in der() {
            match b {
                b'\n' => python.push_str("\\n"),
                b'\r' => python.push_str("\\r"),
                b'\t' => python.push_str("\\t"),
                b'\\' => python.push_str("\\\\"),
                b'\'' => python.push_str("\\'"),
                b' '..=b'~' => python.push(b as char),
                b => python.push_str(&format!("\\x{b:02x}")),
            }
        }
        check(&format!("DER = b'{python}'\n"), true);
        check(&format!("DER = b'{}'\n", &python[..python.len() - 4]), false);
        check(&escaped(&der()), false);
    }

    #[test]
    fn it_never_reads_beyond_its_end() {
        for text in [list(", "), format!("\"{}\"", "\\x30\\x82\\x01\\x00\\x30".repeat(9))] {
            for cut in 0..text.len() {
                let bytes = &text.as_bytes()[..cut];
                for at in 0..cut {
                    let _ = (may_begin(bytes, at), element(bytes, at, 1 << 16));
                }
                if cut > 400 {
                    break;
                }
            }
        }
    }
}

//! A bounded reader of DER tag-length-value elements (X.690), zero-copy.
//!
//! Everything that reads ASN.1 in this crate goes through here. It deliberately knows no types beyond
//! the TLV and a few primitives: what a value means belongs to the file that asked for it. It does not
//! recurse, so no depth of nesting can exhaust the stack; it accepts what is valid BER with definite
//! lengths (over-long lengths), and leaves the reporting of oddities to those who lint. Indefinite
//! lengths are an [`Error::Indefinite`]: the few callers that must live with them use [`skip_ber`].

/// The identifier octets of the universal types this crate meets.
#[allow(missing_docs)]
pub mod tag {
    pub const BOOLEAN: u8 = 0x01;
    pub const INTEGER: u8 = 0x02;
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const NULL: u8 = 0x05;
    pub const OID: u8 = 0x06;
    pub const ENUMERATED: u8 = 0x0a;
    pub const UTF8_STRING: u8 = 0x0c;
    pub const NUMERIC_STRING: u8 = 0x12;
    pub const PRINTABLE_STRING: u8 = 0x13;
    pub const TELETEX_STRING: u8 = 0x14;
    pub const IA5_STRING: u8 = 0x16;
    pub const UTC_TIME: u8 = 0x17;
    pub const GENERALIZED_TIME: u8 = 0x18;
    pub const VISIBLE_STRING: u8 = 0x1a;
    pub const UNIVERSAL_STRING: u8 = 0x1c;
    pub const BMP_STRING: u8 = 0x1e;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;

    /// The identifier octet of a constructed context-specific `[number]`, number below 31.
    pub const fn context(number: u8) -> u8 {
        0xa0 | (number & 0x1f)
    }

    /// The identifier octet of a primitive context-specific `[number]`, number below 31.
    pub const fn context_primitive(number: u8) -> u8 {
        0x80 | (number & 0x1f)
    }
}

/// An OCTET STRING in parts, as BER allows.
const CONSTRUCTED_OCTET_STRING: u8 = tag::OCTET_STRING | 0x20;

/// How deep any walk over nested elements goes before it gives up.
pub const MAX_DEPTH: usize = 32;

/// Why an element could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The bytes end before the element does; a length beyond the buffer is this, too.
    Truncated,
    /// A BER indefinite length, which DER forbids.
    Indefinite,
    /// A length of more than eight octets, or the reserved 0xff.
    LengthTooLong,
    /// A tag number of more than 28 bits.
    TagTooLong,
    /// Another tag than the one asked for.
    UnexpectedTag,
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
}

impl Error {
    /// One short phrase for a message.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Truncated => "the bytes end within an element",
            Self::Indefinite => "an indefinite length, which DER forbids",
            Self::LengthTooLong => "a length of more than eight octets",
            Self::TagTooLong => "a tag number of more than 28 bits",
            Self::UnexpectedTag => "an element of another type than expected",
            Self::TooDeep => "elements nested too deep",
        }
    }
}

/// One element: its first identifier octet, its contents, and the whole of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tlv<'a> {
    /// The first identifier octet: class, constructed bit, and the number where it is below 31.
    pub tag: u8,
    /// The contents octets.
    pub value: &'a [u8],
    /// Identifier, length and contents octets.
    pub raw: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// Whether the contents are elements themselves.
    pub fn is_constructed(&self) -> bool {
        self.tag & 0x20 != 0
    }

    /// A reader over the contents.
    pub fn reader(&self) -> Reader<'a> {
        Reader::new(self.value)
    }

    /// Whether the header is longer than DER allows: an over-long length.
    pub fn is_overlong(&self) -> bool {
        if self.tag & 0x1f == 0x1f {
            return false;
        }
        let length = self.value.len();
        let header = match length {
            0..=0x7f => 2,
            0x80..=0xff => 3,
            0x100..=0xffff => 4,
            0x1_0000..=0xff_ffff => 5,
            _ => 6,
        };
        self.raw.len() - length > header
    }
}

/// Reads elements one after another from a slice. Copying it is a bookmark.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// The header of an element: first identifier octet, header length, and contents length
/// (`None` = indefinite).
#[inline]
pub(crate) fn header(bytes: &[u8]) -> Result<(u8, usize, Option<usize>), Error> {
    // The overwhelmingly common shapes first: low tag, length of one to three octets.
    let (tag, mut at) = match bytes {
        [tag, length, ..] if tag & 0x1f != 0x1f => {
            if *length < 0x80 {
                return Ok((*tag, 2, Some(usize::from(*length))));
            }
            (*tag, 1)
        }
        [tag, ..] if tag & 0x1f == 0x1f => {
            let mut at = 1;
            loop {
                let octet = *bytes.get(at).ok_or(Error::Truncated)?;
                at += 1;
                if octet & 0x80 == 0 {
                    break;
                }
                if at > 4 {
                    return Err(Error::TagTooLong);
                }
            }
            (*tag, at)
        }
        _ => return Err(Error::Truncated),
    };
    let first = *bytes.get(at).ok_or(Error::Truncated)?;
    at += 1;
    if first < 0x80 {
        return Ok((tag, at, Some(usize::from(first))));
    }
    if first == 0x80 {
        return Ok((tag, at, None));
    }
    let count = usize::from(first & 0x7f);
    if count == 0x7f {
        return Err(Error::LengthTooLong);
    }
    let octets = bytes.get(at..at + count).ok_or(Error::Truncated)?;
    let mut length = 0u64;
    for octet in octets {
        if length >> 56 != 0 {
            return Err(Error::LengthTooLong);
        }
        length = length << 8 | u64::from(*octet);
    }
    let length = usize::try_from(length).map_err(|_| Error::Truncated)?;
    Ok((tag, at + count, Some(length)))
}

impl<'a> Reader<'a> {
    /// A reader over these bytes.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next identifier octet, without reading on.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next element, whatever it is.
    #[inline]
    pub fn read(&mut self) -> Result<Tlv<'a>, Error> {
        let (tag, start, length) = header(self.rest)?;
        let length = length.ok_or(Error::Indefinite)?;
        let end = start.checked_add(length).ok_or(Error::Truncated)?;
        let (raw, rest) = self.rest.split_at_checked(end).ok_or(Error::Truncated)?;
        let value = raw.get(start..).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(Tlv { tag, value, raw })
    }

    /// The next element, which must have this identifier octet; nothing is read when it has not.
    #[inline]
    pub fn expect(&mut self, tag: u8) -> Result<Tlv<'a>, Error> {
        match self.peek() {
            None => Err(Error::Truncated),
            Some(found) if found != tag => Err(Error::UnexpectedTag),
            Some(_) => self.read(),
        }
    }

    /// The next element if it has this identifier octet and can be read.
    #[inline]
    pub fn optional(&mut self, tag: u8) -> Option<Tlv<'a>> {
        if self.peek() == Some(tag) { self.read().ok() } else { None }
    }

    /// A reader into the next element, which must be a SEQUENCE.
    #[inline]
    pub fn sequence(&mut self) -> Result<Reader<'a>, Error> {
        Ok(self.expect(tag::SEQUENCE)?.reader())
    }
}

/// The elements one after another; ends at the first that cannot be read.
impl<'a> Iterator for Reader<'a> {
    type Item = Tlv<'a>;

    #[inline]
    fn next(&mut self) -> Option<Tlv<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let next = self.read().ok();
        if next.is_none() {
            self.rest = &[];
        }
        next
    }
}

/// Where `part`, a slice of `whole`, begins in it; 0 for a slice of something else.
pub(crate) fn offset_of(whole: &[u8], part: &[u8]) -> usize {
    let offset = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    if offset <= whole.len() { offset } else { 0 }
}

/// An unsigned integer of at most eight significant octets from INTEGER contents.
pub fn unsigned(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.first()? & 0x80 != 0 {
        return None;
    }
    let value = strip_zeros(value);
    if value.len() > 8 {
        return None;
    }
    Some(value.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet)))
}

/// INTEGER contents without leading zero octets.
pub fn strip_zeros(value: &[u8]) -> &[u8] {
    let zeros = value.iter().take_while(|octet| **octet == 0).count();
    value.get(zeros..).unwrap_or(&[])
}

/// The number of significant bits of an unsigned big-endian integer.
pub fn bit_length(value: &[u8]) -> u32 {
    let value = strip_zeros(value);
    match value.first() {
        Some(first) => {
            let octets = u32::try_from(value.len()).unwrap_or(u32::MAX);
            octets.saturating_mul(8).saturating_sub(first.leading_zeros())
        }
        None => 0,
    }
}

/// The octets of BIT STRING contents, without the octet that counts unused bits.
pub fn bit_string(value: &[u8]) -> &[u8] {
    value.get(1..).unwrap_or(&[])
}

/// DER of an element with this identifier octet and these contents.
pub fn encode(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 6);
    out.push(tag);
    let length = value.len();
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let octets = (length as u64).to_be_bytes();
        let octets = strip_zeros(&octets);
        out.push(0x80 | octets.len() as u8);
        out.extend_from_slice(octets);
    }
    out.extend_from_slice(value);
    out
}

/// The length of the first element in BER, which may have indefinite lengths nested in it. Iterative:
/// costs time linear in the bytes, and no memory beyond the open elements, of which it allows
/// [`MAX_DEPTH`].
pub fn skip_ber(bytes: &[u8]) -> Result<usize, Error> {
    let mut at = 0usize;
    // Only indefinite elements need to be entered; definite ones are stepped over whole.
    let mut open = 0usize;
    loop {
        let rest = bytes.get(at..).ok_or(Error::Truncated)?;
        if open > 0 && rest.starts_with(&[0, 0]) {
            at += 2;
            open -= 1;
        } else {
            let (tag, start, length) = header(rest)?;
            match length {
                Some(length) => {
                    at = at.checked_add(start).and_then(|a| a.checked_add(length)).ok_or(Error::Truncated)?;
                }
                None if tag & 0x20 == 0 => return Err(Error::Indefinite),
                None if open >= MAX_DEPTH => return Err(Error::TooDeep),
                None => {
                    at += start;
                    open += 1;
                }
            }
        }
        if at > bytes.len() {
            return Err(Error::Truncated);
        }
        if open == 0 {
            return Ok(at);
        }
    }
}

/// BER made definite: the first element of `bytes` re-encoded with definite lengths, and constructed OCTET
/// STRINGs joined into primitive ones. What is definite already keeps its octets, over-long lengths and
/// all, so that a certificate within keeps its fingerprint. Depth is capped at [`MAX_DEPTH`], and the cost
/// is at most that many times the input.
pub fn definite(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    struct Open {
        tag: u8,
        start: usize,
        /// Where the contents end, `None` when an end-of-contents marker does it.
        end: Option<usize>,
        contents: Vec<u8>,
        /// Whether anything in it had to change.
        changed: bool,
    }
    let mut stack: Vec<Open> = Vec::new();
    let mut at = 0usize;
    loop {
        // Close what ends here, innermost first.
        while let Some(top) = stack.last() {
            let done = match top.end {
                Some(end) if at == end => true,
                Some(end) if at > end => return Err(Error::Truncated),
                Some(_) => false,
                None if bytes.get(at..).is_some_and(|rest| rest.starts_with(&[0, 0])) => {
                    at += 2;
                    true
                }
                None => false,
            };
            if !done {
                break;
            }
            let Some(closed) = stack.pop() else { break };
            let element = if closed.tag == CONSTRUCTED_OCTET_STRING {
                // The parts have been made primitive already: their contents, joined, are the string's.
                let joined: Vec<u8> =
                    Reader::new(&closed.contents).flat_map(|part| part.value.iter().copied()).collect();
                encode(tag::OCTET_STRING, &joined)
            } else if closed.changed {
                encode(closed.tag, &closed.contents)
            } else {
                bytes.get(closed.start..at).unwrap_or(&[]).to_vec()
            };
            match stack.last_mut() {
                Some(parent) => {
                    parent.contents.extend_from_slice(&element);
                    parent.changed |= closed.changed;
                }
                None => return Ok(element),
            }
        }
        let rest = bytes.get(at..).ok_or(Error::Truncated)?;
        let (tag, start, length) = header(rest)?;
        if tag & 0x1f == 0x1f {
            return Err(Error::TagTooLong);
        }
        let end = match length {
            Some(length) => {
                let end =
                    at.checked_add(start).and_then(|a| a.checked_add(length)).ok_or(Error::Truncated)?;
                if end > bytes.len() {
                    return Err(Error::Truncated);
                }
                Some(end)
            }
            None => None,
        };
        if tag & 0x20 != 0 {
            if stack.len() >= MAX_DEPTH {
                return Err(Error::TooDeep);
            }
            let changed = end.is_none() || tag == CONSTRUCTED_OCTET_STRING;
            stack.push(Open { tag, start: at, end, contents: Vec::new(), changed });
            at += start;
        } else {
            let end = end.ok_or(Error::Indefinite)?;
            let element = bytes.get(at..end).ok_or(Error::Truncated)?;
            match stack.last_mut() {
                Some(parent) => parent.contents.extend_from_slice(element),
                None => return Ok(element.to_vec()),
            }
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first element's tag and contents length, or why not.
    fn check(bytes: &[u8], expected: Result<(u8, usize), Error>) {
        let found = Reader::new(bytes).read().map(|tlv| (tlv.tag, tlv.value.len()));
        assert_eq!(found, expected, "{bytes:02x?}");
    }

    #[test]
    fn lengths_and_tags() {
        check(&[0x30, 0], Ok((0x30, 0)));
        check(&[0x04, 1, 9], Ok((0x04, 1)));
        check(&[0x04, 0x81, 1, 9], Ok((0x04, 1)));
        check(&[0x04, 0x84, 0, 0, 0, 1, 9], Ok((0x04, 1)));
        check(&[0x04, 2, 9], Err(Error::Truncated));
        check(&[], Err(Error::Truncated));
        check(&[0x30], Err(Error::Truncated));
        check(&[0x30, 0x80, 0, 0], Err(Error::Indefinite));
        check(&[0x30, 0xff], Err(Error::LengthTooLong));
        // 2^63, 2^64 - 1 and nine octets.
        check(&[0x30, 0x88, 0x80, 0, 0, 0, 0, 0, 0, 0], Err(Error::Truncated));
        check(&[0x30, 0x88, 255, 255, 255, 255, 255, 255, 255, 255], Err(Error::Truncated));
        check(&[0x30, 0x89, 1, 0, 0, 0, 0, 0, 0, 0, 0], Err(Error::LengthTooLong));
        check(&[0x30, 0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0], Ok((0x30, 0)));
        check(&[0xbf, 0x85, 0x5d, 0], Ok((0xbf, 0)));
        check(&[0xbf, 0x81, 0x81, 0x81, 0x81, 0x01, 0], Err(Error::TagTooLong));
        check(&[0xbf, 0x81], Err(Error::Truncated));
    }

    #[test]
    fn indefinite_lengths_become_definite() {
        // SEQUENCE { OCTET STRING (constructed) { "ab", "c" } INTEGER 5 }, all indefinite.
        let ber = [0x30, 0x80, 0x24, 0x80, 4, 2, b'a', b'b', 4, 1, b'c', 0, 0, 2, 1, 5, 0, 0, 0xee];
        assert_eq!(skip_ber(&ber), Ok(ber.len() - 1));
        assert_eq!(definite(&ber), Ok(vec![0x30, 8, 4, 3, b'a', b'b', b'c', 2, 1, 5]));
    }

    #[test]
    fn a_depth_bomb_is_refused_in_linear_time() {
        for exponent in 2..=6 {
            let depth = 10usize.pow(exponent);
            let bomb = [0x30, 0x80].repeat(depth);
            assert_eq!(skip_ber(&bomb), Err(Error::TooDeep));
            assert_eq!(definite(&bomb), Err(Error::TooDeep));
        }
    }

    #[test]
    fn integers() {
        assert_eq!(unsigned(&[0, 0xff]), Some(255));
        assert_eq!(unsigned(&[0xff]), None);
        assert_eq!(unsigned(&[]), None);
        assert_eq!(unsigned(&[1; 9]), None);
        assert_eq!(bit_length(&[0, 1, 0]), 9);
        assert_eq!(bit_length(&[0, 0]), 0);
        assert_eq!(encode(0x04, &[7; 200]).get(..3), Some(&[0x04, 0x81, 200][..]));
    }
}

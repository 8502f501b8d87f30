//! Packets of OpenPGP (RFC 9580 section 4), and GnuPG's keybox around them.
//!
//! Framing only: what a packet means is for `key.rs` and `signature.rs`. Bodies of partial lengths, which keys never
//! have (section 4.2.1.4), are stepped over.

/// The identifiers of the packets that make up keys (RFC 9580 section 5).
#[allow(missing_docs)]
pub mod id {
    pub const SIGNATURE: u8 = 2;
    pub const SECRET_KEY: u8 = 5;
    pub const PUBLIC_KEY: u8 = 6;
    pub const SECRET_SUBKEY: u8 = 7;
    pub const MARKER: u8 = 10;
    pub const TRUST: u8 = 12;
    pub const USER_ID: u8 = 13;
    pub const PUBLIC_SUBKEY: u8 = 14;
    pub const USER_ATTRIBUTE: u8 = 17;
    pub const PADDING: u8 = 21;
}

/// One packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Its type.
    pub id: u8,
    /// Its contents; empty for one of partial lengths.
    pub body: &'a [u8],
}

/// Packets one after another; ends where no further can be read.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Packets<'a> {
    /// The packets of these octets.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn read(&mut self) -> Option<Packet<'a>> {
        let (first, tail) = self.rest.split_first()?;
        if first & 0x80 == 0 {
            return None;
        }
        let (id, mut tail, length) = if first & 0x40 != 0 {
            let (length, tail) = new_length(tail)?;
            (first & 0x3f, tail, length)
        } else {
            let (length, tail) = old_length(first & 3, tail)?;
            (first >> 2 & 0x0f, tail, Length::Whole(length))
        };
        let body = match length {
            Length::Whole(length) => {
                let (body, after) = tail.split_at_checked(length)?;
                tail = after;
                body
            }
            Length::Part(mut length) => loop {
                tail = tail.get(length..)?;
                let (next, after) = new_length(tail)?;
                tail = after;
                match next {
                    Length::Part(more) => length = more,
                    Length::Whole(last) => {
                        tail = tail.get(last..)?;
                        break &[][..];
                    }
                }
            },
        };
        self.rest = tail;
        Some(Packet { id, body })
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        self.read()
    }
}

enum Length {
    Whole(usize),
    Part(usize),
}

/// RFC 9580 section 4.2.1.
fn new_length(bytes: &[u8]) -> Option<(Length, &[u8])> {
    Some(match bytes {
        [first @ 0..=191, rest @ ..] => (Length::Whole(usize::from(*first)), rest),
        [first @ 192..=223, second, rest @ ..] => {
            (Length::Whole((usize::from(*first) - 192) * 256 + usize::from(*second) + 192), rest)
        }
        [255, a, b, c, d, rest @ ..] => (Length::Whole(u32::from_be_bytes([*a, *b, *c, *d]) as usize), rest),
        [first @ 224..=254, rest @ ..] => (Length::Part(1 << (first & 0x1f)), rest),
        _ => return None,
    })
}

/// RFC 9580 section 4.2.2.
fn old_length(kind: u8, bytes: &[u8]) -> Option<(usize, &[u8])> {
    Some(match (kind, bytes) {
        (0, [a, rest @ ..]) => (usize::from(*a), rest),
        (1, [a, b, rest @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
        (2, [a, b, c, d, rest @ ..]) => (u32::from_be_bytes([*a, *b, *c, *d]) as usize, rest),
        // Up to the end of the file, which no key is.
        _ => return None,
    })
}

/// Whether a file that starts like this is a binary keyring: a plausible key packet stands first.
pub fn looks_like_key(start: &[u8]) -> bool {
    let Some((first, tail)) = start.split_first() else { return false };
    let (id, length, body) = if first & 0xc0 == 0xc0 {
        match new_length(tail) {
            Some((Length::Whole(length), body)) => (first & 0x3f, length, body),
            _ => return false,
        }
    } else {
        match old_length(first & 3, tail) {
            Some((length, body)) if first & 0x80 != 0 => (first >> 2 & 0x0f, length, body),
            _ => return false,
        }
    };
    if !matches!(id, id::PUBLIC_KEY | id::SECRET_KEY) || !(20..65_536).contains(&length) {
        return false;
    }
    let (algorithm, created) = match body {
        [2 | 3, a, b, c, d, _, _, algorithm, ..] | [4..=6, a, b, c, d, algorithm, ..] => {
            (*algorithm, u32::from_be_bytes([*a, *b, *c, *d]))
        }
        _ => return false,
    };
    // Not before the first OpenPGP key of all; one without a date has zero there.
    matches!(algorithm, 1..=3 | 16..=20 | 22 | 25..=36) && (created == 0 || created > 600_000_000)
}

/// Whether a file that starts like this is a keybox.
pub fn looks_like_keybox(start: &[u8]) -> bool {
    start.get(4) == Some(&1) && start.get(8..12) == Some(b"KBXf")
}

/// What a keybox holds (GnuPG's kbx/keybox-blob.c): key blocks, and certificates of gpgsm.
#[derive(Clone, Copy, Debug)]
pub enum Blob<'a> {
    /// Packets of one key.
    Openpgp(&'a [u8]),
    /// DER of a certificate.
    X509(&'a [u8]),
}

/// The blobs of a keybox; those that do not hold together are left out.
pub fn blobs(bytes: &[u8]) -> impl Iterator<Item = Blob<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        loop {
            let length = u32::from_be_bytes(*rest.first_chunk::<4>()?) as usize;
            let (blob, after) = rest.split_at_checked(length.max(5))?;
            rest = after;
            let at = |offset: usize| {
                let octets = blob.get(offset..offset + 4)?;
                Some(u32::from_be_bytes(octets.try_into().ok()?) as usize)
            };
            let block = || {
                let start = at(8)?;
                blob.get(start..start.checked_add(at(12)?)?)
            };
            // A deleted blob has type 0.
            match (blob.get(4), block()) {
                (Some(2), Some(block)) => return Some(Blob::Openpgp(block)),
                (Some(3), Some(block)) => return Some(Blob::X509(block)),
                _ => {}
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &[(u8, usize)]) {
        let found: Vec<_> =
            Packets::new(bytes).take(99).map(|packet| (packet.id, packet.body.len())).collect();
        assert_eq!(found, expected, "{bytes:02x?}");
    }

    #[test]
    fn framing() {
        check(&[0x99, 0, 2, 1, 2, 0xcd, 1, 9], &[(6, 2), (13, 1)]);
        check(&[&[0xc6, 192, 0][..], &[0; 192]].concat(), &[(6, 192)]);
        check(&[0xc6, 255, 0, 0, 0, 1, 7], &[(6, 1)]);
        // Partial lengths: 2 octets, 1 octet, then the last 1.
        check(&[0xcb, 225, 1, 2, 224, 3, 1, 4, 0xcd, 0], &[(11, 0), (13, 0)]);
        check(&[0xc6, 255, 255, 255, 255, 255], &[]);
        check(&[0x9b, 1], &[]);
        check(b"text", &[]);
        check(&[], &[]);
    }

    #[test]
    fn starts() {
        let key = [0x98, 51, 4, 0x60, 0, 0, 0, 22];
        assert!(looks_like_key(&key));
        for (at, octet) in [(0, 0x88), (1, 3), (2, 9), (3, 1), (7, 99)] {
            let mut other = key;
            other[at] = octet;
            assert!(!looks_like_key(&other), "{at}");
        }
        assert!(!looks_like_key(b"\x99"));
        assert!(looks_like_keybox(b"\0\0\0\x20\x01\x01\0\x02KBXf"));
    }
}

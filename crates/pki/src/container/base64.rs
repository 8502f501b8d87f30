//! Base64 as it is met in the wild: decoded in one pass, junk told apart from data.
//!
//! Used by `pem.rs` for the bodies of blocks and for what stands around without armour. Strict about the
//! alphabet of RFC 4648 section 4 (and section 5's, which JWKs have), lenient about padding.

const INVALID: u8 = 0xff;

const DECODE: [u8; 256] = {
    let mut table = [INVALID; 256];
    let alphabet = ALPHABET;
    let mut index = 0;
    while index < 64 {
        table[alphabet[index] as usize] = index as u8;
        index += 1;
    }
    table[b'-' as usize] = 62;
    table[b'_' as usize] = 63;
    table
};
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Whether an octet is of the standard alphabet, padding included.
#[inline]
pub(crate) fn is_base64(octet: u8) -> bool {
    octet == b'=' || (octet != b'-' && octet != b'_' && value(octet) != INVALID)
}

#[inline]
fn value(octet: u8) -> u8 {
    DECODE.get(usize::from(octet)).copied().unwrap_or(INVALID)
}

/// Collects characters, gives octets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decoder {
    out: Vec<u8>,
    bits: u32,
    count: u32,
    ended: bool,
}

impl Decoder {
    /// Takes characters; those outside the alphabet are skipped, and nothing counts after padding.
    pub(crate) fn push(&mut self, text: &[u8]) {
        self.out.reserve(text.len() / 4 * 3 + 3);
        for octet in text {
            let value = value(*octet);
            if value == INVALID {
                self.ended |= *octet == b'=';
                continue;
            }
            if self.ended {
                return;
            }
            self.bits = self.bits << 6 | u32::from(value);
            self.count += 1;
            if self.count == 4 {
                let [_, a, b, c] = self.bits.to_be_bytes();
                self.out.extend_from_slice(&[a, b, c]);
                (self.bits, self.count) = (0, 0);
            }
        }
    }

    /// The octets.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        match self.count {
            2 => self.out.push((self.bits >> 4) as u8),
            3 => self.out.extend_from_slice(&[(self.bits >> 10) as u8, (self.bits >> 2) as u8]),
            _ => {}
        }
        self.out
    }
}

/// The octets of base64 text; characters outside the alphabet are skipped.
pub fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoder = Decoder::default();
    decoder.push(text);
    decoder.finish()
}

/// Base64 with padding, RFC 4648 section 4.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |index: usize| chunk.get(index).copied().unwrap_or(0);
        let bits = u32::from_be_bytes([0, at(0), at(1), at(2)]);
        for position in 0..4 {
            if position <= chunk.len() {
                let index = (bits >> (18 - 6 * position)) & 63;
                out.push(ALPHABET.get(index as usize).map_or('=', |octet| *octet as char));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], text: &str) {
        assert_eq!(encode(bytes), text);
        assert_eq!(decode(text.as_bytes()), bytes);
        assert_eq!(decode(text.trim_end_matches('=').as_bytes()), bytes);
    }

    #[test]
    fn vectors_of_rfc_4648() {
        check(b"", "");
        check(b"f", "Zg==");
        check(b"fo", "Zm8=");
        check(b"foo", "Zm9v");
        check(b"foob", "Zm9vYg==");
        check(b"fooba", "Zm9vYmE=");
        check(b"foobar", "Zm9vYmFy");
        assert_eq!(decode(b"Zm9\n v\tYg==Zm9v"), b"foob");
    }
}

//! Base64 and PEM, both ways: enough to turn a PEM file into DER and to write the files that carry base64.

/// The alphabet of RFC 4648, section 4.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes as base64 in one line, padded.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0u32, |group, &byte| group << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = (group >> (18 - 6 * place) & 63) as usize;
            text.push(if place <= chunk.len() { ALPHABET[index] as char } else { '=' });
        }
    }
    text
}

/// Base64 as bytes; whatever is not of the alphabet is skipped.
#[must_use]
pub fn decode(text: &str) -> Vec<u8> {
    let (mut bytes, mut group, mut bits) = (Vec::with_capacity(text.len() / 4 * 3), 0u32, 0);
    for letter in text.bytes() {
        let Some(value) = ALPHABET.iter().position(|&known| known == letter) else { continue };
        group = group << 6 | value as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits & 0xff) as u8);
        }
    }
    bytes
}

/// The DER of every block of a PEM text that has this label, such as `CERTIFICATE`.
#[must_use]
pub fn blocks(pem: &str, label: &str) -> Vec<Vec<u8>> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    pem.split(&begin).skip(1).filter_map(|rest| rest.split_once(&end)).map(|(body, _)| decode(body)).collect()
}

#[cfg(test)]
mod tests {
    use super::{blocks, decode, encode};

    #[test]
    fn goes_both_ways() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text), bytes.as_bytes());
        }
    }

    #[test]
    fn finds_blocks() {
        let pem = "x\n-----BEGIN A-----\nZm9v\n-----END A-----\n-----BEGIN B-----\nZg==\n-----END B-----\n";
        assert_eq!(blocks(pem, "A"), [b"foo"]);
        assert_eq!(blocks(pem, "B"), [b"f"]);
    }
}

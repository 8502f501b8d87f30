//! Identities: what names a certificate and what names a key.
//!
//! Everything downstream is keyed by these two; neither the serial number nor the subject ever is
//! (serials repeat, RFC 5280 section 4.1.2.2 notwithstanding).

use std::fmt;
use std::str::FromStr;

/// SHA-256 of the whole DER of an asset: its identity. Prints as `sha256:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// SHA-256 of a DER SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7): the identity of a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 32]);

/// SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}

impl Fingerprint {
    /// The fingerprint of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha256(bytes))
    }
}

impl KeyId {
    /// The identity of the key in this DER SubjectPublicKeyInfo.
    pub fn of(spki: &[u8]) -> Self {
        Self(sha256(spki))
    }
}

/// Lower-case hex, without separators.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for &byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)] as char);
        out.push(DIGITS[usize::from(byte & 15)] as char);
    }
    out
}

/// The reverse of [`hex`], of either case. `None`: a digit too few, or something else than digits.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|value| value as u8);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// 32 octets; colons are ignored, as `openssl` prints them.
fn identity(text: &str) -> Option<[u8; 32]> {
    unhex(&text.replace(':', ""))?.try_into().ok()
}

macro_rules! identity {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("sha256:")?;
                f.write_str(&hex(&self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl FromStr for $name {
            type Err = NotAnIdentity;
            fn from_str(text: &str) -> Result<Self, NotAnIdentity> {
                identity(text.strip_prefix("sha256:").unwrap_or(text)).map(Self).ok_or(NotAnIdentity)
            }
        }
    };
}
identity!(Fingerprint);
identity!(KeyId);

/// The text is not `sha256:` followed by 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnIdentity;

impl fmt::Display for NotAnIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a SHA-256 fingerprint (64 hex digits)")
    }
}
impl std::error::Error for NotAnIdentity {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_parses_the_same() {
        let print = Fingerprint::of(b"abc");
        assert_eq!(
            print.to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(print.to_string().parse(), Ok(print));
        assert_eq!("BA:78".parse::<Fingerprint>(), Err(NotAnIdentity));
    }
}

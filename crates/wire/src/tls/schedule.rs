//! The key schedule of TLS 1.3, as far as the server's handshake traffic key (RFC 8446 section 7.1).
//!
//! One extract and three expansions: all there is to pay for reading an encrypted flight once the
//! shared secret is known (see `hello` for why it is). No Finished is checked and no client key
//! derived: we never answer.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use aws_lc_rs::{digest, hmac};
use std::sync::LazyLock;

/// The hash and cipher of one of the suites we offer.
#[derive(Clone, Copy)]
pub(crate) struct Suite {
    hash: Hash,
    cipher: &'static aws_lc_rs::aead::Algorithm,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
}

impl Suite {
    /// The suite behind an IANA number, if it is one of TLS 1.3 that we offer.
    pub(crate) fn of(code: u16) -> Option<Suite> {
        Some(match code {
            0x1301 => Suite { hash: Hash::Sha256, cipher: &AES_128_GCM },
            0x1302 => Suite { hash: Hash::Sha384, cipher: &AES_256_GCM },
            0x1303 => Suite { hash: Hash::Sha256, cipher: &CHACHA20_POLY1305 },
            _ => return None,
        })
    }

    /// A fresh transcript hash.
    pub(crate) fn transcript(self) -> digest::Context {
        digest::Context::new(match self.hash {
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha384 => &digest::SHA384,
        })
    }

    fn hmac(self) -> hmac::Algorithm {
        match self.hash {
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha384 => hmac::HMAC_SHA384,
        }
    }

    /// The key that opens the server's handshake records, from the shared secret and the hash of
    /// everything up to and including the ServerHello.
    pub(crate) fn opener(self, shared: &[u8], transcript: &[u8]) -> Option<Opener> {
        // The salt, Derive-Secret(Early Secret, "derived", ""), is the same in every handshake
        // that resumes nothing.
        static SALTS: LazyLock<[hmac::Key; 2]> = LazyLock::new(|| {
            [Hash::Sha256, Hash::Sha384].map(|hash| {
                let suite = Suite { hash, cipher: &AES_128_GCM };
                let zeros = [0; 48];
                let length = suite.hmac().digest_algorithm().output_len();
                let none = hmac::Key::new(suite.hmac(), &[]);
                let early = hmac::sign(&none, &zeros[..length]);
                let empty = suite.transcript().finish();
                let salt = suite.expand(early.as_ref(), b"derived", empty.as_ref(), length);
                hmac::Key::new(suite.hmac(), salt.as_ref())
            })
        });
        let length = self.hmac().digest_algorithm().output_len();
        let handshake = hmac::sign(&SALTS[self.hash as usize], shared);
        let traffic = self.expand(handshake.as_ref(), b"s hs traffic", transcript, length);
        let traffic = hmac::Key::new(self.hmac(), traffic.as_ref());
        let key = expand(&traffic, b"key", &[], self.cipher.key_len());
        let iv = expand(&traffic, b"iv", &[], NONCE_LEN);
        let key = UnboundKey::new(self.cipher, &key.as_ref()[..self.cipher.key_len()]).ok()?;
        Some(Opener {
            key: LessSafeKey::new(key),
            iv: iv.as_ref()[..NONCE_LEN].try_into().ok()?,
            sequence: 0,
        })
    }

    fn expand(self, secret: &[u8], label: &[u8], context: &[u8], length: usize) -> hmac::Tag {
        expand(&hmac::Key::new(self.hmac(), secret), label, context, length)
    }
}

/// HKDF-Expand-Label for outputs no longer than the hash: one HMAC. The caller cuts the tag to `length`.
fn expand(secret: &hmac::Key, label: &[u8], context: &[u8], length: usize) -> hmac::Tag {
    let mut info = [0; 96];
    let mut filled = 0;
    let mut put = |bytes: &[u8]| {
        info[filled..filled + bytes.len()].copy_from_slice(bytes);
        filled += bytes.len();
    };
    put(&[0, length as u8, 6 + label.len() as u8]);
    put(b"tls13 ");
    put(label);
    put(&[context.len() as u8]);
    put(context);
    put(&[1]);
    hmac::sign(secret, &info[..filled])
}

/// Opens the server's encrypted records, in order.
pub(crate) struct Opener {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    sequence: u64,
}

impl Opener {
    /// Decrypts a record's body in place and returns its content type and content (RFC 8446
    /// section 5.2); `None` if it was not encrypted with this key, or holds nothing.
    pub(crate) fn open<'a>(&mut self, header: [u8; 5], body: &'a mut [u8]) -> Option<(u8, &'a mut [u8])> {
        let mut nonce = self.iv;
        for (byte, count) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= count;
        }
        self.sequence += 1;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let inner = self.key.open_in_place(nonce, Aad::from(header), body).ok()?;
        let last = inner.iter().rposition(|byte| *byte != 0)?;
        Some((inner[last], &mut inner[..last]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// RFC 8448 section 3, "Simple 1-RTT Handshake": the server's handshake write key and IV.
    #[test]
    fn reproduces_rfc_8448() {
        let suite = Suite::of(0x1301).unwrap();
        let shared = hex("8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d");
        let hash = hex("860c06edc07858ee8e78f0e7428c58edd6b43f2ca3e6e95f02ed063cf0e1cad8");
        let opener = suite.opener(&shared, &hash).unwrap();
        assert_eq!(opener.iv.to_vec(), hex("5d313eb2671276ee13000b30"));
    }

    #[test]
    fn refuses_what_it_cannot_open() {
        let check = |body: &[u8]| {
            let mut opener = Suite::of(0x1303).unwrap().opener(&[1; 32], &[2; 32]).unwrap();
            assert!(opener.open([23, 3, 3, 0, 0], &mut body.to_vec()).is_none());
        };
        check(&[]);
        check(&[0; 15]);
        check(&[0; 64]);
        assert!(Suite::of(0x1304).is_none());
    }
}

//! The ClientHello, written by hand and answerable without elliptic-curve arithmetic.
//!
//! Every key share offered is the public key of the private scalar 1, that is, the generator of its
//! group. The shared secret is then the server's own key share, and reading the encrypted
//! flight of TLS 1.3 needs a hash and a cipher but no curve. The price: anyone on the path can read
//! the session. So nothing is ever sent on it, and the connection ends at the certificates.
//!
//! This file only writes. What comes back is read by `flight`.

use std::net::IpAddr;
use std::sync::OnceLock;

/// Which of a server's certificates the hello asks for, and how old a server it speaks to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Offer {
    /// TLS 1.3 down to 1.2 (and to 1.0, where a server answers so), every key kind. For everybody.
    #[default]
    Any,
    /// As `Any`, but a server may answer only with a key that is not RSA: ECDSA, EdDSA or ML-DSA.
    EcdsaOnly,
    /// As `Any`, but a server may answer only with an RSA key.
    RsaOnly,
    /// TLS 1.2 and below with every old cipher suite, short, no extension that old servers choke on.
    Legacy,
    /// TLS 1.2 and below, static RSA first: the answer costs an RSA server no private-key operation
    /// and an ECDSA server half of what TLS 1.3 costs. A server with only TLS 1.3 refuses it.
    Gentle,
}

/// X25519 (RFC 8446 section 4.2.7).
pub const X25519: u16 = 29;
/// X448 (RFC 8446 section 4.2.7).
pub const X448: u16 = 30;
/// NIST P-256.
pub const SECP256R1: u16 = 23;
/// NIST P-384.
pub const SECP384R1: u16 = 24;
/// NIST P-521.
pub const SECP521R1: u16 = 25;

/// A hello yet to be written. It is cheap to rebuild, so a connection keeps the `seed`, not the bytes.
#[derive(Clone, Copy, Debug)]
pub struct ClientHello<'a> {
    /// What to ask for.
    pub offer: Offer,
    /// From which the random and the session id are spread. Fresh per connection; no secret.
    pub seed: u64,
    /// The name to ask for (RFC 6066 section 3). Address literals and impossible names are left out.
    pub server_name: Option<&'a str>,
    /// Whether the server may compress its certificates with zlib or brotli (RFC 8879).
    pub compressed: bool,
}

/// What a HelloRetryRequest asks the second hello to hold (RFC 8446 section 4.1.4).
#[derive(Clone, Debug, Default)]
pub(crate) struct Retry {
    pub(crate) group: Option<u16>,
    pub(crate) cookie: Option<Vec<u8>>,
}

/// Writes big-endian numbers: suites, groups and schemes are lists of them.
const fn be<const N: usize, const M: usize>(codes: [u16; N]) -> [u8; M] {
    assert!(M == 2 * N);
    let mut out = [0; M];
    let mut i = 0;
    while i < N {
        out[2 * i] = (codes[i] >> 8) as u8;
        out[2 * i + 1] = codes[i] as u8;
        i += 1;
    }
    out
}

const SUITES_13: [u8; 6] = be([0x1301, 0x1302, 0x1303]);
const SUITES_ECDSA: [u8; 24] =
    be([0xc02b, 0xc02c, 0xcca9, 0xc023, 0xc024, 0xc009, 0xc00a, 0xc0ac, 0xc0ad, 0xc0ae, 0xc0af, 0xc008]);
const SUITES_RSA_EPHEMERAL: [u8; 32] = be([
    0xc02f, 0xc030, 0xcca8, 0xc027, 0xc028, 0xc013, 0xc014, 0xc012, 0x009e, 0x009f, 0xccaa, 0x0067, 0x006b,
    0x0033, 0x0039, 0x0016,
]);
const SUITES_RSA_STATIC: [u8; 22] =
    be([0x009c, 0x009d, 0xc09c, 0xc09d, 0x003c, 0x003d, 0x002f, 0x0035, 0x0041, 0x0084, 0x000a]);
/// RC4, DES, export, NULL encryption, SEED, IDEA, Camellia and ARIA, DSS keys, static ECDH. Anonymous suites
/// are left out: they show no certificate. The last is the renegotiation signal of RFC 5746.
const SUITES_OLD: [u8; 76] = be([
    0x0005, 0x0004, 0xc011, 0xc007, 0x0009, 0x0015, 0x0096, 0x0007, 0x0088, 0x0045, 0xc03c, 0x0032, 0x0038,
    0x0013, 0x0040, 0x006a, 0x00a2, 0x00a3, 0x0012, 0xc02d, 0xc031, 0xc004, 0xc005, 0xc00e, 0xc00f, 0xc003,
    0xc00d, 0x0003, 0x0006, 0x0008, 0x0014, 0x0011, 0x0002, 0x0001, 0x003b, 0xc010, 0xc006, 0x00ff,
]);

/// Groups offered by the modern hellos. The four first have key shares; X448 and the finite fields can be
/// asked for by HelloRetryRequest; the rest name curves for the key exchange and keys of TLS 1.2.
const GROUPS: [u8; 26] =
    be([X25519, SECP256R1, SECP384R1, SECP521R1, X448, 256, 257, 258, 26, 27, 28, 22, 21]);
const GROUPS_OLD: [u8; 16] = be([SECP256R1, SECP384R1, SECP521R1, 26, 27, 28, 22, 21]);

const SCHEMES_NOT_RSA: [u8; 28] = be([
    0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0904, 0x0905, 0x0906, 0x081a, 0x081b, 0x081c, 0x0303, 0x0203,
    0x0202,
]);
const SCHEMES_RSA: [u8; 22] =
    be([0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0809, 0x080a, 0x080b, 0x0301, 0x0201]);
const SCHEMES_OLD: [u8; 24] =
    be([0x0403, 0x0503, 0x0603, 0x0804, 0x0401, 0x0501, 0x0601, 0x0303, 0x0301, 0x0203, 0x0201, 0x0202]);

const P256: &[u8] = b"\x04\
    \x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2\
    \x77\x03\x7d\x81\x2d\xeb\x33\xa0\xf4\xa1\x39\x45\xd8\x98\xc2\x96\
    \x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c\x0f\x9e\x16\
    \x2b\xce\x33\x57\x6b\x31\x5e\xce\xcb\xb6\x40\x68\x37\xbf\x51\xf5";
const P384: &[u8] = b"\x04\
    \xaa\x87\xca\x22\xbe\x8b\x05\x37\x8e\xb1\xc7\x1e\xf3\x20\xad\x74\
    \x6e\x1d\x3b\x62\x8b\xa7\x9b\x98\x59\xf7\x41\xe0\x82\x54\x2a\x38\
    \x55\x02\xf2\x5d\xbf\x55\x29\x6c\x3a\x54\x5e\x38\x72\x76\x0a\xb7\
    \x36\x17\xde\x4a\x96\x26\x2c\x6f\x5d\x9e\x98\xbf\x92\x92\xdc\x29\
    \xf8\xf4\x1d\xbd\x28\x9a\x14\x7c\xe9\xda\x31\x13\xb5\xf0\xb8\xc0\
    \x0a\x60\xb1\xce\x1d\x7e\x81\x9d\x7a\x43\x1d\x7c\x90\xea\x0e\x5f";
const P521: &[u8] = b"\x04\
    \x00\xc6\x85\x8e\x06\xb7\x04\x04\xe9\xcd\x9e\x3e\xcb\x66\x23\x95\xb4\
    \x42\x9c\x64\x81\x39\x05\x3f\xb5\x21\xf8\x28\xaf\x60\x6b\x4d\x3d\
    \xba\xa1\x4b\x5e\x77\xef\xe7\x59\x28\xfe\x1d\xc1\x27\xa2\xff\xa8\
    \xde\x33\x48\xb3\xc1\x85\x6a\x42\x9b\xf9\x7e\x7e\x31\xc2\xe5\xbd\x66\
    \x01\x18\x39\x29\x6a\x78\x9a\x3b\xc0\x04\x5c\x8a\x5f\xb4\x2c\x7d\x1b\
    \xd9\x98\xf5\x44\x49\x57\x9b\x44\x68\x17\xaf\xbd\x17\x27\x3e\x66\
    \x2c\x97\xee\x72\x99\x5e\xf4\x26\x40\xc5\x50\xb9\x01\x3f\xad\x07\
    \x61\x35\x3c\x70\x86\xa2\x72\xc2\x40\x88\xbe\x94\x76\x9f\xd1\x66\x50";

/// How long a key share in `group` is, in bytes; `None` where we have none to offer.
pub(crate) fn share_length(group: u16) -> Option<usize> {
    Some(match group {
        X25519 => 32,
        X448 => 56,
        SECP256R1 => P256.len(),
        SECP384R1 => P384.len(),
        SECP521R1 => P521.len(),
        256 => 256,
        257 => 384,
        258 => 512,
        _ => return None,
    })
}

/// The public key of the private scalar 1 in `group`, as a key share carries it; `None` where no share is known.
pub(crate) fn generator(group: u16) -> Option<Vec<u8>> {
    let last = |length: usize, byte: u8| {
        let mut share = vec![0; length];
        share[length - 1] = byte;
        share
    };
    let first = |length: usize, byte: u8| {
        let mut share = vec![0; length];
        share[0] = byte;
        share
    };
    Some(match group {
        // RFC 7748: little-endian base points 9 and 5.
        X25519 => first(32, 9),
        X448 => first(56, 5),
        SECP256R1 => P256.to_vec(),
        SECP384R1 => P384.to_vec(),
        SECP521R1 => P521.to_vec(),
        // RFC 7919: the generator of each field is 2, written as long as the prime.
        256 => last(256, 2),
        257 => last(384, 2),
        258 => last(512, 2),
        _ => return None,
    })
}

impl ClientHello<'_> {
    /// Appends the hello as one TLS record.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_retry(None, out);
    }

    /// Appends the hello, changed as a HelloRetryRequest asked. The record comes first, so the handshake
    /// message that the transcript hashes begins five bytes later.
    pub(crate) fn write_retry(&self, retry: Option<&Retry>, out: &mut Vec<u8>) {
        let record = out.len();
        // RFC 8446 section 5.1: 0x0301 in the first hello, for servers that look, 0x0303 in the second.
        out.extend_from_slice(&[22, 3, if retry.is_some() { 3 } else { 1 }, 0, 0, 1, 0, 0, 0, 3, 3]);
        let mut spread = Spread(self.seed);
        for _ in 0..4 {
            out.extend_from_slice(&spread.next().to_ne_bytes());
        }
        if self.offer == Offer::Legacy {
            out.push(0);
        } else {
            // Not empty, so that a TLS 1.3 server behaves as middleboxes expect (RFC 8446 appendix D.4).
            out.push(32);
            for _ in 0..4 {
                out.extend_from_slice(&spread.next().to_ne_bytes());
            }
        }
        let template = template(self.offer);
        put_u16(out, template.suites.len());
        out.extend_from_slice(&template.suites);
        out.extend_from_slice(&[1, 0]);
        let extensions = out.len();
        out.extend_from_slice(&[0, 0]);
        if let Some(name) = self.server_name.and_then(sendable) {
            put_u16(out, 0);
            put_u16(out, name.len() + 5);
            put_u16(out, name.len() + 3);
            out.push(0);
            put_u16(out, name.len());
            out.extend_from_slice(name.as_bytes());
        }
        out.extend_from_slice(&template.extensions);
        if template.modern {
            if self.compressed {
                out.extend_from_slice(&[0, 27, 0, 5, 4, 0, 1, 0, 2]);
            }
            if let Some(cookie) = retry.and_then(|retry| retry.cookie.as_deref()) {
                put_u16(out, 44);
                put_u16(out, cookie.len() + 2);
                put_u16(out, cookie.len());
                out.extend_from_slice(cookie);
            }
            match retry.and_then(|retry| retry.group) {
                Some(group) => out.extend_from_slice(&shares(&[group])),
                None => out.extend_from_slice(&template.shares),
            }
        }
        // RFC 7685: a hello of 256 to 511 bytes hangs some old load balancers, so it is made longer.
        let message = out.len() - record - 5;
        if (256..512).contains(&message) {
            let zeros = (512 - message).saturating_sub(4);
            put_u16(out, 21);
            put_u16(out, zeros);
            out.resize(out.len() + zeros, 0);
        }
        let end = out.len();
        patch_u16(out, extensions, end - extensions - 2);
        patch_u16(out, record + 3, end - record - 5);
        patch_u16(out, record + 7, end - record - 9);
    }
}

/// The part of a hello that is the same for every connection.
struct Template {
    modern: bool,
    suites: Vec<u8>,
    extensions: Vec<u8>,
    shares: Vec<u8>,
}

fn template(offer: Offer) -> &'static Template {
    static BUILT: [OnceLock<Template>; 5] = [const { OnceLock::new() }; 5];
    BUILT[offer as usize].get_or_init(|| build(offer))
}

fn build(offer: Offer) -> Template {
    let (suites, schemes): (Vec<&[u8]>, Vec<&[u8]>) = match offer {
        Offer::Any => (
            vec![&SUITES_13, &SUITES_ECDSA, &SUITES_RSA_EPHEMERAL, &SUITES_RSA_STATIC],
            vec![&SCHEMES_NOT_RSA, &SCHEMES_RSA],
        ),
        Offer::EcdsaOnly => (vec![&SUITES_13, &SUITES_ECDSA], vec![&SCHEMES_NOT_RSA]),
        Offer::RsaOnly => (vec![&SUITES_13, &SUITES_RSA_EPHEMERAL, &SUITES_RSA_STATIC], vec![&SCHEMES_RSA]),
        Offer::Legacy => {
            (vec![&SUITES_RSA_STATIC, &SUITES_RSA_EPHEMERAL, &SUITES_ECDSA, &SUITES_OLD], vec![&SCHEMES_OLD])
        }
        Offer::Gentle => (
            vec![&SUITES_RSA_STATIC, &SUITES_ECDSA, &SUITES_RSA_EPHEMERAL],
            vec![&SCHEMES_NOT_RSA, &SCHEMES_RSA],
        ),
    };
    let modern = !matches!(offer, Offer::Legacy | Offer::Gentle);
    let mut x = Vec::with_capacity(256);
    let groups: &[u8] = if offer == Offer::Legacy { &GROUPS_OLD } else { &GROUPS };
    put_list(&mut x, 10, groups);
    x.extend_from_slice(&[0, 11, 0, 2, 1, 0]);
    put_list(&mut x, 13, &schemes.concat());
    if offer != Offer::Legacy {
        // signature_algorithms_cert: an ECDSA key signed by an RSA authority is welcome in every offer.
        put_list(&mut x, 50, &[&SCHEMES_NOT_RSA[..], &SCHEMES_RSA].concat());
        // status_request for OCSP, signed_certificate_timestamp, extended_master_secret (some FIPS
        // servers insist), and renegotiation_info.
        x.extend_from_slice(&[0, 5, 0, 5, 1, 0, 0, 0, 0]);
        x.extend_from_slice(&[0, 18, 0, 0, 0, 23, 0, 0, 0xff, 1, 0, 1, 0]);
    }
    if modern {
        // 1.1 and 1.0 too: newer servers told to speak only those believe this list, not the version field.
        x.extend_from_slice(&[0, 43, 0, 9, 8, 3, 4, 3, 3, 3, 2, 3, 1]);
        x.extend_from_slice(&[0, 45, 0, 2, 1, 1]);
    }
    Template {
        modern,
        suites: suites.concat(),
        extensions: x,
        shares: shares(&[X25519, SECP256R1, SECP384R1, SECP521R1]),
    }
}

fn shares(groups: &[u16]) -> Vec<u8> {
    let mut list = Vec::new();
    for &group in groups {
        let share = generator(group).unwrap_or_default();
        put_u16(&mut list, usize::from(group));
        put_u16(&mut list, share.len());
        list.extend_from_slice(&share);
    }
    let mut out = Vec::new();
    put_list(&mut out, 51, &list);
    out
}

/// An extension whose body is one list with a 16-bit length.
fn put_list(out: &mut Vec<u8>, code: usize, list: &[u8]) {
    put_u16(out, code);
    put_u16(out, list.len() + 2);
    put_u16(out, list.len());
    out.extend_from_slice(list);
}

fn put_u16(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(&(value as u16).to_be_bytes());
}

fn patch_u16(out: &mut [u8], at: usize, value: usize) {
    out[at..at + 2].copy_from_slice(&(value as u16).to_be_bytes());
}

/// The name as RFC 6066 section 3 wants it, or nothing if it must not be sent.
pub(crate) fn sendable(name: &str) -> Option<&str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let fits = !name.is_empty() && name.len() <= 253 && name.bytes().all(plain);
    (fits && name.parse::<IpAddr>().is_err()).then_some(name)
}

/// SplitMix64: spreads one number over a hello. These bytes keep nothing secret (the private
/// scalar is 1), they only have to differ between connections.
#[derive(Clone, Debug)]
pub(crate) struct Spread(pub(crate) u64);

impl Spread {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::agreement::{ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey};

    fn bytes(offer: Offer, name: Option<&str>) -> Vec<u8> {
        let mut out = Vec::new();
        ClientHello { offer, seed: 7, server_name: name, compressed: true }.write(&mut out);
        out
    }

    #[test]
    fn generators_are_the_public_keys_of_one() {
        for (algorithm, length, group) in
            [(&ECDH_P256, 32, SECP256R1), (&ECDH_P384, 48, SECP384R1), (&ECDH_P521, 66, SECP521R1)]
        {
            let mut one = vec![0; length];
            one[length - 1] = 1;
            let key = PrivateKey::from_private_key(algorithm, &one).unwrap();
            assert_eq!(key.compute_public_key().unwrap().as_ref(), generator(group).unwrap());
        }
        for group in 0..u16::MAX {
            assert_eq!(generator(group).map(|share| share.len()), share_length(group));
        }
    }

    #[test]
    fn lengths_agree() {
        let check = |offer, name| {
            let hello = bytes(offer, name);
            let u16_at = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
            assert_eq!(u16_at(3) + 5, hello.len(), "{offer:?} {name:?}");
            assert_eq!(u16_at(7) + 9, hello.len(), "{offer:?} {name:?}");
            assert!(!(256..512).contains(&(hello.len() - 5)), "{offer:?} {}", hello.len());
            let mut at = 43;
            at += 1 + usize::from(hello[at]);
            at += 2 + u16_at(at);
            at += 1 + usize::from(hello[at]);
            let end = at + 2 + u16_at(at);
            assert_eq!(end, hello.len());
            at += 2;
            while at < end {
                at += 4 + u16_at(at + 2);
            }
            assert_eq!(at, end);
        };
        let long = "long.".repeat(49);
        for offer in [Offer::Any, Offer::EcdsaOnly, Offer::RsaOnly, Offer::Legacy, Offer::Gentle] {
            for name in [None, Some("a.example"), Some(long.as_str()), Some("10.0.0.1")] {
                check(offer, name);
            }
        }
    }

    #[test]
    fn addresses_and_impossible_names_are_not_sent() {
        let check = |name: &str, sent: Option<&str>| assert_eq!(sendable(name), sent, "{name}");
        check("www.example.com", Some("www.example.com"));
        check("www.example.com.", Some("www.example.com"));
        check("192.0.2.1", None);
        check("2001:db8::1", None);
        check("", None);
        check("a b", None);
        check("m\u{fc}nchen.example", None);
        check(&"a".repeat(254), None);
    }
}

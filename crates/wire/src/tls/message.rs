//! The handshake messages a server sends up to its certificates, taken apart.
//!
//! Lengths are checked, everything that was not asked about is skipped, and nothing is judged:
//! a chain in the wrong order or a certificate that is no certificate passes through.

use crate::tls::outcome::ClientAuth;
use crate::tls::{Chain, Outcome};
use rustls::compress::{BROTLI_DECOMPRESSOR, CertDecompressor, ZLIB_DECOMPRESSOR};

/// The most authority names listed of one CertificateRequest; the rest is left out.
const CA_NAMES_MAX: usize = 4096;

/// Reads fields off the front of a message; `None` once it is too short.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    /// A big-endian number of `width` bytes, at most four.
    pub(crate) fn number(&mut self, width: usize) -> Option<usize> {
        Some(self.take(width)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.number(2).map(|number| number as u16)
    }

    /// A field behind its length, which is `width` bytes long.
    pub(crate) fn field(&mut self, width: usize) -> Option<Reader<'a>> {
        let length = self.number(width)?;
        self.take(length).map(Reader)
    }

    fn extension(&mut self) -> Option<(u16, Reader<'a>)> {
        Some((self.u16()?, self.field(2)?))
    }
}

/// A ServerHello or HelloRetryRequest (RFC 8446 section 4.1.3, RFC 5246 section 7.4.1.3).
pub(crate) struct ServerHello<'a> {
    pub(crate) version: u16,
    pub(crate) cipher: u16,
    pub(crate) retry: bool,
    /// The group, and unless this is a retry request the server's share.
    pub(crate) share: Option<(u16, &'a [u8])>,
    pub(crate) cookie: Option<&'a [u8]>,
    /// Whether a CertificateStatus message will follow the certificates (TLS 1.2 and below).
    pub(crate) staples: bool,
}

/// SHA-256 of "HelloRetryRequest": the random that marks one.
const RETRY: &[u8] = b"\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\
    \xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c";

pub(crate) fn server_hello(body: &[u8]) -> Option<ServerHello<'_>> {
    let mut r = Reader(body);
    let mut hello = ServerHello {
        version: r.u16()?,
        retry: r.take(32)? == RETRY,
        cipher: 0,
        share: None,
        cookie: None,
        staples: false,
    };
    r.field(1)?;
    hello.cipher = r.u16()?;
    r.take(1)?;
    if r.0.is_empty() {
        return Some(hello);
    }
    let mut extensions = r.field(2)?;
    while !extensions.0.is_empty() {
        let (code, mut x) = extensions.extension()?;
        match code {
            5 => hello.staples = true,
            43 => hello.version = x.u16()?,
            44 => hello.cookie = Some(x.field(2)?.0),
            51 if hello.retry => hello.share = Some((x.u16()?, &[])),
            51 => hello.share = Some((x.u16()?, x.field(2)?.0)),
            _ => {}
        }
    }
    Some(hello)
}

/// A Certificate message: the chain, and in TLS 1.3 what came beside the leaf.
pub(crate) struct Certificates {
    pub(crate) chain: Chain,
    pub(crate) staple: Option<Vec<u8>>,
    pub(crate) timestamps: Option<Vec<u8>>,
}

const BROKEN: Outcome = Outcome::Malformed { what: "the Certificate message is cut short" };

/// Reads the Certificate message of TLS 1.2 and below (RFC 5246 section 7.4.2).
pub(crate) fn certificates_12(body: &[u8], chain_max: usize) -> Result<Certificates, Outcome> {
    let list = Reader(body).field(3).ok_or(BROKEN)?;
    let size = measure(list, false, chain_max)?;
    let mut rest = list;
    let chain = Chain::collect(size, std::iter::from_fn(|| Some(rest.field(3)?.0)));
    Ok(Certificates { chain: chain.ok_or(Outcome::NoCertificate)?, staple: None, timestamps: None })
}

/// Reads the Certificate message of TLS 1.3 (RFC 8446 section 4.4.2).
pub(crate) fn certificates_13(body: &[u8], chain_max: usize) -> Result<Certificates, Outcome> {
    let mut r = Reader(body);
    r.field(1).ok_or(BROKEN)?;
    let list = r.field(3).ok_or(BROKEN)?;
    let size = measure(list, true, chain_max)?;
    let (mut staple, mut timestamps) = (None, None);
    let mut leaf = list;
    if leaf.field(3).is_some() {
        let mut extensions = leaf.field(2).ok_or(BROKEN)?;
        while !extensions.0.is_empty() {
            let (code, x) = extensions.extension().ok_or(BROKEN)?;
            match code {
                5 => staple = status(x.0),
                18 => timestamps = Some(x.0.to_vec()),
                _ => {}
            }
        }
    }
    let mut rest = list;
    let next = || {
        let der = rest.field(3)?;
        rest.field(2)?;
        Some(der.0)
    };
    let chain = Chain::collect(size, std::iter::from_fn(next));
    Ok(Certificates { chain: chain.ok_or(Outcome::NoCertificate)?, staple, timestamps })
}

/// Walks the list once: that no length points outside, that there are not too many, and the size of all.
fn measure(mut list: Reader<'_>, extensions: bool, chain_max: usize) -> Result<usize, Outcome> {
    let (mut count, mut size) = (0, 0);
    while !list.0.is_empty() {
        size += 3 + list.field(3).ok_or(BROKEN)?.0.len();
        if extensions {
            list.field(2).ok_or(BROKEN)?;
        }
        count += 1;
    }
    if count > chain_max {
        return Err(Outcome::TooLarge { what: "certificate chain", size: count as u64 });
    }
    Ok(size)
}

/// Unpacks a CompressedCertificate (RFC 8879 section 4) into the body of the message it stands for. The
/// size it announces is checked before a byte is unpacked, and nothing beyond that size is written.
pub(crate) fn decompress(body: &[u8], size_max: usize) -> Result<Vec<u8>, Outcome> {
    let mut r = Reader(body);
    let (algorithm, size) = (r.u16(), r.number(3));
    let (Some(algorithm), Some(size), Some(packed)) = (algorithm, size, r.field(3)) else {
        return Err(Outcome::Malformed { what: "the CompressedCertificate message is cut short" });
    };
    if size > size_max {
        return Err(Outcome::TooLarge { what: "certificate message", size: size as u64 });
    }
    let unpacker: &dyn CertDecompressor = match algorithm {
        1 => ZLIB_DECOMPRESSOR,
        2 => BROTLI_DECOMPRESSOR,
        _ => return Err(Outcome::Malformed { what: "certificates compressed in a way not offered" }),
    };
    let mut unpacked = vec![0; size];
    match unpacker.decompress(packed.0, &mut unpacked) {
        Ok(()) => Ok(unpacked),
        Err(_) => Err(Outcome::Malformed { what: "the compressed certificates do not unpack" }),
    }
}

/// The OCSP response of a CertificateStatus (RFC 6066 section 8), if it holds one.
pub(crate) fn status(body: &[u8]) -> Option<Vec<u8>> {
    let mut r = Reader(body);
    (r.number(1)? == 1).then_some(())?;
    let response = r.field(3)?.0;
    (!response.is_empty()).then(|| response.to_vec())
}

/// The curve of a ServerKeyExchange (RFC 8422 section 5.4), where `cipher` is an ECDHE suite.
pub(crate) fn exchange_group(cipher: u16, body: &[u8]) -> Option<u16> {
    let ecdhe = matches!(cipher, 0xc006..=0xc00a | 0xc010..=0xc014 | 0xc023 | 0xc024 | 0xc027
        | 0xc028 | 0xc02b | 0xc02c | 0xc02f | 0xc030 | 0xc0ac..=0xc0af | 0xcca8 | 0xcca9);
    let mut r = Reader(body);
    (ecdhe && r.number(1)? == 3).then_some(())?;
    r.u16()
}

/// The request of TLS 1.2 (RFC 5246 section 7.4.4); 1.1 and below have no signature algorithms in it.
pub(crate) fn request_12(version: u16, body: &[u8]) -> Option<ClientAuth> {
    let mut r = Reader(body);
    r.field(1)?;
    if version >= 0x0303 {
        r.field(2)?;
    }
    Some(ClientAuth { ca_names: names(r.field(2)?)? })
}

/// The request of TLS 1.3 (RFC 8446 section 4.3.2), whose names are an extension (section 4.2.4).
pub(crate) fn request_13(body: &[u8]) -> Option<ClientAuth> {
    let mut r = Reader(body);
    r.field(1)?;
    let mut extensions = r.field(2)?;
    let mut auth = ClientAuth::default();
    while !extensions.0.is_empty() {
        if let (47, mut x) = extensions.extension()? {
            auth.ca_names = names(x.field(2)?)?;
        }
    }
    Some(auth)
}

fn names(mut list: Reader<'_>) -> Option<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    while !list.0.is_empty() && names.len() < CA_NAMES_MAX {
        names.push(list.field(2)?.0.to_vec());
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_certificate_messages() {
        let check = |old: bool, hex: &[u8], expected: Result<usize, &str>| {
            let read = if old { certificates_12(hex, 2) } else { certificates_13(hex, 2) };
            let read = read.map(|read| read.chain.len()).map_err(|error| format!("{error:?}"));
            match expected {
                Ok(count) => assert_eq!(read, Ok(count)),
                Err(part) => assert!(read.clone().unwrap_err().contains(part), "{read:?}"),
            }
        };
        check(true, &[0, 0, 5, 0, 0, 2, 9, 9], Ok(1));
        check(true, &[0, 0, 8, 0, 0, 2, 9, 9, 0, 0, 0], Ok(2));
        check(true, &[0, 0, 0], Err("NoCertificate"));
        check(true, &[0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0], Err("TooLarge"));
        check(true, &[0, 0, 4, 0, 0, 2, 9], Err("Malformed"));
        check(true, &[0, 0, 6, 0, 0, 2, 9], Err("Malformed"));
        check(true, &[], Err("Malformed"));
        check(false, &[0, 0, 0, 7, 0, 0, 2, 9, 9, 0, 0], Ok(1));
        check(false, &[0, 0, 0, 5, 0, 0, 2, 9, 9], Err("Malformed"));
        check(false, &[0, 0, 0, 0], Err("NoCertificate"));
    }

    #[test]
    fn takes_what_stands_beside_the_leaf() {
        let body = [0, 0, 0, 19, 0, 0, 1, 7, 0, 13, 0, 5, 0, 5, 1, 0, 0, 1, 8, 0, 18, 0, 0];
        let read = certificates_13(&body, 10).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!((read.staple, read.timestamps), (Some(vec![8]), Some(vec![])));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = server_hello(&bytes);
            let _ = (certificates_12(&bytes, 9), certificates_13(&bytes, 9));
            let _ = (request_12(0x0303, &bytes), request_12(0x0301, &bytes), request_13(&bytes));
            let _ = (status(&bytes), exchange_group(0xc02f, &bytes), decompress(&bytes, 1000));
        }
    }

    #[test]
    fn bounds_what_is_unpacked() {
        let check = |body: &[u8], part: &str| {
            let error = format!("{:?}", decompress(body, 1000).unwrap_err());
            assert!(error.contains(part), "{error}");
        };
        check(&[0, 1, 0xff, 0xff, 0xff, 0, 0, 1, 0], "TooLarge");
        check(&[0, 1, 0, 1, 0, 0, 0, 2, 1, 2], "do not unpack");
        check(&[0, 3, 0, 1, 0, 0, 0, 2, 1, 2], "not offered");
        check(&[0, 1], "cut short");
    }
}

//! Java's JKS and JCEKS and Bouncy Castle's BKS: their certificates stand there unencrypted.
//!
//! No password is needed to read them. Where some were given and the store holds keys, the digest at the end says
//! whether one of them fits, and that none does is said: its dates are known, its keys and that it is whole are not.
//! Lengths and counts are believed only as far as there are bytes. Serialised Java objects are stepped over, never
//! deserialised.

use std::borrow::Cow;

use aws_lc_rs::digest;

use super::{Content, Found, Place, Reason, Session};
use crate::private_key::{KeyFormat, PrivateKey};

/// Octets of the SHA-1 digest at the end of a JKS.
const DIGEST: usize = 20;

/// Reads big-endian fields as Java's DataInputStream does.
#[derive(Clone, Copy)]
struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn u16(&mut self) -> Option<u16> {
        let (first, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u16::from_be_bytes(*first))
    }

    fn u32(&mut self) -> Option<u32> {
        let (first, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*first))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// `writeUTF`: a length of two octets and modified UTF-8, of which only NUL and surrogates differ.
    fn utf(&mut self) -> Option<String> {
        let length = usize::from(self.u16()?);
        Some(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    /// A length of four octets and that many.
    fn block(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }
}

/// Opens a JKS or JCEKS, which differ in their magic and in the entries that only the latter has.
pub(crate) fn open<'a>(bytes: &'a [u8], place: &Place, session: &mut Session) -> Vec<Found<'a>> {
    let mut found = Vec::new();
    let mut input = Input { rest: bytes };
    if walk(&mut input, place, session, &mut found).is_none() {
        session.problem(Reason::Malformed, "a Java keystore that breaks off: what came before was kept");
    } else if input.rest.len() > DIGEST {
        let count = input.rest.len() - DIGEST;
        session.problem(Reason::Malformed, format!("{count} octets after the end of a Java keystore"));
    } else if session.passwords.any_given()
        && found.iter().any(|f| matches!(f.content, Content::PrivateKey(_)))
        && !session.passwords.texts().any(|password| fits(bytes, password))
    {
        session.problem(
            Reason::WrongPassword,
            "none of the passwords is that of this Java keystore; its certificates were read, its keys were not",
        );
    }
    found
}

/// Is this the store's password? SHA-1 over the password as UTF-16BE, some words, and all before the digest (as
/// `sun.security.provider.JavaKeyStore` writes it).
fn fits(bytes: &[u8], password: &str) -> bool {
    let Some((body, digest)) = bytes.split_at_checked(bytes.len().saturating_sub(DIGEST)) else {
        return false;
    };
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    for unit in password.encode_utf16() {
        context.update(&unit.to_be_bytes());
    }
    context.update(b"Mighty Aphrodite");
    context.update(body);
    context.finish().as_ref() == digest
}

fn walk<'a>(
    input: &mut Input<'a>,
    place: &Place,
    session: &mut Session,
    found: &mut Vec<Found<'a>>,
) -> Option<()> {
    input.u32()?;
    let version = input.u32()?;
    let count = input.u32()?;
    for _ in 0..count {
        if session.is_full() {
            return Some(());
        }
        let kind = input.u32()?;
        let alias = input.utf()?;
        input.take(8)?;
        let here = place.named(&alias);
        match kind {
            1 => {
                input.block()?;
                let key = PrivateKey { format: KeyFormat::EncryptedPkcs8, encrypted: true, spki: None };
                session.keep(found, Content::PrivateKey(key), here.clone());
                let length = input.u32()?;
                for index in 0..length {
                    let certificate = certificate(input, version)?;
                    let here = if index == 0 { here.clone() } else { here.numbered(index as usize) };
                    if let Some(der) = certificate {
                        session.keep(found, Content::Certificate(Cow::Borrowed(der)), here);
                    }
                    if session.is_full() {
                        return Some(());
                    }
                }
            }
            2 => {
                if let Some(der) = certificate(input, version)? {
                    session.keep(found, Content::Certificate(Cow::Borrowed(der)), here);
                }
            }
            // A sealed secret key: a serialised object without a length.
            3 => input.rest = after_sealed(input.rest),
            _ => return None,
        }
    }
    Some(())
}

/// One certificate; `None` within for one of a type other than X.509.
fn certificate<'a>(input: &mut Input<'a>, version: u32) -> Option<Option<&'a [u8]>> {
    let is_x509 = version < 2 || matches!(input.utf()?.as_str(), "X.509" | "X509");
    let der = input.block()?;
    Some(is_x509.then_some(der))
}

/// What follows a serialised object: the next place that looks like an entry, or the digest at the end.
fn after_sealed(rest: &[u8]) -> &[u8] {
    let mut candidates = memchr::memmem::find_iter(rest, &[0, 0, 0]);
    let next = candidates.find(|at| rest.get(*at..).is_some_and(looks_like_entry));
    match next {
        Some(at) => rest.get(at..).unwrap_or(&[]),
        None => rest.get(rest.len().saturating_sub(DIGEST)..).unwrap_or(&[]),
    }
}

fn looks_like_entry(bytes: &[u8]) -> bool {
    let mut input = Input { rest: bytes };
    let plausible = (|| {
        let kind = input.u32()?;
        let length = usize::from(input.u16()?);
        let alias = input.take(length)?;
        let printable = !alias.is_empty() && alias.iter().all(|octet| *octet >= 0x20);
        let millis = (u64::from(input.u32()?) << 32) | u64::from(input.u32()?);
        // From 1990 to 2100.
        let dated = (631_152_000_000..4_102_444_800_000).contains(&millis);
        Some((1..=3).contains(&kind) && printable && dated)
    })();
    plausible == Some(true)
}

/// Opens a BKS, version 1 or 2; UBER, which begins alike and is encrypted as a whole, is reported.
pub(crate) fn open_bks<'a>(bytes: &'a [u8], place: &Place, session: &mut Session) -> Vec<Found<'a>> {
    let mut found = Vec::new();
    let mut input = Input { rest: bytes };
    let walked = walk_bks(&mut input, place, session, &mut found);
    if walked.is_none() && found.is_empty() {
        session.problem(
            Reason::UnsupportedFormat,
            "a UBER or damaged BKS keystore (Bouncy Castle): it is encrypted as a whole and cannot be read here",
        );
    } else if walked.is_none() {
        session.problem(Reason::Malformed, "a BKS keystore that breaks off: what came before was kept");
    }
    found
}

fn walk_bks<'a>(
    input: &mut Input<'a>,
    place: &Place,
    session: &mut Session,
    found: &mut Vec<Found<'a>>,
) -> Option<()> {
    input.u32()?;
    input.block()?;
    input.u32()?;
    loop {
        let kind = input.u8()?;
        if kind == 0 {
            // The HMAC of the store is all that may follow.
            return (input.rest.len() == DIGEST).then_some(());
        }
        let alias = input.utf()?;
        input.take(8)?;
        let here = place.named(&alias);
        let length = input.u32()?;
        for index in 0..length {
            let certificate = certificate(input, 2)?;
            // The chain of an entry that is itself a certificate begins above it.
            let step = index as usize + usize::from(kind == 1);
            let here = if step == 0 { here.clone() } else { here.numbered(step) };
            if let Some(der) = certificate {
                session.keep(found, Content::Certificate(Cow::Borrowed(der)), here);
            }
        }
        match kind {
            1 => {
                if let Some(der) = certificate(input, 2)? {
                    session.keep(found, Content::Certificate(Cow::Borrowed(der)), here);
                }
            }
            // A key in the clear: its kind, format and algorithm. Only private ones are of interest.
            2 => {
                let private = input.u8()? == 0;
                input.utf()?;
                input.utf()?;
                let der = input.block()?;
                if let Some(key) = private.then(|| PrivateKey::recognise(der)).flatten() {
                    session.keep(found, Content::PrivateKey(key), here);
                }
            }
            3 => {
                input.block()?;
            }
            4 => {
                input.block()?;
                // Private, public or secret, nobody can see; only a private one comes with a chain.
                if length > 0 {
                    let key = PrivateKey { format: KeyFormat::EncryptedPkcs8, encrypted: true, spki: None };
                    session.keep(found, Content::PrivateKey(key), here);
                }
            }
            _ => return None,
        }
        if session.is_full() {
            return Some(());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::container::{Limits, open as open_any};

    /// A trusted entry of a version 2 store.
    fn entry(alias: &str, der: &[u8]) -> Vec<u8> {
        let mut out = 2u32.to_be_bytes().to_vec();
        out.extend_from_slice(&(alias.len() as u16).to_be_bytes());
        out.extend_from_slice(alias.as_bytes());
        out.extend_from_slice(&1_700_000_000_000u64.to_be_bytes());
        out.extend_from_slice(b"\0\x05X.509");
        out.extend_from_slice(&(der.len() as u32).to_be_bytes());
        out.extend_from_slice(der);
        out
    }

    fn store(count: u32, entries: &[u8]) -> Vec<u8> {
        [&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2][..], &count.to_be_bytes(), entries, &[0; 20]].concat()
    }

    fn check(bytes: &[u8], places: &[&str], problems: usize) {
        let opened = open_any(bytes, &[], &Limits::default());
        let found: Vec<_> = opened.found.iter().map(|found| found.place.to_string()).collect();
        assert_eq!(found, places);
        assert_eq!(opened.problems.len(), problems, "{:?}", opened.problems);
    }

    #[test]
    fn counts_and_lengths_are_not_believed() {
        let two = [entry("a", b"one"), entry("b", b"two")].concat();
        check(&store(2, &two), &["#a", "#b"], 0);
        check(&store(u32::MAX, &two), &["#a", "#b"], 1);
        check(&store(1, &two), &["#a"], 1);
        check(&store(0, &[]), &[], 0);
        let mut negative = entry("a", b"one");
        let at = negative.len() - 7;
        negative.splice(at..at + 4, [0xff; 4]);
        check(&store(1, &negative), &[], 1);
        for cut in 0..store(2, &two).len() {
            let whole = store(2, &two);
            let _ = open_any(whole.get(..cut).unwrap_or(&[]), &[], &Limits::default());
        }
    }

    #[test]
    fn sealed_objects_are_stepped_over() {
        let mut sealed = entry("secret", b"");
        sealed.splice(0..4, 3u32.to_be_bytes());
        let at = sealed.len() - 11;
        sealed.truncate(at);
        sealed.extend_from_slice(b"\xac\xed\0\x05sr\0\x19javax.crypto.SealedObject\0\0\0\x02\0\x01");
        check(&store(2, &[sealed, entry("b", b"two")].concat()), &["#b"], 0);
    }
}

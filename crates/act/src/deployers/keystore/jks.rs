//! Java's own keystore, version 2, as `sun.security.provider.JavaKeyStore` writes it.
//!
//! The entry of one alias is written; all others are kept as they are, because anchors often live in the same file. The
//! key is hidden the only way that the format knows, with SHA-1 and XOR: the file's mode is what protects it.

use aws_lc_rs::digest;
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_pki::der::{Reader, encode, tag};
use zeroize::Zeroizing;

use super::{plain_pkcs8, random, sequence};

const MAGIC: u32 = 0xfeed_feed;
const DIGEST: usize = 20;
/// 1.3.6.1.4.1.42.2.17.1.1, JavaSoft's proprietary key protection.
const KEY_PROTECTOR: &[u8] = &[0x2b, 6, 1, 4, 1, 0x2a, 2, 0x11, 1, 1];

/// One entry, as it stands in the file.
struct Entry<'a> {
    is_key: bool,
    alias: String,
    raw: &'a [u8],
}

/// A store with this key and chain under its alias, and whatever else was in it.
pub(in crate::deployers) fn write(
    chain: &[Vec<u8>],
    pkcs8: &[u8],
    password: &str,
    alias: Option<&str>,
    fallback: &str,
    existing: Option<&[u8]>,
    now: i64,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let kept = existing.map(read).transpose()?.unwrap_or_default();
    let mut keys = kept.iter().filter(|entry| entry.is_key).map(|entry| entry.alias.as_str());
    let alias = match (alias, keys.next(), keys.next()) {
        (Some(alias), ..) => alias,
        (None, Some(only), None) => only,
        (None, None, _) => fallback,
        (None, Some(_), Some(_)) => {
            return Err(Fault::new(FaultKind::Invalid, "the Java keystore that is there holds several keys")
                .retry(Retry::Never)
                .hint("set `alias` to the one that the server uses: keytool -list -keystore FILE"));
        }
    };
    // Java looks for an alias in lower case, whatever was asked for.
    let alias = alias.to_lowercase();
    if alias.is_empty() || alias.len() > 1000 || alias.contains('\0') {
        return Err(Fault::new(FaultKind::Invalid, "the alias of a Java keystore is 1 to 1000 octets")
            .retry(Retry::Never));
    }
    let ours = kept.iter().find(|entry| entry.is_key && entry.alias.to_lowercase() == alias);
    if ours.is_some_and(|entry| hidden(entry).is_some_and(|key| !is_hidden_by(key, password))) {
        return Err(Fault::new(
            FaultKind::Refused,
            "the key in the Java keystore that is there has a password of its own, which this format of ours has not",
        )
        .retry(Retry::Never)
        .hint("give it the store's: keytool -keypasswd -keystore FILE -alias ALIAS, and the same in the server's configuration"));
    }
    let others: Vec<&Entry<'_>> = kept.iter().filter(|entry| entry.alias.to_lowercase() != alias).collect();

    let protected = protect(&plain_pkcs8(pkcs8)?, password)?;
    let room = protected.len() + chain.iter().map(|c| c.len() + 16).sum::<usize>() + 4096;
    let mut out = Zeroizing::new(Vec::with_capacity(room + existing.map_or(0, <[u8]>::len)));
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    out.extend(MAGIC.to_be_bytes());
    out.extend(2u32.to_be_bytes());
    out.extend(count(others.len() + 1));
    out.extend(1u32.to_be_bytes());
    utf(&mut out, &alias);
    out.extend((now.max(0) as u64).saturating_mul(1000).to_be_bytes());
    out.extend(count(protected.len()));
    out.extend_from_slice(&protected);
    out.extend(count(chain.len()));
    for der in chain {
        utf(&mut out, "X.509");
        out.extend(count(der.len()));
        out.extend_from_slice(der);
    }
    for entry in others {
        out.extend_from_slice(entry.raw);
    }
    let seal = seal(password, &out);
    out.extend_from_slice(seal.as_ref());
    Ok(out)
}

fn utf(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// SHA-1 over the password as UTF-16BE, some words, and the store.
fn seal(password: &str, body: &[u8]) -> digest::Digest {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(&utf16(password));
    context.update(b"Mighty Aphrodite");
    context.update(body);
    context.finish()
}

fn utf16(password: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(password.encode_utf16().flat_map(u16::to_be_bytes).collect())
}

/// What `protect` made, of an entry.
fn hidden<'a>(entry: &Entry<'a>) -> Option<&'a [u8]> {
    let alias =
        entry.raw.get(4..6).and_then(|n| Some(usize::from(u16::from_be_bytes(n.try_into().ok()?))))?;
    let at = 4 + 2 + alias + 8;
    let length = u32::from_be_bytes(entry.raw.get(at..at + 4)?.try_into().ok()?) as usize;
    let mut info = Reader::new(entry.raw.get(at + 4..)?.get(..length)?).sequence().ok()?;
    info.expect(tag::SEQUENCE).ok()?;
    Some(info.expect(tag::OCTET_STRING).ok()?.value)
}

/// Does this password open what was hidden? The digest at its end says so.
fn is_hidden_by(hidden: &[u8], password: &str) -> bool {
    let sha1 = &digest::SHA1_FOR_LEGACY_USE_ONLY;
    let password = utf16(password);
    let Some((body, digested)) = hidden.split_last_chunk::<DIGEST>() else { return false };
    let Some((salt, body)) = body.split_first_chunk::<DIGEST>() else { return false };
    let mut link = salt.to_vec();
    let mut key = Zeroizing::new(Vec::with_capacity(body.len()));
    for chunk in body.chunks(DIGEST) {
        let text = Zeroizing::new([&password[..], &link].concat());
        link = digest::digest(sha1, &text).as_ref().to_vec();
        key.extend(chunk.iter().zip(&link).map(|(a, b)| a ^ b));
    }
    let text = Zeroizing::new([&password[..], &key].concat());
    digest::digest(sha1, &text).as_ref() == digested
}

/// The key under its password: XOR with a chain of SHA-1 (`sun.security.provider.KeyProtector`).
fn protect(key: &[u8], password: &str) -> Result<Vec<u8>, Fault> {
    let sha1 = &digest::SHA1_FOR_LEGACY_USE_ONLY;
    let password = utf16(password);
    let salt: [u8; DIGEST] = random()?;
    let mut out = salt.to_vec();
    let mut link = salt.to_vec();
    for chunk in key.chunks(DIGEST) {
        let text = Zeroizing::new([&password[..], &link].concat());
        link = digest::digest(sha1, &text).as_ref().to_vec();
        out.extend(chunk.iter().zip(&link).map(|(a, b)| a ^ b));
    }
    let text = Zeroizing::new([&password[..], key].concat());
    out.extend_from_slice(digest::digest(sha1, &text).as_ref());
    let algorithm = sequence(&[&encode(tag::OID, KEY_PROTECTOR), &[tag::NULL, 0]]);
    Ok(sequence(&[&algorithm, &encode(tag::OCTET_STRING, &out)]))
}

/// Is this the password of a store? `None`: it is no JKS.
pub(in crate::deployers) fn is_of(bytes: &[u8], password: &str) -> Option<bool> {
    let body = bytes.get(..bytes.len().checked_sub(DIGEST)?)?;
    let is_jks = body.starts_with(&MAGIC.to_be_bytes());
    is_jks.then(|| seal(password, body).as_ref() == bytes.get(body.len()..).unwrap_or(&[]))
}

/// The entries of a store.
fn read(bytes: &[u8]) -> Result<Vec<Entry<'_>>, Fault> {
    let wrong = |what: &str, hint: &str| Fault::new(FaultKind::Refused, what).retry(Retry::Never).hint(hint);
    let body = bytes.len().checked_sub(DIGEST).and_then(|at| bytes.get(..at));
    let Some(body) = body.filter(|b| b.starts_with(&MAGIC.to_be_bytes())) else {
        return Err(wrong(
            "the file that is there is no Java keystore of the form JKS",
            "a store that keytool of Java 9 or newer made is PKCS#12: use `pkcs12`, or remove the file first",
        ));
    };
    entries(body).ok_or_else(|| {
        wrong(
            "the Java keystore that is there cannot be read whole, and what it holds would be lost",
            "write a store of its own, or remove the file first",
        )
    })
}

fn entries(body: &[u8]) -> Option<Vec<Entry<'_>>> {
    let mut rest = body.get(4..)?;
    (number(&mut rest)? == 2).then_some(())?;
    let count = number(&mut rest)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let start = rest;
        let kind = number(&mut rest)?;
        let alias = String::from_utf8_lossy(text(&mut rest)?).into_owned();
        take(&mut rest, 8)?;
        let certificates = match kind {
            1 => {
                let length = number(&mut rest)? as usize;
                take(&mut rest, length)?;
                number(&mut rest)?
            }
            2 => 1,
            _ => return None,
        };
        for _ in 0..certificates {
            text(&mut rest)?;
            let length = number(&mut rest)? as usize;
            take(&mut rest, length)?;
        }
        let raw = start.get(..start.len() - rest.len())?;
        entries.push(Entry { is_key: kind == 1, alias, raw });
    }
    rest.is_empty().then_some(entries)
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(take(rest, 4)?.try_into().ok()?))
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u16::from_be_bytes(take(rest, 2)?.try_into().ok()?);
    take(rest, usize::from(length))
}

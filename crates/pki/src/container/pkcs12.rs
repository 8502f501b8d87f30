//! PKCS#12 (RFC 7292), read for its certificates and CRLs.
//!
//! The MAC is not verified: integrity is not our business, and a right password shows by what it decrypts
//! to, which saves one derivation a password and lets MAC-less and PBMAC1 files pass alike. Private keys
//! are noted as present, never decrypted.

use std::borrow::Cow;

use super::pbe::{Closed, is_one_sequence};
use super::{Content, Found, Place, Reason, Session};
use crate::der::{MAX_DEPTH, Reader, Tlv, definite, tag};
use crate::key::AlgorithmIdentifier;
use crate::name::decode_string;
use crate::oid;
use crate::private_key::{KeyFormat, PrivateKey};

/// 1.2.840.113549.1.12.10.1, the arc of bag types.
const BAG_ARC: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1];
/// 1.2.840.113549.1.9.22.1, x509Certificate.
const X509_CERTIFICATE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 22, 1];
/// 1.2.840.113549.1.9.23.1, x509CRL.
const X509_CRL: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 23, 1];

/// Opens a PFX.
pub(crate) fn open<'a>(bytes: &[u8], place: &Place, session: &mut Session, found: &mut Vec<Found<'a>>) {
    // Made definite at once: these files are small, and Microsoft and NSS write BER.
    let opened = definite(bytes).ok().and_then(|der| pfx(&der, place, session, found));
    if opened.is_none() {
        session.problem(Reason::Malformed, "a PKCS#12 file that cannot be walked");
    }
}

fn pfx<'a>(der: &[u8], place: &Place, session: &mut Session, found: &mut Vec<Found<'a>>) -> Option<()> {
    let mut pfx = Reader::new(der).sequence().ok()?;
    pfx.expect(tag::INTEGER).ok()?;
    let mut safe = pfx.sequence().ok()?;
    let kind = safe.expect(tag::OID).ok()?.value;
    let contents = match kind {
        oid::PKCS7_DATA => octets(safe.expect(tag::context(0)).ok()?)?,
        oid::PKCS7_SIGNED_DATA => {
            // Public-key integrity: the contents are within the signed data.
            let mut signed = safe.expect(tag::context(0)).ok()?.reader().sequence().ok()?;
            signed.expect(tag::INTEGER).ok()?;
            signed.expect(tag::SET).ok()?;
            let mut inner = signed.sequence().ok()?;
            inner.expect(tag::OID).ok()?;
            octets(inner.expect(tag::context(0)).ok()?)?
        }
        _ => return None,
    };
    let contents = definite(contents).ok()?;
    let mut bags = Bags { place, session, number: 0, aliases: Vec::new() };
    let mut parts = Reader::new(&contents).sequence().ok()?;
    while !parts.is_empty() {
        let Ok(mut part) = parts.sequence() else {
            bags.session.problem(Reason::Malformed, "a PKCS#12 file with a part that cannot be walked");
            break;
        };
        part_of(&mut part, &mut bags, found);
    }
    Some(())
}

/// One ContentInfo of the AuthenticatedSafe.
fn part_of<'a>(part: &mut Reader<'_>, bags: &mut Bags<'_>, found: &mut Vec<Found<'a>>) {
    let walked = (|| {
        let kind = part.expect(tag::OID).ok()?.value;
        let content = part.expect(tag::context(0)).ok()?;
        match kind {
            oid::PKCS7_DATA => bags.contents(octets(content)?, found),
            oid::PKCS7_ENCRYPTED_DATA => {
                let mut encrypted = content.reader().sequence().ok()?;
                encrypted.expect(tag::INTEGER).ok()?;
                let mut info = encrypted.sequence().ok()?;
                info.expect(tag::OID).ok()?;
                let algorithm = AlgorithmIdentifier::read(&info.expect(tag::SEQUENCE).ok()?);
                let data = sealed(&info.read().ok()?)?;
                let limits = bags.session.limits;
                match bags.session.passwords.decrypt(algorithm, &data, &limits, is_one_sequence) {
                    Ok(plain) => bags.contents(&plain, found),
                    Err(closed) => bags.closed(closed),
                }
            }
            _ => bags.session.problem(
                Reason::UnsupportedFormat,
                format!("a PKCS#12 part sealed for a public key ({})", oid::dotted(kind)),
            ),
        }
        Some(())
    })();
    if walked.is_none() {
        bags.session.problem(Reason::Malformed, "a PKCS#12 file with a part that cannot be walked");
    }
}

/// The OCTET STRING within an explicit tag.
fn octets<'b>(wrapped: Tlv<'b>) -> Option<&'b [u8]> {
    Some(wrapped.reader().expect(tag::OCTET_STRING).ok()?.value)
}

/// encryptedContent, `[0] IMPLICIT OCTET STRING`, perhaps in parts.
fn sealed<'b>(element: &Tlv<'b>) -> Option<Cow<'b, [u8]>> {
    match element.tag {
        0x80 => Some(Cow::Borrowed(element.value)),
        0xa0 => Some(Cow::Owned(element.reader().flat_map(|part| part.value.iter().copied()).collect())),
        _ => None,
    }
}

/// What goes on while bags are read.
struct Bags<'s> {
    place: &'s Place,
    session: &'s mut Session,
    number: usize,
    /// Aliases met so far: a second certificate of the same alias becomes a part of the first.
    aliases: Vec<(String, usize)>,
}

impl Bags<'_> {
    fn closed(&mut self, closed: Closed) {
        let (reason, detail) = match closed {
            Closed::WrongPassword => {
                (Reason::WrongPassword, "none of the passwords opens it (PKCS#12)".to_owned())
            }
            Closed::Unsupported(what) => (
                Reason::UnsupportedFormat,
                format!("a PKCS#12 part encrypted with {what}, which is not supported"),
            ),
            Closed::TooManyIterations(count) => (
                Reason::TooLarge,
                format!(
                    "a PKCS#12 part that demands {count} iterations: refused, the limit is {}",
                    self.session.limits.iterations
                ),
            ),
            Closed::OutOfWork => (
                Reason::TooLarge,
                "a PKCS#12 file that demands too much work for all passwords: stopped".to_owned(),
            ),
            Closed::Malformed => (Reason::Malformed, "a PKCS#12 part with broken parameters".to_owned()),
        };
        self.session.problem(reason, detail);
    }

    /// SafeContents, and those nested within, without recursion.
    fn contents<'a>(&mut self, contents: &[u8], found: &mut Vec<Found<'a>>) {
        // BER is allowed within, too.
        let der = match definite(contents) {
            Ok(der) => der,
            Err(_) => return self.session.problem(Reason::Malformed, "PKCS#12 bags that cannot be walked"),
        };
        let Ok(outer) = Reader::new(&der).sequence() else {
            return self.session.problem(Reason::Malformed, "PKCS#12 bags that cannot be walked");
        };
        let mut stack = vec![outer];
        while let Some(top) = stack.last_mut() {
            if self.session.is_full() {
                return;
            }
            let Some(bag) = Iterator::next(top) else {
                stack.pop();
                continue;
            };
            let mut parts = bag.reader();
            let (Ok(kind), Ok(value)) = (parts.expect(tag::OID), parts.expect(tag::context(0))) else {
                continue;
            };
            let alias = parts.optional(tag::SET).and_then(|attributes| friendly_name(&attributes));
            match kind.value.strip_prefix(BAG_ARC) {
                Some([1]) => {
                    if let Some(key) = PrivateKey::recognise(value.value) {
                        self.keep(Content::PrivateKey(key), None, found);
                    }
                }
                Some([2]) => {
                    let key = PrivateKey { format: KeyFormat::EncryptedPkcs8, encrypted: true, spki: None };
                    self.keep(Content::PrivateKey(key), None, found);
                }
                Some([3]) => {
                    if let Some(der) = typed(&value, X509_CERTIFICATE) {
                        self.keep(Content::Certificate(Cow::Owned(der)), alias, found);
                    }
                }
                Some([4]) => {
                    if let Some(der) = typed(&value, X509_CRL) {
                        self.keep(Content::Crl(Cow::Owned(der)), alias, found);
                    }
                }
                Some([6]) => {
                    if stack.len() >= MAX_DEPTH {
                        return self.session.problem(Reason::Malformed, "PKCS#12 bags nested too deep");
                    }
                    if let Ok(inner) = value.reader().sequence() {
                        stack.push(inner);
                    }
                }
                // Secrets are none of our business.
                _ => {}
            }
        }
    }

    fn keep<'a>(&mut self, content: Content<'a>, alias: Option<String>, found: &mut Vec<Found<'a>>) {
        self.number += 1;
        let place = match alias {
            Some(alias) if !alias.is_empty() => {
                match self.aliases.iter_mut().find(|(known, _)| *known == alias) {
                    Some((_, count)) => {
                        *count += 1;
                        self.place.named(&alias).numbered(*count - 1)
                    }
                    None => {
                        let place = self.place.named(&alias);
                        // Beyond this many the search would not stay cheap, and no file has so many.
                        if self.aliases.len() < 10_000 {
                            self.aliases.push((alias, 1));
                        }
                        place
                    }
                }
            }
            _ => self.place.numbered(self.number),
        };
        self.session.keep(found, content, place);
    }
}

/// The octets of a CertBag or CRLBag of this type.
fn typed(value: &Tlv<'_>, kind: &[u8]) -> Option<Vec<u8>> {
    let mut bag = value.reader().sequence().ok()?;
    if bag.expect(tag::OID).ok()?.value != kind {
        return None;
    }
    octets(bag.expect(tag::context(0)).ok()?).map(<[u8]>::to_vec)
}

fn friendly_name(attributes: &Tlv<'_>) -> Option<String> {
    attributes.reader().find_map(|attribute| {
        let mut pair = attribute.reader();
        if pair.expect(tag::OID).ok()?.value != oid::FRIENDLY_NAME {
            return None;
        }
        let text = pair.expect(tag::SET).ok()?.reader().read().ok()?;
        decode_string(text.tag, text.value)
    })
}

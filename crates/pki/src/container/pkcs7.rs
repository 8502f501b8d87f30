//! PKCS#7 and CMS signed data as a bag of certificates and CRLs (RFC 5652 section 5).
//!
//! `.p7b` files and many others. BER is made definite first, which leaves the octets of the certificates as they
//! are. What signatures there are is for `statement/cms.rs` to say. Encrypted kinds are reported, not opened.

use std::borrow::Cow;

use super::{Content, Found, Place, Reason, Session};
use crate::der::{Reader, definite, tag};
use crate::oid;
use crate::statement::cms;

/// Opens a ContentInfo.
pub(crate) fn open<'a>(bytes: &'a [u8], place: &Place, session: &mut Session, found: &mut Vec<Found<'a>>) {
    bag(bytes, place, session, found);
    for (n, statement) in cms::statements(bytes, cms::Carrier::Cms).into_iter().enumerate() {
        session.keep(found, Content::Statement(statement), place.named("signature").numbered(n + 1));
    }
}

/// The certificates and CRLs.
fn bag<'a>(bytes: &'a [u8], place: &Place, session: &mut Session, found: &mut Vec<Found<'a>>) {
    if let Some(true) = open_definite(bytes, place, session, found) {
        return;
    }
    let reopened = definite(bytes).ok().and_then(|der| {
        let mut owned = Vec::new();
        open_definite(&der, place, session, &mut owned)?.then(|| {
            owned
                .into_iter()
                .map(|f| Found { content: f.content.into_owned(), place: f.place })
                .collect::<Vec<_>>()
        })
    });
    match reopened {
        Some(owned) => found.extend(owned),
        None => session.problem(Reason::Malformed, "PKCS#7 data that cannot be walked"),
    }
}

/// `None` or `false` when it could not be walked; nothing has been kept then.
fn open_definite<'a>(
    bytes: &'a [u8],
    place: &Place,
    session: &mut Session,
    found: &mut Vec<Found<'a>>,
) -> Option<bool> {
    let mut info = Reader::new(bytes).sequence().ok()?;
    let kind = info.expect(tag::OID).ok()?.value;
    if kind != oid::PKCS7_SIGNED_DATA {
        let name = match kind {
            oid::PKCS7_ENVELOPED_DATA => "enveloped data",
            oid::PKCS7_ENCRYPTED_DATA => "encrypted data",
            oid::PKCS7_DATA => "plain data",
            _ => "another kind than signed data",
        };
        session.problem(Reason::UnsupportedFormat, format!("PKCS#7 with {name}: no certificates to be read"));
        return Some(true);
    }
    let mut signed = info.expect(tag::context(0)).ok()?.reader().sequence().ok()?;
    signed.expect(tag::INTEGER).ok()?;
    signed.expect(tag::SET).ok()?;
    signed.expect(tag::SEQUENCE).ok()?;
    let lists = signed;
    // Walked once in full before anything is kept: BER within must not leave half a list behind.
    let walkable = |list: Option<crate::der::Tlv<'a>>| {
        list.is_none_or(|list| {
            let mut reader = list.reader();
            while !reader.is_empty() {
                if reader.read().is_err() {
                    return false;
                }
            }
            true
        })
    };
    let mut reader = lists;
    let certificates = reader.optional(tag::context(0));
    let crls = reader.optional(tag::context(1));
    let unread = matches!(reader.peek(), Some(0xa0 | 0xa1));
    if unread || !walkable(certificates) || !walkable(crls) {
        return Some(false);
    }
    let mut number = 0;
    for (list, is_crl) in [(certificates, false), (crls, true)] {
        for element in list.into_iter().flat_map(|list| list.reader()) {
            // Other choices are attribute certificates and revocation in other formats.
            if element.tag != tag::SEQUENCE {
                continue;
            }
            number += 1;
            let der = Cow::Borrowed(element.raw);
            let content = if is_crl { Content::Crl(der) } else { Content::Certificate(der) };
            session.keep(found, content, place.numbered(number));
            if session.is_full() {
                return Some(true);
            }
        }
    }
    Some(true)
}

//! Certificates in mail and address books: S/MIME parts of messages (RFC 8551), mbox and Maildir, and KEY
//! properties of vCards (RFC 6350 section 6.8.1).
//!
//! Only certificates and OpenPGP keys are taken, not the signatures of messages. Encrypted messages hold none, and
//! are passed over without a word. Parts in other encodings than base64 are not read.

use std::borrow::Cow;

use memchr::memmem;

use super::{cms, openpgp};
use crate::certificate::Certificate;
use crate::container::base64;
use crate::container::{Content, Found, Place, Session};

/// `application/pkcs7-signature`, `application/x-pkcs7-mime`.
pub(crate) const PKCS7: &[u8] = b"pkcs7-";
/// `application/pkix-cert`.
pub(crate) const PKIX: &[u8] = b"application/pkix-cert";
/// The beginning of a vCard.
pub(crate) const VCARD: &[u8] = b"BEGIN:VCARD";

/// A part is no longer, in octets.
const PART_MAX: usize = 64 << 20;
/// The headers of a part are no longer.
const HEADERS_MAX: usize = 8 << 10;

/// Finds parts in messages and keys in vCards.
pub(crate) fn read(bytes: &[u8], session: &mut Session, found: &mut Vec<Found<'static>>) {
    let mut number = 0;
    let mut read_to = 0;
    let mut at = 0;
    while let Some(step) = memmem::find(bytes.get(at..).unwrap_or(&[]), b"application/") {
        let start = at + step;
        at = start + 12;
        if start < read_to || session.is_full() {
            continue;
        }
        let rest = bytes.get(start..).unwrap_or(&[]);
        let kind = rest.get(..rest.len().min(40)).unwrap_or(&[]);
        let of_interest =
            [PKCS7, b"pkix-cert", b"x-x509-"].iter().any(|word| memmem::find(kind, word).is_some());
        let Some((body, end)) = of_interest.then(|| part(bytes, start)).flatten() else { continue };
        read_to = end;
        let decoded = base64::decode(body);
        number += 1;
        let place = Place::whole().named("smime").numbered(number);
        if let Ok(certificate) = Certificate::parse(&decoded) {
            let der = certificate.der().to_vec();
            session.keep(found, Content::Certificate(Cow::Owned(der)), place);
        } else {
            for (n, der) in cms::certificates(&decoded).into_iter().enumerate() {
                session.keep(found, Content::Certificate(Cow::Owned(der)), place.numbered(n + 1));
            }
        }
    }
    vcards(bytes, session, found);
}

/// The base64 body of the part whose headers hold the octet at `at`, and where it ends.
fn part(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let before = bytes.get(at.saturating_sub(HEADERS_MAX)..at)?;
    let blank =
        |text: &[u8]| memmem::rfind(text, b"\n\n").max(memmem::rfind(text, b"\r\n\r\n").map(|at| at + 2));
    let boundary = memmem::rfind(before, b"\n--");
    let first = at - before.len() + blank(before).max(boundary).map_or(0, |at| at + 1);
    let ahead = bytes.get(at..bytes.len().min(at + HEADERS_MAX))?;
    let unix = memmem::find(ahead, b"\n\n").map(|at| at + 2);
    let dos = memmem::find(ahead, b"\n\r\n").map(|at| at + 3);
    let body = at + [unix, dos].into_iter().flatten().min()?;
    let headers = bytes.get(first..body)?.to_ascii_lowercase();
    memmem::find(&headers, b"content-type:")?;
    let encoding = memmem::find(&headers, b"content-transfer-encoding:")?;
    let encoding = headers.get(encoding + 26..)?.trim_ascii_start();
    if !encoding.starts_with(b"base64") {
        return None;
    }
    // Up to the first line that is no base64: a boundary, the next message's "From ", nothing.
    let text = bytes.get(body..bytes.len().min(body + PART_MAX))?;
    let mut end = 0;
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        let data = line.trim_ascii();
        if data.is_empty() || !data.iter().all(|octet| base64::is_base64(*octet)) {
            break;
        }
        end += line.len();
    }
    Some((text.get(..end)?, body + end))
}

fn vcards(bytes: &[u8], session: &mut Session, found: &mut Vec<Found<'static>>) {
    let mut number = 0;
    let mut at = 0;
    while let Some(step) = memmem::find(bytes.get(at..).unwrap_or(&[]), VCARD) {
        let start = at + step;
        let rest = bytes.get(start..).unwrap_or(&[]);
        let length = memmem::find(rest, b"END:VCARD").unwrap_or(rest.len()).max(VCARD.len());
        at = start + length;
        if length > PART_MAX || session.is_full() {
            continue;
        }
        for property in properties(rest.get(..length).unwrap_or(&[])) {
            let Some(colon) = memchr::memchr(b':', &property) else { continue };
            let (name, value) = property.split_at(colon);
            let name = name.rsplit(|octet| *octet == b'.').next().unwrap_or(&[]).to_ascii_uppercase();
            if name != b"KEY" && !name.starts_with(b"KEY;") {
                continue;
            }
            // `:data:application/pkix-cert;base64,MII...` or `:MII...`; an address is none.
            let value = value.get(1..).unwrap_or(&[]);
            let inline = value.starts_with(b"data:");
            let data = match memchr::memchr(b',', value) {
                Some(comma) if inline => value.get(comma + 1..).unwrap_or(&[]),
                _ if inline || memchr::memchr(b':', value).is_some() => continue,
                _ => value,
            };
            number += 1;
            let place = Place::whole().named("vcard").numbered(number);
            key(&base64::decode(data), place, session, found);
        }
    }
}

/// The value of one KEY property.
fn key(decoded: &[u8], place: Place, session: &mut Session, found: &mut Vec<Found<'static>>) {
    if let Ok(certificate) = Certificate::parse(decoded) {
        let der = certificate.der().to_vec();
        session.keep(found, Content::Certificate(Cow::Owned(der)), place);
    } else if openpgp::packet::looks_like_key(decoded) {
        let mut inner = Vec::new();
        openpgp::open(decoded, &place, session, &mut inner);
        found.extend(inner.into_iter().map(|f| Found { content: f.content.into_owned(), place: f.place }));
    }
}

/// The lines of a vCard, unfolded (RFC 6350 section 3.2; version 2.1 folds base64 with a blank, too).
fn properties(card: &[u8]) -> Vec<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = Vec::new();
    for line in card.split(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let (Some(b' ' | b'\t'), Some(last)) = (line.first(), out.last_mut()) {
            last.extend_from_slice(line.trim_ascii());
        } else if out.len() < 10_000 {
            out.push(line.to_vec());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{Limits, open};

    fn certificate() -> Vec<u8> {
        let key = rcgen::KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::new(["a.example".to_owned()]).expect("a name");
        parameters.self_signed(&key).expect("a certificate").der().to_vec()
    }

    fn check(text: &str, places: &[&str]) {
        let opened = open(text.as_bytes(), &[], &Limits::default());
        let found: Vec<_> = opened.found.iter().map(|found| found.place.to_string()).collect();
        assert_eq!(
            (found.iter().map(String::as_str).collect::<Vec<_>>(), opened.problems.len()),
            (places.to_vec(), 0),
            "{text}"
        );
    }

    #[test]
    fn parts_and_properties() {
        let der = certificate();
        let text = base64::encode(&der);
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        for newline in ["\n", "\r\n"] {
            let body = lines.join(newline);
            let head = ["From: a@b", "Content-Type: multipart/mixed; boundary=x", "", "--x"].join(newline);
            let part = |encoding: &str| {
                [
                    &head,
                    "Content-Type: application/pkix-cert; name=\"a.cer\"",
                    &format!("Content-Transfer-Encoding: {encoding}"),
                    "",
                    &body,
                    "--x--",
                    "",
                ]
                .join(newline)
            };
            check(&part("base64"), &["#smime/1"]);
            check(&part("BASE64").repeat(2), &["#smime/1", "#smime/2"]);
            let folded = lines.join(&format!("{newline} "));
            for key in ["KEY;ENCODING=b:", "KEY:data:application/pkix-cert;base64,", "item1.KEY;TYPE=X509:"] {
                check(
                    &["BEGIN:VCARD", "FN:A", &format!("{key}{folded}"), "END:VCARD"].join(newline),
                    &["#vcard/1"],
                );
            }
        }
        check("BEGIN:VCARD\nKEY:https://a.example/key.cer\nEND:VCARD\n", &[]);
        check(
            "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\nContent-Transfer-Encoding: base64\n\nAAAA\n",
            &[],
        );
    }
}

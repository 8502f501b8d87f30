//! PEM wherever it stands (RFC 7468 and what people make of it).
//!
//! Files of their own, YAML with indentation, JSON with literal `\n`, scripts and here-documents, source
//! code with one string a line, CRLF, UTF-16, base64 of PEM as in Kubernetes Secrets, and base64 of DER
//! without armour as in SAML metadata; DER octet by octet in a program's source (`octets.rs`). Reads from left to right,
//! once: nothing is looked at twice, so that time is linear in the octets. A block that breaks off is reported, and what
//! can be read of it is kept. Written it is in one way only.

use std::borrow::Cow;

use memchr::memmem;
use zeroize::Zeroizing;

use super::base64::{self, Decoder, is_base64};
use super::der::{Kind, classify, place_element};
use super::sniff::{Hint, MarkerKind, Markers, label_at};
use super::{Content, Format, Found, Place, Reason, Session};
use super::{carve, jks, octets};
use crate::certificate::Certificate;
use crate::private_key::{KeyFormat, PrivateKey};
use crate::statement::openpgp;

/// How often base64 within base64 is followed.
const MAX_NESTING: usize = 3;

/// A zero among so many first octets, and it is no text.
const BINARY_WITHIN: usize = 8000;

/// One block as servers read it: lines of 64 characters (RFC 7468 section 2).
pub fn encode(label: &str, der: &[u8]) -> String {
    let body = Zeroizing::new(base64::encode(der));
    // Room for all of it at once: what a growing buffer leaves behind is not wiped.
    let mut text = String::with_capacity(body.len() + body.len() / 64 + 2 * label.len() + 40);
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, left) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = left;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// Opens text; what is found owns its bytes.
pub(crate) fn open(bytes: &[u8], session: &mut Session) -> (Format, Vec<Found<'static>>) {
    let binary = is_binary(bytes);
    let mut scan = Scan { session, found: Vec::new(), blocks: 0, markers: markers(), binary };
    match bytes {
        [0xff, 0xfe, rest @ ..] => scan.text(&from_utf16(rest, u16::from_le_bytes), 0),
        [0xfe, 0xff, rest @ ..] => scan.text(&from_utf16(rest, u16::from_be_bytes), 0),
        _ => scan.text(bytes, 0),
    }
    let Scan { found, blocks, .. } = scan;
    if blocks > 0 {
        return (Format::Pem, found);
    }
    if !found.is_empty() {
        return (Format::Der, found);
    }
    match all_base64(bytes, session) {
        Some(found) => (Format::Base64, found),
        None => (Format::Nothing, found),
    }
}

/// Is this no text, so that an offset says more of a block than its number?
fn is_binary(bytes: &[u8]) -> bool {
    let start = bytes.get(..BINARY_WITHIN).unwrap_or(bytes);
    // Only what stands before the first block: a text with stray zeros in its blocks is a text.
    let start = start.get(..memmem::find(start, b"-----BEGIN ").unwrap_or(start.len())).unwrap_or(start);
    !matches!(start, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) && memchr::memchr(0, start).is_some()
}

/// The searcher, made once.
fn markers() -> &'static Markers {
    static MARKERS: std::sync::OnceLock<Markers> = std::sync::OnceLock::new();
    MARKERS.get_or_init(Markers::new)
}

fn from_utf16(bytes: &[u8], read: fn([u8; 2]) -> u16) -> Vec<u8> {
    let (units, _) = bytes.as_chunks::<2>();
    let units = units.iter().map(|unit| read(*unit));
    char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect::<String>().into_bytes()
}

/// A file that is nothing but base64 of DER.
fn all_base64(bytes: &[u8], session: &mut Session) -> Option<Vec<Found<'static>>> {
    let plain = |octet: &u8| is_base64(*octet) || octet.is_ascii_whitespace();
    // The cheap test first: base64 of a SEQUENCE begins with "M".
    let start = bytes.trim_ascii_start();
    if start.first() != Some(&b'M') || bytes.len() > session.limits.body_octets || !bytes.iter().all(plain) {
        return None;
    }
    let decoded = base64::decode(bytes);
    let (_, found) = super::der::open(&decoded, &Place::whole(), session)?;
    Some(owned(found))
}

fn owned(found: Vec<Found<'_>>) -> Vec<Found<'static>> {
    found.into_iter().map(|f| Found { content: f.content.into_owned(), place: f.place }).collect()
}

struct Scan<'s> {
    session: &'s mut Session,
    found: Vec<Found<'static>>,
    /// Blocks so far, of any label: they give the numbers.
    blocks: usize,
    markers: &'static Markers,
    /// No text: blocks are told by their offsets, and certificates in DER carved.
    binary: bool,
}

impl Scan<'_> {
    fn text(&mut self, bytes: &[u8], nesting: usize) {
        let mut at = 0;
        while let Some(marker) = self.markers.after(bytes, at) {
            if self.session.is_full() {
                return;
            }
            at = match marker.kind {
                MarkerKind::Pem => self.pem(bytes, marker.at, nesting),
                MarkerKind::Base64Pem => {
                    let run = Run::around(bytes, marker.at, at);
                    if nesting < MAX_NESTING && run.within(self.session) {
                        self.text(&base64::decode(&run.text(bytes)), nesting + 1);
                    }
                    run.end
                }
                MarkerKind::Utf16 => {
                    let rest = bytes.get(marker.at..).unwrap_or(&[]);
                    let read = if rest.first() == Some(&0) { u16::from_be_bytes } else { u16::from_le_bytes };
                    if nesting < MAX_NESTING {
                        self.text(&from_utf16(rest, read), MAX_NESTING);
                    }
                    return;
                }
                MarkerKind::BareBase64 => {
                    let run = Run::around(bytes, marker.at, marker.at);
                    self.bare(bytes, &run);
                    run.end
                }
                MarkerKind::Der if nesting == 0 => self.carve(bytes, marker.at),
                MarkerKind::Der => marker.at,
                MarkerKind::Octets => self.octets(bytes, marker.at),
                // For the readers of statements, which come after.
                MarkerKind::Statement => marker.at,
            }
            // Whatever happened, the next look begins further on.
            .max(marker.at + 1);
        }
    }

    /// The certificate whose version stands at `at`; where to look on.
    fn carve(&mut self, bytes: &[u8], at: usize) -> usize {
        let begins = carve::begins(bytes, at);
        let Some((start, der)) = begins.and_then(|start| Some((start, carve::certificate(bytes, start)?)))
        else {
            return at + carve::MARKER.len();
        };
        self.session.keep(&mut self.found, Content::Certificate(Cow::Owned(der.to_vec())), Place::at(start));
        start + der.len()
    }

    /// One block; where to look on.
    fn pem(&mut self, bytes: &[u8], at: usize, nesting: usize) -> usize {
        let Some((label, start)) = label_at(bytes, at) else { return at + 1 };
        self.blocks += 1;
        let place = match self.binary && nesting == 0 {
            true => Place::at(at),
            false => Place::whole().numbered(self.blocks),
        };
        let mut end = start;
        let mut terminated = false;
        let rest = bytes.get(start..).unwrap_or(&[]);
        let mut next = bytes.len();
        for dashes in memmem::find_iter(rest, b"-----") {
            let after = rest.get(dashes + 5..).unwrap_or(&[]);
            end = start + dashes;
            if after.starts_with(b"END ") {
                terminated = true;
                next = end + 9;
                break;
            }
            if after.starts_with(b"BEGIN ") {
                next = end;
                break;
            }
        }
        if next == bytes.len() && !terminated {
            end = bytes.len();
        }
        let body = bytes.get(start..end).unwrap_or(&[]);
        let number = self.blocks;
        if !is_of_interest(label) {
            return next;
        }
        if body.len() / 4 * 3 > self.session.limits.body_octets {
            self.session
                .problem(Reason::TooLarge, format!("PEM block {number} ({label}) is too large: skipped"));
            return next;
        }
        if !terminated {
            self.session.problem(
                Reason::Malformed,
                format!("PEM block {number} ({label}) has no end: read as far as it goes"),
            );
        }
        let body = Body::read(body);
        if body.decoded.is_empty() {
            self.session.problem(Reason::Malformed, format!("PEM block {number} ({label}) is empty"));
            return next;
        }
        self.block(label, body, place);
        next
    }

    fn block(&mut self, label: &str, body: Body, place: Place) {
        let number = self.blocks;
        let Body { decoded, encrypted } = body;
        let content = match label {
            "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
                let length = Certificate::parse(&decoded).map(|certificate| certificate.der().len());
                match length {
                    Ok(length) => {
                        if length < decoded.len() && label != "TRUSTED CERTIFICATE" {
                            let detail =
                                format!("PEM block {number} ({label}) has octets after the certificate");
                            self.session.problem(Reason::Malformed, detail);
                        }
                        let mut der = decoded;
                        der.truncate(length);
                        Content::Certificate(Cow::Owned(der))
                    }
                    Err(malformed) => match classify(&decoded) {
                        // Some tools write PKCS#7 under this label.
                        Some(kind @ (Kind::Pkcs7 | Kind::Crl | Kind::Csr)) => {
                            return self.element(&decoded, kind, &place);
                        }
                        _ => {
                            let detail = format!("PEM block {number} ({label}) does not parse: {malformed}");
                            self.session.problem(Reason::Malformed, detail);
                            Content::Certificate(Cow::Owned(decoded))
                        }
                    },
                }
            }
            "X509 CRL" | "CRL" => Content::Crl(Cow::Owned(decoded)),
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Content::Csr(Cow::Owned(decoded)),
            "PUBLIC KEY" => Content::PublicKey(Cow::Owned(decoded)),
            "RSA PUBLIC KEY" => match super::der::pkcs1_public_key(&decoded) {
                Some(spki) => Content::PublicKey(Cow::Owned(spki)),
                None => {
                    let detail = format!("PEM block {number} ({label}) does not parse");
                    return self.session.problem(Reason::Malformed, detail);
                }
            },
            "PKCS7" | "CMS" | "PKCS #7 SIGNED DATA" => return self.element(&decoded, Kind::Pkcs7, &place),
            "OCSP RESPONSE" => return self.element(&decoded, Kind::Ocsp, &place),
            "PGP PUBLIC KEY BLOCK" | "PGP PRIVATE KEY BLOCK" => {
                let mut inner = Vec::new();
                openpgp::open(&decoded, &place, self.session, &mut inner);
                self.found.extend(owned(inner));
                return;
            }
            "PKCS12" => return self.element(&decoded, Kind::Pkcs12, &place),
            _ => Content::PrivateKey(private_key(&decoded, encrypted)),
        };
        self.session.keep(&mut self.found, content, place);
    }

    /// Base64 without armour counts only where it turns out to be something.
    fn bare(&mut self, bytes: &[u8], run: &Run) {
        if !run.within(self.session) {
            return;
        }
        let decoded = base64::decode(&run.text(bytes));
        let place = Place::whole().numbered(self.blocks + 1);
        if let Some(Hint::Jks | Hint::Jceks) = Hint::of_start(&decoded) {
            self.blocks += 1;
            let inner = jks::open(&decoded, &place, self.session);
            self.found.extend(owned(inner));
        } else if let Some(kind) = classify(&decoded) {
            self.blocks += 1;
            self.element(&decoded, kind, &place);
        }
    }

    /// What a program's source writes down octet by octet; where to look on.
    fn octets(&mut self, bytes: &[u8], at: usize) -> usize {
        let Some((der, end)) = octets::element(bytes, at, self.session.limits.body_octets) else {
            return at + 1;
        };
        let Some(kind) = classify(&der) else { return at + 1 };
        self.blocks += 1;
        let place = Place::whole().numbered(self.blocks);
        self.element(&der, kind, &place);
        end
    }

    fn element(&mut self, decoded: &[u8], kind: Kind, place: &Place) {
        let mut inner = Vec::new();
        place_element(decoded, kind, place, self.session, &mut inner);
        self.found.extend(owned(inner));
    }
}

fn is_of_interest(label: &str) -> bool {
    matches!(
        label,
        "CERTIFICATE"
            | "X509 CERTIFICATE"
            | "TRUSTED CERTIFICATE"
            | "X509 CRL"
            | "CRL"
            | "CERTIFICATE REQUEST"
            | "NEW CERTIFICATE REQUEST"
            | "PUBLIC KEY"
            | "RSA PUBLIC KEY"
            | "PKCS7"
            | "CMS"
            | "PKCS #7 SIGNED DATA"
            | "PKCS12"
            | "OCSP RESPONSE"
            | "PGP PUBLIC KEY BLOCK"
            | "PGP PRIVATE KEY BLOCK"
    ) || (label.ends_with("PRIVATE KEY") && !label.contains("PGP"))
}

fn private_key(decoded: &[u8], encrypted: bool) -> PrivateKey {
    if encrypted {
        return PrivateKey { format: KeyFormat::LegacyEncrypted, encrypted: true, spki: None };
    }
    PrivateKey::recognise(decoded).or_else(|| PrivateKey::recognise_openssh(decoded)).unwrap_or(PrivateKey {
        format: KeyFormat::Unknown,
        encrypted: false,
        spki: None,
    })
}

/// The body of a block, decoded.
struct Body {
    decoded: Vec<u8>,
    /// Whether headers say that it is encrypted (RFC 1421 section 4.6.1.1).
    encrypted: bool,
}

impl Body {
    fn read(body: &[u8]) -> Self {
        let mut decoder = Decoder::default();
        let mut encrypted = false;
        let mut in_comment = false;
        for line in lines(body) {
            if memchr::memchr(b':', line).is_some() {
                encrypted |=
                    memmem::find(line, b"ENCRYPTED").is_some() || memmem::find(line, b"DEK-Info").is_some();
                continue;
            }
            // Nearly always a line is nothing but data.
            if line.len() > 1 && line.iter().all(|octet| is_base64(*octet)) {
                decoder.push(line);
            } else if let Some(data) = data_of(line, in_comment) {
                in_comment |= line.contains(&b'#');
                decoder.push(&data);
            }
        }
        Self { decoded: decoder.finish(), encrypted }
    }
}

/// Lines, where a literal `\n`, `\r` or `\t` (with any number of backslashes) ends one, too.
fn lines(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut from = 0;
        loop {
            let Some(found) = memchr::memchr3(b'\n', b'\r', b'\\', rest.get(from..)?) else {
                return Some(std::mem::take(&mut rest));
            };
            let at = from + found;
            if rest.get(at) != Some(&b'\\') {
                let line = rest.get(..at)?;
                rest = rest.get(at + 1..)?;
                return Some(line);
            }
            let slashes = rest.get(at..)?.iter().take_while(|octet| **octet == b'\\').count();
            if matches!(rest.get(at + slashes), Some(b'n' | b'r' | b't')) {
                let line = rest.get(..at)?;
                rest = rest.get(at + slashes + 1..)?;
                return Some(line);
            }
            from = at + slashes;
        }
    })
}

/// The data of a line that is not data alone: quotes, comment signs and escapes taken off; `None` for junk.
/// `in_comment` tells that data has been read from comments before, so that a short last line of it is
/// data, too.
fn data_of(line: &[u8], in_comment: bool) -> Option<Vec<u8>> {
    let line = unescape(line);
    let strip = |octet: &u8| {
        octet.is_ascii_whitespace()
            || matches!(octet, b'"' | b'\'' | b'`' | b',' | b';' | b'>' | b'|' | b'*' | b'#' | b'\\' | 0)
    };
    let start = line.iter().position(|octet| !strip(octet))?;
    let end = line.iter().rposition(|octet| !strip(octet))? + 1;
    let commented = !in_comment && line.get(..start)?.contains(&b'#');
    let mut tokens = line
        .get(start..end)?
        .split(|octet| octet.is_ascii_whitespace() || *octet == 0)
        .filter(|token| !token.is_empty())
        .peekable();
    let mut data = Vec::with_capacity(end - start);
    while let Some(token) = tokens.next() {
        // Words of a sentence are base64, too; but only the last piece of data is as short as a word.
        let short = token.len() < 16 && (tokens.peek().is_some() || commented);
        let padded = token.last() == Some(&b'=');
        if (short && !padded) || token.len() < 2 || !token.iter().all(|octet| is_base64(*octet)) {
            return None;
        }
        data.extend_from_slice(token);
    }
    Some(data)
}

/// Undoes what JSON, XML and URLs do to base64 and line ends: `\/`, `\u002b`, `&#10;`, `%2B`.
fn unescape(line: &[u8]) -> Cow<'_, [u8]> {
    if !line.iter().any(|octet| matches!(octet, b'\\' | b'&' | b'%')) {
        return Cow::Borrowed(line);
    }
    let hex = |digits: Option<&[u8]>| u8::from_str_radix(std::str::from_utf8(digits?).ok()?, 16).ok();
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'\\' if tail.starts_with(b"u00") => {
                out.push(hex(tail.get(3..5)).unwrap_or(b'?'));
                rest = tail.get(5..).unwrap_or(&[]);
            }
            b'\\' => {}
            b'%' if hex(tail.get(..2)).is_some() => {
                out.push(hex(tail.get(..2)).unwrap_or(b'?'));
                rest = tail.get(2..).unwrap_or(&[]);
            }
            b'&' if tail.starts_with(b"#") => {
                let end = tail.iter().take(8).position(|octet| *octet == b';');
                out.push(b' ');
                rest = end.and_then(|end| tail.get(end + 1..)).unwrap_or(tail);
            }
            other => out.push(*other),
        }
    }
    Cow::Owned(out)
}

/// A run of base64 characters, perhaps wrapped into lines.
struct Run {
    start: usize,
    end: usize,
}

impl Run {
    /// The run that `at` lies in, not before `floor`. Lines are joined where the one before is at least 40
    /// characters long, as no words are.
    fn around(bytes: &[u8], at: usize, floor: usize) -> Self {
        const LINE: usize = 40;
        let mut start = at;
        loop {
            let back = bytes.get(floor..start).unwrap_or(&[]);
            // Padding ends what stands before: the `=` of `CERT=LS0t...` is none of it.
            let data = |octet: &&u8| is_base64(**octet) && **octet != b'=';
            let token = back.iter().rev().take_while(data).count();
            start -= token;
            let before = bytes.get(floor..start).unwrap_or(&[]);
            // The "n" of a literal "\n" is no data.
            if before.last() == Some(&b'\\')
                && token > 0
                && matches!(bytes.get(start), Some(b'n' | b'r' | b't'))
            {
                start += 1;
            }
            let gap = before
                .iter()
                .rev()
                .take_while(|octet| octet.is_ascii_whitespace() || **octet == b'\\')
                .count();
            let above = before.get(..before.len() - gap).unwrap_or(&[]);
            let line = above.iter().rev().take(LINE).take_while(data).count();
            if gap == 0 || gap > 256 || line < LINE {
                break;
            }
            start = floor + above.len();
        }
        let mut end = at;
        loop {
            let ahead = bytes.get(end..).unwrap_or(&[]);
            let token = ahead.iter().take_while(|octet| is_base64(**octet)).count();
            end += token;
            let padded = end > start && bytes.get(end - 1) == Some(&b'=');
            let after = bytes.get(end..).unwrap_or(&[]);
            let mut gap = after.iter().take_while(|o| o.is_ascii_whitespace() || **o == b'\\').count();
            // After a backslash may come the letter of an escape, or the slash that it escapes.
            if gap > 0
                && after.get(gap - 1) == Some(&b'\\')
                && matches!(after.get(gap), Some(b'n' | b'r' | b't'))
            {
                gap += 1;
            }
            let escaped_slash = after.starts_with(b"\\/");
            let below = after.get(gap..).unwrap_or(&[]);
            let line = below.iter().take_while(|octet| is_base64(**octet)).count();
            let ends_well = matches!(below.get(line), None | Some(b'"' | b'\'' | b'<' | b'\\' | b'&'))
                || below.get(line).is_some_and(u8::is_ascii_whitespace);
            let joins = escaped_slash || (token >= LINE && line > 0 && ends_well);
            if padded || gap == 0 || gap > 256 || !joins {
                break;
            }
            end += gap;
        }
        Self { start, end }
    }

    fn within(&self, session: &mut Session) -> bool {
        let fits = (self.end - self.start) / 4 * 3 <= session.limits.body_octets;
        if !fits {
            session.problem(Reason::TooLarge, "base64 that is too large: skipped");
        }
        fits
    }

    /// Its characters, without the literal escapes that separate lines.
    fn text<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let run = bytes.get(self.start..self.end).unwrap_or(&[]);
        if memchr::memchr(b'\\', run).is_none() {
            return Cow::Borrowed(run);
        }
        Cow::Owned(lines(run).flat_map(|line| line.iter().copied()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{Limits, open as open_any};

    /// A body that no parser takes for a certificate, long enough to wrap.
    fn body() -> Vec<u8> {
        (0..150u8).collect()
    }

    fn wrapped(label: &str, newline: &str) -> String {
        let text = base64::encode(&body());
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        format!(
            "-----BEGIN {label}-----{newline}{}{newline}-----END {label}-----{newline}",
            lines.join(newline)
        )
    }

    /// Every certificate in the text must be `body`, and stand at these places.
    fn check(text: &[u8], places: &[&str]) {
        let opened = open_any(text, &[], &Limits::default());
        let shown = String::from_utf8_lossy(text.get(..300.min(text.len())).unwrap_or(&[])).into_owned();
        for found in &opened.found {
            assert_eq!(found.content, Content::Certificate(Cow::Owned(body())), "{shown}");
        }
        let found: Vec<_> = opened.found.iter().map(|found| found.place.to_string()).collect();
        assert_eq!(found, places, "{shown}");
    }

    #[test]
    fn what_is_written_is_read() {
        for length in [0_usize, 1, 47, 48, 49, 96, 1000] {
            let der: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let text = encode("X509 CRL", &der);
            let body: Vec<&str> = text.lines().filter(|line| !line.starts_with("-----")).collect();
            assert_eq!(base64::decode(body.concat().as_bytes()), der);
            assert!(body.iter().rev().skip(1).all(|line| line.len() == 64), "{text}");
            assert!(body.iter().all(|line| line.len() <= 64), "{text}");
            assert!(text.starts_with("-----BEGIN X509 CRL-----\n"), "{text}");
            assert!(text.ends_with("-----END X509 CRL-----\n"), "{text}");
        }
    }

    #[test]
    fn wherever_it_stands() {
        let plain = wrapped("CERTIFICATE", "\n");
        check(plain.as_bytes(), &["#1"]);
        check(wrapped("X509 CERTIFICATE", "\r\n").as_bytes(), &["#1"]);
        check(wrapped("TRUSTED CERTIFICATE", "\r").as_bytes(), &["#1"]);
        check(wrapped("CERTIFICATE", "\\n").as_bytes(), &["#1"]);
        check(format!("{{\"a\": \"{}\"}}", wrapped("CERTIFICATE", "\\r\\n")).as_bytes(), &["#1"]);
        check(wrapped("CERTIFICATE", "\\\\n").as_bytes(), &["#1"]);
        check(wrapped("CERTIFICATE", "\n    ").as_bytes(), &["#1"]);
        check(wrapped("CERTIFICATE", "\n# ").as_bytes(), &["#1"]);
        check(wrapped("CERTIFICATE", "\n> ").as_bytes(), &["#1"]);
        check(wrapped("CERTIFICATE", "\\n\" +\n  \"").as_bytes(), &["#1"]);
        check(wrapped("CERTIFICATE", "\\n\\\n").as_bytes(), &["#1"]);
        check(wrapped("CERTIFICATE", " ").as_bytes(), &["#1"]);
        check(wrapped("CERTIFICATE", "&#10;").as_bytes(), &["#1"]);
        check(wrapped("CERTIFICATE", "").as_bytes(), &["#1"]);
        check(format!("junk\n{plain}more junk\n{plain}").as_bytes(), &["#1", "#2"]);
        check(plain.replace('/', "\\/").as_bytes(), &["#1"]);
        check(plain.replace('/', "\\u002f").as_bytes(), &["#1"]);
        check(plain.replacen("-----\n", "-----\nSubject: x\n# a comment in words\n", 1).as_bytes(), &["#1"]);
    }

    #[test]
    fn in_other_encodings() {
        let plain = wrapped("CERTIFICATE", "\n");
        let le: Vec<u8> = plain.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = plain.encode_utf16().flat_map(u16::to_be_bytes).collect();
        check(&[&[0xff, 0xfe], &le[..]].concat(), &["#1"]);
        check(&[&[0xfe, 0xff], &be[..]].concat(), &["#1"]);
        check(&le, &["#1"]);
        check(&be, &["#1"]);
        for prefix in ["", "x", "xy", "xyz"] {
            let encoded = base64::encode(format!("{prefix}{plain}{plain}").as_bytes());
            check(format!("tls.crt: {encoded}\ntls.key: {encoded}\n").as_bytes(), &["#1", "#2", "#3", "#4"]);
            let lines: Vec<_> = encoded.as_bytes().chunks(76).map(String::from_utf8_lossy).collect();
            check(format!("tls.crt: |\n    {}\ntype: x", lines.join("\n    ")).as_bytes(), &["#1", "#2"]);
            check(format!("{{\"crt\":\"{}\"}}", lines.join("\\n")).as_bytes(), &["#1", "#2"]);
            check(base64::encode(encoded.as_bytes()).as_bytes(), &[]);
        }
    }

    #[test]
    fn broken_blocks() {
        let plain = wrapped("CERTIFICATE", "\n");
        let unterminated = plain.replace("-----END CERTIFICATE-----", "");
        check(unterminated.as_bytes(), &["#1"]);
        check(format!("{unterminated}{plain}").as_bytes(), &["#1", "#2"]);
        check(format!("-----BEGIN CERTIFICATE-----\n{plain}").as_bytes(), &["#2"]);
        check(format!("{}{plain}", wrapped("DH PARAMETERS", "\n")).as_bytes(), &["#2"]);
        check(format!("{}{plain}", wrapped("ATTRIBUTE CERTIFICATE", "\n")).as_bytes(), &["#2"]);
        check(b"-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----\n", &[]);
        check(plain.replace('\n', "\n\0").as_bytes(), &["#1"]);
    }

    #[test]
    fn keys_and_headers() {
        let text = wrapped("RSA PRIVATE KEY", "\n").replacen(
            "-----\n",
            "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n",
            1,
        );
        let opened = open_any(text.as_bytes(), &[], &Limits::default());
        let key = PrivateKey { format: KeyFormat::LegacyEncrypted, encrypted: true, spki: None };
        assert_eq!(opened.found.first().map(|f| f.content.clone()), Some(Content::PrivateKey(key)));
    }

    #[test]
    fn a_million_blocks_are_cut_with_a_word() {
        let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".repeat(1_000_000);
        let opened = open_any(text.as_bytes(), &[], &Limits::default());
        assert_eq!(opened.found.len(), 100_000);
        assert!(opened.problems.iter().any(|problem| problem.reason == Reason::TooLarge));
    }

    #[test]
    fn long_lines_and_dashes_are_linear() {
        for filler in [
            "-",
            "A",
            "-----",
            "\\",
            "\\n",
            "MII",
            "\"MII",
            "-----BEGIN ",
            "LS0tLS1CRUdJTi",
            " ",
            "A ",
            "=\\/",
        ] {
            let long = filler.repeat(8_000_000 / filler.len());
            for text in [long.clone(), format!("-----BEGIN CERTIFICATE-----{long}")] {
                let _ = open_any(text.as_bytes(), &[], &Limits::default());
            }
        }
    }
}

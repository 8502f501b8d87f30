//! The readers of dated things, as `container::open` asks them: one line a format.
//!
//! A reader is asked only where its markers stand in the file, and every reader bounds itself. Adding a format
//! means a file beside this one, a line here, and, where nothing that is there makes the crawler read such
//! files, a marker in `container/sniff.rs`.

use std::collections::HashSet;

use super::{authenticode, catalogue, dnssec, jwk, jwt, mail, openpgp, powershell, release, saml, ssh, tuf};
use crate::container::sniff::Hint;
use crate::container::{Content, Format, Found, Place, Reason, Session};
use crate::fingerprint::sha256;

/// JSON longer than this is not taken apart, in octets: a tree of it takes many times the memory.
const JSON_MAX: usize = 4 << 20;

type Read = fn(&[u8], &mut Session, &mut Vec<Found<'static>>);
type ReadJson = fn(&serde_json::Value, &[u8], &mut Session, &mut Vec<Found<'static>>);

/// Text: what must stand in it, and who reads it then.
const TEXT: &[(&[&[u8]], Read)] = &[
    (&[ssh::MARKER, ssh::AUTHORITY], ssh::read),
    (&[b"eyJ", jwt::WRAPPED], jwt::read),
    (&[release::MARKER], release::read),
    (&[powershell::MARKER], powershell::read),
    (&[mail::PKCS7, mail::PKIX, mail::VCARD], mail::read),
    (dnssec::MARKERS, dnssec::read),
];

/// Files that are JSON as a whole.
const JSON: &[(&[&[u8]], ReadJson)] =
    &[(&[jwk::MARKER], jwk::read), (catalogue::MARKERS, catalogue::read), (&[tuf::MARKER], tuf::read)];

/// Opens formats told by their first octets.
pub(crate) fn binary<'a>(
    hint: Hint,
    bytes: &'a [u8],
    session: &mut Session,
) -> Option<(Format, Vec<Found<'a>>)> {
    let mut found = Vec::new();
    let whole = Place::whole();
    match hint {
        Hint::Openpgp | Hint::Keybox => openpgp::open(bytes, &whole, session, &mut found),
        Hint::PortableExecutable => authenticode::open(bytes, session, &mut found),
        Hint::RawZone => dnssec::read_raw(bytes, session, &mut found),
        _ => return None,
    }
    (!found.is_empty()).then_some((Format::Statement, found))
}

/// Opens text of which one format takes all; also says whether that format came to its end. Where it did not, what
/// it gave is to be [`merge`]d with what is found by other means.
pub(crate) fn whole(bytes: &[u8], session: &mut Session) -> Option<(Vec<Found<'static>>, bool)> {
    saml::open(bytes, session)
}

/// Adds what the readers of text find to what was found by armour.
pub(crate) fn text(bytes: &[u8], session: &mut Session, found: &mut Vec<Found<'static>>) {
    let holds = |markers: &[&[u8]]| markers.iter().any(|m| memchr::memmem::find(bytes, m).is_some());
    let mut more = Vec::new();
    for (markers, read) in TEXT {
        if holds(markers) && !session.is_full() {
            read(bytes, session, &mut more);
        }
    }
    let start = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    if matches!(start.first(), Some(b'{' | b'[')) && JSON.iter().any(|(markers, _)| holds(markers)) {
        if start.len() > JSON_MAX {
            // Logs are large, too, and tell when something expires; keys and roles are what they seem.
            if holds(&[jwk::MARKER, tuf::MARKER]) {
                session
                    .problem(Reason::TooLarge, "JSON with keys or roles that is too large to be taken apart");
            }
        } else if let Ok(value) = serde_json::from_slice(start) {
            for (markers, read) in JSON {
                if holds(markers) && !session.is_full() {
                    read(&value, start, session, &mut more);
                }
            }
        }
    }
    merge(found, more);
}

/// Adds what was found by those who know what it is for to what was found by its looks. A certificate that is among
/// both, bare base64 to the latter, counts for the former.
pub(crate) fn merge(found: &mut Vec<Found<'static>>, mut more: Vec<Found<'static>>) {
    let known: HashSet<_> = more.iter().filter_map(certificate).map(sha256).collect();
    if !known.is_empty() {
        found.retain(|one| certificate(one).is_none_or(|der| !known.contains(&sha256(der))));
    }
    found.append(&mut more);
}

fn certificate<'f>(found: &'f Found<'_>) -> Option<&'f [u8]> {
    match &found.content {
        Content::Certificate(der) => Some(der),
        _ => None,
    }
}

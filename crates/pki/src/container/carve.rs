//! Certificates in DER in the middle of something else: programs, firmware, images of memory.
//!
//! `sniff.rs` finds where one may begin, by the version of X.509 v3 and the beginning of the serial number after it;
//! this says whether one does. What merely looks like a certificate is no news: it must parse, with plausible
//! dates, a known algorithm of signature, the same inside and outside, and a key. So what is broken, and X.509 v1,
//! which has no version, is not carved; whatever else is there (keys, revocation lists, keystores) is not either.

use crate::certificate::Certificate;
use crate::der::{self, tag};
use crate::oid;
use crate::time::UnixTime;

/// Version 3 in its tag, and the tag of the serial number behind it.
pub(crate) const MARKER: &[u8] = b"\xa0\x03\x02\x01\x02\x02";

/// The two headers before the version take so many octets at most, and at least.
const HEADERS: std::ops::RangeInclusive<usize> = 4..=8;

/// 1970 and 10000: no certificate that is in use lies outside.
const PLAUSIBLE: std::ops::Range<i64> = 0..253_402_300_800;

/// Where the certificate begins whose version stands at `at`, judged by its first octets.
pub(crate) fn begins(bytes: &[u8], at: usize) -> Option<usize> {
    HEADERS.rev().filter_map(|back| at.checked_sub(back)).find(|start| {
        let head = bytes.get(*start..at).unwrap_or(&[]);
        let Some((outer, after, Some(whole))) = header(head) else { return false };
        let Some((inner, end, Some(signed))) = header(head.get(after..).unwrap_or(&[])) else { return false };
        // Behind the signed part come an algorithm and a signature.
        (outer, inner) == (tag::SEQUENCE, tag::SEQUENCE) && after + end == head.len() && signed + 16 < whole
    })
}

fn header(bytes: &[u8]) -> Option<(u8, usize, Option<usize>)> {
    der::header(bytes).ok()
}

/// The certificate that begins at `start`, if it is one beyond doubt.
pub(crate) fn certificate(bytes: &[u8], start: usize) -> Option<&[u8]> {
    let rest = bytes.get(start..)?;
    let (_, at, length) = header(rest)?;
    let der = rest.get(..at.checked_add(length?)?)?;
    let certificate = Certificate::parse(der).ok().filter(|c| c.der().len() == der.len())?;
    let (from, until) = (certificate.not_before()?, certificate.not_after()?);
    let plausible = |UnixTime(seconds): UnixTime| PLAUSIBLE.contains(&seconds);
    let algorithm = certificate.signature_algorithm();
    let sound = plausible(from)
        && plausible(until)
        && from <= until
        && oid::signature_name(algorithm.oid).is_some()
        && oid::key_algorithm_name(certificate.public_key().algorithm_identifier().oid).is_some()
        && certificate.signature().len() >= 32
        && !certificate.subject().is_empty() | !certificate.issuer_name().is_empty();
    sound.then_some(der)
}

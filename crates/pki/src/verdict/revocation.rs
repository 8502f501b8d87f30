//! Revocation by the CRLs that were handed in (RFC 5280 section 6.3).
//!
//! A certificate whose issuer has no list among them is not judged: who checks by CRL configures the lists he
//! cares for. One whose issuer has a list that cannot be used is refused, for that is a list that fails when it
//! is needed. A list past its nextUpdate still counts for what it revokes; that it is late becomes a note, and
//! a refusal under strict rules. Indirect lists and OCSP are not processed.

use std::collections::HashMap;

use super::{Fault, Profile, Question, Reason, called};
use crate::asn1_time;
use crate::certificate::Certificate;
use crate::crl::{Crl, Revoked, reason_name};
use crate::der::{Reader, strip_zeros, tag};
use crate::extension::GeneralName;
use crate::fingerprint::KeyId;
use crate::oid;
use crate::time::UnixTime;
use crate::verify::{SignatureVerdict, verify_signature};

/// Signature checks of lists, each once, that one verdict may make.
const CHECKS_MAX: usize = 50;

/// What is kept about the lists during one verdict.
#[derive(Default)]
pub(super) struct Lists<'a> {
    /// What a list, by its place in the question, is worth under a key.
    known: HashMap<(usize, KeyId), State>,
    /// What a list says of a serial number: lists have a million entries, and paths share certificates.
    entries: HashMap<(usize, &'a [u8]), Option<Revoked<'a>>>,
}

/// What a list is worth under a key.
#[derive(Clone, Copy)]
enum State {
    Good,
    Malformed,
    OfAnother,
}

impl<'a> Lists<'a> {
    /// Checks one certificate against the lists of its issuer.
    pub(super) fn check(
        &mut self,
        certificate: &Certificate<'a>,
        issuer: &Certificate<'_>,
        question: &Question<'_, 'a>,
        faults: &mut Vec<Fault>,
        notes: &mut Vec<String>,
    ) {
        let mut given = false;
        let mut answered = false;
        let mut why = String::new();
        let subject = issuer.subject();
        let lists = question.crls.iter().enumerate();
        for (place, crl) in lists.filter(|(_, crl)| crl.issuer_name().matches(&subject)) {
            match covers(crl, certificate) {
                Cover::No => continue,
                Cover::Yes => given = true,
                Cover::Unreadable(reason) => {
                    given = true;
                    why = reason.to_owned();
                    continue;
                }
            }
            if let Some(reason) = self.defect(place, crl, issuer, question) {
                why = reason;
                continue;
            }
            let serial = strip_zeros(certificate.serial());
            let find = || crl.revoked().find(|entry| strip_zeros(entry.serial) == serial);
            if let Some(entry) = *self.entries.entry((place, serial)).or_insert_with(find)
                && entry.reason != Some(8)
            {
                let since = entry.date.map_or_else(String::new, |date| format!(" since {date}"));
                let reason =
                    entry.reason.map_or_else(String::new, |code| format!(" ({})", reason_name(code)));
                let detail = format!("{} is revoked{since}{reason}", called(certificate));
                faults.push(Fault::new(Reason::Revoked, detail));
                return;
            }
            if let Some(due) = crl.next_update().filter(|due| question.at > *due) {
                let text = format!("the CRL of {} is late: its next update was due at {due}", called(issuer));
                if question.rules.profile >= Profile::Rfc5280 {
                    why = text;
                    continue;
                }
                if !notes.contains(&text) {
                    notes.push(text);
                }
            }
            // A delta says what changed since another list, so it alone answers for nothing.
            answered |= !crl.is_delta();
        }
        if given && !answered {
            if why.is_empty() {
                "only a delta was given".clone_into(&mut why);
            }
            let detail = format!("no CRL that was given answers for {}: {why}", called(certificate));
            faults.push(Fault::new(Reason::RevocationUnknown, detail));
        }
    }

    /// Why a list of this issuer cannot be used.
    fn defect(
        &mut self,
        place: usize,
        crl: &Crl<'_>,
        issuer: &Certificate<'_>,
        question: &Question<'_, '_>,
    ) -> Option<String> {
        if let Some(why) = unfit(crl, issuer, question.at) {
            return Some(why);
        }
        let key = (place, issuer.key_id());
        if self.known.len() >= CHECKS_MAX && !self.known.contains_key(&key) {
            return Some("too many lists were given to check them all".to_owned());
        }
        let state = *self.known.entry(key).or_insert_with(|| state_of(crl, issuer));
        match state {
            State::Good => None,
            State::Malformed => Some("the list is malformed".to_owned()),
            State::OfAnother => Some(format!("the list is not signed by the key of {}", called(issuer))),
        }
    }
}

/// Whether this issuer made the list, by its signature, and a verifier may go by it at this time.
pub fn is_list_of(crl: &Crl<'_>, issuer: &Certificate<'_>, at: UnixTime) -> bool {
    crl.issuer_name().matches(&issuer.subject())
        && unfit(crl, issuer, at).is_none()
        && matches!(state_of(crl, issuer), State::Good)
}

/// Whether a list that its issuer made speaks of this certificate.
pub fn speaks_of(crl: &Crl<'_>, certificate: &Certificate<'_>) -> bool {
    matches!(covers(crl, certificate), Cover::Yes)
}

/// Why nobody may go by this list, whoever signed it.
fn unfit(crl: &Crl<'_>, issuer: &Certificate<'_>, at: UnixTime) -> Option<String> {
    if crl.this_update().is_none_or(|start| start > at) {
        return Some("the list is not valid yet".to_owned());
    }
    if issuer.key_usage().is_some_and(|usage| !usage.crl_sign()) {
        return Some(format!("{} may not sign CRLs (keyUsage lacks cRLSign)", called(issuer)));
    }
    let known = |oid: &[u8]| {
        matches!(oid, oid::ISSUING_DISTRIBUTION_POINT | oid::DELTA_CRL_INDICATOR | oid::AUTHORITY_KEY_ID)
    };
    let unknown = crl.extensions().find_map(|e| (e.critical && !known(e.oid)).then_some(e.oid))?;
    Some(format!("the list has the critical extension {}", oid::dotted(unknown)))
}

fn state_of(crl: &Crl<'_>, issuer: &Certificate<'_>) -> State {
    if !is_whole(crl) {
        return State::Malformed;
    }
    let verdict = verify_signature(crl.signature_algorithm(), issuer.spki(), crl.tbs(), crl.signature());
    if verdict == SignatureVerdict::Good { State::Good } else { State::OfAnother }
}

enum Cover {
    Yes,
    No,
    Unreadable(&'static str),
}

/// Whether a list speaks of this certificate (RFC 5280 section 5.2.5).
fn covers(crl: &Crl<'_>, certificate: &Certificate<'_>) -> Cover {
    let Some(extension) = crl.extension(oid::ISSUING_DISTRIBUTION_POINT) else { return Cover::Yes };
    let Ok(mut parts) = Reader::new(extension.value).sequence() else {
        return Cover::Unreadable("its issuingDistributionPoint cannot be decoded");
    };
    let point = parts.optional(tag::context(0));
    let mut flag =
        |number: u8| parts.optional(tag::context_primitive(number)).is_some_and(|f| f.value != [0]);
    let (users, cas) = (flag(1), flag(2));
    parts.optional(tag::context_primitive(3));
    let mut flag =
        |number: u8| parts.optional(tag::context_primitive(number)).is_some_and(|f| f.value != [0]);
    let (indirect, attributes) = (flag(4), flag(5));
    if indirect {
        return Cover::Unreadable("it is an indirect list");
    }
    if attributes || (users && certificate.is_ca()) || (cas && !certificate.is_ca()) {
        return Cover::No;
    }
    let Some(point) = point else { return Cover::Yes };
    // A list for one distribution point is for the certificates that name it.
    let mut choice = point.reader();
    let full = choice.optional(tag::context(0)).filter(|_| choice.is_empty());
    let Some(full) = full else {
        return Cover::Unreadable("it is for a distribution point without a full name");
    };
    let listed: Vec<&[u8]> = full
        .reader()
        .filter_map(|element| match GeneralName::read(&element) {
            GeneralName::Uri(uri) => Some(uri),
            _ => None,
        })
        .collect();
    if certificate.crl_distribution_points().any(|uri| listed.contains(&uri)) {
        Cover::Yes
    } else {
        Cover::No
    }
}

/// Whether a list can be read to its end. `crl.rs` reads what it can and stops, which is right for an
/// inventory; here, an entry behind garbage would be a revocation that nobody sees.
fn is_whole(crl: &Crl<'_>) -> bool {
    walk(crl).unwrap_or(false)
}

fn walk(crl: &Crl<'_>) -> Result<bool, crate::der::Error> {
    let is_time = |tag: Option<u8>| matches!(tag, Some(tag::UTC_TIME | tag::GENERALIZED_TIME));
    let mut fields = Reader::new(crl.tbs()).sequence()?;
    // Version 1 leaves the field out, and has no extensions (RFC 5280 section 5.1.2.1).
    let second = fields.optional(tag::INTEGER).is_some_and(|version| version.value == [1]);
    if crl.signature_algorithm().der != fields.expect(tag::SEQUENCE)?.raw
        || !crl.issuer_name().is_well_formed()
    {
        return Ok(false);
    }
    fields.expect(tag::SEQUENCE)?;
    for _ in 0..2 {
        if is_time(fields.peek()) {
            fields.read()?;
        }
    }
    if let Some(list) = fields.optional(tag::SEQUENCE) {
        let mut entries = list.reader();
        while !entries.is_empty() {
            let mut entry = entries.sequence()?;
            entry.expect(tag::INTEGER)?;
            if !is_time(entry.peek()) || asn1_time::read(&entry.read()?).is_none() {
                return Ok(false);
            }
            if entry.optional(tag::SEQUENCE).is_some() && !second || !entry.is_empty() {
                return Ok(false);
            }
        }
    }
    Ok((fields.optional(tag::context(0)).is_none() || second) && fields.is_empty())
}

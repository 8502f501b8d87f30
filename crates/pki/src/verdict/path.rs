//! One whole path from anchor to leaf, judged (RFC 5280 section 6.1): what needs more than one certificate.
//!
//! Signatures were checked while it was built (`search.rs`), and what each certificate says of itself by
//! `checks.rs`; this adds path lengths, name constraints, policies, revocation.

use super::constraints::{COMPARISONS_MAX, Constraints, Names, Refusal};
use super::revocation::Lists;
use super::{Fault, Purpose, Question, Reason, called, policy};
use crate::certificate::Certificate;
use crate::oid;

/// What is wrong with a path, and what is worth saying.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) faults: Vec<Fault>,
    pub(super) notes: Vec<String>,
}

/// Judges a path, leaf first, anchor last. A leaf that is its own anchor has a path of one.
pub(super) fn judge<'a>(
    path: &[Certificate<'a>],
    question: &Question<'_, 'a>,
    lists: &mut Lists<'a>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let [leaf, issuers @ ..] = path else { return outcome };
    let Some((anchor, intermediates)) = issuers.split_last() else { return outcome };
    let binding = question.rules.anchor_constraints;
    lengths(intermediates, binding.then_some(anchor), question, &mut outcome.faults);
    names(path, binding, question, &mut outcome.faults);
    let mut from_anchor: Vec<_> = intermediates.to_vec();
    from_anchor.reverse();
    from_anchor.push(*leaf);
    if !policy::is_met(binding.then_some(anchor), &from_anchor) {
        let detail = "an issuer demands an explicit certificate policy, and none is valid along the path";
        outcome.faults.push(Fault::new(Reason::PolicyUnmet, detail));
    }
    if !question.crls.is_empty() {
        for pair in path.windows(2) {
            if let [certificate, issuer] = pair {
                lists.check(certificate, issuer, question, &mut outcome.faults, &mut outcome.notes);
            }
        }
    }
    outcome
}

/// RFC 5280 section 6.1.4 (l), (m): self-issued certificates do not count.
fn lengths(
    intermediates: &[Certificate<'_>],
    anchor: Option<&Certificate<'_>>,
    question: &Question<'_, '_>,
    faults: &mut Vec<Fault>,
) {
    let mut below = 0;
    for issuer in intermediates.iter().chain(anchor) {
        let most = issuer.basic_constraints().and_then(|constraints| constraints.path_len);
        if let Some(most) = most.filter(|most| below > *most as usize) {
            let detail =
                format!("{} allows {most} intermediates below it, and there are {below}", called(issuer));
            faults.push(Fault::new(Reason::PathTooLong, detail));
        }
        below += usize::from(!issuer.is_self_issued());
    }
    let count = intermediates.iter().filter(|issuer| !issuer.is_self_issued()).count();
    if count > question.rules.intermediates_max {
        let detail = format!("it has {count} intermediates, more than {}", question.rules.intermediates_max);
        faults.push(Fault::new(Reason::PathTooLong, detail));
    }
}

/// Each CA's constraints against the names of everything below it, self-issued intermediates left out
/// (RFC 5280 section 6.1.3 (b), (c)).
fn names(path: &[Certificate<'_>], binding: bool, question: &Question<'_, '_>, faults: &mut Vec<Fault>) {
    let mut left = COMPARISONS_MAX;
    let mut known: Vec<Option<Names<'_>>> = path.iter().map(|_| None).collect();
    let issuers = if binding { path.len() } else { path.len() - 1 };
    for (place, issuer) in path.iter().enumerate().take(issuers).skip(1) {
        let Some(extension) = issuer.extension(oid::NAME_CONSTRAINTS) else { continue };
        let malformed = |what: &str| {
            Fault::new(Reason::NameConstraint, format!("the name constraints of {} {what}", called(issuer)))
        };
        let constraints = match Constraints::read(extension.value, extension.critical, question.rules.profile)
        {
            Ok(constraints) => constraints,
            Err(Refusal::Malformed(what)) => {
                faults.push(malformed(what));
                continue;
            }
            Err(_) => continue,
        };
        for (below, certificate) in path.iter().enumerate().take(place) {
            if below > 0 && certificate.is_self_issued() {
                continue;
            }
            let host = below == 0 && question.purpose != Purpose::Client;
            let Some(slot) = known.get_mut(below) else { continue };
            let names = slot.get_or_insert_with(|| Names::of(certificate, host));
            match constraints.check(names, &mut left) {
                Ok(()) => {}
                Err(Refusal::Name(name)) => {
                    let detail =
                        format!("{} may not certify {name} of {}", called(issuer), called(certificate));
                    faults.push(Fault::new(Reason::NameConstraint, detail));
                }
                Err(Refusal::Malformed(what)) => faults.push(malformed(what)),
                Err(Refusal::Budget) => {
                    let detail = "it has too many names and name constraints to compare them all";
                    faults.push(Fault::new(Reason::Budget, detail));
                    return;
                }
            }
        }
    }
}

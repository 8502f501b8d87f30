//! Judges a part of an inventory at the instants to come: from each one at which time can change a verdict to the next.
//!
//! The same dossiers and the same rules; nothing is looked at in between, and nothing but time passes. What is gathered
//! from an inventory does not depend on the instant, except for whom an anchor's end concerns: anchors are gathered
//! anew each time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use notafter_core::assess::assess;
use notafter_core::dossier::Dossier;
use notafter_core::finding::Finding;
use notafter_core::inventory::Inventory;
use notafter_core::owner::Owner;
use notafter_core::subject::SubjectKey;
use notafter_core::{Fingerprint, UnixTime};

use super::{Gathered, answers, around, key_of, stores};
use crate::pipeline::Judgment;

/// So many instants of one subject are looked at: a rule that never comes to rest must not hold up the others.
const INSTANTS_MAX: usize = 200;

/// What is said of one subject from an instant on.
pub(crate) struct Instant {
    pub(crate) at: UnixTime,
    pub(crate) findings: Vec<Finding>,
}

/// Where each subject begins, whom people named, and until when to look.
pub(crate) struct Span<'s> {
    pub(crate) starts: &'s BTreeMap<SubjectKey, UnixTime>,
    pub(crate) hands: &'s HashMap<Fingerprint, String>,
    pub(crate) until: UnixTime,
}

/// Follows every subject of `span` until its end. `see` is given the dossier, as it is gathered now, and what is said
/// at each instant.
pub(crate) fn assess_ahead(
    inventory: &mut Inventory,
    judgment: &Judgment,
    span: &Span<'_>,
    see: &mut dyn FnMut(&SubjectKey, &Dossier<'_>, Vec<Instant>),
) {
    stores::recognise(inventory, &judgment.trust);
    around::recognise_clients(inventory);
    let gathered = Gathered::new(inventory, judgment);
    let wanted: BTreeSet<SubjectKey> = span.starts.keys().cloned().collect();
    gathered.each_dossier(judgment, Some(&wanted), |dossier, names| {
        let Some(key) = key_of(&dossier) else { return };
        let Some(start) = span.starts.get(&key) else { return };
        let by_hand = named(&key, judgment, span);
        let dossier = Dossier { owner: by_hand.as_ref().or(dossier.owner), ..dossier };
        let moving =
            dossier.asset().is_some_and(|v| v.anchor.as_ref().is_some_and(|a| a.dependents_total > 0));
        let mut instants: Vec<Instant> = Vec::new();
        let mut at = (*start).max(judgment.at);
        while at <= span.until && instants.len() < INSTANTS_MAX {
            let (findings, next) = if moving {
                anew(inventory, judgment, span, &key, at)
            } else {
                said(&dossier, judgment, names, by_hand.as_ref(), at)
            };
            instants.push(Instant { at, findings });
            match next {
                Some(next) if next > at => at = next,
                _ => break,
            }
        }
        see(&key, &dossier, instants);
    });
}

fn named(key: &SubjectKey, judgment: &Judgment, span: &Span<'_>) -> Option<Owner> {
    let SubjectKey::Asset(id) = key else { return None };
    let name = span.hands.get(id)?;
    let needs_days = judgment.owners.iter().find(|o| o.name == *name).and_then(|o| o.needs_days);
    Some(Owner { name: name.clone(), matches: Vec::new(), default: false, needs_days })
}

/// What is said at an instant, and when that can change.
fn said(
    dossier: &Dossier<'_>,
    judgment: &Judgment,
    names: &[String],
    by_hand: Option<&Owner>,
    at: UnixTime,
) -> (Vec<Finding>, Option<UnixTime>) {
    let assessment = assess(dossier, at);
    let mut findings = assessment.findings;
    for finding in &mut findings {
        let hand = by_hand.filter(|_| finding.asset == dossier.asset().map(|view| view.asset.id));
        finding.owner = hand.map(|o| o.name.clone()).or_else(|| answers(dossier, judgment, names, finding));
    }
    (findings, assessment.holds_until)
}

/// The same for one subject, gathered for that instant.
fn anew(
    inventory: &Inventory,
    judgment: &Judgment,
    span: &Span<'_>,
    key: &SubjectKey,
    at: UnixTime,
) -> (Vec<Finding>, Option<UnixTime>) {
    let judgment = Judgment { at, ..judgment.clone() };
    let gathered = Gathered::new(inventory, &judgment);
    let mut out = (Vec::new(), None);
    gathered.each_dossier(&judgment, Some(&BTreeSet::from([key.clone()])), |dossier, names| {
        if key_of(&dossier).as_ref() != Some(key) {
            return;
        }
        let by_hand = named(key, &judgment, span);
        let dossier = Dossier { owner: by_hand.as_ref().or(dossier.owner), ..dossier };
        out = said(&dossier, &judgment, names, by_hand.as_ref(), at);
    });
    out
}

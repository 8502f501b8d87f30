//! The search for a path that holds: every alternative, within a budget.
//!
//! Two passes over the same graph of names. The first goes only through certificates that are fine by
//! themselves, and ends at the first depth where a whole path holds; of several it takes the one that lasts
//! longest. Where there is none, the second goes through everything, to find the path that came nearest and
//! say why it does not hold. Signatures are checked once each and counted, steps are counted, depth is capped:
//! a mesh of cross-signs costs what [`Rules`](super::Rules) allow and no more (RUSTSEC-2023-0052,
//! CVE-2018-16875). Key identifiers are hints that order the alternatives, never reasons to skip one.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::checks::{self, Place};
use super::path;
use super::revocation::Lists;
use super::{Fault, Question, Reason, Verdict, called};
use crate::certificate::Certificate;
use crate::fingerprint::{Fingerprint, KeyId};
use crate::time::UnixTime;
use crate::verify::{SignatureVerdict, is_signed_by};

/// How many issuers a path may have, tried one limit after the other: short paths are found before the
/// budget is spent in a mesh.
const LIMITS: &[usize] = &[1, 2, 3, 4, 6, 8, 12];
/// Whole paths that are judged, each pass.
const WHOLE_MAX: u32 = 32;

struct Candidate<'a> {
    certificate: Certificate<'a>,
    id: Fingerprint,
    key: KeyId,
    anchor: bool,
    /// What is wrong with it by itself; found when first asked for.
    faults: Option<Vec<Fault>>,
}

/// What was found above a certificate; the later one counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Above {
    /// No certificate of the issuer's name.
    Nothing,
    /// One whose signature nothing here can check.
    Unsupported,
    /// One whose key did not sign.
    Another,
    /// An issuer.
    Issuer,
}

/// A path that does not hold.
struct Failure<'a> {
    rank: Rank,
    faults: Vec<Fault>,
    path: Vec<Certificate<'a>>,
}

/// What makes a failure the one to tell of: it reaches an anchor, it has few faults, it is long.
type Rank = (bool, Reverse<usize>, Reverse<Reason>, usize);

/// The rank of a path that reaches no anchor, by its certificates.
fn dead_end_rank(length: usize) -> Rank {
    (false, Reverse(0), Reverse(Reason::Budget), length)
}

struct Search<'s, 'q, 'a> {
    question: &'s Question<'q, 'a>,
    pool: Vec<Candidate<'a>>,
    by_subject: HashMap<Vec<u8>, Vec<usize>>,
    signed: HashMap<(Fingerprint, KeyId), SignatureVerdict>,
    lists: Lists<'a>,
    checks: u32,
    steps: u32,
    whole: u32,
    cut_short: bool,
    /// Whether only certificates without faults are walked through.
    pruned: bool,
    limit: usize,
    limit_before: usize,
    best: Option<(UnixTime, Vec<Certificate<'a>>, Vec<String>)>,
    failure: Option<Failure<'a>>,
}

pub(super) fn judge<'a>(question: &Question<'_, 'a>) -> Verdict<'a> {
    let mut search = Search::new(question);
    let leaf = question.leaf;
    let trusted_leaf = question.anchors.iter().any(|anchor| anchor.der() == leaf.der());
    let place = if trusted_leaf { Place::TrustedLeaf } else { Place::Leaf };
    let leaf_faults = checks::faults(&leaf, place, question);
    if trusted_leaf {
        search.finish(vec![leaf], leaf_faults);
        return search.verdict();
    }
    if leaf_faults.is_empty() {
        search.pass(&leaf_faults, true);
    }
    if search.best.is_none() {
        search.pass(&leaf_faults, false);
    }
    search.verdict()
}

impl<'s, 'q, 'a> Search<'s, 'q, 'a> {
    fn new(question: &'s Question<'q, 'a>) -> Self {
        let mut pool: Vec<Candidate<'a>> = Vec::new();
        let mut known: HashMap<Fingerprint, usize> = HashMap::new();
        let mut by_subject: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        let anchors = question.anchors.iter().map(|certificate| (certificate, true));
        let sent = question.sent.iter().map(|certificate| (certificate, false));
        for (certificate, anchor) in anchors.chain(sent) {
            let id = certificate.fingerprint();
            if known.contains_key(&id) {
                continue;
            }
            known.insert(id, pool.len());
            by_subject.entry(certificate.subject().comparison_key()).or_default().push(pool.len());
            pool.push(Candidate {
                certificate: *certificate,
                id,
                key: certificate.key_id(),
                anchor,
                faults: None,
            });
        }
        Self {
            question,
            pool,
            by_subject,
            signed: HashMap::new(),
            lists: Lists::default(),
            checks: 0,
            steps: 0,
            whole: 0,
            cut_short: false,
            pruned: true,
            limit: 0,
            limit_before: 0,
            best: None,
            failure: None,
        }
    }

    fn pass(&mut self, leaf_faults: &[Fault], pruned: bool) {
        (self.pruned, self.steps, self.whole, self.limit_before) = (pruned, 0, 0, 0);
        for &limit in LIMITS {
            self.limit = limit;
            let leaf = self.question.leaf;
            self.walk(&leaf, leaf.fingerprint(), &mut Vec::new(), leaf_faults);
            if self.best.is_some() || self.cut_short {
                break;
            }
            self.limit_before = limit;
        }
    }

    /// Tries every issuer of `child`. Recursion is bounded by the largest of [`LIMITS`].
    fn walk(
        &mut self,
        child: &Certificate<'a>,
        id: Fingerprint,
        path: &mut Vec<usize>,
        leaf_faults: &[Fault],
    ) {
        let mut above = Above::Nothing;
        for candidate in self.issuers_of(child) {
            self.steps += 1;
            if self.steps > self.question.rules.steps_max {
                self.cut_short = true;
                return;
            }
            if self.is_looping(candidate, path) || (self.pruned && !self.faults_of(candidate).is_empty()) {
                continue;
            }
            match self.is_signed(child, id, candidate) {
                Some(SignatureVerdict::Good) => {}
                Some(SignatureVerdict::Bad) => {
                    above = above.max(Above::Another);
                    continue;
                }
                Some(SignatureVerdict::Unsupported) => {
                    above = above.max(Above::Unsupported);
                    continue;
                }
                None => continue,
            }
            above = Above::Issuer;
            path.push(candidate);
            if self.pool[candidate].anchor {
                if path.len() > self.limit_before {
                    self.reach(path, leaf_faults);
                }
            } else if path.len() < self.limit {
                let (next, id) = (self.pool[candidate].certificate, self.pool[candidate].id);
                self.walk(&next, id, path, leaf_faults);
            }
            path.pop();
        }
        if !self.pruned && above != Above::Issuer {
            self.dead_end(child, id, above, path, leaf_faults);
        }
    }

    /// An anchor was reached.
    fn reach(&mut self, path: &[usize], leaf_faults: &[Fault]) {
        self.whole += 1;
        if self.whole > WHOLE_MAX {
            self.cut_short = true;
            return;
        }
        let mut faults = leaf_faults.to_vec();
        for &candidate in path {
            faults.extend(self.faults_of(candidate).iter().cloned());
        }
        let certificates = self.certificates(path);
        self.finish(certificates, faults);
    }

    /// Judges a whole path and keeps it if it is the best so far.
    fn finish(&mut self, path: Vec<Certificate<'a>>, mut faults: Vec<Fault>) {
        let outcome = path::judge(&path, self.question, &mut self.lists);
        faults.extend(outcome.faults);
        if !faults.is_empty() {
            self.fail(true, faults, path);
            return;
        }
        let end = |certificate: &Certificate<'_>| certificate.not_after().unwrap_or(UnixTime::NO_EXPIRY);
        let expires = path.iter().map(end).min().unwrap_or(UnixTime::NO_EXPIRY);
        if self.best.as_ref().is_none_or(|(known, ..)| expires > *known) {
            self.best = Some((expires, path, outcome.notes));
        }
    }

    /// Keeps a path that leads nowhere: worth telling of when nothing better is found.
    fn dead_end(
        &mut self,
        child: &Certificate<'a>,
        id: Fingerprint,
        above: Above,
        path: &[usize],
        leaf_faults: &[Fault],
    ) {
        // Only a longer one tells more; and a mesh has thousands, each of which would be put into words.
        let known = self.failure.as_ref().map(|failure| failure.rank);
        if known.is_some_and(|known| known >= dead_end_rank(path.len() + 1)) {
            return;
        }
        let mut faults = leaf_faults.to_vec();
        for &candidate in path {
            faults.extend(self.faults_of(candidate).iter().cloned());
        }
        let name = called(child);
        let issuer = child.issuer_name().to_rfc4514();
        let self_signed = child.is_self_issued() && self.is_own_signature(child, id);
        faults.push(if self_signed {
            Fault::new(
                Reason::UntrustedRoot,
                format!("{name} is self-signed and not among the trusted roots"),
            )
        } else {
            let (reason, detail) = match above {
                Above::Another => (
                    Reason::BadSignature,
                    format!("{name} is not signed by the key of the `{issuer}` at hand"),
                ),
                Above::Unsupported => {
                    let algorithm = child.signature_algorithm().signature_name();
                    let detail = format!("the signature of {name} ({algorithm}) cannot be checked here");
                    (Reason::UnsupportedAlgorithm, detail)
                }
                Above::Nothing | Above::Issuer => (
                    Reason::UnknownIssuer,
                    format!("the issuer of {name}, `{issuer}`, is neither sent nor trusted"),
                ),
            };
            Fault::new(reason, detail)
        });
        let certificates = self.certificates(path);
        self.fail(false, faults, certificates);
    }

    fn fail(&mut self, anchored: bool, mut faults: Vec<Fault>, path: Vec<Certificate<'a>>) {
        faults.sort_by_key(|fault| fault.reason);
        faults.dedup();
        let Some(gravest) = faults.first().map(|fault| fault.reason) else { return };
        // Among dead ends the longest tells most; among whole paths, the one with the fewest faults.
        let rank = if anchored {
            (true, Reverse(faults.len()), Reverse(gravest), 0)
        } else {
            dead_end_rank(path.len())
        };
        if self.failure.as_ref().is_none_or(|known| rank > known.rank) {
            self.failure = Some(Failure { rank, faults, path });
        }
    }

    fn certificates(&self, path: &[usize]) -> Vec<Certificate<'a>> {
        let issuers = path.iter().map(|&candidate| self.pool[candidate].certificate);
        std::iter::once(self.question.leaf).chain(issuers).collect()
    }

    /// Certificates with the name that `child` gives as its issuer: anchors first, then those whose key
    /// identifier fits, then those that last longest.
    fn issuers_of(&self, child: &Certificate<'a>) -> Vec<usize> {
        let Some(named) = self.by_subject.get(&child.issuer_name().comparison_key()) else {
            return Vec::new();
        };
        let wanted = child.authority_key_id();
        let mut issuers = named.clone();
        issuers.sort_by_cached_key(|&candidate| {
            let Candidate { certificate, anchor, .. } = &self.pool[candidate];
            let mismatch = match (wanted, certificate.subject_key_id()) {
                (Some(wanted), Some(has)) if wanted == has => 0,
                (Some(_), Some(_)) => 2,
                _ => 1,
            };
            (!anchor, mismatch, Reverse(certificate.not_after()))
        });
        issuers
    }

    /// Whether this name and key are on the path already (RFC 4158 section 5.2).
    fn is_looping(&self, candidate: usize, path: &[usize]) -> bool {
        let new = &self.pool[candidate];
        let same = |key: KeyId, other: &Certificate<'_>| {
            key == new.key && other.subject().matches(&new.certificate.subject())
        };
        let leaf = &self.question.leaf;
        path.iter().any(|&on| same(self.pool[on].key, &self.pool[on].certificate))
            || (new.key == leaf.key_id() && same(new.key, leaf))
    }

    fn faults_of(&mut self, candidate: usize) -> &[Fault] {
        let question = self.question;
        let entry = &mut self.pool[candidate];
        let place = if entry.anchor { Place::Anchor } else { Place::Intermediate };
        entry.faults.get_or_insert_with(|| checks::faults(&entry.certificate, place, question))
    }

    /// Whether the candidate's key signed `child`; `None` when the budget is spent.
    fn is_signed(
        &mut self,
        child: &Certificate<'a>,
        id: Fingerprint,
        candidate: usize,
    ) -> Option<SignatureVerdict> {
        let issuer = &self.pool[candidate];
        let (spki, key) = (issuer.certificate.spki(), issuer.key);
        self.verify(child, id, spki, key)
    }

    fn is_own_signature(&mut self, child: &Certificate<'a>, id: Fingerprint) -> bool {
        self.verify(child, id, child.spki(), child.key_id()) == Some(SignatureVerdict::Good)
    }

    fn verify(
        &mut self,
        child: &Certificate<'a>,
        id: Fingerprint,
        spki: &[u8],
        key: KeyId,
    ) -> Option<SignatureVerdict> {
        if let Some(&known) = self.signed.get(&(id, key)) {
            return Some(known);
        }
        if self.checks >= self.question.rules.checks_max {
            self.cut_short = true;
            return None;
        }
        self.checks += 1;
        let verdict = is_signed_by(child, spki);
        self.signed.insert((id, key), verdict);
        Some(verdict)
    }

    fn verdict(self) -> Verdict<'a> {
        if let Some((expires, path, notes)) = self.best {
            return Verdict::Trusted { path, expires, notes };
        }
        let cut_short = "the search for a better path ran out of its budget";
        let Some(Failure { rank, faults, path }) = self.failure else {
            let reason = if self.cut_short { Reason::Budget } else { Reason::UnknownIssuer };
            let detail = if self.cut_short { cut_short } else { "no path to a trusted root was found" };
            return Verdict::Untrusted { reason, detail: detail.to_owned(), path: vec![self.question.leaf] };
        };
        let mut details: Vec<&str> = faults.iter().map(|fault| fault.detail.as_str()).collect();
        details.dedup();
        let mut reason = faults.first().map_or(Reason::UnknownIssuer, |fault| fault.reason);
        if self.cut_short && !rank.0 {
            reason = Reason::Budget;
            details.insert(0, cut_short);
        }
        Verdict::Untrusted { reason, detail: details.join("; "), path }
    }
}

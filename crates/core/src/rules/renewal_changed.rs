//! `renewal-changed`: the next certificate is not the same as the last but for its dates.
//!
//! Said before it is installed, where it can still be held back; once it is served, or the earlier one has ended, it is
//! a line for whoever looks for what has changed. What is only new in it breaks nothing and is info. The differences
//! themselves are `change.rs`'s.

use crate::UnixTime;
use crate::dossier::{Dossier, RenewedPair};
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct RenewalChanged;

impl Rule for RenewalChanged {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::RenewalChanged,
            doc: "of two successive certificates, the later has other purposes, names, key, issuer, signature or chain",
            citation: "Mac App Store, 11 November 2015: renewed with a signature that old clients could not read",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        // Past the end of the earlier one nobody can go back to it.
        let open = |r: &&RenewedPair<'_>| r.older.not_after.is_none_or(|end| end >= now);
        let open: Vec<_> = view.lineage.renewals.iter().filter(open).collect();
        let holds_until = open.iter().filter_map(|r| r.older.not_after).map(|end| end.plus(1)).min();
        if open.is_empty() {
            return Verdict::NotApplicable;
        }
        Verdict::Found { findings: open.into_iter().map(finding).collect(), holds_until }
    }
}

fn finding(renewal: &RenewedPair<'_>) -> Finding {
    let breaks = renewal.changes.iter().any(|change| change.breaks);
    let severity = if breaks && !renewal.in_service { Severity::Warning } else { Severity::Info };
    let texts: Vec<&str> = renewal.changes.iter().map(|change| change.text.as_str()).collect();
    let changed = renewal.changes.iter().map(|change| format!("{}: {}", change.what, change.text));
    let mut whats: Vec<&str> = renewal.changes.iter().map(|change| change.what).collect();
    whats.dedup();
    Finding::new(Kind::RenewalChanged, severity, Some(renewal.newer.id), "")
        .at(renewal.places.iter().copied())
        .deadline(renewal.older.not_after)
        .summary(format!(
            "the renewed certificate for {} is not like the one before it ({}): {}",
            renewal.title,
            whats.join(", "),
            texts.join("; ")
        ))
        .hint(if renewal.in_service {
            "it is in use: see that every client still gets what it needs; the request or profile of the renewal says why"
        } else {
            "do not install it before every client is known to accept it; if this was not meant, correct the request and \
             have it issued again"
        })
        .evidence("older", renewal.older.id)
        .evidence("newer", renewal.newer.id)
        .evidence("in_service", renewal.in_service)
        .evidence("changed", changed.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::Scene;

    #[test]
    fn before_and_after_it_is_installed() {
        let check = |scene: Scene, severity: Option<Severity>| {
            scene.check(&super::RenewalChanged, severity.map(|s| (Kind::RenewalChanged, s)));
        };
        check(Scene::leaf("a.test").in_file().changed(true, false), Some(Severity::Warning));
        check(Scene::leaf("a.test").in_file().changed(false, false), Some(Severity::Info));
        check(Scene::leaf("a.test").served().changed(true, true), Some(Severity::Info));
        check(Scene::leaf("a.test").lives(90, -1).in_file().changed(true, false), None);
        check(Scene::leaf("a.test").in_file(), None);
    }
}

//! `issuer-outlived`: a CA has less life left than the certificates that it issues.
//!
//! Two ways to see it: a root of one's own ends before what was issued below it, or a CA's remaining life is shorter
//! than the life of its leaves, so that the next one will be cut short or outlive it. Judged at each leaf, told once
//! for the CA, with the places of all its leaves. An intermediate that ends before a leaf that it has signed is
//! `chain-expires-first`. Public CAs see to it themselves.

use notafter_pki::time::DAY;

use crate::UnixTime;
use crate::deadline::{Ladder, Step};
use crate::dossier::{Dossier, IssuerView};
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct IssuerOutlived;

impl Rule for IssuerOutlived {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::IssuerOutlived,
            doc: "a CA of one's own has less life left than the certificates that it issues",
            citation: "RFC 5280 section 6.1.3 (a)(2), for the shell model that every TLS client follows",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let (Some(begin), Some(end)) = (view.asset.not_before, view.asset.not_after) else {
            return Verdict::NotApplicable;
        };
        if now > end || end >= UnixTime::NO_EXPIRY {
            return Verdict::NotApplicable;
        }
        let lifetime = end.0.saturating_sub(begin.0);
        let mut findings: Vec<Finding> = Vec::new();
        let mut holds_until: Option<UnixTime> = None;
        let mut applicable = false;
        for chain in view.chains.iter().filter(|c| c.is_served() && !c.path.public) {
            for issuer in &chain.path.issuers {
                applicable = true;
                let (severity, next) = judge(issuer, end, lifetime, now);
                holds_until = match (holds_until, next) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
                let Some(severity) = severity else { continue };
                let endpoints = chain.locations().filter(|l| l.is_endpoint());
                match findings.iter_mut().find(|f| f.asset == Some(issuer.id)) {
                    Some(known) => known.locations.extend(endpoints.cloned()),
                    None => findings.push(tell(issuer, severity, end, now).at(endpoints)),
                }
            }
        }
        match (applicable, findings.is_empty()) {
            (false, _) => Verdict::NotApplicable,
            (true, true) => Verdict::Pass { holds_until },
            (true, false) => Verdict::Found { findings, holds_until },
        }
    }
}

/// What a leaf of this end and lifetime says about an issuer, and when that changes.
fn judge(
    issuer: &IssuerView,
    leaf_end: UnixTime,
    lifetime: i64,
    now: UnixTime,
) -> (Option<Severity>, Option<UnixTime>) {
    let outlived = leaf_end > issuer.not_after;
    if outlived && issuer.travels {
        return (None, None);
    }
    // From here on a new leaf of the same lifetime would outlive the issuer.
    let short = issuer.not_after.plus(-lifetime);
    if !outlived && now <= short {
        return (None, Some(short.plus(1)));
    }
    let life = issuer.not_after.0.saturating_sub(issuer.not_before.0);
    let ca = Ladder::for_ca(life);
    let warning = if outlived { ca.warning.max((90 * DAY).min(life / 3)) } else { ca.warning };
    let (step, next) = Ladder { warning, ..ca }.step(issuer.not_after, now);
    let severity = match step {
        Step::Quiet => Severity::Info,
        _ if now > issuer.not_after => Severity::Critical,
        _ => Severity::Warning,
    };
    (Some(severity), next)
}

fn tell(issuer: &IssuerView, severity: Severity, leaf_end: UnixTime, now: UnixTime) -> Finding {
    let verb = if now > issuer.not_after { "expired" } else { "expires" };
    let outlived = leaf_end > issuer.not_after;
    let what = if outlived {
        "before certificates that stand on it"
    } else {
        "sooner than a certificate that it issues now would"
    };
    Finding::new(Kind::IssuerOutlived, severity, Some(issuer.id), "")
        .deadline(Some(issuer.not_after))
        .summary(format!("the CA {} {verb} {WHEN}, {what}", issuer.title))
        .hint("renew the CA first: make its successor, bring that to every client and into every chain, then reissue the certificates; renewing these alone does not help")
        .evidence("issuer_ends", issuer.not_after.to_string())
        .evidence("outlived", outlived)
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::Scene;

    fn check(scene: Scene, severity: Option<Severity>) {
        scene.check(&super::IssuerOutlived, severity.map(|s| (Kind::IssuerOutlived, s)));
    }

    #[test]
    fn a_root_that_ends_before_what_stands_on_it() {
        check(
            Scene::leaf("a.test").lives(365, 273).served().issued_by(365, 90, false),
            Some(Severity::Warning),
        );
        check(
            Scene::leaf("a.test").lives(365, 273).served().issued_by(365, 6, false),
            Some(Severity::Warning),
        );
        check(
            Scene::leaf("a.test").lives(365, 273).served().issued_by(365, -1, false),
            Some(Severity::Critical),
        );
        check(
            Scene::leaf("a.test").lives(1000, 900).served().issued_by(3650, 800, false),
            Some(Severity::Info),
        );
    }

    #[test]
    fn the_next_leaf_will_be_cut_short() {
        check(Scene::leaf("a.test").lives(90, 30).served().issued_by(365, 80, true), Some(Severity::Warning));
        check(
            Scene::leaf("a.test").lives(398, 100).served().issued_by(3650, 390, true),
            Some(Severity::Info),
        );
    }

    #[test]
    fn healthy() {
        check(Scene::leaf("a.test").lives(365, 273).served().issued_by(3650, 3000, false), None);
        // A mesh: leaves of a day below an issuer of two.
        check(Scene::leaf("a.test").lives(1, 1).served().issued_by(2, 2, true), None);
        // Told of as `chain-expires-first`.
        check(Scene::leaf("a.test").lives(365, 273).served().issued_by(365, 9, true), None);
        check(Scene::leaf("a.test").lives(90, 30).served().public().issued_by(1000, 50, true), None);
        check(Scene::leaf("a.test").lives(365, 273).in_file().issued_by(365, 90, false), None);
    }
}

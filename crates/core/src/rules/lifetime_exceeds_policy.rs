//! `lifetime-exceeds-policy`: valid for longer than the rules of the day on which it was issued.
//!
//! The public rules are dated and bind only certificates under a public root; browsers refuse what
//! breaks them. A private CA answers to the organisation's own `max_days`, if there is one.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};
use crate::lifetimes::LIMITS;
use notafter_pki::oid;
use notafter_pki::time::DAY;

/// The rule.
pub struct LifetimeExceedsPolicy;

impl Rule for LifetimeExceedsPolicy {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::LifetimeExceedsPolicy,
            doc: "it lives longer than the rules of its issuing day allow",
            citation: "CA/Browser Forum Baseline Requirements 6.3.2, ballots 193 and SC-081v3",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, _now: UnixTime) -> Verdict {
        let Some((view, certificate)) = dossier.certificate() else { return Verdict::NotApplicable };
        let (Some(begin), Some(end)) = (view.asset.not_before, view.asset.not_after) else {
            return Verdict::NotApplicable;
        };
        if certificate.is_ca() || view.only_trust_anchor() {
            return Verdict::NotApplicable;
        }
        // Signers of code and of mail have rules of their own.
        let serves = certificate.extended_key_usage().is_none_or(|purposes| {
            purposes.has(oid::SERVER_AUTH) || purposes.has(oid::ANY_EXTENDED_KEY_USAGE)
        });
        let public = serves && view.chains.iter().any(|c| c.path.public);
        let dated = LIMITS.iter().find(|(from, ..)| begin >= *from).filter(|_| public);
        let own = dossier.policy.max_days.map(|d| (i64::from(d), "the organisation's own policy"));
        let limit = dated.map(|(_, days, why)| (*days, *why)).into_iter().chain(own).min();
        let Some((days, why)) = limit else { return Verdict::NotApplicable };
        // The validity period includes both ends (RFC 5280 section 4.1.2.5).
        let lifetime = end.0.saturating_sub(begin.0).saturating_add(1);
        if lifetime <= days * DAY {
            return Verdict::Pass { holds_until: None };
        }
        let finding = Finding::new(Kind::LifetimeExceedsPolicy, Severity::Warning, Some(view.asset.id), why)
            .at(view.locations())
            .summary(format!(
                "{} is valid for {} days; {days} are allowed ({why})",
                view.title(),
                (lifetime + DAY - 1) / DAY
            ))
            .hint("have it reissued with a permitted lifetime: browsers may refuse it before it expires")
            .evidence("lifetime_days", lifetime / DAY)
            .evidence("limit_days", days);
        Verdict::found(finding, None)
    }
}

#[cfg(test)]
mod tests {
    use super::LIMITS;
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::Scene;

    #[test]
    fn the_dates_are_what_their_text_says() {
        let days: Vec<_> = LIMITS.iter().map(|(from, ..)| from.to_string()).collect();
        assert_eq!(
            days,
            [
                "2029-03-15T00:00:00Z",
                "2027-03-15T00:00:00Z",
                "2026-03-15T00:00:00Z",
                "2020-09-01T00:00:00Z",
                "2018-03-01T00:00:00Z"
            ]
        );
    }

    #[test]
    fn both_sides_of_the_limit() {
        // The scenes' "now" is 21 November 2026: 200 days is the limit.
        let found = Some((Kind::LifetimeExceedsPolicy, Severity::Warning));
        Scene::leaf("a.test").lives(201, 200).served().public().check(&super::LifetimeExceedsPolicy, found);
        Scene::leaf("a.test").lives(199, 198).served().public().check(&super::LifetimeExceedsPolicy, None);
        Scene::leaf("a.test").lives(3650, 3000).served().check(&super::LifetimeExceedsPolicy, None);
    }
}

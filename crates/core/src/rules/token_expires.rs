//! `token-expires`: a credential that is only a string ends like a certificate, without a port that shows it.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::{Kind, Severity};
use crate::inventory::AssetKind;
use crate::joints::{Rule, RuleInfo, Verdict};
use notafter_pki::time::DAY;

use crate::ending::{self, Ending};

/// The rule.
pub struct TokenExpires;

impl Rule for TokenExpires {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::TokenExpires,
            doc: "a token, an API key or a client secret ends",
            citation: "RFC 7519 section 4.1.4",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some(view) = ending::of_kind(dossier, &[AssetKind::Token, AssetKind::Secret]) else {
            return Verdict::NotApplicable;
        };
        let ending = Ending {
            kind: Kind::TokenExpires,
            ladder: |life| ending::shares(life, 30, 14, 3),
            ends: "ends",
            ended: "ended",
            hint: "make a new one, put it where this one is used, see that it is used, and only then revoke this one",
        };
        let fact = |key| view.statement.as_ref().and_then(|s| s.fact_of(key));
        // It works no more already, and somebody saw to that.
        if matches!(fact("revoked"), Some("true" | "yes")) {
            return Verdict::Pass { holds_until: None };
        }
        let verdict = ending::judge(dossier, view, &ending, now);
        // What lives for a day at most is made by a program; what lies about after its end is of a run that is over.
        let brief = (1..=DAY).contains(&view.lifetime()) && view.asset.not_after.is_some_and(|end| end < now);
        if brief { ending::at_most(verdict, Severity::Info) } else { verdict }
    }
}

#[cfg(test)]
mod tests {
    use notafter_pki::statement::Statement;

    use crate::ending::scene::{check, check_beside};
    use crate::finding::{Kind, Severity};
    use crate::inventory::AssetKind;

    #[test]
    fn in_time_and_healthy() {
        let at = |life, expected: Option<Severity>| {
            check(
                &super::TokenExpires,
                AssetKind::Token,
                life,
                "/srv/app/thing",
                expected.map(|s| (Kind::TokenExpires, s)),
            );
        };
        at((365, 31), None);
        at((365, 29), Some(Severity::Warning));
        at((365, 13), Some(Severity::Critical));
        at((365, -1), Some(Severity::Critical));
        // A program's, for one run.
        at((1, -1), Some(Severity::Info));
    }

    #[test]
    fn what_was_revoked_is_over() {
        let revoked = |s: Statement| s.fact("revoked", "yes");
        let kind = AssetKind::Token;
        check_beside(&super::TokenExpires, kind, (365, 1), "/srv/app/thing", revoked, false, None);
    }

    #[test]
    fn a_freeze_moves_it() {
        use crate::calendar::{Calendar, Closed};
        use crate::rules::scene::days;
        let closed = Closed { from: days(10), until: days(40), why: "freeze".into(), owner: None };
        let calendar = Calendar { closed: vec![closed], days_off: [false; 7] };
        let at = |life, expected: Option<Severity>| {
            let found =
                crate::ending::scene::by_calendar(&super::TokenExpires, AssetKind::Token, life, &calendar);
            assert_eq!(found.as_ref().map(|(severity, _)| *severity), expected, "{life:?}");
            if let Some((_, summary)) = found {
                assert!(summary.contains("nobody may change anything (freeze)"), "{summary}");
            }
        };
        // Ends in 39 days, in the freeze: ten are left.
        at((365, 39), Some(Severity::Critical));
        // After it, and before the ladder.
        at((365, 41), None);
        // A machine makes it anew every week.
        at((10, 9), None);
    }

    #[test]
    fn what_a_package_ships_is_the_packages() {
        check(&super::TokenExpires, AssetKind::Token, (90, 1), "/usr/share/doc/thing", None);
    }
}

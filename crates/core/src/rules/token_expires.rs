//! `token-expires`: a credential that is only a string ends like a certificate, without a port that shows it.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::Kind;
use crate::inventory::AssetKind;
use crate::joints::{Rule, RuleInfo, Verdict};

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
        ending::judge(dossier, view, &ending, now)
    }
}

#[cfg(test)]
mod tests {
    use crate::ending::scene::check;
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

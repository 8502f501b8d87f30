//! `crl-expires`: a list that is not replaced in time stops every client that checks it.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::Kind;
use crate::inventory::AssetKind;
use crate::joints::{Rule, RuleInfo, Verdict};

use crate::ending::{self, Ending};

/// The rule.
pub struct CrlExpires;

impl Rule for CrlExpires {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::CrlExpires,
            doc: "a revocation list passes its nextUpdate: clients that check it then refuse everything",
            citation: "RFC 5280 section 5.1.2.5",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some(view) = ending::of_kind(dossier, &[AssetKind::Crl]) else { return Verdict::NotApplicable };
        // Who keeps every list that was made keeps the last one, too.
        if view.around.overtaken_by.is_some() {
            return Verdict::Pass { holds_until: None };
        }
        let ending = Ending {
            kind: Kind::CrlExpires,
            ladder: ending::published,
            ends: "passes its next update",
            ended: "passed its next update",
            hint: "publish a new list now and see it at every place listed; find out why the job that makes it did not",
        };
        ending::judge(dossier, view, &ending, now)
    }
}

#[cfg(test)]
mod tests {
    use crate::ending::scene::{check, check_beside};
    use crate::finding::{Kind, Severity};
    use crate::inventory::AssetKind;

    #[test]
    fn in_time_and_healthy() {
        let at = |life, expected: Option<Severity>| {
            check(
                &super::CrlExpires,
                AssetKind::Crl,
                life,
                "/srv/app/thing",
                expected.map(|s| (Kind::CrlExpires, s)),
            );
        };
        at((5, 4), None);
        // Replaced daily, three days long: two are always left.
        at((3, 2), None);
        at((8, 3), Some(Severity::Warning));
        at((8, 1), Some(Severity::Critical));
        at((8, -1), Some(Severity::Critical));
        at((8, -60), Some(Severity::Info));
    }

    #[test]
    fn what_a_later_one_lies_beside() {
        for life in [(7, 1), (7, -1)] {
            check_beside(&super::CrlExpires, AssetKind::Crl, life, "/srv/app/thing", |s| s, true, None);
        }
    }

    #[test]
    fn what_a_package_ships_is_the_packages() {
        check(&super::CrlExpires, AssetKind::Crl, (90, 1), "/usr/share/doc/thing", None);
    }
}

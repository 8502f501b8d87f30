//! `staple-expires`: a stapled answer that is served past its time is worse than none.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::Kind;
use crate::inventory::AssetKind;
use crate::joints::{Rule, RuleInfo, Verdict};

use crate::ending::{self, Ending};

/// The rule.
pub struct StapleExpires;

impl Rule for StapleExpires {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::StapleExpires,
            doc: "an OCSP response that is stapled or kept passes its nextUpdate",
            citation: "RFC 6960 section 4.2.2.1; RFC 7633 for clients that insist",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some(view) = ending::of_kind(dossier, &[AssetKind::OcspResponse]) else {
            return Verdict::NotApplicable;
        };
        let ending = Ending {
            kind: Kind::StapleExpires,
            ladder: ending::published,
            ends: "passes its next update",
            ended: "passed its next update",
            hint: "fetch a new response from the responder and have the server load it; if the certificate does not ask for stapling, switching it off is safe",
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
                &super::StapleExpires,
                AssetKind::OcspResponse,
                life,
                "/srv/app/thing",
                expected.map(|s| (Kind::StapleExpires, s)),
            );
        };
        at((7, 5), None);
        at((7, 3), Some(Severity::Warning));
        at((7, 1), Some(Severity::Critical));
        at((7, -1), Some(Severity::Critical));
    }

    #[test]
    fn what_a_package_ships_is_the_packages() {
        check(&super::StapleExpires, AssetKind::OcspResponse, (90, 1), "/usr/share/doc/thing", None);
    }
}

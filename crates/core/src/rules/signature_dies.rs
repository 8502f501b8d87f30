//! `signature-dies`: a signature without a timestamp dies with the certificate that made it, in every copy that was shipped.

use crate::UnixTime;
use crate::deadline::Ladder;
use crate::dossier::Dossier;
use crate::finding::Kind;
use crate::inventory::AssetKind;
use crate::joints::{Rule, RuleInfo, Verdict};
use notafter_pki::time::DAY;

use crate::ending::{self, Ending};

/// The rule.
pub struct SignatureDies;

impl Rule for SignatureDies {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::SignatureDies,
            doc: "signed code or a signed document stops being accepted: its signature has no timestamp, or its signer may not outlive one",
            citation: "RFC 3161; Authenticode lifetime signing (1.3.6.1.4.1.311.10.3.13)",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some(view) = ending::of_kind(dossier, &[AssetKind::CodeSignature]) else {
            return Verdict::NotApplicable;
        };
        let ending = Ending {
            kind: Kind::SignatureDies,
            // However late it was made: what was shipped has to be replaced wherever it went.
            ladder: |_| Ladder { warning: 90 * DAY, critical: 45 * DAY, page: 14 * DAY },
            ends: "dies",
            ended: "died",
            hint: "sign again with a timestamp (RFC 3161) and ship that; if the updater is signed the same way, ship it first",
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
                &super::SignatureDies,
                AssetKind::CodeSignature,
                life,
                "/srv/app/thing",
                expected.map(|s| (Kind::SignatureDies, s)),
            );
        };
        at((365, 91), None);
        at((365, 89), Some(Severity::Warning));
        at((365, 44), Some(Severity::Critical));
        at((365, -1), Some(Severity::Critical));
    }

    #[test]
    fn what_a_package_ships_is_the_packages() {
        check(&super::SignatureDies, AssetKind::CodeSignature, (90, 1), "/usr/share/doc/thing", None);
    }
}

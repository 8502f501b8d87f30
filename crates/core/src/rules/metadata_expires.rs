//! `metadata-expires`: metadata carry a date of their own, after which nobody believes them.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::Kind;
use crate::inventory::AssetKind;
use crate::joints::{Rule, RuleInfo, Verdict};

use crate::ending::{self, Ending};

/// The rule.
pub struct MetadataExpires;

impl Rule for MetadataExpires {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::MetadataExpires,
            doc: "signed metadata (SAML, a repository, TUF) pass the date until which they may be believed",
            citation: "SAML metadata section 2.3; Debian wiki RepositoryFormat; TUF specification section 5",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some(view) = ending::of_kind(dossier, &[AssetKind::SignedMetadata]) else {
            return Verdict::NotApplicable;
        };
        let ending = Ending {
            kind: Kind::MetadataExpires,
            ladder: ending::published,
            ends: "is not to be believed any more",
            ended: "has not been to be believed since",
            hint: "publish them anew, or fetch the copy anew; find out why the job that does it stopped",
        };
        ending::judge(view, &ending, now)
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
                &super::MetadataExpires,
                AssetKind::SignedMetadata,
                life,
                "/srv/app/thing",
                expected.map(|s| (Kind::MetadataExpires, s)),
            );
        };
        at((7, 5), None);
        at((7, 3), Some(Severity::Warning));
        at((7, 1), Some(Severity::Critical));
        at((7, -1), Some(Severity::Critical));
    }

    #[test]
    fn what_a_package_ships_is_the_packages() {
        check(&super::MetadataExpires, AssetKind::SignedMetadata, (90, 1), "/usr/share/doc/thing", None);
    }
}

//! `metadata-expires`: metadata carry a date of their own, after which nobody believes them.

use crate::UnixTime;
use crate::dossier::{AssetView, Dossier};
use crate::finding::Kind;
use crate::inventory::{AssetKind, Placement};
use crate::joints::{Rule, RuleInfo, Verdict};
use notafter_pki::time::DAY;

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
        // Of a federation's members only the federation itself is judged: it publishes them all with one date.
        let others = |p: &&Placement| p.facts.part.as_ref().is_some_and(|part| part.crowd);
        if !view.places.is_empty() && view.places.iter().all(others) {
            return Verdict::NotApplicable;
        }
        ending::judge_living(dossier, view, &ending, usual(view), now)
    }
}

/// How long such metadata live that do not say when they were made: TUF by its role, the rest from when the file was
/// written, at most a year.
fn usual(view: &AssetView<'_>) -> i64 {
    let fact = |key| view.statement.as_ref().and_then(|s| s.fact_of(key));
    let by_role = match (fact("format"), fact("role")) {
        (Some("tuf"), Some("timestamp")) => 7 * DAY,
        (Some("tuf"), Some("snapshot")) => 14 * DAY,
        (Some("tuf"), Some("targets")) => 90 * DAY,
        _ => 365 * DAY,
    };
    let written = view.places.iter().filter_map(|p| Some(p.facts.file.as_ref()?.mtime)).max();
    let since = written.zip(view.asset.not_after).map(|(written, end)| end.0.saturating_sub(written.0));
    since.filter(|since| *since >= 3600).unwrap_or(by_role).min(by_role)
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

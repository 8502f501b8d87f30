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
        // TUF keeps every version of its roles.
        if view.around.overtaken_by.is_some() {
            return Verdict::Pass { holds_until: None };
        }
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
/// written, or from when they were first fetched, at most a year.
fn usual(view: &AssetView<'_>) -> i64 {
    let fact = |key| view.statement.as_ref().and_then(|s| s.fact_of(key));
    let by_role = match (fact("format"), fact("role")) {
        (Some("tuf"), Some("timestamp")) => 7 * DAY,
        (Some("tuf"), Some("snapshot")) => 14 * DAY,
        (Some("tuf"), Some("targets")) => 90 * DAY,
        _ => 365 * DAY,
    };
    let Some(end) = view.asset.not_after else { return by_role };
    let since = |begin: UnixTime| end.0.saturating_sub(begin.0);
    let written = view.places.iter().filter_map(|p| Some(p.facts.file.as_ref()?.mtime)).max();
    if let Some(written) = written.map(since) {
        return if written >= 3600 { written.min(by_role) } else { by_role };
    }
    // Who fetches them near their end for the first time knows no better than that a day is little.
    let fetched = view.places.iter().filter(|p| !p.location.is_file()).map(|p| p.first_seen).max();
    fetched.map_or(by_role, |fetched| since(fetched).max(DAY).min(by_role))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::Fingerprint;
    use crate::dossier::{AssetView, Subject};
    use crate::ending::scene::{check, check_beside};
    use crate::finding::{Kind, Severity};
    use crate::inventory::{Asset, AssetIx, AssetKind, BytesAt, Placement, Role};
    use crate::location::Location;
    use crate::rules::scene::{NOW, days, judge};

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

    /// Metadata at an address, first fetched so many days ago, with so many left and no word of when they were made.
    fn fetched((ago, left): (i64, i64), expected: Option<Severity>) {
        let asset = Asset {
            id: Fingerprint([5; 32]),
            kind: AssetKind::SignedMetadata,
            bytes: BytesAt { offset: 0, length: 0 },
            not_before: None,
            not_after: Some(days(left)),
            key: None,
        };
        let place = Placement {
            asset: AssetIx(0),
            location: Location::parse("https://federation.test/metadata").expect("a place"),
            role: Role::Signer,
            chain: None,
            first_seen: days(-ago),
            last_seen: NOW,
            unseen_since: None,
            facts: Arc::default(),
        };
        let view = AssetView::bare(&asset, vec![&place]);
        let expected = expected.map(|s| (Kind::MetadataExpires, s));
        judge(Subject::Asset(view), &super::MetadataExpires, None, expected);
    }

    #[test]
    fn what_is_fetched_lives_since_it_was_fetched() {
        fetched((0, 14), None);
        fetched((4, 10), None);
        fetched((8, 6), Some(Severity::Warning));
        fetched((11, 3), Some(Severity::Critical));
        fetched((15, -1), Some(Severity::Critical));
        // Seen for the first time an hour before its end, or after it: too late all the same.
        fetched((0, 0), Some(Severity::Critical));
    }

    #[test]
    fn what_a_later_one_lies_beside() {
        for life in [(7, 1), (7, -1)] {
            check_beside(
                &super::MetadataExpires,
                AssetKind::SignedMetadata,
                life,
                "/srv/app/thing",
                |s| s,
                true,
                None,
            );
        }
    }

    #[test]
    fn what_a_package_ships_is_the_packages() {
        check(&super::MetadataExpires, AssetKind::SignedMetadata, (90, 1), "/usr/share/doc/thing", None);
    }
}

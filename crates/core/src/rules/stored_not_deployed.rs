//! `stored-not-deployed`: the new certificate is there, in a store, a folder, a release, and no server shows it.
//!
//! Renewal reports success, and storing the new one ends the warnings about the old one. Where the file is known to be
//! what the endpoint serves, it is `renewed-not-loaded`, with another remedy. That the old one ends is said besides, by
//! `expires-soon`: nothing that lies in a store silences an endpoint.

use std::collections::BTreeSet;

use crate::UnixTime;
use crate::deadline::{Ladder, Step};
use crate::dossier::{Dossier, Successor};
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct StoredNotDeployed;

impl Rule for StoredNotDeployed {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::StoredNotDeployed,
            doc: "a file holds a later certificate for the same names than the one an endpoint serves, and nothing ties \
                  them together",
            citation: "Azure Storage, 22 February 2013: renewed in the secret store, never shipped",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let Some(end) = view.asset.not_after else { return Verdict::NotApplicable };
        // An endpoint whose own file is newer has another trouble, and the other copies of that file are no news.
        let linked: BTreeSet<_> =
            view.successors.iter().filter(|s| s.link.is_some()).map(|s| s.endpoint).collect();
        let stored = |s: &&Successor<'_>| {
            !linked.contains(s.endpoint) && s.asset.not_after.is_some_and(|until| until > now)
        };
        let stored: Vec<_> = view.successors.iter().filter(stored).collect();
        let Some(first_end) = stored.iter().filter_map(|s| s.asset.not_after).min() else {
            return Verdict::NotApplicable;
        };
        let lifetime = view.lifetime();
        let (step, next) = Ladder::for_leaf(lifetime).step(end, now);
        let holds_until = next.into_iter().chain([first_end]).min();
        // Served elsewhere already: a roll-out, or a farm with a certificate for each node, until this one is due.
        let waiting: Vec<_> = stored.into_iter().filter(|s| !s.served || step > Step::Quiet).collect();
        let Some(best) = waiting.iter().max_by_key(|s| (s.same_issuer, s.asset.not_after)) else {
            return Verdict::Pass { holds_until };
        };
        // With time to spare, what is stored waits for its day; from the window of a renewal on, it was forgotten.
        let due = step > Step::Quiet && best.same_issuer;
        let severity = if due { Severity::Warning } else { Severity::Info };
        let endpoints: BTreeSet<_> = waiting.iter().map(|s| s.endpoint).collect();
        let files: BTreeSet<_> =
            waiting.iter().filter(|s| s.asset.id == best.asset.id).map(|s| s.file).collect();
        let verb = if end < now { "expired" } else { "expires" };
        let finding = Finding::new(Kind::StoredNotDeployed, severity, Some(view.asset.id), "")
            .at(endpoints.iter().copied().chain(files.iter().copied()))
            .deadline(Some(end))
            .summary(format!(
                "a newer certificate for {} is stored and not in use: {} still serve{} the old one, which {verb} {WHEN}",
                view.title(),
                places(endpoints.len()),
                if endpoints.len() == 1 { "s" } else { "" },
            ))
            .hint(
                "install the stored one at every endpoint listed, reload, and look again; if an endpoint reads this very \
                 file, a reload is enough",
            )
            .evidence("newer", best.asset.id)
            .evidence("newer_served_elsewhere", best.served)
            .evidence("stored", files.iter().map(ToString::to_string).collect::<Vec<_>>());
        Verdict::found(finding, holds_until)
    }
}

fn places(count: usize) -> String {
    if count == 1 { "one endpoint".to_owned() } else { format!("{count} endpoints") }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::Scene;

    #[test]
    fn stored_and_nowhere_served() {
        let check = |scene: Scene, severity: Option<Severity>| {
            scene.check(&super::StoredNotDeployed, severity.map(|s| (Kind::StoredNotDeployed, s)));
        };
        check(Scene::leaf("a.test").lives(90, 60).served().succeeded(None), Some(Severity::Info));
        check(Scene::leaf("a.test").lives(90, 10).served().succeeded(None), Some(Severity::Warning));
        check(Scene::leaf("a.test").lives(90, -1).served().succeeded(None), Some(Severity::Warning));
        check(
            Scene::leaf("a.test").lives(90, 10).served().succeeded_by_another_issuer(),
            Some(Severity::Info),
        );
        check(Scene::leaf("a.test").lives(90, 10).served().succeeded_elsewhere(), Some(Severity::Warning));
        check(Scene::leaf("a.test").lives(90, 60).served().succeeded_elsewhere(), None);
        check(Scene::leaf("a.test").served().succeeded(Some("n.conf:7")), None);
        check(Scene::leaf("a.test").served(), None);
    }
}

//! `renewed-not-loaded`: the file has the new certificate, the process still shows the old one.
//!
//! Every check of files says healthy and every renewal log says success; the port dies all the same.
//! Only the file known to be served there counts. A later certificate for the same names in some other file
//! is `stored-not-deployed`.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct RenewedNotLoaded;

impl Rule for RenewedNotLoaded {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::RenewedNotLoaded,
            doc: "an endpoint of this host serves an older certificate than the file it was loaded from now holds",
            citation: "certbot issue 2676; recorded outages where a renewal was never reloaded",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        if view.served_at().next().is_none() {
            return Verdict::NotApplicable;
        }
        let linked = || view.successors.iter().filter(|s| s.link.is_some());
        let Some(best) = linked().max_by_key(|s| s.asset.not_after) else {
            return Verdict::Pass { holds_until: None };
        };
        let until = view.asset.not_after.map_or_else(String::new, |end| {
            let verb = if end < now { "expired" } else { "expires" };
            format!(", which {verb} {WHEN}")
        });
        let mut places: Vec<_> = linked().flat_map(|s| [s.endpoint, s.file]).collect();
        places.sort_unstable();
        places.dedup();
        let finding = Finding::new(Kind::RenewedNotLoaded, Severity::Critical, Some(view.asset.id), "")
            .at(places)
            .deadline(view.asset.not_after)
            .summary(format!(
                "{} was renewed in its file but not loaded: the old one is still served{until}",
                view.title()
            ))
            .hint("reload the server now, then look again; nothing needs to be issued")
            .evidence("link", best.link.unwrap_or_default())
            .evidence("newer", best.asset.id);
        Verdict::found(finding, None)
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::Scene;

    #[test]
    fn with_and_without_a_link() {
        let check = |scene: Scene, severity: Option<Severity>| {
            scene.check(&super::RenewedNotLoaded, severity.map(|s| (Kind::RenewedNotLoaded, s)));
        };
        check(Scene::leaf("a.test").served().succeeded(Some("n.conf:7")), Some(Severity::Critical));
        check(Scene::leaf("a.test").served().succeeded(None), None);
        check(Scene::leaf("a.test").served(), None);
        check(Scene::leaf("a.test").in_file(), None);
    }
}

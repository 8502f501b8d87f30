//! `expired` and `expired-in-use`: its end has passed.
//!
//! Served, it is critical whoever still accepts it: monitoring equipment that fails open looks healthy
//! (Equifax, GAO-18-559). Merely lying in a folder it is worth a line. A dead root in a trust store says
//! nothing: trust stores keep them on purpose.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::inventory::Role;
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct Expired;

impl Rule for Expired {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::Expired,
            doc: "the end of its validity has passed",
            citation: "RFC 5280 section 4.1.2.5; GAO-18-559 for expired ones in use",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let Some(end) = view.asset.not_after else { return Verdict::NotApplicable };
        // What signs in as a client has a rule of its own.
        if !view.lies_for_itself() || view.places.iter().all(|p| p.role == Role::Client) {
            return Verdict::NotApplicable;
        }
        if now <= end {
            return Verdict::Pass { holds_until: Some(end.plus(1)) };
        }
        let title = view.title();
        let when = WHEN;
        let served: Vec<_> = view.served_at().collect();
        let finding = if served.is_empty() {
            Finding::new(Kind::Expired, Severity::Info, Some(view.asset.id), "")
                .at(view.locations())
                .summary(format!("{title} expired {when}; it lies in a file and was not seen in use"))
                .hint("delete it if nothing needs it; if something reads this file, renew it now")
        } else {
            Finding::new(Kind::ExpiredInUse, Severity::Critical, Some(view.asset.id), "")
                .at(view.locations())
                .summary(format!("{title} expired {when} and is still served"))
                .hint("install a valid certificate at every place listed, then reload and look again")
        };
        Verdict::found(finding.deadline(Some(end)), None)
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::inventory::Role;
    use crate::rules::scene::{Scene, days};

    fn check(scene: Scene, expected: Option<(Kind, Severity)>) {
        scene.check(&super::Expired, expected);
    }

    #[test]
    fn served_or_lying_about() {
        check(Scene::leaf("a.test").ends(days(-1)).served(), Some((Kind::ExpiredInUse, Severity::Critical)));
        check(Scene::leaf("a.test").ends(days(-300)).in_file(), Some((Kind::Expired, Severity::Info)));
    }

    #[test]
    fn healthy_or_a_trust_store() {
        check(Scene::leaf("a.test").ends(days(1)).served(), None);
        check(Scene::root("Old Root").ends(days(-1)).in_file_as(Role::TrustAnchor), None);
    }
}

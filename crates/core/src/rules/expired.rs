//! `expired` and `expired-in-use`: its end has passed.
//!
//! Served, or named by the configuration of what uses it, it is critical whoever still accepts it: monitoring equipment that fails open looks healthy
//! (Equifax, GAO-18-559). Merely lying in a folder it is a warning for a month, because its end was told as such and was
//! not prevented, and then worth a line. A dead root in a trust store says nothing: trust stores keep them on purpose.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, REPLACED, Severity, WHEN};
use crate::inventory::Role;
use crate::joints::{Rule, RuleInfo, Verdict};
use crate::observation::LinkKind;
use crate::rules::expires_soon::told_as;
use notafter_pki::time::DAY;

/// The rule.
pub struct Expired;

/// So long after its end somebody may still find out that something read this file.
const STILL: i64 = 30 * DAY;

impl Rule for Expired {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::Expired,
            doc: "the end of its validity has passed",
            citation: "RFC 5280 section 4.1.2.5; GAO-18-559 for expired ones in use",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, certificate)) = dossier.certificate() else { return Verdict::NotApplicable };
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
        let mut holds_until = None;
        let finding = if let (true, Some(link)) = (served.is_empty(), view.lineage.used_by.first()) {
            // A client's certificate is on no port, so nothing else will tell. What a server would serve at its next
            // start is not what it serves.
            let presents = link.kind == LinkKind::Presents;
            let severity = if presents { Severity::Critical } else { Severity::Warning };
            Finding::new(Kind::ExpiredInUse, severity, Some(view.asset.id), "")
                .at(view.locations())
                .summary(format!("{title} expired {when}, and a configuration names it ({})", link.evidence))
                .hint("install a valid certificate there and reload, or take it out of the configuration")
                .evidence("link", link.evidence.as_str())
        } else if served.is_empty() {
            let told = told_as(view, &certificate).is_some_and(|most| most < Severity::Info);
            let fresh = told && !view.is_only_published() && now <= end.plus(STILL);
            let later = view.superseded(now);
            let severity = if fresh && later.is_err() { Severity::Warning } else { Severity::Info };
            if fresh {
                holds_until = Some(end.plus(STILL + 1)).into_iter().chain(later.err().flatten()).min();
            }
            let finding = Finding::new(Kind::Expired, severity, Some(view.asset.id), "")
                .at(view.locations())
                .summary(format!("{title} expired {when}; it lies in a file and was not seen in use"))
                .hint("delete it if nothing needs it; if something reads this file, renew it now");
            match later {
                Ok(later) => finding.evidence(REPLACED, later.id),
                Err(_) => finding,
            }
        } else {
            Finding::new(Kind::ExpiredInUse, Severity::Critical, Some(view.asset.id), "")
                .at(view.locations())
                .summary(format!("{title} expired {when} and is still served"))
                .hint("install a valid certificate at every place listed, then reload and look again")
        };
        Verdict::found(finding.deadline(Some(end)), holds_until)
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::inventory::Role;
    use crate::observation::LinkKind;
    use crate::rules::scene::{Scene, days};

    fn check(scene: Scene, expected: Option<(Kind, Severity)>) {
        scene.check(&super::Expired, expected);
    }

    #[test]
    fn served_or_lying_about() {
        check(Scene::leaf("a.test").ends(days(-1)).served(), Some((Kind::ExpiredInUse, Severity::Critical)));
        check(Scene::leaf("a.test").ends(days(-300)).in_file(), Some((Kind::Expired, Severity::Info)));
        // It was told of before its end, which nobody prevented: that is not over at once.
        let file = |left| Scene::leaf("a.test").lives(90, left).in_file();
        check(file(-1), Some((Kind::Expired, Severity::Warning)));
        check(file(-29), Some((Kind::Expired, Severity::Warning)));
        check(file(-31), Some((Kind::Expired, Severity::Info)));
        check(file(-1).superseded(-10), Some((Kind::Expired, Severity::Info)));
        check(file(-1).listed(), Some((Kind::Expired, Severity::Info)));
        let manual = Scene::leaf("a.test").lives(90, -1).at_file("/usr/share/doc/x/a.pem", Role::Leaf);
        check(manual, Some((Kind::Expired, Severity::Info)));
        let named = |kind| Scene::leaf("a.test").ends(days(-1)).in_file().named_by(kind);
        check(named(LinkKind::Presents), Some((Kind::ExpiredInUse, Severity::Critical)));
        check(named(LinkKind::Serves), Some((Kind::ExpiredInUse, Severity::Warning)));
    }

    #[test]
    fn healthy_or_a_trust_store() {
        check(Scene::leaf("a.test").ends(days(1)).served(), None);
        check(Scene::root("Old Root").ends(days(-1)).in_file_as(Role::TrustAnchor), None);
    }
}

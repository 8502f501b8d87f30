//! `revoked`: its issuer has taken it back, and it is used all the same.
//!
//! A stapled response or a list says so; which lists count is `engine/assess/revoked.rs`'s. What lies about unused, in a
//! folder for revoked ones, or beside the one that took its place is as it should be, and so is what has ended.

use crate::UnixTime;
use crate::dossier::{AssetView, Dossier};
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct Revoked;

impl Rule for Revoked {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::Revoked,
            doc: "its issuer says that it is revoked, by a stapled response or by a list, and it is served or ready for use",
            citation: "RFC 5280 section 5; RFC 6960 section 2.2",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let Some(revoked) = &view.revoked else { return Verdict::NotApplicable };
        if view.only_trust_anchor() || view.asset.not_after.is_some_and(|end| end < now) {
            return Verdict::NotApplicable;
        }
        let holds_until = view.asset.not_after.map(|end| end.plus(1));
        let served = view.locations().any(|location| location.is_endpoint());
        let severity = if served { Severity::Critical } else { Severity::Warning };
        if !served && !is_ready(view, now) {
            return Verdict::Pass { holds_until };
        }
        let since = revoked.since.map(|since| format!(" on {}", since.date())).unwrap_or_default();
        let reason = revoked.reason.as_deref();
        let why = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        let still = match (served, view.lineage.used_by.first()) {
            (true, _) => "it is still served",
            (false, Some(_)) => "a configuration names it",
            (false, None) => "it lies ready for use",
        };
        let said_by = if revoked.listed { "list" } else { "staple" };
        let compromised = matches!(reason, Some("keyCompromise" | "cACompromise" | "aACompromise"));
        let mut finding = Finding::new(Kind::Revoked, severity, Some(view.asset.id), "")
            .at(view.locations())
            .summary(format!("{} was revoked by its issuer{since}{why}, and {still}", view.title()))
            .hint(if compromised {
                "its key leaked: replace it with one that has a new key at every place listed, reload, and look again"
            } else {
                "replace it at every place listed, with a new key if the old one may have leaked, reload, and look again; \
                 ask who had it revoked if nobody knows"
            })
            .evidence("said_by", said_by)
            .evidence("said_at", revoked.place.to_string());
        if let Some(since) = revoked.since {
            finding = finding.evidence("revoked_at", since.to_string());
        }
        if let Some(reason) = reason {
            finding = finding.evidence("reason", reason);
        }
        Verdict::found(finding, holds_until)
    }
}

/// Would something use it that was not seen to: is it configured, or does its key lie here and no successor?
fn is_ready(view: &AssetView<'_>, now: UnixTime) -> bool {
    let put_away = view.locations().all(|l| l.as_str().contains("/revoked/") || l.is_published());
    let configured = !view.lineage.used_by.is_empty() || !view.around.presented.is_empty();
    configured || view.key_seen && !put_away && !view.lineage.listed && view.superseded(now).is_err()
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::inventory::Role;
    use crate::observation::LinkKind;
    use crate::rules::scene::Scene;

    fn check(scene: Scene, severity: Option<Severity>) {
        scene.check(&super::Revoked, severity.map(|s| (Kind::Revoked, s)));
    }

    #[test]
    fn in_use_and_ready_for_use() {
        check(Scene::leaf("a.test").served().revoked(), Some(Severity::Critical));
        check(Scene::leaf("a.test").served().in_file().superseded(-1).revoked(), Some(Severity::Critical));
        check(Scene::leaf("a.test").in_file().with_key(true).revoked(), Some(Severity::Warning));
        check(
            Scene::leaf("a.test").in_file().named_by(LinkKind::Presents).revoked(),
            Some(Severity::Warning),
        );
    }

    #[test]
    fn healthy() {
        check(Scene::leaf("a.test").served(), None);
        check(Scene::leaf("a.test").lives(90, -1).served().revoked(), None);
        check(Scene::leaf("a.test").in_file().revoked(), None);
        check(Scene::leaf("a.test").in_file().with_key(true).superseded(-1).revoked(), None);
        check(Scene::leaf("a.test").at_file("/ca/revoked/a.pem", Role::Leaf).with_key(true).revoked(), None);
        check(Scene::root("A root").in_file_as(Role::TrustAnchor).revoked(), None);
    }
}

//! `not-yet-valid`: its validity begins later. A server that shows it is refused by every client;
//! in a file it is usually a renewal waiting for its day, or a wrong clock at the issuer.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct NotYetValid;

impl Rule for NotYetValid {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::NotYetValid,
            doc: "the beginning of its validity lies ahead",
            citation: "RFC 5280 section 4.1.2.5",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let Some(begin) = view.asset.not_before else { return Verdict::NotApplicable };
        if !view.is_ours_to_renew() {
            return Verdict::NotApplicable;
        }
        if now >= begin {
            return Verdict::Pass { holds_until: None };
        }
        let served = view.served_at().next().is_some();
        let severity = if served { Severity::Critical } else { Severity::Info };
        let when = WHEN;
        let finding = Finding::new(Kind::NotYetValid, severity, Some(view.asset.id), "")
            .at(view.locations())
            .deadline(Some(begin))
            .summary(format!("{} becomes valid {when}", view.title()))
            .hint(if served {
                "check the clock of this host and of the issuer; until then serve the previous certificate"
            } else {
                "do not install it before its day"
            });
        Verdict::found(finding, Some(begin))
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::{Scene, days};

    #[test]
    fn before_and_after_its_first_day() {
        let check = |scene: Scene, severity: Option<Severity>| {
            scene.check(&super::NotYetValid, severity.map(|s| (Kind::NotYetValid, s)));
        };
        check(Scene::leaf("a.test").begins(days(1)).served(), Some(Severity::Critical));
        check(Scene::leaf("a.test").begins(days(1)).in_file(), Some(Severity::Info));
        check(Scene::leaf("a.test").begins(days(-1)).served(), None);
    }
}

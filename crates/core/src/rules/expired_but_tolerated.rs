//! `expired-but-tolerated`: it has ended, and what uses it goes on, because nobody looks at the date until the next
//! beginning: a restart, an upgrade, a reset.
//!
//! Known by other programs that are connected to the endpoint, or, at an endpoint of this machine, by its being up for
//! days after the end. It comes on top of `expired-in-use`, because it says what must not be done now.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::inventory::{Placement, Role};
use crate::joints::{Rule, RuleInfo, Verdict};
use notafter_pki::time::DAY;

/// The rule.
pub struct ExpiredButTolerated;

/// So long after the end, whoever cannot bear it has said so.
const BORNE: i64 = 7 * DAY;

impl Rule for ExpiredButTolerated {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::ExpiredButTolerated,
            doc: "an endpoint serves an expired certificate, and is used or has been up for days all the same",
            citation: "Exchange, July 2021, and Cisco vEdge, May 2023: expired and harmless until a restart",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let Some(end) = view.asset.not_after else { return Verdict::NotApplicable };
        let served: Vec<&Placement> = view
            .places
            .iter()
            .copied()
            .filter(|p| p.role == Role::Leaf && p.location.is_endpoint())
            .collect();
        if served.is_empty() {
            return Verdict::NotApplicable;
        }
        if now <= end {
            return Verdict::Pass { holds_until: Some(end.plus(1)) };
        }
        let borne = end.plus(BORNE);
        let connected: Vec<_> = served.iter().filter(|p| p.facts.connected).map(|p| &p.location).collect();
        let here: Vec<_> = served.iter().filter(|p| p.is_local()).map(|p| &p.location).collect();
        let holds_until = (now < borne && !here.is_empty()).then_some(borne);
        let (how, places) = if !connected.is_empty() {
            ("and other programs are connected to it", connected)
        } else if now >= borne && !here.is_empty() {
            ("and its service is up: what uses it does not look at the date", here)
        } else {
            return Verdict::Pass { holds_until };
        };
        let finding = Finding::new(Kind::ExpiredButTolerated, Severity::Critical, Some(view.asset.id), "")
            .at(places)
            .deadline(Some(end))
            .summary(format!("{} expired {WHEN}, {how}: it will fail at the next restart", view.title()))
            .hint(
                "do not restart, upgrade or reset either side until it is replaced; install a valid one first, then restart \
                 one client and see that it connects",
            );
        Verdict::found(finding, holds_until)
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::Scene;

    #[test]
    fn used_after_its_end() {
        let check = |scene: Scene, expected: bool| {
            let found = expected.then_some((Kind::ExpiredButTolerated, Severity::Critical));
            scene.check(&super::ExpiredButTolerated, found);
        };
        check(Scene::leaf("a.test").lives(90, -1).served().connected(), true);
        check(Scene::leaf("a.test").lives(90, -8).served(), true);
        check(Scene::leaf("a.test").lives(90, -1).served(), false);
        check(Scene::leaf("a.test").lives(90, -20).served_far_away(), false);
        check(Scene::leaf("a.test").lives(90, 1).served().connected(), false);
        check(Scene::leaf("a.test").lives(90, -20).in_file(), false);
    }
}

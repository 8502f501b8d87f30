//! `cannot-read` for a place that was seen and no longer answers.
//!
//! Unreachable is not gone: what was there may still be there, and may still end. So nothing is dropped;
//! after a while the owner is asked. Only a person can say that a place is gone (`notafter retire`).

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct Unseen;

impl Rule for Unseen {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::CannotRead,
            doc: "a place where it was seen has not answered for a week",
            citation: "52 recorded outages: a decommissioned place and a dead one look alike to a port check",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let (Some(view), Some(after)) = (dossier.asset(), dossier.policy.gone_after) else {
            return Verdict::NotApplicable;
        };
        // One place sends a whole chain: its leaf speaks for it.
        let leads = view.places.iter().filter(|p| p.chain.is_some());
        let since = |p: &crate::inventory::Placement| p.unseen_since;
        let unseen: Vec<_> = leads.filter_map(|p| Some((*p, since(p)?))).collect();
        let due = |since: UnixTime| since.plus(after);
        let next = unseen.iter().map(|(_, t)| due(*t)).filter(|t| *t > now).min();
        let findings: Vec<_> = unseen
            .iter()
            .filter(|(_, t)| due(*t) <= now)
            .map(|(place, t)| {
                let whole = place.location.as_str();
                Finding::new(Kind::CannotRead, Severity::Warning, Some(view.asset.id), whole)
                    .at([&place.location])
                    .deadline(view.asset.not_after)
                    .summary(format!(
                        "{whole} has not answered since {t}; it last showed {}, which ends {WHEN}",
                        view.title()
                    ))
                    .hint(format!(
                        "see whether it is still there; if it is gone for good: notafter retire '{whole}' --reason ..."
                    ))
                    .evidence("unseen_since", t.to_string())
            })
            .collect();
        if findings.is_empty() {
            Verdict::Pass { holds_until: next }
        } else {
            Verdict::Found { findings, holds_until: next }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::Scene;

    #[test]
    fn asks_after_a_week() {
        let warning = Some((Kind::CannotRead, Severity::Warning));
        Scene::leaf("a.test").lives(90, 50).served().unseen_for(8).check(&super::Unseen, warning);
        Scene::leaf("a.test").lives(90, 50).served().unseen_for(6).check(&super::Unseen, None);
        Scene::leaf("a.test").lives(90, 50).served().check(&super::Unseen, None);
    }
}

//! `unowned`: somebody was named for some things, and nobody for this one.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct Unowned;

impl Rule for Unowned {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::Unowned,
            doc: "no owner answers for it, so its alerts go to the owner of last resort",
            citation: "NIST SP 1800-16B section 5.1: every certificate has a responsible owner",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, _now: UnixTime) -> Verdict {
        let Some(view) = dossier.asset() else { return Verdict::NotApplicable };
        let ours = view.is_ours_to_renew() && view.lies_for_itself() && !view.is_only_published();
        if !dossier.policy.owners_expected || !ours {
            return Verdict::NotApplicable;
        }
        // Whoever is written down as the default one answers for all the rest: that is what it is for.
        if dossier.owner.is_some() {
            return Verdict::Pass { holds_until: None };
        }
        let finding = Finding::new(Kind::Unowned, Severity::Info, Some(view.asset.id), "")
            .at(view.locations())
            .deadline(view.asset.not_after)
            .summary(format!("nobody is named for {}", view.title()))
            .hint("add a rule to an [[owner]], or give it to one: notafter own QUERY OWNER");
        Verdict::found(finding, None)
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::Scene;

    #[test]
    fn the_default_owner_answers_for_the_rest() {
        let info = Some((Kind::Unowned, Severity::Info));
        Scene::leaf("a.test").lives(90, 50).served().check(&super::Unowned, info);
        // The scene's owner is the default one.
        Scene::leaf("a.test").lives(90, 50).served().owner_needs(1).check(&super::Unowned, None);
    }
}

//! `still-in-use`: it was taken out of service, by whoever decides that, and a consumer still uses it.
//!
//! What says so is evidence, never a guess: a folder whose name says it, a list of what is trusted that holds its
//! successor and no longer it. That others have moved on alone is a roll-out that is not at its end, and worth a line.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct StillInUse;

impl Rule for StillInUse {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::StillInUse,
            doc: "an endpoint serves a certificate that was retired, or that the others have left for its successor",
            citation: "Azure AD, 15 March 2021: a signing key was removed while it was in use",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let served: Vec<_> = view.served_at().collect();
        // Past its end it is `expired-in-use`.
        if served.is_empty() || view.asset.not_after.is_some_and(|end| end < now) {
            return Verdict::NotApplicable;
        }
        let holds_until = view.asset.not_after.map(|end| end.plus(1));
        let retired = &view.lineage.retired;
        let moved = view.lineage.moved.as_ref();
        let ahead = moved.filter(|(_, places)| places.len() > served.len());
        let title = view.title();
        let still = match served.len() {
            1 => "one endpoint still serves it".to_owned(),
            n => format!("{n} endpoints still serve it"),
        };
        let finding = match (retired.first(), ahead) {
            (Some(why), _) => Finding::new(Kind::StillInUse, Severity::Critical, Some(view.asset.id), "")
                .summary(format!("{title} was retired ({}), and {still}", why.because))
                .hint(
                    "put it back where it is trusted until every endpoint listed has moved to its successor; look at the \
                     endpoints again, then retire it",
                ),
            (None, Some((_, places))) => {
                Finding::new(Kind::StillInUse, Severity::Info, Some(view.asset.id), "")
                    .summary(format!(
                        "{title} has a successor that {} endpoints serve already, and {still}",
                        places.len()
                    ))
                    .hint("move these to the successor before anything is taken away")
            }
            (None, None) => return Verdict::NotApplicable,
        };
        let finding = finding
            .at(served.into_iter().chain(retired.iter().map(|r| r.place)))
            .evidence("retired_by", retired.iter().map(|r| r.because.clone()).collect::<Vec<_>>());
        let finding = match moved {
            Some((newer, places)) => finding
                .evidence("newer", newer.id)
                .evidence("moved", places.iter().map(ToString::to_string).collect::<Vec<_>>()),
            None => finding,
        };
        Verdict::found(finding, holds_until)
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::Scene;

    #[test]
    fn retired_or_left_behind() {
        let check = |scene: Scene, severity: Option<Severity>| {
            scene.check(&super::StillInUse, severity.map(|s| (Kind::StillInUse, s)));
        };
        check(Scene::leaf("a.test").served().in_file().retired(), Some(Severity::Critical));
        check(Scene::leaf("a.test").served().others_moved(2), Some(Severity::Info));
        check(Scene::leaf("a.test").served().others_moved(1), None);
        check(Scene::leaf("a.test").in_file().retired(), None);
        check(Scene::leaf("a.test").lives(90, -1).served().retired(), None);
        check(Scene::leaf("a.test").served(), None);
    }
}

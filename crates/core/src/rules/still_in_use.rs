//! `still-in-use`: it was taken out of service, by whoever decides that, and a consumer still uses it.
//!
//! What says so is evidence, never a guess: a folder whose name says it, a list of what is trusted that holds its
//! successor and no longer it, a partner's copy of metadata that does. A consumer is an endpoint that serves it; where none
//! was seen, a configuration that names it, and an entity whose key for signatures it is. That others have moved on alone
//! is a roll-out that is not at its end, and worth a line.

use crate::UnixTime;
use crate::dossier::{AssetView, Dossier};
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};
use crate::location::Location;
use crate::observation::Whole;

/// The rule.
pub struct StillInUse;

impl Rule for StillInUse {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::StillInUse,
            doc: "an endpoint serves, a configuration names or an entity signs with a certificate that was retired, or that \
                  the others have left for its successor",
            citation: "Azure AD, 15 March 2021: a signing key was removed while it was in use",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let served: Vec<_> = view.served_at().collect();
        let by_file = served.is_empty();
        let served = if by_file { used_in_files(view) } else { served };
        // Past its end it is `expired-in-use`.
        if served.is_empty() || view.asset.not_after.is_some_and(|end| end < now) {
            return Verdict::NotApplicable;
        }
        let holds_until = view.asset.not_after.map(|end| end.plus(1));
        let retired = &view.lineage.retired;
        let moved = view.lineage.moved.as_ref();
        let ahead = moved.filter(|(_, places)| places.len() > served.len());
        let title = view.title();
        let still = match (by_file, served.len()) {
            (true, _) => match view.lineage.used_by.first() {
                Some(link) => format!("a configuration still names it ({})", link.evidence),
                None => "its key is the one that is held".to_owned(),
            },
            (false, 1) => "one endpoint still serves it".to_owned(),
            (false, n) => format!("{n} endpoints still serve it"),
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

/// The files by which it is used where no endpoint was seen to serve it: those that a configuration names, and those of
/// metadata whose key is held.
fn used_in_files<'v>(view: &'v AssetView<'_>) -> Vec<&'v Location> {
    let file = |l: &&Location| l.is_file() && !l.is_published();
    if !view.lineage.used_by.is_empty() {
        let ends = |l: &Location| {
            let mut links = view.lineage.used_by.iter();
            links.any(|link| link.from.container() == l.container() || link.to.container() == l.container())
        };
        return view.locations().filter(|l| ends(l)).filter(file).collect();
    }
    let held = view.key_seen && view.parts(Whole::Metadata).next().is_some();
    if held { view.locations().filter(file).collect() } else { Vec::new() }
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

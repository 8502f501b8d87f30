//! `expires-soon`: it enters its warning window, by share of lifetime and capped days.
//!
//! The window is the ladder of `core/deadline.rs`. It speaks about what somebody here must renew: a
//! leaf anywhere, a CA certificate kept in a file; not an intermediate that merely travels with a chain
//! (that is `chain-expires-first`), not a trust store, and not what a later one has taken the place of. What renews by
//! itself is `renewal-overdue`'s: its warning is only a line here, its critical step never.

use crate::UnixTime;
use crate::deadline::{Ladder, Step};
use crate::dossier::{AnchorView, AssetView, Dossier};
use crate::ending;
use crate::finding::{Finding, Kind, REPLACED, Severity, WHEN};
use crate::inventory::Role;
use crate::joints::{Rule, RuleInfo, Verdict};
use notafter_pki::certificate::Certificate;

/// The rule.
pub struct ExpiresSoon;

impl Rule for ExpiresSoon {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::ExpiresSoon,
            doc: "it ends within its warning window: warning at a quarter of its life (30 days at most), \
                  critical at a tenth (14 days), page at a twentieth (7 days)",
            citation: "CA/Browser Forum SC-081v3 for the lifetimes the ladder is made for",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, certificate)) = dossier.certificate() else { return Verdict::NotApplicable };
        let Some(end) = view.asset.not_after else { return Verdict::NotApplicable };
        let Some(most) = told_as(view, &certificate).filter(|_| now <= end) else {
            return Verdict::NotApplicable;
        };
        let lifetime = view.lifetime();
        let issues = issues(view, &certificate);
        let ladder = if issues { Ladder::for_ca(lifetime) } else { Ladder::for_leaf(lifetime) };
        // Who needs longer is warned earlier, never later.
        let ladder = ladder.needing(lifetime, dossier.owner.and_then(|o| o.needs_days));
        // What ends when nobody may change anything has to be done before.
        let due = ending::due_of(dossier, view.asset.not_before.unwrap_or(end), end);
        let (step, next) = ladder.step(due.at, now);
        // A later one has taken its place, and this one is used nowhere: it may end.
        let next = match view.superseded(now) {
            Ok(_) => return Verdict::Pass { holds_until: Some(end.plus(1)) },
            Err(begins) => next.into_iter().chain(begins).min(),
        };
        let Some(severity) = step.severity() else { return Verdict::Pass { holds_until: next } };
        let by_itself =
            view.changes(now).filter(|_| step == Step::Warning).map(|(one, due, _)| (one.renewal, due));
        // Not silence: what was told already before a renewer took it over has not ended well yet.
        let severity = if by_itself.is_some() { Severity::Info } else { severity.max(most) };
        let listed = view.lineage.listed;
        let places = view.places.len();
        let spread = if places > 1 { format!(", in {places} places") } else { String::new() };
        let finding = Finding::new(Kind::ExpiresSoon, severity, Some(view.asset.id), "")
            .at(view.locations())
            .deadline(Some(due.at))
            .pages(ladder.page)
            .summary(match ending::moved(&due, now) {
                None => format!("{} expires {WHEN}{spread}", view.title()),
                Some(words) => format!("{} expires on {}{spread}, {words}", view.title(), end.date()),
            })
            .hint({
                let now = if let Some((renewal, due)) = by_itself {
                    format!("{} is to renew it on {}: see that it has", renewal.tool, due.date())
                } else if listed {
                    "it stands in a list and was seen nowhere else: see whether it is still in use where it comes from".to_owned()
                } else if places > 1 {
                    "renew it, install the new one at every place listed, reload, and look again".to_owned()
                } else {
                    "renew it, install the new one, reload, and look again".to_owned()
                };
                match view.around.accepted.in_words() {
                    Some(by) => format!("{now}; it may sign in as a client, too: {by} ask for certificates of its issuer"),
                    None => now,
                }
            })
            .evidence("lifetime_days", lifetime / 86_400)
            .evidence("page", step == Step::Page)
            .evidence("issues", issues);
        let finding = match followed(view, &certificate) {
            true => finding.evidence(REPLACED, "a later root beside it"),
            false => finding,
        };
        Verdict::found(finding, next)
    }
}

/// How badly its end is told at most; `None`: other rules tell of it, or nobody here has to renew it.
pub(super) fn told_as(view: &AssetView<'_>, certificate: &Certificate<'_>) -> Option<Severity> {
    let end = view.asset.not_after?;
    // What signs in as a client has a rule of its own.
    let only_client = view.places.iter().all(|p| p.role == Role::Client || p.facts.part.is_some());
    let theirs = view.is_correspondents();
    if !(view.is_ours_to_renew() || theirs) || only_client || end >= UnixTime::NO_EXPIRY {
        return None;
    }
    let issues = issues(view, certificate);
    // An anchor that others stand on, or that is built into something, has rules of its own.
    let built_in = |a: &AnchorView<'_>| a.places.iter().all(|p| p.place.location.is_embedded());
    if issues && (view.is_anchor() || view.anchor.as_ref().is_some_and(built_in)) {
        return None;
    }
    // A CA certificate among a package's own files is the package's to renew.
    let packaged = issues && view.is_only_published();
    // A list tells of it and nobody here uses it: worth a line, not a call. So is a root beside which its successor lies,
    // and what belongs to somebody who wrote to us, and renews it or writes no more.
    let quiet = packaged || view.lineage.listed || followed(view, certificate) || theirs;
    Some(if quiet { Severity::Info } else { Severity::Critical })
}

/// A self-signed server certificate often says that it is a CA; what it does decides.
fn issues(view: &AssetView<'_>, certificate: &Certificate<'_>) -> bool {
    certificate.is_ca() && !view.has_role(Role::Leaf)
}

/// Is it a root beside which its successor lies, wherever it lies?
fn followed(view: &AssetView<'_>, certificate: &Certificate<'_>) -> bool {
    let replaced = |a: &AnchorView<'_>| !a.places.is_empty() && a.places.iter().all(|p| p.replaced);
    issues(view, certificate) && view.anchor.as_ref().is_some_and(replaced)
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::inventory::Role;
    use crate::rules::scene::Scene;

    fn check(scene: Scene, severity: Option<Severity>) {
        scene.check(&super::ExpiresSoon, severity.map(|s| (Kind::ExpiresSoon, s)));
    }

    #[test]
    fn by_share_of_lifetime() {
        check(Scene::leaf("a.test").lives(90, 22).served(), Some(Severity::Warning));
        check(Scene::leaf("a.test").lives(90, 8).served(), Some(Severity::Critical));
        check(Scene::leaf("a.test").lives(47, 11).in_file(), Some(Severity::Warning));
        check(Scene::leaf("a.test").lives(398, 44).served(), Some(Severity::Warning));
        check(Scene::leaf("a.test").lives(90, 50).served().owner_needs(60), Some(Severity::Warning));
        check(Scene::leaf("a.test").lives(6, 2).served().owner_needs(14), Some(Severity::Warning));
        check(Scene::leaf("a.test").lives(90, 20).served().owner_needs(1), Some(Severity::Warning));
        check(Scene::root("Our CA").lives(3650, 300).in_file(), Some(Severity::Warning));
        check(cluster().depended_on(0), Some(Severity::Critical));
    }

    #[test]
    fn who_wrote_a_mail_renews_it() {
        let mail = || Scene::leaf("a@b.test").lives(365, 5);
        check(mail().at_file("/home/x/mail/1#smime/1/1", Role::Signer), Some(Severity::Info));
        // It is one's own.
        check(
            mail().at_file("/home/x/mail/1#smime/1/1", Role::Signer).with_key(true),
            Some(Severity::Critical),
        );
        check(mail().at_file("/home/x/mail/1#smime/1/1", Role::Signer).in_file(), Some(Severity::Critical));
    }

    fn cluster() -> Scene {
        Scene::root("cluster").lives(365, 20).at_file("/etc/kubernetes/pki/ca.crt", Role::Root)
    }

    #[test]
    fn healthy() {
        check(Scene::leaf("a.test").lives(90, 30).served(), None);
        check(Scene::leaf("a.test").lives(6, 3).served(), None);
        check(Scene::leaf("a.test").lives(6, 3).served().owner_needs(14), None);
        check(Scene::leaf("a.test").lives(90, 5).in_file().superseded(-1), None);
        check(Scene::leaf("a.test").lives(90, 5).in_file().superseded(1), None);
        check(Scene::leaf("a.test").lives(90, 5).in_file().superseded(6), Some(Severity::Critical));
        check(Scene::leaf("a.test").lives(90, 5).in_file().listed(), Some(Severity::Info));
        check(Scene::root("Mozilla's").lives(3650, 3).in_file_as(Role::TrustAnchor), None);
        check(cluster().depended_on(2), None);
        check(cluster().depended_on(0).later_twin(true), Some(Severity::Info));
        check(
            Scene::root("Firmware's").lives(3650, 3).at_file("/srv/fw.bin@0x10", Role::Root).depended_on(0),
            None,
        );
        check(Scene::root("An issuer").lives(3650, 3).in_chain(), None);
    }
}

//! `anchor-expires`: a root that something here hangs on ends.
//!
//! The certificates below it are renewed again and again and look perfect until the day it ends, and then all of them
//! fail at once. One finding for the anchor, with the files where it lies and what stands on it. A later root of the
//! same name and key in every bundle beside it is the remedy, and silences it; where that one lies only in some, the
//! others are named. Roots that come with systems are renewed with those.

use notafter_pki::time::DAY;

use crate::UnixTime;
use crate::deadline::Ladder;
use crate::dossier::{AnchorView, Dossier};
use crate::finding::{Finding, Kind, WHEN};
use crate::joints::{Rule, RuleInfo, Verdict};
use crate::location::Location;

/// So many places of leaves are named.
const NAMED_MAX: usize = 20;

/// The rule.
pub struct AnchorExpires;

impl Rule for AnchorExpires {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::AnchorExpires,
            doc: "a root in a file that certificates here stand on ends, and no later one lies beside it",
            citation: "RFC 5280 section 6.1.1 (d); kubeadm's and Linkerd's guides to replacing the anchor of a cluster",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some(view) = dossier.asset().filter(|view| view.is_anchor()) else {
            return Verdict::NotApplicable;
        };
        let (Some(anchor), Some(end)) = (&view.anchor, view.asset.not_after) else {
            return Verdict::NotApplicable;
        };
        let places = exposed(anchor, |location| !location.is_embedded() && !location.is_published());
        // A later one is known, and this one is dead: a copy that was left lying.
        if places.is_empty() || end >= UnixTime::NO_EXPIRY || (anchor.has_later_twin && now > end) {
            return Verdict::NotApplicable;
        }
        let ladder = ladder(view.lifetime());
        let (step, next) = ladder.step(end, now);
        let next = next.or((now <= end).then(|| end.plus(1)));
        let Some(severity) = step.severity() else { return Verdict::Pass { holds_until: next } };
        let verb = if now > end { "expired" } else { "expires" };
        let leaves = anchor.dependents_total;
        let plural = if leaves == 1 { " stands" } else { "s stand" };
        let hint = if anchor.has_later_twin {
            "a later root of the same name and key exists: put it beside this one at every place listed, then restart what reads them"
        } else if view.key_seen {
            "its key is still here: make a new root, add it beside this one in every bundle and to every client, and only then reissue what stands on it"
        } else {
            "find its key, or make a new CA; add the new root beside this one in every bundle and to every client, and only then reissue what stands on it"
        };
        let finding = Finding::new(Kind::AnchorExpires, severity, Some(view.asset.id), "")
            .at(places)
            .deadline(Some(end))
            .pages(ladder.page)
            .summary(format!("the root {} {verb} {WHEN}; {leaves} certificate{plural} on it", view.title()))
            .hint(hint)
            .evidence("dependents", leaves)
            .evidence("depend_on_it", named(anchor))
            .evidence("key_seen", view.key_seen)
            .evidence("later_root_known", anchor.has_later_twin);
        Verdict::found(finding, next)
    }
}

/// The ladder of a CA; an anchor takes weeks to replace, so that it speaks 90 days ahead, unless it lives for less than
/// three times that.
fn ladder(lifetime: i64) -> Ladder {
    let ca = Ladder::for_ca(lifetime);
    Ladder { warning: ca.warning.max((90 * DAY).min(lifetime / 3)), ..ca }
}

/// The places where nothing takes its place: all, where no later one is known.
pub(super) fn exposed<'a>(anchor: &AnchorView<'a>, wanted: impl Fn(&Location) -> bool) -> Vec<&'a Location> {
    let places = anchor.places.iter().filter(|p| !anchor.has_later_twin || !p.replaced);
    places.map(|p| &p.place.location).filter(|location| wanted(location)).collect()
}

/// Where what depends on it is.
pub(super) fn named(anchor: &AnchorView<'_>) -> Vec<String> {
    let locations = anchor.dependents.iter().flat_map(|d| &d.locations);
    let mut out: Vec<String> = locations.map(|location| location.to_string()).collect();
    out.sort_unstable();
    out.dedup();
    out.truncate(NAMED_MAX);
    out
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::inventory::Role;
    use crate::rules::scene::Scene;

    fn check(scene: Scene, severity: Option<Severity>) {
        scene.check(&super::AnchorExpires, severity.map(|s| (Kind::AnchorExpires, s)));
    }

    fn cluster(in_all: i64, left: i64) -> Scene {
        Scene::root("cluster").lives(in_all, left).at_file("/etc/kubernetes/pki/ca.crt", Role::Root)
    }

    #[test]
    fn what_stands_on_it_dies_with_it() {
        check(cluster(365, 90).depended_on(3), Some(Severity::Warning));
        check(cluster(365, 6).depended_on(3), Some(Severity::Critical));
        check(cluster(365, -1).depended_on(3), Some(Severity::Critical));
        check(cluster(3650, 300).depended_on(1), Some(Severity::Warning));
        // In a folder of roots as well, and where the new one does not lie beside it.
        let store = Scene::root("ours")
            .lives(365, 30)
            .at_file("/usr/local/share/ca-certificates/a.crt", Role::TrustAnchor);
        check(store.depended_on(1), Some(Severity::Critical));
        check(cluster(365, 90).depended_on(3).later_twin(false), Some(Severity::Warning));
    }

    #[test]
    fn healthy() {
        check(cluster(365, 200).depended_on(3), None);
        let manual = Scene::root("example").lives(365, -200);
        let manual = manual.at_file("/usr/share/doc/prometheus/examples/tls/ca.pem", Role::Root);
        check(manual.depended_on(2), None);
        check(cluster(365, 6).depended_on(0), None);
        check(cluster(365, 6).depended_on(3).later_twin(true), None);
        check(cluster(365, -6).depended_on(3).later_twin(false), None);
        check(cluster(365, 6).depended_on(3).public_anchor(), None);
        // Anchors of a day, made anew each day.
        check(cluster(1, 1).depended_on(3), None);
        let image = Scene::root("ours").lives(365, 30).at_file("/srv/layer.tar!/ca.pem", Role::Root);
        check(image.depended_on(1), None);
    }
}

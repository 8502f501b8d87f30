//! `embedded-anchor-expires`: a trust anchor inside of an image, firmware, an archive or a program ends.
//!
//! What carries it has to be built, shipped and installed anew, so it speaks a year ahead. A single root is there on
//! purpose; one among many, or an intermediate, speaks only if something seen here stands on it: the bundles of
//! systems are full of dead roots. Where a later root of its name and key lies in the same file it is silent.

use notafter_pki::time::DAY;

use super::anchor_expires::{exposed, named};
use crate::UnixTime;
use crate::deadline::Ladder;
use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::inventory::Role;
use crate::joints::{Rule, RuleInfo, Verdict};
use crate::location::Location;

/// The rule.
pub struct EmbeddedAnchorExpires;

/// So long after its end one on which nothing seen here stands is told of, and then for as long again a line.
const STILL: i64 = 30 * DAY;

impl Rule for EmbeddedAnchorExpires {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::EmbeddedAnchorExpires,
            doc: "a trust anchor inside of an image, an archive or a program ends within a year",
            citation: "RFC 5280 section 6.1.1 (d); Oculus Rift, 7 March 2018",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, certificate)) = dossier.certificate() else { return Verdict::NotApplicable };
        let (Some(anchor), Some(end)) = (&view.anchor, view.asset.not_after) else {
            return Verdict::NotApplicable;
        };
        let places = exposed(anchor, Location::is_embedded);
        if places.is_empty() || end >= UnixTime::NO_EXPIRY {
            return Verdict::NotApplicable;
        }
        let leaves = anchor.dependents_total;
        let on_purpose = certificate.is_self_issued() && view.has_role(Role::Root);
        let since = now.0.saturating_sub(end.0);
        if leaves == 0 && (!on_purpose || since > 2 * STILL) {
            return Verdict::NotApplicable;
        }
        let lifetime = view.lifetime();
        let ca = Ladder::for_ca(lifetime);
        let ladder = Ladder { warning: ca.warning.max((365 * DAY).min(lifetime / 2)), ..ca };
        let (step, next) = ladder.step(end, now);
        let dead = [0, STILL, 2 * STILL].map(|after| end.plus(after + 1));
        let next = next.or(dead.into_iter().find(|at| *at > now));
        let Some(severity) = step.severity() else { return Verdict::Pass { holds_until: next } };
        // An end that was not prevented is not over; what it was to be trusted for was not seen, and after a while it
        // only lies there.
        let severity = match leaves {
            0 if view.is_only_published() || since > STILL => Severity::Info,
            0 if since > 0 => Severity::Warning,
            _ => severity,
        };
        let verb = if now > end { "expired" } else { "expires" };
        let standing = match leaves {
            0 => String::new(),
            1 => "; one certificate seen here stands on it".to_owned(),
            n => format!("; {n} certificates seen here stand on it"),
        };
        let finding = Finding::new(Kind::EmbeddedAnchorExpires, severity, Some(view.asset.id), "")
            .at(places)
            .deadline(Some(end))
            .pages(0)
            .summary(format!("the trust anchor {}, built into what is shipped, {verb} {WHEN}{standing}", view.title()))
            .hint("build and ship an update with its successor beside it, long before; devices that are off, reset or restored later come back with the old one, so keep a way to update them that does not need it")
            .evidence("dependents", leaves)
            .evidence("depend_on_it", named(anchor))
            .evidence("later_root_known", anchor.has_later_twin);
        Verdict::found(finding, next)
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::inventory::Role;
    use crate::rules::scene::Scene;

    fn check(scene: Scene, severity: Option<Severity>) {
        scene.check(&super::EmbeddedAnchorExpires, severity.map(|s| (Kind::EmbeddedAnchorExpires, s)));
    }

    fn built_in(left: i64, role: Role) -> Scene {
        Scene::root("Device Root").lives(3650, left).at_file("/srv/fw.bin@0x1f40", role)
    }

    #[test]
    fn a_year_ahead() {
        check(built_in(364, Role::Root).depended_on(0), Some(Severity::Warning));
        check(built_in(364, Role::Root).depended_on(2).later_twin(false), Some(Severity::Warning));
        check(built_in(100, Role::Root).depended_on(2), Some(Severity::Critical));
        check(built_in(-1, Role::Root).depended_on(2), Some(Severity::Critical));
        check(built_in(300, Role::TrustAnchor).depended_on(1), Some(Severity::Warning));
        // Nothing seen here stands on it, and it has ended: that is no mending.
        check(built_in(-1, Role::Root).depended_on(0), Some(Severity::Warning));
        check(built_in(-29, Role::Root).depended_on(0), Some(Severity::Warning));
        check(built_in(-31, Role::Root).depended_on(0), Some(Severity::Info));
        let example = Scene::root("Example").lives(3650, 100).at_file("/usr/share/doc/x/ca.h", Role::Root);
        check(example.depended_on(0), Some(Severity::Info));
    }

    #[test]
    fn healthy() {
        check(built_in(400, Role::Root).depended_on(2), None);
        check(built_in(100, Role::TrustAnchor).depended_on(0), None);
        check(built_in(-1000, Role::Root).depended_on(0), None);
        check(built_in(-1, Role::TrustAnchor).depended_on(0), None);
        check(built_in(-1, Role::Root).depended_on(0).later_twin(true), None);
        check(built_in(100, Role::Root).depended_on(2).later_twin(true), None);
        let plain = Scene::root("ours").lives(3650, 100).at_file("/etc/ours/ca.crt", Role::Root);
        check(plain.depended_on(2), None);
    }
}

//! `default-vhost-stale`: what a server shows to those who send no name has been forgotten, while its named
//! certificates are well.
//!
//! Worth a line, not a call: few clients send no name. It is told of the address and port, found by way of the names
//! that are served there. It says nothing of whether somebody needs it: that its end comes is said by `expires-soon`.

use crate::UnixTime;
use crate::deadline::{Ladder, Step};
use crate::dossier::{Dossier, Subject};
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::inventory::Asset;
use crate::joints::{Rule, RuleInfo, Verdict};
use notafter_pki::time::DAY;

/// The rule.
pub struct DefaultVhostStale;

impl Rule for DefaultVhostStale {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::DefaultVhostStale,
            doc: "a server shows a certificate that ends to those who send no name, and good ones to the others",
            citation: "RFC 6066 section 3: what a server shows without a server name is its own choice",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Subject::Name(view) = &dossier.subject else { return Verdict::NotApplicable };
        if view.defaults.is_empty() {
            return Verdict::NotApplicable;
        }
        let mut holds_until: Option<UnixTime> = None;
        let mut step_of = |asset: &Asset| {
            let end = asset.not_after?;
            let begin = asset.not_before.unwrap_or(end);
            let (step, next) = Ladder::for_leaf(end.0.saturating_sub(begin.0)).step(end, now);
            holds_until = holds_until.into_iter().chain(next).min();
            Some((end, step))
        };
        let mut findings = Vec::new();
        for (place, asset) in &view.defaults {
            let here = || {
                view.served.iter().filter(|(named, _)| named.location.address() == place.location.address())
            };
            // One of two keys of a name that is well, or the very same: nothing is forgotten.
            if here().any(|(_, named)| named.id == asset.id) {
                continue;
            }
            let Some((end, step)) = step_of(asset) else { continue };
            let healthy =
                here().filter(|(_, named)| step_of(named).is_some_and(|(_, step)| step == Step::Quiet));
            let Some((named, _)) = healthy.map(|(named, _)| (named, ())).next() else { continue };
            if step == Step::Quiet {
                continue;
            }
            let verb = if end < now { "expired" } else { "expires" };
            let finding =
                Finding::new(Kind::DefaultVhostStale, Severity::Info, Some(asset.id), place.location.as_str())
                    .at([&place.location])
                    .deadline(Some(end))
                    .summary(format!(
                        "what {} shows to clients that send no name {verb} {WHEN}; what it shows for {} is well",
                        place.location.container(),
                        view.name,
                    ))
                    .hint(
                        "if a client of yours sends no name, renew it; else let the default be one that is renewed, or \
                         refuse connections without a name",
                    )
                    .evidence("named", &named.location);
            findings.push(finding);
        }
        if findings.is_empty() {
            return Verdict::Pass { holds_until };
        }
        // The default is no address of this name: that it was replaced touches nothing here, so it is looked at daily.
        let holds_until = holds_until.into_iter().chain([now.plus(DAY)]).min();
        Verdict::Found { findings, holds_until }
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::{Scene, name_with_default};

    #[test]
    fn forgotten_behind_a_good_one() {
        let check = |named: i64, default: i64, expected: bool| {
            let leaf = |left| Scene::leaf("a.test").lives(90, left);
            let found = expected.then_some((Kind::DefaultVhostStale, Severity::Info));
            name_with_default(leaf(named), leaf(default), &super::DefaultVhostStale, found);
        };
        check(80, 2, true);
        check(80, 20, true);
        check(80, -5, true);
        check(80, 70, false);
        check(2, 1, false);
    }
}

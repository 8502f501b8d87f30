//! `renewal-failing`: the renewer tries and fails, or will fail at its next attempt.
//!
//! Said in the tool's own words, with how often and since when. One attempt that failed long before the certificate's
//! time is worth a line: the next one comes in a day.

use crate::UnixTime;
use crate::dossier::{AssetView, Dossier, ManagedView};
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::joints::{Rule, RuleInfo, Verdict};
use notafter_pki::time::DAY;

use crate::renewers::{Cause, failures, severity};

/// The rule.
pub struct RenewalFailing;

/// A single failure may stand so long before it is more than that, in seconds.
const ALONE: i64 = DAY + DAY / 2;

impl Rule for RenewalFailing {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::RenewalFailing,
            doc: "a renewer's last attempts failed, or its state (links, account) will make the next one fail",
            citation: "recorded outage I48: one name could not be validated, which kept all from being renewed",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let mut next = None;
        let mut findings = Vec::new();
        let mut asked = false;
        for one in view.automatic(now) {
            asked = true;
            let ahead = one.renewal.failures.as_ref().map(|f| f.first).filter(|t| *t > now);
            next = [next, ahead].into_iter().flatten().min();
            if let Some((finding, until)) = judge(one, view, now) {
                findings.push(finding);
                next = [next, until].into_iter().flatten().min();
            }
        }
        match (asked, findings.is_empty()) {
            (false, _) => Verdict::NotApplicable,
            (true, true) => Verdict::Pass { holds_until: next },
            (true, false) => Verdict::Found { findings, holds_until: next },
        }
    }
}

fn judge(one: &ManagedView<'_>, view: &AssetView<'_>, now: UnixTime) -> Option<(Finding, Option<UnixTime>)> {
    let renewal = one.renewal;
    let failed = failures(one, view, now);
    if failed.is_none() && renewal.broken.is_empty() {
        return None;
    }
    let (severity, mut next) = severity(view, now);
    let late = one.due(view.asset).is_some_and(|(_, late)| late <= now);
    let alone = failed.filter(|f| f.count == 1 && renewal.broken.is_empty() && !late);
    let grows = alone.map(|f| f.last.plus(ALONE)).filter(|t| *t > now);
    let severity = if grows.is_some() || one.left_behind { Severity::Info } else { severity };
    next = [next, grows].into_iter().flatten().min();
    let mut finding = Finding::new(Kind::RenewalFailing, severity, Some(view.asset.id), renewal.key())
        .at([&renewal.state])
        .at(&renewal.certificates)
        .deadline(view.asset.not_after)
        .evidence("renewer", &renewal.tool)
        .evidence("lineage", &renewal.lineage);
    let tool = &renewal.tool;
    let title = view.title();
    finding = match (failed, renewal.broken.first()) {
        (Some(failed), _) => {
            let times = match failed.count {
                1 => format!("failed on {}", failed.last),
                n => format!("failed {n} times since {}", failed.first),
            };
            finding
                .at([&failed.place])
                .summary(format!(
                    "{tool} {times} to renew {title}, which ends {WHEN}: {}",
                    failed.message.trim()
                ))
                .hint(Cause::of(one, view, now).hint(renewal))
                .evidence("failures", failed.count)
                .evidence("since", failed.first.to_string())
                .evidence("last", failed.last.to_string())
                .evidence("message", &failed.message)
        }
        (None, broken) => {
            let why = broken.map_or("", String::as_str);
            finding
                .summary(format!("{tool} will fail to renew {title}, which ends {WHEN}: {why}"))
                .hint(Cause::of(one, view, now).hint(renewal))
        }
    };
    if one.left_behind {
        finding = finding.hint(format!(
            "a later certificate for the same names is in use: take this lineage out of {tool}, or see why it is still there"
        ));
    }
    if !renewal.broken.is_empty() {
        finding = finding.evidence("broken", renewal.broken.clone());
    }
    Some((finding, next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location::Location;
    use crate::rules::scene::{Scene, days, renewal};
    use crate::upkeep::{Failures, Upkeep};

    fn failing(count: u32, first: i64, last: i64) -> Upkeep {
        let place = Location::file(b"/var/log/letsencrypt/letsencrypt.log", "");
        let (first, last) = (days(first).plus(-60), days(last).plus(-60));
        let message = "Some challenges have failed.".to_owned();
        Upkeep { failures: Some(Failures { count, first, last, message, place }), ..renewal() }
    }

    fn check(scene: Scene, severity: Option<Severity>) {
        scene.in_file().check(&RenewalFailing, severity.map(|s| (Kind::RenewalFailing, s)));
    }

    #[test]
    fn what_fails_and_will_fail() {
        let leaf = |left| Scene::leaf("a.test").lives(90, left);
        check(leaf(28).managed(failing(4, -2, 0)), Some(Severity::Warning));
        check(leaf(5).managed(failing(40, -20, 0)), Some(Severity::Critical));
        check(leaf(29).managed(failing(1, 0, 0)), Some(Severity::Info));
        check(leaf(29).managed(failing(1, -2, -2)), Some(Severity::Warning));
        let broken = Upkeep { broken: vec!["its account is gone".into()], ..renewal() };
        check(leaf(80).managed(broken), Some(Severity::Warning));
        check(leaf(28).managed(failing(4, -2, 0)).left_behind(), Some(Severity::Info));
    }

    #[test]
    fn what_does_not() {
        let leaf = |left| Scene::leaf("a.test").lives(90, left);
        check(leaf(28).managed(renewal()), None);
        check(leaf(28), None);
        // It failed before this certificate came.
        check(leaf(89).managed(failing(3, -5, -2)), None);
        // It has not happened yet.
        check(leaf(60).managed(failing(3, 30, 32)), None);
        check(leaf(28).managed(Upkeep { automatic: false, ..failing(4, -2, 0) }), None);
    }
}

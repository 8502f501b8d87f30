//! `renewer-dead`: nothing starts the renewer, or nothing has for longer than its rhythm.
//!
//! One finding for a tool and its folder, whatever it renews. That no starter was found counts only where one would
//! have been seen, and only once a renewal is due: something that we cannot see may start it well.

use crate::UnixTime;
use crate::dossier::{AssetView, Dossier, ManagedView};
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};
use notafter_pki::time::DAY;

use crate::renewers::{by_hand, dead, revive, severity};

/// The rule.
pub struct RenewerDead;

impl Rule for RenewerDead {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::RenewerDead,
            doc: "the timer or cron line of a renewer is missing, disabled, or has not started it for three of its \
                  rhythms (three days at least)",
            citation: "recorded outages I48 and I52: the renewer was also the only watcher",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let mut next: Option<UnixTime> = None;
        let mut findings = Vec::new();
        let mut asked = false;
        for one in view.automatic(now).filter(|m| !m.left_behind && !m.renewal.resident) {
            asked = true;
            let (finding, until) = judge(one, view, now);
            findings.extend(finding);
            next = [next, until].into_iter().flatten().min();
        }
        match (asked, findings.is_empty()) {
            (false, _) => Verdict::NotApplicable,
            (true, true) => Verdict::Pass { holds_until: next },
            (true, false) => Verdict::Found { findings, holds_until: next },
        }
    }
}

fn judge(one: &ManagedView<'_>, view: &AssetView<'_>, now: UnixTime) -> (Option<Finding>, Option<UnixTime>) {
    let renewal = one.renewal;
    let known = one.known_until(now);
    let due = one.due(view.asset).map(|(due, _)| due);
    let silent = renewal.dead_from();
    let (severity, step) = match silent {
        Some(from) if from <= known => severity(view, now),
        // Its time has come, and nobody has looked since: looked at again, it can be told.
        Some(from) if from <= now => return (None, Some(now.plus(DAY))),
        Some(from) => return (None, Some(from)),
        None if !renewal.nothing_starts_it() => return (None, None),
        // Never seen to run. A timer that is switched off says more than none.
        None if renewal.starter.is_some() || due.is_some_and(|due| due <= now) => severity(view, now),
        None => (Severity::Info, due),
    };
    let tool = &renewal.tool;
    let finding = Finding::new(Kind::RenewerDead, severity, None, format!("{tool} {}", renewal.home))
        .at([&renewal.state])
        .at(renewal.starter.iter().map(|s| &s.place))
        .at(&renewal.certificates)
        .summary(match silent {
            Some(_) => format!("{tool} does not run any more: {}", dead(renewal)),
            None => format!("nothing was found that runs {tool}: {}", dead(renewal)),
        })
        .hint(format!("run `{}` now; {}", by_hand(renewal), revive(renewal)))
        .evidence("renewer", tool)
        .evidence("home", &renewal.home)
        .evidence("starter", renewal.starter.as_ref().map_or("none", |s| s.what.as_str()));
    let finding = match renewal.last_run {
        Some(last) => finding.evidence("last_run", last.to_string()),
        None => finding,
    };
    (Some(finding), step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::scene::{Scene, days, renewal};
    use crate::upkeep::{Starter, Upkeep};

    fn check(left: i64, renewal: Upkeep, severity: Option<Severity>) {
        let scene = Scene::leaf("a.test").lives(90, left).in_file().managed(renewal);
        scene.check(&RenewerDead, severity.map(|s| (Kind::RenewerDead, s)));
    }

    fn started(enabled: bool, every: i64, last_run: Option<i64>) -> Upkeep {
        let one = renewal();
        let starter = Starter { enabled, every: Some(every * DAY), ..one.starter.clone().unwrap() };
        Upkeep { starter: Some(starter), last_run: last_run.map(days), ..one }
    }

    fn alone(known: bool, last_run: Option<i64>) -> Upkeep {
        Upkeep { starter: None, starter_known: known, last_run: last_run.map(days), ..renewal() }
    }

    #[test]
    fn dead() {
        check(60, started(true, 1, Some(-40)), Some(Severity::Warning));
        check(60, started(false, 1, Some(-4)), Some(Severity::Warning));
        check(60, started(false, 1, None), Some(Severity::Warning));
        check(5, started(true, 1, Some(-40)), Some(Severity::Critical));
        check(60, alone(false, Some(-4)), Some(Severity::Warning));
        check(60, alone(true, None), Some(Severity::Info));
        check(30, alone(true, None), Some(Severity::Warning));
        check(60, started(true, 7, Some(-22)), Some(Severity::Warning));
    }

    #[test]
    fn alive() {
        check(60, renewal(), None);
        check(60, started(true, 7, Some(-20)), None);
        // Whatever starts it, it runs.
        check(60, alone(true, Some(-1)), None);
        check(60, started(false, 1, Some(-1)), None);
        check(60, started(true, 1, None), None);
        check(30, alone(false, None), None);
        check(60, Upkeep { resident: true, ..started(true, 1, Some(-40)) }, None);
        check(60, Upkeep { automatic: false, ..started(true, 1, Some(-40)) }, None);
    }
}

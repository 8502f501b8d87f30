//! `renewal-overdue`: the day on which it should have changed by itself has passed.
//!
//! The day is the renewer's own plan, or follows from how long before the end it renews, so that it comes weeks before
//! the end and says why. Where no renewer is known, it is the day that its predecessors' lives make expect, if they had a
//! habit and it comes before the usual warning; what a person renews when it is time is `expires-soon`'s.

use crate::UnixTime;
use crate::dossier::{AssetView, Dossier};
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::joints::{Rule, RuleInfo, Verdict};
use crate::outlook::due_by_habit;
use crate::renewers::{Cause, severity};

/// The rule.
pub struct RenewalOverdue;

impl Rule for RenewalOverdue {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::RenewalOverdue,
            doc: "a renewer was to renew it by now, by its own plan (certbot's, acme.sh's, lego's, dehydrated's, \
                  Caddy's) and a day of grace, or as its predecessors were, and did not",
            citation: "recorded outages I48 and I52: a renewer that was stuck for a month and said nothing",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let Some((one, due, late)) = view.changes(now) else { return by_habit(view, now) };
        if one.left_behind {
            return Verdict::Pass { holds_until: None };
        }
        if now < late {
            return Verdict::Pass { holds_until: Some(late) };
        }
        // The new one is there, and what is served is still this: `renewed-not-loaded` says what to do.
        if view.successors.iter().any(|s| s.link.is_some()) {
            return Verdict::Pass { holds_until: None };
        }
        let renewal = one.renewal;
        let (severity, next) = severity(view, now);
        let ended = view.asset.not_after.is_some_and(|end| end <= now);
        let severity = if ended && view.served_at().next().is_none() { Severity::Warning } else { severity };
        let cause = Cause::of(one, view, now);
        let verb = if ended { "ended" } else { "ends" };
        let finding = Finding::new(Kind::RenewalOverdue, severity, Some(view.asset.id), "")
            .at([&renewal.state])
            .at(view.locations())
            .deadline(view.asset.not_after)
            .summary(format!(
                "{} was to renew {} on {} and has not: {}; it {verb} {WHEN}",
                renewal.tool,
                view.title(),
                day(due),
                cause.words(renewal)
            ))
            .hint(cause.hint(renewal))
            .evidence("renewer", &renewal.tool)
            .evidence("lineage", &renewal.lineage)
            .evidence("due", due.to_string())
            .evidence("overdue_since", late.to_string())
            .evidence("cause", cause.words(renewal));
        Verdict::found(finding, next)
    }
}

/// By what became of its predecessors: of one that is in use here, and that no known renewer keeps.
fn by_habit(view: &AssetView<'_>, now: UnixTime) -> Verdict {
    let (Some(begin), Some(end)) = (view.asset.not_before, view.asset.not_after) else {
        return Verdict::NotApplicable;
    };
    let kept = !view.managed.is_empty() || view.superseded_by.is_some() || !view.successors.is_empty();
    if kept || now >= end || view.served_at().next().is_none() {
        return Verdict::NotApplicable;
    }
    let Some((due, late)) = due_by_habit(begin, end, &view.habit) else { return Verdict::NotApplicable };
    if now < late {
        return Verdict::Pass { holds_until: Some(late) };
    }
    let (severity, next) = severity(view, now);
    let finding = Finding::new(Kind::RenewalOverdue, severity, Some(view.asset.id), "")
        .at(view.locations())
        .deadline(Some(end))
        .summary(format!(
            "{} was to be replaced on {}, as its {} predecessors were, and nothing newer was seen; it ends {WHEN}",
            view.title(),
            day(due),
            view.habit.len()
        ))
        .hint(
            "find what renewed it until now and see why it did not: its log, its timer or cron line, its account with the \
             CA; else renew it by hand",
        )
        .evidence("due", due.to_string())
        .evidence("overdue_since", late.to_string())
        .evidence("predecessors", view.habit.len() as i64);
    Verdict::found(finding, next)
}

/// The date alone.
fn day(at: UnixTime) -> String {
    at.to_string().split('T').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::scene::{Scene, days, renewal};
    use crate::upkeep::{Before, Upkeep};
    use notafter_pki::time::DAY;

    fn check(scene: Scene, severity: Option<Severity>) {
        scene.in_file().check(&RenewalOverdue, severity.map(|s| (Kind::RenewalOverdue, s)));
    }

    #[test]
    fn past_the_plan_and_a_day() {
        let overdue = |life, left| Scene::leaf("a.test").lives(life, left).managed(renewal());
        check(overdue(90, 28), Some(Severity::Warning));
        check(overdue(90, 9), Some(Severity::Critical));
        check(overdue(90, -1), Some(Severity::Warning));
        check(overdue(90, -1).served(), Some(Severity::Critical));
        let share = || Upkeep { before: Some(Before::Share), ..renewal() };
        check(Scene::leaf("a.test").lives(47, 14).managed(share()), Some(Severity::Warning));
        check(Scene::leaf("a.test").lives(6, 1).managed(share()), Some(Severity::Warning));
        let planned = Upkeep { planned: Some(days(-3)), ..renewal() };
        check(Scene::leaf("a.test").lives(90, 70).managed(planned), Some(Severity::Warning));
    }

    #[test]
    fn healthy() {
        let one = |life, left, before| {
            let renewal = Upkeep { before: Some(before), ..renewal() };
            check(Scene::leaf("a.test").lives(life, left).managed(renewal).served(), None);
        };
        one(90, 29, Before::Seconds(30 * DAY));
        one(90, 10, Before::Seconds(10 * DAY));
        one(47, 15, Before::Share);
        one(47, 11, Before::Seconds(11 * DAY));
        one(6, 3, Before::Share);
        // Told thirty days, it lives for six: renewed at every run.
        one(6, 5, Before::Seconds(30 * DAY));
        let late = || Scene::leaf("a.test").lives(90, 20);
        check(late().managed(Upkeep { automatic: false, ..renewal() }), None);
        check(late(), None);
        check(late().managed(renewal()).left_behind(), None);
        check(late().managed(renewal()).served().succeeded(Some("n.conf:7")), None);
        check(Scene::leaf("a.test").lives(90, -40).managed(renewal()), None);
        // Of two that renew the same file, one has time.
        let slow = Upkeep { lineage: "b".into(), before: Some(Before::Seconds(10 * DAY)), ..renewal() };
        check(late().managed(renewal()).managed(slow), None);
    }
}

//! What the rules about dated things that are no certificates share: a ladder, and what comes after its end.
//!
//! No rule of its own. Each rule names its kind of asset, the ladder and the words; here it is decided whether it is
//! time to speak. Nothing here knows why a thing matters: a key that lies in a package's own files is the package's.

use crate::UnixTime;
use crate::calendar::Due;
use crate::deadline::Ladder;
use crate::dossier::{AssetView, Dossier};
use crate::finding::{Fact, Finding, Kind, Severity, WHEN};
use crate::inventory::AssetKind;
use crate::joints::Verdict;
use notafter_pki::time::DAY;

/// How one kind of thing ends.
pub(crate) struct Ending {
    /// What the finding is.
    pub(crate) kind: Kind,
    /// From a lifetime in seconds to when to speak.
    pub(crate) ladder: fn(i64) -> Ladder,
    /// What happens at the end, after the title: `stops working`, `is no longer believed`.
    pub(crate) ends: &'static str,
    /// The same, in the past.
    pub(crate) ended: &'static str,
    /// What to do.
    pub(crate) hint: &'static str,
}

/// So long after its end a thing still breaks what uses it; later it only lies about.
const FRESH: i64 = 30 * DAY;

/// The asset, if it is of one of these kinds and somebody's here.
pub(crate) fn of_kind<'d, 'a>(dossier: &'d Dossier<'a>, kinds: &[AssetKind]) -> Option<&'d AssetView<'a>> {
    let view = dossier.asset()?;
    (kinds.contains(&view.asset.kind) && !view.is_only_published()).then_some(view)
}

/// Is it time to speak?
pub(crate) fn judge(dossier: &Dossier<'_>, view: &AssetView<'_>, ending: &Ending, now: UnixTime) -> Verdict {
    // Without a beginning, a year is what such a thing lives.
    judge_living(dossier, view, ending, 365 * DAY, now)
}

/// The same; what does not say when it began lives for `usual` seconds.
pub(crate) fn judge_living(
    dossier: &Dossier<'_>,
    view: &AssetView<'_>,
    ending: &Ending,
    usual: i64,
    now: UnixTime,
) -> Verdict {
    let Some(end) = view.asset.not_after.filter(|end| *end < UnixTime::NO_EXPIRY) else {
        return Verdict::NotApplicable;
    };
    let begin = view.asset.not_before.unwrap_or(end.plus(-usual));
    let lifetime = end.0.saturating_sub(begin.0);
    let title = view.title();
    let ladder = (ending.ladder)(lifetime);
    let found = |severity, deadline, summary: String| {
        Finding::new(ending.kind, severity, Some(view.asset.id), "")
            .at(view.locations())
            .deadline(Some(deadline))
            .pages(ladder.page)
            .summary(summary)
            .hint(ending.hint)
            .evidence("lifetime_days", lifetime / DAY)
    };
    if now > end {
        let old = end.plus(FRESH.max(lifetime));
        let severity = if now < old { Severity::Critical } else { Severity::Info };
        let holds = (now < old).then_some(old);
        return Verdict::found(found(severity, end, format!("{title} {} {WHEN}", ending.ended)), holds);
    }
    // What ends when nobody may change anything has to be done before.
    let due = due_of(dossier, begin, end);
    let (step, next) = ladder.step(due.at, now);
    let next = next.or(Some(end.plus(1)));
    let Some(severity) = step.severity() else { return Verdict::Pass { holds_until: next } };
    let summary = match moved(&due, now) {
        None => format!("{title} {} {WHEN}", ending.ends),
        Some(words) => format!("{title} {} on {}, {words}", ending.ends, end.date()),
    };
    Verdict::found(found(severity, due.at, summary), next)
}

/// The last instant to act on what lives so long, by the calendar of its owner.
pub(crate) fn due_of<'d>(dossier: &'d Dossier<'_>, begin: UnixTime, end: UnixTime) -> Due<'d> {
    dossier.policy.calendar.due_of(begin, end, dossier.owner.map(|o| o.name.as_str()))
}

/// Why the last instant to act is another one than the end, in words.
pub(crate) fn moved(due: &Due<'_>, now: UnixTime) -> Option<String> {
    let why = due.because?;
    let is = if due.at < now { "was" } else { "is" };
    Some(format!("when nobody may change anything ({why}): the last moment to act {is} {WHEN}"))
}

/// The same findings, none worse than `most`.
pub(crate) fn at_most(verdict: Verdict, most: Severity) -> Verdict {
    match verdict {
        Verdict::Found { mut findings, holds_until } => {
            for finding in &mut findings {
                finding.severity = finding.severity.max(most);
            }
            Verdict::Found { findings, holds_until }
        }
        other => other,
    }
}

/// The same findings with one more fact.
pub(crate) fn with_fact(verdict: Verdict, name: &'static str, value: impl Into<Fact>) -> Verdict {
    match verdict {
        Verdict::Found { mut findings, holds_until } => {
            let value = value.into();
            findings.iter_mut().for_each(|finding| finding.evidence.push((name, value.clone())));
            Verdict::Found { findings, holds_until }
        }
        other => other,
    }
}

/// The same findings with one more sentence about what to do.
pub(crate) fn with_hint(verdict: Verdict, more: &str) -> Verdict {
    match verdict {
        Verdict::Found { mut findings, holds_until } => {
            for finding in &mut findings {
                finding.hint.push_str("; ");
                finding.hint.push_str(more);
            }
            Verdict::Found { findings, holds_until }
        }
        other => other,
    }
}

/// What is published anew all the time (lists, staples, metadata): half the period is left when it is late, a quarter
/// when it is critical.
pub(crate) fn published(lifetime: i64) -> Ladder {
    let lifetime = lifetime.max(0);
    Ladder {
        warning: (lifetime / 2).min(30 * DAY),
        critical: (lifetime / 4).min(14 * DAY),
        page: (lifetime / 10).min(7 * DAY),
    }
}

/// What a person has to replace in many places: a third of the life, but so many days at most.
pub(crate) fn shares(lifetime: i64, warning_days: i64, critical_days: i64, page_days: i64) -> Ladder {
    let lifetime = lifetime.max(0);
    Ladder {
        warning: (lifetime / 3).min(warning_days * DAY),
        critical: (lifetime / 6).min(critical_days * DAY),
        page: (lifetime / 20).min(page_days * DAY),
    }
}

#[cfg(test)]
pub(crate) mod scene {
    use std::sync::Arc;

    use super::*;
    use crate::Fingerprint;
    use crate::dossier::{Around, Subject};
    use crate::inventory::{Asset, AssetIx, BytesAt, Placement, Role};
    use crate::joints::Rule;
    use crate::location::Location;
    use crate::observation::Facts;
    use crate::rules::scene::{NOW, judge};
    use notafter_pki::statement::{Statement, StatementKind};

    /// Something of this kind that lives so many days, with so many left, in a file.
    pub(crate) fn check(
        rule: &dyn Rule,
        kind: AssetKind,
        life: (i64, i64),
        path: &str,
        expected: Option<(Kind, Severity)>,
    ) {
        check_stated(rule, kind, life, path, |s| s, Facts::default(), |_| Around::default(), expected);
    }

    /// The same, with what it states, what is known of its place, and what is around it.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn check_stated(
        rule: &dyn Rule,
        kind: AssetKind,
        (lives, left): (i64, i64),
        path: &str,
        stated: impl FnOnce(Statement) -> Statement,
        facts: Facts,
        around: impl for<'a> FnOnce(&'a Placement) -> Around<'a>,
        expected: Option<(Kind, Severity)>,
    ) {
        let (end, begin) = (NOW.plus(left * DAY), NOW.plus((left - lives) * DAY));
        let asset = Asset {
            id: Fingerprint([5; 32]),
            kind,
            bytes: BytesAt { offset: 0, length: 0 },
            not_before: Some(begin),
            not_after: Some(end),
            key: None,
        };
        let place = Placement {
            asset: AssetIx(0),
            location: Location::file(path.as_bytes(), ""),
            role: Role::Signer,
            chain: None,
            first_seen: NOW,
            last_seen: NOW,
            unseen_since: None,
            facts: Arc::new(facts),
        };
        let view = AssetView {
            statement: Some(stated(Statement::new(StatementKind::Token, "the thing"))),
            around: around(&place),
            ..AssetView::bare(&asset, vec![&place])
        };
        judge(Subject::Asset(view), rule, None, expected);
    }

    /// The same, with what it states, and beside one that has taken its place or not.
    pub(crate) fn check_beside(
        rule: &dyn Rule,
        kind: AssetKind,
        life: (i64, i64),
        path: &str,
        stated: impl FnOnce(Statement) -> Statement,
        overtaken: bool,
        expected: Option<(Kind, Severity)>,
    ) {
        check_stated(
            rule,
            kind,
            life,
            path,
            stated,
            Facts::default(),
            |place| Around { overtaken_by: overtaken.then_some(&place.location), ..Around::default() },
            expected,
        );
    }

    /// What is said of one in a file by an organisation with this calendar.
    pub(crate) fn by_calendar(
        rule: &dyn Rule,
        kind: AssetKind,
        (lives, left): (i64, i64),
        calendar: &crate::calendar::Calendar,
    ) -> Option<(Severity, String)> {
        let asset = Asset {
            id: Fingerprint([5; 32]),
            kind,
            bytes: BytesAt { offset: 0, length: 0 },
            not_before: Some(NOW.plus((left - lives) * DAY)),
            not_after: Some(NOW.plus(left * DAY)),
            key: None,
        };
        let place = Placement {
            asset: AssetIx(0),
            location: Location::file(b"/srv/app/thing", ""),
            role: Role::Signer,
            chain: None,
            first_seen: NOW,
            last_seen: NOW,
            unseen_since: None,
            facts: Arc::new(Facts::default()),
        };
        let statement = Statement::new(StatementKind::Token, "the thing");
        let view = AssetView { statement: Some(statement), ..AssetView::bare(&asset, vec![&place]) };
        let policy = crate::policy::Policy { calendar: calendar.clone(), ..crate::policy::Policy::default() };
        let dossier = Dossier { subject: Subject::Asset(view), policy: &policy, owner: None };
        match rule.check(&dossier, NOW) {
            Verdict::Found { findings, .. } => findings.into_iter().next().map(|f| (f.severity, f.summary)),
            _ => None,
        }
    }
}

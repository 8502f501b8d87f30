//! `source-stale`: a source has not succeeded for too long. Silence is never green.

use crate::UnixTime;
use crate::dossier::{Dossier, Subject};
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct SourceStale;

/// So many rounds may be missed; a slow round is not a dead one.
const ROUNDS: i64 = 3;
/// And so many seconds at least: a restart in between is no alarm.
const LEAST: i64 = 900;

/// Until when what a success showed counts as fresh.
pub fn fresh_until(success: UnixTime, every: i64) -> UnixTime {
    success.plus((ROUNDS * every).max(LEAST))
}

/// Does a source count as fresh at `now`? A success that lies ahead was written by a wrong clock, and is none.
pub fn is_fresh(last_success: Option<UnixTime>, every: i64, now: UnixTime) -> bool {
    last_success.is_some_and(|success| success <= now && now < fresh_until(success, every))
}

impl Rule for SourceStale {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::SourceStale,
            doc: "a source missed three rounds: what depends on it may have changed unseen",
            citation: "blackbox_exporter issue 1119: a probe that fails drops its series, and the alert with it",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Subject::Source(source) = &dossier.subject else { return Verdict::NotApplicable };
        // A clock that was set makes every success look old, or lie ahead: one that lies ahead is none.
        let last = source.last_success.filter(|t| *t <= now).unwrap_or(source.since.min(now));
        let stale_at = fresh_until(last, source.every).max(source.grace);
        if now < stale_at {
            return Verdict::Pass { holds_until: Some(stale_at) };
        }
        let since = match source.last_success {
            Some(t) => format!("has not succeeded since {t}"),
            None => "has never succeeded".to_owned(),
        };
        let why = source.fault.map(|f| format!(": {f}")).unwrap_or_default();
        let finding = Finding::new(Kind::SourceStale, Severity::Critical, None, source.name)
            .summary(format!("the source {} {since}{why}; {} places depend on it", source.name, source.places))
            .hint("see the Sources page or `notafter doctor`; what it would have seen is shown grey until it succeeds")
            .evidence("source", source.name);
        Verdict::found(finding, None)
    }
}

#[cfg(test)]
mod tests {
    use crate::UnixTime;
    use crate::dossier::{SourceView, Subject};
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::{NOW, judge};

    fn check(last_success: Option<UnixTime>, grace: i64, expected: bool) {
        let source = SourceView {
            name: "office",
            every: 3600,
            last_success,
            since: NOW.plus(-4 * 3600),
            grace: NOW.plus(grace),
            fault: Some("no route"),
            places: 7,
        };
        let expected = expected.then_some((Kind::SourceStale, Severity::Critical));
        judge(Subject::Source(source), &super::SourceStale, None, expected);
    }

    #[test]
    fn three_rounds() {
        check(Some(NOW.plus(-3600)), 0, false);
        check(Some(NOW.plus(-3 * 3600 + 1)), 0, false);
        check(Some(NOW.plus(-3 * 3600)), 0, true);
        check(None, 0, true);
    }

    #[test]
    fn a_start_gives_it_the_time_to_look_and_no_more() {
        check(Some(NOW.plus(-400 * 3600)), 60, false);
        check(Some(NOW.plus(-400 * 3600)), -1, true);
    }

    #[test]
    fn a_success_that_lies_ahead_is_none() {
        check(Some(NOW.plus(60 * 86_400)), 0, true);
    }
}

//! `expires-in-freeze`: it ends when nobody may change anything, so it has to be renewed before that begins.
//!
//! Said as early before the freeze as an end is said before itself. About all of an owner's that one such time holds.

use crate::UnixTime;
use crate::census::{Member, when_and_where};
use crate::deadline::Ladder;
use crate::dossier::{Dossier, Subject};
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::joints::{Rule, RuleInfo, Verdict};
use notafter_pki::time::DAY;

/// The rule.
pub struct ExpiresInFreeze;

impl Rule for ExpiresInFreeze {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::ExpiresInFreeze,
            doc: "it ends in a freeze, a holiday or an absence",
            citation: "80 and more sites of the US government lapsed during the shutdown of 2018/19; Bazel, 26 December 2025",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Subject::Crowd(crowd) = &dossier.subject else { return Verdict::NotApplicable };
        let calendar = &dossier.policy.calendar;
        let (mut findings, mut holds_until) = (Vec::new(), None::<UnixTime>);
        for closed in &calendar.closed {
            let within = |m: &&Member| {
                m.ends >= now && calendar.closed_at(m.ends, crowd.owner).is_some_and(|c| c == closed)
            };
            let members: Vec<&Member> = crowd.members.iter().filter(within).collect();
            let Some(first) = members.iter().map(|m| speak_from(m, closed.from)).min() else { continue };
            if now < first {
                holds_until = Some(holds_until.map_or(first, |h| h.min(first)));
                continue;
            }
            let due = calendar.due(closed.until, crowd.owner).at;
            let these = if members.len() == 1 { "one certificate ends" } else { "certificates end" };
            let count = if members.len() == 1 { String::new() } else { format!("{} ", members.len()) };
            // Once it is too late to do it before, what counts is the first end.
            let end = members.iter().map(|m| m.ends).min().unwrap_or(due);
            let (deadline, last) = match due >= now {
                true => (due, format!("the last day to renew is {WHEN}")),
                false => (end, format!("the first {WHEN}")),
            };
            let finding = Finding::new(
                Kind::ExpiresInFreeze,
                Severity::Warning,
                None,
                format!("{}\0{}", closed.why, crowd.owner.unwrap_or_default()),
            )
            .deadline(Some(deadline))
            .summary(format!(
                "{count}{these} when nobody may change anything ({}, {} to {}); {last}",
                closed.why,
                closed.from.date(),
                closed.until.plus(-1).date()
            ))
            .hint("renew them before it begins, or have an exception agreed now, with names and a day");
            findings.push(when_and_where(finding, &members));
            let next = if due >= now { due.plus(1).min(end.plus(1)) } else { end.plus(1) };
            holds_until = Some(holds_until.map_or(next, |h| h.min(next)));
        }
        match findings.is_empty() {
            true => Verdict::Pass { holds_until },
            false => Verdict::Found { findings, holds_until },
        }
    }
}

/// As long before the freeze as its end would be said before itself, and two working weeks.
fn speak_from(member: &Member, begins: UnixTime) -> UnixTime {
    begins.plus(-Ladder::for_leaf(member.lifetime()).warning - 14 * DAY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::{Calendar, Closed};
    use crate::census::CrowdView;
    use crate::census::tests::member;
    use crate::policy::Policy;
    use crate::rules::scene::{NOW, days};

    #[test]
    fn in_time_and_healthy() {
        let check = |ends: i64, begins: i64, owner: Option<&str>, expected: usize| {
            let closed = Closed {
                from: days(begins),
                until: days(begins + 20),
                why: "year-end freeze".to_owned(),
                owner: Some("web".to_owned()),
            };
            let calendar = Calendar { closed: vec![closed], days_off: [false; 7] };
            let policy = Policy { calendar, ..Policy::default() };
            let members = [member(1, days(ends), 365)];
            let crowd = CrowdView { owner, days: &[], members: &members, hangs: &[] };
            let dossier = Dossier { subject: Subject::Crowd(crowd), policy: &policy, owner: None };
            let found = match ExpiresInFreeze.check(&dossier, NOW) {
                Verdict::Found { findings, .. } => findings.len(),
                _ => 0,
            };
            assert_eq!(found, expected, "ends {ends} begins {begins} {owner:?}");
        };
        check(50, 40, Some("web"), 1);
        check(50, 40, Some("mail"), 0);
        check(39, 40, Some("web"), 0);
        check(61, 40, Some("web"), 0);
        check(90, 80, Some("web"), 0);
        check(5, -3, Some("web"), 1);
    }
}

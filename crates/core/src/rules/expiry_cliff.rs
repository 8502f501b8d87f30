//! `expiry-cliff`: very many of one owner's end on one day. Each by itself would be in time; all at once are not.

use crate::UnixTime;
use crate::census::{Member, when_and_where};
use crate::deadline::Ladder;
use crate::dossier::{Dossier, Subject};
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::joints::{Rule, RuleInfo, Verdict};
use notafter_pki::time::DAY;

/// The rule.
pub struct ExpiryCliff;

/// Fewer than this are a morning's work.
const MANY: usize = 20;
/// So many times as many as on a usual day.
const TIMES: usize = 10;

impl Rule for ExpiryCliff {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::ExpiryCliff,
            doc: "very many end on one day: twenty at least, and ten times as many as on a usual day",
            citation: "Azure Storage, 22 February 2013: three certificates within three minutes, in every region",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Subject::Crowd(crowd) = &dossier.subject else { return Verdict::NotApplicable };
        let today = now.0.div_euclid(DAY);
        let mut usual: Vec<usize> = crowd.days.iter().map(|(_, count)| *count).collect();
        usual.sort_unstable();
        let median = usual.get(usual.len() / 2).copied().unwrap_or(1).max(1);
        // A single day of many is a cliff, too; what is usual is then one.
        let median = if crowd.days.len() < 3 { 1 } else { median };
        let steep = |count: usize| count >= MANY && count >= median * TIMES;
        let mut cliffs = crowd.days.iter().filter(|(day, count)| *day >= today && steep(*count));
        let Some((day, count)) = cliffs.next() else { return Verdict::Pass { holds_until: None } };
        let on_it: Vec<&Member> = crowd.members.iter().filter(|m| m.ends.0.div_euclid(DAY) == *day).collect();
        let lifetime = on_it.iter().map(|m| m.lifetime()).max().unwrap_or(0);
        let begins = UnixTime(day * DAY);
        let speak = begins.plus(-2 * Ladder::for_leaf(lifetime).warning);
        if now < speak {
            return Verdict::Pass { holds_until: Some(speak) };
        }
        let first = on_it.iter().map(|m| m.ends).min().unwrap_or(begins);
        let more = match cliffs.count() {
            0 => String::new(),
            n => format!("; {n} more such day{} follow", if n == 1 { "" } else { "s" }),
        };
        let finding =
            Finding::new(Kind::ExpiryCliff, Severity::Warning, None, crowd.owner.unwrap_or_default())
                .deadline(Some(first))
                .summary(format!(
                    "{count} end on one day, {}, where {median} is usual: the first {WHEN}{more}",
                    begins.date()
                ))
                .hint(
                    "renew them in portions from now on, over the weeks before: rate limits, people and approvals are \
                     made for a usual day",
                )
                .evidence("on_that_day", *count as i64)
                .evidence("on_a_usual_day", median as i64);
        // Those that have ended are counted no more.
        let next = on_it.iter().map(|m| m.ends).filter(|end| *end >= now).min();
        let next = next.map_or(begins.plus(DAY), |end| end.plus(1).min(begins.plus(DAY)));
        Verdict::found(when_and_where(finding, &on_it), Some(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::census::CrowdView;
    use crate::census::tests::member;
    use crate::policy::Policy;
    use crate::rules::scene::{NOW, days};

    #[test]
    fn many_at_once_and_evenly_spread() {
        let check = |on_day: usize, in_days: i64, others: &[usize], expected: bool| {
            let day = days(in_days).0.div_euclid(DAY);
            let mut counts: Vec<(i64, usize)> =
                others.iter().enumerate().map(|(n, count)| (day + 1 + n as i64, *count)).collect();
            counts.insert(0, (day, on_day));
            let members: Vec<_> = (0..on_day).map(|n| member(n as u8, days(in_days), 365)).collect();
            let crowd = CrowdView { owner: Some("web"), days: &counts, members: &members };
            let (policy, subject) = (Policy::default(), Subject::Crowd(crowd));
            let verdict = ExpiryCliff.check(&Dossier { subject, policy: &policy, owner: None }, NOW);
            assert_eq!(matches!(verdict, Verdict::Found { .. }), expected, "{on_day} in {in_days}");
        };
        check(180, 50, &[1, 2, 1, 1], true);
        check(180, 70, &[1, 2, 1, 1], false);
        check(180, 50, &[100, 120, 140, 90], false);
        check(19, 50, &[1, 1, 1, 1], false);
        check(25, 50, &[], true);
        check(180, -2, &[1, 2, 1, 1], false);
    }
}

//! `expiry-cliff`: very many of one owner's end on one day. Each by itself would be in time; all at once are not.

use crate::UnixTime;
use crate::census::{CrowdView, Hang, Member, when_and_where};
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
            doc: "very many end on one day (twenty at least, and ten times as many as on a usual day), or very many renewals \
                  hang on one account, one credential or one access to the DNS",
            citation: "Azure Storage, 22 February 2013: three certificates within three minutes, in every region",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Subject::Crowd(crowd) = &dossier.subject else { return Verdict::NotApplicable };
        let (mut findings, hangs_until) = hanging(crowd.hangs, now);
        let verdict = on_one_day(crowd, now);
        let holds_until = verdict.holds_until().into_iter().chain(hangs_until).min();
        if let Verdict::Found { findings: more, .. } = verdict {
            findings.extend(more);
        }
        match findings.is_empty() {
            true => Verdict::Pass { holds_until },
            false => Verdict::Found { findings, holds_until },
        }
    }
}

/// So long before a credential ends on which many hang, it is a warning.
const AHEAD: i64 = 60 * DAY;

/// What very many renewals hang on. Worth knowing at any time; told when it is about to end.
fn hanging(hangs: &[Hang], now: UnixTime) -> (Vec<Finding>, Option<UnixTime>) {
    let mut next = None;
    let finding = |hang: &Hang| {
        let speaks = hang.until.map(|until| until.plus(-AHEAD));
        next = next.into_iter().chain(speaks.filter(|at| *at > now)).min();
        let near = speaks.is_some_and(|at| at <= now);
        let severity = if near { Severity::Warning } else { Severity::Info };
        let cause = format!("{}\0{}", hang.what, hang.name);
        let ends = match hang.until.filter(|_| near) {
            Some(until) if until < now => format!(", and it ended {WHEN}"),
            Some(_) => format!(", and it ends {WHEN}"),
            None => String::new(),
        };
        Finding::new(Kind::ExpiryCliff, severity, None, cause)
            .at(&hang.places)
            .deadline(hang.until.filter(|_| near))
            .summary(format!("{} renewals hang on one {} ({}){ends}", hang.places.len(), hang.what, hang.name))
            .hint(
                "when it is blocked, revoked or limited, all of them fail at once: see that a second one exists and was \
                 tried, or divide them",
            )
            .evidence("renewals", hang.places.len() as i64)
            .evidence("what", hang.what)
    };
    let findings = hangs.iter().map(finding).collect();
    (findings, next)
}

fn on_one_day(crowd: &CrowdView<'_>, now: UnixTime) -> Verdict {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::census::hangs;
    use crate::census::tests::member;
    use crate::location::Location;
    use crate::policy::Policy;
    use crate::rules::scene::{NOW, days, renewal};
    use crate::upkeep::{Credential, Upkeep};

    #[test]
    fn many_at_once_and_evenly_spread() {
        let check = |on_day: usize, in_days: i64, others: &[usize], expected: bool| {
            let day = days(in_days).0.div_euclid(DAY);
            let mut counts: Vec<(i64, usize)> =
                others.iter().enumerate().map(|(n, count)| (day + 1 + n as i64, *count)).collect();
            counts.insert(0, (day, on_day));
            let members: Vec<_> = (0..on_day).map(|n| member(n as u8, days(in_days), 365)).collect();
            let crowd = CrowdView { owner: Some("web"), days: &counts, members: &members, hangs: &[] };
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

    #[test]
    fn very_many_on_one_thing() {
        let state = |n: usize| Location::file(format!("/etc/letsencrypt/renewal/{n}.conf").as_bytes(), "");
        let check = |count: usize, until: Option<i64>, dns: bool, expected: &[(Severity, &str)]| {
            let place = Location::file(b"/etc/cloud.ini", "");
            let credential = |days_left: i64| Credential {
                place: place.clone(),
                what: "token".into(),
                from: None,
                until: days(days_left),
            };
            let all: Vec<Upkeep> = (0..count)
                .map(|n| Upkeep {
                    state: state(n),
                    account: None,
                    credentials: until.map(credential).into_iter().collect(),
                    solver: dns.then(|| "dns-cloud".to_owned()),
                    ..renewal()
                })
                .collect();
            let hangs = hangs(&all);
            let crowd = CrowdView { owner: None, days: &[], members: &[], hangs: &hangs };
            let (policy, subject) = (Policy::default(), Subject::Crowd(crowd));
            let verdict = ExpiryCliff.check(&Dossier { subject, policy: &policy, owner: None }, NOW);
            let Verdict::Found { findings, .. } = verdict else {
                assert!(expected.is_empty(), "{count} {until:?} {dns}");
                return;
            };
            let found: Vec<_> = findings.iter().map(|f| f.severity).collect();
            assert_eq!(found, expected.iter().map(|(s, _)| *s).collect::<Vec<_>>());
            for (finding, (_, says)) in findings.iter().zip(expected) {
                assert!(finding.summary.contains(says), "{}", finding.summary);
            }
        };
        check(
            25,
            Some(40),
            true,
            &[(
                Severity::Warning,
                "25 renewals hang on one credential (token in file:///etc/cloud.ini), and it ends",
            )],
        );
        check(25, Some(400), true, &[(Severity::Info, "25 renewals hang on one credential")]);
        check(25, None, true, &[(Severity::Info, "one DNS access (dns-cloud of certbot")]);
        check(19, Some(40), true, &[]);
        check(25, None, false, &[]);
    }
}

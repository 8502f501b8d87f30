//! `clock-skew`: the wall clock was set while the server ran, or is another than that of servers that were asked.
//!
//! After a jump of sixty days everything looks expired. Nobody is called at once: messages are held for a
//! while, this is said instead, and if the clock stays where it is, they go out.

use crate::UnixTime;
use crate::dossier::{Dossier, Subject};
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};
use crate::location::Location;
use notafter_pki::time::DAY;

/// The rule.
pub struct ClockSkew;

impl Rule for ClockSkew {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::ClockSkew,
            doc: "the clock of this machine was set, or is another than that of servers, by more than five minutes",
            citation: "cert-manager pull request 4399: certificates left unrenewed by a clock that was not what it seemed",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Subject::Clock(clock) = &dossier.subject else { return Verdict::NotApplicable };
        if let Some(verdict) = beside(clock.peers) {
            return verdict;
        }
        // A day later it is what it is.
        let over = clock.at.plus(DAY);
        if clock.jumped == 0 || now >= over {
            return Verdict::Pass { holds_until: None };
        }
        let way = if clock.jumped > 0 { "forwards" } else { "back" };
        let finding = Finding::new(Kind::ClockSkew, Severity::Warning, None, "")
            .summary(format!(
                "the clock of this server was set {way} by {} at {}; messages are held until {}",
                span(clock.jumped.unsigned_abs()),
                clock.at,
                clock.held_until
            ))
            .hint("check the time and NTP; if the clock is right, nothing is to be done")
            .evidence("seconds", clock.jumped);
        Verdict::found(finding, Some(over))
    }
}

/// Clocks that differ by more than this are not both right, in seconds. Signatures, tokens and logs bear less.
const DIFFER: u64 = 300;

/// Ours beside those of others: most of those who were asked decide.
fn beside(peers: &[(Location, i64)]) -> Option<Verdict> {
    let mut ahead: Vec<i64> = peers.iter().map(|(_, ahead)| *ahead).collect();
    ahead.sort_unstable();
    let middle = *ahead.get(ahead.len() / 2)?;
    if middle.unsigned_abs() <= DIFFER {
        return None;
    }
    let agree = |other: i64| (other - middle).unsigned_abs() <= DIFFER;
    let agreeing: Vec<&Location> = peers.iter().filter(|(_, a)| agree(*a)).map(|(l, _)| l).collect();
    let way = if middle > 0 { "ahead of" } else { "behind" };
    let whose = match (agreeing.len(), peers.len()) {
        (1, 1) => "that of a server that was asked: one of the two is wrong".to_owned(),
        (n, all) => format!("those of {n} of {all} servers that were asked"),
    };
    let finding = Finding::new(Kind::ClockSkew, Severity::Warning, None, "peers")
        .at(agreeing)
        .summary(format!("the clock of this machine is {} {way} {whose}", span(middle.unsigned_abs())))
        .hint(
            "check the time and NTP here first: what else was said about what has expired or not begun is said by \
             this clock",
        )
        .evidence("seconds_ahead", middle);
    Some(Verdict::found(finding, None))
}

fn span(seconds: u64) -> String {
    match seconds {
        s if s >= 172_800 => format!("{} days", s / 86_400),
        s if s >= 7200 => format!("{} hours", s / 3600),
        s => format!("{} minutes", s / 60),
    }
}

#[cfg(test)]
mod tests {
    use crate::dossier::{ClockView, Subject};
    use crate::finding::{Kind, Severity};
    use crate::location::Location;
    use crate::rules::scene::{NOW, judge};

    #[test]
    fn what_most_others_say() {
        let check = |ahead: &[i64], expected: bool| {
            let place = |n: usize| Location::endpoint("tls", ([10, 0, 0, n as u8], 443).into(), None);
            let peers: Vec<_> = ahead.iter().enumerate().map(|(n, a)| (place(n), *a)).collect();
            let clock = ClockView { peers: &peers, jumped: 0, at: NOW, held_until: NOW };
            let expected = expected.then_some((Kind::ClockSkew, Severity::Warning));
            judge(Subject::Clock(clock), &super::ClockSkew, None, expected);
        };
        check(&[400 * 86_400], true);
        check(&[-301], true);
        check(&[30], false);
        check(&[5000, 2, -1], false);
        check(&[5000, 5010, -1], true);
        check(&[], false);
    }

    #[test]
    fn a_jump_is_said_for_a_day() {
        let check = |jumped, hours: i64, expected: bool| {
            let clock = ClockView { peers: &[], jumped, at: NOW.plus(-hours * 3600), held_until: NOW };
            let expected = expected.then_some((Kind::ClockSkew, Severity::Warning));
            judge(Subject::Clock(clock), &super::ClockSkew, None, expected);
        };
        check(60 * 86_400, 1, true);
        check(-60 * 86_400, 23, true);
        check(60 * 86_400, 24, false);
        check(0, 1, false);
    }
}

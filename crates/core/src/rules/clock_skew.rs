//! `clock-skew`: the wall clock was set while the server ran.
//!
//! After a jump of sixty days everything looks expired. Nobody is called at once: messages are held for a
//! while, this is said instead, and if the clock stays where it is, they go out.

use crate::UnixTime;
use crate::dossier::{Dossier, Subject};
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};
use notafter_pki::time::DAY;

/// The rule.
pub struct ClockSkew;

impl Rule for ClockSkew {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::ClockSkew,
            doc: "the clock of this server was set, by more than the world's clocks differ",
            citation: "cert-manager pull request 4399: certificates left unrenewed by a clock that was not what it seemed",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Subject::Clock(clock) = &dossier.subject else { return Verdict::NotApplicable };
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
    use crate::rules::scene::{NOW, judge};

    #[test]
    fn a_jump_is_said_for_a_day() {
        let check = |jumped, hours: i64, expected: bool| {
            let clock = ClockView { jumped, at: NOW.plus(-hours * 3600), held_until: NOW };
            let expected = expected.then_some((Kind::ClockSkew, Severity::Warning));
            judge(Subject::Clock(clock), &super::ClockSkew, None, expected);
        };
        check(60 * 86_400, 1, true);
        check(-60 * 86_400, 23, true);
        check(60 * 86_400, 24, false);
        check(0, 1, false);
    }
}

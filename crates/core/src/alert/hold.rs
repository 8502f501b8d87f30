//! How long quiet may last: never to the deadline of anything it is about.
//!
//! Pure, beside `decide.rs`, which cuts every hold to this on each pass; the hands that give one ask here, too.

use super::Alert;
use super::decide::Tellable;
use crate::UnixTime;
use crate::finding::Severity;
use notafter_pki::time::DAY;

/// Until when an acknowledgement or a snooze can hold at most. Never to the deadline: the page step
/// rings again, and on that step it is a day, at most to half of what is left.
pub fn hold_most(alert: &Alert, findings: &[Tellable], now: UnixTime) -> UnixTime {
    let members: Vec<&Tellable> = findings.iter().filter(|f| alert.members.contains_key(&f.id)).collect();
    most(alert.deadline, alert.severity, &members, now)
}

pub(super) fn most(
    deadline: Option<UnixTime>,
    severity: Severity,
    members: &[&Tellable],
    now: UnixTime,
) -> UnixTime {
    let week = UnixTime(now.0 + 7 * DAY);
    let month = UnixTime(now.0 + 30 * DAY);
    let Some(deadline) = deadline else {
        return if severity == Severity::Critical { week } else { month };
    };
    let left = deadline.0 - now.0;
    if left <= 0 {
        return UnixTime(now.0 + DAY);
    }
    let page = members.iter().filter_map(|f| f.page_at()).map(|at| at.0).min();
    let page = page.unwrap_or(deadline.0 - left / 4);
    if page > now.0 { UnixTime(page) } else { UnixTime(now.0 + (left / 2).min(DAY)) }
}

/// Until when an acknowledgement holds when nothing else is said: to the next step.
pub fn hold_usual(alert: &Alert, findings: &[Tellable], now: UnixTime) -> UnixTime {
    let most = hold_most(alert, findings, now);
    let steps = findings.iter().filter(|f| alert.members.contains_key(&f.id)).filter_map(|f| {
        let (ladder, end) = f.ladder()?;
        ladder.step(end, now).1.filter(|next| *next > now)
    });
    steps.min().map_or(most, |next| next.min(most))
}

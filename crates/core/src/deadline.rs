//! When to speak: the ladder from lifetime to warning, critical and page.
//!
//! Fixed days fail in both directions: 30 days is a false alarm for a healthy 47-day certificate and
//! far too late for a root. So each step is a share of the lifetime with a cap in days.

use crate::UnixTime;
use crate::finding::Severity;
use notafter_pki::time::DAY;

/// The three steps before a deadline, in seconds before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ladder {
    /// From here on it is a warning.
    pub warning: i64,
    /// From here on it is critical.
    pub critical: i64,
    /// From here on somebody is woken.
    pub page: i64,
}

/// The longest life of a short-lived certificate: what the public web may have from 2029 on (CA/Browser Forum SC-081v3).
const SHORT: i64 = 47 * DAY;

/// Where on the ladder an instant is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Step {
    Quiet,
    Warning,
    Critical,
    Page,
    /// The deadline has passed.
    Ended,
}

impl Step {
    /// How bad it is for most things; `None`: it is not time to speak.
    pub fn severity(self) -> Option<Severity> {
        match self {
            Self::Quiet => None,
            Self::Warning => Some(Severity::Warning),
            Self::Critical | Self::Page | Self::Ended => Some(Severity::Critical),
        }
    }

    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Page => "page",
            Self::Ended => "ended",
        }
    }
}

impl Ladder {
    /// For an end-entity certificate of this lifetime in seconds: warning at min(L/4, 30 d) left
    /// (45 d when L > 366 d), critical at min(L/10, 14 d), page at min(L/20, 7 d).
    pub fn for_leaf(lifetime: i64) -> Self {
        let cap = if lifetime > 366 * DAY { 45 } else { 30 };
        Self::shares(lifetime, cap, 14, 7)
    }

    /// For a CA certificate: min(L/4, 365 d), min(L/10, 180 d), min(L/20, 90 d).
    pub fn for_ca(lifetime: i64) -> Self {
        Self::shares(lifetime, 365, 180, 90)
    }

    /// The same for an owner who needs so many days: warned earlier, never later. Of a certificate that lives 47 days or
    /// less, which nobody renews by hand, at most a third of its life: it would be due from its first day on.
    #[must_use]
    pub fn needing(self, lifetime: i64, days: Option<u32>) -> Self {
        let needed = days.map_or(0, |days| i64::from(days) * DAY);
        let needed = if lifetime <= SHORT { needed.min(lifetime.max(0) / 3) } else { needed };
        Self { warning: self.warning.max(needed), ..self }
    }

    fn shares(lifetime: i64, warning_days: i64, critical_days: i64, page_days: i64) -> Self {
        let lifetime = lifetime.max(0);
        Self {
            warning: (lifetime / 4).min(warning_days * DAY),
            critical: (lifetime / 10).min(critical_days * DAY),
            page: (lifetime / 20).min(page_days * DAY),
        }
    }

    /// The step at `now` (never past the page step), and the next instant at which it changes (`None` after the deadline).
    pub fn step(&self, deadline: UnixTime, now: UnixTime) -> (Step, Option<UnixTime>) {
        let left = deadline.0.saturating_sub(now.0);
        let at = |before: i64| Some(deadline.plus(-before));
        if left > self.warning {
            (Step::Quiet, at(self.warning))
        } else if left > self.critical {
            (Step::Warning, at(self.critical))
        } else if left > self.page {
            (Step::Critical, at(self.page))
        } else {
            (Step::Page, (left > 0).then_some(deadline))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ladder: Ladder, warning_days: i64, critical_days: i64, page_days: i64) {
        let days = (ladder.warning / DAY, ladder.critical / DAY, ladder.page / DAY);
        assert_eq!(days, (warning_days, critical_days, page_days));
    }

    #[test]
    fn the_table_of_lifetimes() {
        check(Ladder::for_leaf(398 * DAY), 45, 14, 7);
        check(Ladder::for_leaf(200 * DAY), 30, 14, 7);
        check(Ladder::for_leaf(100 * DAY), 25, 10, 5);
        check(Ladder::for_leaf(90 * DAY), 22, 9, 4);
        check(Ladder::for_leaf(47 * DAY), 11, 4, 2);
        check(Ladder::for_ca(3650 * DAY), 365, 180, 90);
        assert_eq!(Ladder::for_leaf(160 * 3600).warning, 40 * 3600);
        check(Ladder::for_leaf(-5), 0, 0, 0);
    }

    #[test]
    fn what_an_owner_needs() {
        for (life, days, warning) in [
            (6, Some(14), 2),
            (47, Some(14), 14),
            (47, Some(30), 15),
            (90, Some(60), 60),
            (90, Some(1), 22),
            (6, None, 1),
        ] {
            let ladder = Ladder::for_leaf(life * DAY).needing(life * DAY, days);
            assert_eq!(ladder.warning / DAY, warning, "{life} {days:?}");
        }
    }

    #[test]
    fn each_step_says_when_the_next_comes() {
        let ladder = Ladder::for_leaf(200 * DAY);
        let end = UnixTime(1000 * DAY);
        let at = |left: i64| ladder.step(end, end.plus(-left * DAY));
        assert_eq!(at(31), (Step::Quiet, Some(end.plus(-30 * DAY))));
        assert_eq!(at(30), (Step::Warning, Some(end.plus(-14 * DAY))));
        assert_eq!(at(14), (Step::Critical, Some(end.plus(-7 * DAY))));
        assert_eq!(at(7), (Step::Page, Some(end)));
        assert_eq!(at(0), (Step::Page, None));
    }
}

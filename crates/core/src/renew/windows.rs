//! When something that is ready may be installed, and when it has to be ordered for that: windows, and freezes.
//!
//! Pure: instants in, instants out. When a certificate is due at all is `renew::due`.

use crate::UnixTime;
use crate::calendar::Calendar;

/// So long before the end is too late for anything to be mended, in seconds.
const LATEST: i64 = 3_600;
/// So many windows are looked through.
const WINDOWS_MOST: usize = 1_000;

/// The first window that is not over at an instant: its beginning and its end. `None`: there is none any more.
pub type NextWindow = dyn Fn(i64) -> Option<(i64, i64)> + Send + Sync;

/// When something that is ready may be installed: at once, where no windows are given and nothing is frozen; else at
/// the next instant that is in a window and not closed. If there is none before `end`, at once: a change out of hours is
/// better than an outage.
pub fn install_at(
    windows: Option<&NextWindow>,
    calendar: &Calendar,
    end: UnixTime,
    now: UnixTime,
) -> UnixTime {
    open_at(windows, calendar, end, now).unwrap_or(now)
}

/// The first instant from `now` on at which something may be changed, an hour before `end` at the latest.
fn open_at(
    windows: Option<&NextWindow>,
    calendar: &Calendar,
    end: UnixTime,
    now: UnixTime,
) -> Option<UnixTime> {
    let last = end.0 - LATEST;
    let mut at = now.0;
    for _ in 0..WINDOWS_MOST {
        let before = at;
        if let Some(next) = windows {
            at = at.max(next(at)?.0);
        }
        if let Some(until) = closed_until(calendar, at) {
            at = until;
        }
        if at >= last {
            return None;
        }
        if at == before {
            return Some(UnixTime(at));
        }
    }
    None
}

/// The end of the freeze that an instant lies in.
fn closed_until(calendar: &Calendar, at: i64) -> Option<i64> {
    let mut closed = calendar.closed.iter().filter(|c| c.owner.is_none());
    closed.find(|c| c.from.0 <= at && at < c.until.0).map(|c| c.until.0)
}

/// When something due at `due` is to be ordered so that it can be installed when something may be changed. Where no window
/// is open between `due` and the end, it is ordered for the last one before that, a tenth of the lifetime ahead of it, a
/// day at most; but not in the first third of the lifetime. Where there is none then either, at `due`.
pub fn order_at(
    windows: Option<&NextWindow>,
    calendar: &Calendar,
    (begin, end): (UnixTime, UnixTime),
    due: UnixTime,
) -> UnixTime {
    let life = end.0.saturating_sub(begin.0).max(0);
    if open_at(windows, calendar, end, due).is_some() {
        return due;
    }
    let first = begin.0 + life / 3;
    let (mut at, mut found) = (first, None);
    for _ in 0..WINDOWS_MOST {
        let Some(open) = open_at(windows, calendar, due, UnixTime(at)) else { break };
        found = Some(open.0);
        // The next one, or where there are none, the last moment before a freeze.
        at = match windows.and_then(|next| next(open.0)) {
            Some((_, until)) => until.max(open.0) + 1,
            None => {
                let freeze = calendar.closed.iter().filter(|c| c.owner.is_none() && c.from.0 > open.0);
                let Some(from) = freeze.map(|c| c.from.0).min() else { break };
                found = Some(from.saturating_sub(1).min(due.0));
                closed_until(calendar, from).unwrap_or(from + 1)
            }
        };
    }
    let ahead = (life / 10).min(notafter_pki::time::DAY);
    found.map_or(due, |open| UnixTime((open - ahead).max(first).min(due.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Closed;

    #[test]
    fn installed_in_a_window_and_out_of_it_rather_than_too_late() {
        let none = Calendar::default();
        let frozen = Calendar {
            closed: vec![Closed {
                from: UnixTime(500),
                until: UnixTime(5_000),
                why: "f".into(),
                owner: None,
            }],
            ..Calendar::default()
        };
        let at = |windows: &'static [(i64, i64)], calendar: &Calendar, end: i64, now: i64| {
            let next = move |at: i64| {
                windows.iter().filter(|(_, until)| *until > at).min_by_key(|(from, _)| *from).copied()
            };
            let windows: Option<&NextWindow> = if windows.is_empty() { None } else { Some(&next) };
            install_at(windows, calendar, UnixTime(end), UnixTime(now)).0
        };
        assert_eq!(at(&[], &none, 100_000, 10), 10, "no windows, at once");
        assert_eq!(at(&[(100, 200)], &none, 100_000, 10), 100);
        assert_eq!(at(&[(100, 200)], &none, 100_000, 150), 150, "in it");
        assert_eq!(at(&[(100, 200), (900, 950)], &none, 100_000, 200), 900);
        assert_eq!(at(&[(100, 200)], &none, 100_000, 300), 300, "no window any more");
        assert_eq!(at(&[(90_000, 99_000)], &none, 90_100, 10), 10, "no window in time");
        assert_eq!(at(&[], &frozen, 100_000, 600), 5_000);
        assert_eq!(at(&[(600, 700), (6_000, 7_000)], &frozen, 100_000, 550), 6_000);
        assert_eq!(at(&[], &frozen, 5_500, 600), 600, "the freeze would be the end of it");
    }

    #[test]
    fn ordered_early_where_no_window_follows() {
        const DAY: i64 = 86_400;
        let monthly = |at: i64| {
            let n = at.div_euclid(30 * DAY);
            let of = |n: i64| (n * 30 * DAY + 29 * DAY, n * 30 * DAY + 29 * DAY + 7_200);
            Some(if of(n).1 > at { of(n) } else { of(n + 1) })
        };
        let none = Calendar::default();
        let at = |windows: Option<&NextWindow>, calendar: &Calendar, due: i64, end: i64| {
            order_at(windows, calendar, (UnixTime(0), UnixTime(end * DAY)), UnixTime(due * DAY)).0
        };
        // A window follows in time; none does, and the one before is taken, a day ahead.
        assert_eq!(at(Some(&monthly), &none, 20, 47), 20 * DAY);
        assert_eq!(at(Some(&monthly), &none, 31, 47), 28 * DAY);
        // None lies in the life that may be used: when it is due.
        assert_eq!(at(Some(&monthly), &none, 8, 12), 8 * DAY);
        assert_eq!(at(None, &none, 31, 47), 31 * DAY);
        // A freeze from before it is due until it has ended: before the freeze.
        let closed = |from: i64, until: i64| Closed {
            from: UnixTime(from * DAY),
            until: UnixTime(until * DAY),
            why: "f".into(),
            owner: None,
        };
        let frozen = Calendar { closed: vec![closed(25, 60)], ..Calendar::default() };
        assert_eq!(at(None, &frozen, 31, 47), 24 * DAY - 1);
        let short = Calendar { closed: vec![closed(25, 35)], ..Calendar::default() };
        assert_eq!(at(None, &short, 31, 47), 31 * DAY, "it is open again in time");
    }
}

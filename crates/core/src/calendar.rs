//! When nobody may change anything: freezes, holidays, absences, days off.
//!
//! What ends in such a time has to be mended before it begins, so that the deadline that counts is an earlier one. Pure
//! values from the configuration. It knows no lead times: how early to speak is the ladder's business.

use crate::UnixTime;
use notafter_pki::time::DAY;

/// A time in which nothing is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Its first instant.
    pub from: UnixTime,
    /// The first instant after it.
    pub until: UnixTime,
    /// Why, for people: `year-end freeze`, `a holiday`.
    pub why: String,
    /// Whom it concerns; `None`: everybody.
    pub owner: Option<String>,
}

/// All such times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    /// In any order; they may overlap.
    pub closed: Vec<Closed>,
    /// Days of the week without work, Monday first.
    pub days_off: [bool; 7],
}

/// The last instant to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due<'c> {
    /// When.
    pub at: UnixTime,
    /// What moved it to before the end, the time that the end itself lies in.
    pub because: Option<&'c str>,
}

/// So many steps back are taken: freezes, holidays and weekends that touch one another.
const STEPS_MAX: usize = 500;

impl Calendar {
    /// The last instant at or before `end` at which this owner can act.
    pub fn due(&self, end: UnixTime, owner: Option<&str>) -> Due<'_> {
        let mut due = Due { at: end, because: None };
        for _ in 0..STEPS_MAX {
            let (before, why) = match self.closed_at(due.at, owner) {
                Some(closed) => (closed.from, closed.why.as_str()),
                None if self.days_off[weekday(due.at.0 - 1)] => {
                    (UnixTime((due.at.0 - 1).div_euclid(DAY) * DAY), "a day off")
                }
                None => break,
            };
            due = Due { at: before, because: due.because.or(Some(why)) };
        }
        due
    }

    /// The last instant to act on what lives from `begin` to `end`. What lives for two weeks or less is made by a
    /// machine, which works in a freeze, too; and what would be late by then in the middle of its life could only
    /// have been made too late: neither is moved.
    pub fn due_of(&self, begin: UnixTime, end: UnixTime, owner: Option<&str>) -> Due<'_> {
        let life = end.0.saturating_sub(begin.0);
        let due = self.due(end, owner);
        let moved = life > 14 * DAY && due.at.0 >= begin.0.saturating_add(life / 2);
        if moved { due } else { Due { at: end, because: None } }
    }

    /// The closed time of this owner that an end at this instant lies in. Of several, the one that begins first.
    pub fn closed_at(&self, end: UnixTime, owner: Option<&str>) -> Option<&Closed> {
        let theirs = |c: &&Closed| c.owner.is_none() || c.owner.as_deref() == owner;
        self.closed.iter().filter(theirs).filter(|c| c.from < end && end <= c.until).min_by_key(|c| c.from)
    }
}

/// Monday is 0. 1 January 1970 was a Thursday.
fn weekday(at: i64) -> usize {
    (at.div_euclid(DAY) + 3).rem_euclid(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> UnixTime {
        let n: Vec<i64> = text.split(['-', 'T', ':', 'Z']).filter_map(|t| t.parse().ok()).collect();
        let days = notafter_pki::UnixTime::from_civil(notafter_pki::time::Civil {
            year: n[0],
            month: n[1] as u8,
            day: n[2] as u8,
            hour: n[3] as u8,
            minute: n[4] as u8,
            second: n[5] as u8,
        });
        days.unwrap()
    }

    fn freeze(from: &str, until: &str, owner: Option<&str>) -> Closed {
        let owner = owner.map(str::to_owned);
        Closed { from: at(from), until: at(until), why: "a freeze".to_owned(), owner }
    }

    #[test]
    fn the_last_instant_to_act() {
        let mut calendar = Calendar {
            closed: vec![
                freeze("2026-12-15T00:00:00Z", "2027-01-06T00:00:00Z", None),
                freeze("2026-12-10T00:00:00Z", "2026-12-15T00:00:00Z", Some("web")),
            ],
            days_off: [false; 7],
        };
        let check = |calendar: &Calendar, end: &str, owner: Option<&str>, expected: &str| {
            let due = calendar.due(at(end), owner);
            assert_eq!(due.at, at(expected), "{end} {owner:?}");
            assert_eq!(due.because.is_some(), end != expected);
        };
        check(&calendar, "2026-12-26T10:00:00Z", None, "2026-12-15T00:00:00Z");
        check(&calendar, "2026-12-26T10:00:00Z", Some("web"), "2026-12-10T00:00:00Z");
        check(&calendar, "2026-12-26T10:00:00Z", Some("mail"), "2026-12-15T00:00:00Z");
        check(&calendar, "2026-12-14T10:00:00Z", Some("mail"), "2026-12-14T10:00:00Z");
        check(&calendar, "2026-12-15T00:00:00Z", None, "2026-12-15T00:00:00Z");
        // Saturday and Sunday: 12 and 13 December; the freeze begins on a Tuesday.
        calendar.days_off = [false, false, false, false, false, true, true];
        check(&calendar, "2026-12-13T10:00:00Z", None, "2026-12-12T00:00:00Z");
        check(&calendar, "2026-12-14T00:00:00Z", None, "2026-12-12T00:00:00Z");
        check(&calendar, "2026-12-14T00:00:01Z", None, "2026-12-14T00:00:01Z");
        check(&calendar, "2026-12-26T10:00:00Z", None, "2026-12-15T00:00:00Z");
        // What a machine makes anew every few days is not moved, nor what could not have been made in time.
        let of = |begin: &str, end: &str| calendar.due_of(at(begin), at(end), None).at;
        let freeze = at("2026-12-15T00:00:00Z");
        assert_eq!(of("2026-10-01T00:00:00Z", "2026-12-26T10:00:00Z"), freeze);
        assert_eq!(of("2026-12-20T00:00:00Z", "2026-12-26T10:00:00Z"), at("2026-12-26T10:00:00Z"));
        assert_eq!(of("2026-12-10T00:00:00Z", "2027-01-05T10:00:00Z"), at("2027-01-05T10:00:00Z"));
        // Without a day to work there is no last one; it ends all the same.
        calendar.days_off = [true; 7];
        assert!(calendar.due(at("2026-12-13T10:00:00Z"), None).at < at("2026-12-01T00:00:00Z"));
    }
}

//! `[[window]]`: when something may be installed. A line of cron in a time zone becomes beginnings and ends in UTC.
//!
//! The five fields of crontab(5): minute, hour, day of the month, month, day of the week; numbers, names of months and
//! days, lists, ranges, steps. Where both days are restricted, either is enough, as cron has it. An hour that a change
//! of clocks leaves out begins when that hour would have; one that comes twice begins the first time.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// So far ahead a window is looked for: 29 February comes once in eight years at worst (1896 to 1904).
const AHEAD_DAYS: i64 = 8 * 366 + 1;

/// The instants of a line of cron, within fields of numbers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cron {
    minutes: Vec<i8>,
    hours: Vec<i8>,
    days: Option<Vec<i8>>,
    months: Vec<i8>,
    /// Sunday is 0.
    weekdays: Option<Vec<i8>>,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Cron {
    /// Reads a line.
    ///
    /// # Errors
    /// Which field is wrong, and what it may hold.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!(
                "`{}` has {} fields, and cron has five: minute, hour, day, month, day of the week\nhint: \"0 2 * * 2\" is Tuesday at 02:00",
                text.escape_debug(),
                fields.len()
            ));
        };
        let some = |field: &str, values: Vec<i8>| (field != "*").then_some(values);
        let days = list(day, "day", 1, 31, &[])?;
        let weekdays = list(weekday, "day of the week", 0, 7, &DAYS)?.into_iter().map(|d| d % 7).collect();
        Ok(Self {
            minutes: list(minute, "minute", 0, 59, &[])?,
            hours: list(hour, "hour", 0, 23, &[])?,
            days: some(day, days),
            months: list(month, "month", 1, 12, &MONTHS)?,
            weekdays: some(weekday, weekdays),
        })
    }

    fn is_on(&self, date: Date) -> bool {
        let weekday = date.weekday().to_sunday_zero_offset();
        let days = match (&self.days, &self.weekdays) {
            (None, None) => true,
            (Some(days), None) => days.contains(&date.day()),
            (None, Some(weekdays)) => weekdays.contains(&weekday),
            (Some(days), Some(weekdays)) => days.contains(&date.day()) || weekdays.contains(&weekday),
        };
        days && self.months.contains(&date.month())
    }

    /// The first window that is not over at an instant. Windows begin at its instants and last so many seconds. `None`: there
    /// is none within eight years.
    pub(crate) fn next(&self, zone: &TimeZone, duration_s: i64, at: i64) -> Option<(i64, i64)> {
        let from = Timestamp::from_second(at.checked_sub(duration_s)?).ok()?;
        let mut date = from.to_zoned(zone.clone()).date();
        for _ in 0..AHEAD_DAYS {
            if self.is_on(date) {
                let times = self.hours.iter().flat_map(|h| self.minutes.iter().map(move |m| (*h, *m)));
                let begin = |(hour, minute)| {
                    let time = Time::new(hour, minute, 0, 0).ok()?;
                    Some(zone.to_ambiguous_timestamp(date.to_datetime(time)).compatible().ok()?.as_second())
                };
                let open = times.filter_map(begin).filter(|begin| begin + duration_s > at).min();
                if let Some(begin) = open {
                    return Some((begin, begin + duration_s));
                }
            }
            date = date.checked_add(1.day()).ok()?;
        }
        None
    }
}

/// A field: `*`, `2`, `mon-fri`, `*/15`, `1,15`, `8-18/2`.
fn list(field: &str, what: &str, least: i8, most: i8, names: &[&str]) -> Result<Vec<i8>, String> {
    let wrong = || {
        format!(
            "`{}` is no {what} of cron\nhint: a number from {least} to {most}, a range 1-5, a list 1,3 or a step */2",
            field.escape_debug()
        )
    };
    let number = |text: &str| {
        let named =
            names.iter().position(|n| text.eq_ignore_ascii_case(n)).and_then(|n| i8::try_from(n).ok());
        // Months count from 1, days of the week from 0.
        let value = named.map(|n| n + least.min(1)).or_else(|| text.parse::<i8>().ok());
        value.filter(|v| (least..=most).contains(v)).ok_or_else(wrong)
    };
    let mut out = Vec::new();
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<usize>().ok().filter(|s| *s > 0).ok_or_else(wrong)?),
            None => (part, 1),
        };
        let (from, until) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, until)) => (number(from)?, number(until)?),
            None if step > 1 => (number(range)?, most),
            None => (number(range)?, number(range)?),
        };
        if from > until {
            return Err(wrong());
        }
        out.extend((from..=until).step_by(step));
    }
    out.sort_unstable();
    out.dedup();
    Ok(out)
}

/// A time zone by its name in the IANA database; `UTC` where none is given.
///
/// # Errors
/// There is none of this name.
pub(crate) fn zone(name: Option<&str>) -> Result<TimeZone, String> {
    match name {
        None => Ok(TimeZone::UTC),
        Some(name) => TimeZone::get(name).map_err(|_| {
            format!(
                "no time zone is called `{}`\nhint: write a name of the IANA database: Europe/Berlin",
                name.escape_debug()
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().expect("a time").as_second()
    }

    fn begins(cron: &str, zone_name: &str, now: &str, n: usize) -> Vec<String> {
        let cron = Cron::parse(cron).expect("cron");
        let zone = zone(Some(zone_name)).expect("a zone");
        let mut from = at(now);
        let mut out = Vec::new();
        while let Some((begin, end)) = cron.next(&zone, 7_200, from).filter(|_| out.len() < n) {
            out.push(Timestamp::from_second(begin).expect("a time").to_string());
            from = end;
        }
        out
    }

    #[test]
    fn lines_of_cron() {
        // Tuesday at two in the morning in Berlin: one o'clock UTC in winter, midnight in summer.
        assert_eq!(
            begins("0 2 * * 2", "Europe/Berlin", "2026-11-22T00:00:00Z", 2),
            ["2026-11-24T01:00:00Z", "2026-12-01T01:00:00Z"]
        );
        assert_eq!(
            begins("0 2 * * tue", "Europe/Berlin", "2026-07-01T00:00:00Z", 1),
            ["2026-07-07T00:00:00Z"]
        );
        // One that has begun and is not over yet is one.
        assert_eq!(begins("0 2 * * *", "UTC", "2026-11-22T03:59:00Z", 1), ["2026-11-22T02:00:00Z"]);
        assert_eq!(begins("0 2 * * *", "UTC", "2026-11-22T04:00:00Z", 1), ["2026-11-23T02:00:00Z"]);
        // Either day, where both are restricted (crontab(5)).
        assert_eq!(
            begins("30 4 1 * sun", "UTC", "2026-11-24T00:00:00Z", 3),
            ["2026-11-29T04:30:00Z", "2026-12-01T04:30:00Z", "2026-12-06T04:30:00Z"]
        );
        assert_eq!(begins("0 8 * dec 7", "UTC", "2026-11-30T00:00:00Z", 2)[1], "2026-12-13T08:00:00Z");
        assert_eq!(begins("*/30 8-9 * dec 7", "UTC", "2026-12-06T10:30:00Z", 1), ["2026-12-06T09:00:00Z"]);
        // The hour that is left out on 29 March 2026, and the one that comes twice on 25 October.
        assert_eq!(
            begins("30 2 29 3 *", "Europe/Berlin", "2026-03-28T00:00:00Z", 1),
            ["2026-03-29T01:30:00Z"]
        );
        assert_eq!(
            begins("30 2 25 10 *", "Europe/Berlin", "2026-10-24T00:00:00Z", 1),
            ["2026-10-25T00:30:00Z"]
        );
    }

    /// A server that runs for years still knows when.
    #[test]
    fn windows_never_end() {
        assert_eq!(begins("0 2 * * 2", "UTC", "2029-11-22T00:00:00Z", 1), ["2029-11-27T02:00:00Z"]);
        assert_eq!(begins("0 2 29 2 *", "UTC", "2026-11-22T00:00:00Z", 2)[1], "2032-02-29T02:00:00Z");
        assert!(begins("0 2 30 2 *", "UTC", "2026-11-22T00:00:00Z", 1).is_empty());
    }

    #[test]
    fn lines_that_are_none() {
        for (text, word) in [
            ("0 2 * *", "five"),
            ("60 2 * * *", "minute"),
            ("0 24 * * *", "hour"),
            ("0 2 0 * *", "day"),
            ("0 2 * 13 *", "month"),
            ("0 2 * * 8", "week"),
            ("0 2 * * fri-mon", "week"),
            ("*/0 * * * *", "minute"),
            ("a * * * *", "minute"),
        ] {
            let said = Cron::parse(text).expect_err(text);
            assert!(said.contains(word) && said.contains("hint: "), "{text}: {said}");
        }
        assert!(zone(Some("Europe/Berlim")).is_err() && zone(None).is_ok());
    }
}

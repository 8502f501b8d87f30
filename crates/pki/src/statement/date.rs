//! Dates as text formats write them: RFC 3339 (and XML Schema's dateTime), RFC 5322.
//!
//! Used by the readers of SAML, JSON catalogues, TUF and Debian's Release. Nothing is guessed: a date without a zone
//! is read as UTC only where the format says so, which all of these do.

use crate::time::{Civil, UnixTime};

/// RFC 3339, XML Schema's dateTime and dates alone: `2026-11-22T01:02:03.5+01:00`, `2026-11-22T01:02:03`,
/// `2026-11-22`. Fractions are cut; without a zone it is UTC, as SAML demands (saml-core section 1.3.3).
pub fn read_rfc3339(text: &str) -> Option<UnixTime> {
    let text = text.trim();
    let (date, rest) = text.split_at_checked(10)?;
    let [year, month, day] = fields(date, '-')?;
    if rest.is_empty() {
        return civil(year, month, day, [0; 3]);
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let clock = fields(clock, ':')?;
    let rest = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    let offset = match rest.trim() {
        "" | "Z" | "z" | "UTC" => 0,
        zone => {
            let (sign, digits) = zone.split_at_checked(1)?;
            let digits: String = digits.chars().filter(|c| *c != ':').collect();
            let seconds = hours_and_minutes(&digits)?;
            match sign {
                "+" => seconds,
                "-" => -seconds,
                _ => return None,
            }
        }
    };
    // The end of a day, ISO 8601 section 4.2.3.
    if clock == [24, 0, 0] {
        return Some(civil(year, month, day, [0; 3])?.plus(crate::time::DAY - offset));
    }
    Some(civil(year, month, day, clock)?.plus(-offset))
}

/// RFC 5322 section 3.3, as mail and Debian's Release have it: `Sat, 11 Oct 2025 09:30:01 UTC`.
pub fn read_rfc2822(text: &str) -> Option<UnixTime> {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let text = text.trim();
    let text = text.split_once(',').map_or(text, |(_, rest)| rest);
    let mut words = text.split_ascii_whitespace();
    let day = words.next()?.parse().ok()?;
    let name = words.next()?.to_ascii_lowercase();
    let month = MONTHS.iter().position(|month| name.starts_with(month))? as i64 + 1;
    let year: i64 = words.next()?.parse().ok()?;
    // RFC 5322 section 4.3: years of two digits.
    let year = if year < 50 {
        year + 2000
    } else if year < 1000 {
        year + 1900
    } else {
        year
    };
    let mut clock = words.next()?.split(':');
    let mut next = || clock.next().map_or(Some(0), |part| part.parse::<i64>().ok());
    let clock = [next()?, next()?, next()?];
    let offset = match words.next().unwrap_or("UTC") {
        "UTC" | "GMT" | "UT" | "Z" => 0,
        zone => match zone.split_at_checked(1)? {
            ("+", digits) => hours_and_minutes(digits)?,
            ("-", digits) => -hours_and_minutes(digits)?,
            _ => return None,
        },
    };
    Some(civil(year, month, day, clock)?.plus(-offset))
}

/// Seconds of `0130`, `01`.
fn hours_and_minutes(digits: &str) -> Option<i64> {
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let hours: i64 = digits.get(..2)?.parse().ok()?;
    let minutes: i64 = match digits.get(2..)? {
        "" => 0,
        minutes if minutes.len() == 2 => minutes.parse().ok()?,
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60)
}

/// Three numbers with a sign between.
fn fields(text: &str, between: char) -> Option<[i64; 3]> {
    let mut parts = text.split(between).map(|part| {
        part.bytes().all(|digit| digit.is_ascii_digit()).then(|| part.parse::<i64>().ok()).flatten()
    });
    let fields = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(fields)
}

fn civil(year: i64, month: i64, day: i64, [hour, minute, second]: [i64; 3]) -> Option<UnixTime> {
    let small = |n: i64| u8::try_from(n).ok();
    if !(0..=9999).contains(&year) {
        return None;
    }
    UnixTime::from_civil(Civil {
        year,
        month: small(month)?,
        day: small(day)?,
        hour: small(hour)?,
        minute: small(minute)?,
        second: small(second)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(read: fn(&str) -> Option<UnixTime>, text: &str, expected: Option<&str>) {
        assert_eq!(read(text).map(|time| time.to_string()).as_deref(), expected, "{text}");
    }

    #[test]
    fn dates() {
        check(read_rfc3339, "2026-11-22T01:02:03Z", Some("2026-11-22T01:02:03Z"));
        check(read_rfc3339, " 2026-11-22T01:02:03.123456789+01:30 ", Some("2026-11-21T23:32:03Z"));
        check(read_rfc3339, "2026-11-22 01:02:03-0100", Some("2026-11-22T02:02:03Z"));
        check(read_rfc3339, "2026-11-22T01:02:03", Some("2026-11-22T01:02:03Z"));
        check(read_rfc3339, "2026-11-22T24:00:00Z", Some("2026-11-23T00:00:00Z"));
        check(read_rfc3339, "2026-11-22", Some("2026-11-22T00:00:00Z"));
        check(read_rfc3339, "9999-12-31T23:59:59Z", Some("9999-12-31T23:59:59Z"));
        for text in ["2026-02-29", "2026-11-22T1:2:3Z", "x", "", "2026-11-22T01:02:03X", "+026-11-22"] {
            check(read_rfc3339, text, None);
        }
        check(read_rfc3339, "2026-11-22T01:02:03+99:00", None);
        check(read_rfc3339, "2026-11-\u{e9}2T01:02:03", None);
        check(read_rfc2822, "Sat, 11 Oct 2025 09:30:01 UTC", Some("2025-10-11T09:30:01Z"));
        check(read_rfc2822, "11 Oct 2025 09:30 +0200", Some("2025-10-11T07:30:00Z"));
        check(read_rfc2822, "Sat, 11 Oct 25 09:30:01 -0100", Some("2025-10-11T10:30:01Z"));
        for text in ["", "Sat, 31 Feb 2025 09:30:01 UTC", "Sat, 11 Okt 2025 09:30:01 UTC", "1 Jan 2025 1:x"] {
            check(read_rfc2822, text, None);
        }
    }
}

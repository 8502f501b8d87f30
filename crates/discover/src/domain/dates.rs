//! The zoo of dates that WHOIS servers write, read without being told which animal it is.
//!
//! A year of four digits anchors the rest. Where day and month could be either, the day comes first, as all registries
//! do that write it so. A date without a time is its first second, a time without a zone is UTC: the earlier warning
//! is the better one. Nothing is guessed from two digits of a year.

use notafter_core::UnixTime;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// The instant that a text names, if it names one.
pub fn read(text: &str) -> Option<UnixTime> {
    let text: String = text.trim().chars().take(64).collect::<String>().to_ascii_lowercase();
    let (date, time) = match clock(&text) {
        Some((at, end)) => (text.get(..at)?.to_owned() + " " + year_after(text.get(end..)?), Some((at, end))),
        None => (text.clone(), None),
    };
    let (year, month, day, packed) = day_of(&date)?;
    let (seconds, offset) = match (time, packed) {
        (Some((at, end)), _) => {
            let mut parts = text.get(at..end)?.split(':').map(|p| p.parse::<i64>().ok());
            let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
            if hour > 23 || minute > 59 || second > 60 {
                return None;
            }
            (hour * 3600 + minute * 60 + second, zone(text.get(end..)?))
        }
        (None, Some(seconds)) => (seconds, 0),
        (None, None) => (0, 0),
    };
    Some(UnixTime(days(year, month, day)? * 86_400 + seconds - offset))
}

/// Where `12:34:56` or `12:34` stands.
fn clock(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let colon = (1..bytes.len()).find(|&at| bytes[at] == b':' && digit(at - 1) && digit(at + 1))?;
    let start = if colon >= 2 && digit(colon - 2) { colon - 2 } else { colon - 1 };
    let mut end = colon + 1;
    while digit(end) && end < colon + 3 {
        end += 1;
    }
    if bytes.get(end) == Some(&b':') && digit(end + 1) {
        end += 1;
        let from = end;
        while digit(end) && end < from + 2 {
            end += 1;
        }
    }
    Some((start, end))
}

/// `gmt 2018` of `Mon Jul 30 00:00:00 GMT 2018`: the year, where it comes last.
fn year_after(rest: &str) -> &str {
    let last = rest.split(|c: char| !c.is_ascii_alphanumeric()).rfind(|word| !word.is_empty());
    last.filter(|word| {
        word.len() == 4 && word.bytes().all(|b| b.is_ascii_digit()) && !rest.contains(['+', '-'])
    })
    .unwrap_or("")
}

/// Seconds east of UTC.
fn zone(rest: &str) -> i64 {
    // A fraction is no zone, and `utc+8` is one.
    let rest = rest.strip_prefix('.').map_or(rest, |r| r.trim_start_matches(|c: char| c.is_ascii_digit()));
    let rest = rest.trim_start_matches(|c: char| c == ' ' || c == '(' || c.is_ascii_alphabetic());
    let (sign, digits) = match (rest.strip_prefix('+'), rest.strip_prefix('-')) {
        (Some(digits), _) => (1, digits),
        (_, Some(digits)) => (-1, digits),
        _ => return 0,
    };
    let digits: String =
        digits.chars().filter(|c| *c != ':').take_while(char::is_ascii_digit).take(4).collect();
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits.parse().unwrap_or(0), 0),
        4 => (digits[..2].parse().unwrap_or(0), digits[2..].parse().unwrap_or(0)),
        _ => return 0,
    };
    if hours > 14 || minutes > 59 { 0 } else { sign * (hours * 3600 + minutes * 60) }
}

/// Year, month and day of a text without a time; seconds of the day where they follow without a colon.
fn day_of(text: &str) -> Option<(i64, i64, i64, Option<i64>)> {
    let words: Vec<&str> =
        text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let number = |word: &str| word.trim_end_matches(['t', 's', 'h', 'n', 'd', 'r']).parse::<i64>().ok();
    let month = words.iter().position(|word| {
        word.len() >= 3
            && word.get(..3).is_some_and(|start| MONTHS.contains(&start))
            && number(word).is_none()
    });
    if let Some(at) = month {
        let name = words[at].get(..3)?;
        let month = MONTHS.iter().position(|known| *known == name)? as i64 + 1;
        let numbers: Vec<(usize, i64)> =
            words.iter().filter_map(|word| Some((word.len(), number(word)?))).collect();
        let year = numbers.iter().find(|(length, n)| *length == 4 && (1970..10_000).contains(n))?.1;
        let day = numbers.iter().find(|(length, n)| *length <= 4 && (1..=31).contains(n))?.1;
        return Some((year, month, day, None));
    }
    let first = words.first()?;
    let digits = first.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 8 || digits == 14 {
        let part = |from: usize, to: usize| first.get(from..to)?.parse::<i64>().ok();
        let seconds =
            if digits == 14 { Some(part(8, 10)? * 3600 + part(10, 12)? * 60 + part(12, 14)?) } else { None };
        return Some((part(0, 4)?, part(4, 6)?, part(6, 8)?, seconds));
    }
    let (one, two, three) = (words.first()?, words.get(1)?, words.get(2)?);
    let (a, b, c) = (number(one)?, number(two)?, number(three)?);
    match (one.len(), three.trim_end_matches('t').len()) {
        (4, _) => Some((a, b, c, None)),
        (_, 4) if b > 12 => Some((c, a, b, None)),
        (_, 4) => Some((c, b, a, None)),
        _ => None,
    }
}

/// Days since 1970 of a date of the Gregorian calendar, checked.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1970..=9999).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    let before = |year: i64| year * 365 + year / 4 - year / 100 + year / 400;
    let months = (1..month).map(|m| match m {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    });
    Some(before(year - 1) - before(1969) + months.sum::<i64>() + day - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = read(text).map_or_else(|| "none".to_owned(), |time| time.to_string());
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn every_animal() {
        for text in [
            "2027-03-01T08:30:00Z",
            "2027-03-01T08:30:00.0Z",
            "2027-03-01T08:30:00.123456Z",
            "2027-03-01T10:30:00+02:00",
            "2027-03-01T10:30:00+0200",
            "2027-03-01T03:30:00-0500",
            "2027-03-01 10:30:00+02",
            "2027-03-01 17:30:00 (UTC+9)",
            "2027-03-01-T08:30:00Z",
            "2027-03-01 08:30:00",
            "2027/03/01 08:30:00",
            "2027.03.01 08:30:00",
            "2027. 03. 01. 08:30:00",
            "20270301083000",
            "20270301 08:30:00",
            "01-Mar-2027 08:30:00 UTC",
            "1 March 2027 08:30",
            "March 1 2027 08:30:00",
            "Mon Mar 01 08:30:00 GMT 2027",
            "01.03.2027 08:30:00",
            "1.3.2027 8:30:00",
            "01-03-2027 08:30:00",
            "01/03/2027 08:30:00",
        ] {
            check(text, "2027-03-01T08:30:00Z");
        }
        for text in [
            "2027-03-01",
            "20270301",
            "01-Mar-2027",
            "1.3.2027",
            "2027-Mar-01.",
            "1st march 2027",
            "March 1st, 2027",
        ] {
            check(text, "2027-03-01T00:00:00Z");
        }
        check("29-02-2028", "2028-02-29T00:00:00Z");
        check("12/31/2027", "2027-12-31T00:00:00Z");
        for text in [
            "",
            "none",
            "n/a",
            "2027",
            "2027-13-01",
            "2027-02-29",
            "2027-02-30",
            "01-03-27",
            "Mar 27",
            "99999999",
            "before Aug-1996",
            "25:00:00",
            "2027-03-01 25:00:00",
            "ä:1",
            "1:",
            ":::::",
            "0000-00-00",
        ] {
            check(text, "none");
        }
    }
}

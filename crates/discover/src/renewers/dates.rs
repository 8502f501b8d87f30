//! Dates as renewers write them: RFC 3339, certbot's log, the shell's `date`.

use notafter_core::UnixTime;
use notafter_pki::time::Civil;

/// `2025-11-20T03:14:07Z`, `2025-11-20 03:14:07,123`, with a fraction and an offset or without.
pub(super) fn parse(text: &str) -> Option<UnixTime> {
    let text = text.trim();
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok();
    let mark = |at: usize, wanted: &[u8]| text.as_bytes().get(at).is_some_and(|b| wanted.contains(b));
    if !(mark(4, b"-") && mark(7, b"-") && mark(10, b"Tt _") && mark(13, b":") && mark(16, b":")) {
        return None;
    }
    let at = UnixTime::from_civil(Civil {
        year: i64::from(part(0, 4)?),
        month: part(5, 7)? as u8,
        day: part(8, 10)? as u8,
        hour: part(11, 13)? as u8,
        minute: part(14, 16)? as u8,
        second: part(17, 19)? as u8,
    })?;
    let zone = text[19..].trim_start_matches(|c: char| c == '.' || c == ',' || c.is_ascii_digit());
    Some(at.plus(-offset(zone)))
}

/// `+02:00` in seconds; nothing else is an offset.
fn offset(zone: &str) -> i64 {
    let (sign, rest) = match zone.as_bytes().first() {
        Some(b'+') => (1, &zone[1..]),
        Some(b'-') => (-1, &zone[1..]),
        _ => return 0,
    };
    let digits: String = rest.chars().take(5).filter(char::is_ascii_digit).collect();
    match (
        digits.get(0..2).and_then(|h| h.parse::<i64>().ok()),
        digits.get(2..4).and_then(|m| m.parse::<i64>().ok()),
    ) {
        (Some(hours), minutes) => sign * (hours * 3600 + minutes.unwrap_or(0) * 60),
        _ => 0,
    }
}

/// `Thu Nov 20 03:14:07 UTC 2025` and `Thu 20 Nov 2025 03:14:07 AM UTC`, as `date` prints in English.
pub(super) fn shell(text: &str) -> Option<UnixTime> {
    const MONTHS: &[&str] =
        &["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split_whitespace().take(10).collect();
    let month = words.iter().find_map(|w| MONTHS.iter().position(|m| w == m))? as u8 + 1;
    let clock = words.iter().find(|w| w.matches(':').count() == 2)?;
    let mut numbers = clock.split(':').map(|n| n.parse::<u8>().ok());
    let (mut hour, minute, second) = (numbers.next()??, numbers.next()??, numbers.next()??);
    if words.contains(&"PM") && hour < 12 {
        hour += 12;
    } else if words.contains(&"AM") && hour == 12 {
        hour = 0;
    }
    let number = |low: i64, high: i64| {
        words.iter().filter_map(|w| w.parse::<i64>().ok()).find(|n| (low..=high).contains(n))
    };
    let (day, year) = (number(1, 31)? as u8, number(1970, 9999)?);
    UnixTime::from_civil(Civil { year, month, day, hour, minute, second })
}

/// `30 days`, `1 year`, `12 hours`: seconds.
pub(super) fn span(text: &str) -> Option<i64> {
    let mut total = None;
    let mut words = text.split_whitespace();
    while let Some(count) = words.next() {
        let count: i64 = count.parse().ok().filter(|n| (0..1_000_000).contains(n))?;
        let unit = words.next().unwrap_or("days");
        let seconds = match unit.trim_end_matches('s') {
            "second" => 1,
            "minute" => 60,
            "hour" => 3600,
            "day" => 86_400,
            "week" => 7 * 86_400,
            "month" => 30 * 86_400,
            "year" => 365 * 86_400,
            _ => return None,
        };
        total = Some(total.unwrap_or(0) + count * seconds);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, expected) in [
            ("2025-11-20T03:14:07Z", Some("2025-11-20T03:14:07Z")),
            ("2025-11-20 03:14:07,123:ERROR", Some("2025-11-20T03:14:07Z")),
            ("2025-11-20T03:14:07.123456789+02:00", Some("2025-11-20T01:14:07Z")),
            ("2025-13-20T03:14:07Z", None),
            ("2025-11-20", None),
            ("é025-11-20T03:14:07Z", None),
            ("", None),
        ] {
            assert_eq!(parse(text).map(|t| t.to_string()).as_deref(), expected, "{text}");
        }
        for text in ["Thu Nov 20 03:14:07 UTC 2025", "Thu 20 Nov 2025 03:14:07 AM UTC"] {
            assert_eq!(shell(text).map(|t| t.to_string()).as_deref(), Some("2025-11-20T03:14:07Z"), "{text}");
        }
        assert_eq!(
            (span("30 days"), span("1 year"), span("soon")),
            (Some(2_592_000), Some(31_536_000), None)
        );
    }
}

//! Times and durations as people type them.

use std::time::Duration;

use notafter_core::UnixTime;

/// Reads `--at`: RFC 3339, a date, a date and time without zone (UTC), or `+30d` / `-6h` from now.
///
/// # Errors
/// A sentence.
pub(crate) fn parse_at(text: &str, now: UnixTime) -> Result<UnixTime, String> {
    let relative = |sign: i64, rest: &str| duration(rest).map(|d| now.plus(sign * d.as_secs() as i64));
    if let Some(rest) = text.strip_prefix('+') {
        return relative(1, rest);
    }
    if let Some(rest) = text.strip_prefix('-') {
        return relative(-1, rest);
    }
    if text == "now" {
        return Ok(now);
    }
    let zoned = text.parse::<jiff::Timestamp>().map(|t| t.as_second());
    let civil = text.parse::<jiff::civil::DateTime>();
    let utc =
        |c: jiff::civil::DateTime| c.to_zoned(jiff::tz::TimeZone::UTC).map(|z| z.timestamp().as_second());
    zoned.or_else(|_| civil.and_then(utc)).map(UnixTime).map_err(|_| format!("`{text}` is no time"))
}

/// Reads `90s`, `5m`, `6h`, `30d`, `500ms`, or a plain number of seconds.
///
/// # Errors
/// A sentence.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor_ms: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        _ => return Err(format!("`{text}` is no duration: write 500ms, 90s, 5m, 6h or 30d")),
    };
    let number: u64 =
        number.parse().map_err(|_| format!("`{text}` is no duration: write 90s, 5m, 6h or 30d"))?;
    Ok(Duration::from_millis(number.saturating_mul(factor_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let now = UnixTime(1_795_219_200);
        let check = |text: &str, expected: &str| {
            let got = parse_at(text, now).map_or_else(|e| e, |t| t.to_string());
            assert!(got.starts_with(expected), "{text}: {got}");
        };
        check("+30d", "2026-12-21T00:00:00Z");
        check("-1h", "2026-11-20T23:00:00Z");
        check("2027-03-01", "2027-03-01T00:00:00Z");
        check("2027-03-01T08:00:00+02:00", "2027-03-01T06:00:00Z");
        check("2027-03-01T08:00", "2027-03-01T08:00:00Z");
        check("9999-12-31T23:59:59Z", "");
        check("tomorrow", "`tomorrow` is no time");
    }

    #[test]
    fn durations() {
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        assert!(duration("fast").is_err() && duration("5y").is_err() && duration("").is_err());
    }
}

//! How often a timer or a line of cron starts something: the longest wait between two starts, in seconds.
//!
//! From systemd.time(7) and crontab(5), as far as it matters for "has it not run for too long". What cannot be told is
//! `None`; rounding is towards longer.

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const DAYS: &[&str] = &["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The rhythm of a systemd timer unit.
pub(super) fn of_unit(text: &str) -> Option<i64> {
    let mut found: Option<i64> = None;
    let mut delay = 0;
    for line in text.lines().take(1000) {
        let Some((key, value)) = line.split_once('=') else { continue };
        let value = value.trim();
        let one = match key.trim() {
            "OnCalendar" => calendar(value),
            "OnUnitActiveSec" | "OnUnitInactiveSec" => span(value),
            "RandomizedDelaySec" => {
                delay = span(value).unwrap_or(0).clamp(0, 31 * DAY);
                None
            }
            _ => None,
        };
        found = [found, one].into_iter().flatten().min();
    }
    found.map(|every| every + delay)
}

/// `12h`, `1d 6h`, `30min`, `3600`.
fn span(text: &str) -> Option<i64> {
    let mut total: i64 = 0;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: i64 = rest[..digits].parse().ok().filter(|n| *n < 1_000_000_000)?;
        rest = rest[digits..].trim_start();
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = match &rest[..letters] {
            "" | "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hr" | "hour" | "hours" => HOUR,
            "d" | "day" | "days" => DAY,
            "w" | "week" | "weeks" => 7 * DAY,
            "M" | "month" | "months" => 31 * DAY,
            _ => return None,
        };
        total += count * unit;
        rest = rest[letters..].trim_start();
    }
    (total > 0).then_some(total)
}

/// An `OnCalendar=` expression.
fn calendar(text: &str) -> Option<i64> {
    match text.to_ascii_lowercase().as_str() {
        "minutely" => return Some(60),
        "hourly" => return Some(HOUR),
        "daily" => return Some(DAY),
        "weekly" => return Some(7 * DAY),
        "monthly" => return Some(31 * DAY),
        "quarterly" => return Some(92 * DAY),
        "semiannually" => return Some(184 * DAY),
        "yearly" | "annually" => return Some(366 * DAY),
        _ => {}
    }
    let (mut date, mut time, mut weekdays) = (None, None, None);
    for word in text.split_whitespace() {
        match word {
            _ if word.contains(':') => time = Some(word),
            _ if word.contains('-') && word.contains(['*', '/']) || word.matches('-').count() == 2 => {
                date = Some(word)
            }
            _ if DAYS.iter().any(|day| word.starts_with(day)) => weekdays = Some(word),
            // A time zone.
            _ => {}
        }
    }
    let hours = time.map_or("0", |t| t.split(':').next().unwrap_or("0"));
    let days = date.map_or("*", |d| d.rsplit('-').next().unwrap_or("*"));
    let month = date.map_or("*", |d| d.rsplit('-').nth(1).unwrap_or("*"));
    rhythm(hours, days, month, weekdays.unwrap_or("*"))
}

/// The rhythm of a line of cron, with or without a user in it.
pub(super) fn of_cron(line: &str) -> Option<i64> {
    let mut words = line.split_whitespace();
    let first = words.next()?;
    match first {
        "@hourly" => return Some(HOUR),
        "@daily" | "@midnight" => return Some(DAY),
        "@weekly" => return Some(7 * DAY),
        "@monthly" => return Some(31 * DAY),
        "@yearly" | "@annually" => return Some(366 * DAY),
        _ if first.starts_with('@') => return None,
        _ => {}
    }
    let (hours, days, month, weekdays) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let field = |f: &str| f.bytes().all(|b| b.is_ascii_alphanumeric() || b"*/,-~".contains(&b));
    [first, hours, days, month, weekdays]
        .iter()
        .all(|f| field(f))
        .then(|| rhythm(hours, days, month, weekdays))?
}

/// The rhythm of a folder whose scripts cron runs.
pub(super) fn of_folder(path: &str) -> Option<i64> {
    [("hourly", HOUR), ("daily", DAY), ("weekly", 7 * DAY), ("monthly", 31 * DAY)]
        .iter()
        .find(|(name, _)| path.contains(name))
        .map(|(_, every)| *every)
}

fn rhythm(hours: &str, days: &str, month: &str, weekdays: &str) -> Option<i64> {
    let every_day = matches!(days, "*" | "?" | "*/1" | "1/1");
    let every_weekday = matches!(weekdays, "*" | "?");
    if !matches!(month, "*" | "?" | "*/1") {
        return Some(366 * DAY);
    }
    if !every_day && every_weekday {
        return Some(gap(days, 1, 31)? * DAY);
    }
    if !every_weekday {
        // A range or a list of days: the longest wait is over a weekend or so.
        let count: i64 = weekdays.split(',').map(|w| if w.contains(['-', '.']) { 3 } else { 1 }).sum();
        return Some((7 / count.clamp(1, 7) + 1).min(7) * DAY);
    }
    Some(gap(hours, 0, 24)? * HOUR)
}

/// The longest way from one to the next of a field's values, around the end.
fn gap(field: &str, low: i64, length: i64) -> Option<i64> {
    let mut values: Vec<i64> = Vec::new();
    for part in field.split(',').take(100) {
        let (range, step) = part.split_once('/').map_or((part, 1), |(r, s)| (r, s.parse().unwrap_or(0)));
        if step <= 0 {
            return None;
        }
        let number = |t: &str| t.parse::<i64>().ok().filter(|n| (0..=60).contains(n));
        let bounds = match range.split_once("..").or_else(|| range.split_once(['-', '~'])) {
            Some((from, to)) => (number(from)?, number(to)?),
            None if range == "*" => (low, low + length - 1),
            None if part.contains('/') => (number(range)?, low + length - 1),
            None => (number(range)?, number(range)?),
        };
        // `a~b` is one hour by chance.
        let step = if range.contains('~') { length } else { step };
        let mut at = bounds.0;
        while at <= bounds.1 && values.len() < 1000 {
            values.push(at);
            at += step;
        }
    }
    values.sort_unstable();
    values.dedup();
    let around = values.first()? + length - values.last()?;
    values.windows(2).map(|w| w[1] - w[0]).chain([around]).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        let check = |text: &str, hours: Option<i64>| {
            assert_eq!(of_unit(text).map(|s| s / HOUR), hours, "{text}");
        };
        check("OnCalendar=*-*-* 00,12:00:00\nRandomizedDelaySec=43200\n", Some(24));
        check("[Timer]\nOnCalendar=daily\nRandomizedDelaySec=1h", Some(25));
        check("OnCalendar=Mon *-*-* 03:00", Some(168));
        check("OnCalendar=*-*-01 03:00:00", Some(744));
        check("OnCalendar=03:00", Some(24));
        check("OnCalendar=*:0/15", Some(1));
        check("OnCalendar=hourly\nOnCalendar=weekly", Some(1));
        check("OnCalendar=*-*-* 0/8:00:00 UTC", Some(8));
        check("OnUnitActiveSec=1d 6h", Some(30));
        check("OnBootSec=5min", None);
        check("OnCalendar=", Some(24));
    }

    #[test]
    fn lines_of_cron() {
        let check = |line: &str, hours: Option<i64>| {
            assert_eq!(of_cron(line).map(|s| s / HOUR), hours, "{line}");
        };
        check("0 */12 * * * root certbot -q renew", Some(12));
        check("7 3 * * * /root/.acme.sh/acme.sh --cron", Some(24));
        check("0 3 * * 1 root dehydrated -c", Some(168));
        check("0 3 1 * * root dehydrated -c", Some(744));
        check("*/5 * * * * x", Some(1));
        check("0 6,18 * * * x", Some(12));
        check("0 1~5 * * * x", Some(24));
        check("@weekly root x", Some(168));
        check("@reboot x", None);
        check("MAILTO=root", None);
        check("x", None);
        assert_eq!(of_folder("/etc/cron.weekly/lego"), Some(7 * DAY));
    }
}

//! Numbers, dates and names as a person reads them.
//!
//! Used by every view. Pure: `now` is an argument. Times are UTC, because that is what certificates say;
//! where the hour matters the page says so.

use notafter_core::UnixTime;
use notafter_pki::time::DAY;

/// Text from outside, fit for a page: control and bidi characters are visible as code points.
pub(crate) fn clean(text: &str) -> String {
    notafter_pki::name::printable(text)
}

/// `1,204`
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `one` to `twelve`, then digits.
pub(crate) fn number_word(n: u64) -> String {
    const WORDS: [&str; 13] = [
        "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
        "twelve",
    ];
    usize::try_from(n).ok().and_then(|n| WORDS.get(n)).map_or_else(|| number(n), |w| (*w).to_owned())
}

/// `1 place`, `3 places`; the plural of `y` is `ies`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    format!("{} {}", number(n), plural(n, noun))
}

/// The noun as it goes with a number.
pub(crate) fn plural(n: u64, noun: &str) -> String {
    match (n, noun.strip_suffix('y')) {
        (1, _) => noun.to_owned(),
        (_, Some(stem)) if !stem.ends_with(['a', 'e', 'o']) => format!("{stem}ies"),
        _ => format!("{noun}s"),
    }
}

/// The first letter large, unless the first word is a name, a place or a kind: those are as they are.
pub(crate) fn sentence(text: &str) -> String {
    let first = text.split([' ', ',', ':', ';']).next().unwrap_or_default();
    if !first.chars().all(char::is_alphabetic)
        || text.get(first.len()..).is_some_and(|rest| rest.starts_with("://"))
    {
        return text.to_owned();
    }
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// What a rule says, as a sentence: its first letter is large if the first word is one of ours. What begins with a name
/// stays as it is, because a name with another letter is another name.
pub(crate) fn said(text: &str) -> String {
    const OURS: [&str; 9] = ["a", "an", "the", "no", "nobody", "nothing", "cannot", "one", "two"];
    let first = text.split(' ').next().unwrap_or_default();
    if OURS.contains(&first) { sentence(text) } else { text.to_owned() }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const MONTHS_LONG: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

fn month(list: &'static [&'static str; 12], at: UnixTime) -> &'static str {
    list.get(usize::from(at.civil().month) - 1).copied().unwrap_or("?")
}

/// `13 Dec 2026`
pub(crate) fn date(at: UnixTime) -> String {
    if at == UnixTime::NO_EXPIRY {
        return "never".to_owned();
    }
    let c = at.civil();
    format!("{} {} {}", c.day, month(&MONTHS, at), c.year)
}

/// `13 Dec`, with the year where it is not the next such day or the last one.
pub(crate) fn day(at: UnixTime, now: UnixTime) -> String {
    if (at.0.saturating_sub(now.0)).abs() > 300 * DAY {
        return date(at);
    }
    format!("{} {}", at.civil().day, month(&MONTHS, at))
}

/// `1 December`, with the year where it is not this one.
pub(crate) fn day_long(at: UnixTime, now: UnixTime) -> String {
    let c = at.civil();
    let year = if c.year == now.civil().year { String::new() } else { format!(" {}", c.year) };
    format!("{} {}{year}", c.day, month(&MONTHS_LONG, at))
}

/// `21 Nov 2026, 15:04 UTC`
pub(crate) fn moment(at: UnixTime) -> String {
    let c = at.civil();
    format!("{}, {:02}:{:02} UTC", date(at), c.hour, c.minute)
}

/// `Thu 19 Nov, 06:12`
pub(crate) fn weekday(at: UnixTime, now: UnixTime) -> String {
    let c = at.civil();
    // 1970-01-01 was a Thursday.
    let index = (at.0.div_euclid(DAY) + 3).rem_euclid(7) as usize;
    format!("{} {}, {:02}:{:02}", WEEKDAYS.get(index).unwrap_or(&""), day(at, now), c.hour, c.minute)
}

/// How long ago: `just now`, `4 min ago`, `5 h ago`, then the day.
pub(crate) fn ago(at: UnixTime, now: UnixTime) -> String {
    match now.0.saturating_sub(at.0) {
        s if s < -60 => format!("{}, in the future", moment(at)),
        s if s < 60 => "just now".to_owned(),
        s if s < 2 * 3600 => format!("{} min ago", s / 60),
        s if s < DAY => format!("{} h ago", s / 3600),
        s if s < 7 * DAY => weekday(at, now),
        _ => date(at),
    }
}

/// How soon: `now`, `in 56 min`, `in 5 h`, then the day.
pub(crate) fn ahead(at: UnixTime, now: UnixTime) -> String {
    match at.0.saturating_sub(now.0) {
        s if s < 60 => "now".to_owned(),
        s if s < 2 * 3600 => format!("in {} min", s / 60),
        s if s < DAY => format!("in {} h", s / 3600),
        s if s < 7 * DAY => weekday(at, now),
        _ => date(at),
    }
}

/// A span: `40 s`, `12 min`, `3 h`, `61 days`.
pub(crate) fn span(seconds: i64) -> String {
    match seconds.unsigned_abs() {
        s if s < 120 => format!("{s} s"),
        s if s < 2 * 3600 => format!("{} min", s / 60),
        s if s < 2 * 86_400 => format!("{} h", s / 3600),
        s => counted(s / 86_400, "day"),
    }
}

/// Percent-encodes a value for a query string.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b'*') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Where a query leads in the inventory.
pub(crate) fn ask(query: &str) -> String {
    format!("/inventory?q={}", encode(query))
}

/// A value of the query language, in quotes where it needs them.
pub(crate) fn quoted(value: &str) -> String {
    let value = value.replace('"', "");
    if value.chars().any(char::is_whitespace) { format!("\"{value}\"") } else { value }
}

/// An argument as a POSIX shell takes it: in single quotes.
pub(crate) fn shell(value: &str) -> String {
    format!("'{}'", value.replace('\'', "'\\''"))
}

/// Percent, rounded down, 100 only when it is all; of nothing it is 0: nothing was proved.
pub(crate) fn percent(part: u64, whole: u64) -> u8 {
    if whole == 0 {
        return 0;
    }
    let percent = u128::from(part.min(whole)) * 100 / u128::from(whole);
    u8::try_from(percent).unwrap_or(100)
}

/// Two decimals, within the drawing.
pub(crate) fn at_percent(x: f64) -> f64 {
    (x.clamp(0.0, 100.0) * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_795_273_440); // 2026-11-21T15:04:00Z

    #[test]
    fn numbers() {
        assert_eq!(number(0), "0");
        assert_eq!(number(1_204), "1,204");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(number_word(2), "two");
        assert_eq!(number_word(41), "41");
        assert_eq!(counted(1, "place"), "1 place");
        assert_eq!(counted(3, "oddity"), "3 oddities");
        assert_eq!(counted(3, "day"), "3 days");
        assert_eq!((percent(999, 1000), percent(0, 0), percent(3, 3)), (99, 0, 100));
    }

    #[test]
    fn a_name_keeps_its_letters() {
        assert_eq!(
            said("localhost serves a certificate for a.test"),
            "localhost serves a certificate for a.test"
        );
        assert_eq!(said("web has no channel"), "web has no channel");
        assert_eq!(said("the key of web is weak"), "The key of web is weak");
        assert_eq!(said("cannot read it"), "Cannot read it");
    }

    #[test]
    fn dates() {
        assert_eq!(moment(NOW), "21 Nov 2026, 15:04 UTC");
        assert_eq!(day(NOW.plus(30 * DAY), NOW), "21 Dec");
        assert_eq!(day(NOW.plus(400 * DAY), NOW), "26 Dec 2027");
        assert_eq!(day_long(NOW.plus(10 * DAY), NOW), "1 December");
        assert_eq!(day_long(NOW.plus(60 * DAY), NOW), "20 January 2027");
        assert_eq!(weekday(NOW, NOW), "Sat 21 Nov, 15:04");
        for (seconds, expected) in
            [(0, "just now"), (240, "4 min ago"), (18_000, "5 h ago"), (200_000, "Thu 19 Nov, 07:30")]
        {
            assert_eq!(ago(NOW.plus(-seconds), NOW), expected);
        }
        assert_eq!(ahead(NOW.plus(3360), NOW), "in 56 min");
        assert_eq!(span(61 * DAY), "61 days");
    }

    #[test]
    fn what_goes_into_links_and_shells() {
        assert_eq!(ask("expires<30d owner:none"), "/inventory?q=expires%3C30d%20owner:none");
        assert_eq!(encode("a&b=\"ü\"#"), "a%26b%3D%22%C3%BC%22%23");
        assert_eq!(quoted("Let's Encrypt"), "\"Let's Encrypt\"");
        assert_eq!(shell("it's"), "'it'\\''s'");
        assert_eq!(clean("a\u{202e}b"), "a\\u{202e}b");
    }
}

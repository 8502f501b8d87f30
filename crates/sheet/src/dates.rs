//! A day, however people write it, and which of two readings a column has.
//!
//! `03/04/27` is the third of April or the fourth of March: no cell knows, the column may. What names no day (`in 3
//! months`) is refused, because it was true on the day it was typed and on no other.

use notafter_core::UnixTime;
use notafter_pki::time::{Civil, DAY};

/// How finely something was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Precision {
    Month,
    Day,
    Second,
}

/// A date as somebody wrote it: its first instant, UTC where no zone is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Dated {
    pub at: UnixTime,
    pub precision: Precision,
}

/// Half of the world's clocks are ahead of UTC, half behind, by so much at most.
const ZONES: i64 = 14 * 3600;

impl Dated {
    /// Does this instant fall on it? A day is a day anywhere: people copy what a browser in their zone shows.
    pub fn covers(&self, at: UnixTime) -> bool {
        let length = match self.precision {
            Precision::Second => return (at.0 - self.at.0).abs() <= ZONES,
            Precision::Day => DAY,
            Precision::Month => {
                let c = self.at.civil();
                let (year, month) = if c.month == 12 { (c.year + 1, 1) } else { (c.year, c.month + 1) };
                day(year, month.into(), 1).map_or(31 * DAY, |next| next.0 - self.at.0)
            }
        };
        (-ZONES..length + ZONES).contains(&(at.0 - self.at.0))
    }
}

/// Which comes first in `03/04/27`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The day, as in most of the world.
    DayFirst,
    /// The month, as in the United States.
    MonthFirst,
}

/// What a cell says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// One date, whatever the column.
    One(Dated),
    /// Two: day first, month first.
    Either(Dated, Dated),
    /// It can be read only with the day first (`31/12/26`).
    DayFirst(Dated),
    /// It can be read only with the month first (`12/31/26`).
    MonthFirst(Dated),
    /// Nothing, or that there is none: `-`, `n/a`, `never`.
    Nothing,
    /// Words that depend on the day on which they were typed.
    Relative,
    /// No date.
    No,
}

impl Reading {
    /// The date in a column of this order.
    pub fn by(self, order: Option<Order>) -> Option<Dated> {
        match (self, order) {
            (Self::One(dated), _) => Some(dated),
            (Self::Either(day, _), Some(Order::DayFirst)) => Some(day),
            (Self::Either(_, month), Some(Order::MonthFirst)) => Some(month),
            (Self::DayFirst(day), None | Some(Order::DayFirst)) => Some(day),
            (Self::MonthFirst(month), None | Some(Order::MonthFirst)) => Some(month),
            _ => None,
        }
    }
}

/// Days from the epoch of spreadsheets (with their 29 February 1900) to 1970, and of old Macs'.
pub(crate) const EPOCH_1900: f64 = 25_569.0;
/// Serials that are believed where a cell does not say that it is a date: 1984 to 2119.
const SERIALS: std::ops::Range<f64> = 30_700.0..80_300.0;

/// Reads a plain number of a column of dates: a spreadsheet's serial, seconds or milliseconds since 1970, or
/// the digits of a day (`20261231`).
pub fn number(n: f64) -> Reading {
    if SERIALS.contains(&n) {
        let at = UnixTime(((n - EPOCH_1900) * DAY as f64).round() as i64);
        let precision = if n.fract() == 0.0 { Precision::Day } else { Precision::Second };
        return Reading::One(Dated { at, precision });
    }
    if n.fract() == 0.0 && (19_800_101.0..=99_991_231.0).contains(&n) {
        let n = n as i64;
        return one(day(n / 10_000, n / 100 % 100, n % 100));
    }
    let seconds = if n >= 1e11 { n / 1000.0 } else { n };
    if (3e8..=253_402_300_799.0).contains(&seconds) {
        return Reading::One(Dated { at: UnixTime(seconds as i64), precision: Precision::Second });
    }
    Reading::No
}

/// What is written where there is no date.
const NONE: &[&str] = &[
    "",
    "-",
    "--",
    "---",
    "n/a",
    "na",
    "none",
    "null",
    "never",
    "unlimited",
    "no expiry",
    "does not expire",
    "?",
    "tbd",
    "unknown",
    "keine",
    "keins",
    "nie",
    "niemals",
    "unbegrenzt",
    "unbefristet",
    "kein ablauf",
    "unbekannt",
    "k.a.",
    "ka",
    "offen",
    "jamais",
    "aucun",
    "aucune",
    "illimite",
    "inconnu",
    "nunca",
    "ninguno",
    "sin caducidad",
    "desconocido",
    "mai",
    "nessuno",
    "nooit",
    "geen",
    "–",
    "—",
    "0000-00-00",
];
/// Words that count from the day on which they were typed.
const RELATIVE: &[&str] = &[
    "in",
    "ago",
    "today",
    "tomorrow",
    "yesterday",
    "next",
    "last",
    "soon",
    "days",
    "weeks",
    "months",
    "years",
    "heute",
    "morgen",
    "gestern",
    "nachste",
    "nachsten",
    "nachstes",
    "nachster",
    "bald",
    "tage",
    "tagen",
    "wochen",
    "monate",
    "monaten",
    "jahre",
    "jahren",
    "dans",
    "demain",
    "prochain",
    "bientot",
    "jours",
    "mois",
    "ans",
    "hoy",
    "manana",
    "dias",
    "meses",
    "anos",
    "pronto",
];
/// The months, by how their names begin in six languages, unaccented.
const MONTHS: &[(&str, i64)] = &[
    ("januar", 1),
    ("january", 1),
    ("janvier", 1),
    ("enero", 1),
    ("gennaio", 1),
    ("janner", 1),
    ("januari", 1),
    ("februar", 2),
    ("february", 2),
    ("fevrier", 2),
    ("febrero", 2),
    ("febbraio", 2),
    ("feber", 2),
    ("februari", 2),
    ("marz", 3),
    ("maerz", 3),
    ("march", 3),
    ("mars", 3),
    ("marzo", 3),
    ("maart", 3),
    ("mrz", 3),
    ("april", 4),
    ("avril", 4),
    ("abril", 4),
    ("aprile", 4),
    ("avr", 4),
    ("abr", 4),
    ("mai", 5),
    ("may", 5),
    ("mayo", 5),
    ("maggio", 5),
    ("mei", 5),
    ("juni", 6),
    ("june", 6),
    ("juin", 6),
    ("junio", 6),
    ("giugno", 6),
    ("juli", 7),
    ("july", 7),
    ("juillet", 7),
    ("julio", 7),
    ("luglio", 7),
    ("august", 8),
    ("aout", 8),
    ("agosto", 8),
    ("augustus", 8),
    ("ago", 8),
    ("september", 9),
    ("septembre", 9),
    ("septiembre", 9),
    ("settembre", 9),
    ("sept", 9),
    ("oktober", 10),
    ("october", 10),
    ("octobre", 10),
    ("octubre", 10),
    ("ottobre", 10),
    ("november", 11),
    ("novembre", 11),
    ("noviembre", 11),
    ("dezember", 12),
    ("december", 12),
    ("decembre", 12),
    ("diciembre", 12),
    ("dicembre", 12),
];

/// The month that a word names: whole, or at least three letters of it that fit no other.
fn month(word: &str) -> Option<i64> {
    if word.len() < 3 || !word.bytes().all(|b| b.is_ascii_lowercase()) {
        return None;
    }
    if let Some((_, month)) = MONTHS.iter().find(|(name, _)| *name == word) {
        return Some(*month);
    }
    let mut fits = MONTHS.iter().filter(|(name, _)| name.starts_with(word)).map(|(_, m)| *m);
    let first = fits.next()?;
    fits.all(|m| m == first).then_some(first)
}

fn day(year: i64, month: i64, day: i64) -> Option<UnixTime> {
    let (month, day) = (u8::try_from(month).ok()?, u8::try_from(day).ok()?);
    let year = Some(year).filter(|y| (1950..=9999).contains(y))?;
    UnixTime::from_civil(Civil { year, month, day, hour: 0, minute: 0, second: 0 })
}

fn one(at: Option<UnixTime>) -> Reading {
    at.map_or(Reading::No, |at| Reading::One(Dated { at, precision: Precision::Day }))
}

/// Two digits are of this century: what lapses was not made in another.
fn year(text: &str) -> Option<i64> {
    let n: i64 = text.parse().ok()?;
    match text.len() {
        2 => Some(2000 + n),
        4 => Some(n),
        _ => None,
    }
}

/// Reads a cell.
pub fn read(text: &str) -> Reading {
    if text.len() > 80 {
        return Reading::No;
    }
    let plain = crate::words::fold(text);
    let plain = plain.trim().trim_start_matches('\'');
    if NONE.contains(&plain) {
        return Reading::Nothing;
    }
    if let Ok(n) = plain.parse::<f64>()
        && plain.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && plain.matches('.').count() <= 1
        && let read @ Reading::One(_) = number(n)
    {
        return read;
    }
    let (date, time) = clock(plain);
    let Some(time) = time else { return Reading::No };
    let read = civil(&date);
    let moved = |d: Dated| match (time, d.precision) {
        (Some((seconds, zone)), Precision::Day) => {
            Dated { at: d.at.plus(seconds - zone), precision: Precision::Second }
        }
        _ => d,
    };
    match read {
        Reading::One(d) => Reading::One(moved(d)),
        Reading::Either(a, b) => Reading::Either(moved(a), moved(b)),
        Reading::DayFirst(d) => Reading::DayFirst(moved(d)),
        Reading::MonthFirst(d) => Reading::MonthFirst(moved(d)),
        Reading::No if plain.split(|c: char| !c.is_ascii_alphabetic()).any(|w| RELATIVE.contains(&w)) => {
            Reading::Relative
        }
        other => other,
    }
}

/// Seconds of the day, and how far the zone is ahead of UTC.
type Time = Option<(i64, i64)>;

/// Takes the time of day out of a text: the rest, and the time; `None` instead of a time: there is one and it is wrong.
fn clock(text: &str) -> (String, Option<Time>) {
    let text = match text.find('t') {
        // `2026-12-31t10:00`, and no letter of a word.
        Some(at) if digit_at(text, at.wrapping_sub(1)) && digit_at(text, at + 1) => {
            format!("{} {}", &text[..at], &text[at + 1..])
        }
        _ => text.to_owned(),
    };
    let Some(colon) = text.find(':') else { return (text, Some(None)) };
    let start = text[..colon].trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let end = text[colon..].find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.' && c != ',');
    let end = end.map_or(text.len(), |p| p + colon);
    let mut parts = text[start..end].trim_end_matches([',', '.']).split(':');
    let mut next = |most: i64| {
        let part = parts.next().unwrap_or("0");
        let whole = part.split(['.', ',']).next().unwrap_or_default();
        whole.parse::<i64>().ok().filter(|n| *n <= most)
    };
    let (Some(mut hour), Some(minute), Some(second)) = (next(23), next(59), next(60)) else {
        return (text, None);
    };
    let mut rest = text[end..].trim_start().to_owned();
    for (word, pm) in [("am", false), ("pm", true), ("a.m.", false), ("p.m.", true)] {
        if let Some(after) = rest.strip_prefix(word) {
            if !(1..=12).contains(&hour) {
                return (text, None);
            }
            hour = hour % 12 + if pm { 12 } else { 0 };
            rest = after.trim_start().to_owned();
            break;
        }
    }
    let (zone, rest) = zone(&rest);
    let date =
        format!("{} {}", text[..start].trim_end_matches(|c: char| c.is_whitespace() || c == ','), rest);
    (date.trim().to_owned(), Some(Some((hour * 3600 + minute * 60 + second, zone))))
}

fn digit_at(text: &str, at: usize) -> bool {
    text.as_bytes().get(at).is_some_and(u8::is_ascii_digit)
}

/// The zone at the beginning of a text, in seconds ahead of UTC, and the rest.
fn zone(text: &str) -> (i64, String) {
    const NAMED: &[(&str, i64)] = &[
        ("utc", 0),
        ("gmt", 0),
        ("cest", 2),
        ("mesz", 2),
        ("cet", 1),
        ("mez", 1),
        ("uhr", 0),
        ("edt", -4),
        ("est", -5),
        ("cdt", -5),
        ("cst", -6),
        ("mst", -7),
        ("pdt", -7),
        ("pst", -8),
        ("bst", 1),
        ("z", 0),
    ];
    for (name, hours) in NAMED {
        if let Some(rest) = text.strip_prefix(name)
            && !rest.starts_with(|c: char| c.is_ascii_alphabetic())
        {
            // `utc+2` is rare, and a day is a day anywhere.
            return (hours * 3600, rest.trim().to_owned());
        }
    }
    let sign = match text.bytes().next() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return (0, text.to_owned()),
    };
    let end = text[1..].find(|c: char| !c.is_ascii_digit() && c != ':').map_or(text.len(), |p| p + 1);
    let digits: String = text[1..end].chars().filter(char::is_ascii_digit).collect();
    let n: i64 = digits.parse().unwrap_or(0);
    let ahead = if digits.len() <= 2 { n * 3600 } else { n / 100 * 3600 + n % 100 * 60 };
    (sign * ahead.min(ZONES), text[end..].trim().to_owned())
}

/// Reads what is left when the time is gone.
fn civil(text: &str) -> Reading {
    let mut parts: Vec<&str> = Vec::new();
    let mut separators = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        separators.push_str(rest[..start].trim());
        rest = &rest[start..];
        let digits = rest.as_bytes()[0].is_ascii_digit();
        let end = rest
            .find(|c: char| if digits { !c.is_ascii_digit() } else { !c.is_ascii_alphabetic() })
            .unwrap_or(rest.len());
        parts.push(&rest[..end]);
        rest = &rest[end..];
        if parts.len() > 6 {
            return Reading::No;
        }
    }
    // Days of the week and little words say nothing that the date does not; but one that is a month stays.
    let filler = |p: &&str| {
        const WEEK: &[&str] = &[
            "mon",
            "monday",
            "tue",
            "tuesday",
            "wed",
            "wednesday",
            "thu",
            "thursday",
            "fri",
            "friday",
            "sat",
            "saturday",
            "sun",
            "sunday",
            "mo",
            "di",
            "mi",
            "do",
            "fr",
            "sa",
            "so",
            "montag",
            "dienstag",
            "mittwoch",
            "donnerstag",
            "freitag",
            "samstag",
            "sonntag",
            "lun",
            "lundi",
            "mardi",
            "mer",
            "mercredi",
            "jeu",
            "jeudi",
            "ven",
            "vendredi",
            "sam",
            "samedi",
            "dim",
            "dimanche",
            "lunes",
            "martes",
            "miercoles",
            "jueves",
            "viernes",
            "sabado",
            "domingo",
            "gmt",
            "utc",
            "z",
            "of",
            "the",
            "den",
            "am",
            "de",
            "del",
            "le",
            "st",
            "nd",
            "rd",
            "th",
            "er",
        ];
        !WEEK.contains(p)
    };
    let parts: Vec<&str> = parts.into_iter().filter(filler).collect();
    let number = |p: &str| p.parse::<i64>().ok().filter(|_| p.len() <= 4);
    let plain_month = |at: Option<UnixTime>| {
        at.map_or(Reading::No, |at| Reading::One(Dated { at, precision: Precision::Month }))
    };
    match parts.as_slice() {
        [a, b, c] => match (number(a), number(b), number(c)) {
            (Some(y), Some(m), Some(d)) if a.len() == 4 => one(day(y, m, d)),
            (Some(x), Some(y), Some(_)) if a.len() <= 2 && b.len() <= 2 => {
                let Some(z) = year(c) else { return Reading::No };
                let dated = |at: UnixTime| Dated { at, precision: Precision::Day };
                match (day(z, y, x).map(dated), day(z, x, y).map(dated)) {
                    (Some(a), Some(b)) if a == b => Reading::One(a),
                    // Dots are written where the day comes first.
                    (Some(a), Some(_)) if separators.contains('.') => Reading::One(a),
                    (Some(a), Some(b)) => Reading::Either(a, b),
                    (Some(a), None) => Reading::DayFirst(a),
                    (None, Some(b)) => Reading::MonthFirst(b),
                    (None, None) => Reading::No,
                }
            }
            // 31 Dec 2026
            (Some(d), None, Some(_)) if a.len() <= 2 => {
                one(month(b).zip(year(c)).and_then(|(m, y)| day(y, m, d)))
            }
            // 2026 Dec 31
            (Some(y), None, Some(d)) if a.len() == 4 => one(month(b).and_then(|m| day(y, m, d))),
            // Dec 31 2026
            (None, Some(d), Some(_)) => one(month(a).zip(year(c)).and_then(|(m, y)| day(y, m, d))),
            _ => Reading::No,
        },
        [a, b] => match (number(a), number(b)) {
            (None, Some(_)) => plain_month(month(a).zip(year(b)).and_then(|(m, y)| day(y, m, 1))),
            (Some(y), None) if a.len() == 4 => plain_month(month(b).and_then(|m| day(y, m, 1))),
            (Some(y), Some(m)) if a.len() == 4 && b.len() <= 2 => plain_month(day(y, m, 1)),
            (Some(m), Some(y)) if a.len() <= 2 && b.len() == 4 => plain_month(day(y, m, 1)),
            _ => Reading::No,
        },
        _ => Reading::No,
    }
}

/// What a column as a whole says of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// Every date of it can be read alone.
    Needless,
    /// One that can only be read so decides for all: the line it stands on.
    By(Order, u32),
    /// All can be read either way; one such line.
    Unsure(u32),
    /// Two lines that contradict one another: day first, month first.
    Contradiction(u32, u32),
}

/// Decides the order of a column by all of its cells, with their lines.
pub fn decide(cells: impl Iterator<Item = (u32, Reading)>) -> Decided {
    let (mut day, mut month, mut either) = (None, None, None);
    for (line, reading) in cells {
        let slot = match reading {
            Reading::DayFirst(_) => &mut day,
            Reading::MonthFirst(_) => &mut month,
            Reading::Either(..) => &mut either,
            _ => continue,
        };
        slot.get_or_insert(line);
    }
    match (day, month, either) {
        (Some(day), Some(month), _) => Decided::Contradiction(day, month),
        (Some(line), None, _) => Decided::By(Order::DayFirst, line),
        (None, Some(line), _) => Decided::By(Order::MonthFirst, line),
        (None, None, Some(line)) => Decided::Unsure(line),
        (None, None, None) => Decided::Needless,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(reading: Reading) -> String {
        let text = |d: Dated| match d.precision {
            Precision::Month => d.at.date()[..7].to_owned(),
            Precision::Day => d.at.date(),
            Precision::Second => d.at.to_string(),
        };
        match reading {
            Reading::One(d) => text(d),
            Reading::Either(a, b) => format!("{} or {}", text(a), text(b)),
            Reading::DayFirst(d) => format!("day first {}", text(d)),
            Reading::MonthFirst(d) => format!("month first {}", text(d)),
            Reading::Nothing => "nothing".to_owned(),
            Reading::Relative => "relative".to_owned(),
            Reading::No => "no".to_owned(),
        }
    }

    #[test]
    fn every_way_to_write_a_day() {
        for (text, expected) in [
            ("31.12.2026", "day first 2026-12-31"),
            ("01.02.2027", "2027-02-01"),
            ("1.2.27", "2027-02-01"),
            ("12/31/26", "month first 2026-12-31"),
            ("31/12/26", "day first 2026-12-31"),
            ("03/04/27", "2027-04-03 or 2027-03-04"),
            ("04-04-2027", "2027-04-04"),
            ("2026-12-31", "2026-12-31"),
            ("2026/12/31", "2026-12-31"),
            ("20261231", "2026-12-31"),
            ("31-Dec-26", "2026-12-31"),
            ("31 décembre 2026", "2026-12-31"),
            ("31. Dezember 2026", "2026-12-31"),
            ("31. Dez. 2026", "2026-12-31"),
            ("3 März 2027", "2027-03-03"),
            ("Dec 31, 2026", "2026-12-31"),
            ("December 31st, 2026", "2026-12-31"),
            ("Thu, 31 Dec 2026 23:59:59 GMT", "2026-12-31T23:59:59Z"),
            ("Dec 31 23:59:59 2026 GMT", "2026-12-31T23:59:59Z"),
            ("notAfter=Dec 31 23:59:59 2026 GMT", "no"),
            ("2026-12-31T23:59:59Z", "2026-12-31T23:59:59Z"),
            ("2026-12-31 23:59:59+02:00", "2026-12-31T21:59:59Z"),
            ("2026-12-31T10:00:00.123-0500", "2026-12-31T15:00:00Z"),
            ("12/31/2026 11:59:59 PM", "month first 2026-12-31T23:59:59Z"),
            ("31.12.2026 23:59", "day first 2026-12-31T23:59:00Z"),
            ("31.12.2026 23:59 Uhr", "day first 2026-12-31T23:59:00Z"),
            ("31/dic/2026", "2026-12-31"),
            ("Dez 2026", "2026-12"),
            ("12/2026", "2026-12"),
            ("2026-12", "2026-12"),
            ("Mai 2027", "2027-05"),
            ("46387", "2026-12-31"),
            ("46387.5", "2026-12-31T12:00:00Z"),
            ("1798761599", "2026-12-31T23:59:59Z"),
            ("1798761599000", "2026-12-31T23:59:59Z"),
            ("29.02.2027", "no"),
            ("31/31/26", "no"),
            ("31.12.", "no"),
            ("2026", "no"),
            ("10.0.0.1", "no"),
            ("25:99", "no"),
            ("in 3 months", "relative"),
            ("in 3 Monaten", "relative"),
            ("next week", "relative"),
            ("n/a", "nothing"),
            ("unbefristet", "nothing"),
            ("", "nothing"),
            ("see ticket", "no"),
        ] {
            assert_eq!(told(read(text)), expected, "{text}");
        }
    }

    #[test]
    fn the_column_decides() {
        let decided = |cells: &[&str]| decide((1..).zip(cells.iter().map(|c| read(c))));
        for (cells, expected) in [
            (&["03/04/27", "31/12/26"][..], Decided::By(Order::DayFirst, 2)),
            (&["03/04/27", "12/31/26", "1/1/27"], Decided::By(Order::MonthFirst, 2)),
            (&["03/04/27", "05/06/27"], Decided::Unsure(1)),
            (&["03/04/27", "31/12/26", "12/31/26"], Decided::Contradiction(2, 3)),
            (&["2026-12-31", "Dez 2026", "n/a", "x"], Decided::Needless),
        ] {
            assert_eq!(decided(cells), expected, "{cells:?}");
        }
        let either = read("03/04/27");
        assert_eq!(either.by(Some(Order::MonthFirst)).map(|d| d.at.date()).as_deref(), Some("2027-03-04"));
        assert_eq!(either.by(None), None);
    }

    #[test]
    fn letters_of_two_octets_before_a_colon_are_no_hour() {
        for text in ["\u{f0}:\u{c7}", "\u{f0}10:00", "31. M\u{e4}rz 2026 10:00", "\u{5341}:"] {
            let _ = read(text);
        }
        assert_eq!(read("31.12.2026\u{a0}10:00"), read("31.12.2026 10:00"));
    }

    #[test]
    fn a_day_is_a_day_anywhere() {
        let at = |text: &str| match read(text) {
            Reading::One(d) | Reading::DayFirst(d) => d,
            other => panic!("{other:?}"),
        };
        for (written, found, same) in [
            ("2026-12-31", "2026-12-31T23:59:59Z", true),
            ("2027-01-01", "2026-12-31T23:59:59Z", true),
            ("2026-12-30", "2026-12-31T23:59:59Z", false),
            ("2026-12-31", "2027-01-02T00:00:00Z", false),
            ("Dez 2026", "2026-12-01T00:00:00Z", true),
            ("Dez 2026", "2027-01-15T00:00:00Z", false),
            ("2026-12-31T23:59:59Z", "2026-12-31T23:59:59Z", true),
            ("2026-12-31T23:59:59Z", "2026-12-30T23:59:59Z", false),
        ] {
            assert_eq!(at(written).covers(at(found).at), same, "{written} {found}");
        }
    }
}

//! UTCTime and GeneralizedTime, read leniently (RFC 5280 section 4.1.2.5, X.680 sections 46 and 47).
//!
//! The deadline is the one fact this program must not lose, so whatever can only mean one instant is read
//! as that instant; [`Instant::odd`] tells that DER or RFC 5280 would have it written otherwise. Nothing is
//! guessed: without a reading there is `None`.

use crate::der::{Tlv, tag};
use crate::time::{Civil, UnixTime};

/// A time as read, and whether it was written as RFC 5280 demands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instant {
    /// The instant, UTC; fractions of a second are cut.
    pub time: UnixTime,
    /// Missing seconds or zone, an offset, fractions, or the wrong type for the year.
    pub odd: bool,
}

/// The instant in a UTCTime or GeneralizedTime element.
pub fn read(element: &Tlv<'_>) -> Option<Instant> {
    read_value(element.tag, element.value)
}

/// The instant in the contents of an element with this tag.
pub fn read_value(tag: u8, value: &[u8]) -> Option<Instant> {
    // The one shape nearly every certificate has, without the general reader's work.
    if let (tag::UTC_TIME, [digits @ .., b'Z']) = (tag, value)
        && digits.len() == 12
        && let Some(fields) = digit_pairs(digits)
    {
        let [yy, month, day, hour, minute, second] = fields;
        let year = i64::from(yy) + if yy < 50 { 2000 } else { 1900 };
        let time = UnixTime::from_civil(Civil { year, month, day, hour, minute, second })?;
        return Some(Instant { time, odd: second == 60 });
    }
    let mut scan = Scan { rest: value };
    let year = match tag {
        tag::UTC_TIME => {
            let yy = scan.pair()?;
            i64::from(yy) + if yy < 50 { 2000 } else { 1900 }
        }
        tag::GENERALIZED_TIME => i64::from(scan.pair()?) * 100 + i64::from(scan.pair()?),
        _ => return None,
    };
    let (month, day, hour) = (scan.pair()?, scan.pair()?, scan.pair()?);
    let minute = scan.pair();
    let second = minute.and_then(|_| scan.pair());
    // RFC 5280 wants UTCTime through 2049, but a late GeneralizedTime misleads nobody.
    let mut odd =
        second.is_none_or(|s| s == 60) || (tag == tag::GENERALIZED_TIME && (1950..2050).contains(&year));
    if let [b'.' | b',', rest @ ..] = scan.rest {
        odd = true;
        let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
        scan.rest = rest.get(digits..)?;
    }
    let offset = match scan.rest {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), rest @ ..] => {
            odd = true;
            let mut zone = Scan { rest };
            let hours = zone.pair()?;
            let minutes = zone.pair().unwrap_or(0);
            if !zone.rest.is_empty() || hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = i64::from(hours) * 3600 + i64::from(minutes) * 60;
            if *sign == b'+' { seconds } else { -seconds }
        }
        // Local time, by the letter; of which place, nobody can say: UTC within a day.
        [] => {
            odd = true;
            0
        }
        _ => return None,
    };
    let civil = Civil { year, month, day, hour, minute: minute.unwrap_or(0), second: second.unwrap_or(0) };
    let time = UnixTime::from_civil(civil)?.plus(-offset);
    Some(Instant { time, odd })
}

/// Six pairs of digits.
fn digit_pairs(digits: &[u8]) -> Option<[u8; 6]> {
    let mut fields = [0; 6];
    let (pairs, _) = digits.as_chunks::<2>();
    for (field, [tens, ones]) in fields.iter_mut().zip(pairs) {
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        if tens > 9 || ones > 9 {
            return None;
        }
        *field = tens * 10 + ones;
    }
    Some(fields)
}

struct Scan<'a> {
    rest: &'a [u8],
}

impl Scan<'_> {
    /// Two digits, if two digits come next.
    fn pair(&mut self) -> Option<u8> {
        let [tens @ b'0'..=b'9', ones @ b'0'..=b'9', rest @ ..] = self.rest else { return None };
        self.rest = rest;
        Some((tens - b'0') * 10 + (ones - b'0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, bool)>) {
        // GeneralizedTime where four digits of year make it longer than UTCTime's form.
        let tag = if text.starts_with("20") || text.starts_with("19") || text.starts_with("99991") {
            tag::GENERALIZED_TIME
        } else {
            tag::UTC_TIME
        };
        let found = read_value(tag, text.as_bytes()).map(|i| (i.time.to_string(), i.odd));
        assert_eq!(found, expected.map(|(time, odd)| (time.to_owned(), odd)), "{text}");
    }

    #[test]
    fn times() {
        check("491231235959Z", Some(("2049-12-31T23:59:59Z", false)));
        check("500101000000Z", Some(("1950-01-01T00:00:00Z", false)));
        check("20500101000000Z", Some(("2050-01-01T00:00:00Z", false)));
        check("99991231235959Z", Some(("9999-12-31T23:59:59Z", false)));
        check("20490101000000Z", Some(("2049-01-01T00:00:00Z", true)));
        check("240229120000Z", Some(("2024-02-29T12:00:00Z", false)));
        check("250229120000Z", None);
        check("2402291200Z", Some(("2024-02-29T12:00:00Z", true)));
        check("240229120000+0130", Some(("2024-02-29T10:30:00Z", true)));
        check("240229120000-0130", Some(("2024-02-29T13:30:00Z", true)));
        check("20240229120000.123Z", Some(("2024-02-29T12:00:00Z", true)));
        check("2024022912Z", Some(("2024-02-29T12:00:00Z", true)));
        check("20240229120000", Some(("2024-02-29T12:00:00Z", true)));
        check("240229126000Z", None);
        check("240229120000Zx", None);
        check("24022912000\u{660}Z", None);
        check("", None);
        check("240229120060Z", Some(("2024-02-29T12:00:59Z", true)));
    }
}

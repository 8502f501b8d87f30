//! Instants in requests: RFC 3339 with any offset, or a date for its first instant. Fractions of a second
//! are read and dropped; nothing here reads a clock.

use notafter_core::UnixTime;
use notafter_pki::time::Civil;

/// Reads an instant.
pub(crate) fn parse(text: &str) -> Option<UnixTime> {
    let bytes = text.as_bytes();
    let date = Civil {
        year: number(bytes.get(..4)?)?,
        month: small(bytes, 5)?,
        day: small(bytes, 8)?,
        hour: 0,
        minute: 0,
        second: 0,
    };
    if bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
        return None;
    }
    if bytes.len() == 10 {
        return UnixTime::from_civil(date);
    }
    let separators = [(10, b"Tt "), (13, b":::"), (16, b":::")];
    if separators.iter().any(|(at, any)| bytes.get(*at).is_none_or(|b| !any.contains(b))) {
        return None;
    }
    let civil =
        Civil { hour: small(bytes, 11)?, minute: small(bytes, 14)?, second: small(bytes, 17)?, ..date };
    let mut rest = bytes.get(19..)?;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        rest = &fraction[digits..];
    }
    Some(UnixTime::from_civil(civil)?.plus(-offset(rest)?))
}

/// `Z`, `+01:00`, `-05:30`, in seconds east of Greenwich.
fn offset(text: &[u8]) -> Option<i64> {
    match text {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            let seconds = hours * 3600 + minutes * 60;
            let in_bounds = hours < 24 && minutes < 60;
            in_bounds.then_some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn small(bytes: &[u8], at: usize) -> Option<u8> {
    u8::try_from(number(bytes.get(at..at + 2)?)?).ok()
}

fn number(digits: &[u8]) -> Option<i64> {
    let all = digits.iter().all(u8::is_ascii_digit);
    all.then(|| digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants() {
        for (text, seconds) in [
            ("1970-01-01", Some(0)),
            ("1970-01-01T00:00:01Z", Some(1)),
            ("1970-01-01t00:00:01.999z", Some(1)),
            ("1970-01-01T01:00:00+01:00", Some(0)),
            ("1969-12-31T18:30:00-05:30", Some(0)),
            ("0000-01-01T00:00:00Z", Some(-62_167_219_200)),
            ("9999-12-31T23:59:60Z", Some(253_402_300_799)),
            ("1970-01-01T00:00:01", None),
            ("1970-01-01T00:00:01.Z", None),
            ("1970-1-1", None),
            ("1970-02-30", None),
            ("1970-01-01T24:00:00Z", None),
            ("1970-01-01T00:00:00+24:00", None),
            ("١٩٧٠-01-01", None),
            ("", None),
        ] {
            assert_eq!(parse(text), seconds.map(UnixTime), "{text}");
        }
    }
}

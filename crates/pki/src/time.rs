//! Instants as certificates have them: whole seconds, proleptic Gregorian calendar, UTC.
//!
//! `UnixTime` is the only notion of time in `pki` and `core`. No clock is read here.

use std::fmt;

/// Seconds since 1970-01-01T00:00:00Z, negative before. Meaningful from year 0 to 9999, which is what
/// ASN.1 GeneralizedTime can say (RFC 5280 section 4.1.2.5). Prints as RFC 3339; serialised as the number.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct UnixTime(pub i64);

/// Seconds in a day.
pub const DAY: i64 = 86_400;

/// A calendar date and time of day, UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Civil {
    pub year: i64,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

impl UnixTime {
    /// 9999-12-31T23:59:59Z, which RFC 5280 section 4.1.2.5 gives the meaning "no expiry".
    pub const NO_EXPIRY: Self = Self(253_402_300_799);

    /// The instant of a calendar date; `None` where there is no such day or time (a leap second
    /// counts as the second before it).
    pub fn from_civil(c: Civil) -> Option<Self> {
        if !(1..=12).contains(&c.month) || c.day < 1 || c.day > days_in_month(c.year, c.month) {
            return None;
        }
        if c.hour > 23 || c.minute > 59 || c.second > 60 {
            return None;
        }
        // Days from civil, after Howard Hinnant's public-domain chrono algorithms.
        let y = if c.month <= 2 { c.year - 1 } else { c.year };
        let era = y.div_euclid(400);
        let yoe = y.rem_euclid(400);
        let doy = (153 * ((i64::from(c.month) + 9) % 12) + 2) / 5 + i64::from(c.day) - 1;
        let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
        let days = era * 146_097 + doe - 719_468;
        let seconds = i64::from(c.hour) * 3600 + i64::from(c.minute) * 60 + i64::from(c.second.min(59));
        Some(Self(days * DAY + seconds))
    }

    /// The calendar date of this instant.
    pub fn civil(self) -> Civil {
        let days = self.0.div_euclid(DAY);
        let rest = self.0.rem_euclid(DAY);
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        Civil {
            year: yoe + era * 400 + i64::from(month <= 2),
            month: month as u8,
            day: (doy - (153 * mp + 2) / 5 + 1) as u8,
            hour: (rest / 3600) as u8,
            minute: (rest / 60 % 60) as u8,
            second: (rest % 60) as u8,
        }
    }

    /// The day, as `2026-12-26`.
    pub fn date(self) -> String {
        let c = self.civil();
        format!("{:04}-{:02}-{:02}", c.year, c.month, c.day)
    }

    /// This instant, some seconds later (or earlier, if negative), clamped to `i64`.
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Days from `now` to this instant: negative when it has passed.
    pub fn days_after(self, now: Self) -> f64 {
        self.0.saturating_sub(now.0) as f64 / DAY as f64
    }
}

fn days_in_month(year: i64, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.civil();
        write!(f, "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn civil(year: i64, month: u8, day: u8) -> Civil {
        Civil { year, month, day, hour: 0, minute: 0, second: 0 }
    }

    #[test]
    fn known_instants() {
        for (date, seconds) in [
            (civil(1970, 1, 1), 0),
            (civil(2000, 2, 29), 951_782_400),
            (civil(1950, 1, 1), -631_152_000),
            (civil(2026, 11, 21), 1_795_219_200),
            (civil(0, 1, 1), -62_167_219_200),
        ] {
            assert_eq!(UnixTime::from_civil(date), Some(UnixTime(seconds)), "{date:?}");
            assert_eq!(UnixTime(seconds).civil(), date);
        }
        assert_eq!(UnixTime::NO_EXPIRY.to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn no_such_day() {
        for date in [
            civil(2025, 2, 29),
            civil(1900, 2, 29),
            civil(2026, 13, 1),
            civil(2026, 4, 31),
            civil(2026, 0, 1),
        ] {
            assert_eq!(UnixTime::from_civil(date), None, "{date:?}");
        }
    }

    #[test]
    fn every_day_of_ten_thousand_years_round_trips() {
        let mut seconds = -62_167_219_200;
        while seconds <= UnixTime::NO_EXPIRY.0 {
            assert_eq!(UnixTime::from_civil(UnixTime(seconds).civil()), Some(UnixTime(seconds)));
            seconds += DAY;
        }
    }
}

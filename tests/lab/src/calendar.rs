//! Instants as OpenSSL wants them on its command line: `YYYYMMDDHHMMSSZ`.
//!
//! The calendar is written out here so that the lab needs no dependency and shares no code with the product.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::NotRun;

/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// The instant now, in seconds since 1970.
///
/// # Panics
/// When the machine's clock is before 1970.
#[must_use]
pub fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(elapsed.as_secs()).expect("the clock fits")
}

/// The library that moves a program's wall clock: for `LD_PRELOAD`, also in programs of many threads.
///
/// # Errors
/// Where it is not installed.
pub fn faketime() -> Result<PathBuf, NotRun> {
    let missing = || NotRun::new("faketime", "it is not installed: apt-get install faketime");
    let folders = std::fs::read_dir("/usr/lib").map_err(|_| missing())?.flatten();
    let mut libraries = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    libraries.find(|path| path.is_file()).ok_or_else(missing)
}

/// An instant as `YYYYMMDDHHMMSSZ`.
#[must_use]
pub fn generalized(unix: i64) -> String {
    let (year, month, day) = date(unix.div_euclid(DAY));
    let second = unix.rem_euclid(DAY);
    format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// Year, month and day of a number of days since 1970.
fn date(mut days: i64) -> (i64, usize, i64) {
    let mut year = 1970;
    // Whole cycles of 400 years first, so that far dates cost nothing and early ones become positive.
    const CYCLE: i64 = 146_097;
    year += 400 * days.div_euclid(CYCLE);
    days = days.rem_euclid(CYCLE);
    while days >= 365 + i64::from(is_leap(year)) {
        days -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}

/// Whether February has 29 days.
fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[cfg(test)]
mod tests {
    use super::generalized;

    #[test]
    fn writes_instants() {
        for (unix, text) in [
            (0, "19700101000000Z"),
            (951_782_400, "20000229000000Z"),
            (951_868_799, "20000229235959Z"),
            (1_798_761_599, "20261231235959Z"),
            (4_107_542_400, "21000301000000Z"),
            (-1, "19691231235959Z"),
            (253_402_300_799, "99991231235959Z"),
        ] {
            assert_eq!(generalized(unix), text);
        }
    }
}

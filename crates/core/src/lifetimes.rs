//! How long a certificate of a public CA may live: dated decisions, as data.
//!
//! `lifetime-exceeds-policy` judges what was issued by them, the forecast counts what will be. They bind certificates
//! for servers below public roots; a private CA answers to nobody here.

use crate::UnixTime;
use notafter_pki::time::DAY;

/// Issued from this instant on: so many days at most, and by whose decision. Newest first. All but the last stand in the
/// table of the TLS Baseline Requirements, version 2.2.6 of 31 March 2026, section 6.3.2; that one in version 1.6.0,
/// section 1.2.2.
pub const LIMITS: &[(UnixTime, i64, &str)] = &[
    (UnixTime(1_868_227_200), 47, "SC-081v3, from 15 March 2029"),
    (UnixTime(1_805_068_800), 100, "SC-081v3, from 15 March 2027"),
    (UnixTime(1_773_532_800), 200, "SC-081v3, from 15 March 2026"),
    (UnixTime(1_598_918_400), 398, "Baseline Requirements 6.3.2, from 1 September 2020"),
    (UnixTime(1_519_862_400), 825, "ballot 193, from 1 March 2018"),
];

/// The longest life in seconds of what a public CA issues at an instant; `None` before there was a limit.
pub fn longest(issued: UnixTime) -> Option<i64> {
    LIMITS.iter().find(|(from, ..)| issued >= *from).map(|(_, days, _)| days * DAY)
}

/// So many seconds before its end a certificate with this life is renewed by those who know no better time: a third of
/// its life, half of it if it lives for ten days or less.
pub fn usual_lead(life: i64) -> i64 {
    let life = life.max(0);
    if life <= 10 * DAY { life / 2 } else { life / 3 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_dated() {
        assert_eq!(longest(UnixTime(1_805_068_799)), Some(200 * DAY));
        assert_eq!(longest(UnixTime(1_805_068_800)), Some(100 * DAY));
        assert_eq!(longest(UnixTime(0)), None);
        assert!(LIMITS.windows(2).all(|pair| pair[0].0 > pair[1].0));
        assert_eq!((usual_lead(90 * DAY), usual_lead(6 * DAY)), (30 * DAY, 3 * DAY));
    }
}

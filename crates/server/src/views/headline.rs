//! The sentence at the top of Today: what a person would say at the morning stand-up.
//!
//! Composed from findings, never from a mood. It claims nothing about what was not seen, and when nothing was
//! seen lately it says that instead of anything else.

use notafter_core::UnixTime;
use notafter_pki::time::DAY;

use crate::words::{day_long, number_word, sentence};

/// What the sentence is made from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Picture {
    /// Does not work now: each thing once.
    pub(crate) broken: Vec<Thing>,
    /// Will stop working on a day that is known, and somebody has to act by now.
    pub(crate) soon: Vec<Thing>,
    /// Other things that somebody should look at.
    pub(crate) other: u64,
    /// There are more than these: the lists were cut.
    pub(crate) at_least: bool,
    /// Assets in use.
    pub(crate) assets: u64,
    /// Sources that are fresh, and those that are late.
    pub(crate) fresh: u64,
    pub(crate) stale: u64,
    /// What ends next of all that was seen.
    pub(crate) next: Option<(String, UnixTime)>,
}

/// A thing with a fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thing {
    pub(crate) deadline: Option<UnixTime>,
    pub(crate) owned: bool,
}

/// The sentence.
pub(crate) fn headline(picture: &Picture, now: UnixTime) -> String {
    let broken = picture.broken.len() as u64;
    let soon = picture.soon.len() as u64;
    // When nothing is looked at, what was found last still stands; but that nothing was found means nothing.
    let blind = picture.fresh == 0;
    let ownerless = picture.broken.iter().chain(&picture.soon).filter(|t| !t.owned).count() as u64;
    let count = |n: u64| {
        let at_least = if picture.at_least { "at least " } else { "" };
        format!("{at_least}{} {}", number_word(n), if n == 1 { "thing" } else { "things" })
    };
    let last = picture.soon.iter().filter_map(|t| t.deadline).max();
    let by = last.map(|t| format!(" before {}", day_long(t.plus(DAY - 1), now))).unwrap_or_default();
    let tail = match (broken + soon, ownerless) {
        (_, 0) => String::new(),
        (1, _) => ", and it has no owner".to_owned(),
        (2, 2) => ", and neither has an owner".to_owned(),
        (all, n) if n == all => ", and none of them has an owner".to_owned(),
        (_, 1) => ", and one of them has no owner".to_owned(),
        (_, n) => format!(", and {} of them have no owner", number_word(n)),
    };
    let are = |n: u64| if n == 1 { "is" } else { "are" };
    let said = match (broken, soon) {
        (0, 0) => return quiet(picture, blind, now),
        (b, 0) => format!("{} {} broken now{tail}.", count(b), are(b)),
        (0, s) => format!("{} will break{by}{tail}.", count(s)),
        (b, s) => {
            format!("{} {} broken now, {} more will break{by}{tail}.", count(b), are(b), number_word(s))
        }
    };
    let said = sentence(&said);
    if blind { format!("{said} Nothing has been looked at lately.") } else { said }
}

/// Nothing is wrong in what was seen: that much, and no more.
fn quiet(picture: &Picture, blind: bool, now: UnixTime) -> String {
    if blind {
        return "What is out there is not known: nothing has been looked at lately.".to_owned();
    }
    if picture.assets == 0 {
        return "Nothing with a date was found where we looked.".to_owned();
    }
    if picture.other > 0 {
        let (n, want) = (number_word(picture.other), if picture.other == 1 { "wants" } else { "want" });
        let things = if picture.other == 1 { "thing" } else { "things" };
        return format!("Nothing that was seen breaks soon; {n} {things} {want} a look.");
    }
    let limit = if picture.stale > 0 { ", as far as could be seen" } else { "" };
    match &picture.next {
        Some((name, end)) => {
            format!(
                "Nothing that was seen needs a person now{limit}; {name} ends next, on {}.",
                day_long(*end, now)
            )
        }
        None => format!("Nothing that was seen ends in the next 120 days{limit}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_795_273_440); // 2026-11-21T15:04:00Z

    fn things(days: &[i64], owned: usize) -> Vec<Thing> {
        let thing = |(n, day): (usize, &i64)| Thing { deadline: Some(NOW.plus(day * DAY)), owned: n < owned };
        days.iter().enumerate().map(thing).collect()
    }

    #[test]
    fn sentences() {
        let picture = |broken: Vec<Thing>, soon: Vec<Thing>, other, next: Option<i64>| Picture {
            broken,
            soon,
            other,
            at_least: false,
            assets: 10,
            fresh: 2,
            stale: 0,
            next: next.map(|d| ("shop.example.com".to_owned(), NOW.plus(d * DAY))),
        };
        let check = |p: &Picture, expected: &str| assert_eq!(headline(p, NOW), expected);
        let none = Vec::new;
        check(
            &picture(none(), things(&[3, 9], 1), 0, None),
            "Two things will break before 1 December, and one of them has no owner.",
        );
        check(&picture(none(), things(&[3], 1), 0, None), "One thing will break before 25 November.");
        check(
            &picture(none(), things(&[3, 4, 50], 0), 9, None),
            "Three things will break before 11 January 2027, and none of them has an owner.",
        );
        check(&picture(things(&[-3], 0), none(), 0, None), "One thing is broken now, and it has no owner.");
        check(
            &picture(things(&[-3, -4], 2), things(&[9], 0), 0, None),
            "Two things are broken now, one more will break before 1 December, and one of them has no owner.",
        );
        check(
            &picture(none(), none(), 4, Some(40)),
            "Nothing that was seen breaks soon; four things want a look.",
        );
        check(
            &picture(none(), none(), 0, Some(40)),
            "Nothing that was seen needs a person now; shop.example.com ends next, on 31 December.",
        );
        check(&picture(none(), none(), 0, None), "Nothing that was seen ends in the next 120 days.");
    }

    #[test]
    fn what_was_not_seen_is_never_good() {
        let mut picture = Picture { assets: 10, fresh: 0, stale: 3, ..Picture::default() };
        assert!(headline(&picture, NOW).contains("not known"));
        picture.soon = things(&[3], 1);
        assert!(headline(&picture, NOW).ends_with("Nothing has been looked at lately."));
        let picture = Picture { assets: 10, fresh: 2, stale: 1, ..Picture::default() };
        assert!(headline(&picture, NOW).contains("as far as could be seen"));
        let picture = Picture { assets: 0, fresh: 2, ..Picture::default() };
        assert_eq!(headline(&picture, NOW), "Nothing with a date was found where we looked.");
    }
}

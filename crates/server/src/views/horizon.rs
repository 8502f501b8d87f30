//! The horizon: one line of time with what ends on it, drawn for wide screens and as weeks for narrow ones.
//!
//! Geometry only. x is percent of the width, y is pixels; the narrowest drawing is taken for the width of
//! words, so that labels which do not touch here touch nowhere. Who renews what is not known in this version:
//! every pin is one that a person may have to see to.

use notafter_core::UnixTime;
use notafter_pki::time::DAY;
use notafter_store::rows::AssetRow;

use super::row::time_tone;
use super::{DateRule, Horizon, Pin, PinLabel, Tick, Week, asset_href};
use crate::words;

/// So far it looks.
pub(crate) const DAYS: i64 = 120;
/// The narrowest drawing, in pixels: below it the weeks are shown instead.
const NARROWEST: f64 = 620.0;
/// Width of a character of a label, in pixels; generous.
const CHARACTER: f64 = 6.6;
const BASE: i32 = 150;
const HEIGHT: i32 = 178;
const LABELS_MAX: usize = 4;

/// A date that others have set, with who set it.
pub(crate) struct PolicyDate {
    pub(crate) at: UnixTime,
    pub(crate) label: &'static str,
    pub(crate) title: &'static str,
    /// What it means here.
    pub(crate) detail: &'static str,
}

/// Dates that others have set. Data, with its source; it changes when they do.
pub(crate) const POLICY_DATES: &[PolicyDate] = &[
    PolicyDate {
        at: UnixTime(1_802_217_600),
        label: "10 Feb 2027: 64 days at Let's Encrypt",
        title: "Let's Encrypt's default becomes 64 days",
        detail: "Let's Encrypt's default profile; a renewal fixed at 60 days then has 4 days left",
    },
    PolicyDate {
        at: UnixTime(1_805_068_800),
        label: "15 Mar 2027: 100-day limit",
        title: "From 15 Mar 2027 public CAs may issue for at most 100 days (CA/Browser Forum SC-081v3)",
        detail: "public CAs, CA/Browser Forum ballot SC-081v3; private CAs are not bound by it",
    },
    PolicyDate {
        at: UnixTime(1_834_272_000),
        label: "16 Feb 2028: 45 days at Let's Encrypt",
        title: "Let's Encrypt's default becomes 45 days",
        detail: "Let's Encrypt's default profile",
    },
    PolicyDate {
        at: UnixTime(1_868_227_200),
        label: "15 Mar 2029: 47-day limit",
        title: "From 15 Mar 2029 public CAs may issue for at most 47 days (CA/Browser Forum SC-081v3)",
        detail: "public CAs, CA/Browser Forum ballot SC-081v3; private CAs are not bound by it",
    },
];

/// What ends on one day.
#[derive(Clone, Debug, Default)]
struct Day {
    count: u64,
    places: u64,
    tone: &'static str,
    /// The most urgent of them.
    first: Option<(String, String, String)>,
}

/// Draws it. `rows` are what ends, the first first; `counts` is how many end on each day from today's midnight
/// on, for when there are more than `rows` has (`complete` is false).
pub(crate) fn horizon(rows: &[AssetRow], complete: bool, counts: &[u64], now: UnixTime) -> Horizon {
    let midnight = UnixTime(now.0.div_euclid(DAY) * DAY);
    let days = gather_days(rows, complete, counts, midnight, now);
    let mut pins: Vec<(i64, Pin)> = days
        .iter()
        .enumerate()
        .filter(|(_, day)| day.count > 0)
        .map(|(n, day)| (n as i64, pin(n as i64, day, midnight, now)))
        .collect();
    let total: u64 = days.iter().map(|d| d.count).sum();
    let labels = labels(&mut pins, &days);
    Horizon {
        title: format!("The next {DAYS} days"),
        alternative: format!(
            "Time line of the next {DAYS} days: {} end, on {}; the list of weeks says the same",
            words::counted(total, "thing"),
            words::counted(pins.len() as u64, "day")
        ),
        height: HEIGHT,
        base: BASE,
        bands: Vec::new(),
        rules: rules(now),
        ticks: ticks(now),
        labels,
        weeks: weeks(&days, midnight, now),
        pins: pins.into_iter().map(|(_, pin)| pin).collect(),
    }
}

/// Where a day stands, from 1 to 99.
fn x(days: f64) -> f64 {
    words::at_percent(1.0 + days / DAYS as f64 * 98.0)
}

fn gather_days(
    rows: &[AssetRow],
    complete: bool,
    counts: &[u64],
    midnight: UnixTime,
    now: UnixTime,
) -> Vec<Day> {
    let mut days = vec![Day { tone: "plain", ..Day::default() }; DAYS as usize + 1];
    for row in rows {
        let Some(end) = row.not_after.filter(|end| *end >= now) else { continue };
        let Ok(n) = usize::try_from((end.0 - midnight.0).div_euclid(DAY)) else { continue };
        let Some(day) = days.get_mut(n) else { continue };
        day.count += 1;
        day.places += row.places.max(1);
        let tone = time_tone(row, now);
        let worse = |t: &str| ["now", "soon", "plain", "stale"].iter().position(|x| *x == t).unwrap_or(9);
        if day.first.is_none() || worse(tone) < worse(day.tone) {
            let owner = row.owner.as_deref().map_or_else(|| "no owner".to_owned(), words::clean);
            day.first = Some((words::clean(&row.title), asset_href(&row.id), owner));
            day.tone = tone;
        }
    }
    if !complete {
        for (day, count) in days.iter_mut().zip(counts) {
            day.count = day.count.max(*count);
            day.places = day.places.max(*count);
        }
    }
    days
}

fn pin(n: i64, day: &Day, midnight: UnixTime, now: UnixTime) -> Pin {
    let at = midnight.plus(n * DAY);
    let many = day.count as f64;
    let height = (many.min(42.0).powf(0.62) * 9.5) as i32;
    let name = match (&day.first, day.count) {
        (Some((name, ..)), 1) => name.clone(),
        (Some((name, ..)), count) => format!("{name} and {} more", words::number(count - 1)),
        (None, count) => format!("{} end", words::counted(count, "asset")),
    };
    let href = match (&day.first, day.count) {
        (Some((_, href, _)), 1) => href.clone(),
        _ => words::ask(&format!("expires>{} expires<{}", iso_day(at), iso_day(at.plus(DAY)))),
    };
    Pin {
        x: x((n as f64 + 0.5).max((now.0 - midnight.0) as f64 / DAY as f64)
            - (now.0 - midnight.0) as f64 / DAY as f64),
        y: BASE - 16 - height,
        r: words::at_percent((3.2 + (day.places as f64).sqrt() * 0.95).min(11.0)),
        act: true,
        tone: day.tone.to_owned(),
        title: format!("{}: {name}, {}", words::day(at, now), words::counted(day.places, "place")),
        href,
    }
}

/// `2026-11-21`
pub(crate) fn iso_day(at: UnixTime) -> String {
    let c = at.civil();
    format!("{:04}-{:02}-{:02}", c.year, c.month, c.day)
}

fn rules(now: UnixTime) -> Vec<DateRule> {
    let within = |p: &&PolicyDate| p.at > now && p.at.0 - now.0 < DAYS * DAY;
    // By turns on two lines, so that dates close to each other both keep their words.
    let dates: Vec<_> = POLICY_DATES.iter().filter(within).collect();
    let count = dates.len();
    dates
        .into_iter()
        .enumerate()
        .map(|(n, p)| {
            let x = x((p.at.0 - now.0) as f64 / DAY as f64);
            let anchor_end = x > 50.0;
            DateRule {
                x,
                y: if (count - n) % 2 == 1 { 16 } else { 31 },
                label: p.label.to_owned(),
                title: p.title.to_owned(),
                anchor: if anchor_end { "end".to_owned() } else { String::new() },
                dx: if anchor_end { -6 } else { 6 },
            }
        })
        .collect()
}

fn ticks(now: UnixTime) -> Vec<Tick> {
    [0, 30, 60, 90, DAYS]
        .into_iter()
        .map(|d| Tick {
            x: x(d as f64),
            label: if d == 0 { "today".to_owned() } else { words::day(now.plus(d * DAY), now) },
            anchor: match d {
                0 => "",
                DAYS => "end",
                _ => "middle",
            }
            .to_owned(),
            minor: false,
        })
        .collect()
}

/// A rectangle: from, to in percent; top, bottom in pixels.
type Box4 = (f64, f64, i32, i32);

fn touch(a: &Box4, b: &Box4) -> bool {
    a.0 < b.1 && b.0 < a.1 && a.2 < b.3 && b.2 < a.3
}

/// At most four, the most urgent first, each where it touches neither a pin nor another label.
fn labels(pins: &mut [(i64, Pin)], days: &[Day]) -> Vec<PinLabel> {
    let rank = |tone: &str| ["now", "soon"].iter().position(|t| *t == tone).unwrap_or(2);
    let mut order: Vec<usize> = (0..pins.len()).collect();
    order.sort_by_key(|at| {
        let (n, pin) = &pins[*at];
        let count = days.get(*n as usize).map_or(0, |d| d.count);
        (rank(&pin.tone), std::cmp::Reverse(count), *n)
    });
    let pixels = |px: f64| px / NARROWEST * 100.0;
    let around = |pin: &Pin, y: i32| {
        let r = pixels(pin.r + 2.0);
        (pin.x - r, pin.x + r, y - pin.r as i32 - 2, BASE)
    };
    let mut taken: Vec<Box4> = Vec::new();
    let mut out = Vec::new();
    for at in order {
        if out.len() == LABELS_MAX {
            break;
        }
        let (n, pin) = &pins[at];
        let Some(day) = days.get(*n as usize) else { continue };
        let Some((name, _, owner)) = &day.first else { continue };
        let (name, words) = if day.count == 1 {
            (shorten(name), format!("{}, {owner}", words::counted(day.places, "place")))
        } else {
            let when = pin.title.split(':').next().unwrap_or_default();
            (format!("{} on {when}", words::number(day.count)), format!("{} and others", shorten(name)))
        };
        let words = shorten_to(&words, 34);
        let long = name.chars().count().max(words.chars().count()) as f64;
        let dx = pin.r as i32 + 7;
        let width = pixels(long * CHARACTER + f64::from(dx));
        let (anchor, from, to) = if pin.x + width <= 100.0 {
            ("", pin.x + pixels(f64::from(dx) - 3.0), pin.x + width)
        } else {
            ("end", pin.x - width, pin.x - pixels(f64::from(dx) - 3.0))
        };
        if from < 0.0 {
            continue;
        }
        // Beside its pin, or higher where there is room, and then the pin grows up to it: the line of dates is
        // at the top.
        let free =
            [pin.y - 4, pin.y - 22, 84, 64, 46].into_iter().filter(|y| (46..=pin.y).contains(y)).find(|y| {
                let here = (from, to, y - 12, y + 19);
                let grown = around(pin, pin.y.min(y + 5));
                !taken.iter().any(|t| touch(t, &here) || touch(t, &grown))
                    && !pins.iter().any(|(m, other)| m != n && touch(&around(other, other.y), &here))
            });
        let Some(y) = free else { continue };
        taken.push((from, to, y - 12, y + 19));
        let dx = if anchor == "end" { -dx } else { dx };
        out.push(PinLabel { x: pin.x, y, dx, anchor: anchor.to_owned(), name, words });
        let pin = &mut pins[at].1;
        pin.y = pin.y.min(y + 5);
    }
    out
}

/// At most 24 characters, the middle left out.
fn shorten(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    if chars.len() <= 24 {
        return name.to_owned();
    }
    let (head, tail) = (&chars[..9], &chars[chars.len() - 14..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

fn shorten_to(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

fn weeks(days: &[Day], midnight: UnixTime, now: UnixTime) -> Vec<Week> {
    let mut out = Vec::new();
    for (n, week) in days.chunks(7).enumerate() {
        let from = midnight.plus(n as i64 * 7 * DAY);
        let until = from.plus(7 * DAY);
        let count: u64 = week.iter().map(|d| d.count).sum();
        let dates: Vec<_> =
            POLICY_DATES.iter().filter(|p| from <= p.at && p.at < until).map(|p| p.label).collect();
        if count == 0 && dates.is_empty() {
            continue;
        }
        let tones: Vec<_> = week.iter().filter(|d| d.count > 0).map(|d| d.tone).collect();
        let tone =
            ["now", "soon", "plain", "stale"].into_iter().find(|t| tones.contains(t)).unwrap_or("plain");
        let names: Vec<_> =
            week.iter().filter_map(|d| d.first.as_ref()).map(|f| f.0.as_str()).take(2).collect();
        let mut note = vec![names.join(", ")];
        note.extend(dates.into_iter().map(str::to_owned));
        note.retain(|part| !part.is_empty());
        out.push(Week {
            words: format!("{} – {}", words::day(from, now), words::day(until.plus(-1), now)),
            href: words::ask(&format!("expires>{} expires<{}", iso_day(from), iso_day(until))),
            act: if count == 0 {
                String::new()
            } else {
                format!("{} {}", words::number(count), if count == 1 { "ends" } else { "end" })
            },
            tone: tone.to_owned(),
            auto: String::new(),
            note: note.join(" · "),
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::row::tests::{NOW, sample};

    fn drawn(rows: &[AssetRow], complete: bool, counts: &[u64]) -> Horizon {
        let horizon = horizon(rows, complete, counts, NOW);
        let inside = |x: f64| (0.0..=100.0).contains(&x);
        assert!(horizon.pins.iter().all(|p| inside(p.x) && p.y > 30 && p.y < BASE && p.r <= 11.0));
        assert!(horizon.ticks.iter().all(|t| inside(t.x)) && horizon.rules.iter().all(|r| inside(r.x)));
        assert!(horizon.labels.len() <= LABELS_MAX);
        let boxes: Vec<Box4> = horizon.labels.iter().map(label_box).collect();
        for (n, a) in boxes.iter().enumerate() {
            assert!(a.0 >= 0.0 && a.1 <= 100.0, "{:?}", horizon.labels[n]);
            assert!(boxes.iter().skip(n + 1).all(|b| !touch(a, b)), "{:?}", horizon.labels);
        }
        horizon
    }

    /// Reckoned anew from what is drawn, at the narrowest width.
    fn label_box(label: &PinLabel) -> Box4 {
        let chars = label.name.chars().count().max(label.words.chars().count()) as f64;
        let width = chars * CHARACTER / NARROWEST * 100.0;
        let at = label.x + f64::from(label.dx) / NARROWEST * 100.0;
        let (from, to) = if label.anchor == "end" { (at - width, at) } else { (at, at + width) };
        (from, to, label.y - 12, label.y + 19)
    }

    #[test]
    fn labels_never_touch() {
        drawn(&[], true, &[]);
        let few: Vec<_> =
            [3, 9, 12, 22, 84, 119].into_iter().map(|d| sample(&format!("n{d}.example.com"), d)).collect();
        let horizon = drawn(&few, true, &[]);
        assert_eq!(horizon.pins.len(), 6);
        assert_eq!(horizon.labels[0].name, "n3.example.com", "the most urgent has a label");
        for step in [1, 2, 3, 5] {
            let long = "a-very-long-name-that-someone-generated.example.com";
            let many: Vec<_> = (0..120).step_by(step).map(|d| sample(long, d as i64)).collect();
            let horizon = drawn(&many, true, &[]);
            assert!(horizon.labels.iter().all(|l| l.name.chars().count() <= 24));
        }
    }

    #[test]
    fn more_than_the_list_has_is_counted() {
        let mut counts = vec![0; 121];
        counts[80] = 5_000;
        let horizon = drawn(&[sample("a.test", 3)], false, &counts);
        assert_eq!(horizon.pins.len(), 2);
        let cliff = &horizon.pins[1];
        assert!(cliff.title.contains("5,000 assets end"), "{}", cliff.title);
        assert!(cliff.href.starts_with("/inventory?q=expires%3E2027-02-0"), "{}", cliff.href);
        assert_eq!(horizon.weeks.iter().filter(|w| w.act == "5,000 end").count(), 1);
    }

    #[test]
    fn policy_dates_are_what_they_say() {
        for date in POLICY_DATES {
            assert!(date.label.starts_with(&words::date(date.at)), "{}", date.label);
        }
        assert_eq!(drawn(&[], true, &[]).rules.len(), 2);
    }
}

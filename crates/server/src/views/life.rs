//! An asset's life on a bar: issued, successor, today, end, and the steps of the ladder before the end.
//!
//! Geometry and words only. Below the bar stand beginning and end; today is below too where there is room, and
//! the successor above: no two words share a place.

use notafter_core::UnixTime;
use notafter_core::deadline::Ladder;
use notafter_pki::time::DAY;
use notafter_store::rows::AssetRow;

use super::asset::{Life, LifePoint, Rung};
use crate::words;

/// Words stand this far apart, in percent.
const APART: f64 = 24.0;

/// The bar. `successor`: when the next of its line was first seen, and what to call it.
pub(crate) fn life(row: &AssetRow, successor: Option<(UnixTime, String)>, now: UnixTime) -> Life {
    let (Some(begin), Some(end)) = (row.not_before, row.not_after) else {
        let words = "its dates could not be read".to_owned();
        return Life { alternative: words.clone(), words, ..Life::default() };
    };
    let lifetime = end.0.saturating_sub(begin.0).max(1);
    let x = |at: UnixTime| words::at_percent(at.0.saturating_sub(begin.0) as f64 / lifetime as f64 * 100.0);
    let today = x(now);
    let days = words::counted((lifetime / DAY).unsigned_abs(), "day");
    let left = end.0.saturating_sub(now.0);
    let ended = left < 0;
    let left_words = if ended {
        format!("ended {} ago", words::span(left))
    } else if now < begin {
        format!("begins in {}", words::span(begin.0 - now.0))
    } else {
        format!("{} left", words::span(left))
    };
    let below = (APART..=100.0 - APART).contains(&today);
    let mut points = vec![point(0.0, "issued", begin, "", false)];
    if let Some((at, name)) = successor.filter(|(at, _)| *at >= begin) {
        let at_x = x(at);
        let crowded = !below && (at_x - today).abs() < APART;
        let mut point = point(at_x, "successor", at, anchor(at_x), true);
        point.title = format!("successor {name} first seen {}", words::date(at));
        if crowded {
            point.label = String::new();
        }
        points.push(point);
    }
    let mut here = point(today, "today", now, anchor(today), !below);
    here.label = format!("today, {left_words}");
    here.title = format!("today, {}: {left_words}", words::date(now));
    (here.class, here.strong) = ("today".to_owned(), true);
    points.push(here);
    points.push(point(100.0, if ended { "ended" } else { "ends" }, end, "end", false));
    let steps = steps(row, lifetime, &x, end);
    Life {
        words: format!("{days}, {left_words}"),
        alternative: points.iter().map(|p| p.title.as_str()).collect::<Vec<_>>().join("; "),
        passed: today,
        ladder: ladder_words(&steps),
        steps,
        points,
    }
}

/// `Told at 30 days left (warning), 14 days left (critical), 7 days left (every day).`
fn ladder_words(steps: &[Rung]) -> String {
    let each: Vec<_> = steps.iter().filter_map(|s| s.title.split_once(": ")).collect();
    let each: Vec<_> = each.into_iter().map(|(what, left)| format!("{left} ({what})")).collect();
    if each.is_empty() { String::new() } else { format!("Told at {}.", each.join(", ")) }
}

fn anchor(x: f64) -> &'static str {
    if x < APART / 2.0 {
        ""
    } else if x > 100.0 - APART / 2.0 {
        "end"
    } else {
        "middle"
    }
}

fn point(x: f64, what: &str, at: UnixTime, anchor: &str, above: bool) -> LifePoint {
    let (y1, y2, y) = if above { (34, 60, 26) } else { (40, 70, 86) };
    LifePoint {
        x,
        class: "axis".to_owned(),
        y1,
        y2,
        y,
        label: format!("{what} {}", words::date(at)),
        anchor: anchor.to_owned(),
        dx: 0,
        strong: false,
        title: format!("{what} {}", words::moment(at)),
    }
}

fn steps(row: &AssetRow, lifetime: i64, x: &dyn Fn(UnixTime) -> f64, end: UnixTime) -> Vec<Rung> {
    let ladder = if row.is_ca { Ladder::for_ca(lifetime) } else { Ladder::for_leaf(lifetime) };
    [
        ("soon", "warning", ladder.warning),
        ("now", "critical", ladder.critical),
        ("now", "every day", ladder.page),
    ]
    .into_iter()
    .map(|(tone, what, before)| Rung {
        x: x(end.plus(-before)),
        tone: tone.to_owned(),
        title: format!("{what}: {} left", words::span(before)),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::row::tests::{NOW, sample};

    #[test]
    fn everything_is_on_the_bar_and_no_words_meet() {
        for days in [-400, -1, 0, 1, 5, 22, 45, 80, 89, 90, 200] {
            for successor in [None, Some(3), Some(20), Some(60)] {
                let row = sample("a", days);
                let next = successor.map(|ago| (NOW.plus(-ago * DAY), "a1:09…".to_owned()));
                let life = life(&row, next, NOW);
                assert!((0.0..=100.0).contains(&life.passed));
                assert!(life.steps.iter().all(|s| (0.0..=100.0).contains(&s.x)));
                let shown: Vec<_> = life.points.iter().filter(|p| !p.label.is_empty()).collect();
                for (n, a) in shown.iter().enumerate() {
                    for b in shown.iter().skip(n + 1).filter(|b| b.y == a.y) {
                        assert!((a.x - b.x).abs() >= APART - 0.01, "{days} {a:?} {b:?}");
                    }
                }
            }
        }
        let past = life(&sample("a", -3), None, NOW);
        assert_eq!((past.passed, past.words.as_str()), (100.0, "90 days, ended 2 days ago"));
    }

    #[test]
    fn what_has_no_dates_says_so() {
        let mut row = sample("a", 3);
        row.not_after = None;
        assert!(life(&row, None, NOW).points.is_empty());
    }
}

//! Forecast: what ends in the next 30, 90 or 400 days, and what shorter lifetimes would mean in renewals a week.
//!
//! From counts the store keeps by end, so that a million assets cost no more than a hundred. Who renews what is
//! not known in this version: the drawing says how many end, and claims of none that it renews itself.

use askama::Template;
use notafter_core::UnixTime;
use notafter_pki::time::DAY;
use notafter_store::StoreError;
use notafter_store::queries::Sort;

use super::filters;
use super::frame::{Coverage, House, Look, frame};
use super::horizon::{POLICY_DATES, iso_day};
use super::row::{Entry, entries};
use super::{Chip, DateRule, Frame, Link, Row, Spot, Tick};
use crate::words;

#[derive(Clone, Debug, Template)]
#[template(path = "forecast.html")]
pub(crate) struct ForecastView {
    pub(crate) frame: Frame,
    pub(crate) headline: String,
    pub(crate) subline: String,
    /// 30, 90, 400 days
    pub(crate) spans: Vec<Chip>,
    pub(crate) chart: BarChart,
    pub(crate) lapses: Vec<Row>,
    pub(crate) lapses_more: Link,
    pub(crate) lapses_none: String,
    pub(crate) load: Vec<Load>,
    pub(crate) load_words: String,
    pub(crate) load_advice: String,
    pub(crate) dates: Vec<Spot>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct BarChart {
    /// period: "Day", "Week of"
    pub(crate) title: String,
    pub(crate) alternative: String,
    pub(crate) period: String,
    pub(crate) height: i32,
    pub(crate) base: i32,
    pub(crate) lines: Vec<Level>,
    pub(crate) rules: Vec<DateRule>,
    pub(crate) ticks: Vec<Tick>,
    pub(crate) bars: Vec<ForecastBar>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Level {
    pub(crate) y: i32,
    pub(crate) label: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ForecastBar {
    pub(crate) x: f64,
    pub(crate) width: f64,
    /// act stands on the base, auto on act
    pub(crate) act_y: i32,
    pub(crate) act_height: i32,
    pub(crate) auto_y: i32,
    pub(crate) auto_height: i32,
    pub(crate) tone: String,
    pub(crate) title: String,
    pub(crate) href: String,
    /// the same for the table
    pub(crate) words: String,
    pub(crate) act: u64,
    pub(crate) auto: u64,
    pub(crate) note: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    pub(crate) words: String,
    pub(crate) since: String,
    pub(crate) per_week: String,
    pub(crate) by_hand: String,
    pub(crate) tone: String,
}

/// What can be asked for, in days.
pub(crate) const SPANS: [i64; 3] = [30, 90, 400];
const ROWS: usize = 8;
/// More leaves than this are not counted one by one.
pub(crate) const ABOUT: u64 = 20_000;
const BASE: i32 = 176;
const HEIGHT: i32 = 200;
/// Room for the words of the levels, in percent.
const LEFT: f64 = 3.0;

/// What the page is made from.
pub(crate) struct Forecast {
    pub(crate) days: i64,
    /// How many end in each step from today's midnight on.
    pub(crate) counts: Vec<u64>,
    pub(crate) step_days: i64,
    pub(crate) rows: Vec<Entry>,
    /// Leaves in use; counted rarely, because all of them must be looked at. Above 20,000: about so many.
    pub(crate) leaves: u64,
}

/// Asks. `leaves` counts the leaves in use, or remembers.
pub(crate) fn gather(
    look: &Look,
    house: &House,
    days: i64,
    leaves: impl FnOnce(&Look) -> Result<u64, StoreError>,
) -> Result<Forecast, StoreError> {
    let midnight = UnixTime(look.now.0.div_euclid(DAY) * DAY);
    let step_days = if days > 90 { 7 } else { 1 };
    // From midnight, so that each step is a day or a week of its own; and therefore one more.
    let steps = usize::try_from(days / step_days + 1).unwrap_or(1);
    let counts = look.store.ends_histogram(midnight, step_days * DAY, steps)?;
    let rows = look.store.assets(&super::today::ours(days * DAY), Sort::Ends, None, ROWS, look.now)?.rows;
    let rows = entries(look, house, rows)?;
    let leaves = leaves(look)?;
    Ok(Forecast { days, counts, step_days, rows, leaves })
}

/// The page.
pub(crate) fn view(look: &Look, house: &House, found: &Forecast) -> ForecastView {
    let now = look.now;
    let coverage = Coverage::of(look, house);
    let total: u64 = found.counts.iter().sum();
    let midnight = UnixTime(now.0.div_euclid(DAY) * DAY);
    let worst = found.counts.iter().enumerate().max_by_key(|(n, count)| (**count, std::cmp::Reverse(*n)));
    let mut subline = String::new();
    if let Some((n, count)) = worst.filter(|(_, count)| **count > 1) {
        let at = midnight.plus(n as i64 * found.step_days * DAY);
        let what = if found.step_days == 7 { "Worst week: from" } else { "Worst day:" };
        subline = format!("{what} {}, with {}. ", words::day(at, now), words::number(*count));
    }
    subline.push_str("Who renews which is not known to this version: every one is counted as a person's. ");
    let but = coverage.but();
    if !but.is_empty() {
        subline.push_str(&format!("What was not seen is not in here: {but}."));
    }
    ForecastView {
        frame: frame(look, house, "Forecast", "Forecast"),
        headline: match total {
            0 => format!("Nothing that was seen ends in the next {} days.", found.days),
            1 => format!("One asset ends in the next {} days.", found.days),
            n => format!("{} assets end in the next {} days.", words::number(n), found.days),
        },
        subline,
        spans: SPANS
            .map(|days| {
                Chip::new(format!("{days} days"), format!("/forecast?days={days}"), days == found.days, None)
            })
            .to_vec(),
        chart: chart(found, now),
        lapses: found.rows.iter().map(|entry| entry.row(now)).collect(),
        lapses_more: if found.rows.len() == ROWS {
            Link::to(
                format!("all within {} days", found.days),
                words::ask(&super::today::ours_words(found.days)),
            )
        } else {
            Link::default()
        },
        lapses_none: "Nothing that was seen ends in this span.".to_owned(),
        load: load(found, now),
        load_words: "If every leaf in use lived so long, and were renewed at two thirds of it".to_owned(),
        load_advice: format!(
            "{} in use; which of them a public CA has issued is not counted here, and private CAs are not bound by these rules.",
            if found.leaves == 1 {
                "1 leaf is".to_owned()
            } else {
                format!(
                    "{}{} leaves are",
                    if found.leaves > ABOUT { "about " } else { "" },
                    words::number(found.leaves)
                )
            }
        ),
        dates: POLICY_DATES
            .iter()
            .filter(|p| p.at > now)
            .map(|p| Spot { words: p.label.to_owned(), detail: p.detail.to_owned(), href: String::new() })
            .collect(),
    }
}

/// Renewals a week for so many leaves of so many days, renewed at two thirds.
pub(crate) fn per_week(leaves: u64, lifetime_days: u64) -> f64 {
    leaves as f64 * 7.0 / (lifetime_days as f64 * 2.0 / 3.0)
}

fn load(found: &Forecast, now: UnixTime) -> Vec<Load> {
    let decimal = |n: f64| if n < 100.0 { format!("{n:.1}") } else { words::number(n.round() as u64) };
    let unknown = || ("not known".to_owned(), "stale".to_owned());
    let total: u64 = found.counts.iter().sum();
    let (by_hand, tone) = unknown();
    let mut out = vec![Load {
        words: "as it stands".to_owned(),
        since: format!("ends a week, mean of the next {} days", found.days),
        per_week: decimal(total as f64 * 7.0 / found.days as f64),
        by_hand,
        tone,
    }];
    for (lifetime, from, at) in [(100, "15 Mar 2027", 1_805_068_800), (47, "15 Mar 2029", 1_868_227_200)] {
        let (by_hand, tone) = unknown();
        let since = if now.0 < at { "from" } else { "since" };
        out.push(Load {
            words: format!("{lifetime} days"),
            since: format!("{since} {from}, for public CAs"),
            per_week: decimal(per_week(found.leaves, lifetime)),
            by_hand,
            tone,
        });
    }
    out
}

fn chart(found: &Forecast, now: UnixTime) -> BarChart {
    let midnight = UnixTime(now.0.div_euclid(DAY) * DAY);
    let most = found.counts.iter().copied().max().unwrap_or(0).max(1);
    let (top, levels) = scale(most);
    let room = f64::from(BASE - 24);
    let height = |count: u64| {
        let pixels = (count as f64 / top as f64 * room).round() as i32;
        if count > 0 { pixels.max(2) } else { 0 }
    };
    let steps = found.counts.len().max(1) as f64;
    let across = 100.0 - LEFT;
    let x_of = |days: f64| words::at_percent(LEFT + days / (steps * found.step_days as f64) * across);
    let weekly = found.step_days == 7;
    let bars = found.counts.iter().enumerate().map(|(n, count)| {
        let from = midnight.plus(n as i64 * found.step_days * DAY);
        let until = from.plus(found.step_days * DAY);
        let tall = height(*count);
        let end_words = format!("{} {}", words::number(*count), if *count == 1 { "ends" } else { "end" });
        let when = if weekly { format!("week of {}", words::day(from, now)) } else { words::day(from, now) };
        let dates: Vec<_> =
            POLICY_DATES.iter().filter(|p| from <= p.at && p.at < until).map(|p| p.label).collect();
        ForecastBar {
            x: words::at_percent(LEFT + n as f64 * across / steps),
            width: words::at_percent(across / steps * 0.72),
            act_y: BASE - tall,
            act_height: tall,
            auto_y: BASE - tall,
            auto_height: 0,
            tone: "plain".to_owned(),
            title: format!("{}: {end_words}", words::sentence(&when)),
            href: words::ask(&format!("expires>{} expires<{}", iso_day(from), iso_day(until))),
            words: words::date(from),
            act: *count,
            auto: 0,
            note: dates.join(" · "),
        }
    });
    BarChart {
        title: if weekly { "Ends by week" } else { "Ends by day" }.to_owned(),
        alternative: format!("How many end in the next {} days; the table below has the numbers", found.days),
        period: if weekly { "Week of" } else { "Day" }.to_owned(),
        height: HEIGHT,
        base: BASE,
        lines: levels.into_iter().map(|n| Level { y: BASE - height(n), label: words::number(n) }).collect(),
        rules: rules(found, now, &x_of),
        ticks: ticks(found, now, &x_of),
        bars: bars.collect(),
    }
}

/// The drawing is at least so many high.
const LEAST_TOP: u64 = 5;

/// The top of the drawing, and two or three round levels below it.
fn scale(most: u64) -> (u64, Vec<u64>) {
    // 1, 2, 5, 10, 20, 50, ...: the first that fits four times at most.
    let (mut step, mut factors) = (1_u64, [2, 5, 10].into_iter().cycle());
    let mut decade = 1_u64;
    while most / step > 4 {
        let factor = factors.next().unwrap_or(10);
        step = decade.saturating_mul(factor);
        if factor == 10 {
            decade = step;
        }
    }
    let levels: Vec<u64> = (1..=4).map(|n| n * step).filter(|n| *n <= most).collect();
    // One or two are not a cliff, and do not look like one.
    (most.max(step).max(LEAST_TOP), levels)
}

fn rules(found: &Forecast, now: UnixTime, x_of: &dyn Fn(f64) -> f64) -> Vec<DateRule> {
    let span = found.counts.len() as i64 * found.step_days * DAY;
    let midnight = now.0.div_euclid(DAY) * DAY;
    POLICY_DATES
        .iter()
        .filter(|p| p.at > now && p.at.0 - midnight < span)
        .map(|p| {
            let x = x_of((p.at.0 - midnight) as f64 / DAY as f64);
            // The two of 2027 stand close together: one's words go left, the other's right.
            let left = p.label.contains("Let's Encrypt") && x > 20.0;
            DateRule {
                x,
                y: 16,
                label: p.label.split(" 2027").collect::<String>(),
                title: p.title.to_owned(),
                anchor: if left { "end".to_owned() } else { String::new() },
                dx: if left { -5 } else { 5 },
            }
        })
        .collect()
}

fn ticks(found: &Forecast, now: UnixTime, x_of: &dyn Fn(f64) -> f64) -> Vec<Tick> {
    let days = found.counts.len() as i64 * found.step_days;
    (0..=4)
        .map(|n| Tick {
            x: x_of((days * n) as f64 / 4.0),
            label: if n == 0 { "today".to_owned() } else { words::day(now.plus(days * n / 4 * DAY), now) },
            anchor: match n {
                0 => "",
                4 => "end",
                _ => "middle",
            }
            .to_owned(),
            minor: n % 2 == 1,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::row::tests::NOW;

    #[test]
    fn renewals_a_week() {
        assert!((per_week(1000, 100) - 105.0).abs() < 0.01);
        assert!((per_week(1000, 47) - 223.4).abs() < 0.1);
        assert_eq!(per_week(0, 47), 0.0);
    }

    #[test]
    fn the_drawing_stays_inside() {
        for (days, step_days, counts) in [
            (30, 1, vec![0; 30]),
            (30, 1, vec![1; 30]),
            (90, 1, (0..90).collect::<Vec<u64>>()),
            (400, 7, (0..58).map(|n| n * 20_000).collect()),
        ] {
            let found = Forecast { days, counts, step_days, rows: Vec::new(), leaves: 10 };
            let chart = chart(&found, NOW);
            for bar in &chart.bars {
                assert!(bar.x >= LEFT && bar.x + bar.width <= 100.0, "{bar:?}");
                assert!(bar.act_y >= 20 && bar.act_y + bar.act_height == BASE, "{bar:?}");
                assert_eq!(bar.act == 0, bar.act_height == 0);
            }
            assert!(chart.lines.iter().all(|l| (10..BASE).contains(&l.y)));
            assert!(chart.lines.len() <= 4);
            assert!(chart.ticks.iter().chain(&[]).all(|t| (0.0..=100.0).contains(&t.x)));
            assert!(chart.rules.iter().all(|r| (0.0..=100.0).contains(&r.x)));
        }
    }

    #[test]
    fn levels_are_round() {
        assert_eq!(scale(1).1, [1]);
        assert_eq!(scale(3).1, [1, 2, 3]);
        for most in [7, 19, 61, 140, 999, 123_456] {
            let (top, levels) = scale(most);
            assert!(top >= most && !levels.is_empty() && levels.len() <= 4, "{most}: {levels:?}");
        }
    }
}

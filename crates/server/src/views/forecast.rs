//! Forecast: what ends in the next 30, 90 or 400 days, and what shorter lifetimes would mean in renewals a week.
//!
//! From what the engine foresees (`foreseen.rs` keeps it); while that is being worked out, from the counts that the
//! store keeps by end, which claim of none that it renews itself.

use std::sync::Arc;

use askama::Template;
use notafter_core::UnixTime;
use notafter_engine::forecast::Forecast as Seen;
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
    /// What CAs limit, and what is left of it.
    pub(crate) limits: Vec<Spot>,
    pub(crate) messages: Vec<Spot>,
    pub(crate) messages_none: String,
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
/// What is shown beside today's rules.
pub(crate) const LIFETIMES: [u32; 3] = [100, 47, 6];
const ROWS: usize = 8;
const BASE: i32 = 176;
const HEIGHT: i32 = 200;
/// Room for the words of the levels, in percent.
const LEFT: f64 = 3.0;

/// What the page is made from.
pub(crate) struct Forecast {
    pub(crate) days: i64,
    /// How many end in each step from today's midnight on, and how many of them are expected to be renewed before.
    pub(crate) counts: Vec<(u64, u64)>,
    pub(crate) step_days: i64,
    pub(crate) rows: Vec<Entry>,
    /// `None` while it is being worked out.
    pub(crate) seen: Option<Arc<Seen>>,
}

/// Asks. `seen`: what the engine foresees, if it has done so yet.
pub(crate) fn gather(
    look: &Look,
    house: &House,
    days: i64,
    seen: Option<Arc<Seen>>,
) -> Result<Forecast, StoreError> {
    let midnight = UnixTime(look.now.0.div_euclid(DAY) * DAY);
    let step_days = if days > 90 { 7 } else { 1 };
    // From midnight, so that each step is a day or a week of its own; and therefore one more.
    let steps = usize::try_from(days / step_days + 1).unwrap_or(1);
    let (counts, rows) = match &seen {
        Some(seen) => {
            let mut counts = vec![(0, 0); steps];
            let first = midnight.0.div_euclid(DAY);
            for (day, is) in &seen.days {
                let at = usize::try_from((day - first) / step_days).ok();
                if let Some(step) = at.and_then(|at| counts.get_mut(at)) {
                    *step = (step.0 + is.lapses, step.1 + is.replaced);
                }
            }
            let ours = seen.lapses.iter().filter(|lapse| lapse.outlook.replaced().is_none());
            (counts, ours.take(ROWS).map(|lapse| lapse.asset.clone()).collect())
        }
        None => {
            let counts = look.store.ends_histogram(midnight, step_days * DAY, steps)?;
            let rows =
                look.store.assets(&super::today::ours(days * DAY), Sort::Ends, None, ROWS, look.now)?.rows;
            (counts.into_iter().map(|n| (n, 0)).collect(), rows)
        }
    };
    let rows = entries(look, house, rows)?;
    Ok(Forecast { days, counts, step_days, rows, seen })
}

/// The page.
pub(crate) fn view(look: &Look, house: &House, found: &Forecast) -> ForecastView {
    let now = look.now;
    let coverage = Coverage::of(look, house);
    let total: u64 = found.counts.iter().map(|(ends, _)| ends).sum();
    let midnight = UnixTime(now.0.div_euclid(DAY) * DAY);
    let worst = found.counts.iter().enumerate().max_by_key(|(n, count)| (count.0, std::cmp::Reverse(*n)));
    let mut subline = match &found.seen {
        Some(seen) => told_words(seen),
        None => {
            "Who renews which and who is told is still being worked out; load the page again in a minute. "
                .to_owned()
        }
    };
    if let Some((n, (count, _))) = worst.filter(|(_, count)| count.0 > 1) {
        let at = midnight.plus(n as i64 * found.step_days * DAY);
        let what = if found.step_days == 7 { "Worst week: from" } else { "Worst day:" };
        subline.push_str(&format!("{what} {}, with {}. ", words::day(at, now), words::number(*count)));
    }
    let but = coverage.but();
    if !but.is_empty() {
        subline.push_str(&format!("What was not seen is not in here: {but}."));
    }
    ForecastView {
        frame: frame(look, house, "Forecast", "Forecast"),
        headline: headline(found, total),
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
        lapses_none: "Nothing that was seen ends in this span and waits for a person.".to_owned(),
        load: found.seen.as_deref().map(load).unwrap_or_default(),
        load_words:
            "Each leaf in use at its renewer's time, or when a third of its life is left; from the next \
                     renewal on, what public CAs issue lives so long at most"
                .to_owned(),
        load_advice: found.seen.as_deref().map(advice).unwrap_or_default(),
        limits: found.seen.as_deref().map(limits).unwrap_or_default(),
        messages: found.seen.as_deref().map(|seen| messages(seen, now)).unwrap_or_default(),
        messages_none: match &found.seen {
            Some(_) => "Nobody would be told anything.".to_owned(),
            None => "Still being worked out.".to_owned(),
        },
        dates: dates(found, now),
    }
}

fn headline(found: &Forecast, total: u64) -> String {
    let days = found.days;
    let ends = match total {
        0 => return format!("Nothing that was seen ends in the next {days} days."),
        1 => format!("One asset ends in the next {days} days"),
        n => format!("{} assets end in the next {days} days", words::number(n)),
    };
    match &found.seen {
        None => format!("{ends}."),
        Some(seen) => {
            let renewing = seen.renewing + seen.republishing;
            let are = if renewing == 1 { "is" } else { "are" };
            let (broken, renewing) = (words::number(seen.broken), words::number(renewing));
            format!("{ends}: {broken} would break, {renewing} {are} expected to be renewed.")
        }
    }
}

fn told_words(seen: &Seen) -> String {
    match (seen.messages, seen.unheard) {
        (0, 0) => "Nobody would be told anything. ".to_owned(),
        (0, n) => format!("{} messages would go to nobody: nobody has a channel. ", words::number(n)),
        (1, _) => "There would be one message. ".to_owned(),
        (n, _) => format!("There would be {} messages, if nobody answered. ", words::number(n)),
    }
}

/// The first of them, by day and person.
fn messages(seen: &Seen, now: UnixTime) -> Vec<Spot> {
    let told = seen.told.iter().take(ROWS);
    told.map(|m| Spot {
        words: format!("{}: {} to {}", words::day(m.at, now), m.event.as_str(), m.owner),
        detail: words::clean(&m.title),
        href: String::new(),
    })
    .collect()
}

/// What CAs limit, and what is left of it: whatever a scenario exceeds, and today's.
fn limits(seen: &Seen) -> Vec<Spot> {
    let mut out = Vec::new();
    for scenario in &seen.scenarios {
        let under = match scenario.lifetime_days {
            None => "today's rules".to_owned(),
            Some(days) => format!("{days} days"),
        };
        for room in &scenario.headroom {
            let exceeded = room.worst > room.most;
            if !exceeded && scenario.lifetime_days.is_some() {
                continue;
            }
            let of =
                if room.of.is_empty() { String::new() } else { format!(" ({})", words::clean(&room.of)) };
            let but = if exceeded && !room.counts_renewals {
                "; renewals for exactly the same names do not count, new names do"
            } else {
                ""
            };
            out.push(Spot {
                words: format!(
                    "{under}: {} of {} for {}{of}",
                    words::number(room.worst),
                    room.most,
                    room.per.words()
                ),
                detail: format!(
                    "from {}{but}; {}, {}",
                    words::date(room.from),
                    words::clean(&room.ca),
                    room.source
                ),
                href: String::new(),
            });
        }
    }
    out
}

fn dates(found: &Forecast, now: UnixTime) -> Vec<Spot> {
    let caught = found.seen.iter().flat_map(|seen| &seen.dates).map(|date| Spot {
        words: format!(
            "{}: {} as they are",
            words::date(date.at),
            match date.certificates {
                1 => "catches one certificate".to_owned(),
                n => format!("catches {} certificates", words::number(n)),
            }
        ),
        detail: date.source.clone(),
        href: words::ask("finding:policy-date"),
    });
    let set = POLICY_DATES.iter().filter(|p| p.at > now);
    let set =
        set.map(|p| Spot { words: p.label.to_owned(), detail: p.detail.to_owned(), href: String::new() });
    caught.chain(set).collect()
}

fn advice(seen: &Seen) -> String {
    let leaves = match seen.leaves {
        1 => "1 leaf is".to_owned(),
        n => format!("{} leaves are", words::number(n)),
    };
    let public = words::number(seen.public_leaves);
    let mut out =
        format!("{leaves} in use, {public} of public CAs; private CAs are not bound by these rules.");
    let unknown = seen.scenarios.first().map(|s| s.unpublished.join(", ")).unwrap_or_default();
    if !unknown.is_empty() {
        out.push_str(&format!(
            " No published limit is known to this version of: {}.",
            words::clean(&unknown)
        ));
    }
    out
}

fn load(seen: &Seen) -> Vec<Load> {
    let decimal = |n: f64| if n < 100.0 { format!("{n:.1}") } else { words::number(n.round() as u64) };
    let row = |s: &notafter_engine::forecast::Scenario| Load {
        words: match s.lifetime_days {
            None => "today's rules".to_owned(),
            Some(days) => format!("{days} days"),
        },
        since: format!("worst week from {}: {}", words::date(s.worst_from), words::number(s.worst_week)),
        per_week: decimal(s.a_week),
        by_hand: decimal(s.by_hand),
        tone: if s.by_hand >= 1.0 { "warning" } else { "plain" }.to_owned(),
    };
    seen.scenarios.iter().map(row).collect()
}

fn chart(found: &Forecast, now: UnixTime) -> BarChart {
    let midnight = UnixTime(now.0.div_euclid(DAY) * DAY);
    let most = found.counts.iter().map(|(ends, _)| *ends).max().unwrap_or(0).max(1);
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
    let bars = found.counts.iter().enumerate().map(|(n, (count, auto))| {
        let from = midnight.plus(n as i64 * found.step_days * DAY);
        let until = from.plus(found.step_days * DAY);
        let act = count.saturating_sub(*auto);
        let (tall, low) = (height(*count), height(act));
        let end_words = format!("{} {}", words::number(*count), if *count == 1 { "ends" } else { "end" });
        let when = if weekly { format!("week of {}", words::day(from, now)) } else { words::day(from, now) };
        let dates: Vec<_> =
            POLICY_DATES.iter().filter(|p| from <= p.at && p.at < until).map(|p| p.label).collect();
        ForecastBar {
            x: words::at_percent(LEFT + n as f64 * across / steps),
            width: words::at_percent(across / steps * 0.72),
            act_y: BASE - low,
            act_height: low,
            auto_y: BASE - tall,
            auto_height: (tall - low).max(0),
            tone: "plain".to_owned(),
            title: format!("{}: {end_words}", words::sentence(&when)),
            href: words::ask(&format!("expires>{} expires<{}", iso_day(from), iso_day(until))),
            words: words::date(from),
            act,
            auto: *auto,
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
    fn the_drawing_stays_inside() {
        for (days, step_days, counts) in [
            (30, 1, vec![0; 30]),
            (30, 1, vec![1; 30]),
            (90, 1, (0..90).collect::<Vec<u64>>()),
            (400, 7, (0..58).map(|n| n * 20_000).collect()),
        ] {
            let counts = counts.into_iter().map(|n| (n, n / 3)).collect();
            let found = Forecast { days, counts, step_days, rows: Vec::new(), seen: None };
            let chart = chart(&found, NOW);
            for bar in &chart.bars {
                assert!(bar.x >= LEFT && bar.x + bar.width <= 100.0, "{bar:?}");
                assert!(bar.act_y >= 20 && bar.act_y + bar.act_height == BASE, "{bar:?}");
                assert_eq!(bar.act == 0, bar.act_height == 0);
                assert_eq!(bar.auto_y + bar.auto_height, bar.act_y);
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

//! Today before the first look has ended: what is being looked at, and what came back so far.

use askama::Template;
use notafter_core::query::Query;
use notafter_store::StoreError;
use notafter_store::queries::Sort;
use notafter_store::rows::AssetRow;

use super::filters;
use super::frame::{House, Look, frame};
use super::row::row;
use super::{Frame, Row};
use crate::words;

#[derive(Clone, Debug, Template)]
#[template(path = "starting.html")]
pub(crate) struct StartingView {
    pub(crate) frame: Frame,
    pub(crate) headline: String,
    pub(crate) subline: String,
    pub(crate) so_far: String,
    pub(crate) lapses: Vec<Row>,
    pub(crate) lapses_none: String,
    pub(crate) looking: Vec<Looking>,
    pub(crate) steps: Vec<NextStep>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Looking {
    pub(crate) words: String,
    pub(crate) detail: String,
    pub(crate) tone: String,
    pub(crate) busy: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct NextStep {
    pub(crate) words: String,
    pub(crate) detail: String,
    pub(crate) command: String,
}

/// Is this the first look, with nothing known from before?
pub(crate) fn is_first(look: &Look, house: &House) -> bool {
    let looked = house.sources.iter().any(|row| row.last_success.is_some());
    let running = !look.state.running.is_empty();
    !looked && !look.setup.sources.is_empty() && (!look.state.settled || running)
}

/// What came back so far, what ends first.
pub(crate) fn gather(look: &Look) -> Result<Vec<AssetRow>, StoreError> {
    let mut rows = look.store.assets(&super::today::ours(3650 * 86_400), Sort::Ends, None, 8, look.now)?.rows;
    if rows.is_empty() {
        rows = look.store.assets(&Query::default(), Sort::Ends, None, 8, look.now)?.rows;
    }
    Ok(rows)
}

/// The page.
pub(crate) fn view(look: &Look, house: &House, rows: &[AssetRow]) -> StartingView {
    let now = look.now;
    let totals = &house.totals;
    let month = now.plus(30 * 86_400);
    let soon =
        rows.iter().filter(|r| r.not_after.is_some_and(|end| now <= end && end <= month)).count() as u64;
    let mut headline =
        format!("Looking for the first time: {} so far", words::counted(totals.assets, "asset"));
    headline.push_str(&match soon {
        0 => ".".to_owned(),
        1 => ", one of them ends within 30 days.".to_owned(),
        n => format!(", {} of them end within 30 days.", words::number_word(n)),
    });
    let mut frame = frame(look, house, "Today", "Today");
    frame.refresh_seconds = 2;
    StartingView {
        frame,
        headline,
        subline: "Nothing here is complete yet. This page loads itself again every 2 seconds until the first look is done."
            .to_owned(),
        so_far: format!(
            "{} in {}",
            words::counted(totals.assets, "asset"),
            words::counted(totals.placements, "place")
        ),
        lapses: rows.iter().map(|r| row(r, None, now)).collect(),
        lapses_none: "Nothing yet.".to_owned(),
        looking: looking(look, house),
        steps: steps(look),
    }
}

/// Counters of a run, in words.
pub(crate) fn progress_words(scan: notafter_core::scan::Scan) -> String {
    let mut parts = Vec::new();
    if scan.files > 0 {
        parts.push(format!("{} read", words::counted(scan.files, "file")));
    }
    if scan.attempted > 0 {
        parts.push(format!("{} asked", words::counted(scan.attempted, "port")));
        parts.push(format!("{} showed a certificate", words::number(scan.reached)));
    }
    if parts.is_empty() { "begun".to_owned() } else { parts.join(", ") }
}

fn looking(look: &Look, house: &House) -> Vec<Looking> {
    let one = |planned: &notafter_engine::setup::Planned| {
        let running = look.state.running.get(&planned.name);
        let row = house.sources.iter().find(|r| r.name == planned.name);
        let (detail, tone) = match (running, row) {
            (Some((progress, _)), _) => (progress_words(progress.scan()), "plain"),
            (None, Some(row)) if row.fault.is_some() => {
                (format!("failed: {}", words::clean(row.fault.as_deref().unwrap_or_default())), "now")
            }
            (None, Some(row)) if row.last_finished.is_some() => {
                (format!("done: {}", words::counted(row.placements, "place")), "plain")
            }
            _ => ("waiting".to_owned(), "stale"),
        };
        let targets: Vec<_> = planned.targets.iter().take(4).map(|t| words::clean(t)).collect();
        let more = planned.targets.len().saturating_sub(4);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let name = words::clean(&planned.name);
        Looking {
            words: if targets.is_empty() { name } else { format!("{name}: {}{more}", targets.join(", ")) },
            detail,
            tone: tone.to_owned(),
            busy: running.is_some(),
        }
    };
    look.setup.sources.iter().map(one).collect()
}

fn steps(look: &Look) -> Vec<NextStep> {
    let step = |words: &str, detail: &str, command: &str| NextStep {
        words: words.to_owned(),
        detail: detail.to_owned(),
        command: command.to_owned(),
    };
    let mut out = vec![step(
        "Watch a host that matters",
        "",
        "notafter watch www.example.com --notify mail:you@example.com",
    )];
    if look.csrf.is_empty() {
        out.push(step(
            "Sign in here",
            "The terminal that started Notafter shows a link that works once.",
            "",
        ));
    }
    out.push(step("Write a configuration", "Every line is explained in it.", "notafter config init"));
    out
}

//! `forecast`: what will lapse until a date, who will be told when, what shorter lifetimes would mean.

use notafter_core::UnixTime;
use notafter_core::dossier::days_text;
use notafter_engine::forecast::{Forecast as Look, Lapse, look};
use notafter_engine::setup::Setup;
use notafter_store::{Store, StoreError};
use serde_json::{Value, json};

use super::hands::{instant, memory, setup};
use super::ls::cell;
use super::{End, Usage};
use crate::cli::{Forecast, Format, Global};
use crate::moment;
use crate::print;
use crate::print::csv::row as csv_row;
use crate::print::paper::{Ink, Paper, fit_middle};

pub(crate) fn run(global: &Global, args: &Forecast) -> Result<End, Usage> {
    let (data, store, now) = memory(global)?;
    let failed = |e| data.explain(&e);
    let from = instant(global, now)?;
    let until = match &args.until {
        Some(text) => {
            moment::parse_at(text, from).map_err(|e| Usage::new(e).hint("write 2027-03-01 or +30d"))?
        }
        None => from.plus(i64::from(args.days) * 86_400),
    };
    let (_, setup) = setup(global, &data, &store)?;
    let lifetimes = if args.lifetime.is_empty() { vec![200, 100, 47] } else { args.lifetime.clone() };
    let forecast = look(&store, &setup, until, &lifetimes, from).map_err(failed)?;
    match global.format() {
        Format::Table => print::out(page(global, &setup, &forecast, from, until).as_bytes()),
        Format::Csv => print::out(csv(&setup, &forecast, from).as_bytes()),
        Format::Ndjson => {
            let lines =
                forecast.lapses.iter().map(|l| Ok(format!("{}\n", document(&store, &setup, l, from)?)));
            print::out(lines.collect::<Result<String, _>>().map_err(failed)?.as_bytes())
        }
        Format::Json => {
            let lapses = forecast.lapses.iter().map(|l| document(&store, &setup, l, from));
            let lapses = lapses.collect::<Result<Vec<_>, _>>().map_err(failed)?;
            print::out(format!("{}\n", whole(&forecast, &lapses, from, until)).as_bytes())
        }
    };
    Ok(End::Done)
}

/// Has this owner a channel, or the one of last resort?
fn is_told(setup: &Setup, owner: &str) -> bool {
    let has = |name: &str| setup.people.get(name).is_some_and(|p| !p.notify.is_empty());
    has(owner) || has(&setup.last_resort)
}

fn document(store: &Store, setup: &Setup, lapse: &Lapse, from: UnixTime) -> Result<Value, StoreError> {
    let [warning, critical, page] = lapse.told.map(|at| at.to_string());
    Ok(json!({
        "at": lapse.at.to_string(), "asset": super::ls::document(store, &lapse.asset, from)?, "owner": lapse.owner,
        "told": is_told(setup, &lapse.owner), "warning": warning, "critical": critical, "page": page,
    }))
}

fn whole(forecast: &Look, lapses: &[Value], from: UnixTime, until: UnixTime) -> Value {
    let renewals: Vec<_> = forecast
        .renewals
        .iter()
        .map(|(days, n)| json!({ "lifetime_days": days, "renewals_a_week": (n * 10.0).round() / 10.0 }))
        .collect();
    json!({
        "from": from.to_string(), "until": until.to_string(), "count": forecast.count, "lapses": lapses,
        "owners": forecast.owners, "leaves": forecast.leaves, "renewals": renewals,
    })
}

fn csv(setup: &Setup, forecast: &Look, from: UnixTime) -> String {
    let mut out = "at,days_left,title,issuer_name,owner,told,warning,critical,page,place,id\r\n".to_owned();
    for lapse in &forecast.lapses {
        let [warning, critical, page] = lapse.told.map(cell);
        out.push_str(&csv_row(&[
            cell(lapse.at),
            (format!("{:.1}", lapse.at.days_after(from)), true),
            cell(&lapse.asset.title),
            cell(&lapse.asset.issuer_name),
            cell(&lapse.owner),
            cell(is_told(setup, &lapse.owner)),
            warning,
            critical,
            page,
            cell(lapse.asset.place.as_ref().map(ToString::to_string).unwrap_or_default()),
            cell(lapse.asset.id),
        ]));
    }
    out
}

fn page(global: &Global, setup: &Setup, forecast: &Look, from: UnixTime, until: UnixTime) -> String {
    let mut paper = Paper::new(print::colours(global.color), print::width());
    paper.line(
        Ink::Bold,
        &format!("{} {} until {until}", forecast.count, if forecast.count == 1 { "lapses" } else { "lapse" }),
    );
    for lapse in &forecast.lapses {
        let left = days_text(lapse.at, from);
        paper.put(Ink::Plain, &format!("  {left:<14} ")).put(Ink::Bold, &fit_middle(&lapse.asset.title, 50));
        paper.end();
        let line = if is_told(setup, &lapse.owner) {
            format!("{}: {}", lapse.owner, steps(lapse.told))
        } else {
            format!("{}: nobody is told, nobody has a channel", lapse.owner)
        };
        paper.line(Ink::Dim, &format!("                 {line}"));
    }
    let unlisted = forecast.count.saturating_sub(forecast.lapses.len() as u64);
    if unlisted > 0 {
        paper.line(Ink::Dim, &format!("  and {unlisted} more"));
    }
    paper.line(Ink::Plain, "");
    paper.line(Ink::Bold, &format!("{} in use would need", leaves(forecast.leaves)));
    for (days, renewals) in &forecast.renewals {
        paper.line(Ink::Plain, &format!("  {renewals:>7.1} renewals a week with lifetimes of {days} days"));
    }
    paper.line(Ink::Dim, "  (each renewed when a third of its life is left)");
    paper.into_text()
}

fn leaves(n: u64) -> String {
    if n == 1 { "1 leaf".to_owned() } else { format!("{n} leaves") }
}

/// When each step is told: by the day, and with the hour where two of them fall on one.
fn steps(told: [UnixTime; 3]) -> String {
    let day = |at: UnixTime| at.to_string().chars().take(10).collect::<String>();
    let hour = |at: UnixTime| at.to_string().replace('T', " ").chars().take(16).collect::<String>();
    let close = told.windows(2).any(|pair| day(pair[0]) == day(pair[1]));
    let text = |at: UnixTime| if close { format!("{} UTC", hour(at)) } else { day(at) };
    let steps = ["warned", "critical", "paged"].iter().zip(told);
    steps.map(|(what, at)| format!("{what} {}", text(at))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_on_one_day_have_their_hour() {
        let at = |text: &str| moment::parse_at(text, UnixTime(0)).unwrap();
        assert_eq!(
            steps([at("2026-11-28"), at("2026-12-05"), at("2026-12-07")]),
            "warned 2026-11-28, critical 2026-12-05, paged 2026-12-07"
        );
        assert_eq!(
            steps([at("2026-11-28"), at("2026-11-30T06:00"), at("2026-11-30T18:30")]),
            "warned 2026-11-28 00:00 UTC, critical 2026-11-30 06:00 UTC, paged 2026-11-30 18:30 UTC"
        );
    }
}

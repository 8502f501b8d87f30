//! `forecast`: what will lapse until a date, who will be told when, what shorter lifetimes would mean.

use notafter_core::dossier::days_text;
use notafter_engine::forecast::look;
use serde_json::json;

use super::hands::memory;
use super::{End, Usage};
use crate::assemble;
use crate::cli::{Forecast, Format, Global};
use crate::moment;
use crate::print;
use crate::print::paper::{Ink, Paper, fit_middle};
use crate::watches;

pub(crate) fn run(global: &Global, args: &Forecast) -> Result<End, Usage> {
    let (data, store, now) = memory(global)?;
    let at_hint = |e: String| Usage::new(e).hint("write 2027-03-01 or +30d");
    let from = global.at.as_deref().map_or(Ok(now), |t| moment::parse_at(t, now)).map_err(at_hint)?;
    let until = match &args.until {
        Some(text) => moment::parse_at(text, from).map_err(at_hint)?,
        None => from.plus(i64::from(args.days) * 86_400),
    };
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    let (watches, _) = watches::read(&store).map_err(|e| data.explain(&e))?;
    let setup = sheet.setup(&watches).map_err(Usage::new)?;
    let lifetimes = if args.lifetime.is_empty() { vec![200, 100, 47] } else { args.lifetime.clone() };
    let forecast = look(&store, &setup, until, &lifetimes, from).map_err(|e| data.explain(&e))?;
    if global.format() != Format::Table {
        let lapses: Vec<_> = forecast
            .lapses
            .iter()
            .map(|l| {
                json!({
                    "at": l.at.to_string(), "asset": super::ls::document(&l.asset, from), "owner": l.owner,
                    "warning": l.told[0].to_string(), "critical": l.told[1].to_string(), "page": l.told[2].to_string(),
                })
            })
            .collect();
        let renewals: Vec<_> = forecast
            .renewals
            .iter()
            .map(|(days, n)| json!({ "lifetime_days": days, "renewals_a_week": (n * 10.0).round() / 10.0 }))
            .collect();
        let document = json!({
            "from": from.to_string(), "until": until.to_string(), "count": forecast.count, "lapses": lapses,
            "owners": forecast.owners, "leaves": forecast.leaves, "renewals": renewals,
        });
        print::out(format!("{document}\n").as_bytes());
        return Ok(End::Done);
    }
    let mut paper = Paper::new(print::colours(global.color), print::width());
    paper.line(Ink::Bold, &format!("{} lapse until {until}", forecast.count));
    for lapse in &forecast.lapses {
        let left = days_text(lapse.at, from);
        paper.put(Ink::Plain, &format!("  {left:<14} ")).put(Ink::Bold, &fit_middle(&lapse.asset.title, 50));
        paper.end();
        let steps = ["warned", "critical", "paged"].iter().zip(lapse.told);
        let steps: Vec<_> = steps.map(|(what, at)| format!("{what} {}", day(at))).collect();
        paper.line(Ink::Dim, &format!("                 {}: {}", lapse.owner, steps.join(", ")));
    }
    let unlisted = forecast.count.saturating_sub(forecast.lapses.len() as u64);
    if unlisted > 0 {
        paper.line(Ink::Dim, &format!("  and {unlisted} more"));
    }
    paper.line(Ink::Plain, "");
    paper.line(Ink::Bold, &format!("{} leaves in use would need", forecast.leaves));
    for (days, renewals) in &forecast.renewals {
        paper.line(Ink::Plain, &format!("  {renewals:>7.1} renewals a week with lifetimes of {days} days"));
    }
    paper.line(Ink::Dim, "  (each renewed when a third of its life is left)");
    print::out(paper.into_text().as_bytes());
    Ok(End::Done)
}

fn day(at: notafter_core::UnixTime) -> String {
    at.to_string().chars().take(10).collect()
}

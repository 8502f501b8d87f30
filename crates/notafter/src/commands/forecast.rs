//! `forecast`: what will lapse and break until a date, who will be told when, what renews by itself, and what shorter
//! lifetimes would mean.

use notafter_core::UnixTime;
use notafter_core::dossier::days_text;
use notafter_core::rate_limits::Per;
use notafter_engine::forecast::{Forecast as Look, Headroom, Lapse, Scenario, look};
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

/// What shorter lifetimes are shown beside today's rules, unless others are asked for.
const LIFETIMES: [u32; 3] = [100, 47, 6];
/// So many rows of each kind people are shown; programs get all.
const ROWS: usize = 40;

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
    let lifetimes = if args.lifetime.is_empty() { LIFETIMES.to_vec() } else { args.lifetime.clone() };
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
        "outlook": lapse.outlook.as_str(), "outlook_words": lapse.outlook.words(), "breaks": lapse.breaks,
        "replaced": lapse.outlook.replaced().map(|at| at.to_string()),
    }))
}

fn rounded(n: f64) -> f64 {
    (n * 10.0).round() / 10.0
}

fn whole(forecast: &Look, lapses: &[Value], from: UnixTime, until: UnixTime) -> Value {
    let renewals: Vec<_> = forecast
        .scenarios
        .iter()
        .filter_map(|s| {
            let days = s.lifetime_days?;
            Some(json!({ "lifetime_days": days, "renewals_a_week": rounded(s.a_week) }))
        })
        .collect();
    let messages: Vec<_> = forecast
        .told
        .iter()
        .map(|m| {
            json!({
                "at": m.at.to_string(), "owner": m.owner, "channel": m.by, "event": m.event.as_str(),
                "step": m.step.as_str(), "severity": m.severity.as_str(), "title": m.title, "names": m.names,
            })
        })
        .collect();
    let breaks: Vec<_> = forecast
        .breaks
        .values()
        .map(|b| {
            json!({
                "at": b.at.to_string(), "kind": b.kind.as_str(), "finding": b.id,
                "asset": b.asset.map(|id| id.to_string()), "title": b.title, "owner": b.owner,
                "locations": b.places, "places": b.places_count,
            })
        })
        .collect();
    let renewing: Vec<_> = forecast
        .renewals
        .values()
        .map(|r| {
            json!({
                "at": r.at.to_string(), "asset": r.asset.to_string(), "title": r.title, "owner": r.owner,
                "by": r.by, "ends": r.ends.to_string(),
            })
        })
        .collect();
    let days: Vec<_> = forecast
        .days
        .iter()
        .map(|(day, d)| {
            json!({
                "day": UnixTime(day * 86_400).date(), "lapses": d.lapses, "replaced": d.replaced,
                "breaks": d.breaks, "renews": d.renews, "messages": d.messages,
            })
        })
        .collect();
    let dates: Vec<_> = forecast
        .dates
        .iter()
        .map(|d| {
            json!({
                "at": d.at.to_string(), "decision": d.decision, "source": d.source, "certificates": d.certificates,
            })
        })
        .collect();
    json!({
        "from": from.to_string(), "until": until.to_string(), "count": forecast.count, "lapses": lapses,
        "would_break": forecast.broken, "expected_to_renew": forecast.renewing,
        "republished": forecast.republishing, "not_in_use": forecast.unused,
        "breaks": breaks, "broken_by_owner": forecast.broken_of, "renewing": renewing,
        "renewals_expected": forecast.renewed,
        "messages": messages, "messages_count": forecast.messages, "messages_by_owner": forecast.messages_to,
        "unheard": forecast.unheard, "days": days, "policy_dates": dates, "policy_dates_cut": forecast.dates_cut,
        "owners": forecast.owners, "leaves": forecast.leaves, "public_leaves": forecast.public_leaves,
        "renewals": renewals, "scenarios": forecast.scenarios.iter().map(scenario).collect::<Vec<_>>(),
    })
}

fn scenario(s: &Scenario) -> Value {
    let work: Vec<_> = s
        .work
        .iter()
        .map(|w| {
            json!({
                "owner": w.owner, "ca": w.ca, "renewals_a_week": rounded(w.a_week), "worst_week": w.worst_week,
            })
        })
        .collect();
    let headroom: Vec<_> = s
        .headroom
        .iter()
        .map(|h| {
            json!({
                "ca": h.ca, "per": h.per.as_str(), "limit": h.most, "within_seconds": h.within, "of": h.of,
                "worst": h.worst, "from": h.from.to_string(), "exceeding": h.exceeding,
                "counts_renewals": h.counts_renewals, "source": h.source,
            })
        })
        .collect();
    json!({
        "lifetime_days": s.lifetime_days, "renewals_a_week": rounded(s.a_week), "by_hand_a_week": rounded(s.by_hand),
        "worst_week": s.worst_week, "worst_week_from": s.worst_from.to_string(), "work": work,
        "headroom": headroom, "no_published_limit": s.unpublished,
    })
}

fn csv(setup: &Setup, forecast: &Look, from: UnixTime) -> String {
    let mut out =
        "at,days_left,title,issuer_name,owner,told,warning,critical,page,place,id,outlook,breaks\r\n"
            .to_owned();
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
            cell(lapse.outlook.as_str()),
            cell(lapse.breaks),
        ]));
    }
    out
}

fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// All of it in one line.
fn headline(forecast: &Look, until: UnixTime) -> String {
    let mut out = format!(
        "until {}: {}, {} would break, {} expected to renew",
        until.date(),
        plural(forecast.count, "lapses", "lapse"),
        forecast.broken,
        plural(forecast.renewing, "is", "are"),
    );
    if forecast.republishing > 0 {
        out.push_str(&format!(", {} published anew", plural(forecast.republishing, "is", "are")));
    }
    if forecast.unused > 0 {
        out.push_str(&format!(", {} not known to be in use", plural(forecast.unused, "is", "are")));
    }
    match (forecast.messages, forecast.unheard) {
        (0, 0) => out.push_str("; nobody would be told anything"),
        (0, n) => out.push_str(&format!(
            "; {} nobody: nobody has a channel",
            plural(n, "message for", "messages for")
        )),
        (n, _) => out.push_str(&format!("; you would get {}", plural(n, "message", "messages"))),
    }
    out
}

fn more(paper: &mut Paper, count: u64, shown: usize) {
    let unlisted = count.saturating_sub(shown as u64);
    if unlisted > 0 {
        paper.line(Ink::Dim, &format!("  and {unlisted} more"));
    }
}

fn page(global: &Global, setup: &Setup, forecast: &Look, from: UnixTime, until: UnixTime) -> String {
    let mut paper = Paper::new(print::colours(global.color), print::width());
    paper.line(Ink::Bold, &headline(forecast, until));
    if !forecast.breaks.is_empty() {
        paper.line(Ink::Plain, "");
        paper.line(Ink::Bold, "would break");
        for broken in forecast.breaks.values().take(ROWS) {
            let place = broken.places.first().map(String::as_str).unwrap_or_default();
            let others = match broken.places_count {
                0 | 1 => String::new(),
                n => format!(" and {} more", n - 1),
            };
            paper
                .put(Ink::Plain, &format!("  {}  ", broken.at.date()))
                .put(Ink::Bold, &fit_middle(&broken.title, 40))
                .put(Ink::Dim, &format!("  {} ({}), {place}{others}", broken.owner, broken.kind.as_str()));
            paper.end();
        }
        more(&mut paper, forecast.broken, forecast.breaks.len().min(ROWS));
    }
    if !forecast.lapses.is_empty() {
        paper.line(Ink::Plain, "");
        paper.line(Ink::Bold, "lapses");
    }
    for lapse in forecast.lapses.iter().take(ROWS) {
        let left = days_text(lapse.at, from);
        paper.put(Ink::Plain, &format!("  {left:<14} ")).put(Ink::Bold, &fit_middle(&lapse.asset.title, 50));
        paper.end();
        let line = if lapse.outlook.replaced().is_some() {
            lapse.outlook.words()
        } else if is_told(setup, &lapse.owner) {
            format!("{}: {}", lapse.owner, steps(lapse.told))
        } else {
            format!("{}: nobody is told, nobody has a channel", lapse.owner)
        };
        paper.line(Ink::Dim, &format!("                 {line}"));
        if lapse.outlook.as_str() == "stuck" {
            paper.line(Ink::Dim, &format!("                 {}", lapse.outlook.words()));
        }
    }
    more(&mut paper, forecast.count, forecast.lapses.len().min(ROWS));
    if !forecast.told.is_empty() {
        paper.line(Ink::Plain, "");
        let to: Vec<String> =
            forecast.messages_to.iter().map(|(owner, n)| format!("{owner} {n}")).take(20).collect();
        paper.put(Ink::Bold, "messages").put(Ink::Dim, &format!("  {}, if nobody answers", to.join(", ")));
        paper.end();
        for message in forecast.told.iter().take(ROWS) {
            paper
                .put(Ink::Plain, &format!("  {}  ", message.at.date()))
                .put(
                    Ink::Plain,
                    &format!("{} to {} by {}: ", message.event.as_str(), message.owner, message.by),
                )
                .put(Ink::Dim, &fit_middle(&message.title, 90));
            paper.end();
        }
        more(&mut paper, forecast.messages, forecast.told.len().min(ROWS));
    }
    if !forecast.dates.is_empty() {
        paper.line(Ink::Plain, "");
        paper.line(Ink::Bold, "dates that others have set");
        let least = if forecast.dates_cut { "at least " } else { "" };
        for date in &forecast.dates {
            let these = plural(date.certificates, "certificate", "certificates");
            paper.line(Ink::Plain, &format!("  {}  catches {least}{these} as they are", date.at.date()));
            paper.line(Ink::Dim, &format!("              {}", date.source));
        }
    }
    paper.line(Ink::Plain, "");
    let public = forecast.public_leaves;
    paper.line(
        Ink::Bold,
        &format!(
            "{} in use would need ({public} of public CAs, which alone are bound)",
            leaves(forecast.leaves)
        ),
    );
    for scenario in &forecast.scenarios {
        load(&mut paper, scenario);
    }
    if let Some(scenario) = forecast.scenarios.first().filter(|s| !s.unpublished.is_empty()) {
        let list = scenario.unpublished.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
        paper.line(Ink::Dim, &format!("  no published limit is known to this version of: {list}"));
    }
    paper.line(Ink::Dim, "  (each at its renewer's time, else when a third of its life is left)");
    paper.into_text()
}

fn load(paper: &mut Paper, scenario: &Scenario) {
    let under = match scenario.lifetime_days {
        None => "under today's rules".to_owned(),
        Some(days) => format!("with lifetimes of {days} days"),
    };
    let by_hand = if scenario.by_hand > 0.0 {
        format!(", {:.1} of them by hand", scenario.by_hand)
    } else {
        String::new()
    };
    paper.line(
        Ink::Plain,
        &format!(
            "  {:>7.1} renewals a week {under}{by_hand}; {} in the worst week, from {}",
            scenario.a_week,
            scenario.worst_week,
            scenario.worst_from.date()
        ),
    );
    for work in scenario.work.iter().take(3).filter(|_| scenario.work.len() > 1) {
        paper.line(Ink::Dim, &format!("          {:>7.1} {} from {}", work.a_week, work.owner, work.ca));
    }
    for room in &scenario.headroom {
        let ink = if room.worst > room.most { Ink::Plain } else { Ink::Dim };
        paper.line(ink, &format!("          {}", headroom(room)));
    }
}

/// What is left of one limit, or who exceeds it.
fn headroom(room: &Headroom) -> String {
    let time = if room.within >= 86_400 {
        format!("{} days", room.within / 86_400)
    } else {
        format!("{} hours", room.within / 3600)
    };
    let limit = format!("{}: {} for {} in {time}", room.ca, room.most, room.per.words());
    let of = match (room.per, room.of.as_str()) {
        (Per::Account, _) => "if all go by one account".to_owned(),
        (_, "") => return format!("{limit}: none comes near"),
        (_, of) => of.to_owned(),
    };
    let day = room.from.date();
    if room.worst <= room.most {
        return format!(
            "{limit}: {} at most ({of}, from {day}), {} left",
            room.worst,
            room.most - room.worst
        );
    }
    let others = match room.exceeding {
        0 | 1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    let but = if room.counts_renewals {
        ""
    } else {
        "; renewals for exactly the same names do not count, new names do"
    };
    format!("{limit}: {} from {day} ({of}{others}){but}", room.worst)
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

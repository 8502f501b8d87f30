//! `ls [QUERY]`: asks the inventory. With `--alerts` what is open, with `--findings` what is wrong.

use notafter_core::UnixTime;
use notafter_core::alert::State;
use notafter_core::dossier::days_text;
use notafter_core::finding::{Severity, summary_at};
use notafter_core::query::Query;
use notafter_store::Store;
use notafter_store::findings::FindingFilter;
use notafter_store::queries::Sort;
use notafter_store::rows::AssetRow;
use serde_json::json;

use super::hands::memory;
use super::{End, Usage};
use crate::cli::{Format, Global, Ls};
use crate::moment;
use crate::print;
use crate::print::csv::row as csv_row;
use crate::print::paper::{Ink, Paper, fit, fit_middle};

/// Rows are fetched so many at a time.
const PAGE: usize = 500;

pub(crate) fn run(global: &Global, args: &Ls) -> Result<End, Usage> {
    let (data, store, now) = memory(global)?;
    let at = match &global.at {
        Some(text) => {
            moment::parse_at(text, now).map_err(|e| Usage::new(e).hint("write 2027-03-01 or +30d"))?
        }
        None => now,
    };
    let failed = |e: notafter_store::StoreError| data.explain(&e);
    if args.alerts {
        return alerts(global, &store, at).map_err(failed);
    }
    let text = args.query.join(" ");
    if args.findings {
        return findings(global, &store, at).map_err(failed);
    }
    let query = parse(&text)?;
    let mut list = List::new(global, at);
    let mut after: Option<String> = None;
    let mut left = args.limit.unwrap_or(usize::MAX);
    while left > 0 {
        let page = store.assets(&query, Sort::Ends, after.as_deref(), PAGE.min(left), at).map_err(failed)?;
        left = left.saturating_sub(page.rows.len());
        if !list.rows(&page.rows) {
            return Ok(End::Done);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    list.end(after.is_some(), global.quiet);
    Ok(End::Done)
}

/// Reads a query; the keys are the hint.
pub(crate) fn parse(text: &str) -> Result<Query, Usage> {
    Query::parse(text).map_err(|e| Usage::new(e.message).hint(e.hint))
}

struct List {
    format: Format,
    at: UnixTime,
    paper: Paper,
    width: usize,
    count: usize,
}

impl List {
    fn new(global: &Global, at: UnixTime) -> Self {
        let format = global.format();
        let width = print::width().unwrap_or(160);
        let paper = Paper::new(print::colours(global.color), Some(width));
        if format == Format::Csv {
            print::out(
                b"not_after,days_left,name,issuer_name,owner,places,place,severity,findings,key,id\r\n",
            );
        }
        if format == Format::Json {
            print::out(b"{\"items\":[");
        }
        Self { format, at, paper, width, count: 0 }
    }

    /// Prints rows; `false` when nobody reads any more.
    fn rows(&mut self, rows: &[AssetRow]) -> bool {
        let mut out = String::new();
        for row in rows {
            match self.format {
                Format::Table => self.table(row),
                Format::Csv => out.push_str(&csv(row, self.at)),
                Format::Ndjson => out.push_str(&format!("{}\n", document(row, self.at))),
                Format::Json => {
                    let comma = if self.count > 0 { ",\n" } else { "\n" };
                    out.push_str(&format!("{comma}{}", document(row, self.at)));
                }
            }
            self.count += 1;
        }
        if self.format == Format::Table {
            out = self.paper.take_text();
        }
        print::out(out.as_bytes())
    }

    fn table(&mut self, row: &AssetRow) {
        let ink = match row.severity {
            Some(Severity::Critical) => Ink::Red,
            Some(Severity::Warning) => Ink::Yellow,
            _ => Ink::Plain,
        };
        let ends = match row.not_after {
            Some(end) if end >= UnixTime::NO_EXPIRY => "never".to_owned(),
            Some(end) => format!("{:.0} d", (end.days_after(self.at)).floor()),
            None => "-".to_owned(),
        };
        let rest = self.width.saturating_sub(9 + 2 + 12 + 2 + 6);
        let (name, place) = (rest * 2 / 5, rest - rest * 2 / 5 - 2);
        let where_ = row.place.as_ref().map(ToString::to_string).unwrap_or_default();
        let where_ = if row.places > 1 { format!("{where_} +{}", row.places - 1) } else { where_ };
        let owner = row.owner.as_deref().unwrap_or("-");
        self.paper
            .put(ink, &format!("{ends:>8}  "))
            .put(Ink::Bold, &format!("{}  ", pad(&fit_middle(&row.title, name), name)))
            .put(Ink::Plain, &format!("{}  ", pad(&fit(owner, 12), 12)))
            .line(Ink::Dim, &fit_middle(&where_, place));
    }

    fn end(self, more: bool, quiet: bool) {
        if self.format == Format::Json {
            print::out(b"\n]}\n");
        }
        if self.format == Format::Table && !quiet {
            let more = if more { ", and more: --limit" } else { "" };
            let plural = if self.count == 1 { "asset" } else { "assets" };
            print::note(&format!("{} {plural}{more}", self.count));
        }
    }
}

fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    format!("{text}{}", " ".repeat(missing))
}

/// One asset as JSON.
pub(crate) fn document(row: &AssetRow, at: UnixTime) -> serde_json::Value {
    json!({
        "id": row.id.to_string(),
        "kind": row.kind.as_str(),
        "name": row.title,
        "issuer_name": row.issuer_name,
        "not_before": row.not_before.map(|t| t.to_string()),
        "not_after": row.not_after.map(|t| t.to_string()),
        "days_left": row.not_after.map(|t| (t.days_after(at) * 10.0).round() / 10.0),
        "owner": row.owner,
        "key": row.key,
        "is_ca": row.is_ca,
        "self_signed": row.self_signed,
        "places": row.places,
        "served": row.served,
        "unseen": row.unseen,
        "place": row.place.as_ref().map(ToString::to_string),
        "severity": row.severity.map(Severity::as_str),
        "findings": row.findings,
        "superseded": row.superseded,
        "first_seen": row.first_seen.to_string(),
    })
}

fn csv(row: &AssetRow, at: UnixTime) -> String {
    let text = |t: Option<UnixTime>| t.map(|t| t.to_string()).unwrap_or_default();
    csv_row(&[
        (text(row.not_after), false),
        (row.not_after.map(|t| format!("{:.1}", t.days_after(at))).unwrap_or_default(), true),
        (row.title.clone(), false),
        (row.issuer_name.clone(), false),
        (row.owner.clone().unwrap_or_default(), false),
        (row.places.to_string(), true),
        (row.place.as_ref().map(ToString::to_string).unwrap_or_default(), false),
        (row.severity.map(Severity::as_str).unwrap_or_default().to_owned(), false),
        (row.findings.to_string(), true),
        (row.key.clone(), false),
        (row.id.to_string(), false),
    ])
}

fn alerts(global: &Global, store: &Store, now: UnixTime) -> Result<End, notafter_store::StoreError> {
    let mut alerts = store.open_alerts()?;
    alerts.retain(|a| a.state != State::Resolved);
    alerts.sort_by_key(|a| (a.severity, a.deadline.unwrap_or(UnixTime(i64::MAX))));
    if global.format() != Format::Table {
        print::out(format!("{}\n", json!({ "items": alerts })).as_bytes());
        return Ok(End::Done);
    }
    let mut paper = Paper::new(print::colours(global.color), print::width());
    for alert in &alerts {
        let ink = if alert.severity == Severity::Critical { Ink::Red } else { Ink::Yellow };
        let when = alert.deadline.map(|d| days_text(d, now)).unwrap_or_default();
        let state = match &alert.hold {
            Some(hold) => format!("{} by {} until {}", alert.state.as_str(), hold.by, hold.until),
            None => alert.state.as_str().to_owned(),
        };
        paper.put(ink, &format!("{:<5} {:<8}  ", alert.id(), alert.severity.as_str()));
        paper.put(Ink::Bold, &alert.title).line(Ink::Plain, &format!("  {when}"));
        paper.line(Ink::Dim, &format!("      {}: {state}, {} findings", alert.owner, alert.members.len()));
    }
    if alerts.is_empty() {
        paper.line(Ink::Plain, "no alert is open");
    }
    print::out(paper.into_text().as_bytes());
    Ok(End::Done)
}

fn findings(global: &Global, store: &Store, now: UnixTime) -> Result<End, notafter_store::StoreError> {
    let mut filter = FindingFilter { limit: PAGE, ..FindingFilter::default() };
    let mut paper = Paper::new(print::colours(global.color), print::width());
    let mut items = Vec::new();
    loop {
        let rows = store.findings(&filter)?;
        let full = rows.len() == PAGE;
        for row in &rows {
            let summary = summary_at(&row.summary, row.deadline, now);
            if global.format() != Format::Table {
                let locations: Vec<_> = row.locations.iter().map(ToString::to_string).collect();
                items.push(json!({
                    "id": row.id, "kind": row.kind.as_str(), "severity": row.severity.as_str(),
                    "asset": row.asset.map(|a| a.to_string()), "owner": row.owner, "locations": locations,
                    "deadline": row.deadline.map(|t| t.to_string()), "summary": summary, "hint": row.hint,
                }));
                continue;
            }
            let ink = match row.severity {
                Severity::Critical => Ink::Red,
                Severity::Warning => Ink::Yellow,
                Severity::Info => Ink::Dim,
            };
            paper.put(ink, &format!("{:<9}", row.severity.as_str())).line(Ink::Bold, row.kind.as_str());
            paper.paragraph(Ink::Plain, 9, &summary);
            paper.paragraph(Ink::Dim, 9, &format!("hint: {}", row.hint));
        }
        if !full {
            break;
        }
        filter.after = rows.last().map(|r| r.id.clone());
    }
    if global.format() != Format::Table {
        print::out(format!("{}\n", json!({ "items": items })).as_bytes());
    } else {
        print::out(paper.into_text().as_bytes());
    }
    Ok(End::Done)
}

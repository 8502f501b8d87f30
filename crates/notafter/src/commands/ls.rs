//! `ls [QUERY]`: asks the inventory. With `--alerts` what is open, with `--findings` what is wrong.

use notafter_core::UnixTime;
use notafter_core::alert::{Alert, State};
use notafter_core::dossier::days_text;
use notafter_core::finding::{Severity, summary_at};
use notafter_core::query::{Query, QueryError, Test};
use notafter_server::documents;
use notafter_store::findings::FindingFilter;
use notafter_store::queries::Sort;
use notafter_store::rows::{AssetRow, FindingRow};
use notafter_store::{Store, StoreError};
use serde_json::{Value, json};

use super::hands::{instant, memory};
use super::{End, Usage};
use crate::cli::{Format, Global, Ls};
use crate::data::Data;
use crate::print;
use crate::print::csv::row as csv_row;
use crate::print::paper::{Ink, Paper, fit, fit_middle};

/// Rows are fetched so many at a time.
const PAGE: usize = 500;

pub(crate) fn run(global: &Global, args: &Ls) -> Result<End, Usage> {
    if args.limit == Some(0) {
        return Err(
            Usage::new("`--limit 0` would list nothing").hint("write 1 or more; without it all are listed")
        );
    }
    let (data, store, now) = memory(global)?;
    let at = instant(global, now)?;
    let failed = |e: notafter_store::StoreError| data.explain(&e);
    if args.findings {
        return findings(global, &store, at).map_err(failed);
    }
    let query = parse(&words(&args.query), &data, &store)?;
    if args.alerts {
        let open = asked(store.open_alerts().map_err(failed)?, &query)?;
        return Ok(alerts(global, open, at));
    }
    let mut list = List::new(global, at);
    let mut after: Option<String> = None;
    let mut left = args.limit.unwrap_or(usize::MAX);
    while left > 0 {
        let page = store.assets(&query, Sort::Ends, after.as_deref(), PAGE.min(left), at).map_err(failed)?;
        left = left.saturating_sub(page.rows.len());
        if !list.rows(&page.rows, &store).map_err(failed)? {
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

/// The words of a query out of a shell's arguments. The shell takes the quotes of `owner:"web team"` off: where a key's
/// value may have blanks and no word behind it is one of the language, the argument was one word.
pub(crate) fn words(arguments: &[String]) -> String {
    const WITH_BLANKS: [&str; 5] = ["owner", "issuer", "subject", "service", "source"];
    let one = |argument: &String| -> Option<String> {
        let (key, value) = argument.split_once(':')?;
        let bare = key.trim_start_matches(['-', '!']).to_ascii_lowercase();
        let plain = !argument.contains('"') && value.trim() == value;
        let alone =
            value.split(' ').skip(1).all(|w| !w.contains([':', '<', '>', '=']) && !w.starts_with('-'));
        let quoted = WITH_BLANKS.contains(&bare.as_str()) && value.contains(' ') && plain && alone;
        quoted.then(|| format!("{key}:\"{value}\""))
    };
    let words: Vec<_> = arguments.iter().map(|a| one(a).unwrap_or_else(|| a.clone())).collect();
    words.join(" ")
}

/// Reads a query; the keys are the hint. An owner or a source that nobody knows is a mistake.
pub(crate) fn parse(text: &str, data: &Data, store: &Store) -> Result<Query, Usage> {
    let wrong = |e: QueryError| Usage::new(e.message).hint(e.hint);
    let query = Query::parse(text).map_err(wrong)?;
    match store.unknown_in(&query).map_err(|e| data.explain(&e))? {
        Some(unknown) => Err(wrong(unknown)),
        None => Ok(query),
    }
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
    fn rows(&mut self, rows: &[AssetRow], store: &Store) -> Result<bool, StoreError> {
        let mut out = String::new();
        for row in rows {
            match self.format {
                Format::Table => self.table(row),
                Format::Csv => out.push_str(&csv(row, self.at)),
                Format::Ndjson => out.push_str(&format!("{}\n", document(store, row, self.at)?)),
                Format::Json => {
                    let comma = if self.count > 0 { ",\n" } else { "\n" };
                    out.push_str(&format!("{comma}{}", document(store, row, self.at)?));
                }
            }
            self.count += 1;
        }
        if self.format == Format::Table {
            out = self.paper.take_text();
        }
        Ok(print::out(out.as_bytes()))
    }

    /// How wide names and places may be.
    fn columns(&self) -> (usize, usize) {
        let rest = self.width.saturating_sub(9 + 2 + 12 + 2 + 6);
        (rest * 2 / 5, rest - rest * 2 / 5 - 2)
    }

    fn heading(&mut self) {
        let (name, _) = self.columns();
        let text = format!("{:>8}  {}  {}  PLACE", "ENDS IN", pad("NAME", name), pad("OWNER", 12));
        self.paper.line(Ink::Dim, &text);
    }

    fn table(&mut self, row: &AssetRow) {
        if self.count == 0 {
            self.heading();
        }
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
        let (name, place) = self.columns();
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

/// One asset as JSON: the API's struct. What a document says is always what the bytes say.
pub(crate) fn document(store: &Store, row: &AssetRow, at: UnixTime) -> Result<Value, StoreError> {
    let der = store.bytes_of(&[row.id])?.pop().unwrap_or_default();
    Ok(json!(documents::asset(row, &der, at)))
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

/// Prints a list in one of the forms for programs; a row of CSV is made by `cells`.
pub(crate) fn items<T>(
    format: Format,
    list: &[T],
    document: impl Fn(&T) -> Value,
    heading: &str,
    cells: impl Fn(&T) -> Vec<(String, bool)>,
) -> End {
    let text = match format {
        Format::Csv => {
            let rows: String = list.iter().map(|one| csv_row(&cells(one))).collect();
            format!("{heading}\r\n{rows}")
        }
        Format::Ndjson => list.iter().map(|one| format!("{}\n", document(one))).collect(),
        Format::Json | Format::Table => {
            format!("{}\n", json!({ "items": list.iter().map(document).collect::<Vec<_>>() }))
        }
    };
    print::out(text.as_bytes());
    End::Done
}

/// An instant in a cell.
pub(crate) fn cell_at(at: Option<UnixTime>) -> (String, bool) {
    (at.map(|t| t.to_string()).unwrap_or_default(), false)
}

/// Words in a cell.
pub(crate) fn cell(text: impl ToString) -> (String, bool) {
    (text.to_string(), false)
}

/// Alerts in any form but a table: with the structs of the API.
pub(crate) fn alert_rows(format: Format, alerts: &[Alert]) -> End {
    let heading = "id,severity,state,owner,title,deadline,findings,opened,told,held_by,held_until";
    let document = |a: &Alert| json!(documents::alert(a.clone()));
    items(format, alerts, document, heading, |a| {
        let hold = a.hold.as_ref();
        vec![
            cell(a.id()),
            cell(a.severity.as_str()),
            cell(a.stands()),
            cell(&a.owner),
            cell(&a.title),
            cell_at(a.deadline),
            (a.members.len().to_string(), true),
            cell_at(Some(a.opened)),
            cell_at(a.told),
            cell(hold.map(|h| h.by.as_str()).unwrap_or_default()),
            cell_at(hold.map(|h| h.until)),
        ]
    })
}

/// Those of which every word of the query holds.
fn asked(mut alerts: Vec<Alert>, query: &Query) -> Result<Vec<Alert>, Usage> {
    for term in &query.terms {
        let holds: Box<dyn Fn(&Alert) -> bool> = match &term.test {
            Test::Owner(Some(owner)) => Box::new(|a| a.owner.eq_ignore_ascii_case(owner)),
            Test::Severity(worst) => Box::new(|a| a.severity <= *worst),
            Test::Text(text) => Box::new(|a| a.title.to_lowercase().contains(&text.to_lowercase())),
            _ => {
                return Err(Usage::new("alerts cannot be asked that")
                    .hint("owner:NAME, severity:critical and words of their titles; without --alerts the inventory is asked"));
            }
        };
        alerts.retain(|a| holds(a) != term.not);
    }
    Ok(alerts)
}

fn alerts(global: &Global, mut alerts: Vec<Alert>, now: UnixTime) -> End {
    alerts.retain(|a| a.state != State::Resolved);
    alerts.sort_by_key(|a| (a.severity, a.deadline.unwrap_or(UnixTime(i64::MAX))));
    if global.format() != Format::Table {
        return alert_rows(global.format(), &alerts);
    }
    let mut paper = Paper::new(print::colours(global.color), print::width());
    for alert in &alerts {
        let ink = if alert.severity == Severity::Critical { Ink::Red } else { Ink::Yellow };
        let when = alert.deadline.map(|d| days_text(d, now)).unwrap_or_default();
        let state = match &alert.hold {
            Some(hold) => format!("{} by {} until {}", alert.stands(), hold.by, hold.until),
            None => alert.state.as_str().to_owned(),
        };
        paper.put(ink, &format!("{:<5} {:<8}  ", alert.id(), alert.severity.as_str()));
        paper.put(Ink::Bold, &alert.title).line(Ink::Plain, &format!("  {when}"));
        let count = alert.members.len();
        let plural = if count == 1 { "finding" } else { "findings" };
        paper.line(Ink::Dim, &format!("      {}: {state}, {count} {plural}", alert.owner));
    }
    if alerts.is_empty() {
        paper.line(Ink::Plain, "no alert is open");
    }
    print::out(paper.into_text().as_bytes());
    End::Done
}

fn findings(global: &Global, store: &Store, now: UnixTime) -> Result<End, StoreError> {
    let mut filter = FindingFilter { limit: PAGE, ..FindingFilter::default() };
    let mut rows: Vec<FindingRow> = Vec::new();
    loop {
        let page = store.findings(&filter)?;
        let full = page.len() == PAGE;
        rows.extend(page);
        if !full {
            break;
        }
        filter.after = rows.last().map(|r| r.id.clone());
    }
    if global.format() != Format::Table {
        let heading = "id,severity,kind,title,owner,deadline,summary,hint,place,places,asset";
        let document = |row: &FindingRow| json!(documents::finding(row.clone(), now));
        return Ok(items(global.format(), &rows, document, heading, |row| {
            vec![
                cell(&row.id),
                cell(row.severity.as_str()),
                cell(row.kind.as_str()),
                cell(&row.title),
                cell(row.owner.as_deref().unwrap_or_default()),
                cell_at(row.deadline),
                cell(summary_at(&row.summary, row.deadline, now)),
                cell(&row.hint),
                cell(row.locations.first().map(ToString::to_string).unwrap_or_default()),
                (row.locations.len().to_string(), true),
                cell(row.asset.map(|a| a.to_string()).unwrap_or_default()),
            ]
        }));
    }
    let mut paper = Paper::new(print::colours(global.color), print::width());
    for row in &rows {
        let ink = match row.severity {
            Severity::Critical => Ink::Red,
            Severity::Warning => Ink::Yellow,
            Severity::Info => Ink::Dim,
        };
        paper.put(ink, &format!("{:<9}", row.severity.as_str())).line(Ink::Bold, row.kind.as_str());
        paper.paragraph(Ink::Plain, 9, &summary_at(&row.summary, row.deadline, now));
        if let Some(blast) = row.blast.as_ref().filter(|_| row.severity != Severity::Info) {
            paper.paragraph(Ink::Dim, 9, &format!("breaks: {}", blast.in_words()));
        }
        paper.paragraph(Ink::Dim, 9, &format!("hint: {}", row.hint));
    }
    print::out(paper.into_text().as_bytes());
    Ok(End::Done)
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn what_the_shell_took_off_is_put_back() {
        for (typed, expected) in [
            (vec!["owner:web team"], "owner:\"web team\""),
            (vec!["-issuer:Let's Encrypt", "key:rsa"], "-issuer:\"Let's Encrypt\" key:rsa"),
            (vec!["expires<30d owner:none"], "expires<30d owner:none"),
            (vec!["owner:web expires<30d"], "owner:web expires<30d"),
            (vec!["owner:web -name:a.test"], "owner:web -name:a.test"),
            (vec!["issuer:\"Let's Encrypt\" key:rsa"], "issuer:\"Let's Encrypt\" key:rsa"),
            (vec!["kind:crl", "web team"], "kind:crl web team"),
        ] {
            let typed: Vec<_> = typed.into_iter().map(str::to_owned).collect();
            assert_eq!(words(&typed), expected);
        }
    }
}

//! What an import says: what was guessed, the three counts, and row by row what differs, is gone, or is not in the sheet.

use std::path::Path;

use notafter_core::UnixTime;
use notafter_pki::name::printable;
use notafter_sheet::columns::{How, Meaning};
use notafter_sheet::compare::{Comparison, Found, Row};
use notafter_sheet::dates::{Order, Precision};
use notafter_sheet::entries::Entry;
use notafter_sheet::reading::Reading;
use serde_json::{Value, json};

use super::Done;
use super::plan::{Deed, Plan};
use crate::cli::{Format, Global};
use crate::print;
use crate::print::paper::{Ink, Paper};

/// So many rows of a kind are listed without `-v`.
const LISTED: usize = 40;

/// All that there is to say.
pub(super) struct View<'v> {
    pub(super) file: &'v Path,
    pub(super) reading: &'v Reading,
    pub(super) entries: &'v [Entry],
    pub(super) comparison: &'v Comparison,
    pub(super) found: &'v [Found],
    pub(super) plan: &'v Plan,
    /// `None`: a dry run.
    pub(super) done: Option<&'v Done>,
}

pub(super) fn print(global: &Global, view: &View<'_>) {
    if global.format() != Format::Table {
        print::out(format!("{}\n", view.document()).as_bytes());
        return;
    }
    let mut paper = Paper::new(print::colours(global.color), print::width());
    view.guesses(&mut paper);
    let (matched, gone, missing) = view.comparison.counts();
    let rows = if matched == 1 { "1 row matches" } else { &format!("{matched} rows match") };
    paper.end();
    paper.line(Ink::Bold, &format!("{rows}, {gone} gone, {missing} not in your sheet"));
    let most = if global.verbose > 0 { usize::MAX } else { LISTED };
    view.list(&mut paper, "Dates that differ", &view.differing(), most);
    view.list(&mut paper, "Gone: in your sheet, and found nowhere now", &view.gone(), most);
    view.list(&mut paper, "Not in your sheet", &view.missing(), most);
    view.refused(&mut paper);
    view.owners(&mut paper);
    view.outcome(&mut paper);
    print::out(paper.into_text().as_bytes());
}

fn word(order: Order) -> &'static str {
    match order {
        Order::DayFirst => "the day first",
        Order::MonthFirst => "the month first",
    }
}

fn day(at: Option<UnixTime>) -> String {
    at.map(UnixTime::date).unwrap_or_default()
}

impl View<'_> {
    fn sheet_of(&self, index: usize) -> Option<&str> {
        let mut left = index;
        for part in &self.reading.parts {
            if left < part.rows.entries.len() {
                return part.sheet.as_deref();
            }
            left -= part.rows.entries.len();
        }
        None
    }

    /// Where a row stands, for people.
    fn at(&self, index: usize) -> String {
        let line = self.entries[index].line;
        match self.sheet_of(index).filter(|_| self.reading.parts.len() > 1) {
            Some(sheet) => format!("{} line {line}", printable(sheet)),
            None => format!("line {line}"),
        }
    }

    fn guesses(&self, paper: &mut Paper) {
        for part in &self.reading.parts {
            let sheet =
                part.sheet.as_deref().map(|s| format!(", sheet `{}`", printable(s))).unwrap_or_default();
            let rows = part.rows.entries.len() + part.rows.refused.len();
            paper.line(Ink::Bold, &format!("{}{sheet}: {rows} rows", self.file.display()));
            for column in &part.guess.columns {
                let Some((meaning, how)) = column.meaning.filter(|(m, _)| *m != Meaning::Derived) else {
                    continue;
                };
                let guessed = if how == How::Contents { "  guessed by what stands in it" } else { "" };
                paper.line(Ink::Dim, &format!("  {:<12}{}{guessed}", meaning.as_str(), column.called()));
            }
            let unused =
                part.guess.columns.iter().filter(|c| {
                    !c.heading.is_empty() && c.meaning.is_none_or(|(m, _)| m == Meaning::Derived)
                });
            let unused: Vec<_> = unused.map(|c| c.called()).collect();
            if !unused.is_empty() {
                paper.paragraph(Ink::Dim, 2, &format!("not used: {}", unused.join(", ")));
            }
            if part.guess.of(Meaning::Expiry).next().is_none() {
                let text = "no column says when something ends: --column expiry=HEADING names one";
                paper.paragraph(Ink::Yellow, 2, text);
            }
            if let Some((order, why)) = &part.order {
                paper.paragraph(Ink::Dim, 2, &format!("dates like 03/04/27 have {}: {why}", word(*order)));
            }
            let skipped: Vec<_> = part.rows.skipped.iter().take(20).map(ToString::to_string).collect();
            if !skipped.is_empty() {
                paper.paragraph(Ink::Dim, 2, &format!("lines about nothing: {}", skipped.join(", ")));
            }
        }
        for note in &self.reading.notes {
            paper.paragraph(Ink::Dim, 2, note);
        }
    }

    fn list(&self, paper: &mut Paper, heading: &str, rows: &[[String; 3]], most: usize) {
        if rows.is_empty() {
            return;
        }
        paper.end();
        paper.line(Ink::Bold, heading);
        for [at, title, rest] in rows.iter().take(most) {
            let at = if at.is_empty() { String::new() } else { format!("{at:<10}") };
            paper.put(Ink::Dim, &format!("  {at}")).put(Ink::Plain, &printable(title));
            paper.line(Ink::Dim, &format!("  {}", printable(rest)));
        }
        if rows.len() > most {
            paper.line(Ink::Dim, &format!("  and {} more: -v lists all", rows.len() - most));
        }
    }

    fn differing(&self) -> Vec<[String; 3]> {
        let rows = self.comparison.rows.iter().enumerate().filter_map(|(i, row)| {
            let Row::Matches { found, differs: Some(end), .. } = row else { return None };
            let place = found.first().map(|f| self.found[*f].place.as_str()).unwrap_or_default();
            let said = self.said(i).unwrap_or_default();
            let text = format!("your sheet says {said}, it ends {}  {place}", day(Some(*end)));
            Some([self.at(i), self.entries[i].title(), text])
        });
        rows.collect()
    }

    /// The date of a row as finely as it was written.
    fn said(&self, index: usize) -> Option<String> {
        let date = self.entries[index].expiry?;
        let text = date.at.date();
        Some(if date.precision == Precision::Month { text[..7].to_owned() } else { text })
    }

    fn gone(&self) -> Vec<[String; 3]> {
        let rows = self.comparison.rows.iter().enumerate().filter_map(|(i, row)| {
            let Row::Gone(once) = row else { return None };
            let date = self.said(i).unwrap_or_else(|| "no date".to_owned());
            let once = once.map(|_| ", was seen before").unwrap_or_default();
            let deed = match &self.plan.deeds[i] {
                Deed::Keep(_) => "date kept by hand",
                Deed::Watch(_) => "host watched",
                Deed::Watched => "host watched already",
                Deed::Over => "over, not kept",
                Deed::Undated => "nothing to keep: --watch looks for its host",
                Deed::Found => "",
            };
            Some([self.at(i), self.entries[i].title(), format!("{date}{once}: {deed}")])
        });
        rows.collect()
    }

    fn missing(&self) -> Vec<[String; 3]> {
        let mut rows: Vec<&Found> = self.comparison.missing.iter().map(|i| &self.found[*i]).collect();
        rows.sort_by_key(|f| f.not_after);
        rows.iter()
            .map(|f| [String::new(), f.title.clone(), format!("ends {}  {}", day(f.not_after), f.place)])
            .collect()
    }

    fn refused(&self, paper: &mut Paper) {
        for part in self.reading.parts.iter().filter(|p| !p.rows.refused.is_empty()) {
            paper.end();
            paper.line(Ink::Red, "Refused: these rows were not taken");
            for refused in &part.rows.refused {
                let text = format!("line {}, {}: {}", refused.line, refused.column, refused.message);
                paper.paragraph(Ink::Plain, 2, &text);
            }
        }
    }

    fn owners(&self, paper: &mut Paper) {
        for (words, lines) in &self.plan.strangers {
            let some: Vec<_> = lines.iter().take(8).map(ToString::to_string).collect();
            let more = if lines.len() > 8 { ", ..." } else { "" };
            let text =
                format!("`{}` is no owner that is known (lines {}{more})", printable(words), some.join(", "));
            paper.paragraph(Ink::Yellow, 0, &text);
        }
        if let Some(words) = self.plan.strangers.keys().next() {
            let text =
                format!("hint: say who is meant, --owner \"{}=NAME\", or add an [[owner]]", printable(words));
            paper.paragraph(Ink::Dim, 0, &text);
        }
        for (first, second) in self.plan.disputed.iter().take(LISTED) {
            let text =
                format!("lines {first} and {second} give one thing to two owners: it was given to neither");
            paper.paragraph(Ink::Yellow, 0, &text);
        }
    }

    fn outcome(&self, paper: &mut Paper) {
        let text = match self.done {
            None => format!(
                "dry run, nothing was changed: it would give {} certificates to owners, keep {} dates by hand, watch {} hosts",
                self.plan.owners.len(),
                self.plan.count(|d| matches!(d, Deed::Keep(_))),
                self.plan.targets().len()
            ),
            Some(Done { owned: 0, kept: 0, ended: 0, watched: 0 }) => "nothing to change".to_owned(),
            Some(done) => format!(
                "{} lines of certificates given to owners, {} dates by hand kept, {} ended, {} hosts watched from now on",
                done.owned, done.kept, done.ended, done.watched
            ),
        };
        paper.end();
        paper.paragraph(Ink::Bold, 0, &text);
    }

    fn document(&self) -> Value {
        let (matched, gone, missing) = self.comparison.counts();
        let rows: Vec<Value> = (0..self.entries.len()).map(|i| self.row(i)).collect();
        let missing_rows: Vec<Value> = self
            .comparison
            .missing
            .iter()
            .map(|i| {
                let f = &self.found[*i];
                json!({
                    "id": format!("sha256:{}", f.id), "title": f.title, "owner": f.owner, "place": f.place,
                    "not_after": f.not_after.map(|t| t.to_string()),
                })
            })
            .collect();
        let sheets: Vec<Value> = self.reading.parts.iter().map(|p| {
            let columns: Vec<Value> = p.guess.columns.iter().map(|c| {
                let how = c.meaning.map(|(_, how)| match how {
                    How::Heading => "heading",
                    How::Contents => "contents",
                    How::Asked => "asked",
                });
                json!({ "heading": c.heading, "meaning": c.meaning.map(|(m, _)| m.as_str()), "by": how })
            }).collect();
            let refused: Vec<Value> = p.rows.refused.iter().map(|r| {
                json!({ "line": r.line, "column": r.column.trim_matches('`'), "message": r.message })
            }).collect();
            json!({
                "sheet": p.sheet, "columns": columns, "refused": refused, "skipped": p.rows.skipped,
                "dates": p.order.as_ref().map(|(order, why)| {
                    json!({ "order": if *order == Order::DayFirst { "dmy" } else { "mdy" }, "because": why })
                }),
            })
        }).collect();
        json!({
            "file": self.file.display().to_string(), "dry_run": self.done.is_none(),
            "counts": {
                "rows": self.entries.len(), "match": matched, "gone": gone, "not_in_sheet": missing,
                "differ": self.differing().len(),
            },
            "sheets": sheets, "rows": rows, "not_in_sheet": missing_rows,
            "unknown_owners": self.plan.strangers, "notes": self.reading.notes,
            "done": self.done.map(|d| {
                json!({ "owned": d.owned, "kept": d.kept, "ended": d.ended, "watched": d.watched })
            }),
        })
    }

    fn row(&self, index: usize) -> Value {
        let entry = &self.entries[index];
        let deed = match &self.plan.deeds[index] {
            Deed::Found => "found",
            Deed::Keep(_) => "kept",
            Deed::Watch(_) => "watch",
            Deed::Watched => "watched",
            Deed::Over => "over",
            Deed::Undated => "undated",
        };
        let (state, by, ids, differs) = match &self.comparison.rows[index] {
            Row::Matches { found, by, differs } => {
                let ids: Vec<_> = found.iter().map(|i| format!("sha256:{}", self.found[*i].id)).collect();
                ("match", Some(by.as_str()), ids, *differs)
            }
            Row::Gone(_) => ("gone", None, Vec::new(), None),
        };
        json!({
            "sheet": self.sheet_of(index), "line": entry.line, "title": entry.title(), "state": state, "by": by,
            "found": ids, "date": self.said(index), "differs": differs.map(|t| t.to_string()), "action": deed,
        })
    }
}

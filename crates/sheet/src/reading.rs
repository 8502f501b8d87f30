//! A file read whole: which sheets are taken, what was guessed in each, and which way round its dates are.
//!
//! Every visible sheet with a column that says what a row is about is taken. Whether anything of it exists is not known
//! here; where the dates of a sheet can be read either way, the reading that agrees with what was found is taken.

use crate::columns::{Guess, How, Meaning, guess};
use crate::compare::{Found, compare};
use crate::dates::Order;
use crate::entries::{Entries, read};
use crate::table::{Book, Table};
use crate::{Wrong, shown};

/// What a person said of a file.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The name of the only sheet to take.
    pub sheet: Option<String>,
    /// Pairs of a meaning and a heading.
    pub columns: Vec<(String, String)>,
    /// Which comes first in 03/04/27.
    pub order: Option<Order>,
}

/// A sheet that was taken.
#[derive(Clone, Debug)]
pub struct Part {
    /// Which of the book's tables.
    pub table: usize,
    /// Its name; a text file has none.
    pub sheet: Option<String>,
    /// What its columns mean.
    pub guess: Guess,
    /// Its rows.
    pub rows: Entries,
    /// Which comes first in dates with slashes, and why that is known.
    pub order: Option<(Order, String)>,
}

/// What was read of a file.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The sheets that were taken; never none.
    pub parts: Vec<Part>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Reads a file's sheets. `found` decides what the dates themselves leave open.
///
/// # Errors
/// No sheet can be taken; dates that can be read either way, and nothing that was found says which.
pub fn take(book: &Book, asked: &Asked, found: &[Found]) -> Result<Reading, Wrong> {
    let mut notes = book.notes.clone();
    let mut parts = Vec::new();
    let mut refused = None;
    let wanted: Vec<(usize, &Table)> =
        book.tables.iter().enumerate().filter(|(_, t)| is_wanted(t, asked)).collect();
    if wanted.is_empty() {
        let names: Vec<_> = book.tables.iter().filter_map(|t| t.name.as_deref()).map(shown).collect();
        return Err(match &asked.sheet {
            Some(name) if names.is_empty() => Wrong::new(
                format!("there is no sheet {}: the file is text", shown(name)),
                "leave --sheet out",
            ),
            Some(name) => Wrong::new(
                format!("there is no sheet {}", shown(name)),
                format!("there are {}", names.join(", ")),
            ),
            None => Wrong::new("the workbook has no sheet with rows", "name another file"),
        });
    }
    let alone = wanted.len() == 1;
    for (index, table) in wanted {
        let one =
            guess(table, &asked.columns).and_then(|guess| part(index, table, guess, asked, found, alone));
        let called = table.name.as_deref().map(|n| format!("sheet {}: ", shown(n))).unwrap_or_default();
        match one {
            Ok(Some(part)) => parts.push(part),
            Ok(None) => {
                notes.push(format!("{called}not read: no heading says that it is about certificates"))
            }
            // A sheet that nobody asked for may be about anything; but dates that contradict are a sheet of ours.
            Err(wrong) => {
                notes.push(format!("{called}not read: {}", wrong.message));
                refused.get_or_insert(Wrong::new(format!("{called}{}", wrong.message), wrong.hint));
            }
        }
    }
    match (parts.is_empty(), refused) {
        (false, _) => Ok(Reading { parts, notes }),
        (true, Some(wrong)) => Err(wrong),
        (true, None) => Err(Wrong::new(
            "no sheet has a heading that says what its rows are about",
            "name one: --sheet NAME --column host=HEADING; a letter like C is good, too",
        )),
    }
}

fn is_wanted(table: &Table, asked: &Asked) -> bool {
    match &asked.sheet {
        Some(name) => table.name.as_deref().is_some_and(|n| n.trim().eq_ignore_ascii_case(name.trim())),
        None => !table.hidden && !table.lines.is_empty(),
    }
}

/// One sheet; `None`: it is about something else.
fn part(
    index: usize,
    table: &Table,
    guess: Guess,
    asked: &Asked,
    found: &[Found],
    alone: bool,
) -> Result<Option<Part>, Wrong> {
    // Among several sheets, one is taken whose headings say two things of a certificate at least.
    let said = guess.columns.iter().filter(|c| {
        c.meaning
            .is_some_and(|(m, how)| how != How::Contents && !matches!(m, Meaning::Derived | Meaning::Note))
    });
    if !alone && (said.count() < 2 || !guess.is_about_something()) {
        return Ok(None);
    }
    let rows = read(table, &guess, asked.order)?;
    let mut part = Part { table: index, sheet: table.name.clone(), guess, rows, order: None };
    if let Some((order, line)) = part.rows.decided {
        part.order = Some((order, format!("line {line} can only be read so")));
    }
    let Some(line) = part.rows.unsure else { return Ok(Some(part)) };
    let by = |order| -> Result<(usize, Entries), Wrong> {
        let rows = read(table, &part.guess, Some(order))?;
        Ok((compare(&rows.entries, found).agreeing(), rows))
    };
    let (day, by_day) = by(Order::DayFirst)?;
    let (month, by_month) = by(Order::MonthFirst)?;
    let (order, rows, agreeing, of) = match day.cmp(&month) {
        std::cmp::Ordering::Greater => (Order::DayFirst, by_day, day, month),
        std::cmp::Ordering::Less => (Order::MonthFirst, by_month, month, day),
        std::cmp::Ordering::Equal => {
            let sheet = table.name.as_deref().map(|n| format!("sheet {}, ", shown(n))).unwrap_or_default();
            return Err(Wrong::new(
                format!(
                    "{sheet}line {line}: the day or the month may come first, and no other line tells which"
                ),
                "say it: --dates dmy or --dates mdy",
            ));
        }
    };
    part.rows = rows;
    part.order = Some((order, format!("{agreeing} of its rows then agree with what was found, else {of}")));
    Ok(Some(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::open;
    use notafter_core::UnixTime;

    fn told(text: &str, asked: &Asked, found: &[Found]) -> String {
        match take(&open(text.as_bytes()).unwrap(), asked, found) {
            Ok(reading) => {
                let part = &reading.parts[0];
                let dates: Vec<_> = part
                    .rows
                    .entries
                    .iter()
                    .map(|e| e.expiry.map(|d| d.at.date()).unwrap_or_default())
                    .collect();
                format!("{} {:?}", dates.join(" "), part.order.as_ref().map(|(o, _)| *o))
            }
            Err(wrong) => wrong.message,
        }
    }

    #[test]
    fn what_was_found_decides_the_order() {
        let text = "Host,Expires\na.test,03/04/27\nb.test,05/06/27\n";
        // 3 April 2027
        let a = Found {
            names: vec!["a.test".to_owned()],
            in_use: true,
            not_after: Some(UnixTime(1_806_710_400)),
            ..Found::default()
        };
        let dmy = Asked { order: Some(Order::DayFirst), ..Asked::default() };
        for (asked, found, expected) in [
            (&Asked::default(), &[a][..], "2027-04-03 2027-06-05 Some(DayFirst)"),
            (
                &Asked::default(),
                &[],
                "line 2: the day or the month may come first, and no other line tells which",
            ),
            (&dmy, &[], "2027-04-03 2027-06-05 None"),
        ] {
            assert_eq!(told(text, asked, found), expected);
        }
    }
}

//! The sheet as it should read today: its own sheets, columns, order and ways of writing, with what was found put right.
//!
//! Only cells that are known to be wrong or empty are touched, and rows are added at the end. A row about something that is
//! gone stays: to strike it out is for whoever keeps the sheet. Nothing is read or compared here.

use notafter_core::UnixTime;
use notafter_core::cell::is_formula;
use notafter_pki::time::DAY;

use crate::columns::{Guess, Meaning};
use crate::compare::{Comparison, Found, Row};
use crate::dates::{self, Order};
use crate::reading::{Part, Reading};
use crate::table::{Book, Cell, Form, Line, Table};

/// A book brought up to date, and what was done to it.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Like {
    pub book: Book,
    /// Rows that had another date, or none.
    pub mended: usize,
    /// Rows that were right.
    pub right: usize,
    /// Rows about what is gone, and rows that could not be read: as they stood.
    pub left: usize,
    /// Rows that are new.
    pub added: usize,
}

/// Brings a book up to date. The rows of `comparison` are those of all parts, in order.
pub fn like(book: &Book, reading: &Reading, comparison: &Comparison, found: &[Found]) -> Like {
    let mut out = Like { book: book.clone(), mended: 0, right: 0, left: 0, added: 0 };
    let mut rows = comparison.rows.iter();
    for (nth, part) in reading.parts.iter().enumerate() {
        let Some(table) = out.book.tables.get_mut(part.table) else { continue };
        let writer = Writer::of(table, part, &book.form);
        out.left += part.rows.refused.len();
        for (entry, row) in part.rows.entries.iter().zip(rows.by_ref()) {
            let Row::Matches { found: which, differs, .. } = row else {
                out.left += 1;
                continue;
            };
            // What ends first is what somebody has to act on.
            let first = which.iter().filter_map(|i| found.get(*i)).min_by_key(|f| f.not_after);
            let line = table.lines.iter_mut().find(|l| l.number == entry.line);
            let wrong = differs.is_some() || (entry.expiry.is_none() && writer.knows_ends());
            match (first, line) {
                (Some(first), Some(line)) if wrong => {
                    writer.mend(line, first);
                    out.mended += 1;
                }
                _ => out.right += 1,
            }
        }
        // What no row knows goes to the end of the first sheet.
        if nth == 0 {
            let mut number = table.lines.last().map_or(0, |l| l.number);
            for one in comparison.missing.iter().filter_map(|i| found.get(*i)) {
                number += 1;
                let line = writer.line(number, one);
                table.lines.push(line);
                out.added += 1;
            }
        }
    }
    out
}

/// How a column of dates is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Dates {
    /// As the file's own dates; with the time of day?
    Date(bool),
    /// As a number of that kind.
    Number(Count),
    /// As text.
    Text(&'static str),
}

/// What a plain number in a column of dates counts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Count {
    /// A spreadsheet's days.
    Days,
    /// `20261231`.
    Digits,
    Seconds,
    Milliseconds,
}

/// How digits are written.
#[derive(Clone, Copy, Debug, Default)]
struct Digits {
    colons: bool,
    capitals: bool,
    /// Of a fingerprint: SHA-1 rather than SHA-256.
    short: bool,
}

/// Ways of writing a date as text. Where two fit one column, the first that fits most of it.
const PATTERNS: &[&str] = &[
    "%Y-%m-%d",
    "%d.%m.%Y",
    "%D.%N.%Y",
    "%d.%m.%y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%D/%N/%Y",
    "%N/%D/%Y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%D/%N/%y",
    "%N/%D/%y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y%m%d",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d %b %Y",
    "%D %b %Y",
    "%b %d, %Y",
    "%b %D, %Y",
    "%b %D %Y",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%b %e %H:%M:%S %Y GMT",
    "%Y-%m",
    "%m/%Y",
    "%b %Y",
];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Writes a date. `%D` and `%N` are day and month without a zero in front, `%e` the day with a blank in front.
fn written(pattern: &str, at: UnixTime) -> String {
    let c = at.civil();
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(letter) = chars.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        out.push_str(&match chars.next() {
            Some('Y') => format!("{:04}", c.year),
            Some('y') => format!("{:02}", c.year.rem_euclid(100)),
            Some('m') => format!("{:02}", c.month),
            Some('N') => c.month.to_string(),
            Some('d') => format!("{:02}", c.day),
            Some('D') => c.day.to_string(),
            Some('e') => format!("{:2}", c.day),
            Some('b') => MONTHS.get(usize::from(c.month).wrapping_sub(1)).copied().unwrap_or("").to_owned(),
            Some('H') => format!("{:02}", c.hour),
            Some('M') => format!("{:02}", c.minute),
            Some('S') => format!("{:02}", c.second),
            _ => String::new(),
        });
    }
    out
}

/// The rows of a table as cells of one column.
fn cells<'t>(table: &'t Table, guess: &Guess, at: usize) -> impl Iterator<Item = &'t Cell> {
    table
        .lines
        .get(guess.first..)
        .unwrap_or_default()
        .iter()
        .map(move |l| l.cell(at))
        .filter(|c| !c.is_empty())
}

/// How a column of dates is written, by most of its cells.
fn dates_of(table: &Table, guess: &Guess, at: usize, order: Option<Order>, form: &Form) -> Dates {
    let mut votes: Vec<(Dates, usize)> = Vec::new();
    for cell in cells(table, guess, at) {
        let way = match cell {
            Cell::Date(at) => Some(Dates::Date(at.0.rem_euclid(DAY) != 0)),
            Cell::Number(n) => Some(Dates::Number(count_of(*n))),
            Cell::Text(_) => {
                let text = cell.text();
                let read = dates::read(&text).by(order);
                let fits = |pattern: &&&str| read.is_some_and(|d| written(pattern, d.at) == text);
                PATTERNS.iter().find(fits).map(|pattern| Dates::Text(pattern))
            }
            Cell::Empty => None,
        };
        let Some(way) = way else { continue };
        match votes.iter_mut().find(|(known, _)| *known == way) {
            Some((_, n)) => *n += 1,
            None => votes.push((way, 1)),
        }
    }
    // Of equals the first that was met.
    let best = votes.iter().rev().max_by_key(|(_, n)| *n).map(|(way, _)| *way);
    best.unwrap_or(if *form == Form::Xlsx { Dates::Date(false) } else { Dates::Text("%Y-%m-%d") })
}

fn count_of(n: f64) -> Count {
    match n {
        n if n < 100_000.0 => Count::Days,
        n if (19_000_101.0..=99_991_231.0).contains(&n) => Count::Digits,
        n if n > 1e11 => Count::Milliseconds,
        _ => Count::Seconds,
    }
}

impl Dates {
    fn cell(self, at: UnixTime) -> Cell {
        let midnight = UnixTime(at.0 - at.0.rem_euclid(DAY));
        match self {
            Self::Date(true) => Cell::Date(at),
            Self::Date(false) => Cell::Date(midnight),
            Self::Number(Count::Days) => Cell::Number(dates::EPOCH_1900 + midnight.0 as f64 / DAY as f64),
            Self::Number(Count::Digits) => {
                let c = at.civil();
                Cell::Number((c.year * 10_000 + i64::from(c.month) * 100 + i64::from(c.day)) as f64)
            }
            Self::Number(Count::Seconds) => Cell::Number(at.0 as f64),
            Self::Number(Count::Milliseconds) => Cell::Number(at.0 as f64 * 1e3),
            Self::Text(pattern) => Cell::Text(written(pattern, at)),
        }
    }
}

/// How the digits of a column are written, by its first cell.
fn digits_of(table: &Table, guess: &Guess, at: usize) -> Digits {
    let Some(text) = cells(table, guess, at).map(Cell::text).find(|t| t.len() >= 8) else {
        return Digits::default();
    };
    let bare = text.chars().filter(char::is_ascii_hexdigit).count();
    Digits {
        colons: text.contains(':'),
        capitals: text.contains(|c| ('A'..='F').contains(&c)),
        short: bare == 40,
    }
}

impl Digits {
    fn text(self, hex: &str) -> String {
        let even = if hex.len().is_multiple_of(2) { hex.to_owned() } else { format!("0{hex}") };
        let cased = if self.capitals { even.to_uppercase() } else { even };
        if !self.colons {
            return cased;
        }
        let pairs: Vec<&str> =
            cased.as_bytes().chunks(2).filter_map(|p| std::str::from_utf8(p).ok()).collect();
        pairs.join(":")
    }
}

/// Writes what was found into the columns of one sheet, as this sheet writes it.
struct Writer<'p> {
    guess: &'p Guess,
    /// By column.
    dates: Vec<(usize, Dates)>,
    digits: Vec<(usize, Digits)>,
    has_port: bool,
    /// Is a text that begins like a formula one, where the file is opened?
    computes: bool,
}

impl<'p> Writer<'p> {
    fn of(table: &Table, part: &'p Part, form: &Form) -> Self {
        let (guess, order) = (&part.guess, part.order.as_ref().map(|(order, _)| *order));
        let dated = [Meaning::Expiry, Meaning::Start].into_iter().flat_map(|m| guess.of(m));
        let numbered = [Meaning::Serial, Meaning::Fingerprint].into_iter().flat_map(|m| guess.of(m));
        Self {
            guess,
            dates: dated.map(|c| (c.at, dates_of(table, guess, c.at, order, form))).collect(),
            digits: numbered.map(|c| (c.at, digits_of(table, guess, c.at))).collect(),
            has_port: guess.of(Meaning::Port).next().is_some(),
            computes: *form != Form::Xlsx,
        }
    }

    fn knows_ends(&self) -> bool {
        self.guess.of(Meaning::Expiry).next().is_some()
    }

    /// Puts right what is known of a row. What follows from the date (days left, a state) was true on the day it was typed.
    fn mend(&self, line: &mut Line, one: &Found) {
        for column in &self.guess.columns {
            let Some((meaning, _)) = column.meaning else { continue };
            let now = match meaning {
                Meaning::Expiry
                | Meaning::Start
                | Meaning::Issuer
                | Meaning::Serial
                | Meaning::Fingerprint => self.cell(column.at, meaning, one),
                Meaning::Owner if line.cell(column.at).is_empty() => self.cell(column.at, meaning, one),
                Meaning::Derived => Cell::Empty,
                _ => continue,
            };
            if line.cells.len() <= column.at {
                line.cells.resize(column.at + 1, Cell::Empty);
            }
            if let Some(cell) = line.cells.get_mut(column.at)
                && (meaning == Meaning::Derived || !now.is_empty())
            {
                *cell = now;
            }
        }
    }

    /// A row of its own.
    fn line(&self, number: u32, one: &Found) -> Line {
        let cell = |column: &crate::columns::Column| match column.meaning {
            Some((meaning, _))
                if self.guess.of(meaning).next().is_some_and(|first| first.at == column.at) =>
            {
                self.cell(column.at, meaning, one)
            }
            _ => Cell::Empty,
        };
        Line { number, cells: self.guess.columns.iter().map(cell).collect() }
    }

    fn cell(&self, at: usize, meaning: Meaning, one: &Found) -> Cell {
        let dates = || self.dates.iter().find(|(column, _)| *column == at).map(|(_, way)| *way);
        let digits =
            || self.digits.iter().find(|(column, _)| *column == at).map_or_else(Digits::default, |d| d.1);
        let date = |end: Option<UnixTime>| end.zip(dates()).map_or(Cell::Empty, |(end, way)| way.cell(end));
        let endpoint = one.endpoints.first();
        match meaning {
            Meaning::Expiry => date(one.not_after),
            Meaning::Start => date(one.not_before),
            Meaning::Issuer => self.text(&one.issuer),
            Meaning::Serial if one.serial.is_empty() => Cell::Empty,
            Meaning::Serial => Cell::Text(digits().text(&one.serial)),
            Meaning::Fingerprint => match (digits().short, &one.sha1) {
                (true, Some(sha1)) => Cell::Text(digits().text(&notafter_pki::fingerprint::hex(sha1))),
                (true, None) => Cell::Empty,
                (false, _) => Cell::Text(digits().text(&one.id)),
            },
            Meaning::Owner => one.owner.as_deref().map_or(Cell::Empty, |owner| self.text(owner)),
            Meaning::Name => self.text(&one.title),
            Meaning::Port => endpoint.map_or(Cell::Empty, |(_, port, _)| Cell::Text(port.to_string())),
            Meaning::Host => match endpoint {
                Some((ip, port, sni)) => {
                    let name = sni.clone().unwrap_or_else(|| ip.to_string());
                    let bare = self.has_port || *port == 443;
                    let shown = if name.contains(':') { format!("[{name}]") } else { name.clone() };
                    self.text(&if bare { name } else { format!("{shown}:{port}") })
                }
                None => self.text(one.names.first().unwrap_or(&one.title)),
            },
            _ => Cell::Empty,
        }
    }

    /// Names in certificates are written by strangers: none of them becomes a formula.
    fn text(&self, text: &str) -> Cell {
        match text {
            "" => Cell::Empty,
            text if self.computes && is_formula(text) => Cell::Text(format!("'{text}")),
            text => Cell::Text(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::compare;
    use crate::reading::{Asked, take};
    use crate::table::open;
    use crate::write::write;

    fn found(name: &str, end: &str) -> Found {
        let at = dates::read(end).by(None).unwrap().at;
        Found {
            id: "ab".repeat(32),
            sha1: Some([0xcd; 20]),
            title: name.into(),
            names: vec![name.into()],
            serial: "a1b2c3d4e5f60718".into(),
            issuer: "=Example CA".into(),
            not_after: Some(UnixTime(at.0 + 3600)),
            not_before: Some(UnixTime(at.0 - 90 * DAY)),
            owner: Some("web".into()),
            in_use: true,
            ..Found::default()
        }
    }

    fn check(before: &str, all: &[Found], after: &str) {
        let book = open(before.as_bytes()).unwrap();
        let reading = take(&book, &Asked::default(), all).unwrap();
        let entries: Vec<_> = reading.parts.iter().flat_map(|p| p.rows.entries.iter().cloned()).collect();
        let like = like(&book, &reading, &compare(&entries, all), all);
        assert_eq!(String::from_utf8(write(&like.book).unwrap().0).unwrap(), after);
        // What it says now is what was found.
        let again = open(after.as_bytes()).unwrap();
        let reading = take(&again, &Asked::default(), all).unwrap();
        let entries: Vec<_> = reading.parts.iter().flat_map(|p| p.rows.entries.iter().cloned()).collect();
        let comparison = compare(&entries, all);
        assert!(comparison.missing.is_empty());
        let differs = |row: &Row| matches!(row, Row::Matches { differs: Some(_), .. });
        assert!(!comparison.rows.iter().any(differs), "{:?}", comparison.rows);
    }

    #[test]
    fn in_its_own_words() {
        let all =
            [found("a.test", "2027-02-01"), found("b.test", "2027-03-04"), found("new.test", "2027-05-06")];
        check(
            "Bestand;;;;;\r\n;;;;;\r\nServer;Gültig bis;Zuständig;Resttage;Aussteller;Bemerkung\r\n\
             a.test;01.02.2026;Web;12;Old CA;\"am Tor;\nzwei\"\r\nb.test;04.03.2027;;40;New CA;+49 30\r\n\
             gone.test;09.09.2026;Web;1;;\r\n",
            &all,
            "Bestand;;;;;\r\n;;;;;\r\nServer;Gültig bis;Zuständig;Resttage;Aussteller;Bemerkung\r\n\
             a.test;01.02.2027;Web;;'=Example CA;\"am Tor;\nzwei\"\r\nb.test;04.03.2027;;40;New CA;+49 30\r\n\
             gone.test;09.09.2026;Web;1;;\r\nnew.test;06.05.2027;web;;'=Example CA;\r\n",
        );
        check(
            "sep=,\nhost,expires,serial,fingerprint\na.test,1/14/26,0A:BC:DE:F0:12:34,\n",
            &all[..1],
            "sep=,\nhost,expires,serial,fingerprint\na.test,2/1/27,A1:B2:C3:D4:E5:F6:07:18,abababababababababababababababababababababababababababababababab\n",
        );
    }

    #[test]
    fn every_way_is_read_as_it_is_written() {
        let at = UnixTime(1_803_868_200);
        for pattern in PATTERNS {
            let text = written(pattern, at);
            let read =
                [None, Some(Order::DayFirst), Some(Order::MonthFirst)].map(|o| dates::read(&text).by(o));
            assert!(read.into_iter().flatten().any(|d| d.covers(at)), "{pattern}: {text}");
        }
    }
}

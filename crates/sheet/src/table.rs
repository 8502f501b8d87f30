//! A sheet as lines of cells, whatever file it came in. Bounded in bytes, lines and cells.
//!
//! What a cell means is not asked here: a number stays a number, and only what the file itself calls a date is one.

use notafter_core::UnixTime;

use crate::{Wrong, delimited, xlsx};

/// Larger files are no spreadsheet of certificates.
pub const FILE_MAX: usize = 256 << 20;
/// Lines of one sheet: a little more than XLSX can have.
pub const LINES_MAX: usize = 1_048_576;
/// Cells of a file in all.
pub const CELLS_MAX: usize = 16_000_000;
/// Columns: what stands further right is not read.
pub const COLUMNS_MAX: usize = 512;
/// A cell may have so many bytes; XLSX allows 32,767 characters.
pub const CELL_MAX: usize = 128 << 10;

/// One cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Cell {
    /// Nothing.
    #[default]
    Empty,
    /// Text as it stands there.
    Text(String),
    /// A number, in XLSX alone.
    Number(f64),
    /// What the file itself calls a date, UTC because it says no zone.
    Date(UnixTime),
}

impl Cell {
    /// As text, trimmed; empty where there is nothing. A whole number has no decimals.
    pub fn text(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) => text.trim_matches(is_blank).to_owned(),
            Self::Number(n) if n.fract() == 0.0 && n.abs() < 1e15 => format!("{}", *n as i64),
            Self::Number(n) => n.to_string(),
            Self::Date(at) if at.0.rem_euclid(86_400) == 0 => at.date(),
            Self::Date(at) => at.to_string(),
        }
    }

    /// Is there nothing in it?
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(text) => text.chars().all(is_blank),
            _ => false,
        }
    }
}

/// Blanks, also those that programs put in front of a word to be safe.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}' | '\u{200e}' | '\u{200f}')
}

/// A line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Its number in the file or sheet, from 1.
    pub number: u32,
    /// Its cells from the first column on.
    pub cells: Vec<Cell>,
}

impl Line {
    /// A cell; empty where the line is shorter.
    pub fn cell(&self, column: usize) -> &Cell {
        self.cells.get(column).unwrap_or(&Cell::Empty)
    }

    /// Is there nothing in it?
    pub fn is_empty(&self) -> bool {
        self.cells.iter().all(Cell::is_empty)
    }
}

/// A sheet.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Its name; a text file has none.
    pub name: Option<String>,
    /// Its lines in order, without those that have no cell.
    pub lines: Vec<Line>,
    /// Is it hidden?
    pub hidden: bool,
    /// How a date of this sheet is shown: the number format of the first one.
    pub date_format: Option<String>,
}

/// How the file was written, so that it can be written alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A text file.
    Delimited {
        /// Between two cells.
        separator: char,
        /// Its encoding.
        encoding: Encoding,
        /// Did it begin with a byte order mark?
        mark: bool,
        /// Do its lines end in CR LF?
        crlf: bool,
    },
    /// An Excel workbook.
    Xlsx,
}

/// How letters become bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
    Windows1252,
}

impl Encoding {
    /// Its name, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16Le | Self::Utf16Be => "UTF-16",
            Self::Windows1252 => "Windows-1252",
        }
    }
}

/// All sheets of a file.
#[derive(Clone, Debug)]
pub struct Book {
    /// How it was written.
    pub form: Form,
    /// Its sheets, in order.
    pub tables: Vec<Table>,
    /// What a reader should know: hidden rows, what was not read.
    pub notes: Vec<String>,
}

/// Opens a file by its bytes: XLSX by its archive, everything else as text.
///
/// # Errors
/// It is too large, damaged, or of a kind that is not read.
pub fn open(bytes: &[u8]) -> Result<Book, Wrong> {
    if bytes.len() > FILE_MAX {
        return Err(Wrong::new(
            format!("the file has {} bytes; {FILE_MAX} are read at most", bytes.len()),
            "save only the sheet with the certificates, as CSV",
        ));
    }
    let other = |what: &str| Err(Wrong::new(format!("this is {what}"), "save it as .xlsx or as CSV"));
    match bytes {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => xlsx::open(bytes),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => other("an old .xls workbook, or one with a password"),
        [b'%', b'P', b'D', b'F', ..] => other("a PDF"),
        [0x1f, 0x8b, ..] => Err(Wrong::new("this is compressed by gzip", "unpack it first")),
        _ => delimited::open(bytes),
    }
}

/// The letters of a column, as spreadsheets have them: 0 is A, 26 is AA.
pub fn letters(column: usize) -> String {
    let mut out = String::new();
    let mut rest = column + 1;
    while rest > 0 {
        rest -= 1;
        out.insert(0, char::from(b'A' + (rest % 26) as u8));
        rest /= 26;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_by_letters() {
        for (column, expected) in [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (52, "BA"), (702, "AAA")] {
            assert_eq!(letters(column), expected);
        }
    }

    #[test]
    fn cells_as_text() {
        for (cell, expected) in [
            (Cell::Empty, ""),
            (Cell::Text("\u{feff} a.test\u{a0} ".to_owned()), "a.test"),
            (Cell::Number(443.0), "443"),
            (Cell::Number(0.5), "0.5"),
            (Cell::Date(UnixTime(1_795_219_200)), "2026-11-21"),
            (Cell::Date(UnixTime(1_795_219_260)), "2026-11-21T00:01:00Z"),
        ] {
            assert_eq!(cell.text(), expected);
        }
    }

    #[test]
    fn what_is_no_sheet_is_said() {
        for bytes in [&b"\xd0\xcf\x11\xe0...."[..], b"%PDF-1.7", b"\x1f\x8b\x08", b"PK\x03\x04garbage", b""] {
            assert!(open(bytes).is_err(), "{bytes:?}");
        }
    }
}

//! A book as a file of the kind it was read from: same separator, encoding and line ends, or a workbook.
//!
//! Of a workbook the sheets, their names, order and cells are written; colours, widths and formulas are not known here (a
//! formula stands as what it came to).

use encoding_rs::WINDOWS_1252;
use notafter_core::UnixTime;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

use crate::Wrong;
use crate::table::{Book, Cell, Encoding, Form, Line, Table};

/// The bytes, and what a reader should know.
///
/// # Errors
/// A list has no columns; the workbook cannot be made.
pub fn write(book: &Book) -> Result<(Vec<u8>, Option<String>), Wrong> {
    match &book.form {
        Form::Delimited { separator: ' ', .. } => Err(Wrong::new(
            "the file is a list of words and has no columns that could be brought up to date",
            "take a CSV file or a workbook with a header",
        )),
        Form::Delimited { separator, encoding, mark, crlf } => {
            let text = text(book, *separator, if *crlf { "\r\n" } else { "\n" });
            Ok(encoded(&text, *encoding, *mark))
        }
        Form::Xlsx => {
            let made = workbook(book).map_err(|e| {
                Wrong::new(format!("the workbook cannot be made: {e}"), "take CSV: save the sheet as one")
            })?;
            Ok((made, None))
        }
    }
}

fn text(book: &Book, separator: char, end: &str) -> String {
    let mut out = String::new();
    for table in &book.tables {
        // Excel's own first line was taken off when it was read.
        if table.lines.first().is_some_and(|l| l.number == 2) {
            out.push_str(&format!("sep={separator}{end}"));
        }
        for line in &table.lines {
            for (nth, cell) in line.cells.iter().enumerate() {
                if nth > 0 {
                    out.push(separator);
                }
                out.push_str(&quoted(cell, separator));
            }
            out.push_str(end);
        }
    }
    out
}

fn quoted(cell: &Cell, separator: char) -> String {
    let text = match cell {
        Cell::Text(text) => text.clone(),
        other => other.text(),
    };
    let special = |c: char| c == separator || matches!(c, '"' | '\n' | '\r');
    if text.contains(special) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

fn encoded(text: &str, encoding: Encoding, mark: bool) -> (Vec<u8>, Option<String>) {
    let utf8 = |mark: bool| {
        let mut out = if mark { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
        out.extend_from_slice(text.as_bytes());
        out
    };
    let wide = |bytes: fn(u16) -> [u8; 2]| {
        let marked = mark.then_some(0xfeff).into_iter();
        marked.chain(text.encode_utf16()).flat_map(bytes).collect::<Vec<u8>>()
    };
    match encoding {
        Encoding::Utf8 => (utf8(mark), None),
        Encoding::Utf16Le => (wide(u16::to_le_bytes), None),
        Encoding::Utf16Be => (wide(u16::to_be_bytes), None),
        Encoding::Windows1252 => match WINDOWS_1252.encode(text) {
            (bytes, _, false) => (bytes.into_owned(), None),
            _ => {
                let why = "Windows-1252 has no letters for all that was found: it is UTF-8 now";
                (utf8(true), Some(why.to_owned()))
            }
        },
    }
}

fn workbook(book: &Book) -> Result<Vec<u8>, XlsxError> {
    let mut out = Workbook::new();
    // Without it the crate would ask the system's clock.
    out.set_properties(&DocProperties::new().set_creation_datetime(&ExcelDateTime::from_ymd(2026, 1, 1)?));
    for table in &book.tables {
        let sheet = out.add_worksheet();
        if let Some(name) = &table.name {
            sheet.set_name(name)?;
        }
        sheet.set_hidden(table.hidden);
        rows(sheet, table)?;
    }
    out.save_to_buffer()
}

fn rows(sheet: &mut Worksheet, table: &Table) -> Result<(), XlsxError> {
    let shown = table.date_format.as_deref().unwrap_or("yyyy-mm-dd");
    let day = Format::new().set_num_format(shown);
    for Line { number, cells } in &table.lines {
        let row = number.saturating_sub(1);
        for (column, cell) in (0_u16..).zip(cells) {
            match cell {
                Cell::Empty => {}
                Cell::Text(text) => drop(sheet.write_string(row, column, text)?),
                Cell::Number(n) => drop(sheet.write_number(row, column, *n)?),
                Cell::Date(at) => drop(match date(*at) {
                    Some(date) => sheet.write_datetime_with_format(row, column, &date, &day)?,
                    None => sheet.write_string(row, column, cell.text())?,
                }),
            }
        }
    }
    Ok(())
}

/// A date that a spreadsheet knows: from 1900 on.
fn date(at: UnixTime) -> Option<ExcelDateTime> {
    let c = at.civil();
    let year = u16::try_from(c.year).ok().filter(|y| (1900..=9999).contains(y))?;
    let day = ExcelDateTime::from_ymd(year, c.month, c.day).ok()?;
    day.and_hms(c.hour.into(), c.minute, f64::from(c.second)).ok()
}

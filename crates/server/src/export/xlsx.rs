//! A spreadsheet: dates as dates, a frozen head, a filter on every column.
//!
//! Text is written as text, so that no name becomes a formula or a link. Rows go through a file on disk
//! (constant memory), and so does the archive, whose directory comes last. A sheet has 1,048,576 rows and no
//! more: what does not fit is said in its last row, and in the count.

use std::io::{self, Seek, SeekFrom, Write};

use notafter_core::UnixTime;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

use super::{COLUMNS, Cells, ExportError, Source};

/// Rows below the head, one left for saying that there are more.
const ROWS_MAX: u32 = 1_048_576 - 2;
/// A cell may have so many characters.
const TEXT_MAX: usize = 32_767;
/// Widths of the columns, in characters.
const WIDTHS: [f64; 13] = [40.0, 16.0, 18.0, 10.0, 32.0, 12.0, 8.0, 48.0, 14.0, 10.0, 10.0, 18.0, 72.0];

impl From<XlsxError> for ExportError {
    fn from(error: XlsxError) -> Self {
        Self::Sheet(error.to_string())
    }
}

pub(super) fn write(rows: &mut dyn Source, out: &mut dyn Write) -> Result<u64, ExportError> {
    let now = rows.now();
    let mut book = Workbook::new();
    let mut about = DocProperties::new().set_title("Notafter: what ends when");
    if let Some(at) = date(now) {
        // Without it the crate would ask the system's clock.
        about = about.set_creation_datetime(&at);
    }
    book.set_properties(&about);
    let bold = Format::new().set_bold();
    let day = Format::new().set_num_format("yyyy-mm-dd hh:mm");
    let sheet = book.add_worksheet_with_constant_memory()?;
    sheet.set_name("Inventory")?;
    sheet.set_freeze_panes(1, 0)?;
    for (column, width) in (0_u16..).zip(WIDTHS) {
        sheet.set_column_width(column, width)?;
    }
    for (column, head) in (0_u16..).zip(COLUMNS) {
        sheet.write_string_with_format(0, column, head, &bold)?;
    }
    let (mut row, mut left_out) = (0_u32, 0_u64);
    rows.each(&mut |asset| {
        if row >= ROWS_MAX {
            left_out += 1;
            return Ok(());
        }
        row += 1;
        Ok(line(sheet, row, &Cells::of(asset, now), &day)?)
    })?;
    if left_out > 0 {
        let words = format!("{left_out} more rows do not fit into a sheet; narrow the query, or take CSV");
        sheet.write_string(row + 1, 0, words)?;
    }
    let last = u16::try_from(COLUMNS.len() - 1).unwrap_or(0);
    sheet.autofilter(0, 0, row.max(1), last)?;
    let mut file = io::BufWriter::new(tempfile::tempfile()?);
    book.save_to_writer(&mut file)?;
    let mut file = file.into_inner().map_err(|e| e.into_error())?;
    file.seek(SeekFrom::Start(0))?;
    io::copy(&mut file, out)?;
    Ok(u64::from(row))
}

fn line(sheet: &mut Worksheet, row: u32, cells: &Cells, day: &Format) -> Result<(), XlsxError> {
    text(sheet, row, 0, &cells.name)?;
    text(sheet, row, 1, &cells.owner)?;
    moment(sheet, row, 2, cells.ends, day)?;
    if let Some(days) = cells.days_left {
        sheet.write_number(row, 3, days as f64)?;
    }
    text(sheet, row, 4, &cells.issuer)?;
    text(sheet, row, 5, cells.kind)?;
    sheet.write_number(row, 6, cells.places as f64)?;
    text(sheet, row, 7, &cells.place)?;
    text(sheet, row, 8, &cells.key)?;
    text(sheet, row, 9, cells.severity)?;
    sheet.write_number(row, 10, cells.findings as f64)?;
    moment(sheet, row, 11, Some(cells.first_seen), day)?;
    text(sheet, row, 12, &cells.id)
}

fn text(sheet: &mut Worksheet, row: u32, column: u16, text: &str) -> Result<(), XlsxError> {
    if text.is_empty() {
        return Ok(());
    }
    let cut: String;
    let fits = if text.chars().count() > TEXT_MAX {
        cut = text.chars().take(TEXT_MAX - 1).chain(['…']).collect();
        cut.as_str()
    } else {
        text
    };
    sheet.write_string(row, column, fits).map(drop)
}

/// A date, or its text where a spreadsheet knows none (before 1900).
fn moment(
    sheet: &mut Worksheet,
    row: u32,
    column: u16,
    at: Option<UnixTime>,
    day: &Format,
) -> Result<(), XlsxError> {
    match at.map(|at| (at, date(at))) {
        Some((_, Some(date))) => sheet.write_datetime_with_format(row, column, &date, day).map(drop),
        Some((at, None)) => text(sheet, row, column, &at.to_string()),
        None => Ok(()),
    }
}

fn date(at: UnixTime) -> Option<ExcelDateTime> {
    let c = at.civil();
    let year = u16::try_from(c.year).ok().filter(|y| (1900..=9999).contains(y))?;
    let day = ExcelDateTime::from_ymd(year, c.month, c.day).ok()?;
    day.and_hms(u16::from(c.hour), c.minute, f64::from(c.second)).ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixed, row};
    use super::*;

    #[test]
    fn a_spreadsheet_is_made_whatever_the_names_are() {
        let names =
            ["a.test", "=HYPERLINK(\"http://x\")", "http://x.test/", &"ä".repeat(40_000), "\u{1}\u{0}"];
        let mut rows: Vec<_> = names.iter().map(|n| row(n, Some(1_795_219_200))).collect();
        rows.push(row("before", Some(-62_000_000_000)));
        rows.push(row("never", Some(UnixTime::NO_EXPIRY.0)));
        rows.push(row("none", None));
        let mut out = Vec::new();
        let count = write(&mut Fixed(rows, UnixTime(1_795_000_000)), &mut out).unwrap();
        assert_eq!(count, 8);
        assert_eq!(&out[..4], b"PK\x03\x04");
        assert!(write(&mut Fixed(Vec::new(), UnixTime(0)), &mut Vec::new()).is_ok());
    }

    #[test]
    fn dates() {
        assert!(date(UnixTime(1_795_219_200)).is_some());
        assert!(date(UnixTime::NO_EXPIRY).is_some());
        assert!(date(UnixTime(-62_000_000_000)).is_none());
    }
}

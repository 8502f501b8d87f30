//! An Excel workbook as tables: cell by cell, so that a lone cell at the far end makes no table of billions.
//!
//! `archive` has counted what it unpacks to before this looks. Merged cells all get the value of the first, because that
//! is what a reader sees.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use calamine::{DataRef, Dimensions, Reader, SheetType, SheetVisible, Xlsx};
use notafter_core::UnixTime;
use notafter_pki::time::{Civil, DAY};

use crate::table::{Book, CELL_MAX, CELLS_MAX, COLUMNS_MAX, Cell, Form, LINES_MAX, Line, Table};
use crate::{Wrong, archive};

/// Merged regions that are filled, of one sheet.
const MERGED_MAX: usize = 20_000;
/// Sheets of one workbook.
const SHEETS_MAX: usize = 200;

pub(crate) fn open(bytes: &[u8]) -> Result<Book, Wrong> {
    let hidden = archive::look(bytes)?;
    // The reader is another's, and its input a stranger's: a panic in it is a damaged file, and no crash.
    let read = catch_unwind(AssertUnwindSafe(|| tables(bytes)));
    let (tables, mut notes) = read.unwrap_or_else(|_| Err(damaged("it is not what a workbook should be")))?;
    if hidden > 0 {
        let rows =
            if hidden == 1 { "1 hidden row was".to_owned() } else { format!("{hidden} hidden rows were") };
        notes.push(format!("{rows} read like the others"));
    }
    Ok(Book { form: Form::Xlsx, tables, notes })
}

fn damaged(what: impl std::fmt::Display) -> Wrong {
    Wrong::new(
        format!("the workbook cannot be read: {what}"),
        "open it in a spreadsheet program and save it anew, without a password",
    )
}

fn tables(bytes: &[u8]) -> Result<(Vec<Table>, Vec<String>), Wrong> {
    let mut book = Xlsx::new(Cursor::new(bytes)).map_err(damaged)?;
    let sheets = book.sheets_metadata().to_vec();
    let (mut out, mut notes, mut left) = (Vec::new(), Vec::new(), CELLS_MAX);
    for sheet in sheets.iter().filter(|s| s.typ == SheetType::WorkSheet).take(SHEETS_MAX) {
        let merged = book.merge_cells_by_sheet_name(&sheet.name).unwrap_or_default();
        let mut table = Table {
            name: Some(sheet.name.clone()),
            hidden: sheet.visible != SheetVisible::Visible,
            ..Table::default()
        };
        let far = cells(&mut book, &mut table, &mut left)?;
        if far {
            let name = crate::shown(&sheet.name);
            notes.push(format!("sheet {name}: what stands right of column {COLUMNS_MAX} was not read"));
        }
        fill(&mut table, &merged, &mut left)?;
        out.push(table);
    }
    Ok((out, notes))
}

/// Takes `n` off what may still be read.
fn count(left: &mut usize, n: usize, line: u32) -> Result<(), Wrong> {
    *left = left.checked_sub(n).ok_or_else(|| {
        Wrong::new(
            format!("line {line}: the workbook has more than {CELLS_MAX} cells"),
            "save only the sheet with the certificates",
        )
    })?;
    Ok(())
}

/// Reads the cells of a sheet; tells whether some were too far right.
fn cells(book: &mut Xlsx<Cursor<&[u8]>>, table: &mut Table, left: &mut usize) -> Result<bool, Wrong> {
    let name = table.name.clone().unwrap_or_default();
    let mut reader = book.worksheet_cells_reader(&name).map_err(damaged)?;
    let mut lines: BTreeMap<u32, Vec<Cell>> = BTreeMap::new();
    let mut far = false;
    while let Some((cell, style)) = reader.next_cell_with_style_id().map_err(damaged)? {
        let (row, column) = cell.get_position();
        let value = value(cell.get_value());
        if value.is_empty() {
            continue;
        }
        let column = column as usize;
        if column >= COLUMNS_MAX || row as usize >= LINES_MAX {
            far = true;
            continue;
        }
        if matches!(value, Cell::Date(_)) && table.date_format.is_none() {
            let format = reader.styles().get(style).and_then(|s| s.number_format.as_ref());
            table.date_format = format.map(|f| f.format_code.clone());
        }
        let line = lines.entry(row).or_default();
        if line.len() <= column {
            count(left, column + 1 - line.len(), row + 1)?;
            line.resize(column + 1, Cell::Empty);
        }
        line[column] = value;
    }
    table.lines = lines.into_iter().map(|(row, cells)| Line { number: row + 1, cells }).collect();
    Ok(far)
}

fn value(data: &DataRef<'_>) -> Cell {
    let text = |t: &str| match t.len() {
        0 => Cell::Empty,
        n if n > CELL_MAX => Cell::Text(t.chars().take(CELL_MAX / 4).collect()),
        _ => Cell::Text(t.to_owned()),
    };
    match data {
        DataRef::Empty | DataRef::DurationIso(_) | DataRef::Error(_) => Cell::Empty,
        DataRef::Int(n) => Cell::Number(*n as f64),
        DataRef::Float(n) => Cell::Number(*n),
        DataRef::Bool(b) => text(if *b { "true" } else { "false" }),
        DataRef::String(t) | DataRef::DateTimeIso(t) => text(t),
        DataRef::SharedString(t) => text(t),
        // Less than a day is a time of day, or a number in the wrong clothes.
        DataRef::DateTime(d) if d.is_duration() || d.as_f64() < 1.0 => Cell::Number(d.as_f64()),
        DataRef::DateTime(d) => {
            let (year, month, day, hour, minute, second, milli) = d.to_ymd_hms_milli();
            let civil = Civil { year: i64::from(year), month, day, hour, minute, second };
            // Halves of a second are how a spreadsheet counts, not what somebody typed.
            let at = UnixTime::from_civil(civil).map(|at| at.plus(i64::from(milli >= 500)));
            at.map_or(Cell::Number(d.as_f64()), |at| Cell::Date(whole(at)))
        }
    }
}

/// A second before midnight by rounding is midnight.
fn whole(at: UnixTime) -> UnixTime {
    if (at.0 + 1).rem_euclid(DAY) == 0 && at.0 % 60 != 59 { at.plus(1) } else { at }
}

/// Puts the value of a merged region's first cell into all that have a line.
fn fill(table: &mut Table, merged: &[Dimensions], left: &mut usize) -> Result<(), Wrong> {
    for region in merged.iter().take(MERGED_MAX) {
        let (first, last) = (region.start, region.end);
        // A title over the whole width is no value of every column.
        if first.1 > last.1 || first.0 > last.0 || last.1 - first.1 > 12 || last.0 - first.0 > 10_000 {
            continue;
        }
        let at = table.lines.partition_point(|l| l.number < first.0 + 1);
        let Some(line) = table.lines.get(at).filter(|l| l.number == first.0 + 1) else { continue };
        let value = line.cell(first.1 as usize).clone();
        if value.is_empty() {
            continue;
        }
        let columns = first.1 as usize..(last.1 as usize + 1).min(COLUMNS_MAX);
        for line in table.lines[at..].iter_mut().take_while(|l| l.number <= last.0 + 1) {
            if line.cells.len() < columns.end {
                count(left, columns.end - line.cells.len(), line.number)?;
                line.cells.resize(columns.end, Cell::Empty);
            }
            for column in columns.clone() {
                line.cells[column] = value.clone();
            }
        }
    }
    Ok(())
}

//! Workbooks that other programs made, read whole. `files/make.py` makes them anew.

use notafter_sheet::dates::Order;
use notafter_sheet::reading::{Asked, Reading, take};
use notafter_sheet::table::{Cell, open};

fn reading(bytes: &[u8]) -> Reading {
    take(&open(bytes).unwrap(), &Asked::default(), &[]).unwrap()
}

/// Each row as `line hosts end owner`.
fn rows(reading: &Reading) -> Vec<String> {
    let all = reading.parts.iter().flat_map(|p| &p.rows.entries);
    let told = all.map(|e| {
        let hosts: Vec<_> = e.hosts.iter().filter_map(|h| h.target()).collect();
        let end = e.expiry.map(|d| d.at.to_string()).unwrap_or_default();
        format!("{} {} {end} {}", e.line, hosts.join(","), e.owners().next().unwrap_or_default())
    });
    told.collect()
}

#[test]
fn titles_merged_headers_hidden_rows_and_sheets() {
    let reading = reading(include_bytes!("files/openpyxl.xlsx"));
    let expected = [
        "6 shop.example.com 2026-12-31T00:00:00Z Web Team",
        "7 10.0.0.9:636 2027-02-01T12:30:00Z Kim",
        "8 alt.example.com 2027-01-31T00:00:00Z ",
    ];
    assert_eq!(rows(&reading), expected);
    let part = &reading.parts[0];
    assert_eq!((part.sheet.as_deref(), part.rows.skipped.as_slice()), (Some("Zertifikate"), &[5][..]));
    assert_eq!(part.rows.refused.iter().map(|r| r.line).collect::<Vec<_>>(), [9]);
    assert_eq!(part.rows.entries[0].note, "im Lastverteiler");
    assert_eq!(reading.notes[0], "1 hidden row was read like the others");
    assert!(reading.notes.iter().any(|n| n.starts_with("sheet `Urlaub`: not read")), "{:?}", reading.notes);
}

#[test]
fn the_epoch_of_old_macs() {
    let reading = reading(include_bytes!("files/mac.xlsx"));
    let expected =
        ["2 a.example.com:8443 2026-12-31T00:00:00Z ", "3 b.example.com:443 2027-03-01T00:00:00Z "];
    assert_eq!(rows(&reading), expected);
    let serials: Vec<_> = reading.parts[0].rows.entries.iter().map(|e| e.serials.join(" ")).collect();
    assert_eq!(serials, ["abcdef012345678", ""]);
}

#[test]
fn a_cell_at_the_far_end_and_dates_of_two_kinds() {
    let book = open(include_bytes!("files/xlsxwriter.xlsx")).unwrap();
    assert!(book.tables[0].lines.len() < 10 && book.notes[0].contains("right of column"), "{:?}", book.notes);
    assert_eq!(book.tables[0].date_format.as_deref(), Some("mm/dd/yy"));
    assert!(matches!(book.tables[0].lines[1].cells[1], Cell::Date(_)));
    let reading = take(&book, &Asked::default(), &[]).unwrap();
    let expected = [
        "2 a.example.com:443 2026-12-31T00:00:00Z web",
        "3 b.example.com:8443 2027-03-04T00:00:00Z ",
        "4 c.example.com:443 2026-12-31T00:00:00Z ",
    ];
    assert_eq!(rows(&reading), expected);
    assert_eq!(reading.parts[0].order.as_ref().map(|(o, _)| *o), Some(Order::MonthFirst));
}

/// Whatever a stranger does to a workbook, it is read or refused.
#[test]
fn damaged_workbooks_are_refused_or_read() {
    let whole = include_bytes!("files/openpyxl.xlsx");
    let mut opened = 0;
    for at in (0..whole.len()).step_by(37) {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 0x5a;
        opened += usize::from(open(&bytes).is_ok());
        opened += usize::from(open(&whole[..at]).is_ok_and(|b| b.tables.len() == 3));
    }
    assert!(opened < whole.len() / 37 * 2, "a damaged archive has wrong checksums");
}

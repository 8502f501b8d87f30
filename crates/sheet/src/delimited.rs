//! CSV and its kin (RFC 4180, and what programs make of it): encoding, separator, quotes, lines by number.
//!
//! The separator is the one by which most lines have the same number of cells, more than one. A file with none of them
//! is a list: blanks part its words (`host port`).

use encoding_rs::{UTF_16BE, UTF_16LE, WINDOWS_1252};

use crate::Wrong;
use crate::table::{Book, CELL_MAX, CELLS_MAX, COLUMNS_MAX, Cell, Encoding, Form, LINES_MAX, Line, Table};

/// So many lines are looked at to find the separator.
const SNIFFED: usize = 60;

pub(crate) fn open(bytes: &[u8]) -> Result<Book, Wrong> {
    let (text, encoding, mark) = decode(bytes)?;
    if text.trim().is_empty() {
        return Err(Wrong::new("the file is empty", "name a sheet with a header and rows"));
    }
    let crlf = text.contains("\r\n");
    let (told, body, skipped) = told(&text);
    let separator = told.unwrap_or_else(|| sniff(body));
    let lines = match separator {
        ' ' => words(body)?,
        _ => split(body, separator, skipped, usize::MAX)?,
    };
    let table = Table { lines, ..Table::default() };
    let form = Form::Delimited { separator, encoding, mark, crlf };
    Ok(Book { form, tables: vec![table], notes: Vec::new() })
}

fn decode(bytes: &[u8]) -> Result<(String, Encoding, bool), Wrong> {
    let wide = |rest: &[u8], encoding, mark| {
        let coder = if encoding == Encoding::Utf16Le { UTF_16LE } else { UTF_16BE };
        (coder.decode_without_bom_handling(rest).0.into_owned(), encoding, mark)
    };
    let decoded = match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, Encoding::Utf16Le, true),
        [0xfe, 0xff, rest @ ..] => wide(rest, Encoding::Utf16Be, true),
        // Without a mark: every other octet of plain letters is zero.
        [_, 0, _, 0, ..] => wide(bytes, Encoding::Utf16Le, false),
        [0, _, 0, _, ..] => wide(bytes, Encoding::Utf16Be, false),
        _ => {
            let (rest, mark) = match bytes.strip_prefix(b"\xef\xbb\xbf") {
                Some(rest) => (rest, true),
                None => (bytes, false),
            };
            match std::str::from_utf8(rest) {
                Ok(text) => (text.to_owned(), Encoding::Utf8, mark),
                Err(_) => {
                    let text = WINDOWS_1252.decode_without_bom_handling(rest).0.into_owned();
                    (text, Encoding::Windows1252, false)
                }
            }
        }
    };
    if decoded.0.contains('\0') {
        return Err(Wrong::new("this is no text and no spreadsheet", "save it as .xlsx or as CSV"));
    }
    Ok(decoded)
}

/// Excel's own first line, `sep=;`: the separator, the rest, and how many lines were taken off.
fn told(text: &str) -> (Option<char>, &str, u32) {
    let Some((first, rest)) = text.split_once('\n') else { return (None, text, 0) };
    let told = first.trim_end_matches('\r').strip_prefix("sep=").and_then(|s| {
        let mut chars = s.chars();
        chars.next().filter(|_| chars.next().is_none())
    });
    match told {
        Some(separator) => (Some(separator), rest, 1),
        None => (None, text, 0),
    }
}

/// The separator that makes the most even table.
fn sniff(text: &str) -> char {
    let mut best = (0, ' ');
    for separator in [';', '\t', ',', '|'] {
        let Ok(lines) = split(text, separator, 0, SNIFFED) else { continue };
        let mut counts = std::collections::BTreeMap::new();
        for line in lines.iter().filter(|l| !l.is_empty()) {
            *counts.entry(line.cells.len()).or_insert(0_usize) += 1;
        }
        // So many lines of one width; a wide table weighs more than one of two columns by chance.
        let even = counts.iter().filter(|(width, _)| **width > 1).map(|(w, n)| n * 100 + w).max();
        if let Some(even) = even
            && even > best.0
        {
            best = (even, separator);
        }
    }
    if best.0 == 0 {
        // An odd quotation mark spoils every count: the first line tells, and the mark is complained about later.
        let first = text.lines().next().unwrap_or_default();
        let most = [';', '\t', ',', '|'].into_iter().max_by_key(|s| first.matches(*s).count());
        return most.filter(|s| first.contains(*s)).unwrap_or(' ');
    }
    best.1
}

/// Splits text into lines and cells. `most`: stop after so many lines.
fn split(text: &str, separator: char, skipped: u32, most: usize) -> Result<Vec<Line>, Wrong> {
    let mut lines = Vec::new();
    let (mut cells, mut cell) = (Vec::new(), String::new());
    let (mut quoted, mut was_quoted, mut all) = (false, false, 0_usize);
    let (mut number, mut started) = (skipped + 1, skipped + 1);
    let mut chars = text.chars().peekable();
    loop {
        let c = chars.next();
        if c.is_none() && quoted {
            return Err(Wrong::new(
                format!("line {started}: a quotation mark is opened and never closed"),
                "close it, or double it where it stands for itself",
            ));
        }
        match c {
            Some('"') if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            Some('"') if quoted => quoted = false,
            Some('"') if cell.is_empty() && !was_quoted => (quoted, was_quoted) = (true, true),
            // A line within a cell is one, whatever the program that saved it ends lines with.
            Some('\r') if quoted && chars.peek() == Some(&'\n') => {}
            Some(c) if quoted => {
                if c == '\n' {
                    number += 1;
                }
                cell.push(c);
                if cell.len() > CELL_MAX {
                    return Err(Wrong::new(
                        format!("line {started}: a cell has more than {CELL_MAX} bytes"),
                        "is a quotation mark missing at the end of a cell?",
                    ));
                }
            }
            Some(c) if c != separator && c != '\n' && c != '\r' => {
                cell.push(c);
                if cell.len() > CELL_MAX {
                    return Err(Wrong::new(
                        format!("line {started}: a cell has more than {CELL_MAX} bytes"),
                        "is this a CSV file?",
                    ));
                }
            }
            // A line ends, a cell ends, or the file does.
            _ => {
                let line_ends = c != Some(separator);
                if c == Some('\r') && chars.peek() == Some(&'\n') {
                    chars.next();
                }
                if cells.len() < COLUMNS_MAX {
                    let text = std::mem::take(&mut cell);
                    cells.push(if text.is_empty() { Cell::Empty } else { Cell::Text(text) });
                    all += 1;
                } else {
                    cell.clear();
                }
                was_quoted = false;
                if !line_ends {
                    continue;
                }
                if c.is_some() || cells.iter().any(|c| !c.is_empty()) {
                    lines.push(Line { number: started, cells: std::mem::take(&mut cells) });
                }
                if lines.len() > LINES_MAX || all > CELLS_MAX {
                    return Err(Wrong::new(
                        format!(
                            "line {started}: the sheet has more than {LINES_MAX} lines or {CELLS_MAX} cells"
                        ),
                        "part it into several files",
                    ));
                }
                if c.is_none() || lines.len() >= most {
                    break;
                }
                number += 1;
                started = number;
            }
        }
    }
    Ok(lines)
}

/// A list: words between blanks, `#` begins a remark.
fn words(text: &str) -> Result<Vec<Line>, Wrong> {
    let mut lines = Vec::new();
    for (number, line) in (1_u32..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default();
        let cells: Vec<_> =
            line.split_whitespace().take(COLUMNS_MAX).map(|w| Cell::Text(w.to_owned())).collect();
        if !cells.is_empty() {
            lines.push(Line { number, cells });
        }
        if lines.len() > LINES_MAX {
            return Err(Wrong::new(
                format!("the list has more than {LINES_MAX} lines"),
                "part it into several files",
            ));
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(bytes: &[u8]) -> (Vec<(u32, Vec<String>)>, Form) {
        let book = open(bytes).unwrap();
        let table = &book.tables[0];
        let text = |l: &Line| (l.number, l.cells.iter().map(Cell::text).collect());
        (table.lines.iter().map(text).collect(), book.form)
    }

    fn check(bytes: &[u8], separator: char, expected: &[(u32, &[&str])]) {
        let (got, form) = cells(bytes);
        let Form::Delimited { separator: found, .. } = form else { panic!("{form:?}") };
        assert_eq!(found, separator, "{got:?}");
        let expected: Vec<_> = expected
            .iter()
            .map(|(n, c)| (*n, c.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>()))
            .collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn separators_quotes_and_lines() {
        check(b"a;b\nc;d,e\n", ';', &[(1, &["a", "b"]), (2, &["c", "d,e"])]);
        check(b"a,b\r\n\"c\nd\",e\r\nf,g", ',', &[(1, &["a", "b"]), (2, &["c\nd", "e"]), (4, &["f", "g"])]);
        check(b"a\tb\n\"say \"\"x\"\"\"\td\n", '\t', &[(1, &["a", "b"]), (2, &["say \"x\"", "d"])]);
        check(b"a|b|c\n1|2|3\n", '|', &[(1, &["a", "b", "c"]), (2, &["1", "2", "3"])]);
        check(b"sep=,\na,b\nc,d\n", ',', &[(2, &["a", "b"]), (3, &["c", "d"])]);
        check(b"a;b\n\n;\nc;d", ';', &[(1, &["a", "b"]), (2, &[""]), (3, &["", ""]), (4, &["c", "d"])]);
        check(
            b"www.a.test 443\n# x\nb.test  8443 # y\n",
            ' ',
            &[(1, &["www.a.test", "443"]), (3, &["b.test", "8443"])],
        );
        check(b"5\" pipe;x\ny;z", ';', &[(1, &["5\" pipe", "x"]), (2, &["y", "z"])]);
    }

    #[test]
    fn encodings() {
        let wide = |text: &str, big: bool| -> Vec<u8> {
            let units = text.encode_utf16();
            units.flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
        };
        let text = "Gerät;Gültig\nä;ö\n";
        let mark = |m: &[u8], rest: Vec<u8>| [m, &rest].concat();
        let latin: Vec<u8> = text.chars().map(|c| u32::from(c) as u8).collect();
        for (bytes, encoding, marked) in [
            (text.as_bytes().to_vec(), Encoding::Utf8, false),
            (mark(b"\xef\xbb\xbf", text.as_bytes().to_vec()), Encoding::Utf8, true),
            (latin, Encoding::Windows1252, false),
            (mark(b"\xff\xfe", wide(text, false)), Encoding::Utf16Le, true),
            (mark(b"\xfe\xff", wide(text, true)), Encoding::Utf16Be, true),
            (wide(text, false), Encoding::Utf16Le, false),
            (wide(text, true), Encoding::Utf16Be, false),
        ] {
            let (lines, form) = cells(&bytes);
            assert_eq!(form, Form::Delimited { separator: ';', encoding, mark: marked, crlf: false });
            assert_eq!(lines[0].1, ["Gerät", "Gültig"], "{encoding:?}");
        }
    }

    #[test]
    fn what_is_refused() {
        for (bytes, part) in [
            (&b"a;b\n\"c;d\n"[..], "line 2: a quotation mark"),
            (b"\x7fELF\x02\x01\x01\0\0\0\0\0", "no text"),
            (b"  \n \n", "empty"),
        ] {
            let wrong = open(bytes).unwrap_err();
            assert!(wrong.message.contains(part), "{wrong}");
        }
        let long = [b"a;b\n\"".as_slice(), &b"x".repeat(CELL_MAX + 2), b"\";c\n"].concat();
        assert!(open(&long).unwrap_err().message.contains("line 2: a cell"));
        let many = b";\n".repeat(LINES_MAX + 2);
        assert!(split(std::str::from_utf8(&many).unwrap(), ';', 0, usize::MAX).is_err());
    }
}

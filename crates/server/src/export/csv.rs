//! CSV (RFC 4180), disarmed: a cell that a spreadsheet would take for a formula gets a quote in front.
//!
//! The guard is on the text as it will stand in the cell: first character `=`, `+`, `-`, `@`, tab or
//! carriage return, and their full-width twins, which some programs take for the same. Numbers of our own
//! need none. Machines should read the JSON.

use std::io::Write;

use notafter_core::cell::is_formula;

use super::{COLUMNS, Cells, ExportError, Source};

pub(super) fn write(rows: &mut dyn Source, out: &mut dyn Write) -> Result<u64, ExportError> {
    let now = rows.now();
    let mut count = 0;
    write!(out, "{}\r\n", COLUMNS.join(","))?;
    rows.each(&mut |row| {
        let cells = Cells::of(row, now);
        let line = [
            text(&cells.name),
            text(&cells.owner),
            cells.ends.map(|t| t.to_string()).unwrap_or_default(),
            cells.days_left.map(|d| d.to_string()).unwrap_or_default(),
            text(&cells.issuer),
            cells.kind.to_owned(),
            cells.places.to_string(),
            text(&cells.place),
            text(&cells.key),
            cells.severity.to_owned(),
            cells.findings.to_string(),
            cells.first_seen.to_string(),
            cells.id,
        ];
        count += 1;
        Ok(write!(out, "{}\r\n", line.join(","))?)
    })?;
    Ok(count)
}

/// A cell of text, disarmed and quoted as far as needed.
pub(super) fn text(text: &str) -> String {
    let guarded = if is_formula(text) { format!("'{text}") } else { text.to_owned() };
    if guarded.contains([',', '"', '\n', '\r', ';', '\t']) {
        format!("\"{}\"", guarded.replace('"', "\"\""))
    } else {
        guarded
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixed, row};
    use super::*;
    use notafter_core::UnixTime;

    #[test]
    fn cells() {
        for (given, expected) in [
            ("plain.example.com", "plain.example.com"),
            ("*.example.com", "*.example.com"),
            ("a,b", "\"a,b\""),
            ("a;b", "\"a;b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "\"'\t=1\""),
            ("\r=1", "\"'\r=1\""),
            ("＝1", "'＝1"),
            ("'=1", "'=1"),
            ("", ""),
        ] {
            assert_eq!(text(given), expected, "{given:?}");
        }
    }

    #[test]
    fn a_table() {
        let rows = vec![row("=cmd|' /C calc'!A0", Some(86_400 * 3 + 5)), row("b.test", None)];
        let mut out = Vec::new();
        assert_eq!(write(&mut Fixed(rows, UnixTime(86_400)), &mut out).unwrap(), 2);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.split("\r\n").collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[0].starts_with("name,owner,ends,days left,issuer,"), "{}", lines[0]);
        assert!(
            lines[1].starts_with("'=cmd|' /C calc'!A0,,1970-01-04T00:00:05Z,2,\"CN=R11,O=Let's Encrypt\",")
        );
        assert!(lines[2].starts_with("b.test,,,,"), "{}", lines[2]);
    }
}

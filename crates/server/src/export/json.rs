//! JSON for machines: one array, or one object a line. Nothing is disarmed here, because nothing computes
//! it: names are as they are, and JSON escapes the rest.

use std::io::Write;

use serde::Serialize;

use super::{Cells, ExportError, Source};

/// How objects are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// `[..., ...]`
    Array,
    /// One a line.
    Lines,
}

#[derive(Serialize)]
struct Row<'c> {
    name: &'c str,
    owner: Option<&'c str>,
    not_after: Option<String>,
    days_left: Option<f64>,
    issuer_name: &'c str,
    kind: &'c str,
    places: u64,
    place: Option<&'c str>,
    key: &'c str,
    severity: Option<&'c str>,
    findings: u64,
    first_seen: String,
    id: &'c str,
}

pub(super) fn write(rows: &mut dyn Source, frame: Frame, out: &mut dyn Write) -> Result<u64, ExportError> {
    let now = rows.now();
    let mut count = 0_u64;
    let some = |text: &'static str| Some(text).filter(|t| !t.is_empty());
    if frame == Frame::Array {
        out.write_all(b"[")?;
    }
    rows.each(&mut |row| {
        let cells = Cells::of(row, now);
        let document = Row {
            name: &cells.name,
            owner: row.owner.as_deref(),
            not_after: cells.ends.map(|t| t.to_string()),
            days_left: cells.ends.map(|t| (t.days_after(now) * 10.0).round() / 10.0 + 0.0),
            issuer_name: &cells.issuer,
            kind: cells.kind,
            places: cells.places,
            place: row.place.as_ref().map(|p| p.as_str()),
            key: &cells.key,
            severity: some(cells.severity),
            findings: cells.findings,
            first_seen: cells.first_seen.to_string(),
            id: &cells.id,
        };
        match (frame, count) {
            (Frame::Lines, _) => {}
            (Frame::Array, 0) => out.write_all(b"\n")?,
            (Frame::Array, _) => out.write_all(b",\n")?,
        }
        serde_json::to_writer(&mut *out, &document).map_err(std::io::Error::from)?;
        if frame == Frame::Lines {
            out.write_all(b"\n")?;
        }
        count += 1;
        Ok(())
    })?;
    if frame == Frame::Array {
        out.write_all(b"\n]\n")?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixed, row};
    use super::*;
    use notafter_core::UnixTime;

    fn check(frame: Frame, rows: usize) -> String {
        let names = ["=1+1", "b\n\u{202e}.test", "c"];
        let rows = names.iter().take(rows).map(|n| row(n, Some(1))).collect();
        let mut out = Vec::new();
        write(&mut Fixed(rows, UnixTime(0)), frame, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn arrays_and_lines() {
        for count in 0..=3 {
            let array: Vec<serde_json::Value> = serde_json::from_str(&check(Frame::Array, count)).unwrap();
            assert_eq!(array.len(), count);
            let lines = check(Frame::Lines, count);
            assert_eq!(lines.lines().count(), count);
            for (line, value) in lines.lines().zip(&array) {
                assert_eq!(serde_json::from_str::<serde_json::Value>(line).unwrap(), *value);
            }
        }
        assert!(check(Frame::Lines, 1).contains("\"name\":\"=1+1\""));
    }
}

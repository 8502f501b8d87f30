//! The archive that an XLSX file is, looked at before anybody trusts it: how large it really becomes, what is hidden.
//!
//! The directory of a zip file may lie about sizes, so every part is unpacked once and counted. What the cells say is
//! read elsewhere.

use std::io::{Cursor, Read};

use crate::Wrong;

/// All parts together, unpacked.
const UNPACKED_MAX: u64 = 512 << 20;
/// A sheet is text of few words, and shrinks a lot; what shrinks more than this was made to.
const RATIO_MAX: u64 = 300;
/// Below this the ratio is not asked: an empty sheet shrinks well, too.
const RATIO_FROM: u64 = 32 << 20;
/// Parts of one workbook.
const PARTS_MAX: usize = 10_000;

/// Unpacks and counts; returns how many rows are hidden.
pub(crate) fn look(bytes: &[u8]) -> Result<usize, Wrong> {
    let damaged = |what: String| {
        Wrong::new(
            format!("the workbook cannot be read: {what}"),
            "open it in a spreadsheet program and save it anew",
        )
    };
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| damaged(e.to_string()))?;
    let large = |what: String| Wrong::new(what, "save only the sheet with the certificates");
    if archive.len() > PARTS_MAX {
        return Err(large(format!("the workbook has more than {PARTS_MAX} parts")));
    }
    let (mut all, mut hidden) = (0_u64, 0);
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(|e| damaged(e.to_string()))?;
        let is_sheet = part.name().is_ok_and(|n| n.contains("worksheets/") && n.ends_with(".xml"));
        let mut part = part.take(UNPACKED_MAX - all + 1);
        let mut kept = Vec::new();
        let read = if is_sheet {
            part.read_to_end(&mut kept).map(|n| n as u64)
        } else {
            std::io::copy(&mut part, &mut std::io::sink())
        };
        all += read.map_err(|e| damaged(e.to_string()))?;
        if all > UNPACKED_MAX {
            return Err(large(format!("the workbook unpacks to more than {} MiB", UNPACKED_MAX >> 20)));
        }
        if all > RATIO_FROM && all / (bytes.len() as u64).max(1) > RATIO_MAX {
            return Err(large("the workbook unpacks to hundreds of times its size".to_owned()));
        }
        hidden += hidden_rows(&kept);
    }
    Ok(hidden)
}

/// Rows that are marked as hidden, counted in the sheet's XML.
fn hidden_rows(xml: &[u8]) -> usize {
    let mut count = 0;
    let mut rest = xml;
    while let Some(at) = find(rest, b"row ") {
        let opens = at > 0 && matches!(rest[at - 1], b'<' | b':');
        rest = &rest[at + 4..];
        let end = rest.iter().position(|b| *b == b'>').unwrap_or(rest.len());
        let tag = &rest[..end];
        if opens && (find(tag, b"hidden=\"1\"").is_some() || find(tag, b"hidden=\"true\"").is_some()) {
            count += 1;
        }
    }
    count
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    let first = what[0];
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|b| *b == first).map(|p| p + from) {
        if text[at..].starts_with(what) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn archive(parts: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in parts {
            let how =
                zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
            out.start_file(*name, how).unwrap();
            out.write_all(content).unwrap();
        }
        out.finish().unwrap().into_inner()
    }

    #[test]
    fn hidden_rows_are_counted() {
        let xml =
            br#"<sheetData><row r="1"/><row r="2" hidden="1"><c/></row><x:row hidden="true" r="3"></x:row>"#;
        assert_eq!(look(&archive(&[("xl/worksheets/sheet1.xml", xml.to_vec())])), Ok(2));
        assert_eq!(hidden_rows(b"<grow hidden=\"1\"> arrow hidden=\"1\">row "), 0);
    }

    #[test]
    fn a_bomb_is_refused() {
        let zeros = archive(&[("xl/worksheets/sheet1.xml", vec![b' '; 64 << 20])]);
        assert!(zeros.len() < 1 << 20);
        assert!(look(&zeros).unwrap_err().message.contains("hundreds of times"));
        assert!(look(b"PK\x03\x04 and no more").is_err());
    }
}

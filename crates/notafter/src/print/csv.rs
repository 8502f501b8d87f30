//! CSV: one row a placement, for spreadsheets (RFC 4180).
//!
//! A cell that a spreadsheet would take for a formula is disarmed by a quote in front: a certificate's
//! names are written by strangers.

use notafter_core::document::{AssetDocument, PlacementDocument};

const COLUMNS: &str = "not_after,days_left,name,subject,issuer_name,serial,key,location,role,asset\r\n";

/// The whole table.
pub(crate) fn render(assets: &[AssetDocument], placements: &[PlacementDocument]) -> String {
    let mut out = String::from(COLUMNS);
    let by_id: std::collections::HashMap<_, _> = assets.iter().map(|a| (a.id.as_str(), a)).collect();
    for placement in placements {
        let Some(asset) = placement.asset.as_deref().and_then(|id| by_id.get(id)) else { continue };
        let key = asset.key.as_ref().map(|k| match k.bits {
            Some(bits) => format!("{} {bits}", k.algorithm),
            None => k.algorithm.clone(),
        });
        let cells = [
            asset.not_after.clone().unwrap_or_default(),
            asset.days_left.map(|d| d.to_string()).unwrap_or_default(),
            asset.names.join(" "),
            asset.subject.clone().unwrap_or_default(),
            asset.issuer_name.clone().unwrap_or_default(),
            asset.serial.clone().unwrap_or_default(),
            key.unwrap_or_default(),
            placement.location.clone(),
            placement.role.to_owned(),
            asset.id.clone(),
        ];
        let row: Vec<_> = cells.iter().enumerate().map(|(n, c)| cell(c, n == 1)).collect();
        out.push_str(&row.join(","));
        out.push_str("\r\n");
    }
    out
}

/// One row of cells, each with whether it is a number.
pub(crate) fn row(cells: &[(String, bool)]) -> String {
    let cells: Vec<_> = cells.iter().map(|(text, number)| cell(text, *number)).collect();
    format!("{}\r\n", cells.join(","))
}

fn cell(text: &str, number: bool) -> String {
    let formula = !number && text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn cells() {
        for (text, number, expected) in [
            ("plain", false, "plain"),
            ("a,b", false, "\"a,b\""),
            ("say \"x\"", false, "\"say \"\"x\"\"\""),
            ("=HYPERLINK(1)", false, "'=HYPERLINK(1)"),
            ("@x", false, "'@x"),
            ("-1.5", true, "-1.5"),
        ] {
            assert_eq!(cell(text, number), expected);
        }
    }
}

//! `show sha256:...`: an asset of the inventory, whole: facts, every place past and present, its line, what is
//! wrong, who did what.

use notafter_core::document::AssetDocument;
use notafter_core::dossier::days_text;
use notafter_core::finding::summary_at;
use notafter_core::inventory::{Asset, BytesAt};
use notafter_store::findings::FindingFilter;
use notafter_store::rows::{AssetWhole, FindingRow};
use serde_json::json;

use super::hands::memory;
use super::{End, Usage};
use crate::cli::{Format, Global};
use crate::print;
use crate::print::paper::{Ink, Paper};
use crate::print::table;

pub(crate) fn show(global: &Global, prefix: &str) -> Result<End, Usage> {
    let (data, store, now) = memory(global)?;
    let failed = |e: notafter_store::StoreError| data.explain(&e);
    let hex = prefix.len() >= 2 && prefix.len() <= 64 && prefix.bytes().all(|b| b.is_ascii_hexdigit());
    let found = if hex { store.by_id(&prefix.to_ascii_lowercase()).map_err(failed)? } else { Vec::new() };
    let row = match found.as_slice() {
        [one] => one,
        [] => {
            return Err(Usage::new(format!("no asset is called sha256:{prefix}"))
                .hint("`notafter ls` lists them; the first digits are enough"));
        }
        _ => {
            return Err(Usage::new(format!("more than one asset begins with sha256:{prefix}"))
                .hint("write more digits"));
        }
    };
    let Some(whole) = store.asset(&row.id).map_err(failed)? else {
        return Err(Usage::new(format!("{} has just gone", row.id)));
    };
    let filter = FindingFilter { asset: Some(row.id.to_string()), limit: 100, ..FindingFilter::default() };
    let findings = store.findings(&filter).map_err(failed)?;
    let audit = store.audit_lines(Some(&row.id.to_string()), None, 20).map_err(failed)?;
    let asset = Asset {
        id: whole.row.id,
        kind: whole.row.kind,
        bytes: BytesAt { offset: 0, length: whole.der.len() as u32 },
        not_before: whole.row.not_before,
        not_after: whole.row.not_after,
        key: whole.key,
    };
    let document = AssetDocument::of(&asset, &whole.der, now);
    if global.format() != Format::Table {
        let text = json!({
            "asset": document, "owner": whole.row.owner,
            "placements": whole.placements.iter().map(placement).collect::<Vec<_>>(),
            "lineage": whole.lineage.iter().map(|r| super::ls::document(r, now)).collect::<Vec<_>>(),
            "findings": findings.iter().map(|f| finding(f, now)).collect::<Vec<_>>(),
        });
        print::out(format!("{text}\n").as_bytes());
        return Ok(End::Done);
    }
    let mut paper = Paper::new(print::colours(global.color), print::width());
    paper.line(Ink::Bold, &whole.row.title);
    super::show::facts(&mut paper, &document, whole.row.not_after, now);
    super::show::row(&mut paper, "owner", whole.row.owner.as_deref().unwrap_or("nobody"));
    places(&mut paper, &whole);
    for row in whole.lineage.iter().filter(|r| r.id != whole.row.id) {
        let left = row.not_after.map(|t| days_text(t, now)).unwrap_or_default();
        super::show::row(&mut paper, "its line", &format!("{}  ends {left}", row.id));
    }
    for row in &findings {
        paper.end();
        paper.put(Ink::of(row.severity), row.severity.as_str()).line(Ink::Bold, &format!("  {}", row.kind));
        paper.paragraph(Ink::Plain, 4, &summary_at(&row.summary, row.deadline, now));
        paper.paragraph(Ink::Dim, 4, &format!("hint: {}", row.hint));
    }
    for (_, line) in &audit {
        super::show::row(
            &mut paper,
            "history",
            &format!("{} {} {}: {}", line.at, line.who, line.what, line.detail),
        );
    }
    print::out(paper.into_text().as_bytes());
    Ok(End::Done)
}

fn places(paper: &mut Paper, whole: &AssetWhole) {
    for place in &whole.placements {
        let since = format!("{}, since {}", place.role.as_str(), place.first_seen);
        let now = match (place.gone, place.unseen_since) {
            (Some(gone), _) => format!("{since}, gone {gone}"),
            (None, Some(unseen)) => format!("{since}, not seen since {unseen}"),
            (None, None) => format!("{since}, last seen {}", place.last_seen),
        };
        super::show::row(paper, "place", &format!("{}  {now}", table::shown(&place.location)));
    }
    if whole.placements_more > 0 {
        super::show::row(paper, "place", &format!("and {} more", whole.placements_more));
    }
}

fn placement(row: &notafter_store::rows::PlacementRow) -> serde_json::Value {
    json!({
        "location": row.location.as_str(), "role": row.role.as_str(), "source": row.source, "vantage": row.vantage,
        "first_seen": row.first_seen.to_string(), "last_seen": row.last_seen.to_string(),
        "unseen_since": row.unseen_since.map(|t| t.to_string()), "gone": row.gone.map(|t| t.to_string()),
        "chain": row.chain.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn finding(row: &FindingRow, now: notafter_core::UnixTime) -> serde_json::Value {
    json!({
        "id": row.id, "kind": row.kind.as_str(), "severity": row.severity.as_str(), "owner": row.owner,
        "summary": summary_at(&row.summary, row.deadline, now), "hint": row.hint,
        "deadline": row.deadline.map(|t| t.to_string()),
        "locations": row.locations.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

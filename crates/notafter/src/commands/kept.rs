//! `show sha256:...`: an asset of the inventory, whole: facts, every place past and present, its line, what is
//! wrong, who did what.

use std::collections::BTreeSet;
use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::document::{AssetDocument, PlacementDocument};
use notafter_core::dossier::days_text;
use notafter_core::finding::summary_at;
use notafter_core::inventory::{Asset, AssetIx, BytesAt, Placement, Role};
use notafter_core::observation::{Link, LinkKind};
use notafter_server::documents;
use notafter_store::findings::FindingFilter;
use notafter_store::rows::{AssetRow, AssetWhole, KeyRow, PlacementRow};
use notafter_store::{Store, StoreError};
use serde_json::{Value, json};

use super::hands::{instant, memory};
use super::{End, Usage, no_rows};
use crate::cli::{Format, Global};
use crate::data::Data;
use crate::print;
use crate::print::paper::{Ink, Paper};
use crate::print::table;

pub(crate) fn show(global: &Global, prefix: &str) -> Result<End, Usage> {
    no_rows(global, "show")?;
    let (data, store, now) = memory(global)?;
    let at = instant(global, now)?;
    let failed = |e: notafter_store::StoreError| data.explain(&e);
    let row = find(&data, &store, prefix)?;
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
    let document = AssetDocument::of(&asset, &whole.der, at);
    if global.format() != Format::Table {
        let history = audit.iter().map(
            |(_, l)| json!({ "at": l.at.to_string(), "who": l.who, "what": l.what, "detail": l.detail }),
        );
        let line = whole.lineage.iter().map(|r| super::ls::document(&store, r, at));
        let text = json!({
            "asset": document, "owner": whole.row.owner,
            "placements": whole.placements.iter().map(|p| json!(documents::placement(p))).collect::<Vec<_>>(),
            "placements_more": whole.placements_more,
            "lineage": line.collect::<Result<Vec<_>, _>>().map_err(failed)?,
            "keys": whole.keys.iter().map(key).collect::<Vec<_>>(),
            "links": whole.links.iter().map(link).collect::<Vec<_>>(),
            "renewals": whole.renewals,
            "history": history.collect::<Vec<_>>(),
            "findings": findings.into_iter().map(|f| json!(documents::finding(f, at))).collect::<Vec<_>>(),
        });
        print::out(format!("{text}\n").as_bytes());
        return Ok(End::Done);
    }
    let mut paper = Paper::new(print::colours(global.color), print::width());
    paper.line(Ink::Bold, &whole.row.title);
    super::show::facts(&mut paper, &document, whole.row.not_after, at);
    super::show::row(&mut paper, "owner", whole.row.owner.as_deref().unwrap_or("nobody"));
    super::show::row(&mut paper, "first seen", &whole.row.first_seen.to_string());
    places(&mut paper, &store, &whole, at).map_err(failed)?;
    beside(&mut paper, &whole);
    renewers(&mut paper, &whole);
    for row in whole.lineage.iter().filter(|r| r.id != whole.row.id) {
        super::show::row(&mut paper, "its line", &one_of_line(row, at));
    }
    for row in &findings {
        paper.end();
        paper.put(Ink::of(row.severity), row.severity.as_str()).line(Ink::Bold, &format!("  {}", row.kind));
        paper.paragraph(Ink::Plain, 4, &summary_at(&row.summary, row.deadline, at));
        if let Some(blast) = &row.blast {
            paper.paragraph(Ink::Plain, 4, &format!("breaks: {}", blast.in_words()));
        }
        paper.paragraph(Ink::Dim, 4, &format!("hint: {}", row.hint));
    }
    for (_, line) in &audit {
        let text = format!("{} {} {}: {}", line.at, line.who, line.what, line.detail);
        super::show::row(&mut paper, "history", &text);
    }
    print::out(paper.into_text().as_bytes());
    Ok(End::Done)
}

/// The asset whose identity begins so.
///
/// # Errors
/// None or several do.
pub(crate) fn find(data: &Data, store: &Store, prefix: &str) -> Result<AssetRow, Usage> {
    let hex = prefix.len() >= 2 && prefix.len() <= 64 && prefix.bytes().all(|b| b.is_ascii_hexdigit());
    let found = match hex {
        true => store.by_id(&prefix.to_ascii_lowercase()).map_err(|e| data.explain(&e))?,
        false => Vec::new(),
    };
    let shown = prefix.escape_debug();
    match <[AssetRow; 1]>::try_from(found) {
        Ok([one]) => Ok(one),
        Err(none) if none.is_empty() => Err(Usage::new(format!("no asset is called sha256:{shown}"))
            .hint("`notafter ls` lists them; the first digits are enough")),
        Err(_) => {
            Err(Usage::new(format!("more than one asset begins with sha256:{shown}"))
                .hint("write more digits"))
        }
    }
}

/// Where it is and where it was, with all that is known of each place and the chain that was sent there.
fn places(paper: &mut Paper, store: &Store, whole: &AssetWhole, at: UnixTime) -> Result<(), StoreError> {
    // Many places send one chain: each is shown once.
    let mut shown = BTreeSet::new();
    for place in &whole.placements {
        let what = if place.gone.is_some() { "was at" } else { "place" };
        super::show::place(paper, what, &document(place));
        let seen = match (place.gone, place.unseen_since) {
            (Some(gone), _) => format!("since {}, gone {gone}", place.first_seen),
            (None, Some(unseen)) => format!("since {}, not seen since {unseen}", place.first_seen),
            (None, None) => format!("since {}, last seen {}", place.first_seen, place.last_seen),
        };
        super::show::row(paper, "", &format!("{seen}, by {}", place.source));
        if place.gone.is_some() || place.role != Role::Leaf || !shown.insert(place.chain.clone()) {
            continue;
        }
        for (n, id) in place.chain.iter().enumerate().skip(1) {
            let text = match store.asset(id)? {
                Some(member) => one_of_line(&member.row, at),
                None => id.to_string(),
            };
            super::show::row(paper, "chain", &format!("{}└ {text}", "  ".repeat(n)));
        }
    }
    if whole.placements_more > 0 {
        super::show::row(paper, "place", &format!("and {} more", whole.placements_more));
    }
    Ok(())
}

/// Its private keys, and which file is served where.
fn beside(paper: &mut Paper, whole: &AssetWhole) {
    for key in &whole.keys {
        let encrypted = if key.encrypted { ", encrypted" } else { "" };
        let text = format!("{}  {}{encrypted}", table::shown(&key.location), key.format);
        super::show::row(paper, "private key", &text);
    }
    for link in whole.links.iter().filter(|l| l.kind != LinkKind::ManagedBy) {
        let text = format!("{} as {}  ({})", table::shown(&link.from), table::shown(&link.to), link.evidence);
        super::show::row(paper, "is served", &text);
    }
}

/// Who renews it, when, and how that goes.
fn renewers(paper: &mut Paper, whole: &AssetWhole) {
    for renewal in &whole.renewals {
        super::show::row(paper, "renewed by", &renewal.in_words(whole.row.not_before, whole.row.not_after));
    }
}

fn key(row: &KeyRow) -> Value {
    json!({
        "location": row.location.as_str(), "role": "key", "first_seen": row.first_seen.to_string(),
        "last_seen": row.last_seen.to_string(),
        "key": { "id": row.key.map(|k| k.to_string()), "format": row.format, "encrypted": row.encrypted },
    })
}

fn link(link: &Link) -> Value {
    json!({ "kind": link.kind.as_str(), "from": link.from.as_str(), "to": link.to.as_str(), "evidence": link.evidence })
}

fn one_of_line(row: &AssetRow, at: UnixTime) -> String {
    let left = row.not_after.map(|t| format!("ends {}", days_text(t, at))).unwrap_or_default();
    let where_ = match (row.places, row.superseded) {
        (0, _) => ", nowhere any more",
        (_, true) => ", replaced",
        (_, false) => "",
    };
    format!("{}  {left}{where_}  (issued by {})  {}", row.title, row.issuer_name, row.id)
}

fn document(row: &PlacementRow) -> PlacementDocument {
    let placement = Placement {
        asset: AssetIx(0),
        location: row.location.clone(),
        role: row.role,
        chain: None,
        first_seen: row.first_seen,
        last_seen: row.last_seen,
        unseen_since: row.unseen_since,
        facts: Arc::new(row.facts.clone()),
    };
    PlacementDocument::of_parts(&row.asset.to_string(), &placement, &row.vantage)
}

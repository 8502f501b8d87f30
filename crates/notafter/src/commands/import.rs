//! `import FILE`: a spreadsheet held against what was really found, and what of it is worth keeping taken over.
//!
//! Reading and comparing are `notafter-sheet`'s. Here the inventory is fetched, owners are known or not, and what was
//! decided is done: owners by hand, dates by hand, watches. Printing is `import/page.rs`.

mod page;
mod plan;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::inventory::{AssetKind, Inventory, Role};
use notafter_core::joints::Sink;
use notafter_core::query::Query;
use notafter_core::scan::Scan;
use notafter_discover::manual::Manual;
use notafter_engine::ingest::Ingest;
use notafter_engine::spool::Spool;
use notafter_pki::certificate::Certificate;
use notafter_pki::fingerprint::hex;
use notafter_sheet::compare::{Found, compare, sha1};
use notafter_sheet::dates::Order;
use notafter_sheet::entries::Entry;
use notafter_sheet::reading::{Asked, take};
use notafter_sheet::{Wrong, table};
use notafter_store::observations::Outcome;
use notafter_store::queries::Sort;
use notafter_store::rows::AssetRow;
use notafter_store::{Store, StoreError};

use super::hands::{memory, setup};
use super::{End, Usage, no_rows};
use crate::cli::{DateOrder, Global, Import, SheetReading};
use crate::data::{shown, who};
use crate::print;
use crate::watches::{self, Watch};
use plan::{Deed, Plan};

/// Rows are fetched so many at a time.
const PAGE: usize = 500;
/// How often a host from a sheet is looked at, in seconds.
const EVERY: i64 = 3600;

pub(crate) fn run(global: &Global, args: &Import) -> Result<End, Usage> {
    no_rows(global, "import")?;
    let asked = asked(&args.reading)?;
    let bytes = read(&args.file)?;
    let explain =
        |wrong: Wrong| Usage::new(format!("{}: {}", args.file.display(), wrong.message)).hint(wrong.hint);
    let book = table::open(&bytes).map_err(explain)?;
    let (data, store, now) = memory(global)?;
    let failed = |e: StoreError| data.explain(&e);
    let found = found(&store, now).map_err(failed)?;
    let reading = take(&book, &asked, &found).map_err(explain)?;
    let entries: Vec<Entry> = reading.parts.iter().flat_map(|p| p.rows.entries.iter().cloned()).collect();
    let comparison = compare(&entries, &found);
    let (_, setup) = setup(global, &data, &store)?;
    let (watched, _) = watches::read(&store).map_err(failed)?;
    let plan = Plan::of(&entries, &comparison, &found, &setup, &watched, args, now)?;
    let done = if args.dry_run { None } else { Some(keep(&store, &plan, args, now).map_err(failed)?) };
    if done.is_some() {
        let (watched, _) = watches::read(&store).map_err(failed)?;
        let (sheet, _) = super::hands::setup(global, &data, &store)?;
        let judgment = sheet.mute_setup(&watched).map_err(Usage::new)?.judgment(now);
        let mut refused = |subject: &notafter_core::subject::SubjectKey, error: &StoreError| {
            print::note(&format!("the verdict about {subject} was refused: {error}"));
        };
        while notafter_engine::judge::judge_due(&store, &judgment, &mut refused).map_err(failed)?.is_some() {}
    }
    let view = page::View {
        file: &args.file,
        reading: &reading,
        entries: &entries,
        comparison: &comparison,
        found: &found,
        plan: &plan,
        done: done.as_ref(),
    };
    page::print(global, &view);
    let refused = reading.parts.iter().any(|p| !p.rows.refused.is_empty());
    Ok(if refused { End::Failed } else { End::Done })
}

pub(super) fn asked(args: &SheetReading) -> Result<Asked, Usage> {
    let columns = args.column.iter().map(|text| match text.split_once('=') {
        Some((meaning, heading)) => Ok((meaning.trim().to_ascii_lowercase(), heading.trim().to_owned())),
        None => Err(Usage::new(format!("--column {text}: say what the column means"))
            .hint("write --column expiry=Ablauf: a meaning, and a heading or a letter")),
    });
    let order = args.dates.map(|d| match d {
        DateOrder::Dmy => Order::DayFirst,
        DateOrder::Mdy => Order::MonthFirst,
    });
    Ok(Asked { sheet: args.sheet.clone(), columns: columns.collect::<Result<_, _>>()?, order })
}

/// The file's bytes, one more than allowed at most.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Usage> {
    use std::io::Read;
    let cannot = |e: std::io::Error| Usage::new(format!("cannot read {}: {e}", file.display()));
    let opened = std::fs::File::open(file).map_err(cannot)?;
    if opened.metadata().map_err(cannot)?.is_dir() {
        return Err(Usage::new(format!("{} is a folder", file.display())).hint("name a CSV or XLSX file"));
    }
    let mut bytes = Vec::new();
    opened.take(table::FILE_MAX as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    Ok(bytes)
}

/// Everything that is and was there, as the comparison wants it.
pub(super) fn found(store: &Store, now: UnixTime) -> Result<Vec<Found>, StoreError> {
    let mut out: Vec<Found> = Vec::new();
    let mut at: BTreeMap<notafter_core::Fingerprint, usize> = BTreeMap::new();
    let mut certificates = Vec::new();
    let mut take = |row: &AssetRow, in_use: bool, out: &mut Vec<Found>| -> usize {
        *at.entry(row.id).or_insert_with(|| {
            if row.kind == AssetKind::Certificate {
                certificates.push((out.len(), row.id));
            }
            out.push(Found {
                id: hex(&row.id.0),
                title: row.title.clone(),
                issuer: row.issuer_name.clone(),
                not_after: row.not_after,
                not_before: row.not_before,
                owner: row.owner.clone(),
                in_use,
                aside: row.is_ca || row.kind != AssetKind::Certificate,
                by_hand: row.kind == AssetKind::Manual,
                superseded: row.superseded,
                place: row.place.as_ref().map(ToString::to_string).unwrap_or_default(),
                ..Found::default()
            });
            out.len() - 1
        })
    };
    store.each_placement(&Query::default(), now, &mut |row, placement| {
        let index = take(row, true, &mut out);
        // Servers that sign for themselves often call themselves an authority: what comes first is what is served.
        let first = placement.role == Role::Leaf || placement.chain.first() == Some(&row.id);
        if let (Some(address), true) = (placement.location.address(), first) {
            out[index].aside &= row.kind != AssetKind::Certificate;
            let asked = placement.location.sni().map(str::to_lowercase);
            out[index].endpoints.push((address.ip(), address.port(), asked));
        }
        true
    })?;
    let gone = Query::parse("is:gone").unwrap_or_default();
    let mut after: Option<String> = None;
    loop {
        let page = store.assets(&gone, Sort::Ends, after.as_deref(), PAGE, now)?;
        for row in &page.rows {
            take(row, false, &mut out);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    for chunk in certificates.chunks(PAGE) {
        let ids: Vec<_> = chunk.iter().map(|(_, id)| *id).collect();
        for ((index, _), der) in chunk.iter().zip(store.bytes_of(&ids)?) {
            let one = &mut out[*index];
            one.sha1 = Some(sha1(&der));
            let Ok(certificate) = Certificate::parse(&der) else { continue };
            one.serial = hex(certificate.serial()).trim_start_matches('0').to_owned();
            one.aside &= certificate.subject_alt_names().next().is_none();
            one.names = names(&certificate);
        }
    }
    Ok(out)
}

/// What a certificate is for: its DNS names and addresses, and its common name.
fn names(certificate: &Certificate<'_>) -> Vec<String> {
    use notafter_pki::GeneralName;
    let mut out: Vec<String> = Vec::new();
    for name in certificate.subject_alt_names() {
        match name {
            GeneralName::Dns(name) => out.push(String::from_utf8_lossy(name).to_ascii_lowercase()),
            GeneralName::Ip(ip) => {
                let four = <[u8; 4]>::try_from(ip).map(std::net::IpAddr::from);
                let address = four.or_else(|_| <[u8; 16]>::try_from(ip).map(std::net::IpAddr::from));
                out.extend(address.map(|a| a.to_string()));
            }
            _ => {}
        }
    }
    out.extend(certificate.subject().common_name().map(|n| n.to_ascii_lowercase()));
    out.sort();
    out.dedup();
    out
}

/// What was done.
#[derive(Default)]
struct Done {
    /// Lines of certificates that have another owner now.
    owned: u64,
    /// Dates by hand that are new or changed.
    kept: u64,
    /// Dates by hand that are in the sheet no longer.
    ended: u64,
    /// Hosts that are watched from now on.
    watched: usize,
}

/// Does what is planned. Twice the same changes nothing the second time.
fn keep(store: &Store, plan: &Plan, args: &Import, now: UnixTime) -> Result<Done, StoreError> {
    let mut done = Done::default();
    for (id, owner) in &plan.owners {
        if let Ok(query) = Query::parse(&format!("id:sha256:{id}")) {
            done.owned += store.own(&query, Some(owner), &who(), now)?;
        }
    }
    let path = std::path::absolute(&args.file).unwrap_or_else(|_| args.file.clone());
    let source = format!("import {}", shown(&path));
    let entries = plan.deeds.iter().filter_map(|d| match d {
        Deed::Keep(entry) => Some(entry.clone()),
        _ => None,
    });
    let manual = Manual { file: path, entries: entries.collect() };
    let before = kept_before(store, &source, now)?;
    if !manual.entries.is_empty() || !before.is_empty() {
        let ingest = Arc::new(Ingest::new(Inventory::new(Box::<Spool>::default()), None, true));
        let mut places = std::collections::BTreeSet::new();
        for observation in manual.observations(now) {
            places.insert(observation.location.to_string());
            ingest.put(observation);
        }
        let vantage = crate::assemble::vantage();
        let mut run = store.begin(&source, &vantage, now)?;
        let changed = store.record(&mut run, &ingest.take())?;
        done.kept = changed.new_placements;
        // Each place that the sheet has no longer is ended by name: nobody need wonder why it is not seen.
        let outcome = Outcome { scan: Scan::default(), complete: false, fault: None, next: None };
        store.finish(run, &outcome, now)?;
        for place in before.iter().filter(|p| !places.contains(*p)) {
            let reason = format!("not in {} any more, or found since", shown(&args.file));
            done.ended += store.retire(place, &reason, &who(), now)?;
        }
    }
    let targets: Vec<String> = plan.targets();
    if !targets.is_empty() {
        done.watched = targets.len();
        watches::change(store, |list| {
            list.push(Watch { targets: targets.clone(), every: EVERY, notify: None });
        })?;
    }
    Ok(done)
}

/// Where dates by hand of this sheet stand now.
fn kept_before(store: &Store, source: &str, now: UnixTime) -> Result<Vec<String>, StoreError> {
    let query = Query::parse("kind:manual").unwrap_or_default();
    let mut out = Vec::new();
    store.each_placement(&query, now, &mut |row, placement| {
        if row.kind == AssetKind::Manual && placement.source == source {
            out.push(placement.location.to_string());
        }
        true
    })?;
    Ok(out)
}

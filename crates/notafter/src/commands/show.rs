//! `show`: one place whole: every fact of every asset there, its chain, what is wrong, where else it is.

use notafter_core::document::{AssetDocument, PlacementDocument};
use notafter_core::inventory::{AssetIx, Placement, Role};
use notafter_core::{UnixTime, dossier};
use notafter_engine::accepts::Accepts;
use notafter_engine::pipeline::Report;

use super::{End, Usage};
use crate::assemble::Assembly;
use crate::cli::{Format, Global, Scan, Show};
use crate::print;
use crate::print::paper::{Ink, Paper};
use crate::print::table::{self, common_name};

pub(crate) fn run(global: &Global, args: Show) -> Result<End, Usage> {
    if let [one] = args.targets.as_slice()
        && one.starts_with("sha256:")
    {
        return super::kept::show(global, one.trim_start_matches("sha256:"));
    }
    if global.format() != Format::Table {
        let scan = Scan {
            targets: args.targets,
            look: args.look,
            dry_run: false,
            yes: false,
            no_findings: false,
            fail_on: None,
            save: false,
        };
        return super::scan::run(global, scan);
    }
    let assembly = Assembly::new(global, &args.look, &args.targets)?;
    super::scan::polite(&assembly)?;
    let at = assembly.at;
    let cx = assembly.cx();
    let report = super::scan::look(assembly, &cx, global.quiet, true, None)?;
    let mut paper = Paper::new(print::colours(global.color), print::width());
    page(&mut paper, &report, at, &cx.vantage);
    print::out(paper.into_text().as_bytes());
    let nothing = report.inventory.assets().len() == 0 && report.inventory.keys().is_empty();
    Ok(if report.interrupted {
        End::Interrupted
    } else if nothing {
        End::NothingReached
    } else {
        End::Done
    })
}

fn page(paper: &mut Paper, report: &Report, at: UnixTime, vantage: &str) {
    let inventory = &report.inventory;
    let accepts = Accepts::new(inventory);
    for (ix, asset) in inventory.assets() {
        let places: Vec<&Placement> = inventory.placements().iter().filter(|p| p.asset == ix).collect();
        // Issuers are shown below the leaf they came with; a bundle's roots each for themselves.
        let leads = places.iter().any(|p| p.chain.is_some());
        if !leads {
            continue;
        }
        let document = AssetDocument::of(asset, &inventory.bytes(ix), at);
        paper.line(Ink::Bold, &table::name(&document, asset.kind));
        facts(paper, &document, asset.not_after, at);
        for place in &places {
            location(paper, report, place, at, vantage);
        }
        let accepted = accepts.of_client(inventory, ix);
        for place in &accepted.named {
            row(paper, "may sign in", &format!("{place}  asks for certificates of its issuer"));
        }
        for place in &accepted.any {
            row(paper, "may sign in", &format!("{place}  asks for a client certificate and names no CA"));
        }
        for finding in report.findings.iter().filter(|f| f.asset == Some(asset.id)) {
            paper.end();
            table::one(paper, finding, true);
        }
        paper.end();
    }
    for key in inventory.keys() {
        let encrypted = if key.encrypted { ", encrypted" } else { "" };
        let whose = key.key.map_or_else(|| "unknown".to_owned(), |k| k.to_string());
        paper.line(Ink::Bold, "private key");
        row(paper, "place", &table::shown(&key.location));
        row(paper, "format", &format!("{}{encrypted}", key.format));
        row(paper, "key id", &whose);
        paper.end();
    }
    for finding in report.findings.iter().filter(|f| f.asset.is_none()) {
        table::one(paper, finding, true);
        paper.end();
    }
    for spot in inventory.blind_spots() {
        paper.put(Ink::Bold, "not seen  ");
        paper.line(
            Ink::Plain,
            &format!("{}: {} ({})", table::shown(&spot.location), spot.detail, spot.reason.as_str()),
        );
    }
}

pub(super) fn row(paper: &mut Paper, name: &str, value: &str) {
    if !value.is_empty() {
        paper.put(Ink::Dim, &format!("  {name:<13}")).line(Ink::Plain, value);
    }
}

pub(super) fn facts(paper: &mut Paper, d: &AssetDocument, end: Option<UnixTime>, at: UnixTime) {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "cannot be read".to_owned());
    row(paper, "id", &d.id);
    row(paper, "kind", d.kind);
    row(paper, "subject", &text(&d.subject));
    row(paper, "names", &d.names.join(" "));
    row(paper, "other names", &d.other_names.join(" "));
    row(paper, "issuer", &text(&d.issuer_name));
    row(paper, "serial", &text(&d.serial));
    row(paper, "valid from", &text(&d.not_before));
    let left = end.map(|e| format!("  ({})", dossier::days_text(e, at))).unwrap_or_default();
    row(paper, "valid until", &format!("{}{left}", text(&d.not_after)));
    if let Some(key) = &d.key {
        let bits = key.bits.map(|b| format!(" {b} bits")).unwrap_or_default();
        let curve = key.curve.as_ref().map(|c| format!(" ({c})")).unwrap_or_default();
        row(paper, "key", &format!("{}{bits}{curve}", key.algorithm));
        row(paper, "key id", &key.id);
    }
    row(paper, "signature", &text(&d.signature));
    let yes = |b: Option<bool>| b.map_or("", |b| if b { "yes" } else { "no" });
    row(paper, "CA", yes(d.is_ca));
    row(paper, "self-signed", yes(d.self_signed));
    row(paper, "purposes", &d.extended_key_usage.join(" "));
    if let Some(n) = d.revoked_count {
        row(paper, "revoked", &n.to_string());
    }
    for problem in &d.problems {
        row(paper, "odd", problem);
    }
}

fn location(paper: &mut Paper, report: &Report, at_place: &Placement, at: UnixTime, vantage: &str) {
    place(paper, "place", &PlacementDocument::of(&report.inventory, at_place, vantage));
    if at_place.role == Role::Leaf {
        for (n, ix) in at_place.chain.iter().flat_map(|c| c.iter()).enumerate().skip(1) {
            chain_member(paper, report, *ix, n, at);
        }
    }
}

/// One place with all that is known of it; `what` is what the line is called.
pub(super) fn place(paper: &mut Paper, what: &str, d: &PlacementDocument) {
    let mut how = vec![d.role.to_owned()];
    how.extend(d.protocol.clone());
    how.extend(d.tls_version.clone());
    how.extend(d.possession.map(|p| format!("possession {p}")));
    if let Some(process) = &d.process {
        how.push(format!("{} (pid {})", process.name, process.pid));
        how.extend(process.unit.clone());
    }
    if let Some(file) = &d.file {
        how.push(format!("mode {}, owner {}, changed {}", file.mode, file.owner, file.mtime));
    }
    let location = d.location.strip_prefix("file://").unwrap_or(&d.location);
    row(paper, what, &format!("{location}  {}", how.join(", ")));
    if let Some(cas) = &d.client_cas {
        let whom = if cas.is_empty() { "of any CA".to_owned() } else { cas.join("; ") };
        paper.put(Ink::Dim, "  asks for     ").line(Ink::Plain, &format!("a client certificate of {whom}"));
    }
}

fn chain_member(paper: &mut Paper, report: &Report, ix: AssetIx, n: usize, at: UnixTime) {
    let asset = report.inventory.asset(ix);
    let d = AssetDocument::of(asset, &report.inventory.bytes(ix), at);
    let subject = d.subject.as_deref().map(common_name).unwrap_or_default();
    let issuer = d.issuer_name.as_deref().map(common_name).unwrap_or_default();
    let left = asset.not_after.map(|e| dossier::days_text(e, at)).unwrap_or_default();
    let text = format!("{}└ {subject}  ends {left}  (issued by {issuer})", "  ".repeat(n));
    row(paper, "chain", &text);
}

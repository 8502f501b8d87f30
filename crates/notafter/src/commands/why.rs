//! `why`: triage during an outage: everything dated on the path to a host, the culprit in one line.
//!
//! First form: names and addresses, every port that answers, chains, and files of this host when it is
//! this host. What it cannot see it says; it never guesses.

use std::collections::BTreeMap;
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::document::{AssetDocument, FindingDocument};
use notafter_core::dossier::days_text;
use notafter_core::finding::{Finding, Kind, Severity};
use notafter_core::inventory::{Placement, Role};
use notafter_discover::resolve::Resolver;
use notafter_discover::target::{Hosts, Target};
use notafter_engine::pipeline::Report;

use super::{End, Usage, no_rows};
use crate::assemble::Assembly;
use crate::cli::{Format, Global, Why};
use crate::print;
use crate::print::paper::{Ink, Paper};
use crate::print::table::{self, common_name};

pub(crate) fn run(global: &Global, args: Why) -> Result<End, Usage> {
    no_rows(global, "why")?;
    let target = Target::parse(&args.host, |_| false)?;
    let Target::Network(network) = &target else {
        return Err(Usage::new(format!("`{}` is no host", args.host))
            .hint("name a host, like example.com or example.com:8443"));
    };
    let look = &args.look;
    let resolver = look.resolver.as_deref().map(crate::assemble::resolver).transpose()?;
    let patience = crate::moment::duration(&look.timeout).map_err(Usage::new)?;
    let texts = [args.host.clone()];
    let assembly = Assembly::new(global, look, &texts)?;
    super::scan::polite(&assembly)?;
    let at = assembly.at;
    let cx = assembly.cx();
    let dns = addresses(&network.hosts, resolver, patience);
    let report = super::scan::look(assembly, &cx, global.quiet, true, None)?;
    let verdict = verdict(&report, &dns, at);
    if global.format() == Format::Table {
        let mut paper = Paper::new(print::colours(global.color), print::width());
        page(&mut paper, &args.host, &report, &dns, &verdict, at);
        print::out(paper.into_text().as_bytes());
    } else {
        let document = serde_json::json!({
            "host": args.host,
            "at": at.to_string(),
            "verdict": verdict.text,
            "culprit": verdict.culprit.map(|f| FindingDocument::of(f, at)),
            "addresses": dns.as_ref().ok(),
            "dns_error": dns.as_ref().err(),
            "findings": report.findings.iter().map(|f| FindingDocument::of(f, at)).collect::<Vec<_>>(),
        });
        print::out(format!("{document:#}\n").as_bytes());
    }
    Ok(if report.interrupted {
        End::Interrupted
    } else if report.scan.reached == 0 {
        End::NothingReached
    } else {
        End::Done
    })
}

type Dns = Result<Vec<std::net::IpAddr>, String>;

fn addresses(hosts: &Hosts, server: Option<std::net::SocketAddr>, patience: Duration) -> Dns {
    let name = match hosts {
        Hosts::Addresses(range) => return Ok((0..range.len().min(256)).map(|n| range.nth(n)).collect()),
        Hosts::Name(name) => name,
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let answer = runtime.block_on(async { Resolver::new(server)?.addresses(name, patience).await });
    // The system's resolver may still be waiting for a dead server.
    runtime.shutdown_background();
    answer
}

struct Verdict<'r> {
    text: String,
    culprit: Option<&'r Finding>,
}

/// The culprit is what is broken now; failing that, what will be soonest.
fn verdict<'r>(report: &'r Report, dns: &Dns, at: UnixTime) -> Verdict<'r> {
    if let Err(error) = dns {
        return Verdict { text: format!("the name does not resolve: {error}"), culprit: None };
    }
    let broken_now = |f: &&Finding| {
        f.severity == Severity::Critical
            && (f.deadline.is_none_or(|d| d <= at)
                || matches!(f.kind, Kind::NotYetValid | Kind::InconsistentEndpoint))
    };
    // Cause before symptom: an unloaded renewal explains the expired certificate, an expired issuer
    // explains the untrusted chain.
    let rank = |f: &&Finding| match f.kind {
        Kind::RenewedNotLoaded => 0,
        Kind::ChainExpiresFirst => 1,
        Kind::InconsistentEndpoint => 2,
        _ => 3,
    };
    if let Some(culprit) = report.findings.iter().filter(broken_now).min_by_key(rank) {
        return Verdict { text: format!("{}: {}", culprit.kind, culprit.summary), culprit: Some(culprit) };
    }
    if report.scan.reached == 0 {
        return Verdict {
            text: "nothing dated explains it: no server answered with a certificate".to_owned(),
            culprit: None,
        };
    }
    let broken = report.findings.iter().find(|f| f.severity == Severity::Warning && f.deadline.is_none());
    let text = match broken {
        Some(f) => format!("nothing dated explains it, but some clients will fail: {}", f.summary),
        None => "nothing dated explains it".to_owned(),
    };
    Verdict { text, culprit: broken }
}

fn page(paper: &mut Paper, host: &str, report: &Report, dns: &Dns, verdict: &Verdict<'_>, at: UnixTime) {
    let ink = verdict.culprit.map_or(Ink::Green, |f| Ink::of(f.severity));
    let ink = if dns.is_err() || report.scan.reached == 0 { Ink::Red } else { ink };
    paper.put(Ink::Bold, &format!("{host}: ")).line(ink, &verdict.text);
    if let Some(culprit) = verdict.culprit {
        paper.paragraph(Ink::Plain, 2, &format!("hint: {}", culprit.hint));
    }
    paper.end();
    match dns {
        Ok(list) => {
            let list: Vec<_> = list.iter().map(ToString::to_string).collect();
            row(paper, "dns", &list.join(" "));
        }
        Err(error) => row(paper, "dns", error),
    }
    let mut by_place: BTreeMap<&str, Vec<&Placement>> = BTreeMap::new();
    for place in report.inventory.placements().iter().filter(|p| p.role == Role::Leaf && p.chain.is_some()) {
        by_place.entry(place.location.as_str()).or_default().push(place);
    }
    for (location, places) in by_place {
        row(paper, "port", location);
        for place in places {
            for (n, ix) in place.chain.iter().flat_map(|c| c.iter()).enumerate() {
                let asset = report.inventory.asset(*ix);
                let d = AssetDocument::of(asset, &report.inventory.bytes(*ix), at);
                let end =
                    asset.not_after.map(|e| format!("ends {} ({})", &e.to_string()[..10], days_text(e, at)));
                let name = if n == 0 {
                    table::name(&d, asset.kind)
                } else {
                    d.subject.as_deref().map(common_name).unwrap_or_default()
                };
                let issuer = d.issuer_name.as_deref().map(common_name).unwrap_or_default();
                let dead = asset.not_after.is_some_and(|e| e < at);
                paper.put(Ink::Plain, &format!("           {}└ ", "  ".repeat(n)));
                paper.put(
                    if dead { Ink::Red } else { Ink::Plain },
                    &format!("{name}  {}", end.unwrap_or_default()),
                );
                paper.line(Ink::Dim, &format!("  by {issuer}"));
            }
            if let Some(process) = &place.facts.process {
                row(paper, "process", &format!("{} (pid {})", process.name, process.pid));
            }
        }
    }
    for spot in report.inventory.blind_spots() {
        row(
            paper,
            "not seen",
            &format!("{}: {} ({})", table::shown(&spot.location), spot.detail, spot.reason.as_str()),
        );
    }
    row(paper, "not asked", "DNSSEC, the domain's registration, CRLs: not in this version");
    let culprit = verdict.culprit.map(Finding::id);
    for finding in report.findings.iter().filter(|f| Some(f.id()) != culprit) {
        paper.end();
        table::one(paper, finding, false);
    }
}

fn row(paper: &mut Paper, name: &str, text: &str) {
    paper.put(Ink::Dim, &format!("{name:<11}")).line(Ink::Plain, text);
}

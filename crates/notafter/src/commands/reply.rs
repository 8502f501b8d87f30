//! `issuer request` and `issuer reply`: what a CA without an API is asked, and what it sent, given to the renewal that waits.
//!
//! It is looked at as if it had been dropped into the folder: by its key, and by the review that every certificate passes.
//! What fits is kept for the renewal, which goes on by itself; what does not is told, and nothing changes.

use std::path::Path;

use notafter_act::issuers;
use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_core::query::nearest;
use notafter_engine::clock::SystemClock;
use notafter_engine::renew::{Awaited, Replied, awaited};
use notafter_pki::container::pem;
use serde_json::json;

use super::ca::read_input;
use super::renew::Bench;
use super::{End, Usage, no_rows, runtime};
use crate::assemble;
use crate::cli::{Format, Global, IssuerReply, IssuerRequest};
use crate::config::plan::Sheet;
use crate::data::{Data, who};
use crate::print;

/// No reply is larger.
const REPLY_MAX: u64 = 1 << 20;

pub(crate) fn run(global: &Global, args: &IssuerReply) -> Result<End, Usage> {
    no_rows(global, "issuer reply")?;
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    known(&sheet, &args.name)?;
    let octets = read_input(&args.file, REPLY_MAX)?;
    let data = Data::find(global, &sheet)?;
    data.open_existing(SystemClock::new().now())?;
    let bench = Bench::open(global, None)?;
    let (mut waiting, mut reasons) = (Vec::new(), Vec::new());
    for managed in &bench.managed {
        let newest = bench.newest(managed)?;
        let Some(awaited) = newest.as_ref().and_then(|renewal| awaited(managed, renewal)) else { continue };
        if managed.name != args.name && awaited.issuer != args.name {
            continue;
        }
        let replied = runtime()?.block_on(bench.renewer().reply(managed, &octets, &who()));
        match replied.map_err(|e| data.explain(&e))? {
            Replied::Unasked => {}
            Replied::Refused(fault) => {
                waiting.push(managed.name.as_str());
                reasons.push(fault.context);
            }
            Replied::Taken { issuer, not_after } => {
                said(global, &managed.name, &issuer, not_after);
                return Ok(End::Done);
            }
        }
    }
    if waiting.is_empty() {
        return Err(nothing_waits(&args.name));
    }
    let what =
        if args.file == Path::new("-") { "what came".to_owned() } else { args.file.display().to_string() };
    reasons.dedup();
    Err(Usage::new(format!("{what} is not taken: {}", reasons.join("; ")))
        .hint(format!("{} waits on; nothing was changed", waiting.join(", "))))
}

/// Prints the requests that wait, as PEM; in JSON with the certificates that they are for.
pub(crate) fn request(global: &Global, args: &IssuerRequest) -> Result<End, Usage> {
    no_rows(global, "issuer request")?;
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    known(&sheet, &args.name)?;
    let data = Data::find(global, &sheet)?;
    data.open_existing(SystemClock::new().now())?;
    let bench = Bench::open(global, None)?;
    let mut waiting = Vec::new();
    for managed in &bench.managed {
        let newest = bench.newest(managed)?;
        let awaited = newest.as_ref().and_then(|renewal| awaited(managed, renewal));
        let meant = |awaited: &Awaited<'_>| managed.name == args.name || awaited.issuer == args.name;
        if let Some(awaited) = awaited.filter(meant) {
            let pem = pem::encode("CERTIFICATE REQUEST", &awaited.request.csr);
            waiting.push((managed.name.clone(), awaited.issuer.to_owned(), pem));
        }
    }
    if waiting.is_empty() {
        return Err(nothing_waits(&args.name));
    }
    let text = match global.format() {
        Format::Table => waiting.into_iter().map(|(.., pem)| pem).collect(),
        _ => {
            let list = waiting.iter().map(|(certificate, issuer, pem)| {
                json!({"certificate": certificate, "issuer": issuer, "request": pem})
            });
            format!("{}\n", list.collect::<serde_json::Value>())
        }
    };
    print::out(text.as_bytes());
    Ok(End::Done)
}

fn nothing_waits(name: &str) -> Usage {
    Usage::new(format!("no request of `{name}` waits for a reply"))
        .hint("notafter renew NAME makes one, or go on: notafter serve")
}

fn said(global: &Global, certificate: &str, issuer: &str, not_after: Option<UnixTime>) {
    let end = not_after.map(|t| t.to_string()).unwrap_or_default();
    let text = match global.format() {
        Format::Table => format!(
            "taken: it is what {certificate} waits for, until {end}\n`notafter serve` goes on with it within a minute; at once: notafter renew {certificate}\n"
        ),
        _ => format!("{}\n", json!({"certificate": certificate, "issuer": issuer, "not_after": end})),
    };
    print::out(text.as_bytes());
}

/// Is it a certificate, or an issuer to which replies are given?
fn known(sheet: &Sheet, name: &str) -> Result<(), Usage> {
    let certificates = sheet.config.certificate.iter().map(|t| t.name.get_ref().as_str());
    let hands = sheet.config.issuer.iter().filter(|t| t.kind == issuers::csr::NAME);
    let all: Vec<&str> = certificates.chain(hands.map(|t| t.name.get_ref().as_str())).collect();
    if all.contains(&name) {
        return Ok(());
    }
    let hint = match nearest(name, all.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if all.is_empty() => "write [[issuer]] and [[certificate]] tables into notafter.toml".to_owned(),
        None => format!("there are {}", all.join(", ")),
    };
    Err(Usage::new(format!(
        "no certificate and no issuer of kind \"csr\" is called `{}`",
        name.escape_debug()
    ))
    .hint(hint))
}

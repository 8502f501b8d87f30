//! `issuer reply`: what a CA without an API sent, given to the renewal that waits for it.
//!
//! It is looked at as if it had been dropped into the folder: by its key, and by the review that every certificate passes.
//! What fits is kept for the renewal, which goes on by itself; what does not is told, and nothing changes.

use std::path::Path;

use notafter_act::issuers::{self, csr::ByHand};
use notafter_act::roots::Roots;
use notafter_core::clock::Clock;
use notafter_core::issuance::Request;
use notafter_core::query::nearest;
use notafter_core::renew::State;
use notafter_engine::clock::SystemClock;
use notafter_engine::renew::issuer_of;
use notafter_pki::certificate::Certificate;
use notafter_store::alerts::AuditLine;
use notafter_store::works::subject;
use serde_json::json;

use super::ca::read_input;
use super::{End, Usage, no_rows};
use crate::assemble;
use crate::cli::{Format, Global, IssuerReply};
use crate::config::managed::settings;
use crate::config::plan::Sheet;
use crate::data::{Data, who};
use crate::keeping::{self, Yard};
use crate::print;

/// No reply is larger.
const REPLY_MAX: u64 = 1 << 20;

/// A request that waits.
struct Waiting {
    certificate: String,
    issuer: String,
    request: Request,
}

pub(crate) fn run(global: &Global, args: &IssuerReply) -> Result<End, Usage> {
    no_rows(global, "issuer reply")?;
    let now = SystemClock::new().now();
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    known(&sheet, &args.name)?;
    let octets = read_input(&args.file, REPLY_MAX)?;
    let data = Data::find(global, &sheet)?;
    let store = data.open_existing(now)?;
    let keep = keeping::keep(&sheet, &data, &store).map_err(|e| assemble::explain_plain(&e))?;
    let yard = Yard { keep, rehearsal: false };
    let mut waiting = Vec::new();
    for managed in sheet.managed(&yard).map_err(|e| assemble::explained(&sheet, &e))? {
        let newest = store.works_of(&managed.name, 1).map_err(|e| data.explain(&e))?.into_iter().next();
        let open = newest.map(|w| w.renewal).filter(|r| r.state == State::WaitsForIssuer);
        let Some((renewal, issuer)) = open.and_then(|r| {
            let issuer = issuer_of(&managed, &r)?.0.clone();
            Some((r, issuer))
        }) else {
            continue;
        };
        let meant = managed.name == args.name || issuer == args.name;
        if let Some(request) = renewal.request.filter(|_| meant && by_hand(&sheet, &issuer)) {
            waiting.push(Waiting { certificate: managed.name.clone(), issuer, request });
        }
    }
    if waiting.is_empty() {
        return Err(Usage::new(format!("no request of `{}` waits for a reply", args.name))
            .hint("notafter renew NAME makes one, or go on: notafter serve"));
    }
    let mut reasons = Vec::new();
    for one in &waiting {
        let table = sheet.config.issuer.iter().find(|t| *t.name.get_ref() == one.issuer);
        let Some(table) = table else { continue };
        let settings = settings(&table.rest).map_err(|e| assemble::explain_plain(&e))?;
        let issuer = ByHand::open(settings, &yard.cx(&one.issuer, &Roots::none()))
            .map_err(|e| assemble::explain_plain(&e))?;
        let issued = match issuer.fits(&one.request, &octets, now) {
            Ok(issued) => issued,
            Err(fault) => {
                reasons.push(fault);
                continue;
            }
        };
        issuer.take(&issued)?;
        let end =
            issued.chain.first().and_then(|der| Certificate::parse(der).ok()).and_then(|c| c.not_after());
        let end = end.map(|t| t.to_string()).unwrap_or_default();
        let detail = format!("{}, until {end}", one.issuer);
        let what = "reply-taken".to_owned();
        let line = AuditLine { at: now, who: who(), what, subject: subject(&one.certificate), detail };
        store.audit(&line).map_err(|e| data.explain(&e))?;
        let text = match global.format() {
            Format::Table => format!(
                "taken: it is what {} waits for, until {end}\n`notafter serve` goes on with it within a minute; at once: notafter renew {}\n",
                one.certificate, one.certificate
            ),
            _ => format!(
                "{}\n",
                json!({"certificate": one.certificate, "issuer": one.issuer, "not_after": end})
            ),
        };
        print::out(text.as_bytes());
        return Ok(End::Done);
    }
    let what =
        if args.file == Path::new("-") { "what came".to_owned() } else { args.file.display().to_string() };
    let mut said: Vec<String> = reasons.into_iter().map(|f| f.context).collect();
    said.dedup();
    Err(Usage::new(format!("{what} is not taken: {}", said.join("; "))).hint(format!(
        "{} waits on; nothing was changed",
        waiting.iter().map(|w| w.certificate.as_str()).collect::<Vec<_>>().join(", ")
    )))
}

fn by_hand(sheet: &Sheet, issuer: &str) -> bool {
    sheet.config.issuer.iter().any(|t| t.name.get_ref() == issuer && t.kind == issuers::csr::NAME)
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

//! `adopt`: from discovered to managed. What would be added to the configuration is shown, and then added.
//!
//! ```text
//! known (memory or a look) → servers of this machine that read it → plan → difference → checked → asked → written
//! ```
//!
//! Only here, and only by a person at the command line. What a configuration, a certificate or the memory says becomes
//! text that this person reads before it counts; commands come from the presets alone. Nothing is issued and nothing is
//! installed: `rehearse` and `renew` do that afterwards.

mod known;
pub(crate) mod plan;
mod running;
mod servers;
#[cfg(test)]
mod tests;
mod ways;
pub(crate) mod who;

use std::path::Path;

use notafter_core::location::Location;
use serde_json::json;

use super::{End, Usage, no_rows};
use crate::amend::{self, Amendment};
use crate::assemble;
use crate::cli::{Adopt, Format, Global};
use crate::config::plan::Sheet;
use crate::print;
use crate::print::paper::{Ink, Paper};
use known::Known;
use plan::{Plan, Solver};
use servers::{Found, Place};

/// So many addresses are proved at once; a fleet has more, and they are named in groups by a person.
const SERVED_MAX: usize = 64;

pub(crate) fn run(global: &Global, args: &Adopt) -> Result<End, Usage> {
    no_rows(global, "adopt")?;
    let (sheet, path) = amend::sheet(global)?;
    let global = &Global { config: sheet.file.clone(), ..global.clone() };
    let given = args.solver.as_deref().map(who::given).transpose()?;
    for place in &args.prove {
        assemble::probe_sources(place, &sheet.look_closely(), &[], &[])?;
    }
    let known = Known::find(global, &sheet, &args.item)?;
    let found = servers::find(&known);
    if let Some((name, file)) = kept_already(&sheet, &found.places) {
        return Err(Usage::new(format!("`{name}` keeps it alive already: one of its targets writes {file}"))
            .hint(format!("notafter renew {name} replaces it now")));
    }
    let others = who::others(&known, &found.places, "notafter");
    let plan = planned(&sheet, args, &known, &found, &others, given)?;
    let text = plan.text();
    let change = Amendment::append(&sheet, &path, &text)?;
    let missing = plan.missing();
    let rights: Vec<String> = plan
        .targets
        .iter()
        .flat_map(|t| t.files.paths().map(|(_, path)| servers::may_write(path)))
        .filter_map(Result::err)
        .collect();
    let whole = missing.is_empty() && !plan.targets.is_empty();
    if whole {
        change.check(&sheet)?;
    }
    let warnings = warnings(&known, &others, &found, &plan);
    let mut answer = json!({
        "certificate": known.id.to_string(), "name": plan.name, "names": plan.names, "file": change.path(),
        "toml": text, "diff": change.diff(), "missing": missing, "warnings": warnings, "not_writable": rights,
        "added": false,
    });
    let table = global.format() == Format::Table;
    if table {
        shown(global, &change, &missing, &warnings);
    }
    let mut end = |added: bool, backup: Option<&Path>| {
        answer["added"] = added.into();
        answer["backup"] = backup.map(|b| b.display().to_string()).into();
        if !table {
            print::out(format!("{answer}\n").as_bytes());
        }
    };
    if args.dry_run {
        end(false, None);
        return Ok(End::Done);
    }
    if let Some(refused) = refusal(args, &plan, &missing, &rights) {
        end(false, None);
        return Err(refused);
    }
    match amend::agreed(&format!("Add this to {}?", change.path().display()), args.yes, "nothing was added") {
        Ok(true) => {}
        Ok(false) => {
            end(false, None);
            print::note("nothing was added");
            return Ok(End::Failed);
        }
        Err(usage) => {
            end(false, None);
            return Err(usage);
        }
    }
    let backup = change.write()?;
    end(true, backup.as_deref());
    if table {
        let kept = backup.map(|b| format!("; what was there before is {}", b.display())).unwrap_or_default();
        print::out(
            format!(
                "added to {}{kept}\nnext: notafter rehearse {name}, then notafter renew {name}. A running server takes it up with SIGHUP\n",
                change.path().display(),
                name = plan.name
            )
            .as_bytes(),
        );
    }
    Ok(End::Done)
}

fn planned(
    sheet: &Sheet,
    args: &Adopt,
    known: &Known,
    found: &Found,
    others: &[who::Other],
    given: Option<toml::Table>,
) -> Result<Plan, Usage> {
    let (names, left_out) = Plan::names(&known.der);
    let taken: Vec<&str> = sheet.config.certificate.iter().map(|c| c.name.get_ref().as_str()).collect();
    let name = match &args.name {
        Some(name) if taken.contains(&name.as_str()) => {
            return Err(Usage::new(format!("a certificate is called `{}` already", name.escape_debug()))
                .hint("--name gives it another one"));
        }
        Some(name) => name.clone(),
        None => Plan::called(&names, &taken),
    };
    let solver = match given {
        Some(table) => Solver::Table { table, note: None },
        None => who::solver(known, others, &found.places),
    };
    let (key, key_note) = Plan::key(&known.der);
    let mut served: Vec<Location> = known.served.iter().take(SERVED_MAX).cloned().collect();
    served.sort();
    Ok(Plan {
        name,
        names,
        left_out,
        key,
        key_note,
        issuer: who::issuer(sheet, args.issuer.as_deref(), known, others)?,
        solver,
        targets: Plan::targets(found.places.clone(), &served, &args.prove),
        elsewhere: served.iter().map(|place| place.as_str().to_owned()).collect(),
    })
}

/// The certificate of the configuration whose target writes one of these files.
fn kept_already(sheet: &Sheet, places: &[Place]) -> Option<(String, String)> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let ours: Vec<_> = places.iter().flat_map(|p| p.files.paths()).map(|(_, path)| real(path)).collect();
    for certificate in &sheet.config.certificate {
        for target in certificate.target.iter().filter(|t| t.kind.get_ref() == "files") {
            let paths = target.rest.values().filter_map(toml::Value::as_str).filter(|t| t.starts_with('/'));
            for path in paths {
                if ours.contains(&real(Path::new(path))) {
                    return Some((certificate.name.get_ref().clone(), path.to_owned()));
                }
            }
        }
    }
    None
}

fn warnings(known: &Known, others: &[who::Other], found: &Found, plan: &Plan) -> Vec<String> {
    let mut out = Vec::new();
    for other in others.iter().filter(|o| o.automatic) {
        out.push(format!(
            "{} still renews it ({}, in {}): two masters, each undoing what the other did. Once it is renewed here: {}",
            other.tool,
            other.lineage,
            other.state.display(),
            other.switch_off()
        ));
    }
    out.extend(found.not_taken.iter().map(|why| format!("not taken: {why}")));
    if known.served.len() > SERVED_MAX {
        out.push(format!(
            "it is served at {} addresses, and {SERVED_MAX} of them stand in `prove`: add the others",
            known.served.len()
        ));
    }
    let is_ours = |place: &Location| place.ip().is_some_and(notafter_discover::local::is_ours);
    let proved = |place: &Location| plan.targets.iter().flat_map(|t| &t.prove).any(|p| p == place.as_str());
    let stray: Vec<&str> = known
        .served
        .iter()
        .take(SERVED_MAX)
        .filter(|place| is_ours(place) && !proved(place))
        .map(Location::as_str)
        .take(8)
        .collect();
    if !stray.is_empty() && !plan.targets.is_empty() {
        out.push(format!(
            "served on this machine too, by something whose configuration was not found: {}. Add it to the `prove` of the target that it reads, or a target of its own",
            stray.join(", ")
        ));
    }
    let far: Vec<&str> = known
        .served
        .iter()
        .filter(|place| place.ip().is_some() && !is_ours(place))
        .map(Location::as_str)
        .take(8)
        .collect();
    if !far.is_empty() && !plan.targets.is_empty() {
        out.push(format!(
            "served on other machines too, where nothing here installs it: {}. Add a target for each (kind = \"ssh\"), or excuse it by name",
            far.join(", ")
        ));
    }
    out
}

/// Why nothing can be added, if so.
fn refusal(args: &Adopt, plan: &Plan, missing: &[String], rights: &[String]) -> Option<Usage> {
    if !missing.is_empty() {
        return Some(
            Usage::new(format!("nothing was added, because it does not say {}", missing.join("; nor ")))
                .hint("say it on the command line, or add what is printed by hand and fill it in"),
        );
    }
    if plan.targets.is_empty() {
        return Some(
            Usage::new("nothing was added: no file of this machine that may be written holds it together with its key")
                .hint("run this on the machine where it lives and as an account that may read the key there, or add what is printed by hand with a target of kind ssh, exec or webhook"),
        );
    }
    rights.first().map(|first| {
        let more = if rights.len() > 1 { format!(" (and {} more)", rights.len() - 1) } else { String::new() };
        let item = &args.item;
        Usage::new(format!("nothing was added, because it could not be installed: {first}{more}"))
            .hint(format!("the account that may write there has to adopt it: sudo notafter adopt {item}"))
    })
}

fn shown(global: &Global, change: &Amendment, missing: &[String], warnings: &[String]) {
    let mut paper = Paper::new(print::colours(global.color), print::width());
    for line in change.diff().lines() {
        let ink = match line.as_bytes().first() {
            Some(b'+') => Ink::Green,
            Some(b'-') => Ink::Red,
            _ => Ink::Dim,
        };
        paper.line(ink, line);
    }
    print::out(paper.into_text().as_bytes());
    for text in warnings {
        print::note(&format!("warning: {}", notafter_pki::name::printable(text)));
    }
    for text in missing {
        print::note(&format!("to be filled in: {}", notafter_pki::name::printable(text)));
    }
}

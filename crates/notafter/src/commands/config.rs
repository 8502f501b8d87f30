//! `config init | check | schema`: write a commented file, explain mistakes, print the JSON schema.

use std::io::Write;
use std::path::PathBuf;

use notafter_core::clock::Clock;
use notafter_engine::clock::SystemClock;

use super::{End, Usage};
use crate::assemble;
use crate::cli::{ConfigCommand, Global};
use crate::config::{init, schema};
use crate::keeping;
use crate::print;

pub(crate) fn run(global: &Global, command: &ConfigCommand) -> Result<End, Usage> {
    match command {
        ConfigCommand::Init => write(global),
        ConfigCommand::Check => check(global),
        ConfigCommand::Schema => print_schema(),
    }
}

fn write(global: &Global) -> Result<End, Usage> {
    let path = global.config.clone().unwrap_or_else(|| PathBuf::from("notafter.toml"));
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
    let written = file.and_then(|mut f| f.write_all(init::TEXT.as_bytes()));
    written.map_err(|e| {
        let hint = if e.kind() == std::io::ErrorKind::AlreadyExists {
            "it is there already, and is left as it is; name another with --config FILE"
        } else {
            "name a place where you may write with --config FILE"
        };
        Usage::new(format!("cannot write {}: {e}", path.display())).hint(hint)
    })?;
    print::note(&format!(
        "wrote {}: everything in it is switched off; take the # away where you want it",
        path.display()
    ));
    Ok(End::Done)
}

fn check(global: &Global) -> Result<End, Usage> {
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    let Some(file) = sheet.file.clone() else {
        print::out(b"no configuration file: everything is as by default\n");
        return Ok(End::Done);
    };
    let explain = |e: String| assemble::explain(&file, &e);
    let mut mistakes = sheet.mistakes();
    if mistakes.len() > 1 {
        // All but the last as they will be read; that one as every mistake is.
        let last = mistakes.pop().unwrap_or_default();
        for one in mistakes {
            let mistake = explain(one);
            print::error(&mistake.message, mistake.hint.as_deref());
        }
        return Err(explain(last));
    }
    if let Some(one) = mistakes.pop() {
        return Err(explain(one));
    }
    let setup = sheet.setup(&[]).map_err(explain)?;
    let now = SystemClock::new().now();
    let kept = keeping::checked(&sheet).map_err(explain)?;
    let mut text = format!("{}: right\n", file.display());
    let mut line = |what: &str, names: Vec<String>| {
        let list = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
        text.push_str(&format!(
            "  {} {what}{}{list}\n",
            names.len(),
            if names.len() == 1 { "" } else { "s" }
        ));
    };
    line("source", setup.sources.iter().map(|s| s.name.clone()).collect());
    line("notifier", setup.channels.keys().cloned().collect());
    line("owner", setup.people.keys().cloned().collect());
    line("service", setup.services.iter().map(|s| s.name.clone()).collect());
    if !kept.is_empty() {
        let many = if kept.len() == 1 { "" } else { "s" };
        text.push_str(&format!("  {} certificate{many} kept alive: {}\n", kept.len(), kept.join(", ")));
    }
    for (is_well, said) in super::doctor::apart::visit(&sheet).map_err(explain)? {
        text.push_str(&format!("  act: {}{said}\n", if is_well { "" } else { "not well: " }));
    }
    let silent = setup.people.get(&setup.last_resort).is_none_or(|p| p.notify.is_empty());
    if silent {
        text.push_str("  nobody is told: the owner of last resort has no notifier\n");
    }
    if setup.public_url.is_none() && !setup.channels.is_empty() {
        text.push_str(
            "  messages name the command that acknowledges, and hold no link: public_url is not set\n",
        );
    }
    for (name, person) in &setup.people {
        for (from, until) in person.absences.iter().filter(|(_, until)| *until > now) {
            text.push_str(&format!("  {name} is away from {from} until {until}\n"));
        }
    }
    print::out(text.as_bytes());
    Ok(End::Done)
}

fn print_schema() -> Result<End, Usage> {
    let text = serde_json::to_string_pretty(&schema::whole()).unwrap_or_default();
    print::out(format!("{text}\n").as_bytes());
    Ok(End::Done)
}

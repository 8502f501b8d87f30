//! The notafter program: from what was typed to a command, and from its end to an exit code.
//!
//! `cli` reads, `assemble` plugs the providers in, `commands` do one thing each, `print` says it. Only
//! this crate prints or ends the process.

mod acting;
mod amend;
mod assemble;
mod beside;
mod cli;
mod commands;
mod config;
mod data;
mod holder;
mod home;
mod keeping;
mod moment;
mod own;
mod places;
mod print;
mod prober;
mod proved;
mod trusted;
mod watches;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command};
use commands::End;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refused(&error),
    };
    let end = match cli.command {
        Command::Scan(scan) => commands::scan::run(&cli.global, scan),
        Command::Show(show) => commands::show::run(&cli.global, show),
        Command::Check(check) => commands::check::run(&cli.global, check),
        Command::Verify(verify) => commands::verify::run(&cli.global, verify),
        Command::Why(why) => commands::why::run(&cli.global, why),
        Command::Serve(serve) => commands::serve::run(&cli.global, &serve),
        Command::Act(act) => commands::act::run(&cli.global, &act),
        Command::SignIn => commands::export::sign_in(&cli.global),
        Command::Watch(watch) => commands::watch::run(&cli.global, watch),
        Command::Ls(ls) => commands::ls::run(&cli.global, &ls),
        Command::Forecast(forecast) => commands::forecast::run(&cli.global, &forecast),
        Command::Ack(ack) => commands::hands::ack(&cli.global, &ack),
        Command::Snooze(snooze) => commands::hands::snooze(&cli.global, &snooze),
        Command::Own(own) => commands::hands::own(&cli.global, &own),
        Command::Retire(retire) => commands::hands::retire(&cli.global, &retire),
        Command::Alert { command: cli::AlertCommand::Test(test) } => {
            commands::alert::test(&cli.global, &test)
        }
        Command::Renew(renew) => commands::renew::renew(&cli.global, &renew),
        Command::Deploy(deploy) => commands::renew::deploy(&cli.global, &deploy),
        Command::Prove(prove) => commands::renew::prove(&cli.global, &prove),
        Command::Runbook(runbook) => commands::runbook::run(&cli.global, &runbook),
        Command::Rehearse(rehearse) => commands::renew::rehearse(&cli.global, &rehearse),
        Command::Ca { command } => commands::ca::run(&cli.global, &command),
        Command::Issuer { command: cli::IssuerCommand::Request(request) } => {
            commands::reply::request(&cli.global, &request)
        }
        Command::Issuer { command: cli::IssuerCommand::Reply(reply) } => {
            commands::reply::run(&cli.global, &reply)
        }
        Command::Adopt(adopt) => commands::adopt::run(&cli.global, &adopt),
        Command::Revoke(revoke) => commands::revoke::run(&cli.global, &revoke),
        Command::Issuer { command: cli::IssuerCommand::Rollover(rollover) } => {
            commands::issuer::rollover(&cli.global, &rollover)
        }
        Command::Issuer { command: cli::IssuerCommand::Import(import) } => {
            commands::issuer::import(&cli.global, &import)
        }
        Command::Import(import) => commands::import::run(&cli.global, &import),
        Command::Export(export) => commands::export::run(&cli.global, &export),
        Command::Status { command: cli::StatusCommand::Export { folder, valid } } => {
            commands::export::status(&cli.global, &folder, &valid)
        }
        Command::Calendar(calendar) => commands::export::calendar(&cli.global, &calendar),
        Command::Backup { file } => commands::backup::backup(&cli.global, &file),
        Command::Restore { file } => commands::backup::restore(&cli.global, &file),
        Command::Doctor => commands::doctor::run(&cli.global),
        Command::Config { command } => commands::config::run(&cli.global, &command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "notafter", &mut script);
            print::out(&script);
            Ok(End::Done)
        }
        Command::Man => man(),
    };
    match end {
        Ok(end) => end.code(),
        Err(usage) => {
            print::error(&usage.message, usage.hint.as_deref());
            ExitCode::from(2)
        }
    }
}

/// Help and version are results; everything else is wrong usage, which `check` must call UNKNOWN (3).
fn refused(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let typed = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned());
    let command = command_of(typed).unwrap_or_default();
    if command == "check" {
        // Whoever runs a plugin reads one line of standard output.
        let text = error.render().to_string();
        let said: Vec<_> = text.lines().take_while(|l| !l.trim().is_empty()).map(str::trim).collect();
        // A bar begins the performance data.
        let said = said.join(" ").replace('|', "/");
        print::out(format!("NOTAFTER UNKNOWN - {}\n", said.trim_start_matches("error: ")).as_bytes());
        return ExitCode::from(3);
    }
    if error.kind() == clap::error::ErrorKind::InvalidSubcommand && is_reserved(&command) {
        print::error(&format!("`{command}` is a command of a later version"), Some("not in this version"));
    } else {
        let _ = error.print();
    }
    ExitCode::from(2)
}

/// Which command was meant, where clap has none to give: the first word that is neither a flag nor a flag's value.
fn command_of(mut typed: impl Iterator<Item = String>) -> Option<String> {
    let cli = Cli::command();
    let valued: Vec<String> = cli
        .get_arguments()
        .filter(|a| a.get_action().takes_values())
        .filter_map(|a| a.get_long().map(|long| format!("--{long}")))
        .collect();
    while let Some(word) = typed.next() {
        if valued.contains(&word) {
            typed.next();
        } else if !word.starts_with('-') {
            return Some(word);
        }
    }
    None
}

/// Commands that a later version has are not misspellings.
fn is_reserved(command: &str) -> bool {
    const LATER: &[&str] = &["agent"];
    LATER.contains(&command)
}

fn man() -> Result<End, commands::Usage> {
    let mut page = Vec::new();
    let manual = clap_mangen::Man::new(Cli::command());
    let written = manual.render(&mut page);
    for sub in Cli::command().get_subcommands() {
        let name = format!("notafter-{}", sub.get_name());
        let _ = clap_mangen::Man::new(sub.clone().name(name)).render(&mut page);
    }
    written.map_err(|e| commands::Usage::new(format!("cannot write the manual page: {e}")))?;
    print::out(&page);
    Ok(End::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_behind_global_flags() {
        for (typed, expected) in [
            ("check --bogus", Some("check")),
            ("--config n.toml check --bogus", Some("check")),
            ("--config=n.toml -q --at -30d --data d renew x", Some("renew")),
            ("--color never -vv --json check", Some("check")),
            ("--config", None),
        ] {
            let words = typed.split(' ').map(str::to_owned);
            assert_eq!(command_of(words).as_deref(), expected, "{typed}");
        }
    }
}

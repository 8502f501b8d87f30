//! `cargo xtask chaos`: what was asked for, in words, and the board at the end.
//!
//! The scenes are the library's. `NOTAFTER_BIN` names the program.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to whoever runs it")]

use std::path::PathBuf;
use std::process::ExitCode;

use notafter_chaos::{Options, SCENES, play};

fn usage() -> String {
    let names: Vec<String> =
        SCENES.iter().map(|scene| format!("  {:<14}{}", scene.name, scene.doc)).collect();
    format!(
        "cargo xtask chaos [--only NAME,NAME] [--seed N] [--points N | --all] [--quick] [--cycles N] [--fleet N]\n\n\
         --only LIST   these scenes alone\n\
         --seed N      which points are taken where not all of them are\n\
         --points N    so many points in each scene that has many (60)\n\
         --all         every point, and 100 renewals in the scene `cycles`\n\
         --quick       a few points and the short form of everything, as in the ordinary test run\n\
         --cycles N    so many renewals in the scene `cycles` (10)\n\
         --fleet N     so many certificates in the scene `fleet` (1000)\n\n\
         {}\n\n\
         NOTAFTER_BIN names the program; without it the workspace's own is built. NOTAFTER_LAB_KEEP=1 keeps the folders.",
        names.join("\n")
    )
}

fn read() -> Result<Options, String> {
    let mut options = Options::default();
    let program = std::env::var_os("NOTAFTER_BIN").map(PathBuf::from);
    let mut words = std::env::args().skip(1);
    let (mut is_all, mut cycles) = (false, None);
    let number = |word: Option<String>, what: &str| {
        word.and_then(|n| n.parse::<u64>().ok()).ok_or_else(|| format!("{what} wants a number"))
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--only" => {
                let list = words.next().ok_or("--only wants a list such as kill,clock")?;
                options.only = list.split(',').map(|name| name.trim().to_owned()).collect();
                if let Some(name) = options.only.iter().find(|name| !SCENES.iter().any(|s| s.name == **name))
                {
                    return Err(format!("{name}: no such scene\n{}", usage()));
                }
            }
            "--seed" => options.seed = number(words.next(), "--seed")?,
            "--points" => options.points = usize::try_from(number(words.next(), "--points")?).unwrap_or(60),
            "--cycles" => cycles = usize::try_from(number(words.next(), "--cycles")?).ok(),
            "--fleet" => options.fleet = usize::try_from(number(words.next(), "--fleet")?).unwrap_or(1_000),
            "--all" => (is_all, options.points) = (true, usize::MAX),
            "--quick" => options = options.quickly(),
            "--help" | "-h" => return Err(usage()),
            _ => return Err(format!("{word}: not known\n{}", usage())),
        }
    }
    // Not for the short form, which has few of everything.
    if let Some(cycles) = cycles.or((is_all && !options.quick).then_some(100)) {
        options.cycles = cycles;
    }
    let program =
        program.ok_or("NOTAFTER_BIN is not set\nhint: `cargo xtask chaos` builds and names the program")?;
    options.program = program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(options)
}

fn main() -> ExitCode {
    let whole;
    let board = match read() {
        Ok(options) => {
            whole = options.only.is_empty();
            play(&options)
        }
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::FAILURE;
        }
    };
    println!("{board}");
    if whole && !board.missing().is_empty() {
        println!("no line about {}", board.missing().join(", "));
    }
    match (board.violations(), board.not_run()) {
        (0, 0) => ExitCode::SUCCESS,
        // Nothing bad was seen, and not everything was looked at.
        (0, _) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}

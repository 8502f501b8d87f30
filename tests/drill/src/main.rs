//! The outage drill: thirty small outages, each with a healthy twin, by which the program is measured.
//!
//! Builds every scene on loopback, proves with other people's clients that it is honest, lets the program look at
//! three levels of hints as if it were 90 to 1 days before the outage and an hour after it, and prints what each
//! report was worth. Run by `cargo xtask drill`. It knows the program by its command line alone.

#![allow(clippy::disallowed_methods, reason = "a drill waits for other programs, in real time")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to whoever runs it")]

mod board;
mod client;
mod peers;
mod pki;
mod play;
mod program;
mod scene;
mod scenes;
mod score;
mod servers;
mod site;

use std::process::ExitCode;
use std::time::Instant;

use notafter_lab::{Lab, calendar};

/// What was asked for.
#[derive(Default)]
pub(crate) struct Options {
    /// JSON instead of a table.
    json: bool,
    /// These scenes alone.
    only: Vec<String>,
    /// Other tools too.
    peers: bool,
    /// So many scenes must be early at level 2.
    expect: Option<usize>,
    /// What the clients said and what is missing, too.
    verbose: bool,
}

const USAGE: &str = "\
cargo xtask drill [--only P07,P13] [--json] [--peers] [--expect N] [--verbose]

  --only LIST   these scenes alone
  --json        the scoreboard for machines
  --peers       check_ssl_cert, ssl-cert-check and blackbox_exporter too, where they are installed
  --expect N    fail unless N scenes are EARLY at level 2
  --verbose     what each proof said, and what is missing where a scene is not early

NOTAFTER_BIN names the program; without it the workspace's own is built. NOTAFTER_LAB_KEEP=1 keeps the folder.";

impl Options {
    fn read() -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--json" => options.json = true,
                "--peers" => options.peers = true,
                "--verbose" | "-v" => options.verbose = true,
                "--only" => {
                    let list = words.next().ok_or("--only wants a list such as P07,P13")?;
                    options.only = list.split(',').map(|id| id.trim().to_uppercase()).collect();
                }
                "--expect" => {
                    let number = words.next().and_then(|n| n.parse().ok());
                    options.expect = Some(number.ok_or("--expect wants a number")?);
                }
                "--help" | "-h" => return Err(USAGE.to_owned()),
                _ => return Err(format!("{word}: not known\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let result = Options::read().and_then(|options| run(&options));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let began = Instant::now();
    // The places are the same in every run, so there can only be one at a time.
    let lock = std::env::temp_dir().join("notafter-drill.lock");
    let lock = std::fs::File::create(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    if lock.try_lock().is_err() {
        eprintln!("drill: another one is running; waiting for its end");
        lock.lock().map_err(|error| error.to_string())?;
    }
    let lab = Lab::new("drill");
    let mut board = play::play(options, lab.path())?;
    board.seconds = began.elapsed().as_secs_f64();
    board.date = program::rfc3339(calendar::now())[..10].to_owned();
    if options.json {
        println!("{:#}", board.json());
    } else {
        println!("{}", board.table(options.verbose));
    }
    drop(lab);

    let broken: Vec<&str> =
        board.rows.iter().filter(|row| !row.dishonest.is_empty()).map(|row| row.id.as_str()).collect();
    if !broken.is_empty() {
        return Err(format!("drill: not honest: {}", broken.join(" ")));
    }
    match options.expect {
        Some(expect) if board.early(2) < expect => {
            Err(format!("drill: {} scenes are EARLY at level 2, not {expect}", board.early(2)))
        }
        _ => Ok(()),
    }
}

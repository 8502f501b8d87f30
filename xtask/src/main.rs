//! Tasks around the code: `cargo xtask test`, `drill`, `chaos`, `tidy`, `bench`, `fuzz`.
//!
//! `test` is the one command that passes all tests, here and in CI: it installs what they need first.
//! The others are commands of their own, because they take long or need an idle machine.

#![allow(clippy::disallowed_methods, reason = "tasks measure and wait in real time")]
#![allow(clippy::type_complexity, reason = "a list of checks is a list of closures")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a task talks to whoever runs it")]

mod bench;
mod chaos;
mod drill;
mod fuzz;
mod packages;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask test [FILTER...]   install what the tests need, then run all of them
cargo xtask drill [WORDS]      play thirty outages and print what the program said of them; --help has the words
cargo xtask chaos [WORDS]      break things while certificates are renewed and count what came of it; --help has the words
cargo xtask tidy               check the house rules alone
cargo xtask bench [NAME...]    measure against peers, both sides in one run; --store[=COUNT] the memory alone
cargo xtask fuzz [SEC [TARGET]]  a short run of every fuzz target, or of these";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    let result = match arguments.first().map(String::as_str) {
        Some("test") => test::run(rest),
        Some("drill") => drill::run(rest),
        Some("chaos") => chaos::run(rest),
        Some("tidy") => tidy::run(),
        Some("bench") => bench::run(rest),
        Some("fuzz") => fuzz::run(rest),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

//! The measuring side of `cargo xtask bench`: floors, peers, servers that cost nothing, and what they are fed.
//!
//! One program, one subcommand a role, each its own process, so that what a client costs can be told from
//! what its server costs. Every subcommand ends by printing one line of JSON. Which are run, in what order
//! and what the goals are is decided in `xtask/src/bench.rs`.

#![allow(clippy::disallowed_methods, reason = "measuring needs the real clock")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing the measure is the whole purpose")]

mod addresses;
mod cost;
mod crawl;
mod ct;
mod floor;
mod grab;
mod handshake;
mod keystore;
mod material;
mod parse;
mod renew;
mod server;
mod start;
mod store;
mod tree;

use std::process::ExitCode;

/// The product's allocator, for its peers as well: none shall win or lose by that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "\
cost OUT PROGRAM [ARGUMENT...]       run a program, its output into OUT, and say what it cost
material FOLDER                      a CA, an intermediate and a server's chain and key, EC
record PORT FILE                     what the server at PORT answers to our hello
canned PORT FILE | silent PORT       answer every hello with FILE | accept and say nothing
floor FIRST PORT COUNT IN_FLIGHT     connect, send, receive, close
closed FIRST PORT COUNT IN_FLIGHT    connect to what refuses
grab FIRST PORT COUNT IN_FLIGHT      the product's grabber alone
handshake FIRST PORT COUNT IN_FLIGHT tokio and rustls, full handshakes
parse                                certificates to fields, against x509-parser
ct                                   entries of a log, filtered by domains, on one core
tree FOLDER                          make the tree of files
walk FOLDER                          walk it and open nothing
start PROGRAM TIMES                  from exec to the first connection
store DATABASE COUNT                 fill a memory and ask it
ask DATABASE COUNT                   the questions alone, to one that was filled so
assess FILE COUNT                    fill a memory and judge all of it from cold
forecast FILE COUNT                  the same, and look ahead over 90 and 365 days
renew COUNT                          passes over certificates that are kept alive and not due";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(measured) => {
            println!("{measured}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}: {error}", words.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<serde_json::Value> {
    match *words {
        ["cost", out, program, ref arguments @ ..] => cost::of(out, program, arguments),
        ["material", folder] => material::write(folder.as_ref()),
        ["record", port, file] => server::record(port.parse()?, file),
        ["canned", port, file] => server::serve(port.parse()?, Some(std::fs::read(file)?)),
        ["silent", port] => server::serve(port.parse()?, None),
        ["floor", ref ask @ ..] => floor::ask(addresses::Ask::parse(ask)?),
        ["closed", ref ask @ ..] => floor::refused(addresses::Ask::parse(ask)?),
        ["grab", ref ask @ ..] => grab::run(addresses::Ask::parse(ask)?),
        ["handshake", ref ask @ ..] => handshake::run(addresses::Ask::parse(ask)?),
        ["parse"] => parse::run(),
        ["ct"] => ct::run(),
        ["tree", folder] => tree::make(folder.as_ref()),
        ["walk", folder] => crawl::walk(folder),
        ["rescan", folder, database, times] => crawl::rescan(folder, database, times.parse()?),
        ["store", database, count] => store::run(database, count.parse()?),
        ["ask", database, count] => store::ask(database, count.parse()?),
        ["assess", file, count] => store::assess(file, count.parse()?),
        ["forecast", file, count] => store::forecast(file, count.parse()?),
        ["renew", count] => renew::run(count.parse()?),
        ["start", program, times] => start::run(program, times.parse()?),
        _ => Err(format!("not understood; one of:\n{USAGE}").into()),
    }
}

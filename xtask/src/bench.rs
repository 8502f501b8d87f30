//! `cargo xtask bench`: both sides of every speed claim, interleaved in one run, in one table.
//!
//! Ratios are what counts: absolute figures are this machine's, today. A goal that is missed is printed as
//! missed and fails nothing, because a busy machine would fail it too. One thing does fail: a run that did
//! not find everything, because a scan that misses one is not fast.

mod files;
mod network;
mod renew;
mod side;
mod store;
mod table;

use std::path::PathBuf;

use side::{Setup, first_line};
use table::Table;

/// A group of measurements.
type Group = fn(&Setup, &mut Table) -> Result<(), String>;

/// Every group, in the order in which they run.
const GROUPS: &[(&str, Group)] = &[
    ("grab", network::grab),
    ("pipeline", network::pipeline),
    ("silent", network::silent),
    ("closed", network::closed),
    ("parse", files::parse),
    ("ct", files::ct),
    ("crawl", files::crawl),
    ("start", network::start),
    ("assess", store::assess),
    ("store", store::store),
    ("renew", renew::plan),
];

pub fn run(names: &[String]) -> Result<(), String> {
    // `--store` and `--store=100000` are the group with its size.
    let name = |asked: &String| if asked.starts_with("--store") { "store".to_owned() } else { asked.clone() };
    let names: Vec<String> = names.iter().map(name).collect();
    let known: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("no benchmark is called {unknown}\nhint: there are {}", known.join(", ")));
    }
    crate::packages::ensure_bench()?;
    let setup = Setup::build()?;
    let mut table = Table::default();
    for (name, group) in GROUPS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            println!("bench: {name}");
            group(&setup, &mut table)?;
        }
    }
    println!("\n{}", table.text());
    println!("{}", conditions());
    table.complete()
}

/// Under what conditions this was measured.
fn conditions() -> String {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap_or_default();
    let locked = |package: &str| {
        let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{package}\""));
        let version = lines.nth(1).and_then(|line| line.split('"').nth(1)).unwrap_or("?");
        format!("{package} {version}")
    };
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{}; {} x {}, Linux {}\npeers: {}; {}; {}; {}; {}",
        first_line("date", &["-u", "+%F"]),
        processors,
        processor.unwrap_or("processor unknown"),
        kernel.trim(),
        first_line("go", &["version"]),
        locked("rustls"),
        locked("x509-parser"),
        first_line("rg", &["--version"]),
        first_line("nginx", &["-v"]),
    )
}

/// The folder of the workspace.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map(std::path::Path::to_path_buf).unwrap_or_default()
}

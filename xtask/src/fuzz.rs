//! `cargo xtask fuzz [SECONDS [TARGET...]]`: a short run of every fuzz target, or of those named, and what it came to.
//!
//! Installs cargo-fuzz where it is missing; a nightly compiler must be there. Seeds are copied from the folder
//! that NOTAFTER_CORPORA names into the git-ignored `fuzz/corpus`, which also keeps what earlier runs found.
//! It fails if any target crashed, and leaves the input in `fuzz/artifacts`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Seconds for each target unless told otherwise.
const SECONDS: u64 = 20;
/// No larger file is a seed, in bytes, and no more of them for one target.
const SEED_MAX: u64 = 32 << 10;
const SEEDS_MAX: usize = 2_000;

/// Whether a file's first bytes make it a seed.
type Suits = fn(&[u8]) -> bool;

/// Every target, and which files of the corpora it begins with.
const TARGETS: &[(&str, Suits)] = &[
    ("certificate", is_der),
    ("salvage", is_der),
    ("container_open", |_| true),
    ("pem", |bytes| !is_der(bytes) && bytes.is_ascii()),
    ("pkcs12", is_der),
    ("jks", |bytes| bytes.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) || bytes.starts_with(&[0xce; 4])),
    ("crl_csr", is_der),
    ("statement", |bytes| bytes.is_ascii()),
    ("dns", |bytes| bytes.is_ascii()),
    ("ct", |bytes| bytes.starts_with(b"\0\0\x01")),
    ("openpgp", |bytes| bytes.first().is_some_and(|octet| octet & 0x80 != 0)),
    ("saml", |bytes| bytes.starts_with(b"<")),
    ("signatures", is_der),
    ("json", |bytes| bytes.starts_with(b"{")),
    ("name", |_| false),
    ("server_flight", |bytes| bytes.starts_with(&[0x16, 3])),
    ("starttls", |_| false),
    ("tds", |_| false),
    ("target", |_| false),
    ("configs", |bytes| bytes.is_ascii()),
    ("renewers", |bytes| bytes.is_ascii()),
    ("inside", |bytes| bytes.is_ascii() || bytes.starts_with(&[0x1f, 0x8b])),
    ("sheet", |bytes| bytes.is_ascii() || bytes.starts_with(b"PK")),
    ("registry", |bytes| bytes.is_ascii()),
    ("tsig", |bytes| bytes.is_ascii()),
    ("words", |_| false),
    ("verdict", |bytes| is_der(bytes) || bytes.starts_with(b"-----BEGIN")),
    ("archive", |bytes| bytes.starts_with(b"PK") || bytes.starts_with(&[0x1f, 0x8b])),
];

pub fn run(arguments: &[String]) -> Result<(), String> {
    let (seconds, names) = match arguments {
        [] => (SECONDS, &[][..]),
        [seconds, names @ ..] => (seconds.parse().map_err(|e| format!("{seconds}: {e}"))?, names),
    };
    if let Some(unknown) = names.iter().find(|name| TARGETS.iter().all(|(target, _)| target != name)) {
        return Err(format!("no target is called {unknown}: cargo xtask fuzz [SECONDS [TARGET...]]"));
    }
    ensure()?;
    seed()?;
    status(cargo_fuzz().arg("build"))?;
    let mut crashed = Vec::new();
    let mut lines = vec![format!("{:<16}{:>14}{:>10}{:>10}", "target", "executions", "a second", "crashes")];
    let wanted = |target: &str| names.is_empty() || names.iter().any(|name| name == target);
    for (target, _) in TARGETS.iter().filter(|(target, _)| wanted(target)) {
        let before = artifacts(target);
        let mut command = cargo_fuzz();
        let flags = [format!("-max_total_time={seconds}"), "-print_final_stats=1".to_owned()];
        command.args(["run", target, "--", "-timeout=10", "-max_len=65536"]).args(flags);
        let output = command.stdout(Stdio::null()).output().map_err(|e| format!("{command:?}: {e}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let number = |name: &str| {
            let found = said.lines().rev().find_map(|line| line.strip_prefix(name));
            found.map_or("?", str::trim).to_owned()
        };
        let (units, speed) =
            (number("stat::number_of_executed_units:"), number("stat::average_exec_per_sec:"));
        let crashes = artifacts(target).saturating_sub(before);
        let line = format!("{target:<16}{units:>14}{speed:>10}{crashes:>10}");
        println!("fuzz: {line}");
        lines.push(line);
        if crashes > 0 || !output.status.success() {
            let end: Vec<&str> = said.lines().filter(|line| is_telling(line)).take(8).collect();
            crashed.push(format!("{target}: {}", end.join("\n    ")));
        }
    }
    println!("\n{}", lines.join("\n"));
    match crashed.as_slice() {
        [] => Ok(()),
        _ => Err(format!("crashed, inputs in fuzz/artifacts:\n  {}", crashed.join("\n  "))),
    }
}

fn is_der(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x30])
}

/// The lines of a crash that say what it was.
fn is_telling(line: &str) -> bool {
    ["panicked at", "ERROR:", "SUMMARY:", "Test unit written", "error"].iter().any(|what| line.contains(what))
}

fn cargo_fuzz() -> Command {
    let mut command = Command::new("cargo");
    // A cargo that was started by another one takes that one's toolchain unless told.
    command.env_remove("CARGO").env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
    command.args(["+nightly", "fuzz"]).current_dir(folder());
    command
}

fn ensure() -> Result<(), String> {
    let there = Command::new("cargo").args(["fuzz", "--version"]).output().is_ok_and(|o| o.status.success());
    if there {
        return Ok(());
    }
    println!("fuzz: installing cargo-fuzz");
    status(Command::new("cargo").args(["install", "cargo-fuzz", "--locked"]))
}

fn status(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}")),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

/// Copies seeds; those that are there already stay.
fn seed() -> Result<(), String> {
    let corpora = std::env::var_os("NOTAFTER_CORPORA").map(PathBuf::from);
    let mut counts = vec![0; TARGETS.len()];
    for (target, _) in TARGETS {
        let to = folder().join("corpus").join(target);
        std::fs::create_dir_all(&to).map_err(|e| format!("{}: {e}", to.display()))?;
    }
    for file in corpora.iter().flat_map(|corpora| files(corpora)) {
        let Ok(bytes) = std::fs::read(&file) else { continue };
        // Names repeat between folders; what counts is that none overwrites another.
        let name = file.display().to_string().replace(['/', ' '], "_");
        for (n, (target, suits)) in TARGETS.iter().enumerate() {
            if counts[n] < SEEDS_MAX && suits(&bytes) {
                let to = folder().join("corpus").join(target).join(&name[name.len().saturating_sub(120)..]);
                std::fs::write(&to, &bytes).map_err(|e| format!("{}: {e}", to.display()))?;
                counts[n] += 1;
            }
        }
    }
    println!("fuzz: {} seeds", counts.iter().sum::<usize>());
    Ok(())
}

/// The small files below a folder.
fn files(root: &Path) -> Vec<PathBuf> {
    let (mut folders, mut out) = (vec![root.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && entry.metadata().is_ok_and(|m| m.len() <= SEED_MAX) {
                out.push(entry.path());
            }
        }
    }
    out.sort();
    out
}

/// How many inputs that crash a target are kept.
fn artifacts(target: &str) -> usize {
    std::fs::read_dir(folder().join("artifacts").join(target)).into_iter().flatten().count()
}

/// The folder of the fuzz targets.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).join("fuzz")
}

//! The memory: certificates in, and the questions people ask, on SQLite and on PostgreSQL.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::side::Setup;
use super::table::{Row, Table};

/// Certificates, unless `--store=N` says otherwise.
const COUNT: usize = 1_000_000;

/// How many, as the command line says.
fn count() -> usize {
    let asked = std::env::args().find_map(|a| a.strip_prefix("--store=")?.parse().ok());
    asked.unwrap_or(COUNT)
}

pub(super) fn store(setup: &Setup, table: &mut Table) -> Result<(), String> {
    let count = count();
    let folder = setup.folder.join("store");
    let _ = std::fs::remove_dir_all(&folder);
    let file = folder.join("notafter.db");
    let sqlite = setup.ask(&["store", &file.display().to_string(), &count.to_string()])?;
    rows(table, &sqlite, count);
    let _ = std::fs::remove_dir_all(&folder);
    match postgres(&folder) {
        Ok((mut server, url)) => {
            let measured = setup.ask(&["store", &url, &count.to_string()]);
            let _ = Command::new("kill").args(["-INT", &server.id().to_string()]).status();
            let _ = server.wait();
            let _ = std::fs::remove_dir_all(&folder);
            beside(table, &sqlite, &measured?);
        }
        Err(why) => println!("bench: NOT RUN: PostgreSQL: {why}"),
    }
    Ok(())
}

/// So many are judged: the cost of each does not depend on it.
const JUDGED: usize = 200_000;

/// Everything judged from cold: read, paths searched and their signatures checked, every rule, the verdicts kept.
pub(super) fn assess(setup: &Setup, table: &mut Table) -> Result<(), String> {
    let folder = setup.folder.join("assess");
    let _ = std::fs::remove_dir_all(&folder);
    let file = folder.join("notafter.db").display().to_string();
    let measured = setup.ask(&["assess", &file, &JUDGED.to_string()])?;
    let _ = std::fs::remove_dir_all(&folder);
    let got = |path: &str| number(&measured, path);
    let wall = 1e6 / got("/judged_per_s");
    let goal = Some((60.0, "<= 60 us"));
    table.row(Row::quantity("assess", "from cold, one after the other, each", wall, "us", goal));
    table.row(Row::quantity("assess", "the same, CPU", got("/cpu_us"), "us CPU", None));
    table.row(Row::quantity("assess", "one signature check of it", got("/signature_us"), "us CPU", None));
    Ok(())
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

fn rows(table: &mut Table, measured: &Value, count: usize) {
    let got = |path: &str| number(measured, path);
    // The table's goals are upper bounds: rates are shown as the time for one certificate.
    let each = |path: &str| 1e6 / got(path);
    let goal = Some((1e6 / 35_000.0, ">= 35,000/s"));
    let first = format!("into an empty store, {count}");
    table.row(Row::quantity("store", &first, each("/ingest_per_s"), "us/cert", goal));
    table.row(Row::quantity("store", "a tenth more", each("/ingest_more_per_s"), "us/cert", goal));
    table.row(Row::quantity("store", "a tenth again, unchanged", each("/rescan_per_s"), "us/cert", None));
    table.row(Row::quantity(
        "store",
        "rows written by that",
        got("/rescan_writes"),
        "rows",
        Some((0.0, "0 rows")),
    ));
    table.row(Row::quantity("store", "loaded for judgment", each("/loaded_per_s"), "us/subject", None));
    table.row(Row::quantity("store", "verdicts kept", each("/judged_per_s"), "us/subject", None));
    table.row(Row::quantity(
        "store",
        "without DER",
        got("/bytes_without_der"),
        "B/cert",
        Some((400.0, "<= 400 B")),
    ));
    table.row(Row::quantity(
        "store",
        "with DER",
        got("/bytes_with_der"),
        "B/cert",
        Some((1600.0, "<= 1600 B")),
    ));
    table.row(Row::quantity("store", "DER as it came", got("/der_bytes"), "B/cert", None));
    for (what, path) in QUESTIONS {
        for share in ["p50", "p99"] {
            let goal = (share == "p99").then_some((1.0, "<= 1 ms"));
            let value = got(&format!("{path}/{share}"));
            table.row(Row::quantity("store", &format!("{what}, {share}"), value, "ms", goal));
        }
    }
}

const QUESTIONS: &[(&str, &str)] =
    &[("expiring, 100 rows", "/expiring"), ("below a name, a page", "/suffix"), ("by fingerprint", "/by_id")];

fn beside(table: &mut Table, sqlite: &Value, postgres: &Value) {
    // The floor: a dozen counters cost nothing to find, so that what is left is the way there and back.
    for (what, path) in QUESTIONS.iter().chain(&[("a dozen counters", "/totals")]) {
        for share in ["p50", "p99"] {
            let goal = (share == "p99" && *path != "/totals").then_some((10.0, "<= 10x"));
            let path = format!("{path}/{share}");
            let pair = (number(postgres, &path), number(sqlite, &path));
            let what = format!("{what}, {share}, PostgreSQL beside SQLite");
            table.row(Row::ratio("store", &what, pair, "ms", goal));
        }
    }
    let pair = (1e6 / number(postgres, "/ingest_per_s"), 1e6 / number(sqlite, "/ingest_per_s"));
    table.row(Row::ratio("store", "into an empty store, PostgreSQL beside SQLite", pair, "us/cert", None));
    let pair = (number(postgres, "/bytes_with_der"), number(sqlite, "/bytes_with_der"));
    table.row(Row::ratio("store", "with DER, PostgreSQL beside SQLite", pair, "B/cert", None));
}

/// A PostgreSQL of its own, on a free port of this machine.
fn postgres(folder: &std::path::Path) -> Result<(std::process::Child, String), String> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok()).max();
    let programs = PathBuf::from(format!("/usr/lib/postgresql/{}/bin", newest.ok_or("it is not installed")?));
    std::fs::create_dir_all(folder).map_err(|e| e.to_string())?;
    let folder = folder.canonicalize().map_err(|e| e.to_string())?;
    // It refuses to run as root; its own account must be able to reach its folder.
    let place = std::env::temp_dir().join(format!("notafter-bench-pg-{}", std::process::id()));
    let data = place.join("data").display().to_string();
    std::fs::create_dir_all(&place).map_err(|e| e.to_string())?;
    std::os::unix::fs::symlink(&place, folder.join("postgres")).map_err(|e| e.to_string())?;
    let root = is_root();
    let run = |program: &str, arguments: &[&str]| {
        let mut command = match root {
            true => {
                let mut command = Command::new("setpriv");
                command
                    .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
                    .arg(programs.join(program));
                command
            }
            false => Command::new(programs.join(program)),
        };
        command.args(arguments).current_dir(&place).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    if root {
        let _ = Command::new("chown").arg("postgres").arg(&place).status();
    }
    let made = run("initdb", &["-A", "trust", "-N", "-U", "postgres", "-D", &data]).status();
    if !made.is_ok_and(|status| status.success()) {
        return Err("initdb failed".into());
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .map_err(|e| e.to_string())?
        .port();
    let port = port.to_string();
    let server = run(
        "postgres",
        &[
            "-D",
            &data,
            "-p",
            &port,
            "-h",
            "127.0.0.1",
            "-k",
            &data,
            "-c",
            "shared_buffers=1GB",
            "-c",
            "synchronous_commit=off",
            "-c",
            "max_wal_size=4GB",
        ],
    )
    .spawn()
    .map_err(|e| e.to_string())?;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !run("pg_isready", &["-h", "127.0.0.1", "-p", &port]).status().is_ok_and(|s| s.success()) {
        if std::time::Instant::now() > until {
            return Err("it does not answer".into());
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Ok((server, format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable")))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.starts_with(b"0\n"))
}

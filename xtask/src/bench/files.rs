//! What needs no network: reading certificates, and finding them in a tree of files.

use std::collections::HashMap;

use super::network::location;
use super::side::{Setup, Side};
use super::table::{Row, Table};

/// What the tree holds, by the ending of the file's name.
const HELD: &[(&str, usize)] = &[("pem", 500), ("der", 500), ("p12", 500), ("conf", 500), ("jks", 100)];

/// Certificates to fields.
pub(super) fn parse(setup: &Setup, table: &mut Table) -> Result<(), String> {
    let measured = setup.ask(&["parse"])?;
    let number = |name: &str| measured[name].as_f64().unwrap_or(f64::INFINITY);
    for what in ["parsed", "same_names"] {
        if measured[what] != measured["count"] {
            table.missed(format!("parse: {what} {} of {}", measured[what], measured["count"]));
        }
    }
    let (ours, theirs) = (number("ours"), number("theirs"));
    let goal = Some((0.25, "<= 1/4"));
    table.row(Row::ratio("parse", "to fields, SAN strings, vs x509-parser", (ours, theirs), "us", goal));
    let (spans, hash, texts) = (number("spans"), number("hash"), number("texts"));
    table.row(Row::ratio("parse", "SAN as spans, vs the same", (spans, theirs), "us", None));
    table.row(Row::quantity("parse", "SHA-256 beside it", hash, "us", None));
    table.row(Row::quantity("parse", "everything that is printed", texts, "us", None));
    Ok(())
}

/// Tiles of a log to the entries of a few domains.
pub(super) fn ct(setup: &Setup, table: &mut Table) -> Result<(), String> {
    let measured = setup.ask(&["ct"])?;
    let number = |name: &str| measured[name].as_f64().unwrap_or(f64::INFINITY);
    for (domains, goal) in [("1", Some((5.0, ">= 200,000/s"))), ("1000", Some((5.0, ">= 200,000/s")))] {
        if measured[format!("found_{domains}")] != measured["ours"] {
            let (found, ours) = (&measured[format!("found_{domains}")], &measured["ours"]);
            table.missed(format!("ct: {domains} domains: {found} of {ours} entries found"));
        }
        let what = format!("an entry, {domains} domains watched, one core");
        table.row(Row::quantity("ct", &what, number(&format!("us_{domains}")), "us", goal));
    }
    Ok(())
}

/// A tree of 300,000 files.
pub(super) fn crawl(setup: &Setup, table: &mut Table) -> Result<(), String> {
    let tree = setup.folder.join("tree").display().to_string();
    setup.ask(&["tree", &tree])?;
    let peer = |name: &'static str, command: Vec<String>| Side {
        name,
        ours: false,
        command,
        check: Box::new(|_| Ok(())),
    };
    let rg = ["rg", "-uuu", "-a", "-l", "BEGIN CERTIFICATE", &tree].map(str::to_owned).to_vec();
    let has_rg = std::process::Command::new("rg").arg("--version").output().is_ok();
    let ours = |name: &'static str, more: &[&str]| Side {
        name,
        ours: true,
        command: setup.scan(&[more, &[tree.as_str()]].concat()),
        check: Box::new(found_all),
    };
    let mut sides = vec![ours("crawl", &["--no-findings"]), ours("crawl, judged", &[])];
    sides.push(peer("walk", setup.role(&["walk", &tree])));
    if has_rg {
        sides.push(peer("ripgrep", rg));
    }
    let costs = setup.interleaved(table, &sides)?;
    let wall = |n: usize| costs[n].wall_us / 1e6;
    match costs.get(3) {
        Some(_) => {
            // What is opened now is more than the text of files: archives, images, documents (issue 3).
            let goal = Some((1.3, "<= 1.3x"));
            table.row(Row::ratio(
                "crawl",
                "300,000 files, vs rg -uuu -a -l",
                (wall(0), wall(3)),
                "s wall",
                goal,
            ));
            let (ours, rg) = (costs[0].cpu_us / 1e6, costs[3].cpu_us / 1e6);
            table.row(Row::ratio("crawl", "the same, CPU", (ours, rg), "s CPU", None));
        }
        None => table.not_run("crawl", "300,000 files, vs rg -uuu -a -l", "ripgrep is not installed"),
    }
    table.row(Row::ratio("crawl", "findings too, vs walking only", (wall(1), wall(2)), "s wall", None));
    rescan(setup, table, &tree)
}

/// A tree that has not changed, looked at again by the engine into a memory.
fn rescan(setup: &Setup, table: &mut Table, tree: &str) -> Result<(), String> {
    let database = setup.folder.join("rescan.db");
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{ending}", database.display()));
    }
    let measured = setup.ask(&["rescan", tree, &database.display().to_string(), "5"])?;
    for what in ["files", "placements"] {
        if measured[what][0] != measured[what][1] || measured[what][0] == 0 {
            table.missed(format!("rescan: {what} {}", measured[what]));
        }
    }
    let number = |name: &str| measured[name].as_f64().unwrap_or(f64::INFINITY);
    let sides = (number("again_s"), number("walk_s"));
    let goal = Some((4.0, "<= 4x"));
    table.row(Row::ratio("crawl", "unchanged, looked at again, vs walking only", sides, "s wall", goal));
    // A change shows in what the file system says of a file and nowhere else: no second look is cheaper than this.
    let sides = (number("asked_s"), number("walk_s"));
    table.row(Row::ratio(
        "crawl",
        "the floor of that: walking, and a stat of each file",
        sides,
        "s wall",
        None,
    ));
    table.row(Row::quantity("crawl", "into a memory for the first time", number("first_s"), "s wall", None));
    Ok(())
}

/// Every file that holds a certificate is a place of an observation.
fn found_all(printed: &str) -> Result<(), String> {
    let mut places: HashMap<&str, std::collections::HashSet<&str>> = HashMap::new();
    for line in printed.lines().filter(|line| line.contains("\"type\":\"observation\"")) {
        let Some(path) = location(line).and_then(|place| place.split('#').next()) else { continue };
        places.entry(path.rsplit('.').next().unwrap_or_default()).or_default().insert(path);
    }
    for (ending, count) in HELD {
        let found = places.get(ending).map_or(0, |paths| paths.len());
        if found != *count {
            return Err(format!("{found} .{ending} files of {count}"));
        }
    }
    Ok(())
}

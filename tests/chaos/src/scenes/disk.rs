//! The disk: full at each write (trust F3), broken, closed or read-only (F5), and what a power failure may lose (F2).

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use notafter_lab::program;

use super::kill::folders;
use crate::house::{House, Plan};
use crate::strace::{self, Call, FILLS, Lens};
use crate::{Dice, Options, Row, facts};

const RENEW: &[&str] = &["renew", "web", "--json", "--wait", "20s"];

/// A disk that is full at each write.
pub(super) fn full(options: &Options) -> Result<Vec<Row>, String> {
    strace::is_there()?;
    let mut house = House::new(options, "full", &Plan::default())?;
    let mut dice = Dice::new(options.seed);
    let first = house.renew();
    if first.code != Some(0) {
        return Err(format!("the first renewal: {}", first.words()));
    }
    house.keep();
    let memory: Vec<_> = ["notafter.db", "notafter.db-wal", "notafter.db-shm", "master.key"]
        .iter()
        .map(|f| house.data.join(f))
        .collect();
    let files = Lens { paths: folders(&house), names: FILLS };
    let memory = Lens { paths: memory, names: FILLS };
    let mut rows = vec![
        each(&mut house, options, &mut dice, FULL, "once, in the files of the target", &files, false)?,
        each(&mut house, options, &mut dice, FULL, "from then on, in the files of the target", &files, true)?,
        each(&mut house, options, &mut dice, FULL, "from then on, in the memory", &memory, true)?,
    ];
    rows.push(really(&mut house, options)?);
    // The other ways in which a file may not be had, reading included.
    let lenses = [Lens { names: FAILS, ..files }, Lens { names: FAILS, ..memory }];
    for (error, lasts) in [("EIO", false), ("EIO", true), ("EROFS", true), ("EACCES", true), ("EDQUOT", true)]
    {
        for (lens, place) in lenses.iter().zip(["in the files of the target", "in the memory"]) {
            let what = format!("{} {place}", if lasts { "from then on," } else { "once," });
            // There are ten of them.
            let few = Options { points: (options.points / 4).max(1), ..options.clone() };
            if !options.quick || (error == "EIO" && !lasts) {
                rows.push(each(&mut house, &few, &mut dice, ("F5", error), &what, lens, lasts)?);
            }
        }
    }
    Ok(rows)
}

const FULL: (&str, &str) = ("F3", "ENOSPC");
/// Calls that may fail on a disk that is broken, closed or read-only.
const FAILS: &[&str] = &[
    "fdatasync",
    "fsync",
    "ftruncate",
    "linkat",
    "mkdirat",
    "openat",
    "pread64",
    "pwrite64",
    "read",
    "renameat",
    "renameat2",
    "symlinkat",
    "unlinkat",
    "write",
];

fn each(
    house: &mut House,
    options: &Options,
    dice: &mut Dice,
    (fault, error): (&'static str, &str),
    what: &str,
    lens: &Lens,
    lasts: bool,
) -> Result<Row, String> {
    house.back()?;
    let (whole, calls) = strace::trace(house, RENEW, lens, &[]);
    if whole.code != Some(0) {
        return Err(format!("without a fault, under strace: {}", whole.words()));
    }
    let points = strace::points(&calls);
    let mut row = Row::of(fault, format!("{error} {what}"));
    let mut new_in_force = 0;
    let reached = strace::each(what, &points, options.points, dice, |point| {
        house.back()?;
        let (old, from) = (facts::leaf(&house.certificate())?, house.generation());
        let (_, issued) = house.orders();
        let (run, met) = strace::broken(house, RENEW, lens, point, (&format!("error={error}"), lasts));
        if !met {
            return Ok(false);
        }
        row.points += 1;
        let at = |what: String| format!("at {point}: {what}");
        row.must(run.code.is_some_and(|code| (0..=2).contains(&code)), || at(run.words()));
        row.must(!run.err.contains("panicked"), || at(run.words()));
        let started = facts::would_start(&house.web);
        row.must(started.is_ok(), || at(started.clone().unwrap_err()));
        let agree = facts::agree(&house.certificate(), &house.key());
        row.must(agree.is_ok(), || at(agree.clone().unwrap_err()));
        let now = facts::leaf(&house.certificate()).unwrap_or_default();
        new_in_force += usize::from(now != old);
        // Room again. What waits for its next try is asked for by a person now.
        let again = healed(house);
        row.must(again.code == Some(0), || at(format!("with room again: {}", again.words())));
        let new = facts::leaf(&house.certificate()).unwrap_or_default();
        row.must(new != old, || at("the old certificate is still there".into()));
        let shown = house.shows(&new);
        row.must(shown.is_ok(), || at(shown.clone().unwrap_err()));
        let generations = again.json()["generation"].as_u64().unwrap_or(0).saturating_sub(from) as usize;
        let made = house.orders().1 - issued;
        row.must(made <= generations, || at(format!("{made} certificates for {generations} renewals")));
        Ok(true)
    })?;
    Ok(row.asks(reached.asked).note(format!(
        "{} points in reach, {} runs ended before theirs, {new_in_force} with the new pair already in force",
        points.len(),
        reached.missed,
    )))
}

/// Goes on some minutes later, when what failed is tried again.
pub(super) fn healed(house: &House) -> crate::house::Run {
    house.later("+6m", &["renew", "web", "--json", "--wait", "60s"])
}

/// A file system with so much room, for real.
fn really(house: &mut House, options: &Options) -> Result<Row, String> {
    let what = "a file system of 64 kB, filled up to so many kB left";
    let mut row = Row::of("F3", what);
    house.back()?;
    let tls = house.tls();
    let kept = house.lab.path().join("kept-tls");
    crate::house::copy(&tls, &kept);
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs"]).arg(&tls).status();
    if !mounted.is_ok_and(|status| status.success()) {
        return Ok(Row::not_run("F3", what, "no right to mount"));
    }
    let mut said = Vec::new();
    let rooms: &[usize] = if options.quick { &[0, 8] } else { &[0, 4, 8, 12, 16, 20, 24] };
    row.asked = rooms.len();
    let played = (|| {
        for room in rooms {
            for entry in fs::read_dir(&tls).into_iter().flatten().flatten() {
                let _ = Command::new("rm").arg("-rf").arg(entry.path()).status();
            }
            let copied = Command::new("cp").arg("-a").arg(kept.join(".")).arg(&tls).status();
            if !copied.is_ok_and(|status| status.success()) {
                return Err("the files do not fit".to_owned());
            }
            house.web.reload().map_err(|error| error.to_string())?;
            let old = facts::leaf(&house.certificate())?;
            house.shows(&old)?;
            let filler = tls.join("filler");
            fill(&filler, *room * 1024);
            let run = house.run(RENEW);
            row.points += 1;
            let at = |what: String| format!("{room} kB left: {what}");
            let started = facts::would_start(&house.web);
            row.must(started.is_ok(), || at(started.clone().unwrap_err()));
            let agree = facts::agree(&house.certificate(), &house.key());
            row.must(agree.is_ok(), || at(agree.clone().unwrap_err()));
            let words = run.json()["said"].as_str().unwrap_or_default().to_owned();
            if run.code != Some(0) {
                row.must(words.contains("space") || words.contains("room") || words.contains("full"), || {
                    at(format!("it does not say what is wrong: {}", run.words()))
                });
            }
            said.push(format!("{room} kB {}", if run.code == Some(0) { "done" } else { "refused" }));
            let _ = fs::remove_file(&filler);
            let again = healed(house);
            row.must(again.code == Some(0), || at(format!("with room again: {}", again.words())));
            let new = facts::leaf(&house.certificate()).unwrap_or_default();
            row.must(new != old, || at("the old certificate is still there".into()));
        }
        Ok(())
    })();
    let _ = Command::new("umount").arg("-l").arg(&tls).status();
    played?;
    Ok(row.note(said.join(", ")))
}

/// Fills a file system and gives so many bytes back.
fn fill(file: &std::path::Path, room: usize) {
    let mut command = Command::new("sh");
    command.args(["-c", "head -c 10000000 /dev/zero > \"$0\" 2>/dev/null; size=$(stat -c %s \"$0\"); truncate -s $((size > $1 ? size - $1 : 0)) \"$0\""]);
    command.arg(file).arg(room.to_string());
    let _ = program::finish(&mut command, b"", std::time::Duration::from_secs(20));
}

/// The order of syncs and renames in the trace of one renewal.
pub(super) fn order(options: &Options) -> Result<Vec<Row>, String> {
    strace::is_there()?;
    let house = House::new(options, "order", &Plan::default())?;
    house.keep();
    let mut rows = Vec::new();
    for what in ["the first renewal", "a renewal"] {
        if what == "a renewal" {
            house.keep();
        }
        let names: &[&str] = &[
            "openat",
            "renameat",
            "renameat2",
            "rename",
            "linkat",
            "link",
            "symlinkat",
            "symlink",
            "fsync",
            "fdatasync",
            "write",
            "pwrite64",
            "unlinkat",
            "unlink",
        ];
        let (run, calls) = strace::trace(&house, RENEW, &Lens { paths: Vec::new(), names }, &["-y"]);
        if run.code != Some(0) {
            return Err(run.words());
        }
        rows.push(files(what, &house, &calls));
        rows.push(memory(what, &house, &calls));
    }
    Ok(rows)
}

/// Each file that takes a place was on the disk before, and its folder is afterwards, before the next switch.
fn files(what: &str, house: &House, calls: &[Call]) -> Row {
    let mut row = Row::of("F2", format!("{what}: files that take a place: file synced before, folder after"));
    let root = house.web.folder().display().to_string();
    let mut synced: HashMap<String, bool> = HashMap::new();
    let mut open: Vec<(String, String)> = Vec::new();
    for call in calls {
        let line = &call.line;
        let mut paths = quoted(line);
        match call.name.as_str() {
            "fsync" | "fdatasync" => {
                let Some(path) = of_descriptor(line, 0) else { continue };
                synced.insert(path.clone(), true);
                open.retain(|(folder, _)| *folder != path);
            }
            "write" | "pwrite64" => {
                if let Some(path) = of_descriptor(line, 0).filter(|path| path.starts_with(&root)) {
                    synced.insert(path, false);
                }
            }
            "linkat" | "symlinkat" | "renameat" | "renameat2" if line.contains(&root) => {
                let (Some(to), count) = (paths.pop(), paths.len()) else { continue };
                let folders = all_descriptors(line);
                let (Some(to_folder), Some(from)) = (folders.last(), paths.pop()) else { continue };
                let target = format!("{to_folder}/{to}");
                if call.name == "symlinkat" {
                    synced.insert(target, true);
                    continue;
                }
                let source = format!("{}/{from}", folders.first().unwrap_or(to_folder));
                let is_synced = synced.get(&source).copied().unwrap_or(true);
                if call.name == "linkat" {
                    synced.insert(target, is_synced);
                    continue;
                }
                row.points += 1;
                row.must(is_synced, || {
                    format!("not on the disk before it takes its place ({count}): {line}")
                });
                synced.insert(target, is_synced);
                open.push((to_folder.clone(), line.clone()));
            }
            _ => {}
        }
    }
    for (folder, line) in open {
        row.bad.push(format!("{folder} is not brought to the disk after: {line}"));
    }
    row
}

/// Between two effects outside (a request to the CA, a file in place), what was kept before the second is on the disk.
fn memory(what: &str, house: &House, calls: &[Call]) -> Row {
    let mut row =
        Row::of("F2", format!("{what}: what is kept is on the disk before the next effect on files"));
    let log = house.data.join("notafter.db-wal").display().to_string();
    let root = house.web.folder().display().to_string();
    let mut dirty = false;
    for call in calls {
        let path = of_descriptor(&call.line, 0);
        match call.name.as_str() {
            "pwrite64" if path.as_deref() == Some(&log) => dirty = true,
            "fsync" | "fdatasync" if path.as_deref() == Some(&log) => dirty = false,
            "renameat" | "renameat2" if call.line.contains(&root) => {
                row.points += 1;
                row.must(!dirty, || format!("what was kept is not on the disk before {}", call.line));
            }
            _ => {}
        }
    }
    row.points += 1;
    row.must(!dirty, || "what was kept last is not on the disk at the end".to_owned());
    row
}

/// The texts between quotes.
fn quoted(line: &str) -> Vec<String> {
    line.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The path behind a descriptor, as `-y` shows it: `fsync(9</path>)`.
fn of_descriptor(line: &str, n: usize) -> Option<String> {
    all_descriptors(line).into_iter().nth(n)
}

fn all_descriptors(line: &str) -> Vec<String> {
    let call = line.split(") = ").next().unwrap_or(line);
    call.split('<')
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('>')?.0.to_owned()))
        .filter(|p| p.starts_with('/'))
        .collect()
}

//! What is kept: cut short (trust F4), flipped (F14), locked or in the way (F11), made by a newer program or by half (F15); and
//! a process that may open few files or have little memory (F6). Refused in words, or gone on with; never half a pair.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::house::{House, Plan, Run, Running, finish};
use crate::strace::{self, FILLS, Lens};
use crate::{Dice, Options, Row, facts};

const RENEW: &[&str] = &["renew", "web", "--json", "--wait", "20s"];

pub(super) fn play(options: &Options) -> Result<Vec<Row>, String> {
    let mut house = House::new(options, "state", &Plan::default())?;
    let first = house.renew();
    if first.code != Some(0) {
        return Err(first.words());
    }
    house.keep();
    let backup = house.lab.path().join("backup.db").display().to_string();
    let made = house.run(&["backup", &backup]);
    if made.code != Some(0) {
        return Err(made.words());
    }
    let mut dice = Dice::new(options.seed);
    let mut rows = vec![
        torn(&mut house, options, &mut dice)?,
        flipped(&mut house, options, &mut dice, &backup)?,
        locked(&mut house)?,
        newer(&mut house)?,
    ];
    rows.push(begun(&mut house, options, &mut dice)?);
    rows.extend(little(&mut house, options)?);
    Ok(rows)
}

/// What holds after any of it: an end in words, and a pair that a server could start with.
fn whole(house: &House, run: &Run, row: &mut Row, at: &dyn Fn(String) -> String) {
    row.must(run.code.is_some_and(|code| (0..=2).contains(&code)), || at(run.words()));
    row.must(!run.err.contains("panicked"), || at(run.words()));
    row.must(run.code == Some(0) || run.words().len() > 40, || {
        at(format!("nothing is said: {}", run.words()))
    });
    pair(house, row, at);
}

fn pair(house: &House, row: &mut Row, at: &dyn Fn(String) -> String) {
    let started = facts::would_start(&house.web);
    row.must(started.is_ok(), || at(started.clone().unwrap_err()));
    let agree = facts::agree(&house.certificate(), &house.key());
    row.must(agree.is_ok(), || at(agree.clone().unwrap_err()));
}

/// The files of a folder and below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let found = Command::new("find").arg(folder).args(["-type", "f", "-size", "+0"]).output();
    let text = found.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    let mut all: Vec<PathBuf> = text.lines().map(PathBuf::from).collect();
    all.sort();
    all
}

/// Every file that we keep for ourselves, cut at several lengths.
fn torn(house: &mut House, options: &Options, dice: &mut Dice) -> Result<Row, String> {
    let mut all = Vec::new();
    for file in [files(&house.data), files(&house.tls().join(".key.pem.notafter"))].concat() {
        let size = fs::metadata(&file).map_or(0, |meta| meta.len());
        let lengths = [0, 1, size / 2, size - 1, dice.below(size), dice.below(size)];
        all.extend(lengths.into_iter().map(|length| (file.clone(), length)));
    }
    let chosen = dice.spread(&all, options.points);
    let mut row =
        Row::of("F4", "files of the data folder and of the generations cut short").asks(chosen.len());
    let (mut gone_on, mut named) = (0, 0);
    for (n, (file, length)) in chosen.iter().enumerate() {
        eprint!("\r  torn: {}/{} ", n + 1, chosen.len());
        house.back()?;
        fs::File::options()
            .write(true)
            .open(file)
            .and_then(|f| f.set_len(*length))
            .map_err(|e| e.to_string())?;
        let run = house.run(RENEW);
        row.points += 1;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let at = |what: String| format!("{} cut to {length}: {what}", file.display());
        whole(house, &run, &mut row, &at);
        if run.code == Some(0) {
            gone_on += 1;
        } else {
            named += usize::from(run.words().contains(&name));
            row.must(run.words().contains("hint"), || at(format!("no hint: {}", run.words())));
        }
    }
    eprintln!();
    let refused = row.points - gone_on;
    Ok(row.note(format!(
        "{gone_on} renewed all the same, {refused} refused, {named} of them with the file's name"
    )))
}

/// One bit of the memory turned over; then the backup, by one command.
fn flipped(house: &mut House, options: &Options, dice: &mut Dice, backup: &str) -> Result<Row, String> {
    house.back()?;
    let memory = house.data.join("notafter.db");
    let size = fs::metadata(&memory).map_err(|e| e.to_string())?.len();
    let pages: Vec<u64> = (0..size / 4_096).collect();
    let chosen = dice.spread(&pages, options.points);
    let mut row =
        Row::of("F14", "a byte of a page of the memory changed; then its backup restored").asks(chosen.len());
    let (mut noticed, mut gone_on) = (0, 0);
    for (n, page) in chosen.iter().enumerate() {
        eprint!("\r  flipped: {}/{} ", n + 1, chosen.len());
        house.back()?;
        let offset = page * 4_096 + dice.below(4_096);
        let mut bytes = fs::read(&memory).map_err(|e| e.to_string())?;
        bytes[usize::try_from(offset).unwrap_or(0)] ^= 0x5a;
        fs::write(&memory, bytes).map_err(|e| e.to_string())?;
        let doctor = house.run(&["doctor"]);
        let run = house.run(RENEW);
        row.points += 1;
        let at = |what: String| format!("octet {offset}: {what}");
        row.must(!doctor.err.contains("panicked"), || at(doctor.words()));
        whole(house, &run, &mut row, &at);
        let is_noticed = run.code != Some(0) || doctor.code != Some(0);
        noticed += usize::from(is_noticed);
        gone_on += usize::from(run.code == Some(0));
        // One command, and one word for whoever might be a copy. Elsewhere: in its own place it would be another file.
        let own = std::mem::replace(&mut house.data, house.lab.path().join(format!("restored-{n}")));
        let restored = house.run(&["restore", backup]);
        row.must(restored.code == Some(0), || at(format!("the backup is not taken: {}", restored.words())));
        let copied = fs::copy(own.join("master.key"), house.data.join("master.key"));
        let again = house.run(&["renew", "web", "--take-over", "--json", "--wait", "60s"]);
        house.data = own;
        row.must(copied.is_ok() && again.code == Some(0), || {
            at(format!("from the backup: {}", again.words()))
        });
        pair(house, &mut row, &at);
    }
    eprintln!();
    Ok(row.note(format!("{noticed} noticed, {gone_on} renewed all the same")))
}

/// The lock held by somebody, something else in its place, and what a killed holder leaves.
fn locked(house: &mut House) -> Result<Row, String> {
    let mut row = Row::of(
        "F11",
        "the lock of the files held, a file in its place, its folder closed, a holder that is dead",
    )
    .asks(4);
    let store = house.tls().join(".key.pem.notafter");
    // Held for longer than we wait: an end in time, without turning in circles.
    house.back()?;
    let mut flock = Command::new("flock");
    // The lock is with `flock` itself, not with what it runs.
    flock.arg("-o").arg(&store).args(["sleep", "60"]);
    let mut held = Running::start(flock, &house.lab.path().join("flock.out"));
    std::thread::sleep(Duration::from_millis(300));
    let mut timed = Command::new("bash");
    timed.args(["-c", "TIMEFORMAT='cpu %U %S'; time \"$@\"", "bash"]);
    let run = finish(house.behind(timed, RENEW), Duration::from_secs(90));
    held.kill();
    row.points += 1;
    let at = |what: String| format!("held by another: {what}");
    whole(house, &run, &mut row, &at);
    row.must(run.code == Some(1) && run.words().contains("another deployment"), || at(run.words()));
    row.must(run.took < Duration::from_secs(40), || at(format!("it took {} s", run.took.as_secs())));
    let cpu = run.err.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or("?");
    let seconds: f64 = cpu.split_whitespace().filter_map(|word| word.parse::<f64>().ok()).sum();
    row.must(cpu != "?" && seconds < 10.0, || at(format!("{cpu} s of the processor")));
    let again = super::disk::healed(house);
    row.must(again.code == Some(0), || at(format!("let go of: {}", again.words())));

    // A file where the folder is to be, empty as others leave them.
    house.back()?;
    fs::remove_dir_all(&store).and_then(|()| fs::write(&store, "")).map_err(|e| e.to_string())?;
    let run = house.run(RENEW);
    row.points += 1;
    let at = |what: String| format!("an empty file in its place: {what}");
    whole(house, &run, &mut row, &at);
    row.must(run.code == Some(0) || run.words().contains(".key.pem.notafter"), || at(run.words()));
    let _ = fs::remove_file(&store);
    let again = super::disk::healed(house);
    row.must(again.code == Some(0), || at(format!("taken away: {}", again.words())));

    // Nobody may write there.
    house.back()?;
    let immutable = |flag: &str| {
        Command::new("chattr").arg(flag).arg(house.tls()).status().is_ok_and(|status| status.success())
    };
    if immutable("+i") {
        let run = house.run(RENEW);
        immutable("-i");
        row.points += 1;
        let at = |what: String| format!("its folder closed: {what}");
        whole(house, &run, &mut row, &at);
        row.must(run.code == Some(1), || at(run.words()));
        let again = super::disk::healed(house);
        row.must(again.code == Some(0), || at(format!("opened: {}", again.words())));
    } else {
        // A file system without that flag: one row less is asked for.
        row.asked -= 1;
    }

    // Killed with everything in its hands: the next one need not wait for its time to be over.
    house.back()?;
    let mut one = house.start(RENEW, "dead.out");
    std::thread::sleep(Duration::from_millis(700));
    one.kill();
    let begun = Instant::now();
    let run = house.renew();
    row.points += 1;
    row.must(run.code == Some(0), || format!("after a dead holder: {}", run.words()));
    row.must(begun.elapsed() < Duration::from_secs(60), || {
        format!("after a dead holder: {} s", begun.elapsed().as_secs())
    });
    Ok(row.note(format!("held: {cpu} s of the processor")))
}

/// A memory that a newer program has changed.
fn newer(house: &mut House) -> Result<Row, String> {
    let mut row =
        Row::of("F15", "the memory of a newer program: refused in words, by every command, and not touched")
            .asks(4);
    house.back()?;
    let memory = house.data.join("notafter.db");
    let mut python = Command::new("python3");
    python.args(["-c", "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1])\nc.execute(\"INSERT INTO migration VALUES (9999,'x',1)\")\nc.commit()\nc.execute('PRAGMA wal_checkpoint(TRUNCATE)')\nc.close()"]);
    python.arg(&memory);
    let marked = finish(python, Duration::from_secs(20));
    if marked.code != Some(0) {
        return Err(marked.words());
    }
    let before = fs::read(&memory).map_err(|e| e.to_string())?;
    let issued = house.orders();
    for words in [RENEW, &["deploy", "web"], &["ls"], &["doctor"]] {
        let run = house.run(words);
        row.points += 1;
        let at = |what: String| format!("{}: {what}", words.join(" "));
        whole(house, &run, &mut row, &at);
        row.must(run.code != Some(0) && run.words().contains("newer"), || at(run.words()));
    }
    row.must(fs::read(&memory).is_ok_and(|now| now == before), || "it was written to".to_owned());
    row.must(house.orders() == issued, || "something was ordered".to_owned());
    Ok(row)
}

/// Killed while the memory is made, step by step of its schema.
fn begun(house: &mut House, options: &Options, dice: &mut Dice) -> Result<Row, String> {
    strace::is_there()?;
    let kept = house.data.clone();
    house.data = house.lab.path().join("begun");
    let memory: Vec<PathBuf> =
        ["notafter.db", "notafter.db-wal", "notafter.db-shm"].iter().map(|f| house.data.join(f)).collect();
    let lens = Lens { paths: memory, names: FILLS };
    let words = &["renew", "web", "--json", "--wait", "0s"];
    let (_, calls) = strace::trace(house, words, &lens, &[]);
    let points = strace::points(&calls);
    let mut row = Row::of("F15", "killed while the steps of the schema are applied, then begun again");
    let reached = strace::each("begun", &points, options.points, dice, |point| {
        let _ = fs::remove_dir_all(&house.data);
        let (_, met) = strace::broken(house, words, &lens, point, ("signal=KILL", false));
        if !met {
            return Ok(false);
        }
        row.points += 1;
        let run = house.run(&["ls", "--json"]);
        row.must(run.code == Some(0), || format!("at {point}: {}", run.words()));
        Ok(true)
    })?;
    let _ = fs::remove_dir_all(&house.data);
    house.data = kept;
    Ok(row.asks(reached.asked).note(format!("{} points in reach", points.len())))
}

/// Few descriptors, and little memory.
fn little(house: &mut House, options: &Options) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let files: &[u64] =
        if options.quick { &[12, 40] } else { &[8, 10, 12, 14, 16, 18, 20, 24, 28, 32, 48, 64] };
    let megabytes: &[u64] = if options.quick { &[64] } else { &[8, 16, 24, 32, 48, 64, 96, 128] };
    for (what, option, limits) in
        [("open files", "--nofile", files), ("MB of memory of its own", "--data", megabytes)]
    {
        let mut row = Row::of("F6", format!("a renewal with so many {what}")).asks(limits.len());
        let mut said = Vec::new();
        for limit in limits {
            house.back()?;
            let issued = house.orders().1;
            let from = house.generation();
            let number = if option == "--data" { limit << 20 } else { *limit };
            let mut prlimit = Command::new("prlimit");
            prlimit.arg(format!("{option}={number}"));
            let run = finish(house.behind(prlimit, RENEW), Duration::from_secs(120));
            row.points += 1;
            let at = |text: String| format!("{limit} {what}: {text}");
            // Without memory there may be no words left to say.
            if option == "--nofile" {
                whole(house, &run, &mut row, &at);
            } else {
                pair(house, &mut row, &at);
            }
            said.push(format!("{limit} {}", if run.code == Some(0) { "done" } else { "refused" }));
            let again = super::disk::healed(house);
            row.must(again.code == Some(0), || at(format!("without the limit: {}", again.words())));
            pair(house, &mut row, &at);
            let renewals = again.json()["generation"].as_u64().unwrap_or(0).saturating_sub(from);
            let made = house.orders().1 - issued;
            row.must(made as u64 <= renewals.max(1), || {
                at(format!("{made} certificates for {renewals} renewals"))
            });
        }
        rows.push(row.note(said.join(", ")));
    }
    Ok(rows)
}

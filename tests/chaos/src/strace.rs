//! strace as a hand that breaks things: counts a run's system calls, then makes one of them kill or fail.
//!
//! strace counts each call by name and thread, and `when=K` means the first thread that makes its K-th call of that name.
//! So a call of a worker thread is out of reach while another thread makes its K-th earlier. Looking only at calls on
//! some paths ([`Lens::paths`]) gives those threads counts of their own: that is how the deployer's calls are reached.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use notafter_lab::program;

use crate::Dice;
use crate::house::{House, Run, finish};

/// Calls that touch the disk or the network. Those that only wait, map memory or close are left out.
const TOUCHES: &[&str] = &[
    "accept4",
    "bind",
    "connect",
    "fallocate",
    "fchmod",
    "fchmodat",
    "fchown",
    "fchownat",
    "fdatasync",
    "flock",
    "fsync",
    "fsetxattr",
    "ftruncate",
    "linkat",
    "link",
    "listen",
    "mkdir",
    "mkdirat",
    "open",
    "openat",
    "pread64",
    "pwrite64",
    "read",
    "readv",
    "recvfrom",
    "recvmsg",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendmsg",
    "sendto",
    "socket",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "write",
    "writev",
];
/// Calls that may meet a full disk.
pub(crate) const FILLS: &[&str] = &[
    "fallocate",
    "fdatasync",
    "fsync",
    "ftruncate",
    "link",
    "linkat",
    "mkdir",
    "mkdirat",
    "openat",
    "pwrite64",
    "rename",
    "renameat",
    "renameat2",
    "symlink",
    "symlinkat",
    "write",
];
/// A run under strace takes longer than one without.
const PATIENCE: Duration = Duration::from_secs(240);

/// Which calls are looked at.
#[derive(Clone, Default)]
pub(crate) struct Lens {
    /// On these paths alone; all, where there is none.
    pub(crate) paths: Vec<PathBuf>,
    /// Of these names; all that touch disk or network, where there is none.
    pub(crate) names: &'static [&'static str],
}

impl Lens {
    fn names(&self) -> &'static [&'static str] {
        if self.names.is_empty() { TOUCHES } else { self.names }
    }
}

/// One call of a run.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) thread: u32,
    pub(crate) name: String,
    /// The how-manieth of its name in its thread.
    pub(crate) number: usize,
    /// The line of the trace.
    pub(crate) line: String,
}

/// Where something is broken.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) name: String,
    pub(crate) number: usize,
    pub(crate) line: String,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown: String = self.line.chars().take(90).collect();
        write!(f, "{} {} ({shown})", self.name, self.number)
    }
}

/// Is strace here, and may it trace?
pub(crate) fn is_there() -> Result<(), String> {
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "trace=openat",
        "-e",
        "inject=openat:error=ENOENT:when=9999",
        "true",
    ]);
    match program::run(&mut command) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("strace is needed here: {error}")),
    }
}

/// strace over whatever is run behind it, with its trace in a file.
pub(crate) fn over(lens: &Lens, out: &Path, more: &[String]) -> Command {
    let mut command = Command::new("strace");
    // The numbers of threads and children are told by what begins them.
    let names = lens.names().join(",?");
    command.args(["-f", "-qq", "-s", "120", "-o"]).arg(out);
    command.arg("-e").arg(format!("trace=?{names},execve"));
    for path in &lens.paths {
        command.arg("-P").arg(path);
    }
    command.args(more).arg("--");
    command
}

/// One run, looked at through the lens.
pub(crate) fn trace(house: &House, words: &[&str], lens: &Lens, more: &[&str]) -> (Run, Vec<Call>) {
    let out = house.lab.path().join("trace");
    let more: Vec<String> = more.iter().map(|word| (*word).to_owned()).collect();
    let run = finish(house.behind(over(lens, &out, &more), words), PATIENCE);
    (run, read(&fs::read_to_string(&out).unwrap_or_default()))
}

/// The calls of a trace, of the program's own threads, in the order in which they were entered.
pub(crate) fn read(text: &str) -> Vec<Call> {
    let mut counts: HashMap<(u32, String), usize> = HashMap::new();
    let mut children = HashSet::new();
    let mut first = None;
    let mut calls = Vec::new();
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Ok(thread) = thread.parse::<u32>() else { continue };
        let rest = rest.trim_start();
        let Some((name, _)) = rest.split_once('(') else { continue };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        let program = *first.get_or_insert(thread);
        if name == "execve" && thread != program {
            children.insert(thread);
        }
        let number = counts.entry((thread, name.to_owned())).or_default();
        *number += 1;
        let line = rest.to_owned();
        calls.push(Call { thread, name: name.to_owned(), number: *number, line });
    }
    calls.retain(|call| !children.contains(&call.thread) && call.name != "execve");
    calls
}

/// The points that can be reached: of calls with one name and number, the first.
pub(crate) fn points(calls: &[Call]) -> Vec<Point> {
    let mut known = HashSet::new();
    calls
        .iter()
        .filter(|call| known.insert((call.name.as_str(), call.number)))
        .map(|call| Point { name: call.name.clone(), number: call.number, line: call.line.clone() })
        .collect()
}

/// A run that is broken at one point, or from there on. `fault` is strace's word: `signal=KILL`, `error=ENOSPC`. Whether
/// it came so far.
pub(crate) fn broken(
    house: &House,
    words: &[&str],
    lens: &Lens,
    point: &Point,
    (fault, lasts): (&str, bool),
) -> (Run, bool) {
    let out = house.lab.path().join("trace-broken");
    let run = finish(house.behind(over(lens, &out, &inject(point, (fault, lasts))), words), PATIENCE);
    (run, is_met(&out))
}

/// What came of many points.
#[derive(Default)]
pub(crate) struct Reached {
    /// Of these, at least so many have to be met.
    pub(crate) asked: usize,
    /// Runs that ended before their point: threads take turns as they like.
    pub(crate) missed: usize,
}

/// Plays so many of these points. One that is not met is tried once more, then another one takes its place. `play` says
/// whether it was met.
pub(crate) fn each(
    what: &str,
    points: &[Point],
    count: usize,
    dice: &mut Dice,
    mut play: impl FnMut(&Point) -> Result<bool, String>,
) -> Result<Reached, String> {
    let chosen = dice.spread(points, count);
    let same = |a: &Point, b: &Point| a.name == b.name && a.number == b.number;
    let rest: Vec<Point> = points.iter().filter(|p| !chosen.iter().any(|c| same(c, p))).cloned().collect();
    let spare = dice.spread(&rest, count);
    let (mut reached, mut done) = (Reached { asked: chosen.len(), ..Reached::default() }, 0);
    for point in chosen.iter().chain(&spare) {
        if done == reached.asked {
            break;
        }
        eprint!("\r  {what}: {}/{} ", done + 1, reached.asked);
        for _ in 0..2 {
            if play(point)? {
                done += 1;
                break;
            }
            reached.missed += 1;
        }
    }
    eprintln!();
    Ok(reached)
}

/// The words that break something at a point, or from there on.
pub(crate) fn inject(point: &Point, (fault, lasts): (&str, bool)) -> Vec<String> {
    let from = if lasts { "+" } else { "" };
    vec!["-e".to_owned(), format!("inject={}:{fault}:when={}{from}", point.name, point.number)]
}

/// Did a run come as far as its point?
pub(crate) fn is_met(out: &Path) -> bool {
    let trace = fs::read_to_string(out).unwrap_or_default();
    trace.contains("(INJECTED)") || trace.contains("+++ killed by SIGKILL +++")
}

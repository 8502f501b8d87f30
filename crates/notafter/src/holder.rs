//! Who works on a renewal: a name for this process that no other one has, and whether another process still lives.
//!
//! A process is named by host, number and moment of its start; the boot and the space of process numbers are in it, too,
//! because two containers may have one host name and the number 1 each. Of a process on another machine, of another boot or
//! in another container nothing is known, and so it is taken to live. Kills nobody.

use std::fs;
use std::path::Path;

use crate::assemble;

/// The name of this process.
pub(crate) fn own() -> String {
    let mark =
        start(std::process::id()).map_or_else(|| "?".to_owned(), |start| format!("{start}@{}", space()));
    format!("{} {} {mark}", assemble::vantage(), std::process::id())
}

/// Is it a process of this machine that is no more?
pub(crate) fn is_gone(holder: &str) -> bool {
    let mut words = holder.rsplit(' ');
    let (Some(mark), Some(pid)) = (words.next(), words.next().and_then(|pid| pid.parse::<u32>().ok())) else {
        return false;
    };
    let Some((begun, its_space)) = mark.split_once('@') else { return false };
    let space = space();
    if space.contains('?') || its_space != space || !Path::new("/proc/self/stat").exists() {
        return false;
    }
    start(pid).is_none_or(|start| start != begun)
}

/// When a process began, in ticks since the boot (`starttime` in proc_pid_stat(5)). `None`: there is none, or it has ended
/// and only waits to be collected.
fn start(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program may hold anything, a bracket too.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let start = fields.nth(18)?.to_owned();
    (!matches!(state, "Z" | "X")).then_some(start)
}

/// This boot, and the space of process numbers that we see.
fn space() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let boot = boot.get(..8).unwrap_or("?").to_owned();
    let pids = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let digits: String = pids.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    format!("{boot}-{}", if digits.is_empty() { "?" } else { &digits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_and_the_dead() {
        let me = own();
        assert!(!is_gone(&me), "{me}");
        // The same number at another moment is another process.
        let (host_and_number, mark) = me.rsplit_once(' ').expect("a mark");
        let (_, space) = mark.split_once('@').expect("a space");
        assert!(is_gone(&format!("{host_and_number} 1@{space}")));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep runs");
        let held = format!("host {} {}@{space}", child.id(), start(child.id()).expect("it lives"));
        assert!(!is_gone(&held));
        child.kill().expect("killed");
        // Not collected yet: it does nothing more all the same.
        while !is_gone(&held) {
            std::thread::yield_now();
        }
        child.wait().expect("collected");
        assert!(is_gone(&held));
        // Of others nothing is known.
        for other in ["host 1", "host 1 1@beefbeef-1", "host 99999999 ?", ""] {
            assert!(!is_gone(other), "{other}");
        }
    }
}

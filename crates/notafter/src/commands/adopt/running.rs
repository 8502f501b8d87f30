//! The processes of this machine that serve the certificate: what they were started with.
//!
//! Nothing is decided here, and a process is believed about its own words alone.

use std::path::{Path, PathBuf};

use notafter_core::location::Location;
use notafter_discover::local::{self, Processes};

use super::known::Known;

/// A process's command line has so many words that are looked at.
const WORDS_MAX: usize = 64;

/// A process of this machine that serves the certificate.
pub(super) struct Running {
    pub(super) pid: u32,
    /// Existing files that it was started with.
    pub(super) files: Vec<PathBuf>,
    /// nginx's `-p`.
    pub(super) prefix: Option<PathBuf>,
    /// What it runs, where this account may know.
    pub(super) program: Option<PathBuf>,
}

impl Running {
    /// Was it started with this file?
    pub(super) fn reads(&self, main: &Path) -> bool {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let main = real(main);
        self.files.iter().any(|file| real(file) == main)
    }
}

/// Who shows the certificate on this machine, as far as that was seen.
pub(super) fn running(known: &Known) -> Vec<Running> {
    let ours: Vec<_> =
        known.served.iter().filter_map(Location::address).filter(|a| local::is_ours(a.ip())).collect();
    if ours.is_empty() {
        return Vec::new();
    }
    let processes = Processes::look();
    let mut pids: Vec<u32> = ours.iter().filter_map(|address| Some(processes.at(*address)?.pid)).collect();
    // A worker has not been told what the process above it was told.
    pids.extend(pids.clone().into_iter().filter_map(parent));
    pids.sort_unstable();
    pids.dedup();
    let one = |pid: u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let folder = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        // nginx writes its words into its title, with blanks between them.
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let words: Vec<&str> = line.split_whitespace().take(WORDS_MAX).collect();
        let behind = |flag: &str| {
            let at = words.iter().position(|word| *word == flag)?;
            words.get(at + 1).map(|word| folder.join(word))
        };
        let prefix = behind("-p").filter(|_| line.contains("nginx")).and_then(|p| p.canonicalize().ok());
        let mut files: Vec<PathBuf> = local::named_files(pid).into_iter().map(|(_, path)| path).collect();
        if let Some(named) = behind("-c") {
            let base = prefix.clone().unwrap_or_default();
            files.extend([base.join(named.strip_prefix(&folder).unwrap_or(&named)), named]);
        }
        files.extend(postfix(pid));
        files.retain(|path| path.is_file() && path.is_absolute());
        let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok().filter(|path| path.is_file());
        Running { pid, files, prefix, program }
    };
    pids.into_iter().map(one).collect()
}

/// The process above it, but for the first one of the machine.
fn parent(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let id = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
    (id > 1).then_some(id)
}

/// The main file of Postfix, which tells its folder to its processes by their environment alone (postfix(1)).
fn postfix(pid: u32) -> Option<PathBuf> {
    let all = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let folder = all.split(|b| *b == 0).find_map(|entry| entry.strip_prefix(b"MAIL_CONFIG="))?;
    Some(PathBuf::from(std::str::from_utf8(folder).ok()?).join("main.cf"))
}

//! A program that is run for somebody: what it is given, how long it may take, what it printed.
//!
//! Of notifiers and deployers alike. Its environment is made anew. It runs in a process group of its own that is killed at
//! the time limit, when the program ends, and when the caller gives up: whatever it left running there does not outlive
//! it. Which program may be run, and what an exit code means, is the caller's to say.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use notafter_core::fault::{Fault, FaultKind};
use notafter_pki::name::printable;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::text::cut;

/// Where programs are looked for, whatever the environment says.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How much of each output is kept where nothing else is said; the rest is read and dropped, so that the program does not
/// stall.
pub(crate) const OUTPUT_MAX: usize = 32 * 1024;
/// How much of it is shown in a fault.
const SHOWN_MAX: usize = 1000;
/// How long output is waited for once the program and its group are gone: a process that left the group may hold the
/// pipe open for ever.
const AFTERMATH: Duration = Duration::from_millis(500);

/// A program, its arguments and its time limit.
pub(crate) struct Order<'a> {
    /// The program, by its full path.
    pub(crate) program: &'a Path,
    /// What it is called in faults.
    pub(crate) name: &'a str,
    pub(crate) arguments: &'a [String],
    /// Its standard input.
    pub(crate) input: &'a [u8],
    pub(crate) timeout: Duration,
    /// How much of each output is kept.
    pub(crate) room: usize,
}

/// How it ended, and the beginning of what it printed.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Its standard output.
    pub(crate) said: Vec<u8>,
    /// Its standard error.
    pub(crate) complained: Vec<u8>,
}

impl Ended {
    /// All that it printed, in one printable line for a fault; what it complained of first.
    pub(crate) fn shown(&self) -> String {
        shown(&[self.complained.as_slice(), b"\n", self.said.as_slice()].concat())
    }
}

/// Runs it to its end, whatever that is.
///
/// # Errors
/// It could not be started, or was not done in time.
pub(crate) async fn end_of<N: AsRef<OsStr>, V: AsRef<OsStr>>(
    order: &Order<'_>,
    environment: impl IntoIterator<Item = (N, V)>,
) -> Result<Ended, Fault> {
    let name = printable(order.name);
    let mut child = Command::new(order.program);
    child
        .args(order.arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .envs(std::env::var_os("HOME").map(|home| ("HOME", home)))
        .envs(environment)
        .current_dir("/")
        .stdin(if order.input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = child.spawn().map_err(|error| {
        Fault::new(FaultKind::NotFound, format!("{name} could not be started: {error}"))
            .hint("is it there, executable, and does its first line name an interpreter that is?")
    })?;
    let group = Group::of(child.id());
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let ended = {
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program that does not read its input is not wrong.
                let _ = stdin.write_all(order.input).await;
            }
        };
        let pipes = async {
            tokio::join!(feed, keep(stdout, order.room, &mut said), keep(stderr, OUTPUT_MAX, &mut complained))
        };
        tokio::pin!(pipes);
        let mut drained = false;
        let life = async {
            loop {
                // Both pipes may be closed long before the program ends, and the other way round.
                tokio::select! {
                    status = child.wait() => return status,
                    _ = &mut pipes, if !drained => drained = true,
                }
            }
        };
        let ended = tokio::time::timeout(order.timeout, life).await;
        // What it started and left running belongs into somebody else's group, not into ours.
        drop(group);
        if !drained {
            let _ = tokio::time::timeout(AFTERMATH, pipes).await;
        }
        ended
    };
    match ended {
        Ok(Ok(status)) => Ok(Ended { status, said, complained }),
        Ok(Err(error)) => Err(Fault::new(FaultKind::System, format!("{name}: {error}"))),
        Err(_) => {
            // Collects it if it is gone; one that even SIGKILL does not end at once is left to tokio.
            let _ = tokio::time::timeout(AFTERMATH, child.wait()).await;
            let seconds = order.timeout.as_secs();
            let said = shown(&[complained, said].concat());
            Err(Fault::new(
                FaultKind::Unreachable,
                format!("{name} was not done after {seconds} s and was killed{said}"),
            ))
        }
    }
}

/// Reads a pipe to its end and keeps the beginning.
async fn keep(pipe: Option<impl AsyncRead + Unpin>, most: usize, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        let room = most.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..read.min(room)]);
    }
}

/// Is it the first, or the last, line of a private key (RFC 7468)?
fn is_key(line: &str, end: &str) -> bool {
    line.contains(end) && line.contains("PRIVATE KEY-----")
}

/// The text without private keys: a program that is given one may print what it was given.
fn without_keys(text: &str) -> String {
    let (mut out, mut inside) = (String::with_capacity(text.len()), false);
    for line in text.lines() {
        let begins = !inside && is_key(line, "-----BEGIN ");
        if begins {
            out.push_str("(a private key)\n");
        } else if !inside {
            out.push_str(line);
            out.push('\n');
        }
        inside = (inside || begins) && !is_key(line, "-----END ");
    }
    out
}

/// The output in one printable line, for a fault.
pub(crate) fn shown(output: &[u8]) -> String {
    let text = without_keys(&String::from_utf8_lossy(output));
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        String::new()
    } else {
        cut(&format!(": {}", printable(&lines.join(" / "))), SHOWN_MAX)
    }
}

/// A process group, killed when dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(id: Option<u32>) -> Self {
        Self(id.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Gone already in the usual case. Its number cannot have been given to others yet: the kernel hands out all
            // others first, and a group keeps its own while anybody is in it.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

//! A command of the site's: what it is given, how long it may take, and what it said when it failed.
//!
//! An argument list and never a shell. The environment is made anew. The command runs in a process group of its own that
//! is killed at the time limit, when the command ends, and when the caller gives up. When we are root, a program that
//! others may write to is refused: it would be theirs that runs as root. Success is exit code 0 and nothing else.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_pki::name::printable;
use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::text::cut;

/// Where programs are looked for, whatever the environment says.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How much of each output is kept; the rest is read and dropped, so that the program does not stall.
const OUTPUT_MAX: usize = 32 * 1024;
/// How much of it is shown in a fault.
const SHOWN_MAX: usize = 1000;
/// How long output is waited for once the program and its group are gone: a process that left the group may hold the
/// pipe open for ever.
const AFTERMATH: Duration = Duration::from_millis(500);

/// An argument list and its time limit.
#[derive(Clone, Copy)]
pub(super) struct Argv<'a> {
    pub(super) argv: &'a [String],
    pub(super) timeout: Duration,
}

/// Refuses what is no argument list.
pub(super) fn check_argv(argv: &[String]) -> Result<(), String> {
    let program = argv.first().map(String::as_str).unwrap_or_default();
    if program.is_empty() || (program.contains('/') && !program.starts_with('/')) {
        return Err(format!(
            "a command begins with `{}`, which is neither the name of a program nor its full path\n\
             hint: [\"nginx\", \"-t\"] or [\"/usr/local/bin/reload\"]; it is an argument list, not a shell line",
            program.escape_debug()
        ));
    }
    if program.contains(char::is_whitespace) {
        return Err(format!(
            "`{}` is no program\nhint: each argument is a string of its own: [\"nginx\", \"-t\"]",
            program.escape_debug()
        ));
    }
    if argv.iter().any(|argument| argument.contains('\0')) {
        return Err("a command has a NUL character in it\nhint: take it out".to_owned());
    }
    Ok(())
}

/// The program of an argument list, by its full path. When we are root, it is one that only root can change.
pub(super) fn program(argv: &[String]) -> Result<PathBuf, Fault> {
    let name = argv.first().map(String::as_str).unwrap_or_default();
    let found = if name.starts_with('/') {
        Some(PathBuf::from(name)).filter(|path| path.is_file())
    } else {
        PATH.split(':').map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
    };
    let shown = printable(name);
    let found = found.ok_or_else(|| {
        Fault::new(FaultKind::NotFound, format!("there is no program {shown}"))
            .retry(Retry::Never)
            .hint(format!("is it installed here? It is looked for in {PATH}"))
    })?;
    if !geteuid().is_root() {
        return Ok(found);
    }
    // The file at the end of all links, and every folder above it.
    let real = found
        .canonicalize()
        .map_err(|e| Fault::new(FaultKind::NotFound, format!("{shown} could not be looked at: {e}")))?;
    for path in real.ancestors() {
        let meta = path.metadata().map_err(|e| {
            Fault::new(FaultKind::NotFound, format!("{} could not be looked at: {e}", path.display()))
        })?;
        let group = meta.mode() & 0o020 != 0 && meta.gid() != 0;
        let all = meta.mode() & 0o002 != 0 && !(meta.is_dir() && meta.mode() & 0o1000 != 0);
        if meta.uid() != 0 || group || all {
            let path = printable(&path.to_string_lossy());
            return Err(Fault::new(
                FaultKind::PermissionDenied,
                format!("{shown} is not run as root: {path} may be changed by others"),
            )
            .retry(Retry::Never)
            .hint(format!("chown root {path}; chmod go-w {path}")));
        }
    }
    Ok(found)
}

/// How a command ended, and the beginning of what it printed.
pub(super) struct Ended {
    /// Its exit code; none where a signal ended it.
    pub(super) code: Option<i32>,
    /// Its standard output.
    pub(super) said: Vec<u8>,
    /// Its standard error.
    pub(super) complained: Vec<u8>,
    status: ExitStatus,
}

/// Runs a command to its end; anything but exit code 0 is a fault.
pub(super) async fn run(
    command: Argv<'_>,
    environment: &[(String, OsString)],
    input: &[u8],
) -> Result<(), Fault> {
    let ended = end_of(command, environment, input).await?;
    if ended.status.success() {
        return Ok(());
    }
    let name = printable(command.argv.first().map(String::as_str).unwrap_or_default());
    let output = shown(&[ended.complained.as_slice(), b"\n", ended.said.as_slice()].concat());
    Err(Fault::new(FaultKind::Refused, format!("{name}: {}{output}", ended.status)))
}

/// Runs a command to its end, whatever that is.
pub(super) async fn end_of(
    command: Argv<'_>,
    environment: &[(String, OsString)],
    input: &[u8],
) -> Result<Ended, Fault> {
    let path = program(command.argv)?;
    let name = printable(command.argv.first().map(String::as_str).unwrap_or_default());
    let mut child = Command::new(&path);
    child
        .args(command.argv.get(1..).unwrap_or(&[]))
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .envs(std::env::var_os("HOME").map(|home| ("HOME", home)))
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = child.spawn().map_err(|error| start_failed(&name, &error))?;
    let group = Group::of(child.id());
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let ended = {
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program that does not read its input is not wrong.
                let _ = stdin.write_all(input).await;
            }
        };
        let pipes = async { tokio::join!(feed, keep(stdout, &mut said), keep(stderr, &mut complained)) };
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
        let ended = tokio::time::timeout(command.timeout, life).await;
        // A server that a command starts belongs into the service manager's group, not into ours.
        drop(group);
        if !drained {
            let _ = tokio::time::timeout(AFTERMATH, pipes).await;
        }
        ended
    };
    match ended {
        Ok(Ok(status)) => Ok(Ended { code: status.code(), said, complained, status }),
        Ok(Err(error)) => Err(Fault::new(FaultKind::System, format!("{name}: {error}"))),
        Err(_) => {
            // Collects it if it is gone; one that even SIGKILL does not end at once is left to tokio.
            let _ = tokio::time::timeout(AFTERMATH, child.wait()).await;
            let seconds = command.timeout.as_secs();
            Err(Fault::new(
                FaultKind::Unreachable,
                format!(
                    "{name} was not done after {seconds} s and was killed{}",
                    shown(&[complained, said].concat())
                ),
            ))
        }
    }
}

fn start_failed(name: &str, error: &io::Error) -> Fault {
    Fault::new(FaultKind::NotFound, format!("{name} could not be started: {error}"))
        .hint("is it executable, and does its first line name an interpreter that is there?")
}

/// Reads a pipe to its end and keeps the beginning.
async fn keep(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        let room = OUTPUT_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..read.min(room)]);
    }
}

/// The output in one printable line, for a fault.
pub(super) fn shown(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
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
            // Gone already in the usual case; a group keeps its number while anybody is in it.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

//! Finding the programs of the lab, and running the short-lived ones to their end within a bounded time.
//!
//! Long-lived programs are [`crate::Server`]s.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::NotRun;

/// How long a short program may take; the longest is the making of an RSA-4096 key on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a program printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it complained.
    pub stderr: Vec<u8>,
}

impl Ran {
    /// What it printed, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Both outputs, as text.
    pub fn all(&self) -> String {
        self.text() + &String::from_utf8_lossy(&self.stderr)
    }
}

/// The path of a program: in `PATH` or in the system folders.
///
/// # Errors
/// When it is in none of them.
pub fn find(name: &str) -> Result<PathBuf, NotRun> {
    let path = std::env::var("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin"];
    path.split(':')
        .chain(system)
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| NotRun::new(name, "the program is not installed"))
}

/// The path of a file of a package: where the package puts it, or where it was unpacked beside the system.
pub fn find_in(package: &str, path: &str) -> Result<PathBuf, NotRun> {
    let installed = PathBuf::from(path);
    if installed.exists() {
        return Ok(installed);
    }
    let beside = unpacked(package).join(path.trim_start_matches('/'));
    if beside.exists() { Ok(beside) } else { Err(NotRun::new(package, format!("{path} is not installed"))) }
}

/// Finds a program of a package that has to be newer than the system's: beside the system first.
pub(crate) fn newer(package: &str, path: &str) -> Result<PathBuf, NotRun> {
    let beside = unpacked(package).join(path.trim_start_matches('/'));
    if beside.exists() { Ok(beside) } else { find_in(package, path) }
}

/// Where `xtask` unpacks a package that cannot be installed together with another one.
pub(crate) fn unpacked(package: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    workspace.canonicalize().unwrap_or(workspace).join("target/lab/unpacked").join(package)
}

/// Runs a program to its end; fails if it fails or takes longer than a minute.
pub fn run(command: &mut Command) -> Result<Ran, NotRun> {
    feed(command, b"")
}

/// Like [`run`], with bytes on its standard input.
pub(crate) fn feed(command: &mut Command, input: &[u8]) -> Result<Ran, NotRun> {
    let ran = finish(command, input, PATIENCE)?;
    if ran.status.success() {
        return Ok(ran);
    }
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    Err(NotRun::new(&name(command), format!("{} {}\n{}", ran.status, words.join(" "), tail(&ran.all()))))
}

/// Runs a program until it ends by itself or its time is up, whatever its exit code.
pub fn finish(command: &mut Command, input: &[u8], patience: Duration) -> Result<Ran, NotRun> {
    let what = name(command);
    let failed = |error: std::io::Error| NotRun::new(&what, error.to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).env("LC_ALL", "C");
    let mut child = command.spawn().map_err(failed)?;

    // Both pipes are drained while we wait: a full pipe would stop the program.
    let mut output = child.stdout.take();
    let mut complaints = child.stderr.take();
    let stdout = thread::spawn(move || drain(output.as_mut()));
    let stderr = thread::spawn(move || drain(complaints.as_mut()));
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input);
    }

    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if began.elapsed() > patience {
            // What it started holds our pipes too. That is a group where the caller asked for one, else nobody.
            signal("KILL", &[-i64::from(child.id())]);
            let _ = child.kill();
            let _ = child.wait();
            let so_far = stderr.join().unwrap_or_default();
            let why = format!("no end after {patience:?}\n{}", tail(&String::from_utf8_lossy(&so_far)));
            return Err(NotRun::new(&what, why));
        }
        thread::sleep(Duration::from_millis(2));
    };
    let (stdout, stderr) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
    Ok(Ran { status, stdout, stderr })
}

/// Reads a pipe to its end.
fn drain(pipe: Option<&mut impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        let _ = pipe.read_to_end(&mut bytes);
    }
    bytes
}

/// The name of a command's program, for a message.
fn name(command: &Command) -> String {
    Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The last lines of a text, for a message.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Sends a signal to processes; a negative number means the whole process group.
pub fn signal(name: &str, targets: &[i64]) {
    if targets.is_empty() {
        return;
    }
    // The shell's own `kill` is there on every machine, the program of that name is not.
    let mut command = Command::new("sh");
    command.args(["-c", "kill -s \"$0\" -- \"$@\"", name]);
    command.args(targets.iter().map(i64::to_string));
    let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// The numeric user and group of an account, or nothing where it does not exist.
pub(crate) fn account(user: &str) -> Option<(u32, u32)> {
    let number = |flag| Command::new("id").args([flag, user]).stderr(Stdio::null()).output().ok();
    let parse = |output: std::process::Output| String::from_utf8_lossy(&output.stdout).trim().parse().ok();
    Some((number("-u").and_then(parse)?, number("-g").and_then(parse)?))
}

/// Whether the lab runs as root: some servers then need an account of their own.
pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

//! A command of the site's: what it is given, how long it may take, and what it said when it failed.
//!
//! An argument list and never a shell. When we are root, a program that others may write to is refused: it would be
//! theirs that runs as root. Success is exit code 0 and nothing else. How it is run and ended is `child.rs`'s.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_pki::name::printable;
use rustix::process::geteuid;

use crate::child::{self, Order, PATH};
pub(super) use crate::child::{Ended, shown};
use crate::secret::Cover;

/// An argument list and its time limit.
#[derive(Clone, Copy)]
pub(super) struct Argv<'a> {
    pub(super) argv: &'a [String],
    pub(super) timeout: Duration,
}

/// Refuses what is no argument list.
pub(crate) fn check_argv(argv: &[String]) -> Result<(), String> {
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
pub(crate) fn program(argv: &[String]) -> Result<PathBuf, Fault> {
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
    is_of_root(&found, &shown)?;
    // What runs is the script, whoever the interpreter belongs to.
    if is_interpreter(&found) {
        let scripts = argv.iter().skip(1).map(Path::new).filter(|path| path.is_absolute() && path.is_file());
        scripts
            .into_iter()
            .try_for_each(|script| is_of_root(script, &printable(&script.to_string_lossy())))?;
    }
    Ok(found)
}

/// Refuses what anybody but root could change: the file, every folder and every link on the way to it.
fn is_of_root(path: &Path, shown: &str) -> Result<(), Fault> {
    let unseen = |path: &Path, e: std::io::Error| {
        Fault::new(FaultKind::NotFound, format!("{} could not be looked at: {e}", path.display()))
    };
    for path in way_to(path).map_err(|e| unseen(path, e))? {
        let meta = path.symlink_metadata().map_err(|e| unseen(&path, e))?;
        let group = meta.mode() & 0o020 != 0 && meta.gid() != 0;
        let all = meta.mode() & 0o002 != 0 && !(meta.is_dir() && meta.mode() & 0o1000 != 0);
        // The mode of a link says nothing.
        if meta.uid() != 0 || (!meta.is_symlink() && (group || all)) {
            let path = printable(&path.to_string_lossy());
            return Err(Fault::new(
                FaultKind::PermissionDenied,
                format!("{shown} is not run as root: {path} may be changed by others"),
            )
            .retry(Retry::Never)
            .hint(format!("chown -h root {path}; chmod go-w {path}")));
        }
    }
    Ok(())
}

/// All that is passed on the way to a file: folders, links, and what those lead to.
fn way_to(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    const LINKS_MAX: usize = 40;
    let mut todo: Vec<OsString> = path.components().rev().map(|c| c.as_os_str().to_owned()).collect();
    let (mut at, mut way, mut links) = (PathBuf::from("/"), vec![PathBuf::from("/")], 0);
    while let Some(part) = todo.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&part);
        way.push(next.clone());
        if !next.symlink_metadata()?.is_symlink() {
            at = next;
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(std::io::Error::other("too many links"));
        }
        let to = next.read_link()?;
        todo.extend(to.components().rev().map(|c| c.as_os_str().to_owned()));
    }
    Ok(way)
}

/// Does it run what its arguments name?
fn is_interpreter(program: &Path) -> bool {
    const NAMES: [&str; 16] = [
        "sh", "bash", "dash", "zsh", "ksh", "ash", "busybox", "env", "python", "perl", "ruby", "node", "php",
        "tclsh", "lua", "deno",
    ];
    let name = program.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    NAMES.contains(&name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'))
}

/// Runs a command to its end; anything but exit code 0 is a fault.
pub(super) async fn run(
    command: Argv<'_>,
    environment: &[(String, OsString)],
    input: &[u8],
) -> Result<(), Fault> {
    run_covered(command, environment, input, &Cover::default()).await
}

/// The same; what it prints of these secrets is in no fault.
pub(super) async fn run_covered(
    command: Argv<'_>,
    environment: &[(String, OsString)],
    input: &[u8],
    cover: &Cover,
) -> Result<(), Fault> {
    let mut ended = end_of(command, environment, input).await?;
    if ended.status.success() {
        return Ok(());
    }
    for output in [&mut ended.said, &mut ended.complained] {
        *output = cover.mask(&String::from_utf8_lossy(output)).into_bytes();
    }
    let name = printable(command.argv.first().map(String::as_str).unwrap_or_default());
    Err(Fault::new(FaultKind::Refused, format!("{name}: {}{}", ended.status, ended.shown())))
}

/// Runs a command to its end, whatever that is.
pub(super) async fn end_of(
    command: Argv<'_>,
    environment: &[(String, OsString)],
    input: &[u8],
) -> Result<Ended, Fault> {
    end_with(command, environment, input, child::OUTPUT_MAX).await
}

/// The same, and keeps so much of what it prints.
pub(super) async fn end_with(
    command: Argv<'_>,
    environment: &[(String, OsString)],
    input: &[u8],
    room: usize,
) -> Result<Ended, Fault> {
    let path = program(command.argv)?;
    let order = Order {
        program: &path,
        name: command.argv.first().map(String::as_str).unwrap_or_default(),
        arguments: command.argv.get(1..).unwrap_or(&[]),
        input,
        timeout: command.timeout,
        room,
    };
    child::end_of(&order, environment.iter().map(|(name, value)| (name, value))).await
}

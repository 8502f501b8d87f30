//! What a user sees: results on standard output, everything else on standard error.
//!
//! A closed pipe (`| head`) ends the printing, not the program with a panic.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the one place that prints")]

pub(crate) mod csv;
pub(crate) mod paper;
pub(crate) mod progress;
pub(crate) mod stream;
pub(crate) mod table;

use std::io::{IsTerminal, Write};

use crate::cli::Color;

/// Writes bytes to standard output. Gives whether anyone still reads.
pub(crate) fn out(bytes: &[u8]) -> bool {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).is_ok()
}

/// Has whoever read standard output closed it? Asked of the system, so that it is known between lines too.
pub(crate) fn reader_is_gone() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdout = std::io::stdout();
    let mut asked = [PollFd::new(&stdout, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&at_once)).is_ok() && asked[0].revents().contains(PollFlags::ERR)
}

/// Says something that is no result.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Asks something, the answer on the same line.
pub(crate) fn ask(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Says what went wrong and what to do.
pub(crate) fn error(message: &str, hint: Option<&str>) {
    note(&format!("error: {message}"));
    if let Some(hint) = hint {
        note(&format!("hint: {hint}"));
    }
}

/// Whether to colour standard output.
pub(crate) fn colours(choice: Color) -> bool {
    match choice {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::io::stdout().is_terminal()
        }
    }
}

/// How many columns a line may have; `None` when nobody looks at it and lines may be long.
pub(crate) fn width() -> Option<usize> {
    if let Some(columns) = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()) {
        return Some(columns);
    }
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

//! One file a command, and how a command may end.

pub(crate) mod act;
pub(crate) mod adopt;
pub(crate) mod alert;
pub(crate) mod backup;
pub(crate) mod ca;
pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod forecast;
pub(crate) mod hands;
pub(crate) mod import;
pub(crate) mod issuer;
pub(crate) mod kept;
pub(crate) mod ls;
pub(crate) mod renew;
pub(crate) mod reply;
pub(crate) mod revoke;
pub(crate) mod runbook;
pub(crate) mod scan;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod verify;
pub(crate) mod watch;
pub(crate) mod why;
pub(crate) mod witness;

use std::process::ExitCode;

use crate::cli::{Format, Global};

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// It did what it should.
    Done,
    /// It did, and what it found is bad enough to fail.
    Failed,
    /// Every target failed.
    NothingReached,
    /// Interrupted; what was found was printed.
    Interrupted,
    /// A plugin's own answer.
    Plugin(u8),
}

impl End {
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::NothingReached => 3,
            Self::Interrupted => 130,
            Self::Plugin(code) => code,
        })
    }
}

/// Wrong usage or configuration: nothing was done.
#[derive(Debug)]
pub(crate) struct Usage {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Usage {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What has no rows cannot be CSV: said, rather than printed in another form.
pub(crate) fn no_rows(global: &Global, command: &str) -> Result<(), Usage> {
    if global.format() == Format::Csv {
        return Err(Usage::new(format!("{command} has no CSV output")).hint("use --json"));
    }
    Ok(())
}

impl From<notafter_core::fault::Fault> for Usage {
    fn from(fault: notafter_core::fault::Fault) -> Self {
        Self { message: fault.context, hint: fault.hint }
    }
}

impl From<notafter_engine::hands::Unfit> for Usage {
    fn from(unfit: notafter_engine::hands::Unfit) -> Self {
        Self { message: unfit.message, hint: Some(unfit.hint) }
    }
}

impl From<notafter_discover::target::NoTarget> for Usage {
    fn from(wrong: notafter_discover::target::NoTarget) -> Self {
        Self { message: wrong.message, hint: Some(wrong.hint) }
    }
}

/// With fewer open files than these the runtime ends with a crash before anything can be said.
const FILES: u64 = 24;

/// May this process open as many files as it takes to begin?
pub(crate) fn enough_files() -> Result<(), Usage> {
    match rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        Some(files) if files < FILES => {
            let message = format!("this process may open {files} files at once, and needs {FILES} to begin");
            Err(Usage::new(message).hint("raise the limit: `ulimit -n 1024`, or LimitNOFILE= in its unit"))
        }
        _ => Ok(()),
    }
}

/// For a command that waits for others: one thread is enough.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Usage> {
    enough_files()?;
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|e| Usage::new(format!("cannot start: {e}")))
}

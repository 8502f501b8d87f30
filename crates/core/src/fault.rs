//! A failure of the outside world, with the answer to "shall I try again?".
//!
//! Bad input is never a fault: it is data (a finding, a blind spot). A programmer's error is an assertion.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::UnixTime;

/// What failed, in what context, and whether trying again can help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What kind of failure it was.
    pub kind: FaultKind,
    /// One sentence: what was being done, and what came back.
    pub context: String,
    /// What the user can do about it, if anything is known.
    pub hint: Option<String>,
    /// Can the same request succeed later?
    pub retry: Retry,
}

/// Whether trying again can help, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// The same request will fail again until somebody changes something.
    Never,
    /// Not before this instant (`Retry-After`).
    At(UnixTime),
    /// Later, and later each time.
    Backoff,
}

/// The closed list of ways in which the outside world fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// A name did not resolve, or a file is not there.
    NotFound,
    /// The operating system refused.
    PermissionDenied,
    /// Nobody answered, the connection broke, or the other side said that it cannot right now.
    Unreachable,
    /// The other side refused: a wrong password, an expired token, an address it does not know.
    Refused,
    /// The machine is out of descriptors, memory or disk.
    Exhausted,
    /// The request itself is wrong; the same request will fail again.
    Invalid,
    /// Anything else of the system's own: the message has it.
    System,
}

impl From<&std::io::Error> for FaultKind {
    fn from(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => Self::PermissionDenied,
            std::io::ErrorKind::NotFound => Self::NotFound,
            std::io::ErrorKind::StorageFull => Self::Exhausted,
            _ => Self::System,
        }
    }
}

impl Fault {
    /// A fault with a context and no hint. An invalid request is never to be retried, all else later.
    pub fn new(kind: FaultKind, context: impl Into<String>) -> Self {
        let retry = if kind == FaultKind::Invalid { Retry::Never } else { Retry::Backoff };
        Self { kind, context: context.into(), hint: None, retry }
    }

    /// The same fault with another answer to "again?".
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The same fault with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl std::error::Error for Fault {}

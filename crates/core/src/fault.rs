//! A failure of the outside world, with the answer to "shall I try again?".
//!
//! Bad input is never a fault: it is data (a finding, a blind spot). A programmer's error is an assertion.

use std::fmt;

/// What failed, in what context, and whether trying again can help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind of failure it was.
    pub kind: FaultKind,
    /// One sentence: what was being done, and what came back.
    pub context: String,
    /// What the user can do about it, if anything is known.
    pub hint: Option<String>,
}

/// The closed list of ways in which the outside world fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// A name did not resolve, or a file is not there.
    NotFound,
    /// The operating system refused.
    PermissionDenied,
    /// The machine is out of descriptors, memory or disk.
    Exhausted,
    /// The request itself is wrong; the same request will fail again.
    Invalid,
    /// Anything else of the system's own: the message has it.
    System,
}

impl Fault {
    /// A fault with a context and no hint.
    pub fn new(kind: FaultKind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), hint: None }
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

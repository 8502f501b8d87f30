//! The tokens of http-01 that something of ours answers for: a stand that listens for the time of a challenge, or the HTTP
//! server of this program. It opens no port.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::Keep;

/// Where a CA looks (RFC 8555 section 8.3).
pub const PLACE: &str = "/.well-known/acme-challenge/";

/// Tokens of a stand, and what is answered for them.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<HashMap<String, String>>);

impl Tokens {
    /// The answer for the path of a request, as `application/octet-stream`. `None`: it is none of ours, and nothing is said
    /// about which are.
    pub(super) fn answer(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix(PLACE)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// Answers for this token from now on.
    pub(super) fn show(&self, token: &str, authorization: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(token.to_owned(), authorization.to_owned());
    }

    /// No longer.
    pub(super) fn take_back(&self, token: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(token);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// Under this name they are kept: one token a line, and after a space what is answered for it.
const KEPT: &str = "http-01/shown";
/// More than this are forgotten, the oldest first: somebody was killed before taking them back.
const MOST: usize = 1000;
/// Two at once are one after the other; more at once than this is a defect.
const ATTEMPTS: usize = 64;

/// Tokens for the HTTP server of this program. Kept in its memory, because whoever renews and whoever serves may be two
/// processes.
#[derive(Clone)]
pub struct Shown(Arc<dyn Keep>);

impl Shown {
    /// Those of this memory.
    pub fn new(keep: Arc<dyn Keep>) -> Self {
        Self(keep)
    }

    /// What is answered for a token, as `application/octet-stream`. `None`: it is none of ours.
    ///
    /// # Errors
    /// The memory's.
    pub fn answer(&self, token: &str) -> Result<Option<String>, Fault> {
        let kept = self.0.kept(KEPT)?.unwrap_or_default();
        let found = lines(&kept).into_iter().find(|(shown, _)| *shown == token);
        Ok(found.map(|(_, authorization)| authorization.to_owned()))
    }

    pub(super) fn show(&self, token: &str, authorization: &str) -> Result<(), Fault> {
        self.change(token, Some(authorization))
    }

    pub(super) fn take_back(&self, token: &str) -> Result<(), Fault> {
        self.change(token, None)
    }

    fn change(&self, token: &str, now: Option<&str>) -> Result<(), Fault> {
        for _ in 0..ATTEMPTS {
            let kept = self.0.kept(KEPT)?;
            let before = lines(kept.as_deref().unwrap_or_default());
            let others = before.into_iter().filter(|(shown, _)| *shown != token);
            let mut all: Vec<_> = others.chain(now.map(|authorization| (token, authorization))).collect();
            all.drain(..all.len().saturating_sub(MOST));
            let text: String = all.iter().map(|(token, answer)| format!("{token} {answer}\n")).collect();
            if self.0.keep(KEPT, kept.as_deref(), text.as_bytes())? {
                return Ok(());
            }
        }
        Err(Fault::new(
            FaultKind::System,
            "too many others change what is shown for http-01 at the same moment",
        ))
    }
}

fn lines(kept: &[u8]) -> Vec<(&str, &str)> {
    std::str::from_utf8(kept).unwrap_or_default().lines().filter_map(|line| line.split_once(' ')).collect()
}

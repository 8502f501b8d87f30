//! The tokens of http-01 that something of ours answers for: a stand that listens for the time of a challenge, or the HTTP
//! server of this program. It opens no port.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Where a CA looks (RFC 8555 section 8.3).
pub(crate) const PLACE: &str = "/.well-known/acme-challenge/";

/// Tokens and what is answered for them.
#[derive(Debug, Default)]
pub struct Tokens(Mutex<HashMap<String, String>>);

impl Tokens {
    /// The answer for the path of a request, as `application/octet-stream`. `None`: it is none of ours, and nothing is said
    /// about which are.
    pub fn answer(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix(PLACE)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// Answers for this token from now on.
    pub(crate) fn show(&self, token: &str, authorization: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(token.to_owned(), authorization.to_owned());
    }

    /// No longer.
    pub(crate) fn take_back(&self, token: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(token);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

//! Signing in: single-use links, and the sessions that browsers get for them.
//!
//! Only hashes are kept, in the store, so that both outlive a restart and another process (the command line)
//! can make a link. A session belongs to the token under which it was made: with a new token every browser
//! is signed out. Passwords and users come later.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_engine::notify::{new_secret, secret_hash};
use notafter_pki::fingerprint::{hex, sha256};
use notafter_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

/// A sign-in link works for so many seconds.
const LINK_LIVES: i64 = 600;
/// A session lives for so many seconds.
pub(crate) const SESSION_LIVES: i64 = 30 * 86_400;
/// Where the open links are kept.
const LINKS: &str = "sign-in-links";
/// So many links are open at once; the oldest gives way.
const LINKS_MAX: usize = 20;
/// So many sessions are remembered without asking the store.
const KNOWN_MAX: usize = 1000;

/// The cookie's name.
pub(crate) const COOKIE: &str = "notafter";

/// Links and sessions.
pub struct Access {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    token_hash: [u8; 32],
    /// By hash: when it ends. Nothing but time ends a session, so what is here need not be asked for again.
    known: Mutex<HashMap<[u8; 32], UnixTime>>,
}

#[derive(Serialize, Deserialize)]
struct OpenLink {
    hash: String,
    ends: UnixTime,
    used: bool,
}

#[derive(Serialize, Deserialize)]
struct Session {
    ends: UnixTime,
    /// Hash of the token's hash: of another token, it is over.
    token: String,
}

/// What became of a sign-in link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    Good,
    Used,
    /// It ended, or there never was one.
    Over,
}

impl Access {
    /// Links and sessions under this token, kept in this store.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>, token_hash: [u8; 32]) -> Self {
        Self { store, clock, token_hash, known: Mutex::new(HashMap::new()) }
    }

    /// Makes a link that signs one browser in, within ten minutes: the path to be printed behind the address.
    /// Blocks.
    ///
    /// # Errors
    /// The store's.
    pub fn new_link(&self) -> Result<String, StoreError> {
        let (secret, hash) = new_secret();
        let now = self.clock.now();
        self.change_links(now, |links| {
            links.push(OpenLink { hash: hex(&hash), ends: now.plus(LINK_LIVES), used: false });
            let over = links.len().saturating_sub(LINKS_MAX);
            links.drain(..over);
            true
        })?;
        Ok(format!("/sign-in/{secret}"))
    }

    /// How it is with a link. Blocks.
    pub(crate) fn look_at(&self, secret: &str) -> Result<LinkState, StoreError> {
        let hash = hex(&secret_hash(secret));
        let (links, _) = self.links(self.clock.now())?;
        Ok(match links.iter().find(|l| l.hash == hash) {
            Some(link) if link.used => LinkState::Used,
            Some(_) => LinkState::Good,
            None => LinkState::Over,
        })
    }

    /// Uses a link up and begins a session: its secret, for the cookie. `None`: the link does not work. Blocks.
    pub(crate) fn exchange(&self, secret: &str) -> Result<Option<String>, StoreError> {
        let hash = hex(&secret_hash(secret));
        let now = self.clock.now();
        let taken = self.change_links(now, |links| {
            let link = links.iter_mut().find(|l| l.hash == hash && !l.used);
            link.is_some_and(|link| {
                link.used = true;
                true
            })
        })?;
        if !taken {
            return Ok(None);
        }
        let (secret, hash) = new_secret();
        let ends = now.plus(SESSION_LIVES);
        let session = Session { ends, token: self.token_mark() };
        self.store.keep(&name(&hash), &to_json(&session), None)?;
        self.remember(hash, ends);
        Ok(Some(secret))
    }

    /// Is this a living session? Blocks, unless it was asked before.
    pub(crate) fn is_session(&self, secret: &str) -> Result<bool, StoreError> {
        if secret.len() != 64 {
            return Ok(false);
        }
        let hash = secret_hash(secret);
        let now = self.clock.now();
        if let Some(ends) = self.known().get(&hash) {
            return Ok(now < *ends);
        }
        let Some(kept) = self.store.kept(&name(&hash))? else { return Ok(false) };
        let Ok(session) = serde_json::from_slice::<Session>(&kept.value) else { return Ok(false) };
        let good = now < session.ends && same(session.token.as_bytes(), self.token_mark().as_bytes());
        if good {
            self.remember(hash, session.ends);
        }
        Ok(good)
    }

    /// Is this the token?
    pub(crate) fn is_token(&self, token: &str) -> bool {
        same(&secret_hash(token), &self.token_hash)
    }

    fn token_mark(&self) -> String {
        hex(&sha256(&self.token_hash))
    }

    fn remember(&self, hash: [u8; 32], ends: UnixTime) {
        let mut known = self.known();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(hash, ends);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], UnixTime>> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn links(&self, now: UnixTime) -> Result<(Vec<OpenLink>, i64), StoreError> {
        let Some(kept) = self.store.kept(LINKS)? else { return Ok((Vec::new(), 0)) };
        let mut links: Vec<OpenLink> = serde_json::from_slice(&kept.value).unwrap_or_default();
        links.retain(|link| now < link.ends);
        Ok((links, kept.version))
    }

    /// Changes the list of links, against whoever does so at the same time: of two who use one link, one wins.
    fn change_links(
        &self,
        now: UnixTime,
        mut change: impl FnMut(&mut Vec<OpenLink>) -> bool,
    ) -> Result<bool, StoreError> {
        for _ in 0..20 {
            let (mut links, version) = self.links(now)?;
            if !change(&mut links) {
                return Ok(false);
            }
            if self.store.keep(LINKS, &to_json(&links), Some(version))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn name(hash: &[u8; 32]) -> String {
    format!("session/{}", hex(hash))
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// The CSRF token of a session: whoever has it has read a page of that session.
pub(crate) fn csrf_of(session: &str) -> String {
    hex(&sha256(format!("notafter csrf\n{session}").as_bytes()))
}

/// Compares without telling by its time where two differ.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (x, y)| sum | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparing() {
        assert!(same(b"abc", b"abc") && same(b"", b""));
        assert!(!same(b"abc", b"abd") && !same(b"abc", b"ab"));
    }

    #[test]
    fn the_csrf_token_does_not_give_the_session_away() {
        let session = "ab".repeat(32);
        assert_eq!(csrf_of(&session).len(), 64);
        assert_ne!(csrf_of(&session), hex(&secret_hash(&session)), "the hash is what the store keeps");
    }
}

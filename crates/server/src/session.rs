//! Signing in: single-use links, and the sessions that browsers get for them.
//!
//! Only hashes are kept, in the store, so that both outlive a restart and another process (the command line)
//! can make a link. A session belongs to the token under which it was made: with a new token every browser
//! is signed out. Passwords and users come later.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_engine::notify::{new_secret, secret_hash};
use notafter_pki::fingerprint::{hex, sha256};
use notafter_store::alerts::AuditLine;
use notafter_store::{Store, StoreError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A sign-in link works for so many seconds.
const LINK_LIVES: i64 = 600;
/// A session lives for so many seconds.
pub(crate) const SESSION_LIVES: i64 = 30 * 86_400;
/// Where the open links are kept.
const LINKS: &str = "sign-in-links";
/// So many links are open at once; the oldest gives way.
const LINKS_MAX: usize = 20;
/// Where the sessions are kept: in one list, so that those that ended leave it.
const SESSIONS: &str = "sessions";
/// So many browsers are signed in at once; the oldest gives way.
const SESSIONS_MAX: usize = 200;
/// What the store said of a session is believed for so long: another process may have ended it.
const KNOWN_FRESH: Duration = Duration::from_secs(30);

/// The cookie's name.
pub(crate) const COOKIE: &str = "notafter";

/// Links and sessions.
pub struct Access {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    token_hash: [u8; 32],
    /// By hash: when it ends, and when the store said so.
    known: Mutex<HashMap<[u8; 32], (UnixTime, Duration)>>,
}

#[derive(Serialize, Deserialize)]
struct OpenLink {
    hash: String,
    ends: UnixTime,
    used: bool,
}

#[derive(Serialize, Deserialize)]
struct Session {
    hash: String,
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
        self.change(LINKS, |links: &mut Vec<OpenLink>| {
            links.retain(|link| now < link.ends);
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
        let now = self.clock.now();
        let (links, _) = self.list::<OpenLink>(LINKS)?;
        Ok(match links.iter().find(|l| l.hash == hash && now < l.ends) {
            Some(link) if link.used => LinkState::Used,
            Some(_) => LinkState::Good,
            None => LinkState::Over,
        })
    }

    /// Uses a link up and begins a session: its secret, for the cookie. `None`: the link does not work. Blocks.
    pub(crate) fn exchange(&self, secret: &str) -> Result<Option<String>, StoreError> {
        let hash = hex(&secret_hash(secret));
        let now = self.clock.now();
        let taken = self.change(LINKS, |links: &mut Vec<OpenLink>| {
            let link = links.iter_mut().find(|l| l.hash == hash && !l.used && now < l.ends);
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
        let token = self.token_mark();
        let kept = self.change(SESSIONS, |sessions: &mut Vec<Session>| {
            // Over: those whose time has come, and those of another token.
            sessions.retain(|s| now < s.ends && s.token == token);
            sessions.push(Session { hash: hex(&hash), ends, token: token.clone() });
            let over = sessions.len().saturating_sub(SESSIONS_MAX);
            sessions.drain(..over);
            true
        })?;
        if !kept {
            return Ok(None);
        }
        self.write_down("signed-in", now)?;
        Ok(Some(secret))
    }

    /// Is this a living session? Blocks, unless it was asked before.
    pub(crate) fn is_session(&self, secret: &str) -> Result<bool, StoreError> {
        if secret.len() != 64 {
            return Ok(false);
        }
        let hash = secret_hash(secret);
        let now = self.clock.now();
        let mono = self.clock.monotonic();
        if let Some((ends, asked)) = self.known().get(&hash)
            && mono.saturating_sub(*asked) < KNOWN_FRESH
        {
            return Ok(now < *ends);
        }
        let (sessions, _) = self.list::<Session>(SESSIONS)?;
        let (name, mark) = (hex(&hash), self.token_mark());
        let session = sessions.into_iter().find(|s| same(s.hash.as_bytes(), name.as_bytes()));
        let ends =
            session.filter(|s| now < s.ends && same(s.token.as_bytes(), mark.as_bytes())).map(|s| s.ends);
        let mut known = self.known();
        match ends {
            Some(ends) => {
                if known.len() >= SESSIONS_MAX {
                    known.clear();
                }
                known.insert(hash, (ends, mono));
            }
            None => drop(known.remove(&hash)),
        }
        Ok(ends.is_some())
    }

    /// Ends a session. That it is over already is no fault. Blocks.
    pub(crate) fn end(&self, secret: &str) -> Result<(), StoreError> {
        let hash = secret_hash(secret);
        let (name, now) = (hex(&hash), self.clock.now());
        self.known().remove(&hash);
        let ended = self.change(SESSIONS, |sessions: &mut Vec<Session>| {
            let before = sessions.len();
            sessions.retain(|s| s.hash != name);
            sessions.len() < before
        })?;
        if ended { self.write_down("signed-out", now) } else { Ok(()) }
    }

    fn write_down(&self, what: &str, at: UnixTime) -> Result<(), StoreError> {
        self.store.audit(&AuditLine {
            at,
            who: "signed-in browser".to_owned(),
            what: what.to_owned(),
            subject: "session".to_owned(),
            detail: String::new(),
        })
    }

    /// Is this the token?
    pub(crate) fn is_token(&self, token: &str) -> bool {
        same(&secret_hash(token), &self.token_hash)
    }

    fn token_mark(&self) -> String {
        hex(&sha256(&self.token_hash))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], (UnixTime, Duration)>> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A list that is kept, and the version to change it under.
    fn list<T: DeserializeOwned>(&self, name: &str) -> Result<(Vec<T>, i64), StoreError> {
        Ok(self.store.kept(name)?.map_or((Vec::new(), 0), |kept| {
            (serde_json::from_slice(&kept.value).unwrap_or_default(), kept.version)
        }))
    }

    /// Changes a list, against whoever does so at the same time: of two who use one link, one wins.
    fn change<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        mut change: impl FnMut(&mut Vec<T>) -> bool,
    ) -> Result<bool, StoreError> {
        for _ in 0..20 {
            let (mut list, version) = self.list(name)?;
            if !change(&mut list) {
                return Ok(false);
            }
            if self.store.keep(name, &to_json(&list), Some(version))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
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

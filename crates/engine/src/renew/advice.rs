//! What CAs suggest about when to replace a leaf (RFC 9773), asked no oftener than they want to be.
//!
//! Kept in the memory of this process; what a CA did suggest is written down, too, for all certificates of a pass
//! together. What is lost by a crash is asked anew, and so is after a start whoever suggested nothing. When a renewal
//! is due is `core::renew::due`'s to say.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use notafter_core::UnixTime;
use notafter_core::issuance::Suggested;
use notafter_pki::fingerprint::{hex, sha256};
use notafter_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

use super::{Managed, Renewer, issuer_of};

/// A CA that suggests nothing, or could not be asked, is asked again after so many seconds.
const ASK_AGAIN: i64 = 6 * 3_600;

/// What a CA said of a leaf, kept until it wants to be asked again.
#[derive(Clone, Serialize, Deserialize)]
struct Asked {
    leaf: String,
    until: i64,
    suggested: Option<Suggested>,
}

/// What was suggested, by certificate.
#[derive(Default)]
pub(super) struct Advice {
    known: Mutex<HashMap<String, Asked>>,
    /// What is not written down yet.
    fresh: Mutex<Vec<(String, Asked)>>,
}

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Under which name it is written down.
fn place(name: &str) -> String {
    format!("suggested/{name}")
}

impl Advice {
    /// What is known of this leaf and not too old.
    fn known(
        &self,
        store: &Store,
        name: &str,
        leaf: &str,
        now: UnixTime,
    ) -> Result<Option<Asked>, StoreError> {
        let holds = |asked: &Asked| asked.leaf == leaf && now.0 < asked.until;
        let known = open(&self.known).get(name).cloned();
        if let Some(asked) = known {
            return Ok(Some(asked).filter(holds));
        }
        let kept = store.kept(&place(name))?;
        let kept = kept.and_then(|kept| serde_json::from_slice(&kept.value).ok()).filter(holds);
        if let Some(asked) = &kept {
            open(&self.known).insert(name.to_owned(), Asked::clone(asked));
        }
        Ok(kept)
    }

    /// Notes it. That nothing is suggested is not worth a line.
    fn note(&self, name: &str, asked: Asked) {
        if asked.suggested.is_some() {
            open(&self.fresh).push((name.to_owned(), asked.clone()));
        }
        open(&self.known).insert(name.to_owned(), asked);
    }

    /// Writes down what is new.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn write(&self, store: &Store) -> Result<(), StoreError> {
        let fresh = std::mem::take(&mut *open(&self.fresh));
        let lines =
            fresh.iter().filter_map(|(name, asked)| Some((place(name), serde_json::to_vec(asked).ok()?)));
        store.keep_all(&lines.collect::<Vec<_>>())
    }
}

impl Renewer<'_> {
    /// When its CA wants this leaf replaced, if it says so.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn suggested(
        &self,
        advice: &Advice,
        managed: &Managed,
        leaf: &[u8],
        now: UnixTime,
    ) -> Result<Option<Suggested>, StoreError> {
        let id = hex(&sha256(leaf));
        if let Some(asked) = advice.known(self.store, &managed.name, &id, now)? {
            return Ok(asked.suggested);
        }
        // Only who issued it knows it.
        let issued = self.issued_as(managed, leaf)?;
        let issuer = match &issued {
            Some(renewal) => issuer_of(managed, renewal),
            None => managed.issuers.first(),
        };
        let Some((_, issuer)) = issuer else { return Ok(None) };
        // What cannot be asked suggests nothing: a third of the lifetime is left for it to be mended.
        let suggested = issuer.suggested(self.cx, leaf).await.ok().flatten();
        let until = suggested.as_ref().map_or(now.0 + ASK_AGAIN, |s| s.ask_again.max(now.0 + 60));
        advice.note(&managed.name, Asked { leaf: id, until, suggested: suggested.clone() });
        Ok(suggested)
    }
}

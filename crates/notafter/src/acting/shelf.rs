//! What the process that installs keeps for itself: private keys, what undoes a deployment, what takes back a challenge.
//!
//! Sealed, in a folder of its own (decision 0038). Whoever asks is given names for these things and never the things. All of
//! it is bounded by what is configured: somebody who asks without end fills nothing.

use std::sync::{Arc, Mutex, PoisonError};

use notafter_core::deployment::{Key, Receipt};
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::issuance::{Challenge, Cleanup, Identifier};
use notafter_core::joints::Keep;
use notafter_engine::notify::new_secret;
use notafter_pki::fingerprint::{hex, sha256, unhex};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// So many keys that were made and used for nothing yet are kept for a set of names: each rehearsal makes one, and a CA without
/// an API may take weeks.
const UNUSED_MAX: usize = 64;
/// Keys of so many deployments of a certificate are kept: the one in use and the one before, also where two that came after them
/// were put back.
const USED_MAX: usize = 4;
/// What undoes so many deployments of a target is kept.
const RECEIPTS_MAX: usize = 4;
/// So many challenges of one certificate can be shown at once.
const SHOWN_MAX: usize = 2_000;

/// Keeps.
pub(super) struct Shelf {
    keep: Arc<dyn Keep>,
    /// Whose turn it is to change something: each change reads and writes a whole list.
    turn: Mutex<()>,
}

/// A key that was made here.
#[derive(Clone)]
pub(super) struct Made {
    /// The certificates that it may be used for.
    pub(super) certificates: Vec<String>,
    pub(super) key: Key,
    /// A request signed with it (PKCS#10, DER).
    pub(super) csr: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct KeptKey {
    handle: String,
    certificates: Vec<String>,
    key: String,
    csr: String,
    #[serde(default)]
    used: bool,
}

impl Drop for KeptKey {
    fn drop(&mut self) {
        wipe(std::mem::take(&mut self.key).into_bytes());
    }
}

#[derive(Serialize, Deserialize)]
struct Left {
    handle: String,
    cleanup: Cleanup,
}

/// Overwrites what held a key.
fn wipe(mut bytes: Vec<u8>) {
    bytes.fill(0);
    std::hint::black_box(&bytes);
}

impl Shelf {
    pub(super) fn new(keep: Arc<dyn Keep>) -> Self {
        Self { keep, turn: Mutex::default() }
    }

    fn list<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>, Fault> {
        let Some(kept) = self.keep.kept(name)? else { return Ok(Vec::new()) };
        let read = serde_json::from_slice(&kept);
        wipe(kept);
        read.map_err(|e| Fault::new(FaultKind::System, format!("what is kept as {name} cannot be read: {e}")))
    }

    /// Changes a list, as the only one.
    fn change<T: Serialize + DeserializeOwned, R>(
        &self,
        name: &str,
        change: impl FnOnce(&mut Vec<T>) -> R,
    ) -> Result<R, Fault> {
        let before = self.keep.kept(name)?;
        let mut list = match &before {
            Some(kept) => serde_json::from_slice(kept).map_err(|e| unreadable(name, &e))?,
            None => Vec::new(),
        };
        let out = change(&mut list);
        let after = if list.is_empty() {
            Vec::new()
        } else {
            serde_json::to_vec(&list).map_err(|e| unreadable(name, &e))?
        };
        let kept = before.as_deref() == Some(&after)
            || (before.is_none() && after.is_empty())
            || self.keep.keep(name, before.as_deref(), &after)?;
        wipe(after);
        before.into_iter().for_each(wipe);
        if !kept {
            return Err(Fault::new(
                FaultKind::System,
                format!("somebody else changed {name} at the same moment"),
            ));
        }
        Ok(out)
    }

    fn turn(&self) -> std::sync::MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a new key for these names. The name it is asked for by.
    pub(super) fn put_key(&self, names: &[Identifier], made: Made) -> Result<String, Fault> {
        let _turn = self.turn();
        let drawer = drawer(names);
        let handle = format!("{drawer}.{}", new_secret().0);
        let kept = KeptKey {
            handle: handle.clone(),
            certificates: made.certificates,
            key: hex(made.key.expose()),
            csr: hex(&made.csr),
            used: false,
        };
        self.change(&format!("keys/{drawer}"), |list: &mut Vec<KeptKey>| {
            list.push(kept);
            let mut over = list.iter().filter(|k| !k.used).count().saturating_sub(UNUSED_MAX);
            list.retain(|k| {
                let goes = over > 0 && !k.used;
                over -= usize::from(goes);
                !goes
            });
        })?;
        Ok(handle)
    }

    /// The key of this name.
    pub(super) fn key(&self, handle: &str) -> Result<Option<Made>, Fault> {
        let Some(drawer) = drawer_of(handle) else { return Ok(None) };
        let list: Vec<KeptKey> = self.list(&format!("keys/{drawer}"))?;
        let Some(kept) = list.iter().find(|k| k.handle == handle) else { return Ok(None) };
        let (Some(key), Some(csr)) = (unhex(&kept.key), unhex(&kept.csr)) else { return Ok(None) };
        Ok(Some(Made { certificates: kept.certificates.clone(), key: Key::new(key), csr }))
    }

    /// It was installed for this certificate. What was installed long before is forgotten.
    pub(super) fn used(&self, certificate: &str, handle: &str) -> Result<(), Fault> {
        let _turn = self.turn();
        let old = self.change(&format!("used/{certificate}"), |list: &mut Vec<String>| {
            if list.last().is_some_and(|last| last == handle) {
                return Vec::new();
            }
            list.retain(|known| known != handle);
            list.push(handle.to_owned());
            list.drain(..list.len().saturating_sub(USED_MAX)).collect()
        })?;
        if let Some(drawer) = drawer_of(handle) {
            self.change(&format!("keys/{drawer}"), |list: &mut Vec<KeptKey>| {
                list.iter_mut().filter(|k| k.handle == handle).for_each(|k| k.used = true);
            })?;
        }
        for old in old {
            let Some(drawer) = drawer_of(&old) else { continue };
            let Some(of) = self.key(&old)? else { continue };
            // Another certificate of the same names may have it in use.
            let mut elsewhere = false;
            for other in of.certificates.iter().filter(|other| *other != certificate) {
                elsewhere |= self.list::<String>(&format!("used/{other}"))?.contains(&old);
            }
            if !elsewhere {
                self.change(&format!("keys/{drawer}"), |list: &mut Vec<KeptKey>| {
                    list.retain(|k| k.handle != old)
                })?;
            }
        }
        Ok(())
    }

    /// Keeps what undoes a deployment.
    pub(super) fn put_receipt(&self, certificate: &str, target: &str, receipt: Receipt) -> Result<(), Fault> {
        let _turn = self.turn();
        self.change(&receipts(certificate, target), |list: &mut Vec<Receipt>| {
            list.retain(|known| known.generation != receipt.generation);
            list.push(receipt);
            list.drain(..list.len().saturating_sub(RECEIPTS_MAX));
        })
    }

    /// What undoes the deployment of this generation.
    pub(super) fn receipt(
        &self,
        certificate: &str,
        target: &str,
        generation: u64,
    ) -> Result<Option<Receipt>, Fault> {
        let list: Vec<Receipt> = self.list(&receipts(certificate, target))?;
        Ok(list.into_iter().find(|known| known.generation == generation))
    }

    /// Keeps what takes back a challenge. The name it is taken back by: the same, however often it is shown.
    pub(super) fn shown(
        &self,
        certificate: &str,
        challenge: &Challenge,
        cleanup: Cleanup,
    ) -> Result<String, Fault> {
        let _turn = self.turn();
        let of = format!("{}\n{}\n{}", challenge.kind.as_str(), challenge.identifier, challenge.token);
        let handle = hex(&sha256(of.as_bytes()));
        let left = Left { handle: handle.clone(), cleanup };
        self.change(&format!("shown/{certificate}"), |list: &mut Vec<Left>| {
            list.retain(|known| known.handle != left.handle);
            list.push(left);
            list.drain(..list.len().saturating_sub(SHOWN_MAX));
        })?;
        Ok(handle)
    }

    /// What takes back what was shown under this name.
    pub(super) fn cleanup(&self, certificate: &str, handle: &str) -> Result<Option<Cleanup>, Fault> {
        let list: Vec<Left> = self.list(&format!("shown/{certificate}"))?;
        Ok(list.into_iter().find(|known| known.handle == handle).map(|known| known.cleanup))
    }

    /// It was taken back.
    pub(super) fn taken_back(&self, certificate: &str, handle: &str) -> Result<(), Fault> {
        let _turn = self.turn();
        self.change(&format!("shown/{certificate}"), |list: &mut Vec<Left>| {
            list.retain(|known| known.handle != handle);
        })
    }
}

fn unreadable(name: &str, error: &serde_json::Error) -> Fault {
    Fault::new(FaultKind::System, format!("what is kept as {name} cannot be read: {error}"))
}

/// Names of certificates and targets may hold anything: no two pairs have one name.
fn receipts(certificate: &str, target: &str) -> String {
    format!("receipts/{}/{}", hex(&sha256(certificate.as_bytes())), hex(&sha256(target.as_bytes())))
}

/// Keys of certificates with the same names lie together.
fn drawer(names: &[Identifier]) -> String {
    let mut names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    hex(&sha256(names.join("\n").as_bytes())[..16])
}

/// In which drawer a key lies, by its name.
fn drawer_of(handle: &str) -> Option<&str> {
    let (drawer, _) = handle.split_once('.')?;
    (drawer.len() == 32 && drawer.bytes().all(|b| b.is_ascii_hexdigit())).then_some(drawer)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use notafter_core::issuance::ChallengeType;
    use serde_json::json;

    use super::*;

    #[derive(Default)]
    struct Memory(Mutex<BTreeMap<String, Vec<u8>>>);

    impl Keep for Memory {
        fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
            Ok(self.0.lock().expect("the map").get(name).filter(|v| !v.is_empty()).cloned())
        }

        fn keep(&self, name: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, Fault> {
            let mut map = self.0.lock().expect("the map");
            let there = map.get(name).filter(|v| !v.is_empty()).map(Vec::as_slice);
            let is_so = there == expected;
            if is_so {
                map.insert(name.to_owned(), value.to_vec());
            }
            Ok(is_so)
        }
    }

    fn put(shelf: &Shelf, certificates: &[&str]) -> String {
        let certificates = certificates.iter().map(|c| (*c).to_owned()).collect();
        let made = Made { certificates, key: Key::new(vec![1, 2, 3]), csr: vec![4] };
        shelf.put_key(&[Identifier::Dns("a.test".into())], made).expect("kept")
    }

    fn is_there(shelf: &Shelf, handle: &str) -> bool {
        shelf.key(handle).expect("read").is_some()
    }

    #[test]
    fn keys_are_kept_for_the_last_deployments_and_the_rest_is_bounded() {
        let shelf = Shelf::new(Arc::new(Memory::default()));
        let first = put(&shelf, &["one"]);
        let kept = shelf.key(&first).expect("read").expect("there");
        assert_eq!((kept.key.expose(), kept.csr.as_slice()), (&[1, 2, 3][..], &[4][..]));
        let mut used = vec![first];
        for _ in 0..=USED_MAX {
            let last = used.last().cloned().expect("one");
            // Twice, as two targets do.
            shelf.used("one", &last).expect("noted");
            shelf.used("one", &last).expect("noted");
            used.push(put(&shelf, &["one"]));
        }
        let there: Vec<bool> = used.iter().map(|handle| is_there(&shelf, handle)).collect();
        assert_eq!(there, [false, true, true, true, true, true]);
        // Those that were never used make room for each other, and for nothing else.
        let many: Vec<String> = (0..UNUSED_MAX + 5).map(|_| put(&shelf, &["one"])).collect();
        assert_eq!(many.iter().filter(|handle| is_there(&shelf, handle)).count(), UNUSED_MAX);
        assert!(used[1..=USED_MAX].iter().all(|handle| is_there(&shelf, handle)));
        assert!(!is_there(&shelf, &used[USED_MAX + 1]), "it was used for nothing");
        for wrong in ["", ".", "../../x.y", "0123", &format!("{}.x", "0".repeat(32))] {
            assert!(!is_there(&shelf, wrong), "{wrong}");
        }
    }

    #[test]
    fn a_key_that_another_certificate_of_the_same_names_uses_stays() {
        let shelf = Shelf::new(Arc::new(Memory::default()));
        let shared = put(&shelf, &["one", "two"]);
        shelf.used("one", &shared).expect("noted");
        shelf.used("two", &shared).expect("noted");
        for _ in 0..=USED_MAX {
            let next = put(&shelf, &["one", "two"]);
            shelf.used("one", &next).expect("noted");
        }
        assert!(is_there(&shelf, &shared));
        for _ in 0..USED_MAX {
            let next = put(&shelf, &["one", "two"]);
            shelf.used("two", &next).expect("noted");
        }
        assert!(!is_there(&shelf, &shared));
    }

    #[test]
    fn receipts_and_challenges_are_each_certificates_own() {
        let shelf = Shelf::new(Arc::new(Memory::default()));
        for generation in 1..=6 {
            let receipt = Receipt { generation, before: None, undo: json!({ "set": generation }) };
            shelf.put_receipt("one", "web", receipt.clone()).expect("kept");
            shelf.put_receipt("one", "web", receipt).expect("kept");
        }
        let of = |certificate: &str, target: &str, generation| {
            shelf.receipt(certificate, target, generation).expect("read").map(|r| r.undo["set"].clone())
        };
        assert_eq!((of("one", "web", 2), of("one", "web", 3)), (None, Some(json!(3))));
        assert_eq!((of("one", "mail", 6), of("two", "web", 6)), (None, None));
        let challenge = Challenge {
            identifier: Identifier::Dns("a.test".into()),
            kind: ChallengeType::Http01,
            token: "token".into(),
            key_authorization: "token.print".into(),
        };
        let shown = |value: i32| shelf.shown("one", &challenge, Cleanup(json!(value))).expect("kept");
        let handle = shown(1);
        assert_eq!(shown(2), handle, "shown again is the same");
        let left = |certificate: &str| shelf.cleanup(certificate, &handle).expect("read").map(|c| c.0);
        assert_eq!((left("one"), left("two")), (Some(json!(2)), None));
        shelf.taken_back("one", &handle).expect("noted");
        assert_eq!(left("one"), None);
    }
}

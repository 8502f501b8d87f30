//! What a CA of one's own remembers, through `Keep`: its certificates, its keys, what it issued, what it revoked.
//!
//! Everything is changed by comparing and swapping, so that a server and a command beside it never lose an entry.
//! Issued certificates stand in pages: one page is written for one certificate, and the oldest are forgotten when there
//! are too many. Nothing that is revoked is forgotten before its own end has stood in a list.

use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::deployment::Key;
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::issuance::{KeyType, RevocationReason};
use notafter_core::joints::Keep;
use notafter_pki::certificate::Certificate;
use notafter_pki::fingerprint::{hex, unhex};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::sign::Signer;

/// Certificates on one page.
const PAGE: usize = 32;
/// Pages that are kept: the newest 10,000 certificates or so, some 20 MB.
const PAGES_MAX: u64 = 320;
/// Entries of a revocation list: some megabytes of it, which no client wants.
const REVOKED_MAX: usize = 20_000;
/// So often somebody else may come first before we give up.
const TRIES: usize = 50;

/// The CA itself. Written once when it is made, and when the intermediate is renewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Made {
    /// When.
    pub(super) at: i64,
    /// Of both keys.
    pub(super) key_type: KeyType,
    /// Under which name the root's key is kept.
    pub(super) root_key: String,
    /// The root's certificate, DER in hexadecimal.
    pub(super) root: String,
    /// Under which name the intermediate's key is kept.
    pub(super) intermediate_key: String,
    /// The intermediate's certificates, the newest last: one key, one name.
    pub(super) intermediates: Vec<String>,
}

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// What it is for.
    pub names: Vec<String>,
    /// When it was issued.
    pub at: i64,
    /// When it ends.
    pub not_after: i64,
    /// It: DER in hexadecimal.
    pub(super) leaf: String,
    /// Which of the intermediate's certificates belongs behind it.
    pub(super) above: usize,
}

impl Record {
    /// The certificate, DER.
    ///
    /// # Errors
    /// What is kept cannot be read.
    pub fn leaf(&self) -> Result<Vec<u8>, Fault> {
        bytes(&self.leaf)
    }
}

/// A certificate that was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// When it was revoked.
    pub at: i64,
    /// Why.
    pub reason: RevocationReason,
    /// When it ends.
    pub not_after: i64,
}

/// A revocation list that was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) number: u64,
    pub(super) at: i64,
    pub(super) next: i64,
    pub(super) der: String,
}

/// What is revoked, and the lists that say so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Revoked {
    pub(super) entries: Vec<Revocation>,
    /// Something was revoked since the list was made.
    pub(super) changed: bool,
    /// The intermediate's list.
    pub(super) list: Option<Listed>,
    /// The root's, on which nothing ever stands: some servers want one of each CA of a chain.
    pub(super) root_list: Option<Listed>,
}

/// Which pages there are: from the first to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Pages {
    first: u64,
    last: u64,
}

/// The book of one CA.
pub(super) struct Book {
    keep: Arc<dyn Keep>,
    prefix: String,
}

fn torn(what: &str) -> Fault {
    Fault::new(FaultKind::Invalid, format!("{what} is kept, and cannot be read any more"))
        .hint("put back the last backup: notafter restore FILE")
}

/// Somebody else is always first.
fn busy() -> Fault {
    Fault::new(FaultKind::System, "other processes write into the book of this CA all the time")
}

pub(super) fn bytes(text: &str) -> Result<Vec<u8>, Fault> {
    unhex(text).ok_or_else(|| torn("a certificate of the CA"))
}

impl Book {
    pub(super) fn new(keep: Arc<dyn Keep>, name: &str) -> Self {
        Self { keep, prefix: format!("ca/{name}/") }
    }

    /// A value with its octets as they lie there: what a swap is compared with.
    fn read<T: DeserializeOwned>(&self, what: &str) -> Result<Option<(T, Vec<u8>)>, Fault> {
        let Some(octets) = self.keep.kept(&format!("{}{what}", self.prefix))? else { return Ok(None) };
        let value = serde_json::from_slice(&octets).map_err(|_| torn(what))?;
        Ok(Some((value, octets)))
    }

    fn write<T: Serialize>(&self, what: &str, expected: Option<&[u8]>, value: &T) -> Result<bool, Fault> {
        let octets = serde_json::to_vec(value)
            .map_err(|e| Fault::new(FaultKind::System, format!("{what} could not be written down: {e}")))?;
        self.keep.keep(&format!("{}{what}", self.prefix), expected, &octets)
    }

    /// Changes a value until nobody else did meanwhile.
    fn change<T, R>(&self, what: &str, mut how: impl FnMut(&mut T) -> Result<R, Fault>) -> Result<R, Fault>
    where
        T: DeserializeOwned + Serialize + Default,
    {
        for _ in 0..TRIES {
            let (mut value, before) = match self.read::<T>(what)? {
                Some((value, octets)) => (value, Some(octets)),
                None => (T::default(), None),
            };
            let out = how(&mut value)?;
            if self.write(what, before.as_deref(), &value)? {
                return Ok(out);
            }
        }
        Err(busy())
    }

    /// The CA, if it was made.
    pub(super) fn made(&self) -> Result<Option<Made>, Fault> {
        Ok(self.read("made")?.map(|(made, _)| made))
    }

    /// Writes it down. `false`: another one is there.
    pub(super) fn make(&self, made: &Made) -> Result<bool, Fault> {
        self.write("made", None, made)
    }

    /// Adds a certificate of the intermediate, unless another was added meanwhile.
    pub(super) fn renewed(&self, before: &Made, certificate: &[u8]) -> Result<Made, Fault> {
        let Some((there, octets)) = self.read::<Made>("made")? else { return Err(torn("the CA")) };
        if there != *before {
            return Ok(there);
        }
        let mut after = there;
        after.intermediates.push(hex(certificate));
        match self.write("made", Some(&octets), &after)? {
            true => Ok(after),
            false => self.made()?.ok_or_else(|| torn("the CA")),
        }
    }

    /// Keeps a key under a name that nobody has; that name.
    pub(super) fn keep_key(&self, id: &str, key: &Key) -> Result<String, Fault> {
        let name = format!("{}key/{id}", self.prefix);
        match self.keep.keep(&name, None, key.expose())? {
            true => Ok(name),
            false => Err(Fault::new(FaultKind::System, "a key of the CA has the name of another one")),
        }
    }

    /// Forgets a key that nothing was signed with.
    pub(super) fn forget_key(&self, name: &str, key: &Key) {
        let _ = self.keep.keep(name, Some(key.expose()), b"");
    }

    /// Opens a key of the CA.
    pub(super) fn signer(&self, name: &str, key_type: KeyType) -> Result<Signer, Fault> {
        let key = self.keep.kept(name)?.map(Key::new).ok_or_else(|| {
            Fault::new(FaultKind::NotFound, "a private key of the CA is not kept any more")
                .hint("put back the last backup: notafter restore FILE")
        })?;
        Signer::open(&key, key_type)
    }

    fn pages(&self) -> Result<Pages, Fault> {
        Ok(self.read("pages")?.map_or_else(Pages::default, |(pages, _)| pages))
    }

    fn page(&self, number: u64) -> Result<(Vec<Record>, Option<Vec<u8>>), Fault> {
        Ok(match self.read::<Vec<Record>>(&format!("issued/{number}"))? {
            Some((records, octets)) => (records, Some(octets)),
            None => (Vec::new(), None),
        })
    }

    /// Where the next certificate is written: what is issued later stands there or behind it.
    pub(super) fn here(&self) -> Result<u64, Fault> {
        Ok(self.pages()?.last)
    }

    /// What was issued under this serial number, on this page or a later one.
    pub(super) fn find(&self, serial: &str, from: u64) -> Result<Option<Record>, Fault> {
        let pages = self.pages()?;
        for number in from.max(pages.first)..=pages.last {
            let (records, _) = self.page(number)?;
            if let Some(found) = records.into_iter().find(|r| r.serial == serial) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// What was issued under this serial number, wherever it stands; the newest pages first.
    pub(super) fn search(&self, serial: &str) -> Result<Option<Record>, Fault> {
        let pages = self.pages()?;
        for number in (pages.first..=pages.last).rev() {
            if let Some(found) = self.page(number)?.0.into_iter().find(|r| r.serial == serial) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The newest certificates, the last first.
    pub(super) fn newest(&self, most: usize) -> Result<Vec<Record>, Fault> {
        let pages = self.pages()?;
        let mut out = Vec::new();
        for number in (pages.first..=pages.last).rev() {
            out.extend(self.page(number)?.0.into_iter().rev());
            if out.len() >= most {
                break;
            }
        }
        out.truncate(most);
        Ok(out)
    }

    /// Writes a certificate down, before anybody is given it.
    pub(super) fn append(&self, record: &Record) -> Result<(), Fault> {
        for _ in 0..TRIES {
            let pages = self.pages()?;
            let (mut records, before) = self.page(pages.last)?;
            if records.len() >= PAGE {
                self.turn(pages)?;
                continue;
            }
            records.push(record.clone());
            if self.write(&format!("issued/{}", pages.last), before.as_deref(), &records)? {
                return Ok(());
            }
        }
        Err(busy())
    }

    /// Turns to a new page. Whoever was faster did it already.
    fn turn(&self, full: Pages) -> Result<(), Fault> {
        let last = full.last + 1;
        let first = full.first.max(last.saturating_sub(PAGES_MAX - 1));
        self.change("pages", |pages: &mut Pages| {
            if *pages == full {
                *pages = Pages { first, last };
            }
            Ok(())
        })?;
        for number in full.first..first {
            if let Some(octets) = self.page(number)?.1 {
                let _ = self.keep.keep(&format!("{}issued/{number}", self.prefix), Some(&octets), b"")?;
            }
        }
        Ok(())
    }

    pub(super) fn revoked(&self) -> Result<Revoked, Fault> {
        Ok(self.read("revoked")?.map_or_else(Revoked::default, |(revoked, _)| revoked))
    }

    /// Puts a certificate on the list. `false`: it stands there already.
    pub(super) fn revoke(
        &self,
        leaf: &Certificate<'_>,
        reason: RevocationReason,
        now: UnixTime,
    ) -> Result<bool, Fault> {
        let serial = hex(leaf.serial());
        let not_after = leaf.not_after().map_or(i64::MAX, |t| t.0);
        self.change("revoked", |revoked: &mut Revoked| {
            if revoked.entries.iter().any(|e| e.serial == serial) {
                return Ok(false);
            }
            if revoked.entries.len() >= REVOKED_MAX {
                return Err(Fault::new(
                    FaultKind::Exhausted,
                    format!("{REVOKED_MAX} certificates are revoked already, and the list would be too long"),
                )
                .hint("shorter lives (`max_days`) make shorter lists: what has ended leaves them"));
            }
            revoked.entries.push(Revocation { serial: serial.clone(), at: now.0, reason, not_after });
            revoked.changed = true;
            Ok(true)
        })
    }

    /// Keeps lists that were made from `before`. `false`: something was revoked meanwhile, they are old already.
    pub(super) fn put_lists(&self, before: &Revoked, after: &Revoked) -> Result<bool, Fault> {
        let there = self.read::<Revoked>("revoked")?;
        let (value, octets) = there.map_or_else(|| (Revoked::default(), None), |(v, o)| (v, Some(o)));
        if value != *before {
            return Ok(false);
        }
        self.write("revoked", octets.as_deref(), after)
    }
}

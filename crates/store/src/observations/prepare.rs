//! Before the lock: which assets of a batch are new, and what their rows will say. Beside it: their bytes, packed.
//!
//! Reading and packing are most of the work beside the database's own: reading is done on two threads, packing while
//! the transaction goes on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notafter_core::Fingerprint;
use notafter_core::inventory::{AssetIx, Inventory};

use crate::db::{Result, Value, args, other};
use crate::read::{Columns, columns};
use crate::shelf::{Base, Packer};
use crate::{Store, texts};

/// Below so many new ones a second thread costs more than it brings.
const PARALLEL_MIN: usize = 64;
/// Longer than this no certificate takes to pack.
const STUCK: Duration = Duration::from_secs(60);
/// So many identities are remembered through a run.
const ASSETS_MAX: usize = 200_000;
/// So many issuers.
const BASES_MAX: usize = 2000;

/// What a run has looked up already.
#[derive(Default)]
pub(crate) struct Cache {
    pub(crate) assets: HashMap<Fingerprint, i64>,
    /// By issuer: what others of it are packed against.
    bases: HashMap<String, Arc<Base>>,
    pub(crate) dnames: HashMap<String, i64>,
    pub(crate) words: HashMap<String, i64>,
    pub(crate) chains: HashMap<Vec<u8>, i64>,
    pub(crate) facts: HashMap<String, i64>,
    /// How often numbers had been taken back when these were looked up.
    pruned: i64,
}

/// An asset that the database does not know.
pub(crate) struct Fresh {
    pub(crate) ix: AssetIx,
    pub(crate) columns: Columns,
    pub(crate) length: usize,
    /// The certificate it is packed against.
    pub(crate) base: Option<Arc<Base>>,
}

/// What is new in a batch.
pub(crate) struct Prepared {
    pub(crate) fresh: Vec<Fresh>,
    /// The last token when it was new: as long as none was given out since, it still is.
    pub(crate) token: i64,
}

impl Cache {
    /// Forgets numbers that may have been taken back since: see `prune.rs`.
    pub(crate) fn still_good(&mut self, c: &mut crate::db::Conn<'_>) -> Result<()> {
        let pruned = crate::prune::pruned(c)?;
        if pruned != self.pruned {
            self.facts.clear();
            self.chains.clear();
            self.pruned = pruned;
        }
        Ok(())
    }

    /// Nothing grows without bound, and forgetting costs only a lookup.
    pub(crate) fn trim(&mut self) {
        if self.assets.len() > ASSETS_MAX {
            self.assets.clear();
        }
        if self.bases.len() > BASES_MAX {
            self.bases.clear();
        }
        if self.dnames.len() > ASSETS_MAX {
            self.dnames.clear();
        }
        if self.chains.len() > BASES_MAX {
            self.chains.clear();
        }
        if self.facts.len() > BASES_MAX {
            self.facts.clear();
        }
    }
}

/// The bytes of what is new, packed by whoever has time: a thread beside the transaction, and the transaction's own
/// once it needs them.
pub(crate) struct Packing<'b> {
    batch: &'b Inventory,
    work: Vec<(AssetIx, Option<Arc<Base>>)>,
    next: AtomicUsize,
    sender: Sender<Packed>,
    done: Mutex<Receiver<Packed>>,
}

type Packed = Result<(AssetIx, Vec<u8>)>;

impl<'b> Packing<'b> {
    pub(crate) fn new(batch: &'b Inventory, fresh: &[Fresh]) -> Self {
        let work = fresh.iter().map(|one| (one.ix, one.base.clone())).collect();
        let (sender, done) = channel();
        Self { batch, work, next: AtomicUsize::new(0), sender, done: Mutex::new(done) }
    }

    /// Is it worth a thread?
    pub(crate) fn is_long(&self) -> bool {
        self.work.len() >= PARALLEL_MIN
    }

    /// Packs until nothing is left to begin.
    pub(crate) fn help(&self) {
        let mut packer = Packer::new();
        while let Some((ix, base)) = self.work.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let packed = match &mut packer {
                Ok(packer) => packer.pack(&self.batch.bytes(*ix), base.as_deref()).map(|bytes| (*ix, bytes)),
                Err(error) => Err(other(error.context.clone())),
            };
            // The receiver lives as long as this does.
            let _ = self.sender.send(packed);
        }
    }

    /// All of them, by asset.
    pub(crate) fn take(&self) -> Result<HashMap<AssetIx, Vec<u8>>> {
        self.help();
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = HashMap::with_capacity(self.work.len());
        for _ in &self.work {
            // What the other thread has begun is a matter of microseconds; if it died, so does this transaction.
            let packed = done.recv_timeout(STUCK).map_err(|_| other("the packing thread is gone"))?;
            out.extend([packed?]);
        }
        Ok(out)
    }
}

impl Store {
    /// The numbers of the known assets go into the cache, the others are read.
    pub(crate) fn prepare(&self, cache: &mut Cache, batch: &Inventory) -> Result<Prepared> {
        let unsure: Vec<(AssetIx, Fingerprint)> = batch
            .assets()
            .filter(|(_, asset)| !cache.assets.contains_key(&asset.id))
            .map(|(ix, asset)| (ix, asset.id))
            .collect();
        let (token, known) = self.db.read(|c| {
            let asked: Vec<Vec<Value<'_>>> =
                unsure.iter().map(|(_, id)| vec![texts::split(id).0.into()]).collect();
            Ok((last_token(c)?, find(c, &asked)?))
        })?;
        let mut new = Vec::new();
        for ((ix, id), known) in unsure.into_iter().zip(known) {
            match known.into_iter().find(|(_, found)| *found == id) {
                Some((number, _)) => {
                    cache.assets.insert(id, number);
                }
                None => new.push(ix),
            }
        }
        let mut fresh = in_two(&new, |part| {
            part.iter()
                .map(|ix| {
                    let (asset, bytes) = (batch.asset(*ix), batch.bytes(*ix));
                    let columns = columns(asset.id, asset.kind, &bytes);
                    Fresh { ix: *ix, columns, length: bytes.len(), base: None }
                })
                .collect()
        });
        self.choose_bases(cache, batch, &mut fresh)?;
        Ok(Prepared { fresh, token })
    }

    /// The first certificate of each issuer is what the others are packed against; itself it is kept whole.
    fn choose_bases(&self, cache: &mut Cache, batch: &Inventory, fresh: &mut [Fresh]) -> Result<()> {
        for one in fresh.iter_mut() {
            if one.columns.kind != notafter_core::inventory::AssetKind::Certificate {
                continue;
            }
            let Some(issuer) = &one.columns.issuer else { continue };
            if let Some(base) = cache.bases.get(&issuer.text) {
                one.base = Some(Arc::clone(base));
                continue;
            }
            let kept = self.db.read(|c| {
                let found = c.first(
                    "SELECT a.fp8, a.fp24, a.id FROM dname d JOIN asset a ON a.id = d.base WHERE d.text = $1",
                    args![&issuer.text],
                )?;
                let Some(mut row) = found else { return Ok(None) };
                let id = texts::join(row.int(0)?, &row.blob(1)?)?;
                Ok(Some((id, row.int(2)?, self.shelf.bytes(c, row.int(2)?)?)))
            })?;
            let base = match kept {
                Some((id, number, bytes)) => {
                    cache.assets.insert(id, number);
                    let base = Arc::new(Base::new(id, &bytes));
                    one.base = Some(Arc::clone(&base));
                    base
                }
                // A root says nothing that its leaves repeat: the first leaf is the pattern.
                None if one.columns.is_ca() => continue,
                None => Arc::new(Base::new(one.columns.id, &batch.bytes(one.ix))),
            };
            cache.bases.insert(issuer.text.clone(), base);
        }
        Ok(())
    }
}

/// Assets by the first eight bytes of their identity.
pub(crate) fn find(
    c: &mut crate::db::Conn<'_>,
    asked: &[Vec<Value<'_>>],
) -> Result<Vec<Vec<(i64, Fingerprint)>>> {
    let found = c.query_many("SELECT id, fp8, fp24 FROM asset WHERE fp8 = $1", asked)?;
    found
        .into_iter()
        .map(|rows| {
            rows.into_iter()
                .map(|mut row| Ok((row.int(0)?, texts::join(row.int(1)?, &row.blob(2)?)?)))
                .collect()
        })
        .collect()
}

/// The last token that was given out: see [`crate::ledger::Ledger::token`].
pub(crate) fn last_token(c: &mut crate::db::Conn<'_>) -> Result<i64> {
    let row = c.first("SELECT count FROM total WHERE name = 'token'", &[])?;
    row.map_or(Ok(0), |row| row.int(0))
}

/// Does the work for both halves at once.
pub(crate) fn in_two<T: Sync, U: Send>(all: &[T], work: impl Fn(&[T]) -> Vec<U> + Sync) -> Vec<U> {
    if all.len() < PARALLEL_MIN {
        return work(all);
    }
    let (left, right) = all.split_at(all.len() / 2);
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| work(right));
        let mut out = work(left);
        match beside.join() {
            Ok(rest) => out.extend(rest),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use notafter_core::UnixTime;
    use notafter_core::inventory::{Asset, AssetKind, Placement, Role};
    use notafter_core::location::Location;

    use super::*;
    use crate::Database;

    /// A run over more assets than it remembers: what is packed against a forgotten one can still be read.
    #[test]
    fn forgetting_costs_a_lookup_and_no_bytes() {
        let issuer = rcgen::KeyPair::generate().unwrap();
        let mut ca = rcgen::CertificateParams::default();
        ca.distinguished_name.push(rcgen::DnType::CommonName, "One CA");
        let issuer = rcgen::Issuer::new(ca, issuer);
        let store = Store::open(&Database::Memory, UnixTime(1_000)).unwrap();
        let mut run = store.begin("test", "here", UnixTime(1_000)).unwrap();
        let mut ders = Vec::new();
        for n in 0..6 {
            let leaf = rcgen::CertificateParams::new(vec![format!("h{n}.example.com")]).unwrap();
            let key = rcgen::KeyPair::generate().unwrap();
            let der = leaf.signed_by(&key, &issuer).unwrap().der().to_vec();
            let mut batch = Inventory::default();
            let id = Fingerprint::of(&der);
            let bytes = batch.keep(&der);
            let asset = batch.add(Asset {
                id,
                kind: AssetKind::Certificate,
                bytes,
                not_before: None,
                not_after: None,
                key: None,
            });
            batch.place(Placement {
                asset,
                location: Location::parse(&format!("file:///srv/{n}.pem")).unwrap(),
                role: Role::Leaf,
                chain: None,
                first_seen: UnixTime(1_000),
                last_seen: UnixTime(1_000),
                unseen_since: None,
                facts: Arc::default(),
            });
            store.record(&mut run, &batch).unwrap();
            // What `trim` does when there are too many.
            run.cache.assets.clear();
            ders.push((id, der));
        }
        for (id, der) in ders {
            assert_eq!(store.asset(&id).unwrap().unwrap().der, der);
        }
    }
}

//! Before the lock: which assets of a batch are new, what their rows will say, and their bytes, packed.
//!
//! Reading and packing are most of the work beside the database's own, and are done on two threads.

use std::collections::HashMap;
use std::sync::Arc;

use notafter_core::Fingerprint;
use notafter_core::inventory::{AssetIx, Inventory};

use crate::db::{Result, Value, args};
use crate::read::{Columns, columns};
use crate::shelf::{Base, Packer};
use crate::{Store, texts};

/// Below so many new ones a second thread costs more than it brings.
const PARALLEL_MIN: usize = 64;
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
}

/// An asset that the database does not know.
pub(crate) struct Fresh {
    pub(crate) ix: AssetIx,
    pub(crate) columns: Columns,
    pub(crate) length: usize,
    /// The certificate it is packed against.
    pub(crate) base: Option<Fingerprint>,
    pub(crate) packed: Vec<u8>,
}

impl Cache {
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

impl Store {
    /// The numbers of the known assets go into the cache, the others are read and packed.
    pub(crate) fn prepare(&self, cache: &mut Cache, batch: &Inventory) -> Result<Vec<Fresh>> {
        let unsure: Vec<(AssetIx, Fingerprint)> = batch
            .assets()
            .filter(|(_, asset)| !cache.assets.contains_key(&asset.id))
            .map(|(ix, asset)| (ix, asset.id))
            .collect();
        let known = self.db.read(|c| {
            let asked: Vec<Vec<Value<'_>>> =
                unsure.iter().map(|(_, id)| vec![texts::split(id).0.into()]).collect();
            find(c, &asked)
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
                    Ok(Fresh { ix: *ix, columns, length: bytes.len(), base: None, packed: Vec::new() })
                })
                .collect()
        })?;
        self.choose_bases(cache, batch, &mut fresh)?;
        let bases = &cache.bases;
        let packed = in_two(&fresh, |part| {
            let mut packer = Packer::new()?;
            part.iter()
                .map(|one| {
                    let issuer = one.columns.issuer.as_ref().filter(|_| one.base.is_some());
                    let base = issuer.and_then(|i| bases.get(&i.text));
                    packer.pack(&batch.bytes(one.ix), base.map(|b| &**b))
                })
                .collect()
        })?;
        for (one, packed) in fresh.iter_mut().zip(packed) {
            one.packed = packed;
        }
        Ok(fresh)
    }

    /// The first certificate of each issuer is what the others are packed against; itself it is kept whole.
    fn choose_bases(&self, cache: &mut Cache, batch: &Inventory, fresh: &mut [Fresh]) -> Result<()> {
        for one in fresh.iter_mut() {
            if one.columns.kind != notafter_core::inventory::AssetKind::Certificate {
                continue;
            }
            let Some(issuer) = &one.columns.issuer else { continue };
            if let Some(base) = cache.bases.get(&issuer.text) {
                one.base = Some(base.id);
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
                    one.base = Some(id);
                    Base::new(id, &bytes)
                }
                // A root says nothing that its leaves repeat: the first leaf is the pattern.
                None if one.columns.is_ca() => continue,
                None => Base::new(one.columns.id, &batch.bytes(one.ix)),
            };
            cache.bases.insert(issuer.text.clone(), Arc::new(base));
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

/// Does the work for both halves at once.
fn in_two<T: Sync, U: Send>(all: &[T], work: impl Fn(&[T]) -> Result<Vec<U>> + Sync) -> Result<Vec<U>> {
    if all.len() < PARALLEL_MIN {
        return work(all);
    }
    let (left, right) = all.split_at(all.len() / 2);
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| work(right));
        let mut out = work(left)?;
        match beside.join() {
            Ok(rest) => out.extend(rest?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        Ok(out)
    })
}

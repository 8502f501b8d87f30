//! The bytes of assets, packed: what an issuer says in every certificate is kept once.
//!
//! zstd with a dictionary, which is the first certificate seen of the same issuer. About a third of a certificate is
//! keys, signatures and timestamps that nothing can make smaller; the rest is nearly free.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use zstd::bulk::Compressor;
use zstd::dict::EncoderDictionary;
use zstd::zstd_safe::{DCtx, DDict, get_error_name};

use crate::db::{Conn, Result, Row, corrupt, other};

/// Fast enough that the database stays the slower half; higher levels gain one part in a hundred.
const LEVEL: i32 = 1;
/// An asset larger than this was never written: a bound for what a damaged row can ask for.
const LENGTH_MAX: i64 = 256 << 20;
/// So many issuers are kept at hand.
const AT_HAND_MAX: usize = 2000;
/// A base is kept whole, so one step is enough; more is damage.
const DEPTH_MAX: usize = 4;

/// A certificate that others are packed against.
pub(crate) struct Base {
    pub(crate) id: notafter_core::Fingerprint,
    dictionary: EncoderDictionary<'static>,
}

impl Base {
    pub(crate) fn new(id: notafter_core::Fingerprint, der: &[u8]) -> Self {
        Self { id, dictionary: EncoderDictionary::copy(der, LEVEL) }
    }
}

/// Packs many, the dictionary being changed between them.
pub(crate) struct Packer<'d>(Compressor<'d>);

impl<'d> Packer<'d> {
    pub(crate) fn new() -> Result<Self> {
        let mut compressor = Compressor::new(LEVEL).map_err(|e| other(format!("zstd: {e}")))?;
        // The length stands in its own column, the hash of the bytes is their identity.
        let quiet = [
            zstd::zstd_safe::CParameter::ContentSizeFlag(false),
            zstd::zstd_safe::CParameter::ChecksumFlag(false),
            zstd::zstd_safe::CParameter::DictIdFlag(false),
        ];
        for parameter in quiet {
            compressor.set_parameter(parameter).map_err(|e| other(format!("zstd: {e}")))?;
        }
        Ok(Self(compressor))
    }

    pub(crate) fn pack(&mut self, bytes: &[u8], base: Option<&'d Base>) -> Result<Vec<u8>> {
        let chosen = match base {
            Some(base) => self.0.set_prepared_dictionary(&base.dictionary),
            None => self.0.set_dictionary(LEVEL, &[]),
        };
        chosen.and_then(|()| self.0.compress(bytes)).map_err(|e| other(format!("zstd: {e}")))
    }
}

/// Unpacks; the bases of the last issuers are kept at hand.
#[derive(Default)]
pub(crate) struct Shelf {
    bases: Mutex<HashMap<i64, Arc<DDict<'static>>>>,
    /// Making one costs more than unpacking a certificate.
    unpackers: Mutex<Vec<DCtx<'static>>>,
}

impl Shelf {
    /// The bytes of an asset, by its number.
    pub(crate) fn bytes(&self, c: &mut Conn<'_>, asset: i64) -> Result<Vec<u8>> {
        let all = self.read(c, &[asset], 0)?;
        all.into_iter().next().ok_or_else(|| corrupt(format!("the bytes of asset {asset} are missing")))
    }

    /// The bytes of some assets, in their order.
    pub(crate) fn many(&self, c: &mut Conn<'_>, assets: &[i64]) -> Result<Vec<Vec<u8>>> {
        self.read(c, assets, 0)
    }

    fn read(&self, c: &mut Conn<'_>, assets: &[i64], depth: usize) -> Result<Vec<Vec<u8>>> {
        let asked: Vec<_> = assets.iter().map(|id| vec![(*id).into()]).collect();
        let found = c.query_many("SELECT base, length, bytes FROM der WHERE asset = $1", &asked)?;
        let mut unpacker = self.unpackers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut unpacker = unpacker.take().unwrap_or_else(DCtx::create);
        let mut out = Vec::with_capacity(assets.len());
        for (asset, rows) in assets.iter().zip(found) {
            let row = rows.into_iter().next();
            let row = row.ok_or_else(|| corrupt(format!("the bytes of asset {asset} are missing")))?;
            out.push(self.unpack(c, &mut unpacker, *asset, row, depth)?);
        }
        self.unpackers.lock().unwrap_or_else(PoisonError::into_inner).push(unpacker);
        Ok(out)
    }

    fn unpack(
        &self,
        c: &mut Conn<'_>,
        unpacker: &mut DCtx<'static>,
        asset: i64,
        mut row: Row,
        depth: usize,
    ) -> Result<Vec<u8>> {
        let (base, length, packed) = (row.maybe_int(0)?, row.int(1)?, row.blob(2)?);
        let damaged =
            |e: &dyn std::fmt::Display| corrupt(format!("the bytes of asset {asset} are damaged: {e}"));
        if !(0..=LENGTH_MAX).contains(&length) || depth > DEPTH_MAX {
            return Err(damaged(&"impossible length or base"));
        }
        let capacity = usize::try_from(length).unwrap_or(0);
        let mut bytes = Vec::with_capacity(capacity);
        let unpacked = match base {
            None => unpacker.decompress(&mut bytes, &packed),
            Some(base) => {
                let dictionary = self.base(c, base, depth)?;
                unpacker.decompress_using_ddict(&mut bytes, &packed, &dictionary)
            }
        };
        unpacked.map_err(|code| damaged(&get_error_name(code)))?;
        if bytes.len() == capacity { Ok(bytes) } else { Err(damaged(&"wrong length")) }
    }

    fn base(&self, c: &mut Conn<'_>, base: i64, depth: usize) -> Result<Arc<DDict<'static>>> {
        let at_hand = || self.bases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = at_hand().get(&base) {
            return Ok(Arc::clone(known));
        }
        let bytes = self.read(c, &[base], depth + 1)?;
        let bytes = bytes.first().map(Vec::as_slice).unwrap_or_default();
        let dictionary = DDict::try_create(bytes).ok_or_else(|| other("zstd: no memory for a dictionary"))?;
        let dictionary = Arc::new(dictionary);
        let mut bases = at_hand();
        if bases.len() >= AT_HAND_MAX {
            bases.clear();
        }
        bases.insert(base, Arc::clone(&dictionary));
        Ok(dictionary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_issuer_repeats_is_kept_once() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut ca = rcgen::CertificateParams::default();
        ca.distinguished_name.push(rcgen::DnType::CommonName, "Some Issuing CA of Some Company");
        let issuer = rcgen::Issuer::new(ca, key);
        let leaf = |n: u32| {
            let mut params = rcgen::CertificateParams::new(vec![format!("h{n}.example.com")]).unwrap();
            params.use_authority_key_identifier_extension = true;
            params.crl_distribution_points = vec![rcgen::CrlDistributionPoint {
                uris: vec!["http://crl.example.com/some/long/path/issuing-ca.crl".to_owned()],
            }];
            let key = rcgen::KeyPair::generate().unwrap();
            params.signed_by(&key, &issuer).unwrap().der().to_vec()
        };
        let (first, other) = (leaf(1), leaf(2));
        let base = Base::new(notafter_core::Fingerprint::of(&first), &first);
        let mut packer = Packer::new().unwrap();
        let alone = packer.pack(&other, None).unwrap();
        let packed = packer.pack(&other, Some(&base)).unwrap();
        // 64 bytes of key, 72 of signature, 20 of serial number are random.
        assert!(packed.len() < 230 && alone.len() > 350, "{} {} {}", other.len(), alone.len(), packed.len());
        let mut back = Vec::with_capacity(other.len());
        let dictionary = DDict::create(&first);
        DCtx::create().decompress_using_ddict(&mut back, &packed, &dictionary).unwrap();
        assert_eq!(back, other);
    }
}

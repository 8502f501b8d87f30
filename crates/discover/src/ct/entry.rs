//! One entry of a log, as both kinds of log write it: the leaf of RFC 6962 section 3.4 from `get-entries`, and the
//! `TileLeaf` of c2sp.org/static-ct-api from a data tile.
//!
//! Bytes in, spans out; nothing is copied and nothing asked. What is not understood ends the reading of a tile, because
//! nothing says where the next entry begins; of `get-entries` it costs the one entry.

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When the log promised to take it in, in milliseconds since 1970.
    pub timestamp: u64,
    /// What the log signed: a certificate, or the TBSCertificate of one that was still to be issued.
    pub signed: &'a [u8],
    /// For a precertificate: the whole of it, with poison and signature (RFC 6962 section 3.1).
    pub precertificate: Option<&'a [u8]>,
    /// Its issuers.
    pub issuers: Issuers<'a>,
    /// Extensions of the entry: in static-ct logs its number.
    extensions: &'a [u8],
}

/// The chain behind an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issuers<'a> {
    /// SHA-256 of each, 32 octets after 32 octets: they lie at `issuer/` in the log.
    Fingerprints(&'a [u8]),
    /// Each with its length in three octets before it.
    Certificates(&'a [u8]),
}

/// Why bytes are no entry: one phrase.
pub type Malformed = &'static str;

impl<'a> Entry<'a> {
    /// The certificate as it may be kept: itself, or the precertificate that stands for it.
    pub fn certificate(&self) -> &'a [u8] {
        self.precertificate.unwrap_or(self.signed)
    }

    /// Its number, where the entry says so itself (static-ct-api, "SCT extension": `leaf_index`).
    pub fn index(&self) -> Option<u64> {
        let mut rest = Bytes(self.extensions);
        while !rest.0.is_empty() {
            let kind = rest.number(1).ok()?;
            let data = rest.sized(2).ok()?;
            if kind == 0 {
                return (data.len() == 5).then(|| number(data));
            }
        }
        None
    }

    /// Reads a leaf and its extra data, as `get-entries` gives them (RFC 6962 section 4.6).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_leaf(leaf: &'a [u8], extra: &'a [u8]) -> Result<Self, Malformed> {
        let mut bytes = Bytes(leaf);
        if bytes.number(2)? != 0 {
            return Err("it is of another version than v1");
        }
        let mut entry = Self::timestamped(&mut bytes)?;
        let mut extra = Bytes(extra);
        if entry.precertificate.is_some() {
            entry.precertificate = Some(extra.sized(3)?);
        }
        entry.issuers = Issuers::Certificates(extra.sized(3)?);
        Ok(entry)
    }

    /// Reads the entry at the beginning of a data tile, and says what is left of the tile.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_tile(tile: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let mut bytes = Bytes(tile);
        let mut entry = Self::timestamped(&mut bytes)?;
        if entry.precertificate.is_some() {
            entry.precertificate = Some(bytes.sized(3)?);
        }
        let chain = bytes.sized(2)?;
        if chain.len() % 32 != 0 {
            return Err("its chain is no list of fingerprints");
        }
        entry.issuers = Issuers::Fingerprints(chain);
        Ok((entry, bytes.0))
    }

    /// `TimestampedEntry` of RFC 6962 section 3.4. A precertificate is marked by an empty one.
    fn timestamped(bytes: &mut Bytes<'a>) -> Result<Self, Malformed> {
        let timestamp = bytes.number(8)?;
        let precertificate = match bytes.number(2)? {
            0 => None,
            1 => {
                // The hash of the issuer's key: the chain says the same and more.
                bytes.take(32)?;
                Some(&[][..])
            }
            _ => return Err("it is neither a certificate nor a precertificate"),
        };
        let signed = bytes.sized(3)?;
        let extensions = bytes.sized(2)?;
        Ok(Self { timestamp, signed, precertificate, issuers: Issuers::Fingerprints(&[]), extensions })
    }
}

impl<'a> Issuers<'a> {
    /// The fingerprints, lowest issuer first; none where whole certificates came.
    pub fn fingerprints(self) -> impl Iterator<Item = [u8; 32]> + 'a {
        let list = match self {
            Self::Fingerprints(list) => list,
            Self::Certificates(_) => &[],
        };
        list.chunks_exact(32).filter_map(|one| one.try_into().ok())
    }

    /// The certificates, lowest issuer first; none where only fingerprints came.
    pub fn certificates(self) -> impl Iterator<Item = &'a [u8]> {
        let mut list = match self {
            Self::Certificates(list) => Bytes(list),
            Self::Fingerprints(_) => Bytes(&[]),
        };
        std::iter::from_fn(move || list.sized(3).ok())
    }
}

/// The entries of a data tile, one after the other; an error is the last.
pub fn of_tile(tile: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, Malformed>> {
    let mut rest = tile;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        Some(match Entry::of_tile(rest) {
            Ok((entry, after)) => {
                rest = after;
                Ok(entry)
            }
            Err(why) => {
                rest = &[];
                Err(why)
            }
        })
    })
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self, octets: usize) -> Result<u64, Malformed> {
        Ok(number(self.take(octets)?))
    }

    /// What has its length before it, in so many octets.
    fn sized(&mut self, octets: usize) -> Result<&'a [u8], Malformed> {
        let length = self.number(octets)?;
        self.take(usize::try_from(length).map_err(|_| "it ends too early")?)
    }
}

/// At most eight octets, the highest first.
fn number(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn sized(octets: usize, bytes: &[u8]) -> Vec<u8> {
        let mut out = (bytes.len() as u64).to_be_bytes()[8 - octets..].to_vec();
        out.extend_from_slice(bytes);
        out
    }

    /// `TimestampedEntry` with the number of the entry in its extensions.
    fn timestamped(signed: &[u8], is_precert: bool, index: u64) -> Vec<u8> {
        let mut out = 1_800_000_000_000_u64.to_be_bytes().to_vec();
        out.extend([0, u8::from(is_precert)]);
        if is_precert {
            out.extend([7; 32]);
        }
        out.extend(sized(3, signed));
        let mut extension = vec![0];
        extension.extend(sized(2, &index.to_be_bytes()[3..]));
        out.extend(sized(2, &extension));
        out
    }

    /// As a data tile has it.
    pub(crate) fn tile_leaf(
        signed: &[u8],
        precert: Option<&[u8]>,
        chain: &[[u8; 32]],
        index: u64,
    ) -> Vec<u8> {
        let mut out = timestamped(signed, precert.is_some(), index);
        out.extend(precert.map(|der| sized(3, der)).unwrap_or_default());
        out.extend(sized(2, &chain.concat()));
        out
    }

    /// As `get-entries` has it: leaf and extra data.
    pub(crate) fn leaf(signed: &[u8], precert: Option<&[u8]>, chain: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
        let mut leaf = vec![0, 0];
        leaf.extend(timestamped(signed, precert.is_some(), 0));
        let mut extra = precert.map(|der| sized(3, der)).unwrap_or_default();
        extra.extend(sized(3, &chain.iter().flat_map(|der| sized(3, der)).collect::<Vec<_>>()));
        (leaf, extra)
    }

    #[test]
    fn both_forms_say_the_same() {
        for precert in [None, Some(&b"poisoned"[..])] {
            let tile = tile_leaf(b"signed", precert, &[[1; 32], [2; 32]], 0x01_0000_0203);
            let (of_tile, rest) = Entry::of_tile(&tile).unwrap();
            assert!(rest.is_empty());
            assert_eq!(of_tile.index(), Some(0x01_0000_0203));
            assert_eq!(of_tile.issuers.fingerprints().collect::<Vec<_>>(), [[1; 32], [2; 32]]);
            let (input, extra) = leaf(b"signed", precert, &[b"one", b"two"]);
            let of_leaf = Entry::of_leaf(&input, &extra).unwrap();
            assert_eq!(of_leaf.issuers.certificates().collect::<Vec<_>>(), [b"one", b"two"]);
            for entry in [of_tile, of_leaf] {
                assert_eq!((entry.timestamp, entry.signed), (1_800_000_000_000, &b"signed"[..]));
                assert_eq!(entry.certificate(), precert.unwrap_or(b"signed"));
            }
        }
    }

    #[test]
    fn every_truncation_is_refused_and_nothing_panics() {
        let tile = tile_leaf(b"signed", Some(b"poisoned"), &[[1; 32]], 5);
        let (input, extra) = leaf(b"signed", Some(b"poisoned"), &[b"one"]);
        for n in 0..tile.len() {
            assert!(Entry::of_tile(&tile[..n]).is_err(), "{n}");
            let mut odd = tile.clone();
            odd[n] ^= 0xff;
            let read = of_tile(&odd).count();
            assert!((1..=2).contains(&read), "{n} {read}");
        }
        for n in 0..input.len() {
            assert!(Entry::of_leaf(&input[..n], &extra).is_err(), "{n}");
        }
        for n in 0..extra.len() {
            assert!(Entry::of_leaf(&input, &extra[..n]).is_err(), "{n}");
        }
    }
}

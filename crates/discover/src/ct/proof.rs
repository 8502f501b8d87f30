//! That a log only ever grows: the tree that it showed last is the beginning of the one it shows now (RFC 6962 section
//! 2.1.2). A log that shows one tree to us and another one to others, or has forgotten an entry, cannot prove that.
//!
//! A log of RFC 6962 hands out the proof; of one in tiles the hashes of its tree can be read (c2sp.org/tlog-tiles), and
//! the same proof is made of them. Either way it is checked against both roots by the same few lines, so that nothing
//! depends on who made it. Whether the log's key signed the roots is `head.rs`'s.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use notafter_core::UnixTime;
use notafter_core::observation::Reason;
use notafter_pki::fingerprint::sha256;

use super::head::Head;
use super::log::{Api, Log, failure, fetch, tile_path};
use crate::http::{Client, Failure};

/// A hash in a tree.
pub type Hash = [u8; 32];

/// A proof has one hash for each level of two trees at most.
const PATH_MAX: usize = 128;
/// Levels of the tree in one tile, and hashes in its lowest.
const TILE_LEVELS: u32 = 8;
const TILE_WIDTH: u64 = 1 << TILE_LEVELS;

/// The hash over two others (RFC 6962 section 2.1).
pub fn parent(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    sha256(&bytes)
}

/// The hash of entries that follow one another, of the hashes of the complete trees that they make up, the largest first.
fn joined(trees: &[Hash]) -> Option<Hash> {
    let (last, rest) = trees.split_last()?;
    Some(rest.iter().rev().fold(*last, |below, left| parent(left, &below)))
}

/// Is the tree with the first root the beginning of the one with the second (RFC 9162 section 2.1.4.2, which spells out
/// how to check the proof of RFC 6962 section 2.1.2)?
pub fn is_beginning(first: (u64, &Hash), second: (u64, &Hash), path: &[Hash]) -> bool {
    let ((first, first_root), (second, second_root)) = (first, second);
    if first >= second || first == 0 {
        return path.is_empty() && (first == 0 || first == second && first_root == second_root);
    }
    // A complete tree is its own hash.
    let own = first.is_power_of_two().then_some(*first_root);
    let mut hashes = own.iter().chain(path);
    let (mut low, mut high) = (first - 1, second - 1);
    let same = low.trailing_ones();
    (low, high) = (low.checked_shr(same).unwrap_or(0), high.checked_shr(same).unwrap_or(0));
    let Some(start) = hashes.next() else { return false };
    let (mut old, mut new) = (*start, *start);
    for hash in hashes {
        if high == 0 {
            return false;
        }
        if low & 1 == 1 || low == high {
            (old, new) = (parent(hash, &old), parent(hash, &new));
            while low & 1 == 0 && low != 0 {
                (low, high) = (low >> 1, high >> 1);
            }
        } else {
            new = parent(&new, hash);
        }
        (low, high) = (low >> 1, high >> 1);
    }
    high == 0 && old == *first_root && new == *second_root
}

/// The runs of entries whose hashes are the proof, each by its first entry and its length (RFC 6962 section 2.1.2).
fn runs(first: u64, second: u64) -> Vec<(u64, u64)> {
    let mut out = Vec::new();
    let (mut start, mut wanted, mut size, mut known) = (0, first, second, true);
    while wanted != size {
        // The largest power of two that is smaller than the size.
        let half = 1 << (u64::BITS - 1 - (size - 1).leading_zeros());
        if wanted <= half {
            out.push((start + half, size - half));
            size = half;
        } else {
            out.push((start, half));
            (start, wanted, size, known) = (start + half, wanted - half, size - half, false);
        }
    }
    if !known {
        out.push((start, size));
    }
    out.reverse();
    out
}

/// The complete trees that a run is made of, each by its height and its number at that height.
fn trees((start, length): (u64, u64)) -> Vec<(u32, u64)> {
    let (mut at, mut left, mut out) = (start, length, Vec::new());
    while left > 0 {
        let height = u64::BITS - 1 - left.leading_zeros();
        out.push((height, at >> height));
        at += 1 << height;
        left -= 1 << height;
    }
    out
}

/// What came of it.
#[derive(Debug)]
pub enum Doubt {
    /// There are two histories. A sentence.
    TwoHistories(String),
    /// It could not be asked.
    Unproved(Failure),
}

impl Log {
    /// Has what the log shows now what it showed before as its beginning?
    ///
    /// # Errors
    /// When not, or when that could not be found out.
    pub async fn grew(
        &self,
        client: &Client,
        api: Api,
        (size, root): (u64, Hash),
        head: &Head,
        now: UnixTime,
    ) -> Result<(), Doubt> {
        if size == 0 || size == head.size {
            return Ok(());
        }
        let path = match api {
            Api::Rfc6962 => self.told_path(client, size, head.size, now).await,
            Api::StaticCt => self.made_path(client, size, head.size, now).await,
        };
        let path = path.map_err(Doubt::Unproved)?;
        if is_beginning((size, &root), (head.size, &head.root), &path) {
            return Ok(());
        }
        Err(Doubt::TwoHistories(format!(
            "it shows two histories: the tree of {size} entries that it has shown before (root {}) is not the beginning \
             of the {} that it shows now (root {}). One of the two was made for us, or the log has lost entries: keep both \
             heads and tell those who watch logs",
            STANDARD.encode(root),
            head.size,
            STANDARD.encode(head.root)
        )))
    }

    /// The proof as a log hands it out (RFC 6962 section 4.4).
    async fn told_path(
        &self,
        client: &Client,
        first: u64,
        second: u64,
        now: UnixTime,
    ) -> Result<Vec<Hash>, Failure> {
        let url = format!("{}ct/v1/get-sth-consistency?first={first}&second={second}", self.url);
        let answer = fetch(client, &url, 64 << 10, now).await?;
        path_of(&answer.body).ok_or_else(|| {
            failure(Reason::Malformed, format!("{}: what came is no proof of consistency", self.name()))
        })
    }

    /// The same proof, of the hashes in tiles.
    async fn made_path(
        &self,
        client: &Client,
        first: u64,
        second: u64,
        now: UnixTime,
    ) -> Result<Vec<Hash>, Failure> {
        let mut tiles = HashMap::new();
        let mut path = Vec::new();
        for run in runs(first, second) {
            let mut hashes = Vec::new();
            for (height, number) in trees(run) {
                hashes.push(self.hash(client, (height, number), second, &mut tiles, now).await?);
            }
            path.extend(joined(&hashes));
        }
        Ok(path)
    }

    /// The hash of one complete tree.
    async fn hash(
        &self,
        client: &Client,
        (height, number): (u32, u64),
        size: u64,
        tiles: &mut HashMap<(u32, u64), Vec<Hash>>,
        now: UnixTime,
    ) -> Result<Hash, Failure> {
        let (level, within) = (height / TILE_LEVELS, height % TILE_LEVELS);
        let first = number << within;
        let tile = first / TILE_WIDTH;
        let all = match tiles.entry((level, tile)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(self.hashes(client, level, tile, size, now).await?),
        };
        let at = (first % TILE_WIDTH) as usize;
        let row = all.get(at..at + (1 << within)).map(<[Hash]>::to_vec);
        let mut row = row.ok_or_else(|| {
            failure(Reason::Malformed, format!("{}: a tile of hashes is too short", self.name()))
        })?;
        while row.len() > 1 {
            row = row.chunks_exact(2).map(|pair| parent(&pair[0], &pair[1])).collect();
        }
        row.first().copied().ok_or_else(|| failure(Reason::Malformed, "no hash"))
    }

    /// A tile of hashes (c2sp.org/tlog-tiles), as wide as it is in a tree of this size.
    async fn hashes(
        &self,
        client: &Client,
        level: u32,
        tile: u64,
        size: u64,
        now: UnixTime,
    ) -> Result<Vec<Hash>, Failure> {
        let width = (size >> (TILE_LEVELS * level)).saturating_sub(tile * TILE_WIDTH).min(TILE_WIDTH);
        let full = format!("{}tile/{level}/{}", self.url, tile_path(tile));
        let most = TILE_WIDTH as usize * 32;
        let answer = if width == TILE_WIDTH {
            fetch(client, &full, most, now).await?
        } else {
            match fetch(client, &format!("{full}.p/{width}"), most, now).await {
                Err(why) if why.reason == Reason::NotFound => fetch(client, &full, most, now).await?,
                other => other?,
            }
        };
        Ok(answer.body.as_chunks::<32>().0.to_vec())
    }
}

/// The hashes of `{"consistency": [...]}`.
pub fn path_of(answer: &[u8]) -> Option<Vec<Hash>> {
    let value: serde_json::Value = serde_json::from_slice(answer).ok()?;
    let list = value.get("consistency")?.as_array().filter(|list| list.len() <= PATH_MAX)?;
    list.iter().map(|one| STANDARD.decode(one.as_str()?).ok()?.try_into().ok()).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The hash of a leaf (RFC 6962 section 2.1).
    pub(crate) fn leaf(bytes: &[u8]) -> Hash {
        sha256(&[&[0], bytes].concat())
    }

    /// The root of a tree, as the definition has it: by halves.
    pub(crate) fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha256(b""),
            [one] => *one,
            _ => {
                let half = leaves.len().next_power_of_two() / 2;
                parent(&root(&leaves[..half]), &root(&leaves[half..]))
            }
        }
    }

    fn path(leaves: &[Hash], first: u64) -> Vec<Hash> {
        let hash = |(start, length): (u64, u64)| root(&leaves[start as usize..(start + length) as usize]);
        let joined_up = |run| {
            let trees: Vec<Hash> = trees(run).into_iter().map(|(h, n)| hash((n << h, 1 << h))).collect();
            joined(&trees).unwrap()
        };
        runs(first, leaves.len() as u64)
            .into_iter()
            .inspect(|run| assert_eq!(joined_up(*run), hash(*run)))
            .map(hash)
            .collect()
    }

    #[test]
    fn every_tree_is_the_beginning_of_every_larger_one() {
        let leaves: Vec<Hash> = (0..70u8).map(|n| leaf(&[n])).collect();
        for size in 1..=leaves.len() {
            let whole = root(&leaves[..size]);
            for first in 1..size {
                let path = path(&leaves[..size], first as u64);
                let begun = root(&leaves[..first]);
                let (old, new) = ((first as u64, &begun), (size as u64, &whole));
                assert!(is_beginning(old, new, &path), "{first} of {size}");
                // Of another tree it is not.
                let mut other = leaves[..first].to_vec();
                other[first / 2] = leaf(b"other");
                assert!(!is_beginning((first as u64, &root(&other)), new, &path), "{first} of {size}");
                assert!(!is_beginning(old, (size as u64, &root(&other)), &path) || other.len() == size);
                for n in 0..path.len() {
                    let mut odd = path.clone();
                    odd[n][0] ^= 1;
                    assert!(!is_beginning(old, new, &odd), "{first} of {size}");
                    odd.remove(n);
                    assert!(!is_beginning(old, new, &odd), "{first} of {size}");
                }
                assert!(!is_beginning(old, new, &[&path[..], &[begun]].concat()), "{first} of {size}");
            }
        }
    }

    /// The proofs that RFC 6962 section 2.1.3 draws: of 3, 4 and 6 entries in 7.
    #[test]
    fn the_examples_of_the_rfc() {
        assert_eq!(runs(3, 7), [(2, 1), (3, 1), (0, 2), (4, 3)]);
        assert_eq!(runs(4, 7), [(4, 3)]);
        assert_eq!(runs(6, 7), [(4, 2), (6, 1), (0, 4)]);
        assert_eq!(runs(1, u64::MAX >> 1).len(), 63);
    }

    #[test]
    fn answers_of_logs() {
        let one = STANDARD.encode([7; 32]);
        assert_eq!(path_of(format!("{{\"consistency\": [\"{one}\"]}}").as_bytes()), Some(vec![[7; 32]]));
        assert_eq!(path_of(b"{\"consistency\": []}"), Some(vec![]));
        let many = format!("{{\"consistency\": [{}]}}", vec![format!("\"{one}\""); 129].join(","));
        for wrong in ["", "{}", "{\"consistency\": [\"AA==\"]}", "{\"consistency\": [1]}", &many] {
            assert_eq!(path_of(wrong.as_bytes()), None, "{wrong}");
        }
    }
}

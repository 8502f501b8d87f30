//! Which rows a run has seen: one bit for each, small enough to be kept with the run's position.

use crate::db::{Result, other};

/// A set of row numbers.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub(crate) struct Seen(Vec<u64>);

impl Seen {
    pub(crate) fn insert(&mut self, id: i64) -> bool {
        let id = usize::try_from(id).unwrap_or(0);
        if self.0.len() <= id / 64 {
            self.0.resize(id / 64 + 1, 0);
        }
        let bit = 1 << (id % 64);
        let new = self.0[id / 64] & bit == 0;
        self.0[id / 64] |= bit;
        new
    }

    pub(crate) fn contains(&self, id: i64) -> bool {
        let id = usize::try_from(id).unwrap_or(usize::MAX);
        self.0.get(id / 64).is_some_and(|word| word & (1 << (id % 64)) != 0)
    }
}

/// What a run saw of everything.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub(crate) struct SeenAll {
    pub(crate) placements: Seen,
    pub(crate) keys: Seen,
    pub(crate) links: Seen,
    pub(crate) blind: Seen,
    pub(crate) renewals: Seen,
}

impl SeenAll {
    /// Adds what another set has.
    pub(crate) fn extend(&mut self, more: &Self) {
        let pairs = [
            (&mut self.placements, &more.placements),
            (&mut self.keys, &more.keys),
            (&mut self.links, &more.links),
            (&mut self.blind, &more.blind),
            (&mut self.renewals, &more.renewals),
        ];
        for (set, more) in pairs {
            if set.0.len() < more.0.len() {
                set.0.resize(more.0.len(), 0);
            }
            set.0.iter_mut().zip(&more.0).for_each(|(word, add)| *word |= add);
        }
    }

    pub(crate) fn pack(&self) -> Result<Vec<u8>> {
        let mut plain = Vec::new();
        for set in [&self.placements, &self.keys, &self.links, &self.blind, &self.renewals] {
            plain.extend_from_slice(&(set.0.len() as u64).to_le_bytes());
            set.0.iter().for_each(|word| plain.extend_from_slice(&word.to_le_bytes()));
        }
        zstd::bulk::compress(&plain, 1).map_err(|e| other(format!("zstd: {e}")))
    }

    /// What cannot be read is as if nothing had been seen: the run then looks again.
    pub(crate) fn unpack(packed: &[u8]) -> Option<Self> {
        let plain = zstd::bulk::decompress(packed, 1 << 30).ok()?;
        let mut words = plain.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w));
        let mut set = || {
            let length = usize::try_from(words.next()?).ok()?;
            let taken: Vec<u64> = words.by_ref().take(length).collect();
            (taken.len() == length).then_some(Seen(taken))
        };
        Some(Self { placements: set()?, keys: set()?, links: set()?, blind: set()?, renewals: set()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_comes_back() {
        let mut all = SeenAll::default();
        assert!(all.placements.insert(1_000_000) && !all.placements.insert(1_000_000));
        assert!(all.blind.insert(3));
        let back = SeenAll::unpack(&all.pack().unwrap()).unwrap();
        assert_eq!(back, all);
        assert!(back.placements.contains(1_000_000) && !back.placements.contains(999_999));
        assert!(back.blind.contains(3) && !back.keys.contains(3) && !back.keys.contains(-1));
        assert_eq!(SeenAll::unpack(b"x"), None);
    }
}

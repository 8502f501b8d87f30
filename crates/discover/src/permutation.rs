//! A shuffled walk over `0..n` that needs no memory: so that no host and no net sees a burst.
//!
//! A Feistel network over the next even power of two, stepping on until it falls below `n` (cycle
//! walking). The order is fixed by the seed, so a walk can be resumed by its counter.

/// A bijection of `0..n`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Permutation {
    n: u64,
    half_bits: u32,
    seed: u64,
}

impl Permutation {
    /// A shuffle of `0..n`, chosen by `seed`.
    pub(crate) fn new(n: u64, seed: u64) -> Self {
        let bits = 64 - n.saturating_sub(1).leading_zeros();
        Self { n, half_bits: bits.div_ceil(2).max(1), seed }
    }

    /// Where `i` goes; `i` must be below `n`.
    pub(crate) fn at(&self, i: u64) -> u64 {
        let mut x = i;
        loop {
            x = self.round_trip(x);
            if x < self.n {
                return x;
            }
        }
    }

    fn round_trip(&self, x: u64) -> u64 {
        let mask = (1u64 << self.half_bits) - 1;
        let (mut left, mut right) = (x >> self.half_bits, x & mask);
        for round in 0..4u64 {
            let mixed = mix(right ^ self.seed.rotate_left(round as u32 * 16) ^ (round << 56)) & mask;
            (left, right) = (right, left ^ mixed);
        }
        left << self.half_bits | right
    }
}

/// The finaliser of MurmurHash3 (public domain): every input bit moves every output bit.
fn mix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ x >> 33
}

#[cfg(test)]
mod tests {
    use super::Permutation;

    #[test]
    fn every_number_once() {
        for n in [1, 2, 3, 5, 64, 100, 1023, 4097] {
            let walk = Permutation::new(n, 7);
            let mut seen: Vec<_> = (0..n).map(|i| walk.at(i)).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..n).collect::<Vec<_>>(), "{n}");
        }
    }

    #[test]
    fn neighbours_are_torn_apart() {
        let walk = Permutation::new(65_536, 3);
        let close = (0..65_535).filter(|i| walk.at(*i).abs_diff(walk.at(i + 1)) < 256).count();
        assert!(close < 1500, "{close}");
    }
}

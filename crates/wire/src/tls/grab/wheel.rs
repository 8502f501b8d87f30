//! A hashed timer wheel: one deadline per connection, set and cleared in constant time.
//!
//! Time is counted in ticks by the caller. A deadline further away than one turn of the wheel waits
//! in its bucket for the turns to pass. The wheel holds numbers only, 12 bytes per connection.

const BUCKETS: usize = 512;
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
    /// The tick it is due at; `NONE` when it is not in the wheel.
    due: u32,
}

/// The wheel and the links of all connections, numbered from 0.
pub(super) struct Wheel {
    heads: [u32; BUCKETS],
    occupied: [u64; BUCKETS / 64],
    links: Vec<Link>,
    /// Every tick up to this one has been handled.
    done: u32,
}

impl Wheel {
    pub(super) fn new() -> Wheel {
        Wheel { heads: [NONE; BUCKETS], occupied: [0; BUCKETS / 64], links: Vec::new(), done: 0 }
    }

    /// Sets the deadline of connection `index`, in place of any it had.
    pub(super) fn set(&mut self, index: u32, due: u32) {
        self.clear(index);
        let due = due.clamp(self.done + 1, NONE - 1);
        let bucket = due as usize % BUCKETS;
        let next = self.heads[bucket];
        self.links[index as usize] = Link { previous: NONE, next, due };
        if next != NONE {
            self.links[next as usize].previous = index;
        }
        self.heads[bucket] = index;
        self.occupied[bucket / 64] |= 1 << (bucket % 64);
    }

    /// Removes the deadline of connection `index`, if it has one.
    pub(super) fn clear(&mut self, index: u32) {
        if self.links.len() <= index as usize {
            self.links.resize(index as usize + 1, Link { previous: NONE, next: NONE, due: NONE });
        }
        let Link { previous, next, due } = self.links[index as usize];
        if due == NONE {
            return;
        }
        let bucket = due as usize % BUCKETS;
        match previous {
            NONE => self.heads[bucket] = next,
            _ => self.links[previous as usize].next = next,
        }
        if next != NONE {
            self.links[next as usize].previous = previous;
        }
        if self.heads[bucket] == NONE {
            self.occupied[bucket / 64] &= !(1 << (bucket % 64));
        }
        self.links[index as usize].due = NONE;
    }

    /// Moves on to tick `now` and takes out every connection that is due.
    pub(super) fn expire(&mut self, now: u32, due: &mut Vec<u32>) {
        if now <= self.done {
            return;
        }
        let turns = (now - self.done).min(BUCKETS as u32);
        let first = now - turns + 1;
        self.done = now;
        for tick in first..=now {
            let mut index = self.heads[tick as usize % BUCKETS];
            while index != NONE {
                let link = self.links[index as usize];
                if link.due <= now {
                    self.clear(index);
                    due.push(index);
                }
                index = link.next;
            }
        }
    }

    /// The earliest tick at which something may be due; it may turn out to be a turn too early.
    pub(super) fn next_due(&self) -> Option<u32> {
        let mut tick = self.done + 1;
        let last = self.done + BUCKETS as u32;
        while tick <= last {
            let bucket = tick as usize % BUCKETS;
            let word = self.occupied[bucket / 64] >> (bucket % 64);
            if word != 0 {
                return Some(tick + word.trailing_zeros());
            }
            tick += 64 - (bucket % 64) as u32;
        }
        // What is left of the first word lies behind the start.
        let bucket = (self.done + 1) as usize % BUCKETS;
        let word = self.occupied[bucket / 64] & ((1 << (bucket % 64)) - 1);
        (word != 0).then_some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Against a sorted map: the same connections fall due at the same ticks.
        #[test]
        fn agrees_with_a_sorted_map(steps in proptest::collection::vec((0_u32..40, 0_u32..2000, 0_u32..300), 1..200)) {
            let (mut wheel, mut model, mut now) = (Wheel::new(), BTreeMap::new(), 0);
            for (index, ahead, pass) in steps {
                if ahead % 7 == 0 {
                    wheel.clear(index);
                    model.remove(&index);
                } else {
                    wheel.set(index, now + ahead);
                    model.insert(index, now + ahead);
                }
                if let Some(earliest) = model.values().min() {
                    prop_assert!(wheel.next_due().is_some_and(|tick| tick <= (*earliest).max(now + 1)));
                } else {
                    prop_assert_eq!(wheel.next_due(), None);
                }
                now += pass;
                let mut due = Vec::new();
                wheel.expire(now, &mut due);
                due.sort_unstable();
                let passed = if pass == 0 { Vec::new() } else {
                    model.iter().filter(|(_, due)| **due <= now).map(|(index, _)| *index).collect()
                };
                model.retain(|index, _| !passed.contains(index));
                prop_assert_eq!(due, passed);
            }
        }
    }
}

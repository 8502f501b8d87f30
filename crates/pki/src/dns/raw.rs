//! BIND's `raw` zone files: what its secondaries keep of zones unless they are told otherwise.
//!
//! Big-endian: format 2, version, when it was written, from version 1 on also flags, the source's serial and the last
//! transfer; then one run of records after another, each with its length, class, type, the type it covers, TTL,
//! count and owner (ISC, `lib/dns/include/dns/masterdump.h` and `raw` in the administrator's manual).

use super::{Record, message, name, text::Each, text::Outcome};
use crate::time::UnixTime;

/// Is it one, by its first octets?
pub fn is_raw(start: &[u8]) -> bool {
    matches!(start, [0, 0, 0, 2, 0, 0, 0, 0 | 1, ..])
}

/// When it was written.
pub fn written(bytes: &[u8]) -> Option<UnixTime> {
    let time: [u8; 4] = bytes.get(8..12)?.try_into().ok()?;
    is_raw(bytes).then(|| UnixTime(u32::from_be_bytes(time).into()))
}

/// Reads one.
pub fn read(bytes: &[u8], each: &mut Each<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    let head = if bytes.get(7) == Some(&0) { 12 } else { 24 };
    let mut rest = bytes.get(head..).filter(|_| is_raw(bytes)).unwrap_or_default();
    while !rest.is_empty() {
        let Some((run, after)) = split(rest) else {
            outcome.unread += 1;
            return outcome;
        };
        match records(run, each, &mut outcome) {
            Some(true) => rest = after,
            Some(false) => return outcome,
            None => {
                outcome.unread += 1;
                rest = after;
            }
        }
    }
    outcome
}

/// A run without its length, and what follows it.
fn split(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
    Some((rest.get(4..length)?, rest.get(length..)?))
}

/// `None`: not understood; `Some(false)`: enough.
fn records(run: &[u8], each: &mut Each<'_>, outcome: &mut Outcome) -> Option<bool> {
    let word = |at: usize| Some(u16::from_be_bytes(run.get(at..at + 2)?.try_into().ok()?));
    let long = |at: usize| Some(u32::from_be_bytes(run.get(at..at + 4)?.try_into().ok()?));
    let (kind, ttl, count) = (word(2)?, long(6)?, long(10)?);
    let size = usize::from(word(14)?);
    let (owner, end) = name::from_message(run.get(16..16 + size)?, 0)?;
    let mut at = (end == size).then_some(16 + size)?;
    for _ in 0..count {
        let length = usize::from(word(at)?);
        let own = run.get(at + 2..at + 2 + length)?;
        let data = message::data(kind, own, 0, length)?;
        at += 2 + length;
        outcome.records += 1;
        if !each(Record { owner: owner.clone(), kind, ttl, data }) {
            return Some(false);
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Data;

    #[test]
    fn a_run_and_every_cut_of_it() {
        let run = [
            &[0, 1, 0, 1, 0, 0, 0, 0, 1, 44, 0, 0, 0, 2, 0, 3, 1, b'a', 0][..],
            &[0, 4, 10, 0, 0, 1],
            &[0, 4, 10, 0, 0, 2],
        ]
        .concat();
        let mut file = vec![0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9];
        file.extend((run.len() as u32 + 4).to_be_bytes());
        file.extend(&run);
        let mut found = Vec::new();
        let outcome = read(&file, &mut |record| {
            found.push(record.data);
            true
        });
        assert_eq!((outcome.records, outcome.unread, written(&file)), (2, 0, Some(UnixTime(9))));
        assert_eq!(found, [Data::A([10, 0, 0, 1].into()), Data::A([10, 0, 0, 2].into())]);
        for length in 13..file.len() {
            assert_eq!(read(&file[..length], &mut |_| true).unread, 1, "{length}");
        }
    }
}

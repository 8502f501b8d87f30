//! Counters that should move: the file that records how much went through, as `[[flow]]` names it.
//!
//! Reads the end of the file and tells when the floor was last reached. A line with a date and a number counts so much,
//! one with a date and anything else counts one, numbers that only grow are totals; without dates the file's last change
//! counts. Whether a silence is an alarm is a rule's to say. The file is read, never followed or kept open.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use notafter_core::UnixTime;
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::inventory::AssetKind;
use notafter_core::joints::{BoxFuture, Cx, Sink, Source};
use notafter_core::location::Location;
use notafter_core::observation::{Facts, Flow, Observation, Reason, Seen};
use notafter_core::scan::Scan;
use notafter_pki::statement::{Statement, StatementKind, read_rfc3339};
use rustix::fs::{FileType, Mode, OFlags};

use crate::files::why;

/// So much of the end of a file is read, in octets.
const TAIL: u64 = 1 << 20;
/// An hour, in seconds.
const HOUR: i64 = 3600;
/// From so many records on, numbers that only grow are taken for totals.
const TOTALS_MIN: usize = 8;

/// One counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// What it is called.
    pub name: String,
    /// The file that records it.
    pub file: PathBuf,
    /// So much an hour is the least that is normal.
    pub floor: u32,
}

/// Looks at counters.
pub struct Flows(pub Vec<Watched>);

impl Source for Flows {
    fn discover<'a>(&'a self, cx: &'a Cx, out: Arc<dyn Sink>) -> BoxFuture<'a, Result<Scan, Fault>> {
        Box::pin(async move {
            let (all, at, progress) = (self.0.clone(), cx.clock.now(), Arc::clone(&cx.progress));
            let (done, finished) = tokio::sync::oneshot::channel();
            let thread = std::thread::Builder::new()
                .name("flows".to_owned())
                .spawn(move || {
                    for one in &all {
                        let path = std::path::absolute(&one.file).unwrap_or_else(|_| one.file.clone());
                        let location = Location::file(path.as_os_str().as_bytes(), "");
                        out.put(Observation { at, location, seen: look(one, &path) });
                    }
                    let _ = done.send(());
                })
                .map_err(|e| Fault::new(FaultKind::Exhausted, format!("no thread for counters: {e}")))?;
            let _guard = crate::guard::Guard::new(Arc::new(AtomicBool::new(false)), thread);
            match finished.await {
                Ok(()) => Ok(progress.scan()),
                Err(_) => Err(Fault::new(FaultKind::System, "looking at counters ended before its end")),
            }
        })
    }
}

fn look(one: &Watched, path: &Path) -> Seen {
    let (text, whole, changed) = match tail(path) {
        Ok(read) => read,
        Err((reason, detail)) => return Seen::Failed { reason, detail },
    };
    let flow = flow(&text, whole, one.floor).unwrap_or(Flow {
        floor: one.floor,
        moved: Some(changed),
        first: changed,
        last: changed,
    });
    let statement = Statement::new(StatementKind::Flow, &one.name).name(&one.name);
    let facts = Facts { flow: Some(Arc::new(flow)), ..Facts::default() };
    Seen::Dated { kind: AssetKind::Flow, der: statement.to_bytes().into(), facts }
}

/// The end of a file, whether that is all of it, and when it was changed last.
fn tail(path: &Path) -> Result<(Vec<u8>, bool, UnixTime), (Reason, String)> {
    // Not blocking: a pipe in the place of the file would wait for its writer for ever.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let system = |error: rustix::io::Errno| why(&error.into());
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(system)?;
    let stat = rustix::fs::fstat(&file).map_err(system)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err((Reason::SpecialFile, "it is not a regular file".to_owned()));
    }
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let from = size.saturating_sub(TAIL);
    let mut text = vec![0; (size - from) as usize];
    let mut filled = 0;
    while filled < text.len() {
        match rustix::io::pread(&file, &mut text[filled..], from + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(system(error)),
        }
    }
    text.truncate(filled);
    Ok((text, from == 0, UnixTime(stat.st_mtime)))
}

/// How the counter moved, by what a file records; `None` where no line has a date.
fn flow(text: &[u8], whole: bool, floor: u32) -> Option<Flow> {
    let mut lines = text.split(|octet| *octet == b'\n');
    if !whole {
        // It began somewhere before.
        lines.next();
    }
    let mut samples: Vec<(i64, Option<f64>)> =
        lines.filter_map(|line| sample(std::str::from_utf8(line).ok()?)).collect();
    samples.sort_by_key(|(at, _)| *at);
    let (first, last) = (samples.first()?.0, samples.last()?.0);
    let numbered = samples.iter().filter(|(_, amount)| amount.is_some()).count();
    let counted: Vec<(i64, f64)> = if numbered * 2 >= samples.len() {
        differences(samples.iter().filter_map(|(at, amount)| Some((*at, (*amount)?))).collect())
    } else {
        samples.iter().map(|(at, _)| (*at, 1.0)).collect()
    };
    // What is written down less often than hourly is measured over as long as that takes.
    let mut gaps: Vec<i64> = counted.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    gaps.sort_unstable();
    let gap = if numbered * 2 >= samples.len() { gaps.get(gaps.len() / 2).copied().unwrap_or(0) } else { 0 };
    let window = gap.max(HOUR);
    let least = f64::from(floor) * window as f64 / HOUR as f64;
    let (mut sum, mut oldest, mut moved) = (0.0, 0, None);
    for (at, amount) in &counted {
        sum += amount;
        while counted.get(oldest).is_some_and(|(old, _)| *old <= at - window) {
            sum -= counted[oldest].1;
            oldest += 1;
        }
        // Sums of fractions are never quite what they were.
        if sum >= least - 1e-6 {
            moved = Some(UnixTime(at + window - HOUR));
        }
    }
    Some(Flow { floor, moved, first: UnixTime(first), last: UnixTime(last) })
}

/// Totals become what was added each time.
fn differences(samples: Vec<(i64, f64)>) -> Vec<(i64, f64)> {
    let steps = || samples.windows(2).map(|pair| pair[1].1 - pair[0].1);
    let grown = steps().filter(|step| *step > 0.0).count();
    let totals = samples.len() >= TOTALS_MIN && grown * 2 >= TOTALS_MIN && steps().all(|step| step >= 0.0);
    if !totals {
        return samples;
    }
    samples.windows(2).map(|pair| (pair[1].0, pair[1].1 - pair[0].1)).collect()
}

/// The date of a line, and its number if there is nothing else in it.
fn sample(line: &str) -> Option<(i64, Option<f64>)> {
    const BETWEEN: &[char] = &[' ', '\t', ',', ';', '[', ']', '"', '|', '='];
    let line = line.trim_matches(BETWEEN).trim();
    let (at, rest) = dated(line)?;
    let rest = rest.trim_matches(BETWEEN).trim();
    let amount = rest.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    Some((at.0, amount))
}

/// A date at the beginning of a line, or the bracketed one of a web server's log, and what follows it.
fn dated(line: &str) -> Option<(UnixTime, &str)> {
    // 2026-11-22 10:00:00, perhaps with a fraction, in UTC.
    if let (Some(day), Some(" "), Some(time)) = (line.get(..10), line.get(10..11), line.get(11..19))
        && let Some(at) = read_rfc3339(&format!("{day}T{time}Z"))
    {
        let rest = line.get(19..).unwrap_or("");
        return Some((at, rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit())));
    }
    let end = line.find([' ', '\t', ',', ';', ']', '"', '|']).unwrap_or(line.len());
    let (first, rest) = line.split_at_checked(end)?;
    if let Some(at) = read_rfc3339(first) {
        return Some((at, rest));
    }
    if matches!(first.len(), 10 | 13) && first.bytes().all(|b| b.is_ascii_digit()) {
        let number: i64 = first.parse().ok()?;
        return Some((UnixTime(if first.len() == 13 { number / 1000 } else { number }), rest));
    }
    // [22/Nov/2026:10:00:00 +0000]
    let open = line.find('[')? + 1;
    let (stamp, rest) = (line.get(open..open + 26)?, line.get(open + 26..)?);
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = MONTHS.find(stamp.get(3..6)?)? / 3 + 1;
    let zone = (stamp.get(21..24)?, stamp.get(24..26)?);
    let text = format!(
        "{}-{month:02}-{}T{}{}:{}",
        stamp.get(7..11)?,
        stamp.get(..2)?,
        stamp.get(12..20)?,
        zone.0,
        zone.1
    );
    Some((read_rfc3339(&text)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let noon = 1_795_348_800;
        for (line, expected) in [
            ("2026-11-22T12:00:00Z 120", Some((noon, Some(120.0)))),
            ("2026-11-22T13:00:00+01:00,7.5", Some((noon, Some(7.5)))),
            ("2026-11-22 12:00:00,123 accepted from x", Some((noon, None))),
            ("2026-11-22 12:00:00 44", Some((noon, Some(44.0)))),
            ("1795348800 3", Some((noon, Some(3.0)))),
            ("1795348800123;3", Some((noon, Some(3.0)))),
            ("10.0.0.1 - - [22/Nov/2026:12:00:00 +0000] \"GET / HTTP/1.1\" 200", Some((noon, None))),
            ("[2026-11-22T12:00:00Z] -5", Some((noon, None))),
            ("records 5", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(sample(line), expected, "{line}");
        }
    }

    fn check(lines: &[(i64, &str)], floor: u32, moved: Option<i64>) {
        let text: String = lines
            .iter()
            .map(|(minutes, rest)| format!("{} {rest}\n", 1_795_348_800 + minutes * 60))
            .collect();
        let flow = flow(text.as_bytes(), true, floor).unwrap();
        assert_eq!(flow.moved.map(|t| (t.0 - 1_795_348_800) / 60), moved, "{text}");
    }

    #[test]
    fn floors() {
        check(&[(0, "120"), (60, "125"), (120, "0"), (180, "3")], 10, Some(60));
        check(&[(0, "0"), (60, "0")], 10, None);
        // Every ten minutes a few: together enough.
        check(&[(0, "2"), (10, "2"), (20, "2"), (30, "2"), (40, "2"), (50, "0")], 10, Some(50));
        check(&[(0, "2"), (10, "2"), (20, "2"), (30, "0"), (80, "0")], 10, None);
        // Records, one a line.
        check(&[(0, "a b"), (1, "a"), (2, "x y")], 3, Some(2));
        check(&[(0, "a b"), (1, "a"), (2, "x y")], 4, None);
        // Totals: they stand still at 40.
        let totals: Vec<_> = (0..12).map(|n| (n * 60, ((n.min(6) * 20).to_string()))).collect();
        let totals: Vec<_> = totals.iter().map(|(at, n)| (*at, n.as_str())).collect();
        check(&totals, 10, Some(360));
        // Once a day: a day's worth, and a day is not a silence.
        check(&[(0, "500"), (1440, "500"), (2880, "500")], 10, Some(2880 + 1380));
        assert_eq!(flow(b"no date\n", true, 1), None);
    }

    #[test]
    fn the_end_of_a_long_file() {
        let text = b"2026-11-22T12:00:00Z 120\n2026-11-22T13:00:00Z 5\n";
        let flow = flow(text, false, 10).unwrap();
        assert_eq!((flow.moved, flow.first), (None, UnixTime(1_795_352_400)));
    }
}

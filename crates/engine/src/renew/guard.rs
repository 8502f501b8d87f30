//! May a renewal that seems due be begun by itself? Not if only a wrong clock says so, and not the whole fleet at once.
//!
//! A clock that is set two months ahead makes everything due: hundreds of orders, a CA's limits reached, and nothing won.
//! So whatever is due by its date has to be due by the CA's clock, too (the `Date` of its answers; RFC 9110 section 6.6.1),
//! and of what is left a tenth of the fleet is begun within an hour. Whoever asks for a renewal by hand is not asked why.
//!
//! It never makes a certificate late: one in the last tenth of its life is begun whatever a CA's clock shows (a renewal too
//! many is better than an outage, and which of two clocks is wrong is not known), and one that ends within half a day waits
//! for no turn. A clock that runs behind changes nothing here, and a CA that cannot be asked cannot be ordered from either. What is wanted for another reason than a date
//! (there is none yet, a name was added) is not looked at.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::joints::Cx;

use super::Issuers;

/// Clocks that differ by less than this, in seconds, say the same.
const SAME: i64 = 3_600;
/// So long a CA's clock is believed before it is asked again.
const FRESH: Duration = Duration::from_secs(300);
/// So many seconds later it is looked again whether a doubt is over.
const AGAIN: i64 = 600;
/// A turn is waited for within this, in seconds.
const TURN: i64 = 3_600;
/// Of so many certificates one is begun within [`TURN`], ...
const PART: usize = 10;
/// ... but so many in any case.
const LEAST: usize = 5;
/// One that ends within so many seconds waits for no turn.
const URGENT: i64 = 12 * 3_600;

/// What it remembers, for as long as the server runs.
#[derive(Default)]
pub struct Guard(Mutex<Memory>);

#[derive(Default)]
struct Memory {
    /// What the clocks of CAs showed against ours, and when they were asked.
    clocks: BTreeMap<String, (Duration, Option<i64>)>,
    /// When renewals were begun, the oldest first.
    begun: VecDeque<i64>,
    /// What is not begun, and why.
    held: BTreeMap<String, String>,
}

/// One that is due by its date.
pub struct Asks<'a> {
    /// Its name.
    pub name: &'a str,
    /// Since when it is due.
    pub due: UnixTime,
    /// Its beginning.
    pub begin: UnixTime,
    /// Its end.
    pub end: UnixTime,
    /// How many certificates are kept alive.
    pub fleet: usize,
}

impl Guard {
    /// May it be begun now? With a doubt that is passed over, because its end is near. `Err`: not before then; why is kept
    /// for [`Guard::held`].
    ///
    /// # Errors
    /// When to ask again.
    pub async fn admit(
        &self,
        asks: &Asks<'_>,
        issuers: &Issuers,
        cx: &Cx,
    ) -> Result<Option<String>, UnixTime> {
        let now = cx.clock.now();
        let mut clocks = Vec::new();
        for (name, issuer) in issuers {
            let mono = cx.clock.monotonic();
            let known = self.lock().clocks.get(name).copied();
            let ahead = match known.filter(|(at, _)| mono.saturating_sub(*at) < FRESH) {
                Some((_, ahead)) => ahead,
                None => {
                    let shown = issuer.time(cx).await.ok().flatten();
                    let ahead = shown.map(|shown| cx.clock.now().0.saturating_sub(shown.0));
                    self.lock().clocks.insert(name.clone(), (mono, ahead));
                    ahead
                }
            };
            clocks.extend(ahead.map(|ahead| (name.as_str(), ahead)));
        }
        let doubt = doubt(asks.due, now, &clocks);
        let verdict = match &doubt {
            Some(doubt) if !is_near(asks, now) => Err((doubt.why(), now.plus(AGAIN))),
            _ => Ok(()),
        };
        let verdict = verdict.and_then(|()| {
            let mut memory = self.lock();
            while memory.begun.front().is_some_and(|at| *at <= now.0 - TURN || *at > now.0) {
                memory.begun.pop_front();
            }
            // By whose clock it is over, is asked only where nobody said that ours is right.
            let sure = !clocks.is_empty() && doubt.is_none();
            turn(asks, now, sure, memory.begun.make_contiguous())?;
            memory.begun.push_back(now.0);
            Ok(())
        });
        let mut memory = self.lock();
        match verdict {
            Ok(()) => {
                memory.held.remove(asks.name);
                Ok(doubt.map(|doubt| doubt.in_spite()))
            }
            Err((why, at)) => {
                memory.held.insert(asks.name.to_owned(), why);
                Err(at)
            }
        }
    }

    /// It is not due any more, or was begun for another reason.
    pub fn forget(&self, name: &str) {
        self.lock().held.remove(name);
    }

    /// Why this one is not begun, if it waits.
    pub fn held(&self, name: &str) -> Option<String> {
        self.lock().held.get(name).cloned()
    }

    /// How many wait, and why one of them does.
    pub fn waiting(&self) -> Option<(usize, String)> {
        let memory = self.lock();
        memory.held.values().next().map(|why| (memory.held.len(), why.clone()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Is it due by our clock alone? One CA that agrees with us, or by whose clock it is due as well, is enough.
fn doubt(due: UnixTime, now: UnixTime, clocks: &[(&str, i64)]) -> Option<Doubt> {
    let agrees = |ahead: i64| ahead.saturating_abs() <= SAME || now.0.saturating_sub(ahead) >= due.0;
    let (name, ahead) = clocks.first()?;
    if clocks.iter().any(|(_, ahead)| agrees(*ahead)) {
        return None;
    }
    Some(Doubt { ahead: *ahead, of: (*name).to_owned() })
}

/// Our clock alone says so.
#[derive(Debug, PartialEq, Eq)]
struct Doubt {
    /// So many seconds it is ahead.
    ahead: i64,
    /// Of whose clock.
    of: String,
}

impl Doubt {
    fn ahead(&self) -> String {
        match self.ahead {
            ahead if ahead >= 2 * 86_400 => format!("{} days", ahead / 86_400),
            ahead => format!("{} hours", ahead / 3_600),
        }
    }

    fn why(&self) -> String {
        format!(
            "it is not begun, because it is due by the clock of this machine alone, which is {} ahead of the clock of {}; \
             set the clock right (timedatectl), or `notafter renew` begins it all the same",
            self.ahead(),
            self.of
        )
    }

    fn in_spite(&self) -> String {
        format!(
            "begun although the clock of this machine is {} ahead of the clock of {}: by it the end is near",
            self.ahead(),
            self.of
        )
    }
}

/// Is so little left, by our clock, that nobody may wait to learn which clock is right?
fn is_near(asks: &Asks<'_>, now: UnixTime) -> bool {
    let life = asks.end.0.saturating_sub(asks.begin.0).max(0);
    asks.end.0.saturating_sub(now.0) <= (life / 10).max(AGAIN)
}

/// Is it its turn? `sure`: a CA's clock says the same as ours. `begun`: when others were begun, the oldest first.
fn turn(asks: &Asks<'_>, now: UnixTime, sure: bool, begun: &[i64]) -> Result<(), (String, UnixTime)> {
    let most = asks.fleet.div_ceil(PART).max(LEAST);
    let urgent = (sure || now < asks.end) && asks.end.0.saturating_sub(now.0) < URGENT;
    if begun.len() < most || urgent {
        return Ok(());
    }
    let free = begun.get(begun.len() - most).map_or(now.plus(AGAIN), |at| UnixTime(at + TURN));
    Err((
        format!(
            "it is not begun before {free}, because many are due at once, and {most} of {} are begun within an hour; \
             `notafter renew` begins it now",
            asks.fleet
        ),
        free,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_795_262_400);
    const DAY: i64 = 86_400;

    fn asks(end: i64, fleet: usize) -> Asks<'static> {
        Asks { name: "a", due: NOW.plus(-DAY), begin: NOW.plus(end - 90 * DAY), end: NOW.plus(end), fleet }
    }

    #[test]
    fn due_by_two_clocks() {
        // Ours is sixty days ahead, and it was due yesterday by ours.
        let why = doubt(NOW.plus(-DAY), NOW, &[("ca", 60 * DAY)]).expect("a doubt").why();
        assert!(why.contains("60 days ahead of the clock of ca"), "{why}");
        // Due for seventy days: by the CA's clock, too.
        assert_eq!(doubt(NOW.plus(-70 * DAY), NOW, &[("ca", 60 * DAY)]), None);
        // One CA that agrees is enough; one that cannot be asked says nothing; ours may be behind.
        assert_eq!(doubt(NOW.plus(-DAY), NOW, &[("wrong", 60 * DAY), ("right", 2)]), None);
        assert_eq!(doubt(NOW.plus(-DAY), NOW, &[]), None);
        assert_eq!(doubt(NOW.plus(-DAY), NOW, &[("ca", -60 * DAY)]), None);
    }

    #[test]
    fn near_the_end_nobody_asks_which_clock_is_right() {
        assert!(!is_near(&asks(10 * DAY, 1), NOW));
        assert!(is_near(&asks(9 * DAY, 1), NOW) && is_near(&asks(-DAY, 1), NOW));
        let short = Asks { begin: NOW.plus(-60), end: NOW.plus(500), ..asks(0, 1) };
        assert!(is_near(&short, NOW), "it would be over before the clock is asked again");
    }

    #[test]
    fn a_tenth_of_the_fleet_within_an_hour() {
        let begun: Vec<i64> = (0..10).map(|n| NOW.0 - 600 + n).collect();
        assert!(turn(&asks(20 * DAY, 100), NOW, true, &begun[..9]).is_ok());
        let (why, at) = turn(&asks(20 * DAY, 100), NOW, true, &begun).expect_err("not its turn");
        assert!(why.contains("10 of 100"), "{why}");
        assert_eq!(at, NOW.plus(-600 + TURN));
        // The end is near: no turn is waited for. It is over: by whose clock?
        assert!(turn(&asks(DAY / 4, 100), NOW, false, &begun).is_ok());
        assert!(turn(&asks(-DAY, 100), NOW, false, &begun).is_err());
        assert!(turn(&asks(-DAY, 100), NOW, true, &begun).is_ok(), "it is over: nobody may wait");
        // A handful is no fleet.
        assert!(turn(&asks(20 * DAY, 5), NOW, true, &begun[..4]).is_ok());
    }
}

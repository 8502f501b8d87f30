//! The engine's two clocks: the wall clock against the one that counts while the machine sleeps, and what follows when they
//! disagree: messages are held, and what was concluded by a clock that ran ahead is taken back. Decision 0012 says why.

use std::collections::BTreeSet;
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::alert::Delivery;
use notafter_core::dossier::ClockView;
use notafter_store::rows::SourceRow;
use notafter_store::{Store, StoreError};

use super::{Engine, GRACE, PRUNE_EVERY};
use crate::status::PULSE;

/// A wall clock that moves so many seconds more or less than the one that counts was set by somebody.
const JUMP: i64 = 300;
/// After a jump, messages are held for so many seconds.
const JUMP_HOLD: i64 = 900;
/// However often the clock is set meanwhile, they are held no longer.
const JUMPS_HOLD: Duration = Duration::from_secs(3600);
/// A pass that comes so much later than the one before: the machine slept, or this process stood still.
const SLEPT: Duration = Duration::from_secs(9 * PULSE.as_secs());
/// A wait longer than any between two attempts to deliver, in seconds.
const WAIT_MOST: i64 = 7 * 3600;

/// Did a source succeed in the future? Then the clock ran ahead when this last ran, and was set back since.
pub(super) fn ran_ahead(store: &Store, now: UnixTime) -> Result<bool, StoreError> {
    let ahead = |row: &SourceRow| row.last_success.is_some_and(|at| at > now.plus(JUMP));
    Ok(store.sources()?.iter().any(ahead))
}

impl Engine {
    /// The wall clock against the one that also counts while the machine sleeps: a closed lid moves both.
    pub(super) fn watch_clock(&mut self, now: UnixTime) -> bool {
        let mut well = true;
        let boot = self.handle.clock.boottime();
        if let Some((then, boot_then)) = self.clocks {
            let gap = boot.saturating_sub(boot_then);
            let counted = gap.as_secs() as i64;
            if gap > SLEPT {
                self.woke(gap, now);
            }
            let jumped = (now.0 - then.0) - counted;
            if jumped.abs() > JUMP {
                // A clock that is set again and again must not silence us: only so long, and then we speak all the same.
                let held = self.jump.is_some_and(|j| then < j.held_until.plus(JUMP_HOLD));
                let since = *self.jumping.filter(|_| held).get_or_insert(boot);
                self.jumping = Some(since);
                let hold = if boot.saturating_sub(since) < JUMPS_HOLD { JUMP_HOLD } else { 0 };
                let held_until = now.plus(hold);
                self.jump = Some(ClockView { peers: &[], jumped, at: now, held_until });
                (self.log)(&format!(
                    "the clock was set by {jumped} seconds; messages are held until {held_until}"
                ));
                self.schedule.clock_set(now);
                (self.own_at, self.services_at, self.beat_at) = (now, now, now);
                self.prune_at = now.plus(PRUNE_EVERY);
                self.decide_at = held_until;
                self.grace = now.plus(GRACE);
                self.misled |= jumped < 0;
            }
        }
        if self.misled {
            match self.unlearn(now) {
                Ok(()) => self.misled = false,
                Err(error) => {
                    well = false;
                    self.handle.status.trouble(&error);
                }
            }
        }
        self.clocks = Some((now, boot));
        if self.jump.is_some_and(|j| now.0 > j.at.0 + 2 * 86_400 || now < j.at) {
            self.jump = None;
        }
        let jump = self.jump;
        self.handle.status.update(|s| s.clock = jump);
        well
    }

    /// What was concluded by a clock that ran ahead is no conclusion: every verdict is due, and no message waits for
    /// an hour that may be months away.
    fn unlearn(&self, now: UnixTime) -> Result<(), StoreError> {
        let store = &self.handle.store;
        store.all_due()?;
        for mut message in store.outgoing(None, 1000)? {
            let waits = matches!(message.delivery, Delivery::Pending | Delivery::Late);
            if waits && message.next > now.plus(WAIT_MOST) {
                message.next = now;
                message.created = message.created.min(now);
                store.delivered(&message, &[])?;
            }
        }
        Ok(())
    }

    pub(super) fn held(&self, now: UnixTime) -> bool {
        self.jump.is_some_and(|jump| now < jump.held_until)
    }

    /// What was seen before a sleep may be over: those who would have looked meanwhile look before anybody is told.
    pub(super) fn woke(&mut self, gap: Duration, now: UnixTime) {
        let due: BTreeSet<String> = self.schedule.due(now).into_iter().collect();
        if due.is_empty() || self.owes {
            return;
        }
        let (seconds, names) = (gap.as_secs(), Vec::from_iter(due.iter().map(String::as_str)).join(", "));
        let what = format!("nothing was done for {seconds} seconds, asleep or held up");
        (self.log)(&format!("{what}: {names} look before anybody is told anything"));
        self.awaited = (due, now.plus(JUMP_HOLD));
    }

    pub(super) fn awaits(&self, now: UnixTime) -> bool {
        !self.awaited.0.is_empty() && now < self.awaited.1
    }
}

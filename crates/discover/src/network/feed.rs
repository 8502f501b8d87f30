//! Feeds questions to the grabber: shuffled, as fast as allowed, second looks in between.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use notafter_core::clock::Clock;
use notafter_wire::tls::grab::{Feeder, Target};
use notafter_wire::tls::hello::Offer;

use super::Settings;
use super::plan::Plan;
use crate::limits::Turns;
use crate::permutation::Permutation;

/// How many targets are handed over at once.
const BATCH: usize = 64;
/// How long the feeder sleeps at most before it looks at the stop flag again.
const NAP: Duration = Duration::from_millis(50);

/// What the feeder and the drain share.
pub(super) struct Agenda {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Second looks, asked before anything new.
    extra: VecDeque<Target>,
    /// Fed and not yet answered, and second looks that wait.
    outstanding: u64,
    /// The walk through the plan is over.
    walked: bool,
    closed: bool,
    /// First looks that were fed and are not settled, with their step of the walk; kept for long walks only.
    underway: HashMap<u64, u64>,
    /// The next step of the walk.
    next: u64,
}

/// Where a walk begins: its order, and the first step that is still to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Walk {
    pub(super) seed: u64,
    pub(super) step: u64,
}

/// A walk of fewer questions begins anew rather than being taken up.
pub(super) const LONG: u64 = 4096;

impl Agenda {
    pub(super) fn new() -> Self {
        let state = State {
            extra: VecDeque::new(),
            outstanding: 0,
            walked: false,
            closed: false,
            underway: HashMap::new(),
            next: 0,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Asks for a second look.
    pub(super) fn again(&self, target: Target) {
        let mut state = self.lock();
        state.extra.push_back(target);
        state.outstanding += 1;
        self.changed.notify_all();
    }

    /// So many were answered. Gives whether all there is to ask was asked and answered.
    pub(super) fn answered(&self, n: u64) -> bool {
        let mut state = self.lock();
        state.outstanding -= n;
        state.walked && state.outstanding == 0
    }

    /// A first look has its final answer.
    pub(super) fn settled(&self, number: u64) {
        self.lock().underway.remove(&number);
    }

    /// Every step of the walk before this one is settled.
    pub(super) fn reached(&self) -> u64 {
        let state = self.lock();
        state.underway.values().copied().min().unwrap_or(state.next)
    }

    /// No more second looks will come: the feeder may end.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Was everything asked and answered?
    pub(super) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.walked && state.outstanding == 0
    }
}

/// A question's number in the tag; the bits above say which look it is.
pub(super) const NUMBER_BITS: u32 = 60;

/// Which look at an endpoint a tag is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Look {
    /// The first.
    First = 0,
    /// For the other kind of key.
    OtherKey = 1,
    /// Without a name: the default certificate.
    NoName = 2,
    /// With a name known from elsewhere.
    KnownName = 3,
}

pub(super) fn tag(look: Look, number: u64) -> u64 {
    (look as u64) << NUMBER_BITS | number
}

pub(super) fn untag(tag: u64) -> (Look, u64) {
    let look = match tag >> NUMBER_BITS {
        0 => Look::First,
        1 => Look::OtherKey,
        2 => Look::NoName,
        _ => Look::KnownName,
    };
    (look, tag & ((1 << NUMBER_BITS) - 1))
}

/// Walks the plan until everything is asked and the agenda is closed, or until stopped.
pub(super) fn feed(
    plan: &Plan,
    settings: &Settings,
    clock: &dyn Clock,
    agenda: &Agenda,
    feeder: &Feeder,
    start: Walk,
    stop: &AtomicBool,
) {
    let walk = Permutation::new(plan.len(), start.seed);
    let long = plan.len() >= LONG;
    let mut turns = Turns::new(settings.rate);
    let mut next = start.step;
    let mut walked = false;
    let mut batch = VecDeque::with_capacity(BATCH);
    while !stop.load(Ordering::Relaxed) {
        let now = clock.monotonic();
        while let Some(target) = take_extra(agenda) {
            batch.extend(turns.admit(target.addr.ip(), target, true, now));
        }
        let mut soonest = None;
        while batch.len() < BATCH {
            match turns.next(now) {
                Ok(target) => batch.push_back(target),
                Err(at) => {
                    soonest = at;
                    break;
                }
            }
        }
        let mut taken = 0;
        let mut steps = Vec::new();
        while next < plan.len() && batch.len() < BATCH && !turns.is_full() {
            let number = walk.at(next);
            next += 1;
            let Some(target) = first_look(plan, settings, number) else { continue };
            taken += 1;
            if long {
                steps.push((number, next - 1));
            }
            batch.extend(turns.admit(target.addr.ip(), target, false, now));
        }
        // Counted before anything goes out: whoever drains its last answer must know that it is the last.
        let mut state = agenda.lock();
        state.outstanding += taken;
        state.underway.extend(steps);
        state.next = next;
        if next >= plan.len() && !walked {
            walked = true;
            state.walked = true;
            if state.outstanding == 0 {
                // The last questions were all excluded, so no answer will come that could close the agenda.
                break;
            }
        }
        drop(state);
        if !batch.is_empty() {
            if feeder.send_all(std::mem::take(&mut batch)).is_err() {
                break;
            }
            continue;
        }
        let state = agenda.lock();
        if state.closed && turns.is_empty() && state.extra.is_empty() {
            break;
        }
        let to_walk = next < plan.len() && !turns.is_full();
        if !to_walk && state.extra.is_empty() {
            let nap = soonest.map_or(NAP, |at| at.saturating_sub(now)).min(NAP);
            drop(agenda.changed.wait_timeout(state, nap));
        }
    }
}

fn take_extra(agenda: &Agenda) -> Option<Target> {
    agenda.lock().extra.pop_front()
}

fn first_look(plan: &Plan, settings: &Settings, number: u64) -> Option<Target> {
    let question = plan.question(number);
    if settings.exclude.address(question.address.ip(), question.address.port()) {
        return None;
    }
    Some(Target {
        tag: tag(Look::First, number),
        addr: question.address,
        sni: question.sni.cloned(),
        starttls: question.block.starttls,
        offer: Offer::Any,
        want_client_cas: question.block.named.is_some(),
    })
}

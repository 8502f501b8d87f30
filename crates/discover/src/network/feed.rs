//! Feeds questions to the grabber: shuffled, as fast as allowed, second looks in between.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use notafter_core::clock::Clock;
use notafter_wire::tls::grab::{Feeder, Target};
use notafter_wire::tls::hello::Offer;

use super::Settings;
use super::plan::Plan;
use crate::limits::Limits;
use crate::permutation::Permutation;

/// How many targets may wait for their turn before the walk through the plan pauses.
const WAITING_MAX: usize = 65_536;
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
}

impl Agenda {
    pub(super) fn new() -> Self {
        let state = State { extra: VecDeque::new(), outstanding: 0, walked: false, closed: false };
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
    stop: &AtomicBool,
) {
    let seed = clock.now().0 as u64 ^ clock.monotonic().as_nanos() as u64;
    let walk = Permutation::new(plan.len(), seed);
    let mut limits = Limits::new(settings.rate);
    // Targets whose turn has not come, by the instant at which it does.
    let mut waiting: BinaryHeap<Reverse<(Duration, u64)>> = BinaryHeap::new();
    let mut parked: std::collections::HashMap<u64, Target> = std::collections::HashMap::new();
    let mut next = 0;
    let mut walked = false;
    let mut parked_number = 0u64;
    let mut batch = VecDeque::with_capacity(BATCH);
    while !stop.load(Ordering::Relaxed) {
        let now = clock.monotonic();
        let mut moved = false;
        let mut park = |target: Target, at: Duration, waiting: &mut BinaryHeap<_>| {
            parked_number += 1;
            waiting.push(Reverse((at, parked_number)));
            parked.insert(parked_number, target);
        };
        if let Some(target) = take_extra(agenda) {
            moved = true;
            match limits.ask(target.addr.ip(), now) {
                None => batch.push_back(target),
                Some(at) => park(target, at, &mut waiting),
            }
        }
        while next < plan.len() && batch.len() < BATCH && waiting.len() < WAITING_MAX {
            let number = walk.at(next);
            next += 1;
            moved = true;
            let Some(target) = first_look(plan, settings, number) else { continue };
            agenda.lock().outstanding += 1;
            match limits.ask(target.addr.ip(), now) {
                None => batch.push_back(target),
                Some(at) => park(target, at, &mut waiting),
            }
        }
        let mut soonest = None;
        while let Some(Reverse((at, number))) = waiting.peek().copied() {
            if at > now {
                soonest = Some(at - now);
                break;
            }
            waiting.pop();
            let Some(target) = parked.remove(&number) else { continue };
            match limits.ask(target.addr.ip(), now) {
                None => {
                    moved = true;
                    batch.push_back(target);
                }
                Some(later) => {
                    waiting.push(Reverse((later, number)));
                    parked.insert(number, target);
                }
            }
        }
        if next >= plan.len() && !walked {
            walked = true;
            // Said before the last batch goes out: whoever drains its last answer must know that it is.
            let mut state = agenda.lock();
            state.walked = true;
            if state.outstanding == 0 {
                // The last questions were all excluded, so no answer will come that could close the agenda.
                break;
            }
        }
        if !batch.is_empty() && feeder.send_all(std::mem::take(&mut batch)).is_err() {
            break;
        }
        let state = agenda.lock();
        if state.closed && waiting.is_empty() && state.extra.is_empty() {
            break;
        }
        if !moved && state.extra.is_empty() {
            let nap = soonest.unwrap_or(NAP).min(NAP);
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

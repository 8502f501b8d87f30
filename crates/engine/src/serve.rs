//! The server's engine: looks on schedule, judges what is due, tells people, and never stops saying how it is.
//!
//! ```text
//! pass:  clock → start what is due → judge what is due → decide and tell → deliver → services → sleep
//! ```
//!
//! One thread makes pass after pass; sources run beside it on the runtime and write through their
//! [`Recorder`]. Whatever fails is said in [`Status`] and tried again; one source failing harms no other.
//! It opens no socket, and it prints nothing: it only tells its log.

mod clocks;
mod end;
mod renewals;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::alert::Outgoing;
use notafter_core::clock::Clock;
use notafter_core::dossier::{ClockView, OwnerView, SourceView};
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::{Cx, Resume, Sink};
use notafter_core::subject::SubjectKey;
use notafter_store::observations::Outcome;
use notafter_store::prune::Keep;
use notafter_store::{Store, StoreError};

use crate::digest;
use crate::judge::{Channels, Own, channel_views, judge_crowds, judge_due, judge_own};
use crate::look::{Defect, alone, look, panic_text};
use crate::notify::{self, Desk, Log};
use crate::record::Recorder;
use crate::renew::pass::{OWN, PROVED};
use crate::schedule::{NextUp, Schedule};
use crate::service;
use crate::setup::{Planned, Setup};
use crate::status::{PULSE, Status};

/// After a start or a jump a source has so many seconds before it counts as stale.
const GRACE: i64 = 900;
/// What servers said of the time counts so long, in seconds: two rounds of a network source.
const TIMES_HOLD: i64 = 7200;
/// What ends together is counted so often, in seconds.
const CROWDS_EVERY: i64 = 900;
/// So many parts are judged in one pass, so that nothing else waits for long.
const PARTS: usize = 20;
/// A source that knew so many places, asks so many and reaches none is blind; one host may simply be down.
const BLIND_FROM: u64 = 3;
/// So many deliveries are under way at once.
const DELIVERIES: usize = 8;
/// So long a step waits for a memory that somebody else holds; then the others have their turn.
const PATIENCE: Duration = Duration::from_secs(15);
/// Alerts are decided anew at least so often, in seconds.
const DECIDE_EVERY: i64 = 300;
/// What telling took, it waits so many times over before the next time, unless somebody acted.
const TELL_SHARE: u32 = 10;
/// And no longer than so many seconds: a memory that said nothing for a while makes nobody wait for their warning.
const TELL_REST: i64 = 30;
/// What is old is looked for so often, in seconds, once nothing old is left.
const PRUNE_EVERY: i64 = 6 * 3600;
/// Services are looked at so often, in seconds.
const SERVICES_EVERY: i64 = 60;

/// What the rest of the program holds of the engine.
pub struct Handle {
    /// The memory.
    pub store: Arc<Store>,
    /// How the server is.
    pub status: Arc<Status>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    setup: RwLock<Arc<Setup>>,
    events: Sender<Event>,
}

impl Handle {
    /// What the engine works by now.
    pub fn setup(&self) -> Arc<Setup> {
        Arc::clone(&self.setup.read().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// Something was changed by hand: the engine looks at once.
    pub fn wake(&self) {
        let _ = self.events.send(Event::Wake);
    }

    /// Runs a source now, out of turn.
    pub fn scan_now(&self, source: &str) {
        let _ = self.events.send(Event::Scan(source.to_owned()));
    }

    /// Works by another configuration from now on.
    pub fn reload(&self, setup: Setup) {
        let _ = self.events.send(Event::Reload(Box::new(setup)));
    }

    /// Ends the engine: running sources are stopped, what they saw is kept.
    pub fn stop(&self) {
        let _ = self.events.send(Event::Stop);
    }
}

enum Event {
    Wake,
    Scan(String),
    Reload(Box<Setup>),
    Ended(String),
    Delivered(Box<Outgoing>, Result<(), Fault>),
    Beaten(Result<(), Fault>),
    Renewed(UnixTime, Option<String>),
    Stop,
}

/// One part of a pass: does what is due, says when more is.
type Step = fn(&mut Engine, UnixTime) -> Result<Option<UnixTime>, StoreError>;

struct Running {
    task: tokio::task::JoinHandle<()>,
    recorder: Arc<Recorder>,
}

/// The engine.
pub struct Engine {
    handle: Arc<Handle>,
    inbox: Receiver<Event>,
    runtime: tokio::runtime::Handle,
    vantage: Arc<str>,
    desk: Desk,
    /// Goes into every message: see [`notify::instance`].
    instance: String,
    log: Log,
    schedule: Schedule,
    /// A new configuration that the memory has not taken yet.
    coming: Option<Arc<Setup>>,
    running: BTreeMap<String, Running>,
    delivering: HashSet<String>,
    /// Sent, or not, and not yet noted: the memory must take these before anything else is sent.
    noting: VecDeque<(Outgoing, Result<(), Fault>)>,
    /// What was last said of the memory.
    troubled: Option<String>,
    /// When the engine began or the clock was set: nobody is late because of that.
    grace: UnixTime,
    beating: bool,
    renewals: renewals::Renewals,
    clocks: Option<(UnixTime, Duration)>,
    jump: Option<ClockView<'static>>,
    /// When, since the machine was started, the jumps began that have held the messages since.
    jumping: Option<Duration>,
    /// A clock that ran ahead was set back, and what it led to still stands.
    misled: bool,
    /// After a sleep: the sources that look before anybody is told anything, and until when they may.
    awaited: (BTreeSet<String>, UnixTime),
    /// It was waited for, and nobody was told since: another sleep puts nothing off.
    owes: bool,
    /// The last deed that was taken note of: people act by other processes, too.
    deed: i64,
    decide_at: UnixTime,
    /// Not before this, even if something changed.
    told_from: UnixTime,
    own_at: UnixTime,
    crowds_at: UnixTime,
    services_at: UnixTime,
    prune_at: UnixTime,
    beat_at: UnixTime,
}

impl Engine {
    /// An engine that has done nothing yet.
    ///
    /// # Errors
    /// The store's.
    pub fn new(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        setup: Setup,
        vantage: Arc<str>,
        runtime: tokio::runtime::Handle,
        log: Log,
    ) -> Result<(Self, Arc<Handle>), StoreError> {
        let (events, inbox) = channel();
        let now = clock.now();
        let mut desk = Desk::open(&store, Arc::clone(&log))?;
        desk.again(&store, &setup, None, now)?;
        let instance = notify::instance(&store)?;
        let status = Arc::new(Status::default());
        status.update(|s| {
            s.started = Some(now);
            s.last_pass = clock.monotonic();
        });
        store.set_patience(PATIENCE);
        let schedule = Schedule::open(&store, &setup, now)?;
        judged_by(&store, &setup)?;
        let misled = clocks::ran_ahead(&store, now)?;
        let handle = Arc::new(Handle { store, status, clock, setup: RwLock::new(Arc::new(setup)), events });
        let engine = Self {
            handle: Arc::clone(&handle),
            inbox,
            runtime,
            vantage,
            desk,
            instance,
            log,
            schedule,
            coming: None,
            running: BTreeMap::new(),
            delivering: HashSet::new(),
            noting: VecDeque::new(),
            troubled: None,
            grace: now.plus(GRACE),
            beating: false,
            renewals: renewals::Renewals::default(),
            clocks: None,
            jump: None,
            jumping: None,
            misled,
            awaited: (BTreeSet::new(), now),
            owes: false,
            deed: 0,
            decide_at: now,
            told_from: now,
            own_at: now,
            crowds_at: now.plus(60),
            // What was not looked at yet is not a day that was bad.
            services_at: now.plus(SERVICES_EVERY),
            // Not at once: a clock that is wrong at the start is noticed by then, and history is not lost to it.
            prune_at: now.plus(PRUNE_EVERY),
            beat_at: now,
        };
        Ok((engine, handle))
    }

    /// Makes pass after pass until it is told to stop.
    pub fn run(mut self) {
        loop {
            let next = self.pass();
            let wait = self.wait_for(next);
            match self.inbox.recv_timeout(wait) {
                Ok(event) => {
                    if !self.take(event) || !self.take_all() {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.drain();
    }

    fn wait_for(&self, next: Option<UnixTime>) -> Duration {
        let now = self.handle.clock.now();
        let most = if self.running.is_empty() { PULSE } else { Duration::from_secs(1) };
        let until = next.map_or(most, |t| Duration::from_secs(t.0.saturating_sub(now.0).max(0) as u64));
        until.clamp(Duration::from_millis(200), most)
    }

    /// Takes everything that has come in. `false`: it is time to stop.
    fn take_all(&mut self) -> bool {
        while let Ok(event) = self.inbox.try_recv() {
            if !self.take(event) {
                return false;
            }
        }
        true
    }

    fn take(&mut self, event: Event) -> bool {
        let now = self.handle.clock.now();
        match event {
            Event::Wake => {
                self.decide_at = now;
                self.renewals.at_once();
            }
            Event::Renewed(next, said) => {
                if let Some(said) = self.renewals.looked(next, said) {
                    (self.log)(&said);
                }
                if self.handle.setup().keeping.as_ref().is_some_and(|keeping| keeping.was_proved()) {
                    self.schedule.now(PROVED, now);
                }
            }
            Event::Scan(source) => self.schedule.now(&source, now),
            Event::Reload(setup) => {
                self.coming = Some(Arc::from(setup));
                self.take_up(now);
            }
            Event::Ended(name) => {
                self.running.remove(&name);
                self.awaited.0.remove(&name);
                // How renewals go depends on what their places show.
                if name == PROVED {
                    self.schedule.now(OWN, now);
                }
                self.handle.status.update(|s| drop(s.running.remove(&name)));
                (self.decide_at, self.own_at) = (now, now);
            }
            Event::Delivered(message, result) => {
                self.noting.push_back((*message, result));
                if let Err(error) = self.note_delivered(now) {
                    self.handle.status.trouble(&error);
                }
                self.own_at = now;
            }
            Event::Beaten(result) => {
                self.beating = false;
                self.handle.status.update(|s| match result {
                    Ok(()) => (s.last_beat, s.beat_fault) = (Some(now), None),
                    Err(fault) => s.beat_fault = Some(fault.to_string()),
                });
            }
            Event::Stop => return false,
        }
        true
    }

    /// Works by the configuration that has come, as soon as the memory can be told of it. `false`: it waits.
    fn take_up(&mut self, now: UnixTime) -> bool {
        let Some(setup) = self.coming.clone() else { return true };
        let done = judged_by(&self.handle.store, &setup)
            .and_then(|()| Schedule::open(&self.handle.store, &setup, now));
        match done {
            Ok(schedule) => {
                (self.schedule, self.coming) = (schedule, None);
                *self.handle.setup.write().unwrap_or_else(|p| p.into_inner()) = Arc::clone(&setup);
                // What was refused may have been refused because of what was changed now.
                if let Err(error) = self.desk.again(&self.handle.store, &setup, None, now) {
                    self.handle.status.trouble(&error);
                }
                (self.decide_at, self.own_at, self.crowds_at) = (now, now, now);
                true
            }
            Err(error) => {
                self.handle.status.trouble(&error);
                false
            }
        }
    }

    /// Does everything that is due now. Returns when the next thing is.
    pub fn pass(&mut self) -> Option<UnixTime> {
        let now = self.handle.clock.now();
        let mut well = self.watch_clock(now) & self.take_up(now);
        for running in self.running.values() {
            running.recorder.tick();
        }
        let mut next = NextUp(None);
        next.add(self.start_due(now));
        well &= self.probe_memory(now);
        let steps: [Step; 9] = [
            Self::judge,
            Self::judge_own,
            Self::judge_crowds,
            Self::tell,
            Self::deliver,
            Self::renew,
            Self::services,
            Self::digest,
            Self::prune,
        ];
        for step in steps {
            // One defect must not stop the others, nor the warnings of tomorrow.
            match catch_unwind(AssertUnwindSafe(|| step(self, now))) {
                Ok(Ok(at)) => next.add(at),
                Ok(Err(error)) => {
                    // The memory is in trouble: said, and tried again on the next pass.
                    well = false;
                    self.handle.status.trouble(&error);
                    next.add(Some(now.plus(5)));
                }
                Err(panic) => {
                    well = false;
                    self.handle.status.defect(&panic_text(&*panic));
                    next.add(Some(now.plus(60)));
                }
            }
            // A memory that is slow to answer is no dead engine.
            let mono = self.handle.clock.monotonic();
            self.handle.status.update(|s| s.last_pass = mono);
        }
        // Trouble of a batch that still waits is not over because others could read.
        let waiting = self.running.values().any(|r| r.recorder.waits()) || !self.noting.is_empty();
        if well && !waiting && self.handle.store.trouble().is_none() {
            self.handle.status.update(|s| s.trouble = None);
        }
        self.say_trouble();
        next.add(self.beat(now));
        next.0
    }

    /// Notes what came of deliveries. What the memory does not take is kept and tried again: its message is out,
    /// and must not be sent a second time because of that.
    fn note_delivered(&mut self, now: UnixTime) -> Result<(), StoreError> {
        let setup = self.handle.setup();
        while let Some((message, result)) = self.noting.front() {
            self.desk.delivered(&self.handle.store, &setup, message.clone(), result.clone(), now)?;
            if let Some((message, _)) = self.noting.pop_front() {
                self.delivering.remove(&message.id);
            }
        }
        Ok(())
    }

    /// A memory that could not be written is well again when it was written, not when nothing was asked of it.
    fn probe_memory(&self, now: UnixTime) -> bool {
        if self.handle.store.trouble().is_none() {
            return true;
        }
        match self.handle.store.keep("probed", now.to_string().as_bytes(), None) {
            Ok(_) => true,
            Err(error) => {
                self.handle.status.trouble(&error);
                false
            }
        }
    }

    /// The log hears of trouble when it begins, changes and ends; health checks read it all the time.
    fn say_trouble(&mut self) {
        let trouble = self.handle.status.read().trouble;
        if trouble == self.troubled {
            return;
        }
        match &trouble {
            Some(what) => (self.log)(&format!("trouble: {what}")),
            None => (self.log)("trouble: over"),
        }
        self.troubled = trouble;
    }

    fn start_due(&mut self, now: UnixTime) -> Option<UnixTime> {
        let setup = self.handle.setup();
        for name in self.schedule.due(now) {
            let planned = setup.sources.iter().find(|p| p.name == name);
            if let (Some(planned), false) = (planned, self.running.contains_key(&name)) {
                match self.start(planned, now) {
                    Ok(()) => {}
                    Err(error) => {
                        self.handle.status.trouble(&error);
                        return Some(now.plus(5));
                    }
                }
            }
        }
        self.schedule.next()
    }

    fn start(&mut self, planned: &Planned, now: UnixTime) -> Result<(), StoreError> {
        let store = Arc::clone(&self.handle.store);
        let run = store.begin(&planned.name, &self.vantage, now)?;
        let next = self.schedule.started(&store, planned, now)?;
        let fresh = self.schedule.fresh_targets(&store, planned)?;
        let knew = store.sources()?.iter().find(|r| r.name == planned.name).map_or(0, |r| r.placements);
        let clock = Arc::clone(&self.handle.clock);
        let status = Arc::clone(&self.handle.status);
        let recorder =
            Arc::new(Recorder::new(Arc::clone(&store), Arc::clone(&status), Arc::clone(&clock), run));
        let mut cx = Cx::new(clock, Arc::clone(&self.vantage));
        cx.resume = Arc::clone(&recorder) as Arc<dyn Resume>;
        status.update(|s| drop(s.running.insert(planned.name.clone(), (Arc::clone(&cx.progress), now))));
        let (events, planned_) = (self.handle.events.clone(), planned.clone());
        let sink = Arc::clone(&recorder);
        let task = self.runtime.spawn(async move {
            let progress = Arc::clone(&cx.progress);
            let out = Arc::clone(&sink) as Arc<dyn Sink>;
            let looked = alone(look(planned_.clone(), fresh, cx, out)).await;
            let mut fault = looked.unwrap_or_else(|defect| Some(defect.in_words("this source")));
            let scan = progress.scan();
            if fault.is_none() && scan.attempted >= BLIND_FROM && scan.reached == 0 && knew >= BLIND_FROM {
                fault = Some(format!(
                    "none of {} targets answered, {knew} places were known: more likely it is this machine that \
                     cannot see",
                    scan.attempted
                ));
            }
            let outcome = Outcome { scan, complete: fault.is_none(), fault, next: Some(next) };
            let ended = tokio::task::spawn_blocking(move || {
                if let Err(error) = sink.finish(&outcome) {
                    status.trouble(&error);
                } else if outcome.complete {
                    let _ = Schedule::looked_at(&store, &planned_);
                }
                planned_.name
            })
            .await;
            if let Ok(name) = ended {
                let _ = events.send(Event::Ended(name));
            }
        });
        self.running.insert(planned.name.clone(), Running { task, recorder });
        Ok(())
    }

    fn judge(&mut self, now: UnixTime) -> Result<Option<UnixTime>, StoreError> {
        let setup = self.handle.setup();
        let judgment = setup.judgment(now);
        for _ in 0..PARTS {
            let log = Arc::clone(&self.log);
            let mut refused = |subject: &SubjectKey, error: &StoreError| {
                log(&format!("the verdict about {subject} was refused and waits: {error}"));
            };
            match judge_due(&self.handle.store, &judgment, &mut refused)? {
                Some(changes) => {
                    if !(changes.opened.is_empty()
                        && changes.changed.is_empty()
                        && changes.resolved.is_empty())
                    {
                        self.decide_at = self.decide_at.min(now);
                    }
                }
                None => {
                    let quiet = self.running.is_empty();
                    self.handle.status.update(|s| s.settled |= quiet);
                    return self.handle.store.next_due();
                }
            }
        }
        Ok(Some(now))
    }

    fn judge_own(&mut self, now: UnixTime) -> Result<Option<UnixTime>, StoreError> {
        if now < self.own_at {
            return Ok(Some(self.own_at));
        }
        let setup = self.handle.setup();
        let rows = self.handle.store.sources()?;
        self.desk.look(&self.handle.store)?;
        let channels: Vec<(String, Channels)> =
            setup.people.keys().map(|name| (name.clone(), self.desk.channels_of(name, &setup))).collect();
        let views: Vec<_> = channels.iter().map(|(name, c)| (name, channel_views(c))).collect();
        let mut own: Vec<Own<'_>> = Vec::new();
        for planned in &setup.sources {
            let row = rows.iter().find(|r| r.name == planned.name);
            let view = SourceView {
                name: &planned.name,
                every: planned.every,
                last_success: row.and_then(|r| r.last_success),
                since: self.schedule.since(&planned.name).unwrap_or(now),
                grace: self.grace,
                fault: row.and_then(|r| r.fault.as_deref()),
                places: row.map_or(0, |r| r.placements),
            };
            own.push(Own::Source(view, planned.owner.as_deref()));
        }
        // One that is configured no more owes nothing.
        for row in rows.iter().filter(|row| !setup.sources.iter().any(|p| p.name == row.name)) {
            let view = SourceView {
                name: &row.name,
                every: 0,
                last_success: Some(now),
                since: now,
                grace: now.plus(GRACE),
                fault: None,
                places: row.placements,
            };
            own.push(Own::Source(view, None));
        }
        for (name, channels) in &views {
            own.push(Own::Owner(OwnerView { name, last_resort: **name == setup.last_resort, channels }));
        }
        let times = self.handle.status.read().times;
        let fresh = times.as_ref().filter(|(at, _)| (now.0 - at.0).abs() <= TIMES_HOLD);
        let peers = fresh.map(|(_, times)| times.as_slice()).unwrap_or_default();
        let jump = self.jump.unwrap_or(ClockView { peers, jumped: 0, at: now, held_until: now });
        own.push(Own::Clock(ClockView { peers, ..jump }));
        let changes = judge_own(&self.handle.store, &own, &setup.policy, &setup.last_resort, now)?;
        if !(changes.opened.is_empty() && changes.resolved.is_empty()) {
            self.decide_at = self.decide_at.min(now);
        }
        self.own_at = now.plus(60);
        Ok(Some(self.own_at))
    }

    fn judge_crowds(&mut self, now: UnixTime) -> Result<Option<UnixTime>, StoreError> {
        // A clock that was set back may have left the next time far ahead.
        if now < self.crowds_at && self.crowds_at.0 - now.0 <= CROWDS_EVERY {
            return Ok(Some(self.crowds_at));
        }
        let setup = self.handle.setup();
        let changes = judge_crowds(&self.handle.store, &setup.policy, &setup.last_resort, now)?;
        if !(changes.opened.is_empty() && changes.resolved.is_empty()) {
            self.decide_at = self.decide_at.min(now);
        }
        self.crowds_at = now.plus(CROWDS_EVERY);
        Ok(Some(self.crowds_at))
    }

    fn tell(&mut self, now: UnixTime) -> Result<Option<UnixTime>, StoreError> {
        if self.held(now) {
            return Ok(self.jump.map(|j| j.held_until));
        }
        if self.awaits(now) {
            self.owes = true;
            return Ok(Some(self.awaited.1));
        }
        self.owes = false;
        let deed = self.handle.store.last_deed()?;
        let due = self.decide_at.max(self.told_from);
        // A clock that was set back may have left it far ahead.
        if now < due && due.0 - now.0 <= DECIDE_EVERY && deed == self.deed {
            return Ok(Some(due));
        }
        self.deed = deed;
        let setup = self.handle.setup();
        let begun = self.handle.clock.monotonic();
        let next = self.desk.tell(&self.handle.store, &setup, now)?;
        let took = self.handle.clock.monotonic().saturating_sub(begun);
        let later = now.plus(DECIDE_EVERY);
        // Over a million findings it takes seconds: whatever comes in meanwhile, judging must get on.
        self.told_from = now.plus(TELL_REST.min((took * TELL_SHARE).as_secs() as i64));
        let soon = now.plus(1);
        self.decide_at = next.map_or(later, |next| next.clamp(soon, later));
        Ok(Some(self.decide_at))
    }

    fn deliver(&mut self, now: UnixTime) -> Result<Option<UnixTime>, StoreError> {
        if self.held(now) {
            return Ok(None);
        }
        self.note_delivered(now)?;
        let setup = self.handle.setup();
        let room = DELIVERIES.saturating_sub(self.delivering.len());
        let due = self.handle.store.outgoing_due(now, DELIVERIES + self.delivering.len())?;
        let due: Vec<_> = due.into_iter().filter(|m| !self.delivering.contains(&m.id)).take(room).collect();
        for mut message in due {
            message.notice.instance.clone_from(&self.instance);
            self.delivering.insert(message.id.clone());
            let events = self.handle.events.clone();
            let channel = setup.channels.get(&message.notifier).cloned();
            let cx = Cx::new(Arc::clone(&self.handle.clock), Arc::clone(&self.vantage));
            self.runtime.spawn(async move {
                let (to, notice) = (message.to.clone(), message.notice.clone());
                let result = match channel {
                    Some(channel) => {
                        let telling =
                            async move { channel.notifier.notify(&cx, to.as_deref(), &notice).await };
                        guarded(telling).await
                    }
                    None => Err(Fault::new(
                        FaultKind::Invalid,
                        format!("no notifier is called {} any more", message.notifier),
                    )),
                };
                let _ = events.send(Event::Delivered(Box::new(message), result));
            });
        }
        let waiting = self.delivering.len() as u64;
        self.handle.status.update(|s| s.outgoing = waiting);
        self.handle.store.next_outgoing()
    }

    fn services(&mut self, now: UnixTime) -> Result<Option<UnixTime>, StoreError> {
        let setup = self.handle.setup();
        if setup.services.is_empty() || now < self.services_at {
            return Ok((!setup.services.is_empty()).then_some(self.services_at));
        }
        for state in service::states(&self.handle.store, &setup, now)? {
            let mut seconds = [0; 3];
            seconds[match state.health {
                service::Health::Good => 0,
                service::Health::Bad => 1,
                service::Health::Unknown => 2,
            }] = SERVICES_EVERY as u32;
            self.handle.store.add_service_day(&state.name, now.0.div_euclid(86_400), seconds)?;
        }
        self.services_at = now.plus(SERVICES_EVERY);
        Ok(Some(self.services_at))
    }

    fn digest(&mut self, now: UnixTime) -> Result<Option<UnixTime>, StoreError> {
        let setup = self.handle.setup();
        if self.held(now) || self.awaits(now) {
            return Ok(None);
        }
        digest::write_due(&self.handle.store, &setup, &self.desk, now)
    }

    /// What is old and over is forgotten, a little at a time.
    fn prune(&mut self, now: UnixTime) -> Result<Option<UnixTime>, StoreError> {
        if now < self.prune_at || self.held(now) {
            return Ok(None);
        }
        let removed = self.handle.store.prune(now, &Keep::default())?;
        self.prune_at = now.plus(if removed > 0 { 60 } else { PRUNE_EVERY });
        Ok(Some(self.prune_at))
    }

    /// The dead man's switch is only fed while the engine is well: the memory works and the passes go on.
    fn beat(&mut self, now: UnixTime) -> Option<UnixTime> {
        let setup = self.handle.setup();
        let (pulse, every) = setup.pulse.clone()?;
        if now < self.beat_at || self.beating {
            return Some(self.beat_at.max(now.plus(1)));
        }
        self.beat_at = now.plus(every);
        if self.handle.status.read().trouble.is_some() {
            return Some(self.beat_at);
        }
        self.beating = true;
        let cx = Cx::new(Arc::clone(&self.handle.clock), Arc::clone(&self.vantage));
        let events = self.handle.events.clone();
        self.runtime.spawn(async move {
            let beaten = guarded(async move { pulse.beat(&cx).await }).await;
            let _ = events.send(Event::Beaten(beaten));
        });
        Some(self.beat_at)
    }
}

/// What a channel says; a defect in it is that channel's trouble and is answered like any other.
async fn guarded(work: impl Future<Output = Result<(), Fault>> + Send + 'static) -> Result<(), Fault> {
    let wrong = |said: Defect| Fault::new(FaultKind::Invalid, said.in_words("this channel"));
    alone(work).await.unwrap_or_else(|defect| Err(wrong(defect)))
}

/// Tells the memory what it needs to know of the configuration. When rules, owners or roots are others than
/// those that the verdicts were given by, everything is due.
fn judged_by(store: &Store, setup: &Setup) -> Result<(), StoreError> {
    const NAME: &str = "judged-by";
    let services = setup.services.iter().map(|s| (s.name.clone(), s.places.clone()));
    store.set_services(services.collect());
    store.set_names(setup.owner_names(), setup.sources.iter().map(|s| s.name.clone()).collect());
    let sources: Vec<&str> = setup.sources.iter().map(|s| s.name.as_str()).collect();
    store.set_sources(&sources)?;
    let key = setup.judgment_key.as_bytes();
    if store.kept(NAME)?.is_none_or(|kept| kept.value != key) {
        store.all_due()?;
        store.keep(NAME, key, None)?;
    }
    Ok(())
}

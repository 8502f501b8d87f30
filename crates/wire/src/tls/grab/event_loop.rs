//! One loop: a slab of connections, an epoll instance, a timer wheel and one receive buffer.
//!
//! Everything here runs on the loop's own thread and never blocks but in epoll, or for a moment before it. A connection in flight costs
//! one `Slot` and one link of the wheel; buffers exist only while an answer is half read.

use crate::Monotonic;
use crate::starttls::{Dialogue, Protocol, Step, tds};
use crate::tls::flight::{FlightReader, Progress};
use crate::tls::grab::plan::{self, Attempt};
use crate::tls::grab::queue::{Queue, Waker};
use crate::tls::grab::wheel::Wheel;
use crate::tls::grab::{Grab, Settings, Starttls, Target};
use crate::tls::hello::{ClientHello, Offer, Spread};
use crate::tls::outcome::{Outcome, Stage};
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, ipproto, recv, send, socket_with,
    sockopt,
};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A tick of the wheel is 2^14 microseconds.
const TICK_BITS: u32 = 14;
const TICK: Duration = Duration::from_micros(1 << TICK_BITS);
/// Results are handed over when there are this many, or when a tick has passed.
const BATCH: usize = 128;
/// New connections opened between two looks at the old ones.
const OPEN_BURST: usize = 64;
/// Readers kept for the next half-read answers.
const POOLED: usize = 64;
/// How long to go without a single descriptor before giving a target up.
const STARVED: Duration = Duration::from_secs(30);
/// Tries to find a free local port; the pauses between them double from 20 ms.
const PORT_TRIES: u8 = 8;
/// With so many conversations open, and so few of them answering at a time, answers are gathered for a
/// moment: woken for each alone, half of the work would be waking up. Nobody waits longer than this for it.
const GATHER_FROM: usize = 16;
const GATHER_BELOW: usize = 16;
const GATHER: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
const WAKER: u64 = u64::MAX;

/// What all loops of one `Grabber` share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) clock: Arc<dyn Monotonic>,
    pub(super) targets: Queue<Target>,
    pub(super) results: Queue<Vec<Grab>>,
    pub(super) stop: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Free,
    /// Waiting to be opened again, because a local port or descriptor was missing.
    Paused,
    Connecting,
    Greeting,
    Handshake,
}

/// One connection in flight: the part that exists even when the server is silent.
struct Slot {
    target: Target,
    /// The microsecond of the first connect.
    started: u64,
    /// The hello's seed.
    seed: u64,
    work: Option<Box<Work>>,
    /// The outcome of an earlier attempt and its protocol.
    earlier: Option<Box<plan::Ended>>,
    fd: Option<OwnedFd>,
    /// Distinguishes this use of the slot from earlier ones, in events that come late.
    generation: u32,
    attempt: Attempt,
    attempts: u8,
    port_tries: u8,
    phase: Phase,
}

/// What a conversation needs beyond that: an answer half read, a dialogue, bytes not yet sent.
#[derive(Default)]
struct Work {
    reader: FlightReader,
    dialogue: Option<Dialogue>,
    unwrapper: Option<tds::Unwrapper>,
    unsent: Vec<u8>,
}

pub(super) struct EventLoop {
    shared: Arc<Shared>,
    waker: Arc<Waker>,
    epoll: OwnedFd,
    slots: Vec<Slot>,
    free: Vec<u32>,
    wheel: Wheel,
    /// Boxed, because they move between here and the slots.
    #[allow(clippy::vec_box)]
    pool: Vec<Box<Work>>,
    buffer: Vec<u8>,
    outgoing: Vec<u8>,
    pending: VecDeque<Target>,
    batch: Vec<Grab>,
    /// Batches that found the queue of results full.
    held: VecDeque<Vec<Grab>>,
    seeds: Spread,
    in_flight: usize,
    /// This loop's share of the connections, and what is left of it while descriptors are short.
    most: usize,
    ceiling: usize,
    starved_since: Option<Duration>,
    now: Duration,
    flushed: u32,
}

impl EventLoop {
    pub(super) fn new(
        shared: Arc<Shared>,
        waker: Arc<Waker>,
        most: usize,
        seed: u64,
    ) -> io::Result<EventLoop> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &waker.event, epoll::EventData::new_u64(WAKER), epoll::EventFlags::IN)?;
        Ok(EventLoop {
            shared,
            waker,
            epoll,
            slots: Vec::new(),
            free: Vec::new(),
            wheel: Wheel::new(),
            pool: Vec::new(),
            buffer: vec![0; 16 * 1024],
            outgoing: Vec::with_capacity(1024),
            pending: VecDeque::new(),
            batch: Vec::new(),
            held: VecDeque::new(),
            seeds: Spread(seed),
            in_flight: 0,
            most,
            ceiling: most,
            starved_since: None,
            now: Duration::ZERO,
            flushed: 0,
        })
    }

    /// Runs until there is nothing more to do, or until it is told to stop.
    pub(super) fn run(&mut self) {
        let mut events = Vec::with_capacity(256);
        let mut due = Vec::new();
        let mut answered = GATHER_BELOW;
        self.now = self.shared.clock.now();
        self.wheel.expire(self.tick(), &mut due);
        loop {
            if self.shared.stop.load(Ordering::SeqCst) {
                return;
            }
            let more = self.open_some();
            let idle = self.in_flight == 0 && self.pending.is_empty();
            if idle || self.batch.len() >= BATCH || self.flushed != self.tick() {
                self.flush();
            }
            if idle && !more && self.held.is_empty() {
                return;
            }
            let timeout = self.patience();
            let hungry = more && self.hungry();
            self.waker.waiting.store(hungry || !self.held.is_empty(), Ordering::SeqCst);
            // What came between the last look and now has not woken us, so look once more.
            let ready = (hungry && !self.shared.targets.is_idle())
                || (!self.held.is_empty() && !self.shared.results.is_full())
                || self.shared.stop.load(Ordering::SeqCst);
            let timeout = if ready { Some(Duration::ZERO) } else { timeout };
            if answered < GATHER_BELOW && self.in_flight >= GATHER_FROM && timeout != Some(Duration::ZERO) {
                // Cut short by a signal it gathers less, that is all.
                let _ = rustix::thread::nanosleep(&GATHER);
            }
            let timeout = timeout.map(|wait| Timespec {
                tv_sec: wait.as_secs().min(3600) as i64,
                tv_nsec: wait.subsec_nanos().into(),
            });
            events.clear();
            let waited =
                epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref());
            if hungry || !self.held.is_empty() {
                self.waker.waiting.store(false, Ordering::SeqCst);
            }
            if waited.is_err_and(|error| error != Errno::INTR) {
                return;
            }
            self.now = self.shared.clock.now();
            answered = events.len();
            for event in events.drain(..) {
                self.event(event.data.u64(), event.flags);
            }
            let tick = self.tick();
            if self.ceiling < self.most && tick != self.flushed {
                self.ceiling += 1;
            }
            self.wheel.expire(tick, &mut due);
            for index in due.drain(..) {
                self.expired(index);
            }
        }
    }

    fn tick(&self) -> u32 {
        (self.now.as_micros() >> TICK_BITS) as u32
    }

    /// Whether there is room for another target.
    fn hungry(&self) -> bool {
        self.in_flight < self.ceiling && self.pending.is_empty() && self.held.is_empty()
    }

    /// How long the next wait may last.
    fn patience(&self) -> Option<Duration> {
        if !self.pending.is_empty() && self.in_flight < self.ceiling && self.held.is_empty() {
            // Only a shortage of descriptors leaves targets pending here.
            return Some(if self.starved_since.is_some() { TICK } else { Duration::ZERO });
        }
        let due = self.wheel.next_due().map(|tick| {
            let at = Duration::from_micros(u64::from(tick) << TICK_BITS);
            // One more microsecond: the clock must have passed the tick, not just reached it.
            at.saturating_sub(self.now) + Duration::from_micros(1)
        });
        match (self.batch.is_empty(), due) {
            (true, due) => due,
            (false, due) => Some(due.unwrap_or(TICK).min(TICK)),
        }
    }

    /// Hands finished grabs over, in order; keeps them if nobody has room for them.
    fn flush(&mut self) {
        self.flushed = self.tick();
        if !self.batch.is_empty() {
            self.held.push_back(std::mem::take(&mut self.batch));
        }
        while let Some(batch) = self.held.pop_front() {
            if let Err(batch) = self.shared.results.offer(batch) {
                self.held.push_front(batch);
                return;
            }
        }
    }

    /// Opens connections while there are targets and room. Returns whether more targets may come.
    fn open_some(&mut self) -> bool {
        let mut more = true;
        if self.hungry() {
            let most = (self.ceiling - self.in_flight).min(OPEN_BURST);
            more = self.shared.targets.take(most, &mut self.pending);
        }
        for _ in 0..OPEN_BURST {
            if self.in_flight >= self.ceiling || !self.held.is_empty() {
                break;
            }
            let Some(target) = self.pending.pop_front() else { break };
            let index = self.occupy(target);
            self.open(index);
            if self.starved_since.is_some() {
                break;
            }
        }
        more
    }

    /// Puts a target into a slot.
    fn occupy(&mut self, target: Target) -> u32 {
        let attempt = plan::first(&target, &self.shared.settings);
        let started = self.now.as_micros() as u64;
        self.in_flight += 1;
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Slot {
                    target: nobody(),
                    started,
                    seed: 0,
                    work: None,
                    earlier: None,
                    fd: None,
                    generation: 0,
                    attempt,
                    attempts: 0,
                    port_tries: 0,
                    phase: Phase::Free,
                });
                (self.slots.len() - 1) as u32
            }
        };
        let slot = &mut self.slots[index as usize];
        slot.target = target;
        slot.started = started;
        slot.attempt = attempt;
        slot.attempts = 0;
        slot.port_tries = 0;
        index
    }

    /// Takes the target out of a slot and frees it.
    fn vacate(&mut self, index: u32) -> Target {
        self.in_flight -= 1;
        self.wheel.clear(index);
        self.free.push(index);
        let slot = &mut self.slots[index as usize];
        slot.phase = Phase::Free;
        std::mem::replace(&mut slot.target, nobody())
    }

    /// Opens the slot's next connection.
    fn open(&mut self, index: u32) {
        let seed = self.seeds.next();
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.seed = seed;
        let family = match slot.target.addr {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = match socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP)) {
            Ok(fd) => fd,
            Err(error) => return self.no_socket(index, error),
        };
        self.starved_since = None;
        let started = match connect(&fd, &slot.target.addr) {
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(Errno::ADDRNOTAVAIL | Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) = started {
            drop(fd);
            return self.no_port(index);
        }
        slot.attempts = slot.attempts.saturating_add(1);
        let watched = started.and_then(|()| {
            let data = epoll::EventData::new_u64(u64::from(slot.generation) << 32 | u64::from(index));
            let edges = epoll::EventFlags::IN
                | epoll::EventFlags::OUT
                | epoll::EventFlags::RDHUP
                | epoll::EventFlags::ET;
            epoll::add(&self.epoll, &fd, data, edges)
        });
        slot.phase = Phase::Connecting;
        if let Err(error) = watched {
            return self.ended(index, failure(error, Stage::Connect));
        }
        slot.fd = Some(fd);
        let patience = self.shared.settings.connect_timeout.as_micros() as u64;
        let until = (self.now.as_micros() as u64).saturating_add(patience);
        self.wake_at(index, until.min(self.deadline(index)));
    }

    /// The microsecond at which the target's time is over.
    fn deadline(&self, index: u32) -> u64 {
        let total = self.shared.settings.total_timeout.as_micros() as u64;
        self.slots[index as usize].started.saturating_add(total)
    }

    fn wake_at(&mut self, index: u32, micros: u64) {
        let tick = (micros >> TICK_BITS).saturating_add(1).min(u64::from(u32::MAX - 1));
        self.wheel.set(index, tick as u32);
    }

    /// There was no descriptor. A new target goes back to wait until a connection closes; an old one pauses.
    fn no_socket(&mut self, index: u32, error: Errno) {
        if !matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) {
            return self.ended(index, failure(error, Stage::Connect));
        }
        let since = *self.starved_since.get_or_insert(self.now);
        if self.now.saturating_sub(since) > STARVED {
            return self.ended(index, Outcome::NoResources { what: "file descriptors" });
        }
        if self.slots[index as usize].attempts == 0 {
            let target = self.vacate(index);
            self.pending.push_front(target);
            self.ceiling = self.in_flight.max(1);
        } else {
            self.pause(index, 3);
        }
    }

    fn no_port(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.port_tries += 1;
        if slot.port_tries > PORT_TRIES {
            return self.ended(index, Outcome::NoResources { what: "local ports" });
        }
        let doublings = slot.port_tries;
        self.pause(index, doublings);
    }

    fn pause(&mut self, index: u32, doublings: u8) {
        self.slots[index as usize].phase = Phase::Paused;
        let until = self.now.as_micros() as u64 + (10_000 << doublings);
        self.wake_at(index, until.min(self.deadline(index)));
    }

    /// Something happened on a descriptor.
    fn event(&mut self, data: u64, flags: epoll::EventFlags) {
        if data == WAKER {
            return self.waker.drain();
        }
        let (index, generation) = (data as u32, (data >> 32) as u32);
        let slot = &self.slots[index as usize];
        if slot.generation != generation || slot.fd.is_none() {
            return;
        }
        if slot.phase == Phase::Connecting {
            if flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP)
                && let Some(fd) = &slot.fd
                && let Ok(Err(error)) = sockopt::socket_error(fd)
            {
                return self.ended(index, failure(error, Stage::Connect));
            }
            if !flags.intersects(epoll::EventFlags::OUT | epoll::EventFlags::HUP) {
                return;
            }
            if !self.connected(index, generation) {
                return;
            }
        } else if flags.contains(epoll::EventFlags::OUT)
            && slot.work.as_ref().is_some_and(|w| !w.unsent.is_empty())
        {
            self.outgoing.clear();
            if let Some(work) = &mut self.slots[index as usize].work {
                std::mem::swap(&mut self.outgoing, &mut work.unsent);
            }
            if !self.transmit(index) {
                return;
            }
        }
        let ending = epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        if flags.intersects(epoll::EventFlags::IN | ending) {
            self.receive(index, generation, flags.intersects(ending));
        }
    }

    /// Says the first words on a new connection. Returns whether the connection lives.
    fn connected(&mut self, index: u32, generation: u32) -> bool {
        let deadline = self.deadline(index);
        self.outgoing.clear();
        let slot = &mut self.slots[index as usize];
        if let Some(protocol) = slot.attempt.protocol {
            let address = slot.target.addr.ip().to_string();
            let host = slot.target.sni.as_deref().unwrap_or(&address);
            let mut dialogue = Dialogue::new(protocol, host, &self.shared.settings.client_name);
            let step = dialogue.advance(&[], &mut self.outgoing);
            let mut work = self.pool.pop().unwrap_or_default();
            work.dialogue = Some(dialogue);
            slot.work = Some(work);
            slot.phase = Phase::Greeting;
            // A guess at the port's protocol gets half the time, so that plain TLS can be tried as well.
            let guess = slot.target.starttls == Starttls::Auto && slot.attempts == 1;
            let half = slot.started + (deadline - slot.started) / 2;
            self.wake_at(index, if guess { half } else { deadline });
            return self.stepped(index, step) && self.alive(index, generation);
        }
        self.wake_at(index, deadline);
        self.say_hello(index)
    }

    fn alive(&self, index: u32, generation: u32) -> bool {
        let slot = &self.slots[index as usize];
        slot.generation == generation && slot.fd.is_some()
    }

    /// Appends our hello to what is outgoing and sends it.
    fn say_hello(&mut self, index: u32) -> bool {
        let compressed = self.shared.settings.compressed;
        let slot = &mut self.slots[index as usize];
        slot.phase = Phase::Handshake;
        let hello = hello(&slot.target, slot.attempt.offer, slot.seed, compressed);
        if slot.work.as_ref().is_some_and(|work| work.unwrapper.is_some()) {
            let mut bytes = Vec::new();
            hello.write(&mut bytes);
            tds::wrap(&bytes, &mut self.outgoing);
        } else {
            hello.write(&mut self.outgoing);
        }
        self.transmit(index)
    }

    /// Sends what is outgoing. Returns whether the connection lives.
    fn transmit(&mut self, index: u32) -> bool {
        let slot = &mut self.slots[index as usize];
        let Some(fd) = &slot.fd else { return false };
        let sent = match send(fd, &self.outgoing, SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            // What the server said before it hung up is still there to be read.
            Err(Errno::PIPE | Errno::CONNRESET) if slot.attempts > 0 && slot.phase != Phase::Connecting => {
                return true;
            }
            Err(error) => {
                self.ended(index, failure(error, Stage::Connect));
                return false;
            }
        };
        if sent < self.outgoing.len() {
            let want = slot.target.want_client_cas;
            let work = slot.work.get_or_insert_with(|| {
                let mut work = self.pool.pop().unwrap_or_default();
                work.reader.begin(self.shared.settings.limits, want);
                work
            });
            work.unsent.extend_from_slice(&self.outgoing[sent..]);
        }
        true
    }

    /// Reads what has arrived. With `ending` it reads to the end, because no further event will come.
    fn receive(&mut self, index: u32, generation: u32, ending: bool) {
        loop {
            let slot = &mut self.slots[index as usize];
            let Some(fd) = &slot.fd else { return };
            let stage = if slot.phase == Phase::Greeting { Stage::Greeting } else { Stage::Handshake };
            let count = match recv(fd, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((_, 0)) => return self.hung_up(index, Outcome::Closed { stage }),
                Ok((_, count)) => count,
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => continue,
                Err(error) => return self.hung_up(index, failure(error, stage)),
            };
            let lives = match stage {
                Stage::Greeting => self.heard(index, count),
                _ => self.read_flight(index, count),
            };
            if !lives || !self.alive(index, generation) || (count < self.buffer.len() && !ending) {
                return;
            }
        }
    }

    /// The plaintext dialogue goes on.
    fn heard(&mut self, index: u32, count: usize) -> bool {
        self.outgoing.clear();
        let Some(dialogue) = self.slots[index as usize].work.as_mut().and_then(|work| work.dialogue.as_mut())
        else {
            return false;
        };
        let step = dialogue.advance(&self.buffer[..count], &mut self.outgoing);
        self.stepped(index, step)
    }

    fn stepped(&mut self, index: u32, step: Step) -> bool {
        let outcome = match step {
            Step::NeedMore => return self.outgoing.is_empty() || self.transmit(index),
            Step::StartTls => {
                let limits = self.shared.settings.limits;
                let deadline = self.deadline(index);
                let slot = &mut self.slots[index as usize];
                let want = slot.target.want_client_cas;
                if let Some(work) = &mut slot.work {
                    let wraps = work.dialogue.take().is_some_and(|d| d.protocol() == Protocol::Mssql);
                    work.unwrapper = wraps.then(tds::Unwrapper::default);
                    work.reader.begin(limits, want);
                }
                self.wake_at(index, deadline);
                return self.say_hello(index);
            }
            Step::Refused { reply } => Outcome::StarttlsRefused { reply },
            Step::Violation { what } => Outcome::Malformed { what },
            Step::Foreign { first } => Outcome::NotTls { first },
        };
        self.ended(index, outcome);
        false
    }

    /// Part of the server's flight has arrived.
    fn read_flight(&mut self, index: u32, count: usize) -> bool {
        let settings = &self.shared.settings;
        let slot = &mut self.slots[index as usize];
        let mut work = match slot.work.take() {
            Some(work) => work,
            None => {
                let mut work = self.pool.pop().unwrap_or_default();
                work.reader.begin(settings.limits, slot.target.want_client_cas);
                work
            }
        };
        let hello = hello(&slot.target, slot.attempt.offer, slot.seed, settings.compressed);
        let progress = match &mut work.unwrapper {
            None => work.reader.feed(&hello, &mut self.buffer[..count]),
            Some(unwrapper) => {
                let mut inside = Vec::new();
                match unwrapper.feed(&self.buffer[..count], &mut inside) {
                    true => work.reader.feed(&hello, &mut inside),
                    false => Progress::Done(Outcome::Malformed { what: "no TDS packet around TLS" }),
                }
            }
        };
        match progress {
            Progress::More => {
                slot.work = Some(work);
                true
            }
            Progress::Reply => {
                self.outgoing.clear();
                match work.unwrapper {
                    None => self.outgoing.extend_from_slice(work.reader.reply()),
                    Some(_) => tds::wrap(work.reader.reply(), &mut self.outgoing),
                }
                slot.work = Some(work);
                self.transmit(index)
            }
            Progress::Done(outcome) => {
                slot.work = Some(work);
                self.ended(index, outcome);
                false
            }
        }
    }

    /// No more bytes will come: what was read so far may still be enough.
    fn hung_up(&mut self, index: u32, otherwise: Outcome) {
        let slot = &mut self.slots[index as usize];
        let read = match (&mut slot.work, slot.phase) {
            (Some(work), Phase::Handshake) => work.reader.end(),
            _ => None,
        };
        self.ended(index, read.unwrap_or(otherwise));
    }

    /// The wheel says that a connection's time is over.
    fn expired(&mut self, index: u32) {
        match self.slots[index as usize].phase {
            Phase::Free => {}
            Phase::Paused if self.now.as_micros() as u64 >= self.deadline(index) => {
                self.ended(index, Outcome::NoResources { what: "file descriptors or local ports" });
            }
            Phase::Paused => self.open(index),
            Phase::Connecting => self.ended(index, Outcome::Timeout { stage: Stage::Connect }),
            Phase::Greeting => self.ended(index, Outcome::Timeout { stage: Stage::Greeting }),
            Phase::Handshake => self.hung_up(index, Outcome::Timeout { stage: Stage::Handshake }),
        }
    }

    /// An attempt is over: closes it, and makes the next or reports.
    fn ended(&mut self, index: u32, outcome: Outcome) {
        let over = self.now.as_micros() as u64 >= self.deadline(index);
        let slot = &mut self.slots[index as usize];
        if let Some(fd) = slot.fd.take()
            && slot.phase != Phase::Connecting
        {
            // Closing with a reset leaves no TIME_WAIT behind: local ports would run out within seconds.
            let _ = sockopt::set_socket_linger(&fd, Some(Duration::ZERO));
        }
        if let Some(mut work) = slot.work.take()
            && self.pool.len() < POOLED
        {
            work.dialogue = None;
            work.unwrapper = None;
            work.unsent.clear();
            self.pool.push(work);
        }
        let protocol = slot.attempt.protocol;
        if !over
            && slot.attempts < plan::ATTEMPTS_MAX
            && let Some(attempt) = plan::next(&slot.target, slot.attempt, &outcome)
        {
            let best = plan::better(slot.earlier.take(), (outcome, protocol));
            slot.earlier = Some(best);
            slot.attempt = attempt;
            return self.open(index);
        }
        let (outcome, protocol) = match slot.earlier.take() {
            Some(earlier) => *plan::better(Some(earlier), (outcome, protocol)),
            None => (outcome, protocol),
        };
        let (attempts, started) = (slot.attempts, Duration::from_micros(slot.started));
        let elapsed = self.now.saturating_sub(started);
        let target = self.vacate(index);
        self.batch.push(Grab { target, outcome, protocol, attempts, elapsed });
    }
}

fn hello(target: &Target, offer: Offer, seed: u64, compressed: bool) -> ClientHello<'_> {
    ClientHello { offer, seed, server_name: target.sni.as_deref(), compressed }
}

/// What stands in a free slot.
fn nobody() -> Target {
    Target {
        tag: 0,
        addr: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        sni: None,
        starttls: Starttls::No,
        offer: Offer::Any,
        want_client_cas: false,
    }
}

/// An error of the operating system, as an outcome.
fn failure(error: Errno, stage: Stage) -> Outcome {
    match (error, stage) {
        (Errno::CONNREFUSED, Stage::Connect) => Outcome::Refused,
        (Errno::TIMEDOUT, stage) => Outcome::Timeout { stage },
        (Errno::CONNRESET | Errno::PIPE | Errno::CONNREFUSED | Errno::CONNABORTED, stage) => {
            Outcome::Reset { stage }
        }
        (error, _) => Outcome::Unreachable { errno: error.raw_os_error() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten thousand silent connections are ten thousand of these and of the wheel's 12-byte links.
    #[test]
    fn a_silent_connection_is_small() {
        let size = size_of::<Slot>();
        assert!(size + 12 <= 128, "{size} bytes");
    }
}

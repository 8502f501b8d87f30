//! The driver: asks many servers for their certificates at once.
//!
//! A few plain threads, each with its own epoll loop, hold thousands of conversations in states of
//! about a hundred bytes. Targets are fed in and results drained over bounded queues; a full queue
//! of results stops the loops from opening connections. What is said is in `hello`, `flight` and
//! `starttls`; which attempt follows which is in `plan`. Rates and the choice of targets are the caller's.

mod event_loop;
mod plan;
mod queue;
mod wheel;

use crate::Monotonic;
use crate::starttls::Protocol;
use crate::tls::flight::Limits;
use crate::tls::grab::event_loop::{EventLoop, Shared};
use crate::tls::grab::queue::{Popped, Queue, Waker};
use crate::tls::hello::Offer;
use crate::tls::outcome::Outcome;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Descriptors left alone for the rest of the process.
const FILES_RESERVED: u64 = 64;

/// How a target gets from the connection to TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Starttls {
    /// TLS from the first byte.
    #[default]
    No,
    /// By the port where that is known for a plaintext protocol; else TLS from the first byte, and
    /// if the server answers in a protocol we know, once more in that one.
    Auto,
    /// This protocol and no other.
    Named(Protocol),
}

/// One server to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The caller's own mark, handed back untouched.
    pub tag: u64,
    /// Where it is.
    pub addr: SocketAddr,
    /// The name to ask for, also used where STARTTLS wants one. Address literals are never sent.
    pub sni: Option<Arc<str>>,
    /// Whether TLS comes at once.
    pub starttls: Starttls,
    /// Which key kinds to ask for. `Any` falls back to `Legacy` by itself.
    pub offer: Offer,
    /// Read on, below TLS 1.3, to see whether a client certificate is wanted and from whom.
    pub want_client_cas: bool,
}

/// What became of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grab {
    /// The target as it was fed.
    pub target: Target,
    /// The result. No proof of possession: see `hello`.
    pub outcome: Outcome,
    /// The plaintext protocol spoken before TLS, in the attempt that gave the outcome.
    pub protocol: Option<Protocol>,
    /// How many connections it took.
    pub attempts: u8,
    /// From the first connect to the outcome.
    pub elapsed: Duration,
}

impl Grab {
    /// What to hand to `prove` if a full client might get further: the same target, in the plaintext
    /// protocol that was found. `None` if it could not, or if the refusal only says that the server has
    /// no key of the kind asked for.
    pub fn for_full_client(&self) -> Option<Target> {
        let declined = matches!(
            self.outcome,
            Outcome::Unsupported { .. } | Outcome::Alert { description: 40 | 47 | 70 | 71 | 80, .. }
        );
        let every_key = !matches!(self.target.offer, Offer::EcdsaOnly | Offer::RsaOnly);
        (declined && every_key).then(|| Target {
            starttls: self.protocol.map_or(Starttls::No, Starttls::Named),
            ..self.target.clone()
        })
    }
}

/// How to go about it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Loops, each a thread; 0 means one per processor.
    pub threads: usize,
    /// Connections open at once, over all loops. Lowered if the process may not open as many files.
    pub in_flight_max: usize,
    /// For each connection to be accepted.
    pub connect_timeout: Duration,
    /// For the whole target, every attempt and every slow byte included.
    pub total_timeout: Duration,
    /// Ask with `Offer::Gentle` before `Offer::Any`: kinder to the server, one more connection where it
    /// speaks only TLS 1.3.
    pub gentle: bool,
    /// Let servers compress their certificates (RFC 8879).
    pub compressed: bool,
    /// How much of an answer is accepted.
    pub limits: Limits,
    /// How we call ourselves where a protocol asks (EHLO, LHLO).
    pub client_name: String,
    /// How many targets, and how many batches of results, may wait.
    pub queue: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            threads: 0,
            in_flight_max: 1000,
            connect_timeout: Duration::from_secs(3),
            total_timeout: Duration::from_secs(10),
            gentle: false,
            compressed: false,
            limits: Limits::default(),
            client_name: "notafter".to_string(),
            queue: 1024,
        }
    }
}

/// The running loops. Dropping it closes every connection, ends the loops and waits for their threads:
/// results not yet drained can still be drained, unfinished targets are lost.
pub struct Grabber {
    shared: Arc<Shared>,
    wakers: Vec<Arc<Waker>>,
    threads: Vec<JoinHandle<()>>,
    in_flight_max: usize,
}

/// The loops are gone; these targets were not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the grabber has stopped, {} targets were not taken", .0.len())]
pub struct Stopped(pub VecDeque<Target>);

/// Feeds targets in. When the last clone is dropped the loops finish what they have, and end.
#[derive(Clone)]
pub struct Feeder {
    end: Arc<FeederEnd>,
}

struct FeederEnd(Arc<Shared>);

/// Why there is no batch of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoBatch {
    /// None came in time.
    Yet,
    /// The loops have ended and everything has been drained.
    Ever,
}

/// Drains results. When it is dropped the loops stop. To be drained on another thread than the one
/// that feeds: both queues are bounded, and one thread would wait for itself.
pub struct Results {
    shared: Arc<Shared>,
}

impl Grabber {
    /// Starts the loops. Raises the process's soft limit of open files to its hard limit.
    ///
    /// # Errors
    /// If the operating system gives no epoll instance, eventfd or thread.
    pub fn start(
        mut settings: Settings,
        clock: Arc<dyn Monotonic>,
    ) -> io::Result<(Grabber, Feeder, Results)> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        settings.in_flight_max = settings.in_flight_max.clamp(1, files_allowed());
        let count = if settings.threads == 0 { processors } else { settings.threads };
        let count = count.clamp(1, settings.in_flight_max);
        let wakers = (0..count).map(|_| Waker::new().map(Arc::new)).collect::<io::Result<Vec<_>>>()?;
        let in_flight_max = settings.in_flight_max;
        let shared = Arc::new(Shared {
            targets: Queue::new(settings.queue, wakers.clone()),
            results: Queue::new(settings.queue, wakers.clone()),
            settings,
            clock,
            stop: AtomicBool::new(false),
        });
        let mut grabber = Grabber { shared: shared.clone(), wakers, threads: Vec::new(), in_flight_max };
        let running = Arc::new(AtomicUsize::new(count));
        for (number, waker) in grabber.wakers.clone().into_iter().enumerate() {
            // The standard library's hasher is keyed by the operating system. AWS-LC's own generator
            // takes tens of milliseconds to start, and these numbers guard nothing (see `hello`).
            let seed = RandomState::new().hash_one(number);
            let most = in_flight_max / count + usize::from(number < in_flight_max % count);
            let mut event_loop = EventLoop::new(shared.clone(), waker, most, seed)?;
            let last = LastOut { shared: shared.clone(), running: running.clone() };
            let thread = std::thread::Builder::new().name(format!("grab-{number}")).spawn(move || {
                let _last = last;
                event_loop.run();
            })?;
            grabber.threads.push(thread);
        }
        let feeder = Feeder { end: Arc::new(FeederEnd(shared.clone())) };
        Ok((grabber, feeder, Results { shared }))
    }

    /// The number of connections it will hold open at once, after looking at the file limit.
    pub fn in_flight_max(&self) -> usize {
        self.in_flight_max
    }
}

impl Drop for Grabber {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.targets.close();
        for waker in &self.wakers {
            waker.rouse();
        }
        for thread in self.threads.drain(..) {
            // A loop that panicked has closed its connections too; its targets are lost like those of a stop.
            let _ = thread.join();
        }
        self.shared.results.close();
    }
}

/// Closes the results behind the last loop to end, also when it panics.
struct LastOut {
    shared: Arc<Shared>,
    running: Arc<AtomicUsize>,
}

impl Drop for LastOut {
    fn drop(&mut self) {
        if self.running.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.shared.targets.close();
            self.shared.results.close();
        }
    }
}

impl Feeder {
    /// Hands a target over, waiting while the queue is full.
    ///
    /// # Errors
    /// If the loops have stopped; the target comes back.
    pub fn send(&self, target: Target) -> Result<(), Stopped> {
        self.send_all(VecDeque::from([target]))
    }

    /// Hands many targets over, which is cheaper than one by one. Waits while the queue is full.
    ///
    /// # Errors
    /// If the loops have stopped; the targets not taken come back.
    pub fn send_all(&self, targets: VecDeque<Target>) -> Result<(), Stopped> {
        self.end.0.targets.push_all(targets).map_err(Stopped)
    }

    /// Hands a target over if there is room for it, without waiting; otherwise it comes back.
    ///
    /// # Errors
    /// If the queue is full, or the loops have stopped.
    pub fn try_send(&self, target: Target) -> Result<(), Target> {
        self.end.0.targets.try_push(target)
    }
}

impl Drop for FeederEnd {
    fn drop(&mut self) {
        self.0.targets.close();
    }
}

impl Results {
    /// The next batch, waiting for it; `None` when there will be no more.
    pub fn recv(&self) -> Option<Vec<Grab>> {
        self.shared.results.pop()
    }

    /// The next batch, waiting for it about as long as `patience` at most: for callers that have other
    /// things to look at in between.
    ///
    /// # Errors
    /// `NoBatch::Yet` if none came in that time, `NoBatch::Ever` if none will come any more.
    pub fn recv_within(&self, patience: Duration) -> Result<Vec<Grab>, NoBatch> {
        match self.shared.results.pop_within(patience) {
            Popped::Item(batch) => Ok(batch),
            Popped::Nothing => Err(NoBatch::Yet),
            Popped::Closed => Err(NoBatch::Ever),
        }
    }

    /// A batch that is already there.
    pub fn try_recv(&self) -> Option<Vec<Grab>> {
        self.shared.results.try_pop()
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.targets.close();
        self.shared.results.close();
    }
}

/// How many connections the limit of open files has room for, after raising it as far as we may.
fn files_allowed() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Refused in some sandboxes: then the old limit stands.
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let Some(allowed) = allowed else { return usize::MAX };
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    let left = allowed.saturating_sub(open + FILES_RESERVED).max(1);
    usize::try_from(left).unwrap_or(usize::MAX)
}

//! Full handshakes, a few at a time: for `--prove`, and for servers that the fast hello cannot satisfy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use notafter_core::clock::Clock;
use notafter_pki::certificate::Certificate;
use notafter_wire::starttls::Protocol;
use notafter_wire::tls::grab::{Settings, Starttls, Target};
use notafter_wire::tls::hello::Offer;
use notafter_wire::tls::outcome::{Flight, Outcome};
use notafter_wire::tls::prove::{Proved, prove};

use super::Ticks;
use super::feed::Look;

/// Handshakes at once: each is a thread that mostly waits.
const THREADS: usize = 8;
/// Jobs that may wait before the drain waits for the pool.
const QUEUE: usize = 1024;

/// A handshake to make.
pub(super) struct Job {
    pub(super) look: Look,
    pub(super) number: u64,
    pub(super) target: Target,
    /// The protocol that the grab found.
    pub(super) protocol: Option<Protocol>,
    /// What the grab came to: certificates, or why not.
    pub(super) grabbed: Result<Box<Flight>, Outcome>,
}

/// A handshake made.
pub(super) struct Answer {
    pub(super) job: Job,
    pub(super) result: Result<Proved, Outcome>,
}

/// A few threads that shake hands. They begin with the first job.
pub(super) struct Pool {
    jobs: Option<SyncSender<Job>>,
    answers: Option<Receiver<Answer>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    pub(super) fn new() -> Self {
        Self { jobs: None, answers: None, threads: Vec::new() }
    }

    /// Adds a job; gives it back if there is no thread for it.
    pub(super) fn add(
        &mut self,
        job: Job,
        settings: &Settings,
        clock: &Arc<dyn Clock>,
        stop: &Arc<AtomicBool>,
    ) -> Result<(), Box<Job>> {
        if self.jobs.is_none() {
            let (jobs, queue) = sync_channel(QUEUE);
            let (done, answers) = channel();
            let queue = Arc::new(Mutex::new(queue));
            for number in 0..THREADS {
                let worker = Worker {
                    queue: Arc::clone(&queue),
                    done: done.clone(),
                    settings: settings.clone(),
                    clock: Ticks(Arc::clone(clock)),
                    stop: Arc::clone(stop),
                };
                let thread = std::thread::Builder::new().name(format!("prove-{number}"));
                self.threads.extend(thread.spawn(move || worker.run()));
            }
            (self.jobs, self.answers) = (Some(jobs), Some(answers));
        }
        match &self.jobs {
            Some(jobs) => jobs.send(job).map_err(|e| Box::new(e.0)),
            None => Err(Box::new(job)),
        }
    }

    /// An answer that is there already.
    pub(super) fn ready(&self) -> Option<Answer> {
        self.answers.as_ref()?.try_recv().ok()
    }

    /// The next answer, once no more jobs will come; `None` when all are answered.
    pub(super) fn finish(&mut self) -> Option<Answer> {
        self.jobs = None;
        self.answers.as_ref()?.recv().ok()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What a client offers that takes this leaf and none of another kind of key.
fn kind_of(leaf: &[u8]) -> Offer {
    let key = Certificate::parse(leaf).map(|c| c.public_key().algorithm());
    match key.as_deref() {
        Ok("RSA") => Offer::RsaOnly,
        Ok(other) if !other.contains("RSA") => Offer::EcdsaOnly,
        _ => Offer::Any,
    }
}

struct Worker {
    queue: Arc<Mutex<Receiver<Job>>>,
    done: Sender<Answer>,
    settings: Settings,
    clock: Ticks,
    stop: Arc<AtomicBool>,
}

impl Worker {
    fn run(self) {
        loop {
            let job = self.queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { return };
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let starttls = job.protocol.map_or(Starttls::No, Starttls::Named);
            // A server with two keys is asked for the one that it has just shown.
            let shown = job.grabbed.as_ref().ok().map(|flight| flight.certificates.leaf());
            let offer = shown.map_or(job.target.offer, kind_of);
            let target = Target { starttls, offer, ..job.target.clone() };
            let result = prove(&target, &self.settings, &self.clock);
            if self.done.send(Answer { job, result }).is_err() {
                return;
            }
        }
    }
}

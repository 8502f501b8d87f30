//! The driver: asks many servers for their certificates at once.
//!
//! A few plain threads, each with its own epoll loop, hold thousands of conversations in states of
//! about a hundred bytes. Targets are fed in and results drained over bounded queues; a full queue
//! of results stops the loops from opening connections. What is said is in `hello`, `flight` and
//! `starttls`; which attempt follows which is in `plan`. Rates and the choice of targets are the caller's.

use crate::starttls::Protocol;
use crate::tls::flight::Limits;
use crate::tls::hello::Offer;
use crate::tls::outcome::Outcome;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

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

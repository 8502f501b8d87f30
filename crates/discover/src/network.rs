//! Certificates on ports: names, addresses, ranges and this host's own listeners.
//!
//! ```text
//! targets ─resolve→ Plan ─permute, limit→ Grabber (epoll loops in wire) ─→ Drain ─→ observations
//!                     ↑________ second looks: other key, no name, known names ____|
//! ```
//!
//! Polite by default: a rate a host and a net, in an order that tears neighbours apart, no retry storm.
//! A closed port of a range is only counted; a named server that does not answer is a blind spot. The
//! hello, the handshake and STARTTLS are `wire`'s; what to ask, how fast, and what it means are decided here.

mod drain;
mod feed;
mod peers;
mod plan;
mod prove;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use notafter_core::clock::Clock;
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::{BoxFuture, Cx, Sink, Source};
use notafter_core::location::Location;
use notafter_core::observation::{Observation, Reason, Seen};
use notafter_core::scan::{Progress, Scan};
use notafter_wire::clock::Monotonic;
use notafter_wire::starttls::Protocol;
use notafter_wire::tls::grab::Settings as GrabSettings;

use crate::exclude::Exclude;
use crate::resolve::Resolver;
use crate::target::{NetworkTarget, PortRange};

pub use crate::limits::Rate;
pub use plan::{Plan, Size};

/// Servers to ask.
pub struct Network {
    /// Which.
    pub targets: Vec<NetworkTarget>,
    /// Ask every listening port of this host too.
    pub this_host: bool,
    /// How.
    pub settings: Settings,
}

/// How to ask.
#[derive(Clone)]
pub struct Settings {
    /// Ports for targets that name none.
    pub ports: Vec<PortRange>,
    /// Were they chosen by the user? Then they hold for this host's own listeners too.
    pub ports_given: bool,
    /// STARTTLS protocol for targets that name none; `None`: as the port and the server say.
    pub starttls: Option<Protocol>,
    /// Names to send to addresses, each in turn, besides none.
    pub sni: Vec<String>,
    /// Look for both key types at addresses as well as at names.
    pub both: bool,
    /// Prove that the server holds the key: a full handshake each.
    pub prove: bool,
    /// TLS 1.2 first: kinder to the server, a second connection where it speaks only 1.3.
    pub gentle: bool,
    /// Ask every address of a name rather than the first.
    pub all_addresses: bool,
    /// How fast.
    pub rate: Rate,
    /// Connections open at once.
    pub concurrency: usize,
    /// For one server, in all.
    pub timeout: Duration,
    /// Whom to ask for addresses; `None`: the system.
    pub resolver: Option<SocketAddr>,
    /// What not to ask.
    pub exclude: Exclude,
    /// Threads; 0 means one a processor.
    pub threads: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ports: Vec::new(),
            ports_given: false,
            starttls: None,
            sni: Vec::new(),
            both: false,
            prove: false,
            gentle: false,
            all_addresses: true,
            rate: Rate::Polite,
            concurrency: 1000,
            timeout: Duration::from_secs(5),
            resolver: None,
            exclude: Exclude::default(),
            threads: 0,
        }
    }
}

/// The process's clock, as `wire` wants it.
struct Ticks(Arc<dyn Clock>);

impl Monotonic for Ticks {
    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

/// Is this an address of the machine we look from?
pub fn is_this_host(ip: std::net::IpAddr) -> bool {
    drain::is_own(ip)
}

impl Source for Network {
    fn discover<'a>(&'a self, cx: &'a Cx, out: Arc<dyn Sink>) -> BoxFuture<'a, Result<Scan, Fault>> {
        Box::pin(async move {
            let resolver = Resolver::new(self.settings.resolver)
                .map_err(|message| Fault::new(FaultKind::Invalid, message))?;
            let (plan, missed) =
                Plan::resolve(&self.targets, self.this_host, &self.settings, &resolver).await;
            for (location, reason, detail) in missed {
                if reason == Reason::Dns {
                    Progress::add(&cx.progress.unreachable, 1);
                    Progress::add(&cx.progress.attempted, 1);
                }
                out.put(Observation { at: cx.clock.now(), location, seen: Seen::Failed { reason, detail } });
            }
            if plan.len() == 0 {
                return Ok(cx.progress.scan());
            }
            Progress::add(&cx.progress.planned, plan.len());
            let peers = peers::Peers::new(out);
            let done = self.ask(cx, plan, Arc::clone(&peers) as Arc<dyn Sink>).await;
            let (cx, settings) = (cx.clone(), self.settings.grab());
            // Whoever stops waiting for it leaves it to its own time limit.
            let _ = tokio::task::spawn_blocking(move || peers.ask(&cx, &settings)).await;
            done
        })
    }
}

impl Network {
    /// How much this would ask, without asking anything; names count once.
    pub fn size(&self) -> Size {
        plan::size(&self.targets, self.this_host, &self.settings)
    }

    async fn ask(&self, cx: &Cx, plan: Plan, out: Arc<dyn Sink>) -> Result<Scan, Fault> {
        let stop = Arc::new(AtomicBool::new(false));
        let (done, finished) = tokio::sync::oneshot::channel();
        let seed = cx.clock.now().0 as u64 ^ cx.clock.monotonic().as_nanos() as u64;
        let start = plan.start(cx.resume.cursor().as_deref(), seed);
        // What an earlier run settled counts as asked.
        Progress::add(&cx.progress.attempted, start.step);
        let work = drain::Work {
            start,
            resume: Arc::clone(&cx.resume),
            plan: Arc::new(plan),
            settings: self.settings.clone(),
            clock: Arc::clone(&cx.clock),
            progress: Arc::clone(&cx.progress),
            out,
            stop: Arc::clone(&stop),
        };
        let thread = std::thread::Builder::new()
            .name("network".to_owned())
            .spawn(move || {
                let _ = done.send(work.run());
            })
            .map_err(|e| Fault::new(FaultKind::Exhausted, format!("no thread for the network scan: {e}")))?;
        let _guard = crate::guard::Guard::new(stop, thread);
        match finished.await {
            Ok(Ok(())) => Ok(cx.progress.scan()),
            Ok(Err(error)) => {
                Err(Fault::new(FaultKind::System, format!("the network scan could not start: {error}")))
            }
            Err(_) => Err(Fault::new(FaultKind::System, "the network scan ended before its end")),
        }
    }
}

impl Settings {
    fn grab(&self) -> GrabSettings {
        GrabSettings {
            threads: self.threads,
            in_flight_max: self.concurrency,
            connect_timeout: self.timeout.min(Duration::from_secs(3)),
            total_timeout: self.timeout,
            gentle: self.gentle,
            client_name: format!("notafter/{}", env!("CARGO_PKG_VERSION")),
            ..GrabSettings::default()
        }
    }
}

/// Where an answer came from, as a location.
fn location(protocol: Option<Protocol>, address: SocketAddr, sni: Option<&str>) -> Location {
    Location::endpoint(protocol.map_or("tls", Protocol::name), address, sni)
}

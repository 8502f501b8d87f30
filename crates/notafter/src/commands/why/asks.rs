//! Asks everything at once and never for longer than it may: each part has a limit of its own, and all together have
//! one, whatever a server, a resolver or a disk does.
//!
//! A source that is dropped joins its threads, which may take as long as one of its servers; so every part runs on a
//! worker of its own, and nobody waits for those that are late. Nothing is judged here.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notafter_core::fault::Fault;
use notafter_core::joints::{BoxFuture, Cx, Sink, Source};
use notafter_core::scan::Scan;
use notafter_discover::network::is_this_host;
use notafter_discover::resolve::Resolver;
use notafter_discover::target::Hosts;

/// The page is promised within ten seconds. Whatever was not seen by then is not waited for; the rest is for judging
/// and printing.
pub(super) const LOOKING: Duration = Duration::from_millis(8_000);
/// For the addresses of the host.
const RESOLVING: Duration = Duration::from_secs(3);
/// No one server gets longer, whatever `--timeout` says: it must not cost us the others.
pub(super) const SERVER_MOST: Duration = Duration::from_secs(3);
/// Workers: one a part, so that one that ends slowly keeps no other from ending.
const WORKERS: usize = 12;
/// So many addresses of a range are listed.
const ADDRESSES_MAX: usize = 256;

/// The addresses of the host, or why there are none.
pub(super) type Dns = Result<Vec<IpAddr>, String>;

/// One thing to look at.
pub(super) struct Part {
    /// What it is called in the evidence.
    pub(super) name: &'static str,
    /// For so long at most.
    pub(super) limit: Duration,
    /// Who looks.
    pub(super) source: Arc<dyn Source>,
    /// Only if the host is the machine we look from?
    pub(super) only_here: bool,
}

/// What became of a part.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// It came to its end.
    Done,
    /// It was still waiting for something when its time was over.
    CutShort,
    /// It could not look at all.
    Fault(String),
}

/// What was learned beside what went into the sink.
#[derive(Default)]
pub(super) struct Heard {
    /// The addresses; `None`: the time was over before.
    pub(super) dns: Option<Dns>,
    /// Is one of them ours?
    pub(super) here: bool,
    /// What became of each part that was begun.
    pub(super) outcomes: BTreeMap<&'static str, Outcome>,
}

/// Everything that is asked about one host.
pub(super) struct Asks {
    /// Who it is.
    pub(super) hosts: Hosts,
    /// Whom to ask for its addresses.
    pub(super) resolver: Option<SocketAddr>,
    /// What else to look at.
    pub(super) parts: Vec<Part>,
}

impl Asks {
    /// Asks, until all is answered, the time is over or the user has enough (`true`).
    ///
    /// # Errors
    /// There is no runtime to be had.
    pub(super) fn run(self, cx: &Cx, sink: &Arc<dyn Sink>, quiet: bool) -> Result<(Heard, bool), String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        for part in &self.parts {
            if !part.only_here {
                // Whoever says nothing until the end was cut short.
                note(&heard, part.name, Outcome::CutShort);
            }
        }
        let interrupted = runtime.block_on(async {
            let bar = crate::print::progress::Bar::start(&cx.progress, quiet);
            let stop = async {
                if tokio::signal::ctrl_c().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            let asked = tokio::time::timeout(LOOKING, self.ask(cx, sink, &heard));
            let interrupted = tokio::select! {
                _ = asked => false,
                () = stop => true,
            };
            drop(bar);
            interrupted
        });
        // What is still waiting is left to its own limits.
        runtime.shutdown_background();
        let heard = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
        Ok((heard, interrupted))
    }

    async fn ask(self, cx: &Cx, sink: &Arc<dyn Sink>, heard: &Arc<Mutex<Heard>>) {
        let mut running = tokio::task::JoinSet::new();
        let (here, anywhere): (Vec<_>, Vec<_>) = self.parts.into_iter().partition(|part| part.only_here);
        let begin = |running: &mut tokio::task::JoinSet<()>, part: Part| {
            note(heard, part.name, Outcome::CutShort);
            running.spawn(part.run(cx.clone(), Arc::clone(sink), Arc::clone(heard)));
        };
        for part in anywhere {
            begin(&mut running, part);
        }
        let dns = addresses(&self.hosts, self.resolver).await;
        let ours = dns.as_ref().is_ok_and(|list| list.iter().any(|ip| is_this_host(*ip)));
        {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.dns = Some(dns);
            heard.here = ours;
        }
        for part in here.into_iter().filter(|_| ours) {
            begin(&mut running, part);
        }
        while running.join_next().await.is_some() {}
    }
}

impl Part {
    async fn run(self, cx: Cx, sink: Arc<dyn Sink>, heard: Arc<Mutex<Heard>>) {
        let answer = tokio::time::timeout(self.limit, self.source.discover(&cx, sink)).await;
        let outcome = match answer {
            Ok(Ok(_)) => Outcome::Done,
            Ok(Err(fault)) => Outcome::Fault(fault.context),
            Err(_) => Outcome::CutShort,
        };
        note(&heard, self.name, outcome);
    }
}

/// Several parts of one name came to their end only together.
fn note(heard: &Mutex<Heard>, name: &'static str, outcome: Outcome) {
    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    heard.outcomes.insert(name, outcome);
}

async fn addresses(hosts: &Hosts, server: Option<SocketAddr>) -> Dns {
    match hosts {
        Hosts::Addresses(range) => {
            Ok((0..range.len().min(ADDRESSES_MAX as u64)).map(|n| range.nth(n)).collect())
        }
        Hosts::Name(name) => Resolver::new(server)?.addresses(name, RESOLVING).await,
    }
}

/// Some sources as one part, side by side.
pub(super) struct Together(pub(super) Vec<Box<dyn Source>>);

impl Source for Together {
    fn discover<'a>(&'a self, cx: &'a Cx, out: Arc<dyn Sink>) -> BoxFuture<'a, Result<Scan, Fault>> {
        Box::pin(async move {
            let mut running: Vec<_> = self.0.iter().map(|s| s.discover(cx, Arc::clone(&out))).collect();
            let mut fault = None;
            std::future::poll_fn(|wake| {
                running.retain_mut(|source| match source.as_mut().poll(wake) {
                    std::task::Poll::Ready(Ok(_)) => false,
                    std::task::Poll::Ready(Err(wrong)) => {
                        fault = Some(wrong);
                        false
                    }
                    std::task::Poll::Pending => true,
                });
                if running.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
            fault.map_or_else(|| Ok(cx.progress.scan()), Err)
        })
    }
}

//! One look at one target for `/probe`, with what `scan` is made of, and the answer to "may a stranger ask?".
//!
//! A name is resolved once, by the source, and only what came out of that is connected to. The addresses at
//! which clouds keep credentials are excluded from every probe, whoever asks, and so is what the configuration
//! excludes.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use notafter_core::clock::Clock;
use notafter_core::joints::{BoxFuture, Cx};
use notafter_core::watched::{Host, Server, Watched};
use notafter_discover::target::{COMMON_PORTS, Hosts, NetworkTarget, PortRange, Target, parse_ports};
use notafter_engine::pipeline::{Order, Report, run};
use notafter_engine::serve::Handle;
use notafter_server::probe::Prober;
use notafter_server::probe::target::NEVER;

use crate::assemble;
use crate::cli::Look;

/// What the sources of the configuration cover.
#[derive(Clone, Default)]
pub(crate) struct Coverage {
    hosts: Vec<(NetworkTarget, Vec<PortRange>)>,
    this_host: bool,
    paths: Vec<String>,
}

impl Coverage {
    /// Adds the targets of one source with the ports of those that name none.
    pub(crate) fn add(&mut self, targets: &[String], ports: &str) {
        let usual = match ports {
            "common" => COMMON_PORTS.iter().map(|p| PortRange { first: *p, last: *p }).collect(),
            "all" => vec![PortRange { first: 1, last: u16::MAX }],
            list => parse_ports(list).unwrap_or_default(),
        };
        for text in targets {
            match Target::parse(text, |path| Path::new(path).is_file()) {
                Ok(Target::ThisHost) => self.this_host = true,
                Ok(Target::Network(target)) => self.hosts.push((target, usual.clone())),
                Ok(Target::Path(path)) => {
                    let path = std::path::absolute(&path).unwrap_or(path);
                    self.paths.push(path.to_string_lossy().trim_end_matches('/').to_owned());
                }
                Ok(Target::Worded(..)) | Err(_) => {}
            }
        }
    }

    /// The targets of it, with the ports that they or their source name.
    pub(crate) fn targets(&self) -> Vec<NetworkTarget> {
        let named = |usual: &Vec<PortRange>| {
            usual.iter().any(|p| p.first != p.last || !COMMON_PORTS.contains(&p.first))
        };
        let whole = |(target, usual): &(NetworkTarget, Vec<PortRange>)| {
            let ports = target.ports.clone().or_else(|| named(usual).then(|| usual.clone()));
            NetworkTarget { ports, ..target.clone() }
        };
        self.hosts.iter().map(whole).collect()
    }

    /// The servers of it, as rules ask for them; `rounds`: are they looked at again and again?
    pub(crate) fn watched(&self, rounds: bool) -> Watched {
        let servers = self.hosts.iter().map(|(target, usual)| {
            let ports = target.ports.as_ref().unwrap_or(usual);
            let host = match &target.hosts {
                Hosts::Name(name) => Host::Name(name.clone()),
                Hosts::Addresses(range) => Host::Addresses(range.first, range.last),
            };
            Server { host, ports: ports.iter().map(|range| (range.first, range.last)).collect() }
        });
        Watched { servers: servers.collect(), rounds }
    }

    fn covers(&self, text: &str) -> bool {
        match Target::parse(text, |_| false) {
            Ok(Target::Network(asked)) => self.covers_server(&asked),
            Ok(Target::Path(path)) => self.covers_path(&path),
            Ok(Target::ThisHost | Target::Worded(..)) | Err(_) => false,
        }
    }

    fn covers_server(&self, asked: &NetworkTarget) -> bool {
        let within = |range: &PortRange, ports: &[PortRange]| {
            ports.iter().any(|p| p.first <= range.first && range.last <= p.last)
        };
        let ports = asked.ports.clone().unwrap_or_else(|| vec![PortRange { first: 443, last: 443 }]);
        let loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
        let local = match &asked.hosts {
            Hosts::Addresses(range) => range.len() == 1 && loopback(range.first),
            Hosts::Name(name) => name == "localhost",
        };
        // What listens here is looked at on every port.
        if self.this_host && local {
            return true;
        }
        self.hosts.iter().any(|(known, usual)| {
            let host = match (&known.hosts, &asked.hosts) {
                (Hosts::Name(a), Hosts::Name(b)) => a.eq_ignore_ascii_case(b),
                (Hosts::Addresses(a), Hosts::Addresses(b)) => b.len() == 1 && a.contains(b.first),
                _ => false,
            };
            host && ports.iter().all(|p| within(p, known.ports.as_deref().unwrap_or(usual)))
        })
    }

    fn covers_path(&self, path: &Path) -> bool {
        // Links and `..` must not lead out of what is covered.
        let Ok(whole) = std::fs::canonicalize(path) else { return false };
        let whole = whole.to_string_lossy();
        self.paths.iter().any(|known| {
            let known = std::fs::canonicalize(known)
                .map_or_else(|_| known.clone(), |p| p.to_string_lossy().into_owned());
            whole == known || whole.strip_prefix(&known).is_some_and(|rest| rest.starts_with('/'))
        })
    }
}

/// Looks with the settings of the configuration.
pub(crate) struct LookOnce {
    handle: Arc<Handle>,
    state: RwLock<(Coverage, Look)>,
}

impl LookOnce {
    pub(crate) fn new(handle: Arc<Handle>, coverage: Coverage, look: Look) -> Self {
        Self { handle, state: RwLock::new((coverage, look)) }
    }

    /// Looks by another configuration from now on.
    pub(crate) fn reload(&self, coverage: Coverage, look: Look) {
        *self.state.write().unwrap_or_else(|p| p.into_inner()) = (coverage, look);
    }
}

impl Prober for LookOnce {
    fn covers(&self, target: &str) -> bool {
        self.state.read().unwrap_or_else(|p| p.into_inner()).0.covers(target)
    }

    fn probe<'a>(
        &'a self,
        target: &'a str,
        starttls: Option<&'a str>,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Report, String>> {
        Box::pin(async move {
            let mut look = self.state.read().unwrap_or_else(|p| p.into_inner()).1.clone();
            look.timeout = format!("{}ms", timeout.as_millis());
            if !target.contains("://") {
                look.starttls = starttls.map(str::to_owned);
            }
            let sources = assemble::probe_sources(target, &look, NEVER, &[]).map_err(|e| e.message)?;
            let clock: Arc<dyn Clock> = Arc::clone(&self.handle.clock);
            let judgment = self.handle.setup().judgment(clock.now());
            let cx = Cx::new(clock, assemble::vantage());
            let order = Order { sources, judgment: Some(judgment), tap: None };
            Ok(run(&cx, order, std::future::pending()).await)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: &str, covered: bool) {
        let mut coverage = Coverage::default();
        coverage.add(&["a.test:8443".into(), "10.0.0.0/24".into(), "/etc/ssl".into()], "443,9000-9010");
        assert_eq!(coverage.covers(target), covered, "{target}");
    }

    #[test]
    fn strangers_only_see_what_is_looked_at_anyway() {
        check("tls://a.test:8443", true);
        check("tls://a.test:443", false);
        check("tls://10.0.0.9:443", true);
        check("tls://10.0.0.9:9010", true);
        check("tls://10.0.0.9:22", false);
        check("tls://10.0.1.9:443", false);
        check("tls://[::ffff:10.0.0.9]:443", false);
        check("tls://169.254.169.254:443", false);
        check("tls://127.0.0.1:443", false);
        check("file:///etc/ssl/certs", true);
        check("file:///etc/ssl/../shadow", false);
        check("file:///etc/shadow", false);
        check("10.0.0.0/24", false);
    }
}

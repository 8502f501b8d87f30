//! How fast a host and its neighbourhood may be asked: politeness as arithmetic.
//!
//! One instant a host and one a net: the earliest at which the next connection may begin (the generic
//! cell rate algorithm). Loopback is exempt: nobody else is there to be disturbed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// What is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// 200 new connections a second in each /24 (or /120), 20 to each host.
    Polite,
    /// So many new connections a second in all, with no further regard.
    Total(u32),
}

const PER_HOST: u64 = 20;
const PER_NET: u64 = 200;
/// How many a host or a net may be asked at once before the spacing begins.
const BURST: u64 = 10;

/// Remembers when each host and net was last asked.
#[derive(Debug)]
pub(crate) struct Limits {
    rate: Rate,
    hosts: HashMap<IpAddr, Duration>,
    nets: HashMap<IpAddr, Duration>,
    total: Duration,
}

impl Limits {
    /// Nobody was asked yet.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, hosts: HashMap::new(), nets: HashMap::new(), total: Duration::ZERO }
    }

    /// May this host be asked at `now`? `None`: yes, and it is counted; `Some(t)`: not before `t`.
    pub(crate) fn ask(&mut self, ip: IpAddr, now: Duration) -> Option<Duration> {
        match self.rate {
            Rate::Total(rate) => {
                let every = Duration::from_secs(1) / rate.max(1);
                take(&mut self.total, every, now, 1)
            }
            Rate::Polite if ip.is_loopback() => None,
            Rate::Polite => {
                let host = self.hosts.entry(ip).or_default();
                let net = self.nets.entry(net_of(ip)).or_default();
                let before = (*host, *net);
                let wait = take(host, Duration::from_millis(1000 / PER_HOST), now, BURST).max(take(
                    net,
                    Duration::from_millis(1000 / PER_NET),
                    now,
                    BURST,
                ));
                if wait.is_some() {
                    (*host, *net) = before;
                }
                wait
            }
        }
    }
}

/// Moves the mark by one interval, unless it is more than a burst ahead of now.
fn take(mark: &mut Duration, every: Duration, now: Duration, burst: u64) -> Option<Duration> {
    let allowed = mark.saturating_sub(every * (burst as u32 - 1));
    if allowed > now {
        return Some(allowed);
    }
    *mark = (*mark).max(now) + every;
    None
}

fn net_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & !0xff).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !0xff).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many connections to these hosts, asked in turn as fast as allowed, begin within ten seconds.
    fn check(rate: Rate, hosts: &[&str], expected: std::ops::RangeInclusive<u64>) {
        let hosts: Vec<IpAddr> = hosts.iter().map(|h| h.parse().unwrap()).collect();
        let mut limits = Limits::new(rate);
        let mut begun = 0;
        for ms in 0..10_000 {
            for host in &hosts {
                for _ in 0..20 {
                    begun += u64::from(limits.ask(*host, Duration::from_millis(ms)).is_none());
                }
            }
        }
        assert!(expected.contains(&begun), "{begun} not in {expected:?}");
    }

    #[test]
    fn rates_hold() {
        check(Rate::Polite, &["10.0.0.1"], 200..=215);
        let net: Vec<String> = (1..=40).map(|n| format!("10.0.0.{n}")).collect();
        check(Rate::Polite, &net.iter().map(String::as_str).collect::<Vec<_>>(), 1990..=2015);
        check(Rate::Polite, &["10.0.0.1", "10.0.1.1"], 400..=430);
        check(Rate::Total(50), &["10.0.0.1", "10.0.0.2"], 495..=505);
        check(Rate::Polite, &["127.0.0.1"], 200_000..=200_000);
    }
}

//! How fast a host and its neighbourhood may be asked: politeness as arithmetic, and the queue it makes.
//!
//! One mark a host and one a net: the instant up to which they are taken (the generic cell rate algorithm).
//! Whoever may not be asked yet waits in line behind the others of the same host, and only the head of a
//! line is looked at when its time comes: 65,536 questions for one host must not be asked about 65,536
//! times. Loopback is exempt: nobody else is there to be disturbed. No clock here: `now` is an argument.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
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

const HOST: Pace = Pace { every: Duration::from_millis(1000 / 20), burst: 10 };
const NET: Pace = Pace { every: Duration::from_millis(1000 / 200), burst: 10 };
/// How many may wait before no more are taken in.
const WAITING_MAX: usize = 65_536;
/// After so many questions the marks that lie in the past are forgotten.
const FORGET_EVERY: u32 = 65_536;

/// A rate: one `every` so long, and so many at once before the spacing begins.
#[derive(Clone, Copy, Debug)]
struct Pace {
    every: Duration,
    burst: u32,
}

impl Pace {
    /// So many a second, for somebody who looks every few milliseconds.
    fn of(a_second: u32) -> Self {
        Self { every: Duration::from_secs(1) / a_second.max(1), burst: (a_second / 100).max(1) }
    }

    /// From when on one more is allowed.
    fn allowed(self, mark: Duration) -> Duration {
        mark.saturating_sub(self.every * (self.burst - 1))
    }

    fn take(self, mark: &mut Duration, now: Duration) {
        *mark = (*mark).max(now) + self.every;
    }
}

/// Questions that wait for their turn.
#[derive(Debug)]
pub(crate) struct Turns<T> {
    rate: Rate,
    /// Under a total rate: the mark and the line.
    mark: Duration,
    line: VecDeque<T>,
    nets: HashMap<IpAddr, Net<T>>,
    /// Nets by their next turn. An entry that is not the net's `turn` any more is void.
    order: BinaryHeap<Reverse<(Duration, IpAddr)>>,
    waiting: usize,
    since_forgot: u32,
}

#[derive(Debug)]
struct Net<T> {
    mark: Duration,
    hosts: HashMap<IpAddr, Host<T>>,
    /// Hosts with somebody waiting, each once, by the instant at which they may be asked.
    ready: BinaryHeap<Reverse<(Duration, IpAddr)>>,
    turn: Option<Duration>,
}

#[derive(Debug)]
struct Host<T> {
    mark: Duration,
    line: VecDeque<T>,
}

impl<T> Turns<T> {
    /// Nobody was asked yet.
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            mark: Duration::ZERO,
            line: VecDeque::new(),
            nets: HashMap::new(),
            order: BinaryHeap::new(),
            waiting: 0,
            since_forgot: 0,
        }
    }

    /// May this host be asked at `now`? Gives the question back, counted, if so; else it waits. `urgent`
    /// puts it at the head of its line.
    pub(crate) fn admit(&mut self, ip: IpAddr, question: T, urgent: bool, now: Duration) -> Option<T> {
        match self.rate {
            Rate::Polite if ip.is_loopback() => Some(question),
            Rate::Polite => self.admit_politely(ip, question, urgent, now),
            Rate::Total(rate) => {
                let pace = Pace::of(rate);
                if self.line.is_empty() && pace.allowed(self.mark) <= now {
                    pace.take(&mut self.mark, now);
                    return Some(question);
                }
                self.waiting += 1;
                wait(&mut self.line, question, urgent);
                None
            }
        }
    }

    fn admit_politely(&mut self, ip: IpAddr, question: T, urgent: bool, now: Duration) -> Option<T> {
        self.forget(now);
        let net_ip = net_of(ip);
        let net = self.nets.entry(net_ip).or_insert_with(|| Net {
            mark: Duration::ZERO,
            hosts: HashMap::new(),
            ready: BinaryHeap::new(),
            turn: None,
        });
        let host =
            net.hosts.entry(ip).or_insert_with(|| Host { mark: Duration::ZERO, line: VecDeque::new() });
        let allowed = HOST.allowed(host.mark).max(NET.allowed(net.mark));
        if host.line.is_empty() && allowed <= now {
            HOST.take(&mut host.mark, now);
            NET.take(&mut net.mark, now);
            return Some(question);
        }
        self.waiting += 1;
        wait(&mut host.line, question, urgent);
        if host.line.len() == 1 {
            net.ready.push(Reverse((HOST.allowed(host.mark), ip)));
            schedule(net, net_ip, &mut self.order);
        }
        None
    }

    /// The next whose turn has come; or the instant at which the next one's will.
    pub(crate) fn next(&mut self, now: Duration) -> Result<T, Option<Duration>> {
        if let Rate::Total(rate) = self.rate {
            let pace = Pace::of(rate);
            let allowed = pace.allowed(self.mark);
            if allowed > now && !self.line.is_empty() {
                return Err(Some(allowed));
            }
            let question = self.line.pop_front().ok_or(None)?;
            pace.take(&mut self.mark, now);
            self.waiting -= 1;
            return Ok(question);
        }
        while let Some(Reverse((at, net_ip))) = self.order.peek().copied() {
            if at > now {
                return Err(Some(at));
            }
            self.order.pop();
            let Some(net) = self.nets.get_mut(&net_ip).filter(|net| net.turn == Some(at)) else { continue };
            net.turn = None;
            let question = (NET.allowed(net.mark) <= now).then(|| net.next(now)).flatten();
            schedule(net, net_ip, &mut self.order);
            if let Some(question) = question {
                self.waiting -= 1;
                return Ok(question);
            }
        }
        Err(None)
    }

    /// Does nobody wait?
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Should those who wait be served before more are taken in?
    pub(crate) fn is_full(&self) -> bool {
        match self.rate {
            Rate::Polite => self.waiting >= WAITING_MAX,
            Rate::Total(_) => self.waiting > 0,
        }
    }

    /// A host whose mark lies in the past is as good as one that was never asked.
    fn forget(&mut self, now: Duration) {
        self.since_forgot += 1;
        if self.since_forgot < FORGET_EVERY {
            return;
        }
        self.since_forgot = 0;
        self.nets.retain(|_, net| {
            net.hosts.retain(|_, host| !host.line.is_empty() || host.mark > now);
            !net.hosts.is_empty() || net.mark > now
        });
    }
}

impl<T> Net<T> {
    /// The first in line at the host whose turn has come.
    fn next(&mut self, now: Duration) -> Option<T> {
        let Reverse((at, ip)) = self.ready.peek().copied()?;
        if at > now {
            return None;
        }
        self.ready.pop();
        let host = self.hosts.get_mut(&ip)?;
        let question = host.line.pop_front()?;
        HOST.take(&mut host.mark, now);
        NET.take(&mut self.mark, now);
        if !host.line.is_empty() {
            self.ready.push(Reverse((HOST.allowed(host.mark), ip)));
        }
        Some(question)
    }
}

fn wait<T>(line: &mut VecDeque<T>, question: T, urgent: bool) {
    if urgent { line.push_front(question) } else { line.push_back(question) }
}

fn schedule<T>(net: &mut Net<T>, ip: IpAddr, order: &mut BinaryHeap<Reverse<(Duration, IpAddr)>>) {
    let turn = net.ready.peek().map(|Reverse((at, _))| (*at).max(NET.allowed(net.mark)));
    if turn != net.turn {
        net.turn = turn;
        order.extend(turn.map(|turn| Reverse((turn, ip))));
    }
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

    /// `each` questions for each of these hosts, asked in turn as fast as allowed: how many begin within ten
    /// seconds, and how many of those for each host.
    fn run(rate: Rate, hosts: &[String], each: usize) -> (usize, HashMap<IpAddr, usize>) {
        let hosts: Vec<IpAddr> = hosts.iter().map(|h| h.parse().unwrap()).collect();
        let mut turns = Turns::new(rate);
        let mut begun = Vec::new();
        for _ in 0..each {
            begun.extend(hosts.iter().filter_map(|ip| turns.admit(*ip, *ip, false, Duration::ZERO)));
        }
        for ms in 0..10_000 {
            while let Ok(ip) = turns.next(Duration::from_millis(ms)) {
                begun.push(ip);
            }
        }
        assert_eq!(turns.is_empty(), begun.len() == each * hosts.len());
        let mut by_host = HashMap::new();
        begun.iter().for_each(|ip| *by_host.entry(*ip).or_default() += 1);
        (begun.len(), by_host)
    }

    fn check(rate: Rate, hosts: &[&str], expected: std::ops::RangeInclusive<usize>) {
        let hosts: Vec<String> = hosts.iter().map(|h| (*h).to_owned()).collect();
        let (begun, _) = run(rate, &hosts, 10_000);
        assert!(expected.contains(&begun), "{begun} not in {expected:?}");
    }

    #[test]
    fn rates_hold() {
        check(Rate::Polite, &["10.0.0.1"], 200..=215);
        check(Rate::Polite, &["10.0.0.1", "10.0.1.1"], 400..=430);
        check(Rate::Total(50), &["10.0.0.1", "10.0.0.2"], 495..=505);
        check(Rate::Total(5_000), &["10.0.0.1", "10.0.0.2"], 10_000..=20_000);
        check(Rate::Polite, &["127.0.0.1"], 10_000..=10_000);
    }

    #[test]
    fn a_net_is_shared_out() {
        let hosts: Vec<String> = (1..=40).map(|n| format!("10.0.0.{n}")).collect();
        let (begun, by_host) = run(Rate::Polite, &hosts, 1_000);
        assert!((1990..=2015).contains(&begun), "{begun}");
        assert_eq!(by_host.len(), 40);
        assert!(by_host.values().all(|n| (40..=60).contains(n)), "{by_host:?}");
    }

    #[test]
    fn everybody_gets_a_turn() {
        let hosts: Vec<String> = (0..50).map(|n| format!("10.0.{}.{}", n % 5, n)).collect();
        let (begun, by_host) = run(Rate::Polite, &hosts, 20);
        assert_eq!(begun, 1000);
        assert!(by_host.values().all(|n| *n == 20), "{by_host:?}");
    }

    #[test]
    fn a_fast_rate_costs_one_look_a_question() {
        let mut turns = Turns::new(Rate::Total(1_000_000));
        let ip = IpAddr::from([10, 0, 0, 1]);
        let admitted = (0..1_000).filter(|_| turns.admit(ip, (), false, Duration::ZERO).is_some()).count();
        assert_eq!(admitted, 1_000);
        assert!(!turns.is_full());
    }

    #[test]
    fn the_urgent_goes_first() {
        let mut turns = Turns::new(Rate::Total(1));
        let ip = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(turns.admit(ip, 1, false, Duration::ZERO), Some(1));
        assert_eq!(turns.admit(ip, 2, false, Duration::ZERO), None);
        assert_eq!(turns.admit(ip, 3, true, Duration::ZERO), None);
        assert_eq!(turns.next(Duration::ZERO), Err(Some(Duration::from_secs(1))));
        assert_eq!(turns.next(Duration::from_secs(1)), Ok(3));
        assert_eq!(turns.next(Duration::from_secs(2)), Ok(2));
        assert_eq!(turns.next(Duration::from_secs(3)), Err(None));
    }
}

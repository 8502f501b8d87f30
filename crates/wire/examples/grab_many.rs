//! Grabs certificates in bulk and prints what that cost: the measure behind the speed goals.
//!
//! `grab_many --addrs FIRST-LAST PORT COUNT IN_FLIGHT [THREADS]` asks the addresses of the range in turn until
//! COUNT targets are done. CPU is this process's own (user and system), so the server must be another.

use notafter_wire::Monotonic;
use notafter_wire::tls::grab::{Grabber, Settings, Starttls, Target};
use notafter_wire::tls::{Offer, Outcome};
use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

struct SystemClock(Instant);

impl Monotonic for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// User and system time of this process, from /proc/self/stat in clock ticks of 10 ms.
fn cpu() -> (Duration, Duration) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let field = |n: usize| fields.get(n).and_then(|text| text.parse().ok()).unwrap_or(0);
    (Duration::from_millis(10 * field(11)), Duration::from_millis(10 * field(12)))
}

fn max_rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--addrs").collect();
    let [range, port, count, in_flight, rest @ ..] = &arguments[..] else {
        return Err("usage: grab_many --addrs FIRST-LAST PORT COUNT IN_FLIGHT [THREADS]".into());
    };
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (u32::from(first.parse::<Ipv4Addr>()?), u32::from(last.parse::<Ipv4Addr>()?));
    let (port, count) = (port.parse::<u16>()?, count.parse::<u32>()?);
    let settings = Settings {
        threads: rest.first().map_or(Ok(1), |text| text.parse())?,
        in_flight_max: in_flight.parse()?,
        ..Settings::default()
    };
    // The clock ban is for the program's own code; an example is its own process.
    #[allow(clippy::disallowed_methods)]
    let clock = Arc::new(SystemClock(Instant::now()));
    let (before, start) = (cpu(), clock.now());
    let (grabber, feeder, results) = Grabber::start(settings, clock.clone())?;
    std::thread::spawn(move || {
        let mut chunk = VecDeque::with_capacity(256);
        for number in 0..count {
            let address = Ipv4Addr::from(first + number % (last - first + 1));
            chunk.push_back(Target {
                tag: u64::from(number),
                addr: SocketAddr::new(IpAddr::V4(address), port),
                sni: None,
                starttls: Starttls::No,
                offer: Offer::Any,
                want_client_cas: false,
            });
            if (chunk.len() == 256 || number + 1 == count)
                && feeder.send_all(std::mem::take(&mut chunk)).is_err()
            {
                return;
            }
        }
    });
    let (mut done, mut kinds) = (0_u64, BTreeMap::<String, u64>::new());
    while let Some(batch) = results.recv() {
        done += batch.len() as u64;
        for grab in batch {
            let kind = match grab.outcome {
                Outcome::Certificates(flight) => format!(
                    "version {:04x} cipher {:04x} group {:?} chain {:?}",
                    flight.version, flight.cipher, flight.group, flight.certificates
                ),
                other => format!("{other:?}"),
            };
            *kinds.entry(kind).or_default() += 1;
        }
    }
    let (wall, after) = (clock.now() - start, cpu());
    drop(grabber);
    let (user, system) = (after.0 - before.0, after.1 - before.1);
    let each = (user + system).as_secs_f64() * 1e6 / done.max(1) as f64;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "count {done}  wall {:.2} s  cpu {each:.1} us/grab (user {:.1}, system {:.1})  max rss {:.1} MB",
        wall.as_secs_f64(),
        user.as_secs_f64() * 1e6 / done.max(1) as f64,
        system.as_secs_f64() * 1e6 / done.max(1) as f64,
        max_rss_kib() as f64 / 1024.0
    )?;
    for (kind, count) in kinds {
        writeln!(out, "{count:>8}  {kind}")?;
    }
    Ok(())
}

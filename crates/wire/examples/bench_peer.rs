//! The other ends of a measurement: servers that cost nothing, and the floor that a client is held against.
//!
//! `bench_peer canned PORT FILE` answers every hello with the bytes of FILE; `bench_peer silent PORT` accepts and
//! says nothing; `bench_peer record PORT FILE` writes what the server at PORT answers to the fast hello;
//! `bench_peer rustls PORT COUNT` shakes hands in full, one after the other;
//! `bench_peer floor PORT COUNT IN_FLIGHT` does connect, send, receive, close and nothing else. All on 127.0.0.1.

use notafter_wire::Monotonic;
use notafter_wire::tls::grab::{Settings, Starttls, Target};
use notafter_wire::tls::prove::{Possession, prove};
use notafter_wire::tls::{ClientHello, Offer};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with, sockopt,
};
use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn hello() -> Vec<u8> {
    let mut out = Vec::new();
    ClientHello { offer: Offer::Any, seed: 42, server_name: None, compressed: false }.write(&mut out);
    out
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["canned", port, file] => serve(port.parse()?, Some(std::fs::read(file)?)),
        ["silent", port] => serve(port.parse()?, None),
        ["record", port, file] => record(port.parse()?, file),
        ["rustls", port, count] => full(port.parse()?, count.parse()?),
        ["floor", port, count, in_flight] => floor(port.parse()?, count.parse()?, in_flight.parse()?),
        _ => Err("usage: bench_peer canned|silent|record|floor PORT ...".into()),
    }
}

fn record(port: u16, file: &str) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_millis(300)))?;
    stream.write_all(&hello())?;
    let (mut all, mut piece) = (Vec::new(), [0; 16_384]);
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        all.extend_from_slice(&piece[..count]);
    }
    Ok(std::fs::write(file, all)?)
}

fn serve(port: u16, answer: Option<Vec<u8>>) -> Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &SocketAddrV4::new([127, 0, 0, 1].into(), port))?;
    rustix::net::listen(&socket, 30_000)?;
    let listener = TcpListener::from(socket);
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, EventData::new_u64(u64::MAX), EventFlags::IN)?;
    let mut connections: Vec<Option<OwnedFd>> = Vec::new();
    let mut free = Vec::new();
    let (mut events, mut buffer) = (Vec::with_capacity(256), [0; 4096]);
    loop {
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            if event.data.u64() == u64::MAX {
                while let Ok(fd) = rustix::net::accept_with(&listener, SocketFlags::NONBLOCK) {
                    let index = free.pop().unwrap_or_else(|| {
                        connections.push(None);
                        connections.len() - 1
                    });
                    epoll::add(&poll, &fd, EventData::new_u64(index as u64), EventFlags::IN)?;
                    connections[index] = Some(fd);
                }
                continue;
            }
            let index = event.data.u64() as usize;
            let Some(fd) = connections.get(index).and_then(Option::as_ref) else { continue };
            if let Ok((_, 1..)) = recv(fd, &mut buffer[..], RecvFlags::empty()) {
                if let Some(answer) = &answer {
                    let _ = send(fd, answer, SendFlags::NOSIGNAL);
                }
                continue;
            }
            connections[index] = None;
            free.push(index);
        }
    }
}

fn floor(port: u16, count: usize, in_flight: usize) -> Result<()> {
    let (address, hello) = (SocketAddrV4::new([127, 0, 0, 1].into(), port), hello());
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut connections: Vec<Option<(OwnedFd, bool)>> = (0..in_flight).map(|_| None).collect();
    let mut free: Vec<usize> = (0..in_flight).collect();
    let (mut opened, mut done, mut bytes) = (0, 0, 0);
    let (mut events, mut buffer) = (Vec::with_capacity(256), [0; 16_384]);
    while done < count {
        while opened < count
            && let Some(index) = free.pop()
        {
            let fd = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None)?;
            sockopt::set_socket_linger(&fd, Some(Duration::ZERO))?;
            let _ = connect(&fd, &address);
            let edges = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            epoll::add(&poll, &fd, EventData::new_u64(index as u64), edges)?;
            connections[index] = Some((fd, false));
            opened += 1;
        }
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let index = event.data.u64() as usize;
            let flags = event.flags;
            let Some((fd, sent)) = connections[index].as_mut() else { continue };
            if !*sent && flags.contains(EventFlags::OUT) {
                send(&*fd, &hello, SendFlags::NOSIGNAL)?;
                *sent = true;
            }
            if flags.contains(EventFlags::IN) {
                bytes += recv(&*fd, &mut buffer[..], RecvFlags::empty())?.1;
                connections[index] = None;
                free.push(index);
                done += 1;
            }
        }
    }
    report("floor", count, &format!("{} bytes each", bytes / count))
}

struct SystemClock(Instant);

impl Monotonic for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

fn full(port: u16, count: usize) -> Result<()> {
    // The clock ban is for the program's own code; an example is its own process.
    #[allow(clippy::disallowed_methods)]
    let clock = SystemClock(Instant::now());
    let target = Target {
        tag: 0,
        addr: ([127, 0, 0, 1], port).into(),
        sni: None,
        starttls: Starttls::No,
        offer: Offer::Any,
        want_client_cas: false,
    };
    let mut verified = 0;
    for _ in 0..count {
        let proved = prove(&target, &Settings::default(), &clock);
        verified += usize::from(proved.is_ok_and(|proved| proved.possession == Possession::Verified));
    }
    report("rustls", count, &format!("{verified} verified"))
}

fn report(what: &str, count: usize, note: &str) -> Result<()> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let (user, system) = (fields[11].parse::<f64>()?, fields[12].parse::<f64>()?);
    let each = |ticks: f64| ticks * 1e4 / count as f64;
    writeln!(
        std::io::stdout(),
        "{what}: count {count}  cpu {:.1} us (user {:.1}, system {:.1})  {note}",
        each(user + system),
        each(user),
        each(system)
    )?;
    Ok(())
}

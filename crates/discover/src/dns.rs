//! Asks DNS servers by themselves: one question by UDP or TCP, a whole zone by AXFR (RFC 5936).
//!
//! Blocking, in the thread of the source that asks, and never longer than it was given: every read looks at the stop
//! flag. What answers mean is `pki`'s. It resolves nothing and follows nothing: whom to ask is decided by the caller.

pub(crate) mod given;

use std::hash::{BuildHasher, RandomState};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_pki::dns::message::{Message, question};
use notafter_pki::dns::tsig::{self, Key};
use notafter_pki::dns::{Data, Record, kind};

/// A read waits so long at most before it looks whether to stop.
const SLICE: Duration = Duration::from_millis(200);
/// No zone that is looked at needs more octets.
const TRANSFER_MAX: u64 = 1 << 30;
/// A transfer may take so many times as long as one answer.
const TRANSFER_PATIENCE: u32 = 60;

/// How to ask.
pub(crate) struct Asker<'a> {
    /// For one answer.
    pub(crate) patience: Duration,
    /// Set: stop.
    pub(crate) stop: &'a AtomicBool,
    /// By which it waits.
    pub(crate) clock: &'a dyn Clock,
}

impl Asker<'_> {
    /// One question to one server; by TCP if the answer does not fit. `recurse`: the server is a resolver.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn ask(
        &self,
        server: SocketAddr,
        name: &str,
        kind: u16,
        recurse: bool,
    ) -> Result<Message, String> {
        let id = id();
        let asked = question(id, name, kind, recurse).ok_or_else(|| format!("{name:?} is no name"))?;
        match self.by_udp(server, id, &asked) {
            Ok(message) if !message.truncated => Ok(message),
            // Some servers, and some firewalls, let only TCP through.
            Ok(_) | Err(_) if !self.stop.load(Ordering::Relaxed) => self.by_tcp(server, id, &asked),
            other => other,
        }
    }

    fn by_udp(&self, server: SocketAddr, id: u16, asked: &[u8]) -> Result<Message, String> {
        let own: IpAddr = if server.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
        let tell = |error: std::io::Error| format!("{server} by UDP: {error}");
        let socket = UdpSocket::bind((own, 0)).map_err(tell)?;
        socket.connect(server).map_err(tell)?;
        socket.set_read_timeout(Some(SLICE)).map_err(tell)?;
        let mut buffer = vec![0u8; 65_535];
        let end = self.clock.monotonic() + self.patience.min(Duration::from_secs(2));
        for _ in 0..2 {
            socket.send(asked).map_err(tell)?;
            let now = self.clock.monotonic();
            let half = now + end.saturating_sub(now) / 2;
            while self.clock.monotonic() < half {
                self.go_on()?;
                match socket.recv(&mut buffer) {
                    Ok(length) => match buffer.get(..length).and_then(Message::parse) {
                        Some(message) if message.id == id => return Ok(message),
                        _ => {}
                    },
                    Err(error) if waits(&error) => {}
                    Err(error) => return Err(tell(error)),
                }
            }
        }
        Err(format!("{server} did not answer by UDP"))
    }

    fn by_tcp(&self, server: SocketAddr, id: u16, asked: &[u8]) -> Result<Message, String> {
        let mut line = Line::open(self, server, self.patience)?;
        line.send(asked)?;
        let message = line.message()?;
        (message.id == id).then_some(message).ok_or_else(|| format!("{server} answered something else"))
    }

    /// A whole zone, record by record; `false` from `each` ends it. With a key, what is handed on was signed with it
    /// (RFC 8945 section 5.3.1); `now` is the system's time.
    ///
    /// # Errors
    /// Why, also when the server ended in the middle: what came until then was handed on.
    pub(crate) fn transfer(
        &self,
        server: SocketAddr,
        zone: &str,
        key: Option<&Key>,
        now: UnixTime,
        mut each: impl FnMut(Record) -> bool,
    ) -> Result<(), Untransferred> {
        let id = id();
        let asked = question(id, zone, kind::AXFR, false).ok_or_else(|| format!("{zone:?} is no name"))?;
        let (asked, mac) = match key {
            Some(key) => key.sign(&asked, now.0)?,
            None => (asked, Vec::new()),
        };
        let mut exchange = key.map(|key| key.exchange(&mac));
        let mut line = Line::open(self, server, self.patience * TRANSFER_PATIENCE)?;
        line.send(&asked)?;
        let mut begun = false;
        // What came and is not vouched for yet: no more than the messages between two signatures.
        let mut waiting = Vec::new();
        loop {
            let bytes = line.bytes()?;
            let message = line.parse(&bytes)?;
            if message.id != id {
                return Err(format!("{server} answered something else").into());
            }
            let seal = exchange.as_mut().map(|exchange| exchange.take(&bytes, now.0));
            if let Some(Err(wrong)) = &seal
                && (message.code == 0 || *wrong != tsig::Wrong::Unsigned)
            {
                return Err(Untransferred::key(server, zone, wrong));
            }
            match message.code {
                0 => {}
                5 | 9 => return Err(Untransferred::refused(server, zone, key.is_some())),
                3 => return Err(format!("{server} does not know the zone {zone}").into()),
                code => return Err(format!("{server} answered with error {code}").into()),
            }
            if message.answers.is_empty() {
                return Err(format!("{server} sent an empty answer for the zone {zone}").into());
            }
            waiting.extend(message.answers);
            if seal == Some(Ok(false)) {
                continue;
            }
            for record in waiting.drain(..) {
                // It begins and ends with the SOA of the zone.
                let soa = matches!(record.data, Data::Soa(_)) && record.owner == zone;
                if soa && std::mem::replace(&mut begun, true) {
                    return Ok(());
                }
                if !begun {
                    return Err(format!("{server} sent something that is not the zone {zone}").into());
                }
                if !each(record) {
                    return Ok(());
                }
            }
        }
    }

    fn go_on(&self) -> Result<(), String> {
        if self.stop.load(Ordering::Relaxed) { Err("called off".to_owned()) } else { Ok(()) }
    }
}

/// Why a zone was not handed out.
#[derive(Debug)]
pub(crate) struct Untransferred {
    /// A sentence.
    pub(crate) why: String,
    /// Did the server say no, rather than nothing?
    pub(crate) refused: bool,
}

impl From<String> for Untransferred {
    fn from(why: String) -> Self {
        Self { why, refused: false }
    }
}

impl Untransferred {
    fn refused(server: SocketAddr, zone: &str, with_key: bool) -> Self {
        let hint = if with_key {
            "the key is known there and may not have this zone: allow-transfer in BIND, acl with action transfer in Knot"
        } else {
            "where it wants a key, name it: `tsig` in the [[source]], or --tsig-file"
        };
        Self { why: format!("{server} does not hand out the zone {zone} to us; {hint}"), refused: true }
    }

    fn key(server: SocketAddr, zone: &str, wrong: &tsig::Wrong) -> Self {
        use tsig::Wrong;
        let hint = match wrong {
            Wrong::BadTime(_) => "set the clocks of both machines",
            Wrong::BadKey | Wrong::BadSignature => {
                "name, algorithm and secret of `tsig` have to be those of the name server's configuration"
            }
            Wrong::Unsigned | Wrong::BadTruncation | Wrong::Forged => {
                "something between us changes the answer, or it is another server"
            }
        };
        let why = format!("{server} does not hand out the zone {zone} to us with this key: {wrong}; {hint}");
        Self { why, refused: true }
    }
}

/// A connection over which messages go with their length before them.
struct Line<'a> {
    asker: &'a Asker<'a>,
    stream: TcpStream,
    server: SocketAddr,
    end: Duration,
    took: u64,
}

impl<'a> Line<'a> {
    fn open(asker: &'a Asker<'a>, server: SocketAddr, patience: Duration) -> Result<Self, String> {
        let tell = |error: std::io::Error| format!("{server} by TCP: {error}");
        let stream =
            TcpStream::connect_timeout(&server, asker.patience.min(Duration::from_secs(3))).map_err(tell)?;
        stream.set_read_timeout(Some(SLICE)).map_err(tell)?;
        stream.set_write_timeout(Some(asker.patience)).map_err(tell)?;
        Ok(Self { asker, stream, server, end: asker.clock.monotonic() + patience, took: 0 })
    }

    fn send(&mut self, message: &[u8]) -> Result<(), String> {
        let length = u16::try_from(message.len()).map_err(|error| error.to_string())?;
        let framed = [&length.to_be_bytes()[..], message].concat();
        self.stream.write_all(&framed).map_err(|error| format!("{} by TCP: {error}", self.server))
    }

    fn message(&mut self) -> Result<Message, String> {
        let bytes = self.bytes()?;
        self.parse(&bytes)
    }

    fn bytes(&mut self) -> Result<Vec<u8>, String> {
        let mut length = [0u8; 2];
        self.fill(&mut length)?;
        let mut bytes = vec![0u8; usize::from(u16::from_be_bytes(length))];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn parse(&self, bytes: &[u8]) -> Result<Message, String> {
        Message::parse(bytes).ok_or_else(|| format!("{} sent what is no answer", self.server))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), String> {
        let mut at = 0;
        while at < buffer.len() {
            self.asker.go_on()?;
            if self.asker.clock.monotonic() >= self.end {
                return Err(format!("{} did not answer in time", self.server));
            }
            match self.stream.read(&mut buffer[at..]) {
                Ok(0) => return Err(format!("{} closed the connection in the middle", self.server)),
                Ok(read) => at += read,
                Err(error) if waits(&error) => {}
                Err(error) => return Err(format!("{} by TCP: {error}", self.server)),
            }
        }
        self.took += buffer.len() as u64;
        if self.took > TRANSFER_MAX {
            return Err(format!("{} sends more than a zone", self.server));
        }
        Ok(())
    }
}

fn waits(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// A number that others cannot guess.
fn id() -> u16 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // Each state is seeded by the system.
    RandomState::new().hash_one(COUNT.fetch_add(1, Ordering::Relaxed)) as u16
}

/// Whom the system asks: the first server of resolv.conf(5).
pub(crate) fn system_resolver() -> Option<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").ok()?;
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let mut addresses = servers.filter_map(|server| server.trim().parse::<IpAddr>().ok());
    addresses.next().map(|ip| SocketAddr::new(ip, 53))
}

/// `10.0.0.1`, `10.0.0.1:5353`, `[::1]:53`, `::1`.
pub(crate) fn server(text: &str) -> Option<SocketAddr> {
    let bare = text.trim_matches(['[', ']']).parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 53));
    bare.or_else(|| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_by_address() {
        for (text, expected) in [
            ("127.0.0.1", Some("127.0.0.1:53")),
            ("127.0.0.1:5353", Some("127.0.0.1:5353")),
            ("::1", Some("[::1]:53")),
            ("[::1]:5353", Some("[::1]:5353")),
            ("ns.example.com", None),
        ] {
            assert_eq!(server(text).map(|s| s.to_string()).as_deref(), expected, "{text}");
        }
    }
}

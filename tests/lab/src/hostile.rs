//! Peers that misbehave: they never answer, drip, reset, flood, or send what no sane server would.
//!
//! They run in threads of the test process and stop when they are dropped. What each does to a connection is an
//! [`Act`]. Nothing here does cryptography: a TLS 1.2 server sends its certificates in plain text, which is enough
//! for the ones that are too long.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What a hostile peer does with every connection.
#[derive(Debug, Clone)]
pub enum Act {
    /// Accepts and never says a word.
    Silent,
    /// Sends the beginning of a TLS handshake, one byte at a time.
    Drip {
        /// The pause before each byte.
        pause: Duration,
    },
    /// Waits for the first bytes, sends the beginning of an answer, then resets the connection.
    Reset,
    /// Answers with bytes that are no protocol at all.
    Garbage,
    /// Answers TLS like a plain web server.
    PlainHttp,
    /// Sends a greeting that never ends: one endless line.
    EndlessLine,
    /// Sends a greeting that never ends: lines of which each announces another one.
    EndlessLines,
    /// Closes the connection as soon as it is there.
    CloseAtOnce,
    /// Closes its own direction as soon as the connection is there, and keeps listening.
    HalfClose,
    /// Answers with a fatal TLS alert of this number, such as 40 (handshake_failure) or 112 (unrecognized_name).
    Alert(u8),
    /// Sends a TLS 1.2 ServerHello and then nothing more.
    HelloThenSilent,
    /// Sends a TLS 1.2 ServerHello and a certificate message with this certificate many times over.
    LongChain {
        /// The certificate.
        der: Vec<u8>,
        /// How often it is sent; the message can announce 16 MiB at most, so the rest is left out.
        copies: usize,
    },
    /// Says the first text at once, and one more after each line it is sent, then keeps silent.
    Script(Vec<String>),
}

/// A listening hostile peer. Dropping it stops it and closes all its connections.
pub struct Peer {
    /// Where it listens.
    address: SocketAddr,
    /// Shared with its threads.
    shared: Arc<Shared>,
    /// The thread that accepts.
    acceptor: Option<JoinHandle<()>>,
}

/// What the threads of a peer share.
#[derive(Default)]
struct Shared {
    /// Set when all shall end.
    stop: AtomicBool,
    /// How many connections were accepted.
    accepted: AtomicUsize,
    /// How many bytes were sent.
    sent: AtomicUsize,
}

/// How long a thread waits before it looks whether it shall end.
const TICK: Duration = Duration::from_millis(20);

impl Peer {
    /// Starts a peer on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When no port can be opened.
    #[must_use]
    pub fn start(act: Act) -> Self {
        Self::start_on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), act)
    }

    /// Starts a peer on this address, for tests that need many addresses on one port.
    ///
    /// # Panics
    /// When it cannot be opened.
    #[must_use]
    pub fn start_on(address: SocketAddr, act: Act) -> Self {
        let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("{address}: {error}"));
        let shared = Arc::new(Shared::default());
        let for_acceptor = Arc::clone(&shared);
        let acceptor = thread::spawn(move || accept(&listener, &act, &for_acceptor));
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// How many bytes it has sent, on all connections.
    #[must_use]
    pub fn bytes_sent(&self) -> usize {
        self.shared.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // The acceptor waits for a connection: this is the one that lets it see that it shall end.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(200));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({}, {} connections)", self.address, self.connections())
    }
}

/// Accepts until the end, and waits for the threads of the connections.
fn accept(listener: &TcpListener, act: &Act, shared: &Arc<Shared>) {
    let mut held = Vec::new();
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for stream in listener.incoming().flatten() {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        match act {
            // Thousands of silent connections must not cost thousands of threads.
            Act::Silent => held.push(stream),
            Act::CloseAtOnce => drop(stream),
            _ => {
                let (act, shared) = (act.clone(), Arc::clone(shared));
                threads.retain(|thread| !thread.is_finished());
                threads.push(thread::spawn(move || {
                    // That the other side went away is what most of these acts are for.
                    let _ = Line { stream, shared }.play(&act);
                }));
            }
        }
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// One connection.
struct Line {
    /// The connection.
    stream: TcpStream,
    /// Shared with the peer.
    shared: Arc<Shared>,
}

impl Line {
    /// Does to the connection what the act says.
    fn play(&mut self, act: &Act) -> io::Result<()> {
        self.stream.set_read_timeout(Some(TICK))?;
        self.stream.set_write_timeout(Some(TICK))?;
        self.stream.set_nodelay(true)?;
        match act {
            Act::Silent => self.hold(),
            Act::CloseAtOnce => Ok(()),
            Act::Drip { pause } => {
                for byte in record(22, &server_hello(0xc02b)).iter().chain([0x41].iter().cycle()) {
                    self.pause(*pause)?;
                    self.send(&[*byte])?;
                }
                Ok(())
            }
            Act::Reset => {
                self.peek()?;
                self.send(&record(22, &server_hello(0xc02b))[..20])?;
                // What was received stays unread: closing such a connection sends a reset.
                Ok(())
            }
            Act::Garbage => {
                let noise: Vec<u8> =
                    (0..4096u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 23) as u8).collect();
                self.peek()?;
                self.send(&noise)?;
                self.hold()
            }
            Act::PlainHttp => {
                self.read_some()?;
                self.send(
                    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n",
                )?;
                self.send(b"The plain HTTP request was sent to HTTPS port\r\n")
            }
            Act::EndlessLine => {
                self.send(b"220 ")?;
                loop {
                    self.send(&[b'a'; 16_384])?;
                }
            }
            Act::EndlessLines => loop {
                self.send(&b"220-and there is more\r\n".repeat(512))?;
            },
            Act::HalfClose => {
                self.stream.shutdown(Shutdown::Write)?;
                self.hold()
            }
            Act::Alert(number) => {
                self.read_some()?;
                self.send(&record(21, &[2, *number]))
            }
            Act::HelloThenSilent => {
                self.read_some()?;
                self.send(&record(22, &server_hello(0xc02b)))?;
                self.hold()
            }
            Act::LongChain { der, copies } => {
                self.read_some()?;
                for cut in certificate_message(der, *copies).chunks(16_384) {
                    self.send(&record(22, cut))?;
                }
                self.hold()
            }
            Act::Script(texts) => {
                for (number, text) in texts.iter().enumerate() {
                    if number > 0 {
                        self.read_line()?;
                    }
                    self.send(text.as_bytes())?;
                }
                self.hold()
            }
        }
    }

    /// Fails when the peer shall stop.
    fn check(&self) -> io::Result<()> {
        if self.shared.stop.load(Ordering::Relaxed) { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
    }

    /// Waits, unless the peer shall stop.
    fn pause(&self, pause: Duration) -> io::Result<()> {
        let began = Instant::now();
        while began.elapsed() < pause {
            self.check()?;
            thread::sleep(TICK.min(pause.saturating_sub(began.elapsed())));
        }
        Ok(())
    }

    /// Reads and throws away until the other side closes.
    fn hold(&mut self) -> io::Result<()> {
        while self.read_some()? > 0 {}
        Ok(())
    }

    /// Waits until there is something to read, and leaves it there.
    fn peek(&mut self) -> io::Result<()> {
        let mut byte = [0];
        self.patiently(|stream| stream.peek(&mut byte)).map(|_| ())
    }

    /// Reads once.
    fn read_some(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 16_384];
        self.patiently(|stream| stream.read(&mut bytes))
    }

    /// Reads one line.
    fn read_line(&mut self) -> io::Result<()> {
        let mut byte = [0];
        while byte != *b"\n" {
            if self.patiently(|stream| stream.read(&mut byte))? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Sends all bytes.
    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.patiently(|stream| stream.write(bytes))?;
            if count == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            self.shared.sent.fetch_add(count, Ordering::Relaxed);
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Repeats what timed out until it is done or the peer shall stop.
    fn patiently<T>(&mut self, mut step: impl FnMut(&mut TcpStream) -> io::Result<T>) -> io::Result<T> {
        loop {
            self.check()?;
            match step(&mut self.stream) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                done => return done,
            }
        }
    }
}

/// A TLS record (RFC 5246, section 6.2.1).
fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 3, 3, (body.len() >> 8) as u8, body.len() as u8];
    bytes.extend(body);
    bytes
}

/// A handshake message (RFC 5246, section 7.4).
fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut bytes = vec![kind, (length >> 16) as u8, (length >> 8) as u8, length as u8];
    bytes.extend(body);
    bytes
}

/// A TLS 1.2 ServerHello that chooses this suite and says that it knows secure renegotiation (RFC 5746).
fn server_hello(suite: u16) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([0x5a; 32]);
    body.extend([0, (suite >> 8) as u8, suite as u8, 0, 0, 5, 0xff, 1, 0, 1, 0]);
    handshake(2, &body)
}

/// A ServerHello and a certificate message with one certificate many times over.
fn certificate_message(der: &[u8], copies: usize) -> Vec<u8> {
    let length = |bytes: usize| [(bytes >> 16) as u8, (bytes >> 8) as u8, bytes as u8];
    let most = ((1 << 24) - 16) / (der.len() + 3);
    let mut list = Vec::new();
    for _ in 0..copies.min(most) {
        list.extend(length(der.len()));
        list.extend(der);
    }
    let mut body = length(list.len()).to_vec();
    body.extend(list);
    let mut messages = server_hello(0xc02b);
    messages.extend(handshake(11, &body));
    messages
}

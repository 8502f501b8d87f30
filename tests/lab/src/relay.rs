//! A relay that speaks a plain-text preface of its own and then passes bytes both ways.
//!
//! It lets a TLS client that knows no RDP reach an RDP server, and it puts plain text in front of a real TLS server
//! as a hostile middle box would.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The X.224 connection request by which an RDP client asks for TLS ([MS-RDPBCGR] 2.2.1.1, PROTOCOL_SSL and
/// PROTOCOL_HYBRID).
const RDP_REQUEST: [u8; 19] = [3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0];

/// What is said before the bytes are passed on.
type Preface = dyn Fn(&mut TcpStream, &mut TcpStream) -> io::Result<()> + Send + Sync;

/// A listening relay. Dropping it stops it.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens.
    address: SocketAddr,
    /// Set when it shall stop.
    stop: Arc<AtomicBool>,
}

impl Relay {
    /// Relays to `upstream` once `preface(client, upstream)` is through.
    ///
    /// # Errors
    /// When no port could be opened.
    pub fn start(
        upstream: SocketAddr,
        preface: impl Fn(&mut TcpStream, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let preface: Arc<Preface> = Arc::new(preface);
        let stopped = Arc::clone(&stop);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let preface = Arc::clone(&preface);
                thread::spawn(move || pass(client, upstream, &*preface));
            }
        });
        Ok(Self { address, stop })
    }

    /// Relays to an RDP server, with the X.224 exchange already done for the client.
    ///
    /// # Errors
    /// When no port could be opened.
    pub fn to_rdp(upstream: SocketAddr) -> io::Result<Self> {
        Self::start(upstream, |_, upstream| {
            upstream.write_all(&RDP_REQUEST)?;
            let mut confirm = [0; 19];
            upstream.read_exact(&mut confirm)
        })
    }

    /// Relays to a NATS server, whose `INFO` line was read for the client.
    ///
    /// # Errors
    /// When no port could be opened.
    pub fn to_nats(upstream: SocketAddr) -> io::Result<Self> {
        Self::start(upstream, |_, upstream| read_line(upstream))
    }

    /// Plays the client's preface to a TLS server that has none: `says` is sent after each line that was read from
    /// the client, the first one before any. What stands in the last answer after its line end is injected text.
    ///
    /// # Errors
    /// When no port could be opened.
    pub fn injecting(upstream: SocketAddr, says: &'static [&'static str]) -> io::Result<Self> {
        Self::start(upstream, move |client, _| {
            for (number, answer) in says.iter().enumerate() {
                if number > 0 {
                    read_line(client)?;
                }
                client.write_all(answer.as_bytes())?;
            }
            Ok(())
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // The listener waits for a client: this is the one that lets it see that it shall stop.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(200));
    }
}

/// Reads one line, byte by byte so that nothing after it is taken.
fn read_line(stream: &mut TcpStream) -> io::Result<()> {
    let mut byte = [0];
    while byte != *b"\n" {
        stream.read_exact(&mut byte)?;
    }
    Ok(())
}

/// Serves one client until either side ends.
fn pass(mut client: TcpStream, upstream: SocketAddr, preface: &Preface) {
    let patience = Some(Duration::from_secs(10));
    let Ok(mut server) = TcpStream::connect(upstream) else { return };
    let _ = client.set_read_timeout(patience).and_then(|()| server.set_read_timeout(patience));
    if preface(&mut client, &mut server).is_err() {
        return;
    }
    let (Ok(mut from_client), Ok(mut to_server)) = (client.try_clone(), server.try_clone()) else { return };
    let upwards = thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = upwards.join();
}

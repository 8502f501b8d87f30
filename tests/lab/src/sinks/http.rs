//! A receiver of HTTP requests that records what came and answers what the test wants.
//!
//! Hand-made on a plain socket, because a test must also see requests that no server would accept, and give answers
//! that no server would give: a redirect, a flood, or nothing at all.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// One request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// These octets: the whole answer, from the status line on.
    Octets(Vec<u8>),
    /// This status, with the whole request as its body.
    Echo(u16),
    /// Nothing: the connection stays open.
    Silence,
    /// A success whose body never ends.
    Flood,
}

impl Answer {
    /// A status with headers (each ended by `\r\n`) and a body.
    #[must_use]
    pub fn status(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Octets(
            format!("HTTP/1.1 {status} Lab\r\nContent-Length: {length}\r\n{headers}\r\n{body}").into_bytes(),
        )
    }
}

/// A receiver on 127.0.0.1. Dropping it ends it.
#[derive(Debug)]
pub struct Receiver {
    /// Where it listens.
    address: SocketAddr,
    /// What came so far.
    received: Arc<Mutex<Vec<Received>>>,
    /// Says that it is over.
    over: Arc<AtomicBool>,
    /// The thread that accepts.
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Starts one that gives this answer to everything.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("its address");
        let (received, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (list, ends) = (Arc::clone(&received), Arc::clone(&over));
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ends.load(Ordering::Relaxed) {
                    break;
                }
                let (list, ends, answer) = (Arc::clone(&list), Arc::clone(&ends), answer.clone());
                thread::spawn(move || serve(stream, &answer, &list, &ends));
            }
        });
        Self { address, received, over, thread: Some(thread) }
    }

    /// The address of a path here.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What came so far.
    ///
    /// # Panics
    /// When the thread that records has panicked.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().expect("the list").clone()
    }

    /// The one request that came.
    ///
    /// # Panics
    /// When it was not exactly one.
    #[must_use]
    pub fn only(&self) -> Received {
        let mut all = self.received();
        assert_eq!(all.len(), 1, "requests: {all:?}");
        all.remove(0)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reads one request, records it and answers.
fn serve(stream: TcpStream, answer: &Answer, list: &Mutex<Vec<Received>>, over: &AtomicBool) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let mut echo = format!("{path}\n{headers:?}\n").into_bytes();
    echo.extend_from_slice(&body);
    list.lock().ok()?.push(Received { method, path, headers, body });

    let mut stream = reader.into_inner();
    match answer {
        Answer::Octets(octets) => stream.write_all(octets).ok()?,
        Answer::Echo(status) => {
            write!(stream, "HTTP/1.1 {status} Lab\r\nContent-Length: {}\r\n\r\n", echo.len()).ok()?;
            stream.write_all(&echo).ok()?;
        }
        Answer::Silence => {
            let _ = stream.read(&mut [0; 1]);
        }
        Answer::Flood => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
            let piece = [b'x'; 4096];
            while !over.load(Ordering::Relaxed) && stream.write_all(&piece).is_ok() {}
        }
    }
    Some(())
}

//! What stands between the program and others: an HTTPS proxy that answers in the CA's place when it is told to, and a
//! web server for the files of a challenge.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use notafter_lab::{Leaf, base64};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// What happens to a request.
#[derive(Clone)]
pub(crate) enum Act {
    /// It reaches the CA, and its answer comes back.
    Pass,
    /// This comes back, and the CA hears nothing.
    Say(String),
    /// The CA acts, and this much of its answer comes back before the connection ends.
    Half,
    /// The CA acts, and nothing comes back.
    Nothing,
    /// The CA acts, and its answer comes a byte at a time.
    Drip,
    /// The CA acts, and this body takes the place of its own.
    Instead(String),
    /// The CA acts, and what becomes of its body comes back.
    Edit(Arc<Editor>),
    /// The CA acts, and what is made of the last request for a certificate (PKCS#10, DER) takes the place of its body.
    Issue(Arc<Maker>),
}

/// Makes another body of a body.
pub(crate) type Editor = dyn Fn(&str) -> String + Send + Sync;
/// Makes a body of a request for a certificate.
pub(crate) type Maker = dyn Fn(&[u8]) -> String + Send + Sync;

/// Decides what happens to a request by its method and path.
type Judge = dyn Fn(&str, &str) -> Act + Send + Sync;

/// An HTTPS proxy before a CA on loopback. Dropping it stops it.
pub(crate) struct Proxy {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    judge: Arc<Mutex<Arc<Judge>>>,
    asked: Arc<Mutex<Vec<String>>>,
    csr: Arc<Mutex<Vec<u8>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Stands before `upstream`, whose root `root` is; shows `leaf`.
    pub(crate) fn start(upstream: SocketAddr, root: &[u8], leaf: &Leaf) -> Result<Self, String> {
        let told = |e: rustls::Error| e.to_string();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let pem = |path| std::fs::read_to_string(path).map_err(|e: io::Error| e.to_string());
        let chain = base64::blocks(&pem(&leaf.fullchain_pem)?, "CERTIFICATE");
        let key = base64::blocks(&pem(&leaf.key_pem)?, "PRIVATE KEY").pop().ok_or("no key")?;
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(told)?
            .with_no_client_auth()
            .with_single_cert(
                chain.into_iter().map(CertificateDer::from).collect(),
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)),
            )
            .map_err(told)?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(root.to_vec())).map_err(told)?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(told)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| e.to_string())?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let pass: Arc<Judge> = Arc::new(|_, _| Act::Pass);
        let proxy = Self {
            address,
            stop: Arc::default(),
            judge: Arc::new(Mutex::new(pass)),
            asked: Arc::default(),
            csr: Arc::default(),
        };
        let (stop, judge, asked) =
            (Arc::clone(&proxy.stop), Arc::clone(&proxy.judge), Arc::clone(&proxy.asked));
        let csr = Arc::clone(&proxy.csr);
        let (server, client) = (Arc::new(server), Arc::new(client));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let (server, client) = (Arc::clone(&server), Arc::clone(&client));
                let (judge, asked, csr) = (Arc::clone(&judge), Arc::clone(&asked), Arc::clone(&csr));
                thread::spawn(move || {
                    let _ = serve(stream, upstream, server, client, &judge, (&asked, &csr));
                });
            }
        });
        Ok(proxy)
    }

    /// The address of the directory behind it.
    pub(crate) fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.address.port())
    }

    /// From now on this decides.
    pub(crate) fn decide(&self, judge: impl Fn(&str, &str) -> Act + Send + Sync + 'static) {
        *lock(&self.judge) = Arc::new(judge);
    }

    /// Lets everything pass.
    pub(crate) fn pass(&self) {
        self.decide(|_, _| Act::Pass);
    }

    /// How often a path that begins so was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        lock(&self.asked).iter().filter(|asked| asked.starts_with(path)).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(200));
    }
}

fn serve(
    stream: TcpStream,
    upstream: SocketAddr,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    judge: &Mutex<Arc<Judge>>,
    (asked, csr): (&Mutex<Vec<String>>, &Mutex<Vec<u8>>),
) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let broke = |e: rustls::Error| io::Error::other(e.to_string());
    let mut near = StreamOwned::new(ServerConnection::new(server).map_err(broke)?, stream);
    let (head, body) = request(&mut near)?;
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    lock(asked).push(path.to_owned());
    if let Some(asked) = asked_for(&body) {
        *lock(csr) = asked;
    }
    let judge = Arc::clone(&lock(judge));
    let act = judge(method, path);
    if let Act::Say(answer) = &act {
        near.write_all(answer.as_bytes())?;
        near.conn.send_close_notify();
        return near.flush();
    }
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let far = TcpStream::connect(upstream)?;
    far.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut far = StreamOwned::new(ClientConnection::new(client, name).map_err(broke)?, far);
    // One request a connection: the end of the answer is the end of the stream.
    let lines =
        head.lines().filter(|line| !line.to_lowercase().starts_with("connection:") && !line.is_empty());
    let head = lines.collect::<Vec<_>>().join("\r\n");
    far.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes())?;
    far.write_all(&body)?;
    let mut answer = Vec::new();
    // Whoever ends without a word has still answered.
    let _ = far.read_to_end(&mut answer);
    match act {
        Act::Nothing => return Ok(()),
        Act::Half => {
            let begin = find(&answer).map_or(answer.len(), |at| at + (answer.len() - at) / 2);
            near.write_all(&answer[..begin])?;
            return near.flush();
        }
        Act::Drip => {
            for byte in answer {
                near.write_all(&[byte])?;
                near.flush()?;
                thread::sleep(Duration::from_millis(2));
            }
        }
        Act::Instead(_) | Act::Edit(_) | Act::Issue(_) => {
            let at = find(&answer).unwrap_or(answer.len());
            let head = String::from_utf8_lossy(&answer[..at]).into_owned();
            let body = match act {
                Act::Edit(edit) => edit(&String::from_utf8_lossy(&unchunked(&head, &answer[at..]))),
                Act::Issue(issue) => issue(&lock(csr).clone()),
                Act::Instead(body) => body,
                _ => String::new(),
            };
            let plain = |line: &&str| {
                let line = line.to_lowercase();
                !line.starts_with("content-length:")
                    && !line.starts_with("transfer-encoding:")
                    && !line.is_empty()
            };
            let head = head.lines().filter(plain).collect::<Vec<_>>().join("\r\n");
            near.write_all(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
        }
        Act::Pass | Act::Say(_) => near.write_all(&answer)?,
    }
    near.conn.send_close_notify();
    near.flush()
}

/// The body without the lengths of its pieces (RFC 9112 section 7.1).
fn unchunked(head: &str, body: &[u8]) -> Vec<u8> {
    if !head.to_lowercase().contains("transfer-encoding: chunked") {
        return body.to_vec();
    }
    let (mut out, mut rest) = (Vec::new(), body);
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        let length = usize::from_str_radix(String::from_utf8_lossy(&rest[..at]).trim(), 16).unwrap_or(0);
        let Some(piece) = rest.get(at + 2..at + 2 + length).filter(|piece| !piece.is_empty()) else { break };
        out.extend_from_slice(piece);
        rest = rest.get(at + 4 + length..).unwrap_or_default();
    }
    out
}

/// The request for a certificate in the body of a request that finalizes (RFC 8555 section 7.4).
fn asked_for(body: &[u8]) -> Option<Vec<u8>> {
    let bytes = |text: &str| base64::decode(&text.replace('-', "+").replace('_', "/"));
    let outer: serde_json::Value = serde_json::from_slice(body).ok()?;
    let inner: serde_json::Value = serde_json::from_slice(&bytes(outer["payload"].as_str()?)).ok()?;
    inner["csr"].as_str().map(bytes)
}

/// The head of a request and its body.
fn request(stream: &mut impl Read) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(at) = find(&bytes) {
            let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            let mut body = bytes.split_off(at);
            let length = length.unwrap_or(0);
            while body.len() < length {
                match stream.read(&mut buffer)? {
                    0 => break,
                    read => body.extend_from_slice(&buffer[..read]),
                }
            }
            return Ok((head, body));
        }
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

/// Where the body begins.
fn find(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Serves the files of a folder in plain HTTP, as the web server before a webroot does, while it lives.
pub(crate) struct Files {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Files {
    pub(crate) fn start(port: u16, root: PathBuf) -> Result<Self, String> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|e| format!("port {port}: {e}"))?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let root = root.clone();
                thread::spawn(move || {
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
                    let Ok((head, _)) = request(&mut stream) else { return };
                    let path = head.split_whitespace().nth(1).unwrap_or_default().trim_start_matches('/');
                    let answer = match std::fs::read(root.join(path)) {
                        Ok(body) if !path.contains("..") => {
                            let mut answer = format!(
                                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                                body.len()
                            )
                            .into_bytes();
                            answer.extend(body);
                            answer
                        }
                        _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                            .to_vec(),
                    };
                    let _ = stream.write_all(&answer);
                });
            }
        });
        Ok(Self { address, stop })
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(200));
    }
}

/// A whole answer.
pub(crate) fn answer(status: &str, headers: &HashMap<&str, String>, body: &str) -> String {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

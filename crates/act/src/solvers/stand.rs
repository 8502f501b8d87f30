//! Listeners that exist while somebody needs them: for the time of a challenge, and shared by all certificates of this
//! process that are proved at the same address at that time.
//!
//! A stand answers exactly what it was given, to whoever asks, and closes. It is no web server: it reads 8 kB, waits ten
//! seconds and serves 64 at once.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notafter_core::fault::{Fault, FaultKind};
use rustls::ServerConfig;
use rustls::server::{Acceptor, ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::LazyConfigAcceptor;

use super::tokens::Tokens;

/// The protocol of RFC 8737.
pub(super) const ACME_TLS: &[u8] = b"acme-tls/1";

const REQUEST_MAX: usize = 8 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);
const AT_ONCE: usize = 64;

/// Every stand of this process. Held while one is opened or closed, so that two never fight for a port.
static STANDS: tokio::sync::Mutex<Vec<Stand>> = tokio::sync::Mutex::const_new(Vec::new());

/// What a stand answers with.
#[derive(Clone)]
enum Offer {
    Tokens(Arc<Tokens>),
    Certificates(Arc<Certificates>),
}

struct Stand {
    address: SocketAddr,
    offer: Offer,
    task: JoinHandle<()>,
}

/// Certificates of challenges by the name that a client sends.
#[derive(Debug, Default)]
struct Certificates(Mutex<HashMap<String, Arc<CertifiedKey>>>);

impl Certificates {
    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<CertifiedKey>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Whoever does not ask for the challenge gets no certificate: it is none for a website.
        let asks = hello.alpn().is_some_and(|mut all| all.any(|one| one == ACME_TLS));
        let name = hello.server_name().filter(|_| asks)?.to_ascii_lowercase();
        self.all().get(&name).cloned()
    }
}

/// Answers for a token at this address.
pub(super) async fn show_token(address: SocketAddr, token: &str, authorization: &str) -> Result<(), Fault> {
    let mut stands = STANDS.lock().await;
    let found = open(&mut stands, address, || Offer::Tokens(Arc::default())).await?;
    match found {
        Offer::Tokens(tokens) => tokens.show(token, authorization),
        Offer::Certificates(_) => return Err(taken(address)),
    }
    Ok(())
}

/// No longer; the port is closed with the last.
pub(super) async fn take_back_token(address: SocketAddr, token: &str) {
    let mut stands = STANDS.lock().await;
    if let Some(Offer::Tokens(tokens)) = offer(&stands, address) {
        tokens.take_back(token);
        if tokens.is_empty() {
            close(&mut stands, address).await;
        }
    }
}

/// Shows this certificate to whoever asks for the challenge of this name.
pub(super) async fn show_certificate(
    address: SocketAddr,
    name: &str,
    key: Arc<CertifiedKey>,
) -> Result<(), Fault> {
    let mut stands = STANDS.lock().await;
    let found = open(&mut stands, address, || Offer::Certificates(Arc::default())).await?;
    match found {
        Offer::Certificates(all) => all.all().insert(name.to_ascii_lowercase(), key),
        Offer::Tokens(_) => return Err(taken(address)),
    };
    Ok(())
}

/// No longer, if it is still one for which `ours` holds.
pub(super) async fn take_back_certificate(address: SocketAddr, name: &str, ours: impl Fn(&[u8]) -> bool) {
    let mut stands = STANDS.lock().await;
    if let Some(Offer::Certificates(all)) = offer(&stands, address) {
        let empty = {
            let mut all = all.all();
            let name = name.to_ascii_lowercase();
            if all.get(&name).and_then(|key| key.cert.first()).is_some_and(|leaf| ours(leaf)) {
                all.remove(&name);
            }
            all.is_empty()
        };
        if empty {
            close(&mut stands, address).await;
        }
    }
}

/// The certificate that is shown for this name.
pub(super) async fn shown_certificate(address: SocketAddr, name: &str) -> Option<Arc<CertifiedKey>> {
    let stands = STANDS.lock().await;
    match offer(&stands, address)? {
        Offer::Certificates(all) => all.all().get(&name.to_ascii_lowercase()).cloned(),
        Offer::Tokens(_) => None,
    }
}

fn offer(stands: &[Stand], address: SocketAddr) -> Option<Offer> {
    stands.iter().find(|s| s.address == address && !s.task.is_finished()).map(|s| s.offer.clone())
}

/// The stand at this address, opened if it is not.
async fn open(
    stands: &mut Vec<Stand>,
    address: SocketAddr,
    fresh: impl Fn() -> Offer,
) -> Result<Offer, Fault> {
    // A task ends with the runtime it was started on.
    stands.retain(|stand| !stand.task.is_finished());
    if let Some(offer) = offer(stands, address) {
        return Ok(offer);
    }
    let listener = bind(address).await.map_err(|error| refused(address, &error))?;
    let offer = fresh();
    let task = tokio::spawn(listen(listener, offer.clone()));
    stands.push(Stand { address, offer: offer.clone(), task });
    Ok(offer)
}

/// All addresses of both families where there is IPv6, else of IPv4.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await.map_err(|_| error)
        }
        bound => bound,
    }
}

async fn close(stands: &mut Vec<Stand>, address: SocketAddr) {
    if let Some(at) = stands.iter().position(|stand| stand.address == address) {
        let stand = stands.swap_remove(at);
        stand.task.abort();
        // Only then is the port free for somebody else.
        let _ = stand.task.await;
    }
}

fn refused(address: SocketAddr, error: &io::Error) -> Fault {
    let said = format!("cannot listen on {address}: {error}");
    match error.kind() {
        io::ErrorKind::PermissionDenied => Fault::new(FaultKind::PermissionDenied, said)
            .hint("ports below 1024 are root's: give the service CAP_NET_BIND_SERVICE, or use `webroot`"),
        io::ErrorKind::AddrInUse => Fault::new(FaultKind::System, said)
            .hint("a server is there already: use `webroot` for http-01, or another port behind a redirect (`listen`)"),
        io::ErrorKind::AddrNotAvailable => Fault::new(FaultKind::System, said)
            .hint("`listen` names an address that this machine does not have"),
        _ => Fault::new(FaultKind::System, said),
    }
}

fn taken(address: SocketAddr) -> Fault {
    Fault::new(FaultKind::System, format!("{address} is used for another kind of challenge at the moment"))
        .hint("http-01 and tls-alpn-01 cannot share one port")
}

async fn listen(listener: TcpListener, offer: Offer) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        // Out of descriptors, most likely: a moment later there are some again.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let offer = offer.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let serve = async {
                match offer {
                    Offer::Tokens(tokens) => answer(stream, &tokens).await,
                    Offer::Certificates(all) => shake_hands(stream, all).await,
                }
            };
            let _ = tokio::time::timeout(PATIENCE, serve).await;
        });
    }
}

/// One HTTP request, one answer.
async fn answer(mut stream: TcpStream, tokens: &Tokens) -> io::Result<()> {
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.windows(4).any(|w| w == b"\r\n\r\n") && request.len() < REQUEST_MAX {
        match stream.read(&mut piece).await? {
            0 => return Ok(()),
            read => request.extend_from_slice(&piece[..read]),
        }
    }
    let line = request.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut words = std::str::from_utf8(line).unwrap_or_default().split(' ');
    let found = match (words.next(), words.next()) {
        (Some("GET"), Some(path)) => tokens.answer(path),
        _ => None,
    };
    let (status, body) = match &found {
        Some(body) => ("200 OK", body.as_str()),
        None => ("404 Not Found", ""),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

/// One handshake for the challenge, and nothing after it (RFC 8737 section 3).
async fn shake_hands(stream: TcpStream, all: Arc<Certificates>) -> io::Result<()> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(all);
    config.alpn_protocols = vec![ACME_TLS.to_vec()];
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let mut done = start.into_stream(Arc::new(config)).await?;
    done.shutdown().await
}

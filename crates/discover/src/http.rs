//! The one HTTP client of the sources, which a found value may steer and must not lead astray.
//!
//! Certificates, metadata and registries name addresses, and whoever wrote them wrote the address. So: `http` and
//! `https` only; a name is resolved once, by the resolver that was given, and only the addresses that were judged
//! are connected to, for as long as the client lives; what lies inside a house is refused unless the operator named
//! it, and what clouds keep for their machines always; every redirect is judged anew; size and time have an end; no
//! proxy, no cookie, no password, no decompression. What it says of a refusal or an answer repeats nothing that was
//! received: it must not become a telescope into the network it stands in (F31 to F33).
//!
//! It asks once and repeats nothing. What is not fetched by it: TLS handshakes with servers that were named.

pub mod reach;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_core::observation::{Reason, Seen};
pub use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};

use crate::exclude::Exclude;
use crate::resolve::Resolver;
use crate::sources::Given;
use reach::{Allow, Reach, literal, reach};

/// Servers whose addresses are remembered.
const SERVERS_MAX: usize = 256;

/// A server that says nothing for so long is not waited for.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What to ask for, and when to stop.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// The media types that are wanted, as in `Accept`.
    pub accept: &'static str,
    /// How many octets an answer may have.
    pub size_max: usize,
    /// How long all of it may take: name, connection, redirects, body.
    pub time_max: Duration,
    /// How many redirects are followed.
    pub redirects_max: usize,
}

impl Default for Ask {
    fn default() -> Self {
        Self { accept: "*/*", size_max: 4 << 20, time_max: Duration::from_secs(20), redirects_max: 4 }
    }
}

/// What a server answered, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The address that answered in the end, after redirects.
    pub url: Url,
    /// The status.
    pub status: u16,
    /// `Content-Type`, in lower case, without parameters.
    pub content_type: String,
    /// When one may ask again, where the server said so (`Retry-After`).
    pub again: Option<UnixTime>,
    /// The body of a success; of anything else nothing is kept.
    pub body: Vec<u8>,
}

/// Why there is no answer. Its text holds nothing that a server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One of the closed list.
    pub reason: Reason,
    /// A sentence.
    pub detail: String,
    /// When one may ask again, where the server said so.
    pub again: Option<UnixTime>,
}

impl Failure {
    fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), again: None }
    }

    /// As a source puts it.
    pub fn seen(self) -> Seen {
        Seen::Failed { reason: self.reason, detail: self.detail }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl Answer {
    /// The answer, if it is a success (RFC 9110 section 15.3).
    ///
    /// # Errors
    /// What any other status means.
    pub fn success(self) -> Result<Self, Failure> {
        let place = place(&self.url);
        let (reason, what) = match self.status {
            200..=299 => return Ok(self),
            401 | 403 | 407 => (Reason::PermissionDenied, "does not let us in"),
            404 | 410 => (Reason::NotFound, "knows no such thing"),
            413 => (Reason::TooLarge, "finds the question too large"),
            429 | 503 => (Reason::Budget, "wants to be asked less often"),
            408 | 504 => (Reason::Timeout, "gave up waiting"),
            _ => (Reason::Refused, "has no answer"),
        };
        let detail = format!("{place} {what} (HTTP status {})", self.status);
        Err(Failure { reason, detail, again: self.again })
    }
}

/// Fetches what is asked for, and only from where it may.
pub struct Client {
    resolver: Resolver,
    exclude: Exclude,
    allow: Allow,
    tls: rustls::ClientConfig,
    clock: Arc<dyn Clock>,
    patience: Duration,
    /// One client a server, whose name was resolved and judged once.
    servers: Mutex<HashMap<String, reqwest::Client>>,
}

impl Client {
    /// A client for one run of a source. What it may reach beyond the open Internet is in `allow`.
    ///
    /// # Errors
    /// A sentence, when there is no resolver or no TLS to be had.
    pub fn new(given: &Given, allow: Allow, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let mut store = rustls::RootCertStore::empty();
        store.add_parsable_certificates(given.roots.iter().map(|der| der.to_vec().into()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("no TLS: {e}"))?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Self {
            resolver: Resolver::new(given.network.resolver)?,
            exclude: given.network.exclude.clone(),
            allow,
            tls,
            clock,
            patience: given.network.timeout.max(Duration::from_secs(1)),
            servers: Mutex::default(),
        })
    }

    /// Fetches an address into memory.
    ///
    /// # Errors
    /// When nobody answered, or the address or one on the way may not be asked. An answer that is no success is
    /// an answer: see [`Answer::success`].
    pub async fn get(&self, url: &str, ask: &Ask) -> Result<Answer, Failure> {
        let mut body = Vec::new();
        let mut answer = self.stream(url, ask, &mut |chunk| body.extend_from_slice(chunk)).await?;
        answer.body = body;
        Ok(answer)
    }

    /// Fetches an address and gives the body of a success away piece by piece, as it comes. What was given away
    /// before a failure is the beginning of something that never came.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub async fn stream(
        &self,
        url: &str,
        ask: &Ask,
        take: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<Answer, Failure> {
        let first = Url::parse(url)
            .map_err(|_| Failure::new(Reason::UnsupportedFormat, "the address is no web address"))?;
        let place = place(&first);
        match tokio::time::timeout(ask.time_max, self.follow(first, ask, take)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(
                Reason::Timeout,
                format!("{place} had no whole answer within {} s", ask.time_max.as_secs()),
            )),
        }
    }

    async fn follow(
        &self,
        mut url: Url,
        ask: &Ask,
        take: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<Answer, Failure> {
        for _ in 0..=ask.redirects_max {
            let client = self.server(&url).await?;
            let sent = client.get(url.clone()).header(ACCEPT, ask.accept).send().await;
            let response = sent.map_err(|error| broken(&url, &error))?;
            let status = response.status().as_u16();
            let to = response.headers().get(LOCATION).and_then(|v| v.to_str().ok());
            match to {
                Some(to) if matches!(status, 301 | 302 | 303 | 307 | 308) => {
                    let from = place(&url);
                    let next = url.join(to).map_err(|_| {
                        Failure::new(Reason::Malformed, format!("{from} redirects to what is no address"))
                    })?;
                    if url.scheme() == "https" && next.scheme() != "https" {
                        let detail = format!("{from} redirects from https to something less, not followed");
                        return Err(Failure::new(Reason::Excluded, detail));
                    }
                    url = next;
                }
                _ => return self.receive(url, response, ask, take).await,
            }
        }
        let detail = format!("{} is behind more than {} redirects", place(&url), ask.redirects_max);
        Err(Failure::new(Reason::Budget, detail))
    }

    async fn receive(
        &self,
        url: Url,
        mut response: reqwest::Response,
        ask: &Ask,
        take: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<Answer, Failure> {
        let status = response.status().as_u16();
        let headers = response.headers();
        let content_type = text(headers, CONTENT_TYPE).split(';').next().unwrap_or("").trim().to_lowercase();
        let again = again(text(headers, RETRY_AFTER), self.clock.now());
        let too_large = || {
            let detail = format!("{} sends more than {} octets", place(&url), ask.size_max);
            Failure::new(Reason::TooLarge, detail)
        };
        if (200..300).contains(&status) {
            if response.content_length().is_some_and(|length| length > ask.size_max as u64) {
                return Err(too_large());
            }
            let mut room = ask.size_max;
            while let Some(chunk) = response.chunk().await.map_err(|_| {
                Failure::new(Reason::Malformed, format!("{} broke off its answer", place(&url)))
            })? {
                room = room.checked_sub(chunk.len()).ok_or_else(too_large)?;
                take(&chunk);
            }
        }
        Ok(Answer { url, status, content_type, again, body: Vec::new() })
    }

    /// The client for the server of this address: judged, resolved and pinned the first time.
    async fn server(&self, url: &Url) -> Result<reqwest::Client, Failure> {
        let shown = place(url);
        let refuse = |why: &str| Err(Failure::new(Reason::Excluded, format!("{shown} was not asked: {why}")));
        if !matches!(url.scheme(), "http" | "https") {
            let detail = format!("an address with {}:// is not fetched, only http and https", url.scheme());
            return Err(Failure::new(Reason::Excluded, detail));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("its address carries a user name or a password");
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return refuse("its address names no server");
        };
        if let Some(known) = self.servers().get(&shown) {
            return Ok(known.clone());
        }
        // Below 1024 are the services that take a request for their own language: mail, directories, files.
        let pinned = self.judged(host, port, &shown, matches!(port, 80 | 443 | 1024..)).await?;
        let client = self.pinned(pinned).map_err(|why| Failure::new(Reason::Budget, why))?;
        let mut servers = self.servers();
        if servers.len() >= SERVERS_MAX {
            servers.clear();
        }
        servers.insert(shown, client.clone());
        Ok(client)
    }

    /// Opens a connection to a server of another protocol under the same rules; `port` is that protocol's own.
    ///
    /// # Errors
    /// When it may not be asked, or does not answer.
    pub async fn connect(&self, host: &str, port: u16) -> Result<tokio::net::TcpStream, Failure> {
        let shown = format!("{host}:{port}");
        let addresses = self.judged(host, port, &shown, true).await?;
        let connect = tokio::net::TcpStream::connect(&*addresses);
        match tokio::time::timeout(self.patience, connect).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(_)) => Err(Failure::new(Reason::Refused, format!("{shown} takes no connection"))),
            Err(_) => Err(Failure::new(Reason::Timeout, format!("{shown} did not answer in time"))),
        }
    }

    /// The addresses of a server that may be connected to. `usual`: is the port one that is asked for nothing else?
    async fn judged(
        &self,
        host: &str,
        port: u16,
        shown: &str,
        usual: bool,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let refuse = |why: &str| Err(Failure::new(Reason::Excluded, format!("{shown} was not asked: {why}")));
        let named = self.allow.name(host, port);
        let written = literal(host);
        if self.exclude.name(host) {
            return refuse("it is excluded");
        }
        if !usual && !named && !written.is_some_and(|ip| self.allow.address(ip, port)) {
            return refuse("its port is one of another service");
        }
        let found = match written {
            Some(ip) => vec![ip],
            None => self
                .resolver
                .addresses(host, self.patience)
                .await
                .map_err(|why| Failure::new(Reason::Dns, format!("{shown}: {why}")))?,
        };
        let judge = |ip: &IpAddr| match reach(*ip) {
            Reach::Metadata => Err("its address is one where clouds keep credentials"),
            _ if self.exclude.address(*ip, port) => Err("it is excluded"),
            Reach::Inside if !named && !self.allow.address(*ip, port) => {
                Err("its address is not one of the open Internet, and no configuration allows it")
            }
            Reach::Inside | Reach::Open => Ok(SocketAddr::new(*ip, port)),
        };
        let judged: Vec<Result<SocketAddr, &str>> = found.iter().map(judge).collect();
        let pinned: Vec<SocketAddr> = judged.iter().filter_map(|j| j.as_ref().ok().copied()).collect();
        if pinned.is_empty() {
            return refuse(judged.iter().find_map(|j| j.err()).unwrap_or("its name has no address"));
        }
        Ok(pinned)
    }

    /// A client that reaches these addresses, whatever name it is given.
    fn pinned(&self, addresses: Vec<SocketAddr>) -> Result<reqwest::Client, String> {
        let built = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .dns_resolver(Arc::new(Pinned(addresses)))
            .user_agent(concat!("notafter/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.patience)
            // However long a large document may take, something of it has to come.
            .read_timeout(SILENCE_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            // Another user of the library has these on; answers are read as they are sent.
            .no_gzip()
            .no_deflate()
            .build();
        built.map_err(|e| format!("no HTTP client: {e}"))
    }

    fn servers(&self) -> std::sync::MutexGuard<'_, HashMap<String, reqwest::Client>> {
        self.servers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Addresses that were judged, and nothing else.
struct Pinned(Vec<SocketAddr>);

impl Resolve for Pinned {
    fn resolve(&self, _name: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// `https://crl.example.com:8080`: all that is shown of an address.
pub fn place(url: &Url) -> String {
    let mut out = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        let _ = write!(out, ":{port}");
    }
    out
}

fn text(headers: &HeaderMap, name: reqwest::header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("").trim()
}

/// `Retry-After`, in seconds or as a date (RFC 9110 section 10.2.3), a day ahead at most: who says more has
/// miscounted.
fn again(header: &str, now: UnixTime) -> Option<UnixTime> {
    let date = || {
        let date = httpdate::parse_http_date(header).ok()?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(date.as_secs()).ok().map(|date| date.saturating_sub(now.0))
    };
    let wait = header.parse().ok().or_else(date)?;
    Some(now.plus(wait.clamp(1, 86_400)))
}

/// Why a request came to nothing, in words of our own.
fn broken(url: &Url, error: &reqwest::Error) -> Failure {
    use std::io::ErrorKind as Kind;
    let place = place(url);
    let (mut tls, mut io) = (None, None);
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        // An I/O error has its cause inside rather than behind, and may have another one there.
        let mut inner = next.downcast_ref::<std::io::Error>();
        while let Some(found) = inner {
            io = Some(found.kind());
            tls = tls.or(found.get_ref().and_then(|within| within.downcast_ref::<rustls::Error>()));
            inner = found.get_ref().and_then(|within| within.downcast_ref::<std::io::Error>());
        }
        tls = tls.or(next.downcast_ref::<rustls::Error>());
        cause = next.source();
    }
    if let Some(tls) = tls {
        use rustls::CertificateError as Bad;
        let why = match tls {
            rustls::Error::InvalidCertificate(Bad::UnknownIssuer) => {
                "its certificate comes from no root that is trusted here"
            }
            rustls::Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
                "its certificate has expired"
            }
            rustls::Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
                "its certificate is for other names"
            }
            rustls::Error::InvalidCertificate(_) => "its certificate is not accepted",
            rustls::Error::InvalidMessage(_) => "it does not speak TLS",
            _ => "the TLS handshake failed",
        };
        return Failure::new(Reason::Handshake, format!("{place}: {why}"));
    }
    // The first octet of ours that a server takes is the hello: who closes after that has not understood it.
    if url.scheme() == "https" && matches!(io, Some(Kind::UnexpectedEof | Kind::ConnectionReset)) {
        return Failure::new(
            Reason::Handshake,
            format!("{place} closes the connection instead of speaking TLS"),
        );
    }
    if error.is_timeout() || io == Some(Kind::TimedOut) {
        return Failure::new(Reason::Timeout, format!("{place} did not answer in time"));
    }
    if error.is_connect() {
        return Failure::new(Reason::Refused, format!("{place} takes no connection"));
    }
    Failure::new(Reason::Malformed, format!("{place} did not answer in HTTP"))
}

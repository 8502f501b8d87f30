//! The one HTTP client of this crate: a request goes out once, and comes back as an answer or a `Fault`.
//!
//! It follows no redirect, honours no proxy of the environment, reads 64 kB of an answer at most, ends
//! within its time limit, and never repeats a request: whether that makes sense is said in the fault. What
//! a fault says never holds more of the address than scheme and host, because the path is the password of
//! many webhooks, and never a secret of the request.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use notafter_core::UnixTime;
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_pki::name::printable;
pub use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
pub use reqwest::{Method, Url};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::roots::Roots;
use crate::secret::{Cover, MaybeSecret};
use crate::settings::Span;
use crate::text::cut;

/// How much of an answer is read.
const ANSWER_MAX: usize = 64 * 1024;
/// How much of it is shown in a fault.
const SHOWN_MAX: usize = 300;

/// What every provider that speaks HTTP can be told.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientSettings {
    /// A PEM file with further CA certificates to trust, for a service behind a private CA.
    pub ca_file: Option<PathBuf>,
    /// An HTTP proxy to go through. Without it none is used, whatever the environment says.
    pub proxy: Option<MaybeSecret>,
    /// How long the whole exchange may take. Default `15s`.
    pub timeout: Option<Span>,
}

/// A client with its settings.
#[derive(Clone, Debug)]
pub struct Client {
    inner: reqwest::Client,
    timeout: Duration,
}

/// One request, and the secrets in it.
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// The headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Vec<u8>,
    /// What must not be shown of all this.
    pub cover: Cover,
}

impl Request {
    /// A POST of JSON.
    pub fn json(url: Url, body: &serde_json::Value) -> Self {
        let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let mut cover = Cover::default();
        if let Some(password) = url.password() {
            cover.add(password);
        }
        Self { method: Method::POST, url, headers, body: body.to_string().into_bytes(), cover }
    }

    /// Says that the path and the query of the address are a secret.
    #[must_use]
    pub fn secret_path(mut self) -> Self {
        let (path, query) = (self.url.path().to_owned(), self.url.query().unwrap_or_default().to_owned());
        // In one piece and in pieces: an answer may repeat only the token in it.
        path.split('/').filter(|part| part.len() >= 8).for_each(|part| self.cover.add(part));
        query.split(['&', '=']).filter(|part| part.len() >= 16).for_each(|part| self.cover.add(part));
        if path.len() > 1 {
            self.cover.add(&path);
        }
        self.cover.add(&query);
        self
    }

    /// Adds a header that holds a secret.
    ///
    /// # Errors
    /// When the value is none.
    pub fn secret_header(&mut self, name: HeaderName, prefix: &str, secret: &str) -> Result<(), Fault> {
        let text = zeroize::Zeroizing::new(format!("{prefix}{secret}"));
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            Fault::new(FaultKind::Invalid, format!("the secret for the header {name} has a line break in it"))
                .hint("a secret for a header is one line of printable characters")
        })?;
        value.set_sensitive(true);
        self.cover.add(secret);
        self.headers.push((name, value));
        Ok(())
    }

    /// The request as it would be sent, with every secret covered.
    pub fn preview(&self) -> String {
        let mut out = format!("{} {}\n", self.method, self.cover.mask(self.url.as_str()));
        for (name, value) in &self.headers {
            let shown = String::from_utf8_lossy(value.as_bytes());
            let _ = writeln!(out, "{name}: {}", printable(&self.cover.mask(&shown)));
        }
        let body = String::from_utf8_lossy(&self.body);
        let pretty = serde_json::from_str::<serde_json::Value>(&body)
            .and_then(|json| serde_json::to_string_pretty(&json))
            .unwrap_or_else(|_| body.into_owned());
        let _ = write!(out, "\n{}\n", self.cover.mask(&pretty));
        out
    }
}

/// What came back, when it was a success.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The first 64 kB.
    pub body: Vec<u8>,
}

impl Client {
    /// A client.
    ///
    /// # Errors
    /// A sentence for the person who wrote the settings.
    pub fn new(settings: &ClientSettings, roots: &Roots) -> Result<Self, String> {
        let own = settings.ca_file.as_deref().map(|path| roots.and_file(path)).transpose()?;
        let roots = own.as_ref().unwrap_or(roots);
        let timeout = settings.timeout.unwrap_or(Span::seconds(15)).0;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(roots.client_config()?)
            .user_agent(concat!("notafter/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            // Another user of the library has these on; answers are read as they are sent.
            .no_gzip()
            .no_deflate()
            // Messages are rare: a connection kept would be found dead by the next one.
            .pool_max_idle_per_host(0);
        if let Some(proxy) = &settings.proxy {
            let address = proxy.read().map_err(|e| format!("`proxy`: {e}"))?;
            let proxy = reqwest::Proxy::all(&*address).map_err(|_| {
                "`proxy` is no address of a proxy\nhint: proxy = \"http://proxy.example.com:3128\"".to_owned()
            })?;
            builder = builder.proxy(proxy);
        }
        let inner = builder.build().map_err(|e| format!("no HTTP client: {}", chain(&e)))?;
        Ok(Self { inner, timeout })
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// When nobody answered, or the answer was no success.
    pub async fn send(&self, request: &Request, now: UnixTime) -> Result<Answer, Fault> {
        let place = place(&request.url);
        match tokio::time::timeout(self.timeout, self.exchange(request, &place, now)).await {
            Ok(result) => result,
            Err(_) => Err(Fault::new(
                FaultKind::Unreachable,
                format!("{place} did not answer within {} s", self.timeout.as_secs()),
            )),
        }
    }

    async fn exchange(&self, request: &Request, place: &str, now: UnixTime) -> Result<Answer, Fault> {
        let mut builder = self.inner.request(request.method.clone(), request.url.clone());
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let broke = |error: reqwest::Error| {
            let why = request.cover.mask(&printable(&chain(&error.without_url())));
            let fault = Fault::new(FaultKind::Unreachable, format!("{place} could not be reached: {why}"));
            if why.contains("certificate") {
                fault.hint("a service behind a private CA needs the setting `ca_file`")
            } else {
                fault
            }
        };
        let mut response = builder.body(request.body.clone()).send().await.map_err(broke)?;
        let status = response.status().as_u16();
        let header = |name: &str| {
            response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
        };
        let (retry_after, location) = (header("retry-after"), header("location"));
        let mut body = Vec::new();
        // An answer that breaks off after its status is still an answer.
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = ANSWER_MAX - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == ANSWER_MAX {
                break;
            }
        }
        if (200..300).contains(&status) {
            return Ok(Answer { status, body });
        }
        let said = request.cover.mask(&shown(&body));
        Err(judge(place, status, &said, seconds(&retry_after, &body, now), &location, now))
    }
}

/// What an answer that is no success means (RFC 9110 section 15).
pub(crate) fn judge(
    place: &str,
    status: u16,
    said: &str,
    wait: Option<i64>,
    location: &str,
    now: UnixTime,
) -> Fault {
    let colon = if said.is_empty() { "" } else { ": " };
    let context = format!("{place} answered {status}{colon}{said}");
    match status {
        300..=399 => {
            let to = Url::parse(location).map(|u| format!(" to {}", self::place(&u))).unwrap_or_default();
            Fault::new(FaultKind::Refused, format!("{place} answered {status}, a redirect{to}"))
                .retry(Retry::Never)
                .hint("redirects are not followed, because they would carry the secret elsewhere: set the final address")
        }
        // A day at most: a service that says more has miscounted, and the deadline does not wait.
        429 | 503 if wait.is_some() => Fault::new(FaultKind::Unreachable, context)
            .retry(Retry::At(now.plus(wait.unwrap_or_default().clamp(1, 86_400)))),
        408 | 425 | 429 | 500..=599 => Fault::new(FaultKind::Unreachable, context),
        401 | 403 => Fault::new(FaultKind::Refused, context)
            .retry(Retry::Never)
            .hint("the token, key or address is wrong, or was revoked"),
        404 | 410 => Fault::new(FaultKind::Refused, context)
            .retry(Retry::Never)
            .hint("the address is not known there (any more): a webhook that was removed answers so"),
        _ => Fault::new(FaultKind::Refused, context).retry(Retry::Never),
    }
}

/// `Retry-After`, in seconds or as a date (RFC 9110 section 10.2.3), or `retry_after` of a JSON answer,
/// which is how Telegram says it.
pub(crate) fn seconds(header: &str, body: &[u8], now: UnixTime) -> Option<i64> {
    let date = || {
        let date = httpdate::parse_http_date(header).ok()?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(date.as_secs()).ok().map(|date| date.saturating_sub(now.0))
    };
    header.trim().parse().ok().or_else(date).or_else(|| {
        let json: serde_json::Value = serde_json::from_slice(body).ok()?;
        let wait = json.get("retry_after").or_else(|| json.get("parameters")?.get("retry_after"))?;
        wait.as_f64().map(|seconds| seconds.ceil() as i64)
    })
}

/// The beginning of an answer, in one printable line.
pub(crate) fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN_MAX)]);
    let words: Vec<&str> = text.split_whitespace().collect();
    cut(&printable(&words.join(" ")), SHOWN_MAX)
}

/// `https://hooks.example.com`: all of an address that may be shown.
pub fn place(url: &Url) -> String {
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// Reads an address from a setting.
///
/// # Errors
/// A sentence that does not repeat it.
pub fn address(setting: &str, text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|e| {
        format!("`{setting}` is no web address: {e}\nhint: it begins with https:// and names a host")
    })?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(format!(
            "`{setting}` begins with {}://, and only https:// and http:// are spoken here\n\
             hint: take the address that the service gave you",
            url.scheme()
        ));
    }
    Ok(url)
}

/// An error with its causes: the outermost alone says only that it failed.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        if !out.contains(&text) {
            let _ = write!(out, ": {text}");
        }
        cause = next.source();
    }
    out
}

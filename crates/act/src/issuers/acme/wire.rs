//! One exchange with an ACME server over HTTPS: sent once, read within bounds, judged as an answer, a problem document
//! or a fault. It follows no redirect and repeats nothing; nonces and signatures are `ca.rs`'s business.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_pki::name::printable;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;

use super::guard::{Guard, Resolver};
use super::problem::Problem;
use crate::http::{chain, place, seconds, shown};
use crate::roots::Roots;
use crate::secret::{Cover, MaybeSecret};

/// No document of a CA is longer; a chain of five RSA-4096 certificates is 12 kB.
const ANSWER_MAX: usize = 512 * 1024;

/// How to reach a CA.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) proxy: Option<MaybeSecret>,
    pub(crate) timeout: Duration,
}

/// A client for one CA.
#[derive(Debug)]
pub(crate) struct Wire {
    client: reqwest::Client,
    timeout: Duration,
}

/// A success.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    place: String,
}

/// What came instead of a success.
pub(crate) enum Trouble {
    /// The CA says what is wrong.
    Problem(Box<Problem>),
    /// It says nothing that ACME knows, or nothing at all.
    Fault(Fault),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Trouble {
    /// As a fault; `doing` says what was asked, where the CA has words of its own.
    pub(crate) fn fault(self, doing: &str, now: UnixTime) -> Fault {
        match self {
            Self::Problem(problem) => problem.fault(doing, now),
            Self::Fault(fault) => fault,
        }
    }

    /// Is it a problem of this type?
    pub(crate) fn is(&self, kind: &str) -> bool {
        matches!(self, Self::Problem(problem) if problem.is(kind))
    }
}

impl Wire {
    /// A client.
    ///
    /// # Errors
    /// A sentence for the person who wrote the settings.
    pub(crate) fn new(reach: &Reach, roots: &Roots, guard: &Arc<Guard>) -> Result<Self, String> {
        let own = reach.ca_file.as_deref().map(|path| roots.and_file(path)).transpose()?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(own.as_ref().unwrap_or(roots).client_config()?)
            .user_agent(concat!("notafter/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            // Another user of the library has these on; answers are read as they are sent.
            .no_gzip()
            .no_deflate()
            .dns_resolver(Arc::new(Resolver(Arc::clone(guard))))
            // An order is a dozen exchanges; after it the connection is let go.
            .pool_max_idle_per_host(4)
            .pool_idle_timeout(Duration::from_secs(10));
        if let Some(proxy) = &reach.proxy {
            let address = proxy.read().map_err(|e| format!("`proxy`: {e}"))?;
            let proxy = reqwest::Proxy::all(&*address).map_err(|_| {
                "`proxy` is no address of a proxy\nhint: proxy = \"http://proxy.example.com:3128\"".to_owned()
            })?;
            builder = builder.proxy(proxy);
        }
        let client = builder.build().map_err(|e| format!("no HTTP client: {}", chain(&e)))?;
        Ok(Self { client, timeout: reach.timeout })
    }

    /// Sends one request, and reads the answer.
    pub(crate) async fn exchange(
        &self,
        method: Method,
        url: &Url,
        body: Option<String>,
        accept: &'static str,
        now: UnixTime,
    ) -> Result<Answer, (Trouble, HeaderMap)> {
        let place = place(url);
        let mut request = self.client.request(method, url.clone()).header(ACCEPT, accept);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/jose+json").body(body);
        }
        let read = tokio::time::timeout(self.timeout, read(request, &place)).await.unwrap_or_else(|_| {
            let said =
                format!("the CA at {place} did not finish its answer within {} s", self.timeout.as_secs());
            Err(Fault::new(FaultKind::Unreachable, said))
        });
        let answer = read.map_err(|fault| (fault.into(), HeaderMap::new()))?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let trouble = answer.judge(now);
        Err((trouble, answer.headers))
    }
}

async fn read(request: reqwest::RequestBuilder, place: &str) -> Result<Answer, Fault> {
    let broke = |error: reqwest::Error| {
        let why = printable(&chain(&error.without_url()));
        let fault =
            Fault::new(FaultKind::Unreachable, format!("the CA at {place} could not be asked: {why}"));
        match why {
            why if why.contains("certificate") => {
                fault.hint("a CA with an HTTPS certificate of its own needs the setting `ca_file`")
            }
            why if why.contains("inside this network") => fault.retry(Retry::Never),
            _ => fault,
        }
    };
    let mut response = request.send().await.map_err(broke)?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broke)? {
        body.extend_from_slice(&chunk[..chunk.len().min(ANSWER_MAX + 1 - body.len())]);
        if body.len() > ANSWER_MAX {
            let said = format!("the CA at {place} answered with more than {} kB", ANSWER_MAX / 1024);
            return Err(Fault::new(FaultKind::Unreachable, said)
                .hint("no ACME server says so much: is `directory` the address of one?"));
        }
    }
    Ok(Answer { status, headers, body, place: place.to_owned() })
}

impl Answer {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How long the CA wants us to wait, in seconds (`Retry-After`; RFC 9110 section 10.2.3).
    pub(crate) fn wait(&self, now: UnixTime) -> Option<i64> {
        seconds(self.header("retry-after")?, &[], now)
    }

    /// The links of this relation (RFC 8288), as text.
    pub(crate) fn links(&self, relation: &str) -> Vec<String> {
        let all = self.headers.get_all("link").iter().filter_map(|value| value.to_str().ok());
        // A comma can stand in an address only where it is encoded, in those that ACME servers make.
        all.flat_map(|line| line.split(','))
            .filter_map(|link| {
                let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
                let mut parameters = parameters.split(';').filter_map(|p| p.trim().split_once('='));
                let fits = parameters.any(|(name, value)| {
                    name.trim().eq_ignore_ascii_case("rel")
                        && value.trim().trim_matches('"').split(' ').any(|r| r == relation)
                });
                fits.then(|| target.to_owned())
            })
            .take(16)
            .collect()
    }

    /// The JSON in it.
    pub(crate) fn json<T: DeserializeOwned>(&self, what: &str) -> Result<T, Fault> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let said = shown(&self.body);
            let said = if said.is_empty() { "nothing".to_owned() } else { said };
            Fault::new(FaultKind::Unreachable, format!("the CA at {} should have sent {what}, and sent this: {said} ({error})", self.place))
                .hint("a proxy or a login page in between answers so; or `directory` is no address of an ACME server")
        })
    }

    /// What an answer that is no success means.
    fn judge(&self, now: UnixTime) -> Trouble {
        let wait = self.wait(now);
        let terms = self.links("terms-of-service").into_iter().next();
        if let Some(problem) = Problem::read(&self.body, self.status, wait, terms) {
            return Trouble::Problem(Box::new(problem));
        }
        let mut said = crate::http::judge(
            &format!("the CA at {}", self.place),
            self.status,
            &Cover::default().mask(&shown(&self.body)),
            wait,
            self.header("location").unwrap_or_default(),
            now,
        );
        let hint = match self.status {
            300..=399 => "set `directory` to the address that the CA documents",
            404 | 405 => "`directory` is no address of an ACME server, or what was asked for is gone there",
            401 | 403 => {
                "something in front of the CA lets us not through: a firewall, a proxy, a list of addresses"
            }
            _ => "the CA, or something in front of it, has a trouble of its own",
        };
        if !matches!(self.status, 300..=399) {
            // A CA refuses in a problem document (RFC 8555 section 6.7). This is somebody in front of it.
            said.kind = FaultKind::Unreachable;
        }
        Trouble::Fault(said.hint(hint))
    }
}

//! A conversation with one CA: its directory, a pool of nonces, and signed requests (RFC 8555 sections 6 and 7.1).
//!
//! A nonce that the CA refuses is the only thing that is tried again here, because the CA then did nothing (section 6.5).
//! What a request means is not known here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::Cx;
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use serde_json::Value;

use super::document::Directory;
use super::guard::Guard;
use super::jws::{self, By};
use super::wire::{Answer, Reach, Trouble, Wire};
use crate::roots::Roots;

/// How often one request is signed anew. At nine refusals in ten, one request in a million fails.
const NONCES_MAX: usize = 130;
/// Unused nonces that are kept. They grow old at the CA too.
const POOL_MAX: usize = 16;
/// How long a directory is believed.
const DIRECTORY_FRESH: Duration = Duration::from_secs(600);

const JSON: &str = "application/json";

/// A CA that is talked to.
#[derive(Debug)]
pub(crate) struct Ca {
    directory: Url,
    guard: Arc<Guard>,
    wire: Wire,
    known: Mutex<Option<(Duration, Arc<Directory>)>>,
    nonces: Mutex<Vec<String>>,
}

impl Ca {
    /// A CA by its directory; nothing is asked yet.
    pub(crate) fn new(directory: Url, reach: &Reach, roots: &Roots) -> Result<Self, String> {
        let guard = Guard::new(&directory);
        let wire = Wire::new(reach, roots, &guard)?;
        Ok(Self { directory, guard, wire, known: Mutex::default(), nonces: Mutex::default() })
    }

    /// The address of its directory.
    pub(crate) fn address(&self) -> &Url {
        &self.directory
    }

    /// May it send us there?
    ///
    /// # Errors
    /// When it may not.
    pub(crate) fn allowed(&self, url: &str) -> Result<(), Fault> {
        self.guard.url(url).map(|_| ())
    }

    /// Its directory, not older than ten minutes.
    pub(crate) async fn directory(&self, cx: &Cx) -> Result<Arc<Directory>, Fault> {
        let fresh = |at: Duration| cx.clock.monotonic().saturating_sub(at) < DIRECTORY_FRESH;
        if let Some((at, directory)) = &*self.known.lock().unwrap_or_else(PoisonError::into_inner)
            && fresh(*at)
        {
            return Ok(Arc::clone(directory));
        }
        let answer =
            self.wire.exchange(Method::GET, &self.directory, None, JSON, cx.clock.now()).await.map_err(
                |(trouble, _)| trouble.fault("the CA does not give its directory", cx.clock.now()),
            )?;
        self.remember(&answer.headers);
        let directory: Directory = answer.json("its directory")?;
        self.guard.learn(directory.urls())?;
        let directory = Arc::new(directory);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((cx.clock.monotonic(), Arc::clone(&directory)));
        Ok(directory)
    }

    /// What its clock shows: the `Date` of an answer (RFC 9110 section 6.6.1). Asked anew each time.
    pub(crate) async fn time(&self, cx: &Cx) -> Result<Option<UnixTime>, Fault> {
        let now = cx.clock.now();
        let sent = self.wire.exchange(Method::GET, &self.directory, None, JSON, now).await;
        let answer =
            sent.map_err(|(trouble, _)| trouble.fault("the CA does not say what time it is", now))?;
        // A date is that many seconds away from the beginning of time.
        Ok(answer.header("date").and_then(|date| crate::http::seconds(date, &[], UnixTime(0))).map(UnixTime))
    }

    /// Reads without a signature: what RFC 8555 calls a GET.
    pub(crate) async fn get(&self, cx: &Cx, url: &str) -> Result<Answer, Trouble> {
        let url = self.guard.url(url)?;
        self.wire
            .exchange(Method::GET, &url, None, JSON, cx.clock.now())
            .await
            .map_err(|(trouble, _)| trouble)
    }

    /// A signed request; without a payload it reads (POST-as-GET).
    pub(crate) async fn post(
        &self,
        cx: &Cx,
        url: &str,
        by: By<'_>,
        payload: Option<&Value>,
    ) -> Result<Answer, Trouble> {
        self.post_for(cx, url, by, payload, JSON).await
    }

    /// The same for another media type.
    pub(crate) async fn post_for(
        &self,
        cx: &Cx,
        url: &str,
        by: By<'_>,
        payload: Option<&Value>,
        accept: &'static str,
    ) -> Result<Answer, Trouble> {
        let directory = self.directory(cx).await?;
        let address = self.guard.url(url)?;
        let mut last = None;
        for _ in 0..NONCES_MAX {
            let nonce = match self.take_nonce() {
                Some(nonce) => nonce,
                None => self.fresh_nonce(cx, &directory).await?,
            };
            let body = jws::sign(by, Some(&nonce), url, payload)
                .map_err(|said| Fault::new(FaultKind::System, said))?;
            let sent =
                self.wire.exchange(Method::POST, &address, Some(body.to_string()), accept, cx.clock.now());
            match sent.await {
                Ok(answer) => {
                    self.remember(&answer.headers);
                    return Ok(answer);
                }
                Err((trouble, headers)) => {
                    self.remember(&headers);
                    if !trouble.is("badNonce") {
                        return Err(trouble);
                    }
                    last = Some(trouble);
                }
            }
        }
        Err(last.unwrap_or_else(|| Fault::new(FaultKind::Unreachable, "no nonce was taken").into()))
    }

    async fn fresh_nonce(&self, cx: &Cx, directory: &Directory) -> Result<String, Trouble> {
        let url = self.guard.url(&directory.new_nonce)?;
        let answer = self.wire.exchange(Method::HEAD, &url, None, JSON, cx.clock.now()).await;
        let answer = answer.map_err(|(trouble, _)| trouble)?;
        self.remember(&answer.headers);
        self.take_nonce().ok_or_else(|| {
            let said = "the CA gave no nonce where it promised one (RFC 8555 section 7.2)";
            Fault::new(FaultKind::Unreachable, said)
                .hint("a proxy in between may drop the header Replay-Nonce")
                .into()
        })
    }

    fn take_nonce(&self) -> Option<String> {
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps the nonce of an answer. One that is no base64url is not to be used (RFC 8555 section 6.5.1).
    fn remember(&self, headers: &HeaderMap) {
        let fits = |text: &&str| {
            (1..=1_024).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let nonce = headers.get("replay-nonce").and_then(|value| value.to_str().ok()).filter(fits);
        if let Some(nonce) = nonce {
            let mut pool = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
            if pool.len() == POOL_MAX {
                pool.remove(0);
            }
            pool.push(nonce.to_owned());
        }
    }
}

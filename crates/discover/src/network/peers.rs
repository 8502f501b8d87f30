//! What time others have: asked only where what is seen makes our own clock doubtful.
//!
//! A certificate that is in service and, by our clock, over or not begun is either wrong or shows that we are. Then a few
//! of those servers are asked for the time, by one `HEAD /` each. Who is right is judged elsewhere.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use notafter_core::UnixTime;
use notafter_core::joints::{Cx, Sink};
use notafter_core::location::Location;
use notafter_core::observation::{Observation, Seen};
use notafter_pki::certificate::Certificate;
use notafter_wire::tls::grab::{Settings, Starttls, Target};
use notafter_wire::tls::hello::Offer;
use notafter_wire::tls::prove;

use super::Ticks;

/// So many are asked.
const MOST: usize = 3;

/// A sink in front of another one, which notes whom to ask.
pub(super) struct Peers {
    out: Arc<dyn Sink>,
    doubtful: Mutex<Vec<(SocketAddr, Option<String>)>>,
}

impl Peers {
    pub(super) fn new(out: Arc<dyn Sink>) -> Arc<Self> {
        Arc::new(Self { out, doubtful: Mutex::default() })
    }

    fn note(&self, location: &Location, leaf: &[u8], at: UnixTime) {
        let Some(address) = location.address().filter(|_| location.scheme() == "tls") else { return };
        let Ok(certificate) = Certificate::parse(leaf) else { return };
        let over = certificate.not_after().is_some_and(|end| end < at);
        let not_begun = certificate.not_before().is_some_and(|begin| begin > at);
        let mut doubtful = self.doubtful.lock().unwrap_or_else(PoisonError::into_inner);
        let known = doubtful.iter().any(|(ip, _)| ip.ip() == address.ip());
        if (over || not_begun) && doubtful.len() < MOST && !known {
            doubtful.push((address, location.sni().map(str::to_owned)));
        }
    }

    /// Asks those that were noted. Blocks.
    pub(super) fn ask(&self, cx: &Cx, settings: &Settings) {
        let doubtful = std::mem::take(&mut *self.doubtful.lock().unwrap_or_else(PoisonError::into_inner));
        for (address, sni) in doubtful {
            let location = Location::endpoint("tls", address, sni.as_deref());
            let target = Target {
                tag: 0,
                addr: address,
                sni: sni.map(Arc::from),
                starttls: Starttls::No,
                offer: Offer::Any,
                want_client_cas: false,
            };
            let Ok(Some(text)) = prove::date(&target, settings, &Ticks(Arc::clone(&cx.clock))) else {
                continue;
            };
            let at = cx.clock.now();
            let theirs =
                httpdate::parse_http_date(&text).ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
            if let Some(theirs) = theirs.and_then(|t| i64::try_from(t.as_secs()).ok()) {
                let seen = Seen::Time { ahead: at.0 - theirs };
                self.out.put(Observation { at, location, seen });
            }
        }
    }
}

impl Sink for Peers {
    fn put(&self, observation: Observation) {
        if let Seen::Chain { chain, .. } = &observation.seen
            && let Some(leaf) = chain.first()
        {
            self.note(&observation.location, leaf, observation.at);
        }
        self.out.put(observation);
    }
}

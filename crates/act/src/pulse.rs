//! The heartbeat: a GET to a dead man's switch elsewhere, which rings when it stays away.
//!
//! Any service that takes "I am alive" by URL will do (healthchecks.io, Uptime Kuma's push, a cron monitor).
//! The URL is a secret: whoever knows it can pretend that we live.

use std::path::Path;

use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::{BoxFuture, Cx, Pulse};
use reqwest::Method;

use crate::http::{self, Client, ClientSettings, Request};
use crate::roots::Roots;
use crate::secret::MaybeSecret;

/// A heartbeat over HTTP.
pub struct HttpPulse {
    client: Client,
    url: MaybeSecret,
}

impl HttpPulse {
    /// A heartbeat to this address.
    ///
    /// # Errors
    /// A sentence for the person who wrote it.
    pub fn new(url: &MaybeSecret, ca_file: Option<&Path>) -> Result<Self, String> {
        http::address("url", &url.read()?)?;
        let settings = ClientSettings { ca_file: ca_file.map(Path::to_owned), ..ClientSettings::default() };
        Ok(Self { client: Client::new(&settings, &Roots::read())?, url: url.clone() })
    }
}

impl Pulse for HttpPulse {
    fn beat<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let invalid = |message: String| Fault::new(FaultKind::Invalid, message);
            let url = self.url.read().map_err(invalid)?;
            let url = http::address("url", &url).map_err(invalid)?;
            let mut request = Request::json(url, &serde_json::Value::Null).secret_path();
            request.method = Method::GET;
            request.body = Vec::new();
            self.client.send(&request, cx.clock.now()).await.map(drop)
        })
    }
}

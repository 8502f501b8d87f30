//! http-01 (RFC 8555 section 8.3): a small answer on port 80 of the name.
//!
//! Three ways to give it: a file in the folder of the web server that is there (`webroot`), a port that is open for the time
//! of the challenge (the default), or this program's own HTTP server (`server = true`).

mod webroot;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use notafter_core::deployment::Check;
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::issuance::{Challenge, ChallengeType, Cleanup, Identifier};
use notafter_core::joints::{BoxFuture, Cx, Solver};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::seen::{Eyes, Seen};
use super::{BuildCx, Shown, stand};
use crate::issuers::acme::jws::b64;
use crate::settings;

/// `kind = "http-01"`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The folder that the web server serves as `/`. The answer is put into `.well-known/acme-challenge` below it.
    webroot: Option<PathBuf>,
    /// Answer through the HTTP server of this program, where port 80 leads to it. Default `false`.
    server: Option<bool>,
    /// Where to listen for the time of a challenge, without `webroot` and `server`. Default `[::]:80`.
    listen: Option<String>,
    /// Look at the answer as the CA would, before the CA is asked. Default `true`; `false` where this machine cannot reach
    /// itself by its name.
    check: Option<bool>,
    /// The port that is looked at. Default `80`; another one only for CAs of one's own.
    port: Option<u16>,
    /// The address that is looked at, instead of those the name resolves to.
    address: Option<IpAddr>,
}

/// The JSON schema.
pub(super) fn schema() -> Value {
    settings::schema::<Settings>()
}

/// A solver.
pub(super) struct Http01 {
    way: Way,
    eyes: Option<Eyes>,
}

enum Way {
    Webroot(PathBuf),
    Listen(SocketAddr),
    Server(Shown),
}

/// The address in `listen`: with a port, or a port alone.
pub(super) fn listen(text: Option<&str>, port: u16) -> Result<SocketAddr, String> {
    let Some(text) = text else { return Ok((Ipv6Addr::UNSPECIFIED, port).into()) };
    let alone =
        || Some(SocketAddr::from((Ipv6Addr::UNSPECIFIED, text.trim_start_matches(':').parse().ok()?)));
    text.parse().ok().or_else(alone).ok_or_else(|| {
        format!(
            "`listen`: `{}` is no address with a port\nhint: listen = \"0.0.0.0:{port}\"",
            text.escape_debug()
        )
    })
}

impl Http01 {
    pub(super) fn open(table: Value, cx: &BuildCx) -> Result<Self, String> {
        let read: Settings = settings::read(table, &schema())?;
        let server = read.server == Some(true);
        if u8::from(read.webroot.is_some()) + u8::from(server) + u8::from(read.listen.is_some()) > 1 {
            return Err(
                "`webroot`, `server` and `listen` are three ways to do one thing\nhint: keep one of them"
                    .to_owned(),
            );
        }
        let way = match read.webroot {
            Some(path) if !path.is_absolute() => {
                return Err(format!(
                    "`webroot`: {} is no full path, and where a service runs is not where you are\nhint: webroot = \"/var/www/html\"",
                    path.display()
                ));
            }
            Some(path) => Way::Webroot(path),
            None if server => Way::Server(Shown::new(Arc::clone(&cx.keep))),
            None => Way::Listen(listen(read.listen.as_deref(), 80)?),
        };
        let eyes = Eyes { port: read.port.unwrap_or(80), address: read.address };
        Ok(Self { way, eyes: read.check.unwrap_or(true).then_some(eyes) })
    }

    async fn show(&self, token: &str, authorization: &str) -> Result<(), Fault> {
        match &self.way {
            Way::Webroot(root) => {
                let (root, token, text) = (root.clone(), token.to_owned(), authorization.to_owned());
                let work = tokio::task::spawn_blocking(move || webroot::write(&root, &token, &text));
                work.await.map_err(|e| Fault::new(FaultKind::System, e.to_string()))?
            }
            Way::Listen(address) => stand::show_token(*address, token, authorization).await,
            Way::Server(shown) => shown.show(token, authorization),
        }
    }

    async fn take_back(&self, token: &str, authorization: &str) -> Result<(), Fault> {
        match &self.way {
            Way::Webroot(root) => {
                let (root, token, text) = (root.clone(), token.to_owned(), authorization.to_owned());
                let work = tokio::task::spawn_blocking(move || webroot::remove(&root, &token, &text));
                work.await.map_err(|e| Fault::new(FaultKind::System, e.to_string()))?
            }
            Way::Listen(address) => {
                stand::take_back_token(*address, token).await;
                Ok(())
            }
            Way::Server(shown) => shown.take_back(token),
        }
    }

    async fn checks(&self, name: &Identifier) -> Vec<Check> {
        let what = match &self.way {
            Way::Webroot(root) => format!("write to {}", root.display()),
            Way::Listen(address) => format!("listen on {address}"),
            Way::Server(_) => "answer through our own HTTP server".to_owned(),
        };
        if name.is_wildcard() {
            let hint = "a wildcard can be proved by dns-01 alone: set such a solver";
            return vec![Check::fails(format!("http-01 of {name}"), "no CA takes it for a wildcard", hint)];
        }
        let mut random = [0; 24];
        if SystemRandom::new().fill(&mut random).is_err() {
            return vec![Check::fails(
                what,
                "there is no randomness on this machine",
                "look at the kernel's log",
            )];
        }
        let token = format!("rehearsal-{}", b64(&random));
        let authorization = format!("{token}.rehearsal");
        if let Err(fault) = self.show(&token, &authorization).await {
            return vec![Check::fails(what, fault.context, fault.hint.unwrap_or_default())];
        }
        let mut checks = vec![Check::works(what, "done and taken back")];
        if let Some(eyes) = &self.eyes {
            let what = format!("port {} of {name}", eyes.port);
            checks.push(match eyes.http(name, &token, &authorization).await {
                Ok(Seen::Right) => Check::works(what, "what was shown is seen there"),
                Ok(Seen::Wrong(why)) => Check::fails(what, why, "the name has to lead to what answers for it, on port 80, without a password; if only this machine cannot see itself (NAT), set check = false"),
                Err(fault) => Check::fails(what, fault.context, fault.hint.unwrap_or_default()),
            });
        }
        if let Err(fault) = self.take_back(&token, &authorization).await {
            checks.push(Check::fails("take it back", fault.context, fault.hint.unwrap_or_default()));
        }
        checks
    }
}

impl Solver for Http01 {
    fn kind(&self) -> ChallengeType {
        ChallengeType::Http01
    }

    fn present<'a>(&'a self, _: &'a Cx, challenge: &'a Challenge) -> BoxFuture<'a, Result<Cleanup, Fault>> {
        Box::pin(async move {
            self.show(&challenge.token, &challenge.key_authorization).await?;
            Ok(Cleanup(json!({ "token": challenge.token, "authorization": challenge.key_authorization })))
        })
    }

    fn is_visible<'a>(&'a self, _: &'a Cx, challenge: &'a Challenge) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async move {
            // What listens in this process ends with it: after a restart it is shown anew.
            if matches!(self.way, Way::Listen(_)) {
                self.show(&challenge.token, &challenge.key_authorization).await?;
            }
            let Some(eyes) = &self.eyes else { return Ok(true) };
            let seen =
                eyes.http(&challenge.identifier, &challenge.token, &challenge.key_authorization).await?;
            Ok(seen == Seen::Right)
        })
    }

    fn clean_up<'a>(&'a self, _: &'a Cx, cleanup: &'a Cleanup) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let part = |name: &str| cleanup.0[name].as_str().unwrap_or_default();
            self.take_back(part("token"), part("authorization")).await
        })
    }

    fn rehearse<'a>(&'a self, _: &'a Cx, name: &'a Identifier) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(self.checks(name))
    }
}

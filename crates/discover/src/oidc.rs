//! OpenID providers by their issuer: `oidc:https://login.example.com`, the keys by which tokens are verified.
//!
//! Fetches the discovery document (OpenID Connect Discovery section 4, else RFC 8414 section 3) and the key set that it
//! names. That address is a stranger's word: it is followed by the guarded client, and into a house only where the
//! issuer, or `allow`, lies there. No token is asked for and none is verified.

use std::sync::Arc;

use notafter_core::fault::{Fault, FaultKind};
use notafter_core::inventory::{AssetKind, Role};
use notafter_core::joints::{BoxFuture, Cx, Sink, Source};
use notafter_core::location::Location;
use notafter_core::observation::{Facts, Observation, Reason, Seen};
use notafter_core::scan::{Progress, Scan};
use notafter_pki::container::{self, Content, Limits};
use notafter_pki::statement::jwk;

use crate::http::reach::Allow;
use crate::http::{Answer, Ask, Client, Failure};
use crate::parts;
use crate::sources::{Given, Order, SourceKind};
use crate::target::NoTarget;

/// The kind.
pub const OIDC: SourceKind = SourceKind {
    name: "oidc",
    words: &["oidc"],
    doc: "OpenID providers: the keys by which everyone's tokens are verified",
    every: 3600,
    outside: Some("the discovery document and key set of each issuer are fetched; nothing is sent to them"),
    keys: &["issuers", "allow"],
    build,
};

/// Some issuers.
struct Oidc {
    issuers: Vec<String>,
    allow: Allow,
    given: Given,
}

fn build(order: Order<'_>) -> Result<Box<dyn Source>, NoTarget> {
    let from_words = order.targets.iter().map(|text| text.split_once(':').map_or("", |(_, rest)| rest));
    let issuers: Vec<String> = if order.targets.is_empty() {
        order.texts("issuers")?
    } else {
        from_words.map(str::to_owned).collect()
    };
    if issuers.is_empty() {
        return Err(wrong("it names no issuer".to_owned()));
    }
    let mut allow = Allow::default();
    for text in order.texts("allow")? {
        allow.add(&text)?;
    }
    for issuer in &issuers {
        if !issuer.starts_with("https://") && !issuer.starts_with("http://") {
            return Err(wrong(format!("`{issuer}` is no issuer")));
        }
        allow.add(issuer)?;
    }
    Ok(Box::new(Oidc { issuers, allow, given: order.given.clone() }))
}

fn wrong(message: String) -> NoTarget {
    NoTarget { message, hint: "write oidc:https://login.example.com, or issuers = [\"...\"]".to_owned() }
}

impl Source for Oidc {
    fn discover<'a>(&'a self, cx: &'a Cx, out: Arc<dyn Sink>) -> BoxFuture<'a, Result<Scan, Fault>> {
        Box::pin(async move {
            let client = Client::new(&self.given, self.allow.clone(), Arc::clone(&cx.clock))
                .map_err(|e| Fault::new(FaultKind::Exhausted, e))?;
            for issuer in &self.issuers {
                Progress::add(&cx.progress.attempted, 1);
                match look(&client, issuer, cx, &*out).await {
                    Ok(()) => Progress::add(&cx.progress.reached, 1),
                    Err((place, failure)) => {
                        Progress::add(&cx.progress.unreachable, 1);
                        if let Some(location) = Location::parse(&place) {
                            out.put(Observation { at: cx.clock.now(), location, seen: failure.seen() });
                        }
                    }
                }
            }
            Ok(cx.progress.scan())
        })
    }
}

/// What stands behind the issuer: its document, then its keys. On failure, of what and why.
async fn look(client: &Client, issuer: &str, cx: &Cx, out: &dyn Sink) -> Result<(), (String, Failure)> {
    let ask = Ask { accept: "application/json", ..Ask::default() };
    let fetch = |url: String| async {
        let got = client.get(&url, &ask).await.and_then(Answer::success);
        got.map_err(|failure| (url, failure))
    };
    let malformed = |url: &str, detail: &str| {
        let failure = Failure { reason: Reason::Malformed, detail: detail.to_owned(), again: None };
        (url.to_owned(), failure)
    };
    let [first, second] = documents(issuer);
    let (url, answer) = match fetch(first.clone()).await {
        Err((_, failure)) if failure.reason == Reason::NotFound => (second.clone(), fetch(second).await?),
        other => (first, other?),
    };
    let discovery = jwk::discovery(&answer.body)
        .ok_or_else(|| malformed(&url, "it is no discovery document: it names no issuer or no key set"))?;
    if discovery.issuer.trim_end_matches('/') != issuer.trim_end_matches('/') {
        // Section 4.3: whoever verifies refuses then.
        return Err(malformed(&url, "its discovery document is another issuer's"));
    }
    let keys = fetch(discovery.jwks_uri.clone()).await?;
    put(&discovery.jwks_uri, &keys.body, cx, out)
        .ok_or_else(|| malformed(&discovery.jwks_uri, "there is no key in its key set"))
}

/// Where discovery documents are: behind the issuer's path, and as RFC 8414 section 3.1 has it, before it.
fn documents(issuer: &str) -> [String; 2] {
    let issuer = issuer.trim_end_matches('/');
    let authority = issuer.split_once("://").map_or(0, |(scheme, _)| scheme.len() + 3);
    let path = issuer[authority..].find('/').map_or(issuer.len(), |at| authority + at);
    let (server, path) = issuer.split_at(path);
    [
        format!("{issuer}/.well-known/openid-configuration"),
        format!("{server}/.well-known/oauth-authorization-server{path}"),
    ]
}

/// Puts the keys of a set; `None` where there are none.
fn put(url: &str, body: &[u8], cx: &Cx, out: &dyn Sink) -> Option<()> {
    let opened = container::open(body, &[], &Limits::default());
    let parts = parts::parts(opened.format, &opened.found);
    let (base, at) = (url.split('#').next().unwrap_or(url), cx.clock.now());
    let mut any = None;
    for (found, part) in opened.found.iter().zip(parts) {
        let Some(location) = Location::parse(&format!("{base}#{}", found.place.as_str())) else { continue };
        let role = if part.is_some() { Role::Signer } else { Role::Intermediate };
        let facts = Facts { part, ..Facts::default() };
        let seen = match &found.content {
            Content::Certificate(der) => {
                Seen::Chain { chain: vec![Arc::from(der.as_ref())], role: Some(role), leads: false, facts }
            }
            Content::Statement(statement) => Seen::Dated {
                kind: AssetKind::of_statement(statement.kind()),
                der: statement.to_bytes().into(),
                facts,
            },
            _ => continue,
        };
        any = Some(());
        out.put(Observation { at, location, seen });
    }
    any
}

#[cfg(test)]
mod tests {
    use super::documents;

    #[test]
    fn where_documents_are() {
        let check = |issuer: &str, expected: [&str; 2]| assert_eq!(documents(issuer), expected, "{issuer}");
        check(
            "https://login.test",
            [
                "https://login.test/.well-known/openid-configuration",
                "https://login.test/.well-known/oauth-authorization-server",
            ],
        );
        check(
            "https://login.test:8443/realms/a/",
            [
                "https://login.test:8443/realms/a/.well-known/openid-configuration",
                "https://login.test:8443/.well-known/oauth-authorization-server/realms/a",
            ],
        );
    }
}

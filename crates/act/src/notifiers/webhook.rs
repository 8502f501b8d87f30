//! A webhook of anybody's: the notice as JSON or through a template, signed if there is a secret.
//!
//! Signed twice: by Standard Webhooks (standardwebhooks.com), whose signature covers id, time and body, so
//! that a receiver can refuse a replay; and with the plain HMAC of the body that many receivers know from
//! GitHub. A change of time between attempts changes the first and not the second.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use notafter_core::fault::Fault;
use schemars::JsonSchema;
use serde::Deserialize;

use super::document::NoticeDocument;
use super::template::Template;
use super::{Dress, HttpTable, Outgoing, token, unfit, unreadable};
use crate::http::{CONTENT_TYPE, HeaderName, HeaderValue, Method, Request, address};
use crate::secret::{Cover, MaybeSecret, Secret};
use crate::text::Words;

/// The method of a webhook.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Verb {
    /// The usual one.
    #[default]
    Post,
    /// Where a receiver wants it.
    Put,
    /// Where a receiver wants it.
    Patch,
}

/// `kind = "webhook"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Where to send to. Treated as a secret.
    url: MaybeSecret,
    /// `POST`, `PUT` or `PATCH`. Default `POST`.
    #[serde(default)]
    method: Verb,
    /// Further headers; a value may be a secret.
    #[serde(default)]
    headers: BTreeMap<String, MaybeSecret>,
    /// Signs every request: `webhook-id`, `webhook-timestamp` and `webhook-signature` by Standard Webhooks,
    /// and `X-Notafter-Signature: sha256=HEX`, the HMAC-SHA256 of the body. A secret that begins with
    /// `whsec_` is read as base64.
    secret: Option<Secret>,
    /// The body, instead of the notice's JSON: `{{field}}` is a value escaped for a JSON string,
    /// `{{{field}}}` the value as it stands. Fields: id, event, severity, alert, owner, to, subject, title,
    /// text, hint, deadline, days_left, message (all of it as plain text), acknowledge_url,
    /// acknowledge_command, page_url, at.
    template: Option<String>,
}

impl HttpTable for Settings {
    const NAME: &'static str = "webhook";
    const DOC: &'static str = "Any HTTP address: the notice as JSON or through a template, signed.";
    type Dress = Webhook;

    fn open(self) -> Result<Webhook, String> {
        address("url", &self.url.read()?)?;
        let template = self.template.as_deref().map(Template::parse).transpose()?;
        for (name, value) in &self.headers {
            header(name)?;
            let value = value.read()?;
            HeaderValue::from_str(&value).map_err(|_| {
                format!(
                    "the header {name} has a line break or a control character\nhint: a header is one line"
                )
            })?;
        }
        if let Some(secret) = &self.secret {
            key(&secret.read()?)?;
        }
        Ok(Webhook { settings: self, template })
    }
}

pub(super) struct Webhook {
    settings: Settings,
    template: Option<Template>,
}

impl Dress for Webhook {
    fn request(&self, out: &Outgoing<'_>, words: &Words) -> Result<Request, Fault> {
        let settings = &self.settings;
        let url = settings.url.read().and_then(|u| address("url", &u)).map_err(unreadable)?;
        let document = NoticeDocument::of(out, words);
        let body = match &self.template {
            Some(template) => template.fill(&document, words),
            None => document.to_json(),
        };
        let mut request = Request {
            method: match settings.method {
                Verb::Post => Method::POST,
                Verb::Put => Method::PUT,
                Verb::Patch => Method::PATCH,
            },
            url,
            headers: Vec::new(),
            body: body.into_bytes(),
            cover: Cover::default(),
        }
        .secret_path();
        for (name, value) in &settings.headers {
            let value = value.read().map_err(unreadable)?;
            let name = header(name).map_err(|why| unfit(why, "take the header out"))?;
            request.secret_header(name, "", &value)?;
        }
        if !request.headers.iter().any(|(name, _)| name == CONTENT_TYPE) {
            request.headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        if let Some(secret) = &settings.secret {
            let key = secret.read().and_then(|s| key(&s)).map_err(unreadable)?;
            for (name, value) in signatures(&key, &token(&out.notice.id), out.now.0, &request.body) {
                let value = HeaderValue::from_str(&value)
                    .map_err(|_| unfit("the message has no id", "report this"))?;
                request.headers.push((HeaderName::from_static(name), value));
            }
        }
        Ok(request)
    }
}

/// The headers that sign a body.
pub(crate) fn signatures(key: &hmac::Key, id: &str, now: i64, body: &[u8]) -> [(&'static str, String); 4] {
    let mut signed = format!("{id}.{now}.").into_bytes();
    signed.extend_from_slice(body);
    let standard = STANDARD.encode(hmac::sign(key, &signed));
    let mut plain = "sha256=".to_owned();
    for octet in hmac::sign(key, body).as_ref() {
        let _ = write!(plain, "{octet:02x}");
    }
    [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", now.to_string()),
        ("webhook-signature", format!("v1,{standard}")),
        ("x-notafter-signature", plain),
    ]
}

/// The key of a secret: `whsec_` and base64 by Standard Webhooks, else the octets as they are.
pub(crate) fn key(secret: &str) -> Result<hmac::Key, String> {
    let octets = match secret.strip_prefix("whsec_") {
        Some(encoded) => zeroize::Zeroizing::new(STANDARD.decode(encoded).map_err(|_| {
            "`secret` begins with whsec_, and what follows is no base64\n\
             hint: copy the secret whole, or leave the prefix away"
                .to_owned()
        })?),
        None => zeroize::Zeroizing::new(secret.as_bytes().to_vec()),
    };
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &octets))
}

/// A header that a user may set. What frames the request is not theirs: with it one request becomes two.
fn header(name: &str) -> Result<HeaderName, String> {
    let shown = name.escape_debug();
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{shown}` is no name of a header\nhint: letters, digits and -"))?;
    match parsed.as_str() {
        "host" | "content-length" | "transfer-encoding" | "connection" | "te" | "trailer" | "upgrade"
        | "expect" => {
            Err(format!("the header {shown} frames the request and cannot be set\nhint: take it out"))
        }
        _ => Ok(parsed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_standard() {
        // The example of the Standard Webhooks specification's reference libraries.
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let made = signatures(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(made[2].1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        // printf '{"test": 2432232314}' | openssl dgst -sha256 -hmac key
        let plain = super::key("key").unwrap();
        assert!(signatures(&plain, "x", 0, body)[3].1.starts_with("sha256="));
    }

    #[test]
    fn what_frames_the_request_cannot_be_set() {
        for name in ["Content-Length", "transfer-encoding", "Host", "a b", "a\r\nb", ""] {
            assert!(header(name).is_err(), "{name}");
        }
        assert!(header("Authorization").is_ok());
    }
}

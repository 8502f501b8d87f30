//! ntfy: a push message published as JSON (docs.ntfy.sh/publish, "Publish as JSON").
//!
//! JSON and not headers, so that no title can end a header. The address behind the colon is a topic.

use notafter_core::fault::Fault;
use notafter_core::finding::Severity;
use notafter_core::notice::Event;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Dress, HttpTable, Outgoing, unfit, unreadable};
use crate::http::{AUTHORIZATION, Request, Url, address};
use crate::secret::Secret;
use crate::text::{Markup, Plain, Row, Words, clean, lay_out_text};

/// Above 4096 bytes ntfy turns a message into an attachment that nobody opens.
const BYTES_MAX: usize = 3900;

/// `kind = "ntfy"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The server. Default `https://ntfy.sh`, where everybody can read a topic whose name they guess.
    url: Option<String>,
    /// The topic to publish to when `notify` names none.
    topic: Option<String>,
    /// An access token.
    token: Option<Secret>,
    /// A user, instead of a token.
    user: Option<String>,
    /// The user's password.
    password: Option<Secret>,
}

impl HttpTable for Settings {
    const NAME: &'static str = "ntfy";
    const DOC: &'static str = "A push message through ntfy. The address is a topic.";
    type Dress = Ntfy;
    const ADDRESS: super::CheckAddress = |table, to| {
        super::address::one(table, to, "topic", is_topic, "set `topic`, or write NAME:TOPIC in `notify`")
    };

    fn open(self) -> Result<Ntfy, String> {
        let url = address("url", self.url.as_deref().unwrap_or("https://ntfy.sh"))?;
        if self.user.is_some() != self.password.is_some() || (self.user.is_some() && self.token.is_some()) {
            return Err("`user` and `password` belong together, and `token` stands alone\n\
                        hint: set either token, or user and password"
                .to_owned());
        }
        if let Some(topic) = self.topic.as_deref().filter(|t| !is_topic(t)) {
            return Err(format!(
                "`topic` {} is none\nhint: letters, digits, _ and -, at most 64",
                topic.escape_debug()
            ));
        }
        for secret in self.token.iter().chain(&self.password) {
            secret.read()?;
        }
        Ok(Ntfy { url, settings: self })
    }
}

pub(super) struct Ntfy {
    url: Url,
    settings: Settings,
}

impl Dress for Ntfy {
    fn request(&self, out: &Outgoing<'_>, words: &Words) -> Result<Request, Fault> {
        let topic = out.to.or(self.settings.topic.as_deref()).filter(|t| is_topic(t)).ok_or_else(|| {
            unfit("there is no topic to publish to", "set `topic`, or write NAME:TOPIC in `notify`")
        })?;
        let (priority, tag) = match (words.event, words.severity) {
            (Event::Resolved, _) => (3, "white_check_mark"),
            (_, Severity::Critical) => (5, "rotating_light"),
            (_, Severity::Warning) => (4, "warning"),
            (_, Severity::Info) => (2, "information_source"),
        };
        let mut body = json!({
            "topic": topic,
            "title": clean(&words.subject, 200),
            "message": lay_out_text(words, &Bytes, BYTES_MAX, false),
            "priority": priority,
            "tags": [tag],
        });
        if let Some(page) = &words.page_url {
            body["click"] = json!(page);
        }
        if let Some(url) = &words.acknowledge_url {
            body["actions"] =
                json!([{ "action": "view", "label": "Acknowledge", "url": url, "clear": true }]);
        }
        let mut request = Request::json(self.url.clone(), &body);
        if let Some(token) = &self.settings.token {
            let token = token.read().map_err(unreadable)?;
            request.secret_header(AUTHORIZATION, "Bearer ", &token)?;
        }
        if let (Some(user), Some(password)) = (&self.settings.user, &self.settings.password) {
            let password = password.read().map_err(unreadable)?;
            request.cover.add(&password);
            // RFC 7617.
            request.secret_header(
                AUTHORIZATION,
                "Basic ",
                &super::base64(&format!("{user}:{}", *password)),
            )?;
        }
        Ok(request)
    }
}

fn is_topic(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// Plain text, counted in octets, as ntfy counts.
struct Bytes;

impl Markup for Bytes {
    fn row(&self, row: Row<'_>) -> String {
        Plain.row(row)
    }

    fn size(&self, row: &str) -> usize {
        row.len() + 1
    }
}

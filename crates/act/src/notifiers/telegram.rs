//! Telegram: `sendMessage` of a bot, in its HTML (core.telegram.org/bots/api#html-style).
//!
//! The address behind the colon is a chat's id. Links are written out and not put into buttons: Telegram
//! refuses a whole message for a button whose host it does not know, such as one inside a company.

use notafter_core::fault::Fault;
use notafter_core::finding::Severity;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Dress, HttpTable, Outgoing, unfit, unreadable};
use crate::http::{Request, Url, address};
use crate::secret::Secret;
use crate::text::{Markup, Row, Words, lay_out_text};

/// `kind = "telegram"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The bot's token, as BotFather gave it.
    token: Secret,
    /// The chat to write to when `notify` names none: a number, or `@channel`.
    chat_id: Option<String>,
    /// The topic inside a group with topics (`message_thread_id`).
    thread_id: Option<i64>,
    /// The API's base. Default `https://api.telegram.org`.
    api_url: Option<String>,
}

impl HttpTable for Settings {
    const NAME: &'static str = "telegram";
    const DOC: &'static str = "A Telegram chat, through a bot. The address is a chat id.";
    type Dress = Telegram;
    const ADDRESS: super::CheckAddress = |table, to| {
        super::address::one(table, to, "chat_id", is_chat, "set `chat_id`, or write NAME:CHAT in `notify`")
    };

    fn open(self) -> Result<Telegram, String> {
        let base = address("api_url", self.api_url.as_deref().unwrap_or("https://api.telegram.org"))?;
        if let Some(chat) = self.chat_id.as_deref().filter(|c| !is_chat(c)) {
            return Err(format!(
                "`chat_id` {} is no chat\nhint: a number such as \"-1001234\", or \"@channel\"",
                chat.escape_debug()
            ));
        }
        let telegram = Telegram { base, settings: self };
        telegram.url()?;
        Ok(telegram)
    }
}

pub(super) struct Telegram {
    base: Url,
    settings: Settings,
}

impl Telegram {
    fn url(&self) -> Result<Url, String> {
        let token = self.settings.token.read()?;
        if !token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'_' | b'-')) {
            return Err(format!(
                "{} holds no token of a bot\nhint: it looks like 123456:ABC-DEF",
                self.settings.token
            ));
        }
        let path = format!("{}/bot{}/sendMessage", self.base.path().trim_end_matches('/'), *token);
        let mut url = self.base.clone();
        url.set_path(&path);
        Ok(url)
    }
}

impl Dress for Telegram {
    fn request(&self, out: &Outgoing<'_>, words: &Words) -> Result<Request, Fault> {
        let chat = out.to.or(self.settings.chat_id.as_deref());
        let chat = chat.filter(|c| is_chat(c)).ok_or_else(|| {
            unfit("there is no chat to write to", "set `chat_id`, or write NAME:CHAT in `notify`")
        })?;
        let mut body = json!({
            "chat_id": chat,
            "text": lay_out_text(words, &Html, 4000, true),
            "parse_mode": "HTML",
            "link_preview_options": { "is_disabled": true },
            "disable_notification": words.severity == Severity::Info,
        });
        if let Some(thread) = self.settings.thread_id {
            body["message_thread_id"] = json!(thread);
        }
        Ok(Request::json(self.url().map_err(unreadable)?, &body).secret_path())
    }
}

/// A number, or `@` and a name.
fn is_chat(text: &str) -> bool {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    text.len() <= 64 && (text.parse::<i64>().is_ok() || text.strip_prefix('@').is_some_and(is_name))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

struct Html;

impl Markup for Html {
    fn row(&self, row: Row<'_>) -> String {
        match row {
            Row::Title(text) => format!("<b>{}</b>", escape(text)),
            Row::Text(text) => escape(text),
            Row::Labelled(label, text) => format!("<b>{label}:</b> {}", escape(text)),
            Row::Item(text) => format!("\u{2022} {}", escape(text)),
            Row::Detail(label, text) => format!("    {label}: {}", escape(text)),
            Row::More(count) => format!("<i>and {count} more</i>"),
            Row::Link(label, url) => format!("<b>{label}:</b> {}", escape(url)),
            Row::Gap => String::new(),
        }
    }

    /// Telegram counts UTF-16 code units.
    fn size(&self, row: &str) -> usize {
        row.encode_utf16().count() + 1
    }
}

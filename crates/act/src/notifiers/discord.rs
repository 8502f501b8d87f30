//! Discord: an embed posted to a channel's webhook.
//!
//! `allowed_mentions` with an empty list is what keeps `@everyone` in a hostile name from calling everyone;
//! the escapes of Markdown only keep the text as it is.

use notafter_core::fault::Fault;
use notafter_core::finding::Severity;
use notafter_core::notice::Event;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Dress, HttpTable, Outgoing, no_address, unreadable};
use crate::http::{Request, address};
use crate::secret::MaybeSecret;
use crate::text::{Markup, Row, Words, cut, lay_out_text};

/// `kind = "discord"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The address of the channel's webhook. It is a secret: whoever has it can post.
    url: MaybeSecret,
}

impl HttpTable for Settings {
    const NAME: &'static str = "discord";
    const DOC: &'static str = "A Discord channel, through its webhook.";
    type Dress = Discord;
    const ADDRESS: super::CheckAddress = super::address::none;

    fn open(self) -> Result<Discord, String> {
        address("url", &self.url.read()?)?;
        Ok(Discord(self))
    }
}

pub(super) struct Discord(Settings);

impl Dress for Discord {
    fn request(&self, out: &Outgoing<'_>, words: &Words) -> Result<Request, Fault> {
        no_address(out, "discord")?;
        let url = self.0.url.read().and_then(|u| address("url", &u)).map_err(unreadable)?;
        let colour = match (words.event, words.severity) {
            (Event::Resolved, _) => 0x2e_7d32,
            (_, Severity::Critical) => 0xc6_2828,
            (_, Severity::Warning) => 0xf9_a825,
            (_, Severity::Info) => 0x15_65c0,
        };
        let mut embed = json!({
            // 256 with the escapes; the description's limit is 4096.
            "title": cut(&escape(&cut(&words.subject, 200)), 256),
            "description": lay_out_text(words, &Markdown, 4000, false),
            "color": colour,
            "timestamp": out.notice.at.to_string(),
        });
        if let Some(page) = &words.page_url {
            embed["url"] = json!(page);
        }
        let body = json!({ "embeds": [embed], "allowed_mentions": { "parse": [] } });
        Ok(Request::json(url, &body).secret_path())
    }
}

/// Every character that means something to Discord's Markdown, made plain by a backslash.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\*_~`|>#[]()<@".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

struct Markdown;

impl Markup for Markdown {
    fn row(&self, row: Row<'_>) -> String {
        match row {
            Row::Title(text) => format!("**{}**", escape(text)),
            Row::Text(text) => escape(text),
            Row::Labelled(label, text) => format!("**{label}:** {}", escape(text)),
            Row::Item(text) => format!("\u{2022} {}", escape(text)),
            Row::Detail(label, text) => format!("\u{2003}{label}: {}", escape(text)),
            Row::More(count) => format!("*and {count} more*"),
            Row::Link(label, url) => format!("**{label}:** <{url}>"),
            Row::Gap => String::new(),
        }
    }
}

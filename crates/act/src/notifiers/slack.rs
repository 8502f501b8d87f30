//! Slack: an incoming webhook with blocks (docs.slack.dev, "Formatting message text").
//!
//! `&`, `<` and `>` are the control characters of Slack's text and are escaped; with them a hostile name
//! can call nobody (`<!channel>` is how that is written). `verbatim` keeps Slack from making links and
//! mentions out of plain words.

use notafter_core::fault::Fault;
use notafter_core::finding::Severity;
use notafter_core::notice::Event;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Dress, HttpTable, Outgoing, no_address, unreadable};
use crate::http::{Request, address};
use crate::secret::MaybeSecret;
use crate::text::{Markup, Row, Words, cut, lay_out};

/// The most of a section's text.
const SECTION_MAX: usize = 3000;

/// `kind = "slack"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The address of the incoming webhook. It is a secret: whoever has it can post.
    url: MaybeSecret,
}

impl HttpTable for Settings {
    const NAME: &'static str = "slack";
    const DOC: &'static str = "A Slack channel, through an incoming webhook.";
    type Dress = Slack;
    const ADDRESS: super::CheckAddress = super::address::none;

    fn open(self) -> Result<Slack, String> {
        address("url", &self.url.read()?)?;
        Ok(Slack(self))
    }
}

pub(super) struct Slack(Settings);

impl Dress for Slack {
    fn request(&self, out: &Outgoing<'_>, words: &Words) -> Result<Request, Fault> {
        no_address(out, "slack")?;
        let url = self.0.url.read().and_then(|u| address("url", &u)).map_err(unreadable)?;
        // Rows are kept whole, and two sections are as much as anybody reads.
        let rows = lay_out(words, &Mrkdwn, 2 * (SECTION_MAX - 100), false);
        let mut blocks = vec![json!({
            "type": "header",
            "text": { "type": "plain_text", "text": cut(&format!("{} {}", symbol(words), words.subject), 150), "emoji": false }
        })];
        for text in sections(&rows) {
            blocks.push(
                json!({ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } }),
            );
        }
        let body = json!({
            // What a notification on the phone shows, and a client without blocks.
            "text": escape(&words.subject),
            "blocks": blocks,
            "unfurl_links": false,
            "unfurl_media": false,
        });
        Ok(Request::json(url, &body).secret_path())
    }
}

/// Rows joined up to the most of a section.
fn sections(rows: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for row in rows {
        // Escapes make one row longer than a section only when it is hostile through and through.
        let row = if row.chars().count() < SECTION_MAX { row.clone() } else { cut(row, SECTION_MAX / 2) };
        match out.last_mut() {
            Some(last) if last.chars().count() + 1 + row.chars().count() <= SECTION_MAX => {
                last.push('\n');
                last.push_str(&row);
            }
            _ => out.push(row),
        }
    }
    out.retain(|text| !text.trim().is_empty());
    out
}

fn symbol(words: &Words) -> &'static str {
    match (words.event, words.severity) {
        (Event::Resolved, _) => "\u{2705}",
        (_, Severity::Critical) => "\u{1f534}",
        (_, Severity::Warning) => "\u{1f7e1}",
        (_, Severity::Info) => "\u{2139}",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

struct Mrkdwn;

impl Markup for Mrkdwn {
    fn row(&self, row: Row<'_>) -> String {
        match row {
            Row::Title(text) => format!("*{}*", escape(text)),
            Row::Text(text) => escape(text),
            Row::Labelled(label, text) => format!("*{label}:* {}", escape(text)),
            Row::Item(text) => format!("\u{2022} {}", escape(text)),
            Row::Detail(label, text) => format!("      {label}: {}", escape(text)),
            Row::More(count) => format!("_and {count} more_"),
            Row::Link(label, url) => format!("<{}|{label}>", escape(url)),
            Row::Gap => " ".to_owned(),
        }
    }
}

//! Microsoft Teams: an Adaptive Card posted to a Workflows webhook.
//!
//! The connectors of Office 365 are gone; the template "Post to a channel when a webhook request is
//! received" takes their place. Texts are `TextRun`s, which know no Markdown, so that nothing needs an
//! escape; mentions need an entity, and there is none.

use notafter_core::fault::Fault;
use notafter_core::finding::Severity;
use notafter_core::notice::Event;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Dress, HttpTable, Outgoing, no_address, unreadable};
use crate::http::{Request, address};
use crate::secret::MaybeSecret;
use crate::text::{Markup, Row, Words, lay_out};

/// Teams refuses a message of more than 28 kB.
const BYTES_MAX: usize = 24_000;

/// `kind = "teams"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The address of the workflow's trigger. It is a secret: whoever has it can post.
    url: MaybeSecret,
}

impl HttpTable for Settings {
    const NAME: &'static str = "teams";
    const DOC: &'static str = "A Microsoft Teams channel or chat, through a Workflows webhook.";
    type Dress = Teams;
    const ADDRESS: super::CheckAddress = super::address::none;

    fn open(self) -> Result<Teams, String> {
        let url = address("url", &self.url.read()?)?;
        if url.host_str().is_some_and(|h| h.ends_with("webhook.office.com") || h == "outlook.office.com") {
            return Err(
                "`url` is an address of the Office 365 connectors, which Microsoft has switched off\n\
                        hint: in the channel choose Workflows, \"Post to a channel when a webhook request is \
                        received\", and take its address"
                    .to_owned(),
            );
        }
        Ok(Teams(self))
    }
}

pub(super) struct Teams(Settings);

impl Dress for Teams {
    fn request(&self, out: &Outgoing<'_>, words: &Words) -> Result<Request, Fault> {
        no_address(out, "teams")?;
        let url = self.0.url.read().and_then(|u| address("url", &u)).map_err(unreadable)?;
        let rows = lay_out(words, &Card { colour: colour(words) }, BYTES_MAX, true);
        // Each row is the JSON of one block, made by `Card`.
        let blocks: Vec<Value> = rows.iter().filter_map(|row| serde_json::from_str(row).ok()).collect();
        let link =
            |title: &str, url: &String| json!({ "type": "Action.OpenUrl", "title": title, "url": url });
        let actions: Vec<Value> = (words.acknowledge_url.iter().map(|u| link("Acknowledge", u)))
            .chain(words.page_url.iter().map(|u| link("Details", u)))
            .collect();
        let body = json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": null,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "msteams": { "width": "Full" },
                    "fallbackText": words.subject,
                    "body": blocks,
                    "actions": actions,
                }
            }]
        });
        Ok(Request::json(url, &body).secret_path())
    }
}

fn colour(words: &Words) -> &'static str {
    match (words.event, words.severity) {
        (Event::Resolved, _) => "Good",
        (_, Severity::Critical) => "Attention",
        (_, Severity::Warning) => "Warning",
        (_, Severity::Info) => "Accent",
    }
}

/// A block of a card for each row, as JSON.
struct Card {
    colour: &'static str,
}

impl Markup for Card {
    fn row(&self, row: Row<'_>) -> String {
        let label =
            |label: &str| json!({ "type": "TextRun", "text": format!("{label}: "), "weight": "Bolder" });
        let run = |text: &str| json!({ "type": "TextRun", "text": text });
        let runs = match row {
            Row::Title(text) => json!([
                { "type": "TextRun", "text": text, "weight": "Bolder", "size": "Medium", "color": self.colour }
            ]),
            Row::Text(text) => json!([run(text)]),
            Row::Labelled(name, text) => json!([label(name), run(text)]),
            Row::Item(text) => json!([run(&format!("\u{2022} {text}"))]),
            Row::Detail(name, text) => json!([
                { "type": "TextRun", "text": format!("{name}: {text}"), "isSubtle": true, "size": "Small" }
            ]),
            Row::More(count) => json!([run(&format!("and {count} more"))]),
            // The buttons at the end are the links.
            Row::Link(..) | Row::Gap => return String::new(),
        };
        json!({ "type": "RichTextBlock", "inlines": runs }).to_string()
    }

    fn size(&self, row: &str) -> usize {
        row.len() + 1
    }
}

//! PagerDuty: Events API v2 (developer.pagerduty.com, "Send an alert event").
//!
//! All messages of one alert have its id and its server's as `dedup_key`: a reminder joins the open incident, and what was
//! seen to be mended resolves it. Acknowledging is done in PagerDuty or in Notafter, not passed on.

use notafter_core::fault::Fault;
use notafter_core::finding::Severity;
use notafter_core::notice::Event;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Dress, HttpTable, Outgoing, incident, no_address, no_digest, unreadable};
use crate::http::{Request, Url, address};
use crate::secret::Secret;
use crate::text::{Plain, Words, cut, lay_out_text};

/// `kind = "pagerduty"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The integration key of a service (Events API v2).
    routing_key: Secret,
    /// Where events go. Default `https://events.pagerduty.com/v2/enqueue`; in the EU
    /// `https://events.eu.pagerduty.com/v2/enqueue`.
    url: Option<String>,
}

impl HttpTable for Settings {
    const NAME: &'static str = "pagerduty";
    const DOC: &'static str = "A PagerDuty service: opens an incident, and resolves it.";
    type Dress = PagerDuty;
    const ADDRESS: super::CheckAddress = super::address::none;

    fn open(self) -> Result<PagerDuty, String> {
        let url = address("url", self.url.as_deref().unwrap_or("https://events.pagerduty.com/v2/enqueue"))?;
        self.routing_key.read()?;
        Ok(PagerDuty { url, routing_key: self.routing_key })
    }
}

pub(super) struct PagerDuty {
    url: Url,
    routing_key: Secret,
}

impl Dress for PagerDuty {
    const DIGESTS: bool = false;

    fn request(&self, out: &Outgoing<'_>, words: &Words) -> Result<Request, Fault> {
        no_address(out, "pagerduty")?;
        no_digest(out.notice, "pagerduty")?;
        let key = self.routing_key.read().map_err(unreadable)?;
        let resolved = words.event == Event::Resolved;
        let mut body = json!({
            "routing_key": *key,
            "event_action": if resolved { "resolve" } else { "trigger" },
            "dedup_key": incident(out.notice),
        });
        if !resolved {
            let first = words.items.first();
            let source = first.map_or("notafter", |item| item.name.as_str());
            body["payload"] = json!({
                "summary": cut(&words.subject, 1024),
                "source": source,
                "severity": match words.severity {
                    Severity::Critical => "critical",
                    Severity::Warning => "warning",
                    Severity::Info => "info",
                },
                "timestamp": out.notice.at.to_string(),
                "group": words.owner,
                "class": first.map_or("", |item| item.kind.as_str()),
                "custom_details": { "message": lay_out_text(words, &Plain, 20_000, false) },
            });
            let link = |text: &str, url: &String| json!({ "href": url, "text": text });
            let links: Vec<Value> = (words.acknowledge_url.iter().map(|u| link("Acknowledge", u)))
                .chain(words.page_url.iter().map(|u| link("Details", u)))
                .collect();
            body["links"] = json!(links);
            body["client"] = json!("Notafter");
            if let Some(page) = &words.page_url {
                body["client_url"] = json!(page);
            }
        }
        let mut request = Request::json(self.url.clone(), &body);
        request.cover.add(&key);
        Ok(request)
    }
}

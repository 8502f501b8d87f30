//! Opsgenie (and Jira Service Management, which took over its API): an alert created and closed by alias.
//!
//! The alias is the alert's id and its server's, so that a reminder counts up the open alert instead of opening another. The
//! address behind the colon is a team. Acknowledging is not passed on.

use notafter_core::fault::Fault;
use notafter_core::finding::Severity;
use notafter_core::notice::Event;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Dress, HttpTable, Outgoing, incident, no_digest, token, unreadable};
use crate::http::{AUTHORIZATION, Request, Url, address};
use crate::secret::Secret;
use crate::text::{Plain, Words, clean, cut, lay_out_text};

/// Where the account is kept.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Region {
    /// `api.opsgenie.com`
    #[default]
    Us,
    /// `api.eu.opsgenie.com`
    Eu,
}

/// `kind = "opsgenie"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The key of an API integration.
    api_key: Secret,
    /// `us` or `eu`: where the account is kept. Default `us`.
    #[serde(default)]
    region: Region,
    /// The team to tell when `notify` names none; without either, the integration's own.
    team: Option<String>,
    /// The API's base, instead of the region's.
    api_url: Option<String>,
}

impl HttpTable for Settings {
    const NAME: &'static str = "opsgenie";
    const DOC: &'static str = "Opsgenie: creates an alert, and closes it. The address is a team.";
    type Dress = Opsgenie;

    fn open(self) -> Result<Opsgenie, String> {
        let own = match self.region {
            Region::Us => "https://api.opsgenie.com",
            Region::Eu => "https://api.eu.opsgenie.com",
        };
        let base = address("api_url", self.api_url.as_deref().unwrap_or(own))?;
        self.api_key.read()?;
        Ok(Opsgenie { base, settings: self })
    }
}

pub(super) struct Opsgenie {
    base: Url,
    settings: Settings,
}

impl Dress for Opsgenie {
    const DIGESTS: bool = false;

    fn request(&self, out: &Outgoing<'_>, words: &Words) -> Result<Request, Fault> {
        no_digest(out.notice, "opsgenie")?;
        let alias = incident(out.notice);
        let number = out.notice.alert.as_deref().map_or_else(String::new, token);
        let path = format!("{}/v2/alerts", self.base.path().trim_end_matches('/'));
        let mut url = self.base.clone();
        let body = if words.event == Event::Resolved {
            // The alias is a token: nothing in it needs to be escaped in a path.
            url.set_path(&format!("{path}/{alias}/close"));
            url.set_query(Some("identifierType=alias"));
            json!({ "source": "notafter", "note": cut(&words.subject, 1000) })
        } else {
            url.set_path(&path);
            let mut body = json!({
                "message": cut(&words.subject, 130),
                "alias": alias,
                "description": lay_out_text(words, &Plain, 14_000, true),
                "source": "notafter",
                "entity": words.items.first().map_or("", |item| item.name.as_str()),
                "tags": ["notafter", words.severity.as_str()],
                "priority": match words.severity {
                    Severity::Critical => "P1",
                    Severity::Warning => "P3",
                    Severity::Info => "P5",
                },
                "details": { "owner": words.owner, "alert": number },
            });
            if let Some(team) = out.to.or(self.settings.team.as_deref()) {
                body["responders"] = json!([{ "type": "team", "name": clean(team, 100) }]);
            }
            body
        };
        let mut request = Request::json(url, &body);
        let key = self.settings.api_key.read().map_err(unreadable)?;
        request.secret_header(AUTHORIZATION, "GenieKey ", &key)?;
        Ok(request)
    }
}

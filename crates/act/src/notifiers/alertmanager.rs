//! Prometheus Alertmanager: API v2, `POST /api/v2/alerts`.
//!
//! An alert is its labels there. Without an `endsAt` Alertmanager takes silence for "resolved" after five
//! minutes, so every alert carries one, far off (`keep`). A change of severity is a change of labels: the
//! alert under the other severities is ended in the same request, or it would go on firing beside.

use std::collections::BTreeMap;

use notafter_core::UnixTime;
use notafter_core::fault::Fault;
use notafter_core::finding::Severity;
use notafter_core::notice::Event;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Dress, HttpTable, Outgoing, incident, no_address, no_digest, unreadable};
use crate::http::{AUTHORIZATION, Request, Url, address};
use crate::secret::Secret;
use crate::settings::Span;
use crate::text::{Plain, Words, lay_out_text};

/// `kind = "alertmanager"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The base address, such as `http://alertmanager.example.com:9093`.
    url: String,
    /// Further labels for every alert, to route by. They must not change while alerts are open.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// How long an alert goes on firing without another word from here. Default `30d`.
    keep: Option<Span>,
    /// A bearer token, where a proxy in front asks for one.
    token: Option<Secret>,
}

impl HttpTable for Settings {
    const NAME: &'static str = "alertmanager";
    const DOC: &'static str = "Prometheus Alertmanager, whose routes and silences then apply.";
    type Dress = Alertmanager;
    const ADDRESS: super::CheckAddress = super::address::none;

    fn open(self) -> Result<Alertmanager, String> {
        let mut url = address("url", &self.url)?;
        let base = url.path().trim_end_matches('/').to_owned();
        let base = base.strip_suffix("/api/v2/alerts").unwrap_or(&base);
        url.set_path(&format!("{base}/api/v2/alerts"));
        for name in self.labels.keys() {
            let is_name = !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !is_name || OURS.contains(&name.as_str()) {
                return Err(format!(
                    "`{}` cannot be a further label\nhint: letters, digits and _, and none of {}",
                    name.escape_debug(),
                    OURS.join(", ")
                ));
            }
        }
        if let Some(token) = &self.token {
            token.read()?;
        }
        Ok(Alertmanager { url, settings: self })
    }
}

/// The labels that make an alert, and are not the user's to set.
const OURS: &[&str] = &["alertname", "severity", "owner", "alert"];

pub(super) struct Alertmanager {
    url: Url,
    settings: Settings,
}

impl Dress for Alertmanager {
    const DIGESTS: bool = false;

    fn request(&self, out: &Outgoing<'_>, words: &Words) -> Result<Request, Fault> {
        no_address(out, "alertmanager")?;
        no_digest(out.notice, "alertmanager")?;
        let keep = match words.event {
            // Nobody would resolve a test.
            Event::Test => 300,
            _ => self.settings.keep.unwrap_or(Span::seconds(30 * 86_400)).0.as_secs() as i64,
        };
        let alerts: Vec<Value> = [Severity::Critical, Severity::Warning, Severity::Info]
            .into_iter()
            .map(|severity| {
                let fires = severity == words.severity && words.event != Event::Resolved;
                self.alert(out, words, severity, if fires { out.now.plus(keep) } else { out.now })
            })
            .collect();
        let mut request = Request::json(self.url.clone(), &json!(alerts));
        if let Some(token) = &self.settings.token {
            let token = token.read().map_err(unreadable)?;
            request.secret_header(AUTHORIZATION, "Bearer ", &token)?;
        }
        Ok(request)
    }
}

impl Alertmanager {
    fn alert(&self, out: &Outgoing<'_>, words: &Words, severity: Severity, ends: UnixTime) -> Value {
        let mut labels: BTreeMap<&str, String> =
            self.settings.labels.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
        labels.insert("alertname", "Notafter".to_owned());
        labels.insert("severity", severity.as_str().to_owned());
        labels.insert("owner", words.owner.clone());
        labels.insert("alert", incident(out.notice));
        let mut alert = json!({
            "labels": labels,
            "annotations": { "summary": words.subject },
            // Never after its end, whatever the clocks of two machines say.
            "startsAt": out.notice.at.min(ends).to_string(),
            "endsAt": ends.to_string(),
        });
        if severity == words.severity {
            alert["annotations"]["description"] = json!(lay_out_text(words, &Plain, 10_000, false));
        }
        if let Some(page) = &words.page_url {
            alert["generatorURL"] = json!(page);
        }
        alert
    }
}

//! The JSON of a notice: what a webhook posts and what a program gets on its standard input.
//!
//! The shape is promised in the user's guide; add to it freely, never change it. Times are RFC 3339, texts
//! are printable and bounded ([`crate::text`]), lists are as long as a person reads, with the rest counted.

use notafter_core::UnixTime;
use serde::Serialize;

use super::{Outgoing, token};
use crate::text::{Words, clean};

/// One message.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct NoticeDocument {
    pub id: String,
    pub event: &'static str,
    pub severity: &'static str,
    pub alert: Option<String>,
    pub instance: String,
    pub owner: String,
    pub to: Option<String>,
    pub subject: String,
    pub title: String,
    pub text: String,
    pub hint: String,
    pub deadline: Option<String>,
    pub days_left: Option<f64>,
    pub items: Vec<ItemDocument>,
    pub more: usize,
    pub acknowledge_url: Option<String>,
    pub acknowledge_command: Option<String>,
    pub page_url: Option<String>,
    pub at: String,
}

/// One thing it is about.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct ItemDocument {
    pub finding: String,
    pub kind: String,
    pub severity: &'static str,
    pub name: String,
    pub summary: String,
    pub hint: String,
    pub deadline: Option<String>,
    pub days_left: Option<f64>,
    pub places: Vec<String>,
    pub more_places: usize,
}

impl NoticeDocument {
    /// The document of a message. Days are counted from when it was written.
    pub fn of(out: &Outgoing<'_>, words: &Words) -> Self {
        let notice = out.notice;
        let items = words.items.iter().zip(&notice.items).map(|(line, item)| ItemDocument {
            finding: line.finding.clone(),
            kind: line.kind.clone(),
            severity: line.severity.as_str(),
            name: line.name.clone(),
            summary: line.summary.clone(),
            hint: clean(&item.hint, 500),
            deadline: item.deadline.map(|t| t.to_string()),
            days_left: item.deadline.map(|t| days(t, notice.at)),
            places: line.places.clone(),
            more_places: line.more_places,
        });
        Self {
            id: token(&notice.id),
            event: notice.event.as_str(),
            severity: notice.severity.as_str(),
            alert: notice.alert.as_deref().map(token),
            instance: token(&notice.instance),
            owner: words.owner.clone(),
            to: out.to.map(|t| clean(t, 500)),
            subject: words.subject.clone(),
            title: words.title.clone(),
            text: words.text.clone(),
            hint: words.hint.clone(),
            deadline: notice.deadline.map(|t| t.to_string()),
            days_left: notice.deadline.map(|t| days(t, notice.at)),
            items: items.collect(),
            more: words.more,
            acknowledge_url: words.acknowledge_url.clone(),
            acknowledge_command: words.acknowledge_command.clone(),
            page_url: words.page_url.clone(),
            at: notice.at.to_string(),
        }
    }

    /// The document as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Days with one decimal, cut as in the text, and no -0.0.
fn days(end: UnixTime, at: UnixTime) -> f64 {
    (end.days_after(at) * 10.0).trunc() / 10.0 + 0.0
}

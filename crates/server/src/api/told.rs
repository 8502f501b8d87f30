//! What the API answers about telling: alerts, deliveries, the audit trail.
//!
//! Nothing secret is here: an outgoing message shows where it went and what became of it, never its text,
//! because the acknowledgement link in it is a secret.

use notafter_core::alert::{Alert, Outgoing};
use notafter_pki::fingerprint::hex;
use notafter_store::alerts::AuditLine;
use serde::Serialize;

use super::answers::{FindingItem, text};

/// An alert.
#[derive(Serialize)]
pub(crate) struct AlertItem {
    id: String,
    number: i64,
    owner: String,
    state: &'static str,
    severity: &'static str,
    step: notafter_core::deadline::Step,
    title: String,
    deadline: Option<String>,
    opened: String,
    told: Option<String>,
    hold: Option<HoldPart>,
    escalated: Vec<String>,
    members: Vec<MemberPart>,
    resolved: Option<String>,
}

#[derive(Serialize)]
struct HoldPart {
    by: String,
    at: String,
    until: String,
    note: String,
    snooze: bool,
}

#[derive(Serialize)]
struct MemberPart {
    finding: String,
    severity: &'static str,
    step: notafter_core::deadline::Step,
    deadline: Option<String>,
    resolved: Option<String>,
}

impl AlertItem {
    pub(crate) fn of(alert: Alert) -> Self {
        let state = alert.stands();
        Self {
            id: alert.id(),
            number: alert.number,
            owner: alert.owner,
            state,
            severity: alert.severity.as_str(),
            step: alert.step,
            title: alert.title,
            deadline: text(alert.deadline),
            opened: alert.opened.to_string(),
            told: text(alert.told),
            hold: alert.hold.map(|hold| HoldPart {
                by: hold.by,
                at: hold.at.to_string(),
                until: hold.until.to_string(),
                note: hold.note,
                snooze: hold.snooze,
            }),
            escalated: alert.escalated,
            members: alert
                .members
                .into_iter()
                .map(|(finding, member)| MemberPart {
                    finding,
                    severity: member.severity.as_str(),
                    step: member.step,
                    deadline: text(member.deadline),
                    resolved: text(member.resolved),
                })
                .collect(),
            resolved: text(alert.resolved),
        }
    }
}

/// An alert with what it is about and what was sent.
#[derive(Serialize)]
pub(crate) struct AlertAnswer {
    #[serde(flatten)]
    pub(crate) item: AlertItem,
    pub(crate) findings: Vec<FindingItem>,
    pub(crate) deliveries: Vec<DeliveryItem>,
}

/// A delivery: where it went and what became of it. Its text stays inside, because the link in it is a secret.
#[derive(Serialize)]
pub(crate) struct DeliveryItem {
    id: String,
    alert: Option<String>,
    /// The others that it is about.
    beside: Vec<String>,
    owner: String,
    notifier: String,
    to: Option<String>,
    event: &'static str,
    title: String,
    state: &'static str,
    attempts: u32,
    error: Option<String>,
    created: String,
    next: Option<String>,
    sent: Option<String>,
}

impl DeliveryItem {
    pub(crate) fn of(message: Outgoing) -> Self {
        let pending = message.delivery == notafter_core::alert::Delivery::Pending;
        Self {
            id: message.id,
            alert: message.alert.map(|n| format!("a{n}")),
            beside: message.beside.iter().map(|n| format!("a{n}")).collect(),
            owner: message.owner,
            notifier: message.notifier,
            to: message.to,
            event: message.notice.event.as_str(),
            title: message.notice.title,
            state: message.delivery.as_str(),
            attempts: message.attempts,
            error: message.error,
            created: message.created.to_string(),
            next: pending.then(|| message.next.to_string()),
            sent: text(message.sent),
        }
    }
}

/// A line of the audit trail.
#[derive(Serialize)]
pub(crate) struct AuditItem {
    id: i64,
    at: String,
    who: String,
    what: String,
    subject: String,
    detail: String,
    hash: String,
}

impl AuditItem {
    pub(crate) fn of((id, line, hash): (i64, AuditLine, Vec<u8>)) -> Self {
        Self {
            id,
            at: line.at.to_string(),
            who: line.who,
            what: line.what,
            subject: line.subject,
            detail: line.detail,
            hash: hex(&hash),
        }
    }
}

//! One message to a person: what is wrong, by when, where, and the one thing to do.
//!
//! Made by `engine/notify.rs` from an alert, carried by a `Notifier`. It is plain data with no markup:
//! each notifier dresses it for its channel, and every one of them treats each text in it as hostile
//! (names come out of certificates). Nothing secret is in it but the acknowledgement link.

use serde::{Deserialize, Serialize};

use crate::UnixTime;
use crate::finding::Severity;

/// Why a message is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// Something is newly wrong, or has got worse by a step.
    Alert,
    /// The same again, because the deadline is near and nobody has said that they have it.
    Reminder,
    /// Nobody acknowledged: told to the next one.
    Escalation,
    /// It was seen to be mended.
    Resolved,
    /// The week's summary.
    Digest,
    /// Sent by hand, to see whether it arrives.
    Test,
}

impl Event {
    /// The word used in JSON and headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Reminder => "reminder",
            Self::Escalation => "escalation",
            Self::Resolved => "resolved",
            Self::Digest => "digest",
            Self::Test => "test",
        }
    }
}

/// One message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// Idempotency key: the same on every attempt, so that a receiver can drop a second copy.
    pub id: String,
    /// Why it is sent.
    pub event: Event,
    /// How bad, at worst.
    pub severity: Severity,
    /// The alert it is about (`a17`): the same in every message about it. `None` for a digest.
    pub alert: Option<String>,
    /// Whose alert: alerts are numbered from one by every server, and two may tell the same service. Said when it is
    /// sent; empty where nobody keeps a memory.
    #[serde(default)]
    pub instance: String,
    /// Whose it is.
    pub owner: String,
    /// One line, without a line break: fit for a subject.
    pub title: String,
    /// What it means, in a sentence or two.
    pub text: String,
    /// What to do now.
    pub hint: String,
    /// When the first of it stops working.
    pub deadline: Option<UnixTime>,
    /// What it is about, the most urgent first; so many as a person reads.
    pub items: Vec<Item>,
    /// How many more there are that are not in `items`.
    pub more: usize,
    /// Where it can be acknowledged with one click; a single-use secret. Needs `public_url`.
    pub acknowledge_url: Option<String>,
    /// The command that acknowledges it, where there is no link: `notafter ack a17`.
    pub acknowledge_command: Option<String>,
    /// The page about it. Needs `public_url`.
    pub page_url: Option<String>,
    /// When it was written.
    pub at: UnixTime,
}

/// One thing a message is about.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Item {
    /// The finding's id.
    pub finding: String,
    /// The finding's kind.
    pub kind: String,
    /// How bad.
    pub severity: Severity,
    /// What to call it: a DNS name, else the subject, else the place.
    pub name: String,
    /// What happened, in one sentence.
    pub summary: String,
    /// What to do.
    pub hint: String,
    /// When it stops working.
    pub deadline: Option<UnixTime>,
    /// Where it is, so many as a person reads.
    pub places: Vec<String>,
    /// How many more places there are.
    pub more_places: usize,
}

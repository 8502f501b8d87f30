//! An alert: findings of one cause, told to an owner, until they are seen to be mended.
//!
//! The noun and how people change it (acknowledge, snooze). What to tell and when is decided in
//! `alert/decide.rs`; keeping alerts is `store`'s, sending messages `engine/notify.rs`'s.

pub mod decide;
pub mod hold;
pub mod message;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::deadline::Step;
use crate::finding::Severity;
use crate::{Fingerprint, UnixTime};

/// How an alert stands that is open and quiet for a while.
pub const SNOOZED: &str = "snoozed";

/// An alert.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Alert {
    /// Its number: printed as `a17`.
    pub number: i64,
    /// Counts every change; kept by the store, so that two who change it at once notice.
    pub version: i64,
    /// What joins findings into this alert: owner, kind and cause. One open alert has each.
    pub group: String,
    /// Who is told.
    pub owner: String,
    /// Where it stands.
    pub state: State,
    /// The worst of its findings.
    pub severity: Severity,
    /// The highest step that was told.
    pub step: Step,
    /// One line.
    pub title: String,
    /// The first instant at which something stops working.
    pub deadline: Option<UnixTime>,
    /// When it began.
    pub opened: UnixTime,
    /// When something was last told.
    pub told: Option<UnixTime>,
    /// When the present step was told: from here escalation counts.
    #[serde(default)]
    pub step_told: Option<UnixTime>,
    /// Who has it, until when.
    pub hold: Option<Hold>,
    /// Owners told since the last step because nobody acknowledged.
    pub escalated: Vec<String>,
    /// Its findings by id.
    pub members: BTreeMap<String, Member>,
    /// When the last of them was seen to be mended, or was told of no more.
    pub resolved: Option<UnixTime>,
    /// Resolved, but not mended: an end that it was about is still there, only nobody is to be called for it any more.
    #[serde(default)]
    pub faded: bool,
    /// How far it has come back after it was said to be over.
    #[serde(default)]
    pub back: Back,
    /// Its end was told, and nothing since.
    #[serde(default)]
    pub over: bool,
}

/// The first return of what was said to be over is told at once; what goes on coming and going, after the pause.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Back {
    /// It was never said to be over.
    #[default]
    Never,
    /// It was said to be over; its return will be told at once.
    Over,
    /// Its return was told.
    Told,
}

/// Where an alert stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nobody has said that they have it.
    Open,
    /// Somebody has, until an instant.
    Acknowledged,
    /// Every finding was seen to be mended.
    Resolved,
}

impl State {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

/// One finding of an alert.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// The highest step that was told about it.
    pub step: Step,
    /// How bad it was then.
    pub severity: Severity,
    /// When it stops working.
    pub deadline: Option<UnixTime>,
    /// When it was seen to be mended.
    pub resolved: Option<UnixTime>,
    /// What it is about, if that is an asset.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "as_text")]
    pub asset: Option<Fingerprint>,
}

/// An identity as it is written everywhere.
mod as_text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::Fingerprint;

    pub(super) fn serialize<S: Serializer>(id: &Option<Fingerprint>, to: S) -> Result<S::Ok, S::Error> {
        id.map(|id| id.to_string()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Fingerprint>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(|_| D::Error::custom("no identity of an asset"))).transpose()
    }
}

/// An acknowledgement or a snooze: quiet until an instant, and never past the point of no return.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Hold {
    /// Who said so.
    pub by: String,
    /// When.
    pub at: UnixTime,
    /// Until when it holds.
    pub until: UnixTime,
    /// Why, in their words.
    pub note: String,
    /// A snooze (be quiet) rather than an acknowledgement (I have it).
    pub snooze: bool,
}

impl Alert {
    /// As people write it: `a17`.
    pub fn id(&self) -> String {
        format!("a{}", self.number)
    }

    /// How it stands, in a word for people and programs: a state, or `snoozed` where somebody asked for quiet and
    /// nobody has it.
    pub fn stands(&self) -> &'static str {
        match (self.state, &self.hold) {
            (State::Open, Some(hold)) if hold.snooze => SNOOZED,
            (state, _) => state.as_str(),
        }
    }

    /// The number in `a17` or `17`.
    pub fn parse_id(text: &str) -> Option<i64> {
        text.strip_prefix('a').unwrap_or(text).parse().ok().filter(|n| *n > 0)
    }
}

/// A message on its way: one channel, one address.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Outgoing {
    /// Idempotency key of this delivery: the notice's id and the channel.
    pub id: String,
    /// The alert, by number; `None` for a digest or a test.
    pub alert: Option<i64>,
    /// The other alerts that it is about, where several that began at once are told as one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<i64>,
    /// The owner it is for.
    pub owner: String,
    /// The notifier, by its name in the configuration.
    pub notifier: String,
    /// The address behind the colon.
    pub to: Option<String>,
    /// Where in the owner's list this channel stands: 0 is the first; others follow when one fails.
    pub rank: u32,
    /// The message.
    pub notice: crate::notice::Notice,
    /// Where it stands.
    pub delivery: Delivery,
    /// How often it was tried.
    pub attempts: u32,
    /// Not to be tried before.
    pub next: UnixTime,
    /// What came back last.
    pub error: Option<String>,
    /// When it was written.
    pub created: UnixTime,
    /// When the other side took it over.
    pub sent: Option<UnixTime>,
}

impl Outgoing {
    /// Every alert that it is about.
    pub fn alerts(&self) -> impl Iterator<Item = i64> + '_ {
        self.alert.iter().chain(&self.beside).copied()
    }
}

/// Where a delivery stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// To be tried, or tried again.
    Pending,
    /// Taken over by the other side.
    Sent,
    /// Given up for now: others were told instead, and it is still tried now and then.
    Late,
    /// Given up; another channel was asked instead, if there is one.
    Failed,
}

impl Delivery {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Late => "late",
            Self::Failed => "failed",
        }
    }
}

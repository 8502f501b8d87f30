//! What people do by hand: acknowledge, snooze, retire, own. The same code behind the command line, the
//! pages and the links in messages; every deed is written into the audit trail.

use notafter_core::UnixTime;
use notafter_core::alert::decide::{hold_most, hold_usual};
use notafter_core::alert::{Alert, Hold, State};
use notafter_store::alerts::AuditLine;
use notafter_store::{Store, StoreError};

use crate::notify::tellable;

/// Why a deed was not done.
#[derive(Debug)]
pub enum Refused {
    /// There is no such alert or finding.
    Unknown(String),
    /// It is over already.
    Resolved(Box<Alert>),
    /// What was asked cannot be given: the message says why, and what can.
    Not(String),
    /// The memory failed.
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(id) => write!(f, "no alert or finding is called {id}"),
            Self::Resolved(alert) => write!(f, "{} is over: it was seen to be mended", alert.id()),
            Self::Not(why) => f.write_str(why),
            Self::Store(error) => write!(f, "{error}"),
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// Who asks.
    pub by: &'a str,
    /// Until when; `None`: until the next step.
    pub until: Option<UnixTime>,
    /// Why, in their words.
    pub note: &'a str,
    /// Be quiet, rather than "I have it".
    pub snooze: bool,
}

/// Finds an alert by its id (`a17`) or by the id of one of its findings.
///
/// # Errors
/// There is none.
pub fn find(store: &Store, id: &str) -> Result<Alert, Refused> {
    let by_number = match Alert::parse_id(id) {
        Some(number) => store.alert(number)?,
        None => None,
    };
    let found = match by_number {
        Some(alert) => Some(alert),
        None => store.alert_of(id)?,
    };
    found.ok_or_else(|| Refused::Unknown(id.to_owned()))
}

/// Acknowledges or snoozes an alert. The hold is cut to what is allowed: it ends before the deadline does.
///
/// # Errors
/// No such alert, it is over, the end lies in the past, the memory failed.
pub fn hold(store: &Store, id: &str, ask: &Ask<'_>, now: UnixTime) -> Result<Alert, Refused> {
    for _ in 0..5 {
        let mut alert = find(store, id)?;
        if alert.state == State::Resolved {
            return Err(Refused::Resolved(Box::new(alert)));
        }
        let mut findings = Vec::new();
        for member in alert.members.keys() {
            if let Some(row) = store.finding(member)?.filter(|row| row.resolved.is_none()) {
                findings.push(tellable(row, &alert.owner, now));
            }
        }
        let most = hold_most(&alert, &findings, now);
        let until = match ask.until {
            Some(until) if until <= now => {
                return Err(Refused::Not(format!("{until} has passed already")));
            }
            Some(until) => until.min(most),
            None if ask.snooze => return Err(Refused::Not("say until when to be quiet".to_owned())),
            None => hold_usual(&alert, &findings, now),
        };
        let (by, note) = (ask.by.to_owned(), ask.note.to_owned());
        alert.hold = Some(Hold { by, at: now, until, note, snooze: ask.snooze });
        if !ask.snooze {
            alert.state = State::Acknowledged;
        }
        let what = if ask.snooze { "snoozed" } else { "acknowledged" };
        let note = if ask.note.is_empty() { String::new() } else { format!(": {}", ask.note) };
        let line = AuditLine {
            at: now,
            who: ask.by.to_owned(),
            what: what.to_owned(),
            subject: alert.id(),
            detail: format!("until {until}{note}"),
        };
        if store.tell(&alert, &[], &[line])? {
            return Ok(alert);
        }
    }
    Err(Refused::Not("somebody else changes this alert at the same time: try again".to_owned()))
}

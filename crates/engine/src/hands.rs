//! What people do by hand: acknowledge, snooze, retire, own, try a channel. The same code behind the command line,
//! the pages and the links in messages; every deed is written into the audit trail.

use std::collections::BTreeSet;

use notafter_core::UnixTime;
use notafter_core::alert::hold::{hold_most, hold_usual};
use notafter_core::alert::{Alert, Hold, Outgoing, State};
use notafter_core::finding::Severity;
use notafter_core::notice::{Event, Notice};
use notafter_core::query::{Query, nearest};
use notafter_store::alerts::AuditLine;
use notafter_store::{Store, StoreError};

use crate::notify::{Desk, new_secret, tellable};
use crate::setup::Setup;

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

/// Why an order makes no sense: what is wrong with it, and what to do. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// A sentence.
    pub message: String,
    /// What to do.
    pub hint: String,
}

fn unfit<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T, Unfit> {
    Err(Unfit { message: message.into(), hint: hint.into() })
}

/// So many known names are listed where none is near.
const NAMES_MAX: usize = 10;

/// An owner that nobody can tell anything would be as good as none.
///
/// # Errors
/// No owner is called so.
pub fn known_owner(setup: &Setup, owner: &str) -> Result<(), Unfit> {
    let rules = setup.owners.iter().map(|o| o.name.as_str());
    let known: BTreeSet<&str> = setup.people.keys().map(String::as_str).chain(rules).collect();
    if known.contains(owner) {
        return Ok(());
    }
    let hint = match nearest(owner, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let more = if known.len() > NAMES_MAX { ", ..." } else { "" };
            let names: Vec<_> = known.into_iter().take(NAMES_MAX).collect();
            format!("known are {}{more}; an [[owner]] in notafter.toml makes another", names.join(", "))
        }
    };
    unfit(format!("no owner is called `{owner}`"), hint)
}

/// A query that decides who answers for something says what it means.
///
/// # Errors
/// It has no word.
pub fn says_something(query: &Query) -> Result<(), Unfit> {
    if query.terms.is_empty() {
        return unfit(
            "an empty query would give away everything",
            "name what is meant: id:sha256:7f3a91, name:*.example.com",
        );
    }
    Ok(())
}

/// A note or a reason has so many letters at most.
pub const NOTE_MAX: usize = 1000;

/// Whoever reads the audit trail in a year wants to know why.
///
/// # Errors
/// There is no reason in it, or one that no list can show.
pub fn says_why(reason: &str) -> Result<(), Unfit> {
    // As the API has it; what else a terminal could take amiss is escaped where it is printed.
    if reason.chars().any(|c| c.is_ascii_control()) {
        return unfit("the reason holds control characters", "write one line of plain text");
    }
    if reason.chars().count() > NOTE_MAX {
        return unfit(format!("the reason has more than {NOTE_MAX} letters"), "say it in fewer words");
    }
    if reason.trim().is_empty() {
        return unfit("the reason is empty", "say why in a few words: they are kept in the audit trail");
    }
    Ok(())
}

/// Sends a test message the way every message goes: kept first, and what came of it is noted, so that a channel that
/// works again is known to. `due` is when the server may send it. Gives what is on its way; nothing where nobody has
/// a channel.
///
/// # Errors
/// The store's.
pub fn test(
    store: &Store,
    setup: &Setup,
    notice: Notice,
    about: &str,
    by: &str,
    due: UnixTime,
) -> Result<Vec<Outgoing>, StoreError> {
    let (owner, now) = (notice.owner.clone(), notice.at);
    // A desk of its own: it is only asked who is told by what.
    let desk = Desk::open(store, std::sync::Arc::new(|_: &str| {}))?;
    let mut messages = desk.address(setup, &owner, None, notice, now);
    if messages.is_empty() {
        return Ok(messages);
    }
    messages.iter_mut().for_each(|m| m.next = due);
    store.send(&messages)?;
    store.audit(&AuditLine {
        at: now,
        who: by.to_owned(),
        what: "alert-tested".to_owned(),
        subject: owner,
        detail: about.to_owned(),
    })?;
    Ok(messages)
}

/// What a test message is about: whom it goes to, and in words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Item {
    pub owner: String,
    pub about: String,
}

/// Who would be told about an owner by name, an alert by its id, or a finding by its: `None` where it is none of these.
///
/// # Errors
/// The store's.
pub fn item(store: &Store, setup: &Setup, text: &str) -> Result<Option<Item>, StoreError> {
    if setup.people.contains_key(text) {
        return Ok(Some(Item { owner: text.to_owned(), about: format!("the owner {text}") }));
    }
    let number = Alert::parse_id(text).filter(|_| text.starts_with('a'));
    if let Some(alert) = number.map(|n| store.alert(n)).transpose()?.flatten() {
        let about = format!("{}: {}", alert.id(), alert.title);
        return Ok(Some(Item { owner: alert.owner, about }));
    }
    let found = store.finding(text)?;
    Ok(found.map(|finding| Item {
        owner: finding.owner.unwrap_or_else(|| setup.last_resort.clone()),
        about: finding.title,
    }))
}

/// The message of a test: the same, whoever asks for it and from where.
pub fn test_notice(setup: &Setup, item: &Item, by: &str, now: UnixTime) -> Notice {
    let Item { owner, about } = item;
    // Two in one second are two messages, and each is told what became of itself.
    let (random, _) = new_secret();
    Notice {
        id: format!("test-{}-{}-{owner}", now.0, &random[..12]),
        event: Event::Test,
        severity: Severity::Info,
        alert: None,
        instance: String::new(),
        owner: owner.clone(),
        title: format!("a test about {about}"),
        text: format!("{by} asked for this test. If you read it, alerts for {owner} arrive here."),
        hint: "nothing is to be done".to_owned(),
        deadline: None,
        items: Vec::new(),
        more: 0,
        acknowledge_url: None,
        acknowledge_command: None,
        page_url: setup.public_url.clone(),
        at: now,
    }
}

/// Finds several alerts, so that a deed about all of them is done about all or none.
///
/// # Errors
/// One of them is none.
pub fn find_all(store: &Store, ids: &[String]) -> Result<Vec<Alert>, Refused> {
    ids.iter().map(|id| find(store, id)).collect()
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

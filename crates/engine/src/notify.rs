//! Tells people: decides what follows from the findings, writes the messages, sees them delivered.
//!
//! Every message stands in the store before anything is sent, in the transaction that says that it was
//! told: a crash loses none, and a second copy carries the same id. What to tell is `core::alert`'s
//! decision, how a channel works its notifier's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use notafter_core::alert::decide::{Decision, Deed, Input, LINGER, Tellable, decide};
use notafter_core::alert::message::{self, Ways};
use notafter_core::alert::{Alert, Delivery, Outgoing, State};
use notafter_core::fault::{Fault, Retry};
use notafter_core::finding::{Fact, PAGE, Severity, summary_at};
use notafter_core::notice::{Event, Notice};
use notafter_core::{Fingerprint, UnixTime};
use notafter_store::alerts::{AuditLine, NewLink, Telling};
use notafter_store::rows::FindingRow;
use notafter_store::{Store, StoreError};

use crate::judge::Channels;
use crate::setup::{Channel, Setup, channel_name};

/// More messages than this for one person at one time become one.
const APART_MAX: usize = 3;
/// Waiting times between attempts, in seconds; the last one repeats.
const BACKOFF: &[i64] = &[30, 60, 120, 300, 600, 900, 1800];
/// So many attempts are made before a channel is given up, however late the first one was.
const ATTEMPTS_LEAST: u32 = 4;
/// A message that was given up waits so long for its channel to work again, and longer each time.
const PROBE_FIRST: i64 = 1800;
/// But no longer than this.
const PROBE_MOST: i64 = 6 * 3600;
/// After so long nobody waits for it any more.
const PROBE_END: i64 = 7 * 86_400;

/// So often at most a message is tried in all: what is refused every time is for a person to mend.
const ATTEMPTS_MOST: u32 = 12;

/// How a message begins that was given up once.
const LATE: &str = "Late: this was written at";

/// What the audit trail calls that a message about an alert was written, and waits to be taken over.
const QUEUED: &str = "alert-queued";
/// That the other side took it over.
const TOLD: &str = "alert-told";
/// That it was given up.
const NOT_TOLD: &str = "alert-not-delivered";

/// Told of every message, also of those that no channel carries.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// What telling needs to remember while the server runs.
pub struct Desk {
    /// By owner and channel: what came back last, and when.
    channels: HashMap<(String, String), (Option<String>, UnixTime)>,
    /// What reached nobody and is about what is not over.
    unheard: Vec<Outgoing>,
    log: Log,
}

impl Desk {
    /// Takes up where the last run of the server ended.
    ///
    /// # Errors
    /// The store's.
    pub fn open(store: &Store, log: Log) -> Result<Self, StoreError> {
        let mut desk = Self { channels: HashMap::new(), unheard: Self::unheard(store)?, log };
        let mut known = store.outgoing(None, 1000)?;
        known.reverse();
        for message in known {
            desk.note(&message);
        }
        Ok(desk)
    }

    /// One that remembers nothing and says nothing: for messages that are only imagined.
    pub(crate) fn imagined() -> Self {
        Self { channels: HashMap::new(), unheard: Vec::new(), log: Arc::new(|_| {}) }
    }

    fn note(&mut self, message: &Outgoing) {
        let key = (message.owner.clone(), channel_name(&message.notifier, message.to.as_deref()));
        match message.delivery {
            Delivery::Sent => self.channels.insert(key, (None, message.sent.unwrap_or(message.created))),
            Delivery::Failed => self.channels.insert(key, (message.error.clone(), message.next)),
            Delivery::Late => self.channels.insert(key, (message.error.clone(), message.created)),
            Delivery::Pending => None,
        };
    }

    /// The channels of an owner with what came back last by each.
    pub fn channels_of(&self, owner: &str, setup: &Setup) -> Channels {
        let Some(person) = setup.people.get(owner) else { return Vec::new() };
        let state = |name: String| {
            let known = self.channels.get(&(owner.to_owned(), name.clone()));
            let (failed, at) = known.cloned().unwrap_or((None, UnixTime(0)));
            // A channel that takes other messages has still lost this one.
            let lost = |m: &&Outgoing| m.owner == owner && channel_name(&m.notifier, m.to.as_deref()) == name;
            match self.unheard.iter().rfind(lost) {
                Some(lost) if failed.is_none() => (name, lost.error.clone(), lost.next),
                _ => (name, failed, at),
            }
        };
        person.notify.iter().map(|(n, to)| state(channel_name(n, to.as_deref()))).collect()
    }

    /// Decides and writes down what is to be told. Returns when time alone will change something.
    ///
    /// # Errors
    /// The store's.
    pub fn tell(
        &mut self,
        store: &Store,
        setup: &Setup,
        now: UnixTime,
    ) -> Result<Option<UnixTime>, StoreError> {
        let findings = tellables(store, setup, now)?;
        let mut alerts = store.open_alerts()?;
        let lingers = |a: &Alert| a.resolved.is_some_and(|t| now.0 < t.0 + LINGER);
        alerts.extend(store.alerts(Some(State::Resolved), None, 1000)?.into_iter().filter(lingers));
        let Decision { deeds, next } = decide(&Input {
            findings: &findings,
            alerts: &alerts,
            faded: &faded(store, setup, &findings, &alerts, now)?,
            contacts: &setup.contacts(now),
            patience: setup.patience,
            next_number: store.next_alert_number()?,
            now,
        });
        for part in self.write_up(setup, deeds, &findings, now) {
            if !store.tell_all(&part)? {
                // Somebody acknowledged in between: what is left is decided anew on the next round.
                return Ok(Some(now));
            }
        }
        Ok(next)
    }

    /// What is written down for each deed: its messages, those for one person at one time as one. In parts, each of which
    /// is kept whole or not at all.
    pub(crate) fn write_up(
        &self,
        setup: &Setup,
        deeds: Vec<Deed>,
        findings: &[Tellable],
        now: UnixTime,
    ) -> Vec<Vec<Telling>> {
        let by_id: HashMap<&str, &Tellable> = findings.iter().map(|f| (f.id.as_str(), f)).collect();
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for deed in &deeds {
            for (owner, event) in &deed.tell {
                *counts.entry((owner, event.as_str())).or_default() += 1;
            }
        }
        let crowded: BTreeSet<(String, &str)> =
            counts.into_iter().filter(|(_, n)| *n > APART_MAX).map(|((o, e), _)| (o.to_owned(), e)).collect();
        let mut bundles: BTreeMap<(String, &str), Vec<(usize, Notice)>> = BTreeMap::new();
        let mut kept: Vec<Telling> = Vec::new();
        for deed in deeds {
            let about: Vec<&Tellable> =
                deed.news.iter().filter_map(|id| by_id.get(id.as_str()).copied()).collect();
            let (mut messages, mut links) = (Vec::new(), Vec::new());
            // People are spared the end of what lives on elsewhere; what keeps an incident is not.
            if deed.alert.state == State::Resolved && deed.tell.is_empty() && deed.alert.told.is_some() {
                for owner in std::iter::once(&deed.alert.owner).chain(&deed.alert.escalated) {
                    let id = format!("{}-closed-{}-{owner}", deed.alert.id(), now.0);
                    let mut notice =
                        message::write(id, Event::Resolved, owner, &deed.alert, &[], Ways::default(), now);
                    if deed.alert.members.values().any(|m| m.resolved.is_none()) {
                        message::ELSEWHERE.clone_into(&mut notice.text);
                    }
                    messages.extend(deliveries(
                        setup,
                        owner,
                        Some(deed.alert.number),
                        &notice,
                        Which::Incidents,
                        now,
                    ));
                }
            }
            for (owner, event) in &deed.tell {
                let id = format!("{}-{}-{}-{owner}", deed.alert.id(), event.as_str(), now.0);
                let alone = !crowded.contains(&(owner.clone(), event.as_str()));
                // What goes into one message with others has the link of them all.
                let ways = if alone || keeps_incidents(setup, owner) {
                    ways(setup, *event, &[&deed.alert], now, &mut links)
                } else {
                    Ways::default()
                };
                let notice = message::write(id, *event, owner, &deed.alert, &about, ways, now);
                if alone {
                    messages.extend(self.address(setup, owner, Some(deed.alert.number), notice, now));
                } else {
                    let number = Some(deed.alert.number);
                    messages.extend(deliveries(setup, owner, number, &notice, Which::Incidents, now));
                    bundles.entry((owner.clone(), event.as_str())).or_default().push((kept.len(), notice));
                }
            }
            kept.push(Telling { alert: deed.alert, messages, links, lines: Vec::new() });
        }
        let mut together: BTreeSet<usize> = BTreeSet::new();
        for ((owner, event), parts) in bundles {
            let told: Vec<_> = parts.iter().map(|(at, notice)| (*at, notice.title.clone())).collect();
            let first = told[0].0;
            let of: Vec<&Alert> = told.iter().map(|(at, _)| &kept[*at].alert).collect();
            let beside: Vec<i64> = of.iter().skip(1).map(|alert| alert.number).collect();
            let kind = parts[0].1.event;
            let mut links = Vec::new();
            let ways = ways(setup, kind, &of, now, &mut links);
            let notices: Vec<_> = parts.into_iter().map(|(_, notice)| notice).collect();
            let number = kept[first].alert.number;
            let id = format!("bundle-a{number}-{event}-{}-{owner}", now.0);
            let notice = message::bundle(id, &owner, &notices, ways, now);
            let mut messages = self.address_to(setup, &owner, Some(number), notice, Which::People, now);
            messages.iter_mut().for_each(|m| m.beside.clone_from(&beside));
            for (at, part) in told {
                let line =
                    |m: &Outgoing| queued_line(&kept[at].alert, m, &format!("with others: {part}"), now);
                let lines: Vec<_> = messages.iter().map(line).collect();
                kept[at].lines.extend(lines);
                together.insert(at);
            }
            kept[first].messages.extend(messages);
            kept[first].links.extend(links);
        }
        // What stands in one message is kept in one transaction: a link must never lead to an alert that is not there.
        let (mut one, mut over, mut apart) = (Vec::new(), Vec::new(), Vec::new());
        for (at, mut telling) in kept.into_iter().enumerate() {
            let lines = audit(&telling.alert, &telling.messages, now);
            telling.lines.extend(lines);
            match telling.alert.state {
                _ if together.contains(&at) => one.push(telling),
                // What ends makes room for what begins with the same cause.
                State::Resolved => over.push(vec![telling]),
                _ => apart.push(vec![telling]),
            }
        }
        over.into_iter().chain([one]).chain(apart).collect()
    }

    /// One delivery for each channel of an owner; those of the last resort where there is none.
    pub fn address(
        &self,
        setup: &Setup,
        owner: &str,
        alert: Option<i64>,
        notice: Notice,
        now: UnixTime,
    ) -> Vec<Outgoing> {
        self.address_to(setup, owner, alert, notice, Which::All, now)
    }

    fn address_to(
        &self,
        setup: &Setup,
        owner: &str,
        alert: Option<i64>,
        notice: Notice,
        which: Which,
        now: UnixTime,
    ) -> Vec<Outgoing> {
        let mut out = deliveries(setup, owner, alert, &notice, which, now);
        let elsewhere = || deliveries(setup, owner, alert, &notice, Which::All, now).is_empty();
        if out.is_empty() && owner != setup.last_resort && elsewhere() {
            out = deliveries(setup, &setup.last_resort, alert, &notice, which, now);
        }
        let by = if out.is_empty() && which == Which::All {
            " (no channel: this log and the pages are all)"
        } else {
            ""
        };
        (self.log)(&format!("{} to {owner}: {}{by}", notice.event.as_str(), notice.title));
        out
    }

    /// Keeps what came of a delivery, and turns to others when it is given up.
    ///
    /// # Errors
    /// The store's.
    pub fn delivered(
        &mut self,
        store: &Store,
        setup: &Setup,
        mut message: Outgoing,
        result: Result<(), Fault>,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        message.attempts += 1;
        let before = message.delivery;
        let mut instead = Vec::new();
        match result {
            Ok(()) => {
                message.delivery = Delivery::Sent;
                message.sent = Some(now);
                message.error = None;
            }
            Err(fault) => {
                let hint = fault.hint.as_ref().map(|h| format!("; {h}")).unwrap_or_default();
                message.error = Some(format!("{fault}{hint}"));
                let pause = BACKOFF[(message.attempts as usize - 1).min(BACKOFF.len() - 1)];
                let next = match fault.retry {
                    Retry::Never => None,
                    Retry::At(at) => Some(at.max(now.plus(1)).min(now.plus(900))),
                    Retry::Backoff => Some(now.plus(pause)),
                };
                let patience = if message.notice.severity == Severity::Critical { 3600 } else { 4 * 3600 };
                let early = |next: &UnixTime| {
                    next.0 < message.created.0 + patience || message.attempts < ATTEMPTS_LEAST
                };
                match next.filter(early) {
                    _ if message.delivery == Delivery::Late => probe_later(store, &mut message, next, now)?,
                    Some(next) => message.next = next,
                    None => {
                        // Others are told instead; it waits for its channel, if that can ever work again.
                        let waits = next.is_some() && message.alert.is_some();
                        message.delivery = if waits { Delivery::Late } else { Delivery::Failed };
                        message.next = if waits { now.plus(PROBE_FIRST) } else { now };
                        if !message.notice.text.starts_with(LATE) {
                            let text = &message.notice.text;
                            message.notice.text = format!("{LATE} {}. {text}", message.created);
                        }
                        let channel = channel_name(&message.notifier, message.to.as_deref());
                        let error = message.error.as_deref().unwrap_or_default();
                        (self.log)(&format!("not delivered to {} by {channel}: {error}", message.owner));
                        instead = self.instead(store, setup, &message, now)?;
                    }
                }
            }
        }
        let lines = outcome_lines(before, &message, now);
        store.delivered_with(&message, &instead, &[], &lines)?;
        self.note(&message);
        if message.delivery == Delivery::Sent {
            // What was refused while the channel did not work: its owner still waits for it.
            self.again(store, setup, Some(&message), now)?;
        }
        Ok(())
    }

    /// Looks what is owed still: an alert may be over since, or somebody has it.
    ///
    /// # Errors
    /// The store's.
    pub fn look(&mut self, store: &Store) -> Result<(), StoreError> {
        self.unheard = Self::unheard(store)?;
        Ok(())
    }

    /// What was given up for good, is about an alert that nobody has, and reached its owner by no other way.
    fn unheard(store: &Store) -> Result<Vec<Outgoing>, StoreError> {
        let mut out = Vec::new();
        for message in store.given_up()? {
            let mut waits = false;
            for number in message.alerts() {
                let open = store.alert(number)?.is_some_and(|a| a.state == State::Open && a.hold.is_none());
                let with = store.outgoing(Some(number), 200)?;
                waits |= open && !with.iter().any(|m| makes_up_for(m, &message) || is_tried_for(m, &message));
            }
            if waits {
                out.push(message);
            }
        }
        Ok(out)
    }

    /// Tries again what was refused for good: that of the same owner or the same notifier when a message was taken, all
    /// of it when the configuration is another one now.
    ///
    /// # Errors
    /// The store's.
    pub fn again(
        &mut self,
        store: &Store,
        setup: &Setup,
        taken: Option<&Outgoing>,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        self.look(store)?;
        for mut message in self.unheard.clone() {
            let other = |taken: &Outgoing| taken.owner != message.owner && taken.notifier != message.notifier;
            if taken.is_some_and(other) || message.attempts >= ATTEMPTS_MOST {
                continue;
            }
            let mut links = Vec::new();
            let mut alerts = Vec::new();
            for number in message.alerts() {
                alerts.extend(store.alert(number)?);
            }
            // Its link was not kept when it was given up.
            let open: Vec<&Alert> = alerts.iter().filter(|a| a.state != State::Resolved).collect();
            message.notice.acknowledge_url =
                ways(setup, message.notice.event, &open, now, &mut links).acknowledge_url;
            let links: Vec<_> = links.into_iter().zip(&open).map(|(link, of)| (of.number, link)).collect();
            // It goes by the channels that the owner has now; the one that refused it may be none of them any more.
            let (number, notice) = (message.alert, message.notice.clone());
            let mut others = deliveries(setup, &message.owner, number, &notice, Which::All, now);
            others.iter_mut().for_each(|m| m.beside.clone_from(&message.beside));
            let by = |m: &Outgoing| (m.notifier.clone(), m.to.clone());
            if others.iter().any(|m| by(m) == by(&message)) {
                (message.delivery, message.next) = (Delivery::Pending, now);
                others.clear();
            }
            if message.delivery == Delivery::Failed && others.is_empty() {
                continue;
            }
            store.delivered_with(&message, &others, &links, &[])?;
            self.unheard.retain(|m| m.id != message.id);
        }
        Ok(())
    }

    /// Whom to tell when a channel is given up and no other one of the owner has it: the last resort.
    fn instead(
        &self,
        store: &Store,
        setup: &Setup,
        failed: &Outgoing,
        now: UnixTime,
    ) -> Result<Vec<Outgoing>, StoreError> {
        let same = |m: &Outgoing| m.notice.id == failed.notice.id && m.id != failed.id;
        let others = store.outgoing(failed.alert, 200)?;
        let has_it =
            others.iter().any(|m| same(m) && matches!(m.delivery, Delivery::Pending | Delivery::Sent));
        if has_it || failed.owner == setup.last_resort {
            return Ok(Vec::new());
        }
        let mut notice = failed.notice.clone();
        notice.text = format!("This could not be delivered to {}. {}", failed.owner, notice.text);
        let mut instead = deliveries(setup, &setup.last_resort, failed.alert, &notice, Which::All, now);
        instead.iter_mut().for_each(|m| m.beside.clone_from(&failed.beside));
        Ok(instead)
    }
}

/// Those of these messages that were given up, and by whose channel none to the same owner has gone through since: what
/// is wrong now, rather than what once was. A message of an alert that is still owed is brought again by itself.
pub fn not_made_up_for(known: &[Outgoing]) -> Vec<&Outgoing> {
    let channel = |m: &Outgoing| (m.owner.clone(), channel_name(&m.notifier, m.to.as_deref()));
    let mut taken: HashMap<(String, String), UnixTime> = HashMap::new();
    for (message, sent) in known.iter().filter_map(|m| Some((m, m.sent?))) {
        let last = taken.entry(channel(message)).or_insert(sent);
        *last = (*last).max(sent);
    }
    let lost = known.iter().filter(|m| matches!(m.delivery, Delivery::Failed | Delivery::Late));
    lost.filter(|m| taken.get(&channel(m)).is_none_or(|at| *at < m.created)).collect()
}

/// Does `m` tell, or try to tell, the same owner what `lost` should have told, or something newer about the same alert?
fn makes_up_for(m: &Outgoing, lost: &Outgoing) -> bool {
    m.id != lost.id
        && m.owner == lost.owner
        && m.delivery != Delivery::Failed
        && (m.notice.id == lost.notice.id || m.created > lost.created)
}

/// Is `lost` a copy for the last resort, and `m` what its owner gets or will be tried with again? Then nobody needs the copy.
fn is_tried_for(m: &Outgoing, lost: &Outgoing) -> bool {
    lost.owner != lost.notice.owner
        && m.notice.id == lost.notice.id
        && m.owner == lost.notice.owner
        && (m.delivery != Delivery::Failed || m.attempts < ATTEMPTS_MOST)
}

/// A message that was given up is tried again now and then: longer waits each time, until nobody waits for it: a
/// week has gone by, its alert is over, or a later message about it went the same way.
fn probe_later(
    store: &Store,
    message: &mut Outgoing,
    next: Option<UnixTime>,
    now: UnixTime,
) -> Result<(), StoreError> {
    let waited = now.0 - message.created.0;
    let over = match message.alert {
        Some(number) => {
            let later = store.outgoing(message.alert, 200)?.into_iter().any(|m| {
                m.created > message.created
                    && (m.owner.as_str(), m.notifier.as_str(), &m.to)
                        == (message.owner.as_str(), message.notifier.as_str(), &message.to)
            });
            later || store.alert(number)?.is_none_or(|a| a.state == State::Resolved)
        }
        None => true,
    };
    if over || next.is_none() || waited > PROBE_END {
        (message.delivery, message.next) = (Delivery::Failed, now);
    } else {
        message.next = now.plus((waited / 2).clamp(PROBE_FIRST, PROBE_MOST));
    }
    Ok(())
}

/// Which of an owner's channels.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    /// Those that keep an incident for each alert.
    Incidents,
    /// The others.
    People,
}

/// How to answer about these alerts, by one link: the hash of its secret goes beside the messages, in their
/// transaction. The end of something needs no answer.
fn ways(setup: &Setup, event: Event, alerts: &[&Alert], now: UnixTime, links: &mut Vec<NewLink>) -> Ways {
    let (Some(url), Some(first)) = (&setup.public_url, alerts.first()) else { return Ways::default() };
    let page = match alerts {
        [one] => format!("{url}/alerts/{}", one.id()),
        _ => format!("{url}/alerts"),
    };
    if event == Event::Resolved {
        return Ways { acknowledge_url: None, page_url: Some(page) };
    }
    let (secret, hash) = new_secret();
    // A link ends before the deadline does: after that it is too late for "I have it".
    let month = now.plus(30 * 86_400);
    let end = |alert: &&Alert| match alert.deadline {
        Some(deadline) if deadline > now => month.min(deadline.plus(-1)),
        _ => now.plus(7 * 86_400),
    };
    let ends = alerts.iter().map(end).min().unwrap_or(month);
    let beside = alerts.iter().map(|a| a.number).filter(|n| *n != first.number).collect();
    links.push(NewLink { hash, ends, beside });
    Ways { acknowledge_url: Some(format!("{url}/ack/{secret}")), page_url: Some(page) }
}

/// Does a channel of this owner keep an incident for each alert?
fn keeps_incidents(setup: &Setup, owner: &str) -> bool {
    let keeps = |name: &str| setup.channels.get(name).is_some_and(|c| c.notifier.keeps_incidents());
    setup.people.get(owner).is_some_and(|person| person.notify.iter().any(|(name, _)| keeps(name)))
}

fn deliveries(
    setup: &Setup,
    owner: &str,
    alert: Option<i64>,
    notice: &Notice,
    which: Which,
    now: UnixTime,
) -> Vec<Outgoing> {
    let Some(person) = setup.people.get(owner) else { return Vec::new() };
    let wants = |name: &str| setup.channels.get(name).is_some_and(|c| notice.severity <= c.least);
    let fits = |incidents: bool| match which {
        Which::All => true,
        Which::Incidents => incidents,
        Which::People => !incidents,
    };
    let carries = |name: &str| {
        let fit = |c: &Channel| c.notifier.carries(notice.event) && fits(c.notifier.keeps_incidents());
        setup.channels.get(name).is_some_and(fit)
    };
    let always = matches!(notice.event, Event::Resolved | Event::Digest | Event::Test);
    let channels = person.notify.iter().enumerate();
    channels
        .filter(|(_, (name, _))| carries(name) && (always || wants(name)))
        .map(|(rank, (name, to))| Outgoing {
            id: format!("{}/{owner}/{}", notice.id, channel_name(name, to.as_deref())),
            alert,
            beside: Vec::new(),
            owner: owner.to_owned(),
            notifier: name.clone(),
            to: to.clone(),
            rank: rank as u32,
            notice: notice.clone(),
            delivery: Delivery::Pending,
            attempts: 0,
            next: now,
            error: None,
            created: now,
            sent: None,
        })
        .collect()
}

fn line(number: i64, what: &str, detail: String, now: UnixTime) -> AuditLine {
    AuditLine {
        at: now,
        who: "notafter".to_owned(),
        what: what.to_owned(),
        subject: format!("a{number}"),
        detail,
    }
}

/// A line of the trail that says that a message about an alert waits to be taken over. That it was told is another.
fn queued_line(alert: &Alert, m: &Outgoing, about: &str, now: UnixTime) -> AuditLine {
    let channel = channel_name(&m.notifier, m.to.as_deref());
    let detail = format!("{} to {} by {channel}, {about}", m.notice.event.as_str(), m.owner);
    line(alert.number, QUEUED, detail, now)
}

fn audit(alert: &Alert, messages: &[Outgoing], now: UnixTime) -> Vec<AuditLine> {
    let alone = messages.iter().filter(|m| m.beside.is_empty());
    let mut out: Vec<_> =
        alone.map(|m| queued_line(alert, m, &format!("alone: {}", m.notice.title), now)).collect();
    if alert.state == State::Resolved {
        out.push(line(alert.number, "alert-resolved", alert.title.clone(), now));
    }
    out
}

/// What became of a message, for the trail of each of its alerts; nothing while it is still tried.
fn outcome_lines(before: Delivery, m: &Outgoing, now: UnixTime) -> Vec<AuditLine> {
    let given_up = matches!(m.delivery, Delivery::Failed | Delivery::Late);
    let what = match m.delivery {
        Delivery::Sent => TOLD,
        _ if given_up && before == Delivery::Pending => NOT_TOLD,
        _ => return Vec::new(),
    };
    let channel = channel_name(&m.notifier, m.to.as_deref());
    let mut detail = format!("{} to {} by {channel}: {}", m.notice.event.as_str(), m.owner, m.notice.title);
    if let Some(error) = &m.error {
        detail.push_str(&format!(" ({error})"));
    }
    m.alerts().map(|number| line(number, what, detail.clone(), now)).collect()
}

/// Every finding that somebody is told about, as the decision wants it.
///
/// # Errors
/// The store's.
pub fn tellables(store: &Store, setup: &Setup, now: UnixTime) -> Result<Vec<Tellable>, StoreError> {
    let mut out = Vec::new();
    store.each_tellable(&mut |row| out.push(tellable(row, &setup.last_resort, now)))?;
    Ok(out)
}

/// Of what the alerts that are about to end were about: those findings of which time made a line, and nobody saw them gone.
/// Asked for alerts alone whose waiting is over, and kept short by that.
pub(crate) fn faded(
    store: &Store,
    setup: &Setup,
    findings: &[Tellable],
    alerts: &[Alert],
    now: UnixTime,
) -> Result<BTreeSet<String>, StoreError> {
    let groups: BTreeSet<String> = findings.iter().map(Tellable::group).collect();
    let ripe = |a: &&Alert| {
        let waited = now.0 >= a.resolved.unwrap_or(now).0.saturating_add(setup.patience.mended);
        a.state != State::Resolved && a.told.is_some() && waited && !groups.contains(&a.group)
    };
    let members = alerts.iter().filter(ripe).flat_map(|a| &a.members);
    let ids: Vec<&str> = members.filter(|(_, m)| m.resolved.is_none()).map(|(id, _)| id.as_str()).collect();
    store.faded(&ids)
}

/// A finding as the decision wants it.
pub fn tellable(row: FindingRow, last_resort: &str, now: UnixTime) -> Tellable {
    Tellable {
        summary: summary_at(&row.summary, row.deadline, now),
        id: row.id,
        kind: row.kind,
        severity: row.severity,
        asset: row.asset,
        name: row.title,
        issuer_name: row.issuer_name,
        owner: row.owner.unwrap_or_else(|| last_resort.to_owned()),
        deadline: row.deadline,
        not_before: row.not_before,
        // The rule has seen in which part it is used; a self-signed server certificate often says that it is a CA.
        is_ca: match row.evidence.iter().find(|(name, _)| name == "issues") {
            Some((_, fact)) => *fact == Fact::from(true),
            None => row.is_ca,
        },
        page: row.evidence.iter().find(|(name, _)| name == PAGE).and_then(|(_, fact)| fact.number()),
        hint: row.hint,
        breaks: row.blast.as_ref().map(|blast| blast.in_words()).unwrap_or_default(),
        weight: row.blast.as_ref().map_or(0, |blast| blast.weight()),
        places: row.locations.iter().map(ToString::to_string).collect(),
        opened: row.opened.min(now),
    }
}

/// The name of the number that tells this memory from every other.
const INSTANCE: &str = "instance";

/// What tells this memory's alerts from those of any other that reports to the same service: 48 random bits, made once
/// and kept with it, so that a restart and a restored backup go on with the incidents that are open.
///
/// # Errors
/// The store's.
pub fn instance(store: &Store) -> Result<String, StoreError> {
    let known = || -> Result<Option<String>, StoreError> {
        let kept = store.kept(INSTANCE)?.and_then(|kept| String::from_utf8(kept.value).ok());
        Ok(kept.filter(|text| !text.is_empty()))
    };
    if let Some(known) = known()? {
        return Ok(known);
    }
    let (random, _) = new_secret();
    let made = &random[..12];
    // Somebody else may have been faster: theirs holds.
    if store.keep(INSTANCE, made.as_bytes(), Some(0))? {
        return Ok(made.to_owned());
    }
    Ok(known()?.unwrap_or_default())
}

/// A secret of 256 bits as text, and its SHA-256: only the latter is kept.
pub fn new_secret() -> (String, [u8; 32]) {
    let mut bytes = [0; 32];
    // Without randomness nothing here may go on: a guessable link is worse than a crash.
    #[allow(clippy::expect_used)]
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    let text = notafter_pki::fingerprint::hex(&bytes);
    let hash = Fingerprint::of(text.as_bytes()).0;
    (text, hash)
}

/// The hash under which a secret is kept.
pub fn secret_hash(secret: &str) -> [u8; 32] {
    Fingerprint::of(secret.as_bytes()).0
}

//! Who would be told what, and when: the server's own decision, made at every instant at which something changes.
//!
//! The same `decide` and the same messages, over findings as they will stand. A decision about one group of findings
//! hangs on no other group, so that only those are decided anew that something touches. Every message is taken to
//! arrive, and nobody to answer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet};
use std::rc::Rc;

use notafter_core::alert::decide::{Input, LINGER, Tellable, decide, is_end};
use notafter_core::alert::{Alert, State};
use notafter_core::finding::{Severity, summary_at};
use notafter_core::{Fingerprint, UnixTime};
use notafter_store::{Store, StoreError};

use super::course::Courses;
use super::{Forecast, LIST_MAX, Message};
use crate::notify::{Desk, faded};
use crate::setup::Setup;

/// What changes within so many seconds is decided at once, as the server's passes do.
const GRAIN: i64 = 60;
/// A group with more than so many findings is decided so often at most, in seconds.
const LARGE: usize = 500;
const LARGE_EVERY: i64 = 3600;

/// How an open finding stands: all of it that changes. There may be a million.
#[derive(Clone, Copy)]
struct Standing {
    severity: Severity,
    deadline: Option<UnixTime>,
    opened: UnixTime,
}

impl Standing {
    fn of(tellable: &Tellable) -> Self {
        let Tellable { severity, deadline, opened, .. } = *tellable;
        Self { severity, deadline, opened }
    }

    fn tellable(self, template: &Tellable, now: UnixTime) -> Tellable {
        let Self { severity, deadline, opened } = self;
        let summary = summary_at(&template.summary, deadline, now);
        Tellable { severity, deadline, opened, summary, ..template.clone() }
    }
}

#[derive(Default)]
struct Group {
    /// By number in the table.
    members: BTreeMap<u32, Standing>,
    alerts: Vec<Alert>,
    decided: Option<UnixTime>,
}

struct Telling<'a> {
    setup: Setup,
    desk: Desk,
    courses: &'a Courses,
    groups: HashMap<Rc<str>, Group>,
    /// Where each open finding is.
    at: HashMap<u32, Rc<str>>,
    wakes: BinaryHeap<Reverse<(i64, Rc<str>)>>,
    holders: HashMap<u32, HashSet<u64>>,
    /// By asset: findings of its end.
    ends: HashMap<Fingerprint, Vec<u32>>,
    /// Findings of which time made a line.
    faded: BTreeSet<String>,
    next_number: i64,
}

/// Decides from `forecast.from` to its end, and notes who is told.
pub(super) fn tell(
    store: &Store,
    setup: &Setup,
    courses: &Courses,
    forecast: &mut Forecast,
) -> Result<(), StoreError> {
    let now = forecast.from;
    let mut telling = Telling {
        // Nobody answers what is only imagined.
        setup: Setup { public_url: None, ..setup.clone() },
        desk: Desk::imagined(),
        courses,
        groups: HashMap::new(),
        at: HashMap::new(),
        wakes: BinaryHeap::new(),
        holders: courses.shared.clone(),
        ends: HashMap::new(),
        faded: BTreeSet::new(),
        next_number: store.next_alert_number()?,
    };
    for (tellable, number) in courses.table.iter().take(courses.open).zip(0..) {
        telling.put(number, Standing::of(tellable));
    }
    for (tellable, number) in courses.table.iter().zip(0..) {
        if let Some(asset) = tellable.asset.filter(|_| is_end(tellable.kind)) {
            telling.ends.entry(asset).or_default().push(number);
        }
    }
    let lingers = |a: &Alert| a.resolved.is_some_and(|t| now.0 < t.0 + LINGER);
    let resolved = store.alerts(Some(State::Resolved), None, 1000)?.into_iter().filter(lingers);
    let alerts: Vec<Alert> = store.open_alerts()?.into_iter().chain(resolved).collect();
    // Whichever of them ends next, whenever that is.
    let open = &courses.table[..courses.open];
    telling.faded = faded(store, setup, open, &alerts, UnixTime(i64::MAX))?;
    for alert in alerts {
        telling.groups.entry(Rc::from(alert.group.as_str())).or_default().alerts.push(alert);
    }
    let all: BTreeSet<Rc<str>> = telling.groups.keys().cloned().collect();
    telling.decide(all, now, forecast);
    telling.run(forecast);
    Ok(())
}

impl Telling<'_> {
    /// Notes how a finding stands from now on. Returns its group.
    fn put(&mut self, number: u32, standing: Standing) -> Rc<str> {
        let name = self.courses.table[number as usize].group_ending(standing.deadline);
        let known = self.groups.get_key_value(name.as_str()).map(|(name, _)| Rc::clone(name));
        let group = known.unwrap_or_else(|| Rc::from(name));
        self.at.insert(number, Rc::clone(&group));
        self.groups.entry(Rc::clone(&group)).or_default().members.insert(number, standing);
        group
    }

    /// From change to change, and from one instant at which an alert wakes to the next.
    fn run(&mut self, forecast: &mut Forecast) {
        let until = forecast.until;
        let mut at = 0;
        let changes = &self.courses.changes;
        loop {
            let change = changes.get(at).map(|change| change.at.0);
            let wake = self.wakes.peek().map(|Reverse((wake, _))| *wake);
            let Some(next) = change.into_iter().chain(wake).min().filter(|next| *next <= until.0) else {
                break;
            };
            let now = UnixTime(next.saturating_add(GRAIN - 1).div_euclid(GRAIN) * GRAIN);
            let mut touched = BTreeSet::new();
            while let Some(change) = changes.get(at).filter(|change| change.at <= now) {
                self.change(change, &mut touched);
                at += 1;
            }
            while let Some(Reverse((wake, _))) = self.wakes.peek() {
                if *wake > now.0 {
                    break;
                }
                if let Some(Reverse((_, group))) = self.wakes.pop() {
                    touched.insert(group);
                }
            }
            self.decide(touched, now, forecast);
        }
    }

    fn change(&mut self, change: &super::course::Change, touched: &mut BTreeSet<Rc<str>>) {
        let number = change.finding;
        let known = self.at.get(&number).cloned();
        touched.extend(known.clone());
        let template = &self.courses.table[number as usize];
        match change.stands {
            Some((severity, deadline)) => {
                let stood = known.and_then(|group| self.groups.get_mut(&group)?.members.remove(&number));
                let stood = stood.unwrap_or(Standing { opened: change.at, ..Standing::of(template) });
                let holders = self.holders.entry(number).or_default();
                holders.insert(change.by);
                // Another one says it too: the worse holds.
                let severity = if holders.len() > 1 { severity.min(stood.severity) } else { severity };
                self.faded.remove(&template.id);
                touched.insert(self.put(number, Standing { severity, deadline, ..stood }));
            }
            None => {
                if let Some(holders) = self.holders.get_mut(&number) {
                    holders.remove(&change.by);
                    if !holders.is_empty() {
                        return;
                    }
                    self.holders.remove(&number);
                }
                if change.faded {
                    self.faded.insert(template.id.clone());
                }
                if let Some(group) = self.at.remove(&number)
                    && let Some(group) = self.groups.get_mut(&group)
                {
                    group.members.remove(&number);
                }
            }
        }
    }

    fn decide(&mut self, touched: BTreeSet<Rc<str>>, now: UnixTime, forecast: &mut Forecast) {
        let mut due = BTreeSet::new();
        for name in touched {
            let Some(group) = self.groups.get(&name) else { continue };
            let free = group.decided.map_or(now, |t| t.plus(LARGE_EVERY));
            if group.members.len() > LARGE && free > now {
                self.wakes.push(Reverse((free.0, name)));
            } else {
                due.insert(name);
            }
        }
        let contacts = self.setup.contacts(now);
        let (mut deeds, mut about) = (Vec::new(), Vec::new());
        let mut done: BTreeSet<Rc<str>> = BTreeSet::new();
        for name in &due {
            if done.contains(name) {
                continue;
            }
            let together = self.with_elsewhere(name, &done);
            let (mut findings, mut alerts) = (Vec::new(), Vec::new());
            for name in &together {
                let Some(group) = self.groups.get_mut(name) else { continue };
                group.decided = Some(now);
                let table = &self.courses.table;
                findings.extend(group.members.iter().map(|(n, m)| m.tellable(&table[*n as usize], now)));
                alerts.extend(group.alerts.iter().cloned());
            }
            if findings.is_empty() && alerts.is_empty() {
                continue;
            }
            let decision = decide(&Input {
                findings: &findings,
                alerts: &alerts,
                faded: &self.faded,
                contacts: &contacts,
                patience: self.setup.patience,
                next_number: self.next_number,
                now,
            });
            // Who was told just now is asked again: only then it is known when the next word is due.
            let again = (!decision.deeds.is_empty()).then(|| now.plus(GRAIN));
            if let Some(next) = decision.next.into_iter().chain(again).min().map(|next| next.max(now.plus(1)))
            {
                self.wakes.extend(together.iter().map(|name| Reverse((next.0, Rc::clone(name)))));
            }
            done.extend(together);
            if decision.deeds.is_empty() {
                continue;
            }
            let last = decision.deeds.iter().map(|deed| deed.alert.number + 1).max();
            self.next_number = self.next_number.max(last.unwrap_or(0));
            let told: HashSet<&String> = decision.deeds.iter().flat_map(|deed| &deed.news).collect();
            about.extend(findings.into_iter().filter(|finding| told.contains(&finding.id)));
            deeds.extend(decision.deeds);
        }
        for written in self.desk.write_up(&self.setup, deeds, &about, now).into_iter().flatten() {
            for message in &written.messages {
                note(message, &written.alert, forecast, now);
            }
            if written.messages.is_empty() && written.alert.told == Some(now) {
                forecast.unheard += 1;
            }
            let Some(group) = self.groups.get_mut(written.alert.group.as_str()) else { continue };
            match group.alerts.iter_mut().find(|a| a.number == written.alert.number) {
                Some(known) => *known = written.alert,
                None => group.alerts.push(written.alert),
            }
            group
                .alerts
                .retain(|a| a.state != State::Resolved || a.resolved.is_some_and(|t| now.0 < t.0 + LINGER));
        }
        for name in due {
            if self.groups.get(&name).is_some_and(|g| g.members.is_empty() && g.alerts.is_empty()) {
                self.groups.remove(&name);
            }
        }
    }

    /// A group, and those in which the findings of its alerts live on: an alert that is empty must see where they are.
    fn with_elsewhere(&self, name: &Rc<str>, done: &BTreeSet<Rc<str>>) -> BTreeSet<Rc<str>> {
        let mut out = BTreeSet::from([Rc::clone(name)]);
        let Some(group) = self.groups.get(name).filter(|group| group.members.is_empty()) else { return out };
        let members = || group.alerts.iter().flat_map(|alert| &alert.members);
        let same = members().filter_map(|(id, _)| self.courses.number_of(id));
        let of_asset = members().filter_map(|(_, m)| self.ends.get(&m.asset?)).flatten().copied();
        let elsewhere = same.chain(of_asset).filter_map(|number| self.at.get(&number));
        out.extend(elsewhere.filter(|group| !done.contains(*group)).cloned());
        out
    }
}

fn note(message: &notafter_core::alert::Outgoing, alert: &Alert, forecast: &mut Forecast, now: UnixTime) {
    forecast.messages += 1;
    *forecast.messages_to.entry(message.owner.clone()).or_default() += 1;
    forecast.day(now).messages += 1;
    if forecast.told.len() < LIST_MAX {
        forecast.told.push(Message {
            at: now,
            owner: message.owner.clone(),
            by: crate::setup::channel_name(&message.notifier, message.to.as_deref()),
            event: message.notice.event,
            step: alert.step,
            severity: message.notice.severity,
            title: message.notice.title.clone(),
            names: message.notice.items.iter().take(5).map(|item| item.name.clone()).collect(),
        });
    }
}

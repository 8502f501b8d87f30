//! What to tell whom, and when: from findings and alerts as they stand to alerts as they shall be.
//!
//! Pure: no clock, no database, no message text (that is `alert/message.rs`). The promises it keeps:
//! each step of the ladder is told once, and the end itself; one cause is one alert, however many places it has; an
//! acknowledgement buys quiet that ends before the deadline does, for what it was about when it was given; silence is
//! escalated; resolution is told once and only when it was seen; a target that flaps does not ring every time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::hold::most;
use super::{Alert, Back, Hold, Member, State};
use crate::deadline::{Ladder, Step};
use crate::finding::{Kind, Severity};
use crate::notice::Event;
use crate::{Fingerprint, UnixTime};
use notafter_pki::time::DAY;

const HOUR: i64 = 3600;

/// An open finding that somebody is to be told about (warning or worse).
#[derive(Clone, Debug, PartialEq)]
pub struct Tellable {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about, if that is an asset.
    pub asset: Option<Fingerprint>,
    /// What to call it.
    pub name: String,
    /// The asset's issuer.
    pub issuer_name: Option<String>,
    /// Who answers for it; the owner of last resort where nobody does.
    pub owner: String,
    /// When it stops working.
    pub deadline: Option<UnixTime>,
    /// When the asset began to be valid.
    pub not_before: Option<UnixTime>,
    /// Is it a CA certificate?
    pub is_ca: bool,
    /// From so many seconds before its deadline it is on the page step, if its rule says so: then its deadline is an
    /// end, too.
    pub page: Option<i64>,
    /// What happened, in one sentence.
    pub summary: String,
    /// What to do.
    pub hint: String,
    /// Where.
    pub places: Vec<String>,
    /// What breaks with it, and how long the mending takes, in a sentence; empty where that is not known.
    pub breaks: String,
    /// How much it weighs among those that are equally bad.
    pub weight: u32,
    /// Since when it is known.
    pub opened: UnixTime,
}

impl Tellable {
    /// The step it is on: the severity; of what is critical also the page step, and that its end has passed.
    pub fn step(&self, now: UnixTime) -> Step {
        match self.severity {
            Severity::Critical if self.end().is_some_and(|end| now > end) => Step::Ended,
            Severity::Critical if self.page_at().is_some_and(|at| now >= at) => Step::Page,
            Severity::Critical => Step::Critical,
            Severity::Warning => Step::Warning,
            Severity::Info => Step::Quiet,
        }
    }

    /// Its deadline, where that is the end of what it is about.
    fn end(&self) -> Option<UnixTime> {
        self.deadline.filter(|_| is_end(self.kind) || self.page.is_some())
    }

    /// When the page step begins: as its rule says, else by the ladder of its lifetime.
    pub(super) fn page_at(&self) -> Option<UnixTime> {
        match self.page {
            Some(before) => self.deadline.map(|end| end.plus(-before)),
            None => self.ladder().map(|(ladder, end)| end.plus(-ladder.page)),
        }
    }

    /// The ladder, for what climbs one: its own end is what it is about.
    pub(super) fn ladder(&self) -> Option<(Ladder, UnixTime)> {
        let end = self.deadline.filter(|_| is_end(self.kind))?;
        let lifetime = end.0.saturating_sub(self.not_before?.0);
        Some((if self.is_ca { Ladder::for_ca(lifetime) } else { Ladder::for_leaf(lifetime) }, end))
    }

    /// What joins it with others into one alert: owner and kind; for what has a date, also who issued it
    /// and on which day it ends, so that a fleet renewed on one day is one alert.
    pub fn group(&self) -> String {
        self.group_ending(self.deadline)
    }

    /// The same, did it stop working at this instant.
    pub fn group_ending(&self, deadline: Option<UnixTime>) -> String {
        let class = if is_end(self.kind) { "end" } else { self.kind.as_str() };
        match deadline {
            Some(deadline) => {
                let day = deadline.0.div_euclid(DAY);
                let issuer = self.issuer_name.as_deref().unwrap_or("");
                format!("{}\n{class}\n{day}\n{issuer}", self.owner)
            }
            None => format!("{}\n{class}", self.owner),
        }
    }
}

/// Kinds that are one story: it is about to end, and then it has.
pub fn is_end(kind: Kind) -> bool {
    matches!(kind, Kind::ExpiresSoon | Kind::ExpiredInUse | Kind::Expired)
}

/// Is this finding, of which nobody is told, what became of one of this id, kind and asset of which somebody was told?
/// The same finding at a lower severity, or the story of the same end; what was seen to be replaced is not.
pub fn fades(told: (&str, Kind, Option<Fingerprint>), finding: (&str, Kind, Option<Fingerprint>)) -> bool {
    let same_end = is_end(told.1) && is_end(finding.1) && told.2.is_some() && told.2 == finding.2;
    told.0 == finding.0 || same_end
}

/// An owner as far as telling goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// Who is told when this one does not answer.
    pub escalate_to: Option<String>,
    /// After so many seconds; `None`: eight hours, three days for a mere warning.
    pub escalate_after: Option<i64>,
    /// Away now: the next one is told at the same time.
    pub absent: bool,
}

/// Everybody who can be told, and the owner of last resort.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contacts {
    /// By name.
    pub owners: BTreeMap<String, Contact>,
    /// Told when nobody else is left.
    pub last_resort: String,
}

impl Contacts {
    /// Who is told when `owner` does not answer, if not among those who were told already.
    fn after(&self, owner: &str, told: &BTreeSet<&str>) -> Option<String> {
        let mut at = owner;
        for _ in 0..self.owners.len() {
            match self.owners.get(at).and_then(|c| c.escalate_to.as_deref()) {
                Some(next) if told.contains(next) => at = next,
                Some(next) => return Some(next.to_owned()),
                None => break,
            }
        }
        (!told.contains(self.last_resort.as_str())).then(|| self.last_resort.clone())
    }

    fn patience(&self, owner: &str, step: Step) -> i64 {
        let own = self.owners.get(owner).and_then(|c| c.escalate_after);
        own.unwrap_or(if step >= Step::Critical { 8 * HOUR } else { 3 * DAY })
    }
}

/// How long to wait for more of the same, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A new alert is told when nothing joined it for so long.
    pub settle: i64,
    /// But after so long at the latest.
    pub settle_most: i64,
    /// What is gone must stay away for so long before it counts as mended.
    pub mended: i64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { settle: 45, settle_most: 600, mended: 600 }
    }
}

/// What a pass looks at.
pub struct Input<'a> {
    /// Every open finding of warning or worse.
    pub findings: &'a [Tellable],
    /// Alerts that are not resolved, and those resolved within [`LINGER`].
    pub alerts: &'a [Alert],
    /// Findings that alerts are or were about, of which nobody is told any more without their being seen to be gone: time
    /// made a line of them ([`fades`]).
    pub faded: &'a BTreeSet<String>,
    /// Who can be told.
    pub contacts: &'a Contacts,
    /// How long to wait for more.
    pub patience: Patience,
    /// The lowest number that no alert has.
    pub next_number: i64,
    /// The instant.
    pub now: UnixTime,
}

/// An alert resolved within so many seconds is taken up again when its cause comes back.
pub const LINGER: i64 = DAY;

/// An alert to be kept, and who is to be told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Deed {
    /// The alert as it shall be.
    pub alert: Alert,
    /// Whom to tell, and why.
    pub tell: Vec<(String, Event)>,
    /// The findings to tell about: those that are new or worse first.
    pub news: Vec<String>,
}

/// What follows from a pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// What to do.
    pub deeds: Vec<Deed>,
    /// When time alone will change something.
    pub next: Option<UnixTime>,
}

/// Decides. Findings in any order; the answer is ordered by alert number.
pub fn decide(input: &Input<'_>) -> Decision {
    let mut groups: BTreeMap<String, Vec<&Tellable>> = BTreeMap::new();
    for finding in input.findings {
        groups.entry(finding.group()).or_default().push(finding);
    }
    let open = Open {
        ids: input.findings.iter().map(|f| f.id.as_str()).collect(),
        ends: input.findings.iter().filter(|f| is_end(f.kind)).filter_map(|f| f.asset).collect(),
    };
    let mut known: HashMap<&str, &Alert> = HashMap::new();
    for alert in input.alerts {
        // Of several of one group, the open one, else the youngest.
        let entry = known.entry(&alert.group).or_insert(alert);
        let rank = |a: &Alert| (a.state != State::Resolved, a.number);
        if rank(alert) > rank(entry) {
            *entry = alert;
        }
    }
    let mut pass = Pass { input, out: Decision::default(), number: input.next_number };
    for (group, members) in &groups {
        let alert = known
            .get(group.as_str())
            .copied()
            .filter(|a| a.state != State::Resolved || a.resolved.is_some_and(|t| input.now.0 < t.0 + LINGER));
        pass.stands(group, alert, members);
    }
    for alert in input.alerts {
        if alert.state != State::Resolved && !groups.contains_key(&alert.group) {
            pass.nothing_left(alert, &open);
        }
    }
    pass.out.deeds.sort_by_key(|d| d.alert.number);
    pass.out
}

/// What is open, wherever it is told.
struct Open<'a> {
    ids: BTreeSet<&'a str>,
    /// Assets whose end is told.
    ends: BTreeSet<Fingerprint>,
}

struct Pass<'a> {
    input: &'a Input<'a>,
    out: Decision,
    number: i64,
}

impl Pass<'_> {
    fn wake(&mut self, at: UnixTime) {
        self.out.next = Some(self.out.next.map_or(at, |next| next.min(at)));
    }

    /// A group with open findings.
    fn stands(&mut self, group: &str, known: Option<&Alert>, members: &[&Tellable]) {
        let now = self.input.now;
        let step = members.iter().map(|m| m.step(now)).max().unwrap_or(Step::Quiet);
        for member in members {
            self.wake_at_step(member);
        }
        let told = |m: &Tellable| known.and_then(|a| a.members.get(&m.id));
        // Of one day and one issuer: when the first reaches a step, all are told with it.
        let is_news = |m: &Tellable| told(m).is_none_or(|t| t.resolved.is_some() || t.step < step);
        let mut news: Vec<&Tellable> = members.iter().copied().filter(|m| is_news(m)).collect();
        news.sort_by_key(|m| {
            (m.severity, Reverse(m.weight), m.deadline.unwrap_or(UnixTime(i64::MAX)), m.opened)
        });

        let mut alert = match known {
            Some(alert) => alert.clone(),
            None => self.begin(group, members),
        };
        let before = alert.clone();
        of_another_clock(&mut alert, step, now);
        // It is back: that is shown at once, and told when its time comes.
        if alert.state == State::Resolved {
            (alert.state, alert.resolved, alert.faded) = (State::Open, None, false);
        }
        // What is kept must be true of now, even while nothing is told.
        alert.severity = members.iter().map(|m| m.severity).min().unwrap_or(alert.severity);
        alert.deadline = members.iter().filter_map(|m| m.deadline).min();
        // Seen again: whatever was about to count as mended is not.
        alert.resolved = None;
        mend(&mut alert, members, now);
        // What joined since may end earlier: no quiet outlives the deadline of any of them.
        if let Some(hold) = &mut alert.hold {
            hold.until = hold.until.min(most(alert.deadline, alert.severity, members, now));
        }
        // A hold was given for what it was about: something new that is critical is nobody's yet.
        let news_is_critical = news.iter().any(|m| m.severity == Severity::Critical && told(m).is_none());
        let mut held = self.held(&mut alert, step);
        let quiet_ended = before.hold.is_some() && held.is_none();

        let mut tell = Vec::new();
        let mut waits = false;
        if !news.is_empty() {
            let covers = held.as_ref().filter(|_| !news_is_critical);
            let due = self.news_due(&alert, known.is_none(), step, &news, covers);
            if now >= due {
                if held.take().is_some() {
                    release(&mut alert);
                }
                if alert.back == Back::Over {
                    alert.back = Back::Told;
                }
                alert.step = alert.step.max(step);
                if step > before.step || before.state == State::Resolved {
                    alert.escalated.clear();
                }
                for member in members {
                    let kept = Member {
                        step: alert.step,
                        severity: member.severity,
                        deadline: member.deadline,
                        resolved: None,
                        asset: member.asset,
                    };
                    alert.members.insert(member.id.clone(), kept);
                }
                mend(&mut alert, members, now);
                (alert.told, alert.step_told, alert.over) = (Some(now), Some(now), false);
                alert.title = title(members);
                tell.push((alert.owner.clone(), Event::Alert));
                tell.extend(alert.escalated.iter().map(|o| (o.clone(), Event::Alert)));
                if self.input.contacts.owners.get(&alert.owner).is_some_and(|c| c.absent) {
                    self.escalate(&mut alert, &mut tell);
                }
            } else {
                self.wake(due);
                news.clear();
                waits = true;
            }
        }
        let quiet = waits || alert.told.is_none();
        if tell.is_empty() && held.is_none() && !quiet {
            if quiet_ended {
                // Somebody asked for time; it is over, and the thing still stands.
                (alert.told, alert.step_told) = (Some(now), Some(now));
                tell.push((alert.owner.clone(), Event::Reminder));
            } else {
                self.remind(&mut alert, &mut tell);
            }
        }
        if alert != before || !tell.is_empty() {
            let mut list: Vec<String> = news.iter().map(|m| m.id.clone()).collect();
            if list.is_empty() {
                list = members.iter().map(|m| m.id.clone()).collect();
            }
            // An alert that nobody has been told of yet lives in its findings alone.
            if known.is_some() || !tell.is_empty() {
                self.out.deeds.push(Deed { alert, tell, news: list });
            }
        }
        if let Some(hold) = held {
            self.wake(hold.until);
        }
    }

    /// An unbroken hold, if there is one; one that has run out is taken off.
    fn held(&mut self, alert: &mut Alert, step: Step) -> Option<Hold> {
        let hold = alert.hold.clone()?;
        // Worse than what was acknowledged: that is news, and the hold was not given for it.
        let over = self.input.now >= hold.until || (step > alert.step && !hold.snooze);
        if over {
            release(alert);
            return None;
        }
        Some(hold)
    }

    /// When news may be told.
    fn news_due(
        &self,
        alert: &Alert,
        fresh: bool,
        step: Step,
        news: &[&Tellable],
        held: Option<&Hold>,
    ) -> UnixTime {
        if let Some(hold) = held {
            return hold.until;
        }
        let patience = self.input.patience;
        let newest = news.iter().map(|m| m.opened).max().unwrap_or(self.input.now);
        let oldest = news.iter().map(|m| m.opened).min().unwrap_or(self.input.now);
        let settled = UnixTime((newest.0 + patience.settle).min(oldest.0 + patience.settle_most));
        if fresh || step > alert.step || alert.back == Back::Over {
            return settled;
        }
        // More of what is known: not every time one joins.
        let pause = match alert.step {
            Step::Page | Step::Ended => HOUR,
            Step::Critical => 6 * HOUR,
            Step::Warning | Step::Quiet => DAY,
        };
        alert.told.map_or(settled, |t| UnixTime((t.0 + pause).max(settled.0)))
    }

    /// Reminders on the page step, and escalation on any.
    fn remind(&mut self, alert: &mut Alert, tell: &mut Vec<(String, Event)>) {
        let Some(told) = alert.told else { return };
        let now = self.input.now;
        // Who was told last has to answer next.
        let last = alert.escalated.last().unwrap_or(&alert.owner).clone();
        let rounds = alert.escalated.len() as i64 + 1;
        let since = alert.step_told.unwrap_or(told);
        let escalate_at = UnixTime(since.0 + rounds * self.input.contacts.patience(&last, alert.step));
        if self.next_of(alert).is_some() {
            if now >= escalate_at {
                self.escalate(alert, tell);
            } else {
                self.wake(escalate_at);
            }
        }
        if alert.step >= Step::Page && tell.is_empty() {
            // Daily; once a thing has been over for a week, weekly: everybody knows.
            let over = alert.deadline.is_some_and(|d| now.0 > d.0 + 7 * DAY);
            let at = UnixTime(told.0 + if over { 7 * DAY } else { DAY });
            if now >= at {
                alert.told = Some(now);
                tell.push((alert.owner.clone(), Event::Reminder));
                tell.extend(alert.escalated.iter().map(|o| (o.clone(), Event::Reminder)));
            } else {
                self.wake(at);
            }
        }
    }

    fn next_of(&self, alert: &Alert) -> Option<String> {
        let mut told: BTreeSet<&str> = alert.escalated.iter().map(String::as_str).collect();
        told.insert(&alert.owner);
        let last = alert.escalated.last().unwrap_or(&alert.owner);
        self.input.contacts.after(last, &told)
    }

    fn escalate(&self, alert: &mut Alert, tell: &mut Vec<(String, Event)>) {
        if let Some(next) = self.next_of(alert) {
            tell.push((next.clone(), Event::Escalation));
            alert.escalated.push(next);
        }
    }

    /// At the page step, and when its end has passed.
    fn wake_at_step(&mut self, member: &Tellable) {
        let ahead = [member.page_at(), member.end().map(|end| end.plus(1))];
        if let Some(next) = ahead.into_iter().flatten().filter(|at| *at > self.input.now).min() {
            self.wake(next);
        }
    }

    fn begin(&mut self, group: &str, members: &[&Tellable]) -> Alert {
        let number = self.number;
        self.number += 1;
        Alert {
            number,
            version: 0,
            group: group.to_owned(),
            owner: members[0].owner.clone(),
            state: State::Open,
            severity: Severity::Warning,
            step: Step::Quiet,
            title: title(members),
            deadline: None,
            opened: self.input.now,
            told: None,
            step_told: None,
            hold: None,
            escalated: Vec::new(),
            members: BTreeMap::new(),
            resolved: None,
            faded: false,
            back: Back::Never,
            over: false,
        }
    }

    /// An alert none of whose findings is open in its group any more.
    fn nothing_left(&mut self, known: &Alert, open: &Open<'_>) {
        let now = self.input.now;
        let mut alert = known.clone();
        of_another_clock(&mut alert, known.step, now);
        // Open under another owner or date: it lives on there, and nothing was mended.
        let told_elsewhere = |(id, member): (&String, &Member)| {
            open.ids.contains(id.as_str())
                || is_end_group(&alert.group) && member.asset.is_some_and(|a| open.ends.contains(&a))
        };
        if alert.members.iter().any(told_elsewhere) {
            alert.state = State::Resolved;
            alert.resolved = Some(now);
            alert.hold = None;
            self.out.deeds.push(Deed { alert, tell: Vec::new(), news: Vec::new() });
            return;
        }
        let since = *alert.resolved.get_or_insert(now);
        let at = UnixTime(since.0 + self.input.patience.mended);
        let mut tell = Vec::new();
        if now >= at {
            // What came back and went without a word in between goes without one. Not so what took the place of what had been
            // told: until it was told itself, the end of what was told is still to be said.
            let told_open = alert.told.is_some() && !alert.over;
            let faded = |(id, m): (&String, &Member)| m.resolved.is_none() && self.input.faded.contains(id);
            alert.faded = alert.members.iter().any(faded);
            for member in alert.members.values_mut() {
                member.resolved.get_or_insert(since);
            }
            alert.state = State::Resolved;
            alert.hold = None;
            if told_open {
                alert.over = true;
                if alert.back == Back::Never {
                    alert.back = Back::Over;
                }
                tell.push((alert.owner.clone(), Event::Resolved));
                tell.extend(alert.escalated.iter().map(|o| (o.clone(), Event::Resolved)));
            }
        } else {
            self.wake(at);
        }
        if alert != *known {
            let news = alert.members.keys().cloned().collect();
            self.out.deeds.push(Deed { alert, tell, news });
        }
    }
}

/// Takes off a hold.
fn release(alert: &mut Alert) {
    alert.hold = None;
    if alert.state == State::Acknowledged {
        alert.state = State::Open;
    }
}

/// Is an alert of this group about ends?
fn is_end_group(group: &str) -> bool {
    group.split('\n').nth(1) == Some("end")
}

/// Instants that lie ahead were written down while the clock was wrong. What was told then about steps that have
/// not come yet does not count as told, and quiet that was asked for then is no quiet now.
fn of_another_clock(alert: &mut Alert, step: Step, now: UnixTime) {
    let ahead = |t: Option<UnixTime>| t.is_some_and(|t| t > now);
    let wrong = ahead(alert.told) || ahead(alert.step_told);
    for at in [&mut alert.told, &mut alert.step_told, &mut alert.resolved] {
        *at = at.map(|t| t.min(now));
    }
    alert.opened = alert.opened.min(now);
    for member in alert.members.values_mut() {
        member.resolved = member.resolved.map(|t| t.min(now));
        if wrong {
            member.step = member.step.min(step);
        }
    }
    if wrong {
        alert.step = alert.step.min(step);
    }
    if alert.hold.as_ref().is_some_and(|hold| hold.at > now) {
        release(alert);
    }
}

/// Notes which members are mended. What was about to end and then has is one story: its first part is not mended.
fn mend(alert: &mut Alert, members: &[&Tellable], now: UnixTime) {
    let open: BTreeSet<&str> = members.iter().map(|m| m.id.as_str()).collect();
    let untold = |m: &&&Tellable| !alert.members.contains_key(&m.id);
    let ends: BTreeSet<Fingerprint> =
        members.iter().filter(untold).filter(|m| is_end(m.kind)).filter_map(|m| m.asset).collect();
    for (id, member) in &mut alert.members {
        let goes_on = member.asset.is_some_and(|asset| ends.contains(&asset));
        if !open.contains(id.as_str()) && !goes_on {
            member.resolved.get_or_insert(now);
        }
    }
}

/// What the alert is called: the one thing, or how many.
fn title(members: &[&Tellable]) -> String {
    let mut sorted: Vec<&&Tellable> = members.iter().collect();
    sorted.sort_by_key(|m| {
        (m.severity, Reverse(m.weight), m.deadline.unwrap_or(UnixTime(i64::MAX)), m.name.as_str())
    });
    match sorted.as_slice() {
        [] => String::new(),
        [one] => called(one),
        [first, rest @ ..] => format!("{} and {} more", called(first), rest.len()),
    }
}

/// What has no name is called by what is wrong with it.
fn called(member: &Tellable) -> String {
    if member.name.is_empty() { member.summary.clone() } else { member.name.clone() }
}

#[cfg(test)]
mod tests;

//! Alerts: who was told what, who has it, what happens next; forms to acknowledge and to snooze.

use std::collections::HashSet;

use askama::Template;
use notafter_core::UnixTime;
use notafter_core::alert::hold::hold_most;
use notafter_core::alert::{Alert, Delivery as Stand, Outgoing, State};
use notafter_core::deadline::Step;
use notafter_core::finding::{Severity, summary_at};
use notafter_engine::notify::tellable;
use notafter_engine::setup::channel_name;
use notafter_pki::time::DAY;
use notafter_store::StoreError;
use notafter_store::rows::{AssetRow, FindingRow};
use serde::Deserialize;

use super::filters;
use super::frame::{House, Look, frame, waits};
use super::horizon::iso_day;
use super::row::{deed, left_of, row};
use super::{AlertItem, Chip, Delivery, Frame, Left, Name, Pager, Row, Stamp, Todo, place_href, tone};
use crate::words;

#[derive(Clone, Debug, Template)]
#[template(path = "alerts.html")]
pub(crate) struct AlertsView {
    pub(crate) frame: Frame,
    pub(crate) headline: String,
    pub(crate) subline: String,
    pub(crate) states: Vec<Chip>,
    pub(crate) alerts: Vec<AlertItem>,
    pub(crate) alerts_none: String,
    pub(crate) pager: Pager,
}

/// So many alerts are on a page.
const ALERTS: usize = 30;
/// So many of an alert's findings are read for it.
const MEMBERS: usize = 20;
/// So many of its messages are shown.
const MESSAGES: usize = 30;

/// What `state` of the page can be; nothing is what is not resolved.
pub(crate) const STATES: [&str; 5] = ["", "open", "acknowledged", "snoozed", "resolved"];

/// What is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ask {
    /// `open`, `acknowledged`, `snoozed`, `resolved`; "" is what is not resolved.
    pub(crate) state: String,
    /// Go on below this number.
    pub(crate) before: Option<i64>,
}

/// An alert with what belongs to it.
pub(crate) struct Whole {
    pub(crate) alert: Alert,
    /// Open ones of its findings, worst first; so many at most.
    pub(crate) findings: Vec<FindingRow>,
    /// What the first of them is about.
    pub(crate) asset: Option<AssetRow>,
    pub(crate) messages: Vec<Outgoing>,
}

/// Everything about these alerts.
pub(crate) fn whole(look: &Look, alerts: Vec<Alert>) -> Result<Vec<Whole>, StoreError> {
    alerts.into_iter().map(|alert| one(look, alert)).collect()
}

fn one(look: &Look, alert: Alert) -> Result<Whole, StoreError> {
    let mut findings = Vec::new();
    for id in alert.members.keys().take(MEMBERS) {
        findings.extend(look.store.finding(id)?);
    }
    findings.sort_by_key(|f| (f.resolved.is_some(), f.severity, f.deadline.unwrap_or(UnixTime(i64::MAX))));
    let asset = match findings.first().and_then(|f| f.asset) {
        Some(id) => look.store.by_id(&notafter_pki::fingerprint::hex(&id.0))?.into_iter().next(),
        None => None,
    };
    let messages = look.store.outgoing(Some(alert.number), MESSAGES)?;
    Ok(Whole { alert, findings, asset, messages })
}

/// The alerts of a page.
pub(crate) fn gather(look: &Look, house: &House, ask: &Ask) -> Result<Vec<Whole>, StoreError> {
    let alerts = if ask.state != "resolved" {
        let wanted = |a: &&Alert| ask.state.is_empty() || a.stands() == ask.state;
        let mut open: Vec<Alert> = house.alerts.iter().filter(wanted).cloned().collect();
        open.sort_by_key(|a| (!waits(a, look.now), a.severity, a.deadline.unwrap_or(UnixTime(i64::MAX))));
        open.truncate(3 * ALERTS);
        open
    } else {
        look.store.alerts(Some(State::Resolved), ask.before, ALERTS)?
    };
    whole(look, alerts)
}

/// The page. `only` is the alert that was asked for by its id.
pub(crate) fn view(
    look: &Look,
    house: &House,
    ask: &Ask,
    alerts: &[Whole],
    only: Option<&str>,
) -> AlertsView {
    let now = look.now;
    let count = |keep: &dyn Fn(&&Alert) -> bool| house.alerts.iter().filter(keep).count() as u64;
    let waiting = count(&|a| waits(a, now));
    let all = house.alerts.len() as u64;
    let failed = alerts.iter().flat_map(|w| &w.messages).filter(|m| m.delivery == Stand::Failed);
    let failed = failed.map(|m| m.id.as_str()).collect::<HashSet<_>>().len() as u64;
    let mut headline = match (all, waiting) {
        (0, _) => "No alert is open".to_owned(),
        (_, 0) => format!("{} open, and somebody has each of them", is_are(all, "alert")),
        (_, 1) => "One alert waits for someone".to_owned(),
        (_, n) => format!("{} alerts wait for someone", words::sentence(&words::number_word(n))),
    };
    headline.push_str(&match failed {
        0 => ".".to_owned(),
        1 => "; one message did not arrive.".to_owned(),
        n => format!("; {} messages did not arrive.", words::number_word(n)),
    });
    if let Some(id) = only {
        headline = format!("Alert {id}");
    }
    let chip = |words: &str, state: &str, count: Option<u64>| {
        let href = if state.is_empty() { "/alerts".to_owned() } else { format!("/alerts?state={state}") };
        Chip::new(words, href, only.is_none() && ask.state == state, count)
    };
    let full = ask.state == "resolved" && alerts.len() == ALERTS;
    let last = alerts.last().map(|w| w.alert.number).unwrap_or_default();
    let first_page = ask.before.is_none();
    AlertsView {
        frame: frame(look, house, "Alerts", "Alerts"),
        headline,
        subline: "Each step is told once. Quiet in between is meant.".to_owned(),
        states: vec![
            chip("not resolved", "", Some(all)),
            chip("open", "open", Some(count(&|a| a.stands() == "open"))),
            chip("acknowledged", "acknowledged", Some(count(&|a| a.stands() == "acknowledged"))),
            chip("snoozed", "snoozed", Some(count(&|a| a.stands() == "snoozed"))),
            chip("resolved", "resolved", None),
        ],
        alerts_none: if all == 0 && ask.state.is_empty() {
            "No alert is open: nothing that was seen needs a person now.".to_owned()
        } else {
            "There is no such alert.".to_owned()
        },
        pager: Pager {
            before: if first_page {
                String::new()
            } else {
                format!("/alerts?state={}", words::encode(&ask.state))
            },
            after: if full {
                format!("/alerts?state={}&before={last}", words::encode(&ask.state))
            } else {
                String::new()
            },
            // A single page has no pager, and nothing to count at its foot.
            words: if first_page && !full {
                String::new()
            } else {
                format!("{} on this page", words::counted(alerts.len() as u64, "alert"))
            },
        },
        alerts: alerts.iter().map(|w| item(look, w)).collect(),
    }
}

fn is_are(n: u64, noun: &str) -> String {
    let verb = if n == 1 { "is" } else { "are" };
    format!("{} {} {verb}", words::sentence(&words::number_word(n)), words::plural(n, noun))
}

/// One alert, as it stands in every list.
pub(crate) fn item(look: &Look, whole: &Whole) -> AlertItem {
    let now = look.now;
    let alert = &whole.alert;
    let tellables: Vec<_> = whole
        .findings
        .iter()
        .filter(|f| f.resolved.is_none())
        .map(|f| tellable(f.clone(), &look.setup.last_resort, now))
        .collect();
    let latest = hold_most(alert, &tellables, now);
    // The form takes whole days: the last one that begins before the hold must end.
    let earliest = iso_day(now.plus(DAY));
    let latest_day = iso_day(latest).max(earliest.clone());
    let failed = whole.messages.iter().filter(|m| m.delivery == Stand::Failed).count() as u64;
    let pending = whole.messages.iter().filter(|m| m.delivery == Stand::Pending).count() as u64;
    let count = whole.messages.len() as u64;
    let told = match (count, failed, pending) {
        (0, ..) if alert.told.is_some() => {
            "Told on this page and in the log only: no channel reaches its owner.".to_owned()
        }
        (0, ..) => "Nobody was told yet: it waits for more of the same.".to_owned(),
        (n, 0, 0) => format!("{}, all taken over", words::counted(n, "message")),
        (n, 0, p) => format!("{}, {p} on the way", words::counted(n, "message")),
        (n, f, _) => format!("{}, {f} not delivered", words::counted(n, "message")),
    };
    // What began with others is told with them.
    let with = whole.messages.iter().map(|m| m.beside.len()).max().unwrap_or(0);
    let told = match with {
        0 => told,
        n => format!("{told}, in one with {}", words::counted(n as u64, "other alert")),
    };
    let held = alert.hold.as_ref().filter(|hold| hold.until > now);
    AlertItem {
        id: alert.id(),
        row: vec![alert_row(whole, now)],
        state: state_words(alert, now),
        tone: match (alert.state, held) {
            (State::Open, None) => "now",
            _ => "plain",
        }
        .to_owned(),
        summary: summary(whole, now),
        hint: match (alert.state, whole.findings.first()) {
            (State::Resolved, _) | (_, None) => String::new(),
            (_, Some(first)) => words::sentence(&words::clean(&first.hint)),
        },
        breaks: match (alert.state, whole.findings.first()) {
            (State::Resolved, _) | (_, None) => String::new(),
            (_, Some(first)) => super::findings::breaks(first),
        },
        step: step_words(alert, now),
        next: next_words(look, alert, now),
        told,
        trouble: failed > 0,
        deliveries: whole.messages.iter().map(|m| delivery(m, now)).collect(),
        can_act: alert.state == State::Open,
        snooze_earliest: earliest,
        snooze_latest_words: words::day(latest.max(now.plus(DAY)), now),
        snooze_latest: latest_day,
        command: format!("notafter ack {}", alert.id()),
    }
}

fn summary(whole: &Whole, now: UnixTime) -> String {
    match whole.findings.first() {
        Some(first) if first.resolved.is_some() && whole.alert.state != State::Resolved => {
            "The cause is no longer found. It is told as mended once it has stayed so.".to_owned()
        }
        Some(first) => {
            let said = words::said(&words::clean(&summary_at(&first.summary, first.deadline, now)));
            let more = whole.alert.members.len().saturating_sub(1);
            let more = if more > 0 {
                format!(" And {} more of the same cause.", words::number(more as u64))
            } else {
                String::new()
            };
            format!("{}.{more}", said.trim_end_matches('.'))
        }
        None => words::clean(&whole.alert.title),
    }
}

/// What an alert is about, as a row.
pub(crate) fn alert_row(whole: &Whole, now: UnixTime) -> Row {
    let alert = &whole.alert;
    let mut out = match &whole.asset {
        Some(asset) => row(asset, whole.findings.first(), now),
        None => {
            let place = whole.findings.first().and_then(|f| f.locations.first());
            let title = whole.findings.first().map_or(alert.title.as_str(), |f| f.title.as_str());
            // What is about no place is called by its kind: "operator", for operator, says nothing.
            let kind = whole.findings.first().map(|f| f.kind.as_str().replace('-', " "));
            let title = match (place, &kind) {
                (None, Some(kind)) => kind,
                _ if title.is_empty() => "this server",
                _ => title,
            };
            Row {
                left: Left { number: "–".to_owned(), unit: "no date".to_owned(), tone: "plain".to_owned() },
                name: Name::of(title),
                href: place.map_or_else(|| "/sources".to_owned(), |p| place_href(p.as_str())),
                owner: String::new(),
                place_words: whole
                    .findings
                    .first()
                    .map(|f| super::findings::places(&f.locations))
                    .unwrap_or_default(),
                todo: Todo::default(),
                copy: alert.id(),
            }
        }
    };
    // The alert's own date, and no other: a certificate served under a wrong name has days left, its fault has none.
    out.left = match alert.deadline {
        Some(deadline) => left_of(deadline, now),
        None => Left { number: "–".to_owned(), unit: "no date".to_owned(), tone: String::new() },
    };
    let dated = alert.state != State::Resolved && alert.deadline.is_some();
    out.left.tone = if dated { tone(alert.severity) } else { "plain" }.to_owned();
    out.owner = words::clean(&alert.owner);
    // The short word here; the whole of what to do stands below it.
    let deed = whole.findings.first().map(|f| deed(f.kind).to_owned()).unwrap_or_default();
    out.todo = match alert.state {
        State::Resolved => Todo { words: "mended".to_owned(), tone: "plain".to_owned(), auto: false },
        _ => Todo { words: deed, tone: tone(alert.severity).to_owned(), auto: false },
    };
    out
}

fn state_words(alert: &Alert, now: UnixTime) -> String {
    match (&alert.hold, alert.state) {
        (_, State::Resolved) => {
            let at = alert.resolved.map(|t| format!(", {}", words::ago(t, now))).unwrap_or_default();
            format!("Resolved: seen to be mended{at}")
        }
        (Some(hold), _) if hold.until > now => {
            let note = if hold.note.is_empty() {
                String::new()
            } else {
                format!(": “{}”", words::clean(&hold.note))
            };
            let by = words::clean(&hold.by);
            if hold.snooze {
                format!("Snoozed by {by} until {}{note}", words::day(hold.until, now))
            } else {
                format!("Acknowledged by {by}, {}{note}", words::ago(hold.at, now))
            }
        }
        _ if now.0 - alert.opened.0 < 120 => "Open, and new".to_owned(),
        _ => format!("Open for {}", words::span(now.0 - alert.opened.0)),
    }
}

fn step_words(alert: &Alert, now: UnixTime) -> String {
    let step = match alert.step {
        Step::Quiet => "noted",
        Step::Warning => "step 1 of 3: warning",
        Step::Critical => "step 2 of 3: critical",
        Step::Page => "step 3 of 3: every day",
        Step::Ended => "past its end",
    };
    match alert.deadline {
        Some(deadline) if alert.state != State::Resolved => {
            let left = left_of(deadline, now);
            let behind = if deadline < now { "" } else { " left" };
            format!("{step}, {} {}{behind}", left.number, left.unit)
        }
        _ => step.to_owned(),
    }
}

/// What happens if nobody does anything. Without a promise of the minute: that is the engine's to decide.
fn next_words(look: &Look, alert: &Alert, now: UnixTime) -> String {
    if alert.state == State::Resolved {
        return "nothing is left to do".to_owned();
    }
    if let Some(hold) = alert.hold.as_ref().filter(|hold| hold.until > now) {
        return format!("asked again {} if it is still there", words::day(hold.until, now));
    }
    let told: Vec<&str> = alert.escalated.iter().map(String::as_str).collect();
    let person = look.setup.people.get(&alert.owner);
    let next = person.and_then(|p| p.escalate_to.as_deref()).unwrap_or(&look.setup.last_resort);
    let also = if told.is_empty() {
        String::new()
    } else {
        format!("{} told too; ", told.iter().map(|o| words::clean(o)).collect::<Vec<_>>().join(", "))
    };
    if next == alert.owner || told.contains(&next) {
        format!("{also}told again until somebody acknowledges")
    } else {
        format!("{also}goes to {} if nobody acknowledges", words::clean(next))
    }
}

fn delivery(message: &Outgoing, now: UnixTime) -> Delivery {
    let (state, tone) = match message.delivery {
        Stand::Sent => ("taken over by the other side".to_owned(), "plain"),
        Stand::Pending if message.attempts > 0 => {
            let error = words::clean(message.error.as_deref().unwrap_or_default());
            let tries = words::counted(u64::from(message.attempts), "try");
            (format!("not yet, {tries}: {error}. Next {}", words::ahead(message.next, now)), "soon")
        }
        Stand::Pending => ("on the way".to_owned(), "plain"),
        Stand::Late => {
            let error = words::clean(message.error.as_deref().unwrap_or_default());
            let next = words::ahead(message.next, now);
            (format!("late, others were told instead: {error}. Tried again {next}"), "now")
        }
        Stand::Failed => {
            let error = words::clean(message.error.as_deref().unwrap_or_default());
            let tries = words::counted(u64::from(message.attempts), "try");
            (format!("not delivered, {tries}: {error}"), "now")
        }
    };
    let severity = if message.notice.severity == Severity::Critical { "critical " } else { "" };
    Delivery {
        to: words::clean(&message.owner),
        channel: words::clean(&channel_name(&message.notifier, message.to.as_deref())),
        event: format!("{severity}{}", message.notice.event.as_str()),
        at: Stamp::past(Some(message.sent.unwrap_or(message.created)), now),
        state,
        tone: tone.to_owned(),
    }
}

//! What a message says: from an alert and its findings to a [`Notice`].
//!
//! One cause, one message: the first line says what breaks and by when, the list says where, and the last
//! word is what to do. No markup, no channel: notifiers dress it. Nothing is claimed that was not seen.

use super::Alert;
use super::decide::Tellable;
use crate::UnixTime;
use crate::dossier::days_text;
use crate::finding::{Kind, Severity};
use crate::notice::{Event, Item, Notice};

/// So many things are listed in one message; the rest are counted.
const ITEMS_MAX: usize = 20;
/// So many places of one thing.
const PLACES_MAX: usize = 10;
/// How the end of an alert reads whose cause was looked for and is not there.
const GONE: &str = "The cause is no longer found: it was seen to be gone, or its place was retired by hand. \
                    Nothing is left to do.";
/// The same where it goes on under another number.
pub const ELSEWHERE: &str = "It goes on in another alert: its owner or its date is another one now.";
/// What to do about many things at once.
const TOP: &str = "begin at the top: what is worst comes first, and of that what ends first";

/// Where a message leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// The single-use link.
    pub acknowledge_url: Option<String>,
    /// The page about it.
    pub page_url: Option<String>,
}

/// Writes the message about an alert for one owner. `findings` are those to tell about, most urgent first;
/// for a resolution it is empty. `id` is the idempotency key.
pub fn write(
    id: String,
    event: Event,
    owner: &str,
    alert: &Alert,
    findings: &[&Tellable],
    ways: Ways,
    now: UnixTime,
) -> Notice {
    let told_at_all = event != Event::Resolved;
    let more = findings.len().saturating_sub(ITEMS_MAX);
    Notice {
        id,
        event,
        severity: if told_at_all { alert.severity } else { Severity::Info },
        alert: Some(alert.id()),
        instance: String::new(),
        owner: owner.to_owned(),
        title: title(event, alert, findings, now),
        text: text(event, alert, findings, owner, now),
        hint: match event {
            Event::Resolved => faded_hint(alert, now).to_owned(),
            _ => findings.first().map(|f| f.hint.clone()).unwrap_or_default(),
        },
        deadline: alert.deadline.filter(|_| told_at_all),
        items: findings.iter().take(ITEMS_MAX).map(|f| item(f)).collect(),
        more,
        acknowledge_url: ways.acknowledge_url.filter(|_| told_at_all),
        acknowledge_command: told_at_all.then(|| format!("notafter ack {}", alert.id())),
        page_url: ways.page_url,
        at: now,
    }
}

fn item(finding: &Tellable) -> Item {
    Item {
        finding: finding.id.clone(),
        kind: finding.kind.as_str().to_owned(),
        severity: finding.severity,
        name: finding.name.clone(),
        summary: finding.summary.clone(),
        hint: finding.hint.clone(),
        deadline: finding.deadline,
        places: finding.places.iter().take(PLACES_MAX).cloned().collect(),
        more_places: finding.places.len().saturating_sub(PLACES_MAX),
    }
}

fn title(event: Event, alert: &Alert, findings: &[&Tellable], now: UnixTime) -> String {
    let what = match findings {
        [] => alert.title.clone(),
        [one] => one.summary.clone(),
        many => {
            let first = many[0];
            let same = many.iter().all(|f| f.kind == first.kind);
            let what = if same { plural(first.kind, many.len()) } else { format!("{} findings", many.len()) };
            let when = alert.deadline.map(|d| format!(", the first {}", days_text(d, now)));
            format!("{what}{}: {}", when.unwrap_or_default(), alert.title)
        }
    };
    match event {
        // What ended is gone from the findings; of what has no date only the name is left of it.
        Event::Resolved if alert.faded => match alert.deadline.filter(|d| *d < now) {
            Some(end) => format!("ended {}, not seen in use: {}", days_text(end, now), alert.title),
            None => format!("no longer pressing: {}", alert.title),
        },
        Event::Resolved => match alert.group.split('\n').nth(1) {
            Some(class) if class != "end" => format!("over: {class}: {}", alert.title),
            _ => format!("over: {}", alert.title),
        },
        Event::Escalation => format!("nobody has answered: {what}"),
        Event::Reminder => format!("still: {what}"),
        Event::Alert | Event::Digest | Event::Test => what,
    }
}

/// What to do about what nobody is called for any more.
fn faded_hint(alert: &Alert, now: UnixTime) -> &'static str {
    match alert.deadline {
        _ if !alert.faded => "",
        Some(end) if end < now => "if something reads it, renew it; if nothing does, delete it",
        _ => "see on its page who renews it, and when",
    }
}

fn plural(kind: Kind, n: usize) -> String {
    match kind {
        Kind::ExpiresSoon => format!("{n} certificates expire"),
        Kind::ExpiredInUse => format!("{n} expired certificates are in use"),
        _ => format!("{n} times {kind}"),
    }
}

fn text(event: Event, alert: &Alert, findings: &[&Tellable], owner: &str, now: UnixTime) -> String {
    let mut out = String::new();
    match event {
        Event::Resolved => {
            return match alert.deadline.filter(|d| *d < now) {
                _ if !alert.faded => GONE.to_owned(),
                Some(end) => format!(
                    "It ended on {} and was not seen to be replaced. Nothing was seen to use it either, so nobody is \
                     called for it any more; it stays on the pages.",
                    end.date()
                ),
                None => "It is still there and still ends, but nobody has to act now: somebody or something else is to \
                         renew it. It stays on the pages, and is told again if that does not happen."
                    .to_owned(),
            };
        }
        Event::Escalation => {
            let since = alert.step_told.or(alert.told).map(|t| days_text(t, now)).unwrap_or_default();
            out.push_str(&format!("{} was told {since} and has not acknowledged. ", alert.owner));
        }
        Event::Reminder => out.push_str("Nobody has said that they have it, or the time asked for is over. "),
        Event::Alert | Event::Digest | Event::Test => {}
    }
    let places: usize = findings.iter().map(|f| f.places.len()).sum();
    if let Some(deadline) = alert.deadline {
        let stops = if deadline > now { "It stops working" } else { "It stopped working" };
        out.push_str(&format!("{stops} {} ({deadline}). ", days_text(deadline, now)));
    }
    if places > 1 {
        out.push_str(&format!("It is in {places} places. "));
    }
    if let Some(worst) = findings.iter().filter(|f| !f.breaks.is_empty()).max_by_key(|f| f.weight) {
        let of = if findings.len() > 1 { format!(" most with {}", worst.name) } else { String::new() };
        out.push_str(&format!("Breaks{of}: {}. ", worst.breaks));
    }
    if owner != alert.owner && event != Event::Escalation {
        out.push_str(&format!("It belongs to {}. ", alert.owner));
    }
    out.trim_end().to_owned()
}

/// Several alerts that begin at once for one owner, as one message.
pub fn bundle(id: String, owner: &str, parts: &[Notice], ways: Ways, now: UnixTime) -> Notice {
    let severity = parts.iter().map(|p| p.severity).min().unwrap_or(Severity::Warning);
    let deadline = parts.iter().filter_map(|p| p.deadline).min();
    let mut order: Vec<&Notice> = parts.iter().collect();
    order.sort_by_key(|p| (p.severity, p.deadline.unwrap_or(UnixTime(i64::MAX))));
    let all: usize = parts.iter().map(|p| p.items.len() + p.more).sum();
    // What is worse is never cut for what is not; of what is equally bad one line of each alert comes in first.
    let end = |item: &Item| item.deadline.unwrap_or(UnixTime(i64::MAX));
    let mut ranked: Vec<(usize, &Item)> = order.iter().flat_map(|p| p.items.iter().enumerate()).collect();
    ranked.sort_by_key(|(nth, item)| (item.severity, *nth > 0, end(item)));
    ranked.truncate(ITEMS_MAX);
    ranked.sort_by_key(|(_, item)| (item.severity, end(item)));
    let items: Vec<Item> = ranked.into_iter().map(|(_, item)| item.clone()).collect();
    let ids: Vec<_> = order.iter().filter_map(|p| p.alert.as_deref()).collect();
    let when = deadline.map(|d| format!(", the first {}", days_text(d, now))).unwrap_or_default();
    let event = parts.first().map_or(Event::Alert, |p| p.event);
    let (title, text, hint) = match event {
        Event::Resolved => (
            match parts.iter().all(|p| p.text == GONE) {
                true => format!("over: {} alerts", parts.len()),
                false => format!("over, or told no more: {} alerts", parts.len()),
            },
            match parts.iter().filter(|p| p.text != GONE).count() {
                0 => format!(
                    "The causes of {} alerts are no longer found. Nothing is left to do about them.",
                    parts.len()
                ),
                still => {
                    // Those are said one by one: nothing else of them is in this message.
                    let titles: Vec<&str> =
                        parts.iter().filter(|p| p.text != GONE).map(|p| p.title.as_str()).collect();
                    let more = titles.len().saturating_sub(ITEMS_MAX);
                    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
                    format!(
                        "The causes of {} alerts are no longer found. {still} were not seen to be mended, and nobody is \
                         called for them any more: {}{more}.",
                        parts.len() - still,
                        titles[..titles.len().min(ITEMS_MAX)].join("; ")
                    )
                }
            },
            String::new(),
        ),
        Event::Escalation | Event::Reminder => (
            format!(
                "{}: {all} findings in {} alerts{when}",
                if event == Event::Escalation { "nobody has answered" } else { "still" },
                parts.len()
            ),
            format!("{} alerts wait for somebody who says that they have them.", parts.len()),
            TOP.to_owned(),
        ),
        Event::Alert | Event::Digest | Event::Test => (
            format!("{all} findings in {} alerts{when}", parts.len()),
            format!("{} alerts began at the same time; this is all of them in one message.", parts.len()),
            TOP.to_owned(),
        ),
    };
    Notice {
        id,
        event,
        severity,
        alert: None,
        instance: String::new(),
        owner: owner.to_owned(),
        title,
        text,
        hint,
        deadline,
        more: all.saturating_sub(items.len()),
        items,
        acknowledge_url: ways.acknowledge_url.filter(|_| event != Event::Resolved),
        acknowledge_command: (event != Event::Resolved).then(|| format!("notafter ack {}", ids.join(" "))),
        page_url: ways.page_url,
        at: now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::State;
    use crate::deadline::Step;
    use notafter_pki::time::DAY;

    fn finding(n: usize) -> Tellable {
        let deadline = Some(UnixTime(30 * DAY));
        let name = format!("n{n}.test");
        Tellable {
            id: format!("{n:016x}"),
            kind: Kind::ExpiresSoon,
            severity: Severity::Warning,
            asset: None,
            summary: format!("{name} expires in 12 days, in 15 places"),
            name,
            issuer_name: None,
            owner: "web".into(),
            deadline,
            not_before: None,
            is_ca: false,
            page: None,
            hint: "renew it".into(),
            breaks: String::new(),
            weight: 0,
            places: (0..15).map(|p| format!("tls://10.0.0.{p}:443")).collect(),
            opened: UnixTime(0),
        }
    }

    fn alert() -> Alert {
        Alert {
            number: 17,
            version: 1,
            group: "g".into(),
            owner: "web".into(),
            state: State::Open,
            severity: Severity::Warning,
            step: Step::Warning,
            title: "n0.test and 2 more".into(),
            deadline: Some(UnixTime(30 * DAY)),
            opened: UnixTime(18 * DAY),
            told: Some(UnixTime(18 * DAY - 8 * 3600)),
            step_told: None,
            hold: None,
            escalated: Vec::new(),
            members: Default::default(),
            resolved: None,
            faded: false,
            back: Default::default(),
            over: false,
        }
    }

    #[test]
    fn a_message_says_what_when_where_and_what_to_do() {
        let findings: Vec<_> = (0..25).map(finding).collect();
        let refs: Vec<_> = findings.iter().collect();
        let now = UnixTime(18 * DAY);
        let one = write("x".into(), Event::Alert, "web", &alert(), &refs[..1], Ways::default(), now);
        assert_eq!(one.title, "n0.test expires in 12 days, in 15 places");
        assert_eq!(one.text, "It stops working in 12 days (1970-01-31T00:00:00Z). It is in 15 places.");
        assert_eq!((one.items[0].places.len(), one.items[0].more_places), (10, 5));
        assert_eq!(one.acknowledge_command.as_deref(), Some("notafter ack a17"));
        let many = write("x".into(), Event::Escalation, "boss", &alert(), &refs, Ways::default(), now);
        assert_eq!(
            many.title,
            "nobody has answered: 25 certificates expire, the first in 12 days: n0.test and 2 more"
        );
        assert!(many.text.starts_with("web was told 8 hours ago and has not acknowledged."));
        assert_eq!((many.items.len(), many.more), (20, 5));
        let over = write("x".into(), Event::Resolved, "web", &alert(), &[], Ways::default(), now);
        assert_eq!((over.title.as_str(), over.deadline), ("over: n0.test and 2 more", None));
        assert!(over.text.ends_with("Nothing is left to do."), "{}", over.text);
        // An end that came is nothing that is over, and neither is one that somebody else has now.
        let faded = Alert { faded: true, ..alert() };
        let said = |now| write("x".into(), Event::Resolved, "web", &faded, &[], Ways::default(), now);
        let late = said(UnixTime(61 * DAY));
        assert_eq!(late.title, "ended 31 days ago, not seen in use: n0.test and 2 more");
        assert!(
            late.text.starts_with("It ended on 1970-01-31 and was not seen to be replaced."),
            "{}",
            late.text
        );
        let early = said(now);
        assert_eq!(early.title, "no longer pressing: n0.test and 2 more");
        assert!(!early.text.contains("Nothing is left"), "{}", early.text);
        let both = bundle("y".into(), "web", &[over, late], Ways::default(), now);
        assert!(both.text.contains("1 were not seen to be mended"), "{}", both.text);
        assert!(both.text.contains("ended 31 days ago, not seen in use: n0.test"), "{}", both.text);
        let all = bundle("y".into(), "web", &[one, many], Ways::default(), now);
        assert_eq!((all.items.len(), all.more), (20, 6));
        assert_eq!(all.acknowledge_command.as_deref(), Some("notafter ack a17 a17"));
    }

    #[test]
    fn in_a_bundle_the_worst_comes_first_and_is_never_cut() {
        let now = UnixTime(0);
        let part = |number: i64, days: &[(i64, Severity)]| {
            let made = |(n, (days, severity)): (usize, &(i64, Severity))| Tellable {
                name: format!("{severity:?}-{days}"),
                severity: *severity,
                deadline: Some(UnixTime(days * DAY)),
                ..finding(n)
            };
            let findings: Vec<_> = days.iter().enumerate().map(made).collect();
            let of = Alert { number, ..alert() };
            write(
                "x".into(),
                Event::Alert,
                "web",
                &of,
                &findings.iter().collect::<Vec<_>>(),
                Ways::default(),
                now,
            )
        };
        let (critical, warning) = (Severity::Critical, Severity::Warning);
        let many: Vec<_> = (8..28).map(|days| (days, warning)).collect();
        let parts = [part(1, &many), part(2, &[(9, warning), (4, critical)]), part(3, &[(2, warning)])];
        let all = bundle("y".into(), "web", &parts, Ways::default(), now);
        let names: Vec<_> = all.items.iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names[..3], ["Critical-4", "Warning-2", "Warning-8"], "{names:?}");
        assert_eq!((all.items.len(), all.more), (20, 3));
        let mut sorted = all.items.clone();
        sorted.sort_by_key(|i| (i.severity, i.deadline));
        assert_eq!(sorted, all.items);
    }
}

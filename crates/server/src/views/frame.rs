//! What stands around every page: where one is, how fresh everything is, what troubles the server itself.
//!
//! Silence is never green: a source that is late, an engine that stands still, a memory that takes nothing, a
//! message that did not arrive are said at the top of every page, whatever page it is.

use std::sync::Arc;
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::alert::{Alert, State as AlertState};
use notafter_core::finding::{Fact, Kind, Severity, summary_at};
use notafter_engine::service::{came_to_nothing, history, is_stale, not_seen};
use notafter_engine::setup::Setup;
use notafter_engine::status::{PULSE, State};
use notafter_store::findings::FindingFilter;
use notafter_store::rows::{FindingRow, SourceRow, Totals};
use notafter_store::{Store, StoreError};

use super::{Banner, Frame, Freshness, NavItem, Stamp};
use crate::words;

/// What one request looks at: the store, and how the server is at this instant.
pub(crate) struct Look {
    pub(crate) store: Arc<Store>,
    pub(crate) setup: Arc<Setup>,
    pub(crate) state: State,
    /// Since the engine's last pass.
    pub(crate) silent: Duration,
    pub(crate) now: UnixTime,
    /// The caller's CSRF token; "" when nobody is signed in.
    pub(crate) csrf: String,
    pub(crate) assets: String,
    pub(crate) version: &'static str,
}

/// What every page needs of the store.
pub(crate) struct House {
    pub(crate) totals: Totals,
    pub(crate) sources: Vec<SourceRow>,
    /// Not resolved.
    pub(crate) alerts: Vec<Alert>,
    /// Open findings about the server itself, worst first.
    pub(crate) own: Vec<FindingRow>,
}

impl Look {
    /// Asks for what every page needs.
    pub(crate) fn house(&self) -> Result<House, StoreError> {
        let kinds = vec![Kind::SourceStale, Kind::AlertUndelivered, Kind::OwnerUnreachable, Kind::ClockSkew];
        let filter = FindingFilter { kinds, limit: 50, ..FindingFilter::default() };
        Ok(House {
            totals: self.store.totals()?,
            sources: self.store.sources()?,
            alerts: self.store.open_alerts()?,
            own: self.store.findings(&filter)?,
        })
    }

    /// The instant of the engine's last pass: what is shown was judged then.
    pub(crate) fn as_of(&self) -> UnixTime {
        self.now.plus(-i64::try_from(self.silent.as_secs()).unwrap_or(i64::MAX))
    }

    fn is_alive(&self) -> bool {
        self.silent < 6 * PULSE
    }

    /// Is all that this source showed history: is it late, or did its last look come to nothing?
    pub(crate) fn is_history(&self, house: &House, source: &str) -> bool {
        history(&self.setup, &house.sources, source, self.now).is_some()
    }

    /// Is this source late?
    pub(crate) fn is_stale(&self, house: &House, source: &str) -> bool {
        is_stale(&self.setup, &house.sources, source, self.now)
    }
}

/// How much of everything is fresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    pub(crate) fresh: u64,
    pub(crate) stale: u64,
    /// Sources that are not late yet, and whose last look came to nothing.
    pub(crate) failing: u64,
    /// Placements seen at the last look, by a source that is neither late nor came to nothing.
    pub(crate) seen: u64,
    /// All placements.
    pub(crate) placements: u64,
    /// Placements that did not answer, and places that could not be looked at.
    pub(crate) unseen: u64,
    pub(crate) blind: u64,
    /// The oldest last success among the fresh sources.
    pub(crate) oldest: Option<UnixTime>,
}

impl Coverage {
    pub(crate) fn of(look: &Look, house: &House) -> Self {
        let totals = &house.totals;
        let mut out = Self {
            placements: totals.placements,
            unseen: totals.unseen,
            blind: totals.blind_spots,
            ..Self::default()
        };
        for planned in &look.setup.sources {
            let row = house.sources.iter().find(|r| r.name == planned.name);
            let last = row.and_then(|r| r.last_success);
            if look.is_stale(house, &planned.name) {
                out.stale += 1;
            } else if row.is_some_and(came_to_nothing) {
                out.failing += 1;
            } else {
                out.fresh += 1;
                out.oldest = [out.oldest, last].into_iter().flatten().min();
            }
        }
        let unseen = not_seen(&look.setup, &house.sources, totals.unseen, look.now);
        out.seen = totals.placements.saturating_sub(unseen);
        out
    }

    /// `3,371 of 3,412 places seen`
    pub(crate) fn words(&self) -> String {
        format!(
            "{} of {} seen at the last look",
            words::number(self.seen),
            words::counted(self.placements, "place")
        )
    }

    /// What limits every claim; "" when nothing does.
    pub(crate) fn but(&self) -> String {
        let mut parts = Vec::new();
        if self.stale > 0 {
            let are = if self.stale == 1 { "is" } else { "are" };
            parts.push(format!("{} {are} stale", words::counted(self.stale, "source")));
        }
        if self.failing > 0 {
            parts
                .push(format!("the last look of {} came to nothing", words::counted(self.failing, "source")));
        }
        if self.unseen > 0 {
            parts.push(format!("{} did not answer", words::counted(self.unseen, "place")));
        }
        if self.blind > 0 {
            parts.push(format!("{} could not be seen", words::counted(self.blind, "place")));
        }
        parts.join(", ")
    }
}

/// The pages, as the head of each has them.
const PAGES: [(&str, &str); 8] = [
    ("/", "Today"),
    ("/inventory", "Inventory"),
    ("/findings", "Findings"),
    ("/forecast", "Forecast"),
    ("/renewals", "Renewals"),
    ("/sources", "Sources"),
    ("/alerts", "Alerts"),
    ("/status", "Status"),
];

/// The frame of a page called `title`, which belongs to `here`.
pub(crate) fn frame(look: &Look, house: &House, title: &str, here: &str) -> Frame {
    let waiting = house.alerts.iter().filter(|a| waits(a, look.now)).count() as u64;
    // Where nothing is kept alive there is nothing to read about it.
    let keeps = look.setup.keeping.is_some() || here == "Renewals";
    let pages = PAGES.into_iter().filter(|(_, page)| keeps || *page != "Renewals");
    let nav = pages.map(|(href, page)| {
        let count = page == "Alerts" && waiting > 0;
        NavItem {
            href: href.to_owned(),
            words: page.to_owned(),
            here: page == here,
            count: if count { words::number(waiting) } else { String::new() },
            count_title: if count { "nobody has acknowledged these".to_owned() } else { String::new() },
        }
    });
    Frame {
        title: words::clean(title),
        nav: nav.collect(),
        query: String::new(),
        freshness: freshness(look, house, &Coverage::of(look, house)),
        banners: banners(look, house),
        refresh_seconds: 0,
        signed_in: !look.csrf.is_empty(),
        csrf: look.csrf.clone(),
        assets: look.assets.clone(),
        version: look.version.to_owned(),
        as_of: Stamp::moment(look.as_of()),
    }
}

/// Does an alert want somebody?
pub(crate) fn waits(alert: &Alert, now: UnixTime) -> bool {
    alert.state == AlertState::Open && alert.hold.as_ref().is_none_or(|hold| hold.until <= now)
}

fn freshness(look: &Look, house: &House, coverage: &Coverage) -> Vec<Freshness> {
    let line =
        |tone: &str, words: String| Freshness { tone: tone.to_owned(), words, href: "/sources".to_owned() };
    let looked = house.sources.iter().any(|row| row.last_success.is_some());
    if let (false, Some((_, began))) = (looked, look.state.running.values().next()) {
        return vec![line("plain", format!("first look, since {}", words::ago(*began, look.now)))];
    }
    let mut out = Vec::new();
    if let Some(oldest) = coverage.oldest {
        let tone = if look.is_alive() { "proven" } else { "stale" };
        let seen = words::counted(coverage.seen, "place");
        let when = words::ago(oldest, look.now);
        out.push(match coverage.fresh {
            1 => line(tone, format!("{seen} seen {when}")),
            _ => line(tone, format!("{seen} seen, the oldest look {when}")),
        });
    }
    let but = coverage.but();
    if !but.is_empty() {
        out.push(line("stale", but));
    }
    if out.is_empty() {
        out.push(line("stale", "nothing has been looked at yet".to_owned()));
    }
    out
}

fn banner(tone: &str, title: String, text: String, link: Option<(&str, &str)>) -> Banner {
    let (words, href) = link.unwrap_or_default();
    Banner { tone: tone.to_owned(), title, text, href: href.to_owned(), link: words.to_owned() }
}

/// What troubles the server, worst first.
pub(crate) fn banners(look: &Look, house: &House) -> Vec<Banner> {
    let mut out = Vec::new();
    let state = &look.state;
    if !look.is_alive() {
        let silent = words::span(i64::try_from(look.silent.as_secs()).unwrap_or(i64::MAX));
        out.push(banner(
            "now",
            format!("The engine has given no sign of life for {silent}."),
            "Nothing is looked at, judged or told. Restart Notafter, and keep its log.".to_owned(),
            None,
        ));
    }
    if let Some(trouble) = &state.trouble {
        out.push(banner(
            "now",
            format!("The memory is in trouble: {}.", words::clean(trouble).trim_end_matches('.')),
            "Looking goes on; nothing new is remembered until it works again.".to_owned(),
            None,
        ));
    }
    let kinds = [
        (Kind::AlertUndelivered, "messages were not delivered", ("See the alerts", "/alerts")),
        (
            Kind::OwnerUnreachable,
            "owners cannot be reached",
            ("Which, and why", "/findings?kind=owner-unreachable"),
        ),
        (Kind::ClockSkew, "clocks are wrong", ("Which", "/findings?kind=clock-skew")),
        (Kind::SourceStale, "sources are stale", ("Which, and why", "/sources")),
    ];
    for (kind, many, link) in kinds {
        out.extend(of_kind(look, house, kind, many, link));
    }
    // The rule's own words are better, once it has spoken.
    let clock_told = house.own.iter().any(|f| f.kind == Kind::ClockSkew);
    if let Some(clock) = state.clock.filter(|c| c.jumped != 0 && !clock_told) {
        let way = if clock.jumped > 0 { "ahead" } else { "back" };
        let held = if look.now < clock.held_until {
            format!(
                "Messages are held until {}: dates judged now may be wrong.",
                words::moment(clock.held_until)
            )
        } else {
            "Every date was judged anew.".to_owned()
        };
        let jumped = words::span(clock.jumped);
        out.push(banner(
            "soon",
            format!("The clock was set {way} by {jumped}, {}.", words::ago(clock.at, look.now)),
            held,
            None,
        ));
    }
    if let Some(fault) = &state.beat_fault {
        let last =
            state.last_beat.map_or_else(|| "never since the start".to_owned(), |t| words::ago(t, look.now));
        out.push(banner(
            "soon",
            "The heartbeat does not arrive.".to_owned(),
            format!("{}. Last taken: {last}.", words::clean(fault).trim_end_matches('.')),
            None,
        ));
    }
    // Known before the rule about it speaks up.
    let told = house.own.iter().any(|f| f.kind == Kind::SourceStale);
    let late: Vec<_> = house
        .sources
        .iter()
        .filter(|row| row.last_success.is_some() && look.setup.sources.iter().any(|p| p.name == row.name))
        .filter(|row| look.is_stale(house, &row.name))
        .collect();
    if let (false, Some(first)) = (told, late.first()) {
        let name = words::clean(&first.name);
        let title = match late.len() {
            1 => format!("The source {name} is late."),
            n => format!(
                "{} sources are late, {name} among them.",
                words::sentence(&words::number_word(n as u64))
            ),
        };
        let text = "What they would show now is not known.".to_owned();
        out.push(banner("stale", title, text, Some(("Which, and why", "/sources"))));
    }
    if state.draining {
        out.push(banner(
            "soon",
            "The server is going down.".to_owned(),
            "Nothing new is looked at.".to_owned(),
            None,
        ));
    }
    out.sort_by_key(|b| match b.tone.as_str() {
        "now" => 0,
        "soon" => 1,
        _ => 2,
    });
    out
}

/// A name in a finding's evidence.
fn fact(finding: &FindingRow, name: &str) -> Option<String> {
    finding.evidence.iter().find(|(known, _)| known == name).and_then(|(_, fact)| match fact {
        Fact::Text(text) => Some(words::clean(text)),
        _ => None,
    })
}

fn of_kind(look: &Look, house: &House, kind: Kind, many: &str, link: (&str, &str)) -> Option<Banner> {
    let all: Vec<_> = house.own.iter().filter(|f| f.kind == kind).collect();
    let first = all.first()?;
    let tone = match (kind, first.severity) {
        (Kind::SourceStale, _) => "stale",
        (Kind::AlertUndelivered, _) | (_, Severity::Critical) => "now",
        _ => "soon",
    };
    let summary = words::clean(&summary_at(&first.summary, first.deadline, look.now));
    let hint = words::sentence(&words::clean(&first.hint));
    let (title, text) = match all.len() {
        // A banner is on every page: it says what, and where to read why.
        1 => match (kind, fact(first, "source"), fact(first, "owner")) {
            (Kind::SourceStale, Some(source), _) => (format!("The source {source} is stale."), hint),
            (Kind::AlertUndelivered, _, Some(owner)) => {
                (format!("A message to {owner} was not delivered."), hint)
            }
            (Kind::OwnerUnreachable, _, Some(owner)) => (format!("{owner} cannot be told anything."), hint),
            _ => (format!("{}.", words::said(summary.trim_end_matches('.'))), hint),
        },
        n => {
            let n = words::sentence(&words::number_word(n as u64));
            (format!("{n} {many}."), hint)
        }
    };
    Some(banner(tone, title, text, Some(link)))
}

//! Today: what breaks, what lapses next, what is new, and what could not be seen.

use std::collections::HashSet;

use askama::Template;
use notafter_core::UnixTime;
use notafter_core::finding::{Kind, Severity, summary_at};
use notafter_core::query::{Order, Query, State, Term, Test, When};
use notafter_pki::time::DAY;
use notafter_store::StoreError;
use notafter_store::findings::FindingFilter;
use notafter_store::queries::Sort;
use notafter_store::rows::{AssetRow, FindingRow, SourceRow};

use super::filters;
use super::frame::{Coverage, House, Look, frame, waits};
use super::headline::{Picture, Thing, headline};
use super::horizon::{self, horizon};
use super::row::{Entry, entries, renewed_words};
use super::{Bar, Frame, Horizon, Link, Row, Spot, asset_href, place_href, tone};
use crate::words;

#[derive(Clone, Debug, Template)]
#[template(path = "today.html")]
pub(crate) struct TodayView {
    pub(crate) frame: Frame,
    /// the sentence
    pub(crate) headline: String,
    /// totals · coverage · when judged
    pub(crate) subline: String,
    pub(crate) horizon: Horizon,
    pub(crate) lapses: Vec<Row>,
    pub(crate) lapses_more: Link,
    pub(crate) lapses_none: String,
    pub(crate) news: Vec<News>,
    pub(crate) news_more: Link,
    pub(crate) news_none: String,
    pub(crate) blind: Vec<Spot>,
    pub(crate) blind_more: Link,
    pub(crate) blind_none: String,
    pub(crate) progress: Vec<Bar>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    pub(crate) tone: String,
    pub(crate) kind: String,
    pub(crate) words: String,
    pub(crate) full: String,
    pub(crate) href: String,
    pub(crate) detail: String,
}

/// So many rows are listed.
const ROWS: usize = 10;
/// What ends within so many days is listed.
const LIST_DAYS: i64 = 60;
/// So many of what ends within the horizon are drawn one by one; more are counted.
const DRAWN: usize = 400;
/// So many findings are looked through for the sentence.
const FINDINGS: usize = 200;

/// What the page is made from.
pub(crate) struct Today {
    /// What ends within the horizon, the first first.
    pub(crate) ends: Vec<AssetRow>,
    pub(crate) ends_complete: bool,
    /// How many end on each day from today on.
    pub(crate) per_day: Vec<u64>,
    /// The list, each with its worst finding and with what was seen of its renewals.
    pub(crate) lapses: Vec<(Entry, Option<String>)>,
    /// Warning and worse, worst first.
    pub(crate) findings: Vec<FindingRow>,
    pub(crate) news: Vec<FindingRow>,
    pub(crate) blind: Vec<(String, String, u64)>,
}

/// What somebody here may have to renew: neither a CA's, nor superseded, nor a member of a trust store.
pub(crate) fn ours(within: i64) -> Query {
    let term = |not, test| Term { not, test };
    Query {
        terms: vec![
            term(false, Test::Ends(Order::Before, When::Span(within))),
            term(true, Test::Is(State::Expired)),
            term(true, Test::Is(State::Superseded)),
            term(true, Test::Is(State::Ca)),
        ],
    }
}

/// The same as a person writes it.
pub(crate) fn ours_words(days: i64) -> String {
    format!("expires<{days}d -is:expired -is:superseded -is:ca")
}

/// Asks for what the page shows.
pub(crate) fn gather(look: &Look, house: &House) -> Result<Today, StoreError> {
    let now = look.now;
    let page = look.store.assets(&ours(horizon::DAYS * DAY), Sort::Ends, None, DRAWN, now)?;
    let midnight = UnixTime(now.0.div_euclid(DAY) * DAY);
    let ends_complete = page.next.is_none();
    let per_day = if ends_complete {
        Vec::new()
    } else {
        look.store.ends_histogram(midnight, DAY, horizon::DAYS as usize + 1)?
    };
    let filter =
        FindingFilter { severity: Some(Severity::Warning), limit: FINDINGS, ..FindingFilter::default() };
    let findings = look.store.findings(&filter)?;
    let filter = FindingFilter { since: Some(now.plus(-DAY)), limit: 6, ..FindingFilter::default() };
    let news = look.store.findings(&filter)?;
    // What is broken already comes first, then what ends; a CA of ours that ends is among the findings.
    let mut listed = HashSet::new();
    let mut rows = Vec::new();
    let dated = findings
        .iter()
        .filter(|f| matches!(f.kind, Kind::ExpiredInUse | Kind::ExpiresSoon | Kind::CrlExpires));
    for id in dated.filter_map(|f| f.asset).take(2 * ROWS) {
        if listed.insert(id) && rows.len() < ROWS {
            let hex = notafter_pki::fingerprint::hex(&id.0);
            rows.extend(look.store.by_id(&hex)?.into_iter().take(1));
        }
    }
    let limit = now.plus(LIST_DAYS * DAY);
    let soon = page.rows.iter().filter(|r| r.not_after.is_some_and(|end| end <= limit));
    rows.extend(soon.filter(|r| !listed.contains(&r.id)).take(ROWS).cloned());
    rows.sort_by_key(|r| r.not_after);
    rows.truncate(ROWS);
    let mut lapses = Vec::new();
    for entry in entries(look, house, rows)? {
        let renewed = match entry.finding {
            Some(_) => None,
            // Good to know, and no more: one asset whose bytes are damaged must not hide all the others.
            None => {
                let whole = look.store.asset(&entry.asset.id).ok().flatten();
                whole.and_then(|whole| renewed_words(&whole.lineage))
            }
        };
        lapses.push((entry, renewed));
    }
    let blind = look.store.blind_counts()?;
    Ok(Today { ends: page.rows, ends_complete, per_day, lapses, findings, news, blind })
}

/// The page.
pub(crate) fn view(look: &Look, house: &House, today: &Today) -> TodayView {
    let now = look.now;
    let coverage = Coverage::of(look, house);
    let totals = &house.totals;
    let blind = blind(look, house, &today.blind);
    let mut subline = vec![format!(
        "{} in {}",
        words::counted(totals.assets, "asset"),
        words::counted(totals.placements, "place")
    )];
    if coverage.unseen > 0 {
        subline.push(format!("{} did not answer at the last look", words::number(coverage.unseen)));
    }
    if coverage.failing > 0 {
        subline
            .push(format!("the last look of {} came to nothing", words::counted(coverage.failing, "source")));
    }
    if coverage.stale > 0 {
        subline.push(format!(
            "{} of {} stale",
            words::number(coverage.stale),
            words::counted(coverage.stale + coverage.failing + coverage.fresh, "source")
        ));
    }
    subline.push(format!("judged {}", words::moment(look.as_of())));
    let lapses: Vec<Row> = today.lapses.iter().map(|lapse| lapse_row(house, lapse, now)).collect();
    let more = today.ends.len() > lapses.len() || !today.ends_complete;
    TodayView {
        frame: frame(look, house, "Today", "Today"),
        headline: headline(&picture(today, &coverage, totals.assets, now), now),
        subline: subline.join(" · "),
        horizon: horizon(&today.ends, today.ends_complete, &today.per_day, now),
        lapses_more: if more {
            Link::to(format!("all within {LIST_DAYS} days"), words::ask(&ours_words(LIST_DAYS)))
        } else {
            Link::default()
        },
        lapses,
        lapses_none: format!("Nothing that was seen ends in the next {LIST_DAYS} days."),
        news: today.news.iter().take(5).map(|f| news(f, now)).collect(),
        news_more: if today.news.len() > 5 {
            Link::to("all that are new", "/findings?since=1d")
        } else {
            Link::default()
        },
        news_none: "Nothing new since yesterday, as far as could be seen.".to_owned(),
        blind_more: if blind.len() > 5 { Link::to("all of it", "/sources") } else { Link::default() },
        blind: blind.into_iter().take(5).collect(),
        blind_none: if coverage.fresh == 0 {
            "Nothing has been looked at yet.".to_owned()
        } else {
            "Every place was seen at the last look.".to_owned()
        },
        progress: progress(house, &coverage),
    }
}

fn picture(today: &Today, coverage: &Coverage, assets: u64, now: UnixTime) -> Picture {
    let mut seen = HashSet::new();
    let mut out = Picture {
        at_least: today.findings.len() >= FINDINGS,
        assets,
        fresh: coverage.fresh,
        stale: coverage.stale + coverage.failing,
        ..Picture::default()
    };
    for finding in &today.findings {
        // One thing with three faults is one thing.
        let key = finding.asset.map_or_else(|| finding.id.clone(), |id| id.to_string());
        if !seen.insert(key) {
            continue;
        }
        let thing = Thing { deadline: finding.deadline, owned: finding.owner.is_some() };
        match (finding.kind, finding.severity, finding.deadline) {
            (Kind::ExpiredInUse, ..) => out.broken.push(thing),
            // These are said by a banner, in words of their own.
            (Kind::SourceStale | Kind::AlertUndelivered | Kind::OwnerUnreachable | Kind::ClockSkew, ..) => {}
            (_, _, Some(deadline)) if deadline > now => out.soon.push(thing),
            (_, Severity::Critical, _) => out.broken.push(thing),
            _ => out.other += 1,
        }
    }
    let next = today.ends.first();
    out.next = next.and_then(|row| Some((words::clean(&row.title), row.not_after?)));
    out
}

fn lapse_row(house: &House, (entry, renewed): &(Entry, Option<String>), now: UnixTime) -> Row {
    let mut out = entry.row(now);
    let finding = entry.finding.as_ref();
    let alert = finding.and_then(|f| house.alerts.iter().find(|a| a.members.contains_key(&f.id)));
    if let Some(alert) = alert {
        let held = alert.hold.as_ref().filter(|hold| hold.until > now);
        if let Some(hold) = held {
            let what = if hold.snooze { "snoozed by" } else { "acknowledged by" };
            out.todo.words =
                format!("{what} {}, until {}", words::clean(&hold.by), words::day(hold.until, now));
            out.todo.tone = "plain".to_owned();
        } else if waits(alert, now) && alert.told.is_some() {
            out.todo.words = format!("{}; nobody has acknowledged {}", out.todo.words, alert.id());
        }
    }
    if let (Some(renewed), false) = (renewed, entry.late) {
        out.todo.words = renewed.clone();
    }
    out
}

fn news(finding: &FindingRow, now: UnixTime) -> News {
    let title = words::clean(&finding.title);
    let href = match (&finding.asset, finding.locations.first()) {
        (Some(id), _) => asset_href(id),
        (None, Some(place)) => place_href(place.as_str()),
        (None, None) => format!("/findings#f-{}", finding.id),
    };
    News {
        tone: tone(finding.severity).to_owned(),
        kind: finding.kind.as_str().to_owned(),
        words: title.clone(),
        full: title,
        href,
        detail: words::said(&words::clean(&summary_at(&finding.summary, finding.deadline, now))),
    }
}

/// What cannot be seen: sources that are late or saw nothing first, then places by reason.
fn blind(look: &Look, house: &House, counts: &[(String, String, u64)]) -> Vec<Spot> {
    let mut out = Vec::new();
    for planned in &look.setup.sources {
        if !look.is_history(house, &planned.name) {
            continue;
        }
        let row: Option<&SourceRow> = house.sources.iter().find(|r| r.name == planned.name);
        let last = row.and_then(|r| r.last_success);
        let since = match last {
            None => "has never been looked at to the end".to_owned(),
            Some(_) if !look.is_stale(house, &planned.name) => "the last look came to nothing".to_owned(),
            Some(at) => format!("not looked at since {}", words::weekday(at, look.now)),
        };
        let places = row.map_or(0, |r| r.placements);
        out.push(Spot {
            words: format!("{}: {since}", words::clean(&planned.name)),
            detail: if places > 0 {
                format!("what its {} show now is not known", words::counted(places, "place"))
            } else {
                "nothing is known of what it covers".to_owned()
            },
            href: format!("/sources#s-{}", super::sources::html_id(&planned.name)),
        });
    }
    let mut counts: Vec<_> = counts.iter().filter(|(.., n)| *n > 0).collect();
    counts.sort_by_key(|(.., n)| std::cmp::Reverse(*n));
    for (source, reason, n) in counts {
        out.push(Spot {
            words: super::sources::reason_words(reason, *n),
            detail: format!("source {}", words::clean(source)),
            href: format!("/sources#s-{}", super::sources::html_id(source)),
        });
    }
    out
}

/// How far the house is: only what is observed. Who renews what is not, and so there is no bar for it.
fn progress(house: &House, coverage: &Coverage) -> Vec<Bar> {
    let totals = &house.totals;
    let bar = |label: &str, part: u64, whole: u64, words: String, href: &str| Bar {
        label: label.to_owned(),
        percent: words::percent(part, whole),
        words,
        href: href.to_owned(),
    };
    let n = words::number;
    vec![
        bar(
            "owned",
            totals.owned,
            totals.assets,
            format!("{} of {} have an owner", n(totals.owned), n(totals.assets)),
            &words::ask("owner:none"),
        ),
        bar(
            "proven",
            totals.proven,
            totals.served,
            format!("{} of {} on ports proved that they hold the key", n(totals.proven), n(totals.served)),
            &words::ask("is:served"),
        ),
        bar(
            "reached",
            coverage.seen,
            coverage.placements.saturating_add(coverage.blind),
            format!(
                "{} of {} known places seen at the last look",
                n(coverage.seen),
                n(coverage.placements.saturating_add(coverage.blind))
            ),
            "/sources",
        ),
    ]
}

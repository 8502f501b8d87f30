//! One place: what it shows now, what it showed before, what is wrong there; and whether it is gone for good.

use askama::Template;
use notafter_core::UnixTime;
use notafter_core::document::tls_version;
use notafter_core::finding::Severity;
use notafter_pki::time::DAY;
use notafter_store::StoreError;
use notafter_store::alerts::AuditLine;
use notafter_store::findings::FindingFilter;
use notafter_store::rows::{AssetRow, FindingRow, PlaceWhole, PlacementRow};

use super::asset::leads;
use super::filters;
use super::findings::{cause, item};
use super::frame::{House, Look, frame};
use super::row::{grey, row};
use super::{Cause, Event, Fact, FindingItem, Frame, Name, Row, Stamp, Tick, asset_href, tiny_id};
use crate::words;

#[derive(Clone, Debug, Template)]
#[template(path = "place.html")]
pub(crate) struct PlaceView {
    pub(crate) frame: Frame,
    pub(crate) kind: String,
    pub(crate) owner: String,
    pub(crate) owner_href: String,
    pub(crate) name: Name,
    pub(crate) subline: String,
    pub(crate) seen_tone: String,
    /// 0 or 1: why it cannot be seen now
    pub(crate) unseen: Vec<Unseen>,
    pub(crate) causes: Vec<Cause>,
    /// "Shows now" or "Showed when last seen, 3 Oct"
    pub(crate) now_title: String,
    pub(crate) shows: Vec<Row>,
    pub(crate) shows_none: String,
    /// "" when something else was there before
    pub(crate) before_none: String,
    pub(crate) timeline: Timeline,
    pub(crate) intervals: Vec<Interval>,
    pub(crate) findings: Vec<FindingItem>,
    pub(crate) findings_words: String,
    pub(crate) findings_none: String,
    pub(crate) facts: Vec<Fact>,
    pub(crate) history: Vec<Event>,
    pub(crate) retire: Retire,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Unseen {
    pub(crate) tone: String,
    pub(crate) reason: String,
    pub(crate) words: String,
    pub(crate) detail: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline {
    pub(crate) words: String,
    pub(crate) alternative: String,
    pub(crate) height: i32,
    pub(crate) base: i32,
    pub(crate) ticks: Vec<Tick>,
    pub(crate) spans: Vec<Span>,
}

/// tone also `gap`: not seen
#[derive(Clone, Debug, Default)]
pub(crate) struct Span {
    pub(crate) x: f64,
    pub(crate) width: f64,
    pub(crate) y: i32,
    pub(crate) tone: String,
    pub(crate) title: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Interval {
    pub(crate) name: Name,
    pub(crate) href: String,
    pub(crate) short: String,
    pub(crate) copy: String,
    pub(crate) from: Stamp,
    pub(crate) until: Stamp,
    pub(crate) then: String,
    pub(crate) tone: String,
}

/// POST csrf, location, reason
#[derive(Clone, Debug, Default)]
pub(crate) struct Retire {
    pub(crate) title: String,
    pub(crate) words: String,
    pub(crate) can: bool,
    pub(crate) action: String,
    pub(crate) command: String,
}

/// The drawing looks back so many days.
const BACK: i64 = 365;
/// Rows of the drawing.
const LANES: usize = 5;
const INTERVALS: usize = 50;
const FINDINGS: usize = 30;
const HISTORY: usize = 30;

/// What the page is made from.
pub(crate) struct Gathered {
    pub(crate) place: PlaceWhole,
    /// What is there now, what leads first.
    pub(crate) shows: Vec<(PlacementRow, Option<AssetRow>)>,
    pub(crate) findings: Vec<FindingRow>,
    pub(crate) audit: Vec<AuditLine>,
}

/// Asks for everything about a place.
pub(crate) fn gather(look: &Look, location: &str) -> Result<Option<Gathered>, StoreError> {
    let Some(place) = look.store.place(location)? else { return Ok(None) };
    let mut shows = Vec::new();
    for placement in place.placements.iter().filter(|p| p.gone.is_none()).take(20) {
        let hex = notafter_pki::fingerprint::hex(&placement.asset.0);
        shows.push((placement.clone(), look.store.by_id(&hex)?.into_iter().next()));
    }
    shows.sort_by_key(|(p, _)| (!leads(p.role), p.role));
    let filter =
        FindingFilter { location: Some(location.to_owned()), limit: FINDINGS, ..FindingFilter::default() };
    let findings = look.store.findings(&filter)?;
    let audit = look.store.audit_lines(Some(location), None, HISTORY)?;
    let audit = audit.into_iter().map(|(_, line)| line).collect();
    Ok(Some(Gathered { place, shows, findings, audit }))
}

/// The page.
pub(crate) fn view(look: &Look, house: &House, found: &Gathered) -> PlaceView {
    let now = look.now;
    let location = &found.place.location;
    let leading = found.shows.first().map(|(p, _)| p);
    let owner = found.shows.first().and_then(|(_, a)| a.as_ref()).and_then(|a| a.owner.as_deref());
    let owner = owner.map(words::clean).unwrap_or_default();
    let late = leading.is_some_and(|p| look.is_history(house, &p.source));
    let unseen = leading.and_then(|p| p.unseen_since);
    let retired = found.place.retired.is_some() && found.shows.is_empty();
    let open = found.findings.len() as u64;
    let last = found.place.placements.iter().map(|p| p.last_seen).max();
    PlaceView {
        frame: frame(look, house, location.as_str(), "Inventory"),
        kind: kind_words(found),
        owner_href: words::ask(&format!("owner:{}", words::quoted(&owner))),
        owner,
        name: Name::of(location.as_str()),
        subline: subline(look, house, found, last),
        seen_tone: if late || unseen.is_some() || found.place.blind.is_some() { "stale" } else { "plain" }
            .to_owned(),
        unseen: unseen_reason(found, now),
        causes: found.findings.first().map(|f| cause(f, now)).into_iter().collect(),
        now_title: match (late || unseen.is_some(), last) {
            (true, Some(last)) => format!("Showed when last seen, {}", words::day(last, now)),
            _ => "Shows now".to_owned(),
        },
        shows: found.shows.iter().filter_map(|(p, a)| show(p, a.as_ref()?, found, late, now)).collect(),
        shows_none: if retired {
            "Retired by hand: nothing is expected here.".to_owned()
        } else if found.place.placements.is_empty() {
            "Nothing was ever seen here.".to_owned()
        } else {
            "Nothing is here any more.".to_owned()
        },
        before_none: before_none(found, now),
        timeline: timeline(&found.place.placements, now),
        intervals: intervals(found, late, now),
        findings: found.findings.iter().map(|f| item(f, now)).collect(),
        findings_words: if open == 0 { String::new() } else { format!("{} open", words::number(open)) },
        findings_none: "None is open.".to_owned(),
        facts: facts(found),
        history: history(found, now),
        retire: retire(found, now),
    }
}

fn kind_words(found: &Gathered) -> String {
    let location = &found.place.location;
    let kind = match location.scheme() {
        "file" => "file".to_owned(),
        "tls" => "TLS port".to_owned(),
        scheme => format!("{} port", words::clean(scheme)),
    };
    let vantage = found.place.placements.first().map(|p| words::clean(&p.vantage)).filter(|v| !v.is_empty());
    vantage.map_or(kind.clone(), |vantage| format!("{kind}, seen from {vantage}"))
}

fn subline(look: &Look, house: &House, found: &Gathered, last: Option<UnixTime>) -> String {
    let now = look.now;
    if let (Some((at, reason, by)), true) = (&found.place.retired, found.shows.is_empty()) {
        return format!("Retired {} by {}: {}", words::ago(*at, now), words::clean(by), words::clean(reason));
    }
    let Some(last) = last else { return "Never seen.".to_owned() };
    let source = found.shows.first().map(|(p, _)| p.source.as_str());
    let unseen = found.shows.first().is_some_and(|(p, _)| p.unseen_since.is_some());
    let late = source.is_some_and(|s| look.is_history(house, s));
    if unseen || late {
        return format!(
            "Not seen since {}. What stands below is what it showed then.",
            words::weekday(last, now)
        );
    }
    let next = source.and_then(|s| house.sources.iter().find(|r| r.name == s)).and_then(|r| r.next);
    let next = next.map(|t| format!("; next look {}", words::ahead(t, now))).unwrap_or_default();
    format!("Looked at {}{next}", words::ago(last, now))
}

fn unseen_reason(found: &Gathered, now: UnixTime) -> Vec<Unseen> {
    let blind = found.place.blind.iter().map(|blind| Unseen {
        tone: "stale".to_owned(),
        reason: blind.reason.as_str().to_owned(),
        words: format!("It could not be seen since {}.", words::weekday(blind.since, now)),
        detail: format!("{} (last tried {})", words::clean(&blind.detail), words::ago(blind.last, now)),
    });
    blind.collect()
}

fn show(
    placement: &PlacementRow,
    asset: &AssetRow,
    found: &Gathered,
    late: bool,
    now: UnixTime,
) -> Option<Row> {
    let about = |f: &&FindingRow| f.asset == Some(asset.id);
    let finding = found.findings.iter().find(about);
    let mut here = asset.clone();
    if finding.is_none() {
        // What is wrong with it elsewhere is not wrong here.
        (here.severity, here.findings) = (None, 0);
    }
    let mut out = row(&here, finding, now);
    let end = asset.not_after.map(|end| format!(" · until {}", words::date(end))).unwrap_or_default();
    let possession =
        placement.facts.possession.map(|p| format!(" · possession {}", p.as_str())).unwrap_or_default();
    out.place_words = format!("{} · {}{end}{possession}", placement.role.as_str(), tiny_id(&asset.id));
    if late || placement.unseen_since.is_some() {
        out.left.tone = "stale".to_owned();
    }
    if late {
        grey(&mut out.left, &mut out.todo);
    }
    Some(out)
}

fn timeline(placements: &[PlacementRow], now: UnixTime) -> Timeline {
    let from = now.plus(-BACK * DAY);
    let x = |at: UnixTime| words::at_percent((at.0 - from.0) as f64 / (BACK * DAY) as f64 * 100.0);
    let mut leading: Vec<&PlacementRow> = placements.iter().filter(|p| leads(p.role)).collect();
    if leading.is_empty() {
        leading = placements.iter().collect();
    }
    leading.retain(|p| p.gone.unwrap_or(now) >= from);
    leading.sort_by_key(|p| std::cmp::Reverse(p.first_seen));
    let lanes = leading.len().clamp(1, LANES) as i32;
    let base = 6 + lanes * 16;
    let mut spans = Vec::new();
    for (n, placement) in leading.iter().take(LANES).enumerate() {
        let y = 2 + n as i32 * 16;
        let name = format!("{} {}", tiny_id(&placement.asset), words::clean(&placement.title));
        let until = placement.gone.or(placement.unseen_since).unwrap_or(now);
        let span = |a: UnixTime, b: UnixTime, tone: &str, title: String| Span {
            x: x(a),
            width: words::at_percent((x(b) - x(a)).max(0.4).min(100.0 - x(a))),
            y,
            tone: tone.to_owned(),
            title,
        };
        let ended = placement.not_after.is_some_and(|end| end < until);
        let tone = if ended { "now" } else { "plain" };
        let dates = format!("{} to {}", words::date(placement.first_seen), words::date(until));
        spans.push(span(placement.first_seen, until, tone, format!("{name}: seen {dates}")));
        if let (Some(unseen), None) = (placement.unseen_since, placement.gone) {
            let title = format!("{name}: no answer since {}", words::date(unseen));
            spans.push(span(unseen, now, "gap", title));
        }
    }
    let ticks = [0, 3, 6, 9, 12].map(|month| {
        let at = from.plus(month * BACK * DAY / 12);
        Tick {
            x: x(at),
            label: if month == 12 { "today".to_owned() } else { words::day(at, now) },
            anchor: match month {
                0 => "",
                12 => "end",
                _ => "middle",
            }
            .to_owned(),
            minor: false,
        }
    });
    let count = leading.len() as u64;
    Timeline {
        words: format!("one row for each, {BACK} days"),
        alternative: format!(
            "{} in the last {BACK} days; the table below says the same",
            words::counted(count, "asset")
        ),
        height: base + 22,
        base,
        ticks: ticks.to_vec(),
        spans,
    }
}

/// What is said instead of a drawing while there is nothing but what is there now.
fn before_none(found: &Gathered, now: UnixTime) -> String {
    let placements = &found.place.placements;
    if placements.iter().any(|p| p.gone.is_some()) {
        return String::new();
    }
    let first = placements.iter().map(|p| p.first_seen).min();
    first.map_or_else(
        || "Nothing was ever seen here.".to_owned(),
        |first| format!("Nothing else: the same since it was first seen, {}.", words::ago(first, now)),
    )
}

fn intervals(found: &Gathered, late: bool, now: UnixTime) -> Vec<Interval> {
    let mut out: Vec<Interval> = Vec::new();
    for placement in found.place.placements.iter().take(INTERVALS) {
        let next = found.place.placements.iter().find(|p| {
            p.role == placement.role && p.asset != placement.asset && Some(p.first_seen) >= placement.gone
        });
        let (then, tone) = match (placement.gone, placement.unseen_since) {
            (None, None) if late => ("there when last looked at".to_owned(), "stale"),
            (None, None) => ("still there at the last look".to_owned(), ""),
            (None, Some(since)) => (format!("no answer since {}", words::day(since, now)), "stale"),
            (Some(gone), _) => match (placement.not_after, next) {
                (Some(end), Some(_)) if gone <= end => (
                    format!(
                        "replaced {} before its end",
                        words::counted(((end.0 - gone.0) / DAY).unsigned_abs(), "day")
                    ),
                    "",
                ),
                (Some(end), _) if gone > end => {
                    (format!("gone {} after its end", words::span(gone.0 - end.0)), "now")
                }
                _ => ("gone".to_owned(), ""),
            },
        };
        let until = placement.gone.unwrap_or(placement.last_seen);
        out.push(Interval {
            name: Name::of(&placement.title),
            href: asset_href(&placement.asset),
            short: tiny_id(&placement.asset),
            copy: placement.asset.to_string(),
            from: Stamp::date(Some(placement.first_seen)),
            until: Stamp::date(Some(until)),
            then,
            tone: tone.to_owned(),
        });
    }
    out
}

fn facts(found: &Gathered) -> Vec<Fact> {
    let mut out = Vec::new();
    let newest = found.shows.first().map(|(p, _)| p).or(found.place.placements.first());
    if let Some(placement) = newest {
        let facts = &placement.facts;
        if let Some(protocol) = &facts.protocol {
            let version = facts.tls_version.map(|v| format!(", {}", tls_version(v))).unwrap_or_default();
            out.push(Fact::words("Protocol", format!("{protocol}{version}")));
        }
        if let Some(possession) = facts.possession {
            out.push(Fact::words("Possession of the key", possession.as_str()));
        }
        if let Some(cas) = &facts.client_cas {
            let names = if cas.is_empty() { "no CA by name".to_owned() } else { cas.join("; ") };
            out.push(Fact::words("Asks for client certificates from", names));
        }
        if let Some(process) = &facts.process {
            let unit = process.unit.as_deref().map(|u| format!(", {u}")).unwrap_or_default();
            out.push(Fact::words("Process", format!("{}, pid {}{unit}", process.name, process.pid)));
        }
        if let Some(file) = &facts.file {
            let owner = file.owner.clone().unwrap_or_else(|| file.uid.to_string());
            out.push(Fact::words("Mode and owner", format!("{:04o} {owner}", file.mode)));
            out.push(Fact::words("Written", file.mtime.to_string()));
        }
        out.push(Fact::words("Vantage", &placement.vantage));
        out.push(Fact::words("Source", &placement.source));
    }
    for key in found.place.keys.iter().take(5) {
        let whose = key.key.map_or_else(|| "of an unknown key".to_owned(), |k| k.to_string());
        let locked = if key.encrypted { ", encrypted" } else { "" };
        out.push(Fact::words("Private key", format!("{}{locked}, {whose}", key.format)));
    }
    for link in found.place.links.iter().take(10) {
        let here = found.place.location.as_str();
        let (label, other) =
            if link.from.as_str() == here { ("Served at", &link.to) } else { ("Served from", &link.from) };
        out.push(Fact::code(label, other.as_str()));
    }
    out
}

fn history(found: &Gathered, now: UnixTime) -> Vec<Event> {
    let mut out: Vec<(UnixTime, String, String, &str)> = Vec::new();
    for line in &found.audit {
        let detail = if line.detail.is_empty() { String::new() } else { format!(": {}", line.detail) };
        out.push((line.at, format!("{}{detail}", line.what.replace('-', " ")), line.who.clone(), "plain"));
    }
    for finding in &found.findings {
        // A dot that is red wants somebody.
        let tone = if finding.severity == Severity::Critical { "now" } else { "plain" };
        out.push((finding.opened, format!("{} found", finding.kind), String::new(), tone));
    }
    for placement in found.place.placements.iter().filter(|p| leads(p.role)).take(HISTORY) {
        let source = format!("source {}", placement.source);
        let name = format!("{} {}", tiny_id(&placement.asset), placement.title);
        out.push((placement.first_seen, format!("first seen: {name}"), source.clone(), "plain"));
        if let Some(gone) = placement.gone {
            out.push((gone, format!("no longer here: {name}"), source, "plain"));
        }
    }
    out.sort_by_key(|e| std::cmp::Reverse(e.0));
    out.truncate(HISTORY);
    let event = |(at, what, by, tone): (UnixTime, String, String, &str)| Event {
        words: words::sentence(&words::clean(&what)),
        at: Stamp::past(Some(at), now),
        by: words::clean(&by),
        tone: tone.to_owned(),
    };
    out.into_iter().map(event).collect()
}

fn retire(found: &Gathered, now: UnixTime) -> Retire {
    let can = found.place.retired.is_none() || !found.shows.is_empty() || found.place.blind.is_some();
    let words_ = match &found.place.retired {
        Some((at, reason, by)) if !can => format!(
            "Retired {} by {}: {}. The next sighting revives it.",
            words::ago(*at, now),
            words::clean(by),
            words::clean(reason)
        ),
        _ => {
            "Retiring ends its alerts. It is written into the audit, listed, and undone by the next sighting."
                .to_owned()
        }
    };
    Retire {
        title: if can { "Is it gone for good?" } else { "It is retired" }.to_owned(),
        words: words_,
        can,
        action: "/places/retire".to_owned(),
        command: format!("notafter retire {} --reason '…'", words::shell(found.place.location.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::row::tests::NOW;
    use notafter_core::Fingerprint;
    use notafter_core::inventory::Role;
    use notafter_core::location::Location;

    fn placement(n: u8, from: i64, gone: Option<i64>) -> PlacementRow {
        PlacementRow {
            asset: Fingerprint([n; 32]),
            title: "a.test".into(),
            not_after: Some(NOW.plus(10 * DAY)),
            location: Location::parse("tls://10.0.0.1:443").unwrap(),
            role: Role::Leaf,
            chain: Vec::new(),
            facts: Default::default(),
            source: "s".into(),
            vantage: "here".into(),
            first_seen: NOW.plus(-from * DAY),
            last_seen: NOW,
            unseen_since: None,
            gone: gone.map(|d| NOW.plus(-d * DAY)),
        }
    }

    #[test]
    fn the_drawing_stays_inside() {
        let mut all: Vec<_> =
            (0..9).map(|n| placement(n, 900 - 100 * i64::from(n), Some(800 - 100 * i64::from(n)))).collect();
        all.push(placement(20, 40, None));
        all[9].unseen_since = Some(NOW.plus(-DAY));
        let drawn = timeline(&all, NOW);
        assert!(!drawn.spans.is_empty());
        for span in &drawn.spans {
            assert!(span.x >= 0.0 && span.width > 0.0 && span.x + span.width <= 100.01, "{span:?}");
            assert!(span.y + 14 <= drawn.base);
        }
        assert!(drawn.spans.iter().any(|s| s.tone == "gap"));
        assert!(timeline(&[], NOW).spans.is_empty());
    }
}

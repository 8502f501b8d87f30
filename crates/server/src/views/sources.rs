//! Sources: when each was last looked at to the end, how far it sees, and what it cannot see.

use std::collections::BTreeMap;

use askama::Template;
use notafter_engine::setup::Planned;
use notafter_store::StoreError;
use notafter_store::rows::{BlindRow, SourceRow};
use serde::Deserialize;

use super::filters;
use super::frame::{Coverage, House, Look, frame};
use super::starting::progress_words;
use super::{Frame, Link, Name, Stamp, place_href};
use crate::words;
use notafter_engine::service;

#[derive(Clone, Debug, Template)]
#[template(path = "sources.html")]
pub(crate) struct SourcesView {
    pub(crate) frame: Frame,
    pub(crate) headline: String,
    pub(crate) subline: String,
    pub(crate) sources: Vec<SourceItem>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct SourceItem {
    /// fit for an HTML id: [a-z0-9-]
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) targets: String,
    /// proven = succeeded within its interval; stale otherwise
    pub(crate) state: String,
    pub(crate) tone: String,
    pub(crate) busy: bool,
    pub(crate) last_success: Stamp,
    pub(crate) next: Stamp,
    pub(crate) found: String,
    /// class of the bar: fill, or done when stale
    pub(crate) coverage: String,
    pub(crate) coverage_percent: f64,
    pub(crate) coverage_class: String,
    pub(crate) error: String,
    pub(crate) blind: Vec<BlindGroup>,
    pub(crate) blind_none: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct BlindGroup {
    pub(crate) words: String,
    pub(crate) hint: String,
    pub(crate) places: Vec<BlindPlace>,
    pub(crate) more: Link,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct BlindPlace {
    pub(crate) name: Name,
    pub(crate) href: String,
    pub(crate) detail: String,
}

/// So many blind spots of each source are read, so many of a reason shown.
const READ: usize = 200;
const SHOWN: usize = 5;
/// When one source is asked for.
const READ_ALONE: usize = 1000;

/// What is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ask {
    /// Only this source, with all of its blind spots.
    pub(crate) source: String,
}

/// What the page is made from, by source.
pub(crate) struct Sources {
    pub(crate) blind: BTreeMap<String, Vec<BlindRow>>,
    /// Source, reason, how many.
    pub(crate) counts: Vec<(String, String, u64)>,
}

/// Asks.
pub(crate) fn gather(look: &Look, ask: &Ask) -> Result<Sources, StoreError> {
    let counts = look.store.blind_counts()?;
    let mut blind = BTreeMap::new();
    let most = if ask.source.is_empty() { READ } else { READ_ALONE };
    for (source, ..) in counts.iter().filter(|(.., n)| *n > 0) {
        if blind.contains_key(source) || !(ask.source.is_empty() || ask.source == *source) {
            continue;
        }
        blind.insert(source.clone(), look.store.blind_spots(Some(source), None, most)?.rows);
    }
    Ok(Sources { blind, counts })
}

/// The page.
pub(crate) fn view(look: &Look, house: &House, ask: &Ask, found: &Sources) -> SourcesView {
    let coverage = Coverage::of(look, house);
    let all = coverage.fresh + coverage.stale + coverage.failing;
    let unseen = coverage.unseen + coverage.blind;
    let mut headline = match (coverage.fresh, all) {
        (_, 0) => "No source is set up".to_owned(),
        (fresh, all) if fresh == all => match all {
            1 => "The source is fresh".to_owned(),
            n => format!("All {} sources are fresh", words::number_word(n)),
        },
        (0, _) => "No source is fresh".to_owned(),
        (fresh, all) => format!("{} of {} sources are fresh", words::number(fresh), words::number(all)),
    };
    headline.push_str(&match unseen {
        0 => ".".to_owned(),
        1 => "; one place could not be seen.".to_owned(),
        n => format!("; {} places could not be seen.", words::number(n)),
    });
    let wanted = |name: &str| ask.source.is_empty() || ask.source == name;
    let mut sources: Vec<SourceItem> = look
        .setup
        .sources
        .iter()
        .filter(|p| wanted(&p.name))
        .map(|planned| source(look, house, planned, ask, found))
        .collect();
    // The late ones first: they are what somebody has to see to.
    sources.sort_by_key(|s| s.tone == "proven");
    SourcesView {
        frame: frame(look, house, "Sources", "Sources"),
        headline,
        subline:
            "Silence is never green: a source that has missed its rounds is grey, and so is all it showed."
                .to_owned(),
        sources,
    }
}

/// Letters and digits of a name, for an anchor.
pub(crate) fn html_id(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let plain: String = lower.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    // Two names that differ in other letters only must not share an anchor.
    let hash = notafter_pki::fingerprint::hex(&notafter_pki::fingerprint::sha256(name.as_bytes()));
    let short = plain.chars().take(30).collect::<String>();
    if plain == name { short } else { format!("{short}-{}", hash.get(..4).unwrap_or_default()) }
}

fn source(look: &Look, house: &House, planned: &Planned, ask: &Ask, found: &Sources) -> SourceItem {
    let now = look.now;
    let row = house.sources.iter().find(|r| r.name == planned.name);
    let stale = look.is_stale(house, &planned.name);
    let running = look.state.running.get(&planned.name);
    let last = row.and_then(|r| r.last_success);
    // What a look that came to nothing left behind is not fresh, though it is not late yet.
    let nothing = row
        .filter(|r| service::came_to_nothing(r))
        .map(|r| if r.fault.is_some() { "the last look failed" } else { "the last look reached nothing" });
    let since = last.map_or_else(
        || "nothing was ever seen to the end".to_owned(),
        |last| format!("last seen to the end {}", words::weekday(last, now)),
    );
    let state = match (running, stale, last) {
        (Some((progress, _)), ..) => format!("looking now: {}", progress_words(progress.scan())),
        (None, true, Some(_)) => match nothing {
            Some(nothing) => format!("stale: {nothing}; {since}"),
            None => format!("stale: {since}"),
        },
        (None, true, None) => nothing.unwrap_or("never seen to the end").to_owned(),
        (None, false, _) if nothing.is_some() => format!("{}; {since}", nothing.unwrap_or_default()),
        (None, false, _) => "fresh".to_owned(),
    };
    let next = row.and_then(|r| r.next);
    let (coverage, percent) = coverage_words(row);
    let mut blind = groups(planned, ask, found);
    blind.sort_by(|a, b| a.words.cmp(&b.words));
    SourceItem {
        id: html_id(&planned.name),
        name: words::clean(&planned.name),
        kind: format!("every {}", words::span(planned.every)),
        targets: targets(planned),
        state,
        tone: match (stale, nothing) {
            (true, _) => "stale",
            (false, Some(_)) => "soon",
            (false, None) => "proven",
        }
        .to_owned(),
        busy: running.is_some(),
        last_success: Stamp::past(last, now),
        next: match (running, next) {
            (Some(_), _) => Stamp { words: "now".to_owned(), iso: now.to_string() },
            (None, Some(next)) => Stamp::coming(next, now),
            (None, None) => Stamp { words: "not planned".to_owned(), iso: String::new() },
        },
        found: {
            let places = words::counted(row.map_or(0, |r| r.placements), "place");
            if stale && last.is_some() { format!("{places} when last seen") } else { places }
        },
        coverage,
        coverage_percent: percent,
        coverage_class: if stale || nothing.is_some() { "done" } else { "fill" }.to_owned(),
        error: row
            .and_then(|r| r.fault.as_deref())
            .map(|fault| words::said(&words::clean(fault)))
            .unwrap_or_default(),
        blind_none: match (last, row.map_or(0, |r| r.blind_spots)) {
            (None, _) => "What it cannot see is not known yet.".to_owned(),
            (Some(_), _) if stale || nothing.is_some() => "What it cannot see now is not known.".to_owned(),
            (Some(_), 0) => "Nothing was left unseen.".to_owned(),
            (Some(_), n) => format!("{} could not be seen.", words::counted(n, "place")),
        },
        blind,
    }
}

fn targets(planned: &Planned) -> String {
    let shown: Vec<_> = planned.targets.iter().take(6).map(|t| words::clean(t)).collect();
    match planned.targets.len().saturating_sub(6) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn coverage_words(row: Option<&SourceRow>) -> (String, f64) {
    let Some(row) = row.filter(|r| r.last_finished.is_some()) else {
        return ("not known yet".to_owned(), 0.0);
    };
    let mut parts = Vec::new();
    if row.attempted > 0 {
        parts.push(format!(
            "{} of {} reached",
            words::number(row.reached),
            words::counted(row.reached + row.unreachable, "port")
        ));
    }
    if row.files > 0 {
        parts.push(format!("{} read", words::counted(row.files, "file")));
    }
    if let (true, Some(_)) = (parts.is_empty(), &row.fault) {
        return ("the last run failed".to_owned(), 0.0);
    }
    if parts.is_empty() && row.placements > 0 {
        // What asks no port and reads no file: dates typed in, a registry, a log.
        return ("all of it looked at".to_owned(), 100.0);
    }
    if parts.is_empty() {
        parts.push("nothing was there to be looked at".to_owned());
    }
    let seen = row.reached + row.files;
    // Closed ports of a range are only counted: nothing was to be seen there.
    let all = seen + row.blind_spots.max(row.unreachable);
    let percent = if all == 0 { 0.0 } else { words::at_percent(seen as f64 / all as f64 * 100.0) };
    (parts.join("; "), percent)
}

fn groups(planned: &Planned, ask: &Ask, found: &Sources) -> Vec<BlindGroup> {
    let counts = found.counts.iter().filter(|(source, _, n)| *source == planned.name && *n > 0);
    let spots = found.blind.get(&planned.name).map(Vec::as_slice).unwrap_or_default();
    let most = if ask.source.is_empty() { SHOWN } else { READ_ALONE };
    counts
        .map(|(source, reason, count)| {
            let of_reason = spots.iter().filter(|s| s.reason.as_str() == reason);
            let places: Vec<BlindPlace> = of_reason
                .take(most)
                .map(|spot| BlindPlace {
                    name: Name::of(spot.location.as_str()),
                    href: place_href(spot.location.as_str()),
                    detail: words::clean(&spot.detail),
                })
                .collect();
            let more = count.saturating_sub(places.len() as u64);
            BlindGroup {
                words: reason_words(reason, *count),
                hint: hint(reason).to_owned(),
                more: if more > 0 && ask.source.is_empty() {
                    Link::to(
                        format!("{} more", words::number(more)),
                        format!("/sources?source={}", words::encode(source)),
                    )
                } else if more > 0 {
                    Link::to(format!("{} more are not listed", words::number(more)), "/sources".to_owned())
                } else {
                    Link::default()
                },
                places,
            }
        })
        .collect()
}

/// What could not be seen, in words: "1 name does not resolve".
pub(crate) fn reason_words(reason: &str, count: u64) -> String {
    let one = count == 1;
    // What it is, and what is said of one and of many.
    let (what, of_one, of_many) = match reason {
        "dns" => ("name", "does not resolve", "do not resolve"),
        "refused" => ("place", "refuses the connection", "refuse the connection"),
        "timeout" => ("place", "did not answer in time", "did not answer in time"),
        "no-tls" => ("place", "answers without TLS", "answer without TLS"),
        "handshake" => ("place", "breaks the handshake off", "break the handshake off"),
        "permission-denied" => ("place", "may not be read", "may not be read"),
        "wrong-password" => ("keystore", "opens with no known password", "open with no known password"),
        "unsupported-format" => ("file", "is of a format not read yet", "are of a format not read yet"),
        "malformed" => ("file", "is damaged", "are damaged"),
        "too-large" => ("file", "is too large to be read", "are too large to be read"),
        "special-file" => ("place", "is no regular file", "are no regular files"),
        "other-filesystem" => ("folder", "lies on another file system", "lie on another file system"),
        "excluded" => ("place", "is left out by the configuration", "are left out by the configuration"),
        "budget" => ("place", "was more than one run may look at", "were more than one run may look at"),
        "not-found" => ("place", "is not there", "are not there"),
        other => return format!("{}: {}", words::counted(count, "place"), words::clean(other)),
    };
    format!("{} {}", words::counted(count, what), if one { of_one } else { of_many })
}

/// What to do about a reason.
fn hint(reason: &str) -> &'static str {
    match reason {
        "dns" => "The name has no address. Is it spelt right, and is the resolver the right one?",
        "refused" => "Nothing listens there. If it is gone for good, retire the place.",
        "timeout" => "Nothing answered in time. Is there a firewall between, or is the host down?",
        "no-tls" => "Something answers, but not with TLS. Name its protocol: smtp://, postgres://, ...",
        "handshake" => "It answers and breaks off. Its log says why; it may want another server name.",
        "permission-denied" => "It may not be read. Give Notafter the right to, or exclude it.",
        "wrong-password" => "No password fits. Name a file with passwords in the source: password_file.",
        "unsupported-format" => "It holds something that cannot be read yet.",
        "malformed" => "It looks like a certificate or a keystore, and is damaged.",
        "too-large" => "It is larger than what is read. Exclude it if it is none.",
        "special-file" => "It is no regular file, and is not opened.",
        "other-filesystem" => "It lies on another file system. Name its folder if it is meant.",
        "excluded" => "It was left out as the configuration says.",
        "budget" => "There was more than one run may look at. Split the source.",
        "not-found" => "It is not there.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_reached_nothing_is_no_success() {
        let at = |n| Some(notafter_core::UnixTime(n));
        let row = |success, finished, fault: Option<&str>| SourceRow {
            name: "s".into(),
            last_started: at(0),
            last_success: success,
            last_finished: finished,
            next: None,
            fault: fault.map(str::to_owned),
            attempted: 3,
            reached: 0,
            unreachable: 3,
            files: 0,
            placements: 3,
            blind_spots: 3,
        };
        for (row, nothing) in [
            (row(at(5), at(5), None), false),
            (row(at(5), at(9), None), true),
            (row(None, at(9), None), true),
            (row(None, None, None), false),
            (row(at(5), at(5), Some("refused")), true),
        ] {
            assert_eq!(service::came_to_nothing(&row), nothing, "{row:?}");
        }
    }

    #[test]
    fn anchors() {
        assert_eq!(html_id("web"), "web");
        let fit = |id: &str| id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        assert!(fit(&html_id("this host")) && fit(&html_id("<img>")) && fit(&html_id("пошта")));
        assert_ne!(html_id("пошта"), html_id("почта"));
    }

    #[test]
    fn every_reason_has_words_and_a_hint() {
        assert_eq!(reason_words("dns", 1), "1 name does not resolve");
        assert_eq!(reason_words("wrong-password", 37), "37 keystores open with no known password");
        use notafter_core::observation::Reason;
        for reason in [
            Reason::Dns,
            Reason::Refused,
            Reason::Timeout,
            Reason::NoTls,
            Reason::Handshake,
            Reason::PermissionDenied,
            Reason::WrongPassword,
            Reason::UnsupportedFormat,
            Reason::Malformed,
            Reason::TooLarge,
            Reason::SpecialFile,
            Reason::OtherFilesystem,
            Reason::Excluded,
            Reason::Budget,
            Reason::NotFound,
        ] {
            assert_ne!(hint(reason.as_str()), "", "{}", reason.as_str());
            // Its word in the JSON is for programs.
            let said = reason_words(reason.as_str(), 2);
            assert!(!said.contains(": "), "{said}");
        }
    }
}

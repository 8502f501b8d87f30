//! What a report is worth: early, in time, late, after, never, in the wrong place, to the wrong person, or false.
//!
//! Pure: takes what was said at each look and gives grades.

use regex_automata::meta::Regex;

use crate::program::{Finding, Seen};
use crate::scene::{Expect, Text};
use crate::site::Site;

/// How well one scene was reported. The order is from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grade {
    /// With at least twice the time that mending takes.
    Early,
    /// With at least the time that mending takes.
    InTime,
    /// Before T0, but too late to mend it.
    Late,
    /// The cause, in the right place, laid before somebody else.
    WrongPerson,
    /// The cause, not where it is.
    WrongPlace,
    /// Only when it was broken.
    After,
    /// Not at all.
    Never,
}

impl Grade {
    /// As it is printed.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Early => "EARLY",
            Self::InTime => "IN TIME",
            Self::Late => "LATE",
            Self::WrongPerson => "WRONG PERSON",
            Self::WrongPlace => "WRONG PLACE",
            Self::After => "AFTER",
            Self::Never => "never",
        }
    }
}

/// One look: how many days before T0 (negative for after it), and what was said.
pub(crate) struct Looked {
    /// Days before T0.
    pub(crate) lead: i64,
    /// Everything that was reported.
    pub(crate) seen: Seen,
}

/// The verdict on one scene at one level.
pub(crate) struct Verdict {
    /// The worst of the expectations.
    pub(crate) grade: Grade,
    /// Each expectation that is not early, with its grade.
    pub(crate) missing: Vec<(String, Grade)>,
    /// Days before T0 at which everything was reported; nothing where something never was.
    pub(crate) lead: Option<i64>,
}

/// Judges what was said about a scene.
pub(crate) fn judge(text: &Text, site: &Site, looks: &[&Looked]) -> Verdict {
    let mut verdict = Verdict { grade: Grade::Early, missing: Vec::new(), lead: Some(i64::MAX) };
    for expect in &text.expect {
        let (grade, lead) = expectation(text, expect, site, looks);
        verdict.lead = verdict.lead.zip(lead).map(|(a, b)| a.min(b));
        if grade != Grade::Early {
            verdict.missing.push((expect.kind.join("|"), grade));
        }
        verdict.grade = verdict.grade.max(grade);
    }
    verdict
}

/// What was said about the twin that should not have been said, once each.
pub(crate) fn false_alarms(text: &Text, site: &Site, looks: &[&Looked]) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let since = text.twin_since_days.unwrap_or(text.since_days);
    for look in looks.iter().filter(|look| look.lead <= since && look.lead <= text.early().max(90)) {
        for finding in &look.seen {
            let about = finding.locations.iter().any(|location| site.owns(location));
            let known = found.iter().any(|f| f.kind == finding.kind && f.locations == finding.locations);
            if about && rank(&finding.severity) >= rank("warning") && !known {
                found.push(finding.clone());
            }
        }
    }
    found
}

/// What was said about a scene a day before T0, in a few words, once each.
pub(crate) fn heard(site: &Site, looks: &[&Looked]) -> Vec<String> {
    let about = |finding: &&Finding| finding.locations.iter().any(|location| site.owns(location));
    let last = looks.iter().filter(|look| look.lead == 1).flat_map(|look| &look.seen).filter(about);
    let mut all: Vec<String> = last
        .map(|finding| {
            let lead = finding.lead.map_or(String::new(), |lead| format!(" ({lead} d left)"));
            let owner = finding.owner.as_deref().unwrap_or("nobody");
            format!("{} {} to {owner}{lead}", finding.severity, finding.kind)
        })
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Judges one expectation; with the lead at which it was first met for good.
fn expectation(text: &Text, expect: &Expect, site: &Site, looks: &[&Looked]) -> (Grade, Option<i64>) {
    let floor = rank(&expect.severity).min(rank("warning"));
    let (early, since) =
        (expect.lead_days.unwrap_or(text.early()), expect.since_days.unwrap_or(text.since_days));
    let mut before: Vec<(i64, Meeting)> = looks
        .iter()
        .filter(|look| (0..=since.min(early.max(90))).contains(&look.lead))
        .map(|look| (look.lead, meet(expect, site, &look.seen)))
        .collect();
    before.sort_by_key(|(lead, _)| *lead);
    let after = looks.iter().find(|look| look.lead < 0).map(|look| meet(expect, site, &look.seen));
    let after_met = matches!(after, Some(Meeting::Met(severity)) if severity >= floor);
    if expect.after {
        return if after_met { (Grade::Early, Some(early)) } else { (Grade::Never, None) };
    }
    // From T0 backwards, for as long as it was said each time: what is said once and then forgotten does not count.
    let met_since = |least: u8| {
        let met = |meeting: &Meeting| matches!(meeting, Meeting::Met(severity) if *severity >= least);
        before.iter().take_while(|(_, meeting)| met(meeting)).map(|(lead, _)| *lead).last()
    };
    let lead = met_since(rank(&expect.severity)).and(met_since(floor));
    let grade = match lead {
        Some(lead) if lead >= early => Grade::Early,
        Some(lead) if 2 * lead >= early => Grade::InTime,
        Some(_) => Grade::Late,
        None if after_met => Grade::After,
        None if before.iter().any(|(_, m)| matches!(m, Meeting::Person)) => Grade::WrongPerson,
        None if before.iter().any(|(_, m)| matches!(m, Meeting::Place)) => Grade::WrongPlace,
        None => Grade::Never,
    };
    (grade, lead)
}

/// How what was said at one look meets an expectation.
enum Meeting {
    /// It does, with this severity.
    Met(u8),
    /// But for the owner.
    Person,
    /// But for the places.
    Place,
    /// It does not.
    No,
}

/// Compares one look with an expectation.
fn meet(expect: &Expect, site: &Site, seen: &Seen) -> Meeting {
    let wanted = expect.owner.clone().unwrap_or_else(|| format!("team-{}", site.id));
    let patterns: Vec<Regex> = expect.locations.iter().map(|p| pattern(p, site)).collect();
    let mut best = Meeting::No;
    for finding in seen.iter().filter(|f| expect.kind.contains(&f.kind)) {
        if !finding.locations.iter().any(|location| site.owns(location)) {
            continue;
        }
        let placed = patterns.iter().all(|p| finding.locations.iter().any(|location| p.is_match(location)));
        let owned = wanted == "*" || finding.owner.as_deref() == Some(wanted.as_str());
        let now = match (placed, owned) {
            (true, true) => Meeting::Met(rank(&finding.severity)),
            (true, false) => Meeting::Person,
            (false, _) => Meeting::Place,
        };
        let order = |m: &Meeting| match m {
            Meeting::Met(severity) => 3 + severity,
            Meeting::Person => 2,
            Meeting::Place => 1,
            Meeting::No => 0,
        };
        if order(&now) > order(&best) {
            best = now;
        }
    }
    best
}

/// A location's pattern, its placeholders filled in.
fn pattern(text: &str, site: &Site) -> Regex {
    let mut text = text.replace("{host}", r"127\.0\.1\.").replace("{site}", &site.id);
    for number in 0..10 {
        text = text.replace(&format!("{{p{number}}}"), &site.port(number).to_string());
    }
    Regex::new(&text).unwrap_or_else(|error| panic!("{}: location {text:?}: {error}", site.id))
}

/// A severity as a number.
fn rank(severity: &str) -> u8 {
    match severity {
        "critical" => 3,
        "warning" => 2,
        "info" => 1,
        _ => 0,
    }
}

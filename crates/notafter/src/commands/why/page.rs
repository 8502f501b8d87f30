//! What `why` prints: the culprit in the first line, then the evidence in the order of the path; or the same as JSON.

use notafter_core::document::FindingDocument;
use notafter_core::finding::Finding;
use serde_json::{Value, json};

use super::Seen;
use super::culprit::Culprit;
use super::evidence::{Say, Step};
use crate::print::paper::{Ink, Paper};
use crate::print::table;

/// So many places of one line are printed.
const PLACES_MAX: usize = 4;

/// The page for a person.
pub(super) fn page(paper: &mut Paper, seen: &Seen, culprit: &Culprit<'_>, steps: &[Step]) {
    let ink = match (culprit.dated, culprit.finding) {
        (true, _) => Ink::Red,
        (false, Some(finding)) => Ink::of(finding.severity),
        (false, None) if steps.iter().any(|step| step.part == "leaf" && step.say != Say::Unseen) => {
            Ink::Green
        }
        (false, None) => Ink::Red,
    };
    paper.put(Ink::Bold, &format!("{}: ", seen.asked.text)).line(ink, &culprit.text);
    if let (false, Some(finding)) = (culprit.dated, culprit.finding) {
        paper.paragraph(Ink::Plain, 2, &format!("hint: {}", finding.hint));
    }
    paper.end();
    for step in steps {
        let (word, ink) = match step.say {
            Say::Ok => ("ok", Ink::Green),
            Say::Dies => ("dies", Ink::Yellow),
            Say::Dead => ("dead", Ink::Red),
            Say::Wrong => ("wrong", Ink::Red),
            Say::Nothing => ("-", Ink::Dim),
            Say::Unseen => ("not seen", Ink::Yellow),
        };
        paper.put(Ink::Dim, &format!("{:<9}", step.part)).put(ink, &format!("{word:<9}"));
        paper.put(Ink::Plain, &step.text);
        // Where the text says it already, once is enough.
        let mut places: Vec<&str> =
            step.places.iter().map(String::as_str).filter(|place| !step.text.contains(place)).collect();
        let more = places.len().saturating_sub(PLACES_MAX);
        places.truncate(PLACES_MAX);
        let more = if more > 0 { format!(" +{more}") } else { String::new() };
        let places = if places.is_empty() { String::new() } else { format!("  {}{more}", places.join(" ")) };
        paper.line(Ink::Dim, &places);
    }
    let told = culprit.finding.map(Finding::id);
    let others = seen.findings.iter().filter(|f| seen.path.has(f) && Some(f.id()) != told);
    for finding in others {
        paper.end();
        table::one(paper, finding, false);
    }
}

/// The same for a program; the shape is promised in docs/guide/json.md.
pub(super) fn document(seen: &Seen, culprit: &Culprit<'_>, steps: &[Step]) -> Value {
    let at = seen.at;
    let evidence: Vec<Value> = steps
        .iter()
        .map(|step| {
            let left = step.date.map(|end| (end.days_after(at) * 10.0).round() / 10.0 + 0.0);
            json!({
                "part": step.part, "verdict": step.say.as_str(), "places": step.places,
                "date": step.date.map(|date| date.to_string()), "days_left": left,
                "text": step.text, "finding": step.finding,
            })
        })
        .collect();
    let fix =
        culprit.fix.map(|fix| json!({ "class": fix.as_str(), "takes": fix.takes(), "what": fix.doc() }));
    let findings = seen.findings.iter().filter(|f| seen.path.has(f));
    json!({
        "host": seen.asked.text,
        "at": at.to_string(),
        "verdict": culprit.text,
        "explained": culprit.dated,
        "culprit": culprit.finding.map(|f| FindingDocument::of(f, at)),
        "fix": fix,
        "addresses": seen.heard.dns.as_ref().and_then(|dns| dns.as_ref().ok()),
        "dns_error": seen.heard.dns.as_ref().and_then(|dns| dns.as_ref().err()),
        "evidence": evidence,
        "findings": findings.map(|f| FindingDocument::of(f, at)).collect::<Vec<_>>(),
        "interrupted": seen.interrupted,
    })
}

//! `runbook NAME`: what a person has to do for a renewal, in order, a line each, to be printed; and what of it is done, by
//! what was seen. Nobody ticks anything off by hand.

use notafter_core::UnixTime;
use notafter_core::proof::PlaceProof;
use notafter_core::renew::{Renewal, TargetState};
use notafter_engine::renew::{ManagedTarget, expectation};
use serde_json::{Value, json};

use super::renew::Bench;
use super::{End, Usage, no_rows, runtime};
use crate::cli::{Format, Global, Runbook};
use crate::print;
use crate::print::paper::{Ink, Paper};

/// One line of it.
struct Line {
    /// `stage`, `do`, `verify`.
    what: &'static str,
    /// Which target it belongs to.
    target: String,
    text: String,
    done: bool,
    /// What was seen.
    said: String,
}

pub(crate) fn run(global: &Global, args: &Runbook) -> Result<End, Usage> {
    no_rows(global, "runbook")?;
    let bench = Bench::open(global, Some(&args.name))?;
    let managed = bench.find(&args.name)?.clone();
    // One that is open and was not issued yet has nothing that a person could install.
    let newest = bench.issued(&managed)?;
    let expected = newest.as_ref().and_then(expectation);
    let seen: Vec<(String, Vec<PlaceProof>)> = match &expected {
        Some(expected) => runtime()?.block_on(bench.look(&managed, expected)),
        None => Vec::new(),
    };
    let mut waves: Vec<&ManagedTarget> = managed.targets.iter().collect();
    waves.sort_by_key(|target| target.wave);
    let mut lines = Vec::new();
    for target in waves {
        let places =
            seen.iter().find(|(label, _)| *label == target.label).map(|(_, places)| places.as_slice());
        lines.extend(of_target(target, newest.as_ref(), places.unwrap_or(&[])));
    }
    let done = !lines.is_empty() && lines.iter().all(|line| line.done);
    print::out(text(global, &args.name, newest.as_ref(), &lines, done, bench.now()).as_bytes());
    Ok(if done { End::Done } else { End::Failed })
}

fn of_target(target: &ManagedTarget, renewal: Option<&Renewal>, places: &[PlaceProof]) -> Vec<Line> {
    let targets = renewal.map(|r| r.deployed.as_ref().map_or(&r.targets, |again| &again.targets));
    let work = targets.and_then(|all| all.iter().find(|t| t.label == target.label));
    let laid_out = work.is_some_and(|w| w.state == TargetState::Done);
    let proved = !places.is_empty() && places.iter().all(PlaceProof::is_settled);
    let line = |what, text: String, done, said: &str| Line {
        what,
        target: target.label.clone(),
        text,
        done,
        said: said.to_owned(),
    };
    let written: Vec<String> = target.deployer.places().iter().map(ToString::to_string).collect();
    let stage = match (target.deployer.by_hand().is_some(), written.is_empty()) {
        (true, _) => "lay the new pair out (notafter does)".to_owned(),
        (false, true) => "install and reload (notafter does)".to_owned(),
        (false, false) => format!("install {} and reload (notafter does)", written.join(", ")),
    };
    let mut out = vec![line("stage", stage, laid_out || proved, work.map_or("", |w| w.said.as_str()))];
    // A step leaves no trace of its own: it was done when what it is for was seen.
    out.extend(
        target.deployer.by_hand().into_iter().flatten().map(|step| line("do", step.clone(), proved, "")),
    );
    let unseen =
        target.prove.iter().chain(&written).filter(|p| !places.iter().any(|seen| seen.location == **p));
    out.extend(places.iter().map(|place| {
        match (&place.excused, place.proofs.iter().map(|p| p.at()).max()) {
            (Some(why), _) => line("verify", place.location.clone(), true, &format!("excused: {why}")),
            (None, Some(at)) => line("verify", place.location.clone(), true, &format!("seen in use at {at}")),
            (None, None) => line("verify", place.location.clone(), false, &place.last),
        }
    }));
    out.extend(unseen.map(|place| line("verify", place.clone(), false, "")));
    out
}

fn text(
    global: &Global,
    name: &str,
    renewal: Option<&Renewal>,
    lines: &[Line],
    done: bool,
    now: UnixTime,
) -> String {
    if global.format() != Format::Table {
        let rows: Vec<Value> = lines
            .iter()
            .map(|l| json!({"what": l.what, "target": l.target, "text": l.text, "done": l.done, "said": l.said}))
            .collect();
        let generation = renewal.map(|r| r.generation);
        return format!(
            "{}\n",
            json!({"name": name, "generation": generation, "at": now.to_string(), "done": done, "lines": rows})
        );
    }
    let mut paper = Paper::new(print::colours(global.color), print::width());
    let which = renewal
        .map_or_else(|| "nothing was issued yet".to_owned(), |r| format!("generation {}", r.generation));
    paper.line(Ink::Bold, &format!("{name}, {which}: what is to do, as seen at {now}"));
    let mut target = "";
    for (number, line) in (1..).zip(lines) {
        if line.target != target {
            target = &line.target;
            paper.line(Ink::Plain, "");
            paper.line(Ink::Bold, &format!("  {target}"));
        }
        let (ink, mark) = if line.done { (Ink::Green, "[x]") } else { (Ink::Plain, "[ ]") };
        paper.put(ink, &format!("  {mark} {number:>2}  {:<7} ", line.what)).line(Ink::Plain, &line.text);
        if !line.said.is_empty() {
            paper.paragraph(Ink::Dim, 18, &line.said);
        }
    }
    let end = match (renewal, done) {
        (None, _) => format!("notafter renew {name} begins it"),
        (_, true) if lines.iter().any(|l| l.said.starts_with("excused: ")) => {
            "done: seen in use at every place that is not excused".to_owned()
        }
        (_, true) => "done: seen in use at every place".to_owned(),
        (_, false) => {
            "what is left ticks itself off when it is seen; this command looks, and so does the server"
                .to_owned()
        }
    };
    paper.line(Ink::Plain, "");
    paper.line(Ink::Dim, &format!("  {end}"));
    paper.into_text()
}

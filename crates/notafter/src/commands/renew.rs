//! `renew`, `deploy`, `prove`, `rehearse`: what the server does by itself, done now and watched.
//!
//! On the same memory as the server, also while it runs: a renewal is held by one of them at a time. What it says at the
//! end is what was seen: "renewed" only when every place showed the new certificate.

use std::sync::Arc;
use std::time::Duration;

use notafter_core::clock::Clock;
use notafter_core::deployment::Check;
use notafter_core::joints::{Cx, Keep};
use notafter_core::proof::{Expectation, PlaceProof, Proof};
use notafter_core::query::nearest;
use notafter_core::renew::{Renewal, State, TargetState, TargetWork};
use notafter_core::{Fingerprint, UnixTime};
use notafter_engine::clock::SystemClock;
use notafter_engine::renew::{Managed, Pushed, Renewer, Tools, Went, expectation, note_revoked, places};
use notafter_store::alerts::AuditLine;
use notafter_store::{Store, StoreError};
use serde_json::{Value, json};

use super::scan::Memory;
use super::{End, Usage, no_rows, runtime, witness};
use crate::assemble::{self, explained};
use crate::cli::{Deploy, Format, Global, Prove, Rehearse, Renew};
use crate::config::plan::Sheet;
use crate::data::{Data, no_dumps, who};
use crate::home::Home;
use crate::keeping::{self, Yard};
use crate::print;
use crate::print::paper::{Ink, Paper};
use crate::proved;

/// Everything a command about certificates that are kept alive needs.
pub(crate) struct Bench {
    pub(super) data: Data,
    pub(super) store: Arc<Store>,
    pub(super) managed: Vec<Managed>,
    pub(super) tools: Tools,
    pub(super) cx: Cx,
    pub(super) sheet: Sheet,
    pub(super) keep: Arc<dyn Keep>,
}

impl Bench {
    /// For one certificate, or for all. A name that is not configured is said before anything is made.
    pub(crate) fn open(global: &Global, name: Option<&str>) -> Result<Self, Usage> {
        no_dumps();
        let clock = Arc::new(SystemClock::new());
        let now = clock.now();
        let sheet = assemble::read_sheet(global.config.as_deref())?;
        let names = keeping::checked(&sheet).map_err(|e| explained(&sheet, &e))?;
        if let Some(name) = name.filter(|name| !names.iter().any(|n| n == name)) {
            return Err(unknown(name, &names));
        }
        if names.is_empty() {
            return Err(Usage::new("no certificate is kept alive here")
                .hint("write [[issuer]] and [[certificate]] tables into notafter.toml"));
        }
        let data = Data::find(global, &sheet)?;
        let store = data.open(now)?;
        let keep = keeping::keep(&sheet, &data, &store).map_err(|e| assemble::explain_plain(&e))?;
        let yard = Yard { keep: Arc::clone(&keep), rehearsal: false };
        let managed = sheet.managed(&yard).map_err(|e| explained(&sheet, &e))?;
        let tools = keeping::tools(&sheet, &data, Arc::clone(&keep), &managed);
        let tools = tools.map_err(|e| explained(&sheet, &e))?;
        let cx = Cx::new(clock, assemble::vantage());
        Ok(Self { data, store, managed, tools, cx, sheet, keep })
    }

    pub(super) fn find(&self, name: &str) -> Result<&Managed, Usage> {
        let known = || self.managed.iter().map(|m| m.name.clone()).collect::<Vec<_>>();
        self.managed.iter().find(|m| m.name == name).ok_or_else(|| unknown(name, &known()))
    }

    /// May anything be issued and installed from here? With `take_over`, from now on.
    pub(super) fn may_act(&self, take_over: bool) -> Result<(), Usage> {
        let Err(why) = (self.tools.may)(&self.store) else { return Ok(()) };
        if !take_over {
            let (why, hint) = why.split_once("; ").unwrap_or((&why, "notafter renew NAME --take-over"));
            return Err(Usage::new(why).hint(hint));
        }
        Home::of(&self.data.database).take_over(&self.store).map_err(|e| self.data.explain(&e))?;
        let line = AuditLine {
            at: self.now(),
            who: who(),
            what: "taken-over".to_owned(),
            subject: "memory".to_owned(),
            detail: "renewals go on from here".to_owned(),
        };
        self.store.audit(&line).map_err(|e| self.data.explain(&e))
    }

    pub(super) fn renewer(&self) -> Renewer<'_> {
        Renewer { store: &self.store, tools: &self.tools, cx: &self.cx }
    }

    pub(super) fn now(&self) -> UnixTime {
        self.cx.clock.now()
    }

    /// Goes on until it is over, needs somebody, or has to wait for longer than `patience`.
    pub(super) async fn go_on(
        &self,
        managed: &Managed,
        patience: Duration,
    ) -> Result<Option<Renewal>, Usage> {
        self.go_on_with(managed, None, patience).await
    }

    /// The same with the installation beside a generation, where one is named.
    async fn go_on_with(
        &self,
        managed: &Managed,
        beside: Option<u64>,
        patience: Duration,
    ) -> Result<Option<Renewal>, Usage> {
        let begun = self.cx.clock.monotonic();
        let mut said = String::new();
        let mut held = false;
        loop {
            let went = match beside {
                Some(generation) => self.renewer().advance_deployment(managed, generation).await,
                None => self.renewer().advance(managed).await,
            };
            let went = went.map_err(|e| self.data.explain(&e))?;
            let renewal = match went {
                Went::Nothing => return self.newest(managed),
                Went::Held => {
                    if !std::mem::replace(&mut held, true) {
                        print::note("another process works on it");
                    }
                    None
                }
                Went::To(renewal) => Some(*renewal),
            };
            let left = patience.saturating_sub(self.cx.clock.monotonic().saturating_sub(begun));
            if let Some(renewal) = renewal {
                let now = self.now().0;
                let line = format!("{}: {}", renewal.state.as_str(), renewal.said);
                if line != said && !renewal.said.is_empty() {
                    print::note(&line);
                    said = line;
                }
                let waits = renewal.next.saturating_sub(now).max(0).unsigned_abs();
                if renewal.state.is_over() || renewal.state == State::WaitsForPerson || waits > left.as_secs()
                {
                    return Ok(Some(renewal));
                }
                // The wall clock says when, and this only sleeps: a wait of the world, not of the program.
                tokio::time::sleep(Duration::from_millis(200).max(Duration::from_secs(waits.min(5)))).await;
            } else if left.is_zero() {
                return self.newest(managed);
            } else {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }

    /// Looks at every place now, by target. Nothing is kept of it.
    pub(super) async fn look(
        &self,
        managed: &Managed,
        expected: &Expectation,
    ) -> Vec<(String, Vec<PlaceProof>)> {
        let mut out = Vec::new();
        for target in &managed.targets {
            let mut places = places(target);
            for place in places.iter_mut().filter(|p| p.excused.is_none()) {
                match self.tools.probe.probe(&self.cx, &place.location).await {
                    Ok(seen) => place.judge(expected, &seen, &self.cx.vantage),
                    Err(fault) => place.last = fault.to_string(),
                }
            }
            out.push((target.label.clone(), places));
        }
        out
    }

    /// Notes that a certificate was taken back, so that nobody installs it again.
    pub(super) fn note_revoked(&self, id: &Fingerprint) -> Result<(), StoreError> {
        note_revoked(&self.store, id, &self.now().to_string())
    }

    /// The newest that was issued.
    pub(super) fn issued(&self, managed: &Managed) -> Result<Option<Renewal>, Usage> {
        let kept = self.store.works_of(&managed.name, 100).map_err(|e| self.data.explain(&e))?;
        Ok(kept.into_iter().map(|w| w.renewal).find(|r| !r.chain.is_empty()))
    }

    /// What was seen of a renewal that is done is in the inventory from now on, whoever looks there next.
    async fn remember(&self, managed: &Managed, renewal: Option<&Renewal>) {
        if renewal.is_none_or(|renewal| renewal.state != State::Proved) {
            return;
        }
        let memory = Memory { sheet: &self.sheet, data: &self.data, store: &self.store };
        if let Err(why) = proved::look(managed, &self.cx, &memory).await {
            print::note(&format!("it is done, and the inventory does not have it yet: {}", why.message));
        }
    }

    pub(super) fn newest(&self, managed: &Managed) -> Result<Option<Renewal>, Usage> {
        let kept = self.store.works_of(&managed.name, 1).map_err(|e| self.data.explain(&e))?;
        Ok(kept.into_iter().next().map(|w| w.renewal))
    }
}

fn unknown(name: &str, known: &[String]) -> Usage {
    let hint = match (nearest(name, known.iter().map(String::as_str)), known.is_empty()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, true) => "write [[issuer]] and [[certificate]] tables into notafter.toml".to_owned(),
        (None, false) => format!("there are {}", known.join(", ")),
    };
    Usage::new(format!("no certificate is called `{}`", name.escape_debug())).hint(hint)
}

pub(crate) fn renew(global: &Global, args: &Renew) -> Result<End, Usage> {
    no_rows(global, "renew")?;
    if args.dry_run {
        return rehearse(global, &Rehearse { name: Some(args.name.clone()) });
    }
    let bench = Bench::open(global, Some(&args.name))?;
    bench.may_act(args.take_over)?;
    let managed = bench.find(&args.name)?.clone();
    runtime()?.block_on(async {
        let cause = format!("asked for by {}", who());
        let did = ask(&bench, &managed, args.anew, (&cause, None)).await?;
        let renewal = bench.go_on(&managed, args.wait()?).await?;
        bench.remember(&managed, renewal.as_ref()).await;
        Ok(finish(global, renewal.as_ref(), did))
    })
}

/// What was made of the wish for a new certificate.
const BEGUN: &str = "begun";
const WENT_ON: &str = "went-on";
const ANEW: &str = "begun-anew";

/// Begins a renewal, or has the open one go on at once. What of both was done is said, and returned. `before`: what it takes
/// the place of, where that is not what is in use.
pub(super) async fn ask(
    bench: &Bench,
    managed: &Managed,
    anew: bool,
    (cause, before): (&str, Option<&[u8]>),
) -> Result<&'static str, Usage> {
    let told = |e: StoreError| bench.data.explain(&e);
    let Some(open) = bench.newest(managed)?.filter(|r| !r.state.is_over()) else {
        return begin(bench, managed, (cause, before)).await;
    };
    let which = format!("generation {} ({})", open.generation, open.state.as_str().replace('-', " "));
    match if anew { Pushed::Other } else { bench.renewer().push(managed, cause).map_err(told)? } {
        Pushed::On => {
            print::note(&format!("{which} is open: it goes on now. --anew gives it up and begins another"));
            Ok(WENT_ON)
        }
        Pushed::NotBefore(at) => {
            let why = "a CA wants no question before, or it is not valid yet";
            print::note(&format!("{which} is open and goes on at {at}: {why}"));
            Ok(WENT_ON)
        }
        Pushed::Held => {
            print::note(&format!("{which} is open, and another process works on it: it goes on"));
            Ok(WENT_ON)
        }
        Pushed::Nothing => begin(bench, managed, (cause, before)).await,
        Pushed::Other => {
            let why = format!("a new one was asked for by {}", who());
            if !bench.renewer().abandon(managed, &why).await.map_err(told)? {
                return Err(Usage::new(format!("another process works on {which}, and it was not given up"))
                    .hint("wait until it is done, or stop that process"));
            }
            let because =
                if anew { "" } else { ", because it asks for something else than the configuration now" };
            print::note(&format!("{which} is given up{because}; a new one is begun"));
            begin(bench, managed, (cause, before)).await.map(|_| ANEW)
        }
    }
}

async fn begin(
    bench: &Bench,
    managed: &Managed,
    (cause, before): (&str, Option<&[u8]>),
) -> Result<&'static str, Usage> {
    let told = |e: StoreError| bench.data.explain(&e);
    let before = match before {
        Some(der) => Some(der.to_vec()),
        None => bench.renewer().current(managed).await.map_err(told)?,
    };
    let began = bench.renewer().begin(managed, cause, before.as_deref()).map_err(told)?;
    if !began {
        print::note("a renewal was begun by another process at this moment: it goes on");
    }
    Ok(if began { BEGUN } else { WENT_ON })
}

pub(crate) fn deploy(global: &Global, args: &Deploy) -> Result<End, Usage> {
    no_rows(global, "deploy")?;
    let bench = Bench::open(global, Some(&args.name))?;
    bench.may_act(false)?;
    let managed = bench.find(&args.name)?.clone();
    let name = &managed.name;
    if managed.targets.is_empty() {
        return Err(Usage::new(format!("`{name}` has no target: there is nowhere to install it"))
            .hint("write a [[certificate.target]] below it"));
    }
    let told = |e: StoreError| bench.data.explain(&e);
    let found = bench.renewer().deployable(&managed, args.generation).map_err(told)?;
    let Some(chosen) = found.renewal else {
        let renew = format!("notafter renew {name} issues one");
        return Err(match found.passed_over.first() {
            Some((_, why)) => Usage::new(format!("what was issued last for `{name}` {why}")).hint(renew),
            None => match args.generation {
                Some(n) => Usage::new(format!("no generation {n} was issued for `{name}`")).hint(renew),
                None => {
                    Usage::new(format!("nothing was issued for `{name}` that could be deployed")).hint(renew)
                }
            },
        });
    };
    for (generation, why) in &found.passed_over {
        print::note(&format!("generation {generation} {why}: it is passed over"));
    }
    let generation = chosen.generation;
    if let Some(open) = found.open {
        print::note(&format!(
            "generation {open} is open and was not issued yet: generation {generation} is installed meanwhile"
        ));
    }
    runtime()?.block_on(async {
        let cause = format!("asked for by {}", who());
        let busy = || {
            Usage::new(format!("another process works on generation {generation}: nothing was installed"))
                .hint("wait until it is done")
        };
        // One that is under way is installed by going on with it, and by nothing beside it.
        let beside = chosen.state.is_over();
        let put = match beside {
            true => bench.renewer().deploy_again(&managed, generation, &cause).map_err(told)?,
            false => matches!(
                bench.renewer().push(&managed, &cause).map_err(told)?,
                Pushed::On | Pushed::NotBefore(_)
            ),
        };
        if !put {
            return Err(busy());
        }
        let renewal = bench.go_on_with(&managed, beside.then_some(generation), args.wait()?).await?;
        bench.remember(&managed, renewal.as_ref()).await;
        Ok(finish(global, renewal.as_ref(), "deployed"))
    })
}

pub(crate) fn prove(global: &Global, args: &Prove) -> Result<End, Usage> {
    no_rows(global, "prove")?;
    if witness::is_file(&args.name) {
        return witness::prove(global, args);
    }
    if !args.places.is_empty() {
        return Err(Usage::new(format!("there is no file {}", args.name)).hint(
            "places are named with a file; those of a certificate of the configuration stand in `prove`",
        ));
    }
    let bench = Bench::open(global, Some(&args.name))?;
    let managed = bench.find(&args.name)?.clone();
    runtime()?.block_on(async {
        let issued = bench.issued(&managed)?;
        let Some((renewal, expected)) = issued.and_then(|r| expectation(&r).map(|e| (r, e))) else {
            return Err(Usage::new(format!("nothing was issued for `{}` yet", managed.name))
                .hint(format!("notafter renew {}", managed.name)));
        };
        let looked = bench.look(&managed, &expected).await;
        let places: Vec<PlaceProof> = looked.into_iter().flat_map(|(_, places)| places).collect();
        let proved = places.iter().all(PlaceProof::is_settled) && !places.is_empty();
        if global.format() == Format::Table {
            let mut paper = Paper::new(print::colours(global.color), print::width());
            paper.line(Ink::Bold, &format!("{}, generation {}", managed.name, renewal.generation));
            place_lines(&mut paper, &places);
            if places.is_empty() {
                paper.line(Ink::Yellow, "there is no place to look at: no target, and nothing in `prove`");
            }
            print::out(paper.into_text().as_bytes());
        } else {
            let document = json!({"name": managed.name, "generation": renewal.generation, "proved": proved, "places": places.iter().map(place_document).collect::<Vec<_>>()});
            print::out(format!("{document}\n").as_bytes());
        }
        Ok(if proved { End::Done } else { End::Failed })
    })
}

pub(crate) fn rehearse(global: &Global, args: &Rehearse) -> Result<End, Usage> {
    no_rows(global, "rehearse")?;
    let bench = Bench::open(global, args.name.as_deref())?;
    let chosen: Vec<Managed> = match &args.name {
        Some(name) => vec![bench.find(name)?.clone()],
        None => bench.managed.clone(),
    };
    let yard = Yard { keep: Arc::clone(&bench.keep), rehearsal: true };
    let staged = bench.sheet.managed(&yard).map_err(|e| explained(&bench.sheet, &e))?;
    let (mut all, mut documents) = (true, Vec::new());
    let mut paper = Paper::new(print::colours(global.color), print::width());
    // Renewals that go on elsewhere do not go on here, whatever the providers say.
    let home = match (bench.tools.may)(&bench.store) {
        Ok(()) => None,
        Err(why) => {
            let (why, hint) = why.split_once("; ").unwrap_or((&why, "notafter renew NAME --take-over"));
            Some(Check::fails("renewals from this memory", why, hint))
        }
    };
    for managed in &chosen {
        let stage = staged.iter().find(|s| s.name == managed.name);
        let mut checks = runtime()?.block_on(bench.renewer().rehearse(managed, stage));
        let at = bench.now();
        // What is kept is what was rehearsed: whose turn it is may be another's tomorrow.
        bench.renewer().note_rehearsal(managed, &checks, at).map_err(|e| bench.data.explain(&e))?;
        checks.extend(home.clone());
        let would = checks.iter().all(|c| c.works);
        all &= would;
        let answer = if would { "yes" } else { "no" };
        paper.put(Ink::Bold, &format!("{}: would renew today: ", managed.name));
        paper.line(if would { Ink::Green } else { Ink::Red }, answer);
        for check in &checks {
            let (ink, mark) = match (check.works, &check.hint) {
                (true, None) => (Ink::Green, "  ok   "),
                (true, Some(_)) => (Ink::Yellow, "  look "),
                (false, _) => (Ink::Red, "  no   "),
            };
            paper.put(ink, mark).line(Ink::Plain, &format!("{}: {}", check.what, check.because));
            if let Some(hint) = &check.hint {
                paper.paragraph(Ink::Dim, 7, &format!("hint: {hint}"));
            }
        }
        documents.push(
            json!({"name": managed.name, "at": at.to_string(), "would_renew": would, "checks": checks}),
        );
    }
    let text = match global.format() {
        Format::Table => paper.into_text(),
        _ => format!("{}\n", Value::Array(documents)),
    };
    print::out(text.as_bytes());
    Ok(if all { End::Done } else { End::Failed })
}

pub(super) fn place_lines(paper: &mut Paper, places: &[PlaceProof]) {
    for place in places {
        match (&place.excused, place.proofs.is_empty()) {
            (Some(why), _) => {
                paper.put(Ink::Dim, "  excused ").line(Ink::Plain, &format!("{}: {why}", place.location));
            }
            (None, false) => {
                let at = place.proofs.iter().map(|p| p.at()).max().unwrap_or(UnixTime(0));
                let key = if place.proofs.iter().all(|p| p.is_possession()) { ", holds the key" } else { "" };
                paper
                    .put(Ink::Green, "  proved  ")
                    .line(Ink::Plain, &format!("{} at {at}{key}", place.location));
            }
            (None, true) => {
                paper.put(Ink::Red, "  not     ").line(Ink::Plain, &place.location);
                if !place.last.is_empty() {
                    paper.paragraph(Ink::Dim, 10, &place.last);
                }
            }
        }
    }
}

fn word(state: TargetState) -> &'static str {
    match state {
        TargetState::Waits => "waits",
        TargetState::Begun => "begun",
        TargetState::Done => "installed",
        TargetState::Failed => "failed",
        TargetState::RolledBack => "put back",
    }
}

/// Says how it stands; proved is success, everything else is not. `did`: what was made of the wish.
pub(super) fn finish(global: &Global, renewal: Option<&Renewal>, did: &str) -> End {
    let Some(renewal) = renewal else { return End::Failed };
    if global.format() == Format::Table {
        let mut paper = Paper::new(print::colours(global.color), print::width());
        let headline = match renewal.state {
            State::Proved if renewal.targets.is_empty() => renewal.outcome().to_owned(),
            State::Proved => {
                format!("{}: {}", if did == "deployed" { did } else { "renewed" }, renewal.outcome())
            }
            State::WaitsForPerson => "stopped: somebody has to look".to_owned(),
            state if renewal.calls => {
                format!("fails, and goes on trying ({}): somebody has to look", state.as_str())
            }
            state => format!("not done yet: {}", state.as_str().replace('-', " ")),
        };
        let ink = if renewal.state == State::Proved { Ink::Green } else { Ink::Yellow };
        paper
            .put(Ink::Bold, &format!("{}, generation {}: ", renewal.name, renewal.generation))
            .line(ink, &headline);
        for change in &renewal.changes {
            paper.paragraph(Ink::Dim, 2, &format!("other than before: {change}"));
        }
        for target in &renewal.targets {
            paper.line(Ink::Plain, &format!("  {} {}", target.label, word(target.state)));
            if !target.said.is_empty() {
                paper.paragraph(Ink::Dim, 4, &target.said);
            }
            place_lines(&mut paper, &target.places);
        }
        // That it is installed nowhere stands in the headline.
        let in_headline = renewal.targets.is_empty() && renewal.state.is_over();
        if !renewal.said.is_empty() && !in_headline {
            paper.paragraph(Ink::Yellow, 2, &renewal.said);
        }
        print::out(paper.into_text().as_bytes());
    } else {
        let mut document = document(renewal);
        document["did"] = did.into();
        print::out(format!("{document}\n").as_bytes());
    }
    if renewal.state == State::Proved { End::Done } else { End::Failed }
}

/// A renewal for programs.
pub(crate) fn document(renewal: &Renewal) -> Value {
    json!({
        "name": renewal.name,
        "generation": renewal.generation,
        "state": renewal.state.as_str(),
        "cause": renewal.cause,
        "begun": UnixTime(renewal.begun).to_string(),
        "next": (renewal.next < i64::MAX).then(|| UnixTime(renewal.next).to_string()),
        "outcome": (renewal.state == State::Proved).then(|| renewal.outcome()),
        "calls": renewal.calls || renewal.state == State::WaitsForPerson,
        "said": renewal.said,
        "changes": renewal.changes,
        "targets": renewal.targets.iter().map(target_document).collect::<Vec<_>>(),
    })
}

fn target_document(target: &TargetWork) -> Value {
    json!({
        "name": target.label,
        "wave": target.wave,
        "state": word(target.state),
        "said": target.said,
        "places": target.places.iter().map(place_document).collect::<Vec<_>>(),
    })
}

pub(super) fn place_document(place: &PlaceProof) -> Value {
    let proof = |proof: &Proof| {
        json!({
            "at": proof.at().to_string(),
            "vantage": proof.vantage(),
            "location": proof.location(),
            "leaf": format!("sha256:{}", proof.leaf()),
            "possession": proof.is_possession(),
        })
    };
    json!({
        "location": place.location,
        "proved": place.excused.is_none() && place.is_settled(),
        "excused": place.excused,
        "proofs": place.proofs.iter().map(proof).collect::<Vec<_>>(),
        "said": place.last,
    })
}

//! Renewals: what is kept alive here, what each waits for, and where the last one was seen in use.
//!
//! Shows what the memory holds; nothing is begun or pushed from here: that needs somebody on the machine, and the page
//! says the command. What a CA without an API sent may be brought to the page of the renewal that waits for it. What
//! other programs renew stands with their certificates.

use askama::Template;
use notafter_core::renew::{Renewal, State, TargetState, TargetWork, due};
use notafter_core::{Fingerprint, UnixTime};
use notafter_pki::certificate::Certificate;
use notafter_store::StoreError;
use notafter_store::alerts::AuditLine;
use notafter_store::works::{Work, subject};

use super::frame::{House, Look, frame};
use super::{Event, Frame, Name, Stamp, asset_href, filters, place_href};
use crate::{replies, words};

#[derive(Clone, Debug, Template)]
#[template(path = "renewals.html")]
pub(crate) struct RenewalsView {
    pub(crate) frame: Frame,
    pub(crate) headline: String,
    pub(crate) subline: String,
    /// the page of one
    pub(crate) alone: bool,
    pub(crate) renewals: Vec<RenewalItem>,
    /// "" when all are shown
    pub(crate) more: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct RenewalItem {
    pub(crate) name: String,
    /// the page about this one alone
    pub(crate) href: String,
    /// what it is for, where that is not its name
    pub(crate) names: String,
    pub(crate) state: String,
    pub(crate) tone: String,
    /// `ends 4 Mar 2027`, with the certificate; "" when none was issued yet
    pub(crate) ends: String,
    pub(crate) asset_href: String,
    pub(crate) next: Stamp,
    pub(crate) cause: String,
    /// what went wrong last or is waited for; "" for nothing
    pub(crate) said: String,
    /// `seen in use at 3 of 3 places`
    pub(crate) proved: String,
    pub(crate) command: String,
    /// of one alone: the request for a CA without an API, whose answer is waited for; "" where none is
    pub(crate) request: String,
    /// where its answer is sent
    pub(crate) reply_to: String,
    pub(crate) reply_command: String,
    /// of one alone
    pub(crate) targets: Vec<TargetItem>,
    pub(crate) history: Vec<Event>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct TargetItem {
    pub(crate) label: String,
    pub(crate) state: String,
    pub(crate) tone: String,
    pub(crate) said: String,
    pub(crate) places: Vec<ProofItem>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ProofItem {
    pub(crate) name: Name,
    pub(crate) href: String,
    pub(crate) words: String,
    pub(crate) tone: String,
    pub(crate) at: Stamp,
}

/// So many are shown of all; those that want somebody first.
const SHOWN: usize = 200;
/// So many lines of one's history.
const HISTORY: usize = 50;

/// What the page is made from.
pub(crate) struct Gathered {
    pub(crate) works: Vec<Work>,
    /// Configured ones of which there is no renewal yet.
    pub(crate) fresh: Vec<String>,
    pub(crate) history: Vec<AuditLine>,
    /// Is one alone asked for?
    pub(crate) alone: bool,
}

/// Asks for all of them.
pub(crate) fn gather(look: &Look) -> Result<Gathered, StoreError> {
    let mut works = look.store.works()?;
    let managed = look.setup.keeping.as_deref().map_or(&[][..], |keeping| &keeping.managed);
    let fresh = managed.iter().filter(|m| works.iter().all(|w| w.renewal.name != m.name));
    let fresh = fresh.map(|m| m.name.clone()).collect();
    works.sort_by_key(|work| (urgency(&work.renewal), work.renewal.name.clone()));
    Ok(Gathered { works, fresh, history: Vec::new(), alone: false })
}

/// Asks for one; `None`: there is none of this name.
pub(crate) fn gather_one(look: &Look, name: &str) -> Result<Option<Gathered>, StoreError> {
    let works = look.store.works_of(name, 1)?;
    let lines = look.store.audit_lines(Some(&subject(name)), None, HISTORY)?;
    let history: Vec<_> = lines.into_iter().map(|(_, line)| line).collect();
    let managed = look.setup.keeping.as_deref().map_or(&[][..], |keeping| &keeping.managed);
    let fresh: Vec<String> = match works.is_empty() && managed.iter().any(|m| m.name == name) {
        true => vec![name.to_owned()],
        false => Vec::new(),
    };
    let known = !works.is_empty() || !fresh.is_empty();
    Ok(known.then_some(Gathered { works, fresh, history, alone: true }))
}

/// Who wants a person first, then whoever is at work, then the rest.
fn urgency(renewal: &Renewal) -> u8 {
    match renewal.state {
        State::WaitsForPerson => 0,
        _ if renewal.calls && !renewal.state.is_over() => 0,
        _ if renewal.failures > 0 && !renewal.state.is_over() => 1,
        State::Proved => 3,
        State::Abandoned => 4,
        _ => 2,
    }
}

/// The page.
pub(crate) fn view(look: &Look, house: &House, found: &Gathered) -> RenewalsView {
    let (works, fresh) = (&found.works, &found.fresh);
    let all = works.len() + fresh.len();
    let count = |wanted: u8| works.iter().filter(|w| urgency(&w.renewal) == wanted).count() as u64;
    let (stuck, failing, at_work) = (count(0), count(1), count(2));
    let mut renewals: Vec<RenewalItem> =
        works.iter().take(SHOWN).map(|work| item(look, work, found)).collect();
    let room = SHOWN.saturating_sub(renewals.len());
    renewals.extend(fresh.iter().take(room).map(|name| untouched(name, found)));
    let title = match (found.alone, renewals.first()) {
        (true, Some(one)) => one.name.clone(),
        _ => "Renewals".to_owned(),
    };
    let headline = match (found.alone, all) {
        (true, _) => title.clone(),
        (_, 0) => "Nothing is kept alive from here".to_owned(),
        (_, n) => {
            let kept = words::sentence(&words::number_word(n as u64));
            let are = if n == 1 { "certificate is" } else { "certificates are" };
            match (stuck, failing) {
                (0, 0) => format!("{kept} {are} kept alive."),
                (0, f) => format!("{kept} {are} kept alive; {} failing.", words::number_word(f)),
                (1, _) => format!("{kept} {are} kept alive; one waits for a person."),
                (s, _) => format!("{kept} {are} kept alive; {} wait for a person.", words::number_word(s)),
            }
        }
    };
    let subline = match (found.alone, all, at_work) {
        (true, ..) => String::new(),
        (_, 0, _) => {
            "notafter adopt writes the tables for a server that is here already; it shows them first."
                .to_owned()
        }
        (_, _, 0) => "Renewed is said of what was seen in use at every place, of nothing else.".to_owned(),
        (_, _, n) => format!(
            "{} under way. Renewed is said of what was seen in use at every place, of nothing else.",
            words::sentence(&words::number_word(n))
        ),
    };
    RenewalsView {
        frame: frame(look, house, &title, "Renewals"),
        headline,
        subline,
        alone: found.alone,
        renewals,
        more: match all.saturating_sub(SHOWN) {
            0 => String::new(),
            n => format!("{} more are not shown; notafter renew lists all.", words::number(n as u64)),
        },
    }
}

fn untouched(name: &str, found: &Gathered) -> RenewalItem {
    RenewalItem {
        name: words::clean(name),
        href: href(name),
        state: "nothing was done yet".to_owned(),
        tone: "plain".to_owned(),
        next: said_stamp("when it is due"),
        proved: "what is in use now was not issued from here".to_owned(),
        command: format!("notafter renew {}", words::shell(name)),
        history: history(&found.history),
        ..RenewalItem::default()
    }
}

fn href(name: &str) -> String {
    format!("/renewals/{}", words::encode(name))
}

fn item(look: &Look, work: &Work, found: &Gathered) -> RenewalItem {
    let renewal = &work.renewal;
    let leaf = renewal.chain.first();
    let certificate = leaf.and_then(|der| Certificate::parse(der).ok());
    let ends = certificate.as_ref().and_then(Certificate::not_after);
    let names = certificate.as_ref().map(|c| notafter_core::review::names_of(c)).unwrap_or_default();
    let names: Vec<String> = names.iter().map(|n| words::clean(&n.to_string())).collect();
    let held = look.setup.keeping.as_deref().and_then(|keeping| keeping.held(&renewal.name));
    let (state, tone) = state_words(renewal);
    let next = match renewal.state {
        State::Proved => {
            let begins = certificate.as_ref().and_then(Certificate::not_before);
            begins.zip(ends).map_or_else(Stamp::never, |(begin, end)| {
                let at = due(&renewal.name, begin, end, None).at;
                let words = format!("about {}, or when its CA says", words::day(at, look.now));
                Stamp { words, iso: at.to_string() }
            })
        }
        State::WaitsForPerson => said_stamp("when somebody has seen to it"),
        State::Abandoned => said_stamp("nothing"),
        _ if renewal.next > look.now.0 => Stamp::coming(UnixTime(renewal.next), look.now),
        _ => Stamp { words: "now".to_owned(), iso: look.now.to_string() },
    };
    RenewalItem {
        name: words::clean(&renewal.name),
        href: href(&renewal.name),
        names: if names.len() == 1 && names[0] == renewal.name { String::new() } else { names.join(", ") },
        state: state.to_owned(),
        tone: tone.to_owned(),
        ends: ends.map(|end| format!("ends {}", words::date(end))).unwrap_or_default(),
        asset_href: leaf.map(|der| asset_href(&Fingerprint::of(der))).unwrap_or_default(),
        next,
        cause: words::clean(&renewal.cause),
        said: held.map_or_else(|| words::said(&words::clean(&renewal.said)), |why| words::clean(&why)),
        proved: proved_words(renewal),
        command: format!("notafter renew {}", words::shell(&renewal.name)),
        request: match found.alone {
            true => replies::request(&look.setup, renewal).unwrap_or_default(),
            false => String::new(),
        },
        reply_to: format!("{}/reply", href(&renewal.name)),
        reply_command: format!("notafter issuer reply {} FILE", words::shell(&renewal.name)),
        targets: match found.alone {
            true => renewal.targets.iter().map(|t| target(t, look.now)).collect(),
            false => Vec::new(),
        },
        history: history(&found.history),
    }
}

/// Words in the place of a time.
fn said_stamp(words: &str) -> Stamp {
    Stamp { words: words.to_owned(), iso: String::new() }
}

fn state_words(renewal: &Renewal) -> (&'static str, &'static str) {
    let failing = renewal.failures > 0;
    match renewal.state {
        State::WaitsForIssuer if failing => ("the issuer fails; tried again", "soon"),
        State::WaitsForIssuer => ("being issued", "plain"),
        State::WaitsForWindow => ("issued, waits for a time to install it", "plain"),
        State::WaitsForTargets if failing => ("installing fails; tried again", "soon"),
        State::WaitsForTargets => ("being installed", "plain"),
        State::WaitsForProof => ("installed, not yet seen in use everywhere", "soon"),
        State::WaitsForRevocation => ("in use; the one before is being revoked", "proven"),
        State::WaitsForPerson => ("waits for a person", "now"),
        State::Proved if renewal.targets.is_empty() => ("issued, installed nowhere", "plain"),
        State::Proved => ("seen in use", "proven"),
        State::Abandoned => ("given up", "stale"),
    }
}

fn proved_words(renewal: &Renewal) -> String {
    let places = || renewal.targets.iter().flat_map(|t| &t.places);
    let all = places().count() as u64;
    let proved = places().filter(|p| !p.proofs.is_empty()).count() as u64;
    let excused = places().filter(|p| p.excused.is_some()).count() as u64;
    let mut out = match (all, renewal.state) {
        (0, State::Proved) => "issued; installed nowhere from here".to_owned(),
        (0, _) => return String::new(),
        (all, _) => format!("seen in use at {} of {}", words::number(proved), words::counted(all, "place")),
    };
    if excused > 0 {
        out.push_str(&format!(", {} excused by name", words::number(excused)));
    }
    out
}

fn target(target: &TargetWork, now: UnixTime) -> TargetItem {
    let (state, tone) = match target.state {
        TargetState::Waits => ("not touched yet", "plain"),
        TargetState::Begun => ("being written", "plain"),
        TargetState::Done if target.is_proved() => ("seen in use", "proven"),
        TargetState::Done => ("written and reloaded", "soon"),
        TargetState::Failed => ("failed; the one before is in force", "now"),
        TargetState::RolledBack => ("put back to the one before", "now"),
    };
    let place = |place: &notafter_core::proof::PlaceProof| {
        let (words, tone, at) = match (&place.excused, place.proofs.first()) {
            (Some(why), _) => (format!("excused: {}", words::clean(why)), "stale", Stamp::never()),
            (None, Some(proof)) => {
                let how = if proof.is_possession() { "shown, key proved" } else { "read" };
                (how.to_owned(), "proven", Stamp::past(Some(proof.at()), now))
            }
            (None, None) if place.last.is_empty() => {
                ("not looked at yet".to_owned(), "plain", Stamp::never())
            }
            // Where it is, stands beside it.
            (None, None) => {
                let what = place.last.strip_prefix(&place.location).unwrap_or(&place.last).trim_start();
                (words::clean(what), "now", Stamp::never())
            }
        };
        ProofItem {
            name: Name::of(&place.location),
            href: place_href(&place.location),
            words,
            tone: tone.to_owned(),
            at,
        }
    };
    TargetItem {
        label: words::clean(&target.label),
        state: state.to_owned(),
        tone: tone.to_owned(),
        said: words::clean(&target.said),
        places: target.places.iter().map(place).collect(),
    }
}

/// The trail in words: what was proved stands as JSON in it, for machines.
fn history(lines: &[AuditLine]) -> Vec<Event> {
    let event = |line: &AuditLine| {
        let what = line.what.replace('-', " ");
        let proof =
            (line.what == "proved").then(|| serde_json::from_str::<serde_json::Value>(&line.detail).ok());
        let detail = match proof.flatten() {
            Some(proof) => proof["location"].as_str().unwrap_or_default().to_owned(),
            None => line.detail.clone(),
        };
        let bad = ["failed", "stopped", "rolled-back"].iter().any(|word| line.what.contains(word));
        Event {
            words: words::sentence(words::clean(&format!("{what}: {detail}")).trim_end_matches(": ")),
            at: Stamp::moment(line.at),
            by: words::clean(&line.who),
            tone: if bad { "now".to_owned() } else { String::new() },
        }
    };
    lines.iter().map(event).collect()
}

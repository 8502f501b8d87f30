//! A renewal: persisted work on one configured certificate, its states named by what they wait for.
//!
//! Values and pure decisions: when to begin, when to install, what comes next. Who does it is `engine/renew.rs`, who keeps
//! it `store`. Nothing here is believed: a state says what was done, a [`PlaceProof`] what was seen. What any program says of
//! what it keeps alive is `upkeep.rs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use notafter_pki::certificate::Certificate;
use notafter_pki::time::DAY;

use crate::UnixTime;
use crate::deployment::Receipt;
use crate::fault::Retry;
use crate::issuance::{KeyType, Request, Suggested, Ticket, hexed_list};
use crate::proof::{PlaceProof, is_served};

mod windows;

pub use windows::{NextWindow, install_at, order_at};

/// After so many failures in a row another issuer is asked, or somebody is called.
pub const FAILURES: u32 = 5;
/// The longest wait before something is tried again, in seconds.
const WAIT_MOST: i64 = 6 * 3_600;
/// An issuer that issued something else than was asked for is asked again after so long, in seconds; the next time after the
/// longest wait.
const WRONG_WAIT: i64 = 3_600;
/// So often it may do that: public CAs count what they issued, whether it was right or not (five of the same names a week).
const WRONG_MOST: u32 = 3;

/// One renewal, from the decision to the proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Renewal {
    /// The certificate's name in the configuration.
    pub name: String,
    /// Counts the certificates under this name, from 1.
    pub generation: u64,
    /// Why it was begun.
    pub cause: String,
    /// When.
    pub begun: i64,
    /// What it waits for.
    pub state: State,
    /// Failures since something last went well.
    #[serde(default)]
    pub failures: u32,
    /// Nothing is done before this instant.
    pub next: i64,
    /// What it waits for or what went wrong, in words.
    #[serde(default)]
    pub said: String,
    /// Who issues it; once it is issued, who did.
    #[serde(default)]
    pub issuer: IssuedBy,
    /// Failures of this issuer since it was turned to.
    #[serde(default)]
    pub tries: u32,
    /// So often all issuers failed, one after the other.
    #[serde(default)]
    pub rounds: u32,
    /// Issuers that said when not to come before, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub barred: BTreeMap<String, i64>,
    /// Issuers that issued something else than was asked for, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub wrong: BTreeMap<String, Wrong>,
    /// By which configuration they did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub wrong_under: String,
    /// May one that failed in this round succeed without anybody's doing?
    #[serde(default)]
    pub may_pass: bool,
    /// Is somebody called? It goes on by itself all the same.
    #[serde(default)]
    pub calls: bool,
    /// A person asked for it now: it waits for no window.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub now: bool,
    /// What is asked; the key it is signed with lies under [`Renewal::key_name`].
    #[serde(default)]
    pub request: Option<Request>,
    /// The kind of that key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyType>,
    /// By which configuration it goes on: what is asked, of whom, and where it goes. Empty in rows of before.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub configured: String,
    /// How far the issuer has come.
    #[serde(default)]
    pub ticket: Option<Ticket>,
    /// What was issued and passed the review: the leaf first, no root.
    #[serde(default, with = "hexed_list")]
    pub chain: Vec<Vec<u8>>,
    /// In what it differs from the one before.
    #[serde(default)]
    pub changes: Vec<String>,
    /// The leaf before (DER), where one was known.
    #[serde(default, with = "hexed_list")]
    pub before: Vec<Vec<u8>>,
    /// Where it goes.
    #[serde(default)]
    pub targets: Vec<TargetWork>,
    /// The grace of slow reloaders ended then for all targets: in rows of before, where no target has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prove_until: Option<i64>,
    /// The last installation of it by hand after all was over. What stands above stays as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed: Option<Box<Deployment>>,
}

/// An issuer issued something else than was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrong {
    /// So often.
    pub times: u32,
    /// It is not asked before this instant; the end of time: before somebody pushes, or the configuration is another one.
    pub until: i64,
}

impl Wrong {
    /// Is it not asked again?
    pub fn is_final(self) -> bool {
        self.until == i64::MAX
    }
}

/// Who issues or issued: the name in the configuration, whose order may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IssuedBy {
    /// By name.
    Name(String),
    /// In rows of before: which of the certificate's issuers, counted from 0.
    Position(usize),
}

impl Default for IssuedBy {
    fn default() -> Self {
        Self::Position(0)
    }
}

impl IssuedBy {
    /// Which of these issuers it is, in the order of the configuration. `None`: it is not among them any more.
    pub fn among<'a>(&self, mut issuers: impl Iterator<Item = &'a str>) -> Option<usize> {
        match self {
            Self::Name(name) => issuers.position(|issuer| issuer == name),
            Self::Position(n) => issuers.nth(*n).map(|_| *n),
        }
    }
}

/// What was issued is installed again because a person said so: beside the renewal, which is over and stays so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Why it was begun.
    pub cause: String,
    /// When.
    pub begun: i64,
    /// What it waits for.
    pub state: State,
    /// Failures since something last went well.
    pub failures: u32,
    /// Nothing is done before this instant.
    pub next: i64,
    /// What it waits for or what went wrong, in words.
    pub said: String,
    /// Is somebody called?
    #[serde(default)]
    pub calls: bool,
    /// Where it goes.
    pub targets: Vec<TargetWork>,
}

/// What comes after an issuer failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The same one again, later.
    Later,
    /// The next one, now.
    Next,
    /// All have failed: another round begins, after a wait.
    Round,
    /// None may be asked again before somebody pushes, or the configuration is another one.
    Stopped,
}

/// What a renewal waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The issuer: a challenge, an approval, the certificate.
    WaitsForIssuer,
    /// A time in which something may be changed, or the certificate's own beginning.
    WaitsForWindow,
    /// The targets: writing, checking, reloading.
    WaitsForTargets,
    /// Being seen in use everywhere.
    WaitsForProof,
    /// Somebody who decides: it went wrong in a way that trying again does not mend.
    WaitsForPerson,
    /// The issuer again: the one before is to be revoked, now that nothing uses it.
    WaitsForRevocation,
    /// Seen in use at every place that was not excused by name. Without any target: issued, and installed nowhere.
    Proved,
    /// Given up, by a person or because a newer one took over.
    Abandoned,
}

impl State {
    /// Is nothing more done?
    pub fn is_over(self) -> bool {
        matches!(self, Self::Proved | Self::Abandoned)
    }

    /// The word in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WaitsForIssuer => "waits-for-issuer",
            Self::WaitsForWindow => "waits-for-window",
            Self::WaitsForTargets => "waits-for-targets",
            Self::WaitsForProof => "waits-for-proof",
            Self::WaitsForRevocation => "waits-for-revocation",
            Self::WaitsForPerson => "waits-for-person",
            Self::Proved => "proved",
            Self::Abandoned => "abandoned",
        }
    }
}

/// One target of a renewal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetWork {
    /// What the configuration calls it, or its kind and number.
    pub label: String,
    /// Those of a lower wave come first and are proved before this one is touched.
    #[serde(default)]
    pub wave: u32,
    /// Where it stands.
    pub state: TargetState,
    /// Changes when the configuration has something else written, or elsewhere. Empty: not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub made_from: String,
    /// What it replaced.
    #[serde(default)]
    pub receipt: Option<Receipt>,
    /// Where it has to be seen.
    #[serde(default)]
    pub places: Vec<PlaceProof>,
    /// What went wrong last.
    #[serde(default)]
    pub said: String,
    /// Its grace ends then: a reload may be slow, and a person slower.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prove_until: Option<i64>,
}

impl TargetWork {
    /// Was it seen in use at every place of this target?
    pub fn is_proved(&self) -> bool {
        self.state == TargetState::Done && self.places.iter().all(PlaceProof::is_settled)
    }

    /// Is it, as far as is known, still the target of another look at the configuration?
    pub fn is_still(&self, other: &Self) -> bool {
        let known = !self.made_from.is_empty() && !other.made_from.is_empty();
        self.label == other.label && !(known && self.made_from != other.made_from)
    }

    /// Did one of its places show it before it was installed? Then nothing was replaced, and nothing is put back.
    pub fn was_in_force(&self) -> bool {
        self.places.iter().any(|place| place.stood.as_ref().is_some_and(|stood| stood.showed))
    }
}

/// Where a target stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetState {
    /// Nothing was done.
    Waits,
    /// Somebody began to write: how far is seen by looking.
    Begun,
    /// Written, checked, reloaded.
    Done,
    /// It could not be done; what was there before is in force.
    Failed,
    /// What was there before was put back.
    RolledBack,
}

impl Renewal {
    /// A new one.
    pub fn begin(name: &str, generation: u64, cause: impl Into<String>, now: UnixTime) -> Self {
        Self {
            name: name.to_owned(),
            generation,
            cause: cause.into(),
            begun: now.0,
            state: State::WaitsForIssuer,
            failures: 0,
            next: now.0,
            said: String::new(),
            issuer: IssuedBy::default(),
            tries: 0,
            rounds: 0,
            barred: BTreeMap::new(),
            wrong: BTreeMap::new(),
            wrong_under: String::new(),
            may_pass: false,
            calls: false,
            now: false,
            request: None,
            key: None,
            configured: String::new(),
            ticket: None,
            chain: Vec::new(),
            changes: Vec::new(),
            before: Vec::new(),
            targets: Vec::new(),
            prove_until: None,
            deployed: None,
        }
    }

    /// Under which name its private key is kept.
    pub fn key_name(&self) -> String {
        format!("key/{}/{}", self.name, self.generation)
    }

    /// The wave that is to be worked on: the lowest with a target that was not seen in use everywhere. `None`: all were.
    pub fn wave(&self) -> Option<u32> {
        self.targets.iter().filter(|t| !t.is_proved()).map(|t| t.wave).min()
    }

    /// What it came to, in words: what was seen, and no more than that.
    pub fn outcome(&self) -> &'static str {
        if self.targets.is_empty() {
            return "issued; installed nowhere";
        }
        let mut places = self.targets.iter().flat_map(|t| &t.places);
        if places.all(|place| place.proofs.is_empty()) {
            return "installed; every place is excused, and none was looked at";
        }
        if !self.targets.iter().any(|t| is_served(&t.places)) {
            return "installed; its files hold it; no server was looked at";
        }
        "seen in use at every place"
    }

    /// Is the grace of a target over?
    pub fn is_late(&self, target: &TargetWork, now: UnixTime) -> bool {
        self.grace_of(target).is_none_or(|until| until <= now.0)
    }

    /// When the grace of a target ends.
    pub fn grace_of(&self, target: &TargetWork) -> Option<i64> {
        target.prove_until.or(self.prove_until)
    }

    /// Something went well.
    pub fn went_well(&mut self, now: UnixTime) {
        self.failures = 0;
        self.calls = false;
        self.next = now.0;
        self.said.clear();
    }

    /// It goes on. What failed before still counts: only the end of what was tried says that it works now.
    pub fn went_on(&mut self, now: UnixTime) {
        self.next = now.0;
        self.said.clear();
    }

    /// Something did not, and it is tried again: soon at first, then less and less often, every six hours at last, but
    /// never later than a sixth of what the one before has left.
    pub fn again_later(&mut self, said: impl Into<String>, now: UnixTime) {
        self.waits_after(self.failures.saturating_add(1), said.into(), now);
    }

    /// The wait after the n-th failure of something.
    fn waits_after(&mut self, n: u32, said: String, now: UnixTime) {
        self.failures = self.failures.saturating_add(1);
        let wait = 30_i64.saturating_mul(1 << n.min(12).saturating_sub(1));
        // Not all at once after an outage of the CA; the same each time, so that a restart changes nothing.
        let spread = i64::try_from(hash(&self.name, u64::from(n)) % 20).unwrap_or(0);
        let wait = match wait + wait * spread / 100 {
            long if long >= WAIT_MOST => WAIT_MOST - WAIT_MOST * spread / 100,
            wait => wait,
        };
        self.next = now.0 + wait.min(self.most(now).unwrap_or(i64::MAX));
        self.said = said;
    }

    /// The same, where the other side said when to come again.
    pub fn again(&mut self, retry: Retry, said: impl Into<String>, now: UnixTime) {
        self.again_later(said, now);
        if let Retry::At(at) = retry {
            self.next = at.0.max(now.0 + 1);
        }
    }

    /// No wait is longer: a sixth of what the one before has left. One that has ended is an outage already, and a CA is not
    /// asked more often than once an hour for it, or than in a hundredth of a life that is shorter than that.
    fn most(&self, now: UnixTime) -> Option<i64> {
        let before = Certificate::parse(self.before.first()?).ok()?;
        let (begin, end) = (before.not_before()?, before.not_after()?);
        let least = (end.0.saturating_sub(begin.0) / 100).clamp(5, 3_600);
        Some((end.0.saturating_sub(now.0) / 6).max(least))
    }

    /// Its issuer failed: who is asked next, and when. All are asked in their order, over and over; one that says when to
    /// come again is not asked before. `issuers`: their names.
    pub fn issuer_failed(&mut self, issuers: &[&str], retry: Retry, said: String, now: UnixTime) -> Turn {
        let current = self.issuer.among(issuers.iter().copied()).unwrap_or(0);
        let Some(name) = issuers.get(current) else {
            self.again_later(said, now);
            return Turn::Later;
        };
        self.tries = self.tries.saturating_add(1);
        self.barred.retain(|other, until| other != name && *until > now.0);
        if let Retry::At(at) = retry {
            self.barred.insert((*name).to_owned(), at.0);
        }
        self.may_pass |= retry != Retry::Never;
        let stays = match retry {
            Retry::Never => false,
            Retry::At(_) => issuers.len() == 1,
            Retry::Backoff => self.tries <= FAILURES && self.rounds == 0,
        };
        if stays {
            // Each issuer is given its time, whoever failed before it.
            self.waits_after(self.tries, said, now);
            if let Retry::At(at) = retry {
                self.next = at.0.max(now.0 + 1);
            }
            return Turn::Later;
        }
        self.pass_on(issuers, current, said, now)
    }

    /// Its issuer issued something else than was asked for. That counts with a public CA as if it had been right, so that it is
    /// asked again once or twice, after long waits, and then not any more. `under`: the configuration.
    pub fn issued_wrongly(&mut self, issuers: &[&str], said: String, under: &str, now: UnixTime) -> Turn {
        let current = self.issuer.among(issuers.iter().copied()).unwrap_or(0);
        let Some(name) = issuers.get(current) else {
            self.again_later(said, now);
            return Turn::Later;
        };
        let most = self.most(now).unwrap_or(i64::MAX);
        let wrong = self.wrong.entry((*name).to_owned()).or_default();
        wrong.times = wrong.times.saturating_add(1);
        wrong.until = match wrong.times {
            1 => now.0 + WRONG_WAIT.min(most),
            n if n < WRONG_MOST => now.0 + WAIT_MOST.min(most),
            _ => i64::MAX,
        };
        self.may_pass |= !wrong.is_final();
        under.clone_into(&mut self.wrong_under);
        self.barred.retain(|_, until| *until > now.0);
        self.pass_on(issuers, current, said, now)
    }

    /// Is an issuer passed over that may issue what is asked for now that the configuration is another one?
    pub fn was_wrong_under_another(&self, configuration: &str) -> bool {
        !self.wrong.is_empty() && self.wrong_under != configuration
    }

    /// Was it begun, or pushed last, by another configuration than this one?
    pub fn was_configured_otherwise(&self, configuration: &str) -> bool {
        !self.configured.is_empty() && self.configured != configuration
    }

    /// Whoever issued something wrong is asked as if nothing had been.
    pub fn forgive(&mut self) {
        self.wrong.clear();
        self.wrong_under.clear();
    }

    /// When an issuer may be asked.
    fn free_at(&self, issuer: &str) -> i64 {
        let barred = self.barred.get(issuer).copied().unwrap_or(0);
        self.wrong.get(issuer).map_or(0, |wrong| wrong.until).max(barred)
    }

    /// The next of the issuers that may be asked, or another round of them.
    fn pass_on(&mut self, issuers: &[&str], current: usize, said: String, now: UnixTime) -> Turn {
        self.tries = 0;
        if let Some(next) = issuers.iter().skip(current + 1).find(|n| self.free_at(n) <= now.0) {
            self.issuer = IssuedBy::Name((*next).to_owned());
            (self.next, self.said) = (now.0, said);
            return Turn::Next;
        }
        self.rounds = self.rounds.saturating_add(1);
        self.waits_after(self.rounds.saturating_add(FAILURES), said, now);
        if !std::mem::take(&mut self.may_pass) {
            // Until somebody changes something all will say the same; who does need not know of us.
            self.next = now.0 + self.most(now).unwrap_or(WAIT_MOST).min(WAIT_MOST);
        }
        let first = issuers.iter().find(|n| self.free_at(n) <= self.next);
        let soonest = || issuers.iter().min_by_key(|n| self.free_at(n));
        if let Some(next) = first.or_else(soonest) {
            self.next = self.next.max(self.free_at(next));
            self.issuer = IssuedBy::Name((*next).to_owned());
        }
        if self.next == i64::MAX { Turn::Stopped } else { Turn::Round }
    }

    /// Nobody is asked before the instant that he named, whoever wishes it: the first of these issuers that may be asked
    /// now, else the one that may be soonest.
    pub fn heed(&mut self, issuers: &[&str], now: UnixTime) {
        let until = |name: &str| self.barred.get(name).copied().unwrap_or(0).max(now.0);
        let current = self.issuer.among(issuers.iter().copied()).and_then(|n| issuers.get(n));
        if current.is_none_or(|name| until(name) <= now.0) {
            return;
        }
        let Some(next) = issuers.iter().min_by_key(|name| until(name)) else { return };
        self.next = until(next);
        if current != Some(next) {
            (self.issuer, self.ticket) = (IssuedBy::Name((*next).to_owned()), None);
        }
    }

    /// It was issued: whoever failed before does not matter any more.
    pub fn was_issued(&mut self, now: UnixTime) {
        self.went_well(now);
        (self.tries, self.rounds, self.may_pass) = (0, 0, false);
        self.barred.clear();
        self.forgive();
    }

    /// Somebody is called, and it goes on. `true`: this is news.
    pub fn call(&mut self) -> bool {
        !std::mem::replace(&mut self.calls, true)
    }

    /// Nobody but a person can help.
    pub fn needs_somebody(&mut self, said: impl Into<String>) {
        self.state = State::WaitsForPerson;
        self.said = said.into();
        self.next = i64::MAX;
    }
}

/// When a certificate is to be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// From then on.
    pub at: UnixTime,
    /// Who or what says so.
    pub because: String,
}

/// Decides when: in the window that the CA suggests (RFC 9773 section 4.2, a time in it that is the same for every replica
/// and different for every certificate), else with a third of the lifetime left, or half of it below ten days.
pub fn due(name: &str, not_before: UnixTime, not_after: UnixTime, suggested: Option<&Suggested>) -> Due {
    let place = hash(name, not_after.0.unsigned_abs());
    if let Some(window) = suggested.filter(|w| w.start < w.end && w.start < not_after.0) {
        let width = window.end.saturating_sub(window.start).unsigned_abs();
        let at = window.start + i64::try_from(place % width).unwrap_or(0);
        // A window may reach to the end itself. What happens between an order and its proof has to fit before it, and so has
        // another try: a sixth of the lifetime is kept for that, as far as the window lets us.
        let last = not_after.0 - not_after.0.saturating_sub(not_before.0).max(0) / 6;
        let at = at.min(last.max(window.start));
        let why = window.explanation.as_ref().map(|url| format!(", see {url}")).unwrap_or_default();
        return Due { at: UnixTime(at), because: format!("its CA suggests it{why}") };
    }
    let lifetime = not_after.0.saturating_sub(not_before.0).max(0);
    let (left, because) = if lifetime < 10 * DAY {
        (lifetime / 2, "half of its lifetime is over")
    } else {
        (lifetime / 3, "a third of its lifetime is left")
    };
    // A thirtieth of the lifetime is for spreading: what was made in one night need not be renewed in one.
    let spread = i64::try_from(place % 1_000).unwrap_or(0) * (lifetime / 30) / 1_000;
    Due { at: UnixTime(not_after.0 - left - spread), because: because.to_owned() }
}

/// FNV-1a: spreads, and hides nothing.
fn hash(text: &str, salt: u64) -> u64 {
    let bytes = text.bytes().chain(salt.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when() {
        let (begin, end) = (UnixTime(0), UnixTime(90 * DAY));
        let plain = due("a", begin, end, None).at.0;
        assert!((57 * DAY..=60 * DAY).contains(&plain), "{plain}");
        assert_ne!(plain, due("b", begin, end, None).at.0, "spread");
        assert_eq!(plain, due("a", begin, end, None).at.0, "and the same each time");
        let short = due("a", begin, UnixTime(120), None).at.0;
        assert!((54..=60).contains(&short), "{short}");
        let window = Suggested { start: 1_000, end: 2_000, explanation: None, ask_again: 0 };
        let told = due("a", begin, end, Some(&window)).at.0;
        assert!((1_000..2_000).contains(&told));
        // A window up to the end leaves no time; one that begins late is the CA's word.
        let ends = |name: &str, start: i64| {
            let window = Suggested { start, end: end.0, ..window.clone() };
            due(name, begin, end, Some(&window)).at.0
        };
        assert_eq!(ends("a", end.0), plain, "a window after the end is none");
        let last = end.0 - (end.0 - begin.0) / 6;
        assert!((0..200).all(|n| ends(&format!("c{n}"), begin.0) <= last));
        assert_eq!(ends("a", last + 10), last + 10);
        // A window that is none says nothing.
        let none = Suggested { end: 1_000, ..window };
        assert_eq!(due("a", begin, end, Some(&none)).at.0, plain);
    }

    #[test]
    fn again_less_and_less_often() {
        let mut renewal = Renewal::begin("a", 1, "asked for", UnixTime(0));
        let mut waits = Vec::new();
        for _ in 0..14 {
            renewal.again_later("no", UnixTime(0));
            waits.push(renewal.next);
        }
        assert!(waits[0] >= 30 && waits[0] < 40, "{waits:?}");
        assert!(waits.iter().all(|w| *w <= 6 * 3_600), "{waits:?}");
        assert!(waits[13] >= 4 * 3_600);
        let text = serde_json::to_string(&renewal).expect("JSON");
        assert_eq!(serde_json::from_str::<Renewal>(&text).expect("read"), renewal);
    }

    /// Who is asked, when, over so many failures.
    fn asked(issuers: &[&str], answers: &[Retry]) -> Vec<(String, i64, Turn)> {
        let mut renewal = Renewal::begin("a", 1, "asked for", UnixTime(0));
        let one = |retry: &Retry| {
            let now = UnixTime(renewal.next);
            let turn = renewal.issuer_failed(issuers, *retry, "no".into(), now);
            let at = renewal.issuer.among(issuers.iter().copied()).expect("one of them");
            (issuers[at].to_owned(), renewal.next - now.0, turn)
        };
        answers.iter().map(one).collect()
    }

    #[test]
    fn all_issuers_are_asked_in_their_order_over_and_over() {
        let never = [Retry::Never; 5];
        let names: Vec<String> = asked(&["a", "b", "c"], &never).into_iter().map(|(n, ..)| n).collect();
        assert_eq!(names, ["b", "c", "a", "b", "c"]);
        let went = asked(&["a", "b"], &never);
        assert_eq!((went[0].1, went[0].2, went[1].2), (0, Turn::Next, Turn::Round));
        // What nothing but a change mends is asked for seldom.
        assert_eq!(went[1].1, WAIT_MOST);
        assert_eq!(asked(&["a"], &never)[0], ("a".to_owned(), WAIT_MOST, Turn::Round));
        // What may pass is given time, and then the next one its turn; after a round one try each, with growing waits.
        let went = asked(&["a", "b"], &[Retry::Backoff; 16]);
        let turns: Vec<Turn> = went.iter().map(|(.., turn)| *turn).collect();
        assert!(turns[..5].iter().all(|t| *t == Turn::Later) && turns[5] == Turn::Next, "{turns:?}");
        assert!(turns[6..11].iter().all(|t| *t == Turn::Later) && turns[11] == Turn::Round, "{turns:?}");
        assert_eq!(turns[12..], [Turn::Next, Turn::Round, Turn::Next, Turn::Round]);
        assert!(went[15].1 > went[13].1 && went[13].1 > went[11].1, "{went:?}");
        assert!(went[..11].iter().all(|(_, wait, _)| *wait < 600) && went[11].1 < 1_200, "{went:?}");
    }

    #[test]
    fn one_that_says_when_is_not_asked_before_and_the_next_one_meanwhile() {
        let went = asked(&["a", "b"], &[Retry::At(UnixTime(50_000)), Retry::Never, Retry::Never]);
        assert_eq!(went[0], ("b".to_owned(), 0, Turn::Next));
        // A round is over while the first is still barred: the other one, after a wait.
        assert_eq!((went[1].0.as_str(), went[1].2), ("b", Turn::Round));
        assert_eq!(asked(&["a"], &[Retry::At(UnixTime(700))]), [("a".to_owned(), 700, Turn::Later)]);
        let went = asked(&["a", "b"], &[Retry::At(UnixTime(90_000)), Retry::At(UnixTime(70_000))]);
        assert_eq!(went[1], ("b".to_owned(), 70_000, Turn::Round));
    }

    #[test]
    fn whoever_issues_something_else_is_asked_three_times_and_not_again() {
        let mut renewal = Renewal::begin("a", 1, "asked for", UnixTime(0));
        let mut went = Vec::new();
        let mut wrongly = |renewal: &mut Renewal, issuers: &[&str]| {
            let now = UnixTime(renewal.next);
            let turn = renewal.issued_wrongly(issuers, "no".into(), "one", now);
            let at = renewal.issuer.among(issuers.iter().copied()).expect("one of them");
            went.push((issuers[at].to_owned(), renewal.next.saturating_sub(now.0), turn));
        };
        for _ in 0..3 {
            wrongly(&mut renewal, &["a"]);
        }
        assert_eq!(went[0], ("a".to_owned(), WRONG_WAIT, Turn::Round));
        assert_eq!((went[1].1, went[1].2), (WAIT_MOST, Turn::Round));
        assert_eq!((renewal.next, went[2].2), (i64::MAX, Turn::Stopped));
        assert!(renewal.was_wrong_under_another("two") && !renewal.was_wrong_under_another("one"));
        // The next one is asked at once, and the one that is given up is passed over for good.
        let mut renewal = Renewal::begin("a", 1, "asked for", UnixTime(0));
        let both = ["a", "b"];
        let mut asked = vec!["a".to_owned()];
        for _ in 0..12 {
            let now = UnixTime(renewal.next);
            let turn = match renewal.issuer.among(both.into_iter()) {
                Some(0) => renewal.issued_wrongly(&both, "no".into(), "one", now),
                _ => renewal.issuer_failed(&both, Retry::Never, "no".into(), now),
            };
            assert_ne!(turn, Turn::Stopped, "the other one is still asked");
            let at = renewal.issuer.among(both.into_iter()).expect("one of them");
            asked.push(both[at].to_owned());
        }
        assert_eq!(asked.iter().filter(|name| *name == "a").count(), 3, "{asked:?}");
        assert!(renewal.next < i64::MAX && renewal.wrong["a"].is_final());
        renewal.was_issued(UnixTime(0));
        assert!(renewal.wrong.is_empty());
    }

    #[test]
    fn rows_of_before_are_read() {
        let renewal = Renewal::begin("a", 1, "asked for", UnixTime(0));
        let mut value = serde_json::to_value(&renewal).expect("JSON");
        let object = value.as_object_mut().expect("an object");
        object.insert("issuer".into(), 1.into());
        for new in ["tries", "rounds", "may_pass", "calls"] {
            object.remove(new);
        }
        let read: Renewal = serde_json::from_value(value).expect("read");
        assert_eq!(read.issuer.among(["a", "b"].into_iter()), Some(1));
        assert_eq!(IssuedBy::Name("b".into()).among(["b", "a"].into_iter()), Some(0));
        assert_eq!(IssuedBy::Name("c".into()).among(["b", "a"].into_iter()), None);
    }
}

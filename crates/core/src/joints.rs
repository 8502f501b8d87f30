//! Every extension trait, on one page.
//!
//! A provider implements one of these and stands in one explicit list. The engine knows providers only
//! by these traits. `Queue` joins when the first of its kind does.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::deployment::{Bundle, Check, Receipt, Trial};
use crate::dossier::Dossier;
use crate::fault::{Fault, FaultKind, Retry};
use crate::finding::Kind;
use crate::issuance::{
    Challenge, ChallengeType, Cleanup, Identifier, Issued, Progress as Issuance, Request, RevocationReason,
    Suggested, Ticket,
};
use crate::location::Location;
use crate::notice::Notice;
use crate::observation::Observation;
use crate::scan::{Progress, Scan};
use crate::{UnixTime, finding::Finding};

/// A boxed future: joints stand behind `Box<dyn ..>`, where a bare `async fn` cannot.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What every provider is given for one run.
#[derive(Clone)]
pub struct Cx {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where we look from (`this host`, `agent dc2`).
    pub vantage: Arc<str>,
    /// Counters that others watch while the run goes on.
    pub progress: Arc<Progress>,
    /// What lets a run go on where an earlier one was broken off.
    pub resume: Arc<dyn Resume>,
}

impl Cx {
    /// A context without a past.
    pub fn new(clock: Arc<dyn Clock>, vantage: Arc<str>) -> Self {
        Self { clock, vantage, progress: Arc::default(), resume: Arc::new(Fresh) }
    }
}

/// How far a run has come, kept where a crash does not reach it. Source-specific bytes, small.
pub trait Resume: Send + Sync {
    /// Where to go on; `None`: from the beginning.
    fn cursor(&self) -> Option<Vec<u8>>;
    /// Everything up to here was seen and put into the sink.
    fn reached(&self, cursor: Vec<u8>);

    /// What earlier runs of the same source left for later ones, finished or not. `None`: nothing.
    fn note(&self) -> Option<Vec<u8>> {
        None
    }

    /// Leaves a note for later runs, once everything that was put before is kept.
    fn leave(&self, note: Vec<u8>) {
        let _ = note;
    }
}

/// Every run is the first.
pub struct Fresh;

impl Resume for Fresh {
    fn cursor(&self) -> Option<Vec<u8>> {
        None
    }

    fn reached(&self, _cursor: Vec<u8>) {}
}

/// Tells the outside world that this server is alive: a dead man's switch rings when it stops.
pub trait Pulse: Send + Sync {
    /// One beat.
    fn beat<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<(), Fault>>;
}

/// Yields observations: a network range, a folder tree, this host's own ports.
///
/// To cancel is to drop the future: the source stops its threads and joins them. What was already put
/// into the sink is kept.
pub trait Source: Send + Sync {
    /// Looks once at everything this source is for. What cannot be seen is put as `Seen::Failed`, never
    /// swallowed; an `Err` means that the source as a whole could not run.
    fn discover<'a>(&'a self, cx: &'a Cx, out: Arc<dyn Sink>) -> BoxFuture<'a, Result<Scan, Fault>>;
}

impl<S: Source + ?Sized> Source for Arc<S> {
    fn discover<'a>(&'a self, cx: &'a Cx, out: Arc<dyn Sink>) -> BoxFuture<'a, Result<Scan, Fault>> {
        (**self).discover(cx, out)
    }
}

/// Takes observations. Called from many threads; may block to slow its callers down.
pub trait Sink: Send + Sync {
    /// Takes one observation. What was put is kept, whatever happens to the caller.
    fn put(&self, observation: Observation);
}

/// Carries a message to a person. One notifier is one configured channel; `to` is the address behind the
/// colon of `NOTIFIER:ADDRESS`, where the owner gave one.
///
/// Ok means that the other side took it over, nothing more. The message may be carried twice: it is the
/// same message by its `id`. A notifier never retries on its own; it says in the [`Fault`] whether and
/// when that makes sense.
pub trait Notifier: Send + Sync {
    /// Is it for messages of this kind? A pager takes no weekly summary: nothing would ever close it.
    fn carries(&self, event: crate::notice::Event) -> bool {
        let _ = event;
        true
    }

    /// Does it open something for each alert that a later message has to close? Then every alert's messages go to
    /// it one by one, however many there are, and its end is told even where people are spared it.
    fn keeps_incidents(&self) -> bool {
        !self.carries(crate::notice::Event::Digest)
    }

    /// Carries one message.
    fn notify<'a>(
        &'a self,
        cx: &'a Cx,
        to: Option<&'a str>,
        notice: &'a Notice,
    ) -> BoxFuture<'a, Result<(), Fault>>;
}

/// What a provider must remember between runs: an account, a serial number, a ledger of rates. Small values by name,
/// each provider's under its own prefix; what is secret is sealed before it is kept.
pub trait Keep: Send + Sync {
    /// What is kept under this name.
    ///
    /// # Errors
    /// The memory's.
    fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, Fault>;

    /// Keeps it, if what is there is still `expected` (`None`: nothing). `false`: it is not; somebody else was here.
    ///
    /// # Errors
    /// The memory's.
    fn keep(&self, name: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, Fault>;
}

/// Hands out certificates: an ACME server, an own CA, a person who pastes a reply.
///
/// Every call makes at most one effect outside that cannot be repeated, and the ticket it returns is kept before the
/// next: whoever is killed in between asks again with the last ticket, and the issuer looks at how things stand rather
/// than do it twice.
pub trait Issuer: Send + Sync {
    /// Begins. Nothing is ordered twice for the same request: an unfinished order that nobody kept ends by itself.
    fn begin<'a>(&'a self, cx: &'a Cx, request: &'a Request) -> BoxFuture<'a, Result<Ticket, Fault>>;

    /// Goes one step on.
    fn advance<'a>(
        &'a self,
        cx: &'a Cx,
        request: &'a Request,
        ticket: &'a Ticket,
        solver: &'a dyn Solver,
    ) -> BoxFuture<'a, Result<Issuance, Fault>>;

    /// Gives up: takes back what was shown. Never fails in a way that matters to the renewal.
    fn abandon<'a>(
        &'a self,
        cx: &'a Cx,
        ticket: &'a Ticket,
        solver: &'a dyn Solver,
    ) -> BoxFuture<'a, Result<(), Fault>>;

    /// When the issuer wants a certificate replaced (RFC 9773); `None`: it does not say. `issuer` is the certificate
    /// of the CA behind the leaf.
    fn suggested<'a>(
        &'a self,
        cx: &'a Cx,
        leaf: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Suggested>, Fault>> {
        let _ = (cx, leaf);
        Box::pin(async { Ok(None) })
    }

    /// What its clock shows, where it has one: a date on which something seems due is held against it. `None`: none.
    fn time<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Option<UnixTime>, Fault>> {
        let _ = cx;
        Box::pin(async { Ok(None) })
    }

    /// Revokes a certificate of its own. Revoked already is done.
    fn revoke<'a>(
        &'a self,
        cx: &'a Cx,
        leaf: &'a [u8],
        reason: RevocationReason,
    ) -> BoxFuture<'a, Result<(), Fault>>;

    /// Does what has to be done beside issuing: a revocation list is made anew before the last one lapses. Called at
    /// least once an hour; the same however often. When it wants to be called again sooner or later than that; `None`: it
    /// does not matter.
    fn tend<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Option<UnixTime>, Fault>> {
        let _ = cx;
        Box::pin(async { Ok(None) })
    }

    /// Would it work today? Looks, and orders nothing. `solver`: what would prove the names; it is asked for nothing but its kind.
    fn rehearse<'a>(
        &'a self,
        cx: &'a Cx,
        request: &'a Request,
        solver: &'a dyn Solver,
    ) -> BoxFuture<'a, Vec<Check>>;

    /// Does a person bring what it issues?
    fn is_by_hand(&self) -> bool {
        false
    }

    /// What a person brought for a request: it is looked at, and what fits is kept until [`Issuer::advance`] hands it out.
    /// What does not is refused, with the reason, and changes nothing.
    fn reply<'a>(
        &'a self,
        cx: &'a Cx,
        request: &'a Request,
        octets: &'a [u8],
    ) -> BoxFuture<'a, Result<Issued, Fault>> {
        let _ = (cx, request, octets);
        Box::pin(async {
            Err(Fault::new(FaultKind::Invalid, "nobody brings what this issuer issues").retry(Retry::Never))
        })
    }
}

/// Shows what proves control of a name.
pub trait Solver: Send + Sync {
    /// Which challenge it solves.
    fn kind(&self) -> ChallengeType;

    /// Shows it. Shown already is done.
    fn present<'a>(&'a self, cx: &'a Cx, challenge: &'a Challenge) -> BoxFuture<'a, Result<Cleanup, Fault>>;

    /// Can those who will ask see it already? Asked before the CA is: a failed validation costs a rate limit.
    fn is_visible<'a>(&'a self, cx: &'a Cx, challenge: &'a Challenge) -> BoxFuture<'a, Result<bool, Fault>>;

    /// How long it may take from showing it until others can see it, as configured. Zero: at once, as with a file.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    /// Takes it back, and nothing else. Gone already is done.
    fn clean_up<'a>(&'a self, cx: &'a Cx, cleanup: &'a Cleanup) -> BoxFuture<'a, Result<(), Fault>>;

    /// Would it work today for this name? May show and take back something of no meaning.
    fn rehearse<'a>(&'a self, cx: &'a Cx, name: &'a Identifier) -> BoxFuture<'a, Vec<Check>>;
}

/// Puts a key and its certificates where they are used.
///
/// `deploy` is told a generation and is the same however often it is called with it: it looks at what is there, does what
/// is missing, and ends with the receipt of the first time. What is in place already is not written again, but checked and
/// reloaded all the same: whoever asks again did not see it in use. Between any two of its effects on a disk the old pair or the
/// new one is in force, never halves of both.
pub trait Deployer: Send + Sync {
    /// The places it writes, to be read again when it is to be proved.
    fn places(&self) -> Vec<Location>;

    /// What opens one of them where it takes a password, each to be tried. Read anew at each call, as for each writing: one
    /// that was changed meanwhile holds. Whoever is given them answers for the copies.
    fn opens(&self, place: &str) -> Vec<String> {
        let _ = place;
        Vec::new()
    }

    /// Installs, checks and reloads. When the check fails, what was there before is in force again and the fault says so.
    fn deploy<'a>(&'a self, cx: &'a Cx, bundle: &'a Bundle) -> BoxFuture<'a, Result<Receipt, Fault>>;

    /// Puts back what was there before, checks and reloads. Back already is done.
    fn roll_back<'a>(&'a self, cx: &'a Cx, receipt: &'a Receipt) -> BoxFuture<'a, Result<(), Fault>>;

    /// Would it work today? Writes to a scratch target beside the real one at most.
    fn rehearse<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Vec<Check>>;

    /// Writes a pair that nothing uses into a scratch folder, in the layout of the target, reads it back, and removes the folder.
    /// Nothing in use is touched. A target that has no files of its own says nothing.
    fn try_on<'a>(&'a self, cx: &'a Cx, trial: &'a Trial<'a>) -> BoxFuture<'a, Vec<Check>> {
        let _ = (cx, trial);
        Box::pin(async { Vec::new() })
    }

    /// What a person does with what it lays out, in order; `None`: nobody has to do anything.
    fn by_hand(&self) -> Option<&[String]> {
        None
    }
}

/// Looks at one place, now.
pub trait Probe: Send + Sync {
    /// One observation for each thing that the place is: every address of a name, both types of key.
    fn probe<'a>(&'a self, cx: &'a Cx, location: &'a str) -> BoxFuture<'a, Result<Vec<Observation>, Fault>>;
}

/// A dated, cited check. Pure: it never queries, it is handed everything in the dossier.
pub trait Rule: Send + Sync {
    /// Which kind it finds, and where it is written down.
    fn info(&self) -> &RuleInfo;
    /// Judges one subject at one instant.
    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict;
}

/// What a rule is, for the reference page.
#[derive(Debug, Clone, Copy)]
pub struct RuleInfo {
    /// The kind of its findings.
    pub kind: Kind,
    /// One line: what it means when it speaks.
    pub doc: &'static str,
    /// Where the rule comes from: an RFC section, a ballot, a recorded outage.
    pub citation: &'static str,
}

/// The answer of a rule. Not applicable, not yet in force, passed and found are four different things.
/// `holds_until` is the next instant at which time alone could change the answer; `None` means never.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The rule does not speak about such a subject.
    NotApplicable,
    /// The rule will speak about it from this instant on.
    NotYetEffective {
        /// When it takes effect.
        from: UnixTime,
    },
    /// The subject is as it should be.
    Pass {
        /// When to look again.
        holds_until: Option<UnixTime>,
    },
    /// Something is wrong.
    Found {
        /// What.
        findings: Vec<Finding>,
        /// When to look again.
        holds_until: Option<UnixTime>,
    },
}

impl Verdict {
    /// One finding, which time alone will not change before `holds_until`.
    pub fn found(finding: Finding, holds_until: Option<UnixTime>) -> Self {
        Self::Found { findings: vec![finding], holds_until }
    }

    /// When time alone could change this answer.
    pub fn holds_until(&self) -> Option<UnixTime> {
        match self {
            Self::NotApplicable => None,
            Self::NotYetEffective { from } => Some(*from),
            Self::Pass { holds_until } | Self::Found { holds_until, .. } => *holds_until,
        }
    }
}

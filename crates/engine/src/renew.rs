//! Goes on with a renewal, as far as it can go now: issue, review, wait for a window, install in waves, prove, revoke.
//!
//! ```text
//! hold → [ step → keep ]… → let go
//! ```
//!
//! What is about to be done stands in the memory before it is done, and what was done right after. Whoever goes on after a
//! crash asks the issuer and the deployers how things stand; both are the same however often they are asked. If the
//! memory does not take a step (somebody else has the renewal now), nothing more is done. Which certificates there are,
//! and what their issuers and targets are called, it is told; it knows no provider. The states are worked on in
//! `renew/issue.rs`, `renew/install.rs` and `renew/close.rs`; what a person asks for in between is `renew/hands.rs`, what one
//! brings `renew/reply.rs`.

mod advice;
mod close;
pub mod guard;
mod hands;
mod hold;
mod install;
mod issue;
pub mod pass;
pub mod rehearsal;
mod reply;

use std::collections::BTreeMap;
use std::sync::Arc;

use notafter_core::calendar::Calendar;
use notafter_core::deployment::Key;
use notafter_core::fault::Fault;
use notafter_core::issuance::{Identifier, KeyType, Profile};
use notafter_core::joints::{Cx, Deployer, Issuer, Keep, Probe, Solver};
use notafter_core::proof::Proof;
use notafter_core::renew::{NextWindow, Renewal, State};
use notafter_store::works::{Note, Work};
use notafter_store::{Store, StoreError};

pub use close::{is_revoked, note_revoked};
pub use hands::{Deployable, Pushed};
pub use install::{expectation, places};
pub use issue::issuer_of;
pub use reply::{Awaited, Replied, awaited};

/// Whoever holds a renewal is given up after so many seconds without a word: longer than any one step takes.
const HOLD_S: i64 = 900;
/// So many steps in one go: an issuer that never gets anywhere does not keep us.
const STEPS_MAX: usize = 500;

/// A certificate that we keep alive, as configured.
#[derive(Clone)]
pub struct Managed {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub names: Vec<Identifier>,
    /// Its key.
    pub key: KeyType,
    /// What is asked of the issuer beyond that.
    pub profile: Option<Profile>,
    /// See [`notafter_core::issuance::Request::preferred_chain`].
    pub preferred_chain: Option<String>,
    /// See [`notafter_core::issuance::Request::lifetime_s`].
    pub lifetime_s: Option<i64>,
    /// Who issues it, by the name in the configuration: the first that can.
    pub issuers: Issuers,
    /// How control is proved.
    pub solver: Arc<dyn Solver>,
    /// Where it goes.
    pub targets: Vec<ManagedTarget>,
    /// When it may be installed, asked anew each time. None: at any time.
    pub windows: Option<Arc<NextWindow>>,
    /// Is the one before revoked, once nothing uses it?
    pub revoke_old: bool,
    /// How often it is rehearsed, in seconds; `None`: by hand alone.
    pub rehearse_s: Option<i64>,
    /// Changes when the configuration says something else of what is asked, or of whom.
    pub made_from: String,
    /// Changes when it says something else of where it goes, or when.
    pub goes_to: String,
}

impl Managed {
    /// All that is configured of it, in a text that tells two apart.
    fn configured(&self) -> String {
        format!("{} {}", self.made_from, self.goes_to)
    }
}

/// Issuers with their names in the configuration, in the order in which they are asked.
pub type Issuers = Vec<(String, Arc<dyn Issuer>)>;

/// One place that we may write, and where it is seen.
#[derive(Clone)]
pub struct ManagedTarget {
    /// What it is called.
    pub label: String,
    /// Lower ones first; the next wave only when all of this one is proved.
    pub wave: u32,
    /// Who writes it.
    pub deployer: Arc<dyn Deployer>,
    /// Where it has to be seen in use, besides the files that are written.
    pub prove: Vec<String>,
    /// Places that need not show it, and why.
    pub excused: Vec<(String, String)>,
    /// So long its places may take to show the new one, in seconds.
    pub grace_s: i64,
    /// Changes when the configuration has something else written, or elsewhere.
    pub made_from: String,
}

/// Makes a key and a request signed with it (PKCS#10); with a key, a request only.
pub type MakeRequest =
    Arc<dyn Fn(&[Identifier], KeyType, Option<&Key>) -> Result<(Key, Vec<u8>), Fault> + Send + Sync>;

/// Says whether this memory is the one that renews; why not, with what to do.
pub type MayAct = Arc<dyn Fn(&Store) -> Result<(), String> + Send + Sync>;

/// What a renewal is done with.
#[derive(Clone)]
pub struct Tools {
    /// Where keys and accounts are kept, sealed.
    pub keep: Arc<dyn Keep>,
    /// What looks at places.
    pub probe: Arc<dyn Probe>,
    /// What makes keys.
    pub make: MakeRequest,
    /// When nothing is changed.
    pub calendar: Calendar,
    /// Who we are among those that share a memory.
    pub holder: String,
    /// Is this holder of the same machine, and no more?
    pub is_gone: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    /// May anything be issued and installed from here by itself? `Err`: why not.
    pub may: MayAct,
}

/// What came of going on.
#[derive(Debug)]
pub enum Went {
    /// So it stands now.
    To(Box<Renewal>),
    /// Somebody else works on it.
    Held,
    /// There is none that is open.
    Nothing,
}

/// Goes on with renewals.
pub struct Renewer<'a> {
    /// The memory.
    pub store: &'a Store,
    /// With what.
    pub tools: &'a Tools,
    /// For providers.
    pub cx: &'a Cx,
}

/// What a step did, for the trail.
struct Did {
    what: &'static str,
    detail: String,
    proofs: Vec<Proof>,
}

impl Did {
    fn of(what: &'static str, detail: impl Into<String>) -> Self {
        Self { what, detail: detail.into(), proofs: Vec::new() }
    }

    /// Nothing that a person has to read later.
    fn silently() -> Self {
        Self::of("", "")
    }
}

/// A renewal on the bench: whatever is done to it is kept at once.
struct Bench<'a> {
    renewer: &'a Renewer<'a>,
    work: Work,
    /// The row itself, where what is worked on is an installation beside it.
    beside: Option<Renewal>,
}

/// The memory did not take it: it is somebody else's now, or the memory failed.
enum Stopped {
    Lost,
    Store(StoreError),
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Bench<'_> {
    fn keep(&mut self, did: &Did) -> Result<(), Stopped> {
        let now = self.renewer.cx.clock.now();
        let note = Note { what: did.what, detail: did.detail.clone(), proofs: did.proofs.clone() };
        let holder = (self.renewer.tools.holder.as_str(), now.plus(HOLD_S));
        let driven = &self.work.renewal;
        let whole = self.beside.as_ref().map(|row| hands::with_beside(row, driven));
        let row = whole.as_ref().unwrap_or(driven);
        let version = self.renewer.store.put_work(row, self.work.version, holder, &note, now)?;
        self.work.version = version.ok_or(Stopped::Lost)?;
        Ok(())
    }
}

impl Renewer<'_> {
    /// Begins a renewal, unless one is open. `false`: one is.
    ///
    /// # Errors
    /// The store's.
    pub fn begin(&self, managed: &Managed, cause: &str, before: Option<&[u8]>) -> Result<bool, StoreError> {
        let now = self.cx.clock.now();
        let newest = self.store.works_of(&managed.name, 1)?.into_iter().next();
        let (generation, barred) =
            newest.map_or((1, BTreeMap::new()), |w| (w.renewal.generation + 1, w.renewal.barred));
        let mut renewal = Renewal::begin(&managed.name, generation, cause, now);
        renewal.before = before.map(<[u8]>::to_vec).into_iter().collect();
        renewal.configured = managed.configured();
        // A limit is the CA's, and not that of the renewal that met it.
        renewal.barred = barred.into_iter().filter(|(_, until)| *until > now.0).collect();
        let names: Vec<&str> = managed.issuers.iter().map(|(name, _)| name.as_str()).collect();
        renewal.heed(&names, now);
        let note = Note { what: "renewal-begun", detail: cause.to_owned(), proofs: Vec::new() };
        self.store.begin_work(&renewal, &note, now)
    }

    /// Gives up the newest renewal, because somebody said so or a newer one takes over.
    ///
    /// # Errors
    /// The store's.
    pub async fn abandon(&self, managed: &Managed, why: &str) -> Result<bool, StoreError> {
        let newest = self.store.works_of(&managed.name, 1)?.into_iter().next();
        let Some(open) = newest.filter(|w| !w.renewal.state.is_over()) else { return Ok(false) };
        let now = self.cx.clock.now();
        let (generation, holder) = (open.renewal.generation, &self.tools.holder);
        let Some(mut work) = self.hold(&open)? else { return Ok(false) };
        if let (Some(ticket), Some((_, issuer))) =
            (work.renewal.ticket.take(), issuer_of(managed, &work.renewal))
        {
            let _ = issuer.abandon(self.cx, &ticket, managed.solver.as_ref()).await;
        }
        work.renewal.state = State::Abandoned;
        let note = Note { what: "renewal-abandoned", detail: why.to_owned(), proofs: Vec::new() };
        let until = (holder.as_str(), now.plus(HOLD_S));
        let kept = self.store.put_work(&work.renewal, work.version, until, &note, now)?.is_some();
        self.store.let_go_of_work(&managed.name, generation, holder)?;
        Ok(kept)
    }

    /// Goes on with the newest renewal of a certificate until it has to wait for something.
    ///
    /// # Errors
    /// The store's. Whatever the world outside does wrong stands in the renewal.
    pub async fn advance(&self, managed: &Managed) -> Result<Went, StoreError> {
        let newest = || Ok::<_, StoreError>(self.store.works_of(&managed.name, 1)?.into_iter().next());
        let mut open = newest()?.filter(|w| !w.renewal.state.is_over());
        let configured = managed.configured();
        let was_otherwise = |r: &Renewal| {
            r.was_wrong_under_another(&managed.made_from) || r.was_configured_otherwise(&configured)
        };
        if let Some(work) = open.as_ref().filter(|w| was_otherwise(&w.renewal)) {
            self.heed_configuration(managed, &work.renewal).await?;
            open = newest()?.filter(|w| !w.renewal.state.is_over());
        }
        let Some(open) = open else { return Ok(Went::Nothing) };
        let now = self.cx.clock.now();
        if open.renewal.next > now.0 {
            return Ok(Went::To(Box::new(open.renewal)));
        }
        let Some(work) = self.hold(&open)? else { return Ok(Went::Held) };
        self.drive(managed, Bench { renewer: self, work, beside: None }).await
    }

    async fn drive(&self, managed: &Managed, mut bench: Bench<'_>) -> Result<Went, StoreError> {
        for _ in 0..STEPS_MAX {
            let renewal = &bench.work.renewal;
            if renewal.state.is_over() || renewal.next > self.cx.clock.now().0 {
                break;
            }
            if !self.still_holds(&bench.work)? {
                return Ok(Went::Held);
            }
            match self.step(managed, &mut bench).await {
                Ok(()) => {}
                Err(Stopped::Lost) => return Ok(Went::Held),
                Err(Stopped::Store(error)) => return Err(error),
            }
        }
        let generation = bench.work.renewal.generation;
        self.store.let_go_of_work(&managed.name, generation, &self.tools.holder)?;
        Ok(Went::To(Box::new(bench.work.renewal)))
    }

    async fn step(&self, managed: &Managed, bench: &mut Bench<'_>) -> Result<(), Stopped> {
        match bench.work.renewal.state {
            State::WaitsForIssuer => self.issue(managed, bench).await,
            State::WaitsForWindow => self.window(managed, bench).await,
            State::WaitsForTargets => self.install(managed, bench).await,
            State::WaitsForProof => self.prove(managed, bench).await,
            State::WaitsForRevocation => self.revoke(managed, bench).await,
            State::WaitsForPerson | State::Proved | State::Abandoned => Ok(()),
        }
    }
}

/// A fault with its hint, for a person.
pub fn told(fault: &Fault) -> String {
    match &fault.hint {
        Some(hint) => format!("{fault} (hint: {hint})"),
        None => fault.to_string(),
    }
}

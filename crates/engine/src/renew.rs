//! Goes on with a renewal, as far as it can go now: issue, review, wait for a window, install in waves, prove, revoke.
//!
//! ```text
//! hold → [ step → keep ]… → let go
//! ```
//!
//! What is about to be done stands in the memory before it is done, and what was done right after. Whoever goes on after a
//! crash asks the issuer and the deployers how things stand; both are the same however often they are asked. If the
//! memory does not take a step (somebody else has the renewal now), nothing more is done. Which certificates there are,
//! and what their issuers and targets are called, it is told; it knows no provider.

pub mod guard;
mod hold;
pub mod pass;
pub mod rehearsal;

use std::sync::Arc;

use notafter_core::calendar::Calendar;
use notafter_core::deployment::{Before, Bundle, Check, Key};
use notafter_core::fault::{Fault, Retry};
use notafter_core::issuance::{Identifier, KeyType, Profile, Progress, Request, RevocationReason};
use notafter_core::joints::{Cx, Deployer, Issuer, Keep, Probe, Solver};
use notafter_core::proof::{Expectation, PlaceProof, Proof};
use notafter_core::renew::{Renewal, State, TargetState, TargetWork, install_at};
use notafter_core::review::{review, waits_until};
use notafter_core::{Fingerprint, UnixTime};
use notafter_pki::certificate::Certificate;
use notafter_store::works::{Note, Work};
use notafter_store::{Store, StoreError};

/// Whoever holds a renewal is given up after so many seconds without a word: longer than any one step takes.
const HOLD_S: i64 = 900;
/// A place is looked at again so soon within the grace of slow reloaders.
const LOOK_AGAIN_S: i64 = 2;
/// The longest wait between two looks, where a person installs.
const LOOK_AGAIN_MOST_S: i64 = 600;
/// After so many failures the next issuer is asked, if there is one.
const FAILURES: u32 = 5;
/// So many steps in one go: an issuer that never gets anywhere does not keep us.
const STEPS_MAX: usize = 500;
/// Keys of so many generations are kept: the one in use and the one before, for a way back.
const GENERATIONS: u64 = 2;
/// So long an order on a stage may take, in seconds.
const STAGE_S: u64 = 120;

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
    /// See [`Request::preferred_chain`].
    pub preferred_chain: Option<String>,
    /// See [`Request::lifetime_s`].
    pub lifetime_s: Option<i64>,
    /// Who issues it, by the name in the configuration: the first that can.
    pub issuers: Issuers,
    /// How control is proved.
    pub solver: Arc<dyn Solver>,
    /// Where it goes.
    pub targets: Vec<ManagedTarget>,
    /// When it may be installed: beginnings and ends. None: at any time.
    pub windows: Vec<(i64, i64)>,
    /// So long a server may take to show the new one after a reload, in seconds.
    pub grace_s: i64,
    /// Is the one before revoked, once nothing uses it?
    pub revoke_old: bool,
    /// How often it is rehearsed, in seconds; `None`: by hand alone.
    pub rehearse_s: Option<i64>,
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
        let version =
            self.renewer.store.put_work(&self.work.renewal, self.work.version, holder, &note, now)?;
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
        let generation = newest.map_or(1, |w| w.renewal.generation + 1);
        let mut renewal = Renewal::begin(&managed.name, generation, cause, now);
        renewal.before = before.map(<[u8]>::to_vec).into_iter().collect();
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
            (work.renewal.ticket.take(), managed.issuers.get(work.renewal.issuer))
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

    /// Installs again what was issued last. `false`: nothing was, or somebody else works on it.
    ///
    /// # Errors
    /// The store's.
    pub fn redeploy(&self, managed: &Managed, why: &str) -> Result<bool, StoreError> {
        let kept = self.store.works_of(&managed.name, 1)?.into_iter().next();
        let Some(last) = kept.filter(|w| !w.renewal.chain.is_empty()) else { return Ok(false) };
        let now = self.cx.clock.now();
        let (generation, holder) = (last.renewal.generation, &self.tools.holder);
        let Some(mut work) = self.hold(&last)? else { return Ok(false) };
        work.renewal.went_well(now);
        work.renewal.targets = targets(managed);
        work.renewal.state = State::WaitsForTargets;
        let note = Note { what: "deploy-asked", detail: why.to_owned(), proofs: Vec::new() };
        let until = (holder.as_str(), now.plus(HOLD_S));
        let put = self.store.put_work(&work.renewal, work.version, until, &note, now)?.is_some();
        self.store.let_go_of_work(&managed.name, generation, holder)?;
        Ok(put)
    }

    /// Would it renew today? Asks every provider; with `staged` a certificate is really issued where that costs nothing,
    /// and installed nowhere.
    pub async fn rehearse(&self, managed: &Managed, staged: Option<&Managed>) -> Vec<Check> {
        let mut out = Vec::new();
        let request = match (self.tools.make)(&managed.names, managed.key, None) {
            Ok((_, csr)) => Request {
                names: managed.names.clone(),
                csr,
                profile: managed.profile.clone(),
                replaces: None,
                preferred_chain: managed.preferred_chain.clone(),
                lifetime_s: managed.lifetime_s,
            },
            Err(fault) => {
                out.push(Check::fails("a key and a request", told(&fault), "see the names and the key type"));
                return out;
            }
        };
        for (_, issuer) in &managed.issuers {
            out.extend(issuer.rehearse(self.cx, &request).await);
        }
        for name in &managed.names {
            out.extend(managed.solver.rehearse(self.cx, name).await);
        }
        for target in &managed.targets {
            out.extend(target.deployer.rehearse(self.cx).await);
        }
        for (name, issuer) in staged.iter().flat_map(|s| &s.issuers) {
            out.push(self.order_on_stage(name, issuer.as_ref(), managed, &request).await);
        }
        out
    }

    /// One whole order with a staging issuer, by the same steps as in earnest.
    async fn order_on_stage(
        &self,
        name: &str,
        issuer: &dyn Issuer,
        managed: &Managed,
        request: &Request,
    ) -> Check {
        let what = format!("an order with {name}'s staging");
        let failed = |fault: &Fault| {
            let hint = fault.hint.clone().unwrap_or_else(|| "mend it before the next renewal is due".into());
            Check::fails(what.clone(), fault.to_string(), hint)
        };
        let mut ticket = match issuer.begin(self.cx, request).await {
            Ok(ticket) => ticket,
            Err(fault) => return failed(&fault),
        };
        let begun = self.cx.clock.monotonic();
        while self.cx.clock.monotonic().saturating_sub(begun).as_secs() < STAGE_S {
            match issuer.advance(self.cx, request, &ticket, managed.solver.as_ref()).await {
                Ok(Progress::Stepped(next)) => ticket = next,
                Ok(Progress::Waits { ticket: next, until, .. }) => {
                    ticket = next;
                    let wait = until.0.saturating_sub(self.cx.clock.now().0).clamp(1, 10).unsigned_abs();
                    // The CA says how long: nothing here can be done before.
                    tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
                }
                Ok(Progress::Issued(issued)) => {
                    let answer = review(request, &issued, None, self.cx.clock.now());
                    return match answer.wrong.is_empty() {
                        true => Check::works(what, "issued, and what came is what was asked for"),
                        false => Check::fails(what, answer.wrong.join("; "), "ask the CA"),
                    };
                }
                Err(fault) => {
                    let _ = issuer.abandon(self.cx, &ticket, managed.solver.as_ref()).await;
                    return failed(&fault);
                }
            }
        }
        let _ = issuer.abandon(self.cx, &ticket, managed.solver.as_ref()).await;
        Check::fails(what, format!("no certificate within {STAGE_S} s"), "look at the CA's own pages")
    }

    /// Goes on with the newest renewal of a certificate until it has to wait for something.
    ///
    /// # Errors
    /// The store's. Whatever the world outside does wrong stands in the renewal.
    pub async fn advance(&self, managed: &Managed) -> Result<Went, StoreError> {
        let newest = self.store.works_of(&managed.name, 1)?.into_iter().next();
        let Some(open) = newest.filter(|w| !w.renewal.state.is_over()) else { return Ok(Went::Nothing) };
        let now = self.cx.clock.now();
        if open.renewal.next > now.0 {
            return Ok(Went::To(Box::new(open.renewal)));
        }
        let (name, generation, holder) = (&managed.name, open.renewal.generation, &self.tools.holder);
        let Some(work) = self.hold(&open)? else { return Ok(Went::Held) };
        let mut bench = Bench { renewer: self, work };
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
        self.store.let_go_of_work(name, generation, holder)?;
        Ok(Went::To(Box::new(bench.work.renewal)))
    }

    async fn step(&self, managed: &Managed, bench: &mut Bench<'_>) -> Result<(), Stopped> {
        match bench.work.renewal.state {
            State::WaitsForIssuer => self.issue(managed, bench).await,
            State::WaitsForWindow => self.window(managed, bench),
            State::WaitsForTargets => self.install(managed, bench).await,
            State::WaitsForProof => self.prove(managed, bench).await,
            State::WaitsForRevocation => self.revoke(managed, bench).await,
            State::WaitsForPerson | State::Proved | State::Abandoned => Ok(()),
        }
    }

    async fn issue(&self, managed: &Managed, bench: &mut Bench<'_>) -> Result<(), Stopped> {
        let now = self.cx.clock.now();
        let renewal = &mut bench.work.renewal;
        let Some((issuer_name, issuer)) = managed.issuers.get(renewal.issuer) else {
            renewal.needs_somebody("no issuer is left to ask");
            return bench.keep(&Did::of("renewal-stopped", "no issuer is left to ask"));
        };
        let Some(request) = renewal.request.clone() else {
            return match self.request(managed, renewal) {
                Ok(request) => {
                    renewal.request = Some(request);
                    bench.keep(&Did::silently())
                }
                Err(fault) => failed(bench, managed, &fault, now),
            };
        };
        let Some(ticket) = renewal.ticket.clone() else {
            return match issuer.begin(self.cx, &request).await {
                Ok(ticket) => {
                    renewal.ticket = Some(ticket);
                    renewal.went_well(now);
                    bench.keep(&Did::of("renewal-asked", issuer_name.clone()))
                }
                Err(fault) => failed(bench, managed, &fault, now),
            };
        };
        match issuer.advance(self.cx, &request, &ticket, managed.solver.as_ref()).await {
            Ok(Progress::Stepped(ticket)) => {
                renewal.ticket = Some(ticket);
                // A step is no success: an order that fails at its end every time must wait longer and longer.
                renewal.went_on(now);
                bench.keep(&Did::silently())
            }
            Ok(Progress::Waits { ticket, until, what }) => {
                renewal.ticket = Some(ticket);
                renewal.went_on(now);
                (renewal.next, renewal.said) = (until.0.max(now.0 + 1), what);
                bench.keep(&Did::silently())
            }
            Ok(Progress::Issued(issued)) => {
                let answer = review(&request, &issued, renewal.before.first().map(Vec::as_slice), now);
                renewal.ticket = None;
                if !answer.wrong.is_empty() {
                    let wrong = answer.wrong.join("; ");
                    let said = format!("{issuer_name} issued something that was not asked for: {wrong}");
                    renewal.needs_somebody(said.clone());
                    return bench.keep(&Did::of("renewal-stopped", said));
                }
                renewal.went_well(now);
                renewal.changes = answer.changes.iter().map(|c| c.text.clone()).collect();
                renewal.next = waits_until(&answer, now).unwrap_or(now).0;
                renewal.chain = answer.chain;
                renewal.state = State::WaitsForWindow;
                let end = answer.not_after.map(|t| format!(" until {t}")).unwrap_or_default();
                bench.keep(&Did::of("renewal-issued", format!("by {issuer_name}{end}")))
            }
            Err(fault) => {
                if leaves(&fault, bench.work.renewal.failures, managed, bench.work.renewal.issuer) {
                    // What was shown is taken back; whether that goes well changes nothing.
                    let _ = issuer.abandon(self.cx, &ticket, managed.solver.as_ref()).await;
                }
                failed(bench, managed, &fault, now)
            }
        }
    }

    /// The key, kept before anything is asked for with it, and the request.
    fn request(&self, managed: &Managed, renewal: &Renewal) -> Result<Request, Fault> {
        let kept = self.tools.keep.kept(&renewal.key_name())?.map(Key::new);
        let (key, csr) = (self.tools.make)(&managed.names, managed.key, kept.as_ref())?;
        if kept.is_none() && !self.tools.keep.keep(&renewal.key_name(), None, key.expose())? {
            return Err(Fault::new(
                notafter_core::fault::FaultKind::System,
                "another process made a key for this renewal at the same moment",
            ));
        }
        Ok(Request {
            names: managed.names.clone(),
            csr,
            profile: managed.profile.clone(),
            replaces: renewal.before.first().cloned(),
            preferred_chain: managed.preferred_chain.clone(),
            lifetime_s: managed.lifetime_s,
        })
    }

    fn window(&self, managed: &Managed, bench: &mut Bench<'_>) -> Result<(), Stopped> {
        let now = self.cx.clock.now();
        let renewal = &mut bench.work.renewal;
        let end =
            renewal.before.first().and_then(|der| Certificate::parse(der).ok()).and_then(|c| c.not_after());
        let at = end.map_or(now, |end| install_at(&managed.windows, &self.tools.calendar, end, now));
        if at > now {
            (renewal.next, renewal.said) = (at.0, format!("ready, to be installed at {at}"));
            return bench.keep(&Did::silently());
        }
        renewal.targets = targets(managed);
        renewal.state = if renewal.targets.is_empty() { State::Proved } else { State::WaitsForTargets };
        renewal.went_well(now);
        bench.keep(&Did::silently())
    }

    async fn install(&self, managed: &Managed, bench: &mut Bench<'_>) -> Result<(), Stopped> {
        let now = self.cx.clock.now();
        let Some(wave) = bench.work.renewal.wave() else {
            bench.work.renewal.state = State::WaitsForProof;
            return bench.keep(&Did::silently());
        };
        let bundle = match self.bundle(&bench.work.renewal) {
            Ok(bundle) => bundle,
            Err(fault) => {
                bench.work.renewal.needs_somebody(told(&fault));
                return bench.keep(&Did::of("renewal-stopped", told(&fault)));
            }
        };
        let mut fault_of_wave = None;
        for n in 0..bench.work.renewal.targets.len() {
            let target = &mut bench.work.renewal.targets[n];
            if target.wave != wave || target.state == TargetState::Done {
                continue;
            }
            let Some(known) = managed.targets.iter().find(|t| t.label == target.label) else {
                target.said = "it is not configured any more".into();
                fault_of_wave = Some(Fault::new(
                    notafter_core::fault::FaultKind::Invalid,
                    format!("the target {} is not configured any more", target.label),
                ));
                continue;
            };
            target.state = TargetState::Begun;
            let label = target.label.clone();
            bench.keep(&Did::of("deploying", label.clone()))?;
            let done = known.deployer.deploy(self.cx, &bundle).await;
            let target = &mut bench.work.renewal.targets[n];
            let did = match done {
                Ok(receipt) => {
                    (target.state, target.receipt) = (TargetState::Done, Some(receipt));
                    target.said.clear();
                    Did::of("deployed", label)
                }
                Err(fault) => {
                    (target.state, target.said) = (TargetState::Failed, told(&fault));
                    let did = Did::of("deploy-failed", format!("{label}: {}", told(&fault)));
                    fault_of_wave = Some(fault);
                    did
                }
            };
            bench.keep(&did)?;
        }
        let renewal = &mut bench.work.renewal;
        match fault_of_wave {
            None => {
                renewal.went_well(now);
                renewal.prove_until = Some(self.cx.clock.now().0 + managed.grace_s);
                renewal.state = State::WaitsForProof;
                bench.keep(&Did::silently())
            }
            // The others stay as they are: only what failed is tried again.
            Some(fault) if fault.retry == Retry::Never || renewal.failures >= FAILURES => {
                renewal.needs_somebody(told(&fault));
                bench.keep(&Did::of("renewal-stopped", told(&fault)))
            }
            Some(fault) => {
                renewal.again_later(told(&fault), now);
                bench.keep(&Did::silently())
            }
        }
    }

    fn bundle(&self, renewal: &Renewal) -> Result<Bundle, Fault> {
        let key = self.tools.keep.kept(&renewal.key_name())?.ok_or_else(|| {
            Fault::new(
                notafter_core::fault::FaultKind::NotFound,
                format!("the private key of {} is not kept any more", renewal.name),
            )
            .hint(format!("notafter renew {} makes a new one", renewal.name))
        })?;
        Ok(Bundle {
            name: renewal.name.clone(),
            generation: renewal.generation,
            chain: renewal.chain.clone(),
            key: Key::new(key),
        })
    }

    async fn prove(&self, managed: &Managed, bench: &mut Bench<'_>) -> Result<(), Stopped> {
        let Some(wave) = bench.work.renewal.wave() else { return self.close(managed, bench) };
        let Some(expected) = expectation(&bench.work.renewal) else {
            bench.work.renewal.needs_somebody("what was issued is not kept any more");
            return bench.keep(&Did::of("renewal-stopped", "what was issued is not kept any more"));
        };
        let mut did = Did::of("", "");
        let vantage = Arc::clone(&self.cx.vantage);
        for target in bench.work.renewal.targets.iter_mut().filter(|t| t.wave == wave) {
            for place in target.places.iter_mut().filter(|p| !p.is_settled()) {
                match self.tools.probe.probe(self.cx, &place.location).await {
                    Ok(seen) => {
                        place.judge(&expected, &seen, &vantage);
                        did.proofs.extend(place.proofs.iter().cloned());
                    }
                    Err(fault) => place.last = told(&fault),
                }
            }
        }
        let now = self.cx.clock.now();
        let renewal = &mut bench.work.renewal;
        let open: Vec<String> = renewal
            .targets
            .iter()
            .filter(|t| t.wave == wave)
            .flat_map(|t| &t.places)
            .filter(|p| !p.is_settled())
            .map(|p| p.last.clone())
            .collect();
        if open.is_empty() {
            renewal.went_well(now);
            match renewal.wave() {
                Some(_) => renewal.state = State::WaitsForTargets,
                None => {
                    bench.keep(&did)?;
                    return self.close(managed, bench);
                }
            }
            return bench.keep(&did);
        }
        if renewal.prove_until.is_some_and(|until| now.0 < until) {
            (renewal.next, renewal.said) =
                (now.0 + look_again(renewal, managed.grace_s, now), open.join("; "));
            return bench.keep(&did);
        }
        bench.keep(&did)?;
        self.roll_back(managed, bench, wave, &open.join("; ")).await
    }

    /// It was not seen in use: what was there before is put back, where it still helps, and somebody is called.
    async fn roll_back(
        &self,
        managed: &Managed,
        bench: &mut Bench<'_>,
        wave: u32,
        open: &str,
    ) -> Result<(), Stopped> {
        let mut said = format!("not seen in use: {open}");
        for n in 0..bench.work.renewal.targets.len() {
            let target = &bench.work.renewal.targets[n];
            if target.wave != wave || target.state != TargetState::Done {
                continue;
            }
            let now = self.cx.clock.now();
            let known = managed.targets.iter().find(|t| t.label == target.label);
            let (Some(known), Some(receipt)) = (known, target.receipt.clone()) else { continue };
            if !receipt.before.as_ref().is_some_and(|b: &Before| b.is_usable(now)) {
                let why = match receipt.before {
                    Some(_) => "what was there before has ended",
                    None => "what was there before is not known",
                };
                said.push_str(&format!("; {} was left as it is: {why}", target.label));
                continue;
            }
            let label = target.label.clone();
            let did = match known.deployer.roll_back(self.cx, &receipt).await {
                Ok(()) => {
                    bench.work.renewal.targets[n].state = TargetState::RolledBack;
                    said.push_str(&format!("; {label} was put back to the one before"));
                    Did::of("rolled-back", label)
                }
                Err(fault) => {
                    said.push_str(&format!("; {label} could not be put back: {}", told(&fault)));
                    Did::of("rollback-failed", format!("{label}: {}", told(&fault)))
                }
            };
            bench.keep(&did)?;
        }
        bench.work.renewal.needs_somebody(said.clone());
        bench.keep(&Did::of("renewal-stopped", said))
    }

    fn close(&self, managed: &Managed, bench: &mut Bench<'_>) -> Result<(), Stopped> {
        let renewal = &mut bench.work.renewal;
        if managed.revoke_old && !renewal.before.is_empty() {
            renewal.state = State::WaitsForRevocation;
            return bench.keep(&Did::silently());
        }
        self.done(bench)
    }

    async fn revoke(&self, managed: &Managed, bench: &mut Bench<'_>) -> Result<(), Stopped> {
        let now = self.cx.clock.now();
        let renewal = &mut bench.work.renewal;
        let issuer = managed.issuers.get(renewal.issuer);
        if let (Some((_, issuer)), Some(before)) = (issuer, renewal.before.first()) {
            if let Err(fault) = issuer.revoke(self.cx, before, RevocationReason::Superseded).await {
                if fault.retry != Retry::Never && renewal.failures < FAILURES {
                    renewal.again_later(told(&fault), now);
                    return bench.keep(&Did::silently());
                }
                // The new one is in use: the rest is a note, not an open renewal.
                bench.keep(&Did::of("revocation-failed", told(&fault)))?;
            } else {
                bench.keep(&Did::of("revoked", "the one before"))?;
            }
        }
        self.done(bench)
    }

    fn done(&self, bench: &mut Bench<'_>) -> Result<(), Stopped> {
        let renewal = &mut bench.work.renewal;
        renewal.state = State::Proved;
        renewal.said.clear();
        let (name, generation) = (renewal.name.clone(), renewal.generation);
        bench.keep(&Did::of("renewed", format!("generation {generation}, seen in use everywhere")))?;
        // Old keys are forgotten one at a time; one that stays is found the next time.
        if let Some(old) = generation.checked_sub(GENERATIONS).filter(|g| *g > 0) {
            let key_name = format!("key/{name}/{old}");
            if let Ok(Some(key)) = self.tools.keep.kept(&key_name) {
                let _ = self.tools.keep.keep(&key_name, Some(&key), b"");
            }
        }
        Ok(())
    }
}

/// After how many seconds to look again: soon at first, for a server that reloads; later and later for a person who installs.
fn look_again(renewal: &Renewal, grace_s: i64, now: UnixTime) -> i64 {
    let begun = renewal.prove_until.map_or(now.0, |until| until.saturating_sub(grace_s));
    (now.0.saturating_sub(begun) / 10).clamp(LOOK_AGAIN_S, LOOK_AGAIN_MOST_S)
}

/// What every place of a renewal has to show.
pub fn expectation(renewal: &Renewal) -> Option<Expectation> {
    let (leaf, above) = renewal.chain.split_first()?;
    Some(Expectation {
        leaf: Fingerprint::of(leaf),
        chain: above.iter().map(|der| Fingerprint::of(der)).collect(),
        before: renewal.before.first().map(|der| Fingerprint::of(der)),
    })
}

/// The targets of a certificate, untouched.
fn targets(managed: &Managed) -> Vec<TargetWork> {
    let fresh = |target: &ManagedTarget| TargetWork {
        label: target.label.clone(),
        wave: target.wave,
        state: TargetState::Waits,
        receipt: None,
        places: places(target),
        said: String::new(),
    };
    managed.targets.iter().map(fresh).collect()
}

/// Where a target's certificate has to be seen.
pub fn places(target: &ManagedTarget) -> Vec<PlaceProof> {
    let written = target.deployer.places();
    let all = target.prove.iter().cloned().chain(written.iter().map(|l| l.as_str().to_owned()));
    all.map(|location| {
        let excused = target.excused.iter().find(|(place, _)| *place == location).map(|(_, why)| why.clone());
        PlaceProof { excused, ..PlaceProof::of(location) }
    })
    .collect()
}

/// A fault with its hint, for a person.
pub fn told(fault: &Fault) -> String {
    match &fault.hint {
        Some(hint) => format!("{fault} (hint: {hint})"),
        None => fault.to_string(),
    }
}

/// Is the issuer given up because of this?
fn leaves(fault: &Fault, failures: u32, managed: &Managed, issuer: usize) -> bool {
    fault.retry == Retry::Never || (failures >= FAILURES && issuer + 1 < managed.issuers.len())
}

fn failed(bench: &mut Bench<'_>, managed: &Managed, fault: &Fault, now: UnixTime) -> Result<(), Stopped> {
    let renewal = &mut bench.work.renewal;
    let name = managed.issuers.get(renewal.issuer).map_or("", |(name, _)| name.as_str());
    let said = format!("{name}: {}", told(fault));
    if leaves(fault, renewal.failures, managed, renewal.issuer) {
        if renewal.issuer + 1 < managed.issuers.len() {
            (renewal.issuer, renewal.ticket) = (renewal.issuer + 1, None);
            renewal.went_well(now);
            return bench.keep(&Did::of("issuer-left", said));
        }
        renewal.needs_somebody(said.clone());
        return bench.keep(&Did::of("renewal-stopped", said));
    }
    match fault.retry {
        Retry::At(at) => {
            (renewal.next, renewal.said) = (at.0.max(now.0 + 1), said.clone());
            renewal.failures = renewal.failures.saturating_add(1);
        }
        _ => renewal.again_later(said.clone(), now),
    }
    bench.keep(&Did::of("renewal-failed", said))
}

//! One look at everything that is kept alive: what is due is begun, what is open goes on.
//!
//! Decides when, by `core::renew::due`; what is done then is `renew.rs`'s. Several at once, and a pass does not wait for
//! what takes long, so that a CA that does not answer or a rehearsal of fifty names keeps nobody else waiting.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::joints::Cx;
use notafter_core::proof::leading;
use notafter_core::renew::{Due, Renewal, State, TargetState, due, order_at};
use notafter_pki::certificate::Certificate;
use notafter_store::works::Work;
use notafter_store::{Store, StoreError};

use super::advice::Advice;
use super::guard::{Asks, Guard};
use super::{Issuers, Managed, Renewer, Tools, Went, told};

/// What the source is called that says how renewals go.
pub const OWN: &str = "own renewals";
/// What the source is called that looks at the places where renewals have to be seen.
pub const PROVED: &str = "own places";

/// So many are started at once.
const AT_ONCE: usize = 8;
/// So many go on at once, with those that take long.
const RUNNING_MOST: usize = 64;
/// What takes longer goes on beside the next passes.
const PATIENCE: Duration = Duration::from_secs(10);
/// While something takes long the others are looked after again so soon, in seconds.
const BESIDE: i64 = 2;
/// A certificate is looked after at least so often, in seconds.
const LOOK_EVERY: i64 = 3_600;
/// An issuer that could not do what it has to do beside issuing tries again after so many seconds.
const TEND_AGAIN: i64 = 300;
/// Where nothing may be done, it is looked again so soon whether it may, in seconds.
const PAUSED: i64 = 5;
/// So long after a renewal the next one is begun at the latest, where it seems due at once, in seconds.
const REST_MOST: i64 = 6 * 3_600;

/// What is kept alive, and with what.
pub struct Keeping {
    /// The certificates.
    pub managed: Vec<Managed>,
    /// The same with the issuers that a rehearsal orders from, where there are some.
    pub staged: HashMap<String, Managed>,
    /// Everybody who issues here, also by hand: they may have something to do beside it.
    pub issuers: Issuers,
    /// What it is done with.
    pub tools: Tools,
    guard: Guard,
    advice: Advice,
    /// Was one proved since somebody asked?
    proved: AtomicBool,
    /// When each is looked at again, and when that was found: what nobody works on and is not due costs nothing.
    plans: Mutex<HashMap<String, (UnixTime, UnixTime)>>,
}

impl Keeping {
    /// Nothing was looked at yet.
    pub fn new(managed: Vec<Managed>, staged: Vec<Managed>, issuers: Issuers, tools: Tools) -> Self {
        let staged = staged.into_iter().map(|one| (one.name.clone(), one)).collect();
        let (guard, advice) = (Guard::default(), Advice::default());
        let (proved, plans) = (AtomicBool::new(false), Mutex::default());
        Self { managed, staged, issuers, tools, guard, advice, proved, plans }
    }

    /// Was something proved since this was asked last? What is known of its places is older, then.
    pub fn was_proved(&self) -> bool {
        self.proved.swap(false, Ordering::Relaxed)
    }

    fn plans(&self) -> MutexGuard<'_, HashMap<String, (UnixTime, UnixTime)>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why this one is not begun by itself, though it seems due.
    pub fn held(&self, name: &str) -> Option<String> {
        self.guard.held(name)
    }
}

/// What is worked on, across passes and configurations: nothing is worked on twice at the same time.
#[derive(Default)]
pub struct Running(Mutex<HashSet<String>>);

impl Running {
    fn names(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is nothing worked on?
    pub fn is_empty(&self) -> bool {
        self.names().is_empty()
    }

    /// `None`: it is worked on, or as much is as can be.
    fn begin(self: &Arc<Self>, name: String) -> Option<Turn> {
        let mut names = self.names();
        let begins = names.len() < RUNNING_MOST && names.insert(name.clone());
        begins.then(|| Turn { running: Arc::clone(self), name })
    }
}

/// While this lives, the thing of this name is worked on.
struct Turn {
    running: Arc<Running>,
    name: String,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.running.names().remove(&self.name);
    }
}

/// What one pass has started.
struct Started {
    tasks: tokio::task::JoinSet<i64>,
    running: Arc<Running>,
    /// Ends when the others have waited long enough.
    patience: Pin<Box<tokio::time::Sleep>>,
    now: UnixTime,
    /// When to look again, in seconds.
    next: i64,
}

impl Started {
    /// Starts something that says when to look at it again, unless it goes on from a pass before.
    async fn start(&mut self, name: String, work: impl Future<Output = i64> + Send + 'static) {
        while self.tasks.len() >= AT_ONCE && self.ended().await {}
        let Some(turn) = self.running.begin(name) else {
            self.next = self.next.min(self.now.0 + BESIDE);
            return;
        };
        self.tasks.spawn(async move {
            let at = work.await;
            drop(turn);
            at
        });
    }

    /// Waits until one ended. `false`: none did while there was patience.
    async fn ended(&mut self) -> bool {
        let ended = tokio::select! {
            biased;
            task = self.tasks.join_next() => task,
            () = &mut self.patience => None,
        };
        let Some(task) = ended else { return false };
        // One that panicked is no reason to stop looking after the others, nor to try at once again.
        self.next = self.next.min(task.unwrap_or(self.now.0 + 300));
        true
    }

    /// When to look again. What takes long goes on by itself.
    async fn rest(mut self) -> i64 {
        while !self.tasks.is_empty() && self.ended().await {}
        if !self.tasks.is_empty() {
            self.tasks.detach_all();
            self.next = self.next.min(self.now.0 + BESIDE);
        }
        self.next
    }
}

/// Looks after everything once. When to look again, and what a person should hear of it.
pub async fn pass(
    store: &Arc<Store>,
    keeping: &Arc<Keeping>,
    cx: &Cx,
    running: &Arc<Running>,
) -> (UnixTime, Option<String>) {
    let now = cx.clock.now();
    if let Err(why) = (keeping.tools.may)(store) {
        return (now.plus(PAUSED), Some(why));
    }
    let open = match store.open_works() {
        Ok(open) => open,
        Err(_) => return (now.plus(30), None),
    };
    let mut started = Started {
        tasks: tokio::task::JoinSet::new(),
        running: Arc::clone(running),
        patience: Box::pin(tokio::time::sleep(PATIENCE)),
        now,
        next: now.0 + LOOK_EVERY,
    };
    for n in 0..keeping.managed.len() {
        let name = &keeping.managed[n].name;
        let planned = keeping.plans().get(name).copied().filter(|_| !open.contains(name));
        // A clock that was set makes every plan void.
        if let Some((_, until)) = planned.filter(|(at, until)| *at <= now && now < *until) {
            started.next = started.next.min(until.0);
            continue;
        }
        let name = format!("certificate {name}");
        let (store, keeping, cx) = (Arc::clone(store), Arc::clone(keeping), cx.clone());
        let work = async move {
            let renewer = Renewer { store: &store, tools: &keeping.tools, cx: &cx };
            let managed = &keeping.managed[n];
            let staged = keeping.staged.get(&managed.name);
            match renewer.look_after(managed, staged, &keeping).await {
                Ok(at) => at.0,
                // The memory is in trouble, which is said elsewhere.
                Err(_) => cx.clock.now().0 + 30,
            }
        };
        started.start(name, work).await;
    }
    for (name, issuer) in keeping.issuers.clone() {
        let turn = format!("issuer {name}");
        let (store, cx) = (Arc::clone(store), cx.clone());
        let work = async move {
            let tended = issuer.tend(&cx).await;
            let (at, said) = match &tended {
                Ok(at) => (at.map_or(i64::MAX, |at| at.0), String::new()),
                Err(fault) => (cx.clock.now().0 + TEND_AGAIN, told(fault)),
            };
            // For `notafter ca show`. A memory in trouble is said elsewhere.
            let _ = note_tended(&store, &name, &said);
            at
        };
        started.start(turn, work).await;
    }
    let next = started.rest().await;
    // A memory in trouble is said elsewhere; what was not written is asked again after a start.
    let _ = keeping.advice.write(store);
    let waiting = keeping.guard.waiting();
    let said =
        waiting.map(|(count, why)| format!("{count} of {} renewals wait: {why}", keeping.managed.len()));
    (UnixTime(next.max(now.0 + 1)), said)
}

/// Under which name it stands what an issuer could not do beside issuing.
pub fn tended(issuer: &str) -> String {
    format!("tended/{issuer}")
}

/// Written when it changes, and not every hour.
fn note_tended(store: &Store, issuer: &str, said: &str) -> Result<(), StoreError> {
    let before = store.kept(&tended(issuer))?.map(|kept| kept.value).unwrap_or_default();
    if before != said.as_bytes() {
        store.keep(&tended(issuer), said.as_bytes(), None)?;
    }
    Ok(())
}

fn dates(der: &[u8]) -> Option<(UnixTime, UnixTime)> {
    let certificate = Certificate::parse(der).ok()?;
    Some((certificate.not_before()?, certificate.not_after()?))
}

/// When a leaf ends for which nothing but its date can be the reason to replace it.
fn ended_by_date(managed: &Managed, leaf: &[u8]) -> Option<UnixTime> {
    let certificate = Certificate::parse(leaf).ok()?;
    let has = notafter_core::review::names_of(&certificate);
    managed.names.iter().all(|name| has.contains(name)).then(|| certificate.not_after())?
}

impl Renewer<'_> {
    /// Looks after one certificate. When to look again.
    async fn look_after(
        &self,
        managed: &Managed,
        staged: Option<&Managed>,
        keeping: &Keeping,
    ) -> Result<UnixTime, StoreError> {
        let now = self.cx.clock.now();
        let work = self.store.works_of(&managed.name, 1)?.into_iter().next();
        let newest = work.as_ref().map(|w| &w.renewal);
        if let Some(open) = work.as_ref().filter(|w| !w.renewal.state.is_over()) {
            self.last_chance(managed, open)?;
            self.supersede(&keeping.advice, managed, &open.renewal).await?;
        } else {
            let proved = work.as_ref().filter(|w| w.renewal.state == State::Proved);
            let leaf = match proved.and_then(|w| w.renewal.chain.first()) {
                Some(leaf) => Some(leaf.clone()),
                None => self.current(managed).await?,
            };
            let when = self.when(&keeping.advice, managed, leaf.as_deref(), newest).await?;
            if when.at > now {
                keeping.guard.forget(&managed.name);
                let rehearsal = self.rehearse_in_time(managed, staged, proved.map(|w| w.changed)).await?;
                let deployed = match proved {
                    Some(work) => self.deploy_where_new(managed, &work.renewal).await?,
                    None => None,
                };
                let soonest = rehearsal.into_iter().chain(deployed).fold(when.at, UnixTime::min);
                let until = soonest.min(now.plus(LOOK_EVERY));
                keeping.plans().insert(managed.name.clone(), (now, until));
                return Ok(until);
            }
            let mut because = when.because.clone();
            if let Some(end) = leaf.as_deref().and_then(|der| ended_by_date(managed, der)) {
                let fleet = keeping.managed.len();
                let begin = leaf.as_deref().and_then(|der| Certificate::parse(der).ok()?.not_before());
                let begin = begin.unwrap_or(end);
                let asks = Asks { name: &managed.name, due: when.at, begin, end, fleet };
                match keeping.guard.admit(&asks, &managed.issuers, self.cx).await {
                    Ok(in_spite) => because.extend(in_spite.map(|why| format!("; {why}"))),
                    Err(again) => {
                        keeping.plans().remove(&managed.name);
                        return Ok(again);
                    }
                }
            }
            self.begin(managed, &because, leaf.as_deref())?;
        }
        let went = self.advance(managed).await?;
        if matches!(&went, Went::To(renewal) if renewal.state == State::Proved) {
            keeping.proved.store(true, Ordering::Relaxed);
        }
        Ok(match went {
            Went::To(renewal) if !renewal.state.is_over() => UnixTime(renewal.next),
            Went::Held => self.cx.clock.now().plus(30),
            // Over: the next one may be due before anybody would look again by himself.
            Went::To(_) | Went::Nothing => {
                let leaf = self.current(managed).await?;
                let newest = self.store.works_of(&managed.name, 1)?.into_iter().next().map(|w| w.renewal);
                self.when(&keeping.advice, managed, leaf.as_deref(), newest.as_ref()).await?.at
            }
        })
    }

    /// What was put back, could not be installed, or is not asked for any more, waits for a person. When the one in use is in the last tenth of its life and
    /// nobody came, it is tried again, once a day or in a quarter of what is left: it may be that it works by now, and if
    /// not, there is little left to lose.
    fn last_chance(&self, managed: &Managed, open: &Work) -> Result<(), StoreError> {
        let renewal = &open.renewal;
        // Who issued wrongly over and over would only do so again.
        let wrongly = renewal.chain.is_empty() && renewal.wrong.values().any(|wrong| wrong.is_final());
        if renewal.state != State::WaitsForPerson || wrongly {
            return Ok(());
        }
        let Some((begin, end)) = renewal.before.first().and_then(|der| dates(der)) else { return Ok(()) };
        let now = self.cx.clock.now();
        let left = end.0.saturating_sub(now.0);
        let rest = (left / 4).clamp(600, notafter_pki::time::DAY);
        if left < end.0.saturating_sub(begin.0) / 10 && open.changed.plus(rest) <= now {
            self.try_again(managed, &format!("nobody came, and the one in use ends at {end}"))?;
        }
        Ok(())
    }

    /// What was issued and could not be brought to its end, and is due itself by now, gives way to a new one: that somebody
    /// was called and did not come is no reason to let everything end.
    async fn supersede(&self, advice: &Advice, managed: &Managed, open: &Renewal) -> Result<(), StoreError> {
        let stuck = open.state == State::WaitsForPerson || open.calls;
        let Some(leaf) = open.chain.first().filter(|_| stuck && open.state != State::WaitsForRevocation)
        else {
            return Ok(());
        };
        let when = self.when(advice, managed, Some(leaf), Some(open)).await?;
        let because = format!("{}, and the one before was never seen in use: {}", when.because, open.said);
        if when.at <= self.cx.clock.now() && self.abandon(managed, &because).await? {
            // Where it was installed and not put back, it is what is replaced.
            let in_place = open.targets.iter().any(|target| target.state == TargetState::Done);
            let before = if in_place { Some(leaf) } else { open.before.first() };
            self.begin(managed, &when.because, before.map(Vec::as_slice))?;
        }
        Ok(())
    }

    /// The leaf in use: what was proved last, else what the targets hold now.
    ///
    /// # Errors
    /// The store's.
    pub async fn current(&self, managed: &Managed) -> Result<Option<Vec<u8>>, StoreError> {
        let kept = self.store.works_of(&managed.name, 50)?;
        let proved =
            kept.into_iter().map(|w| w.renewal).find(|r| r.state == State::Proved && !r.chain.is_empty());
        if let Some(leaf) = proved.and_then(|r| r.chain.into_iter().next()) {
            return Ok(Some(leaf));
        }
        for place in managed.targets.iter().flat_map(|t| t.deployer.places()) {
            let Ok(seen) = self.tools.probe.probe(self.cx, place.as_str()).await else { continue };
            let leaf = leading(&seen, &managed.names).and_then(|chain| chain.first()).map(|der| der.to_vec());
            if leaf.is_some() {
                return Ok(leaf);
            }
        }
        Ok(None)
    }

    /// When this leaf is to be replaced, and who says so. Not sooner after the last renewal than a quarter of the
    /// lifetime, six hours at most: a CA that always wants it replaced, or a place that always shows something else, must
    /// not make us order without end.
    ///
    /// # Errors
    /// The store's.
    async fn when(
        &self,
        advice: &Advice,
        managed: &Managed,
        leaf: Option<&[u8]>,
        last: Option<&Renewal>,
    ) -> Result<Due, StoreError> {
        let mut due = self.wanted(advice, managed, leaf).await?;
        let life = leaf.and_then(|der| Certificate::parse(der).ok()).and_then(|c| {
            let (begin, end) = (c.not_before()?, c.not_after()?);
            // Early, where it could not be installed in time otherwise.
            if due.at > self.cx.clock.now() && !managed.targets.is_empty() {
                let windows = managed.windows.as_deref();
                let at = order_at(windows, &self.tools.calendar, (begin, end), due.at);
                if at < due.at {
                    let why = "and nothing may be changed between then and its end";
                    due = Due { at, because: format!("{}, due at {}, {why}", due.because, due.at) };
                }
            }
            Some(end.0.saturating_sub(begin.0))
        });
        if let Some(last) = last {
            let rest = (life.unwrap_or(i64::MAX) / 4).clamp(1, REST_MOST);
            due.at = due.at.max(UnixTime(last.begun + rest));
        }
        Ok(due)
    }

    async fn wanted(
        &self,
        advice: &Advice,
        managed: &Managed,
        leaf: Option<&[u8]>,
    ) -> Result<Due, StoreError> {
        let now = self.cx.clock.now();
        let at_once = |because: &str| Due { at: now, because: because.to_owned() };
        let Some(leaf) = leaf else { return Ok(at_once("there is none yet")) };
        let Ok(certificate) = Certificate::parse(leaf) else {
            return Ok(at_once("what is there cannot be read"));
        };
        let (Some(begin), Some(end)) = (certificate.not_before(), certificate.not_after()) else {
            return Ok(at_once("the dates of what is there cannot be read"));
        };
        let has = notafter_core::review::names_of(&certificate);
        if let Some(missing) = managed.names.iter().find(|name| !has.contains(*name)) {
            return Ok(at_once(&format!("it is not for {missing}")));
        }
        let suggested = self.suggested(advice, managed, leaf, now).await?;
        Ok(due(&managed.name, begin, end, suggested.as_ref()))
    }
}

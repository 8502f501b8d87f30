//! The process that installs for another one: what it is asked, held against its own configuration, and done.
//!
//! Whoever asks may be in other hands: it is the process that listens on the web. So nothing it says is believed but names
//! that stand in this configuration and a chain that is looked at here. Where something goes, which program checks and
//! reloads, how it is undone: all of that is in a file that only root can write, and in `shelf.rs`. Who may ask at all is
//! `porch.rs`'s business.

pub(crate) mod porch;
mod shelf;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use notafter_act::issuers::ca::put_for;
use notafter_act::privsep::message::{Answer, Chain, Order};
use notafter_act::request;
use notafter_core::deployment::{Bundle, Key, Trial};
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::issuance::{Challenge, Identifier, Issued, KeyType, Request};
use notafter_core::joints::{Cx, Keep, Probe};
use notafter_core::location::Location;
use notafter_core::observation::Seen;
use notafter_core::review::review;
use notafter_engine::renew::{Managed, ManagedTarget};
use tokio::sync::Semaphore;

use crate::assemble;
use crate::keeping::Yard;
use crate::places::Places;
use crate::trusted;
use shelf::{Made, Shelf};

/// So many wait for one target besides the one that works on it; more are sent away.
const WAITING: usize = 4;
/// So many keys are made at once: RSA takes a processor for seconds.
const MAKING: usize = 2;
/// So much is under way at once.
const UNDER_WAY: usize = 256;

/// What is obeyed.
#[derive(Clone)]
struct Tables {
    managed: Arc<Vec<Managed>>,
    /// Reads the files that are written here.
    places: Arc<Places>,
    /// Where the revocation lists of CAs are written.
    lists: Arc<BTreeMap<String, PathBuf>>,
    /// Who may ask, besides root.
    user: u32,
}

/// Does what it is asked.
pub(crate) struct Desk {
    file: PathBuf,
    keep: Arc<dyn Keep>,
    shelf: Shelf,
    cx: Cx,
    tables: Mutex<Tables>,
    /// What of each target is under way.
    turns: Mutex<HashMap<(String, String), Arc<Turn>>>,
    making: Semaphore,
    under_way: Semaphore,
}

#[derive(Default)]
struct Turn {
    lock: tokio::sync::Mutex<()>,
    asked: AtomicUsize,
}

/// One who waits for a target, or works on it.
struct Asked<'a>(&'a AtomicUsize);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Desk {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Others could change it, or it is wrong.
    pub(crate) fn open(file: PathBuf, keep: Arc<dyn Keep>, cx: Cx) -> Result<Self, String> {
        let tables = Mutex::new(read(&file, &keep)?);
        Ok(Self {
            file,
            shelf: Shelf::new(Arc::clone(&keep)),
            keep,
            cx,
            tables,
            turns: Mutex::default(),
            making: Semaphore::new(MAKING),
            under_way: Semaphore::new(UNDER_WAY),
        })
    }

    /// Reads it anew. What is under way ends as it began.
    ///
    /// # Errors
    /// As for [`Self::open`]; what was read before stays.
    pub(crate) fn load(&self) -> Result<(), String> {
        let read = read(&self.file, &self.keep)?;
        *self.tables.lock().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// Of how many certificates and targets it knows.
    pub(crate) fn size(&self) -> (usize, usize) {
        let managed = self.now().managed;
        (managed.len(), managed.iter().map(|m| m.targets.len()).sum())
    }

    /// May this account ask?
    pub(crate) fn serves(&self, uid: u32) -> bool {
        uid == 0 || uid == self.now().user
    }

    fn now(&self) -> Tables {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does what it is asked, and waits for its end.
    ///
    /// # Errors
    /// It is not done, and why.
    pub(crate) async fn answer(&self, order: Order) -> Result<Answer, Fault> {
        if order == Order::Greet {
            return Ok(Answer::Here(env!("CARGO_PKG_VERSION").to_owned()));
        }
        let _room = self.under_way.try_acquire().map_err(|_| busy("too much is under way"))?;
        // A file that somebody opened to others since is not obeyed until that is put right.
        trusted::solely_ours(&self.file).map_err(|why| {
            let plain = assemble::explain_plain(&why);
            let fault = Fault::new(FaultKind::PermissionDenied, plain.message);
            fault.hint(plain.hint.unwrap_or_default())
        })?;
        let Tables { managed: tables, places, lists: files, .. } = self.now();
        match order {
            Order::Greet => Ok(Answer::Done),
            Order::Key { names, key } => self.make(&tables, names, key, None).await,
            Order::Request { names, key, handle } => self.make(&tables, names, key, Some(handle)).await,
            Order::Places { certificate, target } => {
                let places = target_of(&tables, &certificate, &target)?.1.deployer.places();
                Ok(Answer::Places(places.iter().map(|l: &Location| l.as_str().to_owned()).collect()))
            }
            Order::Look { certificate, target } => {
                let (_, known) = target_of(&tables, &certificate, &target)?;
                let mut seen = Vec::new();
                for place in known.deployer.places() {
                    let found = places.probe(&self.cx, place.as_str()).await?;
                    // Certificates, and no key that lies beside them.
                    seen.extend(found.into_iter().filter_map(|one| match one.seen {
                        Seen::Chain { chain, leads: true, .. } => {
                            Some((one.location.as_str().to_owned(), Chain(vec![chain.first()?.to_vec()])))
                        }
                        _ => None,
                    }));
                }
                Ok(Answer::Seen(seen))
            }
            Order::Rehearse { certificate, target } => {
                let (managed, known) = target_of(&tables, &certificate, &target)?;
                let turn = self.turn(&certificate, &target);
                let _asked = turn.ask()?;
                let _turn = turn.lock.lock().await;
                let mut checks = known.deployer.rehearse(&self.cx).await;
                if checks.iter().all(|check| check.works) {
                    // The key of what staging issued may not leave where it was made: a pair of its own is tried here.
                    let (name, names, kind) = (&managed.name, &managed.names, managed.key);
                    let trial = Trial { name, names, kind, key: None, chain: &[] };
                    checks.extend(known.deployer.try_on(&self.cx, &trial).await);
                }
                Ok(Answer::Checks(checks))
            }
            Order::Deploy { certificate, target, generation, chain, key } => {
                self.deploy(&tables, (&certificate, &target), generation, chain, &key).await
            }
            Order::RollBack { certificate, target, generation } => {
                let (_, known) = target_of(&tables, &certificate, &target)?;
                let turn = self.turn(&certificate, &target);
                let _asked = turn.ask()?;
                let _turn = turn.lock.lock().await;
                let receipt = self.shelf.receipt(&certificate, &target, generation)?.ok_or_else(|| {
                    let said = format!(
                        "nothing was installed here as generation {generation} of {certificate}, {target}"
                    );
                    Fault::new(FaultKind::NotFound, said).retry(Retry::Never)
                })?;
                known.deployer.roll_back(&self.cx, &receipt).await.map(|()| Answer::Done)
            }
            Order::Present { certificate, challenge } => {
                let known = shows(&tables, &certificate, &challenge)?;
                let cleanup = known.solver.present(&self.cx, &challenge).await?;
                self.shelf.shown(&certificate, &challenge, cleanup).map(Answer::Shown)
            }
            Order::IsVisible { certificate, challenge } => {
                let known = shows(&tables, &certificate, &challenge)?;
                known.solver.is_visible(&self.cx, &challenge).await.map(Answer::Visible)
            }
            Order::CleanUp { certificate, handle } => {
                let known = certificate_of(&tables, &certificate)?;
                // Gone already is done.
                if let Some(cleanup) = self.shelf.cleanup(&certificate, &handle)? {
                    known.solver.clean_up(&self.cx, &cleanup).await?;
                    self.shelf.taken_back(&certificate, &handle)?;
                }
                Ok(Answer::Done)
            }
            Order::Publish { issuer, lists: Chain(lists) } => {
                let file = files.get(&issuer).cloned().ok_or_else(|| {
                    let said = format!("no CA called `{}` has a `crl_file` here", issuer.escape_debug());
                    Fault::new(FaultKind::NotFound, said).retry(Retry::Backoff).hint(SAME_TABLES)
                })?;
                let turn = self.turn(&issuer, "crl_file");
                let _asked = turn.ask()?;
                let _turn = turn.lock.lock().await;
                let written = tokio::task::spawn_blocking(move || put_for(&file, &lists)).await;
                written.map_err(|e| Fault::new(FaultKind::System, e.to_string()))?.map(|()| Answer::Done)
            }
            Order::RehearseSolver { certificate, name } => {
                let known = certificate_of(&tables, &certificate)?;
                if !known.names.contains(&name) {
                    return Err(no_name(&certificate, &name));
                }
                Ok(Answer::Checks(known.solver.rehearse(&self.cx, &name).await))
            }
        }
    }

    /// Makes a key that stays here, or signs a request with one that was made.
    async fn make(
        &self,
        tables: &[Managed],
        names: Vec<Identifier>,
        key: KeyType,
        handle: Option<String>,
    ) -> Result<Answer, Fault> {
        let known = |m: &&Managed| m.key == key && same(&m.names, &names);
        let certificates: Vec<String> = tables.iter().filter(known).map(|m| m.name.clone()).collect();
        if certificates.is_empty() {
            let said = format!("no certificate has these names and a key of type {key} here");
            return Err(Fault::new(FaultKind::NotFound, said).retry(Retry::Backoff).hint(SAME_TABLES));
        }
        let kept = match &handle {
            Some(handle) => {
                let kept = self
                    .shelf
                    .key(handle)?
                    .filter(|k| k.certificates.iter().any(|c| certificates.contains(c)));
                Some(kept.ok_or_else(lost)?.key)
            }
            None => None,
        };
        let _room = self.making.acquire().await.map_err(|e| Fault::new(FaultKind::System, e.to_string()))?;
        let wanted = names.clone();
        let made = tokio::task::spawn_blocking(move || request::make(&wanted, key, kept.as_ref())).await;
        let (key, csr) = made.map_err(|e| Fault::new(FaultKind::System, e.to_string()))??;
        let handle = match handle {
            Some(handle) => handle,
            None => self.shelf.put_key(&names, Made { certificates, key, csr: csr.clone() })?,
        };
        Ok(Answer::Made { handle, csr: Chain(vec![csr]) })
    }

    async fn deploy(
        &self,
        tables: &[Managed],
        (certificate, target): (&str, &str),
        generation: u64,
        chain: Chain,
        handle: &str,
    ) -> Result<Answer, Fault> {
        let (managed, known) = target_of(tables, certificate, target)?;
        let kept = self.shelf.key(handle)?.filter(|k| k.certificates.iter().any(|c| c == certificate));
        let kept = kept.ok_or_else(lost)?;
        let chain = self.reviewed(managed, &kept.csr, chain)?;
        let bundle = Bundle {
            name: certificate.to_owned(),
            generation,
            chain,
            key: Key::new(kept.key.expose().to_vec()),
        };
        let turn = self.turn(certificate, target);
        let _asked = turn.ask()?;
        let _turn = turn.lock.lock().await;
        let receipt = known.deployer.deploy(&self.cx, &bundle).await?;
        let before = receipt.before.clone();
        self.shelf.put_receipt(certificate, target, receipt)?;
        self.shelf.used(certificate, handle)?;
        Ok(Answer::Deployed { before })
    }

    /// Is the chain for the names of this configuration, for the key that is kept here, and valid? What is installed.
    fn reviewed(&self, managed: &Managed, csr: &[u8], chain: Chain) -> Result<Vec<Vec<u8>>, Fault> {
        let asked = Request {
            names: managed.names.clone(),
            csr: csr.to_vec(),
            profile: None,
            replaces: None,
            preferred_chain: None,
            lifetime_s: None,
        };
        let answer = review(&asked, &Issued { chain: chain.0, reference: None }, None, self.cx.clock.now());
        if answer.wrong.is_empty() {
            return Ok(answer.chain);
        }
        let said = format!("it is not installed: {}", answer.wrong.join("; "));
        Err(Fault::new(FaultKind::Refused, said).retry(Retry::Never).hint(format!(
            "held against this process's own tables; notafter renew {} issues one that fits them",
            managed.name
        )))
    }

    fn turn(&self, certificate: &str, target: &str) -> Arc<Turn> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry((certificate.to_owned(), target.to_owned())).or_default())
    }
}

impl Turn {
    /// Waits, unless too many do.
    fn ask(&self) -> Result<Asked<'_>, Fault> {
        let before = self.asked.fetch_add(1, Ordering::Relaxed);
        let asked = Asked(&self.asked);
        if before > WAITING {
            return Err(busy("too many wait for this target"));
        }
        Ok(asked)
    }
}

/// Whoever asks may have read the file before this process did: it is tried again.
const SAME_TABLES: &str =
    "both processes have to be given the same tables: systemctl reload notafter-act, once its file has them";

/// Reads the file that is obeyed.
fn read(file: &std::path::Path, keep: &Arc<dyn Keep>) -> Result<Tables, String> {
    let told = |usage: crate::commands::Usage| match usage.hint {
        Some(hint) => format!("{}\nhint: {hint}", usage.message),
        None => usage.message,
    };
    let real = trusted::solely_ours(file)?;
    let sheet = assemble::read_sheet(Some(&real)).map_err(told)?;
    let yard = Yard { keep: Arc::clone(keep), rehearsal: false };
    let managed = sheet.at_hand(&yard).map_err(|e| told(assemble::explained(&sheet, &e)))?;
    let lists = sheet.lists().map_err(|e| told(assemble::explained(&sheet, &e)))?;
    let user = sheet.may_ask().map_err(|e| told(assemble::explained(&sheet, &e)))?;
    let deployers = managed.iter().flat_map(|m| &m.targets).map(|t| Arc::clone(&t.deployer)).collect();
    let places = Arc::new(Places::near(&sheet, deployers));
    Ok(Tables { managed: Arc::new(managed), places, lists: Arc::new(lists), user })
}

fn certificate_of<'a>(tables: &'a [Managed], name: &str) -> Result<&'a Managed, Fault> {
    tables.iter().find(|m| m.name == name).ok_or_else(|| {
        let said = format!("no certificate is called `{}` here", name.escape_debug());
        Fault::new(FaultKind::NotFound, said).retry(Retry::Backoff).hint(SAME_TABLES)
    })
}

fn target_of<'a>(
    tables: &'a [Managed],
    certificate: &str,
    target: &str,
) -> Result<(&'a Managed, &'a ManagedTarget), Fault> {
    let managed = certificate_of(tables, certificate)?;
    let known = managed.targets.iter().find(|t| t.label == target).ok_or_else(|| {
        let said = format!("no target of {certificate} is called `{}` here", target.escape_debug());
        Fault::new(FaultKind::NotFound, said).retry(Retry::Backoff).hint(SAME_TABLES)
    })?;
    Ok((managed, known))
}

/// Who shows this challenge, if it is one of this certificate.
fn shows<'a>(tables: &'a [Managed], name: &str, challenge: &Challenge) -> Result<&'a Managed, Fault> {
    let managed = certificate_of(tables, name)?;
    // A wildcard is proved at the name below it (RFC 8555 section 7.1.3).
    let proves = |name: &Identifier| match name {
        Identifier::Dns(dns) => dns.strip_prefix("*.").unwrap_or(dns) == challenge.identifier.to_string(),
        Identifier::Ip(_) => *name == challenge.identifier,
    };
    if !managed.names.iter().any(proves) {
        return Err(no_name(name, &challenge.identifier));
    }
    if managed.solver.kind() != challenge.kind {
        let (here, asked) = (managed.solver.kind().as_str(), challenge.kind.as_str());
        let said = format!("{name} is proved by {here} here, and not by {asked}");
        return Err(Fault::new(FaultKind::Invalid, said).retry(Retry::Backoff).hint(SAME_TABLES));
    }
    Ok(managed)
}

fn no_name(certificate: &str, name: &Identifier) -> Fault {
    let said = format!("{name} is none of the names of {certificate} here");
    Fault::new(FaultKind::NotFound, said).retry(Retry::Backoff).hint(SAME_TABLES)
}

fn lost() -> Fault {
    Fault::new(FaultKind::NotFound, "the private key for this is not kept here, or is another certificate's")
        .retry(Retry::Never)
        .hint("notafter renew NAME makes a new one")
}

fn busy(what: &str) -> Fault {
    Fault::new(FaultKind::Unreachable, format!("{what} at `notafter act`")).hint("it is tried again later")
}

fn same(one: &[Identifier], other: &[Identifier]) -> bool {
    let sorted = |names: &[Identifier]| {
        let mut names = names.to_vec();
        names.sort_unstable();
        names
    };
    sorted(one) == sorted(other)
}

//! What is kept alive here: from the tables of the configuration to what `engine/renew.rs` is given.
//!
//! Issuers, solvers and deployers are built by their kinds, names are resolved, the probe looks with what `scan` looks
//! with. Nothing is contacted and nothing is decided here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use notafter_act::issuers::IssuerKind;
use notafter_act::privsep::{self, Client, FarDeployer, FarSolver};
use notafter_act::roots::Roots;
use notafter_act::solvers::Unasked;
use notafter_act::{deployers, issuers, request, solvers};
use notafter_core::calendar::Calendar;
use notafter_core::fault::Fault;
use notafter_core::issuance::{Identifier, Profile};
use notafter_core::joints::{Deployer, Issuer, Keep, Solver};
use notafter_core::location::Location;
use notafter_core::owner::Match;
use notafter_core::query::{nearest, span};
use notafter_core::renew::NextWindow;
use notafter_discover::target::Target;
use notafter_engine::renew::pass::Keeping;
use notafter_engine::renew::rehearsal;
use notafter_engine::renew::{Issuers, MakeRequest, Managed, ManagedTarget, Tools};
use notafter_engine::setup::Setup;
use notafter_pki::fingerprint::{hex, sha256};
use notafter_store::Store;
use notafter_store::seal::Sealed;

use crate::cli::Look;
use crate::config::managed::{CertificateTable, IssuerTable, TargetTable, WindowTable, settings};
use crate::config::plan::Sheet;
use crate::data::Data;
use crate::home::Home;
use crate::places::{Places, Written};
use crate::watches::Watch;
use crate::{holder, own, proved, trusted};

/// How long a server may take to show the new one, where nothing else is said, in seconds.
const GRACE_S: i64 = 60;

/// The same where a person installs.
const GRACE_BY_HAND_S: i64 = 30 * 86_400;

/// With what providers are built.
pub(crate) struct Yard {
    /// What they remember.
    pub(crate) keep: Arc<dyn Keep>,
    /// Are issuers built to order in earnest, or from where a rehearsal orders?
    pub(crate) rehearsal: bool,
}

/// Remembers nothing: for whoever only looks whether the tables are right.
pub(crate) struct Forgetful;

impl Keep for Forgetful {
    fn kept(&self, _name: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(None)
    }

    fn keep(&self, _name: &str, _expected: Option<&[u8]>, _value: &[u8]) -> Result<bool, Fault> {
        Ok(true)
    }
}

impl Yard {
    /// One that only checks.
    pub(crate) fn checking() -> Self {
        Self { keep: Arc::new(Forgetful), rehearsal: false }
    }

    /// For an issuer of this name.
    pub(crate) fn cx(&self, name: &str, roots: &Roots) -> issuers::BuildCx {
        let keep = Arc::clone(&self.keep);
        issuers::BuildCx { name: name.to_owned(), roots: roots.clone(), keep, act: None }
    }
}

/// Issuers with their kinds, by name. None: there is nowhere to rehearse.
type ByName<'a> = BTreeMap<&'a str, (&'static IssuerKind, Option<Arc<dyn Issuer>>)>;

impl Sheet {
    /// Every certificate that is kept alive here. In a rehearsal those whose issuers have somewhere to rehearse.
    ///
    /// # Errors
    /// The first mistake, with its line and what to do.
    pub(crate) fn managed(&self, yard: &Yard) -> Result<Vec<Managed>, String> {
        Ok(self.kept_alive(yard)?.0)
    }

    /// Everybody who issues, by name.
    fn issuers(&self, yard: &Yard, roots: &Roots) -> Result<ByName<'_>, String> {
        let act = self.apart()?;
        let mut by_name = ByName::new();
        for table in &self.config.issuer {
            let name = table.name.get_ref().as_str();
            let wrong =
                |what: String| self.wrong(Some(table.name.span().start), format!("issuer `{name}`: {what}"));
            let kind = issuers::find(&table.kind).ok_or_else(|| {
                wrong(unknown("issuer", &table.kind, issuers::ISSUERS.iter().map(|k| k.name)))
            })?;
            self.writes_inside(table).map_err(&wrong)?;
            let cx = issuers::BuildCx { act: act.clone(), ..yard.cx(name, roots) };
            let table = settings(&table.rest).map_err(&wrong)?;
            let built = if yard.rehearsal {
                (kind.rehearsal)(table, &cx).transpose().map_err(&wrong)?
            } else {
                Some((kind.build)(table, &cx).map_err(&wrong)?)
            };
            if by_name.insert(name, (kind, built.map(Arc::from))).is_some() {
                return Err(wrong("there are two of this name\nhint: call one of them otherwise".into()));
            }
        }
        Ok(by_name)
    }

    /// The same, and everybody who issues.
    fn kept_alive(&self, yard: &Yard) -> Result<(Vec<Managed>, Issuers), String> {
        let config = &self.config;
        if config.certificate.is_empty() && config.issuer.is_empty() && config.window.is_empty() {
            return Ok((Vec::new(), Issuers::new()));
        }
        let roots = Roots::read();
        let process = self.apart()?.map_or(Process::Only, Process::Asks);
        let by_name = self.issuers(yard, &roots)?;
        let mut windows = Vec::new();
        for table in &config.window {
            let wrong = |what: String| self.wrong(Some(table.cron.span().start), format!("window: {what}"));
            let matches: Result<Vec<Match>, _> =
                table.matches.iter().map(|text| Match::parse(text)).collect();
            windows.push((matches.map_err(|e| wrong(e.to_string()))?, table.windows().map_err(&wrong)?));
        }
        let mut out: Vec<Managed> = Vec::new();
        for table in &config.certificate {
            let name = table.name.get_ref();
            let wrong = |what: String| {
                self.wrong(Some(table.name.span().start), format!("certificate `{name}`: {what}"))
            };
            if out.iter().any(|m| m.name == *name) {
                return Err(wrong("there are two of this name\nhint: call one of them otherwise".into()));
            }
            let (issuers, asks) = chosen(table, &by_name).map_err(&wrong)?;
            if issuers.is_empty() {
                continue;
            }
            let mut managed = one(table, (issuers, asks), &Where { roots: &roots, yard, process: &process })
                .map_err(&wrong)?;
            let speaks =
                |matches: &[Match]| matches.is_empty() || matches.iter().any(|m| fits(m, &managed.names));
            let its = windows.iter().filter(|(matches, _)| speaks(matches)).map(|(_, w)| Arc::clone(w));
            managed.windows = any_of(its.collect());
            managed.made_from = made_from(table, &config.issuer);
            managed.goes_to = goes_to(table, &config.window);
            out.push(managed);
        }
        let all = by_name.into_iter().filter_map(|(name, (_, issuer))| Some((name.to_owned(), issuer?)));
        Ok((out, all.collect()))
    }
}

impl Sheet {
    /// How one place is looked at to prove something: whole, and at what the operator named, whoever excluded it elsewhere.
    pub(crate) fn look_closely(&self) -> Look {
        let resolver = self.config.server.resolver.clone().map(toml::Spanned::into_inner);
        Look { resolver, prove: true, both: true, timeout: "5s".to_owned(), ..Look::default() }
    }

    /// When nobody may change anything.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub(crate) fn closed(&self) -> Result<Calendar, String> {
        self.config.calendar().map_err(|(at, what)| self.wrong(Some(at), what))
    }
}

impl Sheet {
    /// What is done here for others (`notafter act`): of every certificate the targets and the solver, and nobody who issues.
    ///
    /// # Errors
    /// The first mistake, with its line and what to do.
    pub(crate) fn at_hand(&self, yard: &Yard) -> Result<Vec<Managed>, String> {
        let roots = Roots::read();
        let mut out: Vec<Managed> = Vec::new();
        for table in &self.config.certificate {
            let name = table.name.get_ref();
            let wrong = |what: String| {
                self.wrong(Some(table.name.span().start), format!("certificate `{name}`: {what}"))
            };
            if out.iter().any(|m| m.name == *name) {
                return Err(wrong("there are two of this name\nhint: call one of them otherwise".into()));
            }
            let here = Where { roots: &roots, yard, process: &Process::Acts };
            out.push(one(table, (Issuers::new(), None), &here).map_err(wrong)?);
        }
        Ok(out)
    }
}

impl Sheet {
    /// The files that targets write, each with the names of its certificate and target.
    ///
    /// # Errors
    /// The first mistake in a target.
    pub(crate) fn written(&self) -> Result<Vec<Written>, String> {
        let roots = Roots::none();
        let mut out = Vec::new();
        for certificate in &self.config.certificate {
            for (n, table) in certificate.target.iter().enumerate() {
                let label = table.label(n);
                let places = deployer(table, &roots, false)?.places();
                out.extend(places.into_iter().map(|place| Written {
                    place,
                    certificate: certificate.name.get_ref().clone(),
                    target: label.clone(),
                }));
            }
        }
        Ok(out)
    }
}

/// Which process this is, where there may be two.
enum Process {
    /// The only one.
    Only,
    /// The one that asks another to install.
    Asks(Arc<Client>),
    /// That other one.
    Acts,
}

/// With what, and in which process, it is done.
struct Where<'a> {
    roots: &'a Roots,
    yard: &'a Yard,
    process: &'a Process,
}

/// Does a window's rule speak of one of these names?
fn fits(rule: &Match, names: &[Identifier]) -> bool {
    names.iter().any(|name| rule.covers_name(&name.to_string()))
}

/// The first window of any of these.
fn any_of(windows: Vec<Arc<NextWindow>>) -> Option<Arc<NextWindow>> {
    if windows.is_empty() {
        return None;
    }
    Some(Arc::new(move |at| windows.iter().filter_map(|next| next(at)).min()))
}

fn unknown<'a>(what: &str, wrong: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let hint = match nearest(wrong, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", known.collect::<Vec<_>>().join(", ")),
    };
    format!("no kind of {what} is called `{}`\nhint: {hint}", wrong.escape_debug())
}

/// Its issuers by name, and the first of them that wants to see that names are ours. Those that cannot be rehearsed with
/// are left out.
fn chosen<'a>(
    table: &'a CertificateTable,
    by_name: &ByName<'_>,
) -> Result<(Issuers, Option<&'a str>), String> {
    let (mut out, mut asks) = (Vec::new(), None);
    for name in table.issuer.list() {
        let (kind, issuer) = by_name.get(name.as_str()).ok_or_else(|| {
            let hint = match nearest(name, by_name.keys().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write an [[issuer]] table with this name".to_owned(),
            };
            format!("no issuer is called `{}`\nhint: {hint}", name.escape_debug())
        })?;
        asks = asks.or(kind.wants_proof.then_some(name.as_str()));
        out.extend(issuer.as_ref().map(|issuer| (name.clone(), Arc::clone(issuer))));
    }
    if table.issuer.list().is_empty() {
        return Err("it has no issuer\nhint: issuer = \"NAME\" of an [[issuer]] table".into());
    }
    Ok((out, asks))
}

/// How control of the names is proved.
fn solver(table: &CertificateTable, asks: Option<&str>, here: &Where<'_>) -> Result<Arc<dyn Solver>, String> {
    let example = "solver = { kind = \"http-01\", webroot = \"/var/www/html\" }";
    let Some(mut solver) = table.solver.clone() else {
        return match asks {
            Some(issuer) => Err(format!(
                "it has no solver, and the issuer `{issuer}` wants to see that the names are yours\nhint: {example}"
            )),
            None => Ok(Arc::new(Unasked)),
        };
    };
    let kind = match solver.remove("kind") {
        Some(toml::Value::String(kind)) => kind,
        Some(_) => return Err(format!("solver: kind is a word\nhint: {example}")),
        None => return Err(format!("solver: its kind is missing\nhint: {example}")),
    };
    let kind = solvers::find(&kind).ok_or_else(|| {
        format!("solver: {}", unknown("solver", &kind, solvers::SOLVERS.iter().map(|k| k.name)))
    })?;
    let settings = settings(&solver)?;
    // What the other process does is not built here: what it is given may be for the eyes of that one alone.
    match (here.process, (kind.needs_rights)(&settings)) {
        (Process::Asks(client), true) => {
            let patience = (kind.patience)(&settings);
            let far = FarSolver::new(Arc::clone(client), kind.shows, table.name.get_ref(), patience);
            return Ok(Arc::new(far));
        }
        (Process::Acts, false) => return Ok(Arc::new(Unasked)),
        _ => {}
    }
    let cx = solvers::BuildCx { roots: here.roots.clone(), keep: Arc::clone(&here.yard.keep) };
    let solver = (kind.build)(settings, &cx).map_err(|e| format!("solver: {e}"))?;
    Ok(Arc::from(solver))
}

fn one(
    table: &CertificateTable,
    (issuers, asks): (Issuers, Option<&str>),
    here: &Where<'_>,
) -> Result<Managed, String> {
    let solver = solver(table, asks, here)?;
    let grace = length("grace", table.grace.as_ref())?;
    let name = table.name.get_ref();
    let mut targets: Vec<ManagedTarget> = Vec::new();
    for (n, table) in table.target.iter().enumerate() {
        let label = table.label(n);
        if targets.iter().any(|t| t.label == label) {
            return Err(format!("two targets are called `{label}`\nhint: call one of them otherwise"));
        }
        let mut target =
            target(table, label.clone(), grace, here).map_err(|e| format!("target `{label}`: {e}"))?;
        if let Process::Asks(client) = here.process {
            let far = FarDeployer::new(Arc::clone(client), target.deployer, name, &label);
            target.deployer = Arc::new(far);
        }
        targets.push(target);
    }
    if table.revoke_old {
        let looked_at = |t: &ManagedTarget| {
            t.prove.iter().any(|place| is_server(place) && !t.excused.iter().any(|(at, _)| at == place))
        };
        let blind = targets.iter().find(|t| !looked_at(t)).map(|t| format!("the target `{}`", t.label));
        let blind = blind.or_else(|| targets.is_empty().then(|| "no target".to_owned()));
        if let Some(blind) = blind {
            let names = if targets.is_empty() { "names a" } else { "names no" };
            return Err(format!(
                "revoke_old = true, and {blind} {names} server in `prove`: the one before could be revoked while it is in use\nhint: prove = [\"tls://10.0.0.5:443\"], or leave revoke_old out"
            ));
        }
    }
    let profile = table.profile.clone().map(|name| Profile { name, required: table.profile_required });
    Ok(Managed {
        name: name.clone(),
        names: table.identifiers()?,
        key: table.key_type()?,
        profile,
        preferred_chain: table.preferred_chain.clone(),
        lifetime_s: length("lifetime", table.lifetime.as_ref())?,
        issuers,
        solver,
        targets,
        windows: None,
        revoke_old: table.revoke_old,
        rehearse_s: match table.rehearse.as_deref() {
            Some("never") => None,
            _ => Some(length("rehearse", table.rehearse.as_ref())?.unwrap_or(rehearsal::EVERY)),
        },
        made_from: String::new(),
        goes_to: String::new(),
    })
}

/// Is a server meant, rather than a file?
fn is_server(place: &str) -> bool {
    matches!(Target::parse(place, |path| Path::new(path).exists()), Ok(Target::Network(_)))
}

/// What is asked and of whom, in one line that tells two apart. Secrets are references in it.
fn made_from(table: &CertificateTable, issuers: &[IssuerTable]) -> String {
    let asked = issuers.iter().filter(|i| table.issuer.list().contains(i.name.get_ref()));
    let asked: Vec<_> = asked.map(|i| (i.name.get_ref(), &i.kind, &i.rest)).collect();
    let of_ca = (&table.profile, table.profile_required, &table.preferred_chain, &table.lifetime);
    let all = (&table.names, table.issuer.list(), &table.key, &table.solver, of_ca, asked);
    hex(&sha256(format!("{all:?}").as_bytes()))
}

/// The same of where it goes, and when.
fn goes_to(table: &CertificateTable, windows: &[WindowTable]) -> String {
    let target = |(n, t): (usize, &TargetTable)| {
        format!("{} {:?}", t.label(n), (t.kind.get_ref(), t.wave, &t.prove, &t.grace, &t.excuse, &t.rest))
    };
    let targets: Vec<_> = table.target.iter().enumerate().map(target).collect();
    let windows: Vec<_> = windows.iter().map(WindowTable::plain).collect();
    hex(&sha256(format!("{:?}", (&table.grace, targets, windows)).as_bytes()))
}

fn length(key: &str, text: Option<&String>) -> Result<Option<i64>, String> {
    let Some(text) = text else { return Ok(None) };
    let read = span(text).filter(|s| *s > 0);
    read.map(Some).ok_or_else(|| {
        format!("{key} = \"{}\" is no length of time\nhint: write 90s, 5m, 6h or 30d", text.escape_debug())
    })
}

/// What installs for a target.
fn deployer(table: &TargetTable, roots: &Roots, installs: bool) -> deployers::Built {
    let kind = table.kind.get_ref();
    let kind = deployers::find(kind)
        .ok_or_else(|| unknown("target", kind, deployers::DEPLOYERS.iter().map(|k| k.name)))?;
    (kind.build)(settings(&table.rest)?, &deployers::BuildCx { roots: roots.clone(), installs })
}

/// What installs for every target, for whoever only looks at what they wrote. One with a mistake in it opens nothing.
pub(crate) fn deployers_of(sheet: &Sheet) -> Vec<Arc<dyn Deployer>> {
    let roots = Roots::read();
    let tables = sheet.config.certificate.iter().flat_map(|certificate| &certificate.target);
    tables.filter_map(|table| Some(Arc::from(deployer(table, &roots, false).ok()?))).collect()
}

/// `grace`: the certificate's, where it names one.
fn target(
    table: &TargetTable,
    label: String,
    grace: Option<i64>,
    here: &Where<'_>,
) -> Result<ManagedTarget, String> {
    let deployer = deployer(table, here.roots, !matches!(here.process, Process::Asks(_)))?;
    if table.prove.is_empty() && deployer.places().is_empty() {
        return Err("what it installs is seen nowhere\nhint: prove = [\"tls://10.0.0.5:443\"]: what is seen there ticks it off".into());
    }
    let address = |place: &str| Location::parse(place).and_then(|l| l.address());
    let by_name = table.prove.iter().any(|place| is_server(place) && address(place).is_none());
    let known = |place: &String| table.prove.contains(place) || by_name && address(place).is_some();
    if let Some(stranger) = table.excuse.keys().find(|place| !known(place)) {
        return Err(format!(
            "`{stranger}` is excused and not in `prove`\nhint: name the place as it stands there, or one address of a name there as tls://10.0.0.9:443"
        ));
    }
    // A person takes days where a server takes seconds, and only where a person installs.
    let usual = if deployer.by_hand().is_some() { GRACE_BY_HAND_S } else { GRACE_S };
    let grace_s = length("grace", table.grace.as_ref())?.or(grace).unwrap_or(usual);
    Ok(ManagedTarget {
        grace_s,
        made_from: hex(&sha256(format!("{:?}", (table.kind.get_ref(), &table.rest)).as_bytes())),
        label,
        wave: table.wave,
        deployer: Arc::from(deployer),
        prove: table.prove.clone(),
        excused: table.excuse.iter().map(|(place, why)| (place.clone(), why.clone())).collect(),
    })
}

/// What renewals are done with.
pub(crate) fn tools(
    sheet: &Sheet,
    data: &Data,
    keep: Arc<dyn Keep>,
    managed: &[Managed],
) -> Result<Tools, String> {
    let deployers = managed.iter().flat_map(|m| &m.targets).map(|t| Arc::clone(&t.deployer)).collect();
    let home = Home::of(&data.database);
    let make: MakeRequest = match sheet.apart()? {
        Some(client) => Arc::new(move |names, key, kept| privsep::make(&client, names, key, kept)),
        None => Arc::new(request::make),
    };
    Ok(Tools {
        keep,
        probe: Arc::new(Places::new(sheet, deployers)?),
        make,
        calendar: sheet.closed()?,
        holder: holder::own(),
        is_gone: Arc::new(holder::is_gone),
        may: Arc::new(move |store| home.may(store)),
    })
}

/// A word sealed with the master key: whoever has another one learns it here, before anything is sealed that the first
/// one would not open.
const SEALED: (&str, &[u8]) = ("master", b"the master key of this memory");

/// What providers remember, sealed with the master key.
///
/// # Errors
/// The master key is lost, another one than before, or cannot be read.
pub(crate) fn keep(sheet: &Sheet, data: &Data, store: &Arc<Store>) -> Result<Arc<dyn Keep>, String> {
    // Whoever opens what is sealed is about to do what the configuration says.
    if let Some(path) = &sheet.file {
        trusted::obeyed(path)?;
    }
    let file = data.folder.join("master.key");
    let kept = store.kept(&format!("sealed/{}", SEALED.0)).map_err(|e| data.explain(&e).message)?;
    // A new one would seal what the old one does not open, and open nothing: it is not made.
    if sheet.config.keys.master.is_none() && kept.is_some() && !file.exists() {
        return Err(format!(
            "the master key {} is gone: what was sealed with it, keys and accounts, does not open without it\n\
             hint: put it back (a backup does not hold it, on purpose); if it is lost for good, begin with another data folder",
            file.display()
        ));
    }
    let master = sheet.config.keys.master(&data.folder)?;
    let keep: Arc<dyn Keep> = Arc::new(Sealed::new(Arc::clone(store), master));
    let told = |fault: Fault| match fault.hint {
        Some(hint) => format!("{}\nhint: {hint}", fault.context),
        None => fault.context,
    };
    if keep.kept(SEALED.0).map_err(told)?.is_none() {
        // Whoever is faster has the same key, or is told so the next time.
        let _ = keep.keep(SEALED.0, None, SEALED.1).map_err(told)?;
    }
    Ok(keep)
}

/// What the server keeps alive, if the configuration names anything.
///
/// # Errors
/// The first mistake, with its line; the master key.
fn keeping(sheet: &Sheet, data: &Data, store: &Arc<Store>) -> Result<Option<Arc<Keeping>>, String> {
    if sheet.config.certificate.is_empty() && sheet.config.issuer.is_empty() {
        return checked(sheet).map(|_| None);
    }
    let keep = keep(sheet, data, store)?;
    let yard = Yard { keep: Arc::clone(&keep), rehearsal: false };
    let stage = Yard { keep: Arc::clone(&keep), rehearsal: true };
    let ((managed, issuers), staged) = (sheet.kept_alive(&yard)?, sheet.managed(&stage)?);
    let tools = tools(sheet, data, keep, &managed)?;
    Ok(Some(Arc::new(Keeping::new(managed, staged, issuers, tools))))
}

/// What the server is told to do, with what it keeps alive, and the sources that say how that goes and what its places show.
///
/// # Errors
/// The first mistake, with its line.
pub(crate) fn setup(
    sheet: &Sheet,
    watched: &[Watch],
    (data, store): (&Data, &Arc<Store>),
) -> Result<Setup, String> {
    let mut setup = sheet.setup(watched)?;
    if let Some(keeping) = keeping(sheet, data, store)? {
        setup.sources.push(own::planned(sheet, store, &keeping));
        setup.sources.extend(proved::planned(sheet, &keeping.managed));
        setup.keeping = Some(keeping);
    }
    Ok(setup)
}

/// The names of everything that is kept alive, once all its tables were found right. Nothing is remembered.
///
/// # Errors
/// The first mistake, with its line.
pub(crate) fn checked(sheet: &Sheet) -> Result<Vec<String>, String> {
    let names = sheet.managed(&Yard::checking())?.into_iter().map(|m| m.name).collect();
    // What the other process does is judged by whoever could be it: what it is given may be for its eyes alone.
    if sheet.apart()?.is_some() && rustix::process::geteuid().is_root() {
        sheet.at_hand(&Yard::checking())?;
    }
    Ok(names)
}

//! From the file's tables to what the engine and the server are told: names resolved, references checked,
//! sources and notifiers built. Every mistake is explained with its line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use notafter_act::notifiers::{self, BuildCx};
use notafter_act::roots::Roots;
use notafter_core::UnixTime;
use notafter_core::alert::decide::Patience;
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::finding::Severity;
use notafter_core::joints::{BoxFuture, Cx, Notifier, Source};
use notafter_core::notice::Notice;
use notafter_core::owner::{Match, Owner};
use notafter_core::policy::Policy;
use notafter_core::query::{Query, nearest, span};
use notafter_discover::sources;
use notafter_engine::setup::{Build, Channel, Person, Planned, Service, Setup};
use notafter_pki::fingerprint::{hex, sha256};
use notafter_pki::time::DAY;
use toml::Spanned;

use super::{Config, NotifierTable, SourceTable, human, line_of, until};
use crate::assemble::{self, Tables};
use crate::cli::Look;
use crate::moment;
use crate::prober::Coverage;
use crate::watches::Watch;

mod theirs;

use theirs::theirs;

/// The owner that is made up where the file names no default one.
pub(crate) const LAST_RESORT: &str = "operator";

/// A configuration with the file it came from.
pub(crate) struct Sheet {
    /// The file; `None`: there is none, and everything is as by default.
    pub(crate) file: Option<PathBuf>,
    /// Its text.
    pub(crate) text: String,
    /// Its tables.
    pub(crate) config: Config,
}

/// Owners by rule, how each is told, and who is told when nobody else is left.
type People = (Vec<Owner>, BTreeMap<String, Person>, String);
/// What is told that we live, and how often in seconds.
type Beats = (Arc<dyn notafter_core::joints::Pulse>, i64);

impl Sheet {
    /// A mistake in the `nth` table of a kind: with the line that it is about, else that of `at`.
    fn wrong_in(&self, table: &str, nth: usize, at: usize, who: &str, what: &str) -> String {
        let at = super::place::of(&self.text, table, nth, what).unwrap_or(at);
        self.wrong(Some(at), format!("{who}: {what}"))
    }

    pub(crate) fn wrong(&self, offset: Option<usize>, what: impl std::fmt::Display) -> String {
        let line = offset.map(|o| format!("line {}: ", line_of(&self.text, o))).unwrap_or_default();
        format!("{line}{what}")
    }

    /// What the engine is told. `watches` are what `notafter watch` added.
    ///
    /// # Errors
    /// The first mistake, with its line and what to do.
    pub(crate) fn setup(&self, watches: &[Watch]) -> Result<Setup, String> {
        self.made(watches, true)
    }

    /// The same for commands that tell nobody anything: no secret of a notifier is asked for, which the shell of whoever
    /// looks something up need not have.
    ///
    /// # Errors
    /// The first mistake, with its line and what to do.
    pub(crate) fn mute_setup(&self, watches: &[Watch]) -> Result<Setup, String> {
        self.made(watches, false)
    }

    /// Every mistake that can be told apart, for whoever checks a file; none where it is right.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let mut out = Vec::new();
        out.extend(self.web(None).err());
        out.extend(self.everywhere().err());
        let roots = Roots::read();
        out.extend((0..self.config.notifier.len()).filter_map(|nth| self.channel(nth, Some(&roots)).err()));
        let mut names = Vec::new();
        for nth in 0..self.config.source.len() {
            match self.nth_source(nth, &names) {
                Ok(planned) => names.push(planned.name),
                Err(wrong) => out.push(wrong),
            }
        }
        out.extend((0..self.config.owner.len()).filter_map(|nth| self.nth_owner(nth).err()));
        out.extend((0..self.config.service.len()).filter_map(|nth| self.nth_service(nth).err()));
        out.extend(self.planned_entries().err());
        if out.is_empty() {
            // What only shows when all of it is put together.
            out.extend(self.setup(&[]).err());
        }
        out
    }

    fn made(&self, watches: &[Watch], open: bool) -> Result<Setup, String> {
        let config = &self.config;
        self.everywhere()?;
        let channels = self.channels(open)?;
        let mut sources = self.sources()?;
        sources.extend(self.planned_entries()?);
        let (mut owners, mut people, last_resort) = self.owners(&channels)?;
        for watch in watches {
            let mut source = self.watched(watch)?;
            if let Some(notify) = &watch.notify {
                let (owner, person) = self.watch_owner(watch, notify)?;
                // Who watches hears that watching has stopped.
                source.owner = Some(owner.name.clone());
                people.insert(owner.name.clone(), person);
                owners.insert(0, owner);
            }
            sources.push(source);
        }
        for absence in &config.absence {
            let name = absence.owner.get_ref();
            let at = absence.owner.span().start;
            let person = people
                .get_mut(name)
                .ok_or_else(|| self.wrong(Some(at), format!("absence: no owner is called `{name}`")))?;
            let day = |text: &str| {
                moment::parse_at(text, UnixTime(0))
                    .map_err(|e| self.wrong(Some(at), format!("absence of {name}: {e}")))
            };
            person.absences.push((day(&absence.from)?, until(&absence.until, day(&absence.until)?)));
        }
        for table in &config.manual {
            if let Some(name) = table.owner.as_ref().filter(|name| !people.contains_key(*name)) {
                let at = table.name.span().start;
                return Err(self.wrong(Some(at), format!("manual: no owner is called `{name}`")));
            }
        }
        if sources.is_empty() {
            return Err("there is nothing to look at\nhint: add a [[source]]".to_owned());
        }
        let trust = assemble::trust(&self.roots()).map_err(|e| format!("roots: {}", with_hint(&e)))?;
        let gone_after = self.span_at(config.server.gone_after.as_ref(), 7 * DAY, "gone_after")?;
        let policy = Policy {
            max_days: config.policy.max_days,
            issuers: config.policy.issuers.clone(),
            gone_after: Some(gone_after),
            calendar: config.calendar().map_err(|(at, what)| self.wrong(Some(at), what))?,
            owners_expected: config.owner.iter().any(|o| !o.matches.is_empty()),
            watched: self.coverage(watches).0.watched(true),
            stakes: super::stakes::stakes(config),
        };
        let key = format!(
            "{} {owners:?} {policy:?} {}",
            env!("CARGO_PKG_VERSION"),
            trust.iter().map(|(der, set)| format!("{set}{}", hex(&sha256(der)[..8]))).collect::<String>()
        );
        Ok(Setup {
            sources,
            trust,
            policy,
            owners,
            people,
            last_resort,
            channels,
            services: self.services()?,
            pulse: if open { self.pulse()? } else { None },
            public_url: self.web(None)?.public_url,
            digest: self.digest()?,
            patience: patience(),
            keeping: None,
            judgment_key: hex(&sha256(key.as_bytes())),
        })
    }

    /// What holds for every source: a mistake there is named by its own line, not by that of a source.
    fn everywhere(&self) -> Result<(), String> {
        let wrong = |at: usize, e: crate::commands::Usage| self.wrong(Some(at), with_hint(&e));
        for text in &self.config.scan.exclude {
            let mut exclude = notafter_discover::exclude::Exclude::default();
            assemble::spare(&mut exclude, text.get_ref()).map_err(|e| wrong(text.span().start, e))?;
        }
        if let Some(text) = &self.config.server.resolver {
            assemble::resolver(text.get_ref()).map_err(|e| wrong(text.span().start, e))?;
        }
        for file in &self.config.server.roots {
            assemble::certificates(file.get_ref())
                .map_err(|e| self.wrong(Some(file.span().start), format!("roots: {}", with_hint(&e))))?;
        }
        Ok(())
    }

    /// The files with further roots.
    pub(crate) fn roots(&self) -> Vec<PathBuf> {
        self.config.server.roots.iter().map(|file| file.get_ref().clone()).collect()
    }

    fn digest(&self) -> Result<Option<(u8, u32)>, String> {
        match &self.config.server.digest {
            Some(text) => digest(text.get_ref()).map_err(|e| self.wrong(Some(text.span().start), e)),
            None => digest("mon 08:00"),
        }
    }

    fn span_at(&self, text: Option<&Spanned<String>>, usual: i64, what: &str) -> Result<i64, String> {
        let at = text.map(|t| t.span().start);
        self.span(text.map(|t| t.get_ref().as_str()), usual, what).map_err(|e| self.wrong(at, e))
    }

    fn span(&self, text: Option<&str>, usual: i64, what: &str) -> Result<i64, String> {
        let Some(text) = text else { return Ok(usual) };
        span(text)
            .filter(|s| *s > 0)
            .ok_or_else(|| format!("{what} = \"{text}\" is no span of time\nhint: write 90s, 5m, 6h or 30d"))
    }

    fn channels(&self, open: bool) -> Result<BTreeMap<String, Channel>, String> {
        let roots = open.then(Roots::read);
        let mut out = BTreeMap::new();
        for nth in 0..self.config.notifier.len() {
            let (name, channel) = self.channel(nth, roots.as_ref())?;
            out.insert(name, channel);
        }
        Ok(out)
    }

    /// The channel of one table, by its name; without roots it carries nothing and asks for no secret.
    ///
    /// # Errors
    /// The first mistake in it.
    pub(crate) fn channel(&self, nth: usize, roots: Option<&Roots>) -> Result<(String, Channel), String> {
        let Some(table) = self.config.notifier.get(nth) else { return Err("no such notifier".to_owned()) };
        let name = table.name.get_ref().clone();
        let at = table.name.span().start;
        let wrong = |what: String| self.wrong_in("notifier", nth, at, &format!("notifier `{name}`"), &what);
        if name.contains(':') || name.is_empty() {
            return Err(wrong("a name has no colon: what follows one is the address".to_owned()));
        }
        if self.config.notifier.iter().take(nth).any(|other| *other.name.get_ref() == name) {
            return Err(wrong("there are two of this name\nhint: call one of them otherwise".to_owned()));
        }
        let settings = rest(table).map_err(&wrong)?;
        let kind = kind(table).map_err(&wrong)?;
        let notifier: Arc<dyn Notifier> = match roots {
            Some(roots) => (kind.build)(settings, &BuildCx { roots: roots.clone() })
                .map(Arc::from)
                .map_err(|e| wrong(setting(&e)))?,
            None => Arc::new(Mute),
        };
        let least = match table.severity.as_deref() {
            None | Some("info") => Severity::Info,
            Some("warning") => Severity::Warning,
            Some("critical") => Severity::Critical,
            Some(other) => {
                return Err(wrong(format!("severity = \"{other}\" is not critical, warning or info")));
            }
        };
        Ok((name, Channel { notifier, least }))
    }

    /// An owner of the file, and how it is told.
    fn nth_owner(&self, nth: usize) -> Result<(Owner, Person), String> {
        let owners = &self.config.owner;
        let Some(table) = owners.get(nth) else { return Err("no such owner".to_owned()) };
        let names: BTreeSet<&str> = owners.iter().map(|o| o.name.get_ref().as_str()).collect();
        let name = table.name.get_ref();
        let at = table.name.span().start;
        let wrong = |what: String| self.wrong_in("owner", nth, at, &format!("owner `{name}`"), &what);
        if owners.iter().take(nth).any(|other| other.name.get_ref() == name) {
            return Err(wrong("there are two of this name\nhint: call one of them otherwise".to_owned()));
        }
        let before = owners.iter().take(nth).find(|other| other.default);
        if let (true, Some(other)) = (table.default, before) {
            return Err(wrong(format!(
                "default = true, and {} is the owner of last resort already\nhint: there is one; take it away here or \
                 there",
                other.name.get_ref()
            )));
        }
        let owner = table.owner().map_err(&wrong)?;
        let mut notify = Vec::new();
        for text in &table.notify {
            notify.push(self.address(text).map_err(|e| wrong(format!("notify: {e}")))?);
        }
        if let Some(next) = &table.escalate_to {
            if next == name {
                let hint = "hint: name somebody else, or leave it out: the owner of last resort is told";
                return Err(wrong(format!("escalate_to: `{next}` would be told by {next} again\n{hint}")));
            }
            if !names.contains(next.as_str()) {
                let hint =
                    nearest(next, names.iter().copied()).map(|n| format!("\nhint: did you mean `{n}`?"));
                let hint = hint.unwrap_or_default();
                return Err(wrong(format!("escalate_to: no owner is called `{next}`{hint}")));
            }
        }
        let after = table.escalate_after.as_deref();
        let escalate_after =
            after.map(|text| self.span(Some(text), 0, "escalate_after").map_err(&wrong)).transpose()?;
        let escalate_to = table.escalate_to.clone();
        Ok((owner, Person { notify, escalate_to, escalate_after, absences: Vec::new() }))
    }

    fn owners(&self, channels: &BTreeMap<String, Channel>) -> Result<People, String> {
        let (mut owners, mut people) = (Vec::new(), BTreeMap::new());
        for nth in 0..self.config.owner.len() {
            let (owner, person) = self.nth_owner(nth)?;
            people.insert(owner.name.clone(), person);
            owners.push(owner);
        }
        let last_resort = match owners.iter().find(|o| o.default) {
            Some(owner) => owner.name.clone(),
            None => {
                // An owner of last resort always exists: whoever runs this, by every channel there is. Somebody who
                // is called so already is that one, by the channels of their own.
                let person: &mut Person = people.entry(LAST_RESORT.to_owned()).or_default();
                if person.notify.is_empty() {
                    // One that cannot do without an address reaches nobody by itself.
                    let reaches = |name: &&String| self.address(name).is_ok();
                    person.notify =
                        channels.keys().filter(reaches).map(|name| (name.clone(), None)).collect();
                }
                LAST_RESORT.to_owned()
            }
        };
        Ok((owners, people, last_resort))
    }

    fn sources(&self) -> Result<Vec<Planned>, String> {
        if self.config.source.is_empty() {
            return usual(&self.look());
        }
        let (mut out, mut names) = (Vec::new(), Vec::new());
        for nth in 0..self.config.source.len() {
            let planned = self.nth_source(nth, &names)?;
            names.push(planned.name.clone());
            out.push(planned);
        }
        Ok(out)
    }

    /// A source of the file; `names` are those of the ones before it.
    fn nth_source(&self, nth: usize, names: &[String]) -> Result<Planned, String> {
        let Some(table) = self.config.source.get(nth) else { return Err("no such source".to_owned()) };
        let at = table.kind.span().start;
        let kind = table.kind.get_ref().as_str();
        let wanted = table.name.clone().unwrap_or_else(|| kind.to_owned());
        let wrong =
            |name: &str, what: &str| self.wrong_in("source", nth, at, &format!("source `{name}`"), what);
        let ours = [("watch ", "is `notafter watch`'s"), ("own ", "is about what is kept alive here")];
        if let Some((begin, whose)) = ours.iter().find(|(begin, _)| wanted.starts_with(begin)) {
            let what = format!("name: what begins with `{begin}` {whose}\nhint: call it otherwise");
            return Err(wrong(&wanted, &what));
        }
        let is_taken = |name: &String| names.contains(name);
        if is_taken(&wanted) && table.name.is_some() {
            return Err(wrong(&wanted, "name: two sources are called so\nhint: call one of them otherwise"));
        }
        let free = (2..).map(|n| format!("{wanted}-{n}")).find(|name| !is_taken(name));
        let name = if is_taken(&wanted) { free.unwrap_or_default() } else { wanted };
        self.source(&name, kind, table).map_err(|what| wrong(&name, &what))
    }

    /// What the sources cover, and how a single look is made.
    pub(crate) fn coverage(&self, watches: &[Watch]) -> (Coverage, Look) {
        let mut out = Coverage::default();
        if self.config.source.is_empty() {
            out.add(&["localhost".to_owned()], "common");
            out.add(&assemble::usual_folders(), "common");
        }
        for table in &self.config.source {
            if table.kind.get_ref() == "local" {
                out.add(&["localhost".to_owned()], "common");
            }
            let ports: Vec<_> = table.ports.iter().map(ToString::to_string).collect();
            let ports = if ports.is_empty() { "common".to_owned() } else { ports.join(",") };
            out.add(&table.targets, &ports);
            let paths: Vec<_> = table.paths.iter().map(|p| folder(p)).collect();
            out.add(&paths, &ports);
        }
        for target in self.config.certificate.iter().flat_map(|certificate| &certificate.target) {
            let places = target.prove.iter().filter(|at| !target.excuse.contains_key(*at));
            out.add(&places.cloned().collect::<Vec<_>>(), "common");
        }
        for watch in watches {
            out.add(&watch.targets, "common");
        }
        (out, self.look())
    }

    /// How a source looks where its table says nothing else.
    pub(crate) fn look(&self) -> Look {
        let exclude = self.config.scan.exclude.iter().map(|text| text.get_ref().clone()).collect();
        let resolver = self.config.server.resolver.clone().map(Spanned::into_inner);
        Look { exclude, resolver, ..Look::default() }
    }

    fn source(&self, name: &str, kind: &str, table: &SourceTable) -> Result<Planned, String> {
        let mut look = self.look();
        look.exclude.extend(table.exclude.iter().cloned());
        let (targets, usual) = match kind {
            "local" => {
                if !(table.targets.is_empty() && table.paths.is_empty()) {
                    return Err("local is what listens here: it takes neither targets nor paths".to_owned());
                }
                (vec!["localhost".to_owned()], 3600)
            }
            "network" => {
                if !table.paths.is_empty() {
                    return Err("paths belong to kind = \"files\"".to_owned());
                }
                look.ports = match table.ports.as_slice() {
                    [] => "common".to_owned(),
                    ports => ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
                };
                look.starttls = table.starttls.clone();
                look.sni = table.sni.clone();
                (look.prove, look.both, look.gentle) = (table.prove, table.both, table.gentle);
                if table.rate == Some(0) {
                    return Err(
                        "rate = 0 would ask nothing\nhint: write 1 or more, or leave it out".to_owned()
                    );
                }
                look.rate = table.rate;
                look.concurrency = table.concurrency.unwrap_or(look.concurrency).max(1);
                look.timeout = table.timeout.clone().unwrap_or(look.timeout);
                (table.targets.clone(), 3600)
            }
            kind if kind == "files" || LIKE_FILES.contains(&kind) => {
                if !table.targets.is_empty() {
                    return Err("targets belong to kind = \"network\"; write paths".to_owned());
                }
                look.password_file = table.password_file.clone();
                // A path that looks like a host would be taken for one.
                let paths: Vec<String> = table.paths.iter().map(|p| folder(p)).collect();
                let usual = paths.is_empty() && kind != "files";
                (if usual { assemble::usual_folders() } else { paths }, 6 * 3600)
            }
            other => return self.worded(name, other, table, &look),
        };
        if let Some(key) = table.rest.keys().next() {
            return Err(unknown(key, OWN_KEYS));
        }
        if targets.is_empty() {
            return Err("it names nothing to look at".to_owned());
        }
        let every = self.span(table.every.as_deref(), usual, "every")?;
        planned(name, targets, every, look, assemble::tables(&self.config))
    }

    /// A source that is named by a word.
    fn worded(&self, name: &str, kind: &str, table: &SourceTable, look: &Look) -> Result<Planned, String> {
        let Some(known) = sources::named(kind) else {
            let names =
                ["network", "files", "local"].into_iter().chain(sources::SOURCES.iter().map(|k| k.name));
            let hint = match nearest(kind, names.clone()) {
                _ if LATER.contains(&kind) => "not in this version".to_owned(),
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are {}", names.collect::<Vec<_>>().join(", ")),
            };
            return Err(format!("no kind of source is called `{kind}`\nhint: {hint}"));
        };
        if let Some(key) = table.rest.keys().find(|key| !known.keys.contains(&key.as_str())) {
            return Err(unknown(key, known.keys));
        }
        let every = self.span(table.every.as_deref(), known.every, "every")?;
        let (look, kind, rest) = (look.clone(), known.name, table.rest.clone());
        let tables = assemble::tables(&self.config);
        let beside = self.coverage(&[]).0.targets().into();
        let build: Build = Arc::new(move |targets: &[String]| {
            let source = assemble::worded_source(kind, targets, &rest, &look, &tables, &beside);
            let source = source.map_err(|e| with_hint(&e))?;
            Ok(vec![Arc::from(source)])
        });
        build(&[])?;
        Ok(Planned { name: name.to_owned(), every, targets: Vec::new(), owner: None, build })
    }

    fn watched(&self, watch: &Watch) -> Result<Planned, String> {
        let tables = assemble::tables(&self.config);
        planned(&watch.source_name(), watch.targets.clone(), watch.every, self.look(), tables)
    }

    /// The rows of the status page.
    ///
    /// # Errors
    /// A place that is no term of the search language.
    pub(crate) fn services(&self) -> Result<Vec<Service>, String> {
        (0..self.config.service.len()).map(|nth| self.nth_service(nth)).collect()
    }

    fn nth_service(&self, nth: usize) -> Result<Service, String> {
        let services = &self.config.service;
        let Some(table) = services.get(nth) else { return Err("no such service".to_owned()) };
        let name = table.name.get_ref();
        let at = table.name.span().start;
        let wrong = |what: String| self.wrong_in("service", nth, at, &format!("service `{name}`"), &what);
        if services.iter().take(nth).any(|other| other.name.get_ref() == name) {
            return Err(wrong("there are two of this name\nhint: call one of them otherwise".to_owned()));
        }
        let mut places = Vec::new();
        for text in &table.places {
            let read = Query::parse(text).map_err(|e| wrong(format!("places: in `{text}`: {e}")))?;
            places.extend(read.terms);
        }
        if places.is_empty() {
            return Err(wrong("places: it has none".to_owned()));
        }
        Ok(Service { name: name.clone(), places, public: table.public })
    }

    /// `NOTIFIER` or `NOTIFIER:ADDRESS`, checked.
    fn address(&self, text: &str) -> Result<(String, Option<String>), String> {
        let (name, to) = match text.split_once(':') {
            Some((name, to)) => (name, Some(to.to_owned())),
            None => (text, None),
        };
        let tables = &self.config.notifier;
        if let Some(table) = tables.iter().find(|table| table.name.get_ref() == name) {
            // A kind that is none is the notifier's own mistake.
            if let (Ok(kind), Ok(settings)) = (kind(table), rest(table)) {
                (kind.address)(&settings, to.as_deref()).map_err(|e| {
                    let (what, hint) = e.split_once("\nhint: ").unwrap_or((&e, ""));
                    let shown = notafter_act::text::clean(text, 100);
                    let hint = if hint.is_empty() { String::new() } else { format!("\nhint: {hint}") };
                    format!("`{shown}`: {what}{hint}")
                })?;
            }
            return Ok((name.to_owned(), to));
        }
        let shown = notafter_act::text::clean(name, 100);
        let hint = match nearest(name, tables.iter().map(|table| table.name.get_ref().as_str())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add a [[notifier]] with name = \"{shown}\""),
        };
        Err(format!("no notifier is called `{shown}`\nhint: {hint}"))
    }

    fn watch_owner(&self, watch: &Watch, notify: &str) -> Result<(Owner, Person), String> {
        let name = format!("watch {notify}");
        let matches: Vec<Match> = watch.targets.iter().flat_map(|t| theirs(t)).collect();
        if matches.is_empty() {
            let what = format!("--notify: it cannot be told what belongs to `{}`", watch.targets.join(" "));
            return Err(format!(
                "{what}\nhint: make it a [[source]], and an [[owner]] with a match of its own"
            ));
        }
        let address = self.address(notify).map_err(|e| format!("--notify: {e}"))?;
        let person = Person { notify: vec![address], ..Person::default() };
        Ok((Owner { name, matches, default: false, needs_days: None }, person))
    }

    fn pulse(&self) -> Result<Option<Beats>, String> {
        let Some(written) = &self.config.heartbeat else { return Ok(None) };
        let table = written.get_ref();
        let every = self.span_at(table.every.as_ref(), 300, "heartbeat: every")?;
        let pulse = notafter_act::pulse::HttpPulse::new(&table.url, table.ca_file.as_deref())
            .map_err(|e| self.wrong(Some(written.span().start), format!("heartbeat: {e}")))?;
        Ok(Some((Arc::new(pulse), every)))
    }
}

/// A channel of a command that sends nothing.
struct Mute;

impl Notifier for Mute {
    fn notify<'a>(
        &'a self,
        _: &'a Cx,
        _: Option<&'a str>,
        _: &'a Notice,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        let fault = Fault::new(FaultKind::Invalid, "this command sends nothing");
        Box::pin(async { Err(fault) })
    }
}

/// Kinds of source that a later version has.
const LATER: &[&str] = &["k8s", "aws", "azure", "gcp", "vault"];

/// What every walk over files reads: a source of one of these kinds is one of `files`, by default where such things
/// usually lie.
pub(super) const LIKE_FILES: &[&str] = &["configs", "renewers", "ssh", "openpgp", "tokens", "signatures"];

/// The kind that asks ports.
pub(super) const NETWORK: &[&str] = &["network"];

/// The keys of network and files.
const OWN_KEYS: &[&str] = &[
    "targets",
    "ports",
    "starttls",
    "sni",
    "prove",
    "both",
    "gentle",
    "rate",
    "concurrency",
    "timeout",
    "paths",
    "password_file",
    "exclude",
    "every",
    "name",
];

/// A key that this kind of source does not have.
fn unknown(key: &str, known: &[&str]) -> String {
    let hint = match nearest(key, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", known.join(", ")),
    };
    format!("unknown key `{key}`\nhint: {hint}")
}

/// Where the server looks when told nothing: what listens here, and the usual certificate folders.
fn usual(look: &Look) -> Result<Vec<Planned>, String> {
    let folders = assemble::usual_folders();
    let mut out = vec![planned("this-host", vec!["localhost".to_owned()], 3600, look.clone(), Vec::new())?];
    if !folders.is_empty() {
        out.push(planned("usual-folders", folders, 6 * 3600, look.clone(), Vec::new())?);
    }
    Ok(out)
}

/// A source that is built anew for every run, so that names resolve and folders are listed at that time.
fn planned(
    name: &str,
    targets: Vec<String>,
    every: i64,
    look: Look,
    tables: Tables,
) -> Result<Planned, String> {
    let build: Build = Arc::new(move |targets: &[String]| {
        let sources = assemble::sources_for(targets, &look, &tables).map_err(|e| with_hint(&e))?;
        Ok(sources.into_iter().map(|s| -> Arc<dyn Source> { Arc::from(s) }).collect())
    });
    // Once now: a mistake is said at the start, not at the first run.
    build(&targets)?;
    Ok(Planned { name: name.to_owned(), every, targets, owner: None, build })
}

fn with_hint(usage: &crate::commands::Usage) -> String {
    match &usage.hint {
        Some(hint) => format!("{}\nhint: {hint}", usage.message),
        None => usage.message.clone(),
    }
}

/// A notifier's complaint about its settings, with the nearest word that it knows.
fn setting(message: &str) -> String {
    match super::near(message) {
        Some(near) => format!("{message}\nhint: did you mean `{near}`?"),
        None => human(message),
    }
}

fn folder(path: &str) -> String {
    if path.starts_with(['/', '.', '~']) { path.to_owned() } else { format!("./{path}") }
}

/// The settings of a notifier's kind, as its builder wants them.
pub(crate) fn rest(table: &NotifierTable) -> Result<serde_json::Value, String> {
    serde_json::to_value(&table.rest).map_err(|e| e.to_string())
}

/// A notifier's kind.
pub(crate) fn kind(table: &NotifierTable) -> Result<&'static notifiers::NotifierKind, String> {
    notifiers::find(&table.kind).ok_or_else(|| {
        let known: Vec<_> = notifiers::NOTIFIERS.iter().map(|k| k.name).collect();
        let hint = match nearest(&table.kind, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", known.join(", ")),
        };
        format!("no kind of notifier is called `{}`\nhint: {hint}", table.kind)
    })
}

/// `mon 08:00`, `off`.
fn digest(text: &str) -> Result<Option<(u8, u32)>, String> {
    if text == "off" {
        return Ok(None);
    }
    let wrong = || format!("digest = \"{text}\" is no day and time\nhint: write \"mon 08:00\" or \"off\"");
    let (day, time) = text.split_once(' ').ok_or_else(wrong)?;
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let day = DAYS.iter().position(|d| *d == day.to_ascii_lowercase()).ok_or_else(wrong)?;
    let (hour, minute) = time.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str, most: u32| text.parse::<u32>().ok().filter(|n| *n < most).ok_or_else(wrong);
    Ok(Some((day as u8, number(hour, 24)? * 3600 + number(minute, 60)? * 60)))
}

/// How long new alerts wait for more of the same. Tests of the whole program cannot wait for minutes: they set
/// `NOTAFTER_SETTLE` to seconds.
fn patience() -> Patience {
    let usual = Patience::default();
    match std::env::var("NOTAFTER_SETTLE").ok().and_then(|s| s.parse().ok()) {
        Some(settle) => Patience { settle, settle_most: usual.settle_most.max(settle), mended: settle },
        None => usual,
    }
}

#[cfg(test)]
mod tests;

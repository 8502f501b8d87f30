//! What other renewers mean to do and how they fare: their lineages, plans, hooks, timers and last errors.
//!
//! One file a tool below, one line in [`RENEWERS`]. Pure readers over a [`Tree`], like those of `configs`.
//! They deliberately open no certificate and run no tool: whether a plan was kept is judged by what is
//! served, and a log is believed only for what failed. Local times in logs are taken for UTC, which may be
//! wrong by half a day and never matters here.

mod acme_sh;
mod blank;
mod caddy;
mod cert_manager;
mod certbot;
mod credentials;
mod dates;
mod dehydrated;
mod lego;
mod rhythm;
mod timers;
mod traefik;

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use notafter_core::UnixTime;
use notafter_core::location::Location;
use notafter_core::observation::{Link, LinkKind, Reason};
use notafter_core::upkeep::{Before, Credential, Failures, Starter, Upkeep};

use crate::configs::{At, Blind};
use crate::tree::Tree;
pub use credentials::Ends;
pub use timers::Timer;

/// A tool that renews.
pub struct Renewer {
    /// Its name, as users say it.
    pub name: &'static str,
    /// Where its state usually lies: folders, as patterns from the root.
    pub homes: &'static [&'static str],
    /// The folder of its state, if this file, met on a walk, is part of one. Asked with the path and the first bytes.
    pub home_of: fn(&Path, &[u8]) -> Option<PathBuf>,
    /// Reads the state in a folder.
    read: fn(&mut State<'_>, &Path),
}

/// Every renewer that is known.
pub const RENEWERS: &[Renewer] = &[
    certbot::RENEWER,
    acme_sh::RENEWER,
    lego::RENEWER,
    dehydrated::RENEWER,
    caddy::RENEWER,
    traefik::RENEWER,
    cert_manager::RENEWER,
];

/// What a renewer keeps alive, and how it is doing.
#[derive(Debug, Clone)]
pub struct Renewed {
    /// The tool's name, one of [`RENEWERS`].
    pub tool: &'static str,
    /// The tool's own name for it.
    pub lineage: String,
    /// The names it asks for, as far as its state says them.
    pub names: Vec<String>,
    /// The files in which the certificate is: as served first, links and copies after.
    pub certificates: Vec<PathBuf>,
    /// The file of the key.
    pub key: Option<PathBuf>,
    /// When the tool itself means to renew.
    pub planned: Option<UnixTime>,
    /// So long before the end it renews, where it says that instead.
    pub before: Option<Before>,
    /// Is it renewed without being asked? Some tools keep what they shall not renew.
    pub automatic: bool,
    /// Its account, by whatever the tool calls it.
    pub account: Option<String>,
    /// The directory URL of its CA, or the tool's short word for it.
    pub server: Option<String>,
    /// How it proves control: a plugin, a webroot, a DNS provider.
    pub solver: Option<String>,
    /// The folders that it puts answers into, where it proves control by those.
    pub webroots: Vec<PathBuf>,
    /// Commands that are run before and after.
    pub hooks: Vec<String>,
    /// What starts the tool, if something was found that does.
    pub timer: Option<Timer>,
    /// Was it looked for where it would be? Only then does none mean that nobody will renew it.
    pub timer_known: bool,
    /// When the tool last ran, as far as it can be told.
    pub last_run: Option<UnixTime>,
    /// Is it renewed from within a running process, which needs no timer?
    pub resident: bool,
    /// Failures since it last went well.
    pub failures: Option<Failed>,
    /// What in its state will make the next attempt fail: links that lead nowhere, an account that is gone.
    pub broken: Vec<String>,
    /// What it signs in with, where that has an end: the file, and what it says.
    pub credentials: Vec<(PathBuf, Ends)>,
    /// Where it says all that.
    pub at: At,
    /// The folder of the tool's state.
    pub home: PathBuf,
}

/// Attempts that failed, with none that went well after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// How many are known.
    pub count: u32,
    /// The first.
    pub first: UnixTime,
    /// The last.
    pub last: UnixTime,
    /// What was said about the last.
    pub message: String,
    /// Where it was said.
    pub path: PathBuf,
}

/// Attempts that come so soon after one another are one, in seconds: a tool says more than once what went wrong.
const ATTEMPT: i64 = 600;
/// A message longer than this is cut, in characters.
const MESSAGE_MAX: usize = 500;

impl Failed {
    /// One more failure after those that are known.
    fn more(known: Option<Self>, at: UnixTime, message: &str, path: &Path) -> Self {
        let message: String = message.chars().filter(|c| !c.is_control()).take(MESSAGE_MAX).collect();
        match known {
            // What is said first is the reason; what follows repeats that it failed.
            Some(one) if at.0.saturating_sub(one.last.0) < ATTEMPT => Self { last: one.last.max(at), ..one },
            Some(one) => {
                let count = one.count.saturating_add(1);
                Self { count, first: one.first, last: at, message, path: path.to_owned() }
            }
            None => Self { count: 1, first: at, last: at, message, path: path.to_owned() },
        }
    }
}

impl Renewed {
    fn new(tool: &'static str, lineage: &str, at: At) -> Self {
        Self {
            tool,
            lineage: lineage.to_owned(),
            names: Vec::new(),
            certificates: Vec::new(),
            key: None,
            planned: None,
            before: None,
            automatic: true,
            account: None,
            server: None,
            solver: None,
            webroots: Vec::new(),
            hooks: Vec::new(),
            timer: None,
            timer_known: false,
            last_run: None,
            resident: false,
            failures: None,
            broken: Vec::new(),
            credentials: Vec::new(),
            at,
            home: PathBuf::new(),
        }
    }

    /// The same in the words of the inventory, with places as this machine has them.
    pub fn renewal(&self, tree: &Tree) -> Upkeep {
        let place = |path: &Path| Location::file(tree.outside(path).as_os_str().as_bytes(), "");
        let printable = |text: &str| notafter_pki::name::printable(text);
        let all = |list: &[String]| list.iter().map(|text| printable(text)).collect();
        let maybe = |text: &Option<String>| text.as_deref().map(printable);
        let credential = |(path, ends): &(PathBuf, Ends)| Credential {
            place: place(path),
            what: printable(&ends.what),
            from: ends.from,
            until: ends.until,
        };
        Upkeep {
            tool: self.tool.to_owned(),
            lineage: printable(&self.lineage),
            state: place(&self.at.path),
            home: place(&self.home),
            names: all(&self.names),
            certificates: self.certificates.iter().map(|path| place(path)).collect(),
            planned: self.planned,
            before: self.before,
            automatic: self.automatic,
            resident: self.resident,
            account: maybe(&self.account),
            server: maybe(&self.server),
            solver: maybe(&self.solver),
            hooks: self.hooks.iter().map(|hook| printable(&blank::blanked(hook))).collect(),
            starter: self.timer.as_ref().map(|timer| Starter {
                what: printable(&timer.what),
                place: place(&timer.path),
                enabled: timer.enabled,
                every: timer.every,
            }),
            starter_known: self.timer_known,
            last_run: self.last_run,
            failures: self.failures.as_ref().map(|failed| Failures {
                count: failed.count,
                first: failed.first,
                last: failed.last,
                message: printable(&failed.message),
                place: place(&failed.path),
            }),
            broken: all(&self.broken),
            credentials: self.credentials.iter().map(credential).collect(),
        }
    }

    /// Which files it keeps alive, as links to where it says so.
    pub fn links(&self, tree: &Tree) -> Vec<Link> {
        let place = |path: &Path| Location::file(tree.outside(path).as_os_str().as_bytes(), "");
        let how = if self.automatic { "renews" } else { "keeps, and does not renew by itself," };
        let evidence = notafter_pki::name::printable(&format!("{} {how} {}", self.tool, self.lineage));
        let link = |path: &PathBuf| Link {
            kind: LinkKind::ManagedBy,
            from: place(path),
            to: place(&self.at.path),
            evidence: evidence.clone(),
        };
        self.certificates.iter().map(link).collect()
    }
}

/// Everything that renewers' state says.
#[derive(Debug, Default)]
pub struct Renewals {
    /// What is renewed.
    pub renewed: Vec<Renewed>,
    /// What could not be told.
    pub blind: Vec<Blind>,
}

/// So many lineages are read of one tool. Hosters have a hundred thousand.
const LINEAGES_MAX: usize = 200_000;
/// So many folders of state of one walk are read.
const HOMES_MAX: usize = 1000;
/// So many files are looked at for credentials of one lineage.
const CREDENTIALS_MAX: usize = 16;
/// So much of a log is read, from its end, in bytes.
const LOG_MAX: u64 = 1 << 20;

/// Is one of these words in what a walk has of a file's beginning?
fn says(start: &[u8], words: &[&str]) -> bool {
    words.iter().any(|word| memchr::memmem::find(start, word.as_bytes()).is_some())
}

/// The state of a reading.
struct State<'t> {
    tree: &'t Tree,
    timers: &'t timers::Timers,
    /// Is the folder that is read one where the tool's state usually lies?
    usual: bool,
    home: PathBuf,
    out: Renewals,
}

impl State<'_> {
    /// The text of a file; where it cannot be had, that is a blind spot.
    fn text(&mut self, path: &Path) -> Option<String> {
        match self.tree.read(path) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => {
                let (reason, why) = crate::files::why(&error);
                self.blind(path, reason, why);
                None
            }
        }
    }

    /// The text of a file that need not be there.
    fn maybe(&self, path: &Path) -> Option<String> {
        self.tree.read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn blind(&mut self, path: &Path, reason: Reason, why: String) {
        self.out.blind.push(Blind { at: At::file(path), reason, why });
    }

    /// A path that a file of the state names.
    fn path(&self, text: &str) -> PathBuf {
        self.tree.inside(Path::new(text))
    }

    /// What starts this program for the state that is read.
    fn timer(&self, program: &str) -> Option<Timer> {
        self.timers.of(program, &self.home, self.usual)
    }

    /// When a timer of this program last started it.
    fn stamp(&self, program: &str) -> Option<UnixTime> {
        self.timers.last_run(program).filter(|_| self.usual)
    }

    /// The ends of credentials in these files.
    fn credentials(&self, paths: &[PathBuf]) -> Vec<(PathBuf, Ends)> {
        let mut out: Vec<(PathBuf, Ends)> = Vec::new();
        let mut seen: Vec<&PathBuf> = Vec::new();
        for path in paths {
            if seen.len() < CREDENTIALS_MAX && !seen.contains(&path) && self.tree.is_file(path) {
                seen.push(path);
                out.extend(credentials::ends(self.tree, path).into_iter().map(|ends| (path.clone(), ends)));
            }
        }
        out
    }

    /// The files that what starts it names: its environment, the script's settings.
    fn named_by(&self, timer: Option<&Timer>) -> Vec<PathBuf> {
        let Some(timer) = timer else { return Vec::new() };
        let texts = [timer.command.as_str(), timer.script.as_str()];
        let files = texts.into_iter().flat_map(timers::named).map(|path| self.path(path));
        files.take(CREDENTIALS_MAX * 4).collect()
    }

    /// The log that a command writes: the file behind `>`.
    fn log_of(&self, timer: Option<&Timer>) -> Option<(PathBuf, String)> {
        let timer = timer?;
        let lines = timer.command.lines().chain(timer.script.lines());
        let path = lines.filter_map(|line| {
            let word = line.split('>').skip(1).map(str::trim_start).find(|part| part.starts_with('/'))?;
            word.split(|c: char| c.is_whitespace() || c == ';').next()
        });
        let path = path.map(|p| self.path(p)).find(|p| !p.starts_with("/dev"))?;
        let bytes = self.tree.tail(&path, LOG_MAX).ok()?;
        Some((path, String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn put(&mut self, mut renewed: Renewed) {
        let mut seen = std::collections::HashSet::new();
        renewed.certificates.retain(|path| seen.insert(path.clone()));
        renewed.home.clone_from(&self.home);
        renewed.timer_known = self.usual && self.timers.known;
        renewed.last_run =
            [renewed.last_run, renewed.timer.as_ref().and_then(|t| t.last_run)].into_iter().flatten().max();
        if !renewed.resident && renewed.automatic && self.tree.is_full(&self.home) {
            renewed.broken.push(format!("the file system of {} is full", self.home.display()));
        }
        if self.out.renewed.len() < LINEAGES_MAX {
            self.out.renewed.push(renewed);
        }
    }
}

/// Reads the state of every renewer where it usually lies.
pub fn read_tree(tree: &Tree) -> Renewals {
    let timers = timers::Timers::read(tree);
    let mut out = Renewals::default();
    for renewer in RENEWERS {
        let mut seen: Vec<PathBuf> = Vec::new();
        for home in renewer.homes.iter().flat_map(|pattern| tree.glob(Path::new(pattern))) {
            let Ok(real) = tree.resolve(&home) else { continue };
            if tree.is_folder(&real) && !seen.contains(&real) {
                seen.push(real);
                let found = read_home(tree, &timers, renewer, &home, true);
                // Two folders of one tool may be halves of one state.
                let known = |r: &Renewed| {
                    let same = |k: &Renewed| k.tool == r.tool && k.at == r.at && k.lineage == r.lineage;
                    out.renewed.iter().any(same)
                };
                let fresh: Vec<Renewed> =
                    found.renewed.into_iter().filter(|r| r.tool != "dehydrated" || !known(r)).collect();
                out.renewed.extend(fresh);
                out.blind.extend(found.blind);
            }
        }
    }
    out
}

/// Reads the state in one folder, which [`recognise`] or a user named.
pub fn read_with(tree: &Tree, renewer: &'static Renewer, home: &Path) -> Renewals {
    let usual =
        renewer.homes.iter().any(|pattern| fits(pattern, home).is_some_and(|rest| rest == Path::new("/")));
    read_home(tree, &timers::Timers::read(tree), renewer, home, usual)
}

fn read_home(tree: &Tree, timers: &timers::Timers, renewer: &Renewer, home: &Path, usual: bool) -> Renewals {
    let mut state = State { tree, timers, usual, home: home.to_owned(), out: Renewals::default() };
    (renewer.read)(&mut state, home);
    state.out
}

/// What stands before the end of this path that fits the pattern: the root of the system that it is part of. `/etc/x`
/// is part of this one, `/srv/image/etc/x` of the one below `/srv/image`.
fn fits(pattern: &str, home: &Path) -> Option<PathBuf> {
    let mut above = home;
    for part in pattern.rsplit('/').filter(|p| !p.is_empty()) {
        let name = above.file_name()?;
        if !crate::tree::matches(part.as_bytes(), name.as_bytes()) {
            return None;
        }
        above = above.parent()?;
    }
    Some(above.to_owned())
}

/// Reads the state of renewers that a walk of this machine met, each folder once: what starts things is read once for
/// each system that they are part of.
#[derive(Default)]
pub struct Met {
    homes: Vec<(&'static Renewer, PathBuf)>,
}

impl Met {
    /// Remembers a folder that [`recognise`] found.
    pub fn note(&mut self, renewer: &'static Renewer, home: PathBuf) {
        let known = self.homes.iter().any(|(r, h)| r.name == renewer.name && *h == home);
        if !known && self.homes.len() < HOMES_MAX {
            self.homes.push((renewer, home));
        }
    }

    /// Reads them all and hands out what each says, with the tree that its paths are in.
    pub fn read(self, mut each: impl FnMut(&Tree, Renewals)) {
        let mut trees: Vec<(PathBuf, Tree, timers::Timers)> = Vec::new();
        for (renewer, home) in self.homes {
            let root = renewer.homes.iter().find_map(|pattern| fits(pattern, &home));
            let usual = root.is_some();
            let root = root.unwrap_or_else(|| "/".into());
            if !trees.iter().any(|(known, ..)| *known == root) {
                let tree = Tree::below(&root);
                let timers = timers::Timers::read(&tree);
                trees.push((root.clone(), tree, timers));
            }
            let Some((_, tree, timers)) = trees.iter().find(|(known, ..)| *known == root) else { continue };
            let found = read_home(tree, timers, renewer, &tree.inside(&home), usual);
            each(tree, found);
        }
    }
}

/// The folders of this machine in which renewers usually keep their state, those that there are.
pub fn usual_homes() -> Vec<PathBuf> {
    let tree = Tree::host();
    let patterns = RENEWERS.iter().flat_map(|r| r.homes).map(Path::new);
    patterns.flat_map(|pattern| tree.glob(pattern)).filter(|home| tree.is_folder(home)).collect()
}

/// The renewer whose state this file is part of, and the folder of that state. By the path first and then by the first
/// bytes, so that it may be asked about every file of a walk; each folder is to be read once.
pub fn recognise(path: &Path, start: &[u8]) -> Option<(&'static Renewer, PathBuf)> {
    RENEWERS.iter().find_map(|renewer| Some((renewer, (renewer.home_of)(path, start)?)))
}

/// The folder so many levels above a file, if those between have these names, from the file upwards.
fn above(path: &Path, names: &[Option<&str>]) -> Option<PathBuf> {
    let mut at = path.parent()?;
    for name in names {
        if name.is_some_and(|name| at.file_name().is_none_or(|n| n != name)) {
            return None;
        }
        at = at.parent()?;
    }
    Some(at.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_walk_recognises() {
        let check = |path: &str, start: &str, expected: Option<(&str, &str)>| {
            let got = recognise(Path::new(path), start.as_bytes());
            let got = got.as_ref().map(|(r, home)| (r.name, home.to_str().unwrap()));
            assert_eq!(got, expected, "{path}");
        };
        check("/srv/le/renewal/a.test.conf", "archive_dir = /x", Some(("certbot", "/srv/le")));
        check("/srv/le/renewal/a.test.conf", "x = y", None);
        check("/x/.acme.sh/a.test_ecc/a.test.conf", "Le_Domain='a.test'", Some(("acme.sh", "/x/.acme.sh")));
        check("/x/acme/account.conf", "ACCOUNT_EMAIL='x'", Some(("acme.sh", "/x/acme")));
        check("/x/other/account.conf", "key=x", None);
        check("/x/.lego/certificates/a.test.json", "{\"certUrl\": 1}", Some(("lego", "/x/.lego")));
        check("/srv/tls/certificates/_.a.test.json", "{\"domain\": \"certUrl\"}", Some(("lego", "/srv/tls")));
        check("/x/certificates/a.test.json", "{}", None);
        check("/x/dehydrated/config", "#CA=\n#BASEDIR=", Some(("dehydrated", "/x/dehydrated")));
        check("/x/certs/a.test/cert-1763600000.pem", "", Some(("dehydrated", "/x")));
        check("/x/domains.txt", "a.test", None);
        check("/d/certificates/acme-v02.api/a.test/a.test.json", "{}", Some(("caddy", "/d")));
        check("/etc/nginx/nginx.conf", "archive_dir", None);
        check("/x/a.conf", "Le_Domain", None);
    }

    #[test]
    fn the_system_a_folder_is_part_of() {
        let check = |pattern: &str, home: &str, expected: Option<&str>| {
            assert_eq!(fits(pattern, Path::new(home)).as_deref(), expected.map(Path::new), "{home}");
        };
        check("/etc/letsencrypt", "/etc/letsencrypt", Some("/"));
        check("/etc/letsencrypt", "/srv/image/etc/letsencrypt", Some("/srv/image"));
        check("/home/*/.acme.sh", "/x/home/ann/.acme.sh", Some("/x"));
        check("/etc/letsencrypt", "/letsencrypt", None);
    }

    #[test]
    fn an_empty_tree_gives_nothing() {
        let found = read_tree(&Tree::of(&[]));
        assert!(found.renewed.is_empty() && found.blind.is_empty());
        for renewer in RENEWERS {
            assert!(read_with(&Tree::of(&[]), renewer, Path::new("/x")).renewed.is_empty());
        }
    }
}

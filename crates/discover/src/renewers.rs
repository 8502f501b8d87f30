//! What other renewers mean to do and how they fare: their lineages, plans, hooks, timers and last errors.
//!
//! One file a tool below, one line in [`RENEWERS`]. Pure readers over a [`Tree`], like those of `configs`.
//! They deliberately open no certificate and run no tool: whether a plan was kept is judged by what is
//! served, and a log is believed only for what failed. Local times in logs are taken for UTC, which may be
//! wrong by half a day and never matters here.

mod acme_sh;
mod caddy;
mod certbot;
mod dates;
mod dehydrated;
mod lego;
mod timers;

use std::path::{Path, PathBuf};

use notafter_core::UnixTime;
use notafter_core::observation::Reason;

use crate::configs::{At, Blind};
use crate::tree::Tree;
pub use timers::Timer;

/// A tool that renews.
pub struct Renewer {
    /// Its name, as users say it.
    pub name: &'static str,
    /// Where its state usually lies: folders, as patterns from the root.
    pub homes: &'static [&'static str],
    /// The folder of its state, if this file, met on a walk, is part of one.
    pub home_of: fn(&Path) -> Option<PathBuf>,
    /// Reads the state in a folder.
    read: fn(&mut State<'_>, &Path),
}

/// Every renewer that is known.
pub const RENEWERS: &[Renewer] =
    &[certbot::RENEWER, acme_sh::RENEWER, lego::RENEWER, dehydrated::RENEWER, caddy::RENEWER];

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
    /// So long before the end it means to renew, in seconds, where it says that instead.
    pub renew_before: Option<i64>,
    /// Is it renewed without being asked? Some tools keep what they shall not renew.
    pub automatic: bool,
    /// Its account, by whatever the tool calls it.
    pub account: Option<String>,
    /// The directory URL of its CA, or the tool's short word for it.
    pub server: Option<String>,
    /// How it proves control: a plugin, a webroot, a DNS provider.
    pub solver: Option<String>,
    /// Commands that are run before and after.
    pub hooks: Vec<String>,
    /// What starts the tool. `None` where nothing was found: nobody will renew it.
    pub timer: Option<Timer>,
    /// Is it renewed from within a running process, which needs no timer?
    pub resident: bool,
    /// The last failure, unless something went well after it.
    pub last_error: Option<(UnixTime, String)>,
    /// What in its state will make the next attempt fail: links that lead nowhere, an account that is gone.
    pub broken: Vec<String>,
    /// Where it says all that.
    pub at: At,
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
            renew_before: None,
            automatic: true,
            account: None,
            server: None,
            solver: None,
            hooks: Vec::new(),
            timer: None,
            resident: false,
            last_error: None,
            broken: Vec::new(),
            at,
        }
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

/// The state of a reading.
struct State<'t> {
    tree: &'t Tree,
    timers: &'t timers::Timers,
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

    fn put(&mut self, mut renewed: Renewed) {
        renewed.certificates.dedup();
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
                let mut state = State { tree, timers: &timers, out: Renewals::default() };
                (renewer.read)(&mut state, &home);
                out.renewed.extend(state.out.renewed);
                out.blind.extend(state.out.blind);
            }
        }
    }
    out
}

/// Reads the state in one folder, which [`recognise`] or a user named.
pub fn read_with(tree: &Tree, renewer: &'static Renewer, home: &Path) -> Renewals {
    let timers = timers::Timers::read(tree);
    let mut state = State { tree, timers: &timers, out: Renewals::default() };
    (renewer.read)(&mut state, home);
    state.out
}

/// The renewer whose state this file is part of, and the folder of that state. By the path alone, so that
/// it may be asked about every file of a walk; each folder is to be read once.
pub fn recognise(path: &Path) -> Option<(&'static Renewer, PathBuf)> {
    RENEWERS.iter().find_map(|renewer| Some((renewer, (renewer.home_of)(path)?)))
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
        let check = |path: &str, expected: Option<(&str, &str)>| {
            let got = recognise(Path::new(path));
            let got = got.as_ref().map(|(r, home)| (r.name, home.to_str().unwrap()));
            assert_eq!(got, expected, "{path}");
        };
        check("/srv/le/renewal/a.test.conf", Some(("certbot", "/srv/le")));
        check("/x/.acme.sh/a.test_ecc/a.test.conf", Some(("acme.sh", "/x/.acme.sh")));
        check("/x/acme/account.conf", Some(("acme.sh", "/x/acme")));
        check("/x/.lego/certificates/a.test.json", Some(("lego", "/x/.lego")));
        check("/x/dehydrated/domains.txt", Some(("dehydrated", "/x/dehydrated")));
        check("/d/certificates/acme-v02.api/a.test/a.test.json", Some(("caddy", "/d")));
        check("/etc/nginx/nginx.conf", None);
        check("/x/a.conf", None);
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

//! What starts a renewer: systemd timers and lines of cron, found by the command they run, or by what the script that
//! they run calls.

use std::path::{Path, PathBuf};

use notafter_core::UnixTime;

use super::rhythm;
use crate::tree::Tree;

/// Something that starts a renewer now and then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// The unit (`certbot.timer`), or the line of cron as it may be shown.
    pub what: String,
    /// The file it stands in.
    pub path: PathBuf,
    /// Will it start anything? A timer that is not linked, or masked, will not.
    pub enabled: bool,
    /// So often, in seconds, where that can be read: the longest wait.
    pub every: Option<i64>,
    /// When it last did, where that is kept (systemd's stamps).
    pub last_run: Option<UnixTime>,
    /// The command.
    pub command: String,
    /// The scripts that the command names, with what the unit says besides.
    pub(super) script: String,
}

/// Every timer of a tree.
#[derive(Default)]
pub(super) struct Timers {
    all: Vec<Timer>,
    /// Stamps of timers by unit, also of those that are not there any more.
    stamps: Vec<(String, UnixTime)>,
    /// Is there a place where timers or lines of cron would be?
    pub(super) known: bool,
}

/// Where units lie; the first that has one wins.
const UNITS: &[&str] = &[
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Files of cron, and scripts that it runs from folders.
const CRON: &[&str] = &[
    "/etc/crontab",
    "/etc/cron.d/*",
    "/etc/anacrontab",
    "/var/spool/cron/*",
    "/var/spool/cron/crontabs/*",
    "/etc/crontabs/*",
];
const SCRIPTS: &[&str] = &[
    "/etc/cron.hourly/*",
    "/etc/cron.daily/*",
    "/etc/cron.weekly/*",
    "/etc/cron.monthly/*",
    "/etc/periodic/*/*",
];

/// Where one of these is, what starts things would have been seen.
const PLACES: &[&str] = &[
    "/etc/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/etc/crontab",
    "/etc/cron.d",
    "/etc/cron.daily",
    "/etc/crontabs",
    "/etc/periodic",
    "/var/spool/cron",
];
/// Options that say where a tool's state is.
const HOMES: &[&str] =
    &["--path", "--config-dir", "--home", "--config-home", "--cert-home", "--config", "-f"];
/// So much of a script is looked at, in bytes, and of so many.
const SCRIPT_MAX: usize = 64 << 10;
const SCRIPTS_MAX: usize = 500;

/// Longer than this, a line of cron is cut where it is shown, in bytes.
const SHOWN_MAX: usize = 300;

impl Timers {
    pub(super) fn read(tree: &Tree) -> Self {
        let mut out = Self::default();
        out.systemd(tree);
        out.cron(tree);
        out.known = PLACES.iter().any(|place| tree.kind(Path::new(place)).is_some());
        let mut left = SCRIPTS_MAX;
        for timer in &mut out.all {
            scripts(tree, timer, &mut left);
        }
        for path in tree.glob(Path::new("/var/lib/systemd/timers/stamp-*.timer")) {
            let unit = path.file_name().map(|n| n.to_string_lossy().replacen("stamp-", "", 1));
            out.stamps.extend(unit.zip(tree.modified(&path)));
        }
        out
    }

    fn systemd(&mut self, tree: &Tree) {
        let mut seen: Vec<std::ffi::OsString> = Vec::new();
        for folder in UNITS {
            for path in tree.glob(&Path::new(folder).join("*.timer")) {
                let Some(name) = path.file_name() else { continue };
                if seen.iter().any(|s| s == name) {
                    continue;
                }
                seen.push(name.to_owned());
                let unit = name.to_string_lossy().into_owned();
                let text = read(tree, &path);
                let service = value(&text, "Unit").unwrap_or_else(|| unit.replace(".timer", ".service"));
                let command = UNITS.iter().find_map(|folder| {
                    let text = read(tree, &Path::new(folder).join(&service));
                    (!text.is_empty()).then_some(text)
                });
                let service = command.unwrap_or_default();
                let command = value(&service, "ExecStart").unwrap_or_default();
                // Linked from a target; in a mask the unit is a link to /dev/null and its text is empty.
                let wanted = Path::new("/etc/systemd/system/*.wants").join(&unit);
                let preset = Path::new("/usr/lib/systemd/system/*.wants").join(&unit);
                let linked = !tree.glob(&wanted).is_empty() || !tree.glob(&preset).is_empty();
                let stamp = Path::new("/var/lib/systemd/timers").join(format!("stamp-{unit}"));
                self.all.push(Timer {
                    what: unit,
                    path: path.clone(),
                    enabled: linked && !text.trim().is_empty(),
                    every: rhythm::of_unit(&text),
                    last_run: tree.modified(&stamp),
                    command,
                    script: environment(&service),
                });
            }
        }
    }

    fn cron(&mut self, tree: &Tree) {
        let booted = tree.is_folder(Path::new("/run/systemd/system"));
        for path in CRON.iter().flat_map(|pattern| tree.glob(Path::new(pattern))) {
            for line in
                read(tree, &path).lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'))
            {
                // Debian's own line does nothing where systemd runs.
                let idle = booted && line.contains("! -d /run/systemd/system");
                self.line(&path, line, !idle, rhythm::of_cron(line));
            }
        }
        for path in SCRIPTS.iter().flat_map(|pattern| tree.glob(Path::new(pattern))) {
            let text = read(tree, &path);
            let commands = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
            for line in commands.take(1000) {
                self.line(&path, line, true, rhythm::of_folder(&path.to_string_lossy()));
            }
        }
    }

    fn line(&mut self, path: &Path, line: &str, enabled: bool, every: Option<i64>) {
        if self.all.len() < 100_000 {
            let mut what = super::blank::blanked(line);
            what.truncate(what.floor_char_boundary(SHOWN_MAX));
            self.all.push(Timer {
                what,
                path: path.to_owned(),
                enabled,
                every,
                last_run: None,
                command: line.to_owned(),
                script: String::new(),
            });
        }
    }

    /// What runs this program for the state in a folder, the likeliest first: enabled before disabled, systemd before
    /// cron. What names another folder runs it for that one; for a folder that is not `usual`, only what names it does.
    pub(super) fn of(&self, program: &str, home: &Path, usual: bool) -> Option<Timer> {
        let runs = |timer: &&Timer| {
            let by_name = is_named_after(&timer.what, program);
            by_name || words(&timer.command).chain(words(&timer.script)).any(|w| w == program)
        };
        let names = |text: &str| home.to_str().is_some_and(|home| text.contains(home));
        let ours = |timer: &&Timer| {
            let elsewhere = || places(&timer.command).any(|place| !home.starts_with(place));
            names(&timer.command) || names(&timer.script) || usual && !elsewhere()
        };
        let found = self.all.iter().filter(runs).filter(ours);
        found.min_by_key(|t| (!t.enabled, !t.what.ends_with(".timer"))).cloned()
    }

    /// When a timer named after this program last started something, whether it is still there or not.
    pub(super) fn last_run(&self, program: &str) -> Option<UnixTime> {
        let of_program = self.stamps.iter().filter(|(unit, _)| is_named_after(unit, program));
        of_program.map(|(_, at)| *at).max()
    }
}

fn is_named_after(unit: &str, program: &str) -> bool {
    let unit = unit.strip_suffix(".timer").unwrap_or("");
    unit == program || unit.split(['-', '@', '.']).any(|p| p == program)
}

/// Where a command says that the state is.
fn places(command: &str) -> impl Iterator<Item = PathBuf> {
    let words = crate::configs::split(command);
    let of = |n: usize| {
        let (name, value) =
            words[n].split_once('=').map_or((words[n].as_str(), None), |(n, v)| (n, Some(v.to_owned())));
        let value = value.or_else(|| words.get(n + 1).cloned());
        HOMES.contains(&name).then_some(value).flatten().filter(|v| v.starts_with('/')).map(PathBuf::from)
    };
    (0..words.len()).filter_map(of).collect::<Vec<_>>().into_iter()
}

/// The files that a text names by their whole path.
pub(super) fn named(text: &str) -> impl Iterator<Item = &str> {
    let end = |c: char| c.is_whitespace() || ";\"'()&|=><`".contains(c);
    text.split(end).map(|w| w.trim_start_matches('-')).filter(|w| w.len() > 4 && w.starts_with('/'))
}

/// The scripts that a command names: what they call is what it calls.
fn scripts(tree: &Tree, timer: &mut Timer, left: &mut usize) {
    for path in named(&timer.command.clone()).take(4) {
        if *left == 0 {
            return;
        }
        let Ok(bytes) = tree.read(Path::new(path)) else { continue };
        if bytes.starts_with(b"#!") && bytes.len() <= SCRIPT_MAX {
            *left -= 1;
            timer.script.push('\n');
            timer.script.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
}

/// What a unit says about the environment of its command.
fn environment(service: &str) -> String {
    let lines = service.lines().filter(|l| l.trim_start().starts_with("Environment"));
    lines.take(100).collect::<Vec<_>>().join("\n")
}

/// The words of a command, paths by their last part.
fn words(command: &str) -> impl Iterator<Item = &str> {
    let words =
        command.split(|c: char| c.is_whitespace() || matches!(c, ';' | '"' | '\'' | '(' | ')' | '&' | '|'));
    words.map(|w| w.trim_start_matches(['-', '@', '+', '!', ':'])).map(|w| w.rsplit('/').next().unwrap_or(w))
}

fn read(tree: &Tree, path: &Path) -> String {
    tree.read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The value of a setting of a unit.
fn value(text: &str, name: &str) -> Option<String> {
    let joined = text.replace("\\\n", " ");
    let found = joined.lines().find_map(|l| l.trim().strip_prefix(name)?.trim_start().strip_prefix('='));
    found.map(|v| v.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Entry;

    #[test]
    fn timers_and_cron() {
        let unit = Entry::file(b"[Timer]\nOnCalendar=daily\n");
        let service = Entry::file(b"[Service]\nExecStart=/usr/bin/certbot -q \\\n renew\n");
        let mut files = vec![
            ("/lib/systemd/system/certbot.timer".into(), unit.clone()),
            ("/lib/systemd/system/certbot.service".into(), service),
            ("/var/lib/systemd/timers/stamp-certbot.timer".into(), Entry::File(Vec::new(), Some(UnixTime(1_700_000_000)))),
            ("/etc/cron.d/certbot".into(), Entry::file(b"# x\n0 */12 * * * root test -x /usr/bin/certbot -a \\! -d /run/systemd/system && certbot -q renew\n")),
            ("/var/spool/cron/crontabs/root".into(), Entry::file(b"5 5 * * * /root/.acme.sh/acme.sh --cron > /dev/null\n")),
        ];
        let check =
            |files: &[(PathBuf, Entry)], program: &str, expected: Option<(&str, bool, Option<i64>)>| {
                let timers = Timers::read(&Tree::memory(files.to_vec()));
                let got = timers
                    .of(program, Path::new("/x"), true)
                    .map(|t| (t.what, t.enabled, t.last_run.map(|t| t.0)));
                assert_eq!(got, expected.map(|(w, e, l)| (w.to_owned(), e, l)), "{program}");
            };
        let line =
            "0 */12 * * * root test -x /usr/bin/certbot -a \\! -d /run/systemd/system && certbot -q renew";
        check(&files, "certbot", Some((line, true, None)));
        check(&files, "acme.sh", Some(("5 5 * * * /root/.acme.sh/acme.sh --cron > /dev/null", true, None)));
        check(&files, "lego", None);
        // On a machine that systemd runs, the line does nothing, and the timer is not linked.
        files.push(("/run/systemd/system/x".into(), Entry::file(b"")));
        check(&files, "certbot", Some(("certbot.timer", false, Some(1_700_000_000))));
        files.push((
            "/etc/systemd/system/timers.target.wants/certbot.timer".into(),
            Entry::link("/lib/systemd/system/certbot.timer"),
        ));
        check(&files, "certbot", Some(("certbot.timer", true, Some(1_700_000_000))));
    }

    #[test]
    fn a_line_is_kept_without_its_secrets() {
        let line = "0 3 * * * root CF_DNS_API_TOKEN=s3cret lego --hmac s3cret renew\n";
        let timers = Timers::read(&Tree::of(&[("/etc/cron.d/a", line)]));
        let found = timers.of("lego", Path::new("/x"), true).expect("it runs lego");
        assert_eq!(found.what, "0 3 * * * root CF_DNS_API_TOKEN=… lego --hmac … renew");
        assert!(found.command.contains("s3cret"), "what is worked out from it needs all of it");
    }

    #[test]
    fn whose_state_it_is_run_for() {
        let timers = Timers::read(&Tree::of(&[
            ("/etc/cron.d/a", "0 3 * * * root /usr/bin/lego --path /srv/one renew\n"),
            ("/etc/cron.daily/b", "#!/bin/sh\n/usr/local/bin/renew-all\n"),
            ("/usr/local/bin/renew-all", "#!/bin/sh\n. /etc/two/env\ndehydrated -c\n"),
        ]));
        let check = |program: &str, home: &str, usual: bool, expected: Option<i64>| {
            let got = timers.of(program, Path::new(home), usual).map(|t| t.every.unwrap_or(0) / 3600);
            assert_eq!(got, expected, "{program} {home}");
        };
        check("lego", "/srv/one", false, Some(24));
        check("lego", "/var/lib/lego", true, None);
        check("dehydrated", "/etc/dehydrated", true, Some(24));
        check("dehydrated", "/srv/d", false, None);
        assert!(timers.known && !Timers::read(&Tree::of(&[("/x", "")])).known);
        assert_eq!(named("a=/etc/x; . /etc/two/env").collect::<Vec<_>>(), ["/etc/x", "/etc/two/env"]);
    }
}

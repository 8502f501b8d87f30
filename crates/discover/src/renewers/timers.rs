//! What starts a renewer: systemd timers and lines of cron, found by the command they run.

use std::path::{Path, PathBuf};

use notafter_core::UnixTime;

use crate::tree::Tree;

/// Something that starts a renewer now and then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// The unit (`certbot.timer`), or the line of cron.
    pub what: String,
    /// The file it stands in.
    pub path: PathBuf,
    /// Will it start anything? A timer that is not linked, or masked, will not.
    pub enabled: bool,
    /// When it last did, where that is kept (systemd's stamps).
    pub last_run: Option<UnixTime>,
    /// The command.
    pub command: String,
}

/// Every timer of a tree.
#[derive(Default)]
pub(super) struct Timers {
    all: Vec<Timer>,
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

/// Longer than this, a line of cron is cut where it is shown, in bytes.
const SHOWN_MAX: usize = 300;

impl Timers {
    pub(super) fn read(tree: &Tree) -> Self {
        let mut out = Self::default();
        out.systemd(tree);
        out.cron(tree);
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
                    (!text.is_empty()).then(|| value(&text, "ExecStart").unwrap_or_default())
                });
                // Linked from a target; in a mask the unit is a link to /dev/null and its text is empty.
                let wanted = Path::new("/etc/systemd/system/*.wants").join(&unit);
                let preset = Path::new("/usr/lib/systemd/system/*.wants").join(&unit);
                let linked = !tree.glob(&wanted).is_empty() || !tree.glob(&preset).is_empty();
                let stamp = Path::new("/var/lib/systemd/timers").join(format!("stamp-{unit}"));
                self.all.push(Timer {
                    what: unit,
                    path: path.clone(),
                    enabled: linked && !text.trim().is_empty(),
                    last_run: tree.modified(&stamp),
                    command: command.unwrap_or_default(),
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
                self.line(&path, line, !idle);
            }
        }
        for path in SCRIPTS.iter().flat_map(|pattern| tree.glob(Path::new(pattern))) {
            let text = read(tree, &path);
            let commands = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
            for line in commands.take(1000) {
                self.line(&path, line, true);
            }
        }
    }

    fn line(&mut self, path: &Path, line: &str, enabled: bool) {
        let mut end = line.len().min(SHOWN_MAX);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        if self.all.len() < 100_000 {
            let what = line[..end].to_owned();
            self.all.push(Timer {
                what,
                path: path.to_owned(),
                enabled,
                last_run: None,
                command: line.to_owned(),
            });
        }
    }

    /// What runs this program, the likeliest first: enabled before disabled, systemd before cron.
    pub(super) fn of(&self, program: &str) -> Option<Timer> {
        let runs = |timer: &&Timer| {
            let unit = timer.what.strip_suffix(".timer").unwrap_or("");
            words(&timer.command).any(|w| w == program)
                || unit == program
                || unit.split(['-', '@', '.']).any(|p| p == program)
        };
        self.all.iter().filter(runs).min_by_key(|t| (!t.enabled, !t.what.ends_with(".timer"))).cloned()
    }
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
                let got = timers.of(program).map(|t| (t.what, t.enabled, t.last_run.map(|t| t.0)));
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
}

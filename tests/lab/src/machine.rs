//! A machine within the machine, for tests that need places of their own everywhere: `/etc`, the ports of the standards,
//! the process list, `systemctl`.
//!
//! A test runs itself once more in namespaces of its own (`unshare`). `/etc`, `/usr` and `/var` are overlays there: what is
//! written stays inside, and packages that were unpacked beside the system lie in them as if they were installed. All of
//! it ends with the test. There is no service manager in it; [`Manager`] plays one by the packages' own units.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::program::{self, Ran, unpacked};
use crate::{Lab, NotRun, Server};

/// Set inside.
const INSIDE: &str = "NOTAFTER_LAB_MACHINE";

/// How long a test may take inside.
const PATIENCE: Duration = Duration::from_secs(240);

/// Makes the machine, and becomes the test.
const SETUP: &str = r#"
set -e
w=$NOTAFTER_LAB_MACHINE
mount -t tmpfs none "$w"
for name in etc usr var; do
  lower=/$name
  for layer in $NOTAFTER_LAB_LAYERS; do if [ -d "$layer/$name" ]; then lower=$layer/$name:$lower; fi; done
  mkdir "$w/$name" "$w/$name.work"
  mount -t overlay overlay -o "lowerdir=$lower,upperdir=$w/$name,workdir=$w/$name.work" "/$name"
done
mount -t tmpfs -o mode=755 none /run
ip link set lo up
# As after a boot. Sockets have short names (unix(7): 108 octets).
mkdir -m 1777 /run/t /run/lock
mount --bind "$TMPDIR" /run/t
export TMPDIR=/run/t
exec "$@"
"#;

/// Are we in one?
#[must_use]
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs a test of this program once more, alone, in a machine of its own. These unpacked packages are installed there.
///
/// # Errors
/// When there can be no such machine here: it takes root, and a kernel with overlays.
pub fn again(lab: &Lab, test: &str, layers: &[&str], variable: (&str, &str)) -> Result<Ran, NotRun> {
    let failed = |error: std::io::Error| NotRun::new("machine", error.to_string());
    if !program::is_root() {
        return Err(NotRun::new("machine", "only root can make one"));
    }
    let (folder, temporary) = (lab.subfolder("machine"), lab.subfolder("tmp"));
    // Servers of other accounts write there, too.
    fs::set_permissions(&temporary, Permissions::from_mode(0o1777)).map_err(failed)?;
    let layers: Vec<String> = layers.iter().map(|l| unpacked(l).to_string_lossy().into_owned()).collect();
    if let Some(missing) = layers.iter().find(|layer| !Path::new(layer).exists()) {
        return Err(NotRun::new("machine", format!("{missing} was not unpacked")));
    }
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--propagation",
        "private",
    ]);
    command.args(["sh", "-c", SETUP, "machine"]).arg(std::env::current_exe().map_err(failed)?);
    command.args(["--exact", test, "--nocapture"]);
    command.env(INSIDE, &folder).env("NOTAFTER_LAB_LAYERS", layers.join(" "));
    command.env("TMPDIR", &temporary).env(variable.0, variable.1);
    program::finish(&mut command, b"", PATIENCE)
}

/// Writes a file of the machine. Only inside.
///
/// # Panics
/// When it cannot be written, or we are not inside.
pub fn write(path: &str, text: &str) {
    assert!(is_inside(), "{path} would be written outside");
    let path = Path::new(path);
    let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    made.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Plays `systemctl reload` and `systemctl restart` for one server, by the unit of its package.
///
/// A reload does what `ExecReload` says; where the unit has none it is refused, as systemd refuses it. A restart ends the
/// server and starts it again.
#[derive(Debug)]
pub struct Manager {
    said: Arc<Mutex<Vec<String>>>,
}

/// `systemctl` hands its words to the test and ends as the test says.
const SYSTEMCTL: &str = "#!/bin/sh
printf '%s\\n' \"$*\" >@ASK@
read -r code words <@ANSWER@
[ -z \"$words\" ] || printf '%s\\n' \"$words\" >&2
exit \"$code\"
";

impl Manager {
    /// Puts itself in the place of `systemctl`. Only inside.
    ///
    /// # Errors
    /// When it cannot be put there.
    pub fn start(folder: &Path, server: &Arc<Mutex<Server>>, layers: &[&str]) -> Result<Self, NotRun> {
        assert!(is_inside(), "systemctl would be replaced outside");
        let (ask, answer) = (folder.join("ask"), folder.join("answer"));
        program::run(Command::new("mkfifo").arg(&ask).arg(&answer))?;
        let text = SYSTEMCTL.replace("@ASK@", &ask.to_string_lossy());
        let path = "/usr/bin/systemctl";
        let _ = fs::remove_file(path);
        write(path, &text.replace("@ANSWER@", &answer.to_string_lossy()));
        fs::set_permissions(path, Permissions::from_mode(0o755))
            .map_err(|error| NotRun::new("machine", error.to_string()))?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let (server, log) = (Arc::clone(server), Arc::clone(&said));
        let mut roots = vec![PathBuf::from("/")];
        roots.extend(layers.iter().map(|layer| unpacked(layer)));
        // It ends with the machine.
        std::thread::spawn(move || {
            while let Ok(file) = fs::File::open(&ask) {
                let mut words = String::new();
                let _ = BufReader::new(file).read_line(&mut words);
                let words = words.trim();
                let told = obey(words, &server, &roots);
                log.lock().unwrap_or_else(PoisonError::into_inner).push(words.to_owned());
                let line = match told {
                    Ok(()) => "0".to_owned(),
                    Err(why) => format!("1 {}", why.replace('\n', " / ")),
                };
                if let Ok(mut file) = fs::File::options().write(true).open(&answer) {
                    let _ = writeln!(file, "{line}");
                }
            }
        });
        Ok(Self { said })
    }

    /// What it was told so far.
    #[must_use]
    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Does what it is told.
fn obey(words: &str, server: &Mutex<Server>, roots: &[PathBuf]) -> Result<(), String> {
    let (verb, name) = words.split_once(' ').ok_or("what is meant?")?;
    let find = |path: String| roots.iter().map(|root| root.join(&path)).find(|path| path.exists());
    let unit = find(format!("usr/lib/systemd/system/{name}.service"))
        .or_else(|| find(format!("lib/systemd/system/{name}.service")));
    let init = find(format!("etc/init.d/{name}"));
    let mut server = server.lock().unwrap_or_else(PoisonError::into_inner);
    match (verb, unit, init) {
        (_, None, None) => Err(format!("Unit {name}.service not found.")),
        ("restart", ..) => server.restart().map_err(|error| error.to_string()),
        ("reload", Some(unit), _) => {
            let unit = fs::read_to_string(unit).map_err(|error| error.to_string())?;
            let lines =
                |key: &'static str| unit.lines().filter_map(move |l| l.strip_prefix(key)?.strip_prefix('='));
            let commands: Vec<&str> = lines("ExecReload").collect();
            if commands.is_empty() {
                return Err(format!(
                    "Failed to reload {name}.service: Job type reload is not applicable for unit {name}.service."
                ));
            }
            for command in commands {
                let mut shell = Command::new("sh");
                shell.args(["-c", command.trim_start_matches(['-', '@', ':', '+', '!'])]);
                shell.env("MAINPID", server.pid().unwrap_or(0).to_string());
                // Several on one line stand in quotes of their own.
                for (key, value) in lines("Environment")
                    .flat_map(|line| line.split('"'))
                    .filter_map(|one| one.split_once('='))
                {
                    shell.env(key, value);
                }
                program::run(&mut shell).map_err(|error| error.to_string())?;
            }
            Ok(())
        }
        // systemd makes a unit of such a script.
        ("reload", None, Some(init)) => {
            let ran = program::run(Command::new(init).arg("reload"));
            ran.map(drop).map_err(|error| error.to_string())
        }
        _ => Err(format!("Unknown command verb {verb}.")),
    }
}

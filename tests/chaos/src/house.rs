//! One house: a CA, a web server, a configuration that keeps its certificate alive, and the program run in it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use notafter_lab::pebble::{self, Pebble};
use notafter_lab::servers::nginx;
use notafter_lab::{Authority, Lab, NotRun, Request, Server, program};
use serde_json::Value;

use crate::{Options, facts};

/// How a house is to be.
#[derive(Clone)]
pub(crate) struct Plan {
    /// What the CA is like.
    pub(crate) ca: pebble::Options,
    /// More lines of the certificate's table.
    pub(crate) certificate: String,
    /// More lines of the issuer's table.
    pub(crate) issuer: String,
    /// More lines of the target's table, in the place of a reload of nginx.
    pub(crate) target: Option<String>,
    /// More lines before all tables of certificates.
    pub(crate) head: String,
    /// What the certificate is for.
    pub(crate) names: Vec<&'static str>,
    /// Another solver than a port of its own.
    pub(crate) solver: Option<String>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            ca: pebble::Options::default(),
            certificate: String::new(),
            issuer: String::new(),
            target: None,
            head: String::new(),
            names: vec!["srv.test"],
            solver: None,
        }
    }
}

/// A finished run of the program.
pub(crate) struct Run {
    /// Its exit code; none when it was killed.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) took: Duration,
}

impl Run {
    /// Its JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or(Value::Null)
    }

    /// All of it, for a violation.
    pub(crate) fn words(&self) -> String {
        format!("exit {:?}: {} {}", self.code, self.out.trim(), self.err.trim())
    }
}

/// One house.
pub(crate) struct House {
    pub(crate) program: PathBuf,
    pub(crate) web: Server,
    pub(crate) ca: Pebble,
    pub(crate) config: PathBuf,
    pub(crate) data: PathBuf,
    /// The account that runs the program; ours, where there is none.
    pub(crate) account: Option<u32>,
    /// What a second process keeps, where there are two.
    pub(crate) state: Option<PathBuf>,
    template: PathBuf,
    pub(crate) lab: Lab,
}

/// No run takes longer.
const PATIENCE: Duration = Duration::from_secs(180);

impl House {
    pub(crate) fn new(options: &Options, name: &str, plan: &Plan) -> Result<Self, String> {
        let broke = |error: NotRun| error.to_string();
        let lab = Lab::new(&format!("chaos-{name}"));
        let authority = Authority::new(&lab);
        let ca = pebble::start(&lab, &plan.ca).map_err(broke)?;
        let web = nginx::start(&lab, &authority.issue(&Request::server().days(20))).map_err(broke)?;
        let directory = ca.directory();
        let house = Self {
            program: options.program.clone(),
            config: lab.path().join("notafter.toml"),
            data: lab.path().join("data"),
            account: None,
            state: None,
            template: lab.path().join("template"),
            web,
            ca,
            lab,
        };
        house.write(plan, &directory);
        Ok(house)
    }

    /// Writes the configuration, with the CA behind this directory.
    pub(crate) fn write(&self, plan: &Plan, directory: &str) {
        let (port, tls) = (self.ca.http_port(), self.tls());
        let target = plan.target.clone().unwrap_or_else(|| self.reload());
        let solver = plan.solver.clone().unwrap_or_else(|| {
            format!("{{ kind = \"http-01\", listen = \"127.0.0.1:{port}\", port = {port}, address = \"127.0.0.1\" }}")
        });
        let text = format!(
            "{}[[issuer]]\nname = \"pebble\"\nkind = \"acme\"\ndirectory = \"{directory}\"\nca_file = \"{}\"\n{}\
             [[certificate]]\nname = \"web\"\nnames = {:?}\nissuer = \"pebble\"\ngrace = \"5s\"\n{}\
             solver = {solver}\n\
             [[certificate.target]]\nkind = \"files\"\ncertificate = \"{tls}/fullchain.pem\"\nkey = \"{tls}/key.pem\"\n\
             prove = [\"tls://{}?sni=srv.test\"]\n{target}",
            plan.head,
            self.ca.ca_file().display(),
            plan.issuer,
            plan.names,
            plan.certificate,
            self.web.address(),
            tls = tls.display(),
        );
        fs::write(&self.config, text).expect("the configuration is written");
    }

    /// The lines that reload its nginx.
    pub(crate) fn reload(&self) -> String {
        format!("reload = [\"kill\", \"-HUP\", \"{}\"]\n", self.web.pid().unwrap_or(0))
    }

    pub(crate) fn tls(&self) -> PathBuf {
        self.web.folder().join("tls")
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.tls().join("fullchain.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.tls().join("key.pem")
    }

    /// The program with these words, on this house.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        self.dressed(Command::new(&self.program), words)
    }

    /// The same behind another program that runs it.
    pub(crate) fn behind(&self, mut outer: Command, words: &[&str]) -> Command {
        outer.arg(&self.program);
        self.dressed(outer, words)
    }

    fn dressed(&self, mut command: Command, words: &[&str]) -> Command {
        command.args(words).arg("--config").arg(&self.config).arg("--data").arg(&self.data);
        command.env("NO_COLOR", "1").env("COLUMNS", "120").env_remove("RUST_BACKTRACE");
        if let Some(account) = self.account {
            command.uid(account).gid(account).current_dir("/");
        }
        command
    }

    /// The second process, which installs; behind another program that runs it, where there is one.
    pub(crate) fn act(&self, outer: Option<Command>) -> Command {
        let mut command = outer.map_or_else(
            || Command::new(&self.program),
            |mut outer| {
                outer.arg(&self.program);
                outer
            },
        );
        command.arg("act").arg("--config").arg(&self.config);
        command.arg("--data").args(&self.state).env("NO_COLOR", "1").env_remove("RUST_BACKTRACE");
        // One worker: the same calls come from the same thread each time.
        command.env("TOKIO_WORKER_THREADS", "1");
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Run {
        finish(self.command(words), PATIENCE)
    }

    /// The same for words that end with `--` and what may look like an option.
    pub(crate) fn run_raw(&self, words: &[&str]) -> Run {
        let at = words.iter().position(|word| *word == "--").unwrap_or(words.len());
        let mut command = self.command(&words[..at]);
        command.args(&words[at..]);
        finish(command, PATIENCE)
    }

    /// Renews, and gives what was said.
    pub(crate) fn renew(&self) -> Run {
        self.run(&["renew", "web", "--json", "--wait", "90s"])
    }

    /// Runs it to its end as if it were so much later (`+6m`). It sleeps and measures by the true time.
    pub(crate) fn later(&self, offset: &str, words: &[&str]) -> Run {
        finish(at_another_time(self.command(words), offset), PATIENCE)
    }

    /// Starts it and lets it run.
    pub(crate) fn start(&self, words: &[&str], log: &str) -> Running {
        Running::start(self.command(words), &self.lab.path().join(log))
    }

    /// What the processes keep, and its name in the template.
    fn folders(&self) -> Vec<(&Path, &'static str)> {
        let state = self.state.iter().map(|state| (state.as_path(), "state"));
        std::iter::once((self.data.as_path(), "data")).chain(state).collect()
    }

    /// Keeps data and files as they are, to come back to.
    pub(crate) fn keep(&self) {
        let _ = fs::remove_dir_all(&self.template);
        fs::create_dir_all(&self.template).expect("a folder");
        for (folder, name) in self.folders() {
            if folder.exists() {
                copy(folder, &self.template.join(name));
            }
        }
        copy(&self.tls(), &self.template.join("tls"));
    }

    /// Goes back to what was kept, and lets the server show it.
    pub(crate) fn back(&mut self) -> Result<(), String> {
        for (folder, name) in self.folders() {
            restore(folder, &self.template.join(name))?;
        }
        if let Some(account) = self.account {
            give(&self.data, account)?;
        }
        let tls = self.tls();
        let _ = fs::remove_dir_all(&tls);
        copy(&self.template.join("tls"), &tls);
        self.web.reload().map_err(|error| error.to_string())?;
        let leaf = facts::leaf(&self.certificate())?;
        self.shows(&leaf)
    }

    /// Waits until a client is shown this.
    pub(crate) fn shows(&self, leaf: &str) -> Result<(), String> {
        let began = Instant::now();
        loop {
            match facts::shown(&self.web) {
                Ok(shown) if shown == leaf => return Ok(()),
                other if began.elapsed() > Duration::from_secs(10) => {
                    return Err(format!("a client is shown {other:?}, not {leaf}"));
                }
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// The generation of the newest renewal that was proved to have been installed, and of the newest one at all.
    pub(crate) fn generation(&self) -> u64 {
        self.run(&["prove", "web", "--json"]).json()["generation"].as_u64().unwrap_or(0)
    }

    /// Orders that the CA has taken, and certificates that it issued.
    pub(crate) fn orders(&self) -> (usize, usize) {
        let log = self.ca.log();
        (log.matches("orders in the db").count(), log.matches("Issued certificate serial").count())
    }

    /// Names in the folder of the certificate, below and in it, to see what was left behind.
    pub(crate) fn left(&self) -> Vec<String> {
        let mut names = Vec::new();
        walk(&self.tls(), &self.tls(), &mut names);
        names.sort();
        names
    }
}

/// Makes a folder what it was, in its own files: a memory in another file is a copy, which renews nothing.
fn restore(folder: &Path, kept: &Path) -> Result<(), String> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !kept.join(entry.file_name()).exists() {
            let _ = fs::remove_file(entry.path());
        }
    }
    if !kept.exists() {
        let _ = fs::remove_dir_all(folder);
    }
    for entry in fs::read_dir(kept).into_iter().flatten().flatten() {
        let copied = fs::copy(entry.path(), folder.join(entry.file_name()));
        copied.map_err(|error| format!("{}: {error}", entry.path().display()))?;
    }
    Ok(())
}

/// Gives a folder and the files in it to an account, closed to others.
pub(crate) fn give(folder: &Path, account: u32) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(failed)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    let files = fs::read_dir(folder).map_err(failed)?.flatten().map(|entry| entry.path());
    for path in files.chain([folder.to_owned()]) {
        chown(&path, Some(account), Some(account)).map_err(failed)?;
    }
    Ok(())
}

fn walk(root: &Path, folder: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        names.push(path.strip_prefix(root).unwrap_or(&path).display().to_string());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(root, &path, names);
        }
    }
}

/// Copies a folder with its links, owners and modes.
pub(crate) fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.is_ok_and(|status| status.success()), "cp -a {} {}", from.display(), to.display());
}

/// libfaketime, where Debian puts it.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// A command whose wall clock is off by so much.
pub(crate) fn at_another_time(mut command: Command, offset: &str) -> Command {
    assert!(Path::new(FAKETIME).exists(), "{FAKETIME} is not there: apt-get install libfaketime");
    command.env("LD_PRELOAD", FAKETIME).env("FAKETIME", offset).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command
}

/// Runs a command to its end, or kills it.
pub(crate) fn finish(mut command: Command, patience: Duration) -> Run {
    let began = Instant::now();
    match program::finish(&mut command, b"", patience) {
        Ok(ran) => Run {
            code: ran.status.code(),
            out: ran.text(),
            err: String::from_utf8_lossy(&ran.stderr).into_owned(),
            took: began.elapsed(),
        },
        Err(error) => Run { code: None, out: String::new(), err: error.to_string(), took: began.elapsed() },
    }
}

/// A program that runs beside us. Dropping it kills it.
pub(crate) struct Running {
    pub(crate) child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts it, with its words in a file.
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let file = fs::File::options().create(true).append(true).open(log).expect("a file for its words");
        let second = file.try_clone().expect("the same file");
        let child = command.stdin(Stdio::null()).stdout(file).stderr(second).spawn().expect("it starts");
        Self { child, log: log.to_owned() }
    }

    /// What it has said so far.
    pub(crate) fn words(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn signal(&self, name: &str) {
        program::signal(name, &[i64::from(self.child.id())]);
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self, patience: Duration) -> Option<i32> {
        let began = Instant::now();
        while began.elapsed() < patience {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status.code().unwrap_or(-1));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    /// Kills it without a word.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for something to be so.
pub(crate) fn until<T>(patience: Duration, mut check: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        if let Some(value) = check() {
            return Some(value);
        }
        if began.elapsed() > patience {
            return None;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

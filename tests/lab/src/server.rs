//! A real server in a child process: started, waited for, reloaded, and ended with everything it started.
//!
//! Each file of [`crate::servers`] turns a certificate and some ports into a [`Recipe`]; this file runs it. A
//! server runs in a process group of its own and in the foreground, so that its end is ours to bring about.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::ports::Port;
use crate::{Lab, Leaf, NotRun, orphans, peer, program};

/// How a client comes to TLS on an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the name of its protocol")]
pub enum Starttls {
    /// TLS from the first byte.
    Direct,
    Smtp,
    Imap,
    Pop3,
    Ftp,
    Xmpp,
    XmppServer,
    Lmtp,
    Sieve,
    Nntp,
    Ldap,
    Irc,
    Postgres,
    Mysql,
    /// An X.224 exchange first.
    Rdp,
    /// A line of the server first.
    Nats,
}

/// One place where a server serves a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// What the server calls it, such as `imaps`.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    /// How a client comes to TLS there.
    pub starttls: Starttls,
}

/// What makes a running server use a new certificate.
pub(crate) enum Reload {
    /// A signal to the process we started.
    Signal(&'static str),
    /// A call that tells the server.
    Call(Box<dyn Fn() -> Result<(), NotRun> + Send + Sync>),
    /// Nothing: it reads the files again by itself.
    Itself,
    /// Only a restart. The signal is what an administrator would try, and it does not help.
    OnlyRestart(&'static str),
}

/// How a server comes to use a new certificate, for tests that expect different things of different servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// After [`Server::reload`].
    Reload,
    /// By itself.
    Itself,
    /// Not before [`Server::restart`].
    Restart,
}

/// All it takes to run one server.
pub(crate) struct Recipe {
    /// The program with its arguments and environment.
    pub(crate) command: Command,
    /// Where it will listen.
    pub(crate) endpoints: Vec<Endpoint>,
    /// How it is told of a new certificate.
    pub(crate) reload: Reload,
    /// The signal that ends it quickly.
    pub(crate) stop: &'static str,
    /// The account that must own the key.
    pub(crate) owner: Option<(u32, u32)>,
    /// Log files it writes besides its output.
    pub(crate) logs: Vec<PathBuf>,
    /// What its log says when it is ready, where an open port does not say it.
    pub(crate) ready: Option<&'static str>,
}

impl Recipe {
    /// A server that ends on SIGTERM and is ready as soon as its ports are open.
    pub(crate) fn new(command: Command, endpoints: Vec<Endpoint>, reload: Reload) -> Self {
        Self { command, endpoints, reload, stop: "TERM", owner: None, logs: Vec::new(), ready: None }
    }
}

/// An endpoint on 127.0.0.1.
pub(crate) fn local(name: &'static str, port: &Port, starttls: Starttls) -> Endpoint {
    Endpoint { name, address: port.local(), starttls }
}

/// A running server. Dropping it ends it.
pub struct Server {
    /// Its name.
    name: &'static str,
    /// Its configuration, certificate and data.
    folder: PathBuf,
    /// How it is run.
    recipe: Recipe,
    /// The process, while it runs.
    child: Option<Child>,
    /// How long it took to become ready.
    took: Duration,
    /// Keeps its ports from other tests.
    _ports: Vec<Port>,
}

/// How long a server may take to become ready.
const START: Duration = Duration::from_secs(60);

/// How long a server may take to end before it is killed.
const STOP: Duration = Duration::from_secs(3);

/// How long old workers may go on beside the new ones.
const RELOAD: Duration = Duration::from_secs(3);

/// How often a server is started anew because a program outside the lab took its port.
const ATTEMPTS: usize = 4;

/// Starts a server: gives it a folder and ports, lets `write` fill the folder, runs it and waits until it answers.
pub(crate) fn start(
    lab: &Lab,
    name: &'static str,
    ports: usize,
    write: impl Fn(&Path, &[Port]) -> Result<Recipe, NotRun>,
) -> Result<Server, NotRun> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let folder = lab.subfolder(name);
        let ports: Vec<Port> = (0..ports).map(|_| Port::free()).collect();
        let recipe = write(&folder, &ports).map_err(|error| {
            if error.what == name {
                error
            } else {
                NotRun::new(name, format!("{}: {}", error.what, error.why))
            }
        })?;
        let mut server = Server { name, folder, recipe, child: None, took: Duration::ZERO, _ports: ports };
        match server.begin() {
            Ok(()) => return Ok(server),
            Err(error) if lost_its_port(&error.why) => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| NotRun::new(name, "never started")))
}

/// Starts a program of the caller's making, where the caller says that it will listen.
///
/// For places that must not change from run to run. The caller keeps others off its addresses, and writes into the
/// folder whatever the program reads; SIGHUP reloads it.
///
/// # Errors
/// When it does not start, or does not listen on every address.
pub fn attend(
    name: &'static str,
    folder: &Path,
    command: Command,
    addresses: &[SocketAddr],
) -> Result<Server, NotRun> {
    let endpoint = |address: &SocketAddr| Endpoint { name, address: *address, starttls: Starttls::Direct };
    let recipe = Recipe::new(command, addresses.iter().map(endpoint).collect(), Reload::Signal("HUP"));
    let folder = folder.to_owned();
    let mut server = Server { name, folder, recipe, child: None, took: Duration::ZERO, _ports: Vec::new() };
    server.begin()?;
    Ok(server)
}

/// Whether a server ended because somebody else had its port.
fn lost_its_port(log: &str) -> bool {
    let log = log.to_lowercase();
    [
        "address already in use",
        "address in use",
        "eaddrinuse",
        "cannot bind",
        "can't bind",
        "could not bind",
        "unable to bind",
    ]
    .iter()
    .any(|sign| log.contains(sign))
}

impl Server {
    /// The name of the server, such as `nginx`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Everywhere it listens.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.recipe.endpoints
    }

    /// The endpoint of this name.
    ///
    /// # Panics
    /// When there is none: the test asks for something the server was not told to do.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> &Endpoint {
        let found = self.recipe.endpoints.iter().find(|endpoint| endpoint.name == name);
        found.unwrap_or_else(|| panic!("{} has no endpoint {name}", self.name))
    }

    /// Where its first endpoint listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.recipe.endpoints[0].address
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Its folder, with its configuration and, below `tls`, its certificate.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How long it took to become ready.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }

    /// What it takes for a new certificate to be served.
    #[must_use]
    pub fn renewal(&self) -> Renewal {
        match self.recipe.reload {
            Reload::Signal(_) | Reload::Call(_) => Renewal::Reload,
            Reload::Itself => Renewal::Itself,
            Reload::OnlyRestart(_) => Renewal::Restart,
        }
    }

    /// What it printed and logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        let logs = self.recipe.logs.iter().map(|path| fs::read(path).unwrap_or_default());
        let all = [fs::read(self.output()).unwrap_or_default()]
            .into_iter()
            .chain(logs)
            .collect::<Vec<_>>()
            .concat();
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Puts another certificate in the place of its first one, and does not tell the server.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn replace(&mut self, leaf: &Leaf) -> Result<(), NotRun> {
        self.replace_in("tls", leaf)
    }

    /// Puts another certificate into one of its folders; servers with several say which they have.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn replace_in(&mut self, place: &str, leaf: &Leaf) -> Result<(), NotRun> {
        let installed = leaf.install(&self.folder.join(place), self.recipe.owner);
        installed.map_err(|error| NotRun::new(self.name, error.to_string()))
    }

    /// Tells the server to use what lies in its folder, the way its administrator would.
    ///
    /// For a server that [needs a restart](Renewal::Restart) this does what does not help.
    ///
    /// # Errors
    /// When it could not be told.
    pub fn reload(&mut self) -> Result<(), NotRun> {
        match &self.recipe.reload {
            Reload::Signal(signal) | Reload::OnlyRestart(signal) => {
                let Some(child) = &self.child else { return Ok(()) };
                let before = if self.name == "nginx" { descendants(child.id()) } else { Vec::new() };
                program::signal(signal, &[i64::from(child.id())]);
                // Its old workers answer beside the new ones until they have heard of it. Where the new
                // configuration is wrong they stay, and that is the caller's to find out.
                let began = Instant::now();
                while before.iter().any(Process::is_alive) && began.elapsed() < RELOAD {
                    thread::sleep(Duration::from_millis(10));
                }
                Ok(())
            }
            Reload::Call(call) => call(),
            Reload::Itself => Ok(()),
        }
    }

    /// Waits until no old worker answers beside the new one: after somebody else has reloaded the server. Of nginx; the
    /// others have none that outlive what they were told.
    pub fn settled(&self) {
        if let Some(child) = self.child.as_ref().filter(|_| self.name == "nginx") {
            one_worker(child.id());
        }
    }

    /// Ends the server and starts it again on the same ports.
    ///
    /// # Errors
    /// When it does not start again.
    pub fn restart(&mut self) -> Result<(), NotRun> {
        self.stop();
        self.begin()
    }

    /// Waits until every endpoint serves this certificate.
    ///
    /// # Errors
    /// When one of them still serves another one, or nothing, after `patience`.
    pub fn await_serving(&self, leaf: &Leaf, patience: Duration) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let wrong = self.recipe.endpoints.iter().find_map(|endpoint| match peer::served(endpoint) {
                Ok(seen) if seen.sha256 == leaf.sha256 => None,
                Ok(seen) => Some(format!(
                    "{} {} serves {}, not {}",
                    self.name, endpoint.name, seen.serial, leaf.serial
                )),
                Err(error) => Some(format!("{} {}: {error}", self.name, endpoint.name)),
            });
            match wrong {
                None => return Ok(()),
                Some(error) if began.elapsed() > patience => {
                    return Err(format!("{error}\n{}", program::tail(&self.log())));
                }
                Some(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Ends the server; its ports stay reserved, so that a test can look at a dead one.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let group = i64::from(child.id());
        // Some servers give their children a session of their own: remember them while they can still be found.
        let family = descendants(child.id());
        program::signal(self.recipe.stop, &[group]);
        let _ = ended_within(&mut child, STOP);
        let mut left: Vec<i64> =
            family.into_iter().filter(|process| process.is_alive()).map(|p| i64::from(p.id)).collect();
        left.push(-group);
        program::signal("KILL", &left);
        let _ = child.kill();
        let _ = child.wait();
        orphans::forget_group(child.id());
    }

    /// The file that receives its output.
    fn output(&self) -> PathBuf {
        self.folder.join("output.log")
    }

    /// Runs the process and waits until it is ready.
    fn begin(&mut self) -> Result<(), NotRun> {
        let began = Instant::now();
        let failed = |error: std::io::Error| NotRun::new(self.name, error.to_string());
        let output = File::create(self.output()).map_err(failed)?;
        let command = &mut self.recipe.command;
        if command.get_current_dir().is_none() {
            // What a server drops where it runs, such as a core file, belongs into its folder.
            command.current_dir(&self.folder);
        }
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(failed)?)
            .stderr(output)
            .process_group(0);
        let child = command.spawn().map_err(failed)?;
        orphans::adopt_group(child.id());
        self.child = Some(child);

        let mut open = HashSet::new();
        while began.elapsed() < START {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                return Err(self.failure(&format!("it ended at once ({status})")));
            }
            for endpoint in &self.recipe.endpoints {
                if !open.contains(&endpoint.address) && is_open(endpoint.address) {
                    open.insert(endpoint.address);
                }
            }
            let all_open = self.recipe.endpoints.iter().all(|endpoint| open.contains(&endpoint.address));
            let said_so = self.recipe.ready.is_none_or(|sign| self.log().contains(sign));
            if all_open && said_so {
                self.took = began.elapsed();
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(self.failure(&format!("not ready after {START:?}")))
    }

    /// Why a start failed, with the end of the log.
    fn failure(&mut self, why: &str) -> NotRun {
        self.stop();
        NotRun::new(self.name, format!("{why}\n{}", program::tail(&self.log())))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("name", &self.name)
            .field("folder", &self.folder)
            .field("endpoints", &self.recipe.endpoints)
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

/// Whether somebody accepts connections there.
fn is_open(address: SocketAddr) -> bool {
    let reachable = match address.ip() {
        ip if ip.is_unspecified() => SocketAddr::new(IpAddr::from([127, 0, 0, 1]), address.port()),
        _ => address,
    };
    TcpStream::connect_timeout(&reachable, Duration::from_millis(200)).is_ok()
}

/// Waits for a child's end.
fn ended_within(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < patience {
        match child.try_wait() {
            Ok(None) => thread::sleep(Duration::from_millis(5)),
            Ok(status) => return status,
            Err(_) => return None,
        }
    }
    None
}

/// A process, told apart from a later one with the same number by its start.
struct Process {
    /// Its number.
    id: u32,
    /// When it started, in the kernel's ticks.
    started: String,
}

impl Process {
    /// Whether it is still the same process.
    fn is_alive(&self) -> bool {
        stat(self.id).is_some_and(|(_, started)| started == self.started)
    }
}

/// Parent and start of a process.
fn stat(id: u32) -> Option<(u32, String)> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold anything, so the fields are counted from the last parenthesis.
    let fields: Vec<&str> = text.rsplit(')').next()?.split_whitespace().collect();
    Some((fields.get(1)?.parse().ok()?, (*fields.get(19)?).to_owned()))
}

/// Waits until a master of one worker has no other child: the old one is gone. Not for longer than [`RELOAD`].
pub fn one_worker(master: u32) {
    let began = Instant::now();
    while descendants(master).len() > 1 && began.elapsed() < RELOAD {
        thread::sleep(Duration::from_millis(10));
    }
}

/// All processes below this one.
fn descendants(root: u32) -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let all: Vec<(u32, u32, String)> =
        ids.filter_map(|id| stat(id).map(|(parent, started)| (id, parent, started))).collect();
    let mut family = HashSet::from([root]);
    loop {
        let before = family.len();
        let grown: Vec<u32> =
            all.iter().filter(|(_, parent, _)| family.contains(parent)).map(|&(id, ..)| id).collect();
        family.extend(grown);
        if family.len() == before {
            break;
        }
    }
    all.into_iter()
        .filter(|(id, ..)| *id != root && family.contains(id))
        .map(|(id, _, started)| Process { id, started })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Server;

    #[test]
    fn may_be_shared_by_the_tests_of_a_binary() {
        fn check<T: Send + Sync>() {}
        check::<Server>();
    }
}

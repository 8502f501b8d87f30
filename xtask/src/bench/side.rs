//! The programs that are measured, run in turns, and the servers they are measured against.
//!
//! Every run is a process of its own, started through `notafter-benches cost`, which asks the kernel what it
//! cost. Nothing here judges: it gives medians.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::root;
use super::table::Table;

/// How often each side runs.
pub(super) const RUNS: usize = 5;

/// What is built, and where things lie.
pub(super) struct Setup {
    pub(super) folder: PathBuf,
    pub(super) notafter: PathBuf,
    pub(super) benches: PathBuf,
    /// The scanner in Go, or why there is none.
    pub(super) go: Result<PathBuf, String>,
}

impl Setup {
    /// Builds everything.
    pub(super) fn build() -> Result<Self, String> {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--release", "--locked", "-p", "notafter", "-p", "notafter-benches"]);
        done(cargo.current_dir(root()))?;
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        let folder = target.join("bench");
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let release = target.join("release");
        let go = build_go(&folder);
        Ok(Self { folder, notafter: release.join("notafter"), benches: release.join("notafter-benches"), go })
    }

    /// A subcommand of ours.
    pub(super) fn role(&self, words: &[&str]) -> Vec<String> {
        std::iter::once(self.benches.display().to_string())
            .chain(words.iter().map(|w| (*w).to_owned()))
            .collect()
    }

    /// The product, scanning.
    pub(super) fn scan(&self, words: &[&str]) -> Vec<String> {
        let program = self.notafter.display().to_string();
        let fixed = ["scan", "--format", "ndjson", "--yes", "--rate", "1000000"];
        std::iter::once(program).chain(fixed.iter().chain(words).map(|w| (*w).to_owned())).collect()
    }

    /// Runs a role that measures itself, to its end.
    pub(super) fn ask(&self, words: &[&str]) -> Result<Value, String> {
        let output = Command::new(&self.benches).args(words).stderr(Stdio::inherit()).output();
        let output = output.map_err(|e| format!("{}: {e}", self.benches.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = text.lines().last().unwrap_or_default();
        serde_json::from_str(last).map_err(|e| format!("{}: {e}: {last}", words.join(" ")))
    }

    /// Runs one side once; what it printed is in the file [`Self::printed`] names.
    fn cost(&self, command: &[String]) -> Result<Cost, String> {
        let out = self.printed().display().to_string();
        let mut words = vec!["cost", &out];
        words.extend(command.iter().map(String::as_str));
        let value = self.ask(&words)?;
        let field = |name: &str| value[name].as_f64().ok_or_else(|| format!("no {name} in {value}"));
        let (user_us, system_us) = (field("user_us")?, field("system_us")?);
        Ok(Cost {
            cpu_us: user_us + system_us,
            user_us,
            wall_us: field("wall_us")?,
            rss_mb: field("max_rss_kib")? / 1024.0,
        })
    }

    /// Where the output of the last run is.
    fn printed(&self) -> PathBuf {
        self.folder.join("printed")
    }

    /// Runs every side in turn, again and again, and gives each side's medians.
    pub(super) fn interleaved(&self, table: &mut Table, sides: &[Side<'_>]) -> Result<Vec<Cost>, String> {
        let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); sides.len()];
        for run in 0..RUNS {
            for (n, side) in sides.iter().enumerate() {
                let cost = self.cost(&side.command).map_err(|e| format!("{}: {e}", side.name))?;
                let printed = std::fs::read(self.printed()).map_err(|e| e.to_string())?;
                if let Err(error) = (side.check)(&String::from_utf8_lossy(&printed)) {
                    let text = format!("run {} of {}: {error}", run + 1, side.name);
                    if side.ours { table.missed(text) } else { println!("bench: incomplete: {text}") }
                }
                costs[n].push(cost);
            }
        }
        Ok(costs.iter().map(|runs| Cost::median(runs)).collect())
    }

    /// Starts a server and waits until it listens.
    pub(super) fn serve(&self, mut command: Command, port: u16) -> Result<Server, String> {
        let log = self.folder.join(format!("server-{port}.log"));
        let file = std::fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let errors = file.try_clone().map_err(|e| e.to_string())?;
        let child = command.stdin(Stdio::null()).stdout(file).stderr(errors).spawn();
        let mut server = Server { child: child.map_err(|e| format!("{command:?}: {e}"))?, log };
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = server.child.try_wait().map_err(|e| e.to_string())?.is_some();
            if ended || began.elapsed() > Duration::from_secs(10) {
                return Err(format!("{command:?} does not listen:\n{}", server.said()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Starts one of our own servers.
    pub(super) fn serve_role(&self, words: &[&str], port: u16) -> Result<Server, String> {
        let mut command = Command::new(&self.benches);
        command.args(words);
        self.serve(command, port)
    }
}

/// One program under measurement.
pub(super) struct Side<'a> {
    pub(super) name: &'a str,
    /// Whether it must find everything, or is a peer that may not.
    pub(super) ours: bool,
    pub(super) command: Vec<String>,
    /// Whether what it printed says that it found everything.
    pub(super) check: Box<dyn Fn(&str) -> Result<(), String> + 'a>,
}

/// What a run cost.
#[derive(Clone, Copy)]
pub(super) struct Cost {
    pub(super) cpu_us: f64,
    pub(super) user_us: f64,
    pub(super) wall_us: f64,
    pub(super) rss_mb: f64,
}

impl Cost {
    fn median(runs: &[Self]) -> Self {
        let of = |field: fn(&Self) -> f64| {
            let mut values: Vec<f64> = runs.iter().map(field).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        Self {
            cpu_us: of(|c| c.cpu_us),
            user_us: of(|c| c.user_us),
            wall_us: of(|c| c.wall_us),
            rss_mb: of(|c| c.rss_mb),
        }
    }
}

/// A server, ended when dropped.
pub(super) struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// What it printed so far.
    pub(super) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // nginx takes its worker along when it is asked to end, and leaves it behind when it is killed.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// A port on which nobody listens, on any address.
pub(super) fn free_port() -> Result<u16, String> {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").map_err(|e| e.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|e| e.to_string())
}

/// The first line a program prints, wherever it prints it.
pub(super) fn first_line(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            let all = [output.stdout, output.stderr].concat();
            BufReader::new(all.as_slice()).lines().map_while(Result::ok).next().unwrap_or_default()
        }
        Err(_) => format!("no {program}"),
    }
}

fn build_go(folder: &Path) -> Result<PathBuf, String> {
    if Command::new("go").arg("version").output().is_err() {
        return Err("go is not installed".to_owned());
    }
    let out = folder.join("standin");
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(&out).arg(".").current_dir(root().join("benches/peers/go"));
    done(&mut go).map(|()| out)
}

fn done(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}")),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

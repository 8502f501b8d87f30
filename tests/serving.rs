//! A server under test: the real binary on a data folder of its own, stopped by pid. Shared by the tests of
//! `serve`.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use notafter_lab::Lab;

use crate::run::{Run, notafter, run};

/// A running server.
pub(crate) struct Serving {
    child: Child,
    pub(crate) folder: PathBuf,
    config: PathBuf,
    out: PathBuf,
}

/// How long a new alert waits for more of the same, in these tests.
pub(crate) const SETTLE: &str = "1";

impl Serving {
    /// Starts one with this configuration; `listen` and `data` are added.
    pub(crate) fn start(lab: &Lab, config: &str) -> Self {
        let folder = lab.path().join("data");
        let file = lab.path().join("notafter.toml");
        let server = "[server]\nlisten = \"127.0.0.1:0\"\n";
        let text = match config.strip_prefix("[server]\n") {
            Some(rest) => format!("{server}{rest}"),
            None => format!("{server}{config}"),
        };
        fs::write(&file, text).expect("the configuration is written");
        Self::on(lab.path(), folder, file)
    }

    /// Starts one on a folder that may hold something already.
    pub(crate) fn on(place: &Path, folder: PathBuf, config: PathBuf) -> Self {
        Self::with(place, folder, config, &[])
    }

    /// The same with something in its environment.
    pub(crate) fn with(place: &Path, folder: PathBuf, config: PathBuf, environment: &[(&str, &str)]) -> Self {
        let out = place.join("serve.out");
        let log = File::options().create(true).append(true).open(&out).expect("a file for its words");
        let mut command = notafter(&["serve"]);
        command.arg("--config").arg(&config).arg("--data").arg(&folder);
        command.env("NOTAFTER_SETTLE", SETTLE).env("SMTP_PASSWORD", notafter_lab::sinks::smtp::PASSWORD);
        command.envs(environment.iter().copied());
        let child = command
            .stdout(log.try_clone().expect("the same file"))
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let serving = Self { child, folder, config, out };
        serving.until("its greeting", || serving.words().contains("Notafter ").then_some(()));
        serving
    }

    /// Runs a command on the same data folder.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Run {
        let mut all = arguments.to_vec();
        let (data, config) = (self.folder.to_string_lossy(), self.config.to_string_lossy());
        all.extend(["--data", &data, "--config", &config]);
        run(&all)
    }

    /// What it has said so far.
    pub(crate) fn words(&self) -> String {
        fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// Where its pages are.
    pub(crate) fn url(&self) -> String {
        let words = self.words();
        let url = words.split_whitespace().rfind(|w| w.starts_with("http://127.0.0.1:") && w.ends_with('/'));
        url.unwrap_or_else(|| panic!("no address in: {words}")).trim_end_matches('/').to_owned()
    }

    /// Waits for something to be so, a minute at most.
    pub(crate) fn until<T>(&self, what: &str, check: impl FnMut() -> Option<T>) -> T {
        until(what, check, || self.words())
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal by its number or name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = std::process::Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(sent.is_ok_and(|s| s.success()), "kill -{name} {pid}");
    }

    /// Asks it to end, and waits for its exit code.
    pub(crate) fn stop(&mut self) -> i32 {
        self.signal("TERM");
        self.ended()
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> i32 {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status.code().unwrap_or(-1);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("it does not end: {}", self.words());
    }

    /// Kills it without a word, and starts it again on the same folder.
    pub(crate) fn crash_and_restart(&mut self, place: &Path) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.out);
        let again = Self::on(place, self.folder.clone(), self.config.clone());
        let _ = std::mem::replace(self, again);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for something to be so, a minute at most.
pub(crate) fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>, words: impl Fn() -> String) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} did not come:\n{}", words());
        std::thread::sleep(Duration::from_millis(100));
    }
}

//! Runs the real binary, as a user would, and reads what it said. Shared by the end-to-end tests.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::process::{Command, Output};

use serde_json::Value;

/// What a run of the binary came to.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A command that runs the binary with nothing of this machine's configuration.
pub(crate) fn notafter(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_notafter"));
    command.args(arguments).env("NO_COLOR", "1").env("COLUMNS", "120").env_remove("RUST_BACKTRACE");
    command
}

/// Runs it to its end.
pub(crate) fn run(arguments: &[&str]) -> Run {
    finished(notafter(arguments).output().expect("the binary runs"))
}

/// Reads what a finished process left.
pub(crate) fn finished(output: Output) -> Run {
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The JSON of a scan.
pub(crate) struct Scan(pub(crate) Value);

/// Scans and reads the JSON.
pub(crate) fn scan(arguments: &[&str]) -> Scan {
    let mut all = vec!["scan", "--json"];
    all.extend_from_slice(arguments);
    let run = run(&all);
    let value =
        serde_json::from_str(&run.out).unwrap_or_else(|e| panic!("no JSON ({e}): {}\n{}", run.out, run.err));
    Scan(value)
}

impl Scan {
    fn list(&self, name: &str) -> &[Value] {
        self.0[name].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// All of it, as it came.
    pub(crate) fn text(&self) -> String {
        self.0.to_string()
    }

    pub(crate) fn assets(&self) -> &[Value] {
        self.list("assets")
    }

    pub(crate) fn placements(&self) -> &[Value] {
        self.list("placements")
    }

    pub(crate) fn blind_spots(&self) -> &[Value] {
        self.list("blind_spots")
    }

    /// The fingerprints (hex) of the leaves placed at locations that begin so.
    pub(crate) fn leaves_at(&self, location: &str) -> Vec<String> {
        self.placements()
            .iter()
            .filter(|p| {
                p["role"] == "leaf" && p["location"].as_str().is_some_and(|l| l.starts_with(location))
            })
            .filter_map(|p| Some(p["asset"].as_str()?.trim_start_matches("sha256:").to_owned()))
            .collect()
    }

    /// Kind and severity of every finding.
    pub(crate) fn findings(&self) -> Vec<(&str, &str)> {
        self.list("findings")
            .iter()
            .filter_map(|f| Some((f["kind"].as_str()?, f["severity"].as_str()?)))
            .collect()
    }

    /// The one finding of this kind.
    pub(crate) fn finding(&self, kind: &str) -> &Value {
        let found: Vec<_> = self.list("findings").iter().filter(|f| f["kind"] == kind).collect();
        assert_eq!(found.len(), 1, "one {kind} expected: {:#?}", self.findings());
        found[0]
    }

    /// The one asset with this fingerprint (hex).
    pub(crate) fn asset(&self, sha256: &str) -> &Value {
        let id = format!("sha256:{sha256}");
        self.assets().iter().find(|a| a["id"] == id.as_str()).unwrap_or_else(|| panic!("no asset {id}"))
    }
}

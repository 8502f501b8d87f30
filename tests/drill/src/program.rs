//! The program under test, asked through its command line, and what it says in one normal form.
//!
//! Everything it is told besides the targets is what an organisation has anyway: its roots, who answers for what,
//! the passwords of its keystores, a name server, a configuration. A word that it does not know yet is left out and
//! noted, so that the rest can still be judged. Judges nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use notafter_lab::{NotRun, calendar, program};
use serde_json::Value;

/// What was reported.
pub(crate) type Seen = Vec<Finding>;

/// One finding, whoever made it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Finding {
    /// Its kind, in the words of the interface.
    pub(crate) kind: String,
    /// `critical`, `warning` or `info`.
    pub(crate) severity: String,
    /// Everywhere it is.
    pub(crate) locations: Vec<String>,
    /// When the thing ends.
    pub(crate) not_after: Option<String>,
    /// Whom it was laid before.
    pub(crate) owner: Option<String>,
    /// How many days were left.
    pub(crate) lead: Option<f64>,
    /// What it said.
    pub(crate) summary: String,
}

/// How long one run may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program, with what it is told at every level.
pub(crate) struct Program {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Folder for the files it is told of, and for its data.
    pub(crate) folder: PathBuf,
    /// Words of every scan.
    common: Vec<String>,
    /// What it did not understand.
    pub(crate) notes: Vec<String>,
}

impl Program {
    /// Finds the program by `NOTAFTER_BIN`.
    pub(crate) fn find(folder: &Path) -> Result<Self, String> {
        let path = std::env::var_os("NOTAFTER_BIN").map(PathBuf::from);
        let path =
            path.ok_or("NOTAFTER_BIN is not set\nhint: `cargo xtask drill` builds and names the program")?;
        let path = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        Ok(Self { path, folder: folder.to_owned(), common: Vec::new(), notes: Vec::new() })
    }

    /// Tells it something at every level, in files or words.
    pub(crate) fn tell(&mut self, words: &[&str]) {
        self.common.extend(words.iter().map(|&word| word.to_owned()));
    }

    /// Whether it knows targets of this form. What it does not know is noted.
    pub(crate) fn knows(&mut self, target: &str) -> bool {
        let mut command = self.command();
        command.args(["scan", "--dry-run", "--yes", target]);
        let ran = program::finish(&mut command, b"", PATIENCE);
        let knows = ran.is_ok_and(|ran| ran.status.code() != Some(2));
        if !knows {
            self.note(target.split_once(':').map_or(target, |(scheme, _)| scheme), "targets");
        }
        knows
    }

    /// The parts of a configuration that it accepts, in one file. What it does not accept is noted.
    pub(crate) fn accepted(&mut self, name: &str, parts: &[(&str, String)]) -> PathBuf {
        let path = self.folder.join(name);
        let mut all = String::new();
        for (what, part) in parts {
            let tried = format!("{all}{part}\n");
            let written = std::fs::write(&path, &tried);
            let mut command = self.command();
            command.args(["config", "check", "--config"]).arg(&path);
            let checked = program::finish(&mut command, b"", PATIENCE);
            if written.is_ok() && checked.is_ok_and(|ran| ran.status.success()) {
                all = tried;
            } else {
                self.note(what, "configuration");
            }
        }
        let _ = std::fs::write(&path, &all);
        path
    }

    /// Notes once what it does not know.
    fn note(&mut self, what: &str, of: &str) {
        let note = format!("{what} ({of})");
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The program without words, in a folder where no configuration lies.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(&self.folder).env("SSL_CERT_FILE", self.folder.join("roots.pem"));
        command.env_remove("SSL_CERT_DIR").env("NO_COLOR", "1");
        command
    }

    /// Looks once, as if it were this moment.
    pub(crate) fn scan(&self, targets: &[String], at: i64) -> Result<Seen, NotRun> {
        if targets.is_empty() {
            return Ok(Seen::new());
        }
        let mut command = self.command();
        command.args(["scan", "--json", "--quiet", "--yes", "--at", &rfc3339(at)]).args(&self.common);
        command.args(targets);
        let ran = program::finish(&mut command, b"", PATIENCE)?;
        if !matches!(ran.status.code(), Some(0 | 1 | 3)) {
            return Err(NotRun::new("scan", format!("{}: {}", ran.status, ran.all().trim())));
        }
        findings(&ran.text())
    }
}

/// The findings of a JSON document of `scan`.
pub(crate) fn findings(text: &str) -> Result<Seen, NotRun> {
    let all: Value =
        serde_json::from_str(text).map_err(|error| NotRun::new("scan", format!("its JSON: {error}")))?;
    let list = |name: &str| all[name].as_array().cloned().unwrap_or_default();
    let word = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
    let assets = list("assets");
    let one = |finding: &Value| {
        let asset = assets.iter().find(|a| !a["id"].is_null() && a["id"] == finding["asset"]);
        Finding {
            kind: word(finding, "kind").unwrap_or_default(),
            severity: word(finding, "severity").unwrap_or_default(),
            locations: finding["locations"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|l| Some(l.as_str()?.to_owned()))
                .collect(),
            not_after: asset.and_then(|a| word(a, "not_after")).or_else(|| word(finding, "deadline")),
            owner: word(finding, "owner"),
            lead: finding["lead_days"].as_f64(),
            summary: word(finding, "summary").unwrap_or_default(),
        }
    };
    Ok(list("findings").iter().map(one).collect())
}

/// An instant as RFC 3339.
pub(crate) fn rfc3339(unix: i64) -> String {
    let flat = calendar::generalized(unix);
    let part = |from: usize, to: usize| flat[from..to].to_owned();
    format!("{}-{}-{}T{}:{}:{}Z", part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 12), part(12, 14))
}

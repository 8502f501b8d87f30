//! Where the corpora are, and the tools that make material or say what is in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use notafter_pki::container::sniff::{Hint, Markers};
use notafter_pki::container::{Content, Limits, Opened, open};
use notafter_pki::{Statement, StatementKind};

/// A folder of the corpora; `None`, and a line that says so, when it is not there.
pub(crate) fn corpus(test: &str, name: &str) -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    let root = std::env::var_os("NOTAFTER_CORPORA").map_or(default, PathBuf::from).join(name);
    if root.is_dir() {
        return Some(root);
    }
    println!("NOT RUN: {test}: no corpus at {}", root.display());
    None
}

/// Every file below `root`, by name.
pub(crate) fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut stack = vec![root.to_owned()];
    while let Some(folder) = stack.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => stack.push(path),
                Ok(kind) if kind.is_file() => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// Whether a tool is there; says so when it is not.
pub(crate) fn has(test: &str, tool: &str) -> bool {
    let found = Command::new(tool).arg("--help").output().is_ok();
    if !found {
        println!("NOT RUN: {test}: no {tool} on this machine");
    }
    found
}

/// A folder of its own that goes away.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        // Short: the sockets of gpg-agent lie below, and their paths are bounded.
        let path = PathBuf::from(format!("/tmp/na-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a scratch folder");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(&path, mode).expect("a folder of our own");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file in the scratch folder");
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs a command line, split at blanks (`''` is an empty word), in the folder; it must succeed.
    pub(crate) fn run(&self, line: &str) -> String {
        let mut words = line.split_ascii_whitespace().map(|word| if word == "''" { "" } else { word });
        let mut command = Command::new(words.next().expect("a tool"));
        let out = command.args(words).current_dir(&self.0).output().unwrap_or_else(|e| panic!("{line}: {e}"));
        let errors = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{line}: {errors}");
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").arg("--homedir").arg(&self.0).args(["--kill", "all"]).output();
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Opens bytes as the crawler would.
pub(crate) fn opened(bytes: &[u8]) -> Opened<'_> {
    open(bytes, &[], &Limits::default())
}

/// Whether the crawler would read a file that holds this.
fn is_worth_reading(bytes: &[u8]) -> bool {
    Hint::of_start(bytes).is_some() || Markers::new().first(bytes).is_some()
}

/// What no marker finds by itself: SAML metadata without a single certificate, and the bare keys of `known_hosts`.
fn is_found_only_when_named(statement: &Statement) -> bool {
    statement.fact_of("format") == Some("saml") || statement.fact_of("role") == Some("ssh-authority")
}

/// The statements of one kind in bytes, with their places.
pub(crate) fn statements(bytes: &[u8], kind: StatementKind) -> Vec<(String, Statement)> {
    opened(bytes)
        .found
        .into_iter()
        .filter_map(|found| match found.content {
            Content::Statement(statement) if statement.kind() == kind => {
                // What is kept must come back.
                assert_eq!(Statement::parse(&statement.to_bytes()).as_ref(), Some(&statement));
                assert!(is_worth_reading(bytes) || is_found_only_when_named(&statement), "{statement:?}");
                Some((found.place.to_string(), statement))
            }
            _ => None,
        })
        .collect()
}

/// `2026-11-22T01:02:03Z`, or nothing.
pub(crate) fn until(statement: &Statement) -> Option<String> {
    statement.not_after().map(|time| time.to_string())
}

//! The house rules that a machine can hold: who may import whom, how files open, what stays sorted.
//!
//! Run by `cargo xtask tidy` and by the tests, so that a rule broken is a test failed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who may import whom, of our own crates. A crate that is not here must be added on purpose.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("notafter-pki", &[]),
    ("notafter-wire", &[]),
    ("notafter-core", &["notafter-pki"]),
    ("notafter-act", &["notafter-core", "notafter-pki", "notafter-wire"]),
    ("notafter-store", &["notafter-core", "notafter-pki"]),
    ("notafter-engine", &["notafter-core", "notafter-pki", "notafter-store"]),
    (
        "notafter-server",
        &["notafter-core", "notafter-engine", "notafter-pki", "notafter-store", "notafter-wire"],
    ),
    ("notafter-discover", &["notafter-core", "notafter-pki", "notafter-wire"]),
    (
        "notafter",
        &[
            "notafter-act",
            "notafter-core",
            "notafter-discover",
            "notafter-engine",
            "notafter-pki",
            "notafter-server",
            "notafter-sheet",
            "notafter-store",
            "notafter-wire",
        ],
    ),
    ("notafter-sheet", &["notafter-core", "notafter-pki"]),
    ("notafter-lab", &[]),
    ("notafter-drill", &["notafter-lab"]),
    ("notafter-chaos", &["notafter-lab"]),
    (
        "notafter-benches",
        &[
            "notafter-core",
            "notafter-discover",
            "notafter-engine",
            "notafter-pki",
            "notafter-store",
            "notafter-wire",
        ],
    ),
    ("xtask", &[]),
];

/// Crates that must not come near a runtime, a socket or a clock.
const PURE: &[(&str, &[&str])] = &[
    ("notafter-pki", &["tokio", "rustix", "rustls", "hickory-resolver", "jiff"]),
    ("notafter-core", &["tokio", "rustix", "rustls", "hickory-resolver", "jiff", "aws-lc-rs"]),
    ("notafter-wire", &["tokio", "hickory-resolver", "jiff"]),
];

/// What only some folders may name, and why.
const BANNED: &[(&str, &[&str], &str)] = &[
    ("std::net::Tcp", &["crates/pki", "crates/core", "crates/engine"], "no sockets here"),
    ("std::fs::", &["crates/pki/src", "crates/core/src", "crates/wire/src/tls/hello.rs"], "no files here"),
    (
        "println!",
        &[
            "crates/pki/src",
            "crates/core/src",
            "crates/wire/src",
            "crates/discover/src",
            "crates/act/src",
            "crates/engine/src",
        ],
        "only the binary prints",
    ),
    (
        "SystemTime::now()",
        &[
            "crates/pki/src",
            "crates/core/src",
            "crates/wire/src",
            "crates/discover/src",
            "crates/act/src",
            "crates/notafter/src",
        ],
        "only engine/clock.rs reads the clock",
    ),
    (
        "Instant::now()",
        &[
            "crates/pki/src",
            "crates/core/src",
            "crates/wire/src",
            "crates/discover/src",
            "crates/act/src",
            "crates/notafter/src",
        ],
        "only engine/clock.rs reads the clock",
    ),
    ("process::exit", &["crates"], "return an ExitCode: destructors must run"),
];

/// No file is longer without asking what second thing lives in it; catalogues and tests may be.
const LINES_MAX: usize = 800;

pub fn run() -> Result<(), String> {
    let root = root();
    let mut wrong = Vec::new();
    imports(&root, &mut wrong)?;
    for file in sources(&root) {
        let shown = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
        let text = std::fs::read_to_string(&file).map_err(|e| format!("{shown}: {e}"))?;
        head(&shown, &text, &mut wrong);
        banned(&shown, &text, &mut wrong);
        if text.lines().count() > LINES_MAX && !shown.contains("/tests/") && !shown.ends_with("oid.rs") {
            wrong.push(format!("{shown}: more than {LINES_MAX} lines: what second thing lives here?"));
        }
        if file.file_name().is_some_and(|n| n == "mod.rs") {
            wrong.push(format!("{shown}: name the file after its module"));
        }
    }
    sorted_rules(&root, &mut wrong)?;
    match wrong.as_slice() {
        [] => {
            println!("tidy: the house rules hold");
            Ok(())
        }
        _ => Err(format!("tidy:\n  {}", wrong.join("\n  "))),
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Every Rust file that is ours.
fn sources(root: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        ["crates", "xtask", "tests", "benches", "fuzz"].iter().map(|f| root.join(f)).collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_some_and(|n| n != "target" && n != "corpus") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The import table, over what cargo says rather than over what a file looks like.
fn imports(root: &Path, wrong: &mut Vec<String>) -> Result<(), String> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .current_dir(root)
        .output()
        .map_err(|e| format!("cargo metadata: {e}"))?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let ours: BTreeSet<String> =
        packages.iter().filter_map(|p| Some(p["name"].as_str()?.to_owned())).collect();
    let may: BTreeMap<_, _> = MAY_IMPORT.iter().copied().collect();
    for package in &packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(allowed) = may.get(name) else {
            wrong.push(format!("{name}: not in the import table of xtask/src/tidy.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            // Tests may use the lab; nothing that ships may.
            if !dependency["kind"].is_null() {
                continue;
            }
            let on = dependency["name"].as_str().unwrap_or_default();
            if ours.contains(on) && !allowed.contains(&on) {
                wrong.push(format!("{name} imports {on}, which it may not"));
            }
            let impure = PURE.iter().find(|(n, _)| *n == name).map_or(&[][..], |(_, list)| list);
            if impure.contains(&on) {
                wrong.push(format!("{name} imports {on}: it has no runtime, no sockets and no clock"));
            }
        }
    }
    Ok(())
}

/// Every file says at its top what it is.
fn head(shown: &str, text: &str, wrong: &mut Vec<String>) {
    let first = text.lines().find(|l| !l.trim().is_empty() && !l.starts_with("#!")).unwrap_or_default();
    if !first.starts_with("//!") {
        wrong.push(format!(
            "{shown}: open it with //! saying what it is and what it deliberately does not do"
        ));
    }
}

fn banned(shown: &str, text: &str, wrong: &mut Vec<String>) {
    // Tests at the bottom of a file may do what the file may not.
    let code = text.split("#[cfg(test)]").next().unwrap_or(text);
    for (what, folders, why) in BANNED {
        let here = folders.iter().any(|f| shown.starts_with(f))
            && !shown.contains("/tests/")
            && !shown.contains("/examples/");
        if here && code.lines().any(|l| l.contains(what) && !l.trim_start().starts_with("//")) {
            wrong.push(format!("{shown}: {what}: {why}"));
        }
    }
}

/// The list of rules is sorted, and every rule file is in it.
fn sorted_rules(root: &Path, wrong: &mut Vec<String>) -> Result<(), String> {
    let list = std::fs::read_to_string(root.join("crates/core/src/assess.rs")).map_err(|e| e.to_string())?;
    let listed: Vec<&str> =
        list.lines().filter_map(|l| l.trim().strip_prefix("&rules::")?.split("::").next()).collect();
    if !listed.is_sorted() {
        wrong.push("crates/core/src/assess.rs: RULES is not sorted".to_owned());
    }
    for entry in std::fs::read_dir(root.join("crates/core/src/rules")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().trim_end_matches(".rs").to_owned();
        if name != "scene" && !listed.contains(&name.as_str()) {
            wrong.push(format!("crates/core/src/rules/{name}.rs: not in RULES"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_house_rules_hold() {
        super::run().unwrap_or_else(|wrong| panic!("{wrong}"));
    }
}

//! Packages that this machine's Debian does not have, from a newer suite, without touching the machine.
//!
//! apt gets lists and a cache of its own below `target/lab/newer`, and the machine's own source with another suite.
//! What is downloaded so is only unpacked, never installed: the system's packages stay as they are.

use std::fs;
use std::process::Command;

use super::{run, workspace};

/// The suites that are looked in; the newest version wins, because a superseded one disappears.
const SUITES: &[&str] = &["trixie", "sid"];

/// Fetches the lists of the newer suites and gives the options with which apt reads them.
pub fn sources() -> Result<Vec<String>, String> {
    let folder = workspace().join("target/lab/newer");
    let lists = folder.join("lists/partial");
    let archives = folder.join("cache/archives/partial");
    for needed in [&lists, &archives] {
        fs::create_dir_all(needed).map_err(|error| format!("{}: {error}", needed.display()))?;
    }
    let site = site()?;
    let list: String = SUITES.iter().map(|suite| format!("deb {site} {suite} main\n")).collect();
    let path = folder.join("sources.list");
    fs::write(&path, list).map_err(|error| format!("{}: {error}", path.display()))?;

    let shown = folder.display();
    let options: Vec<String> = [
        format!("Dir::Etc::sourcelist={shown}/sources.list"),
        "Dir::Etc::sourceparts=-".to_owned(),
        format!("Dir::State::lists={shown}/lists"),
        format!("Dir::Cache={shown}/cache"),
        "Debug::NoLocking=1".to_owned(),
        "APT::Sandbox::User=root".to_owned(),
    ]
    .into_iter()
    .flat_map(|option| ["-o".to_owned(), option])
    .collect();
    let mut arguments: Vec<&str> = options.iter().map(String::as_str).collect();
    arguments.push("update");
    run("apt-get", &arguments, &folder)?;
    Ok(options)
}

/// Where this machine gets its Debian from.
fn site() -> Result<String, String> {
    let asked = Command::new("apt-get")
        .args(["indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)", "Created-By: Packages"])
        .output()
        .map_err(|error| format!("apt-get: {error}"))?;
    let printed = String::from_utf8_lossy(&asked.stdout).into_owned();
    let mut lines = printed.lines().filter_map(|line| line.strip_suffix(" main")?.split_once(' '));
    lines
        .find(|(_, suite)| !suite.contains('-'))
        .map(|(site, _)| site.to_owned())
        .ok_or_else(|| "apt knows no source of Debian's main packages".to_owned())
}

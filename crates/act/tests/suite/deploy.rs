//! The deployers against what reads their files: servers, `openssl`, `keytool`, an sshd, a receiver.
//!
//! That a deployment can be killed at every effect is tested beside the code, which alone can stop it there.

mod back;
mod far;
mod far_stores;
mod keystores;
mod presets;
mod race;
mod room;
mod servers;
mod small;
mod told;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use notafter_act::deployers::{BuildCx, find};
use notafter_act::roots::Roots;
use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_core::deployment::{Bundle, Key};
use notafter_core::joints::{Cx, Deployer};
use notafter_lab::{Authority, Lab, Leaf, Request, base64, program};
use serde_json::Value;

/// Real time: the lab's certificates are dated by it.
struct Wall;

impl Clock for Wall {
    #[allow(clippy::disallowed_methods)]
    fn now(&self) -> UnixTime {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        UnixTime(now.as_secs() as i64)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

fn cx() -> Cx {
    Cx::new(Arc::new(Wall), "this host".into())
}

fn deployer(kind: &str, table: Value) -> Box<dyn Deployer> {
    built(kind, table).unwrap_or_else(|error| panic!("{kind}: {error}"))
}

fn built(kind: &str, table: Value) -> Result<Box<dyn Deployer>, String> {
    let kind = find(kind).unwrap_or_else(|| panic!("no kind {kind}"));
    (kind.build)(table, &BuildCx { roots: Roots::read(), installs: true })
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn bundle(leaf: &Leaf, generation: u64) -> Bundle {
    let pem = std::fs::read_to_string(&leaf.fullchain_pem).unwrap();
    let key = std::fs::read_to_string(&leaf.key_pem).unwrap();
    let key = base64::blocks(&key, "PRIVATE KEY").pop().expect("a key");
    Bundle { name: "api".into(), generation, chain: base64::blocks(&pem, "CERTIFICATE"), key: Key::new(key) }
}

fn leaves(lab: &Lab, count: usize) -> Vec<Leaf> {
    let authority = Authority::new(lab);
    (0..count).map(|_| authority.issue(&Request::server().days(60).fresh_key())).collect()
}

/// Runs a program of the field, which must succeed, and gives both its outputs.
fn judge(program: &str, arguments: &[&str]) -> String {
    let path = program::find(program).unwrap_or_else(|e| panic!("{e}"));
    program::run(Command::new(path).args(arguments)).unwrap_or_else(|e| panic!("{e}")).all()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// An executable script that only root may change.
fn script(folder: &Path, name: &str, body: &str) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

#[test]
fn the_list_is_sorted_and_described() {
    use notafter_act::deployers::DEPLOYERS;
    assert!(DEPLOYERS.is_sorted_by_key(|kind| kind.name));
    for kind in DEPLOYERS {
        let schema = (kind.settings)();
        let settings = schema["properties"].as_object().unwrap();
        assert!(!settings.is_empty() && !kind.doc.is_empty());
        for (name, setting) in settings {
            let described = setting["description"].is_string();
            assert!(described || setting["$ref"].is_string(), "{} {name} has no description", kind.name);
        }
    }
}

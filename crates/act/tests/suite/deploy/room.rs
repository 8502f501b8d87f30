//! A file system that is full: the old pair stays, and nothing of the new one lies about.

use std::path::{Path, PathBuf};
use std::process::Command;

use notafter_core::fault::FaultKind;
use notafter_lab::{Lab, program};
use serde_json::json;

use super::{bundle, deployer, leaves, run};

const ROOM: &str = "NOTAFTER_TEST_ROOM";

/// Runs itself again in a mount namespace of its own, on a file system of 256 kB.
#[test]
fn a_full_disk_leaves_the_old_pair_in_force() {
    if let Some(folder) = std::env::var_os(ROOM) {
        return full(Path::new(&folder));
    }
    let lab = Lab::new("room");
    let folder = lab.subfolder("small");
    let mount = "mount -t tmpfs -o size=256k none \"$0\" && chmod 755 \"$0\" && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private", "sh", "-c", mount]).arg(&folder);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", "deploy::room::a_full_disk_leaves_the_old_pair_in_force", "--nocapture"]);
    let ran = program::run(command.env(ROOM, &folder)).unwrap_or_else(|e| panic!("{e}"));
    assert!(ran.text().contains("1 passed"), "{}", ran.all());
}

fn full(folder: &Path) {
    let lab = Lab::new("room-inner");
    let leaves = leaves(&lab, 3);
    let (certificate, key) = (folder.join("api.pem"), folder.join("api.key"));
    let table = json!({ "certificate": certificate, "key": key, "fullchain": folder.join("full.pem") });
    let target = deployer("files", table);
    run(target.deploy(&super::cx(), &bundle(&leaves[0], 1))).unwrap();
    run(target.deploy(&super::cx(), &bundle(&leaves[1], 2))).unwrap();
    let before = all(folder);
    let mut failures = 0;
    // From no room at all to enough, a page at a time.
    for free in 0..24 {
        let filler = folder.join("filler");
        let _ = std::fs::write(&filler, vec![1; 1 << 20]);
        let room = std::fs::metadata(&filler).unwrap().len() - (free * 4096).min(200_000);
        std::fs::OpenOptions::new().write(true).open(&filler).unwrap().set_len(room).unwrap();
        let ended = run(target.deploy(&super::cx(), &bundle(&leaves[2], 3)));
        std::fs::remove_file(&filler).unwrap();
        match ended {
            Err(fault) => {
                assert_eq!(fault.kind, FaultKind::Exhausted, "{fault}");
                assert!(fault.hint.as_deref().unwrap_or_default().contains("make room"), "{fault:?}");
                assert_eq!(all(folder), before, "with {free} pages free");
                failures += 1;
            }
            Ok(_) => {
                assert_eq!(
                    std::fs::read(&certificate).unwrap(),
                    std::fs::read(&leaves[2].fullchain_pem).unwrap()
                );
                assert!(failures > 2, "{failures}");
                return;
            }
        }
    }
    panic!("never enough room");
}

/// Every file and link below a folder, with what it holds, but for the note of what was loaded.
fn all(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut out = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_symlink() {
                out.push((
                    path.clone(),
                    std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
                ));
            } else if path.is_dir() {
                left.push(path);
            } else if path.file_name().is_some_and(|name| name != "loaded") {
                out.push((path.clone(), std::fs::read(&path).unwrap()));
            }
        }
    }
    out.sort();
    out
}

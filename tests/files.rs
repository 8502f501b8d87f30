//! Certificates in files of every shape: each is found at its place, and nothing is found where nothing is.

#![allow(clippy::print_stdout, reason = "what was not run, and how much was, is said")]

mod run;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use notafter_lab::stores::{self, Java, Pkcs12};
use notafter_lab::{Authority, Key, Lab, Leaf, Request, need};
use run::{Scan, scan};

struct Folder {
    lab: Lab,
    tree: PathBuf,
    leaf: Leaf,
}

impl Folder {
    fn new(name: &str) -> Self {
        let lab = Lab::new(name);
        let leaf = Authority::new(&lab).issue(&Request::server());
        let tree = lab.path().join("tree");
        fs::create_dir_all(&tree).unwrap();
        Self { lab, tree, leaf }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.tree.join(name)
    }

    fn scan(&self, more: &[&str]) -> Scan {
        let mut all = vec![self.tree.to_str().unwrap()];
        all.extend_from_slice(more);
        scan(&all)
    }
}

/// The location of every placement of this certificate, below the folder.
fn places(found: &Scan, leaf: &Leaf) -> Vec<String> {
    let id = format!("sha256:{}", leaf.sha256);
    let tail = |p: &serde_json::Value| Some(p["location"].as_str()?.rsplit_once("/tree/")?.1.to_owned());
    let here = found.placements().iter().filter(|p| p["asset"] == id.as_str() && p["role"] != "key");
    let mut out: Vec<_> = here.filter_map(tail).collect();
    out.sort();
    out
}

#[test]
fn every_container_shows_the_certificate_in_it() {
    let f = Folder::new("containers");
    fs::copy(&f.leaf.cert_pem, f.path("a.pem")).unwrap();
    fs::copy(&f.leaf.fullchain_pem, f.path("b-fullchain.pem")).unwrap();
    fs::copy(&f.leaf.combined_pem, f.path("c-combined.pem")).unwrap();
    stores::der(&f.path("d.der"), &f.leaf);
    stores::kubernetes_secret(&f.path("e-secret.yaml"), &f.leaf, "api");
    stores::kubeconfig(&f.path("f-kubeconfig"), &f.leaf);
    stores::json(&f.path("g.json"), &f.leaf);
    let made = [
        stores::pkcs7_der(&f.path("h.p7b"), &f.leaf),
        stores::pkcs7_pem(&f.path("i.p7c"), &f.leaf),
        stores::pkcs12(&f.path("j.p12"), &f.leaf, Pkcs12::Modern, "secret word"),
        stores::pkcs12(&f.path("k.pfx"), &f.leaf, Pkcs12::Legacy, "secret word"),
        stores::pkcs12(&f.path("l.p12"), &f.leaf, Pkcs12::Unprotected, ""),
        stores::java(&f.path("m.jks"), &f.leaf, Java::Jks, "never given"),
        stores::java(&f.path("n.jceks"), &f.leaf, Java::Jceks, "never given"),
        stores::java(&f.path("o.p12"), &f.leaf, Java::Pkcs12, "changeit"),
    ];
    if made.into_iter().any(|m| need(m).is_none()) {
        return;
    }
    let passwords = f.lab.path().join("passwords");
    fs::write(&passwords, "wrong\nsecret word\n").unwrap();
    let found = f.scan(&["--password-file", passwords.to_str().unwrap()]);
    let places = places(&found, &f.leaf);
    for name in [
        "a.pem", "b-", "c-", "d.der", "e-", "f-", "g.json", "h.p7b", "i.p7c", "j.p12", "k.pfx", "l.p12",
        "m.jks", "n.jceks", "o.p12",
    ] {
        assert_eq!(places.iter().filter(|p| p.starts_with(name)).count(), 1, "{name}: {places:?}");
    }
    // Nobody gave the password of two Java stores: what they hold is known, but not whether their keys can be used.
    let blind = found.blind_spots();
    assert!(blind.iter().all(|b| b["reason"] == "wrong-password"), "{blind:?}");
    let mut closed: Vec<_> =
        blind.iter().filter_map(|b| b["location"].as_str()?.rsplit('/').next()).collect();
    closed.sort_unstable();
    assert_eq!(closed, ["m.jks", "n.jceks"]);
    // Without the password two of them cannot be opened, and that is said; the Java ones still can.
    let blind = f.scan(&[]);
    let wrong: Vec<_> = blind.blind_spots().iter().filter(|b| b["reason"] == "wrong-password").collect();
    assert_eq!(wrong.len(), 2, "{:?}", blind.blind_spots());
    assert_eq!(blind.findings().iter().filter(|(kind, _)| *kind == "cannot-read").count(), 2);
}

#[test]
fn keytool_agrees_on_aliases() {
    let f = Folder::new("aliases");
    if need(stores::java(&f.path("a.jks"), &f.leaf, Java::Jks, "changeit")).is_none() {
        return;
    }
    let list = Command::new("keytool")
        .args(["-list", "-storepass", "changeit", "-keystore"])
        .arg(f.path("a.jks"))
        .output()
        .expect("keytool ran a moment ago");
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let alias =
        list.lines().find_map(|l| l.contains("PrivateKeyEntry").then(|| l.split(',').next())).flatten();
    assert_eq!(places(&f.scan(&[]), &f.leaf), [format!("a.jks#{}", alias.expect("an alias"))]);
}

#[test]
fn pem_in_strange_company() {
    let f = Folder::new("company");
    let pem = fs::read_to_string(&f.leaf.cert_pem).unwrap();
    let indented: String = pem.lines().map(|l| format!("      {l}\n")).collect();
    let write = |name: &str, bytes: &[u8]| fs::write(f.path(name), bytes).unwrap();
    write("crlf.pem", pem.replace('\n', "\r\n").as_bytes());
    write("values.yaml", format!("tls:\n  cert: |\n{indented}").as_bytes());
    write("install.sh", format!("#!/bin/sh\ncat > x <<EOF\n{pem}EOF\n").as_bytes());
    write("late.conf", format!("{}{pem}", "# filler\n".repeat(30_000)).as_bytes());
    let utf16: Vec<u8> =
        std::iter::once(0xfeffu16).chain(pem.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    write("windows.txt", &utf16);
    write("binary.bin", &[&[0u8; 1000][..], pem.as_bytes(), &[0xff; 100]].concat());
    write("nothing.txt", b"-----BEGIN of a story-----\nabout certificates\n");
    let found = f.scan(&[]);
    assert_eq!(places(&found, &f.leaf).len(), 6, "{:?}", places(&found, &f.leaf));
    assert!(found.blind_spots().is_empty(), "{:?}", found.blind_spots());
}

#[test]
fn a_marker_across_two_reads_is_found() {
    let f = Folder::new("across");
    let pem = fs::read_to_string(&f.leaf.cert_pem).unwrap();
    for before in (128 * 1024 - 30)..(128 * 1024 + 2) {
        fs::write(f.path("a.conf"), format!("{}{pem}", "#".repeat(before - 1) + "\n")).unwrap();
        assert_eq!(places(&f.scan(&[]), &f.leaf).len(), 1, "marker at {before}");
    }
}

#[test]
fn links_names_and_hard_links() {
    let f = Folder::new("links");
    let real = f.path("real.pem");
    fs::copy(&f.leaf.cert_pem, &real).unwrap();
    symlink("real.pem", f.path("link.pem")).unwrap();
    symlink("real.pem", f.path("5ed36f99.0")).unwrap();
    symlink("loop-b", f.path("loop-a")).unwrap();
    symlink("loop-a", f.path("loop-b")).unwrap();
    symlink(".", f.path("here")).unwrap();
    symlink("/dev/zero", f.path("zero")).unwrap();
    symlink("nowhere", f.path("dangling")).unwrap();
    let odd = f.path("x").with_file_name(std::ffi::OsStr::from_bytes(b"odd \xff\n#.pem"));
    fs::copy(&f.leaf.cert_pem, &odd).unwrap();
    let found = f.scan(&[]);
    assert_eq!(places(&found, &f.leaf), ["link.pem#1", "odd%20%FF%0A%23.pem#1", "real.pem#1"]);
    assert!(found.blind_spots().is_empty(), "{:?}", found.blind_spots());
}

#[test]
fn traps_of_a_crawl_are_said_and_cost_nothing() {
    let f = Folder::new("traps");
    fs::copy(&f.leaf.cert_pem, f.path("a.pem")).unwrap();
    let fifo = f.path("pipe");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(f.path("socket")).unwrap();
    // A terabyte of nothing.
    fs::File::create(f.path("sparse")).unwrap().set_len(1 << 40).unwrap();
    let found = f.scan(&[]);
    assert_eq!(places(&found, &f.leaf), ["a.pem#1"]);
    let reasons: Vec<_> = found.blind_spots().iter().filter_map(|b| b["reason"].as_str()).collect();
    assert_eq!(reasons, ["too-large"], "{:?}", found.blind_spots());
    for (path, reason) in [
        (fifo.as_path(), "special-file"),
        (Path::new("/dev/zero"), "special-file"),
        (Path::new("/proc"), "special-file"),
        (Path::new("/no/such"), "not-found"),
    ] {
        let named = scan(&[path.to_str().unwrap()]);
        assert_eq!(named.blind_spots()[0]["reason"], reason, "{}", path.display());
    }
}

#[test]
fn another_file_system_is_not_entered() {
    let f = Folder::new("mounts");
    let mount = f.path("mnt");
    fs::create_dir_all(&mount).unwrap();
    let script = format!(
        "mount -t tmpfs none '{0}' && cp '{1}' '{0}/a.pem' && '{2}' scan --json '{3}'",
        mount.display(),
        f.leaf.cert_pem.display(),
        env!("CARGO_BIN_EXE_notafter"),
        f.tree.display(),
    );
    let output = Command::new("unshare").args(["-m", "sh", "-c", &script]).output();
    let Some(output) = output.ok().filter(|o| o.status.success()) else {
        println!("NOT RUN: another_file_system_is_not_entered: mounting needs root and a mount namespace");
        assert!(std::env::var_os("NOTAFTER_LAB").is_none(), "the lab is required");
        return;
    };
    let found = Scan(serde_json::from_slice(&output.stdout).unwrap());
    assert_eq!(found.assets().len(), 0);
    assert_eq!(found.blind_spots()[0]["reason"], "other-filesystem");
}

#[test]
fn what_may_not_be_read_is_said() {
    let f = Folder::new("denied");
    fs::copy(&f.leaf.cert_pem, f.path("a.pem")).unwrap();
    let tree = f.tree.clone();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(f.path("a.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    for folder in tree.ancestors().take_while(|a| *a != std::env::temp_dir()) {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let copy = std::env::temp_dir().join(format!("notafter-denied-{}", std::process::id()));
    fs::copy(env!("CARGO_BIN_EXE_notafter"), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .args(["scan", "--json"])
        .arg(&tree)
        .output();
    fs::remove_file(&copy).unwrap();
    let Some(output) = output.ok().filter(|o| !o.stdout.is_empty()) else {
        println!("NOT RUN: what_may_not_be_read_is_said: becoming another user needs root");
        assert!(std::env::var_os("NOTAFTER_LAB").is_none(), "the lab is required");
        return;
    };
    let found = Scan(serde_json::from_slice(&output.stdout).unwrap());
    assert_eq!(found.blind_spots()[0]["reason"], "permission-denied", "{:#}", found.0);
    assert_eq!(found.findings(), [("cannot-read", "info")]);
}

#[test]
fn the_chain_of_a_file_follows_its_leaf() {
    let lab = Lab::new("filechain");
    let leaf = Authority::with_intermediates(&lab, Key::P256, 2).issue(&Request::server());
    let found = scan(&[leaf.fullchain_pem.to_str().unwrap()]);
    let roles: Vec<_> = found.placements().iter().filter_map(|p| p["role"].as_str()).collect();
    assert_eq!(roles, ["leaf", "intermediate", "intermediate"]);
    let first = found.placements().iter().find(|p| p["role"] == "leaf").unwrap();
    assert_eq!(first["chain"].as_array().map(Vec::len), Some(3));
    assert_eq!(first["file"]["owner"].as_str().map(str::is_empty), Some(false));
}

#[test]
fn a_key_is_placed_with_the_certificate_it_is_for() {
    let f = Folder::new("keyplace");
    fs::copy(&f.leaf.cert_pem, f.path("a.crt")).unwrap();
    fs::copy(&f.leaf.key_pem, f.path("a.key")).unwrap();
    let found = f.scan(&[]);
    let key = found.placements().iter().find(|p| p["role"] == "key").expect("the key is listed");
    assert_eq!(key["asset"], format!("sha256:{}", f.leaf.sha256).as_str());
    assert_eq!(key["key"]["encrypted"], false);
    assert_eq!(key["key"]["id"], found.asset(&f.leaf.sha256)["key"]["id"]);
    let text = found.0.to_string();
    let secret = fs::read_to_string(&f.leaf.key_pem).unwrap();
    let line = secret.lines().nth(1).unwrap();
    assert!(!text.contains(line), "no key material may be printed");
}

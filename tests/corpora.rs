//! Corpora of other projects, through the real binary: a whole /etc gives no false finding, a folder of
//! anything keeps giving what it gave, and nothing breaks. The counts are pins of our own output, so that a
//! loss fails; where outside truth was established, it stands in the tests of `pki`. The corpora are read
//! where they lie and never copied.

#![allow(clippy::print_stdout, reason = "what was not run, and how much was, is said")]

mod run;

use std::path::PathBuf;

use notafter_lab::base64;
use run::{Scan, scan};

/// The folder of a corpus; `None` where the corpora are absent, which is said.
fn corpus(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("NOTAFTER_CORPORA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora"),
        PathBuf::from,
    );
    let folder = root.join(name);
    if folder.is_dir() {
        return folder.canonicalize().ok();
    }
    println!("NOT RUN: corpora: no {name} at {}", root.display());
    None
}

/// Scans a corpus as of the day it was gathered and expects so many certificates in so many places.
fn check(name: &str, certificates: usize, places: usize) -> Option<Scan> {
    let folder = corpus(name)?;
    let found = scan(&[folder.to_str()?, "--at", "2026-11-21"]);
    let kept = found.assets().iter().filter(|a| a["kind"] == "certificate").count();
    let x509 = |id: &serde_json::Value| {
        let asset = found.assets().iter().find(|a| a["id"] == *id);
        asset.is_some_and(|a| a["kind"] == "certificate" || a["kind"] == "crl")
    };
    let placed = found.placements().iter().filter(|p| p["role"] != "key" && x509(&p["asset"])).count();
    println!("{name}: {kept} of {certificates} certificates in {placed} of {places} places");
    assert_eq!((kept, placed), (certificates, places), "{name}");
    Some(found)
}

#[test]
fn a_whole_etc_gives_no_false_finding() {
    let Some(found) = check("augeas-root", 0, 0) else { return };
    assert_eq!(found.findings(), []);
    // It is a part of a system: what its two servers name lies elsewhere, and that is said with the line.
    let conf = |text: &str| text.contains("/nginx.conf") || text.contains("/ssl.conf");
    for spot in found.blind_spots() {
        let (place, detail) = (spot["location"].as_str().unwrap(), spot["detail"].as_str().unwrap());
        let fits = spot["reason"] == "not-found" || spot["reason"] == "dns" && detail.contains("somename");
        assert!(fits && (conf(place) || conf(detail)), "{spot:#}");
    }
    assert_eq!(found.blind_spots().len(), 6, "{:?}", found.blind_spots());
}

#[test]
fn root_bundles_are_read_to_the_last_root_and_are_no_alarm() {
    let Some(found) = check("testssl", 525, 762) else { return };
    assert_eq!(found.findings(), []);
    assert!(found.placements().iter().all(|p| p["role"] == "trust-anchor"));
    for asset in found.assets() {
        assert!(asset["subject"].is_string() && asset["not_after"].is_string(), "{asset:#}");
    }
}

/// Name, end and fingerprint of every root, as OpenSSL prints them.
#[test]
fn openssl_agrees_on_subject_and_end_of_every_root() {
    let Some(folder) = corpus("testssl") else { return };
    let Some(found) = check("testssl", 525, 762) else { return };
    let mut ders = Vec::new();
    for file in std::fs::read_dir(folder.join("etc")).unwrap() {
        let text = std::fs::read(file.unwrap().path()).unwrap();
        ders.extend(base64::blocks(&String::from_utf8_lossy(&text), "CERTIFICATE"));
    }
    assert_eq!(ders.len(), 762);
    ders.sort();
    ders.dedup();
    let (mut ends, mut subjects) = (0, 0);
    for der in &ders {
        let said = openssl(der);
        let line = |name: &str| {
            said.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().trim().to_owned()
        };
        let print = line("sha256 Fingerprint=").replace(':', "").to_lowercase();
        let asset = found.asset(&print);
        ends += usize::from(line("notAfter=").replace(' ', "T") == asset["not_after"].as_str().unwrap());
        subjects += usize::from(line("subject=") == asset["subject"].as_str().unwrap());
    }
    println!("testssl: {ends} ends and {subjects} subjects of {} as OpenSSL has them", ders.len());
    assert_eq!((ends, subjects), (525, 525));
}

/// What OpenSSL prints of a certificate.
fn openssl(der: &[u8]) -> String {
    let mut child = std::process::Command::new("openssl")
        .args([
            "x509",
            "-inform",
            "DER",
            "-noout",
            "-enddate",
            "-dateopt",
            "iso_8601",
            "-fingerprint",
            "-sha256",
        ])
        .args(["-subject", "-nameopt", "RFC2253,-esc_msb"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("openssl is there");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), der).unwrap();
    String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
}

#[test]
fn no_corpus_loses_a_certificate() {
    check("zlint", 645, 684);
    check("gnutls-data", 81, 101);
    // Here, in pyca-vectors and in haproxy two places are in OCSP responses.
    check("boringssl-pki", 239, 334);
    check("keystores", 21, 34);
    check("pyca-vectors", 68, 109);
    check("openssl-certs", 144, 206);
    check("manifests", 20, 42);
    check("certbot-files", 12, 13);
    check("haproxy", 16, 30);
    check("rusticata", 20, 33);
    check("badssl", 28, 35);
    check("saml", 17, 56);
}

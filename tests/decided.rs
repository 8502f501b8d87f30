//! Findings of what somebody decided: the house its own policy, a standards body the end of an algorithm, an issuer that
//! a certificate is good no more. Each with its healthy twin, by the real binary.

mod run;

use std::path::Path;

use notafter_lab::servers::nginx;
use notafter_lab::{Authority, Key, Lab, Request, need};
use run::{Scan, scan};

/// Findings but for the private CA of the lab, which is no alarm.
fn kinds(found: &Scan) -> Vec<(String, String)> {
    let all = found.findings().into_iter().filter(|(kind, _)| *kind != "untrusted-chain");
    all.map(|(kind, severity)| (kind.to_owned(), severity.to_owned())).collect()
}

fn pair(kind: &str, severity: &str) -> Vec<(String, String)> {
    vec![(kind.to_owned(), severity.to_owned())]
}

/// What the house itself has decided: how long a certificate may live, that somebody answers for it.
#[test]
fn what_the_house_decided() {
    let lab = Lab::new("decided");
    let authority = Authority::new(&lab);
    let root = authority.root().cert_pem.to_string_lossy().into_owned();
    let leaf = authority.issue(&Request::server().days(120));
    let Some(server) = need(nginx::start(&lab, &leaf)) else { return };
    let file = lab.path().join("decided.toml");
    let check = |text: &str, expected: Vec<(String, String)>| {
        std::fs::write(&file, text).unwrap();
        let config = file.to_string_lossy();
        let found = scan(&[&server.address().to_string(), "--roots", &root, "--config", &config]);
        assert_eq!(kinds(&found), expected, "{text}");
    };
    check("[policy]\nmax_days = 100\n", pair("lifetime-exceeds-policy", "warning"));
    check("[policy]\nmax_days = 130\n", vec![]);
    let owner = "[[owner]]\nname = \"web\"\n";
    check(&format!("{owner}match = [\"name:other.test\"]\n"), pair("unowned", "info"));
    check(&format!("{owner}match = [\"name:srv.test\"]\n"), vec![]);
}

/// NIST SP 800-57: RSA of 2048 bits signs nothing new after 2030. A house that runs its own CA meets that first.
#[test]
fn a_ca_that_outlives_its_algorithm() {
    let found = |key: Key, years: i64, at: &str| {
        let lab = Lab::new("sunset");
        let authority = Authority::custom(&lab, Request::authority("House").key(key).days(years * 365), &[]);
        let folder = lab.subfolder("ca");
        std::fs::copy(&authority.root().cert_pem, folder.join("ca.pem")).unwrap();
        std::fs::copy(&authority.root().key_pem, folder.join("ca.key")).unwrap();
        let found = kinds(&scan(&[folder.to_str().unwrap(), "--at", at]));
        found.into_iter().filter(|(kind, _)| kind == "policy-date").collect::<Vec<_>>()
    };
    assert_eq!(found(Key::Rsa2048, 10, "2029-06-01"), pair("policy-date", "info"));
    assert_eq!(found(Key::Rsa2048, 10, "2028-06-01"), vec![]);
    assert_eq!(found(Key::Rsa2048, 3, "2029-06-01"), vec![]);
    assert_eq!(found(Key::P256, 10, "2029-06-01"), vec![]);
}

/// A list in a file, signed by the issuer, that names a certificate which is served.
#[test]
fn a_list_that_names_it() {
    let lab = Lab::new("listed");
    let authority = Authority::new(&lab);
    let leaf = authority.issue(&Request::server());
    let Some(server) = need(nginx::start(&lab, &leaf)) else { return };
    let issuer = authority.intermediates().last().unwrap_or(authority.root());
    let root = authority.root().cert_pem.to_string_lossy().into_owned();
    let folder = lab.subfolder("crl");
    let openssl = |arguments: &[&str]| {
        let done = std::process::Command::new("openssl").args(arguments).current_dir(lab.path()).output();
        let done = done.expect("openssl runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    };
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let serial = openssl(&["x509", "-noout", "-serial", "-in", &path(&leaf.cert_pem)]);
    let list = |serial: &str| {
        let line =
            format!("R\t401231235959Z\t261101000000Z,keyCompromise\t{serial}\tunknown\t/CN=srv.test\n");
        std::fs::write(lab.path().join("index.txt"), line).unwrap();
        let config = "[ca]\ndefault_ca = c\n[c]\ndatabase = index.txt\ndefault_md = sha256\n";
        std::fs::write(lab.path().join("ca.cnf"), config).unwrap();
        let out = path(&folder.join("house.crl"));
        let (key, certificate) = (path(&issuer.key_pem), path(&issuer.cert_pem));
        let signer = ["-keyfile", &key, "-cert", &certificate, "-crldays", "30", "-out", &out];
        openssl(&[&["ca", "-batch", "-gencrl", "-config", "ca.cnf"][..], &signer].concat());
        kinds(&scan(&[&server.address().to_string(), &path(&folder), "--roots", &root]))
    };
    assert_eq!(list(serial.trim_start_matches("serial=")), pair("revoked", "critical"));
    assert_eq!(list("0A0B0C"), vec![]);
}

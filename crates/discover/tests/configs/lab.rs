//! Servers of the lab, running: for each of their endpoints the configuration names the file that is served
//! there, at the address where it is.

use std::path::PathBuf;

use notafter_discover::configs::{SERVERS, read_with};
use notafter_discover::tree::Tree;
use notafter_lab::{Authority, Lab, Request, Starttls, need, servers};

/// Starts a server of the lab and reads its configuration. `told` are the addresses that are said to it at
/// its start and stand in no file.
fn check(lab_name: &str, server: &str, main: &str, told: bool) {
    let lab = Lab::new(&format!("configs-{lab_name}"));
    let leaf = Authority::new(&lab).issue(&Request::server());
    let (_, start) = servers::ALL.iter().find(|(n, _)| *n == lab_name).unwrap();
    let Some(running) = need(start(&lab, &leaf)) else { return };
    let kind = SERVERS.iter().find(|s| s.name == server).unwrap();
    let found = read_with(&Tree::host(), kind, &running.folder().join(main));
    assert!(!found.servings.is_empty(), "{lab_name}: {found:#?}");
    for serving in &found.servings {
        let text = std::fs::read_to_string(&serving.certificate).unwrap_or_default();
        assert!(text.contains("BEGIN CERTIFICATE"), "{lab_name}: {}", serving.certificate.display());
    }
    for endpoint in running.endpoints().iter().filter(|_| !told) {
        let fits = |l: &notafter_discover::configs::Listen| {
            let here = l.address.is_none_or(|ip| ip.is_unspecified() || ip == endpoint.address.ip());
            here && l.port == endpoint.address.port()
                && (l.protocol == "tls") == (endpoint.starttls == Starttls::Direct)
        };
        let serves = found.servings.iter().any(|s| s.listens.iter().any(fits));
        assert!(serves, "{lab_name} {} {}: {:#?}", endpoint.name, endpoint.address, found.servings);
    }
    let missing: Vec<PathBuf> = found.missing(&Tree::host()).iter().map(|(p, _)| p.to_path_buf()).collect();
    assert_eq!(missing, Vec::<PathBuf>::new(), "{lab_name}");
    println!("{lab_name}: {} of {0} endpoints, {:?}", running.endpoints().len(), found.blind);
}

macro_rules! servers {
    ($($name:ident: $server:literal, $main:literal, $told:literal;)*) => {
        $(#[test] fn $name() { check(stringify!($name), $server, $main, $told); })*
    };
}
servers! {
    nginx: "nginx", "nginx.conf", false;
    apache: "apache", "httpd.conf", false;
    haproxy: "haproxy", "haproxy.cfg", false;
    postfix: "postfix", "etc/main.cf", false;
    dovecot: "dovecot", "dovecot.conf", false;
    slapd: "openldap", "slapd.conf", true;
    postgres: "postgres", "data/postgresql.auto.conf", false;
    redis: "redis", "redis.conf", false;
    mosquitto: "mosquitto", "mosquitto.conf", false;
}

/// The machine the tests run on: whatever is said to be unclear is printed, and nothing that a package
/// ships is taken for a mistake.
#[test]
fn this_machine() {
    let tree = Tree::host();
    let found = notafter_discover::configs::read_tree(&tree);
    let renewals = notafter_discover::renewers::read_tree(&tree);
    println!(
        "this machine: {} files, {} certificates served, {} lineages; unclear: {:?} {:?}",
        found.files.len(),
        found.servings.len(),
        renewals.renewed.len(),
        found.blind,
        renewals.blind
    );
    let own =
        |at: &notafter_discover::configs::At| at.path.starts_with("/etc") || at.path.starts_with("/var");
    assert!(found.servings.iter().all(|s| own(&s.at)), "{:?}", found.servings);
    assert!(found.blind.iter().all(|b| b.reason.as_str() != "malformed"), "{:?}", found.blind);
}

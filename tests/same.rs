//! What joins places of several sources is said alike by a scan and by the server, whichever database it has: renewers,
//! anchors, logs, zones, endpoints that only a zone led to.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]

mod certbot;
mod logged;
mod run;
mod serving;

use std::collections::BTreeSet;
use std::process::Command;

use notafter_lab::calendar::{DAY, now};
use notafter_lab::servers::{openssl, postgres};
use notafter_lab::{Authority, Lab, Leaf, Request, Server, need};
use run::scan;
use serving::Serving;

const KINDS: &[&str] = &[
    "anchor-expires",
    "caa-forbids",
    "embedded-anchor-expires",
    "issuer-outlived",
    "renewal-failing",
    "renewal-overdue",
    "renewer-dead",
    "unexpected-issuance",
    "unmonitored-endpoint",
];

/// An authority whose root and issuer end after so many days.
fn authority(lab: &Lab, organisation: &str, root: i64) -> Authority {
    let subject = format!("/O={organisation}/CN={organisation} Root");
    let begin = now() - 600 * DAY;
    let root = Request::authority(organisation).subject(&subject).between(begin, now() + root * DAY);
    let issuer = Request::authority("Issuer").subject(&format!("/O={organisation}/CN={organisation} Issuer"));
    Authority::custom(lab, root, &[issuer.days(300)])
}

/// Kind, severity and places of the findings of these kinds.
fn told(list: &serde_json::Value) -> BTreeSet<String> {
    let all = list.as_array().into_iter().flatten();
    let ours = all.filter(|f| f["kind"].as_str().is_some_and(|kind| KINDS.contains(&kind)));
    ours.map(|f| {
        let places = f["locations"].as_array().into_iter().flatten();
        let mut places: Vec<&str> = places.filter_map(|place| place.as_str()).collect();
        places.sort_unstable();
        format!("{} {} {}", f["severity"], f["kind"], places.join(" "))
    })
    .collect()
}

/// What is there to be found, and how it is asked for.
struct World {
    _servers: Vec<Server>,
    targets: Vec<String>,
    sources: String,
}

fn world(lab: &Lab) -> Option<World> {
    let ours = authority(lab, "DigiCert", 3000);
    let cluster = authority(lab, "Cluster", 60);
    let device = authority(lab, "Device", 100);
    let soon = |name: &str| Request::new(&[name]).between(now() - 356 * DAY, now() + 9 * DAY);
    let leaves = [
        ours.issue(&Request::new(&["www.same.test"])),
        ours.issue(&soon("go.same.test")),
        cluster.issue(&Request::new(&["cluster.test"]).days(200)),
        device.issue(&Request::new(&["device.test"]).days(80)),
    ];
    let servers: Vec<Server> = leaves.iter().map_while(|leaf| need(openssl::start(lab, leaf))).collect();
    let [www, go, cluster_at, device_at] = servers.as_slice() else { return None };
    let org = lab.subfolder("org");
    let put = |path: &str, authority: &Authority| {
        let path = org.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy(&authority.root().cert_pem, path).unwrap();
    };
    put("pki/ca.crt", &cluster);
    put("rootfs/etc/device/ca.crt", &device);

    let fine = certbot::said(0, "DEBUG:certbot._internal.main:nothing to do");
    let failed = "ERROR:certbot._internal.renewal:Failed to renew certificate a with error: no TXT";
    let fails = [2, 1, 0].map(|days| certbot::said(days, failed)).concat();
    let long_ago = certbot::said(40, "DEBUG:certbot._internal.main:nothing to do");
    let machine = |name: &str, lived: i64, cron: bool, log: &str| {
        let request = Request::new(&[&format!("{name}.same.test")]);
        certbot::machine(&lab.path().join(name), &ours, &request, lived, cron, log)
    };
    let folders = vec![
        org.display().to_string(),
        machine("late", 62, true, &fine),
        machine("failing", 62, true, &fails),
        machine("dead", 50, false, &long_ago),
    ];

    let (one, two) = (www.address().port(), go.address().port());
    let zone = lab.subfolder("dns").join("same.zone");
    let records = format!(
        "$TTL 300\n@ SOA ns1 admin 1 3600 600 86400 300\n@ CAA 0 issue \"letsencrypt.org\"\n\
         www A 127.0.0.1\ngo A 127.0.0.1\n_{one}._tcp.www TLSA 3 1 1 00\n_{two}._tcp.go TLSA 3 1 1 00\n"
    );
    std::fs::write(&zone, records).unwrap();
    let other = authority(lab, "Other Authority", 3000);
    let rogue: Leaf = other.issue(&Request::new(&["login.same.test"]).serial("0badc0de"));
    let log = logged::log(&[(&leaves[0], false), (&rogue, false)]);

    let network = vec![
        format!("tls://127.0.0.1:{one}?sni=www.same.test"),
        format!("tls://{}?sni=cluster.test", cluster_at.address()),
        format!("tls://{}?sni=device.test", device_at.address()),
    ];
    let zones = format!("same.test@{}", zone.display());
    // Without it what is served here says which CAs are ours, and that may be seen later than the log.
    let sources = format!(
        "[policy]\nissuers = [\"DigiCert\", \"Cluster\", \"Device\"]\n\
         [[source]]\nname = \"zone\"\nkind = \"zone\"\nzones = [{zones:?}]\nevery = \"1h\"\n\
         [[source]]\nname = \"network\"\nkind = \"network\"\ntargets = {network:?}\nevery = \"1h\"\n\
         [[source]]\nname = \"files\"\nkind = \"files\"\npaths = {folders:?}\nevery = \"1h\"\n\
         [[source]]\nname = \"logs\"\nkind = \"ct\"\ndomains = [\"same.test\"]\nlogs = [{log:?}]\nevery = \"1h\"\n"
    );
    let mut targets = [network, folders].concat();
    targets.extend([format!("zone:{zones}"), format!("ct:same.test@{log}")]);
    Some(World { _servers: servers, targets, sources })
}

/// Serves until it says this.
fn serves(name: &str, config: &str, expected: &BTreeSet<String>) {
    let lab = Lab::new(name);
    let mut serving = Serving::start(&lab, config);
    let (mut last, mut listed) = (BTreeSet::new(), String::new());
    for _ in 0..300 {
        let all = serving.ask(&["ls", "--findings", "--json"]);
        listed = format!("{}{}", all.out, all.err);
        let all: serde_json::Value = serde_json::from_str(&all.out).unwrap_or_default();
        last = told(&all["items"]);
        if last == *expected {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(last, *expected, "{name}: {listed}\n{}", serving.words());
    assert_eq!(serving.stop(), 0);
}

#[test]
fn a_scan_and_the_server_on_either_database_say_the_same() {
    let lab = Lab::new("same");
    let Some(world) = world(&lab) else { return };
    let config = lab.path().join("scan.toml");
    std::fs::write(&config, &world.sources).unwrap();
    let config = config.display().to_string();
    let mut words: Vec<&str> = world.targets.iter().map(String::as_str).collect();
    words.extend(["--ports", "1", "--config", &config]);
    let found = scan(&words);
    let scanned = told(&found.0["findings"]);
    for kind in KINDS {
        assert!(
            scanned.iter().any(|one| one.contains(&format!("\"{kind}\""))),
            "{kind}: {scanned:#?}\n{:#}",
            found.0
        );
    }

    serves("same-sqlite", &world.sources, &scanned);
    let base = Lab::new("same-base");
    let Some(server) = need(postgres::start(&base, &Authority::new(&base).issue(&Request::server()))) else {
        return;
    };
    let port = server.address().port();
    let made = Command::new("psql")
        .args(["-X", "-q", "-h", "127.0.0.1", "-U", "postgres", "-p", &port.to_string()])
        .args(["-c", "CREATE DATABASE notafter"])
        .status();
    assert!(made.is_ok_and(|status| status.success()), "psql cannot make a database");
    let database = format!("postgres://postgres@127.0.0.1:{port}/notafter?sslmode=disable");
    let config = format!("[server]\ndatabase = \"{database}\"\n{}", world.sources);
    serves("same-postgres", &config, &scanned);
}

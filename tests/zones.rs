//! Zones of a real server: transfers, signatures, DS and CAA records, anchors in files; each with its healthy twin.

mod run;
mod signed;

use notafter_lab::calendar::DAY;
use notafter_lab::dns::{self, Daemon, Role, Tsig};
use notafter_lab::servers::nginx;
use notafter_lab::{Authority, Lab, Port, Request, need};
use run::scan;
use signed::Zone;

impl Zone {
    /// What is found in these places.
    fn check(&self, targets: &[String], expected: &[(&str, &str)]) {
        let mut words: Vec<&str> = targets.iter().map(String::as_str).collect();
        words.extend(["--ports", "1"]);
        let found = scan(&words);
        assert_eq!(found.findings(), expected, "{targets:?}: {:#}", found.0);
    }
}

const STALE: &[(&str, &str)] = &[("dnssec-signature-expires", "warning")];

#[test]
fn signatures_that_end_are_said_wherever_the_zone_is() {
    let Some(zone) = need(Zone::start("late", "", (-48, 24), true)) else { return };
    let name = &zone.name;
    for place in [
        format!("zone:{name}@{}", zone.at()),
        format!("dnssec:{name}@{}", zone.at()),
        format!("zone:{name}@{}", zone.file("signed")),
        format!("zone:{name}@{}", zone.file("raw")),
        zone.file("signed"),
        zone.file("raw"),
    ] {
        zone.check(&[place], STALE);
    }
    // A server and a file have the same copy: one thing, in two places.
    zone.check(&[format!("zone:{name}@{}", zone.at()), zone.file("signed")], STALE);
}

#[test]
fn signatures_that_are_made_anew_each_day_are_silent() {
    let Some(zone) = need(Zone::start("daily", "", (-26, 46), true)) else { return };
    let name = &zone.name;
    let all = [
        format!("zone:{name}@{}", zone.at()),
        format!("dnssec:{name}@{}", zone.at()),
        zone.file("signed"),
        zone.file("raw"),
    ];
    zone.check(&all, &[]);
}

#[test]
fn a_ds_record_must_fit() {
    let resolver = |zone: &Zone| vec![format!("dnssec:{}@{}", zone.name, zone.at())];
    if let Some(zone) = need(Zone::start("unfit", "", (-26, 460), false)) {
        let server = zone.at();
        let found = scan(&[&resolver(&zone)[0], "--resolver", &server]);
        assert_eq!(found.findings(), [("trust-anchor-stale", "critical")], "{:#}", found.0);
    }
    if let Some(zone) = need(Zone::start("fit", "", (-26, 460), true)) {
        let server = zone.at();
        let found = scan(&[&resolver(&zone)[0], "--resolver", &server]);
        assert_eq!(found.findings(), [], "{:#}", found.0);
        assert!(found.text().contains("the DS records of fit.test"), "{:#}", found.0);
    }
}

#[test]
fn hosts_of_a_zone_are_looked_at_by_name_and_a_refusal_is_said() {
    let lab = Lab::new("zone-hosts");
    let authority = Authority::new(&lab);
    let Some(web) = need(nginx::start(&lab, &authority.issue(&Request::server()))) else { return };
    let port = web.address().port();
    let more = format!("www A 127.0.0.1\nshop CNAME www\n_x._tcp SRV 0 0 {port} www\ngone A 127.0.0.77\n");
    let Some(zone) = need(Zone::start("hosts", &more, (-26, 460), true)) else { return };
    let found = scan(&[&format!("zone:{}@{}", zone.name, zone.at()), "--ports", "1"]);
    for name in ["www", "shop"] {
        let place = format!("tls://127.0.0.1:{port}?sni={name}.{}", zone.name);
        assert_eq!(found.leaves_at(&place).len(), 1, "{place}: {:#}", found.0);
    }
    assert!(found.blind_spots().is_empty(), "{:#}", found.0);
    // No record says that this port is for that name: what it serves is for another one, and no mismatch.
    let unasked = format!("tls://127.0.0.1:{port}?sni=ns1.{}", zone.name);
    assert_eq!(found.leaves_at(&unasked).len(), 0, "{:#}", found.0);
    // A record for every name: its address is looked at, and which names are in use there is not known.
    let Some(stars) = need(Zone::start("stars", "* A 127.0.0.1\n", (-26, 460), true)) else { return };
    let (all, port) = (format!("zone:{}@{}", stars.name, stars.at()), port.to_string());
    let found = scan(&[&all, "--ports", &port]);
    assert_eq!(found.leaves_at(&format!("tls://127.0.0.1:{port}")).len(), 1, "{:#}", found.0);
    let star = format!("*.{}", stars.name);
    assert!(found.blind_spots()[0]["detail"].as_str().is_some_and(|d| d.starts_with(&star)), "{:#}", found.0);
    assert!(scan(&[&all, "--ports", &port, "--exclude", &star]).blind_spots().is_empty());
    let refused = scan(&[&format!("zone:test@{}", zone.at())]);
    assert_eq!(refused.blind_spots()[0]["reason"], "refused", "{:#}", refused.0);
}

/// A zone that is only handed out with a key, at knot and at BIND; a long one, which comes in many messages.
#[test]
fn a_zone_that_wants_a_key() {
    let lab = Lab::new("zone-tsig");
    let authority = Authority::new(&lab);
    let Some(web) = need(nginx::start(&lab, &authority.issue(&Request::server()))) else { return };
    let port = web.address().port();
    let mut records = format!("www A 127.0.0.1\n_x._tcp SRV 0 0 {port} www\n_y._tcp SRV 0 0 {port} zzz\n");
    for n in 0..4000 {
        records += &format!("txt-{n} TXT \"{}\"\n", "x".repeat(80));
    }
    // The last of all that is sent: only whoever has read every message knows it.
    records += "zzz A 127.0.0.1\n";
    for (daemon, algorithm) in
        [(Daemon::Knot, "hmac-sha256"), (Daemon::Bind, "hmac-sha512"), (Daemon::Bind, "hmac-sha256")]
    {
        let zone = dns::Zone::new("guarded.test", &records);
        let (key, reserved) = (Tsig::new(algorithm), Port::free());
        let lab = Lab::new("zone-tsig-server");
        let started = dns::start_at(&lab, daemon, reserved.local(), &[zone], &key, &Role::Guarded);
        let Some(server) = need(started) else { continue };
        let target = format!("zone:guarded.test@{}", server.address());
        let file = |name: &str, text: String| {
            let path = lab.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path.display().to_string()
        };
        let written = |name: &str, secret: &str| {
            format!("key \"{name}\" {{\n\talgorithm {algorithm};\n\tsecret \"{secret}\";\n}};\n")
        };
        let handed_out = |found: &run::Scan| {
            for host in ["www", "zzz"] {
                let place = format!("tls://127.0.0.1:{port}?sni={host}.guarded.test");
                assert_eq!(found.leaves_at(&place).len(), 1, "{place}: {:#}", found.0);
            }
            assert!(found.blind_spots().is_empty(), "{daemon:?}: {:#}", found.0);
        };
        let good = file("good.key", written(&key.name, &key.secret));
        handed_out(&scan(&[&target, "--ports", "1", "--tsig-file", &good]));
        let secret = file("secret", format!("{}\n", key.secret));
        let table = |tsig: String| {
            file(
                "notafter.toml",
                format!("[[source]]\nkind = \"zone\"\nzones = [\"x.test\"]\ntsig = {tsig}\n"),
            )
        };
        let named = table(format!(
            "{{ name = \"{}\", algorithm = \"{algorithm}\", secret = {{ file = \"{secret}\" }} }}",
            key.name
        ));
        handed_out(&scan(&["--config", &named, &target, "--ports", "1"]));
        let whole = table(format!("{{ file = \"{good}\" }}"));
        handed_out(&scan(&["--config", &whole, &target, "--ports", "1"]));
        let refused = |words: &[&str], sign: &str| {
            let found = scan(&[&[target.as_str(), "--ports", "1"], words].concat());
            let [spot] = found.blind_spots() else { panic!("{daemon:?}: {:#}", found.0) };
            let detail = spot["detail"].as_str().expect("a sentence");
            assert_eq!(spot["reason"], "refused", "{daemon:?}: {:#}", found.0);
            assert!(detail.contains(sign) && detail.contains("hosts of the zone are not known"), "{detail}");
            assert!(!found.0.to_string().contains(&key.secret), "{:#}", found.0);
        };
        refused(&[], "--tsig-file");
        let other = file("other.key", written(&key.name, "b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIgb3RoZXI="));
        refused(&["--tsig-file", &other], "BADSIG");
        let unknown = file("unknown.key", written("nobody", &key.secret));
        refused(&["--tsig-file", &unknown], "BADKEY");
        let gone = table("{ name = \"acme\", secret = { file = \"/nonexistent/tsig\" } }".to_owned());
        let found = scan(&["--config", &gone, &target]);
        assert_eq!(found.blind_spots()[0]["reason"], "permission-denied", "{:#}", found.0);
        let plain = table("{ name = \"acme\", secret = \"c2VjcmV0\" }".to_owned());
        let said = run::run(&["scan", "--config", &plain, &target]);
        assert!(
            said.code == 2 && said.err.contains("`tsig`") && !said.err.contains("c2VjcmV0"),
            "{}",
            said.err
        );
    }
}

#[test]
fn an_anchor_that_is_no_key_of_the_zone() {
    let Some(zone) = need(Zone::start("anchor", "", (-26, 10 * DAY / 3600), true)) else { return };
    let keys = std::fs::read_dir(zone.lab.path()).expect("the folder").flatten().map(|entry| entry.path());
    let mut entries: Vec<String> = keys
        .filter(|path| path.extension().is_some_and(|end| end == "key"))
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .filter(|text| text.contains(" 257 3 "))
        .collect();
    let signed = std::fs::read_to_string(zone.file("signed")).expect("the zone");
    let in_zone = |text: &String| {
        let key = text.split_ascii_whitespace().last().unwrap_or_default();
        signed.contains(&key[key.len() - 16..])
    };
    entries.sort_by_key(in_zone);
    let folder = zone.lab.subfolder("resolver");
    for (text, expected) in entries.iter().zip([&[("trust-anchor-stale", "warning")][..], &[]]) {
        let file = folder.join("trusted.key");
        std::fs::write(&file, text).expect("a file");
        zone.check(&[file.display().to_string(), zone.file("signed")], expected);
    }
    assert_eq!(entries.len(), 2);
}

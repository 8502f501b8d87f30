//! Zones of a real server: transfers, signatures, DS and CAA records, anchors in files; each with its healthy twin.

mod run;
mod signed;

use notafter_lab::calendar::DAY;
use notafter_lab::servers::nginx;
use notafter_lab::{Authority, Lab, Request, need};
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
    let refused = scan(&[&format!("zone:test@{}", zone.at())]);
    assert_eq!(refused.blind_spots()[0]["reason"], "refused", "{:#}", refused.0);
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

//! `notafter why` during outages of real servers: each line of the path is broken once, and once nothing is.

#![allow(clippy::disallowed_methods)]

mod registry;
mod resolver;
mod run;
mod signed;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use notafter_lab::calendar::{DAY, now};
use notafter_lab::hostile::{Act, Peer};
use notafter_lab::keys::Key;
use notafter_lab::servers::{nginx, openssl};
use notafter_lab::{Authority, Lab, Leaf, Request, need, program};
use resolver::Dns;
use run::{Run, run};
use serde_json::Value;
use signed::Zone;

/// It is typed by somebody who was woken up.
const PROMISED: Duration = Duration::from_secs(10);

/// The first line, and the JSON of a second look.
struct Why {
    first: String,
    json: Value,
    code: i32,
}

fn why(arguments: &[&str]) -> Why {
    let page = asked(arguments);
    let json = asked(&[arguments, &["--json"]].concat());
    let value = serde_json::from_str(&json.out).unwrap_or_else(|e| panic!("{e}: {} {}", json.out, json.err));
    let first = page.out.lines().next().unwrap_or_default().to_owned();
    assert_eq!(page.code, json.code);
    Why { first, json: value, code: page.code }
}

fn asked(arguments: &[&str]) -> Run {
    let begun = Instant::now();
    let done = run(&[&["why"], arguments].concat());
    assert!(begun.elapsed() < PROMISED, "it took {:?}", begun.elapsed());
    done
}

impl Why {
    /// The verdicts of one part of the path.
    fn verdicts(&self, part: &str) -> Vec<&str> {
        let steps = self.json["evidence"].as_array().map(Vec::as_slice).unwrap_or_default();
        steps.iter().filter(|s| s["part"] == part).filter_map(|s| s["verdict"].as_str()).collect()
    }

    /// The texts of one part of the path.
    fn texts(&self, part: &str) -> String {
        let steps = self.json["evidence"].as_array().map(Vec::as_slice).unwrap_or_default();
        let texts = steps.iter().filter(|s| s["part"] == part).filter_map(|s| s["text"].as_str());
        texts.collect::<Vec<_>>().join("\n")
    }

    /// The culprit is of this kind, takes so long, and stands with these words in the first line.
    fn check(&self, kind: &str, class: &str, words: &[&str]) {
        assert_eq!(self.json["culprit"]["kind"], kind, "{}\n{:#}", self.first, self.json);
        assert_eq!((&self.json["explained"], &self.json["fix"]["class"]), (&true.into(), &class.into()));
        let now = format!("Now ({class}, ");
        for word in words.iter().chain([&kind, &now.as_str()]) {
            assert!(self.first.contains(word), "no {word} in: {}", self.first);
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn one_dead_address_of_several() {
    let Some(dns) = Dns::start() else { return };
    let lab = Lab::new("why-farm");
    let authority = Authority::new(&lab);
    let good = authority.issue(&Request::new(&["farm.lab"]));
    let dead = authority.issue(&Request::new(&["farm.lab"]).expired(2));
    let options = nginx::Options {
        addresses: vec![std::net::Ipv4Addr::LOCALHOST],
        by_address: vec![(std::net::Ipv4Addr::new(127, 0, 0, 2), dead)],
        ..Default::default()
    };
    let Some(server) = need(nginx::start_with(&lab, &good, &options)) else { return };
    let port = server.address().port();
    let found =
        why(&[&format!("farm.lab:{port}"), "--resolver", &dns.address, "--roots", text(&good.root_pem)]);
    let place = format!("tls://127.0.0.2:{port}?sni=farm.lab");
    found.check("inconsistent-endpoint", "F1", &["2 days ago", &place]);
    assert!(!found.first.contains("tls://127.0.0.1:"), "only the dead one: {}", found.first);
    assert_eq!(found.verdicts("leaf"), ["dead", "ok"], "{:#}", found.json);
    assert_eq!(found.verdicts("dns"), ["ok"]);
    assert!(found.texts("address").contains("[::1]"), "the one that refuses is said: {:#}", found.json);
    assert_eq!(found.code, 0);
}

#[test]
fn an_issuer_that_died_before_its_leaf() {
    let lab = Lab::new("why-issuer");
    let root = Request::authority("Lab Root").fresh_key();
    let between = Request::authority("Lab Dead Intermediate").key(Key::P256).fresh_key().expired(3);
    let authority = Authority::custom(&lab, root, &[between]);
    let leaf = authority.issue(&Request::server().between(now() - 30 * DAY, now() + 60 * DAY));
    let Some(server) = need(nginx::start(&lab, &leaf)) else { return };
    let host = format!("localhost:{}", server.address().port());
    let found = why(&[&host, "--roots", text(&leaf.root_pem)]);
    found.check("chain-expires-first", "F2", &["Lab Dead Intermediate expired 3 days ago", &host[9..]]);
    assert_eq!(found.verdicts("leaf"), ["ok"]);
    assert!(found.verdicts("chain").contains(&"dead"), "{:#}", found.json);
    assert!(found.verdicts("clients").contains(&"dead"), "{:#}", found.json);
    let before = why(&[&host, "--roots", text(&leaf.root_pem), "--at", "-10d"]);
    assert_eq!(before.json["explained"], false, "{}", before.first);
}

#[test]
fn renewed_on_disk_and_never_loaded() {
    let lab = Lab::new("why-reload");
    let authority = Authority::new(&lab);
    let old = authority.issue(&Request::server().expired(1));
    let Some(mut server) = need(nginx::start(&lab, &old)) else { return };
    let new = authority.issue(&Request::server());
    server.replace(&new).expect("the file is replaced");
    let host = format!("localhost:{}", server.address().port());
    let folder = server.folder().display();
    let config = lab.path().join("notafter.toml");
    std::fs::write(&config, format!("[[source]]\nkind = \"files\"\npaths = [\"{folder}\"]\n")).unwrap();
    let words = ["--config", text(&config), "--roots", text(&old.root_pem)];
    let found = why(&[&[host.as_str()], &words[..]].concat());
    found.check("renewed-not-loaded", "F0", &["not loaded", "minutes", "reload"]);
    assert!(found.verdicts("file").contains(&"wrong"), "{:#}", found.json);
    // Without the configuration it is one that expired: no more is known, and that is said.
    let blind = why(&[&host, "--roots", text(&old.root_pem)]);
    blind.check("expired-in-use", "F1", &["expired"]);
    assert_eq!(blind.verdicts("file"), ["not-seen"]);
    server.reload().expect("it reloads");
    server.await_serving(&new, Duration::from_secs(10)).expect("the new one is served");
    let healed = why(&[&[host.as_str()], &words[..]].concat());
    assert_eq!(healed.first, format!("{host}: nothing dated explains it"));
    assert!(healed.verdicts("file").contains(&"ok"), "{:#}", healed.json);
}

/// An OCSP response about a leaf, good for a minute; `state` as OpenSSL's index has it.
fn staple(
    lab: &Lab,
    authority: &Authority,
    leaf: &Leaf,
    state: &str,
) -> Result<std::path::PathBuf, notafter_lab::NotRun> {
    let issuer = authority.intermediates().last().expect("an issuer");
    let (index, out) = (lab.path().join("index"), lab.path().join("staple.der"));
    let line = format!("{state}\t{}\tunknown\t/CN=srv.test\n", leaf.serial.to_uppercase());
    std::fs::write(&index, line).expect("the index is written");
    std::fs::write(lab.path().join("index.attr"), "unique_subject = no\n").expect("so is this");
    let mut command = Command::new(program::find("openssl")?);
    command.arg("ocsp").arg("-index").arg(&index).arg("-CA").arg(&issuer.cert_pem);
    command.arg("-rsigner").arg(&issuer.cert_pem).arg("-rkey").arg(&issuer.key_pem);
    command.arg("-issuer").arg(&issuer.cert_pem).arg("-cert").arg(&leaf.cert_pem);
    command.args(["-no_nonce", "-nmin", "1", "-respout"]).arg(&out);
    program::run(&mut command)?;
    Ok(out)
}

#[test]
fn a_server_that_staples_that_it_is_revoked() {
    let lab = Lab::new("why-revoked");
    let authority = Authority::new(&lab);
    let leaf = authority.issue(&Request::server());
    let revoked = "R\t491231235959Z\t250102030405Z,keyCompromise";
    let Some(response) = need(staple(&lab, &authority, &leaf, revoked)) else { return };
    let Some(server) = need(openssl::start_with(&lab, &leaf, &["-status_file", text(&response)])) else {
        return;
    };
    let host = format!("localhost:{}", server.address().port());
    let found = why(&[&host, "--roots", text(&leaf.root_pem)]);
    found.check("revoked", "F2", &["on 2025-01-02 (keyCompromise)", "its key leaked"]);
    assert_eq!(found.verdicts("leaf"), ["wrong"], "{:#}", found.json);
}

#[test]
fn a_stapled_answer_that_is_out_of_date() {
    let lab = Lab::new("why-staple");
    let authority = Authority::new(&lab);
    let leaf = authority.issue(&Request::server());
    let Some(response) = need(staple(&lab, &authority, &leaf, "V\t491231235959Z\t")) else { return };
    let Some(server) = need(openssl::start_with(&lab, &leaf, &["-status_file", text(&response)])) else {
        return;
    };
    let host = format!("localhost:{}", server.address().port());
    let found = why(&[&host, "--roots", text(&leaf.root_pem), "--at", "+2d"]);
    found.check("staple-expires", "F0", &["passed its next update", "47 hours ago"]);
    assert_eq!((found.verdicts("staple"), found.verdicts("leaf")), (vec!["dead"], vec!["ok"]));
    let before = why(&[&host, "--roots", text(&leaf.root_pem), "--at", "+10s"]);
    assert_eq!(before.json["explained"], false, "{}", before.first);
}

#[test]
fn signatures_of_the_zone_that_have_ended() {
    let check = |name: &str, hours: (i64, i64), expected: Option<&str>, dnssec: &str| {
        let Some(zone) = need(Zone::start(name, "", hours, true)) else { return };
        let host = format!("ns1.{}", zone.name);
        let leaf = Authority::new(&zone.lab).issue(&Request::new(&[&host]));
        let Some(server) = need(nginx::start(&zone.lab, &leaf)) else { return };
        let target = format!("{host}:{}", server.address().port());
        let found = why(&[&target, "--resolver", &zone.at(), "--roots", text(&leaf.root_pem)]);
        match expected {
            Some(kind) => found.check(kind, "F1", &["have ended", "hours ago"]),
            None => assert_eq!(found.first, format!("{target}: nothing dated explains it")),
        }
        // Its other server, on the usual port, is not there: that is said beside it.
        assert_eq!(found.verdicts("dnssec"), [dnssec, "not-seen"], "{:#}", found.json);
        assert!(found.texts("dnssec").contains(&zone.name));
    };
    check("whylate", (-96, -3), Some("dnssec-signature-expires"), "dead");
    check("whyfresh", (-24, 24 * 14), None, "ok");
}

#[test]
fn a_domain_on_hold_is_the_cause_of_a_name_that_is_not_there() {
    let Some(dns) = Dns::start() else { return };
    let lab = Lab::new("why-hold");
    let document = |name: &str, status: &str| {
        let text = format!(
            r#"{{"objectClassName": "domain", "ldhName": "{name}", "status": ["{status}"], "events":
                [{{"eventAction": "expiration", "eventDate": "2049-01-01T00:00:00Z"}}]}}"#
        );
        (name.to_owned(), text)
    };
    let address =
        registry::registry(vec![document("held.lab", "server hold"), document("farm.lab", "active")]);
    let config = lab.path().join("notafter.toml");
    let table =
        format!("[[source]]\nkind = \"domain\"\ndomains = [\"x.lab\"]\nrdap = \"http://{address}/rdap/\"\n");
    std::fs::write(&config, table).unwrap();
    let ask = |host: &str, more: &[&str]| why(&[&[host, "--resolver", &dns.address], more].concat());
    let known = ["--config", text(&config)];
    let held = ask("www.held.lab", &known);
    held.check("domain-hold", "F2", &["held.lab", "days"]);
    assert_eq!((held.verdicts("dns"), held.verdicts("domain")), (vec!["wrong"], vec!["wrong"]));
    assert_eq!(held.code, 3, "nobody answered");
    let gone = ask("www.gone.lab", &known);
    assert!(gone.first.contains("knows no such domain"), "{}", gone.first);
    assert_eq!(gone.json["explained"], true);
    let alive = ask("farm.lab:1", &known);
    assert_eq!(alive.verdicts("domain"), ["ok"]);
    assert_eq!(alive.json["explained"], false, "{}", alive.first);
    // Nobody is asked whom the configuration does not name.
    let blind = ask("www.held.lab", &[]);
    assert!(blind.first.contains("nothing dated explains it: the name does not resolve"), "{}", blind.first);
    assert_eq!(blind.verdicts("domain"), ["not-seen"]);
    assert!(blind.texts("domain").contains("not asked: no [[source]] of kind = \"domain\""));
}

#[test]
fn a_healthy_host_is_said_to_be_healthy() {
    let lab = Lab::new("why-healthy");
    let leaf = Authority::new(&lab).issue(&Request::server());
    let Some(server) = need(nginx::start(&lab, &leaf)) else { return };
    let host = format!("localhost:{}", server.address().port());
    for target in [host.clone(), format!("https://{host}/login?x=1"), server.address().to_string()] {
        let found = why(&[&target, "--roots", text(&leaf.root_pem)]);
        assert_eq!(found.first, format!("{target}: nothing dated explains it"));
        assert_eq!((found.code, &found.json["culprit"]), (0, &Value::Null));
        assert_eq!((found.verdicts("leaf"), found.verdicts("chain")), (vec!["ok"], vec!["ok"]));
        assert_eq!(found.verdicts("clients"), ["ok"], "{:#}", found.json);
    }
}

#[test]
fn whoever_never_answers_costs_no_more_than_ten_seconds() {
    // The clock of `asked` is the test: a tarpit on the port, one that drips, and a resolver that says nothing.
    for act in [Act::Silent, Act::Drip { pause: Duration::from_millis(300) }, Act::HelloThenSilent] {
        let peer = Peer::start(act);
        let found = why(&[&format!("localhost:{}", peer.address().port())]);
        assert!(found.first.contains("no server answered with a certificate"), "{}", found.first);
        assert_eq!((found.code, found.verdicts("leaf")), (3, vec!["not-seen"]));
        assert_eq!(found.verdicts("address"), ["not-seen"], "{:#}", found.json);
    }
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let resolver = silent.local_addr().unwrap().to_string();
    let found = why(&["www.a.b.example.test", "--resolver", &resolver, "--timeout", "60s"]);
    assert!(found.first.contains("nothing dated explains it"), "{}", found.first);
    assert_eq!(found.code, 3);
}

#[test]
fn a_client_certificate_that_is_demanded_and_those_who_have_one() {
    let lab = Lab::new("why-client");
    let authority = Authority::new(&lab);
    let leaf = authority.issue(&Request::server());
    let options =
        nginx::Options { client_authorities: Some(authority.root().cert_pem.clone()), ..Default::default() };
    let Some(server) = need(nginx::start_with(&lab, &leaf, &options)) else { return };
    let host = format!("localhost:{}", server.address().port());
    let blind = why(&[&host, "--roots", text(&leaf.root_pem)]);
    assert!(
        blind.texts("client").contains("a client certificate of Lab Root is asked for"),
        "{:#}",
        blind.json
    );
    assert_eq!(blind.verdicts("client"), ["ok", "not-seen"], "who they are is not known");
    // What the data folder knows: two clients, one of them dead.
    let clients = lab.subfolder("clients");
    for (name, request) in
        [("alive", Request::client("alive.test")), ("dead", Request::client("dead.test").expired(4))]
    {
        let client = authority.issue(&request);
        std::fs::copy(&client.combined_pem, clients.join(format!("{name}.pem"))).expect("it is copied");
    }
    let data = lab.path().join("data");
    let known = ["--data", text(&data)];
    let saved = run(&[&["scan", text(&clients), &host, "--save"], &known[..]].concat());
    assert_eq!(saved.code, 0, "{}", saved.err);
    let found = why(&[&[&host, "--roots", text(&leaf.root_pem)], &known[..]].concat());
    let texts = found.texts("client");
    assert!(texts.contains("client dead.test") && texts.contains("client alive.test"), "{texts}");
    assert_eq!(found.verdicts("client"), ["ok", "dead", "ok"], "{texts}");
}

#[test]
fn what_changed_since_the_last_look() {
    let lab = Lab::new("why-changed");
    let authority = Authority::new(&lab);
    let old = authority.issue(&Request::new(&["srv.test", "localhost", "lost.test"]));
    let Some(mut server) = need(nginx::start(&lab, &old)) else { return };
    let host = format!("localhost:{}", server.address().port());
    let data = lab.path().join("data");
    let known = ["--data", text(&data), "--roots", text(&old.root_pem)];
    assert_eq!(run(&[&["scan", &host, "--save"], &known[..]].concat()).code, 0);
    let same = why(&[&[host.as_str()], &known[..]].concat());
    assert_eq!(same.verdicts("changes"), ["ok"], "{:#}", same.json);
    let new = authority.issue(&Request::new(&["srv.test", "localhost"]));
    server.replace(&new).expect("the file is replaced");
    server.reload().expect("it reloads");
    server.await_serving(&new, Duration::from_secs(10)).expect("the new one is served");
    let found = why(&[&[host.as_str()], &known[..]].concat());
    assert!(found.texts("changes").contains("without lost.test"), "{:#}", found.json);
    assert!(found.verdicts("changes").contains(&"wrong"));
    assert_eq!(found.json["explained"], false, "a change is no date: {}", found.first);
}

#[test]
fn the_signer_of_everyones_tokens() {
    let lab = Lab::new("why-token");
    let authority = Authority::new(&lab);
    let leaf = authority.issue(&Request::server());
    let Some(server) = need(nginx::start(&lab, &leaf)) else { return };
    let signer = authority.issue(&Request::new(&["tokens.test"]).expired(1));
    let (x5c, zero) = (notafter_lab::base64::encode(signer.der()), "A".repeat(43));
    let key = format!(
        r#"{{"keys": [{{"kty": "EC", "crv": "P-256", "use": "sig", "kid": "one", "x": "{zero}", "y": "{zero}", "x5c": ["{x5c}"]}}]}}"#
    );
    let document = r#"{"issuer": "http://ADDRESS", "jwks_uri": "http://ADDRESS/keys"}"#.to_owned();
    let web = registry::web(vec![("/openid-configuration".to_owned(), document), ("/keys".to_owned(), key)]);
    let config = lab.path().join("notafter.toml");
    std::fs::write(&config, format!("[[source]]\nkind = \"oidc\"\nissuers = [\"http://{web}\"]\n")).unwrap();
    let host = server.address().to_string();
    let found = why(&[&host, "--roots", text(&leaf.root_pem), "--config", text(&config)]);
    found.check("token-signer-expires", "F2", &["ago", "/keys"]);
    assert!(found.verdicts("token").contains(&"dead"), "{:#}", found.json);
    assert_eq!(found.verdicts("leaf"), ["ok"]);
    // Another host's signer is not asked about.
    let other = why(&["localhost:1", "--config", text(&config)]);
    assert_eq!(other.verdicts("token"), ["not-seen"], "{:#}", other.json);
}

#[test]
fn a_clock_that_is_wrong_explains_everything_else() {
    let Some(library) = need(notafter_lab::calendar::faketime()) else { return };
    let lab = Lab::new("why-clock");
    let leaf = Authority::new(&lab).issue(&Request::server());
    let Some(server) = need(nginx::start(&lab, &leaf)) else { return };
    let host = format!("localhost:{}", server.address().port());
    let mut command = run::notafter(&["why", &host, "--roots", text(&leaf.root_pem)]);
    command.env("LD_PRELOAD", library).env("FAKETIME", "+400d").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let done = run::finished(command.output().expect("it runs"));
    let first = done.out.lines().next().unwrap_or_default();
    assert!(first.contains("clock-skew") && first.contains("400 days ahead of"), "{first}\n{}", done.err);
    assert!(first.contains("Now (F0, minutes)"), "{first}");
}

//! What a user types and sees: exit codes, hints, formats, and the promises of the JSON.

mod run;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use notafter_lab::hostile::{Act, Peer};
use notafter_lab::servers::{nginx, openssl};
use notafter_lab::{Authority, Lab, Request, need, stores};
use run::{finished, notafter, run, scan};
use serde_json::Value;

/// Wrong usage: exit 2, an error that says `what`, and a hint.
fn refused(arguments: &[&str], what: &str) {
    let run = run(arguments);
    assert_eq!(run.code, 2, "{arguments:?}: {} {}", run.out, run.err);
    assert!(run.err.contains(what), "{arguments:?}: {}", run.err);
    assert!(run.out.is_empty(), "nothing is done: {}", run.out);
}

#[test]
fn wrong_usage_is_2_with_a_hint() {
    refused(&["scan", "bar:99999"], "hint: write ports from 1 to 65535");
    refused(&["scan", "10.0.0.9-10.0.0.1"], "hint: write first-last");
    refused(&["scan", "gopher://x"], "hint: known are");
    refused(&["scan", "k8s:prod"], "hint: not in this version");
    refused(&["scan", "k8s:prod"], "hint: not in this version");
    refused(&["scan", "10.0.0.0/8"], "hint: if you may scan all of them, say --yes");
    refused(&["scan", "8.0.0.0/23:443"], "public range beyond /24");
    refused(&["scan", "fd00::/64", "--yes"], "hint: name the hosts");
    refused(&["show", "10.0.0.0/8"], "hint: use `notafter scan`");
    refused(&["why", "10.0.0.0/8"], "hint: use `notafter scan`");
    refused(&["scan", "--starttls", "gopher", "x"], "hint: known are smtp");
    refused(&["scan", "--at", "tomorrow", "/etc/ssl"], "`tomorrow` is no time");
    refused(&["scan", "--ports", "0", "x"], "hint: write ports");
    refused(&["scan", "--timeout", "fast", "x"], "`fast` is no duration");
    refused(&["scan", "@/no/such/list"], "cannot read /no/such/list");
    refused(&["scan", "--no-findings", "/etc/ssl"], "hint: use it with --format ndjson");
    refused(&["scan", "--roots", "/dev/null", "/etc/ssl"], "holds no certificate");
    refused(&["agent", "api"], "hint: not in this version");
    refused(&["renew", "api"], "hint: write [[issuer]] and [[certificate]] tables");
    refused(&["serve", "--listen", "0.0.0.0:0", "--data", "/nonexistent/notafter"], "in the clear");
    refused(&["ls", "--data", "/nonexistent/notafter"], "hint: start `notafter serve`");
    refused(&["show", "sha256:00", "--data", "/nonexistent/notafter"], "nothing is kept");
    refused(&["ls", "expire<30d", "--data", "/tmp"], "nothing is kept");
    refused(&["scna"], "scan");
    refused(&["--config", "/nonexistent.toml", "agent", "x"], "hint: not in this version");
    refused(&["ls", "--bogus", "--data", "/tmp"], "unexpected argument '--bogus'");
    refused(&["scan", "vault:https://x"], "hint: not in this version");
    refused(&["scan", "k8s:default"], "hint: not in this version");
    refused(&["scan", "ct:example.com"], "no log is named");
    refused(&["scan", "nats://x"], "hint: not in this version");
    refused(&["scan", "127.0.0.1:1", "--exclude", "127.0.0.0/99"], "`127.0.0.0/99` is neither an address");
    refused(&["scan", "127.0.0.1:1", "--exclude", "127.0.0.*"], "hint: write 10.0.0.5");
}

#[test]
fn a_plugin_says_unknown_wherever_its_flags_stand() {
    let lab = Lab::new("plugin-usage");
    let file = lab.path().join("wrong.toml");
    std::fs::write(&file, "[[sorce]]\n").expect("written");
    let wrong = file.to_string_lossy().into_owned();
    for arguments in [
        vec!["check", "--bogus"],
        vec!["--config", "n.toml", "check", "--bogus"],
        vec!["--data", "d", "-q", "--at", "+3d", "check", "-H"],
        vec!["--config", "/nonexistent.toml", "check", "127.0.0.1:1"],
        vec!["--config", &wrong, "check", "127.0.0.1:1"],
    ] {
        let run = run(&arguments);
        assert_eq!(run.code, 3, "{arguments:?}: {}{}", run.out, run.err);
        assert!(run.out.starts_with("NOTAFTER UNKNOWN - ") && run.out.lines().count() == 1, "{}", run.out);
        assert!(run.err.is_empty() && !run.out.contains('|'), "{}{}", run.out, run.err);
    }
}

#[test]
fn a_wrong_configuration_is_never_right() {
    let lab = Lab::new("config-check");
    let file = lab.path().join("notafter.toml");
    for (text, says) in [
        ("[server]\nresolver = \"x\"\n", "line 2: `x` is no address of a DNS server"),
        ("[scan]\nexclude = [\"@/nonexistent\"]\n", "line 2: cannot read /nonexistent"),
        ("[scan]\nexclude = [\"127.0.0.0/99\"]\n", "line 2: `127.0.0.0/99` is neither"),
        ("[server]\nroles = [\"web\"]\n", "hint: not in this version"),
        ("[[source]]\nkind = \"k8s\"\n", "hint: not in this version"),
        ("[[source]]\nkind = \"local\"\npaths = [\"/etc\"]\n", "local is what listens here"),
        ("[[source]]\nkind = \"network\"\nports = [99999]\n", "hint: write ports from 1 to 65535"),
    ] {
        std::fs::write(&file, text).expect("written");
        refused(&["--config", file.to_str().expect("a plain path"), "config", "check"], says);
    }
}

#[test]
fn a_dry_run_counts_and_asks_nothing() {
    let run = run(&["scan", "--dry-run", "10.0.0.0/8:443", "/etc/ssl"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    assert_eq!(run.out, "would ask 16,777,216 pairs of address and port\nwould look through /etc/ssl\n");
}

#[test]
fn exit_codes() {
    let lab = Lab::new("codes");
    let authority = Authority::new(&lab);
    let expired = authority.issue(&Request::server().expired(2));
    let Some(server) = need(nginx::start(&lab, &expired)) else { return };
    let address = server.address().to_string();
    let check = |arguments: &[&str], code: i32| {
        let run = run(arguments);
        assert_eq!(run.code, code, "{arguments:?}\n{}{}", run.out, run.err);
    };
    check(&["scan", &address], 0);
    check(&["scan", &address, "--fail-on", "critical"], 1);
    check(&["scan", &address, "--fail-on", "critical", "--at", "-60d"], 0);
    check(&["scan", "127.0.0.1:1"], 3);
    check(&["scan", "nosuch.invalid"], 3);
    check(&["scan", "/no/such/file"], 3);
    check(&["scan", &address, "127.0.0.1:1"], 0);
    check(&["scan", "127.0.0.0/30:1"], 0);
    let empty = lab.subfolder("empty");
    check(&["scan", empty.to_str().unwrap()], 0);
}

/// Does the value have these fields, none of them missing?
fn has(value: &Value, fields: &[&str]) {
    for field in fields {
        assert!(value.get(field).is_some(), "no `{field}` in {value:#}");
    }
}

#[test]
fn the_json_keeps_its_promises() {
    let lab = Lab::new("json");
    let authority = Authority::new(&lab);
    let leaf = authority.issue(&Request::server().expired(2));
    let Some(server) = need(nginx::start(&lab, &leaf)) else { return };
    let store = lab.path().join("locked.p12");
    if need(stores::pkcs12(&store, &leaf, stores::Pkcs12::Modern, "unguessable")).is_none() {
        return;
    }
    let target = format!("tls://localhost:{}", server.address().port());
    let found = scan(&[&target, store.to_str().unwrap()]);
    has(
        &found.0["scan"],
        &["started", "finished", "at", "version", "targets", "attempted", "reached", "unreachable"],
    );
    let asset = found.asset(&leaf.sha256);
    has(
        asset,
        &[
            "id",
            "kind",
            "subject",
            "names",
            "issuer_name",
            "serial",
            "not_before",
            "not_after",
            "days_left",
            "key",
            "signature",
            "is_ca",
            "self_signed",
        ],
    );
    has(&asset["key"], &["algorithm", "bits", "id"]);
    assert_eq!(asset["names"], serde_json::json!(["srv.test", "localhost", "127.0.0.1"]));
    assert_eq!(asset["serial"], leaf.serial.as_str());
    assert_eq!(asset["days_left"], -2.0);
    let place = found.placements().iter().find(|p| p["role"] == "leaf").unwrap();
    has(
        place,
        &[
            "asset",
            "location",
            "role",
            "chain",
            "first_seen",
            "last_seen",
            "vantage",
            "protocol",
            "tls_version",
            "possession",
        ],
    );
    assert_eq!(
        place["location"],
        format!("tls://127.0.0.1:{}?sni=localhost", server.address().port()).as_str()
    );
    assert_eq!(place["chain"].as_array().map(Vec::len), Some(2));
    assert_eq!(place["process"]["name"], "nginx");
    let finding = found.finding("expired-in-use");
    has(
        finding,
        &[
            "id",
            "kind",
            "severity",
            "asset",
            "locations",
            "deadline",
            "lead_days",
            "owner",
            "summary",
            "hint",
            "evidence",
        ],
    );
    assert_eq!((finding["lead_days"].as_f64(), &finding["owner"]), (Some(-2.0), &Value::Null));
    let spot = &found.blind_spots()[0];
    has(spot, &["location", "reason", "detail"]);
    assert_eq!(spot["reason"], "wrong-password");
    // Stable across runs.
    let again = scan(&[&target]);
    assert_eq!(again.finding("expired-in-use")["id"], finding["id"]);
}

#[test]
fn ndjson_streams_and_ends_with_the_scan() {
    let lab = Lab::new("ndjson");
    let leaf = Authority::new(&lab).issue(&Request::server().expired(2));
    let Some(server) = need(nginx::start(&lab, &leaf)) else { return };
    let lines = |arguments: &[&str]| -> Vec<Value> {
        let run = run(arguments);
        assert_eq!(run.code, 0, "{}", run.err);
        run.out.lines().map(|l| serde_json::from_str(l).expect("one JSON a line")).collect()
    };
    let address = server.address().to_string();
    let all = lines(&["scan", "--format", "ndjson", &address, "127.0.0.1:1"]);
    let types: Vec<_> = all.iter().map(|l| l["type"].as_str().unwrap_or_default()).collect();
    assert_eq!(types.iter().filter(|t| **t == "observation").count(), 2, "leaf and intermediate: {types:?}");
    assert!(types.contains(&"blind_spot") && types.contains(&"finding"));
    assert_eq!(types.last(), Some(&"scan"));
    let bare = lines(&["scan", "--format", "ndjson", "--no-findings", &address]);
    assert!(bare.iter().all(|l| l["type"] != "finding"));
    assert_eq!(bare[0]["asset"]["id"], format!("sha256:{}", leaf.sha256).as_str());
}

#[test]
fn csv_has_a_row_a_placement() {
    let lab = Lab::new("csv");
    let leaf = Authority::new(&lab).issue(&Request::new(&["a.test"]).common_name("=HYPERLINK(1)"));
    let run = run(&["scan", "--format", "csv", leaf.cert_pem.to_str().unwrap()]);
    let rows: Vec<_> = run.out.lines().collect();
    assert!(rows[0].starts_with("not_after,days_left,name,"), "{rows:?}");
    assert_eq!(rows.len(), 2);
    assert!(rows[1].contains(&leaf.sha256) && !rows[1].contains(",=HYPERLINK"), "{rows:?}");
}

#[test]
fn targets_from_a_list_and_from_standard_input() {
    let lab = Lab::new("lists");
    let leaf = Authority::new(&lab).issue(&Request::server());
    let list = lab.path().join("targets");
    let text = format!("# what we own\n{}  # the leaf\n\n", leaf.cert_pem.display());
    std::fs::write(&list, &text).unwrap();
    assert_eq!(scan(&[&format!("@{}", list.display())]).assets().len(), 1);
    let mut child =
        notafter(&["scan", "--json", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let out = finished(child.wait_with_output().unwrap());
    assert!(out.out.contains(&leaf.sha256), "{}", out.out);
}

#[test]
fn exclusions_win_over_everything() {
    let lab = Lab::new("exclude");
    let leaf = Authority::new(&lab).issue(&Request::server());
    let Some(server) = need(nginx::start(&lab, &leaf)) else { return };
    let address = server.address().to_string();
    let folder = lab.subfolder("tree");
    std::fs::copy(&leaf.cert_pem, folder.join("a.pem")).unwrap();
    let tree = folder.to_str().unwrap();
    let kept = |exclude: &str| scan(&[&address, tree, "--exclude", exclude]).placements().len();
    assert_eq!(kept("10.0.0.0/8"), 3);
    assert_eq!(kept("127.0.0.0/8"), 1);
    assert_eq!(kept(&format!("{tree}/a.pem")), 2);
    assert_eq!(kept("*.pem"), 2);
    let config = lab.path().join("notafter.toml");
    std::fs::write(&config, format!("[scan]\nexclude = [\"{address}\"]\n")).unwrap();
    assert_eq!(scan(&["--config", config.to_str().unwrap(), &address, tree]).placements().len(), 1);
}

#[test]
fn owners_come_from_a_file() {
    let lab = Lab::new("owners");
    let leaf = Authority::new(&lab).issue(&Request::server().expired(2));
    let owners = lab.path().join("owners.toml");
    std::fs::write(&owners, "[[owner]]\nname = \"web\"\nmatch = [\"name:srv.test\"]\n").unwrap();
    let found = scan(&[leaf.cert_pem.to_str().unwrap(), "--owner-file", owners.to_str().unwrap()]);
    assert_eq!(found.finding("expired")["owner"], "web");
    std::fs::write(&owners, "[[owner]]\nnmae = \"web\"\n").unwrap();
    refused(&["scan", "/etc/ssl", "--owner-file", owners.to_str().unwrap()], "hint: did you mean `name`?");
}

#[test]
fn ctrl_c_prints_what_was_found_and_exits_130() {
    let lab = Lab::new("interrupt");
    let leaf = Authority::new(&lab).issue(&Request::server());
    let Some(server) = need(openssl::start(&lab, &leaf)) else { return };
    let silent = Peer::start(Act::Silent);
    let (address, waiting) = (server.address().to_string(), silent.address().to_string());
    let mut child = notafter(&["scan", "--format", "ndjson", "--timeout", "60s", &address, &waiting])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains(&leaf.sha256), "{first}");
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    let last: Value = serde_json::from_str(rest.last().expect("a last line")).unwrap();
    assert_eq!((&last["type"], &last["interrupted"]), (&"scan".into(), &true.into()));
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_reader_that_leaves_ends_the_scan() {
    let lab = Lab::new("leaves");
    let leaf = Authority::new(&lab).issue(&Request::server());
    let Some(server) = need(openssl::start(&lab, &leaf)) else { return };
    let silent = Peer::start(Act::Silent);
    let (address, waiting) = (server.address().to_string(), silent.address().to_string());
    let mut child = notafter(&["scan", "--format", "ndjson", "--timeout", "60s", &address, &waiting])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains(&leaf.sha256));
    drop(lines);
    // `timeout` on the outside, so that a failure is a failure and not a test that hangs.
    for _ in 0..100 {
        if child.try_wait().unwrap().is_some() {
            return;
        }
        let _ = std::process::Command::new("sleep").arg("0.1").status();
    }
    let _ = child.kill();
    panic!("the scan went on for ten seconds after its reader had left");
}

#[test]
fn a_ca_certificate_has_a_cas_steps_in_check_and_in_scan() {
    let lab = Lab::new("castep");
    let authority = Authority::new(&lab);
    let root = authority.root().cert_pem.to_string_lossy().into_owned();
    let end = scan(&[&root]).assets()[0]["days_left"].as_f64().unwrap();
    let at = format!("+{}d", end as i64 - 150);
    let checked = run(&["check", "-f", &root, "--at", &at]);
    assert_eq!(checked.code, 2, "{}", checked.out);
    assert_eq!(scan(&[&root, "--at", &at]).finding("expires-soon")["severity"], "critical");
}

#[test]
fn check_speaks_as_a_plugin() {
    let lab = Lab::new("plugin");
    let authority = Authority::new(&lab);
    let leaf = authority.issue(&Request::server().days(9));
    let Some(server) = need(nginx::start(&lab, &leaf)) else { return };
    let root = authority.root().cert_pem.to_string_lossy().into_owned();
    let port = server.address().port().to_string();
    let check = |arguments: &[&str], code: i32, beginning: &str| {
        let mut all = vec!["check", "-H", "localhost", "-p", &port, "-r", &root];
        all.extend_from_slice(arguments);
        let run = run(&all);
        assert_eq!(run.code, code, "{arguments:?}: {}", run.out);
        assert!(run.out.starts_with(beginning), "{}", run.out);
        assert_eq!(run.out.lines().count(), 1, "{}", run.out);
        run.out
    };
    let line = check(&["-w", "30", "-c", "5"], 1, "NOTAFTER WARNING - tls://localhost:");
    assert!(line.contains("'srv.test' from "), "{line}");
    assert!(
        line.contains("(9 days)") && line.contains("|days_left=9;30;5;; days_chain_elem1=9;30;5;;"),
        "{line}"
    );
    assert!(line.contains(" days_chain_elem2="), "{line}");
    check(&["-C", "30,14"], 2, "NOTAFTER CRITICAL");
    check(&["-w", "5", "-c", "2"], 0, "NOTAFTER OK");
    check(&["-w", "100%", "-c", "1%"], 1, "NOTAFTER WARNING");
    check(&[], 0, "NOTAFTER OK");
    let gone = run(&["check", "-H", "127.0.0.1", "-p", "1"]);
    assert_eq!(gone.code, 2, "{}", gone.out);
    let unreadable = run(&["check", "-f", "/no/such.pem"]);
    assert_eq!(unreadable.code, 3, "{}", unreadable.out);
    assert_eq!(run(&["check", "--nonsense"]).code, 3);
    let file = run(&["check", "-f", leaf.cert_pem.to_str().unwrap(), "-w", "30", "-c", "5"]);
    assert!(file.out.starts_with("NOTAFTER WARNING - file:///"), "{}", file.out);
}

#[test]
fn verify_is_the_offline_judge() {
    let lab = Lab::new("verify");
    let authority = Authority::new(&lab);
    let leaf = authority.issue(&Request::server());
    let root = authority.root().cert_pem.to_string_lossy().into_owned();
    let chain = leaf.fullchain_pem.to_string_lossy().into_owned();
    let check = |arguments: &[&str], code: i32, verdict: &str, reason: Option<&str>| {
        let mut all = vec!["verify", "--json", &chain];
        all.extend_from_slice(arguments);
        let run = run(&all);
        assert_eq!(run.code, code, "{arguments:?}: {}{}", run.out, run.err);
        let said: Value = serde_json::from_str(&run.out).unwrap();
        has(&said, &["verdict", "reason", "path", "expires"]);
        assert_eq!((said["verdict"].as_str(), said["reason"].as_str()), (Some(verdict), reason), "{said:#}");
        said
    };
    let trusted = check(&["--roots", &root, "--name", "srv.test"], 0, "trusted", None);
    assert_eq!(trusted["path"].as_array().map(Vec::len), Some(3));
    assert_eq!(trusted["path"][0]["id"], format!("sha256:{}", leaf.sha256).as_str());
    check(&["--roots", &root, "--name", "other.test"], 1, "untrusted", Some("name-mismatch"));
    check(&["--roots", &root, "--at", "+400d"], 1, "untrusted", Some("expired"));
    check(&["--roots", &root, "--purpose", "client"], 1, "untrusted", Some("purpose-unfit"));
    check(&[], 1, "untrusted", Some("unknown-issuer"));
    // Through the eyes of a client: its roots are a file, a list of fingerprints, or built in.
    check(&["--client", &root], 0, "trusted", None);
    check(&["--client", "openssl-1.0", "--roots", &root], 0, "trusted", None);
    let list = lab.path().join("roots.txt");
    std::fs::write(&list, format!("# ours\n{} the root\n", authority.root().sha256)).unwrap();
    let listed = check(&["--client", list.to_str().unwrap()], 1, "untrusted", Some("unknown-issuer"));
    assert!(listed["notes"][0].as_str().unwrap().starts_with("0 of the 1 roots"), "{listed:#}");
    let old = check(&["--client", "android-7.0"], 1, "untrusted", Some("unknown-issuer"));
    assert!(old["notes"][0].as_str().unwrap().contains("of the 148 roots"), "{old:#}");
    let soon = check(&["--roots", &root, "--at", "+80d"], 0, "trusted", None);
    assert_eq!(
        (&soon["later"][0]["verdict"], &soon["later"][2]["reason"]),
        (&"trusted".into(), &"expired".into())
    );
    refused(&["verify", &chain, "--client", "java-8"], "not simulated");
    refused(&["verify", &chain, "--client", "netscape"], "neither a client that is known nor a file");
    refused(&["verify", "/no/such.pem"], "cannot read");
    refused(&["verify", &chain, "--roots", "/dev/null"], "holds no certificate");
}

#[test]
fn why_names_the_culprit_first() {
    let lab = Lab::new("why");
    let authority = Authority::new(&lab);
    let leaf = authority.issue(&Request::server().expired(2));
    let Some(server) = need(nginx::start(&lab, &leaf)) else { return };
    let host = format!("localhost:{}", server.address().port());
    let expired = run(&["why", &host]);
    let first = expired.out.lines().next().unwrap_or_default();
    assert!(first.contains("expired-in-use: srv.test expired 2 days ago"), "{first}");
    let before = run(&["why", &host, "--at", "-30d"]);
    assert!(
        before.out.lines().next().unwrap_or_default().contains("nothing dated explains it"),
        "{}",
        before.out
    );
}

#[test]
fn show_prints_every_fact_of_a_place() {
    let lab = Lab::new("show");
    let leaf = Authority::new(&lab).issue(&Request::server());
    let shown = run(&["show", leaf.fullchain_pem.to_str().unwrap()]);
    for part in
        [leaf.sha256.as_str(), leaf.serial.as_str(), "srv.test localhost 127.0.0.1", "ECDSA 256 bits (P-256)"]
    {
        assert!(shown.out.contains(part), "no {part} in {}", shown.out);
    }
}

#[test]
fn completions_and_manual() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["completions", shell]).out.contains("notafter"));
    }
    let manual = run(&["man"]);
    assert!(manual.out.contains(".TH notafter") && manual.out.contains("scan"), "{}", manual.out);
}

#[test]
fn tables_fit_the_terminal() {
    let run = run(&["scan", "/etc/ssl", "-v"]);
    let long: Vec<_> = run.out.lines().filter(|l| l.chars().count() > 120 && !l.contains("://")).collect();
    assert!(long.is_empty(), "{long:?}");
}

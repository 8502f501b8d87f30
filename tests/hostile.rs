//! Peers and files that mean harm: bounded time, bounded memory, a recorded blind spot, no panic.

mod run;

use std::fs;
use std::time::Duration;

use notafter_lab::hostile::{Act, Peer};
use notafter_lab::{Authority, Lab, Request};
use run::{notafter, run, scan};
use serde_json::Value;

/// Scans a hostile peer and expects this reason within the time-out and a little.
fn check(act: Act, reason: &str) {
    let shown = format!("{act:?}");
    let peer = Peer::start(act);
    let address = peer.address().to_string();
    let found = scan(&[&address, "--timeout", "2s"]);
    assert_eq!(found.assets().len(), 0, "{shown}");
    let spots: Vec<_> =
        found.blind_spots().iter().map(|b| (b["reason"].clone(), b["detail"].clone())).collect();
    assert_eq!(spots.len(), 1, "{shown}: {spots:?}");
    assert_eq!(spots[0].0, reason, "{shown}: {spots:?}");
    let time = |name: &str| found.0["scan"][name].as_str().unwrap_or_default().to_owned();
    let seconds = |t: String| t[17..19].parse::<i64>().unwrap();
    let took = (seconds(time("finished")) - seconds(time("started"))).rem_euclid(60);
    assert!(took <= 4, "{shown} took {took} s");
}

#[test]
fn f34_tarpits_and_resets() {
    check(Act::Silent, "timeout");
    check(Act::Drip { pause: Duration::from_millis(300) }, "timeout");
    check(Act::HelloThenSilent, "timeout");
    check(Act::Reset, "handshake");
    check(Act::CloseAtOnce, "handshake");
}

#[test]
fn f34_a_thousand_tarpits_at_once() {
    let peer = Peer::start(Act::Silent);
    let port = peer.address().port();
    // One listener cannot be at a thousand addresses: the names stand for them.
    let names: Vec<String> = (0..1000).map(|n| format!("n{n}.test")).collect();
    let found = scan(&[&format!("127.0.0.1:{port}"), "--sni", &names.join(","), "--timeout", "2s"]);
    assert_eq!(found.0["scan"]["attempted"], 1001);
    assert_eq!(found.blind_spots().len(), 1001);
}

#[test]
fn f35_chains_without_end() {
    let lab = Lab::new("f35");
    let leaf = Authority::new(&lab).issue(&Request::server());
    check(Act::LongChain { der: leaf.der().to_vec(), copies: 10_000 }, "too-large");
}

#[test]
fn f37_plaintext_trickery() {
    check(Act::PlainHttp, "no-tls");
    check(Act::Garbage, "no-tls");
    let peer = Peer::start(Act::EndlessLine);
    for scheme in [
        "smtp", "imap", "pop3", "ftp", "xmpp", "sieve", "nntp", "irc", "ldap", "postgres", "mysql", "mssql",
        "rdp", "lmtp",
    ] {
        let found = scan(&[&format!("{scheme}://{}", peer.address()), "--timeout", "2s"]);
        assert_eq!(found.assets().len(), 0, "{scheme}");
        assert_eq!(found.blind_spots().len(), 1, "{scheme}");
    }
}

#[test]
fn f36_alerts_are_named() {
    for (number, name) in [(40, "handshake_failure"), (80, "internal_error"), (112, "--sni")] {
        let peer = Peer::start(Act::Alert(number));
        let found = scan(&[&peer.address().to_string(), "--timeout", "2s"]);
        let detail = found.blind_spots()[0]["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains(name), "{number}: {detail}");
    }
}

#[test]
fn f38_wide_scans_are_refused_without_a_yes() {
    for range in ["0.0.0.0/0:443", "10.0.0.0/15:443", "::/64", "1.0.0.0/22:443"] {
        assert_eq!(run(&["scan", range]).code, 2, "{range}");
    }
}

/// Writes bytes to a file, scans it with little memory and time, and gives the JSON.
fn file(name: &str, bytes: &[u8]) -> Value {
    let lab = Lab::new("hostile");
    let path = lab.path().join(name);
    fs::write(&path, bytes).unwrap();
    limited(&["scan", "--json", path.to_str().unwrap()])
}

/// Runs under `prlimit` with half a GiB of address space and 20 s of CPU.
fn limited(arguments: &[&str]) -> Value {
    let program = notafter(arguments);
    let mut command = std::process::Command::new("prlimit");
    command.args(["--as=1073741824", "--cpu=20"]).arg(program.get_program()).args(program.get_args());
    let output = command.output().expect("prlimit is there");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
    serde_json::from_str(&text)
        .unwrap_or_else(|e| panic!("{e}: {:?} {}", output.status, String::from_utf8_lossy(&output.stderr)))
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        n if n < 128 => out.push(n as u8),
        n => out.extend([&[0x84][..], &(n as u32).to_be_bytes()].concat()),
    }
    out.extend_from_slice(content);
    out
}

#[test]
fn f39_asn1_bombs() {
    let mut deep = Vec::new();
    for _ in 0..200_000 {
        deep.extend([0x30, 0x80]);
    }
    file("deep.der", &deep);
    let mut nested = vec![0x30, 0x03, 0x02, 0x01, 0x00];
    for _ in 0..2000 {
        nested = der(0x30, &nested);
    }
    file("nested.der", &nested);
    file("length.der", &[0x30, 0x88, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x30, 0x82]);
    file("tags.der", &[0x1f; 4096].repeat(10));
}

#[test]
fn f43_pem_without_end() {
    let mut blocks = String::new();
    for _ in 0..300_000 {
        blocks.push_str("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    }
    let found = file("blocks.pem", blocks.as_bytes());
    assert!(!found["blind_spots"].as_array().unwrap().is_empty());
    file("line.pem", &[b"-----BEGIN CERTIFICATE-----\n".as_slice(), &vec![b'A'; 40 << 20]].concat());
    file("begins.pem", "-----BEGIN CERTIFICATE-----\n".repeat(200_000).as_bytes());
}

#[test]
fn f42_keystores_that_lie() {
    let jks = [&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2][..], &[0x7f, 0xff, 0xff, 0xff], &[0; 100]].concat();
    let found = file("lies.jks", &jks);
    assert_eq!(found["blind_spots"][0]["reason"], "malformed", "{found:#}");
    let jceks = [&[0xce, 0xce, 0xce, 0xce, 0, 0, 0, 2][..], &[0xff; 200]].concat();
    assert_eq!(file("lies.jceks", &jceks)["blind_spots"][0]["reason"], "malformed");
}

#[test]
fn f45_documents_that_grow_when_read_are_read_as_text() {
    let lab = Lab::new("f45");
    let leaf = Authority::new(&lab).issue(&Request::server());
    let pem = fs::read_to_string(&leaf.cert_pem).unwrap();
    let indented: String = pem.lines().map(|l| format!("    {l}\n")).collect();
    // Each line holds ten of the one above: a reader that follows aliases would build 10^9 of them.
    let aliases: String =
        (1..10).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(","))).collect();
    let yaml = format!("a0: &a0 [x,x,x]\n{aliases}cert: |\n{indented}cert: again\n");
    let entities: String =
        (1..10).map(|n| format!("<!ENTITY e{n} \"{}\">", format!("&e{};", n - 1).repeat(10))).collect();
    let body: String = pem.lines().filter(|l| !l.starts_with('-')).collect();
    let xml = format!(
        "<!DOCTYPE x [<!ENTITY e0 \"x\">{entities}]><x>&e9;<X509Certificate>{body}</X509Certificate></x>"
    );
    for (name, text) in [("bomb.yaml", yaml), ("bomb.xml", xml)] {
        let found = file(name, text.as_bytes());
        assert_eq!(found["assets"].as_array().map(Vec::len), Some(1), "{name}: {found:#}");
        assert_eq!(found["assets"][0]["id"], format!("sha256:{}", leaf.sha256).as_str());
    }
}

#[test]
fn f48_algorithms_that_nobody_knows_are_listed() {
    let lab = Lab::new("f48");
    let leaf = Authority::new(&lab).issue(&Request::server());
    // id-ecPublicKey and ecdsa-with-SHA256, each made an identifier of nobody's.
    let mut der = leaf.der().to_vec();
    for known in
        [&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01][..], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]]
    {
        while let Some(at) = der.windows(known.len()).position(|w| w == known) {
            der[at + 1] = 0x87;
        }
    }
    let found = file("odd.der", &der);
    let asset = &found["assets"][0];
    assert_eq!(asset["names"][0], "srv.test", "{asset:#}");
    let algorithm = asset["key"]["algorithm"].as_str().unwrap_or_default();
    assert!(
        algorithm.starts_with("1.2.") && algorithm.contains('.'),
        "the OID stands for the name: {algorithm}"
    );
}

#[test]
fn f46_names_that_lie_are_shown_by_code_point() {
    let lab = Lab::new("f46");
    let leaf = Authority::new(&lab)
        .issue(&Request::new(&["a.test"]).subject("/CN=evil\u{202e}moc.elgoog\u{1b}[31m"));
    for format in ["table", "json", "csv", "ndjson"] {
        let out = run(&["scan", "--format", format, leaf.cert_pem.to_str().unwrap()]).out;
        assert!(!out.contains('\u{202e}') && !out.contains('\u{1b}'), "{format}: {out:?}");
    }
    let shown = run(&["show", leaf.cert_pem.to_str().unwrap()]).out;
    assert!(!shown.contains('\u{202e}') && !shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn f47_serials_are_no_identity() {
    let lab = Lab::new("f47");
    let authority = Authority::new(&lab);
    let twins: Vec<_> = (0..2).map(|_| authority.issue(&Request::server().serial("0badcafe"))).collect();
    let folder = lab.subfolder("twins");
    for (n, twin) in twins.iter().enumerate() {
        fs::copy(&twin.cert_pem, folder.join(format!("{n}.pem"))).unwrap();
    }
    let found = scan(&[folder.to_str().unwrap()]);
    assert_eq!(found.assets().len(), 2);
    assert!(found.assets().iter().all(|a| a["serial"] == "0badcafe"));
}

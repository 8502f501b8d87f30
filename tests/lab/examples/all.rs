//! Starts every server of the lab once and proves that it serves what was installed.
//!
//! For each server: start with one certificate, compare what `openssl s_client` sees on every endpoint, put another
//! one in its place, do what makes the server use it, and compare again. Then the keys, the stores and the hostile
//! peers. Names on the command line choose servers. The exit code is 1 when anything failed.

#![allow(clippy::disallowed_methods, clippy::print_stdout, missing_docs)]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use notafter_lab::authority::Chain;
use notafter_lab::hostile::{Act, Peer};
use notafter_lab::relay::Relay;
use notafter_lab::server::Renewal;
use notafter_lab::servers::{self, nginx};
use notafter_lab::stores::{self, Java, Pkcs12};
use notafter_lab::{Authority, Endpoint, Key, Lab, Leaf, Request, Starttls, peer};

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    let lab = Lab::new("all");
    let authority = Authority::new(&lab);
    let (old, new) = (authority.issue(&Request::server().days(9)), authority.issue(&Request::server()));
    let began = Instant::now();
    let mut failed = 0;

    for (name, start) in servers::ALL.iter().filter(|(name, _)| is_wanted(name)) {
        failed += report(name, || renew(&lab, *start, &old, &new));
    }
    for (name, check) in EXTRAS.iter().filter(|(name, _)| is_wanted(name)) {
        failed += report(name, || check(&lab, &authority));
    }
    println!("{failed} failed, {:.1} s", began.elapsed().as_secs_f64());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A check besides the servers.
type Check = fn(&Lab, &Authority) -> Result<String, String>;

/// What is checked besides the servers.
const EXTRAS: &[(&str, Check)] = &[
    ("rsa", rsa),
    ("keys", keys),
    ("requests", requests),
    ("options", options),
    ("stores", every_store),
    ("hostile", hostile),
];

/// Runs one check, prints one line, and counts a failure.
fn report(name: &str, check: impl FnOnce() -> Result<String, String>) -> usize {
    let began = Instant::now();
    let result = check();
    let took = began.elapsed().as_millis();
    match result {
        Ok(note) => {
            println!("ok    {name:<10} {took:>6} ms  {note}");
            0
        }
        Err(error) => {
            println!("FAIL  {name:<10} {took:>6} ms  {error}");
            1
        }
    }
}

/// Starts a server, compares, renews, compares.
fn renew(lab: &Lab, start: servers::Start, old: &Leaf, new: &Leaf) -> Result<String, String> {
    let patience = Duration::from_secs(5);
    let mut server = start(lab, old).map_err(|error| error.to_string())?;
    server.await_serving(old, patience)?;
    let names: Vec<&str> = server.endpoints().iter().map(|endpoint| endpoint.name).collect();

    server.replace(new).map_err(|error| error.to_string())?;
    let began = Instant::now();
    if server.renewal() != Renewal::Itself && server.await_serving(old, Duration::ZERO).is_err() {
        return Err("it took the new certificate before it was told".to_owned());
    }
    server.reload().map_err(|error| error.to_string())?;
    if server.renewal() == Renewal::Restart {
        if server.await_serving(new, Duration::from_millis(300)).is_ok() {
            return Err("it reloads, although it is said not to".to_owned());
        }
        server.restart().map_err(|error| error.to_string())?;
    }
    server.await_serving(new, patience)?;
    let (ready, renewed) = (server.took().as_millis(), began.elapsed().as_millis());
    Ok(format!("ready {ready} ms, renewed {renewed} ms ({:?}): {}", server.renewal(), names.join(" ")))
}

/// Starts every server with an RSA key too.
fn rsa(lab: &Lab, authority: &Authority) -> Result<String, String> {
    let leaf = authority.issue(&Request::server().key(Key::Rsa2048));
    for (name, start) in servers::ALL {
        let server = start(lab, &leaf).map_err(|error| error.to_string())?;
        server.await_serving(&leaf, Duration::from_secs(5)).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(format!("{} servers", servers::ALL.len()))
}

/// Serves a certificate of every kind of key.
fn keys(lab: &Lab, authority: &Authority) -> Result<String, String> {
    let mut notes = Vec::new();
    for key in Key::ALL {
        let began = Instant::now();
        let leaf = authority.issue(&Request::server().key(key));
        let server = servers::openssl::start(lab, &leaf).map_err(|error| error.to_string())?;
        server.await_serving(&leaf, Duration::from_secs(5)).map_err(|error| format!("{key:?}: {error}"))?;
        notes.push(format!("{key:?} {} ms", began.elapsed().as_millis()));
    }
    Ok(notes.join(", "))
}

/// Makes certificates of every kind and has `openssl` say what they are.
fn requests(lab: &Lab, authority: &Authority) -> Result<String, String> {
    let deep = Authority::with_intermediates(lab, Key::Ed25519, 3);
    let flat = Authority::with_intermediates(lab, Key::P384, 0);
    let rsa = Authority::with_intermediates(lab, Key::Rsa2048, 1);
    let server = Request::server;
    let cases: &[(&str, Leaf, &str)] = &[
        ("expired", authority.issue(&server().expired(2)), "has expired"),
        ("not yet", authority.issue(&server().not_yet_valid(2)), "not yet valid"),
        ("self-signed", authority.issue(&server().self_signed()), "OK"),
        ("deep", deep.issue(&server()), "OK"),
        ("flat", flat.issue(&server().key(Key::Ed448)), "OK"),
        ("sha1", rsa.issue(&server().sha1()), "OK"),
        ("no name", authority.issue(&Request::new(&[]).subject("/").sans(&["DNS:a.test", "IP:::1"])), "OK"),
        ("far", authority.issue(&server().between(0, 253_402_300_799)), "OK"),
        ("staple", authority.issue(&server().extension("tlsfeature = status_request")), "OK"),
        ("client", authority.issue(&Request::client("client.test")), "OK"),
        (
            "tree",
            authority.issue(&server().sans(&["URI:spiffe://lab/a,b", "DNS:*.srv.test"]).serial("7f01")),
            "OK",
        ),
    ];
    for (name, leaf, verdict) in cases {
        let mut verify = Command::new("openssl");
        verify.args(["verify", "-auth_level", "0", "-CAfile"]).arg(&leaf.root_pem).arg("-untrusted");
        let output =
            verify.arg(&leaf.fullchain_pem).arg(&leaf.cert_pem).output().map_err(|e| e.to_string())?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        if !said.contains(verdict) {
            return Err(format!("{name}: {said}"));
        }
    }
    if cases[0].1.serial.len() != 24 || cases[10].1.serial != "7f01" {
        return Err(format!("serials {} and {}", cases[0].1.serial, cases[10].1.serial));
    }
    let renewed = authority.issue(&server().same_key(&cases[0].1));
    let read = |leaf: &Leaf| std::fs::read(&leaf.key_pem).unwrap_or_default();
    if read(&renewed) != read(&cases[0].1) {
        return Err("the key was not kept".to_owned());
    }
    Ok(format!("{} kinds of certificate", cases.len()))
}

/// The options of nginx.
fn options(lab: &Lab, authority: &Authority) -> Result<String, String> {
    let main = authority.issue(&Request::server().chain(Chain::WithRoot));
    let rsa = authority.issue(&Request::server().key(Key::Rsa2048).sha1());
    let other = authority.issue(&Request::new(&["other.test"]).key(Key::Ed25519).chain(Chain::Nothing));
    let alone = authority.issue(&Request::new(&["127.0.1.9"]));
    let addresses: Vec<_> = (1..=4).map(|last| std::net::Ipv4Addr::new(127, 0, 1, last)).collect();
    let options = nginx::Options {
        vhosts: vec![("other.test *.other.test".to_owned(), other.clone())],
        unknown: nginx::Unknown::Reject,
        second: Some(rsa.clone()),
        client_authorities: Some(authority.root().cert_pem.clone()),
        addresses,
        by_address: vec![(std::net::Ipv4Addr::new(127, 0, 1, 9), alone.clone())],
        ..nginx::Options::default()
    };
    let server = nginx::start_with(lab, &main, &options).map_err(|error| error.to_string())?;
    let expect = |endpoint: &Endpoint, name, arguments: &[&str], leaf: &Leaf, count| -> Result<(), String> {
        let seen = peer::served_to(endpoint, name, arguments)?;
        if seen.sha256 != leaf.sha256 || seen.chain.len() != count || seen.chain[0] != leaf.der() {
            return Err(format!("{name:?} got {} and {} certificates", seen.serial, seen.chain.len()));
        }
        Ok(())
    };
    let (last, first) = server.endpoints().split_last().ok_or("no endpoints")?;
    expect(last, Some("srv.test"), &[], &alone, 2)?;
    for endpoint in first {
        expect(endpoint, Some("srv.test"), &["-sigalgs", "ECDSA+SHA256"], &main, 3)?;
        expect(endpoint, Some("srv.test"), &["-tls1_2", "-sigalgs", "RSA+SHA256"], &rsa, 2)?;
        expect(endpoint, Some("a.other.test"), &[], &other, 1)?;
        if peer::served_to(endpoint, Some("unknown.test"), &[]).is_ok()
            || peer::served_to(endpoint, None, &[]).is_ok()
        {
            return Err("an unknown name was served".to_owned());
        }
    }
    let only = nginx::Options { only_tls13: true, ..nginx::Options::default() };
    let server = nginx::start_with(lab, &main, &only).map_err(|error| error.to_string())?;
    let seen = peer::served(&server.endpoints()[0])?;
    if seen.protocol != "TLSv1.3" || peer::served_to(&server.endpoints()[0], None, &["-tls1_2"]).is_ok() {
        return Err(format!("not TLS 1.3 alone: {}", seen.protocol));
    }
    Ok("names, two keys, rejected names, client certificates, five addresses, TLS 1.3 alone".to_owned())
}

/// Writes a store of every kind, and has it read by the program of its kind.
fn every_store(lab: &Lab, authority: &Authority) -> Result<String, String> {
    let folder = lab.subfolder("stores");
    let leaf = authority.issue(&Request::server().key(Key::Rsa2048));
    let failed = |error: notafter_lab::NotRun| error.to_string();
    let path = |name: &str| folder.join(name);

    let mut openssl_reads: Vec<(&str, &str, &[&str])> = Vec::new();
    for (name, kind, password) in [
        ("modern.p12", Pkcs12::Modern, "changeit"),
        ("legacy.p12", Pkcs12::Legacy, "changeit"),
        ("empty.p12", Pkcs12::Modern, ""),
        ("open.p12", Pkcs12::Unprotected, ""),
    ] {
        stores::pkcs12(&path(name), &leaf, kind, password).map_err(failed)?;
        openssl_reads.push((name, password, if kind == Pkcs12::Legacy { &["-legacy"] } else { &[] }));
    }
    for (name, kind) in [("java.jks", Java::Jks), ("java.jceks", Java::Jceks), ("java.p12", Java::Pkcs12)] {
        stores::java(&path(name), &leaf, kind, "changeit").map_err(failed)?;
        let output = Command::new("keytool")
            .args([
                "-list",
                "-v",
                "-storetype",
                ["JKS", "JCEKS", "PKCS12"][kind as usize],
                "-storepass",
                "changeit",
                "-keystore",
            ])
            .arg(path(name))
            .output();
        let said = String::from_utf8_lossy(&output.map_err(|error| error.to_string())?.stdout)
            .replace(':', "")
            .to_lowercase();
        if !said.contains(&leaf.sha256) {
            return Err(format!("{name}: {said}"));
        }
    }
    openssl_reads.push(("java.p12", "changeit", &[]));
    for (name, password, more) in &openssl_reads {
        let output = Command::new("openssl")
            .args(["pkcs12", "-nokeys", "-passin", &format!("pass:{password}"), "-in"])
            .arg(path(name))
            .args(*more)
            .output();
        let pem = String::from_utf8_lossy(&output.map_err(|error| error.to_string())?.stdout).into_owned();
        if !notafter_lab::base64::blocks(&pem, "CERTIFICATE").contains(&leaf.der().to_vec()) {
            return Err(format!("{name} does not hold the certificate"));
        }
    }
    stores::java_trust(&path("trust.jks"), &[authority.root(), &leaf], Java::Jks, "changeit")
        .map_err(failed)?;
    stores::pkcs7_der(&path("chain.p7b"), &leaf).map_err(failed)?;
    stores::pkcs7_pem(&path("chain.p7c"), &leaf).map_err(failed)?;
    stores::der(&path("leaf.der"), &leaf);
    stores::kubernetes_secret(&path("secret.yaml"), &leaf, "web");
    stores::kubeconfig(&path("kubeconfig"), &leaf);
    stores::json(&path("leaf.json"), &leaf);
    let count = std::fs::read_dir(&folder).map_err(|error| error.to_string())?.count();
    Ok(format!("{count} files"))
}

/// Starts every hostile peer and sees that no handshake succeeds and that stopping is quick.
fn hostile(lab: &Lab, authority: &Authority) -> Result<String, String> {
    let leaf = authority.issue(&Request::server());
    let script = ["220 lab\r\n", "250 no STARTTLS here\r\n", "502 what?\r\n"].map(str::to_owned).to_vec();
    let acts = [
        Act::Silent,
        Act::Drip { pause: Duration::from_secs(1) },
        Act::Reset,
        Act::Garbage,
        Act::PlainHttp,
        Act::EndlessLine,
        Act::EndlessLines,
        Act::CloseAtOnce,
        Act::HalfClose,
        Act::Alert(40),
        Act::HelloThenSilent,
        Act::Script(script),
    ];
    let mut count = 0;
    for act in acts {
        let peer = Peer::start(act.clone());
        let address = peer.address().to_string();
        let mut child = Command::new("openssl")
            .args(["s_client", "-connect", &address])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let waiting = Instant::now();
        while peer.connections() == 0 && waiting.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(100));
        if child.try_wait().map_err(|error| error.to_string())?.is_some_and(|status| status.success()) {
            return Err(format!("{act:?} made a handshake"));
        }
        let _ = child.kill();
        let _ = child.wait();
        let stopping = Instant::now();
        let connections = peer.connections();
        drop(peer);
        if connections != 1 || stopping.elapsed() > Duration::from_secs(1) {
            return Err(format!("{act:?}: {connections} connections, stopped in {:?}", stopping.elapsed()));
        }
        count += 1;
    }

    let peer = Peer::start(Act::Reset);
    let mut client = TcpStream::connect(peer.address()).map_err(|error| error.to_string())?;
    client.write_all(b"hello").map_err(|error| error.to_string())?;
    match client.read_to_end(&mut Vec::new()) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => return Err(format!("no reset: {other:?}")),
    }

    // A chain that fits is read by openssl, which proves that the message is well formed.
    let peer = Peer::start(Act::LongChain { der: leaf.der().to_vec(), copies: 50 });
    let endpoint = Endpoint { name: "hostile", address: peer.address(), starttls: Starttls::Direct };
    let output = Command::new("timeout")
        .args([
            "2",
            "openssl",
            "s_client",
            "-tls1_2",
            "-showcerts",
            "-connect",
            &endpoint.address.to_string(),
        ])
        .stdin(std::process::Stdio::null())
        .output();
    let said = String::from_utf8_lossy(&output.map_err(|error| error.to_string())?.stderr).into_owned();
    if !said.contains("depth=0") {
        return Err(format!("the long chain was not read: {said}"));
    }
    // Plain text in front of a real server: without an injection the certificate must come through.
    let server = servers::openssl::start(lab, &leaf).map_err(|error| error.to_string())?;
    let says = &["220 lab\r\n", "250-srv.test\r\n250 STARTTLS\r\n", "220 go ahead\r\n"];
    let relay = Relay::injecting(server.address(), says).map_err(|error| error.to_string())?;
    let endpoint = Endpoint { name: "smtp", address: relay.address(), starttls: Starttls::Smtp };
    if peer::served(&endpoint)?.sha256 != leaf.sha256 {
        return Err("the relay did not pass the certificate on".to_owned());
    }
    let peer = Peer::start(Act::Silent);
    let held: Vec<_> = (0..500).map(|_| TcpStream::connect(peer.address())).collect();
    let waiting = Instant::now();
    while peer.connections() < 500 && waiting.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(5));
    }
    if held.iter().any(Result::is_err) || peer.connections() != 500 {
        return Err(format!("{} of 500 connections held", peer.connections()));
    }
    Ok(format!("{count} acts, a long chain, a relay, 500 silent connections"))
}

//! Every server of the lab is scanned and must show exactly the certificate that was installed, with its
//! whole chain: completeness is the first goal of any scan.

mod run;

use notafter_lab::authority::Chain;
use notafter_lab::servers::{self, nginx, openssl};
use notafter_lab::{Authority, Key, Lab, Request, Starttls, need, peer};
use run::{Scan, scan};

/// Starts a server by name, scans each of its endpoints on its bare port, and compares with what was
/// installed and with what OpenSSL sees.
fn check(name: &str) {
    let lab = Lab::new(name);
    let leaf = Authority::new(&lab).issue(&Request::server());
    let Some((_, start)) = servers::ALL.iter().find(|(n, _)| *n == name) else { panic!("no server {name}") };
    let Some(server) = need(start(&lab, &leaf)) else { return };
    for endpoint in server.endpoints() {
        let address = endpoint.address.to_string();
        // By port and by what the server says, without being told the protocol. But IRC waits in silence
        // for its client, and XMPP serves nobody who does not name a domain.
        let target = match endpoint.starttls {
            Starttls::Irc => format!("irc://{address}"),
            Starttls::Xmpp => format!("xmpp://{address}?sni=srv.test"),
            Starttls::XmppServer => format!("xmpp-server://{address}?sni=srv.test"),
            _ => address.clone(),
        };
        let found = scan(&[&target, "--prove", "--timeout", "8s"]);
        let seen: Vec<_> = found.placements().iter().filter(|p| p["role"] == "leaf").collect();
        assert_eq!(seen.len(), 1, "{name} {}: {:#}", endpoint.name, found.0);
        let id = format!("sha256:{}", leaf.sha256);
        assert_eq!(seen[0]["asset"], id.as_str(), "{name} {}", endpoint.name);
        assert_eq!(seen[0]["possession"], "verified", "{name} {}: {:#}", endpoint.name, seen[0]);
        let Ok(judge) = peer::served(endpoint) else { panic!("openssl sees nothing at {address}") };
        let chain: Vec<_> = seen[0]["chain"].as_array().into_iter().flatten().collect();
        assert_eq!(chain.len(), judge.chain.len(), "{name} {}: chain as OpenSSL sees it", endpoint.name);
        assert_eq!(found.0["scan"]["reached"], 1);
    }
}

macro_rules! every_server {
    ($($name:ident)*) => { $(#[test] fn $name() { check(stringify!($name)); })* };
}
every_server! {
    nginx apache haproxy gnutls postfix dovecot slapd postgres mariadb vsftpd proftpd prosody inspircd nnrpd
    redis mosquitto
}

#[test]
fn xrdp() {
    check("xrdp");
}

#[test]
fn the_list_above_is_the_labs() {
    let names: Vec<_> = servers::ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), 18, "a server was added to the lab: add it above: {names:?}");
}

#[test]
fn every_kind_of_key() {
    let lab = Lab::new("keys");
    let authority = Authority::new(&lab);
    for (key, algorithm, bits) in [
        (Key::Rsa1024, "RSA", Some(1024)),
        (Key::Rsa2048, "RSA", Some(2048)),
        (Key::Rsa4096, "RSA", Some(4096)),
        (Key::RsaPss, "RSA", Some(2048)),
        (Key::P256, "ECDSA", Some(256)),
        (Key::P384, "ECDSA", Some(384)),
        (Key::P521, "ECDSA", Some(521)),
        (Key::Ed25519, "Ed25519", Some(256)),
        (Key::Ed448, "Ed448", None),
    ] {
        let leaf = authority.issue(&Request::server().key(key));
        let weak = ["-cipher", "DEFAULT@SECLEVEL=0"];
        let arguments = if key == Key::Rsa1024 { &weak[..] } else { &[] };
        let Some(server) = need(openssl::start_with(&lab, &leaf, arguments)) else { return };
        let found = scan(&[&server.address().to_string()]);
        let asset = found.asset(&leaf.sha256);
        assert_eq!(asset["key"]["algorithm"], algorithm, "{key:?}");
        if let Some(bits) = bits {
            assert_eq!(asset["key"]["bits"], bits, "{key:?}");
        }
        assert_eq!(asset["serial"], leaf.serial.as_str(), "{key:?}");
    }
}

/// One shape of `openssl s_server`, seen by its leaf.
fn shape(key: Key, arguments: &[&str], version: &str) {
    let lab = Lab::new("shape");
    let leaf = Authority::new(&lab).issue(&Request::server().key(key));
    let Some(server) = need(openssl::start_with(&lab, &leaf, arguments)) else { return };
    let address = server.address().to_string();
    let found = scan(&[&address]);
    assert_eq!(found.leaves_at(&format!("tls://{address}")), [leaf.sha256.as_str()], "{arguments:?}");
    assert_eq!(found.placements()[0]["tls_version"], version, "{arguments:?}");
}

#[test]
fn shapes_of_servers() {
    shape(Key::P256, &["-tls1_3"], "TLSv1.3");
    shape(Key::P384, &["-tls1_3", "-groups", "P-384"], "TLSv1.3");
    shape(Key::P521, &["-tls1_3", "-groups", "P-521"], "TLSv1.3");
    shape(Key::P256, &["-tls1_3", "-groups", "X448"], "TLSv1.3");
    shape(Key::Rsa2048, &["-tls1_3", "-groups", "ffdhe2048"], "TLSv1.3");
    shape(Key::Rsa2048, &["-tls1_2", "-cipher", "AES128-SHA"], "TLSv1.2");
    shape(Key::Rsa2048, &["-tls1_2", "-cipher", "DHE-RSA-AES128-SHA"], "TLSv1.2");
    shape(Key::Rsa2048, &["-tls1", "-cipher", "DEFAULT@SECLEVEL=0"], "TLSv1.0");
    shape(Key::Rsa2048, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], "TLSv1.1");
}

#[test]
fn both_certificates_of_a_dual_server_by_name_and_with_both() {
    let lab = Lab::new("dual");
    let authority = Authority::new(&lab);
    let (ec, rsa) =
        (authority.issue(&Request::server()), authority.issue(&Request::server().key(Key::Rsa2048)));
    let options = nginx::Options { second: Some(rsa.clone()), ..Default::default() };
    let Some(server) = need(nginx::start_with(&lab, &ec, &options)) else { return };
    let port = server.address().port();
    let mut both = vec![ec.sha256.clone(), rsa.sha256.clone()];
    both.sort();
    let seen = |found: &Scan, at: &str| {
        let mut leaves = found.leaves_at(at);
        leaves.sort();
        leaves
    };
    let by_name = scan(&[&format!("tls://localhost:{port}")]);
    assert_eq!(seen(&by_name, &format!("tls://127.0.0.1:{port}?sni=localhost")), both);
    let by_address = scan(&[&format!("127.0.0.1:{port}"), "--both"]);
    assert_eq!(seen(&by_address, &format!("tls://127.0.0.1:{port}")), both);
    let one = scan(&[&format!("127.0.0.1:{port}")]);
    assert_eq!(one.leaves_at("tls://").len(), 1);
    // It holds both keys, and each was asked for by itself.
    let proved = scan(&[&format!("127.0.0.1:{port}"), "--both", "--prove"]);
    for leaf in &both {
        let id = format!("sha256:{leaf}");
        let its = proved.placements().iter().filter(|p| p["role"] == "leaf" && p["asset"] == id.as_str());
        let held: Vec<_> = its.map(|p| p["possession"].as_str().unwrap_or_default()).collect();
        assert_eq!(held, ["verified"], "{leaf}");
    }
}

#[test]
fn a_server_that_wants_a_name_is_asked_with_names_known_from_elsewhere() {
    let lab = Lab::new("names");
    let authority = Authority::new(&lab);
    let hidden = authority.issue(&Request::server());
    let teller = authority.issue(&Request::new(&["srv.test", "other.test"]));
    let options = nginx::Options { unknown: nginx::Unknown::Reject, ..Default::default() };
    let Some(server) = need(nginx::start_with(&lab, &hidden, &options)) else { return };
    let Some(other) = need(openssl::start(&lab, &teller)) else { return };
    let (address, from) = (server.address().to_string(), other.address().to_string());
    let alone = scan(&[&address]);
    assert_eq!(alone.leaves_at("tls://").len(), 0);
    assert_eq!(alone.blind_spots()[0]["reason"], "handshake");
    let told = scan(&[&address, &from]);
    assert_eq!(told.leaves_at(&format!("tls://{address}?sni=srv.test")), [hidden.sha256.as_str()]);
    let given = scan(&[&address, "--sni", "srv.test"]);
    assert_eq!(given.leaves_at(&format!("tls://{address}?sni=srv.test")), [hidden.sha256.as_str()]);
}

#[test]
fn a_server_that_demands_client_certificates_is_read_and_its_authorities_listed() {
    let lab = Lab::new("mtls");
    let authority = Authority::new(&lab);
    let leaf = authority.issue(&Request::server());
    let root = authority.root().cert_pem.to_string_lossy().into_owned();
    for version in ["-tls1_2", "-tls1_3"] {
        let arguments = [version, "-Verify", "1", "-CAfile", root.as_str()];
        let Some(server) = need(openssl::start_with(&lab, &leaf, &arguments)) else { return };
        let found = scan(&[&server.address().to_string()]);
        let place = found.placements().iter().find(|p| p["role"] == "leaf").expect("it is read all the same");
        assert_eq!(place["client_cas"].as_array().map(Vec::len), Some(1), "{version}: {place:#}");
    }
}

#[test]
fn a_range_of_addresses_with_one_certificate_each() {
    let lab = Lab::new("range");
    let authority = Authority::new(&lab);
    let leaf = authority.issue(&Request::server().chain(Chain::Intermediates));
    let addresses = (1..=5).map(|n| std::net::Ipv4Addr::new(127, 0, 9, n)).collect();
    let options = nginx::Options { addresses, ..Default::default() };
    let Some(server) = need(nginx::start_with(&lab, &leaf, &options)) else { return };
    let port = server.address().port();
    let found = scan(&[&format!("127.0.9.0/28:{port}")]);
    assert_eq!(found.leaves_at("tls://127.0.9.").len(), 5);
    let header = &found.0["scan"];
    assert_eq!(
        (&header["attempted"], &header["reached"], &header["unreachable"]),
        (&16.into(), &5.into(), &11.into())
    );
    assert!(
        found.blind_spots().is_empty(),
        "closed ports of a range are only counted: {:?}",
        found.blind_spots()
    );
    assert_eq!(found.assets().len(), 2, "one leaf, one intermediate, each once");
}

#[test]
fn few_files_are_enough() {
    let lab = Lab::new("files");
    let leaf = Authority::new(&lab).issue(&Request::server());
    let Some(server) = need(nginx::start(&lab, &leaf)) else { return };
    let names: Vec<String> = (0..300).map(|n| format!("n{n}.test")).collect();
    let output = std::process::Command::new("prlimit")
        .args(["--nofile=80:80", env!("CARGO_BIN_EXE_notafter"), "scan", "--json", "--timeout", "20s"])
        .args([&server.address().to_string(), "--sni", &names.join(",")])
        .output()
        .expect("prlimit is there");
    let found = Scan(serde_json::from_slice(&output.stdout).expect("JSON"));
    assert_eq!(found.0["scan"]["reached"], 301, "{}", String::from_utf8_lossy(&output.stderr));
}

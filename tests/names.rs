//! Names to all their addresses, by a real DNS server of our own; and IPv6.

mod resolver;
mod run;

use std::process::{Command, Stdio};

use notafter_lab::servers::{nginx, openssl};
use notafter_lab::{Authority, Lab, Port, Request, need};
use resolver::Dns;
use run::{run, scan};

#[test]
fn every_address_of_a_name_is_asked_and_the_dead_one_is_said() {
    let Some(dns) = Dns::start() else { return };
    let lab = Lab::new("farm");
    let leaf = Authority::new(&lab).issue(&Request::new(&["farm.lab"]));
    let addresses = vec![std::net::Ipv4Addr::new(127, 0, 0, 1), std::net::Ipv4Addr::new(127, 0, 0, 2)];
    let options = nginx::Options { addresses, ..Default::default() };
    let Some(server) = need(nginx::start_with(&lab, &leaf, &options)) else { return };
    let port = server.address().port();
    let target = format!("farm.lab:{port}");
    let found = scan(&[&target, "--resolver", &dns.address]);
    let mut places: Vec<_> =
        found.placements().iter().filter(|p| p["role"] == "leaf").map(|p| p["location"].clone()).collect();
    places.sort_by_key(ToString::to_string);
    assert_eq!(
        places,
        [format!("tls://127.0.0.1:{port}?sni=farm.lab"), format!("tls://127.0.0.2:{port}?sni=farm.lab")]
    );
    assert_eq!(found.blind_spots()[0]["location"], format!("tls://[::1]:{port}?sni=farm.lab").as_str());
    assert_eq!(found.blind_spots()[0]["reason"], "refused");
    assert_eq!(found.0["scan"]["attempted"], 3);
    let first = scan(&[&target, "--resolver", &dns.address, "--all-addresses=false"]);
    assert_eq!(first.0["scan"]["attempted"], 1);
}

#[test]
fn a_name_that_is_not_there_is_a_blind_spot_and_the_others_go_on() {
    let Some(dns) = Dns::start() else { return };
    let lab = Lab::new("nx");
    let leaf = Authority::new(&lab).issue(&Request::server());
    let Some(server) = need(openssl::start(&lab, &leaf)) else { return };
    let found = scan(&["gone.lab:443", &server.address().to_string(), "--resolver", &dns.address]);
    assert_eq!(found.leaves_at("tls://").len(), 1);
    assert_eq!(found.blind_spots()[0]["location"], "tls://gone.lab:443");
    assert_eq!(found.blind_spots()[0]["reason"], "dns");
    let why = run(&["why", "gone.lab", "--resolver", &dns.address]);
    assert!(why.out.lines().next().unwrap_or_default().contains("does not resolve"), "{}", why.out);
    assert_eq!(why.code, 3);
}

#[test]
fn a_dns_server_that_never_answers_costs_the_time_out() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let resolver = silent.local_addr().unwrap().to_string();
    let mut timed = Command::new("timeout");
    let output = timed
        .args([
            "6",
            env!("CARGO_BIN_EXE_notafter"),
            "scan",
            "--json",
            "some.lab:443",
            "--resolver",
            &resolver,
        ])
        .args(["--timeout", "1s"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["blind_spots"][0]["detail"], "no answer in time from DNS");
}

#[test]
fn an_excluded_address_of_a_name_is_said() {
    let Some(dns) = Dns::start() else { return };
    let found = scan(&["six.lab:443", "--resolver", &dns.address, "--exclude", "::1"]);
    assert_eq!(found.blind_spots()[0]["location"], "tls://[::1]:443");
    assert_eq!(found.blind_spots()[0]["reason"], "excluded");
    let name = scan(&["six.lab:443", "--resolver", &dns.address, "--exclude", "*.lab"]);
    assert_eq!(name.blind_spots()[0]["reason"], "excluded");
}

#[test]
fn ipv6() {
    let Some(dns) = Dns::start() else { return };
    let lab = Lab::new("six");
    let leaf = Authority::new(&lab).issue(&Request::new(&["six.lab"]));
    let port = Port::free();
    let accept = format!("[::1]:{}", port.number());
    let (certificate, key) = (leaf.fullchain_pem.to_string_lossy(), leaf.key_pem.to_string_lossy());
    let mut server = Command::new("openssl")
        .args([
            "s_server",
            "-quiet",
            "-accept",
            &accept,
            "-cert",
            &certificate,
            "-cert_chain",
            &leaf.chain_pem.to_string_lossy(),
            "-key",
            &key,
        ])
        .stdin(Stdio::piped())
        .spawn()
        .expect("openssl is there");
    for _ in 0..100 {
        if std::net::TcpStream::connect(&accept).is_ok() {
            break;
        }
        let _ = Command::new("sleep").arg("0.05").status();
    }
    let by_address = scan(&[&accept]);
    let by_name = scan(&[&format!("six.lab:{}", port.number()), "--resolver", &dns.address]);
    let _ = server.kill();
    let _ = server.wait();
    assert_eq!(by_address.leaves_at(&format!("tls://{accept}")), [leaf.sha256.as_str()]);
    assert_eq!(by_name.leaves_at(&format!("tls://{accept}?sni=six.lab")), [leaf.sha256.as_str()]);
}

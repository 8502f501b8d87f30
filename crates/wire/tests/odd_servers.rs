//! Servers that no packaged program plays: post-quantum only, compressing, impersonating, on IPv6.
//!
//! They are rustls servers inside this process, or a recorded answer played back.

#[path = "support/lab.rs"]
mod lab;

use lab::*;
use notafter_wire::tls::grab::{Settings, Target};
use notafter_wire::tls::prove::{Possession, prove};
use notafter_wire::tls::{ClientHello, FlightReader, Limits, Offer, Outcome, Progress};
use rustls::crypto::{SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A TLS 1.3 server with these groups, showing its certificate `copies` times.
fn rustls_server(
    address: IpAddr,
    groups: &[&'static dyn SupportedKxGroup],
    copies: usize,
) -> Option<SocketAddr> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = groups.to_vec();
    let certificate = CertificateDer::from_pem_file(&key("rsa").certificate).expect("a certificate");
    let private = PrivateKeyDer::from_pem_file(&key("rsa").key).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version")
        .with_no_client_auth()
        .with_single_cert(vec![certificate; copies], private)
        .expect("a usable key");
    let config = Arc::new(config);
    let Ok(listener) = TcpListener::bind((address, 0)) else {
        say(&format!("NOT RUN: cannot listen on {address}"));
        return None;
    };
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let config = config.clone();
            std::thread::spawn(move || {
                let mut connection = ServerConnection::new(config).expect("a connection");
                let _ = connection.complete_io(&mut stream);
            });
        }
    });
    Some(address)
}

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[test]
fn a_post_quantum_only_server_needs_the_full_client() {
    let Some(addr) = rustls_server(HERE, &[aws_lc_rs::kx_group::X25519MLKEM768], 1) else { return };
    let target = Target { addr, ..target(0) };
    let grabbed = grab(target);
    assert_eq!(summary(&grabbed), "Alert { level: 2, description: 40 }");
    let further = grabbed.for_full_client().expect("a full client may get further");
    let proved = prove(&further, &quick(), &*clock()).expect("certificates");
    assert_eq!(proved.possession, Possession::Verified);
    assert_eq!(proved.flight.group, Some(0x11ec));
    assert_eq!(proved.flight.certificates.leaf(), key("rsa").der);
}

#[test]
fn compressed_certificates_are_unpacked_within_bounds() {
    let Some(addr) = rustls_server(HERE, aws_lc_rs::DEFAULT_KX_GROUPS, 20) else { return };
    let ask = |compressed: bool, message_bytes: usize| {
        let limits = Limits { message_bytes, ..Limits::default() };
        let settings = Settings { compressed, limits, ..quick() };
        summary(&grab_all(settings, vec![Target { addr, ..target(0) }]).pop().expect("a result"))
    };
    assert_eq!(ask(false, 100_000), "0304 1301 group 29 chain 20 leaf rsa");
    assert_eq!(ask(true, 100_000), "0304 1301 group 29 chain 20 leaf rsa");
    // Packed, the message is far smaller than this limit; it is the unpacked size that counts.
    assert!(ask(true, 5_000).starts_with("TooLarge { what: \"certificate message\""), "{}", ask(true, 5_000));
}

#[test]
fn long_chains_fill_many_records() {
    let chain = |copies: usize| {
        let addr = rustls_server(HERE, aws_lc_rs::DEFAULT_KX_GROUPS, copies)?;
        Some(summary(&grab(Target { addr, ..target(0) })))
    };
    assert_eq!(chain(200).as_deref(), Some("0304 1301 group 29 chain 200 leaf rsa"));
    let refused = "TooLarge { what: \"certificate chain\", size: 280 }";
    assert_eq!(chain(280).as_deref(), Some(refused));
}

/// One real TLS 1.3 answer, cut in every way: our side of the secret is known, so it can be read again and again.
#[test]
fn an_encrypted_flight_may_be_cut_anywhere() {
    let Some(server) = s_server("-tls1_3 @rsa -max_send_frag 700 -split_send_frag 700") else { return };
    let hello =
        ClientHello { offer: Offer::Any, seed: 5, server_name: Some("lab.example"), compressed: false };
    let mut bytes = Vec::new();
    hello.write(&mut bytes);
    let answer = answer_of(server.port, &bytes);
    for piece in (1..40).chain([100, 517, 1000, 5000]) {
        let mut reader = FlightReader::default();
        let mut done = None;
        for part in answer.clone().chunks_mut(piece) {
            if let Progress::Done(outcome) = reader.feed(&hello, part) {
                done = Some(outcome);
                break;
            }
        }
        let Some(Outcome::Certificates(flight)) = done else { panic!("in pieces of {piece}: {done:?}") };
        assert_eq!(flight.certificates.leaf(), key("rsa").der);
    }
    // With one bit wrong it must not open.
    let mut broken = answer.clone();
    let last = broken.len() - 10;
    broken[200.min(last)] ^= 1;
    let mut reader = FlightReader::default();
    let progress = reader.feed(&hello, &mut broken);
    assert!(matches!(progress, Progress::Done(Outcome::Malformed { .. })), "{progress:?}");
}

/// Everything a server says to these bytes within a moment.
fn answer_of(port: u16, hello: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    stream.write_all(hello).expect("the hello is sent");
    let (mut answer, mut piece) = (Vec::new(), [0; 8192]);
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        answer.extend_from_slice(&piece[..count]);
    }
    answer
}

#[test]
fn works_over_ipv6() {
    let here = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let Some(addr) = rustls_server(here, aws_lc_rs::DEFAULT_KX_GROUPS, 1) else { return };
    let grabbed = grab(Target { addr, sni: None, ..target(0) });
    assert_eq!(summary(&grabbed), "0304 1301 group 29 chain 1 leaf rsa");
}

/// Plays a recorded TLS 1.2 answer back to everyone, as someone without the key could.
#[test]
fn an_impostor_is_believed_by_the_grab_but_not_by_the_proof() {
    let Some(genuine) = s_server("-tls1_2 @ec -cipher ECDHE-ECDSA-AES128-GCM-SHA256 -groups X25519") else {
        return;
    };
    let mut hello = Vec::new();
    let asked = notafter_wire::tls::ClientHello {
        offer: Offer::Gentle,
        seed: 1,
        server_name: None,
        compressed: false,
    };
    asked.write(&mut hello);
    let answer = answer_of(genuine.port, &hello);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 8192]);
            let _ = stream.write_all(&answer);
            let _ = stream.read(&mut [0; 8192]);
        }
    });
    assert_eq!(summary(&grab(target(port))), "0303 c02b group - chain 1 leaf ec");
    let proved = prove(&target(port), &quick(), &*clock()).expect("certificates");
    let why = format!("{:?}", proved.possession);
    assert!(why.contains("BadSignature"), "{why}");
}

//! The fast hello against real servers: OpenSSL, GnuTLS, nginx and haproxy, in the shapes they are met in.
//!
//! Each row starts one server on loopback, grabs from it and compares a one-line summary.

#[path = "support/lab.rs"]
mod lab;

use lab::*;
use notafter_wire::tls::grab::{Settings, Target};
use notafter_wire::tls::prove::prove;
use notafter_wire::tls::{Offer, Outcome};

fn check(server: &str, offer: Offer, want_client_cas: bool, expected: &str) {
    let Some(server_process) = s_server(server) else { return };
    let grabbed = grab(Target { offer, want_client_cas, ..target(server_process.port) });
    let summary = summary(&grabbed);
    assert!(summary.starts_with(expected), "{server}, {offer:?}: {summary}, not {expected}");
    assert_eq!(grabbed.target.tag, 7);
}

#[test]
fn openssl_tls_13() {
    let any = |server: &str, expected: &str| check(server, Offer::Any, false, expected);
    any("-tls1_3 @ec", "0304 1301 group 29 chain 1 leaf ec");
    any("-tls1_3 @rsa", "0304 1301 group 29 chain 1 leaf rsa");
    any("-tls1_3 @ed25519", "0304 1301 group 29 chain 1 leaf ed25519");
    any("-tls1_3 @ed448", "0304 1301 group 29 chain 1 leaf ed448");
    any("-tls1_3 @ec521 -groups P-256", "0304 1301 group 23 chain 1 leaf ec521");
    any("-tls1_3 @ec -groups P-384", "0304 1301 group 24 chain 1 leaf ec");
    any("-tls1_3 @ec -groups P-521", "0304 1301 group 25 chain 1 leaf ec");
    any("-tls1_3 @ec -ciphersuites TLS_AES_256_GCM_SHA384", "0304 1302 group 29");
    any("-tls1_3 @ec -ciphersuites TLS_CHACHA20_POLY1305_SHA256", "0304 1303 group 29");
    any("-tls1_3 @ec -groups P-521 -ciphersuites TLS_AES_256_GCM_SHA384", "0304 1302 group 25");
    any("-tls1_3 @rsa -max_send_frag 512 -split_send_frag 512", "0304 1301 group 29 chain 1 leaf rsa");
    // These answer with a HelloRetryRequest.
    any("-tls1_3 @ec -groups X448", "0304 1301 group 30 chain 1 leaf ec");
    any("-tls1_3 @ec -groups ffdhe2048", "0304 1301 group 256 chain 1 leaf ec");
    any("-tls1_3 @ec -groups ffdhe4096", "0304 1301 group 258 chain 1 leaf ec");
    any("-tls1_3 @ec -stateless", "0304 1301 group 29 chain 1 leaf ec");
}

#[test]
fn openssl_tls_12_and_below() {
    let any = |server: &str, expected: &str| check(server, Offer::Any, false, expected);
    any("-tls1_2 @ec", "0303 c02b group - chain 1 leaf ec");
    any("-tls1_2 @rsa", "0303 c02f group - chain 1 leaf rsa");
    any("-tls1_2 @ed25519", "0303 c02b group - chain 1 leaf ed25519");
    any("-tls1_2 @rsa -cipher AES128-SHA256", "0303 003c");
    any("-tls1_2 @rsa -cipher AES128-SHA", "0303 002f");
    any("-tls1_2 @rsa -cipher DHE-RSA-AES128-SHA256", "0303 0067");
    any("-tls1_2 @rsa -cipher CAMELLIA128-SHA", "0303 0041");
    any("-tls1_1 @rsa -cipher ALL:@SECLEVEL=0", "0302 c013");
    any("-tls1 @rsa -cipher ALL:@SECLEVEL=0", "0301 c013");
    any("-tls1 @ec -cipher ALL:@SECLEVEL=0", "0301 c009");
    check("-tls1 @rsa -cipher AES128-SHA:@SECLEVEL=0", Offer::Legacy, false, "0301 002f");
    any("-tls1_2 @rsa -cipher NULL-SHA256:@SECLEVEL=0", "0303 003b");
    any("-tls1_2 -nocert -cipher aNULL:@SECLEVEL=0", "Alert { level: 2, description: 40 }");
    check("-tls1_2 @rsa", Offer::Any, true, "0303 c02f group 29 chain 1 leaf rsa");
}

#[test]
fn both_chains_of_a_dual_server() {
    for version in ["-tls1_3", "-tls1_2"] {
        let server = format!("{version} @ec -dcert @rsa");
        check(&server, Offer::EcdsaOnly, false, if version == "-tls1_3" { "0304" } else { "0303" });
        let leaf = |offer: Offer| {
            let Some(server) = s_server(&server) else { return String::new() };
            summary(&grab(Target { offer, ..target(server.port) }))
        };
        assert!(leaf(Offer::EcdsaOnly).ends_with("leaf ec"), "{}", leaf(Offer::EcdsaOnly));
        assert!(leaf(Offer::RsaOnly).ends_with("leaf rsa"), "{}", leaf(Offer::RsaOnly));
        assert!(leaf(Offer::Any).ends_with("leaf ec"));
    }
    check("-tls1_3 @rsa", Offer::EcdsaOnly, false, "Alert { level: 2, description: 40 }");
    check("-tls1_2 @ec", Offer::RsaOnly, false, "Alert { level: 2, description: 40 }");
}

#[test]
fn client_certificates_demanded() {
    let _ = keys();
    check(
        "-tls1_3 @ec -Verify 1 -CAfile CA:rsa.crt",
        Offer::Any,
        false,
        "0304 1301 group 29 chain 1 leaf ec client-auth 1",
    );
    check(
        "-tls1_2 @ec -Verify 1 -CAfile CA:rsa.crt",
        Offer::Any,
        true,
        "0303 c02b group 29 chain 1 leaf ec client-auth 1",
    );
    check("-tls1_2 @ec -Verify 1", Offer::Any, true, "0303 c02b group 29 chain 1 leaf ec client-auth 0");
}

#[test]
fn stapled_answers() {
    let (here, ec) = (directory(), key("ec"));
    let serial = String::from_utf8(run("openssl", &["x509", "-in", &ec.certificate, "-noout", "-serial"]))
        .expect("text");
    let serial = serial.trim().trim_start_matches("serial=");
    let index = format!("V\t400101000000Z\t\t{serial}\tunknown\t/CN=ec.lab.example\n");
    std::fs::write(here.join("index.txt"), index).expect("an index");
    let (index, answer) =
        (here.join("index.txt").display().to_string(), here.join("ocsp.der").display().to_string());
    let (certificate, private) = (ec.certificate.as_str(), ec.key.as_str());
    run(
        "openssl",
        &[
            "ocsp",
            "-index",
            &index,
            "-CA",
            certificate,
            "-rsigner",
            certificate,
            "-rkey",
            private,
            "-issuer",
            certificate,
            "-cert",
            certificate,
            "-respout",
            &answer,
            "-ndays",
            "1",
            "-noverify",
        ],
    );
    let stapled = std::fs::read(&answer).expect("an OCSP response");
    for version in ["-tls1_3", "-tls1_2"] {
        let words = format!("{version} @ec -status -status_file CA:ocsp.der");
        let Some(server) = s_server(&words) else { return };
        let Outcome::Certificates(flight) = grab(target(server.port)).outcome else { panic!("{version}") };
        assert_eq!(flight.staple.as_deref(), Some(&stapled[..]), "{version}");
        let proved = prove(&target(server.port), &quick(), &*clock()).expect("certificates");
        assert_eq!(proved.flight.staple, flight.staple);
    }
}

#[test]
fn gentle_asks_for_tls_12_first() {
    let gentle = |words: &str| {
        let server = s_server(words)?;
        let settings = Settings { gentle: true, ..quick() };
        let grabbed = grab_all(settings, vec![target(server.port)]).pop()?;
        Some((summary(&grabbed), grabbed.attempts))
    };
    let Some((text, attempts)) = gentle("@rsa -serverpref") else { return };
    assert!(text.starts_with("0303"), "{text}");
    assert_eq!(attempts, 1);
    let Some((text, attempts)) = gentle("-tls1_3 @rsa") else { return };
    assert!(text.starts_with("0304"), "{text}");
    assert_eq!(attempts, 2);
}

#[test]
fn full_handshakes_prove_possession() {
    let check = |words: &str, expected: &str| {
        let Some(server) = s_server(words) else { return };
        let proved = prove(&target(server.port), &quick(), &*clock());
        let text = match proved {
            Ok(proved) => {
                let flight = &proved.flight;
                let auth = flight.client_auth.as_ref().map(|auth| auth.ca_names.len());
                format!("{:04x} {:?} auth {auth:?} {:?}", flight.version, flight.group, proved.possession)
            }
            Err(outcome) => format!("{outcome:?}"),
        };
        assert_eq!(text, expected, "{words}");
    };
    check("-tls1_3 @ec", "0304 Some(29) auth None Verified");
    check("-tls1_3 @rsa", "0304 Some(29) auth None Verified");
    check("-tls1_3 @ed25519", "0304 Some(29) auth None Verified");
    check("-tls1_3 @ec521 -groups P-384", "0304 Some(24) auth None Verified");
    check("-tls1_2 @rsa", "0303 Some(29) auth None Verified");
    check("-tls1_2 @ec", "0303 Some(29) auth None Verified");
    let _ = keys();
    check("-tls1_3 @ec -Verify 1 -CAfile CA:rsa.crt", "0304 Some(29) auth Some(1) Verified");
    check("-tls1_2 @rsa -Verify 1 -CAfile CA:rsa.crt", "0303 Some(29) auth Some(1) Verified");
    check("-tls1_2 @rsa -cipher AES128-SHA", "Alert { level: 2, description: 40 }");
    let unchecked = "NotVerified { why: \"signatures of scheme 0x0808 cannot be checked\" }";
    let Some(server) = s_server("-tls1_3 @ed448") else { return };
    let proved = prove(&target(server.port), &quick(), &*clock()).expect("certificates");
    assert_eq!(proved.flight.certificates.leaf(), key("ed448").der);
    assert!(format!("{:?}", proved.possession) == unchecked, "{:?}", proved.possession);
    let refused = prove(&target(free_port()), &quick(), &*clock());
    assert_eq!(refused, Err(Outcome::Refused));
}

#[test]
fn gnutls() {
    if !present("gnutls-serv") {
        return;
    }
    let check = |priority: &str, name: &str, expected: &str| {
        let port = free_port();
        let key = key(name);
        let words = [
            format!("--port={port}"),
            format!("--x509certfile={}", key.certificate),
            format!("--x509keyfile={}", key.key),
            format!("--priority={priority}"),
            "--quiet".to_string(),
        ];
        let Some(server) = serve("gnutls-serv", &words, port) else { return };
        let summary = summary(&grab(target(server.port)));
        assert!(summary.starts_with(expected), "{priority} {name}: {summary}");
    };
    check("NORMAL", "ec", "0304 1301 group 29 chain 1 leaf ec");
    check("NORMAL:-VERS-ALL:+VERS-TLS1.3", "rsa", "0304 1301 group 29 chain 1 leaf rsa");
    check("NORMAL:-VERS-ALL:+VERS-TLS1.2", "ed25519", "0303 c02b group - chain 1 leaf ed25519");
    check("NORMAL:-GROUP-ALL:+GROUP-SECP521R1:-VERS-ALL:+VERS-TLS1.3", "ec", "0304 1301 group 25");
    check("NORMAL:-GROUP-ALL:+GROUP-FFDHE3072:-VERS-ALL:+VERS-TLS1.3", "ec", "0304 1301 group 257");
    check("NORMAL:-GROUP-ALL:+GROUP-X448:-VERS-ALL:+VERS-TLS1.3", "ec", "0304 1301 group 30");
}

#[test]
fn nginx_and_haproxy() {
    let (ec, rsa) = (key("ec"), key("rsa"));
    let here = directory().display().to_string();
    if present("nginx") {
        let port = free_port();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|name| format!("{name}_temp_path {here}/temp;"))
            .collect();
        let dual = format!(
            "ssl_certificate {}; ssl_certificate_key {}; ssl_certificate {}; ssl_certificate_key {};",
            ec.certificate, ec.key, rsa.certificate, rsa.key
        );
        let configuration = format!(
            "daemon off; pid {here}/nginx.pid; error_log {here}/nginx.err; events {{}} http {{ access_log off; ssl_protocols TLSv1.2 TLSv1.3; {temporary}
             server {{ listen 127.0.0.1:{port} ssl default_server; ssl_reject_handshake on; }}
             server {{ listen 127.0.0.1:{port} ssl; server_name lab.example; {dual} }} }}"
        );
        std::fs::write(directory().join("nginx.conf"), configuration).expect("a configuration");
        let words: Vec<String> = ["-p", &here, "-e", "stderr", "-c", "nginx.conf"].map(String::from).into();
        if let Some(server) = serve("nginx", &words, port) {
            let nameless = grab(Target { sni: None, ..target(server.port) });
            assert_eq!(summary(&nameless), "Alert { level: 2, description: 112 }");
            assert_eq!(nameless.attempts, 1);
            let of = |offer: Offer| summary(&grab(Target { offer, ..target(server.port) }));
            assert_eq!(of(Offer::Any), "0304 1301 group 29 chain 1 leaf ec");
            assert_eq!(of(Offer::RsaOnly), "0304 1301 group 29 chain 1 leaf rsa");
        }
    }
    if present("haproxy") {
        let port = free_port();
        let pem = [std::fs::read(&rsa.certificate), std::fs::read(&rsa.key)]
            .map(|read| read.expect("a key"))
            .concat();
        std::fs::write(directory().join("both.pem"), pem).expect("a bundle");
        let configuration = format!(
            "defaults\n mode http\n timeout client 5s\n timeout server 5s\n timeout connect 5s\n\
             frontend f\n bind 127.0.0.1:{port} ssl crt {here}/both.pem\n"
        );
        std::fs::write(directory().join("haproxy.cfg"), configuration).expect("a configuration");
        let words: Vec<String> = ["-f", "haproxy.cfg"].map(String::from).into();
        if let Some(server) = serve("haproxy", &words, port) {
            assert_eq!(summary(&grab(target(server.port))), "0304 1302 group 29 chain 1 leaf rsa");
        }
    }
}

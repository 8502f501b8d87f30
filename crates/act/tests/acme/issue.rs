//! Issuance: each solver, each kind of account key, stubborn nonces, authorizations used again, bindings, chains.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;

use notafter_act::solvers::{PLACE, Shown};
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::issuance::{Challenge, ChallengeType, Cleanup, Identifier, Profile};
use notafter_core::joints::{BoxFuture, Cx, Issuer, Keep as _, Solver};
use notafter_lab::pebble::Options;
use notafter_lab::{Lab, need, program, server};
use serde_json::json;

use crate::{Memory, cx, issuer, order, request, solver, standalone, start, table, text};

#[tokio::test]
async fn by_a_file_that_nginx_serves() {
    let lab = Lab::new("acme-webroot");
    let Some(ca) = start(&lab, &Options::default()) else { return };
    let (folder, webroot) = (lab.subfolder("nginx"), lab.subfolder("webroot"));
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], ca.http_port()));
    std::fs::write(
        folder.join("nginx.conf"),
        format!(
            "daemon off; pid nginx.pid; error_log stderr; user root; events {{}}\nhttp {{ access_log off; \
             client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n\
             server {{ listen {address}; root {}; }} }}",
            webroot.display()
        ),
    )
    .unwrap();
    let Some(path) = need(program::find("nginx")) else { return };
    let mut nginx = Command::new(path);
    nginx.arg("-p").arg(&folder).args(["-c", "nginx.conf", "-e", "stderr"]);
    let Some(_nginx) = need(server::attend("nginx", &folder, nginx, &[address])) else { return };

    let table_of = json!({ "webroot": webroot, "port": ca.http_port(), "address": "127.0.0.1" });
    let solver = solver("http-01", table_of, &Arc::default());
    let acme = issuer(table(&ca, json!({})), &Arc::default());
    let issued = order(&acme, &request(&lab, &["a.test", "b.test"]), &*solver).await.unwrap();
    assert_eq!((issued.chain.len(), ca.issued()), (2, 1));
    let said = text(&lab, &issued.chain[0]);
    assert!(said.contains("DNS:a.test, DNS:b.test"), "{said}");
    let challenges = webroot.join(".well-known/acme-challenge");
    assert_eq!(std::fs::read_dir(challenges).unwrap().count(), 0, "something was left");
    let name = Identifier::parse("a.test").unwrap();
    let checks = solver.rehearse(&cx(), &name).await;
    assert!(checks.len() == 2 && checks.iter().all(|check| check.works), "{checks:?}");
}

#[tokio::test]
async fn by_ports_of_our_own_and_for_addresses() {
    let lab = Lab::new("acme-ports");
    let Some(ca) = start(&lab, &Options::default()) else { return };
    let keep = Arc::new(Memory::default());
    let acme = issuer(table(&ca, json!({})), &keep);
    let http = standalone(&ca);
    order(&acme, &request(&lab, &["a.test"]), &*http).await.unwrap();
    let issued = order(&acme, &request(&lab, &["127.0.0.1"]), &*http).await.unwrap();
    assert!(text(&lab, &issued.chain[0]).contains("IP Address:127.0.0.1"));
    // The port is open for the time of the challenge alone.
    drop(TcpListener::bind(("127.0.0.1", ca.http_port())).expect("the port is free again"));

    let port = ca.tls_port();
    let settings = json!({ "listen": format!("127.0.0.1:{port}"), "port": port, "address": "127.0.0.1" });
    let alpn = solver("tls-alpn-01", settings, &Arc::default());
    order(&acme, &request(&lab, &["b.test", "c.test"]), &*alpn).await.unwrap();
    order(&acme, &request(&lab, &["127.0.0.1"]), &*alpn).await.unwrap();
    drop(TcpListener::bind(("127.0.0.1", port)).expect("the port is free again"));
    let checks = alpn.rehearse(&cx(), &Identifier::parse("b.test").unwrap()).await;
    assert!(checks.len() == 2 && checks.iter().all(|check| check.works), "{checks:?}");
    assert_eq!(ca.issued(), 4);
    let wildcard = order(&acme, &request(&lab, &["*.b.test"]), &*http).await.unwrap_err();
    assert!(wildcard.hint.unwrap().contains("dns-01 alone"), "{}", wildcard.context);
}

#[tokio::test]
async fn through_a_server_that_asks_the_table() {
    let lab = Lab::new("acme-table");
    let Some(ca) = start(&lab, &Options::default()) else { return };
    let memory = Arc::<Memory>::default();
    let shown = Shown::new(memory.clone());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", ca.http_port())).await.unwrap();
    let table_of = shown.clone();
    let web = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).await.unwrap_or(0);
            let line = String::from_utf8_lossy(&piece[..read]).into_owned();
            let path = line.split(' ').nth(1).unwrap_or_default();
            let token = path.strip_prefix(PLACE).unwrap_or_default();
            let body = table_of.answer(token).unwrap().unwrap_or_default();
            let status = if body.is_empty() { "404 No" } else { "200 OK" };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let settings = json!({ "server": true, "port": ca.http_port(), "address": "127.0.0.1" });
    let solver = solver("http-01", settings, &memory);
    let acme = issuer(table(&ca, json!({})), &Arc::default());
    order(&acme, &request(&lab, &["a.test"]), &*solver).await.unwrap();
    assert_eq!(shown.answer("x").unwrap(), None);
    assert_eq!(memory.kept("http-01/shown").unwrap().unwrap_or_default(), b"", "taken back");
    web.abort();
}

#[tokio::test]
async fn every_kind_of_account_key() {
    let lab = Lab::new("acme-keys");
    let Some(ca) = start(&lab, &Options { nonce_reject: 20, ..Options::default() }) else { return };
    let solver = standalone(&ca);
    for kind in ["ecdsa-p256", "ecdsa-p384", "rsa-2048"] {
        let acme = issuer(table(&ca, json!({ "account_key_type": kind })), &Arc::default());
        order(&acme, &request(&lab, &["a.test"]), &*solver).await.unwrap_or_else(|f| panic!("{kind}: {f:?}"));
    }
    assert_eq!(ca.issued(), 3);
    // A kind that this CA does not take, and what the hint says.
    let keep = Arc::new(Memory::default());
    let refused = issuer(table(&ca, json!({ "account_key_type": "ed25519" })), &keep);
    let fault = order(&refused, &request(&lab, &["a.test"]), &*solver).await.unwrap_err();
    assert!(fault.hint.as_deref().unwrap_or_default().starts_with("set account_key_type to"), "{fault:?}");
    order(&issuer(table(&ca, json!({})), &keep), &request(&lab, &["a.test"]), &*solver).await.unwrap();
}

#[tokio::test]
async fn nine_nonces_in_ten_are_refused() {
    let lab = Lab::new("acme-nonces");
    let Some(ca) = start(&lab, &Options { nonce_reject: 90, ..Options::default() }) else { return };
    let acme = issuer(table(&ca, json!({})), &Arc::default());
    order(&acme, &request(&lab, &["a.test"]), &*standalone(&ca)).await.unwrap();
    assert_eq!(ca.issued(), 1);
}

/// Shows nothing, and says so loudly.
struct Never;

impl Solver for Never {
    fn kind(&self) -> ChallengeType {
        ChallengeType::Http01
    }

    fn present<'a>(&'a self, _: &'a Cx, challenge: &'a Challenge) -> BoxFuture<'a, Result<Cleanup, Fault>> {
        panic!("asked to show {challenge:?}");
    }

    fn is_visible<'a>(&'a self, _: &'a Cx, _: &'a Challenge) -> BoxFuture<'a, Result<bool, Fault>> {
        panic!("asked to look");
    }

    fn clean_up<'a>(&'a self, _: &'a Cx, _: &'a Cleanup) -> BoxFuture<'a, Result<(), Fault>> {
        panic!("asked to take back");
    }

    fn rehearse<'a>(
        &'a self,
        _: &'a Cx,
        _: &'a Identifier,
    ) -> BoxFuture<'a, Vec<notafter_core::deployment::Check>> {
        Box::pin(async { Vec::new() })
    }
}

#[tokio::test]
async fn authorizations_that_are_valid_are_used_again() {
    let lab = Lab::new("acme-reuse");
    let Some(ca) = start(&lab, &Options { authz_reuse: 100, ..Options::default() }) else { return };
    let acme = issuer(table(&ca, json!({})), &Arc::default());
    order(&acme, &request(&lab, &["a.test", "b.test"]), &*standalone(&ca)).await.unwrap();
    order(&acme, &request(&lab, &["a.test", "b.test"]), &Never).await.unwrap();
    assert_eq!(ca.issued(), 2);
}

#[tokio::test]
async fn a_ca_that_wants_a_binding() {
    let lab = Lab::new("acme-eab");
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let options = Options { eab: Some(("kid-1".into(), key.into())), ..Options::default() };
    let Some(ca) = start(&lab, &options) else { return };
    let request = request(&lab, &["a.test"]);
    let without = issuer(table(&ca, json!({})), &Arc::default());
    let fault = order(&without, &request, &*standalone(&ca)).await.unwrap_err();
    assert_eq!((fault.kind, fault.retry), (FaultKind::Invalid, Retry::Never));
    assert!(fault.hint.unwrap().contains("eab = {"));
    let checks = without.rehearse(&cx(), &request, &*standalone(&ca)).await;
    assert!(
        checks.iter().any(|check| !check.works && check.because.contains("those it knows")),
        "{checks:?}"
    );

    let secret = lab.path().join("hmac");
    std::fs::write(&secret, format!("{key}\n")).unwrap();
    let with = json!({ "eab": { "kid": "kid-1", "hmac": { "file": secret } } });
    let acme = issuer(table(&ca, with), &Arc::default());
    order(&acme, &request, &*standalone(&ca)).await.unwrap();

    std::fs::write(&secret, "d3Jvbmcta2V5LXdyb25nLWtleS13cm9uZy1rZXk").unwrap();
    let wrong = json!({ "eab": { "kid": "kid-1", "hmac": { "file": secret } } });
    let fault =
        order(&issuer(table(&ca, wrong), &Arc::default()), &request, &*standalone(&ca)).await.unwrap_err();
    assert!(fault.context.starts_with("the CA makes no account: "), "{fault:?}");
    assert!(!format!("{fault:?}").contains("d3Jvbmc"), "{fault:?}");
}

#[tokio::test]
async fn a_chain_to_the_root_that_is_preferred() {
    let lab = Lab::new("acme-chains");
    let options = Options { chain_length: 3, alternate_roots: 2, ..Options::default() };
    let Some(ca) = start(&lab, &options) else { return };
    let roots: Vec<String> = (0..3)
        .map(|number| {
            let pem = ca.manage("GET", &format!("/roots/{number}"), "").unwrap();
            let file = lab.path().join(format!("root-{number}.pem"));
            std::fs::write(&file, pem).unwrap();
            let mut openssl = Command::new("openssl");
            openssl.args(["x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in"]).arg(file);
            program::run(&mut openssl).unwrap().text().trim().rsplit("CN=").next().unwrap().to_owned()
        })
        .collect();
    let acme = issuer(table(&ca, json!({ "preferred_chain": roots[1] })), &Arc::default());
    let solver = standalone(&ca);
    for (wanted, got) in [(Some(&roots[2]), 2), (None, 1), (Some(&"No Such Root".to_owned()), 0)] {
        let mut request = request(&lab, &["a.test"]);
        request.preferred_chain = wanted.cloned();
        let issued = order(&acme, &request, &*solver).await.unwrap();
        assert_eq!(issued.chain.len(), 4);
        let last = text(&lab, issued.chain.last().unwrap());
        assert!(last.contains(&format!("Issuer: CN={}", roots[got])), "{wanted:?}: {last}");
    }
}

#[tokio::test]
async fn profiles() {
    let lab = Lab::new("acme-profiles");
    let profiles =
        vec![("default".to_owned(), 90 * 86_400), ("short".to_owned(), 518_400), ("tiny".to_owned(), 120)];
    let Some(ca) = start(&lab, &Options { profiles, ..Options::default() }) else { return };
    let solver = standalone(&ca);
    let acme = issuer(table(&ca, json!({ "profile": "short" })), &Arc::default());
    let lifetime = |der: &[u8]| {
        let leaf = notafter_pki::certificate::Certificate::parse(der).unwrap();
        leaf.not_after().unwrap().0 - leaf.not_before().unwrap().0
    };
    let mut request = request(&lab, &["a.test"]);
    let issued = order(&acme, &request, &*solver).await.unwrap();
    assert!((518_390..=518_410).contains(&lifetime(&issued.chain[0])), "{}", lifetime(&issued.chain[0]));
    request.profile = Some(Profile { name: "tiny".into(), required: true });
    let issued = order(&acme, &request, &*solver).await.unwrap();
    assert!(lifetime(&issued.chain[0]) <= 130, "{}", lifetime(&issued.chain[0]));
    request.profile = Some(Profile { name: "nonesuch".into(), required: false });
    order(&acme, &request, &*solver).await.unwrap();
    request.profile = Some(Profile { name: "nonesuch".into(), required: true });
    let fault = order(&acme, &request, &*solver).await.unwrap_err();
    assert_eq!(fault.hint.as_deref(), Some("it offers default, short, tiny"));
    let checks = acme.rehearse(&cx(), &request, &*standalone(&ca)).await;
    assert!(checks.iter().any(|check| !check.works && check.what == "profile nonesuch"), "{checks:?}");
}

#[tokio::test]
async fn a_ca_that_says_no() {
    let lab = Lab::new("acme-no");
    let Some(ca) = start(&lab, &Options::default()) else { return };
    let acme = issuer(table(&ca, json!({})), &Arc::default());
    let fault = order(&acme, &request(&lab, &["www.blocked.test"]), &*standalone(&ca)).await.unwrap_err();
    assert_eq!((fault.kind, fault.retry), (FaultKind::Invalid, Retry::Never), "{fault:?}");
    assert!(fault.context.contains("rejectedIdentifier"), "{fault:?}");

    // Nobody answers where the CA looks: the file lies in a folder that no server serves.
    let settings = json!({ "webroot": lab.subfolder("nobody"), "check": false });
    let silent = solver("http-01", settings.clone(), &Arc::default());
    let fault = order(&acme, &request(&lab, &["a.test"]), &*silent).await.unwrap_err();
    assert_eq!((fault.kind, fault.retry), (FaultKind::Refused, Retry::Backoff), "{fault:?}");
    assert!(fault.context.contains("could not prove control of a.test by http-01"), "{fault:?}");
    assert!(fault.hint.unwrap().contains("port"), "{}", fault.context);

    // Looked at first, the CA is never asked.
    let mut careful = settings;
    careful["check"] = json!(true);
    careful["port"] = json!(ca.http_port());
    careful["address"] = json!("127.0.0.1");
    let careful = solver("http-01", careful, &Arc::default());
    let request = request(&lab, &["b.test"]);
    let mut ticket = acme.begin(&cx(), &request).await.unwrap();
    let what = loop {
        match acme.advance(&cx(), &request, &ticket, &*careful).await.unwrap() {
            notafter_core::issuance::Progress::Stepped(next) => ticket = next,
            notafter_core::issuance::Progress::Waits { ticket: next, what, .. } => {
                ticket = next;
                break what;
            }
            done => panic!("{done:?}"),
        }
    };
    assert_eq!(what, "what proves control of b.test is not to be seen yet");
    acme.abandon(&cx(), &ticket, &*careful).await.unwrap();
    let checks = careful.rehearse(&cx(), &request.names[0]).await;
    assert!(checks[0].works && !checks[1].works, "{checks:?}");
    assert_eq!(ca.issued(), 0);
}

#[tokio::test]
async fn only_whoever_asks_for_the_challenge_sees_its_certificate() {
    let lab = Lab::new("acme-alpn");
    let port = notafter_lab::Port::free();
    let at = port.local().to_string();
    let settings = json!({ "listen": at, "port": port.number(), "address": "127.0.0.1" });
    let solver = solver("tls-alpn-01", settings, &Arc::default());
    let challenge = Challenge {
        identifier: Identifier::parse("a.test").unwrap(),
        kind: ChallengeType::TlsAlpn01,
        token: "a".repeat(43),
        key_authorization: "a.b".into(),
    };
    let cleanup = solver.present(&cx(), &challenge).await.unwrap();
    assert!(solver.is_visible(&cx(), &challenge).await.unwrap());
    let ask = |arguments: Vec<&'static str>, at: String| {
        tokio::task::spawn_blocking(move || {
            let mut openssl = Command::new("openssl");
            openssl.args(["s_client", "-connect", &at]).args(arguments);
            program::finish(&mut openssl, b"", std::time::Duration::from_secs(10)).unwrap().all()
        })
    };
    let seen =
        ask(vec!["-servername", "a.test", "-alpn", "acme-tls/1", "-showcerts"], at.clone()).await.unwrap();
    assert!(seen.contains("ALPN protocol: acme-tls/1") && seen.contains("BEGIN CERTIFICATE"), "{seen}");
    for other in [
        vec!["-servername", "a.test"],
        vec!["-servername", "a.test", "-alpn", "http/1.1"],
        vec!["-servername", "b.test", "-alpn", "acme-tls/1"],
        vec!["-noservername", "-alpn", "acme-tls/1"],
    ] {
        let seen = ask(other.clone(), at.clone()).await.unwrap();
        assert!(!seen.contains("BEGIN CERTIFICATE"), "{other:?}: {seen}");
    }
    let leaf =
        ask(vec!["-servername", "a.test", "-alpn", "acme-tls/1", "-showcerts"], at.clone()).await.unwrap();
    let der = notafter_lab::base64::blocks(&leaf, "CERTIFICATE").pop().unwrap();
    let said = text(&lab, &der);
    assert!(said.contains("1.3.6.1.5.5.7.1.31: critical") && said.contains("DNS:a.test"), "{said}");
    solver.clean_up(&cx(), &cleanup).await.unwrap();
    solver.clean_up(&cx(), &cleanup).await.expect("gone already is done");
    assert!(std::net::TcpStream::connect(port.local()).is_err());
}

/// A web server that serves a folder after so many redirects, the last one to here.
async fn redirecting(root: std::path::PathBuf, hops: usize, to: Option<String>) -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).await.unwrap_or(0);
            let line = String::from_utf8_lossy(&piece[..read]).into_owned();
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let (path, hop) =
                path.split_once("?hop=").map_or((path.as_str(), 0), |(p, n)| (p, n.parse().unwrap()));
            let answer = if hop < hops {
                let target = to.clone().unwrap_or_else(|| format!("{path}?hop={}", hop + 1));
                format!(
                    "HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )
            } else {
                let body = std::fs::read_to_string(root.join(&path[1..])).unwrap_or_default();
                // White space at the end is no matter.
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}\n",
                    body.len() + 1
                )
            };
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn redirects_are_followed_as_far_as_a_ca_follows() {
    let lab = Lab::new("acme-redirects");
    let root = lab.subfolder("webroot");
    let name = Identifier::parse("a.test").unwrap();
    for (hops, to, works) in [
        (0, None, true),
        (10, None, true),
        (11, None, false),
        (1, Some("http://a.test:22/".to_owned()), false),
        (1, Some("ftp://a.test/".to_owned()), false),
    ] {
        let address = redirecting(root.clone(), hops, to.clone()).await;
        let settings = json!({ "webroot": root, "port": address.port(), "address": "127.0.0.1" });
        let checks = solver("http-01", settings, &Arc::default()).rehearse(&cx(), &name).await;
        assert!(checks[0].works && checks[1].works == works, "{hops} {to:?}: {checks:?}");
    }
}

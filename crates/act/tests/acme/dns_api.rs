//! dns-01 by APIs: a real PowerDNS through the crate `dns-update`, a server that does what acme-dns does in front of a real
//! knot, and a receiver in the place of Amazon's API.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use notafter_core::issuance::Identifier;
use notafter_lab::dns::{self, Dns, Zone};
use notafter_lab::pebble::Options;
use notafter_lab::sinks::http::{Answer, Receiver};
use notafter_lab::{Lab, need};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::dns::{challenge, dns01, knot, value};
use crate::{cx, issuer, order, request, start, table};

#[tokio::test]
async fn a_wildcard_by_the_api_of_powerdns() {
    let lab = Lab::new("dns01-powerdns");
    let Some(dns) = need(dns::powerdns(&lab, "c4nary-api-key", &["dns.test", "auth.test"])) else { return };
    let key = lab.path().join("api-key");
    std::fs::write(&key, "c4nary-api-key\n").unwrap();
    let at = dns.address();
    let looking = json!({ "provider": "pdns", "resolver": at.to_string(), "port": at.port() });
    let with = |more: Value| {
        let mut table = looking.clone();
        table.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        dns01(table)
    };
    let solver = with(json!({ "environment": { "PDNS_API_URL": dns.api(), "PDNS_API_KEY_FILE": key } }));
    let options = Options { resolver: Some(at), ..Options::default() };
    let Some(ca) = start(&lab, &options) else { return };
    let acme = issuer(table(&ca, json!({})), &Arc::default());
    order(&acme, &request(&lab, &["dns.test", "*.dns.test"]), &*solver).await.unwrap();
    assert_eq!(ca.issued(), 1);
    assert!(dns::texts(at, "_acme-challenge.dns.test").unwrap().is_empty());

    // Beside somebody else's value, with plain settings.
    let solver = with(json!({ "url": dns.api(), "api_key": { "file": key } }));
    let (one, two) = (challenge("dns.test", "one"), challenge("dns.test", "two"));
    let first = solver.present(&cx(), &one).await.unwrap();
    let second = solver.present(&cx(), &two).await.unwrap();
    assert_eq!(solver.present(&cx(), &two).await.unwrap(), second);
    let mut both = vec![value(&one), value(&two)];
    both.sort();
    assert_eq!(dns::texts(at, "_acme-challenge.dns.test").unwrap(), both);
    solver.clean_up(&cx(), &second).await.unwrap();
    solver.clean_up(&cx(), &second).await.unwrap();
    assert_eq!(dns::texts(at, "_acme-challenge.dns.test").unwrap(), [value(&one)]);
    solver.clean_up(&cx(), &first).await.unwrap();
    let checks = solver.rehearse(&cx(), &Identifier::parse("dns.test").unwrap()).await;
    assert!(checks.len() == 5 && checks.iter().all(|check| check.works), "{checks:?}");

    // A key that is not theirs, a zone that is not there, nobody at all: said, and the secret is not.
    std::fs::write(&key, "c4nary-wrong-key\n").unwrap();
    let fault = solver.present(&cx(), &one).await.unwrap_err();
    assert!(fault.context.contains("does not accept the credential"), "{fault:?}");
    std::fs::write(&key, "c4nary-api-key\n").unwrap();
    solver.present(&cx(), &one).await.expect("a key that was put right is read anew");
    let lost = with(json!({ "url": dns.api(), "api_key": { "file": key }, "zone": "test" }));
    let fault = lost.present(&cx(), &one).await.unwrap_err();
    assert!(fault.context.contains("test"), "{fault:?}");
    let nobody = with(json!({ "url": "http://127.0.0.1:1/?key=c4nary-api-key", "api_key": { "file": key } }));
    for fault in [fault, nobody.present(&cx(), &one).await.unwrap_err()] {
        assert!(!format!("{fault:?}").contains("c4nary"), "{fault:?}");
    }
}

#[tokio::test]
async fn what_amazon_would_be_sent() {
    let lab = Lab::new("dns01-route53");
    let Some(dns) = knot(&lab, &[Zone::new("dns.test", "")]) else { return };
    let secret = lab.path().join("secret");
    std::fs::write(&secret, "c4nary/secret+key").unwrap();
    // It answers as if the secret had come back: what is told must not repeat it.
    let receiver = Receiver::start(Answer::status(403, "", "<Error>denied for c4nary/secret+key</Error>"));
    let table = json!({
        "provider": "route53",
        "resolver": dns.address().to_string(),
        "port": dns.address().port(),
        "url": receiver.url(""),
        "environment": {
            "AWS_ACCESS_KEY_ID": "AKIALAB", "AWS_SECRET_ACCESS_KEY": { "file": secret },
            "AWS_REGION": "us-east-1", "AWS_HOSTED_ZONE_ID": "Z0LAB",
        },
    });
    let fault = dns01(table).present(&cx(), &challenge("a.dns.test", "t")).await.unwrap_err();
    assert!(!format!("{fault:?}").contains("c4nary"), "{fault:?}");
    let received = receiver.received();
    let first = received.first().expect("a request");
    assert!(first.path.contains("/hostedzone/Z0LAB/rrset"), "{first:?}");
    let signed = first.header("authorization").unwrap_or_default();
    assert!(signed.starts_with("AWS4-HMAC-SHA256 Credential=AKIALAB/"), "{signed}");
    assert!(!format!("{received:?}").contains("c4nary"), "the secret itself was sent");
}

/// What acme-dns does: two values a subdomain, the older one pushed out; the values are published at a real name server.
struct Like {
    address: std::net::SocketAddr,
    updates: Arc<Mutex<Vec<(String, String)>>>,
}

async fn like_acme_dns(dns: &Dns, user: &'static str, password: &'static str) -> Like {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let updates: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let (seen, at, key) = (Arc::clone(&updates), dns.address(), dns.key().clone());
    tokio::spawn(async move {
        let mut kept: HashMap<String, Vec<String>> = HashMap::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let request = loop {
                let mut piece = [0; 4096];
                let read = stream.read(&mut piece).await.unwrap_or(0);
                bytes.extend_from_slice(&piece[..read]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if read == 0 || text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.ends_with('}')) {
                    break text;
                }
            };
            let (head, body) = request.split_once("\r\n\r\n").unwrap_or_default();
            let has = |name: &str, value: &str| {
                head.lines().any(|line| line.eq_ignore_ascii_case(&format!("{name}: {value}")))
            };
            let json: Value = serde_json::from_str(body).unwrap_or_default();
            let (subdomain, txt) =
                (json["subdomain"].as_str().unwrap_or_default(), json["txt"].as_str().unwrap_or_default());
            let (status, said) = if !head.starts_with("POST /update ") {
                ("404 Not Found", json!({}))
            } else if !has("x-api-user", user) || !has("x-api-key", password) {
                ("401 Unauthorized", json!({ "error": "forbidden" }))
            } else if txt.len() != 43 {
                ("400 Bad Request", json!({ "error": "bad_txt" }))
            } else {
                let values = kept.entry(subdomain.to_owned()).or_default();
                values.push(txt.to_owned());
                let from = values.len().saturating_sub(2);
                values.drain(..from);
                let name = format!("{subdomain}.auth.test.");
                let adds: String =
                    values.iter().map(|v| format!("update add {name} 1 TXT \"{v}\"\n")).collect();
                let text =
                    format!("server {} {}\nupdate delete {name} TXT\n{adds}send\n", at.ip(), at.port());
                let mut nsupdate = Command::new("nsupdate");
                nsupdate.args(["-y", &format!("{}:{}:{}", key.algorithm, key.name, key.secret)]);
                let mut child = nsupdate.stdin(Stdio::piped()).spawn().unwrap();
                child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
                assert!(child.wait().unwrap().success(), "{text}");
                seen.lock().unwrap().push((subdomain.to_owned(), txt.to_owned()));
                ("200 OK", json!({ "txt": txt }))
            };
            let said = said.to_string();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{said}",
                said.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    Like { address, updates }
}

#[tokio::test]
async fn acme_dns_with_the_accounts_of_a_file() {
    let lab = Lab::new("dns01-acme-dns");
    let zones = [
        Zone::new(
            "dns.test",
            "_acme-challenge CNAME 8f1c.auth.test.\n_acme-challenge.other CNAME else.auth.test.\n",
        ),
        Zone::new("auth.test", ""),
    ];
    let key = dns::Tsig::new("hmac-sha256");
    let Some(dns) = need(dns::start(&lab, dns::Daemon::Bind, &zones, &key)) else { return };
    let both = [("dns.test", dns.address()), ("auth.test", dns.address())];
    let Some(resolver) = need(dns::resolver(&lab, &both)) else { return };
    let like = like_acme_dns(&dns, "c4nary-user", "c4nary-password").await;
    let account = |full: &str, password: &str| json!({ "fulldomain": full, "subdomain": "8f1c", "username": "c4nary-user", "password": password, "allowfrom": [] });
    let storage = lab.path().join("clientstorage.json");
    let all = json!({
        "dns.test": account("8f1c.auth.test", "c4nary-password"),
        "other.dns.test": account("8f1c.auth.test", "c4nary-password"),
    });
    std::fs::write(&storage, all.to_string()).unwrap();
    let of = |storage: &std::path::Path| {
        json!({
            "provider": "acme-dns", "url": format!("http://{}", like.address), "storage": storage,
            "resolver": resolver.address().to_string(), "port": dns.address().port(),
        })
    };
    let solver = dns01(of(&storage));
    let options = Options { resolver: Some(resolver.address()), ..Options::default() };
    let Some(ca) = start(&lab, &options) else { return };
    let acme = issuer(table(&ca, json!({})), &Arc::default());
    order(&acme, &request(&lab, &["dns.test", "*.dns.test"]), &*solver).await.unwrap();
    assert_eq!((ca.issued(), like.updates.lock().unwrap().len()), (1, 2));

    // Shown again after a crash, a value does not push out the other one.
    let (one, two) = (challenge("dns.test", "one"), challenge("dns.test", "two"));
    for challenge in [&one, &two, &two, &one] {
        solver.present(&cx(), challenge).await.unwrap();
    }
    assert_eq!(like.updates.lock().unwrap().len(), 4);
    for challenge in [&one, &two] {
        assert!(solver.is_visible(&cx(), challenge).await.unwrap());
    }
    let full = solver.present(&cx(), &challenge("dns.test", "three")).await.unwrap_err();
    assert!(full.context.contains("holds 2 values at one name"), "{full}");

    // Plain words for what people get wrong.
    let astray = solver.present(&cx(), &challenge("other.dns.test", "t")).await.unwrap_err();
    assert!(astray.context.contains("leads to else.auth.test"), "{astray}");
    assert!(astray.hint.as_deref().unwrap_or_default().contains("CNAME 8f1c.auth.test."), "{astray:?}");
    let stranger = solver.present(&cx(), &challenge("new.dns.test", "t")).await.unwrap_err();
    assert!(
        stranger.hint.as_deref().unwrap_or_default().contains("register -d new.dns.test"),
        "{stranger:?}"
    );
    let wrong = lab.path().join("wrong.json");
    std::fs::write(&wrong, json!({ "dns.test": account("8f1c.auth.test", "c4nary-wrong") }).to_string())
        .unwrap();
    let refused = dns01(of(&wrong)).present(&cx(), &one).await;
    // The value is there already, so nothing has to be sent; another one has.
    refused.unwrap();
    let refused = dns01(of(&wrong)).present(&cx(), &challenge("dns.test", "four")).await.unwrap_err();
    assert!(refused.context.contains("401"), "{refused}");
    for fault in [full, astray, stranger, refused] {
        assert!(!format!("{fault:?}").contains("c4nary"), "{fault:?}");
    }
}

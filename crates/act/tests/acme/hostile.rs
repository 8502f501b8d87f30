//! A CA that turned hostile, or broke: what it says is refused in words, and nothing is asked, written or waited for at its
//! bidding.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::issuance::{Challenge, ChallengeType, Cleanup, Identifier, Progress};
use notafter_core::joints::{BoxFuture, Cx, Issuer as _, Solver};
use notafter_core::review::review;
use notafter_lab::{Authority, Lab, Request as LabRequest};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Memory, issuer, order, request};

/// What is answered.
pub(crate) enum Reply {
    Json(u16, &'static str, Value),
    Text(u16, String, String),
    /// Says more than it sends.
    Truncated,
    Flood,
    Silence,
}

/// What a scene changes about a good CA: the path, and the CA's own address.
pub(crate) type Scene = Box<dyn Fn(&str, &str) -> Option<Reply> + Send + Sync>;

/// A CA of the test's own.
pub(crate) struct Ca {
    pub(crate) base: String,
    pub(crate) ca_file: PathBuf,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Ca {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a good CA answers: every name is valid already, and the order is ready.
pub(crate) fn good(path: &str, base: &str) -> Reply {
    let order = |status: &str| {
        json!({ "status": status, "authorizations": [format!("{base}/authz/1")], "finalize": format!("{base}/finalize/1"),
                "certificate": format!("{base}/cert/1") })
    };
    match path {
        "/dir" => Reply::Json(
            200,
            "",
            json!({
                "newNonce": format!("{base}/nonce"), "newAccount": format!("{base}/account"), "newOrder": format!("{base}/order"),
            }),
        ),
        "/nonce" => Reply::Json(200, "", json!({})),
        "/account" => Reply::Json(201, "Location: BASE/account/1\r\n", json!({ "status": "valid" })),
        "/order" => Reply::Json(201, "Location: BASE/order/1\r\n", order("pending")),
        "/order/1" => Reply::Json(200, "", order("ready")),
        "/finalize/1" => Reply::Json(200, "", order("valid")),
        "/authz/1" => Reply::Json(
            200,
            "",
            json!({
                "status": "valid", "identifier": { "type": "dns", "value": "a.test" }, "challenges": []
            }),
        ),
        "/cert/1" => Reply::Text(200, String::new(), "no certificate".into()),
        _ => Reply::Json(
            404,
            "",
            json!({ "type": "urn:ietf:params:acme:error:malformed", "detail": "nothing here" }),
        ),
    }
}

pub(crate) async fn ca(lab: &Lab, scene: Scene) -> Ca {
    let leaf = Authority::new(lab).issue(&LabRequest::server());
    let chain = CertificateDer::pem_file_iter(&leaf.fullchain_pem).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&leaf.key_pem).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let (home, list, scene) = (base.clone(), Arc::clone(&asked), Arc::new(scene));
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, home, list, scene) =
                (acceptor.clone(), home.clone(), Arc::clone(&list), Arc::clone(&scene));
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await.ok()?;
                let mut request = Vec::new();
                let mut piece = [0; 8192];
                let head = loop {
                    let read = stream.read(&mut piece).await.ok().filter(|n| *n > 0)?;
                    request.extend_from_slice(&piece[..read]);
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head
                        .to_lowercase()
                        .lines()
                        .find_map(|l| l.strip_prefix("content-length: ")?.parse().ok());
                    if body.len() >= length.unwrap_or(0) {
                        break head.to_owned();
                    }
                };
                let path = head.split(' ').nth(1)?.to_owned();
                list.lock().unwrap().push(path.clone());
                answer(
                    &mut stream,
                    scene(&path, &home).unwrap_or_else(|| good(&path, &home)),
                    &home,
                    head.starts_with("HEAD"),
                )
                .await
            });
        }
    });
    Ca { base, ca_file: leaf.root_pem.clone(), asked, task }
}

async fn answer<S: AsyncWriteExt + Unpin>(
    stream: &mut S,
    reply: Reply,
    base: &str,
    head_only: bool,
) -> Option<()> {
    static NONCE: AtomicUsize = AtomicUsize::new(0);
    let nonce = NONCE.fetch_add(1, Ordering::Relaxed);
    let (status, headers, body) = match reply {
        Reply::Json(status, headers, body) => {
            let kind = if status < 400 { "application/json" } else { "application/problem+json" };
            (status, format!("Content-Type: {kind}\r\n{}", headers.replace("BASE", base)), body.to_string())
        }
        Reply::Text(status, headers, body) => (status, headers.replace("BASE", base), body),
        Reply::Truncated => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"status\":").await.ok()?;
            return stream.shutdown().await.ok();
        }
        Reply::Flood => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
            loop {
                stream.write_all(&[b' '; 65_536]).await.ok()?;
            }
        }
        Reply::Silence => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            return None;
        }
    };
    let length = body.len();
    let body = if head_only { String::new() } else { body };
    let text = format!(
        "HTTP/1.1 {status} Lab\r\nReplay-Nonce: nonce{nonce}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

/// Counts what it is asked to show.
#[derive(Default)]
pub(crate) struct Counting(AtomicUsize);

impl Solver for Counting {
    fn kind(&self) -> ChallengeType {
        ChallengeType::Http01
    }

    fn present<'a>(&'a self, _: &'a Cx, _: &'a Challenge) -> BoxFuture<'a, Result<Cleanup, Fault>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(Cleanup(Value::Null)) })
    }

    fn is_visible<'a>(&'a self, _: &'a Cx, _: &'a Challenge) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async { Ok(true) })
    }

    fn clean_up<'a>(&'a self, _: &'a Cx, _: &'a Cleanup) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    fn rehearse<'a>(
        &'a self,
        _: &'a Cx,
        _: &'a Identifier,
    ) -> BoxFuture<'a, Vec<notafter_core::deployment::Check>> {
        Box::pin(async { Vec::new() })
    }
}

/// The table of an issuer at this CA.
fn of(ca: &Ca) -> Value {
    json!({ "directory": format!("{}/dir", ca.base), "ca_file": ca.ca_file, "timeout": "2s" })
}

/// Orders from such a CA, which must fail, and gives the fault and every path that was asked for.
async fn fails(name: &str, scene: Scene) -> (Fault, Vec<String>) {
    let lab = Lab::new("acme-hostile");
    let ca = ca(&lab, scene).await;
    let (acme, solver) = (issuer(of(&ca), &Arc::new(Memory::default())), Counting::default());
    let began = Instant::now();
    let result = order(&acme, &request(&lab, &["a.test"]), &solver).await;
    let fault = result.err().unwrap_or_else(|| panic!("{name}: it was issued"));
    assert!(began.elapsed() < Duration::from_secs(20), "{name}: {:?}", began.elapsed());
    assert_eq!(solver.0.load(Ordering::Relaxed), 0, "{name}: something was shown");
    assert!(fault.context.len() < 1_200, "{name}: {fault:?}");
    let asked = ca.asked.lock().unwrap().clone();
    (fault, asked)
}

async fn check(name: &str, sign: &str, kind: FaultKind, scene: Scene) -> (Fault, Vec<String>) {
    let (fault, asked) = fails(name, scene).await;
    assert!(fault.context.contains(sign) && fault.kind == kind, "{name}: {fault:?}");
    (fault, asked)
}

pub(crate) fn at(path: &'static str, reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Scene {
    Box::new(move |asked, base| (asked == path).then(|| reply(base)))
}

fn order_with(base: &str, member: &str, value: Value) -> Reply {
    let Reply::Json(status, headers, mut body) = good("/order", base) else { panic!("no order") };
    body[member] = value;
    Reply::Json(status, headers, body)
}

fn authorization(more: Value) -> Reply {
    let mut body =
        json!({ "status": "pending", "identifier": { "type": "dns", "value": "a.test" }, "challenges": [] });
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    Reply::Json(200, "", body)
}

#[tokio::test]
async fn addresses_that_lead_inward() {
    let canary = TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let port = canary.local_addr().unwrap().port();
    for inward in [
        format!("https://127.0.0.1:{port}/latest/meta-data"),
        format!("http://localhost:{port}/"),
        format!("https://localhost:{port}/"),
        "https://169.254.169.254/latest".to_owned(),
        "https://elsewhere.example/x".to_owned(),
        "file:///etc/passwd".to_owned(),
        "gopher://x".to_owned(),
        String::new(),
    ] {
        let to = |member: &'static str, value: Value| {
            at("/order", move |base| order_with(base, member, value.clone()))
        };
        for scene in [to("authorizations", json!([inward])), to("finalize", json!(inward))] {
            let (fault, _) = check(&inward, "the CA sends us", FaultKind::Refused, scene).await;
            assert_eq!(fault.retry, Retry::Never, "{inward}");
        }
        let url = inward.clone();
        let scene = at("/authz/1", move |_| {
            authorization(
                json!({ "challenges": [{ "type": "http-01", "status": "pending", "url": url, "token": "a".repeat(43) }] }),
            )
        });
        check(&inward, "the CA sends us", FaultKind::Refused, scene).await;
    }
    assert!(canary.accept().is_err(), "somebody connected to where the CA pointed");
}

#[tokio::test]
async fn tokens_names_and_certificates_that_are_none() {
    for token in ["../../../../etc/cron.d/notafter", "a/b", "", "$(reboot)-and-more-than-22", "short"] {
        let scene = at("/authz/1", move |base| {
            let url = format!("{base}/challenge/1");
            authorization(
                json!({ "challenges": [{ "type": "http-01", "status": "pending", "url": url, "token": token }] }),
            )
        });
        check(token, "a token for a.test that is none", FaultKind::Refused, scene).await;
    }
    let victim = at("/authz/1", |_| {
        authorization(json!({ "identifier": { "type": "dns", "value": "victim.example" } }))
    });
    check(
        "another name",
        "control of victim.example proved, which was not ordered",
        FaultKind::Refused,
        victim,
    )
    .await;
    let many = at("/order", |base| {
        order_with(base, "authorizations", json!(vec![format!("{base}/authz/1"); 5_000]))
    });
    check("many", "wants 5000 authorizations for 1 names", FaultKind::Refused, many).await;

    let lab = Lab::new("acme-wrong-certificate");
    let wrong =
        std::fs::read_to_string(&Authority::new(&lab).issue(&LabRequest::new(&["a.test"])).fullchain_pem)
            .unwrap();
    let (twice, often) = (wrong.repeat(2), wrong.repeat(9));
    for (chain, sign) in [
        (wrong, "for another key"),
        (twice, "did not sign the one before it"),
        (often, "more than 16 certificates"),
    ] {
        let scene = at("/cert/1", move |_| Reply::Text(200, String::new(), chain.clone()));
        let ca = ca(&lab, scene).await;
        let acme = issuer(of(&ca), &Arc::new(Memory::default()));
        let wanted = request(&lab, &["a.test"]);
        // It is handed over: whoever reviews it counts how often that happens.
        let issued = order(&acme, &wanted, &Counting::default()).await.unwrap();
        let review = review(&wanted, &issued, None, crate::cx().clock.now());
        assert!(review.wrong.iter().any(|why| why.contains(sign)), "{review:?}");
        let asked = ca.asked.lock().unwrap().clone();
        assert_eq!(asked.iter().filter(|path| *path == "/finalize/1").count(), 1, "{asked:?}");
    }
    for (what, sign) in [
        ("", "it is empty"),
        ("<html>", "it is empty"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read"),
    ] {
        let scene = at("/cert/1", move |_| Reply::Text(200, String::new(), what.to_owned()));
        check(what, sign, FaultKind::Unreachable, scene).await;
    }
}

#[tokio::test]
async fn answers_that_are_none() {
    for path in ["/dir", "/account", "/order", "/authz/1", "/order/1", "/finalize/1"] {
        let html = at(path, |_| {
            Reply::Text(200, "Content-Type: text/html\r\n".into(), "<html><title>Log in</title>".into())
        });
        if path != "/account" {
            check(path, "and sent this: <html>", FaultKind::Unreachable, html).await;
        }
        check(path, "could not be asked", FaultKind::Unreachable, at(path, |_| Reply::Truncated)).await;
        check(path, "more than 512 kB", FaultKind::Unreachable, at(path, |_| Reply::Flood)).await;
        let broken = at(path, |_| Reply::Text(500, String::new(), "<html>oops".into()));
        let (fault, _) = check(path, "answered 500", FaultKind::Unreachable, broken).await;
        assert_eq!(fault.retry, Retry::Backoff);
        let busy = at(path, |_| {
            Reply::Json(
                429,
                "Retry-After: 120\r\n",
                json!({ "type": "urn:ietf:params:acme:error:rateLimited", "detail": "slow down" }),
            )
        });
        let (fault, _) = check(path, "slow down (rateLimited)", FaultKind::Unreachable, busy).await;
        assert!(
            matches!(fault.retry, Retry::At(at) if (100..=121).contains(&(at.0 - crate::cx().clock.now().0))),
            "{fault:?}"
        );
    }
    check(
        "slow",
        "did not finish its answer within 2 s",
        FaultKind::Unreachable,
        at("/order", |_| Reply::Silence),
    )
    .await;
    let moved = at("/order", |_| Reply::Text(302, "Location: BASE/elsewhere\r\n".into(), String::new()));
    let (_, asked) = check("redirect", "a redirect", FaultKind::Refused, moved).await;
    assert!(!asked.contains(&"/elsewhere".to_owned()));
}

#[tokio::test]
async fn nonces_are_refused_for_ever() {
    let scene = at("/order", |_| {
        Reply::Json(400, "", json!({ "type": "urn:ietf:params:acme:error:badNonce", "detail": "no" }))
    });
    let (fault, asked) = check("nonces", "no (badNonce)", FaultKind::Unreachable, scene).await;
    assert_eq!(fault.retry, Retry::Backoff);
    let tries = asked.iter().filter(|path| *path == "/order").count();
    assert!((50..=200).contains(&tries), "{tries}");
}

#[tokio::test]
async fn an_https_certificate_of_somebody_else() {
    let lab = Lab::new("acme-untrusted");
    let ca = ca(&lab, Box::new(|_, _| None)).await;
    let acme = issuer(json!({ "directory": format!("{}/dir", ca.base) }), &Arc::new(Memory::default()));
    let fault = order(&acme, &request(&lab, &["a.test"]), &Counting::default()).await.unwrap_err();
    assert!(fault.hint.as_deref().unwrap_or_default().contains("`ca_file`"), "{fault:?}");
    assert!(ca.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_ca_that_says_next_week_is_asked_again_within_the_hour() {
    let lab = Lab::new("acme-next-week");
    let scene = at("/finalize/1", |base| {
        let Reply::Json(status, _, mut body) = good("/finalize/1", base) else { panic!("no order") };
        body["status"] = json!("processing");
        Reply::Json(status, "Retry-After: 604800\r\n", body)
    });
    let ca = ca(&lab, scene).await;
    let acme = issuer(of(&ca), &Arc::new(Memory::default()));
    let (wanted, solver) = (request(&lab, &["a.test"]), Counting::default());
    let mut ticket = acme.begin(&crate::cx(), &wanted).await.unwrap();
    let until = loop {
        match acme.advance(&crate::cx(), &wanted, &ticket, &solver).await.unwrap() {
            Progress::Stepped(next) => ticket = next,
            Progress::Waits { until, .. } => break until,
            Progress::Issued(issued) => panic!("{issued:?}"),
        }
    };
    let wait = until.0 - crate::cx().clock.now().0;
    assert!((3_500..=3_600).contains(&wait), "{wait}");
}

/// A clock that a test moves.
struct Moved(std::sync::atomic::AtomicI64);

impl notafter_core::clock::Clock for Moved {
    fn now(&self) -> notafter_core::UnixTime {
        notafter_core::UnixTime(self.0.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// How long it makes a certificate is bound by time, however often it wants to be asked.
#[tokio::test]
async fn a_ca_that_stays_processing_is_given_up_after_a_day_or_when_the_order_expires() {
    let lab = Lab::new("acme-processing");
    let begun = crate::cx().clock.now();
    for (retry, expires, within) in [
        ("Retry-After: 120\r\n", None, 86_400),
        ("Retry-After: 999999\r\n", None, 86_400),
        ("Retry-After: 600\r\n", Some(begun.plus(7_200).to_string()), 7_200),
        ("Retry-After: 3600\r\n", Some(begun.plus(-7_200).to_string()), 86_400),
    ] {
        let processing = move |base: &str| {
            let Reply::Json(status, _, mut body) = good("/finalize/1", base) else { panic!("no order") };
            (body["status"], body["expires"]) = (json!("processing"), json!(expires));
            Reply::Json(status, retry, body)
        };
        let ca = ca(
            &lab,
            Box::new(move |path, base| matches!(path, "/finalize/1" | "/order/1").then(|| processing(base))),
        )
        .await;
        let clock = Arc::new(Moved(begun.0.into()));
        let cx = Cx::new(Arc::<Moved>::clone(&clock), "test".into());
        let acme = issuer(of(&ca), &Arc::new(Memory::default()));
        let (wanted, solver) = (request(&lab, &["a.test"]), Counting::default());
        let mut ticket = acme.begin(&cx, &wanted).await.unwrap();
        let fault = loop {
            match acme.advance(&cx, &wanted, &ticket, &solver).await {
                Ok(Progress::Stepped(next)) => ticket = next,
                Ok(Progress::Waits { ticket: next, until, .. }) => {
                    ticket = next;
                    clock.0.store(until.0, Ordering::Relaxed);
                }
                Ok(Progress::Issued(issued)) => panic!("{issued:?}"),
                Err(fault) => break fault,
            }
        };
        let took = clock.0.load(Ordering::Relaxed) - begun.0;
        assert!(fault.to_string().contains("does not come to an end with the order"), "{fault}");
        assert!((within..within + 5).contains(&took), "{retry}: {took} s");
    }
}

/// Neither a firewall in front of the CA nor a part of it that is behind has another certificate ordered.
#[tokio::test]
async fn what_was_issued_is_fetched_again_and_not_ordered_again() {
    let lab = Lab::new("acme-fetched");
    let begun = crate::cx().clock.now();
    let looks = AtomicUsize::new(0);
    let scene = at("/cert/1", move |_| match looks.fetch_add(1, Ordering::Relaxed) {
        0..3 => Reply::Text(403, "Content-Type: text/html\r\n".into(), "<html>blocked</html>".into()),
        _ => Reply::Json(
            404,
            "",
            json!({ "type": "urn:ietf:params:acme:error:malformed", "detail": "not found" }),
        ),
    });
    let ca = ca(&lab, scene).await;
    let clock = Arc::new(Moved(begun.0.into()));
    let cx = Cx::new(Arc::<Moved>::clone(&clock), "test".into());
    let acme = issuer(of(&ca), &Arc::new(Memory::default()));
    let (wanted, solver) = (request(&lab, &["a.test"]), Counting::default());
    let mut ticket = acme.begin(&cx, &wanted).await.unwrap();
    let mut blocked = 0;
    let fault = loop {
        match acme.advance(&cx, &wanted, &ticket, &solver).await {
            Ok(Progress::Stepped(next)) => ticket = next,
            Ok(Progress::Waits { ticket: next, until, what }) => {
                assert!(what.contains("it was issued, and") && what.contains("not found"), "{what}");
                ticket = next;
                clock.0.store(until.0, Ordering::Relaxed);
            }
            Ok(Progress::Issued(issued)) => panic!("{issued:?}"),
            Err(fault) if fault.retry == Retry::Backoff => {
                assert!(fault.context.contains("blocked"), "{fault}");
                blocked += 1;
                clock.0.fetch_add(60, Ordering::Relaxed);
            }
            Err(fault) => break fault,
        }
    };
    let took = clock.0.load(Ordering::Relaxed) - begun.0;
    assert!((6 * 3_600..6 * 3_600 + 120).contains(&took), "{took} s");
    assert_eq!((blocked, fault.retry), (3, Retry::Never), "{fault}");
    let orders = ca.asked.lock().unwrap().iter().filter(|path| *path == "/order").count();
    assert_eq!(orders, 1);
}

/// Our contact is not that of whoever made the account (RFC 8555 section 7.3.2).
#[tokio::test]
async fn an_account_that_is_found_is_told_the_contact() {
    let lab = Lab::new("acme-found");
    for (contact, told) in [(Some("certs@example.com"), 1), (None, 0)] {
        let ca = ca(&lab, at("/account/1", |_| Reply::Json(200, "", json!({ "status": "valid" })))).await;
        let mut table = of(&ca);
        if let Some(contact) = contact {
            table["contact"] = json!(contact);
        }
        let acme = issuer(table, &Arc::new(Memory::default()));
        let wanted = request(&lab, &["a.test"]);
        for _ in 0..2 {
            let ticket = acme.begin(&crate::cx(), &wanted).await.unwrap();
            acme.advance(&crate::cx(), &wanted, &ticket, &Counting::default()).await.unwrap();
        }
        let asked = ca.asked.lock().unwrap().clone();
        assert_eq!(
            asked.iter().filter(|path| *path == "/account").count(),
            1,
            "found, and not made: {asked:?}"
        );
        assert_eq!(asked.iter().filter(|path| *path == "/account/1").count(), told, "{contact:?}: {asked:?}");
    }
}

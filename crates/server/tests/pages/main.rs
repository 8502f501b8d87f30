//! The pages over a house that the real engine has seen: every page is fetched through the real router.
//!
//! What a browser does with them (script, layout, clicking) is tested with a browser, elsewhere.

#![allow(clippy::unwrap_used)]

mod house;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response, StatusCode, header};
use house::{BIDI, HOSTILE, House, NOW, TOKEN};
use notafter_engine::notify::new_secret;
use tokio::runtime::Runtime;
use tower::ServiceExt;

struct Page {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    text: String,
}

struct Browser<'a> {
    runtime: &'a Runtime,
    router: axum::Router,
    cookie: Option<String>,
}

impl<'a> Browser<'a> {
    fn new(runtime: &'a Runtime, house: &House) -> Self {
        Self { runtime, router: house.app.router(), cookie: None }
    }

    fn send(&self, request: axum::http::request::Builder, body: &str) -> Page {
        let mut request = request.header(header::HOST, "localhost:4747").header(header::ACCEPT, "text/html");
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, format!("notafter={cookie}"));
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        self.runtime.block_on(async {
            let response: Response<Body> = self.router.clone().oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let bytes = to_bytes(body, usize::MAX).await.unwrap();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            Page { status: parts.status, headers: parts.headers, text }
        })
    }

    fn get(&self, path: &str) -> Page {
        self.send(Request::builder().method(Method::GET).uri(path), "")
    }

    fn post(&self, path: &str, form: &str) -> Page {
        let kind = "application/x-www-form-urlencoded";
        self.send(Request::builder().method(Method::POST).uri(path).header(header::CONTENT_TYPE, kind), form)
    }

    fn sign_in(&mut self, house: &House) {
        let link = house.app.access().new_link().unwrap();
        let done = self.post(&link, "");
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
        let cookie = done.headers[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("HttpOnly; SameSite=Strict; Secure"), "{cookie}");
        self.cookie = cookie.split(['=', ';']).nth(1).map(str::to_owned);
    }

    fn csrf(&self, path: &str) -> String {
        let page = self.get(path);
        let at = page.text.find("name=\"csrf\" value=\"").unwrap_or_else(|| panic!("{path}: {}", page.text));
        page.text[at + 19..].split('"').next().unwrap().to_owned()
    }
}

/// The opening tags of a page, as a parser would read them: nothing in them may run or style.
fn check_html(path: &str, page: &Page) {
    let text = &page.text;
    assert_eq!(page.headers[header::CONTENT_TYPE], "text/html; charset=utf-8", "{path}");
    assert!(
        page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'")
    );
    assert_eq!(page.headers[header::REFERRER_POLICY], "no-referrer");
    assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(text.matches("<h1").count(), 1, "{path}: one h1");
    assert!(!text.contains("<img"), "{path}: a hostile name is a tag");
    assert!(!text.contains('\u{202e}'), "{path}: a bidi override reached the page");
    assert!(
        !text.contains("<style") && text.matches("<script").count() == text.matches("<script src=").count()
    );
    for tag in text.split('<').skip(1).filter_map(|t| t.split('>').next()) {
        let mut quoted = false;
        let bare: String = tag
            .chars()
            .filter(|c| {
                if *c == '"' {
                    quoted = !quoted;
                }
                !quoted || *c == '"'
            })
            .collect();
        let attributes = bare.split_whitespace().skip(1);
        for attribute in attributes {
            let name = attribute.split('=').next().unwrap_or_default();
            assert!(name != "style" && !name.starts_with("on"), "{path}: <{tag}>");
        }
    }
    // Every link of ours leads somewhere that exists in form.
    assert!(!text.contains("href=\"\""), "{path}: an empty link");
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn every_page_shows_the_house() {
    let runtime = runtime();
    let house = House::lived_in(runtime.handle(), true);
    let mut browser = Browser::new(&runtime, &house);
    let assets = house.handle.store.assets(&Default::default(), Default::default(), None, 100, NOW).unwrap();
    let mut paths: Vec<String> = [
        "/",
        "/inventory",
        "/inventory?q=expires%3C30d%20owner:none",
        "/inventory?q=expire%3C30d",
        "/inventory?sort=title",
        "/findings",
        "/findings?severity=critical&owner=none",
        "/findings?kind=expires-soon&since=1d",
        "/forecast",
        "/forecast?days=30",
        "/forecast?days=400",
        "/sources",
        "/renewals",
        "/alerts",
        "/alerts?state=open",
        "/alerts?state=resolved",
        "/status",
        "/place?at=tls://10.0.3.13:443%3Fsni%3Dshop.example.com",
        "/place?at=tls://10.8.0.40:443%3Fsni%3Dvpn.dc2.example.com",
        "/place?at=file:///srv/vault",
    ]
    .map(str::to_owned)
    .to_vec();
    paths.extend(assets.rows.iter().map(|row| format!("/asset/{}", row.id)));
    assert!(assets.rows.len() > 8);
    let alerts = house.handle.store.open_alerts().unwrap();
    assert!(!alerts.is_empty());
    paths.extend(alerts.iter().map(|a| format!("/alerts/{}", a.id())));
    for signed_in in [false, true] {
        if signed_in {
            browser.sign_in(&house);
        }
        for path in &paths {
            let page = browser.get(path);
            assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
            check_html(path, &page);
        }
    }
    for export in ["csv", "xlsx", "json", "ics"] {
        let path = format!("/export.{export}?q=expires%3C30d");
        assert!(browser.get("/inventory?q=expires%3C30d").text.contains(&path), "{path}");
        assert_eq!(browser.get(&path).status, StatusCode::OK, "{path}");
    }
    let page = |path: &str| browser.get(path).text;
    // This house has no channel at all, and says so.
    let alerts = page("/alerts");
    assert!(alerts.contains("no channel reaches its owner"), "{alerts}");
    let today = page("/");
    for word in [
        "broken now",
        "will break before",
        "no owner",
        "old.example.com",
        "&#60;img src=x onerror=alert(1)&#62;",
    ] {
        assert!(today.contains(word), "{word}: {today}");
    }
    assert!(today.contains("10 keystores open with no known password"), "what cannot be seen");
    assert!(!today.contains("renews itself about"), "nothing is claimed of renewers");
    let asset = assets.rows.iter().find(|r| r.title.contains("onerror")).unwrap();
    assert!(page(&format!("/asset/{}", asset.id)).contains("&#60;img src=x onerror=alert(1)&#62;"));
    // What endpoints send is drawn, whatever a file beside them holds; and a place says only what was there before.
    let shop = house.handle.store.assets(
        &notafter_core::query::Query::parse("name:shop.example.com").unwrap(),
        notafter_store::queries::Sort::Newest,
        None,
        5,
        NOW,
    );
    for row in shop.unwrap().rows {
        let asset = page(&format!("/asset/{}", row.id));
        let chain =
            asset.split("id=\"h-chain\"").nth(1).unwrap().split("</section>").next().unwrap().to_owned();
        assert!(chain.contains("by tls://10.0.3.1"), "{chain}");
    }
    let vpn = page("/place?at=tls://10.8.0.40:443%3Fsni%3Dvpn.dc2.example.com");
    assert!(vpn.contains("Nothing else: the same since it was first seen"), "{vpn}");
    let findings = page("/findings");
    assert!(findings.contains("expires-soon") && findings.contains("expired-in-use"));
    assert!(page("/sources").contains("stale: the last look failed; last seen to the end"));
    assert!(page("/inventory?q=name:shop.example.com").contains("shop.example.com"));
    assert!(
        page("/inventory?q=expire%3C30d").contains("did you mean `expires`")
            || page("/inventory?q=expire%3C30d").contains("Did you mean")
    );
    let status = page("/status");
    assert!(status.contains("VPN, data centre 2") && status.contains("not known"), "{status}");
    assert_eq!(status.matches("<script").count(), 1, "only the one that greys what is old");
    assert!(status.contains("/status.js\"") && !status.contains("href=\"/inventory"));
    assert!(BIDI.contains('\u{202e}') && HOSTILE.contains('<'));
}

#[test]
fn problems_are_pages_too() {
    let runtime = runtime();
    let house = house::empty(runtime.handle(), true, NOW);
    let browser = Browser::new(&runtime, &house);
    for (path, status) in [
        ("/nothing", 404),
        ("/asset/sha256:zz", 404),
        ("/asset/%3Cimg%20src=x%3E", 404),
        ("/place?at=%3Cimg%20src=x%3E", 404),
        ("/alerts/a999", 404),
        ("/assets/x/y", 404),
    ] {
        let page = browser.get(path);
        assert_eq!(page.status.as_u16(), status, "{path}");
        check_html(path, &page);
    }
    let page = browser.send(Request::builder().method(Method::POST).uri("/"), "");
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    let token = format!("Bearer {TOKEN}");
    let request = || Request::builder().uri("/").header(header::AUTHORIZATION, &token);
    assert_eq!(browser.send(request().method(Method::POST), "").status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(browser.send(request().method(Method::GET), "").status, StatusCode::OK);
    let wrong = Request::builder().uri("/").header(header::AUTHORIZATION, "Bearer x");
    assert_eq!(browser.send(wrong, "").status, StatusCode::UNAUTHORIZED);
    let big = "a=".to_owned() + &"x".repeat(70_000);
    let signed = Request::builder().method(Method::POST).uri("/views").header(header::AUTHORIZATION, &token);
    let signed = signed.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    assert!(browser.send(signed, &big).status.is_client_error());
}

#[test]
fn the_first_look_says_that_it_is_one() {
    let runtime = runtime();
    let house = house::empty(runtime.handle(), true, NOW);
    let browser = Browser::new(&runtime, &house);
    let page = browser.get("/");
    check_html("/", &page);
    assert!(
        page.text.contains("Looking for the first time")
            && page.text.contains("http-equiv=\"refresh\" content=\"2\"")
    );
    for path in ["/inventory", "/findings", "/forecast", "/renewals", "/sources", "/alerts", "/status"] {
        let page = browser.get(path);
        assert_eq!(page.status, StatusCode::OK);
        check_html(path, &page);
        assert!(!page.text.contains("class=\"mark proven\""), "{path}: nothing was proved yet");
    }
    assert_eq!(browser.get("/healthz").status, StatusCode::OK);
    assert_eq!(browser.get("/readyz").status, StatusCode::SERVICE_UNAVAILABLE, "nothing was judged yet");
}

#[test]
fn closed_reads_need_a_session() {
    let runtime = runtime();
    let house = House::lived_in(runtime.handle(), false);
    let mut browser = Browser::new(&runtime, &house);
    for path in ["/", "/inventory", "/findings", "/alerts/a1", "/nothing"] {
        let page = browser.get(path);
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(!page.text.contains("shop.example.com"));
    }
    let status = browser.get("/status");
    assert_eq!(status.status, StatusCode::OK);
    assert!(status.text.contains("Shop") && !status.text.contains("VPN"), "strangers see what is public");
    browser.sign_in(&house);
    assert_eq!(browser.get("/").status, StatusCode::OK);
    assert!(browser.get("/status").text.contains("VPN"));
}

#[test]
fn a_sign_in_link_works_once_and_not_for_long() {
    let runtime = runtime();
    let house = house::empty(runtime.handle(), true, NOW);
    let browser = Browser::new(&runtime, &house);
    let link = house.app.access().new_link().unwrap();
    for _ in 0..2 {
        let page = browser.get(&link);
        assert!(
            page.text.contains("<button class=\"btn main\">Sign in</button>"),
            "looking does not use it up"
        );
        assert!(!page.headers.contains_key(header::SET_COOKIE));
    }
    assert_eq!(browser.post(&link, "").status, StatusCode::SEE_OTHER);
    let again = browser.post(&link, "");
    assert!(again.text.contains("already used") && !again.headers.contains_key(header::SET_COOKIE));
    let late = house.app.access().new_link().unwrap();
    house.clock.advance(std::time::Duration::from_secs(601));
    assert!(!browser.post(&late, "").headers.contains_key(header::SET_COOKIE));
    assert!(browser.get("/sign-in/x").text.contains("does not work"));
}

#[test]
fn deeds_need_the_form_of_the_session() {
    let runtime = runtime();
    let mut house = House::lived_in(runtime.handle(), true);
    let mut browser = Browser::new(&runtime, &house);
    let alert = house.handle.store.open_alerts().unwrap()[0].id();
    let acknowledge = format!("/alerts/{alert}/acknowledge");
    assert_eq!(browser.post(&acknowledge, "note=x").status, StatusCode::UNAUTHORIZED);
    browser.sign_in(&house);
    assert_eq!(browser.post(&acknowledge, "note=x").status, StatusCode::FORBIDDEN);
    assert_eq!(browser.post(&acknowledge, "csrf=ab&note=x").status, StatusCode::FORBIDDEN);
    let csrf = browser.csrf("/alerts");
    let done = browser.post(&acknowledge, &format!("note=new+one+is+ordered&csrf={csrf}"));
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    let page = browser.get(&format!("/alerts/{alert}"));
    assert!(
        page.text.contains("Acknowledged by signed-in browser") && page.text.contains("new one is ordered")
    );
    // Another alert is snoozed, for longer than it may be: it is cut.
    let open = house.handle.store.alerts(Some(notafter_core::alert::State::Open), None, 10).unwrap();
    let other = open.first().map(|a| a.id()).unwrap();
    let done = browser.post(&format!("/alerts/{other}/snooze"), &format!("csrf={csrf}&until=2030-01-01"));
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    let hold = notafter_engine::hands::find(&house.handle.store, &other).unwrap().hold.unwrap();
    assert!(hold.snooze && hold.until < NOW.plus(60 * 86_400));
    let late = browser.post(&format!("/alerts/{other}/snooze"), &format!("csrf={csrf}&until=2020-01-01"));
    assert_eq!(late.status, StatusCode::CONFLICT);
    // A view is kept and shown.
    let kept = browser.post("/views", &format!("csrf={csrf}&name=Monday+%3Cimg%3E&q=expires%3C60d"));
    assert_eq!(kept.status, StatusCode::SEE_OTHER);
    let inventory = browser.get("/inventory");
    check_html("/inventory", &inventory);
    assert!(inventory.text.contains("Monday &#60;img&#62;"));
    let wrong = browser.post("/views", &format!("csrf={csrf}&name=x&q=expire%3C60d"));
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    // It gets another name, and is gone again: each is written down.
    let manage = format!("csrf={csrf}&name=Monday+%3Cimg%3E&q=expires%3C60d");
    assert_eq!(browser.post("/views/rename", &format!("{manage}&to=Tuesday")).status, StatusCode::SEE_OTHER);
    assert!(browser.get("/inventory").text.contains(">Tuesday</a>"));
    assert_eq!(browser.post("/views/delete", &manage).status, StatusCode::NOT_FOUND);
    let gone = browser.post("/views/delete", &format!("csrf={csrf}&name=Tuesday&q="));
    assert_eq!(gone.status, StatusCode::SEE_OTHER);
    assert!(!browser.get("/inventory").text.contains("Tuesday"));
    let audit = house.handle.store.audit_lines(None, None, 3).unwrap();
    let audit: Vec<_> = audit.iter().map(|(_, line)| line.what.as_str()).collect();
    assert_eq!(audit, ["view-deleted", "view-renamed", "view-saved"]);
    // A place is retired, and shown so.
    let place = "tls%3A%2F%2F10.8.0.40%3A443%3Fsni%3Dvpn.dc2.example.com";
    let retired =
        browser.post("/places/retire", &format!("csrf={csrf}&location={place}&reason=switched+off"));
    assert_eq!(retired.status, StatusCode::SEE_OTHER, "{}", retired.text);
    let page = browser.get(&format!("/place?at={place}"));
    assert!(page.text.contains("It is retired") && page.text.contains("switched off"), "{}", page.text);
    house.rest();
}

#[test]
fn an_acknowledgement_link_shows_and_acts_once() {
    let runtime = runtime();
    let house = House::lived_in(runtime.handle(), false);
    let browser = Browser::new(&runtime, &house);
    let alert = house.handle.store.open_alerts().unwrap()[0].clone();
    let (secret, hash) = new_secret();
    house.handle.store.put_link(&hash, alert.number, NOW.plus(5 * 86_400)).unwrap();
    let path = format!("/ack/{secret}");
    for _ in 0..2 {
        let page = browser.get(&path);
        check_html("/ack", &page);
        assert!(page.text.contains("You are about to say") && page.text.contains("Acknowledge</button>"));
    }
    let done = browser.post(&path, "note=mine");
    assert!(done.text.contains("You have it."), "{}", done.text);
    assert!(browser.post(&path, "").text.contains("was used already"));
    assert!(browser.get(&path).text.contains("was used already"));
    let held = notafter_engine::hands::find(&house.handle.store, &alert.id()).unwrap();
    assert_eq!(held.hold.unwrap().note, "mine");
    assert!(browser.get(&format!("/ack/{}", "0".repeat(64))).text.contains("not known here"));
}

#[test]
fn of_many_who_use_one_link_at_once_one_acts() {
    let runtime = runtime();
    let house = House::lived_in(runtime.handle(), false);
    let alert = house.handle.store.open_alerts().unwrap()[0].clone();
    for _ in 0..3 {
        let (secret, hash) = new_secret();
        house.handle.store.put_link(&hash, alert.number, NOW.plus(5 * 86_400)).unwrap();
        let path = format!("/ack/{secret}");
        let start = std::sync::Barrier::new(8);
        let acted: usize = std::thread::scope(|scope| {
            let (start, path) = (&start, &path);
            let browsers: Vec<_> = (0..8).map(|_| Browser::new(&runtime, &house)).collect();
            let one = |browser: Browser<'_>| {
                start.wait();
                usize::from(browser.post(path, "").text.contains("You have it."))
            };
            let all: Vec<_> = browsers.into_iter().map(|b| scope.spawn(move || one(b))).collect();
            all.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(acted, 1);
    }
    // What could not be done gives the link back.
    let (secret, hash) = new_secret();
    house.handle.store.put_link(&hash, 999_999, NOW.plus(5 * 86_400)).unwrap();
    let browser = Browser::new(&runtime, &house);
    assert_eq!(browser.post(&format!("/ack/{secret}"), "").status, StatusCode::NOT_FOUND);
    let link = house.handle.store.link(&hash, false, NOW).unwrap();
    assert_eq!(link, notafter_store::alerts::Link::For(vec![999_999]));
}

#[test]
fn signing_out_ends_the_session_everywhere() {
    let runtime = runtime();
    let house = House::lived_in(runtime.handle(), false);
    let mut browser = Browser::new(&runtime, &house);
    browser.sign_in(&house);
    let csrf = browser.csrf("/inventory");
    assert_eq!(browser.post("/sign-out", "").status, StatusCode::FORBIDDEN, "not without the page's token");
    assert_eq!(browser.get("/").status, StatusCode::OK);
    let done = browser.post("/sign-out", &format!("csrf={csrf}"));
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    assert!(done.headers[header::SET_COOKIE].to_str().unwrap().starts_with("notafter=; Path=/; Max-Age=0"));
    assert_eq!(browser.get("/").status, StatusCode::UNAUTHORIZED, "a copy of the cookie is worth nothing");
    let audit = house.handle.store.audit_lines(Some("session"), None, 10).unwrap();
    let audit: Vec<_> = audit.iter().map(|(_, line)| line.what.as_str()).collect();
    assert_eq!(audit, ["signed-out", "signed-in"]);
    // Nothing is left of sessions that are over.
    let kept = |name| house.handle.store.kept(name).unwrap().map(|k| String::from_utf8(k.value).unwrap());
    assert_eq!(kept("sessions").as_deref(), Some("[]"));
    browser.sign_in(&house);
    house.clock.advance(std::time::Duration::from_secs(31 * 86_400));
    assert_eq!(browser.get("/").status, StatusCode::UNAUTHORIZED);
    browser.sign_in(&house);
    assert_eq!(kept("sessions").unwrap().matches("hash").count(), 1);
}

#[test]
fn the_export_stands_alone() {
    let runtime = runtime();
    let house = House::lived_in(runtime.handle(), true);
    let dir = std::env::temp_dir().join(format!("notafter-status-{}", std::process::id()));
    notafter_server::status_export(&house.handle, &dir).unwrap();
    let page = std::fs::read_to_string(dir.join("index.html")).unwrap();
    assert!(
        page.contains("href=\"notafter.css\"") && !page.contains("href=\"/") && !page.contains("src=\"/")
    );
    // Too old is said in words, and by a script that is a file beside it.
    assert!(page.contains("If this is older than 15 min, nothing here is known"));
    assert!(page.contains("<script src=\"status.js\"") && dir.join("status.js").exists());
    assert!(page.contains("Shop") && !page.contains("VPN"), "only what is public");
    assert!(dir.join("notafter.css").exists());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn the_gate_stands_before_everything() {
    let runtime = runtime();
    let house = house::empty(runtime.handle(), true, NOW);
    let router = house.app.router();
    let ask = |method: &str, path: &str, headers: &[(&str, &str)]| {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        runtime.block_on(router.clone().oneshot(request)).unwrap()
    };
    let here = ("host", "127.0.0.1:4747");
    for (method, path, headers, expected) in [
        ("GET", "/", &[here][..], 200),
        ("HEAD", "/inventory", &[here], 200),
        ("GET", "/", &[], 400),
        ("GET", "/", &[("host", "evil.example")], 421),
        ("GET", "/healthz", &[("host", "evil.example")], 421),
        ("GET", "/assets/x/notafter.css", &[("host", "evil.example")], 421),
        ("GET", "/", &[("host", "certs.example.com")], 200),
        ("GET", "/", &[here, ("origin", "https://evil.example")], 403),
        ("POST", "/views", &[here, ("sec-fetch-site", "cross-site")], 403),
        ("POST", "/views", &[here], 401),
        ("POST", "/views", &[here, ("cookie", "notafter=0000")], 401),
        ("POST", "/nothing", &[here], 401),
        ("OPTIONS", "/", &[here], 405),
        ("TRACE", "/", &[here], 405),
        ("POST", "/sign-in/x", &[here, ("origin", "http://127.0.0.1:3000")], 403),
        ("GET", "/inventory?after=no-cursor", &[here], 400),
    ] {
        let answer = ask(method, path, headers);
        assert_eq!(answer.status().as_u16(), expected, "{method} {path} {headers:?}");
        for name in [
            "content-security-policy",
            "x-content-type-options",
            "referrer-policy",
            "cross-origin-opener-policy",
        ] {
            assert!(answer.headers().contains_key(name), "{method} {path}: {name}");
        }
        if expected >= 400 {
            assert_eq!(answer.headers()["content-type"], "application/problem+json", "{method} {path}");
        }
    }
    let zipped = ask("GET", "/", &[here, ("accept-encoding", "gzip")]);
    assert_eq!(zipped.headers()["content-encoding"], "gzip");
    let link = house.app.access().new_link().unwrap();
    let secret = ask("GET", &link, &[here, ("accept-encoding", "gzip")]);
    assert!(!secret.headers().contains_key("content-encoding"), "a page with a secret is not compressed");
}

#[test]
fn it_serves_and_stops() {
    use std::io::{Read, Write};
    let runtime = runtime();
    let house = house::empty(runtime.handle(), true, NOW);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let serving = runtime.spawn(notafter_server::serve(listener, house.app.router(), async {
        let _ = stopped.await;
    }));
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK") && text.contains("\"status\":\"ok\""), "{text}");
    // Two Host headers, or more headers than anybody needs, are refused and not guessed about.
    let many = "X: y\r\n".repeat(80);
    for head in [format!("Host: {address}\r\nHost: evil.example\r\n"), format!("Host: {address}\r\n{many}")] {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nConnection: close\r\n{head}\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 4"), "{text}");
    }
    stop.send(()).unwrap();
    runtime.block_on(serving).unwrap();
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens any more");
}

//! What a person brings for a renewal: who may, in which form, and what is said of it.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};

use crate::access::BODY_MAX;
use crate::workbench::clerk::{PAPER, next};
use crate::workbench::{Bench, NOW, read};

const GOOD: &str = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
const PATH: &str = "/renewals/paper/reply";

/// A form as a browser sends it.
fn form(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        let file = if *name == "file" { "; filename=\"c:\\\\a;b.pem\"" } else { "" };
        let head = format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
        out.extend(head.as_bytes());
        out.extend(*value);
        out.extend(b"\r\n");
    }
    out.extend(b"--xyz--\r\n");
    out
}

struct Browser<'b> {
    bench: &'b Bench,
    cookie: String,
    csrf: String,
}

impl<'b> Browser<'b> {
    async fn signed_in(bench: &'b Bench) -> Self {
        let link = bench.access.new_link().unwrap();
        let done = bench.send(Request::post(link).body(Body::empty()).unwrap(), false).await;
        let cookie =
            done.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        let mut browser = Self { bench, cookie, csrf: String::new() };
        let (_, page) = browser.get("/renewals/paper").await;
        let at = page.find("name=\"csrf\" value=\"").expect("a form") + 19;
        browser.csrf = page[at..].split('"').next().unwrap().to_owned();
        browser
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).header(header::COOKIE, &self.cookie);
        read(self.bench.send(request.body(Body::empty()).unwrap(), false).await).await
    }

    async fn post(&self, fields: &[(&str, &[u8])]) -> (StatusCode, String) {
        let request = Request::post(PATH)
            .header(header::COOKIE, &self.cookie)
            .header(header::ACCEPT, "text/html")
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=xyz");
        read(self.bench.send(request.body(Body::from(form(fields))).unwrap(), false).await).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_with_a_file_needs_the_session_and_its_token() {
    let bench = Bench::new();
    let (_, page) = bench.get("/renewals/paper").await;
    assert!(page.contains("notafter issuer reply ") && !page.contains("multipart/form-data"), "{page}");
    assert!(page.contains("-----BEGIN CERTIFICATE REQUEST-----\nMAMCAQA=\n"), "{page}");
    let (_, list) = bench.get("/renewals").await;
    assert!(!list.contains("CERTIFICATE REQUEST"), "on its own page alone");
    let browser = Browser::signed_in(&bench).await;
    let csrf = browser.csrf.clone();
    let good: (&str, &[u8]) = ("reply", GOOD.as_bytes());
    assert_eq!(browser.post(&[good]).await.0, StatusCode::FORBIDDEN, "no token of the session");
    assert_eq!(browser.post(&[("csrf", b"ab"), good]).await.0, StatusCode::FORBIDDEN);
    let stranger = Request::post(PATH).header(header::CONTENT_TYPE, "multipart/form-data; boundary=xyz");
    let stranger = stranger.body(Body::from(form(&[good]))).unwrap();
    assert_eq!(bench.send(stranger, false).await.status(), StatusCode::UNAUTHORIZED);
    let with = |more: &[(&'static str, &[u8])]| {
        let mut all: Vec<(&str, Vec<u8>)> = vec![("csrf", csrf.clone().into_bytes())];
        all.extend(more.iter().map(|(name, value)| (*name, value.to_vec())));
        all
    };
    let send = async |more: &[(&'static str, &[u8])]| {
        let all = with(more);
        let fields: Vec<(&str, &[u8])> = all.iter().map(|(n, v)| (*n, v.as_slice())).collect();
        browser.post(&fields).await
    };
    // Whatever comes, it is answered, and it waits on.
    let (status, said) = send(&[("reply", b"  \r\n"), ("file", b"")]).await;
    assert!(status == StatusCode::BAD_REQUEST && said.contains("Nothing was brought"), "{said}");
    let hostile = b"<img src=x>\0\xff\xfe\x1b[31m \xe2\x80\xae";
    let (status, said) = send(&[("reply", hostile)]).await;
    assert!(status == StatusCode::BAD_REQUEST && said.contains("it is no certificate"), "{said}");
    assert!(!said.contains("<img") && !said.contains('\u{202e}') && !said.contains('\u{1b}'), "{said}");
    assert!(said.contains("paper waits on; nothing was changed"), "{said}");
    let (status, _) = send(&[("file", &vec![b'x'; BODY_MAX])]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(next(&bench.handle.store), NOW.plus(86_400), "nothing was changed");
    // The file counts, where there is one; and the renewal does not wait for its next look.
    let (status, said) = send(&[("reply", b"nonsense"), ("file", GOOD.as_bytes())]).await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{said}");
    assert_eq!(next(&bench.handle.store), NOW);
    let audit = bench.json("/api/v1/audit?subject=certificate%3Apaper").await;
    let taken = audit["items"].as_array().unwrap().iter().find(|l| l["what"] == "reply-taken").unwrap();
    assert_eq!(taken["who"], "signed-in browser");
    assert!(taken["detail"].as_str().unwrap().starts_with("office, until 2027-"), "{taken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_takes_a_reply() {
    let bench = Bench::new();
    let list = bench.json("/api/v1/renewals?name=paper").await;
    assert!(list["items"][0]["request"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE REQUEST"));
    let web = bench.json("/api/v1/renewals?name=web").await;
    assert_eq!(web["items"][0]["request"], Value::Null);
    let to = |name: &str| format!("/api/v1/renewals/{name}/reply");
    for (name, body, status, says) in [
        (PAPER, json!({"reply": "x\u{1b}y"}), 400, "it is no certificate: x\\\\u{1b}y"),
        (PAPER, json!({"reply": ""}), 400, "1 to"),
        (PAPER, json!({"answer": GOOD}), 400, "reply"),
        ("web", json!({"reply": GOOD}), 404, "kept alive"),
        ("nothing", json!({"reply": GOOD}), 404, "kept alive"),
        (PAPER, json!({"reply": "x".repeat(BODY_MAX)}), 413, "65536"),
    ] {
        let (got, text) = bench.post(&to(name), &body).await;
        assert!(got.as_u16() == status && text.contains(says), "{name}: {got} {text}");
    }
    assert_eq!(next(&bench.handle.store), NOW.plus(86_400));
    let (status, text) = bench.post(&to(PAPER), &json!({"reply": GOOD})).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let taken: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&taken["certificate"], &taken["issuer"]), (&json!("paper"), &json!("office")));
    assert_eq!(next(&bench.handle.store), NOW);
    // Over, it waits for nothing any more.
    let store = &bench.handle.store;
    let mut work = store.hold_work(PAPER, 1, "x", NOW.plus(60), NOW).unwrap().unwrap();
    work.renewal.state = notafter_core::renew::State::Abandoned;
    store.put_work(&work.renewal, work.version, ("x", NOW.plus(60)), &Default::default(), NOW).unwrap();
    let (status, text) = bench.post(&to(PAPER), &json!({"reply": GOOD})).await;
    assert!(status == StatusCode::CONFLICT && text.contains("waits for no certificate"), "{text}");
}

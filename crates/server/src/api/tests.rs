//! The API against its own document: every operation, on a seeded memory, and what must be refused.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::openapi;
use super::table::{Answer, OPERATIONS, Operation};
use super::time;
use crate::workbench::{Bench, HOSTILE, read};

/// Holds a value against a schema, as far as ours go. What is wrong, with where.
fn faults(value: &Value, schema: &Value, document: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return faults(value, &document["components"]["schemas"][name], document, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let fits = any.iter().any(|s| faults(value, s, document, at).is_empty());
        return if fits { Vec::new() } else { vec![format!("{at}: {value} fits none")] };
    }
    let mut out = Vec::new();
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_i64() || n.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let fits = kinds.is_empty() || kinds.contains(&kind) || (kind == "integer" && kinds.contains(&"number"));
    if !fits {
        out.push(format!("{at}: {value} is no {kinds:?}"));
    }
    if let (Some(words), false) = (schema["enum"].as_array(), value.is_null())
        && !words.contains(value)
    {
        out.push(format!("{at}: {value} is none of {words:?}"));
    }
    if let (Some("date-time"), Some(text)) = (schema["format"].as_str(), value.as_str())
        && (text.len() != 20 || time::parse(text).is_none())
    {
        out.push(format!("{at}: {text} is no instant"));
    }
    if let (Some(least), Some(number)) = (schema["minimum"].as_i64(), value.as_i64())
        && number < least
    {
        out.push(format!("{at}: {number} is less than {least}"));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.is_object() && value.get(name).is_none() {
            out.push(format!("{at}: {name} is missing"));
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(schema) => out.extend(faults(member, schema, document, &format!("{at}.{name}"))),
            // Ours are all described; only evidence and counts by owner are open.
            None if schema.get("properties").is_some() => out.push(format!("{at}: {name} is not described")),
            None => {}
        }
    }
    for (n, item) in value.as_array().into_iter().flatten().enumerate() {
        out.extend(faults(item, &schema["items"], document, &format!("{at}[{n}]")));
    }
    out
}

/// What must come back, by operation: a path that is there, and a body.
async fn sample(bench: &Bench, operation: &Operation) -> (String, Value) {
    let first = |list: Value| list["items"][0].clone();
    let assets = bench.json("/api/v1/assets?q=name:api.example.com").await;
    let asset = first(assets)["id"].as_str().unwrap().to_owned();
    let finding = first(bench.json("/api/v1/findings").await)["id"].as_str().unwrap().to_owned();
    // One that is not over; what was asked before may have quieted it.
    let alerts = bench.json("/api/v1/alerts").await;
    let alert = alerts["items"].as_array().unwrap().iter().find(|a| a["state"] != "resolved").unwrap();
    let alert = alert["id"].as_str().unwrap().to_owned();
    let place = "tls://10.0.0.8:443";
    let (path, body) = match operation.id {
        "getAsset" => (format!("/assets/{}", &asset[..20]), Value::Null),
        "getPlace" => ("/places?at=tls%3A%2F%2F10.0.0.5%3A443%3Fsni%3Dapi.example.com".into(), Value::Null),
        "getFinding" => (format!("/findings/{finding}"), Value::Null),
        "getAlert" => (format!("/alerts/{alert}"), Value::Null),
        "acknowledgeAlert" => (format!("/alerts/{alert}/acknowledge"), json!({"note": "on it"})),
        "snoozeAlert" => (format!("/alerts/{alert}/snooze"), json!({"until": "2026-11-21T12:00:00+01:00"})),
        "testAlert" => ("/alerts/test".into(), json!({"item": asset})),
        "scanSource" => ("/sources/office/scan".into(), Value::Null),
        "getForecast" => ("/forecast?until=2027-12-31&lifetime=47".into(), Value::Null),
        "replyToRenewal" => {
            ("/renewals/paper/reply".into(), json!({"reply": "-----BEGIN CERTIFICATE-----\nMA==\n"}))
        }
        "retirePlace" => ("/retire".into(), json!({"location": place, "reason": "gone"})),
        "ownAssets" => ("/own".into(), json!({"query": "name:*.example.com", "owner": "house"})),
        "saveView" => ("/views/save".into(), json!({"name": "nobody's", "q": "owner:none"})),
        "renameView" => ("/views/rename".into(), json!({"name": "nobody's", "to": "of nobody"})),
        "deleteView" => ("/views/delete".into(), json!({"name": "of nobody"})),
        "makeCalendarLink" => ("/calendars/web%20team".into(), Value::Null),
        "revokeCalendarLink" => ("/calendars/web%20team/revoke".into(), Value::Null),
        _ => (operation.path.to_owned(), Value::Null),
    };
    (format!("{}{path}", super::BASE), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_as_the_document_says() {
    let bench = Bench::new();
    let document = openapi::document();
    for operation in OPERATIONS {
        let (path, body) = sample(&bench, operation).await;
        let method = operation.method.to_uppercase();
        let request = Request::builder().method(method.as_str()).uri(&path);
        let request = match (&body, operation.body) {
            (_, None) => request.body(Body::empty()),
            (body, Some(_)) => {
                request.header("content-type", "application/json").body(Body::from(body.to_string()))
            }
        };
        let response = bench.send(request.unwrap(), operation.method == "post").await;
        assert_eq!(response.headers()["content-type"], "application/json", "{path}");
        let (status, text) = read(response).await;
        assert_eq!(status.as_u16(), operation.status, "{path}: {text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        let described =
            &document["paths"][operation.path][operation.method]["responses"][status.as_str()]["content"];
        let wrong = faults(&value, &described["application/json"]["schema"], &document, operation.id);
        assert_eq!(wrong, Vec::<String>::new());
        if let (Answer::List(_), false) = (operation.answer, operation.id == "listOutgoing") {
            assert!(!value["items"].as_array().unwrap().is_empty(), "{path} is empty: nothing was tested");
        }
    }
    assert_eq!(bench.json("/api/v1/openapi.json").await, document);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_structs_of_scan_and_what_a_memory_adds() {
    let bench = Bench::new();
    let list = bench.json("/api/v1/assets?q=name:api.example.com").await;
    let item = &list["items"][0];
    assert_eq!(item["names"], json!(["api.example.com"]));
    assert_eq!((&item["days_left"], &item["owner"]), (&json!(5.0), &json!("web team")));
    assert_eq!(item["key"]["algorithm"], "ECDSA");
    let whole = bench.json(&format!("/api/v1/assets/{}", item["id"].as_str().unwrap())).await;
    let placement = &whole["placements"][0];
    assert_eq!(placement["location"], "tls://10.0.0.5:443?sni=api.example.com");
    assert_eq!((&placement["role"], &placement["possession"]), (&json!("leaf"), &json!("verified")));
    assert_eq!(placement["chain"], json!([whole["id"]]));
    let kinds: Vec<_> = whole["open_findings"].as_array().unwrap().iter().map(|f| &f["kind"]).collect();
    assert!(kinds.contains(&&json!("expires-soon")), "{kinds:?}");
    assert!(!whole.to_string().contains("{when}"));
    let hostile = bench.json("/api/v1/assets?q=10.0.0.8").await;
    assert!(hostile["items"][0]["subject"].as_str().unwrap().contains("<img"), "{HOSTILE}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_on_where_they_ended() {
    let bench = Bench::new();
    for list in ["assets", "assets?sort=title", "assets?sort=newest", "findings", "alerts", "audit"] {
        let all = bench.json(&format!("/api/v1/{list}")).await;
        let all: Vec<_> = all["items"].as_array().unwrap().iter().map(|i| i["id"].clone()).collect();
        assert!(all.len() > 1, "{list}");
        let (mut one_by_one, mut after) = (Vec::new(), String::new());
        loop {
            let sign = if list.contains('?') { '&' } else { '?' };
            let page = bench.json(&format!("/api/v1/{list}{sign}limit=1{after}")).await;
            one_by_one.extend(page["items"].as_array().unwrap().iter().map(|i| i["id"].clone()));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
            assert!(one_by_one.len() <= all.len(), "{list} does not end");
        }
        assert_eq!(one_by_one, all, "{list}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_and_explained() {
    let bench = Bench::new();
    for (path, status, says) in [
        ("assets?limit=0", 400, "from 1 to 1000"),
        ("assets?limit=1001", 400, "from 1 to 1000"),
        ("assets?limit=ten", 400, "whole number"),
        ("assets?limt=10", 400, "did you mean `limit`?"),
        ("assets?limit=1&limit=2", 400, "twice"),
        ("assets?sort=size", 400, "ends, newest, title"),
        ("assets?q=expire%3C30d", 400, "did you mean `expires`"),
        ("assets?q=%00", 400, "control characters"),
        ("assets?q=%ff", 400, "UTF-8"),
        ("assets?q=%zz", 400, "hex digits"),
        ("assets?after=nowhere", 404, "bad-cursor"),
        ("assets?after=", 400, "1 to 500"),
        ("blind-spots?after=nowhere", 404, "bad-cursor"),
        ("assets/xyz", 400, "SHA-256"),
        ("assets/%ff", 400, "UTF-8"),
        ("assets/abcdef0123456789", 404, "no asset begins"),
        ("places", 400, "`at` is missing"),
        ("places?at=", 400, "1 to 4000"),
        ("places?at=tls%3A%2F%2F10.9.9.9%3A1", 404, "nothing was ever seen"),
        ("places?at=nonsense", 404, "nothing was ever seen"),
        ("findings?kind=expire-soon", 400, "did you mean `expires-soon`?"),
        ("findings?kind=", 400, "kind"),
        ("findings?since=soon", 400, "2027-03-15"),
        ("findings?severity=bad", 400, "critical, warning, info"),
        ("findings/0123456789abcdef", 404, "no finding"),
        ("findings/short", 400, "16 hex digits"),
        ("alerts/a99", 404, "a99"),
        ("alerts/b1", 400, "a17"),
        ("alerts?after=0", 400, "next"),
        ("alerts?after=99", 404, "bad-cursor"),
        ("findings?after=0123456789abcdef", 404, "bad-cursor"),
        ("forecast?days=10&until=2027-01-01", 409, "twice"),
        ("forecast?until=2020-01-01", 409, "passed"),
        ("totals?x=1", 400, "takes none"),
        ("nothing", 404, "no such path"),
        ("assets/ab/cd", 404, "no such path"),
    ] {
        let (got, text) = bench.get(&format!("/api/v1/{path}")).await;
        assert_eq!(got.as_u16(), status, "{path}: {text}");
        assert!(text.contains(says), "{path}: {text}");
        let document: Value = serde_json::from_str(&text).unwrap();
        for member in ["type", "title", "status", "detail"] {
            assert!(document.get(member).is_some(), "{path}: no {member}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_bodies_and_who_may() {
    let bench = Bench::new();
    for operation in OPERATIONS {
        let path = format!("{}{}", super::BASE, operation.path.replace("{id}", "a1").replace("{name}", "x"));
        for method in [Method::DELETE, Method::PUT, Method::PATCH, Method::OPTIONS, Method::TRACE] {
            let request = Request::builder().method(method).uri(&path).body(Body::empty()).unwrap();
            let response = bench.send(request, true).await;
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
            let allowed = if operation.method == "get" { "GET, HEAD" } else { "POST" };
            assert_eq!(response.headers()["allow"], allowed, "{path}");
            assert_eq!(response.headers()["content-type"], "application/problem+json");
        }
        if operation.method == "post" {
            let request = Request::post(&path).header("content-type", "application/json");
            let response = bench.send(request.body(Body::from("{}")).unwrap(), false).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
        }
    }
    let head = Request::head("/api/v1/totals").body(Body::empty()).unwrap();
    assert_eq!(bench.send(head, false).await.status(), StatusCode::OK);
    for (kind, body, status) in [
        ("application/json", "{\"location\":\"x\"}", 400),
        ("application/json", "{\"location\":\"x\",\"reason\":\"y\",\"z\":1}", 400),
        ("application/json", "{\"location\":\"x\",\"reason\":\"\"}", 400),
        ("application/json", "{\"location\":\"x\\u0000\",\"reason\":\"y\"}", 400),
        ("application/json", "[\"x\",\"y\"]", 400),
        ("application/json", "null", 400),
        ("application/json", "{", 400),
        ("application/json", "{\"location\":\"\u{fffd}\",\"reason\":\"y\"}", 404),
        ("text/plain", "{}", 415),
        ("", "{}", 415),
        ("application/json; charset=utf-8", "{\"location\":\"tls://x:1\",\"reason\":\"y\"}", 404),
    ] {
        let request = Request::post("/api/v1/retire").header("content-type", kind);
        let (got, text) = read(bench.send(request.body(Body::from(body)).unwrap(), true).await).await;
        assert_eq!(got.as_u16(), status, "{kind} {body}: {text}");
    }
    let big = json!({"location": "x", "reason": "y".repeat(70_000)});
    assert_eq!(bench.post("/api/v1/retire", &big).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    for body in [json!({"query": " ", "owner": "house"}), json!({"query": "x:y", "owner": null})] {
        assert_eq!(bench.post("/api/v1/own", &body).await.0, StatusCode::BAD_REQUEST);
    }
    let (status, text) = bench.post("/api/v1/own", &json!({"query": "a", "owner": "hose"})).await;
    assert!(status == StatusCode::NOT_FOUND && text.contains("did you mean `house`?"), "{text}");
    assert_eq!(bench.post("/api/v1/own", &json!({"query": "a"})).await.0, StatusCode::BAD_REQUEST);
    let (status, _) = bench.post("/api/v1/sources/offce/scan", &Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn deeds_are_done_and_written_down() {
    let mut bench = Bench::new();
    let alert = bench.json("/api/v1/alerts?state=open").await["items"][0]["id"].clone();
    let alert = alert.as_str().unwrap().to_owned();
    let path = format!("/api/v1/alerts/{alert}/snooze");
    let past = bench.post(&path, &json!({"until": "2020-01-01T00:00:00Z"})).await;
    assert_eq!(past.0, StatusCode::CONFLICT, "{}", past.1);
    // Nobody can be quiet beyond the deadline, however long they ask for.
    let done = bench.post(&path, &json!({"until": "2099-01-01T00:00:00Z", "note": "later"})).await;
    let done: Value = serde_json::from_str(&done.1).unwrap();
    assert!(done["hold"]["until"].as_str().unwrap() < "2099", "{done}");
    let tested = bench.post("/api/v1/alerts/test", &json!({"item": "house"})).await;
    assert_eq!(tested.0, StatusCode::ACCEPTED, "{}", tested.1);
    bench.pass();
    let outgoing = bench.json("/api/v1/outgoing").await;
    assert!(outgoing["items"].as_array().unwrap().iter().any(|m| m["event"] == "test"), "{outgoing}");
    // F58: the acknowledgement link in a message opens an alert; nothing that can be read has it.
    assert!(!outgoing.to_string().contains("/ack/"), "{outgoing}");
    assert_eq!(bench.post("/api/v1/alerts/test", &json!({"item": "nobody"})).await.0, StatusCode::NOT_FOUND);
    let audit = bench.json("/api/v1/audit").await.to_string();
    assert!(audit.contains("snoozed") && audit.contains("alert-tested"), "{audit}");
}

/// Anybody can follow the trail with what the API says and the guide: nothing of ours is used but SHA-256.
#[tokio::test(flavor = "multi_thread")]
async fn the_audit_trail_is_followed_by_what_the_api_says_alone() {
    let bench = Bench::new();
    bench.post("/api/v1/alerts/test", &json!({"item": "house"})).await;
    let (mut lines, mut path) = (Vec::new(), "/api/v1/audit?limit=2".to_owned());
    loop {
        let page = bench.json(&path).await;
        lines.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/audit?limit=2&after={next}");
    }
    assert!(lines.len() > 2, "{lines:?}");
    let mut before = [0_u8; 32];
    for (n, line) in lines.iter().rev().enumerate() {
        let id = line["id"].as_i64().unwrap();
        assert_eq!(id, n as i64 + 1);
        let mut bytes = before.to_vec();
        bytes.extend(id.to_be_bytes());
        bytes.extend(time::parse(line["at"].as_str().unwrap()).unwrap().0.to_be_bytes());
        for field in ["who", "what", "subject", "detail"] {
            let text = line[field].as_str().unwrap();
            bytes.extend((text.len() as u64).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        before = notafter_pki::fingerprint::sha256(&bytes);
        assert_eq!(line["hash"], notafter_pki::fingerprint::hex(&before), "{line}");
    }
}

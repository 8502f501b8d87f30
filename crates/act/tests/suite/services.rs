//! What each HTTP service is sent, seen by a receiver.

use notafter_core::fault::{FaultKind, Retry};
use notafter_core::notice::Event;
use notafter_lab::Lab;
use notafter_lab::sinks::http::{Answer, Receiver};
use serde_json::json;

use crate::{json, notice, send, sent, table};

fn secret(lab: &Lab) -> std::path::PathBuf {
    let path = lab.path().join("secret");
    std::fs::write(&path, "123456:s3cret\n").unwrap();
    path
}

#[tokio::test]
async fn pagerduty_triggers_and_resolves_by_the_alert() {
    let lab = Lab::new("pagerduty");
    let secret = secret(&lab);
    let table = |r: &Receiver| table("pagerduty", &r.url("/v2/enqueue"), &secret);
    let trigger = json(&sent("pagerduty", table, None, &notice(Event::Alert)).await);
    assert_eq!(trigger["event_action"], "trigger");
    assert_eq!(
        (&trigger["dedup_key"], &trigger["routing_key"]),
        (&json!("a17-5f3a9c02d1e4"), &json!("123456:s3cret"))
    );
    assert_eq!(trigger["payload"]["severity"], "critical");
    assert_eq!(trigger["payload"]["source"], "api.example.com");
    assert_eq!(trigger["links"][0]["text"], "Acknowledge");
    let resolve = json(&sent("pagerduty", table, None, &notice(Event::Resolved)).await);
    assert_eq!(
        resolve,
        json!({ "event_action": "resolve", "dedup_key": "a17-5f3a9c02d1e4", "routing_key": "123456:s3cret" })
    );
}

#[tokio::test]
async fn two_servers_have_incidents_of_their_own() {
    let lab = Lab::new("two-servers");
    let secret = secret(&lab);
    for (name, key) in
        [("pagerduty", "/dedup_key"), ("opsgenie", "/alias"), ("alertmanager", "/0/labels/alert")]
    {
        let key_of = async |instance: &str, event: Event| {
            let notice = notafter_core::notice::Notice { instance: instance.into(), ..notice(event) };
            let seen = sent(name, |r: &Receiver| table(name, &r.url("/x"), &secret), None, &notice).await;
            // Opsgenie's is in the path when it is closed.
            seen.path
                .strip_prefix("/x/v2/alerts/")
                .and_then(|p| p.strip_suffix("/close?identifierType=alias"))
                .map_or_else(
                    || json(&seen).pointer(key).unwrap_or_else(|| panic!("{name}: {}", seen.text())).clone(),
                    |alias| json!(alias),
                )
        };
        let (one, other) =
            (key_of("5f3a9c02d1e4", Event::Alert).await, key_of("00ffee00ffee", Event::Alert).await);
        assert_ne!(one, other, "{name}");
        assert_eq!(one, key_of("5f3a9c02d1e4", Event::Resolved).await, "{name}: what was opened is closed");
    }
}

#[tokio::test]
async fn opsgenie_creates_and_closes_by_alias() {
    let lab = Lab::new("opsgenie");
    let secret = secret(&lab);
    let table = |r: &Receiver| table("opsgenie", &r.url(""), &secret);
    let create = sent("opsgenie", table, Some("Web Team"), &notice(Event::Alert)).await;
    assert_eq!(create.path, "/v2/alerts");
    assert_eq!(create.header("authorization"), Some("GenieKey 123456:s3cret"));
    let body = json(&create);
    assert_eq!((&body["alias"], &body["priority"]), (&json!("a17-5f3a9c02d1e4"), &json!("P1")));
    assert_eq!(body["responders"], json!([{ "type": "team", "name": "Web Team" }]));
    let close = sent("opsgenie", table, None, &notice(Event::Resolved)).await;
    assert_eq!(close.path, "/v2/alerts/a17-5f3a9c02d1e4/close?identifierType=alias");
}

#[tokio::test]
async fn telegram_posts_to_the_chat_of_the_address() {
    let lab = Lab::new("telegram");
    let secret = secret(&lab);
    let table = |r: &Receiver| table("telegram", &r.url("/api/"), &secret);
    let post = sent("telegram", table, Some("@certs"), &notice(Event::Alert)).await;
    assert_eq!(post.path, "/api/bot123456:s3cret/sendMessage");
    let body = json(&post);
    assert_eq!((&body["chat_id"], &body["parse_mode"]), (&json!("@certs"), &json!("HTML")));
}

#[tokio::test]
async fn a_webhook_is_signed_and_dressed_as_asked() {
    let lab = Lab::new("webhook");
    let secret = secret(&lab);
    let plain =
        sent("webhook", |r| table("webhook", &r.url("/hook?x=1"), &secret), Some("a"), &notice(Event::Alert))
            .await;
    assert_eq!((plain.method.as_str(), plain.path.as_str()), ("POST", "/hook?x=1"));
    assert_eq!(plain.header("webhook-id"), Some("n-42"));
    assert_eq!(plain.header("webhook-timestamp"), Some("1795262400"));
    assert_eq!(plain.header("content-type"), Some("application/json"));
    // The judge is the openssl program, over what arrived.
    let hmac = |bytes: &[u8]| {
        let path = lab.path().join("signed");
        std::fs::write(&path, bytes).unwrap();
        let done = std::process::Command::new("openssl")
            .args(["dgst", "-sha256", "-hmac", "123456:s3cret", "-r"])
            .arg(&path)
            .output()
            .unwrap();
        String::from_utf8_lossy(&done.stdout).split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(plain.header("x-notafter-signature").unwrap(), format!("sha256={}", hmac(&plain.body)));
    let signed = [b"n-42.1795262400.".as_slice(), &plain.body].concat();
    let standard = plain.header("webhook-signature").unwrap().strip_prefix("v1,").unwrap().to_owned();
    let octets = notafter_lab::base64::decode(&standard);
    assert_eq!(octets.iter().map(|o| format!("{o:02x}")).collect::<String>(), hmac(&signed));

    let dressed = |r: &Receiver| {
        json!({
            "url": r.url("/"), "method": "PUT", "headers": { "X-Key": { "file": secret }, "content-type": "text/plain" },
            "template": "{{severity}} {{{title}}} {{days_left}} {{to}}|{{alert}}"
        })
    };
    let put = sent("webhook", dressed, None, &notice(Event::Alert)).await;
    assert_eq!((put.method.as_str(), put.header("x-key")), ("PUT", Some("123456:s3cret")));
    assert_eq!(put.headers.iter().filter(|(name, _)| name == "content-type").count(), 1);
    assert_eq!(put.text(), "critical 2 certificates of web stop working 3.2 |a17");
}

#[tokio::test]
async fn a_file_with_a_secret_is_read_again() {
    let lab = Lab::new("rotated");
    let secret = secret(&lab);
    let receiver = Receiver::start(Answer::status(200, "", ""));
    let table = table("opsgenie", &receiver.url(""), &secret);
    let notifier = (crate::kind("opsgenie").build)(table, crate::build_cx()).unwrap();
    std::fs::write(&secret, "rotated-key").unwrap();
    notifier.notify(&crate::cx(), None, &notice(Event::Alert)).await.unwrap();
    assert_eq!(receiver.only().header("authorization"), Some("GenieKey rotated-key"));
    std::fs::remove_file(&secret).unwrap();
    let fault = notifier.notify(&crate::cx(), None, &notice(Event::Alert)).await.unwrap_err();
    assert_eq!((fault.kind, fault.retry), (FaultKind::NotFound, Retry::Backoff));
}

/// Every secret is a canary, and the other side repeats all it was told.
#[tokio::test]
async fn no_canary_sings() {
    let lab = Lab::new("canary");
    let secret = lab.path().join("secret");
    std::fs::write(&secret, "123456:c4nary-t0ken").unwrap();
    let file = json!({ "file": secret });
    for kind in notafter_act::notifiers::NOTIFIERS {
        let receiver = Receiver::start(Answer::Echo(400));
        let tables = match kind.name {
            "email" | "exec" => continue,
            "ntfy" => vec![
                table("ntfy", &receiver.url("/"), &secret),
                json!({ "url": receiver.url("/"), "topic": "t", "user": "u", "password": file }),
            ],
            "webhook" => {
                let url = receiver.url("/c4nary-path/x?c4nary-long-enough-to-be-a-token=1");
                vec![json!({ "url": url, "secret": file, "headers": { "Authorization": file } })]
            }
            "slack" | "discord" | "teams" => vec![json!({ "url": receiver.url("/x/c4nary-path") })],
            name => vec![table(name, &receiver.url("/"), &secret)],
        };
        for table in tables {
            let shown = crate::preview(kind.name, table.clone(), None, &notice(Event::Alert));
            let fault = send(kind.name, table, None, &notice(Event::Alert)).await.unwrap_err();
            let base64 = "dToxMjM0NTY6YzRuYXJ5";
            for text in [shown, format!("{fault:?}"), fault.to_string()] {
                assert!(!text.contains("c4nary") && !text.contains(base64), "{}: {text}", kind.name);
            }
        }
    }
}

#[tokio::test]
async fn what_a_channel_cannot_carry_is_said() {
    let lab = Lab::new("unfit");
    let secret = secret(&lab);
    for name in ["slack", "discord", "teams", "pagerduty", "alertmanager"] {
        let table = table(name, "http://127.0.0.1:9/x", &secret);
        let fault = send(name, table, Some("#room"), &notice(Event::Alert)).await.unwrap_err();
        assert_eq!((fault.kind, fault.retry), (FaultKind::Invalid, Retry::Never), "{fault:?}");
        assert!(fault.hint.is_some());
    }
    for name in ["pagerduty", "opsgenie", "alertmanager"] {
        let table = table(name, "http://127.0.0.1:9/x", &secret);
        let fault = send(name, table, None, &notice(Event::Digest)).await.unwrap_err();
        assert_eq!((fault.kind, fault.retry), (FaultKind::Invalid, Retry::Never), "{fault:?}");
    }
}

//! What a certificate can put into a notice, through every notifier.

use notafter_act::notifiers::NOTIFIERS;
use notafter_core::finding::Severity;
use notafter_core::notice::{Event, Item, Notice};
use notafter_lab::Lab;
use serde_json::Value;

use crate::{NOW, notice, preview, table};

const NASTY: &str = "x\r\nBcc: victim@example.org\r\n\r\n@everyone <!channel> <@U1> <img src=x onerror=alert(1)> \
                     [a](http://evil.example) *b* `c` {{title}} ${jndi} $(touch /tmp/x) \"quoted\" \\ \
                     \u{202e}gpj.exe\u{2066} \u{1b}[2J\u{0}\u{2028}\u{feff}";

/// Every text of it hostile, and more of everything than anybody sends.
fn hostile() -> Notice {
    let item = Item {
        finding: NASTY.into(),
        kind: NASTY.into(),
        severity: Severity::Critical,
        name: format!("{NASTY}{}", "n".repeat(1 << 20)),
        summary: NASTY.repeat(20),
        hint: NASTY.into(),
        deadline: Some(NOW),
        places: vec![NASTY.into(); 100],
        more_places: usize::MAX,
    };
    let mut items = vec![item.clone()];
    items.extend((0..10_000).map(|n| Item {
        name: format!("{n}{NASTY}"),
        places: vec!["\u{1f600}".repeat(400)],
        ..item.clone()
    }));
    items.truncate(10_000);
    Notice {
        id: NASTY.into(),
        alert: Some(NASTY.into()),
        instance: NASTY.into(),
        owner: NASTY.into(),
        title: format!("{NASTY}{}", "t".repeat(1 << 20)),
        text: NASTY.repeat(1000),
        hint: "\u{1f600}".repeat(100_000),
        items,
        more: usize::MAX,
        acknowledge_url: Some(format!("https://x.example/{}", "a".repeat(700))),
        acknowledge_command: Some(NASTY.into()),
        page_url: Some(format!("javascript:alert(1)//{NASTY}")),
        ..notice(Event::Alert)
    }
}

/// Every text in a JSON value.
fn texts<'a>(value: &'a Value, out: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => out.push(text),
        Value::Array(list) => list.iter().for_each(|v| texts(v, out)),
        Value::Object(map) => map.values().for_each(|v| texts(v, out)),
        _ => {}
    }
}

fn body(preview: &str) -> Value {
    let (_, body) = preview.split_once("\n\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}"))
}

#[test]
fn a_hostile_notice_stays_within_bounds_and_shows_no_control_characters() {
    let lab = Lab::new("hostile");
    let secret = lab.path().join("secret");
    std::fs::write(&secret, "123456:secret-s3cret\n").unwrap();
    let notice = hostile();
    for kind in NOTIFIERS {
        let shown =
            preview(kind.name, table(kind.name, "http://127.0.0.1:9/hidden-path", &secret), None, &notice);
        assert!(!shown.contains("s3cret"), "{}: the secret is shown", kind.name);
        if !matches!(kind.name, "webhook" | "exec") {
            assert!(shown.len() < 400_000, "{}: {} bytes", kind.name, shown.len());
        }
        assert!(shown.contains("https://x.example/aaa"), "{}: the acknowledge link is lost", kind.name);
        assert!(!shown.contains("javascript:"), "{}: a link that is none", kind.name);
        let is_bad = |c: char| notafter_pki::name::is_deceptive(c) && c != '\n';
        if kind.name == "email" || kind.name == "exec" {
            assert!(!shown.contains(is_bad), "{}", kind.name);
            continue;
        }
        let (head, _) = shown.split_once("\n\n").unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{}: {head}", kind.name);
        let body = body(&shown);
        let mut all = Vec::new();
        texts(&body, &mut all);
        for text in all {
            assert!(!text.contains(is_bad), "{}: {:?}", kind.name, &text[..text.len().min(400)]);
        }
    }
}

#[test]
fn each_service_gets_what_it_takes() {
    let lab = Lab::new("limits");
    let secret = lab.path().join("secret");
    std::fs::write(&secret, "123456:secret-s3cret\n").unwrap();
    let notice = hostile();
    let of = |name: &str| body(&preview(name, table(name, "http://127.0.0.1:9/", &secret), None, &notice));
    let chars = |value: &Value| value.as_str().unwrap().chars().count();

    let slack = of("slack");
    let blocks = slack["blocks"].as_array().unwrap();
    assert!(blocks.len() <= 50);
    assert!(chars(&blocks[0]["text"]["text"]) <= 150);
    for block in blocks {
        assert!(chars(&block["text"]["text"]) <= 3000);
    }
    let text = blocks.iter().skip(1).map(|b| b["text"]["text"].as_str().unwrap()).collect::<String>();
    assert!(!text.contains("<!") && !text.contains("<@") && !text.contains("<img"), "{text}");
    assert!(text.contains("more_"), "{text}");
    assert!(!slack["text"].as_str().unwrap().contains("<!"));

    let discord = of("discord");
    assert_eq!(discord["allowed_mentions"], serde_json::json!({ "parse": [] }));
    assert!(discord.get("content").is_none());
    assert!(chars(&discord["embeds"][0]["title"]) <= 256);
    assert!(chars(&discord["embeds"][0]["description"]) <= 4096);

    let telegram = of("telegram");
    assert!(telegram["text"].as_str().unwrap().encode_utf16().count() <= 4096);
    let tags = telegram["text"].as_str().unwrap();
    let known = ["b>", "/b>", "i>", "/i>"];
    assert!(tags.split('<').skip(1).all(|t| known.iter().any(|k| t.starts_with(k))), "{tags}");

    let ntfy = of("ntfy");
    assert!(ntfy["message"].as_str().unwrap().len() <= 4096);
    assert!(ntfy["title"].as_str().unwrap().chars().count() <= 200);

    let opsgenie = of("opsgenie");
    assert!(chars(&opsgenie["message"]) <= 130);
    assert!(chars(&opsgenie["description"]) <= 15_000);
    assert!(chars(&opsgenie["alias"]) <= 512 && chars(&opsgenie["entity"]) <= 512);

    let pagerduty = of("pagerduty");
    assert!(chars(&pagerduty["payload"]["summary"]) <= 1024);
    assert!(chars(&pagerduty["dedup_key"]) <= 255);
    assert!(pagerduty.to_string().len() < 512_000);
    assert_eq!(pagerduty["routing_key"], "***");

    assert!(of("teams").to_string().len() <= 28_000);
    let teams = of("teams").to_string();
    assert!(teams.contains("RichTextBlock") && !teams.contains("\"TextBlock\""));
}

#[test]
fn a_mail_keeps_its_head() {
    let shown = preview("email", table("email", "", std::path::Path::new("/x")), None, &hostile());
    let (head, body) = shown.split_once("\n\n").unwrap();
    for line in head.lines() {
        assert!(line.len() <= 998 && line.is_ascii(), "{line}");
        assert!(!line.starts_with("Bcc"), "{head}");
    }
    assert_eq!(head.lines().filter(|l| l.starts_with("Subject:")).count(), 1);
    assert!(body.lines().all(|l| l.len() <= 76 && l.is_ascii()), "{body}");
    let (_, page) = body.split_once("text/html").unwrap();
    assert!(!page.contains("<img") && page.contains("&lt;img"), "{page}");
}

/// The judge is another mail library: Python's.
#[test]
fn another_library_reads_the_same_mail() {
    const READ: &str = r#"
import email, email.policy, json, sys
mail = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
parts = list(mail.walk())
defects = [str(d) for p in parts for d in p.defects] + [str(d) for h in mail.values() for d in h.defects]
json.dump({"names": mail.keys(), "subject": mail["subject"], "defects": defects,
    "kinds": [p.get_content_type() for p in parts], "text": parts[1].get_content()}, sys.stdout)
"#;
    let python = std::process::Command::new("python3").arg("--version").output();
    let found = python.map_err(|error| notafter_lab::NotRun::new("python3", error.to_string()));
    if notafter_lab::need(found).is_none() {
        return;
    }
    let mut emoji = notice(Event::Alert);
    emoji.title = format!("Z\u{fc}rich \u{1f600} {}", "\u{1f600}".repeat(200));
    for notice in [notice(Event::Alert), emoji, hostile()] {
        let mail = preview("email", table("email", "", std::path::Path::new("/x")), None, &notice);
        let lab = Lab::new("python");
        let path = lab.path().join("mail.eml");
        std::fs::write(&path, mail.replace('\n', "\r\n")).unwrap();
        let read = std::process::Command::new("python3")
            .args(["-c", READ])
            .stdin(std::fs::File::open(&path).unwrap())
            .output()
            .unwrap();
        let seen: Value = serde_json::from_slice(&read.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&read.stderr)));
        let words = notafter_act::text::Words::of(&notice);
        assert_eq!(seen["defects"], serde_json::json!([]));
        assert_eq!(seen["subject"], words.subject.as_str());
        assert_eq!(seen["kinds"], serde_json::json!(["multipart/alternative", "text/plain", "text/html"]));
        assert!(seen["text"].as_str().unwrap().contains(&words.title));
        assert_eq!(seen["names"].as_array().unwrap().iter().filter(|n| *n == "To").count(), 1);
        assert!(!seen["names"].as_array().unwrap().contains(&serde_json::json!("Bcc")));
    }
}

#[test]
fn a_template_does_not_let_a_name_out_of_its_string() {
    let table = serde_json::json!({
        "url": "http://127.0.0.1:9/",
        "template": r#"{"t":"{{title}}","all":"{{message}}","d":"{{days_left}}"}"#
    });
    let shown = preview("webhook", table, None, &hostile());
    let body = body(&shown);
    assert_eq!(body.as_object().unwrap().len(), 3);
    assert!(body["t"].as_str().unwrap().contains("{{title}}"), "a value is never read for fields");
}

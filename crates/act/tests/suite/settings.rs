//! The tables: what is refused, and in which words; and what the reference page is made from.

use notafter_act::notifiers::NOTIFIERS;
use serde_json::{Value, json};

use crate::{build_cx, kind};

fn check(name: &str, table: Value, sign: &str) {
    let error =
        (kind(name).build)(table, build_cx()).err().unwrap_or_else(|| panic!("{name}: built, not {sign}"));
    assert!(error.contains(sign), "{name}: {error}");
    assert!(!error.contains("hunter2"), "{name}: a secret is repeated: {error}");
}

#[test]
fn a_wrong_table_is_answered_with_what_to_write() {
    check("slack", json!({}), "the setting `url` is missing\nhint: url = ...: The address");
    check("slack", json!({ "uri": "x" }), "did you mean `url`?");
    check("slack", json!({ "url": "http://x/hunter2", "timout": "5s" }), "did you mean `timeout`?");
    check(
        "slack",
        json!({ "url": "http://x/hunter2", "timeout": "5" }),
        "`timeout`: `5` is no length of time\nhint: write 90s",
    );
    check("slack", json!({ "url": "hunter2" }), "hint: it begins with https://");
    check("slack", json!({ "url": "file:///hunter2" }), "only https:// and http://");
    check("slack", json!({ "url": { "env": "NOTAFTER_TEST_NOT_SET" } }), "NOTAFTER_TEST_NOT_SET is not set");
    check(
        "slack",
        json!({ "url": "http://x/hunter2", "ca_file": "/nonexistent" }),
        "hint: ca_file is a PEM file",
    );
    check("slack", json!({ "url": "http://x/hunter2", "proxy": "http://[hunter2" }), "no address of a proxy");
    check("teams", json!({ "url": "https://a.webhook.office.com/hunter2" }), "Workflows");
    check("pagerduty", json!({ "routing_key": "hunter2" }), "hint: write { env");
    check("pagerduty", json!({ "routing_key": 12345 }), "`routing_key`: a secret has one of three forms");
    check("opsgenie", json!({ "api_key": { "env": "PATH" }, "region": "mars" }), "mars");
    check("telegram", json!({ "token": { "env": "PATH" } }), "holds no token of a bot");
    check("ntfy", json!({ "topic": "a/b" }), "hint: letters, digits");
    check("ntfy", json!({ "user": "x" }), "belong together");
    check(
        "alertmanager",
        json!({ "url": "http://x", "labels": { "alert": "x" } }),
        "cannot be a further label",
    );
    check("webhook", json!({ "url": "http://x", "template": "{{nmae}}" }), "hint: the fields are id");
    check("webhook", json!({ "url": "http://x", "template": "{{title" }), "has no }}");
    check("webhook", json!({ "url": "http://x", "headers": { "Host": "y" } }), "frames the request");
    check("webhook", json!({ "url": "http://x", "headers": { "X-A": "a\r\nB: c" } }), "one line");
    check("webhook", json!({ "url": "http://x", "method": "GET" }), "GET");
    check("exec", json!({ "command": "echo hi" }), "`command`: invalid type");
    check("exec", json!({ "command": ["echo", "hi"] }), "no full path");
    check("exec", json!({ "command": [] }), "no full path");
    check("exec", json!({ "command": ["/nonexistent/tell"] }), "there is no program");
    let mail = json!({ "server": "mx.example.com", "from": "n@example.com" });
    let with = |more: Value| {
        let mut table = mail.clone();
        table.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        table
    };
    assert!((kind("email").build)(mail.clone(), build_cx()).is_ok());
    check(
        "email",
        with(json!({ "tls": "none", "user": "u", "password": { "env": "PATH" } })),
        "to read\nhint",
    );
    check("email", with(json!({ "user": "u" })), "belong together");
    check("email", with(json!({ "password": "hunter2", "user": "u" })), "hint: write { env");
    check("email", with(json!({ "server": "a b" })), "is no mail server");
    check("email", with(json!({ "server": "a:99999" })), "is no mail server");
    check("email", with(json!({ "from": "nobody" })), "`from`: `nobody` is no mail address");
    check("email", with(json!({ "to": ["a@example.com", "x\r\ny@example.com"] })), "is no mail address");
    check("email", with(json!({ "tls": "ssl" })), "ssl");
    check("email", with(json!({ "helo_name": "a b" })), "is no host name");
    let loopback = json!({ "server": "[::1]:25", "tls": "none", "user": "u", "password": { "env": "PATH" } });
    assert!((kind("email").build)(with(loopback), build_cx()).is_ok());
}

#[test]
fn every_kind_is_documented_and_the_list_is_sorted() {
    let names: Vec<&str> = NOTIFIERS.iter().map(|kind| kind.name).collect();
    assert!(names.is_sorted(), "{names:?}");
    for kind in NOTIFIERS {
        assert!(kind.doc.ends_with('.'), "{}", kind.name);
        let schema = (kind.settings)();
        assert_eq!(schema["additionalProperties"], false, "{}", kind.name);
        for (key, property) in schema["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{}.{key} has no words: {property}", kind.name);
        }
        if !matches!(kind.name, "email" | "exec") {
            assert!(schema["properties"]["ca_file"].is_object(), "{}", kind.name);
        }
    }
}

/// What a file of somebody else's needs to build here: each secret is one file, and paths are those of this lab.
fn at_home(value: &mut Value, secret: &std::path::Path, root: &std::path::Path) {
    match value {
        Value::Object(map) => {
            let is_secret = ["env", "file", "credential"].iter().any(|form| map.contains_key(*form));
            if is_secret {
                *value = json!({ "file": secret });
                return;
            }
            if let Some(path) = map.get_mut("ca_file") {
                *path = json!(root);
            }
            if let Some(command) = map.get_mut("command") {
                command[0] = json!("/bin/true");
            }
            map.values_mut().for_each(|inner| at_home(inner, secret, root));
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| at_home(inner, secret, root)),
        _ => {}
    }
}

#[test]
fn the_reference_builds_and_names_every_setting() {
    let lab = notafter_lab::Lab::new("reference");
    let root = notafter_lab::Authority::new(&lab).root().cert_pem.clone();
    let secret = lab.path().join("secret");
    let file: Value = toml::from_str(include_str!("reference.toml")).unwrap();
    let mut seen = Vec::new();
    for notifier in file["notifier"].as_array().unwrap() {
        let name = notifier["kind"].as_str().unwrap();
        // What it holds depends on who reads it.
        let url = matches!(name, "discord" | "slack" | "teams" | "webhook");
        std::fs::write(&secret, if url { "https://hooks.example.com/x" } else { "123456:s3cret" }).unwrap();
        let mut table = notifier.clone();
        at_home(&mut table, &secret, &root);
        let table = table.as_object_mut().unwrap();
        table.retain(|key, _| key != "name" && key != "kind");
        if let Err(error) = (kind(name).build)(Value::Object(table.clone()), build_cx()) {
            panic!("{name}: {error}");
        }
        let schema = (kind(name).settings)();
        for key in schema["properties"].as_object().unwrap().keys() {
            // ntfy takes one of two ways to sign in, and shows both.
            assert!(table.contains_key(key) || (name, key.as_str()) == ("ntfy", "token"), "{name}.{key}");
        }
        seen.push(name);
    }
    assert_eq!(seen, NOTIFIERS.iter().map(|kind| kind.name).collect::<Vec<_>>());
}

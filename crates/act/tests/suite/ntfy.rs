//! The real ntfy server: published as JSON, read back.

use notafter_core::fault::{FaultKind, Retry};
use notafter_core::notice::Event;
use notafter_lab::sinks::ntfy;
use notafter_lab::{Lab, need};
use serde_json::{Value, json};

use crate::{notice, send};

#[tokio::test]
async fn it_is_published_and_read_back() {
    let lab = Lab::new("ntfy");
    let Some(server) = need(ntfy::start(&lab)) else { return };
    let password = lab.path().join("password");
    std::fs::write(&password, "lab-secret").unwrap();
    let mut table = json!({
        "url": format!("http://{}", server.address()),
        "user": "notafter", "password": { "file": password }
    });
    send("ntfy", table.clone(), Some("certs"), &notice(Event::Alert)).await.unwrap();
    let page = crate::alertmanager::read(server.address(), "/certs/json?poll=1");
    let seen: Value = serde_json::from_str(page.lines().next().unwrap_or_default())
        .unwrap_or_else(|e| panic!("{e}: {page}"));
    assert_eq!(seen["title"], "Critical: 2 certificates of web stop working (3.2 days left)");
    assert_eq!(seen["priority"], 5);
    assert_eq!(seen["click"], "https://notafter.example.com/alerts/a17");
    assert_eq!(seen["actions"][0]["url"], "https://notafter.example.com/ack/k3y");
    assert!(seen["message"].as_str().unwrap().contains("tls://10.0.0.5:443?sni=api.example.com"));

    // As long as it may be, and still a message and not an attachment.
    let mut long = notice(Event::Alert);
    long.items = (0..500).map(|n| crate::item(&format!("host-{n}.example.com"), 3)).collect();
    send("ntfy", table.clone(), Some("long"), &long).await.unwrap();
    let page = crate::alertmanager::read(server.address(), "/long/json?poll=1");
    let seen: Value = serde_json::from_str(page.lines().next().unwrap_or_default()).unwrap();
    assert!(
        seen["message"].as_str().unwrap().contains(" more\n") && seen.get("attachment").is_none(),
        "{seen}"
    );

    std::fs::write(&password, "wr0ng-one").unwrap();
    table["topic"] = json!("certs");
    let fault = send("ntfy", table, None, &notice(Event::Alert)).await.unwrap_err();
    assert_eq!((fault.kind, fault.retry), (FaultKind::Refused, Retry::Never), "{fault:?}");
    assert!(!format!("{fault:?}").contains("wr0ng"), "{fault:?}");
}

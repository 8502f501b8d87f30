//! The notifiers against what they talk to: a recording receiver, a mail server, Alertmanager, ntfy, programs.
//!
//! Everything listens on loopback. What every notifier must stand, hostile notices above all, is in `hostile`.

#![allow(missing_docs)]

mod alertmanager;
mod deploy;
mod exec;
mod hostile;
mod http;
mod mail;
mod ntfy;
mod services;
mod settings;
mod shown;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use notafter_act::notifiers::{BuildCx, NotifierKind, Outgoing, find};
use notafter_act::roots::Roots;
use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_core::fault::Fault;
use notafter_core::finding::Severity;
use notafter_core::joints::Cx;
use notafter_core::notice::{Event, Item, Notice};
use notafter_lab::sinks::http::{Answer, Received, Receiver};
use serde_json::Value;

/// 2026-11-21T12:00:00Z.
const NOW: UnixTime = UnixTime(1_795_262_400);

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> UnixTime {
        NOW
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

fn cx() -> Cx {
    Cx::new(Arc::new(Fixed), "this host".into())
}

fn build_cx() -> &'static BuildCx {
    static CX: OnceLock<BuildCx> = OnceLock::new();
    CX.get_or_init(|| BuildCx { roots: Roots::read() })
}

fn kind(name: &str) -> &'static NotifierKind {
    find(name).unwrap_or_else(|| panic!("no kind {name}"))
}

/// Carries a message, as the engine would.
async fn send(name: &str, table: Value, to: Option<&str>, notice: &Notice) -> Result<(), Fault> {
    let notifier = (kind(name).build)(table, build_cx()).unwrap_or_else(|error| panic!("{name}: {error}"));
    notifier.notify(&cx(), to, notice).await
}

fn preview(name: &str, table: Value, to: Option<&str>, notice: &Notice) -> String {
    let out = Outgoing { to, notice, now: NOW };
    (kind(name).preview)(table, build_cx(), &out).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Sends to a receiver that is content, and gives what came there. The table is made with its address.
async fn sent(name: &str, table: impl Fn(&Receiver) -> Value, to: Option<&str>, notice: &Notice) -> Received {
    let receiver = Receiver::start(Answer::status(200, "", "ok"));
    send(name, table(&receiver), to, notice).await.unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
    receiver.only()
}

fn json(received: &Received) -> Value {
    serde_json::from_slice(&received.body).unwrap_or_else(|error| panic!("{error}: {}", received.text()))
}

fn item(name: &str, days: i64) -> Item {
    Item {
        finding: "fbecc8430bc6c700".into(),
        kind: "expires-soon".into(),
        severity: Severity::Critical,
        name: name.into(),
        summary: format!("It is in use and expires in {days} days."),
        hint: "Renew it and reload nginx.".into(),
        deadline: Some(NOW.plus(days * 86_400)),
        places: vec![format!("tls://10.0.0.5:443?sni={name}"), "file:///etc/nginx/api.pem#1".into()],
        more_places: 2,
    }
}

fn notice(event: Event) -> Notice {
    Notice {
        id: "n-42".into(),
        event,
        severity: Severity::Critical,
        alert: Some("a17".into()),
        instance: "5f3a9c02d1e4".into(),
        owner: "web".into(),
        title: "2 certificates of web stop working".into(),
        text: "Clients will refuse the connection from then on.".into(),
        hint: "Renew them and reload what serves them.".into(),
        deadline: Some(NOW.plus(3 * 86_400 + 17_280)),
        items: vec![item("api.example.com", 3), item("www.example.com", 5)],
        more: 4,
        acknowledge_url: Some("https://notafter.example.com/ack/k3y".into()),
        acknowledge_command: Some("notafter ack a17".into()),
        page_url: Some("https://notafter.example.com/alerts/a17".into()),
        at: NOW,
    }
}

/// A table that builds, for every kind, pointing at this address.
fn table(name: &str, url: &str, secret: &std::path::Path) -> Value {
    let secret = serde_json::json!({ "file": secret });
    match name {
        "alertmanager" => serde_json::json!({ "url": url }),
        "email" => serde_json::json!({
            "server": "127.0.0.1:1", "tls": "none", "from": "notafter@example.com", "to": ["web@example.com"]
        }),
        "exec" => serde_json::json!({ "command": ["/bin/cat"] }),
        "ntfy" => serde_json::json!({ "url": url, "topic": "certs", "token": secret }),
        "opsgenie" => serde_json::json!({ "api_key": secret, "api_url": url }),
        "pagerduty" => serde_json::json!({ "routing_key": secret, "url": url }),
        "telegram" => serde_json::json!({ "token": secret, "chat_id": "-1001", "api_url": url }),
        "webhook" => serde_json::json!({ "url": url, "secret": secret }),
        _ => serde_json::json!({ "url": url }),
    }
}
